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

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from nmap.grid import Grid, Shape
from nmap.lattice_coding import MAX_WEIGHT
from nmap.model.radial_basis import centres_spectrum, turn_sites
from nmap.spectrum import Shells
from nmap.symmetry import PointGroup

C64 = NDArray[np.complex64]
F64 = NDArray[np.float64]

# Bits are worth this share of the squared step: a bit must buy this much error. Bytes are flat within a few
# per cent from 0.07 to 0.15 at worst shells from 0.5 to 0.98 (bench/notes.md).
RATE = 0.1
_SIZES = 16
_CLASSES = 20


def _offsets(squared: tuple[int, ...]) -> list[tuple[int, int, int]]:
    reach = range(-3, 4)
    return [
        (z, y, x)
        for z, y, x in itertools.product(reach, reach, reach)
        if z * z + y * y + x * x in squared and z % 2 == y % 2 == x % 2
    ]


@dataclass(frozen=True, eq=False)
class Lattice:
    """The sites that may hold a weight, and the modes that count.

    Args:
        shape: counts of the fine lattice (z, y, x).
        sites: indices (n, 3), (z, y, x), of the sites.
        target: whitened half transform on the lattice, complex64; 0 outside the band.
        grid: the lattice as a grid.
        last: index of the last shell.
        symmetry: point group whose copies each site stands for; None for C1.
        device: torch device.
        ceiling: highest correlation with the target that is worth having, by shell from 0, (last + 1,):
            below 1 where half maps tell how much of the target is noise.
    """

    shape: Shape
    sites: NDArray[np.int64]
    target: C64
    grid: Grid
    last: int
    symmetry: PointGroup | None
    device: torch.device
    ceiling: torch.Tensor
    band: torch.Tensor = field(init=False)
    shell: torch.Tensor = field(init=False)
    modes: torch.Tensor = field(init=False)
    wanted: torch.Tensor = field(init=False)
    flat: torch.Tensor = field(init=False)
    near: torch.Tensor = field(init=False)
    overlap: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        shells = Shells(self.grid)
        index = shells.index.reshape(-1)
        band = np.flatnonzero((index <= self.last) & (index > 0))
        weight = np.broadcast_to(shells.multiplicity, shells.index.shape).reshape(-1)[band]
        parts = {
            "band": torch.from_numpy(band),
            "shell": torch.from_numpy(index[band].astype(np.int64)),
            "modes": torch.from_numpy(weight.astype(np.float32)),
            "wanted": torch.from_numpy(self.target.reshape(-1)[band]),
            "flat": torch.from_numpy(np.ravel_multi_index(tuple(self.sites.T), self.shape)),
            "near": torch.from_numpy(_neighbour_table(self.sites, self.shape)),
        }
        for name, value in parts.items():
            object.__setattr__(self, name, value.to(self.device))
        object.__setattr__(self, "overlap", self._overlap().to(self.device))

    @property
    def copies(self) -> int:
        """How many times each site appears in the box."""
        return 1 if self.symmetry is None else self.symmetry.order

    def sum_shells(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a real value per mode over the full transform, by shell from 0 to the last, float32."""
        return torch.bincount(self.shell, values * self.modes, self.last + 1)

    def spectrum(self, q: torch.Tensor, was: torch.Tensor | None = None) -> torch.Tensor:
        """Modes in the band of the weights q (n,), or of what changed since `was`."""
        change = q if was is None else q - was
        if self.copies == 1:
            volume = torch.zeros(math.prod(self.shape), device=self.device)
            volume[self.flat] = change
            whole: torch.Tensor = torch.fft.rfftn(volume.reshape(self.shape))
            return whole.reshape(-1)[self.band]
        chosen = torch.nonzero(change).reshape(-1).cpu().numpy()
        assert self.symmetry is not None
        part = centres_spectrum(
            self.sites[chosen], change.cpu().numpy()[chosen], self.shape, self.grid, self.symmetry
        )
        return torch.from_numpy(part.reshape(-1))[self.band.cpu()].to(self.device)

    def correlate(self, modes: torch.Tensor) -> torch.Tensor:
        """Inner product of a field, given by its modes in the band, with the bump at every site, (n,)."""
        nz, ny, nx = self.shape
        half = torch.zeros(nz * ny * (nx // 2 + 1), dtype=torch.complex64, device=self.device)
        half[self.band] = modes
        half = half.reshape(nz, ny, nx // 2 + 1)
        volume: torch.Tensor = torch.fft.irfftn(half, s=self.shape, norm="forward")
        return volume.reshape(-1)[self.flat]

    def _overlap(self) -> torch.Tensor:
        """Squared length of a site's bump with all its copies, per copy, in units of one bump's, (n,)."""
        total = np.ones(len(self.sites))
        if self.symmetry is None or self.copies == 1:
            return torch.from_numpy(total.astype(np.float32))
        bump = Shells(self.grid)
        half = (bump.index <= self.last) & (bump.index > 0)
        kernel = np.fft.irfftn(half, s=self.shape, axes=(0, 1, 2)).astype(np.float32)
        from scipy.ndimage import map_coordinates

        for operator in self.symmetry.operators[1:]:
            apart = turn_sites(self.sites, self.shape, self.grid, self.symmetry, operator) - self.sites
            total += map_coordinates(kernel, apart.T, order=1, mode="grid-wrap") / kernel[0, 0, 0]
        return torch.from_numpy(np.maximum(total, 0.25).astype(np.float32))


def _neighbour_table(sites: NDArray[np.int64], shape: Shape) -> NDArray[np.int64]:
    """Index of each site's 26 nearest sites (periodic), n where there is none, (26, n)."""
    number = np.full(shape, len(sites), np.int32)
    number[tuple(sites.T)] = np.arange(len(sites))
    out = np.empty((26, len(sites)), np.int64)
    for row, step in enumerate(_offsets((3, 4, 8))):
        z, y, x = ((sites[:, a] + step[a]) % shape[a] for a in range(3))
        out[row] = number[z, y, x]
    return out


@dataclass(eq=False)
class State:
    """Where a fit stands: all that a resumed one needs."""

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
    pull = lattice.correlate(missing * weight)
    norm = float((weight * lattice.modes).sum())
    cost, now, context = _bit_cost(lattice, q)
    push, price = step * step * norm * lattice.overlap, rate * step * step * norm
    # One step towards the pull, more where it asks for more; or one step back towards zero.
    leap = (pull / (step * norm * lattice.overlap)).abs().round().clamp(min=1) * pull.sign()
    leap = (q + leap).clamp(-MAX_WEIGHT, MAX_WEIGHT) - q
    back = -q.sign()
    bits = cost[context, q.abs().long().clamp(max=_SIZES - 1)]
    error, rates = [], []
    for move in (leap, back):
        error.append(push * move * move - 2 * step * move * pull)
        rates.append(price * (cost[context, (q + move).abs().long().clamp(max=_SIZES - 1)] - bits))
    rise, fall = error[0] + rates[0], error[1] + rates[1]
    gain = torch.minimum(rise, fall).clamp(max=0)
    wins = (gain < 0) & (gain <= _least_near(lattice, gain))
    if state.share < 1:
        generator = torch.Generator().manual_seed(state.iteration)
        wins &= (torch.rand(len(q), generator=generator) < state.share).to(wins.device)
    moved = torch.where(wins, q + torch.where(rise < fall, leap, back), q)
    change = lattice.spectrum(moved, q)
    modes = state.modes + change
    after = _squared(lattice, lattice.wanted - step * modes, weight)
    hoped = float(gain[wins].sum())
    real = (after - before) / lattice.copies + float(torch.where(rise < fall, rates[0], rates[1])[wins].sum())
    state.iteration += 1
    state.bits, state.moved = float(now), int(wins.sum())
    # Far bumps overlap a little, and many moves at once can undo each other: then fewer at once.
    if real < 0.1 * hoped or state.moved < 3:
        state.q, state.modes = moved, modes
    state.share = min(1.0, state.share * 1.2) if real < 0.6 * hoped else max(state.share * 0.6, 0.02)
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


def balance(lattice: Lattice, state: State, rate: float = 3.0, low: float = 0.25, high: float = 6.0) -> None:
    """Give shells that lag behind the mean more weight, within `low` to `high` of it."""
    assert state.fsc is not None
    modes = lattice.sum_shells(torch.ones_like(lattice.modes))
    change = (rate * (state.fsc[1:].mean() - state.fsc[1:])).clamp(-0.15, 0.15).exp()
    weights = state.weights.clone()
    weights[1:] = (weights[1:] * change).clamp(low, high)
    state.weights = weights * (modes.sum() / (weights * modes).sum())


def rescale(state: State, factor: float) -> None:
    """Change the step and keep the field as it is, to the nearest whole weights."""
    state.step *= factor
    moved = (state.q.abs() / factor + 0.35).floor() * state.q.sign()
    state.q = torch.where(state.q.abs() > 1, moved, state.q).clamp(-MAX_WEIGHT, MAX_WEIGHT)


def _bit_cost(lattice: Lattice, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bits of each size in each context, bits of all weights as they are, and the contexts (n,)."""
    size = q.abs()
    padded = torch.cat((size, size.new_zeros(1)))
    activity = torch.zeros_like(size)
    units = [{3: 32, 4: 45, 8: 45}[z * z + y * y + x * x] for z, y, x in _offsets((3, 4, 8))]
    for row, unit in zip(lattice.near, units, strict=True):
        activity += padded[row] * (unit / 4)
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
    return least
