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
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy.fft as sf
from numpy.typing import NDArray

from nmap.coding.codings import MAX_LATTICE_POINTS, MAX_OCCUPANCY_NODES
from nmap.coding.lattice import SITES
from nmap.coding.lattice_contexts import BLOCK
from nmap.errors import FormatError, LimitError
from nmap.grid import Grid, Shape
from nmap.machine.compiled import Loop
from nmap.machine.threads import workers
from nmap.model.layers import F32
from nmap.model.network import Cost, Network
from nmap.point_group import PointGroup
from nmap.spectrum import Planes, crop_spectrum, transform_planes
from nmap.spectrum.spreading import SpreadingKernel

F64 = NDArray[np.float64]
C64 = NDArray[np.complex64]
I64 = NDArray[np.int64]
Weights = NDArray[np.float32] | NDArray[np.int8]

# Spreads centres that fall between lattice points, for an oversampling of 1.4 (Barnett, Magland, af Klinteberg 2019,
# eq. 3.6).
SPREADING = SpreadingKernel(width=8, steepness=0.976 * np.pi * (1 - 1 / (2 * 1.4)))
# Bytes for each site while a spectrum is made: its place in the lattice and its weight.
_SITE_BYTES = 40
# Sites that are turned at once, and sites whose kernels are added at once: a few MB, as a processor's cache holds.
_PART = 1 << 16
_SPREAD = 1 << 11
# The body-centred lattice's unit cell is sqrt(1/2) / radius wide: 2 sqrt(2) fine steps for each shell.
_STEPS_PER_SHELL = 2 * math.sqrt(2)
# Memory of a search for each point of the fine lattice, and for each point where sites may lie: 8.8 a point in all were
# measured for a molecule at 800^3, 10.6 for a tomogram without an envelope.
_FITTING = (8, 3)
# What a copy counts for among the steps of loops: it takes some 4 microseconds without numba, 1 with it.
_SPREADING_STEPS = 10
# Copies of sites that are added at most, and those that any lattice may have. No lattice has more than its own sites:
# a group's copies of a part of them fill it at most once.
MAX_COPIES = 1 << 24
_FREE_COPIES = 1 << 16


