"""Copies of lattice sites that fall between lattice points: their sum's transform and its adjoint, on a device.

`nmap.model.radial_basis.centres_spectrum` computes the same sum in numpy for a decoder; here nothing leaves the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nmap.fit.device import irfftn, rfftn
from nmap.grid import Grid, Shape
from nmap.model.radial_basis import SPREADING, turn_sites
from nmap.point_group import PointGroup

# Places whose footprints are laid out at once: each is `SPREADING.width` ** 3 lattice points.
_AT_ONCE = {"cpu": 1 << 12, "cuda": 1 << 17}


class Spreading:
    """Sums over all copies of sites under a point group.

    Args:
        shape: counts of the lattice (z, y, x) over the box.
        grid: the lattice as a grid.
        symmetry: point group.
        device: torch device.
    """

    def __init__(self, shape: Shape, grid: Grid, symmetry: PointGroup, device: torch.device) -> None:
        self._shape, self._order, self._device = shape, symmetry.order, device
        corners = np.concatenate((np.zeros((1, 3)), np.eye(3)))
        turned = [turn_sites(corners, shape, grid, symmetry, operator) for operator in symmetry.operators]
        # A rotation is affine: where the origin goes, and what a step along each axis adds.
        self._start = torch.from_numpy(np.stack([t[0] for t in turned])).to(device)
        self._steps = torch.from_numpy(np.stack([t[1:] - t[0] for t in turned])).to(device)
        self._sharp = []
        for axis, n in enumerate(shape):
            k = np.fft.rfftfreq(n) if axis == 2 else np.fft.fftfreq(n)
            inverse = (1 / SPREADING.transform(np.asarray(k, np.float64))).astype(np.float32)
            wide = inverse.reshape([-1 if a == axis else 1 for a in range(3)])
            self._sharp.append(torch.from_numpy(wide).to(device))

    def spectrum(self, sites: Tensor, weights: Tensor) -> Tensor:
        """Half transform, complex64, of weighted sites and all their copies.

        Args:
            sites: lattice indices (n, 3), (z, y, x).
            weights: (n,), float32.
        """
        volume = torch.zeros(self._shape, device=self._device).reshape(-1)
        every = weights.repeat(self._order)
        for part, flat, share in self._footprints(sites):
            volume.index_add_(0, flat.reshape(-1), (share * every[part, None, None, None]).reshape(-1))
        return self._sharpened(rfftn(volume.reshape(self._shape)))

    def mean(self, half: Tensor, sites: Tensor) -> Tensor:
        """Mean of a field over all copies of each site, (n,), float32.

        Args:
            half: transform on the lattice; 0 beyond 0.7 of the lattice's Nyquist.
            sites: lattice indices (n, 3), (z, y, x).
        """
        volume = irfftn(self._sharpened(half), self._shape).reshape(-1)
        parts = [
            torch.einsum("nzyx,nzyx->n", torch.take(volume, flat), share)
            for _, flat, share in self._footprints(sites)
        ]
        total = torch.cat([volume.new_zeros(0), *parts]).reshape(self._order, -1)
        out: Tensor = total.mean(0)
        return out

    def _sharpened(self, half: Tensor) -> Tensor:
        """A half transform divided by that of the spreading kernel."""
        for inverse in self._sharp:
            half = half * inverse
        return half

    def _footprints(self, sites: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Copies of the sites, group element by group element, in parts: lattice points (flat) and kernel values."""
        at, count = sites.to(torch.float64), len(sites)
        offsets = torch.arange(SPREADING.width, device=self._device)
        size = _AT_ONCE[self._device.type]
        _, ny, nx = self._shape
        for start in range(0, self._order * count, size):
            part = slice(start, min(start + size, self._order * count))
            row = torch.arange(part.start, part.stop, device=self._device)
            turn = row // count
            place = self._start[turn] + torch.einsum("na,nab->nb", at[row % count], self._steps[turn])
            base = torch.ceil(place - SPREADING.width / 2)
            apart = (place - base)[:, :, None] - offsets
            wz, wy, wx = SPREADING.values(apart, torch.exp).float().unbind(1)
            index = base.long()[:, :, None] + offsets
            z, y, x = (index[:, a] % n for a, n in enumerate(self._shape))
            flat = (z[:, :, None, None] * ny + y[:, None, :, None]) * nx + x[:, None, None, :]
            yield part, flat, wz[:, :, None, None] * wy[:, None, :, None] * wx[:, None, None, :]
