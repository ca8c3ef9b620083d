"""The files of the conformance suite for the model kind radial-basis and the coding lattice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from conformance_formulas import Array, Function, bumps
from conformance_invalid import Forged, Json, repacked, split

from nmap.coding.codings import CodedTensor, encode_float, encode_lattice
from nmap.coding.lattice import pack
from nmap.container import encode_bytes
from nmap.grid import Grid
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup

CUBE = Grid((10, 10, 10), (1.5, 1.5, 1.5))
LATTICE = (12, 12, 12)
LIMIT = 5.0
Tensors = dict[str, tuple[str, list[int], bytes]]


def lattice_sites(shape: Sequence[int]) -> Array:
    """Which points are sites."""
    parity = np.indices(shape) & 1
    return np.asarray((parity[0] == parity[1]) & (parity[1] == parity[2]))


def scattered(seed: int, shape: tuple[int, ...], share: float, largest: int = 2) -> Array:
    """Whole numbers up to +-`largest` on a share of the sites."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, largest + 1, shape) * rng.choice([-1, 1], shape)
    return np.where(lattice_sites(shape) & (rng.random(shape) < share), size, 0).astype(float)


def logarithmic(q: list[int]) -> tuple[CodedTensor, list[float]]:
    """Gains by the coding log, and what they decode to."""
    stored = CodedTensor("log", (len(q),), {"low": -2.5, "step": 0.03125}, {"": np.array(q, np.uint8)})
    return stored, [2 ** (-2.5 + 0.03125 * n) if n else 0.0 for n in q]


def radial_map(weights: Array, box: Grid = CUBE, **more: Any) -> NeuralMap:
    """A map of these weights, by the coding lattice unless `coded` has them already, with gains if given."""
    tensors = {"weights": more.pop("coded", None) or encode_lattice(weights.astype(np.int8))}
    if "gains" in more:
        tensors["gains"] = more.pop("gains")
    more = {"band_limit": LIMIT, **more}
    return NeuralMap.from_tensors("radial-basis", {}, tensors, Frame(box, lattice=weights.shape, **more))


def turns(fold: int, dihedral: bool = False) -> list[Array]:
    """Rotations about z, and for a dihedral group as many two-folds across it."""
    angles = [2 * math.pi * i / fold for i in range(fold)]
    out = [
        np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]]) for a in angles
    ]
    if dihedral:
        out += [np.array([[r[0, 0], -r[0, 1], 0], [r[1, 0], -r[1, 1], 0], [0, 0, -1]]) for r in out]
    return out


def radial_cases() -> list[tuple[str, str, NeuralMap, Function]]:
    """Name, description, map and density of the valid files."""
    some, few = scattered(1, LATTICE, 0.15), scattered(2, LATTICE, 0.03)
    few[8, 6, 6] = 1  # on the axis of C4
    large = scattered(3, LATTICE, 0.4, 127)
    large[0, 0, :6:2] = (127, -127, 17)
    rest = scattered(4, LATTICE, 0.1) * 0.375
    gains, values = logarithmic([0, 40, 90, 140])
    flat = [1.0] * 4
    middle, beside = (7.5, 7.5, 7.5), (6.9, 7.3, 8.2)
    slab = Grid((8, 14, 10), (1.25, 1.0, 1.5), origin=(-4.5, 3.25, 10.0))
    cell = Grid((8, 9, 10), (1.5, 1.25, 1.25), origin=(2.0, -3.0, 5.0), angles=(80.0, 111.5, 95.0))
    askew, flatter = scattered(5, (12, 12, 16), 0.2), scattered(6, (12, 16, 12), 0.04)
    image, thin = (
        Grid((1, 14, 10), (1.25, 1.0, 1.5), origin=(-4.5, 3.25, 10.0)),
        scattered(7, (4, 16, 12), 0.2),
    )
    both = bumps(askew, cell, LIMIT, [0.25, 1.0, 0.5, 0.75])
    return [
        (
            "radial-basis",
            "weights by the lattice coding, log gains",
            radial_map(some, gains=gains),
            bumps(some, CUBE, LIMIT, values),
        ),
        (
            "radial-basis-c4",
            "C4 about a lattice point, a site on the axis",
            radial_map(few, gains=gains, symmetry=PointGroup("C4", middle)),
            bumps(few, CUBE, LIMIT, values, turns(4), middle),
        ),
        (
            "radial-basis-d7",
            "D7: copies between lattice points and outside an oblong box",
            radial_map(flatter, slab, band_limit=4.5, symmetry=PointGroup("D7", beside)),
            bumps(flatter, slab, 4.5, flat, turns(7, dihedral=True), beside),
        ),
        (
            "radial-basis-cell",
            "triclinic cell, unequal counts, half a block, offset, scale",
            radial_map(
                askew, cell, gains=encode_float(np.array([0.25, 1.0, 0.5, 0.75])), offset=0.5, scale=2.0
            ),
            lambda f: 0.5 + 2 * both(f),
        ),
        (
            "radial-basis-large",
            "weights up to 127 of both signs",
            radial_map(large),
            bumps(large, CUBE, LIMIT, flat),
        ),
        (
            "radial-basis-float",
            "weights by the coding float, not whole",
            radial_map(rest, coded=encode_float(rest, "F16")),
            bumps(rest, CUBE, LIMIT, flat),
        ),
        (
            "radial-basis-image",
            "a 2-D image: one voxel thick, four lattice points",
            radial_map(thin, image, band_limit=4.5),
            bumps(thin, image, 4.5, flat),
        ),
    ]


