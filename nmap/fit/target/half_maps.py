"""Half maps: how far a map can be trusted shell by shell, and what a fit of it owes.

Two halves that hold the same signal S and independent noise of equal power correlate by F = S / (S + N) in
a shell, so their average correlates with the truth by sqrt(2 F / (1 + F)) (Rosenthal and Henderson, J. Mol.
Biol. 333 (2003) 721, C_ref) and a single half by sqrt(F). What a decode D owes its source is a share of
that: the rest is noise.

The gains stored are those of least squared error against the source, <D, source> / <D, D>: they follow what
of the source the decode holds, and raise nothing that it does not.

Cross-validation fits half 1 alone and sets the decode against half 2. Let r be what the decode lacks of half
1, with a share e of the shell's power. FSC(decode, half 2) is then FSC(half 1, half 2) x (1 - e q / F) /
sqrt(1 - e), with q the share of r that is signal: nothing is lost where q is below F / 2, as where noise goes
first; where a molecule fills its envelope r is as much signal as the rest (q = F), and FSC loses F e / 2.
`_missing` keeps that small, whatever r is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.automatic import solvent_value
from nmap.envelope.envelope import Envelope
from nmap.errors import GridError, OptionError
from nmap.fit.target.envelope import choose_envelope
from nmap.grid import Grid, told_apart
from nmap.maps import DensityMap
from nmap.maps.checked import require_half_maps
from nmap.outcomes import BandLimitOutcome, CrossValidationOutcome, to_json
from nmap.spectrum import Margin, ShellCurve, Shells, band_limited, fsc, fsc_margin

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

THRESHOLD = 0.143
"""Half-map FSC that ends the resolution (Rosenthal and Henderson 2003)."""
TOLERANCE = 0.01
"""A cross-validated decode may correlate with half 2 by this much less than half 1 does."""
CHANCE = 2.0
"""Over the whole box by no more than so many standard errors of the difference either."""
# Share of a shell's power, times F, that a cross-validated fit may leave out: FSC then loses half of it if what is left
# out is as much signal as the rest.
_LOSS = 0.0025
# Share of a shell's power that it may leave out at most.
_LARGEST_LOSS = 0.04
# Times more than that which may be missing in the lowest shells: what they lack lies beyond the envelope.
_LOW_SHELLS_MORE = 3.0
# Shells over which that falls off.
_LOW_SHELLS = 3.0
# FSC to which the half-map curve is clipped below: lower ones are chance.
_LOWEST_FSC = 0.05
# Width, in shells, of the light smoothing of F: it is measured in few modes in the first shells.
_SMOOTH = 1.0
# Times that the envelope and the resolution, which hang on each other, are found in turn at most.
_LOOKS = 4


@dataclass(frozen=True, eq=False)
class Halves:
    """Two half maps on the source's grid, and how far they agree.

    Attributes:
        half1: first half map.
        half2: second half map.
        envelope: what both are multiplied by before they are compared; None for the whole box.
        curve: their FSC inside the envelope.
        cross_validate: whether half 1 alone is fitted.
    """

    half1: DensityMap
    half2: DensityMap
    envelope: Envelope | None
    curve: ShellCurve
    cross_validate: bool

    @property
    def resolution(self) -> float | None:
        """Where they fall below 0.143, Angstrom; None: not before Nyquist."""
        return self.curve.crossing(THRESHOLD)

    @property
    def about_solvents(self) -> tuple[F32, F32]:
        """Both halves (z, y, x), each less its own solvent outside the envelope."""
        mask = None if self.envelope is None else self.envelope.on_lattice(self.half1.grid.shape)
        half1, half2 = about_solvent(mask, self.half1.values, self.half2.values)
        return half1, half2

    def agreement(self, count: int) -> F64:
        """Half-map FSC of the first `count` shells, smoothed lightly and clipped to [0.05, 1]; 1 in shell 0."""
        padded = np.pad(self.curve.fsc[1:], 2, mode="edge")
        kernel = np.exp(-0.5 * (np.arange(-2, 3) / _SMOOTH) ** 2)
        smooth = np.convolve(padded, kernel / kernel.sum(), mode="valid")
        return np.concatenate(([1.0], np.clip(smooth, _LOWEST_FSC, 1.0)))[:count]

    def ceiling(self, count: int, symmetric: F64 | None = None) -> F32:
        """Correlation that is worth having of what is fitted, by shell, (count,).

        Of the average of both halves it is what it correlates with the truth by. Under cross-validation it is
        what keeps the decode beside half 2. A symmetric decode holds no more of half 1 than its symmetric part,
        which has all of the signal and less of the noise; of that it owes what it would of a half with so much
        less noise.

        Args:
            count: shells, with shell 0.
            symmetric: share of half 1's power that is symmetric, by shell, (count,); None in C1.
        """
        agree = self.agreement(count)
        if not self.cross_validate:
            return np.sqrt(2 * agree / (1 + agree)).astype(np.float32)
        share = np.ones(count) if symmetric is None else symmetric
        missing = _missing(np.minimum(agree / share, 1))
        return np.asarray(np.sqrt((1 - missing) * share), np.float32)

    def findings(self, decoded: F32, band_limit: float) -> dict[str, Any]:
        """What the record keeps under "fidelity" of the halves and a decode (z, y, x), to the band limit, Angstrom."""
        last = Shells(self.half1.grid).last(band_limit)
        found: dict[str, Any] = {
            "half_map_fsc": _rounded(self.curve, last),
            "half_map_resolution": self.resolution,
        }
        if self.cross_validate:
            whole, inside = self.margins(decoded, band_limit)
            found["decode_half2_fsc"] = np.round((whole if inside is None else inside).first[: last + 1], 4)
            found["cross_validation"] = to_json(cross_validation(whole, inside, last))
        return found

    def margins(self, decoded: F32, band_limit: float) -> tuple[Margin, Margin | None]:
        """FSC(decode, half 2) - FSC(half 1, half 2), of a decode (z, y, x), with its standard error.

        A mask mixes shells, so that what lies beyond the band limit counts in the last ones: inside the envelope
        half 1 is cut there (Angstrom), as the decode is. Without that the last shell of a decode that was half 1 itself
        within its band would read up to 0.02 too low (docs/decisions.md).

        Returns:
            Over the whole box, the maps as they are; and inside the envelope, each about its own solvent, None
            where there is no envelope.
        """
        half1, half2, grid = self.half1.values, self.half2.values, self.half1.grid
        whole = fsc_margin(decoded, half1, half2, grid)
        if self.envelope is None:
            return whole, None
        mask = self.envelope.on_lattice(grid.shape)
        a, b, c = about_solvent(mask, decoded, half1, half2)
        return whole, fsc_margin(a, band_limited(b, grid, band_limit), c, grid, mask)


def cross_validation(whole: Margin, inside: Margin | None, last: int) -> CrossValidationOutcome:
    """Whether a decode of half 1 is as close to half 2 as half 1 is, in every shell to `last`.

    It passes if it falls below by more than `TOLERANCE` in no shell, neither of the whole box nor inside the
    envelope, and over the whole box by more than `CHANCE` standard errors in none. Inside is the harder test: over
    the box the decode has none of the solvent's noise. There the standard errors are said and excuse nothing.

    Args:
        whole: FSC(decode, half 2) - FSC(half 1, half 2) over the whole box.
        inside: the same inside the envelope; None without one.
        last: shell of the band limit.
    """
    beyond_chance = bool((whole.errors[1 : last + 1] < -CHANCE).any())
    passed = whole.lowest(last) >= -TOLERANCE and not beyond_chance
    if inside is not None:
        passed = passed and inside.lowest(last) >= -TOLERANCE
    within = None if inside is None else inside.summary(last)
    return CrossValidationOutcome(bool(passed), whole.summary(last), within, -TOLERANCE)


def check_grids(density: DensityMap, half1: DensityMap, half2: DensityMap) -> None:
    """Refuse half maps that do not lie on the source's grid, or that are one map.

    Raises:
        GridError: naming both grids.
        OptionError: they are one map.
    """
    for name, half in (("half 1", half1), ("half 2", half2)):
        if not half.grid.matches(density.grid):
            own, wanted = told_apart(half.grid, density.grid)
            raise GridError(f"{name} lies on {own}, the map on {wanted}: give the halves of this very map")
    require_half_maps(half1, half2)


def resolution_of(
    density: DensityMap,
    half1: DensityMap,
    half2: DensityMap,
    mask: str | DensityMap,
    goal: float,
    limit: float,
) -> tuple[float, BandLimitOutcome]:
    """Band limit where the halves' FSC inside the envelope falls below 0.143, and how it was found.

    Args:
        density: the source, in which the envelope is looked for.
        half1: first half map on its grid.
        half2: second half map on its grid.
        mask: "auto", "none", or a map.
        goal: worst-shell fidelity FSC that is aimed at.
        limit: a first guess of the resolution, for the envelope.

    Raises:
        OptionError: the halves agree nowhere.
    """
    grid, shells = density.grid, Shells(density.grid)
    solvent = solvent_value(density.values)
    for _ in range(_LOOKS):
        envelope = choose_envelope(density, mask, limit, solvent, (half1, half2), goal).envelope
        crossing = _within(half1.values, half2.values, grid, envelope).crossing_at(THRESHOLD)
        found = crossing.resolution or 1 / grid.nyquist
        if shells.last(found) == shells.last(limit):
            break
        limit = found
    within: Literal["envelope", "box"] = "box" if envelope is None else "envelope"
    if crossing.resolution is None:
        return 1 / grid.nyquist, BandLimitOutcome("half-maps-nyquist", threshold=THRESHOLD, within=within)
    if crossing.last_above is None or shells.last(crossing.resolution) < 1:
        raise OptionError(
            f"the half maps' FSC is below {THRESHOLD} from the first shell on: give halves of one map, or `resolution`"
        )
    return crossing.resolution, BandLimitOutcome("half-maps", threshold=THRESHOLD, within=within)


def halves_of(
    half1: DensityMap, half2: DensityMap, envelope: Envelope | None, cross_validate: bool
) -> Halves:
    """Both halves and their FSC inside the envelope of the fit."""
    curve = _within(half1.values, half2.values, half1.grid, envelope)
    return Halves(half1, half2, envelope, curve, cross_validate)


def _missing(agree: F64) -> F64:
    """Share of each shell's power that a cross-validated fit may leave out, from the half-map FSC."""
    lowest = 1 + _LOW_SHELLS_MORE * np.exp(-np.arange(agree.size) / _LOW_SHELLS)
    return np.minimum(_LOSS / agree, _LARGEST_LOSS) * lowest


def _rounded(curve: ShellCurve, last: int) -> F64:
    """Shells 0 to `last` to four digits, which half precision keeps."""
    return np.round(curve.fsc[: last + 1], 4)


def _within(a: F32, b: F32, grid: Grid, envelope: Envelope | None) -> ShellCurve:
    """FSC inside an envelope, each map from its own solvent: else the envelope's edge would correlate too."""
    if envelope is None:
        return fsc(a, b, grid)
    mask = envelope.on_lattice(grid.shape)
    a, b = about_solvent(mask, a, b)
    return fsc(a, b, grid, mask)


def about_solvent(mask: F32 | None, *maps: F32) -> tuple[F32, ...]:
    """Each map (z, y, x) less its own solvent outside the mask."""
    return tuple(values - np.float32(solvent_value(values, mask)) for values in maps)
