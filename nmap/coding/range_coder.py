"""The binary range coder of the format: bits and their chances to bytes, and back.

Carry-less range coding after Martin (1979), in the two-ended form of Mahoney's lpaq. A coder holds a range
low..high of 32-bit numbers. A bit takes the part of it that its chance gives; bytes on which both ends agree
are written. Every step is whole-number arithmetic, so any two machines agree. `spec/coding-occupancy.md`
describes it.
"""

from __future__ import annotations

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
        out, low, high = self._out, self._low, self._high
        if low:
            short = next(n for n in (high & ~((1 << k) - 1) for k in (24, 16, 8, 0)) if n >= low)
            out = out + short.to_bytes(4, "big")
        return bytes(out)


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
