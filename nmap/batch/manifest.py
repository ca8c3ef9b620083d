"""The manifest of a batch: one JSON object a line, appended and never changed. It is the only state there is.

Each line is one write of a file that is open for appending, synced to disk. Every file has one writer: the run, or the
shard of a run, that its name says. What a killed writer left of a last line is passed over.

Events: "started" (a map was given to a worker), "done", "failed", "stopped" (the run gave it up, on purpose).
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from nmap.errors import NmapError, OptionError

NAME = "manifest"
_SUFFIX = ".jsonl"
# Bytes of a line; ours have some two thousand.
_MOST_LINE = 1 << 20

Entry = Mapping[str, Any]


@dataclass
class Record:
    """What the manifest says of one map and one task.

    Attributes:
        last: the last "done" or "failed"; empty where there is none.
        unfinished: how often it was started since, without an end that the manifest knows.
        started: whether it ever was: its output is this batch's own.
    """

    last: Entry = field(default_factory=dict)
    unfinished: int = 0
    started: bool = False

    @property
    def event(self) -> str:
        """Of the last entry: "done" or "failed"; "" where there is none."""
        return str(self.last.get("event", ""))


@dataclass
class State:
    """All that the manifests of a folder say.

    Attributes:
        records: by task and id.
        damaged: lines that could not be read, but for the last of each file, which a killed run may leave torn.
    """

    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    damaged: int = 0

    def of(self, task: str, name: str) -> Record:
        """The record of one map; a new one where nothing is known."""
        return self.records.get((task, name), Record())

    def add(self, entry: Entry) -> None:
        """Take one event into account."""
        record = self.records.setdefault((str(entry["task"]), str(entry["id"])), Record())
        event = entry["event"]
        if event == "started":
            record.unfinished += 1
            record.started = True
        elif event == "stopped":
            record.unfinished = max(record.unfinished - 1, 0)
        elif event in ("done", "failed"):
            record.last, record.unfinished, record.started = entry, 0, True

    def last(self, task: str) -> dict[str, Entry]:
        """The last entry of every map that has one, by id, in the order of the ids."""
        found = {
            name: record.last for (of, name), record in self.records.items() if of == task and record.last
        }
        return dict(sorted(found.items()))


def manifests(folder: Path) -> list[Path]:
    """The manifests of a folder: of whole runs, and of shards."""
    return sorted(folder.glob(f"{NAME}*{_SUFFIX}"))


def read_state(folder: Path) -> State:
    """Read all manifests of a folder; events count in the order of their times."""
    state, events = State(), []
    for path in manifests(folder):
        found, damaged = _entries(path)
        events += found
        state.damaged += damaged
    for entry in sorted(events, key=lambda entry: str(entry.get("time", ""))):
        state.add(entry)
    return state


def _entries(path: Path) -> tuple[list[Entry], int]:
    """The entries of one file, and how many lines before its last are no entries."""
    found: list[Entry] = []
    bad = 0
    last_is_bad = False
    with open(path, "rb") as file:
        while line := file.readline(_MOST_LINE):
            entry = _entry(line)
            last_is_bad = entry is None and line.strip() != b""
            bad += last_is_bad
            if entry is not None:
                found.append(entry)
    return found, bad - last_is_bad


def _entry(line: bytes) -> Entry | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("event", "task", "id")):
        return value
    return None


class Manifest:
    """A manifest open for appending; a context manager. One process at a time has it.

    Args:
        folder: of the batch.
        shard: such as "3-of-8" for the manifest of one shard; "" for that of whole runs.

    Raises:
        OptionError: another process has it.
        OSError: it cannot be opened.
    """

    def __init__(self, folder: Path, shard: str = "") -> None:
        self.path = folder / f"{NAME}{'-' if shard else ''}{shard}{_SUFFIX}"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._file = os.open(self.path, flags, 0o666)
        try:
            _lock(self._file, self.path)
            self._end_line()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def append(self, event: str, task: str, name: str, more: Iterable[tuple[str, Any]] = ()) -> Entry:
        """Append one event, in one write, synced; give it back as it is read again.

        Raises:
            OSError: it cannot be written; then nothing of it is there, or a torn line that no reader counts.
        """
        entry = {
            "event": event,
            "task": task,
            "id": name,
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            **dict(more),
        }
        line = json.dumps(entry, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        written = os.write(self._file, line)
        if written != len(line):
            self._end_line()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.fsync(self._file)
        return entry

    def _end_line(self) -> None:
        """End the line that a killed run left torn, so that the next one stands alone."""
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")


def _lock(file: int, path: Path) -> None:
    """Hold the file as long as it is open; what system has no such locks, or no such file system, goes without."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OptionError(
            f"{path}: another run writes it: wait for its end, or give each its own --shard or --out"
        ) from None
    except OSError:
        return


def require_batch(folder: Path) -> None:
    """Refuse a folder that no batch was run in.

    Raises:
        NmapError: it has no manifest.
    """
    if not manifests(folder):
        raise NmapError(f"{folder}: has no {NAME}{_SUFFIX}: give the --out of 'nmap batch encode'")
