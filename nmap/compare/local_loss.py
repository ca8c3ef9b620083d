"""Where a decode differs most from its source, without a model: local correlation over what stands above noise.

At each voxel the two maps are correlated in a Gaussian window about their local means. A shell's FSC averages over
the box, so a side chain that is gone hardly shows in it; here it does, and with its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.automatic import constant_solvent
from nmap.grid import Grid, Triple
from nmap.spectrum import Planes
from nmap.spectrum.planes import parts

F32 = NDArray[np.float32]

WINDOW = 5.0
"""Full width of the window at half its height, Angstrom: a side chain and its surroundings."""

ABOVE_NOISE = 3.0
"""A place counts where the local standard deviation of the source is this many times the solvent's,"""

LEAST_LEVEL = 0.1
"""and this share of the strongest one, which bounds it where a masked map has no noise outside."""

_SOLVENT = 0.1
"""The quantile of the local standard deviations that is taken for solvent's where the solvent is not constant."""

_TRUNCATE = 3.0
"""The window ends at so many standard deviations."""

_AT_ONCE = 1 << 22
"""Voxels that are averaged at once, and those that the window reaches."""

KEPT = 0.85
WEAK = 0.6
"""First percentiles from which atoms are taken to be kept, or weak; below side chains are lost (docs/fidelity.md)."""


@dataclass(frozen=True)
class LocalLoss:
    """The local correlation of a decode with its source.

    Attributes:
        mean: over the voxels that count.
        first_percentile: a hundredth of them lie below.
        lowest: the least.
        place: where that is, Cartesian (x, y, z), Angstrom.
        counted: share of the box's voxels that count.
    """

    mean: float
    first_percentile: float
    lowest: float
    place: Triple
    counted: float

    WHAT: ClassVar = (
        "correlation with the source in a Gaussian window of 5 A, over what stands above noise inside the file's mask, "
        "if it keeps one"
    )
    ALSO: ClassVar = ("verdict",)
    RENAMED: ClassVar = {"place": "place_xyz"}

    @property
    def verdict(self) -> Literal["kept", "weak", "lost"]:
        """What becomes of side chains, by the first percentile."""
        if self.first_percentile >= KEPT:
            return "kept"
        return "weak" if self.first_percentile >= WEAK else "lost"


def local_loss(
    decoded: F32,
    source: F32,
    grid: Grid,
    window: float = WINDOW,
    masked: bool | None = None,
    inside: NDArray[np.bool_] | None = None,
) -> LocalLoss | None:
    """The local correlation of two maps over what stands above the source's noise; None if nothing does.

    Args:
        decoded: (z, y, x).
        source: the same shape.
        grid: where both lie.
        window: full width at half height, Angstrom.
        masked: whether the source's solvent is constant, without noise; None looks at the values.
        inside: the voxels that count, of the decode's own mask: outside it nothing was to be kept; None for all.
    """
    correlation, counted = local_correlation(decoded, source, grid, window, masked)
    if inside is not None:
        counted &= inside
    values = correlation[counted]
    if values.size == 0:
        return None
    lowest = np.flatnonzero(counted)[values.argmin()]
    index = np.unravel_index(int(lowest), grid.shape)
    x, y, z = grid.positions(np.asarray(index) / np.asarray(grid.shape)).tolist()
    return LocalLoss(
        mean=float(values.mean(dtype=np.float64)),
        first_percentile=float(np.quantile(values, 0.01)),
        lowest=float(values.min()),
        place=(x, y, z),
        counted=float(counted.mean()),
    )


def local_correlation(
    decoded: F32, source: F32, grid: Grid, window: float = WINDOW, masked: bool | None = None
) -> tuple[F32, NDArray[np.bool_]]:
    """Local correlation at every voxel, 0 where a map is constant, and the voxels that stand above noise.

    Args as `local_loss`.

    Returns:
        Both (z, y, x).
    """
    if masked is None:
        masked = constant_solvent(source) is not None
    window_of = _Window(grid, window)
    # About their own means, so that squares keep their digits.
    s, d = (Planes.of(v, float(np.float32(v.mean(dtype=np.float64)))) for v in (source, decoded))
    correlation, level = np.empty(grid.shape, np.float32), np.empty(grid.shape, np.float32)
    for planes in parts(grid.shape[0], window_of.planes):
        correlation[planes], level[planes] = window_of.correlation(d, s, planes)
    noise = 0.0 if masked else float(np.quantile(level, _SOLVENT))
    floor = max(ABOVE_NOISE * noise, LEAST_LEVEL * float(np.quantile(level, 0.999)))
    return correlation, level > floor


class _Window:
    """Averages in a Gaussian window, of some planes at a time with those that it reaches.

    Args:
        grid: of the maps.
        window: full width at half height, Angstrom.
    """

    def __init__(self, grid: Grid, window: float):
        self._widths = [window / 2.3548 / v for v in grid.voxel_size[::-1]]
        self._count = grid.shape[0]
        self._reach = int(_TRUNCATE * self._widths[0] + 0.5)
        area = grid.shape[1] * grid.shape[2]
        self.planes = max(_AT_ONCE // max(area, 1), 2 * self._reach, 1)

    def correlation(self, decoded: Planes, source: Planes, planes: slice) -> tuple[F32, F32]:
        """Local correlation of these planes, and the local standard deviation of the source."""
        first = max(planes.start - self._reach, 0)
        near = slice(first, min(planes.stop + self._reach, self._count))
        inner = slice(planes.start - first, planes.stop - first)
        d, s = decoded.make(near), source.make(near)
        mean_s, mean_d = self._averaged(s, inner), self._averaged(d, inner)
        var_s = np.maximum(self._averaged(s * s, inner) - mean_s**2, 0)
        var_d = np.maximum(self._averaged(d * d, inner) - mean_d**2, 0)
        cross = self._averaged(s * d, inner) - mean_s * mean_d
        norm = np.sqrt(var_s * var_d)
        correlation = np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)
        return np.clip(correlation, -1, 1), np.sqrt(var_s)

    def _averaged(self, values: F32, inner: slice) -> F32:
        import scipy.ndimage as ndi

        made = ndi.gaussian_filter(values, self._widths, mode="nearest", truncate=_TRUNCATE)
        return np.asarray(made, np.float32)[inner]
