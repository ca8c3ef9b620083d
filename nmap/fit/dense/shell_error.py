"""The error of a dense network's values within the band limit, and its FSC, on the device that it trains on."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.fit.device import irfftn, rfftn
from nmap.fit.target.prepare import F64, Target


class ShellError:
    """What the values of a network at the points inside the envelope lack, shell by shell.

    Args:
        target: what to fit.
        device: torch device.
        inside: flat lattice indices (n,) of the points whose values are given; the target's if None.
        mask: the envelope there (n,); the target's if None.

    Attributes:
        wanted: modes of the target within the band limit.
        band: their places in the flat half transform.
        shell: number of the shell of each.
        multiplicity: modes of the full transform that each stands for, float64.
    """

    def __init__(
        self,
        target: Target,
        device: torch.device,
        inside: NDArray[np.integer] | None = None,
        mask: NDArray[np.float32] | None = None,
    ) -> None:
        shells, self._shape, self._device = target.shells, target.lattice.shape, device
        if inside is None or mask is None:
            inside, mask = target.inside, target.mask.reshape(-1)[target.inside]

        def there(values: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        index = shells.index.reshape(-1)
        band = np.flatnonzero(index <= target.last)
        self.band, self.shell = there(band), there(index[band].astype(np.int64))
        multiplicity = np.broadcast_to(shells.multiplicity, shells.index.shape).reshape(-1)[band]
        self.multiplicity = there(multiplicity.astype(np.float64))
        self.wanted = there(target.whitened.reshape(-1)[band].astype(np.complex64))
        self._reference = there(target.reference.reshape(-1)[band].astype(np.complex64))
        self._inside = there(inside)
        self.mask = there(mask)
        self._last = target.last
        self._power = self._sum(self._reference.abs().square())
        self._counted = counted_shells(target)

    def __call__(self, u: Tensor, gains: F64) -> tuple[Tensor, F64]:
        """Of the values u (n,): those of a network with no error within the band limit, and the fidelity FSC.

        Args:
            u: values of the network at the points inside.
            gains: what each shell of the target is multiplied by, (last + 1,).

        Returns:
            Targets (n,) of u times the envelope, float32, and correlation by shell, (last + 1,).
        """
        values = u * self.mask
        modes = self.modes(values)
        return self.lacking(modes, gains) + values, self.fsc(modes)

    def modes(self, values: Tensor) -> Tensor:
        """Modes within the band limit of values (n,) of the network times the envelope at the points inside."""
        volume = torch.zeros(math.prod(self._shape), device=self._device)
        volume[self._inside] = values
        out: Tensor = rfftn(volume.reshape(self._shape)).reshape(-1)[self.band]
        return out

    def fsc(self, modes: Tensor) -> F64:
        """Fidelity FSC of these modes by shell, (last + 1,)."""
        cross = self._sum((self._reference.conj() * modes).real)
        norm = (self._power * self._sum(modes.abs().square())).sqrt()
        out: F64 = (
            torch.where(norm > 0, cross / norm.clamp(min=1e-300), torch.zeros_like(cross)).cpu().numpy()
        )
        return out

    def lacking(self, modes: Tensor, gains: F64, weights: F64 | None = None) -> Tensor:
        """What these modes lack of the target, whose shells are multiplied by `gains`, at the points inside, (n,).

        With `weights` the lack of each shell is multiplied by its weight.
        """
        lack = self.wanted * self.spread(gains) - modes
        return self.waves(lack if weights is None else lack * self.spread(weights))

    def spread(self, factors: F64) -> Tensor:
        """A factor for each shell, (last + 1,), laid over the modes within the band limit."""
        return torch.from_numpy(factors.astype(np.float32)).to(self._device)[self.shell]

    def waves(self, modes: Tensor) -> Tensor:
        """Values (n,), at the points inside, of modes within the band limit."""
        nz, ny, nx = self._shape
        half = torch.zeros(nz * ny * (nx // 2 + 1), dtype=torch.complex64, device=self._device)
        half[self.band] = modes
        return irfftn(half.reshape(nz, ny, -1), self._shape).reshape(-1)[self._inside] / math.prod(
            self._shape
        )

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which shells count in `worst`, (last + 1,)."""
        return self._counted

    def worst(self, fsc: F64) -> float:
        """Lowest correlation of the shells that count."""
        return float(fsc[self._counted].min(initial=1.0))

    def _sum(self, values: Tensor) -> Tensor:
        """Sum over the full transform of a real value for each mode in the band, by shell, float64."""
        return torch.bincount(self.shell, values.double() * self.multiplicity, self._last + 1)


def counted_shells(target: Target) -> NDArray[np.bool_]:
    """Which shells count for fidelity, (last + 1,): not the mean of the map, and none in which the source is empty."""
    counted = ~target.negligible[: target.last + 1]
    counted[0] = False
    return counted
