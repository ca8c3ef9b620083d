"""From a field to samples: on grids, in slabs, at points.

A band-limited field is a trigonometric polynomial, so every way of sampling it sees the same density. A grid
along the box's axes that is too coarse for the band limit gets the polynomial without the frequencies that
it cannot hold, as a well made downsampling does; single points and turned grids get it whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmap.errors import LimitError, OptionError
from nmap.grid import Grid, Shape
from nmap.model.field import Field
from nmap.sampling.polynomial import Axes, Polynomial, Samples

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
# Indices of samples along (z, y, x).
Part = tuple[range, range, range]

# Positions this many voxels beyond the box's faces still count as on them: headers round.
_EDGE = 1e-3
# Samples of a slab: of a polynomial, of scattered points, of a bare network.
_SLAB = 1 << 22
_TURNED_SLAB = 1 << 21
_BARE_SLAB = 1 << 19


def grid_for(field: Field, shape: Shape) -> Grid:
    """The grid that `shape` (z, y, x) means, by the field's alignment."""
    box = field.box
    if tuple(shape) == box.shape:
        return box
    if field.alignment == "box":
        return box.resampled(shape)
    pairs = zip(box.voxel_size, box.shape[::-1], shape[::-1], strict=True)
    vx, vy, vz = (v * max(n - 1, 1) / max(m - 1, 1) for v, n, m in pairs)
    return replace(box, shape=shape, voxel_size=(vx, vy, vz))


def times_as_fine(field: Field, factor: float) -> Grid:
    """The grid of `factor` times as many samples along each axis, in whole numbers; see `grid_for`.

    An axis that is one sample thick stays so.

    Raises:
        OptionError: a factor that is not positive and finite.
    """
    if not (math.isfinite(factor) and factor > 0):
        raise OptionError(f"{factor} times as many samples: wanted a positive number")
    nz, ny, nx = (max(1, round(n * factor)) for n in field.box.shape)
    return grid_for(field, field.box.wide((nz, ny, nx)))


def covered(box: Grid, grid: Grid) -> float:
    """Share of a grid's samples that lie in a box, 0 to 1; of a grid turned against it, as its corners tell."""
    axes = _along_box(box, grid)
    if axes is not None:
        spans = (_span(samples, voxels) for samples, voxels in zip(axes, box.shape, strict=True))
        return float(math.prod((s.stop - s.start) / n for s, n in zip(spans, grid.shape, strict=True)))
    last = (np.asarray(grid.shape) - 1) / np.asarray(grid.shape)
    corners = box.fractions(grid.positions(np.indices((2, 2, 2)).reshape(3, -1).T * last))
    edge = _EDGE / np.asarray(box.shape)
    if (corners.max(0) < -edge).any() or (corners.min(0) >= 1 - edge).any():
        return 0.0
    # Corners outside do not mean that nothing is inside.
    return max(float(_inside(corners, np.asarray(box.shape)).all(1).mean()), 1 / grid.size)


def on_grid(field: Field, grid: Grid) -> F32:
    """Density on `grid`, float32 (z, y, x); the field's offset outside its box.

    Raises:
        LimitError: more samples than this machine has memory for.
    """
    try:
        out = np.empty(grid.shape, np.float32)
    except MemoryError:
        raise LimitError(
            f"{grid} take {4 * grid.size / 2**30:.4g} GiB, more than this machine gives: decode in slabs, or "
            "fewer samples"
        ) from None
    for start, part in slabs(field, grid):
        out[start : start + len(part)] = part
    return out


def slabs(field: Field, grid: Grid, rows: int | None = None) -> Iterator[tuple[int, F32]]:
    """The density on `grid` in slabs of z rows.

    Args:
        field: what to sample.
        grid: where.
        rows: rows of a slab; None for about ten million bytes.

    Yields:
        First row and values, float32 (rows, ny, nx).
    """
    nz, ny, nx = grid.shape
    return _part_slabs(field, grid, (range(nz), range(ny), range(nx)), rows)


def on_part(field: Field, grid: Grid, part: tuple[slice, slice, slice]) -> F32:
    """What `on_grid(field, grid)[part]` holds, to rounding; no more of it is computed.

    A step skips samples and filters nothing: a coarser grid is another thing.

    Args:
        field: what to sample.
        grid: where.
        part: samples along (z, y, x), with steps above 0.

    Raises:
        OptionError: a step below 1.
    """
    if any(s.step is not None and s.step < 1 for s in part):
        raise OptionError(f"samples {part} along (z, y, x): wanted steps of at least 1")
    z, y, x = (range(n)[s] for n, s in zip(grid.shape, part, strict=True))
    out = np.empty((len(z), len(y), len(x)), np.float32)
    if out.size:
        for start, values in _part_slabs(field, grid, (z, y, x)):
            out[start : start + len(values)] = values
    return out


