"""Bytes at equal fidelity: nmap and classical codecs on one map, in one run.

Run as `python -m bench.rate MAP --resolution R`; README.md says more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.command import map_parser, run_command
from bench.measure import OURS, Row, is_ours, measure
from bench.plot import plot_rates
from bench.reporting import against_table, compare_with, rate_page, rate_result, write_json
from bench.rivals import CODECS
from bench.source import read_source
from bench.table import rate_table, summary
from nmap.errors import OptionError

TARGETS = (0.5, 0.9, 0.98)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    return run_command("bench.rate", argv, _parser(), _run)


def _parser() -> argparse.ArgumentParser:
    parser = map_parser("bench.rate", __doc__, "NAME.json, NAME.md and NAME.png")
    add = parser.add_argument
    add("--targets", default=",".join(f"{t:g}" for t in TARGETS), help="worst-shell FSC, comma-separated")
    add(
        "--codecs",
        default=",".join([OURS, *CODECS]),
        help="of: %(default)s; nmap:siren for another model kind",
    )
    add("--plot", type=Path, help="write the plot here")
    add("--against", type=Path, metavar="JSON", help="compare bytes with what rivals.py --json wrote")
    return parser


def _run(options: argparse.Namespace, command: str) -> int:
    targets, codecs = _targets(options.targets), _codecs(options.codecs)
    source = read_source(options.map, options.resolution, options.mask)
    against = json.loads(options.against.read_text("utf-8")) if options.against else None
    print(f"{source.name}: {source.grid}, shells 1..{source.last}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        rows = measure(
            source,
            codecs,
            targets,
            Path(work),
            symmetry=options.symmetry,
            effort=options.effort,
            report=_report,
        )
    result = rate_result(command, source, rows, targets)
    print(rate_table(rows, result["bound"], source.raw_bytes))
    print("\n".join(summary(rows)))
    if against is not None:
        result["against"] = compare_with(against, rows)
        print("\nagainst rivals.py:\n" + against_table(result["against"]))
    if options.json:
        write_json(result, options.json)
    if options.plot:
        plot_rates(source, rows, options.plot)
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
        stem = options.name or source.name.split(".")[0]
        write_json(result, options.results / f"{stem}.json")
        plot_rates(source, rows, options.results / f"{stem}.png")
        (options.results / f"{stem}.md").write_text(rate_page(result, rows, f"{stem}.png"), encoding="utf-8")
    return 0 if all(row.meets for row in rows if is_ours(row.codec)) else 1


def _report(row: Row) -> None:
    what = f"{row.size} bytes, worst shell {row.worst_fsc:.4f}" if row.size and row.worst_fsc else row.note
    print(f"  {row.codec} at {row.target:g}: {what}", file=sys.stderr, flush=True)


def _targets(text: str) -> list[float]:
    try:
        targets = [float(part) for part in text.split(",")]
    except ValueError:
        targets = []
    if not targets or not all(0 < target < 1 for target in targets):
        raise OptionError(f"targets {text!r}: wanted comma-separated numbers between 0 and 1")
    return targets


def _codecs(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in CODECS and not is_ours(name)]
    if unknown:
        raise OptionError(f"codecs {', '.join(unknown)}: wanted of {', '.join([OURS, *CODECS])}")
    return names


if __name__ == "__main__":
    sys.exit(main())
