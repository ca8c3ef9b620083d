"""From a target to a radial basis function network: the lattice, the search, and what a decoder will see."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmap.coding.codings import CodedTensor, encode_lattice, encode_log
from nmap.errors import QualityError
from nmap.fit.bumps.lattice import Lattice
from nmap.fit.bumps.search import Found, Goal, search, weights_of
from nmap.fit.bumps.sites import INSIDE, lattice_of
from nmap.fit.device import one_thread
from nmap.fit.options import EncodeOptions, GainRule
from nmap.fit.progress import Watch
from nmap.fit.result import History, Result
from nmap.fit.target.gains import shell_gains
from nmap.fit.target.noise import near_lossless
from nmap.fit.target.prepare import F32, Target
from nmap.fit.target.self_correlation import symmetric_share
from nmap.fit.task import Task
from nmap.machine.memory import give_back
from nmap.model.frame import Frame
from nmap.model.radial_basis import RadialBasis
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup
from nmap.spectrum import ShellCurve, crop_spectrum, floored, products, squared

# Aimed at beyond the goal, for what rounding of gains and grids may take: FSC at most,
_MARGIN = 5e-4
# and the share of what the goal lets be missing.
_MARGIN_SHARE = 0.05
# Time of a sweep in units of one correlation with all sites (measured on EMD-3488).
_SWEEP = 3.5
# A time budget of fewer sweeps than this is a short one, searched at low effort.
_SHORT = 200
# Storing and measuring, but for the coding, as a share of the time that preparing took (measured on EMD-3488).
_CLOSING = 0.5
# Envelope above which sites lie under cross-validation and for goals beyond `_HIGH`, where faithful counts most: what
# the envelope's edge spreads takes many weights if none may lie there (docs/decisions.md).
_ANYWHERE = 0.001
# Goal, worst-shell FSC, beyond which that is so.
_HIGH = 0.95
# Fine steps beyond, to which sites reach for a high goal: some two band limits.
_REACH = 6
# Goal beyond which they do where the solvent is constant: EMD-3488 at 0.995 takes 7 388 bytes and 5.3 s without, as
# many and 9.8 s with them. In noise they always do: TRPV1, simulated, takes 76 000 bytes for 0.99 with them.
_REACHING = 0.996
# The same under cross-validation, next to lossless: some seven band limits.
_LOSSLESS_REACH = 20
# Envelope above which sites lie if an explicit high goal is missed all the same: everywhere.
_EVERYWHERE = -1.0


def fit_bumps(task: Task) -> tuple[Result, History]:
    """Fit a radial basis function network.

    Returns:
        The network as a decoder sees it, and how the fit went.

    Raises:
        QualityError: an explicit goal that the search could not meet.
    """
    target, options, watch = task.target, task.options, task.watch
    side = target.last + 1
    most = options.goal_bytes(target.density.grid.size)
    owed = near_lossless(target) if options.keeps_noise else None
    # Under cross-validation, and where noise says what is owed, the ceiling is the goal, whatever the preset.
    of = "cross-validation" if options.cross_validate else "fsc" if owed is None else "noise"
    wanted = options.goal_for(target.masked)
    aim = wanted + _margin(wanted) if of == "fsc" else 1.0
    goal = Goal(aim) if most is None else Goal(None, max(most - side, 1))
    done = _settled(task, goal, owed)
    found, cut_short = done.found, done.cut_short
    _check(done, goal, task)
    watch.say("storing")
    lattice = done.lattice.full
    give_back()
    neural_map = _assembled(target, lattice, found, done.symmetry, options.gains)
    curve = _measured(target, neural_map)
    reached = _share_reached(target, lattice, curve)
    if not found.meets and (cut_short or not options.cross_validate):
        # Of an FSC the one that the file states; a search measures it before weights are rounded and copied.
        stated = of == "fsc" and target.halves is None
        watch.warn(
            "goal-not-reached",
            worst=float(curve.worst(target.band_limit)) if stated else found.worst,
            of=of,
            late=cut_short and not found.failed,
            symmetry_unsought=target.outcomes.symmetry.rule == "no-time",
        )
    if target.halves is not None or owed is not None:
        watch.note("share-reached", worst=reached, of="half-maps" if of == "fsc" else of)
    if options.target_fsc is not None and reached < options.target_fsc and not watch.stopped():
        found.worst = reached
        raise QualityError(_missed(options, goal, found, side, target.band_limit, cut_short))
    settings = {
        "effort": done.effort,
        "max_bytes": most,
        "sites": len(lattice.numbers),
        "step": round(found.step, 8),
    }
    history = History(found.sweeps, settings, fsc=done.curve)
    return Result(neural_map, curve, float(curve.worst(target.band_limit))), history


def _share_reached(target: Target, lattice: Lattice, curve: ShellCurve) -> float:
    """Worst shell of the decoded map as a goal counts it: as a share of what half maps allow."""
    ceiling = lattice.ceiling.cpu().numpy()
    counted = np.flatnonzero(lattice.sum_shells(lattice.wanted.abs())[1:].cpu().numpy() > 0) + 1
    shares = (curve.fsc[: ceiling.size] / ceiling)[counted]
    return float(shares.min(initial=1.0))


@dataclass(frozen=True, eq=False)
class _Search:
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


def _settled(task: Task, goal: Goal, owed: F32 | None) -> _Search:
    """Search, and where that falls short as C1, then with sites beyond a found envelope.

    `owed` is the correlation that each shell owes where the map's noise says it, (last + 1,).
    """
    target, options, watch = task.target, task.options, task.watch

    def searched(symmetry: PointGroup | None, inside: float | None = None) -> _Search:
        lattice = _laid_out(task, symmetry, owed, inside)
        give_back()
        found, curve, effort, cut_short = _searched(lattice, goal, options, watch)
        # The margin is for what is not known yet; what was asked for is measured on the decoded map.
        wanted = options.goal_for(target.masked)
        wanted = 1.0 if options.cross_validate or owed is not None else wanted
        found.meets = found.meets or (goal.worst_fsc is not None and found.worst >= wanted)
        return _Search(lattice, symmetry, found, curve, effort, cut_short)

    def attempted(before: _Search, symmetry: PointGroup | None, inside: float | None = None) -> _Search:
        """Another search; where it fails, what there was before it."""
        try:
            return searched(symmetry, inside)
        except Exception as error:
            watch.warn("attempt-failed", error=f"{type(error).__name__}: {error}")
            return before

    done = searched(target.group)
    freely = options.symmetry == "auto" and not options.cross_validate
    if target.group is not None and freely and done.fell_short:
        # Where the axes do not map the lattice onto itself, copies agree with the map's own only so far.
        watch.warn("fitted-as-c1", group=target.group.name, worst=done.found.worst)
        done = attempted(done, None)
    insisted = options.target_fsc is not None and options.target_fsc > _HIGH and not options.cross_validate
    if insisted and options.mask == "auto" and target.envelope is not None and done.fell_short:
        # What rings beyond the envelope counts for such a goal.
        watch.say("beyond-envelope")
        done = attempted(done, done.symmetry, _EVERYWHERE)
    return done


def _margin(goal: float) -> float:
    """What is aimed at beyond a goal."""
    return min(_MARGIN, _MARGIN_SHARE * (1 - goal))


def _check(done: _Search, goal: Goal, task: Task) -> None:
    """Refuse a search that placed nothing, or that missed a goal that was asked for."""
    target, options, watch, found = task.target, task.options, task.watch, done.found
    if not found.q.any():
        if watch.stopped():
            raise KeyboardInterrupt
        unit, other = ("", "") if done.symmetry is None else (f", {done.symmetry.name}", " or `symmetry` C1")
        raise QualityError(
            f"no weight pays: the map has too little signal to {target.band_limit:g} A inside the envelope{unit}: "
            f"use a coarser `resolution`{other}"
        )
    asked = goal.max_bytes is not None or (options.target_fsc is not None and not options.cross_validate)
    if asked and not found.meets and not watch.stopped():
        raise QualityError(_missed(options, goal, found, target.last + 1, target.band_limit, done.cut_short))


def _laid_out(
    task: Task, symmetry: PointGroup | None, owed: F32 | None, inside: float | None = None
) -> Lattice:
    """The lattice to search on; sites lie where the envelope exceeds `inside`, None for what suits the options."""
    target, options, device = task.target, task.options, task.device
    task.watch.say("laying-out")
    halves = target.halves
    high = (halves is None and options.goal_fsc > _HIGH) or owed is not None
    far = high and (options.goal_fsc > _REACHING or target.masked or owed is not None)
    if inside is None:
        inside = _ANYWHERE if far or options.cross_validate else INSIDE
    # A mask that is given says where weights may lie; cross-validation is there to measure.
    reach = _LOSSLESS_REACH if options.cross_validate else _REACH if far and options.mask == "auto" else 0
    if halves is None or not options.cross_validate:
        ceiling = owed if halves is None or owed is not None else halves.ceiling(target.last + 1)
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
    began = time.monotonic()
    curve: list[tuple[int, float]] = []
    closing = _CLOSING * watch.preparing_seconds + watch.ending
    deadline = math.inf if watch.left is None else began + watch.left - closing
    counted, ceiling = lattice.whitening > 0, lattice.ceiling.cpu().numpy()

    def report(found: Found, share: float) -> None:
        # What is said is the FSC itself, as everywhere; the search goes by shares of what half maps allow.
        reached = (found.fsc * ceiling)[counted]
        watch.fsc, watch.step = float(reached.min(initial=1.0)), found.sweeps
        if not curve or curve[-1][0] < found.sweeps:
            curve.append((found.sweeps, watch.fsc))
        if watch.due:
            now = time.monotonic()
            share = max(share, (now - began) / max(deadline - began, 1e-3))
            seconds = (now - began) * (1 - share) / max(share, 0.01)
            watch.say("fitting", min(share, 1.0), max(seconds, 0.0))

    effort = options.effort
    if watch.left is not None:
        tick = time.monotonic()
        lattice.correlate(lattice.wanted)
        sweep = _SWEEP * (time.monotonic() - tick)
        effort = effort if deadline - time.monotonic() > _SHORT * sweep else "low"
    checkpoint = None if options.checkpoint is None else Path(options.checkpoint) / "radial"
    if checkpoint is not None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with one_thread():
        found = search(
            lattice,
            goal,
            effort,
            deadline=deadline,
            grace=watch.preparing_seconds,
            should_stop=watch.stopped,
            report=report,
            state_file=checkpoint,
            warn=lambda code, error: watch.warn(code, error=f"{type(error).__name__}: {error}"),
        )
    short = not found.meets and (found.late or found.failed or effort != options.effort)
    return found, curve, effort, watch.stopped() or short


def _measured(target: Target, neural_map: NeuralMap) -> ShellCurve:
    """Fidelity FSC of the decoded coded network against the source times the envelope."""
    field = neural_map.field
    return target.fidelity(crop_spectrum(field.spectrum(), field.band.shape, target.lattice.shape))


def _missed(
    options: EncodeOptions, goal: Goal, found: Found, side: int, band_limit: float, cut_short: bool
) -> str:
    """What was reached, what was wanted, and what to do."""
    if goal.worst_fsc is not None:
        reached = f"worst shell to {band_limit:g} A reached {floored(found.worst)} of the wanted {options.goal_fsc:g}"
        if cut_short and not found.failed:
            return f"{reached} when the time was up: use a longer `time_budget`"
        within = found.worst - _margin(found.worst)
        lower = f", or `target_fsc` {floored(within)}" if within >= 0.01 else ""
        return f"{reached} in {found.size + side} bytes: use a coarser `resolution`, a wider `mask`{lower}"
    assert goal.max_bytes is not None
    return (
        f"the smallest network found takes {found.size + side} bytes, wanted {goal.max_bytes + side}: "
        "use a coarser `resolution` or allow more bytes"
    )


def _assembled(
    target: Target, lattice: Lattice, found: Found, symmetry: PointGroup | None, rule: GainRule
) -> NeuralMap:
    """The network with the gain that the rule gives every shell, built from what a file stores."""
    weights = weights_of(lattice, found.q)
    box, truth, shells = target.lattice, target.reference, target.shells
    spectrum = RadialBasis(weights).spectrum(lattice.grid, box.shape, symmetry)
    cross, own, wanted = (
        shells.sum(v) for v in (products(truth, spectrum), squared(spectrum), squared(truth))
    )
    gains = shell_gains(cross, own, wanted, rule)[: target.last + 1]
    scale = float(gains.max()) or 1.0
    # The mean of the truth that shell 0 cannot give, where the weights' sum has the other sign, goes to the
    # offset.
    rest = 0.0 if gains[0] > 0 else float(truth[0, 0, 0].real) / box.size
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
