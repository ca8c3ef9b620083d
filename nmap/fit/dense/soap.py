"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024 (arXiv:2409.11321). For a stack of
weight matrices, (layers, rows, columns), the mean of g g' and of g' g is kept; Adam runs in the basis of
their eigenvectors, which one step of orthogonal iteration follows every few steps. All other tensors get
plain Adam. On EMD-3488 it needs about half of Adam's steps for the same FSC.

What changes from step to step lies in tensors that stay where they are, so that a step can be recorded once
and replayed (CUDA graphs).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_MOMENTUM = 0.9
_MEMORY = 0.99
_EPSILON = 1e-8
# Steps between two turns of the basis; each of the first ones turns it.
_EVERY = 10
EAGER = 20


class Soap:
    """Moves parameters in place: for each step `begin`, `step` and `turn`.

    Args:
        parameters: tensors by name; those of three axes are stacks of matrices.
        rates: highest learning rates by name.
    """

    def __init__(self, parameters: Mapping[str, Tensor], rates: Mapping[str, float]) -> None:
        self._parameters, self.rates = dict(parameters), dict(rates)
        self._mean = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        self._square = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        self._basis: dict[str, tuple[Tensor, Tensor]] = {}
        self._moments: dict[str, tuple[Tensor, Tensor]] = {}
        self._count = 0
        device = next(iter(self._parameters.values())).device
        # Share of the learning rates, and what the means of so few gradients lack.
        self._factor, self._first, self._second = (torch.zeros((), device=device) for _ in range(3))

    def begin(self, factor: float) -> None:
        """Make ready for the next step, which takes this share of the learning rates."""
        self._count += 1
        self._factor.fill_(factor)
        self._first.fill_(1 - _MOMENTUM**self._count)
        self._second.fill_(1 - _MEMORY**self._count)

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor]) -> None:
        """One step down the gradients, by name of the parameter; it touches the device only."""
        for name, given in gradients.items():
            gradient = given
            mean = self._mean[name].lerp_(gradient, 1 - _MOMENTUM)
            if gradient.dim() == 3:
                self._follow(name, gradient)
                rows, columns = self._basis[name]
                mean, gradient = rows.mT @ mean @ columns, rows.mT @ gradient @ columns
            square = self._square[name].lerp_(gradient * gradient, 1 - _MEMORY)
            change = (mean / self._first) / ((square / self._second).sqrt_().add_(_EPSILON))
            if gradient.dim() == 3:
                change = rows @ change @ columns.mT
            self._parameters[name].sub_(change.mul_(self.rates[name] * self._factor))

    def _follow(self, name: str, gradient: Tensor) -> None:
        """Keep the gradients' second moments; the first of them give a basis."""
        rows, columns = gradient @ gradient.mT, gradient.mT @ gradient
        if name not in self._moments:
            self._moments[name] = (rows * (1 - _MEMORY), columns * (1 - _MEMORY))
            self._basis[name] = (torch.linalg.eigh(rows)[1].flip(-1), torch.linalg.eigh(columns)[1].flip(-1))
            return
        left, right = self._moments[name]
        left.lerp_(rows, 1 - _MEMORY)
        right.lerp_(columns, 1 - _MEMORY)

    @torch.no_grad()
    def turn(self) -> None:
        """After a step: keep the bases near the eigenvectors of the moments, now and then."""
        if self._count % _EVERY and self._count >= EAGER:
            return
        for name, moments in self._moments.items():
            for moment, basis in zip(moments, self._basis[name], strict=True):
                basis.copy_(torch.linalg.qr(moment @ basis)[0])
