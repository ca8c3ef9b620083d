"""What the functions of a series lack for its frames, and the FSC of each frame, by matrix products shell by shell.

Frames' modes are sums of those of the functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.fit.dense.shell_error import ShellError, counted_shells
from nmap.fit.target.prepare import F64, Target


class FrameErrors:
    """Errors of the functions' modes, as `ShellError` has them within the band limit.

    Args:
        targets: of the frames.
        functions: their values at the frames, (frames, functions).
        band: which modes, of any of the frames.
        device: torch device.

    Attributes:
        counted: which shells of each frame count, (frames, last + 1).
    """

    def __init__(
        self, targets: Sequence[Target], functions: F64, band: ShellError, device: torch.device
    ) -> None:
        # Shell after shell.
        shell, self._order = torch.sort(band.shell, stable=True)
        self._ends = torch.searchsorted(shell, torch.arange(targets[0].last + 2, device=device)).tolist()
        chosen = band.band[self._order].cpu().numpy()

        def there(values: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        def rows(modes: Sequence[NDArray[np.complexfloating]]) -> Tensor:
            return there(
                np.stack([m.reshape(-1)[chosen].astype(np.complex64) for m in modes]).view(np.float32)
            )

        self._functions, self._projection = (
            there(values.astype(np.float32)) for values in (functions, np.linalg.pinv(functions))
        )
        self._wanted = rows([target.whitened for target in targets])
        # A mode of the half transform counts as often as the full one has it or its conjugate.
        self._root = band.multiplicity[self._order].sqrt().float().repeat_interleave(2)
        self._reference = rows([target.reference for target in targets]) * self._root
        self._power = torch.stack([r.square().sum(1) for r in self._shells(self._reference)], 1).double()
        # The functions that are nearest to the frames.
        self._nearest = self._unsorted(self._projection @ self._wanted)
        self.counted = np.stack([counted_shells(target) for target in targets])

    def lacking(self, modes: Tensor, weights: F64 | None = None) -> Tensor:
        """What the functions' modes (functions, modes) lack for the frames, by least squares, of the same shape.

        Args:
            modes: within the band limit.
            weights: of each shell of each frame, (frames, last + 1); 1 if None.
        """
        if weights is None:
            return self._nearest - modes
        held = self._sorted(modes)
        out = torch.empty_like(held)
        by_shell = torch.from_numpy(weights.T.astype(np.float32)).to(held.device)
        for part, weight, here, wanted in zip(
            self._shells(out), by_shell, self._shells(held), self._shells(self._wanted), strict=True
        ):
            shares = self._projection * weight
            part.copy_(shares @ wanted - (shares @ self._functions) @ here)
        return self._unsorted(out)

    def fsc(self, modes: Tensor) -> F64:
        """Fidelity FSC of each frame by shell, (frames, last + 1), of the functions' modes (functions, modes)."""
        held = self._shells(self._sorted(modes).mul_(self._root))
        # Frames are made of a shell at a time: products of the functions alone would cancel where a frame is weak.
        sums = []
        for here, reference in zip(held, self._shells(self._reference), strict=True):
            frames = self._functions @ here
            sums.append(torch.stack([(frames * reference).sum(1), frames.square().sum(1)]))
        cross, power = torch.stack(sums, 2).double()
        norm = (self._power * power).sqrt()
        found = torch.where(norm > 0, cross / norm.clamp(min=1e-300), torch.zeros_like(cross))
        return np.asarray(found.cpu().numpy(), np.float64)

    def _sorted(self, modes: Tensor) -> Tensor:
        """Modes of rows shell after shell, (n, 2 x modes), of real and imaginary parts side by side."""
        return torch.view_as_real(modes[:, self._order]).flatten(1)

    def _unsorted(self, rows: Tensor) -> Tensor:
        """Undo `_sorted`."""
        out = torch.empty(len(rows), len(self._order), dtype=torch.complex64, device=rows.device)
        out[:, self._order] = torch.view_as_complex(rows.view(len(rows), -1, 2))
        return out

    def _shells(self, rows: Tensor) -> Iterator[Tensor]:
        """The part of each shell of sorted rows."""
        return (rows[:, 2 * first : 2 * end] for first, end in pairwise(self._ends))
