"""Inner products of the frames of a series with each other, shell by shell: all that tells how they change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.automatic import solvent_value
from nmap.envelope.envelope import Envelope
from nmap.maps import DensityMap
from nmap.spectrum import Shells, lattice_shape, transform_values

F64 = NDArray[np.float64]

# Bytes of all frames' modes at most; with more the resolution is coarser.
_BYTES = 1 << 30
_COARSER = 1.1


def frame_products(frames: Sequence[DensityMap], band_limit: float, envelope: Envelope | None) -> F64:
    """Real parts of the inner products of frames, (shells, frames, frames), from shell 0 to the last.

    Args:
        frames: on one grid.
        band_limit: Angstrom. Where memory is short there are fewer shells.
        envelope: what lies outside counts as solvent; None for the whole box.
    """
    grid, resolution = frames[0].grid, band_limit
    while 8 * len(frames) * math.prod(lattice_shape(grid, resolution)) / 2 > _BYTES:
        resolution *= _COARSER
    lattice = grid.resampled(lattice_shape(grid, resolution))
    shells = Shells(lattice)
    last = shells.last(resolution)
    index = shells.index.reshape(-1)
    band = np.flatnonzero(index <= last)
    band = band[np.argsort(index[band], kind="stable")]
    # A mode of the half transform stands for itself and its conjugate.
    root = np.sqrt(np.broadcast_to(shells.multiplicity, shells.index.shape).reshape(-1)[band])
    modes = np.empty((len(frames), band.size), np.complex64)
    mask = None if envelope is None else envelope.on_lattice(grid.shape)
    for row, frame in zip(modes, frames, strict=True):
        values = frame.values
        if mask is not None and envelope is not None:
            values = (values - np.float32(solvent_value(values, envelope))) * mask
        row[:] = transform_values(values, lattice.shape).reshape(-1)[band] * root
    ends = np.searchsorted(index[band], np.arange(last + 2))
    parts = (modes[:, first:end] for first, end in pairwise(ends))
    return np.array([np.real(part @ part.conj().T) for part in parts], np.float64)


def shell_powers(products: F64) -> F64:
    """Mean power of the frames by shell, (shells,)."""
    powers: F64 = np.einsum("sff->s", products) / products.shape[1]
    return powers


def function_powers(products: F64, functions: F64) -> F64:
    """Power that each function of the axis has in each shell, (shells, functions).

    Args:
        products: of the frames.
        functions: values at the frames, orthogonal over them, (frames, functions).
    """
    components = np.linalg.pinv(functions)
    powers: F64 = np.einsum("sfk,kf->sk", products @ components.T, components)
    return powers
