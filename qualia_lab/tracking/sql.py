"""The reader of SQL stores: a few statements on the tables that matter, straight into columns.

It does not import MLflow. What only MLflow can say, which runs match a filter in its grammar or
come in an order of its grammar, it asks the client reader for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from qualia_lab.errors import NotFoundError
from qualia_lab.model import ArtifactList, Experiment, Query, RunInfo
from qualia_lab.text import visible
from qualia_lab.tracking import (
    boundary,
    frames,
    models,
    reader,
    schemas,
    spans,
    statements,
    traces,
)
from qualia_lab.tracking.client import ClientReader
from qualia_lab.tracking.database import Database, connect
from qualia_lab.tracking.reader import Columns, Progress, unseen
from qualia_lab.tracking.traces import Traced

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Select

# Ids in one statement; databases limit its length.
_IDS_A_STATEMENT = 500
# From this share of all runs on, reading whole tables is faster than looking runs up.
_MOST_OF_THE_STORE = 0.5
_RUN_NAME, _PARENT = "mlflow.runName", "mlflow.parentRunId"


class SqlReader:
    """Reads a SQL store without MLflow.

    Args:
        client: of the same store; it answers what takes MLflow's own grammar, and reads artifacts
            of object stores.
    """

    def __init__(self, client: ClientReader) -> None:
        self._uri = client.tracking_uri
        self._client = client
        self._database: Database = connect(client.tracking_uri, client.full_uri)
        self._artifact_uris: dict[str, str] = {}

    def unknown(self) -> str:
        """Why this database can't be read here, in words; empty when it can.

        Raises:
            QualiaError: it can't be opened at all.
        """
        import sqlalchemy as sa

        with boundary.translate(self._uri, "Opening"):
            for name, needed in {**schemas.TABLES, "alembic_version": {"version_num"}}.items():
                if not needed <= self._columns.get(name, set()):
                    return f"its table {name} is not as MLflow 2.0 to 3.17 has it"
            version = sa.select(statements.table_of("alembic_version").c.version_num)
            found = self._fetch({"version": "string"}, version)
        versions = found["version"].to_pylist()
        if len(versions) != 1 or versions[0] not in schemas.REVISIONS:
            return f"schema version {visible(', '.join(versions), 60)} is not known here"
        return ""

    def experiments(self, *, deleted: bool) -> list[Experiment]:
        """As ``Reader.experiments``."""
        import sqlalchemy as sa

        table = statements.table_of("experiments")
        columns = {"experiment_id": "int64", "name": "string", "stage": "string", "at": "int64"}
        statement = sa.select(
            table.c.experiment_id,
            table.c.name,
            table.c.lifecycle_stage,
            sa.func.coalesce(table.c.last_update_time, 0),
        )
        if not deleted:
            statement = statement.where(table.c.lifecycle_stage == "active")
        if "workspace" in self._columns["experiments"]:
            statement = statement.where(sa.column("workspace") == _workspace())
        with boundary.translate(self._uri, "Listing the experiments of"):
            rows = self._fetch(columns, statement).to_pylist()
        found = [
            Experiment(
                experiment_id=str(row["experiment_id"]),
                name=row["name"],
                active=row["stage"] == "active",
                updated=row["at"] or None,
            )
            for row in rows
        ]
        return sorted(found, key=lambda one: (-(one.updated or 0), one.name))

    def find(self, query: Query) -> list[RunInfo]:
        """As ``Reader.find``."""
        columns = self.load(query)
        metrics: dict[str, dict[str, float]] = {}
        for run_id, key, value in _rows(columns.metrics):
            metrics.setdefault(run_id, {})[key] = frames.number(value)
        parents = {run: value for run, key, value in _rows(columns.tags) if key == _PARENT}
        return [
            RunInfo(
                run_id=row["run_id"],
                name=row["name"],
                experiment_id=row["experiment_id"],
                status=row["status"],
                started=row["started"],
                ended=row["ended"],
                parent=parents.get(row["run_id"]),
                metrics=metrics.get(row["run_id"], {}),
            )
            for row in columns.runs.to_pylist()
        ]

    def count(self, query: Query) -> int:
        """As ``Reader.count``."""
        if query.filter or query.run_ids is not None:
            return len(self.find(replace(query, top=None)))
        return sum(self._counted(query).values())

    def counts(self) -> dict[str, int]:
        """As ``Reader.counts``."""
        return self._counted(Query())

    def _counted(self, query: Query) -> dict[str, int]:
        """How many runs of each experiment match."""
        import sqlalchemy as sa

        runs = statements.table_of("runs")
        statement = (
            sa.select(runs.c.experiment_id, sa.func.count())
            .where(*statements.conditions(runs, self._scoped(query)))
            .group_by(runs.c.experiment_id)
        )
        columns = {"experiment_id": "int64", "count": "int64"}
        with boundary.translate(self._uri, "Counting the runs of"):
            rows = self._fetch(columns, statement).to_pylist()
        return {str(row["experiment_id"]): row["count"] for row in rows}

    def load(self, query: Query, progress: Progress = unseen) -> Columns:
        """As ``Reader.load``."""
        ordered: list[str] | None = None
        if query.filter or not all(map(statements.METRIC_ORDER.fullmatch, query.order_by)):
            ordered = self._client.ids(query)
            query = Query(experiment_ids=query.experiment_ids, run_ids=tuple(ordered))
        query = self._scoped(query)
        with boundary.translate(self._uri, "Reading the runs of"):
            runs = self._runs(query, ordered)
            ids = runs["run_id"].to_pylist()
            self._artifact_uris.update(zip(ids, runs["artifact_uri"].to_pylist(), strict=True))
            everything = len(ids) >= _MOST_OF_THE_STORE * self._runs_in_store()
            chunks: list[list[str] | None] = [None] if everything else [*_chunks(ids)]
            progress(len(ids), 1 / 5)
            tags = self._all(reader.TEXTS, statements.select_texts("tags"), chunks)
            progress(len(ids), 2 / 5)
            params = self._all(reader.TEXTS, statements.select_texts("params"), chunks)
            progress(len(ids), 3 / 5)
            metrics = self._all(reader.NUMBERS, statements.select_latest, chunks)
            progress(len(ids), 4 / 5)
            return Columns(
                runs=_named(runs, tags),
                params=params,
                metrics=_with_nan(metrics),
                tags=tags,
                datasets=self._datasets(chunks),
            )

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pa.Table:
        """As ``Reader.history``."""
        import sqlalchemy as sa

        table = statements.table_of("metrics")

        def statement(chunk: list[str] | None) -> Select[Any]:
            return sa.select(
                table.c.run_uuid,
                table.c.key,
                table.c.step,
                table.c.timestamp,
                statements.value_of(table),
            ).where(table.c.run_uuid.in_(chunk or []), table.c.key.in_(list(metrics)))

        with boundary.translate(self._uri, "Reading metric histories of"):
            points = self._all(reader.POINTS, statement, [*_chunks(run_ids)])
        return _with_nan(points)

    def models(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> pa.Table:
        """As ``Reader.models``."""
        with boundary.translate(self._uri, "Listing the models of"):
            every = partial(self._all, chunks=[*_chunks(run_ids)])
            return models.from_sql(every, self._columns, _workspace(), experiment_ids)

    def traces(self, experiment_ids: Sequence[str]) -> Traced:
        """As ``Reader.traces``."""
        with boundary.translate(self._uri, "Reading the traces of"):
            return traces.from_sql(self._fetch, self._columns, experiment_ids)

    def spans(self, experiment_ids: Sequence[str]) -> pa.Table:
        """As ``Reader.spans``."""
        with boundary.translate(self._uri, "Reading the spans of"):
            return spans.from_sql(self._fetch, self._columns, experiment_ids)

    def artifacts(self, run_id: str) -> ArtifactList:
        """As ``model.Source.artifacts``."""
        return self._client.artifacts_at(self._artifact_uri(run_id), run_id)

    def read_artifact(self, run_id: str, path: str, most_bytes: int) -> bytes:
        """As ``model.Source.read_artifact``."""
        return self._client.artifact_at(self._artifact_uri(run_id), run_id, path, most_bytes)

    @cached_property
    def _columns(self) -> dict[str, set[str]]:
        return self._database.columns()

    def _fetch(self, types: Mapping[str, str], statement: Select[Any]) -> pa.Table:
        return self._database.fetch(statement, reader.schema(types))

    def _all(
        self,
        types: Mapping[str, str],
        statement: Callable[[list[str] | None], Select[Any]],
        chunks: Sequence[list[str] | None],
    ) -> pa.Table:
        import pyarrow as pa

        parts = [self._fetch(types, statement(chunk)) for chunk in chunks]
        return pa.concat_tables(parts) if parts else reader.schema(types).empty_table()

    def _scoped(self, query: Query) -> Query:
        """The query with the experiments that no experiments mean: all active ones."""
        if query.experiment_ids:
            return query
        active = [one.experiment_id for one in self.experiments(deleted=False)]
        return replace(query, experiment_ids=tuple(active))

    def _runs(self, query: Query, ordered: Sequence[str] | None) -> pa.Table:
        """The runs that match, in order; ``ordered`` is the order that the client gave."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = query.run_ids
        few = wanted is not None and len(wanted) <= _IDS_A_STATEMENT
        if ordered is not None or (wanted is not None and not few and not query.order_by):
            parts = [
                self._fetch(reader.RUNS, statements.select_runs(query, chunk, whole=True))
                for chunk in _chunks(wanted or ())
            ]
            runs = pa.concat_tables(parts) if parts else reader.schema(reader.RUNS).empty_table()
            if ordered is None:
                runs = runs.sort_by([("started", "descending"), ("run_id", "ascending")])
            else:
                place = pc.index_in(runs["run_id"], value_set=pa.array(ordered, pa.string()))
                runs = runs.take(pc.array_sort_indices(place))
        elif few:
            return self._fetch(reader.RUNS, statements.select_runs(query, wanted))
        else:
            # An order holds within one statement only: ask for all, keep the wanted.
            runs = self._fetch(
                reader.RUNS, statements.select_runs(query, None, whole=wanted is not None)
            )
            if wanted is None:
                return runs
            runs = runs.filter(pc.is_in(runs["run_id"], value_set=pa.array(wanted, pa.string())))
        return runs if query.top is None else runs.slice(0, query.top)

    def _runs_in_store(self) -> int:
        import sqlalchemy as sa

        statement = sa.select(sa.func.count()).select_from(statements.table_of("runs"))
        return int(self._fetch({"count": "int64"}, statement)["count"][0].as_py())

    def _datasets(self, chunks: Sequence[list[str] | None]) -> pa.Table:
        for name, needed in schemas.DATASET_TABLES.items():
            if not needed <= self._columns.get(name, set()):
                return reader.schema(reader.DATASETS).empty_table()
        return _blank_to_null(
            self._all(reader.DATASETS, statements.select_inputs, chunks), "context"
        )

    def _artifact_uri(self, run_id: str) -> str:
        import sqlalchemy as sa

        if run_id not in self._artifact_uris:
            runs = statements.table_of("runs")
            statement = sa.select(runs.c.artifact_uri).where(runs.c.run_uuid == run_id)
            with boundary.translate(self._uri, "Looking up a run of"):
                found = self._fetch({"artifact_uri": "string"}, statement)
            if not len(found):
                raise NotFoundError(f"no run {visible(run_id, 60)}")
            self._artifact_uris[run_id] = found["artifact_uri"][0].as_py()
        return self._artifact_uris[run_id]


