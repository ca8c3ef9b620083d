"""`nmap decode`: a `.nmap` back to a plain MRC map, at any sampling, in slabs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import click

from nmap import __version__
from nmap.errors import FormatError, OptionError
from nmap.grid import Grid, Shape, Triple
from nmap_cli.common import overwrite_option, refuse_existing, say, size, span, voice_options
from nmap_cli.parameters import INPUT, OUTPUT, REGION, SHAPE, VOXEL_SIZE, Region
from nmap_cli.progress import ProgressLine

_LABEL = f"Decoded by nmap {__version__}"


@click.command("decode")
@click.argument("file", type=INPUT)
@click.option("-o", "--output", type=OUTPUT, required=True, help="The MRC map to write.")
@click.option(
    "--shape", type=SHAPE, metavar="N|NX,NY,NZ", help="Samples over the same box; the voxel size follows."
)
@click.option(
    "--voxel-size",
    type=VOXEL_SIZE,
    metavar="A|X,Y,Z",
    help="Spacing in Angstrom from the same origin; as many samples as fit in the box.",
)
@click.option(
    "--like", type=INPUT, help="Decode on exactly the grid of this map; outside the box lies solvent."
)
@click.option(
    "--region",
    type=REGION,
    metavar="X0:X1,Y0:Y1,Z0:Z1",
    help="Only these voxels, half open, counted on the grid that the other options give.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Voxel type. Older programs cannot read float16 (MRC mode 12).",
)
@overwrite_option
@voice_options
def command(
    file: Path,
    output: Path,
    shape: Shape | None,
    voxel_size: Triple | None,
    like: Path | None,
    region: Region | None,
    dtype: Literal["float32", "float16"],
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Decode a .nmap FILE to a plain MRC map.

    Without --shape, --voxel-size or --like the map comes back on its source's own grid. The map is written in
    slabs, so it may be larger than memory.
    """
    given = [name for name, value in _choices(shape, voxel_size, like) if value is not None]
    if len(given) > 1:
        raise OptionError(f"{' and '.join(given)} contradict each other: give one of them")
    refuse_existing(output, overwrite, [file] if like is None else [file, like])
    from nmap.container import open_map
    from nmap.maps import MapWriter

    started = time.monotonic()
    neural_map = open_map(file)
    grid = neural_map.grid
    if shape is not None:
        grid = neural_map.grid_for(grid.wide(shape) if len(set(shape)) == 1 else shape)
    elif voxel_size is not None:
        grid = grid.with_voxel_size(voxel_size)
    elif like is not None:
        grid = _grid_of(like)
    if region is not None:
        grid = grid.region(*region)
    with (
        ProgressLine(quiet, patience=2.0) as line,
        MapWriter(
            output, grid, dtype=dtype, overwrite=overwrite, labels=_labels(file), label=_LABEL
        ) as writer,
    ):
        for start, slab in neural_map.slabs(grid):
            writer.write(slab)
            line.show("decode", start + len(slab), grid.shape[0])
    say(f"{output}: {grid}, {size(output.stat().st_size)}, in {span(time.monotonic() - started)}", quiet)


def _labels(file: Path) -> tuple[str, ...]:
    """Labels of the source, where the file's record keeps them and can be read."""
    from nmap.container import labels, read_record

    try:
        header = read_record(file).get("source", {}).get("mrc_header")
    except FormatError:
        return ()
    return labels(header) if isinstance(header, bytes) else ()


def _choices(shape: Shape | None, voxel_size: Triple | None, like: Path | None) -> list[tuple[str, object]]:
    return [("--shape", shape), ("--voxel-size", voxel_size), ("--like", like)]


def _grid_of(path: Path) -> Grid:
    from nmap.maps import read_map

    return read_map(path).grid
