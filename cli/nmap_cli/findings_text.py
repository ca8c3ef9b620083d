"""Findings as lines that a person reads: what a biologist asks first, what an engineer needs with --verbose."""

from __future__ import annotations

from nmap.compare.atomic_model import MapModel
from nmap.compare.fidelity import Fidelity
from nmap.compare.findings import Findings
from nmap.compare.half_maps import HalfMaps
from nmap.compare.kept_atoms import KeptAtoms
from nmap.compare.measures import MEASURES
from nmap.grid import Grid, Triple
from nmap.outcomes import to_json
from nmap.report.atom_words import atom_lines, detail_name, detail_words, local_words, worst_residues
from nmap.report.finding_words import (
    check_words,
    contour_lines,
    crossing_shells,
    crossing_words,
    displacement_words,
    measured,
    reach,
    remark_words,
    same_source_words,
    shell_words,
    where,
    worst_words,
)
from nmap.report.fit_words import margin_words
from nmap.spectrum import CONVENTIONS, ShellCurve, floored, worded
from nmap_cli.common import size, table

Rows = list[tuple[str, str]]

APART = 0.1
"""Displacement from the source, in voxels, beyond which it is said what keeps a decode closer."""


def findings_text(found: Findings, file_name: str, verbose: bool = False) -> str:
    """The whole table; with `verbose` what engineers need, and every shell of the fidelity FSC after it."""
    rows = [
        *_identity(found, file_name),
        *_sizes(found),
        *((detail_name(found) if not i else "", line) for i, line in enumerate(detail_words(found))),
        *_measures(found),
        *place_rows(found.shift, found.grid),
    ]
    if found.symmetry is not None:
        s = found.symmetry
        rows.append(
            (
                "Symmetry",
                f"{s.group}: copies agree to {floored(s.decoded)}, in the source to {floored(s.source)}",
            )
        )
    if found.half_maps is not None:
        rows += _half_maps(found.half_maps, found.fidelity.resolution, verbose)
    if found.atoms is not None:
        rows += _worst(found.atoms)
    if found.model is not None:
        rows += _model(found.model, verbose)
    if verbose:
        rows += _engineering(found)
    rows += [("Note" if i == 0 else "", remark_words(r, found.grid)) for i, r in enumerate(found.remarks)]
    rows += [("OK" if check.holds else "Falls short", check_words(check, found)) for check in found.checks]
    return worded(table(rows), found.grid) + ("\n\n" + worded(_shells(found), found.grid) if verbose else "")


def _identity(found: Findings, file_name: str) -> Rows:
    rows = [("File", file_name), ("Source", found.source)]
    if found.container is not None:
        rows.append(("", same_source_words(found.container.same_source)))
    return [*rows, ("Grid", str(found.grid))]


def _sizes(found: Findings) -> Rows:
    sizes = found.sizes
    if sizes is None:
        return []
    made = "" if sizes.gz_is_source else ", made here by gzip -6"
    rows = [("Size", f"{size(sizes.nmap)}, {sizes.bits_per_voxel:.4g} bits a voxel")]
    named = (("raw map", sizes.raw, ""), (".gz", sizes.gz, made), ("float16 map", sizes.float16, ""))
    for name, count, note in named:
        ratio = sizes.ratio(count)
        if count is not None and ratio is not None:
            rows.append(("", f"1/{ratio:.4g} of the {name}, {size(count)}{note}"))
    return rows


def _measures(found: Findings) -> Rows:
    """Each measure that has a heading, and below the FSC what else is said of it."""
    headings: dict[str, list[str]] = {}
    for measure in MEASURES:
        if measure.heading and (said := measured(measure, found)):
            headings.setdefault(measure.heading, []).append(said)
        if measure.name == "fsc":
            headings.setdefault(measure.heading, []).extend(_fidelity(found))
        if measure.name == "local_correlation" and found.local is not None:
            headings[measure.heading].append(local_words(found.local))
    if found.contour is not None:
        headings["Contour level"] = contour_lines(found.contour)
    if found.atoms is not None:
        headings["Atoms"] = atom_lines(found.atoms)
    return [("" if i else name, line) for name, lines in headings.items() for i, line in enumerate(lines)]


def _worst(atoms: KeptAtoms) -> Rows:
    """The residues that lose most, a line each."""
    lines = [
        f"{name}: Q {source} in the source, {cut} cut, {decoded} in the decode, {change}"
        for name, source, cut, decoded, change in worst_residues(atoms)
    ]
    return [("Worst residues" if i == 0 else "", line) for i, line in enumerate(lines)]


def _fidelity(found: Findings) -> list[str]:
    lines = [", ".join(crossing_words(c, found.judged) for c in found.judged.crossings)]
    for fidelity in (found.enveloped, found.fidelity):
        if fidelity is not None and fidelity is not found.judged:
            lines.append(f"FSC {where(fidelity)}: {worst_words(fidelity)}")
    return lines


def place_rows(shift: Triple, grid: Grid) -> Rows:
    """How far a decode lies from its source, voxels (x, y, z); and what helps where that is much."""
    rows = [("Place", displacement_words(shift, grid))]
    if max(abs(s) for s in shift) > APART:
        rows.append(("", f"more than {APART:g} voxel: a higher goal (encode --target-fsc) keeps it closer"))
    return rows


def fidelity_rows(fidelity: Fidelity, name: str, verbose: bool = False) -> Rows:
    """The worst shell and the crossings of an FSC; with `verbose` the shells on both sides."""
    rows = [
        (name, worst_words(fidelity)),
        ("", ", ".join(crossing_words(c, fidelity) for c in fidelity.crossings)),
    ]
    if verbose:
        rows += [("", line) for c in fidelity.crossings if (line := crossing_shells(c))]
        rows += _empty(fidelity.curve)
    return rows


