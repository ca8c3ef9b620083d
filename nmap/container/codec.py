"""A `NeuralMap` to and from the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import CODINGS, MAX_LATTICE_POINTS, CodedTensor
from nmap.container.hdf5 import build_dual, describe
from nmap.container.header import Header, from_text, to_text
from nmap.container.layout import RECORD, Layout, build, digest, read_layout, read_tensors
from nmap.container.record import pack, unpack
from nmap.container.vocabulary import prepare, thumbnails
from nmap.errors import FormatError, OptionError, UnsupportedError
from nmap.neural_map import NeuralMap, Record

Arrays = dict[str, NDArray[Any]]
MAX_PARAMETERS = 1 << 26
MAX_EDGE = 1 << 14
# Bytes beside the weights that a file aims at, without and with its HDF5 part. The curves of the record are thinned
# as far as the first needs, and those that the HDF5 part repeats as far as the second does, in these steps.
MAX_OVERHEAD = 3072
MAX_OVERHEAD_HDF5 = 8192
CURVE_POINTS = (64, 32, 22, 16)


def encode_bytes(neural_map: NeuralMap, hdf5: bool = True, thumbnail: bool = False) -> bytes:
    """The bytes of a `.nmap` file; the same map gives the same bytes.

    Args:
        neural_map: the map.
        hdf5: write the HDF5 part too; False gives plain safetensors.
        thumbnail: add three central slices to the record.

    Raises:
        OptionError: a record item that the format cannot hold, or one map of a series that has a motion.
    """
    if neural_map.field.is_moved:
        raise OptionError(
            "one map of a series that has a motion: a file holds the whole series: save that, or decode the map to MRC"
        )
    header, arrays = _header(neural_map), stored_arrays(neural_map.tensors)
    header = replace(header, checksum=digest(to_text(header), header.checksum, arrays))
    text, weights_bytes = to_text(header), sum(array.nbytes for array in arrays.values())
    small, full = _small(neural_map.record), dict(neural_map.record)
    if thumbnail:
        full["thumbnail"] = thumbnails(neural_map)

    def plain(record: Record, points: int) -> bytes:
        return build(text, _with_record(arrays, record, points))

    fitting = (n for n in CURVE_POINTS if len(plain(small, n)) - weights_bytes <= MAX_OVERHEAD)
    points = next(fitting, CURVE_POINTS[-1])
    if not hdf5:
        return plain(full, points)
    aside = len(plain(full, points)) - len(plain(small, points))
    tensors = _with_record(arrays, full, points)
    data = b""
    for repeated in _repeated(small, points):
        data = build_dual(text, tensors, describe(header, arrays, repeated))
        if len(data) - weights_bytes - aside <= MAX_OVERHEAD_HDF5:
            break
    return data


def decode_bytes(data: bytes) -> NeuralMap:
    """The map of a file's bytes, with as much of its record as can be read.

    Raises:
        FormatError: the bytes break the format, or a limit.
        UnsupportedError: they need a newer reader.
        AppendedDataError: something follows the file's end.
    """
    return assemble(*read_layout(io.BytesIO(data)))[0]


def assemble(layout: Layout, data: bytes) -> tuple[NeuralMap, tuple[str, ...]]:
    """The map of a checked layout and the file's bytes, and what of its record could not be read, in words.

    Raises:
        FormatError: metadata and tensors do not fit each other, or the checksum is wrong.
        UnsupportedError: they need a newer reader.
    """
    header, tensors, (record, faults) = checked_parts(layout, data)
    try:
        neural_map = NeuralMap.from_tensors(header.kind, header.settings, tensors, header.frame, record)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"model {header.kind}: settings {header.settings!r:.80} do not fit it") from None
    if header.features != neural_map.field.network.features:
        raise FormatError(
            f"must_understand {list(header.features)} of a {header.kind} model: wanted "
            f"{list(neural_map.field.network.features)}"
        )
    unused = set(tensors) - set(neural_map.field.network.tensors()) - {"gains", "envelope"}
    if unused:
        raise FormatError(f'tensor "{min(unused):.60}" has no place in a {header.kind} model')
    return neural_map, faults


def checked_parts(
    layout: Layout, data: bytes
) -> tuple[Header, dict[str, CodedTensor], tuple[Record, tuple[str, ...]]]:
    """Header, coded tensors and record of a checked layout; the checksum is checked, nothing is decoded.

    Raises:
        FormatError: metadata and tensors do not fit each other, or the checksum is wrong.
        UnsupportedError: they need a newer reader.
    """
    header = from_text(layout.metadata)
    arrays = read_tensors(data[: layout.length], layout)
    record = _read_record(arrays.pop(RECORD, None))
    found = digest(layout.metadata, header.checksum, arrays)
    if found != header.checksum:
        raise FormatError(f"sha256 is {found}, the header says {header.checksum}: the file is damaged")
    return header, coded_tensors(header, arrays), record


def _read_record(stored: NDArray[Any] | None) -> tuple[Record, tuple[str, ...]]:
    """The record and what of it could not be read: it never keeps a map from being decoded."""
    if stored is None:
        return {}, ()
    if stored.dtype != np.uint8 or stored.ndim != 1:
        return {}, (f"record tensor of shape {stored.shape} of {stored.dtype}, wanted bytes",)
    try:
        return unpack(stored.tobytes())
    except FormatError as error:
        return {}, (str(error),)


def _with_record(arrays: Arrays, record: Record, points: int) -> Arrays:
    """Stored arrays and the record tensor, unless there is nothing to record."""
    kept = prepare(record, points)
    return {**arrays, RECORD: np.frombuffer(pack(kept), np.uint8)} if any(kept.values()) else arrays


def _repeated(record: Record, points: int) -> Iterator[Record]:
    """What the HDF5 part repeats of a record, in shorter and shorter forms."""
    for fewer in CURVE_POINTS:
        if fewer <= points:
            yield prepare(record, fewer)
    without_fit = {name: items for name, items in prepare(record, CURVE_POINTS[-1]).items() if name != "fit"}
    yield without_fit
    yield {
        name: {key: value for key, value in items.items() if not isinstance(value, np.ndarray)}
        for name, items in without_fit.items()
    }
    yield {}


def stored_arrays(tensors: Mapping[str, CodedTensor]) -> Arrays:
    """Stored arrays by their name in the file: the tensor's name, or name.suffix for a companion."""
    return {
        f"{name}.{suffix}" if suffix else name: array
        for name, coded in tensors.items()
        for suffix, array in coded.arrays.items()
    }


