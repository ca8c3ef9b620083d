"""Integer weights on a body-centred cubic lattice to and from bytes: a staged, adaptive binary range coder.

The normative description is `spec/coding-lattice.md`. Sites are visited in 16 interleaved stages, so that
all contexts of a stage come from whole-array arithmetic on the stages before it and late stages see
neighbours on every side. Every step is integer arithmetic, so that any two machines agree.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.coding import occupancy
from nmap.coding.range_coder import CHANCES, MASK, Encoder, bounded
from nmap.errors import FormatError

# Sites per block edge, in steps of the fine lattice: whole blocks without a weight cost nothing but their
# bit.
BLOCK = 8
MAX_WEIGHT = 127
# What a reader's work is bounded by, since a few bytes can claim that every block is full of large weights:
# sites in coded blocks (a full lattice of 2^26 points, as many values as other codings may have), the sum of
# absolute values, also by the length of the stream, and zero bytes imagined after a stream's end.
MAX_SITES = 1 << 24
MAX_SUM = 1 << 26
_FREE_SUM = 1 << 19
_SUM_PER_BYTE = 128
MAX_BEYOND = 64
# Zero bytes that a writer may leave out: a decoder reads up to 4 ahead.
_MAX_DROPPED = MAX_BEYOND - 4
# Squared distances of the neighbour shells that form a context, and what a unit of weight there counts for.
SHELLS = {3: 32, 4: 45, 8: 45, 11: 16, 12: 51}
# Activity (see `_activity`) at which each class above 0 begins: half octaves.
THRESHOLDS = tuple(round(8 * 2 ** (k / 2)) for k in range(19))
_CLASSES = len(THRESHOLDS) + 1
_GROUPS = (0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5)
_LIMIT = 1 << 10
_PARITIES = ((0, 0, 0), (1, 1, 1), (0, 1, 1), (1, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1))
# First site (z, y, x) of each stage; its sites are 4 apart: the corner lattice, then the centring one.
STAGES = tuple((2 * z + odd, 2 * y + odd, 2 * x + odd) for odd in (0, 1) for z, y, x in _PARITIES)
_PAD = 4

I8 = NDArray[np.int8]
Offset = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class _Stage:
    """Sites of one stage in occupied blocks, and what their contexts are, before any is coded."""

    flat: NDArray[np.int64]
    group: int
    activity: list[int]
    sign: list[int]


def blocks_of(weights: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which blocks of 8 x 8 x 8 fine steps hold a weight, (ceil(z / 8), ceil(y / 8), ceil(x / 8))."""
    padded = np.pad(weights != 0, [(0, -n % BLOCK) for n in weights.shape])
    z, y, x = (n // BLOCK for n in padded.shape)
    return np.asarray(padded.reshape(z, BLOCK, y, BLOCK, x, BLOCK).any((1, 3, 5)))


def sites_in(blocks: NDArray[np.bool_], shape: tuple[int, int, int]) -> int:
    """Number of sites in the set blocks of a lattice `shape`, counts that are multiples of 4."""
    z, y, x = (np.minimum(BLOCK, n - np.arange(0, n, BLOCK)) for n in shape)
    return int(((blocks @ x) @ y) @ z) // 4


def pack(weights: NDArray[np.integer]) -> tuple[bytes, bytes]:
    """Code integers on the fine lattice (z, y, x), which are 0 unless all indices are even or all odd.

    Returns:
        The stream of weights, and the occupancy-coded blocks.
    """
    blocks = blocks_of(weights)
    source = np.pad(np.asarray(weights, np.int8), _PAD).reshape(-1)
    known = np.zeros(tuple(n + 2 * _PAD for n in weights.shape), np.int8)
    coder = _Encoder()
    for stage in _stages(known, blocks):
        values: list[int] = source[stage.flat].tolist()
        coder.stage(stage, values)
        known.reshape(-1)[stage.flat] = values
    total = int(np.abs(source, dtype=np.int64).sum())
    least = max(0, -(-(total - _FREE_SUM) // _SUM_PER_BYTE))
    return coder.finish().ljust(least, b"\0"), occupancy.pack(blocks)


def unpack(stream: bytes, blocks: bytes, shape: tuple[int, int, int]) -> I8:
    """The integers on the fine lattice (z, y, x) that `pack` coded; bytes past the end read as zero.

    Raises:
        FormatError: more sites, larger weights or a shorter stream than the format allows.
    """
    z, y, x = (-(-n // BLOCK) for n in shape)
    coded = occupancy.unpack(blocks, (z, y, x))
    sites = sites_in(coded, shape)
    if sites > MAX_SITES:
        raise FormatError(f"lattice with {sites} sites in coded blocks: wanted at most {MAX_SITES}")
    known = np.zeros(tuple(n + 2 * _PAD for n in shape), np.int8)
    coder = _Decoder(stream)
    for stage in _stages(known, coded):
        known.reshape(-1)[stage.flat] = coder.stage(stage)
    return np.ascontiguousarray(known[_PAD:-_PAD, _PAD:-_PAD, _PAD:-_PAD])


def _stages(known: I8, blocks: NDArray[np.bool_]) -> itertools.chain[_Stage]:
    """Each stage with its contexts, made when it is asked for: `known` then holds the stages before it."""
    return itertools.chain.from_iterable((_stage(number, known, blocks),) for number in range(len(STAGES)))


def _stage(number: int, known: I8, blocks: NDArray[np.bool_]) -> _Stage:
    first = STAGES[number]
    inner = [n - 2 * _PAD for n in known.shape]
    axes = [np.arange(f, n, 4) for f, n in zip(first, inner, strict=True)]
    inside = blocks[np.ix_(*(a // BLOCK for a in axes))]
    z, y, x = (axes[i][index] + _PAD for i, index in enumerate(np.nonzero(inside)))
    _, ny, nx = known.shape
    flat = (z * ny + y) * nx + x
    line = known.reshape(-1)
    activity = np.zeros(flat.size, np.int64)
    for squared, unit in SHELLS.items():
        steps = [d for d in _neighbours(squared) if _before(first, d, number)]
        if steps:
            total = np.zeros(flat.size, np.int64)
            for d in steps:
                total += np.abs(line[flat + (d[0] * ny + d[1]) * nx + d[2]])
            activity += total * (4 * unit) // math.isqrt(16 * len(steps))
    near = np.zeros(flat.size, np.int64)
    for d in _neighbours(4):
        near += line[flat + (d[0] * ny + d[1]) * nx + d[2]]
    classes = np.searchsorted(np.asarray(THRESHOLDS), activity, side="right")
    return _Stage(flat, _GROUPS[number], classes.tolist(), (np.sign(near) + 1).tolist())


def _neighbours(squared: int) -> list[Offset]:
    """Offsets of this squared length between sites, in C order."""
    reach = range(-_PAD, _PAD + 1)
    return [
        (z, y, x)
        for z, y, x in itertools.product(reach, reach, reach)
        if z * z + y * y + x * x == squared and z % 2 == y % 2 == x % 2
    ]


def _before(first: Offset, step: Offset, number: int) -> bool:
    """Whether the neighbour at `step` belongs to a stage before this one."""
    z, y, x = ((f + s) % 4 for f, s in zip(first, step, strict=True))
    return STAGES.index((z, y, x)) < number


class _Contexts:
    """Counts of both outcomes in every context."""

    def __init__(self) -> None:
        signs, sizes = _CLASSES * 6, _CLASSES * 6 + 3
        self.zero = [1] * (sizes + _CLASSES * 16)
        self.one = [1] * (sizes + _CLASSES * 16)
        self.signs, self.sizes = signs, sizes

    def learn(self, context: int, bit: int) -> None:
        """Count an outcome; both are halved at the limit, so that a context can change its mind."""
        counts = self.one if bit else self.zero
        counts[context] += 2
        if counts[context] > _LIMIT:
            self.zero[context] = (self.zero[context] + 1) >> 1
            self.one[context] = (self.one[context] + 1) >> 1


class _Encoder(_Contexts):
    def __init__(self) -> None:
        super().__init__()
        self._coder = Encoder()

    def bit(self, context: int, bit: int) -> None:
        one = self.one[context]
        self._coder.encode(bit, bounded(CHANCES * one // (one + self.zero[context])))
        self.learn(context, bit)

    def stage(self, stage: _Stage, values: list[int]) -> None:
        base = stage.group * _CLASSES
        for value, activity, sign in zip(values, stage.activity, stage.sign, strict=True):
            self.bit(base + activity, int(value != 0))
            if value:
                self.bit(self.signs + sign, int(value > 0))
                size, start = abs(value), self.sizes + 16 * activity
                for step in range(1, min(size + 1, MAX_WEIGHT)):
                    self.bit(start + min(step, 16) - 1, int(size > step))

    def finish(self) -> bytes:
        """The stream, cut where what is left reads as zeros."""
        out = self._coder.finish()
        return out[:-_MAX_DROPPED] + out[-_MAX_DROPPED:].rstrip(b"\0")


class _Decoder(_Contexts):
    def __init__(self, stream: bytes) -> None:
        super().__init__()
        self.low, self.high, self.read, self.stream = 0, MASK, 4, stream
        self.most = min(MAX_SUM, _FREE_SUM + _SUM_PER_BYTE * len(stream))
        self.sum_left, self.last = self.most, len(stream) + MAX_BEYOND
        self.code = int.from_bytes(stream[:4].ljust(4, b"\0"), "big")

    def stage(self, stage: _Stage) -> list[int]:
        """Values of a stage's sites.

        The same steps as `range_coder.Decoder`, in one loop with local names: opening a file spends its time here.
        """
        zero, one, base, signs = self.zero, self.one, stage.group * _CLASSES, self.signs
        low, high, code, read = self.low, self.high, self.code, self.read
        out, sum_left = [], self.sum_left
        for activity, sign in zip(stage.activity, stage.sign, strict=True):
            # Size -1 while it is open whether there is a value, 0 while only its sign is; then what it exceeds.
            context, size, positive = base + activity, -1, False
            while True:
                ones, zeros = one[context], zero[context]
                # Counts lie within 1 and 1024, so the page's bounds on the chance are never reached.
                middle = low + ((high - low) * (CHANCES * ones // (ones + zeros)) >> 16)
                bit = code <= middle
                if bit:
                    high, ones = middle, ones + 2
                    one[context] = ones
                else:
                    low, zeros = middle + 1, zeros + 2
                    zero[context] = zeros
                if ones > _LIMIT or zeros > _LIMIT:
                    one[context], zero[context] = (ones + 1) >> 1, (zeros + 1) >> 1
                while (low ^ high) < 0x1000000:
                    low, high = low << 8 & MASK, high << 8 & MASK | 255
                    code, read = code << 8 & MASK | self._byte(read), read + 1
                if size > 0:
                    size += bit
                    if not bit or size == MAX_WEIGHT:
                        break
                    context += size <= 16
                elif size == 0:
                    positive, size, context = bit, 1, self.sizes + 16 * activity
                elif bit:
                    size, context = 0, signs + sign
                else:
                    size = 0
                    break
            out.append(size if positive else -size)
            sum_left -= size
            if sum_left < 0:
                raise FormatError(
                    f"lattice weights: wanted a sum of absolute values of at most {self.most} in a stream of "
                    f"{len(self.stream)} bytes, the file is damaged"
                )
        self.low, self.high, self.code, self.read, self.sum_left = low, high, code, read, sum_left
        return out

    def _byte(self, place: int) -> int:
        """The stream's byte at a place; 0 beyond the end, but not far beyond."""
        if place < len(self.stream):
            return self.stream[place]
        if place >= self.last:
            size = len(self.stream)
            raise FormatError(f"lattice stream of {size} bytes ends over {MAX_BEYOND} bytes too early")
        return 0
