"""What every codec of a benchmark is given, and the referee that measures what comes back."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmap.compare.agreement import compare_voxels
from nmap.errors import GridError, OptionError
from nmap.grid import Grid
from nmap.maps import DensityMap, MapHeader, read_map
from nmap.spectrum import Complex, Shells, correlate_shells, transform

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Source:
    """A density map as all codecs get it, already multiplied by its mask.

    Attributes:
        name: of the map's file.
        values: density times mask, float32 (z, y, x).
        grid: where it lies.
        resolution: shells from 1 to this one count, Angstrom.
        mask: what it was multiplied by, float32 (z, y, x); None if nothing.
        mask_name: "none", "auto", or the name of the mask's file.
        inside: voxels that hold anything: those in the mask, else those that differ from the median.
        header: of the map's file.
    """

    name: str
    values: F32
    grid: Grid
    resolution: float
    mask: F32 | None = None
    mask_name: str = "none"
    inside: int = 0
    header: MapHeader | None = None

    @property
    def raw_bytes(self) -> int:
        """Bytes of the voxels as float32: what ratios are counted from."""
        return 4 * self.grid.size

    @cached_property
    def shells(self) -> Shells:
        """Shells of the grid."""
        return Shells(self.grid)

    @property
    def last(self) -> int:
        """Index of the last shell that counts."""
        return self.shells.last(self.resolution)

    def save(self, path: Path) -> None:
        """Keep it for the processes of this run. A pickle: never read one that came from elsewhere."""
        with path.open("wb") as file:
            pickle.dump(replace(self), file, protocol=5)

    @staticmethod
    def load(path: Path) -> Source:
        """Read what `save` wrote in this run."""
        with path.open("rb") as file:
            source = pickle.load(file)
        assert isinstance(source, Source)
        return source


def read_source(path: Path, resolution: float, mask: str = "none") -> Source:
    """Read a map and multiply it by its mask.

    Args:
        path: MRC or CCP4 file.
        resolution: Angstrom.
        mask: "none"; "auto" for the envelope that nmap finds by itself; or a map file on the same grid.

    Raises:
        GridError: the mask lies on another grid.
        OptionError: the resolution holds no shell, or the map no density.
    """
    density = read_map(path)
    weight = None
    if mask == "auto":
        weight = automatic_envelope(density, resolution)
    elif mask != "none":
        found = read_map(mask)
        if not found.grid.matches(density.grid):
            raise GridError(f"mask {Path(mask).name} on {found.grid}: wanted the map's {density.grid}")
        weight = found.values
    source = make_source(density, path.name, resolution, weight)
    return replace(source, mask_name=mask if mask in ("none", "auto") else Path(mask).name)


def make_source(density: DensityMap, name: str, resolution: float, mask: F32 | None = None) -> Source:
    """A source from a map in memory and a mask on its grid, (z, y, x).

    Raises:
        OptionError: the resolution holds no shell, or the map no density.
    """
    values = density.values if mask is None else density.values * np.asarray(mask, np.float32)
    inside = np.count_nonzero(values != np.median(values) if mask is None else mask > 0)
    if not inside:
        raise OptionError(f"{name} is constant where the mask is above 0: nothing to compress")
    source = Source(name, values, density.grid, resolution, mask, "none", int(inside), density.header)
    if source.last < 1:
        raise OptionError(
            f"resolution {resolution} A in a box of {density.grid.edges} A: wanted at least a shell"
        )
    return source


def automatic_envelope(density: DensityMap, resolution: float) -> F32 | None:
    """The soft envelope that nmap finds, on the map's grid (z, y, x); None where it is everything."""
    from nmap.envelope.automatic import solvent_value
    from nmap.fit.target.envelope import choose_envelope

    envelope = choose_envelope(density, "auto", resolution, solvent_value(density.values)).envelope
    return None if envelope is None else envelope.on_lattice(density.grid.shape)


class Referee:
    """Measures decoded maps against one source; the source's transform is made once.

    Args:
        source: the truth.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._spectrum: Complex = transform(source.values)

    def worst(self, decoded: F32) -> float:
        """Lowest FSC over shells 1 to the resolution; shells that are empty in the source do not count."""
        return self.worst_and_median(decoded)[0]

    def worst_and_median(self, decoded: F32) -> tuple[float, float]:
        """Lowest and median FSC over shells 1 to the resolution; -1 where densities are not finite."""
        if not np.isfinite(decoded).all():
            return -1.0, -1.0
        source = self.source
        curve = correlate_shells(transform(decoded), self._spectrum, source.shells, reference="second")
        median = float(np.median(curve.fsc[1 : source.last + 1]))
        return curve.worst(source.resolution), median

    def psnr(self, decoded: F32) -> float:
        """20 log10(range of the source / rmse) over the whole box, decibel; infinite for equal maps."""
        return compare_voxels(decoded, self.source.values).psnr


def bound_bytes(source: Source, fsc: float) -> float:
    """Bytes of a stationary Gaussian source confined to the mask: a yardstick, not a codec.

    0.5 log2(1 / (1 - fsc^2)) bits for each degree of freedom (Shannon, 1959, with the squared correlation as
    the share of the variance kept); their number is the voxels in the mask times the share of Fourier space
    within the resolution's sphere.
    """
    grid = source.grid
    frequency = min(1 / source.resolution, grid.nyquist)
    voxel_volume = float(np.linalg.det(grid.axes))
    freedom = source.inside * 4 / 3 * math.pi * frequency**3 * voxel_volume
    return freedom * 0.5 * math.log2(1 / (1 - fsc * fsc)) / 8
