"""Fit a radial basis function network: which lattice sites get a weight, and which whole number.

The map is whitened, so that a unit of error costs the same in every shell, and approximated by equal
band-limited bumps. Weights move by one at a time where that lowers

    sum over modes of w_shell |Y - step Q|^2  +  lambda * bits,

all sites at once that are not in each other's way (iterated conditional modes: Besag, J. R. Stat. Soc. B 48
(1986) 259; the bit counts are those of an adaptive coder's contexts). `lambda` is tied to the step. The
step starts at the strongest peak and shrinks until the worst shell reaches its target; shells that lag get
more weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nmap.coding.lattice import MAX_WEIGHT
from nmap.fit.bumps.lattice import NEIGHBOURS, Lattice

# Bits are worth this share of the squared step: a bit must buy this much error. Bytes are flat within a few
# per cent from 0.07 to 0.15 at worst shells from 0.5 to 0.98 (docs/decisions.md).
RATE = 0.1
# Exponent of a shell's weight a sweep, of how many times what may be missing is missing: where a fit says how
# much that is in each shell, and where all shells are asked the same.
_URGE = 0.1
_URGE_OF_MEAN = 0.2
# Sweeps between two looks at how far copies overlap, which follows the shell weights slowly.
_RENEW = 8
_SIZES = 16
_CLASSES = 20


@dataclass(eq=False)
class State:
    """Where a fit stands: all that a resumed one needs.

    `bias` is what, at each site, the mean over copies was last found to pull beyond the site itself.
    """

    q: torch.Tensor
    step: float
    weights: torch.Tensor
    iteration: int = 0
    fsc: torch.Tensor | None = None
    bits: float = 0.0
    modes: torch.Tensor | None = None
    reached: bool = False
    moved: int = 0
    share: float = 1.0
    overlap: torch.Tensor | None = None
    bias: torch.Tensor | None = None


def start(lattice: Lattice) -> State:
    """No weight anywhere; the step is as high as the strongest peak."""
    peaks = lattice.correlate(lattice.wanted)
    norm = float(lattice.modes.sum())
    step = float(peaks.abs().max()) / norm * 0.8
    q = torch.zeros(len(lattice.flat), device=lattice.device)
    # The lowest shells hold few modes, any of which can spoil them: finer there costs next to nothing.
    weights = 1 + 3 * torch.exp(-torch.arange(lattice.last + 1, device=lattice.device) / 4)
    return State(q, step, weights, modes=lattice.spectrum(q))


def iterate(lattice: Lattice, state: State, rate: float = RATE) -> None:
    """One sweep: move every weight that pays and is the best of its neighbourhood, then measure."""
    assert state.modes is not None
    q, step = state.q, state.step
    weight = state.weights[lattice.shell]
    missing = lattice.wanted - step * state.modes
    before = _squared(lattice, missing, weight)
    if state.bias is None:
        state.bias = torch.zeros_like(q)
    pull = lattice.correlate(missing * weight) + state.bias
    norm = float((weight * lattice.modes).sum())
    cost, now, context = _bit_cost(lattice, q)
    if state.overlap is None or state.iteration % _RENEW == 0:
        state.overlap = lattice.overlap(state.weights)
    unit = step * norm * state.overlap
    bits = cost[context, q.abs().long().clamp(max=_SIZES - 1)]

    def weigh(pull: torch.Tensor, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of sites: the better move, what it gains with its bits (negative), and the bits' part of that."""
        # One step towards the pull, more where it asks for more; or one step back towards zero.
        leap = (pull / unit[at]).abs().round().clamp(min=1) * pull.sign()
        leap = (q[at] + leap).clamp(-MAX_WEIGHT, MAX_WEIGHT) - q[at]
        options = []
        for move in (leap, -q[at].sign()):
            error = step * (unit[at] * move * move - 2 * move * pull)
            more = cost[context[at], (q[at] + move).abs().long().clamp(max=_SIZES - 1)] - bits[at]
            options.append((move, error, rate * step * step * norm * more))
        (leap, rise, up), (back, fall, down) = options
        rises = rise + up < fall + down
        rates = torch.where(rises, up, down)
        return torch.where(rises, leap, back), torch.where(rises, rise, fall) + rates, rates

    move, gain, rates = weigh(pull, torch.arange(len(q), device=q.device))
    gain = gain.clamp(max=0)
    wins = (gain < 0) & (gain <= _least_near(lattice, gain))
    if state.share < 1:
        generator = torch.Generator().manual_seed(state.iteration)
        wins &= (torch.rand(len(q), generator=generator) < state.share).to(wins.device)
    if not lattice.is_exact:
        # The residual is not quite symmetric: what wins at the site itself must pay over all its copies.
        at = torch.nonzero(wins).reshape(-1)
        exact = lattice.correlate_copies(missing * weight, at)
        state.bias[at] += exact - pull[at]
        move[at], gain[at], rates[at] = weigh(exact, at)
        wins &= gain < 0
    moved = torch.where(wins, q + move, q)
    change = lattice.spectrum(moved, q)
    modes = state.modes + change
    after = _squared(lattice, lattice.wanted - step * modes, weight)
    hoped = float(gain[wins].sum())
    real = (after - before) / lattice.copies + float(rates[wins].sum())
    state.iteration += 1
    state.bits, state.moved = float(now), int(wins.sum())
    # Far bumps overlap a little, and many moves at once can undo each other: then fewer at once.
    if real < 0.1 * hoped or state.moved < 3:
        state.q, state.modes = moved, modes
    state.share = min(1.0, state.share * 1.2) if real <= 0.6 * hoped else max(state.share * 0.6, 0.02)
    state.fsc = correlation(lattice, state.modes)


