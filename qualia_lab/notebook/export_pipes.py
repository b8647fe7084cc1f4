"""Tables of HTML as the pipe tables of GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import Tag

_MOST_COLUMNS, _MOST_ROWS = 12, 60
_NUMBER = re.compile(r"[-+]?(\d[\d,]*\.?\d*([eE][-+]?\d+)?|inf|nan|NaN)( ?%|[ \xa0]★)?\Z")
_TAGS = re.compile(r"<[^>]*>")


def pipe_table(
    table: Tag,
    shown: Callable[[Tag], str],
    inert: Callable[[str], str],
    *,
    columns: int = _MOST_COLUMNS,
    rows: int = _MOST_ROWS,
) -> list[str]:
    """A table as blocks: its caption, its rows, and a line that says what was cut off.

    Args:
        table: clean HTML.
        shown: what a cell holds, as Markdown on one line.
        inert: text for Markdown.
        columns: the most that are kept, besides those of the rows' names.
        rows: the most that are kept, besides the header.
    """
    head, body = _grid(table, shown)
    if not head and not body:
        return []
    width = max(len(row) for row in (*head, *body))
    names = _names(table)
    most = columns + names
    kept = min(width, most)
    lines = [
        _line(_joined(head, width)[:kept]),
        "|" + "|".join("---:" if _is_of_numbers(body, place) else "---" for place in range(kept))
        + "|",
        *(_line([*row, *[""] * (width - len(row))][:kept]) for row in body[:rows]),
    ]  # fmt: skip
    said = []
    if width > kept:
        said.append(f"{kept - names:,} of {width - names:,} columns")
    if len(body) > rows:
        said.append(f"{rows:,} of {len(body):,} rows")
    caption = table.find("caption")
    told = inert(caption.get_text(" ")) if caption else ""
    cut = f"*{' and '.join(said)} are shown; the notebook has all.*" if said else ""
    return [block for block in (f"*{told}*" if told else "", "\n".join(lines), cut) if block]


def _grid(table: Tag, shown: Callable[[Tag], str]) -> tuple[list[list[str]], list[list[str]]]:
    """The texts of the header's rows and of the others, cells that span several repeated blank."""
    head: list[list[str]] = []
    body: list[list[str]] = []
    waiting: dict[int, int] = {}
    for row in table.find_all("tr"):
        cells: list[str] = []

        def fill(cells: list[str] = cells) -> None:
            while waiting.get(len(cells), 0):
                waiting[len(cells)] -= 1
                cells.append("")

        for cell in row.find_all(("td", "th"), recursive=False):
            fill()
            text = _styled(cell, shown(cell))
            for number in range(_span(cell, "colspan")):
                waiting[len(cells)] = _span(cell, "rowspan") - 1
                cells.append(text if number == 0 or row.find_parent("thead") else "")
        fill()
        (head if row.find_parent("thead") else body).append(cells)
    return head, body


def _styled(cell: Tag, text: str) -> str:
    style = str(cell.get("style", ""))
    is_bold = cell.name == "td" and re.search(r"font-weight:\s*(bold|[6-9]00)", style)
    return f"<strong>{text}</strong>" if is_bold and text else text


def _span(cell: Tag, name: str) -> int:
    text = str(cell.get(name, "1"))
    return max(1, min(int(text), 1000)) if text.isdigit() else 1


def _names(table: Tag) -> int:
    """How many columns at the left hold the names of the rows."""
    body = table.find("tbody")
    row = body.find("tr") if body else None
    return min(len(row.find_all("th", recursive=False)), 3) if row else 0


def _joined(head: Sequence[Sequence[str]], width: int) -> list[str]:
    """One header of several: what stands above each other, once each."""
    columns = []
    for place in range(width):
        texts = [row[place] for row in head if place < len(row) and row[place]]
        columns.append(" · ".join(dict.fromkeys(texts)))
    return columns


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _is_of_numbers(body: Sequence[Sequence[str]], place: int) -> bool:
    texts = [_TAGS.sub("", row[place]).strip() for row in body if place < len(row)]
    texts = [text for text in texts if text and text != "&lt;NA&gt;"]
    return bool(texts) and all(_NUMBER.match(text) for text in texts)
