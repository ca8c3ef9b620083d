"""From a target to a radial basis function network: the lattice, the search, and what a decoder will see."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nmap.accelerate import one_thread
from nmap.coding import CodedTensor, encode_lattice, encode_log
from nmap.errors import QualityError
from nmap.fit.lattice import Lattice
from nmap.fit.options import EncodeOptions
from nmap.fit.point_group import choose
from nmap.fit.prepare import Target
from nmap.fit.progress import Watch
from nmap.fit.quantise import Result
from nmap.fit.record import History
from nmap.fit.search import Found, Goal, search, weights_of
from nmap.fit.sites import INSIDE, lattice_of
from nmap.model.radial_basis import RadialBasis
from nmap.neural_map import NeuralMap
from nmap.spectrum import ShellCurve, Shells, crop_spectrum, floored
from nmap.symmetry import PointGroup

# Aimed at beyond the goal, for what rounding of gains and grids may take: at most this, and this share of what
# the goal lets be missing.
_MARGIN = (5e-4, 0.05)
# A sweep takes so many times as long as one correlation with all sites; a time budget is a short one below so many
# sweeps.
_SWEEP, _SHORT = 3.5, 200
# Storing and measuring, but for the coding, take this share of what preparing and laying out took.
_CLOSING = 0.5
# Measuring the symmetry may take this share of a time budget; it takes so many times as long as preparing.
_SYMMETRY_SHARE, _SYMMETRY = 0.3, 3.0
# A search without time may take as long as this share of preparing all the same, and as long to code what it found.
_GRACE = 1.0
_UNSOUGHT = "the time budget leaves none to look for symmetry"
# Sites lie where the envelope exceeds this under cross-validation and beyond this goal, where faithful counts most.
_ANYWHERE, _BEYOND = 0.001, 0.98
_EVERYWHERE = -1.0


def fit_radial(
    target: Target,
    symmetry: PointGroup | None,
    measured: str,
    options: EncodeOptions,
    watch: Watch,
    device: torch.device,
    notes: list[str],
    ceiling: NDArray[np.float32] | None = None,
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
        ceiling: as in `lattice_of`.

    Returns:
        The network as a decoder sees it, and how the fit went.

    Raises:
        QualityError: an explicit goal that the search could not meet.
    """
    side = target.last + 1
    most = options.goal_bytes(target.density.grid.size)
    aim = options.goal_fsc + _margin(options.goal_fsc)
    goal = Goal(aim) if most is None else Goal(None, max(most - side, 1))
    lattice = _laid_out(target, symmetry, options, watch, device, ceiling)
    found, curve_of_fsc, effort, cut_short = _searched(lattice, goal, options, watch)
    if symmetry is not None and options.symmetry == "auto" and not found.meets and not cut_short:
        # Where the axes do not map the lattice onto itself, copies agree with the map's own only so far.
        notes.append(
            f"{symmetry.name} reached a worst shell FSC of {floored(found.worst)} only: fitted as C1"
        )
        watch.say(f"warning: {notes[-1]}", 0.0)
        symmetry = None
        lattice = _laid_out(target, symmetry, options, watch, device, ceiling)
        found, curve_of_fsc, effort, cut_short = _searched(lattice, goal, options, watch)
    near_one = goal.worst_fsc is not None and options.goal_fsc > _BEYOND
    found_mask = options.mask == "auto" and target.envelope is not None
    if near_one and found_mask and not found.meets and not cut_short:
        # What rings beyond the envelope counts for such a goal.
        watch.say("searching beyond the envelope")
        lattice = _laid_out(target, symmetry, options, watch, device, ceiling, _EVERYWHERE)
        found, curve_of_fsc, effort, cut_short = _searched(lattice, goal, options, watch)
    _check(found, goal, target, symmetry, options, watch, cut_short)
    if not found.meets:
        why = " in the time given" if cut_short else ""
        why += f", and {_UNSOUGHT}" if _UNSOUGHT in measured else ""
        notes.append(f"worst shell FSC {floored(found.worst)}: the goal was not reached{why}")
        watch.say(f"warning: {notes[-1]}", 0.0)
    watch.say("storing and measuring")
    lattice = lattice.full
    neural_map = _assembled(target, lattice, found, symmetry)
    curve = _measured(target, neural_map)
    counted = lattice.sum_shells(lattice.wanted.abs())[1:].cpu().numpy() > 0
    share = (curve.fsc[1 : target.last + 1] / lattice.ceiling[1:].cpu().numpy())[counted].min(initial=1.0)
    if options.target_fsc is not None and share < options.target_fsc and not watch.stopped():
        found.worst = float(share)
        raise QualityError(_missed(options, goal, found, side, target.band_limit, cut_short))
    settings = {
        "effort": effort,
        "max_bytes": most,
        "sites": len(lattice.sites),
        "step": round(found.step, 8),
        "symmetry": measured,
    }
    history = History(found.sweeps, settings, fsc=curve_of_fsc)
    return Result(neural_map, curve, float(curve.worst(target.band_limit))), history


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
    asked = options.target_fsc is not None or goal.max_bytes is not None
    if asked and not found.meets and not watch.stopped():
        raise QualityError(_missed(options, goal, found, target.last + 1, target.band_limit, cut_short))


