"""Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import re

import pytest

from nmap_cli import progress
from nmap_cli.common import size, span
from nmap_cli.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_each_state_is_a_plain_line() -> None:
    stream = io.StringIO()
    with ProgressLine(every=0, stream=stream) as line:
        line.show("train", 10, 100, 0.75, 95)
        line.show("train", 100, 100, 0.9, 0)
    assert stream.getvalue() == (
        "train: 10/100, worst-shell FSC 0.750, 1 min 35 s left\n"
        "train: 100/100, worst-shell FSC 0.900, 0 s left\n"
    )


def test_between_two_lines_some_time_passes_but_beginning_and_end_of_a_stage_are_shown() -> None:
    stream = io.StringIO()
    with ProgressLine(every=3600, stream=stream) as line:
        for step in range(101):
            line.show("train", step, 100)
        line.show("quantise", 0, 0)
    assert stream.getvalue() == "train: 0/100\ntrain: 100/100\nquantise\n"


def test_on_a_terminal_one_line_is_redrawn_and_wiped_at_the_end() -> None:
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        line.show("train", 50, 100, 0.5)
    text = stream.getvalue()
    assert "\n" not in text
    assert "train [############............] 50/100, worst-shell FSC 0.500" in text
    assert text.endswith("\r\x1b[K")


def test_a_warning_stays_on_the_terminal_as_a_line_of_its_own() -> None:
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        line.show("train", 50, 100)
        line.show("warning: too few steps", 50, 100)
    assert stream.getvalue().endswith("\r\x1b[Knmap: warning: too few steps\n")


def test_quiet_shows_nothing() -> None:
    stream = Terminal()
    with ProgressLine(quiet=True, stream=stream) as line:
        line.show("train", 100, 100)
    assert stream.getvalue() == ""


def test_a_job_that_is_over_soon_shows_nothing() -> None:
    stream = io.StringIO()
    with ProgressLine(patience=60, stream=stream) as line:
        line.show("decode", 1, 1)
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
            line.show("place, 50 bytes", second, 0, 0.25 if second < 30 else 0.5, 200 - second)
    lines = [text.rpartition(",")[0] for text in stream.getvalue().splitlines()]
    assert lines == ["place, 50 bytes: worst-shell FSC 0.250"] + 2 * [
        "place, 50 bytes: worst-shell FSC 0.500"
    ]


def test_the_time_left_follows_jumping_estimates_slowly_and_the_end_at_once(clock: Clock) -> None:
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        for tick, left in enumerate([60, 20, 60, 20, 60, 20]):
            clock.now = 1000.0 + tick
            line.show("place", tick, 0, None, left)
        line.show("store", 5, 0, None, 0)
    said = [
        int(s) for s in re.findall(r"(\d+) (?:s|min \d+ s) left", stream.getvalue().replace("1 min 0", "60"))
    ]
    assert said[0] == 60 and said[-1] == 0
    assert all(40 < s <= 60 for s in said[1:-1])


def test_the_bar_of_a_stage_without_a_known_end_goes_by_the_time_and_never_back(clock: Clock) -> None:
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        for tick, left in enumerate([9, 9, 1, 30, 30]):
            clock.now = 1000.0 + 10 * tick
            line.show("place", tick, 0, None, left)
        line.show("done", 0, 0, None, 0)
    full = [bar.count("#") for bar in re.findall(r"\[([#.]+)\]", stream.getvalue())]
    assert full == sorted(full) and full[0] == 0 and 12 < full[-2] < full[-1] == 24
