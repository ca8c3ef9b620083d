"""Fourier crop and pad, band limits and phase randomisation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from nmap.grid import Grid
from nmap.spectrum import (
    Shells,
    band_limited,
    fsc,
    lattice_shape,
    power,
    randomise_phases,
    resample,
    transform,
)

counts = st.tuples(*[st.integers(1, 13)] * 3)


@settings(max_examples=60)
@given(counts, counts, st.integers(0, 2**31))
def test_resampling_equals_scipys_fourier_resampling_along_each_axis(shape, to, seed):
    volume = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    expected = volume.astype(float)
    for axis, n in enumerate(to):
        expected = scipy.signal.resample(expected, n, axis=axis)
    np.testing.assert_allclose(resample(volume, to), expected, atol=2e-5)


@settings(max_examples=30)
@given(counts, st.tuples(*[st.integers(0, 7)] * 3), st.integers(0, 2**31))
def test_going_up_and_down_again_is_exact(shape, more, seed):
    volume = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    up = resample(volume, tuple(n + m for n, m in zip(shape, more, strict=True)))
    np.testing.assert_allclose(resample(up, shape), volume, atol=1e-5)


def test_upsampling_keeps_every_old_sample_in_its_place():
    volume = np.random.default_rng(0).standard_normal((6, 7, 8)).astype(np.float32)
    np.testing.assert_allclose(resample(volume, (12, 14, 16))[::2, ::2, ::2], volume, atol=1e-5)


@pytest.mark.parametrize(
    "grid",
    [
        Grid((100, 100, 100), (1.05, 1.05, 1.05)),
        Grid((60, 90, 75), (1.2, 0.8, 1.1)),
        Grid((50, 60, 70), (1.0, 1.1, 0.9), angles=(90.0, 111.0, 90.0)),
    ],
)
@pytest.mark.parametrize("limit", [2.9, 3.2, 7.0])
def test_band_limit_lattice_holds_every_shell_and_no_more_than_needed(grid, limit):
    shape = lattice_shape(grid, limit)
    shells = Shells(grid)
    inside = shells.index <= shells.last(limit)
    for axis, (n, m) in enumerate(zip(grid.shape, shape, strict=True)):
        index = np.abs(np.fft.fftfreq(n, 1 / n)) if axis < 2 else np.arange(n // 2 + 1)
        reach = index[np.any(inside, tuple(a for a in range(3) if a != axis))].max()
        assert reach < m / 2, "the Nyquist plane stays empty"
        assert m % 2 == 0
        assert m <= 1.35 * (2 * reach + 2) + 2


def test_shells_agree_between_samplings_of_one_box():
    grid = Grid((40, 60, 60), (1.5, 1.0, 1.0))
    volume = band_limited(np.random.default_rng(0).standard_normal(grid.shape), grid, 6.0)
    coarse = grid.resampled(lattice_shape(grid, 6.0))
    fine_power, coarse_power = power(volume, grid), power(resample(volume, coarse.shape), coarse)
    shared = Shells(grid).last(6.0) + 1
    scale = (grid.size / coarse.size) ** 2
    np.testing.assert_allclose(coarse_power[:shared] * scale, fine_power[:shared], rtol=1e-4)


def test_band_limited_leaves_nothing_beyond_and_everything_within():
    grid = Grid((32, 32, 32), (1.0, 1.0, 1.0))
    volume = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    limited = band_limited(volume, grid, 4.0)
    before, after = power(volume, grid), power(limited, grid)
    np.testing.assert_allclose(after[:9], before[:9], rtol=1e-4)
    assert after[9:].max() < 1e-8 * before.max()


def test_randomised_phases_keep_amplitudes_and_lose_correlation_from_the_given_shell_on():
    grid = Grid((30, 32, 34), (1.0, 1.0, 1.0))
    volume = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    mixed = randomise_phases(volume, grid, 6, seed=1)
    np.testing.assert_allclose(np.abs(transform(mixed)), np.abs(transform(volume)), atol=2e-2)
    curve = fsc(mixed, volume, grid)
    np.testing.assert_allclose(curve.fsc[:6], 1, atol=1e-5)
    assert np.all(np.abs(curve.fsc[6:]) < 5 / np.sqrt(curve.modes[6:] / 2))


def test_randomised_phases_are_the_same_for_a_seed_and_independent_for_two():
    grid = Grid((24, 24, 24), (1.0, 1.0, 1.0))
    volume = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    one, again, two = (randomise_phases(volume, grid, 4, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    curve = fsc(one, two, grid)
    assert np.all(np.abs(curve.fsc[5:]) < 5 / np.sqrt(curve.modes[5:] / 2))
