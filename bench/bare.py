"""What a bare SIREN loses against the full form: bytes, fidelity on the voxels and between them, CPU time.

python -m bench.bare emd_3488.map.gz --resolution 3.2 --results bench/results
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.command import map_parser, run_command
from bench.ours import count
from bench.reporting import circumstances, heading, write_json
from bench.source import F32, Referee, Source, read_source
from bench.table import markdown_table
from nmap.container import open_map, save
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.maps import DensityMap
from nmap.spectrum import band_limited, resample

# Worst-shell FSC of the full forms, and bytes of the bare ones, beside the size that the map itself asks for.
_TARGETS = (0.9, 0.98)
_BYTES = (8_000, 25_000)
_ON, _OFF = slice(0, None, 2), slice(1, None, 2)
# Where samples of twice the sampling lie: on voxels, and half way along one, two and three axes.
_PLACES = {
    "voxels": (_ON, _ON, _ON),
    "edges": (_ON, _ON, _OFF),
    "faces": (_ON, _OFF, _OFF),
    "cells": (_OFF, _OFF, _OFF),
}


@dataclass(frozen=True)
class Row:
    """One file.

    Attributes:
        name: form and goal.
        network: layers of the network.
        size: bytes that decoding needs.
        container: bytes of the whole file.
        worst: lowest FSC of the shells to the resolution.
        median: median FSC of these shells.
        between: correlation with the band-limited source at twice its sampling, by place.
        cpu: seconds of CPU time of the fit.
    """

    name: str
    network: str
    size: int
    container: int
    worst: float
    median: float
    between: dict[str, float]
    cpu: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = map_parser("bench.bare", __doc__, "NAME-bare.json and .md")
    parser.add_argument("--steps", type=int, help="training steps of the bare ones; default: by the map")
    return run_command("bench.bare", argv, parser, _run)


def forms(symmetry: str, steps: int | None) -> dict[str, dict[str, Any]]:
    """Options of each fit by its name."""
    out: dict[str, dict[str, Any]] = {}
    for arch in ("radial-basis", "siren"):
        for target in _TARGETS:
            options = {"arch": arch, "target_fsc": target, "symmetry": symmetry or "C1"}
            out[f"{arch}, FSC {target:g}"] = options
    for size in _BYTES:
        out[f"bare, {size} bytes"] = {"bare": True, "max_bytes": size, "steps": steps}
    out["bare, by the map"] = {"bare": True, "steps": steps}
    return out


def measure(source: Source, name: str, options: dict[str, Any], path: Path) -> Row:
    """Fit, store and read back one form."""
    from nmap.inspection import inspect

    density = DensityMap(source.values, source.grid, source.header)
    began = time.process_time()
    save(encode(density, EncodeOptions(resolution=source.resolution, **options)), path, overwrite=True)
    cpu = time.process_time() - began
    neural_map = open_map(path)
    worst, median = Referee(source).worst_and_median(neural_map.as_array())
    fine = source.grid.resampled(source.grid.wide(tuple(2 * n for n in source.grid.shape)))  # type: ignore[arg-type]
    truth = resample(band_limited(source.values, source.grid, source.resolution), fine.shape)
    decoded = neural_map.on_grid(fine)
    between = {place: _correlation(decoded[at], truth[at]) for place, at in _PLACES.items()}
    size, container = count(path)
    return Row(name, inspect(path).network, size, container, worst, median, between, cpu)


def _correlation(a: F32, b: F32) -> float:
    return float(np.corrcoef(a.ravel().astype(np.float64), b.ravel().astype(np.float64))[0, 1])


def _run(options: argparse.Namespace, command: str) -> int:
    source = read_source(options.map, options.resolution, options.mask)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, chosen in forms(options.symmetry, options.steps).items():
            rows.append(measure(source, name, chosen, Path(folder) / "made.nmap"))
            print(f"{name}: {rows[-1]}", file=sys.stderr)
    result = {"benchmark": "bare", **circumstances(command, source), "rows": [asdict(row) for row in rows]}
    table = _table(rows)
    print(table)
    if options.json:
        write_json(result, options.json)
    if options.results:
        name = f"{options.name or options.map.name.split('.')[0]}-bare"
        write_json(result, options.results / f"{name}.json")
        page = [*heading(result, "Bare SIREN against the full form"), table, "", _NOTES]
        (options.results / f"{name}.md").write_text("\n".join(page), encoding="utf-8")
    return 0


_NOTES = """Bytes are all that decoding needs; the file has header, record and HDF5 side too. FSC is that of the
decode on the source's grid against source times mask. The last four columns correlate a decode at twice the
sampling with the source cut at the resolution: on its voxels, and half way between two, four and eight of them.
Seconds are of CPU time, one run each.
"""


def _table(rows: Sequence[Row]) -> str:
    head = ["form", "network", "bytes", "file", "worst shell", "median", "CPU s", *_PLACES]
    body = [
        [
            row.name,
            row.network,
            str(row.size),
            str(row.container),
            f"{row.worst:.3f}",
            f"{row.median:.3f}",
            f"{row.cpu:.1f}",
            *(f"{row.between[place]:.4f}" for place in _PLACES),
        ]
        for row in rows
    ]
    return markdown_table(head, body)


if __name__ == "__main__":
    sys.exit(main())
