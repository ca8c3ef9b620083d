"""What is done with each file of the corpus, and what that costs; as a program a table by class of attack."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GRID = ("--shape", "8", "--voxel-size", "2")
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def commands(path: Path, folder: Path) -> list[tuple[object, ...]]:
    """What is done with a file, by its kind."""
    if path.suffix == ".nmap":
        return [
            ("inspect", path),
            ("decode", path, folder / "out.mrc"),
            ("strip", path, "-o", folder / "s.nmap"),
        ]
    if path.suffix == ".mrc":
        return [("fsc", path, path)]
    return [("import-weights", path, "-o", folder / "out.nmap", *GRID)]


@dataclass(frozen=True)
class Cost:
    """Processor seconds and megabytes that some work took."""

    seconds: float
    megabytes: float


def cost_of(work: Callable[[], None]) -> Cost:
    """Processor time, and how far the memory of this process rose."""

    def kilobytes(name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
        return int(found[1]) if found else 0

    measured = _RESET.exists() and os.access(_RESET, os.W_OK)
    if measured:
        _RESET.write_text("5")  # forgets the highest memory so far
    before, began = kilobytes("VmRSS") if measured else 0, time.process_time()
    work()
    seconds = time.process_time() - began
    return Cost(seconds, (kilobytes("VmHWM") - before) / 1024 if measured else 0.0)


def main() -> None:
    """Print the table of docs/reliability.md."""
    from cli_files import run

    from attacks.corpus import everything

    rows: dict[str, tuple[int, Counter[int], float, float, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        for attack in everything():
            path = folder / f"file{attack.suffix}"
            path.write_bytes(attack.content())
            count, codes, seconds, megabytes, faults = rows.get(attack.kind, (0, Counter(), 0.0, 0.0, 0))
            for words in commands(path, folder):
                ran = []
                cost = cost_of(lambda words=words, ran=ran: ran.append(run(*words)))  # type: ignore[misc]
                codes[ran[0].code] += 1
                faults += "a fault in nmap" in ran[0].err
                seconds, megabytes = max(seconds, cost.seconds), max(megabytes, cost.megabytes)
            rows[attack.kind] = (count + 1, codes, seconds, megabytes, faults)
            for made in folder.iterdir():
                made.unlink()
    print(
        "| attack | files | exit codes (times) | most CPU s | most MB | crashes |\n|---|---|---|---|---|---|"
    )
    for kind, (count, codes, seconds, megabytes, faults) in rows.items():
        said = ", ".join(f"{code} ({n})" for code, n in sorted(codes.items()))
        print(f"| {kind} | {count} | {said} | {seconds:.2f} | {megabytes:.0f} | {faults} |")
    print(f"| all | {sum(row[0] for row in rows.values())} | | | | {sum(row[4] for row in rows.values())} |")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
