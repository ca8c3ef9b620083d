"""What runs in a process of its own: search, encode and decode, each from files to files."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench import ours
from bench.rivals import CODECS
from bench.search import TRIES, smallest
from bench.source import Source, make_source
from nmap.grid import Grid
from nmap.maps import DensityMap


def search_rival(source: str, codec: str, targets: list[float], tries: int = TRIES) -> dict[str, Any]:
    """The smallest trials of a codec at each target, or the package that it lacks."""
    try:
        found = smallest(Source.load(Path(source)), CODECS[codec], targets, tries)
    except ImportError as error:
        return {"missing": error.name or CODECS[codec].package}
    return {"trials": [None if trial is None else asdict(trial) for trial in found]}


def encode_rival(source: str, codec: str, knob: float, coded: str) -> dict[str, Any]:
    """Encode once at a known knob."""
    volume = Source.load(Path(source))
    _warm(codec, knob)
    started = time.perf_counter()
    data = CODECS[codec].encode(volume, knob)
    seconds = time.perf_counter() - started
    Path(coded).write_bytes(data)
    return {"seconds": seconds, "size": len(data)}


def decode_rival(grid: dict[str, Any], codec: str, knob: float, coded: str, decoded: str) -> dict[str, Any]:
    """Decode what `encode_rival` wrote, from its bytes and the grid alone."""
    _warm(codec, knob)
    data = Path(coded).read_bytes()
    started = time.perf_counter()
    values = CODECS[codec].decode(data, Grid(**grid))
    seconds = time.perf_counter() - started
    np.save(decoded, values)
    return {"seconds": seconds}


def _warm(codec: str, knob: float) -> None:
    """Code a small block of noise, so that libraries are loaded before a clock starts."""
    noise = np.random.default_rng(0).standard_normal((16, 16, 16), dtype=np.float32)
    block = make_source(DensityMap(noise, Grid(noise.shape, (1.0, 1.0, 1.0))), "noise", 3.0)
    CODECS[codec].decode(CODECS[codec].encode(block, knob), block.grid)


def encode_ours(source: str, settings: dict[str, Any], coded: str) -> dict[str, Any]:
    """Make a `.nmap` file that reaches a target."""
    return {"seconds": ours.encode(Source.load(Path(source)), ours.Settings(**settings), Path(coded))}


def decode_ours(coded: str, decoded: str) -> dict[str, Any]:
    """Decode a `.nmap` file on its own grid, and count its bytes; torch plays no part, nor its memory."""
    assert "torch" not in sys.modules
    values, seconds = ours.decode(Path(coded))
    np.save(decoded, values)
    size, container = ours.count(Path(coded))
    return {"seconds": seconds, "size": size, "container": container}
