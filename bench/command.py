"""What the benchmarks' commands share: the arguments that name a map, and how a failure becomes an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.reporting import command_line
from nmap.errors import NmapError


def run_command(
    module: str,
    argv: Sequence[str] | None,
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace, str], int],
) -> int:
    """Read the arguments and run; a failure is one line on stderr.

    Args:
        module: name of the benchmark, such as "bench.rate".
        argv: arguments; the program's own if None.
        parser: reads them.
        run: takes them and the command as a reader would type it; gives the exit status.

    Returns:
        The exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parser.parse_args(arguments)
    try:
        return run(options, command_line(module, arguments))
    except (NmapError, OSError) as error:
        print(f"{module}: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, NmapError) else 4


def map_parser(module: str, doc: str | None, files: str) -> argparse.ArgumentParser:
    """A parser of the arguments that every comparison on one map takes.

    Args:
        module: name of the benchmark.
        doc: its docstring, whose first line is printed.
        files: what is written into the folder of results.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=(doc or "").splitlines()[0])
    add = parser.add_argument
    add("map", type=Path, help="MRC or CCP4 map")
    add("--resolution", type=float, required=True, help="Angstrom; every shell to it counts")
    add(
        "--mask",
        default="none",
        help="'auto' for nmap's own envelope, or a map file; multiplied into the map first",
    )
    add("--symmetry", default="", help="point group that nmap may use")
    add("--effort", default="", help="nmap's effort")
    add("--json", type=Path, help="write all figures here")
    add("--results", type=Path, metavar="DIR", help=f"write {files} into this folder")
    add("--name", help="of these files; default: the map's, up to the first dot")
    return parser
