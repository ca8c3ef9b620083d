"""One file of a zip archive, named `ARCHIVE.zip::NAME`, on disk or at an http address that gives ranges of bytes.

Nothing but the archive's directory and that one file is read: zip format, APPNOTE 6.3.10, sections 4.3 and 4.4.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nmap.errors import MissingFileError, NmapError
from nmap.machine.inputs import existing

SEPARATOR = "::"
"""Between an archive and the name of a file in it."""

_SUFFIX = ".nmap"
# The largest `.nmap` file that the format allows (spec/nmap-1.0.md, limits).
_MOST_BYTES = (1 << 30) + (1 << 21)
# Bytes of the end of an archive that are asked for first: its closing record, with the longest comment there can be.
_TAIL = (1 << 16) + 128
# Bytes that are asked for at once, at least: a header and the file behind it come together.
_AHEAD = 1 << 16
# Seconds without an answer after which an address counts as dead.
_PATIENCE = 30.0
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether it is an http address, not a path."""
    return os.fspath(path).startswith(("http://", "https://"))


def member_of(path: str | os.PathLike[str]) -> tuple[str, str] | None:
    """An archive and the name in it; None of a plain path, and of a file that happens to be called so."""
    text = os.fspath(path)
    if is_address(text):
        begin = text.rfind("]") + 1  # beyond the colons of an IPv6 host
        archive, found, name = text[begin:].partition(SEPARATOR)
        return (text[:begin] + archive, name) if found else None
    if SEPARATOR not in text or os.path.lexists(text):
        return None
    # Names on either side may hold the separator too: the archive is the first part that is there.
    places = [found.start() for found in re.finditer(SEPARATOR, text)]
    at = next((place for place in places if os.path.isfile(text[:place])), places[-1])
    return text[:at], text[at + len(SEPARATOR) :]


def _shown(archive: str) -> str:
    """An archive as messages name it: of an address without password and query, which may give access."""
    return re.sub(r"//[^/@]*@", "//", archive.partition("?")[0]) if is_address(archive) else archive


@contextmanager
def open_input(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file, or one of an archive, for reading; it can seek.

    Args:
        path: a path, or `ARCHIVE::NAME`; the archive may be an http address. `.nmap` may be left out of NAME.

    Raises:
        MissingFileError: there is no such file, or no such name in the archive.
        NmapError: no regular file; no zip archive, or a damaged one; a packed or encrypted member; an address that
            gives no ranges.
        OSError: it cannot be read.
    """
    inside = member_of(path)
    if inside is None:
        with open(existing(path, most=_MOST_BYTES), "rb") as file:
            yield file
        return
    archive, name = inside
    with _opened(archive) as file:
        yield io.BytesIO(_member(file, archive, name))


def read_input(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file, or of one of an archive; raises as `open_input`."""
    with open_input(path) as file:
        return file.read()


def names(archive: str | os.PathLike[str]) -> list[str]:
    """Names of the `.nmap` files of an archive, without that ending; raises as `open_input`."""
    with _opened(os.fspath(archive)) as file, _zip(file, os.fspath(archive)) as opened:
        return sorted(name.removesuffix(_SUFFIX) for name in opened.namelist() if name.endswith(_SUFFIX))


@contextmanager
def _opened(archive: str) -> Iterator[BinaryIO]:
    if is_address(archive):
        with io.BufferedReader(RangeFile(archive), _AHEAD) as remote:
            yield remote
    else:
        with open(existing(archive), "rb") as file:
            yield file


def _zip(file: BinaryIO, archive: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise NmapError(
            f"{_shown(archive)}: is no zip archive, or damaged ({error}): give one of 'nmap batch pack'"
        ) from None


def _member(file: BinaryIO, archive: str, name: str) -> bytes:
    with _zip(file, archive) as opened:
        for wanted in (name, name + _SUFFIX):
            try:
                info = opened.getinfo(wanted)
                break
            except KeyError:
                continue
        else:
            raise MissingFileError(
                f"{_shown(archive)}: has no {name!r} among its {len(opened.namelist())} files: give one of its names"
            )
        if info.flag_bits & 1 or info.compress_type != zipfile.ZIP_STORED:
            raise NmapError(
                f"{_shown(archive)}{SEPARATOR}{name}: is packed or encrypted inside the archive: wanted one that is "
                "stored as it is: make the archive with 'nmap batch pack' or zip -0"
            )
        if info.file_size > _MOST_BYTES or info.file_size != info.compress_size:
            raise NmapError(
                f"{_shown(archive)}{SEPARATOR}{name}: {info.file_size} bytes, at most {_MOST_BYTES}"
            )
        try:
            return opened.read(info)
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise NmapError(
                f"{_shown(archive)}{SEPARATOR}{name}: damaged ({error}): get the archive again"
            ) from None


class RangeFile(io.RawIOBase):
    """A file at an http address, read by ranges (RFC 9110, section 14); the end of it is fetched first.

    Args:
        address: http or https.

    Raises:
        NmapError: no answer, or one that gives no ranges.
    """

    def __init__(self, address: str) -> None:
        self._address, self._shown, self._at = address, _shown(address), 0
        self.requests = 0
        self._tail, self._tail_from, self._size = self._fetch(f"bytes=-{_TAIL}", _TAIL)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fetch as many bytes as the buffer takes."""
        first, end = self._at, min(self._at + len(buffer), self._size)
        if first >= end:
            return 0
        if first >= self._tail_from:
            data = self._tail[first - self._tail_from : end - self._tail_from]
        else:
            data, begins, _ = self._fetch(f"bytes={first}-{end - 1}", end - first)
            if begins != first:
                raise NmapError(f"{self._shown}: gave bytes from {begins}, wanted {first}")
            data = data[: end - first]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _fetch(self, wanted: str, most: int) -> tuple[bytes, int, int]:
        """At most so many bytes, where they begin, and the size of the whole."""
        import http.client
        import urllib.error  # not above: decoding a file from disk needs no network
        import urllib.request

        self.requests += 1
        request = urllib.request.Request(self._address, headers={"Range": wanted})
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                placed = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if answer.status != 206 or placed is None:
                    raise NmapError(
                        f"{self._shown}: the server gives no ranges of a file: download it and give its path"
                    )
                first, last, size = (int(number) for number in placed.groups())
                count = last - first + 1
                if not 0 < count <= most:
                    raise NmapError(f"{self._shown}: the server gave {count} bytes, wanted 1 to {most}")
                data: bytes = answer.read(count)
                return data, first, size
        except (urllib.error.URLError, http.client.HTTPException, ValueError, OSError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else type(error).__name__
            raise NmapError(f"{self._shown}: cannot be fetched ({reason}): check the address") from None


def shown_name(path: str | os.PathLike[str]) -> str:
    """The name without folders: of a file in an archive its own, with its ending."""
    inside = member_of(path)
    if inside is None:
        return Path(path).name
    return inside[1] if inside[1].endswith(_SUFFIX) else inside[1] + _SUFFIX
