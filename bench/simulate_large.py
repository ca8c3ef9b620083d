"""Simulate maps of any size: SIMULATED DATA, and labelled so in the file.

    python -m bench.simulate_large MODEL.pdb[.gz] OUT.mrc --box 512 --copies 8 [--voxel 1.06 --resolution 3.5]
    python -m bench.simulate_large tomogram OUT.mrc --box 1000,1000,300 --voxel 10 --resolution 30

A molecule is the electrostatic potential of so many copies of the model, each turned at random, on a cubic grid of
places around the box's middle. Noise, white in each shell to the resolution and nothing beyond, has at 20 A 1/100 of
the power that the molecule has inside its own mask, and three times it at the resolution. A tomogram is noise whose
power falls as 1 / frequency^2 to the resolution: density everywhere, and no molecule to find.
"""

from __future__ import annotations

import argparse
import math

import gemmi
import numpy as np
import scipy.fft as sf
import scipy.ndimage as ndi
from numpy.typing import NDArray

from nmap.grid import Grid, Shape
from nmap.machine.threads import workers
from nmap.maps import DensityMap, write_map
from nmap.spectrum import Shells

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Noise inside the molecule, as a share of its power: at 20 A, and at the resolution.
_NOISE = (20.0, 0.01, 3.0)
# Added to each atom's own B factor, which counts half, Angstrom^2: as sharp as a map of 3 A.
_B_FACTOR = 40.0
# Places of copies are so much farther apart than the model is long.
_APART = 1.05


def random_rotation(rng: np.random.Generator) -> F64:
    """A rotation (3, 3), uniform over all of them: QR of a Gaussian matrix (Stewart 1980)."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return np.asarray(q * np.sign(np.linalg.det(q)))


def places(copies: int, middle: F64, step: float) -> F64:
    """The cubic grid's points nearest to the middle, (copies, 3), Angstrom."""
    side = math.ceil(copies ** (1 / 3))
    index = np.stack(np.meshgrid(*(np.arange(side),) * 3, indexing="ij"), -1).reshape(-1, 3) - (side - 1) / 2
    nearest = np.argsort(np.square(index).sum(1), kind="stable")[:copies]
    return np.asarray(middle + step * (index[nearest] - index[nearest].mean(0)))


def potential(model: gemmi.Model, copies: int, grid: Grid, seed: int) -> F32:
    """Potential (z, y, x) of the copies."""
    atoms = [atom.atom for atom in model.all()]
    at = np.array([atom.pos.tolist() for atom in atoms])
    at -= (at.min(0) + at.max(0)) / 2
    length = 2 * float(np.linalg.norm(at, axis=1).max())
    edges = np.asarray(grid.edges)
    # Where the box is tight the copies come nearer to each other than they are long.
    side = math.ceil(copies ** (1 / 3))
    step = min(_APART * length, (edges.min() - length) / max(side - 1, 1))
    rng = np.random.default_rng(seed)
    calculator = gemmi.DensityCalculatorE()
    calculator.grid.set_unit_cell(gemmi.UnitCell(*grid.edges, 90, 90, 90))
    calculator.grid.spacegroup = gemmi.SpaceGroup("P 1")
    calculator.grid.set_size(*grid.shape[::-1])
    for atom in atoms:
        atom.b_iso = _B_FACTOR + min(atom.b_iso, 60.0) * 0.5
        atom.aniso = gemmi.SMat33f(0, 0, 0, 0, 0, 0)
    for place in places(copies, edges / 2, step):
        turned = at @ random_rotation(rng).T + place
        for atom, here in zip(atoms, turned.tolist(), strict=True):
            atom.pos = gemmi.Position(*here)
            calculator.add_atom_density_to_grid(atom)
    return np.ascontiguousarray(np.array(calculator.grid, copy=False).transpose(2, 1, 0), np.float32)


def with_noise(values: F32, grid: Grid, resolution: float, seed: int) -> F32:
    """The molecule (z, y, x) with noise added, both of about unit strength."""
    values /= values.std()
    share = float((ndi.gaussian_filter(values, 3 / grid.voxel_size[0]) > 0.3).mean())
    shells = Shells(grid)
    spectrum = sf.rfftn(values, workers=workers())
    signal = np.zeros(shells.count)
    for z, plane in enumerate(spectrum):
        index = np.minimum(shells.index[z].ravel(), shells.count)
        power = ((plane.real**2 + plane.imag**2) * shells.multiplicity).ravel()
        signal += np.bincount(index, power, shells.count + 1)[: shells.count]
    signal /= np.maximum(shells.modes, 1)
    far, least, most = _NOISE
    ratio = np.exp(np.interp(shells.frequency, [1 / far, 1 / resolution], np.log([least, most])))
    add_noise(spectrum, shells, signal * ratio / share, resolution, seed)
    return np.asarray(sf.irfftn(spectrum, s=grid.shape, overwrite_x=True, workers=workers()), np.float32)


def add_noise(
    spectrum: NDArray[np.complex64], shells: Shells, power: F64, resolution: float, seed: int
) -> None:
    """Add noise of this power in each shell to a half transform, to the resolution."""
    gains = np.zeros(int(shells.index.max()) + 1, np.float32)
    last = shells.last(resolution)
    gains[1 : last + 1] = np.sqrt(power[1 : last + 1] / 2)
    rng = np.random.default_rng(seed)
    for z in range(len(spectrum)):
        drawn = rng.standard_normal((*spectrum[z].shape, 2), np.float32).view(np.complex64)[..., 0]
        # The inverse transform keeps the Hermitian half of these planes only.
        drawn[:, 0] *= np.float32(math.sqrt(2))
        spectrum[z] += gains[shells.index[z]] * drawn


def tomogram(grid: Grid, resolution: float, seed: int) -> F32:
    """Density everywhere, (z, y, x), of power 1 / frequency^2 to the resolution."""
    shells = Shells(grid)
    nz, ny, nx = grid.shape
    spectrum = np.zeros((nz, ny, nx // 2 + 1), np.complex64)
    power = grid.size / np.maximum(np.arange(shells.count, dtype=np.float64), 1) ** 2
    add_noise(spectrum, shells, power, resolution, seed)
    return np.asarray(sf.irfftn(spectrum, s=grid.shape, overwrite_x=True, workers=workers()), np.float32)


def simulated(model: str, grid: Grid, resolution: float, copies: int, seed: int) -> DensityMap:
    """The map: of a model's file, or a "tomogram"."""
    if model == "tomogram":
        return DensityMap(tomogram(grid, resolution, seed), grid)
    clean = potential(gemmi.read_structure(model)[0], copies, grid, seed)
    return DensityMap(with_noise(clean, grid, resolution, seed + 1), grid)


def shape_of(text: str) -> Shape:
    """Counts (z, y, x) of "N" or "NX,NY,NZ"."""
    counts = [int(n) for n in text.split(",")]
    nx, ny, nz = counts * 3 if len(counts) == 1 else counts
    return nz, ny, nx


def main() -> None:
    """Read the arguments, simulate, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--box", default="256", help="voxels a side, or along x,y,z")
    parser.add_argument("--voxel", type=float, default=1.06)
    parser.add_argument("--resolution", type=float, default=3.5)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    grid = Grid(shape_of(given.box), (given.voxel,) * 3)
    density = simulated(given.model, grid, given.resolution, given.copies, given.seed)
    label = f"SIMULATED: {given.copies} of {given.model.rsplit('/', 1)[-1]}, with noise"
    write_map(density, given.output, overwrite=True, label=label[:80])


if __name__ == "__main__":
    main()
