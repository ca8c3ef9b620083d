"""`.nmap` among ChimeraX's map formats: a session names a format and a path, and opens the map again by them."""

from chimerax.map_data import MapFileFormat
from chimerax.nmap.map_grid import file_type, open_grid


class NmapFormat(MapFileFormat):
    """The format of `.nmap` files at one sampling.

    A session has no keywords for a format, so each sampling is a format of its own. The plain one has the suffix.

    Args:
        sampling: samples along each axis, as a multiple of the source's.
    """

    def __init__(self, sampling):
        name = file_type(sampling)
        named = ["nmap"] if sampling == 1 else []
        super().__init__(name, name, list(named), list(named))
        self.sampling = sampling

    @property
    def open_func(self):
        """What opens a path with this format; ChimeraX looks at the names of its arguments."""

        def open_path(path, sampling=self.sampling):
            return [open_grid(path, sampling)]

        return open_path
