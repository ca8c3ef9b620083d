"""Whether a file keeps side chains, as far as its own record tells: the one rule of every print and of the viewer.

Nothing is measured here: docs/fidelity.md says which worst shells were seen to keep every residue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nmap.fit.options import FAITHFUL_IN_NOISE, PRESETS
from nmap.neural_map import Record

KEPT_FROM: Mapping[str, float] = {"none": PRESETS["faithful"], "envelope": FAITHFUL_IN_NOISE}
"""Worst-shell FSC from which every residue was kept, by what it was measured on (`fidelity.mask`)."""

SHOWN_TO = 4.5
"""Band limit beyond which a map shows no side chains, Angstrom: what is kept is called detail then."""

RELATIVE = ("half-maps", "noise", "cross-validation")
"""What a goal may be a share of (`nmap.outcomes.Notice`): the worst shell alone says little of such a file."""

Verdict = Literal["kept", "may-be-missing", "not-known"]


@dataclass(frozen=True)
class SideChains:
    """What becomes of side chains.

    Attributes:
        verdict: "kept": the worst shell reaches what the preset `faithful` asks of this file; "may-be-missing": it
            does not, or the goal was lower; "not-known": the record does not tell.
        wanted: worst-shell FSC that keeps them.
        worst: worst-shell FSC of the file; None if it is not recorded.
    """

    verdict: Verdict
    wanted: float
    worst: float | None = None


def side_chains(record: Record) -> SideChains:
    """What a file's record tells of side chains."""
    fit, fidelity = record.get("fit", {}), record.get("fidelity", {})
    settings = fit.get("settings")
    goal = _number(settings.get("target_fsc")) if isinstance(settings, Mapping) else None
    worst = _number(fidelity.get("worst"))
    wanted = KEPT_FROM["envelope" if fidelity.get("mask") == "envelope" else "none"]
    if worst is not None and worst >= wanted:
        return SideChains("kept", wanted, worst)
    if goal is not None and goal < wanted:
        return SideChains("may-be-missing", wanted, worst)
    if worst is None or "half_map_fsc" in fidelity or _is_relative(fit.get("notes")):
        return SideChains("not-known", wanted, worst)
    return SideChains("may-be-missing", wanted, worst)


def subject(band_limit: float | None) -> str:
    """What the finest parts of a map are called: its side chains, or its detail where it shows none."""
    return "side chains" if band_limit is None or band_limit <= SHOWN_TO else "detail"


def _is_relative(notes: Any) -> bool:
    facts = (
        [note.get("facts") for note in notes if isinstance(note, Mapping)] if isinstance(notes, list) else []
    )
    return any(isinstance(one, Mapping) and one.get("of") in RELATIVE for one in facts)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
