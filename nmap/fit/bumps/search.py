"""Search for the fewest bytes at a wanted fidelity, or the best fidelity within so many bytes.

One descent does both: the step shrinks, more and finer weights pay, and worst shell and bytes rise together
until the goal is met. The fit is then held there, step and shell weights following, while the weights
settle; the smallest (or the best) state that meets the goal is kept. A fit that says what each shell may lack
ends without a hold where the mode at large lacks less: the shell that lags then would cost more than all others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nmap.coding.codings import CodedTensor, encode_lattice
from nmap.coding.lattice import SUM, WEIGHTS
from nmap.fit import checkpoint
from nmap.fit.bumps.lattice import Lattice
from nmap.fit.bumps.moves import balance, correlation, excess, iterate, rescale, start
from nmap.fit.bumps.schedule import SCHEDULES, Deadline, Schedule
from nmap.fit.bumps.waves import site_at
from nmap.machine.memory import give_back
from nmap.outcomes import Code
from nmap.spectrum.planes import parts


@dataclass(frozen=True)
class Goal:
    """What a search is after.

    Attributes:
        worst_fsc: correlation that every shell must reach; None for as high as the bytes allow.
        max_bytes: coded weights may take this much; None for as little as the fidelity needs.
    """

    worst_fsc: float | None = None
    max_bytes: int | None = None


@dataclass(eq=False)
class Found:
    """The best state so far.

    Attributes:
        q: weight of every site.
        worst: lowest correlation over the shells, from 1 to the last.
        fsc: correlation by shell, (last + 1,).
        size: estimated, then coded bytes.
        meets: whether it meets the goal.
        sweeps: how many sweeps led to it.
        step: density of the whitened map per unit of weight.
        coded: the weights as a file stores them, once the search has ended.
        late: whether a deadline ended the search.
        failed: whether a failure did.
    """

    q: NDArray[np.int8]
    worst: float
    fsc: NDArray[np.float32]
    size: int
    meets: bool
    sweeps: int
    step: float
    coded: CodedTensor | None = None
    late: bool = False
    failed: bool = False


# Below this share of the first step the largest weight that a file holds falls short of the peaks.
_FINEST = 2e-3
# Seconds between two checkpoints.
SAVE_EVERY = 10.0
# In a working box the whole box's shells are measured every so many sweeps: on the way, and at the goal.
_MEASURE = (4, 1)
# With a deadline the logarithm of the step falls by at least so much for the whole of the time, but no further than
# this, for most maps need less, and by at most this factor at a time.
_DESCENT = 6.0
_DEPTH = 3.5
_PLUNGE = 0.4
# Where a fit says what may be missing in each shell it ends when so much less is, by the logarithm and the mean over
# all modes: a shell that still lags then would cost more than all the others.
_LEFT_BEHIND = -0.2
# Change of the step's logarithm at the goal, for one of the worst shell's missing power's.
_RELAX = 0.1
# Sweeps that are made beyond the time, as far as the grace allows: fewer show little of the map.
_LEAST = 8
# Sweeps after which a search without time ends even if no weight was placed.
_UNTIL = 12
# A sweep may take this many times as long as the one before it.
_SLOWER = 1.3
# Below so many bytes the estimate is poor: every candidate is coded.
_SMALL = 2048
# Coded bytes per byte of the running estimate, whose contexts see both sides of a site.
_CODED = 1.12

# Sites that are laid out at once.
_AT_ONCE = 1 << 20
# Sweeps after which memory is handed back: their holes add up to a third of all that a search takes.
_GIVE_BACK = 4

Report = Callable[[Found, float], None]
Warn = Callable[[Code, Exception], None]


def weights_of(lattice: Lattice, q: NDArray[np.int8]) -> NDArray[np.int8]:
    """Whole numbers on the whole box's fine lattice (z, y, x) of the sites' weights (n,)."""
    whole = lattice.full
    out = np.zeros(whole.shape, np.int8)
    for part in parts(len(q), _AT_ONCE):
        out[tuple(site_at(whole.numbers[part], whole.shape).T)] = q[part]
    return out


def coded_weights(lattice: Lattice, q: NDArray[np.int8]) -> CodedTensor:
    """The sites' weights (n,) as a file stores them."""
    return encode_lattice(weights_of(lattice, q))


