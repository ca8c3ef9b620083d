"""The envelope: a coarse periodic grid of bits that says where the map is not solvent.

Node j of k along an axis lies at box fraction j/k. The value at a point is the trilinear interpolation t of
the bits of the eight nodes around it, then t*t*(3 - 2t): 1 where all eight are set, 0 where none is.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.errors import FormatError, GridError, OptionError
from nmap.grid import Grid, Shape

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Points = NDArray[np.floating]
Between = tuple[NDArray[np.intp], NDArray[np.intp], F64]


@dataclass(frozen=True, eq=False)
class Envelope:
    """A soft mask from coarse bits.

    Args:
        occupancy: bool, (kz, ky, kx).

    Raises:
        FormatError: not three axes, or an empty one.
    """

    occupancy: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.occupancy.ndim != 3 or 0 in self.occupancy.shape:
            raise FormatError(
                f"envelope of shape {self.occupancy.shape}: wanted three counts of at least 1 (z, y, x)"
            )

    @property
    def shape(self) -> Shape:
        """Nodes along (z, y, x)."""
        kz, ky, kx = self.occupancy.shape
        return (kz, ky, kx)

    def at(self, fractions: Points) -> F32:
        """Envelope at box fractions (n, 3), (z, y, x), periodic; (n,) from 0 to 1."""
        low, high, weight = self._cell(fractions)
        t = _trilinear(self._corners(low, high), weight)
        return np.asarray(t * t * (3 - 2 * t), np.float32)

    def gradient_at(self, fractions: Points) -> F64:
        """Derivative of the envelope along the box fractions, (n, 3) -> (n, 3), (z, y, x)."""
        low, high, weight = self._cell(fractions)
        corners = self._corners(low, high)
        t = _trilinear(corners, weight)
        slope = 6 * t * (1 - t)
        out = np.empty((len(fractions), 3))
        for axis in range(3):
            flat = weight.copy()
            flat[:, axis] = 1
            above = _trilinear(corners, flat)
            flat[:, axis] = 0
            out[:, axis] = slope * (above - _trilinear(corners, flat)) * self.shape[axis]
        return out

    def on_lattice(self, shape: Shape) -> F32:
        """Envelope on a lattice of `shape` (z, y, x) over the box, sample i of n at fraction i/n."""
        return self.on_axes(*(np.arange(n) / n for n in shape))

    def planes(self, shape: Shape, part: slice) -> F32:
        """Planes `part` along z of `on_lattice(shape)`, to the last bit; only nodes next to them are looked at."""
        z, y, x = (np.arange(n) / n for n in shape)
        low, high, share = _between(z[part], self.shape[0])
        rows, index = np.unique(np.concatenate((low, high)), return_inverse=True)
        near = Envelope(self.occupancy[rows])
        order = sorted(range(3), key=lambda a: shape[a] / self.shape[a])
        along_z = (index[: low.size], index[low.size :], share)
        return near._smooth(order, (along_z, _between(y, self.shape[1]), _between(x, self.shape[2])))

    def on_axes(self, z: F64, y: F64, x: F64) -> F32:
        """Envelope on the grid of these box fractions along each axis, (z.size, y.size, x.size)."""
        # Axes that get fewer samples than they have nodes first, so that nothing grows beyond nodes or samples.
        order = sorted(range(3), key=lambda a: (z, y, x)[a].size / self.shape[a])
        return self._smooth(order, tuple(_between(f, n) for f, n in zip((z, y, x), self.shape, strict=True)))

    def _smooth(self, order: list[int], places: tuple[Between, ...]) -> F32:
        """Values between the nodes, from 0 to 1, interpolated along the axes in this order."""
        t = self.occupancy.astype(np.float32)
        for axis in order:
            t = _interpolated(t, axis, places[axis])
        np.clip(t, 0, 1, out=t)
        squared = t * t
        t *= -2
        t += 3
        t *= squared
        return np.asarray(t, np.float32)

    @staticmethod
    def covering(mask: NDArray[np.floating], grid: Grid, spacing: float) -> Envelope:
        """The smallest envelope that is 1 at every voxel where `mask` exceeds 0.5.

        Args:
            mask: (z, y, x) on `grid`.
            grid: where the mask's voxels lie.
            spacing: wanted distance of nodes, Angstrom; each axis gets the nearest whole number of nodes.

        Raises:
            GridError: the mask does not have the grid's shape.
            OptionError: a spacing that is not positive and finite.
        """
        if mask.shape != grid.shape:
            raise GridError(
                f"mask has shape {mask.shape}, the grid {grid.shape} (z, y, x): resample it first"
            )
        if not (np.isfinite(spacing) and spacing > 0):
            raise OptionError(f"envelope spacing {spacing} A: wanted a positive number")
        bits = mask > 0.5
        for axis, edge in enumerate(grid.edges[::-1]):
            bits = _nodes_around(bits, axis, max(1, round(edge / spacing)))
        return Envelope(bits)

    def radial_support(self, grid: Grid, center_xyz: Points) -> RadialSupport:
        """At which distances from a point the envelope can be above 0.

        A fold turns a point about the symmetry centre and so keeps its distance: most of a box need no fold.

        Args:
            grid: the box.
            center_xyz: Cartesian (x, y, z), Angstrom from the grid's origin.
        """
        steps = grid.box / np.asarray(self.shape[::-1])
        reach = np.linalg.norm(np.abs(steps).sum(1))
        here = np.linalg.inv(grid.box) @ np.asarray(center_xyz, np.float64)
        room = np.minimum(here + 1, 2 - here) / np.linalg.norm(grid.reciprocal, axis=0)
        bins = max(0, math.floor(room.min() / reach) - 1)
        nodes = np.argwhere(self.occupancy)[:, ::-1] @ steps.T - center_xyz
        edges = np.zeros(bins + 1, bool)
        for image in itertools.product((-1, 0, 1), repeat=3):
            near = np.linalg.norm(nodes + grid.box @ np.array(image), axis=1) // reach
            edges[near[near <= bins].astype(np.intp)] = True
        wide = np.pad(edges, 1)
        return RadialSupport(float(reach), (wide[:-2] | wide[1:-1] | wide[2:])[:bins])

    def _cell(self, fractions: Points) -> tuple[NDArray[np.intp], NDArray[np.intp], F64]:
        """Lower and upper node around each point, and how far towards the upper one it lies, each (n, 3)."""
        count = np.asarray(self.shape)
        place = np.asarray(fractions, np.float64) * count
        floor = np.floor(place)
        low = floor.astype(np.intp) % count
        return low, (low + 1) % count, place - floor

    def _corners(self, low: NDArray[np.intp], high: NDArray[np.intp]) -> F64:
        """Bits of the eight nodes around each point, (2, 2, 2, n)."""
        flat = self.occupancy.ravel()
        ends = (low, high)
        _, ky, kx = self.shape
        out = np.empty((2, 2, 2, len(low)))
        for a in (0, 1):
            for b in (0, 1):
                row = (ends[a][:, 0] * ky + ends[b][:, 1]) * kx
                for c in (0, 1):
                    out[a, b, c] = flat[row + ends[c][:, 2]]
        return out


@dataclass(frozen=True, eq=False)
class RadialSupport:
    """Shells about a point in which an envelope can be above 0: shell i reaches from i to i + 1 widths.

    Attributes:
        width: Angstrom.
        occupied: bool, one for each shell; nothing is known beyond the last one.
    """

    width: float
    occupied: NDArray[np.bool_]

    def reaches(self, distances: F64) -> NDArray[np.bool_]:
        """Whether the envelope can be above 0 at these distances from the point, Angstrom; (n,)."""
        shell = np.minimum(distances / self.width, self.occupied.size).astype(np.intp)
        return np.append(self.occupied, True)[shell]


def _trilinear(corners: F64, weight: F64) -> F64:
    for axis in range(3):
        corners = corners[0] + (corners[1] - corners[0]) * weight[:, axis]
    return corners


def _between(fractions: F64, nodes: int) -> Between:
    """Lower and upper node around box fractions along an axis, periodic, and how far towards the upper one they lie."""
    place = fractions * nodes
    # A sample that lies on a node but for rounding takes that node alone, so that bits stay exactly 0 or 1.
    place = np.where(np.abs(place - np.rint(place)) < 1e-9 * nodes, np.rint(place), place)
    low = np.floor(place).astype(np.intp)
    return low % nodes, (low + 1) % nodes, place - low


def _interpolated(values: F32, axis: int, between: Between) -> F32:
    """Values by node along an axis, interpolated linearly."""
    low, high, share = between
    along = [-1 if a == axis else 1 for a in range(3)]
    out: F32 = np.take(values, low, axis)
    out *= (1 - share).astype(np.float32).reshape(along)
    upper = np.take(values, high, axis)
    upper *= share.astype(np.float32).reshape(along)
    out += upper
    return out


def _nodes_around(bits: NDArray[np.bool_], axis: int, nodes: int) -> NDArray[np.bool_]:
    """Along one axis, the nodes at or next to each set sample; (.., n, ..) -> (.., nodes, ..)."""
    samples = bits.shape[axis]
    moved = np.moveaxis(bits, axis, 0)
    out = np.zeros((nodes, *moved.shape[1:]), bool)
    index = np.arange(samples)
    for target in (index * nodes // samples, -(-index * nodes // samples) % nodes):
        np.logical_or.at(out, target, moved)
    return np.ascontiguousarray(np.moveaxis(out, 0, axis))
