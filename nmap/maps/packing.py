"""A map file on disk, read as the bytes that it holds once unpacked: plain, gzip, bzip2, or a zip of one file."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

from nmap.errors import MapError
from nmap.file_kind import START_BYTES, kind_of
from nmap.machine.inputs import existing
from nmap.plain_text import stored_name

Stream = io.BufferedIOBase

_COMPRESSIONS = ("gzip", "bzip2", "zip")
_RATIO = {"gzip": 1032, "bzip2": 1_300_000}
"""How many times smaller a file can be than what it unpacks to.

Deflate: https://zlib.net/zlib_tech.html. bzip2: a block of 46 million equal bytes takes some 40.
"""
_PLAUSIBLE = 20_000
"""How many times smaller a map is that is not constant: bzip2 brings masks of two values to some thousandths."""
_HARMLESS = 1 << 26
"""Bytes that any file may unpack to, however small it is."""
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)


@dataclass(frozen=True)
class PackedFile:
    """An open file, and how it is packed.

    Attributes:
        file: open for reading, and able to seek.
        name: the file's, without folders.
        compression: "", "gzip", "bzip2" or "zip".
        size: bytes on disk.
        changed: when it was last written to, nanoseconds, as it was opened.
    """

    file: io.BufferedReader
    name: str
    compression: str
    size: int
    changed: int

    def require_unchanged(self) -> None:
        """Refuse a file that was written to since it was opened: what was read of it may be of two maps.

        Raises:
            MapError: it was.
        """
        now = os.fstat(self.file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.size, self.changed):
            raise MapError("was written to while it was read: wait until it is whole, and try again")

    @property
    def most(self) -> int:
        """Bytes that it can unpack to at most; its own length if it is not packed."""
        return self.size * _RATIO.get(self.compression, _RATIO["bzip2"]) if self.compression else self.size

    @property
    def plausible(self) -> int:
        """Bytes that it unpacks to at most, unless it was made to fill a memory."""
        return max(self.size * _PLAUSIBLE, _HARMLESS)

    def start(self, count: int = START_BYTES) -> bytes:
        """The first bytes of what it holds, unpacked; fewer where there are no more."""
        with self.unpacked() as stream:
            return stream.read(count)

    @contextmanager
    def unpacked(self) -> Iterator[Stream]:
        """What it holds, from its start, unpacked as it is read.

        Raises:
            MapError: damage to the compression, or a zip archive of other than one file.
        """
        self.file.seek(0)
        with ExitStack() as stack:
            try:
                yield self._opened(stack)
            except (EOFError, zlib.error, zipfile.BadZipFile, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the data's
                    raise
                raise MapError(f"damaged {self.compression} data ({error}): get the file again") from None

    def _opened(self, stack: ExitStack) -> Stream:
        if self.compression == "gzip":
            return stack.enter_context(gzip.GzipFile(fileobj=self.file, mode="rb"))
        if self.compression == "bzip2":
            return stack.enter_context(bz2.BZ2File(self.file, "rb"))
        if self.compression == "zip":
            archive = stack.enter_context(zipfile.ZipFile(self.file))
            member = archive.open(_only_member(archive))
            return cast(Stream, stack.enter_context(member))
        return self.file


@contextmanager
def open_packed(path: str | os.PathLike[str]) -> Iterator[PackedFile]:
    """Open a regular file; its compression is told from its first bytes, not from its name.

    Raises:
        MapError: a folder, a pipe or a device.
        MissingFileError: there is no such file.
        OSError: the file cannot be read.
    """
    path = existing(path, MapError)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise MapError(f"is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}: wanted a map file")
    with open(path, "rb") as file:
        state = os.fstat(file.fileno())  # before anything is read, so that no change can hide
        kind = kind_of(file.read(START_BYTES))
        compression = kind.code if kind is not None and kind.code in _COMPRESSIONS else ""
        yield PackedFile(file, stored_name(path), compression, state.st_size, state.st_mtime_ns)


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The one file of an archive; macOS adds files of its own, which do not count."""
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        names = ", ".join(m.filename[:40] for m in members[:3]) or "none"
        raise MapError(
            f"a zip archive of {len(members)} files ({names}{', ...' if len(members) > 3 else ''}): "
            "wanted one map: unpack it and give the map"
        )
    member = members[0]
    if member.flag_bits & 1:
        raise MapError("an encrypted zip archive: wanted one that opens without a password: unpack it first")
    if member.compress_type not in _ZIP_METHODS:
        raise MapError(
            f"a zip archive packed by method {member.compress_type}: wanted deflate or bzip2: unpack it first"
        )
    return member
