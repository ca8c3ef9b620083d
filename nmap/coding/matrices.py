"""Matrices of whole numbers, each times a step, to and from bytes: an adaptive binary range coder.

The normative description is `spec/coding-matrices.md`. How large a number is likely to be is told by the means
of those before it in its column and in its row. Every step is whole-number arithmetic, so that any two machines
agree. The range coder is the one of `nmap.coding.range_coder`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmap.coding.range_coder import (
    CHANCES,
    CODE,
    HIGH,
    LARGEST_CHANCE,
    LEAST_CHANCE,
    LOW,
    MASK,
    MAX_BEYOND,
    PLACE,
    LoopCoder,
)
from nmap.coding.tensor import CodedTensor, Coding, Parameter, check_array
from nmap.errors import FormatError, OptionError
from nmap.machine.compiled import Loop

# Binary digits of the largest number, and how many leading ones below the first are learned.
MAX_DIGITS = 15
_LEARNED = 2
# A chance that follows from the means counts as so many half outcomes that were seen; counts are halved at the limit.
_TRUST = 16
_LIMIT = 1000
# Means are kept in 1/16; a row's or a column's begins as so many numbers of the matrix's mean.
_UNIT = 16
_BEGIN = 4
# The matrix's own mean begins as one number of 2.
_FIRST = 32
# What a reader's work is bounded by: numbers that are free, and so many more for each byte of the stream; networks
# have 1 or 2.
_FREE_NUMBERS = 4096
_NUMBERS_PER_BYTE = 16
MAX_PARTS = 64
MAX_COUNT = 1 << 20

F32 = NDArray[np.float32]
Shapes = tuple[tuple[int, int], ...]


def encode_matrices(matrices: Sequence[NDArray[np.integer]], steps: ArrayLike) -> CodedTensor:
    """Store matrices of whole numbers, each times its step; they decode to one vector, row after row.

    Args:
        matrices: of two axes each, numbers from -32767 to 32767.
        steps: float16 step of each matrix, above 0.

    Raises:
        OptionError: a matrix, a number or a step that the coding cannot hold.
    """
    with np.errstate(over="ignore"):
        stored = np.asarray(steps, np.float16).reshape(-1)
    if not 0 < len(matrices) <= MAX_PARTS or any(m.ndim != 2 or not m.size for m in matrices):
        raise OptionError(
            f"{len(matrices)} matrices: wanted 1 to {MAX_PARTS} of two axes, none of them empty"
        )
    if stored.size != len(matrices) or not (np.isfinite(stored).all() and (stored > 0).all()):
        raise OptionError(f"steps {stored}: wanted {len(matrices)} finite float16 numbers above 0")
    largest = max(int(np.abs(m).max()) for m in matrices)
    if largest >> MAX_DIGITS:
        raise OptionError(
            f"whole number {largest}: the matrices coding takes at most {(1 << MAX_DIGITS) - 1}"
        )
    numbers = sum(m.size for m in matrices)
    coder = _Coder(None, _STEPS * numbers, numbers)
    for matrix in matrices:
        coder.matrix(np.array(matrix).reshape(-1), matrix.shape[1])
    stream = coder.finish() or b"\0"
    shapes = " ".join(f"{rows}x{columns}" for rows, columns in (m.shape for m in matrices))
    size = sum(m.size for m in matrices)
    stream = stream.ljust(-(-(size - _FREE_NUMBERS) // _NUMBERS_PER_BYTE), b"\0")
    arrays = {"": np.frombuffer(stream, np.uint8), "step": stored.astype("<f2")}
    return CodedTensor("matrices", (size,), {"shapes": shapes}, arrays)


# More places in the loop's state: 16 times the sum of sizes so far in the matrix and their count, both with what the
# mean begins with, and the sum of sizes in the row.
_TOTAL, _COUNT, _IN_ROW = range(4, 7)
# Classes of what is expected, each with 256 contexts.
_CONTEXTS = 96 << 8
# Numbers that are coded at once, and the most bytes that they take: 30 bits each, of at most 4 bytes.
_AT_ONCE = 4096
_ROOM = _AT_ONCE * 30 * 4
# Bits that a number takes on average in the networks that were tried, and two for its means.
_STEPS = 8


def _code(  # noqa: PLR0912, PLR0915 - one loop, in which calls would cost more than the work
    decoding: bool,
    stream: Any,
    values: Any,
    first: int,
    in_column: Any,
    zero: Any,
    one: Any,
    powers: Any,
    state: Any,
) -> bool:
    """Write some numbers of a matrix, `first` of it and on, to the stream, or read them; false if it is too short.

    Each number is expected to have some size. Its digits are coded, then the digits' values, then its sign: `step` says
    which, 0 to 14 for whether there are more digits than these, then 16 + place for a digit's value, then -1 for the
    sign.
    """
    low, high, code, place = state[LOW], state[HIGH], state[CODE], state[PLACE]
    total, count, in_row, end, columns = (
        state[_TOTAL],
        state[_COUNT],
        state[_IN_ROW],
        len(stream),
        len(in_column),
    )
    bit = 0
    for n in range(len(values)):
        i, j = (first + n) // columns, (first + n) % columns
        if j == 0:
            in_row = 0
        mean = max(total // count, 1)
        along_column = (_UNIT * in_column[j] + _BEGIN * mean) // (i + _BEGIN)
        along_row = (_UNIT * in_row + _BEGIN * mean) // (j + _BEGIN)
        expected = max(along_column * along_row // mean, 1)
        length = 0
        while expected >> length:
            length += 1
        kind = (2 * length + (expected >> length - 2 & 1) if length > 1 else 2) << 8
        # The chance that a size of at least n, distributed geometrically, is at least n + 1.
        powers[0] = CHANCES * expected // (expected + _UNIT)
        wanted = values[n] if values[n] > 0 else -values[n]
        size, digits, step, negative = 0, 0, 0, 0
        while True:
            # What is coded, its context where it is learned, and its chance.
            context, chance = -1, CHANCES >> 1
            if step < 0:
                bit = 1 if values[n] < 0 else 0
            elif step < 16:
                bit = 1 if wanted >> digits else 0
                context = kind | digits
                if digits > 1:
                    powers[digits - 1] = powers[digits - 2] * powers[digits - 2] >> 16
                chance = powers[max(digits - 1, 0)]
            else:
                at = step - 16
                bit = wanted >> at & 1
                chance = CHANCES * powers[at] // (CHANCES + powers[at])
                if digits - 2 - at < _LEARNED:
                    context = kind | 16 * digits | 8 | size
            if context >= 0:
                zeros, ones = zero[context], one[context]
                chance = (2 * CHANCES * ones + _TRUST * chance) // (2 * (zeros + ones) + _TRUST)
            middle = low + ((high - low) * min(max(chance, LEAST_CHANCE), LARGEST_CHANCE) >> 16)
            if decoding:
                bit = 1 if code <= middle else 0
            if bit:
                high = middle
            else:
                low = middle + 1
            while (low ^ high) < 0x1000000:
                if not decoding:
                    stream[place] = high >> 24
                elif place < end:
                    code = code << 8 & MASK | stream[place]
                elif place < end + MAX_BEYOND:
                    code = code << 8 & MASK
                else:
                    return False
                low, high, place = low << 8 & MASK, high << 8 & MASK | 255, place + 1
            if context >= 0:
                halved = 1 if zeros + ones >= _LIMIT else 0
                zero[context], one[context] = (zeros + 1 - bit) >> halved, (ones + bit) >> halved
            if step < 0:
                negative = bit
                break
            if step < 16:
                digits, step = digits + bit, step + 1
                if bit and digits < MAX_DIGITS:
                    continue
                if digits == 0:
                    break
                size, step = 1, 16 + digits - 2
            else:
                size, step = size << 1 | bit, step - 1
            if step < 16:
                step = -1
        if decoding:
            values[n] = -size if negative else size
        in_column[j] += size
        in_row += size
        total, count = total + _UNIT * size, count + 1
    state[LOW], state[HIGH], state[CODE], state[PLACE] = low, high, code, place
    state[_TOTAL], state[_COUNT], state[_IN_ROW] = total, count, in_row
    return True


_LOOP = Loop(_code, "b1(b1, u1[::1], i8[::1], i8, i8[::1], i8[::1], i8[::1], i8[::1], i8[::1])")


class _Coder:
    """Reads a stream, or writes one where none is given; all matrices share its contexts.

    Args:
        stream: what to read.
        steps: about how many bits it takes.
        total: numbers of all matrices.
    """

    def __init__(self, stream: bytes | None, steps: int, total: int) -> None:
        self._coder = LoopCoder(_LOOP, stream, steps, total, _ROOM, [0, 0, 0])
        self._kept = [self._coder.numbers([0] * count) for count in (_CONTEXTS, _CONTEXTS, MAX_DIGITS)]
        self.finish = self._coder.finish

    def matrix(self, values: NDArray[Any], columns: int) -> None:
        """Code the numbers of a matrix (rows * columns,), row after row, or put what is decoded there.

        Raises:
            FormatError: a stream that is too short.
            LimitError: without numba the rest would take too long.
        """
        self._coder.state[_TOTAL], self._coder.state[_COUNT] = _FIRST, 1
        in_column = self._coder.numbers([0] * columns)
        for start in range(0, values.size, _AT_ONCE):
            part = values[start : start + _AT_ONCE].astype(np.int64)
            if not self._coder.code(part, start, in_column, *self._kept):
                raise FormatError(f"matrices stream ends over {MAX_BEYOND} bytes too early")
            values[start : start + _AT_ONCE] = part


def shapes_of(text: str) -> Shapes:
    """Rows and columns of each matrix, of a text such as "36x3 36x36".

    Raises:
        FormatError: anything else.
    """
    try:
        pairs = [tuple(int(n) for n in part.split("x")) for part in text.split(" ")]
        shapes = tuple((rows, columns) for rows, columns in pairs)
    except ValueError:
        raise FormatError(f'shapes {text!r:.60}: wanted a text such as "36x3 36x36"') from None
    counts = [count for shape in shapes for count in shape]
    if len(shapes) > MAX_PARTS or not 0 < min(counts) <= max(counts) <= MAX_COUNT:
        raise FormatError(
            f"shapes {text!r:.60}: wanted 1 to {MAX_PARTS} matrices, each of 1 to {MAX_COUNT} rows and columns"
        )
    return shapes


def _check(coded: CodedTensor) -> None:
    shapes = shapes_of(str(coded.parameters["shapes"]))
    (size,) = _shape(coded.parameters)
    if coded.shape != (size,):
        raise FormatError(f"shape {coded.shape}: its matrices hold {size} numbers")
    stored = coded.arrays[""].size
    check_array(coded, "", ("U8",), (stored,))
    check_array(coded, "step", ("F16",), (len(shapes),))
    if size > _FREE_NUMBERS + _NUMBERS_PER_BYTE * stored:
        raise FormatError(
            f"{size} numbers in {stored} bytes: wanted at most {_NUMBERS_PER_BYTE} in a byte and {_FREE_NUMBERS} more"
        )
    steps = coded.arrays["step"]
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise FormatError('array "step" holds a step that is not a finite number above 0')


def _decode(coded: CodedTensor) -> F32:
    stream, out, start = coded.arrays[""].tobytes(), np.zeros(coded.shape, np.float32), 0
    coder = _Coder(stream, _STEPS * max(len(stream), coded.size), coded.size)
    shapes = shapes_of(str(coded.parameters["shapes"]))
    for (rows, columns), step in zip(shapes, coded.arrays["step"].astype(np.float32), strict=True):
        values = out[start : start + rows * columns]
        coder.matrix(values, columns)
        values *= step
        start += values.size
    return out


def _shape(parameters: Mapping[str, Parameter]) -> tuple[int]:
    return (sum(math.prod(shape) for shape in shapes_of(str(parameters.get("shapes")))),)


MATRICES = Coding(("", "step"), ("shapes",), _check, _decode, _shape)
