"""`nmap study`: what a network does to a map under other samplings and other settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmap.fit.options import PRESETS
from nmap.model.kinds import CHOICES
from nmap.spectrum import floored
from nmap_cli.common import (
    json_option,
    overwrite_option,
    reading_options,
    say_json,
    say_lines,
    span,
    tell,
    voice_options,
)
from nmap_cli.help import Group
from nmap_cli.main import INTERRUPTED
from nmap_cli.parameters import INPUT, MASK, OUTPUT, RESULTS, Input
from nmap_cli.progress import ProgressLine

if TYPE_CHECKING:
    from nmap.maps import DensityMap, ReadOptions
    from nmap.study.sweep import Cell


HEADINGS = {
    "The networks": ("depths", "widths", "omegas", "steps", "seed", "quick"),
    "The map": ("resolution", "crop", "downsample"),
}
"""Of the options of the sweep, in the help."""


@click.group("study", cls=Group, short_help="Measure interpolation, or sweep over networks.")
def command() -> None:
    """Measure what networks do to a map under other samplings and other settings."""


class _Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them."""

    name = "numbers"

    def __init__(self, whole: bool) -> None:
        self._whole = whole

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The numbers."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) if self._whole else float(part) for part in value.split(","))
        except ValueError:
            kind = "whole numbers" if self._whole else "numbers"
            self.fail(f"{value!r}: wanted {kind} with commas between them, such as 3,5,7", param, ctx)


