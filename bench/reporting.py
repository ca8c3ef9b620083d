"""Results as files: what was measured, on what, by which command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.machine import describe_machine, describe_versions
from bench.measure import Row
from bench.source import Source, bound_bytes
from bench.table import markdown_table, rate_table, summary


def command_line(module: str, arguments: Sequence[str]) -> str:
    """The command as a reader would type it, with folders left out of paths."""
    return "python -m " + shlex.join([module, *(Path(a).name if "/" in a else a for a in arguments)])


def circumstances(command: str, source: Source) -> dict[str, Any]:
    """What every result file says first: command, source, machine and versions."""
    grid = source.grid
    return {
        "command": command,
        "source": {
            "name": source.name,
            "sha256": source.header.sha256 if source.header else "",
            "shape_zyx": list(grid.shape),
            "voxel_size_xyz": list(grid.voxel_size),
            "resolution": source.resolution,
            "last_shell": source.last,
            "mask": source.mask_name,
            "inside_fraction": source.inside / grid.size,
            "raw_bytes": source.raw_bytes,
        },
        "machine": describe_machine(),
        "versions": describe_versions(),
    }


def rate_result(
    command: str, source: Source, rows: Sequence[Row], targets: Sequence[float]
) -> dict[str, Any]:
    """Everything that `bench.rate` measured, JSON-able."""
    return {
        "benchmark": "rate",
        **circumstances(command, source),
        "bound": {f"{target:g}": bound_bytes(source, target) for target in targets},
        "rows": [asdict(row) for row in rows],
    }


def heading(result: dict[str, Any], title: str) -> list[str]:
    """The first lines of a Markdown page: what was run on what and where."""
    source, machine = result["source"], result["machine"]
    z, y, x = source["shape_zyx"]
    voxel = " x ".join(f"{v:.4g}" for v in source["voxel_size_xyz"])
    versions = ", ".join(f"{name} {version or 'absent'}" for name, version in result["versions"].items())
    mask = {"none": "none: the map as it is", "auto": "the envelope that nmap finds"}
    return [
        f"# {title}: {source['name']}",
        "",
        f"    {result['command']}",
        "",
        f"- Map: {x} x {y} x {z} voxels (x, y, z) of {voxel} A; shells 1 to {source['last_shell']}"
        f" ({source['resolution']:g} A); {source['raw_bytes']} bytes at 4 a voxel.",
        f"- Mask, the same for all: {mask.get(source['mask'], source['mask'])}; "
        f"{100 * source['inside_fraction']:.2f} % of the voxels hold anything.",
        f"- Machine: {machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, "
        f"{machine['system']}; threads: {machine['threads']}.",
        f"- Versions: {versions}.",
        "",
    ]


RATE_NOTES = """
FSC is the lowest over the shells named above, of the map decoded from the bytes against source times mask
(shell = round(radius in Fourier pixels)). Bytes are all that decoding needs: nmap's weights, gains and
envelope as stored, the others' streams with their side information; no count holds the grid, and
the size of the whole `.nmap` file with its record is under "file bytes". Seconds are of one encode and
one decode; nmap's encode holds its search for the fewest bytes, the others are encoded at the setting
that a search had found before. MB are the most that the process held, interpreter, libraries and source
map included. PSNR is 20 log10(range of the source / rmse) over the whole box. The bound is the rate of a
stationary Gaussian source confined to the mask: a yardstick, not a limit, for a molecule is no such source.
"""


def rate_page(result: dict[str, Any], rows: Sequence[Row], picture: str = "") -> str:
    """The Markdown page of a rate benchmark."""
    lines = heading(result, "Rate at equal fidelity")
    lines += [rate_table(rows, result["bound"], result["source"]["raw_bytes"]), ""]
    lines += [f"- {line}" for line in summary(rows)]
    if result.get("against"):
        lines += ["", "Agreement with `rivals.py`:", "", against_table(result["against"])]
    if picture:
        lines += ["", f"![ratio against worst-shell FSC]({picture})"]
    return "\n".join(lines) + "\n" + RATE_NOTES


def compare_with(reference: dict[str, Any], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Bytes of the same codecs at the same targets in the JSON that `rivals.py` wrote.

    Args:
        reference: that JSON.
        rows: what was measured here.
    """
    out = []
    for row in rows:
        theirs = (reference["rows"].get(row.codec) or {}).get(str(row.target))
        if theirs and row.size:
            difference = row.size / theirs["bytes"] - 1
            out.append(
                {
                    "codec": row.codec,
                    "target": row.target,
                    "rivals.py": theirs["bytes"],
                    "here": row.size,
                    "difference": difference,
                }
            )
    return out


def against_table(against: Sequence[dict[str, Any]]) -> str:
    """The comparison with `rivals.py` as a table."""
    body = [
        [
            a["codec"],
            f"{a['target']:g}",
            str(a["rivals.py"]),
            str(a["here"]),
            f"{100 * a['difference']:+.2f} %",
        ]
        for a in against
    ]
    return markdown_table(["codec", "FSC asked", "rivals.py", "here", "difference"], body)


def write_json(result: dict[str, Any], path: Path) -> None:
    """Write a result; the file ends with a newline."""
    path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
