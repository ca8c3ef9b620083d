"""MRC and CCP4 map files to and from `DensityMap`: values, where they lie, and the source's header."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import math
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmap.errors import GridError, LimitError, MapError, NonFiniteError, OptionError
from nmap.grid import Grid, Triple
from nmap.maps.mrc_header import HEADER_BYTES, Layout, MapHeader, parse_header
from nmap.maps.mrc_writer import MapWriter, OutputType

__all__ = ["DensityMap", "MapHeader", "MapWriter", "read_map", "write_map"]

F32 = NDArray[np.float32]

_CHUNK_BYTES = 1 << 23


@dataclass(frozen=True, eq=False)
class DensityMap:
    """A density map: values on a grid, and the header of the file they came from.

    Args:
        values: densities (z, y, x); made float32 and C-contiguous.
        grid: where they lie.
        header: of the source file, None for a map that was computed.

    Raises:
        GridError: the values do not have the grid's shape.
    """

    values: F32
    grid: Grid
    header: MapHeader | None = None

    def __post_init__(self) -> None:
        if np.shape(self.values) != self.grid.shape:
            raise GridError(f"values of shape {np.shape(self.values)}: wanted the grid's {self.grid.shape}")
        object.__setattr__(self, "values", np.ascontiguousarray(self.values, np.float32))

    def section(self, axis: str, index: int) -> DensityMap:
        """One section, a map one voxel thick, in its own place.

        Args:
            axis: "x", "y" or "z", the one that the section lies across.
            index: voxel along it, from 0.

        Raises:
            OptionError: an axis or index that the map does not have, or a cell that leans out of the section.
        """
        if axis not in ("x", "y", "z"):
            raise OptionError(f"slice across {axis!r}: wanted x, y or z")
        across = "zyx".index(axis)
        count = self.grid.shape[across]
        if not 0 <= index < count:
            raise OptionError(
                f"slice {axis}={index}: the map has {count} voxels along {axis}, wanted 0 to {count - 1}"
            )
        leaning = [angle for name, angle in zip("xyz", self.grid.angles, strict=True) if name != axis]
        if any(abs(angle - 90) > 1e-3 for angle in leaning):
            raise OptionError(
                f"slice {axis}={index} of a cell with angles {self.grid.angles}: wanted {axis} at right angles "
                "to the section: decode or resample the map on a box first"
            )
        start, shape = [0, 0, 0], list(self.grid.shape)
        start[across], shape[across] = index, 1
        region = self.grid.region((start[0], start[1], start[2]), (shape[0], shape[1], shape[2]))
        return DensityMap(np.take(self.values, [index], across), region, self.header)


def read_map(
    path: str | os.PathLike[str],
    *,
    voxel_size: Triple | None = None,
    replace_nonfinite: str | None = None,
    max_memory: int | None = None,
) -> DensityMap:
    """Read a map from an MRC or CCP4 file, plain or compressed with gzip or bzip2.

    Data modes 0, 1, 2, 6 and 12, either byte order, any axis order, any cell. The header is checked first,
    then the length of the (decompressed) file, and only then is memory taken: 4 bytes a voxel, the extended
    header and less than 100 MB of work space. Compression is told from the first bytes, not from the name.
    Bytes after the data block are accepted and dropped if they are fewer than the smallest face of the box,
    as padding is; more of them mean that the header's counts are wrong.

    Args:
        path: a regular file.
        voxel_size: taken instead of the header's (x, y, z), in Angstrom.
        replace_nonfinite: "mean" puts the mean of all finite values where a value is NaN or infinite.
        max_memory: most bytes that the values, as float32, and the extended header may take.

    Returns:
        The map, its values in (z, y, x) whatever the file's order.

    Raises:
        MapError: not a map file, damaged or truncated, or not one volume of real numbers.
        VoxelSizeError: the header gives no voxel size, and `voxel_size` is not given.
        NonFiniteError: NaN or infinite values, without `replace_nonfinite` or with nothing else there.
        LimitError: the map needs more than `max_memory`, or more than the machine has.
        OptionError: an option that cannot be used.
        OSError: the file is missing or cannot be read.
    """
    path = Path(path)
    if voxel_size is not None and (len(voxel_size) != 3 or not all(0 < v < math.inf for v in voxel_size)):
        raise OptionError(f"voxel size {voxel_size} A: wanted three positive numbers (x, y, z)")
    if replace_nonfinite not in (None, "mean"):
        raise OptionError(f"replace_nonfinite {replace_nonfinite!r}: wanted 'mean'")
    name = str(path) if str(path).isprintable() else ascii(str(path))
    try:
        with _regular_file(path) as file:
            return _read(file, path.name, voxel_size, replace_nonfinite, max_memory)
    except (MapError, LimitError) as error:
        raise type(error)(f"{name}: {error}") from None
    except MemoryError as error:
        raise LimitError(f"{name}: {error}: this machine has not the memory for it") from None


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


def _read(
    file: io.BufferedReader,
    name: str,
    voxel_size: Triple | None,
    replace_nonfinite: str | None,
    max_memory: int | None,
) -> DensityMap:
    compression = _compression(file)
    with _decompressed(file, compression) as stream:
        raw = stream.read(HEADER_BYTES)
    if len(raw) < HEADER_BYTES:
        what = f"{len(raw)} bytes, an MRC header alone has {HEADER_BYTES}" if raw else "an empty file"
        raise MapError(f"{what}: not an MRC or CCP4 map")
    layout = parse_header(raw)
    grid = layout.grid(voxel_size)
    needed = 4 * grid.size + layout.extended_bytes
    if max_memory is not None and needed > max_memory:
        raise LimitError(f"needs {needed} bytes of memory, {max_memory} are allowed: allow more")
    _check_length(file, compression, layout)
    with _decompressed(file, compression) as stream:
        stream.read(HEADER_BYTES)
        extended = stream.read(layout.extended_bytes)
        values = _read_values(stream, layout, replace_nonfinite)
    file.seek(0)
    header = MapHeader(
        name=name,
        sha256=hashlib.file_digest(file, "sha256").hexdigest(),
        file_bytes=os.fstat(file.fileno()).st_size,
        raw=raw,
        extended=extended,
        labels=layout.labels,
        mode=layout.mode,
        nstart=layout.nstart,
        origin=layout.origin,
        space_group=layout.space_group,
        compression=compression,
    )
    return DensityMap(values, grid, header)


@contextmanager
def _regular_file(path: Path) -> Iterator[io.BufferedReader]:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise MapError(f"is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}: wanted a map file")
    with open(path, "rb") as file:
        yield file


def _compression(file: io.BufferedReader) -> str:
    file.seek(0)
    start = file.read(4)
    if start[:2] == b"\x1f\x8b":
        return "gzip"
    return "bzip2" if start[:3] == b"BZh" and start[3:] in b"123456789" else ""


@contextmanager
def _decompressed(file: io.BufferedReader, compression: str) -> Iterator[io.BufferedIOBase]:
    """The file from its start, decompressed as it is read; damage to the compression is a `MapError`."""
    file.seek(0)
    opened: io.BufferedIOBase = file
    if compression == "gzip":
        opened = gzip.GzipFile(fileobj=file, mode="rb")
    elif compression == "bzip2":
        opened = bz2.BZ2File(file, "rb")
    try:
        yield opened
    except (EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the data's
            raise
        raise MapError(f"damaged {compression} data ({error}): get the file again") from None
    finally:
        if opened is not file:
            opened.close()


def _check_length(file: io.BufferedReader, compression: str, layout: Layout) -> None:
    """Refuse a file that holds less than its header says, or more than that and some padding."""
    wanted, spare = layout.file_bytes, max(layout.face_bytes - 1, 0)
    if compression:
        with _decompressed(file, compression) as stream:
            held = _count_bytes(stream, wanted + spare)
    else:
        held = os.fstat(file.fileno()).st_size
    declared = f"its header declares {wanted}"
    if held < wanted:
        raise MapError(f"holds {held} bytes, {declared}: truncated, or a wrong header: get it again")
    if held > wanted + spare:
        more = "more" if compression else f"{held}"
        raise MapError(f"holds {more} bytes, {declared}: its counts or mode are wrong: mend the header")


def _count_bytes(stream: io.BufferedIOBase, limit: int) -> int:
    """Length of a stream, or `limit` + 1 for any that is longer."""
    count = 0
    while count <= limit and (piece := len(stream.read(min(1 << 20, limit + 1 - count)))):
        count += piece
    return count


def _read_values(stream: io.BufferedIOBase, layout: Layout, replace_nonfinite: str | None) -> F32:
    """The data block as float32 (z, y, x), read in pieces of about 8 MB."""
    values = np.empty(layout.shape, np.float32)
    target = layout.file_order(values)
    columns, rows, sections = layout.counts
    row_bytes = columns * layout.dtype.itemsize
    tall = min(rows, max(1, _CHUNK_BYTES // row_bytes))
    deep = max(1, _CHUNK_BYTES // (row_bytes * rows)) if tall == rows else 1
    buffer = bytearray(deep * tall * row_bytes)
    bad = 0
    for section in range(0, sections, deep):
        for row in range(0, rows, tall):
            part = target[section : section + deep, row : row + tall]
            read = _fill(stream, memoryview(buffer)[: part.size * layout.dtype.itemsize])
            found = np.frombuffer(read, layout.dtype).reshape(part.shape)
            if layout.dtype.kind == "f":
                bad += found.size - int(np.count_nonzero(np.isfinite(found)))
            with np.errstate(invalid="ignore"):  # a signalling NaN in float16
                part[...] = found
    if bad:
        _mend(values, bad, replace_nonfinite)
    return values


def _fill(stream: io.BufferedIOBase, view: memoryview) -> memoryview:
    filled = 0
    while filled < len(view):
        count = stream.readinto(view[filled:])
        if not count:
            raise MapError("ended while it was read: is another program writing it?")
        filled += count
    return view


def _mend(values: F32, bad: int, replace_nonfinite: str | None) -> None:
    """Put the mean of the finite values in place of the `bad` others, plane by plane."""
    if replace_nonfinite is None:
        raise NonFiniteError(
            f"{bad} of {values.size} values are NaN or infinite: wanted finite densities: "
            "mend the map, or have them replaced by the mean"
        )
    if bad == values.size:
        raise NonFiniteError(f"all {bad} values are NaN or infinite: there is no mean to replace them by")
    total = sum(float(plane[np.isfinite(plane)].sum(dtype=np.float64)) for plane in values)
    mean = np.float32(total / (values.size - bad))
    for plane in values:
        plane[~np.isfinite(plane)] = mean


def map_of(source: DensityMap | str | os.PathLike[str]) -> DensityMap:
    """A map, read where its path is given; raises as `read_map`."""
    return source if isinstance(source, DensityMap) else read_map(source)
