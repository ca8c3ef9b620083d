"""Simulate a molecule that moves, from an atomic model of it: SIMULATED DATA, and labelled so in the files.

    python -m bench.simulate_series MODEL.pdb[.gz] OUT_PREFIX --motion hinge --frames 12 --box 96 --voxel 1.5
    --resolution 3.5

Writes OUT_PREFIX_00.mrc and so on, one map a frame, and with `--noise` OUT_PREFIX_true_00.mrc, the same without noise.
The motions turn rigid parts of the model, by equal angles from frame to frame, about the middle of the series:

- `hinge`: the part below the model's middle along z turns about x, through the middle. Its share of the turn rises
  from 0 to 1 over 20 A, as a bent hinge's does.
- `ring`: the chains of the lowest quarter along z, one outer ring of a stack of four, turn about z and sink away from
  the rest by 1 A for 4 degrees.

The signal is the electrostatic potential (electron scattering factors), a B factor of 60 A^2 for every atom, the same
scale in all frames, without the detail that the voxels cannot hold: as a reconstruction has none, either. Noise, white
in each shell and independent from frame to frame, is that of the mean of two half maps whose FSC within the molecule
falls from 0.99 at 20 A to `--fsc` at `--resolution`.
"""

from __future__ import annotations

import argparse

import gemmi
import numpy as np
from numpy.typing import NDArray

from bench.simulate_flexible import halves
from bench.simulate_symmetric import frame
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.spectrum import crop_spectrum, invert, transform

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

B_FACTOR = 60.0
"""Of every atom, Angstrom^2."""

BENT = 20.0
"""Length over which the turn of a hinge rises, Angstrom."""

FINER = 2
"""Times as many samples that the potential is summed on: detail that the grid's own cannot hold would fold back."""

SINKING = 0.25
"""How far a turning ring moves along its axis, Angstrom a degree."""


def placed(path: str, grid: Grid, chains: int | None, fold: int | None) -> gemmi.Structure:
    """The first model of a file, or its first chains, centred in the grid's box; with its n-fold axis along z."""
    structure = gemmi.read_structure(path)
    while len(structure) > 1:
        del structure[1]
    structure.remove_hydrogens()
    structure.remove_waters()
    model = structure[0]
    while chains is not None and len(model) > chains:
        del model[-1]
    places = positions(model)
    middle = (places.max(0) + places.min(0)) / 2
    turn = np.eye(3)
    if fold is not None:
        turn, middle = frame(model, fold)
    move(model, (places - middle) @ turn.T + np.asarray(grid.edges) / 2)
    for site in model.all():
        site.atom.b_iso = B_FACTOR
        site.atom.aniso = gemmi.SMat33f(0, 0, 0, 0, 0, 0)
    return structure


def positions(model: gemmi.Model) -> F64:
    """Positions (n, 3) of all atoms, Angstrom."""
    return np.array([site.atom.pos.tolist() for site in model.all()])


def move(model: gemmi.Model, places: F64) -> None:
    """Put all atoms at new positions (n, 3)."""
    for site, place in zip(model.all(), places, strict=True):
        site.atom.pos = gemmi.Position(*place)


def moved(places: F64, heights: F64, motion: str, degrees: float) -> F64:
    """Positions (n, 3) after the motion's part has turned by so much; `heights` are those of the atoms' chains."""
    middle, low, high = places.mean(0), heights.min(), heights.max()
    if motion == "hinge":
        share = np.clip((middle[2] - places[:, 2]) / BENT, 0, 1)
        axis = 0
    else:
        share = (heights < low + (high - low) / 4).astype(np.float64)
        axis = 2
    angle = np.radians(degrees) * share
    a, b = (1, 2) if axis == 0 else (0, 1)
    out, apart = places.copy(), places - middle
    out[:, a] = middle[a] + np.cos(angle) * apart[:, a] - np.sin(angle) * apart[:, b]
    out[:, b] = middle[b] + np.sin(angle) * apart[:, a] + np.cos(angle) * apart[:, b]
    if motion == "ring":
        out[:, 2] -= SINKING * degrees * share
    return out


def potential(model: gemmi.Model, grid: Grid) -> F32:
    """Potential of a placed model on the grid, (z, y, x)."""
    calculator = gemmi.DensityCalculatorE()
    nz, ny, nx = (FINER * count for count in grid.shape)
    calculator.grid.set_unit_cell(gemmi.UnitCell(*grid.edges, *grid.angles))
    calculator.grid.spacegroup = gemmi.SpaceGroup("P 1")
    calculator.grid.set_size(nx, ny, nz)
    calculator.add_model_density_to_grid(model)
    fine = np.ascontiguousarray(np.array(calculator.grid, copy=False).transpose(2, 1, 0), np.float32)
    return invert(crop_spectrum(transform(fine), fine.shape, grid.shape), grid.shape)


def frames(structure: gemmi.Structure, grid: Grid, motion: str, degrees: float, count: int) -> list[F32]:
    """The potential of each frame, (z, y, x), of standard deviation 1 in the first."""
    places = positions(structure[0])
    chains = np.array([i for i, chain in enumerate(structure[0]) for residue in chain for _ in residue])
    heights = (np.bincount(chains, places[:, 2]) / np.bincount(chains))[chains]
    made = []
    for angle in np.linspace(-degrees / 2, degrees / 2, count):
        move(structure[0], moved(places, heights, motion, float(angle)))
        made.append(potential(structure[0], grid))
    return [np.asarray(values / made[0].std(), np.float32) for values in made]


def main() -> None:
    """Read the arguments, simulate, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--motion", choices=["hinge", "ring"], default="hinge")
    parser.add_argument("--degrees", type=float, default=8.0, help="turn from the first to the last frame")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--chains", type=int, help="take the first chains only")
    parser.add_argument("--fold", type=int, help="turn the model's n-fold axis to z")
    parser.add_argument("--box", type=int, default=96)
    parser.add_argument("--voxel", type=float, default=1.5)
    parser.add_argument("--resolution", type=float, default=3.5)
    parser.add_argument("--fsc", type=float, default=0.143, help="of the half maps at the resolution")
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    grid = Grid((given.box,) * 3, (given.voxel,) * 3)
    structure = placed(given.model, grid, given.chains, given.fold)
    label = f"SIMULATED from {given.model.rsplit('/', 1)[-1]}, {given.motion}"
    series = frames(structure, grid, given.motion, given.degrees, given.frames)
    for number, clean in enumerate(series):
        noisy = clean
        if given.noise:
            pair = halves(clean, grid, given.resolution, given.seed + number, given.fsc)
            noisy = np.asarray((pair[0] + pair[1]) / 2, np.float32)
            true = f"{given.output}_true_{number:02d}.mrc"
            write_map(DensityMap(clean, grid), true, overwrite=True, label=label[:80])
        said = label + (", with noise" if given.noise else "")
        write_map(
            DensityMap(noisy, grid), f"{given.output}_{number:02d}.mrc", overwrite=True, label=said[:80]
        )


if __name__ == "__main__":
    main()
