"""Writes `conformance/`: files that every reader must accept, with their values, and files it must refuse.

    python spec/make_conformance.py [FOLDER]

Deterministic. The files are written by nmap, or forged byte by byte; the expected values come from
`conformance_formulas.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from conformance_blocks import block_cases, block_invalid, series_cases, series_invalid
from conformance_formulas import (
    Array,
    Function,
    Triple,
    filtered,
    folded,
    fourier_features,
    framed,
    icosians,
    masked,
    siren,
)
from conformance_invalid import invalid_files
from conformance_radial import nyquist_case, radial_cases, radial_invalid
from conformance_record import damaged_records

from nmap.coding.codings import CodedTensor, encode_float, encode_occupancy, encode_uniform
from nmap.container import encode_bytes
from nmap.grid import Grid
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup

TOLERANCE = 2e-4


@dataclass(frozen=True, eq=False)
class Case:
    """A valid file: its map, the density at a box fraction (z, y, x), on some grids, and how to write it.

    Of a series the density is that at the position `at`.
    """

    name: str
    says: str
    neural_map: NeuralMap
    density: Function
    grids: Mapping[tuple[int, int, int], Function] = default(default_factory=dict)
    hdf5: bool = True
    thumbnail: bool = False
    at: float | None = None


def weights(seed: int, width: int = 6, hidden: int = 2, inputs: int = 3) -> dict[str, Array]:
    """Small random layers, multiples of 1/64 so that F16 and BF16 hold them exactly."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Array:
        return rng.integers(-63, 64, shape) / 64.0

    return {
        "first.weight": draw(width, inputs),
        "first.bias": draw(width),
        "hidden.weight": draw(hidden, width, width),
        "hidden.bias": draw(hidden, width),
        "last.weight": draw(1, width),
        "last.bias": draw(1),
    }


def plain(w: dict[str, Array], dtype: str = "F32") -> dict[str, CodedTensor]:
    """Tensors as floats."""
    return {name: encode_float(values, dtype) for name, values in w.items()}


def waves(modes: Sequence[Triple], amplitudes: Sequence[float], phases: Sequence[float]) -> dict[str, Array]:
    """One sine neuron for each wave amplitude * sin(2 pi k . f + phase), k and f in (z, y, x)."""
    k, n = np.array(modes, float), len(modes)
    return {
        "first.weight": np.float32(np.pi * k).astype(float),
        "first.bias": np.float32(np.pi * k.sum(1) + np.array(phases)).astype(float),
        "hidden.weight": np.zeros((0, n, n)),
        "hidden.bias": np.zeros((0, n)),
        "last.weight": np.array([amplitudes]),
        "last.bias": np.zeros(1),
    }


def siren_map(tensors: dict[str, CodedTensor], omegas: Sequence[float], box: Grid, **more: Any) -> NeuralMap:
    """A map of a siren."""
    settings = {"omegas": list(omegas), "output": more.pop("output", "linear")}
    record = more.pop("record", None)
    return NeuralMap.from_tensors("siren", settings, tensors, Frame(box, **more), record)


CUBE = Grid((10, 10, 10), (1.5, 1.5, 1.5))
SLAB = Grid((8, 12, 10), (1.25, 1.0, 1.5), origin=(-4.5, 3.25, 10.0))
OMEGAS = (2.0, 1.5, 1.5)


