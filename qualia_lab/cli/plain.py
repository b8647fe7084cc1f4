"""The same questions line by line, for terminals that can't move their cursor (``TERM=dumb``)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from qualia_lab.cli.console import print_to
from qualia_lab.cli.lists import Back, Listing, Pressed
from qualia_lab.cli.tables import Table

_PAGE = 30
_WIDTH = 79
# A number of a line, or two with a dash.
_LONGEST = 20


def choose(
    question: str, listing: Listing, table: Table, others: Sequence[tuple[str, str]]
) -> Pressed:
    """One of a list, or several; ``Back`` for b.

    Args:
        question: what is asked.
        listing: the list.
        table: lays its rows out.
        others: keys that end a list elsewhere, and the word for each, which is typed here.
    """
    words_of = {word: key for key, word in others}
    _say(f"? {question}")
    start = 0
    while True:
        start = _print(listing, table, start)
        words = _read(_instruction(listing, start, words_of)).strip()
        if words == "b":
            raise Back
        if words == "m":
            continue
        if words in words_of:
            return Pressed(values=(), key=words_of[words])
        start = 0
        if words.startswith("/"):
            listing.seek(words[1:])
        else:
            is_all = words == "all" and listing.several
            picked = listing.free if is_all else _numbers(words, listing)
            if picked:
                return Pressed(values=tuple(listing.rows[place].value for place in picked))
            _say("  That is no line of the list.")


def line(question: str, default: str, validate: Callable[[str], bool | str], empty: str) -> str:
    """A line of text; the default for an empty one, ``empty`` for a dash, ``Back`` for b."""
    while True:
        shown = f" [{default}]" if default else ""
        clears = ", -: nothing" if default and not empty else ""
        text = _read(f"? {question}{shown} (b: back{clears}) ").strip()
        if text == "b":
            raise Back
        answer = empty if text == "-" and clears else text or default
        verdict = validate(answer)
        if verdict is True:
            return answer
        _say(f"  {verdict}")


def yes(question: str, default: bool) -> bool:
    """Whether it is so; the default for an empty line, ``Back`` for b."""
    keys = "Y/n" if default else "y/N"
    while True:
        text = _read(f"? {question} ({keys}, b: back) ").strip().lower()
        if text == "b":
            raise Back
        if text in ("", "y", "yes", "n", "no"):
            return text in ("y", "yes") or (not text and default)


def _print(listing: Listing, table: Table, start: int) -> int:
    """Print a page of the list; gives where the next begins, 0 at the end."""
    widths = table.widths(_WIDTH - 6)
    header = table.line(table.header, widths)
    if header:
        _say("      " + header)
    end = start + _PAGE
    for number, place in enumerate(listing.shown[start:end], start + 1):
        row = listing.rows[place]
        lacks = f"  ({row.lacks})" if row.lacks else ""
        _say(f"{number:>4}  {table.line(row.cells, widths)}{lacks}")
    if not listing.shown:
        _say("      nothing matches")
    return end if end < len(listing.shown) else 0


def _instruction(listing: Listing, more: int, others: Iterable[str]) -> str:
    first = "Numbers (such as 1,3-5) or all" if listing.several else "Number"
    left = f", m: {len(listing.shown) - more:,} more" if more else ""
    return ", ".join([f"{first}, /text: search{left}", *others, "b: back: "])


def _numbers(words: str, listing: Listing) -> list[int]:
    """The places of the rows that were meant; none where any of it makes no sense."""
    found: dict[int, None] = {}
    for word in words.replace(",", " ").split():
        first, dash, last = word.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)) or len(word) > _LONGEST:
            return []
        for number in range(int(first), min(int(last or first), len(listing.shown)) + 1):
            found[number - 1] = None
    places = [listing.shown[at] for at in found if 0 <= at < len(listing.shown)]
    free = [place for place in places if not listing.rows[place].lacks]
    is_sound = len(free) == len(found) and (listing.several or len(free) == 1)
    return sorted(free) if is_sound else []


def _say(text: str) -> None:
    print_to(sys.stderr, text)


def _read(prompt: str) -> str:
    print_to(sys.stderr, prompt, end="")
    text = sys.stdin.readline()
    if not text:
        raise KeyboardInterrupt
    return text
