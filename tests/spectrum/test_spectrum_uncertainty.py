"""Standard errors of correlations, and of the difference of two that share a map, against simulated scatter."""

from __future__ import annotations

import numpy as np
import pytest

from nmap.grid import Grid
from nmap.spectrum import Margin, Shells, fsc, fsc_margin, modes_for_one

GRID = Grid((24, 24, 24), (1.5,) * 3)
IMAGE = Grid((1, 72, 72), (1.5,) * 3)


def ball(grid: Grid, share: float) -> np.ndarray:
    """A soft ball about the middle, its radius a share of the box's edge."""
    at = np.indices(grid.shape) - np.reshape([n // 2 for n in grid.shape], (3, 1, 1, 1))
    return np.clip(share * grid.shape[2] + 1.5 - np.linalg.norm(at, axis=0), 0, 2).astype(np.float32) / 2


@pytest.mark.parametrize("grid", [GRID, IMAGE], ids=["volume", "image"])
@pytest.mark.parametrize("share", [None, 0.45, 0.25])
def test_noise_scatters_as_the_independent_modes_say(grid: Grid, share: float | None) -> None:
    rng = np.random.default_rng(0)
    mask = None if share is None else ball(grid, share)
    shells = Shells(grid)
    expected = np.sqrt(modes_for_one(mask, shells) / shells.modes)[2:]
    draws = [rng.standard_normal((2, *grid.shape), np.float32) for _ in range(80)]
    scatter = np.std([fsc(*pair, grid, mask).fsc[2:] for pair in draws], axis=0) / expected
    assert np.sqrt((scatter**2).mean()) == pytest.approx(1.0, abs=0.08)


def test_the_whole_box_ties_no_modes() -> None:
    shells = Shells(GRID)
    assert modes_for_one(None, shells) == 1
    assert modes_for_one(np.ones(GRID.shape, np.float32), shells) == pytest.approx(1)
    assert modes_for_one(np.zeros(GRID.shape, np.float32), shells) == 1


def test_beside_itself_a_map_leaves_the_known_error_of_one_correlation() -> None:
    rng = np.random.default_rng(1)
    a = rng.standard_normal(GRID.shape, np.float32)
    b = a + np.float32(0.7) * rng.standard_normal(GRID.shape, np.float32)
    margin = fsc_margin(b, a, a, GRID)
    rho = 1 / np.sqrt(1 + 0.7**2)
    modes = Shells(GRID).modes[3:]
    np.testing.assert_allclose(margin.error[3:] * np.sqrt(modes), 1 - rho**2, rtol=0.25)
    assert np.mean(margin.error[3:] * np.sqrt(modes)) == pytest.approx(1 - rho**2, rel=0.05)


def test_one_map_twice_has_no_margin_and_no_error() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, *GRID.shape), np.float32)
    margin = fsc_margin(a, a, b, GRID)
    assert not margin.value.any() and not margin.error.any()
    assert margin.summary(5).value == margin.summary(5).errors == 0


def test_a_margin_gives_its_lowest_value_and_the_one_that_chance_explains_least() -> None:
    value = np.array([0, 0.1, -0.02, -0.01, -0.5])
    errors = np.array([1, 0.1, 0.01, 0.002, 0.01])
    margin = Margin(value + 0.5, np.full(5, 0.5), errors, np.arange(5) / 60)
    assert margin.lowest(3) == pytest.approx(-0.02)
    lowest = margin.summary(3)
    assert (lowest.value, lowest.resolution, lowest.errors) == pytest.approx((-0.02, 30, -2))
    assert (lowest.lowest_errors, lowest.lowest_errors_resolution) == pytest.approx((-5, 20))
    assert margin.summary(1).errors == pytest.approx(1)


@pytest.mark.parametrize("share", [None, 0.4])
def test_the_margin_of_two_maps_that_share_noise_scatters_as_its_error_says(share: float | None) -> None:
    """A denoised half 1 against half 2, as cross-validation has it: the two correlations are far from independent."""
    rng = np.random.default_rng(3)
    mask = None if share is None else ball(GRID, share)
    values, errors, single = [], [], []
    for _ in range(60):
        signal, noise, other = rng.standard_normal((3, *GRID.shape), np.float32)
        half1, half2 = signal + np.float32(0.5) * noise, signal + np.float32(0.5) * other
        decode = (
            half1 - np.float32(0.3) * noise + np.float32(0.1) * rng.standard_normal(GRID.shape, np.float32)
        )
        margin = fsc_margin(decode, half1, half2, GRID, mask)
        np.testing.assert_allclose(
            margin.value,
            fsc(decode, half2, GRID, mask).fsc - fsc(half1, half2, GRID, mask).fsc,
            atol=1e-5,
        )
        values.append(margin.value[2:])
        errors.append(margin.error[2:])
        single.append(fsc(half1, half2, GRID, mask).fsc[2:])
    ratio = np.std(values, axis=0) / np.sqrt(np.mean(np.square(errors), axis=0))
    assert np.sqrt((ratio**2).mean()) == pytest.approx(1.0, abs=0.12)
    # The error of one correlation would be several times too much.
    assert np.mean(errors) < 0.6 * np.std(single, axis=0).mean()
