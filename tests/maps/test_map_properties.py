"""Maps of any axis order, byte order, mode and compression against mrcfile."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from mrc_files import MODES, mrc_bytes, seen_by_mrcfile
from numpy.testing import assert_allclose, assert_array_equal

from examples import few
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map, write_map


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("map.mrc", data)
    return out.getvalue()


PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".zip": zipped}
VOXELS = st.floats(0.25, 12.0, width=32)
AXES = st.sampled_from(list(itertools.permutations((1, 2, 3))))


@st.composite
def stored_maps(draw: st.DrawFn) -> dict[str, Any]:
    """Values (sections, rows, columns) of a mode, and what a header says of them."""
    kind = draw(st.sampled_from(sorted(MODES)))
    shape = draw(st.tuples(*[st.integers(2, 7)] * 3))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind[0] == "f":
        data = random.normal(size=shape, scale=10.0).astype(kind)
    else:
        data = random.integers(-100 if kind[0] == "i" else 0, 100, shape).astype(kind)
    axes = draw(AXES)
    counts = dict(zip(axes, shape[::-1], strict=True))
    voxel = [draw(VOXELS) for _ in range(3)]
    return {
        "data": data,
        "axes": axes,
        "order": draw(st.sampled_from("<>")),
        "cella": tuple(np.float32(v * counts[axis + 1]) for axis, v in enumerate(voxel)),
        "origin": tuple(draw(st.integers(-60, 60)) * voxel[axis] for axis in range(3)),
        "extended": bytes(80 * draw(st.integers(0, 2))),
    }


@few(80)
@given(stored_maps(), st.sampled_from(sorted(PACKED)))
def test_a_map_in_any_order_mode_and_packing_is_what_mrcfile_reads(
    stored: dict[str, Any], packed: str
) -> None:
    plain = mrc_bytes(stored.pop("data"), **stored)
    with tempfile.TemporaryDirectory() as folder:
        path, whole = Path(folder) / f"map.mrc{packed}", Path(folder) / "plain.mrc"
        path.write_bytes(PACKED[packed](plain))
        whole.write_bytes(plain)
        values, voxel_size = seen_by_mrcfile(whole)
        with mrcfile.open(whole, permissive=True) as mrc:
            origin = [float(v) for v in mrc.header.origin.item()]
        read = read_map(path)
    assert_array_equal(read.values, values)
    assert_allclose(read.grid.voxel_size, voxel_size, rtol=1e-6)
    assert_allclose(read.grid.origin, origin, rtol=1e-6, atol=1e-5)
    assert read.header is not None and read.header.raw == plain[:1024]


@few(40)
@given(
    st.tuples(*[st.integers(2, 8)] * 3),
    st.tuples(*[VOXELS] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.sampled_from(["float32", "float16"]),
    st.sampled_from([".mrc", ".map.gz"]),
    st.integers(0, 2**32 - 1),
)
def test_what_is_written_mrcfile_finds_valid_and_reads_the_same(
    shape: Any, voxel: Any, origin: Any, kind: Any, suffix: str, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(size=shape).astype(kind).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"map{suffix}"
        write_map(DensityMap(values, Grid(shape, voxel, origin=origin)), path, dtype=kind)
        said = io.StringIO()
        assert mrcfile.validate(path, print_file=said) or kind == "float16", said.getvalue()
        with mrcfile.open(path) as mrc:
            assert_array_equal(np.asarray(mrc.data, np.float32), values)
            assert_allclose(mrc.voxel_size.item(), voxel, rtol=1e-6)
            assert_allclose(mrc.header.origin.item(), origin, rtol=1e-6, atol=1e-5)
        again = read_map(path)
    assert_array_equal(again.values, values)
    assert_allclose(again.grid.origin, origin, rtol=1e-6, atol=1e-4)