def search(
    lattice: Lattice,
    goal: Goal,
    effort: str = "default",
    *,
    deadline: float = math.inf,
    grace: float = 0.0,
    should_stop: Callable[[], bool] | None = None,
    report: Report | None = None,
    state_file: Path | None = None,
    warn: Warn | None = None,
) -> Found:
    """Run the effort's schedules and keep the best. A failure once there is something to show ends the search only.

    Args:
        lattice: sites and target.
        goal: what to reach.
        effort: "low", "default" or "high".
        deadline: `time.monotonic` by which the result must be coded and read back.
        grace: seconds that may be taken beyond that for the first eight sweeps.
        should_stop: asked at every sweep; the best so far is returned.
        report: called every sweep with the best so far and the share done.
        state_file: where to keep the state, and to go on from.
        warn: told of failures that end no more than the search, or its keeping of states.

    Returns:
        The smallest that meets the goal; if none does, the one that comes nearest.
    """
    best: Found | None = None
    schedules = SCHEDULES[effort]
    for number, schedule in enumerate(schedules):
        name = state_file.with_suffix(f".{number}.npz") if state_file else None
        clock = Deadline(deadline, grace)

        def share(run: _Run, number: int = number) -> float:
            return (number + run.share_done) / len(schedules)

        try:
            run = _Run(lattice, goal, schedule, name, clock, warn)
            failed = _sweep_to_end(run, len(schedules) - number, should_stop, report, share)
            late = run.is_late and not run.done
            found = run.finish()
        except Exception as error:
            if best is None:
                raise
            _tell(warn, error)
            best.failed = True
            break
        best = found if best is None else _better(goal, best, found)
        best.late, best.failed = late, failed
        if failed or run.is_late or (should_stop and should_stop()):
            break
    assert best is not None
    return best


def _sweep_to_end(
    run: _Run,
    schedules: int,
    should_stop: Callable[[], bool] | None,
    report: Report | None,
    share: Callable[[_Run], float],
) -> bool:
    """Sweep until the hold, the time or the caller's patience is over; whether a failure ended it.

    Args:
        run: what to sweep.
        schedules: how many are to share the time that is left.
        should_stop: asked at every sweep.
        report: called every sweep.
        share: of the search that is done.
    """
    try:
        while not run.done and not (should_stop and should_stop()) and not run.is_late:
            run.sweep(run.clock.used(run.count, schedules))
            if report is not None and run.best is not None:
                report(run.best, share(run))
    except Exception as error:
        if not run.has_weights:
            raise
        _tell(run.warn, error)
        return True
    return False


def _tell(warn: Warn | None, error: Exception) -> None:
    if warn is not None:
        warn("cut-short", error)


