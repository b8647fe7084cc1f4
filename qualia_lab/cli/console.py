"""What every command shares: where it prints, how it fails, and when it may ask.

stdout carries the result; everything else goes to stderr. Text that others chose is shown through
``show``, never as markup.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from qualia_lab import leftovers, secrets
from qualia_lab.cli import stopping
from qualia_lab.errors import OutputError, QualiaError, UsageError
from qualia_lab.text import visible

if TYPE_CHECKING:
    import typer

INTERRUPTED = 130
TERMINATED = 143
_PRINTED_AT_ONCE = 1 << 20
# How many metrics of a run stand beside it, in lists of runs.
TELLING = 3
_CONTEXT = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """The signs of lists.

    ``cut`` ends text that was cut; ``marks`` say how a run ended, by its status; ``spinner`` is one
    of rich's.
    """

    pointer: str
    on: str
    off: str
    cut: str
    marks: Mapping[str, str]
    spinner: str


_SIGNS = Glyphs(
    pointer="❯",
    on="●",
    off="○",
    cut="…",
    marks={"FINISHED": "✓", "FAILED": "✗", "KILLED": "✗", "RUNNING": "▶", "SCHEDULED": "…"},
    spinner="dots",
)
_PLAIN_SIGNS = Glyphs(
    pointer=">",
    on="*",
    off="-",
    cut="~",
    marks={"FINISHED": "+", "FAILED": "x", "KILLED": "x", "RUNNING": ">", "SCHEDULED": "."},
    spinner="line",
)


class _Terminated(BaseException):
    """SIGTERM, raised where the main thread is, so that files and kernels are cleaned up."""


class Console:
    """How much is said, and where.

    Args:
        quiet: say nothing but errors on stderr.
        verbose: show the traceback of an error too.
        as_json: the result is one JSON object.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, as_json: bool = False):
        self.quiet = quiet
        self.verbose = verbose
        self.as_json = as_json

    def say(self, text: str) -> None:
        """A line for the person, on stderr."""
        if not self.quiet:
            print_to(sys.stderr, text)

    def tell(self, error: QualiaError) -> None:
        """An error that a person can do something about at the next question, on stderr."""
        print_to(sys.stderr, f"  {error}")
        if error.hint:
            print_to(sys.stderr, f"  {error.hint}")

    def warn(self, text: str) -> None:
        """A line that is shown even when quiet, on stderr."""
        print_to(sys.stderr, f"Warning: {text}")

    def result(self, text: str, record: dict[str, Any]) -> None:
        """The result, on stdout: the text, or the record with ``--json``."""
        print_to(sys.stdout, as_json(record) if self.as_json else text)

    def stream(self, pieces: Iterable[str]) -> None:
        """A result in pieces, on stdout, each as it comes; no secret may be in two of them."""
        text: list[str] = []
        size = 0
        for piece in pieces:
            text.append(piece)
            size += len(piece)
            if size > _PRINTED_AT_ONCE:
                print_to(sys.stdout, "".join(text), end="")
                text, size = [], 0
        print_to(sys.stdout, "".join(text), end="")

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int, str], None]]:
        """A bar on a terminal, and nothing elsewhere: call it with (done, total, what now)."""
        if self.quiet or self.as_json or not _is_terminal(sys.stderr):
            yield lambda done, total, now: None
            return
        from rich.console import Console as Rich
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f} of {task.total:.0f}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[now]}", markup=False),
        ]
        with Progress(*columns, console=Rich(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=1, now="")
            yield lambda done, total, now: bar.update(
                task, completed=done, total=total, now=visible(now, 40)
            )

    @contextmanager
    def loading(self, what: str) -> Iterator[Callable[[int, float | None], None]]:
        """As ``waiting``; call it with how many runs were read, and the share of the work done."""
        if self.quiet or self.as_json or not _is_terminal(sys.stderr):
            yield lambda runs, share: None
            return
        from rich.console import Console as Rich
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = [
            SpinnerColumn(glyphs(sys.stderr).spinner),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[runs]}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=False),
        ]
        with Progress(*columns, console=Rich(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None, runs="")
            yield lambda runs, share: bar.update(
                task,
                completed=share,
                total=None if share is None else 1,
                runs=count_of(runs, "run"),
            )

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """A spinner on a terminal while something without counts goes on."""
        if self.quiet or self.as_json or not _is_terminal(sys.stderr):
            yield
            return
        from rich.console import Console as Rich
        from rich.text import Text

        with Rich(stderr=True).status(Text(what), spinner=glyphs(sys.stderr).spinner):
            yield


def glyphs(stream: Any) -> Glyphs:
    """The signs that the encoding of a stream has."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    one = _SIGNS
    try:
        "".join((one.pointer, one.on, one.off, one.cut, *one.marks.values())).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return _PLAIN_SIGNS
    return one


def count_of(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def print_to(stream: Any, text: str, end: str = "\n") -> None:
    """Print without secrets and hidden characters, whatever the encoding, even to a closed pipe."""
    if stream is None:  # closed by whoever started us
        return
    safe = "\n".join(visible(line) for line in secrets.scrub(text).split("\n"))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(safe.encode(encoding, "replace").decode(encoding) + end)
        stream.flush()
    except OSError as error:
        # Python would try, and complain, once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        # Whoever read us may go; a result that is lost is an error.
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            raise OutputError(f"stdout can't be written: {error.strerror}") from error


def may_ask(no_input: bool) -> bool:
    """Whether there is a person to ask: a terminal on both sides, and nobody said otherwise."""
    if no_input or os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    return _is_terminal(sys.stdin) and _is_terminal(sys.stderr)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and bool(stream.isatty())


def as_json(record: Mapping[str, Any]) -> str:
    """A record as JSON, without secrets, and in ASCII only: an escape for what hides in a terminal
    would not be JSON's own."""
    together = "\n".join(_strings(record))  # looked through at once, which is seldom in vain
    if secrets.scrub(together) != together:
        record = _scrubbed(record)
    return json.dumps(record, allow_nan=False)


def _strings(value: Any) -> Iterator[str]:
    """The strings of a JSON value, but for the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(one)


def _scrubbed(value: Any) -> Any:
    """A JSON value whose strings hold no secret, however JSON would have spelt it."""
    if isinstance(value, dict):
        return {key: _scrubbed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_scrubbed(one) for one in value]
    return secrets.scrub(value) if isinstance(value, str) else value


def application(name: str, body: Callable[..., None], epilog: str) -> typer.Typer:
    """A command of one function, the same as a front door and as a part of ``qualia-lab``."""
    import typer

    app = typer.Typer(
        name=name,
        context_settings=_CONTEXT,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.command(name, context_settings=_CONTEXT, epilog=epilog)(body)
    return app


def run(app: typer.Typer) -> NoReturn:
    """The one error boundary: run a command and exit with a documented code."""
    signal.signal(signal.SIGTERM, _terminate)
    # JupyterLab brings this grammar of international addresses, and jsonschema, which nbformat
    # imports, would build it for two seconds. It can do without, and no notebook asks for it.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    with stopping.in_time(_stopped):
        try:
            code = _call(app)
        except QualiaError as error:
            code = _report(error)
        except KeyboardInterrupt:
            code = _stopped(signal.SIGINT)
        except _Terminated:
            code = _stopped(signal.SIGTERM)
        except Exception as error:
            code = _usage_or_bug(error)
        # All is said: another signal, while Python cleans up, just ends the process.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if code in (INTERRUPTED, TERMINATED):
            leftovers.clear()
    if code in (INTERRUPTED, TERMINATED):
        stopping.leave(code)
    sys.exit(code)


def _stopped(number: int) -> int:
    """Say that a signal ended the command; gives the exit code."""
    is_interrupt = number == signal.SIGINT
    print_to(sys.stderr, "\nStopped." if is_interrupt else "\nTerminated.")
    return INTERRUPTED if is_interrupt else TERMINATED


def _call(app: typer.Typer) -> int:
    """The command's exit code. Of Ctrl-C typer makes an ``Abort`` or returns 130, by version."""
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        if type(error).__name__ == "Abort":
            raise KeyboardInterrupt from error
        raise
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _terminate(number: int, frame: Any) -> NoReturn:
    raise _Terminated


def _verbose() -> bool:
    return any(re.fullmatch("--verbose|-q*v[qv]*", arg) for arg in sys.argv[1:])


def _report(error: QualiaError) -> int:
    if _verbose():
        _print_traceback()
    print_to(sys.stderr, f"Error: {error}")
    if error.hint:
        print_to(sys.stderr, error.hint)
    return error.exit_code


def _usage_or_bug(error: Exception) -> int:
    """What typer raises for wrong flags (2); else a bug (1)."""
    kind = type(error).__name__
    if kind == "NoArgsIsHelpError":
        print_to(sys.stderr, str(error))
        return UsageError.exit_code
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        hint = f"Try: {context.command_path} --help" if context else ""
        return _report(UsageError(error.format_message(), hint=hint))
    if isinstance(error, MemoryError):
        return _report(QualiaError("out of memory", hint="Choose fewer runs, for example --top."))
    _print_traceback()
    print_to(sys.stderr, f"Error: this is a bug in qualia-lab: {kind}: {error}")
    print_to(sys.stderr, "Please report it with the lines above and the command.")
    return 1


def _print_traceback() -> None:
    import traceback

    print_to(sys.stderr, traceback.format_exc().rstrip())
