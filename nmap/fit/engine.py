"""One fit from beginning to end: prepare, train, store, measure, grow if it falls short, record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from nmap.errors import QualityError
from nmap.fit.bumps.fit import fit_radial
from nmap.fit.blocks.fit import fit_blocks
from nmap.fit.dense.quantise import Result, coded_tensors, finish
from nmap.fit.dense.recipe import Recipe, choose_recipe
from nmap.fit.dense.train import Training
from nmap.fit.device import Workers, choose_device, device_name
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress, Watch
from nmap.fit.record import History, record
from nmap.fit.target.copies import with_copies
from nmap.fit.target.prepare import Target, prepare
from nmap.fit.target.symmetry import find_symmetry
from nmap.maps.reading import DensityMap
from nmap.neural_map import NeuralMap
from nmap.spectrum import floored

# Growth ends after so many rounds, or this many seconds without a time budget.
_ROUNDS = 3
_PATIENCE = 900.0
_FEWEST_BITS = 2
# Of the time left, kept for storing and measuring: this many of the training's evaluations of the lattice (numpy
# takes several times as long, and measures twice), so many seconds, and so many more for each voxel.
_EVALUATIONS = 10.0
_CLOSING, _CLOSING_PER_VOXEL = 0.3, 1e-7


@dataclass(frozen=True, eq=False)
class Round:
    """One round of training and what it came to."""

    result: Result
    recipe: Recipe
    seconds: float


def fit(
    density: DensityMap,
    options: EncodeOptions,
    progress: Callable[[Progress], None] | None,
    should_stop: Callable[[], bool] | None,
) -> NeuralMap:
    """Fit a network to a density map; see `nmap.fit.encode`."""
    device = choose_device(options.device)
    watch = Watch(progress, should_stop, options.time_budget)
    watch.say("preparing")
    target = prepare(density, options)
    watch.prepared = watch.seconds / watch.slowdown.factor
    notes: list[str] = []
    if options.arch == "radial-basis":
        symmetry, measured = find_symmetry(target, options, watch)
        target = with_copies(target, symmetry, density, options)
        result, history = fit_radial(target, symmetry, measured, options, watch, device, notes)
    elif options.in_blocks:
        symmetry, measured = find_symmetry(target, options, watch)
        target = with_copies(target, symmetry, density, options)
        result, history = fit_blocks(target, symmetry, measured, options, watch, device, notes)
    else:
        result, history = _train(target, options, watch, device, notes)
    made = record(target, options, history, result, notes, device_name(device))
    watch.say("done", 0.0)
    field = result.neural_map
    return NeuralMap(field.field, field.tensors, made)


def _train(
    target: Target, options: EncodeOptions, watch: Watch, device: torch.device, notes: list[str]
) -> tuple[Result, History]:
    """Train a network of dense layers, growing it until it reaches the goal."""
    recipe = choose_recipe(target, options)
    goal = options.goal_fsc
    with Workers(device) as workers:
        training = Training(target, recipe, device, workers, watch)
        best = _best(training, watch, goal, notes)
        if options.weight_bits is None:
            best = _in_fewer_bits(training, best, watch, goal)
    worst = best.result.worst
    if worst < goal and options.target_fsc is not None and not watch.stopped():
        raise QualityError(
            f"worst shell to {target.band_limit:g} A reached {floored(worst)} of the wanted {goal:g}: allow more "
            "--hidden-features, --steps or --weight-bits, more time, or a coarser --resolution"
        )
    if worst < goal:
        notes.append(
            f"worst shell FSC {floored(worst)} is below {goal:g}: more neurons, steps or bits may raise it"
        )
        watch.say(f"warning: {notes[-1]}", 0.0)
    settings = {
        "batch": best.recipe.batch,
        "hidden_features": best.recipe.features,
        "hidden_layers": best.recipe.layers,
        "omega0": best.recipe.omega0,
        "omega_hidden": best.recipe.omega_hidden,
        "weight_bits": best.recipe.bits,
    }
    return best.result, History(training.done, settings, training.loss, training.fsc)


def _best(training: Training, watch: Watch, goal: float, notes: list[str]) -> Round:
    """Train, and grow while it falls short and there is time; the best round by its worst shell."""
    best: Round | None = None
    for number in range(1 + _ROUNDS):
        begun = watch.seconds
        training.run(_end_of_training(training, watch))
        watch.say("storing and measuring")
        this = Round(_stored(training), training.recipe, watch.seconds - begun)
        if best is None or this.result.worst > best.result.worst:
            best = this
        watch.fsc = best.result.worst
        if best.result.worst >= goal or watch.stopped() or not training.recipe.can_grow or number == _ROUNDS:
            break
        left = _PATIENCE - watch.seconds if watch.left is None else watch.left
        if left < 1.5 * this.seconds:
            notes.append("no time was left for more neurons")
            break
        training.grow(training.recipe.grown)
    if best is None:
        raise AssertionError("no round was trained")
    return best


def _in_fewer_bits(training: Training, best: Round, watch: Watch, goal: float) -> Round:
    """The network in as few bits a weight as still reach the goal, as far as there is time."""
    while best.result.worst >= goal and training.recipe.bits > _FEWEST_BITS and not watch.stopped():
        left = _PATIENCE - watch.seconds if watch.left is None else watch.left
        if left < best.seconds:
            break
        begun = watch.seconds
        training.settle(training.recipe.coarser)
        training.run(_end_of_training(training, watch))
        watch.say("storing and measuring")
        this = Round(_stored(training), training.recipe, watch.seconds - begun)
        if this.result.worst < goal:
            break
        best = this
    watch.fsc = best.result.worst
    return best


def _end_of_training(training: Training, watch: Watch) -> Callable[[], float] | None:
    """What tells the second of the watch at which training must end for the rest to fit in the budget as things are.

    None without a budget.
    """
    if watch.left is None:
        return None
    closing = _CLOSING + _CLOSING_PER_VOXEL * training.target.density.grid.size
    closing += _EVALUATIONS * training.evaluation_seconds()
    closing, end = closing / watch.slowdown.factor, watch.seconds + watch.left
    return lambda: end - watch.slowdown.factor * closing


def _stored(training: Training) -> Result:
    """The trained network coded as its recipe says, and measured as a decoder sees it."""
    parameters = {name: p.detach().cpu().numpy() for name, p in training.parameters.items()}
    steps = None
    if training.row_steps is not None:
        steps = training.row_steps[..., 0].cpu().numpy().astype(np.float16)
    coded = coded_tensors(parameters, training.recipe, steps)
    return finish(training.target, training.recipe.kind, training.settings, coded)
