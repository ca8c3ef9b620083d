"""From a series of density maps to one network, from beginning to end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from nmap.axis import Axis, axis_of
from nmap.errors import FormatError, MapError, OptionError
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress, Watch
from nmap.fit.target.fittable import check_density
from nmap.machine.packages import require_package
from nmap.maps import DensityMap, read_series
from nmap.maps.checked import require_same_grid
from nmap.model.kinds import KINDS
from nmap.neural_map import NeuralMap

SINGLE = ("half1", "half2", "cross_validate", "contour", "checkpoint", "max_bytes", "ratio")
"""Options of one map that a series does not have."""


def encode_series(
    frames: Sequence[DensityMap | str | os.PathLike[str]],
    options: EncodeOptions | None = None,
    *,
    at: Sequence[float] | None = None,
    periodic: bool = False,
    name: str = "t",
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    started: float | None = None,
) -> NeuralMap:
    """Fit one network to a series of density maps: a molecule that moves.

    Args:
        frames: the maps, in order, or the paths of their files; a file may be a stack of volumes.
        options: how to fit; those of a SIREN if None.
        at: position of each frame, ascending; even steps from 0 to 1 if None.
        periodic: whether the series is a cycle; it closes one mean step after the last frame.
        name: of the axis.
        progress: called now and then with how far the fit is.
        should_stop: asked now and then; when it answers True the best network so far is returned.
        started: `time.monotonic` from which a time budget counts; now if None.

    Returns:
        The series as a network: `.at(t)` is the map at a position.

    Raises:
        MapError: a file is not a density map that nmap can read, or there is nothing in it to fit.
        OptionError: an option that does not suit the maps or a series.
        GridError: the maps do not lie on one grid.
        QualityError: a goal that was asked for and not reached.
        MissingPackageError: torch is not installed.
    """
    start = time.monotonic() if started is None else started
    options = _for_series(options or EncodeOptions(arch="siren"))
    densities = read_series(frames)
    axis = _axis(len(densities), at, periodic, name)
    for number, density in enumerate(densities):
        require_same_grid(densities[0], density, "first frame", f"frame {number + 1}")
        check_density(density, f"frame {number + 1}: ")
    require_package("torch", "fit", "encode")
    from nmap.fit.device import choose_device, device_name
    from nmap.fit.series.prepare import series_task
    from nmap.fit.series.record import series_record
    from nmap.fit.series.task import SeriesResult
    from nmap.fit.task import trainer_of

    kind = KINDS[str(options.arch)]
    train, device = trainer_of(kind), choose_device(options.device)
    watch = Watch(progress, should_stop, options.time_budget, start)
    watch.say("preparing")
    task = series_task(densities, axis, options, watch, device)
    result, history = train(task)
    assert isinstance(result, SeriesResult)
    record = series_record(task, history, result, lambda: device_name(device))
    if watch.left is not None and watch.left < 0:
        # Not kept: the same maps and options give the same file.
        watch.warn("late", keep=False, budget=options.time_budget, seconds=-watch.left)
    watch.say("done", 1.0, 0.0)
    return NeuralMap(result.neural_map.field, result.neural_map.tensors, record)


def _for_series(options: EncodeOptions) -> EncodeOptions:
    """The options with the kind of network that holds a series of what they ask for."""
    # First, for half maps alone choose a kind of network that holds one map.
    plain = EncodeOptions()
    given = [name for name in SINGLE if getattr(options, name) != getattr(plain, name)]
    if given:
        named = " and ".join(f"`{name}`" for name in given)
        raise OptionError(f"{named} with a series: only one map can; leave it out")
    kind = KINDS[str(options.arch)]
    if not kind.series_kind and not kind.features:
        raise OptionError(
            f"`arch` {options.arch}: holds one map; a series takes `arch` siren, in blocks: leave out the settings "
            "of a plain network"
        )
    return options if kind.features else replace(options, arch=kind.series_kind)


def _axis(count: int, at: Sequence[float] | None, periodic: bool, name: str) -> Axis:
    """The axis; what is wrong with positions that a user gave is an option's fault."""
    if count < 2:
        raise MapError("a series of one map: wanted two or more frames")
    if at is not None and len(at) != count:
        raise OptionError(f"{len(at)} positions for {count} frames: wanted one for each")
    try:
        even = [k / (count if periodic else count - 1) for k in range(count)]
        return axis_of(even if at is None else at, periodic, name)
    except FormatError as error:
        raise OptionError(str(error)) from None
