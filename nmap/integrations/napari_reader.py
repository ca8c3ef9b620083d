"""napari's reader of `.nmap` files, as its plugin engine (npe2) calls it; napari itself is not imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.container import open_map
from nmap.grid import Grid
from nmap.neural_map import NeuralMap
from nmap.plain_text import printable, stored_name

Layer = tuple[NDArray[np.float32], dict[str, Any], str]

# Standard deviations above the mean at which a surface is drawn where nothing better is known, and below which a level
# would show solvent.
_PLAIN_SIGMAS = 3
_LEAST_SIGMAS = 2


def reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Layer]] | None:
    """What reads this path, or these; None if one of them is no `.nmap` file by its name."""
    return _layers if all(p.lower().endswith(".nmap") for p in _paths(path)) else None


def image_layer(neural_map: NeuralMap, name: str) -> Layer:
    """A map as napari's layer data: density (z, y, x), what to show it with, and "image".

    It lies in Angstrom, and is drawn as a surface at `first_level`.
    """
    values = neural_map.as_array()
    return (
        values,
        {"name": printable(name), **_place(neural_map.grid), **_surface(neural_map, values)},
        "image",
    )


def first_level(neural_map: NeuralMap, values: NDArray[np.float32]) -> float:
    """A level for a first surface, density units: the recorded contour, else one that encloses the envelope's volume.

    Without either, or where the envelope is so wide that its level would show solvent, it is three standard deviations
    above the mean, or halfway to the maximum if that is less.
    """
    if neural_map.contour_level is not None:
        return neural_map.contour_level
    envelope = neural_map.field.envelope
    mean, sigma = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    if envelope is not None:
        enclosing = float(np.quantile(values, 1 - float(envelope.occupancy.mean())))
        if enclosing >= mean + _LEAST_SIGMAS * sigma:
            return enclosing
    return float(min(mean + _PLAIN_SIGMAS * sigma, (mean + values.max()) / 2))


def _layers(path: str | Sequence[str]) -> list[Layer]:
    return [image_layer(open_map(p), Path(stored_name(p)).stem) for p in _paths(path)]


def _paths(path: str | Sequence[str]) -> list[str]:
    return [path] if isinstance(path, str) else list(path)


def _place(grid: Grid) -> dict[str, Any]:
    """Where a layer lies, axes (z, y, x), Angstrom; a cell of other angles needs an affine matrix."""
    place: dict[str, Any] = {"axis_labels": ("z", "y", "x"), "units": ("angstrom",) * 3}
    if grid.is_orthogonal:
        return place | {"scale": grid.voxel_size[::-1], "translate": grid.origin[::-1]}
    affine = np.eye(4)
    affine[:3, :3] = grid.axes[::-1, ::-1]
    affine[:3, 3] = grid.origin[::-1]
    return place | {"affine": affine}


def _surface(neural_map: NeuralMap, values: NDArray[np.float32]) -> dict[str, Any]:
    low, high = float(values.min()), float(values.max())
    if not low < high:
        return {}
    level = first_level(neural_map, values)
    return {"rendering": "iso", "iso_threshold": level, "contrast_limits": (low, high)}
