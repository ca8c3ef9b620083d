"""Standard errors of Fourier shell correlations: how many modes are independent, and the error of a difference.

A window w (a mask) ties neighbouring modes. For white noise under it the covariance of the modes k and k' is
C(k - k'), C the transform of w^2; what an FSC averages over a shell S is a product of two modes, so the variance of
the mean over the N modes of S is that of independent ones times

    sum over q of |C(q) / C(0)|^2 r(|q|),    r(q) = share of S that q shifts into S.

Of a thin shell of width 1 and a radius beyond |q| a share 1 - |q cos t| stays, where that is positive, t the angle of
q to the normal: over all directions r = 1 - q / 2 to q = 1, and 1 / (2 q) beyond; on a ring 1 - 2 q / pi, and
(asin(1 / q) - q + sqrt(q^2 - 1)) 2 / pi. (Without r the sum is Parseval's, N mean w^4 / (mean w^2)^2, as for a
spectrum averaged over a solid region: two to three times too much for a molecule that fills a third of the box's edge.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.grid import Grid
from nmap.spectrum.curve import transform
from nmap.spectrum.shells import F64, Complex, Shells


@dataclass(frozen=True)
class LowestMargin:
    """Where one map falls furthest below another in correlation with a third.

    Attributes:
        value: the lowest difference of FSC.
        resolution: of its shell, Angstrom.
        errors: it in standard errors of the difference.
        lowest_errors: the lowest in standard errors.
        lowest_errors_resolution: of its shell, Angstrom.
    """

    value: float
    resolution: float
    errors: float
    lowest_errors: float
    lowest_errors_resolution: float


@dataclass(frozen=True, eq=False)
class Margin:
    """How much better one map correlates with a third than another does, by shell from 0 to Nyquist.

    Attributes:
        first: FSC(first, third).
        second: FSC(second, third).
        error: standard error of first - second.
        frequency: shell centres, 1/Angstrom.
    """

    first: F64
    second: F64
    error: F64
    frequency: F64

    @property
    def value(self) -> F64:
        """FSC(first, third) - FSC(second, third)."""
        return self.first - self.second

    @property
    def errors(self) -> F64:
        """The same in its standard errors; 0 where it has none."""
        return np.divide(self.value, self.error, out=np.zeros_like(self.error), where=self.error > 0)

    def lowest(self, last: int) -> float:
        """The lowest value from shell 1 to `last`."""
        return float(self.value[1 : last + 1].min())

    def summary(self, last: int) -> LowestMargin:
        """The lowest value from shell 1 to `last` and the lowest in standard errors, with their places."""
        value, errors = self.value[1 : last + 1], self.errors[1 : last + 1]
        shell, other = int(np.argmin(value)), int(np.argmin(errors))
        resolution = 1 / self.frequency[1 : last + 1]
        return LowestMargin(
            float(value[shell]),
            float(resolution[shell]),
            float(errors[shell]),
            float(errors[other]),
            float(resolution[other]),
        )


def modes_for_one(window: NDArray[np.floating] | None, shells: Shells) -> float:
    """Modes of a shell that are worth one independent mode under a window, at least 1.

    Args:
        window: (z, y, x) on the shells' grid; None for the whole box.
        shells: in the convention "nmap".
    """
    if window is None:
        return 1.0
    spectrum = transform(np.square(window, dtype=np.float32))
    total, first = 0.0, abs(complex(spectrum[0, 0, 0])) ** 2
    if not first > 0:
        return 1.0
    stays = _stays_on_ring if shells.grid.is_flat else _stays_in_shell
    for z, plane in enumerate(spectrum):
        share = np.square(np.abs(plane), dtype=np.float64) / first
        total += float((share * stays(shells.radius(z)) * shells.multiplicity).sum())
    return max(total, 1.0)


def _stays_in_shell(q: F64) -> F64:
    far = np.maximum(q, 1)
    return np.where(q <= 1, 1 - q / 2, 0.5 / far)


def _stays_on_ring(q: F64) -> F64:
    far = np.maximum(q, 1)
    return np.where(q <= 1, 1 - 2 * q / np.pi, 2 / np.pi * (np.arcsin(1 / far) - far + np.sqrt(far**2 - 1)))


def fsc_margin(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    third: NDArray[np.floating],
    grid: Grid,
    mask: NDArray[np.floating] | None = None,
) -> Margin:
    """FSC(first, third) - FSC(second, third) and its standard error, which the shared map makes a small one.

    With x, y the modes of two maps over the root of their mean power in a shell, and F = mean Re(x y*), the FSC
    answers to one mode more or less, to first order, by psi = Re(x y*) - F (|x|^2 + |y|^2) / 2 (the influence
    function of a correlation: Devlin, Gnanadesikan and Kettenring, Biometrika 62 (1975) 531). The variance of the
    difference is that of the mean of psi(first, third) - psi(second, third) over the shell: its mean square over
    half the modes, for the modes at k and -k are one, times `modes_for_one`. Of two Gaussian maps psi has a mean
    square of (1 - F^2)^2 / 2, which gives the known error (1 - F^2) / sqrt(modes) of one FSC. Maps that were all
    symmetrised hold each mode as often as their group has operators: there the error is too small by the root of its
    order.

    Args:
        first: (z, y, x) on `grid`.
        second: the same.
        third: the same.
        grid: where they lie.
        mask: soft mask (z, y, x) that all are multiplied by.
    """
    shells = Shells(grid)
    maps = (first, second, third) if mask is None else (first * mask, second * mask, third * mask)
    a, b, c = (_whitened(transform(values), shells) for values in maps)
    value, psi = _influence(a, c, shells)
    other, psi_of_second = _influence(b, c, shells)
    psi -= psi_of_second
    modes = np.maximum(shells.modes, 1)
    scatter = shells.sum(np.square(psi)) / modes
    error = np.sqrt(scatter * modes_for_one(mask, shells) * 2 / modes)
    return Margin(value, other, error, shells.frequency)


def _whitened(spectrum: Complex, shells: Shells) -> Complex:
    """A half transform with a mean power of 1 in every shell to Nyquist that holds any; 0 beyond."""
    power = shells.sum(spectrum.real**2 + spectrum.imag**2) / np.maximum(shells.modes, 1)
    gains = np.divide(1, np.sqrt(power), out=np.zeros_like(power), where=power > 0)
    return np.asarray(spectrum * shells.spread(gains.astype(np.float32)), np.complex64)


def _influence(x: Complex, y: Complex, shells: Shells) -> tuple[F64, NDArray[np.float32]]:
    """FSC of two whitened half transforms, and what each mode adds to its shell's, (nz, ny, nx // 2 + 1)."""
    cross = x.real * y.real + x.imag * y.imag
    fsc = shells.sum(cross) / np.maximum(shells.modes, 1)
    both = x.real**2 + x.imag**2 + y.real**2 + y.imag**2
    return fsc, np.asarray(cross - np.float32(0.5) * shells.spread(fsc) * both, np.float32)
