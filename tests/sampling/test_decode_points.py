"""Points and derivatives of a band-limited map: exact sums, spread sums, closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import neural_map, siren, waves

from nmap.grid import Grid
from nmap.sampling import polynomial as trigonometric
from nmap.sampling.polynomial import FEW, Polynomial, Samples

BOX = Grid((24, 20, 30), (1.2, 1.5, 1.4), (-7.0, 11.0, 3.0))
SKEW = replace(BOX, angles=(80.0, 95.0, 115.0))


def polynomial(degree: tuple[int, int, int], seed: int = 0, slope: float = 0.0) -> Polynomial:
    """Random coefficients, falling off with frequency as a map's do where `slope` is positive."""
    rng = np.random.default_rng(seed)
    shape = (2 * degree[0] + 1, 2 * degree[1] + 1, degree[2] + 1)
    k = np.moveaxis(np.indices(shape), 0, -1) - [degree[0], degree[1], 0]
    size = (1 + np.linalg.norm(k, axis=-1)) ** -slope
    values = size * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    # The plane of x frequency 0 holds its own mirror.
    values[:, :, 0] = (values[:, :, 0] + values[::-1, ::-1, 0].conj()) / 2
    return Polynomial(values.astype(np.complex64))


def direct(p: Polynomial, fractions: np.ndarray) -> np.ndarray:
    """The sum as it is written, in double precision."""
    waves_ = [np.exp(2j * np.pi * np.outer(fractions[:, a], p.frequencies(a))) for a in range(3)]
    twice = np.where(p.frequencies(2) > 0, 2, 1)
    terms = ("zyx,nz,ny,nx,x->n", p.coefficients.astype(complex), *waves_, twice)
    return np.einsum(*terms, optimize=True).real


@pytest.mark.parametrize("slope", [0.0, 1.5])
@pytest.mark.parametrize("degree", [(7, 9, 8), (0, 3, 12), (15, 15, 15)])
def test_many_points_agree_with_the_direct_sum_to_1e_5_of_the_range(
    degree: tuple[int, int, int], slope: float
) -> None:
    p = polynomial(degree, slope=slope)
    fractions = np.random.default_rng(1).uniform(-0.2, 1.2, (FEW + 500, 3))
    expected = direct(p, fractions)
    assert np.abs(p.at(fractions) - expected).max() <= 5e-6 * np.ptp(expected)
    assert np.abs(p.at(fractions[:300]) - expected[:300]).max() <= 1e-6 * np.ptp(expected)


