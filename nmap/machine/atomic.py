"""Output files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from nmap.errors import OutputExistsError

# Only writing fails in these ways: the disk or a quota is full, the file is larger than may be.
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))

_BEGINNING = ".nmap-"
_PARTIAL = ".partial"
# A half written file names its machine and its process.
_NAME = re.compile(re.escape(_BEGINNING) + r"([0-9a-f]{8})-(\d{1,10})-[0-9a-f]{12}" + re.escape(_PARTIAL))
# Seconds without a byte written after which what another machine left half written is taken to be nobody's.
_FORGOTTEN = 86_400.0


@contextmanager
def atomic_output(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing and reading; it takes the name `path` when the block ends well.

    The file is synced to disk first. Its mode is that of the file that it replaces, else it follows the umask. If
    the block raises, nothing is left behind and an existing `path` is untouched. What a killed process left half
    written in the same folder is removed.

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
    remove_orphans(target.parent)
    partial, ends = _partial_for(target), False
    try:
        while (descriptor := _new_locked(partial)) is None:
            partial = _partial_for(target)
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            ends = True
            file.flush()
            _keep_mode(file, target)
            os.fsync(file.fileno())
            if (
                os.name != "posix"
            ):  # there an open file is not renamed; elsewhere it stays locked until it has its name
                file.close()
            _publish(partial, target, overwrite)
    except OSError as error:
        ours = error.errno in _FULL or (ends and error.errno is not None)
        if error.filename == os.fspath(partial) or (error.filename is None and ours):
            error.filename = os.fspath(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def _partial_for(target: Path) -> Path:
    """A new name for what will be the target."""
    return target.with_name(f"{_BEGINNING}{_host()}-{os.getpid()}-{secrets.token_hex(6)}{_PARTIAL}")


def _new_locked(partial: Path) -> int | None:
    """Descriptor of a new file, locked where there are locks; None where another run removed it before it was."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(partial, flags, 0o666)
    _lock(descriptor)
    if os.fstat(descriptor).st_nlink:
        return descriptor
    os.close(descriptor)
    return None


def _keep_mode(file: BinaryIO, target: Path) -> None:
    """Give the file the mode of the one that it replaces."""
    with suppress(OSError):
        os.chmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))


@cache
def _host() -> str:
    """This machine, or this container of it, in eight letters: only here does a process number mean something."""
    inside = ""
    with suppress(OSError):
        inside = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {inside}".encode()).hexdigest()[:8]


def _lock(descriptor: int, wait: bool = True) -> bool | None:
    """Lock a file for as long as it is open; False if another process has it, None where there are no locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


def remove_orphans(folder: Path) -> None:
    """Remove what processes that were killed left half written in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if found := _NAME.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_orphan(entry.path, here=found[1] == _host(), process=int(found[2]))


def _remove_orphan(path: str, here: bool, process: int) -> None:
    """Remove a half written file unless its process may be alive.

    Its process holds a lock on it. A number of another process may have come to be ours or a living one's, so the
    lock tells, where there are locks; not on its own for another machine's files, for locks may not reach it.
    """
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        locked = _lock(descriptor, wait=False)
        if here:
            orphaned = not _is_alive(process) if locked is None else locked
        else:
            orphaned = bool(locked) and time.time() - os.fstat(descriptor).st_mtime > _FORGOTTEN
        if orphaned:
            os.unlink(path)
    finally:
        os.close(descriptor)


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere asking would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no process number
        return True
    return True


def _free_target(path: Path, overwrite: bool) -> Path:
    if os.path.lexists(path):
        if path.exists() and not path.is_file():
            raise OutputExistsError(f"{path}: is not a regular file: give another output path")
        if not overwrite:
            raise OutputExistsError(
                f"{path}: exists already: give another path, or `overwrite` to replace it"
            )
        path = Path(os.path.realpath(path))
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
