"""MRC2014 files, written slab by slab, so that a map larger than memory can be."""

from __future__ import annotations

import gzip
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from nmap.errors import GridError, NonFiniteError, OptionError
from nmap.grid import Grid
from nmap.machine.atomic import atomic_output
from nmap.maps.density_map import DensityMap
from nmap.maps.mrc_header import FARTHEST, HEADER_BYTES, is_near

OutputType = Literal["float32", "float16"]

DEFAULT_LABEL = "Written by nmap"
_MODES: dict[str, tuple[int, str]] = {"float32": (2, "<f4"), "float16": (12, "<f2")}
_FLOAT16_MAX = 65504.0
_FLOAT16_TINY = 2.0**-14  # below this, float16 loses precision with every halving
_SLAB_BYTES = 1 << 24
_WHOLE_VOXEL = (
    5e-4  # voxels; rounding of float32 headers stays below it, and it below a thousandth of a voxel
)


@dataclass(frozen=True)
class Statistics:
    """Count, extremes, mean and sum of squared deviations of the values seen so far."""

    count: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    mean: float = 0.0
    deviation: float = 0.0

    def including(self, values: NDArray[np.floating]) -> Statistics:
        """The same with `values` too, in float64 (Chan, Golub and LeVeque, Am. Stat. 37 (1983) 242)."""
        wide = values.astype(np.float64)
        count, mean = self.count + wide.size, float(wide.mean())
        lowest, highest = min(self.lowest, float(wide.min())), max(self.highest, float(wide.max()))
        wide -= mean
        step = mean - self.mean
        deviation = self.deviation + float(np.vdot(wide, wide)) + step * step * self.count * wide.size / count
        return Statistics(count, lowest, highest, self.mean + step * wide.size / count, deviation)

    @property
    def rms(self) -> float:
        """Root mean square deviation from the mean."""
        return math.sqrt(self.deviation / max(self.count, 1))


