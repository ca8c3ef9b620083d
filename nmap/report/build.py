"""A report of two maps as one HTML page: pictures, curves and every number, with its circumstances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nmap.compare.findings import Findings
from nmap.compare.json_values import THRESHOLDS
from nmap.maps import DensityMap
from nmap.report.finding_words import check_words, remark_words, where
from nmap.report.page import (
    Card,
    Picture,
    Rows,
    folded,
    grid_table,
    page,
    paragraph,
    section,
    side_by_side,
    table,
)
from nmap.spectrum import worded

__all__ = ["Report", "build_report"]

_FIDELITY = (
    "Correlation of the decode with its source, shell by shell. This is fidelity to the source, not a "
    "half-map FSC: it says nothing of how good the source is."
)


@dataclass(frozen=True, eq=False)
class Report:
    """What a report is made of.

    Attributes:
        findings: the comparison.
        decoded: the decoded map.
        source: its source, on the same grid.
        identity: rows of text that say what the file is, for the head of the page.
        details: groups of rows that go to the end: how it was fitted, the source's labels.
        loss: steps of the fit and the loss at each, if known.
        version: of nmap.
    """

    findings: Findings
    decoded: DensityMap
    source: DensityMap
    identity: Rows = ()
    details: Sequence[tuple[str, Rows]] = ()
    loss: tuple[Sequence[float], Sequence[float]] | None = None
    version: str = field(default="")


def build_report(report: Report) -> str:
    """One self-contained HTML page: no script, nothing fetched, every text escaped.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    found = report.findings
    sections = [
        section("Identity and sizes", table([*report.identity, *_size_rows(found)])),
        section("Fidelity by Fourier shell", *(p.html() for p in _shell_pictures(report))),
        section("Slices", *(p.html() for p in _slice_pictures(report))),
        *([] if found.grid.is_flat else [section("Surface", side_by_side(*_surfaces(report)))]),
        section("Densities and fit", side_by_side(*_small_pictures(report))),
        section("Everything", _remarks(found), _checks(found), *_details(report)),
    ]
    lead = f"{found.source} as a neural map of {_bytes(found)}; {found.grid}"
    footer = f"Made by nmap {report.version}. Nothing on this page was fetched or is run."
    return worded(page(found.decoded, lead, _cards(found), sections, footer), found.grid)


def _bytes(found: Findings) -> str:
    return "unknown size" if found.sizes is None else f"{found.sizes.nmap / 1000:.1f} kB"


def _cards(found: Findings) -> list[Card]:
    cards = []
    if found.sizes is not None:
        cards.append(Card(f"{found.sizes.nmap / 1000:.1f} kB", "size of the .nmap file, all included"))
        cards.append(Card(f"{found.sizes.ratio(found.sizes.raw):.0f} x", "smaller than the raw map"))
        if (ratio := found.sizes.ratio(found.sizes.gz)) is not None:
            cards.append(Card(f"{ratio:.0f} x", "smaller than the .gz"))
    judged = found.judged
    reach = "Nyquist" if judged.resolution is None else f"{judged.resolution:g} Å"
    cards.append(
        Card(f"{judged.worst:.3f}", f"lowest fidelity FSC of the shells to {reach}, {where(judged)}")
    )
    crossing = judged.curve.crossing(0.5)
    limit = found.band_limit.limit if found.band_limit is not None else None
    if crossing is None or (limit is not None and crossing < limit):
        text = "not before Nyquist" if limit is None else f"not before {limit:g} Å"
    else:
        text = f"{crossing:.2f} Å"
    claim = "" if limit is None else f"; nothing is claimed beyond {limit:g} Å"
    cards.append(Card(text, f"fidelity FSC falls below 0.5{claim}"))
    cards.append(Card(f"{found.real_space.correlation:.4f}", "correlation over the whole box"))
    verdict = ("holds", "good") if found.holds else (f"{len(found.failed)} short", "bad")
    if found.checks:
        cards.append(Card(verdict[0], f"of {len(found.checks)} checks", verdict[1]))
    return cards


def _size_rows(found: Findings) -> Rows:
    sizes = found.sizes
    if sizes is None:
        return []
    rows = [("size", f"{sizes.nmap} bytes, {sizes.bits_per_voxel:.4g} bits a voxel")]
    gz = "the source as .gz" if sizes.gz_is_source else "the source under gzip -6"
    for name, count in (("the raw map", sizes.raw), (gz, sizes.gz), ("a float16 map", sizes.float16)):
        if count is not None:
            rows.append(("", f"1/{count / sizes.nmap:.4g} of {name}, {count} bytes"))
    if found.container is not None:
        parts = ", ".join(f"{name} {count}" for name, count in found.container.parts.items() if count)
        rows.append(("bytes by use", parts))
        same = {True: "yes, by its SHA-256", False: "no, another file", None: "not recorded"}
        rows.append(("made from this source", same[found.container.same_source]))
    return rows


