"""How much longer work takes where other programs want the processor too."""

from __future__ import annotations

import time
from collections.abc import Callable

from nmap.machine.threads import workers

# Measured over at least so many seconds; taken for no more than this, for a process may have been halted meanwhile.
_WINDOW, _MOST = 0.5, 8.0


def processor_seconds() -> float:
    """Seconds that this thread worked, and its share of what other threads did; counts on while any of them works."""
    own = time.thread_time()
    return own + (time.process_time() - own) / workers()


class Slowdown:
    """How many times longer work takes, of late, than with the processor to itself: 1 or more.

    Args:
        clock: seconds that pass.
        work: seconds that the work done in them takes at least.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, work: Callable[[], float] = processor_seconds
    ) -> None:
        self._clock, self._work = clock, work
        self._since = clock(), work()
        self._factor = 1.0

    @property
    def factor(self) -> float:
        """As it is now: measured since it last was, once that is long enough ago."""
        now = self._clock(), self._work()
        passed, worked = (b - a for a, b in zip(self._since, now, strict=True))
        if passed >= _WINDOW:
            self._factor = max(1.0, min(passed / max(worked, 1e-9), _MOST))
            self._since = now
        return self._factor
