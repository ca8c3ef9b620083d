"""Decoding to grids: one density, whatever the sampling."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import constant, neural_map, siren, waves
from scipy.spatial.transform import Rotation

from nmap.grid import Grid
from nmap.neural_map import NeuralMap
from nmap.sampling.grids import covered
from nmap.spectrum import band_limited, fsc, resample

BOX = Grid((24, 20, 30), (1.2, 1.5, 1.4), (-7.0, 11.0, 3.0))
SKEW = replace(BOX, angles=(80.0, 95.0, 115.0))


def molecule(box: Grid = BOX, **field: object) -> NeuralMap:
    """A random band-limited map with everything in it."""
    bits = np.random.default_rng(0).random((6, 5, 6)) < 0.5
    gains = np.linspace(2, 0.5, int(max(box.edges) / 4.0) + 1).astype(np.float32)
    return neural_map(
        siren(32, omega=6.0), box, resolution=4.0, gains=gains, occupancy=bits, offset=0.7, scale=2.0, **field
    )


@pytest.mark.parametrize("box", [BOX, SKEW])
@pytest.mark.parametrize("factor", [2, 3])
def test_every_nth_sample_of_a_finer_decode_is_the_decode(box: Grid, factor: int) -> None:
    made = molecule(box)
    shape = tuple(factor * n for n in box.shape)
    fine = made.as_array(shape)
    coarse = made.as_array()
    assert fine.shape == shape
    np.testing.assert_allclose(fine[::factor, ::factor, ::factor], coarse, atol=1e-5 * np.ptp(coarse))


@pytest.mark.parametrize("shape", [(24, 20, 30), (25, 33, 31), (16, 13, 17), (96, 40, 30)])
def test_a_decode_at_another_shape_is_the_fourier_resampled_decode(shape: tuple[int, int, int]) -> None:
    """Sample 0 stays in place; too coarse a grid keeps what it can hold."""
    made = molecule()
    expected = resample(made.as_array((64, 64, 64)), shape)
    np.testing.assert_allclose(made.as_array(shape), expected, atol=2e-5 * np.ptp(expected))


def test_nothing_lies_beyond_the_band_limit() -> None:
    made = molecule()
    fine = made.as_array((48, 40, 60))
    grid = made.grid_for((48, 40, 60))
    cut = band_limited(fine, grid, 4.0)
    assert np.square(fine - cut).sum() < 1e-10 * np.square(cut - cut.mean()).sum()


@pytest.mark.parametrize("box", [BOX, SKEW])
@pytest.mark.parametrize("resolution", [4.0, None])
def test_a_region_is_that_part_of_the_decode_and_the_offset_outside_the_box(
    box: Grid, resolution: float | None
) -> None:
    made = molecule(box) if resolution else neural_map(siren(), box, offset=0.7)
    whole = np.full((40, 40, 40), 0.7, np.float32)
    whole[5:29, 5:25, 5:35] = made.as_array()
    region = made.on_grid(box.region((-5, -5, -5), (40, 40, 40)))
    np.testing.assert_allclose(region, whole, atol=1e-5 * np.ptp(whole))
    inner = made.on_grid(box.region((3, 4, 5), (6, 7, 8)))
    np.testing.assert_allclose(inner, whole[8:14, 9:16, 10:18], atol=1e-5 * np.ptp(whole))
    assert (made.on_grid(box.region((30, 0, 0), (3, 3, 3))) == np.float32(0.7)).all()


@pytest.mark.parametrize("resolution", [4.0, None])
@pytest.mark.parametrize(
    "grid",
    [
        Grid((31, 18, 22), (1.31, 1.13, 0.77), (-5.5, 12.1, 9.3)),
        Grid((9, 50, 9), (1.2, 0.75, 1.4), (-6.0, 10.0, 8.0)),
        BOX.region((0, 0, 0), (3, 3, 3)),
        replace(SKEW, origin=(-2.0, 14.0, 10.0), shape=(9, 8, 7)),
        Grid((12, 12, 12), (1.9, 1.9, 1.9), (-2.0, 13.0, 5.0), (70.0, 90.0, 90.0)),
    ],
)
def test_any_grid_and_single_points_agree_to_1e_5_of_the_range(grid: Grid, resolution: float | None) -> None:
    made = molecule() if resolution else neural_map(siren(omega=6.0), BOX)
    values = made.on_grid(grid)
    expected = made.sample(grid.points())
    assert values.shape == grid.shape and values.dtype == np.float32
    np.testing.assert_allclose(values, expected, atol=1e-5 * np.ptp(made.as_array()))


def test_a_turned_map_is_the_map_seen_from_a_turned_grid() -> None:
    """A grid with other axes, against the plane wave's closed form."""
    made = neural_map(waves([(2, -1, 3)], [1.5], [0.4]), BOX, resolution=4.0)
    grid = Grid((8, 9, 10), (0.9, 0.8, 0.7), (-2.0, 14.0, 10.0), (75.0, 82.0, 104.0))
    f = BOX.fractions(grid.points())
    np.testing.assert_allclose(made.on_grid(grid), 1.5 * np.sin(2 * np.pi * f @ [2, -1, 3] + 0.4), atol=1e-4)


