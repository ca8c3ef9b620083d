"""What a fit owes in every Fourier shell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmap.fit.options import EncodeOptions
from nmap.fit.target.noise import near_lossless
from nmap.fit.target.prepare import F64, Target

# No shell is asked to miss less than this share of its power: float32 could not tell.
_LEAST_MISSING = 1e-6


@dataclass(frozen=True, eq=False)
class ShellGoal:
    """The correlation with the target that every shell must reach.

    Attributes:
        share: the goal, as a share of the ceiling.
        ceiling: highest correlation worth having, by shell, (last + 1,).
        modes: Fourier modes of each shell, (last + 1,); 0 in those that do not count.
        of: what sets the ceiling: "fsc" for 1 everywhere, or the map's own "noise".
    """

    share: float
    ceiling: F64
    modes: F64
    of: Literal["fsc", "noise"]

    @property
    def wanted(self) -> F64:
        """Correlation by shell, (last + 1,)."""
        return self.share * self.ceiling

    @property
    def missing(self) -> F64:
        """Share of its power that each shell may miss, (last + 1,)."""
        missing: F64 = np.maximum(1 - np.square(self.wanted), _LEAST_MISSING)
        return missing

    @property
    def level(self) -> float:
        """The correlation that would cost as much were it asked of every shell alike."""
        logs = np.average(np.log(self.missing), weights=self.modes) if self.modes.any() else 0.0
        return math.sqrt(1 - math.exp(float(logs)))

    @property
    def weights(self) -> F64:
        """How much an error in each shell counts, (last + 1,): more where less may be missing; 1 if all owe alike."""
        return (1 - self.level**2) / self.missing

    def alike(self, fsc: NDArray[np.floating]) -> F64:
        """Correlations by shell, (..., last + 1), as they count beside `level`: at least that where the goal is met."""
        missed = (1 - np.square(np.clip(fsc[..., : self.ceiling.size], 0, 1))) * self.weights
        alike: F64 = np.sqrt(np.clip(1 - missed, 0, 1))
        return alike

    def worst(self, fsc: NDArray[np.floating]) -> float:
        """The lowest of the same, over the shells that count."""
        return float(self.alike(fsc)[self.modes > 0].min(initial=1.0))

    def reached(self, fsc: NDArray[np.floating]) -> float:
        """The lowest correlation as a share of the ceiling, over the shells that count."""
        return float((fsc[: self.ceiling.size] / self.ceiling)[self.modes > 0].min(initial=1.0))


def shell_goal(target: Target, options: EncodeOptions) -> ShellGoal:
    """The goal of a fit: what its options ask for, and what the map's noise allows."""
    share, count = options.goal_for(target.masked), target.last + 1
    modes = target.shells.modes[:count].astype(np.float64)
    modes[target.negligible[:count]] = 0
    modes[0] = 0
    owed = near_lossless(target) if options.keeps_noise else None
    if owed is not None:
        return ShellGoal(1.0, owed.astype(np.float64), modes, "noise")
    return ShellGoal(share, np.ones(count), modes, "fsc")
