"""A `.nmap` file as ChimeraX's grid data: regions are decoded when they are read."""

import os

import numpy as np
from chimerax.core.errors import UserError
from chimerax.geometry import Place, Places
from chimerax.map_data import FileFormatError, GridData

SAMPLINGS = tuple(quarter / 4 for quarter in range(1, 17))
"""Samplings that a map can have, as multiples of the source's: few enough that each is a format for sessions."""

_ROWS_AT_ONCE = 1 << 22
"""Samples that are decoded between two signs of progress."""


class NmapGrid(GridData):
    """A neural map at one sampling.

    Args:
        neural_map: the map.
        path: its file.
        sampling: samples along each axis, as a multiple of the source's; one of `SAMPLINGS`.
    """

    def __init__(self, neural_map, path, sampling=1):
        self.neural_map = neural_map
        self.sampled = neural_map.times_as_fine(sampling)
        name = os.path.basename(path)
        super().__init__(
            self.sampled.shape[::-1],
            np.float32,
            origin=self.sampled.origin,
            step=self.sampled.voxel_size,
            cell_angles=self.sampled.angles,
            symmetries=_symmetries(neural_map),
            name=name if sampling == 1 else f"{name} sampling {sampling:g}",
            path=path,
            file_type=file_type(sampling),
            grid_id="" if sampling == 1 else f"sampling {sampling:g}",
        )
        # ChimeraX chooses a level itself where this attribute is missing.
        if neural_map.contour_level is not None:
            self.initial_surface_level = neural_map.contour_level

    def read_matrix(self, ijk_origin=(0, 0, 0), ijk_size=None, ijk_step=(1, 1, 1), progress=None):
        """Decode every `ijk_step`th sample of a region, and nothing else: float32 (k, j, i)."""
        size = self.size if ijk_size is None else ijk_size
        spans = zip(ijk_origin, size, ijk_step, strict=True)
        i, j, k = (range(first, first + count, step) for first, count, step in spans)
        out = np.empty((len(k), len(j), len(i)), self.value_type)
        if progress:
            progress.array_size(out.shape[::-1], out.itemsize)
        rows = max(1, _ROWS_AT_ONCE // (len(j) * len(i)))
        for start in range(0, len(k), rows):
            part = (_slice(k[start : start + rows]), _slice(j), _slice(i))
            out[start : start + rows] = self.neural_map.on_part(part, self.sampled)
            if progress:
                progress.plane(min(start + rows, len(k)) - 1)
        return out

    @property
    def facts(self):
        """Voxels, resolution, symmetry and contour level in a line."""
        voxel = " x ".join(f"{v:.4g}" for v in self.step)
        facts = [" x ".join(map(str, self.size)) + f" voxels of {voxel} A"]
        field = self.neural_map.field
        limit = field.band_limit
        facts.append("no band limit" if limit is None else f"resolution kept {limit:.4g} A")
        facts.append(f"symmetry {'C1' if field.symmetry is None else field.symmetry.name}")
        level = self.neural_map.contour_level
        facts.append("no contour level" if level is None else f"contour level {level:.4g}")
        return ", ".join(facts)


def open_grid(path, sampling=1):
    """Open a `.nmap` file; nothing is decoded yet.

    Raises:
        OSError: the file cannot be read.
        UserError: a sampling that is not offered, a file that breaks the format, or no `nmap-em`.
    """
    if sampling not in SAMPLINGS:
        raise UserError(
            f"sampling {sampling:g}: wanted a multiple of {SAMPLINGS[0]:g} from {SAMPLINGS[0]:g} to {SAMPLINGS[-1]:g}"
        )
    try:
        neural_map = _library().open(path)
    except ValueError as error:
        raise FileFormatError(str(error)) from None
    return NmapGrid(neural_map, os.path.abspath(path), sampling)


def file_type(sampling):
    """The name under which ChimeraX knows the format of a file at a sampling."""
    return "nmap" if sampling == 1 else f"nmap sampling {sampling:g}"


def _library():
    """The package `nmap` of `nmap-em`; the port scanner's has the same name."""
    try:
        import nmap
    except ImportError:
        nmap = None
    if not hasattr(nmap, "NeuralMap"):
        found = "no such package" if nmap is None else f"another package named nmap in {nmap.__file__}"
        advice = "run ChimeraX -m pip install . in a checkout of nmap"
        raise UserError(f"ChimeraX-nmap needs nmap-em, found {found}: {advice}")
    return nmap


def _symmetries(neural_map):
    """The transformations that leave a map as it is, in its own coordinates; None for C1."""
    group = neural_map.field.symmetry
    if group is None:
        return None
    centre = np.add(neural_map.grid.origin, group.center)
    return Places(
        [Place(np.column_stack((turn, centre - turn @ centre))) for turn in np.asarray(group.operators)]
    )


def _slice(indices):
    return slice(indices.start, indices.stop, indices.step)
