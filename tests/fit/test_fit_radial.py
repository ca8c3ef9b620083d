"""Fits of radial basis function networks to small phantoms whose answer is known."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import gaussian_atoms, turned

from nmap.coding.codings import decode_tensor
from nmap.coding.lattice import Limit
from nmap.errors import OptionError, QualityError
from nmap.fit.bumps import search
from nmap.fit.bumps.schedule import Deadline
from nmap.fit.bumps.sites import lattice_of
from nmap.fit.bumps.spreading import Spreading
from nmap.fit.device import irfftn, rfftn
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.target.prepare import prepare
from nmap.fit.target.self_correlation import box_centre
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.model.radial_basis import centres_spectrum
from nmap.point_group import PointGroup
from nmap.spectrum import Shells, floored, fsc

GRID = Grid((48, 48, 48), (1.5,) * 3, (10.0, -20.0, 5.0))
RESOLUTION = 4.5


def blobs(operators: np.ndarray, count: int = 25, seed: int = 0) -> np.ndarray:
    """Gaussian atoms around voxel n/2, and their copies under the operators."""
    rng = np.random.default_rng(seed)
    places = turned(rng.uniform(-15, 15, (count, 3)), operators, box_centre(GRID))
    return gaussian_atoms(GRID, places, 1.6)


@pytest.fixture(scope="module")
def phantom() -> DensityMap:
    return DensityMap(blobs(np.eye(3)[None], 90), GRID)


@pytest.fixture(scope="module")
def close(phantom) -> DensityMap:
    """The same molecule in a box of 32 voxels a side."""
    inner = slice(8, 40)
    return DensityMap(phantom.values[inner, inner, inner], GRID.region((8, 8, 8), (32, 32, 32)))


@pytest.fixture(scope="module")
def fourfold() -> DensityMap:
    return DensityMap(blobs(PointGroup("C4").operators), GRID)


def options(**changes) -> EncodeOptions:
    return EncodeOptions(**{"arch": "radial-basis", "resolution": RESOLUTION, "symmetry": "C1", **changes})


def worst(neural_map, density: DensityMap) -> float:
    return float(fsc(neural_map.as_array(), density.values, density.grid).worst(RESOLUTION))


@pytest.mark.parametrize(
    ("preset", "least"), [("preview", 0.9), ("faithful", 0.995), ("near-lossless", 0.999)]
)
def test_every_shell_of_the_decode_reaches_the_preset(phantom, preset, least):
    neural_map = encode(phantom, options(preset=preset))
    assert worst(neural_map, phantom) >= least
    assert neural_map.record["fidelity"]["worst"] == pytest.approx(worst(neural_map, phantom), abs=2e-3)


def test_fidelity_costs_bytes(close):
    fits = [encode(close, options(target_fsc=goal, effort="low")) for goal in (0.5, 0.8, 0.95)]
    sizes = [made.tensors["weights"].nbytes for made in fits]
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("limit", ["SUM", "WEIGHTS"])
def test_a_search_ends_before_there_is_more_than_a_file_holds(close, limit, monkeypatch):
    wanted = options(preset="preview", mask="none", effort="low")
    whole = np.abs(decode_tensor(encode(close, wanted).tensors["weights"]))
    held = int(whole.sum()) if limit == "SUM" else int(np.count_nonzero(whole))
    monkeypatch.setattr(search, limit, Limit(held // 2, 0, 0))
    made = encode(close, wanted)
    few = np.abs(decode_tensor(made.tensors["weights"]))
    assert 0 < (few.sum() if limit == "SUM" else np.count_nonzero(few)) <= held // 2
    assert made.record["fidelity"]["worst"] < 0.9


def test_the_same_seed_gives_the_same_bytes(close):
    wanted = options(preset="preview", effort="low")
    first, second = (encode(close, wanted).tensors["weights"].arrays[""] for _ in "ab")
    np.testing.assert_array_equal(first, second)


def test_a_byte_limit_is_kept_and_used(close):
    neural_map = encode(close, options(max_bytes=600, effort="low"))
    used = sum(coded.nbytes for coded in neural_map.tensors.values())
    assert 480 <= used <= 600
    assert worst(neural_map, close) > worst(encode(close, options(max_bytes=300, effort="low")), close)


def test_a_target_out_of_reach_is_refused_with_what_was_reached(phantom):
    # Weights are allowed in one corner of the molecule only.
    corner = np.zeros(GRID.shape, np.float32)
    corner[24:32, 24:32, 24:32] = 1
    with pytest.raises(QualityError, match=r"worst shell .* of the wanted 0.99"):
        encode(phantom, options(target_fsc=0.99, effort="low", mask=DensityMap(corner, GRID)))


def test_a_fit_that_is_stopped_gives_the_best_so_far(phantom):
    asked = iter(range(100))
    neural_map = encode(phantom, options(), should_stop=lambda: next(asked) > 25)
    assert 0 < worst(neural_map, phantom) < 0.9


def kill_a_fit(density: DensityMap, checkpoint: Path, sweeps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End a fit in the middle of its search, its state kept in `checkpoint`."""
    monkeypatch.setattr("nmap.fit.bumps.search.SAVE_EVERY", 0.0)
    count = iter(range(1000))

    class Killed(BaseException):
        pass

    def kill() -> bool:
        if next(count) > sweeps:
            raise Killed
        return False

    with pytest.raises(Killed):
        encode(density, options(effort="low", checkpoint=checkpoint), should_stop=kill)
    assert list(checkpoint.iterdir())


