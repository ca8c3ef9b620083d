"""Blocks of lattice points with as many points each: a k-d tree that both sides derive from the envelope.

Everything that decides is whole-number arithmetic, so that any two machines find the same blocks; but for which
points of a symmetric map lie in the asymmetric unit, where `MARGIN` keeps rounding from deciding. The normative
description is in `spec/model-block-siren.md`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError
from nmap.grid import Grid, Shape
from nmap.point_group import PointGroup

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Ints = NDArray[np.int64]

# A point is in the asymmetric unit if no copy of it lies further along the reference direction by this share of
# the lattice's step or more. Points in its wall then count on both sides, whatever the rounding.
MARGIN = 1e-4
# Folded positions this near to the middle between two lattice points, in steps, take the upper one. Those this near to
# a lattice point count as that.
_MIDDLE = 1e-6


@dataclass(frozen=True, eq=False)
class Places:
    """Lattice points inside the envelope, and where the network is asked for them.

    Attributes:
        flat: flat indices (n,) of the points, in C order.
        mask: value of the envelope there, (n,).
        fractions: box fractions (n, 3), (z, y, x), of their folded positions.
        steps: the same in steps of the lattice, (n, 3).
        own: which of them lie in the asymmetric unit, as indices into `flat`.
    """

    flat: Ints
    mask: F32
    fractions: F64
    steps: F64
    own: Ints

    @staticmethod
    def of(lattice: Grid, envelope: Envelope | None, symmetry: PointGroup | None) -> Places:
        """The places of a lattice; without an envelope every point is inside.

        Raises:
            FormatError: no point is inside.
        """
        shape = np.asarray(lattice.shape)
        if symmetry is None:
            mask = (
                np.ones(lattice.size, np.float32)
                if envelope is None
                else envelope.on_lattice(lattice.shape).reshape(-1)
            )
            flat = np.flatnonzero(mask)
            mask = mask[flat]
            steps = np.stack(np.unravel_index(flat, lattice.shape), -1).astype(np.float64)
            own = np.arange(flat.size)
        else:
            flat = np.arange(lattice.size)
            index = np.stack(np.unravel_index(flat, lattice.shape), -1)
            if envelope is not None:
                # A fold keeps the distance to the centre: far from the molecule nothing need be folded.
                support = envelope.radial_support(lattice, np.asarray(symmetry.center))
                apart = _positions(index / shape, lattice) - np.asarray(symmetry.center)
                flat = flat[support.reaches(np.sqrt(np.einsum("ni,ni->n", apart, apart)))]
                index = index[flat]
            points = _positions(index / shape, lattice) - np.asarray(symmetry.center)
            folded, _ = symmetry.fold(points)
            fractions = ((folded + np.asarray(symmetry.center)) @ np.linalg.inv(lattice.box).T)[:, ::-1]
            inside = np.arange(len(flat))
            if envelope is not None:
                inside = np.flatnonzero(_touches(envelope, fractions * shape, lattice.shape))
            flat, fractions = flat[inside], fractions[inside]
            mask = np.ones(len(flat), np.float32) if envelope is None else envelope.at(fractions)
            steps = fractions * shape
            ahead = (folded - points)[inside] @ symmetry.reference
            own = np.flatnonzero(ahead < MARGIN * min(lattice.voxel_size))
        if not own.size:
            raise FormatError("no lattice point lies inside the envelope: the file is damaged")
        return Places(flat, mask, steps / shape, steps, own)

    def nearest(self, shape: Shape) -> Ints:
        """The lattice point nearest to each place, within the box, (n, 3)."""
        whole = np.floor(self.steps + (0.5 + _MIDDLE)).astype(np.int64)
        return np.clip(whole, 0, np.asarray(shape) - 1)

    def index(self, shape: Shape) -> Ints:
        """Lattice indices (m, 3), (z, y, x), of the points that are `own`."""
        return np.stack(np.unravel_index(self.flat[self.own], shape), -1).astype(np.int64)


def _touches(envelope: Envelope, steps: F64, shape: Shape) -> NDArray[np.bool_]:
    """Whether a bit is set at a node where a place (n, 3), in steps of the lattice, lies, or beside it; (n,).

    Rounding does not decide: a place within `_MIDDLE` of a lattice point is that point, and its nodes are told in whole
    numbers.
    """
    count, n = np.asarray(envelope.shape), np.asarray(shape)
    whole = np.rint(steps).astype(np.int64)
    near = np.abs(steps - whole) < _MIDDLE
    low = np.where(near, whole * count // n, np.floor(steps * count / n).astype(np.int64))
    high = np.where(near & (whole * count % n == 0), low, low + 1)
    out = np.zeros(len(steps), bool)
    for z, y, x in itertools.product((low, high), repeat=3):
        out |= envelope.occupancy[z[:, 0] % count[0], y[:, 1] % count[1], x[:, 2] % count[2]]
    return out


def _positions(fractions: F64, lattice: Grid) -> F64:
    """Cartesian (x, y, z), Angstrom from the origin, of box fractions (z, y, x)."""
    return np.asarray(fractions[:, ::-1] @ lattice.box.T)


@dataclass(frozen=True, eq=False)
class Blocks:
    """A k-d tree over lattice points.

    Attributes:
        shape: of the lattice.
        count: number of blocks.
        cuts: for each cut in the order they are made, the order of axes and the lowest key above it.
        centers: middle of each block's bounding box in steps of the lattice, (blocks, 3), (z, y, x).
        widths: points along each axis of that box, (blocks, 3).
    """

    shape: Shape
    count: int
    cuts: tuple[tuple[tuple[int, int, int], int], ...]
    centers: F64
    widths: Ints

    @staticmethod
    def of(points: Ints, count: int, shape: Shape) -> Blocks:
        """Cut points (m, 3) into blocks of as many points each, give or take one.

        A set that is to become k blocks is cut across the longest axis of its bounding box (the first of equal
        ones) where floor(m * floor(k / 2) / k) of its points lie before, in the order of their index along that
        axis, then along the other two in the order z, y, x. Its first part becomes floor(k / 2) blocks.

        Raises:
            FormatError: more blocks than points.
        """
        if not 0 < count <= len(points):
            raise FormatError(
                f"{count} blocks for {len(points)} lattice points inside: wanted 1 to that many"
            )
        cuts: list[tuple[tuple[int, int, int], int]] = []
        centers, widths = np.empty((count, 3)), np.empty((count, 3), np.int64)

        def cut(part: Ints, first: int, blocks: int) -> None:
            low, high = part.min(0), part.max(0)
            if blocks == 1:
                centers[first], widths[first] = (low + high) / 2, high - low + 1
                return
            axes = _axes(int(np.argmax(high - low)))
            key = _key(part, axes, shape)
            before = len(part) * (blocks // 2) // blocks
            split = int(np.partition(key, before)[before])
            cuts.append((axes, split))
            cut(part[key < split], first, blocks // 2)
            cut(part[key >= split], first + blocks // 2, blocks - blocks // 2)

        cut(points, 0, count)
        return Blocks(shape, count, tuple(cuts), centers, widths)

    def find(self, points: Ints) -> Ints:
        """Block of each lattice point (n, 3), inside the envelope or not; (n,)."""
        out = np.empty(len(points), np.int64)
        cuts = iter(self.cuts)

        def descend(rows: Ints, first: int, blocks: int) -> None:
            if blocks == 1:
                out[rows] = first
                return
            axes, split = next(cuts)
            above = _key(points[rows], axes, self.shape) >= split
            descend(rows[~above], first, blocks // 2)
            descend(rows[above], first + blocks // 2, blocks - blocks // 2)

        descend(np.arange(len(points)), 0, self.count)
        return out


def _axes(longest: int) -> tuple[int, int, int]:
    """The longest axis, then the other two in order."""
    second, third = (a for a in range(3) if a != longest)
    return longest, second, third


def _key(points: Ints, axes: tuple[int, int, int], shape: Shape) -> Ints:
    """A number for each point that puts points in the order of these axes."""
    a, b, c = axes
    out: Ints = (points[:, a] * shape[b] + points[:, b]) * shape[c] + points[:, c]
    return out
