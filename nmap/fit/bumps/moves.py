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

import math
from dataclasses import dataclass

import torch

from nmap.coding.lattice import MAX_WEIGHT
from nmap.fit.bumps.lattice import NEIGHBOURS, Lattice, power
from nmap.spectrum.planes import parts

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
# Weights around a site, in quarters of what a context counts, from which on it is in the last class.
_MOST_ACTIVITY = 4 * 4 * 2 ** (_CLASSES // 2)
# Sites that are looked at at once, in turn over all of them.
_PART = 1 << 20
# Sites whose 26 nearest are looked at at once.
_AT_ONCE = 1 << 15


@dataclass(eq=False)
class State:
    """Where a fit stands: all that a resumed one needs.

    `bias` is what, at each site, the mean over copies was last found to pull beyond the site itself, where any was;
    `coder` follows from the weights.
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
    coder: Coder | None = None


def start(lattice: Lattice) -> State:
    """No weight anywhere; the step is as high as the strongest peak."""
    peaks = lattice.correlate(lattice.wanted)
    norm = float(lattice.modes.sum())
    step = float(peaks.abs().max()) / norm * 0.8
    q = torch.zeros(len(lattice.numbers), dtype=torch.int8, device=lattice.device)
    # The lowest shells hold few modes, any of which can spoil them: finer there costs next to nothing.
    weights = 1 + 3 * torch.exp(-torch.arange(lattice.last + 1, device=lattice.device) / 4)
    return State(q, step, weights, modes=torch.zeros_like(lattice.wanted))


def iterate(lattice: Lattice, state: State, rate: float = RATE) -> None:
    """One sweep: move every weight that pays and is the best of its neighbourhood, then measure."""
    assert state.modes is not None
    q, step = state.q, state.step
    counted = state.weights[lattice.shell] * lattice.modes
    norm = float(counted.sum())
    missing = _missing(lattice, step, state.modes)
    before = _squared(missing, counted)
    del counted
    missing *= state.weights[lattice.shell]
    pull = lattice.correlate(missing)
    if lattice.is_exact:
        del missing
    if state.bias is not None:
        pull += state.bias
    offers = _offers(lattice, state, norm, rate)
    at, move, gain, rates = offers.of(pull)
    wins = _least_near(lattice, at, gain)
    if state.share < 1:
        generator = torch.Generator().manual_seed(state.iteration)
        wins &= (torch.rand(len(q), generator=generator) < state.share).to(wins.device).index_select(0, at)
    if not lattice.is_exact:
        # The residual is not quite symmetric: what wins at the site itself must pay over all its copies.
        won = torch.nonzero(wins).reshape(-1)
        here = at[won].long()
        exact = lattice.correlate_copies(missing, here)
        if state.bias is None:
            state.bias = torch.zeros(len(q), device=q.device)
        state.bias[here] += exact - pull[here]
        move[won], gain[won], rates[won] = offers.weigh(exact, here)
        wins &= gain < 0
    changed = at[wins].long()
    del pull, at
    modes = lattice.spectrum_of(changed, move[wins])
    modes += state.modes
    after = _squared(_missing(lattice, step, modes), state.weights[lattice.shell] * lattice.modes)
    hoped = float(gain[wins].sum())
    real = (after - before) / lattice.copies + float(rates[wins].sum())
    state.iteration += 1
    state.bits, state.moved = offers.coder.total, len(changed)
    # Far bumps overlap a little, and many moves at once can undo each other: then fewer at once.
    if real < 0.1 * hoped or state.moved < 3:
        state.q, state.modes = q.clone(), modes
        state.q[changed] += move[wins].to(torch.int8)
    state.share = min(1.0, state.share * 1.2) if real <= 0.6 * hoped else max(state.share * 0.6, 0.02)
    state.fsc = correlation(lattice, state.modes)


@dataclass(frozen=True, eq=False)
class _Offers:
    """What moves of single weights would gain.

    Attributes:
        coder: what weights cost.
        q: the weights, (n,).
        step: density of the whitened map per unit of weight.
        unit: step times the squared length of a site's bump, (n,) or (1,).
        price: error that a bit is worth.
    """

    coder: Coder
    q: torch.Tensor
    step: float
    unit: torch.Tensor
    price: float

    def of(self, pull: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The sites (m,), int32, that gain by a move, and what `weigh` says of them."""
        # Where zeros are so rare that they cost more than other weights, all sites are looked at.
        free = self.coder.cost[:, 1:].min(1).values < self.coder.cost[:, 0]
        some = bool(free.any())
        found = []
        for part in parts(len(pull), _PART):
            # A first weight takes off 2 |pull| - unit of the error, and costs bits.
            unit = self.unit if len(self.unit) == 1 else self.unit[part]
            could = (pull[part].abs() * 2 > unit) | (self.q[part] != 0)
            if some:
                could |= free[self.coder.context[part].long()]
            at = torch.nonzero(could).reshape(-1) + part.start
            move, gain, rates = self.weigh(pull[at], at)
            gains = gain < 0
            found.append([at[gains].to(torch.int32), move[gains], gain[gains], rates[gains]])
        # One after the other: the parts of what is joined are let go of.
        at, move, gain, rates = (torch.cat([part.pop(0) for part in found]) for _ in range(4))
        return at, move, gain, rates

    def weigh(self, pull: torch.Tensor, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of some of the sites: the better move, what it gains with its bits (negative), and the bits' part of that."""
        # One step towards the pull, more where it asks for more; or one step back towards zero.
        unit = self.unit if len(self.unit) == 1 else self.unit[at]
        q, context, bits = self.q[at].float(), self.coder.context[at].long(), self.coder.bits_of(at, self.q)
        leap = (pull / unit).abs().round().clamp(min=1) * pull.sign()
        leap = (q + leap).clamp(-MAX_WEIGHT, MAX_WEIGHT) - q
        options = []
        for move in (leap, -q.sign()):
            error = self.step * (unit * move * move - 2 * move * pull)
            more = self.coder.cost[context, (q + move).abs().long().clamp(max=_SIZES - 1)] - bits
            options.append((move, error, self.price * more))
        (leap, rise, up), (back, fall, down) = options
        rises = rise + up < fall + down
        rates = torch.where(rises, up, down)
        return torch.where(rises, leap, back), torch.where(rises, rise, fall) + rates, rates


def _offers(lattice: Lattice, state: State, norm: float, rate: float) -> _Offers:
    """What moves may gain as things stand; `norm` is the squared length of a bump."""
    if state.overlap is None or state.iteration % _RENEW == 0:
        state.overlap = lattice.overlap(state.weights)
    if state.coder is None:
        state.coder = Coder(lattice)
    state.coder.count(state.q)
    unit, price = state.step * norm * state.overlap, rate * state.step * state.step * norm
    return _Offers(state.coder, state.q, state.step, unit, price)


def _missing(lattice: Lattice, step: float, modes: torch.Tensor) -> torch.Tensor:
    """What a sum of weights, given by its modes, lacks of what is wanted."""
    return torch.mul(modes, -step).add_(lattice.wanted)


def _squared(modes: torch.Tensor, counted: torch.Tensor) -> float:
    return float(power(modes).mul_(counted).sum())


def correlation(lattice: Lattice, modes: torch.Tensor) -> torch.Tensor:
    """Correlation with the target in every shell, as a share of its ceiling, (last + 1,).

    Shell 0 reads 0; a shell in which there is nothing to fit reads 1.
    """
    cross = lattice.sum_shells((lattice.wanted.conj() * modes).real)
    own = lattice.sum_shells(power(modes))
    want = lattice.wanted_power
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
    modes = lattice.in_shell
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
    large = torch.nonzero(was.abs() > 1).reshape(-1)
    q = was[large].float()
    moved = (q.abs() / factor + 0.35).floor().clamp(max=MAX_WEIGHT) * q.sign()
    state.q = was.clone()
    state.q[large] = moved.to(torch.int8)
    modes = lattice.spectrum(state.q, was)
    state.modes = modes.add_(state.modes)


class Coder:
    """What weights cost: bits of each size in each context, as those around a site are.

    Attributes:
        cost: bits of each size in each context, (classes, sizes).
        context: of each site, (n,), uint8.
        total: bits of all weights as they are.
    """

    def __init__(self, lattice: Lattice) -> None:
        self._lattice = lattice
        self._known = torch.zeros(len(lattice.numbers), dtype=torch.int8, device=lattice.device)
        self._activity = torch.zeros(math.prod(lattice.shape) // 4, dtype=torch.int32, device=lattice.device)
        near = [32 if sum(s * s for s in step) == 3 else 45 for step in NEIGHBOURS]
        self._units = torch.tensor(near, dtype=torch.int32, device=lattice.device)
        quarters = torch.arange(_MOST_ACTIVITY + 1) / 4
        table = (2 * torch.log2(quarters.clamp(min=4) / 4)).long().clamp(max=_CLASSES - 1)
        self._table = table.to(torch.uint8).to(lattice.device)
        self.cost = torch.zeros((_CLASSES, _SIZES), device=lattice.device)
        self.context = torch.zeros(len(lattice.numbers), dtype=torch.uint8, device=lattice.device)
        self.total = 0.0

    def count(self, q: torch.Tensor) -> None:
        """Learn what the weights cost as they are now; what changed is brought up to date."""
        changed = torch.nonzero(q != self._known).reshape(-1)
        for some in torch.split(changed, _AT_ONCE):
            grown = q[some].abs().to(torch.int32) - self._known[some].abs()
            near = self._lattice.near(some)
            self._activity.index_add_(0, near.reshape(-1), (grown[:, None] * self._units).reshape(-1))
        self._known = q
        counts = torch.zeros(_CLASSES * _SIZES, dtype=torch.int64, device=q.device)
        for part in parts(len(q), _PART):
            activity = self._activity.index_select(0, self._lattice.places[part]).clamp_(max=_MOST_ACTIVITY)
            context = self._table.index_select(0, activity)
            short = q[part].abs().clamp_(max=_SIZES - 1).to(torch.int32)
            short += context.to(torch.int32) * _SIZES
            counts += torch.bincount(short, minlength=_CLASSES * _SIZES)
            self.context[part] = context
        counts = counts.reshape(_CLASSES, _SIZES)
        every = counts.sum(0).double()
        every += (
            0.3 * every.sum().clamp(min=100) * torch.pow(0.02, torch.arange(1, _SIZES + 1, device=q.device))
        )
        share = (counts + 8 * every / every.sum()) / (counts.sum(1, keepdim=True) + 8)
        cost = (-torch.log2(share)).float()
        cost[:, 1:] = (cost[:, 1:] + 1).clamp(max=14)
        self.cost, self.total = cost, float((cost.double() * counts).sum())

    def bits_of(self, at: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        """Bits of some of the weights as they are, (m,)."""
        return self.cost[self.context[at].long(), q[at].abs().long().clamp(max=_SIZES - 1)]


def _least_near(lattice: Lattice, at: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """Which of the sites (m,), all of which gain, gain no less than any of the nearest ones."""
    every = lattice.waves.empty()
    every.index_copy_(0, lattice.places.index_select(0, at).long(), gain)
    wins = torch.empty_like(gain, dtype=torch.bool)
    for part in parts(len(at), _AT_ONCE):
        near = every.index_select(0, lattice.near(at[part]).reshape(-1)).reshape(-1, len(NEIGHBOURS))
        wins[part] = gain[part] <= near.amin(1)
    here, there = lattice.across
    if len(here):
        beside = torch.zeros(len(lattice.numbers), device=lattice.device)
        beside.scatter_reduce_(0, here, every[lattice.places[there].long()], "amin")
        wins &= gain <= beside.index_select(0, at)
    return wins
