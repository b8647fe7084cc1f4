"""Lines in columns, as wide as a terminal allows. A character may be two cells wide, or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_GAP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    One that ``bends`` is cut, at most to so many cells, to save others. A last one that is
    ``spare`` is left out before any is cut.
    """

    title: str = ""
    right: bool = False
    bends: int = 0
    spare: bool = False


class Table:
    """Rows of cells under columns, laid out for whatever width there is.

    Args:
        columns: from the most important on the left: where the width does not do, those on the
            right are left out first.
        rows: a text a column, each on one line (see ``text.visible``).
        cut: what ends a cell that was cut.
    """

    def __init__(
        self, columns: Sequence[Column], rows: Iterable[Sequence[str]], cut: str = "…"
    ) -> None:
        self.columns = tuple(columns)
        self._cut = cut
        self._natural = [cell_width(column.title) for column in self.columns]
        for row in rows:  # which may be many, and made one after the other
            pairs = zip(self._natural, row, strict=True)
            self._natural = [max(width, cell_width(text)) for width, text in pairs]

    @property
    def header(self) -> tuple[str, ...]:
        """The titles, as cells of a line."""
        return tuple(column.title for column in self.columns)

    def widths(self, room: int | None = None) -> list[int]:
        """The width of each column that finds a place in ``room`` cells; everything without one."""
        widths = list(self._natural)
        if room is None:
            return widths
        while len(widths) > 1 and self.columns[len(widths) - 1].spare and _total(widths) > room:
            widths.pop()
        least = [
            min(column.bends or natural, natural)
            for natural, column in zip(widths, self.columns, strict=False)
        ]
        while len(least) > 1 and _total(least) > room:
            least.pop()
        widths = widths[: len(least)]
        for place, column in enumerate(self.columns[: len(widths)]):
            over = _total(widths) - room
            if over > 0 and len(widths) == 1:  # nothing else can make place
                widths[place] = max(1, room)
            elif over > 0 and column.bends:
                widths[place] = max(least[place], widths[place] - over)
        return widths

    def line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        """The cells as one line, without blanks at its end."""
        parts = [
            self._padded(text, width, column.right)
            for text, width, column in zip(cells, widths, self.columns, strict=False)
        ]
        return (" " * _GAP).join(parts).rstrip()

    def _padded(self, text: str, width: int, right: bool) -> str:
        text = shortened(text, width, self._cut)
        blanks = " " * (width - cell_width(text))
        return blanks + text if right else text + blanks


def cell_width(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shortened(text: str, width: int, cut: str = "…") -> str:
    """The text, with an ellipsis at its end where it takes more than ``width`` cells."""
    if cell_width(text) <= width:
        return text
    kept = ""
    for char in text:
        if cell_width(kept + char + cut) > width:
            break
        kept += char
    return kept + cut[: max(0, width - cell_width(kept))]


def age(milliseconds: int | None, now: float) -> str:
    """How long ago that was, such as ``3h``."""
    if milliseconds is None:
        return ""
    seconds = max(0, now - milliseconds / 1000)
    for unit, size in (("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return "now"


def took(seconds: float | None) -> str:
    """A duration, in the unit that suits it."""
    if seconds is None or seconds != seconds:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if abs(seconds) >= 2 * size:  # a run can end before it started
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.3g} s"


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)
