"""From a target to a radial basis function network: the lattice, the search, and what a decoder will see."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nmap.coding.codings import CodedTensor, encode_lattice, encode_log
from nmap.errors import QualityError
from nmap.fit.bumps.lattice import Lattice
from nmap.fit.bumps.search import Found, Goal, search, weights_of
from nmap.fit.bumps.sites import INSIDE, lattice_of
from nmap.fit.dense.quantise import Result
from nmap.fit.device import one_thread
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Watch
from nmap.fit.record import History
from nmap.fit.target.prepare import Target
from nmap.fit.target.self_correlation import symmetric_share
from nmap.fit.target.symmetry import UNSOUGHT
from nmap.model.frame import Frame
from nmap.model.radial_basis import RadialBasis
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup
from nmap.spectrum import ShellCurve, Shells, crop_spectrum, floored

# Aimed at beyond the goal, for what rounding of gains and grids may take: at most this, and this share of what
# the goal lets be missing.
_MARGIN = (5e-4, 0.05)
# A sweep takes so many times as long as one correlation with all sites; a time budget is a short one below so many
# sweeps.
_SWEEP, _SHORT = 3.5, 200
# Storing and measuring, but for the coding, take this share of what preparing and laying out took.
_CLOSING = 0.5
# A search without time may take as long as this share of preparing all the same, and as long to code what it found.
_GRACE = 1.0
_OF_ASKED = "of what cross-validation asks"
# Sites lie where the envelope exceeds this under cross-validation and for goals beyond `_HIGH`, where faithful counts
# most, and up to so many fine steps beyond: what the envelope's edge spreads there takes many weights if none may lie
# there (docs/decisions.md). For high goals that is some two band limits, and if an explicit one is missed all the same,
# everywhere; under cross-validation, next to lossless, some seven.
_ANYWHERE, _HIGH, _REACH, _FAR, _EVERYWHERE = 0.001, 0.95, 6, 20, -1.0


def fit_radial(
    target: Target,
    symmetry: PointGroup | None,
    measured: str,
    options: EncodeOptions,
    watch: Watch,
    device: torch.device,
    notes: list[str],
) -> tuple[Result, History]:
    """Fit a radial basis function network.

    Args:
        target: what to fit.
        symmetry: point group to fit with; None for C1.
        measured: what was measured of it, in words.
        options: goal, effort, symmetry, checkpoint.
        watch: clock and listener.
        device: torch device.
        notes: what the record should say is added here.

    Returns:
        The network as a decoder sees it, and how the fit went.

    Raises:
        QualityError: an explicit goal that the search could not meet.
    """
    side = target.last + 1
    most = options.goal_bytes(target.density.grid.size)
    # Under cross-validation the ceiling is the goal, whatever the preset.
    aim = 1.0 if options.cross_validate else options.goal_fsc + _margin(options.goal_fsc)
    goal = Goal(aim) if most is None else Goal(None, max(most - side, 1))
    done = _settled(target, symmetry, goal, options, watch, device, notes)
    lattice, found, cut_short = done.lattice, done.found, done.cut_short
    _check(found, goal, target, done.symmetry, options, watch, cut_short)
    if not found.meets and (cut_short or not options.cross_validate):
        why = " in the time given" if cut_short else ""
        why += f", and {UNSOUGHT}" if UNSOUGHT in measured else ""
        what = f"worst shell {_OF_ASKED} " if options.cross_validate else "worst shell FSC "
        notes.append(f"{what}{floored(found.worst)}: the goal was not reached{why}")
        watch.say(f"warning: {notes[-1]}", 0.0)
    watch.say("storing and measuring")
    lattice = lattice.full
    neural_map = _assembled(target, lattice, found, done.symmetry)
    curve = _measured(target, neural_map)
    reached = _reached(target, lattice, curve, options, notes)
    if options.target_fsc is not None and reached < options.target_fsc and not watch.stopped():
        found.worst = reached
        raise QualityError(_missed(options, goal, found, side, target.band_limit, cut_short))
    settings = {
        "effort": done.effort,
        "max_bytes": most,
        "sites": len(lattice.sites),
        "step": round(found.step, 8),
        "symmetry": measured,
    }
    history = History(found.sweeps, settings, fsc=done.curve)
    return Result(neural_map, curve, float(curve.worst(target.band_limit))), history


def _reached(
    target: Target, lattice: Lattice, curve: ShellCurve, options: EncodeOptions, notes: list[str]
) -> float:
    """Worst shell of the decoded map as a goal counts it: of what half maps allow; notes what is owed to them."""
    ceiling = lattice.ceiling.cpu().numpy()
    counted = np.flatnonzero(lattice.sum_shells(lattice.wanted.abs())[1:].cpu().numpy() > 0) + 1
    shares = (curve.fsc[: ceiling.size] / ceiling)[counted]
    worst = float(shares.min(initial=1.0))
    if target.halves is not None:
        of = _OF_ASKED if options.cross_validate else "of sqrt(2F/(1+F))"
        notes.append(f"worst shell {worst:.3f} {of}")
    return worst


@dataclass(frozen=True, eq=False)
class _Outcome:
    """A search that is over.

    Attributes:
        lattice: what was searched on.
        symmetry: its point group; None for C1.
        found: what was found.
        curve: worst shell by sweep.
        effort: how long it was to search.
        cut_short: whether time cut it short.
    """

    lattice: Lattice
    symmetry: PointGroup | None
    found: Found
    curve: list[tuple[int, float]]
    effort: str
    cut_short: bool

    @property
    def fell_short(self) -> bool:
        """Whether the goal was not met for other reasons than time."""
        return not self.found.meets and not self.cut_short


def _settled(
    target: Target,
    symmetry: PointGroup | None,
    goal: Goal,
    options: EncodeOptions,
    watch: Watch,
    device: torch.device,
    notes: list[str],
) -> _Outcome:
    """Search, and where that falls short as C1, then with sites beyond a found envelope; as `fit_radial`."""

    def searched(symmetry: PointGroup | None, inside: float | None = None) -> _Outcome:
        lattice = _laid_out(target, symmetry, options, watch, device, inside)
        found, curve, effort, cut_short = _searched(lattice, goal, options, watch)
        # The margin is for what is not known yet; what was asked for is measured on the decoded map.
        wanted = 1.0 if options.cross_validate else options.goal_fsc
        found.meets = found.meets or (goal.worst_fsc is not None and found.worst >= wanted)
        return _Outcome(lattice, symmetry, found, curve, effort, cut_short)

    done = searched(symmetry)
    freely = options.symmetry == "auto" and not options.cross_validate
    if symmetry is not None and freely and done.fell_short:
        # Where the axes do not map the lattice onto itself, copies agree with the map's own only so far.
        reached = floored(done.found.worst)
        notes.append(f"{symmetry.name} reached a worst shell FSC of {reached} only: fitted as C1")
        watch.say(f"warning: {notes[-1]}", 0.0)
        done = searched(None)
    insisted = options.target_fsc is not None and options.target_fsc > _HIGH and not options.cross_validate
    if insisted and options.mask == "auto" and target.envelope is not None and done.fell_short:
        # What rings beyond the envelope counts for such a goal.
        watch.say("searching beyond the envelope")
        done = searched(done.symmetry, _EVERYWHERE)
    return done


def _margin(goal: float) -> float:
    """What is aimed at beyond a goal."""
    most, share = _MARGIN
    return min(most, share * (1 - goal))


def _check(
    found: Found,
    goal: Goal,
    target: Target,
    symmetry: PointGroup | None,
    options: EncodeOptions,
    watch: Watch,
    cut_short: bool,
) -> None:
    """Refuse a search that placed nothing, or that missed a goal that was asked for."""
    if not found.q.any():
        if watch.stopped():
            raise KeyboardInterrupt
        unit, other = ("", "") if symmetry is None else (f", {symmetry.name}", " or --symmetry C1")
        raise QualityError(
            f"no weight pays: the map has too little signal to {target.band_limit:g} A inside the envelope{unit}: "
            f"use a coarser --resolution{other}"
        )
    asked = goal.max_bytes is not None or (options.target_fsc is not None and not options.cross_validate)
    if asked and not found.meets and not watch.stopped():
        raise QualityError(_missed(options, goal, found, target.last + 1, target.band_limit, cut_short))


def _laid_out(
    target: Target,
    symmetry: PointGroup | None,
    options: EncodeOptions,
    watch: Watch,
    device: torch.device,
    inside: float | None = None,
) -> Lattice:
    """The lattice to search on; sites lie where the envelope exceeds `inside`, None for what suits the options."""
    watch.say("laying out the lattice")
    halves = target.halves
    high = halves is None and options.goal_fsc > _HIGH
    if inside is None:
        inside = _ANYWHERE if high or options.cross_validate else INSIDE
    # A mask that is given says where weights may lie; cross-validation is there to measure.
    reach = _FAR if options.cross_validate else _REACH if high and options.mask == "auto" else 0
    if halves is None or not options.cross_validate:
        ceiling = None if halves is None else halves.ceiling(target.last + 1)
        return lattice_of(target, symmetry, device, ceiling, inside, reach)
    lattice = lattice_of(target, symmetry, device, None, inside, reach, smooth=True)
    share = None
    if symmetry is not None:
        share = symmetric_share(target.truth, target.lattice, target.mask, target.last, symmetry)
    ceiling = halves.ceiling(target.last + 1, share)
    return lattice.capped(ceiling).sparing(1 - np.square(ceiling))


def _searched(
    lattice: Lattice, goal: Goal, options: EncodeOptions, watch: Watch
) -> tuple[Found, list[tuple[int, float]], str, bool]:
    """What a search found in the time there is, worst shell by sweep, the effort, and whether time cut it short.

    Args:
        lattice: what to search on.
        goal: what to reach.
        options: effort and checkpoint.
        watch: clock and listener.
    """
    began, left = time.monotonic(), watch.left
    curve: list[tuple[int, float]] = []

    def report(found: Found, share: float) -> None:
        watch.fsc, watch.step = found.worst, found.sweeps
        if not curve or curve[-1][0] < found.sweeps:
            curve.append((found.sweeps, found.worst))
        watch.steps = 0  # how many there will be shows only at the end
        seconds = (time.monotonic() - began) * (1 - share) / max(share, 0.01)
        if watch.due:
            seconds = min(seconds, max(deadline - time.monotonic(), 0.0))
            watch.say(f"placing weights, {found.size} bytes", seconds if share > 0.05 else None)

    deadline, effort, closing = math.inf, options.effort, _CLOSING * watch.prepared
    if left is not None:
        wanted, tick = lattice.wanted, time.monotonic()
        lattice.correlate(wanted)
        sweep = _SWEEP * (time.monotonic() - tick)
        deadline = began + left
        effort = effort if left - watch.slowdown.factor * closing > _SHORT * sweep else "low"
    checkpoint = None if options.checkpoint is None else Path(options.checkpoint) / "radial"
    if checkpoint is not None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with one_thread():
        found = search(
            lattice,
            goal,
            effort,
            deadline=deadline,
            grace=_GRACE * watch.slowdown.factor * watch.prepared,
            closing=closing,
            slowdown=watch.slowdown,
            should_stop=watch.stopped,
            report=report,
            state_file=checkpoint,
        )
    short = not found.meets and (found.late or effort != options.effort)
    return found, curve, effort, watch.stopped() or short


def _measured(target: Target, neural_map: NeuralMap) -> ShellCurve:
    """Fidelity FSC of the decoded coded network against the source times the envelope."""
    shape = neural_map.field.lattice
    assert shape is not None
    return target.fidelity(crop_spectrum(neural_map.field.spectrum(), shape, target.lattice.shape))


def _missed(
    options: EncodeOptions, goal: Goal, found: Found, side: int, band_limit: float, cut_short: bool
) -> str:
    """What was reached, what was wanted, and what to do."""
    if goal.worst_fsc is not None:
        reached = f"worst shell to {band_limit:g} A reached {floored(found.worst)} of the wanted {options.goal_fsc:g}"
        if cut_short:
            return f"{reached} when the time was up: use a longer --time-budget"
        within = found.worst - _margin(found.worst)
        lower = f", or --target-fsc {floored(within)}" if within >= 0.01 else ""
        return f"{reached} in {found.size + side} bytes: use a coarser --resolution, a wider --mask{lower}"
    assert goal.max_bytes is not None
    return (
        f"the smallest network found takes {found.size + side} bytes, wanted {goal.max_bytes + side}: "
        "use a coarser --resolution or allow more bytes"
    )


def _assembled(target: Target, lattice: Lattice, found: Found, symmetry: PointGroup | None) -> NeuralMap:
    """The network with the gains of least squared error in every shell, built from what a file stores."""
    weights = weights_of(lattice, found.q)
    spectrum = RadialBasis(weights.astype(np.float32)).spectrum(lattice.grid, symmetry)
    shells = Shells(lattice.grid)
    truth = crop_spectrum(target.reference, target.lattice.shape, lattice.shape)
    cross = shells.sum(truth.real * spectrum.real + truth.imag * spectrum.imag)
    own = shells.sum(spectrum.real**2 + spectrum.imag**2)
    gains = np.divide(cross, own, out=np.zeros_like(cross), where=own > 0)[: target.last + 1]
    gains = np.maximum(gains, 0)
    scale = float(gains.max()) or 1.0
    # The mean of the truth that shell 0 cannot give, where the weights' sum has the other sign, goes to the
    # offset.
    rest = 0.0 if gains[0] > 0 else float(truth[0, 0, 0].real) / math.prod(lattice.shape)
    tensors: dict[str, CodedTensor] = {
        "weights": encode_lattice(weights) if found.coded is None else found.coded,
        "gains": encode_log((gains / scale).astype(np.float32)),
    }
    return NeuralMap.from_tensors(
        RadialBasis.kind,
        {},
        tensors,
        Frame(
            target.density.grid,
            offset=float(np.float32(target.solvent + rest)),
            scale=float(np.float32(scale)),
            band_limit=target.band_limit,
            lattice=lattice.shape,
            symmetry=symmetry,
        ),
    )
