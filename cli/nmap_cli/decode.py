"""`nmap decode`: a `.nmap` back to a plain MRC map, at any sampling, in slabs."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import numpy as np

from nmap import __version__
from nmap.errors import GridError, LimitError, NonFiniteError, OptionError, OutputExistsError
from nmap.grid import Grid, Shape, Triple
from nmap_cli.common import (
    advice,
    one_output,
    output_argument,
    overwrite_option,
    permissive_option,
    say,
    size,
    span,
    voice_options,
    warn,
)
from nmap_cli.help import Command
from nmap_cli.parameters import (
    FRAMES,
    INPUT,
    MAP_OUTPUT,
    NMAP_INPUT,
    REGION,
    SHAPE,
    VOXEL_SIZE,
    Frames,
    Input,
    NmapInput,
    Region,
)
from nmap_cli.progress import ProgressLine

if TYPE_CHECKING:
    from nmap.container import MapFile
    from nmap.maps import MapFrame, MapWriter
    from nmap.neural_map import NeuralMap

_LABEL = f"Decoded by nmap {__version__}"
# The place of a frame's number in a name: %d or, with zeros before it, %03d.
_NUMBER = re.compile("%(0?[1-9])?d")


@click.command(
    "decode",
    short_help="Write the density map that a .nmap holds, as MRC.",
    cls=Command,
    examples=(
        ("the source's own grid", "nmap decode emd_3488.nmap -o decoded.mrc"),
        ("the same box, twice the sampling", "nmap decode emd_3488.nmap -o fine.mrc --shape 200"),
        ("exactly the grid of another map", "nmap decode emd_3488.nmap -o there.mrc --like other.mrc"),
    ),
)
@click.argument("file", type=NMAP_INPUT)
@output_argument(MAP_OUTPUT, "The MRC map to write; it may also be given as the second argument.")
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
@click.option("--at", type=float, metavar="T", help="Position on the axis of a series.")
@click.option(
    "--frames",
    type=FRAMES,
    metavar="T0:T1:N",
    help="N positions from T0 to T1 of a series, both included: one file each if the output has a %d, such as "
    "movie_%03d.mrc, else one stack of volumes (ISPG 401).",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Voxel type. Older programs cannot read float16 (MRC mode 12).",
)
@permissive_option
@overwrite_option
@voice_options
def command(
    file: NmapInput,
    out: Path | None,
    output: Path | None,
    shape: Shape | None,
    voxel_size: Triple | None,
    like: Input | None,
    region: Region | None,
    at: float | None,
    frames: Frames | None,
    dtype: Literal["float32", "float16"],
    permissive: bool,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Decode a .nmap FILE, or the one at a URL, to a plain MRC map.

    Without --shape, --voxel-size or --like the map comes back on its source's own grid. The map is written in
    slabs, so it may be larger than memory. A series is decoded at a position, --at, or at several, --frames;
    between the frames that were measured it is interpolated.
    """
    target = one_output(out, output)
    if frames is not None:
        _check_pattern(target)
    given = [name for name, value in _choices(shape, voxel_size, like) if value is not None]
    if len(given) > 1:
        raise OptionError(f"{' and '.join(given)} contradict each other: give one of them")
    if at is not None and frames is not None:
        raise OptionError("--at and --frames contradict each other: give one of them")
    from nmap.container import open_file

    started = time.monotonic()
    opened = open_file(file)
    neural_map = opened.neural_map
    grid = _grid(neural_map, shape, voxel_size, like, permissive)
    if region is not None:
        grid = grid.region(*region)
    positions = _positions(neural_map, file, at, frames)
    outputs = _outputs(target, len(positions), frames is not None, overwrite)
    _check_room(grid, target, len(positions))
    _check_extent(neural_map.grid, grid, quiet)
    with _naming(file), ProgressLine(quiet, patience=2.0) as line:
        writing = Writing(grid, dtype, overwrite, _labels(opened), line)
        writing.write(neural_map, positions, outputs)
    size_of = size(sum(path.stat().st_size for path in outputs))
    named = f"{outputs[0]}" if len(outputs) == 1 else f"{outputs[0]} to {outputs[-1].name}"
    count = f", {len(positions)} {'files' if len(outputs) > 1 else 'volumes in one stack'}" if frames else ""
    say(f"{named}: {grid}{count}, {size_of}, in {span(time.monotonic() - started)}", quiet)


def _positions(
    neural_map: NeuralMap, file: NmapInput, at: float | None, frames: Frames | None
) -> list[float | None]:
    """Positions to decode at; one None for one map."""
    axis = neural_map.axis
    if axis is None:
        if at is not None or frames is not None:
            raise OptionError(f"{file} holds one map, not a series: leave --at and --frames out")
        return [None]
    if at is None and frames is None:
        raise OptionError(
            f"{file} holds a series of {len(axis.at)} maps, {axis.name} from {axis.first:g} to {axis.last:g}: choose "
            "with --at or --frames"
        )
    chosen: list[float | None] = [at]
    if frames is not None:
        chosen = [float(position) for position in np.linspace(*frames)]
    for position in chosen:
        if position is not None:
            axis.frame(position)  # refuses what lies beyond the ends, before anything is written
    return chosen


def _check_pattern(target: Path) -> None:
    """Refuse the name of several files that has no one place for their numbers."""
    name = target.name
    if "%" in name and (name.count("%") > 1 or not _NUMBER.search(name)):
        raise OptionError(
            f"{target}: wanted one %d for the frame's number, such as movie_%03d.mrc, or a name without % for one stack"
        )


