"""Tensors to and from the arrays that a file stores: how many bits a weight gets is decided here.

A coding turns a tensor of floats into one main array and, where it needs them, companions of the same
name with a suffix. To add one, write its check and its decode, name it in `CODINGS`, and give it a page in
`spec/`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmap import lattice_coding, occupancy
from nmap.errors import FormatError, OptionError, UnsupportedError

Parameter = int | float | str
F32 = NDArray[np.float32]

# What a stored array may be: safetensors' name and numpy's type. numpy has no bfloat16: uint16 holds it.
STORED: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
}
MAX_OCCUPANCY_NODES = 1 << 20
MAX_LATTICE_POINTS = 1 << 28
_LATTICE = (
    f"three multiples of 4, at most {MAX_LATTICE_POINTS} points and {MAX_OCCUPANCY_NODES} blocks of 8 x 8 x 8"
)
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class CodedTensor:
    """A tensor as a file stores it.

    Attributes:
        coding: name of the coding, a key of `CODINGS`.
        shape: shape of the decoded tensor.
        parameters: what the coding needs beside the arrays; written into the file's header.
        arrays: stored arrays by suffix: "" is the main one, "step" is stored as tensor "<name>.step". Their
            numpy types are those of `STORED`.
    """

    coding: str
    shape: tuple[int, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all stored arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def size(self) -> int:
        """Number of decoded values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Coding:
    """One way to store a tensor.

    Attributes:
        suffixes: the arrays it stores; "" is the main one.
        parameters: names of the parameters it needs.
        check: raises FormatError unless the stored arrays fit the shape; allocates nothing.
        decode: the decoded tensor of a checked one.
    """

    suffixes: tuple[str, ...]
    parameters: tuple[str, ...]
    check: Callable[[CodedTensor], None]
    decode: Callable[[CodedTensor], NDArray[Any]]


def encode_float(values: ArrayLike, dtype: str = "F32") -> CodedTensor:
    """Store every value as "F32", "F16" or "BF16", rounded to the nearest.

    Raises:
        OptionError: an unknown dtype, or a value that is not finite or does not fit.
    """
    tensor = _finite(values)
    if dtype not in ("F32", "F16", "BF16"):
        raise OptionError(f'float coding "{dtype}": wanted "F32", "F16" or "BF16"')
    if dtype == "BF16":
        stored: NDArray[Any] = _to_bfloat16(tensor)
        fits = bool(np.isfinite(_from_bfloat16(stored)).all())
    else:
        with np.errstate(over="ignore"):
            stored = tensor.astype(STORED[dtype])
        fits = bool(np.isfinite(stored).all())
    if not fits:
        largest = float(np.abs(tensor).max())
        raise OptionError(f"largest value {largest:.6g} does not fit {dtype}: store it as F32")
    return CodedTensor("float", tensor.shape, {}, {"": np.ascontiguousarray(stored)})


def encode_uniform(values: ArrayLike, bits: int, steps: ArrayLike | None = None) -> CodedTensor:
    """Store signed `bits`-bit integers times one float16 step per row (all axes but the last).

    Args:
        values: tensor of at least one axis.
        bits: 2 to 8.
        steps: step of each row, shape of `values` without its last axis; None picks the ones of least squared
            error.

    Raises:
        OptionError: bits or steps that cannot be used, or a value that is not finite.
    """
    tensor = _finite(values)
    if not 2 <= bits <= 8:
        raise OptionError(f"{bits} bits per weight: the uniform coding takes 2 to 8")
    if tensor.ndim == 0 or not tensor.size:
        raise OptionError(f"a tensor of shape {tensor.shape} has no rows: store it with the float coding")
    rows = tensor.reshape(-1, tensor.shape[-1])
    half = 1 << (bits - 1)
    if steps is None:
        chosen = _best_steps(rows, half)
    else:
        with np.errstate(over="ignore"):
            chosen = np.asarray(steps, np.float16).reshape(-1)
        if chosen.size != len(rows) or not (np.isfinite(chosen).all() and (chosen >= 0).all()):
            raise OptionError(f"{chosen.size} steps for {len(rows)} rows: wanted one finite step >= 0 each")
    levels = _round_to_levels(rows, chosen, half) + half
    flat = (levels.astype(np.uint8).reshape(-1, 1) >> np.arange(bits, dtype=np.uint8)) & 1
    packed = np.packbits(flat.reshape(-1), bitorder="little")
    step = chosen.astype("<f2").reshape(tensor.shape[:-1])
    return CodedTensor("uniform", tensor.shape, {"bits": bits}, {"": packed, "step": step})