def convention_rows(curve: ShellCurve) -> Rows:
    """The convention behind a curve, a clause a line."""
    clauses = CONVENTIONS[curve.convention].split("; ")
    clauses.append("crossing: linear between the last shell above and the first below")
    clauses.append("shells of negligible power (amplitude below 0.1 % of the map's rms) are not counted")
    return [("Convention" if i == 0 else "", clause) for i, clause in enumerate(clauses)]


def _empty(curve: ShellCurve) -> Rows:
    if curve.negligible is None or not curve.negligible[1:].any():
        return []
    marked = curve.negligible[1:].nonzero()[0] + 1
    first = shell_words(curve, int(marked[0]))
    return [("", f"not counted, as they hold no power: {marked.size} shells, from {first}")]


def _half_maps(half_maps: HalfMaps, resolution: float | None, verbose: bool) -> Rows:
    def at(curve: ShellCurve, threshold: float) -> str:
        return crossing_words(curve.crossing_at(threshold))

    rows = [("Half-map FSC", f"unmasked: {at(half_maps.unmasked, 0.143)}")]
    if half_maps.masked is not None and half_maps.corrected is not None:
        rows.append(("", f"masked: {at(half_maps.masked, 0.143)}"))
        rows.append(("", f"corrected for the mask: {at(half_maps.corrected, 0.143)}"))
    if half_maps.randomised_from is not None and verbose:
        rows.append(("", f"phases randomised from {half_maps.randomised_from:.2f} A on (RELION's way)"))
    for name, pair in (("decode", half_maps.decoded), ("source", half_maps.source)):
        if pair is not None:
            ends = " and ".join(at(curve, 0.5) for curve in pair)
            rows.append(("", f"{name} against halves 1 and 2: {ends}"))
    margins = {"whole box": half_maps.margin, "within the mask": half_maps.margin_masked}
    told = [(name, margin) for name, margin in margins.items() if margin is not None]
    if told and verbose:
        last = int(half_maps.unmasked.counted(resolution).nonzero()[0][-1])
        rows.append(
            ("", "FSC(decode, half 2) - FSC(half 1, half 2), of a fit of half 1 alone a cross-validation:")
        )
        rows += [("", f"{name}: {margin_words(to_json(margin.summary(last)))}") for name, margin in told]
    return rows


def _model(model: MapModel, verbose: bool) -> Rows:
    rows = [("Map-model FSC", f"{model.name}, {model.atoms} atoms, {100 * model.inside:.0f} % in the box")]
    for name, curve, cc in (
        ("source", model.source, model.correlation_source),
        ("decode", model.decoded, model.correlation_decoded),
    ):
        rows.append(("", f"{name}: {crossing_words(curve.crossing_at(0.5))}, correlation {floored(cc)}"))
    if verbose:
        mask = "around the atoms" if model.mask == "around the atoms" else "as given"
        rows.append(("", f"mask {mask}; electron scattering factors, the atoms' own B factors"))
    return rows


def _engineering(found: Findings) -> Rows:
    """What the plain words above leave out."""
    shift = ", ".join(f"{s:+.4f}" for s in found.shift)
    real, judged = found.real_space, found.judged
    rows: Rows = [
        ("Details", f"displaced from the source by ({shift}) voxels (x, y, z)"),
        ("", f"least-squares factor of the densities {real.slope:.4f}, largest error {real.max_error:.4g}"),
        ("", f"PSNR: peak is the {real.psnr_peak}"),
        ("", f"FSC {where(judged)}: {worst_words(judged)}"),
    ]
    rows += [("", line) for c in judged.crossings if (line := crossing_shells(c))]
    rows += _empty(judged.curve)
    if real.correlation_inside is not None and real.inside_fraction is not None:
        outside = "-" if real.correlation_outside is None else floored(real.correlation_outside)
        share = f"{100 * real.inside_fraction:.1f} % of the voxels"
        rows.append(
            (
                "",
                f"correlation {floored(real.correlation_inside)} inside the envelope ({share}), {outside} outside",
            )
        )
    if found.band_limit is not None:
        limit = found.band_limit
        rows.append(
            ("", f"of the source's power {100 * limit.beyond_source:.2g} % lies beyond {limit.limit:g} A")
        )
    rows += [
        ("", f"{check.measure.name}: {check.value:.4g} (wanted {check.relation} {check.wanted:g})")
        for check in found.checks
    ]
    if found.off_grid is not None:
        fine = ", ".join(f"{s:+.4f}" for s in found.off_grid.shift)
        rows.append(
            ("", f"at twice the sampling displaced by ({fine}) voxels (x, y, z), {reach(judged.resolution)}")
        )
    return [*rows, *convention_rows(found.fidelity.curve)]


def _shells(found: Findings) -> str:
    """Every shell to Nyquist, a line each."""
    curve, masked = found.fidelity.curve, found.masked
    head = f"{'shell':>5} {'A':>8} {'1/A':>8} {'modes':>9} {'FSC':>8}"
    lines = [head if masked is None else f"{head} {'masked':>8}"]
    for i in range(1, curve.fsc.size):
        f = curve.frequency[i]
        line = f"{i:5d} {1 / f:8.2f} {f:8.4f} {curve.modes[i]:9.0f} {floored(curve.fsc[i]):>8}"
        line += "" if masked is None else f" {floored(masked.curve.fsc[i]):>8}"
        lines.append(line + ("  negligible" if curve.negligible is not None and curve.negligible[i] else ""))
    return "\n".join(lines)
