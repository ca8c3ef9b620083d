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
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import STORED
from nmap.errors import AppendedDataError, FormatError

MAX_HEADER = 1 << 20
MAX_FILE = 1 << 30
MAX_TENSORS = 256
MAX_AXES = 4
OPAQUE = "hdf5."
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ITEM = {name: dtype.itemsize for name, dtype in STORED.items()}
Image = Callable[[int, Mapping[str, int], int], bytes]


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
        return {name: e for name, e in self.entries.items() if not name.startswith(OPAQUE)}

    @property
    def has_hdf5(self) -> bool:
        """Whether there is an HDF5 part."""
        return len(self.weights) < len(self.entries)


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
    """Layout and tensor bytes of an open file, read no further than it declares.

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
    return layout, rest


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


def parse_json(text: bytes | str, what: str) -> dict[str, Any]:
    """A JSON object without duplicate names, NaN or infinities, and nothing before or after it but spaces.

    Raises:
        FormatError: it is not one.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        if not decoded.startswith("{"):
            raise FormatError(f'{what} begins with {decoded[:1]!r}, wanted "{{"')
        trimmed = decoded.rstrip(" ")
        if not trimmed.endswith("}"):
            raise FormatError(f'{what} ends with {trimmed[-1:]!r}, wanted "}}" and spaces only')
        value = json.loads(
            trimmed,
            object_pairs_hook=lambda pairs: _unique(pairs, what),
            parse_float=lambda number: _finite(float(number), number, what),
            parse_int=lambda number: _finite(int(number), number, what),
            parse_constant=lambda name: _refuse(f"{what} holds {name}, which is not JSON"),
        )
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not valid JSON: {str(error)[:120]}") from None
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise FormatError(f"{what} holds half a surrogate pair, which is not Unicode") from None
    return dict(value)


def build(metadata: str, tensors: Mapping[str, NDArray[Any]], image: Image | None) -> bytes:
    """A whole file.

    Args:
        metadata: text of `__metadata__.nmap`.
        tensors: stored arrays by name; their types are those of `STORED`.
        image: gives the HDF5 bytes that go before the weights, from the size of the user block, the offset of
            each tensor, and the bytes of all of them; their number must not depend on the arguments. None for
            none.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    weights_bytes = sum(array.nbytes for _, array in ordered)
    opaque = len(image(512, dict.fromkeys(tensors, 0), weights_bytes)) if image else 0
    header: dict[str, Any] = {"__metadata__": {"nmap": metadata}}
    at, places = opaque, {}
    if opaque:
        header[f"{OPAQUE}0"] = {"dtype": "U8", "shape": [opaque], "data_offsets": [0, opaque]}
    for name, array in ordered:
        places[name], end = at, at + array.nbytes
        header[name] = {"dtype": dtype_name(array), "shape": list(array.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    prefix = 1 << max(8 + len(text) - 1, 511).bit_length() if image else -(-(8 + len(text)) // 8) * 8
    out = (prefix - 8).to_bytes(8, "little") + text.ljust(prefix - 8)
    if image:
        out += image(prefix, places, weights_bytes)
    return out + b"".join(array.tobytes() for _, array in ordered)


def dtype_name(array: NDArray[Any]) -> str:
    """Safetensors' name of a stored array's type."""
    return next(name for name, dtype in STORED.items() if dtype == array.dtype)


def view(buffer: bytes, entry: Entry) -> NDArray[Any]:
    """A tensor's array, without copying."""
    count = math.prod(entry.shape)
    return np.frombuffer(buffer, STORED[entry.dtype], count, entry.start).reshape(entry.shape)


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
    return Entry(dtype, tuple(shape), offsets[0], offsets[1])


def _counts(value: object) -> bool:
    """Whether a JSON value is a list of integers from 0 to 2**40."""
    return isinstance(value, list) and all(type(n) is int and 0 <= n <= 1 << 40 for n in value)


def _unique(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"{what} has the name {twice!r:.60} twice")
    return out


def _finite(value: float, text: str, what: str) -> float:
    """A number of a JSON text, unless it is beyond what a float64 holds: readers disagree about those."""
    if abs(value) > sys.float_info.max:
        raise FormatError(f"{what} holds the number {text:.40}, wanted finite ones")
    return value


def _refuse(message: str) -> NoReturn:
    raise FormatError(message)
