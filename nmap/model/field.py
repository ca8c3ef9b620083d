"""A density as the composition of network, envelope, symmetry, shell gains, offset and scale.

    density(x) = offset + scale * (g * (m . u))(x),    u(x) = network(t(S(x)))

With a band limit, `m . u` is sampled on a lattice over the whole box, its spectrum multiplied by the gain of
each Fourier shell and cut beyond the last one: the density is that trigonometric polynomial. Without one it
is `offset + scale * (m . u)` itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.envelope import Envelope, RadialSupport
from nmap.errors import FormatError
from nmap.grid import Grid, Shape, Triple
from nmap.machine.memory import require_memory
from nmap.model.block_siren import BlockSiren
from nmap.model.layers import F32, Array, Network
from nmap.model.radial_basis import RadialBasis
from nmap.point_group import PointGroup
from nmap.spectrum import Complex, Shells, transform

F64 = NDArray[np.float64]

# Lattice points whose folded position and envelope are held at once.
_BLOCK = 1 << 19
# Points of a band-limit lattice, check 14 of the format: some are free, so many more for each voxel of the grid.
_FREE_POINTS, _POINTS_PER_VOXEL = 1 << 20, 256
# Bytes for each lattice point while a spectrum is made and cut to the band, and for each copy of a site.
_LATTICE_BYTES, _COPY_BYTES = 12, 24


@dataclass(frozen=True, eq=False)
class Field:
    """What a file computes.

    Args:
        network: values from network coordinates.
        box: the source map's grid; the density is defined over its box and is `offset` outside.
        center: box fraction (z, y, x) where the network coordinates are 0.
        half_width: box fraction (z, y, x) from there to where they are 1.
        offset: solvent value, density units.
        scale: density units per unit of network output.
        band_limit: finest resolution held, Angstrom; None for the bare network.
        lattice: counts (z, y, x) of the sampling on which the band limit is applied; with a band limit only.
        gains: factor of each Fourier shell from 0 to the last one within the band limit; None for 1 in each.
        envelope: soft mask; None for none.
        symmetry: point group; None for C1.
        alignment: which grid other shapes mean: "box" (same box, sample 0 in place) or "corners" (first and
            last voxel centres in place).

    Raises:
        FormatError: parts that do not fit each other.
    """

    network: Network
    box: Grid
    center: Triple = (0.5, 0.5, 0.5)
    half_width: Triple = (0.5, 0.5, 0.5)
    offset: float = 0.0
    scale: float = 1.0
    band_limit: float | None = None
    lattice: Shape | None = None
    gains: F32 | None = None
    envelope: Envelope | None = None
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
        if isinstance(self.network, RadialBasis):
            self._check_radial(self.network)
        if isinstance(self.network, BlockSiren):
            if self.lattice is None:
                raise FormatError("a block-siren network without a band limit: wanted band_limit and lattice")
            self.network.check_lattice(self.lattice)
        if self.band_limit is not None and self.lattice is not None:
            self._check_band(self.band_limit, self.lattice)
        elif any(part is not None for part in (self.band_limit, self.lattice, self.gains)):
            raise FormatError("band limit, lattice and gains: wanted the first two together, or none of them")

    def _check_radial(self, network: RadialBasis) -> None:
        if self.band_limit is None:
            raise FormatError("a radial-basis network without a band limit: wanted band_limit and lattice")
        if network.shape != self.lattice:
            raise FormatError(
                f"radial-basis weights of shape {network.shape}: wanted the lattice, {self.lattice}"
            )
        if self.envelope is not None:
            raise FormatError("a radial-basis network with an envelope: wanted none, the file is damaged")

    def _check_band(self, band_limit: float, lattice: Shape) -> None:
        if not 1e-3 <= band_limit < math.inf:
            raise FormatError(f"band limit {band_limit} A: wanted a finite number from 0.001 up")
        object.__setattr__(self, "lattice", tuple(int(n) for n in lattice))
        if any(n <= 2 * k for n, k in zip(lattice, self.degree, strict=True)):
            raise FormatError(f"lattice {lattice} (z, y, x): too coarse for a band limit of {band_limit} A")
        most = tuple(32 + min(4 * k, 3 * max(self.box.shape)) for k in self.degree)
        points = _FREE_POINTS + _POINTS_PER_VOXEL * self.box.size
        if any(n > m for n, m in zip(lattice, most, strict=True)) or math.prod(lattice) > points:
            raise FormatError(
                f"lattice {lattice} (z, y, x): wanted at most {most}, and {points} points, for a band limit of "
                f"{band_limit} A and a grid of {self.box.shape}"
            )
        if isinstance(self.network, RadialBasis) and any(
            5 * n < 14 * k for n, k in zip(lattice, self.degree, strict=True)
        ):
            raise FormatError(
                f"lattice {lattice} (z, y, x): too coarse for radial-basis weights and {band_limit} A, "
                f"wanted 2.8 times {self.degree} at least"
            )
        count = self.last_shell + 1
        if self.gains is not None and self.gains.shape != (count,):
            raise FormatError(
                f"shell gains of shape {self.gains.shape}: wanted ({count},) for {band_limit} A"
            )
        if self.gains is not None and not np.isfinite(self.gains).all():
            raise FormatError("a shell gain is not finite: the file is damaged")

    @property
    def last_shell(self) -> int:
        """Index of the last Fourier shell within the band limit.

        Raises:
            FormatError: the field has no band limit.
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

    def lattice_values(self, progress: Callable[[float], None] | None = None) -> F32:
        """Sample m . u on the lattice, evaluated only where the envelope is above 0.

        Args:
            progress: called with the finished share, 0 to 1.

        Returns:
            float32 (z, y, x); the shape of `lattice_grid`.
        """
        if isinstance(self.network, BlockSiren):
            center, half_width = np.asarray(self.center), np.asarray(self.half_width)
            return self.network.lattice_values(
                self.lattice_grid, self.envelope, self.symmetry, center, half_width
            )
        z, y, x = (np.arange(n) / n for n in self.lattice_grid.shape)
        out = np.empty((z.size, y.size, x.size), np.float32)
        rows = max(1, _BLOCK // (y.size * x.size))
        for start in range(0, z.size, rows):
            out[start : start + rows] = self.product_on(z[start : start + rows], y, x)
            if progress is not None:
                progress(min(start + rows, z.size) / z.size)
        return out

    def product_on(self, z: F64, y: F64, x: F64) -> F32:
        """Value of m . u on the grid of these box fractions along each axis, (z.size, y.size, x.size)."""
        shape = (z.size, y.size, x.size)
        if self.envelope is None or self.symmetry is not None:
            fractions = np.stack(np.meshgrid(z, y, x, indexing="ij"), -1).reshape(-1, 3)
            return np.asarray(self.product_at(fractions).reshape(shape), np.float32)
        mask = self.envelope.on_axes(z, y, x).reshape(-1)
        inside = np.flatnonzero(mask)
        k, j, i = np.unravel_index(inside, shape)
        values = self.network(self._coordinates(np.stack((z[k], y[j], x[i]), -1)))
        out = np.zeros(mask.size, np.float32)
        out[inside] = values * mask[inside]
        return out.reshape(shape)

    def product_at(self, fractions: Array, dtype: type[np.floating] = np.float32) -> Array:
        """Value (n,) of m . u at box fractions (n, 3), (z, y, x); no network where m is 0."""
        places = np.asarray(fractions, np.float64)
        if self.envelope is None:
            return self.network(self._coordinates(self._fold(places)[0]), dtype)
        near = self._near(places)
        folded, _ = self._fold(places[near])
        mask = self.envelope.at(folded).astype(dtype)
        inside = np.flatnonzero(mask)
        out = np.zeros(len(places), dtype)
        out[near[inside]] = mask[inside] * self.network(self._coordinates(folded[inside]), dtype)
        return out

    def product_gradient_at(self, fractions: Array) -> tuple[F64, F64]:
        """Value (n,) of m . u and derivative per Angstrom along x, y, z (n, 3), at box fractions (n, 3)."""
        folded, index = self._fold(np.asarray(fractions, np.float64))
        value, slope = (
            np.asarray(v, np.float64) for v in self.network.value_and_gradient(self._coordinates(folded))
        )
        slope = slope / np.asarray(self.half_width)
        if self.envelope is not None:
            mask = self.envelope.at(folded).astype(np.float64)[:, None]
            slope = mask * slope + value[:, None] * self.envelope.gradient_at(folded)
            value = value * mask[:, 0]
        gradient = slope[:, ::-1] @ np.linalg.inv(self.box.box)
        if self.symmetry is not None:
            # The chain rule through R x: the gradient at the folded point, turned back by R's transpose.
            gradient = np.einsum("nij,ni->nj", self.symmetry.operators[index], gradient)
        return value, gradient

    def spectrum(self) -> Complex:
        """Half transform of g * (m . u) on the lattice, complex64, without offset and scale; kept once made.

        Raises:
            FormatError: the field has no band limit.
            LimitError: the lattice needs more memory than is free; nothing was taken.
        """
        return self._spectrum

    @cached_property
    def _spectrum(self) -> Complex:
        gains = np.ones(self.last_shell + 1, np.float32) if self.gains is None else self.gains
        self._require_memory()
        if isinstance(self.network, RadialBasis):
            out: Complex = self.network.spectrum(self.lattice_grid, self.symmetry)
        else:
            out = transform(self.lattice_values())
        out *= Shells(self.lattice_grid).spread(gains)
        return out

    def _require_memory(self) -> None:
        """Check that the spectrum, and all copies of a radial-basis network's sites, fit into memory."""
        wanted = _LATTICE_BYTES * self.lattice_grid.size
        if isinstance(self.network, RadialBasis) and self.symmetry is not None:
            wanted += _COPY_BYTES * self.symmetry.order * int(np.count_nonzero(self.network.weights))
        what = f"a band-limit lattice of {self.lattice_grid.shape} points (z, y, x)"
        require_memory(wanted, what, "free some, or decode on a machine with more")

    def _coordinates(self, fractions: F64) -> F64:
        return np.asarray((fractions - np.asarray(self.center)) / np.asarray(self.half_width))

    def _near(self, fractions: F64) -> NDArray[np.intp]:
        """Indices of the box fractions (n, 3) whose folded copy may lie in the envelope."""
        support = self._support
        if support is None or self.symmetry is None:
            return np.arange(len(fractions))
        apart = fractions[:, ::-1] @ self.box.box.T - np.asarray(self.symmetry.center)
        return np.flatnonzero(support.reaches(np.sqrt(np.einsum("ni,ni->n", apart, apart))))

    @cached_property
    def _support(self) -> RadialSupport | None:
        if self.envelope is None or self.symmetry is None:
            return None
        return self.envelope.radial_support(self.box, np.asarray(self.symmetry.center))

    def _fold(self, fractions: F64) -> tuple[F64, NDArray[np.intp]]:
        """Folded box fractions (n, 3), and the index of each one's operator (n,)."""
        if self.symmetry is None:
            return fractions, np.zeros(len(fractions), np.intp)
        shift = np.asarray(self.symmetry.center)
        box = self.box.box
        points, index = self.symmetry.fold(fractions[:, ::-1] @ box.T - shift)
        return ((points + shift) @ np.linalg.inv(box).T)[:, ::-1], index
