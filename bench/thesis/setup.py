"""What every experiment gets: the map, how large to be, and where pictures go."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.machine.packages import require_package
from nmap.maps import DensityMap
from nmap.spectrum import resample

F32 = NDArray[np.float32]
Runs = dict[str, dict[str, Any]]
"""What an experiment found, by the name of the map."""


@dataclass(frozen=True, eq=False)
class Setup:
    """One run.

    Attributes:
        density: the map.
        name: of its file, up to the first dot.
        quick: small networks and few steps, for two cores.
        tiny: the smallest that runs at all, for tests; its numbers mean nothing.
        folder: results.
        weights: the thesis's own network of T20S, if at hand.
        seed: of all that is random.
    """

    density: DensityMap
    name: str
    quick: bool
    tiny: bool
    folder: Path
    weights: Path | None = None
    seed: int = 0

    def choose(self, thesis: Any, quick: Any, tiny: Any) -> Any:
        """A setting by the size of the run."""
        return tiny if self.tiny else quick if self.quick else thesis

    def lowered(self, side: int | None) -> DensityMap:
        """The map at a whole fraction of its sampling, with about `side` voxels a side; None: as it is."""
        return self.density if side is None else lowered(self.density, side)

    def picture(self, experiment: str, panels: int) -> Picture:
        """A new picture with this number of panels."""
        return Picture(self.folder / f"thesis_{experiment}_{self.name}.png", panels)


def lowered(density: DensityMap, side: int) -> DensityMap:
    """A map at a whole fraction of its sampling, at least `side` voxels a side where it has them."""
    factor = max(1, min(density.grid.shape) // side)
    nz, ny, nx = (2 * round(n / factor / 2) for n in density.grid.shape)
    grid = density.grid.resampled((nz, ny, nx))
    return DensityMap(resample(density.values, grid.shape), grid, density.header)


def normalised(values: F32) -> F32:
    """Values less their mean, by their standard deviation."""
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-30), np.float32)


class Picture:
    """A row of panels, written as PNG.

    Args:
        path: of the PNG.
        panels: how many.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """

    def __init__(self, path: Path, panels: int) -> None:
        require_package("matplotlib", "bench", "a plot")
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._path, self._figure = path, Figure(figsize=(4.3 * panels, 3.4), layout="constrained")
        FigureCanvasAgg(self._figure)
        self.axes: Sequence[Any] = np.atleast_1d(self._figure.subplots(1, panels)).tolist()

    def write(self) -> str:
        """Write it; its file name."""
        out = io.BytesIO()
        self._figure.savefig(out, format="png", dpi=90, metadata={"Software": None})
        self._path.write_bytes(out.getvalue())
        return self._path.name
