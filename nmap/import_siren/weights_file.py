"""The arrays of a weights file by name, read without running anything in it: `.npz`, `.safetensors`, `.pt`."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nmap.coding.numbers import from_bfloat16
from nmap.errors import FormatError, NmapError
from nmap.file_kind import MRC, NMAP, START_BYTES, kind_of
from nmap.import_siren.found_weights import FoundWeights, Weights, require_room
from nmap.import_siren.plain_siren import TEXTS
from nmap.import_siren.state_dict import read_state_dict

MAX_MEMBERS = 4096
"""Arrays that a weights file may hold: a network of the deepest kind that a `.nmap` holds has a few hundred."""

ADVICE = "load it where you trust it and save the arrays with numpy.savez or safetensors"
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_OTHERS = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}


def read_weights(path: Path) -> FoundWeights:
    """All arrays of a weights file; its kind is told from its first bytes, and from its name where those say little.

    Raises:
        FormatError: it is not such a file, or needs code to be run.
        LimitError: it unpacks to more than `MAX_BYTES`.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        kind = kind_of(file.read(START_BYTES))
    if kind in (NMAP, MRC):
        assert kind is not None
        raise FormatError(f"{path}: is {kind.name}: wanted weights in .npz, .safetensors, .pt or .pth")
    suffix = path.suffix.lower()
    try:
        if suffix == ".npz":
            return _without_texts(_read_npz(path))
        if suffix == ".safetensors":
            return _read_safetensors(path)
        if suffix in (".pt", ".pth", ".ckpt"):
            return read_state_dict(path, ADVICE)
    except RecursionError as error:
        raise FormatError(f"{path}: is nested too deeply to be plain arrays: {ADVICE}") from error
    raise FormatError(
        f"{path}: weights in a {suffix or 'nameless'} file: wanted .npz, .safetensors, .pt, .pth or .ckpt"
    )


def _read_npz(path: Path) -> Weights:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_MEMBERS:
                raise ValueError(f"it holds {len(entries)} arrays, at most {MAX_MEMBERS} are read")
            if any(entry.flag_bits & 1 for entry in entries):
                raise ValueError("it is encrypted")
            require_room(path, sum(entry.file_size for entry in entries))
            for entry in entries:
                with archive.open(entry) as stream:
                    _check_npy(stream, entry.file_size, entry.filename)
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except NmapError:
        raise
    except Exception as error:  # numpy and zipfile promise nothing of what they raise of a damaged file
        raise FormatError(f"{path}: not a .npz of plain arrays: {_one_line(error)}") from error


def _without_texts(arrays: Weights) -> FoundWeights:
    """The arrays, and as texts those that `nmap export-weights` put beside them."""
    texts = {name: str(arrays[name]) for name in TEXTS if name in arrays and _is_text(arrays[name])}
    return FoundWeights({name: a for name, a in arrays.items() if name not in texts}, texts=texts)


def _is_text(array: NDArray[Any]) -> bool:
    return array.ndim == 0 and array.dtype.kind == "U"


def _check_npy(stream: IO[bytes], size: int, name: str) -> None:
    """Check that an array's header declares what its member of the archive holds: numpy allocates by it."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} has .npy version {version}: wanted (1, 0) or (2, 0)")
    first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = read(stream)
    except (RecursionError, MemoryError):
        raise ValueError(f"{name} has a header that is nested too deeply") from None
    if dtype.hasobject or stream.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} declares {shape} of {dtype}, which its {size} bytes do not hold")


def _read_safetensors(path: Path) -> FoundWeights:
    from safetensors import SafetensorError, deserialize, safe_open

    require_room(path, path.stat().st_size)
    try:
        found = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
        with safe_open(path, "numpy") as file:
            texts = file.metadata() or {}
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise FormatError(f"{path}: is damaged, or no safetensors file: {_one_line(error)}") from error
    return FoundWeights({name: _plain(path, name, entry) for name, entry in found}, texts=texts)


def _plain(path: Path, name: str, entry: Mapping[str, Any]) -> NDArray[Any]:
    """One tensor of a safetensors file; numpy has no bfloat16, which is the upper half of a float32."""
    kind = str(entry["dtype"])
    if kind not in _FLOATS and kind not in _OTHERS:
        raise FormatError(
            f"{path}: array {name!r:.60} holds {kind:.20} values: wanted F64, F32, F16 or BF16: convert it first"
        )
    values = np.frombuffer(entry["data"], {**_FLOATS, **_OTHERS}[kind]).reshape(entry["shape"])
    return from_bfloat16(values) if kind == "BF16" else values


def _one_line(error: BaseException) -> str:
    return f"{' '.join(str(error).split())[:200] or type(error).__name__}"
