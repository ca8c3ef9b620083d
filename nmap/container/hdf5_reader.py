"""Reads back the HDF5 subset that `hdf5.py` writes, with bounds on everything and without libhdf5.

A crafted HDF5 file can make libhdf5 hand out any local file (external storage, virtual datasets, external
links) or loop; this reader knows hard links, compact, contiguous and single-chunk data, fixed-size types and
deflate. Everything else is refused by name. Nothing outside the bytes it is given is ever touched.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.container.hdf5 import SIGNATURE, SUPERBLOCK_BYTES, Dataset, Group, Value, stored_type
from nmap.container.hdf5_messages import (
    attribute,
    inflate,
    is_deflated,
    link,
    shape_of,
    split,
    type_of,
)
from nmap.container.lookup3 import lookup3
from nmap.errors import FormatError

MAX_OBJECTS = 256
MAX_BLOCKS = 64
MAX_VALUES = 16 << 20
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
            for kind, data in split(waiting.pop(0), bool(flags & 4)):
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
                name, address = link(data)
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
                    name, value = attribute(data)
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
        try:
            shape, (dtype, _) = shape_of(parts["dataspace"]), type_of(parts["datatype"])
        except FormatError as error:
            raise FormatError(f"HDF5 part: {path}: {error}") from None
        layout, size = parts["layout"], math.prod(shape) * dtype.itemsize
        if layout[0] == 3 and layout[1] == 1:
            return self._contiguous(
                layout, _STORED.get(parts["datatype"], ""), dtype, shape, path, attributes
            )
        self.loaded += size
        if self.loaded > MAX_VALUES:
            limit = f"{self.loaded} bytes, at most {MAX_VALUES}"
            raise FormatError(f"HDF5 part: {path} brings the record to {limit}")
        raw = self._bytes(layout, parts, size, path)
        if len(raw) != size:
            raise FormatError(f"HDF5 part: {path} holds {len(raw)} bytes, its shape {shape} wants {size}")
        return Dataset(np.frombuffer(raw, dtype).reshape(shape), attributes=attributes)

    def _contiguous(
        self,
        layout: bytes,
        stored: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        path: str,
        attributes: dict[str, Value],
    ) -> Dataset:
        address, size = struct.unpack_from("<II", layout, 2)
        if size != math.prod(shape) * dtype.itemsize:
            raise FormatError(f"HDF5 part: {path} has {size} bytes, its shape {shape} wants another number")
        raw = self.cut(address, size, path) if size else b""
        if stored:
            return Dataset(dtype=stored, shape=shape, address=address, attributes=attributes)
        return Dataset(np.frombuffer(raw, dtype).reshape(shape), attributes=attributes)

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
        return inflate(raw, size, path) if is_deflated(parts.get("filters", b""), skipped, path) else raw