def encode_log(values: ArrayLike) -> CodedTensor:
    """Store numbers >= 0 as one byte each: 0 for zero, else 2**(low + step * q) for q = 1 to 255.

    Raises:
        OptionError: a value that is negative or not finite.
    """
    tensor = _finite(values)
    if (tensor < 0).any():
        raise OptionError(f"value {float(tensor.min()):.6g}: the log coding takes numbers >= 0")
    logs = np.log2(tensor.astype(np.float64), out=np.zeros(tensor.shape), where=tensor > 0)
    used = logs[tensor > 0]
    bottom, top = (float(used.min()), float(used.max())) if used.size else (0.0, 0.0)
    step = math.ceil((top - bottom) / 254 * 1e6) / 1e6
    low = round(bottom - step, 6)
    q = np.clip(np.rint((logs - low) / step), 1, 255) if step else np.ones(tensor.shape)
    stored = np.where(tensor > 0, q, 0).astype(np.uint8)
    return CodedTensor("log", tensor.shape, {"low": low, "step": step}, {"": stored})


def encode_occupancy(bits: NDArray[np.bool_]) -> CodedTensor:
    """Store a (kz, ky, kx) grid of bits by an adaptive range coder.

    Raises:
        OptionError: not three axes, no node, or more nodes than the format allows.
    """
    grid = np.asarray(bits, bool)
    if grid.ndim != 3 or not 0 < grid.size <= MAX_OCCUPANCY_NODES:
        wanted = f"three axes and 1 to {MAX_OCCUPANCY_NODES} nodes"
        raise OptionError(f"occupancy grid of shape {grid.shape}: wanted {wanted}")
    stored = np.frombuffer(occupancy.pack(grid) or b"\0", np.uint8)
    return CodedTensor("occupancy", grid.shape, {}, {"": stored})


def encode_lattice(weights: NDArray[np.integer]) -> CodedTensor:
    """Store whole numbers on a body-centred cubic lattice by an adaptive range coder.

    Args:
        weights: (z, y, x), counts that are multiples of 4; numbers from -127 to 127, 0 wherever the indices
            are not all even or all odd.

    Raises:
        OptionError: a shape or a number that the coding cannot hold.
    """
    whole = np.asarray(weights)
    if not _is_lattice(whole.shape):
        raise OptionError(f"lattice of shape {whole.shape}: wanted {_LATTICE}")
    place = np.nonzero(whole)
    off = sum(int(((place[0] ^ place[a]) & 1).sum()) for a in (1, 2))
    largest = int(np.abs(whole).max()) if whole.size else 0
    if off or largest > lattice_coding.MAX_WEIGHT:
        raise OptionError(
            f"lattice weights up to {largest}, {off} of them between sites: wanted at most 127 and none"
        )
    shape = (whole.shape[0], whole.shape[1], whole.shape[2])
    sites = lattice_coding.sites_in(lattice_coding.blocks_of(whole), shape)
    total = int(np.abs(whole[place], dtype=np.int64).sum())
    if sites > lattice_coding.MAX_SITES or total > lattice_coding.MAX_SUM:
        limits = f"at most {lattice_coding.MAX_SITES} and {lattice_coding.MAX_SUM}, use a coarser resolution"
        raise OptionError(f"lattice of {sites} sites, weights that add up to {total}: wanted {limits}")
    stream, blocks = lattice_coding.pack(whole)
    arrays = {"": stream or b"\0", "blocks": blocks or b"\0"}
    return CodedTensor("lattice", shape, {}, {name: np.frombuffer(a, np.uint8) for name, a in arrays.items()})


