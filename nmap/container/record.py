"""The record's bytes: what decoding does not need, as compressed JSON in one tensor of the file.

A record is an object of groups, a group an object of items, an item any JSON value. Arrays and bytes are objects
with the name `$type`; see `spec/record.md`. A record is bounded before it is unpacked and before it is parsed,
and what is wrong with it never keeps the map from being decoded.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmap.container.json_text import canonical_json, parse_json
from nmap.container.vocabulary import check_item, paired_curves
from nmap.errors import FormatError, OptionError

if TYPE_CHECKING:
    from nmap.neural_map import Record

TENSOR = "record"
# Bytes of the JSON text. The largest item, an extended MRC header of 1 MiB, takes 1.4 MB of it.
MAX_TEXT_BYTES = 1 << 22
# Commas bound the number of values, and so the memory that parsing takes: 100 bytes for each at most.
MAX_COMMAS = 1 << 16
# Objects and lists within each other, the record itself being the first.
MAX_DEPTH = 16
# Values of an evenly spaced array, which a few bytes declare.
MAX_RANGE = 1024
MAX_AXES = 4
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "U8": np.dtype("u1")}
_MARK = "$type"
# The settings of zlib's deflate, so that the same record gives the same bytes.
_LEVEL = 9
_WINDOW_BITS = 15
_MEMORY_LEVEL = 9


def pack(record: Record) -> bytes:
    """The bytes of the record tensor; the same record gives the same bytes with the same zlib.

    Args:
        record: the record, as `vocabulary.prepare` gives it.

    Raises:
        OptionError: an item that is no JSON value, array or bytes; or a record beyond the limits.
    """
    values = {
        group: {name: _to_json(value, f"{group}/{name}", 3) for name, value in items.items()}
        for group, items in record.items()
        if items
    }
    text = canonical_json(values).encode("ascii")
    if len(text) > MAX_TEXT_BYTES or text.count(b",") > MAX_COMMAS:
        raise OptionError(
            f"record of {len(text)} bytes and {text.count(b',')} commas: wanted at most {MAX_TEXT_BYTES} and "
            f"{MAX_COMMAS}"
        )
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY)
    return deflate.compress(text) + deflate.flush()


def unpack(data: bytes) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """The record of a file, as far as it can be read.

    Args:
        data: bytes of the record tensor.

    Returns:
        The record, and for each item that was dropped why, in words.

    Raises:
        FormatError: nothing of it can be read: it is damaged, no JSON object, or beyond the limits.
    """
    text = _inflate(data)
    commas = text.count(b",")
    if commas > MAX_COMMAS:
        raise FormatError(f"record has {commas} commas, wanted at most {MAX_COMMAS}")
    groups = parse_json(text, "record")
    _check_depth(groups, 1)
    record: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for group, items in groups.items():
        if not isinstance(items, dict) or _MARK in items:
            faults.append(f"record group {group!r:.60}: wanted an object of items")
            continue
        record[group] = {}
        for name, value in items.items():
            if value is None:
                continue
            try:
                record[group][name] = check_item(group, name, _from_json(value))
            except FormatError as error:
                faults.append(f"record item {group!r:.60} {name!r:.60}: {error}")
        faults += paired_curves(group, record[group])
    return record, tuple(faults)


def text_of(items: Mapping[str, Any]) -> str:
    """A group as JSON text, without its arrays and bytes."""
    plain = {name: value for name, value in items.items() if not isinstance(value, bytes | np.ndarray)}
    return canonical_json({name: _to_json(value, name, 3) for name, value in plain.items()})


def _inflate(data: bytes) -> bytes:
    """The text of a zlib stream, unpacked no further than the limit."""
    inflate = zlib.decompressobj(_WINDOW_BITS)
    try:
        text = inflate.decompress(data, MAX_TEXT_BYTES + 1)
    except zlib.error as error:
        raise FormatError(f"record is no zlib stream, or damaged: {error}") from None
    if len(text) > MAX_TEXT_BYTES:
        raise FormatError(f"record unpacks to more than {MAX_TEXT_BYTES} bytes")
    if not inflate.eof or inflate.unused_data:
        raise FormatError("record ends early, or bytes follow its end")
    return text


def _check_depth(value: Any, depth: int) -> None:
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise FormatError(f"record has more than {MAX_DEPTH} objects and lists within each other")
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, depth + 1)


def _to_json(value: Any, path: str, depth: int) -> Any:
    """A value as JSON; numbers to six digits, those that are not finite as null."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half a surrogate pair is no Unicode
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, bytes):
        return {_MARK: "bytes", "base64": base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.ndim <= MAX_AXES:
        return _array_to_json(value)
    if depth > MAX_DEPTH:
        raise OptionError(
            f"record item {path}: wanted at most {MAX_DEPTH} objects and lists within each other"
        )
    if isinstance(value, list | tuple):
        return [_to_json(item, path, depth + 1) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) and key[:1] != "$" for key in value):
        return {key: _to_json(item, path, depth + 1) for key, item in value.items()}
    raise OptionError(
        f"record item {path}: wanted JSON values, arrays of numbers or bytes, and no name that begins with $, got "
        f"{type(value).__name__}"
    )


