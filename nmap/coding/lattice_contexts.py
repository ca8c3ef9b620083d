"""What the weights of a lattice are coded by: stages, and the contexts of a stage's sites.

The normative description is `spec/coding-lattice.md`. All contexts of a stage come from the stages before it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.machine.compiled import Loop

# Sites per block edge, in steps of the fine lattice: whole blocks without a weight cost nothing but their
# bit.
BLOCK = 8
# Squared distances of the neighbour shells that form a context, and what a unit of weight there counts for.
SHELLS = {3: 32, 4: 45, 8: 45, 11: 16, 12: 51}
# Activity (see `_activity`) at which each class above 0 begins: half octaves.
THRESHOLDS = tuple(round(8 * 2 ** (k / 2)) for k in range(19))
CLASSES = len(THRESHOLDS) + 1
_GROUPS = (0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5)
_PARITIES = ((0, 0, 0), (1, 1, 1), (0, 1, 1), (1, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1))
# First site (z, y, x) of each stage; its sites are 4 apart: the corner lattice, then the centring one.
STAGES = tuple((2 * z + odd, 2 * y + odd, 2 * x + odd) for odd in (0, 1) for z, y, x in _PARITIES)
# Zeros around the lattice, as far as a neighbour reaches.
PAD = 4

I8 = NDArray[np.int8]
U8 = NDArray[np.uint8]
Offset = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Stage:
    """Sites of one stage in occupied blocks: flat places, and classes and signs of their contexts."""

    flat: NDArray[np.int64]
    group: int
    activity: U8
    sign: U8


def stages(known: I8, blocks: NDArray[np.bool_]) -> itertools.chain[Stage]:
    """Each stage with its contexts, made when it is asked for: `known` then holds the stages before it."""
    return itertools.chain.from_iterable((_stage(number, known, blocks),) for number in range(len(STAGES)))


def _stage(number: int, known: I8, blocks: NDArray[np.bool_]) -> Stage:
    first = STAGES[number]
    inner = [n - 2 * PAD for n in known.shape]
    axes = [np.arange(f, n, 4) for f, n in zip(first, inner, strict=True)]
    inside = blocks[np.ix_(*(a // BLOCK for a in axes))]
    z, y, x = (axes[i][index] + PAD for i, index in enumerate(np.nonzero(inside)))
    _, ny, nx = known.shape
    flat = (z * ny + y) * nx + x
    line = known.reshape(-1)
    rings = [
        _Ring(
            np.array([(dz * ny + dy) * nx + dx for dz, dy, dx in steps]),
            4 * unit,
            math.isqrt(16 * len(steps)),
        )
        for squared, unit in SHELLS.items()
        if (steps := [d for d in _neighbours(squared) if _before(first, d, number)])
    ]
    near = np.array([(dz * ny + dy) * nx + dx for dz, dy, dx in _neighbours(4)])
    classes, signs = np.empty(flat.size, np.uint8), np.empty(flat.size, np.uint8)
    run, compiled = _CONTEXTS.chosen(_CONTEXT_STEPS * flat.size)
    if compiled:
        ends = np.cumsum([0, *(ring.steps.size for ring in rings)])
        every = np.concatenate([np.empty(0, np.int64), *(ring.steps for ring in rings)])
        factors = np.array([(ring.factor, ring.root) for ring in rings] or np.empty((0, 2), np.int64))
        run(line, flat, every, ends, factors, near, np.array(THRESHOLDS), classes, signs)
    else:
        _contexts(line, flat, rings, near, classes, signs)
    return Stage(flat, _GROUPS[number], classes, signs)


@dataclass(frozen=True, eq=False)
class _Ring:
    """Steps on the flat lattice to the earlier sites of a shell, and what their sum is multiplied and divided by."""

    steps: NDArray[np.int64]
    factor: int
    root: int


def _contexts(
    line: I8, flat: NDArray[np.int64], rings: list[_Ring], near: NDArray[np.int64], classes: U8, signs: U8
) -> None:
    """Fill in classes and signs of the sites at `flat`."""
    sizes = np.abs(line)
    activity, balance = np.zeros(flat.size, np.int32), np.zeros(flat.size, np.int16)
    for ring in rings:
        total = np.zeros(flat.size, np.int32)
        for step in ring.steps:
            total += sizes[flat + step]
        activity += total * ring.factor // ring.root
    for step in near:
        balance += line[flat + step]
    classes[:] = np.searchsorted(np.asarray(THRESHOLDS, np.int32), activity, side="right")
    signs[:] = np.sign(balance) + 1


def _contexts_by_site(
    line: Any,
    flat: Any,
    steps: Any,
    ends: Any,
    factors: Any,
    near: Any,
    thresholds: Any,
    classes: Any,
    signs: Any,
) -> None:
    """As `_contexts`, for numba; rings lie one after the other, each from one of `ends` to the next."""
    for i in range(len(flat)):
        activity, balance, found = 0, 0, 0
        for ring in range(len(factors)):
            total = 0
            for step in range(ends[ring], ends[ring + 1]):
                total += abs(line[flat[i] + steps[step]])
            activity += total * factors[ring, 0] // factors[ring, 1]
        for step in range(len(near)):
            balance += line[flat[i] + near[step]]
        while found < len(thresholds) and thresholds[found] <= activity:
            found += 1
        classes[i] = found
        signs[i] = 0 if balance < 0 else 1 if balance == 0 else 2


_CONTEXTS = Loop(
    _contexts_by_site,
    "void(i1[::1], i8[::1], i8[::1], i8[::1], i8[:, ::1], i8[::1], i8[::1], u1[::1], u1[::1])",
)
# What a site's contexts count for among the steps of loops.
_CONTEXT_STEPS = 1


@cache
def _neighbours(squared: int) -> tuple[Offset, ...]:
    """Offsets of this squared length between sites, in C order."""
    reach = range(-PAD, PAD + 1)
    return tuple(
        (z, y, x)
        for z, y, x in itertools.product(reach, reach, reach)
        if z * z + y * y + x * x == squared and z % 2 == y % 2 == x % 2
    )


def _before(first: Offset, step: Offset, number: int) -> bool:
    """Whether the neighbour at `step` belongs to a stage before this one."""
    z, y, x = ((f + s) % 4 for f, s in zip(first, step, strict=True))
    return STAGES.index((z, y, x)) < number
