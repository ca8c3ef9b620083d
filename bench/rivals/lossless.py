"""gzip on the voxels, as float32 and as float16: what archives do today."""

from __future__ import annotations

import gzip

import numpy as np

from bench.rivals.codec import F32, Codec
from bench.source import Source
from nmap.grid import Grid


def _encode_gzip(source: Source, _knob: float) -> bytes:
    return gzip.compress(source.values.astype("<f4").tobytes(), 6)


def _decode_gzip(data: bytes, grid: Grid) -> F32:
    return np.frombuffer(gzip.decompress(data), "<f4").reshape(grid.shape)


def _encode_float16(source: Source, _knob: float) -> bytes:
    # Densities beyond float16's range become infinite here, and the row is reported as missing the fidelity.
    with np.errstate(over="ignore"):
        return gzip.compress(source.values.astype("<f2").tobytes(), 6)


def _decode_float16(data: bytes, grid: Grid) -> F32:
    return np.frombuffer(gzip.decompress(data), "<f2").astype(np.float32).reshape(grid.shape)


FLOAT16_GZIP = Codec("float16+gzip", _encode_float16, _decode_float16, None, "", "float16, then gzip -6")
GZIP = Codec("gzip", _encode_gzip, _decode_gzip, None, "", "gzip -6 of the float32 voxels: loses nothing")
