"""The thesis's experiments, one or all: `python -m bench.thesis N|all|estimate|page [--map F] [--quick]`.

Each experiment's result is written as soon as it is there, so an interrupted `all` loses one experiment at
most; with --resume it goes on. Experiment 4, a sweep, goes on by itself where it was cut off.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.machine import describe_machine, describe_versions
from bench.reporting import command_line
from bench.thesis.page import ESTIMATE, SECTIONS, page, read_results
from bench.thesis.setup import Setup
from nmap.errors import NmapError
from nmap.machine.atomic import atomic_output
from nmap.maps import DensityMap, read_map

EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_3488.map.gz"
RESULTS = Path(__file__).parents[1] / "results"
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (NmapError, OSError) as error:
        print(f"bench.thesis: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, NmapError) else 4
    except KeyboardInterrupt:
        print(
            "bench.thesis: interrupted; finished experiments are kept: the same command with --resume goes on",
            file=sys.stderr,
        )
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.thesis", description=__doc__)
    add = parser.add_argument
    add(
        "experiment",
        choices=(*SECTIONS, "all", "page"),
        help="number; all of them; estimate: what they would take without --quick; page: only the page again",
    )
    add("--map", type=Path, default=EXAMPLE, help="MRC or CCP4 map (default: the example, EMD-3488)")
    add("--quick", action="store_true", help="small networks and few steps, for two cores")
    add(
        "--tiny", action="store_true", help="the smallest that runs at all: a trial, its numbers mean nothing"
    )
    add("--weights", type=Path, help="the thesis's own network of T20S (.npz), for experiment 5")
    add(
        "--results", type=Path, default=RESULTS, metavar="DIR", help="folder of thesis.json, .md and pictures"
    )
    add(
        "--resume",
        action="store_true",
        help="leave out what thesis.json holds of the same command, map, version",
    )
    add("--seed", type=int, default=0)
    return parser


def _run(options: argparse.Namespace) -> int:
    path: Path = options.results / "thesis.json"
    if options.experiment != "page":
        options.results.mkdir(parents=True, exist_ok=True)
        density = read_map(options.map)
        setup = Setup(
            density,
            options.map.name.split(".")[0],
            options.quick,
            options.tiny,
            options.results,
            options.weights,
            options.seed,
        )
        every = [number for number in SECTIONS if number != ESTIMATE]
        for number in every if options.experiment == "all" else [options.experiment]:
            if options.resume and _held(number, setup, options, read_results(path)):
                print(f"experiment {number}: {path} holds it already", file=sys.stderr, flush=True)
                continue
            found = _one(number, setup, options)
            results = read_results(path)  # only now: another run may have written meanwhile
            results.setdefault(number, {})[setup.name] = found
            _write(path, json.dumps(results, indent=None, allow_nan=False, separators=(",", ":")) + "\n")
            print(*SECTIONS[number].lines(found["found"]), sep="\n", flush=True)
    _write(options.results / "thesis.md", page(read_results(path)))
    return 0


def _command(number: str, options: argparse.Namespace) -> str:
    """The command of one experiment as a reader would type it."""
    given = ["--quick"] * options.quick + ["--tiny"] * options.tiny
    given += ["--seed", str(options.seed)] if options.seed else []
    given += ["--weights", str(options.weights)] if options.weights and number == "5" else []
    return command_line("bench.thesis", [number, "--map", options.map.name, *given])


def _held(number: str, setup: Setup, options: argparse.Namespace, results: dict[str, Any]) -> bool:
    """Whether the results hold this experiment of the same command, map and versions."""
    run = results.get(number, {}).get(setup.name)
    return run is not None and (
        run["command"] == _command(number, options)
        and run["source"] == _source(setup.density)
        and run["versions"] == describe_versions()
    )


def _one(number: str, setup: Setup, options: argparse.Namespace) -> dict[str, Any]:
    """Run one experiment, and say what it was run on."""
    print(f"{number}: {SECTIONS[number].title}, on {setup.name}", file=sys.stderr, flush=True)
    started, before = time.perf_counter(), sum(os.times()[:4])
    found = _experiments()[number](setup)
    return {
        "command": _command(number, options),
        "source": _source(setup.density),
        "machine": describe_machine(),
        "versions": describe_versions(),
        "seconds": time.perf_counter() - started,
        "processor_seconds": sum(os.times()[:4]) - before,  # of the processes that it started too
        "found": found,
    }


def _experiments() -> dict[str, Callable[[Setup], dict[str, Any]]]:
    from bench.thesis.capacity import experiment_4
    from bench.thesis.estimate import estimate
    from bench.thesis.future import experiment_6
    from bench.thesis.memory import experiment_3
    from bench.thesis.slices import experiment_1, experiment_2
    from bench.thesis.volumes import experiment_5

    made = (experiment_1, experiment_2, experiment_3, experiment_4, experiment_5, experiment_6)
    return {ESTIMATE: estimate, **{str(number): each for number, each in enumerate(made, 1)}}


def _source(density: DensityMap) -> dict[str, Any]:
    header = density.header
    return {
        "name": header.name if header else "",
        "sha256": header.sha256 if header else "",
        "shape_zyx": list(density.grid.shape),
        "voxel_size_xyz": list(density.grid.voxel_size),
    }


def _write(path: Path, text: str) -> None:
    with atomic_output(path, overwrite=True) as out:
        out.write(text.encode())


if __name__ == "__main__":
    sys.exit(main())
