"""What frames owe for what lies between them, and how many functions of the axis hold them: against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmap.axis import Axis
from nmap.fit.series.owed import effective_functions, functions_needed, missed_by_line, owed_between
from nmap.fit.series.products import frame_products, function_powers, shell_powers
from nmap.fit.series.shared import Shared
from nmap.fit.target.goal import ShellGoal
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.spectrum import Shells, transform

GRID = Grid((12, 12, 12), (2.0,) * 3)
RESOLUTION = 5.0
LAST = Shells(GRID).last(RESOLUTION)


def maps(count: int) -> np.ndarray:
    """Noise, (count, z, y, x)."""
    return np.random.default_rng(7).normal(size=(count, *GRID.shape)).astype(np.float32)


def density(values: np.ndarray) -> DensityMap:
    return DensityMap(values.astype(np.float32), GRID)


def power(values: np.ndarray) -> np.ndarray:
    """Power by shell, to the resolution."""
    return Shells(GRID).sum(np.abs(transform(values.astype(np.float32))) ** 2)[: LAST + 1]


def goal(share: float) -> ShellGoal:
    modes = Shells(GRID).modes[: LAST + 1].astype(np.float64)
    modes[0] = 0
    return ShellGoal(share, np.ones(LAST + 1), modes, "fsc")


def test_products_are_those_of_the_full_transforms() -> None:
    frames = maps(3)
    found = frame_products([density(f) for f in frames], RESOLUTION, None)
    # On the band limit's own lattice sums are of fewer samples: (lattice / grid) of the full transform's.
    scale = found[2, 0, 0] / power(frames[0])[2]
    for a in range(3):
        assert_allclose(found[:, a, a], scale * power(frames[a]), rtol=1e-4)
        for b in range(a):
            cross = (power(frames[a] + frames[b]) - power(frames[a]) - power(frames[b])) / 2
            assert_allclose(found[:, a, b], scale * cross, atol=1e-4 * scale * power(frames[a]).max())


@pytest.mark.parametrize("period", [None, 4.0])
def test_what_a_line_misses_is_what_the_mean_of_neighbours_misses(period: float | None) -> None:
    still, speed, bend = maps(3)
    at = (0.0, 1.0, 1.5, 3.0)

    def frame(t: float) -> np.ndarray:
        return 5 * still + speed * (t - 1.5) / 3 + bend * ((t - 1.5) / 3) ** 2

    axis, frames = Axis(at, period), [frame(t) for t in at]
    found = missed_by_line(frame_products([density(f) for f in frames], RESOLUTION, None), axis)
    mean = np.mean([power(f) for f in frames], axis=0)
    if period is None:
        middle = frame(2.25) - (frames[2] + frames[3]) / 2
        assert_allclose(found, power(middle) / mean, rtol=0.01)  # maps are float32
    else:
        assert (found[1:] > power(frame(2.25) - (frames[2] + frames[3]) / 2)[1:] / mean[1:]).all()


def test_of_two_frames_nothing_is_known() -> None:
    found = missed_by_line(frame_products([density(f) for f in maps(2)], RESOLUTION, None), Axis((0.0, 1.0)))
    assert (found == 1).all()


def test_a_shell_owes_no_more_than_a_line_misses_and_no_less_than_the_goal() -> None:
    missed = np.linspace(0, 0.05, LAST + 1) ** 2
    owed = owed_between(goal(0.97), missed)
    assert (owed <= goal(0.97).missing + 1e-12).all()
    assert owed[1] < 0.01 < goal(0.97).missing[1]
    assert_allclose(owed_between(goal(0.97), np.ones(LAST + 1)), goal(0.97).missing)
    # Where all shells are asked for more, the finest are not given it: the bits are limited.
    assert owed[-1] == goal(0.97).missing[-1]


def test_beyond_what_differences_tell_less_and_less_is_owed() -> None:
    told, modes = 3, 4 * np.pi * np.arange(21.0) ** 2
    missed = np.full(21, 0.09)
    missed[: told + 1] = [0, 1e-3, 4e-3, 2e-2]
    wanted = ShellGoal(0.8, np.ones(21), modes, "fsc")
    owed = owed_between(wanted, missed)
    assert_allclose(owed[1 : told + 1], [5e-4, 1.6e-3, 8e-3])
    assert (np.diff(owed[1:]) >= 0).all()
    assert owed[told] < owed[told + 1] < owed[told + 2] < owed[-1] == pytest.approx(wanted.missing[-1])


def test_functions_tell_by_their_power() -> None:
    axis = Axis((0.0, 1.0, 2.0, 3.0, 4.0))
    functions, parts = axis.at_frames(5), maps(3)
    for powers, wanted in (((1, 0, 0), 1.0), ((1, 1, 0), 2.0), ((1, 1, 1), 3.0)):
        mixed = parts * np.array(powers, float)[:, None, None, None]
        frames = [density(np.tensordot(row[:3], mixed, 1)) for row in functions]
        products = frame_products(frames, RESOLUTION, None)
        told = effective_functions(products, axis, goal(0.99), 5)
        assert told == pytest.approx(wanted, abs=0.05)


def test_as_many_functions_are_taken_as_the_frames_have() -> None:
    axis = Axis((0.0, 1.0, 2.0, 3.0, 4.0))
    functions = axis.at_frames(5)
    parts = maps(3) * np.array([1.0, 0.5, 0.25])[:, None, None, None]
    for wanted in (1, 2, 3):
        frames = [density(np.tensordot(row[:wanted], parts[:wanted], 1)) for row in functions]
        products = frame_products(frames, RESOLUTION, None)
        assert functions_needed(products, axis, goal(0.99), goal(0.99).missing, 5) == wanted
        powers = function_powers(products, functions)
        assert_allclose(powers.sum(1), shell_powers(products), rtol=1e-5)
        for k in range(5):
            scale = products[2, 0, 0] / power(frames[0].values)[2]
            part = power(parts[k]) if k < wanted else np.zeros(LAST + 1)
            assert_allclose(powers[:, k], scale * part, atol=1e-5 * powers.max())


def test_a_cycle_takes_pairs_of_functions() -> None:
    axis = Axis((0.0, 1.0, 2.0, 3.0, 4.0), 5.0)
    parts = maps(2)
    frames = [density(np.tensordot(row[:2], parts, 1)) for row in axis.at_frames(5)]
    products = frame_products(frames, RESOLUTION, None)
    assert functions_needed(products, axis, goal(0.99), goal(0.99).missing, 5) == 3


def test_noise_is_not_counted_as_change() -> None:
    at = tuple(range(7))
    axis, rng = Axis(at), np.random.default_rng(3)
    still, bend = maps(2)
    truth = [5 * still + bend * (t / 6) ** 2 for t in at]
    noisy = [t + 0.5 * rng.normal(size=GRID.shape) for t in truth]
    products = frame_products([density(n) for n in noisy], RESOLUTION, None)
    shared = Shared(np.ones((LAST + 1, 1)), np.full(LAST + 1, 0.01), np.full(LAST + 1, 0.01 / 7))
    clean = missed_by_line(frame_products([density(t) for t in truth], RESOLUTION, None), axis)
    told, counted = missed_by_line(products, axis), missed_by_line(products, axis, shared)
    # Shares of 1/8, -1/4 and 1/8 of three frames that stand evenly, squared.
    assert_allclose(counted, np.maximum(told - 0.01 * 6 / 64, 0), rtol=1e-6)
    assert (counted > 0).any()
    assert np.abs(counted - clean)[1:].mean() < 0.3 * np.abs(told - clean)[1:].mean()


def test_there_may_be_products_of_fewer_shells_at_rest() -> None:
    products, axis = frame_products([density(f) for f in maps(3)], RESOLUTION, None), Axis((0.0, 1.0, 2.0))
    few = Shared(np.ones((3, 1)), np.full(3, 0.01), np.full(3, 0.003))
    found, without = missed_by_line(products, axis, few), missed_by_line(products, axis)
    assert (found[:3] < without[:3]).all()
    assert_allclose(found[3:], without[3:])


def test_the_mean_of_two_frames_has_half_of_their_noise() -> None:
    missed, modes = np.full(21, 0.09), 4 * np.pi * np.arange(21.0) ** 2
    missed[:4] = [0, 1e-3, 4e-3, 2e-2]
    shared = Shared(np.ones((21, 1)), np.full(21, 0.01), np.full(21, 0.002))
    owed = owed_between(ShellGoal(0.8, np.ones(21), modes, "fsc"), missed, shared)
    assert_allclose(owed[1:4], [max(0.4 * m + 0.1 * (0.005 - 0.002), 5e-4) for m in missed[1:4]])


def test_where_bits_are_short_less_is_asked_of_all_shells() -> None:
    modes, told = 4 * np.pi * np.arange(41.0) ** 2, 16
    modes[0] = 0
    missed = np.full(41, 0.09)
    missed[: told + 1] = 0.028 * (np.arange(told + 1) / told) ** 4
    strict, easy = (
        owed_between(ShellGoal(share, np.ones(41), modes, "fsc"), missed) for share in (0.995, 0.9)
    )
    assert_allclose(strict[told - 2], 0.4 * missed[told - 2])
    assert_allclose(easy[told - 2], 0.5 * missed[told - 2])
