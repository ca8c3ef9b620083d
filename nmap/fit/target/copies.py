"""A given mask of one subunit, and the envelope of the whole complex that a point group makes of it."""

from __future__ import annotations

import numpy as np

from nmap.envelope.envelope import Envelope
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.point_group import PointGroup

# A mask is that of the whole complex if every rotation leaves at least this share of it inside.
_STAYS = 0.9
# Samples for each of the envelope's nodes, along an axis.
_SAMPLES = 2


def union_of_copies(envelope: Envelope, box: Grid, group: PointGroup) -> DensityMap | None:
    """Where the envelope or a copy of it is, 0 or 1; None if its copies lie where it lies itself.

    Args:
        envelope: of the box.
        box: the map's grid.
        group: its centre is relative to the box's origin.
    """
    z, y, x = (max(_SAMPLES * k, 1) for k in envelope.shape)
    grid = box.resampled((z, y, x))
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
    if stays >= _STAYS:
        return None
    return DensityMap(union.reshape(grid.shape).astype(np.float32), grid)
