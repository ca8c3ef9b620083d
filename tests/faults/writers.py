"""Two writers of one file at the same moment: one of them wins, whole."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from nmap.errors import OutputExistsError
from nmap.machine.atomic import atomic_output


def _writer(path: Path, letter: bytes, at: float, overwrite: bool) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        while time.monotonic() < at:
            pass
        with atomic_output(path, overwrite) as file:
            for _ in range(8):
                file.write(letter * 4096)
                file.flush()
        code = 0
    except OutputExistsError:
        code = 2
    finally:
        os._exit(code)


def race(folder: Path, rounds: int, overwrite: bool) -> Iterator[tuple[str, str]]:
    """Outcomes of rounds of two writers, and what was wrong with each."""
    path = folder / "raced"
    for _ in range(rounds):
        path.unlink(missing_ok=True)
        at = time.monotonic() + 0.01
        children = [_writer(path, letter, at, overwrite) for letter in (b"a", b"b")]
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        data = path.read_bytes() if path.exists() else b""
        whole = data in (b"a" * 32768, b"b" * 32768)
        left = [entry.name for entry in folder.glob(".nmap-*")]
        wrong = f"left behind: {left}" if left else ""
        if codes != ([0, 0] if overwrite else [0, 2]):
            wrong = f"exit codes {codes}"
        yield ("complete" if whole else "between"), wrong
