"""Reading maps: values in z, y, x and in their place, whatever the file's own way of saying so."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from mrc_files import REAL, mrc_bytes, seen_by_gemmi, seen_by_mrcfile

from nmap.errors import GridError, MapError, NonFiniteError, OptionError, VoxelSizeError
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map


def ramp(shape: tuple[int, int, int], dtype: str = "f4") -> np.ndarray:
    """Every voxel its own value, so that any mix-up of axes or bytes shows."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("name", REAL)
def test_values_and_voxel_size_of_real_maps_are_those_of_mrcfile(data_dir: Path, name: str) -> None:
    values, voxel_size = seen_by_mrcfile(data_dir / name)
    density = read_map(data_dir / name)
    assert density.values.dtype == np.float32 and density.values.flags.c_contiguous
    np.testing.assert_array_equal(density.values, values)
    np.testing.assert_allclose(density.grid.voxel_size, voxel_size, rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in REAL if not n.endswith(".bz2") and n != "emd_21457_seg.mrc.gz"])
def test_values_and_place_of_real_maps_are_those_of_gemmi(data_dir: Path, name: str) -> None:
    values, place = seen_by_gemmi(data_dir / name)
    density = read_map(data_dir / name)
    np.testing.assert_array_equal(density.values, values)
    np.testing.assert_allclose(density.grid.origin, place, atol=1e-4)


def test_a_map_lies_in_the_same_place_by_origin_and_by_nstart(data_dir: Path) -> None:
    by_origin = read_map(data_dir / "emd_21457_seg.mrc.gz")
    by_nstart = read_map(data_dir / "emd_21457_seg_nstart.mrc.gz")
    at_zero = read_map(data_dir / "emd_21457_seg_orig0.mrc.gz")
    assert by_origin.grid.matches(by_nstart.grid, tolerance=1e-4)
    np.testing.assert_allclose(by_origin.grid.origin, (155 * 1.05, 220 * 1.05, 195 * 1.05), atol=1e-4)
    assert at_zero.grid.origin == (0.0, 0.0, 0.0)
    assert by_origin.header is not None and by_nstart.header is not None
    assert by_origin.header.nstart == (0, 0, 0) and by_nstart.header.origin == (0.0, 0.0, 0.0)
    assert by_nstart.header.nstart == (155, 220, 195)


def test_crystallographic_map_is_placed_in_its_monoclinic_cell(data_dir: Path) -> None:
    density = read_map(data_dir / "EMD-3001.map.bz2")
    assert density.grid.shape == (73, 25, 43)
    np.testing.assert_allclose(density.grid.voxel_size, (17.93 / 40, 4.71 / 12, 33.03 / 72), rtol=1e-6)
    np.testing.assert_allclose(density.grid.angles, (90, 94.326, 90), atol=1e-4)
    np.testing.assert_allclose(density.grid.origin, (-21 * 17.93 / 40, -4.71, 0), atol=1e-5)


def test_header_is_kept_whole(data_dir: Path) -> None:
    path = data_dir / "EMD-3001.map.bz2"
    header = read_map(path).header
    assert header is not None
    assert header.name == "EMD-3001.map.bz2" and header.compression == "bzip2"
    assert header.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert header.file_bytes == path.stat().st_size
    assert len(header.raw) == 1024 and header.raw[208:212] == b"MAP "
    assert header.extended[:12] == b"X,  Y,  Z   " and len(header.extended) == 160
    assert header.labels == ("::::EMDATABANK.org::::EMD-3001::::",)
    assert header.nstart == (-21, -12, 0) and header.origin == (0.0, 0.0, 0.0)
    assert header.space_group == 4 and header.mode == 2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
def test_every_mode_in_both_byte_orders(tmp_path: Path, dtype: str, order: str) -> None:
    data = ramp((5, 4, 3), dtype)
    data[0, 0, 0] = {"i1": -128, "i2": -32768, "u2": 65535, "f4": -1e30, "f2": -65504}[dtype]
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(data, order=order))
    density = read_map(path)
    np.testing.assert_array_equal(density.values, data.astype(np.float32))
    np.testing.assert_array_equal(density.values, seen_by_mrcfile(path)[0])
    if order == "<" or dtype == "f4":  # gemmi 0.7.5 misreads the rest in big-endian files
        np.testing.assert_array_equal(density.values, seen_by_gemmi(path)[0])


