"""Which point group a map has: the self-correlation of candidates inside the envelope.

Every shell up to the band limit counts the same (the map is whitened), so a group that holds at low
resolution only, as a pseudo-symmetric complex has, is told from one that holds in the detail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter

from nmap.errors import OptionError, QualityError
from nmap.grid import Grid, Triple
from nmap.spectrum import Shells, crop_spectrum, invert, lattice_shape, transform
from nmap.symmetry import PointGroup

F32 = NDArray[np.float32]

THRESHOLD = 0.99
# Points that a correlation is measured in, and first; by so much that may be wrong in the few.
_POINTS, _FEW, _DOUBT = 200_000, 10_000, 0.2
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
        correlation: lowest self-correlation over its generators' rotations, -1 to 1.
    """

    group: PointGroup
    correlation: float


def box_centre(grid: Grid) -> Triple:
    """RELION's centre of rotation, voxel n // 2 along each axis, Angstrom from the grid's origin (x, y, z)."""
    x, y, z = grid.axes @ np.asarray([n // 2 for n in grid.shape[::-1]], np.float64)
    return float(x), float(y), float(z)


def measure(
    values: F32,
    grid: Grid,
    mask: F32 | None,
    band_limit: float,
    names: Sequence[str],
    centre: Triple | None = None,
    hopeless: float = -1.0,
) -> list[Found]:
    """Self-correlation of the whitened, band-limited map under each group, in the order of `names`.

    Args:
        values: (z, y, x) on `grid`.
        grid: orthogonal.
        mask: soft envelope (z, y, x), multiplied in first; points inside count by its value where they turn to.
        band_limit: Angstrom.
        names: point groups.
        centre: where the axes meet, Angstrom from the grid's origin (x, y, z); None for voxel n // 2.
        hopeless: a rotation that falls below this in a few of the points is measured in no more of them.
    """
    centre = box_centre(grid) if centre is None else centre
    shape = lattice_shape(grid, band_limit / 1.8)
    lattice = grid.resampled(shape)
    shells = Shells(lattice)
    masked = values if mask is None else values * mask
    spectrum = crop_spectrum(transform(masked), grid.shape, shape)
    last = min(int(1 / (band_limit * shells.width) + 1e-6), shells.count - 1)
    power = shells.sum(spectrum.real**2 + spectrum.imag**2) / np.maximum(shells.modes, 1)
    gains = np.zeros(last + 1, np.float32)
    gains[1:] = 1 / np.sqrt(np.maximum(power[1 : last + 1], 1e-12 * power[1:].max()))
    white = invert(spectrum * shells.spread(gains), shape)
    if mask is None:
        inside = np.ones(shape, np.float32)
    else:
        inside = np.clip(invert(crop_spectrum(transform(mask), grid.shape, shape), shape), 0, 1)
    chosen = np.argwhere(inside > 0.5)
    chosen = np.random.default_rng(0).permutation(chosen)[:_POINTS]
    spline = spline_filter(white, order=3, mode="grid-wrap").astype(np.float32)
    points = lattice.positions(chosen / np.asarray(shape)) - np.asarray(grid.origin) - np.asarray(centre)
    here = white[tuple(chosen.T)]

    def correlate(operator: NDArray[np.float64], count: int) -> float:
        turned = points[:count] @ operator.T + np.asarray(centre) + np.asarray(grid.origin)
        place = (lattice.fractions(turned) * np.asarray(shape)).T
        weight = map_coordinates(inside, place, order=1, mode="grid-wrap")
        there = map_coordinates(spline, place, order=3, mode="grid-wrap", prefilter=False)
        return _correlation(here[:count], there, weight)

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
        out.append(Found(group, worst))
    return out


def choose(
    values: F32,
    grid: Grid,
    mask: F32 | None,
    band_limit: float,
    wanted: str,
    *,
    threshold: float = THRESHOLD,
    force: bool = False,
) -> tuple[PointGroup | None, list[Found]]:
    """The point group to fit with.

    Args:
        values: (z, y, x) on `grid`.
        grid: where they lie.
        mask: soft envelope or None.
        band_limit: Angstrom.
        wanted: "auto" for the highest that holds, else a group's name.
        threshold: lowest self-correlation that counts as holding.
        force: take `wanted` even if it does not hold.

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
        found = measure(values, grid, mask, band_limit, [wanted])[0]
        if found.correlation < threshold and not force:
            raise QualityError(
                f"symmetry {found.group.name} about voxel n/2 holds with a correlation of only "
                f"{found.correlation:.3f} inside the envelope at {band_limit:g} A, wanted {threshold:g}: "
                "use --symmetry auto or C1, or --force-symmetry"
            )
        return found.group, [found]
    table = measure(values, grid, mask, band_limit, CANDIDATES, hopeless=threshold - _DOUBT)
    holding = [found for found in table if found.correlation >= threshold]
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


def _correlation(a: F32, b: F32, weight: F32) -> float:
    total = float(weight.sum(dtype=np.float64))
    if total <= 0:
        return 0.0
    a = a - (a * weight).sum(dtype=np.float64) / total
    b = b - (b * weight).sum(dtype=np.float64) / total
    cross = float((a * b * weight).sum(dtype=np.float64))
    norm = float((a * a * weight).sum(dtype=np.float64)) * float((b * b * weight).sum(dtype=np.float64))
    return cross / norm**0.5 if norm > 0 else 0.0
