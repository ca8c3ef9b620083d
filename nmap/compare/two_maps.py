"""Compare a decoded map with its source: sizes, voxels, Fourier shells, place, band limit, symmetry.

Knows nothing of networks: it gets maps, and returns `Findings`.
"""

from __future__ import annotations

from dataclasses import replace

from nmap.compare.comparison import Comparison, Extras, check_comparison
from nmap.compare.findings import Findings, Remark, find
from nmap.compare.measures import MEASURES, Limits, checks_of
from nmap.errors import OptionError
from nmap.maps import DensityMap
from nmap.maps.checked import sound_mask
from nmap.spectrum import Convention


def compare_maps(
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
        The findings; `.holds` and `.failed` say how they stand against the limits, and against what every file
        promises (`Measure.promise`).

    Raises:
        GridError: the maps do not lie on one grid.
        OptionError: a resolution that is not positive, mask values outside 0 to 1, or a limit on what cannot be
            measured here.
        MapError: a model that cannot be read.
    """
    extras, limits = extras or Extras(), limits or Limits()
    resolution = extras.band_limit if resolution is None else resolution
    sound = None if mask is None else sound_mask(mask)
    compared = Comparison(decoded, source, resolution, sound, mask_name, extras, convention)
    check_comparison(compared)
    require_inputs(limits, extras)
    found = find(compared, _name(decoded, "decoded map"), _name(source, "source"))
    return replace(found, checks=checks_of(found, limits), remarks=_remarks(found))


_NEEDED = {"model": "an atomic model: give `model` too", "sizes": "sizes: give the path of a .nmap file"}
"""What a measure needs (`Measure.needs`), in words."""


def require_inputs(limits: Limits, extras: Extras) -> None:
    """Refuse a limit on what cannot be measured for want of an input.

    Raises:
        OptionError: naming the limit and what it needs.
    """
    for measure in MEASURES:
        if measure.limit_name in limits and measure.needs and getattr(extras, measure.needs) is None:
            raise OptionError(f"`{measure.limit_name}` needs {_NEEDED[measure.needs]}")


def _remarks(found: Findings) -> tuple[Remark, ...]:
    """What the numbers cannot tell, and what they tell beyond the limits."""
    remarks = []
    if found.masked is not None and found.band_limit is not None:
        remarks.append(Remark("mask-leaks"))
    if found.unlike:
        values = {"mean_fsc": found.judged.mean, "correlation": found.real_space.correlation}
        remarks.append(Remark("unlike", values))
    return tuple(remarks)


def _name(density: DensityMap, otherwise: str) -> str:
    return density.header.name if density.header is not None else otherwise
