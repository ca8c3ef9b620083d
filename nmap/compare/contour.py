"""Contour levels: the volume that a surface encloses, and the level at which another map encloses as much.

A decode has a little less contrast than its source, so the source's recommended level, taken as it is, encloses
less of the decode. The level of equal volume shows the same surface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.grid import Grid

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Contour:
    """A contour level of a source, and what it is in its decode.

    Attributes:
        level: of the source.
        volume: that it encloses there, Angstrom^3.
        decoded_level: at which the decode encloses as much; NaN where the source's level encloses nothing.
        at_same_level: the volume that the decode encloses at the source's level, Angstrom^3.
        overlap: volume that both surfaces enclose, each at its own level, over the volume that either does.
    """

    level: float
    volume: float
    decoded_level: float
    at_same_level: float
    overlap: float


def compare_contour(decoded: F32, source: F32, grid: Grid, level: float) -> Contour:
    """A contour level of a source, carried over to its decode.

    Args:
        decoded: (z, y, x).
        source: the same shape.
        grid: where both lie.
        level: of the source.
    """
    volume = enclosed_volume(source, grid, level)
    own = level_enclosing(decoded, grid, volume)
    a, b = source > level, decoded > own
    either = np.count_nonzero(a | b)
    return Contour(
        level=level,
        volume=volume,
        decoded_level=own,
        at_same_level=enclosed_volume(decoded, grid, level),
        overlap=np.count_nonzero(a & b) / either if either else math.nan,
    )


def enclosed_volume(values: F32, grid: Grid, level: float) -> float:
    """Volume of the voxels above a level, Angstrom^3."""
    return float(np.count_nonzero(values > level) * abs(np.linalg.det(grid.axes)))


def level_enclosing(values: F32, grid: Grid, volume: float) -> float:
    """The level above which a map (z, y, x) holds a volume of Angstrom^3; NaN where that is no voxel or all."""
    count = round(volume / abs(float(np.linalg.det(grid.axes))))
    if not 0 < count < values.size:
        return math.nan
    ordered = np.partition(values.ravel(), (values.size - count - 1, values.size - count))
    below, above = ordered[values.size - count - 1], ordered[values.size - count]
    return float((np.float64(below) + np.float64(above)) / 2)
