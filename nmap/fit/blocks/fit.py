"""One fit of a block SIREN: lay out, train, store, measure; with longer codes where it falls short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from nmap.coding.codings import CodedTensor, encode_matrices
from nmap.errors import QualityError
from nmap.fit.blocks.layout import Layout
from nmap.fit.blocks.recipe import BlockRecipe, choose_recipe
from nmap.fit.blocks.training import BlockTraining
from nmap.fit.dense.quantise import Result, finish
from nmap.fit.device import Workers
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Watch
from nmap.fit.record import History
from nmap.fit.target.prepare import Target
from nmap.model.blocks import Places
from nmap.model.block_siren import BlockSiren
from nmap.point_group import PointGroup
from nmap.spectrum import floored

# Rounds of growth, and seconds in which one may begin without a time budget.
_ROUNDS, _PATIENCE = 2, 900.0
# Of the time left, kept for storing and measuring: this many evaluations of the lattice, so many seconds, and so
# many more for each voxel.
_EVALUATIONS, _CLOSING, _CLOSING_PER_VOXEL = 10.0, 0.3, 1e-7


def fit_blocks(
    target: Target,
    symmetry: PointGroup | None,
    measured: str,
    options: EncodeOptions,
    watch: Watch,
    device: torch.device,
    notes: list[str],
) -> tuple[Result, History]:
    """Fit a block SIREN to a target.

    Args:
        target: what to fit.
        symmetry: point group; None for C1.
        measured: what was found of the symmetry, in words.
        options: of the fit.
        watch: its clock.
        device: where it computes.
        notes: what the record keeps in words; is added to.

    Raises:
        QualityError: a target FSC that is not reached.
    """
    places = Places.of(target.lattice, target.envelope, symmetry)
    order = 1 if symmetry is None else symmetry.order
    recipe = choose_recipe(target.freedom / order, places.own.size, options)
    layout = Layout.of(target, symmetry, places, recipe.sizes.blocks)
    best: Result | None = None
    with Workers(device) as workers:
        for number in range(1 + _ROUNDS):
            begun = watch.seconds
            training = BlockTraining(target, layout, recipe, device, workers, watch)
            training.run(_end_of_training(training, target, watch))
            watch.say("storing and measuring")
            result = _stored(training, target, symmetry)
            if best is None or result.worst > best.worst:
                best, kept = result, training
            watch.fsc = best.worst
            if best.worst >= recipe.goal or watch.stopped() or not recipe.can_grow or number == _ROUNDS:
                break
            left = _PATIENCE - watch.seconds if watch.left is None else watch.left
            if left < 1.5 * (watch.seconds - begun):
                notes.append("no time was left for longer codes")
                break
            recipe = recipe.grown
    notes.append(measured)
    _say_shortfall(best.worst, target, options, watch, notes)
    return best, History(kept.done, _settings(kept.recipe, kept.omegas), kept.loss, kept.fsc)


def _say_shortfall(
    worst: float, target: Target, options: EncodeOptions, watch: Watch, notes: list[str]
) -> None:
    goal = options.goal_fsc
    if worst >= goal:
        return
    if options.target_fsc is not None and not watch.stopped():
        raise QualityError(
            f"worst shell to {target.band_limit:g} A reached {floored(worst)} of the wanted {goal:g}: allow more "
            "time, or a coarser --resolution"
        )
    notes.append(f"worst shell FSC {floored(worst)} is below {goal:g}: more time may raise it")
    watch.say(f"warning: {notes[-1]}", 0.0)


def _settings(recipe: BlockRecipe, omegas: tuple[float, ...]) -> dict[str, Any]:
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


def _end_of_training(training: BlockTraining, target: Target, watch: Watch) -> Callable[[], float] | None:
    """What tells the second of the watch at which training must end for the rest to fit in the budget.

    None without a budget.
    """
    if watch.left is None:
        return None
    closing = _CLOSING + _CLOSING_PER_VOXEL * target.density.grid.size
    closing += _EVALUATIONS * training.evaluation_seconds()
    closing, end = closing / watch.slowdown.factor, watch.seconds + watch.left
    return lambda: end - watch.slowdown.factor * closing


def _stored(training: BlockTraining, target: Target, symmetry: PointGroup | None) -> Result:
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
    return finish(target, network.kind, network.settings(), coded, symmetry)
