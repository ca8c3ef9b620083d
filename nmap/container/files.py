"""`.nmap` files on disk: open, save, strip, repair, read the record, say where the bytes went."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from nmap.container.codec import assemble, encode_bytes
from nmap.container.hdf5 import Dataset
from nmap.container.hdf5_reader import read_groups
from nmap.container.layout import Entry, Layout, read_layout
from nmap.container.record import VOCABULARY, from_groups
from nmap.errors import FormatError
from nmap.machine.atomic import atomic_output
from nmap.machine.inputs import existing
from nmap.neural_map import NeuralMap, Record

Path = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class MapFile:
    """A `.nmap` file that was read and checked once, for all that may be asked of it.

    Attributes:
        path: the file.
        neural_map: the map; its record holds only the source's file name.
        sizes: bytes by use; see `sizes`.
    """

    path: Path
    neural_map: NeuralMap
    sizes: Mapping[str, int]
    _layout: Layout
    _buffer: bytes

    def record(self) -> Record:
        """As `read_record`, without reading the file again.

        Raises:
            FormatError: the HDF5 part has features that nmap refuses, or disagrees with the JSON header.
        """
        if not self._layout.has_hdf5:
            return self.neural_map.record
        with _naming(self.path):
            return _record(self._layout, self._buffer)


def open_file(path: Path) -> MapFile:
    """Open a `.nmap` file: its map, its record and its sizes from one reading. Raises as `open_map`."""
    with _naming(path):
        layout, buffer = _read(path)
        return MapFile(path, assemble(layout, buffer), _sizes(layout), layout, buffer)


def open_map(path: Path) -> NeuralMap:
    """Open a `.nmap` file. HDF5 is not looked at: `MapFile.record` does that, on request.

    Raises:
        OSError: the file cannot be read.
        FormatError: it breaks the format, or a limit; nothing of that size was allocated.
        UnsupportedError: it needs a newer reader.
        AppendedDataError: another program appended to it; `repair` mends that.
    """
    return open_file(path).neural_map


def save(
    neural_map: NeuralMap,
    path: Path,
    *,
    hdf5: bool = True,
    thumbnail: bool = False,
    overwrite: bool = False,
) -> int:
    """Write a `.nmap` file: whole or not at all.

    Args:
        neural_map: the map.
        path: the file.
        hdf5: write the HDF5 part and the record in it.
        thumbnail: add three central slices to the record.
        overwrite: whether an existing file may be replaced.

    Returns:
        Bytes written.

    Raises:
        OutputExistsError: the file exists and may not be replaced.
        OptionError: a record item that the format has no place for.
    """
    return _write(encode_bytes(neural_map, hdf5, thumbnail), path, overwrite)


def strip(path: Path, out: Path, *, overwrite: bool = False) -> int:
    """Copy a file without its HDF5 part: plain safetensors, the same weights and checksum.

    Returns:
        Bytes written.

    Raises:
        FormatError: the file breaks the format.
        OutputExistsError: `out` exists and may not be replaced.
    """
    return _write(encode_bytes(open_map(path), hdf5=False), out, overwrite)


def repair(path: Path, out: Path, *, overwrite: bool = False) -> list[str]:
    """Restore a file that an HDF5 program appended to; only `out` is written.

    The weights are checked against the checksum and stay as they are. The record is read from the edited file
    and written anew, so attributes and datasets that the other program added are lost.

    Returns:
        What was done, line by line.

    Raises:
        FormatError: the file is damaged in another way.
        OutputExistsError: `out` exists and may not be replaced.
    """
    with _naming(path):
        layout, buffer = _read(path, appended=True)
        neural_map = assemble(layout, buffer)
    extra = len(buffer) - (layout.length - layout.prefix)
    done = ["weights agree with their checksum"]
    if layout.has_hdf5:
        try:
            neural_map = replace(neural_map, record=_record(layout, buffer, strict=False))
        except FormatError as error:
            done.append(f"the record could not be read and is lost ({error})")
        done.append("the HDF5 part was written anew; what another program added to it is lost")
    written = _write(encode_bytes(neural_map, layout.has_hdf5), out, overwrite)
    done.append(f"{extra} appended bytes were dropped, {written} bytes written")
    return done


def read_record(path: Path) -> Record:
    """What a file says about its source, its fit and its fidelity, by group; empty without an HDF5 part.

    Source labels are in `source["mrc_header"]`; see `labels`.

    Raises:
        FormatError: the file breaks the format, or its HDF5 part has features that nmap refuses.
    """
    return open_file(path).record()


def sizes(path: Path) -> dict[str, int]:
    """Bytes of a file by use: weights, gains, envelope, header (with its length field), hdf5, total.

    Its layout alone is read; whether the rest holds together, `open_map` says.

    Raises:
        FormatError: the layout breaks the format.
    """
    with _naming(path):
        return _sizes(_read(path)[0])


def _sizes(layout: Layout) -> dict[str, int]:
    out = dict.fromkeys(("weights", "gains", "envelope"), 0) | {"header": layout.prefix}
    for name, entry in layout.weights.items():
        owner = name.split(".")[0]
        out[owner if owner in ("gains", "envelope") else "weights"] += entry.end - entry.start
    return out | {"hdf5": layout.length - sum(out.values()), "total": layout.length}


def _record(layout: Layout, buffer: bytes, strict: bool = True) -> dict[str, dict[str, Any]]:
    groups = read_groups(buffer, ("weights", *VOCABULARY), strict)
    if strict:
        found = groups["weights"].children if "weights" in groups else {}
        for name, entry in layout.weights.items():
            if not _is_twin(found.get(name), entry):
                raise FormatError(f'HDF5 part: /weights/{name} is not the tensor "{name}" of the JSON header')
    return from_groups(groups)


def _is_twin(found: object, entry: Entry) -> bool:
    """Whether an HDF5 dataset is a tensor of the JSON header: same type, shape and place."""
    if not isinstance(found, Dataset) or (found.dtype, found.shape) != (entry.dtype, entry.shape):
        return False
    return entry.start == entry.end or found.address == entry.start


def _read(path: Path, appended: bool = False) -> tuple[Layout, bytes]:
    with open(existing(path), "rb") as file:
        return read_layout(file, appended)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except FormatError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from None


def _write(data: bytes, path: Path, overwrite: bool) -> int:
    with atomic_output(path, overwrite) as file:
        file.write(data)
    return len(data)
