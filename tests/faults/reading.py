"""Inputs that change while they are read: what is read is of one state of the file, or it is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cli_files import write_siren
from phantoms import neural_map, siren

from faults.at_lines import traced, until_through
from faults.jobs import GRID, blob
from nmap.container import open_map, save
from nmap.errors import NmapError
from nmap.import_siren.import_siren import import_weights
from nmap.maps import DensityMap, read_map, write_map

READING = (
    "maps/mrc_reader.py",
    "maps/packing.py",
    "container/files.py",
    "container/layout.py",
    "weights_file.py",
    "import_siren.py",
)


def _of_map(path: Path) -> tuple[bytes, str]:
    density = read_map(path)
    assert density.header is not None
    return density.values.tobytes(), density.header.sha256


def _of_file(path: Path) -> tuple[bytes, str]:
    return open_map(path).as_array().tobytes(), ""


def _of_weights(path: Path) -> tuple[bytes, str]:
    found = import_weights(path, GRID)
    return found.as_array().tobytes(), str(found.record["fit"]["imported_sha256"])


@dataclass(frozen=True)
class Reader:
    """What is read, and how.

    Attributes:
        suffix: of the file.
        make: writes one of two files, number 0 or 1.
        read: gives what was read, and the SHA-256 that was kept of the file, "" where none is.
    """

    suffix: str
    make: Callable[[Path, int], object]
    read: Callable[[Path], tuple[bytes, str]]


def _map(path: Path, number: int) -> None:
    write_map(DensityMap(blob(2.0 * number), GRID), path, overwrite=True)


READERS = {
    "map": Reader(".mrc", _map, _of_map),
    "map .gz": Reader(".mrc.gz", _map, _of_map),
    ".nmap": Reader(
        ".nmap", lambda p, n: save(neural_map(siren(8, 1, seed=n), GRID), p, overwrite=True), _of_file
    ),
    "weights .npz": Reader(".npz", lambda p, n: write_siren(p, seed=n), _of_weights),
}


def _rewritten(path: Path, other: Path) -> None:
    with open(path, "r+b") as file:
        file.write(other.read_bytes())
        file.truncate()


def _appended(path: Path, other: Path) -> None:
    with open(path, "ab") as file:
        file.write(other.read_bytes())


DISTURBANCES: dict[str, Callable[[Path, Path], object]] = {
    "rewritten": _rewritten,
    "truncated": lambda path, other: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path, other: os.truncate(path, 0),
    "appended to": _appended,
    "removed": lambda path, other: path.unlink(),
    "replaced": lambda path, other: (
        shutil.copy(other, path.with_name("new")) and os.replace(path.with_name("new"), path)
    ),
}


def disturbed(name: str, disturbance: str, world: Path, every: int = 1) -> Iterator[tuple[str, str]]:
    """Outcomes of a reader with the disturbance before each line of the reading, and what was wrong with each."""
    reader, act = READERS[name], DISTURBANCES[disturbance]
    path, other, result = (world / f"{stem}{reader.suffix}" for stem in ("read", "other", "result"))
    reader.make(other, 1)
    reader.make(path, 0)
    first, kept = path.read_bytes(), []

    def keep(one: Path) -> None:
        kept.append((reader.read(one)[0], hashlib.sha256(one.read_bytes()).hexdigest()))

    for one in (path, other):
        keep(one)
    act(path, other)
    with suppress(NmapError, OSError):
        keep(path)  # the file with something appended may be a whole one too
    found: list[tuple[str, str]] = []

    def work() -> int:
        try:
            values, sha256 = reader.read(path)
        except (NmapError, OSError):
            return 3
        result.write_bytes(sha256.encode() + b" " + values)
        return 0

    def step(number: int) -> bool:
        if number % every:
            return True
        path.write_bytes(first)
        os.utime(path, (1, 1))  # long ago, so that any change shows
        result.unlink(missing_ok=True)
        code, reached = traced(number, READING, lambda: act(path, other), work)
        if code == 3:
            found.append(("refused", ""))
        elif code:
            found.append((f"exit code {code}", "crash"))
        else:
            sha256, _, values = result.read_bytes().partition(b" ")
            same = [v == values and sha256.decode() in ("", s) for v, s in kept]
            found.append(("done" if any(same) else "between", ""))
        return reached

    until_through(step)
    yield from found
