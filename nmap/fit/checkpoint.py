"""The state of a fit in a file, for the same fit to go on from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmap.errors import OptionError
from nmap.machine.atomic import atomic_output


def digest(told: bytes, *arrays: NDArray[Any]) -> bytes:
    """SHA-256 of what a fit is told and of the arrays that it is given."""
    total = hashlib.sha256(told)
    for values in arrays:
        total.update(np.ascontiguousarray(values).tobytes())
    return total.digest()


def save(path: Path, task: bytes, values: Mapping[str, ArrayLike]) -> None:
    """Write the values for the fit of that digest; the file is whole or as it was."""
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in values.items()}
    with atomic_output(path, overwrite=True) as file:
        np.savez(file, task=np.frombuffer(task, np.uint8), **arrays)


def load(path: Path, task: bytes) -> dict[str, NDArray[Any]]:
    """The values that were saved for the fit of that digest.

    Raises:
        OptionError: they are of another fit, or the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            kept = {name: file[name] for name in file.files}
        same = kept["task"].tobytes() == task
    except Exception as error:  # numpy promises nothing of what it raises of a damaged file
        raise OptionError(
            f"checkpoint {path}: damaged ({error}): delete it, or give another folder"
        ) from error
    if not same:
        raise OptionError(
            f"checkpoint {path}: is of another map, mask, goal or effort: give what it was begun with, or "
            "another folder"
        )
    return kept
