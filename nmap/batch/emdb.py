"""The archive's own layout and headers: `EMD-NNNN/map/emd_NNNN.map.gz`, `header/emd-NNNN.xml`, `other/` half maps.

A header is a stranger's file. It is read by expat as it streams by, without a tree: no document type is let in, so
there is nothing to expand; its size, its depth and the text that is kept are bounded.
Elements: the EMDB schemas 3 (https://ftp.ebi.ac.uk/pub/databases/emdb/doc/XML-schemas) and 1.9.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from xml.parsers import expat

from nmap.errors import NmapError, OptionError
from nmap.point_group import PointGroup

# Bytes of the largest header that is read; the archive's own are below 1 MB.
_MOST_BYTES = 1 << 23
# Elements inside each other; the schemas have some twelve.
_MOST_DEPTH = 64
# Characters of a value that is kept.
_MOST_TEXT = 256
# Angstrom; nothing coarser is a resolution.
_COARSEST = 1000.0

_ENTRY = re.compile(r"EMD-(\d{4,6})")
_HALF = re.compile(r"emd_\d+_half_map_([12])\.map(\.gz)?")

_HALVES = 2

# The end of an element's path, in schema 3 and in schema 1.9, for each value.
_VALUES: dict[str, tuple[tuple[str, ...], ...]] = {
    "resolution": (("final_reconstruction", "resolution"), ("reconstruction", "resolutionByAuthor")),
    "symmetry": (("final_reconstruction", "applied_symmetry", "point_group"), ("appliedSymmetry",)),
    "contour": (("map", "contour_list", "contour", "level"), ("map", "contourLevel")),
    "half_map": (("half_map_list", "half_map", "file"),),
}


@dataclass(frozen=True)
class Header:
    """What an entry's header says that an encode can use.

    Attributes:
        resolution: Angstrom, by the author; None where there is none.
        contour: recommended level, of the primary contour where one is marked.
        symmetry: point group that was applied, one that `PointGroup` knows.
        half_maps: names of files, without folders.
        odd: values that could not be used, in words.
    """

    resolution: float | None = None
    contour: float | None = None
    symmetry: str | None = None
    half_maps: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """The map of an entry, which need not be there, and its header, None where there is none."""

    map: Path
    header: Path | None


def is_tree(folder: Path) -> bool:
    """Whether a folder is laid out as the archive, or is one entry of it."""
    if _ENTRY.fullmatch(folder.name):
        return True
    with os.scandir(folder) as inside:
        return any(_ENTRY.fullmatch(one.name) and one.is_dir() for one in inside)


def entries(folder: Path) -> Iterator[Entry]:
    """The entries of a tree, in the order of their numbers."""
    if _ENTRY.fullmatch(folder.name):
        yield entry(folder)
        return
    found = [one for one in folder.iterdir() if _ENTRY.fullmatch(one.name) and one.is_dir()]
    for one in sorted(found, key=lambda path: int(path.name[4:])):
        yield entry(one)


def entry(folder: Path) -> Entry:
    """One entry: its map is a `.map.gz`, or a `.map` where only that is there."""
    number = folder.name[4:]
    packed = folder / "map" / f"emd_{number}.map.gz"
    plain = packed.with_suffix("")
    headers = [folder / "header" / f"emd-{number}{version}.xml" for version in ("", "-v30", "-v19")]
    return Entry(
        map=plain if plain.is_file() and not packed.is_file() else packed,
        header=next((path for path in headers if path.is_file()), None),
    )


def half_maps(header_file: Path, header: Header) -> tuple[Path, Path] | None:
    """Both half maps of the entry that a header belongs to: by the names in it, else as the archive names them."""
    folder = header_file.parent.parent / "other"
    named = [folder / name for name in header.half_maps if (folder / name).is_file()]
    if len(named) == _HALVES:
        return named[0], named[1]
    found: dict[str, Path] = {}
    if folder.is_dir():
        for one in sorted(folder.iterdir()):
            if matched := _HALF.fullmatch(one.name):
                found.setdefault(matched[1], one)
    return (found["1"], found["2"]) if len(found) == _HALVES else None


def read_header(path: Path) -> Header:
    """Read an entry's header.

    Raises:
        NmapError: too large, too deep, with a document type, or no XML; nothing is expanded.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise NmapError(f"{path}: more than {_MOST_BYTES} bytes: no header of an entry")
    found = _Values()
    try:
        _parser(found).Parse(data, True)
    except expat.ExpatError as error:
        raise NmapError(f"{path}: no well-formed XML ({error}): get it again") from None
    except ValueError as error:
        raise NmapError(f"{path}: {error}") from None
    return _header(found)


@dataclass
class _Values:
    """Values found so far, the element that the parser is in, and the text of it."""

    path: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    primary: bool = False
    found: dict[str, list[str]] = field(default_factory=dict)

    def begin(self, name: str, attributes: dict[str, Any]) -> None:
        if len(self.path) >= _MOST_DEPTH:
            raise ValueError(f"more than {_MOST_DEPTH} elements inside each other: no header of an entry")
        self.path.append(name)
        self.text.clear()
        if name == "contour":
            self.primary = attributes.get("primary") == "true"

    def characters(self, text: str) -> None:
        if sum(map(len, self.text)) < _MOST_TEXT:
            self.text.append(text[:_MOST_TEXT])

    def end(self, name: str) -> None:
        for value, paths in _VALUES.items():
            if any(tuple(self.path[-len(path) :]) == path for path in paths):
                kept = self.found.setdefault(value, [])
                if value == "contour" and self.primary:
                    kept.insert(0, "".join(self.text).strip())
                elif len(kept) < _MOST_DEPTH:
                    kept.append("".join(self.text).strip())
        self.path.pop()
        self.text.clear()


def _parser(values: _Values) -> expat.XMLParserType:
    def refuse(*_: object) -> NoReturn:
        raise ValueError("has a document type: the archive's headers have none")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = values.begin
    parser.EndElementHandler = values.end
    parser.CharacterDataHandler = values.characters
    return parser


def _header(values: _Values) -> Header:
    odd: list[str] = []
    first = {name: kept[0] for name, kept in values.found.items() if kept and kept[0]}
    resolution = _number("resolution", first, odd)
    if resolution is not None and not 0 < resolution < _COARSEST:
        odd.append(f"resolution {resolution:g}")
        resolution = None
    symmetry = first.get("symmetry")
    if symmetry is not None:
        try:
            symmetry = PointGroup(symmetry).name
        except OptionError:
            odd.append(f"symmetry {symmetry!r:.40}")
            symmetry = None
    names = tuple(PurePosixPath(name).name for name in values.found.get("half_map", []))
    return Header(resolution, _number("contour", first, odd), symmetry, names, tuple(odd))


def _number(name: str, values: dict[str, str], odd: list[str]) -> float | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        odd.append(f"{name} {text!r:.40}")
        return None
    return number