def bare_cases() -> list[Case]:
    """Bare networks, one for each coding and geometry."""
    w = weights(1)
    u = framed(siren(w, OMEGAS, "linear"))
    rng = np.random.default_rng(7)
    level = rng.integers(-8, 8, (2, 6, 6))
    step = (rng.integers(4, 40, (2, 6)) / 256).astype(np.float16)
    quantised = {**w, "hidden.weight": level * step[..., None].astype(float)}
    coded = plain(quantised, "F16")
    coded["hidden.weight"] = encode_uniform(np.float32(quantised["hidden.weight"]), 4, step)
    sine = siren(w, (*OMEGAS, 1.25), "sine")
    features = {**weights(3, inputs=10), "frequencies": weights(4, 5)["first.weight"] * 2}
    features["amplitudes"] = weights(5, 5)["first.bias"]
    fourier = NeuralMap.from_tensors("fourier-features", {}, plain(features), Frame(CUBE))
    center, half = (0.5, 0.375, 0.625), (0.25, 0.375, 0.5)
    framing = framed(siren(w, OMEGAS, "linear"), center, half)
    cell = Grid((8, 9, 10), (1.5, 1.25, 1.0), origin=(2.0, -3.0, 5.0), angles=(90.0, 111.5, 90.0))
    return [
        Case("bare-siren-f32", "siren, F32, nothing else", siren_map(plain(w), OMEGAS, CUBE), u),
        Case("no-hdf5", "the same without HDF5 part", siren_map(plain(w), OMEGAS, CUBE), u, hdf5=False),
        Case("siren-f16", "F16 tensors", siren_map(plain(w, "F16"), OMEGAS, CUBE), u),
        Case("siren-bf16", "BF16 tensors", siren_map(plain(w, "BF16"), OMEGAS, CUBE), u),
        Case(
            "uniform-4-bit",
            "hidden weights in 4 bits with a step per row",
            siren_map(coded, OMEGAS, CUBE),
            framed(siren(quantised, OMEGAS, "linear")),
        ),
        Case(
            "sine-output",
            "sine output, offset and scale",
            siren_map(plain(w), (*OMEGAS, 1.25), CUBE, output="sine", offset=-0.25, scale=1.75),
            lambda f: -0.25 + 1.75 * framed(sine)(f),
        ),
        Case("fourier-features", "the other model kind", fourier, framed(fourier_features(features))),
        Case(
            "anisotropic",
            "unequal edges and voxels, origin, network frame",
            siren_map(plain(w), OMEGAS, SLAB, center=center, half_width=half),
            framing,
        ),
        Case("cell-angles", "monoclinic cell, bare", siren_map(plain(w), OMEGAS, cell), u),
        Case("corners", "corner alignment", siren_map(plain(w), OMEGAS, SLAB, alignment="corners"), u),
    ]


