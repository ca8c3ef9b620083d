"""Correlation of a map with an atomic model's own density: in the model's mask, and residue by residue.

Both are those of Phenix (P. V. Afonine et al., Acta Cryst. D74 (2018) 814; `mmtbx.maps.map_model_cc`). The model's
density is that of its atoms, electron scattering factors and B factors included, cut sharply at the resolution.
CC_mask is the Pearson correlation over the grid points of the molecule: within the van der Waals radii, solvent that
a probe of 1.11 A cannot reach included. CC of a residue is that over the grid points within `atom_radius` of any of
its atoms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmap.compare.structure import Atoms
from nmap.grid import Grid
from nmap.spectrum import sharpened

if TYPE_CHECKING:
    import gemmi

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

RADII = (3.0, 10.0)
"""Least and largest radius around an atom that its residue's correlation is taken over, Angstrom (Phenix)."""

PROBE = 1.11
SHRINK = 0.9
"""Radius of the solvent's probe, and how far the mask shrinks back, Angstrom (Phenix)."""

_STEP = 0.02
"""Step in which the size of an atom's image is sought, Angstrom."""


@dataclass(frozen=True, eq=False)
class ModelMap:
    """What a map is held against.

    Attributes:
        density: the model's, cut at the resolution, (z, y, x).
        mask: where its molecule is, (z, y, x).
        radius: around each atom, Angstrom.
    """

    density: F32
    mask: NDArray[np.bool_]
    radius: float


def model_map(atoms: Atoms, grid: Grid, resolution: float) -> ModelMap:
    """The density of a model, its mask and the radius of its atoms.

    Args:
        atoms: the model, in the map's frame.
        grid: of the map.
        resolution: Angstrom.
    """
    model = _model(atoms, grid)
    radius = atom_radius(resolution, float(atoms.b_factors.mean()))
    return ModelMap(_density(model, grid, resolution), _mask(model, grid), radius)


def correlation_in_mask(values: F32, model: ModelMap) -> float:
    """CC_mask of a map (z, y, x); NaN where either is constant."""
    return _pearson(values[model.mask], model.density[model.mask])


def correlation_by_residue(values: F32, grid: Grid, atoms: Atoms, model: ModelMap) -> F64:
    """CC of each residue, (residues,); NaN for one outside the box.

    Args:
        values: the map (z, y, x).
        grid: where it lies.
        atoms: the model.
        model: its density on the grid.
    """
    bounds = np.searchsorted(atoms.residue, np.arange(len(atoms.residues) + 1))
    out = np.full(len(atoms.residues), np.nan)
    for number in range(out.size):
        points = _near(grid, atoms.positions[bounds[number] : bounds[number + 1]], model.radius)
        out[number] = _pearson(values[points], model.density[points])
    return out


def atom_radius(resolution: float, b_factor: float) -> float:
    """Radius around an atom within which the density at a resolution is its own, Angstrom.

    As Phenix: the resolution, or twice the radius of a carbon's first inflection if that is more, 3 to 10 A.

    Args:
        resolution: Angstrom.
        b_factor: of the atom, Angstrom^2.
    """
    import gemmi

    scattering = gemmi.Element("C").c4322
    frequency = np.linspace(0, 1 / resolution, 400)
    factors = np.array([scattering.calculate_sf(float(s * s / 4)) for s in frequency])
    weight = factors * np.exp(-b_factor * frequency**2 / 4) * frequency**2
    radius = np.arange(0, max(15.0, resolution), _STEP)
    # sinc(2 s r) of numpy is sin(2 pi s r) / (2 pi s r): the image of a radial function.
    image = (np.sinc(2 * np.outer(radius, frequency)) * weight).sum(1)
    rising = np.flatnonzero(np.diff(image, 2) > 0)
    inflection = float(radius[rising[0] + 1]) if rising.size else 0.0
    least, most = RADII
    return max(least, min(most, max(resolution, 2 * inflection)))


