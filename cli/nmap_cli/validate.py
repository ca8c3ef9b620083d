"""`nmap validate`: how true a `.nmap` file is to its source, and whether that is enough."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmap.machine.archive import shown_name
from nmap_cli.common import (
    json_option,
    overwrite_option,
    say_json,
    say_lines,
    tell,
    voice_options,
    warn,
    write_text,
)
from nmap_cli.comparison import comparison_options, convention_option
from nmap_cli.limits import checked_limits, limit_options
from nmap_cli.parameters import INPUT, NMAP_INPUT, OUTPUT, Input, NmapInput

if TYPE_CHECKING:
    from nmap.compare.findings import Findings


@click.command("validate")
@click.argument("file", type=NMAP_INPUT)
@click.argument("source", type=INPUT)
@comparison_options
@limit_options
@click.option(
    "--off-grid/--no-off-grid",
    default=None,
    help="Decode at twice the sampling too; by default unless it is huge.",
)
@convention_option
@click.option(
    "--fsc-xml", type=OUTPUT, help="Write the curve as EMDB deposition XML (half-map FSC if given)."
)
@click.option("--star", type=OUTPUT, help="Write the curves as a STAR file.")
@json_option
@overwrite_option
@voice_options
def command(
    file: NmapInput,
    source: Input,
    comparison: dict[str, Any],
    off_grid: bool | None,
    convention: str,
    fsc_xml: Path | None,
    star: Path | None,
    as_json: bool,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
    **limits: Any,
) -> int:
    """Compare a .nmap FILE with the SOURCE map it was made from; both may be URLs, SOURCE emd:NNNN too.

    Exit code 0 if it holds, 1 if it falls short of a limit, 2 for a usage error or a map that lies
    elsewhere, 3 for a bad file. A file with a band limit is always held to claim nothing beyond it, and to
    decode as well between voxels as on them. A source that the file does not look like is warned of.
    """
    held = checked_limits(limits)
    from nmap.validation import validate_file

    found = validate_file(
        file,
        source,
        limits=held,
        off_grid=off_grid,
        convention=convention,  # type: ignore[arg-type]
        **comparison,
    ).findings
    _write_curves(found, fsc_xml, star, overwrite)
    _print(found, shown_name(file), as_json=as_json, quiet=quiet, verbose=verbose)
    return 0 if found.holds else 1


def _print(found: Findings, name: str, *, as_json: bool, quiet: bool, verbose: bool) -> None:
    if as_json:
        say_json(found.to_json())
    else:
        from nmap_cli.findings_text import findings_text

        say_lines(findings_text(found, name, verbose=verbose).split("\n"), quiet)
    from nmap.report.finding_words import check_words, remark_words

    for remark in found.remarks:
        if remark.code == "unlike":
            warn(f"{remark_words(remark, found.grid)}")
    for check in found.failed:
        tell(f"nmap: falls short: {check_words(check, found)}")


def _write_curves(found: Findings, fsc_xml: Path | None, star: Path | None, overwrite: bool) -> None:
    from nmap.compare.curve_files import fidelity_star
    from nmap.compare.curve_files import fsc_xml as as_xml
    from nmap.report.finding_words import fidelity_title, half_map_title

    if fsc_xml is not None:
        if found.half_maps is not None:
            title = half_map_title(found.half_maps, found.grid)
            write_text(fsc_xml, as_xml(found.half_maps.best, title), overwrite)
        else:
            write_text(fsc_xml, as_xml(found.judged.curve, fidelity_title(found)), overwrite)
    if star is not None:
        write_text(star, fidelity_star(found.fidelity, found.masked, found.half_maps), overwrite)
