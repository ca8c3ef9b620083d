"""A SIREN for each block of a map: one trunk of sine layers, biases and output weights that follow from a code.

    h_0 = x,    h_(l+1) = sin(omega_l (W_l h_l + b_l)),    u = v . h_L + v_0 + waves(t)

The matrices W_l are shared by all blocks. A block's biases b_l, output weights v and constant v_0 are a shared base
plus its code times a shared map: a small hypernetwork (Ha, Dai and Le, "HyperNetworks", 2016). x is the position
in the block. `waves` are a few plane waves over the whole molecule. Jumps between blocks lie beyond the band
limit, which decoding drops: the kind has values on the band-limit lattice only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError
from nmap.grid import Grid, Shape
from nmap.machine.threads import in_tiles
from nmap.model.blocks import Blocks, Places
from nmap.model.frame import Frame
from nmap.model.layers import F32, TILE
from nmap.model.network import Cost, Network

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]

# Spacing of the wave vectors: a wave of vector 1 turns once in 2 / this half widths. Waves of whole periods in the
# molecule's bounding box could not follow what has others.
WAVE_STEP = 0.75
MAX_WIDTH = 1024
MAX_LAYERS = 16
MAX_CODE = 1024
MAX_BLOCKS = 1 << 20
MAX_WAVES = 64


@dataclass(frozen=True)
class BlockSizes:
    """How large a block SIREN is.

    Args:
        blocks: number of blocks.
        width: neurons of each sine layer.
        hidden: sine layers after the first.
        code: numbers of a block's code.
        waves: largest squared length of the wave vectors; -1 for no waves.

    Raises:
        FormatError: a size beyond what the format allows.
    """

    blocks: int
    width: int
    hidden: int
    code: int
    waves: int

    def __post_init__(self) -> None:
        limits = {
            "blocks": (1, MAX_BLOCKS),
            "width": (1, MAX_WIDTH),
            "hidden": (0, MAX_LAYERS),
            "code": (1, MAX_CODE),
            "waves": (-1, MAX_WAVES),
        }
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise FormatError(
                    f"block-siren {name} {value!r:.40}: wanted a whole number from {least} to {most}"
                )

    @property
    def outputs(self) -> int:
        """Numbers that the hypernetwork gives for a block: biases, output weights and a constant."""
        return self.width * (self.hidden + 2) + 1

    def shapes(self, waves: int) -> tuple[tuple[int, int], ...]:
        """Rows and columns of the matrices, in the order in which the tensor holds them.

        The first layer (w, 3); each hidden layer (w, w); the base of each layer's bias (w, 1) and of the output
        (w + 1, 1); the map to each of these, (code, w) and (code, w + 1); the codes (blocks, code); the waves'
        amplitudes (n, 1), where there are any.

        Args:
            waves: number of amplitudes.
        """
        w, layers = self.width, self.hidden + 1
        trunk = [(w, 3), *[(w, w)] * self.hidden]
        base = [*[(w, 1)] * layers, (w + 1, 1)]
        maps = [*[(self.code, w)] * layers, (self.code, w + 1)]
        return (*trunk, *base, *maps, (self.blocks, self.code), *([(waves, 1)] if waves else []))


@dataclass(frozen=True, eq=False)
class BlockSiren(Network):
    """A SIREN in blocks.

    Args:
        network: all numbers, (n,): the matrices of `BlockSizes.shapes`, row after row.
        sizes: of the network.
        omegas: one factor for the first and each hidden layer.
        radius: length in Angstrom that is 1 in a block's coordinates.

    Raises:
        FormatError: parts that do not fit each other.
    """

    network: F32
    sizes: BlockSizes
    omegas: tuple[float, ...]
    radius: float
    kind: ClassVar[str] = "block-siren"
    tensor_names: ClassVar[tuple[str, ...]] = ("network",)
    setting_names: ClassVar[tuple[str, ...]] = (
        "blocks",
        "code",
        "hidden",
        "omegas",
        "radius",
        "waves",
        "width",
    )
    has_point_values: ClassVar[bool] = False
    trainer: ClassVar[str] = "nmap.fit.blocks.fit:fit_blocks"
    series_kind: ClassVar[str] = "series-siren"
    # bench/results: EMD-3488 and EMD-11007 at 0.9 and 0.98.
    cost: ClassVar[Cost | None] = Cost(bits=2.4, bits_power=1.8, seconds=7e-4, seconds_power=0.7)
    arch: ClassVar[str] = "siren"
    quicker: ClassVar[str] = "radial-basis"
    options: ClassVar[tuple[str, ...]] = (
        *("blocks", "steps", "hidden_features", "hidden_layers", "omega_hidden"),
        *("max_bytes", "ratio", "effort", "checkpoint"),
        *("symmetry", "symmetry_threshold", "force_symmetry"),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "omegas", tuple(float(o) for o in self.omegas))
        if len(self.omegas) != self.sizes.hidden + 1 or not all(map(math.isfinite, self.omegas)):
            raise FormatError(
                f"block-siren omegas {self.omegas}: wanted {self.sizes.hidden + 1} finite numbers, one a layer"
            )
        if not (math.isfinite(self.radius) and self.radius > 0):
            raise FormatError(f"block-siren radius {self.radius}: wanted a positive number, Angstrom")
        if self.network.ndim != 1 or self._amplitudes < 0:
            raise FormatError(
                f"block-siren network of shape {self.network.shape}: wanted one axis, {self._plain} numbers or more"
            )

    @property
    def _plain(self) -> int:
        """Numbers without the waves' amplitudes."""
        return sum(math.prod(shape) for shape in self.sizes.shapes(0))

    @property
    def _amplitudes(self) -> int:
        return self.network.size - self._plain

    def tensors(self) -> dict[str, F32]:
        """Parameters by their name in the file."""
        return {"network": self.network}

    def settings(self) -> dict[str, Any]:
        """What decoding needs beside the tensors, as JSON values."""
        s = self.sizes
        return {
            "blocks": s.blocks,
            "code": s.code,
            "hidden": s.hidden,
            "omegas": list(self.omegas),
            "radius": self.radius,
            "waves": s.waves,
            "width": s.width,
        }

    @staticmethod
    def build(settings: Mapping[str, Any], tensors: Mapping[str, F32]) -> BlockSiren:
        """The network of `settings()` and `tensors()`."""
        names = ("blocks", "width", "hidden", "code", "waves")
        sizes = BlockSizes(**{name: settings[name] for name in names})
        return BlockSiren(tensors["network"], sizes, tuple(settings["omegas"]), float(settings["radius"]))

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of each sine layer."""
        return (self.sizes.width,) * (self.sizes.hidden + 1)

    def check_frame(self, band_limit: float | None, lattice: Shape | None, has_envelope: bool) -> None:
        """Check that there is a band limit, and a lattice that the network suits.

        Raises:
            FormatError: no band limit, more blocks than points, or another number of wave amplitudes than of waves.
        """
        if band_limit is None or lattice is None:
            raise FormatError("a block-siren network without a band limit: wanted band_limit and lattice")
        if self.sizes.blocks > math.prod(lattice):
            raise FormatError(
                f"block-siren with {self.sizes.blocks} blocks: wanted at most the points of {lattice}"
            )
        wanted = amplitude_count(wave_vectors(self.sizes.waves, lattice))
        if self._amplitudes != wanted:
            raise FormatError(
                f"block-siren with {self._amplitudes} wave amplitudes: wanted {wanted} for waves {self.sizes.waves} "
                f"on a lattice of {lattice}"
            )

    @cached_property
    def _matrices(self) -> list[F64]:
        shapes = self.sizes.shapes(self._amplitudes)
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        return [
            np.asarray(part, np.float64).reshape(shape)
            for part, shape in zip(np.split(self.network, ends[:-1]), shapes, strict=True)
        ]

    @cached_property
    def _layers(self) -> tuple[list[F32], list[F32], F32]:
        """Of each layer, times its omega, the matrix (columns, w) and biases (blocks, w); output (blocks, w + 1)."""
        layers = self.sizes.hidden + 1
        trunk, rest = self._matrices[:layers], self._matrices[layers:]
        base, maps, codes = rest[: layers + 1], rest[layers + 1 : 2 * layers + 2], rest[2 * layers + 2]
        made = [b[:, 0] + codes @ m for b, m in zip(base, maps, strict=True)]
        weights = [np.asarray(o * w.T, np.float32) for o, w in zip(self.omegas, trunk, strict=True)]
        biases = [np.asarray(o * b, np.float32) for o, b in zip(self.omegas, made, strict=False)]
        return weights, biases, np.asarray(made[-1], np.float32)

    def on_lattice(self, frame: Frame, envelope: Envelope | None) -> F32:
        """Value of m . u on the band-limit lattice, (z, y, x).

        Args:
            frame: lattice, symmetry and network coordinates.
            envelope: m; None for 1 everywhere.

        Raises:
            FormatError: more blocks than points inside.
        """
        lattice = frame.lattice_grid
        places = Places.of(lattice, envelope, frame.symmetry)
        blocks = Blocks.of(places.index(lattice.shape), self.sizes.blocks, lattice.shape)
        vectors = wave_vectors(self.sizes.waves, lattice.shape)
        found = blocks.find(places.nearest(lattice.shape))
        x = block_coordinates(places.steps, found, blocks, lattice, self.radius)
        t = (places.fractions - np.asarray(frame.center)) / np.asarray(frame.half_width)
        out = np.zeros(lattice.size, np.float32)
        out[places.flat] = places.mask * self.values(x, found, t, vectors)
        return out.reshape(lattice.shape)

    def values(self, x: F32, block: Ints, t: F64, vectors: Ints) -> F32:
        """Values (n,) at block coordinates (n, 3) of these blocks (n,) and network coordinates (n, 3)."""
        weights, biases, output = self._layers
        order = np.argsort(block, kind="stable")
        out = np.empty(len(x), np.float32)

        def fill(part: slice) -> None:
            rows = order[part]
            here = block[rows]
            h: F32 = x[rows]
            for weight, bias in zip(weights, biases, strict=True):
                h = h @ weight
                h += bias[here]
                np.sin(h, out=h)
            last = output[here]
            out[rows] = np.einsum("nw,nw->n", h, last[:, :-1]) + last[:, -1]
            if self._amplitudes:
                out[rows] += waves(t[rows], vectors) @ self._matrices[-1][:, 0].astype(np.float32)

        in_tiles(fill, len(x), TILE)
        return out


def block_coordinates(steps: F64, block: Ints, blocks: Blocks, lattice: Grid, radius: float) -> F32:
    """Coordinates (n, 3), (z, y, x), in their blocks of places (n, 3) in steps of the lattice."""
    length = np.asarray(lattice.edges[::-1]) / np.asarray(lattice.shape) / radius
    return np.asarray((steps - blocks.centers[block]) * length, np.float32)


def wave_vectors(longest: int, shape: Shape) -> Ints:
    """Whole-number vectors (n, 3), (z, y, x), of squared length up to `longest`; one of each pair k, -k.

    The zero vector comes first, then those whose first component that is not 0 is positive, in the order of
    z, y, x. Along an axis with one sample they are 0.
    """
    if longest < 0:
        return np.empty((0, 3), np.int64)
    reach = math.isqrt(longest)
    axes = [range(-reach, reach + 1) if n > 1 else range(1) for n in shape]
    found = [k for k in itertools.product(*axes) if k >= (0, 0, 0) and sum(c * c for c in k) <= longest]
    return np.asarray(sorted(found), np.int64)


def amplitude_count(vectors: Ints) -> int:
    """Number of amplitudes of these wave vectors: a constant, and two of each other one."""
    return max(2 * len(vectors) - 1, 0)


def waves(t: NDArray[np.floating], vectors: Ints) -> F32:
    """1, then cos(pi k . t) and sin(pi k . t) of each further vector k, at network coordinates (n, 3); (n, m)."""
    phase = np.asarray(
        WAVE_STEP * np.pi * (np.asarray(t, np.float64) @ vectors[1:].T.astype(np.float64)), np.float32
    )
    out = np.empty((len(t), amplitude_count(vectors)), np.float32)
    out[:, 0] = 1
    np.cos(phase, out=out[:, 1::2])
    np.sin(phase, out=out[:, 2::2])
    return out
