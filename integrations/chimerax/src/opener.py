"""`open file.nmap [sampling 2]` in ChimeraX."""

from chimerax.map.volume import open_grids
from chimerax.nmap.map_grid import open_grid
from chimerax.open_command import OpenerInfo


class NmapOpener(OpenerInfo):
    """Opens a `.nmap` file as a map."""

    def open(self, session, data, file_name, sampling=1, **keywords):
        """Open a path; the message says what the file holds.

        Returns:
            Models, and a message.
        """
        grid = open_grid(data, sampling)
        models, message = open_grids(session, [grid], grid.name, **keywords)
        facts = f"Opened {grid.name}: {grid.facts}"
        return models, f"{message}\n{facts}" if message else facts

    @property
    def open_args(self):
        """Keywords of the open command, and what kind of value each one has."""
        from chimerax.core.commands import FloatArg

        return {"sampling": FloatArg}