def _model(atoms: Atoms, grid: Grid) -> gemmi.Model:
    """The atoms for gemmi, with the grid's origin at (0, 0, 0)."""
    import gemmi

    model, chain, residue = gemmi.Model(1), gemmi.Chain("A"), gemmi.Residue()
    for place, element, occupancy, b in zip(
        atoms.positions - np.asarray(grid.origin),
        atoms.elements,
        atoms.occupancies,
        atoms.b_factors,
        strict=True,
    ):
        atom = gemmi.Atom()
        atom.name, atom.element = str(element), gemmi.Element(str(element))
        atom.pos, atom.occ, atom.b_iso = gemmi.Position(*place), float(occupancy), float(b)
        residue.add_atom(atom)
    chain.add_residue(residue)
    model.add_chain(chain)
    return model


def _density(model: gemmi.Model, grid: Grid, resolution: float) -> F32:
    """The model's density (z, y, x), every mode to the resolution as it is, and none beyond."""
    import gemmi

    calculator = gemmi.DensityCalculatorE()
    _lay_out(calculator.grid, grid)
    # Sampled as coarsely as the map, sharp atoms would alias: they are blurred, and sharpened again afterwards.
    calculator.d_min, calculator.rate = 2 * max(grid.voxel_size), 1.0
    calculator.set_refmac_compatible_blur(model)
    calculator.add_model_density_to_grid(model)
    return sharpened(_zyx(calculator.grid), grid, float(calculator.blur), resolution)


def _mask(model: gemmi.Model, grid: Grid) -> NDArray[np.bool_]:
    """Where the molecule is, (z, y, x)."""
    import gemmi

    masker = gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx)
    masker.rprobe, masker.rshrink, masker.island_min_volume = PROBE, SHRINK, 0.0
    solvent = gemmi.FloatGrid()
    _lay_out(solvent, grid)
    masker.put_mask_on_float_grid(solvent, model)
    return np.asarray(_zyx(solvent) == 0)


def _lay_out(on: gemmi.FloatGrid, grid: Grid) -> None:
    import gemmi

    nz, ny, nx = grid.shape
    on.set_unit_cell(gemmi.UnitCell(*grid.edges, *grid.angles))
    on.spacegroup = gemmi.SpaceGroup("P 1")
    on.set_size(nx, ny, nz)


def _zyx(grid: gemmi.FloatGrid) -> F32:
    return np.ascontiguousarray(np.array(grid, copy=False).transpose(2, 1, 0), np.float32)


def _near(grid: Grid, positions: F64, radius: float) -> tuple[NDArray[np.intp], ...]:
    """Indices (z, y, x) of the voxels within a radius of any of some positions."""
    shape = np.asarray(grid.shape)
    at = grid.fractions(positions) * shape
    # Planes of constant index lie this far apart.
    reach = radius * np.linalg.norm(np.linalg.inv(grid.axes), axis=1)[::-1]
    low = np.maximum(np.ceil((at - reach).min(0)), 0).astype(int)
    high = np.minimum(np.floor((at + reach).max(0)), shape - 1).astype(int)
    if np.any(high < low):
        empty = np.zeros(0, np.intp)
        return empty, empty, empty
    index = np.stack(np.meshgrid(*map(np.arange, low, high + 1), indexing="ij"), -1).reshape(-1, 3)
    points = grid.positions(index / shape)
    squared = np.full(len(index), math.inf)
    for place in positions:
        apart = points - place
        np.minimum(squared, np.einsum("ij,ij->i", apart, apart), out=squared)
    z, y, x = index[squared <= radius**2].T
    return z, y, x


def _pearson(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    if a.size < 2:
        return math.nan
    a, b = a.astype(np.float64) - a.mean(dtype=np.float64), b.astype(np.float64) - b.mean(dtype=np.float64)
    norm = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else math.nan
