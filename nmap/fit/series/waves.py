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
        self._functions = functions
        among = functions.T @ functions
        ridged = np.kron(among, self._triangle.T @ self._triangle)
        self._square = np.asarray(np.kron(among, self._square), np.float64)
        self._triangle = np.linalg.cholesky(ridged).T
        self.whole = np.zeros(len(ridged))

    @property
    def by_component(self) -> F64:
        """Amplitudes, whole numbers, (components, waves)."""
        return self.whole.reshape(self._functions.shape[1], -1)

    def follow(self, lacking: Tensor) -> Tensor:
        """Change the amplitudes by what frames lack at the positions, (frames, m); how that changes u m there."""
        lacks, pull = lacking.cpu().numpy(), np.zeros(self.by_component.shape)
        for part in self._tiles():
            mixed = self._functions.T @ (lacks[:, part] * self._count[part])
            pull += mixed @ self._basis(part)
        before = self.by_component
        self.whole = self._rounded(self._square @ self.whole + pull.reshape(-1) / self.step)
        return self._mixed(self.by_component - before).to(lacking.device)

    def values(self) -> Tensor:
        """Value of the waves times the envelope in each frame at the positions, (frames, m)."""
        return self._mixed(self.by_component)

    def _mixed(self, amplitudes: F64) -> Tensor:
        by_frame = (self._functions @ amplitudes * self.step).astype(np.float32)
        out = np.empty((len(by_frame), len(self._t)), np.float32)
        for part in self._tiles():
            out[:, part] = by_frame @ self._basis(part).T
        return torch.from_numpy(out)