# Counts (z, y, x) of the grids on which the file "nyquist" is decoded; the first is its own.
GRIDS = ((6, 8, 6), (4, 5, 6), (3, 8, 2))


def nyquist_case() -> tuple[str, str, NeuralMap, Function, dict[tuple[int, int, int], Function]]:
    """As `radial_cases`, and the density on some grids: the band ends at the Nyquist frequency of each axis."""
    box, weights = Grid(GRIDS[0], (1.5, 1.5, 1.5)), scattered(8, LATTICE, 0.3)
    gains = [0.5, 1.0, 0.75, 1.25, 1.5]
    on = {counts: bumps(weights, box, 3.0, gains, samples=counts) for counts in GRIDS}
    return (
        "nyquist",
        "a band limit of twice the voxel size, on its own grid and on coarser ones",
        radial_map(weights, box, band_limit=3.0, gains=encode_float(np.array(gains))),
        bumps(weights, box, 3.0, gains),
        on,
    )


def radial_invalid() -> Iterator[Forged]:
    """Files that break the two pages."""
    plain = encode_bytes(radial_map(scattered(1, LATTICE, 0.15)), hdf5=False)
    header, metadata, buffer = split(plain)
    tensors: Tensors = {
        name: (entry["dtype"], entry["shape"], buffer[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }
    u8 = ("U8", [1], b"\0")

    def change(name: str, check: int, message: str, says: str, **more: Any) -> Forged:
        given: dict[str, Any] = more.pop("tensors", {})
        error = more.pop("error", "FormatError")
        changed = {key: value for key, value in {**tensors, **given}.items() if value is not None}
        told = {key: value for key, value in {**metadata, **more}.items() if value is not None}
        return Forged(name, check, error, message, says, repacked(changed, told))

    def coded(shape: list[int], **more: Json) -> Json:
        return {"codings": {"weights": {"coding": "lattice", "shape": shape}, **more}}

    def uncoded(weights: Array) -> Json:
        raw = weights.astype("<f4").tobytes()
        stored = {"weights": ("F32", list(weights.shape), raw), "weights.blocks": None}
        return {"tensors": stored, "codings": None}

    odd = {"codings": {"weights": {"coding": "fractal", "shape": list(LATTICE)}}}
    yield change("radial-coding", 10, "fractal", "an unknown coding", error="UnsupportedError", **odd)
    none = {"weights.blocks": None}
    yield change("radial-no-blocks", 10, "weights.blocks", "no blocks", tensors=none)
    half = {"weights.blocks": ("F16", [1], b"\0\0")}
    yield change("radial-blocks-type", 10, "U8", "blocks of type F16", tensors=half)
    ten: Json = {"lattice": [12, 12, 10], **coded([12, 12, 10])}
    yield change("radial-lattice-10", 10, "multiples of 4", "a count of 10, coded", **ten)
    huge = [16384, 16384, 4]
    yield change("radial-huge", 11, "in all", "2^30 points", **coded(huge))
    full = [408, 408, 408]
    empty = {"weights": u8, "weights.blocks": u8}
    yield change(
        "radial-sites",
        11,
        "sites",
        "blocks of more than 2^24 sites in a byte",
        tensors=empty,
        **coded(full),
    )
    yield change(
        "radial-sites-of-bytes",
        11,
        "281216 sites",
        "more than 2^18 + 64 sites in a stream of a byte",
        tensors=empty,
        **coded([104] * 3),
    )
    ones = np.where(lattice_sites([44] * 3), 1, 0).astype(np.int8)
    yield change(
        "radial-weights",
        11,
        "a number of weights",
        "21296 weights of 1 in 100 bytes",
        tensors={"weights": ("U8", [100], pack(ones)[0][:100]), "weights.blocks": u8},
        lattice=[44] * 3,
        **coded([44] * 3),
    )
    yield change(
        "radial-stream-short",
        11,
        "too early",
        "a byte for a block of 127s",
        tensors=empty,
        **coded([64] * 3),
    )
    yield change(
        "radial-sum",
        11,
        "absolute values",
        "600 zero bytes that mean 127 on 21296 sites",
        tensors={"weights": ("U8", [600], bytes(600)), "weights.blocks": u8},
        lattice=[44] * 3,
        **coded([44] * 3),
    )
    second = coded(list(LATTICE), gains={"coding": "lattice", "shape": [4, 4, 4]})
    two = {"gains": u8, "gains.blocks": u8}
    yield change(
        "radial-two-lattices", 11, "second", "two tensors of the lattice coding", tensors=two, **second
    )
    yield change("radial-shape", 13, "wanted the lattice", "weights unlike the lattice", lattice=[12, 12, 16])
    yield change("radial-no-band-limit", 13, "band limit", "no band limit", band_limit=None, lattice=None)
    yield change(
        "radial-float-10",
        13,
        "multiples of 4",
        "a count of 10, not coded",
        lattice=[12, 12, 10],
        **uncoded(np.zeros((12, 12, 10))),
    )
    yield change(
        "radial-coarse",
        13,
        "2.8 times",
        "a lattice of 2.7 times the degree",
        lattice=[8] * 3,
        **uncoded(np.zeros((8, 8, 8))),
    )
    off = np.zeros(LATTICE)
    off[2, 4, 7] = 1
    yield change("radial-off-site", 13, "beside the sites", "a weight beside the sites", **uncoded(off))
    bits: Json = {"coding": "occupancy", "shape": [2, 2, 2]}
    yield change(
        "radial-envelope",
        13,
        "envelope",
        "an envelope",
        tensors={"envelope": u8},
        **coded(list(LATTICE), envelope=bits),
    )
