"""Reads back the HDF5 subset that `hdf5.py` writes, with bounds on everything and without libhdf5.

A crafted HDF5 file can make libhdf5 hand out any local file (external storage, virtual datasets, external
links) or loop; this reader knows hard links, compact, contiguous and single-chunk data, fixed-size types and
deflate. Everything else is refused by name. Nothing outside the bytes it is given is ever touched.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.container.hdf5 import MESSAGES, SIGNATURE, SUPERBLOCK_BYTES, Dataset, Group, Value, stored_type
from nmap.container.lookup3 import lookup3
from nmap.errors import FormatError

MAX_OBJECTS = 256
MAX_BLOCKS = 64
MAX_VALUES = 16 << 20
_NAMES = {number: name for name, number in MESSAGES.items()}
_CLASSES = {
    **{2: "time", 4: "bitfield", 5: "opaque", 7: "reference", 8: "enumeration", 9: "variable-length"},
    11: "complex",
}
_STORED = {stored_type(name): name for name in ("F32", "F16", "BF16", "U8")}


def read_groups(image: bytes, wanted: Collection[str], strict: bool = True) -> dict[str, Group]:
    """Some groups of an HDF5 file's root, with their attributes and datasets.

    Args:
        image: the file without its user block.
        wanted: names of the groups; those that are missing are left out.
        strict: refuse what this reader does not know; False skips it, for files that another program edited.

    Returns:
        Groups by name. Contiguous datasets have no values but an address, for `contiguous`.

    Raises:
        FormatError: not such a file, or one with features that could reach outside it.
    """
    if len(image) < SUPERBLOCK_BYTES or image[:8] != SIGNATURE:
        raise FormatError("HDF5 part: no HDF5 signature after the JSON header")
    version, offsets, lengths = image[8], image[9], image[10]
    if (version, offsets, lengths) != (2, 4, 4):
        raise FormatError(f"HDF5 part: superblock {version} with {offsets}-byte addresses, wanted 2 with 4")
    _verify(image[:SUPERBLOCK_BYTES], "superblock")
    root = int.from_bytes(image[24:28], "little")
    reader = _Reader(image, strict)
    links = reader.links(reader.messages(root), "/")
    out = {}
    for name in sorted(set(wanted) & set(links)):
        try:
            node = reader.node(links[name], "/" + name, depth=0)
        except FormatError:
            if strict:
                raise
            continue
        if isinstance(node, Group):
            out[name] = node
    return out


def contiguous(image: bytes, dataset: Dataset) -> NDArray[Any]:
    """The values of a contiguous dataset of bytes or floats; bfloat16 as its bits."""
    dtype = np.dtype({"F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1"}[dataset.dtype])
    count = int(np.prod(dataset.shape, dtype=np.int64))
    return np.frombuffer(image, dtype, count, dataset.address).reshape(dataset.shape)


def _verify(block: bytes, what: str) -> None:
    if lookup3(block[:-4]) != int.from_bytes(block[-4:], "little"):
        raise FormatError(f"HDF5 part: checksum of the {what} does not fit its bytes")


@dataclass
class _Reader:
    image: bytes
    strict: bool
    seen: set[int] = field(default_factory=set)
    loaded: int = 0

    def cut(self, start: int, size: int, what: str) -> bytes:
        """Bytes of the file; refuses to read beyond it."""
        if not 0 <= start <= start + size <= len(self.image):
            raise FormatError(f"HDF5 part: {what} at {start} of {size} bytes lies outside the file")
        return self.image[start : start + size]

    def messages(self, address: int) -> list[tuple[str, bytes]]:
        """Messages of the object header at an address, continuation blocks included."""
        if address in self.seen or len(self.seen) >= MAX_OBJECTS:
            raise FormatError(f"HDF5 part: object at {address} is linked twice, or is one of too many")
        self.seen.add(address)
        head = self.cut(address, 12, "object header")
        if head[:5] != b"OHDR\x02":
            raise FormatError(f"HDF5 part: no version 2 object header at {address}")
        flags = head[5]
        size_at = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        width = 1 << (flags & 3)
        size = int.from_bytes(self.cut(address + size_at, width, "object header"), "little")
        begin = size_at + width
        block = self.cut(address, begin + size + 4, "object header")
        _verify(block, "object header")
        out: list[tuple[str, bytes]] = []
        waiting, blocks = [block[begin:-4]], 0
        while waiting:
            for kind, data in _split(waiting.pop(0), bool(flags & 4)):
                if kind == "continuation":
                    blocks += 1
                    place, length = struct.unpack_from("<II", data.ljust(8, b"\0"))
                    more = self.cut(place, length, "continuation")
                    if blocks > MAX_BLOCKS or length < 8 or more[:4] != b"OCHK":
                        raise FormatError(f"HDF5 part: bad continuation block at {place}")
                    _verify(more, "continuation block")
                    waiting.append(more[4:-4])
                else:
                    out.append((kind, data))
        return out

    def links(self, messages: list[tuple[str, bytes]], path: str) -> dict[str, int]:
        """Addresses by name of a group's hard links."""
        out: dict[str, int] = {}
        for kind, data in messages:
            if kind != "link":
                continue
            try:
                name, address = _link(data)
            except FormatError as error:
                if self.strict:
                    raise FormatError(f"HDF5 part: {path} holds a {error}") from None
                continue
            out[name] = address
        return out

    def node(self, address: int, path: str, depth: int) -> Group | Dataset:
        """The object at an address."""
        messages = self.messages(address)
        kinds = [kind for kind, _ in messages]
        attributes: dict[str, Value] = {}
        for kind, data in messages:
            if kind == "attribute":
                try:
                    name, value = _attribute(data)
                except FormatError as error:
                    if self.strict:
                        raise FormatError(f"HDF5 part: attribute of {path}: {error}") from None
                    continue
                attributes[name] = value
        if "layout" in kinds:
            try:
                return self.dataset(dict(messages), path, attributes)
            except (KeyError, IndexError, struct.error):
                raise FormatError(f"HDF5 part: {path} lacks a message, or one is cut short") from None
        if "link info" not in kinds or depth > 4:
            raise FormatError(f"HDF5 part: {path} is no dataset nor new-style group, or lies too deep")
        children: dict[str, Group | Dataset] = {}
        for name, place in self.links(messages, path).items():
            try:
                children[name] = self.node(place, f"{path}/{name}", depth + 1)
            except FormatError:
                if self.strict:
                    raise
        return Group(children, attributes)

    def dataset(self, parts: dict[str, bytes], path: str, attributes: dict[str, Value]) -> Dataset:
        """A dataset from its messages; its values unless it is contiguous."""
        if "external files" in parts:
            raise FormatError(f"HDF5 part: {path} has its data in another file (external storage): refused")
        shape, layout = _shape(parts["dataspace"]), parts["layout"]
        if layout[0] == 3 and layout[1] == 1:
            return self._contiguous(layout, parts["datatype"], shape, path, attributes)
        dtype, _ = _dtype(parts["datatype"])
        size = _count(shape) * dtype.itemsize
        self.loaded += size
        if self.loaded > MAX_VALUES:
            raise FormatError(
                f"HDF5 part: {path} brings the record to {self.loaded} bytes, at most {MAX_VALUES}"
            )
        raw = self._bytes(layout, parts, size, path)
        if len(raw) != size:
            raise FormatError(f"HDF5 part: {path} holds {len(raw)} bytes, its shape {shape} wants {size}")
        return Dataset(np.frombuffer(raw, dtype).reshape(shape), attributes=attributes)

    def _contiguous(
        self, layout: bytes, kind: bytes, shape: tuple[int, ...], path: str, attributes: dict[str, Value]
    ) -> Dataset:
        address, size = struct.unpack_from("<II", layout, 2)
        name = _STORED.get(kind)
        if name is None:
            dtype, _ = _dtype(kind)
            raw = self.cut(address, _count(shape) * dtype.itemsize, path)
            return Dataset(np.frombuffer(raw, dtype).reshape(shape), attributes=attributes)
        if size != _count(shape) * {"F32": 4, "U8": 1}.get(name, 2):
            raise FormatError(f"{size} bytes do not hold shape {shape} of {name}")
        if size:
            self.cut(address, size, path)
        return Dataset(dtype=name, shape=shape, address=address, attributes=attributes)

    def _bytes(self, layout: bytes, parts: dict[str, bytes], size: int, path: str) -> bytes:
        if layout[:2] == b"\x03\x00":
            return layout[4 : 4 + int.from_bytes(layout[2:4], "little")]
        if layout[:3] != b"\x04\x02\x02":
            names = {0: "compact", 1: "contiguous", 2: "chunked", 3: "virtual"}
            what = names.get(layout[1], "unknown")
            raise FormatError(f"HDF5 part: {path} has a layout that is refused ({what}, version {layout[0]})")
        rank, width = layout[3], layout[4]
        tail = 5 + rank * width
        if layout[tail : tail + 1] != b"\x01" or len(layout) != tail + 13:
            raise FormatError(f"HDF5 part: {path} is chunked, and not in one chunk: refused")
        stored, skipped, address = struct.unpack_from("<III", layout, tail + 1)
        raw = self.cut(address, stored, path)
        return _inflate(raw, size, path) if _is_deflated(parts.get("filters", b""), skipped, path) else raw


