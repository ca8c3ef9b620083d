"""`nmap.decode`: from a neural map, or its file, to a plain density map."""

from __future__ import annotations

import os

from nmap.container import open_map
from nmap.grid import Grid
from nmap.maps.reading import DensityMap
from nmap.neural_map import NeuralMap


def decode(source: NeuralMap | str | os.PathLike[str], grid: Grid | None = None) -> DensityMap:
    """Decode a neural map to a plain density map.

    Args:
        source: the neural map, or the path of a `.nmap` file.
        grid: where to put the samples; the source map's own grid if None. Outside the box lies solvent.

    Returns:
        The densities on that grid.

    Raises:
        FormatError: the file breaks the format.
        GridError: the grid cannot be decoded to.
    """
    neural_map = source if isinstance(source, NeuralMap) else open_map(source)
    grid = grid or neural_map.grid
    return DensityMap(neural_map.on_grid(grid), grid)
