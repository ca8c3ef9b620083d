"""What the HDF5 side says: the decoder's own numbers again, and the record of where the map came from.

Names follow mmCIF's `em_map` and `em_3d_reconstruction` items (file, format, resolution, contour_level,
symmetry_space_group) and the attributes of ChimeraX's .cmap groups (step, origin, cell_angles) where those
have one. The list is closed, so that what another program added can be told from what nmap wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmap.container.hdf5 import Dataset, Group, Value
from nmap.container.header import VERSION, Header
from nmap.container.layout import dtype_name
from nmap.errors import FormatError, OptionError

if TYPE_CHECKING:
    from nmap.neural_map import NeuralMap, Record

MAX_CURVE = 64
MAX_EXTENDED = 1 << 20
MAX_TEXT = 8192
# Kinds of item: a text; a whole number; a number, kept to six digits; a curve, thinned; the axis of a curve;
# bytes; an image.
VOCABULARY: dict[str, dict[str, str]] = {
    "source": {
        "file": "text",
        "sha256": "text",
        "bytes": "whole",
        "format": "text",
        "compression": "text",
        "data_type": "text",
        "symmetry_space_group": "whole",
        "resolution": "number",
        "contour_level": "number",
        "annotation_details": "text",
        "mrc_header": "bytes",
        "extended_header": "bytes",
        "extended_header_bytes": "whole",
    },
    "fit": {
        "settings": "text",
        "versions": "text",
        "device": "text",
        "seed": "whole",
        "steps": "whole",
        "seconds": "number",
        "mask": "text",
        "band_limit_from": "text",
        "notes": "text",
        "loss": "curve",
        "loss_step": "axis loss",
        "fsc": "curve",
        "fsc_step": "axis fsc",
        "imported_from": "text",
        "imported_sha256": "text",
    },
    "fidelity": {
        "frequency": "axis fsc",
        "fsc": "curve",
        "worst": "number",
        "resolution": "number",
        "resolution_0.5": "number",
        "resolution_0.143": "number",
        "correlation": "number",
        "psnr": "number",
        "size_ratio": "number",
        "mask": "text",
        "envelope": "bytes",
        "half_map_fsc": "curve",
        "half_map_resolution": "number",
        "decode_half2_fsc": "curve",
        "cross_validation": "text",
    },
    "thumbnail": {"xy": "image", "xz": "image", "yz": "image", "minimum": "number", "maximum": "number"},
}
# The MRC header as a compound, so that its labels can be read where they lie.
MRC_HEADER = np.dtype([("head", "u1", (224,)), ("labels", "S80", (10,))])


def tree(
    header: Header,
    arrays: Mapping[str, NDArray[Any]],
    record: Record,
    places: Mapping[str, int],
    points: int = MAX_CURVE,
) -> Group:
    """The HDF5 tree of a file.

    Args:
        header: what decoding needs.
        arrays: stored tensors by name.
        record: what decoding does not need.
        places: offset of each tensor.
        points: entries that a curve keeps at most.

    Raises:
        OptionError: an item that the format has no name for, or of another kind.
    """
    weights = {
        name: Dataset(dtype=dtype_name(array), shape=array.shape, address=places[name])
        for name, array in arrays.items()
    }
    children: dict[str, Group | Dataset] = {
        "weights": Group(weights),
        "grid": Group(attributes=_grid(header)),
        "model": Group(attributes=_model(header)),
    }
    for name, items in record.items():
        if name not in VOCABULARY:
            raise OptionError(f'record group "{name}": wanted one of {", ".join(VOCABULARY)}')
        children[name] = _group(name, items, points)
    return Group(children, {"format": f"nmap {VERSION}"})


def from_groups(groups: Mapping[str, Group]) -> dict[str, dict[str, Any]]:
    """The record of an HDF5 file's groups; items that the format has no name for are left out.

    Raises:
        FormatError: an item of another kind than its name says.
    """
    out: dict[str, dict[str, Any]] = {}
    for name, group in groups.items():
        if name not in VOCABULARY:
            continue
        items: dict[str, Any] = {}
        for key, kind in VOCABULARY[name].items():
            found: Any = group.attributes.get(key)
            child = group.children.get(key)
            if isinstance(child, Dataset):
                found = child.values
            if kind.startswith("axis") and found is None:
                found = _from_range(group, key, kind.split()[1])
            if found is not None:
                items[key] = _from_stored(f"{name}/{key}", kind, found)
        out[name] = items
    return out


def labels(mrc_header: bytes) -> tuple[str, ...]:
    """Text labels of a 1024-byte MRC header, as many as it has, without trailing blanks."""
    found = (mrc_header[at : at + 80].decode("latin-1").rstrip("\0 ") for at in range(224, 1024, 80))
    return tuple(label for label in found if label)


def thinned(curve: NDArray[Any], points: int = MAX_CURVE) -> NDArray[Any]:
    """Every k-th entry of a curve from the first on, with the least k that leaves at most `points`."""
    return curve[:: -(-curve.size // points)]


def thumbnails(neural_map: NeuralMap, edge: int = 128) -> dict[str, Any]:
    """Three central slices of the decoded map, at most `edge` pixels a side, with their grey range."""
    volume = neural_map.as_array()
    z, y, x = (n // 2 for n in volume.shape)
    slices = {"xy": volume[z], "xz": volume[:, y], "yz": volume[:, :, x]}
    low = float(min(s.min() for s in slices.values()))
    high = float(max(s.max() for s in slices.values()))
    grey = 255 / (high - low) if high > low else 0.0
    out: dict[str, Any] = {"minimum": low, "maximum": high}
    for name, values in slices.items():
        step = -(-max(values.shape) // edge)
        out[name] = np.rint((values[::step, ::step] - low) * grey).astype(np.uint8)
    return out


def _group(name: str, items: Mapping[str, Any], points: int) -> Group:
    attributes: dict[str, Value] = {}
    children: dict[str, Group | Dataset] = {}
    for key, value in _prepared(items).items():
        kind = VOCABULARY[name].get(key)
        if kind is None:
            raise OptionError(f'record item "{name}/{key}": wanted one of {", ".join(VOCABULARY[name])}')
        stored = _to_stored(f"{name}/{key}", kind, value, points)
        if isinstance(stored, np.ndarray) and kind in ("bytes", "image"):
            children[key] = Dataset(stored, attributes=_IMAGE if kind == "image" else {})
        elif isinstance(stored, np.ndarray) and kind.startswith("axis") and _is_regular(stored):
            attributes[f"{key}_range"] = stored[[0, -1]]
        else:
            attributes[key] = stored
    return Group(children, attributes)


# HDF5 Image and Palette Specification 1.2: lets viewers show a dataset as a picture.
_IMAGE: dict[str, Value] = {"CLASS": "IMAGE", "IMAGE_VERSION": "1.2", "IMAGE_SUBCLASS": "IMAGE_GRAYSCALE"}


def _prepared(items: Mapping[str, Any]) -> dict[str, Any]:
    """The items without empty ones, labels (the MRC header has them), and a huge extended header."""
    out = {key: value for key, value in items.items() if value is not None and key != "labels"}
    extended = out.get("extended_header", b"")
    if len(extended) > MAX_EXTENDED:
        out["extended_header_bytes"] = len(extended)
    if not 0 < len(extended) <= MAX_EXTENDED:
        out.pop("extended_header", None)
    return out


def _to_stored(path: str, kind: str, value: Any, points: int) -> Value:
    try:
        if kind == "text":
            text = (
                value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
            )
            return text.encode()[:MAX_TEXT].decode("utf-8", "ignore").replace("\0", " ").rstrip(" ")
        if kind == "whole":
            whole = int(value)
            return np.asarray(whole, np.int32 if abs(whole) < 1 << 31 else np.int64)
        if kind == "number":
            return np.asarray(float(f"{float(value):.6g}"), np.float32)
        if kind == "bytes":
            if path == "source/mrc_header":
                return np.frombuffer(value, MRC_HEADER, 1) if len(value) == 1024 else _bad(path, "1024 bytes")
            return np.frombuffer(value, np.uint8)
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        return _bad(path, f"a {kind}")
    if kind == "image":
        return array if array.dtype == np.uint8 and array.ndim == 2 else _bad(path, "a 2-D array of uint8")
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuf":
        return _bad(path, "a 1-D array of numbers")
    curve = thinned(array.astype(np.float32), points)
    return curve if kind.startswith("axis") or not _fits_half(curve) else curve.astype(np.float16)


def _bad(path: str, wanted: str) -> Value:
    raise OptionError(f"record item {path}: wanted {wanted}")


def _fits_half(curve: NDArray[np.float32]) -> bool:
    """Whether float16 keeps every value of a curve to 0.05 %."""
    size = np.abs(curve[curve != 0])
    return bool((size >= 2.0**-14).all() and (size < 65504).all())


def _is_regular(axis: NDArray[Any]) -> bool:
    """Whether an axis is evenly spaced, to a thousandth of its range."""
    even = np.linspace(axis[0], axis[-1], axis.size)
    return axis.size > 2 and bool(np.abs(axis - even).max() <= 1e-3 * abs(axis[-1] - axis[0]))


def _from_range(group: Group, key: str, curve: str) -> NDArray[np.float32] | None:
    """An evenly spaced axis from its first and last value; as long as its curve."""
    ends, values = group.attributes.get(f"{key}_range"), group.attributes.get(curve)
    if not (isinstance(ends, np.ndarray) and isinstance(values, np.ndarray)):
        return None
    if ends.shape != (2,) or ends.dtype.kind != "f" or values.ndim != 1 or values.size > MAX_CURVE:
        raise FormatError(f"HDF5 part: {key}_range of shape {ends.shape} for a curve of shape {values.shape}")
    return np.linspace(ends[0], ends[1], values.size, dtype=np.float32)


def _from_stored(path: str, kind: str, value: Any) -> Any:
    array = np.asarray(value)
    fits = {
        "text": isinstance(value, str),
        "whole": isinstance(value, int),
        "number": isinstance(value, int | float),
        "curve": array.ndim == 1 and array.size <= MAX_CURVE and array.dtype.kind == "f",
        "axis": array.ndim == 1 and array.size <= MAX_CURVE and array.dtype.kind == "f",
        "image": array.ndim == 2 and array.dtype == np.uint8,
        "bytes": array.ndim == 1 and array.dtype in (np.dtype("u1"), MRC_HEADER),
    }
    if not fits[kind.split(maxsplit=1)[0]]:
        raise FormatError(
            f"HDF5 part: /{path} is {type(value).__name__} of shape {array.shape}, wanted a {kind}"
        )
    if kind == "bytes":
        return array.tobytes()
    if kind == "number":
        return float(f"{value:.6g}")
    return array.astype(np.float32) if array.ndim == 1 else value


def _grid(header: Header) -> dict[str, Value]:
    """Box and network frame; `bounds` are the corners of the frame where network coordinates are -1 and 1."""
    box = header.box
    center, half = np.array(header.center), np.array(header.half_width)
    out: dict[str, Value] = {
        "shape": np.array(box.shape, np.int32),
        "step": np.array(box.voxel_size),
        "origin": np.array(box.origin),
        "bounds": np.array([center - half, center + half], np.float32),
    }
    if not box.is_orthogonal:
        out["cell_angles"] = np.array(box.angles)
    return out


def _model(header: Header) -> dict[str, Value]:
    out: dict[str, Value] = {"kind": header.kind}
    for name, value in header.settings.items():
        out[name] = value if isinstance(value, str) else np.asarray(value, np.float32)
    if header.band_limit is not None:
        out["band_limit"] = np.asarray(header.band_limit, np.float32)
    if header.symmetry is not None:
        out["symmetry"] = header.symmetry.name
    return out
