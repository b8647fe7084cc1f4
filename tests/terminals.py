"""Terminals to sit at: a real one with a command on it, and one for a question in this process.

Both keep what a person would see on a ``Display``, and answer when they are asked where the cursor
is, as terminals do.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import fcntl
import multiprocessing
import os
import pty
import re
import struct
import sys
import tempfile
import termios
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pyte
from commands import CREATE, environment
from conftest import BIN
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

ENTER, SPACE, TAB, ESC = "\r", " ", "\t", "\x1b"
UP, DOWN, LEFT, F1 = "\x1b[A", "\x1b[B", "\x1b[D", "\x1bOP"
PAGE_UP, PAGE_DOWN, HOME, END = "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F"
BACKSPACE, CLEAR = "\x7f", "\x15"
CTRL_A, CTRL_C, CTRL_D = "\x01", "\x03", "\x04"

ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])")
# Which means nothing to a terminal.
_END = "\x1b[999n"
# A slow machine is not a failure.
_LONG = 60.0


def pasted(text: str) -> str:
    """The text as a terminal sends it when it is pasted."""
    return f"\x1b[200~{text}\x1b[201~"


def hidden(text: str) -> set[str]:
    """The characters in it that a terminal would act on or not show, ends of lines aside."""
    kinds = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
    return {one for one in text if unicodedata.category(one) in kinds} - {"\r", "\n"}


class _Screen(pyte.Screen):
    """A screen that answers the program in front of it."""

    answer: Callable[[str], None]

    def write_process_input(self, data: str) -> None:
        self.answer(data)


class Display:
    """What a terminal shows: fed by one thread, looked at by another.

    Attributes:
        sent: everything that it was sent, as it came.
        frames: the screen after each piece that it was sent.
    """

    def __init__(self, columns: int, rows: int, write: Callable[[str], None]) -> None:
        self._write = write
        self.sent = ""
        self.frames: list[str] = []
        self._pressed = 0
        self._screen = _Screen(columns, rows)
        self._screen.answer = write
        self._stream = pyte.Stream(self._screen)
        self._read_lines: dict[int, str] = {}
        self._changed = threading.Condition()

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, without blanks at their ends and empty ones below."""
        with self._changed:
            return self._lines()

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.lines)

    @property
    def said(self) -> str:
        """All that was ever sent, without escape sequences: lines are as long as they were."""
        with self._changed:
            return ESCAPES.sub("", self.sent).replace("\r\n", "\n")

    def line(self, text: str) -> str:
        """The one line of the screen that holds this."""
        found = [line for line in self.lines if text in line]
        assert len(found) == 1, f"{text!r} is in {len(found)} lines of:\n{self.text}"
        return found[0]

    def wait_for(self, *texts: str) -> None:
        """Until all of these stand on the screen."""
        self.wait_until(lambda screen: all(text in screen for text in texts), " and ".join(texts))

    def wait_until(self, is_so: Callable[[str], bool], what: str) -> None:
        """Until the screen is as it should be."""
        deadline = time.monotonic() + _LONG
        came = False
        while not came and time.monotonic() < deadline:
            is_over = self._is_over()
            with self._changed:
                came = self._changed.wait_for(lambda: is_so("\n".join(self._lines())), timeout=1)
            if is_over:
                break
        assert came, f"no {what} on:\n{self.text}"

    def _is_over(self) -> bool:
        """Whether nothing more will come."""
        return False

    def press(self, keys: str) -> None:
        """Press keys, whatever is asked."""
        with self._changed:
            self._pressed = len(self.sent)
        self._write(keys)

    def answer(self, question: str, keys: str) -> None:
        """Press keys once the question is there."""
        self.wait_for(question)
        self.press(keys)

    def feed(self, text: str) -> None:
        """Show what a program sent."""
        with self._changed:
            self.sent += text
            self._stream.feed(text)
            self.frames.append("\n".join(self._lines()))
            self._changed.notify_all()

    def resize(self, columns: int, rows: int) -> None:
        """As when the person drags the corner of the window: what does not fit is cut."""
        with self._changed:
            self._screen.resize(rows, columns)

    def _lines(self) -> list[str]:
        # Only lines that changed are read anew: a screen has thousands of cells.
        for row in self._screen.dirty:
            cells = self._screen.buffer[row]
            text = "".join(cells[column].data for column in range(self._screen.columns))
            self._read_lines[row] = text.rstrip()
        self._screen.dirty.clear()
        lines = [self._read_lines.get(row, "") for row in range(self._screen.lines)]
        while lines and not lines[-1]:
            lines.pop()
        return lines


