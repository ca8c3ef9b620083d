"""FSC curves for other programs: EMDB's deposition XML and a STAR file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

import numpy as np

from nmap.compare.fidelity import Fidelity
from nmap.compare.half_maps import HalfMaps
from nmap.spectrum import F64, ShellCurve

Columns = Sequence[tuple[str, F64]]

FAR = 999.0
"""Resolution of shell 0 in a STAR file, Angstrom, as RELION writes it."""


def fsc_xml(curve: ShellCurve, title: str) -> str:
    """A curve in the XML form that EMDB and OneDep take; x is the frequency in 1/Angstrom.

    Args:
        curve: what to write, shell 0 included.
        title: shown with the curve; characters that XML cannot hold are dropped.
    """
    root = ET.Element(
        "fsc",
        title="".join(c for c in title if c.isprintable()),
        xaxis="Resolution (A-1)",
        yaxis="Correlation Coefficient",
    )
    for frequency, value in zip(curve.frequency, curve.fsc, strict=True):
        coordinate = ET.SubElement(root, "coordinate")
        ET.SubElement(coordinate, "x").text = f"{frequency:.6f}"
        ET.SubElement(coordinate, "y").text = f"{value:.6f}"
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def fidelity_star(fidelity: Fidelity, masked: Fidelity | None, half_maps: HalfMaps | None) -> str:
    """A STAR file of the curves: `data_fidelity`, and RELION's own `data_fsc` if there are half maps.

    RELION's labels name half-map correlations only, so the fidelity FSC has labels of its own.
    """
    curve = fidelity.curve
    columns = [*_shell_columns(curve), ("_nmapFidelityFsc", curve.fsc)]
    if masked is not None:
        columns.append(("_nmapFidelityFscMasked", masked.curve.fsc))
    blocks: dict[str, Columns] = {"fidelity": columns}
    if half_maps is not None:
        blocks["fsc"] = _half_map_columns(half_maps)
    return _star(blocks)


def _half_map_columns(half_maps: HalfMaps) -> Columns:
    named = [
        ("_rlnFourierShellCorrelationCorrected", half_maps.corrected or half_maps.unmasked),
        ("_rlnFourierShellCorrelationUnmaskedMaps", half_maps.unmasked),
        ("_rlnFourierShellCorrelationMaskedMaps", half_maps.masked),
        ("_rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps", half_maps.randomised),
    ]
    return [*_shell_columns(half_maps.unmasked), *((n, c.fsc) for n, c in named if c is not None)]


def _shell_columns(curve: ShellCurve) -> Columns:
    with np.errstate(divide="ignore"):
        angstrom = np.where(curve.frequency > 0, 1 / curve.frequency, FAR)
    return [
        ("_rlnSpectralIndex", np.arange(curve.fsc.size, dtype=np.float64)),
        ("_rlnResolution", curve.frequency),
        ("_rlnAngstromResolution", angstrom),
    ]


def _star(blocks: Mapping[str, Columns]) -> str:
    """A STAR file of one loop in each block."""
    from gemmi import cif

    document = cif.Document()
    for name, columns in blocks.items():
        loop = document.add_new_block(name).init_loop("", [column for column, _ in columns])
        for row in zip(*(values for _, values in columns), strict=True):
            loop.add_row([f"{int(row[0])}", *(f"{value:.6f}" for value in row[1:])])
    options = cif.WriteOptions()
    options.align_loops = 30
    return str(document.as_string(options))
