"""Seconds to a fidelity: nmap, the thesis's recipe and neurcomp's, on one map, in one run.

Run as `python -m bench.time MAP --resolution R --fsc F`; README.md says more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.command import map_parser, run_command
from bench.measure import OURS, is_ours
from bench.ours import Settings
from bench.process import StepError, run_step
from bench.reach import Check, Reach, reach
from bench.reporting import circumstances, heading, write_json
from bench.source import Referee, Source, read_source
from bench.table import markdown_table
from nmap.errors import OptionError

NEVER = "never reached"
RECIPES = ("thesis", "neurcomp")
ENTRIES = (OURS, f"{OURS}:siren", *RECIPES)


@dataclass(frozen=True)
class Entry:
    """One way to fit, and how long it took.

    Attributes:
        name: of the recipe, "nmap", or "nmap:" and a model kind.
        reach: seconds to the target, and how that is known.
        size: bytes that decoding needs: nmap's as stored, the recipes' parameters as float32; None without
            a result.
        checks: what was measured on the way.
        peak: most memory of the process, bytes.
        details: parameters, batch and passes of a recipe.
    """

    name: str
    reach: Reach
    size: int | None = None
    checks: tuple[Check, ...] = ()
    peak: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    return run_command("bench.time", argv, _parser(), _run)


def _parser() -> argparse.ArgumentParser:
    parser = map_parser("bench.time", __doc__, "NAME-time.json and NAME-time.md")
    add = parser.add_argument
    add("--fsc", type=float, default=0.9, help="worst-shell FSC to reach (default %(default)s)")
    add("--entries", default=",".join(ENTRIES), help="what to run, of: %(default)s")
    add(
        "--seconds",
        type=float,
        default=120.0,
        help="training time of each recipe at most (default %(default)s)",
    )
    add("--checks", type=int, default=4, help="looks at each recipe on its way (default %(default)s)")
    add(
        "--device", default="cpu", choices=("cpu", "cuda"), help="where all of them run (default %(default)s)"
    )
    return parser


def _run(options: argparse.Namespace, command: str) -> int:
    names = options.entries.split(",")
    if not all(name in RECIPES or is_ours(name) for name in names):
        raise OptionError(f"entries {options.entries}: wanted of {', '.join(ENTRIES)}")
    if not (0 < options.fsc < 1 and options.seconds > 0 and options.checks >= 1):
        raise OptionError("wanted --fsc between 0 and 1, --seconds above 0 and --checks of at least 1")
    source = read_source(options.map, options.resolution, options.mask)
    entries = []
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        source.save(Path(work) / "source.pickle")
        for name in names:
            entry = (
                _ours(name, source, Path(work), options)
                if is_ours(name)
                else _recipe(name, Path(work), options)
            )
            print(f"  {name}: {_seconds(entry)} s, {entry.reach.how}", file=sys.stderr, flush=True)
            entries.append(entry)
    result = {
        "benchmark": "time",
        **circumstances(command, source),
        "target": options.fsc,
        "device": options.device,
        "entries": [asdict(entry) for entry in entries],
    }
    print(time_table(entries, options.fsc))
    if options.json:
        write_json(result, options.json)
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
        stem = options.results / f"{options.name or source.name.split('.')[0]}-time"
        write_json(result, stem.with_suffix(".json"))
        stem.with_suffix(".md").write_text(time_page(result, entries), encoding="utf-8")
    return 0


def _ours(name: str, source: Source, work: Path, options: argparse.Namespace) -> Entry:
    coded, decoded = str(work / "coded.nmap"), str(work / "decoded.npy")
    settings = Settings(
        options.fsc, name.partition(":")[2], options.symmetry, options.effort, device=options.device
    )
    try:
        encoded = run_step(
            "bench.steps:encode_ours",
            source=str(work / "source.pickle"),
            settings=asdict(settings),
            coded=coded,
        )
        measured = run_step("bench.steps:decode_ours", coded=coded, decoded=decoded)
    except StepError as error:
        return Entry(name, Reach(None, False, f"not reached: {error}"))
    worst, median = Referee(source).worst_and_median(np.load(decoded))
    check = Check(encoded["seconds"], 0, worst, median)
    how = "measured: map in memory to file on disk, search included"
    if worst < options.fsc:
        how = f"not reached: {worst:.4f} after {check.seconds:.1f} s"
    reached = Reach(check.seconds if worst >= options.fsc else None, False, how)
    return Entry(name, reached, measured["size"], (check,), encoded["peak_bytes"])


def _recipe(name: str, work: Path, options: argparse.Namespace) -> Entry:
    try:
        found = run_step(
            "bench.recipes:run_recipe",
            source=str(work / "source.pickle"),
            recipe=name,
            target=options.fsc,
            seconds=options.seconds,
            checks=options.checks,
            device=options.device,
        )
    except StepError as error:
        return Entry(name, Reach(None, False, f"failed: {error}"))
    checks = tuple(Check(**check) for check in found.pop("checks"))
    answer = reach(checks, options.fsc)
    if found["complete"] and checks[-1].worst < options.fsc:
        answer = Reach(None, False, f"{NEVER}: {checks[-1].worst:.3f} when the recipe ended")
    return Entry(name, answer, 4 * found["parameters"], checks, found.pop("peak_bytes"), found)


def time_table(entries: Sequence[Entry], target: float) -> str:
    """One line for each way to fit."""
    head = [
        "what",
        f"s to {target:g}",
        "s run",
        "worst shell then",
        "median shell",
        "s a pass of the box",
        "steps",
        "bytes",
        "MB",
        "how known",
    ]
    body = []
    for entry in entries:
        last = entry.checks[-1] if entry.checks else None
        passes = entry.details.get("passes")
        a_pass = f"{last.seconds / passes:.1f}" if last and passes else ""
        body.append(
            [
                entry.name,
                _seconds(entry),
                f"{last.seconds:.1f}" if last else "",
                f"{last.worst:.4f}" if last else "",
                f"{last.median:.4f}" if last else "",
                a_pass,
                f"{last.steps}" if last and last.steps else "",
                f"{entry.size}" if entry.size else "",
                f"{entry.peak / 1e6:.0f}" if entry.peak else "",
                entry.reach.how.replace("|", "/"),
            ]
        )
    return markdown_table(head, body)


def _seconds(entry: Entry) -> str:
    found = entry.reach
    if found.seconds is None:
        return f"> {entry.checks[-1].seconds:.0f}" if entry.checks and NEVER not in found.how else "never"
    return f"~{found.seconds:.2g}" if found.extrapolated else f"{found.seconds:.1f}"


TIME_NOTES = """
Seconds are of training alone for the two recipes (looking at them on their way is not counted), and from
the map in memory to the finished file for nmap. FSC is the lowest over the shells named above, against
source times mask on the whole grid. Where a recipe was not run to the target it says so; a figure with ~
is an extrapolation by the straight line of arctanh(FSC) against log(seconds) through its last looks, and
no measurement. Bytes are nmap's as stored, and the recipes' parameters as float32, which is how their
training leaves them.

- thesis: 3-256x8-1, omega 50, batch 256, Adam 1e-5, float32, voxel centres of the whole box.
- neurcomp: a sine layer and 7 residual sine blocks, as wide as voxels / 50 parameters allow, batch 1024 x 16,
  Adam 5e-5 falling to a fifth every 20 passes, 75 passes.
"""


def time_page(result: dict[str, Any], entries: Sequence[Entry]) -> str:
    """The Markdown page of a time benchmark."""
    lines = heading(result, f"Time to a worst-shell FSC of {result['target']:g}")
    return "\n".join([*lines, time_table(entries, result["target"]), ""]) + TIME_NOTES


if __name__ == "__main__":
    sys.exit(main())