def centre_of_mass(values: np.ndarray) -> list[float]:
    """Box fractions (z, y, x), by the phase of the first Fourier term: right however the edges ring."""
    out = []
    for axis in range(3):
        line = values.sum(tuple(a for a in range(3) if a != axis), dtype=np.float64)
        turn = (line * np.exp(2j * np.pi * np.arange(line.size) / line.size)).sum()
        out.append(float(np.angle(turn) / (2 * np.pi)) % 1)
    return out


@pytest.mark.parametrize("shape", [(40, 40, 40), (80, 80, 80), (41, 57, 50), (20, 20, 20), (120, 40, 40)])
def test_the_centre_of_mass_stays_within_a_thousandth_of_a_voxel(shape: tuple[int, int, int]) -> None:
    box = Grid((40, 40, 40), (1.0, 1.0, 1.0), (4.0, 5.0, 6.0))
    bits = np.zeros((10, 10, 10), bool)
    bits[4:7, 5, 3:5] = True
    made = neural_map(constant(), box, resolution=2.5, occupancy=bits)
    decoded, again = made.as_array(shape), made.as_array()
    centres = [centre_of_mass(values) for values in (decoded, again)]
    np.testing.assert_allclose(centres[0][:2], 0.5, atol=0.001 / max(shape))
    np.testing.assert_allclose(centres[0], centres[1], atol=0.001 / max(shape))
    assert decoded.mean() == pytest.approx(again.mean(), rel=1e-5)


def test_fsc_of_a_finer_decode_with_the_upsampled_decode_is_one() -> None:
    box = Grid((30, 30, 30), (1.3, 1.3, 1.3))
    made = molecule(box)
    up = resample(made.as_array(), (60, 60, 60))
    curve = fsc(made.as_array((60, 60, 60)), up, box.resampled((60, 60, 60)))
    assert curve.worst(4.2) > 0.99999


@pytest.mark.parametrize("resolution", [4.0, None])
@pytest.mark.parametrize("rows", [1, 5, 100, None])
def test_slabs_are_the_decode_in_pieces(resolution: float | None, rows: int | None) -> None:
    made = molecule() if resolution else neural_map(siren(), BOX)
    for grid in (
        BOX,
        BOX.resampled((37, 20, 60)),
        Grid((7, 8, 9), (1.0, 1.0, 1.0), BOX.origin, (70, 80, 90)),
    ):
        parts = list(made.slabs(grid, rows))
        if rows is not None:
            assert [start for start, _ in parts] == list(range(0, grid.shape[0], rows))
        whole = np.concatenate([part for _, part in parts])
        expected = made.on_grid(grid)
        np.testing.assert_allclose(whole, expected, atol=1e-5 * np.ptp(expected))


