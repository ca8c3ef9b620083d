"""Training a block SIREN: whole numbers whose decode meets the goal in as few bits as can be.

Every step moves all numbers down the gradient of the error within the band limit plus lambda times their bits,
as rounded (straight-through), and moves the steps of rounding too. Now and then the network is evaluated on the
whole lattice. From that follow the points' targets (`nmap.fit.dense.shell_error` says how), the strength of shells
that lag, the waves of the lowest shells, the widths of the numbers' distributions, and lambda: it is steered so
that the worst shell ends where the goal is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.fit import checkpoint
from nmap.fit.blocks.layout import Layout
from nmap.fit.blocks.low_waves import LowWaves
from nmap.fit.blocks.network import Batch, BlockNetwork
from nmap.fit.blocks.parameters import Parameters
from nmap.fit.blocks.rate import Rate
from nmap.fit.blocks.recipe import BlockRecipe
from nmap.fit.dense.shell_error import ShellError
from nmap.fit.device import Workers
from nmap.fit.progress import Watch
from nmap.fit.target.goal import ShellGoal
from nmap.fit.target.prepare import F64, Target
from nmap.spectrum import squared

# Shares of the run: rising learning rate; lambda ramped in; from where on it is steered.
_WARM_UP = 0.03
_RAMP = 0.2
_STEERED = 0.5
# Learning rates of what is shared, and of codes, end at these shares of the highest ones. The run may go on so long
# with them to land on the goal.
_LEAST_RATES = (0.01, 0.03)
_LANDING = 0.15
# Adam's (Kingma and Ba 2015) means, and the highest learning rate of the logarithm of a step of rounding.
_MOMENTUM = 0.9
_MEMORY = 0.99
_EPSILON = 1e-8
_STEP_RATE = 0.05
# Lambda to begin with, in units of the slope of a Gaussian source at the goal; how far it may go, and how fast.
_LAMBDA = 0.32
_LAMBDA_RANGE = (0.15, 10.0)
_GAIN = 0.12
_LAST_GAIN = 2.5
# The same where bits are the goal: they follow lambda at once, so it may move from here on, further and faster.
_BITS_STEERED = 0.3
_BITS_RANGE = (0.05, 40.0)
_BITS_GAIN = 0.4
# Degrees of freedom up to which it begins so, and the power by which it falls with more: in larger maps more shells
# lag at first.
_AT_FREEDOM = 24_000.0
_LAMBDA_GROWTH = -0.3
# It falls by this power of the share of the passes that there is time for: in few steps bits would win.
_HURRIED = 2.0
# Numbers of the network for each degree of freedom up to which lambda begins so.
_NUMBERS = 2.0
# What is missing of a shell falls by exp(this * (1 - share)^2) to the end of the run, as the learning rate does: at a
# goal of 0.9, and the power by which it changes with the bits of a mode, for rates are lower then. In coarse shells, up
# to this share of the last, it falls by more: where a shared number is rounded, all blocks move together.
_FALL = 2.5
_FALL_POWER = -0.8
_COARSE_FALL = 12.0
_COARSE = 0.35
# Shares of the run between which the goal moves from the median shell to the worst one.
_WORST = (0.6, 0.8)
# Of what a point's value moves between evaluations of the lattice so much is taken to lie within the band limit.
IN_BAND = 0.6
# Points are dealt to batches anew every few passes.
_DEALT = 4
# Shells that lag get more weight by this power of what they miss, from and to these shares of the run. What a shell
# with more weight to begin with misses counts by this power of that weight.
_FOLLOW = 0.15
_ASKED = 1.5
_FOLLOWED = (0.2, 1.2)
_FOLLOW_WIDTH = 0.6
_FOLLOW_RANGE = (-0.5, 2.0)
# A target further beyond what lacks than this would be overshot before it is renewed. The last shell may have so many
# times as much weight: the envelope spreads what moves there beyond the band limit, which cuts it off.
_MOST_WEIGHT = 5.0
_LAST_WEIGHT = 4.0
# Gains are smooth, so whitened shells differ in power: those of less begin with more weight, between these limits.
# Less power than this share of the strongest shell's counts as that.
_EVENED = (0.7, 4.0)
_LEAST_POWER = 1e-8
# The waves see to the shells before this one where the largest squared length of their vectors is that.
_LOW_SHELLS = 4
_AT_WAVES = 9
# Seconds between two checkpoints.
SAVE_EVERY = 10.0
# Candidates count from this share of the run on. Lambda is steered to so much less than the goal lets be missing.
_CANDIDATES = 0.8
_MARGIN = 0.015


@dataclass(frozen=True, eq=False)
class Candidate:
    """A state of the network, rounded.

    Attributes:
        worst: FSC of its worst shell, as it counts for the goal (`ShellGoal.alike`).
        bits: estimate of its size.
        whole: whole numbers.
        logs: logarithms of the steps.
        amplitudes: of the waves, whole numbers.
    """

    worst: float
    bits: float
    whole: Tensor
    logs: Tensor
    amplitudes: F64


class BlockTraining:
    """A block SIREN in training.

    Args:
        target: what to fit.
        layout: where.
        recipe: how.
        goal: what each shell owes.
        device: where it computes.
        workers: share the work out.
        watch: reports progress; says when to end.
        more: times as much weight as the goal gives each shell, (last + 1,); 1 if None.
    """

    def __init__(
        self,
        target: Target,
        layout: Layout,
        recipe: BlockRecipe,
        goal: ShellGoal,
        device: torch.device,
        workers: Workers,
        watch: Watch,
        more: F64 | None = None,
    ) -> None:
        self.radius = layout.radius
        self.recipe, self._goal, self._watch, self._device = recipe, goal, watch, device
        self._more = np.ones(target.last + 1) if more is None else more
        self._random = torch.Generator().manual_seed(recipe.seed)
        omega0 = recipe.omega * 2 * math.pi * layout.radius / target.band_limit
        self.omegas = (float(f"{omega0:.4g}"), *[recipe.omega_hidden] * recipe.sizes.hidden)
        self._batches, self._share = recipe.steps_of_pass, float(recipe.steps_of_pass)
        self.parameters = Parameters(recipe.sizes, self.omegas, self._random, device)
        self._network = BlockNetwork(self.parameters, workers, device)
        self._rate = Rate(self.parameters)
        self._error = ShellError(target, device, layout.places.flat, layout.places.mask)
        self.waves = self._waves_of(target, layout)
        self._last, self._counted, self._truth = target.last, self._error.counted, target.whitened
        points, order = layout.places.flat.size, layout.places.flat.size / layout.places.own.size
        slope = 2 * math.log(2) * (1 - recipe.goal**2) * points / max(target.freedom, 1.0)
        # Where numbers are many more than what they hold, they cannot all be worth their bits.
        share = min(1.0, _NUMBERS * target.freedom / order / self.parameters.flat.numel())
        size = max(target.freedom / order / _AT_FREEDOM, 1.0)
        self._first_lambda = self.lambda_ = (
            _LAMBDA * share * slope * size**_LAMBDA_GROWTH * recipe.pace**_HURRIED * min(recipe.bits, 1.0)
        )
        self._falling = np.full(target.last + 1, _FALL * max(recipe.bits, 1.0) ** _FALL_POWER)
        self._falling[: round(_COARSE * target.last)] = _COARSE_FALL
        self._boost = np.zeros(target.last + 1)
        self._even = np.ones(target.last + 1)
        self._first_weights = self._more * goal.weights * _evened(target, goal)
        of_last = np.where(np.arange(target.last + 1) < target.last, 1.0, _LAST_WEIGHT)
        self._most, self._most_boost = _MOST_WEIGHT * of_last, _FOLLOW_RANGE[1] + np.log(of_last)
        self._weights = np.minimum(self._first_weights, self._most)
        covered = round(_LOW_SHELLS * math.sqrt(max(recipe.sizes.waves, 0) / _AT_WAVES))
        self._first = min(covered, target.last)

        def there(values: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        self._x, self._table, self._used = there(layout.x), there(layout.table), there(layout.used)
        self._filled = self._used > 0
        self._mask, self._copy_of, self._count = (
            there(layout.mask),
            there(layout.copy_of),
            there(layout.count),
        )
        # The sum over positions weighs as the one over all lattice points of an asymmetric unit.
        self._weight = self._count * (len(layout.count) / points)
        self._wanted = torch.zeros_like(self._mask)
        self._is_whole = bool((layout.copy_of == np.arange(points)).all())
        self.best: Candidate | None = None
        self.done = 0
        self.loss: list[tuple[int, float]] = []
        self.fsc: list[tuple[int, float]] = []

    def _waves_of(self, target: Target, layout: Layout) -> LowWaves:
        """The plane waves that are fitted along."""
        return LowWaves(target, layout, self.recipe.sizes.waves, self.recipe.goal)

    @property
    def steps(self) -> int:
        """Training steps of the run, landing not counted."""
        return self.recipe.passes * self.recipe.steps_of_pass

    def run(self, until: float | None, state_file: Path | None = None) -> None:
        """Train for the recipe's steps and land, or until this second of the watch.

        A stop asked for ends at once; the best candidate, or the last state, is in `best`. The state is kept in
        `state_file`, and taken from it if it is there.
        """
        begin = saved = self._watch.seconds
        adam = Adam(self.parameters.flat, self.parameters.logs)
        batches: list[Batch] = []
        deals = _DEALT * self.recipe.steps_of_pass
        if state_file is not None and state_file.exists():
            self._load(state_file, adam)

        def share() -> float:
            if until is None:
                return self.done / self.steps
            in_time = (self._watch.seconds - begin) / max(until - begin, 1e-3)
            return max(self.done / self.steps, in_time * (1 + _LANDING))

        loss = torch.tensor(0.0)
        while (now := share()) < 1 + _LANDING and not self._watch.stopped():
            place = self.done % deals
            if state_file is not None and place == 0 and self._watch.seconds - saved >= SAVE_EVERY:
                saved = self._watch.seconds
                try:
                    self._save(state_file, adam)
                except Exception as error:  # a full disk, say: the fit itself goes on
                    state_file = None
                    self._watch.warn("no-checkpoint", error=f"{type(error).__name__}: {error}")
            if self.done % self.recipe.steps_of_pass == 0:
                if self.done:
                    self.loss.append((self.done, float(loss)))
                self._evaluate(now)
                if now >= 1 and self.best is not None and self._met(self.best):
                    break
            if place == 0:
                batches = self._deal()
            loss = self._step(adam, batches[place % len(batches)], now)
            self.done += 1
            if self._watch.due:
                self._watch.step = self.done
                done, gone = min(share(), 1.0), self._watch.seconds - begin
                self._watch.say("fitting", done, gone * (1 / max(done, 1e-3) - 1))
        if self.best is None or not self._met(self.best):
            self._evaluate(2.0)
        if state_file is not None and not self._watch.stopped():
            with suppress(OSError):
                state_file.unlink(missing_ok=True)
        self._watch.step = self.done

    @property
    def _task(self) -> bytes:
        """Digest of what is fitted and how, which a checkpoint must share."""
        arrays = (t.cpu().numpy() for t in (self._x, self._table, self._mask))
        return checkpoint.digest(repr(self.recipe).encode(), self._goal.wanted, self._truth, *arrays)

    def _save(self, path: Path, adam: Adam) -> None:
        """Keep all that a run goes on from; what an evaluation of the lattice tells is told again."""
        best, p = self.best, self.parameters
        kept: dict[str, Any] = {"flat": p.flat, "logs": p.logs, **adam.state()}
        if best is not None:
            kept |= {"best_whole": best.whole, "best_logs": best.logs, "best_amplitudes": best.amplitudes}
            kept["best"] = np.array([best.worst, best.bits])
        kept = {name: v.cpu().numpy() if isinstance(v, Tensor) else v for name, v in kept.items()}
        kept |= {"boost": self._boost, "weights": self._weights, "amplitudes": self.waves.whole}
        kept |= {"loss": np.array(self.loss), "fsc": np.array(self.fsc)}
        kept |= {"random": self._random.get_state().numpy(), "numbers": np.array([self.done, self.lambda_])}
        checkpoint.save(path, self._task, kept)

    def _load(self, path: Path, adam: Adam) -> None:
        kept = checkpoint.load(path, self._task)

        def there(name: str) -> Tensor:
            return torch.from_numpy(kept[name]).to(self._device)

        self.parameters.flat.copy_(there("flat"))
        self.parameters.logs.copy_(there("logs"))
        adam.restore(there)
        self._boost, self._weights, self.waves.whole = kept["boost"], kept["weights"], kept["amplitudes"]
        self._random.set_state(torch.from_numpy(kept["random"]))
        self.done, self.lambda_ = int(kept["numbers"][0]), float(kept["numbers"][1])
        self.loss = [(int(step), float(value)) for step, value in kept["loss"]]
        self.fsc = [(int(step), float(value)) for step, value in kept["fsc"]]
        if "best" in kept:
            worst, bits = kept["best"].tolist()
            whole, logs = there("best_whole"), there("best_logs")
            self.best = Candidate(worst, bits, whole, logs, kept["best_amplitudes"])

    def evaluation_seconds(self) -> float:
        """Seconds that one evaluation of the lattice takes."""
        begin = self._watch.seconds
        self._rounded()
        self._lacking(self._modes(self._network_values()), self._even)
        return self._watch.seconds - begin

    def _met(self, candidate: Candidate) -> bool:
        most = self.recipe.max_bits
        return candidate.worst >= self.recipe.goal if most is None else candidate.bits <= most

    def _rounded(self) -> tuple[Tensor, Tensor]:
        """Whole numbers and the step of each; the network takes them."""
        steps = self.parameters.steps()[self.parameters.matrix_of]
        whole = torch.round(self.parameters.flat / steps)
        self._network.take(whole * steps)
        return whole, steps

    def _network_values(self) -> Tensor:
        """U m of the network alone at the positions, (m,)."""
        out = torch.zeros_like(self._mask)
        out[self._table[self._filled]] = self._network.values(self._x)[self._filled]
        return out * self._mask

    def _modes(self, values: Tensor) -> Tensor:
        """Modes within the band limit of values of u m at the positions."""
        return self._error.modes(values if self._is_whole else values[self._copy_of])

    def _lacking(self, modes: Tensor, weights: F64 | None) -> Tensor:
        """What these modes lack at the positions, (m,), each shell's lack times its weight."""
        return self._at_positions(self._error.lacking(modes, self._even, weights))

    def _at_positions(self, lattice: Tensor) -> Tensor:
        """Mean of values at the lattice points inside, (n,), over those of each position, (m,)."""
        if self._is_whole:
            return lattice
        return torch.zeros_like(self._count).index_add_(0, self._copy_of, lattice) / self._count

    def _evaluate(self, now: float) -> None:
        """Renew all that an evaluation of the lattice tells, and keep the state if it is the best one."""
        whole, steps = self._rounded()
        self._rate.renew(self.parameters.flat / steps)
        network = self._network_values()
        modes = self._modes(network + self.waves.values().to(self._device))
        modes = modes + self._modes(self.waves.follow(self._lacking(modes, None)))
        self._wanted = network + self._lacking(modes, self._weights) / IN_BAND
        self._learn(now, whole, self._error.fsc(modes))

    def _learn(self, now: float, whole: Tensor, reached: F64) -> None:
        """Keep the state if it is the best one, give weight to shells that lag, and steer, by the FSC of each shell."""
        self._watch.fsc = float(reached[self._counted].min(initial=1.0))
        self.fsc.append((self.done, self._watch.fsc))
        fsc = self._goal.alike(reached)
        worst = float(fsc[self._counted].min(initial=1.0))
        if now >= _CANDIDATES:
            self._keep(whole, worst)
        if _FOLLOWED[0] < now < _FOLLOWED[1]:
            self._follow(fsc)
        if now >= (_STEERED if self.recipe.max_bits is None else _BITS_STEERED):
            self._steer(now, fsc, whole)

    def _keep(self, whole: Tensor, worst: float) -> None:
        """Remember the state if it is the best one so far."""
        bits = self._rate.bits(whole)
        new = Candidate(worst, bits, whole, self.parameters.logs.clone(), self.waves.whole.copy())
        if self.best is None or self._worth(new) > self._worth(self.best):
            self.best = new

    def _worth(self, candidate: Candidate) -> tuple[bool, float]:
        """What meets the goal comes first. Of those the fewest bits, of the others the one nearest to the goal.

        If the goal is a number of bits it is the other way round.
        """
        met = self._met(candidate)
        by_bits = met == (self.recipe.max_bits is None)
        return met, -candidate.bits if by_bits else candidate.worst

    def _follow(self, fsc: F64) -> None:
        """Give more weight to the shells that lag behind the median one."""
        missing = np.maximum((1 - fsc**2) * self._more**_ASKED, 1e-5)
        median = float(np.median(missing[self._counted]))
        missing[~self._counted] = median
        missing[..., : self._first] = median
        self._boost += _FOLLOW * np.log(missing / median)
        np.clip(self._boost, _FOLLOW_RANGE[0], self._most_boost, out=self._boost)
        at = np.arange(self._boost.shape[-1])
        kernel = np.exp(-0.5 * ((at[:, None] - at) / _FOLLOW_WIDTH) ** 2)
        weights = self._first_weights * np.exp(self._boost @ kernel.T / kernel.sum(1))
        self._weights = np.minimum(weights, self._most)

    def _steer(self, now: float, fsc: F64, whole: Tensor) -> None:
        """Move lambda by how what is missing will compare with what may be missing at the end of the run."""
        if self.recipe.max_bits is not None:
            low, high = (self._first_lambda * f for f in _BITS_RANGE)
            change = _BITS_GAIN * math.log(self._rate.bits(whole) / (self.recipe.max_bits * (1 - _MARGIN)))
            self.lambda_ = min(max(self.lambda_ * math.exp(min(max(change, -0.3), 0.3)), low), high)
            return
        low, high = (self._first_lambda * f for f in _LAMBDA_RANGE)
        to_come = np.exp(-self._falling * max(1 - now, 0.0) ** 2)
        foreseen = ((1 - np.square(fsc)) * to_come)[self._counted]
        share = min(max((now - _WORST[0]) / (_WORST[1] - _WORST[0]), 0.0), 1.0)
        missing = float(share * foreseen.max(initial=0.0) + (1 - share) * np.median(foreseen))
        allowed = (1 - _MARGIN) * (1 - self.recipe.goal**2)
        gain = _GAIN + _LAST_GAIN * max(now - _CANDIDATES, 0.0)
        change = min(max(gain * math.log(allowed / max(missing, 1e-9)), -0.3), 0.3)
        self.lambda_ = min(max(self.lambda_ * math.exp(change), low), high)

    def _deal(self) -> list[Batch]:
        """The points of each block, dealt to the batches of a pass."""
        blocks, slots = self._table.shape
        batches = self._batches
        size = -(-slots // batches)
        order = torch.argsort(torch.rand(blocks, slots, generator=self._random), 1).to(self._device)
        # The last batches are filled up with points of the first ones, which do not count twice.
        order = torch.cat((order, order[:, : size * batches - slots]), 1)
        counts = torch.arange(size * batches, device=self._device) < slots
        position = torch.gather(self._table, 1, order)
        weight = torch.gather(self._used, 1, order) * counts * self._weight[position]
        x = torch.gather(self._x, 1, order[:, :, None].expand(-1, -1, 3))
        mask = self._mask[position]
        return [
            Batch(*(v[:, first : first + size].contiguous() for v in (x, mask, weight, position)))
            for first in range(0, size * batches, size)
        ]

    def _step(self, adam: Adam, batch: Batch, now: float) -> Tensor:
        """One step on a batch; the weighted sum of squared errors before it."""
        p = self.parameters
        whole, steps = self._rounded()
        loss = self._network.descend(batch, self._wanted[batch.position])
        gradient = self._network.gradient.mul_(self._share * IN_BAND)
        levels = p.flat / steps
        slope = self._rate.slope(levels).mul_(self.lambda_ * min(1.0, now / _RAMP))
        # Through the rounding: a number moves by its step, a step by how it rounds.
        by_step = torch.zeros_like(p.logs).index_add_(
            0, p.matrix_of, gradient * (whole - levels) * steps - slope * levels
        )
        gradient += slope / steps
        rise = min(1.0, now / _WARM_UP + 1e-2)
        fall = rise * 0.5 * (1 + math.cos(math.pi * min(now, 1.0)))
        shared, own = (max(fall, least) for least in _LEAST_RATES)
        rates = p.rates * (shared * self.recipe.rate)
        rates[p.codes] = p.rates[p.codes] * (own * self.recipe.rate)
        adam.step(gradient, by_step, rates, _STEP_RATE * shared)
        return loss


def _evened(target: Target, goal: ShellGoal) -> F64:
    """Weight of each shell, (last + 1,), with which all would miss the same share of their power."""
    out, counted = np.ones(target.last + 1), np.flatnonzero(goal.modes)
    if counted.size:
        power = target.shells.sum(squared(target.whitened))[counted] / goal.modes[counted]
        logs = np.log(np.maximum(power, _LEAST_POWER * power.max()))
        typical = np.average(logs, weights=goal.modes[counted])
        out[counted] = np.exp(typical - logs).clip(*_EVENED)
    return out


class Adam:
    """Moves the numbers and the logarithms of their steps in place."""

    def __init__(self, flat: Tensor, logs: Tensor) -> None:
        self._moved = (flat, logs)
        self._means = tuple(torch.zeros_like(v) for v in self._moved)
        self._squares = tuple(torch.zeros_like(v) for v in self._moved)
        self._count = 0

    def state(self) -> dict[str, Any]:
        """Means, squares and their count, by name."""
        names = ("mean", "mean_logs", "square", "square_logs")
        return {**dict(zip(names, (*self._means, *self._squares), strict=True)), "count": self._count}

    def restore(self, kept: Callable[[str], Tensor]) -> None:
        """Take the same back."""
        for name, value in self.state().items():
            if isinstance(value, Tensor):
                value.copy_(kept(name))
        self._count = int(kept("count"))

    def step(self, gradient: Tensor, by_step: Tensor, rates: Tensor, step_rate: float) -> None:
        """One step down the gradients, of the numbers and of the logarithms of their steps."""
        self._count += 1
        first, second = 1 - _MOMENTUM**self._count, 1 - _MEMORY**self._count
        each: tuple[Tensor | float, ...] = (rates, step_rate)
        both = zip(self._moved, self._means, self._squares, (gradient, by_step), each, strict=True)
        for value, mean, square, g, rate in both:
            mean.lerp_(g, 1 - _MOMENTUM)
            square.lerp_(g * g, 1 - _MEMORY)
            value.sub_(rate / first * mean / ((square / second).sqrt_().add_(_EPSILON)))
