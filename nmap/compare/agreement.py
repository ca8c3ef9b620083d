"""Measures of how well two maps agree, each a function of arrays: voxels, place, band limit, symmetry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nmap.errors import GridError
from nmap.grid import Grid, Triple
from nmap.maps import DensityMap
from nmap.point_group import PointGroup
from nmap.spectrum import Complex, Planes, ShellCurve, Shells, ShellSums, squared, transform_cut

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

INFORMATIVE = 0.143
"""Shells whose FSC on the grid lies below this hold too little to compare a ratio of."""

SYMMETRY_POINTS = 20_000

PSNR_PEAK = "maximum minus minimum of the source"


@dataclass(frozen=True)
class RealSpace:
    """Voxel against voxel, over the whole box and in and out of an envelope.

    Attributes:
        rmse: root mean square of decoded minus source, in the map's own units.
        rmse_inside: the same where the envelope exceeds one half; None without an envelope.
        max_error: largest absolute difference.
        psnr: 20 log10(peak / rmse) in decibel, peak as in `PSNR_PEAK`; infinite for equal maps.
        correlation: Pearson correlation over the whole box.
        correlation_inside: inside the envelope.
        correlation_outside: outside it.
        inside_fraction: share of the box that lies inside.
        slope: least-squares factor from the source to the decoded map, about both means; 1 keeps contrast.
        mean_source: mean density.
        mean_decoded: mean density.
    """

    rmse: float
    rmse_inside: float | None
    max_error: float
    psnr: float
    correlation: float
    correlation_inside: float | None
    correlation_outside: float | None
    inside_fraction: float | None
    slope: float
    mean_source: float
    mean_decoded: float

    ALSO: ClassVar = ("psnr_peak",)

    @property
    def psnr_peak(self) -> str:
        """What the peak of the PSNR is."""
        return PSNR_PEAK


@dataclass(frozen=True)
class BandLimit:
    """What lies beyond the frequency above which the file claims nothing.

    Attributes:
        limit: Angstrom.
        beyond_decoded: share of the decoded map's power (without the zero mode) beyond the last shell
            within it.
        beyond_source: the same of the source: what the limit left out.
    """

    limit: float
    beyond_decoded: float
    beyond_source: float


@dataclass(frozen=True, eq=False)
class Finer:
    """A decode at a finer sampling of a box, made in slabs: it may be much larger than the source.

    Attributes:
        grid: where it lies.
        planes: its values.
    """

    grid: Grid
    planes: Planes

    @staticmethod
    def of(density: DensityMap) -> Finer:
        """Of a map in memory."""
        return Finer(density.grid, Planes.of(density.values))


@dataclass(frozen=True)
class OffGrid:
    """A decode at twice the sampling against the Fourier-upsampled source.

    Attributes:
        curve: fidelity FSC of the doubled decode to the source's Nyquist.
        lowest_ratio: smallest ratio of its shells to those of the decode on the source's own grid, to the
            resolution; None where no shell there is good enough to take a ratio of.
        power_beyond: share of its power (without the zero mode) beyond the band limit, or beyond the source's
            Nyquist if the file has none.
        shift: displacement of the doubled decode from the decode on the grid, voxels of the source (x, y, z).
    """

    curve: ShellCurve
    lowest_ratio: float | None
    power_beyond: float
    shift: Triple

    RENAMED: ClassVar = {"shift": "shift_xyz"}
    WHAT: ClassVar = "decode at twice the sampling against the Fourier-upsampled source"


@dataclass(frozen=True)
class Symmetry:
    """How well the density agrees with itself under the operators of a point group.

    Attributes:
        group: its name.
        decoded: lowest correlation over the operators, of the decoded map.
        source: the same of the source.
        points: how many sample points were compared.
    """

    group: str
    decoded: float
    source: float
    points: int


def compare_voxels(decoded: F32, source: F32, envelope: Planes | None = None) -> RealSpace:
    """Voxel-by-voxel agreement of two volumes (z, y, x), in double precision, plane by plane."""
    means = float(decoded.mean(dtype=np.float64)), float(source.mean(dtype=np.float64))
    inside, outside = np.zeros(6), np.zeros(6)
    worst = 0.0
    for planes, within in _within(decoded.shape, envelope):
        for z, chosen in enumerate(within, planes.start):
            d, s = decoded[z].astype(np.float64), source[z].astype(np.float64)
            worst = max(worst, float(np.abs(d - s).max()))
            d, s = d - means[0], s - means[1]
            inside += _moments(d[chosen], s[chosen])
            outside += _moments(d[~chosen], s[~chosen])
    every = inside + outside
    offset = means[0] - means[1]
    rmse = _rmse(every, offset)
    peak = float(source.max()) - float(source.min())
    some = envelope is not None and inside[0] > 0
    return RealSpace(
        rmse=rmse,
        rmse_inside=_rmse(inside, offset) if some else None,
        max_error=worst,
        psnr=float("inf") if rmse == 0 else 20 * float(np.log10(max(peak, 1e-300) / rmse)),
        correlation=_pearson(every),
        correlation_inside=_pearson(inside) if some else None,
        correlation_outside=_pearson(outside) if some and outside[0] > 0 else None,
        inside_fraction=float(inside[0] / every[0]) if some else None,
        slope=float(every[5] / every[4]) if every[4] > 0 else float("nan"),
        mean_source=means[1],
        mean_decoded=means[0],
    )


def _within(shape: tuple[int, ...], envelope: Planes | None) -> Iterator[tuple[slice, NDArray[np.bool_]]]:
    """Planes along z, and which of their voxels lie inside."""
    if envelope is not None:
        yield from ((planes, slab > 0.5) for planes, slab in envelope.slabs())
        return
    yield slice(0, shape[0]), np.broadcast_to(np.False_, shape)


def _moments(d: F64, s: F64) -> F64:
    """Count, sums and sums of products: n, d, s, dd, ss, ds."""
    # Not by BLAS, whose threads wait on one another for 20 ms a call when other work holds the cores.
    return np.array(
        [d.size, d.sum(), s.sum(), *(np.einsum("i,i", a, b) for a, b in ((d, d), (s, s), (d, s)))]
    )


def _pearson(m: F64) -> float:
    n, d, s, dd, ss, ds = m
    norm = (dd - d * d / n) * (ss - s * s / n)
    return float((ds - d * s / n) / np.sqrt(norm)) if norm > 0 else float("nan")


def _rmse(m: F64, offset: float) -> float:
    """Root mean square of d - s, whose means apart from the moments' differ by `offset`."""
    n, d, s, dd, ss, ds = m
    square = (dd + ss - 2 * ds) / n + 2 * offset * (d - s) / n + offset**2
    return float(np.sqrt(max(square, 0.0)))