@pytest.mark.parametrize(("flags", "dtype"), [(0, np.uint8), (1, np.int8), (4, np.uint8)])
def test_bytes_of_imod_are_signed_only_if_it_says_so(tmp_path: Path, flags: int, dtype: type) -> None:
    data = np.array([-1, 127, -128, 5] * 6, np.int8).reshape(2, 3, 4)
    raw = bytearray(mrc_bytes(data))
    raw[152:160] = b"IMOD" + flags.to_bytes(4, "little")
    (tmp_path / "map.mrc").write_bytes(raw)
    np.testing.assert_array_equal(read_map(tmp_path / "map.mrc").values, data.view(dtype).astype(np.float32))


@pytest.mark.parametrize("axes", [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)])
@pytest.mark.parametrize("angles", [(90, 90, 90), (90, 111.55, 90), (80, 95, 120)])
def test_any_axis_order_in_any_cell_agrees_with_gemmi(
    tmp_path: Path, axes: tuple[int, int, int], angles: tuple[float, float, float]
) -> None:
    path = tmp_path / "map.ccp4"
    cell = {"mx": 80, "my": 16, "mz": 104, "cella": (29.42, 4.99, 37.17), "cellb": angles, "ispg": 5}
    start = {"nxstart": -15, "nystart": -6, "nzstart": -19}
    extended = b"X,  Y,  Z".ljust(80) * 4
    path.write_bytes(mrc_bytes(ramp((7, 6, 5)), axes=axes, extended=extended, **cell, **start))
    density = read_map(path)
    values, place = seen_by_gemmi(path)
    np.testing.assert_array_equal(density.values, values)
    np.testing.assert_allclose(density.grid.origin, place, atol=1e-5)
    np.testing.assert_allclose(density.grid.voxel_size, (29.42 / 80, 4.99 / 16, 37.17 / 104), rtol=1e-6)
    assert density.header is not None and density.header.extended == extended
    assert density.header.nstart == tuple({1: -15, 2: -6, 3: -19}[axes.index(a) + 1] for a in (1, 2, 3))


def test_origin_beats_nstart_and_is_cartesian_in_a_skew_cell(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(
        mrc_bytes(ramp((3, 4, 5)), cellb=(90, 90, 120), origin=(1.5, 0, -2), nxstart=7, nystart=8, nzstart=9)
    )
    density = read_map(path)
    assert density.grid.origin == (1.5, 0.0, -2.0)
    assert density.header is not None
    assert density.header.nstart == (7, 8, 9) and density.header.origin == (1.5, 0.0, -2.0)


def test_sampling_that_contradicts_the_counts_still_gives_the_voxel_size(tmp_path: Path) -> None:
    """As in EMD-1155: MX and MY exchanged, every voxel 16.4 A."""
    path = tmp_path / "map.mrc"
    fields = {"mx": 9, "my": 14, "mz": 28, "cella": (9 * 16.4, 14 * 16.4, 28 * 16.4)}
    path.write_bytes(mrc_bytes(ramp((28, 9, 14), "i1"), **fields))
    grid = read_map(path).grid
    assert grid.shape == (28, 9, 14)
    np.testing.assert_allclose(grid.voxel_size, (16.4, 16.4, 16.4), rtol=1e-6)


@pytest.mark.parametrize("stamp", ["00004444", "44410000", "41440000", "44440000", "00000000", "11110000"])
def test_odd_machine_stamps_are_read_by_what_makes_sense(tmp_path: Path, stamp: str) -> None:
    data = ramp((4, 5, 6))
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(data, machst=tuple(bytes.fromhex(stamp))))
    np.testing.assert_array_equal(read_map(path).values, data)
    path.write_bytes(mrc_bytes(data, order=">", machst=tuple(bytes.fromhex(stamp))))
    np.testing.assert_array_equal(read_map(path).values, data)


