"""A store in a real PostgreSQL: read as MLflow reads it, with a role that may only read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from commands import command
from conftest import free_port
from pandas.testing import assert_frame_equal
from test_models_traces import cells

from qualia_lab import ArtifactExplorer, RunSet, secrets
from qualia_lab.errors import NotAllowedError, QualiaError, ServerError
from qualia_lab.model import Query
from qualia_lab.tracking.client import ClientReader
from qualia_lab.tracking.reader import Reader
from qualia_lab.tracking.sql import SqlReader

PASSWORD = "s3cret-0f-reader"
OWNER_PASSWORD = "s3cret-0f-owner"
NAN, INF = float("nan"), float("inf")
# What a person waits for a server that is down.
LONGEST = 8

pytestmark = pytest.mark.xdist_group("postgresql")

# As a process of its own: it imports MLflow, fills the store, and leaves nothing open.
FILL = """
import sys
import mlflow
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.entities import TraceInfo, TraceLocation, TraceState

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient(sys.argv[1])
experiment = client.create_experiment("it's 100% :odd", artifact_location="/nowhere")
nan, inf = float("nan"), float("inf")
first = None
for i in range(5):
    run = client.create_run(experiment, start_time=1000 + i, run_name=f"run {i}")
    first = first or run.info.run_id
    client.log_batch(
        run.info.run_id,
        metrics=[Metric("loss", value, 10 + step, step)
                 for step, value in enumerate([1.0 + i, nan, inf, -inf, 0.1 * i])]
        + [Metric("last", [nan, inf, -inf, 0.5, 0.25][i], 5, -(2**63))],
        params=[Param("lr", f"it's {i}% \\\\ \\" :x"), Param("epochs", str(i))],
        tags=[RunTag("team", "ü%s"), RunTag("mlflow.parentRunId", first)],
    )
    data = Dataset("train", f"digest{i}", "code", "{}")
    tags = [InputTag("mlflow.data.context", "training")] if i % 2 else []
    client.log_inputs(run.info.run_id, datasets=[DatasetInput(data, tags)])
    client.set_terminated(run.info.run_id, "FAILED" if i == 3 else "FINISHED", end_time=9000 + i)
client.delete_run(client.create_run(experiment).info.run_id)

for name, status in [("ready", "READY"), ("failed", "FAILED"), ("ü odd", None)]:
    model = client.create_logged_model(experiment, name, first, model_type="ü%s")
    if status:
        client.finalize_logged_model(model.model_id, status)
    client.create_registered_model(f"it's {name} 100%")
    client.create_model_version(f"it's {name} 100%", f"models:/{model.model_id}")
client.set_registered_model_alias("it's ready 100%", "best", 1)
client.create_model_version("it's ready 100%", "/nowhere/model", run_id=first)
client.transition_model_version_stage("it's ready 100%", 2, "Staging")

where = TraceLocation.from_experiment_id(experiment)
for i, state in enumerate([TraceState.OK, TraceState.ERROR, TraceState.IN_PROGRESS]):
    told = {
        "mlflow.sourceRun": first,
        "mlflow.trace.user": "it's :user 100%",
        "mlflow.trace.session": "ü%s",
        "mlflow.trace.tokenUsage": '{"input_tokens": %d, "total_tokens": 0}' % (2**62 + 1),
        "mlflow.trace.cost": '{"total_cost": 0.25}',
    }
    client._tracing_client.start_trace(TraceInfo(
        f"tr-{i}", where, 1000 - i, state, '{"q": "why: 100%?"}', "because :x" if i else None,
        execution_duration=None if i == 2 else 1500, trace_metadata=told if i == 1 else {},
        tags={"mlflow.traceName": "odd :name 100% '"} if i == 1 else {},
    ))
"""
# What holds models and traces, and the runs that they belong to.
TABLES = ("experiments", "runs", "logged_models", "registered_models", "model_versions",
          "registered_model_aliases", "trace_info", "trace_tags",
          "trace_request_metadata")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running PostgreSQL with an MLflow store in its database ``lab``."""

    port: int
    folder: Path

    def uri(self, user: str, password: str) -> str:
        return f"postgresql+psycopg2://{user}:{password}@127.0.0.1:{self.port}/lab"

    @property
    def reader(self) -> str:
        return self.uri("reader", PASSWORD)

    @property
    def owner(self) -> str:
        return self.uri("owner", OWNER_PASSWORD)


def plain(uri: str) -> str:
    """The URI as the driver itself takes it."""
    return uri.replace("+psycopg2", "")


def programs() -> Path | None:
    """Where ``initdb`` and ``pg_ctl`` are: Debian keeps them off the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return debian[-1].parent if debian else None


def run_as_postgres(*args: str | Path) -> None:
    """Run a program of PostgreSQL, which refuses to run as root."""
    switch = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*switch, *map(str, args)], cwd="/", capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL here: initdb is not found (apt-get install postgresql)")
    # Not pytest's own folder, which the user postgres may not enter.
    with TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data, port = folder / "data", free_port()
        run_as_postgres(
            found / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-sync",
            "--auth-local=trust", "--auth-host=scram-sha-256",
        )  # fmt: skip
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = folder / "log"
        run_as_postgres(found / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            psql = [found / "psql", "-h", folder, "-p", str(port), "-v", "ON_ERROR_STOP=1"]
            run_as_postgres(
                *psql,
                *("-c", f"CREATE ROLE owner LOGIN PASSWORD '{OWNER_PASSWORD}'"),
                *("-c", f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'"),
                *("-c", "CREATE DATABASE lab OWNER owner"),
            )
            cluster = Cluster(port=port, folder=folder)
            filled = subprocess.run(
                [sys.executable, "-c", FILL, cluster.owner], capture_output=True, text=True
            )
            assert filled.returncode == 0, filled.stderr[-2000:]
            select = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"
            run_as_postgres(*psql, "-d", "lab", "-c", select)
            yield cluster
        finally:
            run_as_postgres(found / "pg_ctl", "-D", data, "-m", "immediate", "stop")


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setattr(secrets, "_known", set())


def explorer_of(kind: type[SqlReader] | type[ClientReader], uri: str) -> ArtifactExplorer:
    """An explorer that reads in this way."""
    explorer = ArtifactExplorer(uri)
    client = ClientReader(explorer.tracking_uri)
    reader: Reader = SqlReader(client) if kind is SqlReader else client
    explorer.__dict__["_reader"] = reader
    explorer.__dict__["_note"] = ""
    return explorer


def dump(cluster: Cluster) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    import psycopg2

    with closing(psycopg2.connect(plain(cluster.owner))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [name for (name,) in cursor.fetchall()]
        rows: dict[str, list[tuple[object, ...]]] = {}
        for name in names:
            cursor.execute(f'SELECT * FROM "{name}"')
            rows[name] = sorted(cursor.fetchall(), key=repr)
    return rows


def assert_same(one: RunSet, other: RunSet) -> None:
    for part in ("runs", "params", "metrics", "logged", "tags", "datasets"):
        assert_frame_equal(getattr(one, part), getattr(other, part), check_exact=True, obj=part)
    assert one.loaded == other.loaded
    assert_frame_equal(one.history(), other.history(), check_exact=True)
    assert one.coverage == other.coverage
    assert_same_models(one, other)


def assert_same_models(one: RunSet, other: RunSet) -> None:
    assert_frame_equal(one.models, other.models, check_exact=True)
    assert_frame_equal(one.traces(), other.traces(), check_exact=True)


def experiment_of(explorer: ArtifactExplorer) -> str:
    return explorer.experiment("it's 100% :odd").experiment_id


def test_a_role_that_may_only_select_reads_what_mlflow_reads(cluster: Cluster) -> None:
    before = dump(cluster)
    by_sql = explorer_of(SqlReader, cluster.reader)
    whole = Query(experiment_ids=(experiment_of(by_sql),))
    loaded = by_sql.load(whole)
    loaded.history()
    _ = loaded.models, loaded.traces()
    found = [run.name for run in by_sql.runs(whole)]
    assert dump(cluster) == before, "reading writes nothing"

    by_mlflow = explorer_of(ClientReader, cluster.owner)
    assert by_sql.experiments(deleted=True) == by_mlflow.experiments(deleted=True)
    assert_same(loaded, by_mlflow.load(whole))
    assert found == ["run 4", "run 3", "run 2", "run 1", "run 0"]
    assert loaded.params["lr"].tolist() == [f"it's {i}% \\ \" :x" for i in (4, 3, 2, 1, 0)]
    np.testing.assert_array_equal(loaded.metrics["last"], [0.25, 0.5, -INF, INF, NAN])
    assert loaded.logged["last"].all()
    newest = loaded.history("loss", run_ids=[loaded.runs.index[0]])
    np.testing.assert_array_equal(newest["value"], [5.0, NAN, INF, -INF, 0.4])
    assert len(loaded.history()) == 30
    assert loaded.datasets["digest"].tolist() == [f"digest{i}" for i in (4, 3, 2, 1, 0)]
    assert loaded.datasets["context"].dropna().tolist() == ["training"] * 2


def copy(cluster: Cluster, path: Path) -> None:
    """Copy the rows of a store into a SQLite file of the same schema."""
    import psycopg2

    with (
        closing(psycopg2.connect(plain(cluster.owner))) as connection,
        closing(sqlite3.connect(path)) as file,
    ):
        cursor = connection.cursor()
        for table in TABLES:
            cursor.execute(f"SELECT * FROM {table}")
            names = [column.name for column in cursor.description]
            file.executemany(
                f"INSERT OR REPLACE INTO {table} ({', '.join(names)})"
                f" VALUES ({', '.join('?' * len(names))})",
                cursor.fetchall(),
            )
        file.commit()


def test_models_and_traces_are_those_that_sqlite_gives(cluster: Cluster, empty_store: Path) -> None:
    copy(cluster, empty_store)
    explorers = [ArtifactExplorer(uri) for uri in (cluster.reader, f"sqlite:///{empty_store}")]
    here, there = (one.load(Query(experiment_ids=(experiment_of(one),))) for one in explorers)
    assert_same_models(here, there)
    empty, other = (one.load(Query(experiment_ids=("0",))) for one in explorers)
    assert_same_models(empty, other)
    assert_frame_equal(empty.models, here.models.iloc[:0])
    assert_frame_equal(empty.traces(), here.traces().iloc[:0])

    run, none = here.runs.index[-1], [None] * 2
    columns = ("run_id", "name", "type", "status", "registered", "version", "stage", "aliases")
    assert cells(here.models, *columns) == [
        (run, "ready", "ü%s", "READY", "it's ready 100%", 1, None, "best"),
        (run, "failed", "ü%s", "FAILED", "it's failed 100%", 1, *none),
        (run, "ü odd", "ü%s", "PENDING", "it's ü odd 100%", 1, *none),
        (run, *[None] * 3, "it's ready 100%", 2, "Staging", None),
    ]
    assert here.models["model_id"].isna().tolist() == [False, False, False, True]
    traces = here.traces()
    columns = ("trace_id", "run_id", "name", "status", "user", "session", "response")
    assert cells(traces, *columns) == [
        ("tr-2", None, None, "IN_PROGRESS", None, None, "because :x"),
        ("tr-1", run, "odd :name 100% '", "ERROR", "it's :user 100%", "ü%s", "because :x"),
        ("tr-0", None, None, "OK", None, None, None),
    ]
    assert traces["request"].tolist() == ['{"q": "why: 100%?"}'] * 3
    assert cells(traces, "input_tokens", "output_tokens", "total_tokens", "cost") == [
        (None,) * 4,
        (2**62 + 1, None, 0, 0.25),
        (None,) * 4,
    ]
    assert cells(traces, "started") == [
        (pd.Timestamp(ms, unit="ms", tz="UTC"),) for ms in (998, 999, 1000)
    ]
    assert cells(traces, "duration") == [(None,), *[(pd.Timedelta(seconds=1.5),)] * 2]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (Query(order_by=("metrics.last DESC",)), "13420"),
        (Query(order_by=("metrics.last ASC",), top=2), "24"),
        (Query(order_by=("metrics.absent",)), "43210"),
        (Query(statuses=("FAILED",)), "3"),
        (Query(top=2), "43"),
        (Query(filter="metrics.last < 0.3 AND params.epochs != '4'"), "2"),
        (Query(filter="tags.team = 'ü%s'", order_by=("params.epochs ASC",), top=3), "012"),
    ],
    ids=str,
)
def test_queries_find_what_mlflow_finds(cluster: Cluster, asked: Query, found: str) -> None:
    # A filter is MLflow's to answer, and MLflow opens a store as its owner.
    explorers = [explorer_of(kind, cluster.owner) for kind in (SqlReader, ClientReader)]
    for explorer in explorers:
        assert "".join(run.name[-1] for run in explorer.runs(asked)) == found
        assert "".join(name[-1] for name in explorer.load(asked).runs["name"]) == found
    prefix = explorers[0].runs(Query(top=1))[0].run_id[:8]
    assert explorers[0].run_ids([prefix]) == explorers[1].run_ids([prefix])


def test_it_is_read_by_sql_and_chosen_so_without_a_word(cluster: Cluster) -> None:
    explorer = ArtifactExplorer(cluster.reader)
    loaded = explorer.load(Query())
    assert len(loaded) == 5
    assert loaded.coverage.warnings == (), "another reader would say so"
    assert explorer.count(Query(experiment_ids=(experiment_of(explorer),))) == 5


def test_the_connection_itself_may_not_write(cluster: Cluster) -> None:
    import sqlalchemy as sa

    from qualia_lab.tracking import reader
    from qualia_lab.tracking.database import Server

    run = sa.table("runs", sa.column("run_uuid"))
    gone = sa.delete(run).returning(run.c.run_uuid)
    before = dump(cluster)
    with pytest.raises(sa.exc.InternalError, match="read-only transaction"):
        Server(cluster.owner).fetch(gone, reader.schema({"run_id": "string"}))  # type: ignore[arg-type]
    assert dump(cluster) == before


def test_the_password_is_nowhere(cluster: Cluster, tmp_path: Path) -> None:
    explorer = ArtifactExplorer(cluster.reader)
    assert explorer.tracking_uri == f"postgresql+psycopg2://reader@127.0.0.1:{cluster.port}/lab"
    loaded = explorer.load(Query())
    assert PASSWORD not in repr(explorer) + repr(loaded) + str(loaded.coverage)

    done = command(
        *("--tracking-uri", cluster.reader, "--experiment", "it's 100% :odd", "--all"),
        *("--output", "book.ipynb", "--execute"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    assert PASSWORD not in done.out + done.err
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path


def failure(uri: str) -> tuple[QualiaError, float]:
    start = time.monotonic()
    with pytest.raises(QualiaError) as caught:
        ArtifactExplorer(uri).load(Query())
    text = "".join(traceback.format_exception(caught.value))
    assert "wr0ng-passw0rd" not in text + caught.value.hint
    return caught.value, time.monotonic() - start


def test_a_wrong_password_is_said_without_it(cluster: Cluster) -> None:
    error, seconds = failure(cluster.uri("reader", "wr0ng-passw0rd"))
    assert isinstance(error, NotAllowedError | ServerError)
    assert "password authentication failed" in str(error)
    assert seconds < LONGEST


def test_a_role_without_rights_is_told_so(cluster: Cluster) -> None:
    import psycopg2

    with closing(psycopg2.connect(plain(cluster.owner))) as connection:
        connection.cursor().execute("REVOKE SELECT ON params FROM reader")
        connection.commit()
        try:
            with pytest.raises(QualiaError, match="permission denied for table params") as caught:
                ArtifactExplorer(cluster.reader).load(Query())
        finally:
            connection.cursor().execute("GRANT SELECT ON params TO reader")
            connection.commit()
    assert caught.value.exit_code in (4, 5)


def test_a_server_that_is_down_is_said_soon(cluster: Cluster) -> None:
    error, seconds = failure(
        f"postgresql+psycopg2://reader:wr0ng-passw0rd@127.0.0.1:{free_port()}/lab"
    )
    assert isinstance(error, ServerError)
    assert error.exit_code == 4
    assert "refused" in str(error)
    assert seconds < LONGEST


def test_a_database_without_a_store_is_refused_and_stays_empty(cluster: Cluster) -> None:
    error, _ = failure(
        f"postgresql+psycopg2://owner:{OWNER_PASSWORD}@127.0.0.1:{cluster.port}/postgres"
    )
    assert error.exit_code in (4, 6)
    import psycopg2

    uri = cluster.owner.removesuffix("lab") + "postgres"
    with closing(psycopg2.connect(plain(uri))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (0,)
