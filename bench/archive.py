"""A whole archive on paper: what its maps would cost, and how long they would take on cores and GPUs.

`python -m bench.archive costs DIR... --json costs.json` takes what maps cost from manifests of `nmap batch encode`.
`python -m bench.archive plan costs.json --overhead MS` draws an archive, and simulates it. With `--entries CSV`, a
table with columns box, voxel_A and resolution_A of real entries, they are drawn from that, not from the shares below.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.command import run_command
from bench.machine import describe_machine, describe_versions
from nmap.batch.manifest import read_state
from nmap.errors import OptionError
from nmap.maps import read_map

F64 = NDArray[np.float64]

ENTRIES = 60_000
"""Entries of the archive: 60 895 were released when this was written (scigantic-emdb 0.5.0 on PyPI, its README)."""

BOXES: Mapping[int, float] = {
    80: 0.06, 128: 0.07, 160: 0.08, 200: 0.10, 240: 0.10, 256: 0.13, 300: 0.12, 320: 0.11, 360: 0.07, 400: 0.08,
    450: 0.03, 512: 0.04, 600: 0.007, 800: 0.003,
}  # fmt: skip
"""Shares of box edges, voxels. ASSUMED: the archive publishes a box for every entry, but no table of them was to be had
here. The shares agree with what is published of the sizes: see `PACKED`."""

RESOLUTIONS: Sequence[tuple[float, float, float]] = (
    (1.5, 2.5, 0.08), (2.5, 3.0, 0.20), (3.0, 3.5, 0.24), (3.5, 4.0, 0.16), (4.0, 6.0, 0.12), (6.0, 10.0, 0.08),
    (10.0, 20.0, 0.08), (20.0, 40.0, 0.04),
)  # fmt: skip
"""Ranges of resolution, Angstrom, and their shares. ASSUMED, from what is known of the archive: most entries lie
between 2.5 and 4 A (Turner et al., Nucleic Acids Res. 52, D456, 2024, figure 2B is a chart without numbers)."""

PER_VOXEL = (2.54, 2.67, 2.86, 3.05, 3.60)
"""Resolution over voxel size, each as often: those of the five maps in `bench/results/`; 2 is Nyquist."""
IN_ENVELOPE = (0.016, 0.084, 0.089, 0.134, 0.290)
"""Share of the box that the molecule takes, each as often: "inside_fraction" of the same five maps."""
PACKED = 33e6
"""Bytes of a packed map on average: about 2 TB for 60 000 of them. A map is 20 to 60 MB (the README named above)."""

CORES = (1, 16, 64, 256, 1024)
GPUS = (1, 4, 16)
_DAY = 86_400.0


@dataclass(frozen=True)
class Cost:
    """What one map took.

    Attributes:
        name: of it.
        kind: of network.
        voxels: of its box.
        elements: resolution elements in its envelope: the envelope's volume in cubes of half the band limit.
        seconds: of one core.
        peak: bytes.
        size: bytes of the file.
    """

    name: str
    kind: str
    voxels: float
    elements: float
    seconds: float
    peak: float
    size: float


@dataclass(frozen=True)
class Law:
    """A number as what every map takes, so much a voxel, and so much an element; none of them negative.

    Attributes:
        each: of every map.
        voxel: a voxel.
        element: an element.
        off: largest relative error over the maps that it was fitted to.
    """

    each: float
    voxel: float
    element: float
    off: float

    def of(self, voxels: F64, elements: F64) -> F64:
        """Of many maps."""
        return np.asarray(self.each + self.voxel * voxels + self.element * elements)


def read_costs(folders: Sequence[Path]) -> list[Cost]:
    """What the maps of batches took, by their manifests.

    Raises:
        OptionError: there are fewer than three of a kind, which fix no law.
    """
    costs = []
    for folder in folders:
        for name, entry in read_state(folder).last("encode").items():
            if entry["event"] == "done":
                costs.append(_cost(name, entry, folder))
    kinds = {cost.kind for cost in costs}
    for kind in kinds:
        if sum(cost.kind == kind for cost in costs) < 3:
            raise OptionError(f"fewer than 3 maps as {kind}: wanted maps of several sizes and resolutions")
    return costs


def _cost(name: str, entry: Mapping[str, Any], folder: Path) -> Cost:
    from nmap.batch.job import envelope_share
    from nmap.inspection import inspect

    voxels = float(np.prod(entry["shape_zyx"]))
    share = envelope_share(inspect(folder / entry["file"]))
    if share is None:  # a map that was masked before: what is not its solvent, one constant
        values = read_map(entry["source"]).values
        share = float((values != np.median(values)).mean())
    volume = share * voxels * float(np.prod(entry["voxel_size_xyz_A"]))
    return Cost(
        name=name,
        kind=entry["kind"],
        voxels=voxels,
        elements=volume / (entry["resolution_A"] / 2) ** 3,
        seconds=entry["cpu_seconds"],
        peak=float(entry["peak_bytes"]),
        size=float(entry["bytes"]),
    )


def fit_law(voxels: F64, elements: F64, values: F64) -> Law:
    """The law of least relative error, with no part negative (Lawson and Hanson's NNLS)."""
    from scipy.optimize import nnls

    columns = np.stack([np.ones_like(values), voxels, elements], 1)
    found, _ = nnls(columns / values[:, None], np.ones_like(values))
    off = float(np.abs(columns @ found / values - 1).max())
    return Law(float(found[0]), float(found[1]), float(found[2]), off)


def laws(costs: Sequence[Cost], kind: str) -> dict[str, Law]:
    """Seconds, peak bytes and file bytes of one kind of network."""
    chosen = [cost for cost in costs if cost.kind == kind]
    voxels, elements = (np.array([getattr(c, name) for c in chosen]) for name in ("voxels", "elements"))
    none = np.zeros_like(elements)
    return {
        "seconds": fit_law(voxels, elements, np.array([c.seconds for c in chosen])),
        "peak": fit_law(voxels, none, np.array([c.peak for c in chosen])),
        "size": fit_law(np.zeros_like(voxels), elements, np.array([c.size for c in chosen])),
    }


def gpu_law(folder: Path) -> Law:
    """Seconds of a fit on a GPU by voxels, from the committed measurements of `bench.device`."""
    points = []
    for path in sorted(folder.glob("*-device.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        shape = json.loads((folder / _TABLE[path.name]).read_text(encoding="utf-8"))["source"]["shape_zyx"]
        points += [
            (float(np.prod(shape)), fit["seconds"])
            for fit in told["fits"]
            if fit["device"].startswith("cuda") and fit["arch"] == "radial-basis" and fit["number"] == 1
        ]
    voxels, seconds = np.array(points).T
    return fit_law(voxels, np.zeros_like(voxels), seconds)


# Which table of results says the shape of the map of each table of `bench.device`.
_TABLE = {
    "emd_0093_masked-device.json": "emd_0093_C4.json",
    "emd_11007-device.json": "emd_11007_C1.json",
    "t20s_simulated-device.json": "t20s_simulated_D7.json",
}


def draw_archive(count: int, seed: int = 0, table: Path | None = None) -> tuple[F64, F64]:
    """Voxels and resolution elements of so many entries.

    Args:
        count: entries.
        seed: of the draw.
        table: CSV of real entries with columns box, voxel_A, resolution_A; None draws from the shares above.
    """
    draw = np.random.default_rng(seed)
    if table is None:
        edges = draw.choice(
            list(BOXES), count, p=np.array(list(BOXES.values())) / sum(BOXES.values())
        ).astype(float)
        low, high, share = np.array(RESOLUTIONS).T
        chosen = draw.choice(len(low), count, p=share / share.sum())
        limit = draw.uniform(low[chosen], high[chosen])
        voxel = limit / draw.choice(PER_VOXEL, count)
    else:
        with open(table, encoding="utf-8", newline="") as file:
            rows = np.array(
                [[float(r[n]) for n in ("box", "voxel_A", "resolution_A")] for r in csv.DictReader(file)]
            )
        edges, voxel, limit = rows[draw.integers(0, len(rows), count)].T
    voxels = edges**3
    volume = draw.choice(IN_ENVELOPE, count) * voxels * voxel**3
    return voxels, volume / (limit / 2) ** 3


def simulate(seconds: F64, workers: int, overhead: float) -> dict[str, float]:
    """Share jobs out as the batch does: the next one, in order, to the first worker that is free.

    Args:
        seconds: of each job, in the order in which they are begun.
        workers: that do them.
        overhead: seconds of the run's own process for each job, one after the other.

    Returns:
        Days to the end, the share of the workers' time that is used, and the hours from the first worker that has
        nothing to do to the end.
    """
    free = [0.0] * min(workers, len(seconds))
    heapq.heapify(free)
    hand = 0.0
    for job in seconds:
        begin = max(heapq.heappop(free), hand) + overhead
        hand = begin
        heapq.heappush(free, begin + float(job))
    first, last = min(free), max(free)
    return {
        "days": last / _DAY,
        "used": float(seconds.sum()) / (last * workers),
        "straggling_hours": (last - first) / 3600,
    }


def plan(costs: Sequence[Cost], overhead: float, results: Path, table: Path | None) -> dict[str, Any]:
    """The whole archive by kind of network and by machine."""
    voxels, elements = draw_archive(ENTRIES, table=table)
    found: dict[str, Any] = {
        "entries": ENTRIES,
        "raw_bytes": float(4 * voxels.sum()),
        "packed_bytes": PACKED * ENTRIES,
        "kinds": {},
    }
    for kind in sorted({cost.kind for cost in costs}):
        law = laws(costs, kind)
        seconds = law["seconds"].of(voxels, elements)
        found["kinds"][kind] = {
            "maps": sum(cost.kind == kind for cost in costs),
            "laws": {name: vars(one) for name, one in law.items()},
            "bytes": float(law["size"].of(voxels, elements).sum()),
            "core_days": float(seconds.sum()) / _DAY,
            "median_seconds": float(np.median(seconds)),
            "above_gib": {
                str(most): float((law["peak"].of(voxels, elements) > most * 2**30).mean())
                for most in (2, 4, 8, 16, 32)
            },
            "cores": {str(n): _both_orders(seconds, n, overhead) for n in CORES},
        }
    on_gpu = gpu_law(results)
    seconds = on_gpu.of(voxels, elements)
    found["gpu"] = {"law": vars(on_gpu), "gpus": {str(n): _both_orders(seconds, n, overhead) for n in GPUS}}
    return found


def _both_orders(seconds: F64, workers: int, overhead: float) -> dict[str, Any]:
    return {
        "as_they_come": simulate(seconds, workers, overhead),
        "largest_first": simulate(np.sort(seconds)[::-1], workers, overhead),
    }


def table_of(found: Mapping[str, Any]) -> str:
    """The plan as Markdown."""
    head = "| network | cores | days | used | straggling, h | days, largest first | straggling, h |"
    lines = [head, "|" + "---|" * 7]
    rows = [(kind, n, of) for kind, one in found["kinds"].items() for n, of in one["cores"].items()]
    rows += [("radial-basis, H100", f"{n} GPU", of) for n, of in found["gpu"]["gpus"].items()]
    for kind, workers, of in rows:
        a, b = of["as_they_come"], of["largest_first"]
        lines.append(
            f"| {kind} | {workers} | {a['days']:.3g} | {100 * a['used']:.0f} % | {a['straggling_hours']:.2g} | "
            f"{b['days']:.3g} | {b['straggling_hours']:.2g} |"
        )
    head = "| network | all files | of the packed maps | seconds, median | more than 4 GiB | 8 GiB | 16 GiB |"
    lines += ["", head, "|" + "---|" * 7]
    for kind, one in found["kinds"].items():
        above = [f"{100 * one['above_gib'][n]:.1f} %" for n in ("4", "8", "16")]
        lines.append(
            f"| {kind} | {one['bytes'] / 1e9:.2f} GB | 1/{found['packed_bytes'] / one['bytes']:.0f} | "
            f"{one['median_seconds']:.0f} | {' | '.join(above)} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Take costs from manifests, or plan with them."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.archive", description=(__doc__ or "").splitlines()[0]
    )
    ways = parser.add_subparsers(dest="way", required=True)
    taking = ways.add_parser("costs", help="what maps took, from the manifests of batches")
    taking.add_argument("folders", type=Path, nargs="+")
    taking.add_argument("--json", type=Path, required=True)
    planning = ways.add_parser("plan", help="draw an archive and simulate it")
    planning.add_argument("costs", type=Path)
    planning.add_argument(
        "--overhead", type=float, required=True, help="milliseconds a job of `bench.batch overhead`"
    )
    planning.add_argument("--entries", type=Path, help="CSV of real entries: box, voxel_A, resolution_A")
    planning.add_argument("--json", type=Path)

    def act(options: argparse.Namespace, line: str) -> int:
        if options.way == "costs":
            costs = [vars(cost) for cost in read_costs(options.folders)]
            about = {"command": line, "machine": describe_machine(), "versions": describe_versions()}
            told = {**about, "costs": costs}
            options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            return 0
        known = [Cost(**one) for one in json.loads(options.costs.read_text(encoding="utf-8"))["costs"]]
        found = plan(known, options.overhead / 1000, Path(__file__).parent / "results", options.entries)
        print(table_of(found))
        if options.json:
            options.json.write_text(json.dumps({"command": line, **found}, indent=1) + "\n", encoding="utf-8")
        return 0

    return run_command("bench.archive", argv, parser, act)


if __name__ == "__main__":
    sys.exit(main())