def test_a_killed_fit_goes_on_from_its_checkpoint(close, tmp_path, monkeypatch):
    whole = encode(close, options(effort="low"))
    kill_a_fit(close, tmp_path, 40, monkeypatch)
    resumed = encode(close, options(effort="low", checkpoint=tmp_path))
    assert abs(worst(resumed, close) - worst(whole, close)) < 1e-3
    for name, kept in whole.tensors.items():
        np.testing.assert_array_equal(decode_tensor(resumed.tensors[name]), decode_tensor(kept))
    assert not list(tmp_path.iterdir())


def test_a_fit_that_is_stopped_before_any_weight_is_an_interrupt(phantom):
    with pytest.raises(KeyboardInterrupt):
        encode(phantom, options(), should_stop=lambda: True)


def test_a_checkpoint_of_another_fit_or_a_damaged_one_is_refused(close, tmp_path, monkeypatch):
    kill_a_fit(close, tmp_path, 10, monkeypatch)
    kept = next(tmp_path.iterdir())
    with pytest.raises(OptionError, match="of another map, mask, goal or effort"):
        encode(close, options(effort="low", checkpoint=tmp_path, preset="preview"))
    for content in (b"", b"junk" * 100):
        kept.write_bytes(content)
        with pytest.raises(OptionError, match="damaged"):
            encode(close, options(effort="low", checkpoint=tmp_path))


def test_a_byte_limit_gives_what_a_preset_of_as_many_bytes_does(close):
    small = encode(close, options(preset="preview", effort="low"))
    most = sum(tensor.nbytes for tensor in small.tensors.values())
    assert worst(encode(close, options(max_bytes=most, effort="low")), close) > worst(small, close) - 0.1


@pytest.mark.parametrize("name", ["C4", "D7", "O"])
def test_the_mean_over_copies_is_the_adjoint_of_their_sum(name):
    """<S w, F> = w . S* F: for groups whose copies lie on the lattice and for others."""
    rng = np.random.default_rng(0)
    grid = Grid((24, 24, 24), (1.5,) * 3)
    group = PointGroup(name, box_centre(grid))
    sites, weights = rng.integers(0, 24, (20, 3)), rng.normal(size=20)
    shells = Shells(grid)
    keep = shells.index <= 7
    half = np.fft.rfftn(rng.normal(size=grid.shape)).astype(np.complex64) * keep
    spread = centres_spectrum(sites, weights, grid.shape, grid, group)
    left = float((shells.sum((spread.conj() * half).real)).sum())
    spreading = Spreading(grid.shape, grid, group, torch.device("cpu"))
    mean = spreading.mean(torch.from_numpy(half), torch.from_numpy(sites)).numpy()
    right = float(weights @ mean) * group.order
    assert left == pytest.approx(right, rel=1e-4, abs=1e-4 * float(np.abs(half).max()))


def test_symmetry_is_found_and_pays(fourfold):
    free = encode(fourfold, options(effort="low"))
    found = encode(fourfold, options(symmetry="auto", effort="low"))
    assert found.field.symmetry is not None
    assert found.field.symmetry.name == "C4"
    assert found.tensors["weights"].nbytes < 0.45 * free.tensors["weights"].nbytes
    assert worst(found, fourfold) >= 0.9


