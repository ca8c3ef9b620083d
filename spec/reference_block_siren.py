"""The model kind block-siren and the coding matrices, for reference_reader.py; from their pages.

float64, slow, and meant to be read.
"""

import itertools
import math

import numpy as np


def numbers(stream, coding, steps):
    """The page coding-matrices.md: all numbers of all matrices."""
    shapes = [tuple(map(int, part.split("x"))) for part in coding["shapes"].split(" ")]
    bit, seen, out = range_decoder(stream.tobytes()), {}, []

    def learned(context, expected):
        zeros, ones = counts = seen.setdefault(context, [0, 0])
        found = bit((131072 * ones + 16 * expected) // (2 * (zeros + ones) + 16))
        counts[found] += 1
        if zeros + ones >= 1000:
            counts[:] = [n // 2 for n in counts]
        return found

    def number(expected):
        binary = f"{expected:b}0"
        kind = 2 * (len(binary) - 1) + (binary[1] == "1")
        grows = [65536 * expected // (expected + 16)]
        while len(grows) < 15:
            grows.append(grows[-1] * grows[-1] // 65536)
        digits = 0
        while digits < 15 and learned((kind, digits), grows[max(digits - 1, 0)]):
            digits += 1
        if not digits:
            return 0
        size = 1
        for place in reversed(range(digits - 1)):
            upper = 65536 * grows[place] // (65536 + grows[place])
            is_learned = place >= digits - 3
            size = 2 * size + (learned((kind, digits, size), upper) if is_learned else bit(upper))
        return -size if bit(32768) else size

    for (rows, columns), step in zip(shapes, steps.astype(np.float32), strict=True):
        sizes, total = np.zeros((rows, columns), int), 32
        for i, j in np.ndindex(rows, columns):
            mean = max(total // (i * columns + j + 1), 1)
            column = (16 * int(sizes[:i, j].sum()) + 4 * mean) // (i + 4)
            row = (16 * int(sizes[i, :j].sum()) + 4 * mean) // (j + 4)
            value = number(max(column * row // mean, 1))
            sizes[i, j] = abs(value)
            total += 16 * abs(value)
            out.append(np.float32(value) * step)
    return np.array(out)


def range_decoder(data):
    """Bits of a stream, one for each chance of a one; coding-occupancy.md."""
    stream = itertools.chain(data, itertools.repeat(0))
    low, high, code = 0, 0xFFFFFFFF, int.from_bytes([next(stream) for _ in range(4)], "big")

    def bit(chance):
        nonlocal low, high, code
        middle = low + (high - low) * min(max(chance, 32), 65504) // 65536
        found = int(code <= middle)
        low, high = (low, middle) if found else (middle + 1, high)
        while low >> 24 == high >> 24:
            low, high = low << 8 & 0xFFFFFFFF, (high << 8 & 0xFFFFFFFF) + 255
            code = (code << 8 & 0xFFFFFFFF) + next(stream)
        return found

    return bit


def values(density, f, t, group):
    """U on all points of the lattice, model-block-siren.md; `f` are their folded box fractions, `t` the frame's."""
    model, lattice = density.metadata["model"], density.metadata["lattice"]
    flat = density.tensors["network"]
    if density.at is not None:
        model, flat = __import__("reference_series").at(model, flat, density.at)
    index = np.indices(lattice).reshape(3, -1).T
    inside = touches(
        density.tensors.get("envelope", np.ones((1, 1, 1), bool)), f * lattice, np.array(lattice)
    )
    steps = density.edges[::-1] / lattice
    own = inside.copy()
    if "symmetry" in density.metadata:
        e = group(density.metadata["symmetry"]["group"])[1]
        ahead = (f - index / lattice)[:, ::-1] @ density.cell.T @ (e / np.linalg.norm(e))
        own &= ahead < 1e-4 * steps.min()
    place = f * lattice
    nearest = np.clip(np.floor(place + 0.500001), 0, np.array(lattice) - 1).astype(int)
    centers, block = [], np.zeros(len(f), int)

    def cut(points, rows, blocks):
        low, high = points.min(0), points.max(0)
        if blocks == 1:
            block[rows] = len(centers)
            centers.append((low + high) / 2)
            return
        longest = int(np.argmax(high - low))
        order = [longest, *(a for a in range(3) if a != longest)]
        split = sorted(points[:, order].tolist())[len(points) * (blocks // 2) // blocks]
        before = [np.array([p < split for p in x[:, order].tolist()], bool) for x in (points, nearest[rows])]
        cut(points[before[0]], rows[before[1]], blocks // 2)
        cut(points[~before[0]], rows[~before[1]], blocks - blocks // 2)

    cut(index[own], np.flatnonzero(inside), model["blocks"])
    x = (place - np.array(centers)[block]) * steps / model["radius"]
    return network(model, flat, lattice, block, x, t)


def touches(bits, steps, n):
    """Whether a bit is set at a node where a place in steps of the lattice lies, or beside it."""
    k, whole = np.array(bits.shape), np.rint(steps).astype(int)
    low = np.where(near := abs(steps - whole) < 1e-6, whole * k // n, np.floor(steps * k / n).astype(int))
    ends = low, low + 1 - (near & (whole * k % n == 0))
    corners = ([ends[c][:, a] % k[a] for a, c in enumerate(corner)] for corner in np.ndindex(2, 2, 2))
    return np.any([bits[tuple(c)] for c in corners], 0)


def network(model, flat, lattice, block, x, t):
    """Sine layers, and the waves."""
    w, hidden, c = model["width"], model["hidden"], model["code"]
    layers = hidden + 1
    shapes = [(w, 3), *[(w, w)] * hidden, *[(w, 1)] * layers, (w + 1, 1), *[(c, w)] * layers, (c, w + 1)]
    taken, matrices = 0, []
    for rows, columns in [*shapes, (model["blocks"], c)]:
        matrices.append(flat[taken : taken + rows * columns].reshape(rows, columns))
        taken += rows * columns
    trunk, base, maps = matrices[:layers], matrices[layers : 2 * layers + 1], matrices[2 * layers + 1 : -1]
    given = [(b.T + matrices[-1] @ m)[block] for b, m in zip(base, maps, strict=True)]
    h = x
    for omega, weight, bias in zip(model["omegas"], trunk, given, strict=False):
        h = np.sin(omega * (h @ weight.T + bias))
    u = (h * given[-1][:, :-1]).sum(1) + given[-1][:, -1]
    reach = math.isqrt(max(model["waves"], 0))
    axes = [range(-reach, reach + 1) if n > 1 else [0] for n in lattice]
    vectors = [k for k in itertools.product(*axes) if k >= (0, 0, 0) and np.dot(k, k) <= model["waves"]]
    phase = 0.75 * np.pi * t @ np.array(vectors, float).reshape(-1, 3).T
    both = np.stack((np.cos(phase), np.sin(phase)), -1).reshape(len(t), -1)
    return u + np.delete(both, 1, 1) @ flat[taken:] if vectors else u
