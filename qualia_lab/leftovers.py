"""What must go when this process goes: files half written, temp folders, programs it started.

Each is removed by the code that made it, however that code ends. Where a stop leaves no time for
that, ``clear`` does it for all of them at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_paths: set[Path] = set()
_programs: list[Callable[[], int | None]] = []


@contextmanager
def path(place: Path) -> Iterator[None]:
    """A temp file or folder that the block removes; a stop may strike while it does."""
    _paths.add(place)
    try:
        yield
    finally:
        if not place.exists():
            _paths.discard(place)


@contextmanager
def program(pid: Callable[[], int | None]) -> Iterator[None]:
    """A program that runs for the time of the block, at the head of its own process group.

    Args:
        pid: gives its process, or None while there is none.
    """
    _programs.append(pid)
    try:
        yield
    finally:
        _programs.remove(pid)


def has_programs() -> bool:
    """Whether a program is running that was started here."""
    return any(pid() for pid in tuple(_programs))


def clear() -> None:
    """Kill the programs and remove the files; nothing is waited for."""
    for pid in tuple(_programs):
        if found := pid():
            kill(found)
    for place in tuple(_paths):
        with contextlib.suppress(OSError):
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink()


def is_there(pid: int) -> bool:
    """Whether anything of a program is left, where there are process groups."""
    if os.name != "posix":
        return False
    try:
        os.killpg(pid, 0)
    except OSError:
        return False
    return True


def kill(pid: int) -> None:
    """Kill a program and what it started, where there are process groups; else it alone."""
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)
