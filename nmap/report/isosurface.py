"""A picture of an isosurface: the mesh of scikit-image's marching cubes, seen from one side and shaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nmap.grid import Grid

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

PIXELS = 560
"""Width and height of the picture."""

FINEST = 320
"""Samples a side beyond which a coarser surface is drawn: more triangles than pixels show nothing new."""

POINTS = 1_000_000
"""Points that are drawn at a time, to bound the memory."""

SLAB = 1 << 22
"""Voxels whose surface is made at a time, for the same."""

BACKGROUND = 1.0
"""Brightness where there is nothing."""

_LIGHT = np.array([-0.45, 0.55, -0.70])  # from the upper left, behind the viewer; right, up, away


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


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles.

    Attributes:
        points: their corners, Cartesian (x, y, z) in Angstrom, (points, 3).
        normals: of the surface at each, not of unit length, (points, 3).
        triangles: three points each, (triangles, 3).
    """

    points: F64
    normals: F64
    triangles: NDArray[np.int32]


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
    """Draw the surface where the density is `level`, as scikit-image's marching cubes find it.

    Args:
        values: density (z, y, x).
        grid: where it lies.
        level: density of the surface.
        view: the camera.
        pixels: width and height.

    Returns:
        Brightness (pixels, pixels), 0 to 1, first row on top; `BACKGROUND` where there is no surface.
    """
    depth, normal = _nearest(_surfaces(values, grid, level), view, pixels)
    image = np.full(pixels * pixels, BACKGROUND, np.float32)
    hit = np.flatnonzero(np.isfinite(depth))
    if not hit.size:
        return image.reshape(pixels, pixels)
    away, normal = view.axes[2], normal[hit]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    light = _LIGHT @ view.axes / np.linalg.norm(_LIGHT)
    diffuse = np.maximum(normal @ light, 0)
    glint = np.maximum(normal @ ((light - away) / np.linalg.norm(light - away)), 0) ** 24
    near = (depth[hit] + view.radius) / (2 * view.radius)
    shade = (0.26 + 0.66 * diffuse) * _openness(depth, pixels, view.radius)[hit] + 0.16 * glint
    fog = 0.45 * np.clip(near, 0, 1) ** 1.5
    image[hit] = np.clip(shade * (1 - fog) + 0.85 * fog, 0, 1)
    return image.reshape(pixels, pixels)


def _surfaces(values: F32, grid: Grid, level: float) -> Iterator[Mesh]:
    """The surface at a level, with outward normals, in slabs along z: a copy of a large map is too much.

    It is closed where the box cuts it. Maps of more than `FINEST` samples a side are drawn from every other, and so on.
    """
    from skimage.measure import marching_cubes

    low, high, count = float(values.min()), float(values.max()), values.shape[0] + 2
    step = max(1, max(values.shape) // FINEST)
    # Normals are gradients by voxel, (z, y, x); here they become gradients by Angstrom, (x, y, z).
    by_voxel = np.linalg.inv(grid.box).T[:, ::-1] * np.asarray(grid.shape)
    size = step * max(1, SLAB // (step * values.shape[1] * values.shape[2]))
    for first in range(0, count if low < level < high else 0, size):
        # A normal is a mean over the cells around it: those of the next slabs are looked at too.
        begin, end = max(first - step, 0), min(first + size + step + 1, count)
        around = (int(begin == 0), int(end == count))
        slab = values[begin - 1 + around[0] : end - 1 - around[1]]
        padded = np.pad(slab, (around, (1, 1), (1, 1)), constant_values=low)
        if not float(padded.max()) > level:
            continue
        try:
            mesh = marching_cubes(padded, level, step_size=step)  # type: ignore[no-untyped-call]
        except RuntimeError:  # every other voxel misses it
            continue
        corners, triangles, normals, _ = mesh
        cell = corners[triangles, 0].mean(1, dtype=np.float64) + begin
        triangles = triangles[(cell >= first) & (cell < first + size)]
        places = corners.astype(np.float64) + np.array([begin - 1, -1, -1])
        points = grid.positions(places / np.asarray(grid.shape))
        yield Mesh(points, normals.astype(np.float64) @ by_voxel.T, triangles)


def _nearest(surfaces: Iterable[Mesh], view: View, pixels: int) -> tuple[F64, F64]:
    """Depth of what lies nearest to the eye in each pixel (infinite: nothing), and its normal."""
    depth, normal = np.full(pixels * pixels, np.inf), np.zeros((pixels * pixels, 3))
    for surface in surfaces:
        if len(surface.triangles):
            _draw(surface, view, pixels, depth, normal)
    return depth, normal


def _draw(surface: Mesh, view: View, pixels: int, depth: F64, normal: F64) -> None:
    """Set depth and normal of the pixels in which a surface lies nearer to the eye.

    Triangles are small, so each is covered by points less than a pixel apart instead of being filled.
    """
    seen = (surface.points - view.centre) @ view.axes.T / (2 * view.radius) * pixels
    corners = seen[surface.triangles, :2]
    longest = float(np.abs(corners - np.roll(corners, 1, axis=1)).max())
    parts = _barycentric(int(np.ceil(1.5 * longest)) + 1)
    size = max(1, POINTS // len(parts))
    for first in range(0, len(surface.triangles), size):
        chunk = surface.triangles[first : first + size]
        x, y, z = (parts @ seen[chunk, axis].T for axis in range(3))
        column, row = np.floor(x + pixels / 2).astype(np.intp), np.floor(pixels / 2 - y).astype(np.intp)
        within = (column >= 0) & (column < pixels) & (row >= 0) & (row < pixels)
        pixel, here = row[within] * pixels + column[within], z[within] * (2 * view.radius / pixels)
        np.minimum.at(depth, pixel, here)
        front = here == depth[pixel]
        turned = np.stack([parts @ surface.normals[chunk, axis].T for axis in range(3)], -1)
        normal[pixel[front]] = turned[within][front]


def _barycentric(count: int) -> F64:
    """Evenly spread points of a triangle, as shares of its corners, (points, 3)."""
    i, j = np.mgrid[: count + 1, : count + 1]
    inside = i + j <= count
    return np.stack([i[inside], j[inside], count - i[inside] - j[inside]], -1) / count


def _openness(depth: F64, pixels: int, radius: float) -> F64:
    """How open each pixel lies, 0 to 1: places behind their surroundings get less of the sky."""
    image = np.where(np.isfinite(depth), depth, radius).reshape(pixels, pixels)
    open_ = np.ones(image.shape)
    for sigma, strength in ((pixels / 180, 0.9), (pixels / 45, 0.8)):
        behind = (image - gaussian_filter(image, sigma)) / radius
        open_ *= 1 - np.clip(strength * 6 * behind, 0, 0.55)
    return open_.ravel()
