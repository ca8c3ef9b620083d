"""A series SIREN's values and gradient: a block SIREN with an output for each function of the axis."""

from __future__ import annotations

import torch
from torch import Tensor

from nmap.fit.blocks.network import Batch, BlockNetwork
from nmap.fit.device import Workers
from nmap.fit.series.parameters import SeriesParameters


class SeriesNetwork(BlockNetwork):
    """Forward and backward passes; the layers are passed through once for all functions.

    Args:
        parameters: sizes and places of the matrices.
        among: inner products of the functions over the frames, (components, components): what the sum over frames of
            squared errors makes of errors in the components.
        workers: share the work out.
        device: where.
    """

    def __init__(
        self, parameters: SeriesParameters, among: Tensor, workers: Workers, device: torch.device
    ) -> None:
        super().__init__(parameters, workers, device)
        sizes, count = parameters.sizes, parameters.components
        self._series, self._among = parameters, among
        # Of each block, the output weights and constant of each function.
        self._outputs = torch.empty(sizes.blocks, sizes.width + 1, count, device=device)
        self._outputs_gradient = torch.zeros_like(self._outputs)

    def take(self, rounded: Tensor) -> None:
        """Take rounded numbers, and give every block its biases and outputs."""
        super().take(rounded)
        base, maps, _ = self._hyper(self._matrices)
        codes = self._series.codes_of(self.rounded)
        self._outputs.copy_(torch.einsum("kbc,cw->bwk", codes, maps[-1]))
        self._outputs[:, :, 0] += base[-1][:, 0]

    def values(self, x: Tensor) -> Tensor:
        """Values (blocks, points, components) at block coordinates (blocks, points, 3)."""
        blocks, points, _ = x.shape
        out = torch.empty(blocks, points, self._series.components, device=self._device)

        def job(part: slice) -> None:
            self._forward(x[part], part, slopes=False)
            out[part] = self._combined(part, points)

        self._workers.each(job, self._jobs(points))
        return out

    def _combined(self, part: slice, points: int) -> Tensor:
        """What each function has of the sines that were just made, (blocks, points, components)."""
        outputs = self._outputs[part]
        return torch.bmm(self._last_sines(len(outputs), points), outputs[:, :-1]) + outputs[:, -1:]

    def _last_sines(self, blocks: int, points: int) -> Tensor:
        sine = self._buffer(f"sine {len(self._trunk) - 1}", blocks * points)
        return sine.view(blocks, points, self._sizes.width)

    def descend(self, batch: Batch, wanted: Tensor) -> Tensor:
        """Gradient, into `gradient`, of the sum over frames of weighted squared errors; the sum before it.

        Args:
            batch: points.
            wanted: values of u m of each function, (blocks, points, components).
        """
        loss = super().descend(batch, wanted)
        base, maps, _ = self._hyper(self._gradients)
        _, values, _ = self._hyper(self._matrices)
        codes = self._series.codes_of(self.rounded)
        base[-1][:, 0] = self._outputs_gradient[:, :, 0].sum(0)
        torch.mm(
            codes.permute(2, 0, 1).reshape(codes.shape[2], -1),
            self._outputs_gradient.permute(2, 0, 1).reshape(-1, self._outputs.shape[1]),
            out=maps[-1],
        )
        by_outputs = torch.einsum("bwk,cw->kbc", self._outputs_gradient, values[-1])
        self._series.codes_of(self.gradient).add_(by_outputs)
        return loss

    def _backward(self, batch: Batch, wanted: Tensor, part: slice) -> tuple[Tensor, list[Tensor]]:
        x, mask = batch.x[part], batch.mask[part, :, None]
        blocks, points, _ = x.shape
        self._forward(x, part, slopes=True)
        error = self._combined(part, points).mul_(mask).sub_(wanted[part])
        weighted = (error @ self._among).mul_(batch.weight[part, :, None])
        loss = (weighted * error).sum()
        weighted.mul_(mask).mul_(2)
        outputs, gradient = self._outputs[part], self._outputs_gradient[part]
        gradient[:, :-1] = torch.bmm(self._last_sines(blocks, points).transpose(1, 2), weighted)
        gradient[:, -1] = weighted.sum(1)
        back = self._buffer("back", blocks * points)
        torch.bmm(weighted, outputs[:, :-1].transpose(1, 2), out=back.view(blocks, points, self._sizes.width))
        # The block SIREN's own output takes no part.
        self._biases_gradient[part, -self._sizes.width - 1 :] = 0
        return loss, self._through_layers(back, x, part)
