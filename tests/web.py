"""A server on this machine that answers as one far away may: well, badly, late, or never to the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LATE = 20.0
"""Longest that a late answer keeps its thread, seconds."""


@dataclass
class Answer:
    """What the server gives for a path.

    Attributes:
        body: what is sent.
        status: HTTP status.
        headers: more of them.
        length: Content-Length that is stated; None for the body's own, -1 for none.
        held_after: bytes after which no more come while the server is up; None for all at once.
        drip: whether the rest then comes byte by byte, ten a second.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    held_after: int | None = None
    drip: bool = False


@dataclass
class Site:
    """A running server.

    Attributes:
        address: of its root.
        answers: by path; what is not there is 404.
        asked: method and path of each request, in order.
    """

    address: str
    answers: dict[str, Answer]
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(answers: dict[str, Answer]) -> Iterator[Site]:
    """A server on the loopback address, for as long as the block runs."""
    over = threading.Event()
    site = Site("", answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(f"{self.command} {self.path}")
            answer = answers.get(self.path.partition("?")[0], Answer(b"no such page", 404))
            self.send_response(answer.status)
            length = len(answer.body) if answer.length is None else answer.length
            if length >= 0:
                self.send_header("Content-Length", str(length))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                self._send(answer)
            self.close_connection = True

        do_HEAD = do_GET

        def _send(self, answer: Answer) -> None:
            if answer.held_after is None:
                self.wfile.write(answer.body)
                return
            self.wfile.write(answer.body[: answer.held_after])
            self.wfile.flush()
            if not answer.drip:
                over.wait(LATE)
            for value in answer.body[answer.held_after :]:
                if over.wait(0.1):
                    return
                self.wfile.write(bytes([value]))
                self.wfile.flush()

        def log_message(self, format: str, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
