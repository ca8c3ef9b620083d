"""A block SIREN of a series of maps: its output weights and its waves change along a fourth axis.

    v(t) = base + map^T sum over k of f_k(t) code_k,     amplitudes(t) = sum over k of f_k(t) amplitudes_k

f_k are the functions of `nmap.axis`. The sine layers are those of one block SIREN, by the codes of function 0; every
function has a code of its own for the output. So the density of a place changes by the functions of the axis alone,
and between frames it is what these say, no more: codes that moved the phases of sines held frames in fewer bytes, but
went astray between them.

Where a motion is stored, all this is the molecule at rest, and the density at t is displaced by a smooth field:

    density(x, t) = rest(x - d(x, t), t),    d(x, t) = sum over k of f_k(t) d_k(x)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from nmap.model.motion import MAX_NODES, Motion
from nmap.model.network import Network

F64 = NDArray[np.float64]

# At a position the codes of a block SIREN are twice as long.
MAX_CODE = 512


def series_shapes(
    sizes: BlockSizes, components: int, waves: int, nodes: Shape | None = None, moving: int = 0
) -> tuple[tuple[int, int], ...]:
    """Rows and columns of the matrices, in the order in which the tensor holds them.

    Those of `BlockSizes.shapes` up to the maps; then codes (blocks, code) of each component; then amplitudes (n, 1)
    of each component, where there are any; then the displacements (nodes, 3 x moving), where there are any.

    Args:
        sizes: of the block SIREN.
        components: functions of the axis.
        waves: number of amplitudes.
        nodes: of the motion along (z, y, x); None for no motion.
        moving: functions of the axis that the motion has.
    """
    shared = sizes.shapes(0)[:-1]
    codes = [(sizes.blocks, sizes.code)] * components
    motion = [] if nodes is None else [(math.prod(nodes), 3 * moving)]
    return (*shared, *codes, *([(waves, 1)] * components if waves else []), *motion)


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
        nodes: of the motion along (z, y, x); None for no motion.
        moving: functions of the axis that the motion has.
        limit: band limit of the density where it has moved, Angstrom; that at rest may be finer. None for no motion.

    Raises:
        FormatError: parts that do not fit each other.
    """

    network: F32
    sizes: BlockSizes
    omegas: tuple[float, ...]
    radius: float
    axis: Axis
    components: int
    nodes: Shape | None = None
    moving: int = 0
    limit: float | None = None
    kind: ClassVar[str] = "series-siren"
    features: ClassVar[tuple[str, ...]] = ("series",)
    tensor_names: ClassVar[tuple[str, ...]] = ("network",)
    setting_names: ClassVar[tuple[str, ...]] = (
        *BlockSiren.setting_names,
        "at",
        "axis",
        "components",
        "limit",
        "moving",
        "nodes",
        "period",
    )
    has_point_values: ClassVar[bool] = False
    trainer: ClassVar[str] = "nmap.fit.series.fit:fit_series"
    options: ClassVar[tuple[str, ...]] = (
        *("blocks", "steps", "hidden_features", "hidden_layers", "omega_hidden", "effort"),
        *("symmetry", "symmetry_threshold", "force_symmetry"),
    )

    def __post_init__(self) -> None:
        if isinstance(self.components, bool) or not isinstance(self.components, int):
            raise FormatError(f"series-siren components {self.components!r:.40}: wanted a whole number")
        if not 1 <= self.components <= min(MAX_COMPONENTS, len(self.axis.at)):
            raise FormatError(
                f"series-siren with {self.components} components for {len(self.axis.at)} frames: wanted 1 to "
                f"{min(MAX_COMPONENTS, len(self.axis.at))}"
            )
        self._check_motion()
        if self.network.ndim != 1 or self._left < 0 or self._left % self.components:
            raise FormatError(
                f"series-siren network of shape {self.network.shape}: wanted one axis, {self._plain} numbers and "
                f"amplitudes of {self.components} components"
            )
        if self.sizes.code > MAX_CODE:
            raise FormatError(f"series-siren code {self.sizes.code}: wanted at most {MAX_CODE}")
        self.at(self.axis.first)

    def _check_motion(self) -> None:
        """Check the counts of the motion."""
        if self.nodes is None and self.moving == 0 and self.limit is None:
            return
        counts = () if self.nodes is None else self.nodes
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (*counts, self.moving))
        if len(counts) != 3 or not whole or min(counts) < 1 or math.prod(counts) > MAX_NODES:
            raise FormatError(
                f"series-siren nodes {self.nodes!s:.40}: wanted three counts of at least 1, {MAX_NODES} nodes at most"
            )
        if (
            not isinstance(self.limit, int | float)
            or isinstance(self.limit, bool)
            or not math.isfinite(self.limit)
        ):
            raise FormatError(
                f"series-siren limit {self.limit!r:.40} of a motion: wanted a resolution in Angstrom"
            )
        if not 1 <= self.moving <= min(MAX_COMPONENTS, len(self.axis.at)):
            raise FormatError(
                f"series-siren with a motion of {self.moving} functions for {len(self.axis.at)} frames: wanted 1 to "
                f"{min(MAX_COMPONENTS, len(self.axis.at))}"
            )

    @property
    def _displacements(self) -> int:
        """Numbers of the motion, at the end of the tensor."""
        return 0 if self.nodes is None else 3 * self.moving * math.prod(self.nodes)

    @property
    def _plain(self) -> int:
        """Numbers without the waves' amplitudes."""
        return sum(math.prod(shape) for shape in series_shapes(self.sizes, self.components, 0))

    @property
    def _left(self) -> int:
        return self.network.size - self._displacements - self._plain

    @property
    def _amplitudes(self) -> int:
        """Amplitudes of a component."""
        return self._left // self.components

    @cached_property
    def _shared(self) -> list[F32]:
        """Trunk, bases and maps."""
        shapes = series_shapes(self.sizes, self.components, 0)[: -self.components]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        parts = np.split(self.network[: ends[-1]], ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    @cached_property
    def _codes(self) -> F64:
        """Codes of each function, (components, blocks * code)."""
        size = self.components * self.sizes.blocks * self.sizes.code
        return self.network[self._plain - size : self._plain].reshape(self.components, -1).astype(np.float64)

    @cached_property
    def _heights(self) -> F64:
        """Amplitudes of the waves of each function, (components, waves)."""
        end = self.network.size - self._displacements
        return self.network[self._plain : end].reshape(self.components, self._amplitudes).astype(np.float64)

    def at(self, t: float) -> BlockSiren:
        """The network at a position of the axis: an ordinary one, its codes twice as long.

        Raises:
            OptionError: a position beyond the ends of the axis.
        """
        return self._single(self.axis.values(t, self.components), has_base=True)

    def rate(self, t: float) -> BlockSiren:
        """The derivative of the network by the position: one with the same layers.

        Raises:
            OptionError: a position beyond the ends of the axis.
        """
        return self._single(self.axis.slopes(t, self.components), has_base=False)

    def function(self, number: int) -> BlockSiren:
        """What one function of the axis, counted from 0, is multiplied by: a network with the same layers."""
        return self._single(np.eye(self.components)[number], has_base=number == 0)

    @property
    def has_motion(self) -> bool:
        """Whether a motion is stored."""
        return self.nodes is not None

    @property
    def moved_limit(self) -> float | None:
        """Band limit of the density where it has moved, Angstrom; None without a motion."""
        return self.limit

    def motion(self, t: float) -> Motion | None:
        """How the density is displaced at a position; None where nothing is stored.

        Raises:
            OptionError: a position beyond the ends of the axis.
        """
        return self._moved(self.axis.values(t, self.moving))

    def speed(self, t: float) -> Motion | None:
        """The derivative of `motion` by the position; raises as that."""
        return self._moved(self.axis.slopes(t, self.moving))

    def _moved(self, factors: F64) -> Motion | None:
        if self.nodes is None:
            return None
        stored = self.network[self.network.size - self._displacements :].astype(np.float64)
        nodes = np.einsum("k,zyxkd->zyxd", factors, stored.reshape(*self.nodes, self.moving, 3))
        return Motion(nodes, float(self.limit or 0.0))

    def _single(self, factors: F64, has_base: bool) -> BlockSiren:
        """The block SIREN whose outputs are the sum of these factors times those of the functions.

        A code is that of function 0, which the layers have, and then the sum of factors times codes, which the output
        has.
        """
        s, layers = self.sizes, self.sizes.hidden + 1
        trunk, base = self._shared[:layers], list(self._shared[layers : 2 * layers + 1])
        maps = self._shared[2 * layers + 1 :]
        if not has_base:
            base[-1] = np.zeros_like(base[-1])
        none = np.zeros_like
        wider = [*(np.vstack((m, none(m))) for m in maps[:-1]), np.vstack((none(maps[-1]), maps[-1]))]
        mixed = (factors @ self._codes).reshape(s.blocks, s.code)
        codes = np.hstack((self._codes[0].reshape(s.blocks, s.code), mixed))
        parts = [*trunk, *base, *wider, codes, factors @ self._heights]
        numbers = np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
        return BlockSiren(numbers, replace(s, code=2 * s.code), self.omegas, self.radius)

    def tensors(self) -> dict[str, F32]:
        """Parameters by their name in the file."""
        return {"network": self.network}

    def settings(self) -> dict[str, Any]:
        """What decoding needs beside the tensors, as JSON values."""
        axis = self.axis
        return {
            **self.at(axis.first).settings(),
            "code": self.sizes.code,
            "at": list(axis.at),
            "axis": axis.name,
            "components": self.components,
            **({} if axis.period is None else {"period": axis.period}),
            **(
                {}
                if self.nodes is None
                else {"nodes": list(self.nodes), "moving": self.moving, "limit": self.limit}
            ),
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
            tuple(settings["nodes"]) if "nodes" in settings else None,
            settings.get("moving", 0),
            settings.get("limit"),
        )

    @property
    def fourth_axis(self) -> Axis:
        """The axis of the series."""
        return self.axis

    def no_position(self) -> OptionError:
        """What to say where a position of the axis is missing."""
        axis = self.axis
        return OptionError(
            f"a series of {len(axis.at)} maps, {axis.name} from {axis.first:g} to {axis.last:g}: choose a position, "
            "such as series.at(t)"
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of each sine layer."""
        return (self.sizes.width,) * (self.sizes.hidden + 1)

    def check_frame(self, band_limit: float | None, lattice: Shape | None, has_envelope: bool) -> None:
        """Check that there is a band limit, and a lattice that the network suits; raises as `BlockSiren`."""
        self.at(self.axis.first).check_frame(band_limit, lattice, has_envelope)
        if self.limit is not None and band_limit is not None and self.limit < band_limit:
            raise FormatError(
                f"series-siren limit {self.limit:g} A of a motion: wanted the band limit {band_limit:g} A or coarser"
            )

    def on_lattice(self, frame: Frame, envelope: Envelope | None) -> F32:
        """Refused: a series has values at a position of its axis only.

        Raises:
            OptionError: always.
        """
        raise self.no_position()
