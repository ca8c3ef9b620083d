"""How a molecule moves from frame to frame: displacements at coarse nodes, found from coarse detail to fine.

Every frame is taken to be one density, sampled where each point came from: frame_i(x) = rest(x - d_i(x)). The density
at rest is a middle frame first, then the mean of all frames, each moved back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.axis import Axis
from nmap.envelope.envelope import Envelope
from nmap.fit.dense.adam import Adam
from nmap.fit.progress import Watch
from nmap.fit.series.at_rest import degree_of, moved_back
from nmap.grid import Grid, Shape
from nmap.maps import DensityMap
from nmap.model.motion import MAX_NODES, Motion, spline_weights
from nmap.sampling.polynomial import Polynomial, Samples
from nmap.spectrum import Shells, invert, lattice_shape, transform, transform_values

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Distance of the nodes, in units of the band limit: what turns over some 20 A at 3.5 A is told apart.
_SPACING = 2.6
_LEAST_NODES, _MOST_NODES = 5, 24
# Resolutions at which frames are matched, in units of the band limit, and the steps at each; the last two with the mean
# of all frames as the density at rest. Whether it pays is judged before the last: of finer detail most may be noise.
_STAGES = ((4.0, 40), (2.6, 30), (1.7, 25))
_JUDGED = (1.4, 12)
_LAST = (1.1, 10)
# Points of the lattice on which frames are matched, at most: with more the resolution is coarser.
_POINTS = 1 << 19
# Fewer inside the envelope than this tell of no motion: such a resolution is passed over.
_LEAST_POINTS = 8
# Rate of learning at first, in units of the resolution, and its share at the end.
_RATE, _RATE_END = 0.043, 0.1
# What bending costs: the mean square of the nodes' second differences, in units of the mean square error of a frame.
# A turn bends nothing.
_BENDING = 0.002
# Length in whose units the differences are, in units of the band limit.
_UNIT = 0.29
# A Gaussian that softens the edge of the band in which frames are matched: its exponent at the edge.
_SOFT = 0.5
# Displacements are stored in steps whose rounding makes so much of what the goal lets be missing of the last shell.
_ROUNDING = 0.02
# Mean square of what a cubic B-spline makes of rounding errors of its nodes in three dimensions, for theirs.
_SPREAD = 0.11
# Independent numbers of a band-limited map for each point of the lattice that holds it.
_FREE = 0.45
# A motion is kept where it leaves less than this share of what frames differ from their mean by.
_PAYS = 0.6
# Share of what is left of a time budget that looking for it may take.
_TIME = 0.3


@dataclass(frozen=True, eq=False)
class Found:
    """A motion as it is stored.

    Attributes:
        nodes: along (z, y, x).
        whole: displacements in steps, whole numbers, (nodes, 3 x functions).
        step: Angstrom.
        axis: of the series.
        limit: band limit of the frames, Angstrom.
    """

    nodes: Shape
    whole: NDArray[np.int64]
    step: float
    axis: Axis
    limit: float

    @property
    def moving(self) -> int:
        """Functions of the axis that it has."""
        return int(self.whole.shape[1]) // 3

    def at(self, t: float) -> Motion:
        """The displacements at a position, as a decoder has them."""
        stored = (self.whole * np.float32(self.step)).astype(np.float64)
        factors = self.axis.values(t, self.moving)
        return Motion(
            np.einsum("k,zyxkd->zyxd", factors, stored.reshape(*self.nodes, self.moving, 3)), self.limit
        )


def find_motion(
    frames: Sequence[DensityMap],
    axis: Axis,
    band_limit: float,
    envelope: Envelope,
    components: int,
    goal: float,
    watch: Watch,
) -> Found | None:
    """The motion of a series; None where it would say little.

    Args:
        frames: in order, on one grid.
        axis: where they lie.
        band_limit: Angstrom.
        envelope: around all of them.
        components: functions of the axis at most.
        goal: worst-shell FSC aimed at.
        watch: asked whether to stop; of a time budget the motion takes a part at most.
    """
    grid = frames[0].grid
    if grid.is_flat:
        return None
    nodes = _nodes(grid, band_limit)
    match = _Match(frames, envelope, nodes, band_limit)
    until = math.inf if watch.left is None else watch.seconds + _TIME * watch.left

    def is_over() -> bool:
        return watch.stopped() or watch.seconds > until

    for ratio, steps in _STAGES:
        match.improve(ratio, steps, len(frames) // 2, is_over)
    match.improve(*_JUDGED, None, is_over)
    pays = match.pays
    match.improve(*_LAST, None, is_over)
    if is_over():
        if not watch.stopped():
            watch.warn("no-time-for-motion", keep=False)
        return None
    if not pays:
        return None
    factors = match.by_functions(axis.at_frames(components))
    step = _step(band_limit, goal, factors.shape[3])
    whole = np.rint(factors / step).astype(np.int64).reshape(math.prod(nodes), -1)
    return Found(nodes, whole, step, axis, band_limit)


def _step(band_limit: float, goal: float, functions: int) -> float:
    """Step of stored displacements, Angstrom: a shell misses (2 pi error / resolution)^2 of its power by an error."""
    error = math.sqrt(_ROUNDING * (1 - goal**2)) * band_limit / (2 * math.pi)
    return float(np.float16(error * math.sqrt(12 / (_SPREAD * functions))))


def _nodes(grid: Grid, band_limit: float) -> Shape:
    """Nodes along (z, y, x)."""
    counts = [
        min(max(round(e / (_SPACING * band_limit)), _LEAST_NODES), _MOST_NODES) for e in grid.edges[::-1]
    ]
    while math.prod(counts) > MAX_NODES:
        counts = [max(count - 1, _LEAST_NODES) for count in counts]
    z, y, x = counts
    return z, y, x


class _Match:
    """Displacements of all frames, matched to a density at rest.

    Args:
        frames: in order.
        envelope: where they are matched.
        nodes: along (z, y, x).
        band_limit: Angstrom.
    """

    def __init__(
        self, frames: Sequence[DensityMap], envelope: Envelope, nodes: Shape, band_limit: float
    ) -> None:
        self._frames, self._envelope, self._band_limit = frames, envelope, band_limit
        self._grid = frames[0].grid
        self._nodes = torch.zeros(len(frames), *nodes, 3, requires_grad=True)
        # What frames differ by, from their mean and from the moved density at rest, where both were measured last.
        self._apart = self._left = 1.0
        self._measure: Callable[[], float] = lambda: 1.0
        # Independent numbers in the frames where they were measured last, and the envelope's share of the box.
        self._modes, self._share = 1.0, 1.0

    @property
    def displacements(self) -> F64:
        """Angstrom along (x, y, z) at the nodes of each frame, (frames, mz, my, mx, 3)."""
        return np.asarray(self._nodes.detach().numpy(), np.float64)

    @property
    def pays(self) -> bool:
        """Whether the motion tells a good part of what frames differ by."""
        return self._left < _PAYS * self._apart

    def by_functions(self, functions: F64) -> F64:
        """The displacements by the first functions of the axis that say more than noise, (mz, my, mx, functions, 3).

        How many is told by Akaike's criterion: a number must lower the error by more than it would fit of noise.

        Args:
            functions: values at the frames, (frames, functions).
        """
        frames, best, found = self.displacements, math.inf, None
        numbers = 3 * self._nodes[0, ..., 0].numel() * self._share
        for count in range(1, functions.shape[1] + 1):
            few = functions[:, :count]
            factors = np.einsum("kf,fzyxd->zyxkd", np.linalg.pinv(few), frames)
            with torch.no_grad():
                self._nodes.copy_(torch.from_numpy(np.einsum("fk,zyxkd->fzyxd", few, factors)))
            score = self._modes * math.log(max(self._measure(), 1e-30)) + 2 * count * numbers
            if score < best:
                best, found = score, factors
        assert found is not None
        return np.asarray(found)

    def improve(self, ratio: float, steps: int, middle: int | None, is_over: Callable[[], bool]) -> None:
        """Take steps at a resolution, in units of the band limit.

        Args:
            ratio: resolution.
            steps: how many.
            middle: number of the frame that is the density at rest; None for the mean of all, moved back.
            is_over: asked whether to stop.
        """
        if is_over():
            return
        resolution = ratio * self._band_limit
        while math.prod(lattice_shape(self._grid, resolution)) > _POINTS:
            resolution *= 1.1
        lattice = self._grid.resampled(lattice_shape(self._grid, resolution))
        values = np.stack([_softened(frame, lattice, resolution) for frame in self._frames])
        within = self._envelope.on_lattice(lattice.shape) > 0
        inside = np.flatnonzero(within)
        if inside.size < _LEAST_POINTS:
            return
        if middle is None:
            back = [
                moved_back(DensityMap(v, lattice), Motion(d, resolution), within).values
                for v, d in zip(values, self.displacements, strict=True)
            ]
            rest = np.mean(back, axis=0)
        else:
            rest = values[middle]
        points = _Points.of(values, rest, lattice, inside, self._nodes.shape[1:4])
        adam = Adam({"nodes": self._nodes}, {"nodes": _RATE * resolution})
        self._nodes.grad = gradient = torch.zeros_like(self._nodes)
        unit = (_UNIT * self._band_limit) ** 2
        for step in range(steps):
            if is_over():
                return
            gradient.zero_()
            for number in range(len(values)):
                (points.error(self._nodes, number) / points.norm).backward()  # type: ignore[no-untyped-call]
            (_BENDING * len(values) * self._bending() / unit).backward()  # type: ignore[no-untyped-call]
            adam.begin(1 - (1 - _RATE_END) * step / steps)
            adam.step({"nodes": gradient})
        self._apart, self._measure = points.apart, lambda: points.mean_error(self._nodes)
        self._left = self._measure()
        self._share = inside.size / lattice.size
        self._modes = _FREE * len(values) * inside.size

    def _bending(self) -> Tensor:
        """Mean square of the second differences along each axis, over all frames."""
        total = torch.zeros(())
        for axis in (1, 2, 3):
            count = self._nodes.shape[axis]
            before, here, after = (self._nodes.narrow(axis, first, count - 2) for first in range(3))
            total = total + ((before + after - 2 * here) ** 2).mean()
        return total


@dataclass(frozen=True, eq=False)
class _Points:
    """The points of a lattice inside an envelope, where frames are matched to a density at rest.

    Attributes:
        wanted: values of the frames there, (frames, points).
        fine: density at rest on a grid of twice the samples, the first of each axis again at its end, (z, y, x).
        at: box fractions of the points, (points, 3), (x, y, z).
        chosen: flat indices of the points in the box around them, (points,).
        weights: of the nodes for the planes of that box, along (z, y, x), each (planes, nodes).
        inverse: box fractions for each Angstrom, (3, 3).
    """

    wanted: Tensor
    fine: Tensor
    at: Tensor
    chosen: Tensor
    weights: tuple[Tensor, Tensor, Tensor]
    inverse: Tensor

    @staticmethod
    def of(values: F32, rest: F32, lattice: Grid, inside: NDArray[np.intp], nodes: Sequence[int]) -> _Points:
        """Those of frames (frames, z, y, x) and a density at rest (z, y, x) on a lattice.

        Args:
            values: of the frames.
            rest: of the density at rest.
            lattice: where both lie.
            inside: flat indices of the points.
            nodes: along (z, y, x).
        """
        index = np.stack(np.unravel_index(inside, lattice.shape), -1)
        low, high = index.min(0), index.max(0) + 1
        z, y, x = (
            torch.from_numpy(spline_weights(np.arange(a, b) / n, m).astype(np.float32))
            for a, b, n, m in zip(low, high, lattice.shape, nodes, strict=True)
        )
        return _Points(
            wanted=torch.from_numpy(values.reshape(len(values), -1)[:, inside].copy()),
            fine=_twice_as_fine(rest, lattice),
            at=torch.from_numpy((index / np.asarray(lattice.shape))[:, ::-1].astype(np.float32).copy()),
            chosen=torch.from_numpy(np.ravel_multi_index(tuple((index - low).T), tuple(high - low))),
            weights=(z, y, x),
            inverse=torch.from_numpy(np.linalg.inv(lattice.box).T.astype(np.float32).copy()),
        )

    @cached_property
    def norm(self) -> float:
        """Mean variance of a frame."""
        return float(self.wanted.var(1).mean())

    @property
    def apart(self) -> float:
        """Mean square of what frames differ from their mean by."""
        return float(((self.wanted - self.wanted.mean(0)) ** 2).mean())

    def error(self, nodes: Tensor, number: int) -> Tensor:
        """Mean square of what a frame differs from the moved density at rest by.

        Args:
            nodes: displacements of all frames, Angstrom along (x, y, z), (frames, mz, my, mx, 3).
            number: of the frame.
        """
        z, y, x = self.weights
        field = torch.einsum("kc,abcd->abkd", x, nodes[number])
        field = torch.einsum("jb,abkd->ajkd", y, field)
        field = torch.einsum("ia,ajkd->ijkd", z, field)
        moved = self.at - field.reshape(-1, 3)[self.chosen] @ self.inverse
        # The last sample is the first one again, so that 1 is one box length.
        place = (2 * moved - 1)[None, :, None, None]
        values = torch.nn.functional.grid_sample(
            self.fine[None, None], place, mode="bilinear", padding_mode="border", align_corners=True
        )
        return ((values[0, 0, :, 0, 0] - self.wanted[number]) ** 2).mean()

    def mean_error(self, nodes: Tensor) -> float:
        """Mean of the errors of all frames."""
        with torch.no_grad():
            return float(np.mean([float(self.error(nodes, number)) for number in range(len(self.wanted))]))


def _softened(frame: DensityMap, lattice: Grid, resolution: float) -> F32:
    """A frame within a soft band, on a lattice."""
    shells = Shells(lattice)
    last = shells.last(resolution)
    soft = np.exp(-_SOFT * (np.arange(last + 1) / max(last, 1)) ** 2).astype(np.float32)
    return invert(transform_values(frame.values, lattice.shape) * shells.spread(soft), lattice.shape)


def _twice_as_fine(values: F32, lattice: Grid) -> Tensor:
    """Values on a grid of twice the samples, and the first of each axis again at its end."""
    shape = tuple(2 * n for n in lattice.shape)
    polynomial = Polynomial.of(transform(values), lattice.shape, degree_of(lattice.shape))
    z, y, x = (Samples(0.0, 1 / n, n) for n in shape)
    fine = polynomial.on_axes((z, y, x))
    return torch.from_numpy(np.pad(fine, [(0, 1)] * 3, mode="wrap"))
