"""What an encode was asked to reach, whether it did, and options that make no sense for a map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmap.fit.options import EncodeOptions
from nmap.grid import Grid
from nmap.inspection import Inspection

_MISSED = ("goal-not-reached", "below-goal")
"""Codes of the notices that say that a goal was missed (`nmap.outcomes`)."""
_POOR = 0.5
"""Correlation with the source over the whole box below which a file shows little of its map."""
_WIDE = 5.0
"""Angstrom; coarser voxels are those of tomograms, or of a size given in other units."""


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


def poor_fit(found: Inspection) -> str:
    """What to say of a file that shows little of its map; "" of all others."""
    correlation = found.record.get("fidelity", {}).get("correlation")
    if not isinstance(correlation, int | float) or correlation >= _POOR:
        return ""
    return (
        f"the file correlates with its map by {correlation:.3f} only: most of the map is finer than the resolution, "
        "outside the mask, or noise"
    )


def odd_settings(options: EncodeOptions, grid: Grid, output: Path) -> Iterator[str]:
    """Settings that make no sense, before any work is done."""
    if output.suffix.lower() != ".nmap":
        yield f"{output}: its name does not end in .nmap, by which programs know these files"
    finest = 1 / grid.nyquist
    if options.resolution is not None and options.resolution < finest:
        yield (
            f"--resolution {options.resolution:g}: finer than the voxels can show, {finest:.4g} A: is it in Angstrom?"
        )
    voxel = max(v for v, n in zip(grid.voxel_size, grid.shape[::-1], strict=True) if n > 1)
    if voxel > _WIDE:
        yield f"voxels of {voxel:.4g} A: is their size in Angstrom? --voxel-size gives another"
