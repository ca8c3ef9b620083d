"""What the frames of a series share, and what of each is noise: told by the powers of the functions of the axis.

What changes smoothly has less and less power in functions that change faster. Noise, which no frame shares with any
other, has the same in all of them. Where the faster half of the functions all have the same power, that is noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmap.axis import Axis, most_components
from nmap.fit.series.products import function_powers, shell_powers
from nmap.maps import DensityMap

F64 = NDArray[np.float64]

# Frames from which on it is asked.
_LEAST_FRAMES = 6
# Powers of noise lie within this factor of each other; of a change that was measured they fall by far more.
_FLAT = 1.2
# Noise has this share of the frames' power at least: a fit would not notice less.
_LEAST_NOISE = 0.02


def shared_functions(products: F64, axis: Axis) -> int | None:
    """How many functions of the axis hold what frames share; None where they differ by no noise.

    Args:
        products: of the frames (`nmap.fit.series.products`); where there is a motion, moved back.
        axis: where they lie.
    """
    count = len(axis.at)
    if count < _LEAST_FRAMES:
        return None
    functions = axis.at_frames(most_components(count, axis.period is not None, count))
    powers, total = function_powers(products, functions)[1:], shell_powers(products)[1:]
    counted = total > 0
    # Every shell as strong as any other.
    power = (powers[counted] / total[counted, None]).sum(0)
    flat = [k for k in range(1, len(power) // 2 + 1) if power[k:].max() < _FLAT * power[k:].min()]
    if not flat or power[flat[0] :].mean() * len(power) < _LEAST_NOISE * power.sum():
        return None
    return flat[0]


def shared_part(frames: Sequence[DensityMap], axis: Axis, functions: int) -> list[DensityMap]:
    """The frames by so many functions of the axis, of least squares."""
    values = axis.at_frames(functions)
    shares = values @ np.linalg.pinv(values)
    out = []
    for row, frame in zip(shares, frames, strict=True):
        total = np.zeros(frame.grid.shape, np.float32)
        for share, other in zip(row, frames, strict=True):
            total += np.float32(share) * other.values
        out.append(replace(frame, values=total))
    return out
