"""The questions. The only file with questionary; Ctrl-C in any of them raises KeyboardInterrupt."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import questionary
from prompt_toolkit.application import Application, create_app_session
from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings
from prompt_toolkit.output import create_output
from questionary.prompts.common import InquirerControl

from qualia_lab.cli.console import MARKS, TELLING
from qualia_lab.directions import ranked
from qualia_lab.errors import OutputError, QualiaError
from qualia_lab.model import Experiment, RunInfo
from qualia_lab.notebook.write import require_free
from qualia_lab.text import visible
from qualia_lab.tracking import uris

_NAME_WIDTH = 32


@contextmanager
def on_stderr() -> Iterator[None]:
    """Ask there while this lasts: stdout is the result's, and may be a pipe."""
    with create_app_session(output=create_output(stdout=sys.stderr)):
        yield


def server(default: str) -> str:
    """Which tracking server."""
    return _text("Tracking server:", default, _is_server)


def experiments(active: Sequence[Experiment]) -> list[Experiment]:
    """Which experiments; the only one there is needs no question."""
    if len(active) == 1:
        return list(active)
    width = max(len(visible(one.name, 60)) for one in active)
    choices = [
        questionary.Choice(f"{visible(one.name, 60):<{width}}  {_age(one.updated)}", value=one)
        for one in active
    ]
    return _several("Experiments:", choices)


def runs(listed: Sequence[RunInfo]) -> list[RunInfo]:
    """Which runs, newest first: a status mark, name, age and the most telling metrics."""
    counts: dict[str, int] = {}
    for run in listed:
        for name in run.metrics:
            counts[name] = counts.get(name, 0) + 1
    telling = ranked(counts)[:TELLING]
    width = min(_NAME_WIDTH, max(len(visible(run.name, _NAME_WIDTH)) for run in listed))
    most = shutil.get_terminal_size().columns - 8
    return _several(
        "Runs:",
        [questionary.Choice(_line(run, telling, width)[:most], value=run) for run in listed],
    )


def title(default: str) -> str:
    """The notebook's heading."""
    return _text("Title:", default, lambda text: True)


def output(default: Path, *, overwrite: bool) -> Path:
    """Where to write; a place that is taken is refused at once."""

    def is_free(text: str) -> bool | str:
        try:
            require_free(Path(text), overwrite=overwrite)
        except OutputError as error:
            return str(error)
        return True

    return Path(_text("Output:", str(default), is_free))


def confirm(what: str) -> bool:
    """Whether to go on."""
    return bool(_ask(questionary.confirm(visible(what), default=True)))


def _several(question: str, choices: list[questionary.Choice]) -> list[Any]:
    asked = questionary.checkbox(
        question,
        choices=choices,
        validate=lambda picked: bool(picked) or "Choose at least one (space), or all (ctrl-a).",
        instruction="(type to search, space to choose, ctrl-a for all shown, enter to go on)",
        use_search_filter=True,
        use_jk_keys=False,
    )
    _bind(asked.application)
    picked: list[Any] = _ask(asked)
    return picked


def _bind(application: Application[Any]) -> None:
    """Let Ctrl-A toggle what the search shows (questionary's own toggles what it hides as well)."""
    contents = [window.content for window in application.layout.find_all_windows()]
    control = next(one for one in contents if isinstance(one, InquirerControl))
    keys = KeyBindings()

    @keys.add("c-a", eager=True)
    def toggle(event: Any) -> None:
        shown = [choice.value for choice in control.filtered_choices]
        rest = [one for one in control.selected_options if one not in shown]
        whole = all(one in control.selected_options for one in shown)
        control.selected_options = rest if whole else rest + shown

    @keys.add("<sigint>")
    def stop(event: Any) -> None:
        """Ctrl-C that comes as a signal; the key is bound."""
        application.exit(exception=KeyboardInterrupt)

    # The later of two bindings of one key wins.
    application.key_bindings = merge_key_bindings([application.key_bindings or KeyBindings(), keys])


def _text(question: str, default: str, validate: Callable[[str], bool | str]) -> str:
    """A line of text; what is left empty is the default. It is validated when it is entered."""
    asked = questionary.text(
        question,
        default=default,
        validate=lambda text: validate(text.strip() or default),
        validate_while_typing=False,
    )
    return str(_ask(asked)).strip() or default


def _ask(question: questionary.Question) -> Any:
    with _sigterm_kept_for(question.application):
        try:
            return question.unsafe_ask()
        except EOFError:  # Ctrl-D, or a terminal that was closed
            raise KeyboardInterrupt from None


@contextmanager
def _sigterm_kept_for(application: Application[Any]) -> Iterator[None]:
    """Let SIGTERM end the question, and act when the terminal is as it was.

    An exception out of a signal handler that strikes in the middle of a redraw leaves it raw.
    """
    before = signal.getsignal(signal.SIGTERM)
    kept: list[int] = []

    def leave() -> None:
        if application.is_running and not application.is_done:
            application.exit(exception=KeyboardInterrupt)

    def keep(number: int, frame: Any) -> None:
        kept.append(number)
        if application.loop:
            application.loop.call_soon_threadsafe(leave)

    application.pre_run_callables.append(lambda: leave() if kept else None)
    signal.signal(signal.SIGTERM, keep)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if kept:
            signal.raise_signal(signal.SIGTERM)


def _is_server(text: str) -> bool | str:
    try:
        uris.require_local(uris.without_password(text))
    except (QualiaError, ValueError) as error:
        return visible(str(error), 200)
    return True


def _line(run: RunInfo, telling: Sequence[str], width: int) -> str:
    mark = MARKS.get(run.status, "?")
    name = visible(run.name, width)[:width]
    metrics = [
        f"{visible(one, 24)}={run.metrics[one]:.4g}" for one in telling if one in run.metrics
    ]
    return f"{mark} {name:<{width}}  {_age(run.started):>8}  {'  '.join(metrics)}".rstrip()


def _age(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    seconds = max(0, time.time() - milliseconds / 1000)
    for unit, size in (("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit} ago"
    return "just now"
