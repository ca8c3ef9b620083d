"""A block SIREN of a series of maps: the codes of its blocks, and the waves' amplitudes, change along a fourth axis.

    code(t) = sum over k of f_k(t) code_k,     amplitudes(t) = sum over k of f_k(t) amplitudes_k

f_k are the functions of `nmap.axis`. Layers, bases and maps are shared by all positions t, so that at any one of them
the network is an ordinary block SIREN. Codes shift phases: what they move linearly moves the density without blurring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nmap.axis import MAX_COMPONENTS, Axis
from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError, OptionError
from nmap.grid import Shape
from nmap.model.block_siren import BlockSiren, BlockSizes
from nmap.model.frame import Frame
from nmap.model.layers import F32
from nmap.model.network import Network

F64 = NDArray[np.float64]


def series_shapes(sizes: BlockSizes, components: int, waves: int) -> tuple[tuple[int, int], ...]:
    """Rows and columns of the matrices, in the order in which the tensor holds them.

    Those of `BlockSizes.shapes` up to the maps; then codes (blocks, code) of each component; then amplitudes (n, 1)
    of each component, where there are any.

    Args:
        sizes: of the block SIREN.
        components: functions of the axis.
        waves: number of amplitudes.
    """
    shared = sizes.shapes(0)[:-1]
    codes = [(sizes.blocks, sizes.code)] * components
    return (*shared, *codes, *([(waves, 1)] * components if waves else []))


@dataclass(frozen=True, eq=False)
class SeriesSiren(Network):
    """A SIREN in blocks that changes along an axis.

    Args:
        network: all numbers, (n,): the matrices of `series_shapes`, row after row.
        sizes: of the block SIREN at each position.
        omegas: one factor for the first and each hidden layer.
        radius: length in Angstrom that is 1 in a block's coordinates.
        axis: where the frames lie.
        components: functions of the axis.

    Raises:
        FormatError: parts that do not fit each other.
    """

    network: F32
    sizes: BlockSizes
    omegas: tuple[float, ...]
    radius: float
    axis: Axis
    components: int
    kind: ClassVar[str] = "series-siren"
    features: ClassVar[tuple[str, ...]] = ("series",)
    tensor_names: ClassVar[tuple[str, ...]] = ("network",)
    setting_names: ClassVar[tuple[str, ...]] = (
        *BlockSiren.setting_names,
        "at",
        "axis",
        "components",
        "period",
    )
    has_point_values: ClassVar[bool] = False
    trainer: ClassVar[str] = "nmap.fit.series.fit:fit_series"
    options: ClassVar[tuple[str, ...]] = BlockSiren.options

    def __post_init__(self) -> None:
        if isinstance(self.components, bool) or not isinstance(self.components, int):
            raise FormatError(f"series-siren components {self.components!r:.40}: wanted a whole number")
        if not 1 <= self.components <= min(MAX_COMPONENTS, len(self.axis.at)):
            raise FormatError(
                f"series-siren with {self.components} components for {len(self.axis.at)} frames: wanted 1 to "
                f"{min(MAX_COMPONENTS, len(self.axis.at))}"
            )
        if self.network.ndim != 1 or self._left < 0 or self._left % self.components:
            raise FormatError(
                f"series-siren network of shape {self.network.shape}: wanted one axis, {self._plain} numbers and "
                f"amplitudes of {self.components} components"
            )
        self.at(self.axis.first)

    @property
    def _plain(self) -> int:
        """Numbers without the waves' amplitudes."""
        return sum(math.prod(shape) for shape in series_shapes(self.sizes, self.components, 0))

    @property
    def _left(self) -> int:
        return self.network.size - self._plain

    @property
    def _amplitudes(self) -> int:
        """Amplitudes of a component."""
        return self._left // self.components

    @cached_property
    def _parts(self) -> tuple[F32, F64, F64]:
        """Shared numbers (n,), codes (components, blocks * code), amplitudes (components, waves)."""
        codes = self.sizes.blocks * self.sizes.code
        shared = self._plain - self.components * codes
        first, middle, last = np.split(self.network, [shared, self._plain])
        return (
            first,
            middle.reshape(self.components, codes).astype(np.float64),
            last.reshape(self.components, self._amplitudes).astype(np.float64),
        )

    def at(self, t: float) -> BlockSiren:
        """The network at a position of the axis.

        Raises:
            OptionError: a position beyond the ends of the axis.
        """
        return self._with(self.axis.values(t, self.components))

    def rate(self, t: float) -> SirenRate:
        """The derivative of the network by the position.

        Raises:
            OptionError: a position beyond the ends of the axis.
        """
        return SirenRate(self.at(t), self._with(self.axis.slopes(t, self.components)))

    def _with(self, factors: F64) -> BlockSiren:
        shared, codes, amplitudes = self._parts
        mixed = np.concatenate((shared, factors @ codes, factors @ amplitudes)).astype(np.float32)
        return BlockSiren(mixed, self.sizes, self.omegas, self.radius)

    def tensors(self) -> dict[str, F32]:
        """Parameters by their name in the file."""
        return {"network": self.network}

    def settings(self) -> dict[str, Any]:
        """What decoding needs beside the tensors, as JSON values."""
        axis = self.axis
        return {
            **self.at(axis.first).settings(),
            "at": list(axis.at),
            "axis": axis.name,
            "components": self.components,
            **({} if axis.period is None else {"period": axis.period}),
        }

    @staticmethod
    def build(settings: Mapping[str, Any], tensors: Mapping[str, F32]) -> SeriesSiren:
        """The network of `settings()` and `tensors()`."""
        names = ("blocks", "width", "hidden", "code", "waves")
        sizes = BlockSizes(**{name: settings[name] for name in names})
        axis = Axis(tuple(settings["at"]), settings.get("period"), settings["axis"])
        return SeriesSiren(
            tensors["network"],
            sizes,
            tuple(settings["omegas"]),
            float(settings["radius"]),
            axis,
            settings["components"],
        )

    @property
    def fourth_axis(self) -> Axis:
        """The axis of the series."""
        return self.axis

    def no_position(self) -> OptionError:
        """What to say where a position of the axis is missing."""
        axis = self.axis
        return OptionError(
            f"a series of {len(axis.at)} maps, {axis.name} from {axis.first:g} to {axis.last:g}: choose a position"
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of each sine layer."""
        return (self.sizes.width,) * (self.sizes.hidden + 1)

    def check_frame(self, band_limit: float | None, lattice: Shape | None, has_envelope: bool) -> None:
        """Check that there is a band limit, and a lattice that the network suits; raises as `BlockSiren`."""
        self.at(self.axis.first).check_frame(band_limit, lattice, has_envelope)

    def on_lattice(self, frame: Frame, envelope: Envelope | None) -> F32:
        """Refused: a series has values at a position of its axis only.

        Raises:
            OptionError: always.
        """
        raise self.no_position()


@dataclass(frozen=True, eq=False)
class SirenRate(Network):
    """How fast a series SIREN changes along its axis, at one position: its layers differentiated forwards.

    It is no kind of a file: it lives as long as the field that asks for it.

    Args:
        network: at the position.
        change: the same, with the derivatives of codes and amplitudes in their place.
    """

    network: BlockSiren
    change: BlockSiren
    kind: ClassVar[str] = "series-siren's rate"
    tensor_names: ClassVar[tuple[str, ...]] = ()
    has_point_values: ClassVar[bool] = False

    def tensors(self) -> dict[str, F32]:
        """None of its own."""
        return {}

    @staticmethod
    def build(settings: Mapping[str, Any], tensors: Mapping[str, F32]) -> SirenRate:
        """Refused: no file has this kind."""
        raise FormatError("a series-siren's rate is made from the series: no file holds it")

    def on_lattice(self, frame: Frame, envelope: Envelope | None) -> F32:
        """Derivative of m . u by the position on the band-limit lattice, (z, y, x)."""
        return self.network.rate_on_lattice(self.change, frame, envelope)
