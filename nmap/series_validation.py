"""Validate a series: each measured frame against its source, and the worst and the mean of every measure.

Whether the sources came in the order of the frames is found by holding every frame against every source, on a lattice
of few points.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmap.axis import Axis
from nmap.compare.findings import Findings
from nmap.compare.json_values import fields_json
from nmap.compare.measures import MEASURES, Check, Limits
from nmap.errors import OptionError
from nmap.grid import Grid
from nmap.inspection import series_json
from nmap.maps import DEFAULT_READING, DensityMap, ReadOptions, read_series
from nmap.spectrum import Convention, lattice_shape, transform_values
from nmap.validation import PathLike, Validation, validate_file

if TYPE_CHECKING:
    from nmap.container import MapFile

ORDER_POINTS = 1 << 16
"""Points at most of the lattice on which frames are told apart: it is held for every frame and every source."""

BETTER = 0.8
"""A frame fits another source better where it misses less than this share of what it misses for its own."""

_COARSER = 1.25
"""Step of the resolution by which a lattice of few points is found."""


@dataclass(frozen=True)
class Misplaced:
    """A frame that fits the source of another one better than its own.

    Attributes:
        frame: its number, from 0.
        fits: the number of the source that it fits best, from 0.
        correlation: with that one.
        own: with the source in its place.
    """

    frame: int
    fits: int
    correlation: float
    own: float


@dataclass(frozen=True, eq=False)
class SeriesValidation:
    """The findings of each frame.

    Attributes:
        axis: of the series.
        frames: what was found, in order.
        misplaced: frames whose source seems to be another's.
    """

    axis: Axis
    frames: tuple[Findings, ...]
    misplaced: tuple[Misplaced, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every frame keeps every limit, and has its own source."""
        return not self.misplaced and all(found.holds for found in self.frames)

    @property
    def is_reversed(self) -> bool:
        """Whether the sources seem to have come from the last to the first."""
        last = len(self.frames) - 1
        ends = {0, last} <= {m.frame for m in self.misplaced}
        return ends and all(m.fits == last - m.frame for m in self.misplaced)

    def checks(self, name: str) -> list[Check]:
        """What was held against the limit of a measure, of each frame that has it."""
        return [check for found in self.frames for check in found.checks if check.name == name]

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
            "misplaced": [fields_json(misplaced) for misplaced in self.misplaced],
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
    order = _Order(opened.neural_map.grid, opened.neural_map.field.band_limit)
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
        order.add(done.decoded, done.source)
        if each is not None:
            each(t, done)
    return SeriesValidation(axis, tuple(found), order.misplaced())


class _Order:
    """Frames and sources on one lattice of few points, to tell which belong together.

    Args:
        grid: of the series.
        band_limit: of the series, Angstrom; None for none.
    """

    def __init__(self, grid: Grid, band_limit: float | None) -> None:
        finest = max(band_limit or 0.0, 1 / grid.nyquist)
        while math.prod(lattice_shape(grid, finest)) > ORDER_POINTS:
            finest *= _COARSER
        self._lattice = lattice_shape(grid, finest)
        self._decoded: list[NDArray[np.complex64]] = []
        self._sources: list[NDArray[np.complex64]] = []

    def add(self, decoded: DensityMap, source: DensityMap) -> None:
        """Take one more frame and its source."""
        self._decoded.append(self._unit(decoded))
        self._sources.append(self._unit(source))

    def misplaced(self) -> tuple[Misplaced, ...]:
        """The frames that fit another source than their own."""
        correlation = np.real(np.array(self._decoded) @ np.array(self._sources).conj().T)
        out = []
        for frame, row in enumerate(correlation):
            own, fits = float(row[frame]), int(row.argmax())
            if 1 - row[fits] < BETTER * (1 - own):
                out.append(Misplaced(frame, fits, float(row[fits]), own))
        return tuple(out)

    def _unit(self, density: DensityMap) -> NDArray[np.complex64]:
        """The half transform of a map about its mean, of length 1."""
        half = transform_values(density.values, self._lattice)
        half[0, 0, 0] = 0
        # Each of these stands for its mirror image too.
        half[:, :, 1:] *= math.sqrt(2)
        flat = half.reshape(-1).astype(np.complex64)
        return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-30))
