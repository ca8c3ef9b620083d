"""What a fit was asked to reach, and whether it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmap.fit.options import EncodeOptions
from nmap.inspection import Inspection

_MISSED = ("goal-not-reached", "below-goal")
"""Codes of the notices that say that a goal was missed (`nmap.outcomes`)."""


@dataclass(frozen=True)
class Goal:
    """A goal, and what became of it.

    Attributes:
        of: "worst-shell FSC" or "bytes".
        wanted: of that.
        reached: of that; None where it was not measured.
        met: whether it was reached.
    """

    of: str
    wanted: float
    reached: float | None
    met: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        goal = {"of": self.of, "wanted": self.wanted}
        return {"goal": goal, "reached": self.reached, "goal_reached": self.met}

    def __str__(self) -> str:
        reached = "nothing" if self.reached is None else f"{self.reached:.4g}"
        return f"the goal was not reached: {self.of} {reached}, wanted {self.wanted:.4g}"


def goal_of(options: EncodeOptions, found: Inspection) -> Goal:
    """The goal of a fit, as its record says that it went."""
    most = options.goal_bytes(found.grid.size)
    if most is not None:
        taken = sum(found.sizes[part] for part in ("weights", "gains", "envelope"))
        return Goal("bytes", most, taken, taken <= most)
    codes = [notice.get("code") for notice in found.notices if isinstance(notice, dict)]
    worst = found.record.get("fidelity", {}).get("worst")
    reached = float(worst) if isinstance(worst, int | float) else None
    return Goal("worst-shell FSC", options.goal_fsc, reached, not any(code in _MISSED for code in codes))
