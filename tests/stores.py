"""Stores with exactly the rows that a test wants: ids, times and values that MLflow would choose
itself, written straight into a copy of a migrated database."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# What MLflow stores for an infinity.
LARGEST = 1.7976931348623157e308
T0 = 1_760_000_000_000  # 2025-10-09 08:53:20 UTC, in ms

Point = tuple[int, int, float]


@dataclass(kw_only=True)
class Run:
    """One run to be stored; ``metrics`` maps a name to points (step, ms, value)."""

    run_id: str
    name: str = ""
    status: str = "FINISHED"
    started: int | None = T0
    ended: int | None = T0 + 61_000
    user: str = "tester"
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifact_uri: str = ""
    deleted: bool = False


def curve(values: Sequence[float], start: int = 0) -> list[Point]:
    """Points at steps 0, 1, 2, ... a second apart."""
    return [(start + i, T0 + 1000 * i, value) for i, value in enumerate(values)]


def run_id(number: int) -> str:
    """A run id that looks like MLflow's and is the same every time."""
    return f"{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128:032x}"


def fill(path: Path, runs: Sequence[Run], *, experiment_id: int = 1, name: str = "exp") -> None:
    """Add an experiment with these runs to a migrated database."""
    fill_all(path, {(experiment_id, name): runs})


def fill_all(path: Path, experiments: Mapping[tuple[int, str], Sequence[Run]]) -> None:
    """Add experiments, by id and name, with their runs at once: a commit waits for the disk."""
    with sqlite3.connect(path) as db:
        for (experiment_id, name), runs in experiments.items():
            db.execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage,"
                " creation_time, last_update_time) VALUES (?, ?, ?, 'active', ?, ?)",
                (experiment_id, name, str(path.parent / "artifacts"), T0, T0),
            )
            for run in runs:
                _insert(db, run, experiment_id, path.parent)
    db.close()


def _insert(db: sqlite3.Connection, run: Run, experiment_id: int, folder: Path) -> None:
    artifacts = run.artifact_uri or str(folder / "artifacts" / run.run_id / "artifacts")
    stage = "deleted" if run.deleted else "active"
    db.execute(
        "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time,"
        " lifecycle_stage, artifact_uri, experiment_id, source_name, entry_point_name,"
        " source_version) VALUES (?, ?, 'UNKNOWN', ?, ?, ?, ?, ?, ?, ?, '', '', '')",
        (run.run_id, run.name, run.user, run.status, run.started, run.ended, stage, artifacts,
         experiment_id),
    )  # fmt: skip
    tags = {"mlflow.runName": run.name, **run.tags}
    for table, pairs in (("params", run.params), ("tags", tags)):
        db.executemany(
            f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)",
            [(key, value, run.run_id) for key, value in pairs.items()],
        )
    for key, points in run.metrics.items():
        # Two points may be stored alike (an infinity, and the largest float); the table holds one.
        stored = [(key, *_stored(value), ms, step, run.run_id) for step, ms, value in points]
        rows = list(dict.fromkeys(stored))
        db.executemany(
            "INSERT INTO metrics (key, value, is_nan, timestamp, step, run_uuid)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
        latest = max(rows, key=lambda row: (row[4], row[3], row[1]))
        db.execute(
            "INSERT INTO latest_metrics (key, value, is_nan, timestamp, step, run_uuid)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            latest,
        )


def _stored(value: float) -> tuple[float, bool]:
    if math.isnan(value):
        return 0.0, True
    return (math.copysign(LARGEST, value) if math.isinf(value) else value), False
