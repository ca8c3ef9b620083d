"""From a density map to a network: prepare a target, train on it, quantise, measure what a decoder sees.

torch is imported when `encode` is called, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress
from nmap.machine.packages import require_package

if TYPE_CHECKING:
    from nmap.maps import DensityMap
    from nmap.neural_map import NeuralMap

__all__ = ["EncodeOptions", "Progress", "encode"]


def encode(
    density: DensityMap,
    options: EncodeOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> NeuralMap:
    """Fit a network to a density map.

    Args:
        density: what to fit.
        options: how; the defaults if None.
        progress: called now and then with how far the fit is.
        should_stop: asked now and then; when it answers True the best network so far is returned.

    Returns:
        The map as a network, exactly as a file of it will decode, with the record of how it was fitted and of
        its measured fidelity.

    Raises:
        MapError: there is nothing in the map to fit.
        OptionError: an option that does not suit this map.
        GridError: a mask that does not lie on the map.
        MissingPackageError: torch is not installed.
    """
    require_package("torch", "fit", "encode")
    from nmap.fit.target.fittable import check_density

    check_density(density)  # before torch is loaded, which takes seconds
    from nmap.fit.engine import fit

    return fit(density, options or EncodeOptions(), progress, should_stop)
