"""How far a fit is: what its caller hears now and then, and how it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from nmap.outcomes import Code, Notice

# Seconds between two reports.
_EVERY = 0.25
# Share of a stage from which its end is foretold: the first steps are the slowest, and what they foretell is several
# times too long.
_FORETOLD_FROM = 0.05
# Seconds of processor time from a measured network to the end of the command: its record, and writing it (measured on
# EMD-3488: 0.28 and 0.26).
_ENDING = 0.5
# Seconds of processor time from which on a clock beside it shows how much of a processor there is; and the least share
# that is believed.
_SHOWN = 0.2
_LEAST_SHARE = 0.1

Stage = Literal[
    "preparing", "measuring-symmetry", "laying-out", "fitting", "beyond-envelope", "storing", "done"
]


@dataclass(frozen=True)
class Progress:
    """How far a fit is.

    Attributes:
        stage: what is being done.
        step: training steps, or sweeps, done.
        share: share of the stage that is done, 0 to 1; None where nobody can tell.
        fsc: worst-shell fidelity FSC so far; None before the first measurement.
        seconds_left: seconds to the end, by the speed so far; None before it is known.
        notice: something that the user should know, said once; None as a rule.
    """

    stage: Stage
    step: int = 0
    share: float | None = None
    fsc: float | None = None
    seconds_left: float | None = None
    notice: Notice | None = None


@dataclass
class Watch:
    """The clock of one fit: reports its progress, gathers its notices and knows when it must end.

    Args:
        report: called with each Progress, about four times a second.
        should_stop: asked with each step.
        budget: seconds from `start` to the end of the fit; None for no limit.
        start: `time.monotonic` at the beginning of the fit.
    """

    report: Callable[[Progress], None] | None = None
    should_stop: Callable[[], bool] | None = None
    budget: float | None = None
    start: float = field(default_factory=time.monotonic)
    notices: list[Notice] = field(default_factory=list)
    stage: Stage = "preparing"
    step: int = 0
    fsc: float | None = None
    preparing_seconds: float = 0.0
    _reported: float = -1.0
    _wall: float = field(default_factory=time.monotonic)
    _cpu: float = field(default_factory=time.process_time)

    @property
    def seconds(self) -> float:
        """Seconds since the fit began."""
        return time.monotonic() - self.start

    @property
    def left(self) -> float | None:
        """Seconds of the time budget that are left; None without one."""
        return None if self.budget is None else self.budget - self.seconds

    @property
    def slowdown(self) -> float:
        """Seconds for each second of processor time so far: above 1 where other processes have the processors."""
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        return min(max(wall / cpu, 1.0), 1 / _LEAST_SHARE) if cpu > _SHOWN else 1.0

    @property
    def ending(self) -> float:
        """Seconds to keep back for what follows once a network is measured."""
        return _ENDING * self.slowdown

    def stopped(self) -> bool:
        """Whether the caller asked for the end."""
        return self.should_stop is not None and self.should_stop()

    @property
    def due(self) -> bool:
        """Whether it is time to report again."""
        return self.report is not None and self.seconds - self._reported >= _EVERY

    def say(self, stage: Stage, share: float | None = None, seconds_left: float | None = None) -> None:
        """Report the stage, how much of it is done, and the seconds to the end where enough is done to tell."""
        self.stage = stage
        if share is not None and share < _FORETOLD_FROM:
            seconds_left = None
        if self.report is not None:
            self._reported = self.seconds
            self.report(Progress(stage, self.step, share, self.fsc, seconds_left))

    def note(self, code: Code, **facts: Any) -> None:
        """Keep a notice for the record."""
        self.notices.append(Notice(code, facts))

    def warn(self, code: Code, *, keep: bool = True, **facts: Any) -> None:
        """Report a notice, and keep it for the record."""
        notice = Notice(code, facts)
        if keep:
            self.notices.append(notice)
        if self.report is not None:
            self.report(Progress(self.stage, self.step, fsc=self.fsc, notice=notice))
