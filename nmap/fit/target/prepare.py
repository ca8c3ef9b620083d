"""What a network is fitted to: the whitened, band-limited map inside its envelope.

Everything that a trainer needs is in `Target`, whatever the kind of network. Its truth is the source times
the envelope within the band limit, on the lattice where a decoder evaluates the network. What a decoder
shows anywhere is the trigonometric polynomial through the lattice's values, so an error measured by shell
on the lattice is the error of the decoded density at every continuous position (Parseval): nothing is left
free between the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import CodedTensor, decode_tensor, encode_log
from nmap.envelope.automatic import constant_solvent, solvent_value
from nmap.envelope.envelope import Envelope
from nmap.errors import MapError, OptionError
from nmap.fit.options import EncodeOptions
from nmap.fit.target.band_limit import estimate_band_limit
from nmap.fit.target.envelope import choose_envelope, degrees_of_freedom
from nmap.fit.target.fittable import check_density
from nmap.fit.target.half_maps import Halves, check_grids, halves_of, resolution_of
from nmap.grid import Grid, Triple
from nmap.maps import DensityMap
from nmap.maps.checked import judge_mask, mask_on, samples_agree, sound_mask
from nmap.spectrum import (
    Complex,
    ShellCurve,
    Shells,
    correlate_shells,
    crop_spectrum,
    invert,
    lattice_shape,
    resample,
    transform,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Shells with less power than this share of the mean are not whitened further: they hold rounding.
_FLOOR = 1e-8
# Share of a map's variance that rounding leaves within the band limit where nothing else lies.
_NOTHING = 1e-10
# Width of the smoothing of the gains, in units of the shells over which an object's spectrum is coherent,
# box edge / envelope width: sharper gains would spread the whitened map beyond the envelope.
_SMOOTH = 4.0


@dataclass(frozen=True, eq=False)
class Target:
    """What to fit, and how well a candidate does.

    Attributes:
        density: the source (half 1 under cross-validation) after crop and downsampling; its grid is the box.
        band_limit: resolution kept, Angstrom.
        band_limit_from: how that was decided, in words.
        solvent: density outside, and the zero of all that follows.
        envelope: soft mask; None if everything is inside.
        envelope_from: how that was decided, in words.
        outside: share of the band-limited variance that the envelope leaves out.
        lattice: where the network is evaluated.
        truth: half transform on the lattice of (source - solvent) * envelope within the band limit.
        reference: what fidelity is measured against: the truth, or for a map whose solvent is constant
            (masked before) the whole source within the band limit.
        gains: factor of each shell from 0 to the last, as decoded from `coded`; at most about 1.
        scale: density units per unit of network output; the whitened map has unit variance inside.
        coded: "gains", and for networks of dense layers "envelope", as the file stores them.
        center: box fraction (z, y, x) where the network coordinates are 0.
        half_width: box fraction (z, y, x) from there to where they are 1; the same length in Angstrom on
            each axis.
        halves: the half maps, where given.
    """

    density: DensityMap
    band_limit: float
    band_limit_from: str
    solvent: float
    envelope: Envelope | None
    envelope_from: str
    outside: float
    lattice: Grid
    truth: Complex
    reference: Complex
    gains: F32
    scale: float
    coded: dict[str, CodedTensor]
    center: Triple
    half_width: Triple
    halves: Halves | None = None

    @cached_property
    def shells(self) -> Shells:
        """Fourier shells of the lattice."""
        return Shells(self.lattice)

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
        return correlate_shells(spectrum, self.reference, self.shells, "second")


def prepare(density: DensityMap, options: EncodeOptions) -> Target:
    """Make the target of a fit.

    Args:
        density: the source.
        options: slice, crop, downsampling, resolution, mask and half maps.

    Raises:
        MapError: there is nothing in the map to fit.
        OptionError: an option that does not suit this map.
        GridError: a mask or a half map that does not lie on the map.
    """
    check_grids(density, options)
    source = _reduced(density, options)
    pair = [_reduced(half, options) for half in (options.half1, options.half2) if half is not None]
    density = pair[0] if options.cross_validate else source
    grid = density.grid
    check_density(source)
    options = replace(options, mask=_checked(options.mask, source))
    for number, half in enumerate(pair, 1):
        check_density(half, f"half map {number}: ")
    band_limit, how = _band_limit(source, options.resolution)
    if pair and options.resolution is None:
        band_limit, how = resolution_of(source, pair[0], pair[1], options, band_limit)
    solvent = solvent_value(source.values)
    halves = (pair[0], pair[1]) if pair else None
    chosen = choose_envelope(source, options.mask, band_limit, solvent, halves, options.goal_fsc)
    mask = None if chosen.envelope is None else chosen.envelope.on_lattice(grid.shape)
    if mask is not None:
        solvent = solvent_value(density.values, mask)
    elif density is not source:
        solvent = solvent_value(density.values)
    lattice = grid.resampled(lattice_shape(grid, band_limit))
    truth, reference, outside = _truth(density, mask, solvent, lattice, band_limit)
    _require_detail(truth, density, lattice, band_limit)
    center, half_width = _domain(chosen.envelope, lattice)
    shells = Shells(lattice)
    coded, scale = _gains(truth, shells, shells.last(band_limit), half_width, chosen.envelope)
    stored = {"gains": coded}
    if options.arch != "radial-basis" and (bits := chosen.coded) is not None:
        stored["envelope"] = bits
    return Target(
        density=density,
        band_limit=band_limit,
        band_limit_from=how,
        solvent=solvent,
        envelope=chosen.envelope,
        envelope_from=chosen.rule,
        outside=outside,
        lattice=lattice,
        truth=truth,
        reference=reference,
        gains=np.asarray(decode_tensor(coded), np.float32),
        scale=scale,
        coded=stored,
        center=center,
        half_width=half_width,
        halves=halves_of(pair[0], pair[1], chosen.envelope, options) if pair else None,
    )


def _checked(
    mask: Literal["auto", "none"] | DensityMap, density: DensityMap
) -> Literal["auto", "none"] | DensityMap:
    """The mask that is asked for; one that is given, with values from 0 to 1, and warned of where it is odd."""
    if not isinstance(mask, DensityMap):
        return mask
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
            raise OptionError(f"crop {n}: the map has {shape} voxels (z, y, x), wanted at most that many")
        z, y, x = ((m - n) // 2 for n, m in zip(part, shape, strict=True))
        values = density.values[z : z + part[0], y : y + part[1], x : x + part[2]]
        density = DensityMap(values, density.grid.region((z, y, x), part), density.header)
    if options.downsample > 1:
        nz, ny, nx = (round(m / options.downsample) for m in density.grid.shape)
        shape = density.grid.wide((nz, ny, nx))
        if any(n < 4 and m > 1 for n, m in zip(shape, density.grid.shape, strict=True)):
            raise OptionError(f"downsample {options.downsample}: would leave {shape} voxels (z, y, x)")
        grid = density.grid.resampled(shape)
        density = DensityMap(resample(density.values, grid.shape), grid, density.header)
    return density


def _band_limit(density: DensityMap, resolution: float | None) -> tuple[float, str]:
    """Band limit in Angstrom, never finer than Nyquist, and how it was decided."""
    shells = Shells(density.grid)
    finest = 1 / density.grid.nyquist
    if resolution is None:
        limit, how = estimate_band_limit(density.values, density.grid)
    elif resolution < finest:
        limit, how = finest, f"Nyquist: {resolution:g} A was asked for, which the sampling does not hold"
    else:
        limit, how = resolution, "given"
    if shells.last(limit) < 1:
        raise OptionError(f"resolution {limit:g} A: wanted finer than the box, {max(density.grid.edges):g} A")
    return limit, how


def _truth(
    density: DensityMap, mask: F32 | None, solvent: float, lattice: Grid, band_limit: float
) -> tuple[Complex, Complex, float]:
    """Transform within the band limit of the enveloped source and of the reference, and the variance left out.

    `mask` is the envelope on the source's grid.
    """
    shells = Shells(lattice)
    keep = shells.spread(np.ones(shells.last(band_limit) + 1, np.float32))

    def within(values: F32) -> Complex:
        return np.asarray(
            crop_spectrum(transform(values), density.grid.shape, lattice.shape) * keep, np.complex64
        )

    values = density.values - np.float32(solvent)
    whole = within(values)
    if mask is None:
        return whole, whole, 0.0
    values *= 1 - mask
    part = within(values)
    everything, left = (shells.total(np.abs(f) ** 2) for f in (whole, part))
    truth = np.asarray(whole - part, np.complex64)
    masked = constant_solvent(density.values) is not None
    return truth, whole if masked else truth, left / everything


def _require_detail(truth: Complex, density: DensityMap, lattice: Grid, band_limit: float) -> None:
    """Refuse a map with nothing but its mean within the band limit; `truth` is a half transform on the lattice."""
    held = float(np.var(invert(truth, lattice.shape), dtype=np.float64))
    if held <= _NOTHING * float(np.var(density.values, dtype=np.float64)):
        raise MapError(
            f"nothing coarser than the band limit of {band_limit:g} A is in this map, all its density is finer: "
            "there is nothing to fit: give a finer resolution"
        )


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
) -> tuple[CodedTensor, float]:
    """Gains that whiten the truth, at most 1, as stored, and the scale that gives it unit variance inside."""
    power = (shells.sum(np.abs(truth) ** 2) / np.maximum(shells.modes, 1))[: last + 1]
    power = np.maximum(power, _FLOOR * power[1:].mean())
    coherent = max(1.0, max(shells.grid.edges) / (2 * half_width[0] * shells.grid.edges[2]))
    smooth = np.exp(smoothed(np.log(power), _SMOOTH * coherent) / 2)
    coded = encode_log((smooth / smooth.max()).astype(np.float32))
    gains = np.asarray(decode_tensor(coded), np.float32)
    white = invert(truth * shells.spread(1 / gains), shells.grid.shape)
    inside = white if envelope is None else white[envelope.on_lattice(shells.grid.shape) > 0]
    return coded, max(float(np.sqrt(np.square(inside, dtype=np.float64).mean())), 1e-30)


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
