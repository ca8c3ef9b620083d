"""What is said of a fit: one sentence for each value, and nothing for what a file does not hold."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from nmap.outcomes import (
    BandLimitOutcome,
    Code,
    CrossValidationOutcome,
    MaskOutcome,
    Notice,
    OutsideOutcome,
    ShellValue,
    SymmetryOutcome,
    to_json,
)
from nmap.report.finding_words import recorded_crossing_words
from nmap.report.fit_words import (
    band_limit_words,
    cross_validation_words,
    margin_words,
    mask_words,
    notice_words,
    notices_words,
    symmetry_words,
)
from nmap.spectrum import LowestMargin


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (
            MaskOutcome("found", found_by="valley", quiet=True, grown=1.6, left_out=0.0016),
            [
                "mask found automatically, widened by 1.6 A; almost no noise outside it",
                "0.16 % of the signal was cut off by the mask",
            ],
        ),
        (
            MaskOutcome("found", quiet=True, grown=0.0, left_out=1e-9),
            ["mask found automatically; almost no noise outside it"],
        ),
        (
            MaskOutcome("found", quiet=False, seen_at=6.0, left_out=0.2),
            [
                "mask found automatically",
                "found at 6 A, as noise hides the molecule in finer detail",
                "20 % of the map's power, noise included, lies outside the mask",
            ],
        ),
        (
            MaskOutcome(
                "given", name="m.mrc", copies="C4", outside=OutsideOutcome(True, ShellValue(0.05, 6.25))
            ),
            [
                "mask from m.mrc, where it exceeds 0.5",
                "and its copies under C4",
                "the half maps do not correlate outside the mask: FSC at most 0.050 at 6.25 A",
            ],
        ),
        (MaskOutcome("none"), ["no mask, as asked"]),
        (
            MaskOutcome("everything", why="fills", value=0.93),
            ["no mask: the whole box is kept", "density fills 93% of it"],
        ),
    ],
)
def test_a_mask_is_said_in_plain_words(outcome: MaskOutcome, said: list[str]) -> None:
    assert mask_words(to_json(outcome)) == said


def test_a_band_limit_says_where_it_comes_from() -> None:
    rules = get_args(BandLimitOutcome.__dataclass_fields__["rule"].type) or (
        "given",
        "sampling",
        "spectrum-end",
        "solvent-noise",
        "nyquist",
        "half-maps",
        "half-maps-nyquist",
    )
    said = [
        band_limit_words(to_json(BandLimitOutcome(rule, asked=2.0, threshold=0.143, within="envelope")))
        for rule in rules
    ]
    assert all(said) and len(set(said)) == len(said)
    assert "the half maps' FSC inside the mask falls below 0.143 there" in said


def test_a_symmetry_says_how_well_it_holds() -> None:
    assert symmetry_words(to_json(SymmetryOutcome("found", "C4", 0.9973, 0.0012))) == (
        "self-correlation 0.9973 +- 0.0012"
    )
    assert symmetry_words(to_json(SymmetryOutcome("none-holds", "C2", 0.41))) == (
        "none holds; the nearest is C2, self-correlation 0.4100"
    )


def test_a_margin_says_its_lowest_value_and_the_one_that_chance_explains_least() -> None:
    assert margin_words(to_json(LowestMargin(-0.02, 30.0, -2.0, -5.0, 20.0))) == (
        "at least -0.0200 at 30 A (-2.0 standard errors of the difference, at most 5.0 below, at 20 A)"
    )
    assert margin_words(to_json(LowestMargin(0.1, 60.0, 1.0, 1.0, 60.0))) == (
        "never below, at least +0.1000 at 60 A (+1.0 standard errors of the difference)"
    )


def test_a_cross_validation_says_whether_it_passed_and_each_region() -> None:
    lowest = LowestMargin(-0.004, 30.0, -4.0, -4.0, 30.0)
    said = cross_validation_words(to_json(CrossValidationOutcome(True, lowest, lowest, -0.01)))
    assert said[0] == "passed"
    assert said[1].startswith("whole box: at least -0.0040 at 30 A")
    assert said[2].startswith("inside the mask, half 1 cut as well, allowed -0.01: at least -0.0040")


FACTS: dict[str, Any] = {
    "worst": 0.8765,
    "goal": 0.9,
    "of": "fsc",
    "late": True,
    "symmetry_unsought": True,
    "group": "C4",
    "error": "MemoryError: too large",
    "budget": 20.0,
    "seconds": 1.5,
    "what": "the fidelity",
    "skewness": 0.01,
    "kurtosis": -0.02,
    "arch": "siren",
    "taken": "radial-basis",
    "quicker": "radial-basis",
    "minutes": 12.3,
    "functions": 3,
    "lowest": 0.71,
    "frames": 12,
}


@pytest.mark.parametrize("code", get_args(Code))
def test_every_notice_has_words(code: str) -> None:
    assert notice_words(code, FACTS)


def test_a_correlation_in_a_notice_is_never_rounded_up() -> None:
    assert to_json(Notice("goal-not-reached", {"worst": 0.97988}))["facts"]["worst"] == 0.9798
    assert "worst shell 1.2500 of what" in notice_words("share-reached", {"worst": 1.25, "of": "noise"})
    assert "0.8799 " in notice_words("below-goal", {"worst": 0.8799, "goal": 0.9})


@pytest.mark.parametrize(
    "odd", [{}, {"rule": 3}, {"rule": "found", "grown": "far"}, {"rule": "everything", "why": []}]
)
def test_what_a_file_does_not_hold_is_left_out(odd: dict[str, Any]) -> None:
    assert all(isinstance(line, str) for line in mask_words(odd))
    assert band_limit_words(odd) == "" and symmetry_words(odd) == ""


@pytest.mark.parametrize(
    "odd", [None, "text", {"code": "late"}, [1, "x", {"code": "late"}, {"code": "new", "facts": {}}]]
)
def test_notices_that_this_version_does_not_know_are_left_out(odd: Any) -> None:
    assert notices_words(odd) == []


@pytest.mark.parametrize(
    ("worst", "to", "said"),
    [
        (0.9008, 3.2, "FSC 0.5 not before 3.2 A"),
        (0.41, 3.2, "FSC 0.5 at 3.24 A"),
        (None, None, "FSC 0.5 at 3.24 A"),
    ],
)
def test_a_curve_that_holds_to_the_last_shell_kept_crosses_nothing_before(
    worst: float | None, to: float | None, said: str
) -> None:
    assert recorded_crossing_words("0.5", 3.24, worst, to) == said