def test_a_symmetric_decode_is_symmetric_to_rounding(fourfold):
    values = encode(fourfold, options(symmetry="C4", preset="preview", effort="low")).as_array()
    turned = np.rot90(values, axes=(1, 2))
    # Voxel n/2 stays where it is: after rot90 of an even box that takes a shift by one.
    turned = np.roll(turned, 1, axis=1) if np.abs(turned - values).max() > 1e-3 else turned
    assert np.abs(turned - values).max() < 1e-5 * np.ptp(values)


def test_an_asymmetric_map_stays_c1(phantom):
    made = encode(phantom, options(symmetry="auto", preset="preview", effort="low"))
    assert made.field.symmetry is None


def test_a_wrong_point_group_is_refused_with_its_correlation(phantom):
    with pytest.raises(QualityError, match=r"C3 .* correlation of only -?0\.\d+"):
        encode(phantom, options(symmetry="C3"))


def test_a_wrong_point_group_can_be_forced(phantom):
    forced = encode(phantom, options(symmetry="C2", force_symmetry=True, preset="preview", effort="low"))
    assert forced.field.symmetry is not None


def test_pure_noise_decodes_to_nothing_of_another_noise():
    rng = np.random.default_rng(5)
    first, second = (DensityMap(rng.standard_normal(GRID.shape).astype(np.float32), GRID) for _ in "ab")
    decoded = encode(first, options(preset="preview", mask="none", effort="low")).as_array()
    curve = fsc(decoded, second.values, GRID)
    inside = slice(3, int(1 / (RESOLUTION * curve.frequency[1])) + 1)
    assert np.abs(curve.fsc[inside]).max() < 5 / np.sqrt(curve.modes[inside].min() / 2)
    power = np.abs(np.fft.rfftn(decoded - decoded.mean())) ** 2
    k = np.fft.fftfreq(48) * 48
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(25) ** 2)
    assert power[radius > 16.6].sum() < 1e-6 * power.sum()


def test_goals_that_contradict_each_other_are_refused():
    with pytest.raises(OptionError, match="one of them"):
        EncodeOptions(target_fsc=0.9, max_bytes=1000)
    with pytest.raises(OptionError, match="only block-siren and radial-basis"):
        EncodeOptions(arch="fourier-features", max_bytes=1000)


def test_shells_that_a_low_pass_has_emptied_do_not_count(phantom):
    from nmap.spectrum import band_limited

    soft = DensityMap(band_limited(phantom.values, GRID, 9.0), GRID)
    neural_map = encode(soft, options(target_fsc=0.8, mask="none"))
    curve = fsc(neural_map.as_array(), soft.values, GRID)
    assert curve.worst(9.5) >= 0.8


def test_coarse_shells_of_what_is_searched_are_as_strong_beside_each_other_as_in_the_map(phantom):
    lattice = lattice_of(prepare(phantom, options()), None, torch.device("cpu")).full
    spectrum, shells = rfftn(torch.from_numpy(phantom.values)).numpy(), Shells(GRID)
    source = shells.sum(np.abs(spectrum) ** 2)[1 : lattice.last + 1]
    coarse = slice(0, round(lattice.last / 4))
    ratio = lattice.wanted_power.numpy()[1:] / source
    assert ratio[coarse] == pytest.approx(ratio[coarse][0], rel=0.01)
    assert ratio[-1] > 10 * ratio[0]


def test_an_option_of_dense_layers_means_a_siren():
    assert EncodeOptions(hidden_features=16).arch == "siren"
    assert EncodeOptions().arch == "block-siren"
    with pytest.raises(
        OptionError, match="`weight_bits` with `arch` radial-basis: only siren and fourier-features"
    ):
        EncodeOptions(arch="radial-basis", weight_bits=4)


