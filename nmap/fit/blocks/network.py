"""A block SIREN's values and gradient, written out in buffers that stay: autograd would cost more than the network.

Points lie in a table, a row of slots for each block, so that a block's biases are added to all of its points at
once. Work is shared out over threads by blocks; each job adds its own part of the shared matrices' gradient.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nmap.fit.blocks.parameters import Parameters
from nmap.fit.device import Workers

# Points of a job on the CPU: what a job works on stays in the processor's cache.
_ROWS = 2560


@dataclass(frozen=True, eq=False)
class Batch:
    """Points of one step, the same number from each block.

    Attributes:
        x: block coordinates, (blocks, points, 3).
        mask: the envelope, (blocks, points).
        weight: what each point's error counts, (blocks, points).
        position: index of each point's position, (blocks, points).
    """

    x: Tensor
    mask: Tensor
    weight: Tensor
    position: Tensor


class BlockNetwork:
    """Forward and backward passes.

    Args:
        parameters: sizes and places of the matrices.
        workers: share the work out.
        device: where.
    """

    def __init__(self, parameters: Parameters, workers: Workers, device: torch.device) -> None:
        self._sizes, self._workers, self._device = parameters.sizes, workers, device
        self._parameters = parameters
        self.rounded = torch.zeros_like(parameters.flat)
        self.gradient = torch.zeros_like(parameters.flat)
        self._matrices, self._gradients = parameters.views(self.rounded), parameters.views(self.gradient)
        layers = self._sizes.hidden + 1
        self._trunk = self._matrices[:layers]
        self._biases = torch.empty(self._sizes.blocks, self._sizes.outputs, device=device)
        self._biases_gradient = torch.zeros_like(self._biases)
        self._buffers = threading.local()

    def take(self, rounded: Tensor) -> None:
        """Take rounded numbers, and give every block its biases."""
        self.rounded.copy_(rounded)
        base, maps, codes = self._hyper(self._matrices)
        torch.addmm(torch.cat([b[:, 0] for b in base]), codes, torch.cat(maps, 1), out=self._biases)

    def values(self, x: Tensor) -> Tensor:
        """Values (blocks, points) at block coordinates (blocks, points, 3)."""
        blocks, points, _ = x.shape
        out = torch.empty(blocks, points, device=self._device)

        def job(part: slice) -> None:
            out[part] = self._forward(x[part], part, slopes=False)

        self._workers.each(job, self._jobs(points))
        return out

    def descend(self, batch: Batch, wanted: Tensor) -> Tensor:
        """Gradient, into `gradient`, of the weighted sum of (u m - wanted)^2 over a batch; the sum before it.

        Args:
            batch: points.
            wanted: values of u m, (blocks, points).
        """
        self.gradient.zero_()

        def job(part: slice) -> tuple[Tensor, list[Tensor]]:
            return self._backward(batch, wanted, part)

        done = self._workers.each(job, self._jobs(batch.x.shape[1]))
        for _, trunk in done:
            for total, one in zip(self._gradients, trunk, strict=False):
                total.add_(one)
        base, maps, codes = self._hyper(self._gradients)
        _, values, numbers = self._hyper(self._matrices)
        width = self._sizes.width
        torch.mm(self._biases_gradient, torch.cat(values, 1).t(), out=codes)
        together = self._biases_gradient.sum(0)
        turned = numbers.t() @ self._biases_gradient
        for layer, (b, m) in enumerate(zip(base, maps, strict=True)):
            part = slice(layer * width, layer * width + m.shape[1])
            b[:, 0], m[:] = together[part], turned[:, part]
        return torch.stack([loss for loss, _ in done]).sum()

    def _hyper(self, matrices: list[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Bases, maps and codes among the matrices."""
        layers = self._sizes.hidden + 1
        return (
            matrices[layers : 2 * layers + 1],
            matrices[2 * layers + 1 : 3 * layers + 2],
            matrices[3 * layers + 2],
        )

    def _jobs(self, points: int) -> list[slice]:
        """Blocks of each job."""
        blocks = self._sizes.blocks
        size = blocks if self._device.type != "cpu" else max(1, _ROWS // points)
        return [slice(first, min(first + size, blocks)) for first in range(0, blocks, size)]

    def _buffer(self, name: str, rows: int) -> Tensor:
        """A (rows, width) buffer of this thread."""
        kept: dict[str, Tensor] = self._buffers.__dict__
        if name not in kept or len(kept[name]) < rows:
            kept[name] = torch.empty(rows, self._sizes.width, device=self._device)
        return kept[name][:rows]

    def _forward(self, x: Tensor, part: slice, slopes: bool) -> Tensor:
        """Values at the points of these blocks; sines, and cosines where wanted, stay in this thread's buffers."""
        blocks, points, _ = x.shape
        width, h = self._sizes.width, x.reshape(-1, 3)
        biases = self._biases[part]
        for layer, weight in enumerate(self._trunk):
            phase = self._buffer(f"cosine {layer}", len(h))
            torch.mm(h, weight.t(), out=phase)
            phase.view(blocks, points, width).add_(biases[:, None, layer * width : (layer + 1) * width])
            h = _sine(phase, self._buffer(f"sine {layer}", len(h)))
            if slopes:
                _cosine(phase)
        last = biases[:, -width - 1 :]
        values = torch.bmm(h.view(blocks, points, width), last[:, :width, None])[:, :, 0]
        return values + last[:, width:]

    def _backward(self, batch: Batch, wanted: Tensor, part: slice) -> tuple[Tensor, list[Tensor]]:
        x, mask = batch.x[part], batch.mask[part]
        blocks, points, _ = x.shape
        rows, width = blocks * points, self._sizes.width
        error = self._forward(x, part, slopes=True).mul_(mask).sub_(wanted[part])
        weighted = error * batch.weight[part]
        loss = (weighted * error).sum()
        weighted.mul_(mask).mul_(2)
        last = self._biases[part, -width - 1 : -1]
        out = self._biases_gradient[part]
        sine = self._buffer(f"sine {len(self._trunk) - 1}", rows).view(blocks, points, width)
        out[:, -width - 1 : -1] = torch.bmm(weighted[:, None, :], sine)[:, 0]
        out[:, -1] = weighted.sum(1)
        back = self._buffer("back", rows)
        torch.mul(weighted[:, :, None], last[:, None, :], out=back.view(blocks, points, width))
        return loss, self._through_layers(back, x, part)

    def _through_layers(self, back: Tensor, x: Tensor, part: slice) -> list[Tensor]:
        """Gradients of the trunk, and of the biases of these blocks, from that by the last sines, (rows, width)."""
        blocks, points, _ = x.shape
        rows, width, layers = blocks * points, self._sizes.width, len(self._trunk)
        out, other = self._biases_gradient[part], self._buffer("other", rows)
        trunk: list[Tensor] = []
        for layer in reversed(range(layers)):
            back.mul_(self._buffer(f"cosine {layer}", rows))
            torch.sum(back.view(blocks, points, width), 1, out=out[:, layer * width : (layer + 1) * width])
            below = self._buffer(f"sine {layer - 1}", rows) if layer else x.reshape(-1, 3)
            trunk.append(back.t() @ below)
            if layer:
                torch.mm(back, self._trunk[layer], out=other)
                back, other = other, back
        return trunk[::-1]


def _sine(phase: Tensor, out: Tensor) -> Tensor:
    """Sines into `out`; numpy's are twice as fast as torch's on the CPU."""
    if phase.device.type == "cpu":
        np.sin(phase.numpy(), out=out.numpy())
        return out
    return torch.sin(phase, out=out)


def _cosine(phase: Tensor) -> None:
    """Cosines in place of phases."""
    if phase.device.type == "cpu":
        np.cos(phase.numpy(), out=phase.numpy())
    else:
        phase.cos_()
