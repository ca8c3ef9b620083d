"""The fourth axis: its functions, its ends, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from numpy.testing import assert_allclose

from nmap.axis import Axis, axis_of, most_components
from nmap.errors import FormatError, OptionError


def test_the_functions_of_a_line_are_the_chebyshev_polynomials_from_end_to_end() -> None:
    axis = Axis((2.0, 3.0, 7.0, 10.0))
    for t in (2.0, 4.5, 10.0):
        s = (t - 6) / 4
        assert_allclose(axis.values(t, 6), [chebyshev.Chebyshev.basis(k)(s) for k in range(6)], atol=1e-12)
        slopes = [chebyshev.Chebyshev.basis(k).deriv()(s) / 4 for k in range(6)]
        assert_allclose(axis.slopes(t, 6), slopes, atol=1e-12)


def test_the_functions_of_a_cycle_come_back_after_its_period() -> None:
    axis = Axis((0.0, 0.25, 0.5), 1.0)
    assert_allclose(axis.values(0.3, 5), axis.values(-0.7, 5), atol=1e-12)
    wave = 2 * np.pi * 0.3
    assert_allclose(
        axis.values(0.3, 5), [1, *(f(j * wave) for j in (1, 2) for f in (np.cos, np.sin))], atol=1e-12
    )
    step = 1e-6
    change = (axis.values(0.3 + step, 5) - axis.values(0.3 - step, 5)) / (2 * step)
    assert_allclose(axis.slopes(0.3, 5), change, rtol=1e-7, atol=1e-7)


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
        assert np.linalg.cond(chebyshev.chebvander(even, line - 1)) < 30
