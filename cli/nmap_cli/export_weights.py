"""`nmap export-weights`: the weights of a plain SIREN for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from nmap_cli.common import overwrite_option, say, size, voice_options
from nmap_cli.help import Command
from nmap_cli.parameters import INPUT, OUTPUT


@click.command(
    "export-weights",
    short_help="Write the weights of a bare .nmap for other programs.",
    cls=Command,
    examples=(
        (
            "a network for torch; it was made with encode --bare",
            "nmap export-weights bare.nmap -o weights.safetensors",
        ),
    ),
)
@click.argument("file", type=INPUT)
@click.option("-o", "--output", type=OUTPUT, required=True, help="The .safetensors or .npz file to write.")
@overwrite_option
@voice_options
def command(file: Path, output: Path, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Write the weights of a bare SIREN, a .nmap FILE made by encode --bare or import-weights.

    They are float32 under the key names of the SIREN authors' repository: net.net.0.0.weight, net.net.0.0.bias, ...
    (of a network with a sine output those of their notebook, net.0.linear.weight, ...). Texts beside them hold the
    omegas, coordinates, offset, scale and grid, and five lines of numpy that evaluate them. import-weights reads both
    forms back. Other .nmap files are refused: their density is not the network alone.
    """
    from nmap.export_siren import export_weights

    written = export_weights(file, output, overwrite=overwrite)
    say(f"{output}: {size(written)}", quiet)