def check_tensor(coded: CodedTensor, name: str = "tensor") -> None:
    """Check that the stored arrays fit the coding and the shape, before anything is decoded.

    Raises:
        UnsupportedError: a coding that this reader does not have.
        FormatError: they do not fit; the message names `name`.
    """
    coding = CODINGS.get(coded.coding)
    if coding is None:
        known = ", ".join(sorted(CODINGS))
        raise UnsupportedError(f'{name}: coding "{coded.coding}", this reader has {known}')
    if sorted(coded.arrays) != sorted(coding.suffixes):
        wanted = f"the {coded.coding} coding wants {sorted(coding.suffixes)}"
        raise FormatError(f"{name}: stored arrays {sorted(coded.arrays)}, {wanted}")
    missing = [key for key in coding.parameters if key not in coded.parameters]
    if missing:
        raise FormatError(f'{name}: {coded.coding} coding wants the parameter "{missing[0]}"')
    try:
        coding.check(coded)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None


def decode_tensor(coded: CodedTensor, name: str = "tensor") -> NDArray[Any]:
    """The decoded tensor: float32, or bool for the occupancy coding, or int8 for the lattice coding.

    Raises:
        FormatError: the stored arrays do not fit, or hold a value that is not finite.
    """
    check_tensor(coded, name)
    try:
        values = CODINGS[coded.coding].decode(coded)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise FormatError(f"{name}: {int((~np.isfinite(values)).sum())} values are not finite")
    return values


def _finite(values: ArrayLike) -> F32:
    tensor = np.asarray(values, np.float32)
    if not np.isfinite(tensor).all():
        raise OptionError(f"{int((~np.isfinite(tensor)).sum())} of {tensor.size} values are not finite")
    return tensor


def _to_bfloat16(values: F32) -> NDArray[np.uint16]:
    bits = values.astype("<f4").view("<u4").astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def _from_bfloat16(stored: NDArray[Any]) -> F32:
    return (stored.astype(np.uint32) << 16).view(np.float32)


def _round_to_levels(rows: F32, steps: NDArray[np.float16], half: int) -> NDArray[np.int16]:
    step = steps.astype(np.float32)[:, None]
    levels = np.divide(rows, step, out=np.zeros_like(rows), where=step > 0)
    return np.clip(np.rint(levels), -half, half - 1).astype(np.int16)


def _best_steps(rows: F32, half: int) -> NDArray[np.float16]:
    """Of 40 steps up to the one that clips nothing, the one with the least squared error in each row."""
    widest = np.maximum(rows.max(1) / (half - 1), -rows.min(1) / half)
    if float(widest.max(initial=0)) > np.finfo(np.float16).max:
        largest = float(np.abs(rows).max())
        raise OptionError(f"largest value {largest:.6g} is too large for the uniform coding")
    best: NDArray[np.float16] = widest.astype(np.float16)
    least = np.full(len(rows), np.inf)
    for factor in np.linspace(1.0, 0.25, 40):
        steps = (widest * factor).astype(np.float16)
        decoded = _round_to_levels(rows, steps, half) * steps.astype(np.float32)[:, None]
        error = ((rows - decoded) ** 2).sum(1)
        better = error < least
        best[better], least[better] = steps[better], error[better]
    return best


def _check_array(coded: CodedTensor, suffix: str, dtypes: tuple[str, ...], shape: tuple[int, ...]) -> None:
    array = coded.arrays[suffix]
    named = f'array "{suffix}"' if suffix else "main array"
    if array.dtype not in [STORED[d] for d in dtypes]:
        raise FormatError(f"{named} has type {array.dtype}, wanted {' or '.join(dtypes)}")
    if array.shape != shape:
        raise FormatError(f"{named} has shape {array.shape}, wanted {shape}")


