"""Databases as columns: a statement goes in, an Arrow table comes out. Nothing is ever written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qualia_lab.tracking import reader, uris

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Select

# How long to wait for whatever holds a lock on a SQLite file.
_LOCK_SECONDS = 5
# Rows in one piece of a column; many small pieces make everything after slower.
_BATCH = {"adbc.sqlite.query.batch_rows": "65536"}


class Database(Protocol):
    """A database that can be read."""

    def columns(self) -> dict[str, set[str]]:
        """The tables that there are, each with its columns."""

    def fetch(self, statement: Select[Any], schema: pa.Schema) -> pa.Table:
        """All rows of a statement, with the names and types of ``schema``."""


def connect(uri: str, full_uri: str) -> Database:
    """The database of a tracking URI; ``full_uri`` is the same with its password."""
    if uris.store_type(uri) == "sqlite":
        return SqliteFile(uris.sqlite_path(uri))
    return Server(full_uri)


class SqliteFile:
    """A SQLite file, opened read-only.

    Rows go from SQLite into Arrow in C, which is several times faster than through the tuples of
    Python's own driver and takes a fraction of the memory. Arrow guesses types from the first
    rows; a column that turns out otherwise is read again row by row.
    """

    def __init__(self, path: Path) -> None:
        self._readonly = f"{path.absolute().as_uri()}?mode=ro"

    def columns(self) -> dict[str, set[str]]:
        """As ``Database.columns``."""
        found: dict[str, set[str]] = {}
        for name, sql_columns in self._rows(
            "SELECT m.name, group_concat(c.name, char(10)) FROM sqlite_master m"
            " JOIN pragma_table_info(m.name) c WHERE m.type = 'table' GROUP BY m.name"
        ):
            found[name] = set(sql_columns.split("\n"))
        return found

    def fetch(self, statement: Select[Any], schema: pa.Schema) -> pa.Table:
        """As ``Database.fetch``."""
        import adbc_driver_manager as adbc
        import pyarrow as pa
        from adbc_driver_sqlite import dbapi
        from sqlalchemy.dialects import sqlite

        text = _text(statement, sqlite.dialect())
        try:
            with (
                dbapi.connect(self._readonly, autocommit=True) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(f"PRAGMA busy_timeout = {_LOCK_SECONDS * 1000}")
                cursor.adbc_statement.set_options(**_BATCH)
                cursor.execute(text)
                # A reader of its own: it ends before the cursor, which it asks.
                with cursor.fetch_record_batch() as batches:
                    parts = [_part(batch, schema) for batch in batches]
                found = pa.concat_tables(parts) if parts else schema.empty_table()
                return found.unify_dictionaries()
        except (adbc.Error, ValueError, NotImplementedError):  # Arrow's own errors are the latter
            return _table(self._rows(text), schema)

    def _rows(self, text: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._readonly, uri=True, timeout=_LOCK_SECONDS)
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            return connection.execute(text).fetchall()
        finally:
            connection.close()


class Server:
    """A database behind a driver of SQLAlchemy, in transactions that may only read."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def columns(self) -> dict[str, set[str]]:
        """As ``Database.columns``."""
        import sqlalchemy as sa

        inspector = sa.inspect(self._engine)
        return {
            name: {column["name"] for column in inspector.get_columns(name)}
            for name in inspector.get_table_names()
        }

    def fetch(self, statement: Select[Any], schema: pa.Schema) -> pa.Table:
        """As ``Database.fetch``."""
        with self._engine.connect() as connection:
            options = {"postgresql_readonly": True} if self._is_postgresql else {}
            rows = connection.execution_options(**options).execute(statement)
            return _table(rows.cursor.fetchall(), schema)

    @property
    def _is_postgresql(self) -> bool:
        return bool(self._engine.dialect.name == "postgresql")

    @cached_property
    def _engine(self) -> Any:
        import sqlalchemy as sa

        return sa.create_engine(self._uri, poolclass=sa.NullPool)


def _part(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """A batch with the wanted names and types."""
    import pyarrow as pa

    part = pa.Table.from_batches([batch]).rename_columns(schema.names)
    for place, field in enumerate(schema):
        if pa.types.is_dictionary(field.type):
            # Through text: what Arrow took for another type is still a name.
            text = part.column(place).cast(pa.string())
            text.validate(full=True)
            part = part.set_column(place, field.name, text.dictionary_encode())
    found = part.cast(schema)
    found.validate(full=True)  # SQLite holds any bytes as text
    if not any(pa.types.is_dictionary(one.type) for one in schema):
        return found
    # The driver frees a batch as a whole: what is kept beside repeated text must be a copy.
    kept = [
        one
        if pa.types.is_dictionary(one.type)
        else pa.concat_arrays([*one.chunks, one.chunk(0)[:0]])
        for one in found.columns
    ]
    return pa.table(kept, schema=schema)


def _text(statement: Select[Any], dialect: Any) -> str:
    return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    values = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [
        pa.array(_as_text(one)) if reader.is_text(field.type) else pa.array(one, field.type)
        for one, field in zip(values, schema, strict=True)
    ]
    return pa.table(arrays, names=schema.names).cast(schema)


def _as_text(values: Sequence[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]
