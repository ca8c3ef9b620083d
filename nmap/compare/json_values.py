"""Findings as JSON values: any frozen dataclass of numbers, curves and grids, by the names of its fields.

A class adds derived figures by naming them in `ALSO`, says what it is in `WHAT`, and gives fields other names in
`RENAMED`, or None to leave one out. A field that is called `curve` is spread into its object. Nothing here knows any
of the classes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nmap.grid import Grid
from nmap.spectrum import CONVENTIONS, NEGLIGIBLE_RULE, Margin, ShellCurve

DIGITS = 7
"""Significant digits of a number in JSON: what single precision holds."""

THRESHOLDS = (0.9, 0.5, 0.143)
"""Correlations at which the crossings of a curve are told."""

CROSSING_RULE = (
    "Angstrom; linear between the last shell above and the first below (crossing_shells); the first fall counts, "
    "shell 0 and negligible shells do not; null: not before Nyquist"
)


def finite(value: float | None, digits: int = DIGITS) -> float | None:
    """A number rounded to `digits` significant ones; None if it is not finite, which JSON cannot say."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def as_json(value: Any) -> Any:
    """A value as JSON has it: numbers rounded to `DIGITS`, what is not finite as null.

    Raises:
        TypeError: a value that no finding holds.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float | np.floating):
        return finite(float(value))
    if isinstance(value, np.ndarray):
        return [as_json(item) for item in value.ravel().tolist()]
    if isinstance(value, ShellCurve):
        return curve_json(value)
    if isinstance(value, Margin):
        return margin_json(value)
    if isinstance(value, Grid):
        return grid_json(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return fields_json(value)
    if isinstance(value, Mapping):
        return {str(name): as_json(item) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [as_json(item) for item in value]
    raise TypeError(
        f"{type(value).__name__} in findings: wanted numbers, text, curves, or dataclasses of these"
    )


def fields_json(value: Any) -> dict[str, Any]:
    """A dataclass as a JSON object."""
    made: dict[str, Any] = {}
    renamed: Mapping[str, str | None] = getattr(type(value), "RENAMED", {})
    for title in ("what", "method"):
        if (text := getattr(type(value), title.upper(), None)) is not None:
            made[title] = text
    for field in dataclasses.fields(value):
        name, part = renamed.get(field.name, field.name), getattr(value, field.name)
        if field.name == "curve":
            made.update(as_json(part))
        elif name is not None:
            made[name] = as_json(part)
    return made | {name: as_json(getattr(value, name)) for name in getattr(type(value), "ALSO", ())}


def curve_json(curve: ShellCurve, thresholds: Sequence[float] = THRESHOLDS) -> dict[str, Any]:
    """A correlation curve with its crossings and its convention."""
    crossings = {f"{threshold:g}": curve.crossing_at(threshold) for threshold in thresholds}
    negligible = curve.negligible if curve.negligible is not None else np.zeros(curve.fsc.size, bool)
    return {
        "frequency": as_json(curve.frequency),
        "fsc": as_json(curve.fsc),
        "modes": as_json(curve.modes),
        "negligible": [bool(shell) for shell in negligible],
        "crossings": {name: finite(c.resolution) for name, c in crossings.items()},
        "crossing_shells": {
            name: [finite(c.last_above), finite(c.first_below)] for name, c in crossings.items()
        },
        "convention": CONVENTIONS[curve.convention],
        "crossing_rule": CROSSING_RULE,
        "negligible_rule": NEGLIGIBLE_RULE,
    }


def margin_json(margin: Margin) -> dict[str, Any]:
    """By how much a decode is nearer to half 2 than half 1 is."""
    return {
        "what": "FSC(decoded, half 2) - FSC(half 1, half 2); of a fit of half 1 alone a cross-validation",
        "frequency": as_json(margin.frequency),
        "value": as_json(margin.value),
        "standard_error": as_json(margin.error),
    }


def grid_json(grid: Grid) -> dict[str, Any]:
    """Where the samples lie."""
    return {
        "shape_zyx": list(grid.shape),
        "voxel_size_xyz": as_json(grid.voxel_size),
        "origin_xyz": as_json(grid.origin),
        "angles": as_json(grid.angles),
    }