def _part_slabs(field: Field, grid: Grid, part: Part, rows: int | None = None) -> Iterator[tuple[int, F32]]:
    axes = _along_box(field.box, grid)
    size = _TURNED_SLAB if axes is None else _SLAB if field.band_limit is not None else _BARE_SLAB
    rows = rows or max(1, size // (len(part[1]) * len(part[2])))
    if axes is None:
        return _turned_slabs(field, _grid_of(grid, part), rows)
    z, y, x = (samples.chosen(indices) for samples, indices in zip(axes, part, strict=True))
    return _straight_slabs(field, (z, y, x), rows, (axes[0].degree, axes[1].degree, axes[2].degree))


def at_points(field: Field, points_xyz: F64) -> F32:
    """Density at Cartesian points (n, 3), (x, y, z) in Angstrom; (n,)."""
    fractions = field.box.fractions(points_xyz)
    inside = points_inside(field.box, fractions)
    if field.band_limit is None:
        values = _blockwise(field, fractions[inside])
    else:
        values = _polynomial(field).at(fractions[inside])
    out = np.full(len(fractions), field.offset, np.float32)
    out[inside] += np.float32(field.scale) * values
    return out


def gradient_at_points(field: Field, points_xyz: F64) -> F32:
    """Derivative per Angstrom along x, y, z at Cartesian points (n, 3), Angstrom; (n, 3)."""
    fractions = field.box.fractions(points_xyz)
    inside = points_inside(field.box, fractions)
    out = np.zeros((len(fractions), 3), np.float32)
    if field.band_limit is None:
        for start in range(0, inside.size, _BARE_SLAB):
            chosen = inside[start : start + _BARE_SLAB]
            out[chosen] = field.product_gradient_at(fractions[chosen])[1]
    else:
        polynomial = _polynomial(field)
        slopes = np.stack([polynomial.derivative(axis).at(fractions[inside]) for axis in (2, 1, 0)], -1)
        out[inside] = slopes @ np.linalg.inv(field.box.box).astype(np.float32)
    out *= np.float32(field.scale)
    return out


def _polynomial(field: Field) -> Polynomial:
    return Polynomial.of(field.spectrum(), field.band.shape, field.degree)


def _inside(fractions: F64, voxels: NDArray[np.intp] | int) -> NDArray[np.bool_]:
    """Which box fractions lie in the half open box, give or take a thousandth of its voxels."""
    edge = _EDGE / np.asarray(voxels)
    return np.asarray((fractions >= -edge) & (fractions < 1 - edge))


def _span(samples: Samples, voxels: int) -> slice:
    """Which samples along an axis lie in the box, as `_inside` has it; without listing them, for they may be many."""
    edge = _EDGE / voxels
    ends = ((bound - samples.first) / samples.step for bound in (-edge, 1 - edge))
    first, last = (min(max(math.ceil(end), 0), samples.count) for end in ends)
    return slice(first, last)


def points_inside(box: Grid, fractions: F64) -> NDArray[np.intp]:
    """Indices of the box fractions (n, 3), (z, y, x), that lie in the box."""
    return np.flatnonzero(_inside(fractions, np.asarray(box.shape)).all(1))


def _blockwise(field: Field, fractions: F64) -> F32:
    out = np.empty(len(fractions), np.float32)
    for start in range(0, len(fractions), _BARE_SLAB):
        out[start : start + _BARE_SLAB] = field.product_at(fractions[start : start + _BARE_SLAB])
    return out


def _along_box(box: Grid, grid: Grid) -> Axes | None:
    """The samples of `grid` along each axis of `box`; None if its axes lie otherwise."""
    steps = np.linalg.inv(box.box) @ grid.axes
    sideways = np.abs(steps - np.diag(np.diag(steps))) * grid.shape[::-1]
    if (sideways * np.asarray(box.shape[::-1])[:, None]).max() > _EDGE:
        return None
    first, along = box.fractions(grid.origin), np.diag(steps)[::-1]
    z, y, x = (Samples(float(f), float(s), n) for f, s, n in zip(first, along, grid.shape, strict=True))
    return z, y, x


def _grid_of(grid: Grid, part: Part) -> Grid:
    """A grid whose samples are these of another."""
    vx, vy, vz = (v * indices.step for v, indices in zip(grid.voxel_size, part[::-1], strict=True))
    nz, ny, nx = map(len, part)
    start = (part[0].start, part[1].start, part[2].start)
    return replace(grid.region(start, (nz, ny, nx)), voxel_size=(vx, vy, vz))


def _straight_slabs(field: Field, axes: Axes, rows: int, degree: Shape) -> Iterator[tuple[int, F32]]:
    """Slabs of samples along the box's axes; only those within the box are computed.

    Args:
        field: what to sample.
        axes: where, along (z, y, x).
        rows: of a slab.
        degree: highest frequency that the whole grid can hold along (z, y, x), cycles per box.
    """
    spans = [_span(samples, voxels) for samples, voxels in zip(axes, field.box.shape, strict=True)]
    polynomial = None
    if field.band_limit is not None:
        polynomial = _polynomial(field).truncated(degree)
    across = (axes[1].part(spans[1]), axes[2].part(spans[2]))
    for start in range(0, axes[0].count, rows):
        out = np.full(
            (min(rows, axes[0].count - start), *(a.count for a in axes[1:])), field.offset, np.float32
        )
        span = slice(max(start, spans[0].start), min(start + len(out), spans[0].stop))
        if span.start < span.stop and across[0].count and across[1].count:
            here = (axes[0].part(span), *across)
            if polynomial is not None:
                values = polynomial.on_axes(here)
            else:
                values = field.product_on(*(a.fractions for a in here))
            out[span.start - start : span.stop - start, spans[1], spans[2]] += (
                np.float32(field.scale) * values
            )
        yield start, out


def _turned_slabs(field: Field, grid: Grid, rows: int) -> Iterator[tuple[int, F32]]:
    """Slabs of a grid whose axes lie otherwise than the box's."""
    nz, ny, nx = grid.shape
    for start in range(0, nz, rows):
        part = grid.region((start, 0, 0), (min(rows, nz - start), ny, nx))
        yield start, at_points(field, part.points().reshape(-1, 3)).reshape(part.shape)
