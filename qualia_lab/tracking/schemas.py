"""Which databases can be read, and by whom: Alembic revisions, tables and columns."""

from __future__ import annotations

import re
import sqlite3
from importlib.util import find_spec
from pathlib import Path

from qualia_lab.errors import NotFoundError, ServerError
from qualia_lab.text import visible
from qualia_lab.tracking import uris

# The revisions of MLflow's database from 2.0 (97727af70f4d) to 3.17 (dc11669786a5), in order, read
# off mlflow/store/db_migrations/versions. The tables below meant the same in all of them.
REVISIONS = frozenset(
    """
    97727af70f4d 3500859a5d39 7f2a7d5fae7d 2d6e25af4d3e acf3f17fdcc7 867495a8f9d4 5b0e9adcef9c
    4465047574b1 f5a4f2784254 0584bdc529eb 400f98739977 6953534de441 bda7b8c39065 cbc13b556ace
    770bee3ae1dd a1b2c3d4e5f6 de4033877273 1a0cddfcaa16 534353b11cbc 71994744cf8e 3da73c924c2f
    bf29a5ff90ea 1bd49d398cd23 b7c8d9e0f1a2 5d2d30f0abce c9d4e5f6a7b8 2c33131f4dae d3e4f5a6b7c8
    d0e1f2a3b4c5 c8d9e0f1a2b3 1b5f0d9ad7c1 e1f2a3b4c5d6 76601a5f987d c3d6457b6d8a a5b4c3d2e1f0
    ae8bbe7743c9 7d34483879f0 da6fb0208061 89d3d66ed43f b7e4c1a90f23 a8b9c0d1e2f3 c1d2e3f4a5b6
    c3d9e7f1a2b4 6f8d9c3b2a1e 1971f2d9a75b 17e22815139b b7e2c1a4d9f3 75868b020152 dc11669786a5
    """.split()  # noqa: SIM905
)

# What every one of them has.
TABLES = {
    "experiments": {"experiment_id", "name", "lifecycle_stage", "last_update_time"},
    "runs": {
        "run_uuid",
        "name",
        "experiment_id",
        "user_id",
        "status",
        "start_time",
        "end_time",
        "lifecycle_stage",
        "artifact_uri",
    },
    "params": {"run_uuid", "key", "value"},
    "tags": {"run_uuid", "key", "value"},
    "latest_metrics": {"run_uuid", "key", "value", "is_nan"},
    "metrics": {"run_uuid", "key", "value", "is_nan", "step", "timestamp"},
}

# What came with 2.4 (7f2a7d5fae7d); before, no data set could be logged.
DATASET_TABLES = {
    "datasets": {"dataset_uuid", "name", "digest", "dataset_source_type", "dataset_source"},
    "inputs": {"input_uuid", "source_type", "source_id", "destination_type", "destination_id"},
    "input_tags": {"input_uuid", "name", "value"},
}


def require_sqlite_store(uri: str) -> str:
    """The schema revision of a SQLite file; raises for one that is no MLflow store.

    MLflow itself would fill such a file with tables.
    """
    path = uris.sqlite_path(uri)
    shown = visible(str(path), 300)
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            revision = None
            if {"alembic_version", "experiments", "runs"} <= tables:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                revision = row[0] if row else None
        finally:
            connection.close()
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise ServerError(
                f"{shown} is locked by another process",
                hint="Try again when whatever writes to it has finished.",
            ) from error
        raise NotFoundError(f"{shown} can't be read as a SQLite database: {error}") from error
    if revision is None:
        raise NotFoundError(
            f"{shown} is a SQLite database, but not an MLflow store",
            hint="Check --tracking-uri.",
        )
    return str(revision)


def require_installed_schema(uri: str, revision: str) -> None:
    """MLflow migrates an older database when it opens it; that is the owner's to decide."""
    spec = find_spec("mlflow")
    folder = Path(str(spec.origin)).parent / "store/db_migrations/versions" if spec else Path()
    known = [path.name.partition("_")[0] for path in folder.glob("*.py")]
    newest = _head(folder) if known else None
    if newest is None or revision == newest:
        return
    if revision in known:
        raise ServerError(
            f"{visible(uri, 200)} was written by an older MLflow (schema {visible(revision, 40)})",
            hint=f"Nothing is migrated here. Back it up; mlflow db upgrade {visible(uri, 200)}",
        )
    raise ServerError(
        f"{visible(uri, 200)} was written by a newer MLflow (schema {visible(revision, 40)})",
        hint="Install the MLflow that wrote it: pip install --upgrade mlflow",
    )


def _head(folder: Path) -> str | None:
    """The newest revision among Alembic's scripts: the one that no other one follows."""
    line = re.compile(r"^(down_revision|revision)\s*=\s*[\"']([^\"']+)", re.MULTILINE)
    revisions: set[str] = set()
    followed: set[str] = set()
    for path in folder.glob("*.py"):
        for name, value in line.findall(path.read_text(encoding="utf-8")):
            (revisions if name == "revision" else followed).add(value)
    heads = revisions - followed
    return heads.pop() if len(heads) == 1 else None
