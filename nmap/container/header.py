"""The metadata that decoding needs, typed and checked; `spec/header.schema.json` describes it too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nmap.container.json_text import canonical_json, parse_json
from nmap.errors import FormatError, GridError, OptionError, UnsupportedError
from nmap.grid import Grid, Shape, Triple
from nmap.model.frame import Frame
from nmap.point_group import PointGroup

VERSION = "1.0"
# Names of `must_understand` that this reader has.
FEATURES = frozenset({"series"})
MAX_GRID = 1 << 33
MAX_GRID_EDGE = 1 << 16
MAX_LATTICE = 1 << 30
MAX_NUMBER = 1e30
MAX_LIST = 256
Parameters = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Header:
    """What decoding needs beside the tensors.

    Attributes:
        kind: model kind.
        settings: of the model kind.
        frame: where the network's values lie, and what makes a density of them.
        codings: for every tensor not stored as plain floats, its "coding", decoded "shape" and parameters.
        checksum: SHA-256 of metadata and tensors; see `layout.digest`.
        version: format version.
        features: names that a reader must understand.
    """

    kind: str
    settings: Parameters
    frame: Frame
    codings: Mapping[str, Parameters] = field(default_factory=dict)
    checksum: str = "0" * 64
    version: str = VERSION
    features: tuple[str, ...] = ()


def to_text(header: Header) -> str:
    """Canonical JSON: ASCII, names sorted, no spaces, whole numbers without a point; defaults left out."""
    frame, box = header.frame, header.frame.box
    grid: dict[str, Any] = {"shape": box.shape, "voxel_size": box.voxel_size}
    if box.origin != (0.0, 0.0, 0.0):
        grid["origin"] = box.origin
    if box.angles != (90.0, 90.0, 90.0):
        grid["angles"] = box.angles
    out: dict[str, Any] = {
        "version": header.version,
        "model": {"kind": header.kind, **header.settings},
        "grid": grid,
        "sha256": header.checksum,
    }
    if (frame.center, frame.half_width) != ((0.5,) * 3, (0.5,) * 3):
        out["frame"] = {"center": frame.center, "half_width": frame.half_width}
    if frame.offset:
        out["offset"] = frame.offset
    if frame.scale != 1:
        out["scale"] = frame.scale
    if frame.band_limit is not None:
        out["band_limit"], out["lattice"] = frame.band_limit, frame.lattice
    if frame.symmetry is not None:
        out["symmetry"] = {"group": frame.symmetry.name, "center": frame.symmetry.center}
    if frame.alignment != "box":
        out["alignment"] = frame.alignment
    if header.codings:
        out["codings"] = header.codings
    if header.features:
        out["must_understand"] = header.features
    return canonical_json(out)


def from_text(text: str) -> Header:
    """Check and read the metadata.

    Raises:
        UnsupportedError: a newer major version, or a feature that must be understood and is not.
        FormatError: anything that breaks the format, or a limit.
    """
    value = parse_json(text, "nmap metadata")
    version, features = _version(value)
    model = _object(value, "model")
    kind = model.pop("kind", None)
    if not isinstance(kind, str):
        raise FormatError(f"model kind {kind!r:.40}, wanted a name")
    checksum = value.get("sha256")
    if not isinstance(checksum, str) or len(checksum) != 64 or not set(checksum) <= set("0123456789abcdef"):
        raise FormatError(f"sha256 {checksum!r:.70}, wanted 64 hexadecimal digits in lower case")
    settings, frame = _settings(model), _frame(value)
    return Header(kind, settings, frame, _codings(value), checksum, version, features)


def _version(value: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    version = value.get("version")
    parts = version.split(".") if isinstance(version, str) else []
    if len(parts) != 2 or not all(p.isascii() and p.isdigit() and len(p) < 5 for p in parts):
        raise FormatError(f'format version {version!r:.40}, wanted "major.minor"')
    if int(parts[0]) != 1:
        raise UnsupportedError(f"format version {version}: this reader knows 1.x; update nmap")
    features = value.get("must_understand", [])
    if not isinstance(features, list) or not all(isinstance(f, str) for f in features):
        raise FormatError(f"must_understand {features!r:.60}, wanted a list of names")
    unknown = [feature for feature in features if feature not in FEATURES]
    if unknown:
        raise UnsupportedError(f"feature {unknown[0]!r:.60} must be understood and is not: update nmap")
    return str(version), tuple(features)


def _frame(value: dict[str, Any]) -> Frame:
    """The frame; whether its band limit and lattice fit each other, it says itself."""
    network = _object(value, "frame") if "frame" in value else {}
    half = (0.5, 0.5, 0.5)
    return Frame(
        _grid(value),
        center=_triple(network, "center", half),
        half_width=_triple(network, "half_width", half, positive=True),
        offset=_number(value, "offset") if "offset" in value else 0.0,
        scale=_number(value, "scale") if "scale" in value else 1.0,
        band_limit=_number(value, "band_limit", 1e-3, 1e6) if "band_limit" in value else None,
        lattice=_shape(value, "lattice", MAX_LATTICE) if "lattice" in value else None,
        symmetry=_symmetry(value),
        alignment=_alignment(value),
    )


def _grid(value: dict[str, Any]) -> Grid:
    grid = _object(value, "grid")
    shape = _shape(grid, "shape", MAX_GRID)
    voxel_size = _triple(grid, "voxel_size", None, positive=True)
    if max(voxel_size) > 1e6 or min(voxel_size) < 1e-6:
        raise FormatError(f"voxel size {voxel_size} A, wanted 1e-6 to 1e6")
    origin = _triple(grid, "origin", (0.0, 0.0, 0.0))
    try:
        return Grid(shape, voxel_size, origin, _triple(grid, "angles", (90.0, 90.0, 90.0)))
    except GridError as error:
        raise FormatError(str(error)) from None


def _symmetry(value: dict[str, Any]) -> PointGroup | None:
    if "symmetry" not in value:
        return None
    symmetry = _object(value, "symmetry")
    group = symmetry.get("group")
    if not isinstance(group, str):
        raise FormatError(f"symmetry group {group!r:.40}, wanted a name")
    try:
        found = PointGroup(group[:20], _triple(symmetry, "center", None))
    except OptionError as error:
        raise FormatError(str(error)) from None
    if group not in (found.name, "I2"):
        raise FormatError(f'symmetry group {group!r:.40}, wanted "{found.name}"')
    return found


def _alignment(value: dict[str, Any]) -> str:
    alignment = value.get("alignment", "box")
    if alignment not in ("box", "corners"):
        raise FormatError(f'alignment {alignment!r:.40}, wanted "box" or "corners"')
    return str(alignment)


def _codings(value: dict[str, Any]) -> dict[str, Parameters]:
    codings = _object(value, "codings") if "codings" in value else {}
    for name, entry in codings.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("coding"), str):
            raise FormatError(f'codings: {name!r:.60} wants an object with "coding"')
        for key, item in entry.items():
            if key == "shape":
                _shape(entry, "shape", MAX_GRID, None)
            elif isinstance(item, bool) or not isinstance(item, int | float | str):
                raise FormatError(
                    f"codings: {name!r:.60} has {key!r:.40} {item!r:.40}, wanted number or text"
                )
            elif not isinstance(item, str):
                _number(entry, key)
    return codings


def _settings(model: dict[str, Any]) -> dict[str, Any]:
    """Settings of a model kind: texts, numbers, or lists of numbers."""
    for key, item in model.items():
        if isinstance(item, list):
            if len(item) > MAX_LIST:
                raise FormatError(f"model {key!r:.40} has {len(item)} numbers, at most {MAX_LIST}")
            for number in item:
                _number({key: number}, key)
        elif isinstance(item, bool) or not isinstance(item, str):
            _number(model, key)
    return model


def _object(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    if not isinstance(found, dict):
        raise FormatError(f"{key} is {found!r:.40}, wanted an object")
    return dict(found)


def _number(value: dict[str, Any], key: str, low: float = -MAX_NUMBER, high: float = MAX_NUMBER) -> float:
    found = value[key]
    if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
        raise FormatError(f"{key!r:.40} is {found!r:.40}, wanted a number from {low:g} to {high:g}")
    return float(found)


def _triple(value: dict[str, Any], key: str, default: Triple | None, positive: bool = False) -> Triple:
    if default is not None and key not in value:
        return default
    found = value.get(key)
    if not isinstance(found, list) or len(found) != 3:
        raise FormatError(f"{key} is {found!r:.60}, wanted three numbers")
    a, b, c = (_number({key: n}, key) for n in found)
    if positive and min(a, b, c) <= 0:
        raise FormatError(f"{key} is {found!r:.60}, wanted three positive numbers")
    return a, b, c


def _shape(value: dict[str, Any], key: str, most: int, axes: int | None = 3) -> Shape:
    found = value.get(key)
    if not isinstance(found, list) or len(found) != (axes or len(found)):
        raise FormatError(f"{key} is {found!r:.60}, wanted {axes or 'some'} counts (z, y, x)")
    if not all(type(n) is int and 1 <= n <= MAX_GRID_EDGE for n in found) or math.prod(found) > most:
        raise FormatError(
            f"{key} is {found!r:.60}, wanted counts of 1 to {MAX_GRID_EDGE}, at most {most} in all"
        )
    return tuple(found)
