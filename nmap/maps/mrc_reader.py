"""MRC and CCP4 map files to `DensityMap`: checked first, then read once, in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nmap.errors import LimitError, MapError, NonFiniteError
from nmap.maps.density_map import F32, DensityMap, MapFrame, MapHeader
from nmap.maps.mrc_header import HEADER_BYTES, Layout, parse_header
from nmap.maps.packing import PackedFile, Stream
from nmap.maps.read_options import ReadOptions

_CHUNK_BYTES = 1 << 23
Warn = Callable[[str], None]


class _Ended(Exception):
    """The file ended before its data did.

    Attributes:
        held: bytes that it holds, unpacked.
    """

    def __init__(self, held: int) -> None:
        super().__init__(held)
        self.held = held


class MrcFormat:
    """MRC2014, and the CCP4 maps that it came from."""

    name = "MRC"

    def recognises(self, start: bytes) -> bool:
        """Whether it has the word MAP where the format has it."""
        return start[208:211] == b"MAP"

    def read_frame(self, file: PackedFile, options: ReadOptions, warn: Warn) -> MapFrame:
        """Where its voxels lie."""
        layout = _layout(file, options)
        grid = layout.grid(options.voxel_size)
        layout = _check_lengths(file, layout, options)
        _say(layout, warn)
        columns, rows, sections = layout.axes
        return MapFrame(grid, (columns + 1, rows + 1, sections + 1), layout.sampling, layout.space_group)

    def read(self, file: PackedFile, options: ReadOptions, warn: Warn) -> DensityMap:
        """The whole map."""
        layout = _layout(file, options)
        grid = layout.grid(options.voxel_size)
        layout = _check_lengths(file, layout, options)
        needed, allowed = 4 * grid.size + layout.extended_bytes, options.memory
        if allowed is not None and needed > allowed:
            raise LimitError(
                f"needs {needed} bytes of memory, {allowed} are allowed: allow more", option="max_memory"
            )
        try:
            extended, values = _read_once(file, layout, options, warn)
        except _Ended as end:
            layout = _mended(end.held, layout, options)
            extended, values = _read_once(file, layout, options, warn)
        _say(layout, warn)
        kept = _kept(file, layout, extended)
        file.require_unchanged()
        return DensityMap(values, grid, kept)


def _layout(file: PackedFile, options: ReadOptions) -> Layout:
    raw = file.start(HEADER_BYTES)
    if len(raw) < HEADER_BYTES:
        raise MapError(f"{len(raw)} bytes, an MRC header alone has {HEADER_BYTES}: not an MRC or CCP4 map")
    return parse_header(raw, permissive=options.permissive, stack=options.stack)


def _check_lengths(file: PackedFile, layout: Layout, options: ReadOptions) -> Layout:
    """Refuse, before anything is read, a file that cannot hold what its header declares.

    Returns:
        The layout, without an extended header that is declared and not there, where that is allowed.
    """
    held, wanted = file.size, layout.file_bytes
    if file.compression:
        if wanted > file.most:
            raise MapError(_truncated(f"at most {file.most}", wanted))
        if wanted > file.plausible:
            raise LimitError(
                f"{held} bytes of {file.compression} would unpack to {wanted}, as no map does that is not constant: "
                "wanted a map; if it is one, unpack it yourself and give that"
            )
        return layout
    if held < wanted:
        return _mended(held, layout, options)
    _check_surplus(held - wanted, layout, f"{held}")
    return layout


def _mended(held: int, layout: Layout, options: ReadOptions) -> Layout:
    """The layout without its extended header, where exactly that is what the file lacks."""
    wanted = layout.file_bytes
    if not layout.extended_bytes or held != wanted - layout.extended_bytes:
        raise MapError(_truncated(f"{held}", wanted))
    lacks = (
        f"its header declares an extended header of {layout.extended_bytes} bytes (NSYMBT) that is not there"
    )
    if not options.permissive:
        raise MapError(
            f"holds {held} bytes, its header declares {wanted}: {lacks}: set NSYMBT to 0, or read it as permissive",
            option="permissive",
        )
    return replace(layout, extended_bytes=0, oddities=(*layout.oddities, f"{lacks}: read without it"))


def _truncated(held: str, wanted: int) -> str:
    return f"holds {held} bytes, its header declares {wanted}: truncated, or a wrong header: get it again"


def _check_surplus(surplus: int, layout: Layout, held: str) -> None:
    """Refuse more bytes after the data than padding is, or any where the header is not sure to be one."""
    if surplus > max(layout.face_bytes - 1, 0) or (surplus and layout.is_exact):
        raise MapError(
            f"holds {held} bytes, its header declares {layout.file_bytes}: its counts or mode are wrong: "
            "mend the header"
        )


def _read_once(file: PackedFile, layout: Layout, options: ReadOptions, warn: Warn) -> tuple[bytes, F32]:
    """Extended header and values, in one pass over the file; what follows them is looked at too."""
    with file.unpacked() as stream:
        stream.read(HEADER_BYTES)
        extended = stream.read(layout.extended_bytes)
        if len(extended) < layout.extended_bytes:
            raise _Ended(HEADER_BYTES + len(extended))
        values, bad = _read_values(stream, layout)
        rest = stream.read(max(layout.face_bytes - 1, 0) + 1)
    held = "more" if file.compression else f"{layout.file_bytes + len(rest)}"
    _check_surplus(len(rest), layout, held)
    if rest:
        _judge_surplus(rest, options, warn)
    if bad:
        _replace_nonfinite(values, bad, options.replace_nonfinite)
    return extended, values


def _judge_surplus(rest: bytes, options: ReadOptions, warn: Warn) -> None:
    """Zeros are padding; anything else may be the end of densities that an extended header has moved."""
    said = f"{len(rest)} bytes more than its header declares"
    if not any(rest):
        warn(
            f"{said}, all zero: taken as padding at the end; if they are an extended header that NSYMBT hides, "
            "the densities are shifted: set it"
        )
        return
    if not options.permissive:
        raise MapError(
            f"{said}, as where an extended header of {len(rest)} bytes lies before the data and NSYMBT does not say "
            f"so: set NSYMBT to {len(rest)}, or read it as permissive if they follow the data",
            option="permissive",
        )
    warn(f"{said}: taken as something after the data and dropped")


def _say(layout: Layout, warn: Warn) -> None:
    for oddity in layout.oddities:
        warn(oddity)


def _kept(file: PackedFile, layout: Layout, extended: bytes) -> MapHeader:
    """What is kept of the file beside its values."""
    file.file.seek(0)
    return MapHeader(
        name=file.name,
        sha256=hashlib.file_digest(file.file, "sha256").hexdigest(),
        file_bytes=file.size,
        raw=layout.raw,
        extended=extended,
        labels=layout.labels,
        mode=layout.mode,
        nstart=layout.nstart,
        origin=layout.origin,
        space_group=layout.space_group,
        compression=file.compression,
    )


def _read_values(stream: Stream, layout: Layout) -> tuple[F32, int]:
    """The data block as float32 (z, y, x), read in pieces of about 8 MB, and how many values are not finite."""
    values = np.empty(layout.shape, np.float32)
    target = layout.file_order(values)
    columns, rows, sections = layout.counts
    row_bytes = columns * layout.dtype.itemsize
    tall = min(rows, max(1, _CHUNK_BYTES // row_bytes))
    deep = max(1, _CHUNK_BYTES // (row_bytes * rows)) if tall == rows else 1
    buffer = bytearray(deep * tall * row_bytes)
    bad, held = 0, HEADER_BYTES + layout.extended_bytes
    for section in range(0, sections, deep):
        for row in range(0, rows, tall):
            part = target[section : section + deep, row : row + tall]
            wanted = part.size * layout.dtype.itemsize
            read = _fill(stream, memoryview(buffer)[:wanted])
            held += len(read)
            if len(read) < wanted:
                raise _Ended(held)
            found = np.frombuffer(read, layout.dtype).reshape(part.shape)
            if layout.dtype.kind == "f":
                bad += found.size - int(np.count_nonzero(np.isfinite(found)))
            with np.errstate(invalid="ignore"):  # a signalling NaN in float16
                part[...] = found
    return values, bad


def _fill(stream: Stream, view: memoryview) -> memoryview:
    """As much of the view as the stream still fills."""
    filled = 0
    while filled < len(view):
        count = stream.readinto(view[filled:])
        if not count:
            break
        filled += count
    return view[:filled]


def _replace_nonfinite(values: F32, bad: int, by: str | None) -> None:
    """Put the mean of the finite values in place of the `bad` others, plane by plane."""
    if by is None:
        raise NonFiniteError(
            f"{bad} of {values.size} values are NaN or infinite: wanted finite densities: "
            "mend the map, or have them replaced by the mean",
            option="replace_nonfinite",
        )
    if bad == values.size:
        raise NonFiniteError(f"all {bad} values are NaN or infinite: there is no mean to replace them by")
    total = sum(float(plane[np.isfinite(plane)].sum(dtype=np.float64)) for plane in values)
    mean = np.float32(total / (values.size - bad))
    for plane in values:
        plane[~np.isfinite(plane)] = mean
