"""The envelope of a fit: found or given, as the coarse bits that the file stores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import MAX_OCCUPANCY_NODES, CodedTensor, encode_occupancy
from nmap.coding.occupancy import packed_size
from nmap.envelope.automatic import automatic_mask
from nmap.envelope.envelope import Envelope
from nmap.fit.target.outside import correlate_outside
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.maps.checked import mask_by_position, samples_agree
from nmap.spectrum import Shells, crop_spectrum, invert, lattice_shape, transform

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Nodes lie this many band limits apart: closer ones cut more solvent away but make an edge so steep that it
# spreads over the whole spectrum.
_SPACING = 1.25
# The bits may take this much of a file, whose size is reckoned at this many bytes per degree of freedom.
_SHARE = 0.02
# A reckoning of their bytes is surely right to this share.
_RECKONED = 0.1
_BYTES_PER_FREEDOM = 0.4
# In a map with quiet solvent no shell may lose more of its power to the envelope; found masks grow by up
# to this many band limits to keep to it. The last shells ring over the whole box, for the band limit cuts
# them off: they are not asked. A goal near 1 allows less, a quarter of what it lets be missing; then masks grow
# further, and where that is not enough there is none.
_LOSS = 0.01
_GROWTH, _GROWTH_NEAR_1 = (0.0, 0.5, 1.0, 1.5, 2.0), (3.0, 4.0)
_RINGING = 2
# Where half maps correlate outside, found masks grow on, by up to this many band limits.
_FURTHER = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


@dataclass(frozen=True, eq=False)
class Chosen:
    """An envelope and how it came about.

    Attributes:
        envelope: soft mask; None if everything is inside.
        rule: how it was decided, in words.
        growth: how far a found mask was grown, in band limits.
    """

    envelope: Envelope | None
    rule: str
    growth: float = 0.0

    @property
    def coded(self) -> CodedTensor | None:
        """Its bits as a file stores them; None without an envelope."""
        return None if self.envelope is None else encode_occupancy(self.envelope.occupancy)


def choose_envelope(
    density: DensityMap,
    mask: Literal["auto", "none"] | DensityMap,
    band_limit: float,
    solvent: float,
    halves: tuple[DensityMap, DensityMap] | None = None,
    goal: float = 0.9,
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

    Raises:
        GridError: the given mask does not lie on the map.
        OptionError: the given mask is empty.
    """
    if mask == "none":
        return Chosen(None, "none, as asked")
    if isinstance(mask, DensityMap):
        return _told(_given(density, mask, band_limit), band_limit, halves)
    found = automatic_mask(density.values, density.grid, band_limit, solvent)
    if found.mask is None:
        return Chosen(None, found.rule)
    if found.quiet:
        chosen = _grown(density, found.mask, found.grid, band_limit, solvent, found.rule, goal)
    else:
        chosen = _made(_covering(found.mask, found.grid, band_limit), found.rule)
    if halves is None or chosen.envelope is None:
        return chosen
    return _parted(chosen, found.mask, found.grid, band_limit, halves)


def _given(density: DensityMap, mask: DensityMap, band_limit: float) -> Chosen:
    """The envelope around a mask given as a map."""
    lattice = density.grid.resampled(lattice_shape(density.grid, band_limit))
    given = mask_by_position(mask, density.grid, lattice)
    name = mask.header.name if mask.header else "given"
    moved = "" if samples_agree(mask.grid, density.grid) else f", resampled from {mask.grid}"
    return _made(_covering(given, lattice, band_limit), f"{name}, where it exceeds 0.5{moved}")


def _told(chosen: Chosen, band_limit: float, halves: tuple[DensityMap, DensityMap] | None) -> Chosen:
    """The same envelope, with how far the half maps correlate outside it in its rule."""
    if halves is None or chosen.envelope is None:
        return chosen
    said = correlate_outside(*halves, chosen.envelope, band_limit).words
    return replace(chosen, rule=f"{chosen.rule}; {said}")


def _parted(
    chosen: Chosen, mask: F32, lattice: Grid, band_limit: float, halves: tuple[DensityMap, DensityMap]
) -> Chosen:
    """The first envelope around the mask, growing on from the one chosen, outside which half maps do not correlate.

    If there is none that leaves solvent, the one outside which they do so least.
    """
    best, least = chosen, np.inf
    distance = _distance(mask > 0.5, lattice, _FURTHER[-1] * band_limit)
    for growth in (chosen.growth, *(g for g in _FURTHER if g > chosen.growth)):
        made = chosen
        if growth > chosen.growth:
            grown = (distance <= growth * band_limit).astype(np.float32)
            rule = f"{chosen.rule}, grown by {growth * band_limit:.3g} A for what the half maps share there"
            made = _made(_covering(grown, lattice, band_limit), rule)
        if made.envelope is None:
            break
        outside = correlate_outside(*halves, made.envelope, band_limit)
        if outside.excess < least:
            best, least = replace(made, rule=f"{made.rule}; {outside.words}", growth=growth), outside.excess
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


def _made(envelope: Envelope, rule: str) -> Chosen:
    if envelope.occupancy.all():
        return Chosen(None, f"everything: {rule} fills the box")
    return Chosen(envelope, rule)


def _grown(
    density: DensityMap, mask: F32, lattice: Grid, band_limit: float, solvent: float, rule: str, goal: float
) -> Chosen:
    """The first envelope around the mask, growing, that leaves almost no power outside in any shell."""
    allowed = min(_LOSS, (1 - goal) / 2)
    steps = _GROWTH if allowed == _LOSS else (*_GROWTH, *_GROWTH_NEAR_1)
    shells = Shells(lattice)
    count = shells.last(band_limit) + 1
    spectrum = crop_spectrum(
        transform(density.values - np.float32(solvent)), density.grid.shape, lattice.shape
    )
    spectrum *= shells.spread(np.ones(count, np.float32))
    inner = slice(1, max(count - _RINGING, 2))
    power = shells.sum(np.abs(spectrum) ** 2)[inner]
    values = invert(spectrum, lattice.shape)
    distance = _distance(mask > 0.5, lattice, steps[-1] * band_limit)
    for growth in steps:
        envelope = _covering((distance <= growth * band_limit).astype(np.float32), lattice, band_limit)
        outside = values * (1 - envelope.on_lattice(lattice.shape))
        lost = shells.sum(np.abs(transform(outside)) ** 2)[inner]
        if (lost <= allowed * power).all():
            break
    else:
        if allowed < _LOSS:
            share = f"{float((lost / power).max()):.2g} of a shell's power"
            return Chosen(None, f"everything: the envelope would leave out {share}, too much for {goal:g}")
    made = _made(envelope, f"{rule}, grown by {growth * band_limit:.3g} A: the solvent is quiet")
    return replace(made, growth=growth)


def _distance(inside: NDArray[np.bool_], grid: Grid, reach: float) -> F64:
    """Distance to the mask in Angstrom, true up to `reach`, in the periodic box."""
    import scipy.ndimage as ndi

    spacing = [e / n for e, n in zip(grid.edges[::-1], grid.shape, strict=True)]
    pad = [min(int(reach / s) + 2, n) for s, n in zip(spacing, grid.shape, strict=True)]
    wide = np.pad(inside, [(p, p) for p in pad], mode="wrap")
    distance: F64 = ndi.distance_transform_edt(~wide, sampling=spacing)
    return distance[tuple(slice(p, -p) for p in pad)]