def test_many_points_are_spread_slab_by_slab_to_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large polynomials are interpolated from slabs of the fine grid: forced here by a small one."""
    p = polynomial((9, 8, 7))
    fractions = np.random.default_rng(2).uniform(0, 1, (FEW + 100, 3))
    fractions[:4] = [[0, 0, 0], [1 - 1e-12, 0.5, 0.5], [0.5, 1 - 1e-12, 0], [1e-12, 0, 1 - 1e-12]]
    whole = p.at(fractions)
    monkeypatch.setattr(trigonometric, "_FINE_BLOCK", 1)
    np.testing.assert_allclose(p.at(fractions), whole, atol=1e-6 * np.ptp(whole))


@pytest.mark.parametrize(
    "axes",
    [
        (Samples(0.0, 1 / 24, 24), Samples(0.0, 1 / 20, 20), Samples(0.0, 1 / 30, 30)),
        (Samples(0.1, 1 / 30, 35), Samples(0.3, 1 / 25, 25), Samples(-0.2, 1 / 24, 30)),
        (Samples(0.1, 0.031, 9), Samples(0.2, 0.0123, 11), Samples(0.3, 0.027, 13)),
        (Samples(0.7, 1 / 18, 3), Samples(0.2, 1 / 100, 2), Samples(0.3, 1 / 16, 1)),
    ],
)
def test_grids_along_the_axes_agree_with_the_direct_sum(axes: tuple[Samples, Samples, Samples]) -> None:
    p = polynomial((9, 8, 7))
    points = np.stack(np.meshgrid(*(a.fractions for a in axes), indexing="ij"), -1)
    expected = direct(p, points.reshape(-1, 3)).reshape(points.shape[:3])
    anywhere = direct(p, np.random.default_rng(0).random((500, 3)))
    np.testing.assert_allclose(p.on_axes(axes), expected, atol=1e-6 * np.ptp(anywhere))


def test_a_polynomial_at_its_own_nyquist_keeps_both_signs() -> None:
    """Degree 6 on 12 samples: both signs of the last frequency fall together, as a crop folds them."""
    p = polynomial((6, 6, 6))
    axes = (Samples(0.0, 1 / 12, 12),) * 3
    points = np.stack(np.meshgrid(*(a.fractions for a in axes), indexing="ij"), -1).reshape(-1, 3)
    np.testing.assert_allclose(p.on_axes(axes).reshape(-1), direct(p, points), atol=1e-4)


@pytest.mark.parametrize("box", [BOX, SKEW])
@pytest.mark.parametrize("count", [200, FEW + 200])
def test_value_and_gradient_of_a_wave_are_sine_and_cosine(box: Grid, count: int) -> None:
    k = np.array([2, -1, 3])
    gains = np.linspace(1, 2, int(max(box.edges) / 4.0) + 1).astype(np.float32)
    made = neural_map(
        waves([(2, -1, 3)], [1.5], [0.4]), box, resolution=4.0, gains=gains, offset=1.0, scale=2.0
    )
    shell = round(float(np.linalg.norm(box.reciprocal @ k[::-1])) * max(box.edges))
    size = 2 * 1.5 * gains[shell]
    f = np.random.default_rng(3).uniform(0.01, 0.99, (count, 3))
    phase = 2 * np.pi * f @ k + 0.4
    points = box.positions(f)
    np.testing.assert_allclose(made.sample(points), 1 + size * np.sin(phase), atol=2e-5 * size)
    # d/dx of 2 pi k . f(x) is 2 pi times the reciprocal vector of k.
    slope = size * np.cos(phase)[:, None] * 2 * np.pi * (box.reciprocal @ k[::-1])
    np.testing.assert_allclose(made.gradient(points), slope, atol=5e-5 * np.abs(slope).max())


@pytest.mark.parametrize("resolution", [4.0, None])
def test_the_gradient_is_the_finite_difference_of_the_density(resolution: float | None) -> None:
    gains = (
        None if resolution is None else np.linspace(2, 0.5, int(max(SKEW.edges) / 4.0) + 1).astype(np.float32)
    )
    made = neural_map(siren(32, omega=6.0), SKEW, resolution=resolution, gains=gains, scale=5.0)
    points = SKEW.positions(np.random.default_rng(4).uniform(0.05, 0.95, (100, 3)))
    gradient = made.gradient(points)
    step = 0.02
    for axis in range(3):
        d = step * np.eye(3)[axis]
        slope = (made.sample(points + d).astype(float) - made.sample(points - d)) / (2 * step)
        np.testing.assert_allclose(gradient[:, axis], slope, atol=5e-3 * np.abs(gradient).max())


@pytest.mark.parametrize("resolution", [4.0, None])
def test_outside_the_box_lies_solvent_without_slope(resolution: float | None) -> None:
    made = neural_map(siren(), SKEW, resolution=resolution, offset=0.25)
    outside = SKEW.positions([[0.5, 0.5, 1.01], [-0.01, 0.5, 0.5], [0.5, 3.0, 0.5]])
    np.testing.assert_array_equal(made.sample(outside), np.float32(0.25))
    np.testing.assert_array_equal(made.gradient(outside), 0)


@pytest.mark.parametrize("resolution", [4.0, None])
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3), (0, 3), (2000, 3)])
def test_points_of_any_leading_shape(resolution: float | None, shape: tuple[int, ...]) -> None:
    made = neural_map(siren(), BOX, resolution=resolution)
    points = np.random.default_rng(5).uniform(0, 20, shape)
    assert made.sample(points).shape == shape[:-1]
    assert made.gradient(points).shape == shape
    assert made.sample(points.tolist() if points.size else points).dtype == np.float32
