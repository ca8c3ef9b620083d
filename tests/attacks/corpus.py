"""Files made to do harm, and what each may do: its class, its exit codes, its seconds and its memory.

Each is made when it is asked for, from small sound files; those that cannot be made are in `tests/data/faults`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cli_files import write_siren
from mrc_files import mrc_bytes
from mrcfile.dtypes import HEADER_DTYPE
from phantoms import neural_map, siren

from nmap.container.codec import encode_bytes
from nmap.container.layout import digest, read_layout, read_tensors
from nmap.grid import Grid

FAULTS = Path(__file__).parents[1] / "data" / "faults"
REFUSED = frozenset({2, 3, 4})
READ = frozenset({0})
EITHER = READ | REFUSED
MB = 1 << 20


@dataclass(frozen=True)
class Attack:
    """A file, and what it may do.

    Attributes:
        kind: the class of attack.
        name: of this one.
        suffix: of the file.
        content: its bytes.
        codes: exit codes that are right.
        seconds: of processor time that each command may take.
        megabytes: that each command may take at its peak, beyond what the process held before.
    """

    kind: str
    name: str
    suffix: str
    content: Callable[[], bytes]
    codes: frozenset[int] = EITHER
    seconds: float = 3.0
    megabytes: int = 100

    @property
    def id(self) -> str:
        return f"{self.kind}: {self.name}"


@cache
def map_bytes() -> bytes:
    return mrc_bytes(np.random.default_rng(2).normal(size=(8, 9, 10)).astype(np.float32))


@cache
def file_bytes() -> bytes:
    return encode_bytes(neural_map(siren(8, 1), Grid((8, 8, 8), (1.5,) * 3), resolution=4.0), hdf5=False)


@cache
def hdf5_bytes() -> bytes:
    return encode_bytes(neural_map(siren(8, 1), Grid((8, 8, 8), (1.5,) * 3), resolution=4.0))


def changed(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def header_fields() -> Iterator[Attack]:
    """Every word of the MRC header, each with values that cannot be."""
    kind = np.dtype(HEADER_DTYPE)
    words = {"0": 0, "-1": -1, "most": 2**31 - 1, "NaN": 0x7FC00000, "inf": 0x7F800000}
    assert kind.fields is not None
    for field, (dtype, offset, *_) in kind.fields.items():
        if field in ("label", "extra1", "extra2"):
            continue
        for part in range(0, max(dtype.itemsize // 4, 1)):
            for said, value in words.items():
                new = value.to_bytes(4, "little", signed=value < 0)[: dtype.itemsize]
                yield Attack(
                    "MRC header field",
                    f"{field}[{part}] = {said}",
                    ".mrc",
                    lambda at=offset + 4 * part, new=new: changed(map_bytes(), at, new),  # type: ignore[misc]
                )


def cuts_and_flips(kind: str, suffix: str, whole: Callable[[], bytes], seed: int) -> Iterator[Attack]:
    """Cut at every 64 bytes, one bit turned here and there, something added."""
    size = len(whole())
    # The last byte of a plain map is no loss that its header shows, but its length is.
    for at in range(0, size, 64):
        yield Attack(f"{kind} cut short", f"{at} bytes", suffix, lambda at=at: whole()[:at], REFUSED)  # type: ignore[misc]
    draw = np.random.default_rng(seed)
    for at, bit in zip(draw.integers(0, size, 60).tolist(), draw.integers(0, 8, 60).tolist(), strict=True):
        yield Attack(
            f"{kind} with a bit turned",
            f"byte {at}, bit {bit}",
            suffix,
            lambda at=at, bit=bit: changed(whole(), at, bytes([whole()[at] ^ 1 << bit])),  # type: ignore[misc]
        )
    for extra in (b"\0", b"\n", b"x" * 4096, b"\x89HDF\r\n\x1a\n" + bytes(512)):
        yield Attack(f"{kind} with bytes added", f"{len(extra)}", suffix, lambda extra=extra: whole() + extra)  # type: ignore[misc]


def nmap_headers() -> Iterator[Attack]:
    """JSON headers of `.nmap` files that lie, each refused."""
    prefix = 8 + int.from_bytes(file_bytes()[:8], "little")
    header: dict[str, Any] = json.loads(file_bytes()[8:prefix])
    data = file_bytes()[prefix:]
    said: dict[str, Any] = json.loads(header["__metadata__"]["nmap"])
    first, second = (name for name in list(header)[1:3])

    def packed(text: str, body: bytes = data) -> bytes:
        raw = text.encode("utf-8", "surrogatepass")
        raw = raw.ljust(-(-len(raw) // 8) * 8)
        return len(raw).to_bytes(8, "little") + raw + body

    def tensors(**entries: Any) -> Callable[[], bytes]:
        return lambda: packed(json.dumps({**header, **entries}))

    layout, whole = read_layout(io.BytesIO(file_bytes()))
    stored = {name: a for name, a in read_tensors(whole, layout).items() if name in layout.weights}

    def metadata(**values: Any) -> Callable[[], bytes]:
        """Other metadata, their checksum right unless it is what is changed."""

        def made() -> bytes:
            lying = json.dumps({**said, **values})
            if "sha256" not in values:
                lying = lying.replace(said["sha256"], digest(lying, said["sha256"], stored))
            return packed(json.dumps({**header, "__metadata__": {"nmap": lying}}))

        return made

    def model(**values: Any) -> Callable[[], bytes]:
        return metadata(model={**said["model"], **values})

    def grid(**values: Any) -> Callable[[], bytes]:
        return metadata(grid={**said["grid"], **values})

    begin, end = header[first]["data_offsets"]
    moved = {"dtype": "F32", "shape": header[first]["shape"]}
    text = json.dumps(header)
    cases: dict[str, Callable[[], bytes]] = {
        "overlapping tensors": tensors(**{second: header[first]}),
        "offsets past the end": tensors(**{first: {**moved, "data_offsets": [begin, end + 10**12]}}),
        "offsets that go backwards": tensors(**{first: {**moved, "data_offsets": [end, begin]}}),
        "negative offsets": tensors(**{first: {**moved, "data_offsets": [-8, end]}}),
        "offsets beyond 64 bits": tensors(**{first: {**moved, "data_offsets": [0, 2**70]}}),
        "offsets of other than numbers": tensors(**{first: {**moved, "data_offsets": ["0", None]}}),
        "a hole": lambda: packed(text, data + bytes(64)),
        "a shape of 2^40 and 0": tensors(
            **{first: {"dtype": "F32", "shape": [2**40, 0], "data_offsets": [0, 0]}}
        ),
        "five axes": tensors(
            **{first: {"dtype": "F32", "shape": [1] * 5, "data_offsets": header[first]["data_offsets"]}}
        ),
        "an unknown type": tensors(**{first: {**header[first], "dtype": "F8_E4M3"}}),
        "a name twice": lambda: packed(text[:-1] + f", {json.dumps(first)}: {json.dumps(header[first])}}}"),
        "a name with a control character": tensors(**{"a\x1b[2J": header[first]}),
        "a name of half a surrogate pair": lambda: packed(text.replace('"' + first, '"\\ud800' + first, 1)),
        "the reserved name hdf5.0": tensors(**{"hdf5.9": header[first]}),
        "300 tensors": tensors(
            **{f"t{n}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(300)}
        ),
        "20 000 names": lambda: packed(
            "{"
            + ",".join(f'"t{n}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for n in range(20000))
            + "}"
        ),
        "20 000 names in the metadata": metadata(**{f"t{n}": n for n in range(20000)}),
        "deep JSON": lambda: packed("{" + '"a":{' * 5000 + "}" * 5001),
        "deep lists": lambda: packed('{"a":' + "[" * 100000 + "]" * 100000 + "}"),
        "no JSON": lambda: packed("not JSON at all"),
        "JSON that is a list": lambda: packed("[1, 2, 3]"),
        "NaN": lambda: packed(text.replace(f"{end}]", "NaN]", 1)),
        "a number of 5000 digits": lambda: packed(text.replace(f"{end}]", "1" * 5000 + "]", 1)),
        "1e999": lambda: packed(text.replace(f"{end}]", "1e999]", 1)),
        "no metadata": lambda: packed(json.dumps({k: v for k, v in header.items() if k != "__metadata__"})),
        "metadata that is a list": tensors(__metadata__=[1]),
        "a header of 2^63 bytes": lambda: (2**63).to_bytes(8, "little") + file_bytes()[8:],
        "a header of all the file": lambda: len(file_bytes()).to_bytes(8, "little") + file_bytes()[8:],
        "version 2": metadata(version="2.0"),
        "version of other kind": metadata(version=[1, 0]),
        "an unknown model": model(kind="oracle"),
        "an extension that must be understood": metadata(must_understand=["oracle"]),
        "omegas of 0": model(omegas=[0, 0]),
        "omegas of 1e31": model(omegas=[1e31, 1e31]),
        "omegas of words": model(omegas=["a", "b"]),
        "too many omegas": model(omegas=[30.0] * 3),
        "a million omegas": model(omegas=[30] * 100000),
        "an output of another kind": model(output="tanh"),
        "no grid": metadata(grid=None),
        "a grid of 2^31": grid(shape=[2**31, 1, 1]),
        "a grid of 0": grid(shape=[0, 8, 8]),
        "a grid of -8": grid(shape=[-8, 8, 8]),
        "a grid of two axes": grid(shape=[8, 8]),
        "voxels of 0": grid(voxel_size=[0, 1, 1]),
        "voxels of 1e300": grid(voxel_size=[1e300, 1, 1]),
        "angles that cannot be": grid(angles=[10, 170, 90]),
        "a band limit of 0": metadata(band_limit=0),
        "a band limit of 1e-300": metadata(band_limit=1e-300),
        "a lattice of 2^20": metadata(lattice=[2**20] * 3),
        "a lattice of 1": metadata(lattice=[1, 1, 1]),
        "a checksum of another file": metadata(sha256="0" * 64),
        "a group of 10^9 turns": metadata(symmetry={"group": "C1000000000", "center": [0, 0, 0]}),
        "an unknown group": metadata(symmetry={"group": "X7", "center": [0, 0, 0]}),
        "changed weights": lambda: packed(text, data[:-4] + b"\1\2\3\4"),
    }
    yield Attack(".nmap header", "nothing but the order of its names", ".nmap", metadata(), READ)
    odd = ("omegas of 0", "20 000 names in the metadata")
    for name, made in cases.items():
        yield Attack(".nmap header", name, ".nmap", made, EITHER if name in odd else REFUSED)


def packed_maps() -> Iterator[Attack]:
    """Compression, archives and other programs' files in the place of a map."""

    def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return out.getvalue()

    def bomb(start: bytes, count: int) -> bytes:
        packer = zlib.compressobj(9, wbits=31)
        return (
            packer.compress(start)
            + b"".join(packer.compress(bytes(MB)) for _ in range(count))
            + packer.flush()
        )

    huge = mrc_bytes(np.zeros((2, 2, 2), np.float32), nx=2000, ny=2000, nz=2000)
    lying = mrc_bytes(np.zeros((2, 2, 2), np.int8), nx=65535, ny=65535, nz=65535)
    refused: dict[str, Callable[[], bytes]] = {
        "gzip of 256 MB behind a small header": lambda: bomb(map_bytes(), 256),
        "gzip that declares 32 GB": lambda: gzip.compress(huge, mtime=0),
        "bzip2 that declares 32 GB": lambda: bz2.compress(huge),
        "bzip2 that declares 281 TB": lambda: bz2.compress(lying),
        "gzip in gzip": lambda: gzip.compress(gzip.compress(map_bytes(), mtime=0), mtime=0),
        "zip of two maps": lambda: zipped(("a.mrc", map_bytes()), ("b.mrc", map_bytes())),
        "zip of none": zipped,
        "zip by lzma": lambda: zipped(("a.mrc", map_bytes()), method=zipfile.ZIP_LZMA),
        "zip cut short": lambda: zipped(("a.mrc", map_bytes()))[:-30],
        "xz": lambda: b"\xfd7zXZ\0" + bytes(2000),
        "Zstandard": lambda: b"\x28\xb5\x2f\xfd" + bytes(2000),
        "a web page": lambda: b"<!DOCTYPE html><html><body>404</body></html>" * 40,
        "a PDB file": lambda: b"ATOM      1  N   MET A   1      27.340  24.430   2.614\n" * 60,
        "an mmCIF file": lambda: b"data_1ABC\n_entry.id 1ABC\n" * 90,
        "an HDF5 file": lambda: b"\x89HDF\r\n\x1a\n" + bytes(3000),
        "a Git LFS pointer": lambda: (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3904\n"
        ),
        "a .nmap": file_bytes,
        "zeros": lambda: bytes(4096),
        "nothing": lambda: b"",
        "the 2 GB fault": (FAULTS / "maps" / "mode0.map.bz2").read_bytes,
        "the extended header of 0.6 GB": (FAULTS / "maps" / "ext.map.bz2").read_bytes,
        "the count of 281 TB": (FAULTS / "maps" / "count.map.bz2").read_bytes,
    }
    for name, made in refused.items():
        yield Attack("packed map", name, ".mrc", made, REFUSED)
    yield Attack("packed map", "zip of one map", ".mrc", lambda: zipped(("a.mrc", map_bytes())), READ)
    yield Attack(
        "packed map",
        "zip of one map and macOS's own",
        ".mrc",
        lambda: zipped(("a.mrc", map_bytes()), ("__MACOSX/._a.mrc", b"x")),
        READ,
    )


