"""Series of maps: one file each, or stacks of volumes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from nmap.maps.density_map import DensityMap
from nmap.maps.formats import read_map_with
from nmap.maps.mrc_header import parse_header
from nmap.maps.read_options import DEFAULT_READING, ReadOptions


def read_series(
    sources: Sequence[DensityMap | str | os.PathLike[str]], reading: ReadOptions = DEFAULT_READING
) -> list[DensityMap]:
    """The maps of a series, in order.

    Args:
        sources: maps, or paths of map files; a file may be a stack of volumes (ISPG 401).
        reading: how files are read.

    Raises:
        MapError: a file that is no map and no stack of them.
    """
    found: list[DensityMap] = []
    for source in sources:
        if isinstance(source, DensityMap):
            found.append(source)
        else:
            found += volumes(read_map_with(source, replace(reading, stack=True)))
    return found


def volumes(density: DensityMap) -> list[DensityMap]:
    """The volumes of a stack that was read as one; the map itself where it is no stack."""
    if density.header is None:
        return [density]
    layout = parse_header(density.header.raw, permissive=True, stack=True)
    deep, (nz, ny, nx) = layout.sampling[2], density.grid.shape
    if not layout.is_stack or deep == nz:
        return [density]
    grid = density.grid.region((0, 0, 0), (deep, ny, nx))
    return [
        DensityMap(density.values[first : first + deep], grid, density.header) for first in range(0, nz, deep)
    ]
