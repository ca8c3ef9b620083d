"""Half-map FSC with RELION's phase-randomised correction, and a decoded map set against each half.

A half-map FSC tells how far two independent reconstructions agree: the resolution of the data. The fidelity
FSC tells how far a decode agrees with its source. They share their arithmetic and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from nmap.errors import GridError
from nmap.grid import told_apart
from nmap.spectrum import Margin, ShellCurve, band_limited, fsc, fsc_margin, randomise_phases

if TYPE_CHECKING:
    from nmap.maps import DensityMap

RANDOMISE_BELOW = 0.8
"""Phases are randomised from the first shell whose unmasked FSC lies below this (RELION's default)."""

ARTEFACT_SHELLS = 2
"""Shells beyond the first randomised one that stay uncorrected: the edge leaks into them (as in RELION)."""

METHOD = (
    "as relion_postprocess: phases of both unmasked halves randomised from the first shell whose unmasked "
    "FSC is below 0.8; corrected = (masked - randomised) / (1 - randomised), 0 where randomised exceeds "
    "masked, from 2 shells beyond"
)


@dataclass(frozen=True)
class HalfMaps:
    """What two half maps say of the data, and of a decode.

    Attributes:
        unmasked: half 1 against half 2.
        masked: the same within the mask; None without a mask.
        randomised: within the mask after phase randomisation; None without a mask, or if there was nothing to
            randomise.
        corrected: masked FSC freed of what the mask alone brings; None without a mask.
        randomised_from: resolution from which phases were randomised, Angstrom.
        decoded: the decoded map against half 1 and half 2, within the mask if there is one.
        source: the source against half 1 and half 2, likewise.
        margin: FSC(decode, half 2) - FSC(half 1, half 2) over the whole box; None without a decode. Of a fit of
            half 1 alone it should be below 0 nowhere.
        margin_masked: the same within the mask; None without a mask or a decode.
    """

    unmasked: ShellCurve
    masked: ShellCurve | None
    randomised: ShellCurve | None
    corrected: ShellCurve | None
    randomised_from: float | None
    decoded: tuple[ShellCurve, ShellCurve] | None
    source: tuple[ShellCurve, ShellCurve] | None
    margin: Margin | None = None
    margin_masked: Margin | None = None

    RENAMED: ClassVar = {"decoded": "decoded_against_halves", "source": "source_against_halves"}
    WHAT: ClassVar = "half-map FSC (resolution of the data, not fidelity of the decode)"
    METHOD: ClassVar = METHOD
    ALSO: ClassVar = ("resolution",)

    @property
    def best(self) -> ShellCurve:
        """The curve whose 0.143 crossing is the resolution: corrected if there is a mask, else unmasked."""
        return self.corrected or self.unmasked

    @property
    def resolution(self) -> float | None:
        """Where it crosses 0.143, Angstrom; None: not before Nyquist."""
        return self.best.crossing(0.143)


def compare_half_maps(
    half1: DensityMap,
    half2: DensityMap,
    *,
    mask: DensityMap | None = None,
    decoded: DensityMap | None = None,
    source: DensityMap | None = None,
    seed: int = 0,
    band_limit: float | None = None,
) -> HalfMaps:
    """FSC of two half maps, corrected for the mask, and of a decode and its source against each of them.

    Source: Chen et al., Ultramicroscopy 135 (2013) 24, as carried out by relion_postprocess.

    Args:
        half1: first half map.
        half2: second half map, on the same grid.
        mask: soft mask on the same grid, 0 to 1.
        decoded: the decoded map, on the same grid.
        source: its source, on the same grid.
        seed: of the random phases.
        band_limit: of the decoded map, Angstrom: a mask mixes shells, so within one half 1 is cut there for the margin.

    Raises:
        GridError: a map that does not lie on the first half's grid.
    """
    grid = half1.grid
    others = (("second half map", half2), ("mask", mask), ("decoded map", decoded), ("source", source))
    for name, other in others:
        if other is not None and not other.grid.matches(grid):
            own, wanted = told_apart(other.grid, grid)
            raise GridError(f"the {name} lies on {own}, half map 1 on {wanted}: resample one of them")
    soft = None if mask is None else mask.values

    def against_halves(one: DensityMap | None) -> tuple[ShellCurve, ShellCurve] | None:
        if one is None:
            return None
        return fsc(one.values, half1.values, grid, soft), fsc(one.values, half2.values, grid, soft)

    def margin(within: NDArray[np.float32] | None) -> Margin | None:
        if decoded is None:
            return None
        one = half1.values
        if within is not None and band_limit is not None:
            one = band_limited(one, grid, band_limit)
        return fsc_margin(decoded.values, one, half2.values, grid, within)

    unmasked = fsc(half1.values, half2.values, grid)
    masked = None if soft is None else fsc(half1.values, half2.values, grid, soft)
    randomised, first = None, first_below(unmasked, RANDOMISE_BELOW)
    if masked is not None and first is not None:
        mixed = [randomise_phases(h.values, grid, first, seed + i) for i, h in enumerate((half1, half2))]
        randomised = fsc(mixed[0], mixed[1], grid, soft)
    return HalfMaps(
        unmasked=unmasked,
        masked=masked,
        randomised=randomised,
        corrected=None if masked is None else correct(masked, randomised, first),
        randomised_from=None if randomised is None or first is None else float(1 / unmasked.frequency[first]),
        decoded=against_halves(decoded),
        source=against_halves(source),
        margin=margin(None),
        margin_masked=None if soft is None else margin(soft),
    )


def first_below(curve: ShellCurve, threshold: float) -> int | None:
    """Index of the first shell beyond shell 0 that lies below the threshold."""
    below = np.flatnonzero(curve.fsc[1:] < threshold)
    return int(below[0]) + 1 if below.size else None


def correct(masked: ShellCurve, randomised: ShellCurve | None, first: int | None) -> ShellCurve:
    """Masked FSC freed of the mask's own correlation, from `ARTEFACT_SHELLS` beyond shell `first` on."""
    if randomised is None or first is None:
        return masked
    total, null = masked.fsc, randomised.fsc
    room = np.maximum(1 - null, 1e-6)
    freed = np.where(null > total, 0.0, (total - null) / room)
    late = np.arange(total.size) >= first + ARTEFACT_SHELLS
    return ShellCurve(masked.frequency, np.where(late, freed, total), masked.modes, masked.negligible)
