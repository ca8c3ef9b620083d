"""Serves one page to this machine's browser: the page, Mol*, and the bytes that it names; nothing else."""

from __future__ import annotations

import gzip
import secrets
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nmap.errors import NmapError
from nmap.plain_text import printable
from nmap.viewer.page import MOLSTAR, Contents, served_page

LOOPBACK = "127.0.0.1"
# How often an open page is written to, to learn whether it is still there, seconds.
_BEAT = 1.0
# How long no page may be open before the server ends: a page that is loaded again closes first, seconds.
_PATIENCE = 4.0


class PageServer:
    """A server on the loopback address, at a random port, under a random path.

    Args:
        contents: what the page shows.
    """

    def __init__(self, contents: Contents) -> None:
        self._path = "/" + secrets.token_urlsafe(16) + "/"
        page = served_page(contents).encode()
        self.blobs: dict[str, tuple[str, str, Callable[[], bytes]]] = {
            "": ("text/html; charset=utf-8", "", lambda: page),
            "molstar.js": ("text/javascript", "gzip", MOLSTAR.read_bytes),
        }
        for name, make in contents.blobs().items():
            self.blobs[name] = ("application/octet-stream", "", make)
        self._pages = 0
        self._closed_at: float | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self, self._path))
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """The page's address; who does not know it gets nothing."""
        return f"http://{self.host}{self._path}"

    @property
    def host(self) -> str:
        """Address and port, as a browser says them."""
        return f"{LOOPBACK}:{self._server.server_port}"

    def run(self) -> None:
        """Serve until the page is closed, or until an exception such as `KeyboardInterrupt`."""
        self._server.timeout = 0.5
        try:
            while not self._is_over():
                self._server.handle_request()
        finally:
            self.close()

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()

    def opened(self) -> None:
        """A page is there."""
        with self._lock:
            self._pages += 1
            self._closed_at = None

    def closed(self) -> None:
        """A page is gone."""
        with self._lock:
            self._pages -= 1
            if not self._pages:
                self._closed_at = time.monotonic()

    def _is_over(self) -> bool:
        with self._lock:
            return self._closed_at is not None and time.monotonic() - self._closed_at > _PATIENCE


def _handler(owner: PageServer, path: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET for the names that the owner has."""

        server_version = "nmap-view"
        sys_version = ""

        def do_GET(self) -> None:
            # The host is checked, for a foreign page may point a name of its own at this machine.
            if self.headers.get("Host") != owner.host or not self.path.startswith(path):
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            name = self.path.removeprefix(path)
            if name == "alive":
                self._stay()
            elif name in owner.blobs:
                self._answer(*owner.blobs[name])
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def _answer(self, kind: str, encoding: str, make: Callable[[], bytes]) -> None:
            try:
                data = make()
            except NmapError as error:
                reason = printable(str(error)).encode("ascii", "replace").decode()
                self.send_error(HTTPStatus.UNPROCESSABLE_ENTITY, reason)
                return
            if encoding and encoding not in self.headers.get("Accept-Encoding", ""):
                data, encoding = gzip.decompress(data), ""
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            if encoding:
                self.send_header("Content-Encoding", encoding)
            self.end_headers()
            self.wfile.write(data)

        def _stay(self) -> None:
            """Hold the line open as long as the page does."""
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            owner.opened()
            try:
                while True:
                    self.wfile.write(b":\n\n")
                    self.wfile.flush()
                    time.sleep(_BEAT)
            except OSError:
                pass
            finally:
                owner.closed()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing: the terminal is the user's."""

    return Handler