@command.command(
    "interpolation",
    short_help="Set a network against interpolation.",
    headings={"The networks": ("preset", "target_fsc", "arch"), "The map": ("mask",)},
    examples=(
        ("at the goal of a preset", "nmap study interpolation emd_3488.map.gz"),
        (
            "at several goals, drawn",
            "nmap study interpolation emd_3488.map.gz --target-fsc 0.98,0.99 --plot errors.png",
        ),
    ),
)
@click.argument("source", type=INPUT)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="faithful",
    show_default=True,
    help="What the network is for, as with encode.",
)
@click.option(
    "--target-fsc",
    type=_Numbers(whole=False),
    metavar="C[,C...]",
    help="Worst-shell FSC that it must reach instead; of several, a network for each.",
)
@click.option(
    "--arch",
    type=click.Choice(list(CHOICES)),
    show_default="siren",
    help="Kind of network, as with encode.",
)
@click.option(
    "--mask",
    type=MASK,
    metavar="auto|none|FILE",
    default="none",
    show_default=True,
    help="Soft mask that the map is multiplied by first, for networks and rivals alike.",
)
@click.option("--json", "json_file", type=OUTPUT, help="Write every curve and number here.")
@click.option("--plot", type=OUTPUT, help="Draw FSC and error by shell into this PNG.")
@reading_options
@overwrite_option
@voice_options
def interpolation(
    source: Input,
    preset: Any,
    target_fsc: tuple[float, ...] | None,
    arch: str | None,
    mask: str | Input,
    json_file: Path | None,
    plot: Path | None,
    reading: ReadOptions,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Lower a map to half its sampling, encode it, and decode it at the full one: against interpolation.

    SOURCE itself is the truth. Up to the lowered map's Nyquist frequency a result can be right; beyond it
    no result can be, and the table shows that. Interpolation starts from the lossless lowered map, a network
    from its bytes alone; who is truer depends on the measure, so for each rival every measure is named.
    Exit code 1 if the decode at the full sampling is less true, in any shell, than the decode at the
    encoded one by more than 0.005, or if a --target-fsc was not reached.
    """
    from nmap.fit.options import EncodeOptions
    from nmap.maps import read_map_with
    from nmap.study.interpolation import study_interpolation
    from nmap.validation import mask_name, read_mask

    options = EncodeOptions(arch=arch, preset=preset)
    density = read_map_with(source, reading)
    soft = None if mask == "none" else read_mask(mask, density, None, reading)
    name = "none" if soft is None else mask_name(mask)
    with ProgressLine(quiet) as line:
        found = study_interpolation(
            density, options, goals=target_fsc, mask=soft, mask_name=name, progress=line
        )
    if json_file is not None:
        _write(json_file, (json.dumps(found.to_json(), indent=1, allow_nan=False) + "\n").encode(), overwrite)
    if plot is not None:
        from nmap.study.plots import plot_interpolation

        _write(plot, plot_interpolation(found), overwrite)
    from nmap_cli.study_text import interpolation_text

    say_lines(interpolation_text(found, by_shell=verbose).split("\n"), quiet)
    if not found.holds:
        tell(f"nmap: falls short: sampling loses FSC {found.sampling_loss:.4f}")
    for missed in found.missed:
        tell(f"nmap: falls short: {missed.goal:g} not reached: {missed.reason}")
    return 0 if found.holds and not found.missed else 1


@command.command(
    "sweep",
    short_help="Fit SIRENs of many sizes.",
    headings=HEADINGS,
    examples=(
        ("minutes without a GPU", "nmap study sweep emd_3488.map.gz -o sweep.json --quick"),
        (
            "chosen networks, and a picture",
            "nmap study sweep emd_3488.map.gz -o sweep.json --depths 3 --widths 128,256 --plot sweep.png",
        ),
    ),
)
@click.argument("source", type=INPUT)
@click.option(
    "-o", "--results", type=RESULTS, required=True, help="JSON of the results; gone on with if there."
)
@click.option(
    "--depths", type=_Numbers(whole=True), default="3,5,7", show_default=True, help="Hidden layers."
)
@click.option(
    "--widths", type=_Numbers(whole=True), default="256,512,768", show_default=True, help="Neurons."
)
@click.option(
    "--omegas", type=_Numbers(whole=False), default="30,50,70", show_default=True, help="Sine factors."
)
@click.option("--resolution", type=float, metavar="A", help="Band limit; estimated if not given.")
@click.option("--steps", type=int, help="Training steps of each network; by the map if not given.")
@click.option("--crop", type=int, metavar="N", help="Take the central N voxels a side first.")
@click.option("--downsample", type=int, default=1, metavar="FACTOR", help="Lower the sampling first.")
@click.option("--seed", type=int, default=0, help="Seed of all that is random.")
@click.option("--quick", is_flag=True, help="Small networks, few steps, a lowered map: minutes on a CPU.")
@click.option("--plot", type=OUTPUT, help="Draw a heat map into this PNG.")
@click.option("--overwrite", is_flag=True, help="Replace the picture if it exists.")
@reading_options
@json_option
@voice_options
def sweep(
    source: Input,
    results: Path,
    depths: tuple[int, ...],
    widths: tuple[int, ...],
    omegas: tuple[float, ...],
    resolution: float | None,
    steps: int | None,
    crop: int | None,
    downsample: int,
    seed: int,
    quick: bool,
    plot: Path | None,
    reading: ReadOptions,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Fit a SIREN for each depth, width and omega to SOURCE, and say how true each is.

    The results are written after each network: the same command goes on where it was cut off, and one with
    more depths, widths or omegas fits only those that the results do not hold. A table, best mean first, and
    with --plot a heat map. The file keeps every network; the table shows those asked for.
    """
    from nmap.fit.options import EncodeOptions
    from nmap.maps import read_map_with
    from nmap.study.sweep import Sweep, read_cells, run_sweep
    from nmap.study.sweep import quick as made_quick

    options = EncodeOptions(
        arch="siren",
        weight_bits=16,
        mask="none",
        resolution=resolution,
        steps=steps,
        crop=crop,
        downsample=downsample,
        seed=seed,
    )
    density: DensityMap = read_map_with(source, reading)
    chosen = Sweep(depths, widths, omegas, options)
    chosen = made_quick(chosen, density) if quick else chosen
    there = {cell.key for cell in read_cells(results, chosen.settings(density))}
    if not quiet:
        held = len(there.intersection(chosen.keys))
        tell(f"{len(chosen.keys)} networks, {held} of them in {results} already")
    try:
        with ProgressLine(quiet) as line:

            def report(cell: Cell, done: int, of: int, left: float) -> None:
                line.clear()
                _say_cell(cell, done, of, left)

            cells = run_sweep(density, chosen, results, report=None if quiet else report, progress=line)
    except KeyboardInterrupt:
        tell(f"nmap: error: interrupted; {results} keeps what was done: run it again to go on")
        sys.exit(INTERRUPTED)
    if plot is not None:
        from nmap.study.plots import plot_sweep

        _write(plot, plot_sweep(cells), overwrite)
    if as_json:
        say_json(json.loads(results.read_text(encoding="utf-8")))
    else:
        from nmap_cli.study_text import sweep_text

        say_lines(sweep_text(cells, density, chosen).split("\n"), quiet)


def _say_cell(cell: Cell, done: int, of: int, left: float) -> None:
    tell(
        f"{done}/{of}: depth {cell.depth}, width {cell.width}, omega {cell.omega:g}: worst shell "
        f"{floored(cell.worst)}, mean {cell.mean:.3f} in {span(cell.seconds)}; {span(left)} left"
    )


def _write(path: Path, content: bytes, overwrite: bool) -> None:
    from nmap.machine.atomic import atomic_output

    with atomic_output(path, overwrite) as out:
        out.write(content)
