"""What the shells of a 2-D image are called: rings, and their correlation FRC."""

from __future__ import annotations

import re

from nmap.grid import Grid

# Words of a text: not those in data URIs, file names or markup.
_WORDS = re.compile(r"""data:[^"']*|(?<!["./\w])(FSC|[Ss]hells?)\b(?![.-]\w)""")


def worded(text: str, grid: Grid) -> str:
    """A text on Fourier shells and FSC as it reads for maps on `grid`: of a 2-D image on rings and FRC."""
    return _WORDS.sub(_ring, text) if grid.is_flat else text


def _ring(found: re.Match[str]) -> str:
    word = found[0]
    if word.startswith("data:"):
        return word
    return "FRC" if word == "FSC" else word.replace("sh", "r").replace("Sh", "R").replace("ell", "ing")
