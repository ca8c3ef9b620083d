"""A `NeuralMap` to and from the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from nmap.coding.codings import CODINGS, MAX_LATTICE_POINTS, CodedTensor
from nmap.container.hdf5 import image
from nmap.container.header import Header, from_text, to_text
from nmap.container.layout import Image, Layout, build, digest, read_layout, view
from nmap.container.record import thumbnails, tree
from nmap.errors import FormatError, UnsupportedError
from nmap.neural_map import NeuralMap, Record

Arrays = dict[str, NDArray[Any]]
MAX_PARAMETERS = 1 << 26
MAX_EDGE = 1 << 14
# Bytes beside the weights that a file aims at; curves are thinned as far as needed, in these steps.
MAX_OVERHEAD = 6144
CURVE_POINTS = (64, 32, 22, 16)


def encode_bytes(neural_map: NeuralMap, hdf5: bool = True, thumbnail: bool = False) -> bytes:
    """The bytes of a `.nmap` file; the same map gives the same bytes.

    Args:
        neural_map: the map.
        hdf5: write the HDF5 part and with it the record; False gives plain safetensors.
        thumbnail: add three central slices to the record.

    Raises:
        OptionError: a record item that the format has no place for.
    """
    header, arrays = _header(neural_map), stored_arrays(neural_map.tensors)
    header = replace(header, checksum=digest(to_text(header), header.checksum, arrays))
    text = to_text(header)
    if not hdf5:
        return build(text, arrays, None)
    record = dict(neural_map.record)
    if thumbnail:
        record["thumbnail"] = thumbnails(neural_map)
    weights_bytes = sum(array.nbytes for array in arrays.values())
    counted, points = _small(record), CURVE_POINTS[0]
    for points in CURVE_POINTS:
        file = build(text, arrays, _image(header, arrays, counted, points))
        if len(file) - weights_bytes <= MAX_OVERHEAD:
            break
    return build(text, arrays, _image(header, arrays, record, points))


def decode_bytes(data: bytes) -> NeuralMap:
    """The map of a file's bytes; its record holds only the source's file name, `read_record` has the rest.

    Raises:
        FormatError: the bytes break the format, or a limit.
        UnsupportedError: they need a newer reader.
        AppendedDataError: something follows the file's end.
    """
    layout, buffer = read_layout(io.BytesIO(data))
    return assemble(layout, buffer)


def assemble(layout: Layout, buffer: bytes) -> NeuralMap:
    """The map of a checked layout and the bytes that it describes.

    Raises:
        FormatError: metadata and tensors do not fit each other, or the checksum is wrong.
        UnsupportedError: they need a newer reader.
    """
    header, tensors = checked_tensors(layout, buffer)
    record = {"source": {"file": header.name}} if header.name else {}
    try:
        neural_map = NeuralMap.from_tensors(
            header.kind,
            header.settings,
            tensors,
            box=header.box,
            center=header.center,
            half_width=header.half_width,
            offset=header.offset,
            scale=header.scale,
            band_limit=header.band_limit,
            lattice=header.lattice,
            symmetry=header.symmetry,
            alignment=header.alignment,
            record=record,
        )
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"model {header.kind}: settings {header.settings!r:.80} do not fit it") from None
    unused = set(tensors) - set(neural_map.field.network.tensors()) - {"gains", "envelope"}
    if unused:
        raise FormatError(f'tensor "{min(unused):.60}" has no place in a {header.kind} model')
    return neural_map


def checked_tensors(layout: Layout, buffer: bytes) -> tuple[Header, dict[str, CodedTensor]]:
    """Header and coded tensors of a checked layout; the checksum is checked, nothing is decoded.

    Raises:
        FormatError: metadata and tensors do not fit each other, or the checksum is wrong.
        UnsupportedError: they need a newer reader.
    """
    header = from_text(layout.metadata)
    arrays = {name: view(buffer, entry) for name, entry in layout.weights.items()}
    found = digest(layout.metadata, header.checksum, arrays)
    if found != header.checksum:
        raise FormatError(f"sha256 is {found}, the header says {header.checksum}: the file is damaged")
    return header, coded_tensors(header, arrays)


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
        shape = tuple(entry.get("shape", parts[""].shape)) if coding.shape is None else coding.shape(parameters)
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
        edge = most if coded.coding == "matrices" else MAX_EDGE
        if max(coded.shape, default=1) > edge or max(total, coded.size) > most:
            limits = f"{edge} along an axis and {most} in all"
            raise FormatError(f'tensor "{name:.60}" has decoded shape {coded.shape}: more than {limits}')
        if lattices > 1:
            raise FormatError(f'tensor "{name:.60}" is the second of the lattice coding: wanted one at most')


def _image(header: Header, arrays: Arrays, record: Record, points: int) -> Image:
    """What writes the HDF5 part, once the weights' places are known."""

    def write(userblock: int, places: Mapping[str, int], weights_bytes: int) -> bytes:
        return image(tree(header, arrays, record, places, points), userblock, weights_bytes)

    return write


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
    return Header(
        kind=field.network.kind,
        settings=field.network.settings(),
        box=field.box,
        center=field.center,
        half_width=field.half_width,
        offset=field.offset,
        scale=field.scale,
        band_limit=field.band_limit,
        lattice=field.lattice,
        symmetry=field.symmetry,
        alignment=field.alignment,
        codings=codings,
        name=str(neural_map.record.get("source", {}).get("file", "")),
    )
