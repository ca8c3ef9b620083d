"""A fit that shows little of its map, and options that make no sense for a map."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nmap.fit.options import EncodeOptions
from nmap.grid import Grid
from nmap.inspection import Inspection
from nmap.spectrum import floored

_POOR = 0.5
"""Correlation with the source over the whole box below which a file shows little of its map."""
_WIDE = 5.0
"""Angstrom; coarser voxels are those of tomograms, or of a size given in other units."""


def poor_fit(found: Inspection) -> str:
    """What to say of a file that shows little of its map; "" of all others."""
    correlation = found.record.get("fidelity", {}).get("correlation")
    if not isinstance(correlation, int | float) or correlation >= _POOR:
        return ""
    return (
        f"the file correlates with its map by {floored(correlation)} only: most of the map is finer than the "
        "resolution, outside the mask, or noise"
    )


def odd_settings(options: EncodeOptions, grid: Grid, output: Path) -> Iterator[str]:
    """Settings that make no sense, before any work is done."""
    if output.suffix.lower() != ".nmap":
        yield f"{output}: its name does not end in .nmap, by which programs know these files"
    finest = 1 / grid.nyquist
    if options.resolution is not None and options.resolution < finest:
        yield (
            f"--resolution {options.resolution:g}: finer than the voxels can show, {finest:.4g} A: is it in Angstrom?"
        )
    voxel = max(v for v, n in zip(grid.voxel_size, grid.shape[::-1], strict=True) if n > 1)
    if voxel > _WIDE:
        yield f"voxels of {voxel:.4g} A: is their size in Angstrom? --voxel-size gives another"
