"""Series of maps: several files, stacks of volumes read, and written as mrcfile reads them."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from nmap.errors import MapError
from nmap.grid import Grid
from nmap.maps import DensityMap, MapWriter, read_map, read_series, write_map

GRID = Grid((3, 5, 4), (1.5, 1.5, 2.0), (3.0, -1.5, 4.0))


def volumes(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *GRID.shape)).astype(np.float32)


def stack(path: Path, values: np.ndarray) -> None:
    """A stack of volumes by mrcfile."""
    with mrcfile.new(path) as file:
        file.set_data(values)
        file.voxel_size = GRID.voxel_size
        file.header.origin = GRID.origin


def test_a_stack_of_volumes_is_a_series_each_in_the_stacks_place(tmp_path: Path) -> None:
    values = volumes(4)
    stack(tmp_path / "stack.mrc", values)
    found = read_series([tmp_path / "stack.mrc"])
    assert len(found) == 4
    for one, wanted in zip(found, values, strict=True):
        assert_array_equal(one.values, wanted)
        assert one.grid.matches(GRID)


def test_files_stacks_and_maps_follow_each_other(tmp_path: Path) -> None:
    values = volumes(4)
    stack(tmp_path / "stack.mrc", values[1:3])
    write_map(DensityMap(values[0], GRID), tmp_path / "first.mrc")
    found = read_series([tmp_path / "first.mrc", tmp_path / "stack.mrc", DensityMap(values[3], GRID)])
    assert_array_equal(np.stack([one.values for one in found]), values)


def test_a_stack_is_no_single_map(tmp_path: Path) -> None:
    stack(tmp_path / "stack.mrc", volumes(2))
    with pytest.raises(MapError, match="encode them all as a series"):
        read_map(tmp_path / "stack.mrc")


def test_a_stack_that_holds_a_part_of_a_volume_is_refused(tmp_path: Path) -> None:
    stack(tmp_path / "stack.mrc", volumes(2))
    with mrcfile.open(tmp_path / "stack.mrc", "r+", permissive=True) as file:
        file.header.mz = 4
    with pytest.raises(MapError, match="6 sections, 4 to a volume"):
        read_series([tmp_path / "stack.mrc"])


def test_a_stack_is_written_as_mrc2014_wants_it(tmp_path: Path) -> None:
    values = volumes(3)
    with MapWriter(tmp_path / "out.mrc", GRID, volumes=3) as writer:
        for one in values:
            writer.write(one)
    assert mrcfile.validate(tmp_path / "out.mrc")
    with mrcfile.open(tmp_path / "out.mrc") as file:
        assert file.is_volume_stack()
        assert_array_equal(file.data, values)
        assert file.voxel_size.tolist() == pytest.approx(GRID.voxel_size)
    assert len(read_series([tmp_path / "out.mrc"])) == 3
