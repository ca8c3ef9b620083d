"""Seconds and memory against the size of the map: encode, decode and validate, each in a process of its own.

    python -m bench.scale 3c91_T20S.pdb.gz --sizes 128,192,256,320 --results bench/results

Two series of simulated maps: copies of the model that grow in number with the box's volume, one for 256^3 voxels, and
one model in a growing box. A growth is the exponent with which a figure grows with the voxels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.command import run_command
from bench.machine import describe_machine, describe_versions
from bench.process import StepError, run_step
from bench.reporting import write_json
from bench.table import markdown_table
from nmap.errors import OptionError

SIZES = (128, 192, 256, 320, 384, 512)
ARCHS = ("radial-basis", "siren")
# Voxels a side of the box that one copy of the model is for.
_ONE = 256
_STEPS = ("encode", "decode", "validate")
_SERIES = {"growing": "molecule growing with the box", "one": "one molecule in a growing box"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    add("model", type=Path, help="atomic model, PDB or mmCIF")
    add("--sizes", default=",".join(map(str, SIZES)), help="voxels a side (default %(default)s)")
    add("--series", default=",".join(_SERIES), help="of: %(default)s")
    add("--arch", default=ARCHS[0], choices=ARCHS, help="kind of network (default %(default)s)")
    add("--voxel", type=float, default=1.06, help="Angstrom (default %(default)s)")
    add("--resolution", type=float, default=3.5, help="Angstrom (default %(default)s)")
    add("--time-budget", type=float, help="seconds of each fit at most")
    add("--results", type=Path, metavar="DIR", help="write NAME.json, NAME.md and NAME.png into this folder")
    add("--name", default="scale", help="of these files (default %(default)s)")
    return run_command("bench.scale", argv, parser, _run)


def _run(options: argparse.Namespace, command: str) -> int:
    sizes, series = [int(n) for n in options.sizes.split(",")], options.series.split(",")
    if unknown := [name for name in series if name not in _SERIES]:
        raise OptionError(f"series {', '.join(unknown)}: wanted {' or '.join(_SERIES)}")
    rows: list[dict[str, Any]] = []
    for name in series:
        for size in sizes:
            rows.append(measure(name, size, options))
            print(json.dumps(rows[-1]), flush=True)
            if options.results:
                _write(options, command, rows)
    print(table(rows))
    return 0


def measure(series: str, size: int, options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds, peak MB and what came of it, of one map; a step that failed says why."""
    copies = max(1, round((size / _ONE) ** 3)) if series == "growing" else 1
    row: dict[str, Any] = {"series": series, "size": size, "copies": copies}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        files = {name: str(Path(folder) / name) for name in ("map.mrc", "map.nmap", "decoded.mrc")}
        told = {"model": str(options.model), "size": size, "copies": copies}
        told |= {"voxel": options.voxel, "resolution": options.resolution}
        run_step("bench.scale:simulate_step", path=files["map.mrc"], **told)
        settings = {
            "resolution": options.resolution,
            "arch": options.arch,
            "time_budget": options.time_budget,
        }
        for step in _STEPS:
            more = {"settings": settings} if step == "encode" else {}
            try:
                row |= {
                    f"{step}_{k}": v
                    for k, v in run_step(f"bench.scale:{step}_step", **more, files=files).items()
                }
            except StepError as error:
                row[f"{step}_failed"] = str(error)
                break
    return row


def simulate_step(
    path: str, model: str, size: int, copies: int, voxel: float, resolution: float
) -> dict[str, Any]:
    """Make the map."""
    from bench.simulate_large import simulated
    from nmap.grid import Grid
    from nmap.maps import write_map

    write_map(simulated(model, Grid((size,) * 3, (voxel,) * 3), resolution, copies, seed=0), path)
    return {}


def encode_step(files: dict[str, str], settings: dict[str, Any]) -> dict[str, Any]:
    """Encode it, at the goal of the preset preview."""
    from nmap.container import save
    from nmap.fit.encode import encode
    from nmap.fit.options import EncodeOptions

    began = time.monotonic()
    made = encode(files["map.mrc"], EncodeOptions(preset="preview", **settings))
    size = save(made, files["map.nmap"])
    fit, fidelity = made.record["fit"], made.record["fidelity"]
    told = {"steps": fit["steps"], "worst": round(float(fidelity["worst"]), 4), "bytes": size}
    return {"wall": round(time.monotonic() - began, 1), "cpu": round(time.process_time(), 1), **told}


