"""Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import re

import pytest

from nmap.fit.progress import Progress
from nmap.outcomes import Notice
from nmap_cli import progress
from nmap_cli.common import size, span
from nmap_cli.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_each_state_is_a_plain_line() -> None:
    stream = io.StringIO()
    with ProgressLine(every=0, stream=stream) as line:
        line.show("train", 0.1, fsc=0.75, seconds_left=95)
        line.show("train", 1.0, fsc=0.9, seconds_left=0)
    assert stream.getvalue() == (
        "train: 10 %, 1 min 35 s left, worst-shell FSC 0.7500\ntrain: 100 %, 0 s left, worst-shell FSC 0.9000\n"
    )


def test_between_two_lines_some_time_passes_but_beginning_and_end_of_a_stage_are_shown() -> None:
    stream = io.StringIO()
    with ProgressLine(every=3600, stream=stream) as line:
        for step in range(101):
            line.show("train", step / 100)
        line.show("quantise")
    assert stream.getvalue() == "train: 0 %\ntrain: 100 %\nquantise\n"


def test_on_a_terminal_one_line_is_redrawn_and_wiped_at_the_end() -> None:
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        line.show("train", 0.5, fsc=0.5)
    text = stream.getvalue()
    assert "\n" not in text
    assert "train [############............] 50 %, worst-shell FSC 0.5000" in text
    assert text.endswith("\r\x1b[K")


def test_a_warning_stays_on_the_terminal_as_a_line_of_its_own() -> None:
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        line.show("train", 0.5)
        line.warn("too few steps")
    assert stream.getvalue().endswith("\r\x1b[Knmap: warning: too few steps\n")


def test_quiet_shows_nothing() -> None:
    stream = Terminal()
    with ProgressLine(quiet=True, stream=stream) as line:
        line.show("train", 1.0)
    assert stream.getvalue() == ""


def test_a_job_that_is_over_soon_shows_nothing() -> None:
    stream = io.StringIO()
    with ProgressLine(patience=60, stream=stream) as line:
        line.show("decode", 1.0)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")],
)
def test_a_time_is_said_as_a_person_reads_it(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (812, "812 bytes"),
        (21504, "21.5 kB (21504 bytes)"),
        (4_001_024, "4 MB (4001024 bytes)"),
        (2_500_000_000, "2.5 GB (2500000000 bytes)"),
    ],
)
def test_a_size_is_said_with_its_exact_number(count: int, text: str) -> None:
    assert size(count) == text


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_elsewhere_than_on_a_terminal_a_line_with_nothing_new_waits_for_a_minute(clock: Clock) -> None:
    stream = io.StringIO()
    with ProgressLine(stream=stream) as line:
        for second in range(130):
            clock.now = 1000.0 + second
            line.show("place", 0.5, fsc=0.25 if second < 30 else 0.5, seconds_left=200 - second)
    lines = [text.rpartition(" ")[2] for text in stream.getvalue().splitlines()]
    assert lines == ["0.2500", "0.5000", "0.5000"]


def test_the_time_left_follows_jumping_estimates_slowly_and_the_end_at_once(clock: Clock) -> None:
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        for tick, left in enumerate([60, 20, 60, 20, 60, 20]):
            clock.now = 1000.0 + tick
            line.show("place", seconds_left=left)
        line.show("store", 1.0, seconds_left=0)
    said = [
        int(s) for s in re.findall(r"(\d+) (?:s|min \d+ s) left", stream.getvalue().replace("1 min 0", "60"))
    ]
    assert said[0] == 60 and said[-1] == 0
    assert all(40 < s <= 60 for s in said[1:-1])


def test_the_bar_never_goes_back(clock: Clock) -> None:
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        for tick, share in enumerate([0.0, 0.2, 0.6, 0.5, 0.7]):
            clock.now = 1000.0 + 10 * tick
            line.show("place", share)
        line.show("done", 1.0)
    full = [bar.count("#") for bar in re.findall(r"\[([#.]+)\]", stream.getvalue())]
    assert full == sorted(full) and full[0] == 0 and 12 < full[-2] < full[-1] == 24


def test_a_correlation_that_chance_gives_too_is_not_shown() -> None:
    stream = io.StringIO()
    with ProgressLine(every=0, stream=stream) as line:
        line(Progress("fitting", 3, 0.04, -0.011, 12.0))
    assert stream.getvalue() == "fitting: 4 %, 12 s left\n"


def test_a_notice_becomes_a_warning() -> None:
    stream = io.StringIO()
    with ProgressLine(stream=stream) as line:
        line(Progress("done", notice=Notice("late", {"budget": 20.0, "seconds": 1.25})))
    assert stream.getvalue() == ("nmap: warning: the fit took 1.2 s longer than its time budget\n")
