"""How many threads to use, and tiles of work shared out among them.

A tile's matrix products run in one thread each. OpenBLAS's own threads wait for each other by spinning, after
every product: on a machine with other work to do that costs ten times what it gains.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

_limiting = Lock()


def workers() -> int:
    """Threads to use: OMP_NUM_THREADS, else the cores that this process may run on."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_tiles(work: Callable[[slice], None], count: int, tile: int) -> None:
    """Call `work` for consecutive slices that cover `count` items, several at a time.

    Args:
        work: must let go of the interpreter's lock to gain anything, as numpy does.
        count: number of items.
        tile: items of a slice.
    """
    slices = [slice(start, min(start + tile, count)) for start in range(0, count, tile)]
    if len(slices) <= 1:
        for part in slices:
            work(part)
        return
    with _one_thread_per_product(), ThreadPoolExecutor(min(workers(), len(slices))) as pool:
        for _ in pool.map(work, slices):
            pass


@contextmanager
def _one_thread_per_product() -> Iterator[None]:
    """BLAS single-threaded inside.

    The limit is the whole process's and must be lifted by the thread that set it, so of several callers at
    once only the first sets it.
    """
    if not _limiting.acquire(blocking=False):
        yield
        return
    try:
        with _blas().limit(limits=1, user_api="blas"):
            yield
    finally:
        _limiting.release()


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
