"""`nmap strip`: a `.nmap` without its HDF5 side."""

from __future__ import annotations

from pathlib import Path

import click

from nmap.machine.inputs import existing
from nmap_cli.common import overwrite_option, say, voice_options
from nmap_cli.help import Command
from nmap_cli.parameters import INPUT, NMAP_OUTPUT, Input


@click.command(
    "strip",
    short_help="Drop the HDF5 side of a .nmap.",
    cls=Command,
    examples=(
        ("for a few hundred bytes, or some kilobytes, less", "nmap strip emd_3488.nmap -o smaller.nmap"),
    ),
)
@click.argument("file", type=INPUT)
@click.option("-o", "--output", type=NMAP_OUTPUT, required=True, help="The smaller .nmap file to write.")
@overwrite_option
@voice_options
def command(file: Input, output: Path, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Drop the HDF5 side of a .nmap FILE: the same map in fewer bytes.

    What is left is a plain safetensors file. It decodes to the same densities, and inspect and validate say
    the same of it. HDF5 programs cannot open it.
    """
    from nmap.container import strip

    written = strip(file, output, overwrite=overwrite)
    say(f"{output}: {written} bytes, from {existing(file).stat().st_size}", quiet)
