"""Band-limited resampling: Fourier crop and pad, and the lattice that holds a band limit."""

from __future__ import annotations

import math

import numpy as np
import scipy.fft as sf
from numpy.typing import NDArray

from nmap.grid import Grid, Shape
from nmap.machine.threads import workers
from nmap.spectrum.curve import transform
from nmap.spectrum.shells import F32, Complex, Shells


def lattice_shape(grid: Grid, band_limit: float) -> Shape:
    """Even counts (z, y, x) that hold every shell within `band_limit` (Angstrom) of the grid's box.

    Each is the smallest even 5-smooth count with Nyquist above the last shell's outer edge, or 1 along an axis
    too short for any frequency within it.
    """
    width = 1.0 / max(grid.edges)
    radius = int(1 / (band_limit * width) + 1e-6) + 0.5
    degree = [int(radius * width * edge) for edge in grid.edges[::-1]]
    z, y, x = (_even_smooth(2 * k + 2) if k else 1 for k in degree)
    return (z, y, x)


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

    Sample 0 stays in place and values keep their scale. A Nyquist plane of an even count is split between
    both signs when padding and folded when cropping, so a real volume stays real and up and down again is
    exact.
    """
    out = spectrum
    for axis in (0, 1):
        n, m = shape[axis], to[axis]
        if n != m:
            out = crop_axis(out, n, m, axis)
    n, m = shape[2], to[2]
    if m < n:
        out = out[..., : m // 2 + 1].copy()
        if m % 2 == 0:
            out[..., -1] = real_fold(out[..., -1])
    elif m > n:
        grown = np.zeros((*out.shape[:2], m // 2 + 1), out.dtype)
        grown[..., : n // 2 + 1] = out
        if n % 2 == 0:
            grown[..., n // 2] *= 0.5
        out = grown
    scale = math.prod(to) / math.prod(shape)
    return np.asarray(out * np.float32(scale), out.dtype)


def real_fold(plane: Complex) -> Complex:
    """Sum of a Nyquist plane and the conjugate of its mirror: what the missing negative frequency adds."""
    mirror = np.roll(plane[::-1, ::-1], (1, 1), (0, 1)).conj()
    return plane + mirror


def crop_axis(f: Complex, n: int, m: int, axis: int) -> Complex:
    """A transform along one axis, cropped or padded from `n` to `m` counts; its Nyquist planes as `crop_spectrum`."""
    if n == m:
        return f
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
    return np.asarray(sf.irfftn(spectrum, s=shape, workers=workers()), np.float32)


def band_limited(volume: NDArray[np.floating], grid: Grid, band_limit: float) -> F32:
    """The volume with every shell beyond `band_limit` (Angstrom) set to zero."""
    shells = Shells(grid)
    keep = np.ones(shells.last(band_limit) + 1, np.float32)
    return invert(transform(volume) * shells.spread(keep), grid.shape)


def sharpened(volume: NDArray[np.floating], grid: Grid, b_factor: float, limit: float) -> F32:
    """The volume with each mode at frequency s times exp(b s^2 / 4) to `limit` (Angstrom), and nothing beyond.

    Unlike `band_limited` it cuts at the frequency itself, not at a shell's edge, as programs for models do.

    Args:
        volume: (z, y, x).
        grid: where it lies.
        b_factor: Angstrom^2; 0 only cuts.
        limit: Angstrom.
    """
    shells, spectrum = Shells(grid), transform(volume)
    for z in range(grid.shape[0]):
        squared = (shells.radius(z) * shells.width) ** 2
        spectrum[z] *= np.where(squared <= 1 / limit**2, np.exp(b_factor * squared / 4), 0).astype(np.float32)
    return invert(spectrum, grid.shape)
