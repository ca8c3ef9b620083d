"""Loops over whole numbers, compiled by numba where it is installed and the work is worth it.

A loop is one plain function: it runs as it is on lists, and compiled on arrays, to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Steps of loops that one process takes in plain Python before it loads numba: some 2 s; loading takes 0.6 s, and 5 s
# on the first day, when there is nothing in its cache.
PATIENCE = 5_000_000

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
    for cache in (True, False):
        try:
            return numba.njit(signature, cache=cache)(function)
        except (OSError, RuntimeError):  # nowhere to keep the cache
            continue
        except NumbaError:
            break
    return None
