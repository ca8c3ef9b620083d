"""Volumes of grids, and what a session keeps of them."""

from chimerax.map_data import file_formats, open_file


class Volume:
    """A map as it is shown: its grid, and the level of its surface."""

    def __init__(self, data):
        self.data = data
        self.name = data.name

    def surface_level(self):
        """The level that the grid names, else one that a hundredth of all values exceeds."""
        if hasattr(self.data, "initial_surface_level"):
            return self.data.initial_surface_level
        ranked = sorted(self.data.matrix().ravel())
        return ranked[int(0.99 * len(ranked))]


def add_map_format(session, map_format):
    file_formats.append(map_format)


def open_grids(session, grids, name, **keywords):
    """Volumes of grids and a message; a grid that is open already is taken, if path and id are the same."""
    volumes = []
    for grid in grids:
        is_open = [v.data for v in session.volumes if grid.path and _same(v.data, grid)]
        volumes.append(Volume(is_open[0] if is_open else grid))
    return volumes, ""


def state_of(grid):
    """What a session file holds of a grid: values only where it has no path, place only where it was moved."""
    state = {"path": grid.path, "file_type": grid.file_type, "name": grid.name}
    if not grid.path:
        state["array"] = grid.matrix().tobytes()
    if grid.grid_id != "":
        state["grid_id"] = grid.grid_id
    for name in ("step", "origin"):
        if getattr(grid, name) != getattr(grid, f"original_{name}"):
            state[name] = getattr(grid, name)
    if grid.symmetries:
        state["symmetries"] = grid.symmetries
    return state


def grid_of(state, log):
    """The grid that a session file's state means; None if what opens has another id."""
    grids = open_file(state["path"], state["file_type"], log=log)
    found = {(grid.path, grid.grid_id): grid for grid in grids}.get((state["path"], state.get("grid_id", "")))
    if found is not None:
        found.name = state["name"]
    return found


def _same(one, other):
    return not one.writable and (one.path, one.grid_id) == (other.path, other.grid_id)