def test_zero_angles_mean_90_degrees(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(ramp((4, 5, 6)), cellb=(0, 0, 0)))
    assert read_map(path).grid == Grid((4, 5, 6), (2, 2, 2))


def test_volume_that_says_ispg_0_is_read(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(ramp((4, 5, 6)), ispg=0))
    assert read_map(path).grid.shape == (4, 5, 6)


@pytest.mark.parametrize(
    ("fields", "shape", "reason"),
    [
        ({}, (1, 1, 6), "a line of samples"),
        ({"ispg": 0, "mz": 1}, (7, 5, 6), "stack of 7 images"),
        ({"ispg": 401, "mz": 2}, (8, 5, 6), "stack of volumes"),
        ({"ispg": 400}, (8, 5, 6), "stack of volumes"),
        ({"mode": 3}, (8, 5, 6), "mode 3: complex"),
        ({"mode": 4}, (8, 5, 6), "mode 4: complex"),
        ({"mode": 101}, (8, 5, 6), "mode 101: 4-bit"),
    ],
)
def test_what_is_not_one_volume_of_real_numbers_is_refused_by_name(
    tmp_path: Path, fields: dict[str, int], shape: tuple[int, int, int], reason: str
) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(ramp(shape), **fields))
    with pytest.raises(MapError, match=reason):
        read_map(path)


def test_voxel_size_zero_is_refused_unless_given(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(ramp((4, 5, 6)), cella=(0, 0, 0), nxstart=-2))
    with pytest.raises(VoxelSizeError, match=r"map\.mrc: no voxel size: cell \(0, 0, 0\)"):
        read_map(path)
    assert read_map(path, voxel_size=(1.5, 1, 1)).grid == Grid((4, 5, 6), (1.5, 1, 1), origin=(-3, 0, 0))


@pytest.mark.parametrize("voxel_size", [(0, 1, 1), (1, -1, 1), (1, 1, float("nan")), (1, 1, float("inf"))])
def test_impossible_voxel_size_is_refused(data_dir: Path, voxel_size: tuple[float, float, float]) -> None:
    with pytest.raises(OptionError, match="wanted three positive numbers"):
        read_map(data_dir / "EMD-3197.map", voxel_size=voxel_size)


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_nan_and_infinity_are_counted_or_replaced_by_the_mean_of_the_rest(tmp_path: Path, dtype: str) -> None:
    data = ramp((4, 5, 6), dtype)
    data[1, 2, 3], data[3, 0, 0], data[0, 0, 0] = np.nan, np.inf, -np.inf
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(data, axes=(3, 1, 2)))
    with pytest.raises(NonFiniteError, match="3 of 120 values"):
        read_map(path)
    mended = read_map(path, replace_nonfinite="mean").values
    wide = data.astype(np.float64)  # sections, rows, columns
    expected = np.where(np.isfinite(wide), wide, wide[np.isfinite(wide)].mean()).astype(np.float32)
    np.testing.assert_array_equal(mended, expected.transpose(2, 0, 1))


def test_a_map_of_nothing_but_nan_has_no_mean(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(np.full((2, 3, 4), np.nan, np.float32)))
    with pytest.raises(NonFiniteError, match="all 24"):
        read_map(path, replace_nonfinite="mean")


def test_unknown_replacement_is_refused(data_dir: Path) -> None:
    with pytest.raises(OptionError, match="wanted 'mean'"):
        read_map(data_dir / "EMD-3197.map", replace_nonfinite="zero")


def test_density_map_takes_only_values_of_its_grid() -> None:
    grid = Grid((2, 3, 4), (1, 1, 1))
    assert DensityMap(np.zeros((4, 3, 2)).T, grid).values.flags.c_contiguous
    with pytest.raises(GridError, match=r"\(4, 3, 2\).*\(2, 3, 4\)"):
        DensityMap(np.zeros((4, 3, 2), np.float32), grid)
