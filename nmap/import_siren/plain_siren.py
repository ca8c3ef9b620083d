"""What `nmap export-weights` writes beside the weights, as texts by name: where the network's coordinates lie."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nmap.container.json_text import parse_json
from nmap.errors import FormatError, GridError
from nmap.grid import Grid, Triple

MADE_BY = "nmap export-weights 1"
"""What the text `made_by` says; the number counts up when the texts change."""
TEXTS = ("made_by", "recipe", "coordinates", "alignment", "omegas", "offset", "scale", "grid")
"""Names of all texts."""
_MAX_TEXT = 1 << 16
"""Characters of a text: 256 omegas take some 5000."""
_MAX_OMEGAS = 256


@dataclass(frozen=True)
class PlainSiren:
    """What evaluating exported weights needs beside them.

    Attributes:
        grid: the source map's grid.
        omegas: factor of each sine layer.
        alignment: "box": sample i of n is at -1 + 2 i / n along an axis; "corners": at -1 + 2 i / (n - 1).
        offset: density where the network gives 0.
        scale: density per unit of network output.
    """

    grid: Grid
    omegas: tuple[float, ...]
    alignment: str
    offset: float
    scale: float

    def texts(self, recipe: str) -> dict[str, str]:
        """As texts by name.

        Args:
            recipe: Python lines that evaluate the weights.
        """
        shift = "n" if self.alignment == "box" else "(n - 1)"
        return {
            "made_by": MADE_BY,
            "recipe": recipe,
            "coordinates": "columns of the first weight are (z, y, x), without the thin axis of an image; "
            f"sample i of n lies at -1 + 2 i / {shift}, and in space at origin + i * voxel size",
            "alignment": self.alignment,
            "omegas": json.dumps(self.omegas),
            "offset": repr(self.offset),
            "scale": repr(self.scale),
            "grid": json.dumps(
                {
                    "shape_zyx": self.grid.shape,
                    "voxel_size_xyz_A": self.grid.voxel_size,
                    "origin_xyz_A": self.grid.origin,
                    "angles_deg": self.grid.angles,
                }
            ),
        }


def from_texts(texts: Mapping[str, str], name: str) -> PlainSiren | None:
    """What the texts of a weights file say; None where nmap did not write them.

    Args:
        texts: by name.
        name: of the file, for what is refused.

    Raises:
        FormatError: nmap wrote them and they are damaged, or by a version that this one does not know.
    """
    made_by = texts.get("made_by", "")
    if not made_by.startswith(MADE_BY.rpartition(" ")[0]):
        return None
    if made_by != MADE_BY:
        raise FormatError(f"{name}: made by {made_by!r:.40}: this version knows {MADE_BY!r}; update nmap")
    try:
        if any(len(texts[key]) > _MAX_TEXT for key in TEXTS):
            raise ValueError("a text is too long")
        grid = parse_json(texts["grid"], "grid")
        omegas = parse_json(f'{{"omegas":{texts["omegas"]}}}', "omegas")["omegas"]
        if not isinstance(omegas, list) or not 0 < len(omegas) <= _MAX_OMEGAS:
            raise ValueError(f"omegas {texts['omegas']!r:.60}")
        z, y, x = (_count(n) for n in grid["shape_zyx"])
        found = PlainSiren(
            Grid(
                (z, y, x),
                _triple(grid["voxel_size_xyz_A"]),
                _triple(grid["origin_xyz_A"]),
                _triple(grid["angles_deg"]),
            ),
            tuple(_number(omega) for omega in omegas),
            texts["alignment"],
            _number(float(texts["offset"])),
            _number(float(texts["scale"])),
        )
    except (FormatError, GridError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{name}: what it says of its coordinates is damaged: {error!s:.120}") from None
    if found.alignment not in ("box", "corners"):
        raise FormatError(f"{name}: alignment {found.alignment!r:.40}: wanted 'box' or 'corners'")
    return found


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is no finite number")
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.40} is no count")
    return value


def _triple(values: Any) -> Triple:
    a, b, c = (_number(value) for value in values)
    return a, b, c
