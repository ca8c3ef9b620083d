"""How many bytes a source takes, stored in the ways a user has."""

from __future__ import annotations

import bz2
import os
import zlib
from dataclasses import dataclass
from typing import ClassVar

from nmap.machine.inputs import existing
from nmap.maps import DensityMap
from nmap.maps.mrc_header import HEADER_BYTES

_MODE_BYTES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Sizes:
    """Bytes of a neural map and of the ways to store its source.

    Attributes:
        nmap: the `.nmap` file.
        raw: the source's MRC file uncompressed.
        gz: the same, gzipped.
        gz_is_source: whether `gz` is the source file as it lies on disk, else made here with zlib level 6.
        float16: an MRC file of mode 12.
        voxels: samples of the source.
    """

    nmap: int
    raw: int
    gz: int | None
    gz_is_source: bool
    float16: int
    voxels: int

    RENAMED: ClassVar = {name: f"{name}_bytes" for name in ("nmap", "raw", "gz", "float16")}
    ALSO: ClassVar = ("ratio_raw", "ratio_gz", "ratio_float16", "bits_per_voxel")

    @property
    def bits_per_voxel(self) -> float:
        """Bits of the `.nmap` file for each voxel of the source."""
        return 8 * self.nmap / self.voxels

    @property
    def ratio_raw(self) -> float | None:
        """How many times smaller than the raw map."""
        return self.ratio(self.raw)

    @property
    def ratio_gz(self) -> float | None:
        """How many times smaller than the gzipped map; None where that is not known."""
        return self.ratio(self.gz)

    @property
    def ratio_float16(self) -> float | None:
        """How many times smaller than a float16 map."""
        return self.ratio(self.float16)

    def ratio(self, other: int | None) -> float | None:
        """How many times smaller the `.nmap` file is than `other` bytes."""
        return None if other is None else other / self.nmap


def measure_sizes(nmap_bytes: int, source: DensityMap, path: str | os.PathLike[str] | None) -> Sizes:
    """Bytes of a source map raw, gzipped and as float16, next to those of its `.nmap` file.

    Args:
        nmap_bytes: the `.nmap` file, all included.
        source: the map as read from `path`.
        path: the source file; if it is not gzipped already, it is read and gzipped here, in a stream. None if
            the source is a part of its file, of which there is no gzipped one.
    """
    header, count = source.header, source.grid.size
    if header is None:  # made in memory: as a plain map of single precision
        raw, half = HEADER_BYTES + 4 * count, HEADER_BYTES + 2 * count
        return Sizes(nmap_bytes, raw, gz=None, gz_is_source=False, float16=half, voxels=count)
    fixed = HEADER_BYTES + len(header.extended)
    gzipped = header.compression == "gzip"
    return Sizes(
        nmap=nmap_bytes,
        raw=fixed + count * _MODE_BYTES[header.mode],
        gz=None if path is None else header.file_bytes if gzipped else gzip_bytes(path, header.compression),
        gz_is_source=gzipped and path is not None,
        float16=fixed + 2 * count,
        voxels=count,
    )


def gzip_bytes(path: str | os.PathLike[str], compression: str = "") -> int:
    """Size that `gzip -6` gives a file, which may be bzip2-compressed; nothing is kept in memory."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
    total = 0
    opener = bz2.open if compression == "bzip2" else open
    with opener(existing(path), "rb") as file:
        while chunk := file.read(_CHUNK):
            total += len(squeeze.compress(chunk))
    return total + len(squeeze.flush())
