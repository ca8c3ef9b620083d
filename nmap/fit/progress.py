"""How far a fit is: what its caller is told now and then, and how it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from nmap.fit.slowdown import Slowdown

_EVERY = 0.25


@dataclass(frozen=True)
class Progress:
    """How far a fit is.

    Attributes:
        step: training steps done.
        steps: training steps in all, as planned now; 0 where nobody can tell.
        stage: what is being done, or a warning in words.
        fsc: worst-shell fidelity FSC so far; None before the first measurement.
        seconds_left: seconds to the end, by the speed so far; None before it is known.
    """

    step: int
    steps: int
    stage: str
    fsc: float | None = None
    seconds_left: float | None = None


class Watch:
    """The clock of one fit: reports its progress and knows when it must end.

    Args:
        report: called with each Progress, about four times a second.
        should_stop: asked with each step.
        time_budget: seconds from now to the end of the fit; None for no limit.
    """

    def __init__(
        self,
        report: Callable[[Progress], None] | None,
        should_stop: Callable[[], bool] | None,
        time_budget: float | None,
    ) -> None:
        self._report, self._should_stop, self._budget = report, should_stop, time_budget
        self._start = time.perf_counter()
        self._said = -1.0
        self.fsc: float | None = None
        self.slowdown = Slowdown()
        self.prepared = 0.0  # seconds that making the target would take without it
        self.step = 0
        self.steps = 0

    @property
    def seconds(self) -> float:
        """Seconds since the fit began."""
        return time.perf_counter() - self._start

    @property
    def left(self) -> float | None:
        """Seconds of the time budget that are left; None without one."""
        return None if self._budget is None else self._budget - self.seconds

    def stopped(self) -> bool:
        """Whether the caller asked for the end."""
        return self._should_stop is not None and self._should_stop()

    @property
    def due(self) -> bool:
        """Whether it is time to report again."""
        return self._report is not None and self.seconds - self._said >= _EVERY

    def say(self, stage: str, seconds_left: float | None = None) -> None:
        """Report `stage`, or a warning."""
        if self._report is None:
            return
        self._said = self.seconds
        self._report(Progress(self.step, self.steps, stage, self.fsc, seconds_left))
