"""How a map is to be read where its file leaves something open."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nmap.errors import OptionError
from nmap.grid import Triple
from nmap.machine.memory import free_memory

_SHARE_OF_FREE = 2
"""A map may take this part of the memory that is free, so that there is room to work on it."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read any map.

    Attributes:
        voxel_size: taken instead of the header's (x, y, z), in Angstrom.
        replace_nonfinite: "mean" puts the mean of all finite values where a value is NaN or infinite.
        max_memory: most bytes that the values, as float32, and the extended header may take; half of what is
            free if None.
        stack: read a stack of volumes too, as one volume with them one after the other along z.
        permissive: read a file whose header contradicts itself or the file, with a warning that says how.

    Raises:
        OptionError: a value that cannot be used.
    """

    voxel_size: Triple | None = None
    replace_nonfinite: str | None = None
    max_memory: int | None = None
    permissive: bool = False
    stack: bool = False

    def __post_init__(self) -> None:
        size = self.voxel_size
        if size is not None and (len(size) != 3 or not all(0 < v < math.inf for v in size)):
            raise OptionError(f"voxel size {size} A: wanted three positive numbers (x, y, z)")
        if self.replace_nonfinite not in (None, "mean"):
            raise OptionError(f"replace_nonfinite {self.replace_nonfinite!r}: wanted 'mean'")

    @property
    def memory(self) -> int | None:
        """Bytes that a map may take; None where the system does not say what is free."""
        if self.max_memory is not None:
            return self.max_memory
        free = free_memory()
        return None if free is None else free // _SHARE_OF_FREE


DEFAULT_READING = ReadOptions()
"""Everything as the file says it."""
