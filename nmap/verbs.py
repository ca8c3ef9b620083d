"""The verbs of the public face that take a path as readily as an object: encode and decode."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from nmap.grid import Grid
from nmap.maps import DensityMap, read_map
from nmap.neural_map import NeuralMap

if TYPE_CHECKING:
    from nmap.fit import Progress
    from nmap.fit.options import EncodeOptions


def encode(
    source: DensityMap | str | os.PathLike[str],
    options: EncodeOptions | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> NeuralMap:
    """Fit a network to a density map.

    Args:
        source: the map, or the path of its MRC/CCP4 file.
        options: how to fit; the defaults if None.
        progress: called now and then with how far the fit is.
        should_stop: asked now and then; when it answers True the best network so far is returned.

    Returns:
        The map as a network, exactly as a file of it will decode.

    Raises:
        MapError: the file is not a density map that nmap can read.
        OptionError: an option that does not suit this map.
    """
    from nmap.fit import encode as fit
    from nmap.fit.options import EncodeOptions

    density = source if isinstance(source, DensityMap) else read_map(source)
    return fit(density, options or EncodeOptions(), progress, should_stop)


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
    from nmap.container import open_map

    neural_map = source if isinstance(source, NeuralMap) else open_map(source)
    grid = grid or neural_map.grid
    return DensityMap(neural_map.on_grid(grid), grid)
