"""Ways to the full grid from a map sampled half as finely, and the measures that tell how true each is.

Four measures, over the shells that lie wholly within the lowered map's Nyquist frequency and hold power. F is
the way's transform, T the truth's. The FSC does not see a gain: an interpolation that damps a whole shell
evenly keeps an FSC of 1. The relative error sees damping and phases alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmap.grid import Shape
from nmap.maps import DensityMap
from nmap.spectrum import Shells, resample, transform

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FACTOR = 2
OURS = "network"
FOURIER = "Fourier padding"
LINEAR = "trilinear"
CUBIC = "tricubic B-spline"

MEASURES = {
    "worst_error": "largest |F - T|^2 / |T|^2 of a shell; lower is truer",
    "total_error": "|F - T|^2 / |T|^2 of all shells together, which the strong low shells decide; lower is truer",
    "worst_fsc": "lowest FSC of a shell, which does not see the damping of a whole shell; higher is truer",
    "correlation": "correlation of all shells together; higher is truer",
}
"""Every measure by which two ways are compared: attribute of `Contender`, and what it is."""

_HIGHER = ("worst_fsc", "correlation")


@dataclass(frozen=True, eq=False)
class Contender:
    """One way to the full grid, by shell of the full box, and by `MEASURES`.

    Attributes:
        name: of the way.
        fsc: correlation with the truth, (shells,).
        error: |F - T|^2 / |T|^2 of each shell, (shells,).
        worst_fsc: lowest FSC.
        worst_error: highest error.
        correlation: of all modes together.
        total_error: of all modes together.
    """

    name: str
    fsc: F64
    error: F64
    worst_fsc: float
    worst_error: float
    correlation: float
    total_error: float

    def truer_than(self, other: Contender) -> dict[str, bool]:
        """By each measure, whether this way is truer than the other; equal is not."""
        signs = {name: -1 if name in _HIGHER else 1 for name in MEASURES}
        return {name: s * getattr(self, name) < s * getattr(other, name) for name, s in signs.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "name": self.name,
            "fsc": [float(v) for v in self.fsc],
            "error": [float(v) for v in self.error],
            **{name: getattr(self, name) for name in MEASURES},
        }


@dataclass(frozen=True, eq=False)
class Network(Contender):
    """A network that was fitted to the lowered map.

    Attributes:
        kind: of network.
        goal: worst-shell FSC that was asked of it.
        stored_bytes: its weights, gains and envelope.
        encoded_fsc: its FSC with the lowered map on the lowered grid, by shell of that.
        notes: what the fit noticed (`nmap.outcomes.Notice`), as JSON values.
    """

    kind: str
    goal: float
    stored_bytes: int
    encoded_fsc: F64
    notes: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            **super().to_json(),
            "kind": self.kind,
            "goal_fsc": self.goal,
            "stored_bytes": self.stored_bytes,
            "encoded_fsc": [float(v) for v in self.encoded_fsc],
            "notes": list(self.notes),
        }


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


@dataclass(frozen=True, eq=False)
class Referee:
    """The truth, and the shells that count.

    Attributes:
        truth: half transform of the source.
        shells: of the source's grid.
        last: index of the last shell that lies wholly within the lowered map's Nyquist.
        counted: shells whose truth holds power, (shells,).
    """

    truth: NDArray[np.complexfloating]
    shells: Shells
    last: int
    counted: NDArray[np.bool_]

    @property
    def judged(self) -> NDArray[np.intp]:
        """Indices of the counted shells from 1 to `last`."""
        return np.flatnonzero(self.counted[1 : self.last + 1]) + 1

    def measure(self, name: str, values: F32) -> Contender:
        """A volume (z, y, x) on the source's grid, measured."""
        found, shells = transform(values), self.shells
        difference = shells.sum(np.abs(found - self.truth) ** 2)
        power, own = shells.sum(np.abs(self.truth) ** 2), shells.sum(np.abs(found) ** 2)
        cross = shells.sum(found.real * self.truth.real + found.imag * self.truth.imag)
        norm = np.sqrt(power * own)
        fsc = np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)
        error = np.divide(difference, power, out=np.zeros_like(cross), where=power > 0)
        kept = slice(1, self.last + 1)
        both = float(np.sqrt(power[kept].sum() * own[kept].sum()))
        return Contender(
            name,
            fsc,
            error,
            worst_fsc=float(fsc[self.judged].min()),
            worst_error=float(error[self.judged].max()),
            correlation=float(cross[kept].sum()) / both if both > 0 else 0.0,
            total_error=float(difference[kept].sum() / power[kept].sum()),
        )