def containers() -> Iterator[Attack]:
    """Files of earlier faults, and maps in the place of a `.nmap`."""
    refused = ("dup200k", "l_ones520k", "l_sym_c2", "shell0", "zeroshape")
    for path in sorted((FAULTS / "containers").iterdir()):
        packed = path.suffix == ".gz"
        yield Attack(
            "container of an earlier fault",
            path.name,
            ".nmap",
            (lambda path=path: gzip.decompress(path.read_bytes())) if packed else path.read_bytes,  # type: ignore[misc]
            REFUSED if path.name.partition(".")[0] in refused else READ,
        )
    for name, made in (("a map", map_bytes), ("zeros", lambda: bytes(4096)), ("nothing", lambda: b"")):
        yield Attack("not a .nmap", name, ".nmap", made, REFUSED)


class Harmful:
    """A pickle of it would make a folder when loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("pickle-was-run",))


def weights() -> Iterator[Attack]:
    """Weights files: pickles, bombs, lies, and those of earlier faults."""

    def npz(**arrays: np.ndarray) -> bytes:
        out = io.BytesIO()
        np.savez(out, **arrays)  # type: ignore[arg-type]
        return out.getvalue()

    def forged(old: bytes, new: bytes) -> bytes:
        out = io.BytesIO()
        member = io.BytesIO()
        np.save(member, np.zeros((8, 3), np.float32))
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("net.0.linear.weight.npy", member.getvalue().replace(old, new))
        return out.getvalue()

    yield Attack("weights", "a pickle", ".pt", lambda: pickle.dumps(Harmful()), REFUSED)
    yield Attack("weights", "a pickle as npz", ".npz", lambda: npz(a=np.array([Harmful()], object)), REFUSED)
    yield Attack("weights", "a map", ".npz", map_bytes, REFUSED)
    yield Attack("weights", "a .nmap as safetensors", ".safetensors", file_bytes, REFUSED)
    lies = {
        "10^13 rows": (b"'shape': (8, 3), }            ", b"'shape': (8000000000000, 300), }"),
        "negative rows": (b"(8, 3)", b"(-8,3)"),
        "objects": (b"'<f4'", b"'|O' "),
        "code in the header": (b"'shape': (8, 3)", b"'shape': exit()"),
    }
    for name, (old, new) in lies.items():
        yield Attack("weights", name, ".npz", lambda old=old, new=new: forged(old, new), REFUSED)  # type: ignore[misc]
    for path in sorted((FAULTS / "weights").iterdir()):
        if path.stem in ("siren_truth", "w_vs", "w_lucid", "w_seq", "w_bf"):
            continue
        packed = path.suffix == ".gz"
        suffix = Path(path.stem).suffix if packed else path.suffix
        made = (lambda path=path: gzip.decompress(path.read_bytes())) if packed else path.read_bytes  # type: ignore[misc]
        yield Attack("weights of an earlier fault", path.name, suffix, made, REFUSED)


def sound_weights(folder: Path) -> bytes:
    write_siren(folder / "w.npz")
    return (folder / "w.npz").read_bytes()


def everything() -> list[Attack]:
    """The corpus."""
    return [
        *header_fields(),
        *cuts_and_flips("map", ".mrc", map_bytes, 3),
        *packed_maps(),
        *nmap_headers(),
        *cuts_and_flips(".nmap", ".nmap", file_bytes, 4),
        *cuts_and_flips(".nmap with HDF5", ".nmap", hdf5_bytes, 5),
        *containers(),
        *weights(),
    ]
