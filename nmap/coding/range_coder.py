"""The binary range coder of the format: bits and their chances to bytes, and back.

Carry-less range coding after Martin (1979), in the two-ended form of Mahoney's lpaq. A coder holds a range
low..high of 32-bit numbers. A bit takes the part of it that its chance gives; bytes on which both ends agree
are written. Every step is whole-number arithmetic, so any two machines agree. `spec/coding-occupancy.md`
describes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.machine.compiled import Loop, Numbers, Patience, numbers

MASK = 0xFFFFFFFF
# Chances of a 1 are whole numbers of 1/65536. Within these bounds each outcome keeps a part of any range.
CHANCES = 1 << 16
LEAST_CHANCE = 32
LARGEST_CHANCE = CHANCES - LEAST_CHANCE


def bounded(chance: int) -> int:
    """A chance of a 1, in units of 1/65536, that leaves room for both outcomes."""
    return LEAST_CHANCE if chance < LEAST_CHANCE else min(chance, LARGEST_CHANCE)


class Encoder:
    """Bits to bytes."""

    def __init__(self) -> None:
        self._low, self._high, self._out = 0, MASK, bytearray()

    def encode(self, bit: int, chance: int) -> None:
        """Append a bit.

        Args:
            bit: 0 or 1.
            chance: of a 1, in units of 1/65536, as `bounded` gives it.
        """
        middle = self._low + ((self._high - self._low) * chance >> 16)
        if bit:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) >> 24:
            self._out.append(self._high >> 24)
            self._low, self._high = self._low << 8 & MASK, self._high << 8 & MASK | 255

    def finish(self) -> bytes:
        """The stream; its last bytes are the shortest that stand for the range when zeros follow them."""
        return bytes(self._out) + ending(self._low, self._high)


def ending(low: int, high: int) -> bytes:
    """The bytes that stand for a range at the end of a stream, when zeros follow them."""
    if not low:
        return b""
    short = next(n for n in (high & ~((1 << k) - 1) for k in (24, 16, 8, 0)) if n >= low)
    return short.to_bytes(4, "big")


class Decoder:
    """Bytes to bits; bytes past the end read as zero.

    Args:
        stream: what an `Encoder` gave.
    """

    def __init__(self, stream: bytes) -> None:
        self._low, self._high, self._stream, self._read = 0, MASK, stream, 4
        self._code = int.from_bytes(stream[:4].ljust(4, b"\0"), "big")

    def decode(self, chance: int) -> int:
        """The next bit, 0 or 1; `chance` as it was encoded with."""
        middle = self._low + ((self._high - self._low) * chance >> 16)
        bit = self._code <= middle
        if bit:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) >> 24:
            self._low, self._high = self._low << 8 & MASK, self._high << 8 & MASK | 255
            byte = self._stream[self._read] if self._read < len(self._stream) else 0
            self._code, self._read = self._code << 8 & MASK | byte, self._read + 1
        return int(bit)


# Zero bytes that a loop may imagine after a stream's end.
MAX_BEYOND = 64
# Zero bytes that a writer may leave out: a decoder reads up to 4 ahead.
_MAX_DROPPED = MAX_BEYOND - 4
# Places in the state of a loop that codes: the range, a decoder's number, and the next byte to read or write.
LOW, HIGH, CODE, PLACE = range(4)


class LoopCoder:
    """Codes numbers by a loop that has the range coder's steps in it: opening a file spends its time there.

    The loop's arguments are whether it decodes, the stream, the numbers, whatever more `code` is given, and the state.

    Args:
        loop: the loop.
        stream: what to decode; None encodes.
        steps: about how many bits are coded.
        total: numbers that are decoded in all.
        room: most bytes that the numbers of one call of `code` take.
        state: what the loop keeps beyond the first four places of its state.
    """

    def __init__(
        self, loop: Loop, stream: bytes | None, steps: int, total: int, room: int, state: list[int]
    ) -> None:
        self._run, self._compiled = loop.chosen(steps)
        self._patience = None if self._compiled or stream is None else Patience(total)
        self._decodes, self._out = stream is not None, bytearray()
        begin, place = (b"", 0) if stream is None else (stream[:4], 4)
        self.state = self.numbers([0, MASK, int.from_bytes(begin.ljust(4, b"\0"), "big"), place, *state])
        self._stream: Any = bytearray(room) if stream is None else stream
        if self._compiled:
            self._stream = np.array(np.frombuffer(self._stream, np.uint8))

    def numbers(self, values: list[int] | NDArray[Any]) -> Numbers:
        """Numbers as the loop wants them, a copy."""
        return numbers(values, self._compiled)

    def code(self, values: NDArray[Any], *more: Any) -> Any:
        """Run the loop on numbers, in place; what it returns.

        Raises:
            LimitError: to decode the rest would take too long.
        """
        chunk = self.numbers(values)
        outcome = self._run(self._decodes, self._stream, chunk, *more, self.state)
        if self._patience is not None:
            self._patience.count(len(values))
        if self._decodes:
            values[:] = chunk
        else:
            self._out += bytes(self._stream[: self.state[PLACE]])
            self.state[PLACE] = 0
        return outcome

    def finish(self) -> bytes:
        """The stream that was written, cut where what is left reads as zeros."""
        out = bytes(self._out) + ending(int(self.state[LOW]), int(self.state[HIGH]))
        return out[:-_MAX_DROPPED] + out[-_MAX_DROPPED:].rstrip(b"\0")
