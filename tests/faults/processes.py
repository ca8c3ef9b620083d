"""Commands as processes of their own, with faults from outside: signals, limits, small disks."""

from __future__ import annotations

import os
import random
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LONGEST = 300.0
"""Seconds after which a process is said to hang."""
NMAP = [sys.executable, "-m", "nmap"]


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code, negative for a signal, None for a hang; and what it said on stderr."""

    code: int | None
    err: str

    @property
    def fault(self) -> str:
        """What is wrong with a failure; "" if nothing is: a stable exit code and one line of error."""
        if self.code is None:
            return "hang"
        errors = [
            line for line in self.err.splitlines() if not line.startswith(("nmap: warning: ", "nmap: falls"))
        ]
        if "Traceback" in self.err or "a fault in nmap" in self.err:
            return f"crash: {self.err}"
        if self.code in (2, 3, 4) and (len(errors) != 1 or not errors[0].startswith("nmap: error: ")):
            return f"not one line: {self.err}"
        return (
            ""
            if self.code in (0, 2, 3, 4, -9, 129, 130, 143, -1, -2, -15)
            else f"exit code {self.code}: {self.err}"
        )


def started(arguments: list[str], before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """A command, begun; SIGINT ends it also where this program runs in the background and ignores that."""

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if before is not None:
            before()

    return subprocess.Popen(
        [*NMAP, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,  # noqa: PLW1509 (no threads here)
    )


def ended(process: subprocess.Popen[str]) -> Ended:
    """How it ends, in time."""
    try:
        _, err = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Ended(None, "")
    return Ended(process.returncode, err)


def limited(what: int, most: int) -> Callable[[], None]:
    """What sets a limit of the process to come."""
    return lambda: resource.setrlimit(what, (most, most))


def signalled(arguments: list[str], number: int, after: float) -> Ended:
    """A command that gets a signal after so many seconds."""
    process = started(arguments)
    time.sleep(after)
    process.send_signal(number)
    return ended(process)


def signalled_at_writing(arguments: list[str], number: int, folder: Path, draw: random.Random) -> Ended:
    """A command that gets a signal at a random moment of the milliseconds about its writing into the folder."""
    process = started(arguments)
    before = set(os.listdir(folder))
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < LONGEST:
        if any(name.endswith(".partial") for name in set(os.listdir(folder)) - before):
            break
        time.sleep(1e-4)
    time.sleep(draw.uniform(0, 0.01))
    process.send_signal(number)
    return ended(process)


def has_small_disks() -> bool:
    """Whether this user may mount a file system in a name space of its own."""
    if shutil.which("unshare") is None:
        return False
    words = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def on_small_disk(
    arguments: list[str], folder: Path, kilobytes: int, old: bytes, read_only: bool = False
) -> tuple[Ended, dict[str, bytes]]:
    """A command whose folder of outputs is a disk of that size; how it ended, and the files that are there then.

    Args:
        arguments: of the command.
        folder: of outputs.
        kilobytes: size of the disk.
        old: what lies there before, in `folder`/x.*; copied to the disk.
        read_only: make the disk read-only before the command is run.
    """
    copy, place = folder.parent / "disk", shlex.quote(str(folder))
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    after = f"mount -o remount,ro {place}; " if read_only else ""
    script = (
        f"set -e; cp -a {place}/. {shlex.quote(str(copy))}; mount -t tmpfs -o size={kilobytes}k none {place}; "
        f"cp -a {shlex.quote(str(copy))}/. {place}; rm -rf {shlex.quote(str(copy))}/*; {after}set +e; "
        f"{shlex.join([*NMAP, *arguments])}; code=$?; cp -a {place}/. {shlex.quote(str(copy))}; exit $code"
    )
    process = subprocess.Popen(
        ["unshare", "-rm", "sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    end = ended(process)
    return end, {path.name: path.read_bytes() for path in copy.iterdir()}


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
