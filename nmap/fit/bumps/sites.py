"""Which sites a target has, and the working box around them.

Where the molecule fills little of its box, sweeps run in a working box around it: the same sites, the field
folded into fewer voxels. Fewer modes stand for each shell there, so the whole box's are measured now and then.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import scipy.fft as sf
import scipy.ndimage as ndi
import torch
from numpy.typing import NDArray

from nmap.errors import OptionError
from nmap.fit.bumps.lattice import C64, F32, Lattice, whitened
from nmap.fit.bumps.waves import Band, site_at, site_index
from nmap.fit.target.fittable import nothing_left
from nmap.fit.target.prepare import Target, levelled
from nmap.grid import Grid, Shape
from nmap.machine.threads import workers
from nmap.model.radial_basis import copies_of, most_sites, sites_lattice
from nmap.point_group import PointGroup
from nmap.spectrum import Planes, resample_planes
from nmap.spectrum.planes import parts

# Sites lie where the envelope exceeds this.
INSIDE = 0.25
# A working box reaches this many fine steps beyond the sites, and must be so much smaller to pay.
_MARGIN = 12
_WORTH = 0.6
# Sites that are looked at at once.
_AT_ONCE = 1 << 20


def fine_grid(target: Target) -> Grid:
    """The fine lattice, counts multiples of 4, that carries the sites of a target's band."""
    return target.lattice.resampled(sites_lattice(target.lattice, target.band_limit))


def lattice_of(
    target: Target,
    symmetry: PointGroup | None,
    device: torch.device,
    ceiling: F32 | None = None,
    inside: float = INSIDE,
    reach: int = 0,
    smooth: bool = False,
) -> Lattice:
    """Sites inside the envelope, in one asymmetric unit, and the whitened truth.

    Args:
        target: what to fit.
        symmetry: point group or None for C1.
        device: torch device.
        ceiling: highest correlation worth having, by shell, (last + 1,); None for 1.
        inside: sites lie where the envelope exceeds this,
        reach: and up to so many fine steps beyond.
        smooth: whiten by the smoothed spectrum, so that what is whitened stays where the map is.

    Returns:
        The lattice of a working box, where that is much smaller than the whole box, else of the whole.

    Raises:
        MapError: no site at all.
        OptionError: more sites than a file may have.
    """
    grid = fine_grid(target)
    shape = grid.shape
    every = numbers = _numbers(target, shape, inside, reach)
    if symmetry is not None:
        first = np.zeros(len(every), bool)
        for part in parts(len(every), _AT_ONCE):
            places = np.where(_thin(target), 0, site_at(every[part], shape) / np.asarray(shape))
            first[part] = symmetry.fold(places[:, ::-1] @ grid.box.T - np.asarray(symmetry.center))[1] == 0
        numbers = every[first]
    if not len(numbers):
        raise nothing_left(shape)
    if len(numbers) > most_sites(shape):
        raise OptionError(
            f"{len(numbers)} sites on a lattice of {shape} (z, y, x): wanted at most {most_sites(shape)}; use a "
            "coarser `resolution`, a `mask` or `crop`"
        )
    band = Band.of(grid, target.shells.width, target.last)
    truth = band.of_spectrum(target.reference, target.lattice.shape, shape)
    share = np.ones(target.last + 1, np.float32) if ceiling is None else ceiling
    worth = torch.from_numpy(share).to(device)
    factors = _whitening(truth, band, target, smooth)
    whole = Lattice(grid, numbers, band, whitened(truth, band, factors), factors, symmetry, device, worth)
    del truth
    low, high = _extent(every, shape)
    if symmetry is not None:
        # A mask need not be symmetric; the copies that it leaves out are fitted all the same.
        for copies in copies_of(whole.sites, shape, grid, symmetry)[0]:
            turned = np.rint(copies).astype(every.dtype)
            low, high = np.minimum(low, turned.min(0)), np.maximum(high, turned.max(0))
    found = _working_box(low, high, shape)
    return whole if found is None else _within(whole, _field(target, grid), *found)


def _field(target: Target, grid: Grid) -> F32:
    """What to fit, at the lattice's own sampling: cut at the last shell it would not end where its folds do."""
    values, envelope = Planes.of(target.density.values, target.solvent), target.envelope
    if target.masked and envelope is not None:
        values = values.times(lambda part: envelope.planes(values.shape, part))
    return resample_planes(values, grid.shape)


