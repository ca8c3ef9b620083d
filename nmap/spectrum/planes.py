"""Volumes made plane by plane, and their transforms cut to a coarser sampling on the way.

A map of 1 GB has transforms of 1 GB. What is fitted is its band limit's lattice, far smaller: each axis is cut as soon
as it is transformed, in the order in which `scipy.fft.rfftn` takes them: what is left is what a crop of the whole
transform gives, as a rule to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import scipy.fft as sf
from numpy.typing import NDArray

from nmap.grid import Shape
from nmap.machine.threads import workers
from nmap.spectrum.curve import transform
from nmap.spectrum.resampling import crop_axis, crop_spectrum, invert, real_fold
from nmap.spectrum.shells import F32, Complex

T = TypeVar("T")

# Values that are worked on at once: some 16 MB.
_AT_ONCE = 1 << 22
# Bytes of transforms that are held at once, where they can be looked at in parts: those of two maps of 450^3.
_HELD = 750_000_000


@dataclass(frozen=True, eq=False)
class Planes:
    """A real volume (z, y, x) that is made in slabs, each when it is asked for.

    Args:
        shape: its counts.
        make: the planes of a slice along z, float32; without steps, within the shape.
        stream: all slabs in order, where that is cheaper than one by one: first plane and values.
        taken: a mean that was taken off, which the transform's zero mode gets back.
    """

    shape: Shape
    make: Callable[[slice], F32]
    stream: Callable[[], Iterator[tuple[int, F32]]] | None = None
    taken: float = 0.0

    @staticmethod
    def of(values: NDArray[np.floating] | NDArray[np.int8], minus: float = 0.0) -> Planes:
        """Of a volume in memory, less a constant."""
        shape = (values.shape[0], values.shape[1], values.shape[2])
        if minus == 0:
            return Planes(shape, lambda part: np.asarray(values[part], np.float32))
        return Planes(shape, lambda part: values[part] - np.float32(minus))

    @staticmethod
    def centred(values: F32) -> Planes:
        """Of a volume, less its mean where that is beyond the spread of the values, as `transform` has it."""
        mean = float(values.mean(dtype=np.float64))
        apart = abs(mean) > float(values.max()) - float(values.min())
        return replace(Planes.of(values, mean), taken=mean) if apart else Planes.of(values)

    def times(self, factor: Callable[[slice], F32]) -> Planes:
        """Each slab times that of a factor."""
        return Planes(self.shape, lambda part: self.make(part) * factor(part))

    def slabs(self, at_once: int = _AT_ONCE) -> Iterator[tuple[slice, F32]]:
        """All of it, some planes at a time."""
        if self.stream is not None:
            yield from ((slice(first, first + len(slab)), slab) for first, slab in self.stream())
            return
        for part in parts(self.shape[0], at_once // max(self.shape[1] * self.shape[2], 1)):
            yield part, self.make(part)


def parts(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size`, at least 1, that cover `count`."""
    size = max(size, 1)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def transform_planes(volume: Planes, to: Shape | None = None) -> Complex:
    """Half transform of a volume, cropped or padded to the sampling `to` (z, y, x), as `crop_spectrum` has it.

    A mean beyond the spread of the values is not set aside, as `transform` does: `Planes.centred` does that.
    """
    shape = volume.shape
    to = shape if to is None else to
    if any(m > n for m, n in zip(to, shape, strict=True)):
        return crop_spectrum(transform_planes(volume), shape, to)
    every = slice(0, shape[2] // 2 + 1)
    half = transform_columns(volume, every) if to == shape else _cropped(volume, to, _Cut())
    if to[2] < shape[2] and to[2] % 2 == 0:
        half[..., -1] = real_fold(half[..., -1])
    if to != shape:
        half *= np.float32(math.prod(to) / math.prod(shape))
        half[0, 0, 0] += volume.taken * math.prod(to)
    return half


def transform_columns(volume: Planes, columns: slice) -> Complex:
    """Some columns of the half transform of a volume, (z, y, columns)."""
    nz, ny, _ = volume.shape
    half = np.empty((nz, ny, columns.stop - columns.start), np.complex64)
    for part, slab in volume.slabs():
        half[part] = sf.rfft(slab, axis=2, workers=workers())[..., columns]
    _along_z(half, nz, nz)
    for part in parts(nz, _AT_ONCE // (2 * half[0].size)):
        half[part] = sf.fft(half[part], axis=1, workers=workers())
    if columns.start == 0:
        half[0, 0, 0] += volume.taken * math.prod(volume.shape)
    return half


def over_columns(volumes: Sequence[Planes], work: Callable[..., T]) -> list[T]:
    """What some work makes of the half transforms of volumes of one shape, as many columns at a time as memory allows.

    Args:
        volumes: as many times as there are parts, each is transformed along x again.
        work: is given the columns, and those of each transform, (z, y, columns).
    """
    nz, ny, nx = volumes[0].shape
    count = nx // 2 + 1
    times = -(-len(volumes) * 8 * nz * ny * count // _HELD)
    return [
        work(columns, *(transform_columns(volume, columns) for volume in volumes))
        for columns in parts(count, -(-count // times))
    ]


def transform_cut(volume: Planes, to: Shape) -> tuple[Complex, float]:
    """Half transform of a volume cropped to a coarser sampling `to` (z, y, x), and the power that is cut off.

    The power is the sum of squared amplitudes over the modes of the full transform, in the scale of what is returned.
    """
    shape, cut = volume.shape, _Cut()
    half = _cropped(volume, to, cut)
    if to[2] < shape[2] and to[2] % 2 == 0:
        half[..., -1] = real_fold(half[..., -1])
    scale = math.prod(to) / math.prod(shape)
    half *= np.float32(scale)
    return half, cut.power * scale**2


@dataclass
class _Cut:
    """Sums up the power of what is cut off, axis by axis: a small number is not the difference of two large ones."""

    power: float = 0.0

    def x(self, lines: Complex, kept: int, samples: int, times: int) -> None:
        """Columns from `kept` on of lines half transformed along x; each stands for so many modes of other axes."""
        rest = lines[..., kept:]
        weight = np.full(rest.shape[-1], 2.0)
        if samples % 2 == 0:
            weight[-1:] = 1.0
        self.power += times * float((rest.real**2 + rest.imag**2).sum((0, 1), dtype=np.float64) @ weight)

    def across(self, lines: Complex, kept: int, axis: int, weight: NDArray[np.floating], times: int) -> None:
        """Frequencies that a count of `kept` does not hold, of lines transformed along an axis."""
        n = lines.shape[axis]
        rest = np.take(lines, np.arange(kept // 2 + 1, n - kept // 2), axis)
        self.power += times * float((rest.real**2 + rest.imag**2).sum((0, 1), dtype=np.float64) @ weight)


def resample_planes(volume: Planes, shape: Shape) -> F32:
    """The volume at other counts over the same periodic box, by Fourier crop or pad; as `resample`."""
    if volume.shape == shape:
        out = np.empty(shape, np.float32)
        for part, slab in volume.slabs():
            out[part] = slab
        return out
    return invert(transform_planes(volume, shape), shape)


def invert_onto(half: Complex, shape: Shape, to: Shape) -> F32:
    """Volume at the finer sampling `to` of a half transform at `shape`; as padding and `invert` give it."""
    if any(m < n for m, n in zip(to, shape, strict=True)):
        return invert(crop_spectrum(half, shape, to), to)
    lines = np.empty((shape[0], to[1], half.shape[2]), np.complex64)
    for part in parts(shape[0], _AT_ONCE // (2 * lines[0].size)):
        lines[part] = sf.ifft(crop_axis(half[part], shape[1], to[1], 1), axis=1, workers=workers())
    wide = np.empty((to[0], to[1], half.shape[2]), np.complex64)
    for part in parts(to[1], _AT_ONCE // (2 * wide[:, 0].size)):
        wide[:, part] = sf.ifft(crop_axis(lines[:, part], shape[0], to[0], 0), axis=0, workers=workers())
    del lines
    out = np.empty(to, np.float32)
    scale = np.float32(math.prod(to) / math.prod(shape))
    for part in parts(to[0], _AT_ONCE // (to[1] * to[2])):
        row = wide[part] * scale
        if shape[2] % 2 == 0 and to[2] > shape[2]:
            row[..., -1] *= np.float32(0.5)  # the Nyquist plane is split between both signs
        out[part] = sf.irfft(row, n=to[2], axis=2, workers=workers())
    return out


def transform_values(values: NDArray[np.floating], to: Shape | None = None) -> Complex:
    """As `transform`, whose result it is but for rounding, with next to no memory beside it; as cropped to `to`."""
    if values.dtype != np.float32 and to is None:
        return transform(values)
    return transform_planes(Planes.centred(np.asarray(values, np.float32)), to)


def _along_x(volume: Planes, to: Shape, cut: _Cut) -> Complex:
    """Transformed along x and cut there, (nz, ny, to // 2 + 1)."""
    nz, ny, nx = volume.shape
    half = np.empty((nz, ny, to[2] // 2 + 1), np.complex64)
    for part, slab in volume.slabs():
        lines = sf.rfft(slab, axis=2, workers=workers())
        half[part] = lines[..., : half.shape[2]]
        if to[2] < nx:
            cut.x(lines, half.shape[2], nx, nz * ny)
    return half


def _along_z(half: Complex, nz: int, mz: int, cut: Callable[[Complex, int], None] | None = None) -> None:
    """Transform along z in place, cut to the first `mz` planes."""
    for part in parts(half.shape[1], _AT_ONCE // (2 * nz * half.shape[2])):
        lines = sf.fft(half[:, part], axis=0, workers=workers())
        if mz < nz and cut is not None:
            cut(lines, mz)
        half[:mz, part] = lines if mz == nz else crop_axis(lines, nz, mz, 0)


def _cropped(volume: Planes, to: Shape, cut: _Cut) -> Complex:
    nz, ny, nx = volume.shape
    half = _along_x(volume, to, cut)
    weight = np.full(half.shape[2], 2.0)
    weight[0] = 1.0
    if to[2] == nx and nx % 2 == 0:
        weight[-1] = 1.0
    _along_z(half, nz, to[0], lambda lines, kept: cut.across(lines, kept, 0, weight, ny))
    out = np.empty((to[0], to[1], half.shape[2]), np.complex64)
    for part in parts(to[0], _AT_ONCE // (2 * half[0].size)):
        lines = sf.fft(half[part], axis=1, workers=workers())
        if to[1] < ny:
            cut.across(lines, to[1], 1, weight, 1)
        out[part] = crop_axis(lines, ny, to[1], 1)
    return out
