"""The codings of numbers: plain floats, whole steps of a row, and logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmap.coding.tensor import STORED, CodedTensor, Coding, check_array
from nmap.errors import FormatError, OptionError

F32 = NDArray[np.float32]

_BLOCK = 1 << 20


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
        fits = bool(np.isfinite(from_bfloat16(stored)).all())
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


def _finite(values: ArrayLike) -> F32:
    tensor = np.asarray(values, np.float32)
    if not np.isfinite(tensor).all():
        raise OptionError(f"{int((~np.isfinite(tensor)).sum())} of {tensor.size} values are not finite")
    return tensor


def _to_bfloat16(values: F32) -> NDArray[np.uint16]:
    bits = values.astype("<f4").view("<u4").astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def from_bfloat16(stored: NDArray[Any]) -> F32:
    """Values of bfloat16 numbers, whose 16 bits are the upper half of a float32's; the same shape."""
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


def _number(coded: CodedTensor, name: str, low: float, high: float) -> float:
    value = coded.parameters[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FormatError(f'parameter "{name}" is {value!r}, wanted a number from {low:g} to {high:g}')
    return value


def _check_float(coded: CodedTensor) -> None:
    check_array(coded, "", ("F32", "F16", "BF16"), coded.shape)


def _decode_float(coded: CodedTensor) -> F32:
    stored = coded.arrays[""]
    return from_bfloat16(stored) if stored.dtype == STORED["BF16"] else stored.astype(np.float32)


def _check_uniform(coded: CodedTensor) -> None:
    bits = coded.parameters["bits"]
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise FormatError(f'parameter "bits" is {bits!r}, wanted 2 to 8')
    if not coded.shape:
        raise FormatError("shape () has no rows, wanted at least one axis")
    check_array(coded, "", ("U8",), (-(-coded.size * bits // 8),))
    check_array(coded, "step", ("F16",), coded.shape[:-1])
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
    check_array(coded, "", ("U8",), coded.shape)
    low, step = _number(coded, "low", -126, 127), _number(coded, "step", 0, 1)
    if low + 255 * step >= 128:
        raise FormatError(f"low {low:g} and step {step:g} reach beyond 2**128")


def _decode_log(coded: CodedTensor) -> F32:
    low, step = float(coded.parameters["low"]), float(coded.parameters["step"])
    q = coded.arrays[""]
    return np.where(q > 0, np.exp2(low + step * q.astype(np.float64)), 0).astype(np.float32)


FLOAT = Coding(("",), (), _check_float, _decode_float)
UNIFORM = Coding(("", "step"), ("bits",), _check_uniform, _decode_uniform)
LOG = Coding(("",), ("low", "step"), _check_log, _decode_log)
