"""A proxy before a real tracking server that fails where, when and how a test says."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the real server said."""

    status: int
    body: bytes
    kind: str = "application/json"


class Asked:
    """One request at the proxy, to be answered in whatever way."""

    def __init__(self, handler: Any, proxy: Proxy, body: bytes) -> None:
        self._handler = handler
        self._body = body
        self.proxy = proxy
        self.method, self.path = handler.command, handler.path

    def real(self) -> Answer:
        """The answer of the real server."""
        server = urlsplit(self.proxy.upstream)
        connection = HTTPConnection(str(server.hostname), server.port, timeout=120)
        with contextlib.closing(connection):
            kind = self._handler.headers.get("Content-Type", "application/json")
            connection.request(self.method, self.path, self._body, {"Content-Type": kind})
            answer = connection.getresponse()
            found = answer.headers.get("Content-Type", "")
            return Answer(status=answer.status, body=answer.read(), kind=found)

    def json(self) -> Any:
        """The real server's answer as JSON."""
        return json.loads(self.real().body)

    def say(
        self, status: int, body: bytes, *headers: tuple[str, str], length: int | None = None
    ) -> None:
        """Answer; ``length`` lies about the body."""
        self._handler.send_response(status)
        for name, value in headers:
            self._handler.send_header(name, value)
        self._handler.send_header("Content-Length", str(len(body) if length is None else length))
        self._handler.end_headers()
        self._handler.wfile.write(body)
        if length is not None and length != len(body):
            self.hang_up()

    def say_json(self, value: Any, status: int = 200) -> None:
        """Answer in JSON."""
        self.say(status, json.dumps(value).encode(), ("Content-Type", "application/json"))

    def drip(self, piece: bytes, before: bytes, seconds: float) -> None:
        """Send ``before`` at once, then a piece now and then, without end."""
        self._handler.wfile.write(before)
        while not self.proxy.over.wait(seconds):
            self._handler.wfile.write(piece)
        self.hang_up()

    def silence(self) -> None:
        """Say nothing, and keep the connection."""
        self.proxy.over.wait(120)
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection."""
        self._handler.close_connection = True

    def reset(self) -> None:
        """End the connection as a machine does that knows nothing of it."""
        self._handler.wfile.flush()
        off = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, off)
            self._handler.connection.close()
        self.hang_up()


Fault = Callable[[Asked], None]
Rule = Callable[[Asked], Fault | None]


@dataclass
class Proxy:
    """A running proxy.

    ``rule`` says which fault answers a request, None for the real server; ``hits`` are the times
    (``time.monotonic``) of the requests that a fault answered.
    """

    upstream: str
    rule: Rule
    over: threading.Event = field(default_factory=threading.Event)
    hits: list[float] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    _server: ThreadingHTTPServer | None = None
    _down: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the port that it had before if it had one."""
        self._down = False
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        server.daemon_threads = True
        self.port, self._server = server.server_address[1], server
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._down = True
        if self._server:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()

    def answer(self, handler: Any) -> None:
        """One request."""
        size = int(handler.headers.get("Content-Length") or 0)
        asked = Asked(handler, self, handler.rfile.read(size))
        self.asked.append(asked.path)
        if self._down:
            asked.reset()
            return
        fault = self.rule(asked)
        if fault:
            self.hits.append(time.monotonic())
            fault(asked)
            return
        found = asked.real()
        asked.say(found.status, found.body, ("Content-Type", found.kind))


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            proxy.answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def handle(self) -> None:
            with contextlib.suppress(OSError, ValueError):  # whoever asked has gone
                super().handle()

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().finish()

    return Handler


@contextlib.contextmanager
def proxied(upstream: str, rule: Rule) -> Iterator[Proxy]:
    """A proxy on loopback."""
    proxy = Proxy(upstream, rule)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        proxy.stop()


def at(*places: str, fault: Fault) -> Rule:
    """A fault at every request whose path holds one of these."""
    return lambda asked: fault if any(one in asked.path for one in places) else None
