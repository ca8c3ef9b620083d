"""Large arrays kept in a temporary file, of which memory holds what was looked at since `memory.give_back`."""

from __future__ import annotations

import mmap
import tempfile

import numpy as np
from numpy.typing import NDArray

from nmap.machine.memory import let_go

F32 = NDArray[np.float32]

# Bytes from which on it pays: what a map of 400^3 takes.
_LEAST = 1 << 28


def park(values: F32) -> F32:
    """The array in a temporary file that has no name and goes with the array, read-only.

    Nobody else can change such a file, as the one can that a map was read from.

    Args:
        values: C-contiguous.

    Returns:
        The same values; the array itself if it is small, or if there is no room for the file.
    """
    if values.nbytes < _LEAST:
        return values
    try:
        with tempfile.TemporaryFile() as file:
            values.tofile(file)
            file.flush()
            mapped = mmap.mmap(file.fileno(), values.nbytes, access=mmap.ACCESS_READ)
    except OSError:
        return values
    let_go(mapped)
    return np.frombuffer(mapped, np.float32).reshape(values.shape)
