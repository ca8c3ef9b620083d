"""Simulate two half maps of a model with flexible parts: SIMULATED DATA, and labelled so in the files.

    python -m bench.simulate_flexible MODEL.pdb[.gz] OUT_PREFIX --box 128 --voxel 1.22 --resolution 3.2 [--flexible]

Writes OUT_PREFIX_{half1,half2,full}.mrc and OUT_PREFIX.cif: the model as simulated, in the maps' frame. The signal
is the electrostatic potential (electron scattering factors) of the centred model with a B factor of 60 A^2 for every
atom. With `--flexible` the first third of every chain moves: its B factors fall from 200 A^2 at the chain's first
residue to 60 A^2. Noise, white in each shell, is added to each half so that within the molecule the halves' FSC falls
from 0.99 at 20 A to 0.143 at `--resolution`.
"""

from __future__ import annotations

import argparse

import gemmi
import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.spectrum import Shells, invert, transform

F32 = NDArray[np.float32]

STIFF, MOVING = 60.0, 200.0
"""B factors of the core and of a flexible end, Angstrom^2."""


def placed(path: str, grid: Grid, flexible: bool) -> gemmi.Structure:
    """The first model of a file, centred in the grid's box, with the B factors that are simulated."""
    structure = gemmi.read_structure(path)
    while len(structure) > 1:
        del structure[1]
    structure.remove_hydrogens()
    model = structure[0]
    places = np.array([site.atom.pos.tolist() for site in model.all()])
    shift = np.asarray(grid.edges) / 2 - (places.max(0) + places.min(0)) / 2
    for chain in model:
        third = max(len(chain) / 3, 1)
        for number, residue in enumerate(chain):
            share = max(1 - number / third, 0.0) if flexible else 0.0
            for atom in residue:
                atom.pos = gemmi.Position(*(np.asarray(atom.pos.tolist()) + shift))
                atom.b_iso = STIFF + (MOVING - STIFF) * share
                atom.aniso = gemmi.SMat33f(0, 0, 0, 0, 0, 0)
    return structure


def potential(model: gemmi.Model, grid: Grid) -> F32:
    """Potential of a placed model on the grid, (z, y, x), of standard deviation 1."""
    calculator = gemmi.DensityCalculatorE()
    nz, ny, nx = grid.shape
    calculator.grid.set_unit_cell(gemmi.UnitCell(*grid.edges, *grid.angles))
    calculator.grid.spacegroup = gemmi.SpaceGroup("P 1")
    calculator.grid.set_size(nx, ny, nz)
    calculator.add_model_density_to_grid(model)
    clean = np.ascontiguousarray(np.array(calculator.grid, copy=False).transpose(2, 1, 0), np.float32)
    return np.asarray(clean / clean.std(), np.float32)


def halves(clean: F32, grid: Grid, resolution: float, seed: int, last: float = 0.143) -> list[F32]:
    """Two maps of the same signal in independent noise, (z, y, x); their FSC at the resolution is `last`."""
    core = ndi.gaussian_filter(clean, 3 / grid.voxel_size[0]) > 0.3
    apart = ndi.distance_transform_edt(~core) * grid.voxel_size[0]
    mask = np.clip(1 - (apart - 3) / 4, 0, 1).astype(np.float32)
    shells = Shells(grid)
    signal = shells.sum(np.abs(transform(clean * mask)) ** 2) / shells.modes
    ends = [last / (1 - last), 100.0]
    ratio = np.exp(np.interp(-shells.frequency, [-1 / resolution, -1 / 20], np.log(ends)))
    gains = np.sqrt(signal / ratio / float((mask**2).mean()) / grid.size)
    # Beyond Nyquist, in the box's corners, as at Nyquist.
    index = np.minimum(shells.index, shells.count - 1)
    random = np.random.default_rng(seed)
    return [
        clean + invert(transform(random.standard_normal(grid.shape, np.float32)) * gains[index], grid.shape)
        for _ in range(2)
    ]


def main() -> None:
    """Read the arguments, simulate, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--voxel", type=float, default=1.22)
    parser.add_argument("--resolution", type=float, default=3.2)
    parser.add_argument("--flexible", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    grid = Grid((given.box,) * 3, (given.voxel,) * 3)
    structure = placed(given.model, grid, given.flexible)
    pair = halves(potential(structure[0], grid), grid, given.resolution, given.seed)
    label = f"SIMULATED from {given.model.rsplit('/', 1)[-1]}, with noise"
    for name, values in zip(("half1", "half2", "full"), (*pair, (pair[0] + pair[1]) / 2), strict=True):
        density = DensityMap(np.asarray(values, np.float32), grid)
        write_map(density, f"{given.output}_{name}.mrc", overwrite=True, label=label[:80])
    structure.make_mmcif_document().write_file(f"{given.output}.cif")


if __name__ == "__main__":
    main()
