"""What a file keeps of how it was made: source, fit and fidelity. Decoding needs none of it."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from nmap.coding.occupancy import with_shape
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Watch
from nmap.fit.result import History, Result
from nmap.fit.target.prepare import Target
from nmap.maps import DensityMap, MapHeader
from nmap.maps.contour import compare_contour
from nmap.neural_map import NeuralMap
from nmap.outcomes import to_json
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
    watch: Watch,
    device: Callable[[], str],
) -> dict[str, dict[str, Any]]:
    """The record of a fit, by group: "source", "fit" and "fidelity".

    How long it took is left out: the same map and options give the same file. What fails is left out too, with a
    notice: the network is there already.

    Args:
        target: what was fitted.
        options: as given.
        history: settings chosen and curves.
        result: what came of it.
        watch: what a user should know of it, so far and from now on.
        device: gives its name.
    """
    header = target.density.header
    made = {
        "fidelity": gathered(_fidelity(target, result, options.contour), watch),
        "source": gathered(
            {
                "source": lambda: {} if header is None else source(header, options.resolution),
                "contour level": lambda: {"contour_level": options.contour},
            },
            watch,
        ),
        "fit": gathered(fit_parts(target, options, history, device), watch),
    }
    made["fit"]["notes"] = [to_json(notice) for notice in watch.notices] or None
    told = {
        group: {name: value for name, value in items.items() if value is not None}
        for group, items in made.items()
    }
    return {group: items for group, items in told.items() if items}


Part = Callable[[], Mapping[str, Any]]


def fit_parts(
    target: Target, options: EncodeOptions, history: History, device: Callable[[], str]
) -> dict[str, Part]:
    """What is kept of how a fit went; arguments as of `record`."""
    return {
        "settings": lambda: {"settings": _settings(target, options, history)},
        "history": lambda: _history(history, options),
        "versions and device": lambda: {"versions": _versions(), "device": device()},
        "mask": lambda: {"mask": to_json(target.outcomes.mask)},
        "band limit": lambda: {"band_limit_from": to_json(target.outcomes.band_limit)},
    }


def gathered(parts: Mapping[str, Part], watch: Watch) -> dict[str, Any]:
    """What the parts give; one that fails is left out, with a notice that names it."""
    out: dict[str, Any] = {}
    for name, part in parts.items():
        try:
            out |= part()
        except Exception as error:
            watch.warn("not-recorded", what=name, error=f"{type(error).__name__}: {error}")
    return out


def _versions() -> dict[str, str]:
    return {
        "nmap": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _history(history: History, options: EncodeOptions) -> dict[str, Any]:
    """Seed, steps and curves."""
    out: dict[str, Any] = {"seed": options.seed, "steps": history.steps}
    for name, curve in (("loss", history.loss), ("fsc", history.fsc)):
        if curve:
            out[f"{name}_step"], out[name] = (
                _thinned(np.asarray(c, np.float32)) for c in zip(*curve, strict=True)
            )
    return out


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


def _fidelity(target: Target, result: Result, contour: float | None) -> dict[str, Part]:
    """How true the decode is: FSC against the source times the envelope, the rest against the source itself."""
    halves = target.halves
    return {
        "fidelity FSC": lambda: _fsc(target, result),
        "correlation": lambda: _agreement(result.neural_map, target.density),
        "envelope": lambda: _envelope(target),
        "contour level of the decode": lambda: _contour(target, result, contour),
        "half maps": lambda: (
            {} if halves is None else halves.findings(result.neural_map.as_array(), target.band_limit)
        ),
    }


def _fsc(target: Target, result: Result) -> dict[str, Any]:
    curve, last = result.curve, target.last + 1
    return {
        "frequency": curve.frequency[:last],
        "fsc": curve.fsc[:last],
        "worst": result.worst,
        "resolution": target.band_limit,
        "resolution_0.5": curve.crossing(0.5),
        "resolution_0.143": curve.crossing(0.143),
        "mask": "envelope" if target.masked else "none",
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


def _agreement(neural_map: NeuralMap, density: DensityMap) -> dict[str, float | None]:
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
    return {
        "correlation": (xy - x * y) / spread if spread > 0 else None,
        "psnr": 10 * math.log10(span**2 / error) if error > 0 else None,
    }


def _envelope(target: Target) -> dict[str, bytes]:
    """What fidelity was measured within, so that others can measure it again."""
    if not target.masked or target.envelope is None:
        return {}
    return {"envelope": with_shape(target.envelope.occupancy)}


def _settings(target: Target, options: EncodeOptions, history: History) -> dict[str, Any]:
    return {
        "arch": options.arch,
        "crop": options.crop,
        "downsample": options.downsample,
        "freedom": round(target.freedom),
        "resolution": options.resolution,
        "cross_validate": options.cross_validate or None,
        "gains": None if options.bare else options.gains,
        "preset": None if options.bare else options.preset,
        "target_fsc": options.goal_for(target.masked) or None,
        "bare": options.bare or None,
        "time_budget": options.time_budget,
        **({} if options.slice is None else {"slice": "{}={}".format(*options.slice)}),
        **history.settings,
        "symmetry": to_json(target.outcomes.symmetry),
    }


def _thinned(curve: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Every k-th entry of a curve, at most `MAX_CURVE`, counted back from its last."""
    every = -(-curve.size // MAX_CURVE)
    return curve[::-1][::every][::-1].copy()
