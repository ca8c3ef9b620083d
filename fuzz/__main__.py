"""Fuzz one target for some seconds, or each in turn: `python -m fuzz [TARGET] [SECONDS]`; finds go to `fuzz/found`."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
SEEDS = {
    "container": ("spec/conformance/valid/*.nmap",),
    "layout": ("spec/conformance/valid/*.nmap",),
    "mrc": ("tests/data/EMD-3197.map",),
    "npz": ("tests/data/faults/weights/*.npz",),
    "pt": ("tests/data/faults/weights/*.pt",),
    "safetensors": ("tests/data/faults/weights/*.safetensors",),
}
"""Files that a target begins from."""


def seeds(target: str, folder: Path) -> None:
    """Put the files that a target begins from in a folder."""
    for pattern in SEEDS.get(target, ()):
        for path in sorted(ROOT.glob(pattern))[:40]:
            content = path.read_bytes()
            if target == "layout":
                content = content[8 : 8 + int.from_bytes(content[:8], "little")]
            if path.suffix == ".gz":
                content = gzip.decompress(content)
            (folder / path.name).write_bytes(content)


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["nmap"]):
        from fuzz.targets import TARGETS, run
    corpus, found = HERE / "corpus" / name, HERE / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    seeds(name, corpus)
    flags = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048"]
    flags += [f"-artifact_prefix={found}/{name}-", "-print_final_stats=1", str(corpus)]
    run(TARGETS[name], b"")  # loads and compiles what the first execution would be blamed for
    atheris.Setup([sys.argv[0], *flags], lambda data: run(TARGETS[name], data))
    atheris.Fuzz()


def main() -> int:
    """Exit code 1 if a target failed."""
    seconds = int(os.environ.get("FUZZ_S", "60"))
    if len(sys.argv) > 1:
        fuzz(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else seconds)
        return 0
    from fuzz.targets import TARGETS

    failed = []
    for name in TARGETS:
        words = [sys.executable, "-m", "fuzz", name, str(seconds)]
        done = subprocess.run(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
        count = next((line for line in done.stderr.splitlines() if "number_of_executed_units" in line), "")
        print(f"{name}: {count.split()[-1] if count else '?'} executions, exit {done.returncode}", flush=True)
        if done.returncode:
            failed.append(name)
            print("\n".join(done.stderr.splitlines()[-25:]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