def _shell_pictures(report: Report) -> list[Picture]:
    from nmap.report.curves import fsc_figure, half_map_figure, model_figure, power_figure

    found = report.findings
    pictures = [
        Picture(fsc_figure(found), "Fidelity FSC", _FIDELITY),
        Picture(
            power_figure(found),
            "Power spectra",
            "Amplitude of source, decode and their difference. Where the difference meets the source, the "
            "decode holds nothing of it; a shell below the dotted line is empty, and not counted.",
        ),
    ]
    if found.half_maps is not None:
        caption = "Half maps: how good the data are. Decode and source against half 1: what the decode costs."
        pictures.append(Picture(half_map_figure(found.half_maps), "Half-map FSC", caption))
    if found.model is not None:
        caption = (
            f"Map-model FSC of {found.model.name}: whether the atoms fit the decode as they fit the source."
        )
        pictures.append(Picture(model_figure(found.model), "Map-model FSC", caption))
    return pictures


def _slice_pictures(report: Report) -> list[Picture]:
    from nmap.report.slices import local_error_figure, slice_figure

    d, s, grid = report.decoded.values, report.source.values, report.source.grid
    resolution = report.findings.fidelity.resolution
    return [
        Picture(
            slice_figure(d, s, grid),
            "The image" if grid.is_flat else "Central slices",
            ("The image; " if grid.is_flat else "Three orthogonal slices through the middle voxel; ")
            + "source, decode and difference share one scale. Axes in Å from the grid's origin.",
        ),
        Picture(
            local_error_figure(d, s, grid, resolution),
            "Local error",
            "On the same slices, in a Gaussian window: correlation of decode and source (grey: next to no "
            "contrast), and rms error as a share of the source's largest local rms.",
        ),
    ]


def _surfaces(report: Report) -> list[Picture]:
    from nmap.report.drawing import array_uri
    from nmap.report.isosurface import contour_level, look_at, render

    source, grid = report.source.values, report.source.grid
    level = contour_level(source, report.findings.real_space.inside_fraction)
    view = look_at(source, grid, level)
    pictures = []
    for name, values in (("source", source), ("decode", report.decoded.values)):
        image = array_uri(render(values, grid, level, view))
        caption = f"The {name} at level {level:.4g}; both share level and view."
        pictures.append(Picture(image, f"Surface of the {name}", caption))
    return pictures


def _small_pictures(report: Report) -> list[Picture]:
    from nmap.report.curves import histogram_figure, loss_figure

    histogram = histogram_figure(report.decoded.values, report.source.values)
    pictures = [Picture(histogram, "Histogram", "How many voxels have each density.")]
    if report.loss is not None and len(report.loss[0]):
        pictures.append(Picture(loss_figure(*report.loss), "Loss", "Loss of the fit by step."))
    return pictures


def _remarks(found: Findings) -> str:
    return paragraph("Lengths in Å, frequencies in 1/Å; a dash: none.") + "".join(
        paragraph(remark_words(remark, found.grid)) for remark in found.remarks
    )


def _checks(found: Findings) -> str:
    return table(
        [("OK" if check.holds else "falls short", check_words(check, found)) for check in found.checks]
    )


def _details(report: Report) -> list[str]:
    """Every number, group by group, then every shell."""
    values = report.findings.to_json()
    parts = []
    for name in (
        "real_space",
        "fidelity",
        "fidelity_enveloped",
        "fidelity_masked",
        "band_limit",
        "off_grid",
        "symmetry",
        "half_maps",
        "model",
    ):
        if values[name] is not None:
            parts.append(folded(name.replace("_", " "), table(list(_flat(values[name])))))
    for name, rows in report.details:
        parts.append(folded(name, table(rows)))
    return [*parts, folded("every shell", _shells(report.findings))]


def _flat(values: dict[str, Any], prefix: str = "") -> Rows:
    """Names and values of nested JSON, curves left to their own table."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows += _flat(value, f"{name}: ")
        elif isinstance(value, list) and len(value) > 3:
            continue
        elif isinstance(value, list):
            rows.append(
                (name, ", ".join("-" if v is None else f"{v}" for v in value if not isinstance(v, dict)))
            )
        else:
            rows.append((name, "-" if value is None else f"{value}"))
    return rows


def _shells(found: Findings) -> str:
    curve, masked = found.fidelity.curve, found.masked
    head = [
        "shell",
        "Å",
        "1/Å",
        "modes",
        "FSC",
        *(["FSC, mask"] if masked is not None else []),
        "amplitude ratio",
        "",
    ]
    rows = []
    ratio = np.sqrt(found.power.decoded / np.maximum(found.power.source, 1e-300))
    for i in range(1, curve.fsc.size):
        f = curve.frequency[i]
        row = [f"{i}", f"{1 / f:.3f}", f"{f:.5f}", f"{curve.modes[i]:.0f}", f"{curve.fsc[i]:.4f}"]
        row += [] if masked is None else [f"{masked.curve.fsc[i]:.4f}"]
        empty = curve.negligible is not None and curve.negligible[i]
        rows.append([*row, f"{ratio[i]:.4f}", "negligible" if empty else ""])
    crossings = [
        (f"falls below {t:g}", "not before Nyquist" if (c := curve.crossing(t)) is None else f"{c:.3f} Å")
        for t in THRESHOLDS
    ]
    return table(crossings) + grid_table(head, rows)
