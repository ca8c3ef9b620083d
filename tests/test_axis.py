"""The fourth axis: its functions, its ends, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmap.axis import Axis, axis_of, most_components
from nmap.errors import FormatError, OptionError


@pytest.mark.parametrize("period", [None, 1.2])
def test_the_functions_are_orthogonal_over_the_frames(period: float | None) -> None:
    axis = Axis((0.0, 0.1, 0.35, 0.5, 0.6, 0.8, 1.0), period)
    functions = axis.at_frames(7)
    assert_allclose(functions.T @ functions / 7, np.eye(7), atol=1e-12)
    for number, t in enumerate(axis.at):
        assert_allclose(axis.values(t, 7), functions[number], atol=1e-12)


@pytest.mark.parametrize("period", [None, 4.5])
def test_between_even_frames_it_is_the_cubic_of_catmull_and_rom(period: float | None) -> None:
    frames = (0.0, 1.0, 2.0, 3.0)
    axis = Axis(frames, period)
    shares = axis.values(1.25, 3) @ np.linalg.pinv(axis.at_frames(3))
    # Weights of cubic convolution (Keys 1981, a = -1/2) a quarter of the way.
    keys = np.array([-0.0703125, 0.8671875, 0.2265625, -0.0234375])
    assert_allclose(axis.values(1.25, 3), keys @ axis.at_frames(3), atol=1e-12)
    assert shares.shape == (4,)


def test_a_parabola_is_met_exactly_at_uneven_frames() -> None:
    axis = Axis((0.0, 0.1, 0.35, 1.0))
    values = axis.at_frames(4)
    parabola = np.linalg.solve(values, np.square(axis.at) - 0.3 * np.array(axis.at))
    for t in (0.05, 0.2, 0.7, 1.0):
        assert axis.values(t, 4) @ parabola == pytest.approx(t * t - 0.3 * t)
        assert axis.slopes(t, 4) @ parabola == pytest.approx(2 * t - 0.3)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_a_polynomial_of_the_positions_takes_as_many_functions_as_its_degree(degree: int) -> None:
    axis = Axis((-1.0, 0.5, 1.0, 4.0, 4.5, 7.0))
    wanted = np.polynomial.Legendre.basis(degree)(np.array(axis.at) / 7)
    functions = axis.at_frames(degree + 1)
    assert_allclose(functions @ np.linalg.lstsq(functions, wanted, rcond=None)[0], wanted, atol=1e-12)
    assert (functions[-1] > 0).all()


@pytest.mark.parametrize("period", [None, 4.0])
@pytest.mark.parametrize("apart", [1e-2, 1e-6, 4e-9])
def test_between_other_frames_two_close_ones_make_nothing_swing(period: float | None, apart: float) -> None:
    axis = Axis((0.0, apart, 1.0, 2.0, 3.0), period)
    # Even frames come to 1.25.
    for t in np.linspace(0, 3, 61):
        assert np.abs(axis.shares(float(t))).sum() < 5


@pytest.mark.parametrize("unit", [1e-300, 1e-20, 1e29])
def test_the_unit_of_the_positions_is_of_no_account(unit: float) -> None:
    axis, other = Axis((0.0, 0.1, 0.35, 1.0)), Axis((0.0, 0.1 * unit, 0.35 * unit, unit))
    for t in (0.05, 0.2, 0.9):
        assert_allclose(other.values(t * unit, 4), axis.values(t, 4), atol=1e-9)


@pytest.mark.parametrize(
    "axis",
    [
        Axis((0.0, 0.25, 0.5), 1.0),
        Axis((0.0, 1.0)),
        Axis((0.0, 0.1, 0.35, 1.0)),
        Axis((0.0, 0.001, 0.5, 1.0)),
    ],
)
def test_slopes_are_the_derivatives(axis: Axis) -> None:
    count, step = min(3, len(axis.at)), 1e-6
    for t in (0.07, 0.3, 0.8):
        change = (axis.values(t + step, count) - axis.values(t - step, count)) / (2 * step)
        assert_allclose(axis.slopes(t, count), change, rtol=1e-6, atol=1e-6)


def test_a_cycle_comes_back_after_its_period() -> None:
    axis = Axis((0.0, 0.25, 0.5), 1.0)
    assert_allclose(axis.values(0.3, 3), axis.values(-0.7, 3), atol=1e-12)
    assert_allclose(axis.values(0.9999999, 3), axis.values(0.0, 3), atol=1e-5)


def test_nothing_lies_beyond_the_ends_of_a_line() -> None:
    axis = Axis((0.0, 0.1, 0.35), name="angle")
    assert axis.frame(0.1) == 1 and axis.frame(0.35 + 1e-12) == 2 and axis.frame(0.2) is None
    for t in (-0.01, 0.36, np.nan):
        with pytest.raises(OptionError, match="angle"):
            axis.values(t, 2)


def test_a_cycle_closes_one_mean_step_after_its_last_frame() -> None:
    assert axis_of([0, 90, 180, 270], periodic=True, name="t").period == 360
    assert axis_of([0, 1], periodic=False, name="t").period is None


@pytest.mark.parametrize(
    ("at", "period", "words"),
    [
        ((0.0,), None, "wanted 2 to"),
        ((0.0, 0.0), None, "above the one before"),
        ((0.0, np.inf), None, "finite"),
        ((0.0, 1.0), 0.5, "period"),
        ((0.0, 1.0), 1.0 + 1e-12, "period"),
        ((0.0, 1.0), np.nan, "period"),
        ((0.0, 1e-10, 1.0), None, "measured twice"),
        ((-1.7e308, 0.0, 1.7e308), None, "1e\\+30"),
        (tuple(range(257)), None, "wanted 2 to 256"),
    ],
)
def test_positions_that_make_no_axis_are_refused(
    at: tuple[float, ...], period: float | None, words: str
) -> None:
    with pytest.raises(FormatError, match=words):
        Axis(at, period)


def test_functions_are_never_more_than_frames() -> None:
    for frames in range(2, 257):
        line, cycle = (most_components(frames, periodic, 32) for periodic in (False, True))
        assert line == min(frames, 32)
        assert cycle % 2 == 1 and cycle <= frames
