"""The tables in files that anybody can have written: CSV, ``mlflow.log_table``'s JSON, Parquet.

Parsers alone: no I/O, nothing unpickled. What is shown of a table is up to ``analysis``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any

from qualia_lab.text import whole

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".parquet", ".json")
# What MLflow notes about the tables and images that a run logged, as a tag.
NOTED = "mlflow.loggedArtifacts"
# How people call the two tables that drift is looked for between, the likeliest name first.
REFERENCES = ("reference", "ref", "baseline", "train", "training", "expected")
CURRENTS = ("current", "production", "prod", "serving", "live", "latest", "test")
_WIDEST = 10_000
# A Parquet file says how large it gets; one that says more than this is not unpacked.
_MOST_UNPACKED = 100_000_000
_MOST_UNPACKED_WHOLE = 1_000_000_000

Rows = tuple[Sequence[Any], Sequence[Sequence[Any]], int]


class NoTableError(ValueError):
    """A JSON file that holds something else than a table."""


def first_rows(path: str, content: bytes, most: int | None) -> Rows:
    """The names of the columns, the first ``most`` rows (None: all), and how many rows there are.

    CSV is UTF-8 with a line of names, its cells are text; commas stand between them, or what stands
    in a line of names that has no comma: semicolons, else tabs. JSON is what
    ``mlflow.log_table`` writes, ``{"columns": [...], "data": [[...], ...]}``; Parquet is read by
    pyarrow.

    Raises:
        NoTableError: JSON that is no such table.
        ValueError: any other fault of the file; its text says which.
    """
    read = {".csv": _csv, ".json": _json, ".parquet": _parquet}[_ending(path)]
    try:
        return read(content, most)
    except NoTableError:
        raise
    except Exception as error:  # whatever a parser makes of bytes that anybody can log
        raise ValueError(str(error) or type(error).__name__) from error


def frame(path: str, content: bytes) -> pd.DataFrame:
    """The whole table in a file, its columns of the types that pandas finds.

    Names are text and each once: a second ``a`` is ``a (2)``. Columns of CSV are numbers where
    every value that is there is one. A list or a dict in JSON stays one. The index that pandas
    wrote beside a Parquet table without a name is no column.

    Raises:
        NoTableError, ValueError: as ``first_rows``.
    """
    import pandas as pd

    if _ending(path) == ".parquet":
        try:
            return _whole_parquet(content)
        except Exception as error:  # as above
            raise ValueError(str(error) or type(error).__name__) from error
    names, rows, _ = first_rows(path, content, None)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    if _ending(path) == ".csv":
        columns = [tuple(numbers(values)) for values in columns]
    pairs = zip(_distinct([_name(one) for one in names]), columns, strict=True)
    return pd.DataFrame({name: _series(values) for name, values in pairs})


def noted(tag: object) -> set[str]:
    """The paths that the tag ``NOTED``, which anybody can write, notes as tables."""
    try:
        entries = json.loads(str(tag))
        return {str(one["path"]) for one in entries if one["type"] == "table"}
    except (KeyError, TypeError, ValueError, RecursionError):
        return set()


def input_path(source: object) -> str | None:
    """The file that a data set came from, as MLflow notes it; None for one that is no table here.

    MLflow notes ``{"uri": "/data/train.csv"}`` for a file of the machine that logged it.
    """
    try:
        uri = json.loads(str(source))["uri"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    is_local = isinstance(uri, str) and ("://" not in uri or uri.startswith("file://"))
    return uri if is_local and uri.lower().endswith(ENDINGS) and "\0" not in uri else None


def numbers(values: Sequence[str]) -> list[Any]:
    """A column of CSV as numbers where every value that is there is one; empty is missing."""
    here = [value for value in values if value]
    if not all(_is_number(value) for value in here):
        return [value or None for value in values]
    whole = all(value.lstrip("-").isdecimal() and len(value) < 18 for value in here)
    return [(int(value) if whole else float(value)) if value else None for value in values]


def _ending(path: str) -> str:
    return path[path.rindex(".") :].lower()


def _csv(content: bytes, most: int | None) -> Rows:
    text = content.decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    between = next((one for one in ",;\t" if one in first), ",")
    lines = (line for line in csv.reader(io.StringIO(text, newline=""), delimiter=between) if line)
    names = next(lines, [])
    _check_width(len(names))
    rows = list(islice(lines, most))
    _check_rows(rows, len(names))
    return names, rows, len(rows) + sum(1 for _ in lines)


def _json(content: bytes, most: int | None) -> Rows:
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    names, rows = (found.get("columns"), found.get("data")) if isinstance(found, dict) else (0, 0)
    if not isinstance(names, list) or not isinstance(rows, list):
        raise NoTableError("it is no table as mlflow.log_table writes one")
    _check_width(len(names))
    _check_rows(rows[:most], len(names))
    return names, rows[:most], len(rows)


def _parquet(content: bytes, most: int | None) -> Rows:
    file = _parquet_file(content, _MOST_UNPACKED)
    rows = file.metadata.num_rows
    batch = next(file.iter_batches(most or rows or 1), None)
    columns = [] if batch is None else [column.to_pylist() for column in batch.columns]
    return file.schema_arrow.names, list(zip(*columns, strict=True)), rows


def _whole_parquet(content: bytes) -> pd.DataFrame:
    file = _parquet_file(content, _MOST_UNPACKED_WHOLE)
    # What pandas noted beside the table could name types that other packages define.
    found: pd.DataFrame = file.read().to_pandas(ignore_metadata=True)
    found.columns = _distinct([_name(one) for one in found.columns])
    unnamed = [one for one in found.columns if one.startswith("__index_level_")]
    return found.drop(columns=unnamed)


def _parquet_file(content: bytes, most_unpacked: int) -> Any:
    from pyarrow import parquet

    file = parquet.ParquetFile(io.BytesIO(content))
    about = file.metadata
    _check_width(about.num_columns)
    unpacked = sum(about.row_group(place).total_byte_size for place in range(about.num_row_groups))
    if unpacked > most_unpacked:
        raise ValueError(f"unpacked it has {unpacked:,} bytes")
    return file


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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def _name(name: Any) -> str:
    return whole(name if isinstance(name, str) else json.dumps(name, default=str))


def _distinct(names: Sequence[str]) -> list[str]:
    """The same names, with a number behind those that came before."""
    found: dict[str, None] = {}
    for name in names:
        spellings = chain([name], (f"{name} ({number})" for number in count(2)))
        found[next(one for one in spellings if one not in found)] = None
    return list(found)


def _series(values: Sequence[Any]) -> pd.Series[Any]:
    """A column of the type that pandas finds for all of it, else of Python's own objects."""
    import pandas as pd

    clean = [whole(one) if isinstance(one, str) else one for one in values]
    try:
        return pd.Series(clean, dtype=None if clean else "object")
    except (OverflowError, TypeError, ValueError):
        return pd.Series(clean, dtype="object")
