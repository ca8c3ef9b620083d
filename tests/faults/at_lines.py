"""Faults at each line of some modules in turn: no moment of the writing or reading is left out.

A state on disk changes by what a line calls, so what a kill between two lines leaves is all that a kill can leave,
but for how much of a block was written.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from cli_files import run

LEAST, MOST = 20, 5000
"""Lines that are looked for at least: fewer mean that the modules have moved. And at most: more mean a loop."""


def forked(work: Callable[[], int], seconds: float = 60.0) -> int:
    """Exit code of the work in a child process; negative for the signal that ended it, -SIGALRM if it hung."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_line(number: int, modules: tuple[str, ...], act: Callable[[], None]) -> Callable[..., Any]:
    """A trace function that acts once, before the line of that number that is run in these modules."""
    left = number

    def line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                act()
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename.endswith(modules) else None

    return call


def command(arguments: list[str], said: Path) -> int:
    """Run a command as a program does, what it says on stderr in a file."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ran = run(*arguments)
    said.write_text(ran.err)
    return ran.code


def until_through(step: Callable[[int], bool]) -> int:
    """Call the step for line 1, 2, ... until it says that there was no such line; how many there were."""
    for number in range(1, MOST):
        if not step(number):
            assert number > LEAST, f"{number} lines only"
            return number - 1
    raise AssertionError("no end")


def traced(
    number: int, modules: tuple[str, ...], act: Callable[[], None], work: Callable[[], int]
) -> tuple[int, bool]:
    """Exit code of the work in a child with a fault at a line, and whether there was such a line."""
    reader, writer = os.pipe()

    def inside() -> int:
        def once() -> None:
            os.write(writer, b"x")
            act()

        sys.settrace(at_line(number, modules, once))
        try:
            return work()
        finally:
            sys.settrace(None)

    code = forked(inside)
    os.close(writer)
    reached = os.read(reader, 1) == b"x"
    os.close(reader)
    return code, reached


def raising(error: BaseException) -> Callable[[], None]:
    """Raises."""

    def act() -> None:
        raise error

    return act


def sending(number: int) -> Callable[[], None]:
    """Sends this process a signal."""
    return lambda: os.kill(os.getpid(), number)
