"""How long a server is waited for, and how often it is asked again: the one deadline.

A timeout of a socket is for one read, and a server that sends a byte now and then never meets it;
looking up a name knows no timeout at all. So what may hang runs in a thread, and the wall clock
decides. A thread that is given up ends with its socket, and keeps no process alive.
"""

from __future__ import annotations

import json
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from qualia_lab import secrets

CONNECT_SECONDS = 2.5
# What a timeout of a socket can say better than the wall clock, it has this long to say.
_GRACE_SECONDS = 0.2
_RETRIES = 2
_PAUSE_SECONDS = 0.5
# Of an answer, for what it begins with.
_LOOKED_AT = 10_000
# MLflow's own client asks again after these too.
_PASSING = (408, 429, 500, 502, 503, 504)

_A = TypeVar("_A")
_B = TypeVar("_B")


class RefusedError(ValueError):
    """The server answered with a status that is not 200; its own code and words are kept.

    ``wait`` is how many seconds it asked to be left alone (``Retry-After``), else 0.
    """

    def __init__(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        self.error_code = ""
        self.wait = _seconds(headers.get("Retry-After", ""))
        said = " ".join(beginning(content, 120).split())
        try:
            answer = json.loads(content)
            self.error_code, said = str(answer["error_code"]), str(answer["message"])
        except (ValueError, KeyError, TypeError):
            pass
        if 300 <= status < 400:
            said = "it redirects; use the address that it redirects to"
        if self.wait:
            said = f"{said} (it asks to wait {self.wait:g} s)".strip()
        super().__init__(f"{status} {said}".strip())

    @property
    def lacks_endpoint(self) -> bool:
        """Whether the server has no such endpoint, rather than not what was asked for."""
        return self.status == 404 and self.error_code in ("", "ENDPOINT_NOT_FOUND")

    def get_http_status_code(self) -> int:
        """As MLflow's own exceptions name it."""
        return self.status


def beginning(content: bytes, most: int) -> str:
    """What an answer begins with, in so many characters at most.

    What is cut out of a secret would not be known as one: first they go, then it is cut.
    """
    return secrets.scrub(content[:_LOOKED_AT].decode("utf-8", "replace")).strip()[:most]


def _seconds(said: str) -> float:
    """What ``Retry-After`` says, where it says seconds; a date is not worth a clock."""
    return float(said) if said.isascii() and said.isdigit() and len(said) < 7 else 0.0


class Left:
    """What is left of the time for one answer, retries included."""

    def __init__(self, seconds: float) -> None:
        self.of = seconds
        self._until = time.monotonic() + seconds

    @property
    def seconds(self) -> float:
        """From now on; less than 0 when it is over."""
        return self._until - time.monotonic()

    def check(self) -> None:
        """Raise ``TimeoutError`` when it is over."""
        if self.seconds <= 0:
            raise TimeoutError(f"no whole answer within {self.of:g} s")

    def timeouts(self, read: float) -> tuple[float, float]:
        """Of a request, for connecting and for one read, neither past the end."""
        least = max(0.001, self.seconds)
        return min(CONNECT_SECONDS, least), min(read, least)


def retried(once: Callable[[Left], _A], seconds: float, *, there: bool = True) -> _A:
    """One answer, asked for again when a passing fault came instead: asking changes nothing.

    Args:
        once: asks; told what is left of the time.
        seconds: for all of it.
        there: whether the server has answered before. One that never did and can't be connected to
            is not tried again: most likely the address is wrong.

    Raises:
        TimeoutError: they are over.
    """
    left = Left(seconds)
    return within(seconds, lambda: _retried(once, left, there))


def _retried(once: Callable[[Left], _A], left: Left, there: bool) -> _A:
    import requests

    passing = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, RefusedError)
    retries = int(os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _RETRIES))
    for again in range(retries, -1, -1):
        try:
            return once(left)
        except passing as fault:
            final = not there and hasattr(next(iter(fault.args), None), "reason")
            pause = _PAUSE_SECONDS * 2 ** (retries - again) * random.uniform(0.7, 1.3)  # noqa: S311
            if isinstance(fault, RefusedError):
                pause, final = max(pause, fault.wait), fault.status not in _PASSING
            if not again or final or pause > left.seconds:
                raise
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def within(seconds: float, call: Callable[[], _A]) -> _A:
    """What a call returns or raises.

    Raises:
        TimeoutError: it takes longer; it is left to itself.
    """
    (result,) = _finished([call], 1, seconds)
    return result


def each(function: Callable[[_A], _B], items: Sequence[_A], threads: int) -> list[_B]:
    """A function of each item, by several threads; an error, or Ctrl-C, waits for none of them."""
    if len(items) < 2:
        return [function(item) for item in items]
    return _finished([lambda item=item: function(item) for item in items], threads, None)  # type: ignore[misc]


def _finished(calls: Sequence[Callable[[], _A]], threads: int, seconds: float | None) -> list[_A]:
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
    over = threading.Event()
    for number in range(len(calls)):
        todo.put(number)

    def work() -> None:
        while not over.is_set():
            try:
                number = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((number, calls[number](), None))
            except BaseException as error:  # raised again where it was called for
                done.put((number, None, error))

    for _ in range(min(threads, len(calls))):
        threading.Thread(target=work, daemon=True, name="qualia-lab asks").start()
    found: dict[int, Any] = {}
    timeout = None if seconds is None else seconds + _GRACE_SECONDS
    try:
        while len(found) < len(calls):
            number, value, error = done.get(timeout=timeout)
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # it would hold this frame, which holds it
            found[number] = value
    except queue.Empty:
        raise TimeoutError(f"no whole answer within {seconds:g} s") from None
    finally:
        over.set()
    return [found[number] for number in range(len(calls))]


class Bounded:
    """A client whose methods must return in time.

    Args:
        client: of a server; MLflow's own, whose timeouts are those of single reads.
        seconds: gives how long one call may take.
    """

    def __init__(self, client: Any, seconds: Callable[[], float]) -> None:
        self._client = client
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found
        return lambda *args, **named: within(self._seconds(), lambda: found(*args, **named))
