"""How much of each shell of a map is its own noise, and how closely a near-lossless fit follows it.

Half maps tell it: of their average the share (1 - F) / (1 + F) is noise (Rosenthal and Henderson, J. Mol. Biol. 333
(2003) 721). So does solvent that was not masked away: its power, taken for that of the whole box. An error of a
quarter of the noise, 1/16 of its power, changes nothing that a second reconstruction of the same data would not change
four times as much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.automatic import automatic_mask
from nmap.envelope.envelope import Envelope
from nmap.fit.target.prepare import Target
from nmap.spectrum import Planes, Shells, shell_power, transform_planes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

QUARTER = 1 / 16
"""Power of an error of a quarter of the noise's amplitude, as a share of the noise's power."""

CLOSEST = 0.9998
"""Correlation beyond which no shell is followed: noise so small cannot be told from what the halves share."""

_EDGE = 2.0
"""Width of the edge between molecule and solvent, in band limits."""

_LEAST_SOLVENT = 0.05
"""Share of the box that solvent must fill to tell its noise."""


def near_lossless(target: Target) -> F32 | None:
    """Correlation with the source that every shell owes, (last + 1,); None where nothing tells the noise."""
    share = noise_share(target)
    if share is None:
        return None
    owed = np.minimum(np.sqrt(1 - QUARTER * np.clip(share, 0, 1)), CLOSEST)
    return np.asarray(owed, np.float32)


def noise_share(target: Target) -> F64 | None:
    """Share of each shell's power that is noise, (last + 1,); None where nothing tells it."""
    if target.halves is not None:
        agree = target.halves.agreement(target.last + 1)
        return np.asarray((1 - agree) / (1 + agree), np.float64)
    grid = target.density.grid
    found = automatic_mask(target.density.values, grid, target.band_limit, target.solvent)
    if found.mask is None or found.quiet:
        return None
    soft = Envelope.covering(found.mask, found.grid, _EDGE * target.band_limit)
    solvent = Planes(grid.shape, lambda part: 1 - soft.planes(grid.shape, part))
    room = sum(float(np.square(slab).sum(dtype=np.float64)) for _, slab in solvent.slabs()) / grid.size
    if room < _LEAST_SOLVENT:
        return None
    shells = Shells(target.lattice)
    outside = Planes.of(target.density.values, target.solvent).times(solvent.make)
    noise = shell_power(transform_planes(outside, target.lattice.shape), shells) / room
    every = shell_power(target.reference, shells)
    share = np.divide(noise, every, out=np.zeros_like(noise), where=every > 0)
    return np.asarray(share[: target.last + 1], np.float64)
