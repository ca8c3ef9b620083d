"""JSON as the format wants it: read strictly, written in one way only."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from nmap.errors import FormatError


def canonical_json(value: Any) -> str:
    """ASCII, names sorted, no spaces, whole numbers without a point.

    Raises:
        ValueError: a number that is not finite.
    """
    return json.dumps(_short(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


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


def _short(value: Any) -> Any:
    """The same JSON value with whole floats as integers and tuples as lists."""
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value


def _unique(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise FormatError(f"{what} has the name {twice!r:.60} twice")
    return out


def _finite(value: float, text: str, what: str) -> float:
    """A number of a JSON text, unless it is beyond what a float64 holds: readers disagree about those."""
    if abs(value) > sys.float_info.max:
        raise FormatError(f"{what} holds the number {text:.40}, wanted finite ones")
    return value


def _refuse(message: str) -> NoReturn:
    raise FormatError(message)
