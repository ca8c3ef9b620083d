"""`nmap report`: one self-contained HTML page on a `.nmap` file and its source."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nmap_cli.common import (
    overwrite_option,
    reading_options,
    require,
    say,
    size,
    span,
    voice_options,
    write_text,
)
from nmap_cli.parameters import INPUT, MASK, OUTPUT
from nmap_cli.validate import both_half_maps

if TYPE_CHECKING:
    from nmap.maps import ReadOptions


@click.command("report")
@click.argument("file", type=INPUT)
@click.argument("source", type=INPUT)
@click.option("-o", "--output", type=OUTPUT, required=True, help="The HTML page to write.")
@click.option(
    "--mask", type=MASK, metavar="auto|none|FILE", help="Soft mask for a second FSC, then the judged one."
)
@click.option(
    "--resolution", type=float, metavar="A", help="Shells count to here; by default to the file's band limit."
)
@click.option("--half1", type=INPUT, help="First half map of the source.")
@click.option("--half2", type=INPUT, help="Second half map.")
@click.option("--model", type=INPUT, help="Atomic model (mmCIF or PDB): map-model FSC of source and decode.")
@reading_options
@overwrite_option
@voice_options
def command(
    file: Path,
    source: Path,
    output: Path,
    mask: str | Path | None,
    resolution: float | None,
    half1: Path | None,
    half2: Path | None,
    model: Path | None,
    reading: ReadOptions,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write a page that shows how true a .nmap FILE is to its SOURCE map.

    FSC, power spectra, slices, surfaces, local error and every number, in one HTML file that needs no
    network. Needs matplotlib: pip install 'nmap-em[report]'.
    """
    half_maps = both_half_maps(half1, half2)
    require("--resolution", resolution, above=0)
    from nmap.report.file import report_file

    started = time.monotonic()
    text = report_file(
        file,
        source,
        resolution=resolution,
        mask=None if mask == "none" else mask,
        half_maps=half_maps,
        model=model,
        reading=reading,
    )
    write_text(output, text, overwrite)
    say(f"{output}: {size(output.stat().st_size)}, in {span(time.monotonic() - started)}", quiet)
