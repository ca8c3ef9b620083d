"""Where the molecule is: an envelope found from the map alone, or None where the map does not tell.

The rule works on the local rms of the low-passed density about the solvent's value. Molecule and solvent
show as two peaks in the histogram of its logarithm, whether the solvent is constant (a masked map), noise,
or noise that changes over the box; the threshold is the valley between them. Tomograms, crystals and boxes
full of density have no such valley, or hold too little of their variance above it: then the envelope is
everything.

In noise, flexible or weakly occupied parts stand out of the solvent at lower resolution only. What the mask
leaves out is smoothed and compared with itself turned negative: noise has troughs as deep as its peaks are high,
a molecule is positive. A part far higher than the deepest trough joins the mask, farther if it lies apart
(target and decoy, as sequence searches tell true hits from chance: Elias & Gygi, Nature Methods 4, 207, 2007).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.envelope import Envelope
from nmap.grid import Grid
from nmap.outcomes import MaskOutcome
from nmap.spectrum import (
    Complex,
    Planes,
    Shells,
    crop_spectrum,
    invert,
    lattice_shape,
    resample_planes,
    transform_planes,
)
from nmap.spectrum.planes import parts

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bits = NDArray[np.bool_]
FoundBy = Literal["valley", "not-constant", "stands-out"]
Item = TypeVar("Item", bound=np.generic)

# Voxels that are worked on at once.
_AT_ONCE = 1 << 22

# The histogram of log(local rms) reaches from the strongest density this far down: below lies rounding.
_RANGE = 9.0
_BINS = 120
# What tells molecule from solvent. On single-particle maps tried, masked or not, the local rms inside was
# at least 5.8 times that outside; on a tomogram, two crystals and a full box at most 3.1.
_CONTRAST = 4.0
# A molecule held 33 % of the band-limited variance at the least, in strong noise; gold beads of a tomogram 4 %.
_LEAST_VARIANCE = 0.2
_MOST_VOLUME = 0.8
# A valley lies below the lower of its peaks by this factor,
_DEPTH = 1.05
# and by this many standard deviations of the counts.
_SURE = 4.0
# Its peaks are this far apart in the log of the local rms: a factor of 3.
_APART = 2.2
# Bins of the valley's floor hold at most this many times its lowest one.
_VALLEY = 1.2
# A molecule too small to make a peak of its own exceeds the solvent's by this number of standard deviations,
_SIGMAS = 5.0
# and this share of the strongest local rms: less is the smoothing's skirt.
_FIFTH = 0.2
# Solvent whose local rms is below this share of the molecule's is as good as constant.
_QUIET = 3e-3
# In a masked map the molecule lies where at least this share of the voxels around differ from the solvent.
_SUPPORT = 0.1
# Resolutions looked at, in band limits: the noise of a single-particle map grows with frequency against the
# signal, and at twice or three times the band limit hides nothing. A tomogram or a crystal gains nothing there:
# its contrast fell from at most 3.1 to at most 2.
_LOOKS = (1.0, 1.5, 2.0, 3.0)
_FEWEST_SHELLS = 6
# Parts that noise hides at the resolution of a look are sought at this many times it: at 3 and 4 times, a part of
# a phantom came with a rim of solvent.
_FAINT = 2.0
# A part holds a point this many times higher than the deepest trough, and than _SIGMAS of the scatter over the
# solvent, to which it reaches (or to _FIFTH of the highest point: less is the smoothing's skirt). In 994 phantoms
# without such a part, in white, coloured and patchy noise, noise did both once, by 2.4, far from the molecule:
_ABOVE_TROUGHS = 2.0
# a part that lies apart holds a point twice as high again.
_APART_ABOVE = 2.0
# Share of a smoothed mask left 1.3 widths outside a face of it, where solvent begins.
_SKIRT = 0.1
# The same at 2 widths, as far as a part may lie from the molecule.
_NEAR = 0.02
# A part is dust if it holds less than this share of the largest part's variance.
_DUST = 0.02


@dataclass(frozen=True, eq=False)
class FoundMask:
    """What was found.

    Attributes:
        mask: float32 (z, y, x) on `grid`, 1 in the molecule; None if everything is.
        grid: the lattice of the band limit.
        outcome: how it was decided.
    """

    mask: F32 | None
    grid: Grid
    outcome: MaskOutcome

    @property
    def quiet(self) -> bool:
        """Whether the solvent is constant or nearly so: what a mask leaves out is then not noise."""
        return bool(self.outcome.quiet)


def solvent_value(values: F32, mask: F32 | Envelope | None = None) -> float:
    """The solvent's density: the commonest exact value if a tenth of the box has it, else the median.

    Args:
        values: density (z, y, x).
        mask: same shape, or an envelope of the box; the median is taken where it is below 0.5, if that is anywhere.
    """
    constant = constant_solvent(values)
    if constant is not None:
        return constant
    if mask is None:
        return float(np.median(values))
    planes = Planes.of(values)

    def where(part: slice) -> F32:
        return mask.planes(planes.shape, part) if isinstance(mask, Envelope) else mask[part]

    # Filled in place: slabs joined at the end would be held twice.
    outside, count = np.empty(values.size, np.float32), 0
    for part, slab in planes.slabs():
        found = slab[where(part) < 0.5]
        outside[count : count + found.size] = found
        count += found.size
    outside = outside[:count]
    return float(np.median(outside if outside.size else values, overwrite_input=outside.size > 0))


def constant_solvent(values: F32) -> float | None:
    """The value that at least a tenth of all voxels share exactly, as in a masked map; None if none is."""
    # A value that a tenth of all voxels share fills four of the 41 places in the sorted sample, up to chance.
    sample = np.sort(values.ravel()[:: max(1, values.size // 100_000)])
    found, places = np.unique(sample[np.linspace(0, sample.size - 1, 41).astype(int)], return_counts=True)
    shares = [(_count(values, c) / values.size, float(c)) for c in found[places >= 3]]
    share, value = max(shares, default=(0.0, 0.0))
    return value if share >= 0.1 and np.ptp(values) > 0 else None


def _count(values: F32, wanted: float) -> int:
    """Voxels of exactly this value."""
    return sum(int(np.count_nonzero(plane == wanted)) for plane in values)


def automatic_mask(values: F32, grid: Grid, band_limit: float, solvent: float | None = None) -> FoundMask:
    """Find the molecule: at the band limit, or where noise hides it there, at lower resolutions.

    Args:
        values: density (z, y, x) on `grid`.
        grid: where it lies.
        band_limit: resolution kept, Angstrom; also the scale of the smoothing.
        solvent: the solvent's density, where it is known; None looks for it.
    """
    constant = constant_solvent(values)
    if solvent is None:
        solvent = solvent_value(values) if constant is None else constant
    density = Planes.of(values, solvent)
    # Coarser looks are cut from the first one.
    at = grid.resampled(lattice_shape(grid, band_limit))
    spectrum = transform_planes(density, at.shape)
    support = None if constant is None else Planes(grid.shape, lambda part: _differs(density.make(part)))
    first = FoundMask(None, grid, MaskOutcome("everything"))
    for coarser in _LOOKS:
        limit = coarser * band_limit
        if coarser > 1 and Shells(grid).last(limit) < _FEWEST_SHELLS:
            break
        found = _look(spectrum, at, limit, support)
        if found.mask is not None:
            return replace(found, outcome=replace(found.outcome, seen_at=None if coarser == 1 else limit))
        first = found if coarser == 1 else first
    return first


def _differs(values: F32) -> F32:
    return np.asarray(values != 0, np.float32)


def _look(spectrum: Complex, grid: Grid, limit: float, support: Planes | None) -> FoundMask:
    """Find the molecule at one resolution.

    Args:
        spectrum: half transform of the density about its solvent, on `grid`.
        grid: a lattice over the map's box, fine enough.
        limit: resolution looked at, Angstrom; also the scale of the smoothing.
        support: 1 where the map differs from its constant solvent, at the map's own sampling; None without one.
    """
    shape = lattice_shape(grid, limit)
    lattice = grid.resampled(shape)
    shells = Shells(lattice)
    keep = np.ones(shells.last(limit) + 1, np.float32)
    cropped = crop_spectrum(spectrum, grid.shape, shape) * shells.spread(keep)
    density = invert(cropped, shape)
    del cropped
    local = _blurred(np.square(density), lattice, limit)
    candidates: list[tuple[FoundBy, Bits]] = []
    # Where the solvent is quiet a mask too tight shows by what it leaves out; in noise it cannot.
    quiet = support is not None or float(np.median(local)) < _QUIET**2 * float(np.quantile(local, 0.999))
    threshold = _valley(local, quiet)
    if threshold is not None:
        candidates.append(("valley", local > threshold))
    if support is not None:
        varies = _blurred(resample_planes(support, shape), lattice, limit) > _SUPPORT
        candidates = [(how, bits & varies) for how, bits in candidates]
        candidates.append(("not-constant", varies))
    else:
        candidates.append(("stands-out", local > _noise_ceiling(local)))
    doubt: MaskOutcome | None = None
    for how, bits in candidates:
        inside = _without_dust(bits, local)
        doubt = _doubt(inside, local)
        if doubt is None:
            faint = None if quiet else _faint_parts(density, inside, lattice, limit)
            whole = inside if faint is None else inside | faint
            parts_at = None if faint is None else _FAINT * limit
            outcome = MaskOutcome("found", found_by=how, parts_seen_at=parts_at, quiet=quiet)
            return FoundMask(whole.astype(np.float32), lattice, outcome)
    return FoundMask(None, lattice, doubt or MaskOutcome("everything", why="nothing-found"))


def _faint_parts(density: F32, inside: Bits, grid: Grid, limit: float) -> Bits | None:
    """Parts that stand out of noisy solvent at lower resolution only; None without any.

    Next to the molecule less is asked of them than apart from it.

    Args:
        density: about its solvent, within the resolution looked at, (z, y, x) on `grid`.
        inside: the molecule as found at that resolution.
        grid: where both lie.
        limit: that resolution, Angstrom.
    """
    import scipy.ndimage as ndi

    core = _blurred(inside.astype(np.float32), grid, limit) > _SKIRT
    if core.all():
        return None
    rest = np.where(core, np.float32(0), density - np.median(density[~core]))
    smooth = _blurred(rest, grid, _FAINT * limit / 2) / _noise_level(rest, ~core, grid, limit)
    solvent = smooth[~core]
    scatter = _SIGMAS * 1.4826 * float(np.median(np.abs(solvent)))
    highest, enough = float(solvent.max()), _ABOVE_TROUGHS * max(scatter, -float(solvent.min()))
    if not highest > enough:
        return None
    labels, count = ndi.label(smooth > max(scatter, _FIFTH * highest))
    labels = _joined(np.asarray(labels, np.int32), count)
    near = _blurred(inside.astype(np.float32), grid, _FAINT * limit) > _NEAR
    kept = np.intersect1d(labels[~core & (smooth > enough)], labels[near])
    kept = np.union1d(kept, labels[~core & (smooth > _APART_ABOVE * enough)])
    out: Bits = np.isin(labels, kept[kept > 0]) & ~inside
    return out if out.any() else None


def _noise_level(rest: F32, solvent: Bits, grid: Grid, limit: float) -> F32:
    """Local rms of the solvent's finest detail, where faint parts have none, relative to its median or more.

    Args:
        rest: density about its solvent, 0 in the molecule, (z, y, x) on `grid`.
        solvent: where it counts.
        grid: where both lie.
        limit: resolution of the density, Angstrom.
    """
    fine = np.where(solvent, np.square(rest - _blurred(rest, grid, limit / 2)), np.float32(0))
    within = _blurred(solvent.astype(np.float32), grid, 2 * limit)
    level = np.sqrt(_blurred(fine, grid, 2 * limit) / np.maximum(within, np.float32(1e-3)))
    median = np.median(level[solvent])
    return np.asarray(np.maximum(level / max(median, 1e-30), 1), np.float32)


def _blurred(density: F32, grid: Grid, sigma: float) -> F32:
    """Average over a Gaussian of `sigma` Angstrom along the axes, (z, y, x) periodic."""
    import scipy.ndimage as ndi

    widths = [sigma * n / edge for n, edge in zip(grid.shape, grid.edges[::-1], strict=True)]
    return np.asarray(ndi.gaussian_filter(density, widths, mode="wrap"), np.float32)


def _valley(local: F32, tight: bool) -> float | None:
    """Local variance at the highest valley of the histogram of its logarithm; None without one.

    Args:
        local: local variance.
        tight: take the upper end of the valley's floor, which is wide where the molecule fades out.
    """
    top = float(np.quantile(local, 0.999))
    if not top > 0:
        return None
    bottom = top * np.exp(-2 * _RANGE)
    logs = np.log(local[local > bottom])
    counts, edges = np.histogram(logs, _BINS, (np.log(bottom), float(logs.max())))
    smooth = np.convolve(np.pad(counts.astype(np.float64), 4, mode="edge"), _BELL, "valid")
    depth = np.zeros(_BINS)
    for i in range(1, _BINS - 1):
        left, right = int(np.argmax(smooth[:i])), i + 1 + int(np.argmax(smooth[i + 1 :]))
        lower = min(smooth[left], smooth[right])
        # Counts scatter as their root; the smoothing leaves a seventh of their variance.
        sure = lower - smooth[i] > _SURE * np.sqrt((lower + smooth[i]) / 7)
        if sure and edges[right] - edges[left] > _APART:
            depth[i] = lower / max(smooth[i], 1)
    deep = np.flatnonzero(depth >= _DEPTH)
    if not deep.size:
        return float(bottom) if logs.size < 0.8 * local.size else None
    # Of several valleys (noise often fills a sphere only) the highest one bounds the molecule.
    highest = deep[np.flatnonzero(np.diff(deep, prepend=-2) > 1)[-1] :]
    best = lowest = int(highest[np.argmax(depth[highest])])
    while tight and best + 1 < smooth.size and smooth[best + 1] <= _VALLEY * smooth[lowest]:
        best += 1
    return float(np.exp((edges[best] + edges[best + 1]) / 2))


def _noise_ceiling(local: F32) -> float:
    """Local variance that solvent does not reach: from its histogram's peak and the spread below the peak."""
    logs = np.log(local[local > 0])
    if not logs.size:
        return 0.0
    counts, edges = np.histogram(logs, _BINS, tuple(np.quantile(logs, [0.001, 0.999])))
    smooth = np.convolve(np.pad(counts.astype(np.float64), 4, mode="edge"), _BELL, "valid")
    peak = float(edges[int(np.argmax(smooth))])
    below = peak - logs[logs < peak]
    spread = 1.4826 * float(np.median(below)) if below.size else 0.0
    return max(float(np.exp(peak + _SIGMAS * spread)), _FIFTH**2 * float(np.quantile(local, 0.999)))


