"""Traces, their tags and their assessments: what each kind of store holds of them, as frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from qualia_lab.moments import last_ms
from qualia_lab.tracking import assessments, frames, reader, told

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from sqlalchemy import Select

# Tokens are counts, cost is in the currency of the prices that MLflow had (US dollars), times are
# ms since the epoch.
TRACES = {
    "trace_id": "string",
    "experiment_id": "string",
    "run_id": "string",
    "name": "string",
    "status": "string",
    "started": "int64",
    "duration": "int64",
    "user": "string",
    "session": "string",
    "request": "string",
    "response": "string",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "total_tokens": "int64",
    "cost": "float64",
    "scorer": "string",
    "prompts": "string",
}
# What people and their programs say of traces: tags and metadata that are not MLflow's own.
TAGS = {"trace_id": "string", "key": "string", "value": "string"}
_RUN, _NAME, _USER = "mlflow.sourceRun", "mlflow.traceName", "mlflow.trace.user"
_SESSION, _USAGE, _COST = "mlflow.trace.session", "mlflow.trace.tokenUsage", "mlflow.trace.cost"
_SCORER, _PROMPTS = "mlflow.trace.sourceScorer", "mlflow.linkedPrompts"
_OWN = "mlflow."
_TOKENS = {name: name for name in ("input_tokens", "output_tokens", "total_tokens")}
# Columns of trace_info that newer databases hold and older ones have as metadata.
_PROMOTED = {"name": "trace_name", "session": "session_id", "cost": "total_cost"}
# The longest duration that the API can hold, in ms: 10,000 years.
_LONGEST = 315_576_000_000_000
TABLE = {"request_id", "experiment_id", "timestamp_ms", "execution_time_ms", "status"}


def frame(traces: pa.Table) -> pd.DataFrame:
    """The frame of ``RunSet.traces``: each trace once, oldest first."""
    import numpy as np
    import pandas as pd

    ordered = traces.sort_by([("started", "ascending"), ("trace_id", "ascending")])
    found: pd.DataFrame = ordered.to_pandas()
    found["started"] = frames.times(ordered["started"])
    nat = np.iinfo(np.int64).min
    took = ordered["duration"].fill_null(nat).to_numpy().copy()
    took[(took > _LONGEST) | (took < -_LONGEST)] = nat
    found["duration"] = pd.Series(took.view("timedelta64[ms]"))
    for name in _TOKENS:
        found[name] = pd.array(ordered[name].to_pylist(), dtype="Int64")
    return found.drop_duplicates("trace_id", keep="last").reset_index(drop=True)


@dataclass(slots=True, kw_only=True)
class Traced:
    """What is known of traces: tables with the columns ``TRACES``, ``TAGS``, ``ASSESSMENTS``."""

    traces: pa.Table
    tags: pa.Table
    assessments: pa.Table


class Gathered:
    """Traces that come one by one."""

    def __init__(self) -> None:
        self._traces: list[tuple[Any, ...]] = []
        self._tags: list[tuple[str, str, str]] = []
        self._assessments: list[tuple[Any, ...]] = []

    def add_json(self, one: Mapping[str, Any]) -> None:
        """A trace as the API of MLflow 3 answers it."""
        self._add(row_of_json(one), one.get("trace_metadata", {}), one.get("tags", {}))
        self._assessments += assessments.rows_of_json(one)

    def add_entity(self, info: Any) -> None:
        """One ``mlflow.entities.TraceInfo``."""
        self._add(row_of_entity(info), info.trace_metadata, info.tags)
        self._assessments += assessments.rows_of_entity(info)

    def _add(
        self, trace: tuple[Any, ...], metadata: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        self._traces.append(trace)
        for key, value in {**metadata, **tags}.items():
            if not key.startswith(_OWN):
                self._tags.append((trace[0], key, value))

    def tables(self) -> Traced:
        """All that came."""
        return Traced(
            traces=reader.table(TRACES, self._traces),
            tags=reader.table(TAGS, self._tags),
            assessments=reader.table(assessments.ASSESSMENTS, self._assessments),
        )


def tags_frame(tags: pa.Table) -> pd.DataFrame:
    """The frame of ``RunSet.trace_tags``, sorted: of a tag and a metadatum of one key, the tag."""
    found: pd.DataFrame = tags.to_pandas().drop_duplicates(["trace_id", "key"], keep="last")
    return found.sort_values(["trace_id", "key"], ignore_index=True)


def row(
    *,
    trace_id: str,
    experiment_id: str,
    status: str,
    started: int,
    duration: int | None,
    request: str | None,
    response: str | None,
    metadata: Mapping[str, str],
    tags: Mapping[str, str],
) -> tuple[Any, ...]:
    """One trace as a row of ``TRACES``."""
    usage = told.counts(metadata.get(_USAGE), _TOKENS)
    return (
        trace_id,
        experiment_id,
        metadata.get(_RUN) or None,
        tags.get(_NAME) or None,
        status,
        started,
        duration,
        metadata.get(_USER) or None,
        metadata.get(_SESSION) or None,
        request or None,
        response or None,
        *(usage.get(name) for name in _TOKENS),
        told.cost(metadata.get(_COST)),
        tags.get(_SCORER) or None,
        tags.get(_PROMPTS) or None,
    )


def row_of_json(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """One trace as the API of MLflow 3 answers it."""
    took = one.get("execution_duration")
    location = one["trace_location"]["mlflow_experiment"]
    return row(
        trace_id=str(one["trace_id"]),
        experiment_id=str(location["experiment_id"]),
        status=str(one.get("state", "STATE_UNSPECIFIED")),
        started=last_ms(datetime.fromisoformat(one["request_time"])),
        duration=None if took is None else round(float(str(took).removesuffix("s")) * 1000),
        request=one.get("request_preview"),
        response=one.get("response_preview"),
        metadata=_texts(one.get("trace_metadata", {})),
        tags=_texts(one.get("tags", {})),
    )


def _texts(told: Mapping[str, Any]) -> Mapping[str, str]:
    """What MLflow has as texts.

    Raises:
        TypeError: something else is among them.
    """
    for value in told.values():
        if not isinstance(value, str):
            raise TypeError(f"a {type(value).__name__} where MLflow has text")
    return told


def row_of_entity(info: Any) -> tuple[Any, ...]:
    """One ``mlflow.entities.TraceInfo``."""
    return row(
        trace_id=info.trace_id,
        experiment_id=str(info.experiment_id),
        status=str(getattr(info.state, "value", info.state)),
        started=info.request_time,
        duration=info.execution_duration,
        request=info.request_preview,
        response=info.response_preview,
        metadata=info.trace_metadata,
        tags=info.tags,
    )


def from_sql(
    fetch: Callable[[Mapping[str, str], Select[Any]], pa.Table],
    columns: Mapping[str, set[str]],
    experiment_ids: Sequence[str],
) -> Traced:
    """Out of a database: one statement for the traces, one for each table of what hangs on them.

    Args:
        fetch: reads a statement into columns of these types.
        columns: the tables that there are, with their columns.
        experiment_ids: whose traces.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import sqlalchemy as sa

    have = columns.get("trace_info", set())
    if not have >= TABLE:
        return Gathered().tables()
    optional = {*_PROMOTED.values(), *_TOKENS, "request_preview", "response_preview"} & have
    info = sa.table("trace_info", *(sa.column(one) for one in sorted(TABLE | optional)))
    whose = info.c.experiment_id.in_([int(one) for one in experiment_ids if one.isdigit()])

    def text(name: str) -> Any:
        return sa.func.coalesce(info.c[name], "") if name in optional else sa.literal("")

    def number(name: str) -> Any:
        return info.c[name] if name in optional else sa.null()

    given = {
        "trace_id": info.c.request_id,
        "experiment_id": info.c.experiment_id,
        "status": info.c.status,
        "started": info.c.timestamp_ms,
        "duration": info.c.execution_time_ms,
        "name": text("trace_name"),
        "session": text("session_id"),
        "request": text("request_preview"),
        "response": text("response_preview"),
        **{name: number(name) for name in _TOKENS},
        "cost": number("total_cost"),
    }
    found = fetch({name: TRACES[name] for name in given}, sa.select(*given.values()).where(whose))

    def hung(name: str, keys: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        """Values by key, in the order of the traces."""
        table = sa.table(name, *(sa.column(one) for one in ("request_id", "key", "value")))
        statement = (
            sa.select(table.c.request_id, table.c.key, sa.func.coalesce(table.c.value, ""))
            .join_from(table, info, table.c.request_id == info.c.request_id)
            .where(whose, table.c.key.in_(keys))
        )
        pairs = fetch({"id": "string", "key": "string", "value": "string"}, statement)

        def of(key: str) -> pa.ChunkedArray:
            mine = pairs.filter(pc.equal(pairs["key"], key))
            place = pc.index_in(found["trace_id"], value_set=mine["id"].combine_chunks())
            return mine["value"].take(place)

        return {key: of(key) for key in keys}

    def said(name: str) -> pa.Table:
        """What is not MLflow's own."""
        table = sa.table(name, *(sa.column(one) for one in ("request_id", "key", "value")))
        statement = (
            sa.select(table.c.request_id, table.c.key, sa.func.coalesce(table.c.value, ""))
            .join_from(table, info, table.c.request_id == info.c.request_id)
            .where(whose, table.c.key.not_like(f"{_OWN}%"))
        )
        return fetch(TAGS, statement)

    metadata = hung("trace_request_metadata", (_RUN, _USER, _SESSION, _USAGE, _COST))
    tags = hung("trace_tags", (_NAME, _SCORER, _PROMPTS))
    ids = sa.select(info.c.request_id).where(whose)
    return Traced(
        traces=_whole(found, metadata, tags),
        tags=pa.concat_tables([said("trace_request_metadata"), said("trace_tags")]),
        assessments=assessments.from_sql(fetch, columns, ids),
    )


def _whole(
    found: pa.Table,
    metadata: Mapping[str, pa.ChunkedArray],
    tags: Mapping[str, pa.ChunkedArray],
) -> pa.Table:
    """The columns ``TRACES``: those of the table of traces, else what hangs on each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        parsed = {
            **told.counts_of(metadata[_USAGE], _TOKENS),
            "cost": told.costs_of(metadata[_COST]),
        }
    except ValueError:  # what Arrow raises for JSON that is not as MLflow writes it
        usage = [told.counts(one, _TOKENS) if one else {} for one in metadata[_USAGE].to_pylist()]
        costs = [told.cost(one) if one else None for one in metadata[_COST].to_pylist()]
        parsed = {
            **{name: pa.array([one.get(name) for one in usage], pa.int64()) for name in _TOKENS},
            "cost": pa.array(costs, pa.float64()),
        }
    valid = {
        **{name: _where(pc.greater_equal(found[name], 0), found[name]) for name in _TOKENS},
        "cost": _where(pc.is_finite(found["cost"]), found["cost"]),
    }
    texts = {
        "run_id": metadata[_RUN],
        "user": metadata[_USER],
        "name": pc.coalesce(_filled(found["name"]), tags[_NAME]),
        "session": pc.coalesce(_filled(found["session"]), metadata[_SESSION]),
        "request": found["request"],
        "response": found["response"],
        "scorer": tags[_SCORER],
        "prompts": tags[_PROMPTS],
    }
    whole = {
        **{name: found[name] for name in ("trace_id", "experiment_id", "status")},
        **{name: found[name] for name in ("started", "duration")},
        **{name: _filled(values) for name, values in texts.items()},
        **{name: pc.coalesce(valid[name], values) for name, values in parsed.items()},
    }
    return pa.table({name: whole[name] for name in TRACES}).cast(reader.schema(TRACES))


def _filled(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text with nulls where it is empty."""
    import pyarrow.compute as pc

    return _where(pc.not_equal(values, ""), values)


def _where(wanted: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The wanted values, nulls in the place of the others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(wanted, values, pa.scalar(None, values.type))
