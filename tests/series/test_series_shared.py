"""What noisy frames share, shell by shell: of noise and change that are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmap.axis import Axis
from nmap.fit.series.products import frame_products
from nmap.fit.series.shared import Shared, shared_functions, shared_part, shared_products
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.spectrum import Shells, invert, transform

GRID = Grid((24, 24, 24), (1.5,) * 3)
RESOLUTION = 4.0
SHELLS = Shells(GRID)
LAST = SHELLS.last(RESOLUTION)
COARSE = 5
COUNT = 9


def density(values: np.ndarray) -> DensityMap:
    return DensityMap(values.astype(np.float32), GRID)


def power(values: np.ndarray) -> np.ndarray:
    """Power by shell, to the resolution."""
    return SHELLS.sum(np.abs(transform(values.astype(np.float32))) ** 2)[: LAST + 1]


def shaped(values: np.ndarray, by_shell: np.ndarray) -> np.ndarray:
    """Values with each shell's amplitudes times a number."""
    half = transform(values.astype(np.float32)) * SHELLS.spread(by_shell)
    return invert(half, GRID.shape)


def frames_of(axis: Axis, noise: float) -> tuple[list[np.ndarray], list[DensityMap]]:
    """Frames of a still part and one that changes in coarse shells alone, as they are and with noise."""
    rng = np.random.default_rng(5)
    still, change = rng.normal(size=(2, *GRID.shape))
    coarse = (np.arange(LAST + 1) <= COARSE).astype(float)
    functions = axis.at_frames(3)
    truth = [still * row[0] + shaped(change, coarse) * row[1] for row in functions]
    noisy = [t + noise * rng.normal(size=GRID.shape) for t in truth]
    return truth, [density(n) for n in noisy]


@pytest.mark.parametrize("period", [None, 2.0])
def test_a_function_is_kept_in_the_shells_where_it_is_beyond_the_noise(period: float | None) -> None:
    axis, noise = Axis(tuple(k / 5 for k in range(COUNT)), period), 0.4
    truth, noisy = frames_of(axis, noise)
    products = frame_products(noisy, RESOLUTION, None)
    shared = shared_functions(products, axis, SHELLS.modes)
    assert shared is not None
    assert shared.functions == (2 if period is None else 3)
    # Shell 0 is the mean, and shell 1 has few modes.
    assert (shared.kept[2 : COARSE + 1, 1] > 0.8).all() and (shared.kept[COARSE + 1 :, 1] == 0).all()
    mean = np.mean([power(n.values) for n in noisy], axis=0)
    expected = noise**2 * GRID.size * SHELLS.modes[: LAST + 1] / mean
    assert_allclose(shared.noise[2:], expected[2:], rtol=0.35)
    assert_allclose(shared.noise[2:].mean(), expected[2:].mean(), rtol=0.1)
    part = shared_part(noisy, axis, shared)
    assert_allclose(
        shared_products(products, axis, shared),
        frame_products(part, RESOLUTION, None),
        atol=1e-4 * products.max(),
    )
    left = np.mean([power(p.values - t) for p, t in zip(part, truth, strict=True)], axis=0)
    # Of noise, one function of nine holds a ninth, two hold two ninths.
    assert_allclose(left[2:] / mean[2:], shared.held[2:], rtol=0.5)
    assert (left[COARSE + 1 :] < 0.2 * expected[COARSE + 1 :] * mean[COARSE + 1 :]).all()


@pytest.mark.parametrize("count", [8, 9])
def test_all_of_the_noise_of_a_cycle_is_counted(count: int) -> None:
    axis, noise = Axis(tuple(range(count)), float(count)), 0.4
    _, noisy = frames_of(axis, noise)
    shared = shared_functions(frame_products(noisy, RESOLUTION, None), axis, SHELLS.modes)
    assert shared is not None
    mean = np.mean([power(n.values) for n in noisy], axis=0)
    expected = noise**2 * GRID.size * SHELLS.modes[: LAST + 1] / mean
    assert_allclose(shared.noise[2:].mean(), expected[2:].mean(), rtol=0.05)


@pytest.mark.parametrize("phase", [0.0, np.pi / 2])
def test_where_a_cycle_begins_says_nothing_of_its_noise(phase: float) -> None:
    axis, rng = Axis(tuple(range(6)), 6.0), np.random.default_rng(8)
    still, change = rng.normal(size=(2, *GRID.shape))
    noisy = [
        density(still + 0.5 * change * np.cos(2 * np.pi * k / 6 + phase) + 0.4 * rng.normal(size=GRID.shape))
        for k in range(6)
    ]
    shared = shared_functions(frame_products(noisy, RESOLUTION, None), axis, SHELLS.modes)
    assert shared is not None and shared.functions == 3
    assert_allclose(shared.kept[:, 1], shared.kept[:, 2])


def test_in_shells_without_noise_all_is_kept() -> None:
    axis, rng = Axis(tuple(range(COUNT))), np.random.default_rng(1)
    truth, _ = frames_of(axis, 0.0)
    fine = (np.arange(LAST + 20) > 3).astype(float)
    noisy = [density(t + shaped(0.5 * rng.normal(size=GRID.shape), fine)) for t in truth]
    shared = shared_functions(frame_products(noisy, RESOLUTION, None), axis, SHELLS.modes)
    assert shared is not None
    assert_allclose(shared.kept[1:4, 1], 1, atol=1e-3)
    part = shared_part(noisy, axis, shared)
    left = np.mean([power(p.values - t) for p, t in zip(part, truth, strict=True)], axis=0)
    assert (left[1:4] < 1e-6 * np.mean([power(t) for t in truth], axis=0)[1:4]).all()


def test_shells_finer_than_the_products_are_kept_as_the_last_of_these() -> None:
    axis = Axis(tuple(range(COUNT)))
    _, noisy = frames_of(axis, 0.4)
    shared = shared_functions(frame_products(noisy, RESOLUTION, None), axis, SHELLS.modes)
    assert shared is not None
    few = Shared(shared.kept[: COARSE - 1], shared.noise[: COARSE - 1], shared.held[: COARSE - 1])
    whole, cut = shared_part(noisy, axis, shared)[0], shared_part(noisy, axis, few)[0]
    apart = power(whole.values - cut.values) / power(whole.values)
    assert (apart[1 : COARSE + 1] < 0.01).all()
    assert not np.array_equal(whole.values, cut.values)


def test_frames_without_noise_share_all() -> None:
    axis = Axis(tuple(range(COUNT)))
    assert (
        shared_functions(frame_products(frames_of(axis, 0.02)[1], RESOLUTION, None), axis, SHELLS.modes)
        is None
    )


def test_of_few_frames_noise_is_not_told() -> None:
    axis = Axis(tuple(range(5)))
    assert (
        shared_functions(frame_products(frames_of(axis, 0.4)[1], RESOLUTION, None), axis, SHELLS.modes)
        is None
    )
