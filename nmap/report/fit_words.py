"""What is said of a fit: sentences for the values in `nmap.outcomes`, as a file's record keeps them.

Every function takes JSON values, for they may come from a file. What a file does not hold, or holds in another form,
is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nmap.side_chains import SideChains
from nmap.spectrum import floored

Values = Mapping[str, Any]

# Share of the variance outside a mask below which nothing is said of it.
_NOTHING_LEFT_OUT = 5e-5

STAGES = {
    "preparing": "preparing the map",
    "measuring-symmetry": "measuring the symmetry",
    "laying-out": "preparing the fit",
    "fitting": "fitting",
    "beyond-envelope": "fitting beyond the mask",
    "storing": "storing and measuring",
    "done": "done",
}

_BAND_LIMITS = {
    "given": "as asked",
    "spectrum-end": "estimated: the map's power ends there",
    "solvent-noise": "estimated: finer detail is lost in noise",
    "nyquist": "estimated: the finest that the voxels hold, as the map's power does not end before",
    "half-maps": "the half maps' FSC {within} falls below {threshold:g} there",
    "half-maps-nyquist": "the finest that the voxels can hold: the half maps' FSC {within} stays above {threshold:g}",
    "sampling": "the finest that the voxels can hold: {asked:g} A was asked for",
}
_ESTIMATED = ("spectrum-end", "solvent-noise", "nyquist")

_EVERYTHING = {
    "nothing-found": "no molecule stands out of the solvent",
    "fills": "density fills {value:.0%} of it",
    "faint": "no solvent found: what stands out is only {value:.2g} times as strong as the rest",
    "little-variance": "no solvent found: what stands out holds only {value:.0%} of the variance",
    "mask-fills": "the mask fills it",
    "noise-kept": "the solvent's noise is kept, as asked",
    "too-much-outside": "a mask would cut off {value:.1%} of the power in some shell, too much for this goal",
}

_NOTICES = {
    "below-goal": "worst shell FSC {worst} is below {goal:g}: more time or a larger network may raise it",
    "share-reached": "worst shell {worst} of what {of} ask",
    "fitted-as-c1": "with symmetry {group} the worst shell FSC was only {worst}: fitted as C1",
    "no-time-to-grow": "a larger network was not tried, for it would have taken too long: a longer encode "
    "--time-budget allows one",
    "attempt-failed": "a further attempt failed, and the network before it was kept ({error})",
    "cut-short": "the fit failed before its end, and the best network so far was kept ({error})",
    "no-checkpoint": "the state of the fit could not be kept: a fit that is ended begins anew ({error})",
    "not-recorded": "the file does not tell its {what}: that failed, the network is whole ({error})",
    "late": "the fit took {seconds:.1f} s longer than its time budget",
    "shared-part": "frames differ by noise: what they share is held, by {functions} functions of the axis; lowest FSC "
    "{worst} with that, {frames} with the frames themselves",
    "quicker-kind": "the time budget is too short for {arch} (about {seconds:.0f} s): {taken} is fitted; --arch {arch} "
    "insists",
    "no-room": "this machine has too little free memory for {arch}: {taken} is fitted; --arch {arch} insists",
    "no-time-for-motion": "the time budget is too short to look for a motion: frames are held as densities alone",
    "long": "this fit takes about {minutes:.0f} min: --arch {quicker} takes far less, --time-budget sets an end",
    "like-noise": "this looks like a map of noise: its values are spread as those of noise (skewness {skewness:.2f}, "
    "excess kurtosis {kurtosis:.2f}; molecules have 0.8 and more): the file keeps noise",
}


def values_of(item: Any) -> dict[str, Any]:
    """An item of a record as an object; empty if it is none."""
    return dict(item) if isinstance(item, Mapping) else {}


def band_limit_words(outcome: Values) -> str:
    """How the band limit was decided; "" if that is not recorded."""
    within = "inside the mask" if outcome.get("within") == "envelope" else "over the whole box"
    return _filled(_BAND_LIMITS, outcome.get("rule"), {**outcome, "within": within})


def is_estimated(outcome: Values) -> bool:
    """Whether the band limit is an estimate that a user who knows better should replace."""
    return outcome.get("rule") in _ESTIMATED


def mask_words(outcome: Values) -> list[str]:
    """How the envelope was decided, a line for each thing to say."""
    rule = outcome.get("rule")
    if rule == "none":
        return ["no mask, as asked"]
    if rule == "everything":
        why = _filled(_EVERYTHING, outcome.get("why"), outcome)
        given = _given_words(outcome) if outcome.get("name") or outcome.get("resampled_from") else []
        return ["no mask: the whole box is kept", *([why] if why else []), *given]
    if rule not in ("found", "given"):
        return []
    lines = _given_words(outcome) if rule == "given" else _found_words(outcome)
    left_out = _number(outcome, "left_out")
    if left_out is not None and left_out >= _NOTHING_LEFT_OUT:
        noisy = rule == "found" and not outcome.get("quiet")
        cut = "of the map's power, noise included, lies outside the mask" if noisy else ""
        lines.append(f"{float(f'{100 * left_out:.2g}'):g} % {cut or 'of the signal was cut off by the mask'}")
    outside = outcome.get("outside")
    return [*lines, *(_outside_words(outside) if isinstance(outside, Mapping) else [])]


def _found_words(outcome: Values) -> list[str]:
    grown, for_halves = _number(outcome, "grown") or 0.0, _number(outcome, "grown_for_halves") or 0.0
    widened = f", widened by {grown:.3g} A" if grown else ""
    quiet = "; almost no noise outside it" if outcome.get("quiet") else ""
    lines = [f"mask found automatically{widened}{quiet}"]
    if for_halves:
        lines.append(f"{for_halves:.3g} A of that as the half maps share signal there")
    if (seen := _number(outcome, "seen_at")) is not None:
        lines.append(f"found at {seen:.3g} A, as noise hides the molecule in finer detail")
    if (seen := _number(outcome, "parts_seen_at")) is not None:
        lines.append(f"with parts that show at {seen:.3g} A only")
    return lines


def _given_words(outcome: Values) -> list[str]:
    name, copies, grid = (outcome.get(part) for part in ("name", "copies", "resampled_from"))
    lines = [f"mask from {name or 'the caller'}, where it exceeds 0.5"]
    if copies:
        lines.append(f"and its copies under {copies}")
    if grid:
        lines.append(f"resampled from {grid}")
    return lines


def _outside_words(outside: Values) -> list[str]:
    parts = []
    if highest := values_of(outside.get("highest")):
        parts.append(f"FSC at most {highest.get('fsc', 0):.3f} at {highest.get('resolution', 0):.3g} A")
    if few := values_of(outside.get("highest_of_few")):
        parts.append(
            f"in shells of few modes {few.get('fsc', 0):.3f} at {few.get('resolution', 0):.3g} A, "
            f"{few.get('errors', 0):.1f} standard errors"
        )
    verb = "do not correlate" if outside.get("passed") else "still correlate"
    return [f"the half maps {verb} outside the mask: {', '.join(parts)}"]


def symmetry_words(outcome: Values) -> str:
    """How the point group was decided; "" if there is nothing to say."""
    measured, correlation = outcome.get("measured"), _number(outcome, "correlation")
    rule = outcome.get("rule")
    if rule == "no-time":
        return "the time budget left none to look for it"
    if rule == "oblique":
        return "not looked for: the cell's axes are not at right angles"
    if correlation is None:
        return "as asked" if rule == "asked" else ""
    error = _number(outcome, "error")
    said = f"self-correlation {floored(correlation)}" + (f" +- {error:.4f}" if error is not None else "")
    return f"none holds; the nearest is {measured}, {said}" if rule == "none-holds" else said


def side_chain_words(found: SideChains) -> str:
    """What a file's record tells of side chains."""
    return {
        "kept": f"kept: the worst shell reaches the {found.wanted:g} of goal faithful",
        "may-be-missing": f"may be missing, the weakest first: a worst shell of {found.wanted:g} keeps them",
        "not-known": "not known from the file; nmap validate FILE SOURCE tells",
    }[found.verdict]


