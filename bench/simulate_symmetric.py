"""Simulate a symmetric complex from an atomic model of it: SIMULATED DATA, and labelled so in the file.

    python -m bench.simulate_symmetric MODEL.pdb[.gz] OUT.mrc --chains 2 --group D7 --box 300 --voxel 0.98
    --resolution 2.8

The model's own axes are found by superposing its chains; its first chains (an asymmetric unit) are copied
by the group's exact operators, with the n-fold along z and a two-fold along x through voxel n/2 (RELION's
convention). The signal is the electrostatic potential (electron scattering factors). Noise, white in each
shell to `--resolution` and symmetrised, is added so that its power inside the molecule's soft mask grows
from 1/100 of the signal's at 20 A to three times it there. With `--halves` that is the noise of the average of
two half maps, OUT_half1.mrc and OUT_half2.mrc, each with twice its power.
"""

from __future__ import annotations

import argparse

import gemmi
import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.point_group import PointGroup
from nmap.spectrum import Shells, band_limited, invert, transform

F64 = NDArray[np.float64]


def alpha_carbons(chain: gemmi.Chain) -> F64:
    """Positions (n, 3) of a chain's alpha carbons, Angstrom."""
    return np.array([residue["CA"][0].pos.tolist() for residue in chain if "CA" in residue])


def rotation(a: F64, b: F64) -> tuple[F64, float]:
    """Rotation (3, 3) that brings centred a onto centred b (Kabsch), and the rms distance left."""
    a, b = a - a.mean(0), b - b.mean(0)
    u, _, vt = np.linalg.svd(a.T @ b)
    turn = (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T
    return turn, float(np.sqrt(((a @ turn.T - b) ** 2).sum(1).mean()))


def frame(model: gemmi.Model, fold: int) -> tuple[F64, F64]:
    """Rotation (3, 3) to the frame with the n-fold along z, and the centre (Angstrom).

    A dihedral complex gets a two-fold along x; a cyclic one gets any x.
    """
    chains = [c for c in (alpha_carbons(chain) for chain in model) if len(c) > 50]
    first = chains[0]
    centre = np.concatenate(chains).mean(0)
    turns = [rotation(first, c) for c in chains[1:] if c.shape == first.shape]
    turns = [(r, rms) for r, rms in turns if rms < 2]
    angles = [np.degrees(np.arccos(np.clip((np.trace(r) - 1) / 2, -1, 1))) for r, _ in turns]

    def axis(degrees: float) -> F64:
        best = min(range(len(turns)), key=lambda i: abs(angles[i] - degrees))
        values, vectors = np.linalg.eig(turns[best][0])
        return np.real(vectors[:, np.argmin(np.abs(values - 1))])

    z = axis(360 / fold)
    x = axis(180)
    if abs(x @ z) > 0.7:  # a cyclic group's two-fold is its axis itself
        x = np.eye(3)[int(np.argmin(np.abs(z)))]
    x = x - z * (x @ z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z]), centre


def potential(
    model: gemmi.Model, group: PointGroup, chains: int, turn: F64, centre: F64, grid: Grid, b: float
) -> F64:
    """Potential (z, y, x) of the asymmetric unit's chains and all their copies about voxel n/2."""
    middle = np.asarray(grid.edges) / 2
    built = gemmi.Model(1)
    unit = [chain for chain in model if len(alpha_carbons(chain)) > 50]
    unit = [unit[0], *(c for c in unit if len(alpha_carbons(c)) != len(alpha_carbons(unit[0])))][:chains]
    for number, operator in enumerate(group.operators):
        for chain in unit:
            copy = chain.clone()
            copy.name = f"{number}{chain.name}"
            for residue in copy:
                for atom in residue:
                    place = operator @ (turn @ (np.array(atom.pos.tolist()) - centre)) + middle
                    atom.pos = gemmi.Position(*place)
                    atom.b_iso = b + min(atom.b_iso, 60.0) * 0.5
                    atom.aniso = gemmi.SMat33f(0, 0, 0, 0, 0, 0)
            built.add_chain(copy)
    n = grid.shape[0]
    density = gemmi.DensityCalculatorE()
    density.grid.set_unit_cell(gemmi.UnitCell(*grid.edges, 90, 90, 90))
    density.grid.spacegroup = gemmi.SpaceGroup("P 1")
    density.grid.set_size(n, n, n)
    density.add_model_density_to_grid(built)
    return np.ascontiguousarray(np.array(density.grid, copy=False).transpose(2, 1, 0), np.float32)


def noise(grid: Grid, resolution: float, group: PointGroup, seed: int) -> NDArray[np.float32]:
    """Noise (z, y, x), white to the resolution, summed over the group's turns about voxel n/2."""
    shape = grid.shape
    drawn = np.random.default_rng(seed).standard_normal(shape, np.float32)
    # Nothing finer, so that turning it by interpolation loses next to nothing.
    white = ndi.spline_filter(
        band_limited(drawn, grid, resolution), order=3, mode="grid-wrap", output=np.float32
    )
    middle = np.asarray([n // 2 for n in shape], np.float64)
    out = np.zeros(shape, np.float32)
    for operator in group.operators:
        turned = operator[::-1, ::-1]
        out += ndi.affine_transform(
            white, turned, middle - turned @ middle, order=3, mode="grid-wrap", prefilter=False
        )
    return out


def main() -> None:
    """Read the arguments, simulate, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--group", default="D7")
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--box", type=int, default=300)
    parser.add_argument("--voxel", type=float, default=0.98)
    parser.add_argument("--resolution", type=float, default=2.8)
    parser.add_argument("--bfactor", type=float, default=40.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--halves", action="store_true", help="write half maps, whose average OUT is, and the clean map too"
    )
    given = parser.parse_args()
    grid = Grid((given.box,) * 3, (given.voxel,) * 3)
    group = PointGroup(given.group, (given.box // 2 * given.voxel,) * 3)
    model = gemmi.read_structure(given.model)[0]
    turn, centre = frame(model, int(given.group[1:]))
    clean = potential(model, group, given.chains, turn, centre, grid, given.bfactor)
    clean /= clean.std()
    core = ndi.gaussian_filter(clean, 3 / given.voxel) > 0.3
    mask = np.clip(1 - (ndi.distance_transform_edt(~core) * given.voxel - 3) / 4, 0, 1).astype(np.float32)
    shells = Shells(grid)
    signal = shells.sum(np.abs(transform(clean * mask)) ** 2) / shells.modes
    ratio = np.exp(np.interp(shells.frequency, [1 / 20, 1 / given.resolution], np.log([0.01, 3.0])))
    wanted = signal * ratio / float((mask**2).mean())
    halves = []
    for number in range(2 if given.halves else 1):
        drawn = transform(noise(grid, given.resolution, group, given.seed + number))
        own = shells.sum(np.abs(drawn) ** 2) / shells.modes
        gains = np.sqrt((1 + given.halves) * wanted / own)[: shells.last(given.resolution) + 1]
        halves.append(clean + invert(drawn * shells.spread(gains.astype(np.float32)), grid.shape))
    maps = {"": sum(halves) / len(halves), "_mask": mask}
    if given.halves:
        maps |= {"_half1": halves[0], "_half2": halves[1], "_clean": clean}
    label = f"SIMULATED from {given.model.rsplit('/', 1)[-1]}, symmetrised {given.group}, with noise"
    for ending, values in maps.items():
        density = DensityMap(np.asarray(values, np.float32), grid)
        name = given.output.removesuffix(".mrc") + ending + ".mrc"
        write_map(density, name, overwrite=True, label=label[:80])


if __name__ == "__main__":
    main()
