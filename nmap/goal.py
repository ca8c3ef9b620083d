"""What a fit was asked to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nmap.fit.options import EncodeOptions
from nmap.inspection import Inspection
from nmap.spectrum import floored

_ASKING = {"noise": "the map's noise", "cross-validation": "cross-validation"}
MISSED = ("goal-not-reached", "below-goal")
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
        reached = "nothing" if self.reached is None else _number(self.reached)
        return f"the goal was not reached: {self.of} {reached}, wanted {self.wanted:.4g}"


def _number(value: float) -> str:
    """Bytes, a correlation, or a share; below 1 never as if it were more."""
    return floored(value) if value < 1 else f"{value:.0f}"


def goal_of(options: EncodeOptions, found: Inspection) -> Goal:
    """The goal of a fit, as its record says that it went."""
    most = options.goal_bytes(found.grid.size)
    if most is not None:
        taken = sum(found.sizes[part] for part in ("weights", "gains", "envelope"))
        return Goal("bytes", most, taken, taken <= most)
    codes = [notice.get("code") for notice in found.notices if isinstance(notice, dict)]
    worst = found.record.get("fidelity", {}).get("worst")
    reached = float(worst) if isinstance(worst, int | float) else None
    settings = found.record.get("fit", {}).get("settings", {})
    # What was aimed at: in noisy solvent a preset asks for less.
    wanted = settings.get("target_fsc") if isinstance(settings, Mapping) else None
    aimed = float(wanted) if isinstance(wanted, int | float) else options.goal_fsc
    met = not any(code in MISSED for code in codes)
    for notice in found.notices:
        facts = notice.get("facts", {}) if isinstance(notice, Mapping) else {}
        if isinstance(notice, Mapping) and notice.get("code") == "shared-part":
            shared = facts.get("worst")
            return Goal(
                "worst-shell FSC with what the frames share",
                aimed,
                float(shared) if shared is not None else None,
                met,
            )
        if facts.get("of") in ("noise", "cross-validation") and isinstance(facts.get("worst"), int | float):
            return Goal(
                f"worst shell as a share of what {_ASKING[facts['of']]} asks", 1.0, float(facts["worst"]), met
            )
    return Goal("worst-shell FSC", aimed, reached, met)
