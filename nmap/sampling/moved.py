"""The field of a moving molecule at a position of its axis: the density at rest, sampled where each point came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nmap.grid import Grid
from nmap.model.field import Field
from nmap.model.motion import Motion
from nmap.sampling.polynomial import Polynomial
from nmap.spectrum import Complex, Shells, crop_spectrum, transform

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MovedField(Field):
    """A field whose density at x is that of `still` at x - d(x).

    It is taken on the band-limit lattice, and is the polynomial through that, within the band limit. The density at
    rest may hold finer detail: where parts stretch it becomes coarser, and would be cut off.

    Args:
        still: at rest.
        motion: d.
        speed: derivative of d by the position, where this is the derivative of a field by the position.
        of: what that is the derivative of, at rest.
    """

    still: Field | None = None
    motion: Motion | None = None
    speed: Motion | None = None
    of: Field | None = None

    @staticmethod
    def make(
        still: Field, motion: Motion, speed: Motion | None = None, of: Field | None = None
    ) -> MovedField:
        """The moved field of one at rest; the motion says its band limit."""
        frame = replace(still.frame, band_limit=motion.limit)
        return MovedField(still.network, frame, None, still.envelope, still, motion, speed, of)

    @property
    def is_moved(self) -> bool:
        """Whether it is known as it was moved only: no other program or file can hold it."""
        return True

    @cached_property
    def _spectrum(self) -> Complex:
        assert self.still is not None and self.motion is not None
        values = moved_values(_polynomial(self.still), self.motion, self.lattice_grid)
        if self.speed is not None and self.of is not None:
            values -= self._carried(self.motion, self.speed, self.of)
        return self.spectrum_of(values)

    def spectrum_of(self, values: F32) -> Complex:
        """Half transform on `band` of values on the lattice (z, y, x), within the band limit, complex64."""
        out: Complex = crop_spectrum(transform(values), self.lattice_grid.shape, self.band.shape)
        out *= Shells(self.band).spread(np.ones(self.last_shell + 1, np.float32))
        return out

    def _carried(self, motion: Motion, speed: Motion, field: Field) -> F32:
        """What the density loses at each point as it is carried on: its gradient there times the speed."""
        shape, inverse = self.lattice_grid.shape, np.linalg.inv(self.box.box)
        polynomial = _polynomial(field)
        out = np.zeros(shape, np.float32)
        for axis in range(3):
            slope = polynomial.derivative(axis)
            for part, places in motion.places(self.box, shape):
                along = (speed.on_planes(shape, part) @ inverse.T)[..., 2 - axis]
                out[part] += slope.at(places).reshape(along.shape) * along.astype(np.float32)
        return out


def _polynomial(field: Field) -> Polynomial:
    return Polynomial.of(field.spectrum(), field.band.shape, field.degree)


def moved_values(
    polynomial: Polynomial,
    motion: Motion,
    lattice: Grid,
    values: Callable[[Polynomial, F64], F32] = Polynomial.at,
) -> F32:
    """A polynomial's values where the points of a lattice over its box came from, float32 (z, y, x).

    Args:
        polynomial: at rest.
        motion: displacements.
        lattice: where.
        values: gives those of a polynomial at box fractions (n, 3), (n,).
    """
    out = np.empty(lattice.shape, np.float32)
    for part, places in motion.places(lattice, lattice.shape):
        out[part] = values(polynomial, places).reshape(out[part].shape)
    return out


def moved_envelope(field: MovedField, grid: Grid) -> F32 | None:
    """The envelope on a grid over the box, moved as the density is, (z, y, x); None without one."""
    if field.envelope is None or field.motion is None:
        return None
    out = np.empty(grid.shape, np.float32)
    for part, places in field.motion.places(field.box, grid.shape):
        out[part] = field.envelope.at(places).reshape(out[part].shape)
    return out
