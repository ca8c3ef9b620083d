"""A sweep of dense sine networks over depth, width and omega that can be interrupted and gone on with."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nmap.errors import OptionError
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress
from nmap.machine.atomic import atomic_output
from nmap.maps import DensityMap
from nmap.spectrum import CONVENTION, Shells, correlate_shells, resample, transform

DEPTHS = (3, 5, 7)
WIDTHS = (256, 512, 768)
OMEGAS = (30.0, 50.0, 70.0)
QUICK_WIDTHS = (16, 32, 64)
QUICK_STEPS = 150
QUICK_VOXELS = 48


@dataclass(frozen=True)
class Cell:
    """One network of a sweep, and how true it is.

    Attributes:
        depth: hidden layers after the first.
        width: neurons in a layer.
        omega: sine factor of every layer.
        parameters: weights and biases.
        bytes: weights, gains and envelope as stored.
        worst: lowest fidelity FSC over the shells that count.
        mean: mean fidelity FSC over them.
        seconds: fit, of the wall clock.
        limit: band limit (Angstrom), to which shells count; None in results that do not tell.
    """

    depth: int
    width: int
    omega: float
    parameters: int
    bytes: int
    worst: float
    mean: float
    seconds: float
    limit: float | None = None

    @property
    def key(self) -> tuple[int, int, float]:
        """Depth, width, omega."""
        return self.depth, self.width, self.omega


def _options() -> EncodeOptions:
    return EncodeOptions(arch="siren", weight_bits=16, mask="none")


@dataclass(frozen=True)
class Sweep:
    """Which networks to fit, and to what.

    Attributes:
        depths: hidden layers after the first.
        widths: neurons in a layer.
        omegas: sine factor of every layer.
        options: how to fit; arch, depth, width and omegas are the sweep's own.
    """

    depths: Sequence[int] = DEPTHS
    widths: Sequence[int] = WIDTHS
    omegas: Sequence[float] = OMEGAS
    options: EncodeOptions = field(default_factory=_options)

    @property
    def keys(self) -> list[tuple[int, int, float]]:
        """Depth, width and omega of every cell, in the order in which they are fitted."""
        return list(itertools.product(self.depths, self.widths, map(float, self.omegas)))

    def options_for(self, depth: int, width: int, omega: float) -> EncodeOptions:
        """How one cell is fitted."""
        return replace(
            self.options,
            arch="siren",
            hidden_layers=depth,
            hidden_features=width,
            omega0=omega,
            omega_hidden=omega,
        )

    def settings(self, source: DensityMap) -> dict[str, Any]:
        """What two sweeps must share for the cells of one to serve the other."""
        mask = self.options.mask
        return {
            "source": source.header.name if source.header else "",
            "sha256": source.header.sha256 if source.header else "",
            "shape_zyx": list(source.grid.shape),
            "voxel_size_xyz": list(source.grid.voxel_size),
            "resolution": self.options.resolution,
            "mask": mask if isinstance(mask, str) else "given",
            "steps": self.options.steps,
            "weight_bits": self.options.weight_bits,
            "seed": self.options.seed,
            "crop": self.options.crop,
            "downsample": self.options.downsample,
            "convention": CONVENTION,
        }


def quick(sweep: Sweep, source: DensityMap) -> Sweep:
    """A sweep of small networks on the map at about 48 samples a side: minutes, not days, without a GPU.

    Widths, steps, crop or downsampling that differ from the defaults stay.
    """
    options = replace(sweep.options, steps=sweep.options.steps or QUICK_STEPS)
    if options.downsample == 1 and options.crop is None:
        options = replace(options, downsample=max(1, min(source.grid.shape) // QUICK_VOXELS))
    widths = QUICK_WIDTHS if tuple(sweep.widths) == WIDTHS else sweep.widths
    return replace(sweep, widths=widths, options=options)


def run_sweep(
    source: DensityMap,
    sweep: Sweep,
    results: str | os.PathLike[str],
    *,
    report: Callable[[Cell, int, int, float], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[Cell]:
    """Fit every network of a sweep; cells that `results` holds already are taken from there.

    Args:
        source: the map.
        sweep: which networks.
        results: JSON file, written whole after each cell; it may be there from a run that was cut off.
        report: called with each cell that is fitted, how many are done, how many there are, and the seconds left
            by the pace so far, in proportion to the cells' parameters.
        progress: called with how far the fit of a cell is.

    Returns:
        The sweep's cells in order; the file keeps others of the same settings too.

    Raises:
        OptionError: the file is of another map or other settings, or an empty sweep.
    """
    keys = sweep.keys
    if not keys:
        raise OptionError("no depth, width or omega: wanted at least one of each")
    for depth, width, omega in keys:
        sweep.options_for(depth, width, omega)
    path, settings = Path(results), sweep.settings(source)
    known = {cell.key: cell for cell in read_cells(path, settings)}
    spent = work = 0.0
    for key in keys:
        if key in known:
            continue
        known[key] = _fit(source, sweep, key, progress)
        _write(path, settings, list(known.values()))
        spent, work = spent + known[key].seconds, work + known[key].parameters
        if report is not None:
            left = sum(_parameters(*k[:2]) for k in keys if k not in known)
            report(known[key], sum(k in known for k in keys), len(keys), spent / work * left)
    return [known[key] for key in keys]


def read_cells(path: Path, settings: dict[str, Any]) -> list[Cell]:
    """Cells of a results file of the same settings; none if there is no file.

    Raises:
        OptionError: the file is of other settings, or no such file.
    """
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        cells = [Cell(**cell) for cell in found["cells"]]
        theirs = dict(found["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise OptionError(
            f"{path}: no results of a sweep ({error}): give another path or remove it"
        ) from error
    wrong = [name for name, value in settings.items() if theirs.get(name) != value]
    if wrong:
        name = wrong[0]
        raise OptionError(
            f"{path}: its {name} is {theirs.get(name)!r}, here {settings[name]!r}: "
            "give another path or the same settings"
        )
    return cells


def _write(path: Path, settings: dict[str, Any], cells: list[Cell]) -> None:
    result = {"study": "sweep", "settings": settings, "cells": [asdict(cell) for cell in cells]}
    with atomic_output(path, overwrite=True) as out:
        out.write((json.dumps(result, indent=1, allow_nan=False) + "\n").encode())


def _parameters(depth: int, width: int) -> int:
    return 4 * width + depth * (width * width + width) + width + 1


def _fit(
    source: DensityMap,
    sweep: Sweep,
    key: tuple[int, int, float],
    progress: Callable[[Progress], None] | None,
) -> Cell:
    started = time.perf_counter()
    made = encode(source, sweep.options_for(*key), progress=progress)
    seconds = time.perf_counter() - started
    grid = made.grid
    truth = _at(source, sweep.options.crop, grid.shape)
    shells = Shells(grid)
    curve = correlate_shells(transform(made.as_array()), transform(truth), shells, "second")
    limit = made.field.band_limit or 2 * max(grid.voxel_size)
    last = shells.last(limit)
    return Cell(
        *key,
        parameters=_parameters(*key[:2]),
        bytes=sum(t.nbytes for t in made.tensors.values()),
        worst=curve.worst(made.field.band_limit),
        mean=float(curve.fsc[1 : last + 1].mean()),
        seconds=seconds,
        limit=limit,
    )


def _at(source: DensityMap, crop: int | None, shape: tuple[int, int, int]) -> Any:
    """The part of the source that was fitted, at the fit's sampling."""
    values = source.values
    if crop is not None:
        z, y, x = ((n - crop) // 2 for n in values.shape)
        values = values[z : z + crop, y : y + crop, x : x + crop]
    return resample(values, shape)
