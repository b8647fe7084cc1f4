"""Real processes that get a signal: how long they take to end, and what they leave.

The time that is held against the limit is that of a machine with nothing else to do: from the
signal to the end, without what its threads spent waiting for a CPU that others used (one of them
may hold Python's lock meanwhile), and at least the CPU time that it used. Linux counts that for
each thread (``/proc/<pid>/task/<tid>/schedstat``).
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from commands import environment
from conftest import BIN, ROOT
from warm_commands import MARK, gone

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """How a process ended.

    ``code`` as a shell says it; ``wall`` and ``quiet`` are seconds from the signal to the end, the
    second without waiting for a CPU.
    """

    code: int
    wall: float
    quiet: float
    said: str


class Running:
    """A command as a process of its own, on a terminal where ``terminal`` says so."""

    def __init__(
        self, program: str, args: Sequence[str], *, cwd: Path, env: dict[str, str], mark: str,
        terminal: bool = False,
    ) -> None:  # fmt: skip
        self.mark = mark
        self._said = bytearray()
        variables = environment({**env, MARK: mark, "PYTHONPATH": str(ROOT), "TERM": "xterm"})
        master, slave = pty.openpty() if terminal else os.pipe()
        self._reading = master
        self._slave = slave if terminal else None
        self._settings = termios.tcgetattr(slave) if terminal else None
        self.process = subprocess.Popen(
            [str(BIN / program), *args],
            cwd=cwd,
            env=variables,
            stdin=slave if terminal else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=slave,
            start_new_session=terminal,
            # What a shell starts in the background ignores Ctrl-C, and passes that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        if not terminal:
            os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def said(self) -> str:
        return bytes(self._said).decode("utf-8", "replace")

    def began(self) -> bool:
        """Wait until the command, and not Python alone, decides what signals do."""
        while self.process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                status = Path(f"/proc/{self.process.pid}/status").read_text()
                caught = int(status.split("SigCgt:")[1].split()[0], 16)
                if caught & (1 << (signal.SIGTERM - 1)):
                    return True
            time.sleep(0.002)
        return False

    def says(self, text: str, seconds: float = 60) -> None:
        """Wait until it says this."""
        deadline = time.monotonic() + seconds
        while text not in self.said:
            assert time.monotonic() < deadline, self.said[-2000:]
            assert self.process.poll() is None, self.said[-2000:]
            time.sleep(0.01)

    def stop(self, number: signal.Signals) -> Stopped:
        """Send a signal, and wait for the end."""
        pid = self.process.pid
        before, began = self._times(), time.monotonic()
        os.kill(pid, number)
        deadline, last = began + 60, dict(before)
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            assert time.monotonic() < deadline, self.said[-2000:]
            last |= self._times()
            time.sleep(0.002)
        wall = time.monotonic() - began
        last |= self._times()
        used, waited = (
            sum(now[which] - before.get(thread, (0, 0))[which] for thread, now in last.items())
            for which in (0, 1)
        )
        quiet = max(wall - waited, min(used, wall))
        code = self.process.wait()
        self._reader.join(timeout=5) if self._slave is None else time.sleep(0.1)
        as_shell = 128 - code if code < 0 else code
        return Stopped(code=as_shell, wall=wall, quiet=quiet, said=self.said)

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._slave is not None:
            assert termios.tcgetattr(self._slave) == self._settings
            os.close(self._slave)
        self._reader.join(timeout=5)
        os.close(self._reading)
        gone(self.mark, 10)

    def _times(self) -> dict[str, tuple[float, float]]:
        """The seconds that each thread has used a CPU, and has waited for one."""
        found = {}
        for place in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError):
                used, waited, _ = place.read_text().split()
                found[place.parent.name] = (int(used) / 1e9, int(waited) / 1e9)
        return found

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := os.read(self._reading, 65536):
                self._said += part
                # Where the cursor is, as every terminal tells when it is asked.
                for _ in range(part.count(b"\x1b[6n")):
                    os.write(self._reading, b"\x1b[1;1R")


@contextmanager
def running(*args: str, program: str, **how: Any) -> Iterator[Running]:
    """A command; whatever happens, it and what it started are gone afterwards."""
    made = Running(program, args, **how)
    try:
        yield made
    finally:
        made.close()


# A server that takes its time.


@contextmanager
def slow_server(answers: int, pause: float) -> Iterator[str]:
    """A tracking server that gives so many answers, each after a pause, and then drips.

    It has more runs than fit a page, so that several requests are under way at once.
    """
    given = [0]
    ends = threading.Event()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            with lock:
                given[0] += 1
                number = given[0]
            ends.wait(pause)
            content = json.dumps(_answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):
                if number > answers:
                    for byte in content:
                        self.wfile.write(bytes([byte]))
                        if ends.wait(0.2):
                            return
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ends.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(path: str) -> dict[str, Any]:
    # Long enough to drip for minutes.
    if "experiments" in path:
        one = {"experiment_id": "1", "name": "slow", "lifecycle_stage": "active"}
        return {"experiments": [one], "nothing": " " * 1000}
    if "runs" in path:
        info = {"run_id": "0" * 32, "run_name": "one", "experiment_id": "1", "status": "FINISHED"}
        info |= {"start_time": 1_760_000_000_000, "end_time": 1_760_000_100_000}
        return {"runs": [{"info": info, "data": {}}], "next_page_token": os.urandom(8).hex()}
    return {"nothing": " " * 1000}
