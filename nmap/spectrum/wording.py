"""How correlations are written, and what the shells of a 2-D image are called: rings, and their correlation FRC."""

from __future__ import annotations

import math
import re

from nmap.grid import Grid

# Words of a text: not those in data URIs, file names or markup.
_WORDS = re.compile(r"""data:[^"']*|(?<!["./\w])(FSC|[Ss]hells?)\b(?![.-]\w)""")

# Decimals of a correlation, and the most that it gets where it is close to 1.
_DECIMALS, _MOST_DECIMALS = 4, 6


def floored(value: float) -> str:
    """A correlation as every print shows it: to four decimals, near 1 to two digits of what it lacks of that.

    It is rounded down: what falls short of a limit does not read as if it reached that.
    """
    if not math.isfinite(value):
        return f"{value}"
    digits = _DECIMALS  # of 1 itself, of a share beyond it, and of what single precision cannot tell from 1
    if value < 1 - 10**-_MOST_DECIMALS:
        digits = min(max(_DECIMALS, 1 - math.floor(math.log10(1 - value))), _MOST_DECIMALS)
    elif value < 1:
        value = 1.0
    return f"{math.floor(value * 10**digits + 1e-9) / 10**digits:.{digits}f}"


def worded(text: str, grid: Grid) -> str:
    """A text on Fourier shells and FSC as it reads for maps on `grid`: of a 2-D image on rings and FRC."""
    return _WORDS.sub(_ring, text) if grid.is_flat else text


def _ring(found: re.Match[str]) -> str:
    word = found[0]
    if word.startswith("data:"):
        return word
    return "FRC" if word == "FSC" else word.replace("sh", "r").replace("Sh", "R").replace("ell", "ing")
