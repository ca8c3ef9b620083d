"""Radial basis function network: one band-limited bump of whole-number weight on each site of a lattice.

    u(x) = sum over sites i, and over the copies R of each under the point group, of w_i delta(x - R x_i)

so that the field g * u is a sum of equal radial functions, whose shape is the Fourier transform of the shell
gains g. Broomhead and Lowe, "Multivariable functional interpolation and adaptive networks", Complex Systems 2
(1988) 321; centres on a body-centred cubic lattice, the thinnest sampling of a band-limited volume: Petersen
and Middleton, "Sampling and reconstruction of wave-number-limited functions in N-dimensional Euclidean
spaces", Information and Control 5 (1962) 279.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.fft as sf
from numpy.typing import DTypeLike, NDArray

from nmap.errors import FormatError
from nmap.grid import Grid, Shape
from nmap.machine.threads import workers
from nmap.model.layers import F32, Array
from nmap.point_group import PointGroup

F64 = NDArray[np.float64]
C64 = NDArray[np.complex64]
Weights = NDArray[np.float32] | NDArray[np.int8]

# Spreading of centres that fall between lattice points: width in fine steps, and how steep the kernel falls
# there (exponential of semicircle for an oversampling of 1.4; Barnett, Magland, af Klinteberg 2019, eq. 3.6).
SPREAD_WIDTH = 8
SPREAD_STEEPNESS = 0.976 * np.pi * (1 - 1 / (2 * 1.4)) * SPREAD_WIDTH


@dataclass(frozen=True, eq=False)
class RadialBasis:
    """Weights on a fine lattice, of which the sites with all indices even or all odd may be set.

    Args:
        weights: usually whole numbers, int8 or float32 (z, y, x) over the box; site (k, j, i) of (K, J, I)
            lies at box fraction (k/K, j/J, i/I). Counts are multiples of 4.

    Raises:
        FormatError: not three axes, or counts that are not multiples of 4.
    """

    weights: Weights
    kind: ClassVar[str] = "radial-basis"

    def __post_init__(self) -> None:
        if self.weights.ndim != 3 or any(n % 4 or not n for n in self.weights.shape):
            raise FormatError(
                f"radial-basis weights of shape {self.weights.shape}: wanted three multiples of 4"
            )

    def __call__(self, t: Array, dtype: DTypeLike = np.float32) -> Array:
        """Never: the network is known through its band limit only."""
        raise FormatError("a radial-basis network has no values without a band limit: the file is damaged")

    def value_and_gradient(self, t: Array, dtype: DTypeLike = np.float64) -> tuple[Array, Array]:
        """Never: see `__call__`."""
        raise FormatError("a radial-basis network has no values without a band limit: the file is damaged")

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The weights."""
        return {"weights": self.weights}

    def settings(self) -> dict[str, Any]:
        """Nothing beside the weights."""
        return {}

    @staticmethod
    def build(settings: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> RadialBasis:
        """The network of a file.

        Raises:
            FormatError: also a weight beside the sites.
        """
        network = RadialBasis(tensors["weights"])
        for z, y, x in itertools.product((0, 1), repeat=3):
            if not z == y == x and network.weights[z::2, y::2, x::2].any():
                raise FormatError("radial-basis weight beside the sites: wanted indices all even or all odd")
        return network

    @property
    def shape(self) -> Shape:
        """Counts of the fine lattice (z, y, x)."""
        nz, ny, nx = self.weights.shape
        return (nz, ny, nx)

    def spectrum(self, box: Grid, symmetry: PointGroup | None = None) -> C64:
        """Half transform of u on the fine lattice, complex64, exact to 1e-5 within 0.7 of its Nyquist.

        Args:
            box: the box that the lattice spans.
            symmetry: point group whose copies are added; None for C1.
        """
        if symmetry is None or symmetry.order == 1:
            weights = np.asarray(self.weights, np.float32)
            return np.asarray(sf.rfftn(weights, workers=workers()), np.complex64)
        sites = np.stack(np.nonzero(self.weights), -1)
        weights = np.asarray(self.weights[tuple(sites.T)], np.float32)
        return centres_spectrum(sites, weights, self.shape, box, symmetry)


def centres_spectrum(
    sites: NDArray[np.integer], weights: NDArray[np.floating], shape: Shape, box: Grid, symmetry: PointGroup
) -> C64:
    """Half transform on the lattice `shape` of weighted centres and all their copies.

    Args:
        sites: lattice indices (n, 3), (z, y, x).
        weights: (n,).
        shape: counts of the lattice (z, y, x) over the box.
        box: the box that the lattice spans.
        symmetry: point group.
    """
    copies, on_sites = copies_of(sites, shape, box, symmetry)
    volume = np.zeros(shape, np.float32)
    for places in copies:
        if on_sites:
            z, y, x = np.mod(np.rint(places).astype(np.int64), np.asarray(shape)).T
            np.add.at(volume, (z, y, x), weights)
        else:
            _spread(volume, places, weights)
    out = np.asarray(sf.rfftn(volume, workers=workers()), np.complex64)
    return out if on_sites else _sharpened(out, shape)


def mean_over_copies(
    half: C64, sites: NDArray[np.integer], shape: Shape, box: Grid, symmetry: PointGroup
) -> F64:
    """Mean of a field over all copies of each site, (n,): the adjoint of `centres_spectrum`.

    Args:
        half: transform on the lattice (its sum of waves is the field); 0 beyond 0.7 of the lattice's Nyquist.
        sites: lattice indices (n, 3), (z, y, x).
        shape: counts of the lattice (z, y, x) over the box.
        box: the box that the lattice spans.
        symmetry: point group.
    """
    sharp = _sharpened(half.copy(), shape)
    volume = np.asarray(sf.irfftn(sharp, s=shape, norm="forward", workers=workers()), np.float32).reshape(-1)
    total = np.zeros(len(sites))
    copies, _ = copies_of(sites, shape, box, symmetry)
    for places in copies:
        for part, flat, share in _footprints(shape, places):
            total[part] += np.einsum("nzyx,nzyx->n", volume[flat], share)
    return total / len(copies)


def copies_of(
    sites: NDArray[np.integer], shape: Shape, box: Grid, symmetry: PointGroup
) -> tuple[list[F64], bool]:
    """Lattice places (n, 3) of all copies, and whether all fall on lattice points."""
    copies = [turn_sites(sites, shape, box, symmetry, operator) for operator in symmetry.operators]
    return copies, all(np.abs(places - np.rint(places)).max(initial=0) < 1e-6 for places in copies)


def _sharpened(half: C64, shape: Shape) -> C64:
    """A half transform divided by that of the spreading kernel, in place."""
    for axis, n in enumerate(shape):
        k = sf.rfftfreq(n) if axis == 2 else sf.fftfreq(n)
        inverse = (1 / spread_transform(np.asarray(k, np.float64))).astype(np.float32)
        half *= inverse.reshape([-1 if a == axis else 1 for a in range(3)])
    return half


def turn_sites(
    sites: NDArray[np.integer] | F64, shape: Shape, box: Grid, symmetry: PointGroup, operator: F64
) -> F64:
    """Lattice places (n, 3), (z, y, x), of sites turned about the symmetry centre."""
    count = np.asarray(shape, np.float64)
    centre = np.asarray(symmetry.center)
    points = (np.asarray(sites / count)[:, ::-1] @ box.box.T - centre) @ operator.T + centre
    return np.ascontiguousarray((points @ np.linalg.inv(box.box).T)[:, ::-1] * count)


def _spread(volume: F32, places: F64, weights: NDArray[np.floating]) -> None:
    """Add a kernel around each place (n, 3) in lattice steps to a periodic volume."""
    line = volume.reshape(-1)
    shape = (volume.shape[0], volume.shape[1], volume.shape[2])
    for part, flat, share in _footprints(shape, places):
        value = share * weights[part, None, None, None]
        np.add.at(line, flat.reshape(-1), value.astype(np.float32).reshape(-1))


def _footprints(shape: Shape, places: F64) -> Iterator[tuple[slice, NDArray[np.int64], F64]]:
    """Places in parts, and the lattice points (flat) and values (n, w, w, w) of the kernel around each."""
    base = np.ceil(places - SPREAD_WIDTH / 2).astype(np.int64)
    offsets = np.arange(SPREAD_WIDTH)
    wz, wy, wx = (_kernel(places[:, a, None] - base[:, a, None] - offsets) for a in range(3))
    _, ny, nx = shape
    z, y, x = (np.mod(base[:, a, None] + offsets, n) for a, n in enumerate(shape))
    for start in range(0, len(places), 1 << 13):
        part = slice(start, start + (1 << 13))
        flat = (z[part, :, None, None] * ny + y[part, None, :, None]) * nx + x[part, None, None, :]
        yield part, flat, wz[part, :, None, None] * wy[part, None, :, None] * wx[part, None, None, :]


def _kernel(distance: F64) -> F64:
    """Exponential of semicircle at a distance in lattice steps, 0 beyond half the width."""
    inside = np.maximum(1 - (distance * (2 / SPREAD_WIDTH)) ** 2, 0)
    return np.asarray(np.exp(SPREAD_STEEPNESS * (np.sqrt(inside) - 1)) * (inside > 0))


def spread_transform(frequency: F64) -> F64:
    """Fourier transform of the kernel at frequencies in cycles per lattice step, by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    at = nodes * (SPREAD_WIDTH / 2)
    return np.asarray(
        np.cos(2 * np.pi * np.outer(frequency, at)) @ (weights * _kernel(at)) * (SPREAD_WIDTH / 2)
    )
