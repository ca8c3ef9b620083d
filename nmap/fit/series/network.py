"""A series SIREN's values and gradient in several frames at once: a block SIREN with more blocks, and mixed codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nmap.fit.blocks.network import Batch, BlockNetwork
from nmap.fit.device import Workers
from nmap.fit.series.parameters import SeriesParameters


class SeriesNetwork(BlockNetwork):
    """Forward and backward passes over the frames that `turn_to` names; each has its own row for each block.

    Args:
        parameters: sizes and places of the matrices.
        functions: of the axis at each frame, (frames, components).
        workers: share the work out.
        device: where.
    """

    def __init__(
        self, parameters: SeriesParameters, functions: Tensor, workers: Workers, device: torch.device
    ) -> None:
        super().__init__(parameters, workers, device)
        self._series, self._functions = parameters, functions
        self.turn_to([0])

    def turn_to(self, frames: Sequence[int]) -> None:
        """Compute in these frames from now on."""
        sizes = self._series.sizes
        self._mixing = self._functions[list(frames)]
        self._sizes = replace(sizes, blocks=sizes.blocks * len(frames))
        self._biases = torch.empty(self._sizes.blocks, sizes.outputs, device=self._device)
        self._biases_gradient = torch.zeros_like(self._biases)
        self._codes = torch.zeros(self._sizes.blocks, sizes.code, device=self._device)
        self._codes_gradient = torch.zeros_like(self._codes)
        self._give_biases()

    def take(self, rounded: Tensor) -> None:
        """Take rounded numbers, and give every block its biases in each frame."""
        self.rounded.copy_(rounded)
        self._give_biases()

    def _give_biases(self) -> None:
        codes = torch.einsum("fk,kbc->fbc", self._mixing, self._series.codes_of(self.rounded))
        self._codes.copy_(codes.reshape(self._codes.shape))
        base, maps, _ = self._hyper(self._matrices)
        torch.addmm(torch.cat([b[:, 0] for b in base]), self._codes, torch.cat(maps, 1), out=self._biases)

    def descend(self, batch: Batch, wanted: Tensor) -> Tensor:
        """The gradient over a batch of the frames; see `BlockNetwork.descend`."""
        loss = super().descend(batch, wanted)
        by_frame = self._codes_gradient.view(len(self._mixing), self._series.sizes.blocks, -1)
        self._series.codes_of(self.gradient).copy_(torch.einsum("fk,fbc->kbc", self._mixing, by_frame))
        return loss

    def _hyper(self, matrices: list[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Bases, maps, and the codes in the frames, or the gradient by these."""
        base, maps, _ = super()._hyper(matrices)
        return base, maps, self._codes if matrices is self._matrices else self._codes_gradient
