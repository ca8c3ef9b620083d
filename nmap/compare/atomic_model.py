"""Map-model FSC: an atomic model's density against a source and its decode, side by side."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from nmap.compare.structure import read_model
from nmap.errors import MapError, OptionError
from nmap.grid import Grid
from nmap.spectrum import F32, ShellCurve, band_limited, fsc

if TYPE_CHECKING:
    import gemmi

    from nmap.maps import DensityMap

METHOD = (
    "model density from gemmi's electron scattering factors (International Tables C 4.3.2.2) with the atoms' "
    "own B factors; both maps and the model within the same mask"
)
ATOM_RADIUS = 3.0
"""Angstrom around each atom that its own mask covers, before softening."""

SOFT_EDGE = 2.0
"""Standard deviation of the Gaussian that softens the mask, Angstrom."""


@dataclass(frozen=True)
class MapModel:
    """How an atomic model fits a source and its decode.

    Attributes:
        name: file name of the model.
        atoms: atoms of its first model.
        inside: share of them that lies in the map's box.
        mask: "given", or "around the atoms".
        source: model density against the source.
        decoded: model density against the decoded map.
        correlation_source: Pearson correlation with the model density, weighted by the mask, both to
            `resolution`.
        correlation_decoded: the same of the decoded map.
        resolution: Angstrom; None: to Nyquist.
    """

    name: str
    atoms: int
    inside: float
    mask: str
    source: ShellCurve
    decoded: ShellCurve
    correlation_source: float
    correlation_decoded: float
    resolution: float | None

    WHAT: ClassVar = "map-model FSC"
    METHOD: ClassVar = METHOD


def compare_model(
    path: str | os.PathLike[str],
    decoded: DensityMap,
    source: DensityMap,
    *,
    mask: DensityMap | None = None,
    resolution: float | None = None,
) -> MapModel:
    """FSC of an atomic model with a source and its decode.

    Args:
        path: mmCIF or PDB file, gzipped or not; its first model is used, in the frame of the maps.
        decoded: the decoded map.
        source: its source, on the same grid.
        mask: soft mask on the same grid; made around the atoms if None.
        resolution: to which the real-space correlations are filtered, Angstrom.

    Raises:
        MapError: the file cannot be read as a model, or none of its atoms lies in the box.
        OptionError: the maps are 2-D images.
    """
    if source.grid.is_flat:
        raise OptionError(f"a model against {source.grid}: wanted a volume; leave the model out for an image")
    structure = read_model(path)
    model, grid = structure[0], source.grid
    inside, atoms = place_in_box(model, grid)
    if inside == 0:
        raise MapError(
            f"{path}: none of {atoms} atoms lies in the box of {grid}: give one in the map's frame"
        )
    density = model_density(model, grid)
    soft = mask.values if mask is not None else mask_around(model, grid)
    curves = [fsc(density, m.values, grid, soft, reference="second") for m in (source, decoded)]
    limit = resolution or 2 * max(grid.voxel_size)
    reference = band_limited(density, grid, limit)
    filtered = (band_limited(m.values, grid, limit) for m in (source, decoded))
    cc = [_weighted_correlation(reference, m, soft) for m in filtered]
    return MapModel(
        name=os.path.basename(os.fspath(path)),
        atoms=atoms,
        inside=inside / atoms,
        mask="given" if mask is not None else "around the atoms",
        source=curves[0],
        decoded=curves[1],
        correlation_source=cc[0],
        correlation_decoded=cc[1],
        resolution=resolution,
    )


def place_in_box(model: gemmi.Model, grid: Grid) -> tuple[int, int]:
    """Move a model's atoms so that the grid's origin is at (0, 0, 0); atoms in the box, and all atoms."""
    import gemmi

    atoms = [site.atom for site in model.all()]
    points = np.array([atom.pos.tolist() for atom in atoms])
    fractions = grid.fractions(points)
    inside = int(np.all((fractions >= 0) & (fractions < 1), -1).sum())
    for atom, point in zip(atoms, points - np.asarray(grid.origin), strict=True):
        atom.pos = gemmi.Position(*point)
    return inside, len(atoms)


def _cell(grid: Grid) -> gemmi.UnitCell:
    import gemmi

    return gemmi.UnitCell(*grid.edges, *grid.angles)


def model_density(model: gemmi.Model, grid: Grid) -> F32:
    """Electrostatic potential of a placed model on the grid (z, y, x).

    Atoms are blurred before sampling, so that sharp ones do not alias; a radial blur leaves every FSC as it
    is.
    """
    import gemmi

    calculator = gemmi.DensityCalculatorE()
    calculator.grid.set_unit_cell(_cell(grid))
    calculator.grid.spacegroup = gemmi.SpaceGroup("P 1")
    nz, ny, nx = grid.shape
    calculator.grid.set_size(nx, ny, nz)
    calculator.d_min = 2 * max(grid.voxel_size)
    calculator.rate = 1.0
    calculator.set_refmac_compatible_blur(model)
    calculator.add_model_density_to_grid(model)
    return _zyx(calculator.grid)


def mask_around(model: gemmi.Model, grid: Grid) -> F32:
    """Soft mask (z, y, x) around a placed model, of `ATOM_RADIUS` and `SOFT_EDGE`."""
    import gemmi
    from scipy.ndimage import gaussian_filter

    nz, ny, nx = grid.shape
    near = gemmi.FloatGrid()
    near.set_unit_cell(_cell(grid))
    near.spacegroup = gemmi.SpaceGroup("P 1")
    near.set_size(nx, ny, nz)
    near.mask_points_in_constant_radius(model, ATOM_RADIUS, 1.0)
    sigma = [SOFT_EDGE / v for v in grid.voxel_size[::-1]]
    return np.asarray(gaussian_filter(_zyx(near), sigma, mode="wrap", truncate=3), np.float32)


def _zyx(grid: gemmi.FloatGrid) -> F32:
    return np.ascontiguousarray(np.array(grid, copy=False).transpose(2, 1, 0), np.float32)


def _weighted_correlation(a: F32, b: F32, weight: NDArray[np.floating]) -> float:
    """Pearson correlation of two volumes, each voxel weighted."""
    w = weight.astype(np.float64)
    total = w.sum()
    x, y = a - (w * a).sum() / total, b - (w * b).sum() / total
    return float((w * x * y).sum() / np.sqrt((w * x * x).sum() * (w * y * y).sum()))
