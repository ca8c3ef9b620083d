"""The model kind series-siren, for reference_reader.py; from its page.

float64, slow, and meant to be read.
"""

import math

import numpy as np


def functions(model, count, t):
    """The first functions of the axis at a position."""
    at, period = np.array(model["at"], float), model.get("period")
    i, frames = np.arange(len(at)), len(at)
    gaps = np.diff(at if period is None else np.append(at, at[0] + period))
    p = np.cumsum(np.append(0, np.maximum(gaps / np.mean(gaps), 0.1)))
    if period is None:
        f = polynomials(p, count)
    else:
        f = [np.ones(frames)]
        for k in range(1, count):
            phase = 2 * np.pi * ((k + 1) // 2) * i / frames
            f.append(np.sqrt(2) * (np.cos(phase) if k % 2 else np.sin(phase)))
        f = np.array(f)
    if period is not None:
        t = at[0] + (t - at[0]) % period
        turns = range(-2, 3)
        f, at = np.tile(f, 5), np.concatenate([at + m * period for m in turns])
        p = np.concatenate([p[:-1] + m * p[-1] for m in turns])
    low = min(max(int(np.sum(at <= t)) - 1, 0), len(at) - 2)
    h = p[low + 1] - p[low]
    s = (t - at[low]) / (at[low + 1] - at[low])

    def slope(number):
        first = min(max(number - 1, 0), max(len(p) - 3, 0))
        near = slice(first, first + 3)
        x = p[near] - p[number]
        return np.linalg.solve(np.vander(x, increasing=True), f[:, near].T)[1]

    ends = (2 * s**3 - 3 * s**2 + 1) * f[:, low] + (3 * s**2 - 2 * s**3) * f[:, low + 1]
    return ends + h * ((s**3 - 2 * s**2 + s) * slope(low) + (s**3 - s**2) * slope(low + 1))


def polynomials(p, count):
    """The functions of a line at its frames, by where these count as lying, (count, frames)."""
    p = 2 * p / p[-1] - 1
    f = [np.ones(len(p))]
    while len(f) < count:
        new = p * f[-1]
        for lower in f + f:
            new = new - lower * np.mean(lower * new)
        f.append(new / np.sqrt(np.mean(new**2)))
    return np.array(f)


def at(model, flat, t):
    """Model and numbers of the block-siren at a position of a series, by the page's paragraph on that."""
    count = model["components"]
    f = functions(model, count, t)
    flat = flat[: len(flat) - displacements(model)]
    w, c, hidden, blocks = (model[name] for name in ("width", "code", "hidden", "blocks"))
    ends = np.cumsum([3 * w + hidden * w * w + w * (hidden + 2) + 1, *[c * w] * (hidden + 1), c * (w + 1)])
    plain, *maps, rest = np.split(flat, ends)
    none = np.zeros(c * w)
    wider = [*(np.append(m, none) for m in maps[:-1]), np.append(np.zeros(c * (w + 1)), maps[-1])]
    codes = rest[: count * blocks * c].reshape(count, blocks, c)
    mixed = np.hstack((codes[0], np.einsum("k,kbc->bc", f, codes))).reshape(-1)
    heights = f @ rest[count * blocks * c :].reshape(count, -1)
    return {**model, "code": 2 * c}, np.concatenate((plain, *wider, mixed, heights))


def displacements(model):
    """Numbers of the motion, the last ones of the tensor."""
    return 3 * model.get("moving", 0) * math.prod(model.get("nodes", (0,)))


def moved(density, shell, longest):
    """Coefficients of the density at a position where its parts have moved; `shell` of each, the box's longest edge."""
    model, lattice, t = density.metadata["model"], density.metadata["lattice"], density.at
    stored = density.tensors["network"][-displacements(model) :].reshape(*model["nodes"], model["moving"], 3)
    nodes = np.einsum("k,zyxkd->zyxd", functions(model, model["moving"], t), stored)
    f = np.indices(lattice).reshape(3, -1).T / lattice
    weights = [spline(f[:, axis], count) for axis, count in enumerate(model["nodes"])]
    apart = np.einsum("na,nb,nc,abcd->nd", *weights, nodes, optimize=True)
    f = f - (apart @ np.linalg.inv(density.cell).T)[:, ::-1]
    values = density.band_limited(f, (np.inf,) * 3).reshape(lattice)
    return np.where(shell <= int(longest / model["limit"] + 1e-6), np.fft.fftn(values) / values.size, 0)


def spline(f, count):
    """Weight of each node at box fractions along an axis, (n, count): cubic B-splines, periodic."""
    apart = abs(f[:, None, None] * count - np.arange(count)[:, None] - count * np.arange(-4, 5))
    near, far = 2 / 3 - apart**2 + apart**3 / 2, np.clip(2 - apart, 0, None) ** 3 / 6
    return np.where(apart < 1, near, far).sum(-1) if count > 1 else np.ones((len(f), 1))
