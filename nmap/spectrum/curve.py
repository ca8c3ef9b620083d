"""Fourier shell and ring correlation, and power by shell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy.fft as sf
from numpy.typing import NDArray

from nmap.errors import GridError, OptionError
from nmap.grid import Grid
from nmap.machine.threads import workers
from nmap.spectrum.shells import F64, Complex, Convention, Shells
from nmap.spectrum.wording import floored

NEGLIGIBLE = 1e-6
ROUNDING = 1e-12
"""Mean squared amplitude, as a share of the mean over all modes, that single precision cannot tell from nothing.

Rounding of float32 values and of their transform leaves about 1e-14 (measured on band-limited maps).
"""

NEGLIGIBLE_RULE = (
    "a shell is negligible, and not counted as a failure, where the mean squared amplitude of its modes is "
    "below 1e-6 of the mean over all modes of the map but the zero one (0.1 % of the rms amplitude)"
)


@dataclass(frozen=True)
class Crossing:
    """Where a curve first falls below a threshold.

    Attributes:
        threshold: the correlation asked for.
        resolution: linear interpolation between the two shells, Angstrom; None if the curve never falls
            below.
        last_above: resolution of the last shell above, Angstrom; None if the first shell is already below.
        first_below: resolution of the first shell below, Angstrom; None if there is none.
    """

    threshold: float
    resolution: float | None
    last_above: float | None
    first_below: float | None


@dataclass(frozen=True)
class ShellCurve:
    """A correlation by Fourier shell, from shell 0 to Nyquist.

    Attributes:
        frequency: shell centres, 1/Angstrom.
        fsc: correlation of each shell, -1 to 1; 0 where a shell of either map is empty.
        modes: Fourier modes in each shell.
        negligible: shells that hold next to no power (`NEGLIGIBLE_RULE`); they never count as a crossing
            nor as the worst. None: not looked at.
        convention: name of the shell convention.
    """

    frequency: F64
    fsc: F64
    modes: F64
    negligible: NDArray[np.bool_] | None = None
    convention: Convention = "nmap"

    def __repr__(self) -> str:
        """One line: how many shells, to which resolution, the lowest, and where 0.5 and 0.143 are crossed."""
        if self.fsc.size < 2:
            return f"<ShellCurve: {self.fsc.size} shells>"
        lowest = self.worst_shell()
        told = "none counts" if lowest is None else f"lowest {floored(float(self.fsc[lowest]))}"
        where = (f"{threshold:g} " + self._crossed(threshold) for threshold in (0.5, 0.143))
        finest = 1 / float(self.frequency[-1])
        return f"<ShellCurve: {self.fsc.size - 1} shells to {finest:.4g} A, {told}, {', '.join(where)}>"

    def _crossed(self, threshold: float) -> str:
        at = self.crossing(threshold)
        return "not crossed" if at is None else f"at {at:.2f} A"

    def counted(self, resolution: float | None = None) -> NDArray[np.bool_]:
        """Which shells count: not shell 0, no negligible one, none beyond `resolution` (Angstrom)."""
        counted = np.ones(self.fsc.size, bool) if self.negligible is None else ~self.negligible
        counted[0] = False
        if resolution is not None:
            if not 0 < resolution < np.inf:
                raise OptionError(f"`resolution` {resolution} A: wanted a positive number")
            counted[int(1 / (resolution * self.frequency[1]) + 1e-6) + 1 :] = False
        return counted

    def crossing_at(self, threshold: float) -> Crossing:
        """The first fall below `threshold` among the counted shells, and the shells on both sides."""
        shells = np.flatnonzero(self.counted())
        below = np.flatnonzero(self.fsc[shells] < threshold)
        if not below.size:
            last = float(1 / self.frequency[shells[-1]]) if shells.size else None
            return Crossing(threshold, None, last, None)
        first = int(below[0])
        f1, c1 = float(self.frequency[shells[first]]), float(self.fsc[shells[first]])
        if first == 0:
            return Crossing(threshold, 1 / f1, None, 1 / f1)
        f0, c0 = float(self.frequency[shells[first - 1]]), float(self.fsc[shells[first - 1]])
        between = 1 / (f0 + (c0 - threshold) / (c0 - c1) * (f1 - f0))
        return Crossing(threshold, between, 1 / f0, 1 / f1)

    def crossing(self, threshold: float) -> float | None:
        """Resolution in Angstrom at which the curve first falls below `threshold`; None if it never does.

        Linear interpolation between the last shell above and the first one below; shell 0 is left out.
        """
        return self.crossing_at(threshold).resolution

    def worst_shell(self, resolution: float | None = None) -> int | None:
        """Index of the lowest counted shell to `resolution` (Angstrom; Nyquist if None), if any counts."""
        shells = np.flatnonzero(self.counted(resolution))
        return int(shells[np.argmin(self.fsc[shells])]) if shells.size else None

    def worst(self, resolution: float | None = None) -> float:
        """Lowest correlation over the counted shells to `resolution` (Angstrom; Nyquist if None), else 1."""
        shell = self.worst_shell(resolution)
        return 1.0 if shell is None else float(self.fsc[shell])


def transform(volume: NDArray[np.floating]) -> Complex:
    """Half-complex float32 transform of a (z, y, x) volume.

    A mean beyond the spread of the values is set aside first: in single precision it would drown weak shells.
    """
    mean = float(volume.mean(dtype=np.float64))
    apart = abs(mean) > float(volume.max()) - float(volume.min())
    values = np.asarray(volume - mean if apart else volume, np.float32)
    spectrum = np.asarray(sf.rfftn(values, workers=workers()))
    if apart:
        spectrum[0, 0, 0] += mean * volume.size
    return spectrum


@dataclass(frozen=True, eq=False)
class ShellSums:
    """What two half transforms hold in each shell to Nyquist; the sums of parts of their columns add up.

    Attributes:
        shells: of the whole transforms.
        modes: in each shell, weighted as the convention does.
        cross: real part of the first times the conjugate of the second.
        powers: squared amplitudes of either, (2, shells).
        totals: squared amplitudes of either over all modes but the zero one, (2,).
    """

    shells: Shells
    modes: F64
    cross: F64
    powers: F64
    totals: F64

    @staticmethod
    def of(fa: Complex, fb: Complex, shells: Shells) -> ShellSums:
        """Of two half transforms, or of the columns of them that the shells look at."""
        whole, mean = replace(shells, columns=None), not shells.holds_mean
        powers = np.array([shells.sum(squared(f)) for f in (fa, fb)])
        totals = np.array([shells.total(squared(f, mean=mean)) for f in (fa, fb)])
        return ShellSums(whole, shells.modes, shells.sum(products(fa, fb)), powers, totals)

    def __add__(self, other: ShellSums) -> ShellSums:
        return ShellSums(
            self.shells,
            self.modes + other.modes,
            self.cross + other.cross,
            self.powers + other.powers,
            self.totals + other.totals,
        )

    @property
    def mean_powers(self) -> F64:
        """Mean squared amplitude of each shell, of either transform, (2, shells); DFT without 1/N."""
        return np.asarray(self.powers / np.maximum(self.modes, 1e-9))

    @property
    def _levels(self) -> F64:
        """Mean squared amplitude over all modes but the zero one, (2, 1)."""
        # In other conventions the half transform is weighted otherwise; the level needs no more than its order.
        twice = 1 if self.shells.convention == "nmap" else 2
        return np.asarray(self.totals[:, None] / max(self.shells.grid.size - 1, 1) * twice)

    @property
    def negligible(self) -> NDArray[np.bool_]:
        """Which shells hold next to no power, as `NEGLIGIBLE_RULE` says, in either transform, (2, shells)."""
        return np.asarray(self.mean_powers <= NEGLIGIBLE * self._levels)

    def curve(
        self,
        reference: Literal["both", "second"] = "both",
        negligible: NDArray[np.bool_] | None = None,
    ) -> ShellCurve:
        """Their correlation, as `correlate_shells` has it."""
        mean, shells = self.mean_powers, self.shells
        cross, norm = self.cross / np.maximum(self.modes, 1e-9), np.sqrt(mean[0] * mean[1])
        rounding = mean <= ROUNDING * self._levels
        known = (norm > 0) & (rounding[0] == rounding[1])
        fsc = np.divide(cross, norm, out=np.zeros_like(cross), where=known)
        if negligible is None:
            empty = self.negligible
            negligible = empty[0] & empty[1] if reference == "both" else empty[1]
        else:
            beyond = max(fsc.size - negligible.size, 0)
            negligible = np.pad(negligible, (0, beyond), constant_values=True)[: fsc.size]
        return ShellCurve(shells.frequency, fsc, self.modes, negligible, shells.convention)


def shell_power(spectrum: Complex, shells: Shells) -> F64:
    """Mean squared amplitude of each shell up to Nyquist, of a half transform; DFT without 1/N."""
    mean: F64 = shells.sum(squared(spectrum)) / np.maximum(shells.modes, 1e-9)
    return mean


def squared(spectrum: Complex, *, mean: bool = True) -> Iterator[NDArray[np.floating]]:
    """Squared amplitudes of a half transform, plane by plane; without `mean` that of the zero mode is 0."""
    for z, plane in enumerate(spectrum):
        out = plane.real**2 + plane.imag**2
        if not (z or mean):
            out[0, 0] = 0
        yield out


def products(a: Complex, b: Complex) -> Iterator[NDArray[np.floating]]:
    """Real part of a half transform times the conjugate of another, plane by plane."""
    for p, q in zip(a, b, strict=True):
        yield p.real * q.real + p.imag * q.imag


def negligible_shells(spectrum: Complex, shells: Shells) -> NDArray[np.bool_]:
    """Which shells of a half transform hold next to no power, as `NEGLIGIBLE_RULE` says, from shell 0 to Nyquist."""
    empty: NDArray[np.bool_] = ShellSums.of(spectrum, spectrum, shells).negligible[0]
    return empty


def correlate_shells(
    fa: Complex,
    fb: Complex,
    shells: Shells,
    reference: Literal["both", "second"] = "both",
    negligible: NDArray[np.bool_] | None = None,
) -> ShellCurve:
    """Fourier shell correlation of two half-complex transforms on the same grid.

    A shell of which one map holds rounding alone, and the other more, has no correlation: it is 0 there.

    Args:
        fa: half transform of the first map.
        fb: half transform of the second map.
        shells: the shells of their grid.
        reference: "both" marks the shells that are negligible in both maps; "second" those negligible in the
            second, for a copy and its source: where the source is empty there is nothing to be true to.
        negligible: the shells to mark instead, where they are known already; those beyond its end are marked too.
    """
    return ShellSums.of(fa, fb, shells).curve(reference, negligible)


def fsc(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    grid: Grid,
    mask: NDArray[np.floating] | None = None,
    *,
    convention: Convention = "nmap",
    reference: Literal["both", "second"] = "both",
    negligible: NDArray[np.bool_] | None = None,
) -> ShellCurve:
    """Fourier shell correlation of two volumes (z, y, x) on `grid`, both multiplied by `mask` first if given.

    Args:
        a: first volume (z, y, x).
        b: second volume (z, y, x).
        grid: where both lie.
        mask: soft mask (z, y, x), 0 to 1.
        convention: which shells, see `CONVENTIONS`.
        reference: as in `correlate_shells`.
        negligible: as in `correlate_shells`.

    Source: Harauz and van Heel, Optik 73 (1986) 146; shells as in `nmap.spectrum.shells`.

    Raises:
        GridError: a volume or the mask does not have the grid's shape.
    """
    for name, volume in (("first map", a), ("second map", b), ("mask", mask)):
        if volume is not None and volume.shape != grid.shape:
            raise GridError(
                f"{name} has shape {volume.shape}, the grid {grid.shape} (z, y, x): resample it first"
            )
    if mask is not None:
        a, b = a * mask, b * mask
    return correlate_shells(transform(a), transform(b), Shells(grid, convention), reference, negligible)


def frc(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    pixel_size: tuple[float, float],
    mask: NDArray[np.floating] | None = None,
    *,
    convention: Convention = "nmap",
) -> ShellCurve:
    """Fourier ring correlation of two images (y, x): the shells of a map one sample thick.

    Args:
        a: first image (y, x).
        b: second image (y, x).
        pixel_size: spacing (x, y) in Angstrom.
        mask: soft mask (y, x), 0 to 1.
        convention: which rings, see `CONVENTIONS`.

    Raises:
        GridError: the images are not 2-D or not of one shape.
    """
    for name, image in (("first image", a), ("second image", b), ("mask", mask)):
        if image is not None and (image.ndim != 2 or image.shape != a.shape):
            raise GridError(
                f"{name} has shape {image.shape}, wanted {a.shape[-2:]} (y, x): 2-D images of one shape"
            )
    grid = Grid((1, *a.shape), (*pixel_size, min(pixel_size)))
    thick = None if mask is None else mask[None]
    return fsc(a[None], b[None], grid, thick, convention=convention)


def power(volume: NDArray[np.floating], grid: Grid) -> F64:
    """Mean squared Fourier amplitude of each shell up to Nyquist, of a (z, y, x) volume; DFT without 1/N."""
    return shell_power(transform(volume), Shells(grid))
