"""The safetensors side of a file: JSON header, tensors that tile the rest, nothing else.

    8 bytes: N, little-endian  |  N bytes: JSON, padded with spaces  |  tensors, from offset 0 without holes

Everything is checked against the limits below before anything is allocated. The checks are those of
`spec/nmap-1.0.md`, section 5, in the same order.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import STORED
from nmap.container.json_text import parse_json
from nmap.errors import AppendedDataError, FormatError

MAX_HEADER = 1 << 20
MAX_FILE = 1 << 30
MAX_TENSORS = 256
MAX_AXES = 4
# What the safetensors library multiplies counts to, from the first on.
_LARGEST = (1 << 64) - 1
OPAQUE = "hdf5."
RECORD = "record"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ITEM = {name: dtype.itemsize for name, dtype in STORED.items()}
# The library's own order of types, largest first: so tensors stay aligned without padding.
_ORDER = ("F32", "BF16", "F16", "U8")


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: type, shape, first byte and end, counted from the end of the JSON header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Layout:
    """What the JSON header says.

    Attributes:
        metadata: the text of `__metadata__.nmap`.
        entries: all tensors by name, those that cover the HDF5 bytes included.
        prefix: bytes before the tensors, 8 + N.
    """

    metadata: str
    entries: Mapping[str, Entry]
    prefix: int

    @property
    def length(self) -> int:
        """Bytes of the whole file."""
        return self.prefix + max((e.end for e in self.entries.values()), default=0)

    @property
    def weights(self) -> dict[str, Entry]:
        """The tensors that decoding needs."""
        return {n: e for n, e in self.entries.items() if n != RECORD and not n.startswith(OPAQUE)}

    @property
    def has_hdf5(self) -> bool:
        """Whether there is an HDF5 part."""
        return any(name.startswith(OPAQUE) for name in self.entries)


def parse_layout(prefix: bytes) -> Layout:
    """Check a file's first 8 + N bytes and say where its tensors lie.

    Raises:
        FormatError: they break a rule of the format, or a limit.
    """
    size = header_size(prefix)
    if len(prefix) < 8 + size:
        raise FormatError(f"truncated file: {len(prefix)} bytes, the JSON header alone ends at {8 + size}")
    header = parse_json(prefix[8 : 8 + size], "JSON header")
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("nmap"), str):
        raise FormatError('JSON header without "__metadata__" that has a string "nmap": not a .nmap file')
    if len(header) > MAX_TENSORS:
        raise FormatError(f"{len(header)} tensors, at most {MAX_TENSORS}")
    entries = {name: _entry(name, value) for name, value in header.items()}
    ordered = sorted(entries.items(), key=lambda item: (item[1].start, item[1].end))
    at = 0
    for name, entry in ordered:
        if entry.start != at:
            kind = "a hole" if entry.start > at else "an overlap"
            raise FormatError(f'tensor "{name}" begins at {entry.start}, wanted {at}: {kind} in the file')
        at = entry.end
    if at > MAX_FILE:
        raise FormatError(f"{at} bytes of tensors, at most {MAX_FILE}")
    return Layout(metadata["nmap"], dict(ordered), 8 + size)


def header_size(prefix: bytes) -> int:
    """N from the first 8 bytes of a file.

    Raises:
        FormatError: fewer than 8 bytes, or an N that cannot be.
    """
    if len(prefix) < 8:
        raise FormatError(f"truncated file: {len(prefix)} bytes, a .nmap file has at least 8")
    size = int.from_bytes(prefix[:8], "little")
    if not 2 <= size <= MAX_HEADER:
        hint = "not a .nmap file" if size > MAX_FILE else "damaged, or not a .nmap file"
        raise FormatError(f"JSON header of {size} bytes, wanted 2 to {MAX_HEADER}: {hint}")
    return size


def read_layout(file: BinaryIO, appended: bool = False) -> tuple[Layout, bytes]:
    """Layout and all bytes of an open file, read no further than it declares.

    Args:
        file: positioned at its start.
        appended: read what follows the declared end too, instead of refusing it.

    Raises:
        FormatError: the file breaks the format, or is shorter than it declares.
        AppendedDataError: it is longer.
    """
    prefix = file.read(8)
    prefix += file.read(header_size(prefix))
    layout = parse_layout(prefix)
    rest = file.read(MAX_FILE if appended else layout.length - layout.prefix + 1)
    check_length(layout, layout.prefix + len(rest), appended)
    return layout, prefix + rest


def check_length(layout: Layout, length: int, appended: bool = False) -> None:
    """Hold the length of a file against what its header declares.

    Raises:
        FormatError: it is shorter.
        AppendedDataError: it is longer, unless `appended`.
    """
    if length < layout.length:
        raise FormatError(f"truncated file: {length} bytes, its header declares {layout.length}")
    if length > layout.length and not appended:
        cause = (
            "an HDF5 program has probably written into it" if layout.has_hdf5 else "something was appended"
        )
        raise AppendedDataError(
            f"bytes after the declared end at {layout.length}: {cause}; `nmap repair` restores the file"
        )


def build(metadata: str, tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """A whole file without HDF5 part, byte by byte as `safetensors.numpy.save` writes it.

    Not written through that, since it has no bfloat16.

    Args:
        metadata: text of `__metadata__.nmap`.
        tensors: stored arrays by name; their types are those of `STORED`.
    """
    places, at = {}, 0
    for name in in_order(tensors):
        places[name], at = at, at + tensors[name].nbytes
    text = json_header(metadata, tensors, places, at)
    text = text.ljust(-(-len(text) // 8) * 8)
    data = b"".join(tensors[name].tobytes() for name in places)
    return len(text).to_bytes(8, "little") + text + data


def json_header(
    metadata: str, tensors: Mapping[str, NDArray[Any]], places: Mapping[str, int], length: int
) -> bytes:
    """The JSON header of a file, without padding.

    Args:
        metadata: text of `__metadata__.nmap`.
        tensors: stored arrays by name.
        places: where each begins, counted from the end of the header; bytes between them, and after the last, get
            names of the HDF5 part.
        length: bytes of all that follows the header.
    """
    header: dict[str, Any] = {"__metadata__": {"nmap": metadata}}
    at, holes = 0, 0

    def add(name: str, dtype: str, shape: Sequence[int], end: int) -> int:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        return end

    for name in sorted(places, key=lambda name: (places[name], tensors[name].nbytes)):
        if places[name] > at:
            at = add(f"{OPAQUE}{holes}", "U8", [places[name] - at], places[name])
            holes += 1
        at = add(name, dtype_name(tensors[name]), tensors[name].shape, at + tensors[name].nbytes)
    if length > at:
        add(f"{OPAQUE}{holes}", "U8", [length - at], length)
    return json.dumps(header, separators=(",", ":")).encode("ascii")


def read_tensors(data: bytes, layout: Layout) -> dict[str, NDArray[Any]]:
    """The tensors of a file whose layout was checked, by the safetensors library.

    Args:
        data: the file up to its declared end.
        layout: what its header says.

    Raises:
        FormatError: the library refuses what the checks let pass.
    """
    from safetensors import SafetensorError, deserialize

    try:
        found: dict[str, Any] = dict(deserialize(data))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise FormatError(f"refused by the safetensors library: {error}") from None
    return {
        name: np.frombuffer(found[name]["data"], STORED[entry.dtype]).reshape(entry.shape)
        for name, entry in layout.entries.items()
        if not name.startswith(OPAQUE)
    }


def in_order(tensors: Mapping[str, NDArray[Any]]) -> list[str]:
    """Names of tensors in the order of their bytes, the safetensors library's: F32, BF16, F16, U8; then by name."""
    return sorted(tensors, key=lambda name: (_ORDER.index(dtype_name(tensors[name])), name))