def _workspace() -> str:
    return os.environ.get("MLFLOW_WORKSPACE") or "default"


def _named(runs: pa.Table, tags: pa.Table) -> pa.Table:
    """Runs without a name take it from their tag, as MLflow does; no user is no user."""
    import pyarrow.compute as pc

    codes, keys = reader.coded(tags["key"])
    named = tags.take(pc.indices_nonzero(pc.equal(keys, _RUN_NAME).to_numpy(False)[codes]))
    ids = named["run_id"].cast(runs["run_id"].type).combine_chunks()
    place = pc.index_in(runs["run_id"], value_set=ids)
    by_tag = named["value"].take(place)
    name = pc.if_else(pc.equal(runs["name"], ""), pc.fill_null(by_tag, ""), runs["name"])
    return _blank_to_null(runs.set_column(runs.column_names.index("name"), "name", name), "user")


def _blank_to_null(table: pa.Table, column: str) -> pa.Table:
    """Where a statement gave "" for a null, so that Arrow knew the type, a null again."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = table[column]
    values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    return table.set_column(table.column_names.index(column), column, values)


def _with_nan(table: pa.Table) -> pa.Table:
    """Values with NaN where a statement gave null for it."""
    value = table["value"].fill_null(float("nan"))
    return table.set_column(table.column_names.index("value"), "value", value)


def _rows(table: pa.Table) -> Iterator[tuple[str, str, Any]]:
    return zip(*(table[name].to_pylist() for name in ("run_id", "key", "value")), strict=True)


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        yield list(ids[start : start + _IDS_A_STATEMENT])