def decode_step(files: dict[str, str]) -> dict[str, Any]:
    """Decode it at twice the sampling, in slabs, to a file."""
    from nmap.container import open_file
    from nmap.maps import MapWriter

    neural_map = open_file(files["map.nmap"]).neural_map
    z, y, x = (2 * n for n in neural_map.grid.shape)
    grid = neural_map.grid.resampled((z, y, x))
    with MapWriter(files["decoded.mrc"], grid) as writer:
        for _, slab in neural_map.slabs(grid):
            writer.write(slab)
    return {"cpu": round(time.process_time(), 1)}


def validate_step(files: dict[str, str]) -> dict[str, Any]:
    """Validate it."""
    from nmap.validation import validate_file

    worst = validate_file(files["map.nmap"], files["map.mrc"]).findings.judged.worst
    return {"cpu": round(time.process_time(), 1), "worst": round(worst, 4)}


def growth(rows: Sequence[dict[str, Any]], field: str) -> float | None:
    """Exponent with which a figure grows with the voxels, by least squares over the larger half of the sizes."""
    known = [(3 * np.log(row["size"]), np.log(row[field])) for row in rows if row.get(field)]
    known = sorted(known)[len(known) // 2 - (len(known) > 2) :]
    if len(known) < 2:
        return None
    x, y = np.transpose(known)
    return float(np.polyfit(x, y, 1)[0])


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line for each map, and one of exponents for each series."""
    head = ["series", "box", "copies", "bytes", "worst", "sweeps"]
    head += [f"{step} {what}" for step in _STEPS for what in ("CPU s", "peak MB")]
    lines = []
    for name in dict.fromkeys(row["series"] for row in rows):
        mine = [row for row in rows if row["series"] == name]
        for row in mine:
            line = [name, f"{row['size']}^3", str(row["copies"])]
            line += [str(row.get(f"encode_{what}", "-")) for what in ("bytes", "worst", "steps")]
            for step in _STEPS:
                peak = row.get(f"{step}_peak_bytes")
                line += [str(row.get(f"{step}_cpu", "-")), "-" if peak is None else f"{peak / 1e6:.0f}"]
            lines.append(line)
        found = [growth(mine, f"{step}_{what}") for step in _STEPS for what in ("cpu", "peak_bytes")]
        lines.append([name, "growth", "", "", "", "", *("-" if e is None else f"{e:.2f}" for e in found)])
    return markdown_table(head, lines)


def _write(options: argparse.Namespace, command: str, rows: Sequence[dict[str, Any]]) -> None:
    """The files of results, as far as they go."""
    machine, versions = describe_machine(), describe_versions()
    folder: Path = options.results
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "benchmark": "scale",
        "command": command,
        "machine": machine,
        "versions": versions,
        "rows": list(rows),
    }
    write_json(result, folder / f"{options.name}.json")
    said = ", ".join(f"{name} {version or 'absent'}" for name, version in versions.items())
    page = [
        f"# Scale: {options.arch}",
        "",
        f"    {command}",
        "",
        f"- {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, {machine['system']}.",
        f"- {said}.",
        f"- Simulated maps of {options.voxel:g} A and {options.resolution:g} A, with the preset `preview` (0.9).",
        "- CPU seconds and peak memory are of whole processes, interpreter and libraries in them. `decode` is to twice",
        "  the sampling. `growth` is the exponent with the voxels, over the larger half of the sizes.",
        "",
        table(rows),
        "",
        f"![CPU seconds and peak memory]({options.name}.png)",
        "",
    ]
    (folder / f"{options.name}.md").write_text("\n".join(page), encoding="utf-8")
    _plot(rows, folder / f"{options.name}.png")


def _plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """CPU seconds and peak memory against voxels, both logarithmic."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    shown = (("cpu", "CPU seconds", 1.0), ("peak_bytes", "peak memory, MB", 1e-6))
    for axes, (what, title, unit) in zip(figure.subplots(1, 2), shown, strict=True):
        for step in _STEPS:
            for name, style in (("growing", "o-"), ("one", "s--")):
                field = f"{step}_{what}"
                known = sorted(
                    (r["size"] ** 3, unit * r[field]) for r in rows if r["series"] == name and r.get(field)
                )
                if known:
                    axes.plot(*zip(*known, strict=True), style, label=f"{step}, {_SERIES[name]}")
        voxels = np.unique([row["size"] ** 3 for row in rows])
        if what == "peak_bytes":
            axes.plot(voxels, 4 * 4e-6 * voxels, "k:", label="4 times the map")
        axes.set(xscale="log", yscale="log", xlabel="voxels", title=title)
        axes.grid(True, which="both", alpha=0.25)
    figure.axes[1].legend(fontsize=7)
    figure.savefig(path, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    raise SystemExit(main())
