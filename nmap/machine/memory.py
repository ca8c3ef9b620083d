"""How much memory there is to take, a refusal before more is taken, and failures that were for want of it."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import sys
import threading
import weakref
from pathlib import Path

from nmap.errors import LimitError

_MAPPED: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_MAPPED_LOCK = threading.Lock()
_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_STATM = Path("/proc/self/statm")
_START = 256 << 20
"""Bytes of address space that numpy, scipy and h5py take with one thread (measured: 221 MB, on x86-64)."""
_BESIDE_LIBRARIES = 96 << 20
"""Bytes of address space that a package takes beside its shared libraries (measured for torch 2.13: 40 MB)."""
_SAID = re.compile(
    "memory alloc|out of memory|not enough memory|cannot allocate memory|can't allocate memory|bad_alloc"
    "|failed to map segment|can't start new thread",
    re.IGNORECASE,
)
"""What libraries say that lack memory and raise no MemoryError: torch, glibc's loader, Python's threads, HDF5."""


def free_memory() -> int | None:
    """Bytes that this process may still take without swapping; None where the system does not say."""
    found = [bytes_ for bytes_ in (_of_machine(), _of_container(), address_space()) if bytes_ is not None]
    return min(found, default=None)


def address_space() -> int | None:
    """Bytes that a limit on this process (`ulimit -v`) leaves; None without one."""
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        taken = int(_STATM.read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError, IndexError):
        return None
    return None if most == resource.RLIM_INFINITY else max(most - taken, 0)


def require_start() -> None:
    """Refuse to load numpy where a limit on the address space leaves no room; call it before that is done.

    OpenBLAS ends the process, or never ends, where it cannot allocate. Under a limit it is told to take one thread,
    for each takes 80 MB of address space.

    Raises:
        LimitError: there is too little.
    """
    left = address_space()
    if left is None:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if left < _START and "numpy" not in sys.modules:
        raise LimitError(_too_little(left, _START))


def require_libraries(folder: Path, name: str) -> None:
    """Refuse to load a package whose shared libraries a limit on the address space leaves no room for.

    Args:
        folder: of the package; its shared libraries lie in it and in its `lib`.
        name: of the package.

    Raises:
        LimitError: there is too little.
    """
    left = address_space()
    if left is None or name in sys.modules:
        return
    libraries = [path for place in (folder, folder / "lib") for path in place.glob("*.so*")]
    wanted = sum(path.stat().st_size for path in libraries) + _BESIDE_LIBRARIES
    if left < wanted:
        raise LimitError(f"loading {name}: {_too_little(left, wanted)}")


def _too_little(left: int, wanted: int) -> str:
    return (
        f"out of memory: {left >> 20} MiB of address space are left to this process, wanted {wanted >> 20}: "
        "raise its limit (ulimit -v)"
    )


def is_out_of_memory(failure: BaseException) -> bool:
    """Whether a failure, or one that it came of, was for want of memory, whatever the library that raised it."""
    seen: BaseException | None = failure
    while seen is not None:
        if isinstance(seen, MemoryError) or (isinstance(seen, OSError) and seen.errno == errno.ENOMEM):
            return True
        if isinstance(seen, ImportError | OSError | RuntimeError) and _SAID.search(str(seen)):
            return True
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return False


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


def let_go(mapped: mmap.mmap) -> None:
    """Have `give_back` let go of a file that is mapped into memory, for as long as it is mapped."""
    with _MAPPED_LOCK:
        _MAPPED.add(mapped)


def give_back() -> None:
    """Hand memory that was freed back to the system.

    What is taken and freed in ever other sizes leaves holes, which glibc keeps; other C libraries are left alone.
    Of mapped files nothing is held until it is looked at again.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        with _MAPPED_LOCK:
            every = list(_MAPPED)
        for mapped in every:
            mapped.madvise(mmap.MADV_DONTNEED)
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
