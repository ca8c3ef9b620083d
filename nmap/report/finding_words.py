"""What findings say, in words: one function a subject, for the page and for the command line alike.

Values come in, text goes out; nothing is measured here. Lengths are in Angstrom.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nmap.compare.measures import measure_of
from nmap.spectrum import Crossing, ShellCurve, floored, worded

if TYPE_CHECKING:
    from nmap.compare.fidelity import Fidelity
    from nmap.compare.findings import Findings, Remark
    from nmap.compare.half_maps import HalfMaps
    from nmap.compare.measures import Check, Measure
    from nmap.grid import Grid, Triple
    from nmap.maps.contour import Contour


def where(fidelity: Fidelity) -> str:
    """What a fidelity FSC was measured on."""
    return f"inside the mask {fidelity.mask}" if fidelity.within == "mask" else region(fidelity.within)


def region(within: str) -> str:
    """The same of what a file records: "envelope", or anything else for the whole box."""
    return "inside the file's mask" if within == "envelope" else "over the whole box"


def reach(resolution: float | None) -> str:
    """To which resolution shells count."""
    return "to Nyquist" if resolution is None else f"to {resolution:.4g} A"


def measure_words(measure: Measure, found: Findings) -> str:
    """What a measure is, on these findings."""
    return _filled(measure.words, found)


def tile_words(measure: Measure, found: Findings) -> str:
    """Its caption on the report's first tiles."""
    return _filled(measure.tile, found)


def measured(measure: Measure, found: Findings) -> str:
    """A measure and its value; "" where it was not measured."""
    value = measure.value(found)
    if value is None:
        return ""
    said = measure.written(value)
    return said if measure.say is not None else f"{measure_words(measure, found)}: {said}"


def recorded_fsc_words(worst: float, resolution: float | None, within: str) -> str:
    """The FSC that a file's record states, in the words in which `validate` and the report say it."""
    measure = measure_of("fsc")
    return f"{measure.words.format(reach=reach(resolution), where=region(within))}: {measure.written(worst)}"


def check_words(check: Check, found: Findings) -> str:
    """How a measure stands to its limit, and for a promise that is kept, what that means."""
    measure = check.measure
    if check.holds and measure.good:
        return _filled(measure.good, found)
    return f"{measure_words(measure, found)} is {_held(check)}, wanted {limit_words(check)}"


def limit_words(check: Check) -> str:
    """What was wanted: "at least 0.95"."""
    wanted = "at least" if check.measure.relation == ">=" else "at most"
    return f"{wanted} {check.wanted:.10g} {check.measure.unit}".rstrip()


def _held(check: Check) -> str:
    """The value of a check; where it fails, with as many digits as it takes to read beyond its limit."""
    measure = check.measure
    said = measure.written(check.value)
    number = said.removesuffix(measure.unit)
    for digits in range(4, 18):
        if check.holds or not math.isfinite(check.value) or not measure.keeps(float(number), check.wanted):
            break
        number = f"{check.value:.{digits}g}"
        said = f"{number} {measure.unit}".rstrip()
    return said


def _filled(text: str, found: Findings) -> str:
    judged, limit = found.judged, found.band_limit
    filled = text.format(
        reach=reach(judged.resolution),
        where=where(judged),
        limit="Nyquist" if limit is None else f"{limit.limit:.4g} A",
    )
    return worded(filled, found.grid)


def remark_words(remark: Remark, grid: Grid) -> str:
    """What the reader of the numbers should know."""
    shown = {name: floored(float(remark.values[name])) for name in _CORRELATIONS if name in remark.values}
    values = {**remark.values, **shown}
    return worded(_REMARKS[remark.code].format(**values), grid)


# Values of remarks that are correlations.
_CORRELATIONS = ("mean_fsc", "correlation", "recorded")

_REMARKS = {
    "mask-leaks": "beyond the band limit the masked FSC shows what the mask smears out, not what the file holds",
    "no-mask": "no mask could be made: molecule and solvent look alike in this map",
    "off-grid-left-out": "finer sampling was not checked, as the map is large: --off-grid checks it",
    "other-map": "this looks like another map than the one that the file was made from, or like that one moved or "
    "changed: they correlate by {correlation} where the file's record has {recorded}, and the SHA-256 differs: give "
    "{file} as it was",
    "other-source": "this is not the very file that the .nmap was made from (its SHA-256 differs)",
    "part-of-source": "the file holds a part of the source: compared there, {grid}",
    "record-damaged": "the file's own record could not be read, its densities could: {reason}",
    "side-chains": "{of} may be missing, the weakest first: a worst shell of {wanted:g} keeps them",
    "unlike": "the file does not look like the source: mean FSC {mean_fsc}, correlation {correlation}: "
    "give the map that it was made from",
}


