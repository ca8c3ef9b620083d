"""Files that lie elsewhere, at a URL or in the EMDB archive: fetched whole, within limits, to a temporary file."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from nmap.errors import LimitError, MissingFileError, MissingPackageError, NmapError, OptionError, RemoteError
from nmap.machine.packages import require_package
from nmap.plain_text import printable
from nmap.version import __version__

Told = Callable[[int, int | None], None]
"""Takes the bytes that have come, and all that will, None where the server does not say."""

ARCHIVE = "https://files.wwpdb.org/pub/emdb/structures"
"""The EMDB archive: below it lies EMD-NNNN/map/emd_NNNN.map.gz (https://www.ebi.ac.uk/emdb/documentation)."""

ARCHIVE_VARIABLE = "NMAP_EMDB_URL"
"""Environment variable that names a mirror of the archive."""

MAP_BYTES = 16 << 30
"""Most bytes of a map, packed or not: no entry of the archive is larger."""

PATIENCE = 30.0
"""Longest wait for a connection, and for the next bytes, seconds."""

LEAST_RATE = 10_000
"""Bytes a second that must come on average once `PATIENCE` is over, or the server may hold us for ever."""

_CHUNK = 1 << 20
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://.")
_ENTRY = re.compile(r"emd:(.*)", re.IGNORECASE | re.DOTALL)
_MAP = re.compile(r"(.*)/map/emd_([0-9]+)\.map\.gz", re.DOTALL)
_LONGEST_NAME = 120


class RemoteFile(os.PathLike[str]):
    """A file at a URL. As a path, and in every message, it is its address without user, password and query.

    Args:
        address: a URL that fsspec knows, or `emd:` and the number of an EMDB entry, which means its map.
        told: called as bytes come.

    Raises:
        OptionError: an address that is not fetched.
    """

    def __init__(self, address: str, told: Told | None = None) -> None:
        self._address = _entry(address)
        self.is_entry = self._address != address
        self._told = told
        self._here: Path | None = None
        self._remove: Callable[[], object] | None = None
        scheme = self._address.partition("://")[0].lower()
        if scheme in ("file", "local"):
            raise OptionError(f"{address}: lies on this machine: give its path, without {scheme}://")
        parts = urlsplit(self._address)
        self.url = printable(urlunsplit((scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))

    def __fspath__(self) -> str:
        return self.url

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of its address."""
        name = printable(unquote(self.url).rstrip("/").rpartition("/")[2]).replace(os.sep, "?")
        return name[-_LONGEST_NAME:].lstrip(".") or "file"

    def local(self, most: int = MAP_BYTES) -> Path:
        """A copy on this machine, fetched when it is first asked for; it goes when this object goes.

        Args:
            most: bytes that are fetched.

        Raises:
            MissingFileError: there is no such file there.
            LimitError: it is larger than `most`, or than the disk has room for.
            RemoteError: it did not come, not whole, or too slowly.
            MissingPackageError: the extra `remote` is not installed, or what else this kind of URL needs.
        """
        if self._here is None:
            folder = tempfile.mkdtemp(prefix="nmap-")
            self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            here = Path(folder) / self.name
            try:
                with open(here, "xb") as out:
                    for chunk in self._chunks(min(most, shutil.disk_usage(folder).free)):
                        out.write(chunk)
            except BaseException:
                self.close()
                raise
            self._here = here
        return self._here

    def close(self) -> None:
        """Remove the copy on this machine, if there is one."""
        self._here = None
        if self._remove is not None:
            self._remove()

    def _chunks(self, most: int) -> Iterator[bytes]:
        """The file's bytes; every failure as an error of nmap's own."""
        began, done = time.monotonic(), 0
        try:
            with closing(_opened(self._address)) as file:
                total = _length(file)
                self._check(max(total or 0, 0), most)
                while chunk := file.read(_CHUNK):
                    done += len(chunk)
                    self._check(done, most)
                    seconds = time.monotonic() - began
                    if seconds > PATIENCE and done < LEAST_RATE * seconds:
                        raise self._failed(f"{done} bytes in {seconds:.0f} s")
                    if self._told is not None:
                        self._told(done, total)
                    yield chunk
            if total is not None and done != total:
                raise self._failed(f"{done} of {total} bytes came")
        except NmapError:
            raise
        except FileNotFoundError:
            raise MissingFileError(f"{self.url}: no such file there: check the address") from None
        except ImportError as error:
            raise MissingPackageError(f"{self.url}: {printable(str(error))}: install that package") from None
        except Exception as error:  # each kind of URL has failures of its own
            raise self._failed(self._reason(error)) from None

    def _check(self, size: int, most: int) -> None:
        if size > most:
            raise LimitError(
                f"{self.url}: {size} bytes or more: at most {most} are fetched: "
                "check the address, or download it and give its path"
            )

    def _failed(self, reason: str) -> RemoteError:
        return RemoteError(
            f"{self.url}: could not be fetched ({reason}): try again, or download it and give its path"
        )

    def _reason(self, error: Exception) -> str:
        """What went wrong, in few words, with nothing of the address that may be secret."""
        kind = type(error).__name__
        if isinstance(error, TimeoutError):
            return f"nothing came for {PATIENCE:g} s"
        if kind == "NonHttpUrlRedirectClientError":
            return f"the server sends us on to {printable(str(error))[:80]}, wanted http or https"
        status = getattr(error, "status", None)
        if isinstance(status, int) and status:
            return (
                f"the server answers {status} {printable(str(getattr(error, 'message', '')))[:80]}".rstrip()
            )
        said = printable(str(error).replace(self._address, self.url))[:160]
        return f"{kind}: {said}" if said else kind


def located(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """A remote file where a text names a URL or an EMDB entry; every other path as it is.

    Raises:
        OptionError: an address that is not fetched.
    """
    return RemoteFile(path) if isinstance(path, str) and is_remote(path) else path


def is_remote(text: str) -> bool:
    """Whether a text is a URL or names an EMDB entry.

    `./emd:1` is a file of that name; `URL::NAME` is one of an archive, of which no more is read.
    """
    return "::" not in text and bool(_URL.match(text) or _ENTRY.fullmatch(text))


def header_of(path: str | os.PathLike[str]) -> RemoteFile | None:
    """The XML header of the EMDB entry whose map a remote file is; None for any other file."""
    found = _MAP.fullmatch(path.url) if isinstance(path, RemoteFile) and path.is_entry else None
    return None if found is None else RemoteFile(f"{found[1]}/header/emd-{found[2]}.xml")


def url_of(path: str | os.PathLike[str]) -> str:
    """Where a remote file lies, without user, password and query; "" for a file on this machine."""
    return path.url if isinstance(path, RemoteFile) else ""


def _entry(address: str) -> str:
    """The URL of an EMDB entry's map; any other address as it is."""
    entry = _ENTRY.fullmatch(address)
    if entry is None:
        return address
    if not re.fullmatch(r"[0-9]{1,6}", entry[1]):
        raise OptionError(f"{address!r}: wanted emd: and the number of an EMDB entry, such as emd:11007")
    number = f"{int(entry[1]):04d}"
    archive = os.environ.get(ARCHIVE_VARIABLE) or ARCHIVE
    if not _URL.match(archive):
        raise OptionError(f"{ARCHIVE_VARIABLE}={archive}: wanted the URL of the archive, such as {ARCHIVE}")
    return f"{archive.rstrip('/')}/EMD-{number}/map/emd_{number}.map.gz"


def _opened(address: str) -> Any:
    """A file at a URL, open for reading from its start on."""
    require_package("fsspec", "remote", "a file at a URL")
    import fsspec

    scheme = address.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        return fsspec.filesystem(scheme, skip_instance_cache=True).open(address, "rb")
    require_package("aiohttp", "remote", "a file at a URL")
    import aiohttp

    client = {
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=PATIENCE, sock_read=PATIENCE),
        # The bytes as they lie there: servers call a `.gz` file an encoding.
        "auto_decompress": False,
        "headers": {"Accept-Encoding": "identity", "User-Agent": f"nmap-em/{__version__}"},
        "trust_env": True,  # proxies
    }
    web = fsspec.filesystem("https", skip_instance_cache=True, client_kwargs=client)
    # With a size given it asks no questions first; without blocks it streams.
    return web.open(address, "rb", block_size=0, size=1)


def _length(file: Any) -> int | None:
    """Bytes that an open remote file has; None where the server does not say."""
    answer = getattr(file, "r", None)
    stated = file.size if answer is None else answer.headers.get("Content-Length")
    try:
        return int(stated)
    except (TypeError, ValueError):
        return None
