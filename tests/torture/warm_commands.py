"""Commands in forks of a process that has imported everything: 20 a second instead of one.

Run as a program it reads a job a line, and answers how it ended; ``Warm`` is the other side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from commands import Done, environment


class Warm:
    """A warm process, which runs one command at a time."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._out, self._err = folder / "out", folder / "err"

    def run(self, *args: str, cwd: Path) -> Done:
        """What ``create-observation-notebook`` with these arguments did."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        job = {"args": args, "cwd": str(cwd), "out": str(self._out), "err": str(self._err)}
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()
        code = int(stdout.readline())
        return Done(code=code, out=self._out.read_text(), err=self._err.read_text())


@contextmanager
def warm(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Warm]:
    """A warm process; ``folder`` is for what its commands print."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = {**environment(env), "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=everything,
    ) as process:  # which ends when its input does
        yield Warm(process, folder)


def _child(job: Mapping[str, str]) -> None:
    """The command, as the program that a person starts would run it."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(job["cwd"])
    sys.argv = ["create-observation-notebook", *job["args"]]
    from qualia_lab.cli.create import main

    main()


def _serve(jobs: IO[str]) -> None:
    from qualia_lab.cli import choose, create, picking  # noqa: F401
    from qualia_lab.notebook import generator, write  # noqa: F401
    from qualia_lab.tracking import explorer

    explorer.prepare()
    for line in jobs:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _child(json.loads(line))
            except SystemExit as stop:
                code = int(stop.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.stdin)
