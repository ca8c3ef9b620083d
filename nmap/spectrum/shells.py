"""Shells of the half-complex Fourier transform of a box: which mode lies in which, and sums over them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import scipy.fft as sf
from numpy.typing import NDArray

from nmap.errors import OptionError
from nmap.grid import Grid

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Complex = NDArray[np.complexfloating]

Convention = Literal["nmap", "relion", "linear"]

CONVENTIONS: dict[str, str] = {
    "nmap": "shell = round(radius * longest edge), width 1/(longest edge); every Fourier mode counted once; "
    "real part of the cross term; to Nyquist",
    "relion": "as RELION: shell = round(radius * longest edge), width 1/(longest edge); every element of the "
    "half transform counted once, so the x = 0 plane weighs double; real part of the cross term; to Nyquist",
    "linear": "as torch-fourier-shell-correlation: each mode shared linearly between the two nearest shells, "
    "width 1/(shortest edge); every element of the half transform counted once; real part of the cross term; "
    "to Nyquist",
}
CONVENTION = CONVENTIONS["nmap"]

# Radii such as 1.5 arise exactly in boxes with edges 3:2. This much below one half still counts as one
# half, and halves go up, as in RELION: so a mode's shell hangs neither on the voxel size's last bit nor on
# the sampling.
_TIE = 1e-6


@dataclass(frozen=True, eq=False)
class Shells:
    """Shells of the half-complex transform on `grid`.

    Args:
        grid: the sampling; a grid one sample thick in z gives the rings of a 2-D image.
        convention: "nmap" (the default everywhere), or what another program does, to compare figures with it.
        columns: the x frequencies of the half transform that are looked at; None: all. Shells, their counts and
            frequencies are those of the whole; sums over the modes are sums over these columns, and add up.

    Raises:
        OptionError: an unknown convention.
    """

    grid: Grid
    convention: Convention = "nmap"
    columns: slice | None = None

    def __post_init__(self) -> None:
        if self.convention not in get_args(Convention):
            raise OptionError(f"FSC convention {self.convention!r}: wanted one of {', '.join(CONVENTIONS)}")

    def part(self, columns: slice) -> Shells:
        """The same shells, of some columns of the half transform."""
        return replace(self, columns=columns)

    @property
    def x(self) -> F64:
        """Frequencies along x of the columns that are looked at, cycles per box."""
        nx = self.grid.shape[2]
        return np.asarray(sf.rfftfreq(nx, 1 / nx), np.float64)[self.columns or slice(None)]

    @property
    def holds_mean(self) -> bool:
        """Whether the zero mode is in the columns that are looked at."""
        return self.columns is None or self.columns.start == 0

    @property
    def width(self) -> float:
        """Shell width, 1/Angstrom."""
        if self.convention == "linear":
            return 1.0 / min(e for e, n in zip(self.grid.edges, self.grid.shape[::-1], strict=True) if n > 1)
        return 1.0 / max(self.grid.edges)

    @cached_property
    def _metric(self) -> tuple[F64, F64, F64, float]:
        """Quadratic form of the squared radius in shells: constant, linear and quadratic in the z index."""
        nz, ny, _ = self.grid.shape
        h, k, m = self.x, sf.fftfreq(ny, 1 / ny), sf.fftfreq(nz, 1 / nz)
        g = self.grid.reciprocal.T @ self.grid.reciprocal / self.width**2
        plane = g[0, 0] * h**2 + g[1, 1] * (k**2)[:, None] + 2 * g[0, 1] * k[:, None] * h
        slope = 2 * (g[0, 2] * h + g[1, 2] * k[:, None])
        return plane, slope, m, float(g[2, 2])

    def radius(self, z: int) -> F64:
        """Radius in shell widths of every mode of plane `z`, (ny, nx // 2 + 1)."""
        plane, slope, m, gzz = self._metric
        radius: F64 = np.sqrt(np.maximum(plane + slope * m[z] + gzz * m[z] * m[z], 0))
        return radius

    @cached_property
    def index(self) -> NDArray[np.uint16]:
        """Nearest shell of every mode, (nz, ny, nx // 2 + 1); halves go up."""
        nz, ny, _ = self.grid.shape
        out = np.empty((nz, ny, self.x.size), np.uint16)
        for z in range(nz):
            out[z] = np.floor(self.radius(z) + (0.5 + _TIE))
        return out

    def index_at(self, width: float) -> NDArray[np.uint16]:
        """Nearest shell of every mode among shells of another width (1/Angstrom), as `index`."""
        return np.stack([self.plane_at(z, width) for z in range(self.grid.shape[0])])

    def plane_at(self, z: int, width: float) -> NDArray[np.uint16]:
        """The same of plane `z`, (ny, nx // 2 + 1)."""
        return np.floor(self.radius(z) * (self.width / width) + (0.5 + _TIE)).astype(np.uint16)

    @cached_property
    def multiplicity(self) -> F32:
        """Weight of each column that is looked at, (columns,): the full modes it stands for."""
        nx = self.grid.shape[2]
        weight = np.full(nx // 2 + 1, 2.0 if self.convention == "nmap" else 1.0, np.float32)
        weight[0] = 1
        if nx % 2 == 0:
            weight[-1] = 1
        return weight[self.columns or slice(None)]

    @property
    def count(self) -> int:
        """Shells up to Nyquist, with shell 0."""
        return int(self.grid.nyquist / self.width + _TIE) + 1

    @property
    def frequency(self) -> F64:
        """Centre of each shell up to Nyquist, 1/Angstrom."""
        return np.arange(self.count, dtype=np.float64) * self.width

    def sum(self, values: Iterable[NDArray[np.floating]]) -> F64:
        """Sum over the modes of each shell up to Nyquist of a real array on the half transform, or of its planes."""
        length = self.count + 1
        total = np.zeros(length)
        for z, plane in enumerate(values):
            weighted = (plane * self.multiplicity).ravel()
            if self.convention == "linear":
                radius = self.radius(z).ravel()
                inner = np.minimum(radius.astype(np.intp), length - 1)
                share = np.minimum(radius - inner, 1.0)
                total += np.bincount(inner, weighted * (1 - share), length)
                total += np.bincount(np.minimum(inner + 1, length - 1), weighted * share, length)
            else:
                index = np.minimum(self.index[z].ravel(), length - 1)
                total += np.bincount(index, weighted, length)
        return total[: self.count]

    def total(self, values: Iterable[NDArray[np.floating]]) -> float:
        """Sum over all modes, also beyond Nyquist, of a real array on the half transform, or its planes, in float64."""
        return float(sum(np.dot(plane.sum(0, np.float64), self.multiplicity) for plane in values))

    @cached_property
    def modes(self) -> F64:
        """Modes in each shell up to Nyquist, weighted as the convention does."""
        return self.sum(np.broadcast_to(np.float32(1), self.index.shape))

    def last(self, resolution: float) -> int:
        """Index of the last shell within `resolution` (Angstrom), at most Nyquist's."""
        if not (math.isfinite(resolution) and resolution > 0):
            raise OptionError(f"`resolution` {resolution} A: wanted a positive number")
        return min(int(1 / (resolution * self.width) + _TIE), self.count - 1)

    def spread(self, gains: NDArray[np.floating]) -> F32:
        """Per-shell `gains` laid over the half transform; 0 beyond the last one."""
        table = np.zeros(int(self.index.max()) + 1, np.float32)
        table[: min(gains.size, table.size)] = gains[: table.size]
        return table[self.index]
