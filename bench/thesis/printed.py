"""What the thesis prints, and what its figures truly are.

Its Fourier shell correlation bins run to the corner of the cube, sqrt(3) times the Nyquist frequency, but
are labelled 0 to 0.5 per pixel; and maps of lowered sampling keep the full map's voxel size on its axis. A
figure that is not known here is "not at hand".
"""

from __future__ import annotations

import math

NOT_AT_HAND = "not at hand"

TIME_50_EPOCHS = {"SIREN": 0.674, "Fourier features": 248.97}
"""Seconds, table 3.1, on the thesis's GPU."""

FSC_FIGURES: tuple[tuple[str, int, float, float, float], ...] = (
    ("T20S", 200, 0.98, 0.98, 5.05),
    ("TRPV1", 132, 1.22, 1.22, 5.26),
    ("rNLRP1-rDPP9", 160, 1.06, 1.06, 5.15),
    ("T20S, lowered", 100, 1.96, 0.98, 2.29),
)
"""Map, voxels a side, true voxel size, voxel size on its axis, resolution printed (Angstrom)."""

MAP_SHAPES = (("T20S", 300), ("TRPV1", 192), ("rNLRP1-rDPP9", 240))
"""Map, voxels a side."""

NETWORK = (256, 7, 50.0)
"""Width, hidden layers after the first, omega of its volumes' SIREN."""


def true_resolution(printed: float, voxel: float, axis_voxel: float, dimensions: int = 3) -> float:
    """The resolution (Angstrom) that a printed one means, from the two errors of the axis."""
    return printed / math.sqrt(dimensions) * voxel / axis_voxel


def as_printed(resolution: float, dimensions: int) -> float:
    """How an axis stretched to the corner prints a true resolution (Angstrom)."""
    return resolution * math.sqrt(dimensions)
