"""From the maps of a series to what its trainer is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from nmap.axis import Axis, most_components
from nmap.coding.matrices import MAX_PARTS
from nmap.envelope.envelope import Envelope
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Watch
from nmap.fit.series.at_rest import detail_at_rest, moved_back
from nmap.fit.series.frames import emphasised, specimens_at_rest, specimens_of, targets_of
from nmap.fit.series.motion import Found, find_motion
from nmap.fit.series.owed import (
    effective_functions,
    functions_needed,
    missed_by_line,
    owed_between,
    series_goal,
)
from nmap.fit.series.products import F64, frame_products, function_powers
from nmap.fit.series.shared import shared_functions, shared_part, shared_products
from nmap.fit.series.task import SeriesTask
from nmap.fit.target.specimen import Specimen
from nmap.fit.target.symmetry import find_symmetry
from nmap.maps import DensityMap
from nmap.outcomes import SymmetryOutcome
from nmap.point_group import PointGroup
from nmap.spectrum import Shells, lattice_shape

# Hidden layers where none are asked for, as in one map.
_HIDDEN_LAYERS = 2
# Functions of frames that change along a line, as those of a variability analysis do.
_LINE = 2
# Share of the power of their change that other functions may have: of a part that turns by one degree from the first
# frame to the last they have 0.0006.
_OFF_LINE = 1e-4
# Coarse shells get weight by this power of what they owe; by all of it, finer ones fall short in small maps.
_WEIGHING = 0.5


def series_task(
    densities: Sequence[DensityMap], axis: Axis, options: EncodeOptions, watch: Watch, device: torch.device
) -> SeriesTask:
    """What a series is fitted to, in how many functions of its axis, and what it owes; raises as `specimen_of`.

    Args:
        densities: the maps, in order, on one grid.
        axis: where they lie.
        options: how to fit.
        watch: reports progress; of a time budget this takes a part at most.
        device: of the fit.
    """
    began = watch.seconds
    specimens = specimens_of(densities, options)
    watch.preparing_seconds = watch.seconds - began
    group, symmetry = _symmetry(specimens, options, watch)
    began = watch.seconds
    most = most_components(len(densities), axis.period is not None, _most_fitted(options))
    sources, moving = tuple(specimen.density for specimen in specimens), _products(specimens)
    motion, products, envelope = None, moving, specimens[0].chosen.envelope
    if group is None and envelope is not None and not _is_line(moving, axis):
        motion, specimens = _at_rest(specimens, envelope, axis, options, most, watch)
    if motion is not None:
        products = _products(specimens)
    shared = None
    if options.target_fsc is None and not options.keeps_noise:
        shared = shared_functions(products, axis, _modes(specimens[0]))
    if shared is not None:
        parts = shared_part([specimen.density for specimen in specimens], axis, shared)
        specimens = [replace(s, density=d) for s, d in zip(specimens, parts, strict=True)]
        products = shared_products(products, axis, shared)
    targets = targets_of(specimens, group, symmetry)
    goal = series_goal(targets[0], options)
    owed = owed_between(goal, missed_by_line(moving, axis, shared), shared)
    targets = emphasised(targets, owed / goal.missing)
    # At rest there are finer shells too, which the frames do not have.
    within = products[: len(moving)]
    components = functions_needed(
        within, axis, goal, owed, most if shared is None else min(most, shared.functions)
    )
    watch.preparing_seconds += watch.seconds - began
    return SeriesTask(
        target=targets[0],
        options=options,
        watch=watch,
        device=device,
        targets=tuple(targets),
        axis=axis,
        components=components,
        effective=effective_functions(within, axis, goal, components),
        goal=goal,
        weights=(goal.missing / owed) ** _WEIGHING,
        motion=motion,
        sources=sources if motion is not None or shared is not None else (),
        shared=None if shared is None else shared.functions,
    )


def _at_rest(
    specimens: list[Specimen],
    envelope: Envelope,
    axis: Axis,
    options: EncodeOptions,
    most: int,
    watch: Watch,
) -> tuple[Found | None, list[Specimen]]:
    """The motion of the frames, with at most so many functions, and they moved back; None, and they as they are."""
    sources, limit, goal = [s.density for s in specimens], specimens[0].band_limit, options.goal_for(True)
    motion = find_motion(sources, axis, limit, envelope, most, goal, watch)
    if motion is None:
        return None, specimens
    inside, motions = envelope.on_lattice(sources[0].grid.shape) > 0, [motion.at(t) for t in axis.at]
    rest = [moved_back(frame, m, inside) for frame, m in zip(sources, motions, strict=True)]
    return motion, specimens_at_rest(specimens, rest, detail_at_rest(rest, motions, limit, goal), options)


def _is_line(products: F64, axis: Axis) -> bool:
    """Whether the frames are a mean and one change in proportion to the position. Two frames tell nothing of it."""
    count = len(axis.at)
    if count <= _LINE or axis.period is not None:
        return False
    powers = function_powers(products, axis.at_frames(count))[1:]
    total = powers.sum(1, keepdims=True)
    # Every shell as strong as any other.
    power = np.divide(powers, total, out=np.zeros_like(powers), where=total > 0).sum(0)
    return bool(power[_LINE:].sum() <= _OFF_LINE * power[1])


def _products(specimens: Sequence[Specimen]) -> F64:
    """Inner products of what is fitted, by shell."""
    densities, first = [specimen.density for specimen in specimens], specimens[0]
    return frame_products(densities, first.band_limit, first.chosen.envelope)


def _modes(specimen: Specimen) -> F64:
    """Independent Fourier modes of each shell to the band limit, (shells,): an envelope has its share of the box's."""
    grid, envelope = specimen.density.grid, specimen.chosen.envelope
    lattice = grid.resampled(lattice_shape(grid, specimen.band_limit))
    share = 1.0 if envelope is None else float(envelope.on_lattice(lattice.shape).mean())
    return Shells(lattice).modes * share


def _most_fitted(options: EncodeOptions) -> int:
    """Functions of the axis whose matrices a coded tensor holds, beside those that all share and the motion."""
    shared = 3 * ((options.hidden_layers or _HIDDEN_LAYERS) + 1) + 2
    return max(1, (MAX_PARTS - shared - 1) // 2)


def _symmetry(
    specimens: Sequence[Specimen], options: EncodeOptions, watch: Watch
) -> tuple[PointGroup | None, SymmetryOutcome]:
    """The point group that the first, the middle and the last frame have; None for C1 where they differ."""
    group, outcome = find_symmetry(specimens[0], options, watch)
    if options.symmetry != "auto":
        return group, outcome
    for specimen in (specimens[len(specimens) // 2], specimens[-1]):
        if group is None:
            break
        other, found = find_symmetry(specimen, options, watch)
        if other != group:
            group, outcome = None, replace(found, rule="none-holds")
    return group, outcome
