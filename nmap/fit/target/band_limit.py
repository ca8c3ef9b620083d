"""The resolution that a map holds, estimated from its own power spectrum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.automatic import automatic_mask, solvent_value
from nmap.envelope.envelope import Envelope
from nmap.grid import Grid
from nmap.outcomes import BandLimitOutcome
from nmap.spectrum import Planes, Shells, shell_power, transform_planes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Low-pass filters and the end of what was reconstructed show as a cliff: the power falls this many times
# below the strongest shell of the third of an octave before it. Falls of B factors are gentler.
_CLIFF = 10**1.5
_BEFORE = 0.75
# Where solvent shows its noise, shells in which less of the power than this is signal are let go: the share
# for a map whose half maps correlate by 0.143, 2 x 0.143 / (1 + 0.143).
_SIGNAL = 0.25
# Where the map is first looked at, before its resolution is known: Nyquist's resolution times this.
_FIRST_LOOK = 2.5
_FIRST_SHELL = 8


def estimate_band_limit(values: F32, grid: Grid) -> tuple[float, BandLimitOutcome]:
    """Estimate the finest resolution at which the map holds more than noise; never finer than Nyquist.

    Args:
        values: density (z, y, x) on `grid`.
        grid: where it lies.

    Returns:
        Resolution in Angstrom, and how it was found.
    """
    shells = Shells(grid)
    found = automatic_mask(values, grid, _FIRST_LOOK / grid.nyquist)
    first = max(_FIRST_SHELL, shells.count // 6)
    density = Planes.of(values, solvent_value(values))
    if found.mask is None:
        inside, noise = shell_power(transform_planes(density), shells), np.zeros(shells.count)
    else:
        envelope = Envelope.covering(found.mask, found.grid, 1 / grid.nyquist)

        def within(part: slice) -> F32:
            return envelope.planes(grid.shape, part)

        def without(part: slice) -> F32:
            return 1 - envelope.planes(grid.shape, part)

        inside = _power_within(density, within, shells, 0)
        noise = _power_within(density, without, shells, 1e-6)
    inside, noise = _smooth(inside), _smooth(noise)
    cliff, crossing = _cliff(inside, first), _crossing(inside, noise, first)
    last = min(cliff, crossing, shells.count - 1)
    if last == crossing < shells.count - 1:
        how = BandLimitOutcome("solvent-noise")
    elif last == cliff < shells.count - 1:
        how = BandLimitOutcome("spectrum-end")
    else:
        return 1 / grid.nyquist, BandLimitOutcome("nyquist")
    return float(1 / shells.frequency[last]), how


def _power_within(density: Planes, window: Callable[[slice], F32], shells: Shells, least: float) -> F64:
    """Power of each shell of the density in a window, for a whole box of it."""
    share = sum(
        float(np.square(slab).sum(dtype=np.float64)) for _, slab in Planes(density.shape, window).slabs()
    )
    power = shell_power(transform_planes(density.times(window)), shells)
    return np.asarray(power / max(share / shells.grid.size, least), np.float64)


def _smooth(power: F64) -> F64:
    """Mean over three neighbouring shells, in the logarithm."""
    logs = np.log(np.maximum(power, max(1e-30 * float(power.max()), 1e-300)))
    padded = np.pad(logs, 1, mode="edge")
    return np.asarray(np.exp((padded[:-2] + padded[1:-1] + padded[2:]) / 3), np.float64)


def _cliff(power: F64, first: int) -> int:
    """Last shell before the power has fallen off a cliff; the last of all without one."""
    for shell in range(first, power.size):
        if power[int(_BEFORE * shell) : shell].max() > _CLIFF * power[shell]:
            return shell - 1
    return power.size - 1


def _crossing(power: F64, noise: F64, first: int) -> int:
    """Last shell before the signal's share of the power falls below `_SIGNAL`; the last of all if never."""
    below = np.flatnonzero((1 - _SIGNAL) * power[first:] < noise[first:])
    return int(below[0]) + first - 1 if below.size else power.size - 1
