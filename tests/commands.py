"""Running the commands: as real processes, or inside this one where a case needs no more."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from conftest import BIN

from qualia_lab.cli import stopping

CREATE = "create-observation-notebook"
DEMO = "create-demo-runs"


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command that came to its end."""

    code: int
    out: str
    err: str

    @property
    def again(self) -> str:
        """The command that was printed to make the same notebook again."""
        lines = [line for line in self.err.splitlines() if line.startswith("Same again: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("Same again: ")


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would decide for the command."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "MLFLOW_DISABLE_TELEMETRY"
        or not (name == "CI" or name.startswith(("MLFLOW_", "QUALIA_")))
    }
    return {**kept, **(env or {})}


def command(
    *args: str,
    cwd: Path,
    program: str = CREATE,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run a command as a process of its own, without a terminal."""
    done = subprocess.run(
        [str(BIN / program), *args],
        cwd=cwd,
        env=environment(env),
        input=stdin.encode(),
        capture_output=True,
        timeout=120,
    )
    return Done(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def in_process(
    main: Callable[[], object],
    *args: str,
    cwd: Path,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run a command's entry point here, where MLflow is imported already; leave no trace."""
    out, err = io.StringIO(), io.StringIO()
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    code: object = None
    with (
        patch.dict(os.environ, environment(env), clear=True),
        patch.object(sys, "argv", ["command", *args]),
        patch.object(sys, "stdin", io.StringIO(stdin)),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(stopping, "leave", sys.exit),  # it would end this process
    ):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    assert isinstance(code, int)
    return Done(code=code, out=out.getvalue(), err=err.getvalue())


def tree(folder: Path) -> dict[str, str]:
    """Every file and folder below, with a hash of what a file holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


def assert_refused(done: Done, code: int, *words: str) -> None:
    """A command that failed as documented: its code, and a short message that says these words."""
    assert done.code == code, done.err
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[0].startswith("Error: "), done.err
    assert 1 <= len(lines) <= 4, done.err
    assert all(len(line) < 500 for line in lines), done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err
