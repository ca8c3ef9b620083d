"""A density as the composition of network, envelope, symmetry, shell gains, offset and scale.

    density(x) = offset + scale * (g * (m . u))(x),    u(x) = network(t(S(x)))

With a band limit, `m . u` is sampled on a lattice over the whole box, its spectrum multiplied by the gain of
each Fourier shell and cut beyond the last one: the density is that trigonometric polynomial. Without one it
is `offset + scale * (m . u)` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.envelope import Envelope, RadialSupport
from nmap.errors import FormatError
from nmap.grid import Grid, Shape
from nmap.machine.memory import require_memory
from nmap.model.frame import Frame
from nmap.model.layers import F32, Array
from nmap.model.network import Network
from nmap.point_group import PointGroup
from nmap.spectrum import Complex, Shells, crop_spectrum, lattice_shape, transform

F64 = NDArray[np.float64]

# Lattice points whose folded position and envelope are held at once.
_BLOCK = 1 << 19
# Bytes for each lattice point while a spectrum is made and cut to the band.
_LATTICE_BYTES = 12
# The same where it is cut axis by axis.
_CUT_BYTES = 5


@dataclass(frozen=True, eq=False)
class Field:
    """What a file computes.

    Args:
        network: values from network coordinates.
        frame: where they lie, and what makes a density of them; its parts are attributes of the field too.
        gains: factor of each Fourier shell from 0 to the last one within the band limit; None for 1 in each.
        envelope: soft mask; None for none.

    Raises:
        FormatError: parts that do not fit each other.
    """

    network: Network
    frame: Frame
    gains: F32 | None = None
    envelope: Envelope | None = None

    def __post_init__(self) -> None:
        self.network.check_frame(self.band_limit, self.lattice, self.envelope is not None)
        if self.band_limit is not None and self.lattice is not None:
            self.network.check_lattice(self.lattice, self.degree, self.band_limit)
        if self.symmetry is not None and self.network.has_motion:
            raise FormatError(f"a motion in a map with symmetry {self.symmetry.name}: wanted one of them")
        if self.gains is None:
            return
        if self.band_limit is None:
            raise FormatError("gains without band limit and lattice: wanted all of them together")
        if self.gains.shape != (self.last_shell + 1,):
            raise FormatError(
                f"shell gains of shape {self.gains.shape}: wanted ({self.last_shell + 1},) for {self.band_limit} A"
            )
        if not np.isfinite(self.gains).all():
            raise FormatError("a shell gain is not finite: the file is damaged")

    @property
    def box(self) -> Grid:
        """The source map's grid."""
        return self.frame.box

    @property
    def offset(self) -> float:
        """Solvent value, density units."""
        return self.frame.offset

    @property
    def scale(self) -> float:
        """Density units per unit of network output."""
        return self.frame.scale

    @property
    def band_limit(self) -> float | None:
        """Finest resolution held, Angstrom; None for the bare network."""
        return self.frame.band_limit

    @property
    def resolution(self) -> float | None:
        """Finest resolution that a decode has, Angstrom: the band limit, or where a series moves that of its frames."""
        return self.network.moved_limit or self.band_limit

    @property
    def lattice(self) -> Shape | None:
        """Counts (z, y, x) of the sampling on which the band limit is applied."""
        return self.frame.lattice

    @property
    def symmetry(self) -> PointGroup | None:
        """Point group; None for C1."""
        return self.frame.symmetry

    @property
    def alignment(self) -> str:
        """Which grid other shapes mean: "box" or "corners"."""
        return self.frame.alignment

    @property
    def last_shell(self) -> int:
        """Index of the last Fourier shell within the band limit; see `Frame.last_shell`."""
        return self.frame.last_shell

    @property
    def degree(self) -> Shape:
        """Highest frequency within the last shell along (z, y, x), cycles per box."""
        return self.frame.degree

    @property
    def is_moved(self) -> bool:
        """Whether it is known as it was moved only: no other program or file can hold it."""
        return False

    @property
    def lattice_grid(self) -> Grid:
        """Where the band-limit lattice lies; the source's grid for a bare network."""
        return self.frame.lattice_grid

    def lattice_values(self, progress: Callable[[float], None] | None = None) -> F32:
        """Sample m . u on the lattice, evaluated only where the envelope is above 0.

        Args:
            progress: called with the finished share, 0 to 1.

        Returns:
            float32 (z, y, x); the shape of `lattice_grid`.
        """
        whole = self.network.on_lattice(self.frame, self.envelope)
        if whole is not None:
            return whole
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
        slope = slope / np.asarray(self.frame.half_width)
        if self.envelope is not None:
            mask = self.envelope.at(folded).astype(np.float64)[:, None]
            slope = mask * slope + value[:, None] * self.envelope.gradient_at(folded)
            value = value * mask[:, 0]
        gradient = slope[:, ::-1] @ np.linalg.inv(self.box.box)
        if self.symmetry is not None:
            # The chain rule through R x: the gradient at the folded point, turned back by R's transpose.
            gradient = np.einsum("nij,ni->nj", self.symmetry.operators[index], gradient)
        return value, gradient

    @property
    def band(self) -> Grid:
        """The coarsest sampling of the box that holds every shell within the band limit; none finer than the lattice.

        A lattice may be finer than that, where a kind of network needs it.
        """
        if self.band_limit is None:
            return self.lattice_grid
        least = lattice_shape(self.box, self.band_limit)
        z, y, x = (min(m, n) for m, n in zip(least, self.lattice_grid.shape, strict=True))
        return self.box.resampled((z, y, x))

    def spectrum(self) -> Complex:
        """Half transform of g * (m . u) on `band`, complex64, without offset and scale; kept once made.

        Raises:
            FormatError: the field has no band limit.
            LimitError: the lattice needs more memory than is free; nothing was taken.
        """
        return self._spectrum

    @cached_property
    def _spectrum(self) -> Complex:
        gains = np.ones(self.last_shell + 1, np.float32) if self.gains is None else self.gains
        self._require_memory()
        if self.network.has_lattice_values:
            out: Complex = crop_spectrum(
                transform(self.lattice_values()), self.lattice_grid.shape, self.band.shape
            )
        else:
            out = self.network.spectrum(self.lattice_grid, self.band.shape, self.symmetry)
        out *= Shells(self.band).spread(gains)
        return out

    def _require_memory(self) -> None:
        """Check that the spectrum fits into memory."""
        wanted = _LATTICE_BYTES * self.lattice_grid.size
        if not self.network.has_lattice_values:
            wanted += self.network.spectrum_bytes(self.symmetry)
            if self.symmetry is None:
                wanted = _CUT_BYTES * self.lattice_grid.size + _LATTICE_BYTES * self.band.size
        what = f"a band-limit lattice of {self.lattice_grid.shape} points (z, y, x)"
        require_memory(wanted, what, "free some, or decode on a machine with more")

    def _coordinates(self, fractions: F64) -> F64:
        return np.asarray((fractions - np.asarray(self.frame.center)) / np.asarray(self.frame.half_width))

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
