"""The record's known items: what they are called, and what kind of value each is.

Names follow mmCIF's `em_map` and `em_3d_reconstruction` items (file, format, resolution, contour_level,
symmetry_space_group) where those have one. Items and groups of other names may hold any value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmap.errors import FormatError, OptionError

if TYPE_CHECKING:
    from nmap.neural_map import NeuralMap, Record

# Points of a curve that are written at most.
MAX_CURVE = 64
# Points of a curve that are read at most.
MAX_CURVE_READ = 1024
# Bytes of an extended MRC header; of a longer one its length alone is kept.
MAX_EXTENDED = 1 << 20
# Characters of a text.
MAX_TEXT = 8192
MRC_HEADER_BYTES = 1024
# Kinds of item: a text; a whole number; a number, kept to six digits; a curve, thinned; the axis of a curve;
# bytes; an image; any value.
VOCABULARY: dict[str, dict[str, str]] = {
    "source": {
        "file": "text",
        "url": "text",
        "sha256": "text",
        "frames": "any",
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
        "settings": "any",
        "versions": "any",
        "device": "text",
        "seed": "whole",
        "steps": "whole",
        "seconds": "number",
        "mask": "any",
        "band_limit_from": "any",
        "notes": "any",
        "loss": "curve",
        "loss_step": "axis loss",
        "fsc": "curve",
        "fsc_step": "axis fsc",
        "imported_from": "text",
        "imported_sha256": "text",
    },
    "fidelity": {
        "frequency": "axis fsc half_map_fsc decode_half2_fsc",
        "fsc": "curve",
        "worst": "number",
        "frame_worst": "any",
        "frame_mean": "number",
        "resolution": "number",
        "resolution_0.5": "number",
        "resolution_0.143": "number",
        "correlation": "number",
        "psnr": "number",
        "size_ratio": "number",
        "mask": "text",
        "envelope": "bytes",
        "contour_level": "number",
        "contour_volume": "number",
        "half_map_fsc": "curve",
        "half_map_resolution": "number",
        "decode_half2_fsc": "curve",
        "cross_validation": "any",
    },
    "thumbnail": {"xy": "image", "xz": "image", "yz": "image", "minimum": "number", "maximum": "number"},
}


def prepare(record: Record, points: int) -> dict[str, dict[str, Any]]:
    """A record as it is stored: empty items left out, curves thinned, a huge extended header by its length.

    Args:
        record: the record.
        points: entries that a curve keeps at most.

    Raises:
        OptionError: an item of another kind than its name says, or a curve without its axis.
    """
    out: dict[str, dict[str, Any]] = {}
    for group, items in record.items():
        if not isinstance(items, Mapping):
            raise OptionError(f"record group {group}: wanted items by name, got {type(items).__name__}")
        out[group] = {}
        for name, value in _without_huge_header(items).items():
            try:
                stored = check_item(group, name, _to_stored(group, name, value, points))
            except (FormatError, TypeError, ValueError, OverflowError) as error:
                raise OptionError(f"record item {group}/{name}: {error}") from None
            if not isinstance(stored, float) or math.isfinite(stored):
                out[group][name] = stored
        faults = paired_curves(group, out[group])
        if faults:
            raise OptionError(faults[0])
    return out


def check_item(group: str, name: str, value: Any) -> Any:
    """An item's value, if it is of the kind that its name says; items of other names may hold anything.

    Raises:
        FormatError: it is not.
    """
    kind = VOCABULARY.get(group, {}).get(name, "any").split()[0]
    array = value if isinstance(value, np.ndarray) else np.empty(())
    fits = {
        "any": True,
        "text": isinstance(value, str) and len(value) <= MAX_TEXT,
        "whole": type(value) is int and abs(value) < 1 << 63,
        "number": type(value) in (int, float),
        "curve": array.ndim == 1 and 0 < array.size <= MAX_CURVE_READ and array.dtype.kind == "f",
        "axis": array.ndim == 1 and 0 < array.size <= MAX_CURVE_READ and array.dtype.kind == "f",
        "image": array.ndim == 2 and array.size > 0 and array.dtype == np.uint8,
        "bytes": isinstance(value, bytes) and (name != "mrc_header" or len(value) == MRC_HEADER_BYTES),
    }
    if not fits[kind]:
        raise FormatError(f"{type(value).__name__} {value!r:.40}, wanted a {kind}".replace("\n", " "))
    return float(value) if kind == "number" else value


def paired_curves(group: str, items: dict[str, Any]) -> list[str]:
    """Drop the curves of a group that are not as long as their axis; say which.

    Args:
        group: its name.
        items: its items, which are changed.
    """
    faults = []
    for axis, kind in VOCABULARY.get(group, {}).items():
        for curve in kind.split()[1:]:
            if curve in items and (axis not in items or items[axis].size != items[curve].size):
                del items[curve]
                faults.append(f"record item {group!r} {curve!r}: wanted as many values as its axis {axis!r}")
    return faults


def labels(mrc_header: bytes) -> tuple[str, ...]:
    """Text labels of a 1024-byte MRC header, as many as it has, without trailing blanks."""
    found = (mrc_header[at : at + 80].decode("latin-1").rstrip("\0 ") for at in range(224, 1024, 80))
    return tuple(label for label in found if label)


def thumbnails(neural_map: NeuralMap, edge: int = 128) -> dict[str, Any]:
    """Three central slices of the decoded map, at most `edge` pixels a side, with their grey range."""
    axis = neural_map.axis
    one = neural_map if axis is None else neural_map.at(axis.at[len(axis.at) // 2])
    volume = one.as_array()
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


def _without_huge_header(items: Mapping[str, Any]) -> dict[str, Any]:
    out = {name: value for name, value in items.items() if value is not None}
    extended = out.get("extended_header", b"")
    if len(extended) > MAX_EXTENDED:
        out["extended_header_bytes"] = len(extended)
    if not 0 < len(extended) <= MAX_EXTENDED:
        out.pop("extended_header", None)
    return out


def _to_stored(group: str, name: str, value: Any, points: int) -> Any:
    """A value as its kind is stored."""
    kind = VOCABULARY.get(group, {}).get(name, "any").split()[0]
    if kind == "text":
        return str(value)[:MAX_TEXT]
    if kind == "whole":
        return int(value)
    if kind == "number":
        return float(value)
    if kind in ("curve", "axis"):
        array = np.asarray(value, np.float32)
        return thinned(array, points) if array.ndim == 1 and array.size else array
    return value


def thinned(curve: NDArray[Any], points: int = MAX_CURVE) -> NDArray[Any]:
    """Every k-th entry of a curve from the first on, with the least k that leaves at most `points`."""
    return curve[:: -(-curve.size // points)]
