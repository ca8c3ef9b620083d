"""What tests of fits share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import SimpleNamespace

import pytest

from nmap.fit import progress
from nmap.fit.progress import Progress


class Killed(Exception):
    """What `killed` ends a fit with."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., object]], None]:
    """Runs a fit of blocks that keeps its state at every chance, and ends it after step 100 as a crash would.

    Every step is reported: on a fast machine 100 steps take less than the time between two reports.
    """
    monkeypatch.setattr("nmap.fit.blocks.training.SAVE_EVERY", 0.0)
    monkeypatch.setattr(progress, "_EVERY", 0.0)

    def kill(now: Progress) -> None:
        if now.step > 100:
            raise Killed

    def run(fit: Callable[..., object]) -> None:
        with pytest.raises(Killed):
            fit(progress=kill)

    return run


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit's clock stands at 0, and each look at it takes a twentieth of a second: how long a fit takes is known."""
    ticks = count()
    clocks = dict.fromkeys(("monotonic", "process_time"), lambda: next(ticks) / 20)
    monkeypatch.setattr(progress, "time", SimpleNamespace(**clocks))
