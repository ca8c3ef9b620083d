"""From a density map to a network, from beginning to end."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from nmap.errors import MapWarning, OptionError
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress, Watch
from nmap.fit.size import check_size, with_room
from nmap.fit.target.fittable import check_contour, check_density, like_noise
from nmap.grid import Grid
from nmap.machine.memory import give_back
from nmap.machine.packages import require_package
from nmap.maps import DensityMap, map_of, read_grid
from nmap.model.kinds import KINDS
from nmap.neural_map import NeuralMap
from nmap.outcomes import SymmetryOutcome

if TYPE_CHECKING:
    from nmap.fit.result import History, Result
    from nmap.fit.task import Task


def encode(
    source: DensityMap | str | os.PathLike[str],
    options: EncodeOptions | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    started: float | None = None,
) -> NeuralMap:
    """Fit a network to a density map.

    Args:
        source: the map, or the path of its MRC/CCP4 file.
        options: how to fit; the defaults if None.
        progress: called now and then with how far the fit is.
        should_stop: asked now and then; when it answers True the best network so far is returned.
        started: `time.monotonic` from which a time budget counts; now if None.

    Returns:
        The map as a network, exactly as a file of it will decode, with the record of how it was fitted and of
        its measured fidelity.

    Raises:
        MapError: the file is not a density map that nmap can read, or there is nothing in it to fit.
        OptionError: an option that does not suit this map, or a map too large for any file; told from its header.
        LimitError: more than this machine has memory for.
        GridError: a mask or a half map that does not lie on the map.
        QualityError: a goal that was asked for and not reached.
        MissingPackageError: torch is not installed.
    """
    # Notices that depend on what else the machine does are not kept: the same map and options give the same file.
    start = time.monotonic() if started is None else started
    options = options or EncodeOptions()
    check_size(_grid_of(source), options)
    density = map_of(source)
    check_contour(density, options.contour)
    if not isinstance(source, DensityMap):  # which is the caller's to keep where it is
        density.park()
    check_density(density)  # before torch is loaded, which takes seconds
    require_package("torch", "fit", "encode")
    from nmap.fit.device import choose_device, device_name
    from nmap.fit.record import record
    from nmap.fit.target.prepare import target_of
    from nmap.fit.target.specimen import specimen_of
    from nmap.fit.target.symmetry import find_symmetry
    from nmap.fit.task import Task

    kind = KINDS[str(options.arch)]
    if kind.features:
        raise OptionError(f"arch {kind.kind}: holds a series of maps: leave it out, or encode a series")
    device = choose_device(options.device)
    watch = Watch(progress, should_stop, options.time_budget, start)
    watch.say("preparing")
    if (spread := like_noise(density)) is not None:
        watch.warn("like-noise", skewness=spread[0], kurtosis=spread[1])
    began = watch.seconds
    specimen = specimen_of(density, options)
    watch.preparing_seconds = watch.seconds - began
    group, symmetry = None, SymmetryOutcome("not-sought")
    if "symmetry" in kind.options:
        group, symmetry = find_symmetry(specimen, options, watch)
    inside = specimen.share_inside / (1 if group is None else group.order)
    chosen = with_room(density.grid, options, specimen.band_limit, inside)
    if chosen is not options:
        watch.warn("no-room", keep=False, arch=kind.arch or kind.kind, taken=chosen.arch)
    began = watch.seconds
    target = target_of(specimen, group, symmetry)
    watch.preparing_seconds += watch.seconds - began
    give_back()
    task, result, history = _trained(Task(target, chosen, watch, device))
    kept = record(target, task.options, history, result, watch, lambda: device_name(device))
    if watch.left is not None and watch.left < 0:
        watch.warn("late", keep=False, budget=options.time_budget, seconds=-watch.left)
    watch.say("done", 1.0, 0.0)
    return NeuralMap(result.neural_map.field, result.neural_map.tensors, kept)


def _trained(task: Task) -> tuple[Task, Result, History]:
    """A network, of the quicker kind where time is too short for the one that nobody asked for; and the task done."""
    from nmap.fit.task import TooLittleTime, trainer_of

    options, kind = task.options, KINDS[str(task.options.arch)]
    try:
        return task, *trainer_of(kind)(task)
    except TooLittleTime as short:
        taken, name = options.quicker_kind, kind.arch or kind.kind
        task.watch.warn("quicker-kind", keep=False, arch=name, taken=taken, seconds=short.seconds)
        task = replace(task, options=replace(options, arch=taken))
        return task, *trainer_of(KINDS[str(taken)])(task)


def _grid_of(source: DensityMap | str | os.PathLike[str]) -> Grid:
    """Where a map lies, from its header alone; what is odd about that is said when it is read."""
    if isinstance(source, DensityMap):
        return source.grid
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MapWarning)
        return read_grid(source)
