"""The formulas of the format, written out one point at a time in float64.

They share no code with nmap's decoder nor with the reference reader: the conformance suite takes its
expected values from here.
"""

from __future__ import annotations

import cmath
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nmap.grid import Grid

Array = NDArray[np.floating]
Triple = Sequence[float]
Function = Callable[[Triple], float]
GOLDEN = (1 + math.sqrt(5)) / 2


def dense(weight: Array, bias: Array, h: Sequence[float]) -> list[float]:
    """One linear layer."""
    return [sum(w * v for w, v in zip(row, h, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def siren(w: dict[str, Array], omegas: Sequence[float], output: str) -> Function:
    """The page model-siren.md."""

    def u(t: Triple) -> float:
        h = [math.sin(omegas[0] * v) for v in dense(w["first.weight"], w["first.bias"], t)]
        for i, (weight, bias) in enumerate(zip(w["hidden.weight"], w["hidden.bias"], strict=True)):
            h = [math.sin(omegas[i + 1] * v) for v in dense(weight, bias, h)]
        value = dense(w["last.weight"], w["last.bias"], h)[0]
        return math.sin(omegas[-1] * value) if output == "sine" else value

    return u


def fourier_features(w: dict[str, Array]) -> Function:
    """The page model-fourier-features.md."""

    def u(t: Triple) -> float:
        phases = [2 * math.pi * sum(b * v for b, v in zip(row, t, strict=True)) for row in w["frequencies"]]
        h = [a * math.cos(p) for a, p in zip(w["amplitudes"], phases, strict=True)]
        h += [a * math.sin(p) for a, p in zip(w["amplitudes"], phases, strict=True)]
        h = [max(0.0, v) for v in dense(w["first.weight"], w["first.bias"], h)]
        for weight, bias in zip(w["hidden.weight"], w["hidden.bias"], strict=True):
            h = [max(0.0, v) for v in dense(weight, bias, h)]
        return dense(w["last.weight"], w["last.bias"], h)[0]

    return u


def framed(u: Function, center: Triple = (0.5,) * 3, half: Triple = (0.5,) * 3) -> Function:
    """A network's value at a box fraction."""
    return lambda f: u([(v - c) / h for v, c, h in zip(f, center, half, strict=True)])


def masked(bits: NDArray[np.bool_]) -> Function:
    """Section 6.2, as a sum over all nodes of a periodic tent around each."""

    def m(f: Triple) -> float:
        v = 0.0
        for node in np.argwhere(bits):
            tent = 1.0
            for x, j, k in zip(f, node, bits.shape, strict=True):
                apart = abs((x * k - j + k / 2) % k - k / 2)
                tent *= max(0.0, 1 - apart)
            v += tent
        return v * v * (3 - 2 * v)

    return m


def filtered(product: Function, box: Grid, lattice: Sequence[int], limit: float, gains: Array) -> Function:
    """Section 6.4 by the definition of the discrete Fourier transform, mode by mode."""
    width, inverse = 1 / max(box.edges), np.linalg.inv(box.box)
    places = [
        [i / n for i, n in zip(index, lattice, strict=True)]
        for index in itertools.product(*map(range, lattice))
    ]
    samples = [(v, f) for f in places if (v := product(f)) != 0]
    terms = []
    for mode in itertools.product(*(range(-((n - 1) // 2), n // 2 + 1) for n in lattice)):
        shell = math.floor(float(np.linalg.norm(np.array(mode[::-1]) @ inverse)) / width + 0.5 + 1e-6)
        if shell <= math.floor(1 / (limit * width) + 1e-6):
            total = sum(
                v * cmath.exp(-2j * math.pi * sum(k * x for k, x in zip(mode, f, strict=True)))
                for v, f in samples
            )
            terms.append((mode, float(gains[shell]) * total / len(places)))

    def p(f: Triple) -> float:
        phase = (2j * math.pi * sum(k * x for k, x in zip(mode, f, strict=True)) for mode, _ in terms)
        return sum((c * cmath.exp(a)).real for (_, c), a in zip(terms, phase, strict=True))

    return p


def bumps(
    weights: Array,
    box: Grid,
    limit: float,
    gains: Sequence[float],
    turns: Sequence[Array] = (np.eye(3),),
    center: Triple = (0, 0, 0),
    samples: Sequence[float] = (math.inf,) * 3,
) -> Function:
    """The page model-radial-basis.md: a bump at every copy of every site, summed over modes as cosines.

    Modes that so many samples over the box (z, y, x) cannot hold are left out, section 6.6.
    """
    width, reciprocal = 1 / max(box.edges), np.linalg.inv(box.box).T
    last = math.floor(1 / (limit * width) + 1e-6)
    reach = [math.ceil((last + 1) * width * edge) for edge in box.edges]
    modes = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))))  # (x, y, z)
    shell = np.floor(np.linalg.norm(modes @ reciprocal.T, axis=1) / width + 0.5 + 1e-6).astype(int)
    kept = (shell <= last) & (2 * np.abs(modes) <= np.array(samples)[::-1]).all(1)
    modes, shell = modes[kept], shell[kept]
    places, values = [], []
    for z, y, x in np.argwhere(weights):
        nz, ny, nx = weights.shape
        apart = box.box @ (x / nx, y / ny, z / nz) - center
        places += [np.linalg.inv(box.box) @ (turn @ apart + center) for turn in turns]
        values += [weights[z, y, x]] * len(turns)

    def p(f: Triple) -> float:
        phase = 2 * math.pi * (np.array(f[::-1]) - places) @ modes.T
        return float(np.array(values) @ np.cos(phase) @ np.array(gains)[shell]) / weights.size

    return p


def folded(
    product: Function, box: Grid, center: Triple, turns: Sequence[Array], direction: Triple
) -> Function:
    """Section 6.3, with rotations that are not made from its generators."""

    def value(f: Triple) -> float:
        place = box.box @ np.array(f[::-1]) - center
        best = max((turn @ place for turn in turns), key=lambda copy: float(copy @ np.array(direction)))
        return product((np.linalg.inv(box.box) @ (best + center))[::-1].tolist())

    return value


def icosians() -> list[Array]:
    """The 60 rotations of the icosahedron with 2-folds along the axes, from the 120 unit icosians."""
    units: list[tuple[float, ...]] = []
    for place, sign in itertools.product(range(4), (1, -1)):
        units.append(tuple(float(sign * (i == place)) for i in range(4)))
    units += list(itertools.product((0.5, -0.5), repeat=4))
    even = [p for p in itertools.permutations(range(4)) if _is_even(p)]
    for order, a, b, c in itertools.product(even, (1, -1), (1, -1), (1, -1)):
        base = (0.0, a / 2, b * GOLDEN / 2, c / GOLDEN / 2)
        units.append(tuple(base[i] for i in order))
    turns: list[Array] = []
    for w, x, y, z in units:
        turn = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        if not any(np.allclose(turn, known) for known in turns):
            turns.append(turn)
    return turns


def _is_even(order: Sequence[int]) -> bool:
    return sum(a > b for a, b in itertools.combinations(order, 2)) % 2 == 0
