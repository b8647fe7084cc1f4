"""How a question is asked: a list, a line of text, yes or no. The only file with questionary.

Esc raises ``Back``. Ctrl-C, Ctrl-D and a terminal that is closed raise ``KeyboardInterrupt``.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import questionary
from prompt_toolkit import print_formatted_text
from prompt_toolkit.application import Application, create_app_session
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings
from prompt_toolkit.output import create_output

from qualia_lab.cli import lists, plain, stopping
from qualia_lab.cli.console import glyphs
from qualia_lab.cli.lists import Back, Listing, Pressed, Row
from qualia_lab.cli.tables import Column, Table
from qualia_lab.text import visible

_MOVE = "enter: choose, esc: back, type: search"
_MOVE_SEVERAL = "space: choose, enter: go on, esc: back, ctrl-a: all, type: search"


@contextmanager
def on_stderr() -> Iterator[None]:
    """Ask there while this lasts: stdout is the result's, and may be a pipe."""
    if _is_dumb():
        yield
        return
    with create_app_session(output=create_output(stdout=sys.stderr)):
        yield


def one(
    question: str,
    rows: Sequence[Row],
    columns: Sequence[Column],
    *,
    start: int = 0,
    keeps: bool = True,
) -> Any:
    """One of a list.

    Args:
        question: what is asked.
        rows: the lines.
        columns: of the lines.
        start: the place that is pointed at first.
        keeps: whether the answer stays on the screen.
    """
    listing = Listing(rows=rows, several=False, at=start)
    return _listed(question, listing, columns, keeps=keeps).values[0]


def several(
    question: str,
    rows: Sequence[Row],
    columns: Sequence[Column],
    *,
    chosen: Sequence[Any] = (),
    others: Sequence[tuple[str, str]] = (),
    keeps: bool = True,
) -> Pressed:
    """Some of a list, or what is pointed at where none was chosen.

    Args:
        question: what is asked.
        rows: the lines.
        columns: of the lines.
        chosen: values that are chosen from the start.
        others: keys that end the list too, and what each is for.
        keeps: whether the answer stays on the screen.
    """
    places = {place for place, row in enumerate(rows) if row.value in chosen}
    listing = Listing(rows=rows, several=True, chosen=places)
    return _listed(question, listing, columns, others, keeps=keeps)


def line(
    question: str,
    default: str,
    validate: Callable[[str], bool | str] = lambda text: True,
    *,
    offered: str | None = None,
    may_be_empty: bool = False,
    shown: Callable[[str], str] = visible,
) -> str:
    """A line of text, validated when it is entered.

    Args:
        question: what is asked.
        default: what is left empty is that, unless it may be empty.
        validate: whether it will do, or why not.
        offered: what stands there to be edited; the default, unless something else is said.
        may_be_empty: whether what is left empty is just that.
        shown: how the answer stays on the screen.
    """
    empty, offered = "" if may_be_empty else default, default if offered is None else offered
    if _is_dumb():
        return plain.line(question, offered, validate, empty)
    asked = questionary.text(
        question,
        default=offered,
        validate=lambda text: validate(text.strip() or empty),
        validate_while_typing=False,
        style=lists.STYLE,
    )
    # What stays is what is taken: of nothing, the default.
    asked.application.erase_when_done = True
    answer = str(_ask(asked)).strip() or empty
    told(question, shown(answer))
    return answer


def yes(question: str, *, default: bool = True) -> bool:
    """Whether it is so: one key, the default for Enter."""
    if _is_dumb():
        return plain.yes(question, default)
    return bool(_ask(questionary.confirm(visible(question), default=default, style=lists.STYLE)))


def _listed(
    question: str,
    listing: Listing,
    columns: Sequence[Column],
    others: Sequence[tuple[str, str]] = (),
    *,
    keeps: bool = True,
) -> Pressed:
    signs = glyphs(sys.stderr)
    table = Table(columns, [row.cells for row in listing.rows], signs.cut)
    if _is_dumb():
        return plain.choose(question, listing, table, others)
    keys = _MOVE_SEVERAL if listing.several else _MOVE
    more = "".join(f", {key}: {what}" for key, what in others)
    screen = lists.Screen(
        question=question, listing=listing, table=table, glyphs=signs, keys=keys + more
    )
    made = lists.application(screen, others=[key for key, _ in others])
    # A collector that looks through all runs and modules in the middle of a key press takes 60 ms.
    gc.freeze()
    pressed: Pressed = _ask(questionary.Question(made))
    if keeps and pressed.key == "enter":
        told(question, _answer(listing, pressed))
    return pressed


def _answer(listing: Listing, pressed: Pressed) -> str:
    if len(pressed.values) > 1:
        return f"{len(pressed.values):,} of {len(listing.rows):,}"
    return next(row.called for row in listing.rows if row.value is pressed.values[0])


def told(question: str, answer: str) -> None:
    """Print what was asked and answered, where the list was."""
    if _is_dumb():
        return
    parts = [("class:qmark", "? "), ("class:question", question), ("class:answer", f" {answer}")]
    print_formatted_text(FormattedText(parts), style=lists.STYLE)


def _ask(question: questionary.Question) -> Any:
    application = question.application
    _add_keys(application)
    with _sigterm_kept_for(application):
        try:
            return question.unsafe_ask()
        except EOFError:  # Ctrl-D, or a terminal that was closed
            raise KeyboardInterrupt from None


def _add_keys(application: Application[Any]) -> None:
    """Let Esc go back, and Ctrl-C that comes as a signal end the question as the key does."""
    keys = KeyBindings()

    @keys.add("escape", eager=True)
    def back(event: Any) -> None:
        # It was not answered: with its default it would stand there as if.
        application.erase_when_done = True
        application.exit(exception=Back)

    @keys.add("<sigint>")
    def stop(event: Any) -> None:
        application.exit(exception=KeyboardInterrupt)

    # Esc is also how the sequences of other keys begin: so long is waited for the rest of one.
    application.ttimeoutlen = 0.1
    # The later of two bindings of one key wins.
    own = application.key_bindings or KeyBindings()
    application.key_bindings = merge_key_bindings([keys, own])


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
        stopping.listen_again()
        if kept:
            signal.raise_signal(signal.SIGTERM)


def _is_dumb() -> bool:
    """Whether the terminal can't move its cursor."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")
