"""How many bytes a source takes, stored in the ways a user has."""

from __future__ import annotations

import bz2
import os
import zlib

from nmap.compare.findings import Sizes
from nmap.errors import MapError
from nmap.maps import DensityMap
from nmap.maps.mrc_header import HEADER_BYTES

_MODE_BYTES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}
_CHUNK = 1 << 22


def measure_sizes(nmap_bytes: int, source: DensityMap, path: str | os.PathLike[str] | None) -> Sizes:
    """Bytes of a source map raw, gzipped and as float16, next to those of its `.nmap` file.

    Args:
        nmap_bytes: the `.nmap` file, all included.
        source: the map as read from `path`.
        path: the source file; if it is not gzipped already, it is read and gzipped here, in a stream. None if
            the source is a part of its file, of which there is no gzipped one.

    Raises:
        MapError: the map was not read from a file.
    """
    header = source.header
    if header is None:
        raise MapError("a source map without a header: wanted one that was read from a file")
    count, fixed = source.grid.size, HEADER_BYTES + len(header.extended)
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
    with opener(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            total += len(squeeze.compress(chunk))
    return total + len(squeeze.flush())
