"""Bare SIREN: the network alone is the density, at every position of the box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from phantoms import gaussian_atoms

from nmap.errors import OptionError, QualityError
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.neural_map import NeuralMap
from nmap.spectrum import fsc, resample
from nmap.verbs import validate

GRID = Grid((36, 32, 28), (2.0, 2.0, 2.0), (4.0, -6.0, 8.0))
RESOLUTION = 8.0
SOLVENT = -0.5


@pytest.fixture(scope="module")
def phantom() -> DensityMap:
    """Gaussian atoms on a constant solvent, in a box of three different edges away from the origin."""
    rng = np.random.default_rng(1)
    places = rng.uniform((14, 16, 18), (42, 48, 54), (20, 3))
    return DensityMap(gaussian_atoms(GRID, places, 2.6) + np.float32(SOLVENT), GRID)


def options(**changes) -> EncodeOptions:
    given = {"resolution": RESOLUTION, "bare": True, "hidden_features": 48, "hidden_layers": 2, "steps": 500}
    return EncodeOptions(**{**given, **changes})


@pytest.fixture(scope="module")
def fitted(phantom: DensityMap) -> NeuralMap:
    return encode(phantom, options())


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1])


def test_the_density_is_offset_and_scale_times_the_network_alone(fitted):
    field = fitted.field
    assert field.network.kind == "siren"
    assert field.envelope is None and field.gains is None
    assert field.band_limit is None and field.lattice is None and field.symmetry is None
    assert field.alignment == "box" and field.offset == pytest.approx(SOLVENT, abs=0.01)
    assert field.frame.center == field.frame.half_width == (0.5, 0.5, 0.5)
    assert field.network.settings()["omegas"] == [30.0, 30.0, 30.0]
    assert {array.dtype for t in fitted.tensors.values() for array in t.arrays.values()} == {np.dtype("<f2")}


def test_it_is_as_true_between_the_voxels_as_on_them(phantom, fitted):
    """A network fitted at voxel centres only falls from 0.75 to 0.45 at the centres of cells."""
    fine = tuple(2 * n for n in GRID.shape)
    decoded, truth = fitted.as_array(fine), resample(phantom.values, fine)
    on, off = slice(None, None, 2), slice(1, None, 2)
    places = {"lattice": (on, on, on), "edge": (on, on, off), "face": (on, off, off), "cell": (off, off, off)}
    found = {name: correlation(decoded[place], truth[place]) for name, place in places.items()}
    assert found["lattice"] > 0.98
    assert max(found.values()) - min(found.values()) < 0.005


def test_it_is_true_at_points_and_in_its_slopes(phantom, fitted):
    points = phantom.grid.points()[8:28, 8:24, 8:20].reshape(-1, 3)
    values = phantom.values[8:28, 8:24, 8:20].ravel()
    assert correlation(fitted.sample(points), values) > 0.98
    step = np.array([0.01, 0, 0])
    slope = (fitted.sample(points + step).astype(float) - fitted.sample(points - step)) / 0.02
    np.testing.assert_allclose(fitted.gradient(points)[:, 0], slope, atol=2e-3 * np.ptp(values))


def test_what_is_recorded_is_what_the_decode_shows(phantom, fitted):
    worst = fsc(fitted.as_array(), phantom.values, GRID).worst(RESOLUTION)
    assert fitted.record["fidelity"]["worst"] == pytest.approx(worst, abs=1e-4)
    assert fitted.record["fidelity"]["correlation"] == pytest.approx(
        correlation(fitted.as_array(), phantom.values), abs=1e-4
    )
    assert fitted.record["fit"]["settings"]["bare"] is True


def test_validate_counts_the_shells_to_the_resolution_that_it_was_fitted_to(phantom, fitted):
    found = validate(fitted, phantom)
    assert found.fidelity.resolution == RESOLUTION
    assert found.fidelity.worst == pytest.approx(fitted.record["fidelity"]["worst"], abs=1e-4)


def test_solvent_is_held_too(phantom, fitted):
    decoded = fitted.as_array()[phantom.values == SOLVENT]
    assert decoded.mean() == pytest.approx(SOLVENT, abs=0.01)


def test_a_first_omega_that_is_given_is_the_files(phantom):
    made = encode(phantom, options(omega0=11.0, steps=20))
    assert made.field.network.settings()["omegas"] == [11.0, 30.0, 30.0]


def test_an_image_is_a_network_that_does_not_hang_on_the_thin_axis(phantom):
    made = encode(phantom, options(slice=("y", 16), steps=200))
    source = phantom.section("y", 16)
    assert made.field.network.tensors()["first.weight"].shape[1] == 3
    assert not made.field.network.tensors()["first.weight"][:, 1].any()
    assert correlation(made.as_array(), source.values) > 0.95


@pytest.mark.parametrize("most", [5000, 20_000])
def test_the_network_takes_the_bytes_that_are_allowed(phantom, most):
    made = encode(phantom, options(hidden_features=None, max_bytes=most, steps=5))
    taken = sum(t.nbytes for t in made.tensors.values())
    assert 0.9 * most < taken <= most


def test_bytes_that_hold_no_network_are_refused_with_what_it_takes(phantom):
    with pytest.raises(QualityError, match=r"48 neurons .* takes 9890 bytes, more than the 5000"):
        encode(phantom, options(max_bytes=5000))
    with pytest.raises(QualityError, match=r"4 neurons"):
        encode(phantom, options(hidden_features=None, ratio=5000.0))


def test_a_target_is_met_or_nothing_comes(phantom):
    with pytest.raises(QualityError, match=r"of the wanted 0\.99: allow more `hidden_features` or `steps`"):
        encode(phantom, options(target_fsc=0.99, hidden_features=8, steps=20))
    made = encode(phantom, options(target_fsc=0.5, hidden_features=None, steps=300))
    assert float(fsc(made.as_array(), phantom.values, GRID).worst(RESOLUTION)) >= 0.5


def test_a_time_budget_ends_the_training(phantom, ticking):
    made = encode(phantom, options(steps=100_000_000, time_budget=4.0), started=0.0)
    assert 0 < made.record["fit"]["steps"] < 1_000_000


def test_without_a_goal_nothing_is_said_to_be_missed(phantom):
    made = encode(phantom, options(steps=5))
    assert "notes" not in made.record["fit"]
    assert "target_fsc" not in made.record["fit"]["settings"] or (
        made.record["fit"]["settings"]["target_fsc"] is None
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"arch": "radial-basis"},
            "`arch` radial-basis with `bare`: it is a siren; leave one of the two out",
        ),
        ({"blocks": 8}, "`blocks` 8 with `bare`: it is one network"),
        ({"symmetry": "D7"}, "`symmetry` D7 with `bare`: it is fitted as C1"),
        ({"gains": "least-squares"}, "`gains` least-squares with `bare`: it has none"),
        ({"weight_bits": 4}, "`weight_bits` 4 with `bare`: its weights are 16-bit floats"),
        ({"preset": "preview"}, "`preset` preview with `bare`: its goal is `target_fsc`"),
        ({"mask": Path("mask.mrc")}, "`mask` mask.mrc with `bare`: it holds the whole box"),
        ({"mask": DensityMap(np.ones(GRID.shape, np.float32), GRID)}, "`mask` of a map with `bare`"),
        ({"effort": "high"}, "`effort` with `bare`: a plain siren has none"),
    ],
)
def test_what_has_no_meaning_for_it_is_refused(changes, said):
    with pytest.raises(OptionError, match=said):
        options(**changes)


def test_what_says_nothing_new_is_taken():
    options(arch="siren", blocks=1, symmetry="C1", mask="none", weight_bits=16)
