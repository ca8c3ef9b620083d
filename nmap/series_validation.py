"""Validate a series: each measured frame against its source, and the worst and the mean of every measure."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmap.axis import Axis
from nmap.compare.findings import Findings
from nmap.compare.measures import MEASURES, Limits
from nmap.errors import OptionError
from nmap.inspection import series_json
from nmap.maps import DEFAULT_READING, DensityMap, ReadOptions, read_series
from nmap.spectrum import Convention
from nmap.validation import PathLike, Validation, validate_file

if TYPE_CHECKING:
    from nmap.container import MapFile


@dataclass(frozen=True, eq=False)
class SeriesValidation:
    """The findings of each frame.

    Attributes:
        axis: of the series.
        frames: what was found, in order.
    """

    axis: Axis
    frames: tuple[Findings, ...]

    @property
    def holds(self) -> bool:
        """Whether every frame keeps every limit."""
        return all(found.holds for found in self.frames)

    def summary(self) -> dict[str, tuple[float, float]]:
        """The worst value of each measure, and its mean over the frames; those that no frame has are left out."""
        out = {}
        for measure in MEASURES:
            values = [value for found in self.frames if (value := measure.value(found)) is not None]
            if values:
                worst = min(values) if measure.relation == ">=" else max(values)
                out[measure.name] = (float(worst), float(np.mean(values)))
        return out

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values: the axis, worst and mean, and the findings of each frame."""
        summary = {
            name: [value if math.isfinite(value) else None for value in both]
            for name, both in self.summary().items()
        }
        return {
            "schema": "nmap-validate-series/1",
            "holds": self.holds,
            "series": series_json(self.axis),
            "worst": {name: worst for name, (worst, _) in summary.items()},
            "mean": {name: mean for name, (_, mean) in summary.items()},
            "frames": [
                {"at": t, "findings": found.to_json()}
                for t, found in zip(self.axis.at, self.frames, strict=True)
            ],
        }


def validate_series(
    file: PathLike | MapFile,
    sources: Sequence[DensityMap | PathLike],
    *,
    resolution: float | None = None,
    mask: DensityMap | PathLike | None = None,
    model: PathLike | None = None,
    limits: Limits | None = None,
    off_grid: bool | None = None,
    convention: Convention = "nmap",
    reading: ReadOptions = DEFAULT_READING,
    each: Callable[[float, Validation], None] | None = None,
) -> SeriesValidation:
    """Measure how true a series is to the maps it was made from; arguments and failures as `validate_file`.

    Args:
        file: the `.nmap` file of a series, or what it was opened as.
        sources: its frames in order, or their paths; a file may be a stack of volumes.
        resolution: shells count to here, Angstrom.
        mask: of all frames.
        model: an atomic model, held against every frame.
        limits: what every frame is held against.
        off_grid: whether to decode at twice the sampling too.
        convention: of the shells.
        reading: how the maps given as paths are read.
        each: called with the position and the validation of each frame, with its maps.

    Raises:
        OptionError: another number of maps than the series has frames, or a file of one map.
    """
    from nmap.container import MapFile, open_file

    opened = file if isinstance(file, MapFile) else open_file(file)
    axis, name = opened.neural_map.axis, os.fspath(opened.path)
    densities = read_series(sources, reading)
    if axis is None:
        raise OptionError(
            f"{name} holds one map, {len(densities)} sources were given: give the one it was made from"
        )
    if len(densities) != len(axis.at):
        raise OptionError(
            f"{name} holds {len(axis.at)} frames, {len(densities)} maps were given: give the maps that it was made "
            "from, in order"
        )
    found = []
    for t, density in zip(axis.at, densities, strict=True):
        done = validate_file(
            opened,
            density,
            resolution=resolution,
            mask=mask,
            model=model,
            limits=limits,
            off_grid=off_grid,
            convention=convention,
            reading=reading,
            at=t,
        )
        found.append(done.findings)
        if each is not None:
            each(t, done)
    return SeriesValidation(axis, tuple(found))
