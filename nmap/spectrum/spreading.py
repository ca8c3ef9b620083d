"""The kernel of non-uniform Fourier transforms: the exponential of a semicircle.

Barnett, Magland and af Klinteberg, "A parallel nonuniform fast Fourier transform library based on an exponential of
semicircle kernel", SIAM J. Sci. Comput. 41 (2019) C479.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class SpreadingKernel:
    """exp(b (sqrt(1 - (2 d / w)^2) - 1)) at a distance d, 0 beyond w / 2.

    Args:
        width: w, samples.
        steepness: b / w.
    """

    width: int
    steepness: float

    def values(self, distance: Any, exp: Callable[[Any], Any] = np.exp) -> Any:
        """Values at distances in samples: an array, or a tensor with torch's `exp`."""
        inside = (1 - (distance * (2 / self.width)) ** 2).clip(0)
        return exp(self.steepness * self.width * (inside**0.5 - 1)) * (inside > 0)

    def transform(self, frequency: F64) -> F64:
        """Fourier transform at frequencies in cycles per sample, by Gauss-Legendre quadrature."""
        nodes, weights = np.polynomial.legendre.leggauss(64)
        at = nodes * (self.width / 2)
        waves = np.cos(2 * np.pi * np.outer(frequency, at))
        return np.asarray(waves @ (weights * self.values(at)) * (self.width / 2))
