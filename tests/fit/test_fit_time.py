"""How a fit keeps a time budget, by a clock that the tests set."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from nmap.fit.bumps import schedule
from nmap.fit.bumps.schedule import Deadline
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress
from nmap.grid import Grid
from nmap.maps import DensityMap


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The search's clock."""
    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr(schedule, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def wait(clock: SimpleNamespace, seconds: float) -> None:
    """Let time pass."""
    clock.now += seconds


def test_time_for_coding_is_kept_back_from_what_coding_took(clock: SimpleNamespace) -> None:
    deadline = Deadline(100)
    assert deadline.left(1000) == 100
    assert deadline.wants_trial(1000)
    deadline.time_coding(1000, lambda: wait(clock, 2.0))
    once, twice = 98 - deadline.left(1000), 98 - deadline.left(2000)
    assert once > 2 * 2.0  # coded, and read back
    assert twice == pytest.approx(2 * once)


def test_coding_is_timed_again_when_there_is_twice_as_much(clock: SimpleNamespace) -> None:
    deadline = Deadline(100)
    deadline.time_coding(1000, lambda: wait(clock, 0.1))
    assert not deadline.wants_trial(1999)
    assert deadline.wants_trial(2001)
    clock.now = 100
    assert not deadline.wants_trial(2001)


def test_the_share_of_the_time_that_is_gone_ends_at_one(clock: SimpleNamespace) -> None:
    deadline = Deadline(100)
    clock.now = 25
    assert deadline.used(10, 1) == pytest.approx(0.25)
    assert deadline.used(10, 3) == pytest.approx(0.75)
    clock.now = 101
    assert deadline.used(10, 1) == 1


def test_an_answer_that_is_late_is_given_and_says_by_how_much() -> None:
    grid = Grid((24, 24, 24), (2.0,) * 3)
    distance = np.linalg.norm(np.indices(grid.shape) - 12, axis=0)
    density = DensityMap(np.exp(-((distance / 4) ** 2)).astype(np.float32), grid)
    heard: list[Progress] = []
    made = encode(density, EncodeOptions(resolution=8.0, time_budget=0.01), progress=heard.append)
    assert np.abs(made.as_array()).max() > 0
    late = [p.notice for p in heard if p.notice is not None and p.notice.code == "late"]
    assert len(late) == 1 and late[0].facts["budget"] == 0.01 and late[0].facts["seconds"] > 0
    # The file says nothing of the time that it took.
    assert "late" not in [notice["code"] for notice in made.record["fit"]["notes"]]
