"""How a network's weights grow, are stored and are moved, and what a fit says when it falls short."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from phantoms import gaussian_atoms

from nmap.coding.codings import decode_tensor
from nmap.errors import OptionError, QualityError
from nmap.fit.dense.adam import Adam
from nmap.fit.dense.parameters import initial_parameters, network_settings, widened
from nmap.fit.dense.quantise import as_stored
from nmap.fit.dense.recipe import Recipe, choose_recipe, default_features
from nmap.fit.dense.train import Training
from nmap.fit.device import forward
from nmap.fit.encode import encode
from nmap.fit.options import PRESETS, EncodeOptions
from nmap.fit.progress import Progress
from nmap.fit.target.prepare import prepare
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map
from nmap.spectrum import Shells, fsc, shell_power, transform

GRID = Grid((32, 32, 32), (2.0, 2.0, 2.0), (4.0, -6.0, 8.0))
RESOLUTION = 7.0


@pytest.fixture(scope="module")
def phantom() -> DensityMap:
    """Gaussian atoms on a constant solvent of -0.5."""
    rng = np.random.default_rng(0)
    return DensityMap(gaussian_atoms(GRID, rng.uniform(20, 44, (40, 3)), 2.0) - np.float32(0.5), GRID)


def options(**changes) -> EncodeOptions:
    few = {"resolution": RESOLUTION, "arch": "siren", "steps": 400, "hidden_features": 32, "hidden_layers": 2}
    few["weight_bits"] = 6
    return EncodeOptions(**{**few, **changes})


def test_density_and_solvent_come_back_in_their_own_units_and_nothing_finer(phantom):
    made = encode(phantom, options())
    decoded = made.as_array()
    molecule = phantom.values > -0.5
    assert np.corrcoef(decoded[molecule], phantom.values[molecule])[0, 1] > 0.94
    assert decoded[0].mean() == pytest.approx(-0.5, abs=0.01)
    # Least squares against a source of correlation F by shell gives a slope near F squared.
    assert np.polyfit(phantom.values.ravel(), decoded.ravel(), 1)[0] == pytest.approx(0.9, abs=0.1)
    fine = GRID.resampled((64, 64, 64))
    shells = Shells(fine)
    spread = shell_power(transform(made.on_grid(fine) + 0.5), shells) * shells.modes
    assert spread[Shells(GRID).last(RESOLUTION) + 1 :].sum() < 1e-4 * spread.sum()


def test_a_stop_gives_the_best_so_far(phantom):
    heard: list[Progress] = []
    made = encode(
        phantom,
        options(steps=1_000_000),
        progress=heard.append,
        should_stop=lambda: any(p.step >= 20 for p in heard),
    )
    assert 20 <= made.record["fit"]["steps"] < 10_000
    assert np.isfinite(made.as_array()).all()


def test_a_network_too_small_says_so_and_misses_an_explicit_target(phantom):
    heard: list[Progress] = []
    tiny = {"hidden_features": 4, "hidden_layers": 1, "steps": 60}
    made = encode(phantom, options(**tiny), progress=heard.append)
    notice = next(p.notice for p in heard if p.notice is not None)
    assert notice.code == "below-goal" and notice.facts["worst"] < PRESETS["faithful"] == notice.facts["goal"]
    assert [kept["code"] for kept in made.record["fit"]["notes"]] == ["below-goal"]
    with pytest.raises(QualityError, match=r"of the wanted 0\.9"):
        encode(phantom, options(**tiny, target_fsc=0.9))


def test_a_network_that_falls_short_is_grown(phantom):
    few = options(hidden_features=None, steps=30)
    made = encode(phantom, few)
    assert made.record["fit"]["steps"] > 30
    neurons = made.field.network.tensors()["first.weight"].shape[0]
    assert neurons > choose_recipe(prepare(phantom, few), few).features


def test_more_fidelity_gets_more_neurons():
    sizes = [default_features(30_000, 3, goal) for goal in (0.5, 0.9, 0.98)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_real_map_without_solvent_is_fitted_whole(data_dir):
    density = read_map(data_dir / "EMD-3197.map")
    made = encode(density, EncodeOptions(resolution=30.0, steps=200, hidden_features=32, weight_bits=6))
    assert made.field.envelope is None
    assert made.record["source"]["file"] == "EMD-3197.map"
    assert made.record["source"]["mrc_header"] == density.header.raw
    assert float(fsc(made.as_array(), density.values, density.grid).worst(30.0)) > 0.9
    loss = made.record["fit"]["loss"]
    assert 1 < len(loss) <= 64
    assert loss[-1] < 0.5 * loss[0]


@pytest.mark.parametrize("kind", ["siren", "fourier-features"])
def test_a_widened_network_computes_the_same(kind):
    random = torch.Generator().manual_seed(0)
    narrow, wide = (Recipe(kind, n, 2, 5.0, 10.0, 8, 100, 1000, 0, True) for n in (16, 24))
    small = initial_parameters(narrow, random)
    large = widened(narrow, wide, small, random)
    t = torch.rand(200, 3, generator=random) * 2 - 1
    values = [
        forward(kind, network_settings(r), p, t, torch.float32) for r, p in ((narrow, small), (wide, large))
    ]
    assert large["hidden.weight"].shape == (2, 24, 24)
    torch.testing.assert_close(values[0], values[1], atol=1e-5, rtol=1e-4)


def test_weights_in_training_are_those_that_a_file_gives_back(phantom):
    made = encode(phantom, options(steps=40))
    stored = made.tensors["hidden.weight"]
    weights = {name: torch.from_numpy(v.copy()) for name, v in made.field.network.tensors().items()}
    # Half a step off in every weight, but for rounding: the same integers come back.
    steps = torch.from_numpy(stored.arrays["step"].astype(np.float32))[..., None]
    weights["hidden.weight"] = weights["hidden.weight"] + 0.49 * steps
    kept = as_stored(weights, steps, 6)
    np.testing.assert_array_equal(kept["hidden.weight"], decode_tensor(stored))
    np.testing.assert_array_equal(kept["last.weight"], decode_tensor(made.tensors["last.weight"]))


def test_adam_solves_a_badly_scaled_equation():
    random = torch.Generator().manual_seed(1)
    scales = torch.logspace(-2, 2, 12)
    wanted = torch.randn(12, generator=random)
    x = torch.zeros(12)
    optimiser = Adam({"x": x}, {"x": 0.05})
    for step in range(800):
        optimiser.begin(1 - step / 800)
        optimiser.step({"x": scales * (x - wanted)})
    assert float((x - wanted).abs().max()) < 0.05


def test_a_failure_after_a_usable_network_keeps_that_network(phantom, monkeypatch):
    class Failing(Training):
        def grow(self, recipe):
            raise RuntimeError("out of memory")

    monkeypatch.setattr("nmap.fit.dense.fit.Training", Failing)
    heard: list[Progress] = []
    made = encode(phantom, options(hidden_features=None, steps=30), progress=heard.append)
    assert np.isfinite(made.as_array()).all()
    notice = next(p.notice for p in heard if p.notice is not None)
    assert notice.code == "attempt-failed" and "out of memory" in notice.facts["error"]


def test_a_flat_map_is_grown_under_a_time_budget(phantom):
    """Growing after weights were trained as stored: each new row has a step of its own."""
    few = options(hidden_features=None, hidden_layers=None, steps=40, time_budget=60.0, slice=("z", 16))
    made = encode(phantom, few)
    codes = [notice["code"] for notice in made.record["fit"].get("notes", [])]
    assert "attempt-failed" not in codes
    assert made.record["fit"]["steps"] > 40


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resolution": -1.0}, "`resolution` -1 A"),
        ({"omega0": 0.0}, "`omega0` 0"),
        ({"weight_bits": 9}, "`weight_bits` 9"),
        ({"hidden_features": 2}, "`hidden_features` 2"),
        ({"steps": 0}, "`steps` 0"),
        ({"time_budget": float("nan")}, "`time_budget` nan s"),
        ({"arch": "mlp"}, "`arch` 'mlp'"),
        ({"mask": "tight"}, "`mask` 'tight'"),
        ({"downsample": 0}, "`downsample` 0"),
    ],
)
def test_an_option_that_cannot_be_used_is_named_with_its_value(changes, said):
    with pytest.raises(OptionError, match=said):
        options(**changes)
