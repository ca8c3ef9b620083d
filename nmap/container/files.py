"""`.nmap` files on disk: open, save, strip, repair, read the record, say where the bytes went."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from nmap.atomic import atomic_output
from nmap.coding import CodedTensor
from nmap.container.codec import assemble, checked_tensors, encode_bytes
from nmap.container.hdf5 import Dataset
from nmap.container.hdf5_reader import read_groups
from nmap.container.layout import Entry, Layout, read_layout
from nmap.container.record import VOCABULARY, from_groups
from nmap.errors import FormatError
from nmap.neural_map import NeuralMap, Record

Path = str | os.PathLike[str]


def open_map(path: Path) -> NeuralMap:
    """Open a `.nmap` file. HDF5 is not looked at: `read_record` does that, on request.

    Raises:
        OSError: the file cannot be read.
        FormatError: it breaks the format, or a limit; nothing of that size was allocated.
        UnsupportedError: it needs a newer reader.
        AppendedDataError: another program appended to it; `repair` mends that.
    """
    with _naming(path):
        return assemble(*_read(path))


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
    with _naming(path):
        layout, buffer = _read(path)
        neural_map = assemble(layout, buffer)
        return _record(layout, buffer) if layout.has_hdf5 else neural_map.record


def sizes(path: Path) -> dict[str, int]:
    """Bytes of a file by use: weights, gains, envelope, header (with its length field), hdf5, total.

    The checksum is checked, nothing is decoded.
    """
    with _naming(path):
        layout, buffer = _read(path)
        return _sizes(layout, checked_tensors(layout, buffer)[1])


def look(path: Path) -> tuple[NeuralMap, dict[str, int], Record, str]:
    """The map of a file, its `sizes` and its record, from one reading; and why the record cannot be read, or "".

    Raises:
        FormatError: the file breaks the format; what is wrong with the record alone is told in words instead.
    """
    with _naming(path):
        layout, buffer = _read(path)
        neural_map = assemble(layout, buffer)
    record, error = neural_map.record, ""
    try:
        with _naming(path):
            record = _record(layout, buffer) if layout.has_hdf5 else record
    except FormatError as failure:
        error = str(failure)
    return neural_map, _sizes(layout, neural_map.tensors), record, error


def _sizes(layout: Layout, tensors: Mapping[str, CodedTensor]) -> dict[str, int]:
    out = {
        "weights": 0,
        "gains": 0,
        "envelope": 0,
        "header": layout.prefix,
        "hdf5": 0,
        "total": layout.length,
    }
    for name, coded in tensors.items():
        out[name if name in ("gains", "envelope") else "weights"] += coded.nbytes
    out["hdf5"] = out["total"] - sum(out[key] for key in ("weights", "gains", "envelope", "header"))
    return out


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
    with open(path, "rb") as file:
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
