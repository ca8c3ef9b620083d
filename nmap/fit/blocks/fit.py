"""Fit a block SIREN: lay out, train, store, measure; with longer codes where it falls short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nmap.coding.codings import CodedTensor, encode_matrices
from nmap.errors import FormatError, QualityError
from nmap.fit.blocks.layout import Layout
from nmap.fit.blocks.need import seconds_needed
from nmap.fit.blocks.recipe import BlockRecipe, choose_recipe
from nmap.fit.blocks.training import BlockTraining
from nmap.fit.dense.quantise import finish
from nmap.fit.device import Workers
from nmap.fit.result import History, Result
from nmap.fit.target.fittable import nothing_left
from nmap.fit.target.goal import ShellGoal, shell_goal
from nmap.fit.target.prepare import Target
from nmap.fit.task import Task, TooLittleTime
from nmap.model.block_siren import BlockSiren
from nmap.model.blocks import Places
from nmap.spectrum import floored

# Seconds from which on a quicker kind is told of.
_LONG = 600.0
# Rounds of growth at most.
_ROUNDS = 2
# Seconds after which no further round begins without a time budget.
_PATIENCE = 900.0
# A round with longer codes takes this many times as long as the one before it.
_LONGER = 1.5
# Of a limit of bytes the network aims at this share less, for bits are estimated; and it takes at least so many.
_SPARE = 0.03
_LEAST_BYTES = 64
# Evaluations of the lattice that storing and measuring takes, before the first round has shown it.
_EVALUATIONS = 10.0
# Seconds of processor time beside that, of the first round: loading what codes and decodes.
_LOADING = 0.7
# Evaluations that a pass of training takes. Where there is no time for this share of the passes, the network is made
# for the first of these lower goals for which there is.
_PASS = 4.0
_ENOUGH = 0.7
_LOWER = (0.98, 0.95, 0.9, 0.8)


def fit_blocks(task: Task) -> tuple[Result, History]:
    """Fit a block SIREN, with longer codes until it reaches the goal.

    Raises:
        MapError: the mask leaves nothing to fit.
        QualityError: a goal that was asked for and not reached.
        TooLittleTime: another kind may be fitted, and should be.
    """
    target, options, watch = task.target, task.options, task.watch
    order = 1 if target.group is None else target.group.order
    goal, most = shell_goal(target, options), _max_bits(task)
    begun = _has_begun(task)
    if options.quicker_kind is not None and not begun:
        _weigh_time(task, goal, most)
    try:
        places = Places.of(target.lattice, target.envelope, target.group)
    except FormatError:
        raise nothing_left(target.lattice.shape) from None
    recipe = choose_recipe(target.freedom / order, places.own.size, options, goal.level, most)
    layout = Layout.of(target, target.group, places, recipe.sizes.blocks)
    rounds = _Rounds(task, goal)
    with Workers(task.device) as workers:
        for number in range(1 + _ROUNDS):
            began = watch.seconds
            try:
                training = BlockTraining(target, layout, recipe, goal, task.device, workers, watch)
                sizable = number == 0 and most is None and not begun
                if sizable and (smaller := _in_time(training, task)) is not recipe:
                    recipe = smaller
                    training = BlockTraining(target, layout, recipe, goal, task.device, workers, watch)
                _train(training, task, rounds.closing, _state_file(task, number))
                if watch.stopped() and not training.done and number == 0:
                    raise KeyboardInterrupt
                rounds.store(training)
            except Exception as error:
                if rounds.closing is None:
                    raise
                watch.warn("attempt-failed", error=f"{type(error).__name__}: {error}")
                break
            if rounds.met or watch.stopped() or not (recipe.can_grow or most) or number == _ROUNDS:
                break
            left = _PATIENCE - watch.seconds if watch.left is None else watch.left
            if left < _LONGER * (watch.seconds - began):
                watch.note("no-time-to-grow")
                break
            recipe = recipe.grown if most is None else replace(recipe, max_bits=most - 8 * rounds.excess)
    best, kept = rounds.best, rounds.training
    _check(best, rounds, task)
    return best, History(kept.done, settings_of(kept.recipe, kept.omegas), kept.loss, kept.fsc)


def _weigh_time(task: Task, goal: ShellGoal, most: float | None) -> None:
    """Where a quicker kind could be fitted: leave a map to it if time is too short, or tell of it if it will be long.

    Time is too short where a network would have to be made for a lower goal.
    """
    target, watch = task.target, task.watch
    order = 1 if target.group is None else target.group.order
    points = max(int(np.count_nonzero(target.mask)) // order, 1)
    recipe = choose_recipe(target.freedom / order, points, task.options, goal.level, most)
    with Workers(task.device) as workers:
        needed = seconds_needed(recipe, points, workers, task.device)
    if watch.left is not None and watch.left < _ENOUGH * needed:
        raise TooLittleTime(needed)
    if watch.left is None and needed > _LONG:
        watch.warn("long", keep=False, minutes=needed / 60, quicker=task.options.quicker_kind)


class _Rounds:
    """The rounds of a fit, and the best of them.

    Attributes:
        training: the best round.
        best: what it came to.
        closing: seconds that storing and measuring took; None before the first round.
    """

    def __init__(self, task: Task, goal: ShellGoal) -> None:
        self._task, self.goal = task, goal
        self.closing: float | None = None
        self._most = task.options.goal_bytes(task.target.density.grid.size)
        self.best: Result
        self.training: BlockTraining

    def store(self, training: BlockTraining) -> None:
        """Code and measure a round that is over."""
        watch = self._task.watch
        watch.say("storing")
        began = watch.seconds
        result = _stored_result(training, self._task)
        if self.closing is None or self._worth(result) > self._worth(self.best):
            self.best, self.training = result, training
        self.closing = watch.seconds - began
        watch.fsc = self.best.worst

    @property
    def met(self) -> bool:
        """Whether the best round meets the goal."""
        return self._worth(self.best)[0] >= 0

    @property
    def excess(self) -> int:
        """Bytes by which the best round is over the limit."""
        return _taken(self.best) - (self._most or 0)

    def _worth(self, result: Result) -> tuple[float, float]:
        """How far below the goal, at most 0; and how true."""
        reached = self.goal.worst(result.curve.fsc)
        short = reached - self.goal.level if self._most is None else float(self._most - _taken(result))
        return min(short, 0.0), reached


def _taken(result: Result) -> int:
    """Bytes of network, gains and envelope."""
    return sum(coded.nbytes for coded in result.neural_map.tensors.values())


def _train(training: BlockTraining, task: Task, closing: float | None, state_file: Path | None) -> None:
    """Train to the end; a failure on the way is one only while there is no candidate."""
    try:
        training.run(training_end(training, task, closing), state_file)
    except Exception as error:
        if training.best is None:
            raise
        task.watch.warn("cut-short", error=f"{type(error).__name__}: {error}")


def _state_file(task: Task, number: int) -> Path | None:
    """Where a round keeps its state; None without a checkpoint."""
    if task.options.checkpoint is None:
        return None
    folder = Path(task.options.checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"blocks.{number}.npz"


def _has_begun(task: Task) -> bool:
    """Whether a checkpoint holds the state of the first round: it goes on as it is, whatever the time that is left."""
    state = _state_file(task, 0)
    return state is not None and state.exists()


def _max_bits(task: Task) -> float | None:
    """Bits that the network may take where a limit of bytes is the goal: that less gains and envelope."""
    target, most = task.target, task.options.goal_bytes(task.target.density.grid.size)
    if most is None:
        return None
    side = _side(target)
    if most <= side + _LEAST_BYTES:
        raise QualityError(
            f"gains and envelope take {side} bytes alone, wanted {most} with the network: allow more bytes, or a "
            "coarser `resolution`"
        )
    return 8 * (1 - _SPARE) * (most - side)


def _side(target: Target) -> int:
    """Bytes of a file's gains and envelope."""
    return target.coded_gains.nbytes + sum(coded.nbytes for coded in target.coded_envelope.values())