def margin_words(margin: Values) -> str:
    """Where one map falls furthest below another in correlation with a third (`nmap.spectrum.LowestMargin`)."""
    value, errors, lowest = (float(margin.get(n) or 0.0) for n in ("value", "errors", "lowest_errors"))
    parts = f"{errors:+.1f} standard errors of the difference"
    if lowest < min(errors, 0):
        at = float(margin.get("lowest_errors_resolution") or 0.0)
        parts += f", at most {-lowest:.1f} below, at {at:.3g} A"
    never = "never below, " if value >= 0 else ""
    return f"{never}at least {value:+.4f} at {float(margin.get('resolution') or 0.0):.3g} A ({parts})"


def cross_validation_words(outcome: Values) -> list[str]:
    """How a decode of half 1 stands to half 2, a line for each region."""
    lines = ["passed" if outcome.get("passed") else "failed"]
    if whole := values_of(outcome.get("whole_box")):
        lines.append(f"whole box: {margin_words(whole)}")
    if inside := values_of(outcome.get("inside")):
        allowed = float(outcome.get("allowed") or 0.0)
        lines.append(f"inside the mask, half 1 cut as well, allowed {allowed:g}: {margin_words(inside)}")
    return lines


def notice_words(code: str, facts: Values) -> str:
    """What a notice says; "" for one that this version does not know."""
    told = dict(facts)
    if (worst := _number(facts, "worst")) is not None:
        told["worst"] = floored(worst)
    if (frames := _number(facts, "frames")) is not None:
        told["frames"] = floored(frames)
    asked_by = {"half-maps": "the half maps", "cross-validation": "cross-validation and half map 2"}
    asked_by["noise"] = "a quarter of the map's noise and half that"
    if code == "share-reached":
        told["of"] = asked_by.get(str(facts.get("of")), "the half maps")
    if code == "goal-not-reached":
        shares = {"fsc": "FSC", "noise": "as a share of what an error of a quarter of the noise allows"}
        what = shares.get(str(facts.get("of")), "as a share of what cross-validation asks")
        why = " in the time given" if facts.get("late") else ""
        why += ", which left none to look for symmetry" if facts.get("symmetry_unsought") else ""
        return f"the goal was not reached{why}: worst shell {what} {told.get('worst', '')}"
    return _filled(_NOTICES, code, told)


def notices_words(notices: Any) -> list[str]:
    """What the notices of a record say."""
    items = notices if isinstance(notices, Iterable) and not isinstance(notices, str | Mapping) else []
    said = [notice_words(str(v.get("code")), values_of(v.get("facts"))) for v in map(values_of, items)]
    return [words for words in said if words]


def _number(values: Values, name: str) -> float | None:
    found = values.get(name)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _filled(table: Mapping[str, str], key: Any, values: Values) -> str:
    """The sentence of a key with its values put in; "" if there is none, or a value is missing or of another kind."""
    try:
        return table[key].format(**values) if isinstance(key, str) and key in table else ""
    except (KeyError, ValueError, TypeError, IndexError, AttributeError):
        return ""
