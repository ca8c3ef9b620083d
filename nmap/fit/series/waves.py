"""The plane waves that mend the lowest shells of a series: amplitudes for each function of its axis."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nmap.fit.blocks.layout import Layout
from nmap.fit.blocks.low_waves import LowWaves
from nmap.fit.target.prepare import F64, Target


class SeriesWaves(LowWaves):
    """Amplitudes of the waves of each component, in steps.

    Args:
        target: of one frame.
        layout: positions.
        longest: largest squared length of the wave vectors.
        goal: worst-shell FSC aimed at.
        components: functions of the axis, orthogonal over the frames.
    """

    def __init__(self, target: Target, layout: Layout, longest: int, goal: float, components: int) -> None:
        super().__init__(target, layout, longest, goal)
        self.whole = np.zeros((components, len(self._square)))
        # The amplitudes whose values were made last, and the values.
        self._made: tuple[F64, Tensor] | None = None

    def follow(self, lacking: Tensor) -> Tensor:
        """Change the amplitudes by what components lack at the positions, (m, components); how that changes u m."""
        lacks, pull = lacking.cpu().numpy(), np.zeros(self.whole.shape)
        for part in self._tiles():
            pull += (lacks[part] * self._count[part, None]).T @ self._basis(part)
        before = self.values()
        wanted = self.whole @ self._square + pull / self.step
        self.whole = np.stack([self._rounded(right) for right in wanted])
        return (self.values() - before).to(lacking.device)

    def values(self) -> Tensor:
        """Value of the waves times the envelope at the positions, (m, components)."""
        if self._made is None or self._made[0] is not self.whole:
            heights = (self.whole * self.step).astype(np.float32).T
            out = np.empty((len(self._t), heights.shape[1]), np.float32)
            for part in self._tiles():
                out[part] = self._basis(part) @ heights
            self._made = self.whole, torch.from_numpy(out)
        return self._made[1]
