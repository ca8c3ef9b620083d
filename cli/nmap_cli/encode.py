"""`nmap encode`: a density map to a `.nmap`."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmap.errors import LimitError, MapError, MapWarning, OptionError
from nmap.fit.options import EncodeOptions
from nmap.goal import Goal, goal_of
from nmap.machine.packages import require_package
from nmap.maps import ReadOptions
from nmap.model.kinds import CHOICES
from nmap_cli.common import (
    WARNINGS,
    both_words,
    json_option,
    one_output,
    output_argument,
    overwrite_option,
    reading_options,
    say,
    say_json,
    say_lines,
    size,
    table,
    tell,
    voice_options,
    warn,
    write_text,
)
from nmap_cli.comparison import both_half_maps
from nmap_cli.entry import take_from_header
from nmap_cli.goal import odd_settings, poor_fit
from nmap_cli.inspect import alternative_rows, alternatives_json, summary
from nmap_cli.interrupt import StopOnInterrupt
from nmap_cli.keeping import save_fit, saying_that_it_is_written
from nmap_cli.main import INTERRUPTED
from nmap_cli.parameters import (
    BYTES,
    DURATION,
    FOLDER,
    INPUT,
    MASK,
    NMAP_OUTPUT,
    OUTPUT,
    POSITIONS,
    SLICE,
    Input,
)
from nmap_cli.progress import ProgressLine
from nmap_cli.sources import ManySources

if TYPE_CHECKING:
    from nmap.inspection import Inspection
    from nmap.maps import DensityMap
    from nmap.neural_map import NeuralMap

# Kind of network that a series has where none is chosen.
_SERIES_ARCH = "siren"
HEADINGS = {
    "Goal and size": ("preset", "target_fsc", "max_bytes", "ratio", "effort", "time_budget", "gains", "bare"),
    "What the map is": (
        "resolution",
        "mask",
        "contour",
        "symmetry",
        "symmetry_threshold",
        "force_symmetry",
        "half1",
        "half2",
        "cross_validate",
    ),
    "Part of the map": ("slice", "crop", "downsample"),
    "Series": ("axis", "at", "periodic_t"),
    "Network and training": (
        "arch",
        "blocks",
        "steps",
        "hidden_features",
        "hidden_layers",
        "omega0",
        "omega_hidden",
        "weight_bits",
        "seed",
    ),
    "Machine": ("device", "checkpoint", "keep_on_interrupt"),
}
"""Of the options, in the help."""

_DEFAULTS = {field.name: field.default for field in fields(EncodeOptions)}

Command = Callable[..., Any]


def _fit_option(flag: str, text: str, **kind: Any) -> Callable[[Command], Command]:
    """An option that sets the field of `EncodeOptions` of the same name, and says its default."""
    default = _DEFAULTS[flag.removeprefix("--").replace("-", "_")]
    if default is not None:
        kind["show_default"] = True
    return click.option(flag, help=text, default=default, **kind)


@click.command(
    "encode",
    short_help="Fit a network to a density map and write it as a .nmap.",
    cls=ManySources,
    headings=HEADINGS,
    examples=(
        ("the default: atoms stay", "nmap encode emd_3488.map.gz emd_3488.nmap --resolution 3.2"),
        (
            "about a third of the bytes, in a third of the time",
            "nmap encode emd_3488.map.gz small.nmap --resolution 3.2 --arch radial-basis",
        ),
        (
            "a look only, with a page on what was lost",
            "nmap encode emd_3488.map.gz look.nmap --resolution 3.2 --preset preview --report look.html",
        ),
    ),
)
@click.argument("sources", type=INPUT, nargs=-1, metavar="SOURCE...")
@output_argument(NMAP_OUTPUT, "The .nmap file to write; it may also be given as the last argument.")
@_fit_option(
    "--resolution",
    "Finest detail to keep, in Angstrom. Estimated from the map if not given.",
    type=float,
    metavar="A",
)
@_fit_option(
    "--mask",
    "Where the molecule is: found automatically, no mask, or a mask file.",
    type=MASK,
    metavar="auto|none|FILE",
)
@_fit_option(
    "--device",
    "Where to compute; auto takes a GPU if there is one.",
    type=click.Choice(["auto", "cpu", "cuda"]),
)
@_fit_option("--seed", "Seed of the random numbers.", type=int)
@_fit_option(
    "--preset",
    "What the file is for. preview: a look; side chains may be missing (worst-shell FSC 0.9). faithful: atoms stay "
    "(0.995). near-lossless: nothing changes by more than a quarter of the map's noise, where that can be told "
    "(else 0.999).",
    type=click.Choice(["preview", "faithful", "near-lossless"]),
)
@_fit_option(
    "--target-fsc",
    "FSC that every shell must reach. If one does not, nothing is written.",
    type=float,
    metavar="C",
)
@_fit_option(
    "--max-bytes",
    "Most bytes for the network and its mask, such as 8K. Header and record of the file come on top.",
    type=BYTES,
    metavar="SIZE",
)
@_fit_option(
    "--ratio",
    "The same, as a ratio: how many times smaller than the map's float32 voxels.",
    type=float,
    metavar="R",
)
@_fit_option(
    "--gains",
    "Strength of each shell of the decode: power as in the source, or least-squares, of least error and a little less.",
    type=click.Choice(["power", "least-squares"]),
)
@_fit_option(
    "--contour",
    "The map's recommended contour level: kept, with the level at which the decode encloses as much.",
    type=float,
    metavar="LEVEL",
)
@_fit_option(
    "--effort", "How long to search for a smaller file.", type=click.Choice(["low", "default", "high"])
)
@_fit_option(
    "--time-budget",
    "Stop in this time, such as 30s or 5m, with the best network found; reading the map counts. A warning says how "
    "much longer it took, if it did.",
    type=DURATION,
    metavar="TIME",
)
@_fit_option(
    "--symmetry",
    "Point group: C4, D7, T, O, I, ...; C1 for none; auto takes the highest that holds.",
    metavar="auto|GROUP",
)
@_fit_option(
    "--symmetry-threshold",
    "A point group is taken if the map correlates with its turned copies by this much. Noise counts against it, "
    "unless there are half maps.",
    type=float,
    metavar="C",
)
@_fit_option("--force-symmetry", "Take the given point group even if the map does not have it.", is_flag=True)
@_fit_option(
    "--checkpoint",
    "Folder that keeps the state of the fit. The same command goes on from it. Emptied at the end.",
    type=FOLDER,
    metavar="DIR",
)
@_fit_option(
    "--arch",
    "Kind of network. siren is a sine network in blocks, block-siren, unless an option from --steps to --weight-bits "
    "is given without --blocks: then it is one plain network. radial-basis is about a third as large and fits in a "
    "third of the time; half maps, and a time budget that is too short for a siren, take it unless a kind is given.",
    type=click.Choice(list(CHOICES)),
    show_default="siren",
)
@_fit_option(
    "--blocks", "Blocks of a siren; 1 is one plain network.", type=int, metavar="N", show_default="by the map"
)
@_fit_option("--steps", "Training steps.", type=int, show_default="by the map")
@_fit_option("--hidden-features", "Neurons in a layer.", type=int, show_default="by the map")
@_fit_option("--hidden-layers", "Hidden layers after the first.", type=int, show_default="by the map")
@_fit_option("--omega0", "Sine factor of the first layer.", type=float, show_default="by the map")
@_fit_option("--omega-hidden", "Sine factor of the hidden layers.", type=float, show_default="30")
@_fit_option(
    "--weight-bits",
    "Bits of a stored hidden weight: 16, or 2 to 8.",
    type=int,
    show_default="6, fewer where the goal is met with fewer",
)
@_fit_option(
    "--bare",
    "A plain SIREN for other programs: density = offset + scale x SIREN(x), 16-bit floats; see export-weights. It "
    "loses much: solvent is held too, fine shells come out weakest, nothing beyond the resolution is cut, and it takes "
    "many times the bytes. Its size is by the map unless given, and its goal --target-fsc if any.",
    is_flag=True,
)
@_fit_option("--slice", "Encode this one section only, as a 2-D map.", type=SLICE, metavar="z=N|y=N|x=N")
@_fit_option("--crop", "Encode the central N voxels a side only.", type=int, metavar="N")
@_fit_option(
    "--downsample", "Lower the sampling by this factor first, by a Fourier crop.", type=int, metavar="FACTOR"
)
@_fit_option(
    "--half1",
    "First half map; needs --half2. The half maps set the resolution (FSC 0.143) and how true each shell must be. "
    "An automatic mask is widened until they no longer agree outside it.",
    type=INPUT,
    metavar="FILE",
)
@_fit_option("--half2", "Second half map; needs --half1.", type=INPUT, metavar="FILE")
@_fit_option(
    "--cross-validate",
    "Encode half map 1 alone, and compare the result with half map 2. Takes more bytes.",
    is_flag=True,
)
@click.option("--axis", metavar="NAME", help="Name of the axis of a series; t if not given.")
@click.option(
    "--at",
    type=POSITIONS,
    metavar="T,T,...",
    help="Position of each frame of a series, ascending; even steps from 0 to 1 if not given.",
)
@click.option(
    "--periodic-t",
    is_flag=True,
    help="The series is a cycle: it closes one mean step after its last frame.",
)
@reading_options
@click.option(
    "--no-hdf5",
    is_flag=True,
    help="Leave out the HDF5 side. The file is then plain safetensors, and smaller.",
)
@click.option("--thumbnail", is_flag=True, help="Keep three central slices as a picture in the file.")
@click.option("--report", type=OUTPUT, metavar="HTML", help="Write the page of 'nmap report' too.")
@click.option("--keep-on-interrupt", is_flag=True, help="On Ctrl-C write the best so far instead of nothing.")
@overwrite_option
@json_option
@voice_options
def command(
    sources: tuple[Input, ...],
    out: Path | None,
    output: Path | None,
    axis: str | None,
    at: tuple[float, ...] | None,
    periodic_t: bool,
    reading: ReadOptions,
    no_hdf5: bool,
    thumbnail: bool,
    report: Path | None,
    keep_on_interrupt: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **fitting: Any,
) -> int:
    """Fit a network to the density map SOURCE and write it to OUT, a .nmap file.

    SOURCE is a .map, .mrc or .ccp4 file, plain or compressed (.gz, .bz2), a URL of one, or emd:NNNN, the map of
    an EMDB entry, whose header then gives --resolution and --contour where they are not given. The quality
    reported is that of the file as written and read back. Exit code 1 if that misses the goal: of a preset or a
    time budget the file is written all the same, of a goal that was given it is not. Ctrl-C ends the fit:
    nothing is written, or with --keep-on-interrupt the best so far.

    Several SOURCES on one grid, or one stack of volumes (ISPG 401), are a series: a molecule that moves. One
    siren holds them all, and decodes at any position between them.
    """
    began = click.get_current_context().obj or time.monotonic()
    output = one_output(out, output)
    maps = {name: path for name in ("mask", "half1", "half2") if isinstance(path := fitting[name], Input)}
    require_package("torch", "fit", "encode")
    if len(sources) > 1:
        _refuse_single(fitting)
        fitting["arch"] = fitting["arch"] or _SERIES_ARCH
    # Refuse what cannot be used before anything but the header is read.
    for source in sources:
        _check_size(source, reading, EncodeOptions(**fitting))
    if report is not None:
        require_package("matplotlib", "report", "--report")
    from nmap.container import sizes
    from nmap.inspection import Inspection
    from nmap.maps import read_map_with, read_series
    from nmap.spectrum import worded

    if len(sources) == 1:
        take_from_header(sources[0], fitting, quiet)
    densities = read_series(sources, reading)
    for density in densities:
        density.park()
    fitting.update({name: read_map_with(path, reading) for name, path in maps.items()})
    fit = _fit_of(densities, fitting, at=at, periodic=periodic_t, axis=axis)
    density = densities[0]
    if verbose:
        _describe(density.grid, fitting)
    for odd in odd_settings(EncodeOptions(**fitting), density.grid, output):
        warn(odd)
    fitted = density.section(*fitting["slice"]) if fitting["slice"] else density
    words = partial(worded, grid=fitted.grid)
    shown = ProgressLine(quiet, words=words, kept=WARNINGS)
    with StopOnInterrupt(keep_on_interrupt) as interrupt, shown as line:
        with _naming(sources):
            neural_map = fit(
                EncodeOptions(**fitting), progress=line, should_stop=interrupt.stopped, started=began
            )
        save_fit(neural_map, output, hdf5=not no_hdf5, thumbnail=thumbnail, overwrite=overwrite)
    with saying_that_it_is_written(output):
        # The file says nothing of the time it took, so that encoding again gives the same bytes.
        took = {**neural_map.record.get("fit", {}), "seconds": time.monotonic() - began}
        found = Inspection(output.name, neural_map, sizes(output), {**neural_map.record, "fit": took})
        goal = goal_of(EncodeOptions(**fitting), found)
        _say_result(found, goal, output, words, as_json=as_json, quiet=quiet)
    if interrupt.stopped():
        warn("interrupted; the best so far was written")
        sys.exit(INTERRUPTED)
    if report is not None:
        page = _page_of(output, sources, densities, maps, reading)
        _write_report(report, page, output, overwrite=overwrite, quiet=quiet or as_json)
    if not goal.met:
        tell(words(f"nmap: falls short: {goal}") + f"; {output} is written all the same")
    return 0 if goal.met else 1


def _refuse_single(fitting: dict[str, Any]) -> None:
    """Refuse what was given of the options that only one map has."""
    from nmap.fit.encode_series import SINGLE

    given = [("--" + name.replace("_", "-"), fitting[name] != _DEFAULTS[name]) for name in SINGLE]
    if said := both_words(*given):
        raise OptionError(f"{said} with a series: only one map can; leave it out")


def _fit_of(
    densities: list[DensityMap],
    fitting: dict[str, Any],
    *,
    at: tuple[float, ...] | None,
    periodic: bool,
    axis: str | None,
) -> Callable[..., NeuralMap]:
    """What fits one map, or a series, whose kind of network is chosen here."""
    if len(densities) == 1:
        if axis is not None or at is not None or periodic:
            given = both_words(
                ("--axis", axis is not None), ("--at", at is not None), ("--periodic-t", periodic)
            )
            raise OptionError(f"{given} with one map: only a series can; leave it out")
        from nmap.fit.encode import encode

        return partial(encode, densities[0])
    from nmap.fit.encode_series import encode_series

    _refuse_single(fitting)
    fitting["arch"] = fitting["arch"] or _SERIES_ARCH
    return partial(encode_series, densities, at=at, periodic=periodic, name=axis or "t")


def _page_of(
    output: Path,
    sources: tuple[Input, ...],
    densities: list[DensityMap],
    maps: dict[str, Input],
    reading: ReadOptions,
) -> Callable[[], str]:
    """What makes the report of the file just written."""
    if len(densities) > 1:
        from nmap.report.series import report_series

        return partial(report_series, output, densities)
    from nmap.report.file import report_file

    halves = both_half_maps(maps.get("half1"), maps.get("half2"))
    return partial(
        report_file, output, densities[0], source_path=sources[0], half_maps=halves, reading=reading
    )


def _say_result(
    found: Inspection, goal: Goal, output: Path, words: Callable[[str], str], as_json: bool, quiet: bool
) -> None:
    """Print what was made and what another kind of network would have taken."""
    from nmap.report.fit_words import notices_words

    if poor := poor_fit(found):
        warn(poor)
    seconds = found.record["fit"]["seconds"]
    if as_json:
        said = map(words, notices_words(found.notices))
        told = [*WARNINGS, *(notice for notice in said if notice not in WARNINGS)]
        others = alternatives_json(found, seconds)
        say_json({**found.to_json(), **goal.to_json(), **others, "warnings": told})
    else:
        say(str(output), quiet)
        rows = [*summary(found), *alternative_rows(found, seconds)]
        say_lines(words(table(rows)).split("\n"), quiet)


def _check_size(source: Input, reading: ReadOptions, options: EncodeOptions) -> None:
    """Refuse a map that is too large, from its header."""
    from nmap.fit.size import check_size
    from nmap.maps import read_grid

    with warnings.catch_warnings():
        # What is odd about the header is said when the map is read.
        warnings.simplefilter("ignore", MapWarning)
        grid = read_grid(source, voxel_size=reading.voxel_size, permissive=reading.permissive, stack=True)
    with _naming((source,)):
        check_size(grid, options)


def _write_report(report: Path, page: Callable[[], str], output: Path, overwrite: bool, quiet: bool) -> None:
    """Write the report of the file just written; that one stays whatever becomes of the report."""
    try:
        write_text(report, page(), overwrite)
    except Exception:
        warn(f"{output} is written, its report is not")
        raise
    say(f"{report}: {size(report.stat().st_size)}", quiet)


@contextmanager
def _naming(sources: tuple[Input, ...]) -> Iterator[None]:
    """Put the source's path before what is wrong with the map in it; of a series each frame has its number."""
    try:
        yield
    except (MapError, LimitError) as error:
        name = f"{sources[0]}" if len(sources) == 1 else f"{sources[0]} and {len(sources) - 1} more"
        raise type(error)(f"{name}: {error}", option=error.option) from error


def _describe(grid: object, fitting: dict[str, Any]) -> None:
    """Say on stderr what is about to be done, with every setting."""
    tell(f"map: {grid}")
    for name, value in fitting.items():
        if isinstance(value, str | int | float | tuple):
            tell(f"{name}: {value}")
