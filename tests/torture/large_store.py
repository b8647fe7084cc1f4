"""A store of many runs, made inside SQLite: 100,000 of them in half a minute."""

from __future__ import annotations

import sqlite3
from pathlib import Path

T0 = 1_760_000_000_000
_PARAMS = _METRICS = 20


def fill(path: Path, *, wide: int, compared: int, points: int) -> None:
    """Fill a migrated database.

    The experiment ``wide`` has so many runs of 20 params, 20 metrics and 2 tags; ``compared`` so
    many, whose metrics have histories of 20 points; ``long`` one run with a metric of so many
    points.
    """
    db = sqlite3.connect(path)
    db.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;")
    for number, name in enumerate(("wide", "compared", "long"), 1):
        db.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage,"
            " creation_time, last_update_time) VALUES (?, ?, ?, 'active', ?, ?)",
            (number, name, f"mlflow-artifacts:/{number}", T0, T0),
        )
    for number, runs in enumerate((wide, compared, 1), 1):
        _runs(db, number, runs)
    _histories(db)
    _long(db, points)
    db.commit()
    db.close()


def _runs(db: sqlite3.Connection, experiment: int, runs: int) -> None:
    db.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id,"
        " status, start_time, end_time, source_version, lifecycle_stage, artifact_uri,"
        " experiment_id)"
        " WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :runs)"
        # Ids in order, so that every index grows at its end.
        " SELECT printf('%02x%06x%024x', :experiment, i, (i * 2654435761) & 281474976710655),"
        " 'run-' || i, 'UNKNOWN', '', '', 'tester', 'FINISHED', :t0 + i * 1000,"
        " :t0 + i * 1000 + 900, '', 'active', 'mlflow-artifacts:/' || :experiment, :experiment"
        " FROM n",
        {"runs": runs, "experiment": experiment, "t0": T0},
    )
    kept = "FROM runs CROSS JOIN n WHERE experiment_id = :experiment ORDER BY run_uuid, i"
    keys = "WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :keys)"
    about = {"experiment": experiment, "keys": _PARAMS, "t0": T0}
    value = "CAST(abs(random() % 10000) / 10000.0 AS TEXT)"
    db.execute(
        f"INSERT INTO params (key, value, run_uuid) {keys}"
        f" SELECT printf('param_%02d', i), {value}, run_uuid {kept}",
        about,
    )
    db.execute(
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)"
        f" {keys} SELECT printf('metric_%02d', i), abs(random() % 10000) / 10000.0, :t0, 19, 0,"
        f" run_uuid {kept}",
        {**about, "keys": _METRICS},
    )
    db.execute(
        "INSERT INTO tags (key, value, run_uuid)"
        " SELECT 'team', 'team-' || abs(random() % 9), run_uuid FROM runs WHERE experiment_id = ?",
        (experiment,),
    )


def _histories(db: sqlite3.Connection) -> None:
    db.execute(
        "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid)"
        " WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19)"
        " SELECT m.key, m.value * (39 - i) / 20.0, m.timestamp + i * 1000, i, 0, m.run_uuid"
        " FROM latest_metrics m JOIN runs r ON r.run_uuid = m.run_uuid CROSS JOIN n"
        " WHERE r.experiment_id = 2 AND m.key < 'metric_06'"
    )


def _long(db: sqlite3.Connection, points: int) -> None:
    db.execute(
        "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid)"
        " WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :points)"
        " SELECT 'metric_00', 1000.0 / (1000 + i), :t0 + i, i, 0, run_uuid"
        " FROM n CROSS JOIN runs WHERE experiment_id = 3",
        {"points": points, "t0": T0},
    )
