"""A field on a grid as an xarray: density with its coordinates, decoded where it is looked at."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
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
            key, self.shape, indexing.IndexingSupport.OUTER, self.looked_up
        )

    def looked_up(self, key: tuple[Any, ...]) -> F32:
        """Samples at a whole number, a slice or whole numbers for each axis."""
        wanted = [_indices(k, n) for k, n in zip(key, self.shape, strict=True)]
        covers = [_cover(indices) for indices in wanted]
        with _ONE_AT_A_TIME:
            values = on_part(self.field, self.grid, (covers[0], covers[1], covers[2]))
        places = (
            (indices - cover.start) // cover.step for indices, cover in zip(wanted, covers, strict=True)
        )
        values = values[np.ix_(*places)]
        single = tuple(axis for axis, k in enumerate(key) if _is_one(k))
        return np.asarray(values.squeeze(single))


class DecodedSeries(BackendArray):
    """Density of a series on a grid, (positions, z, y, x), of which each look decodes what it asks for.

    Args:
        field_at: what is computed at a position; the last one is kept.
        positions: along the axis.
        grid: where the samples lie.
    """

    def __init__(self, field_at: Callable[[float], Field], positions: Sequence[float], grid: Grid) -> None:
        self.field_at = field_at
        self.positions = tuple(positions)
        self.grid = grid
        self.shape = (len(self.positions), *grid.shape)
        self.dtype = np.dtype(np.float32)
        self._last: tuple[int, DecodedArray] | None = None

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._looked_up
        )

    def _looked_up(self, key: tuple[Any, ...]) -> F32:
        """Samples at a whole number, a slice or whole numbers for each axis."""
        wanted = _indices(key[0], len(self.positions))
        if not wanted.size:
            rest = zip(key[1:], self.grid.shape, strict=True)
            return np.empty((0, *(len(_indices(k, n)) for k, n in rest if not _is_one(k))), np.float32)
        values = np.stack([self._part(int(i), key[1:]) for i in wanted])
        return np.asarray(values[0] if _is_one(key[0]) else values)

    def _part(self, number: int, key: tuple[Any, ...]) -> F32:
        """Samples at one of the positions."""
        last = self._last
        if last is None or last[0] != number:
            last = self._last = (number, DecodedArray(self.field_at(self.positions[number]), self.grid))
        return last[1].looked_up(key)


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
    variable = Variable(DIMENSIONS, values, _known(grid, attributes))
    return DataArray(variable, coords=coordinates(grid), name=NAME)


def labelled_series(
    field_at: Callable[[float], Field],
    positions: Sequence[float],
    name: str,
    grid: Grid,
    attributes: Mapping[str, Any] | None = None,
) -> DataArray:
    """The same of a series: dimensions `name`, z, y, x.

    Args:
        field_at: what is computed at a position.
        positions: along the axis.
        name: of the axis; "t" where it is the name of another dimension.
        grid: where the samples lie.
        attributes: what else is known of it.
    """
    lazy: Any = indexing.LazilyIndexedArray(DecodedSeries(field_at, positions, grid))
    cached: Any = indexing.MemoryCachedArray(lazy)  # type: ignore[no-untyped-call]
    name = "t" if name in DIMENSIONS else name
    variable = Variable((name, *DIMENSIONS), indexing.CopyOnWriteArray(cached), _known(grid, attributes))
    along = Variable(name, np.asarray(positions, np.float64), {"long_name": "position in the series"})
    return DataArray(variable, coords={name: along, **coordinates(grid)}, name=NAME)


def _known(grid: Grid, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Attributes of a density."""
    known = {"long_name": "density", **(attributes or {})}
    if not grid.is_orthogonal:
        known["cell_angles"] = list(grid.angles)
    return known


def coordinates(grid: Grid) -> dict[str, Variable]:
    """Positions of a grid's samples along its axes in Angstrom, by dimension."""
    axes = grid.axes / np.linalg.norm(grid.axes, axis=0)
    first = np.linalg.solve(axes, np.asarray(grid.origin))[::-1]
    attributes = {"units": "angstrom", "long_name": "position"}
    return {
        name: Variable(name, start + step * np.arange(count), {**attributes, "axis": name.upper()})
        for name, start, step, count in zip(DIMENSIONS, first, grid.voxel_size[::-1], grid.shape, strict=True)
    }


def _is_one(key: Any) -> bool:
    """Whether one axis's part of a key is one sample, whose axis goes away."""
    return isinstance(key, int | np.integer)


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
