"""The model kind radial-basis and the coding lattice, for reference_reader.py; written from their pages.

Values are slow direct sums in float64.
"""

import itertools
import math

import numpy as np

PARITIES = [(0, 0, 0), (1, 1, 1), (0, 1, 1), (1, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1)]
FIRST = [tuple(2 * p + odd for p in parity) for odd in (0, 1) for parity in PARITIES]
W = {3: 32, 4: 45, 8: 45, 11: 16, 12: 51}
THRESHOLDS = [8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096]
GROUPS = [0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5]
OFFSETS = {
    squared: [
        (z, y, x)
        for z, y, x in itertools.product(range(-3, 4), repeat=3)
        if z * z + y * y + x * x == squared and z % 2 == y % 2 == x % 2
    ]
    for squared in W
}


def coefficients(density, group):
    """Fourier coefficients of all copies, as in model-radial-basis.md, on the lattice's modes (l, k, h).

    `density` is the Map; `group` gives the rotations of a group's name.
    """
    weights, cell = density.tensors["weights"], density.cell
    symmetry = density.metadata.get("symmetry", {"group": "C1", "center": (0, 0, 0)})
    sites = np.argwhere(weights)
    center = np.array(symmetry["center"], float)
    apart = (sites / weights.shape)[:, ::-1] @ cell.T - center
    total = 0
    for turn in group(symmetry["group"])[0]:
        f = ((apart @ turn.T + center) @ np.linalg.inv(cell).T)[:, ::-1]
        ez, ey, ex = (np.exp(-2j * np.pi * np.outer(f[:, a], density._k[a])) for a in range(3))
        total = total + np.einsum("n,nz,ny,nx->zyx", weights[tuple(sites.T)], ez, ey, ex, optimize=True)
    return total


def whole_numbers(stream, coding, blocks, occupancy):
    """The page coding-lattice.md; `occupancy` decodes the blocks."""
    shape = coding["shape"]
    coded = occupancy(blocks, {"shape": [-(-n // 8) for n in shape]}, None)
    values = np.zeros([n + 6 for n in shape], int)  # three zeros on every side
    bit = range_decoder(stream.tobytes())
    for stage, first in enumerate(FIRST):
        known = {
            squared: [d for d in steps if FIRST.index(tuple((np.add(first, d) % 4).tolist())) < stage]
            for squared, steps in OFFSETS.items()
        }
        for index in np.ndindex(*(n // 4 for n in shape)):
            site = 4 * np.array(index) + first
            if not coded[tuple(site // 8)]:
                continue
            activity = 0
            for squared, steps in known.items():
                if steps:
                    total = sum(abs(int(values[tuple(site + 3 + d)])) for d in steps)
                    activity += 4 * total * W[squared] // math.isqrt(16 * len(steps))
            a = sum(threshold <= activity for threshold in THRESHOLDS)
            near = sum(int(values[tuple(site + 3 + d)]) for d in OFFSETS[4])
            if bit(("zero", GROUPS[stage], a)):
                positive, size = bit(("sign", (near > 0) - (near < 0))), 1
                while size <= 126 and bit(("size", a, min(size, 16))):
                    size += 1
                values[tuple(site + 3)] = size if positive else -size
    return values[3:-3, 3:-3, 3:-3]


def range_decoder(stream):
    """A function that decodes the next bit in a context."""
    counts = {}
    low, high, read = 0, 0xFFFFFFFF, 4
    code = int.from_bytes(stream[:4].ljust(4, b"\0"), "big")

    def bit(context):
        nonlocal low, high, read, code
        pair = counts.setdefault(context, [1, 1])
        chance = min(max(65536 * pair[1] // sum(pair), 32), 65504)
        middle = low + (high - low) * chance // 65536
        out = int(code <= middle)
        low, high = (low, middle) if out else (middle + 1, high)
        pair[out] += 2
        if pair[out] > 1024:
            pair[:] = [(count + 1) // 2 for count in pair]
        while low >> 24 == high >> 24:
            low, high = low << 8 & 0xFFFFFFFF, (high << 8 & 0xFFFFFFFF) + 255
            code = (code << 8 & 0xFFFFFFFF) + (stream[read] if read < len(stream) else 0)
            read += 1
        return out

    return bit
