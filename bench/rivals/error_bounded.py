"""SZ3 and ZFP, which keep every voxel within an absolute error."""

from __future__ import annotations

import numpy as np

from bench.rivals.codec import F32, Codec, tolerance
from bench.source import Source
from nmap.grid import Grid


def _encode_sz3(source: Source, knob: float) -> bytes:
    from pysz import sz, szConfig, szErrorBoundMode

    config = szConfig()
    config.errorBoundMode = szErrorBoundMode.ABS
    config.absErrorBound = tolerance(source, knob)
    data, _ = sz.compress(source.values, config)
    return bytes(data)


def _decode_sz3(data: bytes, grid: Grid) -> F32:
    from pysz import sz

    values, _ = sz.decompress(np.frombuffer(data, np.uint8), np.float32, grid.shape)
    return np.asarray(values, np.float32)


def _encode_zfp(source: Source, knob: float) -> bytes:
    import zfpy

    return bytes(zfpy.compress_numpy(source.values, tolerance=tolerance(source, knob)))


def _decode_zfp(data: bytes, grid: Grid) -> F32:
    import zfpy

    return np.asarray(zfpy.decompress_numpy(data), np.float32).reshape(grid.shape)


SZ3 = Codec("sz3", _encode_sz3, _decode_sz3, (-20.0, 60.0), "pysz", "SZ3, absolute error bound")
# Loose bounds, far above the map's own range, still keep something: ZFP's error stays well within its bound.
ZFP = Codec("zfp", _encode_zfp, _decode_zfp, (-60.0, 60.0), "zfpy", "ZFP, absolute error bound")
