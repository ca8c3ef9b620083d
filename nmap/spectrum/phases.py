"""Phase randomisation: the null hypothesis against which a mask's own correlation is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmap.grid import Grid
from nmap.spectrum.curve import transform
from nmap.spectrum.resampling import invert
from nmap.spectrum.shells import F32, Shells


def randomise_phases(volume: NDArray[np.floating], grid: Grid, first: int, seed: int) -> F32:
    """The (z, y, x) volume with every phase from shell `first` on replaced by a random one; amplitudes stay.

    The phases are those of white noise, so they obey Hermitian symmetry exactly and the result is real.
    Source: Chen et al., Ultramicroscopy 135 (2013) 24.

    Args:
        volume: density (z, y, x).
        grid: where it lies.
        first: index of the first shell whose phases are replaced.
        seed: of the noise; the two half maps need two different ones.
    """
    spectrum = transform(volume)
    noise = transform(np.random.default_rng(seed).standard_normal(volume.shape, dtype=np.float32))
    beyond = Shells(grid).index >= first
    noise = noise[beyond]
    spectrum[beyond] = np.abs(spectrum[beyond]) * noise / np.maximum(np.abs(noise), np.float32(1e-30))
    return invert(spectrum, grid.shape)
