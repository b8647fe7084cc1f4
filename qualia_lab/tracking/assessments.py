"""Assessments of traces: what people, judges and code said of them, as one frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from qualia_lab.moments import last_ms
from qualia_lab.tracking import frames, reader, told

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from sqlalchemy import Select

# Times are ms since the epoch; ``value`` is the text of its JSON; ``valid`` is 0 or 1.
ASSESSMENTS = {
    "assessment_id": "string",
    "trace_id": "string",
    "span_id": "string",
    "run_id": "string",
    "name": "string",
    "type": "string",
    "value": "string",
    "source_type": "string",
    "source_id": "string",
    "created": "int64",
    "valid": "int64",
    "error": "string",
    "judge_cost": "float64",
    "judge_input_tokens": "int64",
    "judge_output_tokens": "int64",
}
_RUN, _COST = "mlflow.assessment.sourceRunId", "mlflow.assessment.judgeCost"
_TOKENS = {
    "judge_input_tokens": "mlflow.assessment.judgeInputTokens",
    "judge_output_tokens": "mlflow.assessment.judgeOutputTokens",
}
TABLE = {
    "assessment_id",
    "trace_id",
    "name",
    "assessment_type",
    "value",
    "error",
    "created_timestamp",
    "source_type",
    "source_id",
    "span_id",
    "valid",
    "assessment_metadata",
}
_ISSUE = "issue_name"
# As MLflow's own scorers answer; it counts them the same way.
_WORDS = {"yes": 1.0, "no": 0.0, "pass": 1.0, "fail": 0.0, "true": 1.0, "false": 0.0}


def frame(assessments: pa.Table) -> pd.DataFrame:
    """The frame of ``RunSet.assessments``: each assessment once, oldest first."""
    import pandas as pd
    import pyarrow as pa

    order = [("created", "ascending"), ("assessment_id", "ascending")]
    ordered = assessments.sort_by(order)
    found: pd.DataFrame = ordered.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    found["created"] = frames.times(ordered["created"])
    found["valid"] = found["valid"] != 0
    values = [_value(one) for one in ordered["value"].to_pylist()]
    found["value"] = pd.Series([text for text, _ in values], dtype=found["name"].dtype)
    numbers = pd.Series([number for _, number in values], dtype="float64")
    found.insert(list(found).index("value") + 1, "number", numbers)
    return found.drop_duplicates("assessment_id", keep="last").reset_index(drop=True)


def row(
    *,
    assessment_id: str,
    trace_id: str,
    span_id: str | None,
    name: str,
    kind: str,
    value: str | None,
    source_type: str | None,
    source_id: str | None,
    created: int,
    valid: bool,
    error: str | None,
    metadata: Mapping[str, Any],
) -> tuple[Any, ...]:
    """One assessment as a row of ``ASSESSMENTS``; ``value`` is JSON."""
    tokens = told.counts({key: _read(metadata.get(key)) for key in _TOKENS.values()}, _TOKENS)
    cost = told.number(_read(metadata.get(_COST)))
    return (
        assessment_id,
        trace_id,
        span_id or None,
        metadata.get(_RUN) or None,
        name,
        kind,
        value,
        source_type or None,
        source_id or None,
        created,
        int(valid),
        error,
        None if cost is None else float(cost),
        *(tokens.get(one) for one in _TOKENS),
    )


def rows_of_json(trace: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The assessments of a trace as the API of MLflow 3 answers it."""
    return [_row_of_json(one, str(trace["trace_id"])) for one in trace.get("assessments", [])]


def _row_of_json(one: Mapping[str, Any], trace_id: str) -> tuple[Any, ...]:
    kind = next((kind for kind in ("feedback", "expectation", "issue") if kind in one), "")
    said = one.get(kind) or {}
    value = said.get("value", said.get(_ISSUE))
    if value is None and "serialized_value" in said:
        value = _read(said["serialized_value"].get("value"))
    source = one.get("source") or {}
    return row(
        assessment_id=str(one["assessment_id"]),
        trace_id=trace_id,
        span_id=one.get("span_id"),
        name=str(one.get("assessment_name", "")),
        kind=kind,
        value=None if value is None else json.dumps(value),
        source_type=source.get("source_type"),
        source_id=source.get("source_id"),
        created=last_ms(datetime.fromisoformat(one["create_time"])),
        valid=bool(one.get("valid", True)),
        error=_problem(said.get("error")),
        metadata=one.get("metadata") or {},
    )


