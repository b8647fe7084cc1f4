"""Traces with spans and assessments, written into a database as MLflow writes them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stores import T0

from qualia_lab import ArtifactExplorer, RunSet
from qualia_lab.model import Query

NS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Span:
    """A span. ``tokens``: input, output, cache read, cache write. Times: ms after its trace's."""

    span_id: str
    parent: str | None = None
    name: str = "answer"
    model: str | None = "gpt-4o"
    provider: str | None = "openai"
    tokens: Sequence[int] | None = None
    cost: float | None = None
    status: str = "OK"
    inputs: object = None
    start: int = 0
    took: int | None = 10
    attributes: Mapping[str, object] = field(default_factory=dict)
    events: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A trace with its spans. ``metadata`` and ``tags`` are as MLflow names them."""

    trace_id: str
    spans: Sequence[Span] = ()
    started: int = T0
    took: int | None = 100
    status: str = "OK"
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def write(path: Path, *traces: Traced, experiment_id: int = 1) -> None:
    """Store them."""
    with closing(sqlite3.connect(path)) as db:
        for trace in traces:
            row = {"request_id": trace.trace_id, "experiment_id": experiment_id}
            row |= {"timestamp_ms": trace.started, "execution_time_ms": trace.took}
            _insert(db, "trace_info", {**row, "status": trace.status})
            for table, pairs in (
                ("trace_request_metadata", trace.metadata),
                ("trace_tags", trace.tags),
            ):
                for key, value in pairs.items():
                    row = {"request_id": trace.trace_id, "key": key, "value": value}
                    _insert(db, table, row)
            for span in trace.spans:
                _insert(db, "spans", _row(trace, span, experiment_id))
        db.commit()


def _row(trace: Traced, span: Span, experiment_id: int) -> dict[str, object]:
    attributes: dict[str, object] = {"mlflow.spanType": json.dumps("LLM"), **span.attributes}
    if span.tokens is not None:
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens")
        names = (*names, "cache_creation_input_tokens")  # type: ignore[assignment]
        usage = dict(zip(names, span.tokens, strict=False))
        usage["total_tokens"] = sum(span.tokens[:2])
        attributes["mlflow.chat.tokenUsage"] = json.dumps(usage)
    if span.cost is not None:
        attributes["mlflow.llm.cost"] = json.dumps({"total_cost": span.cost})
    for key, value in (("model", span.model), ("provider", span.provider)):
        if value is not None:
            attributes[f"mlflow.llm.{key}"] = json.dumps(value)
    if span.inputs is not None:
        attributes["mlflow.spanInputs"] = json.dumps(span.inputs)
    start = (trace.started + span.start) * NS
    end = None if span.took is None else start + span.took * NS
    content: dict[str, Any] = {"attributes": attributes, "events": list(span.events)}
    content |= {"span_id": "AAAAAAAAAAA=", "name": span.name, "start_time_unix_nano": start}
    content |= {"end_time_unix_nano": end, "status": {"code": f"STATUS_CODE_{span.status}"}}
    return {
        "trace_id": trace.trace_id,
        "experiment_id": experiment_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent,
        "name": span.name,
        "type": "LLM",
        "status": span.status,
        "start_time_unix_nano": start,
        "end_time_unix_nano": end,
        "content": json.dumps(content),
    }


def _insert(db: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", [*row.values()])


def read(path: Path, *experiment_ids: str) -> RunSet:
    """The runs and traces of that database."""
    return ArtifactExplorer(f"sqlite:///{path}").load(Query(experiment_ids=experiment_ids))
