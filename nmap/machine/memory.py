"""How much memory there is to take, and a refusal before more is taken."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from nmap.errors import LimitError

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Bytes that this process may still take without swapping; None where the system does not say."""
    found = [bytes_ for bytes_ in (_of_machine(), _of_container()) if bytes_ is not None]
    return min(found, default=None)


def require_memory(wanted: int, what: str, advice: str) -> None:
    """Refuse work that needs more memory than is free.

    Args:
        wanted: bytes, at its peak.
        what: what takes them, in words.
        advice: what to do instead.

    Raises:
        LimitError: more than `free_memory`.
    """
    free = free_memory()
    if free is not None and wanted > free:
        raise LimitError(
            f"{what} takes {wanted / 2**30:.3g} GiB of memory, {free / 2**30:.3g} GiB are free: {advice}"
        )


def give_back() -> None:
    """Hand memory that was freed back to the system.

    What is taken and freed in ever other sizes leaves holes, which glibc keeps; other C libraries are left alone.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _of_machine() -> int | None:
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_container() -> int | None:
    """What a control group (version 2) leaves, caches aside; None without a limit."""
    try:
        most = int((_GROUP / "memory.max").read_text())
        stat = (line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
        taken = {words[0]: int(words[1]) for words in stat}
    except (OSError, ValueError, IndexError):
        return None
    return max(most - taken.get("anon", 0) - taken.get("shmem", 0), 0)
