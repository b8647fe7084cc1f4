"""The stores that benchmarks read: SQLite databases with rows as MLflow would write them.

Rows are inserted directly, since logging 100,000 runs through a client takes hours.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

T0 = 1_700_000_000_000
PARAMS, METRICS, TAGS = 20, 20, 5
_BATCH = 2_000


def migrated(folder: Path) -> Path:
    """An empty MLflow database in ``folder``, made by the installed MLflow."""
    path = folder / "empty.db"
    if not path.exists():
        code = f"import mlflow; mlflow.MlflowClient('sqlite:///{path}').search_experiments()"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=folder)
    return path


def wide_store(folder: Path, runs: int) -> Path:
    """``runs`` runs of 20 params, 20 metrics of one point, and 5 tags."""
    path = folder / f"runs-{runs}.db"
    if path.exists():
        return path
    with _filling(folder, path) as db:
        draw = random.Random(runs)
        ids = [f"{draw.getrandbits(128):032x}" for _ in range(runs)]
        for start in range(0, runs, _BATCH):
            _insert_runs(db, draw, ids[start : start + _BATCH], start)
    return path


def history_store(folder: Path, runs: int = 100, metrics: int = 5, steps: int = 100) -> Path:
    """``runs`` runs with histories of ``metrics`` metrics at ``steps`` steps."""
    path = folder / f"history-{runs}x{metrics}x{steps}.db"
    if path.exists():
        return path
    with _filling(folder, path) as db:
        draw = random.Random(steps)
        ids = [f"{draw.getrandbits(128):032x}" for _ in range(runs)]
        _insert_runs(db, draw, ids, 0)
        for run_id in ids:
            for metric in range(metrics):
                key = f"curve_{metric}"
                points = [(key, draw.random(), T0 + i, run_id, i, 0) for i in range(steps)]
                db.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", points)
                _, value, ms, _, step, _ = points[-1]
                row = (key, value, ms, step, 0, run_id)
                db.execute("INSERT INTO latest_metrics VALUES (?, ?, ?, ?, ?, ?)", row)
    return path


class _filling:  # noqa: N801
    """A copy of the empty database with an experiment in it, moved into place when it is full."""

    def __init__(self, folder: Path, path: Path) -> None:
        self._path = path
        self._partial = Path(shutil.copy(migrated(folder), path.with_suffix(".partial")))

    def __enter__(self) -> sqlite3.Connection:
        self._db = sqlite3.connect(self._partial)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage,"
            " creation_time, last_update_time) VALUES (1, 'bench', 'artifacts', 'active', ?, ?)",
            (T0, T0),
        )
        return self._db

    def __exit__(self, failed: object, *_: object) -> None:
        self._db.commit()
        self._db.close()
        if not failed:
            self._partial.replace(self._path)


def _insert_runs(db: sqlite3.Connection, draw: random.Random, ids: list[str], start: int) -> None:
    db.executemany(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id,"
        " status, start_time, end_time, source_version, lifecycle_stage, artifact_uri,"
        " experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', 'bench', 'FINISHED', ?, ?, '', 'active',"
        " ?, 1)",
        (
            (run, f"run-{i}", T0 + i * 1000, T0 + i * 1000 + 900, f"artifacts/{run}/artifacts")
            for i, run in enumerate(ids, start)
        ),
    )
    db.executemany("INSERT INTO params VALUES (?, ?, ?)", _params(draw, ids))
    metrics = list(_metrics(draw, ids))
    db.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", metrics)
    latest = [(key, value, ms, step, nan, run) for key, value, ms, run, step, nan in metrics]
    db.executemany("INSERT INTO latest_metrics VALUES (?, ?, ?, ?, ?, ?)", latest)
    names = ["mlflow.runName", "mlflow.user", "team", "stage", "dataset"]
    db.executemany(
        "INSERT INTO tags VALUES (?, ?, ?)",
        ((name, f"{name}-{draw.randrange(9)}", run) for run in ids for name in names[:TAGS]),
    )


def _params(draw: random.Random, ids: list[str]) -> Iterator[tuple[str, str, str]]:
    for run in ids:
        for i in range(PARAMS):
            yield f"param_{i:02}", str(round(draw.random(), 4)), run


def _metrics(
    draw: random.Random, ids: list[str]
) -> Iterator[tuple[str, float, int, str, int, int]]:
    for run in ids:
        for i in range(METRICS):
            yield f"metric_{i:02}", draw.random(), T0 + i, run, 0, 0


def trace_store(folder: Path, traces: int) -> Path:
    """``traces`` traces of three spans: an agent, and two calls of models below it."""
    path = folder / f"traces-{traces}.db"
    if path.exists():
        return path
    with _filling(folder, path) as db:
        draw = random.Random(traces)
        for start in range(0, traces, _BATCH):
            _insert_traces(db, draw, range(start, min(start + _BATCH, traces)))
    return path


_MODELS = (("gpt-4o", "openai"), ("claude-haiku-4-5", "anthropic"), ("gpt-4o-mini", "openai"))
_WORDS = "the a model of data run metric trace span token cost value step loss rate".split()  # noqa: SIM905


def _insert_traces(db: sqlite3.Connection, draw: random.Random, numbers: range) -> None:
    infos, metadata, tags, spans = [], [], [], []
    for number in numbers:
        raw = draw.getrandbits(128)
        trace_id, started = f"tr-{raw:032x}", T0 + number * 60_000
        children = [_call(draw, raw, trace_id, started, place) for place in (1, 2)]
        usage = {
            key: sum(child["usage"][key] for child in children) for key in children[0]["usage"]
        }
        infos.append((trace_id, 1, started, 2000, "OK", "What is it?", "It is this."))
        pairs = {
            "mlflow.trace.tokenUsage": json.dumps(usage),
            "mlflow.trace.user": f"user-{draw.randrange(50)}",
            "mlflow.trace.session": f"session-{number // 5}",
            "mlflow.trace_schema.version": "3",
            "mlflow.trace.infoFinalized": "true",
        }
        metadata += [(trace_id, key, value) for key, value in pairs.items()]
        about = {
            "mlflow.traceName": "agent",
            "mlflow.trace.spansLocation": "TRACKING_STORE",
            "team": f"team-{draw.randrange(5)}",
        }
        tags += [(trace_id, key, value) for key, value in about.items()]
        root = _span(raw, trace_id, started, 0, "agent", {"mlflow.spanType": '"CHAIN"'})
        spans += [root, *(child["row"] for child in children)]
    db.executemany(
        "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms,"
        " status, request_preview, response_preview) VALUES (?, ?, ?, ?, ?, ?, ?)",
        infos,
    )
    db.executemany(
        "INSERT INTO trace_request_metadata (request_id, key, value) VALUES (?, ?, ?)", metadata
    )
    db.executemany("INSERT INTO trace_tags (request_id, key, value) VALUES (?, ?, ?)", tags)
    db.executemany(
        "INSERT INTO spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status,"
        " start_time_unix_nano, end_time_unix_nano, content) VALUES (?, 1, ?, ?, ?, ?, 'OK', ?, ?, ?)",
        spans,
    )


def _call(draw: random.Random, raw: int, trace_id: str, started: int, place: int) -> dict[str, Any]:
    model, provider = draw.choice(_MODELS)
    inputs, outputs = draw.randrange(200, 3000), draw.randrange(20, 600)
    usage = {"input_tokens": inputs, "output_tokens": outputs, "total_tokens": inputs + outputs}
    text = " ".join(draw.choices(_WORDS, k=200))
    attributes = {
        "mlflow.spanType": '"LLM"',
        "mlflow.spanInputs": json.dumps({"messages": [{"role": "user", "content": text}]}),
        "mlflow.spanOutputs": json.dumps({"content": text[:300]}),
        "mlflow.chat.tokenUsage": json.dumps(usage),
        "mlflow.llm.model": json.dumps(model),
        "mlflow.llm.provider": json.dumps(provider),
    }
    if place == 1:
        attributes["mlflow.llm.cost"] = json.dumps({"total_cost": inputs * 1e-6})
    row = _span(raw, trace_id, started, place, f"stage-{place}", attributes)
    return {"usage": usage, "row": row}


def _span(
    raw: int, trace_id: str, started: int, place: int, name: str, attributes: dict[str, str]
) -> tuple[Any, ...]:
    """A row of the table of spans, its text as MLflow writes it."""
    ids = [((raw + one) & (2**64 - 1)).to_bytes(8, "big") for one in (place, 0)]
    begin = started * 1_000_000 + place * 1000
    content = {
        "trace_id": b64encode(raw.to_bytes(16, "big")).decode(),
        "span_id": b64encode(ids[0]).decode(),
        "parent_span_id": b64encode(ids[1]).decode() if place else None,
        "name": name,
        "start_time_unix_nano": begin,
        "end_time_unix_nano": begin + 1_000_000_000,
        "events": [],
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": {"mlflow.traceRequestId": json.dumps(trace_id), **attributes},
        "links": [],
    }
    parent = ids[1].hex() if place else None
    kind = json.loads(attributes["mlflow.spanType"])
    times = (begin, begin + 1_000_000_000)
    return (trace_id, ids[0].hex(), parent, name, kind, *times, json.dumps(content))
