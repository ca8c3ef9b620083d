"""What a map, a mask or a pair of half maps must be: checked here, in the same words, whoever reads them."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmap.errors import GridError, MapError, MapWarning, OptionError
from nmap.grid import Grid, told_apart
from nmap.maps.density_map import F32, DensityMap

_WHOLE = 0.02
"""Voxels over the whole box by which two samplings may be apart and still be one."""
_OVERSHOOT = 0.05
"""Values of a mask may lie this far beyond 0 and 1, as interpolation leaves them; they are cut."""
_EXACT = 1e-3
"""Rounding of a mask that nobody need be told of."""
_BYTE = 255.0
_LITTLE = 0.02
"""Share of the map's variance in a mask below which it is said; one of 24 copies under O has twice that."""
_ALIKE = 1e-6
"""Halves that correlate by 1 less this are one map: each has noise of its own in half of its voxels' power."""


def require_same_grid(a: DensityMap, b: DensityMap, name_a: str, name_b: str) -> None:
    """Refuse two maps that do not lie on one grid.

    Raises:
        GridError: naming both grids, with as many digits as tell them apart.
    """
    if not a.grid.matches(b.grid):
        one, other = told_apart(a.grid, b.grid)
        raise GridError(f"the {name_a} lies on {one}, the {name_b} on {other}: resample one of them")


def require_contrast(density: DensityMap, name: str) -> None:
    """Refuse a map whose voxels are all the same: nothing can be compared with it.

    Raises:
        MapError: naming the value.
    """
    low = float(density.values.min())
    if not float(density.values.max()) > low:
        raise MapError(f"{name}: every voxel is {low + 0.0:g}: wanted a map with some density in it")


def require_half_maps(half1: DensityMap, half2: DensityMap) -> None:
    """Refuse two half maps that lie on two grids, or that are one map.

    Raises:
        GridError: naming both grids.
        OptionError: they correlate as only a map with itself does, a factor and an offset aside.
    """
    require_same_grid(half1, half2, "first half map", "second half map")
    for number, half in enumerate((half1, half2), 1):
        require_contrast(half, f"half map {number}")
    alike = _correlation(half1.values, half2.values)
    if alike > 1 - _ALIKE:
        raise OptionError(
            f"half maps 1 and 2 are one map (correlation {alike:.7f}): wanted the two independent halves"
        )


def sound_mask(mask: DensityMap) -> DensityMap:
    """A mask with values from 0 (solvent) to 1, on its own grid.

    Masks of whole bytes, 0 to 255, and those of two values, 0 and another, are divided by their largest.

    Raises:
        OptionError: other values, or none above 0.5.

    Warns:
        MapWarning: the values were divided, or cut to 0 and 1.
    """
    values, name = mask.values, _name(mask)
    low, high = float(values.min()), float(values.max())
    if low == 0 and high > 1 + _OVERSHOOT and (high == _BYTE or _is_two_valued(values, high)):
        _warn(f"{name}: mask values from 0 to {high:g}: divided by {high:g}")
        return replace(mask, values=values / np.float32(high))
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        raise OptionError(
            f"{name}: mask values from {low:.4g} to {high:.4g}: wanted 0 (solvent) to 1; rescale the mask"
        )
    if high <= 0.5:
        raise OptionError(
            f"{name}: the mask is nowhere above 0.5 but {high:.4g} at most: wanted 1 in the molecule, 0 in the solvent"
        )
    if low < -_EXACT or high > 1 + _EXACT:
        _warn(f"{name}: mask values from {low:.4g} to {high:.4g}: cut to 0 and 1")
    if low < 0 or high > 1:
        return replace(mask, values=values.clip(0, 1))
    return mask


def mask_on(mask: DensityMap, grid: Grid) -> DensityMap:
    """A mask on a map's grid: the part that lies there, or interpolated between its voxels; 0 beyond its own box.

    Raises:
        GridError: what it marks reaches out of the map's box; names both grids.
        OptionError: it marks nothing there.

    Warns:
        MapWarning: it lies on other voxels and was interpolated.
    """
    if mask.grid.matches(grid):
        return mask
    agree = samples_agree(mask.grid, grid)
    part = _part(mask, grid) if agree else None
    if part is None:
        part = DensityMap(mask_by_position(mask, grid, grid), grid, mask.header)
    if not agree:
        own, wanted = told_apart(mask.grid, grid)
        _warn(f"{_name(mask)}: the mask lies on {own}, the map on {wanted}: interpolated")
    return part