def _whitening(truth: C64, band: Band, target: Target, smooth: bool) -> F32:
    """Factor of each shell that makes its mean power 1; 0 where `validate` would not count the shell.

    Coarse shells stay as strong beside the first fine one as they are.

    If `smooth`, it follows a smooth curve through the shells' power instead, and the mean over all modes is 1.
    """
    modes = np.bincount(band.shell, band.modes, target.last + 1)
    power = np.bincount(band.shell, (truth.real**2 + truth.imag**2) * band.modes, target.last + 1)
    mean = power / np.maximum(modes, 1)
    used = (mean > 0) & ~target.negligible[: target.last + 1]
    used[0] = False
    if smooth:
        curve = np.square(target.gains, dtype=np.float64)
        used &= curve > 0
        mean = curve * power[used].sum() / max(float((curve * modes)[used].sum()), 1e-30)
    mean, _ = levelled(np.where(used, mean, np.inf))
    return np.divide(1, np.sqrt(mean), out=np.zeros(len(mean)), where=used).astype(np.float32)


def _numbers(target: Target, shape: Shape, inside: float, reach: int) -> NDArray[np.int32]:
    """Numbers (n,) of all sites where the envelope exceeds `inside`, or within reach of that, plane by plane."""
    near = np.ones(shape, bool)
    if target.envelope is not None:
        for z in range(shape[0]):
            near[z] = target.envelope.planes(shape, slice(z, z + 1))[0] > inside
    if reach and not near.all():
        near = ndi.binary_dilation(near, ndi.generate_binary_structure(3, 2), iterations=reach)
    for axis in np.flatnonzero(_thin(target)):
        near[tuple(slice(2, None) if a == axis else slice(None) for a in range(3))] = False
    planes = []
    for z, plane in enumerate(near):
        odd = z & 1
        y, x = np.nonzero(plane[odd::2, odd::2])
        sites = np.stack([np.full(y.size, z), 2 * y + odd, 2 * x + odd], -1)
        planes.append(site_index(sites, shape))
    return np.concatenate(planes)


def _extent(numbers: NDArray[np.int32], shape: Shape) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest and highest index (z, y, x) of sites."""
    low, high = np.asarray(shape, np.int64), np.full(3, -1, np.int64)
    for part in parts(len(numbers), _AT_ONCE):
        sites = site_at(numbers[part], shape)
        low, high = np.minimum(low, sites.min(0)), np.maximum(high, sites.max(0))
    return low, high


def _thin(target: Target) -> NDArray[np.bool_]:
    """Axes (z, y, x) without frequencies, as in a 2-D image: sites of one parity along them all do the same."""
    return np.array([n == 1 for n in target.lattice.shape])


def _working_box(low: NDArray[np.int64], high: NDArray[np.int64], shape: Shape) -> tuple[Shape, Shape] | None:
    """Start (even, may be negative) and counts (z, y, x) of a box around sites; None if it saves little."""
    start, counts = [0, 0, 0], list(shape)
    for axis in range(3):
        wide = 4 * sf.next_fast_len(math.ceil((high[axis] - low[axis] + 1 + 2 * _MARGIN) / 4), True)
        if wide < shape[axis]:
            counts[axis] = wide
            start[axis] = int(low[axis] + high[axis] + 1 - wide) // 4 * 2
    if math.prod(counts) > _WORTH * math.prod(shape):
        return None
    return (start[0], start[1], start[2]), (counts[0], counts[1], counts[2])


def _within(whole: Lattice, field: F32, start: Shape, counts: Shape) -> Lattice:
    """The same sites in a box of its own, into which the field that is to be fitted is folded."""
    grid = whole.grid.region(start, counts)
    moved = np.subtract(grid.origin, whole.grid.origin)
    symmetry = whole.symmetry
    if symmetry is not None:
        x, y, z = (float(c) for c in np.subtract(symmetry.center, moved))
        symmetry = replace(symmetry, center=(x, y, z))
    for axis in range(3):
        field = _folded(field, axis, start[axis], counts[axis])
    band = Band.of(grid, 1 / max(whole.grid.edges), whole.last)
    truth = band.of_spectrum(sf.rfftn(field, workers=workers()), counts, counts)
    sites = whole.sites
    numbers = site_index(np.subtract(sites, start, dtype=sites.dtype), counts)
    target = whitened(truth, band, whole.whitening)
    return replace(
        whole, grid=grid, numbers=numbers, band=band, target=target, symmetry=symmetry, whole=whole
    )


def _folded(field: F32, axis: int, start: int, count: int) -> F32:
    """A periodic field's samples along an axis from `start` on, those beyond `count` added to the first ones."""
    n = field.shape[axis]
    out = np.take(field, np.arange(start, start + min(count, n)), axis, mode="wrap")
    for first in range(count, n, count):
        more = np.take(field, np.arange(start + first, start + min(first + count, n)), axis, mode="wrap")
        out[tuple(slice(more.shape[a]) if a == axis else slice(None) for a in range(3))] += more
    return out