@dataclass(frozen=True, eq=False)
class RadialBasis(Network):
    """Weights on a fine lattice, of which the sites with all indices even or all odd may be set.

    Args:
        weights: usually whole numbers, int8 or float32 (z, y, x) over the box; site (k, j, i) of (K, J, I)
            lies at box fraction (k/K, j/J, i/I). Counts are multiples of 4.

    Raises:
        FormatError: not three axes, or counts that are not multiples of 4.
    """

    weights: Weights
    kind: ClassVar[str] = "radial-basis"
    tensor_names: ClassVar[tuple[str, ...]] = ("weights",)
    has_point_values: ClassVar[bool] = False
    has_lattice_values: ClassVar[bool] = False
    trainer: ClassVar[str] = "nmap.fit.bumps.fit:fit_bumps"
    # bench/results: EMD-3488 and EMD-11007 at 0.9 and 0.98, EMD-3488 at 0.995.
    cost: ClassVar[Cost | None] = Cost(bits=0.85, bits_power=1.7, seconds=1.8e-4, seconds_power=1.4)
    options: ClassVar[tuple[str, ...]] = (
        "max_bytes",
        "ratio",
        "effort",
        "checkpoint",
        "symmetry",
        "symmetry_threshold",
        "force_symmetry",
        "half1",
        "half2",
        "cross_validate",
    )

    def __post_init__(self) -> None:
        if self.weights.ndim != 3 or any(n % 4 or not n for n in self.weights.shape):
            raise FormatError(
                f"radial-basis weights of shape {self.weights.shape}: wanted three multiples of 4"
            )

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The weights."""
        return {"weights": self.weights}

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
    def parameters(self) -> int:
        """Weights that are not zero."""
        return int(np.count_nonzero(self.weights))

    def check_frame(self, band_limit: float | None, lattice: Shape | None, has_envelope: bool) -> None:
        """Check that there is a band limit on the weights' own lattice, and no envelope.

        Raises:
            FormatError: it is otherwise.
        """
        if band_limit is None:
            raise FormatError("a radial-basis network without a band limit: wanted band_limit and lattice")
        if self.shape != lattice:
            raise FormatError(f"radial-basis weights of shape {self.shape}: wanted the lattice, {lattice}")
        if has_envelope:
            raise FormatError("a radial-basis network with an envelope: wanted none, the file is damaged")

    @classmethod
    def too_large(cls, box: Grid, band_limit: float, inside: float) -> str | None:
        """More lattice points or sites than the lattice coding holds; arguments as `Network.too_large`."""
        shape = sites_lattice(box, band_limit)
        points = math.prod(shape)
        if points > MAX_LATTICE_POINTS or math.prod(-(-n // BLOCK) for n in shape) > MAX_OCCUPANCY_NODES:
            return (
                f"a lattice of {_by(shape)} points (z, y, x), {points}: wanted at most {MAX_LATTICE_POINTS}"
            )
        sites, most = int(inside * points / 4), most_sites(shape)
        return None if sites <= most else f"{sites} sites: wanted at most {most}"

    @classmethod
    def fitting_bytes(cls, box: Grid, band_limit: float, inside: float) -> int:
        """Memory that a search takes beside the map, reckoned; arguments as in `too_large`."""
        points = math.prod(sites_lattice(box, band_limit))
        return int(points * (_FITTING[0] + inside * _FITTING[1]))

    def check_lattice(self, lattice: Shape, degree: Shape, band_limit: float) -> None:
        """Check that the lattice has 2.8 points for each frequency at least.

        Raises:
            FormatError: it is too coarse.
        """
        if any(5 * n < 14 * k for n, k in zip(lattice, degree, strict=True)):
            raise FormatError(
                f"lattice {lattice} (z, y, x): too coarse for radial-basis weights and {band_limit} A, "
                f"wanted 2.8 times {degree} at least"
            )

    @property
    def shape(self) -> Shape:
        """Counts of the fine lattice (z, y, x)."""
        nz, ny, nx = self.weights.shape
        return (nz, ny, nx)

    def spectrum(self, box: Grid, to: Shape, symmetry: PointGroup | None = None) -> C64:
        """Half transform of u, complex64, exact to 1e-5 within 0.7 of the fine lattice's Nyquist.

        Args:
            box: the box that the lattice spans.
            to: sampling (z, y, x) that the transform on the fine lattice is cropped to.
            symmetry: point group whose copies are added; None for C1.
        """
        if symmetry is None or symmetry.order == 1:
            return np.asarray(transform_planes(Planes.of(self.weights), to), np.complex64)
        sites = np.stack(np.nonzero(self.weights), -1)
        weights = np.asarray(self.weights[tuple(sites.T)], np.float32)
        return crop_spectrum(centres_spectrum(sites, weights, self.shape, box, symmetry), self.shape, to)

    def spectrum_bytes(self, symmetry: PointGroup | None) -> int:
        """Memory that the sites take beside the lattice.

        Raises:
            LimitError: more copies of sites than a map has, or than can be added in a minute.
        """
        if symmetry is None:
            return 0
        copies, most = (
            symmetry.order * self.parameters,
            min(MAX_COPIES, max(_FREE_COPIES, math.prod(self.shape) // 4)),
        )
        if copies > most:
            raise LimitError(
                f"{self.parameters} sites in {symmetry.order} copies each ({symmetry.name}): at most {most} are added: "
                "no map of this size is stored so"
            )
        return _SITE_BYTES * self.parameters


def sites_lattice(box: Grid, band_limit: float) -> Shape:
    """Counts (z, y, x), multiples of 4, of the lattice whose sites carry the shells within a band limit (Angstrom)."""
    width = 1 / max(box.edges)
    radius = (int(1 / (band_limit * width) + 1e-6) + 0.5) * width
    z, y, x = (
        4 * sf.next_fast_len(math.ceil(_STEPS_PER_SHELL * radius * edge / 4), True)
        for edge in box.edges[::-1]
    )
    return z, y, x


def most_sites(shape: Shape) -> int:
    """Sites on which a search may place weights: whole blocks of them count when they are coded."""
    every = math.prod(shape) // 4
    return every if every <= SITES.most else SITES.most // 2


def _by(shape: Shape) -> str:
    return " x ".join(str(n) for n in shape)


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
    spread = Spread(sites, shape, box, symmetry)
    out = np.asarray(sf.rfftn(spread.forward(weights), workers=workers()), np.complex64)
    for axis, factors in enumerate(spread.sharpening):
        out *= factors.reshape([-1 if a == axis else 1 for a in range(3)])
    return out


@dataclass(frozen=True, eq=False)
class Spread:
    """Adds weighted centres and all their copies to a lattice, and the adjoint of that.

    Args:
        sites: lattice indices (n, 3), (z, y, x).
        shape: counts of the lattice (z, y, x) over the box.
        box: the box that the lattice spans.
        symmetry: point group.
    """

    sites: NDArray[np.integer]
    shape: Shape
    box: Grid
    symmetry: PointGroup

    @cached_property
    def on_sites(self) -> bool:
        """Whether all copies fall on lattice points."""
        return all(
            _are_whole(places) for _, places in _turned(self.sites, self.shape, self.box, self.symmetry)
        )

    @property
    def sharpening(self) -> list[F32]:
        """Factors by frequency along (z, y, x) of the half transform, that undo the kernel; none on lattice points."""
        return [] if self.on_sites else _sharpening(self.shape)

    def forward(self, weights: NDArray[np.floating]) -> F32:
        """The lattice (z, y, x) of weights (n,)."""
        volume = np.zeros(self.shape, np.float32)
        for part, places in _turned(self.sites, self.shape, self.box, self.symmetry):
            if self.on_sites:
                np.add.at(volume, self._whole(places), weights[part])
            else:
                _spread(volume, places, weights[part])
        return volume

    def adjoint(self, volume: F32) -> F32:
        """Sum (n,) of a lattice's values at the copies of each centre, by the same kernel."""
        out = np.zeros(len(self.sites), np.float32)
        for part, places in _turned(self.sites, self.shape, self.box, self.symmetry):
            if self.on_sites:
                out[part] += volume[self._whole(places)]
                continue
            out[part] += _gather(volume, places)
        return out

    def _whole(self, places: F64) -> tuple[NDArray[np.int64], ...]:
        z, y, x = np.mod(np.rint(places).astype(np.int64), np.asarray(self.shape)).T
        return z, y, x


