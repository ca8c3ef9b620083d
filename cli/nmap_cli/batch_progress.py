"""What a batch tells while it runs: one line that is redrawn, plain lines now and then, or events as JSON."""

from __future__ import annotations

import sys
import time
from typing import Any

from nmap.batch.manifest import Entry
from nmap.batch.run import Tally
from nmap_cli.common import put, say_json, span

# Seconds between two lines: on a terminal, elsewhere, and between two events of progress.
_REDRAWN = 0.2
_LINES = 10.0
_EVENTS = 1.0
# Of an entry of the manifest, what only a second run needs.
_KEPT_BACK = ("files", "task")


class BatchLine:
    """Tells how far a run is; a context manager that leaves the terminal's line clean.

    Args:
        quiet: tell nothing.
        as_json: tell events, one JSON object a line, on stdout.
    """

    def __init__(self, quiet: bool, as_json: bool) -> None:
        self._quiet, self._json = quiet, as_json
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._every = _EVENTS if as_json else _REDRAWN if self._terminal else _LINES
        self._last = time.monotonic()
        self._drawn = False

    def __enter__(self) -> BatchLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, tally: Tally, entry: Entry | None) -> None:
        """Take the news of a run."""
        if self._json and entry is not None:
            self.event({name: value for name, value in entry.items() if name not in _KEPT_BACK})
        now = time.monotonic()
        if self._quiet or now - self._last < self._every:
            return
        self._last = now
        if self._json:
            self.event({"event": "progress", **tally.to_json()})
        elif self._terminal:
            sys.stderr.write(f"\r\x1b[K{words(tally)}")
            sys.stderr.flush()
            self._drawn = True
        else:
            put(words(tally), err=True)

    def event(self, values: dict[str, Any]) -> None:
        """Print one event."""
        say_json(values, indent=None)
        sys.stdout.flush()

    def clear(self) -> None:
        """Take the line off a terminal, so that something else can be written."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False


def words(tally: Tally) -> str:
    """How far a run is, in one line."""
    left = "" if tally.seconds_left is None else f", {span(tally.seconds_left)} left"
    return (
        f"{tally.done} of {tally.total} done, {len(tally.failed)} failed, {tally.running} running; "
        f"{amount(tally.bytes_in)} in, {amount(tally.bytes_out)} out; {tally.per_hour:.0f} maps an hour{left}"
    )


def amount(count: int) -> str:
    """Bytes to three digits."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
