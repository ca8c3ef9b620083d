"""The lattice that a radial basis function network is fitted on: its sites, the modes that count, the target."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from nmap.fit.bumps.spreading import Spreading
from nmap.fit.bumps.waves import Band, SiteWaves, site_at, site_index
from nmap.fit.device import irfftn
from nmap.grid import Grid, Shape
from nmap.model.radial_basis import copies_of, turn_sites
from nmap.point_group import PointGroup
from nmap.spectrum.planes import parts

C64 = NDArray[np.complex64]
F32 = NDArray[np.float32]
Sites = NDArray[np.integer[Any]]

# Steps (z, y, x) to the 26 nearest sites of a body-centred lattice of cell 2.
NEIGHBOURS = [
    step
    for step in itertools.product(range(-2, 3), repeat=3)
    if sum(s * s for s in step) in (3, 4, 8) and step[0] % 2 == step[1] % 2 == step[2] % 2
]
# Modes that are worked on at once.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Lattice:
    """The sites that may hold a weight, and the modes that count.

    Args:
        grid: the fine lattice (z, y, x) as a grid.
        numbers: where the sites are in the order of `SiteWaves`, (n,).
        band: the modes that count.
        target: what to fit in each of them, whitened, (modes,), complex64.
        whitening: factor by which the target was whitened in each shell from 0 to the last; 0 where none is wanted.
        symmetry: point group whose copies each site stands for, about a centre from the grid's origin; None
            for C1.
        device: torch device.
        ceiling: highest correlation with the target that is worth having, by shell from 0, (last + 1,):
            below 1 where half maps tell how much of the target is noise, or how much a fit may lack.
        whole: the same sites in the whole box, where this is a working box in it.
        missing: share of each shell's power that may be left out, (last + 1,); None where all shells are asked
            the same correlation.
    """

    grid: Grid
    numbers: NDArray[np.int32]
    band: Band
    target: C64
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

        Shells that are asked more stand out of the whitened truth, by the power 0.4: the weights' equal
        steps then err less in them, and shell weights need to make up the rest only.
        """
        emphasis = (missing.max() / missing) ** 0.4
        whole = None if self.whole is None else self.whole.sparing(missing)
        allowed = torch.from_numpy(missing).to(self.device)
        target = whitened(self.target, self.band, emphasis)
        return replace(self, target=target, whitening=self.whitening * emphasis, missing=allowed, whole=whole)

    def capped(self, ceiling: F32) -> Lattice:
        """The lattice with another ceiling, (last + 1,)."""
        whole = None if self.whole is None else self.whole.capped(ceiling)
        return replace(self, ceiling=torch.from_numpy(ceiling).to(self.device), whole=whole)

    @property
    def copies(self) -> int:
        """How many times each site appears in the box."""
        return 1 if self.symmetry is None else self.symmetry.order

    @cached_property
    def shell(self) -> torch.Tensor:
        """Shell of each mode in the band, int32."""
        return torch.from_numpy(self.band.shell).to(self.device)

    @property
    def sites(self) -> Sites:
        """Indices (n, 3), (z, y, x), of the sites, made anew: three times the memory of their numbers."""
        return site_at(self.numbers, self.shape)

    @cached_property
    def modes(self) -> torch.Tensor:
        """How many modes of the full transform each mode in the band stands for, 1 or 2, uint8."""
        return torch.from_numpy(self.band.modes).to(self.device)

    @cached_property
    def in_shell(self) -> torch.Tensor:
        """Modes of the full transform in each shell from 0, (last + 1,), float32."""
        return self.sum_shells(torch.ones(1, device=self.device))

    @cached_property
    def wanted(self) -> torch.Tensor:
        """The target on the device."""
        return torch.from_numpy(self.target).to(self.device)

    @cached_property
    def wanted_power(self) -> torch.Tensor:
        """Its power in each shell from 0, (last + 1,), float32."""
        return self.sum_shells(power(self.wanted))

    @cached_property
    def places(self) -> torch.Tensor:
        """Where each site is in the order of `SiteWaves`, (n,), int32."""
        return torch.from_numpy(self.numbers).to(self.device)

    @cached_property
    def waves(self) -> SiteWaves:
        """Sums over sites by mode, and over modes by site."""
        return SiteWaves(self.shape, self.band, self.device)

    @cached_property
    def _steps(self) -> torch.Tensor:
        """What leads from an even or an odd site to each of its 26 nearest in that order, (2, 26), inside the box."""
        _, ny, nx = (n >> 1 for n in self.shape)
        step = np.asarray(NEIGHBOURS)
        rows = []
        for odd in (0, 1):
            z, y, x = ((odd + step) >> 1).T
            rows.append(((z * ny + y) * nx + x) * 2 + ((odd + step[:, 0]) & 1) - odd)
        return torch.from_numpy(np.stack(rows).astype(np.int32)).to(self.device)

    def near(self, chosen: torch.Tensor) -> torch.Tensor:
        """Places of the 26 nearest sites (periodic), set or not, of some of the sites; (m, 26), int32."""
        place = self.places.index_select(0, chosen)
        out = place[:, None] + self._steps[(place & 1).long()]
        # Steps from the first and the last sites along an axis leave the box.
        outer = torch.zeros(len(place), dtype=torch.bool, device=self.device)
        rest = place >> 1
        for n in (self.shape[2] >> 1, self.shape[1] >> 1, self.shape[0] >> 1):
            along = rest % n
            outer |= (along == 0) | (along == n - 1)
            rest = rest // n
        at = torch.nonzero(outer).reshape(-1)
        if len(at):
            sites = site_at(place[at].cpu().numpy(), self.shape).astype(np.int64)
            every = (sites[:, None] + np.asarray(NEIGHBOURS)) % np.asarray(self.shape)
            found = site_index(every.reshape(-1, 3), self.shape).reshape(-1, len(NEIGHBOURS))
            out[at] = torch.from_numpy(found).to(self.device)
        return out

    @cached_property
    def across(self) -> torch.Tensor:
        """Pairs of sites (2, m) of which a copy of the one lies as near the other as `near` ones do."""
        pairs = [np.zeros((2, 0), np.int64)]
        if self.symmetry is not None and self.copies > 1:
            sites = self.sites
            tree, reach = cKDTree(sites), math.sqrt(8) + 1e-3
            for operator in self.symmetry.operators[1:]:
                copies = turn_sites(sites, self.shape, self.grid, self.symmetry, operator)
                close = np.flatnonzero(tree.query(copies, distance_upper_bound=reach)[0] < np.inf)
                found: Any = tree.query_ball_point(copies[close], reach)
                one = np.repeat(close, [len(others) for others in found])
                pairs.append(np.stack((one, np.concatenate([*found, []]).astype(np.int64))))
        every = np.unique(np.concatenate([*pairs, *(p[::-1] for p in pairs)], 1), axis=1)
        return torch.from_numpy(every[:, every[0] != every[1]]).to(self.device)

    @cached_property
    def _apart(self) -> list[torch.Tensor]:
        """From each site to each of its copies, (3, n) lattice steps (z, y, x), float32."""
        if self.symmetry is None:
            return []
        sites = self.sites
        turned = (
            turn_sites(sites, self.shape, self.grid, self.symmetry, operator)
            for operator in self.symmetry.operators[1:]
        )
        steps = (np.asarray((copies - sites).T, np.float32) for copies in turned)
        return [torch.from_numpy(step).to(self.device) for step in steps]

    def overlap(self, weights: torch.Tensor) -> torch.Tensor:
        """Squared length of a site's bump with all its copies, per copy, in units of one bump's, (n,); (1,) for C1.

        Args:
            weights: what an error counts in each shell from 0, (last + 1,).
        """
        if self.symmetry is None:
            return torch.ones(1, device=self.device)
        total = torch.ones(len(self.numbers), device=self.device)
        if self._apart:
            kernel = irfftn(self._half(weights[self.shell].to(torch.complex64)), self.shape).contiguous()
            for apart in self._apart:
                total += _interpolated(kernel, apart) / kernel[0, 0, 0]
        return total.clamp(min=0.25)

    def sum_shells(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a real value per mode over the full transform, by shell from 0 to the last, float32."""
        return torch.bincount(self.shell, values * self.modes, self.last + 1)

    def spectrum(self, q: torch.Tensor, was: torch.Tensor | None = None) -> torch.Tensor:
        """Modes in the band of the weights q (n,), or of what changed since `was`."""
        chosen = torch.nonzero(q if was is None else q != was).reshape(-1)
        change = q[chosen].float()
        return self.spectrum_of(chosen, change if was is None else change - was[chosen])

    def spectrum_of(self, chosen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Modes in the band of weights (m,) on some of the sites."""
        if self._on_sites is not None:
            places = self._on_sites[:, chosen].reshape(-1)
            return self.waves.spectrum(places, weights.repeat(self.copies))
        return self._spreading.spectrum(self._points[chosen], weights).reshape(-1)[self._flat]

    @cached_property
    def _points(self) -> torch.Tensor:
        """The sites on the device."""
        return torch.from_numpy(self.sites).to(self.device)

    @cached_property
    def _flat(self) -> torch.Tensor:
        """Flat index of each mode in the band in the half transform of the fine lattice."""
        return torch.from_numpy(self.band.flat(self.shape)).to(self.device)

    @cached_property
    def _spreading(self) -> Spreading:
        """Sums over copies that fall between lattice points."""
        assert self.symmetry is not None
        return Spreading(self.shape, self.grid, self.symmetry, self.device)

    @cached_property
    def _on_sites(self) -> torch.Tensor | None:
        """Place of every copy of each site, (copies, n), where all fall on sites; else None."""
        if self.symmetry is None:
            return self.places[None]
        copies, exact = copies_of(self.sites, self.shape, self.grid, self.symmetry)
        if not exact:
            return None
        found = [np.mod(np.rint(c).astype(np.int64), self.shape) for c in copies]
        if any(((c[:, 0] ^ c[:, axis]) & 1).any() for c in found for axis in (1, 2)):
            return None
        return torch.from_numpy(np.stack([site_index(c, self.shape) for c in found])).to(self.device)

    @property
    def is_exact(self) -> bool:
        """Whether the group maps sites onto sites."""
        return self._on_sites is not None

    def correlate(self, modes: torch.Tensor) -> torch.Tensor:
        """Inner product of a field, given by its modes in the band, with the bump at every site, (n,).

        The mean over all copies of the site where `is_exact`, else that at the site itself.
        """
        field = self.waves.field(modes)
        if self._on_sites is None:
            return field.index_select(0, self.places)
        pull = field.index_select(0, self._on_sites[0])
        for copy in self._on_sites[1:]:
            pull += field.index_select(0, copy)
        return pull if self.copies == 1 else pull / self.copies

    def correlate_copies(self, modes: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """As `correlate`, the mean over all copies of each of the chosen sites, wherever they fall."""
        return self._spreading.mean(self._half(modes), self._points[chosen])

    def _half(self, modes: torch.Tensor) -> torch.Tensor:
        """Half transform (nz, ny, nx // 2 + 1) of the fine lattice with these modes in the band, 0 elsewhere."""
        nz, ny, nx = self.shape
        half = torch.zeros(nz * ny * (nx // 2 + 1), dtype=torch.complex64, device=self.device)
        half[self._flat] = modes
        return half.reshape(nz, ny, nx // 2 + 1)


def whitened(modes: C64, band: Band, factors: F32) -> C64:
    """Modes of a band, each times the factor of its shell from 0."""
    out = np.empty_like(modes)
    for part in parts(len(modes), _AT_ONCE):
        np.multiply(modes[part], factors[band.shell[part]], out=out[part])
    return out


def power(modes: torch.Tensor) -> torch.Tensor:
    """Squared length of each mode."""
    out = modes.real.square()
    return out.addcmul_(modes.imag, modes.imag)


def _interpolated(volume: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Trilinear values (n,) of a periodic volume (z, y, x) at places (3, n) in its steps."""
    base = at.floor()
    share, first = at - base, base.long()
    total = torch.zeros(at.shape[1], device=volume.device)
    for corner in itertools.product((0, 1), repeat=3):
        z, y, x = ((first[a] + corner[a]) % volume.shape[a] for a in range(3))
        wz, wy, wx = (share[a] if corner[a] else 1 - share[a] for a in range(3))
        total += volume[z, y, x] * (wz * wy * wx)
    return total
