"""Where the samples of a map lie, in Angstrom.

Two orders are used throughout nmap, and each name says which: array things (shape, index, box fraction) are
in (z, y, x), as numpy stores them; physical things (voxel size, origin, cell, angles, points) are in (x, y,
z), as the MRC header, mmCIF and ChimeraX write them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmap.errors import GridError

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Grid:
    """A regular sampling of a box: voxel (k, j, i) lies at ``origin + axes @ (i, j, k)``.

    The box is periodic for Fourier work: it spans ``shape * voxel_size`` from the origin, half open, so
    sample 0 stays at the origin at every sampling.

    Args:
        shape: samples along (z, y, x).
        voxel_size: spacing along the cell axes (x, y, z) in Angstrom.
        origin: position of voxel (0, 0, 0) in Angstrom, Cartesian (x, y, z).
        angles: cell angles alpha, beta, gamma in degrees.

    Raises:
        GridError: a shape below 1, a voxel size that is not positive and finite, or impossible cell angles.
    """

    shape: Shape
    voxel_size: Triple
    origin: Triple = (0.0, 0.0, 0.0)
    angles: Triple = (90.0, 90.0, 90.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        for name in ("voxel_size", "origin", "angles"):
            object.__setattr__(self, name, tuple(float(v) for v in getattr(self, name)))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GridError(f"grid shape {self.shape}: wanted three counts of at least 1 (z, y, x)")
        if not all(math.isfinite(v) and v > 0 for v in self.voxel_size):
            raise GridError(f"voxel size {self.voxel_size} A: wanted three positive numbers (x, y, z)")
        if not all(math.isfinite(v) for v in self.origin):
            raise GridError(f"origin {self.origin} A: wanted three finite numbers (x, y, z)")
        if not all(0 < a < 180 for a in self.angles) or not np.linalg.det(_unit_axes(self.angles)) > 1e-6:
            raise GridError(f"cell angles {self.angles} degrees: no such cell exists")

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def edges(self) -> Triple:
        """Box edge lengths along the cell axes (x, y, z) in Angstrom."""
        nz, ny, nx = self.shape
        return (nx * self.voxel_size[0], ny * self.voxel_size[1], nz * self.voxel_size[2])

    @property
    def is_orthogonal(self) -> bool:
        """Whether all cell angles are 90 degrees."""
        return all(abs(a - 90.0) < 1e-3 for a in self.angles)

    @property
    def axes(self) -> NDArray[np.float64]:
        """(3, 3) matrix whose columns are the steps of one voxel along x, y, z in Cartesian Angstrom."""
        return np.asarray(_unit_axes(self.angles) * np.asarray(self.voxel_size), np.float64)

    @property
    def box(self) -> NDArray[np.float64]:
        """(3, 3) matrix whose columns are the whole box edges along x, y, z in Cartesian Angstrom."""
        return np.asarray(_unit_axes(self.angles) * np.asarray(self.edges), np.float64)

    @property
    def reciprocal(self) -> NDArray[np.float64]:
        """(3, 3) matrix that turns integer Fourier indices (h, k, l) along x, y, z into 1/Angstrom."""
        return np.asarray(np.linalg.inv(self.box).T, np.float64)

    @property
    def bounds(self) -> tuple[Triple, Triple]:
        """First and last corner (x, y, z) of the box's axis-aligned bounds, Angstrom."""
        corners = self.positions([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)])
        low, high = corners.min(0).tolist(), corners.max(0).tolist()
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    @property
    def is_flat(self) -> bool:
        """Whether the box is one sample thick along an axis: a 2-D image."""
        return min(self.shape) == 1

    @property
    def nyquist(self) -> float:
        """Highest frequency that every axis of more than one sample still holds, 1/Angstrom."""
        sampled = [v for v, n in zip(self.voxel_size, self.shape[::-1], strict=True) if n > 1]
        return 0.5 / max(sampled or self.voxel_size)

    @property
    def brief(self) -> str:
        """Counts and spacing along x, y, z in a few words: "100 x 100 x 100 voxels of 1.05 A"."""
        counts = " x ".join(map(str, self.shape[::-1]))
        spacings = [f"{v:.4g}" for v in self.voxel_size]
        return f"{counts} voxels of {spacings[0] if len(set(spacings)) == 1 else ' x '.join(spacings)} A"

    def points(self) -> NDArray[np.float64]:
        """Positions of all voxels, (nz, ny, nx, 3), Cartesian (x, y, z) in Angstrom."""
        k, j, i = np.meshgrid(*(np.arange(n) for n in self.shape), indexing="ij")
        points: NDArray[np.float64] = np.stack([i, j, k], -1) @ self.axes.T + np.asarray(self.origin)
        return points

    def fractions(self, points_xyz: ArrayLike) -> NDArray[np.float64]:
        """Box fractions (z, y, x) of Cartesian points, (..., 3) -> (..., 3); voxel i of n lies at i/n."""
        shifted = np.asarray(points_xyz, np.float64) - np.asarray(self.origin)
        return np.ascontiguousarray((shifted @ np.linalg.inv(self.box).T)[..., ::-1])

    def positions(self, fractions_zyx: ArrayLike) -> NDArray[np.float64]:
        """Cartesian points (x, y, z) in Angstrom of box fractions (z, y, x), (..., 3) -> (..., 3)."""
        f = np.asarray(fractions_zyx, np.float64)[..., ::-1]
        points: NDArray[np.float64] = f @ self.box.T + np.asarray(self.origin)
        return points

    def resampled(self, shape: Shape) -> Grid:
        """The same box at other counts (z, y, x); sample 0 stays in place."""
        edges = self.edges
        return replace(
            self, shape=shape, voxel_size=(edges[0] / shape[2], edges[1] / shape[1], edges[2] / shape[0])
        )

    def wide(self, counts: Shape) -> Shape:
        """Counts (z, y, x), but 1 along each axis that is one sample thick, whose thickness says nothing."""
        z, y, x = (1 if n == 1 else count for n, count in zip(self.shape, counts, strict=True))
        return (z, y, x)

    def with_voxel_size(self, voxel_size: Triple) -> Grid:
        """A grid from the same origin at this spacing (x, y, z), as many samples as fit in the box.

        An axis that is one sample thick stays as it is.
        """
        thin = [n == 1 for n in self.shape[::-1]]
        vx, vy, vz = (own if t else v for own, v, t in zip(self.voxel_size, voxel_size, thin, strict=True))
        nx, ny, nz = (int(edge / v + 1e-3) for edge, v in zip(self.edges, (vx, vy, vz), strict=True))
        if min(nx, ny, nz) < 1:
            raise GridError(f"voxel size {voxel_size} A is larger than the box of {self.edges} A (x, y, z)")
        return replace(self, shape=(nz, ny, nx), voxel_size=(vx, vy, vz))

    def region(self, start: tuple[int, int, int], shape: Shape) -> Grid:
        """The part that begins at voxel `start` (z, y, x) and has `shape` (z, y, x); it may reach outside."""
        origin = np.asarray(self.origin) + self.axes @ np.asarray(start[::-1], np.float64)
        return replace(self, shape=shape, origin=(float(origin[0]), float(origin[1]), float(origin[2])))

    def matches(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether both have the same shape and every voxel in the same place, to `tolerance` voxels."""
        if self.shape != other.shape:
            return False
        corners = np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)], np.float64)
        apart = np.linalg.norm(self.positions(corners) - other.positions(corners), axis=-1).max()
        return bool(apart <= tolerance * min(self.voxel_size))

    def __str__(self) -> str:
        return self.said()

    def said(self, digits: int = 4) -> str:
        """The grid in words: counts, voxel size to so many digits, origin to two more, angles that are not 90."""
        nz, ny, nx = self.shape
        voxel = " x ".join(f"{v:.{digits}g}" for v in self.voxel_size)
        origin = ", ".join(f"{v:.{digits + 2}g}" for v in self.origin)
        leaning = (
            "" if self.is_orthogonal else f", angles {', '.join(f'{a:.{digits}g}' for a in self.angles)}"
        )
        return f"{nx} x {ny} x {nz} voxels (x, y, z) of {voxel} A from ({origin}) A{leaning}"


def told_apart(one: Grid, other: Grid) -> tuple[str, str]:
    """Both grids in words, with as many digits as it takes for the words to differ."""
    words = one.said(), other.said()
    for digits in range(5, 10):
        if words[0] != words[1]:
            break
        words = one.said(digits), other.said(digits)
    return words


def _unit_axes(angles: Triple) -> NDArray[np.float64]:
    """Unit cell vectors as columns: a along x, b in the xy plane (the PDB's convention, as in gemmi)."""
    if all(abs(a - 90.0) < 1e-9 for a in angles):
        return np.eye(3)
    ca, cb, cg = (math.cos(math.radians(a)) for a in angles)
    sg = math.sin(math.radians(angles[2]))
    cy = (ca - cb * cg) / sg
    rest = 1 - cb * cb - cy * cy
    return np.array([[1, cg, cb], [0, sg, cy], [0, 0, math.sqrt(max(rest, 0.0))]])
