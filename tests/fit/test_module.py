"""A file as a torch module: values and derivatives as numpy has them, and back to a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from phantoms import fourier_features, neural_map, siren

import nmap
from nmap.errors import OptionError
from nmap.grid import Grid
from nmap.model import BlockSiren, RadialBasis
from nmap.model.block_siren import BlockSizes, amplitude_count, wave_vectors
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup
from nmap.spectrum import lattice_shape

BOX = Grid((18, 16, 20), (1.5, 1.5, 1.5), (3.0, -2.0, 1.0))
LIMIT = 6.0
CENTRE = tuple(e / 2 for e in BOX.edges)


def gains(box: Grid) -> np.ndarray:
    last = int(1 / (LIMIT / max(box.edges)) + 1e-6)
    return np.linspace(1, 0.3, last + 1).astype(np.float32)


def block_siren() -> NeuralMap:
    lattice = lattice_shape(BOX, LIMIT)
    sizes = BlockSizes(blocks=5, width=6, hidden=1, code=3, waves=2)
    count = sum(int(np.prod(s)) for s in sizes.shapes(amplitude_count(wave_vectors(2, lattice))))
    numbers = np.random.default_rng(1).normal(size=count).astype(np.float32) / 2
    network = BlockSiren(numbers, sizes, (2.0, 1.5), 6.0)
    bits = np.zeros((4, 4, 4), bool)
    bits[1:3, 1:3, 1:3] = True
    return neural_map(
        network, BOX, resolution=LIMIT, gains=gains(BOX), occupancy=bits, symmetry=PointGroup("C2", CENTRE)
    )


def radial(name: str) -> NeuralMap:
    shape = (20, 16, 20)
    weights, draw = np.zeros(shape, np.float32), np.random.default_rng(2)
    for z, y, x in 2 * draw.integers(0, 8, (12, 3)):
        weights[z, y, x] = draw.integers(1, 9)
    group = None if name == "C1" else PointGroup(name, CENTRE)
    return neural_map(
        RadialBasis(weights), BOX, resolution=LIMIT, gains=gains(BOX), lattice=shape, symmetry=group
    )


MAPS = {
    "siren": lambda: neural_map(siren(), BOX, offset=0.5, scale=2.0),
    "siren, masked, C3": lambda: neural_map(
        siren(),
        BOX,
        occupancy=np.random.default_rng(3).random((4, 5, 4)) > 0.4,
        symmetry=PointGroup("C3", CENTRE),
    ),
    "siren, band limit": lambda: neural_map(siren(output="sine"), BOX, resolution=LIMIT, gains=gains(BOX)),
    "fourier-features": lambda: neural_map(fourier_features(), BOX, offset=-1.0),
    "block-siren": block_siren,
    "radial-basis": lambda: radial("C1"),
    "radial-basis, C2": lambda: radial("C2"),
    "radial-basis, C3": lambda: radial("C3"),
}


@pytest.fixture(params=MAPS)
def made(request: pytest.FixtureRequest) -> NeuralMap:
    return MAPS[request.param]()


def points(count: int = 40) -> np.ndarray:
    return np.asarray(BOX.origin) + np.random.default_rng(0).uniform(0.05, 0.95, (count, 3)) * BOX.edges


def test_values_are_those_of_numpy_also_outside_the_box(made: NeuralMap) -> None:
    at = np.concatenate((points(), [[-50.0, 0, 0]]))
    with torch.no_grad():
        values = made.to_torch()(torch.from_numpy(at)).numpy()
    wanted = made.sample(at)
    assert_allclose(values, wanted, atol=1e-5 * np.ptp(made.as_array()))
    assert values[-1] == pytest.approx(made.field.offset)


def test_the_derivative_by_the_points_is_the_gradient(made: NeuralMap) -> None:
    at = torch.from_numpy(points()).requires_grad_()
    made.to_torch()(at).sum().backward()
    wanted = made.gradient(points())
    # The spread sum is exact to 1e-5 of the range in values; its derivative to some times that in a fine sample.
    assert_allclose(at.grad.numpy(), wanted, atol=1e-4 * np.abs(wanted).max())


def test_the_derivative_by_a_weight_is_what_numpy_sees_of_a_small_step(made: NeuralMap) -> None:
    module, at = made.to_torch(), points(12)
    module(torch.from_numpy(at)).sum().backward()
    parameter = max(module.parameters(), key=lambda p: p.numel())
    place = int(parameter.grad.abs().argmax())
    step, moved = 1e-2, []
    for sign in (-1, 1):
        with torch.no_grad():
            parameter.view(-1)[place] += sign * step
        moved.append(float(nmap.from_torch(module).sample(at).sum(dtype=np.float64)))
        with torch.no_grad():
            parameter.view(-1)[place] -= sign * step
    slope = float(parameter.grad.view(-1)[place])
    assert (moved[1] - moved[0]) / (2 * step) == pytest.approx(slope, rel=0.02)


def test_a_module_trains_and_goes_back_to_a_file(tmp_path) -> None:
    made = MAPS["block-siren"]()
    at = torch.from_numpy(points(200))
    module = made.to_torch()
    before = module(at).detach()
    wanted = 1.5 * before
    adam = torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        adam.zero_grad()
        loss = (module(at) - wanted).square().mean()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    nmap.save(nmap.from_torch(module), tmp_path / "tuned.nmap")
    again = nmap.open(tmp_path / "tuned.nmap")
    assert_allclose(again.sample(at.numpy()), module(at).detach(), atol=1e-5 * np.ptp(again.as_array()))
    with pytest.raises(OptionError, match="wanted a module that"):
        nmap.from_torch(torch.nn.Linear(3, 1))
