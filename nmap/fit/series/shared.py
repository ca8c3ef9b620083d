"""What the frames of a series share, and what of each is noise: told by the powers of the functions of the axis.

What changes smoothly has less and less power in functions that change faster. Noise, which no frame shares with any
other, has the same in all of them. Where the faster half of the functions all have the same power, that is noise.
Coarse shells have more functions with power beyond that than fine ones: how much of each is kept is told by shell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmap.axis import Axis, most_components
from nmap.fit.series.products import function_powers, shell_powers
from nmap.maps import DensityMap
from nmap.spectrum import Shells, invert, transform_values

F64 = NDArray[np.float64]

# Frames from which on it is asked.
_LEAST_FRAMES = 6
# Powers of noise lie within this factor of each other; of a change that was measured they fall by far more.
_FLAT = 1.2
# Noise has this share of the frames' power at least: a fit would not notice less.
_LEAST_NOISE = 0.02
# A function is left out in a shell where its power is beyond the noise by less than this share of it, or by less than
# so many times what chance does to the power of a shell's modes.
_LEAST_BEYOND = 0.1
_CHANCE = 3.0
# Powers below this share of a shell's are rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Shared:
    """How much of each function of the axis frames share.

    Attributes:
        kept: of its amplitude in each shell, in units of that of the first function, 0 to 1, (shells, functions).
        noise: share of a frame's power that is noise, (shells,).
        held: share of it that is noise still in what frames share, (shells,).
    """

    kept: F64
    noise: F64
    held: F64

    @property
    def functions(self) -> int:
        """Functions of the axis that are kept in some shell."""
        return int(self.kept.shape[1])


def shared_functions(products: F64, axis: Axis, modes: F64) -> Shared | None:
    """How much of each function of the axis frames share; None where they differ by no noise.

    A function is kept by Wiener's rule: of its power in a shell, the share beyond that of the fast functions.

    Args:
        products: of the frames (`nmap.fit.series.products`); where there is a motion, moved back.
        axis: where they lie.
        modes: independent Fourier modes of each shell, (shells,) or more.
    """
    count = len(axis.at)
    if count < _LEAST_FRAMES:
        return None
    is_cycle = axis.period is not None
    functions = axis.at_frames(most_components(count, is_cycle, count))
    by_shell, total = function_powers(products, functions), shell_powers(products)
    half = functions.shape[1] // 2
    if is_cycle:
        # The cosine and the sine of a frequency are judged together: where a cycle begins says nothing.
        by_shell[:, 1:] = ((by_shell[:, 1::2] + by_shell[:, 2::2]) / 2).repeat(2, axis=1)
        half += 1 - half % 2
    # Every shell as strong as any other.
    counted = np.flatnonzero(total[1:] > 0) + 1
    power = (by_shell[counted] / total[counted, None]).sum(0)
    fast = power[half:]
    if fast.max() >= _FLAT * fast.min() or fast.mean() * len(power) < _LEAST_NOISE * power.sum():
        return None
    noise = np.maximum(by_shell[:, half:].mean(1), np.maximum(_ROUNDING * total, np.finfo(float).tiny))
    ratio = by_shell / noise[:, None]
    by_chance = _CHANCE * np.sqrt(2 / np.maximum(modes[: len(products)], 1))
    told = ratio - 1 >= np.maximum(_LEAST_BEYOND, by_chance)[:, None]
    told[:, half:] = False
    kept = np.where(told, 1 - 1 / np.maximum(ratio, 1), 0)
    # In units of the first function, so that each shell keeps its power.
    np.divide(kept, kept[:, :1], out=kept, where=kept[:, :1] > 0)
    kept = np.minimum(kept, 1)
    kept[:, 0] = 1
    # The mean of a map, shell 0, is one number alone: it changes as the first shell does.
    kept[0] = kept[min(1, len(kept) - 1)]
    used = 1 + int(np.flatnonzero(kept.any(0))[-1])
    kept = kept[:, :used]
    share = np.divide(noise * count, total, out=np.zeros_like(total), where=total > 0)
    return Shared(kept, share, share * (kept**2).sum(1) / count)


def shared_part(frames: Sequence[DensityMap], axis: Axis, shared: Shared) -> list[DensityMap]:
    """What of the frames they share.

    Args:
        frames: as `shared_functions` was told of, on one grid, values (z, y, x).
        axis: where they lie.
        shared: how much of each function is kept.
    """
    functions, grid, shells = axis.at_frames(shared.functions), frames[0].grid, Shells(frames[0].grid)
    components = [np.zeros(grid.shape, np.float32) for _ in range(shared.functions)]
    for frame, shares in zip(frames, np.linalg.pinv(functions).T, strict=True):
        for number, share in enumerate(shares):
            components[number] += np.float32(share) * frame.values
    for number, component in enumerate(components[1:], 1):
        half = transform_values(component)
        # Where products were taken of fewer shells, the last one speaks for the finer ones.
        kept = np.pad(shared.kept[:, number], (0, max(0, shells.count - len(shared.kept))), "edge")
        half *= shells.spread(kept)
        components[number] = invert(half, grid.shape)
    stack = np.stack(components)
    return [
        replace(frame, values=np.asarray(np.tensordot(row, stack, 1), np.float32))
        for row, frame in zip(functions.astype(np.float32), frames, strict=True)
    ]


def shared_products(products: F64, axis: Axis, shared: Shared) -> F64:
    """The inner products of `shared_part`, (shells, frames, frames), of those of the frames."""
    functions = axis.at_frames(shared.functions)
    held = (functions * shared.kept[:, None]) @ np.linalg.pinv(functions)
    return np.asarray(held @ products @ np.swapaxes(held, 1, 2))
