"""Fits of SIREN and Fourier-feature networks to a small phantom."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import gaussian_atoms

from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.neural_map import NeuralMap
from nmap.spectrum import fsc

GRID = Grid((32, 32, 32), (2.0,) * 3)
RESOLUTION = 8.0


@pytest.fixture(scope="module")
def phantom() -> DensityMap:
    rng = np.random.default_rng(1)
    return DensityMap(gaussian_atoms(GRID, rng.uniform(20, 44, (20, 3)), 2.5), GRID)


def options(**changes) -> EncodeOptions:
    given = {
        "resolution": RESOLUTION,
        "arch": "siren",
        "hidden_features": 24,
        "hidden_layers": 2,
        "steps": 300,
        "weight_bits": 6,
    }
    return EncodeOptions(**{**given, **changes})


def worst(neural_map, density: DensityMap) -> float:
    return float(fsc(neural_map.as_array(), density.values, density.grid).worst(RESOLUTION))


@pytest.fixture(scope="module")
def watched(phantom) -> tuple[NeuralMap, list[Progress]]:
    """A fit of 200 steps, and what it told on its way."""
    said: list[Progress] = []
    return encode(phantom, options(steps=200), progress=said.append), said


def test_a_siren_learns_the_map_in_every_shell(phantom):
    neural_map = encode(phantom, options(hidden_features=48, steps=200))
    assert worst(neural_map, phantom) > 0.9
    assert neural_map.field.network.kind == "siren"


def test_a_siren_fitted_at_the_samples_is_as_true_between_them(phantom, watched):
    from nmap.spectrum import resample

    neural_map, _ = watched
    fine = GRID.resampled((64, 64, 64))
    between = fsc(neural_map.as_array(fine.shape), resample(phantom.values, fine.shape), fine)
    on_grid = fsc(neural_map.as_array(), phantom.values, GRID)
    last = int(1 / (RESOLUTION * on_grid.frequency[1]))
    np.testing.assert_allclose(between.fsc[1:last], on_grid.fsc[1:last], atol=1e-3)


@pytest.mark.parametrize(("bits", "dtype"), [(16, "<f2"), (8, "u1"), (4, "u1")])
def test_weights_take_the_bits_asked_for(phantom, bits, dtype):
    coded = encode(phantom, options(weight_bits=bits, steps=60)).tensors["hidden.weight"]
    assert coded.arrays[""].dtype == np.dtype(dtype)
    assert coded.arrays[""].nbytes == 2 * 24 * 24 * bits // 8


def test_a_network_that_reaches_its_goal_with_bits_to_spare_is_stored_in_fewer(phantom):
    wide = {"hidden_features": 32, "steps": 150, "target_fsc": 0.5}
    spare, asked = (encode(phantom, options(**wide, weight_bits=bits)) for bits in (None, 6))
    bits = [made.record["fit"]["settings"]["weight_bits"] for made in (spare, asked)]
    assert bits[0] < bits[1] == 6
    assert spare.tensors["hidden.weight"].arrays[""].nbytes == 2 * 32 * 32 * bits[0] // 8
    assert worst(spare, phantom) > 0.5


def test_fourier_features_train_too(phantom):
    wide = {"arch": "fourier-features", "hidden_features": 48}
    short, long = (encode(phantom, options(**wide, steps=steps)) for steps in (20, 400))
    assert long.field.network.kind == "fourier-features"
    assert long.record["fidelity"]["correlation"] > max(short.record["fidelity"]["correlation"], 0.8)


def test_the_same_seed_gives_the_same_weights_and_another_one_others(phantom):
    a, b, c = (
        encode(phantom, options(steps=40, seed=s)).tensors["first.weight"].arrays[""] for s in (3, 3, 4)
    )
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_a_time_budget_ends_a_training_that_would_take_days(phantom, ticking):
    made = encode(phantom, options(steps=100_000_000, time_budget=4), started=0.0)
    assert 0 < made.record["fit"]["steps"] < 1_000_000


def test_progress_tells_step_quality_and_time_left(watched):
    _, said = watched
    under_way = [p for p in said if 0 < p.step < 200]
    assert said[-1].step == 200
    assert any(p.fsc is not None for p in said)
    assert not under_way or any(p.seconds_left is not None for p in under_way)


def test_what_is_recorded_is_what_the_decode_shows(phantom, watched):
    neural_map, _ = watched
    assert neural_map.record["fidelity"]["worst"] == pytest.approx(worst(neural_map, phantom), abs=5e-3)