def crossing_words(crossing: Crossing, fidelity: Fidelity | None = None) -> str:
    """A crossing: "FSC 0.9 at 3.28 A"; of a fidelity "not before 3.2 A" where no shell to there lies below."""
    worst, to = (None, None) if fidelity is None else (fidelity.worst, fidelity.resolution)
    return recorded_crossing_words(f"{crossing.threshold:g}", crossing.resolution, worst, to)


def recorded_crossing_words(
    threshold: str, resolution: float | None, worst: float | None = None, to: float | None = None
) -> str:
    """The same of a threshold and the resolution where a curve first falls below it, Angstrom; None: nowhere.

    Args:
        threshold: correlation.
        resolution: between two shells, of which the finer may lie beyond `to`.
        worst: lowest correlation of the shells to `to`.
        to: Angstrom.
    """
    if worst is not None and to is not None and worst >= float(threshold):
        return f"FSC {threshold} not before {to:.4g} A"
    return f"FSC {threshold} " + ("not before Nyquist" if resolution is None else f"at {resolution:.2f} A")


def crossing_shells(crossing: Crossing) -> str:
    """The shells on both sides of a crossing; "" where there is none."""
    if crossing.first_below is None:
        return ""
    above = "" if crossing.last_above is None else f"above at {crossing.last_above:.2f} A, "
    return f"FSC {crossing.threshold:g}: {above}below at {crossing.first_below:.2f} A"


def shell_words(curve: ShellCurve, shell: int) -> str:
    """A shell by its number and its resolution."""
    return f"shell {shell} ({1 / curve.frequency[shell]:.2f} A)"


def worst_words(fidelity: Fidelity) -> str:
    """The lowest FSC and where it is."""
    if fidelity.worst_at is None:
        return f"no shell {reach(fidelity.resolution)} holds any signal"
    return f"lowest FSC {reach(fidelity.resolution)}: {floored(fidelity.worst)} at {fidelity.worst_at:.2f} A"


def same_source_words(same: bool | None) -> str:
    """Whether the source given is the one that the file was made from."""
    return {
        True: "the very file that this was made from",
        False: "not the file that this was made from",
        None: "the file does not say what it was made from",
    }[same]


def displacement_words(shift: Triple, grid: Grid) -> str:
    """How far a decode lies from its source, along the worst axis."""
    apart = max(abs(s * v) for s, v in zip(shift, grid.voxel_size, strict=True))
    if apart < 0.01:
        return "in place (to 0.01 A)"
    return f"displaced from the source by {apart:.2g} A"


def contour_lines(contour: Contour) -> list[str]:
    """Which level of the decode shows the surface that the source's recommended level shows."""
    if not math.isfinite(contour.decoded_level):
        return [f"the source's {contour.level:.4g} encloses nothing of it, or all"]
    kept = contour.at_same_level / contour.volume
    return [
        f"contour at {contour.decoded_level:.4g} where the source has {contour.level:.4g}: "
        "both enclose the same volume",
        f"the two surfaces share {100 * contour.overlap:.0f} % of their volume; at {contour.level:.4g} the decode "
        f"encloses {100 * kept:.0f} % of the source's",
    ]


def half_map_title(half_maps: HalfMaps, grid: Grid) -> str:
    """What a half-map curve is."""
    if half_maps.masked is None:
        return worded("Half-map FSC, unmasked", grid)
    if half_maps.randomised is None:
        return worded("Half-map FSC, masked", grid)
    return worded("Half-map FSC, masked, corrected by phase randomisation", grid)


def fidelity_title(found: Findings) -> str:
    """What a fidelity curve is; the words keep it from being taken for a half-map FSC."""
    title = (
        f"Fidelity FSC of {found.decoded} against {found.source}, {where(found.judged)} (not a half-map FSC)"
    )
    return worded(title, found.grid)
