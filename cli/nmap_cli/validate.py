"""`nmap validate`: how true a `.nmap` file is to its source, and whether that is enough."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmap.errors import OptionError
from nmap.machine.archive import shown_name
from nmap_cli.common import (
    both_words,
    json_option,
    overwrite_option,
    say_json,
    say_lines,
    table,
    tell,
    voice_options,
    warn,
    write_text,
)
from nmap_cli.comparison import HEADINGS, comparison_options, convention_option
from nmap_cli.help import Command
from nmap_cli.limits import HEADINGS as LIMITS
from nmap_cli.limits import checked_limits, limit_options
from nmap_cli.parameters import INPUT, NMAP_INPUT, OUTPUT, Input, NmapInput

if TYPE_CHECKING:
    from nmap.compare.findings import Findings
    from nmap.container import MapFile


@click.command(
    "validate",
    short_help="Measure how true a .nmap is to its map.",
    cls=Command,
    headings={**HEADINGS, **LIMITS},
    examples=(
        ("how true a file is to its map", "nmap validate emd_3488.nmap emd_3488.map.gz"),
        (
            "exit code 1 if a shell lies below 0.9",
            "nmap validate emd_3488.nmap emd_3488.map.gz --min-fsc 0.9",
        ),
        (
            "residue by residue, with an atomic model",
            "nmap validate emd_3488.nmap emd_3488.map.gz --model 5me2.pdb.gz",
        ),
    ),
)
@click.argument("file", type=NMAP_INPUT)
@click.argument("sources", type=INPUT, nargs=-1, required=True, metavar="SOURCE...")
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
    sources: tuple[Input, ...],
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

    A series is compared with all of its frames in order, several SOURCES or a stack of volumes: the worst and the
    mean of every number are printed, and each frame must hold. Sources in another order than the frames fall short.
    """
    held = checked_limits(limits)
    from nmap.container import open_file
    from nmap.validation import validate_file

    opened = open_file(file)
    if opened.neural_map.axis is not None or len(sources) > 1:
        if fsc_xml is not None or star is not None:
            given = both_words(("--fsc-xml", fsc_xml), ("--star", star))
            raise OptionError(f"{given} with a series: a curve is of one map; leave it out")
        return _validate_series(
            opened,
            sources,
            {**comparison, "limits": held, "off_grid": off_grid, "convention": convention},
            as_json=as_json,
            quiet=quiet,
        )
    found = validate_file(
        opened,
        sources[0],
        limits=held,
        off_grid=off_grid,
        convention=convention,  # type: ignore[arg-type]
        **comparison,
    ).findings
    _write_curves(found, fsc_xml, star, overwrite)
    _print(found, shown_name(file), as_json=as_json, quiet=quiet, verbose=verbose)
    return 0 if found.holds else 1


def _validate_series(
    opened: MapFile, sources: tuple[Input, ...], options: dict[str, Any], *, as_json: bool, quiet: bool
) -> int:
    """Compare each frame of a series, and print the frames, the worst and the mean."""
    from nmap.report.finding_words import check_words
    from nmap.report.series_words import axis_name, axis_words, order_lines, series_rows
    from nmap.series_validation import validate_series
    from nmap.spectrum import worded

    if options.pop("half_maps") is not None:
        raise OptionError("--half1 and --half2 with a series: only one map has half maps; leave them out")
    found = validate_series(opened, sources, **options)
    grid = opened.neural_map.grid
    if as_json:
        say_json(found.to_json())
    else:
        rows = [("File", shown_name(opened.path)), ("Series", axis_words(found.axis)), ("Grid", str(grid))]
        say_lines(worded(table([*rows, *series_rows(found)]), grid).split("\n"), quiet)
    for line in order_lines(found, [frame.source for frame in found.frames]):
        tell(f"nmap: falls short: {line}")
    for t, frame in zip(found.axis.at, found.frames, strict=True):
        for check in frame.failed:
            tell(f"nmap: {axis_name(found.axis)} = {t:g} falls short: {check_words(check, frame)}")
    return 0 if found.holds else 1


def _print(found: Findings, name: str, *, as_json: bool, quiet: bool, verbose: bool) -> None:
    if as_json:
        say_json(found.to_json())
    else:
        from nmap_cli.findings_text import findings_text

        say_lines(findings_text(found, name, verbose=verbose).split("\n"), quiet)
    from nmap.report.finding_words import check_words, remark_words

    for remark in found.remarks:
        if remark.code in ("unlike", "other-map"):
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
