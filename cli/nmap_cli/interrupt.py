"""Signals: a wish to end leaves no half-written file behind; Ctrl-C during a fit may keep the best so far."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


_received: list[Terminated] = []
"""The wish to end that this run got; a package that is just being loaded may hide it behind an error of its own."""


class Terminated(BaseException):
    """The process was told to end, by `kill`, `timeout`, a batch system, or a terminal that closed.

    Attributes:
        name: of the signal, such as "SIGTERM".
        exit_code: as shells give it, 128 + the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number


@contextmanager
def ending_signals_raise() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Terminated`, so that the files being written are removed on the way out.

    A signal that is ignored, as under `nohup`, stays so. A second one does not disturb the removal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    taken = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> None:
        for one in taken:
            signal.signal(one, signal.SIG_IGN)
        _received.append(Terminated(number))
        raise _received[0]

    _received.clear()
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def wish_to_end(failure: BaseException) -> BaseException:
    """The signal that a failure came of, where one came; else the failure."""
    if _received:
        return _received[0]
    seen: BaseException | None = failure
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return seen
        seen = seen.__cause__ or seen.__context__
    return failure


class StopOnInterrupt:
    """Turns the first Ctrl-C into `stopped`, asked by the fit between steps; a second one ends the program.

    Args:
        active: whether to; False leaves Ctrl-C as it is, which ends the program at once.
        told: called at the first Ctrl-C.
    """

    def __init__(self, active: bool, told: Callable[[], None] = lambda: None) -> None:
        self._active = active
        self._told = told
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
        self._told()