_BELL = np.exp(-0.5 * (np.arange(-4, 5) / 2.0) ** 2)
_BELL /= _BELL.sum()


def _without_dust(inside: Bits, local: F32) -> Bits:
    """Without the parts that hold next to none of the variance; parts join through the box's faces."""
    import scipy.ndimage as ndi

    labels, count = ndi.label(inside)
    if count < 2:
        return inside
    labels = _joined(np.asarray(labels, np.int32), count)
    # What stands out of the solvent's own variance counts.
    level, weight = np.median(local), np.zeros(int(labels.max()) + 1)
    for part in _slabs(labels):
        weight += np.bincount(labels[part].ravel(), (local[part] - level).ravel(), weight.size)
    weight[0] = 0
    kept = weight >= _DUST * weight.max()
    kept[0] = False
    return _looked_up(kept, labels)


def _slabs(values: NDArray[np.generic]) -> Iterator[slice]:
    """Slabs of planes that are worked on at once: places take eight bytes a voxel."""
    return parts(len(values), _AT_ONCE // values[0].size)


def _looked_up(table: NDArray[Item], labels: NDArray[np.int32]) -> NDArray[Item]:
    """What a table holds for each label, (z, y, x)."""
    out = np.empty(labels.shape, table.dtype)
    for part in _slabs(labels):
        out[part] = table[labels[part]]
    return out


def _joined(labels: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Labels made equal for parts that touch through opposite faces of the periodic box."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [
        np.stack([np.take(labels, 0, axis).ravel(), np.take(labels, -1, axis).ravel()]) for axis in range(3)
    ]
    ends = np.concatenate(pairs, axis=1)
    ends = np.unique(ends[:, (ends > 0).all(0)], axis=1)
    graph = coo_array((np.ones(ends.shape[1], np.int8), (ends[0], ends[1])), shape=(count + 1, count + 1))
    group = connected_components(graph, directed=False)[1]
    table = np.where(np.arange(count + 1) == 0, 0, group + 1)
    return _looked_up(table.astype(np.int32), labels)


def _doubt(inside: Bits, local: F32) -> MaskOutcome | None:
    """Why `inside` cannot be trusted; None if it can."""
    share = float(inside.mean())
    if not share:
        return MaskOutcome("everything", why="nothing-found")
    if share > _MOST_VOLUME:
        return MaskOutcome("everything", why="fills", value=share)
    within, without = (
        float(local[inside].mean(dtype=np.float64)),
        float(local[~inside].mean(dtype=np.float64)),
    )
    if within < _CONTRAST**2 * without:
        ratio = float(np.sqrt(within / max(without, 1e-300)))
        return MaskOutcome("everything", why="faint", value=ratio)
    held = within * share / (within * share + without * (1 - share))
    return MaskOutcome("everything", why="little-variance", value=held) if held < _LEAST_VARIANCE else None
