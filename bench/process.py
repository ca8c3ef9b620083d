"""Each measured step in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

_OOM = 137


class StepError(RuntimeError):
    """A step whose process failed; the message is the last line that it wrote."""


def run_step(function: str, **arguments: Any) -> dict[str, Any]:
    """Call a function in a fresh Python process.

    Args:
        function: "module:name"; it takes JSON-able keyword arguments and returns a JSON-able dict.
        arguments: for it.

    Returns:
        What it returned, and "peak_bytes", the most memory that its process held.

    Raises:
        StepError: the process failed.
    """
    command = [sys.executable, "-m", "bench.process", function]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    done = subprocess.run(
        command, input=json.dumps(arguments), capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        reason = "out of memory" if done.returncode in (-9, _OOM) else f"exit status {done.returncode}"
        raise StepError(lines[-1] if lines else f"{function}: {reason}")
    answer = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


def peak_bytes() -> int:
    """Most memory that this process ever held, from its own start.

    Linux's ru_maxrss also counts the parent's memory at the fork, so the kernel's own count for this program
    is asked first.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Run the function named on the command line on stdin's arguments; answer on stdout's last line."""
    module, name = sys.argv[1].split(":")
    function: Callable[..., dict[str, Any]] = getattr(importlib.import_module(module), name)
    answer = function(**json.load(sys.stdin))
    print("\n" + json.dumps({**answer, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
