"""Fits of block SIRENs: gradients against autograd, goals, symmetry, sections, time."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from nmap.errors import OptionError, QualityError
from nmap.fit.blocks.network import Batch, BlockNetwork
from nmap.fit.blocks.parameters import Parameters
from nmap.fit.blocks.rate import Rate
from nmap.fit.blocks.recipe import choose_recipe
from nmap.fit.device import Workers
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.target.goal import ShellGoal
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.model import BlockSiren
from nmap.model.block_siren import BlockSizes
from nmap.spectrum import fsc

GRID = Grid((32, 32, 32), (2.0,) * 3)
RESOLUTION = 8.0
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def phantom() -> DensityMap:
    """Twenty blobs and their copies under C2 about z."""
    rng = np.random.default_rng(1)
    points, out = GRID.points(), np.zeros(GRID.shape)
    for place in rng.uniform(20, 44, (20, 3)):
        for copy in (place, [64 - place[0], 64 - place[1], place[2]]):
            out += np.exp(-((points - copy) ** 2).sum(-1) / (2 * 2.5**2))
    out[out < 1e-4] = 0
    return DensityMap(out.astype(np.float32), GRID)


def options(**changes) -> EncodeOptions:
    return EncodeOptions(
        **{"resolution": RESOLUTION, "arch": "siren", "symmetry": "C1", "preset": "preview", **changes}
    )


def worst(neural_map, density: DensityMap) -> float:
    return float(fsc(neural_map.as_array(), density.values, density.grid).worst(RESOLUTION))


@pytest.mark.parametrize("hidden", [0, 2])
def test_the_written_out_gradient_is_that_of_autograd(hidden: int) -> None:
    sizes = BlockSizes(blocks=6, width=5, hidden=hidden, code=3, waves=-1)
    random = torch.Generator().manual_seed(1)
    parameters = Parameters(sizes, (2.0, *[1.5] * hidden), random, CPU)
    x, mask, weight, wanted = (torch.rand(6, 4, *more, generator=random) for more in ((3,), (), (), ()))
    batch = Batch(x, mask, weight, torch.zeros(6, 4, dtype=torch.long))
    with Workers(CPU) as workers:
        network = BlockNetwork(parameters, workers, CPU)
        network.take(parameters.flat)
        loss = network.descend(batch, wanted)
        values = network.values(x)
    flat = parameters.flat.clone().requires_grad_()
    m, layers = parameters.views(flat), hidden + 1
    base, maps, codes = m[layers : 2 * layers + 1], m[2 * layers + 1 : -1], m[-1]
    given = [b[:, 0] + codes @ turn for b, turn in zip(base, maps, strict=True)]
    h = x
    for matrix, bias in zip(m[:layers], given, strict=False):
        h = torch.sin(h @ matrix.T + bias[:, None])
    u = (h * given[-1][:, None, :-1]).sum(-1) + given[-1][:, None, -1]
    by_autograd = (weight * (u * mask - wanted) ** 2).sum()
    by_autograd.backward()
    assert_allclose(values, u.detach(), atol=1e-5)
    assert_allclose(loss, by_autograd.detach(), rtol=1e-5)
    assert_allclose(network.gradient, flat.grad, atol=1e-5)


def test_the_slope_of_the_rate_is_the_bits_of_a_step() -> None:
    parameters = Parameters(BlockSizes(3, 4, 1, 2, -1), (2.0, 1.5), torch.Generator().manual_seed(1), CPU)
    rate = Rate(parameters)
    rate.renew(parameters.flat / parameters.steps()[parameters.matrix_of])
    for size in (0, 1, 2, 5):
        this, there = (torch.full_like(parameters.flat, float(n)) for n in (size, size + 1))
        slope = rate.slope(this + 0.5).double().sum()
        assert rate.bits(there) - rate.bits(this) == pytest.approx(float(slope), rel=1e-3)


def test_a_fit_meets_its_goal_and_hardly_more(phantom) -> None:
    made = encode(phantom, options(target_fsc=0.9))
    assert isinstance(made.field.network, BlockSiren)
    assert 0.9 <= made.record["fidelity"]["worst"] < 0.95
    assert worst(made, phantom) > 0.89


def test_the_same_seed_gives_the_same_file_and_another_one_another(phantom) -> None:
    few = {"blocks": 10, "steps": 48}
    one, same, other = (encode(phantom, options(**few, seed=s)).tensors["network"] for s in (3, 3, 4))
    assert one.arrays[""].tobytes() == same.arrays[""].tobytes() != other.arrays[""].tobytes()


def test_symmetry_is_found_and_the_decode_has_it(phantom) -> None:
    found = encode(phantom, options(symmetry="auto", target_fsc=0.98))
    assert found.field.symmetry is not None and found.field.symmetry.name == "C2"
    values = found.as_array()
    turned = np.roll(values[:, ::-1, ::-1], (1, 1), (1, 2))
    assert np.abs(values - turned).max() < 0.05 * np.ptp(values)


def test_a_group_whose_copies_fall_between_lattice_points_will_do_too() -> None:
    rng = np.random.default_rng(2)
    points, out = GRID.points() - 32, np.zeros(GRID.shape)
    for place in rng.uniform(-12, 12, (12, 3)):
        for angle in np.arange(3) * 2 * np.pi / 3:
            c, s = np.cos(angle), np.sin(angle)
            copy = (c * place[0] - s * place[1], s * place[0] + c * place[1], place[2])
            out += np.exp(-((points - copy) ** 2).sum(-1) / (2 * 2.5**2))
    density = DensityMap(out.astype(np.float32), GRID)
    made = encode(density, options(symmetry="C3", force_symmetry=True, blocks=14, steps=240))
    assert made.record["fidelity"]["worst"] >= 0.5


def test_a_section_is_cut_into_blocks_of_its_plane(phantom) -> None:
    made = encode(phantom, options(slice=("z", 16), blocks=6, steps=240))
    assert made.grid.shape == (1, 32, 32)
    assert made.record["fidelity"]["worst"] >= 0.5


def test_a_goal_out_of_reach_says_how_far_it_came(phantom) -> None:
    few = {"blocks": 10, "steps": 40}
    with pytest.raises(QualityError, match=r"of the wanted 0\.999"):
        encode(phantom, options(target_fsc=0.999, **few))
    notices = encode(phantom, options(preset="faithful", **few)).record["fit"]["notes"]
    assert "below-goal" in str(notices)


def test_a_low_goal_is_met_too(phantom) -> None:
    neural_map = encode(phantom, options(target_fsc=0.5, effort="low"))
    assert worst(neural_map, phantom) > 0.5 - 1e-3


def test_a_time_budget_ends_training_early(phantom) -> None:
    made = encode(phantom, options(time_budget=0.5))
    assert made.record["fit"]["steps"] < 640
    assert isinstance(made.field.network, BlockSiren)


def test_a_stop_asked_for_ends_the_fit_with_what_there_is(phantom) -> None:
    asked = iter(range(10_000))
    made = encode(phantom, options(), should_stop=lambda: next(asked) > 100)
    assert made.record["fit"]["steps"] < 640
    assert isinstance(made.field.network, BlockSiren)


def test_a_killed_fit_goes_on_from_its_checkpoint(phantom, tmp_path, killed) -> None:
    few = {"blocks": 8, "steps": 160, "checkpoint": tmp_path}
    whole = encode(phantom, options(**few))
    assert not list(tmp_path.iterdir())
    killed(partial(encode, phantom, options(**few)))
    assert [path.name for path in tmp_path.iterdir()] == ["blocks.0.npz"]
    with pytest.raises(OptionError, match="of another map, mask, goal or effort"):
        encode(phantom, options(**{**few, "preset": "faithful"}))
    resumed = encode(phantom, options(**few))
    assert resumed.tensors["network"].arrays[""].tobytes() == whole.tensors["network"].arrays[""].tobytes()
    assert not list(tmp_path.iterdir())


def test_a_byte_limit_is_kept_and_used(phantom) -> None:
    most = 2600
    made = encode(phantom, options(max_bytes=most, effort="low"))
    taken = sum(tensor.nbytes for tensor in made.tensors.values())
    assert 0.7 * most < taken <= most
    assert worst(made, phantom) > 0.5
    with pytest.raises(QualityError, match="allow more bytes"):
        encode(phantom, options(max_bytes=40))


def test_effort_is_a_matter_of_passes() -> None:
    low, default, high = (
        choose_recipe(5e3, 10**6, options(effort=effort), 0.9).passes for effort in ("low", "default", "high")
    )
    assert low == default / 2 == high / 4


def test_the_level_of_a_goal_is_what_would_cost_as_much_in_every_shell() -> None:
    modes = np.array([0.0, 10, 30])
    flat = ShellGoal(0.9, np.ones(3), modes, "fsc")
    assert flat.level == pytest.approx(0.9) and flat.weights == pytest.approx(np.ones(3))
    uneven = ShellGoal(1.0, np.array([1.0, 0.6, 0.8]), modes, "noise")
    # Bits of a Gaussian source, log2(1 / (1 - c^2)) / 2 a mode: a quarter of 0.64 and three of 0.36 missing.
    assert np.log(1 - uneven.level**2) == pytest.approx(np.average(np.log([0.64, 0.36]), weights=[1, 3]))
    assert uneven.worst(uneven.ceiling) == pytest.approx(uneven.level)
    assert uneven.reached(0.5 * uneven.ceiling) == pytest.approx(0.5)


def test_the_caller_may_ask_for_blocks_and_one_means_the_plain_network(phantom) -> None:
    made = encode(phantom, options(blocks=5, hidden_features=12, steps=80))
    assert made.field.network.settings()["blocks"] == 5
    assert made.field.network.settings()["width"] == 12
    assert options().arch == "block-siren"
    assert options(blocks=1).arch == "siren"
    assert options(hidden_features=12).arch == "siren"
    assert EncodeOptions(blocks=12).arch == "block-siren"
    with pytest.raises(OptionError, match="blocks"):
        options(blocks=0)
    with pytest.raises(OptionError, match="blocks"):
        options(arch="radial-basis", blocks=4)


def test_sizes_grow_with_the_map_and_the_goal() -> None:
    small, large = (choose_recipe(f, 10**6, options(), 0.9).sizes for f in (5e3, 5e4))
    true = choose_recipe(5e3, 10**6, options(), 0.99).sizes
    assert large.blocks == pytest.approx(10 * small.blocks, rel=0.05)
    assert small.width < large.width
    assert true.code > 1.5 * small.code and true.width > small.width
