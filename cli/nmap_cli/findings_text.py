"""Findings as lines that a person reads; every number with what it was measured on."""

from __future__ import annotations

from nmap.compare.atomic_model import MapModel
from nmap.compare.findings import Fidelity, Findings, OffGrid
from nmap.compare.half_maps import HalfMaps
from nmap.grid import Grid, Triple
from nmap.outcomes import to_json
from nmap.report.fit_words import margin_words
from nmap.spectrum import CONVENTIONS, Crossing, ShellCurve, worded
from nmap_cli.common import size, table

Rows = list[tuple[str, str]]

# Displacements from the source beyond this, voxels, are remarked on.
_APART = 0.1


def findings_text(found: Findings, file_name: str, by_shell: bool = False) -> str:
    """The whole table; with `by_shell`, every shell of the fidelity FSC after it."""
    rows = [*_identity(found, file_name), *_sizes(found), *_real_space(found)]
    if found.enveloped is not None:
        worst, *rest = fidelity_rows(found.enveloped, "Fidelity FSC, envelope")
        rows += [worst, ("", f"{found.enveloped.where}: what encode states"), *rest]
    rows += fidelity_rows(found.fidelity, "Fidelity FSC, whole box")
    if found.masked is not None:
        rows += fidelity_rows(found.masked, f"Fidelity FSC, mask {found.masked.mask}")
    rows += _promises(found)
    if found.half_maps is not None:
        rows += _half_maps(found.half_maps, found.fidelity.resolution)
    if found.model is not None:
        rows += _model(found.model)
    rows += convention_rows(found.fidelity.curve)
    rows += [("Note" if i == 0 else "", note) for i, note in enumerate(found.notes)]
    rows += [("Holds" if check.holds else "Falls short", str(check)) for check in found.checks]
    return worded(table(rows) + ("\n\n" + _shells(found) if by_shell else ""), found.grid)


def convention_rows(curve: ShellCurve) -> Rows:
    """The convention behind a curve, a clause a line."""
    clauses = CONVENTIONS[curve.convention].split("; ")
    clauses.append("crossing: linear between the last shell above and the first below")
    clauses.append("shells of negligible power (amplitude below 0.1 % of the map's rms) are not counted")
    return [("Convention" if i == 0 else "", clause) for i, clause in enumerate(clauses)]


def _shells(found: Findings) -> str:
    """Every shell to Nyquist, a line each."""
    curve, masked = found.fidelity.curve, found.masked
    head = f"{'shell':>5} {'A':>8} {'1/A':>8} {'modes':>9} {'FSC':>8}"
    lines = [head if masked is None else f"{head} {'masked':>8}"]
    for i in range(1, curve.fsc.size):
        f = curve.frequency[i]
        line = f"{i:5d} {1 / f:8.2f} {f:8.4f} {curve.modes[i]:9.0f} {curve.fsc[i]:8.4f}"
        line += "" if masked is None else f" {masked.curve.fsc[i]:8.4f}"
        lines.append(line + ("  negligible" if curve.negligible is not None and curve.negligible[i] else ""))
    return "\n".join(lines)


def fidelity_rows(fidelity: Fidelity, name: str) -> Rows:
    """The worst shell and the crossings of a fidelity FSC."""
    curve, reach = fidelity.curve, fidelity.resolution
    shell = curve.worst_shell(reach)
    where = "to Nyquist" if reach is None else f"to {reach:g} A"
    worst = "no shell holds power" if shell is None else f"{fidelity.worst:.4f} in {shell_text(curve, shell)}"
    return [(name, f"worst shell {where}: {worst}"), *crossing_rows(curve, fidelity.crossings)]


def crossing_rows(curve: ShellCurve, crossings: tuple[Crossing, ...]) -> Rows:
    """Where a curve falls below each threshold, with the shells on both sides."""
    return [("", f"falls below {c.threshold:g}: {crossing_text(c)}") for c in crossings] + _empty(curve)


def crossing_text(crossing: Crossing) -> str:
    """A crossing in Angstrom with the shells on both sides."""
    if crossing.resolution is None or crossing.first_below is None:
        return "not before Nyquist"
    above = "" if crossing.last_above is None else f"above at {crossing.last_above:.2f}, "
    return f"{crossing.resolution:.2f} A ({above}below at {crossing.first_below:.2f})"


def shell_text(curve: ShellCurve, shell: int) -> str:
    """A shell by its number and its resolution."""
    return f"shell {shell} ({1 / curve.frequency[shell]:.2f} A)"


def _empty(curve: ShellCurve) -> Rows:
    if curve.negligible is None or not curve.negligible[1:].any():
        return []
    marked = curve.negligible[1:].nonzero()[0] + 1
    named = f"{marked.size} shells, from {shell_text(curve, int(marked[0]))}"
    return [("", f"negligible power, not counted: {named}")]


def _identity(found: Findings, file_name: str) -> Rows:
    rows = [("File", file_name), ("Source", found.source), ("Grid", str(found.grid))]
    if found.container is not None:
        same = {
            True: "made from this very source file",
            False: "made from another file",
            None: "source not recorded",
        }
        rows.append(("Container", f"valid; {same[found.container.same_source]} (SHA-256)"))
    return rows


