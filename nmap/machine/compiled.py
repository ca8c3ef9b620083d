"""Loops over whole numbers, compiled by numba where it is installed and the work is worth it.

A loop is one plain function: it runs as it is on lists, and compiled on arrays, to the same numbers.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.errors import LimitError

# Steps of loops that one process takes in plain Python before it loads numba: some 2 s; loading takes 0.6 s, and 5 s
# on the first day, when there is nothing in its cache.
PATIENCE = 5_000_000

# Seconds of processor time that a loop in plain Python may take to read one tensor. A SIREN takes 13 a MB, a lattice 5
# to 10: a file of 20 MB passes, and the largest that was made of a map has 0.6.
MOST_SECONDS = 300.0
SECONDS_VARIABLE = "NMAP_READ_SECONDS"
"""Environment variable that sets another number."""
# Seconds after which the speed so far tells what is to come.
_SURE = 2.0

Numbers = list[int] | NDArray[Any]


class Loop:
    """A function of whole numbers, and of lists or arrays of them that it works on in place.

    Args:
        function: plain Python that numba can compile.
        signature: its types, as numba writes them.
    """

    steps = 0

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.plain, self._signature = function, signature
        self._compiled: Callable[..., Any] | None = None
        self._tried = False

    def chosen(self, steps: float) -> tuple[Callable[..., Any], bool]:
        """The function for so many more steps, and whether it is compiled: then it wants arrays, else lists."""
        Loop.steps += int(steps)
        if not self._tried and Loop.steps > PATIENCE and find_spec("numba") is not None:
            self._compiled, self._tried = _compile(self.plain, self._signature), True
        return (self.plain, False) if self._compiled is None else (self._compiled, True)


class Patience:
    """Ends a loop in plain Python that would take too long, as soon as that is clear.

    Args:
        total: numbers that it works on.
    """

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._most, self._began = _most_seconds(), time.thread_time()

    def count(self, more: int) -> None:
        """So many more numbers are done.

        Raises:
            LimitError: at this speed the rest takes too long.
        """
        self._done += more
        gone = time.thread_time() - self._began
        needed = gone * self._total / max(self._done, 1)
        if gone > min(_SURE, self._most) and needed > self._most:
            raise LimitError(
                f"{self._total} coded numbers would take about {needed:.0f} s to read without numba, wanted at most "
                f"{self._most:g}: pip install 'nmap-em[fast]', or set {SECONDS_VARIABLE} to more seconds"
            )


def _most_seconds() -> float:
    said = os.environ.get(SECONDS_VARIABLE, "")
    try:
        most = float(said) if said else MOST_SECONDS
    except ValueError:
        most = math.nan
    if not most > 0:
        raise LimitError(f"{SECONDS_VARIABLE} {said!r:.40}: wanted a number of seconds above 0")
    return most


def numbers(values: list[int] | NDArray[Any], compiled: bool) -> Numbers:
    """A copy of whole numbers as a loop wants them: a list, or an array: of int64, or of the type that they had."""
    if compiled:
        return np.array(values)
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _compile(function: Callable[..., Any], signature: str) -> Callable[..., Any] | None:
    """The compiled function; None where numba does not go with what is installed."""
    try:
        import numba
        from numba.core.errors import NumbaError
    except ImportError:
        return None
    if getattr(numba.config, "DISABLE_JIT", False):  # what it gives then is plain Python, which wants lists
        return None
    try:
        return numba.njit(signature, cache=True)(function)
    except Exception:  # nowhere to keep the cache, or one that cannot be read, whatever that raises
        pass
    try:
        return numba.njit(signature)(function)
    except NumbaError:
        return None