def displacement(fa: Complex, fb: Complex, grid: Grid) -> Triple:
    """How far the first map is displaced from the second, voxels (x, y, z), from their half transforms.

    One Newton step to the top of the cross correlation, whose gradient and curvature at zero shift are sums
    over the modes; exact in the limit of small shifts, good to a few per cent at a quarter of a voxel.
    """
    return _top(_slopes(fa, fb, Shells(grid)))


def _slopes(fa: Complex, fb: Complex, shells: Shells) -> F64:
    """Gradient and curvature (x, y, z) of the cross correlation at zero shift, (3, 4); of parts they add up."""
    nz, ny, nx = shells.grid.shape
    weight = shells.multiplicity
    h, k, m = shells.x / nx, np.fft.fftfreq(ny), np.fft.fftfreq(nz)
    for index in (h, k, m):
        index[np.abs(index) == 0.5] = 0  # a Nyquist plane stands for both signs and tells no direction
    gradient, curvature = np.zeros(3), np.zeros((3, 3))
    for z in range(nz):
        a, b = fa[z], fb[z]
        real = (a.real * b.real + a.imag * b.imag).astype(np.float64) * weight
        turn = (a.imag * b.real - a.real * b.imag).astype(np.float64) * weight
        ry, rx, ty, tx = real.sum(1), real.sum(0), turn.sum(1), turn.sum(0)
        gradient += [tx @ h, ty @ k, ty.sum() * m[z]]
        xx, yy, zz = rx @ h**2, ry @ k**2, ry.sum() * m[z] ** 2
        xy, xz, yz = k @ real @ h, rx @ h * m[z], ry @ k * m[z]
        curvature += [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
    return np.column_stack((gradient, curvature))


def _top(slopes: F64) -> Triple:
    """The shift to the top of the cross correlation, voxels (x, y, z)."""
    shift = -np.linalg.pinv(slopes[:, 1:], hermitian=True) @ slopes[:, 0] / (2 * np.pi)
    return (float(shift[0]), float(shift[1]), float(shift[2]))


def _power_beyond(spectrum: Complex, shells: Shells, last: int) -> F64:
    """Power of a half transform, without the zero mode, beyond a shell, and in all, (2,)."""
    total = shells.total(squared(spectrum, mean=not shells.holds_mean))
    planes = zip(squared(spectrum, mean=not shells.holds_mean), shells.index, strict=True)
    return np.array([shells.total(np.where(index > last, plane, 0) for plane, index in planes), total])


def _own(shells: Shells) -> Shells:
    """The shells in our own convention."""
    return shells if shells.convention == "nmap" else replace(shells, convention="nmap")


def _share(power: F64, more: float = 0.0) -> float:
    """Share of the power that lies beyond, of which so much more lies beyond the half transform itself."""
    beyond, total = power + more
    return float(beyond / total) if total > 0 else 0.0


@dataclass(frozen=True, eq=False)
class ModeSums:
    """What is summed over the modes of the half transforms of two maps; of parts of their columns the sums add up.

    Attributes:
        shells: by shell.
        beyond: power of either beyond the last shell that is looked at, and in all, (2, 2).
        slopes: of their cross correlation at zero shift.
    """

    shells: ShellSums
    beyond: F64
    slopes: F64

    @staticmethod
    def of(first: Complex, second: Complex, shells: Shells, limit: float | None) -> ModeSums:
        """Of two half transforms, or of the columns of them that the shells look at.

        Args:
            first: of a decode.
            second: of what it is set against.
            shells: of their grid, in any convention; power and shift are summed in our own.
            limit: Angstrom; power is told beyond the last shell within it, beyond Nyquist if None.
        """
        own = _own(shells)
        last = own.count - 1 if limit is None else own.last(limit)
        beyond = np.array([_power_beyond(f, own, last) for f in (first, second)])
        return ModeSums(ShellSums.of(first, second, shells), beyond, _slopes(first, second, own))

    def __add__(self, other: ModeSums) -> ModeSums:
        return ModeSums(self.shells + other.shells, self.beyond + other.beyond, self.slopes + other.slopes)

    @property
    def shift(self) -> Triple:
        """How far the first map is displaced from the second, as `displacement` has it."""
        return _top(self.slopes)

    @property
    def shares_beyond(self) -> tuple[float, float]:
        """Share of the power of either that lies beyond."""
        return _share(self.beyond[0]), _share(self.beyond[1])


@dataclass(frozen=True, eq=False)
class FinerSums:
    """The sums of a finer decode, cropped to the source's sampling: of parts of its columns they add up.

    Attributes:
        with_source: of it and the source.
        slopes: of its cross correlation with the decode on the source's own grid.
    """

    with_source: ModeSums
    slopes: F64

    @staticmethod
    def of(
        finer: Complex, decoded: Complex, source: Complex, shells: Shells, limit: float | None
    ) -> FinerSums:
        """Arguments as `ModeSums.of`."""
        return FinerSums(ModeSums.of(finer, source, shells, limit), _slopes(finer, decoded, _own(shells)))

    def __add__(self, other: FinerSums) -> FinerSums:
        return FinerSums(self.with_source + other.with_source, self.slopes + other.slopes)


def cropped_decode(doubled: Finer, grid: Grid) -> tuple[Complex, float]:
    """Half transform of a finer decode, cropped to the source's sampling, and the power that is cut off.

    Fourier-padding the source adds nothing within its Nyquist, so the two are compared there.

    Raises:
        GridError: the finer decode does not cover the source's box.
    """
    if not grid.resampled(doubled.grid.shape).matches(doubled.grid):
        raise GridError(f"the finer decode lies on {doubled.grid}: wanted a sampling of the box of {grid}")
    return transform_cut(doubled.planes, grid.shape)


def compare_off_grid(sums: FinerSums, cut: float, on_grid: ShellCurve, resolution: float | None) -> OffGrid:
    """A decode at a finer sampling of the source's box, against the source Fourier-padded to it.

    Args:
        sums: of the finer decode.
        cut: its power beyond the source's sampling.
        on_grid: fidelity FSC of the decode on the source's own grid.
        resolution: the ratio to the FSC on the grid is sought to here, Angstrom; to Nyquist if None.
    """
    curve = sums.with_source.shells.curve("second")
    counted = on_grid.fsc >= INFORMATIVE
    counted[0] = False
    if resolution is not None:
        counted[sums.with_source.shells.shells.last(resolution) + 1 :] = False
    if on_grid.negligible is not None:
        counted &= ~on_grid.negligible
    ratio = float((curve.fsc[counted] / on_grid.fsc[counted]).min()) if counted.any() else None
    return OffGrid(curve, ratio, _share(sums.with_source.beyond[0], cut), _top(sums.slopes))


def compare_symmetry(decoded: DensityMap, source: DensityMap, group: PointGroup, seed: int = 0) -> Symmetry:
    """Correlation of each map with itself under a point group's operators, at random places.

    They are drawn among the 5 % of the source's voxels farthest from its mean; rotated ones are interpolated
    with cubic splines.

    Args:
        decoded: the decoded map.
        source: its source, on the same grid.
        group: whose centre is relative to the grid's origin.
        seed: of the draw.
    """
    grid = source.grid
    strong = source.values - np.float32(source.values.mean(dtype=np.float64))
    np.abs(strong, out=strong)
    chosen = np.flatnonzero(strong >= np.quantile(strong[:: max(1, grid.shape[0] // 64)], 0.95))
    del strong
    rng = np.random.default_rng(seed)
    chosen = rng.choice(chosen, min(SYMMETRY_POINTS, chosen.size), replace=False)
    fractions = np.stack(np.unravel_index(chosen, grid.shape), -1) / np.asarray(grid.shape)
    centre = np.asarray(grid.origin) + np.asarray(group.center)
    points = grid.positions(fractions) - centre
    lowest = [_lowest_self_correlation(d.values, grid, points, centre, group) for d in (decoded, source)]
    return Symmetry(group.name, lowest[0], lowest[1], chosen.size)


def _lowest_self_correlation(values: F32, grid: Grid, points: F64, centre: F64, group: PointGroup) -> float:
    from scipy.ndimage import map_coordinates, spline_filter

    spline = np.asarray(spline_filter(values, order=3, output=np.float32, mode="grid-wrap"))

    def at(xyz: F64) -> F64:
        voxels = grid.fractions(xyz + centre) * np.asarray(grid.shape)
        return np.asarray(
            map_coordinates(spline, voxels.T, order=3, mode="grid-wrap", prefilter=False), np.float64
        )

    here = at(points)
    found = [np.corrcoef(here, at(points @ operator.T))[0, 1] for operator in group.operators[1:]]
    return float(min(found, default=1.0))
