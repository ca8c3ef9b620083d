"""A report of two maps as one HTML page: pictures, curves and every number, with its circumstances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from nmap.compare.findings import Findings
from nmap.compare.measures import MEASURES
from nmap.machine.packages import require_package
from nmap.maps import DensityMap
from nmap.report.atom_words import atom_lines, detail_name, detail_verdict, detail_words, worst_residues
from nmap.report.finding_words import (
    check_words,
    contour_lines,
    crossing_words,
    remark_words,
    same_source_words,
    tile_words,
)
from nmap.report.page import Card, Fold, Picture, Rows, Section, page
from nmap.spectrum import Shells, floored, worded

FIDELITY = (
    "Correlation of the decode with its source, shell by shell. This is fidelity to the source, not a "
    "half-map FSC: it says nothing of how good the source is."
)
POWER = (
    "Amplitude of source, decode and their difference. Where the difference meets the source, the decode holds "
    "nothing of it; a shell below the dotted line is empty, and not counted."
)
HALVES = "Half maps: how good the data are. Decode and source against half 1: what the decode costs."
LOCAL = (
    "On the same slices, in a Gaussian window: correlation of decode and source (grey: next to no contrast), and "
    "rms error as a share of the source's largest local rms."
)
CHANGES = (
    "Above: change of each residue's Q from the source, cut at the band limit, to the decode; grey where the source "
    "does not resolve it (Q below 0.4); dotted lines: 0.05. Below: correlation of each residue with the model's "
    "density, in both."
)
DETAILS = (
    "measures",
    "atoms",
    "local",
    "real_space",
    "fidelity",
    "fidelity_enveloped",
    "fidelity_masked",
    "band_limit",
    "off_grid",
    "symmetry",
    "half_maps",
    "model",
)
"""Groups of numbers that go to the end of the page, by their names in JSON."""


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
        MissingPackageError: a package of the extra `report` is not installed.
    """
    for package in ("matplotlib", "jinja2", "skimage"):
        require_package(package, "report", "a report")
    found = report.findings
    sections = [
        Section("What it is", rows=[*report.identity, *_size_rows(found), *_contour_rows(found)]),
        *_atoms(found),
        Section(worded("Fidelity by Fourier shell", found.grid), pictures=_shell_pictures(report)),
        Section("Slices", pictures=_slice_pictures(report)),
        *([] if found.grid.is_flat else [Section("Surface", pictures=_surfaces(report), side_by_side=True)]),
        Section("Densities and fit", pictures=_small_pictures(report), side_by_side=True),
        Section("Everything", texts=_texts(found), rows=_checks(found), folds=_details(report)),
    ]
    lead = f"{found.source} as a neural map of {_bytes(found)}; {found.grid}"
    footer = f"Made by nmap {report.version}. Nothing on this page was fetched or is run."
    return page(found.decoded, lead, _cards(found), sections, footer)


def _atoms(found: Findings) -> list[Section]:
    """What becomes of the model's residues, where there is one."""
    atoms = found.atoms
    if atoms is None:
        return []
    from nmap.report.chains import CHAINS, chain_names, chains_figure

    more = len(chain_names(atoms)) - CHAINS
    caption = CHANGES + (f" The first {CHAINS} chains of {CHAINS + more} are shown." if more > 0 else "")
    picture = Picture(chains_figure(atoms), "Change of Q and correlation along each chain", caption)
    head = ["residue", "Q, source", "Q, cut source", "Q, decode", "change"]
    table = Fold("residues that lose most", head=head, lines=worst_residues(atoms))
    return [Section("Atoms", texts=atom_lines(atoms), pictures=[picture], folds=[table])]


def _bytes(found: Findings) -> str:
    return "unknown size" if found.sizes is None else f"{found.sizes.nmap / 1000:.1f} kB"


def _cards(found: Findings) -> list[Card]:
    """The tiles: whether the atoms are kept, how small, how fine, how true, and whether it holds."""
    cards = []
    if (verdict := detail_verdict(found)) is not None:
        why = f"{detail_name(found).lower()}: {detail_words(found)[-1]}"
        cards.append(Card(verdict, why, {"kept": "good", "weak": "", "lost": "bad"}[verdict]))
    if found.sizes is not None:
        gz = found.sizes.ratio_gz
        beside = "" if gz is None else f", {gz:.0f} times smaller than its .gz"
        times = found.sizes.ratio_raw or 0.0
        cards.append(Card(_bytes(found), f"{times:.0f} times smaller than the raw map{beside}"))
    if found.band_limit is not None:
        shells, limit = Shells(found.grid), found.band_limit.limit
        cards.append(Card(f"{1 / (shells.last(limit) * shells.width):.2f} Å", "finest detail kept"))
    for measure in MEASURES:
        value = measure.value(found)
        if measure.tile and value is not None:
            cards.append(Card(measure.written(value), tile_words(measure, found)))
    if found.checks:
        short = len(found.failed)
        label = (
            f"all of {len(found.checks)} checks hold" if not short else check_words(found.failed[0], found)
        )
        cards.append(Card("OK" if not short else "falls short", label, "bad" if short else "good"))
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
        rows.append(("source given", same_source_words(found.container.same_source)))
    return rows


