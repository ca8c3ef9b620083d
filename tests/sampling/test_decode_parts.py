"""Parts of a grid: what the whole has there, and nothing else is computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import constant, neural_map, siren

from nmap.errors import OptionError
from nmap.grid import Grid
from nmap.neural_map import NeuralMap
from nmap.sampling.polynomial import Polynomial

BOX = Grid((24, 20, 30), (1.2, 1.5, 1.4), (-7.0, 11.0, 3.0))
PARTS = [
    np.s_[:, :, :],
    np.s_[3:9, 5:6, 11:29],
    np.s_[::2, 1::3, ::4],
    np.s_[23:, -4:, 7:8:5],
    np.s_[5:2, :, :],
]


def made(box: Grid = BOX, resolution: float | None = 4.0, **field: object) -> NeuralMap:
    bits = np.random.default_rng(0).random((6, 5, 6)) < 0.5
    return neural_map(
        siren(24, omega=8.0), box, resolution=resolution, occupancy=bits, offset=0.7, scale=2.0, **field
    )


def grids(whole: NeuralMap) -> list[Grid]:
    """Grids of one box, finer and coarser than the band limit, one that reaches outside, and one that is turned."""
    return [
        whole.grid,
        whole.times_as_fine(1.5),
        whole.times_as_fine(0.4),
        whole.grid.region((-3, 4, 10), (24, 20, 30)),
        replace(whole.grid, angles=(90.0, 90.0, 80.0)),
    ]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("resolution", [4.0, None])
def test_a_part_is_what_the_whole_has_there(
    part: tuple[slice, ...], which: int, resolution: float | None
) -> None:
    whole = made(resolution=resolution)
    grid = grids(whole)[which]
    expected = whole.on_grid(grid)[part]
    found = whole.on_part(part, grid)
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.ptp(whole.as_array()))


def test_without_a_grid_it_is_a_part_of_the_source_s() -> None:
    whole = made(replace(BOX, angles=(80.0, 95.0, 115.0)))
    np.testing.assert_allclose(whole.on_part(PARTS[2]), whole.as_array()[PARTS[2]], atol=1e-5)


def test_only_the_part_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    on_axes = Polynomial.on_axes

    def watched(self: Polynomial, axes: tuple) -> np.ndarray:
        computed.append([samples.fractions for samples in axes])
        return on_axes(self, axes)

    monkeypatch.setattr(Polynomial, "on_axes", watched)
    made().on_part(np.s_[4:8, 2::9, 20:23])
    ((z, y, x),) = computed
    np.testing.assert_allclose(z, np.arange(4, 8) / 24)
    np.testing.assert_allclose(y, np.array([2, 11]) / 20)
    np.testing.assert_allclose(x, np.arange(20, 23) / 30)


def test_a_step_back_is_refused() -> None:
    with pytest.raises(OptionError, match="steps of at least 1"):
        made().on_part(np.s_[::-1, :, :])


def test_times_as_fine_keeps_the_box_and_flat_axes() -> None:
    assert made().times_as_fine(1.5) == BOX.resampled((36, 30, 45))
    assert made().times_as_fine(1) == BOX
    assert made().times_as_fine(0.01).shape == (1, 1, 1)
    image = neural_map(constant(), Grid((1, 20, 30), (1.0, 1.0, 1.0)))
    assert image.times_as_fine(2).shape == (1, 40, 60)


def test_times_as_fine_keeps_first_and_last_centres_where_the_file_says_so() -> None:
    grid = made(resolution=None, alignment="corners").times_as_fine(2)
    assert grid.shape == (48, 40, 60)
    assert grid.voxel_size[0] == pytest.approx(1.2 * 29 / 59)


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_a_factor_that_is_not_positive_is_refused(factor: float) -> None:
    with pytest.raises(OptionError, match="wanted a positive number"):
        made().times_as_fine(factor)
