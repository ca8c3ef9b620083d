"""A network's parameters in training: how they begin, how fast they move, how more neurons are added."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nmap.fit.dense.recipe import Recipe

# Largest step, in radians of phase or units of activation, that a weight makes; the hidden weights' one
# holds for `_WIDTH` neurons and falls with their number, for their effects add up.
_RATE = {"first": 0.04, "hidden": 0.02, "last": 1e-3}
_WIDTH = 80
_RELU_RATE = 1e-3


def network_settings(recipe: Recipe) -> dict[str, Any]:
    """Settings of the recipe's network, as its model kind wants them."""
    if recipe.kind != "siren":
        return {}
    return {"omegas": [recipe.omega0] + [recipe.omega_hidden] * recipe.layers, "output": "linear"}


def initial_parameters(recipe: Recipe, random: torch.Generator) -> dict[str, Tensor]:
    """Parameters to begin with, by their name in the file.

    SIREN as Sitzmann et al. 2020 say: first layer uniform in 1/inputs, the others in sqrt(6 / neurons) /
    omega. Fourier features as Tancik et al. 2020: normal frequencies, amplitude 1; He's initialisation for
    ReLU layers.
    """
    n, layers = recipe.features, recipe.layers

    def uniform(bound: float, *shape: int) -> Tensor:
        return (2 * torch.rand(*shape, generator=random) - 1) * bound

    if recipe.kind == "siren":
        hidden = math.sqrt(6 / n) / recipe.omega_hidden
        return {
            "first.weight": uniform(recipe.spread / 3, n, 3),
            "first.bias": uniform(math.pi / recipe.omega0, n),
            "hidden.weight": uniform(hidden, layers, n, n),
            "hidden.bias": uniform(hidden, layers, n),
            "last.weight": uniform(math.sqrt(2 / n), 1, n),
            "last.bias": torch.zeros(1),
        }
    m = max(n // 2, 1)
    return {
        "frequencies": torch.randn(m, 3, generator=random) * recipe.omega0,
        "amplitudes": torch.ones(m),
        "first.weight": uniform(math.sqrt(6 / m), n, 2 * m),
        "first.bias": torch.zeros(n),
        "hidden.weight": uniform(math.sqrt(6 / n), layers, n, n),
        "hidden.bias": torch.zeros(layers, n),
        "last.weight": uniform(math.sqrt(1 / n), 1, n),
        "last.bias": torch.zeros(1),
    }


def learning_rates(recipe: Recipe) -> dict[str, float]:
    """Highest learning rates of the parameters that are trained."""
    narrow = min(1.0, _WIDTH / recipe.features)
    if recipe.kind == "siren":
        first, hidden = _RATE["first"] / recipe.omega0, _RATE["hidden"] / recipe.omega_hidden
    else:
        first = hidden = _RELU_RATE
    return {
        "first.weight": first,
        "first.bias": first,
        "hidden.weight": hidden * narrow,
        "hidden.bias": hidden,
        "last.weight": _RATE["last"],
        "last.bias": _RATE["last"],
    }


def widened(
    old: Recipe, new: Recipe, parameters: dict[str, Tensor], random: torch.Generator
) -> dict[str, Tensor]:
    """Parameters of a wider network that computes the same: the old neurons take nothing from the new ones."""
    out = initial_parameters(new, random)
    n = old.features
    for name, fresh in out.items():
        kept = parameters[name]
        if name in ("frequencies", "amplitudes"):
            fresh[: len(kept)] = kept
        elif name == "first.weight" and old.kind != "siren":
            m, wide = kept.shape[1] // 2, fresh.shape[1] // 2
            fresh[:n] = 0
            fresh[:n, :m], fresh[:n, wide : wide + m] = kept[:, :m], kept[:, m:]
        elif name == "hidden.weight":
            fresh[:, :n] = 0
            fresh[:, :n, :n] = kept
        elif name == "last.weight":
            fresh.zero_()
            fresh[:, :n] = kept
        elif name == "hidden.bias":
            fresh[:, :n] = kept
        else:
            fresh[: len(kept)] = kept
    return out
