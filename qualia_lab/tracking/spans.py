"""Spans: what each kind of store holds of them, as one frame.

A span's attributes are JSON in JSON: MLflow stores each value as the text of its JSON.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from qualia_lab.tracking import reader, told

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from sqlalchemy import Select

# Times are ns since the epoch; costs are in the currency of the prices that MLflow had (US
# dollars). Of tokens, those read from and written to a cache are among the input tokens.
SPANS = {
    "trace_id": "string",
    "span_id": "string",
    "parent_id": "string",
    "name": "string",
    "type": "string",
    "status": "string",
    "started": "int64",
    "ended": "int64",
    "model": "string",
    "provider": "string",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "total_tokens": "int64",
    "cache_read_tokens": "int64",
    "cache_write_tokens": "int64",
    "cache_write_1h_tokens": "int64",
    "cost": "float64",
    "error": "string",
    "inputs": "string",
}
TOKENS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
    "cache_write_1h_tokens": "cache_creation_input_tokens_above_1hr",
}
_USAGE, _COST = "mlflow.chat.tokenUsage", "mlflow.llm.cost"
_MODEL, _PROVIDER = "mlflow.llm.model", "mlflow.llm.provider"
_TYPE, _INPUTS = "mlflow.spanType", "mlflow.spanInputs"
# What came with 3.3; older stores keep spans among the artifacts.
TABLE = {
    "trace_id",
    "experiment_id",
    "span_id",
    "parent_span_id",
    "name",
    "type",
    "status",
    "start_time_unix_nano",
    "end_time_unix_nano",
    "content",
}
# Traces whose spans are read at once: their texts are in memory until they are rows.
_TRACES_AT_ONCE = 5000
_LONGEST_ERROR = 120
_NAT = -(2**63)
_BASE64_ID = 12  # characters, of 8 bytes


def frame(spans: pa.Table) -> pd.DataFrame:
    """The frame of ``RunSet.spans``: each span once, in the order of trace and start."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    ordered = spans.sort_by([(name, "ascending") for name in ("trace_id", "started", "span_id")])
    found: pd.DataFrame = ordered.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    started, ended = (ordered[name].fill_null(_NAT).to_numpy() for name in ("started", "ended"))
    # Further from the epoch than this, a difference is no int64.
    known = (np.abs(started // 2) < 2**61) & (np.abs(ended // 2) < 2**61)
    took = np.where(known, ended - started, _NAT)
    found["started"] = pd.Series(started.view("datetime64[ns]")).dt.tz_localize("UTC")
    found["ended"] = pd.Series(took.view("timedelta64[ns]"))
    once = found.rename(columns={"ended": "duration"}).drop_duplicates(
        ["trace_id", "span_id"], keep="last"
    )
    return once.reset_index(drop=True)


def row_of_content(
    one: Mapping[str, Any],
    *,
    trace_id: str,
    attributes: Mapping[str, Any],
) -> tuple[Any, ...]:
    """One span as a row of ``SPANS``, out of the dict that MLflow writes of it."""
    usage = told.counts(attributes.get(_USAGE), TOKENS)
    cost = told.cost(attributes.get(_COST))
    return (
        trace_id,
        _id(one["span_id"]),
        _id(one.get("parent_span_id")) or None,
        one.get("name") or None,
        _plain(attributes.get(_TYPE)),
        _status(one),
        _whole(one.get("start_time_unix_nano")),
        _whole(one.get("end_time_unix_nano")),
        _plain(attributes.get(_MODEL)),
        _plain(attributes.get(_PROVIDER)),
        *(usage.get(name) for name in TOKENS),
        cost,
        _error(one),
        _text(attributes.get(_INPUTS)) if usage or cost is not None else None,
    )


def rows_of_json(traced: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The spans of one trace as ``traces/batchGet`` answers it, ids in base64 and all."""
    trace_id = str(traced["trace_info"]["trace_id"])
    for one in traced.get("spans", []):
        attributes = {pair["key"]: _any_value(pair.get("value", {})) for pair in one["attributes"]}
        if _INPUTS in attributes:
            attributes[_INPUTS] = json.dumps(attributes[_INPUTS], ensure_ascii=False)
        yield row_of_content(one, trace_id=trace_id, attributes=attributes)


def rows_of_entity(trace: Any) -> Iterator[tuple[Any, ...]]:
    """The spans of one ``mlflow.entities.Trace``."""
    for span in trace.data.spans:
        one = span.to_dict()
        yield row_of_content(
            one, trace_id=trace.info.trace_id, attributes=one.get("attributes") or {}
        )


def from_sql(
    fetch: Callable[[Mapping[str, str], Select[Any]], pa.Table],
    columns: Mapping[str, set[str]],
    experiment_ids: Sequence[str],
) -> pa.Table:
    """Out of a database, some thousand traces a statement.

    Args:
        fetch: reads a statement into columns of these types.
        columns: the tables that there are, with their columns.
        experiment_ids: whose traces.
    """
    import sqlalchemy as sa

    if not columns.get("spans", set()) >= TABLE:
        return together([])
    table = sa.table("spans", *(sa.column(one) for one in sorted(TABLE)))
    info = sa.table("trace_info", sa.column("request_id"), sa.column("experiment_id"))
    whose = [int(one) for one in experiment_ids if one.isdigit()]
    ids = fetch(
        {"id": "string"},
        sa.select(info.c.request_id)
        .where(info.c.experiment_id.in_(whose))
        .order_by(info.c.request_id),
    )["id"].to_pylist()
    # Only these say more than the columns do; the others' texts stay where they are.
    telling = sa.or_(
        table.c.status == "ERROR",
        table.c.content.like(f"%{_USAGE}%"),
        table.c.content.like(f"%{_COST}%"),
    )
    statement = sa.select(
        table.c.trace_id,
        table.c.span_id,
        sa.func.coalesce(table.c.parent_span_id, ""),
        sa.func.coalesce(table.c.name, ""),
        sa.func.coalesce(table.c.type, ""),
        table.c.status,
        table.c.start_time_unix_nano,
        sa.func.coalesce(table.c.end_time_unix_nano, -1),
        sa.case((telling, table.c.content), else_=""),
    ).where(table.c.experiment_id.in_(whose))
    given = dict.fromkeys(("trace_id", "span_id", "parent_id", "name", "type", "status"), "string")
    given |= {"started": "int64", "ended": "int64", "content": "string"}
    starts = ids[::_TRACES_AT_ONCE]
    parts = []
    for number, start in enumerate(starts):
        chunk = statement.where(table.c.trace_id >= start)
        if number + 1 < len(starts):
            chunk = chunk.where(table.c.trace_id < starts[number + 1])
        parts.append(parsed(fetch(given, chunk)))
    return together(parts)


def parsed(stored: pa.Table) -> pa.Table:
    """Rows of the database as rows of ``SPANS``.

    Arrow parses the texts, several times as fast as Python. It takes JSON as MLflow writes it;
    where one text is otherwise, all of them are read one by one.
    """
    import pyarrow.compute as pc

    status = stored["status"]
    simple = pc.not_equal(status, "ERROR")
    try:
        quick = _at_once(stored.filter(simple))
    except ValueError:  # what Arrow raises
        return _one_by_one(stored)
    # An exception's type lies deep in a span, and errors are few.
    return together([quick, _one_by_one(stored.filter(pc.invert(simple)))])


def _one_by_one(stored: pa.Table) -> pa.Table:
    return reader.table(SPANS, map(_stored, _rows(stored)))


def _at_once(stored: pa.Table) -> pa.Table:
    """As ``_one_by_one``, for spans without an error.

    Raises:
        ValueError: a text is no JSON of the types that MLflow writes.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = (_USAGE, _COST, _MODEL, _PROVIDER, _INPUTS)
    attributes = pa.struct([(name, pa.string()) for name in kept])
    texts = told.columns_of(stored["content"], pa.schema([("attributes", attributes)]))
    found = dict(zip(kept, texts["attributes"].combine_chunks().flatten(), strict=True))
    tokens, costs = told.counts_of(found[_USAGE], TOKENS), told.costs_of(found[_COST])
    nothing = pa.nulls(len(stored), pa.int64())
    counted = pc.is_valid(costs)
    for values in tokens.values():
        counted = pc.or_(counted, pc.is_valid(values))
    no_text = pa.nulls(len(stored), pa.string())

    def text(name: str) -> Any:
        return pc.if_else(pc.not_equal(stored[name], ""), stored[name], no_text)

    ended = pc.if_else(pc.less(stored["ended"], 0), nothing, stored["ended"])
    columns = {
        **{name: stored[name] for name in ("trace_id", "span_id", "status", "started")},
        **{name: text(name) for name in ("parent_id", "name", "type")},
        **tokens,
        "ended": ended,
        "model": _unquoted(found[_MODEL]),
        "provider": _unquoted(found[_PROVIDER]),
        "cost": costs,
        "error": no_text,
        "inputs": pc.if_else(counted, found[_INPUTS], no_text),
    }
    return pa.table({name: columns[name] for name in SPANS}).cast(reader.schema(SPANS))


def _unquoted(texts: pa.Array) -> pa.Array:
    """``_plain`` of each; a few texts come again and again."""
    import pyarrow as pa

    known = texts.dictionary_encode()
    plain = pa.array([_plain(one) for one in known.dictionary.to_pylist()], pa.string())
    return plain.take(known.indices)


def together(parts: Sequence[pa.Table]) -> pa.Table:
    """Tables with the columns ``SPANS`` as one."""
    import pyarrow as pa

    return pa.concat_tables([reader.schema(SPANS).empty_table(), *parts])


def _rows(table: pa.Table) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in table.column_names), strict=True)


def _stored(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of the database as one of ``SPANS``; its columns go before its text."""
    trace_id, span_id, parent_id, name, kind, status, started, ended, content = row
    content = told.parsed(content) if content else {}
    attributes = content.get("attributes")
    whole = row_of_content(
        {
            **content,
            "span_id": "",
            "parent_span_id": "",
            "start_time_unix_nano": started,
            "end_time_unix_nano": None if ended < 0 else ended,
        },
        trace_id=trace_id,
        attributes=attributes if isinstance(attributes, dict) else {},
    )
    return (trace_id, span_id, parent_id or None, name or None, kind or None, status, *whole[6:])


def _id(value: Any) -> str:
    """An id of a span as MLflow shows it; protobuf has its bytes in base64."""
    text = str(value or "")
    if len(text) != _BASE64_ID:
        return text
    with suppress(ValueError):
        return b64decode(text, validate=True).hex()
    return text


def _plain(value: Any) -> str | None:
    """Text that is stored as JSON of it, or as it is."""
    if isinstance(value, str) and value.startswith('"'):
        with suppress(ValueError):
            value = json.loads(value)
    return value if isinstance(value, str) and value else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    """Nanoseconds, which JSON of protobuf has as text; what is no int64 is not known."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -(2**63) <= number < 2**63 else None


def _status(one: Mapping[str, Any]) -> str:
    status = one.get("status")
    code = status.get("code", "UNSET") if isinstance(status, dict) else status or "UNSET"
    return str(code).removeprefix("STATUS_CODE_")


def _error(one: Mapping[str, Any]) -> str | None:
    """The type of the exception that ended a span, else the beginning of what its status says."""
    status = one.get("status")
    if _status(one) != "ERROR":
        return None
    for event in one.get("events") or ():
        pairs = event.get("attributes") if isinstance(event, dict) else None
        if isinstance(pairs, list):
            pairs = {pair["key"]: _any_value(pair.get("value", {})) for pair in pairs}
        if isinstance(pairs, dict) and (kind := _plain(pairs.get("exception.type"))):
            return kind[:_LONGEST_ERROR]
    said = status.get("message") if isinstance(status, dict) else None
    return str(said).split("\n")[0][:_LONGEST_ERROR] if said else None


def _any_value(value: Mapping[str, Any]) -> Any:
    """What an ``AnyValue`` of OpenTelemetry holds."""
    for kind, held in value.items():
        if kind == "kvlist_value":
            return {one["key"]: _any_value(one.get("value", {})) for one in held.get("values", [])}
        if kind == "array_value":
            return [_any_value(one) for one in held.get("values", [])]
        return int(held) if kind == "int_value" else held
    return None
