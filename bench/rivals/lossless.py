"""gzip on the voxels, as float32, float16 and 8-bit: what archives and viewers do today."""

from __future__ import annotations

import gzip
import struct

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


def _encode_byte(source: Source, _knob: float) -> bytes:
    low, high = float(source.values.min()), float(source.values.max())
    step = (high - low) / 255 or 1.0
    levels = np.rint((source.values - low) / step).astype(np.uint8)
    return struct.pack("<2d", low, step) + gzip.compress(levels.tobytes(), 6)


def _decode_byte(data: bytes, grid: Grid) -> F32:
    low, step = struct.unpack_from("<2d", data)
    levels = np.frombuffer(gzip.decompress(data[16:]), np.uint8).reshape(grid.shape)
    return (levels * np.float32(step) + np.float32(low)).astype(np.float32)


BYTE_GZIP = Codec("8-bit+gzip", _encode_byte, _decode_byte, None, "", "256 levels, then gzip -6")
FLOAT16_GZIP = Codec("float16+gzip", _encode_float16, _decode_float16, None, "", "float16, then gzip -6")
GZIP = Codec("gzip", _encode_gzip, _decode_gzip, None, "", "gzip -6 of the float32 voxels: loses nothing")
