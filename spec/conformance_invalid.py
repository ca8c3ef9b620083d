"""The forged files of the conformance suite: each breaks one rule of nmap-1.0.md, section 5."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Forged:
    """A file, and how a reader must refuse it; an empty error marks one that it must accept.

    Attributes:
        name: file name without ending.
        check: number in section 5.
        error: class of nmap's error.
        message: part of its message.
        says: what is wrong.
        data: the bytes.
    """

    name: str
    check: int
    error: str
    message: str
    says: str
    data: bytes


def split(data: bytes) -> tuple[Json, Json, bytes]:
    """JSON header without metadata, metadata, and tensor bytes."""
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    metadata = json.loads(header.pop("__metadata__")["nmap"])
    return header, metadata, data[8 + n :]


def wrap(text: str | bytes, buffer: bytes, pad: str = " ") -> bytes:
    """A file of this JSON text."""
    raw = text.encode() if isinstance(text, str) else text
    raw += pad.encode() * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + buffer


def dump(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def signed(header: Json, metadata: Json | str, buffer: bytes) -> bytes:
    """A file whose checksum fits whatever else is wrong with it."""
    text = metadata if isinstance(metadata, str) else dump({**metadata, "sha256": "0" * 64})
    sums = hashlib.sha256(text.encode())
    for name, entry in sorted(header.items()):
        if name == "record" or name.startswith("hdf5."):
            continue
        begin, end = entry["data_offsets"]
        line = f"{name} {entry['dtype']} {','.join(map(str, entry['shape']))}\n"
        sums.update(line.encode() + buffer[begin:end])
    text = text.replace("0" * 64, sums.hexdigest(), 1)
    return wrap(dump({"__metadata__": {"nmap": text}, **header}), buffer)


def repacked(tensors: dict[str, tuple[str, list[int], bytes]], metadata: Json) -> bytes:
    """A file of these tensors: type, shape and bytes by name."""
    header: Json = {}
    at, buffer = 0, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(raw)]}
        at, buffer = at + len(raw), buffer + raw
    return signed(header, metadata, buffer)


def invalid_files(dual: bytes, plain: bytes) -> list[Forged]:
    """All forged files, from a valid one with HDF5 part and the same one without."""
    return [
        *_broken_bytes(dual, plain),
        *_broken_layouts(plain),
        *_broken_metadata(plain),
        *_broken_tensors(plain),
        *_accepted(plain),
    ]


def _broken_bytes(dual: bytes, plain: bytes) -> Iterator[Forged]:
    error = "FormatError"
    n = int.from_bytes(plain[:8], "little")
    text, buffer = plain[8 : 8 + n].rstrip(), plain[8 + n :]
    yield Forged("short", 1, error, "truncated file", "five bytes", plain[:5])
    huge = (1 << 20) + 8
    yield Forged(
        "header-huge", 1, error, "wanted 2 to", "N above 2^20", huge.to_bytes(8, "little") + plain[8:]
    )
    yield Forged("header-cut", 2, error, "truncated file", "the file ends within the JSON", plain[: n // 2])
    yield Forged(
        "not-json", 2, error, "not valid JSON", "a colon is missing", wrap(text.replace(b":", b"", 1), buffer)
    )
    yield Forged(
        "leading-space", 2, error, "begins with", "a space before the JSON", wrap(b" " + text, buffer)
    )
    bad = text.replace(b"last.bias", b"last.bia\xff")
    yield Forged("not-utf8", 2, error, "not valid JSON", "a byte that is not UTF-8", wrap(bad, buffer))
    yield Forged("text-after", 2, error, "ends with", "a letter after the JSON", wrap(text + b"x", buffer))
    twice = text[:-1] + b',"last.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    yield Forged("duplicate-tensor", 2, error, "twice", "a tensor named twice", wrap(twice, buffer))
    deep = b'{"a":' * 2000 + b"1" + b"}" * 2000
    yield Forged("nested", 2, error, "not valid JSON", "2000 nested objects", wrap(deep, buffer))
    line = wrap(text + b"\n", buffer)
    yield Forged("line-feed-after", 2, error, "ends with", "a line feed after the JSON", line)
    half = text.replace(b'{\\"grid', b'{\\"\\\\ud800\\":1,\\"grid')
    yield Forged("half-surrogate", 2, error, "surrogate", "half a surrogate pair", wrap(half, buffer))
    odd = text.replace(b"last.bias", b"last\\nbias")
    yield Forged("tensor-name", 4, error, "tensor name", "a line feed in a tensor's name", wrap(odd, buffer))
    yield Forged("cut", 6, error, "truncated file", "the last byte is missing", plain[:-1])
    yield Forged("appended", 6, "AppendedDataError", "appended", "one byte too many", plain + b"\0")
    grown = dual + bytes(64)
    yield Forged("appended-hdf5", 6, "AppendedDataError", "nmap repair", "bytes after an HDF5 part", grown)
    flipped = bytearray(plain)
    flipped[-3] ^= 1
    yield Forged("flipped", 9, error, "sha256", "one bit of a weight flipped", bytes(flipped))
    moved = text.replace(b"[10,10,10]", b"[10,10,11]")
    yield Forged(
        "metadata-changed", 9, error, "sha256", "one digit of the metadata changed", wrap(moved, buffer)
    )


def _broken_layouts(plain: bytes) -> Iterator[Forged]:
    header, metadata, buffer = split(plain)

    def change(name: str, message: str, says: str, check: int = 4, **entry: Any) -> Forged:
        changed = copy.deepcopy(header)
        changed["last.bias"] |= entry
        text = dump({"__metadata__": {"nmap": dump(metadata)}, **changed})
        return Forged(name, check, "FormatError", message, says, wrap(text, buffer))

    begin, end = header["last.bias"]["data_offsets"]
    none = wrap(dump({"__metadata__": {"other": "x"}, **header}), buffer)
    yield Forged(
        "no-metadata", 3, "FormatError", "not a .nmap file", "safetensors without nmap metadata", none
    )
    many = {f"t{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(257)}
    text = dump({"__metadata__": {"nmap": dump(metadata)}, **many})
    yield Forged("many-tensors", 4, "FormatError", "at most 256", "257 tensors", wrap(text, bytes(257)))
    yield change("dtype", "dtype", "a type that nmap does not have", dtype="I64")
    yield change("shape-negative", "shape", "a negative count", shape=[-1])
    yield change("shape-float", "shape", "a count that is not whole", shape=[1.5])
    yield change("shape-true", "shape", "a count that is true", shape=[True])
    yield change("shape-huge", "shape", "counts whose product overflows 64 bits", shape=[1 << 33, 1 << 33])
    yield change("size", "wants 8", "a shape that wants more bytes", shape=[2])
    yield change("axes", "shape", "five axes", shape=[1, 1, 1, 1, 1])
    yield change("extra-name", "wanted an object with", "an unknown name in a tensor", colour="red")
    yield change("offsets-reversed", "data_offsets", "end before begin", data_offsets=[end, begin])
    overlap = [begin - 4, end - 4]
    yield change("overlap", "overlap", "two tensors over the same bytes", 5, data_offsets=overlap)
    changed = copy.deepcopy(header)
    changed["last.bias"]["data_offsets"] = [end, end + 4]
    text = dump({"__metadata__": {"nmap": dump(metadata)}, **changed})
    yield Forged("hole", 5, "FormatError", "hole", "four bytes in no tensor", wrap(text, buffer + bytes(4)))


def _broken_metadata(plain: bytes) -> Iterator[Forged]:
    header, metadata, buffer = split(plain)

    def change(
        name: str, check: int, error: str, message: str, says: str, edit: Callable[[Json], Any]
    ) -> Forged:
        changed = copy.deepcopy(metadata)
        edit(changed)
        return Forged(name, check, error, message, says, signed(header, changed, buffer))

    def replaced(name: str, message: str, says: str, old: str, new: str) -> Forged:
        text = dump({**metadata, "sha256": "0" * 64})
        assert old in text
        return Forged(name, 2, "FormatError", message, says, signed(header, text.replace(old, new), buffer))

    error, unsupported = "FormatError", "UnsupportedError"
    yield replaced("duplicate-metadata", "twice", "a name twice", '"version"', '"version":"1.0","version"')
    yield replaced("nan", "NaN", "NaN among the omegas", "[2,1.5", "[NaN,1.5")
    yield replaced("infinity", "1e999", "1e999 among the omegas", "[2,1.5", "[1e999,1.5")
    whole = "1" + 400 * "0"
    for name, number in (("infinity-unknown-name", "-1e999"), ("integer-huge", whole)):
        says = f"{number if number != whole else '10^400'} under a name of no use"
        yield replaced(name, number[:40], says, '"version"', f'"colour":{number},"version"')
    yield change(
        "version-2", 7, unsupported, "2.0", "a newer major version", lambda m: m.update(version="2.0")
    )
    yield change(
        "must-understand",
        7,
        unsupported,
        "time-series",
        "a feature that no reader has",
        lambda m: m.update(must_understand=["time-series"]),
    )
    edits: list[tuple[str, str, str, Callable[[Json], Any]]] = [
        ("version-number", "version", "a version that is a number", lambda m: m.update(version=1.0)),
        ("no-grid", "grid", "no grid", lambda m: m.pop("grid")),
        ("grid-huge", "at most", "2^48 voxels", lambda m: m["grid"].update(shape=[65536] * 3)),
        ("grid-axes", "three", "two voxel sizes", lambda m: m["grid"].update(voxel_size=[1, 1])),
        ("voxel-negative", "positive", "a negative voxel", lambda m: m["grid"].update(voxel_size=[1, 1, -1])),
        ("angles", "no such cell", "angles of no cell", lambda m: m["grid"].update(angles=[30, 30, 90])),
        ("half-width", "positive", "half width 0", lambda m: m.update(frame={"half_width": [1, 0, 1]})),
        ("scale-text", "scale", "a scale that is a text", lambda m: m.update(scale="1")),
        (
            "group",
            "C0",
            "a group of order 0",
            lambda m: m.update(symmetry={"group": "C0", "center": [0, 0, 0]}),
        ),
        ("alignment", "alignment", "unknown alignment", lambda m: m.update(alignment="centre")),
        (
            "lattice-huge",
            "at most",
            "a lattice of 2^36",
            lambda m: m.update(band_limit=3, lattice=[4096] * 3),
        ),
        ("setting-object", "omegas", "omegas that are an object", lambda m: m["model"].update(omegas={})),
    ]
    for name, message, says, edit in edits:
        yield change(name, 8, error, message, says, edit)
    yield change(
        "kind", 13, unsupported, "wavelets", "a model kind", lambda m: m["model"].update(kind="wavelets")
    )
    yield change("omegas", 13, error, "omegas", "an omega too many", lambda m: m["model"]["omegas"].append(1))
    yield change("no-lattice", 14, error, "lattice", "no lattice", lambda m: m.update(band_limit=5))
    coarse = {"band_limit": 5, "lattice": [6, 6, 6]}
    yield change("lattice-coarse", 14, error, "coarse", "a lattice too coarse", lambda m: m.update(coarse))
    beyond_box: Json = {"band_limit": 1000, "lattice": [4, 4, 4]}
    yield change(
        "band-limit-beyond-box",
        14,
        error,
        "nothing but the mean",
        "a band limit coarser than the first shell",
        lambda m: m.update(beyond_box),
    )
    fine: Json = {"band_limit": 5, "lattice": [10, 45, 10]}
    yield change(
        "lattice-fine", 14, error, "at most", "45 along an axis with 3 frequencies", lambda m: m.update(fine)
    )
    beyond: Json = {"band_limit": 0.3, "lattice": [108, 108, 108]}
    yield change(
        "lattice-beyond-grid",
        14,
        error,
        "at most",
        "a band limit and a lattice far beyond what the grid can hold",
        lambda m: m.update(beyond),
    )
    rod = {"shape": [1, 1, 1000], "voxel_size": [1.5, 1500, 1500]}
    thick: Json = {"grid": rod, "band_limit": 5, "lattice": [602, 602, 602]}
    yield change(
        "lattice-thick",
        14,
        error,
        "1304576 points",
        "602^3 points for 1000 voxels",
        lambda m: m.update(thick),
    )


def _broken_tensors(plain: bytes) -> Iterator[Forged]:
    header, metadata, buffer = split(plain)
    tensors = {
        name: (entry["dtype"], entry["shape"], buffer[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }

    def change(
        name: str,
        check: int,
        message: str,
        says: str,
        replace: dict[str, tuple[str, list[int], bytes] | None],
        *,
        error: str = "FormatError",
        **more: Any,
    ) -> Forged:
        changed = {key: value for key, value in {**tensors, **replace}.items() if value is not None}
        return Forged(name, check, error, message, says, repacked(changed, {**metadata, **more}))

    def coded(tensor: str, **coding: Any) -> Json:
        return {"codings": {tensor: coding}}

    nan = b"\0\0\xc0\x7f"
    four, steps = bytes(36), bytes(24)
    uniform = {"coding": "uniform", "bits": 4, "shape": [2, 6, 6]}
    yield change("missing", 13, "last.bias", "no last bias", {"last.bias": None})
    yield change("unknown-tensor", 13, "no place", "a tensor of no use", {"extra": ("F32", [1], bytes(4))})
    yield change(
        "wrong-shape",
        13,
        "first.bias",
        "five biases for six neurons",
        {"first.bias": ("F32", [5], bytes(20))},
    )
    yield change("not-finite", 12, "not finite", "a bias of NaN", {"last.bias": ("F32", [1], nan)})
    odd = coded("hidden.weight", coding="fractal")
    yield change("coding", 10, "fractal", "a coding that no reader has", {}, error="UnsupportedError", **odd)
    both: dict[str, tuple[str, list[int], bytes] | None] = {
        "hidden.weight": ("U8", [36], four),
        "hidden.weight.step": ("F16", [2, 6], steps),
    }
    yield change(
        "no-step",
        10,
        "missing",
        "no steps",
        {"hidden.weight": both["hidden.weight"]},
        **coded("hidden.weight", **uniform),
    )
    nine = coded("hidden.weight", **{**uniform, "bits": 9})
    yield change("bits", 10, "bits", "nine bits a weight", both, **nine)
    short = {**both, "hidden.weight": ("U8", [35], bytes(35))}
    yield change(
        "packed-short", 10, "shape", "a packed byte too few", short, **coded("hidden.weight", **uniform)
    )
    negative = {**both, "hidden.weight.step": ("F16", [2, 6], b"\x00\xbc" * 12)}
    yield change(
        "step-negative", 10, "negative", "steps of -1", negative, **coded("hidden.weight", **uniform)
    )
    wide: dict[str, tuple[str, list[int], bytes] | None] = {
        "hidden.weight": ("U8", [4097], bytes(4097)),
        "hidden.weight.step": ("F16", [1, 1], bytes(2)),
    }
    far = {"coding": "uniform", "bits": 2, "shape": [1, 1, 16385]}
    yield change("wide", 11, "16384", "a decoded axis of 16385", wide, **coded("hidden.weight", **far))
    bits: dict[str, tuple[str, list[int], bytes] | None] = {"envelope": ("U8", [1], b"\0")}
    nodes = coded("envelope", coding="occupancy", shape=[128, 128, 65])
    yield change("envelope-huge", 11, "nodes", "an envelope of 1 064 960 nodes", bits, **nodes)
    cheap = coded("first.weight", coding="occupancy", shape=[16384, 16384, 16384])
    yield change(
        "bomb",
        11,
        "at most",
        "one byte that decodes to 2^42 bits",
        {"first.weight": ("U8", [1], b"\0")},
        **cheap,
    )
    limit: Json = {"band_limit": 5, "lattice": [10, 10, 10]}
    five: dict[str, tuple[str, list[int], bytes] | None] = {"gains": ("F32", [5], bytes(20))}
    yield change("gains-count", 14, "gains", "five gains for four shells", five, **limit)
    yield change("gains-alone", 14, "gains", "gains without a band limit", five)
    low = coded("gains", coding="log", low=0, step=2)
    yield change(
        "log-step", 10, "step", "a step of two octaves", {"gains": ("U8", [4], bytes(4))}, **limit, **low
    )


def _accepted(plain: bytes) -> Iterator[Forged]:
    header, metadata, buffer = split(plain)
    newer = {
        **metadata,
        "version": "1.7",
        "colour": {"of": ["the", "cover", None, True]},
        "must_understand": [],
    }
    newer["model"] = {**metadata["model"], "mood": "blue"}
    data = signed(header, newer, buffer)
    yield Forged("newer-minor", 0, "", "", "version 1.7 with names that 1.0 does not have", data)
