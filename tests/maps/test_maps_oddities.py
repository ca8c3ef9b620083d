"""Maps whose headers contradict themselves: read with a warning, or refused with the cause."""

from __future__ import annotations

import gzip
import io
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mrc_files import mrc_bytes

from nmap.errors import GridError, LimitError, MapError, MapWarning, NonFiniteError, OptionError
from nmap.grid import Grid, told_apart
from nmap.maps import DensityMap, read_frame, read_grid, read_map
from nmap.maps.checked import judge_mask, mask_on, require_contrast, require_half_maps, sound_mask

Write = Callable[..., Path]
DATA = np.random.default_rng(1).normal(size=(8, 9, 10)).astype(np.float32)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(content: bytes, name: str = "map.mrc") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return made


def test_bytes_that_the_header_calls_0_to_255_are_unsigned(data_dir: Path) -> None:
    path = data_dir / "faults" / "maps" / "unsigned_mode0.mrc.gz"
    stored = np.frombuffer(gzip.decompress(path.read_bytes())[1024:], np.uint8).reshape(48, 48, 48)
    with pytest.warns(MapWarning, match="its header gives 0 to 255: read as unsigned bytes"):
        found = read_map(path)
    np.testing.assert_array_equal(found.values, stored)


@pytest.mark.parametrize(("low", "high"), [(-128.0, 127.0), (0.0, 127.0), (0.0, 0.0), (np.nan, np.nan)])
def test_bytes_are_signed_where_the_header_does_not_say_otherwise(
    write: Write, low: float, high: float
) -> None:
    data = np.arange(-128, 128).astype(np.int8).reshape(4, 8, 8)
    np.testing.assert_array_equal(read_map(write(mrc_bytes(data, dmin=low, dmax=high))).values, data)


def test_a_zero_map_word_is_warned_of_and_another_needs_permission(write: Write) -> None:
    with pytest.warns(MapWarning, match="no 'MAP ' at byte 208"):
        np.testing.assert_array_equal(read_map(write(mrc_bytes(DATA, map=b"\0\0\0\0"))).values, DATA)
    other = write(mrc_bytes(DATA, map=b"PAM "))
    with pytest.raises(MapError, match="not an MRC or CCP4 map"):
        read_map(other)
    with pytest.warns(MapWarning, match="no 'MAP '"):
        np.testing.assert_array_equal(read_map(other, permissive=True).values, DATA)
    with pytest.raises(MapError, match="declares"):
        read_map(write(mrc_bytes(DATA, map=b"\0\0\0\0") + bytes(4)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_extended_header_that_is_not_there_is_named_and_can_be_left_out(
    write: Write, pack: Callable[[bytes], bytes]
) -> None:
    path = write(pack(mrc_bytes(DATA, nsymbt=1024)))
    with pytest.raises(
        MapError, match=r"extended header of 1024 bytes \(NSYMBT\) that is not there"
    ) as raised:
        read_map(path)
    assert raised.value.option == "permissive"
    with pytest.warns(MapWarning, match="read without it"):
        np.testing.assert_array_equal(read_map(path, permissive=True).values, DATA)


def test_a_hidden_extended_header_is_named_by_its_bytes(data_dir: Path, write: Write) -> None:
    with pytest.warns(
        MapWarning, match=r"1024 bytes more than its header declares.*the densities are shifted"
    ):
        read_map(data_dir / "faults" / "maps" / "hidden_extended_header.mrc.gz")
    noisy = mrc_bytes(np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32))
    with pytest.raises(MapError, match="set NSYMBT to 160"):
        read_map(write(noisy[:1024] + bytes(160) + noisy[1024:]))


def test_a_stack_that_is_a_volume_is_read_where_that_is_allowed(write: Write) -> None:
    path = write(mrc_bytes(DATA, ispg=0, mz=1))
    with pytest.raises(MapError, match="a stack of 8 images"):
        read_map(path)
    with pytest.warns(MapWarning, match="read as a volume of 8 sections"):
        found = read_map(path, permissive=True)
    assert found.grid.voxel_size == (2.0, 2.0, 2.0)


def test_the_grid_alone_needs_no_values(data_dir: Path, write: Write) -> None:
    spoilt = DATA.copy()
    spoilt[0, 0, 0] = np.nan
    path = write(mrc_bytes(spoilt))
    with pytest.raises(NonFiniteError):
        read_map(path)
    assert read_grid(path).shape == (8, 9, 10)
    frame = read_frame(data_dir / "EMD-3001.map.bz2")
    assert (frame.axis_order, frame.sampling, frame.space_group) == ((3, 1, 2), (40, 12, 72), 4)


def test_a_zip_of_one_map_is_read_and_of_two_is_not(write: Write) -> None:
    def zipped(*names: str) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, mrc_bytes(DATA))
        return out.getvalue()

    found = read_map(write(zipped("a.map"), "a.zip"))
    np.testing.assert_array_equal(found.values, DATA)
    assert found.header is not None and found.header.compression == "zip"
    with pytest.raises(MapError, match=r"2 files \(a\.map, b\.map\)"):
        read_map(write(zipped("a.map", "b.map"), "b.zip"))


