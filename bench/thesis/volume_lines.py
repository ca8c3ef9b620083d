"""Experiment 5 as Markdown: every measure, who is truer by which, and from what fidelity on."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.table import markdown_table
from bench.thesis.printed import FSC_FIGURES, true_resolution
from bench.thesis.setup import Runs
from bench.thesis.slices import angstrom
from nmap.report.fit_words import notices_words
from nmap.study.contenders import CUBIC, FOURIER, LINEAR

COLUMNS = {
    "worst_error": "worst error",
    "total_error": "total error",
    "worst_fsc": "worst FSC",
    "correlation": "correlation",
}
"""Measures of the study as the tables name them."""


def lead_5(runs: Runs) -> list[str]:
    """What holds for experiment 5 on every map, and all maps side by side."""
    head = ["map", "voxels", "voxel, Å", "printed, Å", "true, Å"]
    lines = [
        "Figures 3.17 to 3.21 and tables 3.6, 3.11 and 3.12 of the thesis. Those of its FSC figures that are at hand, "
        "its axis corrected (`bench/thesis/printed.py`; both errors are explained at the head of this page):",
        "",
        markdown_table(head, _printed()),
        "",
        "Each map, times its automatic mask, is lowered to half the sampling of the run and brought back. nmap and "
        "three interpolations start from a Fourier crop, as `nmap study interpolation` does; the thesis's way "
        "starts from a spline zoom without a low-pass, with corner voxel centres aligned, and is a network at "
        "voxel centres (its size without `--quick`) or the spline back. The truth is the map at the sampling of "
        "the run. F is a way's transform, T the truth's; shells are those wholly within the lowered map's Nyquist:",
        "",
    ]
    studies = {name: found["study"] for name, found in runs.items()}
    first = [
        [name, rival, *first_truer(s, rival)] for name, s in studies.items() for rival in (LINEAR, CUBIC)
    ]
    for key, words in next(iter(studies.values()))["measures"].items():
        lines.append(f"- *{COLUMNS[key]}*: {words};")
    lines += [
        "- *mean FSC beyond* that Nyquist: nmap decodes nothing there; what others show comes from the corners of "
        "the lowered map's Fourier cube. No method has detail that the lowered map did not hold.",
        "",
        "The interpolations have the lossless lowered map, nmap only the bytes told, and aims at the worst FSC "
        "told. Lossless Fourier padding is the truth itself to that Nyquist, so by no measure is anybody truer; "
        "what nmap falls short of it is the price of its bytes. By the worst shell's FSC an interpolation has next "
        "to no loss to show, since the FSC does not see that it damps; by the error of the worst shell it has. "
        "From which fidelity on is nmap truer?",
        "",
        markdown_table(["map", "than", *COLUMNS.values()], first),
        "",
        "Each entry is the lowest worst FSC asked for from which on nmap is truer by that measure, and its bytes; "
        '"-": by none '
        f"of those reached. The lowered maps hold, as float32 and gzipped: {_lossless(studies)} bytes.",
    ]
    return lines


def _lossless(studies: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} {s['lowered_voxel_bytes']} and {s['lowered_gzip_bytes']}" for name, s in studies.items()
    )


def first_truer(study: dict[str, Any], rival: str) -> list[str]:
    """By each measure, the first network from which on all are truer than the rival, and its bytes; "-" for none."""
    truer = {s["network"]: s["truer"] for s in study["standings"] if s["rival"] == rival}
    cells = []
    for key in COLUMNS:
        first = "-"
        for network in reversed(study["networks"]):
            if not truer[network["name"]][key]:
                break
            first = f"{network['goal_fsc']:g}: {network['stored_bytes']} B"
        cells.append(first)
    return cells


def lines_5(found: dict[str, Any]) -> list[str]:
    """Experiment 5 on one map, as Markdown."""
    study, fits = found["study"], found["fits"]
    (z, y, x), (hz, hy, hx) = study["full_shape_zyx"], study["lowered_shape_zyx"]
    centres, masked = fits["centres"], "" if found["masked"] else " No mask was found for this map."
    return [
        f"{x} x {y} x {z} to {hx} x {hy} x {hz} voxels and back; shells 1 to {study['last_shell']}.{masked} The "
        f"SIREN at voxel centres has {fits['parameters']} parameters here and reaches, at the voxel centres of its "
        f"own zoomed target, a mean FSC of {centres['mean']:.3f}, worst {centres['worst']:.3f}, FSC 0.5 at (Å): "
        f"{angstrom(centres['crossing_0.5'])}.{''.join(f' {name} notes: {note}.' for name, note in _notes(study))}",
        "",
        markdown_table(
            ["on the full grid", "bytes", *COLUMNS.values(), "mean FSC beyond"], _contenders(study)
        ),
        "",
        f"![FSC and relative error by shell]({found['picture']})",
        "",
        *[
            f"nmap at {m['goal_fsc']:g} was not reached: {m['reason'].partition(': ')[0]}.\n"
            for m in study["missed"]
        ],
        "nmap's FSC on the full grid differs from that on the encoded grid by "
        f"{study['sampling_loss']:.1e} at most. Who is truer, by each measure:",
        "",
        markdown_table(
            ["is truer by", *COLUMNS.values(), "error lower, shells", "FSC higher, shells"], _standings(study)
        ),
        "",
        "Between voxel centres: correlation of the network's densities with the cubic spline through its own "
        "densities at the centres.",
        "",
        markdown_table(["network", *fits["between"]], _between(found)),
        "",
        "Capacity at the full sampling of this run, shells to Nyquist:",
        "",
        markdown_table(["", "bytes", "mean FSC", "worst FSC", "FSC 0.5, Å"], _capacity_rows(found)),
    ]


def _notes(study: dict[str, Any]) -> list[tuple[str, str]]:
    return [(_ours(n["name"]), words) for n in study["networks"] for words in notices_words(n["notes"])]


def _ours(name: str) -> str:
    return name.replace("network", "nmap", 1)


def _contenders(study: dict[str, Any]) -> list[list[str]]:
    rows = []
    for each in (*study["networks"], *study["rivals"]):
        ours = "stored_bytes" in each
        beyond = each["fsc"][study["last_shell"] + 2 :]
        rows.append(
            [
                _ours(each["name"]) if ours else each["name"],
                str(each["stored_bytes"]) if ours else "",
                *(f"{each[key]:.4f}" for key in COLUMNS),
                f"{float(np.mean(beyond)) if beyond else 0:.3f}",
            ]
        )
    return rows


def _standings(study: dict[str, Any]) -> list[list[str]]:
    """By network and rival, by which measure the network is truer; Fourier padding apart, which is the truth."""
    return [
        [
            f"{_ours(s['network'])} than {s['rival']}",
            *("yes" if s["truer"][key] else "no" for key in COLUMNS),
            f"{s['lower_error']} of {s['shells']}",
            f"{s['higher_fsc']} of {s['shells']}",
        ]
        for s in study["standings"]
        if s["rival"] != FOURIER
    ]


def _printed() -> list[list[str]]:
    rows = []
    for name, count, voxel, axis, printed in FSC_FIGURES:
        true = true_resolution(printed, voxel, axis)
        words = f"{true:.2f}" if true >= 2 * voxel else f"above 0.5 to Nyquist, {2 * voxel:.2f}"
        rows.append([name, f"{count}^3", f"{voxel:g}", f"{printed:g}", words])
    return rows


def _between(found: dict[str, Any]) -> list[list[str]]:
    ways = [("fitted here at voxel centres", found["fits"]["between"])]
    if found["weights"]:
        ways.append(("the thesis's own weights of T20S", found["weights"]["between"]))
    return [[name, *(f"{v:.3f}" for v in way.values())] for name, way in ways]


def _capacity_rows(found: dict[str, Any]) -> list[list[str]]:
    return [
        [
            row["name"],
            str(row["bytes"]),
            f"{row['mean']:.3f}",
            f"{row['worst']:.3f}",
            angstrom(row["crossing_0.5"]),
        ]
        for row in found["capacity"]
    ]