def _squared(lattice: Lattice, modes: torch.Tensor, weight: torch.Tensor) -> float:
    return float(((modes.real**2 + modes.imag**2) * (weight * lattice.modes)).sum())


def correlation(lattice: Lattice, modes: torch.Tensor) -> torch.Tensor:
    """Correlation with the target in every shell, as a share of its ceiling, (last + 1,).

    Shell 0 reads 0; a shell in which there is nothing to fit reads 1.
    """
    cross = lattice.sum_shells((lattice.wanted.conj() * modes).real)
    own = lattice.sum_shells(modes.real**2 + modes.imag**2)
    want = lattice.sum_shells(lattice.wanted.real**2 + lattice.wanted.imag**2)
    fsc = torch.where(own * want > 0, cross / (own * want).clamp(min=1e-30).sqrt(), torch.zeros_like(cross))
    fsc[1:] = torch.where(want[1:] > 0, fsc[1:], lattice.ceiling[1:])
    return fsc / lattice.ceiling


def balance(lattice: Lattice, state: State, rate: float = 1.5, low: float = 0.25, high: float = 20.0) -> None:
    """Give shells that lag behind the mean more weight, within `low` to `high` of it.

    A shell lags by its correlation. Where all may reach 1, the logarithm of the power that it misses counts
    instead if it says more: correlations near 1 lie close together, however unlike the shells are. Where the
    lattice says what may be missing, lagging is the logarithm of how many times that is.
    """
    assert state.fsc is not None
    modes = lattice.sum_shells(torch.ones_like(lattice.modes))
    if lattice.missing is not None:
        over = excess(lattice, state.fsc)
        lag = _URGE * (over - (over * modes).sum() / modes.sum())[1:]
    else:
        lag = rate * (state.fsc[1:].mean() - state.fsc[1:])
        if bool((lattice.ceiling >= 1).all()):
            over = (1 - state.fsc[1:].clamp(min=0) ** 2).clamp(min=1e-6).log()
            over = _URGE_OF_MEAN * (over - over.mean())
            lag = torch.where(lag.abs() > over.abs(), lag, over)
    weights = state.weights.clone()
    weights[1:] = (weights[1:] * lag.clamp(-0.15, 0.15).exp()).clamp(low, high)
    state.weights = weights * (modes.sum() / (weights * modes).sum())


def excess(lattice: Lattice, fsc: torch.Tensor) -> torch.Tensor:
    """Logarithm of how many times more of each shell's power is missing than may be, (last + 1,).

    Args:
        lattice: one that says what may be missing.
        fsc: correlation by shell, as a share of the ceiling.
    """
    assert lattice.missing is not None
    found = (1 - (fsc * lattice.ceiling) ** 2).clamp(min=1e-6)
    return torch.log(found / lattice.missing)


def rescale(lattice: Lattice, state: State, factor: float) -> None:
    """Change the step and keep the field as it is, to the nearest whole weights."""
    assert state.modes is not None
    state.step *= factor
    was = state.q
    moved = (state.q.abs() / factor + 0.35).floor() * state.q.sign()
    state.q = torch.where(state.q.abs() > 1, moved, state.q).clamp(-MAX_WEIGHT, MAX_WEIGHT)
    state.modes = state.modes + lattice.spectrum(state.q, was)


def _bit_cost(lattice: Lattice, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bits of each size in each context, bits of all weights as they are, and the contexts (n,)."""
    size = q.abs()
    padded = torch.cat((size, size.new_zeros(1)))
    activity = torch.zeros_like(size)
    for row, (z, y, x) in zip(lattice.near, NEIGHBOURS, strict=True):
        activity += padded[row] * (8 if z * z + y * y + x * x == 3 else 11.25)
    context = (2 * torch.log2(activity.clamp(min=4) / 4)).long().clamp(max=_CLASSES - 1)
    short = size.long().clamp(max=_SIZES - 1)
    counts = torch.bincount(context * _SIZES + short, minlength=_CLASSES * _SIZES).reshape(_CLASSES, _SIZES)
    every = counts.sum(0).double()
    every += 0.3 * every.sum().clamp(min=100) * torch.pow(0.02, torch.arange(1, _SIZES + 1, device=q.device))
    share = (counts + 8 * every / every.sum()) / (counts.sum(1, keepdim=True) + 8)
    cost = (-torch.log2(share)).float()
    cost[:, 1:] = (cost[:, 1:] + 1).clamp(max=14)
    return cost, cost[context, short].sum(), context


def _least_near(lattice: Lattice, gain: torch.Tensor) -> torch.Tensor:
    padded = torch.cat((gain, gain.new_zeros(1)))
    least = torch.zeros_like(gain)
    for row in lattice.near:
        torch.minimum(least, padded[row], out=least)
    here, there = lattice.across
    return least.scatter_reduce(0, here, gain[there], "amin")
