"""Progress of a long job on stderr: a line redrawn on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from math import exp
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import click

from nmap.remote import Told
from nmap_cli.amounts import size, span

if TYPE_CHECKING:
    from nmap.fit.progress import Progress

# Seconds before a file that is fetched gets a line.
_FETCHING = 1.0
# Seconds over which estimates of the end are averaged.
_STEADY = 10.0
# Seconds after which a line is written though it says nothing new.
_HEARTBEAT = 60.0
# Characters of the bar.
_BAR = 24
# Worst-shell FSC from which it is shown: below, a shell correlates by chance as much.
_MEANINGFUL = 0.143


class ProgressLine:
    """Shows stage, share done, time left and FSC so far; a context manager that leaves the terminal line clean.

    Args:
        quiet: show nothing.
        every: seconds between two lines where stderr is no terminal.
        patience: seconds before anything is shown: short jobs need no bar.
        stream: where to write; stderr by default.
        words: puts what is shown in other words.
        kept: gets every warning, shown or not; None for nowhere.
    """

    def __init__(
        self,
        quiet: bool = False,
        every: float = 5.0,
        patience: float = 0.0,
        stream: TextIO | None = None,
        words: Callable[[str], str] = str,
        kept: list[str] | None = None,
    ) -> None:
        self._words, self._kept = words, kept
        self._stream = stream or sys.stderr or io.StringIO()  # there is no stderr where the caller closed it
        self._quiet = quiet
        self._terminal = self._stream.isatty()
        self._every = 0.1 if self._terminal else every
        self._begin = time.monotonic() + patience
        self._last = -float("inf")
        self._shown = ("", -1)
        self._said = ""
        self._end, self._heard = 0.0, -float("inf")
        self._full = 0.0
        self._drawn = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def __call__(self, progress: Progress) -> None:
        """Take the news of a fit."""
        from nmap.report.fit_words import STAGES, notice_words

        if progress.notice is not None:
            self.warn(notice_words(progress.notice.code, progress.notice.facts))
        else:
            stage = STAGES[progress.stage]
            self.show(stage, progress.share, fsc=progress.fsc, seconds_left=progress.seconds_left)

    def warn(self, words: str) -> None:
        """Write a warning, which stays."""
        said = self._words(words)
        if self._kept is not None:
            self._kept.append(said)
        if not self._quiet:
            self.clear()
            self._write(f"nmap: warning: {said}\n")

    def show(
        self,
        stage: str,
        share: float | None = None,
        *,
        fsc: float | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """Draw one state.

        It is dropped if one was drawn a moment ago and this one neither begins nor ends a stage. Where stderr is
        no terminal it is dropped too if only the time left has changed, for a minute.

        Args:
            stage: what is being done.
            share: of the stage that is done, 0 to 1; None if that is not known.
            fsc: worst-shell FSC so far.
            seconds_left: to the end.
        """
        if self._quiet:
            return
        now, percent = time.monotonic(), -1 if share is None else round(100 * share)
        news = stage != self._shown[0] or (percent == 100 and percent != self._shown[1])
        if stage != self._shown[0]:
            self._full, self._heard = 0.0, -float("inf")
        if seconds_left is not None:
            seconds_left = self._steady(seconds_left, now, at_end=percent == 100)
        if now < self._begin or not (news or now - self._last >= self._every):
            return
        parts = [f"{percent} %"] if share is not None else []
        said = f"{stage}, {percent}, {fsc}"
        if not (self._terminal or news or said != self._said or now - self._last >= _HEARTBEAT):
            return
        self._last, self._shown, self._said = now, (stage, percent), said
        if seconds_left is not None:
            parts.append(f"{span(seconds_left)} left")
        if fsc is not None and fsc >= _MEANINGFUL:
            from nmap.spectrum import floored

            parts.append(self._words(f"worst-shell FSC {floored(fsc)}"))
        if self._terminal:
            self._write(f"\r\x1b[K{stage}{self._bar(share)} {', '.join(parts)}")
            self._drawn = True
        else:
            self._write(f"{stage}: {', '.join(parts)}\n" if parts else f"{stage}\n")

    def _steady(self, seconds_left: float, now: float, at_end: bool) -> float:
        """Seconds left by the estimates of the end so far, the older the less."""
        end = now + seconds_left
        share = 1.0 if at_end or not seconds_left else 1 - exp((self._heard - now) / _STEADY)
        self._end += share * (end - self._end)
        self._heard = now
        return max(self._end - now, 0.1 * seconds_left)

    def _bar(self, share: float | None) -> str:
        """How far the stage is; never back."""
        if share is None:
            return ""
        self._full = max(self._full, share)
        full = round(_BAR * self._full)
        return f" [{'#' * full}{'.' * (_BAR - full)}]"

    def clear(self) -> None:
        """Take the line off a terminal, so that something else can be written."""
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def _write(self, text: str) -> None:
        """Write, as long as there is somebody to read it: a full disk or a closed terminal ends no fit."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._quiet = True


def fetching(context: click.Context | None) -> Told:
    """What shows on stderr how a remote file comes, unless the command is to be quiet."""
    lines: list[ProgressLine] = []

    def told(done: int, total: int | None) -> None:
        if not lines:
            lines.append(ProgressLine(bool(context and context.params.get("quiet")), patience=_FETCHING))
        share = done / total if total else None
        lines[0].show("fetching" if share is not None else f"fetching, {size(done).split(' (')[0]}", share)
        if share is not None and share >= 1:
            lines[0].clear()

    return told
