"""How a fit was decided and what happened on the way, as values. `nmap.report.fit_words` makes sentences of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from nmap.spectrum import LowestMargin, floored

# Facts of notices that are rounded down.
_DOWN = ("worst",)


def to_json(value: Any) -> Any:
    """An outcome as JSON values: nested objects without the parts that are None, numbers to four digits.

    A worst shell is rounded down, as it is wherever it is printed: it must not read as if it reached its goal.
    """
    if is_dataclass(value) and not isinstance(value, type):
        parts = {part.name: to_json(getattr(value, part.name)) for part in fields(value)}
        return {name: part for name, part in parts.items() if part is not None}
    if isinstance(value, Mapping):
        down = {name: float(floored(value[name])) for name in _DOWN if isinstance(value.get(name), float)}
        return {**{name: to_json(part) for name, part in value.items()}, **down}
    return float(f"{value:.4g}") if isinstance(value, float) else value


@dataclass(frozen=True)
class BandLimitOutcome:
    """How the band limit was decided.

    Attributes:
        rule: "given"; "sampling": finer was asked for than the sampling holds; "spectrum-end": the map's power
            spectrum ends there; "solvent-noise": the map's power meets the noise of its solvent there; "nyquist": the
            power spectrum does not end before Nyquist; "half-maps": their FSC falls below the threshold there;
            "half-maps-nyquist": their FSC stays above it.
        asked: resolution that was asked for, Angstrom; of "sampling".
        threshold: FSC; of the half maps.
        within: where the half maps were compared.
    """

    rule: Literal[
        "given", "sampling", "spectrum-end", "solvent-noise", "nyquist", "half-maps", "half-maps-nyquist"
    ]
    asked: float | None = None
    threshold: float | None = None
    within: Literal["envelope", "box"] | None = None


@dataclass(frozen=True)
class ShellValue:
    """A correlation in one shell.

    Attributes:
        fsc: correlation.
        resolution: centre of the shell, Angstrom.
        errors: the same in standard errors; None where these do not decide.
    """

    fsc: float
    resolution: float
    errors: float | None = None


@dataclass(frozen=True)
class OutsideOutcome:
    """How far two half maps correlate outside an envelope.

    Attributes:
        passed: whether they do so in no shell.
        highest: the highest FSC among shells of many modes; None where there are none.
        highest_of_few: the highest in standard errors among shells of few modes; None where there are none.
    """

    passed: bool
    highest: ShellValue | None = None
    highest_of_few: ShellValue | None = None


@dataclass(frozen=True)
class MaskOutcome:
    """How the envelope was decided.

    Attributes:
        rule: "none": nothing was masked, as asked; "given": a mask file or map; "found": from the map alone;
            "everything": the whole box is kept, `why` says for what reason.
        name: file of the mask that was given.
        resampled_from: its grid, where that is not the map's.
        copies: point group whose copies of the given mask were added.
        found_by: what told molecule from solvent: "valley" in the histogram of the local rms, "not-constant" solvent,
            "stands-out" of the solvent's local rms.
        seen_at: resolution at which it was found, Angstrom, where noise hides it at the band limit.
        parts_seen_at: resolution at which further parts stood out, Angstrom; None without such parts.
        quiet: whether there is almost no noise in the solvent.
        grown: how far a found mask was widened, Angstrom.
        grown_for_halves: how much of that for what the half maps share outside, Angstrom.
        why: "nothing-found", "fills" (`value`: share of the box), "faint" (`value`: how many times as strong as the
            rest), "little-variance" (`value`: share of the variance), "mask-fills", "too-much-outside" (`value`: share
            of a shell's power), "noise-kept": the solvent's noise is kept, as asked.
        value: the number of `why`.
        left_out: share of the variance within the band limit that lies outside the envelope.
        outside: how far the half maps correlate outside.
    """

    rule: Literal["none", "given", "found", "everything"]
    name: str | None = None
    resampled_from: str | None = None
    copies: str | None = None
    found_by: Literal["valley", "not-constant", "stands-out"] | None = None
    seen_at: float | None = None
    parts_seen_at: float | None = None
    quiet: bool | None = None
    grown: float | None = None
    grown_for_halves: float | None = None
    why: (
        Literal[
            "nothing-found",
            "fills",
            "faint",
            "little-variance",
            "mask-fills",
            "too-much-outside",
            "noise-kept",
        ]
        | None
    ) = None
    value: float | None = None
    left_out: float | None = None
    outside: OutsideOutcome | None = None


@dataclass(frozen=True)
class SymmetryOutcome:
    """How the point group was decided.

    Attributes:
        rule: "asked"; "found": the highest that holds; "none-holds"; "no-time" to look for it; "oblique": the cell's
            axes are not at right angles; "not-sought": the kind of network has no symmetry.
        measured: the group that was measured: the one taken, or the nearest to holding.
        correlation: its self-correlation inside the envelope.
        error: standard error of that between half maps.
    """

    rule: Literal["asked", "found", "none-holds", "no-time", "oblique", "not-sought"]
    measured: str | None = None
    correlation: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class CrossValidationOutcome:
    """How a decode of half 1 stands to half 2, beside half 1 itself.

    Attributes:
        passed: whether it is as close to half 2 in every shell.
        whole_box: FSC(decode, half 2) - FSC(half 1, half 2), over the whole box.
        inside: the same inside the envelope, half 1 cut at the band limit; None without an envelope.
        allowed: lowest difference inside that passes.
    """

    passed: bool
    whole_box: LowestMargin
    inside: LowestMargin | None
    allowed: float


Code = Literal[
    "below-goal",
    "goal-not-reached",
    "share-reached",
    "fitted-as-c1",
    "no-time-to-grow",
    "attempt-failed",
    "cut-short",
    "no-checkpoint",
    "not-recorded",
    "late",
    "like-noise",
    "shared-part",
    "quicker-kind",
    "no-room",
    "no-time-for-motion",
    "long",
]


@dataclass(frozen=True)
class Notice:
    """Something that a user should know of a fit.

    Attributes:
        code: "below-goal": `worst` shell FSC below `goal`; "goal-not-reached": `worst` of `of` ("fsc", "noise"
            or "cross-validation"), `late` if time ended it, `symmetry_unsought` if time left none to look for one;
            "share-reached": `worst` shell as a share of what `of` ("half-maps", "noise" or "cross-validation") asks;
            "fitted-as-c1": with `group` the worst shell reached `worst` only; "no-time-to-grow"; "attempt-failed":
            a further attempt ended with `error`, the network before it was kept; "cut-short": a fit ended with `error`,
            its best network was kept; "no-checkpoint": keeping its state ended with `error`; "not-recorded": `what`
            of the record is missing after an `error`; "late": the answer came `seconds` after the time `budget`;
            "like-noise": the map's values have the `skewness` and excess `kurtosis` of noise; "quicker-kind": the kind
            `arch` would take `seconds`, more than there is time for: `taken` is fitted; "no-room": the kind `arch`
            would take more memory than is free: `taken` is fitted; "no-time-for-motion": the
            motion of a series was left out, for want of time; "long": the fit takes `minutes`, the kind `quicker`
            less; "shared-part": frames of a series differ by noise: `functions` of the axis hold what they share,
            `worst` is the lowest shell with that, and `frames` the lowest with the frames themselves.
        facts: the numbers and names that belong to the code, JSON values.
    """

    code: Code
    facts: Mapping[str, Any] = field(default_factory=dict)
