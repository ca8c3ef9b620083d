"""`nmap view`: look at `.nmap` files in the browser."""

from __future__ import annotations

import webbrowser
from functools import partial
from pathlib import Path

import click

from nmap.machine.archive import read_input, shown_name
from nmap_cli.common import overwrite_option, require, say, size, voice_options, write_text
from nmap_cli.help import Command
from nmap_cli.parameters import INPUT, NMAP_INPUT, OUTPUT, Input, NmapInput


@click.command(
    "view",
    short_help="Look at .nmap files in the browser.",
    cls=Command,
    examples=(
        ("surface and slices", "nmap view emd_3488.nmap"),
        ("beside the map that it was made from", "nmap view emd_3488.nmap --source emd_3488.map.gz"),
        ("one page to send", "nmap view emd_3488.nmap --export page.html"),
    ),
)
@click.argument("files", type=NMAP_INPUT, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--source", type=INPUT, metavar="MAP", help="The map that FILE was made from, to set beside it."
)
@click.option(
    "--model",
    type=INPUT,
    metavar="MODEL",
    help="Atomic model (mmCIF or PDB), shown as sticks; with --source coloured by what each residue loses.",
)
@click.option(
    "--level",
    type=float,
    metavar="L",
    help="Surface level in density.  [default: the source's contour level, else what encloses the envelope's volume, "
    "or 3 sigma]",
)
@click.option(
    "--export",
    type=OUTPUT,
    metavar="PAGE.html",
    help="Write the page instead, with all that it needs inside: one file to send. Not with --source.",
)
@click.option("--no-browser", is_flag=True, help="Print the page's address and open no browser.")
@overwrite_option
@voice_options
def command(
    files: tuple[NmapInput, ...],
    source: Input | None,
    model: Input | None,
    level: float | None,
    export: Path | None,
    no_browser: bool,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Look at .nmap FILES in the browser: surface, slices, source, model.

    FILES, source and model may be URLs. The page is served to this machine alone, and needs no internet. The
    files are decoded in the browser, so dropping another .nmap file on the page opens that. The command ends
    when the page is closed, or with Ctrl-C. An exported page holds no source: that would be the whole map.
    """
    require("--level", level)
    from nmap.container import open_file
    from nmap.maps.formats import read_map
    from nmap.viewer import Contents, PageServer, exported_page, marked, read_model

    opened = [open_file(path).neural_map for path in files]  # a bad one is refused before a browser opens
    density = read_map(source) if source else None
    contents = Contents(
        files=[(shown_name(path), read_input(path)) for path in files],
        source=density,
        model=read_model(model) if model else None,
        level=level,
        marks=[partial(marked, one, density, model) for one in opened] if density and model else (),
    )
    if export is not None:
        write_text(export, exported_page(contents), overwrite)
        say(f"{export}: {size(export.stat().st_size)}, opens in any browser from disk", quiet)
        return
    server = PageServer(contents)
    say(f"{server.address}  (ends when the page is closed, or with Ctrl-C)", quiet and not no_browser)
    if not no_browser:
        webbrowser.open(server.address)
    try:
        server.run()
    except KeyboardInterrupt:
        say("ended", quiet)
