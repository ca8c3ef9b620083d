"""Bytes against what becomes of the atoms, for nmap and for classical codecs.

    python -m bench.atoms MAP MODEL --resolution 3.2 [--archs radial-basis,siren] [--codecs white+sperr,...]
    [--results DIR]

Each codec at several rates: nmap at its presets, the others where every Fourier shell reaches a worst-shell FSC of
`--targets`. What was decoded from the bytes is scored against the source cut at the resolution: change of the Q of
the residues that this resolves (Q of 0.4 or more), correlation in the model's mask, FSC. `--results DIR` writes
NAME-atoms.md, NAME-atoms.json and NAME-atoms.png.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine import describe_machine
from bench.reporting import command_line
from bench.rivals import CODECS
from bench.search import smallest
from bench.source import Referee, Source, read_source
from bench.table import markdown_table
from nmap import encode
from nmap.compare.kept_atoms import compare_atoms
from nmap.container import open_map, save, sizes
from nmap.errors import QualityError
from nmap.fit.options import PRESETS, EncodeOptions
from nmap.maps import DensityMap
from nmap.model.kinds import KINDS
from nmap.spectrum import band_limited

F32 = NDArray[np.float32]

TARGETS = (0.9, 0.95, 0.98, 0.99, 0.995)
"""Worst-shell FSC at which the other codecs are looked at."""

RATES = ("preview", "0.97", "0.98", "0.985", "faithful", "near-lossless")
"""Presets and worst-shell FSC at which nmap is looked at."""

EQUAL = -0.05
"""The 5th percentile of the change of Q at which bytes are compared."""

_TRIES = 9


@dataclass(frozen=True)
class Row:
    """One codec at one rate.

    Attributes:
        codec: its name; "nmap KIND" for ours.
        rate: preset, or worst-shell FSC asked for.
        size: bytes that decoding needs.
        file: bytes of the whole `.nmap` without its HDF5 side; None for others.
        worst_fsc: lowest FSC of a shell to the resolution.
        mean_abs: mean absolute change of a resolved residue's Q.
        fifth: its 5th percentile.
        worst: the lowest.
        mean_all: mean change over all residues.
        cc_mask: correlation with the model's density in its mask.
        seconds: of the encode that was kept.
    """

    codec: str
    rate: str
    size: int
    file: int | None
    worst_fsc: float
    mean_abs: float
    fifth: float
    worst: float
    mean_all: float
    cc_mask: float
    seconds: float


class Bench:
    """A source, its model, and the rows made of them."""

    def __init__(self, source: Source, model: Path) -> None:
        self.source, self.model, self.referee = source, model, Referee(source)
        self.rows: list[Row] = []

    def score(self, codec: str, rate: str, decoded: F32, size: int, seconds: float, file: int | None) -> None:
        """Measure what was decoded, and keep the row."""
        source = self.source
        # What a codec kept beyond the resolution is nobody's gain here.
        cut = band_limited(decoded, source.grid, source.resolution)
        found = compare_atoms(self.model, cut, source.values, source.grid, band_limit=source.resolution)
        change = found.against_cut
        if change is None:
            sys.exit("bench.atoms: the map resolves no residue of the model")
        row = Row(
            codec,
            rate,
            size,
            file,
            self.referee.worst(decoded),
            change.mean_abs,
            change.fifth_percentile,
            change.worst,
            change.mean_all,
            found.cc_mask_decoded,
            seconds,
        )
        self.rows.append(row)
        print(
            f"  {codec} {rate}: {size} bytes, dQ {row.mean_abs:.4f} {row.fifth:+.3f}",
            file=sys.stderr,
            flush=True,
        )

    def ours(self, arch: str, rates: Sequence[str], symmetry: str) -> None:
        """A kind of network at each preset or worst-shell FSC."""
        density = DensityMap(self.source.values, self.source.grid, self.source.header)
        for rate in rates:
            began = time.perf_counter()
            chosen: dict[str, Any] = {"preset": rate} if rate in PRESETS else {"target_fsc": float(rate)}
            if arch == "radial-basis":
                chosen["symmetry"] = symmetry
            options = EncodeOptions(resolution=self.source.resolution, arch=arch, **chosen)
            with tempfile.TemporaryDirectory(prefix="bench-") as work:
                path = Path(work) / "coded.nmap"
                try:
                    save(encode(density, options), path, hdf5=False)
                except QualityError as missed:
                    print(f"  nmap {arch} {rate}: {missed}", file=sys.stderr)
                    continue
                seconds = time.perf_counter() - began
                use, decoded = sizes(path), open_map(path).as_array()
            size = use["weights"] + use["gains"] + use["envelope"]
            self.score(f"nmap {arch}", rate, decoded, size, seconds, use["total"])

    def rival(self, name: str, targets: Sequence[float]) -> None:
        """Another codec at each target that it reaches; once if it has no knob."""
        codec = CODECS[name]
        if codec.knob is None:
            began = time.perf_counter()
            data = codec.encode(self.source, 0.0)
            seconds = time.perf_counter() - began
            self.score(name, "", codec.decode(data, self.source.grid), len(data), seconds, None)
            return
        found = smallest(self.source, codec, targets, _TRIES)
        for target, trial in zip(targets, found, strict=True):
            if trial is None:
                print(f"  {name} at {target:g}: not reached", file=sys.stderr)
                continue
            began = time.perf_counter()
            data = codec.encode(self.source, trial.knob)
            seconds = time.perf_counter() - began
            self.score(name, f"{target:g}", codec.decode(data, self.source.grid), len(data), seconds, None)


def bytes_at(rows: Sequence[Row], wanted: float = EQUAL) -> float | None:
    """Bytes of one codec at a 5th percentile of the change of Q, between its rates; None beyond them.

    The logarithm of the bytes is taken to be linear in the logarithm of the loss.
    """
    points = sorted((max(-row.fifth, 1e-4), row.size) for row in rows)
    for (low, many), (high, few) in pairwise(points):
        if low <= -wanted <= high and high > low:
            share = (math.log(-wanted) - math.log(low)) / (math.log(high) - math.log(low))
            return math.exp(math.log(many) + share * (math.log(few) - math.log(many)))
    return None


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = [
        "codec",
        "rate",
        "bytes",
        "file",
        "worst FSC",
        "mean abs dQ",
        "5th pct",
        "worst",
        "all, mean",
        "CC_mask",
        "s",
    ]
    lines = [
        [
            row.codec,
            row.rate,
            f"{row.size}",
            "" if row.file is None else f"{row.file}",
            f"{row.worst_fsc:.4f}",
            f"{row.mean_abs:.4f}",
            f"{row.fifth:+.3f}",
            f"{row.worst:+.3f}",
            f"{row.mean_all:+.4f}",
            f"{row.cc_mask:.4f}",
            f"{row.seconds:.1f}",
        ]
        for row in rows
    ]
    return markdown_table(head, lines)


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Bytes at an equal loss, and ours over each other codec's."""
    found = {
        codec: bytes_at([row for row in rows if row.codec == codec])
        for codec in dict.fromkeys(row.codec for row in rows)
    }
    for codec, size in found.items():
        if size is not None:
            ours = found.get("nmap radial-basis")
            ratio = "" if ours is None or codec.startswith("nmap") else f"; ours / this {ours / size:.2f}"
            yield f"- {codec}: {size:.0f} bytes where 1 residue in 20 loses {-EQUAL:g} of Q{ratio}"


