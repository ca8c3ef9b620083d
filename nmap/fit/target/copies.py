"""A given mask of one subunit, and the envelope of the whole complex that a point group makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.envelope import Envelope
from nmap.fit.options import EncodeOptions
from nmap.fit.target.prepare import Target, prepare
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.point_group import PointGroup

F32 = NDArray[np.float32]

# A mask is that of the whole complex if every rotation leaves at least this share of it inside.
_STAYS = 0.9
# Samples for each of the envelope's nodes, along an axis.
_SAMPLES = 2


def with_copies(
    target: Target, group: PointGroup | None, density: DensityMap, options: EncodeOptions
) -> Target:
    """The target of a symmetric fit: with a given mask that the group moves elsewhere, inside all its copies.

    A symmetric decode has the copies of whatever is fitted. A target that held one subunit only could not be met.

    Args:
        target: what `prepare` made of `density` and `options`.
        group: which it is fitted with; None for C1.
        density: the source.
        options: of the fit.
    """
    if group is None or target.envelope is None or not isinstance(options.mask, DensityMap):
        return target
    z, y, x = (max(_SAMPLES * k, 1) for k in target.envelope.shape)
    grid = target.density.grid.resampled((z, y, x))
    union = union_of_copies(target.envelope, grid, group)
    if union is None:
        return target
    wide = prepare(density, replace(options, mask=DensityMap(union, grid)))
    words = wide.envelope_from.partition("; ")
    rule = f"{target.envelope_from.partition('; ')[0]}, and its copies under {group.name}"
    return replace(wide, envelope_from=rule + "".join(words[1:]))


def union_of_copies(envelope: Envelope, grid: Grid, group: PointGroup) -> F32 | None:
    """Where the envelope or a copy of it is (z, y, x), 0 or 1; None if its copies lie where it lies itself.

    Args:
        envelope: of the box of `grid`.
        grid: where to tell.
        group: its centre is relative to the grid's origin.
    """
    centre = np.asarray(grid.origin) + np.asarray(group.center)
    points = grid.points().reshape(-1, 3) - centre
    inside = envelope.on_lattice(grid.shape).ravel() > 0.5
    union, stays = inside.copy(), 1.0
    for operator in group.operators[1:]:
        fractions = grid.fractions(points @ operator.T + centre)
        within = ((fractions >= 0) & (fractions < 1)).all(1)
        copy = np.zeros(inside.size, bool)
        copy[within] = envelope.at(fractions[within]) > 0.5
        union |= copy
        stays = min(stays, float((copy & inside).sum() / max(inside.sum(), 1)))
    return None if stays >= _STAYS else union.reshape(grid.shape).astype(np.float32)
