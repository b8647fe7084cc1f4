"""Traces: what each kind of store holds of them, as one frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from qualia_lab.moments import last_ms
from qualia_lab.tracking import frames, reader

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
}
_RUN, _NAME, _USER = "mlflow.sourceRun", "mlflow.traceName", "mlflow.trace.user"
_SESSION, _USAGE, _COST = "mlflow.trace.session", "mlflow.trace.tokenUsage", "mlflow.trace.cost"
_TOKENS = ("input_tokens", "output_tokens", "total_tokens")
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
    usage = _usage(metadata.get(_USAGE))
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
        _cost(metadata.get(_COST)),
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
        metadata=one.get("trace_metadata", {}),
        tags=one.get("tags", {}),
    )


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
) -> pa.Table:
    """Out of a database: one statement for the traces, one for each table of what hangs on them.

    Args:
        fetch: reads a statement into columns of these types.
        columns: the tables that there are, with their columns.
        experiment_ids: whose traces.
    """
    import pyarrow.compute as pc
    import sqlalchemy as sa

    have = columns.get("trace_info", set())
    if not have >= TABLE:
        return reader.schema(TRACES).empty_table()
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

    metadata = hung("trace_request_metadata", (_RUN, _USER, _SESSION, _USAGE, _COST))
    return _whole(found, metadata, hung("trace_tags", (_NAME,)))


def _whole(
    found: pa.Table,
    metadata: Mapping[str, pa.ChunkedArray],
    tags: Mapping[str, pa.ChunkedArray],
) -> pa.Table:
    """The columns ``TRACES``: those of the table of traces, else what hangs on each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    usage = [_usage(one) if one else {} for one in metadata[_USAGE].to_pylist()]
    costs = [_cost(one) if one else None for one in metadata[_COST].to_pylist()]
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


def _usage(text: str | None) -> dict[str, int]:
    """Counts of tokens out of a trace's metadata; what is no count is left out."""
    found = _object(text)
    numbers = {name: _number(found.get(name)) for name in _TOKENS}
    return {
        name: int(number)
        for name, number in numbers.items()
        if number is not None and 0 <= number < 2**63 and number == int(number)
    }


def _cost(text: str | None) -> float | None:
    """The cost out of a trace's metadata, unless it is no finite number."""
    cost = _number(_object(text).get("total_cost"))
    return None if cost is None else float(cost)


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= frames.LARGEST else None  # neither NaN nor infinite


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
