"""A small HDF5 image, written byte by byte: superblock 2, version 2 object headers, fixed-size types.

Written here rather than by libhdf5 for three reasons: the same tree gives the same bytes whatever library is
installed, a dataset costs 70 bytes instead of 270, and the weights lie where the safetensors header says.
The subset is of the HDF5 File Format Specification 3.0, read by HDF5 1.10 and later; the tests hold it
against h5py. Addresses and lengths have four bytes (a file has at most 1 GiB); addresses are relative to the
end of the user block, where safetensors' buffer begins.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.container.lookup3 import lookup3
from nmap.errors import OptionError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUPERBLOCK_BYTES = 32
UNDEFINED = b"\xff" * 4
MESSAGES = {
    "dataspace": 1,
    "link info": 2,
    "datatype": 3,
    "fill value": 5,
    "link": 6,
    "external files": 7,
    "layout": 8,
    "group info": 10,
    "filters": 11,
    "attribute": 12,
    "continuation": 16,
}
MAX_MESSAGE = 60000
Value = str | int | float | NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """An array.

    Attributes:
        values: the array itself; None if its bytes lie elsewhere, at `address`.
        dtype: type of a stored weight, as safetensors names it.
        shape: shape of a stored weight.
        address: where a stored weight begins.
        attributes: by name.
    """

    values: NDArray[Any] | None = None
    dtype: str = ""
    shape: tuple[int, ...] = ()
    address: int = 0
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Group:
    """Named groups and datasets, and attributes."""

    children: Mapping[str, Group | Dataset] = field(default_factory=dict)
    attributes: Mapping[str, Value] = field(default_factory=dict)


def image(root: Group, userblock: int, weights_bytes: int) -> bytes:
    """Everything before the weights of an HDF5 file, a multiple of 8 bytes long.

    The length depends on the tree's names and values, never on the addresses of its weights, so a first call
    with any addresses tells where the weights will begin.

    Args:
        root: the tree; its stored weights name their addresses.
        userblock: bytes before this image.
        weights_bytes: bytes after this image.
    """
    nodes = list(_flatten(root))
    packed = [_raw(node) for node in nodes]
    places: dict[int, int] = {id(node): 0 for node in nodes}
    at = SUPERBLOCK_BYTES
    for node in nodes:
        size = len(_header(node, places, 0, b""))
        places[id(node)] = at
        at += size
    raw_places = []
    for raw in packed:
        raw_places.append(at)
        at += len(raw)
    length = -(-at // 8) * 8
    out = _superblock(userblock, userblock + length + weights_bytes, places[id(root)])
    for node, raw_place, raw in zip(nodes, raw_places, packed, strict=True):
        out += _header(node, places, raw_place, raw)
    return (out + b"".join(packed)).ljust(length, b"\0")


def _flatten(group: Group) -> Iterator[Group | Dataset]:
    yield group
    for _, child in sorted(group.children.items()):
        if isinstance(child, Group):
            yield from _flatten(child)
        else:
            yield child


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def _superblock(base: int, end: int, root: int) -> bytes:
    out = SIGNATURE + bytes((2, 4, 4, 0)) + _number(base, 4) + UNDEFINED + _number(end, 4) + _number(root, 4)
    return out + _number(lookup3(out), 4)


def _header(node: Group | Dataset, places: Mapping[int, int], raw_place: int, raw: bytes) -> bytes:
    """Version 2 object header of a node."""
    if isinstance(node, Group):
        messages = [("link info", bytes(2) + UNDEFINED * 2), ("group info", bytes(2))]
        messages += [
            ("link", bytes((1, 0, len(name))) + name.encode("ascii") + _number(places[id(child)], 4))
            for name, child in sorted(node.children.items())
        ]
    else:
        messages = _dataset_messages(node, raw_place, raw)
    messages += [("attribute", _attribute(name, value)) for name, value in sorted(node.attributes.items())]
    body = b"".join(
        bytes((MESSAGES[kind],)) + _number(len(data), 2) + b"\0" + data for kind, data in messages
    )
    width = 1 if len(body) < 1 << 8 else 2 if len(body) < 1 << 16 else 4
    # Flag 0x10: attributes stay in the header however many there are (dense storage would cost kilobytes).
    compact = isinstance(node, Group)
    out = b"OHDR\x02" + bytes((0x10 * compact | width >> 1,)) + (_number(65535, 4) if compact else b"")
    out += _number(len(body), width) + body
    return out + _number(lookup3(out), 4)


def _dataset_messages(node: Dataset, raw_place: int, raw: bytes) -> list[tuple[str, bytes]]:
    values = node.values
    if values is None:
        kind, shape = stored_type(node.dtype), node.shape
        size = int(np.prod(shape, dtype=np.int64)) * (kind[4] + kind[5] * 256)
        place = _number(node.address, 4) if size else UNDEFINED
        layout = bytes((3, 1)) + place + _number(size, 4)
    elif deflates(values):
        kind, shape = datatype(values.dtype), values.shape
        counts = (*shape, values.dtype.itemsize)
        width = (max(counts).bit_length() + 7) // 8
        layout = bytes((4, 2, 2, len(counts), width)) + b"".join(_number(n, width) for n in counts) + b"\x01"
        layout += _number(len(raw), 4) + bytes(4) + _number(raw_place, 4)
    else:
        kind, shape = datatype(values.dtype), values.shape
        layout = bytes((3, 0)) + _number(values.nbytes, 2) + _little(values).tobytes()
    messages = [
        ("dataspace", _dataspace(shape)),
        ("datatype", kind),
        ("fill value", bytes((3, 0x0A))),
        ("layout", layout),
    ]
    if values is not None and deflates(values):
        messages.append(
            ("filters", bytes((2, 1)) + b"".join(_number(n, 2) for n in (1, 0, 1)) + _number(9, 4))
        )
    return messages


def _attribute(name: str, value: Value) -> bytes:
    if isinstance(value, str):
        data = value.encode()
        kind = bytes((0x13, 0x11, 0, 0)) + _number(max(len(data), 1), 4)
        data, space = data or b"\0", bytes((2, 0, 0, 0))
    else:
        array = _little(np.asarray(value))
        kind, space, data = datatype(array.dtype), _dataspace(array.shape), array.tobytes()
    if len(data) > MAX_MESSAGE:
        raise OptionError(f"record {name}: {len(data)} bytes, an HDF5 attribute takes at most {MAX_MESSAGE}")
    label = name.encode("ascii") + b"\0"
    sizes = _number(len(label), 2) + _number(len(kind), 2) + _number(len(space), 2)
    return bytes((3, 0)) + sizes + b"\0" + label + kind + space + data


def _dataspace(shape: tuple[int, ...]) -> bytes:
    return bytes((2, len(shape), 0, bool(shape))) + b"".join(_number(n, 4) for n in shape)


def datatype(dtype: np.dtype[Any]) -> bytes:
    """Datatype message of a numpy type: an integer, a float, fixed strings, or a compound of such.

    Raises:
        OptionError: any other type.
    """
    size = dtype.itemsize
    if dtype.kind == "f" and size in _FLOATS:
        return _float(size, *_FLOATS[size])
    if dtype.kind in "iu":
        return bytes((0x10, 8 * (dtype.kind == "i"), 0, 0)) + _number(size, 4) + _number(8 * size << 16, 4)
    if dtype.kind == "S":
        return bytes((0x13, 1, 0, 0)) + _number(size, 4)
    if dtype.fields:
        return _compound(dtype)
    raise OptionError(f"record of type {dtype}: wanted integers, floats or bytes")


def stored_type(name: str) -> bytes:
    """Datatype message of a safetensors type: "F32", "F16", "BF16" or "U8"."""
    if name == "BF16":
        return _float(2, 15, 8, 7, 127)
    return datatype(np.dtype({"F32": "<f4", "F16": "<f2", "U8": "u1"}[name]))


# Sign bit, exponent bits, mantissa bits and exponent bias by size in bytes.
_FLOATS = {2: (15, 5, 10, 15), 4: (31, 8, 23, 127), 8: (63, 11, 52, 1023)}


def _float(size: int, sign: int, exponent: int, mantissa: int, bias: int) -> bytes:
    head = bytes((0x11, 0x20, sign, 0)) + _number(size, 4)
    return head + _number(8 * size << 16, 4) + bytes((mantissa, exponent, 0, mantissa)) + _number(bias, 4)


def _compound(dtype: np.dtype[Any]) -> bytes:
    """Version 3 compound; a member may be an array of one axis."""
    assert dtype.names is not None
    out = bytes((0x36,)) + _number(len(dtype.names), 3) + _number(dtype.itemsize, 4)
    width = (dtype.itemsize.bit_length() + 7) // 8
    for name in dtype.names:
        member, offset = dtype.fields[name][:2]  # type: ignore[index]
        base, dims = member.subdtype if member.subdtype else (member, ())
        kind = datatype(base)
        if dims:
            kind = bytes((0x3A, 0, 0, 0)) + _number(member.itemsize, 4) + b"\x01" + _number(dims[0], 4) + kind
        out += name.encode("ascii") + b"\0" + _number(offset, width) + kind
    return out


def _little(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(values, values.dtype.newbyteorder("<"), order="C")


def _deflated(values: NDArray[Any]) -> bytes:
    return zlib.compress(_little(values).tobytes(), 9)


def deflates(values: NDArray[Any]) -> bool:
    """Whether deflate stores an array in fewer bytes than it has, messages included."""
    if values.nbytes > MAX_MESSAGE:
        return True
    return values.ndim > 0 and len(_deflated(values)) + 60 < values.nbytes


def _raw(node: Group | Dataset) -> bytes:
    if isinstance(node, Dataset) and node.values is not None and deflates(node.values):
        return _deflated(node.values)
    return b""
