"""The files of the conformance suite for the model kind block-siren and the coding matrices."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from conformance_formulas import Array, Function, dense, filtered, masked
from conformance_invalid import Forged, Json, repacked, split
from conformance_radial import turns

from nmap.coding.codings import CodedTensor, encode_float, encode_matrices, encode_occupancy
from nmap.container import encode_bytes
from nmap.grid import Grid
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup

CUBE = Grid((10, 10, 10), (1.5, 1.5, 1.5))
SLAB = Grid((8, 14, 10), (1.25, 1.0, 1.5), origin=(-4.5, 3.25, 10.0))
MIDDLE, BESIDE = (7.5, 7.5, 7.5), (6.9, 7.3, 8.2)
FLAT = np.ones(4)
C, D = (1, 0.0271828183, 0.0), (1, 0.0271828183, 1.0314159265)
Sizes = tuple[int, int, int, int, int]


def matrices(sizes: Sizes, seed: int, amplitudes: int) -> tuple[list[Array], Array]:
    """Whole numbers of all matrices, some of them large, and their steps."""
    blocks, width, hidden, code, _ = sizes
    rng, layers = np.random.default_rng(seed), hidden + 1
    shapes = [(width, 3), *[(width, width)] * hidden, *[(width, 1)] * layers, (width + 1, 1)]
    shapes += [*[(code, width)] * layers, (code, width + 1), (blocks, code)]
    spread = [30.0, *[9.0] * hidden, *[14.0] * layers, 8.0, *[4.0] * layers, 3.0, 1.5]
    if amplitudes:
        shapes, spread = [*shapes, (amplitudes, 1)], [*spread, 2.0]
    drawn = [np.rint(rng.laplace(0, s, shape)) for s, shape in zip(spread, shapes, strict=True)]
    steps = np.float16([0.75 / s for s in spread])
    drawn[0][0, 0] = -2500
    steps[0] = 2**-8
    return drawn, steps.astype(float)


def inside_of(bits: Array | None, lattice: tuple[int, ...], f: Array) -> bool:
    """Whether the envelope is above 0 at a box fraction; at lattice points in whole numbers."""
    if bits is None:
        return True
    place = [v * n for v, n in zip(f, lattice, strict=True)]
    nodes = []
    for p, n, k in zip(place, lattice, bits.shape, strict=True):
        if abs(p - round(p)) < 1e-9:
            low, rest = divmod(round(p) * k, n)
        else:
            low, rest = math.floor(p * k / n), 1
        nodes.append([low % k, (low + 1) % k] if rest else [low % k])
    return any(bits[node] for node in itertools.product(*nodes))


def tree(points: list[tuple[int, ...]], blocks: int) -> Any:
    """The blocks' centres, and how the points were cut: nested (order of axes, first point above, below, above)."""
    span = [max(p[a] for p in points) - min(p[a] for p in points) for a in range(3)]
    if blocks == 1:
        return [(max(p[a] for p in points) + min(p[a] for p in points)) / 2 for a in range(3)]
    longest = span.index(max(span))
    order = [longest] + [a for a in range(3) if a != longest]
    ranked = sorted(points, key=lambda p: [p[a] for a in order])
    first = len(ranked) * (blocks // 2) // blocks
    above = [ranked[first][a] for a in order]
    return order, above, tree(ranked[:first], blocks // 2), tree(ranked[first:], blocks - blocks // 2)


def in_tree(node: Any, point: list[int], blocks: int, number: int = 0) -> tuple[int, list[float]]:
    """Number and centre of the block of a lattice point."""
    if blocks == 1:
        return number, node
    order, above, lower, upper = node
    if [point[a] for a in order] < above:
        return in_tree(lower, point, blocks // 2, number)
    return in_tree(upper, point, blocks - blocks // 2, number + blocks // 2)


def block_siren(
    numbers: list[Array],
    sizes: Sizes,
    omegas: list[float],
    radius: float,
    box: Grid,
    lattice: tuple[int, ...],
    bits: Array | None = None,
    group: tuple[list[Array], tuple[float, ...], tuple[float, ...]] | None = None,
    half: tuple[float, ...] = (0.5, 0.5, 0.5),
    moving: Array | None = None,
) -> Function:
    """Envelope times network at the lattice's points, by the page model-block-siren.md.

    `moving` are the codes that the output of a series has, (blocks, code); None for those of the layers.
    """
    blocks, _, hidden, _, longest = sizes
    layers = hidden + 1
    length = [e / n for e, n in zip(box.edges[::-1], lattice, strict=True)]
    inverse = np.linalg.inv(box.box)
    soft = masked(bits) if bits is not None else lambda f: 1.0

    def moved(f: list[float]) -> tuple[list[float], float]:
        """The folded box fraction, and how far it is ahead, Angstrom."""
        if group is None:
            return f, 0.0
        rotations, center, direction = group
        e = np.array(direction) / np.linalg.norm(direction)
        place = box.box @ np.array(f[::-1]) - center
        copies = [turn @ place for turn in rotations]
        best = max(copies, key=lambda copy: float(copy @ e))
        return (inverse @ (best + center))[::-1].tolist(), float((best - place) @ e)

    own = []
    for index in itertools.product(*map(range, lattice)):
        f, ahead = moved([i / n for i, n in zip(index, lattice, strict=True)])
        if inside_of(bits, lattice, np.array(f)) and ahead < 1e-4 * min(length):
            own.append(index)
    cuts = tree(own, blocks)
    reach = math.isqrt(max(longest, 0))
    axes = [range(-reach, reach + 1) if n > 1 else range(1) for n in lattice]
    vectors = [k for k in itertools.product(*axes) if k >= (0, 0, 0) and sum(c * c for c in k) <= longest]

    @functools.cache
    def at(index: tuple[int, ...]) -> float:
        f, _ = moved([i / n for i, n in zip(index, lattice, strict=True)])
        if not inside_of(bits, lattice, np.array(f)):
            return 0.0
        place = [v * n for v, n in zip(f, lattice, strict=True)]
        nearest = [min(max(math.floor(p + 0.500001), 0), n - 1) for p, n in zip(place, lattice, strict=True)]
        block, center = in_tree(cuts, nearest, blocks)
        h = [(p - c) * s / radius for p, c, s in zip(place, center, length, strict=True)]
        code = numbers[3 * layers + 2][block]

        def given(which: int) -> list[float]:
            base, turn = numbers[layers + which], numbers[2 * layers + 1 + which]
            own = code if moving is None or which < layers else moving[block]
            return [float(b[0] + own @ column) for b, column in zip(base, turn.T, strict=True)]

        for layer in range(layers):
            h = [math.sin(omegas[layer] * v) for v in dense(numbers[layer], np.array(given(layer)), h)]
        *weights, constant = given(layers)
        u = sum(w * v for w, v in zip(weights, h, strict=True)) + constant
        t = [(v - 0.5) / w for v, w in zip(f, half, strict=True)]
        for i, k in enumerate(vectors):
            phase = 0.75 * math.pi * sum(a * b for a, b in zip(k, t, strict=True))
            a = numbers[-1][:, 0]
            u += a[0] if i == 0 else a[2 * i - 1] * math.cos(phase) + a[2 * i] * math.sin(phase)
        return u * soft(f)

    return lambda f: at(tuple(round(v * n) % n for v, n in zip(f, lattice, strict=True)))


def block_case(
    sizes: Sizes,
    seed: int,
    amplitudes: int,
    box: Grid,
    lattice: tuple[int, int, int],
    limit: float,
    bits: Array | None = None,
    symmetry: PointGroup | None = None,
    rotations: tuple[list[Array], tuple[float, ...], tuple[float, ...]] | None = None,
    gains: Array = FLAT,
    plain: bool = False,
) -> tuple[NeuralMap, Function]:
    """A map, and its density by the formulas."""
    whole, steps = matrices(sizes, seed, amplitudes)
    omegas, radius = [3.0, *[1.5] * sizes[2]], 3.25
    numbers = [m * s for m, s in zip(whole, steps, strict=True)]
    half = (0.5, 0.5, 0.5)
    names = ("blocks", "width", "hidden", "code", "waves")
    settings = {**dict(zip(names, sizes, strict=True)), "omegas": omegas, "radius": radius}
    network: CodedTensor = encode_matrices([m.astype(int) for m in whole], steps)
    if plain:
        network = encode_float(np.concatenate([n.reshape(-1) for n in numbers]), "F32")
    tensors = {"network": network, "gains": encode_float(gains)}
    if bits is not None:
        tensors["envelope"] = encode_occupancy(bits)
    frame = Frame(box, band_limit=limit, lattice=lattice, symmetry=symmetry)
    made = NeuralMap.from_tensors("block-siren", settings, tensors, frame)
    product = block_siren(numbers, sizes, omegas, radius, box, lattice, bits, rotations, half)
    return made, filtered(product, box, lattice, limit, gains)


@functools.cache
def block_cases() -> list[tuple[str, str, NeuralMap, Function]]:
    """Name, description, map and density of the valid files."""
    ball = np.zeros((6, 6, 6), bool)
    ball[2:5, 2:5, 1:6] = True
    few, even = np.array([1.0, 0.75, 1.5, 0.5]), (10, 10, 10)
    image = Grid((1, 14, 10), (1.25, 1.0, 1.5), origin=(-4.5, 3.25, 10.0))
    c4, d7 = (turns(4), MIDDLE, C), (turns(7, dihedral=True), BESIDE, D)
    return [
        (
            "block-siren",
            "five blocks in an envelope, waves, gains",
            *block_case((5, 4, 2, 3, 2), 1, 19, CUBE, even, 5.0, ball, gains=few),
        ),
        (
            "block-siren-c4",
            "C4 about a lattice point, with an envelope",
            *block_case((3, 4, 1, 2, 1), 2, 7, CUBE, even, 5.0, ball, PointGroup("C4", MIDDLE), c4, few),
        ),
        (
            "block-siren-d7",
            "D7: folded positions between lattice points and outside an oblong box",
            *block_case((4, 3, 1, 2, -1), 3, 0, SLAB, (10, 12, 12), 4.5, None, PointGroup("D7", BESIDE), d7),
        ),
        (
            "block-siren-image",
            "a 2-D image: cuts and waves in its plane",
            *block_case((6, 4, 1, 2, 2), 4, 9, image, (1, 12, 12), 4.5),
        ),
        (
            "block-siren-float",
            "numbers by the coding float, no hidden layer, one block",
            *block_case((1, 5, 0, 2, 0), 5, 1, CUBE, even, 5.0, plain=True),
        ),
    ]


def functions(at: list[float], period: float | None, count: int, t: float) -> list[float]:
    """The functions of a series' axis at a position, by the page model-series-siren.md."""
    n, out = len(at), []
    places = counted(at, period)
    for k in range(count):
        if k == 0:
            wave = [1.0] * n
        elif period is None:
            wave = polynomial(places, k)
        else:
            turn = math.cos if k % 2 else math.sin
            wave = [math.sqrt(2) * turn(2 * math.pi * ((k + 1) // 2) * i / n) for i in range(n)]
        out.append(hermite(at, places, wave, period, t))
    return out


def counted(at: list[float], period: float | None) -> list[Fraction]:
    """Where frames count as lying, exactly; of a cycle, the first one again at the end."""
    ends = [Fraction(t) for t in at] + ([] if period is None else [Fraction(at[0]) + Fraction(period)])
    gaps = [b - a for a, b in itertools.pairwise(ends)]
    least = sum(gaps) / (10 * len(gaps))
    return [Fraction(0), *itertools.accumulate(max(gap, least) for gap in gaps)]


def polynomial(places: list[Fraction], degree: int) -> list[float]:
    """A function of a line at its frames: what a power has beside all lower ones (Gram, Schmidt), exactly."""
    found: list[list[Fraction]] = []
    for k in range(degree + 1):
        power = [p**k for p in places]
        for lower in found:
            share = sum(a * b for a, b in zip(power, lower, strict=True)) / sum(b * b for b in lower)
            power = [a - share * b for a, b in zip(power, lower, strict=True)]
        found.append(power)
    square = sum(a * a for a in found[-1]) / len(places)
    return [float(a) / math.sqrt(square) for a in found[-1]]


def hermite(
    at: list[float], places: list[Fraction], wave: list[float], period: float | None, t: float
) -> float:
    """A cubic between two frames, its slopes those of parabolas through three (by Newton's divided differences)."""
    lie = [float(p) for p in places]
    points, ends = list(zip(lie, wave, strict=False)), at
    if period is not None:
        turns = (-2, -1, 0, 1, 2)
        points = [(p + m * lie[-1], w) for m in turns for p, w in points]
        ends = [a + m * period for m in turns for a in at]
    low = max(i for i, a in enumerate(ends[:-1]) if a <= t)

    def slope(i: int) -> float:
        first = min(max(i - 1, 0), len(points) - 3)
        (a, fa), (b, fb), (c, fc) = points[first : first + 3]
        one, two = (fb - fa) / (b - a), (fc - fb) / (c - b)
        x = points[i][0]
        return one + (two - one) / (c - a) * ((x - a) + (x - b))

    (a, fa), (b, fb) = points[low : low + 2]
    h, s = b - a, (t - ends[low]) / (ends[low + 1] - ends[low])
    # Bezier's form of the same cubic.
    p, q = fa + h * slope(low) / 3, fb - h * slope(low + 1) / 3
    return (1 - s) ** 3 * fa + 3 * s * (1 - s) ** 2 * p + 3 * s * s * (1 - s) * q + s**3 * fb


def series_case(
    sizes: Sizes,
    seed: int,
    amplitudes: int,
    at: list[float],
    period: float | None,
    components: int,
    position: float,
    bits: Array | None = None,
    nodes: tuple[int, int, int] | None = None,
) -> tuple[NeuralMap, Function]:
    """A series, and its density at a position by the formulas; with `nodes` one that moves."""
    whole, steps = matrices(sizes, seed, amplitudes)
    rng, shared = np.random.default_rng(100 + seed), len(whole) - (2 if amplitudes else 1)
    codes = [
        whole[shared],
        *(np.rint(rng.laplace(0, 1.0, whole[shared].shape)) for _ in range(components - 1)),
    ]
    heights = [*whole[shared + 1 :]]
    heights += [np.rint(rng.laplace(0, 1.5, h.shape)) for h in heights for _ in range(components - 1)]
    every = [*whole[:shared], *codes, *heights]
    each = [*steps[:shared], *[steps[shared]] * components, *[steps[-1]] * len(heights)]
    omegas, radius, even = [3.0, *[1.5] * sizes[2]], 3.25, (10, 10, 10)
    names = ("blocks", "width", "hidden", "code", "waves")
    settings = {**dict(zip(names, sizes, strict=True)), "omegas": omegas, "radius": radius}
    settings |= {"at": at, "axis": "t", "components": components}
    if period is not None:
        settings["period"] = period
    moving, step = 2, 0.125
    if nodes is not None:
        settings |= {"nodes": list(nodes), "moving": moving, "limit": 6.0}
        every.append(np.rint(rng.laplace(0, 5.0, (math.prod(nodes), 3 * moving))))
        each.append(step)
    tensors = {"network": encode_matrices([m.astype(int) for m in every], np.array(each))}
    tensors["gains"] = encode_float(FLAT)
    if bits is not None:
        tensors["envelope"] = encode_occupancy(bits)
    made = NeuralMap.from_tensors(
        "series-siren", settings, tensors, Frame(CUBE, band_limit=5.0, lattice=even)
    )
    f = functions(at, period, components, position)
    numbers = [m * s for m, s in zip(whole[:shared], steps, strict=False)]
    numbers.append(codes[0] * steps[shared])
    at_position = sum(v * m for v, m in zip(f, codes, strict=True)) * steps[shared]
    if heights:
        numbers.append(sum(v * m for v, m in zip(f, heights, strict=True)) * steps[-1])
    product = block_siren(numbers, sizes, omegas, radius, CUBE, even, bits, moving=at_position)
    rest = filtered(product, CUBE, even, 5.0, FLAT)
    if nodes is None:
        return made, rest
    stored = (every[-1] * step).reshape(*nodes, moving, 3)
    shift = displacement(sum(v * stored[..., k, :] for k, v in enumerate(f[:moving])))
    inverse = np.linalg.inv(CUBE.box)

    def moved(place: list[float]) -> float:
        away = (inverse @ shift(place))[::-1]
        return rest([x - d for x, d in zip(place, away, strict=True)])

    return made, filtered(moved, CUBE, even, 6.0, np.ones_like(FLAT))


def displacement(nodes: Array) -> Callable[[list[float]], Array]:
    """Displacement, Angstrom (x, y, z), at a box fraction, by nodes (mz, my, mx, 3): B-splines of truncated powers."""

    @functools.cache
    def weight(f: float, node: int, count: int) -> float:
        if count == 1:
            return 1.0
        apart = (f * count - node + m * count for m in range(-4, 5))
        powers = ((-1) ** j * math.comb(4, j) * max(u + 2 - j, 0.0) ** 3 / 6 for u in apart for j in range(5))
        return sum(powers)

    def at(place: list[float]) -> Array:
        total = np.zeros(3)
        for index in np.ndindex(*nodes.shape[:3]):
            shares = (weight(f, i, n) for f, i, n in zip(place, index, nodes.shape, strict=False))
            total += math.prod(shares) * nodes[index]
        return total

    return at


@functools.cache
def series_cases() -> list[tuple[str, str, NeuralMap, Function, float]]:
    """Name, description, series, density and position of the valid files."""
    ball = np.zeros((6, 6, 6), bool)
    ball[2:5, 2:5, 1:6] = True
    line, cycle = [-1.0, 0.0, 0.25, 1.5], [0.0, 0.2, 0.4, 0.6, 0.8]
    return [
        (
            "series-siren",
            "four frames on a line, an envelope, waves, a position between frames",
            *series_case((5, 4, 1, 3, 2), 11, 19, line, None, 4, 0.9, ball),
            0.9,
        ),
        (
            "series-siren-periodic",
            "a cycle of five frames, no waves, a position before the first",
            *series_case((3, 4, 1, 2, -1), 12, 0, cycle, 1.0, 5, -0.15),
            -0.15,
        ),
        (
            "series-siren-moving",
            "four frames whose parts move by a few Angstrom, one node along x, a position between frames",
            *series_case((4, 4, 1, 3, 1), 13, 7, line, None, 3, 0.6, ball, (5, 4, 1)),
            0.6,
        ),
        (
            "series-siren-close",
            "six frames on a line, some closer than a tenth of the mean gap, as many functions",
            *series_case((3, 4, 0, 2, -1), 14, 0, [0.0, 0.001, 0.002, 1.0, 1.25, 7.0], None, 6, 0.5),
            0.5,
        ),
        (
            "series-siren-close-cycle",
            "the same of a cycle of five frames, whose last and first are close",
            *series_case((3, 4, 0, 2, -1), 15, 0, [0.0, 1.0, 1.001, 2.0, 3.0], 3.01, 5, 2.5),
            2.5,
        ),
    ]


def series_invalid() -> Iterator[Forged]:
    """Files that break the page model-series-siren.md."""
    header, metadata, buffer = split(encode_bytes(series_cases()[0][2], hdf5=False))
    single = split(encode_bytes(block_cases()[0][2], hdf5=False))

    def change(
        name: str, check: int, message: str, says: str, error: str = "FormatError", **more: Any
    ) -> Forged:
        model = {k: v for k, v in {**metadata["model"], **more.pop("model", {})}.items() if v is not None}
        told = {k: v for k, v in {**metadata, "model": model, **more}.items() if v is not None}
        return Forged(name, check, error, message, says, repacked(_parts(header, buffer), told))

    yield change("series-unsaid", 13, "must_understand", "a series without the feature", must_understand=None)
    yield change(
        "series-feature", 7, "'shift' must be understood", "another feature beside it", "UnsupportedError",
        must_understand=["series", "shift"],
    )  # fmt: skip
    told = {**single[1], "must_understand": ["series"]}
    forged = repacked(_parts(single[0], single[2]), told)
    yield Forged("series-single", 13, "FormatError", "must_understand", "one map with the feature", forged)
    yield change(
        "series-order", 13, "above the one before", "positions that fall", model={"at": [0, 2, 1, 3]}
    )
    yield change("series-one", 13, "2 to 256", "one position", model={"at": [0.5]})
    yield change("series-period", 13, "period", "a period shorter than the frames", model={"period": 2.5})
    yield change("series-components", 13, "components", "more functions than frames", model={"components": 5})
    yield change("series-no-components", 13, "components", "no functions", model={"components": None})
    yield change("series-fewer", 13, "components", "numbers for other functions", model={"components": 3})
    several = split(encode_bytes(series_cases()[2][2], hdf5=False))

    def moved(name: str, message: str, says: str, **model: Any) -> Forged:
        more = model.pop("metadata", {})
        told = {k: v for k, v in {**several[1]["model"], **model}.items() if v is not None}
        forged = repacked(_parts(several[0], several[2]), {**several[1], "model": told, **more})
        return Forged(name, 13, "FormatError", message, says, forged)

    yield moved("series-nodes", "nodes", "a motion of more nodes than are allowed", nodes=[64, 64, 64])
    yield moved("series-nodes-number", "nodes", "nodes that are one number", nodes=5)
    yield moved("series-nodes-unsaid", "nodes", "functions of a motion without nodes", nodes=None)
    yield moved("series-moving", "motion", "a motion of more functions than frames", moving=5)
    yield moved("series-moving-none", "motion", "a motion of no functions", moving=0)
    turned = {"symmetry": {"group": "C2", "center": [7.5, 7.5, 7.5]}}
    yield moved("series-moving-symmetry", "symmetry", "a motion in a map with symmetry", metadata=turned)
    yield moved("series-limit", "limit", "frames of finer detail than the band limit", limit=4.5)
    yield moved("series-limit-none", "limit", "a motion without the frames' band limit", limit=None)
    yield moved("series-nodes-other", "network", "numbers for other nodes", nodes=[9, 9, 9])
    close = {"at": [0.0, 1e-10, 0.5, 1.0], "components": 1}
    yield change(
        "series-at-close", 13, "above the one before", "frames closer than 10^-9 of all", model=close
    )
    yield change("series-axis", 13, "axis", "an axis that is a number", model={"axis": 4})


def _parts(header: Json, buffer: bytes) -> dict[str, Any]:
    return {n: (e["dtype"], e["shape"], buffer[slice(*e["data_offsets"])]) for n, e in header.items()}


def block_invalid() -> Iterator[Forged]:
    """Files that break the pages model-block-siren.md and coding-matrices.md."""
    data = encode_bytes(block_cases()[0][2], hdf5=False)
    header, metadata, buffer = split(data)
    tensors = {
        name: (
            entry["dtype"],
            entry["shape"],
            buffer[slice(*entry["data_offsets"])],
        )
        for name, entry in header.items()
    }

    def change(name: str, check: int, message: str, says: str, **more: Any) -> Forged:
        given: dict[str, Any] = more.pop("tensors", {})
        model = {**metadata["model"], **more.pop("model", {})}
        changed = {key: value for key, value in {**tensors, **given}.items() if value is not None}
        told = {
            key: value for key, value in {**metadata, "model": model, **more}.items() if value is not None
        }
        return Forged(name, check, "FormatError", message, says, repacked(changed, told))

    def coded(shapes: str) -> Json:
        return {"codings": {**metadata["codings"], "network": {"coding": "matrices", "shapes": shapes}}}

    shapes = metadata["codings"]["network"]["shapes"]
    steps = np.frombuffer(tensors["network.step"][2], "<f2").copy()
    steps[3] = 0
    zero = ("F16", [steps.size], steps.tobytes())
    yield change("matrices-no-step", 10, "network.step", "no steps", tensors={"network.step": None})
    yield change("matrices-step-0", 10, "above 0", "a step of 0", tensors={"network.step": zero})
    yield change("matrices-shapes", 10, "shapes", "shapes that are no shapes", **coded("4x3 4"))
    yield change(
        "matrices-empty", 10, "rows and columns", "a matrix without columns", **coded("4x0 " + shapes)
    )
    yield change("matrices-other", 10, "step", "a step too many", **coded("4x3"))
    one = {"network": ("U8", [8], bytes(8)), "network.step": ("F16", [1], b"\0\x3c")}
    yield change(
        "matrices-claim", 11, "in a byte", "2^24 numbers in 8 bytes", tensors=one, **coded("4096x4096")
    )
    short = {"network": ("U8", [100], bytes(100)), "network.step": one["network.step"]}
    yield change(
        "matrices-short", 11, "too early", "100 bytes for 1024 numbers", tensors=short, **coded("32x32")
    )
    yield change("blocks-no-band-limit", 13, "band limit", "no band limit", band_limit=None, lattice=None)
    yield change("blocks-width", 13, "width", "a width of 0", model={"width": 0})
    yield change("blocks-omegas", 13, "omegas", "one omega too few", model={"omegas": [3, 1.5]})
    yield change("blocks-radius", 13, "radius", "a radius of 0", model={"radius": 0})
    yield change("blocks-amplitudes", 13, "amplitudes", "waves of another number", model={"waves": 1})
    yield change("blocks-short", 13, "numbers or more", "codes for another block", model={"blocks": 60})
