"""What a model kind is: a class that computes a network and states all that the rest of nmap asks about it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nmap.axis import Axis
from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError, OptionError
from nmap.grid import Grid, Shape
from nmap.model.frame import Frame
from nmap.model.layers import Array
from nmap.model.motion import Motion
from nmap.point_group import PointGroup
from nmap.spectrum import lattice_shape

# Memory for each point of the band-limit lattice while a target is prepared: its truth, and what it is made from.
_LATTICE_BYTES = 16

# Correlation at which costs are stated.
COST_AT = 0.9


@dataclass(frozen=True)
class Cost:
    """What a kind takes for a map, by what was measured: to say of one kind what another would have taken.

    Attributes:
        bits: of the file for each degree of freedom of the map, of an asymmetric unit, at FSC `COST_AT`.
        bits_power: by which they grow with the bits that a mode of a Gaussian source takes, log2(1 / (1 - FSC^2)) / 2.
        seconds: of fitting for the same.
        seconds_power: by which those grow.
    """

    bits: float
    bits_power: float
    seconds: float
    seconds_power: float

    def at(self, freedom: float, fsc: float) -> tuple[float, float]:
        """Bytes and seconds for so many degrees of freedom at a fidelity FSC."""
        modes = max(math.log(1 - min(fsc, _FINEST) ** 2) / math.log(1 - COST_AT**2), _COARSEST)
        return (
            freedom * self.bits / 8 * modes**self.bits_power,
            freedom * self.seconds * modes**self.seconds_power,
        )


# Beyond these no cost was measured: FSC, and bits of a mode in units of those at `COST_AT`.
_FINEST = 0.9999
_COARSEST = 0.1


class Network(ABC):
    """A network of one kind. `t` are network coordinates (n, 3), (z, y, x).

    Attributes:
        kind: its name in files and options.
        tensor_names: parameters that a file stores.
        setting_names: settings that a file stores beside them.
        has_point_values: whether it has values at single points. If not it is known through its band limit only.
        has_lattice_values: whether it has values on the band-limit lattice, before any gain.
        point_bytes: memory that fitting takes for each lattice point inside the envelope.
        trainer: what fits it, "module:function"; the function takes a `nmap.fit.task.Task`.
        options: fields of `EncodeOptions` that it has and other kinds may lack.
        series_kind: name of the kind that holds a series of maps by such a network; "" where there is none.
        features: names that a file of it has in `must_understand`.
        cost: what it takes; None for a kind that is not compared with others.
        arch: the name by which a user asks for it, where that is not `kind`.
        quicker: name of the kind that takes less time, for fits that have too little for this one; "" for none.
    """

    kind: ClassVar[str]
    tensor_names: ClassVar[tuple[str, ...]]
    setting_names: ClassVar[tuple[str, ...]] = ()
    has_point_values: ClassVar[bool] = True
    has_lattice_values: ClassVar[bool] = True
    point_bytes: ClassVar[int] = 250
    trainer: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()
    series_kind: ClassVar[str] = ""
    features: ClassVar[tuple[str, ...]] = ()
    cost: ClassVar[Cost | None] = None
    arch: ClassVar[str] = ""
    quicker: ClassVar[str] = ""

    def __call__(self, t: Array, dtype: DTypeLike = np.float32) -> Array:
        """Values (n,).

        Raises:
            FormatError: the kind has no values at single points.
        """
        raise self._no_values()

    def value_and_gradient(self, t: Array, dtype: DTypeLike = np.float64) -> tuple[Array, Array]:
        """Values (n,) and derivatives along t (n, 3).

        Raises:
            FormatError: the kind has no values at single points.
        """
        raise self._no_values()

    def _no_values(self) -> FormatError:
        return FormatError(f"a {self.kind} network has no values without a band limit: the file is damaged")

    @abstractmethod
    def tensors(self) -> dict[str, NDArray[Any]]:
        """Parameters by their name in the file."""

    def settings(self) -> dict[str, Any]:
        """What decoding needs beside the tensors, as JSON values."""
        return {}

    @staticmethod
    @abstractmethod
    def build(settings: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Network:
        """The network of `settings()` and `tensors()`."""

    @property
    def fourth_axis(self) -> Axis | None:
        """The axis along which it changes; None for a network of one map."""
        return None

    def at(self, t: float) -> Network:
        """The network of one map, at a position of the fourth axis.

        Raises:
            OptionError: it has no such axis, or the position lies beyond its ends.
        """
        raise OptionError(f"position {t:g}: the file holds one map, not a series: leave the position out")

    def no_position(self) -> OptionError:
        """What to say where a series is asked for what it has at a position only."""
        return OptionError("one map has no positions: leave the position out")

    def rate(self, t: float) -> Network:
        """Its derivative by the position; raises as `at`."""
        return self.at(t)

    @property
    def has_motion(self) -> bool:
        """Whether the density of a series is displaced."""
        return False

    @property
    def moved_limit(self) -> float | None:
        """Band limit of the density of a series where it has moved, Angstrom; None without a motion."""
        return None

    def motion(self, t: float) -> Motion | None:
        """How the density of a series is displaced at a position; None where nothing is."""
        return None

    def speed(self, t: float) -> Motion | None:
        """The derivative of `motion` by the position; None where nothing is displaced."""
        return None

    @property
    def parameters(self) -> int:
        """Parameters that carry information."""
        return sum(values.size for values in self.tensors().values())

    @property
    def widths(self) -> tuple[int, ...] | None:
        """Neurons of each hidden layer, the first included; None for a network without layers."""
        return None

    def check_frame(self, band_limit: float | None, lattice: Shape | None, has_envelope: bool) -> None:  # noqa: B027
        """Check that the network suits the field around it.

        Raises:
            FormatError: it does not.
        """

    def check_lattice(self, lattice: Shape, degree: Shape, band_limit: float) -> None:  # noqa: B027
        """Check that the band-limit lattice is fine enough for the kind.

        Args:
            lattice: counts (z, y, x).
            degree: highest frequency along (z, y, x), cycles per box.
            band_limit: Angstrom.

        Raises:
            FormatError: it is too coarse.
        """

    @classmethod
    def too_large(cls, box: Grid, band_limit: float, inside: float) -> str | None:
        """What a file or a reader would not hold of a network of this kind; None if it holds all of it.

        Args:
            box: the map's grid.
            band_limit: Angstrom.
            inside: share of the box that the network is for, in one asymmetric unit; at least.
        """
        return None

    @classmethod
    def fitting_bytes(cls, box: Grid, band_limit: float, inside: float) -> int:
        """Memory that fitting takes beside the map, reckoned; arguments as in `too_large`."""
        return int(math.prod(lattice_shape(box, band_limit)) * (_LATTICE_BYTES + inside * cls.point_bytes))

    def on_lattice(self, frame: Frame, envelope: Envelope | None) -> NDArray[np.float32] | None:
        """Value of m . u on the band-limit lattice (z, y, x), for kinds that have values there only; None for others.

        Args:
            frame: lattice, symmetry and network coordinates.
            envelope: m; None for 1 everywhere.
        """
        return None

    def spectrum(self, box: Grid, to: Shape, symmetry: PointGroup | None = None) -> NDArray[np.complex64]:
        """Half transform of the network, for kinds without values at single points.

        Args:
            box: the lattice as a grid over the box.
            to: sampling (z, y, x) that the transform on the lattice is cropped to.
            symmetry: point group whose copies are added; None for C1.
        """
        raise NotImplementedError(f"a {self.kind} network is sampled at points")

    def spectrum_bytes(self, symmetry: PointGroup | None) -> int:
        """Memory that `spectrum` takes beside the lattice itself."""
        return 0
