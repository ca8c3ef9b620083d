"""How patiently a search goes down: schedules by effort, the pace as the goal comes near, and the time there is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from nmap.fit.bumps.moves import RATE


@dataclass(frozen=True)
class Schedule:
    """How patiently to search.

    Attributes:
        decay: factor of the step when the weights have settled.
        settled: share of the weights that may still move then.
        patience: sweeps after which the step shrinks all the same.
        hold: sweeps at the goal.
        haste: decay and patience while the mean shell is still far from the goal.
        rate: what a bit is worth; see `radial.RATE`.
    """

    decay: float = 0.97
    settled: float = 0.03
    patience: int = 12
    hold: int = 80
    haste: tuple[float, int] = (0.87, 5)
    rate: float = RATE

    def hold_at(self, goal: float | None) -> int:
        """Sweeps at a goal; for a high one a third as many, for weights of more than one settle sooner."""
        return self.hold // 3 if goal is not None and goal > _HIGH else self.hold

    def pace(self, mean: float, goal: float | None) -> tuple[float, int, float]:
        """Decay, patience and settled share that suit the distance to the goal.

        Args:
            mean: correlation of the mean shell.
            goal: correlation wanted of every shell; None for as high as the bytes allow.
        """
        if goal is not None and (
            mean < _FAR_SHARE * goal or mean < min(1 - _FAR_MISSING * (1 - goal), _STILL_LOW)
        ):
            return *self.haste, self.settled
        if goal is not None and mean > _NEAR_ONE:
            return _FINE
        if goal is not None and goal > _HIGH and mean > _HALFWAY:
            return max(self.decay, 0.97), max(self.patience, 12), min(self.settled, 0.03)
        return self.decay, self.patience, self.settled


SCHEDULES: dict[str, tuple[Schedule, ...]] = {
    "low": (Schedule(0.93, 0.2, 8, 16, (0.8, 3)),),
    "default": (Schedule(),),
    "high": tuple(Schedule(0.98, 0.02, 30, 120, (0.93, 10), rate) for rate in (0.07, 0.1, 0.14)),
}

# A mean shell below this share of the goal is far from it.
_FAR_SHARE = 0.85
# So is one that lacks so many times as much as the goal lets be missing: for EMD-3488 at 0.99 two thirds of the time
# for no more bytes (docs/decisions.md).
_FAR_MISSING = 4.0
# Beyond this mean shell no goal is far: a step that shrinks in haste leaves weights that never settle.
_STILL_LOW = 0.96
# Beyond this mean shell most weights are more than one, and a new step rounds them all anew: fewer and longer
# steps, or they never settle. A goal as high is not come to in haste.
_NEAR_ONE = 0.99
_FINE = (0.9, 30, 0.03)
_HIGH = 0.985
_HALFWAY = 0.95
# Coding and reading back, in units of coding: reading takes as long, and weights spread over more blocks later on.
_CODED_AND_READ = 2.8


class Deadline:
    """When a search must end for its result to be coded and read back in time.

    Coding is timed on the search's own weights, again whenever there are twice as many.

    Args:
        at: `time.monotonic` by which that must be done; infinite without a limit.
        grace: seconds that a search may take in any case, to have something to show.
    """

    def __init__(self, at: float, grace: float = 0.0) -> None:
        self._at, self._began, self._grace = at, time.monotonic(), grace
        self._count, self._seconds = 0, 0.0

    def wants_trial(self, count: int) -> bool:
        """Whether coding so many weights should be timed now."""
        # By what the last trial took: what it says of many more weights is too much, and would forbid all further ones.
        return self._at < math.inf and count > 2 * self._count and self.left(self._count) > 0

    def time_coding(self, count: int, code: Callable[[], object]) -> None:
        """Time the coding of so many weights."""
        began = time.monotonic()
        code()
        self._count, self._seconds = count, time.monotonic() - began

    def left(self, count: int) -> float:
        """Seconds left to search for a result of so many weights."""
        more = max(count / self._count, 1.0) if self._count else 1.0
        return self._at - time.monotonic() - _CODED_AND_READ * more * self._seconds

    @property
    def has_grace(self) -> bool:
        """Whether a search that has nothing to show yet may go on beyond the time."""
        return time.monotonic() - self._began < self._grace

    def used(self, count: int, schedules: int) -> float:
        """Share of the time of the first of so many schedules that is gone, 0 to 1; 0 for ever without a limit."""
        gone, left = time.monotonic() - self._began, self.left(count)
        return 1.0 if left <= 0 else min(1.0, schedules * gone / (gone + left))
