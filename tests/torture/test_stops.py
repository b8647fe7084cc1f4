"""Ctrl-C and SIGTERM at random moments of real processes: out in time, nothing left behind."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from commands import CREATE, DEMO
from stopped_commands import CODES, Running, Stopped, running, slow_server
from torture_table import Saw, size
from warm_commands import Warm, gone, warm
from watched_files import (
    EXECUTE,
    HTML,
    MARKDOWN,
    OVERWRITE,
    PDF,
    QUALIA,
    Case,
    Place,
    made_place,
    scene,
)

from qualia_lab.notebook.export_pdf import find

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the signals of POSIX"),
    pytest.mark.timeout(1800),
]
# What is promised; a kernel or a browser has to end first.
SECONDS, SECONDS_WITH_A_PROGRAM = 1.0, 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_marks = itertools.count()


def listing(place: Place, address: str) -> list[str]:
    return ["--tracking-uri", address, "--all", "--no-input"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """A command that is stopped: so often by each signal at the small and the full size.

    Attributes:
        case: what it does with files; ``args`` instead, where it writes none.
        server: how many answers a slow server gives, and the pause before each.
        terminal: it runs on one, and asks; what it says when it does.
        longest: seconds in which it is stopped; what it takes by itself where it is None.
    """

    name: str
    counts: tuple[int, int]
    case: Case | None = None
    args: Callable[[Place, str], Sequence[str]] = listing
    program: str = CREATE
    server: tuple[int, float] | None = None
    terminal: str = ""
    longest: float | None = None
    limit: float = SECONDS
    counted: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


WORKS = [
    Work(name="generate", counts=(1, 10), case=OVERWRITE),
    Work(name="slow server", counts=(1, 6), server=(2, 0.3), longest=2.5),
    Work(name="silent server", counts=(0, 3), server=(0, 0.0), longest=2.5),
    Work(name="execute", counts=(1, 8), case=EXECUTE, limit=SECONDS_WITH_A_PROGRAM),
    Work(name="html", counts=(0, 5), case=HTML),
    Work(name="markdown", counts=(0, 4), case=MARKDOWN),
    Work(name="pdf", counts=(0, 5), case=PDF, limit=SECONDS_WITH_A_PROGRAM),
    Work(name="prompt", counts=(0, 4), terminal="Tracking server", longest=1.0,
         args=lambda place, address: []),
    Work(name="runs", counts=(0, 4), program=QUALIA, longest=1.0,
         args=lambda place, address: ["runs", *place.everything[:2]]),
    Work(name="demo", counts=(0, 5), program=DEMO, longest=6.0,
         args=lambda place, address: ["--tracking-uri", "sqlite:///made.db"]),
    Work(name="doctor", counts=(0, 4), program=QUALIA, limit=SECONDS_WITH_A_PROGRAM,
         longest=5.0, args=lambda place, address: ["doctor", *place.everything[:2]]),
]  # fmt: skip


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with warm(tmp_path_factory.mktemp("warm")) as made:
        yield made


@pytest.fixture(scope="module")
def place(
    warmed: Warm, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with made_place(tmp_path_factory.mktemp("stops"), migrated, warmed) as made:
        yield made


def works() -> list[object]:
    return [
        pytest.param(
            work, size(*work.counts[:1], full=work.counts[1]), id=work.name,
            marks=pytest.mark.xdist_group(f"stops {number % 2}"),
        )
        for number, work in enumerate(WORKS)
        if size(work.counts[0], full=work.counts[1])
    ]  # fmt: skip


@pytest.mark.torture("stops")
@pytest.mark.parametrize(("work", "count"), works())
def test_it_stops_when_told(
    work: Work, count: int, warmed: Warm, place: Place, tmp_path: Path, saw: Saw
) -> None:
    if work.case is PDF and find() is None:
        pytest.skip("no Chromium or Chrome is installed")
    of = random.Random(work.name)
    played = scene(place, work.case or OVERWRITE, tmp_path / "work")
    if work.case:
        played.rehearse(warmed)
    longest = 0.0
    with served(work) as address:
        args = work.case.args(place) if work.case else work.args(place, address)
        how: dict[str, Any] = {
            "program": work.case.program if work.case else work.program,
            "cwd": played.folder,
            "env": place.env(played.folder),
            "terminal": bool(work.terminal),
        }
        seconds = work.longest or alone(args, how)
        for number in [one for one in SIGNALS for _ in range(count)]:
            played.reset()
            stopped = at_some_moment(work, args, how, number, of.uniform(0, seconds))
            assert stopped.code == CODES[number], stopped
            assert stopped.quiet < work.limit, stopped
            assert "Traceback" not in stopped.said, stopped
            assert "Exception ignored" not in stopped.said, stopped
            if work.case:
                assert played.broken() == [], stopped
            assert played.temporary() == [], (
                stopped,
                [str(p) for q in played.temporary() for p in q.rglob("*")][:20],
            )
            longest = max(longest, stopped.quiet)
    stops = {"Ctrl_C": count, "SIGTERM": count}
    kind = "with" if work.limit == SECONDS_WITH_A_PROGRAM else "without"
    most = {f"seconds_at_most_{kind}_a_kernel_or_browser": longest}
    saw(**stops, orphans=0, half_files=0, **most)


def served(work: Work) -> AbstractContextManager[str]:
    return slow_server(*work.server) if work.server else nullcontext("")


def mark() -> str:
    return f"stops {os.getpid()} {next(_marks)}"


def alone(args: Sequence[str], how: dict[str, Any]) -> float:
    """How long the command takes, from where it begins."""
    with running(*args, mark=mark(), **how) as it:
        assert it.began()
        began = time.monotonic()
        assert it.process.wait(timeout=120) == 0, it.said
        return time.monotonic() - began


def at_some_moment(
    work: Work, args: Sequence[str], how: dict[str, Any], number: signal.Signals, after: float
) -> Stopped:
    """Stop it so long after it began; earlier, where it was over by then."""
    for _ in range(20):
        its_mark = mark()
        with running(*args, mark=its_mark, **how) as it:
            stopped = struck(work, it, number, after)
            if stopped is not None:
                # Whatever it started has ended before it, or with it.
                assert gone(its_mark, 1) < 1
                return stopped
        after *= 0.8
    raise AssertionError("it is always over before the signal")


def struck(work: Work, it: Running, number: signal.Signals, after: float) -> Stopped | None:
    if not it.began():
        return None
    if work.terminal:
        it.says(work.terminal)
    time.sleep(after)
    if it.process.poll() is not None:
        return None
    stopped = it.stop(number)
    return None if stopped.code == 0 else stopped


@pytest.mark.torture("stops")
@pytest.mark.xdist_group("stops 0")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_it_began_and_one_more_after(
    number: signal.Signals, warmed: Warm, place: Place, tmp_path: Path, saw: Saw
) -> None:
    """While Python starts, the signal is its own affair; and who presses Ctrl-C twice is heard."""
    of = random.Random(3)
    played = scene(place, EXECUTE, tmp_path / "work")
    played.rehearse(warmed)
    count = size(1, full=5)
    how: dict[str, Any] = {"cwd": played.folder, "env": place.env(played.folder), "program": CREATE}
    for turn in range(count * 2):
        played.reset()
        with running(*EXECUTE.args(place), mark=mark(), **how) as it:
            if turn % 2:
                it.began()
                time.sleep(of.uniform(0, 3))
                os.kill(it.process.pid, number)
                time.sleep(of.uniform(0, 0.3))
            else:
                time.sleep(of.uniform(0, 0.1))
            stopped = it.stop(number)
            assert stopped.code in ((CODES[number], 1, 0) if turn % 2 == 0 else (CODES[number], 0))
            assert stopped.quiet < SECONDS_WITH_A_PROGRAM
            assert gone(it.mark, 5) < 5
        assert played.broken() == []
    saw(signals_before_it_began=count, signals_twice=count)


@pytest.mark.torture("stops")
@pytest.mark.xdist_group("stops 1")
def test_a_main_thread_that_hears_nothing_is_ended(place: Place, tmp_path: Path, saw: Saw) -> None:
    """As in a name that is looked up, or where a library swallows the interrupt."""
    deaf = (
        "import ctypes, sys, time\n"
        "from qualia_lab.cli import console, demo\n"
        "def waits(*args, **kwargs):\n"
        "    print('here', file=sys.stderr, flush=True)\n"
        "    while True:\n"
        "        try: ctypes.CDLL(None).sleep(30) if sys.argv[1] == 'C' else time.sleep(30)\n"
        "        except BaseException: pass\n"
        "import qualia_lab.demo\n"
        "qualia_lab.demo.create_demo_runs = waits\n"
        "console.run(console.application('demo', lambda way: waits(), ''))\n"
    )
    (tmp_path / "deaf.py").write_text(deaf)
    longest = 0.0
    ways = [("C", one) for one in SIGNALS] + [("Python", signal.SIGINT)]
    for way, number in ways:
        how: dict[str, Any] = {"cwd": tmp_path, "env": place.env(tmp_path), "program": "python"}
        with running("deaf.py", way, mark=mark(), **how) as it:
            it.says("here")
            stopped = it.stop(number)
        assert stopped.code == CODES[number], stopped
        assert stopped.said.strip().endswith(("Stopped.", "Terminated."))
        assert stopped.quiet < SECONDS, stopped
        longest = max(longest, stopped.quiet)
    saw(deaf_main_threads=len(ways), seconds_at_most_without_a_kernel_or_browser=longest)