def test_a_small_molecule_in_a_large_box_is_as_true_in_the_whole_box():
    """Its sweeps run in a working box; the goal holds in the whole box's own shells."""
    grid = Grid((96, 80, 88), (1.5,) * 3, (3.0, -6.0, 9.0))
    values = np.zeros(grid.shape, np.float32)
    values[40:88, 6:54, 30:78] = blobs(np.eye(3)[None], 90)
    density = DensityMap(values, grid)
    target = prepare(density, options(target_fsc=0.9))
    lattice = lattice_of(target, None, torch.device("cpu"))
    assert np.prod(lattice.shape) < 0.6 * np.prod(lattice.full.shape)
    neural_map = encode(density, options(target_fsc=0.9, effort="low"))
    assert float(fsc(neural_map.as_array(), values, grid).worst(RESOLUTION)) >= 0.9


def test_a_symmetric_molecule_off_the_middle_of_its_working_box_stays_symmetric():
    grid = Grid((48, 96, 96), (1.5,) * 3)
    values = np.zeros(grid.shape, np.float32)
    values[:, 24:72, 24:72] = blobs(PointGroup("C3").operators, 15)
    neural_map = encode(DensityMap(values, grid), options(symmetry="C3", target_fsc=0.9, effort="low"))
    assert neural_map.field.symmetry is not None
    third = PointGroup("C3", neural_map.field.symmetry.center).operators[1]
    centre = np.asarray(box_centre(grid))
    at = np.random.default_rng(0).normal(0, 8, (500, 3))
    here, there = (neural_map.sample(places + centre) for places in (at, at @ third.T))
    # A threefold axis does not map the box's own Fourier modes onto each other: exact but for the steps of the gains.
    assert np.square(here - there).mean() < 1e-4 * np.square(here).mean()


def test_without_time_a_fit_still_answers(phantom):
    assert np.abs(encode(phantom, options(time_budget=0.01)).as_array()).max() > 0


def test_transforms_on_the_cpu_are_those_of_a_gpu():
    volume = torch.from_numpy(np.random.default_rng(0).normal(size=(12, 16, 20)).astype(np.float32))
    half = torch.fft.rfftn(volume)
    torch.testing.assert_close(rfftn(volume), half, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(irfftn(half, (12, 16, 20)), volume * volume.numel(), rtol=1e-4, atol=0.02)


@pytest.mark.parametrize("mask", ["auto", "none"])
def test_a_goal_near_one_is_aimed_at_and_reached(phantom, mask):
    made = encode(phantom, options(target_fsc=0.998, mask=mask, effort="low"))
    assert worst(made, phantom) >= 0.998


def test_advice_is_a_goal_that_was_reached_rounded_down(close):
    with pytest.raises(QualityError, match=r"reached 0\.\d+ of the wanted 0\.99999 ") as caught:
        encode(close, options(target_fsc=0.99999, effort="low"))
    reached, lower = (float(n) for n in re.findall(r"(?:reached|`target_fsc`) (0\.\d+)", str(caught.value)))
    assert lower <= reached < 0.99999
    assert worst(encode(close, options(target_fsc=lower, effort="low")), close) >= lower


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99953, "0.99953"),
        (0.99968, "0.99968"),
        (0.987, "0.9870"),
        (0.29, "0.2900"),
        (0.89999, "0.8999"),
        (-0.3, "-0.3000"),
        (1.0, "1.0000"),
        (0.99999999, "1.0000"),
        (1.25009, "1.2500"),
    ],
)
def test_a_correlation_is_written_with_four_decimals_or_two_digits_of_what_it_lacks_and_never_rounded_up(
    value, text
):
    assert floored(value) == text


def test_without_a_limit_a_search_has_all_the_time_there_is():
    clock = Deadline(math.inf)
    assert clock.left(1000) == math.inf
    assert clock.used(1000, 1) == 0
    assert not clock.wants_trial(1000)


def test_a_failed_further_search_keeps_what_the_first_one_found(fourfold, monkeypatch):
    from nmap.fit.bumps import fit

    first = iter([True])

    def laid_out(task, symmetry, owed, inside=None):
        if next(first, False):
            return lattice_of(task.target, symmetry, task.device)
        raise MemoryError("too many sites")

    monkeypatch.setattr(fit, "_laid_out", laid_out)
    monkeypatch.setattr(fit._Search, "fell_short", property(lambda search: True))
    made = encode(fourfold, options(symmetry="auto", preset="preview", effort="low"))
    assert made.field.symmetry is not None
    codes = [notice["code"] for notice in made.record["fit"]["notes"]]
    assert codes == ["fitted-as-c1", "attempt-failed"]
