"""The tables that runs logged, out of files that anybody can have written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from qualia_lab.analysis.labels import plain
from qualia_lab.table_files import first_rows, numbers

_MOST_ROWS = 1000
_MOST_COLUMNS = 60
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The beginning of a table, a list a column, and how large the whole is."""

    columns: dict[str, list[Any]]
    rows: int
    of_rows: int
    of_columns: int


def parsed(path: str, content: bytes) -> Table:
    """The beginning of the table in a file: its first 1,000 rows and 60 columns.

    Read as ``table_files.first_rows`` says. Text is on one line, cut past 200 characters; what is
    neither text nor number becomes text.

    Raises:
        NoTableError, ValueError: as there.
    """
    names, rows, of_rows = first_rows(path, content, _MOST_ROWS)
    kept = _distinct(names[:_MOST_COLUMNS])
    columns = {name: [row[place] for row in rows] for place, name in enumerate(kept)}
    if path.lower().endswith(".csv"):
        columns = {name: numbers(values) for name, values in columns.items()}
    shown = {name: [_cell(value) for value in values] for name, values in columns.items()}
    return Table(columns=shown, rows=len(rows), of_rows=of_rows, of_columns=len(names))


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else _text(str(value))
    return _text(value if isinstance(value, str) else _written(value))


def _written(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return type(value).__name__


def _text(value: str) -> str:
    # Most text is plain, and there can be much of it.
    if len(value) <= _LONGEST and value.isascii() and value.isprintable():
        return value
    return plain(value, _LONGEST)


def _distinct(names: Sequence[Any]) -> list[str]:
    """Names of columns as they are shown, each once, none of them ``run``."""
    found: list[str] = []
    for name in names:
        own = plain(name if isinstance(name, str) else _written(name), 60) or "(no name)"
        spellings = chain([own], (f"{own} ({number})" for number in count(2)))
        found.append(next(one for one in spellings if one not in found and one != "run"))
    return found
