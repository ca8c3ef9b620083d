"""Occupancy bits to and from a few hundred bytes: the range coder, with chances learned by neighbourhood.

The normative description is `spec/coding-occupancy.md`; every step is integer arithmetic, so that any two
machines agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nmap.coding.range_coder import CHANCES, LARGEST_CHANCE, Decoder, Encoder, bounded
from nmap.errors import FormatError

# Offsets (z, y, x) of the neighbours that are coded before a bit; the first is the context's lowest bit.
# Of six sets tried on the envelopes of three EMDB maps these were within 3 % of the best, and the fewest.
NEIGHBOURS = ((0, 0, -1), (0, -1, 0), (-1, 0, 0), (0, -1, 1), (-1, 0, 1), (-1, 1, 0))
# What the bound on chances adds to a bit that is next to certain.
_LEAST_BITS = -math.log2(LARGEST_CHANCE / CHANCES)


class _Model:
    """How often a 1 came in each context, on cells that a border of zeros surrounds."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.cells = np.zeros([n + 2 for n in shape], np.uint8)
        _, ny, nx = self.cells.shape
        self.steps: list[int] = [(z * ny + y) * nx + x for z, y, x in NEIGHBOURS]
        self.zeros, self.ones = [0] * 64, [0] * 64

    def places(self) -> Iterator[int]:
        """Flat places of the inner cells, in C order."""
        nz, ny, nx = self.cells.shape
        for z in range(1, nz - 1):
            for y in range(1, ny - 1):
                row = (z * ny + y) * nx
                yield from range(row + 1, row + nx - 1)

    def context(self, flat: bytearray, at: int) -> int:
        """The six neighbours of a cell as a number below 64."""
        a, b, c, d, e, f = self.steps
        return (
            flat[at + a]
            | flat[at + b] << 1
            | flat[at + c] << 2
            | flat[at + d] << 3
            | flat[at + e] << 4
            | flat[at + f] << 5
        )

    def chance(self, context: int) -> int:
        """Chance of a 1, in units of 1/65536."""
        zeros, ones = self.zeros[context], self.ones[context]
        return bounded(CHANCES * (4 * ones + 1) // (4 * (zeros + ones) + 2))

    def count(self, context: int, bit: int) -> None:
        """Learn from a bit."""
        if bit:
            self.ones[context] += 1
        else:
            self.zeros[context] += 1


def pack(bits: NDArray[np.bool_]) -> bytes:
    """Code a (kz, ky, kx) grid of bits."""
    model, coder = _Model(bits.shape), Encoder()
    model.cells[1:-1, 1:-1, 1:-1] = bits
    flat = bytearray(model.cells.tobytes())
    for at in model.places():
        context, bit = model.context(flat, at), flat[at]
        coder.encode(bit, model.chance(context))
        model.count(context, bit)
    return coder.finish().rstrip(b"\0")


def packed_size(bits: NDArray[np.bool_]) -> float:
    """Bytes that `pack` makes of a (kz, ky, kx) grid of bits, but for its rounding of chances.

    What an adaptive model spends in a context follows from how many of each bit it saw, in whatever order.
    """
    cells = np.pad(bits, 1).astype(np.uint8)
    context = np.zeros(bits.shape, np.uint8)
    for place, (z, y, x) in enumerate(NEIGHBOURS):
        part = cells[1 + z :, 1 + y :, 1 + x :][: bits.shape[0], : bits.shape[1], : bits.shape[2]]
        context |= part << place
    counts = np.bincount((context << 1 | bits).reshape(-1), minlength=128).reshape(64, 2).tolist()
    nats = sum(
        2 * math.lgamma(0.25) - math.lgamma(0.5) + math.lgamma(zeros + ones + 0.5)
        - math.lgamma(zeros + 0.25) - math.lgamma(ones + 0.25)
        for zeros, ones in counts
    )  # fmt: skip
    return (nats / math.log(2) + bits.size * _LEAST_BITS) / 8


def unpack(data: bytes, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The (kz, ky, kx) grid of bits that `pack` coded; bytes past the end read as zero."""
    model, coder = _Model(shape), Decoder(data)
    flat = bytearray(model.cells.size)
    for at in model.places():
        context = model.context(flat, at)
        bit = flat[at] = coder.decode(model.chance(context))
        model.count(context, bit)
    cells = np.frombuffer(bytes(flat), bool).reshape(model.cells.shape)
    return cells[1:-1, 1:-1, 1:-1].copy()


def with_shape(bits: NDArray[np.bool_]) -> bytes:
    """Code a (kz, ky, kx) grid of bits with its counts before them, each below 65536: little-endian U16."""
    return np.asarray(bits.shape, "<u2").tobytes() + pack(bits)


def of_shape(data: bytes, most: int) -> NDArray[np.bool_]:
    """The grid of bits that `with_shape` coded.

    Raises:
        FormatError: no counts, or more than `most` bits.
    """
    kz, ky, kx = (int(n) for n in np.frombuffer(data[:6].ljust(6, b"\0"), "<u2"))
    if not 0 < kz * ky * kx <= most:
        raise FormatError(
            f"a grid of {kz} x {ky} x {kx} bits: wanted 1 to {most} in all, the file is damaged"
        )
    return unpack(data[6:], (kz, ky, kx))