def rows_of_entity(trace_info: Any) -> list[tuple[Any, ...]]:
    """The assessments of one ``mlflow.entities.TraceInfo``."""
    found = []
    for one in trace_info.assessments or []:
        kinds = ("feedback", "expectation", "issue")
        kind = next((kind for kind in kinds if getattr(one, kind, None) is not None), "")
        said = getattr(one, kind) if kind else None
        value = getattr(said, "value", getattr(said, _ISSUE, None))
        error = getattr(said, "error", None)
        found.append(
            row(
                assessment_id=str(one.assessment_id),
                trace_id=trace_info.trace_id,
                span_id=one.span_id,
                name=one.name,
                kind=kind,
                value=None if value is None else json.dumps(value, default=str),
                source_type=one.source and one.source.source_type,
                source_id=one.source and one.source.source_id,
                created=one.create_time_ms,
                valid=one.valid is not False,
                error=_problem(error.to_dictionary()) if error else None,
                metadata=one.metadata or {},
            )
        )
    return found


def from_sql(
    fetch: Callable[[Mapping[str, str], Select[Any]], pa.Table],
    columns: Mapping[str, set[str]],
    whose: Any,
) -> pa.Table:
    """Out of a database.

    Args:
        fetch: reads a statement into columns of these types.
        columns: the tables that there are, with their columns.
        whose: the ids of the traces, as a statement.
    """
    import sqlalchemy as sa

    if not columns.get("assessments", set()) >= TABLE:
        return reader.schema(ASSESSMENTS).empty_table()
    table = sa.table("assessments", *(sa.column(one) for one in sorted(TABLE)))
    texts = [
        *("name", "assessment_type", "value", "error", "source_type", "source_id"),
        *("span_id", "assessment_metadata"),
    ]
    types = dict.fromkeys(("assessment_id", "trace_id", *texts), "string")
    types |= {"created": "int64", "valid": "int64"}
    statement = sa.select(
        table.c.assessment_id,
        table.c.trace_id,
        *(sa.func.coalesce(table.c[name], "") for name in texts),
        table.c.created_timestamp,
        sa.case((table.c.valid == sa.literal(True), 1), else_=0),
    ).where(table.c.trace_id.in_(whose))
    return reader.table(ASSESSMENTS, map(_row_of_sql, fetch(types, statement).to_pylist()))


def _row_of_sql(one: Mapping[str, Any]) -> tuple[Any, ...]:
    return row(
        assessment_id=one["assessment_id"],
        trace_id=one["trace_id"],
        span_id=one["span_id"],
        name=one["name"],
        kind=one["assessment_type"],
        value=one["value"] or None,
        source_type=one["source_type"],
        source_id=one["source_id"],
        created=one["created"],
        valid=bool(one["valid"]),
        error=_problem(told.parsed(one["error"])),
        metadata=told.parsed(one["assessment_metadata"]),
    )


def _problem(error: Mapping[str, Any] | None) -> str | None:
    """Why there is no value: a code, and what was said."""
    if not error:
        return None
    parts = (error.get("error_code"), error.get("error_message"))
    return ": ".join(str(one) for one in parts if one) or None


def _value(text: str | None) -> tuple[str | None, float]:
    """A value as text, and as a number where it is one, yes or no (else NaN)."""
    if text is None:
        return None, float("nan")
    value = _read(text)
    if value is None:
        return None, float("nan")
    if isinstance(value, dict) and _ISSUE in value:
        value = value[_ISSUE]
    if isinstance(value, bool):
        return str(value).lower(), float(value)
    found = told.number(value)
    if found is not None:
        return text, float(found)
    shown = value if isinstance(value, str) else text
    return shown, _WORDS.get(shown.strip().lower(), float("nan"))


def _read(text: Any) -> Any:
    """What a text is the JSON of; what is none stays as it is."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
