"""Print the table of faults of docs/reliability.md: `python -m faults [RUNS [WHAT...]]`.

RUNS (100) is how often each command is killed; with fewer than 100, faults at lines are made at every 100 / RUNS-th.
WHAT is a fault (kill, signals, lines, disk, reading, writers, memory), a command (encode, decode, ...) or a change of
an input (removed, replaced, ...): all where none of its sort is named.
"""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from cli_files import run

from faults.at_lines import command, raising, sending, traced, until_through
from faults.jobs import ENCODE, OLD, QUICK, Watched, make_world
from faults.processes import (
    SIGNALS,
    Ended,
    ended,
    has_small_disks,
    limited,
    on_small_disk,
    signalled,
    signalled_at_writing,
    started,
)
from faults.reading import DISTURBANCES, READERS, disturbed
from faults.writers import race

FAULTS = ("kill", "signals", "lines", "disk", "reading", "writers", "memory")
WRITING = ("machine/atomic.py", "maps/mrc_writer.py", "nmap_cli/keeping.py")
FULL = OSError(errno.ENOSPC, "No space left on device")
AT_LINES = {
    "SIGKILL": sending(signal.SIGKILL),
    "SIGTERM": sending(signal.SIGTERM),
    "SIGINT": sending(signal.SIGINT),
    "SIGHUP": sending(signal.SIGHUP),
    "ENOSPC": raising(FULL),
    "MemoryError": raising(MemoryError()),
}


class Table:
    """Counts outcomes by fault and command; prints what is wrong as it comes."""

    def __init__(self) -> None:
        self.wrong = 0
        self.runs = 0

    def row(self, fault: str, job: str, found: Iterator[tuple[str, str]]) -> None:
        """One row, of outcomes and what else is wrong ("" for nothing)."""
        counts: Counter[str] = Counter()
        for outcome, fault_found in found:
            good = outcome in ("old", "complete", "refused", "done")
            counts[outcome if good and not fault_found else "WRONG"] += 1
            if not good or fault_found:
                print(f"  {fault}, {job}: {outcome}; {fault_found}", flush=True)
        self.runs += sum(counts.values())
        self.wrong += counts["WRONG"]
        kept = ", ".join(
            f"{counts[name]} {name}" for name in ("old", "complete", "refused", "done") if counts[name]
        )
        print(f"| {fault} | {job} | {sum(counts.values())} | {kept} | {counts['WRONG']} |", flush=True)


def at_random(watched: Watched, runs: int, draw: random.Random, number: int) -> Iterator[tuple[str, str]]:
    """A signal at random moments: half of the whole run, half of the writing."""
    begun = time.monotonic()
    watched.begin()
    ended(started(watched.arguments))
    whole = 1.05 * (time.monotonic() - begun)
    for count in range(runs):
        watched.begin()
        if count % 2:
            end = signalled_at_writing(watched.arguments, number, watched.world / "out", draw)
        else:
            end = signalled(watched.arguments, number, draw.uniform(0, whole))
        yield watched.outcome(), end.fault


def at_every_line(watched: Watched, act: Callable[[], None], every: int = 1) -> Iterator[tuple[str, str]]:
    """A fault at every line of the writing."""
    found = []

    def step(number: int) -> bool:
        if number % every:
            return True
        watched.begin()
        said = watched.world / "said"
        code, reached = traced(number, WRITING, act, lambda: command(watched.arguments, said))
        end = Ended(None if code == -signal.SIGALRM else code, said.read_text() if said.exists() else "")
        found.append((watched.outcome(), end.fault if code != -signal.SIGKILL else ""))
        said.unlink(missing_ok=True)
        return reached

    until_through(step)
    yield from found