def _number(coded: CodedTensor, name: str, low: float, high: float) -> float:
    value = coded.parameters[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FormatError(f'parameter "{name}" is {value!r}, wanted a number from {low:g} to {high:g}')
    return value


def _check_float(coded: CodedTensor) -> None:
    _check_array(coded, "", ("F32", "F16", "BF16"), coded.shape)


def _decode_float(coded: CodedTensor) -> F32:
    stored = coded.arrays[""]
    return _from_bfloat16(stored) if stored.dtype == STORED["BF16"] else stored.astype(np.float32)


def _check_uniform(coded: CodedTensor) -> None:
    bits = coded.parameters["bits"]
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise FormatError(f'parameter "bits" is {bits!r}, wanted 2 to 8')
    if not coded.shape:
        raise FormatError("shape () has no rows, wanted at least one axis")
    _check_array(coded, "", ("U8",), (-(-coded.size * bits // 8),))
    _check_array(coded, "step", ("F16",), coded.shape[:-1])
    steps = coded.arrays["step"]
    if not (np.isfinite(steps).all() and (steps >= 0).all()):
        raise FormatError('array "step" holds a step that is negative or not finite')


def _decode_uniform(coded: CodedTensor) -> F32:
    bits = int(coded.parameters["bits"])
    packed, place = coded.arrays[""], 1 << np.arange(bits, dtype=np.int16)
    levels = np.empty(coded.size, np.float32)
    for start in range(0, coded.size, _BLOCK):  # a multiple of 8 values, so every block starts on a byte
        stop = min(start + _BLOCK, coded.size)
        block = packed[start * bits // 8 : -(-stop * bits // 8)]
        each = np.unpackbits(block, count=(stop - start) * bits, bitorder="little").reshape(-1, bits)
        levels[start:stop] = each @ place - (1 << (bits - 1))
    steps = coded.arrays["step"].astype(np.float32)
    return levels.reshape(coded.shape) * steps[..., None]


def _check_log(coded: CodedTensor) -> None:
    _check_array(coded, "", ("U8",), coded.shape)
    low, step = _number(coded, "low", -126, 127), _number(coded, "step", 0, 1)
    if low + 255 * step >= 128:
        raise FormatError(f"low {low:g} and step {step:g} reach beyond 2**128")


def _decode_log(coded: CodedTensor) -> F32:
    low, step = float(coded.parameters["low"]), float(coded.parameters["step"])
    q = coded.arrays[""]
    return np.where(q > 0, np.exp2(low + step * q.astype(np.float64)), 0).astype(np.float32)


def _check_occupancy(coded: CodedTensor) -> None:
    if len(coded.shape) != 3 or not 0 < coded.size <= MAX_OCCUPANCY_NODES:
        raise FormatError(f"shape {coded.shape}: wanted three axes and 1 to {MAX_OCCUPANCY_NODES} nodes")
    _check_array(coded, "", ("U8",), (coded.arrays[""].size,))


def _decode_occupancy(coded: CodedTensor) -> NDArray[np.bool_]:
    return occupancy.unpack(coded.arrays[""].tobytes(), coded.shape)


def _is_lattice(shape: tuple[int, ...]) -> bool:
    """Whether the lattice coding holds this shape."""
    points, blocks = math.prod(shape), math.prod(-(-n // lattice_coding.BLOCK) for n in shape)
    fits = 0 < points <= MAX_LATTICE_POINTS and blocks <= MAX_OCCUPANCY_NODES
    return len(shape) == 3 and fits and not any(n % 4 for n in shape)


def _check_lattice(coded: CodedTensor) -> None:
    if not _is_lattice(coded.shape):
        raise FormatError(f"shape {coded.shape}: wanted {_LATTICE}")
    for suffix in ("", "blocks"):
        _check_array(coded, suffix, ("U8",), (coded.arrays[suffix].size,))


def _decode_lattice(coded: CodedTensor) -> NDArray[np.int8]:
    shape = (coded.shape[0], coded.shape[1], coded.shape[2])
    return lattice_coding.unpack(coded.arrays[""].tobytes(), coded.arrays["blocks"].tobytes(), shape)


CODINGS: dict[str, Coding] = {
    "float": Coding(("",), (), _check_float, _decode_float),
    "uniform": Coding(("", "step"), ("bits",), _check_uniform, _decode_uniform),
    "log": Coding(("",), ("low", "step"), _check_log, _decode_log),
    "occupancy": Coding(("",), (), _check_occupancy, _decode_occupancy),
    "lattice": Coding(("", "blocks"), (), _check_lattice, _decode_lattice),
}
