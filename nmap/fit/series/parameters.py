"""A series SIREN's numbers in training: those of a block SIREN, and codes for each further function of the axis."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from nmap.fit.blocks.parameters import Parameters
from nmap.model.block_siren import BlockSizes
from nmap.model.series_siren import series_shapes

# Spread of the codes of each function but the first, at first; those of a block are 1.
_CHANGING = 0.03

# Codes of the k-th function, counted from 1, move this power of k slower: all of them together move those of a frame.
_SLOWER = 1.0


class SeriesParameters(Parameters):
    """The flat vector, and where each matrix lies in it. Codes of all components come last.

    Args:
        sizes: of the block SIREN.
        components: functions of the axis.
        omegas: of each sine layer.
        random: seeded.
        device: where.
    """

    def __init__(
        self,
        sizes: BlockSizes,
        components: int,
        omegas: tuple[float, ...],
        random: torch.Generator,
        device: torch.device,
    ) -> None:
        super().__init__(sizes, omegas, random, device)
        more, codes = components - 1, sizes.blocks * sizes.code
        changing = _CHANGING * torch.randn(more * codes, generator=random).to(device)
        self.components = components
        self.shapes = series_shapes(sizes, components, 0)
        self.kinds = [*self.kinds, *["code"] * more]
        self.factors = torch.cat((self.factors, torch.ones(more, device=device)))
        ends = list(itertools.accumulate(math.prod(s) for s in self.shapes))
        self.slices = [slice(end - math.prod(s), end) for end, s in zip(ends, self.shapes, strict=True)]
        self.flat = torch.cat((self.flat, changing))
        shares = torch.arange(1, components + 1, device=device).float() ** -_SLOWER
        rates = (self.rates[-1] * shares / shares.sum()).repeat_interleave(codes)
        self.rates = torch.cat((self.rates[:-codes], rates))
        self.logs = torch.cat((self.logs, self.logs[-1:].expand(more)))
        last = int(self.matrix_of[-1])
        added = torch.arange(last + 1, last + 1 + more, device=device).repeat_interleave(codes)
        self.matrix_of = torch.cat((self.matrix_of, added))

    @property
    def codes(self) -> slice:
        """Where the codes of all components lie."""
        return slice(self.slices[-self.components].start, self.slices[-1].stop)

    def codes_of(self, vector: Tensor) -> Tensor:
        """Codes (components, blocks, code) in a vector as long as `flat`; no copy."""
        return vector[self.codes].view(self.components, self.sizes.blocks, self.sizes.code)