def judge_mask(mask: DensityMap, density: DensityMap) -> None:
    """Warn of a mask that leaves out nearly all of the map, or that holds less density than what it leaves out.

    Args:
        mask: from 0 to 1, on the grid of `density`.
        density: the map.
    """
    about = density.values - np.float32(np.median(density.values))
    power = about * about
    whole, inside = float(power.sum(dtype=np.float64)), float(np.vdot(power, mask.values))
    share = float(mask.values.mean(dtype=np.float64))
    if not 0 < share < 1 or whole <= 0:
        return
    kept = inside / whole
    if kept < _LITTLE:
        _warn(
            f"{_name(mask)}: the mask leaves out {100 * (1 - kept):.3g} % of the map's variance: is it the mask of "
            "this map?"
        )
    elif kept < share:
        _warn(
            f"{_name(mask)}: the map is weaker inside the mask than outside it ({100 * kept:.3g} % of its variance in "
            f"{100 * share:.3g} % of the box): is the mask inside out?"
        )


def samples_agree(mask: Grid, grid: Grid) -> bool:
    """Whether the voxels of one grid lie on those of the other, as those of a part of it do."""
    apart = np.linalg.solve(mask.axes, np.asarray(grid.origin) - np.asarray(mask.origin))
    steps = np.abs(mask.axes - grid.axes).max() * max(grid.shape)
    return bool(np.abs(apart - np.rint(apart)).max() < _WHOLE and steps < _WHOLE * min(grid.voxel_size))


def mask_by_position(mask: DensityMap, grid: Grid, lattice: Grid) -> F32:
    """A mask at the positions of a lattice, by trilinear interpolation; 0 beyond its own box.

    Args:
        mask: on any grid, as long as what it marks lies in the box of `grid`.
        grid: the map's.
        lattice: where to sample.

    Raises:
        GridError: what it marks reaches out of the map's box; names both grids.
        OptionError: it marks nothing.
    """
    import scipy.ndimage as ndi

    marked = _marked(mask.values)
    nowhere = OptionError(
        f"mask on {mask.grid} is nowhere above 0.5 in the map's box: wanted 1 in the molecule, 0 in the solvent"
    )
    if marked is None:
        raise nowhere
    corners = np.stack(np.meshgrid(*marked.T, indexing="ij"), -1)
    at = grid.fractions(mask.grid.positions(corners.reshape(-1, 3) / np.asarray(mask.grid.shape)))
    at *= grid.shape
    # A section of a map may have the mask of the whole map.
    beyond = ((at < -1) | (at > np.asarray(grid.shape)))[:, np.asarray(grid.shape) > 1]
    if beyond.any():
        own, wanted = told_apart(mask.grid, grid)
        raise GridError(
            f"the mask's grid, {own}, does not lie on the map's, {wanted}: resample the mask first"
        )
    out = np.empty(lattice.shape, np.float32)
    for z in range(lattice.shape[0]):
        points = lattice.region((z, 0, 0), (1, *lattice.shape[1:])).points()
        index = mask.grid.fractions(points.reshape(-1, 3)) * mask.grid.shape
        plane = ndi.map_coordinates(mask.values, index.T, order=1, mode="grid-constant", cval=0.0)
        out[z] = plane.reshape(lattice.shape[1:])
    if not (out > 0.5).any():
        raise nowhere
    return out


def _part(mask: DensityMap, grid: Grid) -> DensityMap | None:
    """The part of a mask on the same voxels that lies on `grid`; None where that reaches out of it."""
    start = np.rint(mask.grid.fractions(grid.origin) * np.asarray(mask.grid.shape)).astype(int)
    if (start < 0).any() or (start + grid.shape > mask.grid.shape).any():
        return None
    chosen = tuple(slice(a, a + n) for a, n in zip(start, grid.shape, strict=True))
    return DensityMap(mask.values[chosen], grid, mask.header)


def _marked(values: F32) -> NDArray[np.intp] | None:
    """First and last index (z, y, x) above 0.5, (2, 3); None if there is none."""
    inside = values > 0.5
    ends = []
    for axis in range(3):
        along = np.flatnonzero(inside.any(tuple(a for a in range(3) if a != axis)))
        if not along.size:
            return None
        ends.append((along[0], along[-1]))
    return np.asarray(ends).T


def _is_two_valued(values: F32, high: float) -> bool:
    return bool(((values == 0) | (values == high)).all())


def _correlation(a: F32, b: F32) -> float:
    """Pearson correlation of two maps that are not constant."""
    one = a.astype(np.float64) - a.mean(dtype=np.float64)
    other = b.astype(np.float64) - b.mean(dtype=np.float64)
    return float(np.vdot(one, other) / np.sqrt(np.vdot(one, one) * np.vdot(other, other)))


def _name(density: DensityMap) -> str:
    return "mask" if density.header is None else density.header.name


def _warn(text: str) -> None:
    warnings.warn(text, MapWarning, stacklevel=3)
