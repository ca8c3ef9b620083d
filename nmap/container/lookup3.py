"""Bob Jenkins's lookup3 hash, the checksum of HDF5's metadata (burtleburtle.net/bob/c/lookup3.c, 2006)."""

from __future__ import annotations

_M = 0xFFFFFFFF


def lookup3(data: bytes) -> int:
    """`hashlittle` of the bytes with initial value 0."""
    a = b = c = (0xDEADBEEF + len(data)) & _M
    blocks = max(len(data) - 1, 0) // 12
    for i in range(blocks):
        x, y, z = _words(data[12 * i : 12 * i + 12])
        a, b, c = _mix((a + x) & _M, (b + y) & _M, (c + z) & _M)
    tail = data[12 * blocks :]
    if not tail:
        return c
    x, y, z = _words(tail.ljust(12, b"\0"))
    return _final((a + x) & _M, (b + y) & _M, (c + z) & _M)


def _words(block: bytes) -> tuple[int, int, int]:
    x, y, z = (int.from_bytes(block[k : k + 4], "little") for k in (0, 4, 8))
    return x, y, z


def _turn(x: int, k: int) -> int:
    return (x << k | x >> (32 - k)) & _M


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for k in (4, 6, 8, 16, 19, 4):
        a = (a - c & _M) ^ _turn(c, k)
        c = c + b & _M
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for k in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _turn(b, k) & _M
        a, b, c = b, c, a
    return b
