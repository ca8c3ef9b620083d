"""Where a block SIREN is trained: each block's lattice points, in one table with a row for each block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.fit.target.prepare import Target
from nmap.model.block_siren import block_coordinates
from nmap.model.blocks import Blocks, Places
from nmap.point_group import PointGroup

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Ints = NDArray[np.int64]

# Folded positions this near to each other, in steps of the lattice, are one.
_SAME = 1e-3


@dataclass(frozen=True, eq=False)
class Layout:
    """The positions at which the network is evaluated, by block.

    A position stands for all lattice points whose folded position it is. Where a group maps lattice points onto
    lattice points that makes the work smaller by its order.

    Attributes:
        places: the lattice points inside the envelope.
        copy_of: position of each lattice point inside, (n,).
        count: lattice points that each position stands for, (m,).
        mask: the envelope at each position, (m,).
        t: network coordinates of each position, (m, 3), (z, y, x).
        table: position in each slot of the table, (blocks, slots); slots left over repeat one.
        used: 1 for a slot that is used, 0 for one left over, (blocks, slots).
        x: block coordinates in each slot, (blocks, slots, 3).
        radius: length in Angstrom that is 1 in them.
    """

    places: Places
    copy_of: Ints
    count: F32
    mask: F32
    t: F32
    table: Ints
    used: F32
    x: F32
    radius: float

    @staticmethod
    def of(target: Target, symmetry: PointGroup | None, places: Places, blocks: int) -> Layout:
        """The layout of a target cut into so many blocks."""
        lattice = target.lattice
        tree = Blocks.of(places.index(lattice.shape), blocks, lattice.shape)
        first, copy_of = _positions(places, symmetry)
        count = np.bincount(copy_of).astype(np.float32)
        found = tree.find(places.nearest(lattice.shape)[first])
        step = np.asarray(lattice.edges[::-1]) / np.asarray(lattice.shape)
        widest = (tree.widths * step)[:, [n > 1 for n in lattice.shape]].max(1) / 2
        radius = float(f"{np.exp(np.log(widest).mean()):.4g}")
        x = block_coordinates(places.steps[first], found, tree, lattice, radius)
        t = (places.fractions[first] - np.asarray(target.center)) / np.asarray(target.half_width)
        order = np.argsort(found, kind="stable")
        sizes = np.bincount(found, minlength=blocks)
        slots = int(sizes.max())
        starts = np.cumsum(sizes) - sizes
        slot = np.arange(slots)
        used = slot < sizes[:, None]
        # A block without any position has some other block's, whose value there does not count.
        table = order[np.minimum(starts[:, None] + np.where(used, slot, 0), len(order) - 1)]
        return Layout(
            places, copy_of, count, places.mask[first], t.astype(np.float32), table, used.astype(np.float32), x[table],
            radius,
        )  # fmt: skip


def _positions(places: Places, symmetry: PointGroup | None) -> tuple[Ints, Ints]:
    """A lattice point of each different folded position (m,), and the position of each lattice point (n,)."""
    if symmetry is None:
        every = np.arange(places.flat.size)
        return every, every
    rounded = np.rint(places.steps / _SAME).astype(np.int64)
    low = rounded.min(0)
    span = rounded.max(0) - low + 1
    key = ((rounded[:, 0] - low[0]) * span[1] + rounded[:, 1] - low[1]) * span[2] + rounded[:, 2] - low[2]
    _, first, copy_of = np.unique(key, return_index=True, return_inverse=True)
    return first, copy_of.reshape(-1)