def _contour_rows(found: Findings) -> Rows:
    lines = [] if found.contour is None else contour_lines(found.contour)
    return [("" if number else "contour level", line) for number, line in enumerate(lines)]


def _shell_pictures(report: Report) -> list[Picture]:
    from nmap.report.curves import fsc_figure, half_map_figure, model_figure, power_figure

    found = report.findings
    say = partial(worded, grid=found.grid)
    pictures = [
        Picture(fsc_figure(found), say("Fidelity FSC"), say(FIDELITY)),
        Picture(power_figure(found), "Power spectra", say(POWER)),
    ]
    if found.half_maps is not None:
        figure = half_map_figure(found.half_maps, found.grid)
        pictures.append(Picture(figure, say("Half-map FSC"), HALVES))
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
        Picture(local_error_figure(d, s, grid, resolution), "Local error", LOCAL),
    ]


def _surfaces(report: Report) -> list[Picture]:
    from nmap.report.drawing import array_uri
    from nmap.report.isosurface import contour_level, look_at, render

    source, grid = report.source.values, report.source.grid
    level = contour_level(source, report.findings.real_space.inside_fraction)
    levels, shared = (level, level), "both share level and view"
    contour = report.findings.contour
    if contour is not None and math.isfinite(contour.decoded_level):
        levels, shared = (contour.level, contour.decoded_level), "both enclose the same volume"
    view = look_at(source, grid, levels[0])
    pictures = []
    named = zip(("source", "decode"), (source, report.decoded.values), levels, strict=True)
    for name, values, level in named:
        image = array_uri(render(values, grid, level, view))
        caption = f"The {name} at level {level:.4g}; {shared}."
        pictures.append(Picture(image, f"Surface of the {name}", caption))
    return pictures


def _small_pictures(report: Report) -> list[Picture]:
    from nmap.report.curves import histogram_figure, loss_figure

    histogram = histogram_figure(report.decoded.values, report.source.values)
    pictures = [Picture(histogram, "Histogram", "How many voxels have each density.")]
    if report.loss is not None and len(report.loss[0]):
        pictures.append(Picture(loss_figure(*report.loss), "Loss", "Loss of the fit by step."))
    return pictures


def _texts(found: Findings) -> list[str]:
    said = [remark_words(remark, found.grid) for remark in found.remarks]
    return ["Lengths in Å, frequencies in 1/Å; a dash: none.", *said]


def _checks(found: Findings) -> Rows:
    return [("OK" if check.holds else "falls short", check_words(check, found)) for check in found.checks]


def _details(report: Report) -> list[Fold]:
    """Every number, group by group, then every shell."""
    values = report.findings.to_json()
    named = [(name, values[name]) for name in DETAILS if values[name] is not None]
    folds = [Fold(name.replace("_", " "), rows=_flat(value)) for name, value in named]
    folds += [Fold(name, rows=rows) for name, rows in report.details]
    return [*folds, _crossings(report.findings), _shells(report.findings)]


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


def _crossings(found: Findings) -> Fold:
    rows = [
        (worded("whole box", found.grid), crossing_words(c, found.fidelity)) for c in found.fidelity.crossings
    ]
    return Fold("crossings", rows=[(name, worded(said, found.grid)) for name, said in rows])


def _shells(found: Findings) -> Fold:
    curve, masked = found.fidelity.curve, found.masked
    head = ["shell", "Å", "1/Å", "modes", "FSC", *(["FSC, mask"] if masked else []), "amplitude ratio", ""]
    lines = []
    ratio = np.sqrt(found.power.decoded / np.maximum(found.power.source, 1e-300))
    for i in range(1, curve.fsc.size):
        f = curve.frequency[i]
        line = [f"{i}", f"{1 / f:.3f}", f"{f:.5f}", f"{curve.modes[i]:.0f}", floored(curve.fsc[i])]
        line += [] if masked is None else [floored(masked.curve.fsc[i])]
        empty = curve.negligible is not None and curve.negligible[i]
        lines.append([*line, f"{ratio[i]:.4f}", "negligible" if empty else ""])
    title = worded("every shell", found.grid)
    return Fold(title, head=[worded(name, found.grid) for name in head], lines=lines)
