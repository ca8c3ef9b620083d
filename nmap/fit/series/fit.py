"""Fit a series SIREN: lay out, train, store, measure in every frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import CodedTensor, decode_tensor, encode_log, encode_matrices
from nmap.envelope.automatic import solvent_value
from nmap.errors import QualityError
from nmap.fit.blocks.fit import settings_of, training_end
from nmap.fit.blocks.layout import Layout
from nmap.fit.blocks.recipe import BlockRecipe, choose_recipe
from nmap.fit.dense.quantise import fitted_gains, frame_of
from nmap.fit.device import Workers
from nmap.fit.options import EncodeOptions
from nmap.fit.result import History, Result
from nmap.fit.series.task import SeriesResult, SeriesTask
from nmap.fit.series.training import SeriesTraining
from nmap.fit.target.goal import ShellGoal
from nmap.fit.target.prepare import Target
from nmap.fit.task import Task
from nmap.maps import DensityMap
from nmap.model.block_siren import MAX_WIDTH
from nmap.model.blocks import Places
from nmap.model.field import Field
from nmap.model.series_siren import SeriesSiren
from nmap.neural_map import NeuralMap
from nmap.sampling.moved import MovedField, moved_envelope, moved_values
from nmap.sampling.polynomial import Polynomial
from nmap.sampling.splines import quintic
from nmap.spectrum import (
    Complex,
    ShellCurve,
    Shells,
    correlate_shells,
    crop_spectrum,
    floored,
    invert,
    transform,
    transform_values,
)

# A layer has the neurons that one map wants, times this power of the functions of the axis. Training has the passes
# that one map wants, times these powers of the effective number of functions and of the mean weight of a mode: what
# coarse shells gain by their weight fine ones make up for later.
_WIDER = 0.14
_PASSES = 0.25
_PASSES_WEIGHED = 0.7
# Training aims at this share of what may be missing: where parts have moved to, and between frames, more is missed.
_AIMED = 0.6


def fit_series(task: Task) -> tuple[Result, History]:
    """Fit a series SIREN.

    Raises:
        QualityError: a target FSC that was not reached in every frame.
    """
    assert isinstance(task, SeriesTask)
    target, watch = task.target, task.watch
    places = Places.of(target.lattice, target.envelope, target.group)
    order = 1 if target.group is None else target.group.order
    goal = task.goal
    aimed = math.sqrt(1 - _AIMED * (1 - goal.level**2))
    single = choose_recipe(target.freedom / order, places.own.size, task.options, aimed)
    recipe = _recipe(single, task)
    layout = Layout.of(target, target.group, places, recipe.sizes.blocks)
    with Workers(task.device) as workers:
        training = SeriesTraining(
            task.targets,
            task.axis,
            task.components,
            task.effective,
            layout,
            recipe,
            goal,
            task.device,
            workers,
            watch,
            task.weights,
        )
        training.run(training_end(training, task, None))
        watch.say("storing")
        result = _stored_result(training, task)
    watch.fsc = result.worst
    _check(result, goal, task)
    settings = {**settings_of(recipe, training.omegas), "components": task.components}
    return result, History(training.done, settings, training.loss, training.fsc)


def _check(result: SeriesResult, goal: ShellGoal, task: SeriesTask) -> None:
    """Refuse or tell what fell short of the goal."""
    if task.shared is not None:
        task.watch.note(
            "shared-part",
            functions=task.shared,
            worst=result.shared_worst,
            frames=result.worst,
        )
    reached = result.shared_worst
    if reached >= goal.share:
        return
    if task.options.target_fsc is not None and not task.watch.stopped():
        raise QualityError(
            f"worst shell of a frame to {task.limit:g} A reached {floored(reached)} of the wanted "
            f"{goal.share:g}: allow more time, or a coarser `resolution`"
        )
    task.watch.warn("below-goal", worst=reached, goal=goal.share)


def _recipe(single: BlockRecipe, task: SeriesTask) -> BlockRecipe:
    """The recipe for one map, for a series: its features serve all frames."""
    passes, width = single.passes, single.sizes.width
    if task.options.steps is None:
        weight = float(np.average(task.weights, weights=task.goal.modes)) if task.goal.modes.any() else 1.0
        passes = math.ceil(passes * task.effective**_PASSES * weight**_PASSES_WEIGHED)
    if task.options.hidden_features is None:
        width = min(4 * math.ceil(width * task.components**_WIDER / 4), MAX_WIDTH)
    return replace(single, passes=passes, sizes=replace(single.sizes, width=width))


def _stored_result(training: SeriesTraining, task: SeriesTask) -> SeriesResult:
    """The best candidate coded, and measured as a decoder sees it."""
    best, parameters, waves = training.best, training.parameters, training.waves
    assert best is not None
    parameters.logs.copy_(best.logs)
    matrices, steps = parameters.matrices(best.whole), parameters.stored_steps()
    amplitudes = best.amplitudes.astype(np.int64).reshape(task.components, -1, 1)
    components = _functions_used(matrices[-task.components :], amplitudes)
    shared = len(matrices) - task.components
    matrices, steps, amplitudes = (
        matrices[: shared + components],
        steps[: shared + components],
        amplitudes[:components],
    )
    if amplitudes.size:
        matrices = [*matrices, *amplitudes]
        steps = np.append(steps, np.full(components, waves.step, np.float16))
    motion = task.motion
    if motion is not None:
        matrices, steps = [*matrices, motion.whole], np.append(steps, np.float16(motion.step))
    coded: Mapping[str, CodedTensor] = {"network": encode_matrices(matrices, steps)}
    # What decoding needs beside the numbers.
    network = SeriesSiren(
        np.zeros(coded["network"].size, np.float32),
        training.recipe.sizes,
        training.omegas,
        training.radius,
        task.axis,
        components,
        None if motion is None else motion.nodes,
        0 if motion is None else motion.moving,
        None if motion is None else motion.limit,
    )
    return _finish(task, network, coded, task.options)


def _functions_used(codes: Sequence[NDArray[np.int64]], amplitudes: NDArray[np.int64]) -> int:
    """Functions of the axis up to the last one with a number that is not 0; at least 1.

    Args:
        codes: of each function.
        amplitudes: of its waves, (functions, amplitudes, 1).
    """
    used = [
        k for k, (code, waves) in enumerate(zip(codes, amplitudes, strict=True)) if code.any() or waves.any()
    ]
    return 1 + max(used, default=0)


def _finish(
    task: SeriesTask, network: SeriesSiren, coded: Mapping[str, CodedTensor], options: EncodeOptions
) -> SeriesResult:
    """The series of coded tensors, with the gains, scale and offset that suit all frames best."""
    target, targets = task.target, task.targets

    def assembled(tensors: Mapping[str, CodedTensor], scale: float, offset: float) -> NeuralMap:
        frame = frame_of(target, target.group, scale, offset)
        return NeuralMap.from_tensors(network.kind, network.settings(), tensors, frame)

    tensors = {**coded, **target.coded_envelope}
    trial = assembled({**tensors, "gains": target.coded_gains}, target.scale, target.solvent)
    spectra = _spectra(trial.field, task)
    gains = fitted_gains(targets, spectra, options.gains)
    scale = float(gains.max())
    stored = {**tensors, "gains": encode_log((gains / scale).astype(np.float32))}
    decoded = np.asarray(decode_tensor(stored["gains"]), np.float32)
    spectra = [spectrum * target.shells.spread(decoded) for spectrum in spectra]
    neural_map = assembled(stored, scale, target.solvent + _offset(targets, spectra, scale))
    curves = tuple(t.fidelity(s) for t, s in zip(targets, spectra, strict=True))
    near = min(float(curve.worst(task.limit)) for curve in curves)
    if task.sources:
        given = zip(task.axis.at, spectra, task.sources, strict=True)
        curves = tuple(frame_fidelity(neural_map, *each, target) for each in given)
    worst = [float(curve.worst(task.limit)) for curve in curves]
    last = int(np.argmin(worst))
    return SeriesResult(neural_map, curves[last], worst[last], curves, near if task.shared else worst[last])


def _spectra(field: Field, task: SeriesTask) -> list[Complex]:
    """Half transforms of m . u on the lattice in each frame: sums of those of the functions of the axis."""
    assert isinstance(field.network, SeriesSiren)
    components = field.network.components
    parts = [
        transform(replace(field, network=field.network.function(k)).lattice_values())
        for k in range(components)
    ]
    functions = task.axis.at_frames(components).astype(np.float32)
    return [np.asarray(np.tensordot(row, parts, 1), np.complex64) for row in functions]


def frame_fidelity(
    neural_map: NeuralMap, t: float, spectrum: Complex, source: DensityMap, target: Target
) -> ShellCurve:
    """Fidelity FSC of a decoded frame with the frame itself, within the moved envelope where the target has one.

    A moved frame is sampled by quintic splines: its FSC is that of a decode to 0.00001.

    Args:
        neural_map: the series.
        t: position of the frame.
        spectrum: half transform of what was fitted in the frame's place, as it is decoded, on the lattice.
        source: the frame.
        target: what was fitted in its place: it at rest, or what frames share.
    """
    field, lattice = neural_map.at(t).field, target.lattice
    mask, decoded = None, spectrum
    if not isinstance(field, MovedField):
        if target.masked and field.envelope is not None:
            mask = field.envelope.on_lattice(source.grid.shape)
    elif field.still is not None and field.motion is not None:
        mask = moved_envelope(field, source.grid) if target.masked else None
        rest = Polynomial.of(spectrum, lattice.shape, field.still.degree)
        moved = field.spectrum_of(moved_values(rest, field.motion, field.lattice_grid, quintic))
        decoded = crop_spectrum(moved, field.band.shape, lattice.shape)
    values = source.values
    if mask is not None:
        values = (values - np.float32(solvent_value(values, mask))) * mask
    wanted = transform_values(values, lattice.shape)
    return correlate_shells(decoded, wanted, Shells(lattice), negligible=target.negligible)


def _offset(targets: Sequence[Target], spectra: Sequence[np.ndarray], scale: float) -> float:
    """What the frames' mean is above that of their decodes, density units."""
    shape = targets[0].lattice.shape
    apart = [
        float(invert(t.truth, shape).mean(dtype=np.float64))
        - scale * float(invert(spectrum, shape).mean(dtype=np.float64))
        for t, spectrum in zip(targets, spectra, strict=True)
    ]
    return float(np.mean(apart))
