"""`Axis`: where the maps of a series lie along a fourth axis, and the smooth functions of that axis.

line:      f_k(t) = sqrt(2 k + 1) P_k(s),  s = (2 t - first - last) / (last - first)     (Legendre polynomials)
periodic:  f_0 = 1,  f_(2j-1)(t) = sqrt(2) cos(2 pi j t / period),  f_(2j)(t) = sqrt(2) sin(2 pi j t / period)

Each has a mean square of 1 over the axis, and next to no part in any other over even frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from nmap.errors import FormatError, OptionError

F64 = NDArray[np.float64]

MAX_FRAMES = 256
MAX_COMPONENTS = 64
# Positions this share of the axis beyond its ends are its ends: decimal numbers are not exact.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Axis:
    """A fourth axis.

    Args:
        at: position of each measured frame, ascending.
        period: length after which everything comes back; None for a line.
        name: of the axis.

    Raises:
        FormatError: fewer than two positions, too many, not finite, not ascending, or longer than the period.
    """

    at: tuple[float, ...]
    period: float | None = None
    name: str = "t"

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", tuple(float(t) for t in self.at))
        if not isinstance(self.name, str):
            raise FormatError(f"series axis {self.name!r:.40}: wanted its name")
        steps = np.diff(self.at)
        if not 2 <= len(self.at) <= MAX_FRAMES:
            raise FormatError(f"series of {len(self.at)} frames: wanted 2 to {MAX_FRAMES}")
        if not np.isfinite(self.at).all() or not (steps > 0).all():
            raise FormatError(
                f"series positions {self.at!s:.80}: wanted finite numbers, each above the one before"
            )
        if self.period is None:
            return
        if not (math.isfinite(self.period) and self.period > self.at[-1] - self.at[0]):
            raise FormatError(
                f"series period {self.period:g} for frames from {self.at[0]:g} to {self.at[-1]:g}: wanted a longer one"
            )

    @property
    def first(self) -> float:
        """Position of the first frame."""
        return self.at[0]

    @property
    def last(self) -> float:
        """Position of the last frame."""
        return self.at[-1]

    def frame(self, t: float) -> int | None:
        """Number of the measured frame at a position; None between frames.

        Raises:
            OptionError: a position beyond the ends of a line.
        """
        place = self._inside(t)
        near = int(np.argmin(np.abs(np.asarray(self.at) - place)))
        found = abs(self.at[near] - place) <= _ROUNDING * (self.last - self.first)
        return near if found else None

    def values(self, t: float, components: int) -> F64:
        """The functions at a position, (components,).

        Raises:
            OptionError: a position beyond the ends of a line.
        """
        k, place = np.arange(components), self._inside(t)
        if self.period is None:
            return np.asarray(legendre.legval(self._scaled(place), np.diag(np.sqrt(2 * k + 1.0))), np.float64)
        phase = 2 * math.pi * ((k + 1) // 2) * place / self.period
        waves = math.sqrt(2) * np.where(k % 2 == 1, np.cos(phase), np.sin(phase))
        return np.asarray(np.where(k == 0, 1.0, waves), np.float64)

    def slopes(self, t: float, components: int) -> F64:
        """Their derivatives by t, (components,)."""
        k, place = np.arange(components), self._inside(t)
        if self.period is None:
            slopes = legendre.legder(np.diag(np.sqrt(2 * k + 1.0)))
            out = legendre.legval(self._scaled(place), slopes)
            return np.asarray(out * 2 / (self.last - self.first), np.float64)
        rate = 2 * math.pi * ((k + 1) // 2) / self.period
        waves = np.where(k % 2 == 1, -np.sin(rate * place), np.cos(rate * place))
        return np.asarray(math.sqrt(2) * rate * waves, np.float64)

    def at_frames(self, components: int) -> F64:
        """The functions at each frame, (frames, components)."""
        return np.array([self.values(t, components) for t in self.at])

    def _scaled(self, place: float) -> float:
        """Position from -1 at the first frame to 1 at the last."""
        return min(max((2 * place - self.first - self.last) / (self.last - self.first), -1.0), 1.0)

    def _inside(self, t: float) -> float:
        """The position on the axis: within the period, or between the ends of a line."""
        if not math.isfinite(t):
            raise OptionError(f"{self.name} {t}: wanted a finite number")
        if self.period is not None:
            return self.first + (t - self.first) % self.period
        margin = _ROUNDING * (self.last - self.first)
        if not self.first - margin <= t <= self.last + margin:
            raise OptionError(
                f"{self.name} {t:g}: the series was measured from {self.first:g} to {self.last:g}, and says nothing "
                "beyond: give a position between them"
            )
        return min(max(t, self.first), self.last)


def most_components(frames: int, periodic: bool) -> int:
    """Functions that so many frames can tell.

    Polynomials fitted to even steps are stable up to a degree of about twice the root of their number (Rakhmanov
    2007). A cycle needs more frames than functions.
    """
    if periodic:
        return max(1, min(frames - 1, MAX_COMPONENTS) - (min(frames - 1, MAX_COMPONENTS) + 1) % 2)
    return min(frames, MAX_COMPONENTS, int(2 * math.sqrt(frames - 1)) + 1)


def axis_of(at: Sequence[float], periodic: bool, name: str) -> Axis:
    """The axis of frames at these positions; a cycle closes one mean step after its last frame.

    Raises:
        FormatError: as `Axis`.
    """
    axis = Axis(tuple(float(t) for t in at), name=name)
    if not periodic:
        return axis
    count = len(axis.at)
    return Axis(axis.at, (axis.last - axis.first) * count / (count - 1), name)
