"""Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, arXiv:1412.6980).

What changes from step to step lies in tensors that stay where they are, so that a step can be recorded once and
replayed (CUDA graphs).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# Memory of the mean gradient and of the mean squared one: the share that a step keeps.
_MEAN_KEEPS = 0.9
_SQUARE_KEEPS = 0.99
_EPSILON = 1e-8
EAGER = 3
"""Steps to take before one is recorded."""


class Adam:
    """Moves parameters in place: for each step `begin`, then `step`.

    Args:
        parameters: tensors by name.
        rates: highest learning rates by name.
    """

    def __init__(self, parameters: Mapping[str, Tensor], rates: Mapping[str, float]) -> None:
        self._parameters, self.rates = dict(parameters), dict(rates)
        self._mean = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        self._square = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        self._count = 0
        device = next(iter(self._parameters.values())).device
        # Share of the learning rates, and what the means of the first few gradients lack.
        self._factor, self._first, self._second = (torch.zeros((), device=device) for _ in range(3))

    def begin(self, factor: float) -> None:
        """Make ready for the next step, which takes this share of the learning rates."""
        self._count += 1
        self._factor.fill_(factor)
        self._first.fill_(1 - _MEAN_KEEPS**self._count)
        self._second.fill_(1 - _SQUARE_KEEPS**self._count)

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor]) -> None:
        """One step down the gradients, by name of the parameter; it touches the device only."""
        for name, gradient in gradients.items():
            mean = self._mean[name].lerp_(gradient, 1 - _MEAN_KEEPS)
            square = self._square[name].lerp_(gradient * gradient, 1 - _SQUARE_KEEPS)
            change = (mean / self._first) / ((square / self._second).sqrt_().add_(_EPSILON))
            self._parameters[name].sub_(change.mul_(self.rates[name] * self._factor))
