"""Frames moved back to where the molecule is at rest, and the detail that it has there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nmap.envelope.automatic import constant_solvent
from nmap.grid import Grid, Shape
from nmap.maps import DensityMap
from nmap.model.motion import Motion
from nmap.sampling.moved import moved_values
from nmap.sampling.polynomial import Polynomial
from nmap.sampling.splines import cubic
from nmap.spectrum import (
    Complex,
    Shells,
    correlate_shells,
    crop_spectrum,
    lattice_shape,
    transform,
    transform_values,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Times that a displacement is followed back at most; each leaves what the one before it does, times the slope of the
# field. It ends where none changes by more than this share of a point of the grid: 0.006 A at a band limit of 3.5 A.
_FOLLOWED = 8
_STILL = 2e-3
# Points of the grid on which it is, for each node along an axis.
_FINER = 3
# Points that are moved at once.
_BLOCK = 1 << 20
# The density at rest is held to the first of so many times the frames' frequency at which what is cut off is worth less
# than this share of what the goal lets be missing of their last shell.
_TIMES_FINER = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5)
_BEYOND = 0.5


def moved_back(frame: DensityMap, motion: Motion, inside: NDArray[np.bool_] | None = None) -> DensityMap:
    """The density y -> frame(y + e), where e is the displacement of the point that y goes to, on the frame's grid.

    Args:
        frame: the map.
        motion: its displacements.
        inside: where in the frame the molecule is, (z, y, x); what comes from elsewhere has the nearest voxel's value.
            None for everywhere.
    """
    grid, shape = frame.grid, frame.grid.shape
    ahead = _ahead(motion, grid)
    polynomial = Polynomial.of(transform_values(frame.values), shape, degree_of(shape))
    solvent = constant_solvent(frame.values)
    out = np.empty(shape, np.float32)
    rows = max(1, _BLOCK // (shape[1] * shape[2]))
    for start in range(0, shape[0], rows):
        z = np.arange(start, min(start + rows, shape[0]))
        index = np.stack(np.meshgrid(z, *map(np.arange, shape[1:]), indexing="ij"), -1).reshape(-1, 3)
        at = index / np.asarray(shape)
        place = (at * np.asarray(ahead.shape[:3])).T
        at += np.stack(
            [ndimage.map_coordinates(a, place, order=1, mode="grid-wrap") for a in np.moveaxis(ahead, -1, 0)],
            -1,
        )
        near = tuple((np.rint(at * shape).astype(np.intp) % shape).T)
        values = frame.values[near]
        chosen = np.full(len(values), True) if solvent is None else values != solvent
        if inside is not None:
            chosen &= inside[near]
        if chosen.any():
            values[chosen] = cubic(polynomial, at[chosen])
        out[z] = values.reshape(z.size, *shape[1:])
    return DensityMap(out, grid, frame.header)


def _ahead(motion: Motion, grid: Grid) -> F64:
    """Displacement e(y) = d(y + e(y)) in box fractions (z, y, x) on a grid of some points for each node, (..., 3)."""
    shape = tuple(min(_FINER * m, n) for m, n in zip(motion.nodes.shape[:3], grid.shape, strict=True))
    d = (motion.on_planes((shape[0], shape[1], shape[2]), slice(0, shape[0])) @ np.linalg.inv(grid.box).T)[
        ..., ::-1
    ]
    index = np.moveaxis(np.indices(shape), 0, -1).astype(np.float64)
    e = d.copy()
    for _ in range(_FOLLOWED):
        place, before = np.moveaxis(index + e * shape, -1, 0), e
        e = np.stack(
            [ndimage.map_coordinates(d[..., a], place, order=1, mode="grid-wrap") for a in range(3)], -1
        )
        if np.abs((e - before) * shape).max() < _STILL:
            break
    return e


def degree_of(shape: Shape) -> Shape:
    """Highest frequency along (z, y, x) that so many samples hold of both signs, cycles per box."""
    z, y, x = ((n - 1) // 2 for n in shape)
    return z, y, x


def detail_at_rest(rest: Sequence[DensityMap], motions: Sequence[Motion], limit: float, goal: float) -> float:
    """Resolution that holds the molecule at rest, Angstrom: at least that of the frames.

    Where parts stretch from there to a frame, what the frame has in its last shells comes from finer ones. The frame
    that is furthest away tells how fine.

    Args:
        rest: the frames moved back, on one grid.
        motions: of each frame.
        limit: band limit of the frames, Angstrom.
        goal: worst-shell FSC aimed at.
    """
    grid = rest[0].grid
    finest = max(limit / _TIMES_FINER[-1], min(limit, 1 / grid.nyquist))
    if finest == limit:
        return limit
    shape = lattice_shape(grid, limit)
    shells = Shells(grid.resampled(shape))
    mean = transform(np.mean([frame.values for frame in rest], axis=0))
    motion, whole_box = max(motions, key=lambda m: float(np.abs(m.nodes).max())), Shells(grid)

    def moved(resolution: float) -> Complex:
        """Half transform of the mean at rest to a resolution, moved on the lattice that it would be stored with."""
        keep = whole_box.spread(np.ones(whole_box.last(resolution) + 1, np.float32))
        polynomial = Polynomial.of(mean * keep, grid.shape, degree_of(grid.shape))
        lattice = grid.resampled(lattice_shape(grid, resolution))
        return crop_spectrum(
            transform(moved_values(polynomial, motion, lattice, cubic)), lattice.shape, shape
        )

    whole, last = moved(finest), shells.last(limit)
    for times in _TIMES_FINER:
        resolution = max(limit / times, finest)
        if resolution == finest:
            break
        kept = correlate_shells(moved(resolution), whole, shells).fsc[last]
        if 1 - kept**2 <= _BEYOND * (1 - goal**2):
            return resolution
    return finest
