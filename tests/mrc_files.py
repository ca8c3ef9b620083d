"""MRC files for tests, made without nmap's writer; and what other programs read in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gemmi
import mrcfile
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

REAL = (
    "EMD-3001.map.bz2",
    "EMD-3197.map",
    "emd_21457_seg.mrc.gz",
    "emd_21457_seg_nstart.mrc.gz",
    "emd_21457_seg_orig0.mrc.gz",
    "emd_3488_contour_mask_cropped.mrc.gz",
)
"""Maps of the archive in `tests/data`; its README says where each one is from."""

MODES = {"i1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}


def mrc_bytes(data: np.ndarray, *, order: str = "<", extended: bytes = b"", **fields: Any) -> bytes:
    """A whole file with `data` (sections, rows, columns), 2 A voxels unless `cella` says otherwise."""
    kind = np.dtype(HEADER_DTYPE).newbyteorder(order)
    header = np.zeros((), kind)
    ns, nr, nc = data.shape
    axes = fields.get("axes", (1, 2, 3))
    counts = dict(zip(axes, (nc, nr, ns), strict=True))
    header["nx"], header["ny"], header["nz"] = nc, nr, ns
    header["mx"], header["my"], header["mz"] = counts[1], counts[2], counts[3]
    header["cella"] = (2 * counts[1], 2 * counts[2], 2 * counts[3])
    header["cellb"] = (90, 90, 90)
    header["mapc"], header["mapr"], header["maps"] = axes
    header["mode"] = MODES[data.dtype.str[1:]]
    header["ispg"], header["nversion"], header["nsymbt"] = 1, 20141, len(extended)
    header["map"] = b"MAP "
    header["machst"] = (0x44, 0x44, 0, 0) if order == "<" else (0x11, 0x11, 0, 0)
    for name, value in fields.items():
        if name != "axes":
            header[name] = value
    return bytes(header.tobytes() + extended + data.astype(data.dtype.newbyteorder(order)).tobytes())


def seen_by_mrcfile(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """Values brought to (z, y, x), and voxel size (x, y, z), as mrcfile reads them."""
    with mrcfile.open(path, permissive=True) as mrc:
        columns, rows, sections = (int(mrc.header[name]) for name in ("mapc", "mapr", "maps"))
        axes = (sections, rows, columns)
        values = np.transpose(mrc.data, [axes.index(axis) for axis in (3, 2, 1)])
        return np.array(values, np.float32), tuple(float(v) for v in mrc.voxel_size.item())


def seen_by_gemmi(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values brought to (z, y, x), and where NSTART puts the first voxel (x, y, z; A), as in gemmi."""
    mapped = gemmi.read_ccp4_map(str(path))
    starts, sampling, axes = ([mapped.header_i32(word + k) for k in range(3)] for word in (5, 8, 17))
    fractions = [0.0, 0.0, 0.0]
    for axis, start in zip(axes, starts, strict=True):
        fractions[axis - 1] = start / sampling[axis - 1]
    place = mapped.grid.unit_cell.orthogonalize(gemmi.Fractional(*fractions))
    mapped.setup(0.0, gemmi.MapSetup.ReorderOnly)
    return np.array(mapped.grid, copy=True).transpose(2, 1, 0), np.array(place.tolist())
