"""Fit a block SIREN: lay out, train, store, measure; with longer codes where it falls short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmap.coding.codings import CodedTensor, encode_matrices
from nmap.errors import QualityError
from nmap.fit.blocks.layout import Layout
from nmap.fit.blocks.recipe import BlockRecipe, choose_recipe
from nmap.fit.blocks.training import BlockTraining
from nmap.fit.dense.quantise import finish
from nmap.fit.device import Workers
from nmap.fit.result import History, Result
from nmap.fit.task import Task
from nmap.model.block_siren import BlockSiren
from nmap.model.blocks import Places
from nmap.spectrum import floored

# Rounds of growth at most.
_ROUNDS = 2
# Seconds after which no further round begins without a time budget.
_PATIENCE = 900.0
# A round with longer codes takes this many times as long as the one before it.
_LONGER = 1.5
# Evaluations of the lattice that storing and measuring takes, before the first round has shown it.
_EVALUATIONS = 10.0


def fit_blocks(task: Task) -> tuple[Result, History]:
    """Fit a block SIREN, with longer codes until it reaches the goal.

    Raises:
        QualityError: a target FSC that was not reached.
    """
    target, options, watch = task.target, task.options, task.watch
    places = Places.of(target.lattice, target.envelope, target.group)
    order = 1 if target.group is None else target.group.order
    recipe = choose_recipe(target.freedom / order, places.own.size, options)
    layout = Layout.of(target, target.group, places, recipe.sizes.blocks)
    best, kept, closing = None, None, None
    with Workers(task.device) as workers:
        for number in range(1 + _ROUNDS):
            began = watch.seconds
            training = BlockTraining(target, layout, recipe, task.device, workers, watch)
            training.run(training_end(training, task, closing))
            watch.say("storing")
            trained = watch.seconds
            result = _stored_result(training, task)
            closing = watch.seconds - trained
            if best is None or result.worst > best.worst:
                best, kept = result, training
            watch.fsc = best.worst
            if best.worst >= recipe.goal or watch.stopped() or not recipe.can_grow or number == _ROUNDS:
                break
            left = _PATIENCE - watch.seconds if watch.left is None else watch.left
            if left < _LONGER * (watch.seconds - began):
                watch.note("no-time-to-grow")
                break
            recipe = recipe.grown
    assert best is not None and kept is not None
    check_goal(best.worst, task)
    return best, History(kept.done, settings_of(kept.recipe, kept.omegas), kept.loss, kept.fsc)


def check_goal(worst: float, task: Task) -> None:
    """Refuse or tell what fell short of the goal."""
    goal = task.options.goal_fsc
    if worst >= goal:
        return
    if task.options.target_fsc is not None and not task.watch.stopped():
        raise QualityError(
            f"worst shell to {task.target.band_limit:g} A reached {floored(worst)} of the wanted {goal:g}: allow "
            "more time, or a coarser --resolution"
        )
    task.watch.warn("below-goal", worst=worst, goal=goal)


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
        return watch.budget - closing
    closing = _EVALUATIONS * training.evaluation_seconds()
    return max(watch.budget - closing, watch.seconds + watch.preparing_seconds)


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
