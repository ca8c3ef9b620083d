"""How a fit keeps a time budget on a machine that slows down, by clocks that the tests set."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nmap.fit.bumps import schedule
from nmap.fit.bumps.schedule import Deadline
from nmap.fit.slowdown import Slowdown


class Machine:
    """A clock, and how much of the time the work gets."""

    def __init__(self) -> None:
        self.passed = self.worked = 0.0

    def run(self, seconds: float, share: float) -> None:
        self.passed += seconds
        self.worked += share * seconds

    @property
    def slowdown(self) -> Slowdown:
        return Slowdown(lambda: self.passed, lambda: self.worked)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One whose clock is the search's, and on which a site takes a thousandth of a second to code."""
    made = Machine()
    monkeypatch.setattr(schedule, "time", SimpleNamespace(monotonic=lambda: made.passed))
    monkeypatch.setattr(schedule, "_coding_seconds", lambda: (1e-3, 0.0))
    return made


def test_work_that_gets_a_third_of_the_processor_takes_three_times_as_long():
    machine = Machine()
    slowdown = machine.slowdown
    assert slowdown.factor == 1
    machine.run(3, 1 / 3)
    assert slowdown.factor == pytest.approx(3)


def test_a_slowdown_is_that_of_late():
    machine = Machine()
    slowdown = machine.slowdown
    for share, factor in ((1, 1), (0.25, 4), (0.5, 2), (1, 1)):
        machine.run(2, share)
        assert slowdown.factor == pytest.approx(factor)


def test_a_moment_says_nothing_of_the_slowdown():
    machine = Machine()
    slowdown = machine.slowdown
    machine.run(0.01, 0)
    assert slowdown.factor == 1


def test_work_in_more_threads_than_were_hoped_for_is_no_slowdown():
    machine = Machine()
    slowdown = machine.slowdown
    machine.run(2, 1.5)
    assert slowdown.factor == 1


def test_a_process_that_was_halted_takes_itself_for_slowed_down_only_so_far():
    machine = Machine()
    slowdown = machine.slowdown
    machine.run(3600, 0)
    assert slowdown.factor < 10


def test_the_time_kept_for_what_follows_a_search_grows_with_the_slowdown(machine):
    clock = Deadline(100, 0.0, 1000, 5.0, machine.slowdown)
    assert clock.left(0) == pytest.approx(100 - 5)
    assert clock.left(1000) == pytest.approx(100 - 5 - 1)
    machine.run(10, 0.5)
    assert clock.left(0) == pytest.approx(90 - 2 * 5)
    assert clock.left(1000) == pytest.approx(90 - 2 * (5 + 1))


def test_what_a_slowdown_leaves_no_time_to_code_is_not_allowed(machine):
    clock = Deadline(30, 0.0, 1000, 5.0, machine.slowdown)
    assert clock.allows(1000)
    machine.run(10, 0.2)
    assert not clock.allows(1000)
