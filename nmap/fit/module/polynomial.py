"""A trigonometric polynomial at scattered points in torch, with derivatives by its coefficients and by the points.

The same sums as `nmap.sampling.polynomial`: spread from a grid of twice the needed density (Barnett, Magland and af
Klinteberg 2019), exact to 1e-5 of the range.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft as sf
import torch
from torch import Tensor

from nmap.grid import Shape
from nmap.spectrum.spreading import SpreadingKernel

_WIDTH = 7
_KERNEL = SpreadingKernel(width=_WIDTH, steepness=2.3)
# Points whose 7^3 neighbours are held at once.
_PART = 1 << 14


class Scattered:
    """Evaluates half transforms on a lattice at box fractions.

    Args:
        shape: of the lattice (z, y, x).
        degree: highest frequency along (z, y, x) that is kept.
    """

    def __init__(self, shape: Shape, degree: Shape) -> None:
        self._shape, self._degree = shape, degree
        self._fine = [max(sf.next_fast_len(2 * (2 * k + 1), True), 2 * _WIDTH) for k in degree]
        self._sharpening = []
        for axis, (k, count) in enumerate(zip(degree, self._fine, strict=True)):
            frequencies = np.arange(0 if axis == 2 else -k, k + 1, dtype=np.float64)
            factors = (1 / _KERNEL.transform(frequencies / count)).astype(np.float32)
            self._sharpening.append(torch.from_numpy(factors))

    def fine(self, spectrum: Tensor) -> Tensor:
        """Samples (z, y, x) of the oversampled grid, from a half transform."""
        nz, ny, _ = self._shape
        kz, ky, kx = self._degree
        device = spectrum.device
        rows = [torch.arange(-k, k + 1, device=device) % n for k, n in ((kz, nz), (ky, ny))]
        part = spectrum[rows[0]][:, rows[1]][:, :, : kx + 1]
        for axis, factors in enumerate(self._sharpening):
            part = part * factors.to(device).view([-1 if a == axis else 1 for a in range(3)])
        fz, fy, fx = self._fine
        full = torch.zeros((fz, fy, fx // 2 + 1), dtype=part.dtype, device=device)
        to = [torch.arange(-k, k + 1, device=device) % f for k, f in ((kz, fz), (ky, fy))]
        full = full.index_put(
            (to[0][:, None, None], to[1][:, None], torch.arange(kx + 1, device=device)), part
        )
        out: Tensor = torch.fft.irfftn(full, s=(fz, fy, fx), norm="forward")
        return out / math.prod(self._shape)

    def at(self, fine: Tensor, fractions: Tensor) -> Tensor:
        """Values (n,) at box fractions (n, 3), (z, y, x), from the fine samples."""
        starts = range(0, len(fractions), _PART)
        parts = [self._at(fine, fractions[start : start + _PART]) for start in starts]
        return torch.cat(parts) if parts else fractions.new_zeros(0)

    def _at(self, fine: Tensor, fractions: Tensor) -> Tensor:
        count = torch.tensor(self._fine, device=fractions.device)
        place = torch.remainder(fractions, 1) * count
        base = torch.ceil(place.detach() - _WIDTH / 2)
        offsets = torch.arange(_WIDTH, device=fractions.device)
        index = torch.remainder(base[:, :, None].long() + offsets, count[:, None])
        distance = place[:, :, None] - base[:, :, None] - offsets
        # A hair inside the kernel's edge, where its slope is infinite and its value next to nothing.
        distance = distance.clamp(-_WIDTH / 2 + 1e-4, _WIDTH / 2 - 1e-4)
        wz, wy, wx = _KERNEL.values(distance, torch.exp).to(fine.dtype).unbind(1)
        z, y, x = index.unbind(1)
        flat = (z[:, :, None, None] * self._fine[1] + y[:, None, :, None]) * self._fine[2] + x[
            :, None, None, :
        ]
        return torch.einsum("nzyx,nz,ny,nx->n", fine.reshape(-1)[flat], wz, wy, wx)
