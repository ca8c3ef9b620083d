"""What a file keeps of how it was made: source, fit and fidelity. Decoding needs none of it."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nmap.coding.occupancy import with_shape
from nmap.fit.options import EncodeOptions
from nmap.fit.result import History, Result
from nmap.fit.target.prepare import Target
from nmap.maps import DensityMap, MapHeader
from nmap.maps.contour import compare_contour
from nmap.neural_map import NeuralMap
from nmap.outcomes import Notice, to_json
from nmap.version import __version__

MAX_CURVE = 64
# mmCIF's em_map.data_type, by MRC mode; float16 has no word of its own there.
_DATA_TYPES = {
    0: "Image stored as signed byte",
    1: "Image stored as signed integer (2 bytes)",
    2: "Image stored as floating point number (4 bytes)",
    6: "Image stored as unsigned integer (2 bytes)",
    12: "Image stored as floating point number (2 bytes)",
}


def record(
    target: Target,
    options: EncodeOptions,
    history: History,
    result: Result,
    notices: Sequence[Notice],
    device: str,
) -> dict[str, dict[str, Any]]:
    """The record of a fit, by group: "source", "fit" and "fidelity".

    How long it took is left out: the same map and options give the same file.

    Args:
        target: what was fitted.
        options: as given.
        history: settings chosen and curves.
        result: what came of it.
        notices: what a user should know of it.
        device: its name.
    """
    fit: dict[str, Any] = {
        "settings": {
            **_settings(target, options),
            **history.settings,
            "symmetry": to_json(target.outcomes.symmetry),
        },
        "versions": {
            "nmap": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "device": device,
        "seed": options.seed,
        "steps": history.steps,
        "mask": to_json(target.outcomes.mask),
        "band_limit_from": to_json(target.outcomes.band_limit),
        "notes": [to_json(notice) for notice in notices] or None,
    }
    for name, curve in (("loss", history.loss), ("fsc", history.fsc)):
        if curve:
            fit[f"{name}_step"], fit[name] = (
                _thinned(np.asarray(c, np.float32)) for c in zip(*curve, strict=True)
            )
    made: dict[str, dict[str, Any]] = {"fit": fit, "fidelity": fidelity(target, result, options.contour)}
    header = target.density.header
    made["source"] = {} if header is None else source(header, options.resolution)
    made["source"]["contour_level"] = options.contour
    told = {
        group: {name: value for name, value in items.items() if value is not None}
        for group, items in made.items()
    }
    return {group: items for group, items in told.items() if items}


def source(header: MapHeader, resolution: float | None) -> dict[str, Any]:
    """What is kept of the source's file; the resolution is the one that was given."""
    return {
        "file": header.name,
        "url": header.url or None,
        "sha256": header.sha256,
        "bytes": header.file_bytes,
        "format": "CCP4",
        "compression": header.compression or None,
        "data_type": _DATA_TYPES.get(header.mode),
        "symmetry_space_group": header.space_group,
        "resolution": resolution,
        "mrc_header": header.raw,
        "extended_header": header.extended or None,
    }


def fidelity(target: Target, result: Result, contour: float | None = None) -> dict[str, Any]:
    """How true the decode is: FSC against the source times the envelope, the rest against the source itself."""
    curve, last = result.curve, target.last + 1
    correlation, psnr = _agreement(result.neural_map, target.density)
    halves = target.halves
    found = {} if halves is None else halves.findings(result.neural_map.as_array(), target.band_limit)
    return {
        "frequency": curve.frequency[:last],
        "fsc": curve.fsc[:last],
        "worst": result.worst,
        "resolution": target.band_limit,
        "resolution_0.5": curve.crossing(0.5),
        "resolution_0.143": curve.crossing(0.143),
        "correlation": correlation,
        "psnr": psnr,
        "mask": "envelope" if target.masked else "none",
        **_envelope(target),
        **_contour(target, result, contour),
        **found,
    }


def _contour(target: Target, result: Result, level: float | None) -> dict[str, float]:
    """What the source's level encloses, Angstrom^3, and the level at which the decode encloses as much."""
    if level is None:
        return {}
    density = target.density
    found = compare_contour(result.neural_map.on_grid(density.grid), density.values, density.grid, level)
    if math.isnan(found.decoded_level):
        return {}
    return {"contour_level": found.decoded_level, "contour_volume": found.volume}


def _agreement(neural_map: NeuralMap, density: DensityMap) -> tuple[float | None, float | None]:
    """Correlation of the decode with the source over the whole box, and PSNR, dB; slab by slab."""
    values = density.values
    level = np.float32(values.mean(dtype=np.float64))
    span, sums = float(np.ptp(values)), np.zeros(6)
    for start, slab in neural_map.slabs(density.grid):
        source = values[start : start + len(slab)] - level
        decoded = slab - level
        sums += [
            float(np.sum(part, dtype=np.float64))
            for part in (source, decoded, source**2, decoded**2, source * decoded, (decoded - source) ** 2)
        ]
    x, y, xx, yy, xy, error = sums / values.size
    spread = math.sqrt(max(xx - x * x, 0.0) * max(yy - y * y, 0.0))
    return (
        (xy - x * y) / spread if spread > 0 else None,
        10 * math.log10(span**2 / error) if error > 0 else None,
    )


def _envelope(target: Target) -> dict[str, bytes]:
    """What fidelity was measured within, so that others can measure it again."""
    if not target.masked or target.envelope is None:
        return {}
    return {"envelope": with_shape(target.envelope.occupancy)}


def _settings(target: Target, options: EncodeOptions) -> dict[str, Any]:
    return {
        "arch": options.arch,
        "crop": options.crop,
        "downsample": options.downsample,
        "freedom": round(target.freedom),
        "resolution": options.resolution,
        "cross_validate": options.cross_validate or None,
        "gains": options.gains,
        "preset": options.preset,
        "target_fsc": options.goal_for(target.masked),
        "time_budget": options.time_budget,
        **({} if options.slice is None else {"slice": "{}={}".format(*options.slice)}),
    }


def _thinned(curve: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Every k-th entry of a curve, at most `MAX_CURVE`, counted back from its last."""
    every = -(-curve.size // MAX_CURVE)
    return curve[::-1][::every][::-1].copy()
