"""How correlations are written, and what the shells of a 2-D image are called: rings, and their correlation FRC."""

from __future__ import annotations

import math
import re

from nmap.grid import Grid

# Words of a text: not those in data URIs, file names or markup.
_WORDS = re.compile(r"""data:[^"']*|(?<!["./\w])(FSC|[Ss]hells?)\b(?![.-]\w)""")


def floored(value: float) -> str:
    """A correlation rounded down, to two digits of what it lacks of 1: never more than was reached."""
    digits = min(max(2, 1 - math.floor(math.log10(max(1 - value, 1e-9)))), 9)
    return f"{math.floor(value * 10**digits + 1e-9) / 10**digits:.{digits}f}"


def worded(text: str, grid: Grid) -> str:
    """A text on Fourier shells and FSC as it reads for maps on `grid`: of a 2-D image on rings and FRC."""
    return _WORDS.sub(_ring, text) if grid.is_flat else text


def _ring(found: re.Match[str]) -> str:
    word = found[0]
    if word.startswith("data:"):
        return word
    return "FRC" if word == "FSC" else word.replace("sh", "r").replace("Sh", "R").replace("ell", "ing")
