"""Progress of a long job on stderr: a line redrawn on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from math import exp
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from nmap_cli.common import span

if TYPE_CHECKING:
    from nmap.fit import Progress

# Seconds over which estimates of the end are averaged, and after which a line that says nothing new comes all the same.
_STEADY, _HEARTBEAT = 10.0, 60.0
_BAR = 24


def seconds_since_start() -> float:
    """Seconds since this process began; where the system does not tell, the processor time used, which is less."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return time.process_time()


class ProgressLine:
    """Shows stage, step, FSC so far and time left; a context manager that leaves the terminal line clean.

    Args:
        quiet: show nothing.
        every: seconds between two lines where stderr is no terminal.
        patience: seconds before anything is shown: short jobs need no bar.
        stream: where to write; stderr by default.
        words: puts what is shown in other words.
    """

    def __init__(
        self,
        quiet: bool = False,
        every: float = 5.0,
        patience: float = 0.0,
        stream: TextIO | None = None,
        words: Callable[[str], str] = str,
    ) -> None:
        self._words = words
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._terminal = self._stream.isatty()
        self._every = 0.1 if self._terminal else every
        self._begin = time.monotonic() + patience
        self._last = -float("inf")
        self._shown = ("", -1)
        self._said = ""
        self._end, self._heard = 0.0, -float("inf")
        self._stage_begin, self._full = 0.0, 0.0
        self._drawn = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def __call__(self, progress: Progress) -> None:
        """Take the news of a fit."""
        self.show(progress.stage, progress.step, progress.steps, progress.fsc, progress.seconds_left)

    def show(
        self, stage: str, step: int, steps: int, fsc: float | None = None, seconds_left: float | None = None
    ) -> None:
        """Draw one state, or a warning, which stays.

        A state is dropped if one was drawn a moment ago and this one neither begins nor ends a stage. Where stderr is
        no terminal it is dropped too if only the time left has changed, for a minute.
        """
        if self._quiet:
            return
        if stage.startswith("warning:"):
            self.clear()
            self._stream.write(f"nmap: {self._words(stage)}\n")
            return
        now = time.monotonic()
        kind = stage.partition(",")[0]  # what follows a comma changes all the time
        news = kind != self._shown[0] or (0 < steps <= step and step != self._shown[1])
        if kind != self._shown[0]:
            self._stage_begin, self._full, self._heard = now, 0.0, -float("inf")
        if seconds_left is not None:
            seconds_left = self._steady(seconds_left, now, at_end=0 < steps <= step)
        if now < self._begin or not (news or now - self._last >= self._every):
            return
        parts = [f"{step}/{steps}"] if steps else []
        if fsc is not None:
            parts.append(self._words(f"worst-shell FSC {fsc:.3f}"))
        said = ", ".join((stage, *parts))
        if not (self._terminal or news or said != self._said or now - self._last >= _HEARTBEAT):
            return
        self._last, self._shown, self._said = now, (kind, step), said
        if seconds_left is not None:
            parts.append(f"{span(seconds_left)} left")
        if self._terminal:
            self._stream.write(
                f"\r\x1b[K{stage}{self._bar(step, steps, seconds_left, now)} {', '.join(parts)}"
            )
            self._drawn = True
        else:
            self._stream.write(f"{stage}: {', '.join(parts)}\n" if parts else f"{stage}\n")
        self._stream.flush()

    def _steady(self, seconds_left: float, now: float, at_end: bool) -> float:
        """Seconds left by the estimates of the end so far, the older the less."""
        end = now + seconds_left
        share = 1.0 if at_end or not seconds_left else 1 - exp((self._heard - now) / _STEADY)
        self._end += share * (end - self._end)
        self._heard = now
        return max(self._end - now, 0.1 * seconds_left)

    def _bar(self, step: int, steps: int, seconds_left: float | None, now: float) -> str:
        """How far the stage is: by its steps, or where nobody can tell how many, by the time; never back."""
        if not steps and seconds_left is None:
            return ""
        gone = now - self._stage_begin
        share = step / steps if steps else min(gone / (gone + seconds_left), 0.95) if seconds_left else 1.0
        self._full = max(self._full, share)
        full = round(_BAR * self._full)
        return f" [{'#' * full}{'.' * (_BAR - full)}]"

    def clear(self) -> None:
        """Take the line off a terminal, so that something else can be written."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False
