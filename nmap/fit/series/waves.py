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
        functions: of the axis at each frame, (frames, components).
    """

    def __init__(self, target: Target, layout: Layout, longest: int, goal: float, functions: F64) -> None:
        super().__init__(target, layout, longest, goal)
        self._among = functions.T @ functions
        ridged = np.kron(self._among, self._triangle.T @ self._triangle)
        self._square = np.asarray(np.kron(self._among, self._square), np.float64)
        self._triangle = np.linalg.cholesky(ridged).T
        self.whole = np.zeros(len(ridged))

    @property
    def by_component(self) -> F64:
        """Amplitudes, whole numbers, (components, waves)."""
        return self.whole.reshape(len(self._among), -1)

    def follow(self, lacking: Tensor) -> Tensor:
        """Change the amplitudes by what components lack at the positions, (m, components); how that changes u m."""
        lacks, pull = lacking.cpu().numpy() @ self._among, np.zeros(self.by_component.shape)
        for part in self._tiles():
            pull += (lacks[part] * self._count[part, None]).T @ self._basis(part)
        before = self.by_component
        self.whole = self._rounded(self._square @ self.whole + pull.reshape(-1) / self.step)
        return self._heights(self.by_component - before).to(lacking.device)

    def values(self) -> Tensor:
        """Value of the waves times the envelope at the positions, (m, components)."""
        return self._heights(self.by_component)

    def _heights(self, amplitudes: F64) -> Tensor:
        heights = (amplitudes * self.step).astype(np.float32).T
        out = np.empty((len(self._t), heights.shape[1]), np.float32)
        for part in self._tiles():
            out[part] = self._basis(part) @ heights
        return torch.from_numpy(out)
