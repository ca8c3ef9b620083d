"""Real trigonometric polynomials over a periodic box: what a band-limited density is, everywhere.

    p(f) = sum over k of c_k exp(2 pi i k . f),    f = box fraction (z, y, x)

On grids along the box's axes the sum is separable and exact to rounding. At scattered points it is summed
directly where they are few; where they are many it is spread from a grid of twice the needed density, to 1e-5
of its range at worst (1e-6 as a rule): Barnett, Magland and af Klinteberg, "A parallel nonuniform fast
Fourier transform library based on an exponential of semicircle kernel", SIAM J. Sci. Comput. 41 (2019) C479.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import scipy.fft as sf
from numpy.typing import NDArray

from nmap.grid import Shape
from nmap.machine.threads import in_tiles, workers
from nmap.spectrum import Complex
from nmap.spectrum.spreading import SpreadingKernel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
C64 = NDArray[np.complex64]

# Points beyond which the spread sum is the faster one, at any degree.
FEW = 1500
# Spreads from fine samples; each one more of the width, in fine samples, is a digit more.
_KERNEL = SpreadingKernel(width=7, steepness=2.3)
_WIDTH = _KERNEL.width
_BLOCK = 1 << 14
# Fine samples made at once.
_FINE_BLOCK = 1 << 22


@dataclass(frozen=True)
class Samples:
    """Evenly spaced box fractions along one axis: first, first + step, ..."""

    first: float
    step: float
    count: int

    @property
    def fractions(self) -> F64:
        """All of them, (count,)."""
        return np.asarray(self.first + self.step * np.arange(self.count), np.float64)

    def part(self, span: slice) -> Samples:
        """Those from index `span.start` to before `span.stop`."""
        return Samples(self.first + self.step * span.start, self.step, span.stop - span.start)

    def chosen(self, indices: range) -> Samples:
        """Those of evenly spaced indices, in rising order."""
        return Samples(self.first + self.step * indices.start, self.step * indices.step, len(indices))

    @property
    def degree(self) -> int:
        """Highest frequency that samples this far apart can hold."""
        return int(0.5 / self.step + 1e-6)

    @property
    def period(self) -> int | None:
        """Samples in one box length where that is a whole number, to 1e-6 of a sample at the far end."""
        whole = round(1 / self.step)
        return whole if whole > 0 and abs(whole * self.step - 1) * self.count < 1e-6 else None


Axes = tuple[Samples, Samples, Samples]


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Coefficients of a real trigonometric polynomial.

    Args:
        coefficients: complex64 (2 Kz + 1, 2 Ky + 1, Kx + 1) for frequencies -Kz..Kz, -Ky..Ky, 0..Kx; those of
            negative x frequency are the conjugates of their mirrors.
    """

    coefficients: C64

    @staticmethod
    def of(spectrum: Complex, shape: Shape, degree: tuple[int, int, int]) -> Polynomial:
        """The polynomial through the samples of a half transform, without frequencies beyond `degree`.

        Args:
            spectrum: `scipy.fft.rfftn` of a volume of `shape`.
            shape: (z, y, x).
            degree: per axis, below half the count.
        """
        rows = [np.arange(-k, k + 1) % n for k, n in zip(degree[:2], shape[:2], strict=True)]
        part = spectrum[:, :, : degree[2] + 1][np.ix_(*rows)]
        return Polynomial(np.asarray(part / np.float32(np.prod(shape, dtype=np.float64)), np.complex64))

    @property
    def degree(self) -> tuple[int, int, int]:
        """Highest frequency along (z, y, x)."""
        nz, ny, nx = self.coefficients.shape
        return (nz // 2, ny // 2, nx - 1)

    def frequencies(self, axis: int) -> F64:
        """Frequencies along an axis, in cycles per box."""
        k = self.degree[axis]
        return np.arange(0 if axis == 2 else -k, k + 1, dtype=np.float64)

    def times(self, factors: NDArray[np.number], axis: int) -> Polynomial:
        """Every coefficient times the factor of its frequency along an axis."""
        shape = [1, 1, 1]
        shape[axis] = -1
        return Polynomial(self.coefficients * factors.astype(np.complex64).reshape(shape))

    def derivative(self, axis: int) -> Polynomial:
        """Derivative along a box fraction; axis 0 is z."""
        return self.times(2j * np.pi * self.frequencies(axis), axis)

    def truncated(self, degree: tuple[int, int, int]) -> Polynomial:
        """Without frequencies beyond `degree` (z, y, x)."""
        kz, ky, kx = (min(a, b) for a, b in zip(self.degree, degree, strict=True))
        z, y, _ = self.degree
        part = self.coefficients[z - kz : z + kz + 1, y - ky : y + ky + 1, : kx + 1]
        return Polynomial(np.ascontiguousarray(part))

    def on_axes(self, axes: Axes) -> F32:
        """Values on a grid along the box's axes, samples along (z, y, x); float32 (z, y, x)."""
        z, y, x = axes
        flat = self.coefficients.reshape(self.coefficients.shape[0], -1)
        part = (_waves(z.fractions, self.frequencies(0)) @ flat).reshape(-1, *self.coefficients.shape[1:])
        return _along_x(_along_y(part, y), x)

    def at(self, fractions: F64) -> F32:
        """Values at box fractions (n, 3), (z, y, x); (n,)."""
        return self._spread(fractions) if len(fractions) > FEW else self._direct(fractions)

    def _direct(self, fractions: F64) -> F32:
        nz, ny, nx = self.coefficients.shape
        flat = self.coefficients.reshape(nz, -1)
        wx = np.where(np.arange(nx) > 0, 2, 1)
        out = np.empty(len(fractions), np.float32)
        size = max(1, (1 << 23) // (ny * nx))
        for start in range(0, len(fractions), size):
            block = fractions[start : start + size]
            ez, ey, ex = (_waves(block[:, axis], self.frequencies(axis)) for axis in range(3))
            plane = (ez @ flat).reshape(-1, ny, nx)
            line = np.einsum("ny,nyx->nx", ey, plane)
            out[start : start + size] = (line * ex * wx).sum(1).real
        return out

    def _spread(self, fractions: F64) -> F32:
        """Values by interpolation from a twofold oversampled grid, made and used slab by slab."""
        fine = [max(sf.next_fast_len(2 * (2 * k + 1), True), 2 * _WIDTH) for k in self.degree]
        sharpened = self
        for axis, count in enumerate(fine):
            sharpened = sharpened.times(1 / _KERNEL.transform(self.frequencies(axis) / count), axis)
        place = np.mod(fractions, 1) * fine
        base = np.ceil(place - _WIDTH / 2)
        order = np.argsort(base[:, 0], kind="stable")
        out = np.empty(len(fractions), np.float32)
        rows = max(_WIDTH, _FINE_BLOCK // (fine[1] * fine[2]))
        bounds = np.searchsorted(base[order, 0], np.arange(-_WIDTH, fine[0] + rows, rows))
        across = tuple(Samples(-_WIDTH / n, 1 / n, n + 2 * _WIDTH) for n in fine[1:])
        for slab, (begin, end) in enumerate(itertools.pairwise(bounds)):
            if begin == end:
                continue
            first = slab * rows - _WIDTH
            along = Samples(first / fine[0], 1 / fine[0], rows + _WIDTH)
            values = sharpened.on_axes((along, across[0], across[1]))
            here = order[begin:end]

            def fill(
                part: slice, values: F32 = values, here: NDArray[np.intp] = here, first: int = first
            ) -> None:
                chosen = here[part]
                origin = np.array([first, -_WIDTH, -_WIDTH])
                out[chosen] = _interpolate(values, place[chosen], base[chosen], origin)

            in_tiles(fill, here.size, _BLOCK)
        return out


def _waves(fractions: F64, frequencies: F64) -> C64:
    """Matrix exp(2 pi i k f), (fractions, frequencies)."""
    turns = np.outer(fractions, frequencies)
    return np.asarray(np.exp(2j * np.pi * (turns - np.rint(turns))), np.complex64)


def _along_y(part: C64, samples: Samples) -> C64:
    """Evaluate the middle axis: (r, 2K + 1, h) coefficients -> (r, count, h)."""
    r, n, h = part.shape
    k = n // 2
    frequencies = np.arange(-k, k + 1, dtype=np.float64)
    period = samples.period
    if period is None or k > period // 2 or samples.count * 4 < period:
        flat = np.ascontiguousarray(part.transpose(1, 0, 2)).reshape(n, -1)
        done = _waves(samples.fractions, frequencies) @ flat
        return np.ascontiguousarray(done.reshape(-1, r, h).transpose(1, 0, 2))
    if samples.first:
        part = part * _waves(np.array([samples.first]), frequencies)[0][:, None]
    padded = np.zeros((r, period, h), np.complex64)
    padded[:, : k + 1] = part[:, k:]
    padded[:, period - k :] += part[:, :k]
    full = sf.ifft(padded, axis=1, norm="forward", overwrite_x=True, workers=workers())
    return np.asarray(_repeat(full, samples.count, 1))


def _along_x(part: C64, samples: Samples) -> F32:
    """Evaluate the last axis: (r, y, K + 1) coefficients -> (r, y, count), real."""
    k = part.shape[2] - 1
    frequencies = np.arange(k + 1, dtype=np.float64)
    period = samples.period
    if period is None or k > period // 2 or samples.count * 4 < period:
        waves = _waves(samples.fractions, frequencies).T * np.where(frequencies > 0, 2, 1)[:, None]
        real = np.stack((waves.real, -waves.imag), 1).reshape(2 * (k + 1), -1).astype(np.float32)
        values: F32 = (part.reshape(-1, k + 1).view(np.float32) @ real).reshape(*part.shape[:2], -1)
        return values
    if samples.first:
        part = part * _waves(np.array([samples.first]), frequencies)[0]
    if 2 * k == period:
        # Both signs of Nyquist fall on the one term that the inverse transform counts once.
        part = np.concatenate((part[..., :-1], 2 * part[..., -1:]), -1)
    full = sf.irfft(part, n=period, axis=2, norm="forward", workers=workers())
    return np.asarray(_repeat(full, samples.count, 2), np.float32)


def _repeat(values: NDArray[np.number], count: int, axis: int) -> NDArray[np.number]:
    """The first `count` samples of a periodic axis."""
    period = values.shape[axis]
    return values if count == period else np.take(values, np.arange(count) % period, axis)


def _interpolate(values: F32, place: F64, base: F64, origin: F64) -> F32:
    """Kernel sum over the fine samples around each point.

    Args:
        values: fine samples, (rows, ny, nx).
        place: points in fine samples, (n, 3).
        base: lowest fine sample under each kernel, (n, 3).
        origin: fine sample (z, y, x) of values[0, 0, 0].
    """
    _, ny, nx = values.shape
    start = (base - origin).astype(np.intp)
    windows = np.lib.stride_tricks.sliding_window_view(values.reshape(-1), _WIDTH)
    first = (start[:, 0] * ny + start[:, 1]) * nx + start[:, 2]
    offsets = np.arange(_WIDTH)
    wz, wy, wx = (
        _KERNEL.values(place[:, axis, None] - base[:, axis, None] - offsets).astype(np.float32)
        for axis in range(3)
    )
    out = np.zeros(len(place), np.float32)
    for dz in range(_WIDTH):
        row = np.zeros(len(place), np.float32)
        for dy in range(_WIDTH):
            row += wy[:, dy] * np.einsum("nx,nx->n", windows[first + (dz * ny + dy) * nx], wx)
        out += wz[:, dz] * row
    return out
