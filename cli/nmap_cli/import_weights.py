"""`nmap import-weights`: a SIREN trained elsewhere as a `.nmap`."""

from __future__ import annotations

from pathlib import Path

import click

from nmap.errors import OptionError
from nmap.grid import Grid, Shape, Triple
from nmap_cli.common import advice, overwrite_option, permissive_option, say, size, voice_options
from nmap_cli.help import Command
from nmap_cli.parameters import INPUT, NMAP_OUTPUT, SHAPE, VOXEL_SIZE, Input

HEADINGS = {
    "The grid it was fitted to": ("grid_like", "shape", "voxel_size", "alignment", "columns"),
    "The network": ("omega", "omega_hidden", "scale", "offset"),
}
"""Of the options, in the help."""


@click.command(
    "import-weights",
    short_help="Write SIREN weights trained elsewhere as a .nmap.",
    cls=Command,
    headings=HEADINGS,
    examples=(
        (
            "a network, and the map that it was fitted to",
            "nmap import-weights siren.npz --omega 30 --grid-like emd_3488.map.gz -o siren.nmap",
        ),
        ("what export-weights wrote", "nmap import-weights weights.safetensors -o back.nmap"),
    ),
)
@click.argument("weights", type=INPUT)
@click.option("-o", "--output", type=NMAP_OUTPUT, required=True, help="The .nmap file to write.")
@click.option(
    "--omega", type=float, show_default="the file's, else 30", help="Factor in the first sine layer."
)
@click.option(
    "--omega-hidden",
    type=float,
    show_default="as --omega, else the file's",
    help="Factor in the other sine layers.",
)
@click.option("--grid-like", type=INPUT, help="The map that the network was fitted to: its grid is taken.")
@click.option("--shape", type=SHAPE, metavar="N|NX,NY,NZ", help="Samples of the grid that it was fitted to.")
@click.option("--voxel-size", type=VOXEL_SIZE, metavar="A|X,Y,Z", help="Spacing of that grid in Angstrom.")
@click.option(
    "--alignment",
    type=click.Choice(["corners", "box"]),
    show_default="the file's, else corners",
    help="Where -1 and 1 lie: the first and last voxel centres, or the faces of the periodic box.",
)
@click.option(
    "--columns",
    type=click.Choice(["zyx", "xyz"]),
    default="zyx",
    show_default=True,
    help="Which coordinate each column of the first layer takes.",
)
@click.option(
    "--scale", type=float, show_default="the file's, else 1", help="Density per unit of network output."
)
@click.option(
    "--offset", type=float, show_default="the file's, else 0", help="Density where the network gives 0."
)
@click.option("--no-hdf5", is_flag=True, help="Leave out the HDF5 side: plain safetensors, fewer bytes.")
@permissive_option
@overwrite_option
@voice_options
def command(
    weights: Input,
    output: Path,
    omega: float | None,
    omega_hidden: float | None,
    grid_like: Input | None,
    shape: Shape | None,
    voxel_size: Triple | None,
    alignment: str | None,
    columns: str,
    scale: float | None,
    offset: float | None,
    no_hdf5: bool,
    permissive: bool,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write SIREN WEIGHTS that were trained elsewhere as a .nmap file.

    Reads .npz and .safetensors files, and torch state dicts and checkpoints (.pt, .pth, .ckpt) that load without
    running code. Layers may be named as in the SIREN authors' notebook (net.0.linear.weight, ..., net.N.weight)
    or repository (net.net.0.0.weight), in siren-pytorch (layers.0.weight, ..., last_layer.weight) or in a plain
    Sequential (0.weight, 2.weight, ...). The grid is given by --grid-like, or by --shape and --voxel-size; that
    of an image, a network of two coordinates, has one section. A file of export-weights names its grid, omegas,
    scale and offset itself.
    """
    _check_grid(grid_like, shape, voxel_size)
    from nmap.container import save
    from nmap.import_siren.import_siren import import_weights
    from nmap.maps import read_grid

    grid: Grid | None = None
    if shape is not None and voxel_size is not None:
        grid = Grid(shape, voxel_size)
    elif grid_like is not None:
        with advice(voxel_size="--shape and --voxel-size in the place of --grid-like"):
            grid = read_grid(grid_like, permissive=permissive)
    neural_map = import_weights(
        weights,
        grid,
        omega=omega,
        omega_hidden=omega_hidden,
        alignment=alignment,
        columns=columns,
        scale=scale,
        offset=offset,
    )
    written = save(neural_map, output, hdf5=not no_hdf5, overwrite=overwrite)
    parameters = sum(tensor.size for tensor in neural_map.tensors.values())
    say(f"{output}: {parameters} parameters, {neural_map.grid}, {size(written)}", quiet)


def _check_grid(grid_like: Input | None, shape: Shape | None, voxel_size: Triple | None) -> None:
    """Refuse other than a map, or a shape and a voxel size, or nothing."""
    if grid_like is not None and not (shape is None and voxel_size is None):
        raise OptionError(
            "the network's grid: give --grid-like MAP, or --shape and --voxel-size, and not both"
        )
    if (shape is None) != (voxel_size is None):
        raise OptionError(
            f"{'--voxel-size' if shape is None else '--shape'} alone: give --shape and --voxel-size"
        )
