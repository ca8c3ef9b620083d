"""Transforms between a body-centred lattice's sites and the modes of a band, at a quarter of the fine lattice's cost.

Half of the sites have even indices, half odd ones: two lattices of half the counts, of which one is moved by a fine
step along every axis. Their transforms E and O have half the counts too, and repeat beyond: a mode k of both is

    E(k) + w(k) O(k),    w(k) = exp(-2 pi i (kz / Nz + ky / Ny + kx / Nx)),    N the fine lattice's counts

and one complex transform Z of even + i odd gives both: E(k) = (Z(k) + Z*(-k)) / 2, O(k) = (Z(k) - Z*(-k)) / 2i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.fit.device import fftn, ifftn
from nmap.grid import Grid, Shape
from nmap.spectrum import Shells
from nmap.spectrum.planes import parts

# Sites that are worked on at once.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Band:
    """The modes of a half transform that count, in C order.

    Attributes:
        index: frequencies along (z, y, x), cycles per box, (3, n).
        shell: shell of each mode, at least 1, (n,).
        modes: modes of the full transform that each stands for, 1 or 2, (n,).
    """

    index: NDArray[np.signedinteger[Any]]
    shell: NDArray[np.int32]
    modes: NDArray[np.uint8]

    @staticmethod
    def of(grid: Grid, width: float, last: int) -> Band:
        """Modes but the zero one in shells of this width (1/Angstrom), up to the last."""
        shells, nz, ny = Shells(grid), grid.shape[0], grid.shape[1]
        kind = np.int16 if max(grid.shape) < np.iinfo(np.int16).max else np.int32
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
            parts.append(np.stack(k).astype(kind))
        every = np.concatenate(parts, 1)
        return Band(every[:3], every[3].astype(np.int32), shells.multiplicity.astype(np.uint8)[every[2]])

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


def site_at(places: NDArray[np.int32], shape: Shape) -> NDArray[np.signedinteger[Any]]:
    """Sites (n, 3), (z, y, x), at places in the order of `SiteWaves`."""
    out = np.empty((len(places), 3), np.int16 if max(shape) < np.iinfo(np.int16).max else np.int32)
    for part in parts(len(places), _AT_ONCE):
        rest, odd = places[part] >> 1, places[part] & 1
        for axis in (2, 1, 0):
            n = shape[axis] >> 1
            out[part, axis] = 2 * (rest % n) + odd
            rest //= n
    return out


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
        self._half = (shape[0] // 2, shape[1] // 2, shape[2] // 2)
        self._there = torch.from_numpy(_wrapped(band.index, self._half)).to(device)
        self._mirror = torch.from_numpy(_wrapped(-band.index, self._half)).to(device)
        # (1 - i w) / 2 and (1 + i w) / 2 add up to 1.
        self._share = torch.from_numpy(_shares(band, shape)).to(device)
        # Modes in the plane kx = 0 have their mirrors in the list.
        self._alone = torch.from_numpy(np.flatnonzero(band.modes == 1)).to(device)
        self._work = torch.zeros(math.prod(self._half), dtype=torch.complex64, device=device)

    def empty(self) -> Tensor:
        """Zeros for every site of the box, float32; the next call of anything here overwrites them."""
        return torch.view_as_real(self._work.zero_()).reshape(-1)

    def spectrum(self, places: Tensor, weights: Tensor) -> Tensor:
        """Modes of weighted sites, complex64.

        Args:
            places: where the sites are, (n,).
            weights: (n,), float32.
        """
        self.empty().index_add_(0, places, weights)
        z = fftn(self._work.reshape(self._half)).reshape(-1)
        straight, turned = z.index_select(0, self._there), z.index_select(0, self._mirror).conj_physical_()
        straight -= turned
        straight *= self._share
        straight += turned
        return straight

    def field(self, modes: Tensor) -> Tensor:
        """Sum of the waves of a real field at every site, float32; the next call overwrites it."""
        self._work.zero_()
        # 2 a* c and the rest of 2 c, a the share.
        pulled = self._share.conj_physical()
        pulled *= modes
        pulled *= 2
        self._work.index_add_(0, self._there, pulled)
        rest = pulled.mul_(-0.5).add_(modes).mul_(2).conj_physical_()
        rest[self._alone] = 0
        self._work.index_add_(0, self._mirror, rest)
        return torch.view_as_real(ifftn(self._work.reshape(self._half))).reshape(-1)


def _wrapped(index: NDArray[np.signedinteger[Any]], shape: Shape) -> NDArray[np.int32]:
    """Flat index of frequencies (3, n), (z, y, x), in a full transform of these counts, which repeats."""
    out = np.zeros(index.shape[1], np.int32)
    for k, n in zip(index, shape, strict=True):
        out *= n
        out += k % n
    return out


def _shares(band: Band, shape: Shape) -> NDArray[np.complex64]:
    """(1 - i w) / 2 of each mode."""
    tables = [np.exp(-2j * np.pi * np.arange(-n // 2, n // 2) / n).astype(np.complex64) for n in shape]
    out = np.full(len(band.shell), -0.5j, np.complex64)
    for k, table in zip(band.index, tables, strict=True):
        out *= table[k + len(table) // 2]
    out += np.float32(0.5)
    return out
