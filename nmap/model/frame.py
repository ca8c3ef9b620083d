"""The frame of a field: all that decoding needs beside network, gains and envelope."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nmap.errors import FormatError
from nmap.grid import Grid, Shape, Triple
from nmap.point_group import PointGroup
from nmap.spectrum import Shells

# Points of a band-limit lattice, check 14 of the format: these are free, and each voxel of the grid brings more.
_FREE_POINTS = 1 << 20
_POINTS_PER_VOXEL = 256


@dataclass(frozen=True)
class Frame:
    """Where a network's values lie, and what makes a density of them.

    Args:
        box: the source map's grid; the density is defined over its box and is `offset` outside.
        center: box fraction (z, y, x) where the network coordinates are 0.
        half_width: box fraction (z, y, x) from there to where they are 1.
        offset: solvent value, density units.
        scale: density units per unit of network output.
        band_limit: finest resolution held, Angstrom; None for the bare network.
        lattice: counts (z, y, x) of the sampling on which the band limit is applied; with a band limit only.
        symmetry: point group; None for C1.
        alignment: which grid other shapes mean: "box" (same box, sample 0 in place) or "corners" (first and
            last voxel centres in place).

    Raises:
        FormatError: parts that do not fit each other.
    """

    box: Grid
    center: Triple = (0.5, 0.5, 0.5)
    half_width: Triple = (0.5, 0.5, 0.5)
    offset: float = 0.0
    scale: float = 1.0
    band_limit: float | None = None
    lattice: Shape | None = None
    symmetry: PointGroup | None = None
    alignment: str = "box"

    def __post_init__(self) -> None:
        for name in ("center", "half_width"):
            value = tuple(float(v) for v in getattr(self, name))
            object.__setattr__(self, name, value)
            if len(value) != 3 or not all(math.isfinite(v) for v in value):
                raise FormatError(f"network {name} {value}: wanted three finite box fractions (z, y, x)")
        if not all(v > 0 for v in self.half_width):
            raise FormatError(
                f"network half_width {self.half_width}: wanted three positive box fractions (z, y, x)"
            )
        if not (math.isfinite(self.offset) and math.isfinite(self.scale)):
            raise FormatError(f"offset {self.offset} and scale {self.scale}: wanted finite numbers")
        if self.alignment not in ("box", "corners"):
            raise FormatError(f"alignment {self.alignment!r}: wanted 'box' or 'corners'")
        if self.band_limit is not None and self.lattice is not None:
            self._check_band(self.band_limit, self.lattice)
        elif self.band_limit is not None or self.lattice is not None:
            raise FormatError("band limit and lattice: wanted both together, or none of them")

    def _check_band(self, band_limit: float, lattice: Shape) -> None:
        if not 1e-3 <= band_limit < math.inf:
            raise FormatError(f"band limit {band_limit} A: wanted a finite number from 0.001 up")
        object.__setattr__(self, "lattice", tuple(int(n) for n in lattice))
        if self.last_shell < 1:
            first = 1 / Shells(self.box).width
            raise FormatError(
                f"band limit {band_limit} A: coarser than the box, whose first shell is at {first:.4g} A: "
                "it would hold nothing but the mean"
            )
        if any(n <= 2 * k for n, k in zip(lattice, self.degree, strict=True)):
            raise FormatError(f"lattice {lattice} (z, y, x): too coarse for a band limit of {band_limit} A")
        most = tuple(32 + min(4 * k, 3 * max(self.box.shape)) for k in self.degree)
        points = _FREE_POINTS + _POINTS_PER_VOXEL * self.box.size
        if any(n > m for n, m in zip(lattice, most, strict=True)) or math.prod(lattice) > points:
            raise FormatError(
                f"lattice {lattice} (z, y, x): wanted at most {most}, and {points} points, for a band limit of "
                f"{band_limit} A and a grid of {self.box.shape}"
            )

    @property
    def last_shell(self) -> int:
        """Index of the last Fourier shell within the band limit.

        Raises:
            FormatError: the frame has no band limit.
        """
        if self.band_limit is None:
            raise FormatError("a bare network has no Fourier shells: it has no band limit")
        return int(1 / (self.band_limit * Shells(self.box).width) + 1e-6)

    @property
    def degree(self) -> Shape:
        """Highest frequency within the last shell along (z, y, x), cycles per box."""
        radius = (self.last_shell + 0.5) * Shells(self.box).width
        z, y, x = (int(radius * edge) for edge in self.box.edges[::-1])
        return (z, y, x)

    @property
    def lattice_grid(self) -> Grid:
        """Where the band-limit lattice lies; the source's grid for a bare network."""
        return self.box if self.lattice is None else self.box.resampled(self.lattice)