# Questions in this process.


class _Sink:
    """The file that prompt_toolkit writes to."""

    encoding = "utf-8"

    def __init__(self, display: Display) -> None:
        self._display = display

    def write(self, text: str) -> int:
        self._display.feed(text)
        return len(text)

    def flush(self) -> None:
        """All is shown already."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError(errno.EBADF, "there is no file")


@contextlib.contextmanager
def typing(
    *acts: str | Callable[[Display], object], columns: int = 120, rows: int = 50
) -> Iterator[Display]:
    """A person at the questions that are asked meanwhile, who presses keys, or looks at the screen.

    A look that fails, and a question that is left although nobody asks for it, fail the test.
    """
    with contextlib.ExitStack() as stack:
        pipe = stack.enter_context(create_pipe_input())
        display = Display(columns, rows, pipe.send_text)
        sink: Any = _Sink(display)
        output = Vt100_Output(sink, lambda: Size(rows=rows, columns=columns), term="xterm")
        stack.enter_context(create_app_session(input=pipe, output=output))
        wrong: list[BaseException] = []

        def act() -> None:
            try:
                for one in acts:
                    if isinstance(one, str):
                        pipe.send_text(one)
                    else:
                        one(display)
            except BaseException as error:
                wrong.append(error)
                pipe.send_text(CTRL_C)

        person = threading.Thread(target=act)
        person.start()
        try:
            yield display
        except KeyboardInterrupt:
            wrong.append(AssertionError(f"left at:\n{display.text}"))
        finally:
            person.join()
            if wrong:
                raise wrong[0]


# Commands at a real terminal.


class Terminal(Display):
    """A command with a terminal for its input and its errors; its stdout is a file.

    ``result`` is what it wrote there, once it came to its end.
    """

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(columns, rows, lambda text: self._type(text))
        self._master, self.slave = pty.openpty()
        self.path = os.ttyname(self.slave)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.resize(columns, rows)
        self.result = ""
        self._process: ForkServerProcess | None = None
        self._result = Path()

    def start(self, process: ForkServerProcess, result: Path) -> None:
        """Put the command on it that was made for it."""
        self._process, self._result = process, result
        process.start()
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process of the command."""
        assert self._process and self._process.pid
        return self._process.pid

    @property
    def settings(self) -> list[Any]:
        """How the terminal is set: what a command must leave as it was."""
        return termios.tcgetattr(self.slave)

    def resize(self, columns: int, rows: int) -> None:
        """The command gets SIGWINCH, since this is its controlling terminal."""
        super().resize(columns, rows)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def asked(self, question: str) -> None:
        """Until this is asked, anew since the last key that was pressed."""

        def is_asked(screen: str) -> bool:
            since = ESCAPES.sub("", self.sent[self._pressed :])
            lines = screen.split("\n")
            places = [place for place, line in enumerate(lines) if line.startswith("? ")]
            # What is pasted is of interest only while something is asked, and the cursor is hidden
            # while something is painted.
            is_open = self._last("\x1b[?2004h") > self._last("\x1b[?2004l")
            is_painted = self._last("\x1b[?25h") > self._last("\x1b[?25l")
            if not places or not is_open or not is_painted or question not in since:
                return False
            line, below = lines[places[-1]], "\n".join(lines[places[-1] + 1 :])
            is_list = "esc: back" in below
            return line == f"? {question}" if is_list else line.startswith(f"? {question}")

        self.wait_until(is_asked, f"question {question!r}")

    def _is_over(self) -> bool:
        return self._process is not None and not self._process.is_alive()

    def _last(self, text: str) -> int:
        return self.sent.rfind(text)

    def prompted(self, prompt: str) -> None:
        """Until a line is waited for, anew since the last key, on a terminal of lines."""
        self.wait_until(
            lambda screen: self.sent[self._pressed :].rstrip().endswith(prompt),
            f"prompt {prompt!r}",
        )

    def reply(self, question: str, keys: str) -> None:
        """Press keys when this is asked."""
        self.asked(question)
        self.press(keys)

    def end(self) -> int:
        """Wait for the command to end, and for all that it said; gives its exit code."""
        assert self._process
        self._process.join(timeout=_LONG)
        assert self._process.exitcode is not None, f"still there:\n{self.text}"
        self.result = self._result.read_text()
        # What it said last is still on its way, before what is said here.
        os.write(self.slave, _END.encode())
        with self._changed:
            assert self._changed.wait_for(lambda: _END in self.sent, timeout=_LONG)
            self.sent = self.sent.replace(_END, "")
        return self._process.exitcode

    def close(self) -> None:
        """End what still runs."""
        if self._process and self._process.is_alive():
            self._process.kill()
            self._process.join()
        os.close(self.slave)  # the reader of the other side ends
        self._reader.join(timeout=10)
        os.close(self._master)

    def _type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError as error:
                assert error.errno in (errno.EIO, errno.EBADF)
                return
            if not data:
                return
            self.feed(self._decoder.decode(data))