def test_a_grid_a_hair_off_the_box_counts_as_on_it() -> None:
    """Headers round: samples less than a thousandth of a voxel before the first face are not solvent."""
    made = molecule()
    shifted = replace(BOX, origin=(BOX.origin[0] - 5e-4, BOX.origin[1], BOX.origin[2]))
    np.testing.assert_allclose(made.on_grid(shifted), made.as_array(), atol=0.01)
    np.testing.assert_allclose(made.sample(shifted.points()), made.as_array(), atol=0.01)


def test_corner_alignment_keeps_first_and_last_voxel_in_place() -> None:
    box = Grid((11, 11, 21), (2.0, 2.0, 2.0), (1.0, 2.0, 3.0))
    half = tuple((n - 1) / (2 * n) for n in box.shape)
    made = neural_map(siren(), box, center=half, half_width=half, alignment="corners")
    grid = made.grid_for((6, 21, 41))
    np.testing.assert_allclose(grid.voxel_size, (1.0, 1.0, 4.0))
    np.testing.assert_allclose(grid.points()[-1, -1, -1], box.points()[-1, -1, -1])
    t = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (6, 21, 41)), indexing="ij"), -1)
    expected = made.field.network(t.reshape(-1, 3)).reshape(6, 21, 41)
    np.testing.assert_allclose(made.as_array((6, 21, 41)), expected, atol=1e-5)
    assert made.grid_for((1, 11, 21)).voxel_size[2] == 20.0


def test_a_map_of_one_voxel_along_an_axis_decodes() -> None:
    made = neural_map(constant(2.0), Grid((1, 8, 8), (1.0, 1.0, 1.0)), resolution=3.0)
    np.testing.assert_allclose(made.as_array(), 2.0, atol=1e-6)


def test_decoding_loads_nothing_heavy() -> None:
    code = (
        "import sys; from phantoms import Grid, neural_map, siren;"
        "m = neural_map(siren(), Grid((8, 8, 8), (1, 1, 1)), resolution=3.0);"
        "m.as_array(); m.sample([[1, 2, 3]]); m.gradient([[1, 2, 3]]);"
        "heavy = {'torch', 'h5py', 'gemmi', 'scipy.ndimage', 'scipy.optimize'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    here = Path(__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_rotating_the_points_of_a_grid_is_sampling() -> None:
    made = molecule()
    turn = Rotation.from_euler("xyz", [0.3, -0.2, 0.5]).as_matrix()
    middle = BOX.positions([0.5, 0.5, 0.5])
    points = (BOX.points() - middle) @ turn.T + middle
    few = points.reshape(-1, 3)[::97]
    many = made.sample(points)
    assert many.shape == BOX.shape
    np.testing.assert_allclose(many.reshape(-1)[::97], made.sample(few), atol=1e-5 * np.ptp(many))


def test_the_share_of_a_grid_in_a_box_counts_samples_as_the_decoder_does() -> None:
    box = Grid((10, 10, 10), (1.0, 1.0, 1.0))
    assert covered(box, Grid((10, 10, 20), (1.0, 1.0, 1.0), (-5.0, 0.0, 0.0))) == 10 / 20
    assert covered(box, Grid((10, 5, 4), (1.0, 1.0, 1.0), (8.0, 7.0, 0.0))) == pytest.approx(2 / 4 * 3 / 5)
    assert covered(box, Grid((10, 10, 10), (1.0, 1.0, 1.0), (10.0, 0.0, 0.0))) == 0
    # Half a thousandth of a voxel before either face: the first sample is still in the box, the last no more.
    assert covered(box, Grid((10, 10, 11), (1.0, 1.0, 1.0), (-0.0005, 0.0, 0.0))) == pytest.approx(10 / 11)
    # More samples than could be listed.
    assert covered(box, Grid((10**12, 1, 1), (1.0, 1.0, 2e-11))) == pytest.approx(9.999 / 20)