def _sizes(found: Findings) -> Rows:
    sizes = found.sizes
    if sizes is None:
        return []
    made = "" if sizes.gz_is_source else " (gzip -6, made here)"
    rows = [("Size", f"{size(sizes.nmap)}, {sizes.bits_per_voxel:.4g} bits a voxel")]
    named = (("raw map", sizes.raw, ""), (".gz", sizes.gz, made), ("float16 map", sizes.float16, ""))
    for name, count, note in named:
        ratio = sizes.ratio(count)
        if count is not None and ratio is not None:
            rows.append(("", f"1/{ratio:.4g} of the {name}, {size(count)}{note}"))
    return rows


def _real_space(found: Findings) -> Rows:
    real = found.real_space
    rows = [
        ("Voxels", f"RMSE {real.rmse:.4g}, largest error {real.max_error:.4g}, in the map's units"),
        ("", f"PSNR {real.psnr:.2f} dB (peak: maximum minus minimum of the source)"),
        ("", f"correlation {real.correlation:.4f} over the whole box"),
    ]
    if real.correlation_inside is not None and real.inside_fraction is not None:
        outside = "-" if real.correlation_outside is None else f"{real.correlation_outside:.4f}"
        share = f"{100 * real.inside_fraction:.1f} % of the box"
        rows.append(("", f"{real.correlation_inside:.4f} inside the envelope ({share}), {outside} outside"))
    rows.append(("", f"contrast {real.slope:.4f} of the source's"))
    return [*rows, *place_rows(found.shift, found.grid)]


def place_rows(displacement: Triple, grid: Grid) -> Rows:
    """How far a decode lies from its source, voxels (x, y, z); in Angstrom too where that is much."""
    shift = ", ".join(f"{s:+.4f}" for s in displacement)
    rows = [("Place", f"displaced from the source by ({shift}) voxels (x, y, z)")]
    if max(abs(s) for s in displacement) > _APART:
        angstrom = ", ".join(f"{s * v:+.2g}" for s, v in zip(displacement, grid.voxel_size, strict=True))
        rows.append(
            ("", f"more than {_APART:g} voxel: by ({angstrom}) A; encode --preset faithful keeps it closer")
        )
    return rows


def _promises(found: Findings) -> Rows:
    rows: Rows = []
    if found.band_limit is not None:
        limit = found.band_limit
        rows.append(
            ("Band limit", f"{limit.limit:g} A; beyond it {limit.beyond_decoded:.2g} of the decode's power")
        )
        rows.append(("", f"and {limit.beyond_source:.2g} of the source's"))
    if found.off_grid is not None:
        rows += _off_grid(found.off_grid)
    if found.symmetry is not None:
        s = found.symmetry
        rows.append(
            ("Symmetry", f"{s.group}: lowest self-correlation {s.decoded:.4f}, of the source {s.source:.4f}")
        )
    return rows


def _off_grid(off: OffGrid) -> Rows:
    shift = ", ".join(f"{s:+.4f}" for s in off.shift)
    ratio = "FSC too low on the grid to compare with"
    if off.lowest_ratio is not None:
        worst = f"{off.lowest_ratio:.4f} in the worst shell (1: as true)"
        ratio = f"FSC between voxels over FSC on them: {worst}, against the upsampled source"
    return [
        ("At 2x", ratio),
        ("", f"{off.power_beyond:.2g} of its power beyond the limit"),
        ("", f"displaced from the decode on the grid by ({shift}) voxels (x, y, z)"),
    ]


def _half_maps(half_maps: HalfMaps, resolution: float | None) -> Rows:
    def at(curve: ShellCurve, threshold: float) -> str:
        return crossing_text(curve.crossing_at(threshold))

    rows = [("Half-map FSC", f"unmasked falls below 0.143: {at(half_maps.unmasked, 0.143)}")]
    if half_maps.masked is not None and half_maps.corrected is not None:
        rows.append(("", f"masked: {at(half_maps.masked, 0.143)}"))
        rows.append(("", f"corrected for the mask: {at(half_maps.corrected, 0.143)}"))
    if half_maps.randomised_from is not None:
        rows.append(("", f"phases randomised from {half_maps.randomised_from:.2f} A on (RELION's way)"))
    for name, pair in (("decode", half_maps.decoded), ("source", half_maps.source)):
        if pair is not None:
            ends = " and ".join(at(curve, 0.5) for curve in pair)
            rows.append(("", f"{name} against halves 1 and 2 falls below 0.5: {ends}"))
    margins = {"whole box": half_maps.margin, "within the mask": half_maps.margin_masked}
    told = [(where, margin) for where, margin in margins.items() if margin is not None]
    if told:
        last = int(half_maps.unmasked.counted(resolution).nonzero()[0][-1])
        rows.append(
            ("", "FSC(decode, half 2) - FSC(half 1, half 2), of a fit of half 1 alone a cross-validation:")
        )
        rows += [("", f"{where}: {margin_words(to_json(margin.summary(last)))}") for where, margin in told]
    return rows


def _model(model: MapModel) -> Rows:
    rows = [("Map-model FSC", f"{model.name}, {model.atoms} atoms, {100 * model.inside:.0f} % in the box")]
    for name, curve, cc in (
        ("source", model.source, model.correlation_source),
        ("decode", model.decoded, model.correlation_decoded),
    ):
        rows.append(
            ("", f"{name} falls below 0.5: {crossing_text(curve.crossing_at(0.5))}; correlation {cc:.4f}")
        )
    rows.append(("", f"mask {model.mask}; electron scattering factors, the atoms' own B factors"))
    return rows
