"""Which point group a map has: the self-correlation of candidates inside the envelope.

Every shell up to the band limit counts the same (the map is whitened), so a group that holds at low
resolution only, as a pseudo-symmetric complex has, is told from one that holds in the detail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates, spline_filter

from nmap.errors import OptionError, QualityError
from nmap.grid import Grid, Shape, Triple
from nmap.point_group import PointGroup
from nmap.spectrum import (
    Complex,
    Planes,
    Shells,
    correlate_shells,
    invert_onto,
    lattice_shape,
    products,
    transform,
    transform_planes,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

THRESHOLD = 0.99
# Points that a correlation is measured in.
_POINTS = 200_000
# Points that it is first looked at in.
_FEW = 10_000
# Correlation by which that first look may be wrong.
_DOUBT = 0.2
# Standard errors by which a self-correlation of noisy half maps may fall short.
_ERRORS = 2.0
# Correlation by which it may do so at most.
_LARGEST_DOUBT = 0.02
# Samples that splines go through at most: larger maps are measured at a coarser resolution.
_LARGEST = 1 << 27
# Density of the samples that splines go through, along an axis.
_FINER = 1.8
# Width in shells of the smoothing of the half maps' FSC.
_SMOOTH = 2.0
CANDIDATES = (
    *(f"C{n}" for n in range(2, 13)),
    *(f"D{n}" for n in range(2, 13)),
    "T", "O", "I", "I1",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What was measured of one group.

    Attributes:
        group: the group and its centre.
        correlation: lowest self-correlation over its generators' rotations, -1 to 1; of what half maps share, where
            they were given.
        error: standard error that their noise gives it if the signal is symmetric; 0 without half maps, as noise
            cannot be told from signal then.
    """

    group: PointGroup
    correlation: float
    error: float = 0.0

    @property
    def doubt(self) -> float:
        """How far below a threshold it may lie by chance: two standard errors, at most 0.02."""
        return min(_ERRORS * self.error, _LARGEST_DOUBT)


