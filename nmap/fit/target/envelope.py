"""The envelope of a fit: found or given, as the coarse bits that the file stores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import MAX_OCCUPANCY_NODES, encode_occupancy
from nmap.coding.occupancy import packed_size
from nmap.envelope.automatic import automatic_mask
from nmap.envelope.envelope import Envelope
from nmap.fit.target.outside import correlate_outside
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.maps.checked import mask_by_position, samples_agree
from nmap.outcomes import MaskOutcome
from nmap.spectrum import Planes, Shells, invert, lattice_shape, squared, transform, transform_planes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Distance of the nodes in band limits: closer ones cut more solvent away but make an edge so steep that it spreads over
# the whole spectrum.
_SPACING = 1.25
# Share of a file that the bits may take.
_SHARE = 0.02
# Bytes of a file for each degree of freedom of the map, as reckoned for that share.
_BYTES_PER_FREEDOM = 0.4
# Share to which a reckoning of the bits' bytes is surely right.
_RECKONED = 0.1
# Share of a shell's power that the envelope may cut off where the solvent is quiet. A goal near 1 allows a quarter
# of the power that it lets be missing.
_LOSS = 0.01
# Steps by which found masks grow to keep to that, band limits.
_GROWTH = (0.0, 0.5, 1.0, 1.5, 2.0)
# Further steps for a goal near 1; where these are not enough there is no mask.
_GROWTH_NEAR_1 = (3.0, 4.0)
# Last shells that are not asked: the band limit cuts them off, so they ring over the whole box.
_RINGING = 2
# Steps by which found masks grow on where half maps correlate outside, band limits.
_FURTHER = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


@dataclass(frozen=True, eq=False)
class Chosen:
    """An envelope and how it came about.

    Attributes:
        envelope: soft mask; None if everything is inside.
        outcome: how it was decided.
        growth: how far a found mask was widened, in band limits.
    """

    envelope: Envelope | None
    outcome: MaskOutcome
    growth: float = 0.0


def choose_envelope(
    density: DensityMap,
    mask: str | DensityMap,
    band_limit: float,
    solvent: float,
    halves: tuple[DensityMap, DensityMap] | None = None,
    goal: float = 0.9,
    keeps_noise: bool = False,
) -> Chosen:
    """The envelope that `mask` asks for.

    Args:
        density: what is fitted.
        mask: "auto", "none", or a map.
        band_limit: resolution kept, Angstrom.
        solvent: density of the solvent.
        halves: half maps on the grid of `density`; one that is found grows until they do not correlate outside
            (`nmap.fit.outside`), and how far they do is said of any.
        goal: worst-shell fidelity FSC that is aimed at.
        keeps_noise: whether the solvent's noise is to be kept: a mask that is found then cuts off constant solvent
            only.

    Raises:
        GridError: the given mask does not lie on the map.
        OptionError: the given mask is empty.
    """
    if mask == "none":
        return Chosen(None, MaskOutcome("none"))
    if isinstance(mask, DensityMap):
        return _with_outside(_from_map(density, mask, band_limit), band_limit, halves)
    found = automatic_mask(density.values, density.grid, band_limit, solvent)
    if found.mask is None:
        return Chosen(None, found.outcome)
    if keeps_noise and not found.quiet:
        return Chosen(None, MaskOutcome("everything", why="noise-kept"))
    if found.quiet:
        chosen = _grown(density, found.mask, found.grid, band_limit, solvent, found.outcome, goal)
    else:
        chosen = _chosen(_covering(found.mask, found.grid, band_limit), found.outcome)
    if halves is None or chosen.envelope is None:
        return chosen
    return _parted(chosen, found.mask, found.grid, band_limit, halves)


def _from_map(density: DensityMap, mask: DensityMap, band_limit: float) -> Chosen:
    """The envelope around a mask given as a map."""
    lattice = density.grid.resampled(lattice_shape(density.grid, band_limit))
    given = mask_by_position(mask, density.grid, lattice)
    outcome = MaskOutcome(
        "given",
        name=mask.header.name if mask.header else None,
        resampled_from=None if samples_agree(mask.grid, density.grid) else str(mask.grid),
    )
    return _chosen(_covering(given, lattice, band_limit), outcome)


def envelope_around(mask: DensityMap, density_grid: Grid, band_limit: float, outcome: MaskOutcome) -> Chosen:
    """The tightest envelope around a mask.

    Args:
        mask: 0 to 1.
        density_grid: of what is fitted.
        band_limit: Angstrom.
        outcome: how the mask came about.
    """
    lattice = density_grid.resampled(lattice_shape(density_grid, band_limit))
    return _chosen(_covering(mask_by_position(mask, density_grid, lattice), lattice, band_limit), outcome)


def with_union(
    chosen: Chosen,
    union: DensityMap,
    group: str,
    density: DensityMap,
    band_limit: float,
    halves: tuple[DensityMap, DensityMap] | None,
) -> Chosen:
    """The envelope around a given mask and its copies.

    Args:
        chosen: the envelope around the mask alone.
        union: the mask and its copies.
        group: the point group.
        density: what is fitted.
        band_limit: Angstrom.
        halves: half maps on the grid of `density`.
    """
    lattice = density.grid.resampled(lattice_shape(density.grid, band_limit))
    covering = _covering(mask_by_position(union, density.grid, lattice), lattice, band_limit)
    wide = _chosen(covering, replace(chosen.outcome, copies=group, outside=None))
    return _with_outside(wide, band_limit, halves)


def _with_outside(chosen: Chosen, band_limit: float, halves: tuple[DensityMap, DensityMap] | None) -> Chosen:
    """The same envelope, with how far the half maps correlate outside it."""
    if halves is None or chosen.envelope is None:
        return chosen
    outside = correlate_outside(*halves, chosen.envelope, band_limit).outcome
    return replace(chosen, outcome=replace(chosen.outcome, outside=outside))


def _parted(
    chosen: Chosen, mask: F32, lattice: Grid, band_limit: float, halves: tuple[DensityMap, DensityMap]
) -> Chosen:
    """The first envelope around the mask, growing on from the one chosen, outside which half maps do not correlate.

    If there is none that leaves solvent, the one outside which they do so least.
    """
    best, least = chosen, np.inf
    distance = _distance(mask > 0.5, lattice, _FURTHER[-1] * band_limit)
    for growth in (chosen.growth, *(g for g in _FURTHER if g > chosen.growth)):
        wider = chosen
        if growth > chosen.growth:
            grown = (distance <= growth * band_limit).astype(np.float32)
            more = (growth - chosen.growth) * band_limit
            outcome = replace(chosen.outcome, grown=growth * band_limit, grown_for_halves=more)
            wider = _chosen(_covering(grown, lattice, band_limit), outcome)
        if wider.envelope is None:
            break
        outside = correlate_outside(*halves, wider.envelope, band_limit)
        if outside.excess < least:
            outcome = replace(wider.outcome, outside=outside.outcome)
            best, least = Chosen(wider.envelope, outcome, growth), outside.excess
        if outside.passed:
            break
    return best


def _covering(mask: F32, grid: Grid, band_limit: float) -> Envelope:
    """The tightest envelope around a mask whose bits take no more of the file than they may."""
    freedom = degrees_of_freedom(float((mask > 0.5).mean()), grid, band_limit)
    allowed = max(64.0, _SHARE * _BYTES_PER_FREEDOM * freedom)
    spacing = _SPACING * band_limit
    while True:
        nodes = np.prod([max(1, round(edge / spacing)) for edge in grid.edges])
        if nodes <= MAX_OCCUPANCY_NODES:
            envelope = Envelope.covering(mask, grid, spacing)
            if nodes < 64 or _takes_at_most(envelope, allowed):
                return envelope
        spacing *= 1.2


def _takes_at_most(envelope: Envelope, allowed: float) -> bool:
    """Whether the bits take no more bytes; they are coded only where a reckoning leaves that open."""
    reckoned = packed_size(envelope.occupancy)
    if abs(reckoned - allowed) > _RECKONED * allowed + 16:
        return reckoned < allowed
    return encode_occupancy(envelope.occupancy).nbytes <= allowed


def degrees_of_freedom(share: float, grid: Grid, band_limit: float) -> float:
    """Numbers that a map holds: Fourier modes within the band limit times the share of the box inside."""
    edges = grid.box[:, [n > 1 for n in grid.shape[::-1]]]
    volume = float(np.sqrt(np.linalg.det(edges.T @ edges)))
    dimensions = edges.shape[1]
    ball = (1.0, 2.0, np.pi, 4 / 3 * np.pi)[dimensions]
    return float(share * volume * ball / band_limit**dimensions)


def _chosen(envelope: Envelope, outcome: MaskOutcome) -> Chosen:
    """The envelope, or none where it fills the box."""
    if envelope.occupancy.all():
        return Chosen(None, replace(outcome, rule="everything", why="mask-fills"))
    return Chosen(envelope, outcome)


def _grown(
    density: DensityMap,
    mask: F32,
    lattice: Grid,
    band_limit: float,
    solvent: float,
    outcome: MaskOutcome,
    goal: float,
) -> Chosen:
    """The first envelope around the mask, growing, that leaves almost no power outside in any shell."""
    allowed = min(_LOSS, (1 - goal) / 2)
    steps = _GROWTH if allowed == _LOSS else (*_GROWTH, *_GROWTH_NEAR_1)
    shells = Shells(lattice)
    count = shells.last(band_limit) + 1
    spectrum = transform_planes(Planes.of(density.values, solvent), lattice.shape)
    spectrum *= shells.spread(np.ones(count, np.float32))
    inner = slice(1, max(count - _RINGING, 2))
    power = shells.sum(squared(spectrum))[inner]
    values = invert(spectrum, lattice.shape)
    distance = _distance(mask > 0.5, lattice, steps[-1] * band_limit)
    for growth in steps:
        envelope = _covering((distance <= growth * band_limit).astype(np.float32), lattice, band_limit)
        outside = values * (1 - envelope.on_lattice(lattice.shape))
        lost = shells.sum(squared(transform(outside)))[inner]
        if (lost <= allowed * power).all():
            break
    else:
        if allowed < _LOSS:
            most = float((lost / power).max())
            return Chosen(None, MaskOutcome("everything", why="too-much-outside", value=most))
    return replace(_chosen(envelope, replace(outcome, grown=growth * band_limit)), growth=growth)


def _distance(inside: NDArray[np.bool_], grid: Grid, reach: float) -> F64:
    """Distance to the mask in Angstrom, true up to `reach`, in the periodic box."""
    import scipy.ndimage as ndi

    spacing = [e / n for e, n in zip(grid.edges[::-1], grid.shape, strict=True)]
    pad = [min(int(reach / s) + 2, n) for s, n in zip(spacing, grid.shape, strict=True)]
    wide = np.pad(inside, [(p, p) for p in pad], mode="wrap")
    distance: F64 = ndi.distance_transform_edt(~wide, sampling=spacing)
    return distance[tuple(slice(p, -p) for p in pad)]
