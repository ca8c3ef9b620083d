"""Writing maps: files that other programs read right, the same bytes each time, whole or not at all."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tracemalloc
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from mrc_files import REAL, mrc_bytes, seen_by_gemmi, seen_by_mrcfile

from nmap.errors import GridError, NonFiniteError, OptionError, OutputExistsError
from nmap.grid import Grid
from nmap.maps import DensityMap, MapWriter, read_map, write_map

GRID = Grid((6, 7, 8), (1.05, 1.1, 0.9))


def noise(shape: tuple[int, int, int] = GRID.shape, mean: float = 3.0) -> np.ndarray:
    return np.random.default_rng(7).normal(mean, 1, shape).astype(np.float32)


def assert_valid(path: Path) -> None:
    said = io.StringIO()
    assert mrcfile.validate(path, print_file=said), said.getvalue()


@pytest.mark.parametrize("name", ["out.mrc", "out.map", "out.map.gz", "out.MRC.GZ"])
@pytest.mark.parametrize(("dtype", "mode"), [("float32", 2), ("float16", 12)])
def test_files_pass_mrcfile_validate_and_hold_the_values(
    tmp_path: Path, name: str, dtype: str, mode: int
) -> None:
    values = noise()
    write_map(DensityMap(values, GRID), tmp_path / name, dtype=dtype)
    assert_valid(tmp_path / name)
    with mrcfile.open(tmp_path / name) as mrc:
        assert mrc.header.mode == mode and mrc.header.ispg == 1 and mrc.header.nsymbt == 0
        assert mrc.header.cellb.item() == (90, 90, 90)
        np.testing.assert_array_equal(mrc.data, values.astype(dtype))
    assert read_map(tmp_path / name).grid.matches(GRID, tolerance=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_statistics_are_those_of_the_stored_values(tmp_path: Path, dtype: str) -> None:
    values = noise((40, 50, 60), mean=1000.0)  # a float32 running sum would be off in the fifth digit
    write_map(DensityMap(values, Grid(values.shape, (1, 1, 1))), tmp_path / "out.mrc", dtype=dtype)
    stored = values.astype(dtype).astype(np.float64)
    with mrcfile.open(tmp_path / "out.mrc") as mrc:
        assert (mrc.header.dmin, mrc.header.dmax) == (stored.min(), stored.max())
        np.testing.assert_allclose(mrc.header.dmean, stored.mean(), rtol=1e-7)
        np.testing.assert_allclose(mrc.header.rms, stored.std(), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, -7.5])  # of 0.1, mrcfile's own float32 rms is not 0
def test_a_constant_map_is_valid(tmp_path: Path, value: float) -> None:
    write_map(DensityMap(np.full(GRID.shape, value, np.float32), GRID), tmp_path / "out.mrc")
    assert_valid(tmp_path / "out.mrc")


@pytest.mark.parametrize("name", REAL)
def test_real_maps_come_back_in_the_same_place_for_every_reader(
    data_dir: Path, tmp_path: Path, name: str
) -> None:
    source, path = read_map(data_dir / name), tmp_path / "out.mrc"
    write_map(source, path)
    assert_valid(path)
    np.testing.assert_array_equal(seen_by_mrcfile(path)[0], source.values)
    values, by_nstart = seen_by_gemmi(path)
    np.testing.assert_array_equal(values, source.values)
    np.testing.assert_allclose(by_nstart, source.grid.origin, atol=1e-4)
    with mrcfile.open(path) as mrc:
        np.testing.assert_allclose(mrc.header.origin.item(), source.grid.origin, atol=1e-5)
        np.testing.assert_allclose(mrc.voxel_size.item(), source.grid.voxel_size, rtol=1e-6)
    assert read_map(path).grid.matches(source.grid, tolerance=1e-4)


@pytest.mark.parametrize(
    ("origin", "nstart"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((-2 * 1.05, 5 * 1.1, 0), (-2, 5, 0)),
        ((162.74998, 231.00002, 0.9), (155, 210, 1)),
        ((0.5, 1.1, 0.9), (0, 0, 0)),
        ((1e-5, 0, 0), (0, 0, 0)),
    ],
)
def test_nstart_says_the_origin_where_it_is_whole_voxels(
    tmp_path: Path, origin: tuple[float, float, float], nstart: tuple[int, int, int]
) -> None:
    grid = Grid(GRID.shape, GRID.voxel_size, origin)
    write_map(DensityMap(noise(), grid), tmp_path / "out.mrc")
    with mrcfile.open(tmp_path / "out.mrc") as mrc:
        assert mrc.nstart.item() == nstart
        np.testing.assert_allclose(mrc.header.origin.item(), origin, rtol=1e-7)


def test_place_in_a_triclinic_cell_is_kept_by_origin_and_by_nstart(tmp_path: Path) -> None:
    grid = Grid((5, 6, 7), (0.9, 1.3, 0.7), angles=(80, 95, 120)).region((13, -98, -43), (5, 6, 7))
    write_map(DensityMap(noise((5, 6, 7)), grid), tmp_path / "out.mrc")
    np.testing.assert_allclose(seen_by_gemmi(tmp_path / "out.mrc")[1], grid.origin, atol=1e-4)
    back = read_map(tmp_path / "out.mrc")
    assert back.grid.matches(grid, tolerance=1e-4)
    assert back.header is not None and back.header.nstart == (-43, -98, 13)


def test_the_same_map_gives_the_same_bytes_without_a_date(tmp_path: Path) -> None:
    density = DensityMap(noise(), GRID)
    for name in ("out.mrc", "out.map.gz"):
        write_map(density, tmp_path / name)
        first = (tmp_path / name).read_bytes()
        write_map(density, tmp_path / name, overwrite=True)
        assert (tmp_path / name).read_bytes() == first
    assert first[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # neither name nor time
    assert gzip.decompress(first) == (tmp_path / "out.mrc").read_bytes()


def written_labels(path: Path) -> list[str]:
    with mrcfile.open(path) as mrc:
        return [label.rstrip() for label in mrc.get_labels()]


def test_source_labels_are_kept_and_one_line_added_once(data_dir: Path, tmp_path: Path) -> None:
    source, path = read_map(data_dir / "EMD-3197.map"), tmp_path / "out.mrc"
    write_map(source, path)
    assert written_labels(path) == ["::::EMDATABANK.org::::EMD-3197::::", "Written by nmap"]
    write_map(read_map(path), path, overwrite=True)
    assert written_labels(path) == ["::::EMDATABANK.org::::EMD-3197::::", "Written by nmap"]


@pytest.mark.parametrize("count", [9, 10])
def test_of_too_many_labels_the_first_and_the_newest_stay(tmp_path: Path, count: int) -> None:
    labels = [f"label {k}" for k in range(count)]
    with MapWriter(tmp_path / "out.mrc", GRID, labels=labels, label="ours") as writer:
        writer.write(noise())
    assert written_labels(tmp_path / "out.mrc") == [*labels[:1], *labels[count - 8 :], "ours"]
    assert_valid(tmp_path / "out.mrc")


def test_a_label_becomes_80_ascii_characters(tmp_path: Path) -> None:
    write_map(DensityMap(noise(), GRID), tmp_path / "out.mrc", label="Å\n" + "x" * 100)
    assert written_labels(tmp_path / "out.mrc") == ["??" + "x" * 78]
    write_map(DensityMap(noise(), GRID), tmp_path / "none.mrc", label="")
    assert written_labels(tmp_path / "none.mrc") == []


@pytest.mark.parametrize(
    ("values", "dtype", "error", "reason"),
    [
        (np.float32(65505), "float16", OptionError, "65505: float16 holds none beyond 65504"),
        (np.float32(-1e6), "float16", OptionError, "float16 holds none beyond"),
        (np.float32(1e-6), "float16", OptionError, "float16 loses precision"),
        (np.float32("nan"), "float32", NonFiniteError, "336 of 336 values"),
        (np.float32("inf"), "float16", NonFiniteError, "NaN or infinite"),
        (np.float32(0), "float64", OptionError, "wanted 'float32' or 'float16'"),
    ],
)
def test_values_that_cannot_be_held_leave_no_file(
    tmp_path: Path, values: np.float32, dtype: str, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        write_map(DensityMap(np.full(GRID.shape, values), GRID), tmp_path / "out.mrc", dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_the_largest_float16_is_written(tmp_path: Path) -> None:
    write_map(DensityMap(np.full(GRID.shape, 65504, np.float32), GRID), tmp_path / "out.mrc", dtype="float16")
    assert read_map(tmp_path / "out.mrc").values.max() == 65504


@pytest.mark.parametrize(
    "grid",
    [
        Grid(GRID.shape, (1e39, 1, 1)),
        Grid(GRID.shape, (1e-39, 1, 1)),
        Grid(GRID.shape, (1, 1, 1), origin=(1e9, 0, 0)),
    ],
)
def test_a_grid_that_no_header_holds_is_refused(tmp_path: Path, grid: Grid) -> None:
    with pytest.raises(GridError, match="MRC header"):
        write_map(DensityMap(noise(), grid), tmp_path / "out.mrc")


def test_bzip2_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no bzip2"):
        write_map(DensityMap(noise(), GRID), tmp_path / "out.map.bz2")


def test_an_existing_output_is_refused_or_replaced_on_request(tmp_path: Path) -> None:
    path = tmp_path / "out.mrc"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="exists already"):
        write_map(DensityMap(noise(), GRID), path)
    assert path.read_bytes() == b"precious"
    write_map(DensityMap(noise(), GRID), path, overwrite=True)
    np.testing.assert_array_equal(read_map(path).values, noise())


def test_a_map_can_be_written_over_the_file_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(noise(), axes=(3, 2, 1)))
    source = read_map(path)
    write_map(source, path, overwrite=True)
    np.testing.assert_array_equal(read_map(path).values, source.values)


@pytest.mark.parametrize("name", ["out.mrc", "out.map.gz"])
@pytest.mark.parametrize("failure", [NonFiniteError, KeyboardInterrupt, GridError])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, name: str, failure: type[BaseException]
) -> None:
    path = tmp_path / name
    path.write_bytes(b"precious")
    with pytest.raises(failure), MapWriter(path, GRID, overwrite=True) as writer:
        writer.write(noise()[:2])
        if failure is NonFiniteError:
            writer.write(noise()[:2] * np.float32("nan"))
        if failure is KeyboardInterrupt:
            raise KeyboardInterrupt
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.mrc"
    with pytest.raises(OutputExistsError, match="meanwhile"), MapWriter(path, GRID) as writer:
        writer.write(noise())
        path.write_bytes(b"precious")
    assert path.read_bytes() == b"precious" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_is_honoured(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for name in ("out.mrc", "out.map.gz"):
            write_map(DensityMap(noise(), GRID), tmp_path / name)
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~umask
    finally:
        os.umask(before)


def test_a_link_is_followed_and_a_folder_is_not_an_output(tmp_path: Path) -> None:
    target, link = tmp_path / "target.mrc", tmp_path / "link.mrc"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with pytest.raises(OutputExistsError):
        write_map(DensityMap(noise(), GRID), link)
    write_map(DensityMap(noise(), GRID), link, overwrite=True)
    assert link.is_symlink() and read_map(target).grid.shape == GRID.shape
    with pytest.raises(OutputExistsError, match="not a regular file"):
        write_map(DensityMap(noise(), GRID), tmp_path, overwrite=True)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write_map(DensityMap(noise(), GRID), tmp_path / "absent" / "out.mrc")


def test_slabs_of_any_thickness_make_the_same_file(tmp_path: Path) -> None:
    write_map(DensityMap(noise(), GRID), tmp_path / "whole.mrc")
    with MapWriter(tmp_path / "slabs.mrc", GRID) as writer:
        for first, last in ((0, 1), (1, 4), (4, 4), (4, 6)):
            writer.write(noise()[first:last])
    whole, slabs = ((tmp_path / name).read_bytes() for name in ("whole.mrc", "slabs.mrc"))
    assert whole[1024:] == slabs[1024:] and whole[:76] == slabs[:76]
    assert_valid(tmp_path / "slabs.mrc")


def test_slabs_that_do_not_fit_the_grid_are_refused(tmp_path: Path) -> None:
    for slabs in ([noise()[:, :, 1:]], [noise()[0]], [noise(), noise()[:1]], [noise()[1:]]):
        with pytest.raises(GridError, match="wanted"), MapWriter(tmp_path / "out.mrc", GRID) as writer:
            for slab in slabs:
                writer.write(slab)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.mrc", "out.map.gz"])
def test_a_map_written_in_slabs_never_lies_in_memory(tmp_path: Path, name: str) -> None:
    grid = Grid((128, 256, 256), (1, 1, 1))
    slab = np.zeros((4, 256, 256), np.float32)
    tracemalloc.start()
    try:
        with MapWriter(tmp_path / name, grid) as writer:
            for _ in range(32):
                writer.write(slab)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20 < 4 * grid.size
    finally:
        tracemalloc.stop()
