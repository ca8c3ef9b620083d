"""What a weights file holds: arrays and numbers by name, within a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nmap.errors import LimitError

Weights = Mapping[str, NDArray[Any]]

MAX_BYTES = 1 << 30
"""Weights that unpack to more than this are refused."""


@dataclass(frozen=True, eq=False)
class FoundWeights:
    """What a weights file holds.

    Attributes:
        arrays: by name.
        numbers: plain numbers that lay beside them, such as an omega, by name.
        texts: texts that lay beside them, by name.
    """

    arrays: Weights
    numbers: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def require_room(path: Path, wanted: int) -> None:
    """Refuse weights that take more than `MAX_BYTES` once unpacked."""
    if wanted > MAX_BYTES:
        raise LimitError(f"{path}: unpacks to {wanted} bytes: at most {MAX_BYTES} are read")