def _check(best: Result, rounds: _Rounds, task: Task) -> None:
    """Refuse or tell what fell short of the goal."""
    target, options, watch, goal = task.target, task.options, task.watch, rounds.goal
    most, reached = options.goal_bytes(target.density.grid.size), goal.reached(best.curve.fsc)
    if goal.of != "fsc":
        watch.note("share-reached", worst=reached, of=goal.of)
    if rounds.met:
        return
    if most is not None:
        raise QualityError(
            f"the network found takes {_taken(best)} bytes with gains and envelope, wanted {most}: allow more bytes, "
            "or a coarser `resolution`"
        )
    if options.target_fsc is not None and not watch.stopped():
        raise QualityError(
            f"worst shell to {target.band_limit:g} A reached {floored(best.worst)} of the wanted "
            f"{options.goal_fsc:g}: allow more time, or a coarser `resolution`"
        )
    if goal.of == "fsc":
        watch.warn("below-goal", worst=best.worst, goal=goal.share)
    else:
        watch.warn(
            "goal-not-reached", worst=reached, of=goal.of, late=watch.stopped(), symmetry_unsought=False
        )


def settings_of(recipe: BlockRecipe, omegas: tuple[float, ...]) -> dict[str, Any]:
    """What the fit chose, JSON values."""
    sizes = recipe.sizes
    return {
        "blocks": sizes.blocks,
        "code": sizes.code,
        "hidden_features": sizes.width,
        "hidden_layers": sizes.hidden,
        "omega0": omegas[0],
        "omega_hidden": recipe.omega_hidden,
        "passes": recipe.passes,
    }


