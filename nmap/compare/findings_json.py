"""Findings as JSON values; `docs/validate-schema.json` is the contract."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nmap.compare.findings import (
    PSNR_PEAK,
    THRESHOLDS,
    BandLimit,
    Check,
    Container,
    Fidelity,
    Findings,
    OffGrid,
    RealSpace,
    Sizes,
    Symmetry,
)
from nmap.grid import Grid
from nmap.spectrum import CONVENTIONS, NEGLIGIBLE_RULE, ShellCurve, worded

SCHEMA = "nmap-validate/1"


def finite(value: float | None, digits: int = 7) -> float | None:
    """A number rounded to `digits` significant ones; None if it is not finite, which JSON cannot say."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def numbers(values: Any, digits: int = 7) -> list[float | None]:
    """A flat list of such numbers."""
    return [finite(float(value), digits) for value in np.asarray(values).ravel()]


def curve_json(curve: ShellCurve, thresholds: Sequence[float] = THRESHOLDS) -> dict[str, Any]:
    """A correlation curve with its crossings and its convention."""
    crossings = {f"{threshold:g}": curve.crossing_at(threshold) for threshold in thresholds}
    negligible = curve.negligible if curve.negligible is not None else np.zeros(curve.fsc.size, bool)
    return {
        "frequency": numbers(curve.frequency),
        "fsc": numbers(curve.fsc),
        "modes": numbers(curve.modes),
        "negligible": [bool(shell) for shell in negligible],
        "crossings": {name: finite(c.resolution) for name, c in crossings.items()},
        "crossing_shells": {
            name: [finite(c.last_above), finite(c.first_below)] for name, c in crossings.items()
        },
        "convention": CONVENTIONS[curve.convention],
        "crossing_rule": "Angstrom; linear between the last shell above and the first below "
        "(crossing_shells); the first fall counts, shell 0 and negligible shells do not; null: not before "
        "Nyquist",
        "negligible_rule": NEGLIGIBLE_RULE,
    }


def grid_json(grid: Grid) -> dict[str, Any]:
    """Where the samples lie."""
    return {
        "shape_zyx": list(grid.shape),
        "voxel_size_xyz": numbers(grid.voxel_size),
        "origin_xyz": numbers(grid.origin),
        "angles": numbers(grid.angles),
    }


def fidelity_json(fidelity: Fidelity, grid: Grid) -> dict[str, Any]:
    """A fidelity FSC of maps on `grid`."""
    shell = fidelity.curve.worst_shell(fidelity.resolution)
    return {
        "what": worded("fidelity FSC (decoded against source; not a half-map FSC)", grid),
        "mask": fidelity.mask,
        "resolution": finite(fidelity.resolution),
        "worst": finite(fidelity.worst),
        "worst_shell": shell,
        "worst_at": None if shell is None else finite(1 / float(fidelity.curve.frequency[shell])),
        **curve_json(fidelity.curve),
    }


def sizes_json(sizes: Sizes) -> dict[str, Any]:
    """Bytes and ratios."""
    return {
        "nmap_bytes": sizes.nmap,
        "raw_bytes": sizes.raw,
        "gz_bytes": sizes.gz,
        "gz_is_source": sizes.gz_is_source,
        "float16_bytes": sizes.float16,
        "ratio_raw": finite(sizes.ratio(sizes.raw)),
        "ratio_gz": finite(sizes.ratio(sizes.gz)),
        "ratio_float16": finite(sizes.ratio(sizes.float16)),
        "bits_per_voxel": finite(sizes.bits_per_voxel),
    }


def _off_grid_json(off_grid: OffGrid) -> dict[str, Any]:
    return {
        "what": "decode at twice the sampling against the Fourier-upsampled source",
        "lowest_ratio": finite(off_grid.lowest_ratio),
        "power_beyond": finite(off_grid.power_beyond),
        "shift_xyz": numbers(off_grid.shift),
        **curve_json(off_grid.curve),
    }


def findings_json(found: Findings) -> dict[str, Any]:
    """All of the findings."""
    return {
        "schema": SCHEMA,
        "decoded": found.decoded,
        "source": found.source,
        "grid": grid_json(found.grid),
        "holds": found.holds,
        "checks": [{**_plain(check), "holds": check.holds} for check in found.checks],
        "sizes": None if found.sizes is None else sizes_json(found.sizes),
        "container": None if found.container is None else _plain(found.container),
        "real_space": {**_plain(found.real_space), "psnr_peak": PSNR_PEAK},
        "fidelity": fidelity_json(found.fidelity, found.grid),
        "fidelity_masked": None if found.masked is None else fidelity_json(found.masked, found.grid),
        "fidelity_enveloped": None if found.enveloped is None else fidelity_json(found.enveloped, found.grid),
        "power": {
            "what": "mean squared Fourier amplitude by shell, DFT without 1/N",
            "frequency": numbers(found.fidelity.curve.frequency),
            "source": numbers(found.power_source),
            "decoded": numbers(found.power_decoded),
        },
        "shift_xyz": numbers(found.shift),
        "band_limit": None if found.band_limit is None else _plain(found.band_limit),
        "off_grid": None if found.off_grid is None else _off_grid_json(found.off_grid),
        "symmetry": None if found.symmetry is None else _plain(found.symmetry),
        "half_maps": None if found.half_maps is None else found.half_maps.to_json(),
        "model": None if found.model is None else found.model.to_json(),
        "notes": list(found.notes),
    }


def _plain(part: Check | Container | RealSpace | BandLimit | Symmetry) -> dict[str, Any]:
    """A flat dataclass by its own field names."""
    values = dataclasses.asdict(part)
    return {name: finite(value) if isinstance(value, float) else value for name, value in values.items()}
