"""The lattice that a radial basis function network is fitted on: its sites, the modes that count, the target.

Where the molecule fills little of its box, sweeps run in a working box around it: the same sites, the field
folded into fewer voxels. Fewer modes stand for each shell there, so the whole box's are measured now and then.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.fft as sf
import torch
from numpy.typing import NDArray

from nmap.coding import MAX_LATTICE_POINTS
from nmap.errors import OptionError
from nmap.fit.prepare import Target
from nmap.grid import Grid, Shape
from nmap.lattice_coding import MAX_SITES
from nmap.model.radial_basis import centres_spectrum, turn_sites
from nmap.spectrum import NEGLIGIBLE, Shells, crop_spectrum, resample
from nmap.symmetry import PointGroup
from nmap.threads import workers

C64 = NDArray[np.complex64]
F32 = NDArray[np.float32]
Sites = NDArray[np.int64]

# The body-centred lattice's unit cell is sqrt(1/2) / radius wide: 2 sqrt(2) fine steps for each shell.
_STEPS_PER_SHELL = 2 * math.sqrt(2)
# Sites lie where the envelope exceeds this.
INSIDE = 0.25
# A working box reaches this many fine steps beyond the sites, and must be so much smaller to pay.
_MARGIN, _WORTH = 12, 0.6
_BLUR = 1.0
# Steps (z, y, x) to the 26 nearest sites of a body-centred lattice of cell 2.
NEIGHBOURS = [
    step
    for step in itertools.product(range(-2, 3), repeat=3)
    if sum(s * s for s in step) in (3, 4, 8) and step[0] % 2 == step[1] % 2 == step[2] % 2
]


@dataclass(frozen=True, eq=False)
class Lattice:
    """The sites that may hold a weight, and the modes that count.

    Args:
        grid: the fine lattice (z, y, x) as a grid.
        sites: indices (n, 3), (z, y, x), of the sites.
        truth: half transform on the lattice, complex64, of what to fit.
        width: width of a shell of the whole box, 1/Angstrom.
        whitening: factor of the truth in each shell from 0 to the last that counts; 0 where none is wanted.
        symmetry: point group whose copies each site stands for, about a centre from the grid's origin; None
            for C1.
        device: torch device.
        ceiling: highest correlation with the target that is worth having, by shell from 0, (last + 1,):
            below 1 where half maps tell how much of the target is noise.
        whole: the same sites in the whole box, where this is a working box in it.
        missing: share of each shell's power that may be left out, (last + 1,); None where all shells are asked
            the same correlation.
    """

    grid: Grid
    sites: Sites
    truth: C64
    width: float
    whitening: F32
    symmetry: PointGroup | None
    device: torch.device
    ceiling: torch.Tensor
    whole: Lattice | None = None
    missing: torch.Tensor | None = None

    @property
    def shape(self) -> Shape:
        """Counts of the fine lattice (z, y, x)."""
        return self.grid.shape

    @property
    def last(self) -> int:
        """Index of the last shell."""
        return len(self.ceiling) - 1

    @property
    def full(self) -> Lattice:
        """The whole box's lattice: this one, if it is no working box."""
        return self if self.whole is None else self.whole

    def sparing(self, missing: F32) -> Lattice:
        """The lattice for a fit that may leave out this share of each shell's power, (last + 1,).

        Shells that are asked more stand out of the whitened truth, by the fourth root: the weights' equal
        steps then err less in them, and shell weights need to make up the rest only.
        """
        emphasis = (missing.max() / missing) ** 0.25
        whole = None if self.whole is None else self.whole.sparing(missing)
        allowed = torch.from_numpy(missing).to(self.device)
        return replace(self, whitening=self.whitening * emphasis, missing=allowed, whole=whole)

    @property
    def copies(self) -> int:
        """How many times each site appears in the box."""
        return 1 if self.symmetry is None else self.symmetry.order

    @cached_property
    def _modes(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Flat index of each mode in the band, its shell, and the full modes that it stands for."""
        shells = Shells(self.grid)
        index = shells.index_at(self.width)
        origin = np.zeros(index.shape, bool)
        origin[0, 0, 0] = True
        band = np.flatnonzero((index <= self.last) & ~origin)
        weight = np.broadcast_to(shells.multiplicity, index.shape).reshape(-1)[band]
        shell = np.maximum(index.reshape(-1)[band], 1).astype(np.int64)
        device = self.device
        return (
            torch.from_numpy(band).to(device),
            torch.from_numpy(shell).to(device),
            torch.from_numpy(weight.astype(np.float32)).to(device),
        )

    @property
    def band(self) -> torch.Tensor:
        """Flat index in the half transform of each mode that counts."""
        return self._modes[0]

    @property
    def shell(self) -> torch.Tensor:
        """Shell of each mode in the band."""
        return self._modes[1]

    @property
    def modes(self) -> torch.Tensor:
        """How many modes of the full transform each mode in the band stands for, float32."""
        return self._modes[2]

    @cached_property
    def wanted(self) -> torch.Tensor:
        """The truth in the band, whitened, complex64."""
        truth = torch.from_numpy(self.truth.reshape(-1)[self.band.cpu().numpy()]).to(self.device)
        return truth * torch.from_numpy(self.whitening).to(self.device)[self.shell]

    @cached_property
    def flat(self) -> torch.Tensor:
        """Flat index of each site, (n,)."""
        return torch.from_numpy(np.ravel_multi_index(tuple(self.sites.T), self.shape)).to(self.device)

    @cached_property
    def near(self) -> torch.Tensor:
        """Index of each site's 26 nearest sites (periodic), n where there is none, (26, n)."""
        number = np.full(self.shape, len(self.sites), np.int32)
        number[tuple(self.sites.T)] = np.arange(len(self.sites))
        out = np.empty((len(NEIGHBOURS), len(self.sites)), np.int64)
        for row, step in enumerate(NEIGHBOURS):
            z, y, x = ((self.sites[:, a] + step[a]) % self.shape[a] for a in range(3))
            out[row] = number[z, y, x]
        return torch.from_numpy(out).to(self.device)

    @cached_property
    def overlap(self) -> torch.Tensor:
        """Squared length of a site's bump with all its copies, per copy, in units of one bump's, (n,)."""
        total = np.ones(len(self.sites))
        if self.symmetry is not None and self.copies > 1:
            from scipy.ndimage import map_coordinates

            half = np.zeros(math.prod(self.shape[:2]) * (self.shape[2] // 2 + 1), np.complex64)
            half[self.band.cpu().numpy()] = 1
            kernel = self._inverse(half)
            for operator in self.symmetry.operators[1:]:
                apart = turn_sites(self.sites, self.shape, self.grid, self.symmetry, operator) - self.sites
                total += map_coordinates(kernel, apart.T, order=1, mode="grid-wrap") / kernel[0, 0, 0]
        return torch.from_numpy(np.maximum(total, 0.25).astype(np.float32)).to(self.device)

    @cached_property
    def smooth(self) -> torch.Tensor:
        """Mean over the shells, from 1, that a working box cannot tell apart, (last, last); whole: the identity."""
        if self.whole is None:
            return torch.eye(self.last, device=self.device)
        wide = Shells(self.grid).width / self.width
        at = torch.arange(self.last, device=self.device)
        kernel = torch.exp(-0.5 * ((at[:, None] - at) / (_BLUR * wide)) ** 2)
        return kernel / kernel.sum(1, keepdim=True)

    def sum_shells(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a real value per mode over the full transform, by shell from 0 to the last, float32."""
        return torch.bincount(self.shell, values * self.modes, self.last + 1)

    def spectrum(self, q: torch.Tensor, was: torch.Tensor | None = None) -> torch.Tensor:
        """Modes in the band of the weights q (n,), or of what changed since `was`."""
        change = q if was is None else q - was
        if self.copies == 1 and self.device.type != "cpu":
            volume = torch.zeros(math.prod(self.shape), device=self.device)
            volume[self.flat] = change
            whole: torch.Tensor = torch.fft.rfftn(volume.reshape(self.shape))
            return whole.reshape(-1)[self.band]
        if self.copies == 1:
            field = np.zeros(math.prod(self.shape), np.float32)
            field[self.flat.numpy()] = change.numpy()
            half = np.asarray(sf.rfftn(field.reshape(self.shape), workers=workers()), np.complex64)
        else:
            assert self.symmetry is not None
            chosen = torch.nonzero(change).reshape(-1).cpu().numpy()
            half = centres_spectrum(
                self.sites[chosen], change.cpu().numpy()[chosen], self.shape, self.grid, self.symmetry
            )
        return torch.from_numpy(half.reshape(-1))[self.band.cpu()].to(self.device)

    def correlate(self, modes: torch.Tensor) -> torch.Tensor:
        """Inner product of a field, given by its modes in the band, with the bump at every site, (n,)."""
        nz, ny, nx = self.shape
        half = torch.zeros(nz * ny * (nx // 2 + 1), dtype=torch.complex64, device=self.device)
        half[self.band] = modes
        if self.device.type == "cpu":
            return torch.from_numpy(self._inverse(half.numpy()).reshape(-1))[self.flat]
        volume: torch.Tensor = torch.fft.irfftn(
            half.reshape(nz, ny, nx // 2 + 1), s=self.shape, norm="forward"
        )
        return volume.reshape(-1)[self.flat]

    def _inverse(self, half: C64) -> F32:
        """Sum over modes at every lattice point; `half` is overwritten."""
        nz, ny, nx = self.shape
        out = sf.irfftn(
            half.reshape(nz, ny, nx // 2 + 1),
            s=self.shape,
            norm="forward",
            workers=workers(),
            overwrite_x=True,
        )
        return np.asarray(out, np.float32)


def fine_grid(target: Target) -> Grid:
    """The fine lattice, counts multiples of 4, that carries the sites of a target's band."""
    radius = (target.last + 0.5) * target.shells.width
    counts = [
        4 * sf.next_fast_len(math.ceil(_STEPS_PER_SHELL * radius * edge / 4), True)
        for edge in target.lattice.edges[::-1]
    ]
    return target.lattice.resampled((counts[0], counts[1], counts[2]))


def lattice_of(
    target: Target,
    symmetry: PointGroup | None,
    device: torch.device,
    ceiling: F32 | None = None,
    inside: float = INSIDE,
) -> Lattice:
    """Sites inside the envelope, in one asymmetric unit, and the whitened truth.

    Args:
        target: what to fit.
        symmetry: point group or None for C1.
        device: torch device.
        ceiling: highest correlation worth having, by shell, (last + 1,); None for 1.
        inside: sites lie where the envelope exceeds this.

    Returns:
        The lattice of a working box, where that is much smaller than the whole box, else of the whole.

    Raises:
        OptionError: more sites than a file may have.
    """
    grid = fine_grid(target)
    shape = grid.shape
    every = _sites(target, shape, inside)
    sites = every
    if symmetry is not None:
        places = np.where(_thin(target), 0, every / np.asarray(shape))
        points = places[:, ::-1] @ grid.box.T - np.asarray(symmetry.center)
        sites = every[symmetry.fold(points)[1] == 0]
    if len(sites) > MAX_SITES // 2 or math.prod(shape) > MAX_LATTICE_POINTS:
        raise OptionError(
            f"{len(sites)} sites on a lattice of {shape} (z, y, x): wanted at most {MAX_SITES // 2} and "
            f"{MAX_LATTICE_POINTS} points; use a coarser --resolution, a --mask or --crop"
        )
    truth = np.asarray(crop_spectrum(target.reference, target.lattice.shape, shape), np.complex64)
    share = np.ones(target.last + 1, np.float32) if ceiling is None else ceiling
    worth = torch.from_numpy(share).to(device)
    whitening = _whitening(truth, grid, target)
    whole = Lattice(grid, sites, truth, target.shells.width, whitening, symmetry, device, worth)
    found = _working_box(every, shape)
    return whole if found is None else _within(whole, _field(target, grid), *found)


def _field(target: Target, grid: Grid) -> F32:
    """What to fit, at the lattice's own sampling: cut at the last shell it would not end where its folds do."""
    density = target.density
    values = density.values - np.float32(target.solvent)
    if target.masked and target.envelope is not None:
        values *= target.envelope.on_lattice(density.grid.shape)
    return resample(values, grid.shape)


def _whitening(truth: C64, grid: Grid, target: Target) -> F32:
    """Factor of each shell that makes its mean power 1; 0 where `validate` would not count the shell."""
    shells = Shells(grid)
    modes = shells.modes[: target.last + 1]
    power = shells.sum(truth.real**2 + truth.imag**2)[: target.last + 1]
    # By the mean over all modes of the source's own grid.
    negligible = NEGLIGIBLE * power[1:].sum() / target.density.grid.size
    mean = power / np.maximum(modes, 1)
    used = mean > negligible
    used[0] = False
    return np.divide(1, np.sqrt(mean), out=np.zeros(len(mean)), where=used).astype(np.float32)


def _sites(target: Target, shape: Shape, inside: float) -> Sites:
    """Indices (n, 3), (z, y, x), of all sites where the envelope exceeds `inside`."""
    mask = np.ones(shape, np.float32) if target.envelope is None else target.envelope.on_lattice(shape)
    parity = [np.arange(n) & 1 for n in shape]
    mask[(parity[0][:, None, None] != parity[1][:, None]) | (parity[1][:, None] != parity[2])] = 0
    sites = np.argwhere(mask > inside)
    return sites[(sites < np.where(_thin(target), 2, shape)).all(1)]


def _thin(target: Target) -> NDArray[np.bool_]:
    """Axes (z, y, x) without frequencies, as in a 2-D image: sites of one parity along them all do the same."""
    return np.array([n == 1 for n in target.lattice.shape])


def _working_box(sites: Sites, shape: Shape) -> tuple[Shape, Shape] | None:
    """Start (even, may be negative) and counts (z, y, x) of a box around the sites; None if it saves little."""
    if not len(sites):
        return None
    low, high = sites.min(0), sites.max(0)
    start, counts = [0, 0, 0], list(shape)
    for axis in range(3):
        wide = 4 * sf.next_fast_len(math.ceil((high[axis] - low[axis] + 1 + 2 * _MARGIN) / 4), True)
        if wide < shape[axis]:
            counts[axis] = wide
            start[axis] = int(low[axis] + high[axis] + 1 - wide) // 4 * 2
    if math.prod(counts) > _WORTH * math.prod(shape):
        return None
    return (start[0], start[1], start[2]), (counts[0], counts[1], counts[2])


def _within(whole: Lattice, field: F32, start: Shape, counts: Shape) -> Lattice:
    """The same sites in a box of its own, into which the field that is to be fitted is folded."""
    grid = whole.grid.region(start, counts)
    moved = np.subtract(grid.origin, whole.grid.origin)
    symmetry = whole.symmetry
    if symmetry is not None:
        x, y, z = (float(c) for c in np.subtract(symmetry.center, moved))
        symmetry = replace(symmetry, center=(x, y, z))
    for axis in range(3):
        field = np.roll(field, -start[axis], axis)
        pad = [(0, 0)] * 3
        pad[axis] = (0, -whole.shape[axis] % counts[axis])
        parts = np.pad(field, pad)
        split = (*parts.shape[:axis], -1, counts[axis], *parts.shape[axis + 1 :])
        field = parts.reshape(split).sum(axis)
    truth = np.asarray(sf.rfftn(field, workers=workers()), np.complex64)
    return replace(
        whole, grid=grid, sites=whole.sites - np.asarray(start), truth=truth, symmetry=symmetry, whole=whole
    )
