"""An isosurface drawn with numpy: orthographic rays, the first crossing of a level, shaded by its gradient.

Small and quick rather than general: one density, one level, one view, no meshes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter

from nmap.grid import Grid

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

PIXELS = 560
BLOCK = 4
FINE = 5
BACKGROUND = 1.0
_LIGHT = np.array([-0.45, 0.55, -0.70])


@dataclass(frozen=True, eq=False)
class View:
    """An orthographic camera.

    Attributes:
        centre: what it looks at, Cartesian (x, y, z) in Angstrom.
        radius: half of the picture's width, Angstrom.
        axes: rows right, up and away from the eye, unit vectors (x, y, z).
    """

    centre: F64
    radius: float
    axes: F64


def contour_level(values: F32, inside: float | None = None) -> float:
    """A level at which the map shows a molecule.

    Args:
        values: density (z, y, x).
        inside: share of the box within the envelope, if known; a sixth of it is taken to show. Without one,
            0.7 % of the box is.
    """
    share = 0.007 if inside is None else min(max(inside / 6, 0.001), 0.2)
    flat = values[:: max(1, values.shape[0] // 120)].ravel()
    return float(np.quantile(flat, 1 - share))


def look_at(values: F32, grid: Grid, level: float, turn: float = 30.0, tilt: float = 20.0) -> View:
    """A camera that holds nearly all of the surface, turned and tilted by degrees from a view along z."""
    above = np.argwhere(values >= level)
    if not len(above):
        above = np.array([[0, 0, 0], np.array(grid.shape) - 1])
    points = grid.positions(above[:: max(1, len(above) // 20_000)] / np.asarray(grid.shape))
    centre = np.median(points, axis=0)
    # Specks of noise far out should not make the molecule small.
    radius = 1.15 * float(np.quantile(np.linalg.norm(points - centre, axis=1), 0.98)) + 2 * max(
        grid.voxel_size
    )
    a, b = np.radians(turn), np.radians(tilt)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    axes = (about_x @ about_y) @ np.diag([1.0, 1.0, -1.0])
    return View(centre, radius, axes)


def render(values: F32, grid: Grid, level: float, view: View, pixels: int = PIXELS) -> F32:
    """Draw the surface where the density first reaches `level` along each ray.

    Args:
        values: density (z, y, x).
        grid: where it lies.
        level: density of the surface.
        view: the camera.
        pixels: width and height.

    Returns:
        Brightness (pixels, pixels), 0 to 1, first row on top; `BACKGROUND` where a ray meets nothing.
    """
    depth, rays = _march(values, grid, level, view, pixels)
    image = np.full(pixels * pixels, BACKGROUND, np.float32)
    hit = np.flatnonzero(np.isfinite(depth))
    if not hit.size:
        return image.reshape(pixels, pixels)
    away = view.axes[2]
    normal = -_gradient(values, grid, rays[hit] + depth[hit, None] * away)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    light = _LIGHT @ view.axes / np.linalg.norm(_LIGHT)
    diffuse = np.maximum(normal @ light, 0)
    glint = np.maximum(normal @ ((light - away) / np.linalg.norm(light - away)), 0) ** 24
    near = (depth[hit] + view.radius) / (2 * view.radius)
    shade = (0.26 + 0.66 * diffuse) * _openness(depth, pixels, view.radius)[hit] + 0.16 * glint
    fog = 0.45 * np.clip(near, 0, 1) ** 1.5
    image[hit] = np.clip(shade * (1 - fog) + 0.85 * fog, 0, 1)
    return image.reshape(pixels, pixels)


def _march(values: F32, grid: Grid, level: float, view: View, pixels: int) -> tuple[F64, F64]:
    """Depth of the first crossing along each ray (infinite: none), and where rays cross the middle plane.

    A coarse grid of block maxima tells which stretches of a ray can hold a crossing; only those are sampled.
    """
    side = (np.arange(pixels) + 0.5) / pixels * 2 - 1
    right, up, away = view.axes
    plane = side[None, :, None] * right - side[:, None, None] * up
    rays = (view.centre + view.radius * plane).reshape(-1, 3)
    to_voxels = np.linalg.inv(grid.box).T[:, ::-1] * np.asarray(grid.shape)
    start, stride = (rays - np.asarray(grid.origin)) @ to_voxels, away @ to_voxels
    stretches = max(2, int(np.ceil(2 * view.radius / (BLOCK * min(grid.voxel_size)))))
    ends = np.linspace(-view.radius, view.radius, stretches + 1)
    blocks = _block_maxima(values) >= level
    depth = np.full(len(rays), np.inf)
    active = np.arange(len(rays))
    for near, far in pairwise(ends):
        middle = start[active] + (near + far) / 2 * stride
        chosen = active[_lookup(blocks, middle)]
        depth[chosen] = _crossing(values, level, start[chosen], stride, np.linspace(near, far, FINE + 1))
        active = active[np.isinf(depth[active])]
    return depth, rays


def _crossing(values: F32, level: float, start: F64, stride: F64, depths: F64) -> F64:
    """Depth of the first crossing of each of some rays between the first and the last of `depths`."""
    found = np.full(len(start), np.inf)
    active = np.arange(len(start))
    before = np.full(len(start), -np.inf)
    for step, here in enumerate(depths):
        now = _at(values, start[active] + here * stride)
        reached = now >= level
        if reached.any():
            hit, rise = active[reached], now[reached] - before[reached]
            known = np.isfinite(rise) & (rise > 0)
            part = np.where(known, (level - before[reached]) / np.where(known, rise, 1), 1)
            last = depths[max(step - 1, 0)]
            found[hit] = last + part * (here - last)
        before, active = now[~reached], active[~reached]
    return found


def _block_maxima(values: F32) -> F32:
    """Largest value in and around each block of `BLOCK` voxels a side, (z, y, x)."""
    padded = np.pad(values, [(0, -n % BLOCK) for n in values.shape], constant_values=-np.inf)
    nz, ny, nx = (n // BLOCK for n in padded.shape)
    maxima = padded.reshape(nz, BLOCK, ny, BLOCK, nx, BLOCK).max((1, 3, 5))
    return np.asarray(maximum_filter(maxima, 3, mode="constant", cval=-np.inf), np.float32)


def _lookup(blocks: NDArray[np.bool_], voxels: F64) -> NDArray[np.bool_]:
    """Whether the block at each of these places (n, 3), (z, y, x), is set; one block beyond the edges too."""
    index = (voxels / BLOCK).astype(np.intp)
    within = np.all((voxels > -BLOCK) & (index <= blocks.shape), 1)
    index = np.minimum(index, np.asarray(blocks.shape) - 1)
    index[~within] = 0
    return np.asarray(blocks[index[:, 0], index[:, 1], index[:, 2]] & within)


def _at(values: F32, voxels: F64) -> F64:
    return np.asarray(map_coordinates(values, voxels.T, np.float32, order=1, cval=-np.inf), np.float64)


def _gradient(values: F32, grid: Grid, points: F64) -> F64:
    """Density gradient (n, 3) along x, y, z by central differences one voxel apart."""
    out = np.empty((len(points), 3))
    step = float(np.mean(grid.voxel_size))
    for axis in range(3):
        offset = np.zeros(3)
        offset[axis] = step
        ends = [
            map_coordinates(values, (grid.fractions(p) * np.asarray(grid.shape)).T, order=1, mode="nearest")
            for p in (points + offset, points - offset)
        ]
        out[:, axis] = ends[0] - ends[1]
    return out


def _openness(depth: F64, pixels: int, radius: float) -> F64:
    """How open each pixel lies, 0 to 1: places behind their surroundings get less of the sky."""
    image = np.where(np.isfinite(depth), depth, radius).reshape(pixels, pixels)
    open_ = np.ones(image.shape)
    for sigma, strength in ((pixels / 180, 0.9), (pixels / 45, 0.8)):
        behind = (image - gaussian_filter(image, sigma)) / radius
        open_ *= 1 - np.clip(strength * 6 * behind, 0, 0.55)
    return open_.ravel()