def box_centre(grid: Grid) -> Triple:
    """RELION's centre of rotation, voxel n // 2 along each axis, Angstrom from the grid's origin (x, y, z)."""
    x, y, z = grid.axes @ np.asarray([n // 2 for n in grid.shape[::-1]], np.float64)
    return float(x), float(y), float(z)


def measure(
    values: F32 | Planes,
    grid: Grid,
    mask: F32 | Planes | None,
    band_limit: float,
    names: Sequence[str],
    centre: Triple | None = None,
    hopeless: float = -1.0,
    halves: tuple[F32, F32] | None = None,
) -> list[Found]:
    """Self-correlation of the whitened, band-limited map under each group, in the order of `names`.

    It is taken at points inside the mask, between the map there and the unmasked map where they turn to: a mask of
    one subunit does not spoil it, and a molecule that turns onto solvent shows.

    With half maps a, b it is that of what they share. With a, b at the points and a', b' where these turn to it is
    (<a b'> + <b a'>) / 2 / sqrt(<a b> <a' b'>): independent noise drops out of every mean, so a symmetric
    signal gives 1 however noisy the halves are, and noise that was symmetrised with it gives 1 too. A shell weighs
    by the share 2 F / (1 + F) of the average's power that is signal, F the halves' FSC inside the mask.

    Args:
        values: (z, y, x) on `grid`, about the solvent.
        grid: orthogonal.
        mask: soft envelope (z, y, x).
        band_limit: Angstrom.
        names: point groups.
        centre: where the axes meet, Angstrom from the grid's origin (x, y, z); None for voxel n // 2.
        hopeless: a rotation that falls below this in a few of the points is measured in no more of them.
        halves: both half maps (z, y, x) on `grid`, about their solvents.
    """
    centre = box_centre(grid) if centre is None else centre
    shape = lattice_shape(grid, band_limit / _FINER)
    if (beyond := math.prod(shape) / _LARGEST) > 1:
        band_limit *= beyond ** (1 / 3)
        shape = lattice_shape(grid, band_limit / _FINER)
    lattice = grid.resampled(shape)
    window = None if mask is None else _planes(mask)
    given = [_planes(v) for v in ((values,) if halves is None else halves)]
    maps, error = _whitened(tuple(given), grid, window, lattice, band_limit)
    chosen = np.stack(np.unravel_index(_some_inside(window, grid, band_limit, shape), shape), -1)
    here = [white[tuple(chosen.T)] for white in maps]
    # In place of what they go through: single precision is good to 1e-6.
    splines = [spline_filter(white, order=3, mode="grid-wrap", output=white) for white in maps]
    points = lattice.positions(chosen / np.asarray(shape)) - np.asarray(grid.origin) - np.asarray(centre)

    def correlate(operator: F64, count: int) -> float:
        turned = points[:count] @ operator.T + np.asarray(centre) + np.asarray(grid.origin)
        place = (lattice.fractions(turned) * np.asarray(shape)).T
        there = [map_coordinates(s, place, order=3, mode="grid-wrap", prefilter=False) for s in splines]
        first = [a[:count] for a in here]
        return _shared_correlation(first[0], first[-1], there[0], there[-1])

    known: dict[bytes, float] = {}
    out = []
    for name in names:
        group = PointGroup(name, centre)
        worst = 1.0
        for operator in _generators(group):
            key = np.round(operator, 6).tobytes()
            if key not in known:
                few = correlate(operator, _FEW)
                known[key] = few if few < hopeless else correlate(operator, _POINTS)
            worst = min(worst, known[key])
        out.append(Found(group, worst, error))
    return out


def _some_inside(mask: Planes | None, grid: Grid, band_limit: float, shape: Shape) -> NDArray[np.intp]:
    """Flat indices, in random order, of lattice points inside the mask, at most `_POINTS`."""
    draw = np.random.default_rng(0)
    if mask is None:
        count = math.prod(shape)
        # So many are not listed.
        return (
            draw.choice(count, _POINTS, replace=False)
            if count > 50 * _POINTS
            else draw.permutation(count)[:_POINTS]
        )
    coarse = lattice_shape(grid, band_limit)
    smooth = invert_onto(transform_planes(mask, coarse), coarse, shape)
    return draw.permutation(np.flatnonzero(smooth > 0.5))[:_POINTS]


def _planes(values: F32 | Planes) -> Planes:
    return values if isinstance(values, Planes) else Planes.of(values)


def symmetric_share(truth: Complex, grid: Grid, mask: F32, last: int, group: PointGroup) -> F64:
    """Share of each shell's power that the mean of a map over the group's rotations keeps, (last + 1,).

    It is the mean, over the rotations R and none, of FSC(map, map turned by R), for the mean over a group projects;
    noise of few modes can take it below what one copy keeps, 1 / order, which is the least given.

    Args:
        truth: half transform on `grid`, nothing beyond shell `last`.
        grid: orthogonal.
        mask: where the map is not 0, (z, y, x).
        last: shell of the band limit.
        group: its centre is relative to the grid's origin.
    """
    shells = Shells(grid)
    fine = grid.resampled(lattice_shape(grid, 1 / (_FINER * (last + 0.5) * shells.width)))
    volume = invert_onto(truth, grid.shape, fine.shape)
    spline = spline_filter(volume, order=3, mode="grid-wrap", output=volume)
    inside = np.argwhere(mask > 0)
    centre = np.asarray(grid.origin) + np.asarray(group.center)
    points = grid.positions(inside / np.asarray(grid.shape)) - centre
    total = np.ones(last + 1)
    for operator, count in _up_to_inverse(group):
        place = fine.fractions(points @ operator.T + centre) * np.asarray(fine.shape)
        turned = np.zeros(grid.shape, np.float32)
        turned[tuple(inside.T)] = map_coordinates(spline, place.T, order=3, mode="grid-wrap", prefilter=False)
        total += count * correlate_shells(transform(turned), truth, shells, "second").fsc[: last + 1]
    share = total / group.order
    share[0] = 1
    return np.clip(share, 1 / group.order, 1)


def _up_to_inverse(group: PointGroup) -> list[tuple[F64, int]]:
    """The rotations but for none; of one and its inverse, by which a map correlates as far, the first, with 2."""
    out: list[tuple[F64, int]] = []
    seen: list[F64] = []
    for operator in group.operators[1:]:
        if any(np.allclose(operator, other, atol=1e-6) for other in seen):
            continue
        is_own = np.allclose(operator, operator.T, atol=1e-6)
        out.append((operator, 1 if is_own else 2))
        seen.append(operator.T)
    return out


def _whitened(
    maps: tuple[Planes, ...], grid: Grid, mask: Planes | None, lattice: Grid, band_limit: float
) -> tuple[list[F32], float]:
    """The maps on the lattice, whole, by gains that whiten what is inside; two are weighted by what they share.

    With two, also the standard error that their noise gives the self-correlation of a symmetric signal. Noise n of
    the one and m of the other enter by the means over the points of (n m' + m n') / 2 and of n m alone, for what the
    signal adds to either is the same and drops out. Each has the variance sum p^2 / N^2, p the noise's power in a
    mode and N the modes times the share inside (the first half of that, but for a two-fold axis).
    """
    coarse = grid.resampled(lattice_shape(grid, band_limit))
    shells = Shells(coarse)
    count = shells.last(band_limit) + 1
    window = mask
    inside = [v if window is None else v.times(window.make) for v in maps]
    spectra = [transform_planes(v, coarse.shape) for v in inside]
    share = 1.0
    if window is not None:
        share = sum(int((slab > 0.5).sum()) for _, slab in window.slabs()) / grid.size

    def by_shell(a: Complex, b: Complex) -> F64:
        return (shells.sum(products(a, b)) / np.maximum(shells.modes, 1))[:count]

    power = np.mean([by_shell(a, a) for a in spectra], axis=0)
    gains = 1 / np.sqrt(np.maximum(power, max(1e-12 * float(power[1:].max()), 1e-30)))
    error = 0.0
    if len(maps) == 2:
        # Smoothed: weights that followed the chance in a shell's agreement would raise what the halves share here.
        agree = gaussian_filter1d(by_shell(*spectra) * gains**2, _SMOOTH, mode="nearest")
        agree = np.clip(agree, 0, 1)
        weight = 2 * agree / (1 + agree)
        gains *= np.sqrt(weight)
        modes, weight, agree = shells.modes[1:count], weight[1:], agree[1:]
        noise = np.sqrt(2 * (modes * (weight * (1 - agree)) ** 2).sum() / max(share, 1e-9))
        error = float(noise / max((modes * weight * agree).sum(), 1e-9 * noise))
    gains[0] = 0
    factor = shells.spread(gains.astype(np.float32))
    if window is not None:
        spectra = [transform_planes(v, coarse.shape) for v in maps]
    return [invert_onto(spectrum * factor, coarse.shape, lattice.shape) for spectrum in spectra], error


def choose(
    values: F32 | Planes,
    grid: Grid,
    mask: F32 | Planes | None,
    band_limit: float,
    wanted: str,
    *,
    threshold: float = THRESHOLD,
    force: bool = False,
    halves: tuple[F32, F32] | None = None,
) -> tuple[PointGroup | None, list[Found]]:
    """The point group to fit with.

    Args:
        values: (z, y, x) on `grid`.
        grid: where they lie.
        mask: soft envelope or None.
        band_limit: Angstrom.
        wanted: "auto" for the highest that holds, else a group's name.
        threshold: lowest self-correlation that counts as holding; with half maps less `Found.doubt`.
        force: take `wanted` even if it does not hold.
        halves: both half maps (z, y, x) on `grid`, about their solvents: noise then counts neither way.

    Returns:
        The group, None for C1, and what was measured.

    Raises:
        OptionError: an unknown group, or a cell whose axes are not at right angles.
        QualityError: `wanted` does not hold.
    """
    if wanted.upper() == "C1":
        return None, []
    if not grid.is_orthogonal:
        if wanted == "auto":
            return None, []
        raise OptionError(
            f"symmetry {wanted}: the map's cell angles are {grid.angles} degrees, wanted 90; use C1"
        )
    if wanted != "auto":
        found = measure(values, grid, mask, band_limit, [wanted], halves=halves)[0]
        if found.correlation + found.doubt < threshold and not force:
            error = f" +- {found.error:.3f}" if found.error else ""
            raise QualityError(
                f"symmetry {found.group.name} about voxel n/2 holds with a correlation of only "
                f"{found.correlation:.3f}{error} inside the envelope at {band_limit:.4g} A, wanted {threshold:g}: "
                "use `symmetry` auto or C1, or `force_symmetry`"
            )
        return found.group, [found]
    table = measure(values, grid, mask, band_limit, CANDIDATES, hopeless=threshold - _DOUBT, halves=halves)
    holding = [found for found in table if found.correlation + found.doubt >= threshold]
    if not holding:
        return None, table
    return max(holding, key=lambda found: (found.group.order, found.correlation)).group, table


def _generators(group: PointGroup) -> list[NDArray[np.float64]]:
    """Rotations that generate the group: for C and D the turn about z and the one about x."""
    operators = group.operators
    if group.name[0] == "C":
        return [operators[1]] if len(operators) > 1 else []
    if group.name[0] == "D":
        half = len(operators) // 2
        return [operators[1 % half] if half > 1 else operators[half], operators[half]]
    return list(operators[1:6])


def _shared_correlation(a: F32, b: F32, there_a: F32, there_b: F32) -> float:
    """Correlation of what a and b share with what they share elsewhere; 0 where they share nothing."""
    a, b, c, d = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (a, b, there_a, there_b))
    cross, here, there = ((a * d + b * c) / 2).mean(), (a * b).mean(), (c * d).mean()
    return float(cross / np.sqrt(here * there)) if here > 0 and there > 0 else 0.0
