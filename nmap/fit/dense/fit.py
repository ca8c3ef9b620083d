"""Fit a network of dense layers: train, store, measure; grow it if it falls short, take fewer bits if it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nmap.errors import QualityError
from nmap.fit.dense.bare import BareTraining, bare_recipe, bare_target
from nmap.fit.dense.recipe import Recipe, choose_recipe
from nmap.fit.dense.train import Training
from nmap.fit.device import Workers
from nmap.fit.progress import Watch
from nmap.fit.result import History, Result
from nmap.fit.task import Task
from nmap.spectrum import floored

# Rounds of growth at most.
_ROUNDS = 3
# Seconds after which no further round begins without a time budget.
_PATIENCE = 900.0
_FEWEST_BITS = 2
# A round that grows the network takes this many times as long as the one before it.
_GROWN = 1.5
# Evaluations of the lattice that storing and measuring takes, before the first round has shown it: numpy evaluates
# several times as slowly as training does, and measures twice.
_EVALUATIONS = 10.0


@dataclass(frozen=True, eq=False)
class Round:
    """One round of training and what it came to.

    Attributes:
        result: the network stored and measured.
        recipe: how it was trained.
        seconds: of the round.
    """

    result: Result
    recipe: Recipe
    seconds: float


def fit_dense(task: Task) -> tuple[Result, History]:
    """Fit a network of dense layers, growing it until it reaches the goal.

    Raises:
        QualityError: a target FSC that was not reached.
    """
    target, options, watch = task.target, task.options, task.watch
    goal = options.goal_for(target.masked)
    with Workers(task.device) as workers:
        if options.bare:
            target = bare_target(target)
            training: Training = BareTraining(
                target, bare_recipe(target, options), task.device, workers, watch
            )
        else:
            training = Training(target, choose_recipe(target, options), task.device, workers, watch)
        rounds = _Rounds(training, watch)
        rounds.grow_to(goal)
        if options.weight_bits is None and not options.bare:
            rounds.take_fewer_bits(goal)
    best, training = rounds.best, rounds.training
    worst = best.result.worst
    if worst < goal and options.target_fsc is not None and not watch.stopped():
        more = (
            "`hidden_features` or `steps`" if options.bare else "`hidden_features`, `steps` or `weight_bits`"
        )
        raise QualityError(
            f"worst shell to {target.band_limit:g} A reached {floored(worst)} of the wanted {goal:g}: allow more "
            f"{more}, more time, or a coarser `resolution`"
        )
    if worst < goal and goal > 0:
        watch.warn("below-goal", worst=worst, goal=goal)
    settings = {
        "batch": best.recipe.batch,
        "hidden_features": best.recipe.features,
        "hidden_layers": best.recipe.layers,
        "omega0": best.recipe.omega0,
        "omega_hidden": best.recipe.omega_hidden,
        "weight_bits": best.recipe.bits,
    }
    return best.result, History(training.done, settings, training.loss, training.fsc)


class _Rounds:
    """Rounds of training, and the best of them.

    Args:
        training: the network in training.
        watch: clock, listener and notices.
    """

    def __init__(self, training: Training, watch: Watch) -> None:
        self.training, self._watch = training, watch
        self._closing: float | None = None
        self.best = self._round()

    def grow_to(self, goal: float) -> None:
        """Grow and train on while the best falls short and there is time."""
        for _ in range(_ROUNDS):
            if self.best.result.worst >= goal or self._watch.stopped() or not self.training.recipe.can_grow:
                break
            if self._time_left < _GROWN * self.best.seconds:
                self._watch.note("no-time-to-grow")
                break
            grown = self._attempt(lambda: self.training.grow(self.training.recipe.grown))
            if grown is None:
                break
            if grown.result.worst > self.best.result.worst:
                self.best = grown
        self._watch.fsc = self.best.result.worst

    def take_fewer_bits(self, goal: float) -> None:
        """Store in as few bits a weight as still reach the goal, as far as there is time."""
        while self.best.result.worst >= goal and self.training.recipe.bits > _FEWEST_BITS:
            if self._watch.stopped() or self._time_left < self.best.seconds:
                break
            coarser = self._attempt(lambda: self.training.settle(self.training.recipe.coarser))
            if coarser is None or coarser.result.worst < goal:
                break
            self.best = coarser
        self._watch.fsc = self.best.result.worst

    @property
    def _time_left(self) -> float:
        left = self._watch.left
        return _PATIENCE - self._watch.seconds if left is None else left

    def _attempt(self, change: Callable[[], None]) -> Round | None:
        """One more round after a change; None where it fails: the best so far is there already."""
        try:
            change()
            return self._round()
        except Exception as error:
            self._watch.warn("attempt-failed", error=f"{type(error).__name__}: {error}")
            return None

    def _round(self) -> Round:
        """Train, store and measure."""
        training, watch = self.training, self._watch
        began = watch.seconds
        training.run(self._end())
        watch.say("storing")
        trained = watch.seconds
        result = training.stored()
        self._closing = watch.seconds - trained
        watch.fsc = result.worst
        return Round(result, training.recipe, watch.seconds - began)

    def _end(self) -> float | None:
        """Second of the watch at which training must end for storing and measuring to fit; None without a budget.

        The first round takes at least as long as preparing did, to have something to show.
        """
        watch = self._watch
        if watch.left is None or watch.budget is None:
            return None
        if self._closing is not None:
            return watch.budget - self._closing - watch.ending
        closing = _EVALUATIONS * self.training.evaluation_seconds()
        return max(watch.budget - closing - watch.ending, watch.seconds + watch.preparing_seconds)
