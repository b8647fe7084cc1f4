"""Orders for ``warm_server.py``: commands in a forked child that is killed, or whose disk fails."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import CREATE, environment
from conftest import ROOT

MARK = "TORTURE_MARK"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that came to its end, or was brought to it (``code`` is -9 then).

    Attributes:
        calls: what was asked of the disk, in order; ``puts`` the seconds of each writing. Of a
            child that was killed nothing is known.
    """

    code: int
    out: str
    err: str
    seconds: float
    cpu: float
    calls: Sequence[str] = ()
    puts: Sequence[float] = ()


class Warm:
    """Runs commands in forked children, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        env = environment({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
        # What it imports must be what is tested.
        env["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("warm_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )

    def run(
        self,
        *args: str,
        cwd: Path,
        program: str = CREATE,
        env: Mapping[str, str] | None = None,
        kill: tuple[int | None, float] | None = None,
        pieces: int = 0,
        careless: bool = False,
        under: Sequence[Path] = (),
        fault: tuple[int, int, bool] | None = None,
        uid: int | None = None,
    ) -> Ended:
        """Run a command.

        Args:
            args: of the command; of ``python`` the code to run.
            cwd: where.
            program: an installed one, or ``python``.
            env: variables to set.
            kill: (which writing, seconds): SIGKILL so long after that writing begins, counted from
                0; after the start where it is None.
            pieces: a slow disk takes files in so many pieces, 1 ms each.
            careless: write with ``open("wb")``.
            under: folders where calls are counted.
            fault: (which call, errno, whether all calls after it fail too).
            uid: the user to become.
        """
        names = {one: str(self._folder / one) for one in ("out", "err", "report")}
        for one in names.values():
            Path(one).unlink(missing_ok=True)
        order = {
            **names,
            "args": args,
            "cwd": str(cwd),
            "program": program,
            "env": environment({"PYTHONPATH": str(ROOT), **(env or {})}),
            "kill": None if kill is None else {"put": kill[0], "after": kill[1]},
            "pieces": pieces,
            "careless": careless,
            "under": [str(one) for one in under],
            "fault": None if fault is None else {"at": fault[0], "errno": fault[1], "on": fault[2]},
            "uid": uid,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        told: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(Path(names["report"]).read_text())
        return Ended(
            **answer, **told, out=Path(names["out"]).read_text(), err=Path(names["err"]).read_text()
        )

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@contextmanager
def warm(folder: Path) -> Iterator[Warm]:
    """A warm server, with a folder for what its children say."""
    made = Warm(folder)
    try:
        yield made
    finally:
        made.close()


def marked(mark: str) -> list[int]:
    """The processes of which a variable of the environment holds this, zombies aside."""
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def gone(mark: str, seconds: float) -> float:
    """How long it took until no process of that mark was left; fails when it takes too long."""
    began = time.monotonic()
    while left := marked(mark):
        if time.monotonic() - began > seconds:
            said = [Path(f"/proc/{pid}/cmdline").read_bytes()[:300] for pid in left]
            raise AssertionError(f"still there after {seconds} s: {said}")
        time.sleep(0.05)
    return time.monotonic() - began
