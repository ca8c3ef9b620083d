"""`nmap repair`: mend a `.nmap` that another program has appended to."""

from __future__ import annotations

from pathlib import Path

import click

from nmap_cli.common import overwrite_option, say, voice_options
from nmap_cli.help import Command
from nmap_cli.parameters import INPUT, NMAP_OUTPUT, Input


@click.command(
    "repair",
    short_help="Mend a .nmap that an HDF5 program has written to.",
    cls=Command,
    examples=(("a file that h5py has written to", "nmap repair damaged.nmap -o mended.nmap"),),
)
@click.argument("file", type=INPUT)
@click.option("-o", "--output", type=NMAP_OUTPUT, required=True, help="The mended .nmap file to write.")
@overwrite_option
@voice_options
def command(file: Input, output: Path, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Mend a .nmap FILE that an HDF5 program has written to.

    HDF5 programs append when they write, which leaves the weights whole but the file longer than its header
    says, so readers refuse it. The weights are checked against their SHA-256 and the file is written anew. What
    the other program added is lost.
    """
    from nmap.container import repair

    for line in repair(file, output, overwrite=overwrite):
        say(f"{output}: {line}", quiet)