def _laid_out(
    target: Target,
    symmetry: PointGroup | None,
    options: EncodeOptions,
    watch: Watch,
    device: torch.device,
    ceiling: NDArray[np.float32] | None,
    inside: float | None = None,
) -> Lattice:
    """The lattice to search on; sites lie where the envelope exceeds `inside`, None for what suits the options."""
    watch.say("laying out the lattice")
    if inside is None:
        inside = _ANYWHERE if options.cross_validate or options.goal_fsc > _BEYOND else INSIDE
    lattice = lattice_of(target, symmetry, device, ceiling, inside)
    if options.cross_validate and ceiling is not None:
        return lattice.sparing(1 - np.minimum(options.goal_fsc * ceiling, 0.9999) ** 2)
    return lattice


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

    deadline, effort = math.inf, options.effort
    if left is not None:
        wanted, tick = lattice.wanted, time.monotonic()
        lattice.correlate(wanted)
        sweep = _SWEEP * (time.monotonic() - tick)
        deadline = began + left - _CLOSING * watch.prepared
        effort = effort if deadline - began > _SHORT * sweep else "low"
    checkpoint = None if options.checkpoint is None else Path(options.checkpoint) / "radial"
    if checkpoint is not None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with one_thread():
        found = search(
            lattice,
            goal,
            effort,
            deadline=deadline,
            grace=_GRACE * watch.prepared,
            should_stop=watch.stopped,
            report=report,
            state_file=checkpoint,
        )
    return found, curve, effort, watch.stopped() or (left is not None and not found.meets)


def find_symmetry(
    target: Target, options: EncodeOptions, watch: Watch
) -> tuple[PointGroup | None, str, float]:
    """The point group to fit with, what was measured of it, in words, and which share of half maps' noise has it.

    Raises:
        QualityError: a point group that was asked for and does not hold.
        OptionError: a point group for a cell that is not orthogonal.
    """
    if options.symmetry.upper() == "C1":
        return None, "C1, as asked", 1.0
    left = watch.left
    if (
        options.symmetry == "auto"
        and left is not None
        and _SYMMETRY * watch.prepared > _SYMMETRY_SHARE * left
    ):
        return None, f"C1: {_UNSOUGHT}", 1.0
    watch.say("measuring the symmetry")
    grid = target.density.grid
    mask = None if target.envelope is None else target.envelope.on_lattice(grid.shape)
    group, table = choose(
        target.density.values - np.float32(target.solvent),
        grid,
        mask,
        target.band_limit,
        options.symmetry,
        threshold=options.symmetry_threshold,
        force=options.force_symmetry,
        halves=None if target.halves is None else target.halves.about_solvents,
    )
    held = max(table, key=lambda found: (found.group == group, found.correlation), default=None)
    if held is None:
        return group, "C1: the cell is not orthogonal", 1.0
    error = f" +- {held.error:.4f} between the half maps" if target.halves is not None else ""
    said = f"{held.group.name} has a self-correlation of {held.correlation:.4f}{error} inside the envelope"
    return group, said if group is not None else f"C1: {said}, the highest found", held.noise


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
    box = target.density.grid
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
        box=box,
        offset=float(np.float32(target.solvent + rest)),
        scale=float(np.float32(scale)),
        band_limit=target.band_limit,
        lattice=lattice.shape,
        symmetry=symmetry,
    )
