"""A block SIREN's numbers in training: one flat vector, how it begins, how fast it moves, its steps of rounding."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.model.block_siren import BlockSizes

# How each kind of matrix begins, what it moves in a training step at most, and the step by which it is rounded at
# first. First-layer weights and biases are radians of phase; so are the hidden ones. Rates are for a width of 36 and
# a code of 16: what sums over more numbers moves each of them less, or phases would move too far.
_RATE = {
    "first": 0.05,
    "hidden": 0.025,
    "bias": 0.025,
    "phase": 0.05,
    "output": 0.0075,
    "map": 0.025,
    "code": 0.1,
}
_AT_WIDTH = 36
_AT_CODE = 16
_STEP = {"first": 0.1, "hidden": 0.06, "bias": 0.06, "phase": 0.1, "output": 0.02, "map": 0.06, "code": 0.5}
# Spread of what codes do at first: phases of the first layer, of hidden layers, and share of the output weights.
_PHASES = 1.0
_HIDDEN_PHASES = 0.3
_OUTPUTS = 0.3

# Steps that a float16 holds with all its digits.
_LEAST_STEP = 2.0**-14
_LARGEST_STEP = 2.0**15


class Parameters:
    """The flat vector, and where each matrix lies in it. Omegas are part of the weights here.

    Args:
        sizes: of the network.
        omegas: of each sine layer.
        random: seeded.
        device: where.
    """

    def __init__(
        self, sizes: BlockSizes, omegas: tuple[float, ...], random: torch.Generator, device: torch.device
    ) -> None:
        self.sizes, self.shapes = sizes, sizes.shapes(0)
        # What each matrix is here, over what it is in the file.
        self.factors = torch.tensor([*omegas, *omegas, 1.0, *omegas, 1.0, 1.0]).to(device)
        self.kinds = _kinds(sizes.hidden)
        ends = list(itertools.accumulate(math.prod(s) for s in self.shapes))
        self.slices = [slice(end - math.prod(s), end) for end, s in zip(ends, self.shapes, strict=True)]
        first = _beginning(sizes, omegas[0], random)
        self.flat = torch.cat([part.reshape(-1) for part in first]).to(device)
        self.rates = (
            self._spread([_RATE[k] * f for k, f in zip(self.kinds, _by_sum(sizes), strict=True)])
        ).to(device)
        self.logs = torch.tensor([math.log(_STEP[kind]) for kind in self.kinds]).to(device)
        self.matrix_of = torch.cat([torch.full((math.prod(s),), i) for i, s in enumerate(self.shapes)]).to(
            device
        )

    @property
    def codes(self) -> slice:
        """Where the codes lie."""
        return self.slices[-1]

    def views(self, vector: Tensor) -> list[Tensor]:
        """Each matrix in a vector as long as `flat`; no copy."""
        return [vector[part].view(shape) for part, shape in zip(self.slices, self.shapes, strict=True)]

    def steps(self) -> Tensor:
        """Step by which each matrix is rounded, such that the file's step is a float16."""
        stored = (self.logs.exp() / self.factors).clamp(_LEAST_STEP, _LARGEST_STEP).half()
        return stored.float() * self.factors

    def stored_steps(self) -> NDArray[np.float16]:
        """The file's step of each matrix, without its omega."""
        return np.asarray((self.steps() / self.factors).cpu().numpy(), np.float16)

    def matrices(self, whole: Tensor) -> list[NDArray[np.int64]]:
        """Matrices of whole numbers."""
        return [m.cpu().numpy().astype(np.int64) for m in self.views(whole)]

    def _spread(self, values: list[float]) -> Tensor:
        """A value for each matrix as one for each number."""
        return torch.cat([torch.full((math.prod(s),), v) for v, s in zip(values, self.shapes, strict=True)])


def _by_sum(sizes: BlockSizes) -> list[float]:
    """Share of its rate at which each matrix of `BlockSizes.shapes` moves, by how many numbers are summed with it."""
    wide, coded = _AT_WIDTH / sizes.width, _AT_CODE / sizes.code
    layers = sizes.hidden + 1
    base = [*[1.0] * layers, wide]
    maps = [*[coded] * layers, coded * wide]
    return [1.0, *[wide] * sizes.hidden, *base, *maps, math.sqrt(coded)]


def _kinds(hidden: int) -> list[str]:
    """What each matrix of `BlockSizes.shapes` is."""
    layers = ["phase", *["bias"] * hidden, "output"]
    maps = [*["map"] * (hidden + 1), "output"]
    return ["first", *["hidden"] * hidden, *layers, *maps, "code"]


def _beginning(sizes: BlockSizes, omega0: float, random: torch.Generator) -> list[Tensor]:
    """Matrices to begin with: layers as Sitzmann et al. 2020 say, codes and maps normal."""
    w, code, hidden = sizes.width, sizes.code, sizes.hidden

    def uniform(bound: float, *shape: int) -> Tensor:
        return (2 * torch.rand(*shape, generator=random) - 1) * bound

    def normal(spread: float, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=random) * spread

    share = 1 / math.sqrt(code)
    output = math.sqrt(2 / w) * _OUTPUTS
    return [
        uniform(omega0, w, 3),
        *(uniform(math.sqrt(6 / w), w, w) for _ in range(hidden)),
        uniform(math.pi, w, 1),
        *(uniform(0.5, w, 1) for _ in range(hidden)),
        uniform(output, w + 1, 1),
        normal(_PHASES * share, code, w),
        *(normal(_HIDDEN_PHASES * share, code, w) for _ in range(hidden)),
        normal(output * share, code, w + 1),
        normal(1.0, sizes.blocks, code),
    ]
