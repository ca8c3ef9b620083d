"""How strong each shell of a decode is: as strong as the source's, or nearest to it.

What a network holds of a shell, D, correlates with the source S by c. The gain of least squared error,
<D, S> / <D, D>, leaves the shell c times as strong as the source's: what is missing makes no error twice. But a map
of a tenth less contrast shows less at its recommended contour level, and its side chains first. The gain that keeps
the power, 1 / c times as much, adds next to nothing to the error while c is near 1 (2 (1 - c) of the shell's power
for 1 - c^2: 0.20 for 0.19 at 0.9), and a surface at the source's own level is where it was. Where c is low, what the
shell holds is not to be trusted, and raising it would raise noise: there it stays least squares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmap.fit.options import GainRule

F64 = NDArray[np.float64]

TRUST = (0.5, 0.75)
"""Correlation from which a shell is raised a little, and from which it has all of its power."""


def shell_gains(cross: F64, own: F64, wanted: F64, rule: GainRule) -> F64:
    """Gain of each shell, at least 0; 0 where the network holds nothing.

    Args:
        cross: real part of the inner product of the network with the source, by shell.
        own: power of the network.
        wanted: power of the source.
        rule: "power" keeps the source's where the shell can be trusted, "least-squares" never does.
    """
    least = np.divide(cross, own, out=np.zeros_like(cross), where=own > 0)
    if rule == "power":
        least *= power_factor(cross, own, wanted)
    return np.maximum(least, 0)


def power_factor(cross: F64, own: F64, wanted: F64) -> F64:
    """How many times stronger than by least squares a shell is where its power is kept; arguments as above."""
    norm = np.sqrt(np.maximum(own * wanted, 0))
    correlation = np.clip(np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0), TRUST[0], 1)
    trust = np.clip((correlation - TRUST[0]) / (TRUST[1] - TRUST[0]), 0, 1)
    return np.asarray(correlation**-trust, np.float64)
