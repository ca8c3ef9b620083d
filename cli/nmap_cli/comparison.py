"""What commands that hold a `.nmap` file against its source share: the options, and what is made of them."""

from __future__ import annotations

from functools import wraps
from typing import Any

import click

from nmap.errors import OptionError
from nmap_cli.common import Decorated, reading_options, require
from nmap_cli.parameters import INPUT, MASK, Input

_OPTIONS = (
    click.option(
        "--mask", type=MASK, metavar="auto|none|FILE", help="Soft mask for a second FSC, then the judged one."
    ),
    click.option(
        "--resolution",
        type=float,
        metavar="A",
        help="Shells count to here; by default to the file's band limit.",
    ),
    click.option(
        "--half1", type=INPUT, help="First half map of the source; needs --half2. Adds half-map FSC."
    ),
    click.option("--half2", type=INPUT, help="Second half map; needs --half1."),
    click.option(
        "--model",
        type=INPUT,
        help="Atomic model (mmCIF or PDB): Q and CC of its residues, and map-model FSC.",
    ),
    reading_options,
)

HEADINGS = {
    "How they are compared": (
        "mask",
        "resolution",
        "half1",
        "half2",
        "model",
        "models",
        "off_grid",
        "convention",
    ),
}
"""Of the options of every comparison, in the help."""

convention_option = click.option(
    "--convention",
    type=click.Choice(("nmap", "relion", "linear")),
    default="nmap",
    show_default=True,
    help="Shells.",
)


def comparison_options(command: Decorated) -> Decorated:
    """Add the options of every comparison; they arrive as one `comparison`, keywords of the library's verbs."""

    @wraps(command)
    def with_comparison(
        *arguments: Any,
        mask: str | Input | None,
        resolution: float | None,
        half1: Input | None,
        half2: Input | None,
        model: Input | None,
        reading: Any,
        **options: Any,
    ) -> Any:
        require("--resolution", resolution, above=0)
        comparison = {
            "mask": None if mask == "none" else mask,
            "resolution": resolution,
            "half_maps": both_half_maps(half1, half2),
            "model": model,
            "reading": reading,
        }
        return command(*arguments, comparison=comparison, **options)

    for option in reversed(_OPTIONS):
        with_comparison = option(with_comparison)
    return with_comparison  # type: ignore[return-value]


def both_half_maps(half1: Input | None, half2: Input | None) -> tuple[Input, Input] | None:
    """Both half maps, or none."""
    if half1 is not None and half2 is not None:
        return half1, half2
    if half1 is None and half2 is None:
        return None
    given, wanted = ("--half1", "--half2") if half2 is None else ("--half2", "--half1")
    raise OptionError(f"{given} needs {wanted}: give both half maps, or neither")