def dtype_name(array: NDArray[Any]) -> str:
    """Safetensors' name of a stored array's type."""
    return next(name for name, dtype in STORED.items() if dtype == array.dtype)


def digest(metadata: str, checksum: str, tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of all that decoding needs, in hexadecimal.

    Over the metadata text with its own checksum replaced by 64 zeros, then for every tensor in ascending
    order of name the line "name dtype d0,d1,...", a line feed, and its bytes.
    """
    sha = hashlib.sha256(metadata.replace(checksum, "0" * 64, 1).encode())
    for name, array in sorted(tensors.items()):
        sha.update(f"{name} {dtype_name(array)} {','.join(map(str, array.shape))}\n".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def _entry(name: str, value: object) -> Entry:
    if not _NAME.fullmatch(name):
        raise FormatError(f"tensor name {name!r:.60}, wanted 1 to 128 of the characters A-Z a-z 0-9 . _ -")
    keys: Sequence[str] = ("dtype", "shape", "data_offsets")
    if not isinstance(value, dict) or sorted(value) != sorted(keys):
        raise FormatError(f'tensor "{name}": wanted an object with dtype, shape and data_offsets')
    dtype, shape, offsets = (value[key] for key in keys)
    if not isinstance(dtype, str) or dtype not in _ITEM:
        raise FormatError(f'tensor "{name}" has dtype {dtype!r:.40}, wanted {", ".join(_ITEM)}')
    if not _counts(shape) or len(shape) > MAX_AXES:
        raise FormatError(f'tensor "{name}" has shape {shape!r:.60}, wanted up to {MAX_AXES} counts')
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FormatError(f'tensor "{name}" has data_offsets {offsets!r:.60}, wanted [begin, end]')
    size = math.prod(shape) * _ITEM[dtype]
    if offsets[1] - offsets[0] != size:
        raise FormatError(
            f'tensor "{name}" has {offsets[1] - offsets[0]} bytes, its shape {shape} of {dtype} wants {size}'
        )
    if any(math.prod(shape[:n]) > _LARGEST for n in range(len(shape))):
        raise FormatError(f'tensor "{name}" has shape {shape!r:.80}: its counts multiply beyond {_LARGEST}')
    return Entry(dtype, tuple(shape), offsets[0], offsets[1])


def _counts(value: object) -> bool:
    """Whether a JSON value is a list of integers from 0 to 2**40."""
    return isinstance(value, list) and all(type(n) is int and 0 <= n <= 1 << 40 for n in value)
