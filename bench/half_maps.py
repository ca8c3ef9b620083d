"""What a decode of half map 1 shares with half map 2, and with the truth where it is known.

    python -m bench.half_maps HALF1 HALF2 --resolution R [--truth T] [--mask M] [--results DIR]

Half 1 alone is fitted (`--cross-validate`). FSC(decode, half 2) - FSC(half 1, half 2) is given over the whole
box, and, as every other FSC, inside the envelope of the fit, each map about its own solvent; both with the
standard error of the difference (`nmap.spectrum.uncertainty`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.command import run_command
from bench.ours import count
from bench.reporting import circumstances, heading, write_json
from bench.source import make_source
from bench.table import markdown_table
from nmap.container import open_map, save
from nmap.envelope.automatic import solvent_value
from nmap.errors import GridError
from nmap.fit.encode import encode
from nmap.fit.options import PRESETS, EncodeOptions
from nmap.fit.target.envelope import choose_envelope
from nmap.fit.target.half_maps import about_solvent
from nmap.maps import DensityMap, map_of, read_map
from nmap.outcomes import to_json
from nmap.report.fit_words import margin_words
from nmap.spectrum import Shells, band_limited, fsc, fsc_margin

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_COLUMNS = {
    "half1_half2": "half1, half2",
    "half1_cut_half2": "half1 cut, half2",
    "decode_half2": "decode, half2",
    "error_of_difference": "error of difference",
    "decode_half1": "decode, half1",
    "decode_truth": "decode, truth",
    "half1_truth": "half1, truth",
    "whole_box_half1_half2": "whole box: half1, half2",
    "whole_box_decode_half2": "decode, half2",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    return run_command("bench.half_maps", argv, _parser(), _run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.half_maps", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("half1", type=Path, help="MRC or CCP4 map, fitted")
    add("half2", type=Path, help="the other half, on the same grid")
    add("--resolution", type=float, required=True, help="Angstrom; every shell to it counts")
    add("--truth", type=Path, help="noise-free map, where it is known")
    add("--mask", type=Path, help="map of where the molecule is; default: found in the halves' average")
    add("--preset", default="faithful", choices=tuple(PRESETS))
    add("--effort", default="default", choices=("low", "default", "high"))
    add("--symmetry", default="auto", help="point group that nmap may use")
    add("--results", type=Path, metavar="DIR", help="write NAME.json and NAME.md into this folder")
    add("--name", help="of these files; default: half 1's, up to the first dot")
    return parser


def _run(given: argparse.Namespace, command: str) -> int:
    half1, half2 = read_map(given.half1), read_map(given.half2)
    if not half2.grid.matches(half1.grid):
        raise GridError(f"half 2 lies on {half2.grid}, half 1 on {half1.grid}: resample one of them")
    average = DensityMap(np.float32(0.5) * (half1.values + half2.values), half1.grid)
    options = EncodeOptions(
        arch="radial-basis",
        resolution=given.resolution,
        mask=read_map(given.mask) if given.mask else "auto",
        preset=given.preset,
        effort=given.effort,
        symmetry=given.symmetry,
        half1=half1,
        half2=half2,
        cross_validate=True,
    )
    solvent = solvent_value(average.values)
    mask = options.mask if options.mask in ("auto", "none") else map_of(options.mask)
    envelope = choose_envelope(average, mask, given.resolution, solvent, (half1, half2))
    inside = None if envelope.envelope is None else envelope.envelope.on_lattice(half1.grid.shape)
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        started = time.process_time()
        path = Path(work) / "a.nmap"
        save(encode(average, options), path)
        seconds, (needed, total) = time.process_time() - started, count(path)
        decoded = open_map(path).as_array()
    truth = read_map(given.truth).values if given.truth else None
    source = make_source(half1, given.half1.name, given.resolution, inside)
    result: dict[str, Any] = {
        "benchmark": "half_maps",
        **circumstances(command, source),
        "envelope": to_json(envelope.outcome),
        "bytes": needed,
        "file_bytes": total,
        "cpu_seconds": round(seconds, 1),
        **shares(decoded, half1, half2, truth, inside, given.resolution),
    }
    text = page(result)
    print(text)
    if given.results:
        given.results.mkdir(parents=True, exist_ok=True)
        stem = given.name or given.half1.name.split(".")[0]
        write_json(result, given.results / f"{stem}.json")
        (given.results / f"{stem}.md").write_text(text + "\n", encoding="utf-8")
    return 0


def shares(
    decoded: F32,
    half1: DensityMap,
    half2: DensityMap,
    truth: F32 | None,
    inside: F32 | None,
    resolution: float,
) -> dict[str, Any]:
    """FSC shell by shell from 1 to the resolution's, JSON-able.

    Args:
        decoded: decode of half 1, (z, y, x).
        half1: first half map.
        half2: second half map.
        truth: noise-free map (z, y, x), or None.
        inside: soft mask (z, y, x), or None for the whole box.
        resolution: band limit of the decode, Angstrom.
    """
    grid = half1.grid
    last = Shells(grid).last(resolution)

    def between(a: F32, b: F32) -> F64:
        a, b = about_solvent(inside, a, b)
        return np.asarray(fsc(a, b, grid, inside).fsc[1 : last + 1], np.float64)

    whole = fsc_margin(decoded, half1.values, half2.values, grid)
    one, other, third = about_solvent(inside, decoded, half1.values, half2.values)
    within = fsc_margin(one, other, third, grid, inside)
    # A mask mixes shells: what a decode lacks beyond its band limit shows in the last ones.
    alike = fsc_margin(one, band_limited(other, grid, resolution), third, grid, inside)
    counted = slice(1, last + 1)
    curves = {
        "half1_half2": within.second[counted],
        "half1_cut_half2": alike.second[counted],
        "decode_half2": within.first[counted],
        "error_of_difference": within.error[counted],
        "decode_half1": between(decoded, half1.values),
        "whole_box_half1_half2": whole.second[counted],
        "whole_box_decode_half2": whole.first[counted],
        "whole_box_error_of_difference": whole.error[counted],
    }
    if truth is not None:
        curves |= {"decode_truth": between(decoded, truth), "half1_truth": between(half1.values, truth)}
    out: dict[str, Any] = {name: np.round(curve, 5).tolist() for name, curve in curves.items()}
    for name, margin in (("whole_box", whole), ("inside", within), ("inside_cut", alike)):
        out[f"margin_{name}"] = {
            "lowest": round(margin.lowest(last), 5),
            "shells_below": int((margin.value[counted] < 0).sum()),
            "lowest_in_standard_errors": round(float(margin.errors[counted].min()), 3),
            "in_words": margin_words(to_json(margin.summary(last))),
        }
    return out


def page(result: dict[str, Any]) -> str:
    """The Markdown page, which is also what is printed."""
    lines = heading(result, "A decode of half map 1 against half map 2")
    lines += [
        f"- {result['bytes']} bytes (file {result['file_bytes']}), {result['cpu_seconds']} s of CPU time."
    ]
    for where, name in (
        ("the whole box", "whole_box"),
        ("inside the envelope", "inside"),
        ("inside the envelope, half 1 cut at the band limit as the decode is", "inside_cut"),
    ):
        margin = result[f"margin_{name}"]
        lines += [
            f"- FSC(decode, half 2) - FSC(half 1, half 2), {where}: {margin['in_words']}; below 0 in "
            f"{margin['shells_below']} of {len(result['half1_half2'])} shells."
        ]
    lines += ["- The table is inside the envelope, but for the columns that say whole box.", ""]
    shown = [name for name in _COLUMNS if name in result]
    box = max(
        n * v for n, v in zip(result["source"]["shape_zyx"], result["source"]["voxel_size_xyz"], strict=True)
    )
    head = ["shell", "A", *(_COLUMNS[name] for name in shown)]
    body = [
        [str(i + 1), f"{box / (i + 1):.2f}", *(f"{result[name][i]:.4f}" for name in shown)]
        for i in range(len(result["half1_half2"]))
    ]
    return "\n".join([*lines, markdown_table(head, body)])


if __name__ == "__main__":
    sys.exit(main())
