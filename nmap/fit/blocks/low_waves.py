"""The few plane waves over the whole molecule that mend what a block SIREN lacks in the lowest shells.

Those shells have few modes, and rounding a shared number moves the density of all blocks together: their FSC
is a matter of luck without the waves. Their amplitudes follow from the error by least squares.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from nmap.fit.blocks.layout import Layout
from nmap.fit.target.prepare import F64, Target
from nmap.model.block_siren import amplitude_count, wave_vectors, waves

# A rounded amplitude's error, as a share of the error that the goal leaves to a mode of the whitened map.
_SHARE = 0.15
# Ridge of the least squares, as a share of the mean square: waves that hardly differ in the molecule.
_RIDGE = 5e-2
_TILE = 1 << 14
# Values of the waves at the positions that are kept from one evaluation to the next, 400 MB; more are made anew.
_KEPT = 100_000_000


class LowWaves:
    """Amplitudes of the waves, in steps.

    Args:
        target: what is fitted.
        layout: positions.
        longest: largest squared length of the wave vectors.
        goal: worst-shell FSC aimed at.
    """

    def __init__(self, target: Target, layout: Layout, longest: int, goal: float) -> None:
        self.vectors = wave_vectors(longest, target.lattice.shape)
        self._t, self._mask, self._count = layout.t, layout.mask, layout.count
        free = max(target.freedom, 1.0)
        self.step = float(np.float16(math.sqrt(12 * _SHARE * max(1 - goal**2, 1e-3) * 2 / free)))
        size = amplitude_count(self.vectors)
        self._kept: dict[int, np.ndarray] | None = {} if len(self._t) * size <= _KEPT else None
        square = np.zeros((size, size))
        for part in self._tiles():
            basis = self._basis(part)
            square += basis.T @ (basis * self._count[part, None])
        self._square = square.copy()
        square[np.diag_indices(size)] += _RIDGE * square.trace() / max(size, 1)
        self._triangle = np.linalg.cholesky(square).T
        self.whole = np.zeros(size)

    def follow(self, lacking: Tensor) -> Tensor:
        """Change the amplitudes by what is lacking at the positions (m,); how that changes u m there, (m,)."""
        error = lacking.cpu().numpy() * self._count
        pull = np.zeros(len(self.whole))
        for part in self._tiles():
            pull += self._basis(part).T @ error[part]
        before = self.whole
        self.whole = self._rounded(self._square @ before + pull / self.step)
        return self._values((self.whole - before) * self.step).to(lacking.device)

    def _rounded(self, right: F64) -> F64:
        """Whole numbers near the solution: the last is rounded first, the others make up for it (Babai 1986)."""
        left = np.linalg.solve(self._triangle.T, right)
        out = np.zeros_like(left)
        for i in reversed(range(len(out))):
            out[i] = np.rint((left[i] - self._triangle[i, i + 1 :] @ out[i + 1 :]) / self._triangle[i, i])
        return out

    def values(self) -> Tensor:
        """Value of the waves times the envelope at the positions, (m,)."""
        return self._values(self.whole * self.step)

    def _values(self, amplitudes: F64) -> Tensor:
        out = np.empty(len(self._t), np.float32)
        for part in self._tiles():
            out[part] = self._basis(part) @ amplitudes.astype(np.float32)
        return torch.from_numpy(out)

    def _basis(self, part: slice) -> np.ndarray:
        """The waves times the envelope at some positions, (n, amplitudes)."""
        if self._kept is not None and part.start in self._kept:
            return self._kept[part.start]
        made: np.ndarray = waves(self._t[part], self.vectors) * self._mask[part, None]
        if self._kept is not None:
            self._kept[part.start] = made
        return made

    def _tiles(self) -> list[slice]:
        return [slice(first, first + _TILE) for first in range(0, len(self._t), _TILE)]
