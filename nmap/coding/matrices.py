"""Matrices of whole numbers, each times a step, to and from bytes: an adaptive binary range coder.

The normative description is `spec/coding-matrices.md`. How large a number is likely to be is told by the means
of those before it in its column and in its row. Every step is whole-number arithmetic, so that any two machines
agree. The range coder is the one of `nmap.coding.range_coder`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmap.coding.range_coder import CHANCES, Decoder, Encoder, bounded
from nmap.coding.tensor import CodedTensor, Coding, Parameter, check_array
from nmap.errors import FormatError, OptionError

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
# What a reader's work is bounded by: numbers that are free, and so many more for each byte of the stream.
_FREE_NUMBERS = 4096
_NUMBERS_PER_BYTE = 64
MAX_PARTS = 64
MAX_COUNT = 1 << 20

F32 = NDArray[np.float32]
Shapes = tuple[tuple[int, int], ...]


class _Coder(Protocol):
    def bit(self, bit: int, chance: int) -> int:
        """Code a bit of this chance, in units of 1/65536; the bit."""


class _Writer:
    def __init__(self) -> None:
        self.encoder = Encoder()

    def bit(self, bit: int, chance: int) -> int:
        self.encoder.encode(bit, chance)
        return bit


class _Reader:
    def __init__(self, stream: bytes) -> None:
        self._decode = Decoder(stream).decode

    def bit(self, bit: int, chance: int) -> int:
        return self._decode(chance)


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
    writer, model = _Writer(), _Model()
    for matrix in matrices:
        model.matrix(writer, matrix.tolist(), matrix.shape[0], matrix.shape[1])
    stream = writer.encoder.finish().rstrip(b"\0") or b"\0"
    shapes = " ".join(f"{rows}x{columns}" for rows, columns in (m.shape for m in matrices))
    size = sum(m.size for m in matrices)
    stream = stream.ljust(-(-(size - _FREE_NUMBERS) // _NUMBERS_PER_BYTE), b"\0")
    arrays = {"": np.frombuffer(stream, np.uint8), "step": stored.astype("<f2")}
    return CodedTensor("matrices", (size,), {"shapes": shapes}, arrays)


class _Model:
    """Counts of both outcomes in every context, shared by all matrices."""

    def __init__(self) -> None:
        self._counts: dict[int, list[int]] = {}

    def matrix(
        self, coder: _Coder, values: list[list[int]] | None, rows: int, columns: int
    ) -> list[list[int]]:
        """Code a matrix, or decode one where there are no values."""
        out: list[list[int]] = []
        in_column = [0] * columns
        total, count = _FIRST, 1
        for i in range(rows):
            in_row, row = 0, [0] * columns
            for j in range(columns):
                mean = max(total // count, 1)
                column = (_UNIT * in_column[j] + _BEGIN * mean) // (i + _BEGIN)
                along = (_UNIT * in_row + _BEGIN * mean) // (j + _BEGIN)
                expected = max(column * along // mean, 1)
                value = self._number(coder, 0 if values is None else values[i][j], expected)
                row[j] = value
                size = abs(value)
                in_column[j] += size
                in_row += size
                total, count = total + _UNIT * size, count + 1
            out.append(row)
        return out

    def _number(self, coder: _Coder, value: int, expected: int) -> int:
        """Code a number whose size is expected to be `expected` / 16: its digits, the digits' values, its sign."""
        length = expected.bit_length()
        kind = (2 * length + (expected >> length - 2 & 1) if length > 1 else 2) << 8
        # The chance that a size of at least n, distributed geometrically, is at least n + 1.
        more = CHANCES * expected // (expected + _UNIT)
        size = abs(value)
        wanted, digits, powers = size.bit_length(), 0, [more]
        while digits < MAX_DIGITS:
            if digits > 1:
                powers.append(powers[-1] * powers[-1] >> 16)
            if not self._learned(coder, kind | digits, int(wanted > digits), powers[-1]):
                break
            digits += 1
        if digits == 0:
            return 0
        found, node = 1, 1
        for place in range(digits - 2, -1, -1):
            upper = CHANCES * powers[place] // (CHANCES + powers[place])
            bit = size >> place & 1
            if digits - 2 - place < _LEARNED:
                bit = self._learned(coder, kind | 16 * digits | 8 | node, bit, upper)
            else:
                bit = coder.bit(bit, bounded(upper))
            found, node = found << 1 | bit, node << 1 | bit
        return -found if coder.bit(int(value < 0), CHANCES >> 1) else found

    def _learned(self, coder: _Coder, context: int, bit: int, chance: int) -> int:
        """Code a bit by what came in its context before, and by the chance that is expected of it."""
        counts = self._counts.get(context)
        if counts is None:
            counts = self._counts[context] = [0, 0]
        zeros, ones = counts
        bit = coder.bit(bit, bounded((2 * CHANCES * ones + _TRUST * chance) // (2 * (zeros + ones) + _TRUST)))
        counts[bit] += 1
        if zeros + ones >= _LIMIT:
            counts[0] >>= 1
            counts[1] >>= 1
        return bit


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
    reader, model, out = _Reader(coded.arrays[""].tobytes()), _Model(), []
    shapes = shapes_of(str(coded.parameters["shapes"]))
    for (rows, columns), step in zip(shapes, coded.arrays["step"].astype(np.float32), strict=True):
        values = model.matrix(reader, None, rows, columns)
        out.append(np.asarray(values, np.float32).reshape(-1) * step)
    return np.concatenate(out)


def _shape(parameters: Mapping[str, Parameter]) -> tuple[int]:
    return (sum(math.prod(shape) for shape in shapes_of(str(parameters.get("shapes")))),)


MATRICES = Coding(("", "step"), ("shapes",), _check, _decode, _shape)
