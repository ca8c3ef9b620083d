"""What a network is fitted to: the whitened, band-limited map inside its envelope.

Everything that a trainer needs is in `Target`, whatever the kind of network. Its truth is the source times
the envelope within the band limit, on the lattice where a decoder evaluates the network. What a decoder
shows anywhere is the trigonometric polynomial through the lattice's values, so an error measured by shell
on the lattice is the error of the decoded density at every continuous position (Parseval): nothing is left
free between the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import CodedTensor, decode_tensor, encode_log, encode_occupancy
from nmap.envelope.automatic import constant_solvent
from nmap.envelope.envelope import Envelope
from nmap.errors import MapError
from nmap.fit.options import EncodeOptions
from nmap.fit.target.envelope import degrees_of_freedom
from nmap.fit.target.half_maps import Halves
from nmap.fit.target.specimen import Specimen, specimen_of
from nmap.grid import Grid, Triple
from nmap.maps import DensityMap
from nmap.outcomes import BandLimitOutcome, MaskOutcome, SymmetryOutcome
from nmap.point_group import PointGroup
from nmap.spectrum import (
    Complex,
    Planes,
    ShellCurve,
    Shells,
    ShellSums,
    correlate_shells,
    invert,
    lattice_shape,
    over_columns,
    squared,
    transform_planes,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Shells with less power than this share of the mean are not whitened further: they hold rounding.
_FLOOR = 1e-8
# Share of a map's variance that rounding leaves within the band limit where nothing else lies.
_NOTHING = 1e-10
# Shells coarser than this share of the last are not whitened. Their power falls so steeply that the whitened map would
# lie beyond the envelope too, where no network is: up to 2 % of a shell's power, all that 0.99 as a goal allows. Kept
# as strong as they are, 0.3 % at most. They have 1/64 of the modes, so that the bits they take hardly matter; with 0.35
# they have 1/23, and cost 1 to 3 % of the bytes.
_COARSE = 0.25
# Width of the smoothing of the gains, in units of the shells over which an object's spectrum is coherent,
# box edge / envelope width: sharper gains would spread the whitened map beyond the envelope.
_SMOOTH = 4.0


@dataclass(frozen=True)
class Outcomes:
    """How band limit, envelope and symmetry were decided."""

    band_limit: BandLimitOutcome
    mask: MaskOutcome
    symmetry: SymmetryOutcome


@dataclass(frozen=True, eq=False)
class Target:
    """What to fit, and how well a candidate does.

    Attributes:
        density: the source (half 1 under cross-validation) after crop and downsampling; its grid is the box.
        band_limit: resolution kept, Angstrom.
        solvent: density outside, and the zero of all that follows.
        envelope: soft mask; None if everything is inside.
        left_out: share of the band-limited variance that the envelope leaves out.
        lattice: where the network is evaluated.
        truth: half transform on the lattice of (source - solvent) * envelope within the band limit.
        reference: what fidelity is measured against: the truth, or for a map whose solvent is constant
            (masked before) the whole source within the band limit.
        gains: factor of each shell from 0 to the last, as decoded from `coded_gains`; at most about 1.
        scale: density units per unit of network output; what is whitened of the map has unit variance inside.
        coded_gains: the gains as the file stores them.
        white_from: first shell that they whiten; coarser ones have the gain of that one at most.
        center: box fraction (z, y, x) where the network coordinates are 0.
        half_width: box fraction (z, y, x) from there to where they are 1; the same length in Angstrom on
            each axis.
        group: point group to fit with; None for C1.
        outcomes: how band limit, envelope and symmetry were decided.
        halves: the half maps, where given.
    """

    density: DensityMap
    band_limit: float
    solvent: float
    envelope: Envelope | None
    left_out: float
    lattice: Grid
    truth: Complex
    reference: Complex
    gains: F32
    scale: float
    coded_gains: CodedTensor
    white_from: int
    center: Triple
    half_width: Triple
    group: PointGroup | None
    outcomes: Outcomes
    halves: Halves | None = None

    @property
    def coded_envelope(self) -> dict[str, CodedTensor]:
        """The envelope as a file stores it, under its name; empty without one."""
        return {} if self.envelope is None else {"envelope": encode_occupancy(self.envelope.occupancy)}

    @cached_property
    def shells(self) -> Shells:
        """Fourier shells of the lattice."""
        return Shells(self.lattice)

    @cached_property
    def negligible(self) -> NDArray[np.bool_]:
        """Shells in which the source holds nothing, by its own voxels and before any mask; as `validate` has it."""
        shells, density = Shells(self.density.grid), Planes.centred(self.density.values)

        def sums(columns: slice, half: Complex) -> ShellSums:
            return ShellSums.of(half, half, shells.part(columns))

        empty: NDArray[np.bool_] = reduce(add, over_columns([density], sums)).negligible[0]
        return empty

    @property
    def masked(self) -> bool:
        """Whether fidelity is measured within the envelope, not over the whole box."""
        return self.reference is self.truth and self.envelope is not None

    @property
    def last(self) -> int:
        """Index of the last shell within the band limit."""
        return self.gains.size - 1

    @cached_property
    def mask(self) -> F32:
        """The envelope on the lattice, (z, y, x)."""
        if self.envelope is None:
            return np.ones(self.lattice.shape, np.float32)
        return self.envelope.on_lattice(self.lattice.shape)

    @cached_property
    def inside(self) -> NDArray[np.intp]:
        """Flat indices (n,) of the lattice points where the envelope is above 0."""
        return np.flatnonzero(self.mask)

    @cached_property
    def coordinates(self) -> F32:
        """Network coordinates (n, 3), (z, y, x), of the points inside."""
        index = np.stack(np.unravel_index(self.inside, self.lattice.shape), -1)
        fractions = index / np.asarray(self.lattice.shape)
        return np.asarray((fractions - np.asarray(self.center)) / np.asarray(self.half_width), np.float32)

    @cached_property
    def whitened(self) -> Complex:
        """Half transform of what m . u should be, (z, y, x // 2 + 1)."""
        inverse = np.divide(1, self.gains, out=np.zeros_like(self.gains), where=self.gains > 0) / self.scale
        return np.asarray(self.truth * self.shells.spread(inverse.astype(np.float32)), np.complex64)

    @property
    def freedom(self) -> float:
        """Degrees of freedom: Fourier modes within the band limit times the envelope's share of the box."""
        return degrees_of_freedom(float(self.mask.mean()), self.lattice, self.band_limit)

    @property
    def reach(self) -> float:
        """Half width of the network's domain in Angstrom."""
        return self.half_width[0] * self.lattice.edges[2]

    def on_lattice(self, values: F32) -> F32:
        """The lattice (z, y, x) of values at the points inside times the envelope, 0 elsewhere."""
        out = np.zeros(self.lattice.size, np.float32)
        out[self.inside] = values * self.mask.reshape(-1)[self.inside]
        return out.reshape(self.lattice.shape)

    def fidelity(self, spectrum: Complex) -> ShellCurve:
        """Fidelity FSC of a half transform on the lattice against `reference`.

        Gains change no shell's correlation, so the spectrum of m . u does as well as the decoded one.
        """
        return correlate_shells(spectrum, self.reference, self.shells, negligible=self.negligible)


def target_of(specimen: Specimen, group: PointGroup | None, outcome: SymmetryOutcome) -> Target:
    """The target of a fit.

    Args:
        specimen: what of the map is fitted.
        group: point group that it is fitted with; None for C1.
        outcome: how that was decided.
    """
    specimen = specimen.with_copies(group)
    density, envelope, band_limit = specimen.density, specimen.chosen.envelope, specimen.band_limit
    grid = density.grid
    lattice = grid.resampled(lattice_shape(grid, band_limit))
    truth, reference, left_out = _truth(density, envelope, specimen.solvent, lattice, band_limit)
    _require_detail(truth, density, lattice, band_limit)
    if envelope is not None and not envelope.on_lattice(lattice.shape).any():
        raise MapError(
            f"no point of the band limit's lattice, {lattice.shape} (z, y, x), lies inside the mask: there is nothing "
            "to fit: give a finer resolution or a wider mask"
        )
    center, half_width = _domain(envelope, lattice)
    shells = Shells(lattice)
    coded, scale, white_from = _gains(truth, shells, shells.last(band_limit), half_width, envelope)
    return Target(
        density=density,
        band_limit=band_limit,
        solvent=specimen.solvent,
        envelope=envelope,
        left_out=left_out,
        lattice=lattice,
        truth=truth,
        reference=reference,
        gains=np.asarray(decode_tensor(coded), np.float32),
        scale=scale,
        coded_gains=coded,
        white_from=white_from,
        center=center,
        half_width=half_width,
        group=group,
        outcomes=Outcomes(
            specimen.band_limit_outcome, replace(specimen.chosen.outcome, left_out=left_out), outcome
        ),
        halves=specimen.halves(),
    )


def prepare(density: DensityMap, options: EncodeOptions) -> Target:
    """The target of a fit without symmetry; raises as `specimen_of`."""
    return target_of(specimen_of(density, options), None, SymmetryOutcome("not-sought"))


def _truth(
    density: DensityMap, envelope: Envelope | None, solvent: float, lattice: Grid, band_limit: float
) -> tuple[Complex, Complex, float]:
    """Transform within the band limit of the enveloped source and of the reference, and the variance left out."""
    shells = Shells(lattice)
    keep = shells.spread(np.ones(shells.last(band_limit) + 1, np.float32))

    def within(volume: Planes) -> Complex:
        spectrum = transform_planes(volume, lattice.shape)
        spectrum *= keep
        return spectrum

    values = Planes.of(density.values, solvent)
    whole = within(values)
    if envelope is None:
        return whole, whole, 0.0
    outside = values.times(lambda part: 1 - envelope.planes(density.grid.shape, part))
    part = within(outside)
    everything, left = (shells.total(squared(f)) for f in (whole, part))
    truth = np.asarray(whole - part, np.complex64)
    masked = constant_solvent(density.values) is not None
    return truth, whole if masked else truth, left / everything if everything > 0 else 0.0


def _require_detail(truth: Complex, density: DensityMap, lattice: Grid, band_limit: float) -> None:
    """Refuse a map with nothing but its mean within the band limit; `truth` is a half transform on the lattice."""
    held = float(np.var(invert(truth, lattice.shape), dtype=np.float64))
    if held <= _NOTHING * _variance(density.values):
        raise MapError(
            f"nothing coarser than the band limit of {band_limit:g} A is in this map, all its density is finer: "
            "there is nothing to fit: give a finer resolution"
        )


def _variance(values: F32) -> float:
    """Of all values, in double precision, plane by plane."""
    mean = float(values.mean(dtype=np.float64))
    return sum(float(np.square(plane - mean, dtype=np.float64).sum()) for plane in values) / values.size


def _domain(envelope: Envelope | None, lattice: Grid) -> tuple[Triple, Triple]:
    """Centre and half width, box fractions (z, y, x), of the envelope's bounding box, as wide on each axis in A."""
    low, high = np.zeros(3), np.asarray([float(n > 1) for n in lattice.shape])
    if envelope is not None:
        inside = envelope.on_lattice(lattice.shape) > 0
        for axis in range(3):
            used = np.flatnonzero(inside.any(tuple(a for a in range(3) if a != axis)))
            low[axis], high[axis] = used[[0, -1]] / lattice.shape[axis]
    edges = np.asarray(lattice.edges[::-1])
    widest = float(((high - low) / 2 * edges).max())
    z, y, x = (float(c) for c in (low + high) / 2)
    hz, hy, hx = (float(widest / e) for e in edges)
    return (z, y, x), (hz, hy, hx)


def _gains(
    truth: Complex, shells: Shells, last: int, half_width: Triple, envelope: Envelope | None
) -> tuple[CodedTensor, float, int]:
    """Gains that whiten the truth, at most 1, as stored, the scale that goes with them, and from where they whiten."""
    power = (shells.sum(squared(truth)) / np.maximum(shells.modes, 1))[: last + 1]
    power = np.maximum(power, _FLOOR * power[1:].mean())
    coherent = max(1.0, max(shells.grid.edges) / (2 * half_width[0] * shells.grid.edges[2]))
    smooth = np.exp(smoothed(np.log(power), _SMOOTH * coherent) / 2)
    white = invert(truth * shells.spread((1 / smooth).astype(np.float32)), shells.grid.shape)
    inside = white if envelope is None else white[envelope.on_lattice(shells.grid.shape) > 0]
    strength = smooth * max(float(np.sqrt(np.square(inside, dtype=np.float64).mean())), 1e-30)
    strength, start = levelled(strength)
    scale = float(strength.max())
    return encode_log((strength / scale).astype(np.float32)), scale, start


def levelled(strength: F64, first: int | None = None) -> tuple[F64, int]:
    """What to whiten by: the strength of each shell from 0 to the last, but no coarse one's above the first fine one's.

    Args:
        strength: by shell.
        first: fine shell; by the rule if None.

    Returns:
        Strength by shell, and the first fine shell.
    """
    if first is None:
        first = round(_COARSE * (strength.size - 1))
    out = strength.copy()
    out[:first] = np.minimum(out[:first], out[first])
    return out, first


def smoothed(curve: F64, width: float) -> F64:
    """A curve by shell smoothed by local linear regression with a Gaussian of `width` shells."""
    at = np.arange(curve.size, dtype=np.float64)
    out = np.empty(curve.size)
    for shell in range(curve.size):
        weight = np.exp(-0.5 * ((at - shell) / width) ** 2)
        total = weight.sum()
        mean, level = weight @ at / total, weight @ curve / total
        spread = weight @ (at - mean) ** 2
        slope = weight @ ((at - mean) * curve) / spread if spread > 1e-9 else 0.0
        out[shell] = level + slope * (shell - mean)
    return out