def _array_to_json(array: NDArray[Any]) -> dict[str, Any]:
    """The shortest of an array's forms, once compressed."""
    shape: dict[str, Any] = {"shape": list(array.shape)}
    if array.dtype == np.uint8:
        return {_MARK: "U8", **shape, "base64": base64.b64encode(array.tobytes()).decode()}
    values = array.astype(np.float32)
    if _is_even(values):
        ends = [float(f"{v:.6g}") for v in values[[0, -1]].tolist()]
        return {_MARK: "F32", **shape, "range": ends}
    half = fits_half(values)
    dtype, digits = ("F16", 4) if half else ("F32", 6)
    forms: list[dict[str, Any]] = [
        {"base64": base64.b64encode(values.astype(DTYPES[dtype]).tobytes()).decode()}
    ]
    if np.isfinite(values).all():
        forms.append({"values": [float(f"{v:.{digits}g}") for v in values.ravel().tolist()]})
    shortest = min(forms, key=lambda form: len(zlib.compress(canonical_json(form).encode(), _LEVEL)))
    return {_MARK: dtype, **shape, **shortest}


def fits_half(values: NDArray[np.float32]) -> bool:
    """Whether float16 keeps every value to 0.05 %."""
    size = np.abs(values[values != 0])
    return bool((size >= 2.0**-14).all() and (size < 65504).all())


def _is_even(values: NDArray[np.float32]) -> bool:
    """Whether an array is one axis of evenly spaced values, to a thousandth of their range."""
    if values.ndim != 1 or not 3 <= values.size <= MAX_RANGE or not np.isfinite(values).all():
        return False
    even = np.linspace(values[0], values[-1], values.size)
    return bool(np.abs(values - even).max() <= 1e-3 * abs(values[-1] - values[0]))


def _from_json(value: Any) -> Any:
    """A JSON value with its arrays and bytes.

    Raises:
        FormatError: an array or bytes that are not what they say.
    """
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _MARK not in value:
        return {name: _from_json(item) for name, item in value.items()}
    rest = {name: item for name, item in value.items() if name != _MARK}
    kind = value[_MARK]
    if kind == "bytes" and list(rest) == ["base64"]:
        return _base64(rest["base64"])
    if isinstance(kind, str) and kind in DTYPES and isinstance(rest.get("shape"), list):
        return _array_from_json(DTYPES[kind], rest.pop("shape"), rest)
    raise FormatError(f"{_MARK} {kind!r:.40}: wanted bytes, or {', '.join(DTYPES)} with a shape")


def _array_from_json(dtype: np.dtype[Any], shape: list[Any], form: dict[str, Any]) -> NDArray[Any]:
    if len(shape) > MAX_AXES or not all(type(n) is int and 0 <= n <= MAX_TEXT_BYTES for n in shape):
        raise FormatError(f"shape {shape!r:.60}, wanted up to {MAX_AXES} counts")
    size = math.prod(shape)
    found: NDArray[Any] | None = None
    if list(form) == ["base64"]:
        data = _base64(form["base64"])
        if len(data) == size * dtype.itemsize:
            found = np.frombuffer(data, dtype)
    elif list(form) == ["values"] and _is_numbers(form["values"]):
        if len(form["values"]) == size:
            found = np.array(form["values"], np.float64)
    elif list(form) == ["range"] and _is_numbers(form["range"]) and len(form["range"]) == 2:
        first, last = form["range"]
        if len(shape) == 1 and 2 <= size <= MAX_RANGE:
            found = np.linspace(first, last, size)
    if found is None:
        raise FormatError(f"array of shape {shape!r:.60}, wanted base64, values or a range that fill it")
    with np.errstate(over="ignore", invalid="ignore"):
        return found.astype(np.uint8 if dtype == np.uint8 else np.float32).reshape(shape)


def _is_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(n) in (int, float) and abs(n) < 1e300 for n in value)


def _base64(text: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("bytes that are no base64") from None