@pytest.mark.parametrize("name", ["mode0.map.bz2", "ext.map.bz2", "count.map.bz2"])
def test_bombs_are_refused_before_they_are_unpacked(data_dir: Path, name: str) -> None:
    with pytest.raises((LimitError, MapError), match=r"would unpack|truncated"):
        read_map(data_dir / "faults" / "maps" / name)


def test_more_than_half_of_the_free_memory_is_refused_unasked(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmap.maps.read_options.free_memory", lambda: 2 * 4 * DATA.size - 2)
    with pytest.raises(LimitError, match="allow more") as raised:
        read_map(write(mrc_bytes(DATA)))
    assert raised.value.option == "max_memory"


GRID = Grid((12, 12, 12), (2.0, 2.0, 2.0))


def ball(inside: float = 1.0, outside: float = 0.0, grid: Grid = GRID) -> DensityMap:
    apart = np.linalg.norm(grid.points() - 11.0, axis=-1)
    return DensityMap(np.where(apart < 7, inside, outside).astype(np.float32), grid)


def blob() -> DensityMap:
    apart = np.linalg.norm(GRID.points() - 11.0, axis=-1)
    noise = 0.01 * np.random.default_rng(0).normal(size=GRID.shape)
    return DensityMap((np.exp(-((apart / 4) ** 2)) + noise).astype(np.float32), GRID)


@pytest.mark.parametrize("high", [255.0, 3.0])
def test_masks_of_bytes_and_of_two_values_are_divided_by_their_largest(high: float) -> None:
    with pytest.warns(MapWarning, match=f"divided by {high:g}"):
        np.testing.assert_array_equal(sound_mask(ball(high)).values, ball().values)


@pytest.mark.parametrize("mask", [ball(-127, -128), ball(0.4), ball(1, -1)])
def test_what_is_no_mask_is_refused(mask: DensityMap) -> None:
    with pytest.raises(OptionError, match="mask"):
        sound_mask(mask)


def test_masks_are_cut_moved_or_interpolated_onto_the_map() -> None:
    wide = Grid((20, 20, 20), (2.0,) * 3, origin=(-8.0, -8.0, -8.0))
    np.testing.assert_array_equal(mask_on(ball(grid=wide), GRID).values, ball().values)
    fine = Grid((24, 24, 24), (1.0,) * 3)
    with pytest.warns(MapWarning, match="interpolated"):
        found = mask_on(ball(grid=fine), GRID)
    np.testing.assert_array_equal(found.values, ball().values)
    with pytest.raises(GridError, match="does not lie on the map's"):
        mask_on(replace(ball(), grid=replace(GRID, origin=(500.0, 0.0, 0.0))), GRID)


def test_a_mask_that_is_inside_out_or_of_another_map_is_warned_of() -> None:
    with pytest.warns(MapWarning, match=r"inside out|leaves out"):
        judge_mask(ball(0, 1), blob())
    corner = np.zeros(GRID.shape, np.float32)
    corner[:3, :3, :3] = 1
    with pytest.warns(MapWarning, match="leaves out"):
        judge_mask(DensityMap(corner, GRID), blob())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_mask(ball(), blob())


def test_half_maps_must_be_two_and_vary() -> None:
    first = blob()
    with pytest.raises(OptionError, match="are one map"):
        require_half_maps(first, replace(first, values=2 * first.values + 1))
    with pytest.raises(MapError, match="every voxel is 3"):
        require_contrast(ball(3, 3), "map")


def test_two_grids_are_told_apart_by_enough_digits() -> None:
    one, other = told_apart(GRID, replace(GRID, voxel_size=(2.0000213, 2.0, 2.0)))
    assert one != other
