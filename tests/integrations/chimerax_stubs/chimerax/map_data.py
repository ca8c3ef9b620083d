"""Grids and formats: what ChimeraX keeps of a map, how it reads regions, and how it finds what reads a path."""

import inspect
import os

import numpy as np
from chimerax.core.errors import UserError


class FileFormatError(UserError):
    pass


class GridData:
    def __init__(
        self,
        size,
        value_type=np.float32,
        origin=(0, 0, 0),
        step=(1, 1, 1),
        cell_angles=(90, 90, 90),
        rotation=((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        symmetries=None,
        name="",
        path="",
        file_type="",
        grid_id="",
    ):
        self.size = tuple(size)
        self.value_type = np.dtype(value_type)
        self.origin = self.original_origin = tuple(origin)
        self.step = self.original_step = tuple(step)
        self.cell_angles = tuple(cell_angles)
        self.rotation = rotation
        self.symmetries = symmetries
        self.name = name or os.path.basename(path)
        self.path, self.file_type, self.grid_id = path, file_type, grid_id
        self.writable = False
        self.channel = self.rgba = None
        self.kept = []  # regions that were read: origin, size, step, values

    def matrix(self, ijk_origin=(0, 0, 0), ijk_size=None, ijk_step=(1, 1, 1), progress=None):
        """A region: of what was read before if it holds it, else read."""
        ijk_size = ijk_size or self.size
        for origin, size, step, values in self.kept:
            within = all(
                o <= at and at + n <= o + m and s % t == 0 and (at - o) % t == 0
                for at, n, s, o, m, t in zip(ijk_origin, ijk_size, ijk_step, origin, size, step, strict=True)
            )
            if within:
                cut = (
                    slice((at - o) // t, (at - o) // t + (n + t - 1) // t, s // t)
                    for at, n, s, o, t in zip(ijk_origin, ijk_size, ijk_step, origin, step, strict=True)
                )
                return values[tuple(cut)[::-1]]
        values = self.read_matrix(ijk_origin, ijk_size, ijk_step, progress)
        self.kept.append((ijk_origin, ijk_size, ijk_step, values))
        return values


class MapFileFormat:
    def __init__(self, description, name, prefixes, suffixes, *, writable=False, batch=False):
        self.description, self.name = description, name
        self.prefixes, self.suffixes = prefixes, suffixes
        self.writable, self.batch = writable, batch


file_formats = [MapFileFormat("MRC density map", "mrc", ["mrc"], ["mrc"], writable=True)]


def file_format_by_name(name):
    for known in file_formats:
        if name == known.name or name in known.suffixes or name in known.prefixes:
            return known
    raise ValueError(f"Unknown map file format {name}")


def open_file(path, file_type=None, **keywords):
    """The grids of a path; of the keywords those that the format's function takes."""
    known = file_format_by_name(file_type or path.rpartition(".")[2])
    function = known.open_func
    taken = inspect.getfullargspec(function).args
    return function(os.path.abspath(path), **{k: v for k, v in keywords.items() if k in taken})