class MapWriter:
    """Writes a map to a new MRC2014 file, slab by slab from z = 0; the file appears whole or not at all.

        with MapWriter("decoded.mrc", grid) as writer:
            for slab in slabs:  # each (k, ny, nx)
                writer.write(slab)

    The header has ISPG 1, axis order x, y, z, the sampling equal to the counts, and the statistics of what
    was written. ORIGIN is always the grid's origin; NSTART says the same in voxels where that is a whole
    number along every axis, and is 0 elsewhere: readers that know only one of the two then agree wherever
    they can. Labels: those given, then ours; where that makes more than ten, the oldest but the first, which
    names the map, are dropped. There is no date in it: the same values give the same bytes.

    For mode 12, mrcfile 1.5's `validate` sums in float16 and may call a right RMS wrong, as it does that of
    its own files.

    A path that ends in `.gz` is compressed; until the end the values then lie in an unnamed file beside it.

    Args:
        path: file to make.
        grid: where the values lie.
        dtype: "float32" (mode 2), or "float16" (mode 12), which older programs cannot read.
        overwrite: whether an existing file may be replaced.
        labels: text lines of the source to keep.
        label: our own line, by default "Written by nmap"; 80 characters are kept, and "?" for any not ASCII.
        volumes: how many maps on the grid follow each other; more than one make a stack of volumes, ISPG 401.

    Raises:
        OutputExistsError: the path is taken.
        OptionError: an unknown dtype, a path that asks for bzip2, or values that float16 cannot hold.
        GridError: a grid that an MRC header cannot hold, or slabs that do not fill it.
        NonFiniteError: NaN or infinite values.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        grid: Grid,
        *,
        dtype: OutputType = "float32",
        overwrite: bool = False,
        labels: Sequence[str] = (),
        label: str | None = None,
        volumes: int = 1,
    ) -> None:
        if dtype not in _MODES:
            raise OptionError(f"dtype {dtype!r}: wanted 'float32' or 'float16'")
        self._path, self._grid, self._overwrite = Path(path), grid, overwrite
        if self._path.suffix.lower() == ".bz2":
            raise OptionError(f"{self._path}: no bzip2 is written: end the name in .mrc, .map or .gz")
        self._mode, self._dtype = _MODES[dtype][0], np.dtype(_MODES[dtype][1])
        self._labels = _all_labels(labels, DEFAULT_LABEL if label is None else label)
        self._volumes = volumes
        build_header(
            grid, self._mode, Statistics(), self._labels, volumes
        )  # raises now what would raise at the end
        self._statistics, self._peak, self._planes = Statistics(), 0.0, 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._output = self._plain = stack.enter_context(atomic_output(self._path, self._overwrite))
            if self._path.suffix.lower() == ".gz":
                self._plain = stack.enter_context(tempfile.TemporaryFile(dir=self._path.resolve().parent))
            self._plain.write(bytes(HEADER_BYTES))
            self._stack = stack.pop_all()
        return self

    def write(self, slab: NDArray[np.floating]) -> None:
        """Append the next planes, (k, ny, nx)."""
        nz, ny, nx = self._volumes * self._grid.shape[0], *self._grid.shape[1:]
        if slab.ndim != 3 or slab.shape[1:] != (ny, nx):
            raise GridError(f"slab of shape {slab.shape}: wanted (planes, {ny}, {nx})")
        if self._planes + slab.shape[0] > nz:
            raise GridError(f"{self._planes + slab.shape[0]} planes written: wanted {nz}")
        step = max(1, _SLAB_BYTES // (4 * ny * nx))
        for first in range(0, slab.shape[0], step):
            self._write_part(slab[first : first + step])
        self._planes += slab.shape[0]

    def _write_part(self, part: NDArray[np.floating]) -> None:
        bad = part.size - int(np.count_nonzero(np.isfinite(part)))
        if bad:
            raise NonFiniteError(
                f"{self._path}: {bad} of {part.size} values to write are NaN or infinite: wanted finite ones"
            )
        peak = max(float(part.max()), -float(part.min()))
        if self._mode == 12 and peak > _FLOAT16_MAX:
            raise OptionError(
                f"{self._path}: values up to {peak:.6g}: float16 holds none beyond 65504: write float32"
            )
        if peak > np.finfo(np.float32).max:
            raise OptionError(
                f"{self._path}: values up to {peak:.6g}: float32 holds none beyond 3.4e38: scale the map"
            )
        stored = np.ascontiguousarray(part, self._dtype)
        self._peak = max(self._peak, peak)
        self._statistics = self._statistics.including(stored)
        self._plain.write(stored.data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._finish()
            except BaseException as failure:
                self._stack.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._stack.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if self._planes != self._volumes * self._grid.shape[0]:
            raise GridError(f"{self._planes} planes written: wanted {self._volumes * self._grid.shape[0]}")
        if self._mode == 12 and 0 < self._peak < _FLOAT16_TINY:
            raise OptionError(
                f"{self._path}: no value above {self._peak:.3g}: float16 loses precision below 6.1e-05: write float32"
            )
        self._plain.seek(0)
        self._plain.write(build_header(self._grid, self._mode, self._statistics, self._labels, self._volumes))
        if self._plain is not self._output:
            _compress(self._plain, self._output)


def write_map(
    density: DensityMap,
    path: str | os.PathLike[str],
    *,
    dtype: OutputType = "float32",
    overwrite: bool = False,
    label: str | None = None,
) -> None:
    """Write a map as an MRC2014 file, its source's labels kept; `MapWriter` says what is in the header.

    Args:
        density: what to write.
        path: file to make; it appears whole or not at all.
        dtype: "float32" (mode 2), or "float16" (mode 12), which older programs cannot read.
        overwrite: whether an existing file may be replaced.
        label: our own label line, by default "Written by nmap".

    Raises:
        OutputExistsError: the path is taken.
        OptionError: an unknown dtype, a path that asks for bzip2, or values that the dtype cannot hold.
        GridError: a grid that an MRC header cannot hold.
        NonFiniteError: NaN or infinite values.
    """
    labels = density.header.labels if density.header else ()
    with MapWriter(
        path, density.grid, dtype=dtype, overwrite=overwrite, labels=labels, label=label
    ) as writer:
        writer.write(density.values)


def build_header(
    grid: Grid, mode: int, statistics: Statistics, labels: Sequence[str], volumes: int = 1
) -> bytes:
    """The 1024 bytes of a little-endian MRC2014 header.

    Raises:
        GridError: a shape, a cell or an origin that the header's fields cannot hold.
    """
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    if max(*grid.shape, volumes * grid.shape[0]) > np.iinfo(np.int32).max:
        raise GridError(f"{grid.shape} voxels (z, y, x): an MRC header cannot count them")
    for axis, count, start in zip("xyz", grid.shape[::-1], whole_voxels(grid), strict=True):
        header["n" + axis] = header["m" + axis] = count
        header[f"n{axis}start"] = start
    cell, origin = np.asarray(grid.edges), np.asarray(grid.origin)
    if cell.max() > np.finfo(np.float32).max or min(grid.voxel_size) < np.finfo(np.float32).tiny:
        raise GridError(f"voxel size {grid.voxel_size} A: an MRC header cannot hold it")
    if not is_near(origin, grid):
        raise GridError(
            f"origin {grid.origin} A: an MRC header places nothing {FARTHEST:.0e} voxels from zero"
        )
    header["cella"], header["cellb"] = tuple(cell), grid.angles
    header["origin"] = tuple(origin + 0.0)  # -0.0 becomes 0.0
    header["mode"], header["ispg"], header["nversion"] = mode, 1, 20141
    if volumes > 1:
        # MRC2014: MZ counts the sections of one volume, NZ those of all.
        header["nz"], header["ispg"] = volumes * grid.shape[0], 401
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    if statistics.count:
        header["dmin"], header["dmax"] = statistics.lowest, statistics.highest
        header["dmean"], header["rms"] = statistics.mean, statistics.rms
    header["map"], header["machst"] = b"MAP ", (0x44, 0x44, 0, 0)
    header["nlabl"] = len(labels)
    header["label"][: len(labels)] = [label.encode("ascii").ljust(80) for label in labels]
    return header.tobytes()


def whole_voxels(grid: Grid) -> tuple[int, int, int]:
    """NSTART (x, y, z): the origin in voxels along the cell axes if those are whole numbers, else zeros."""
    steps = np.linalg.solve(grid.axes, np.asarray(grid.origin))
    whole = np.rint(steps)
    if np.abs(steps - whole).max() > _WHOLE_VOXEL or np.abs(whole).max() >= 2**31:
        return (0, 0, 0)
    return (int(whole[0]), int(whole[1]), int(whole[2]))


def _all_labels(labels: Sequence[str], ours: str) -> list[str]:
    texts = [
        "".join(c if 32 <= ord(c) < 127 else "?" for c in text)[:80].rstrip() for text in (*labels, ours)
    ]
    lines = [text for text in texts[:-1] if text not in ("", texts[-1])]
    lines += [text for text in texts[-1:] if text]
    return lines[:1] + lines[1:][-9:]


def _compress(source: BinaryIO, target: BinaryIO) -> None:
    """Compress with gzip, with neither name nor time in it."""
    source.seek(0)
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=target, mtime=0) as packed:
        shutil.copyfileobj(source, packed, 1 << 20)
