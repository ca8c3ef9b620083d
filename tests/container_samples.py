"""Maps with everything that a file can hold, for the container's tests."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from nmap.coding.codings import CodedTensor, encode_float, encode_log, encode_occupancy, encode_uniform
from nmap.grid import Grid
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup
from nmap.spectrum import lattice_shape

GRID = Grid((24, 26, 28), (1.25, 1.25, 1.25), origin=(-10.0, 0.0, 3.5))
LABELS = (
    "::::EMDATABANK.org::::EMD-11007::::",
    "Relion    09-Mar-20  12:30:11  postprocess, B-factor -45 sharpened, masked",
    "mrcfile 1.1.2 2020-03-10 converted to mode 2",
    "e2proc3d.py refined.hdf refined.mrc --apix=0.834 --process=filter.lowpass.gauss",
    "phenix.auto_sharpen 1.17 resolution=2.9 seq_file=seq.dat",
    "cropped from 320 to 240 voxels a side by relion_image_handler --new_box 240",
    "origin shifted to the corner by chimera 1.14 vop command, 2020-03-11",
    "deposited map, contour level recommended by author 0.035",
    "composite of two focused refinements",
    "half maps and mask are in the same entry",
)


def mrc_header(labels: tuple[str, ...] = LABELS) -> bytes:
    """A full 1024-byte MRC header."""
    head = bytearray(1024)
    head[0:40] = np.array([240, 240, 240, 2, 0, 0, 0, 240, 240, 240], "<i4").tobytes()
    head[40:64] = np.array([200.16, 200.16, 200.16, 90, 90, 90], "<f4").tobytes()
    head[64:76] = np.array([1, 2, 3], "<i4").tobytes()
    head[76:88] = np.array([-0.0123, 0.3456, 0.000123], "<f4").tobytes()
    head[88:96] = np.array([1, 80], "<i4").tobytes()
    head[104:108] = b"CCP4"
    head[208:216] = b"MAP \x44\x44\0\0"
    head[216:220] = np.array([0.0234], "<f4").tobytes()
    head[220:224] = len(labels).to_bytes(4, "little")
    for i, label in enumerate(labels):
        head[224 + 80 * i : 304 + 80 * i] = label.encode().ljust(80)
    return bytes(head)


def full_record(points: int = 64) -> dict[str, dict[str, Any]]:
    """A record of all that the issue asks for, curves of `points` points."""
    rng = np.random.default_rng(5)
    at = np.arange(points)
    settings = {
        "arch": "siren",
        "batch": 16384,
        "hidden_features": 96,
        "hidden_layers": 3,
        "mask": "auto",
        "omega0": 15.0,
        "omega_hidden": 30.0,
        "resolution": 3.0,
        "seed": 0,
        "steps": 6000,
        "weight_bits": 4,
    }
    return {
        "source": {
            "file": "emd_11007.map.gz",
            "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
            "bytes": 45443212,
            "symmetry_space_group": 1,
            "resolution": 2.9,
            "mrc_header": mrc_header(),
        },
        "fit": {
            "settings": json.dumps(settings, separators=(",", ":")),
            "versions": "nmap 0.1.0, torch 2.13.0, numpy 2.4.6",
            "seconds": 231.123,
            "loss": np.exp(-3 * at / points) * (1 + 0.1 * rng.normal(size=points)),
            "loss_step": at * 95,
            "fsc": 1 - np.exp(-3 * (at + 1) / points),
            "fsc_step": at * 95,
        },
        "fidelity": {
            "frequency": at / 200.16,
            "fsc": 1 - 0.1 * rng.random(points),
            "worst": 0.9012,
            "resolution": 3.0,
            "resolution_0.5": 2.9,
            "resolution_0.143": 2.8,
            "correlation": 0.98765432109876,
            "psnr": 40.23456789,
            "size_ratio": 1200.5,
        },
    }


def tensors(width: int = 12, hidden: int = 2, gains: int = 0, nodes: int = 6) -> dict[str, CodedTensor]:
    """A quantised network with gains and envelope."""
    rng = np.random.default_rng(3)
    occupancy = np.zeros((nodes,) * 3, bool)
    occupancy[1 : nodes - 1, 1 : nodes - 2, 2 : nodes - 1] = True
    out = {
        "first.weight": encode_float(rng.normal(size=(width, 3)), "F16"),
        "first.bias": encode_float(rng.normal(size=width), "F16"),
        "hidden.weight": encode_uniform(rng.normal(size=(hidden, width, width)) / width, 4),
        "hidden.bias": encode_float(rng.normal(size=(hidden, width)), "F16"),
        "last.weight": encode_float(rng.normal(size=(1, width)), "BF16"),
        "last.bias": encode_float([0.125], "F32"),
        "envelope": encode_occupancy(occupancy),
    }
    if gains:
        out["gains"] = encode_log(2 ** rng.uniform(-3, 3, gains))
    return out


def sample_map(width: int = 12, record: dict[str, dict[str, Any]] | None = None) -> NeuralMap:
    """A map that uses every part of the format."""
    limit = 5.0
    shells = int(max(GRID.edges) / limit + 1e-6) + 1
    return NeuralMap.from_tensors(
        "siren",
        {"omegas": [15.0, 30.0, 30.0], "output": "linear"},
        tensors(width, gains=shells),
        Frame(
            GRID,
            center=(0.51, 0.52, 0.5333),
            half_width=(0.31234567, 0.32234567, 0.2987654321),
            offset=0.0012345678,
            scale=0.2345678901234,
            band_limit=limit,
            lattice=lattice_shape(GRID, limit),
            symmetry=PointGroup("C2", (7.5, 16.25, 15.0)),
        ),
        record=full_record() if record is None else record,
    )
