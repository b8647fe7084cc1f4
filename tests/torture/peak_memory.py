"""How much memory a command and each process below it took at most."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from commands import environment
from conftest import BIN

# A process counts as its own the memory of the one that forked it, so a small one does that: this
# one may hold anything.
_LAUNCHER = """
import os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as file:
    file.write(f"{usage.ru_maxrss} {pid}")
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True, kw_only=True)
class Took:
    """A command that ended: exit code, what it printed, and MB at most: its own, and the largest of
    a process below it (0 where there was none)."""

    code: int
    out: Path
    err: str
    own: float
    below: float
    seconds: float

    @property
    def most(self) -> float:
        return max(self.own, self.below)


def measured(*args: str, cwd: Path, program: str, env: Mapping[str, str] | None = None) -> Took:
    """Run a command to its end and watch it."""
    return measured_process([str(BIN / program), *args], cwd, env)


def measured_process(command: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> Took:
    """As ``measured``, of any program."""
    cwd.mkdir(parents=True, exist_ok=True)
    out, err = cwd / ".out", cwd / ".err"
    start = time.monotonic()
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-ISc", _LAUNCHER, str(cwd / ".peak"), *command],
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    peaks: dict[int, float] = {}
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks, over))
    watcher.start()
    code = process.wait()
    over.set()
    watcher.join()
    own, pid = (cwd / ".peak").read_text().split()
    peaks.pop(int(pid), None)
    return Took(
        code=code,
        out=out,
        err=err.read_text(),
        own=int(own) / 1024,
        below=max(peaks.values(), default=0.0),
        seconds=time.monotonic() - start,
    )


def _watch(pid: int, peaks: dict[int, float], over: threading.Event) -> None:
    """The kernel's own mark of the highest, looked up again and again as long as it is there."""
    while not over.wait(0.05):
        for one in _below(pid):
            try:
                text = Path(f"/proc/{one}/status").read_text()
            except OSError:
                continue
            for line in text.splitlines():
                if line.startswith("VmHWM:"):
                    peaks[one] = max(peaks.get(one, 0.0), int(line.split()[1]) / 1024)


def _program(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _below(pid: int) -> list[int]:
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(one) for one in tasks.read_text().split()]
        except OSError:
            continue
        for child in children:
            # Until it runs its own program, a child shows the memory of the one that started it.
            if _program(child) != _program(pid):
                found += [child, *_below(child)]
    return found