def _outputs(target: Path, count: int, is_series: bool, overwrite: bool) -> list[Path]:
    """The files to write: one for each position where the name has a place for its number, else one."""
    if not is_series or "%" not in target.name:
        return [target]
    outputs = [target.with_name(target.name % number) for number in range(count)]
    taken = [path for path in outputs if path.exists()]
    if taken and not overwrite:
        raise OutputExistsError(
            f"{taken[0]}: exists already: give another path, or --overwrite to replace it"
        )
    return outputs


@dataclass(frozen=True)
class Writing:
    """How maps are written.

    Attributes:
        grid: where the voxels lie.
        dtype: their type.
        overwrite: whether files may be replaced.
        labels: of the source.
        line: shows how far it is.
    """

    grid: Grid
    dtype: Literal["float32", "float16"]
    overwrite: bool
    labels: tuple[str, ...]
    line: ProgressLine

    def write(self, neural_map: NeuralMap, positions: list[float | None], outputs: list[Path]) -> None:
        """Write the map at each position, to a file each or all to one."""
        if len(outputs) == 1:
            with self._writer(outputs[0], len(positions)) as writer:
                for number, position in enumerate(positions):
                    self._frame(writer, neural_map, position, number / len(positions), len(positions))
            return
        for number, (position, output) in enumerate(zip(positions, outputs, strict=True)):
            with self._writer(output, 1) as writer:
                self._frame(writer, neural_map, position, number / len(positions), len(positions))

    def _writer(self, output: Path, volumes: int) -> MapWriter:
        from nmap.maps import MapWriter

        return MapWriter(
            output,
            self.grid,
            dtype=self.dtype,
            overwrite=self.overwrite,
            labels=self.labels,
            label=_LABEL,
            volumes=volumes,
        )

    def _frame(
        self, writer: MapWriter, neural_map: NeuralMap, position: float | None, done: float, count: int
    ) -> None:
        one = neural_map if position is None else neural_map.at(position)
        for start, slab in one.slabs(self.grid):
            writer.write(slab)
            self.line.show("decoding", done + (start + len(slab)) / self.grid.shape[0] / count)


def _grid(
    neural_map: NeuralMap,
    shape: Shape | None,
    voxel_size: Triple | None,
    like: Input | None,
    permissive: bool,
) -> Grid:
    """The grid that the options ask for; an image keeps its one section where one number is given."""
    grid = neural_map.grid
    if shape is not None:
        return neural_map.grid_for(grid.wide(shape) if len(set(shape)) == 1 else shape)
    if voxel_size is not None:
        return grid.with_voxel_size(voxel_size)
    if like is None:
        return grid
    from nmap.maps import read_frame

    with advice(voxel_size="--shape and --voxel-size in the place of --like"):
        frame = read_frame(like, permissive=permissive)
    _say_not_kept(like, frame)
    return frame.grid


def _say_not_kept(like: Input, frame: MapFrame) -> None:
    """Warn of what the header of the other map says and that of a decoded map does not."""
    counts = frame.grid.shape[::-1]
    lost = []
    if frame.axis_order != (1, 2, 3):
        lost.append(f"axis order {_list(frame.axis_order)} (written as 1, 2, 3)")
    if frame.sampling != counts:
        lost.append(
            f"{_list(frame.sampling)} samples in a cell (written as {_list(counts)}, the cell as the box)"
        )
    if frame.space_group > 1:
        lost.append(f"space group {frame.space_group} (written as 1)")
    if lost:
        warn(f"{like}: the voxels lie where its own do, but its header is not kept: {'; '.join(lost)}")


def _list(numbers: tuple[int, ...]) -> str:
    return ", ".join(str(n) for n in numbers)


def _check_extent(box: Grid, grid: Grid, quiet: bool) -> None:
    """Refuse a grid with nothing of the map in it, and warn of one that reaches beyond the map."""
    from nmap.sampling.grids import covered

    share = covered(box, grid)
    extents = f"the grid lies {_extent(grid)}, the map's box {_extent(box)}"
    if share == 0:
        raise GridError(f"{extents}: wanted two that overlap")
    if share < 1 and not quiet:
        warn(f"{extents}: solvent is written outside the box")


def _extent(grid: Grid) -> str:
    low, high = (", ".join(f"{v:.6g}" for v in corner) for corner in grid.bounds)
    return f"from ({low}) to ({high}) A"


def _check_room(grid: Grid, output: Path, frames: int) -> None:
    """Refuse, before any work, a map that the disk or a slab of it that the memory cannot hold."""
    whole, plane = 4 * frames * grid.size / 2**30, 4 * grid.shape[1] * grid.shape[2] / 2**30
    advice = "use a smaller --shape or a larger --voxel-size, or --region for a part"
    free = shutil.disk_usage(output.resolve().parent).free / 2**30
    if whole > free:
        what = f"{grid} in {frames} frames" if frames > 1 else f"{grid}"
        raise LimitError(f"{what} take {whole:.4g} GiB, {free:.4g} GiB are free on the disk: {advice}")
    try:
        np.empty((3, *grid.shape[1:]), np.float32)
    except MemoryError:
        raise LimitError(
            f"one section of {grid} takes {plane:.4g} GiB, more than this machine gives: {advice}"
        ) from None


@contextmanager
def _naming(file: NmapInput) -> Iterator[None]:
    """Name the file whose densities cannot be written."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"{file}: its network gives no density map: {error}") from error


def _labels(opened: MapFile) -> tuple[str, ...]:
    """Labels of the source, where the file's record keeps them and can be read."""
    from nmap.container import labels

    header = opened.neural_map.record.get("source", {}).get("mrc_header")
    return labels(header) if isinstance(header, bytes) else ()


def _choices(shape: Shape | None, voxel_size: Triple | None, like: Input | None) -> list[tuple[str, object]]:
    return [("--shape", shape), ("--voxel-size", voxel_size), ("--like", like)]
