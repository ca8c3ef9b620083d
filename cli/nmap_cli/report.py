"""`nmap report`: one self-contained HTML page on a `.nmap` file and its source."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from nmap_cli.common import (
    overwrite_option,
    say,
    size,
    span,
    voice_options,
    write_text,
)
from nmap_cli.comparison import comparison_options
from nmap_cli.parameters import INPUT, NMAP_INPUT, OUTPUT, Input, NmapInput


@click.command("report")
@click.argument("file", type=NMAP_INPUT)
@click.argument("source", type=INPUT)
@click.option("-o", "--output", type=OUTPUT, required=True, help="The HTML page to write.")
@comparison_options
@overwrite_option
@voice_options
def command(
    file: NmapInput,
    source: Input,
    output: Path,
    comparison: dict[str, Any],
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write a page that shows how true a .nmap FILE is to its SOURCE map.

    FSC, power spectra, slices, surfaces, local error and every number, in one HTML file that needs no
    network. Needs matplotlib: pip install 'nmap-em[report]'.
    """
    from nmap.report.file import report_file

    started = time.monotonic()
    text = report_file(file, source, **comparison)
    write_text(output, text, overwrite)
    say(f"{output}: {size(output.stat().st_size)}, in {span(time.monotonic() - started)}", quiet)
