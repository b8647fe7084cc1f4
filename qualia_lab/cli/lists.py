"""A list on the screen to search, point at and choose from: on prompt_toolkit, drawn as it is seen.

Only the lines that are on the screen are made, so that a list of 1,000 answers a key at once; they
are laid out anew for each paint, so that they fit a terminal whose size changes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unicodedata import normalize

from prompt_toolkit.application import Application, get_app
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.styles import Style

from qualia_lab.cli.console import Glyphs
from qualia_lab.cli.tables import Table, shortened

STYLE = Style(
    [
        ("qmark", "fg:ansicyan"),
        ("question", "bold"),
        ("answer", "fg:ansicyan"),
        ("pointed", "bold"),
        ("chosen", "fg:ansigreen"),
        ("dim", "fg:ansibrightblack"),
        # Not "search": to prompt_toolkit that is a background too.
        ("sought", "fg:ansiyellow bold"),
    ]
)


class Back(Exception):  # noqa: N818 - it is an answer, no error
    """The person wants the question before this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: what it stands for and its cells.

    ``label`` names it once it was chosen, where the first cell does not; ``lacks`` says why it
    can't be chosen.
    """

    value: Any
    cells: tuple[str, ...]
    label: str = ""
    lacks: str = ""

    @property
    def called(self) -> str:
        """What the row is called once it was chosen."""
        return self.label or self.cells[0]

    @property
    def text(self) -> str:
        """What a search looks through."""
        return _alike(" ".join(self.cells))


@dataclass(slots=True, kw_only=True)
class Listing:
    """What a list shows now: no terminal is in it.

    Attributes:
        rows: all of them.
        several: whether more than one may be chosen.
        shown: the places of the rows that match the search.
        at: the place in ``shown`` that is pointed at.
        chosen: the places of the rows that are chosen.
    """

    rows: Sequence[Row]
    several: bool
    search: str = ""
    at: int = 0
    top: int = 0
    chosen: set[int] = field(default_factory=set)
    shown: list[int] = field(init=False)
    _texts: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._texts = [row.text for row in self.rows]
        start = self.at
        self.seek("")
        if start < len(self.rows) and not self.rows[start].lacks:
            self.at = start

    @property
    def pointed(self) -> int | None:
        """The place of the row that is pointed at; None where no row can be chosen."""
        if not self.shown or self.rows[self.shown[self.at]].lacks:
            return None
        return self.shown[self.at]

    @property
    def free(self) -> list[int]:
        """The places of the rows that are shown and can be chosen."""
        return [place for place in self.shown if not self.rows[place].lacks]

    def seek(self, search: str) -> None:
        """Show the rows that hold every word of this, whatever its case."""
        self.search = search
        words = _alike(search).split()
        self.shown = [
            place for place, text in enumerate(self._texts) if all(word in text for word in words)
        ]
        self.at = self.top = 0
        if self.shown and self.rows[self.shown[0]].lacks:
            self.move(1)

    def move(self, by: int) -> None:
        """Point further down, or up; past an end it goes on at the other, a page stops there."""
        free = [at for at, place in enumerate(self.shown) if not self.rows[place].lacks]
        if not free:
            return
        last = len(self.shown) - 1
        goal = self.at + by
        if abs(by) > 1:
            goal = min(max(goal, 0), last)
        elif not 0 <= goal <= last:
            goal = 0 if goal > last else last
        ahead = [at for at in free if (at >= goal if by > 0 else at <= goal)]
        if ahead:
            self.at = ahead[0] if by > 0 else ahead[-1]
        else:  # nothing free beyond: round to the other end, or as far as a page can go
            to_end = (by > 0) == (abs(by) > 1)
            self.at = free[-1] if to_end else free[0]

    def toggle(self) -> None:
        """Choose what is pointed at, or choose it no more."""
        if self.pointed is not None:
            self.chosen ^= {self.pointed}

    def toggle_all(self) -> None:
        """Choose all that the search shows, or, when all are chosen, none of them."""
        free = set(self.free)
        self.chosen = self.chosen - free if free <= self.chosen else self.chosen | free

    def answer(self) -> list[Any]:
        """The values chosen, in the order of the list; what is pointed at where none was."""
        places = sorted(self.chosen) if self.several else []
        if not places and self.pointed is not None:
            places = [self.pointed]
        return [self.rows[place].value for place in places]

    def window(self, height: int) -> Sequence[int]:
        """The places in ``shown`` to paint: a stretch that holds what is pointed at."""
        height = max(1, height)
        self.top = min(max(self.top, self.at - height + 1), self.at)
        self.top = max(0, min(self.top, len(self.shown) - height))
        return range(self.top, min(self.top + height, len(self.shown)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """How a list was left: with Enter, or with a key that asks for something else."""

    values: tuple[Any, ...]
    key: str = "enter"


@dataclass(slots=True, kw_only=True)
class Screen:
    """How a list is painted."""

    question: str
    listing: Listing
    table: Table
    glyphs: Glyphs
    keys: str
    note: str = ""

    def paint(self) -> StyleAndTextTuples:
        """The whole of it, for the terminal as it is now."""
        size = get_app().output.get_size()
        room = size.columns - 1  # the last stays free: a terminal may wrap there
        painted: StyleAndTextTuples = [("class:qmark", "? "), ("class:question", self._head(room))]
        widths = self.table.widths(room - self._indent)
        titles = self.table.line(self.table.header, widths)
        if titles:
            painted.append(("class:dim", "\n" + " " * self._indent + titles))
        for at in self.listing.window(min(self.height, len(self.listing.rows))):
            painted += self._row(at, widths, room)
        if not self.listing.shown:
            painted.append(("class:dim", "\n  nothing matches; backspace"))
        painted.append(("class:sought", self._found(room)))
        painted += [("class:dim", f"\n{line}") for line in self._footer(room)]
        return painted

    @property
    def height(self) -> int:
        """How many rows of the list find a place."""
        size = get_app().output.get_size()
        # The question, titles, what is searched, and a line that stays free.
        return max(1, size.rows - len(self._footer(size.columns - 1)) - 4)

    def _footer(self, room: int) -> list[str]:
        return textwrap.wrap(self.keys, max(room, 10))

    @property
    def _indent(self) -> int:
        return 4 if self.listing.several else 2

    def _head(self, room: int) -> str:
        note = f" {self.note}" if self.note else ""
        return shortened(f"{self.question}{note}", room - 2, self.glyphs.cut)

    def _row(self, at: int, widths: Sequence[int], room: int) -> StyleAndTextTuples:
        listing, place = self.listing, self.listing.shown[at]
        row = listing.rows[place]
        is_pointed, is_chosen = place == listing.pointed, place in listing.chosen
        style = "class:pointed" if is_pointed else "class:chosen" if is_chosen else ""
        text, left = self.table.line(row.cells, widths), room - self._indent
        if row.lacks:  # what is cut is the row, not the reason
            why = f"  ({row.lacks})"
            text = shortened(text, max(3, left - len(why)), self.glyphs.cut) + why
            style = "class:dim"
        box = (self.glyphs.on if is_chosen else self.glyphs.off) + " " if listing.several else ""
        text = shortened(text, left, self.glyphs.cut)
        pointer = self.glyphs.pointer if is_pointed else " "
        cursor: StyleAndTextTuples = [("[SetCursorPosition]", "")] if is_pointed else []
        return [
            ("", "\n"),
            *cursor,
            ("class:qmark", pointer + " "),
            ("class:chosen" if is_chosen else "", box),
            (style, text),
        ]

    def _found(self, room: int) -> str:
        listing = self.listing
        said = []
        if listing.search:
            said.append(f"/{listing.search}  {len(listing.shown):,} of {len(listing.rows):,}")
        if listing.several and listing.chosen:
            said.append(f"{len(listing.chosen):,} chosen")
        return "\n" + shortened(", ".join(said), room, self.glyphs.cut) if said else ""


def application(screen: Screen, *, others: Sequence[str] = ()) -> Application[Pressed]:
    """The list as a program for the terminal; it ends with ``Pressed``, or ``Back`` on Esc.

    Args:
        screen: what is painted.
        others: keys that end the list too, by prompt_toolkit's names.
    """
    listing = screen.listing
    keys = KeyBindings()

    def on(*names: str) -> Callable[[Callable[[KeyPressEvent], object]], None]:
        def bind(act: Callable[[KeyPressEvent], object]) -> None:
            def handle(event: KeyPressEvent) -> None:
                act(event)

            for name in names:
                keys.add(name, eager=True)(handle)

        return bind

    def leave(event: KeyPressEvent, key: str) -> None:
        values = tuple(listing.answer()) if key == "enter" else _chosen(listing)
        if key != "enter" or values:
            event.app.exit(result=Pressed(values=values, key=key))

    on("up", "c-p")(lambda event: listing.move(-1))
    on("down", "c-n")(lambda event: listing.move(1))
    on("pageup")(lambda event: listing.move(-max(2, screen.height)))
    on("pagedown")(lambda event: listing.move(max(2, screen.height)))
    on("home")(lambda event: listing.move(-len(listing.rows) - 1))
    on("end")(lambda event: listing.move(len(listing.rows) + 1))
    on("backspace")(lambda event: listing.seek(listing.search[:-1]))
    on("c-u")(lambda event: listing.seek(""))
    # The other is what some terminals send, and what was typed before the list was there.
    on("enter", "c-j")(lambda event: leave(event, "enter"))
    on("c-c", "c-d", "<sigint>")(lambda event: event.app.exit(exception=KeyboardInterrupt))
    for name in others:
        on(name)(partial(leave, key=name))
    if listing.several:
        on(" ")(lambda event: listing.toggle())
        on("c-a")(lambda event: listing.toggle_all())

    def back(event: KeyPressEvent) -> None:
        if listing.search:
            listing.seek("")
        else:
            event.app.exit(exception=Back)

    on("escape")(back)

    @keys.add(Keys.Any)
    @keys.add(Keys.BracketedPaste)
    def search(event: KeyPressEvent) -> None:
        text = " ".join(event.data.split()) or (" " if event.data == " " else "")
        if text.isprintable() and text:
            listing.seek(listing.search + text)

    control = FormattedTextControl(screen.paint, focusable=True, show_cursor=True)
    return Application(
        layout=Layout(Window(control, dont_extend_height=True)),
        key_bindings=keys,
        style=STYLE,
        erase_when_done=True,
    )


def _alike(text: str) -> str:
    """The same for texts that differ in case only, or in how an accent is put on its letter."""
    return text.casefold() if text.isascii() else normalize("NFC", text.casefold())


def _chosen(listing: Listing) -> tuple[Any, ...]:
    return tuple(listing.rows[place].value for place in sorted(listing.chosen))
