"""What was found of a series, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmap.axis import Axis
from nmap.compare.measures import Measure, measure_of
from nmap.plain_text import printable
from nmap.report.finding_words import limit_words, measure_words
from nmap.spectrum import floored

if TYPE_CHECKING:
    from nmap.model.network import Network
    from nmap.series_validation import SeriesValidation

# Sources that are named one by one.
_NAMED = 3


def axis_name(axis: Axis) -> str:
    """The name of an axis, fit for a terminal and a page."""
    return printable(axis.name)


def axis_words(axis: Axis) -> str:
    """How many frames, and where: "5 frames, t from 0 to 1"."""
    turns = "" if axis.period is None else f", a cycle of {axis.period:g}"
    return f"{len(axis.at)} frames, {axis_name(axis)} from {axis.first:g} to {axis.last:g}{turns}"


def motion_words(network: Network) -> str:
    """How far parts move, where a motion is stored; "" without one."""
    axis = network.fourth_axis
    motions = [] if axis is None else [network.motion(t) for t in axis.at]
    nodes = [motion.nodes for motion in motions if motion is not None]
    if not nodes:
        return ""
    middle = np.mean(nodes, axis=0)
    most = max(float(np.linalg.norm(one - middle, axis=-1).max()) for one in nodes)
    return f"parts move by up to {most:.2g} A from the middle; between frames they are moved on"


def source_words(files: list[str]) -> str:
    """The files of a series, by the name of each frame's."""
    names = list(dict.fromkeys(files))
    if len(names) == 1:
        return f"{names[0]}, a stack of {len(files)} volumes"
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{names[0]} to {names[-1]}, {len(names)} files"


def series_rows(found: SeriesValidation) -> list[tuple[str, str]]:
    """A row for each frame with its worst shell, then one for every measure: its worst value, its mean, its limit."""
    name = axis_name(found.axis)
    rows = [
        (
            f"{name} = {t:.4g}",
            f"{'holds' if frame.holds else 'falls short'}, lowest FSC {floored(frame.judged.worst)}",
        )
        for t, frame in zip(found.axis.at, found.frames, strict=True)
    ]
    for number, (key, (worst, mean)) in enumerate(found.summary().items()):
        rows.append(
            ("Every frame" if number == 0 else "", _measure_line(found, measure_of(key), worst, mean))
        )
    return rows


def _measure_line(found: SeriesValidation, measure: Measure, worst: float, mean: float) -> str:
    said = f"worst {measure.written(worst)}, mean {measure.written(mean)}"
    if worst == mean:
        said = measure.written(mean)
    elif measure.say is not None:
        said = f"worst frame, {measure.written(worst)}; mean, {measure.written(mean)}"
    said = f"{measure_words(measure, found.frames[0])}: {said}"
    checks = found.checks(measure.name)
    if not checks:
        return said
    short = sum(not check.holds for check in checks)
    verdict = "holds" if not short else f"falls short in {short} of {len(checks)} frames"
    return f"{said}; {verdict}, wanted {limit_words(checks[0])}"


def order_lines(found: SeriesValidation, names: list[str]) -> list[str]:
    """What seems wrong with the order of the sources: a line for all, or one for each frame.

    Args:
        found: what was found.
        names: of the sources, one for each frame.
    """
    if not found.misplaced:
        return []
    axis, advice = found.axis, "give the sources in the order in which they were encoded"
    if found.is_reversed:
        return [f"the sources seem to be in reverse order, the last one first: {advice}"]
    return [
        f"the frame at {axis_name(axis)} = {axis.at[m.frame]:g} fits source {m.fits + 1}, {names[m.fits]}, better than "
        f"source {m.frame + 1}, {names[m.frame]} (correlation {floored(m.correlation)} for {floored(m.own)}): {advice}"
        for m in found.misplaced
    ]
