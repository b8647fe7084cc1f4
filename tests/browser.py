"""A real headless Chromium, driven over its debugging pipe: what a page does when it is opened."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)
WHY_NOT = "no Chromium or Chrome is installed (Debian: apt-get install chromium)"


@dataclass(kw_only=True)
class Seen:
    """What a page did: messages of the console, requests but for itself and ``data:``, dialogs."""

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


class Page:
    """A page in the browser. It ends with the ``with`` that opened it."""

    def __init__(self, send: Callable[..., Any], seen: Seen) -> None:
        self._send = send
        self.seen = seen

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page, whatever its policy says of scripts."""
        return self._send("Runtime.evaluate", expression=script, returnByValue=True)["result"].get(
            "value"
        )

    def wait_for(self, script: str, seconds: float = 30) -> None:
        """Until an expression in the page is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({script})"):
            if time.monotonic() > end:
                text = self.evaluate("document.body.innerText")
                raise TimeoutError(f"{script} did not come true; the page: {text[:2000]}")
            time.sleep(0.1)

    def click(self, element: str) -> None:
        """Press and release the mouse in the middle of an element, scrolled into sight."""
        place = f"(e => {{ e.scrollIntoView({{block: 'center'}}); return e; }})({element})"
        box = f"(b => [b.x + b.width / 2, b.y + b.height / 2])({place}.getBoundingClientRect())"
        x, y = self.evaluate(box)
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Look at it in a window of another size, and with the other choice of colours."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, clip: Mapping[str, float] | None = None) -> None:
        """What is in the window, or in a rectangle of the page (x, y, width, height), as PNG."""
        more = {"clip": {"scale": 1, **clip}, "captureBeyondViewport": True} if clip else {}
        data = self._send("Page.captureScreenshot", format="png", **more)["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def opened(url: str, profile: Path, *, seconds: float = 40) -> Iterator[Page]:
    """A page that has loaded, and had a moment to do more.

    Args:
        url: its address.
        profile: a folder that only this browser uses.
        seconds: how long to wait for an answer before giving up.
    """
    assert PROGRAM is not None
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()

    def as_3_and_4() -> None:
        # Out of each other's way first: one may be the other's number.
        left, right = os.dup(to_browser), os.dup(from_browser)
        os.dup2(left, 3)
        os.dup2(right, 4)

    command = [PROGRAM, "--headless", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
    command += ["--disable-background-networking", "--disable-component-update"]
    command += ["--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    command += ["--no-sandbox"] if os.getuid() == 0 else []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=False,
        preexec_fn=as_3_and_4,
        start_new_session=True,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield _loaded(_Wire(from_us, to_us, seconds), url)
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        os.close(from_us)
        os.close(to_us)


class _Wire:
    """Commands of the DevTools protocol, and the events between their answers."""

    def __init__(self, out: int, back: int, seconds: float) -> None:
        self._out, self._back, self._seconds = out, back, seconds
        self._rest = b""
        self._last = 0
        self.on_event: Callable[[str, dict[str, Any]], None] = lambda method, params: None

    def send(self, method: str, session: str | None = None, **params: Any) -> Any:
        """The answer to a command; events that come before it are told on the way."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        number = self._last
        for came in self._messages(time.monotonic() + self._seconds):
            if came.get("id") == number:
                if "error" in came:
                    raise RuntimeError(f"{method}: {came['error']}")
                return came["result"]
        raise TimeoutError(f"{method} was not answered")

    def listen(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Take events for some time, or until something is so."""
        end = time.monotonic() + seconds
        for _ in self._messages(end):
            if until():
                return

    def _messages(self, end: float) -> Iterator[dict[str, Any]]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._back, selectors.EVENT_READ)
            while True:
                while b"\0" in self._rest:
                    line, _, self._rest = self._rest.partition(b"\0")
                    came = json.loads(line)
                    if "method" in came:
                        self.on_event(came["method"], came.get("params", {}))
                    yield came
                if not selector.select(max(0, end - time.monotonic())):
                    return
                data = os.read(self._back, 1 << 20)
                if not data:
                    raise RuntimeError("the browser has ended")
                self._rest += data


def _loaded(wire: _Wire, url: str) -> Page:
    seen, events = Seen(), []

    def note(method: str, params: dict[str, Any]) -> None:
        events.append(method)
        if method == "Network.requestWillBeSent":
            asked = params["request"]["url"]
            if not asked.startswith("data:") and asked.partition("#")[0] != url:
                seen.requests.append(asked)
        elif method == "Runtime.consoleAPICalled":
            seen.console.append(str(params["args"]))
        elif method == "Runtime.exceptionThrown":
            seen.console.append(str(params["exceptionDetails"].get("text")))
        elif method == "Log.entryAdded":
            seen.console.append(params["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            seen.dialogs.append(params["message"])

    wire.on_event = note
    target = wire.send("Target.createTarget", url="about:blank")["targetId"]
    session = wire.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def send(method: str, **params: Any) -> Any:
        return wire.send(method, session, **params)

    for domain in ("Page", "Runtime", "Log", "Network"):
        send(f"{domain}.enable")
    send("Page.navigate", url=url)
    wire.listen(30, lambda: "Page.loadEventFired" in events or bool(seen.dialogs))
    if seen.dialogs:
        send("Page.handleJavaScriptDialog", accept=True)
    wire.listen(1.5)
    return Page(send, seen)


@contextmanager
def canary() -> Iterator[tuple[str, list[str]]]:
    """A server on loopback that notes what is asked of it: its address, and the paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # Whoever keeps it for a whole session is not kept from ending.
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
