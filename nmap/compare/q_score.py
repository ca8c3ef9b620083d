"""Q-score: how well the density around each atom is that of an atom resolved there.

G. Pintilie et al., Nat. Methods 17 (2020) 328. The density is read on spheres around the atom, at radii of 0 to
2.0 A, where this atom is nearer than any other; Q is the Pearson correlation, about the means, of what is read
with the Gaussian of an atom at 1.5 A resolution, A exp(-(r / sigma)^2 / 2) + B, sigma 0.6 A. (The paper takes A and
B from the mean and standard deviation of the map. No correlation depends on them, so they are left out.)

What the paper leaves open is done so that the same atoms and map always give the same numbers: directions are
those of a spiral, as many as give `LEAST` points nearest to this atom. Densities between voxels are read by linear
interpolation, as the paper's own program and cctbx do.

How much a shell weighs is where programs differ. The paper takes as nearly as it can the same number of points in
every shell, so all weigh the same: "equal", the default. cctbx (`cctbx.maptbx.qscore`) spreads a fixed number over
every sphere and keeps those nearest to this atom, so that outer shells, which neighbours crowd, weigh less:
"free". Where atoms are crowded Q is lower by it, by 0.05 in a map at 3.2 A (bench/results/q_score.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmap.grid import Grid

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Weighing = Literal["equal", "free"]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SIGMA = 0.6
"""Width of the Gaussian that density is held against, Angstrom (Pintilie et al. 2020)."""

RADII = np.linspace(0.0, 2.0, 21)
"""Radii of the shells, Angstrom (Pintilie et al. 2020)."""

LEAST = 8
"""Points that a shell wants at least (Pintilie et al. 2020)."""

DIRECTIONS = (32, 128, 512)
"""Directions that are tried, until a shell has its points; the last are taken however few are left."""

FREE_DIRECTIONS = (128,)
"""Directions where shells weigh by the share of them that is nearest to the atom."""

_BATCH = 4096
"""Atoms at a time, which bounds memory."""


def q_scores(values: F32, grid: Grid, positions: F64, weighing: Weighing = "equal") -> F64:
    """Q-score of every atom in a map.

    Args:
        values: the map, (z, y, x).
        grid: where it lies.
        positions: of all atoms but hydrogens, (n, 3), Cartesian (x, y, z) in Angstrom.
        weighing: "equal", every shell weighs the same; or "free", each by the share of its sphere that is nearest
            to the atom.

    Returns:
        (n,), -1 to 1; NaN for atoms outside the box, or where the density is the same at all points.
    """
    from scipy.spatial import cKDTree

    out = np.full(len(positions), np.nan)
    fractions = grid.fractions(positions)
    inside = np.flatnonzero(np.all((fractions >= 0) & (fractions < 1), -1))
    if inside.size == 0:
        return out
    tree = cKDTree(positions)
    read = _Reader(values, grid)
    for start in range(0, inside.size, _BATCH):
        some = inside[start : start + _BATCH]
        out[some] = _of_batch(read, tree, positions, some, weighing)
    return out


def _of_batch(
    read: _Reader, tree: cKDTree, positions: F64, atoms: NDArray[np.intp], weighing: Weighing
) -> F64:
    """Q-scores of some of the atoms, (m,)."""
    own, apart = _neighbours(tree, positions, atoms)
    means, squares, weights = np.zeros((3, RADII.size, atoms.size))
    wanted = np.ones((RADII.size, atoms.size), bool)
    tried = DIRECTIONS if weighing == "equal" else FREE_DIRECTIONS
    for number, count in enumerate(tried):
        need = np.flatnonzero(wanted.any(0))
        if need.size == 0:
            break
        directions = spiral(count)
        reach = _reaches(directions, own, apart, need, atoms.size)
        for shell, radius in enumerate(RADII):
            here = need[wanted[shell, need]]
            free = reach[np.searchsorted(need, here)] >= radius
            enough = free.sum(1) >= (LEAST if number + 1 < len(tried) else 1)
            here, free = here[enough], free[enough]
            weights[shell, here] = 1 if weighing == "equal" else free.mean(1)
            if radius == 0:
                # All directions meet in one point.
                free[:, 1:] = False
            row, column = np.nonzero(free)
            density = read(positions[atoms[here[row]]] + radius * directions[column])
            points = free.sum(1)
            means[shell, here] = np.bincount(row, density, here.size) / points
            squares[shell, here] = np.bincount(row, density**2, here.size) / points
            wanted[shell, here] = False
    return _correlate(means, squares, weights / weights.sum(0))


def _correlate(means: F64, squares: F64, weights: F64) -> F64:
    """Pearson correlation with the Gaussian, (m,), from each shell's mean and mean square, (shells, m).

    Weights, (shells, m), add up to 1; a shell without points has none.
    """
    gaussian = np.exp(-0.5 * (RADII / SIGMA) ** 2)[:, None]
    mean, level = (weights * means).sum(0), (weights * gaussian).sum(0)
    covariance = (weights * means * gaussian).sum(0) - mean * level
    variance = (weights * squares).sum(0) - mean**2
    spread = (weights * gaussian**2).sum(0) - level**2
    # Rounding leaves a constant map a variance of some 1e-16 of its square.
    varied = (variance > 1e-12 * np.maximum(mean**2, 1e-300)) & (spread > 0)
    norm = np.sqrt(np.where(varied, variance * spread, 1.0))
    return np.where(varied, covariance / norm, np.nan)


def spiral(count: int) -> F64:
    """Directions (count, 3) spread evenly over the sphere, on a spiral of golden angles."""
    at = np.arange(count) + 0.5
    z = 1 - 2 * at / count
    turn = np.pi * (3 - np.sqrt(5)) * at
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], -1)


def _neighbours(tree: cKDTree, positions: F64, atoms: NDArray[np.intp]) -> tuple[NDArray[np.intp], F64]:
    """Pairs of an atom, by its number in `atoms`, rising, and the vector to a neighbour, Angstrom.

    Only those neighbours count that can be nearer to a point of the largest shell.
    """
    found: Any = tree.query_ball_point(positions[atoms], 2 * float(RADII[-1]))
    lists: list[list[int]] = list(found)
    own = np.repeat(np.arange(atoms.size), [len(near) for near in lists])
    other = np.fromiter((index for near in lists for index in near), np.intp, own.size)
    apart = positions[other] - positions[atoms[own]]
    # Two atoms in one place share their points.
    real = np.einsum("ij,ij->i", apart, apart) > 1e-12
    return own[real], apart[real]


def _reaches(
    directions: F64, own: NDArray[np.intp], apart: F64, need: NDArray[np.intp], count: int
) -> NDArray[np.float32]:
    """How far from an atom each direction stays nearest to it, (need, directions), Angstrom.

    A point at r u is as near to a neighbour at d as to the atom where r = d.d / (2 u.d).
    """
    out = np.full((need.size, len(directions)), np.inf, np.float32)
    place = np.full(count, -1)
    place[need] = np.arange(need.size)
    row = place[own]
    row, apart = row[row >= 0], apart[row >= 0]
    squared = np.einsum("ij,ij->i", apart, apart)
    for column, direction in enumerate(directions):
        along = apart @ direction
        toward = along > 0
        np.minimum.at(out[:, column], row[toward], (squared[toward] / (2 * along[toward])).astype(np.float32))
    return out


class _Reader:
    """Density between voxels, by linear interpolation; beyond the outermost voxels that of the nearest."""

    def __init__(self, values: F32, grid: Grid) -> None:
        self._values, self._grid = values, grid

    def __call__(self, points: F64) -> F64:
        """Density at (n, 3) points, Cartesian (x, y, z) in Angstrom."""
        from scipy.ndimage import map_coordinates

        voxels = self._grid.fractions(points) * np.asarray(self._grid.shape)
        return np.asarray(map_coordinates(self._values, voxels.T, np.float64, order=1, mode="nearest"))
