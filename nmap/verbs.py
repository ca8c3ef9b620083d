"""The verbs of the public face that take a path as readily as an object: decode, validate, fsc."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.neural_map import NeuralMap
from nmap.remote import located

if TYPE_CHECKING:
    from nmap.compare.findings import Findings
    from nmap.compare.measures import Limits
    from nmap.spectrum import ShellCurve

PathLike = str | os.PathLike[str]


def decode(
    source: NeuralMap | str | os.PathLike[str], grid: Grid | None = None, *, at: float | None = None
) -> DensityMap:
    """Decode a neural map to a plain density map.

    Args:
        source: the neural map, or the path of a `.nmap` file.
        grid: where to put the samples; the source map's own grid if None. Outside the box lies solvent.
        at: position on the axis of a series; of a series only.

    Returns:
        The densities on that grid.

    Raises:
        FormatError: the file breaks the format.
        GridError: the grid cannot be decoded to.
        OptionError: a position for a map that is no series, beyond its ends, or none for a series.
    """
    from nmap.container import open_map

    neural_map = source if isinstance(source, NeuralMap) else open_map(source)
    if at is not None:
        neural_map = neural_map.at(at)
    grid = grid or neural_map.grid
    return DensityMap(neural_map.on_grid(grid), grid)


def validate(
    decoded: NeuralMap | DensityMap | PathLike,
    source: DensityMap | PathLike,
    *,
    resolution: float | None = None,
    mask: DensityMap | PathLike | None = None,
    half_maps: tuple[DensityMap | PathLike, DensityMap | PathLike] | None = None,
    model: PathLike | None = None,
    limits: Limits | Mapping[str, float] | None = None,
) -> Findings:
    """Measure how true a decoded map is to its source.

    Args:
        decoded: path of a `.nmap` file or of a decoded map, or what is in memory. Only a file tells its bytes and the
            mask that it was fitted in.
        source: the map that it was made from, or its path.
        resolution: shells count to here, Angstrom; the file's band limit if None, else Nyquist.
        mask: soft mask, 0 to 1, or its path; "auto" makes one from the source.
        half_maps: the source's two half maps, or their paths.
        model: path of an atomic model in the map's frame (mmCIF or PDB).
        limits: what the findings are held against, by name: `{"min_fsc": 0.9}`.

    Returns:
        The findings. `.holds` says whether every limit is kept; `.to_json()` has every number.

    Raises:
        FormatError: the `.nmap` file breaks the format.
        MapError: a map or the model cannot be read.
        GridError: the maps do not lie on one grid.
        OptionError: an option that cannot be used.
    """
    from nmap.compare.measures import Limits
    from nmap.validation import as_map, is_nmap, validate_file, validate_map

    decoded = located(decoded) if isinstance(decoded, str) else decoded
    held = limits if isinstance(limits, Limits) else Limits(**(limits or {}))
    if isinstance(decoded, str | os.PathLike) and is_nmap(decoded):
        return validate_file(
            decoded,
            source,
            resolution=resolution,
            mask=mask,
            half_maps=half_maps,
            model=model,
            limits=held,
        ).findings
    first = decoded if isinstance(decoded, NeuralMap) else as_map(decoded)
    return validate_map(
        first,
        as_map(source),
        resolution=resolution,
        mask=mask,
        half_maps=half_maps,
        model=model,
        limits=held,
    )


def fsc(
    a: DensityMap | PathLike, b: DensityMap | PathLike, mask: DensityMap | PathLike | None = None
) -> ShellCurve:
    """Fourier shell correlation of two maps on one grid; `nmap.spectrum.fsc` does the same for arrays.

    Args:
        a: first map, or its path.
        b: second map, or its path.
        mask: soft mask, 0 to 1, by which both are multiplied, or its path; "auto" makes one from the second.

    Returns:
        The curve. `.crossing(0.143)` is the resolution in Angstrom where it first falls below 0.143.

    Raises:
        MapError: a file that is no density map.
        GridError: the maps do not lie on one grid.
        OptionError: mask values outside 0 to 1.
    """
    from nmap.maps.checked import require_contrast, require_same_grid
    from nmap.spectrum import fsc as correlate
    from nmap.validation import as_map, read_mask

    first, second = as_map(a), as_map(b)
    require_same_grid(first, second, "first map", "second map")
    require_contrast(first, "first map")
    require_contrast(second, "second map")
    soft = read_mask(mask, second, None)
    return correlate(first.values, second.values, second.grid, None if soft is None else soft.values)
