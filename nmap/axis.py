"""`Axis`: where the maps of a series lie along a fourth axis, and the smooth functions of that axis.

At frame i of n, counted from 0, the functions have a mean square of 1, and are orthogonal, over the frames:

    line:      f_k(i) is a polynomial of degree k in the position, with a positive leading coefficient
    periodic:  f_0 = 1,  f_(2j-1)(i) = sqrt(2) cos(2 pi j i / n),  f_(2j)(i) = sqrt(2) sin(2 pi j i / n)

So a change that is even along a line takes one function, wherever its frames are. Frames closer than a tenth of the
mean gap count as so far apart.

Between frames they are cubic, with the slope at a frame that the parabola through it and its neighbours has: so what
lies between two frames is a sum of these and of the next ones, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nmap.errors import FormatError, OptionError
from nmap.plain_text import printable

F64 = NDArray[np.float64]

MAX_FRAMES = 256
MAX_COMPONENTS = 64
# Letters of a name that a user gives: it stands before every position that is printed.
MOST_NAME = 40
# Frames that lie closer than this share of the mean gap count as so far apart: what lies between others would swing
# widely, and polynomials follow from the positions to 11 digits whatever their degree.
_CLOSEST = 0.1
# Positions, and steps for each length of the axis, that a file may have.
_LARGEST = 1e30
_LEAST_STEP = 1e-9
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
        steps = np.diff(np.clip(self.at, -_LARGEST, _LARGEST))
        if not 2 <= len(self.at) <= MAX_FRAMES:
            raise FormatError(f"series of {len(self.at)} frames: wanted 2 to {MAX_FRAMES}")
        if not (np.abs(self.at) <= _LARGEST).all() or not (steps > 0).all():
            raise FormatError(
                f"series positions {self.at!s:.80}: wanted finite numbers to {_LARGEST:g}, each above the one before"
            )
        if steps.min() < _LEAST_STEP * (self.last - self.first):
            raise FormatError(
                f"series positions {self.at!s:.80}: wanted each above the one before by {_LEAST_STEP:g} of their range "
                "at least: leave out what was measured twice"
            )
        if self.period is None:
            return
        if not (1 + _LEAST_STEP) * (self.last - self.first) <= self.period <= _LARGEST:
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
        return self.shares(t) @ self.at_frames(components)

    def shares(self, t: float) -> F64:
        """How much of each frame a position has, (frames,); raises as `values`."""
        return self._mixed(t, slope=False)

    def slopes(self, t: float, components: int) -> F64:
        """Their derivatives by t, (components,); raises as `values`."""
        return self._mixed(t, slope=True) @ self.at_frames(components)

    @cached_property
    def places(self) -> F64:
        """Where frames count as lying, in mean gaps from the first one, (frames,).

        Of a cycle it ends with the first one again, (frames + 1,).
        """
        ends = self.at if self.period is None else (*self.at, self.first + self.period)
        gaps = np.diff(ends)
        return np.append(0, np.cumsum(np.maximum(gaps / gaps.mean(), _CLOSEST)))

    def at_frames(self, components: int) -> F64:
        """The functions at each frame, (frames, components)."""
        if self.period is None:
            return self._polynomials(components)
        n = len(self.at)
        i, k = np.arange(n)[:, None], np.arange(components)
        phase = 2 * np.pi * ((k + 1) // 2) * i / n
        waves = np.where(k % 2 == 1, np.cos(phase), np.sin(phase))
        return np.asarray(np.where(k == 0, 1.0, math.sqrt(2) * waves), np.float64)

    def _polynomials(self, components: int) -> F64:
        """Orthogonal polynomials at each frame, (frames, components), by Arnoldi's method.

        Each is the one before times the position, less what the lower ones have of that: Brubeck, Nakatsukasa and
        Trefethen, SIAM Review 63 (2021) 405.
        """
        n, places = len(self.at), 2 * self.places / self.places[-1] - 1
        out = np.ones((n, components))
        for k in range(1, components):
            lower, new = out[:, :k], places * out[:, k - 1]
            # Twice, for what rounding leaves.
            for _ in range(2):
                new = new - lower @ (lower.T @ new) / n
            out[:, k] = new / math.sqrt(new @ new / n)
        return out

    def _mixed(self, t: float, slope: bool) -> F64:
        """How much of each frame a position has, (frames,), or the derivative of that by t: cubic Hermite."""
        place, n = self._inside(t), len(self.at)
        at, places, frame = np.asarray(self.at), self.places, np.arange(n)
        if self.period is not None:
            at = np.concatenate((at - self.period, at, at + self.period))
            once, whole = places[:-1], places[-1]
            places, frame = np.concatenate((once - whole, once, once + whole)), np.tile(frame, 3)
        low = min(max(int(np.searchsorted(at, place, side="right")) - 1, 0), len(at) - 2)
        gap, h = float(at[low + 1] - at[low]), float(places[low + 1] - places[low])
        s = (place - float(at[low])) / gap
        ends, tangents = (2 * s**3 - 3 * s**2 + 1, 3 * s**2 - 2 * s**3), (s**3 - 2 * s**2 + s, s**3 - s**2)
        if slope:
            ends, tangents = (6 * (s**2 - s), 6 * (s - s**2)), (3 * s**2 - 4 * s + 1, 3 * s**2 - 2 * s)
        out = np.zeros(n)
        for number, end, tangent in zip((low, low + 1), ends, tangents, strict=True):
            out[frame[number]] += end
            near, shares = _slope_at(places, number)
            np.add.at(out, frame[near], h * tangent * shares)
        return out / gap if slope else out

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


def most_components(frames: int, periodic: bool, limit: int) -> int:
    """Functions that so many frames are fitted with: as many as there are, up to a limit; of a cycle an odd number."""
    most = min(frames, limit)
    return most - (most + 1) % 2 if periodic else most


def _slope_at(places: F64, number: int) -> tuple[NDArray[np.int64], F64]:
    """Frames, and their shares, of the slope that the parabola through a frame and its neighbours has there.

    At an end it is the parabola of the last three; of two frames it is their line.
    """
    if len(places) == 2:
        return np.arange(2), np.array([-1.0, 1.0]) / (places[1] - places[0])
    middle = min(max(number, 1), len(places) - 2)
    near = np.arange(middle - 1, middle + 2)
    a, b, c = (float(v) for v in places[near])
    x = float(places[number])
    shares = [
        (2 * x - b - c) / ((a - b) * (a - c)),
        (2 * x - a - c) / ((b - a) * (b - c)),
        (2 * x - a - b) / ((c - a) * (c - b)),
    ]
    return near, np.array(shares)


def axis_of(at: Sequence[float], periodic: bool, name: str) -> Axis:
    """The axis of frames at these positions; a cycle closes one mean step after its last frame.

    Raises:
        FormatError: as `Axis`; a name that is empty, long, or not one line of plain text.
    """
    if not name.strip() or len(name) > MOST_NAME or printable(name) != name:
        raise FormatError(
            f"series axis {name!r:.60}: wanted its name, with its unit if it has one, in up to {MOST_NAME} letters"
        )
    axis = Axis(tuple(float(t) for t in at), name=name)
    if not periodic:
        return axis
    count = len(axis.at)
    return Axis(axis.at, (axis.last - axis.first) * count / (count - 1), name)
