"""`nmap fsc`: Fourier shell correlation of any two maps on one grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmap_cli.common import (
    json_option,
    overwrite_option,
    reading_options,
    require,
    say_json,
    say_lines,
    table,
    voice_options,
    write_text,
)
from nmap_cli.comparison import HEADINGS, convention_option
from nmap_cli.help import Command
from nmap_cli.parameters import INPUT, MASK, OUTPUT, Input

if TYPE_CHECKING:
    from nmap.compare.kept_atoms import KeptAtoms
    from nmap.maps import DensityMap, ReadOptions


@click.command(
    "fsc",
    short_help="Fourier shell correlation of any two maps.",
    cls=Command,
    headings=HEADINGS,
    examples=(
        ("two maps on one grid", "nmap fsc decoded.mrc emd_3488.map.gz"),
        (
            "the same inside a mask that is found, as JSON",
            "nmap fsc decoded.mrc emd_3488.map.gz --mask auto --json",
        ),
    ),
)
@click.argument("a", type=INPUT)
@click.argument("b", type=INPUT)
@click.option(
    "--mask", type=MASK, metavar="auto|none|FILE", help="Soft mask by which both maps are multiplied."
)
@click.option(
    "--resolution", type=float, metavar="A", help="Name the worst shell to here; by default to Nyquist."
)
@convention_option
@click.option(
    "--model", type=INPUT, help="Atomic model (mmCIF or PDB): Q and CC of its residues in A and in B."
)
@click.option("--fsc-xml", type=OUTPUT, help="Write the curve as EMDB deposition XML.")
@reading_options
@json_option
@overwrite_option
@voice_options
def command(
    a: Input,
    b: Input,
    mask: str | Input | None,
    resolution: float | None,
    convention: str,
    model: Input | None,
    fsc_xml: Path | None,
    reading: ReadOptions,
    as_json: bool,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Fourier shell correlation of two maps A and B that lie on one grid; of images, ring correlation (FRC).

    JSON keys: frequency (1/Angstrom, of each shell's centre), fsc, modes, crossings (Angstrom, at 0.9, 0.5
    and 0.143;
    null: not before Nyquist), convention, and more.
    """
    require("--resolution", resolution, above=0)
    from nmap.compare.fidelity import Fidelity
    from nmap.maps import read_map_with
    from nmap.maps.checked import require_contrast, require_same_grid
    from nmap.maps.formats import printed
    from nmap.spectrum import fsc, worded
    from nmap.validation import mask_name, read_mask

    first, second = (read_map_with(path, reading) for path in (a, b))
    require_same_grid(first, second, "first map", "second map")
    for path, density in ((a, first), (b, second)):
        require_contrast(density, printed(path))
    chosen = None if mask == "none" else mask
    soft = read_mask(chosen, second, resolution, reading)
    values = None if soft is None else soft.values
    curve = fsc(first.values, second.values, second.grid, values, convention=convention)  # type: ignore[arg-type]
    name = "none" if soft is None else mask_name(chosen)
    if fsc_xml is not None:
        from nmap.compare.curve_files import fsc_xml as as_xml

        title = worded(f"FSC of {a.name} and {b.name}, mask {name}", second.grid)
        write_text(fsc_xml, as_xml(curve, title), overwrite)
    atoms = None if model is None else _atoms(model, first, second, resolution)
    measured = Fidelity(curve, "box" if soft is None else "mask", name, resolution)
    if as_json:
        say_json({"maps": [a.name, b.name], "mask": name, **_json(measured, second.grid, atoms)})
        return
    from nmap_cli.findings_text import convention_rows, fidelity_rows

    rows = [("Maps", f"{a.name}, {b.name}"), ("Grid", str(second.grid)), ("Mask", name)]
    rows += fidelity_rows(measured, "FSC", verbose)
    rows += [] if atoms is None else _atom_rows(atoms, a.name, b.name)
    rows += convention_rows(curve) if verbose else []
    say_lines(worded(table(rows), second.grid).split("\n"), quiet)


def _atoms(model: Input, first: DensityMap, second: DensityMap, resolution: float | None) -> KeptAtoms:
    """The model in both maps; B stands for the source, A for its decode."""
    from nmap.compare.kept_atoms import compare_atoms

    return compare_atoms(model, first.values, second.values, second.grid, resolution=resolution)


def _atom_rows(atoms: KeptAtoms, a: str, b: str) -> list[tuple[str, str]]:
    from nmap.report.atom_words import change_words, worst_residues

    lines = [
        f"{atoms.name}: {atoms.atoms} atoms, {100 * atoms.inside:.4g} % in the box",
        f"mean Q {atoms.q_decoded:.3f} in {a}, {atoms.q_source:.3f} in {b}",
        f"CC in the model's mask to {atoms.resolution:.3g} A: {atoms.cc_mask_decoded:.4f} of {a}, "
        f"{atoms.cc_mask_source:.4f} of {b}",
    ]
    if atoms.against_source is not None:
        lines.append(f"from {b} to {a} {change_words(atoms.against_source)}")
    worst = [
        f"{name}: Q {first} in {a}, {second} in {b}, {change}"
        for name, second, _, first, change in worst_residues(atoms)
    ]
    rows = [("Atoms" if i == 0 else "", line) for i, line in enumerate(lines)]
    return rows + [("Worst residues" if i == 0 else "", line) for i, line in enumerate(worst)]


def _json(measured: Any, grid: Any, atoms: KeptAtoms | None) -> dict[str, Any]:
    from nmap.compare.json_values import as_json, curve_json, finite, grid_json
    from nmap.spectrum import worded

    what = worded("FSC of two maps", grid)
    worst = {
        "what": what,
        "worst": finite(measured.worst),
        "worst_shell": measured.worst_shell,
    }
    found = {
        "grid": grid_json(grid),
        "resolution": measured.resolution,
        **worst,
        **curve_json(measured.curve),
    }
    return found if atoms is None else {**found, "atoms": as_json(atoms)}
