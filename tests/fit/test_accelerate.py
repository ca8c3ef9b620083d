"""torch computes what numpy computes, and shares work out without changing it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nmap.errors import OptionError, UnsupportedError
from nmap.fit.device import Workers, choose_device, forward
from nmap.model import build_network

CPU = torch.device("cpu")


def parameters(kind: str, features: int = 24, layers: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    inputs = 3 if kind == "siren" else 16
    shapes = {
        "first.weight": (features, inputs),
        "first.bias": (features,),
        "hidden.weight": (layers, features, features),
        "hidden.bias": (layers, features),
        "last.weight": (1, features),
        "last.bias": (1,),
    }
    if kind != "siren":
        shapes |= {"frequencies": (8, 3), "amplitudes": (8,)}
    bound = 0.1 if kind == "siren" else 0.4
    return {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("siren", {"omegas": [20.0, 10.0, 10.0], "output": "linear"}),
        ("siren", {"omegas": [20.0, 10.0, 10.0, 7.0], "output": "sine"}),
        ("fourier-features", {}),
    ],
)
def test_torch_and_numpy_agree_to_1e_5_of_the_range(kind, settings):
    tensors = parameters(kind)
    t = np.random.default_rng(0).uniform(-1, 1, (500, 3)).astype(np.float32)
    by_numpy = build_network(kind, settings, tensors)(t)
    weights = {name: torch.from_numpy(values) for name, values in tensors.items()}
    by_torch = forward(kind, settings, weights, torch.from_numpy(t), torch.float32).numpy()
    assert np.abs(by_torch - by_numpy).max() <= 1e-5 * np.ptp(by_numpy)
    rough = forward(kind, settings, weights, torch.from_numpy(t), torch.bfloat16).numpy()
    assert np.abs(rough - by_numpy).max() <= 0.1 * np.ptp(by_numpy)


def test_a_kind_that_torch_does_not_have_is_refused_by_name():
    with pytest.raises(UnsupportedError, match="radial-basis"):
        forward("radial-basis", {}, {}, torch.zeros(1, 3), torch.float32)


def test_the_gradient_of_the_pieces_is_that_of_the_whole():
    x = torch.linspace(-1, 1, 5000)
    leaf = torch.tensor([0.3, -0.2], requires_grad=True)
    with Workers(CPU) as workers:
        total, (gradient,) = workers.gradient(
            lambda p: (leaf[0] * x[p] + leaf[1]).square().sum(), 5000, [leaf]
        )
        values = workers.evaluate(lambda p: leaf[0] * x[p], 5000)
    # sum (a x + b)^2 over x even about 0: a^2 sum x^2 + n b^2
    squares = float((x.double() ** 2).sum())
    assert float(total) == pytest.approx(0.09 * squares + 5000 * 0.04, rel=1e-4)
    np.testing.assert_allclose(gradient, [0.6 * squares, -0.4 * 5000], rtol=1e-4)
    np.testing.assert_allclose(values, 0.3 * x, atol=1e-7)


def test_threads_of_torch_are_as_before_afterwards():
    before = torch.get_num_threads()
    with Workers(CPU):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    assert choose_device("auto") == CPU
    with pytest.raises(OptionError, match="no usable GPU"):
        choose_device("cuda")
