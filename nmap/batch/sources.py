"""What a user gives, files, folders, globs, lists, a tree laid out as the archive, to maps with their options."""

from __future__ import annotations

import csv
import glob
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmap.batch import emdb
from nmap.batch.job import FILES
from nmap.errors import MissingFileError, NmapError, OptionError
from nmap.remote import is_remote

MAP_SUFFIXES = (".map", ".mrc", ".ccp4")
NMAP_SUFFIXES = (".nmap",)
_PACKED = (".gz", ".bz2")
_LISTS = (".csv", ".jsonl")
# Columns of a list that are no options.
_SOURCE, _ID = "source", "id"

Convert = Callable[[str, Any], Any]
"""An option's name and what a list says for it, to its value; raises `OptionError`."""


@dataclass(frozen=True)
class Source:
    """One map.

    Attributes:
        id: its name in the batch: its file's, without endings, with its folders below a folder that was given.
        path: of the file, absolute; it need not be there where a list or a tree named it.
        options: that it alone has, by name, JSON values.
        header: of its entry in the archive, absolute; "" for none.
    """

    id: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    header: str = ""


def find_sources(
    given: Iterable[str], suffixes: tuple[str, ...], convert: Convert | None = None
) -> list[Source]:
    """All maps, in the order in which they were given.

    Args:
        given: files, folders, globs, CSV and JSONL lists, trees of the archive.
        suffixes: that the files of a folder must have.
        convert: for the options of lists; None where lists have none.

    Raises:
        MissingFileError: a path that is not there.
        OptionError: nothing found, two of one id, or a list with a column or value that is no option's.
    """
    found: list[Source] = []
    for one in given:
        found += _found(one, suffixes, convert)
    if not found:
        raise OptionError(f"no maps in {', '.join(given)}: wanted files that end in {', '.join(suffixes)}")
    seen: dict[str, str] = {}
    for source in found:
        if (other := seen.setdefault(source.id, source.path)) != source.path:
            raise OptionError(
                f"{other} and {source.path} would both be {source.id}: give them apart, or a list with a column {_ID}"
            )
    return list({source.id: source for source in found}.values())


def identity(path: str | os.PathLike[str]) -> str:
    """A file's name without the endings of maps, of packed files and of `.nmap`."""
    name = os.path.basename(os.fspath(path))
    for endings in (_PACKED, (*MAP_SUFFIXES, *NMAP_SUFFIXES)):
        for ending in endings:
            if name.lower().endswith(ending) and len(name) > len(ending):
                name = name[: -len(ending)]
                break
    return name


def _found(given: str, suffixes: tuple[str, ...], convert: Convert | None) -> Iterator[Source]:
    path = Path(given)
    if path.is_dir():
        yield from _folder(path, suffixes)
    elif path.suffix.lower() in _LISTS and path.is_file():
        yield from _list(path, convert)
    elif path.exists():
        yield Source(identity(path), os.path.abspath(path))
    elif is_remote(given):
        raise OptionError(
            f"{given}: a batch takes files of this machine: fetch it first, or do it alone with 'nmap encode'; of "
            "many entries of EMDB give a tree laid out as the archive's"
        )
    else:
        # A link to nothing, or to itself, matches its own name.
        matches = [one for one in sorted(glob.glob(given, recursive=True)) if os.path.exists(one)]
        if not matches:
            raise MissingFileError(
                f"{given}: no such file or folder: give a path that exists, or a pattern that fits"
            )
        for match in matches:
            yield from _found(match, suffixes, convert)


def _folder(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Source]:
    if emdb.is_tree(folder.absolute()):
        for one in emdb.entries(folder.absolute()):
            yield Source(identity(one.map), str(one.map), header=str(one.header or ""))
        return
    endings = (*suffixes, *(s + packed for s in suffixes for packed in _PACKED if s in MAP_SUFFIXES))
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(endings):
                path = Path(place, name)
                below = path.relative_to(folder).parent
                yield Source((below / identity(name)).as_posix(), os.path.abspath(path))


def _list(path: Path, convert: Convert | None) -> Iterator[Source]:
    """The rows of a list; paths in it are taken from its own folder."""
    folder = path.absolute().parent
    for number, row in _rows(path):
        where = f"{path}, line {number}"
        _check_values(row, where)
        source = row.pop(_SOURCE, None)
        if not isinstance(source, str) or not source:
            raise OptionError(f"{where}: has no {_SOURCE}: wanted the path of a map in every row")
        name = row.pop(_ID, None)
        options = {}
        for key, value in row.items():
            if value is None or value == "":
                continue
            option = str(key).strip().removeprefix("--").replace("-", "_")
            if convert is None:
                raise OptionError(f"{where}: {option}: these maps take no options by row")
            is_file = option in FILES and isinstance(value, str) and value not in ("auto", "none")
            try:
                options[option] = convert(option, str(folder / value) if is_file else value)
            except NmapError as error:
                raise OptionError(f"{where}: {error}") from None
        yield Source(_safe(str(name or identity(source)), where), str(folder / source), options)


def _check_values(row: Mapping[str, Any], where: str) -> None:
    """Refuse what JSON writes and no option, file or manifest takes: infinite numbers, texts with half a character."""
    for name, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise OptionError(f"{where}: {name} {value}: wanted a finite number")
        for text in (name, value):
            try:
                os.fsencode(text if isinstance(text, str) else "")
            except UnicodeEncodeError:
                raise OptionError(
                    f"{where}: {name!a:.60} {value!a:.60}: wanted text of whole characters"
                ) from None


def _safe(name: str, where: str) -> str:
    """An id that leads to no other folder."""
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name:
        raise OptionError(f"{where}: {_ID} {name!r:.60}: wanted a name, or one below folders, without '..'")
    return Path(name).as_posix()


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and values of every row."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() == ".csv":
            reader = csv.DictReader(file, strict=True)
            try:
                for row in reader:
                    if None in row or None in row.values():
                        raise OptionError(
                            f"{path}, line {reader.line_num}: wanted {len(reader.fieldnames or ())} values"
                        )
                    yield reader.line_num, dict(row)
            except (csv.Error, UnicodeDecodeError) as error:
                raise OptionError(f"{path}, line {reader.line_num}: no CSV ({error})") from None
            return
        file.reconfigure(errors="surrogateescape")  # so that the line which is no UTF-8 can be told
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise OptionError(f"{path}, line {number}: no JSON ({error})") from None
            if not isinstance(value, dict):
                raise OptionError(f"{path}, line {number}: wanted an object with {_SOURCE} and options")
            yield number, value
