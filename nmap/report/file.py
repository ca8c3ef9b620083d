"""The report of a `.nmap` file and its source: decode, compare, and gather what the file says of itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nmap.inspection import inspect
from nmap.maps import DEFAULT_READING, DensityMap, ReadOptions
from nmap.report.build import Report, build_report
from nmap.report.page import Rows
from nmap.validation import PathLike, Validation, validate_file
from nmap.version import __version__

if TYPE_CHECKING:
    from nmap.container import MapFile


def report_file(
    file: PathLike | MapFile,
    source: DensityMap | PathLike,
    *,
    resolution: float | None = None,
    mask: PathLike | None = None,
    half_maps: tuple[PathLike, PathLike] | None = None,
    model: PathLike | None = None,
    source_path: PathLike | None = None,
    reading: ReadOptions = DEFAULT_READING,
) -> str:
    """One self-contained HTML page on how true a `.nmap` file is to its source.

    Args:
        file: the `.nmap` file, or what it was opened as.
        source: the map that it was made from, or its path.
        resolution: shells count to here, Angstrom; the file's band limit if None.
        mask: a mask file, or "auto".
        half_maps: the source's two half maps.
        model: an atomic model in the map's frame.
        source_path: where the map was read from, if it is not given as a path.
        reading: as in `validate_file`.

    Raises:
        MissingPackageError: matplotlib is not installed.
        NmapError: as `validate_file`.
    """
    done = validate_file(
        file,
        source,
        resolution=resolution,
        mask=mask,
        half_maps=half_maps,
        model=model,
        source_path=source_path,
        reading=reading,
    )
    about = inspect(done.opened).to_json()
    return build_report(
        Report(
            findings=done.findings,
            decoded=done.decoded,
            source=done.source,
            identity=_identity(done, about),
            details=[(name, list(_flat(about[name]))) for name in ("model", "source", "fit") if about[name]],
            loss=_loss(done),
            version=__version__,
        )
    )


def _identity(done: Validation, about: Mapping[str, Any]) -> Rows:
    """What a reader wants to know first."""
    model, grid, field = about["model"], done.source.grid, done.neural_map.field
    header = done.source.header
    named = about["source"].get("file") or done.findings.source
    limit = "none: the bare network" if field.band_limit is None else f"{field.band_limit:g} Å"
    network = f"{model['network']} at {model['bits_per_parameter']:.2f} bits"
    rows = [("map", str(named)), ("compared with", os.path.basename(done.findings.source))]
    rows += [("" if i else "labels", label) for i, label in enumerate(header.labels if header else ())]
    return [
        *rows,
        ("grid", str(grid)),
        ("band limit", limit),
        ("network", network),
        ("symmetry", str(model["symmetry"])),
    ]


def _loss(done: Validation) -> tuple[list[float], list[float]] | None:
    fit = done.record.get("fit", {})
    loss, step = (np.ravel(np.asarray(fit.get(name, []), np.float64)) for name in ("loss", "loss_step"))
    if not loss.size:
        return None
    steps = step if step.shape == loss.shape else np.arange(loss.size, dtype=np.float64)
    return [float(s) for s in steps], [float(v) for v in loss]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Rows:
    """Names and values; long lists are curves and have their own pictures."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name}: ")
        elif isinstance(value, list):
            if len(value) <= 12:
                rows.append((name, ", ".join(str(v) for v in value)))
        elif value is not None:
            rows.append((name, str(value)))
    return rows