def plot(rows: Sequence[Row], title: str, path: Path) -> None:
    """Bytes (log scale) against the mean absolute change of Q (log scale), a line for each codec."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for codec in dict.fromkeys(row.codec for row in rows):
        points = sorted((row.mean_abs, row.size) for row in rows if row.codec == codec)
        bold = codec.startswith("nmap")
        x, y = zip(*points, strict=True)
        axes.plot(np.maximum(x, 1e-4), y, "o-", label=codec, lw=2.5 if bold else 1.3, zorder=3 if bold else 2)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("mean absolute change of the Q of a resolved residue, against the cut source")
    axes.set_ylabel("bytes")
    axes.set_title(title, fontsize=11)
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(fontsize=9)
    figure.savefig(path, dpi=130, metadata={"Software": None})


def main(argv: Sequence[str] | None = None) -> int:
    """Read the arguments, run, print and write."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("map", type=Path)
    add("model", type=Path)
    add("--resolution", type=float, required=True, help="Angstrom")
    add("--archs", default="radial-basis", help=f"of {', '.join(KINDS)}, comma-separated")
    add("--rates", default=",".join(RATES), help="nmap's presets or worst-shell FSC; default: %(default)s")
    add("--symmetry", default="auto", help="for nmap's radial basis")
    add("--codecs", default=",".join(CODECS), help="of: %(default)s")
    add("--targets", default=",".join(f"{t:g}" for t in TARGETS))
    add("--results", type=Path, metavar="DIR")
    add("--name", help="of the files; default: the map's, up to the first dot")
    given = parser.parse_args(arguments)
    source = read_source(given.map, given.resolution)
    bench = Bench(source, given.model)
    for arch in filter(None, given.archs.split(",")):
        bench.ours(arch, given.rates.split(","), given.symmetry)
    for name in filter(None, given.codecs.split(",")):
        bench.rival(name, [float(target) for target in given.targets.split(",")])
    text = "\n".join([table(bench.rows), "", *summary(bench.rows)])
    print(text)
    if given.results:
        _write(given.results, given.name or source.name.split(".")[0], arguments, bench, text)
    return 0


def _write(folder: Path, stem: str, arguments: list[str], bench: Bench, text: str) -> None:
    command, source = command_line("bench.atoms", arguments), bench.source
    title = f"{source.name} with {bench.model.name}, {source.resolution:g} A"
    folder.mkdir(parents=True, exist_ok=True)
    plot(bench.rows, title, folder / f"{stem}-atoms.png")
    machine = describe_machine()
    where = f"{machine['cores']} cores of {machine['processor']}, threads asked for: {machine['threads']}"
    body = f"`{command}`\n\nOn {where}.\n\n{text}\n\n![]({stem}-atoms.png)\n"
    page = f"# Bytes against atoms: {title}\n\n{body}"
    (folder / f"{stem}-atoms.md").write_text(page, encoding="utf-8")
    result = {"command": command, "rows": [asdict(row) for row in bench.rows]}
    (folder / f"{stem}-atoms.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
