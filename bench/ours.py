"""nmap's own side of a benchmark: the one place that calls the encoder, and what is counted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.source import Source
from nmap.container import open_map, save, sizes
from nmap.maps import DensityMap

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """How to ask nmap for a file.

    Attributes:
        target: worst-shell FSC to reach.
        arch: model kind; "siren" is the one that `nmap encode` fits by default.
        symmetry: point group, "auto", or "" for the default.
        effort: how long to search; "" for the default.
        time_budget: seconds; None for no limit.
        device: where to fit; "" for the default.
    """

    target: float
    arch: str = "radial-basis"
    symmetry: str = ""
    effort: str = ""
    time_budget: float | None = None
    device: str = ""


def encode(source: Source, settings: Settings, path: Path) -> float:
    """Encode a source to a `.nmap` file with all that a user's file has.

    Returns:
        Seconds, from the map in memory to the file on disk; imports are not counted.
    """
    import torch  # noqa: F401  loaded before the clock starts, as the rivals' libraries are

    from nmap.fit.encode import encode
    from nmap.fit.options import EncodeOptions

    chosen = {
        name: getattr(settings, name) for name in ("arch", "symmetry", "effort", "time_budget", "device")
    }
    options = EncodeOptions(
        resolution=source.resolution,
        target_fsc=settings.target,
        **{name: value for name, value in chosen.items() if value},
    )
    started = time.perf_counter()
    neural_map = encode(DensityMap(source.values, source.grid, source.header), options)
    save(neural_map, path, overwrite=True)
    return time.perf_counter() - started


def decode(path: Path) -> tuple[F32, float]:
    """Decode a `.nmap` file on its source's grid.

    Returns:
        Density (z, y, x), and seconds from the file on disk.
    """
    started = time.perf_counter()
    decoded = open_map(path).as_array()
    return decoded, time.perf_counter() - started


def count(path: Path) -> tuple[int, int]:
    """Bytes that decoding needs (weights, gains, envelope), and bytes of the whole file."""
    use = sizes(path)
    return use["weights"] + use["gains"] + use["envelope"], use["total"]
