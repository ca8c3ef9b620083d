"""What a rival is: a pair of functions, and the range of its quality knob."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.source import Source
from nmap.grid import Grid

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Codec:
    """A codec with one quality knob.

    Attributes:
        name: as in tables.
        encode: (source, knob) -> everything that decoding needs, bar the grid.
        decode: (bytes, grid) -> density (z, y, x) on the grid.
        knob: lowest and highest setting worth trying, in decibel; quality rises with it. None: no knob.
        package: what to install for it; "" for nothing.
        about: what it does, in a line.
    """

    name: str
    encode: Callable[[Source, float], bytes]
    decode: Callable[[bytes, Grid], F32]
    knob: tuple[float, float] | None
    package: str
    about: str


def tolerance(source: Source, knob: float) -> float:
    """Absolute error allowed at a knob: the map's standard deviation, `knob` decibel lower."""
    return float(source.values.std()) * 10 ** (-knob / 20)
