"""What of a map is fitted: to which resolution, inside which envelope, about which solvent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nmap.envelope.automatic import solvent_value
from nmap.errors import OptionError
from nmap.fit.options import EncodeOptions
from nmap.fit.target.band_limit import estimate_band_limit
from nmap.fit.target.copies import union_of_copies
from nmap.fit.target.envelope import Chosen, choose_envelope, with_union
from nmap.fit.target.fittable import check_density
from nmap.fit.target.half_maps import Halves, check_grids, halves_of, resolution_of
from nmap.maps import DensityMap, map_of
from nmap.maps.checked import judge_mask, mask_on, samples_agree, sound_mask
from nmap.outcomes import BandLimitOutcome
from nmap.point_group import PointGroup
from nmap.spectrum import Shells, lattice_shape, resample

# A network is where the envelope exceeds this, at least.
_INSIDE = 0.25


@dataclass(frozen=True, eq=False)
class Specimen:
    """A map in its box, with all that is decided before a network is chosen.

    Attributes:
        density: what is fitted, after crop and downsampling: the source, or half 1 under cross-validation.
        band_limit: resolution kept, Angstrom.
        band_limit_outcome: how that was decided.
        chosen: the envelope, and how it was decided.
        solvent: density outside the envelope, or of the whole map.
        half_maps: both half maps on the grid of `density`, where given.
        mask_is_own: whether the envelope is a mask of the caller's.
        cross_validate: whether half 1 alone is fitted.
    """

    density: DensityMap
    band_limit: float
    band_limit_outcome: BandLimitOutcome
    chosen: Chosen
    solvent: float
    half_maps: tuple[DensityMap, DensityMap] | None
    mask_is_own: bool
    cross_validate: bool

    @property
    def share_inside(self) -> float:
        """Share of the box where the envelope lets a network be."""
        if self.chosen.envelope is None:
            return 1.0
        shape = lattice_shape(self.density.grid, self.band_limit)
        return float((self.chosen.envelope.on_lattice(shape) > _INSIDE).mean())

    def halves(self) -> Halves | None:
        """The half maps and their FSC inside the envelope, where given."""
        if self.half_maps is None:
            return None
        return halves_of(*self.half_maps, self.chosen.envelope, self.cross_validate)

    def with_copies(self, group: PointGroup | None) -> Specimen:
        """The same with the copies of a given mask that the group moves elsewhere.

        A symmetric decode has the copies of whatever is fitted. A target of one subunit only could not be met.

        Args:
            group: which it is fitted with; None for C1.
        """
        if group is None or self.chosen.envelope is None or not self.mask_is_own:
            return self
        union = union_of_copies(self.chosen.envelope, self.density.grid, group)
        if union is None:
            return self
        wide = with_union(self.chosen, union, group.name, self.density, self.band_limit, self.half_maps)
        return replace(self, chosen=wide, solvent=_solvent(self.density, wide))


def specimen_of(density: DensityMap, options: EncodeOptions) -> Specimen:
    """What of a map is fitted.

    Args:
        density: the source.
        options: slice, crop, downsampling, resolution, mask and half maps.

    Raises:
        MapError: there is nothing in the map to fit.
        OptionError: an option that does not suit this map.
        GridError: a mask or a half map that does not lie on the map.
    """
    halves = None
    if options.half1 is not None and options.half2 is not None:
        halves = map_of(options.half1), map_of(options.half2)
        check_grids(density, *halves)
    source = _reduced(density, options)
    check_density(source)
    if halves is not None:
        halves = _reduced(halves[0], options), _reduced(halves[1], options)
        for number, half in enumerate(halves, 1):
            check_density(half, f"half map {number}: ")
    mask = options.mask
    if isinstance(mask, DensityMap) or mask not in ("auto", "none"):
        mask = _checked(map_of(mask), source)
    fitted = halves[0] if halves is not None and options.cross_validate else source
    limit, outcome = _band_limit(source, options.resolution)
    if halves is not None and options.resolution is None:
        limit, outcome = resolution_of(source, *halves, mask, options.goal_fsc, limit)
    solvent = solvent_value(source.values)
    chosen = choose_envelope(source, mask, limit, solvent, halves, options.goal_fsc, options.keeps_noise)
    return Specimen(
        density=fitted,
        band_limit=limit,
        band_limit_outcome=outcome,
        chosen=chosen,
        solvent=_solvent(fitted, chosen),
        half_maps=halves,
        mask_is_own=isinstance(mask, DensityMap),
        cross_validate=options.cross_validate,
    )


def _solvent(fitted: DensityMap, chosen: Chosen) -> float:
    """Density of the solvent: of what is fitted outside the envelope."""
    if chosen.envelope is None:
        return solvent_value(fitted.values)
    return solvent_value(fitted.values, chosen.envelope)


def _checked(mask: DensityMap, density: DensityMap) -> DensityMap:
    """A given mask with values from 0 to 1; a warning says where it is odd."""
    sound = sound_mask(mask)
    placed = mask_on(sound, density.grid)
    judge_mask(placed, density)
    return placed if samples_agree(sound.grid, density.grid) else sound


def _reduced(density: DensityMap, options: EncodeOptions) -> DensityMap:
    """The one section, then the central part, then the lower sampling, where asked for."""
    if options.slice is not None:
        density = density.section(*options.slice)
    if options.crop is not None:
        n, shape = options.crop, density.grid.shape
        part = density.grid.wide((n, n, n))
        if any(n > m for n, m in zip(part, shape, strict=True)):
            raise OptionError(f"`crop` {n}: the map has {shape} voxels (z, y, x), wanted at most that many")
        z, y, x = ((m - n) // 2 for n, m in zip(part, shape, strict=True))
        values = density.values[z : z + part[0], y : y + part[1], x : x + part[2]]
        density = DensityMap(values, density.grid.region((z, y, x), part), density.header)
    if options.downsample > 1:
        nz, ny, nx = (round(m / options.downsample) for m in density.grid.shape)
        shape = density.grid.wide((nz, ny, nx))
        if any(n < 4 and m > 1 for n, m in zip(shape, density.grid.shape, strict=True)):
            raise OptionError(f"`downsample` {options.downsample}: would leave {shape} voxels (z, y, x)")
        grid = density.grid.resampled(shape)
        density = DensityMap(resample(density.values, grid.shape), grid, density.header)
    return density


def _band_limit(density: DensityMap, resolution: float | None) -> tuple[float, BandLimitOutcome]:
    """Band limit in Angstrom, never finer than Nyquist, and how it was decided."""
    shells = Shells(density.grid)
    finest = 1 / density.grid.nyquist
    if resolution is None:
        limit, outcome = estimate_band_limit(density.values, density.grid)
    elif resolution < finest:
        limit, outcome = finest, BandLimitOutcome("sampling", asked=resolution)
    else:
        limit, outcome = resolution, BandLimitOutcome("given")
    if shells.last(limit) < 1:
        raise OptionError(
            f"`resolution` {limit:g} A: wanted finer than the box, {max(density.grid.edges):g} A"
        )
    return limit, outcome