@contextlib.contextmanager
def terminal(
    *args: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    columns: int = 120,
    rows: int = 40,
    program: bool = False,
    stdin: str | None = None,
) -> Iterator[Terminal]:
    """A terminal with ``create-observation-notebook`` on it.

    Args:
        args: of the command.
        cwd: where it is run; what it keeps for the person goes to a folder ``home`` in it.
        env: variables to set.
        columns: of the terminal.
        rows: of the terminal.
        program: run the installed program. Otherwise a process that has imported already what is
            slow to import runs the same entry point, which is ten times as fast.
        stdin: the path of what the command reads instead; nothing at all where it is empty.
    """
    variables = environment(
        {"TERM": "xterm-256color", "HOME": str(cwd / "home"), **(env or {})},
    )
    for name in ("NO_COLOR", "XDG_STATE_HOME", "PYTHONIOENCODING", "COLUMNS", "LINES"):
        if name not in (env or {}):
            variables.pop(name, None)
    it = Terminal(columns, rows)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "terminals", *_SLOW])
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "stdout"
        result.touch()
        path = str(BIN / CREATE) if program else ""
        made = context.Process(
            target=_sit, args=(it.path, stdin, str(result), path, args, str(cwd), variables)
        )
        try:
            it.start(made, result)
            yield it
        finally:
            it.close()


_SLOW = (
    "mlflow",
    "nbformat",
    "pandas",
    "pyarrow",
    "questionary",
    "requests",
    "rich.progress",
    "rich.status",
    "sqlalchemy",
    "qualia_lab.cli.create",
    "qualia_lab.cli.flow",
    "qualia_lab.cli.which_runs",
    "qualia_lab.notebook.generator",
    "qualia_lab.notebook.write",
    "qualia_lab.tracking.explorer",
)


def _sit(
    tty: str,
    stdin: str | None,
    result: str,
    program: str,
    args: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
) -> None:
    """Run the command at the terminal, in a session of its own."""
    os.setsid()
    for number, path in enumerate((stdin or tty, result, tty)):
        opened = os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.dup2(opened, number)
        os.close(opened)
    fcntl.ioctl(2, termios.TIOCSCTTY, 0)
    os.chdir(cwd)
    if stdin == "":
        os.close(0)
    if program:
        os.execve(program, [program, *args], dict(env))
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [CREATE, *args]
    # As an interpreter opens them.
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8")  # noqa: PTH123, SIM115
        for number, mode in enumerate("rww")
    )
    from qualia_lab.cli.create import main

    main()
