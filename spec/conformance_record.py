"""Files of the conformance suite whose record is damaged or forged: each decodes, whatever its record holds."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance_invalid import Json, dump, repacked, split


@dataclass(frozen=True)
class Damaged:
    """A file with a record that cannot be read, or not whole.

    Attributes:
        name: file name without ending.
        message: part of what nmap says of it.
        says: what is wrong.
        data: the bytes.
        kept: names of the items that must be found, by group.
    """

    name: str
    message: str
    says: str
    data: bytes
    kept: dict[str, list[str]] = field(default_factory=dict)


def damaged_records(plain: bytes) -> Iterator[Damaged]:
    """Files made of a valid one without record and without HDF5 part."""
    header, metadata, buffer = split(plain)
    tensors = {
        name: (entry["dtype"], entry["shape"], buffer[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }

    def file(stream: bytes) -> bytes:
        return repacked({**tensors, "record": ("U8", [len(stream)], stream)}, metadata)

    for name, message, says, stream in [*_streams(), *_texts()]:
        yield Damaged(name, message, says, file(stream))
    floats = repacked({**tensors, "record": ("F32", [1], bytes(4))}, metadata)
    yield Damaged("type", "wanted bytes", "a tensor of type F32", floats)
    lone = dump({**GOOD, "fit": 3, "fidelity": _array("F16", [4], base64=HALVES)})
    yield Damaged("groups", "group", "groups that are no objects", file(_stored(lone)), KEPT)
    for name, message, says, group, items in _items():
        beside = dump({**GOOD, group: {**GOOD.get(group, {}), **items}})
        yield Damaged(name, message, says, file(_stored(beside)), KEPT)


GOOD: Json = {"source": {"file": "emd_0000.map", "sha256": "0123456789abcdef" * 4}}
KEPT = {"source": ["file", "sha256"]}
HALVES = base64.b64encode(bytes(8)).decode()


def _stored(text: str | bytes, level: int = 0) -> bytes:
    """The text in a zlib stream, by default not compressed, which every library writes alike."""
    return zlib.compress(text.encode() if isinstance(text, str) else text, level)


def _array(kind: str, shape: list[Any], **form: Any) -> Json:
    return {"$type": kind, "shape": shape, **form}


def _streams() -> Iterator[tuple[str, str, str, bytes]]:
    """Name, message, what is wrong, and the bytes of the tensor: no whole stream, or one that is too long."""
    text = dump(GOOD).encode()
    whole = _stored(text)
    flipped = bytearray(whole)
    flipped[20] ^= 1
    yield "no-bytes", "ends early", "an empty tensor", b""
    yield "not-zlib", "zlib", "JSON that is not compressed", text
    yield "cut", "ends early", "the last byte is missing", whole[:-1]
    yield "trailing", "bytes follow", "a byte after the stream", whole + b"\0"
    yield "flipped", "zlib", "one bit of a text flipped", bytes(flipped)
    bomb = b"{" + b" " * (1 << 22) + b"}"
    yield "size-bomb", "unpacks to more", "4 MiB and two bytes of JSON in 4 kB", _stored(bomb, 9)


def _texts() -> Iterator[tuple[str, str, str, bytes]]:
    """The same for streams that unpack to something else than a record."""
    text = dump(GOOD)
    many = '{"fit":{"settings":[' + "0," * (1 << 16) + "0,0]}}"
    yield "commas", "commas", "65537 commas", _stored(many, 9)
    yield "not-json", "not valid JSON", "a colon is missing", _stored(text.replace(":", "", 1))
    bad = text.encode()[:-3] + b'\xff"}}'
    yield "not-utf8", "not valid JSON", "a byte that is not UTF-8", _stored(bad)
    yield "not-an-object", "begins with", "a list", _stored("[1]")
    yield "nan", "NaN", "NaN as a number", _stored('{"fidelity":{"worst":NaN}}')
    yield "twice", "twice", "a group twice", _stored('{"fit":{"seed":1},"fit":{"seed":2}}')
    deep = '{"fit":{"settings":' + "[" * 15 + "]" * 15 + "}}"
    yield "deep-17", "16 objects", "seventeen levels", _stored(deep)
    deeper = '{"fit":' + "[" * 100000 + "]" * 100000 + "}"
    yield "deep-100001", "record", "100 001 levels", _stored(deeper, 9)


def _items() -> Iterator[tuple[str, str, str, str, Json]]:
    """Name, message, what is wrong, and items of a group, each of which must be dropped, and they alone."""
    short = base64.b64encode(bytes(1023)).decode()
    curve, long = _array("F16", [4], base64=HALVES), _array("F32", [5], range=[0, 1])
    yield "text-number", "text", "a whole number for a text", "fit", {"device": 3}
    yield "number-text", "number", "a text for a number", "fidelity", {"worst": "0.9"}
    yield "whole-fraction", "whole", "a fraction for a whole number", "fit", {"seed": 1.5}
    header = {"$type": "bytes", "base64": short}
    yield "header-short", "bytes", "1023 bytes of an MRC header", "source", {"mrc_header": header}
    noise = {"$type": "bytes", "base64": "?"}
    yield "base64", "base64", "letters that are no base64", "fidelity", {"envelope": noise}
    whole = _array("I64", [1], values=[1])
    yield "unknown-type", "I64", "an array of type I64", "fit", {"loss": whole}
    five = _array("F16", [5], base64=HALVES)
    yield "not-filled", "fill", "8 bytes for five numbers", "fit", {"loss": five}
    bomb = _array("F32", [1 << 31], range=[0, 1])
    yield "range-bomb", "counts", "2^31 evenly spaced values", "fit", {"loss_step": bomb}
    negative = _array("F16", [-4], base64=HALVES)
    yield "shape-negative", "counts", "a negative count", "fit", {"loss": negative}
    plane = _array("F16", [2, 2], base64=HALVES)
    yield "two-axes", "curve", "a curve with two axes", "fit", {"loss": plane}
    image = _array("U8", [0, 4], base64="")
    yield "empty-image", "image", "a picture without pixels", "thumbnail", {"xy": image}
    yield "no-axis", "axis", "a curve without its axis", "fidelity", {"fsc": curve}
    yield "long-axis", "axis", "an axis longer than its curve", "fidelity", {"fsc": curve, "frequency": long}
