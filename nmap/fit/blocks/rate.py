"""What rounded numbers cost: bits by a Laplace distribution as wide as its row and column are, and their slope.

The coder (`nmap.coding.matrices`) goes by the same means, of what it has seen so far.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nmap.fit.blocks.parameters import Parameters

# Widths are at least this, in steps; means count so much more, for a row of zeros may end.
_LEAST_WIDTH = 0.08
_MORE = 0.02


class Rate:
    """Widths of the distributions, renewed now and then.

    Args:
        parameters: what is rounded.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._inverse = torch.ones_like(parameters.flat)
        self._near, self._far = torch.zeros_like(self._inverse), torch.zeros_like(self._inverse)

    def renew(self, levels: Tensor) -> None:
        """Take the widths from numbers in units of their steps."""
        for size, inverse in zip(
            self._parameters.views(levels.abs()), self._parameters.views(self._inverse), strict=True
        ):
            mean = size.mean()
            if min(size.shape) > 1:
                column, row = size.mean(0) + _MORE, size.mean(1) + _MORE
                width = row[:, None] * column[None, :] / (mean + _MORE)
            else:
                width = (mean + _MORE).expand(size.shape)
            inverse.copy_(1 / width.clamp(min=_LEAST_WIDTH))
        a = self._inverse
        # Bits from 0 to 1, and from each further number to the next.
        self._near = torch.log2(2 * torch.exp(a / 2) / (1 + torch.exp(-a / 2)))
        self._far = a / math.log(2)

    def slope(self, levels: Tensor) -> Tensor:
        """Bits for each step further from 0."""
        return torch.where(levels.abs() < 1, self._near, self._far) * torch.sign(levels)

    def bits(self, whole: Tensor) -> float:
        """Bits of whole numbers, all together."""
        a, size = self._inverse, whole.abs()
        zero = -torch.log2(-torch.expm1(-a / 2))
        other = size * a / math.log(2) - torch.log2(torch.sinh(a / 2))
        return float(torch.where(size == 0, zero, other).sum())
