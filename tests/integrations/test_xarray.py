"""`NeuralMap.to_xarray` and the engine: coordinates in Angstrom, and regions that are decoded when looked at."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import xarray
from phantoms import neural_map, siren

import nmap
from nmap.errors import FormatError, MissingPackageError, OptionError
from nmap.grid import Grid
from nmap.integrations.xarray_engine import NmapEngine
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup

ROOT = Path(__file__).parents[2]
GRID = Grid((12, 14, 16), (1.5, 2.0, 1.25), (10.0, -20.0, 3.0))


@pytest.fixture(name="made")
def make_map() -> NeuralMap:
    return neural_map(
        siren(omega=6.0),
        GRID,
        resolution=5.0,
        symmetry=PointGroup("C2", (12.0, 14.0, 7.5)),
        record={"fidelity": {"contour_level": 0.25}},
    )


@pytest.fixture(name="path")
def make_file(made: NeuralMap, tmp_path: Path) -> Path:
    nmap.save(made, tmp_path / "a.nmap")
    return tmp_path / "a.nmap"


@pytest.fixture(name="parts")
def watch_parts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[slice, ...]]:
    """Parts of grids that are decoded."""
    from nmap import labelled

    seen: list[tuple[slice, ...]] = []
    decode = labelled.on_part
    monkeypatch.setattr(
        labelled, "on_part", lambda field, grid, part: seen.append(part) or decode(field, grid, part)
    )
    return seen


def test_coordinates_are_the_positions_of_the_samples_in_angstrom(made: NeuralMap) -> None:
    array = made.to_xarray()
    assert array.dims == ("z", "y", "x") and array.shape == GRID.shape and array.name == "density"
    points = GRID.points()
    np.testing.assert_allclose(array.x, points[0, 0, :, 0])
    np.testing.assert_allclose(array.y, points[0, :, 0, 1])
    np.testing.assert_allclose(array.z, points[:, 0, 0, 2])
    assert {array[name].attrs["units"] for name in "zyx"} == {"angstrom"}
    assert array.attrs["band_limit"] == 5.0
    assert array.attrs["symmetry"] == "C2" and array.attrs["contour_level"] == 0.25


def test_values_are_the_decode_s_at_any_sampling(made: NeuralMap) -> None:
    np.testing.assert_allclose(made.to_xarray(), made.as_array(), atol=1e-6)
    finer = made.to_xarray(1.5)
    assert finer.shape == (18, 21, 24)
    np.testing.assert_allclose(finer, made.as_array((18, 21, 24)), atol=1e-6)
    assert float(finer.x[1] - finer.x[0]) == pytest.approx(1.0)


def test_a_sample_lies_where_its_coordinates_say(made: NeuralMap) -> None:
    array = made.to_xarray(2)
    one = array.isel(z=5, y=17, x=30)
    point = [float(one.x), float(one.y), float(one.z)]
    assert float(one) == pytest.approx(float(made.sample([point])[0]), abs=1e-5)


def test_in_an_oblique_cell_coordinates_run_along_its_axes() -> None:
    box = Grid((6, 7, 8), (1.0, 1.5, 2.0), (3.0, 4.0, 5.0), (80.0, 95.0, 115.0))
    array = neural_map(siren(), box).to_xarray()
    assert array.attrs["cell_angles"] == [80.0, 95.0, 115.0]
    axes = box.axes / np.linalg.norm(box.axes, axis=0)
    along = np.array([float(array.x[3]), float(array.y[5]), float(array.z[2])])
    np.testing.assert_allclose(axes @ along, box.points()[2, 5, 3])


@pytest.mark.parametrize(
    "key",
    [
        np.s_[2:5, ::3, 1:9],
        np.s_[4, 3:9, -1],
        np.s_[::-2, 5:1:-1, :],
        np.s_[[7, 1, 4], :, [2, 2, 11]],
        np.s_[[], 1:3, :],
        np.s_[5, 6, 7],
    ],
)
def test_a_region_is_the_crop_of_the_whole(made: NeuralMap, key: tuple) -> None:
    whole = xarray.DataArray(made.as_array(), dims=("z", "y", "x"))[key]
    region = made.to_xarray()[key]
    assert region.shape == whole.shape
    np.testing.assert_allclose(region.values, whole.values, atol=1e-6)


def test_opening_decodes_nothing_and_a_region_decodes_itself(
    path: Path, parts: list[tuple[slice, ...]]
) -> None:
    with xarray.open_dataset(path, engine=NmapEngine) as opened:
        region = opened.density.sel(z=slice(5, 9), x=slice(None, None, 3))[:, 2]
        assert "density" in repr(region) and region.sizes == {"z": 3, "x": 6} and parts == []
        region.load()
    assert [[len(range(*s.indices(n))) for s, n in zip(parts[0], GRID.shape, strict=True)]] == [[3, 1, 6]]
    assert len(parts) == 1


def test_a_whole_is_decoded_once(made: NeuralMap, parts: list[tuple[slice, ...]]) -> None:
    array = made.to_xarray()
    assert float(array.max()) == float(array.values.max()) and len(parts) == 1


def test_far_apart_samples_do_not_bring_those_between(
    made: NeuralMap, parts: list[tuple[slice, ...]]
) -> None:
    made.to_xarray()[[0, 11], [3], [1, 15, 8]].load()
    assert parts == [(slice(0, 12, 11), slice(3, 4, 1), slice(1, 16, 7))]


def test_an_array_can_be_written_to_without_touching_the_map(made: NeuralMap) -> None:
    array = made.to_xarray()
    array[0, 0, 0] = 99.0
    assert float(array[0, 0, 0]) == 99.0 and float(made.to_xarray()[0, 0, 0]) < 9


def test_an_array_travels_to_another_process_undecoded(made: NeuralMap) -> None:
    there = pickle.loads(pickle.dumps(made.to_xarray()))
    np.testing.assert_allclose(there, made.as_array(), atol=1e-6)


def test_the_engine_takes_a_sampling_and_finds_files_by_their_ending(path: Path) -> None:
    with xarray.open_dataarray(path, engine=NmapEngine, sampling=0.5) as array:
        assert array.shape == (6, 7, 8)
    engine = NmapEngine()
    assert engine.guess_can_open(path) and engine.guess_can_open(str(path))
    assert not engine.guess_can_open("a.nc") and not engine.guess_can_open(b"HDF")
    assert "density" not in engine.open_dataset(path, drop_variables="density")


def test_the_engine_is_registered_under_its_name() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "xarray.backends"
    ]
    assert {name: EntryPoint(name, value, "xarray.backends").load() for name, value in stated.items()} == {
        "nmap": NmapEngine
    }


def test_what_is_no_nmap_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nmap").write_bytes(b"nothing" * 99)
    with pytest.raises(FormatError, match=r"a\.nmap"):
        xarray.open_dataset(tmp_path / "a.nmap", engine=NmapEngine)
    with pytest.raises(OptionError, match="wanted the path"):
        NmapEngine().open_dataset(b"bytes")


def test_without_xarray_one_line_names_the_extra(made: NeuralMap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmap.machine.packages.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install '\.\[xarray\]'"):
        made.to_xarray()


def test_a_neural_map_alone_loads_no_xarray(path: Path) -> None:
    program = (
        f"import sys, nmap; nmap.open({os.fspath(path)!r}).as_array(); sys.exit('xarray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
