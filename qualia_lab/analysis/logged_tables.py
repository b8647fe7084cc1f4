"""The tables that runs logged, out of files that anybody can have written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

from qualia_lab.analysis.labels import plain

ENDINGS = (".csv", ".parquet", ".json")
_MOST_ROWS = 1000
_MOST_COLUMNS = 60
_WIDEST = 10_000
_LONGEST = 200
# A Parquet file says how large it gets; one that says more than this is not unpacked.
_MOST_UNPACKED = 100_000_000

_Read = tuple[Sequence[Any], Sequence[Sequence[Any]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The beginning of a table, a list a column, and how large the whole is."""

    columns: dict[str, list[Any]]
    rows: int
    of_rows: int
    of_columns: int


class NoTableError(ValueError):
    """A JSON file that holds something else than a table."""


def parsed(path: str, content: bytes) -> Table:
    """The table in a file: its first 1,000 rows and 60 columns.

    CSV is UTF-8 with commas and a line of names; JSON is what ``mlflow.log_table`` writes,
    ``{"columns": [...], "data": [[...], ...]}``; Parquet is read by pyarrow. Text is on one line,
    cut past 200 characters; what is neither text nor number becomes text.

    Raises:
        NoTableError: JSON that is no such table.
        ValueError: any other fault of the file; its text says which.
    """
    ending = path[path.rindex(".") :].lower()
    read = {".csv": _csv, ".json": _json, ".parquet": _parquet}[ending]
    try:
        names, rows, of_rows = read(content)
    except NoTableError:
        raise
    except Exception as error:  # whatever a parser makes of bytes that anybody can log
        raise ValueError(str(error) or type(error).__name__) from error
    kept = _distinct(names[:_MOST_COLUMNS])
    columns = {name: [row[place] for row in rows] for place, name in enumerate(kept)}
    if ending == ".csv":
        columns = {name: _numbers(values) for name, values in columns.items()}
    shown = {name: [_cell(value) for value in values] for name, values in columns.items()}
    return Table(columns=shown, rows=len(rows), of_rows=of_rows, of_columns=len(names))


def _csv(content: bytes) -> _Read:
    text = io.StringIO(content.decode("utf-8-sig", "replace"), newline="")
    lines = (line for line in csv.reader(text) if line)
    names = next(lines, [])
    _check_width(len(names))
    rows = list(islice(lines, _MOST_ROWS))
    _check_rows(rows, len(names))
    return names, rows, len(rows) + sum(1 for _ in lines)


def _json(content: bytes) -> _Read:
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    names, rows = (found.get("columns"), found.get("data")) if isinstance(found, dict) else (0, 0)
    if not isinstance(names, list) or not isinstance(rows, list):
        raise NoTableError("it is no table as mlflow.log_table writes one")
    _check_width(len(names))
    _check_rows(rows[:_MOST_ROWS], len(names))
    return names, rows[:_MOST_ROWS], len(rows)


def _parquet(content: bytes) -> _Read:
    from pyarrow import parquet

    file = parquet.ParquetFile(io.BytesIO(content))
    about = file.metadata
    _check_width(about.num_columns)
    unpacked = sum(about.row_group(place).total_byte_size for place in range(about.num_row_groups))
    if unpacked > _MOST_UNPACKED:
        raise ValueError(f"unpacked it has {unpacked:,} bytes")
    batch = next(file.iter_batches(_MOST_ROWS), None)
    columns = [] if batch is None else [column.to_pylist() for column in batch.columns]
    return file.schema_arrow.names, list(zip(*columns, strict=True)), about.num_rows


def _check_width(columns: int) -> None:
    if not columns:
        raise ValueError("it has no columns")
    if columns > _WIDEST:
        raise ValueError(f"it has {columns:,} columns")


def _check_rows(rows: Sequence[Any], width: int) -> None:
    for place, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) != width:
            has = f"{len(row):,} values" if isinstance(row, list) else "no list of values"
            raise ValueError(f"row {place:,} has {has} for {width:,} columns")


def _numbers(values: list[str]) -> list[Any]:
    """A column of CSV as numbers where every value that is there is one; empty is missing."""
    here = [value for value in values if value]
    if not all(_is_number(value) for value in here):
        return [value or None for value in values]
    whole = all(value.lstrip("-").isdecimal() and len(value) < 18 for value in here)
    return [(int(value) if whole else float(value)) if value else None for value in values]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


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
