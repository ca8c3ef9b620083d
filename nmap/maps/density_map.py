"""A density map in memory: values, where they lie, and what is kept of the file that they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.errors import GridError, OptionError
from nmap.grid import Grid, Triple
from nmap.machine.parked import park

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MapHeader:
    """What is kept of a map file beside its values and its grid.

    Attributes:
        name: file name, without folders.
        sha256: of the file as it lies on disk, compressed or not.
        file_bytes: size of the file as it lies on disk.
        raw: the 1024 header bytes as they are in the file, in its own byte order.
        extended: extended header or symmetry records, as they are in the file.
        labels: text labels, in order, without the blank ones.
        mode: MRC data mode.
        nstart: first voxel along the cell axes (x, y, z): NXSTART.. brought from column order to axis order.
        origin: ORIGIN field as written (x, y, z), in Angstrom; the resolved origin is in the grid.
        space_group: ISPG.
        compression: "", "gzip" or "bzip2".
        url: where the file was fetched from, "" for one on this machine.
    """

    name: str
    sha256: str
    file_bytes: int
    raw: bytes
    extended: bytes
    labels: tuple[str, ...]
    mode: int
    nstart: tuple[int, int, int]
    origin: Triple
    space_group: int
    compression: str
    url: str = ""


@dataclass(frozen=True)
class MapFrame:
    """Where a map file's voxels lie, and how its header says so.

    Attributes:
        grid: where they lie.
        axis_order: cell axis, 1 x, 2 y, 3 z, that columns, rows and sections run along.
        sampling: voxels in one cell edge (x, y, z); may differ from the grid's counts.
        space_group: number of the space group, 0 or 1 for none.
    """

    grid: Grid
    axis_order: tuple[int, int, int]
    sampling: tuple[int, int, int]
    space_group: int


@dataclass(frozen=True, eq=False)
class DensityMap:
    """A density map: values on a grid, and the header of the file they came from.

    Args:
        values: densities (z, y, x); made float32 and C-contiguous.
        grid: where they lie.
        header: of the source file, None for a map that was computed.

    Raises:
        GridError: the values do not have the grid's shape.
    """

    values: F32
    grid: Grid
    header: MapHeader | None = None

    def __post_init__(self) -> None:
        if np.shape(self.values) != self.grid.shape:
            raise GridError(f"values of shape {np.shape(self.values)}: wanted the grid's {self.grid.shape}")
        object.__setattr__(self, "values", np.ascontiguousarray(self.values, np.float32))

    def park(self) -> None:
        """Keep the values of a large map in a temporary file, from where they are read as they are looked at."""
        object.__setattr__(self, "values", park(self.values))

    def __repr__(self) -> str:
        """One line: file, sampling, range of the values."""
        name = "" if self.header is None else f"{self.header.name}, "
        low, high = float(self.values.min()), float(self.values.max())
        return f"<DensityMap: {name}{self.grid.brief}, densities from {low:.4g} to {high:.4g}>"

    def section(self, axis: str, index: int) -> DensityMap:
        """One section, a map one voxel thick, in its own place.

        Args:
            axis: "x", "y" or "z", the one that the section lies across.
            index: voxel along it, from 0.

        Raises:
            OptionError: an axis or index that the map does not have, or a cell that leans out of the section.
        """
        if axis not in ("x", "y", "z"):
            raise OptionError(f"`slice` across {axis!r}: wanted x, y or z")
        across = "zyx".index(axis)
        count = self.grid.shape[across]
        if not 0 <= index < count:
            raise OptionError(
                f"`slice` {axis}={index}: the map has {count} voxels along {axis}, wanted 0 to {count - 1}"
            )
        leaning = [angle for name, angle in zip("xyz", self.grid.angles, strict=True) if name != axis]
        if any(abs(angle - 90) > 1e-3 for angle in leaning):
            raise OptionError(
                f"`slice` {axis}={index} of a cell with angles {self.grid.angles}: wanted {axis} at right angles "
                "to the section: decode or resample the map on a box first"
            )
        start, shape = [0, 0, 0], list(self.grid.shape)
        start[across], shape[across] = index, 1
        region = self.grid.region((start[0], start[1], start[2]), (shape[0], shape[1], shape[2]))
        return DensityMap(np.take(self.values, [index], across), region, self.header)
