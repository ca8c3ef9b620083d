"""`NeuralMap`: a density map as a network, what travels between the fit, the file and the decoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as default
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmap.axis import Axis
from nmap.coding.codings import CodedTensor, decode_tensor, encode_float
from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError, OptionError
from nmap.grid import Grid, Shape
from nmap.machine.packages import require_package
from nmap.model import Field, Frame, build_network
from nmap.sampling.grids import (
    at_points,
    gradient_at_points,
    grid_for,
    on_grid,
    on_part,
    slabs,
    times_as_fine,
)
from nmap.sampling.moved import MovedField

if TYPE_CHECKING:
    from xarray import DataArray

    from nmap.fit.module.density import DensityModule
    from nmap.notebook.widget import MapView

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
# What makes a torch module of a map, as a name: its room is built on this one.
_TORCH = "nmap.fit.module.density"
# What a notebook shows of a map, as names for the same reason.
_CARD, _WIDGET = "nmap.notebook.card", "nmap.notebook.widget"
# Groups of items: JSON values, arrays of numbers, bytes.
Record = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class NeuralMap:
    """A density map, or a series of them, that can be sampled anywhere.

    A series is sampled at a position of its fourth axis: `series.at(t)` is a map like any other.

    Attributes:
        field: what is computed.
        tensors: network parameters by name, and "gains" and "envelope" where there are, exactly as stored.
        record: what decoding does not need, by group: "source", "fit", "fidelity", "thumbnail".
            Items are JSON values, arrays of numbers, or bytes; `spec/record.md` lists the known ones.
    """

    field: Field
    tensors: Mapping[str, CodedTensor]
    record: Record = default(default_factory=dict)

    def __repr__(self) -> str:
        """One line: kind, sampling, band limit, bytes of the tensors."""
        stored = sum(tensor.nbytes for tensor in self.tensors.values())
        return f"<NeuralMap: {self.brief}, {stored} bytes without header and record>"

    @property
    def brief(self) -> str:
        """Kind, sampling and band limit in a few words."""
        frames = "" if self.axis is None else f"{len(self.axis.at)} frames of "
        limit = self.field.resolution
        kept = "no band limit" if limit is None else f"band limit {limit:.4g} A"
        return f"{self.field.network.kind}, {frames}{self.grid.brief}, {kept}"

    @property
    def grid(self) -> Grid:
        """The source map's grid."""
        return self.field.box

    @property
    def axis(self) -> Axis | None:
        """The fourth axis of a series; None for one map."""
        return self.field.network.fourth_axis

    def at(self, t: float) -> NeuralMap:
        """The map of a series at a position of its axis: an ordinary one, with all that such a map can do.

        Between measured frames it is interpolated: `axis.frame(t)` is None there. Of a series with a motion it can be
        sampled like any other, and not be stored as a file of its own.

        Raises:
            OptionError: this is one map, or the position lies beyond the ends of the axis.
        """
        network, motion = self.field.network.at(t), self.field.network.motion(t)
        stored = {name: encode_float(values, "F32") for name, values in network.tensors().items()}
        field, tensors = replace(self.field, network=network), {**self.tensors, **stored}
        if motion is not None:
            field = MovedField.make(field, motion)
        return NeuralMap(field, tensors, self.record)

    def rate(self, t: float) -> NeuralMap:
        """The derivative of a series by the position on its axis, as a map: how the density moves there.

        It can be sampled like any other, and not be stored.

        Raises:
            OptionError: this is one map, or the position lies beyond the ends of the axis.
        """
        network, frame = self.field.network, replace(self.field.frame, offset=0.0)
        field, motion = replace(self.field, network=network.rate(t), frame=frame), network.motion(t)
        if motion is not None:
            field = MovedField.make(
                field, motion, network.speed(t), replace(self.field, network=network.at(t))
            )
        return NeuralMap(field, {}, {})

    @property
    def contour_level(self) -> float | None:
        """Level at which the decode encloses what the recorded contour level does in the source; None without one."""
        for group in ("fidelity", "source"):
            level = self.record.get(group, {}).get("contour_level")
            if isinstance(level, int | float) and math.isfinite(level):
                return float(level)
        return None

    def sample(self, points_xyz: ArrayLike) -> F32:
        """Density at points, (..., 3) Cartesian (x, y, z) in Angstrom -> (...); solvent outside the box.

        Raises:
            OptionError: points that are not three finite numbers each.
        """
        points = _checked_points(points_xyz)
        return at_points(self.field, points.reshape(-1, 3)).reshape(points.shape[:-1])

    def gradient(self, points_xyz: ArrayLike) -> F32:
        """Derivative of the density per Angstrom along x, y, z at points, (..., 3) -> (..., 3).

        Raises:
            OptionError: points that are not three finite numbers each.
        """
        points = _checked_points(points_xyz)
        return gradient_at_points(self.field, points.reshape(-1, 3)).reshape(points.shape)

    def on_grid(self, grid: Grid) -> F32:
        """Density on any grid, float32 (z, y, x); `offset` outside the box."""
        return on_grid(self.field, grid)

    def as_array(self, shape: Shape | None = None) -> F32:
        """Density on the source's grid, or on `grid_for(shape)`."""
        return self.on_grid(self.grid if shape is None else self.grid_for(shape))

    def grid_for(self, shape: Shape) -> Grid:
        """The grid that `shape` (z, y, x) means.

        The same box with sample 0 in place; with "corners" alignment the grid whose first and last voxel
        centres are the source's, voxel * (n - 1) / (m - 1).
        """
        return grid_for(self.field, shape)

    def times_as_fine(self, factor: float) -> Grid:
        """The grid of `factor` times as many samples along each axis, in whole numbers; see `grid_for`.

        Raises:
            OptionError: a factor that is not positive and finite.
        """
        return times_as_fine(self.field, factor)

    def on_part(self, part: tuple[slice, slice, slice], grid: Grid | None = None) -> F32:
        """What `on_grid(grid)[part]` holds; no more of it is computed, and values agree to rounding.

        Args:
            part: samples along (z, y, x), with steps above 0.
            grid: the whole grid; the source's if None.

        Raises:
            OptionError: a step below 1.
        """
        return on_part(self.field, grid or self.grid, part)

    def slabs(self, grid: Grid, rows: int | None = None) -> Iterator[tuple[int, F32]]:
        """The density on `grid` in slabs of z rows, for grids that do not fit in memory.

        Args:
            grid: where to sample.
            rows: rows of a slab; None for about 64 MB.

        Yields:
            First row and values, float32 (rows, ny, nx).
        """
        return slabs(self.field, grid, rows)

    def to_torch(self) -> DensityModule:
        """The whole composed field as a torch module, differentiable in position and in weights.

        It takes points (..., 3), Cartesian (x, y, z) in Angstrom. `nmap.from_torch` makes a map of it again.

        Raises:
            MissingPackageError: torch is not installed.
            OptionError: a series, which has a density at a position only: `series.at(t).to_torch()`.
        """
        if self.axis is not None:
            raise self.field.network.no_position()
        require_package("torch", "fit", "to_torch")
        made: DensityModule = import_module(_TORCH).DensityModule(self)
        return made

    def to_xarray(self, sampling: float = 1.0, at: Sequence[float] | None = None) -> DataArray:
        """The density with its coordinates, z, y, x in Angstrom; regions are decoded when they are looked at.

        Args:
            sampling: samples along each axis, as a multiple of the source's; see `times_as_fine`.
            at: positions on the axis of a series; its measured frames if None. Of a series only.

        Returns:
            float32 (z, y, x), named "density"; of a series (t, z, y, x), its first dimension named as its axis.
            Attributes: `band_limit` (Angstrom), `symmetry` and `contour_level` where there are.

        Raises:
            MissingPackageError: xarray is not installed.
            OptionError: a sampling that is not positive and finite; positions beyond the axis, or of one map.
        """
        require_package("xarray", "xarray", "to_xarray")
        from nmap.labelled import labelled, labelled_series

        known = {
            "band_limit": self.field.resolution,
            "symmetry": None if self.field.symmetry is None else self.field.symmetry.name,
            "contour_level": self.contour_level,
        }
        stated = {name: value for name, value in known.items() if value is not None}
        grid, axis = self.times_as_fine(sampling), self.axis
        if axis is None:
            if at is not None:
                raise OptionError("positions for one map: only a series has an axis; leave them out")
            return labelled(self.field, grid, stated)
        chosen = axis.at if at is None else tuple(float(t) for t in at)
        if not chosen:
            raise OptionError("no positions: wanted one or more")
        for t in chosen:
            axis.frame(t)  # refuses what lies beyond the ends
        return labelled_series(self._field_at, chosen, axis.name, grid, stated)

    def _field_at(self, t: float) -> Field:
        return self.at(t).field

    def view(self, level: float | None = None) -> MapView:
        """The page of `nmap view` as a widget of a notebook: surface, slices, samplings, decoded in the browser.

        Args:
            level: surface level in density; the file's own if None.

        Raises:
            MissingPackageError: anywidget is not installed.
        """
        require_package("anywidget", "notebook", "view")
        shown: MapView = import_module(_WIDGET).view(self, level)
        return shown

    def _repr_html_(self) -> str:
        """What a notebook shows: facts and three slices."""
        text: str = import_module(_CARD).card(self)
        return text

    @staticmethod
    def from_tensors(
        kind: str,
        settings: Mapping[str, Any],
        tensors: Mapping[str, CodedTensor],
        frame: Frame,
        record: Record | None = None,
    ) -> NeuralMap:
        """The map that a decoder sees in these stored tensors.

        Args:
            kind: model kind.
            settings: the network's settings.
            tensors: coded tensors; "gains" and "envelope" are optional.
            frame: where the network's values lie, and what makes a density of them.
            record: what decoding does not need.

        Raises:
            FormatError: parts that are missing or do not fit each other.
            UnsupportedError: a kind or coding that this version does not know.
        """
        decoded = {name: decode_tensor(coded, name) for name, coded in tensors.items()}
        gains, bits = decoded.pop("gains", None), decoded.pop("envelope", None)
        if bits is not None and bits.dtype != np.bool_:
            raise FormatError(f"envelope stored as {tensors['envelope'].coding}: wanted the occupancy coding")
        network = build_network(kind, settings, decoded)
        field = Field(network, frame, gains, None if bits is None else Envelope(bits))
        return NeuralMap(field, tensors, record or {})


def _checked_points(points_xyz: ArrayLike) -> F64:
    points = np.asarray(points_xyz, np.float64)
    if points.ndim == 0 or points.shape[-1] != 3:
        raise OptionError(f"points of shape {points.shape}: wanted (..., 3), x, y and z in Angstrom")
    rows = points.reshape(-1, 3)
    wrong = np.flatnonzero(~np.isfinite(rows).all(-1))
    if wrong.size:
        raise OptionError(
            f"points: {wrong.size} of {len(rows)} are not finite, the first is {rows[wrong[0]].tolist()} at "
            f"{wrong[0]}: leave them out"
        )
    return points
