"""Ctrl-C during a fit: either the end of it at once, or a wish to keep the best network so far."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class StopOnInterrupt:
    """Turns the first Ctrl-C into `stopped`, asked by the fit between steps; a second one ends the program.

    Args:
        active: whether to; False leaves Ctrl-C as it is, which ends the program at once.
    """

    def __init__(self, active: bool) -> None:
        self._active = active
        self._stopped = False
        self._before: object = None

    def stopped(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._stopped

    def __enter__(self) -> StopOnInterrupt:
        if self._active:
            self._before = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type]

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._stopped:
            raise KeyboardInterrupt
        self._stopped = True
