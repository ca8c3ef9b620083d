"""napari's reader: the manifest as napari's plugin engine reads it, and layers in the place of the map."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import constant, neural_map, siren

import nmap
from nmap.grid import Grid
from nmap.integrations.napari_reader import first_level, image_layer, reader
from nmap.neural_map import NeuralMap

with warnings.catch_warnings():  # of what npe2 itself does
    warnings.simplefilter("ignore", DeprecationWarning)
    from npe2 import PluginManifest

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "nmap" / "integrations" / "napari.yaml"
GRID = Grid((12, 14, 16), (1.5, 2.0, 1.25), (10.0, -20.0, 3.0))


def made(grid: Grid = GRID, **more: object) -> NeuralMap:
    return neural_map(siren(omega=6.0), grid, resolution=5.0, **more)


@pytest.fixture(name="path")
def make_file(tmp_path: Path) -> str:
    nmap.save(made(record={"fidelity": {"contour_level": 0.25}}), tmp_path / "a map.nmap")
    return str(tmp_path / "a map.nmap")


def test_the_manifest_is_valid_and_its_reader_can_be_imported() -> None:
    command = [sys.executable, "-m", "npe2", "validate", str(MANIFEST), "--imports"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and "valid" in ran.stdout, ran.stdout + ran.stderr


def test_the_distribution_names_the_manifest_and_the_manifest_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ((name, value),) = project["entry-points"]["napari.manifest"].items()
    package, _, file = value.partition(":")
    assert ROOT / package.replace(".", "/") / file == MANIFEST
    assert PluginManifest.from_file(MANIFEST).name == name == project["name"]


def test_napari_s_engine_reads_a_file_through_the_manifest(path: str) -> None:
    (contribution,) = PluginManifest.from_file(MANIFEST).contributions.readers
    assert contribution.filename_patterns == ["*.nmap"] and not contribution.accepts_directories
    ((values, shown, kind),) = reader(path)(path)
    assert kind == "image" and shown["name"] == "a map"
    np.testing.assert_array_equal(values, nmap.open(path).as_array())


def test_other_files_are_left_to_other_readers(path: str) -> None:
    assert reader("a.mrc") is None and reader([path, "a.mrc"]) is None
    assert len(reader([path, path])([path, path])) == 2


def test_a_layer_lies_where_the_map_does_and_shows_its_surface() -> None:
    _, shown, _ = image_layer(made(record={"fidelity": {"contour_level": 0.25}}), "a\x1b[31m")
    assert shown["scale"] == (1.25, 2.0, 1.5) and shown["translate"] == (3.0, -20.0, 10.0)
    assert shown["units"] == ("angstrom",) * 3 and shown["axis_labels"] == ("z", "y", "x")
    assert shown["rendering"] == "iso" and shown["iso_threshold"] == 0.25
    assert shown["name"] == "a?[31m"


def test_an_oblique_cell_is_an_affine_matrix() -> None:
    box = replace(GRID, angles=(80.0, 95.0, 115.0))
    _, shown, _ = image_layer(made(box), "a")
    assert "scale" not in shown
    index = np.array([3, 5, 7, 1])
    np.testing.assert_allclose((shown["affine"] @ index)[:3], box.points()[3, 5, 7][::-1])


def test_without_a_contour_the_level_encloses_the_envelope_s_volume() -> None:
    bits = np.zeros((6, 6, 6), bool)
    bits[2, 2, 1:3] = True
    whole = made(occupancy=bits)
    values = np.random.default_rng(1).normal(0, 1, GRID.shape).astype(np.float32)
    assert (values > first_level(whole, values)).mean() == pytest.approx(2 / 216, abs=1e-3)
    # An envelope of half the box says nothing of where the molecule ends.
    bits[:4] = True
    values[3, 4, 5] = 50
    assert first_level(made(occupancy=bits), values) == pytest.approx(
        values.mean() + 3 * values.std(), rel=1e-4
    )


def test_without_either_it_stands_out_by_three_standard_deviations() -> None:
    values = np.random.default_rng(0).normal(5, 2, GRID.shape).astype(np.float32)
    values[3, 4, 5] = 50
    assert first_level(made(), values) == pytest.approx(values.mean() + 3 * values.std(), rel=1e-5)


def test_a_level_lies_below_the_maximum() -> None:
    values = np.full(GRID.shape, 1.0, np.float32)
    values[:6] = 3.0
    assert first_level(made(), values) == pytest.approx(2.5)


def test_a_constant_map_is_shown_without_a_surface() -> None:
    _, shown, _ = image_layer(neural_map(constant(), GRID), "a")
    assert "iso_threshold" not in shown and "contrast_limits" not in shown


@pytest.mark.filterwarnings("ignore")  # of what napari itself does
def test_napari_opens_it_as_it_is_told(path: str) -> None:
    components = pytest.importorskip("napari.components", reason="napari is not installed")
    layers = pytest.importorskip("napari.layers")
    viewer = components.ViewerModel()
    ((values, shown, kind),) = reader(path)(path)
    layer = viewer.add_layer(layers.Layer.create(values, shown, kind))
    viewer.dims.ndisplay = 3
    assert layer.rendering == "iso" and layer.iso_threshold == 0.25
    assert [str(unit) for unit in layer.units] == ["angstrom"] * 3 and layer.axis_labels == ("z", "y", "x")
    np.testing.assert_allclose(layer.data_to_world((3, 5, 7)), GRID.points()[3, 5, 7][::-1])
    np.testing.assert_allclose(layer.extent.world[0], GRID.points()[0, 0, 0][::-1])
