"""The HDF5 side of a file: the same bytes as datasets, and what people with h5py look for.

Written by h5py and never read: a forged HDF5 side can harm nobody. h5py is imported here only, when a file is
written. The same h5py and HDF5 give the same bytes: no times, no addresses of the process, one order.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmap.container.header import VERSION, Header
from nmap.container.json_text import canonical_json
from nmap.container.layout import RECORD, in_order, json_header
from nmap.container.record import fits_half, text_of

if TYPE_CHECKING:
    from nmap.neural_map import Record

# The smallest user block of HDF5; larger ones are powers of two.
_USER_BLOCK = 512
# Tensors keep this alignment, so that readers can map them.
_ALIGNMENT = 8
# Tensors that lie in the root. HDF5 keeps up to 8 names in a group's header; more of them take 1.5 kB.
BESIDE_WEIGHTS = ("envelope", "gains", RECORD)
# Bytes of an attribute. Longer ones, and more than 8 of them in an object, HDF5 keeps in a heap of 1 kB.
_LONGEST_ATTRIBUTE = 16384
_REPEATED = ("source", "fit", "fidelity")
# Attributes by the object that they belong to: the root "", the group "weights", the dataset "record".
Attributes = Mapping[str, Mapping[str, NDArray[Any]]]


def build_dual(metadata: str, tensors: Mapping[str, NDArray[Any]], attributes: Attributes) -> bytes:
    """A whole file that is safetensors and HDF5 at once.

    Args:
        metadata: text of `__metadata__.nmap`.
        tensors: stored arrays by name.
        attributes: as `describe` gives them.
    """
    _, places = _write(tensors, attributes, _USER_BLOCK, 0)
    first = min((at for at in places.values()), default=0)
    padding, user_block = -first % _ALIGNMENT, _USER_BLOCK
    while True:
        data, places = _write(tensors, attributes, user_block, padding)
        offsets = {name: at - user_block for name, at in places.items()}
        text = json_header(metadata, tensors, offsets, len(data) - user_block)
        if 8 + len(text) <= user_block:
            prefix = (user_block - 8).to_bytes(8, "little") + text.ljust(user_block - 8)
            return prefix + data[user_block:]
        user_block *= 2


def describe(header: Header, tensors: Mapping[str, NDArray[Any]], record: Record) -> Attributes:
    """Attributes of the HDF5 part: the decoder's own numbers again, and the record in short.

    Args:
        header: what decoding needs.
        tensors: stored arrays by name.
        record: as it is stored.
    """
    frame, settings = header.frame, dict(header.settings)
    center, half = np.array(frame.center), np.array(frame.half_width)
    grid: dict[str, Any] = {
        "shape": np.array(frame.box.shape, np.int32),
        "voxel_size": np.array(frame.box.voxel_size),
        "origin": np.array(frame.box.origin),
        "cell_angles": None if frame.box.is_orthogonal else np.array(frame.box.angles),
    }
    model: dict[str, Any] = {
        "kind": header.kind,
        "layers": _layers(tensors),
        "omegas": np.array(settings.pop("omegas"), np.float32) if "omegas" in settings else None,
        "settings": canonical_json(settings) if settings else None,
        "bounds": np.array([center - half, center + half], np.float32),
        "band_limit": None if frame.band_limit is None else np.array(frame.band_limit, np.float32),
        "symmetry": None if frame.symmetry is None else frame.symmetry.name,
    }
    said: dict[str, Any] = {name: text_of(record[name]) for name in _REPEATED if name in record}
    for name, value in record.get("fidelity", {}).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            said[name] = value.astype(np.float16) if fits_half(value) else value
    return {"": _as_arrays(grid), "weights": _as_arrays(model), RECORD: _as_arrays(said)}


def _layers(tensors: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
    """Neurons from the three coordinates to the value; None for a network without layers."""
    if not {"first.bias", "last.bias"} <= set(tensors):
        return None
    count = len(tensors["hidden.bias"]) if "hidden.bias" in tensors else 0
    return np.array([3, *[len(tensors["first.bias"])] * (1 + count), len(tensors["last.bias"])], np.int32)


def _as_arrays(items: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The items that are there and not too long, texts as fixed-length UTF-8."""
    texts = {name: value for name, value in items.items() if isinstance(value, str) and value}
    arrays = {name: np.array(value.encode(), np.bytes_) for name, value in texts.items()}
    arrays |= {name: value for name, value in items.items() if isinstance(value, np.ndarray)}
    return {name: array for name, array in arrays.items() if array.nbytes <= _LONGEST_ATTRIBUTE}


def _write(
    tensors: Mapping[str, NDArray[Any]], attributes: Attributes, user_block: int, padding: int
) -> tuple[bytes, dict[str, int]]:
    """An HDF5 file, and the place of each tensor in it; `padding` bytes more lie before the first."""
    import h5py
    from h5py import h5a, h5d, h5f, h5fd, h5g, h5o, h5p, h5s, h5t

    file = io.BytesIO()
    access, create = h5p.create(h5p.FILE_ACCESS), h5p.create(h5p.FILE_CREATE)
    access.set_libver_bounds(h5f.LIBVER_LATEST, h5f.LIBVER_LATEST)
    access.set_fileobj_driver(h5fd.fileobj_driver, file)
    create.set_userblock(user_block)
    group_list, data_list = h5p.create(h5p.GROUP_CREATE), h5p.create(h5p.DATASET_CREATE)
    for properties in (create, group_list, data_list):
        properties.set_obj_track_times(False)
    # Space for values is taken when they are written: after all headers, in the order of writing, without gaps.
    data_list.set_alloc_time(h5d.ALLOC_TIME_LATE)
    data_list.set_fill_time(h5d.FILL_TIME_NEVER)
    with h5py.File(h5f.create(b"nmap", h5f.ACC_TRUNC, create, access)) as opened:
        root = h5g.open(opened.id, b"/")
        weights = h5g.create(root, b"weights", gcpl=group_list)
        datasets = {}
        for name in in_order(tensors):
            kind, shape = h5t.py_create(tensors[name].dtype), h5s.create_simple(tensors[name].shape)
            datasets[name] = h5d.create(root, None, kind, shape, data_list)
        # All names at once: a group's header grows in place only while nothing follows it.
        for home, beside in ((weights, False), (root, True)):
            for name, dataset in datasets.items():
                if (name in BESIDE_WEIGHTS) == beside:
                    h5o.link(dataset, home, name.encode())
        version = np.array(f"nmap {VERSION}".encode(), f"S{len(f'nmap {VERSION}') + padding}")
        owners = {"": root, "weights": weights, RECORD: datasets.get(RECORD)}
        for owner, items in {**attributes, "": {"format": version, **attributes[""]}}.items():
            for name, value in items.items() if owners[owner] is not None else ():
                space = h5s.create_simple(value.shape) if value.shape else h5s.create(h5s.SCALAR)
                attribute = h5a.create(owners[owner], name.encode(), h5t.py_create(value.dtype), space)
                attribute.write(value.copy())
        for name, dataset in datasets.items():
            dataset.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(tensors[name]))
        empty = [name for name in tensors if not tensors[name].size]
        places = {name: data.get_offset() for name, data in datasets.items() if name not in empty}
    first = min(places.values(), default=len(file.getvalue()))
    return file.getvalue(), places | dict.fromkeys(empty, first)