def coded_tensors(header: Header, arrays: Mapping[str, NDArray[Any]]) -> dict[str, CodedTensor]:
    """The coded tensors of a file's arrays, by name; checks their decoded sizes, decodes nothing.

    Raises:
        FormatError: an array that is missing, left over, or too large once decoded.
        UnsupportedError: a coding that this reader does not have.
    """
    rest, out = dict(arrays), {}
    for name, entry in header.codings.items():
        coding = CODINGS.get(entry["coding"])
        if coding is None:
            raise UnsupportedError(
                f"tensor {name!r:.60}: coding {entry['coding']!r:.40}, this reader has {', '.join(CODINGS)}"
            )
        parts = {}
        for suffix in coding.suffixes:
            stored = f"{name}.{suffix}" if suffix else name
            if stored not in rest:
                raise FormatError(f"tensor {stored!r:.60} is missing, the coding of {name!r:.60} wants it")
            parts[suffix] = rest.pop(stored)
        parameters = {key: entry[key] for key in coding.parameters if key in entry}
        shape = (
            tuple(entry.get("shape", parts[""].shape)) if coding.shape is None else coding.shape(parameters)
        )
        out[name] = CodedTensor(entry["coding"], shape, parameters, parts)
    out |= {name: CodedTensor("float", array.shape, {}, {"": array}) for name, array in rest.items()}
    _check_sizes(out)
    return out


def _check_sizes(tensors: Mapping[str, CodedTensor]) -> None:
    """Check 11: what decoding may take, in memory and, by one lattice at most, in time."""
    total, lattices = 0, 0
    for name, coded in tensors.items():
        most = MAX_PARAMETERS
        if coded.coding == "lattice":
            lattices, most = lattices + 1, MAX_LATTICE_POINTS
        else:
            total += coded.size
        edge = most if len(coded.shape) == 1 else MAX_EDGE
        if max(coded.shape, default=1) > edge or max(total, coded.size) > most:
            limits = f"{edge} along an axis and {most} in all"
            raise FormatError(f'tensor "{name:.60}" has decoded shape {coded.shape}: more than {limits}')
        if lattices > 1:
            raise FormatError(f'tensor "{name:.60}" is the second of the lattice coding: wanted one at most')


def _small(record: Record) -> Record:
    """The record without what may be large: thumbnail and extended header do not count as overhead."""
    return {
        name: {key: value for key, value in items.items() if key != "extended_header"}
        for name, items in record.items()
        if name != "thumbnail"
    }


def _header(neural_map: NeuralMap) -> Header:
    field = neural_map.field
    codings: dict[str, dict[str, Any]] = {}
    for name, coded in neural_map.tensors.items():
        if coded.coding != "float":
            codings[name] = {"coding": coded.coding, **coded.parameters}
            if CODINGS[coded.coding].shape is None and coded.arrays[""].shape != coded.shape:
                codings[name]["shape"] = list(coded.shape)
    network = field.network
    return Header(network.kind, network.settings(), field.frame, codings, features=network.features)