def composed_cases() -> list[Case]:
    """Band limit, gains, envelope and symmetry."""
    modes = [(1, 0, 0), (0, 2, 1), (0, 0, -3), (2, 2, 2), (0, 3, 3)]
    amplitudes, phases = [0.5, 0.25, -0.75, 1.0, 0.5], [0.25, 1.0, 0.0, 2.0, 0.5]
    shells = [1, 2, 3, 3, 4]  # round of the length; (0, 3, 3) has 4.24
    q = [0, 40, 90, 140]
    gains = [0.0] + [2 ** (-2.5 + 0.03125 * n) for n in q[1:]]
    log = CodedTensor("log", (4,), {"low": -2.5, "step": 0.03125}, {"": np.array(q, np.uint8)})
    tensors = {**plain(waves(modes, amplitudes, phases)), "gains": log}
    closed = siren_map(tensors, (1.0,), CUBE, band_limit=5.0, lattice=(10, 10, 10))

    def by_hand(f: Triple) -> float:
        kept = zip(modes, amplitudes, phases, shells, strict=True)
        return sum(
            a * gains[s] * math.sin(2 * math.pi * sum(k * x for k, x in zip(mode, f, strict=True)) + p)
            for mode, a, p, s in kept
            if s <= 3
        )

    bits = np.zeros((4, 5, 3), bool)
    bits[1:3, 1:4, 0:2] = True
    bits[0, 4, 2] = True
    cell = Grid((8, 9, 10), (1.5, 1.25, 1.25), origin=(2.0, -3.0, 5.0), angles=(80.0, 111.5, 95.0))
    w = weights(9)
    u = framed(siren(w, OMEGAS, "linear"))
    few = np.array([1.0, 0.75, 1.5, 0.5])
    all_in = plain(w) | {"gains": encode_float(few), "envelope": encode_occupancy(bits)}
    lattice = (8, 8, 10)
    p = filtered(lambda f: masked(bits)(f) * u(f), cell, lattice, 4.0, few)
    c4 = [np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    middle = (7.5, 7.5, 7.5)
    ball = np.zeros((6, 6, 6), bool)
    ball[2:5, 2:5, 1:6] = True
    soft = masked(ball)
    four = folded(lambda f: soft(f) * u(f), CUBE, middle, c4, (1, 0.0271828183, 0))
    many = folded(u, CUBE, middle, icosians(), (0.1141592654, 0.0771828183, 1))
    return [
        Case("band-limit-gains", "waves of known shells; log gains; no hidden layer", closed, by_hand),
        Case(
            "everything",
            "triclinic cell, envelope, band limit, gains, offset, scale",
            siren_map(all_in, OMEGAS, cell, band_limit=4.0, lattice=lattice, offset=0.5, scale=2.0),
            lambda f: 0.5 + 2 * p(f),
        ),
        Case(
            "symmetry-c4",
            "C4 with an envelope",
            siren_map(
                plain(w) | {"envelope": encode_occupancy(ball)},
                OMEGAS,
                CUBE,
                symmetry=PointGroup("C4", middle),
            ),
            four,
        ),
        Case(
            "symmetry-i",
            "icosahedral",
            siren_map(plain(w), OMEGAS, CUBE, symmetry=PointGroup("I", middle)),
            many,
        ),
    ]


def image_case() -> Case:
    """A 2-D image: one voxel thick, and a lattice of one plane."""
    w, few = weights(11), np.array([1.0, 0.75, 1.5, 0.5])
    box, lattice = Grid((1, 10, 12), (1.25, 1.5, 1.25), origin=(2.0, -3.0, 5.0)), (1, 8, 8)
    center, half = (0.0, 0.5, 0.5), (8.0, 0.5, 0.5)
    u = framed(siren(w, OMEGAS, "linear"), center, half)
    tensors = plain(w) | {"gains": encode_float(few)}
    more: dict[str, Any] = {"center": center, "half_width": half, "band_limit": 4.5, "lattice": lattice}
    return Case(
        "image",
        "a 2-D image: one voxel thick, a lattice of one plane",
        siren_map(tensors, OMEGAS, box, **more),
        filtered(u, box, lattice, 4.5, few),
    )


def record_cases() -> list[Case]:
    """Files with a full record, with and without an HDF5 part."""
    head = bytearray(1024)
    head[:16] = np.array([10, 10, 10, 2], "<i4").tobytes()
    head[208:216] = b"MAP \x44\x44\0\0"
    head[220:224] = (1).to_bytes(4, "little")
    head[224:304] = b"::::EMDATABANK.org::::EMD-0000::::".ljust(80)
    steps = np.arange(0, 640, 8)
    record: dict[str, dict[str, Any]] = {
        "source": {
            "file": "emd_0000.map.gz",
            "sha256": "0123456789abcdef" * 4,
            "bytes": 5024,
            "format": "CCP4",
            "compression": "gzip",
            "symmetry_space_group": 1,
            "resolution": 3.5,
            "contour_level": 0.025,
            "mrc_header": bytes(head),
        },
        "fit": {
            "settings": {"arch": "siren", "seed": 0, "omegas": [15, 30.5], "crop": None, "slow": False},
            "mask": {"rule": "valley", "grown": 1.6, "curve": np.array([1.0, 0.1234, 0.5])},
            "seconds": 12.5,
            "loss": 1 / (1.0 + steps),
            "loss_step": steps,
        },
        "fidelity": {"frequency": np.arange(6) / 15, "fsc": np.cos(np.arange(6) / 9), "worst": 0.849},
        "atlas": {"of": ["any", "value", 1, {"deep": True}]},
    }
    w = weights(1)
    neural_map = siren_map(plain(w), OMEGAS, CUBE, record=record)
    u = framed(siren(w, OMEGAS, "linear"))
    return [
        Case("record", "a full record with a thumbnail", neural_map, u, thumbnail=True),
        Case("record-no-hdf5", "the same without HDF5 part", neural_map, u, hdf5=False, thumbnail=True),
    ]


def points_of(box: Grid, seed: int, count: int = 40) -> Array:
    """Positions in the box, some on voxels, and a few outside, (n, 3) to three decimals; none near a face."""
    rng = np.random.default_rng(seed)
    fractions = rng.uniform(0.02, 0.98, (count, 3))
    fractions[::4] = rng.integers(1, 8, (count // 4, 3)) / np.array(box.shape)
    fractions[-3:] += np.eye(3) * (1, -1, 1)
    return np.round(box.positions(fractions), 3)


def manifest_entry(case: Case, path: str, data: bytes, seed: int) -> dict[str, Any]:
    """What a reader must find in a valid file."""
    box, offset = case.neural_map.grid, case.neural_map.field.offset
    points = points_of(box, seed)
    values = []
    for fraction in box.fractions(points).tolist():
        inside = all(0 <= v < 1 for v in fraction)
        values.append(case.density(fraction) if inside else offset)
    spread = max(values) - min(values)
    grids = [
        {
            "shape": list(counts),
            "values": [
                rounded(p([i / m for i, m in zip(index, counts, strict=True)]))
                for index in np.ndindex(*counts)
            ],
        }
        for counts, p in case.grids.items()
    ]
    return {
        "file": path,
        "sha256": hashlib.sha256(data).hexdigest(),
        "says": case.says,
        **({} if case.at is None else {"at": case.at}),
        "points_xyz": points.tolist(),
        "values": [rounded(v) for v in values],
        "tolerance": float(f"{TOLERANCE * spread:.2g}"),
        **({"grids": grids} if grids else {}),
    }


def rounded(value: float) -> float:
    """To eight digits."""
    return float(f"{value:.8g}")


def make(folder: Path) -> None:
    """Write all files and the manifest."""
    valid, invalid = [], []
    for name in ("valid", "invalid", "record"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    radial = [Case(*parts) for parts in radial_cases()]
    blocks = [Case(*parts) for parts in block_cases()]
    blocks += [Case(*parts, at=at) for *parts, at in series_cases()]
    for seed, case in enumerate(
        [
            *bare_cases(),
            *composed_cases(),
            *record_cases(),
            *radial,
            image_case(),
            Case(*nyquist_case()),
            *blocks,
        ]
    ):
        data = encode_bytes(case.neural_map, case.hdf5, case.thumbnail)
        path = f"valid/{case.name}.nmap"
        (folder / path).write_bytes(data)
        valid.append(manifest_entry(case, path, data, seed))
    first = valid[0]
    dual, plain = ((folder / f"valid/{name}.nmap").read_bytes() for name in ("bare-siren-f32", "no-hdf5"))
    for forged in [*invalid_files(dual, plain), *radial_invalid(), *block_invalid(), *series_invalid()]:
        if not forged.error:
            path = f"valid/{forged.name}.nmap"
            valid.append({**first, "file": path, "says": forged.says})
            valid[-1]["sha256"] = hashlib.sha256(forged.data).hexdigest()
        else:
            path = f"invalid/{forged.name}.nmap"
            entry = {"file": path, "sha256": hashlib.sha256(forged.data).hexdigest(), "check": forged.check}
            invalid.append({**entry, "says": forged.says, "error": forged.error, "message": forged.message})
        (folder / path).write_bytes(forged.data)
    records = []
    for damaged in damaged_records(plain):
        path = f"record/{damaged.name}.nmap"
        (folder / path).write_bytes(damaged.data)
        entry = {**first, "file": path, "sha256": hashlib.sha256(damaged.data).hexdigest()}
        records.append({**entry, "says": damaged.says, "kept": damaged.kept, "message": damaged.message})
    # Other versions write other bytes of the HDF5 parts, which are as good.
    tools = {"h5py": h5py.version.version, "hdf5": h5py.version.hdf5_version}
    manifest = {"format": "1.0", "tools": tools, "valid": valid, "invalid": invalid, "record": records}
    text = json.dumps(manifest, indent=1)
    # Points and values one row a line: shorter, and differences can be read.
    for row in {json.dumps(p) for entry in valid + records for p in entry["points_xyz"]}:
        text = text.replace(json.dumps(json.loads(row), indent=1).replace("\n", "\n    "), row)
    (folder / "manifest.json").write_text(text + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "conformance")
