"""Compare a decoded map with its source: sizes, voxels, Fourier shells, place, band limit, symmetry.

Knows nothing of networks: it gets maps, and returns `Findings`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmap.compare.agreement import (
    compare_off_grid,
    compare_symmetry,
    compare_voxels,
    displacement,
    share_beyond,
)
from nmap.compare.atomic_model import compare_model
from nmap.compare.findings import ENVELOPE, BandLimit, Check, Fidelity, Findings, Sizes
from nmap.compare.half_maps import compare_half_maps
from nmap.errors import GridError, OptionError
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.point_group import PointGroup
from nmap.spectrum import Complex, Convention, Shells, correlate_shells, fsc, shell_power, transform, worded

F32 = NDArray[np.float32]

BEYOND_LIMIT = 1e-4
OFF_GRID_RATIO = 0.99
OFF_GRID_SHIFT = 1e-3
LEAKAGE = (
    "beyond the band limit the masked FSC shows what the mask leaks from the shells within, "
    "not what the file holds"
)


@dataclass(frozen=True)
class Limits:
    """What the findings are held against; None: not held.

    Attributes:
        min_fsc: fidelity FSC of every counted shell to the resolution: within the mask if one is given, else
            against the source times the file's envelope if it keeps one, else over the whole box.
        min_correlation: Pearson correlation over the whole box.
        min_psnr: decibel.
        max_rmse: in the map's own units.
        max_bytes: of the `.nmap` file.
    """

    min_fsc: float | None = None
    min_correlation: float | None = None
    min_psnr: float | None = None
    max_rmse: float | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class Extras:
    """What more can be compared than two maps; each None is left out.

    Attributes:
        sizes: bytes of the file and of its source.
        band_limit: of the file, Angstrom.
        envelope: (z, y, x), 0 to 1, tells inside from outside for the correlations.
        fitted: the source times the envelope that it was fitted within, (z, y, x), as the file keeps it.
        doubled: the decode at twice the sampling of the source's box.
        symmetry: the file's point group.
        half_maps: the source's two half maps, on its grid.
        model: path of an atomic model of the source (mmCIF or PDB).
    """

    sizes: Sizes | None = None
    band_limit: float | None = None
    envelope: F32 | None = None
    fitted: F32 | None = None
    doubled: DensityMap | None = None
    symmetry: PointGroup | None = None
    half_maps: tuple[DensityMap, DensityMap] | None = None
    model: str | None = None


def validate(
    decoded: DensityMap,
    source: DensityMap,
    *,
    resolution: float | None = None,
    mask: DensityMap | None = None,
    mask_name: str = "given",
    limits: Limits | None = None,
    extras: Extras | None = None,
    convention: Convention = "nmap",
) -> Findings:
    """Measure how true a decoded map is to its source.

    Args:
        decoded: the decoded map, on the source's grid.
        source: what it was made from.
        resolution: shells count to here, Angstrom; the file's band limit if None, else Nyquist.
        mask: soft mask, 0 to 1, on the same grid, for a second FSC, which then is the one held against
            limits.
        mask_name: what to call it.
        limits: what the findings are held against.
        extras: what else to compare.
        convention: of the shells.

    Returns:
        The findings; `.holds` and `.failed` say how they stand against the limits. A file with a band limit
        is always held to leave at most 1e-4 of its power beyond it, and its doubled decode to reach 0.99 of
        the FSC on the grid and to lie within 0.001 voxel of the decode there.

    Raises:
        GridError: the maps do not lie on one grid.
        OptionError: a resolution that is not positive, or mask values outside 0 to 1.
        MapError: a model that cannot be read.
    """
    extras, grid = extras or Extras(), source.grid
    require_same_grid(decoded, source, "decoded map", "source")
    shells = Shells(grid, convention)
    resolution = extras.band_limit if resolution is None else resolution
    if resolution is not None and shells.last(resolution) < 1:
        coarsest = 1 / shells.width
        raise OptionError(f"resolution {resolution:g} A: coarser than the box's first shell, {coarsest:g} A")
    fd, fs = transform(decoded.values), transform(source.values)
    found = Findings(
        decoded=_name(decoded, "decoded map"),
        source=_name(source, "source"),
        grid=grid,
        real_space=compare_voxels(decoded.values, source.values, extras.envelope),
        fidelity=Fidelity(correlate_shells(fd, fs, shells, "second"), "none", resolution),
        masked=None,
        power_source=shell_power(fs, shells),
        power_decoded=shell_power(fd, shells),
        shift=displacement(fd, fs, grid),
        sizes=extras.sizes,
        band_limit=_band_limit(fd, fs, grid, extras.band_limit),
    )
    if extras.fitted is not None:
        curve = correlate_shells(fd, transform(extras.fitted), shells, "second")
        found = replace(found, enveloped=Fidelity(curve, ENVELOPE, resolution))
    if mask is not None:
        found = _with_mask(found, decoded, source, mask, mask_name)
    found = _with_extras(found, decoded, source, transformed=(fd, fs), mask=mask, extras=extras)
    notes = (*found.notes, found.doubt) if found.doubt else found.notes
    return replace(found, checks=_checks(found, limits or Limits()), notes=notes)


def _with_mask(
    found: Findings, decoded: DensityMap, source: DensityMap, mask: DensityMap, name: str
) -> Findings:
    """The second FSC, and a warning of what it cannot tell."""
    require_mask(mask, source)
    convention, resolution = found.fidelity.curve.convention, found.fidelity.resolution
    pair = decoded.values, source.values
    curve = fsc(*pair, source.grid, mask.values, convention=convention, reference="second")
    notes = () if found.band_limit is None else (LEAKAGE,)
    return replace(found, masked=Fidelity(curve, name, resolution), notes=notes)


def _with_extras(
    found: Findings,
    decoded: DensityMap,
    source: DensityMap,
    *,
    transformed: tuple[Complex, Complex],
    mask: DensityMap | None,
    extras: Extras,
) -> Findings:
    """What was asked for beyond the two maps; `transformed` are their half transforms."""
    on_grid, resolution = found.fidelity.curve, found.fidelity.resolution
    off_grid = symmetry = half_maps = model = None
    if extras.doubled is not None:
        off_grid = compare_off_grid(
            extras.doubled,
            *transformed,
            source.grid,
            on_grid=on_grid,
            limit=extras.band_limit,
            resolution=resolution,
        )
    if extras.symmetry is not None:
        symmetry = compare_symmetry(decoded, source, extras.symmetry)
    if extras.half_maps is not None:
        half_maps = compare_half_maps(
            *extras.half_maps, decoded=decoded, source=source, mask=mask, band_limit=extras.band_limit
        )
    if extras.model is not None:
        model = compare_model(extras.model, decoded, source, mask=mask, resolution=resolution)
    return replace(found, off_grid=off_grid, symmetry=symmetry, half_maps=half_maps, model=model)


def require_same_grid(a: DensityMap, b: DensityMap, name_a: str, name_b: str) -> None:
    """Refuse two maps that do not lie on one grid.

    Raises:
        GridError: naming both grids.
    """
    if not a.grid.matches(b.grid):
        raise GridError(f"the {name_a} lies on {a.grid}, the {name_b} on {b.grid}: resample one of them")


def require_mask(mask: DensityMap, source: DensityMap) -> None:
    """Refuse a mask that is off the source's grid or is no mask.

    Raises:
        GridError: naming both grids.
        OptionError: values outside 0 to 1, or none above 0.
    """
    require_same_grid(mask, source, "mask", "source")
    low, high = float(mask.values.min()), float(mask.values.max())
    if low < -1e-3 or high > 1 + 1e-3 or high <= 0:
        raise OptionError(
            f"mask values from {low:.4g} to {high:.4g}: wanted 0 (solvent) to 1; rescale the mask"
        )


def _band_limit(fd: Complex, fs: Complex, grid: Grid, limit: float | None) -> BandLimit | None:
    if limit is None:
        return None
    return BandLimit(limit, share_beyond(fd, grid, limit), share_beyond(fs, grid, limit))


def _checks(found: Findings, limits: Limits) -> tuple[Check, ...]:
    """The limits that were asked for, then what every file with a band limit promises."""
    judged, real = found.judged, found.real_space
    reach = f"to {judged.resolution:g} A" if judged.resolution else "to Nyquist"
    asked = [
        (f"lowest fidelity FSC of the shells {reach}, {judged.where},", judged.worst, ">=", limits.min_fsc),
        ("correlation over the whole box", real.correlation, ">=", limits.min_correlation),
        ("PSNR in decibel", real.psnr, ">=", limits.min_psnr),
        ("RMSE", real.rmse, "<=", limits.max_rmse),
        ("size in bytes", float("nan") if found.sizes is None else found.sizes.nmap, "<=", limits.max_bytes),
    ]
    checks = [
        Check(worded(name, found.grid), value, relation, w)
        for name, value, relation, w in asked
        if w is not None
    ]
    if found.band_limit is not None:
        name = f"share of power beyond the band limit of {found.band_limit.limit:g} A"
        checks.append(Check(name, found.band_limit.beyond_decoded, "<=", BEYOND_LIMIT))
        if found.off_grid is not None:
            off = found.off_grid
            checks.append(Check(name + " at twice the sampling", off.power_beyond, "<=", BEYOND_LIMIT))
            if off.lowest_ratio is not None:
                name = worded(
                    "lowest shell FSC at twice the sampling, as a share of that on the map's grid,",
                    found.grid,
                )
                checks.append(Check(name, off.lowest_ratio, ">=", OFF_GRID_RATIO))
            apart = max(abs(shift) for shift in off.shift)
            checks.append(Check("displacement between both samplings, voxels", apart, "<=", OFF_GRID_SHIFT))
    return tuple(checks)


def _name(density: DensityMap, otherwise: str) -> str:
    return density.header.name if density.header is not None else otherwise
