"""How well a map sampled half as finely is known at the full sampling: the network against interpolation.

The source is lowered to half its sampling by a Fourier crop, so its Fourier modes within the new Nyquist
frequency are kept exactly. Everybody is then asked for the full grid, where the source itself is the truth:
up to the lowered map's Nyquist something can be right, beyond it nobody can. (The corners of the lowered
map's Fourier cube reach beyond it, to 1.7 times as far; what an interpolation shows there is those.)

Two measures by shell. The FSC does not see a gain: an interpolation that damps a whole shell evenly keeps an
FSC of 1. The relative error |F - T|^2 / |T|^2, summed over a shell, sees damping and phases alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmap.errors import OptionError
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress
from nmap.grid import Grid, Shape
from nmap.maps import DensityMap
from nmap.neural_map import NeuralMap
from nmap.spectrum import CONVENTION, Shells, correlate_shells, resample, transform
from nmap.verbs import encode

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FACTOR = 2
SAMPLING_LIMIT = 0.005
"""By how much the FSC on the full grid may differ from that on the encoded grid, in any shell."""

OURS, FOURIER, LINEAR, CUBIC = "network", "Fourier padding", "trilinear", "tricubic B-spline"


@dataclass(frozen=True, eq=False)
class Contender:
    """One way to the full grid, by shell of the full box.

    Attributes:
        name: of the way.
        fsc: correlation with the truth.
        error: summed squared error over the truth's summed square.
        inside: correlation with the truth of all modes to the lowered map's Nyquist together.
        error_inside: relative error of all those modes together.
    """

    name: str
    fsc: F64
    error: F64
    inside: float
    error_inside: float


@dataclass(frozen=True, eq=False)
class Interpolation:
    """What the study found.

    Attributes:
        source: name of the map.
        full: grid of the source.
        lowered: grid that was encoded.
        mask: what the source was multiplied by first, in words.
        frequency: shell centres, 1/Angstrom.
        last: index of the last shell that lies wholly within the lowered map's Nyquist.
        counted: shells whose truth holds power.
        contenders: the network first.
        encoded_fsc: FSC of the network with the lowered map on the lowered grid, by shell.
        stored_bytes: weights, gains and envelope of the network.
        goal: worst-shell FSC that was asked of it.
        notes: what a reader must know.
    """

    source: str
    full: Grid
    lowered: Grid
    mask: str
    frequency: F64
    last: int
    counted: NDArray[np.bool_]
    contenders: tuple[Contender, ...]
    encoded_fsc: F64
    stored_bytes: int
    goal: float
    notes: tuple[str, ...] = ()

    @property
    def sampling_loss(self) -> float:
        """Largest difference, over the counted shells to `last`, of the network's FSC on both grids."""
        kept = slice(1, self.last + 1)
        apart = np.abs(self.contenders[0].fsc[kept] - self.encoded_fsc[kept])
        return float(apart[self.counted[kept]].max())

    @property
    def holds(self) -> bool:
        """Whether sampling at the full grid loses nothing, to `SAMPLING_LIMIT`."""
        return self.sampling_loss <= SAMPLING_LIMIT

    def wins(self, rival: str) -> tuple[int, int, int]:
        """Shells to `last` where the network's error is lower, where its FSC is higher, and shells counted."""
        ours = self.contenders[0]
        theirs = next(c for c in self.contenders if c.name == rival)
        kept = np.flatnonzero(self.counted[: self.last + 1])[1:]
        return (
            int((ours.error[kept] < theirs.error[kept]).sum()),
            int((ours.fsc[kept] > theirs.fsc[kept]).sum()),
            int(kept.size),
        )

    def worst(self, contender: Contender) -> tuple[float, float]:
        """Lowest FSC and highest relative error over the counted shells from 1 to `last`."""
        kept = np.flatnonzero(self.counted[: self.last + 1])
        kept = kept[kept > 0]
        return float(contender.fsc[kept].min()), float(contender.error[kept].max())

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "study": "interpolation",
            "source": self.source,
            "full_shape_zyx": list(self.full.shape),
            "full_voxel_size_xyz": list(self.full.voxel_size),
            "lowered_shape_zyx": list(self.lowered.shape),
            "lowered_voxel_size_xyz": list(self.lowered.voxel_size),
            "mask": self.mask,
            "convention": CONVENTION,
            "goal_fsc": self.goal,
            "stored_bytes": self.stored_bytes,
            "lowered_voxel_bytes": 4 * self.lowered.size,
            "frequency": [float(f) for f in self.frequency],
            "last_shell": self.last,
            "counted": [bool(c) for c in self.counted],
            "encoded_fsc": [float(c) for c in self.encoded_fsc],
            "sampling_loss": self.sampling_loss,
            "sampling_limit": SAMPLING_LIMIT,
            "contenders": [
                {
                    "name": c.name,
                    "fsc": [float(v) for v in c.fsc],
                    "error": [float(v) for v in c.error],
                    "worst_fsc": self.worst(c)[0],
                    "worst_error": self.worst(c)[1],
                    "correlation_to_nyquist": c.inside,
                    "error_to_nyquist": c.error_inside,
                }
                for c in self.contenders
            ],
            "notes": list(self.notes),
        }