def by_file_size(watched: Watched) -> Iterator[tuple[str, str]]:
    """RLIMIT_FSIZE of many sizes up to that of the output."""
    whole = len(watched.new)
    for most in (0, 1, 511, 512, 1024, whole // 2, whole - 1, whole):
        watched.begin()
        end = ended(started(watched.arguments, limited(resource.RLIMIT_FSIZE, most)))
        yield watched.outcome(), end.fault


def by_disk(watched: Watched, read_only: bool) -> Iterator[tuple[str, str]]:
    """A small or a read-only disk."""
    for kilobytes in (64,) if read_only else (4, 8, 12, 16, 24):
        watched.begin()
        folder, name = watched.world / "out", watched.job.output(watched.world).name
        end, left = on_small_disk(watched.arguments, folder, kilobytes, OLD, read_only)
        found = left.pop(name, None)
        outcome = (
            "complete"
            if found == watched.new
            else "old"
            if found == (OLD if watched.overwrite else None)
            else "between"
        )
        yield (f"left behind: {left}" if left else outcome), end.fault


def with_little_memory(arguments: list[str], outputs: list[Path], sizes: range) -> Iterator[tuple[str, str]]:
    """`ulimit -v` of many sizes."""
    for megabytes in sizes:
        for path in outputs:
            path.unlink(missing_ok=True)
        end = ended(started(arguments, limited(resource.RLIMIT_AS, megabytes << 20)))
        there = [path.name for path in outputs if path.exists()]
        partial = list(outputs[0].parent.glob(".nmap-*")) if outputs else []
        wrong = "left behind" if partial or (end.code not in (0, 1) and there) else end.fault
        yield (
            ("done" if end.code in (0, 1) else "refused"),
            "" if end.code == 1 and not wrong.startswith("crash") else wrong,
        )


def memory_rows(table: Table, world: Path, step: int, commands: list[str]) -> None:
    """The commands that read, and encode, with little memory."""
    page, made = world / "out" / "r.html", world / "out" / "m.nmap"
    a, m = str(world / "in" / "a.nmap"), str(world / "in" / "a.mrc")
    run("decode", a, "-o", m, "--overwrite", "-q")
    rows: list[tuple[str, list[str], list[Path], range]] = [
        ("inspect", ["inspect", a], [], range(60, 341, step)),
        (
            "decode",
            ["decode", a, "-o", str(world / "out" / "d.mrc"), "--shape", "96", "-q"],
            [world / "out" / "d.mrc"],
            range(60, 401, step),
        ),
        ("validate", ["validate", a, m, "-q"], [], range(60, 401, step)),
        ("report", ["report", a, m, "-o", str(page), "-q"], [page], range(200, 681, 2 * step)),
        (
            "encode",
            [*ENCODE.arguments(world, False)[:-2], str(made), "-q"],
            [made],
            range(200, 961, 2 * step),
        ),
    ]
    for name, arguments, outputs, sizes in rows:
        if not commands or name in commands:
            table.row("out of memory", name, with_little_memory(arguments, outputs, sizes))


def rows_of_job(table: Table, one: Watched, wanted: list[str], runs: int, draw: random.Random) -> None:
    """Kills, signals, errors and full disks of one command."""
    said = one.job.name + (" --overwrite" if one.overwrite else "")
    if "kill" in wanted:
        table.row("SIGKILL at random", said, at_random(one, runs // 2, draw, signal.SIGKILL))
    if "signals" in wanted:
        for number in SIGNALS:
            table.row(f"{number.name} at random", said, at_random(one, max(runs // 20, 2), draw, number))
    if "lines" in wanted:
        every = max(1, 100 // runs) * (5 if one.job is ENCODE else 1)
        for fault, act in AT_LINES.items():
            table.row(f"{fault} at each line", said, at_every_line(one, act, every))
    if "disk" in wanted:
        table.row("RLIMIT_FSIZE", said, by_file_size(one))
        if has_small_disks():
            table.row("tmpfs too small", said, by_disk(one, read_only=False))
            table.row("tmpfs read-only", said, by_disk(one, read_only=True))


def main() -> int:
    """Exit code 1 if anything was lost, left behind, crashed or hung."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    said = sys.argv[2:]
    wanted = [fault for fault in FAULTS if fault in said] or list(FAULTS)
    commands = [word for word in said if word not in FAULTS]
    draw, table = random.Random(0), Table()
    print(
        "| fault | command | runs | left as | lost, between, left behind, crash, hang |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        world = make_world(Path(name))
        os.chdir(world)
        for job in (*QUICK, ENCODE):
            if not {"kill", "signals", "lines", "disk"} & set(wanted) or (
                commands and job.name not in commands
            ):
                continue
            for overwrite in (False, True):
                rows_of_job(table, Watched(job, world, overwrite), wanted, runs, draw)
        if "reading" in wanted:
            for disturbance in DISTURBANCES:
                for reader in READERS:
                    if commands and disturbance not in commands:
                        continue
                    table.row(
                        f"input {disturbance} while read", reader, disturbed(reader, disturbance, world)
                    )
        if "writers" in wanted:
            for overwrite in (False, True):
                said = "atomic_output" + (" overwrite" if overwrite else "")
                table.row("two writers", said, race(world / "out", runs, overwrite))
        if "memory" in wanted:
            memory_rows(table, world, 20, commands)
    print(f"| all | | {table.runs} | | {table.wrong} |")
    return 1 if table.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
