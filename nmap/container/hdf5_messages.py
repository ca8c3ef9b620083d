"""Messages of HDF5 object headers, from their bytes: links, attributes, types, shapes, filters.

Only what `hdf5.py` writes is known; the rest is refused by name.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import numpy as np

from nmap.container.hdf5 import MESSAGES, Value
from nmap.errors import FormatError

_NAMES = {number: name for name, number in MESSAGES.items()}
_CLASSES = {
    **{2: "time", 4: "bitfield", 5: "opaque", 7: "reference", 8: "enumeration", 9: "variable-length"},
    11: "complex",
}


def split(block: bytes, ordered: bool) -> list[tuple[str, bytes]]:
    """Messages of one block of an object header."""
    out: list[tuple[str, bytes]] = []
    at, head = 0, 6 if ordered else 4
    while at + head <= len(block):
        number, size, flags = struct.unpack_from("<BHB", block, at)
        data = block[at + head : at + head + size]
        if len(data) != size:
            raise FormatError("HDF5 part: a message runs over its block")
        if flags & 2:
            raise FormatError("HDF5 part: a shared message: refused")
        if number in _NAMES:
            out.append((_NAMES[number], data))
        at += head + size
    return out


def link(data: bytes) -> tuple[str, int]:
    """Name and address of a hard link; refuses any other."""
    if len(data) < 3 or data[0] != 1:
        raise FormatError("link message of an unknown version")
    flags, at = data[1], 2
    if flags & 8:
        kind = {0: "hard", 1: "soft", 64: "external"}.get(data[at], "user-defined")
        at += 1
        if kind != "hard":
            raise FormatError(f"{kind} link: refused")
    at += 8 * bool(flags & 4) + bool(flags & 16)
    width = 1 << (flags & 3)
    length = int.from_bytes(data[at : at + width], "little")
    at += width
    if len(data) != at + length + 4:
        raise FormatError("link message of a wrong length")
    return _text(data[at : at + length]), int.from_bytes(data[at + length :], "little")


def _text(name: bytes) -> str:
    """A link's or attribute's name; odd characters are escaped, so that messages stay in their line."""
    return name.decode("ascii", "backslashreplace").encode("unicode_escape").decode()[:80]


def attribute(data: bytes) -> tuple[str, Value]:
    """Name and value of an attribute: a text, a number, or an array."""
    try:
        version, _, name_size, kind_size, space_size, _ = struct.unpack_from("<BBHHHB", data)
        if version != 3:
            raise FormatError(f"message version {version}, wanted 3")
        at = 9 + name_size
        name = _text(data[9 : at - 1])
        dtype, _ = type_of(data[at : at + kind_size])
        shape = shape_of(data[at + kind_size : at + kind_size + space_size])
    except (IndexError, struct.error):
        raise FormatError("message is cut short") from None
    raw = data[at + kind_size + space_size :]
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise FormatError(f"{name} has {len(raw)} bytes, its shape {shape} of {dtype} wants another number")
    values = np.frombuffer(raw, dtype).reshape(shape)
    if shape:
        return name, values
    if dtype.kind == "S":
        return name, bytes(values[()]).decode("utf-8", "replace")
    item = values[()].item()
    return name, item if isinstance(item, int | float) else values


def shape_of(data: bytes) -> tuple[int, ...]:
    """Shape of a dataspace message; () for a scalar."""
    version, rank = data[0], data[1]
    if version not in (1, 2) or rank > 8:
        raise FormatError(f"dataspace version {version} of {rank} axes: refused")
    at = 4 if version == 2 else 8
    shape = struct.unpack_from(f"<{rank}I", data, at)
    if max(shape, default=0) > 1 << 32 or math.prod(shape) > 1 << 32:
        raise FormatError(f"shape {shape} is too large")
    return shape


def type_of(data: bytes, depth: int = 0) -> tuple[np.dtype[Any], int]:
    """Numpy type of a datatype message, and the bytes it took."""
    kind, bits = data[0] & 15, data[1]
    size = int.from_bytes(data[4:8], "little")
    if not 0 < size <= 1 << 16 or depth > 2:
        raise FormatError(f"type of {size} bytes: refused")
    if kind in (0, 1) and not bits & 1:
        letter = "f" if kind == 1 else "i" if bits & 8 else "u"
        allowed = (2, 4, 8) if kind == 1 else (1, 2, 4, 8)
        if size in allowed:
            return np.dtype(f"<{letter}{size}"), 20 if kind == 1 else 12
    if kind == 3:
        return np.dtype(f"S{size}"), 8
    if kind == 6 and data[0] >> 4 == 3:
        return _compound(data, size, depth)
    if kind == 10 and data[0] >> 4 == 3 and data[8] == 1:
        base, used = type_of(data[13:], depth + 1)
        count = int.from_bytes(data[9:13], "little")
        if count * base.itemsize == size:
            return np.dtype((base, (count,))), 13 + used
    raise FormatError(f"{_CLASSES.get(kind, 'unknown')} type: refused")


def _compound(data: bytes, size: int, depth: int) -> tuple[np.dtype[Any], int]:
    at, width = 8, (size.bit_length() + 7) // 8
    names, kinds, offsets = [], [], []
    for _ in range(int.from_bytes(data[1:3], "little")):
        end = data.index(0, at) if 0 in data[at:] else len(data)
        offsets.append(int.from_bytes(data[end + 1 : end + 1 + width], "little"))
        kind, used = type_of(data[end + 1 + width :], depth + 1)
        names.append(data[at:end].decode("ascii", "replace"))
        kinds.append(kind)
        at = end + 1 + width + used
    try:
        return np.dtype({"names": names, "formats": kinds, "offsets": offsets, "itemsize": size}), at
    except ValueError as error:
        raise FormatError(f"compound type: {error}") from None


def is_deflated(filters: bytes, skipped: int, path: str) -> bool:
    """Whether the filter pipeline is deflate; refuses any other."""
    if not filters:
        return False
    if filters[:4] != b"\x02\x01\x01\0" or skipped:
        raise FormatError(f"HDF5 part: {path} uses a filter other than deflate: refused")
    return True


def inflate(raw: bytes, size: int, path: str) -> bytes:
    """A deflated dataset's bytes, at most one more than its `size`."""
    try:
        return zlib.decompressobj().decompress(raw, size + 1)
    except zlib.error as error:
        raise FormatError(f"HDF5 part: {path} does not inflate: {error}") from None
