"""How patiently a search goes down: schedules by effort, the pace as the goal comes near, and the time there is."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import encode_lattice
from nmap.coding.lattice import BLOCK
from nmap.fit.bumps.moves import RATE
from nmap.fit.slowdown import Slowdown


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

    def pace(self, mean: float, goal: float | None) -> tuple[float, int, float]:
        """Decay, patience and settled share that suit the distance to the goal.

        Args:
            mean: correlation of the mean shell.
            goal: correlation wanted of every shell; None for as high as the bytes allow.
        """
        if goal is not None and mean < _FAR * goal:
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
_FAR = 0.85
# Beyond this mean shell most weights are more than one, and a new step rounds them all anew: fewer and longer
# steps, or they never settle. A goal as high is not come to in haste.
_NEAR_ONE, _FINE = 0.99, (0.9, 30, 0.03)
_HIGH, _HALFWAY = 0.985, 0.95
# Edges of the lattices that coding is timed on. Reading back takes as long as coding does; the rest is for what the
# trial does not show.
_TRIAL = (24, 48)
_CODED_AND_READ = 2.8


class Deadline:
    """When a search must end for its result to be coded, read back, stored and measured in time.

    Args:
        at: `time.monotonic` by which all must be done; infinite without a limit.
        grace: seconds that may be taken beyond that, to search and to code, where there is next to nothing to show.
        sites: how many sites there are.
        closing: seconds that storing and measuring take, but for the coding, on a machine with nothing else to do.
        slowdown: how much longer all that takes as things are.
    """

    def __init__(
        self, at: float, grace: float, sites: int, closing: float = 0.0, slowdown: Slowdown | None = None
    ) -> None:
        self._at, self._began, self._grace = at, time.monotonic(), grace
        self._of_site, self._of_weight = (0.0, 0.0) if at == math.inf else _coding_seconds()
        self._sites, self._closing = sites, closing
        self._slowdown = Slowdown() if slowdown is None else slowdown

    def _coding(self, count: int) -> float:
        """Seconds that coding and reading back so many weights take as things are."""
        coded = min(self._sites, count * (BLOCK**3 // 4))  # all sites of a block that holds a weight
        return self._slowdown.factor * (self._of_site * coded + self._of_weight * count)

    def left(self, count: int) -> float:
        """Seconds left to search for a result of so many weights."""
        closing = self._slowdown.factor * self._closing
        return self._at - time.monotonic() - self._coding(count) - closing

    def allows(self, count: int) -> bool:
        """Whether a result of so many weights can be coded in time, or in the grace."""
        return self.left(count) >= 0 or self._coding(count) <= self._grace

    @property
    def has_grace(self) -> bool:
        """Whether the search may go on beyond the time."""
        return time.monotonic() - self._began < self._grace

    def used(self, count: int, schedules: int) -> float:
        """Share of the time of the first of so many schedules that is gone, 0 to 1; 0 for ever without a limit."""
        gone, left = time.monotonic() - self._began, self.left(count)
        return 1.0 if left <= 0 else min(1.0, schedules * gone / (gone + left))


def _coding_seconds() -> tuple[float, float]:
    """Seconds of processor time that coding and reading back take for each site, and more for each weight on one."""
    small, large = (_trial(edge) for edge in _TRIAL)
    timed = []
    for weights in (np.where(_corners(small), small, 0), np.where(_corners(large), large, 0), small):
        began = time.thread_time()
        encode_lattice(weights)
        timed.append(_CODED_AND_READ * (time.thread_time() - began))
    apart = np.count_nonzero(large) - np.count_nonzero(small)
    return max(timed[1] - timed[0], 0.0) / apart, max(timed[2] - timed[0], 0.0) / np.count_nonzero(small)


def _trial(edge: int) -> NDArray[np.int8]:
    """A lattice (edge, edge, edge) with a weight, -2 to 2 at random, on every site."""
    z, y, x = np.indices((edge, edge, edge))
    weights = np.random.default_rng(0).integers(-2, 3, z.shape)
    return np.where((z % 2 == y % 2) & (y % 2 == x % 2), weights, 0).astype(np.int8)


def _corners(weights: NDArray[np.int8]) -> NDArray[np.bool_]:
    """The first site of every block."""
    return np.asarray((np.indices(weights.shape) % BLOCK == 0).all(0))