class _Run:
    """One schedule from no weight to the end of the hold."""

    def __init__(
        self,
        lattice: Lattice,
        goal: Goal,
        schedule: Schedule,
        state_file: Path | None,
        clock: Deadline,
        warn: Warn | None = None,
    ) -> None:
        self.warn = warn
        self.lattice, self.goal, self.schedule, self.state_file = lattice, goal, schedule, state_file
        self.clock, self.seconds, self.hold = clock, 0.0, schedule.hold_at(goal.worst_fsc)
        self.state = start(lattice)
        self.best: Found | None = None
        self.waited = self.held = self.count = 0
        self.is_full = False  # more weights, or larger ones, than a file holds
        self.gauge = None if lattice.whole is None else _Gauge(lattice.whole)
        self.first_step, self.saved = self.state.step, time.monotonic()
        if state_file is not None and state_file.exists():
            self._load(state_file)

    @property
    def done(self) -> bool:
        """Whether the hold is over, a file would hold no more, or what is left to gain is too little."""
        return (
            self.is_full
            or self.held >= self.hold
            or self.state.step < _FINEST * self.first_step
            or self._idle
        )

    @property
    def _idle(self) -> bool:
        """Whether the mode at large lacks so little that a shell which lags has to be left behind."""
        lattice, fsc = self.lattice, self.state.fsc
        if lattice.missing is None or fsc is None or self.state.reached:
            return False
        modes = lattice.in_shell
        return float((excess(lattice, fsc) * modes).sum() / modes.sum()) < _LEFT_BEHIND

    @property
    def has_weights(self) -> bool:
        """Whether there is something to show."""
        return self.best is not None and bool(self.best.q.any())

    @property
    def is_late(self) -> bool:
        """Whether no further sweep fits in the time, and there is something to show."""
        if self.best is None or self.clock.left(self.count) >= _SLOWER * self.seconds:
            return False
        sweeps = self.state.iteration
        enough = sweeps >= _LEAST or not self.clock.has_grace
        return sweeps >= _UNTIL or (enough and bool(self.best.q.any()))

    @property
    def share_done(self) -> float:
        """A guess, 0 to 1."""
        if self.state.reached:
            return 0.6 + 0.4 * self.held / self.hold
        return 0.6 * min(1.0, math.log(self.first_step / self.state.step) / 2.5)

    def sweep(self, time_used: float = 0.0) -> None:
        """One sweep and what follows from it.

        Args:
            time_used: share of the time there is that is gone; the step keeps up with it.
        """
        state, began = self.state, time.monotonic()
        iterate(self.lattice, state, self.schedule.rate)
        assert state.fsc is not None
        measured = True
        if self.gauge is not None:
            measured = state.iteration % _MEASURE[state.reached] == 0
            state.fsc = self.gauge.read(state.q, state.fsc, measured)
        self.count = count = int((state.q != 0).sum())
        self.is_full = count > WEIGHTS.most or int(state.q.abs().sum(dtype=torch.int64)) > SUM.most
        if not self.is_full and self.clock.wants_trial(count):
            self.clock.time_coding(count, lambda: coded_weights(self.lattice, state.q.cpu().numpy()))
        worst, size = float(state.fsc[1:].min()), int(_CODED * state.bits / 8)
        found = measured and not self.is_full and self._keep(worst, size)
        mean = float(state.fsc[1:].mean())
        if count > 20:
            balance(self.lattice, state)
        state.reached = state.reached or found
        self.waited += 1
        decay, patience, settled = self.schedule.pace(mean, self.goal.worst_fsc)
        if state.reached:
            self.held += 1
            rescale(self.lattice, state, math.exp(max(-0.02, min(0.02, self._excess(worst, size)))))
        elif state.moved < settled * count + 3 or self.waited >= patience:
            rescale(self.lattice, state, decay)
            self.waited = 0
        elif state.step > (late := self.first_step * math.exp(-min(_DESCENT * time_used, _DEPTH))):
            rescale(self.lattice, state, max(late / state.step, _PLUNGE))
            self.waited = 0
        if state.iteration > 1:  # the first one lays out what all of them use
            self.seconds = time.monotonic() - began
        if state.iteration % _GIVE_BACK == 0:
            give_back()
        if self.state_file is not None and self.best and time.monotonic() - self.saved > SAVE_EVERY:
            try:
                self._save(self.state_file, self.best)
            except Exception as error:  # a full disk, say: the fit itself goes on
                self.state_file = None
                if self.warn is not None:
                    self.warn("no-checkpoint", error)

    def finish(self) -> Found:
        """The best of this run, its bytes as coded."""
        if self.best is None:
            self._keep(-1.0, 0)
        best = self.best
        assert best is not None
        self.state.coder = None  # memory for the coding
        give_back()
        best.coded = coded_weights(self.lattice, best.q)
        best.size = best.coded.nbytes
        if self.goal.max_bytes is not None:
            best.meets = best.size <= self.goal.max_bytes
        if self.state_file is not None:
            with suppress(OSError):
                self.state_file.unlink(missing_ok=True)
        return best

    def _excess(self, worst: float, size: int) -> float:
        """How far beyond the goal, as a change of the step: positive for a coarser one."""
        wanted = self.goal.worst_fsc
        if wanted is not None:
            # Near 1 a small step of the correlation is much of the power that is still missing.
            assert self.state.fsc is not None
            ceiling = float(self.lattice.ceiling[1 + int(self.state.fsc[1:].argmin())])
            asked, left = (max(1 - (c * ceiling) ** 2, 1e-6) for c in (wanted, max(worst, 0.0)))
            return max(worst - wanted, _RELAX * math.log(asked / left), key=abs)
        assert self.goal.max_bytes is not None
        return 0.3 * math.log(self.goal.max_bytes / max(size, 1))

    def _keep(self, worst: float, size: int) -> bool:
        """Remember the state if it is the best one; whether it is at the goal."""
        state, goal = self.state, self.goal
        if goal.worst_fsc is not None:
            meets = worst >= goal.worst_fsc
            ends = meets
        else:
            assert goal.max_bytes is not None
            improves = self.best is None or not self.best.meets or worst > self.best.worst
            if improves and (size < _SMALL or 0.7 < size / goal.max_bytes < 1.2):
                size = coded_weights(self.lattice, state.q.cpu().numpy()).nbytes
            meets, ends = size <= goal.max_bytes, size > 0.97 * goal.max_bytes
        fsc = np.zeros(self.lattice.last + 1, np.float32) if state.fsc is None else state.fsc.cpu().numpy()
        found = Found(state.q.cpu().numpy(), worst, fsc, size, meets, state.iteration, state.step)
        self.best = found if self.best is None else _better(goal, self.best, found)
        return ends

    @property
    def _task(self) -> bytes:
        """Digest of what is fitted and what for, which a checkpoint must share."""
        lattice = self.lattice
        told = repr((self.goal, self.schedule, lattice.shape)).encode()
        asked = [t.cpu().numpy() for t in (lattice.ceiling, lattice.missing) if t is not None]
        return checkpoint.digest(told, lattice.numbers, lattice.target, lattice.whitening, *asked)

    def _save(self, path: Path, best: Found) -> None:
        state = self.state
        assert state.modes is not None
        values = {
            "q": state.q.cpu().numpy(),
            "weights": state.weights.cpu().numpy(),
            "modes": state.modes.cpu().numpy(),
            "overlap": np.zeros(0) if state.overlap is None else state.overlap.cpu().numpy(),
            "bias": np.zeros(0) if state.bias is None else state.bias.cpu().numpy(),
            "apart": np.zeros(0) if self.gauge is None else self.gauge.apart.cpu().numpy(),
            "gauged": np.zeros(0, np.int8) if self.gauge is None else self.gauge.q.cpu().numpy(),
            "gauged_modes": np.zeros(0) if self.gauge is None else self.gauge.modes.cpu().numpy(),
            "numbers": [state.step, state.iteration, state.share, state.reached, self.waited, self.held],
            "best": best.q,
            "fsc": best.fsc,
            "found": [best.worst, best.size, best.meets, best.sweeps, best.step],
        }
        checkpoint.save(path, self._task, values)
        self.saved = time.monotonic()

    def _load(self, path: Path) -> None:
        kept = checkpoint.load(path, self._task)
        device = self.lattice.device
        self.state.q = torch.from_numpy(kept["q"]).to(device)
        self.state.weights = torch.from_numpy(kept["weights"]).to(device)
        self.state.bias = torch.from_numpy(kept["bias"]).to(device) if kept["bias"].size else None
        step, iteration, share, reached, waited, held = kept["numbers"].tolist()
        worst, size, meets, sweeps, scale = kept["found"].tolist()
        self.best = Found(kept["best"], worst, kept["fsc"], int(size), bool(meets), int(sweeps), scale)
        self.state.step, self.state.iteration, self.state.share = step, int(iteration), share
        self.state.reached, self.waited, self.held = bool(reached), int(waited), int(held)
        # Sums that are kept up sweep by sweep: made anew they would round otherwise, and lead elsewhere.
        self.state.modes = torch.from_numpy(kept["modes"]).to(device)
        self.state.overlap = torch.from_numpy(kept["overlap"]).to(device) if kept["overlap"].size else None
        if self.gauge is not None:
            self.gauge.apart = torch.from_numpy(kept["apart"]).to(device)
            self.gauge.q = torch.from_numpy(kept["gauged"]).to(device)
            self.gauge.modes = torch.from_numpy(kept["gauged_modes"]).to(device)


class _Gauge:
    """What the whole box's shells show of weights that are placed in a working box."""

    def __init__(self, whole: Lattice) -> None:
        self.whole = whole
        self.q = torch.zeros(len(whole.numbers), dtype=torch.int8, device=whole.device)
        self.modes = torch.zeros(len(whole.target), dtype=torch.complex64, device=whole.device)
        self.apart = torch.zeros(whole.last + 1, device=whole.device)

    def read(self, q: torch.Tensor, fsc: torch.Tensor, measure: bool) -> torch.Tensor:
        """The working box's curve, corrected by what the whole box's was when last measured."""
        if measure:
            self.modes += self.whole.spectrum(q, self.q)
            self.q = q
            self.apart = correlation(self.whole, self.modes) - fsc
        return fsc + self.apart


def _better(goal: Goal, a: Found, b: Found) -> Found:
    """The one nearer to the goal; of two that meet it the smaller, or with a byte limit the more faithful."""
    if a.meets != b.meets:
        return a if a.meets else b
    if goal.worst_fsc is None:
        if not a.meets:
            return a if a.size <= b.size else b
        return a if a.worst >= b.worst else b
    if not a.meets:
        return a if a.worst >= b.worst else b
    return a if a.size <= b.size else b
