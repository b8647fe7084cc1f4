"""The stores that benchmarks read: SQLite databases with rows as MLflow would write them.

Rows are inserted directly, since logging 100,000 runs through a client takes hours.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
