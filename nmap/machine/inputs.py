"""Files to read: refused by name where they are missing."""

from __future__ import annotations

import os
from pathlib import Path

from nmap.errors import MissingFileError, NmapError


def existing(path: str | os.PathLike[str], unfit: type[NmapError] = NmapError) -> Path:
    """The path of a file that is there: no folder, and no pipe or device, which may never end.

    Raises:
        MissingFileError: there is nothing of that name.
        NmapError: it is no regular file; of the class `unfit`.
    """
    if not os.path.exists(path):
        raise MissingFileError(f"{os.fspath(path)}: no such file: give the path of a file that exists")
    if not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "not a regular file"
        raise unfit(f"{os.fspath(path)}: is {what}: give the path of a file")
    return Path(path)
