"""What the frames of a series share, and what of each is noise: told by how well a frame follows from the others.

A frame that is left out is foretold from its neighbours, by the cubic that decodes between frames, and from all
others, by a few functions of the axis. Where the few foretell better, what frames differ by beyond them is noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmap.axis import Axis
from nmap.envelope.envelope import Envelope
from nmap.maps import DensityMap
from nmap.spectrum import Shells, lattice_shape, transform_values

F64 = NDArray[np.float64]

# Frames from which on it is asked.
_LEAST_FRAMES = 5
# The few must leave less than this share of what the neighbours leave: what a frame lacks of its own is not noise.
_BETTER = 0.85
# They must leave this share of the frames' power: less is no noise that a fit would notice.
_LEAST_NOISE = 0.02
# Bytes of all frames on the lattice at most; with more the resolution is coarser.
_BYTES = 1 << 30
_COARSER = 1.1


def shared_functions(
    frames: Sequence[DensityMap], axis: Axis, band_limit: float, envelope: Envelope | None
) -> int | None:
    """How many functions of the axis hold what frames share; None where they differ by no noise.

    Args:
        frames: in order, on one grid; where there is a motion, moved back.
        axis: where they lie.
        band_limit: Angstrom.
        envelope: around them; None for the whole box.
    """
    count = len(frames)
    if count < _LEAST_FRAMES:
        return None
    gram = _products(frames, band_limit, envelope)
    left_out = range(count) if axis.period is not None else range(1, count - 1)
    near = sum(_error(gram, i, _from_neighbours(axis, i)) for i in left_out)
    most = (count - 1) // 2
    few = [sum(_error(gram, i, _from_functions(axis, i, k)) for i in left_out) for k in range(1, most + 1)]
    best = int(np.argmin(few))
    power = sum(gram[i, i] for i in left_out)
    return best + 1 if _LEAST_NOISE * power < few[best] < _BETTER * near else None


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


def _from_neighbours(axis: Axis, frame: int) -> F64:
    """Share of each frame in what its neighbours foretell of one, (frames,)."""
    rest = [k for k in range(len(axis.at)) if k != frame]
    out = np.zeros(len(axis.at))
    out[rest] = Axis(tuple(axis.at[k] for k in rest), axis.period).shares(axis.at[frame])
    return out


def _from_functions(axis: Axis, frame: int, functions: int) -> F64:
    """Share of each frame in what so many functions, fitted to all others, foretell of one, (frames,)."""
    rest = [k for k in range(len(axis.at)) if k != frame]
    values, out = axis.at_frames(functions), np.zeros(len(axis.at))
    out[rest] = values[frame] @ np.linalg.pinv(values[rest])
    return out


def _error(gram: F64, frame: int, shares: F64) -> float:
    """Squared error of a frame that is foretold by shares of frames, from all frames' inner products."""
    apart = -shares
    apart[frame] += 1
    return float(apart @ gram @ apart)


def _products(frames: Sequence[DensityMap], band_limit: float, envelope: Envelope | None) -> F64:
    """Inner products of the frames within the band limit, every shell as strong, (frames, frames)."""
    grid, resolution = frames[0].grid, band_limit
    while 8 * len(frames) * math.prod(lattice_shape(grid, resolution)) > _BYTES:
        resolution *= _COARSER
    lattice = grid.resampled(lattice_shape(grid, resolution))
    shells = Shells(lattice)
    mask = None if envelope is None else envelope.on_lattice(grid.shape)
    spectra = []
    for frame in frames:
        values = frame.values if mask is None else (frame.values - np.median(frame.values)) * mask
        spectra.append(transform_values(np.asarray(values, np.float32), lattice.shape))
    last = shells.last(resolution)
    power = np.mean([shells.sum(np.abs(s) ** 2) for s in spectra], axis=0)[: last + 1]
    power /= np.maximum(shells.modes[: last + 1], 1)
    white = np.where(power > 0, 1 / np.sqrt(np.maximum(power, 1e-30)), 0)
    white[0] = 0
    spread = shells.spread(white.astype(np.float32))
    flat = np.array([(s * spread).reshape(-1) for s in spectra])
    return np.asarray(np.real(flat @ flat.conj().T), np.float64)