def training_end(training: BlockTraining, task: Task, closing: float | None) -> float | None:
    """Second of the watch at which training must end for storing and measuring to fit; None without a budget.

    The first round takes at least as long as preparing did, to have something to show.
    """
    watch = task.watch
    if watch.left is None or watch.budget is None:
        return None
    if closing is not None:
        return watch.budget - closing - watch.ending
    closing = _EVALUATIONS * training.evaluation_seconds() + _LOADING * watch.slowdown
    return max(watch.budget - closing - watch.ending, watch.seconds + watch.preparing_seconds)


def _in_time(training: BlockTraining, task: Task) -> BlockRecipe:
    """The recipe of a training, or that of a lower goal where the time budget asks for a smaller network."""
    recipe, end = training.recipe, training_end(training, task, None)
    if end is None or not recipe.sized:
        return recipe
    target = task.target
    freedom = target.freedom / (1 if target.group is None else target.group.order)
    passes = (end - task.watch.seconds) / (_PASS * training.evaluation_seconds()) / _ENOUGH
    found, width = recipe, recipe.sizes.width
    for goal in (g for g in _LOWER if g < recipe.goal):
        if found.passes * found.sizes.width / width <= passes:
            break
        lower = choose_recipe(freedom, recipe.sizes.blocks, task.options, goal)
        found = replace(lower, sizes=replace(lower.sizes, blocks=recipe.sizes.blocks))
    if found is recipe:
        return recipe
    pace = min(passes * _ENOUGH * width / found.sizes.width / found.passes, 1.0)
    return replace(found, pace=pace)


def _stored_result(training: BlockTraining, task: Task) -> Result:
    """The best candidate coded, and measured as a decoder sees it."""
    best, parameters, waves = training.best, training.parameters, training.waves
    assert best is not None
    parameters.logs.copy_(best.logs)
    matrices, steps = parameters.matrices(best.whole), parameters.stored_steps()
    amplitudes = best.amplitudes.astype(np.int64).reshape(-1, 1)
    if amplitudes.size:
        matrices, steps = [*matrices, amplitudes], np.append(steps, np.float16(waves.step))
    coded: Mapping[str, CodedTensor] = {"network": encode_matrices(matrices, steps)}
    # What decoding needs beside the numbers.
    network = BlockSiren(
        np.zeros(coded["network"].size, np.float32), training.recipe.sizes, training.omegas, training.radius
    )
    target = task.target
    return finish(target, network.kind, network.settings(), coded, task.options.gains, target.group)
