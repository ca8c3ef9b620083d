"""`nmap report`: one self-contained HTML page on a `.nmap` file and its source."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from nmap.errors import OptionError
from nmap_cli.common import (
    both_words,
    overwrite_option,
    say,
    size,
    span,
    voice_options,
    write_text,
)
from nmap_cli.comparison import HEADINGS, comparison_options
from nmap_cli.help import Command
from nmap_cli.parameters import INPUT, NMAP_INPUT, OUTPUT, Input, NmapInput


@click.command(
    "report",
    short_help="Show a .nmap beside its map on one HTML page.",
    cls=Command,
    headings=HEADINGS,
    examples=(
        (
            "a page on a file and the map that it was made from",
            "nmap report emd_3488.nmap emd_3488.map.gz -o report.html",
        ),
        (
            "with an atomic model: what each residue loses",
            "nmap report emd_3488.nmap emd_3488.map.gz --model 5me2.pdb.gz -o report.html",
        ),
    ),
)
@click.argument("file", type=NMAP_INPUT)
@click.argument("sources", type=INPUT, nargs=-1, required=True, metavar="SOURCE...")
@click.option("-o", "--output", type=OUTPUT, required=True, help="The HTML page to write.")
@comparison_options
@overwrite_option
@voice_options
def command(
    file: NmapInput,
    sources: tuple[Input, ...],
    output: Path,
    comparison: dict[str, Any],
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write a page that shows how true a .nmap FILE is to its SOURCE map.

    FSC, power spectra, slices, surfaces, local error and every number, in one HTML file that needs no
    network. Needs the extra report: pip install '.[report]' in a checkout of nmap.

    Of a series give all SOURCES in order, or a stack of volumes: the page shows a strip of slices, and the FSC of
    each frame.
    """
    from nmap.container import open_file
    from nmap.report.file import report_file
    from nmap.report.series import report_series

    started = time.monotonic()
    opened = open_file(file)
    if opened.neural_map.axis is not None or len(sources) > 1:
        given = both_words(("half maps", comparison.pop("half_maps")), ("--model", comparison["model"]))
        if given:
            raise OptionError(f"{given} with a series: only one map can; leave it out")
        text = report_series(opened, sources, **{k: v for k, v in comparison.items() if k != "model"})
    else:
        text = report_file(opened, sources[0], **comparison)
    write_text(output, text, overwrite)
    say(f"{output}: {size(output.stat().st_size)}, in {span(time.monotonic() - started)}", quiet)
