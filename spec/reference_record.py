"""The record of a .nmap file, read from record.md alone: numpy and the standard library.

python reference_record.py FILE      the record as JSON, arrays as lists, bytes by their number
"""

import base64
import json
import math
import sys
import zlib

import numpy as np

TYPES = {"F32": "<f4", "F16": "<f2", "U8": "u1"}


def read_record(data: bytes) -> dict:
    """Groups of items; {} where there is no record, or where nothing of it can be read."""
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    if "record" not in header or header["record"]["dtype"] != "U8":
        return {}
    begin, end = (8 + n + offset for offset in header["record"]["data_offsets"])
    try:
        groups = unpacked(data[begin:end])
    except (ValueError, zlib.error, RecursionError):
        return {}
    out: dict = {}
    for group, items in groups.items():
        if isinstance(items, dict) and "$type" not in items:
            out[group] = {name: value for name, item in items.items() for value in read(item)}
    return out


def unpacked(stream: bytes) -> dict:
    """The JSON object of a zlib stream; section "Bytes"."""
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(stream, 2**22 + 1)
    whole = len(text) <= 2**22 and unpacker.eof and not unpacker.unused_data
    if not whole or text.count(b",") > 2**16:
        raise ValueError("beyond a limit, or damaged")
    value = json.loads(text.decode("ascii"), object_pairs_hook=unique, parse_constant=refuse)
    if not isinstance(value, dict) or depth(value) > 16:
        raise ValueError("no object, or too deep")
    return value


def read(item) -> list:
    """A list of an item's value; an empty list where it is a fault or not there."""
    try:
        return [] if item is None else [value_of(item)]
    except (KeyError, TypeError, ValueError):
        return []


def value_of(item):
    """A JSON value with its arrays and bytes; section "Values"."""
    if isinstance(item, list):
        return [value_of(each) for each in item]
    if not isinstance(item, dict):
        return item
    if "$type" not in item:
        return {name: value_of(each) for name, each in item.items()}
    kind, (form,) = item["$type"], set(item) - {"$type", "shape"}
    if kind == "bytes":
        return base64.b64decode(item["base64"], validate=True)
    shape = item["shape"]
    if form == "base64":
        values = np.frombuffer(base64.b64decode(item["base64"], validate=True), TYPES[kind])
    elif form == "values":
        values = np.array(item["values"], TYPES[kind])
    else:
        (first, last), (count,) = item["range"], shape
        if not 2 <= count <= 1024:
            raise ValueError("a range of too many values")
        values = np.linspace(first, last, count)
    if values.size != math.prod(shape):
        raise ValueError("an array that is not filled")
    return values.reshape(shape).astype("u1" if kind == "U8" else "f4")


def depth(value) -> int:
    """How deep objects and lists lie."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def unique(pairs):
    """An object, if no name comes twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def refuse(name):
    """NaN and infinities are not JSON."""
    raise ValueError(name)


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        found = read_record(file.read())
    print(json.dumps(found, indent=1, default=lambda v: v.tolist() if isinstance(v, np.ndarray) else len(v)))