def study_interpolation(
    source: DensityMap,
    options: EncodeOptions | None = None,
    *,
    mask: DensityMap | None = None,
    mask_name: str = "none",
    others: dict[str, F32] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Interpolation:
    """Lower a map to half its sampling, encode it, and set its decode at the full grid against interpolation.

    Args:
        source: the map, the truth.
        options: how to fit, `downsample` excepted; preset "faithful" if None. Without a resolution the band
            limit is the lowered map's Nyquist.
        mask: multiplied into the source first, for everybody; 0 to 1 on the source's grid.
        mask_name: what to call it.
        others: more contenders by name, densities (z, y, x) on the source's grid.
        progress: told how far the fit is.

    Raises:
        OptionError: a map too small to be halved, or options that do not suit it.
        GridError: a mask or contender that does not lie on the source.
    """
    options = options or EncodeOptions(preset="faithful")
    if options.downsample != 1 or options.crop is not None:
        raise OptionError("downsample or crop in this study: it lowers the sampling itself; leave them out")
    if min(source.grid.shape) < 16:
        raise OptionError(f"{source.grid.shape} voxels (z, y, x): wanted at least 16 a side to halve")
    if mask is not None:
        source = DensityMap(source.values * mask.values, source.grid, source.header)
    lowered = halved(source)
    limit = options.resolution or 2 * max(lowered.grid.voxel_size)
    made = encode(lowered, replace(options, resolution=limit), progress=progress)
    volumes = {OURS: made.on_grid(source.grid), **interpolated(lowered, source.grid.shape), **(others or {})}
    return _compare(source, lowered, made, volumes, mask_name, options.goal_fsc)


def halved(source: DensityMap) -> DensityMap:
    """The map at half its sampling, by a Fourier crop: voxel 0 in place, the same box."""
    nz, ny, nx = (round(n / FACTOR) for n in source.grid.shape)
    grid = source.grid.resampled((nz, ny, nx))
    return DensityMap(resample(source.values, grid.shape), grid, source.header)


def interpolated(lowered: DensityMap, shape: Shape) -> dict[str, F32]:
    """The lowered map on `shape` (z, y, x) of the same periodic box, by each way that a user has.

    Voxel i lies at fraction i / n at both samplings, so sample 0 stays in place.
    """
    step = [m / n for m, n in zip(lowered.grid.shape, shape, strict=True)]

    def spline(order: Literal[1, 3]) -> F32:
        from scipy import ndimage

        out = ndimage.affine_transform(
            lowered.values, np.asarray(step), output_shape=shape, order=order, mode="grid-wrap"
        )
        return np.asarray(out, np.float32)

    return {FOURIER: resample(lowered.values, shape), LINEAR: spline(1), CUBIC: spline(3)}


def _compare(
    source: DensityMap,
    lowered: DensityMap,
    made: NeuralMap,
    volumes: dict[str, F32],
    mask_name: str,
    goal: float,
) -> Interpolation:
    shells, coarse = Shells(source.grid), Shells(lowered.grid)
    truth = transform(source.values)
    # The shell about the Nyquist frequency itself reaches half a shell beyond it.
    last = int(lowered.grid.nyquist / shells.width - 0.5 + 1e-6)
    contenders = tuple(contender(name, values, truth, shells, last) for name, values in volumes.items())
    curve = correlate_shells(truth, truth, shells, "second")
    encoded = correlate_shells(
        transform(made.on_grid(lowered.grid)), transform(lowered.values), coarse, "second"
    )
    negligible = np.zeros(shells.count, bool) if curve.negligible is None else curve.negligible
    return Interpolation(
        source=source.header.name if source.header else "map",
        full=source.grid,
        lowered=lowered.grid,
        mask=mask_name,
        frequency=shells.frequency,
        last=last,
        counted=~negligible,
        contenders=contenders,
        encoded_fsc=encoded.fsc,
        stored_bytes=sum(t.nbytes for t in made.tensors.values()),
        goal=goal,
        notes=_notes(made),
    )


def _notes(made: NeuralMap) -> tuple[str, ...]:
    told = made.record.get("fit", {}).get("notes")
    return (str(told),) if told else ()


def contender(
    name: str, values: F32, truth: NDArray[np.complexfloating], shells: Shells, last: int
) -> Contender:
    """Measure a volume (z, y, x) against the truth's half transform, by shell and to shell `last` in all."""
    found = transform(values)
    difference = shells.sum(np.abs(found - truth) ** 2)
    power, own = shells.sum(np.abs(truth) ** 2), shells.sum(np.abs(found) ** 2)
    cross = shells.sum(found.real * truth.real + found.imag * truth.imag)
    kept = slice(1, last + 1)
    norm = np.sqrt(power * own)
    return Contender(
        name,
        np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0),
        np.divide(difference, power, out=np.zeros_like(cross), where=power > 0),
        float(cross[kept].sum() / np.sqrt(power[kept].sum() * own[kept].sum())),
        float(difference[kept].sum() / power[kept].sum()),
    )
