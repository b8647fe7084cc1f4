"""The statements that read a SQL store: SQLAlchemy Core on the few tables that matter."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qualia_lab.errors import UsageError, known_list
from qualia_lab.model import STATUSES, Query
from qualia_lab.moments import first_ms, last_ms
from qualia_lab.text import visible
from qualia_lab.tracking import schemas

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select, TableClause

# The orders that need no MLflow.
METRIC_ORDER = re.compile(
    r"""metrics\.(?:([\w/.-]+)|`([^`]+)`|"([^"]+)")(?:\s+(ASC|DESC))?""", re.IGNORECASE
)
_CONTEXT = "mlflow.data.context"


def table_of(name: str) -> TableClause:
    """A table by its name, with the columns that are read."""
    import sqlalchemy as sa

    columns = {**schemas.TABLES, **schemas.DATASET_TABLES}.get(name, {"version_num"})
    kinds: dict[str, Any] = {"is_nan": sa.Boolean(), "experiment_id": sa.Integer()}
    return sa.table(name, *(sa.column(one, kinds.get(one)) for one in sorted(columns)))


def select_runs(query: Query, chunk: Sequence[str] | None, *, whole: bool = False) -> Select[Any]:
    """The runs that match, in order; ``whole`` leaves the cut to ``top`` for later."""
    import sqlalchemy as sa

    runs = table_of("runs")
    statement = sa.select(
        runs.c.run_uuid,
        sa.func.coalesce(runs.c.name, ""),
        sa.cast(runs.c.experiment_id, sa.String),
        runs.c.status,
        runs.c.start_time,
        runs.c.end_time,
        sa.func.coalesce(runs.c.user_id, ""),
        sa.func.coalesce(runs.c.artifact_uri, ""),
    ).where(*conditions(runs, query))
    if chunk is not None:
        statement = statement.where(runs.c.run_uuid.in_(list(chunk)))
    for clause in query.order_by:
        found = METRIC_ORDER.fullmatch(clause)
        if not found:
            raise UsageError(f"no order {visible(clause, 60)}")
        latest = table_of("latest_metrics").alias()
        key = found[1] or found[2] or found[3]
        same = sa.and_(latest.c.run_uuid == runs.c.run_uuid, latest.c.key == key)
        value = latest.c.value
        statement = statement.outerjoin_from(runs, latest, same).order_by(
            # As MLflow orders: numbers, then NaN, then runs without the metric.
            sa.case((latest.c.is_nan == sa.true(), 1), (value.is_(None), 2), else_=0),
            value.desc() if (found[4] or "").upper() == "DESC" else value,
        )
    statement = statement.order_by(runs.c.start_time.desc(), runs.c.run_uuid)
    return statement if whole or query.top is None else statement.limit(query.top)


def conditions(runs: TableClause, query: Query) -> list[ColumnElement[bool]]:
    """What a run must fulfil, but for the ids and the filter of a query."""
    for status in query.statuses:
        if status not in STATUSES:
            raise UsageError(
                f"no run status {visible(status, 60)}", hint=known_list(status, STATUSES)
            )
    found: list[ColumnElement[bool]] = [
        runs.c.lifecycle_stage == "active",
        runs.c.experiment_id.in_([int(one) for one in query.experiment_ids if one.isdigit()]),
    ]
    if query.statuses:
        found.append(runs.c.status.in_(query.statuses))
    if query.since:
        found.append(runs.c.start_time >= first_ms(query.since))
    if query.until:
        found.append(runs.c.start_time <= last_ms(query.until))
    if query.run_id_prefix:
        found.append(runs.c.run_uuid.startswith(query.run_id_prefix, autoescape=True))
    return found


def value_of(table: TableClause) -> ColumnElement[Any]:
    """A metric's value, null where it is NaN: databases hold 0 and a flag."""
    import sqlalchemy as sa

    return sa.case((table.c.is_nan == sa.true(), sa.null()), else_=table.c.value)


def select_texts(name: str) -> Callable[[list[str] | None], Select[Any]]:
    """What reads a table of keys and texts (``params``, ``tags``), of all runs or of some."""

    def statement(chunk: list[str] | None) -> Select[Any]:
        import sqlalchemy as sa

        table = table_of(name)
        selected = sa.select(table.c.run_uuid, table.c.key, sa.func.coalesce(table.c.value, ""))
        return selected if chunk is None else selected.where(table.c.run_uuid.in_(chunk))

    return statement


def select_latest(chunk: list[str] | None) -> Select[Any]:
    """What reads the last value of each metric, and whether it is NaN."""
    import sqlalchemy as sa

    table = table_of("latest_metrics")
    selected = sa.select(table.c.run_uuid, table.c.key, value_of(table))
    return selected if chunk is None else selected.where(table.c.run_uuid.in_(chunk))


def select_inputs(chunk: list[str] | None) -> Select[Any]:
    """What reads the data sets of runs."""
    import sqlalchemy as sa

    datasets, inputs, tags = table_of("datasets"), table_of("inputs"), table_of("input_tags")
    is_context = sa.and_(tags.c.input_uuid == inputs.c.input_uuid, tags.c.name == _CONTEXT)
    selected = (
        sa.select(
            inputs.c.destination_id,
            datasets.c.name,
            datasets.c.digest,
            sa.func.coalesce(tags.c.value, ""),
            datasets.c.dataset_source_type,
            datasets.c.dataset_source,
        )
        .join_from(inputs, datasets, datasets.c.dataset_uuid == inputs.c.source_id)
        .outerjoin(tags, is_context)
        .where(inputs.c.source_type == "DATASET", inputs.c.destination_type == "RUN")
    )
    return selected if chunk is None else selected.where(inputs.c.destination_id.in_(chunk))
