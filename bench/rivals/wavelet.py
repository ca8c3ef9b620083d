"""SPERR, a 3-D wavelet coder: on the map as it is, and as the field would use it.

"crop+sperr" codes the map Fourier-cropped to the resolution. "white+sperr" also divides every shell by its
rms amplitude, so that SPERR's equal error in every mode is an equal FSC in every shell; the gains are side
information and counted. SPERR: Li, Lindstrom and Clyne, IPDPS 2023.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from bench.rivals.codec import F32, Codec
from bench.source import Source
from nmap.grid import Grid, Shape
from nmap.spectrum import Shells, crop_spectrum, invert, shell_power, transform

_HEADER = "<4H"
# Up to this shell, how much finer than the others: low shells have few modes, and the worst of them decides.
_FINER = ((4, 0.35), (8, 0.6), (14, 0.85))


def _sperr(values: F32, psnr: float) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.sperr_encode(np.ascontiguousarray(values), psnr, "psnr", numthreads=1))


def _unsperr(data: bytes) -> F32:
    import imagecodecs

    return np.asarray(imagecodecs.sperr_decode(data, numthreads=1), np.float32)


def cropped_shape(source: Source) -> Shape:
    """Even counts (z, y, x) that hold every mode of shells 0 to the last, at most the grid's own."""
    reach = (source.last + 0.5) * source.shells.width
    half = [int(reach * edge) + 1 for edge in source.grid.edges[::-1]]
    z, y, x = (min(2 * h, n) for h, n in zip(half, source.grid.shape, strict=True))
    return (z, y, x)


def whitening_gains(source: Source, spectrum: NDArray[np.complex64]) -> F32:
    """Base-2 logarithm, as stored, of what each shell from 0 to the last is multiplied by."""
    rms = np.sqrt(shell_power(spectrum, source.shells))
    gains = 1 / np.maximum(rms, 1e-9 * rms.max())[: source.last + 1]
    lower = 0
    for upper, share in _FINER:
        gains[lower : upper + 1] /= share
        lower = upper + 1
    return np.asarray(np.log2(gains).astype(np.float16), np.float32)


def _encode_cropped(source: Source, psnr: float, white: bool) -> bytes:
    spectrum = transform(source.values)
    log_gains = whitening_gains(source, spectrum) if white else np.zeros(source.last + 1, np.float32)
    shape = cropped_shape(source)
    lattice = Shells(source.grid.resampled(shape))
    cropped = crop_spectrum(spectrum, source.grid.shape, shape) * lattice.spread(np.exp2(log_gains))
    header: bytes = struct.pack(_HEADER, *shape, source.last)
    side = log_gains.astype("<f2").tobytes() if white else b""
    return header + side + _sperr(invert(cropped, shape), psnr)


def _decode_cropped(data: bytes, grid: Grid, white: bool) -> F32:
    z, y, x, last = struct.unpack_from(_HEADER, data)
    start = struct.calcsize(_HEADER)
    gains = np.ones(last + 1, np.float32)
    if white:
        gains = np.exp2(np.frombuffer(data, "<f2", last + 1, start).astype(np.float32))
        start += 2 * (last + 1)
    shape = (z, y, x)
    spectrum = transform(_unsperr(data[start:])) * Shells(grid.resampled(shape)).spread(1 / gains)
    return invert(crop_spectrum(spectrum, shape, grid.shape), grid.shape)


SPERR = Codec(
    "sperr",
    lambda source, knob: _sperr(source.values, knob),
    lambda data, grid: _unsperr(data).reshape(grid.shape),
    (15.0, 110.0),
    "imagecodecs",
    "SPERR on the map",
)


def _cropped(name: str, white: bool, knob: tuple[float, float], words: str) -> Codec:
    """SPERR on the map Fourier-cropped to the resolution, whitened or not."""
    return Codec(
        name,
        lambda source, value: _encode_cropped(source, value, white=white),
        lambda data, grid: _decode_cropped(data, grid, white=white),
        knob,
        "imagecodecs",
        words,
    )


CROP_SPERR = _cropped(
    "crop+sperr", False, (15.0, 110.0), "SPERR on the map Fourier-cropped to the resolution"
)
WHITE_SPERR = _cropped(
    "white+sperr", True, (5.0, 90.0), "the same, each shell divided by its rms amplitude first"
)
