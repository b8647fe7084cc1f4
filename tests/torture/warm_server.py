"""A process that has imported everything, and forks a child for each command that it is asked for.

The child runs the same entry point as the installed program. Beside it a killer can wait, and its
disk can be slow, full or broken, or its writer a careless one; see ``Order``. One order a line of
JSON on stdin, one answer a line on stdout.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Order = dict[str, Any]


# What every child needs; what more they import is noted by the first of them.
SLOW = (
    "adbc_driver_sqlite.dbapi",
    "nbclient",
    "nbformat",
    "pandas",
    "pyarrow",
    "qualia_lab.analysis.finding",
    "qualia_lab.cli.main",
    "qualia_lab.notebook.export_html",
    "qualia_lab.notebook.export_markdown",
    "qualia_lab.notebook.generator",
    "sqlalchemy",
)


def serve() -> None:
    """Carry out orders until there are no more."""
    for name in SLOW:
        importlib.import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _child(order)
        _, status, used = os.wait4(pid, 0)
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "seconds": time.monotonic() - started,
            "cpu": used.ru_utime + used.ru_stime,
        }
        _warm(Path(order["report"] + ".modules"))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _warm(modules: Path) -> None:
    """Import what a child had to import, so that the next one has it already."""
    with contextlib.suppress(OSError):
        for name in modules.read_text().split():
            if name not in sys.modules:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
        modules.unlink()
        gc.freeze()


def _child(order: Order) -> None:
    try:
        for number, name in enumerate(("/dev/null", order["out"], order["err"])):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(name, flags, 0o666)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, encoding="utf-8")  # noqa: PTH123, SIM115
            for number, mode in enumerate("rww")
        )
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(order["cwd"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        report = Report(order)
        if order["uid"] is not None:
            os.setgroups([])
            os.setgid(order["uid"])
            os.setuid(order["uid"])
        main = _entry(order)
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 99
    else:
        code = 0
    with contextlib.suppress(BaseException):
        report.write()
        Path(order["report"] + ".modules").write_text(" ".join(sys.modules))
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _entry(order: Order) -> Callable[[], object]:
    program, args = order["program"], order["args"]
    sys.argv = [program, *args]
    if program == "python":
        return lambda: exec(args[0], {"__name__": "child"})
    room = {"create-observation-notebook": "create", "create-demo-runs": "demo"}
    found: Callable[[], object] = importlib.import_module(
        f"qualia_lab.cli.{room.get(program, 'main')}"
    ).main
    return found


class Report:
    """What the child did while it wrote, and what is done to it meanwhile."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.calls: list[str] = []
        self.puts: list[float] = []
        self._under = tuple(order["under"])
        self._descriptors: set[int] = set()
        self._files = importlib.import_module("qualia_lab.files")
        self._opened = builtins.open
        self._killer = _killer(order["kill"])
        if order["careless"]:
            self._files.put = self._careless
        self._files.put = self._timed(self._files.put)
        if order["pieces"]:
            builtins.open = self._slow_open
        if order["under"]:
            self._break_calls()

    def write(self) -> None:
        told = {"calls": self.calls, "puts": self.puts}
        with self._opened(self.order["report"], "w") as file:
            json.dump(told, file)

    # Writers.

    def _timed(self, put: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.puts.append(0)
            place = len(self.puts) - 1
            if self._killer is not None and self.order["kill"]["put"] == place:
                os.write(self._killer, b"!")
            began = time.monotonic()
            try:
                return put(*args, **kwargs)
            finally:
                self.puts[place] = time.monotonic() - began

        return timed

    def _careless(
        self,
        path: Path,
        content: bytes,
        *,
        overwrite: bool,
        keep: Callable[[], Path | None] = lambda: None,
        private: bool = False,
    ) -> Path | None:
        """What most programs do."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not overwrite:
            raise FileExistsError(17, "File exists")
        kept = keep() if path.exists() else None
        with open(path, "wb") as file:  # noqa: PTH123 - the one that is slow here
            file.write(content)
        return kept

    # Disks.

    def _slow_open(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if mode != "wb":
            return self._opened(file, mode, *args, **kwargs)
        return _Slow(self._opened(file, mode, buffering=0), self.order["pieces"])

    def _break_calls(self) -> None:
        for name in ("mkdir", "unlink", "rmdir"):
            self._wrap(name, lambda args: self._is_ours(args[0]))
        for name in ("link", "replace", "rename"):
            self._wrap(name, lambda args: self._is_ours(args[1]))
        for name in ("fsync", "fchmod"):
            self._wrap(name, lambda args: args[0] in self._descriptors)
        opened = os.open

        def open_(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            ours = self._is_ours(path)
            if ours:
                writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
                self.count("open" if writes else "look", path)
            descriptor = opened(path, flags, *args, **kwargs)
            if ours:
                self._descriptors.add(descriptor)
            return descriptor

        os.open = open_
        builtins.open = self._counted_open

    def _counted_open(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        writes = set(mode) & set("wax+")
        ours = file in self._descriptors if isinstance(file, int) else self._is_ours(file)
        if ours and writes and not isinstance(file, int):
            self.count("open", file)
        made = self._opened(file, mode, *args, **kwargs)
        return _Counted(made, self) if ours and "b" in mode and writes else made

    def _wrap(self, name: str, is_ours: Callable[[Any], bool]) -> None:
        call = getattr(os, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if is_ours(args):
                self.count(name, None if isinstance(args[0], int) else args[0])
            return call(*args, **kwargs)

        setattr(os, name, wrapped)

    def _is_ours(self, path: Any) -> bool:
        with contextlib.suppress(TypeError, ValueError):
            return str(Path(os.fspath(path)).absolute()).startswith(self._under)
        return False

    def count(self, name: str, path: Any = None) -> None:
        """One more call, which may fail, with the path that the system would name."""
        self.calls.append(name)
        fault = self.order["fault"]
        if fault is None:
            return
        number = len(self.calls) - 1
        is_now = number == fault["at"] or (
            fault["on"] and number > fault["at"] and name not in ("unlink", "rmdir", "look")
        )
        if is_now:
            named = () if path is None else (os.fspath(path),)
            raise OSError(fault["errno"], os.strerror(fault["errno"]), *named)


class _Counted:
    """A file whose writes are counted."""

    def __init__(self, file: Any, report: Report) -> None:
        self._file, self._report = file, report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> int:
        # Half of it comes to the disk, as when it is full.
        self._file.write(content[: len(content) // 2])
        self._file.flush()
        self._report.count("write")
        return len(content) // 2 + int(self._file.write(content[len(content) // 2 :]))


class _Slow:
    """A file that takes its time, as a disk does that others use too."""

    def __init__(self, file: Any, pieces: int) -> None:
        self._file, self._pieces = file, pieces

    def __enter__(self) -> _Slow:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def flush(self) -> None:
        """Nothing is kept back."""

    def write(self, content: bytes) -> int:
        size = len(content) // self._pieces + 1
        for start in range(0, len(content), size):
            self._file.write(content[start : start + size])
            time.sleep(0.001)
        return len(content)


def _killer(kill: dict[str, float] | None) -> int | None:
    """A process that kills this one: so long after now, or after a byte comes where ``put`` says
    which writing is meant. Gives where to write the byte; it goes when this process goes."""
    if kill is None:
        return None
    reading, writing = os.pipe()
    parent = os.getpid()
    if os.fork():
        os.close(reading)
        return writing
    os.close(writing)
    with contextlib.suppress(BaseException):
        if kill["put"] is not None and os.read(reading, 1) != b"!":
            os._exit(0)
        ready, _, _ = select.select([reading], [], [], kill["after"])
        if ready and not os.read(reading, 1):  # it came to its end
            os._exit(0)
        if os.getppid() == parent:
            os.kill(parent, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    serve()
