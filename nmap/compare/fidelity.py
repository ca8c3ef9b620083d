"""A fidelity FSC: a decoded map against its own source, and what it was measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from nmap.compare.comparison import Comparison
from nmap.compare.json_values import THRESHOLDS
from nmap.spectrum import Crossing, Planes, ShellCurve

Within = Literal["box", "mask", "envelope"]


@dataclass(frozen=True)
class Fidelity:
    """A fidelity FSC: decoded against source.

    Attributes:
        curve: correlation by shell. Marked as negligible are the shells in which the source itself holds nothing,
            before any mask, which would smear power into them.
        within: what was compared: the whole "box", both maps times a "mask", or the decode with the source times the
            "envelope" that the file was fitted within.
        mask: name of the mask; "none" or "envelope" where there is no other.
        resolution: the worst shell is sought to here, Angstrom; None: to Nyquist.
    """

    curve: ShellCurve
    within: Within
    mask: str
    resolution: float | None

    WHAT: ClassVar = "fidelity FSC (decoded against source; not a half-map FSC)"
    ALSO: ClassVar = ("worst", "worst_shell", "worst_at", "mean")

    @property
    def crossings(self) -> tuple[Crossing, ...]:
        """Where the curve first falls below each of `THRESHOLDS`."""
        return tuple(self.curve.crossing_at(threshold) for threshold in THRESHOLDS)

    @property
    def worst_shell(self) -> int | None:
        """Index of the lowest counted shell to the resolution; None if none counts."""
        return self.curve.worst_shell(self.resolution)

    @property
    def worst_at(self) -> float | None:
        """Resolution of that shell, Angstrom."""
        shell = self.worst_shell
        return None if shell is None else float(1 / self.curve.frequency[shell])

    @property
    def worst(self) -> float:
        """Lowest correlation of the counted shells to the resolution; NaN if none counts."""
        shell = self.worst_shell
        return float("nan") if shell is None else float(self.curve.fsc[shell])

    @property
    def mean(self) -> float:
        """Mean correlation of the counted shells to the resolution; NaN if none counts."""
        counted = self.curve.counted(self.resolution)
        return float(self.curve.fsc[counted].mean()) if counted.any() else float("nan")


def over_the_box(compared: Comparison) -> Fidelity:
    """FSC over the whole box."""
    return Fidelity(compared.curve, "box", "none", compared.resolution)


def in_the_mask(compared: Comparison) -> Fidelity | None:
    """FSC of both maps times the mask; None without one."""
    if compared.mask is None:
        return None
    mask = compared.mask.values
    first, second = (
        Planes.of(density.values).times(mask.__getitem__) for density in (compared.decoded, compared.source)
    )
    return Fidelity(compared.correlate(first, second), "mask", compared.mask_name, compared.resolution)


def in_the_envelope(compared: Comparison) -> Fidelity | None:
    """FSC of the decode with the source times the envelope of the fit; None where the file keeps none."""
    if compared.extras.fitted is None:
        return None
    curve = compared.correlate(Planes.centred(compared.decoded.values), compared.extras.fitted)
    return Fidelity(curve, "envelope", "envelope", compared.resolution)
