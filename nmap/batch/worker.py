"""What a worker of Dask loads before its first map: `dask worker ... --preload nmap.batch.worker`."""

from __future__ import annotations

import signal
import threading
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the run, which lets the maps in flight come to their ends.

    Args:
        worker: Dask's, which is not looked at.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
