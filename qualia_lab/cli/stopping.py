"""Ctrl-C and SIGTERM end a command in time, whatever it is doing.

Both raise an exception where the main thread is, so that files and kernels are cleaned up by the
code that made them. That comes late where the main thread waits inside of a library (a name that is
looked up, a long statement of SQL), and never where a library swallows it. So a second thread is
told by the system itself, and after a while ends the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qualia_lab import leftovers

# How long the main thread has to clean up: a kernel or a browser needs longer.
_SECONDS, _SECONDS_WITH_PROGRAMS = 0.6, 4.0
_STOPS = (signal.SIGINT, signal.SIGTERM)

_alarm: socket.socket | None = None


@contextmanager
def in_time(say: Callable[[int], int]) -> Iterator[None]:
    """Within the block, a signal to stop ends the process soon even if nothing else does.

    Args:
        say: called in another thread, with the signal, when the block did not end in time; says so
            to the person, and gives the exit code.
    """
    global _alarm
    receiving, sending = socket.socketpair()
    sending.setblocking(False)
    terminal = _terminal()
    threading.Thread(target=_watch, args=(receiving, terminal, say), daemon=True).start()
    _alarm = sending
    heard, told = _listen(sending.fileno()), sys.unraisablehook
    sys.unraisablehook = _untelling(told)
    try:
        yield
    finally:
        sys.unraisablehook = told
        _alarm = None
        _listen(heard)
        sending.close()  # the watcher sees the end


def listen_again() -> None:
    """To be called after code that takes signals for itself, as asyncio does."""
    if _alarm is not None:
        _listen(_alarm.fileno())


def leave(code: int) -> None:
    """End the process now. Python would wait for each thread, and take apart all it has imported,
    which takes half a second where models were trained."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _listen(descriptor: int) -> int:
    if threading.current_thread() is not threading.main_thread():
        return -1
    try:
        return signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    except (ValueError, OSError):  # what listened before is gone
        return signal.set_wakeup_fd(-1)


def _untelling(tell: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Say nothing of an interrupt that struck where Python can't raise, as in a callback of its
    import system: it is lost there, and the watcher ends the process."""

    def told(error: Any) -> None:
        if issubclass(error.exc_type, Exception):
            tell(error)

    return told


def _watch(receiving: socket.socket, terminal: Any, say: Callable[[int], int]) -> None:
    with receiving:
        number = _heard(receiving)
        if number is None:
            return
        seconds = _SECONDS_WITH_PROGRAMS if leftovers.has_programs() else _SECONDS
        if _ends_within(receiving, seconds):
            return
    leftovers.clear()
    _restore(terminal)
    leave(say(number))


def _heard(receiving: socket.socket) -> int | None:
    """The first signal to stop; None where the block ends without."""
    while came := receiving.recv(64):
        for number in came:
            if number in _STOPS:
                return number
    return None


def _ends_within(receiving: socket.socket, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        receiving.settimeout(left)
        with contextlib.suppress(TimeoutError):
            if not receiving.recv(64):
                return True
    return False


def _terminal() -> Any:
    """How the terminal is set."""
    try:
        import termios

        return termios.tcgetattr(sys.stdin.fileno())
    except Exception:  # there is none: a pipe, a file, nothing at all, Windows
        return None


def _restore(settings: Any) -> None:
    """Leave the terminal as it was, its cursor visible."""
    if settings is None:
        return
    import termios

    with contextlib.suppress(Exception):
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, settings)
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h\x1b[?2004l")
