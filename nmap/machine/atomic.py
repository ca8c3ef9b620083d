"""Output files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from nmap.errors import OutputExistsError

# Only writing fails in these ways: the disk or a quota is full, the file is larger than may be.
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


@contextmanager
def atomic_output(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing and reading; it takes the name `path` when the block ends well.

    The file is synced to disk first, and its mode follows the umask. If the block raises, nothing is left
    behind and an existing `path` is untouched.

    Args:
        path: where the result is to be; a symbolic link is followed, and its target replaced.
        overwrite: whether an existing file may be replaced.

    Yields:
        The open binary file; it can seek.

    Raises:
        OutputExistsError: `path` exists and may not be replaced, or is not a regular file.
        OSError: the folder is missing, full or not writable; it names `path` where the system names no file.
    """
    target = _free_target(Path(path), overwrite)
    partial = target.with_name(f".nmap-{secrets.token_hex(6)}.partial")
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(partial, flags, 0o666)
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _publish(partial, target, overwrite)
    except OSError as error:
        if error.filename is None and error.errno in _FULL:
            error.filename = os.fspath(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def _free_target(path: Path, overwrite: bool) -> Path:
    if os.path.lexists(path):
        if not overwrite:
            raise OutputExistsError(f"{path}: exists already: give another path, or allow overwriting")
        path = Path(os.path.realpath(path))
        if path.exists() and not path.is_file():
            raise OutputExistsError(f"{path}: is not a regular file: give another output path")
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder for the output", str(path.parent))
    return path


def _publish(partial: Path, target: Path, overwrite: bool) -> None:
    """Give `partial` its final name; without `overwrite`, a file that came in the meantime wins."""
    if overwrite:
        os.replace(partial, target)
    else:
        try:
            os.link(partial, target)
        except FileExistsError:
            raise OutputExistsError(f"{target}: came into being meanwhile: give another path") from None
        except OSError:  # a file system without hard links
            if os.path.lexists(target):
                raise OutputExistsError(f"{target}: exists already: give another path") from None
            os.rename(partial, target)
    with suppress(OSError):  # the name itself must survive a crash too, where the system can promise that
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
