"""FSC curves for other programs: EMDB's deposition XML and a STAR file."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

import numpy as np

from nmap.compare.findings import Fidelity, Findings
from nmap.compare.half_maps import HalfMaps
from nmap.spectrum import F64, ShellCurve, worded


def fsc_xml(curve: ShellCurve, title: str) -> str:
    """A curve in the XML form that EMDB and OneDep take; x is the frequency in 1/Angstrom.

    Args:
        curve: what to write, shell 0 included.
        title: shown with the curve; characters that XML cannot hold are dropped.
    """
    allowed = "".join(c for c in title if c.isprintable())
    name = quoteattr(allowed, {'"': "&quot;"})
    lines = [f'<fsc title={name} xaxis="Resolution (A-1)" yaxis="Correlation Coefficient">']
    for frequency, value in zip(curve.frequency, curve.fsc, strict=True):
        lines += [
            "  <coordinate>",
            f"    <x>{frequency:.6f}</x>",
            f"    <y>{value:.6f}</y>",
            "  </coordinate>",
        ]
    return "\n".join([*lines, "</fsc>", ""])


def half_map_title(half_maps: HalfMaps) -> str:
    """What the half-map curve is."""
    if half_maps.masked is None:
        return "Half-map FSC, unmasked"
    if half_maps.randomised is None:
        return "Half-map FSC, masked"
    return "Half-map FSC, masked, corrected by phase randomisation"


def fidelity_title(found: Findings) -> str:
    """What the fidelity curve is; the words keep it from being taken for a half-map FSC."""
    mask = "unmasked" if found.judged.mask == "none" else found.judged.where
    title = f"Fidelity FSC of {found.decoded} against {found.source}, {mask} (not a half-map FSC)"
    return worded(title, found.grid)


def fidelity_star(fidelity: Fidelity, masked: Fidelity | None, half_maps: HalfMaps | None) -> str:
    """A STAR file of the curves: `data_fidelity`, and RELION's own `data_fsc` if there are half maps.

    RELION's labels name half-map correlations only, so the fidelity FSC has labels of its own.
    """
    curve = fidelity.curve
    columns = [*_shell_columns(curve), ("_nmapFidelityFsc", curve.fsc)]
    if masked is not None:
        columns.append(("_nmapFidelityFscMasked", masked.curve.fsc))
    blocks = [_loop("data_fidelity", columns)]
    if half_maps is not None:
        blocks.append(_loop("data_fsc", _half_map_columns(half_maps)))
    return "\n\n".join(blocks) + "\n"


def _half_map_columns(half_maps: HalfMaps) -> list[tuple[str, F64]]:
    named = [
        ("_rlnFourierShellCorrelationCorrected", half_maps.corrected or half_maps.unmasked),
        ("_rlnFourierShellCorrelationUnmaskedMaps", half_maps.unmasked),
        ("_rlnFourierShellCorrelationMaskedMaps", half_maps.masked),
        ("_rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps", half_maps.randomised),
    ]
    return [*_shell_columns(half_maps.unmasked), *((n, c.fsc) for n, c in named if c is not None)]


def _shell_columns(curve: ShellCurve) -> list[tuple[str, F64]]:
    with np.errstate(divide="ignore"):
        angstrom = np.where(curve.frequency > 0, 1 / curve.frequency, 999.0)
    return [
        ("_rlnSpectralIndex", np.arange(curve.fsc.size, dtype=np.float64)),
        ("_rlnResolution", curve.frequency),
        ("_rlnAngstromResolution", angstrom),
    ]


def _loop(block: str, columns: Sequence[tuple[str, F64]]) -> str:
    head = [block, "", "loop_", *(f"{name} #{i}" for i, (name, _) in enumerate(columns, 1))]
    rows = [
        " ".join([f"{int(row[0]):6d}", *(f"{value:12.6f}" for value in row[1:])])
        for row in zip(*(values for _, values in columns), strict=True)
    ]
    return "\n".join([*head, *rows])
