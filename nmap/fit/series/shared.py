"""What the frames of a series share, and what of each is noise: told by the powers of the functions of the axis.

What changes smoothly has less and less power in functions that turn faster. Noise, which no frame shares with another,
has the same in all of them. Where the faster half of the functions all have the same power, that is noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmap.axis import Axis, most_components
from nmap.envelope.envelope import Envelope
from nmap.maps import DensityMap
from nmap.spectrum import Shells, lattice_shape, transform_values

F64 = NDArray[np.float64]

# Frames from which on it is asked.
_LEAST_FRAMES = 6
# Powers of noise lie within this factor of each other; of a change that was measured they fall by far more.
_FLAT = 1.2
# Noise has this share of the frames' power at least: a fit would not notice less.
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
    components = np.linalg.pinv(axis.at_frames(most_components(count, axis.period is not None, count)))
    gram = _products(frames, band_limit, envelope)
    power = np.einsum("kf,fg,kg->k", components, gram, components)
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
