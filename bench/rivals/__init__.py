"""Classical codecs that a user could pick instead: bytes that decode on their own, at a knob to be searched.

Each codec keeps to one thread. The decoder gets the grid, which is not counted: in a `.nmap` file too it is
part of the container, whose size is reported beside the coded bytes.
"""

from __future__ import annotations

from bench.rivals.codec import Codec
from bench.rivals.error_bounded import SZ3, ZFP
from bench.rivals.lossless import FLOAT16_GZIP, GZIP
from bench.rivals.wavelet import CROP_SPERR, SPERR, WHITE_SPERR

CODECS: dict[str, Codec] = {
    codec.name: codec for codec in (WHITE_SPERR, CROP_SPERR, SPERR, SZ3, ZFP, FLOAT16_GZIP, GZIP)
}

__all__ = ["CODECS", "Codec"]
