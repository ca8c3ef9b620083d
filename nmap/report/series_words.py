"""What was found of a series, in words."""

from __future__ import annotations

from nmap.compare.measures import MEASURES
from nmap.series_validation import SeriesValidation
from nmap.spectrum import floored

_NAMES = {measure.name: measure for measure in MEASURES}


def series_lines(found: SeriesValidation) -> list[str]:
    """A line for each frame with its worst shell, then the worst and the mean of every measure."""
    name = found.axis.name
    lines = [
        f"{name} = {t:<8.4g} worst shell {floored(frame.judged.worst)}, {'holds' if frame.holds else 'falls short'}"
        for t, frame in zip(found.axis.at, found.frames, strict=True)
    ]
    for key, (worst, mean) in found.summary().items():
        measure = _NAMES[key]
        lines.append(f"{key}: worst {measure.written(worst)}, mean {measure.written(mean)}")
    return lines
