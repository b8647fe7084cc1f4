"""What tracking servers answer, as columns: runs and points out of the JSON of the REST API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qualia_lab.model import RunInfo
from qualia_lab.text import whole
from qualia_lab.tracking import frames, reader
from qualia_lab.tracking.reader import Columns

_PARENT, _CONTEXT = "mlflow.parentRunId", "mlflow.data.context"

Json = Mapping[str, Any]


def info(run: Json) -> Json:
    """What a run is: id, name, status, times."""
    found: Json = run["info"]
    return found


def newest_first(run: Json) -> tuple[int, str]:
    """What sorts runs as MLflow lists them."""
    return -int(info(run).get("start_time") or 0), str(info(run)["run_id"])


def whole_number(value: Any) -> int | None:
    """An int64, which JSON holds as text."""
    return None if value is None else int(value)


def point(run_id: str, metric: str, one: Json) -> tuple[Any, ...]:
    """A row of ``reader.POINTS``."""
    step, ms = int(one.get("step") or 0), int(one.get("timestamp") or 0)
    return run_id, metric, step, ms, float(one["value"])


def _pairs(run: Json, what: str) -> Iterator[tuple[str, Any]]:
    for one in run.get("data", {}).get(what, []):
        yield one["key"], one.get("value", "")


def run_info(run: Json) -> RunInfo:
    """A line of the list of runs."""
    about, tags = info(run), dict(_pairs(run, "tags"))
    return RunInfo(
        run_id=str(about["run_id"]),
        name=whole(str(about.get("run_name", ""))),
        experiment_id=str(about["experiment_id"]),
        status=str(about.get("status", "")),
        started=whole_number(about.get("start_time")),
        ended=whole_number(about.get("end_time")),
        parent=tags.get(_PARENT),
        metrics={whole(key): frames.number(float(value)) for key, value in _pairs(run, "metrics")},
    )


def columns(runs: Sequence[Json]) -> Columns:
    """Runs as columns."""
    return Columns(
        runs=reader.table(reader.RUNS, [_run_row(info(run)) for run in runs]),
        params=reader.table(reader.TEXTS, _long(runs, "params", str)),
        metrics=reader.table(reader.NUMBERS, _long(runs, "metrics", float)),
        tags=reader.table(reader.TEXTS, _long(runs, "tags", str)),
        datasets=reader.table(reader.DATASETS, _datasets(runs)),
    )


def _run_row(info: Json) -> tuple[Any, ...]:
    return (
        info["run_id"],
        info.get("run_name", ""),
        info["experiment_id"],
        info.get("status", ""),
        whole_number(info.get("start_time")),
        whole_number(info.get("end_time")),
        info.get("user_id") or None,
        info.get("artifact_uri", ""),
    )


def _long(
    runs: Sequence[Json], what: str, kind: Callable[[Any], Any]
) -> list[tuple[str, str, Any]]:
    return [
        (run["info"]["run_id"], key, kind(value))
        for run in runs
        for key, value in _pairs(run, what)
    ]


def _datasets(runs: Sequence[Json]) -> list[tuple[Any, ...]]:
    rows = []
    for run in runs:
        for entry in run.get("inputs", {}).get("dataset_inputs", []):
            one = entry["dataset"]
            tags = {tag["key"]: tag.get("value") for tag in entry.get("tags", [])}
            context = tags.get(_CONTEXT) or None
            source = (one.get("source_type", ""), one.get("source", ""))
            row = (one["name"], one["digest"], context, *source)
            rows.append((info(run)["run_id"], *row))
    return rows