def _split(block: bytes, ordered: bool) -> list[tuple[str, bytes]]:
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


def _link(data: bytes) -> tuple[str, int]:
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


def _attribute(data: bytes) -> tuple[str, Value]:
    try:
        version, _, name_size, kind_size, space_size, _ = struct.unpack_from("<BBHHHB", data)
        if version != 3:
            raise FormatError(f"message version {version}, wanted 3")
        at = 9 + name_size
        name = _text(data[9 : at - 1])
        dtype, _ = _dtype(data[at : at + kind_size])
        shape = _shape(data[at + kind_size : at + kind_size + space_size])
    except (IndexError, struct.error):
        raise FormatError("message is cut short") from None
    raw = data[at + kind_size + space_size :]
    if len(raw) != _count(shape) * dtype.itemsize:
        raise FormatError(f"{name} has {len(raw)} bytes, its shape {shape} of {dtype} wants another number")
    values = np.frombuffer(raw, dtype).reshape(shape)
    if shape:
        return name, values
    if dtype.kind == "S":
        return name, bytes(values[()]).decode("utf-8", "replace")
    item = values[()].item()
    return name, item if isinstance(item, int | float) else values


def _shape(data: bytes) -> tuple[int, ...]:
    version, rank = data[0], data[1]
    if version not in (1, 2) or rank > 8:
        raise FormatError(f"dataspace version {version} of {rank} axes: refused")
    at = 4 if version == 2 else 8
    shape = struct.unpack_from(f"<{rank}I", data, at)
    if max(shape, default=0) > 1 << 32 or _count(shape) > 1 << 32:
        raise FormatError(f"shape {shape} is too large")
    return shape


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


def _dtype(data: bytes, depth: int = 0) -> tuple[np.dtype[Any], int]:
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
        base, used = _dtype(data[13:], depth + 1)
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
        kind, used = _dtype(data[end + 1 + width :], depth + 1)
        names.append(data[at:end].decode("ascii", "replace"))
        kinds.append(kind)
        at = end + 1 + width + used
    try:
        return np.dtype({"names": names, "formats": kinds, "offsets": offsets, "itemsize": size}), at
    except ValueError as error:
        raise FormatError(f"compound type: {error}") from None


def _is_deflated(filters: bytes, skipped: int, path: str) -> bool:
    """Whether the filter pipeline is deflate; refuses any other."""
    if not filters:
        return False
    if filters[:4] != b"\x02\x01\x01\0" or skipped:
        raise FormatError(f"HDF5 part: {path} uses a filter other than deflate: refused")
    return True


def _inflate(raw: bytes, size: int, path: str) -> bytes:
    try:
        return zlib.decompressobj().decompress(raw, size + 1)
    except zlib.error as error:
        raise FormatError(f"HDF5 part: {path} does not inflate: {error}") from None
