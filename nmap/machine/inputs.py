"""Files to read: refused by name where they are missing."""

from __future__ import annotations

import os
from pathlib import Path

from nmap.errors import MissingFileError


def existing(path: str | os.PathLike[str]) -> Path:
    """The path of something that is there.

    Raises:
        MissingFileError: there is nothing of that name.
    """
    if not os.path.exists(path):
        raise MissingFileError(f"{os.fspath(path)}: no such file: give the path of a file that exists")
    return Path(path)
