"""The two model kinds: values and exact derivatives, against closed forms and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from phantoms import fourier_features, siren, waves

from nmap.errors import FormatError, UnsupportedError
from nmap.model import FourierFeatures, Network, Siren, build_network

KINDS: dict[str, Network] = {
    "siren": siren(24, 3, omega=8.0),
    "siren with a sine output": siren(24, 2, output="sine"),
    "siren of one layer": siren(24, 0),
    "fourier features": fourier_features(),
    "fourier features without hidden layers": fourier_features(hidden=0),
}


def points(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3))


def torch_forward(network: Network, t: torch.Tensor) -> torch.Tensor:
    """The network as its paper writes it, in torch."""
    p = {name: torch.from_numpy(values).to(t.dtype) for name, values in network.tensors().items()}
    layers = [
        (p["first.weight"], p["first.bias"]),
        *zip(p["hidden.weight"], p["hidden.bias"], strict=True),
        (p["last.weight"], p["last.bias"]),
    ]
    if isinstance(network, Siren):
        h = t
        for (weight, bias), omega in zip(layers, network.omegas, strict=False):
            h = torch.sin(omega * torch.nn.functional.linear(h, weight, bias))
        return (h if network.output == "sine" else torch.nn.functional.linear(h, *layers[-1]))[:, 0]
    phase = 2 * torch.pi * t @ p["frequencies"].T
    h = torch.cat([p["amplitudes"] * torch.cos(phase), p["amplitudes"] * torch.sin(phase)], -1)
    for weight, bias in layers[:-1]:
        h = torch.relu(torch.nn.functional.linear(h, weight, bias))
    return torch.nn.functional.linear(h, *layers[-1])[:, 0]


@pytest.mark.parametrize("name", KINDS)
def test_float32_values_agree_with_torch_to_1e_5_of_the_range(name: str) -> None:
    t = points(3000).astype(np.float32)
    expected = torch_forward(KINDS[name], torch.from_numpy(t)).numpy()
    got = KINDS[name](t)
    assert got.dtype == np.float32
    assert np.abs(got - expected).max() <= 1e-5 * np.ptp(expected)


@pytest.mark.parametrize("name", KINDS)
def test_float64_values_and_gradients_are_those_of_autograd(name: str) -> None:
    t = torch.from_numpy(points(500)).requires_grad_()
    expected = torch_forward(KINDS[name], t)
    slope = torch.autograd.grad(expected.sum(), t)[0].numpy()
    values, gradients = KINDS[name].value_and_gradient(t.detach().numpy())
    np.testing.assert_allclose(values, expected.detach().numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(gradients, slope, rtol=0, atol=1e-11 * np.abs(slope).max())
    np.testing.assert_allclose(KINDS[name](t.detach().numpy(), np.float64), values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("width", [64, 200])
def test_float32_stays_within_1e_5_of_float64_for_a_deep_network_of_high_omega(width: int) -> None:
    network, t = siren(width, 5, omega=30.0), points(2000)
    reference = network(t, np.float64)
    assert np.abs(network(t) - reference).max() <= 1e-5 * np.ptp(reference)


def test_one_neuron_is_a_plane_wave_and_its_gradient_the_cosine() -> None:
    network = waves([(2, -1, 3)], [0.5], [0.3])
    f = np.random.default_rng(2).uniform(0, 1, (100, 3))
    phase = 2 * np.pi * f @ [2, -1, 3] + 0.3
    values, gradients = network.value_and_gradient(2 * f - 1)
    np.testing.assert_allclose(values, 0.5 * np.sin(phase), atol=1e-6)
    expected = 0.5 * np.cos(phase)[:, None] * np.pi * np.array([2, -1, 3])
    np.testing.assert_allclose(gradients, expected, atol=1e-5)


def test_omega_multiplies_weight_and_bias() -> None:
    ones = np.ones((1, 3), np.float32)
    empty = np.zeros((0, 1, 1), np.float32), np.zeros((0, 1), np.float32)
    network = Siren(
        ones, np.full(1, 0.5, np.float32), *empty, np.ones((1, 1), np.float32), np.zeros(1), (30.0,)
    )
    assert network(np.zeros((1, 3)), np.float64)[0] == pytest.approx(np.sin(15.0))


def test_a_relu_network_of_one_feature_is_the_rectified_wave() -> None:
    one, zero = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    network = FourierFeatures(
        np.array([[0, 0, 1]], np.float32),
        np.full(1, 2.0, np.float32),
        np.array([[0, 1]], np.float32),
        zero,
        np.zeros((0, 1, 1), np.float32),
        np.zeros((0, 1), np.float32),
        one,
        zero,
    )
    t = np.array([[0.3, 0.1, 0.1], [0, 0, -0.1]])
    values, gradients = network.value_and_gradient(t)
    np.testing.assert_allclose(values, [2 * np.sin(0.2 * np.pi), 0], atol=1e-7)
    np.testing.assert_allclose(gradients[:, 2], [4 * np.pi * np.cos(0.2 * np.pi), 0], rtol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_any_number_of_points_gives_the_same_values(name: str) -> None:
    t = points(2500)
    whole = KINDS[name](t)
    np.testing.assert_allclose(np.concatenate([KINDS[name](t[:7]), KINDS[name](t[7:])]), whole, atol=1e-5)
    assert KINDS[name](np.zeros((0, 3))).shape == (0,)
    assert KINDS[name].value_and_gradient(np.zeros((0, 3)))[1].shape == (0, 3)


@pytest.mark.parametrize("name", KINDS)
def test_a_network_is_rebuilt_from_its_settings_and_tensors(name: str) -> None:
    network, t = KINDS[name], points(50)
    again = build_network(network.kind, network.settings(), network.tensors())
    np.testing.assert_array_equal(again(t), network(t))


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"'wavelet'.*siren, radial-basis, fourier-features.*update"):
        build_network("wavelet", {}, {})


@pytest.mark.parametrize("name", ["first.weight", "hidden.bias", "last.bias"])
def test_a_missing_tensor_is_named(name: str) -> None:
    network = siren()
    with pytest.raises(FormatError, match=name):
        build_network("siren", network.settings(), {k: v for k, v in network.tensors().items() if k != name})


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("first.weight", (16, 2)),
        ("first.weight", (0, 3)),
        ("first.bias", (15,)),
        ("hidden.weight", (2, 16, 15)),
        ("hidden.bias", (1, 16)),
        ("last.weight", (2, 16)),
        ("last.bias", ()),
    ],
)
def test_a_tensor_of_another_shape_is_refused_with_both_shapes(name: str, shape: tuple[int, ...]) -> None:
    network = siren(16, 2)
    with pytest.raises(FormatError, match="wanted"):
        build_network("siren", network.settings(), {**network.tensors(), name: np.zeros(shape)})


@pytest.mark.parametrize(
    "settings",
    [
        {"omegas": [30.0], "output": "linear"},
        {"omegas": [30.0] * 3, "output": "relu"},
        {"omegas": [30.0, 30.0, float("nan")], "output": "linear"},
        {"omegas": 30.0, "output": "linear"},
        {"omegas": ["a", "b", "c"], "output": "linear"},
        {"output": "linear"},
    ],
)
def test_settings_that_do_not_fit_the_layers_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        build_network("siren", settings, siren(16, 2).tensors())


def test_features_and_their_amplitudes_must_match() -> None:
    network = fourier_features(12)
    with pytest.raises(FormatError, match=r"\(m, 3\) and \(m,\)"):
        build_network("fourier-features", {}, {**network.tensors(), "amplitudes": np.ones(11)})
