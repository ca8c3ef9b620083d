"""Fourier shells of a box: the only place that knows shell arithmetic.

One convention everywhere. Shell index = round(radius / width) with width = 1/(longest box edge), which for a cube is
RELION's round(radius in Fourier pixels). Every mode of the full transform counts once: the half-complex array is
weighted 2, and 1 on its self-conjugate planes. Frequency of a shell = index * width, in 1/Angstrom. Curves end at the
last shell that every axis still holds (Nyquist). Volumes are (z, y, x); spectra are `scipy.fft.rfftn` of them,
(z, y, x // 2 + 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft as sf
from numpy.typing import NDArray

from nmap.errors import GridError, OptionError
from nmap.grid import Grid, Shape

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Complex = NDArray[np.complexfloating]

CONVENTION = (
    "shell = round(radius * longest edge), width 1/(longest edge); every Fourier mode counted once; "
    "real part of the cross term; to Nyquist"
)


@dataclass(frozen=True, eq=False)
class Shells:
    """Shells of the half-complex transform on `grid`."""

    grid: Grid

    @property
    def width(self) -> float:
        """Shell width, 1/Angstrom."""
        return 1.0 / max(self.grid.edges)

    @cached_property
    def index(self) -> NDArray[np.uint16]:
        """Shell of every mode, (nz, ny, nx // 2 + 1)."""
        nz, ny, nx = self.grid.shape
        h, k, m = sf.rfftfreq(nx, 1 / nx), sf.fftfreq(ny, 1 / ny), sf.fftfreq(nz, 1 / nz)
        g = self.grid.reciprocal.T @ self.grid.reciprocal / self.width**2
        plane = g[0, 0] * h**2 + g[1, 1] * (k**2)[:, None] + 2 * g[0, 1] * k[:, None] * h
        slope = 2 * (g[0, 2] * h + g[1, 2] * k[:, None])
        out = np.empty((nz, ny, nx // 2 + 1), np.uint16)
        for z, mz in enumerate(m):
            radius = np.sqrt(np.maximum(plane + slope * mz + g[2, 2] * mz * mz, 0))
            out[z] = np.rint(radius)
        return out

    @cached_property
    def multiplicity(self) -> F32:
        """How many modes of the full transform each column of the half transform stands for, (nx // 2 + 1,)."""
        nx = self.grid.shape[2]
        weight = np.full(nx // 2 + 1, 2.0, np.float32)
        weight[0] = 1
        if nx % 2 == 0:
            weight[-1] = 1
        return weight

    @property
    def count(self) -> int:
        """Shells up to Nyquist, with shell 0."""
        return int(self.grid.nyquist / self.width + 1e-6) + 1

    @property
    def frequency(self) -> F64:
        """Centre of each shell up to Nyquist, 1/Angstrom."""
        return np.arange(self.count) * self.width

    def sum(self, values: NDArray[np.floating]) -> F64:
        """Sum over the modes of each shell up to Nyquist of a real array on the half transform."""
        total = np.zeros(0)
        for index, plane in zip(self.index, values, strict=True):
            part = np.bincount(index.ravel(), (plane * self.multiplicity).ravel())
            if part.size > total.size:
                total = np.pad(total, (0, part.size - total.size))
            total[: part.size] += part
        return np.pad(total, (0, max(self.count - total.size, 0)))[: self.count]

    @cached_property
    def modes(self) -> F64:
        """Modes of the full transform in each shell up to Nyquist."""
        return self.sum(np.broadcast_to(np.float32(1), self.index.shape))

    def last(self, resolution: float) -> int:
        """Index of the last shell within `resolution` (Angstrom), at most Nyquist's."""
        if not (math.isfinite(resolution) and resolution > 0):
            raise OptionError(f"resolution {resolution} A: wanted a positive number")
        return min(int(1 / (resolution * self.width) + 1e-6), self.count - 1)

    def spread(self, gains: NDArray[np.floating]) -> F32:
        """Per-shell `gains` laid over the half transform; 0 beyond the last one."""
        table = np.zeros(int(self.index.max()) + 1, np.float32)
        table[: min(gains.size, table.size)] = gains[: table.size]
        return table[self.index]


@dataclass(frozen=True)
class ShellCurve:
    """A correlation by Fourier shell, from shell 0 to Nyquist.

    Attributes:
        frequency: shell centres, 1/Angstrom.
        fsc: correlation of each shell, -1 to 1; 0 where a shell of either map is empty.
        modes: Fourier modes in each shell.
    """

    frequency: F64
    fsc: F64
    modes: F64

    def crossing(self, threshold: float) -> float | None:
        """Resolution in Angstrom at which the curve first falls below `threshold`; None if it never does.

        Linear interpolation between the last shell above and the first one below; shell 0 is left out.
        """
        below = np.flatnonzero(self.fsc[1:] < threshold)
        if not below.size:
            return None
        b = int(below[0]) + 1
        if b == 1:
            return float(1 / self.frequency[1])
        f0, f1, c0, c1 = self.frequency[b - 1], self.frequency[b], self.fsc[b - 1], self.fsc[b]
        return float(1 / (f0 + (c0 - threshold) / (c0 - c1) * (f1 - f0)))

    def worst(self, resolution: float | None = None) -> float:
        """Lowest correlation over shells 1 to `resolution` (Angstrom; Nyquist if None)."""
        last = self.fsc.size - 1
        if resolution is not None:
            last = min(int(1 / (resolution * self.frequency[1]) + 1e-6), last)
        return float(self.fsc[1 : last + 1].min())


def transform(volume: NDArray[np.floating]) -> Complex:
    """Half-complex float32 transform of a (z, y, x) volume."""
    return np.asarray(sf.rfftn(np.asarray(volume, np.float32), workers=-1))


def correlate_shells(fa: Complex, fb: Complex, shells: Shells) -> ShellCurve:
    """Fourier shell correlation of two half-complex transforms on the same grid."""
    cross = shells.sum(fa.real * fb.real + fa.imag * fb.imag)
    pa = shells.sum(fa.real**2 + fa.imag**2)
    pb = shells.sum(fb.real**2 + fb.imag**2)
    norm = np.sqrt(pa * pb)
    fsc = np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)
    return ShellCurve(shells.frequency, fsc, shells.modes)


def fsc(
    a: NDArray[np.floating], b: NDArray[np.floating], grid: Grid, mask: NDArray[np.floating] | None = None
) -> ShellCurve:
    """Fourier shell correlation of two volumes (z, y, x) on `grid`, both multiplied by `mask` first if given.

    Source: Harauz and van Heel, Optik 73 (1986) 146; shells as at the head of this module.

    Raises:
        GridError: a volume or the mask does not have the grid's shape.
    """
    for name, volume in (("first map", a), ("second map", b), ("mask", mask)):
        if volume is not None and volume.shape != grid.shape:
            raise GridError(f"{name} has shape {volume.shape}, the grid {grid.shape} (z, y, x): resample it first")
    if mask is not None:
        a, b = a * mask, b * mask
    return correlate_shells(transform(a), transform(b), Shells(grid))


def power(volume: NDArray[np.floating], grid: Grid) -> F64:
    """Mean squared Fourier amplitude of each shell up to Nyquist, of a (z, y, x) volume; DFT without 1/N."""
    shells = Shells(grid)
    f = transform(volume)
    out: F64 = shells.sum(f.real**2 + f.imag**2) / np.maximum(shells.modes, 1)
    return out


def lattice_shape(grid: Grid, band_limit: float) -> Shape:
    """Even counts (z, y, x) that hold every shell within `band_limit` (Angstrom) of the grid's box.

    Each is the smallest even 5-smooth count with Nyquist above the last shell's outer edge.
    """
    width = 1.0 / max(grid.edges)
    radius = int(1 / (band_limit * width) + 1e-6) + 0.5
    shape = [_even_smooth(2 * int(radius * width * edge) + 2) for edge in grid.edges[::-1]]
    return (shape[0], shape[1], shape[2])


def _even_smooth(n: int) -> int:
    n += n % 2
    while True:
        rest = n
        for p in (2, 3, 5):
            while rest % p == 0:
                rest //= p
        if rest == 1:
            return n
        n += 2


def crop_spectrum(spectrum: Complex, shape: Shape, to: Shape) -> Complex:
    """Fourier crop or pad of a half transform from the sampling `shape` to `to`, both (z, y, x).

    Sample 0 stays in place and values keep their scale. A Nyquist plane of an even count is split between both signs
    when padding and folded when cropping, so a real volume stays real and a round trip up and down is exact.
    """
    out = spectrum
    for axis in (0, 1):
        n, m = shape[axis], to[axis]
        if n != m:
            out = _crop_axis(out, n, m, axis)
    n, m = shape[2], to[2]
    if m < n:
        out = out[..., : m // 2 + 1].copy()
        if m % 2 == 0:
            out[..., -1] = _real_fold(out[..., -1])
    elif m > n:
        grown = np.zeros((*out.shape[:2], m // 2 + 1), out.dtype)
        grown[..., : n // 2 + 1] = out
        if n % 2 == 0:
            grown[..., n // 2] *= 0.5
        out = grown
    scale = math.prod(to) / math.prod(shape)
    return np.asarray(out * np.float32(scale), out.dtype)


def _real_fold(plane: Complex) -> Complex:
    """Sum of a Nyquist plane and the conjugate of its mirror: what the missing negative frequency adds."""
    mirror = np.roll(plane[::-1, ::-1], (1, 1), (0, 1)).conj()
    return plane + mirror


def _crop_axis(f: Complex, n: int, m: int, axis: int) -> Complex:
    f = np.moveaxis(f, axis, 0)
    out = np.zeros((m, *f.shape[1:]), f.dtype)
    k = min(n, m)
    half = (k + 1) // 2
    out[:half] = f[:half]
    if k > 1:
        out[m - (k - half) :] = f[n - (k - half) :]
    if k % 2 == 0:
        if m > n:
            out[k // 2] = out[m - k // 2] = 0.5 * f[k // 2]
        else:
            out[k // 2] = f[k // 2] + f[n - k // 2]
    return np.moveaxis(out, 0, axis)


def resample(volume: NDArray[np.floating], shape: Shape) -> F32:
    """The (z, y, x) volume at other counts over the same periodic box, by Fourier crop or pad."""
    if tuple(volume.shape) == tuple(shape):
        return np.array(volume, np.float32)
    was = (volume.shape[0], volume.shape[1], volume.shape[2])
    return invert(crop_spectrum(transform(volume), was, shape), shape)


def invert(spectrum: Complex, shape: Shape) -> F32:
    """Real (z, y, x) volume of a half transform."""
    return np.asarray(sf.irfftn(spectrum, s=shape, workers=-1), np.float32)


def band_limited(volume: NDArray[np.floating], grid: Grid, band_limit: float) -> F32:
    """The volume with every shell beyond `band_limit` (Angstrom) set to zero."""
    shells = Shells(grid)
    keep = np.ones(shells.last(band_limit) + 1, np.float32)
    return invert(transform(volume) * shells.spread(keep), grid.shape)
