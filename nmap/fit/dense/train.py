"""Training: the weights whose network, enveloped and cut at the band limit, is the whitened map.

The error that counts is that of the decoded density: by shell, within the band limit. A batch of lattice
points cannot see shells, so the points' targets carry them: now and then the network is evaluated on the
whole lattice, and each point's target becomes its value there plus the error within the band limit. That is
the majorisation of the band-limited error by a pointwise one (an exact bound, equal at the current
weights): the network stays free beyond the band limit, where a decoder takes nothing from it. The same
evaluation gives the FSC by shell, and shells that lag get a stronger target; their gains, fitted at the
end, undo it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.fit.dense.adam import EAGER, Adam
from nmap.fit.dense.parameters import initial_parameters, learning_rates, network_settings, widened
from nmap.fit.dense.quantise import as_stored, coded_tensors, finish, row_steps
from nmap.fit.dense.recipe import Recipe
from nmap.fit.dense.shell_error import ShellError
from nmap.fit.device import Recorded, Workers, bfloat16_is_fast, forward
from nmap.fit.progress import Watch
from nmap.fit.result import Result
from nmap.fit.target.prepare import F64, Target

# Shares of the run: rising learning rate; shells followed from and to; from where on weights are trained as
# they will be stored, with steps chosen there once, for each new choice moves every weight of a row.
_WARM_UP = 0.03
_FOLLOW = (0.15, 0.75)
_STORED = 0.7
# Learning rates of a trained network that settles into fewer bits.
_SETTLING_RATE = 0.5
# Shells followed at most once in this share of the run, each time by this part of the way, up to this factor.
_FOLLOW_EVERY = 0.03
_FOLLOW_BY = 0.3
_HIGHEST_FOLLOWED = 3.0
_LOWEST_FOLLOWED = 0.8
# Smoothed over so many shells: the first ones are few, and a spike there leaves the envelope.
_FOLLOW_WIDTH = (2.0, 1.0)
_FIRST_SHELLS = 10


class Training:
    """A network in training.

    Args:
        target: what to fit.
        recipe: how.
        device: where.
        workers: share the work out.
        watch: reports progress; says when to end.
    """

    def __init__(
        self,
        target: Target,
        recipe: Recipe,
        device: torch.device,
        workers: Workers,
        watch: Watch,
    ) -> None:
        self.target, self.recipe, self._workers, self._watch = target, recipe, workers, watch
        self._device = device
        self._hidden = torch.bfloat16 if bfloat16_is_fast(device) else torch.float32
        self._random = torch.Generator().manual_seed(recipe.seed)
        self._t = torch.from_numpy(target.coordinates).to(device)
        self._error = ShellError(target, device)
        self._rows = torch.zeros(min(recipe.batch, len(self._t)), dtype=torch.long, device=device)
        self._wanted = torch.zeros(len(self._t), device=device)
        self._boost = np.zeros(target.last + 1)
        self.parameters = {name: p.to(device) for name, p in initial_parameters(recipe, self._random).items()}
        self.row_steps: Tensor | None = None
        self.done = 0
        self.loss: list[tuple[int, float]] = []
        self.fsc: list[tuple[int, float]] = []

    @property
    def settings(self) -> dict[str, Any]:
        """The network's settings, as its model kind wants them."""
        return network_settings(self.recipe)

    def settle(self, recipe: Recipe) -> None:
        """Go on with fewer bits for each weight, from the same network."""
        self.recipe = recipe

    def grow(self, recipe: Recipe) -> None:
        """Go on with more neurons, from a network that computes the same."""
        wide = widened(self.recipe, recipe, {n: p.cpu() for n, p in self.parameters.items()}, self._random)
        self.parameters = {name: p.to(self._device) for name, p in wide.items()}
        self.recipe, self.row_steps = recipe, None

    def run(self, until: float | None) -> None:
        """Train for the recipe's steps, or until this second of the watch, whichever is first.

        The learning rate falls to nothing towards that end. A stop asked for ends at once.
        """
        begin, first = self._watch.seconds, self.done
        optimiser = Adam(self.parameters, learning_rates(self.recipe))
        descent = self._recorded(optimiser)
        self.row_steps, followed = None, 0.0

        def share() -> float:
            in_time = 0.0 if until is None else (self._watch.seconds - begin) / max(until - begin, 1e-3)
            return max((self.done - first) / self.recipe.steps, in_time)

        while (now := share()) < 1 and not self._watch.stopped():
            stored = now >= _STORED or self.recipe.settles
            if self.recipe.bits <= 8 and stored and self.row_steps is None:
                self.row_steps = row_steps(self.parameters["hidden.weight"], self.recipe.bits)
                descent = self._recorded(optimiser)
            fsc = self._targets()
            if (
                not self.recipe.settles
                and now - followed >= _FOLLOW_EVERY
                and _FOLLOW[0] <= now <= _FOLLOW[1]
            ):
                followed = now
                self._follow(fsc)
            loss = torch.tensor(0.0)
            for rows in self._batches(len(self._t)):
                now = share()
                if now >= 1 or self._watch.stopped():
                    break
                loss = self._step(optimiser, descent, rows, now)
                self.done += 1
                if self._watch.due:
                    self._watch.step = self.done
                    gone = self._watch.seconds - begin
                    self._watch.say("fitting", share(), gone * (1 / max(share(), 1e-3) - 1))
            self.loss.append((self.done, float(loss)))
        self._watch.step = self.done

    def stored(self) -> Result:
        """The trained network coded as its recipe says, and measured as a decoder sees it."""
        parameters = {name: p.detach().cpu().numpy() for name, p in self.parameters.items()}
        steps = None if self.row_steps is None else self.row_steps[..., 0].cpu().numpy().astype(np.float16)
        coded = coded_tensors(parameters, self.recipe, steps)
        return finish(self.target, self.recipe.kind, self.settings, coded, self.recipe.gains)

    def evaluation_seconds(self) -> float:
        """Seconds that one evaluation of the lattice takes."""
        begin = self._watch.seconds
        self._targets()
        return self._watch.seconds - begin

    def _batches(self, count: int) -> tuple[Tensor, ...]:
        """Rows of each batch of one pass over the points."""
        order = torch.randperm(count, generator=self._random)
        batches: tuple[Tensor, ...] = torch.split(order.to(self._device), self.recipe.batch)
        return batches

    def _recorded(self, optimiser: Adam) -> Recorded:
        """Steps on whole batches, as weights are trained now."""
        return Recorded(lambda: self._descend(optimiser, self._rows), self._device, EAGER)

    def _step(self, optimiser: Adam, descent: Recorded, rows: Tensor, now: float) -> Tensor:
        """One step on a batch; the mean squared error before it."""
        factor = min(1.0, now / _WARM_UP + 1e-2) * 0.5 * (1 + math.cos(math.pi * min(now, 1.0)))
        optimiser.begin(factor * (_SETTLING_RATE if self.recipe.settles else 1.0))
        if len(rows) == len(self._rows):
            self._rows.copy_(rows)
            loss = descent()
        else:
            loss = self._descend(optimiser, rows)
        return loss

    def _descend(self, optimiser: Adam, rows: Tensor) -> Tensor:
        """The mean squared error on the rows of a batch, and a step down its gradient: all of it on the device."""
        used = {n: p.detach().requires_grad_() for n, p in self._used().items()}
        trained = [name for name in used if name in optimiser.rates]
        t, mask, wanted = self._t[rows], self._error.mask[rows], self._wanted[rows]

        def loss(part: slice) -> Tensor:
            u = forward(self.recipe.kind, self.settings, used, t[part], self._hidden)
            return (u * mask[part] - wanted[part]).square().sum() / len(rows)

        value, gradients = self._workers.gradient(loss, len(rows), [used[name] for name in trained])
        optimiser.step(dict(zip(trained, gradients, strict=True)))
        return value

    def _used(self) -> dict[str, Tensor]:
        """Parameters as the forward pass takes them: as they will be stored, late in the run."""
        if self.row_steps is None:
            return self.parameters
        return as_stored(self.parameters, self.row_steps, self.recipe.bits)

    def _targets(self) -> F64:
        """Renew the points' targets; the fidelity FSC by shell."""
        wanted, fsc = self._error(self._evaluated(), np.exp(self._factors()))
        self._wanted.copy_(wanted)
        self._note_fsc(self._error.worst(fsc))
        return fsc

    def _evaluated(self) -> Tensor:
        """Values (n,) of the network at all points."""
        used = self._used()

        def values(part: slice) -> Tensor:
            return forward(self.recipe.kind, self.settings, used, self._t[part], self._hidden)

        return self._workers.evaluate(values, len(self._t))

    def _note_fsc(self, worst: float) -> None:
        """Keep the worst-shell fidelity FSC of now."""
        self._watch.fsc = worst
        self.fsc.append((self.done, worst))

    def _factors(self) -> F64:
        """Logarithm of what each shell's target is multiplied by; smooth, as the gains are."""
        at = np.arange(self._boost.size)
        width = np.where(at < _FIRST_SHELLS, *_FOLLOW_WIDTH)
        kernel = np.exp(-0.5 * ((at[:, None] - at) / width[:, None]) ** 2)
        mean = kernel @ self._boost / kernel.sum(1)
        out: F64 = np.clip(mean, math.log(_LOWEST_FOLLOWED), math.log(_HIGHEST_FOLLOWED))
        return out

    def _follow(self, fsc: NDArray[np.float64]) -> None:
        """Strengthen the shells that lag behind the median one."""
        missing = np.maximum(1 - fsc[: self._boost.size] ** 2, 1e-5)
        missing[0] = np.median(missing[1:])
        self._boost += _FOLLOW_BY / 2 * np.log(missing / np.median(missing[1:]))
        np.clip(self._boost, 2 * math.log(_LOWEST_FOLLOWED), 2 * math.log(_HIGHEST_FOLLOWED), out=self._boost)