def copies_of(
    sites: NDArray[np.integer], shape: Shape, box: Grid, symmetry: PointGroup
) -> tuple[list[F64], bool]:
    """Lattice places (n, 3) of all copies, and whether all fall on lattice points."""
    copies = [turn_sites(sites, shape, box, symmetry, operator) for operator in symmetry.operators]
    return copies, all(_are_whole(places) for places in copies)


def _turned(
    sites: NDArray[np.integer], shape: Shape, box: Grid, symmetry: PointGroup
) -> Iterator[tuple[slice, F64]]:
    """Lattice places of all copies, copy by copy and some sites at a time: which sites, and their places."""
    for operator in symmetry.operators:
        for start in range(0, len(sites), _PART):
            part = slice(start, start + _PART)
            yield part, turn_sites(sites[part], shape, box, symmetry, operator)


def _are_whole(places: F64) -> bool:
    return bool(np.abs(places - np.rint(places)).max(initial=0) < 1e-6)


def _sharpening(shape: Shape) -> list[F32]:
    """One over the transform of the spreading kernel, by frequency along (z, y, x) of a half transform."""
    frequencies = (sf.rfftfreq(n) if axis == 2 else sf.fftfreq(n) for axis, n in enumerate(shape))
    return [(1 / SPREADING.transform(np.asarray(k, np.float64))).astype(np.float32) for k in frequencies]


