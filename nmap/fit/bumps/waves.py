"""Transforms between a body-centred lattice's sites and the modes of a band, at a quarter of the fine lattice's cost.

Half of the sites have even indices, half odd ones: two lattices of half the counts, of which one is moved by a fine
step along every axis. Their transforms E and O have half the counts too, and repeat beyond: a mode k of both is

    E(k) + w(k) O(k),    w(k) = exp(-2 pi i (kz / Nz + ky / Ny + kx / Nx)),    N the fine lattice's counts

and one complex transform Z of even + i odd gives both: E(k) = (Z(k) + Z*(-k)) / 2, O(k) = (Z(k) - Z*(-k)) / 2i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.fit.device import fftn, ifftn
from nmap.grid import Grid, Shape
from nmap.spectrum import Shells


@dataclass(frozen=True, eq=False)
class Band:
    """The modes of a half transform that count, in C order.

    Attributes:
        index: frequencies along (z, y, x), cycles per box, (3, n).
        shell: shell of each mode, at least 1, (n,).
        modes: modes of the full transform that each stands for, (n,).
    """

    index: NDArray[np.int32]
    shell: NDArray[np.int32]
    modes: NDArray[np.float32]

    @staticmethod
    def of(grid: Grid, width: float, last: int) -> Band:
        """Modes but the zero one in shells of this width (1/Angstrom), up to the last."""
        shells, nz, ny = Shells(grid), grid.shape[0], grid.shape[1]
        parts = []
        for z in range(nz):
            index = shells.plane_at(z, width)
            y, x = np.nonzero(index <= last)
            if not z:
                y, x = y[1:], x[1:]
            k = (
                np.full(y.size, z - nz * (z > nz // 2)),
                y - ny * (y > ny // 2),
                x,
                np.maximum(index[y, x], 1),
            )
            parts.append(np.stack(k).astype(np.int32))
        every = np.concatenate(parts, 1)
        return Band(every[:3], every[3], shells.multiplicity[every[2]])

    def flat(self, shape: Shape) -> NDArray[np.int64]:
        """Flat index of each mode in the half transform of a sampling (z, y, x) that holds all of them."""
        z, y, x = self.index.astype(np.int64)
        return np.asarray(((z % shape[0]) * shape[1] + y % shape[1]) * (shape[2] // 2 + 1) + x, np.int64)

    def of_spectrum(
        self, half: NDArray[np.complexfloating], shape: Shape, to: Shape
    ) -> NDArray[np.complex64]:
        """The modes of a half transform at the sampling `shape`, scaled as at the sampling `to`."""
        scale = np.float32(math.prod(to) / math.prod(shape))
        return np.asarray(half.reshape(-1)[self.flat(shape)] * scale, np.complex64)


def site_index(sites: NDArray[np.integer], shape: Shape) -> NDArray[np.int32]:
    """Place of sites (n, 3), (z, y, x), in the order of `SiteWaves`."""
    z, y, x = (np.asarray(sites[:, a], np.int64) for a in range(3))
    return np.asarray(
        (((z >> 1) * (shape[1] >> 1) + (y >> 1)) * (shape[2] >> 1) + (x >> 1)) * 2 + (z & 1), np.int32
    )


class SiteWaves:
    """Sums over sites by mode, and over modes by site.

    All sites of the box, set or not, have their place: that of the even site (2k, 2j, 2i) is twice the flat index of
    (k, j, i) in the half counts, that of (2k + 1, 2j + 1, 2i + 1) is the next one.

    Args:
        shape: counts of the fine lattice (z, y, x), even.
        band: modes.
        device: torch device.
    """

    def __init__(self, shape: Shape, band: Band, device: torch.device) -> None:
        nz, ny, nx = (n // 2 for n in shape)
        self._half = (nz, ny, nx)
        z, y, x = (k.astype(np.int64) for k in band.index)
        self._there = torch.from_numpy((((z % nz) * ny + y % ny) * nx + x % nx).astype(np.int32)).to(device)
        self._mirror = torch.from_numpy(
            ((((-z) % nz) * ny + (-y) % ny) * nx + (-x) % nx).astype(np.int32)
        ).to(device)
        turn = -2 * np.pi * sum(k / n for k, n in zip((z, y, x), shape, strict=True))
        # (1 - i w) / 2 and (1 + i w) / 2 add up to 1.
        share = np.asarray((1 - 1j * np.exp(1j * turn)) / 2, np.complex64)
        self._share = torch.from_numpy(share).to(device)
        # Modes in the plane kx = 0 have their mirrors in the list.
        self._paired = torch.from_numpy(np.flatnonzero(band.modes == 2).astype(np.int32)).to(device)
        self._every = int(self._paired.numel()) == len(share)
        self._work = torch.zeros(math.prod(self._half), dtype=torch.complex64, device=device)

    def spectrum(self, places: Tensor, weights: Tensor) -> Tensor:
        """Modes of weighted sites, complex64.

        Args:
            places: where the sites are, (n,).
            weights: (n,), float32.
        """
        self._work.zero_()
        torch.view_as_real(self._work).reshape(-1).index_add_(0, places, weights)
        z = fftn(self._work.reshape(self._half)).reshape(-1)
        straight, turned = (
            z.index_select(0, self._there),
            z.index_select(0, self._mirror).conj().resolve_conj(),
        )
        straight -= turned
        straight *= self._share
        straight += turned
        return straight

    def field(self, modes: Tensor) -> Tensor:
        """Sum of the waves of a real field at every site, float32; the next call overwrites it."""
        self._work.zero_()
        pulled = modes * (2 * self._share).conj()
        self._work.index_add_(0, self._there, pulled)
        mirrored = (modes * (2 - 2 * self._share).conj()).conj().resolve_conj()
        if self._every:
            self._work.index_add_(0, self._mirror, mirrored)
        else:
            self._work.index_add_(
                0, self._mirror.index_select(0, self._paired), mirrored.index_select(0, self._paired)
            )
        return torch.view_as_real(ifftn(self._work.reshape(self._half))).reshape(-1)
