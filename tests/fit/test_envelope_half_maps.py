"""An envelope found with half maps at hand grows until they do not correlate outside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import phantom

from nmap.envelope.automatic import solvent_value
from nmap.envelope.envelope import Envelope
from nmap.fit.target.envelope import Chosen, choose_envelope
from nmap.fit.target.outside import correlate_outside
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.spectrum import Shells, fsc

Pair = tuple[DensityMap, DensityMap]


@pytest.fixture(scope="module", name="halves")
def nearly_clean_halves() -> Pair:
    """Halves of the phantom with a thirtieth of its noise: what little lies outside a tight mask shows."""
    known = phantom(n=64)
    grid, clean = known.clean.grid, known.clean.values
    first, second = (
        DensityMap(clean + np.float32(0.03) * (half.values - clean), grid)
        for half in (known.half1, known.half2)
    )
    return first, second


def chosen_for(halves: Pair, *, known: bool, band_limit: float = 5.0) -> tuple[Chosen, np.ndarray]:
    """The automatic envelope of the halves' average, and it on their grid."""
    average = DensityMap((halves[0].values + halves[1].values) / 2, halves[0].grid)
    solvent = solvent_value(average.values)
    chosen = choose_envelope(average, "auto", band_limit, solvent, halves if known else None)
    assert chosen.envelope is not None
    return chosen, chosen.envelope.on_lattice(average.grid.shape)


def highest_outside(halves: Pair, inside: np.ndarray) -> float:
    """Highest FSC outside among the shells to 5 A of more than 500 modes."""
    curve = fsc(halves[0].values, halves[1].values, halves[0].grid, 1 - inside)
    counted = (curve.modes > 500) & (np.arange(curve.fsc.size) <= Shells(halves[0].grid).last(5.0))
    return float(curve.fsc[counted].max())


def test_the_envelope_grows_until_the_halves_do_not_correlate_outside(halves: Pair) -> None:
    before, tight = chosen_for(halves, known=False)
    after, wide = chosen_for(halves, known=True)
    assert highest_outside(halves, tight) > 0.25
    assert highest_outside(halves, wide) < 0.143
    assert (wide >= tight - 1e-6).all() and wide.mean() < 2 * tight.mean()
    assert after.outcome.outside is not None and after.outcome.outside.highest is not None
    assert after.outcome.outside.passed and after.outcome.outside.highest.fsc < 0.1
    assert after.outcome.grown_for_halves and not before.outcome.grown_for_halves


def test_an_envelope_outside_which_halves_share_nothing_stays(halves: Pair) -> None:
    known = phantom(n=64)
    noisy = known.half1, known.half2
    before, after = (chosen_for(noisy, known=given)[0] for given in (False, True))
    assert before.envelope is not None and after.envelope is not None
    np.testing.assert_array_equal(before.envelope.occupancy, after.envelope.occupancy)
    assert after.outcome.outside is not None and after.outcome.outside.passed
    assert replace(after.outcome, outside=None) == before.outcome


def test_signal_too_far_away_to_grow_to_is_reported(halves: Pair) -> None:
    grid = halves[0].grid
    speck = np.zeros(grid.shape, np.float32)
    speck[4:10, 4:10, 4:10] = 1.0 * np.random.default_rng(0).standard_normal((6, 6, 6))
    first, second = (DensityMap(half.values + speck, grid) for half in halves)
    chosen, inside = chosen_for((first, second), known=True)
    assert inside[7, 7, 7] == 0
    assert chosen.outcome.outside is not None and not chosen.outcome.outside.passed


def test_a_given_mask_does_not_grow_but_is_told_of(halves: Pair) -> None:
    grid = halves[0].grid
    slab = np.zeros(grid.shape, np.float32)
    slab[: grid.shape[0] // 2] = 1
    made = (choose_envelope(halves[0], DensityMap(slab, grid), 5.0, 0.0, given) for given in (None, halves))
    without, told = made
    assert without.envelope is not None and told.envelope is not None
    np.testing.assert_array_equal(without.envelope.occupancy, told.envelope.occupancy)
    outside = told.outcome.outside
    assert outside is not None and outside.highest is not None
    assert not outside.passed and outside.highest.fsc > 0.9


@pytest.mark.parametrize("solvent", [0.0, 30.0])
@pytest.mark.parametrize("radius", [99.0, 11.0])
def test_halves_of_noise_correlate_outside_as_much_as_the_standard_error_says(
    solvent: float, radius: float
) -> None:
    """In the whole box, and in a ball beyond which the halves are constant."""
    grid = Grid((24, 24, 24), (1.5,) * 3)
    ball = np.linalg.norm(np.indices(grid.shape) - 12, axis=0) < radius
    bits = np.zeros((6, 6, 6), bool)
    bits[2:4, 1:4, 2:4] = True
    rng = np.random.default_rng(1)

    def half() -> DensityMap:
        return DensityMap(ball * rng.standard_normal(grid.shape, np.float32) + np.float32(solvent), grid)

    found = [correlate_outside(half(), half(), Envelope(bits), 3.0) for _ in range(60)]
    scatter = np.std([one.fsc / one.error for one in found], axis=0)
    np.testing.assert_allclose(scatter, 1.0, atol=0.35)
    assert np.sqrt((scatter**2).mean()) == pytest.approx(1.0, abs=0.08)
    assert sum(one.passed for one in found) >= 57


def test_symmetrised_noise_scatters_more_and_is_not_taken_for_signal() -> None:
    """Halves of noise, each the mean of its sixteen copies under the cube's rotations and mirrors about voxel 0."""
    grid = Grid((32, 32, 32), (1.5,) * 3)
    rng = np.random.default_rng(4)

    def half() -> DensityMap:
        values = rng.standard_normal(grid.shape, np.float32)
        for axis in range(3):
            values = values + np.roll(np.flip(values, axis), 1, axis)
        return DensityMap(values + values.transpose(0, 2, 1), grid)

    bits = np.zeros((8, 8, 8), bool)
    bits[2:4, 2:4, 2:4] = True
    found = [correlate_outside(half(), half(), Envelope(bits), 3.5) for _ in range(12)]
    assert np.mean([one.fsc.max() > 0.143 for one in found]) > 0.5
    assert sum(one.passed for one in found) >= 10