def turn_sites(
    sites: NDArray[np.integer] | F64, shape: Shape, box: Grid, symmetry: PointGroup, operator: F64
) -> F64:
    """Lattice places (n, 3), (z, y, x), of sites turned about the symmetry centre."""
    count = np.asarray(shape, np.float64)
    centre = np.asarray(symmetry.center)
    points = (np.asarray(sites / count)[:, ::-1] @ box.box.T - centre) @ operator.T + centre
    return np.ascontiguousarray((points @ np.linalg.inv(box.box).T)[:, ::-1] * count)


def _kernels(shape: Shape, places: F64) -> tuple[I64, I64, I64, F32, F32, F32]:
    """Kernels around places (n, 3), lattice steps: places on the lattice's line by axis, to be added, and values.

    Each is (n, w): first the places along z, y and x, then the values.
    """
    base = np.ceil(places - SPREADING.width / 2).astype(np.int64)
    offsets = np.arange(SPREADING.width)
    wz, wy, wx = (
        SPREADING.values(places[:, a, None] - base[:, a, None] - offsets).astype(np.float32) for a in range(3)
    )
    _, ny, nx = shape
    z, y, x = (np.mod(base[:, a, None] + offsets, n) for a, n in enumerate(shape))
    return z * (ny * nx), y * nx, x, wz, wy, wx


def _spread(volume: F32, places: F64, weights: NDArray[np.floating]) -> None:
    """Add a kernel around each place (n, 3) in lattice steps to a periodic volume."""
    run, compiled = _LOOP.chosen(_SPREADING_STEPS * len(places))
    add = run if compiled else _add_kernels
    nz, ny, nx = volume.shape
    z, y, x, wz, wy, wx = _kernels((nz, ny, nx), places)
    wz *= np.asarray(weights, np.float32)[:, None]
    add(volume.reshape(-1), z, y, x, wz, wy, wx)


def _gather(volume: F32, places: F64) -> F32:
    """Sum (n,) of a periodic volume times the kernel around each place (n, 3) in lattice steps."""
    nz, ny, nx = volume.shape
    z, y, x, wz, wy, wx = _kernels((nz, ny, nx), places)
    line, out = volume.reshape(-1), np.empty(len(places), np.float32)
    for start in range(0, len(places), _SPREAD):
        part = slice(start, start + _SPREAD)
        flat = (z[part, :, None] + y[part, None, :])[..., None] + x[part, None, None, :]
        out[part] = np.einsum("nzyx,nz,ny,nx->n", line[flat], wz[part], wy[part], wx[part])
    return out


def _add_kernels(line: F32, z: I64, y: I64, x: I64, wz: F32, wy: F32, wx: F32) -> None:
    """Add kernels (n, w) along each axis, as outer products, at the sum of the axes' places (n, w) on a line."""
    for start in range(0, len(z), _SPREAD):
        part = slice(start, start + _SPREAD)
        flat = (z[part, :, None] + y[part, None, :])[..., None] + x[part, None, None, :]
        value = (wz[part, :, None] * wy[part, None, :])[..., None] * wx[part, None, None, :]
        np.add.at(line, flat.reshape(-1), value.reshape(-1))


def _add_kernels_by_number(line: F32, z: I64, y: I64, x: I64, wz: F32, wy: F32, wx: F32) -> None:
    """As `_add_kernels`, to the same bits, for numba."""
    n, width = z.shape
    for i in range(n):
        for a in range(width):
            for b in range(width):
                row, share = z[i, a] + y[i, b], wz[i, a] * wy[i, b]
                for c in range(width):
                    line[row + x[i, c]] += share * wx[i, c]


_PLACES, _SHARES = ", ".join(["i8[:, ::1]"] * 3), ", ".join(["f4[:, ::1]"] * 3)
_LOOP = Loop(_add_kernels_by_number, f"void(f4[::1], {_PLACES}, {_SHARES})")
