"""The tripwires of ``tripwires/tripwire.py`` around the whole session, as a plugin of pytest.

A test in which one trips fails, also where the error was swallowed, or where it tripped in a
command or a kernel that the test started: those have the wires too, by ``PYTHONPATH``, and note
what trips in a file of this session.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

WIRES = Path(__file__).resolve().parent / "tripwires"
sys.path.insert(0, str(WIRES))

import tripwire  # noqa: E402 - found on the path of the line above

_log = Path(tempfile.mkstemp(prefix="tripwires-", suffix=".log")[1])
_read = 0

tripwire.install()
os.environ[tripwire.LOG] = str(_log)
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(WIRES), *filter(None, [os.environ.get("PYTHONPATH")])]
)


def tripped() -> list[str]:
    """What tripped since this was asked before, here and in processes that were started."""
    global _read
    # What trips in this process stands in the file too.
    tripwire.trips.clear()
    if _log.stat().st_size == _read:
        return []
    with _log.open(encoding="utf-8") as file:
        file.seek(_read)
        found = file.read()
        _read = file.tell()
    return found.splitlines()


@contextlib.contextmanager
def tripping() -> Iterator[list[str]]:
    """For counter-proofs: the list has what tripped, once the block has ended."""
    found: list[str] = []
    fail(tripped())
    try:
        yield found
    finally:
        found += tripped()


def fail(found: list[str]) -> None:
    """Raise when something tripped."""
    if found:
        pytest.fail("a tripwire tripped: " + "; ".join(found[:5]), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    yield
    fail(tripped())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    yield
    fail(tripped())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    yield
    fail(tripped())


def pytest_unconfigure() -> None:
    _log.unlink(missing_ok=True)
