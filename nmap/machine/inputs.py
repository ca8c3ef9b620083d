"""Files to read: refused by name where they are missing."""

from __future__ import annotations

import os
from pathlib import Path

from nmap.errors import MissingFileError, NmapError
from nmap.remote import MAP_BYTES, RemoteFile


def existing(path: str | os.PathLike[str], unfit: type[NmapError] = NmapError, most: int = MAP_BYTES) -> Path:
    """The path of a file that is there: no folder, and no pipe or device, which may never end.

    Of a `RemoteFile` it is the path of its copy on this machine, which lives as long as that object.

    Args:
        path: the file.
        unfit: class of the error where it is no regular file.
        most: bytes of a remote file that are fetched.

    Raises:
        MissingFileError: there is nothing of that name.
        NmapError: it is no regular file; of the class `unfit`. Or a remote file did not come, see `RemoteFile.local`.
    """
    if isinstance(path, RemoteFile):
        return path.local(most)
    if not os.path.exists(path):
        raise MissingFileError(f"{os.fspath(path)}: no such file: give the path of a file that exists")
    if not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "not a regular file"
        raise unfit(f"{os.fspath(path)}: is {what}: give the path of a file")
    return Path(path)
