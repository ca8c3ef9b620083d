"""A field on a grid as an xarray: density with its coordinates, decoded where it is looked at."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xarray import DataArray, Variable
from xarray.backends import BackendArray
from xarray.core import indexing

from nmap.grid import Grid
from nmap.model import Field
from nmap.sampling.grids import on_part

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

NAME = "density"
DIMENSIONS = ("z", "y", "x")

# A decode uses all threads itself, and what it keeps for the next one is made once.
_ONE_AT_A_TIME = threading.Lock()


class DecodedArray(BackendArray):
    """Density on a grid, (z, y, x), of which each look decodes what it asks for.

    Args:
        field: what is computed.
        grid: where its samples lie.
    """

    def __init__(self, field: Field, grid: Grid) -> None:
        self.field = field
        self.grid = grid
        self.shape = grid.shape
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._looked_up
        )

    def _looked_up(self, key: tuple[Any, ...]) -> F32:
        """Samples at a whole number, a slice or whole numbers for each axis."""
        wanted = [_indices(k, n) for k, n in zip(key, self.shape, strict=True)]
        covers = [_cover(indices) for indices in wanted]
        with _ONE_AT_A_TIME:
            values = on_part(self.field, self.grid, (covers[0], covers[1], covers[2]))
        places = (
            (indices - cover.start) // cover.step for indices, cover in zip(wanted, covers, strict=True)
        )
        values = values[np.ix_(*places)]
        single = tuple(axis for axis, k in enumerate(key) if isinstance(k, int | np.integer))
        return np.asarray(values.squeeze(single))


def labelled(field: Field, grid: Grid, attributes: Mapping[str, Any] | None = None) -> DataArray:
    """Density on a grid of box axes with its coordinates; nothing is decoded before it is looked at.

    Args:
        field: what is computed.
        grid: where its samples lie.
        attributes: what else is known of it.

    Returns:
        Dimensions z, y, x with coordinates in Angstrom. In a cell whose axes are not at right angles these run along
        the axes, and `cell_angles` (degrees) says how the axes lie.
    """
    lazy: Any = indexing.LazilyIndexedArray(DecodedArray(field, grid))
    cached: Any = indexing.MemoryCachedArray(lazy)  # type: ignore[no-untyped-call]
    values = indexing.CopyOnWriteArray(cached)
    known = {"long_name": "density", **(attributes or {})}
    if not grid.is_orthogonal:
        known["cell_angles"] = list(grid.angles)
    variable = Variable(DIMENSIONS, values, known)
    return DataArray(variable, coords=coordinates(grid), name=NAME)


def coordinates(grid: Grid) -> dict[str, Variable]:
    """Positions of a grid's samples along its axes in Angstrom, by dimension."""
    axes = grid.axes / np.linalg.norm(grid.axes, axis=0)
    first = np.linalg.solve(axes, np.asarray(grid.origin))[::-1]
    attributes = {"units": "angstrom", "long_name": "position"}
    return {
        name: Variable(name, start + step * np.arange(count), {**attributes, "axis": name.upper()})
        for name, start, step, count in zip(DIMENSIONS, first, grid.voxel_size[::-1], grid.shape, strict=True)
    }


def _indices(key: Any, count: int) -> NDArray[np.intp]:
    """The samples that one axis's part of a key means."""
    chosen = key if isinstance(key, slice) else np.atleast_1d(np.asarray(key, np.intp))
    return np.asarray(np.arange(count, dtype=np.intp)[chosen])


def _cover(indices: NDArray[np.intp]) -> slice:
    """The fewest evenly spaced samples that include some."""
    if not indices.size:
        return slice(0, 0, 1)
    first, last = int(indices.min()), int(indices.max())
    step = math.gcd(*(indices - first).tolist())
    return slice(first, last + 1, step or 1)
