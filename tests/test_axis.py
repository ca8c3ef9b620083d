"""The fourth axis: its functions, its ends, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import Legendre, legendre
from numpy.testing import assert_allclose

from nmap.axis import Axis, axis_of, most_components
from nmap.errors import FormatError, OptionError


def test_the_functions_of_a_line_are_the_legendre_polynomials_of_mean_square_1() -> None:
    axis = Axis((2.0, 3.0, 7.0, 10.0))
    for t in (2.0, 4.5, 10.0):
        basis = [np.sqrt(2 * k + 1) * Legendre.basis(k) for k in range(6)]
        s = (t - 6) / 4
        assert_allclose(axis.values(t, 6), [f(s) for f in basis], atol=1e-12)
        assert_allclose(axis.slopes(t, 6), [f.deriv()(s) / 4 for f in basis], atol=1e-12)


def test_the_functions_of_a_cycle_come_back_after_its_period() -> None:
    axis = Axis((0.0, 0.25, 0.5), 1.0)
    assert_allclose(axis.values(0.3, 5), axis.values(-0.7, 5), atol=1e-12)
    turn, root = 2 * np.pi * 0.3, np.sqrt(2)
    waves = [root * wave(j * turn) for j in (1, 2) for wave in (np.cos, np.sin)]
    assert_allclose(axis.values(0.3, 5), [1, *waves], atol=1e-12)
    step = 1e-6
    change = (axis.values(0.3 + step, 5) - axis.values(0.3 - step, 5)) / (2 * step)
    assert_allclose(axis.slopes(0.3, 5), change, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    "axis", [axis_of(np.linspace(0, 1, 200), False, "t"), axis_of(np.arange(200), True, "t")]
)
def test_the_functions_are_apart_over_many_frames(axis: Axis) -> None:
    functions = axis.at_frames(7)
    assert_allclose(functions.T @ functions / 200, np.eye(7), atol=0.1)


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
        (tuple(range(257)), None, "wanted 2 to 256"),
    ],
)
def test_positions_that_make_no_axis_are_refused(
    at: tuple[float, ...], period: float | None, words: str
) -> None:
    with pytest.raises(FormatError, match=words):
        Axis(at, period)


def test_functions_are_never_more_than_frames_can_tell() -> None:
    for frames in range(2, 257):
        line, cycle = most_components(frames, periodic=False), most_components(frames, periodic=True)
        assert 1 <= line <= min(frames, 64)
        assert cycle % 2 == 1 and cycle <= frames
        # Least squares at even steps stays sound: no function is told from the others by rounding alone.
        even = np.linspace(-1, 1, frames)
        assert np.linalg.cond(legendre.legvander(even, line - 1)) < 30
