"""Integer weights on a body-centred cubic lattice to and from bytes: a staged, adaptive binary range coder.

The normative description is `spec/coding-lattice.md`. Sites are visited in 16 interleaved stages, so that
all contexts of a stage come from whole-array arithmetic on the stages before it and late stages see
neighbours on every side. Every step is integer arithmetic, so that any two machines agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.coding import occupancy
from nmap.coding.lattice_contexts import BLOCK, CLASSES, I8, PAD, Stage, stages
from nmap.coding.range_coder import CHANCES, CODE, HIGH, LOW, MASK, MAX_BEYOND, PLACE, LoopCoder
from nmap.errors import FormatError
from nmap.machine.compiled import Loop, Numbers

MAX_WEIGHT = 127


@dataclass(frozen=True)
class Limit:
    """What a reader's work is bounded by, since a few bytes can claim that every block is full of large weights.

    Attributes:
        most: of any stream.
        free: of the shortest stream.
        per_byte: as many more for each byte of the stream.
    """

    most: int
    free: int
    per_byte: int

    def of(self, size: int) -> int:
        """The most in a stream of so many bytes."""
        return min(self.most, self.free + self.per_byte * size)


# Sites in coded blocks: a tomogram of 1000 x 1000 x 300 voxels has 2^26 at three times its voxels' size.
# Maps have 3 to 25 in a byte.
SITES = Limit(1 << 26, 1 << 18, 64)
# The sum of absolute values: maps have 1 to 10 in a byte.
SUM = Limit(1 << 27, 1 << 19, 128)
# Weights that are not 0: a sign takes a bit, if it is not told by its neighbours; maps have at most 2 in a byte.
WEIGHTS = Limit(1 << 25, 1 << 12, 8)
LIMITS = (SITES, SUM, WEIGHTS)
# Bits that a byte of a stream stands for at most in the maps that were tried.
_STEPS_PER_BYTE = 20
_LIMIT = 1 << 10


def blocks_of(weights: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which blocks of 8 x 8 x 8 fine steps hold a weight, (ceil(z / 8), ceil(y / 8), ceil(x / 8))."""
    z, y, x = (-(-n // BLOCK) for n in weights.shape)
    out = np.empty((z, y, x), bool)
    for k in range(z):
        slab = weights[k * BLOCK : (k + 1) * BLOCK].any(0)
        slab = np.pad(slab, [(0, -n % BLOCK) for n in slab.shape])
        out[k] = slab.reshape(y, BLOCK, x, BLOCK).any((1, 3))
    return out


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
    source = np.pad(np.asarray(weights, np.int8), PAD).reshape(-1)
    known = np.zeros(tuple(n + 2 * PAD for n in weights.shape), np.int8)
    sizes = np.abs(source[source != 0], dtype=np.int64)
    counts = sites_in(blocks, _triple(weights.shape)), int(sizes.sum()), sizes.size
    coder = _Coder(None, sum(counts), counts[0])
    for stage in stages(known, blocks):
        values = source[stage.flat]
        coder.stage(stage, values)
        known.reshape(-1)[stage.flat] = values
    least = max(
        -(-(count - limit.free) // limit.per_byte) for count, limit in zip(counts, LIMITS, strict=True)
    )
    return coder.finish().ljust(least, b"\0"), occupancy.pack(blocks)


def unpack(stream: bytes, blocks: bytes, shape: tuple[int, int, int]) -> I8:
    """The integers on the fine lattice (z, y, x) that `pack` coded; bytes past the end read as zero.

    Raises:
        FormatError: more sites, more or larger weights or a shorter stream than the format allows.
        LimitError: without numba it would take too long.
    """
    z, y, x = (-(-n // BLOCK) for n in shape)
    coded = occupancy.unpack(blocks, (z, y, x))
    sites, most = sites_in(coded, shape), SITES.of(len(stream))
    if sites > most:
        raise FormatError(
            f"lattice with {sites} sites in coded blocks: wanted at most {most} in a stream of {len(stream)} bytes"
        )
    known = np.zeros(tuple(n + 2 * PAD for n in shape), np.int8)
    coder = _Coder(stream, sites + _STEPS_PER_BYTE * len(stream), sites)
    for stage in stages(known, coded):
        values = np.zeros(stage.flat.size, np.int8)
        coder.stage(stage, values)
        known.reshape(-1)[stage.flat] = values
    return np.ascontiguousarray(known[PAD:-PAD, PAD:-PAD, PAD:-PAD])


def _triple(shape: tuple[int, ...]) -> tuple[int, int, int]:
    z, y, x = shape
    return z, y, x


# More places in the loop's state: what is left of the limits on sums and weights.
_SUM_LEFT, _WEIGHTS_LEFT = range(4, 6)
# Contexts: significance by group and class, sign, size by class.
_SIGNS = CLASSES * 6
_SIZES = _SIGNS + 3
# Outcomes of `_code`.
_DONE, _TOO_MUCH, _TOO_SHORT = range(3)
# Sites that are coded at once, and the most bytes that they take: 128 bits each, of at most 4 bytes.
_AT_ONCE = 4096
_ROOM = _AT_ONCE * 128 * 4


def _code(  # noqa: PLR0912 - one loop, in which calls would cost more than the work
    decoding: bool,
    stream: Any,
    values: Any,
    activity: Any,
    sign: Any,
    base: int,
    zero: Any,
    one: Any,
    state: Any,
) -> int:
    """Write the values of some sites to the stream from its place on, or read them.

    One loop with local names, range coder and contexts in it: opening a file spends its time here. Counts lie within
    1 and 1024, so the page's bounds on the chance are never reached.
    """
    low, high, code, place = state[LOW], state[HIGH], state[CODE], state[PLACE]
    end, bit = len(stream), 0
    for i in range(len(values)):
        # Size -1 while it is open whether there is a value, 0 while only its sign is; then what it exceeds.
        value, context, size, positive = values[i], base + activity[i], -1, 0
        while True:
            ones, zeros = one[context], zero[context]
            middle = low + ((high - low) * (CHANCES * ones // (ones + zeros)) >> 16)
            if decoding:
                bit = 1 if code <= middle else 0
            elif size > 0:
                bit = 1 if size < value or size < -value else 0
            else:
                bit = 1 if value > 0 or (size < 0 and value < 0) else 0
            if bit:
                high, ones = middle, ones + 2
                one[context] = ones
            else:
                low, zeros = middle + 1, zeros + 2
                zero[context] = zeros
            if ones > _LIMIT or zeros > _LIMIT:
                one[context], zero[context] = (ones + 1) >> 1, (zeros + 1) >> 1
            while (low ^ high) < 0x1000000:
                if not decoding:
                    stream[place] = high >> 24
                elif place < end:
                    code = code << 8 & MASK | stream[place]
                elif place < end + MAX_BEYOND:
                    code = code << 8 & MASK
                else:
                    return _TOO_SHORT
                low, high, place = low << 8 & MASK, high << 8 & MASK | 255, place + 1
            if size > 0:
                size += bit
                if not bit or size == MAX_WEIGHT:
                    break
                if size <= 16:
                    context += 1
            elif size == 0:
                positive, size, context = bit, 1, _SIZES + 16 * activity[i]
            elif bit:
                size, context = 0, _SIGNS + sign[i]
            else:
                size = 0
                break
        if size and decoding:
            values[i] = size if positive else -size
            state[_SUM_LEFT] -= size
            state[_WEIGHTS_LEFT] -= 1
            if state[_SUM_LEFT] < 0 or state[_WEIGHTS_LEFT] < 0:
                return _TOO_MUCH
    state[LOW], state[HIGH], state[CODE], state[PLACE] = low, high, code, place
    return _DONE


_LOOP = Loop(_code, "i8(b1, u1[::1], i1[::1], u1[::1], u1[::1], i8, i8[::1], i8[::1], i8[::1])")


class _Coder:
    """Reads a stream, or writes one where none is given.

    Args:
        stream: what to read.
        steps: about how many bits it takes.
        sites: in all.
    """

    def __init__(self, stream: bytes | None, steps: int, sites: int) -> None:
        self._size = 0 if stream is None else len(stream)
        left = [SUM.of(self._size), WEIGHTS.of(self._size)]
        self._coder = LoopCoder(_LOOP, stream, steps, sites, _ROOM, left)
        self.finish = self._coder.finish
        self._counts = [self._coder.numbers([1] * (_SIZES + CLASSES * 16)) for _ in range(2)]

    def stage(self, stage: Stage, values: NDArray[np.int8]) -> None:
        """Code the values of a stage's sites, or put what is decoded there.

        Raises:
            FormatError: the stream breaks a limit of the format.
            LimitError: without numba it would take too long.
        """
        for start in range(0, values.size, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            contexts = (self._coder.numbers(a[part]) for a in (stage.activity, stage.sign))
            ended = self._coder.code(values[part], *contexts, stage.group * CLASSES, *self._counts)
            _check(ended, self._coder.state, self._size)


def _check(ended: int, state: Numbers, size: int) -> None:
    """Refuse a stream of so many bytes that broke a limit."""
    if ended == _TOO_SHORT:
        raise FormatError(f"lattice stream of {size} bytes ends over {MAX_BEYOND} bytes too early")
    if ended == _TOO_MUCH:
        limit = "a sum of absolute values of" if state[_SUM_LEFT] < 0 else "a number of weights of"
        most = (SUM if state[_SUM_LEFT] < 0 else WEIGHTS).of(size)
        raise FormatError(
            f"lattice weights: wanted {limit} at most {most} in a stream of {size} bytes, the file is damaged"
        )
