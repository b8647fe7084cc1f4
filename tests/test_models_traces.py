"""Models, traces and how much of the histories is here, out of rows and answers that are odd.

SQLite files and small servers; ``test_parity.py`` reads what MLflow itself wrote.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pandas as pd
import pytest
from conftest import free_port
from pandas.testing import assert_frame_equal
from stores import T0, Run, curve, fill, run_id
from test_tracking_servers import Answer, Fake, said, serving

from qualia_lab import ArtifactExplorer, RunSet, secrets
from qualia_lab.errors import QualiaError, ServerError
from qualia_lab.model import Query

DATA = Path(__file__).parent / "data"
A, B = run_id(0), run_id(1)
NAN = float("nan")
SESSION, USER, RUN = "mlflow.trace.session", "mlflow.trace.user", "mlflow.sourceRun"
USAGE, COST, NAME = "mlflow.trace.tokenUsage", "mlflow.trace.cost", "mlflow.traceName"
TOKENS = ["input_tokens", "output_tokens", "total_tokens"]
# Columns of trace_info that databases before 3.16 do not have.
PROMOTED = ["trace_name", "session_id", *TOKENS, "total_cost"]


# --- rows ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Model:
    """A logged model; ``status`` is the number that databases hold."""

    model_id: str
    run_id: str | None
    name: str = "model"
    type: str | None = None
    status: int = 2
    created: int = T0
    deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a registered model, and the aliases of it."""

    registered: str
    version: int
    run_id: str | None
    source: str | None = "/a/path"
    stage: str | None = "None"
    created: int | None = T0
    aliases: Sequence[str] = ()
    workspace: str = "default"


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A trace; ``columns`` are those of ``trace_info`` that not every schema has."""

    trace_id: str
    started: int = T0
    took: int | None = 5
    status: str = "OK"
    columns: Mapping[str, object] = field(default_factory=dict)
    metadata: Mapping[str, str | None] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)


def add(path: Path, *things: Model | Version | Trace, experiment_id: int = 1) -> None:
    """Store them as MLflow's database does."""
    with closing(sqlite3.connect(path)) as db:
        for one in things:
            if isinstance(one, Model):
                _add_model(db, one, experiment_id)
            elif isinstance(one, Version):
                _add_version(db, one)
            else:
                _add_trace(db, one, experiment_id)
        db.commit()


def _add_model(db: sqlite3.Connection, one: Model, experiment_id: int) -> None:
    row = {"model_id": one.model_id, "experiment_id": experiment_id, "name": one.name}
    row |= {"creation_timestamp_ms": one.created, "last_updated_timestamp_ms": one.created}
    row |= {"lifecycle_stage": "deleted" if one.deleted else "active", "status": one.status}
    row |= {"model_type": one.type, "source_run_id": one.run_id, "artifact_location": "x"}
    _insert(db, "logged_models", row)


def _add_version(db: sqlite3.Connection, one: Version) -> None:
    known = {row[1] for row in db.execute("PRAGMA table_info(model_versions)")}
    name: dict[str, object] = {"name": one.registered}
    if "workspace" in known:
        name["workspace"] = one.workspace
    _insert(db, "registered_models", name)
    row = {**name, "version": one.version, "current_stage": one.stage, "source": one.source}
    row |= {"run_id": one.run_id, "creation_time": one.created, "last_updated_time": one.created}
    _insert(db, "model_versions", row)
    for alias in one.aliases:
        row = {**name, "version": one.version, "alias": alias}
        _insert(db, "registered_model_aliases", row)


def _add_trace(db: sqlite3.Connection, one: Trace, experiment_id: int) -> None:
    row = {"request_id": one.trace_id, "experiment_id": experiment_id, "status": one.status}
    row |= {"timestamp_ms": one.started, "execution_time_ms": one.took, **one.columns}
    _insert(db, "trace_info", row)
    for table, pairs in (("trace_request_metadata", one.metadata), ("trace_tags", one.tags)):
        for key, value in pairs.items():
            _insert(db, table, {"request_id": one.trace_id, "key": key, "value": value})


def _insert(db: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    # A name is registered once, its versions are several.
    verb = "INSERT OR IGNORE" if table == "registered_models" else "INSERT"
    marks = ", ".join("?" * len(row))
    db.execute(f"{verb} INTO {table} ({', '.join(row)}) VALUES ({marks})", [*row.values()])


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture
def store(empty_store: Path) -> Path:
    """A store with the runs A and B."""
    fill(empty_store, [Run(run_id=A, started=T0 + 1), Run(run_id=B)])
    return empty_store


def read(path: Path, *experiment_ids: str) -> RunSet:
    return ArtifactExplorer(f"sqlite:///{path}").load(Query(experiment_ids=experiment_ids))


def at(ms: int) -> pd.Timestamp:
    return pd.Timestamp(ms, unit="ms", tz="UTC")


def cells(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """Rows with None for what is missing."""
    rows = frame[list(columns)].astype(object).itertuples(index=False)
    return [tuple(None if pd.isna(one) else one for one in row) for row in rows]


# --- traces of databases -------------------------------------------------------------------------

FULL = Trace(
    trace_id="tr-1",
    took=1234,
    columns={
        "request_preview": '{"question": "why?"}',
        "response_preview": "because",
        "trace_name": "answer",
        "session_id": "monday",
        "input_tokens": 7,
        "output_tokens": 2**62 + 1,
        "total_tokens": 0,
        "total_cost": 0.25,
    },
    metadata={RUN: A, USER: "ann", "mlflow.user": "root"},
    tags={"other": "tag"},
)
BARE = Trace(trace_id="tr-2", started=T0 + 1, took=None, status="IN_PROGRESS")
# As databases hold it that have no columns for it.
TOLD = replace(
    FULL,
    columns={"request_preview": '{"question": "why?"}', "response_preview": "because"},
    metadata={
        **FULL.metadata,
        SESSION: "monday",
        USAGE: json.dumps({"input_tokens": 7, "output_tokens": 2**62 + 1, "total_tokens": 0}),
        COST: json.dumps({"input_cost": 1.0, "total_cost": 0.25}),
    },
    tags={**FULL.tags, NAME: "answer"},
)


def assert_full(traces: pd.DataFrame) -> None:
    """These are the traces ``FULL`` and ``BARE``."""
    assert {name: str(kind) for name, kind in traces.dtypes.items()} == {
        **dict.fromkeys(["trace_id", "experiment_id", "run_id", "name", "status"], "str"),
        "started": "datetime64[ms, UTC]",
        "duration": "timedelta64[ms]",
        **dict.fromkeys(["user", "session", "request", "response"], "str"),
        **dict.fromkeys(TOKENS, "Int64"),
        "cost": "float64",
        **dict.fromkeys(["scorer", "prompts"], "str"),
    }
    assert cells(traces, *traces.columns) == [
        (
            *("tr-1", "1", A, "answer", "OK", at(T0), pd.Timedelta(milliseconds=1234)),
            *("ann", "monday", '{"question": "why?"}', "because", 7, 2**62 + 1, 0, 0.25),
            *(None, None),
        ),
        ("tr-2", "1", None, None, "IN_PROGRESS", at(T0 + 1), *[None] * 11),
    ]


def test_a_trace_is_read_with_all_that_it_has(store: Path) -> None:
    add(store, BARE, FULL)
    assert_full(read(store).traces())


def test_what_a_trace_has_as_metadata_only_is_read_too(store: Path) -> None:
    add(store, TOLD, BARE)
    assert_full(read(store).traces())


def test_a_database_without_the_newer_columns_is_read_too(store: Path) -> None:
    add(store, TOLD, BARE)
    execute(
        store,
        "DROP INDEX index_trace_info_experiment_id_session_id",
        *(f"ALTER TABLE trace_info DROP COLUMN {name}" for name in PROMOTED),
    )
    assert_full(read(store).traces())


def test_a_column_counts_more_than_metadata(store: Path) -> None:
    told = {SESSION: "old", USAGE: '{"input_tokens": 99}', COST: '{"total_cost": 99}'}
    add(store, BARE, replace(FULL, metadata={**FULL.metadata, **told}, tags={NAME: "old"}))
    assert_full(read(store).traces())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store that MLflow 3.5.1 wrote: it has traces, but few columns for them."""
    return Path(shutil.copy(DATA / "mlflow-3.5.1.db", tmp_path / "old.db"))


def test_traces_of_mlflow_3_5_are_read(old: Path) -> None:
    add(old, TOLD, BARE)
    traces = read(old).traces()
    assert_full(traces.assign(run_id=traces["run_id"].replace("", A)))


def test_traces_of_mlflow_2_have_no_previews(old: Path) -> None:
    add(old, replace(TOLD, columns={}))
    for name in ("request_preview", "response_preview"):
        execute(old, f"ALTER TABLE trace_info DROP COLUMN {name}")
    (row,) = cells(read(old).traces(), "name", "request", "response", "total_tokens", "cost")
    assert row == ("answer", None, None, 0, 0.25)


def test_a_store_older_than_traces_has_none_of_the_same_kind(store: Path, tmp_path: Path) -> None:
    oldest = Path(shutil.copy(DATA / "mlflow-2.0.1.db", tmp_path / "oldest.db"))
    add(store, FULL)
    traces = read(oldest).traces()
    assert_frame_equal(traces, read(store).traces().iloc[:0])


NOT_COUNTED = [
    *("", "null", "7", '"7"', "[1]", "{", '{"input_tokens": 1', "NaN", "[" * 8000, '{"a":' * 1600),
    *('{"input_tokens": -1}', '{"input_tokens": 1e30}', '{"input_tokens": 9223372036854775808}'),
    *('{"input_tokens": "12"}', '{"input_tokens": true}', '{"input_tokens": null}'),
    *('{"input_tokens": NaN}', '{"input_tokens": Infinity}', '{"input_tokens": 1e999}'),
    *('{"input_tokens": 0.5}', '{"input_tokens": [1]}', '{"input_tokens": ' + "9" * 5000 + "}"),
    '{"INPUT_TOKENS": 1}',
]


@pytest.mark.parametrize("told", NOT_COUNTED, ids=lambda told: told[:40])
def test_what_is_no_count_of_tokens_is_left_out(store: Path, told: str) -> None:
    fine = {"input_tokens": 3, "output_tokens": 4.0, "total_tokens": 2**63 - 1}
    add(store, Trace(trace_id="odd", metadata={USAGE: told}))
    add(store, Trace(trace_id="fine", metadata={USAGE: json.dumps(fine)}))
    traces = read(store).traces()
    assert cells(traces, "trace_id", *TOKENS) == [
        ("fine", 3, 4, 2**63 - 1),
        ("odd", None, None, None),
    ]


def test_one_count_that_is_odd_leaves_the_others(store: Path) -> None:
    told = '{"input_tokens": -5, "output_tokens": 6, "total_tokens": "many"}'
    add(store, Trace(trace_id="odd", metadata={USAGE: told}))
    assert cells(read(store).traces(), *TOKENS) == [(None, 6, None)]


COSTS = {
    '{"total_cost": 0}': 0.0,
    '{"total_cost": -0.5}': -0.5,
    '{"total_cost": 1e300}': 1e300,
    **dict.fromkeys(
        [
            *("", "{", "null", "3.5", '{"input_cost": 1}', '{"total_cost": null}', "[" * 8000),
            *('{"total_cost": NaN}', '{"total_cost": Infinity}', '{"total_cost": -Infinity}'),
            *('{"total_cost": 1e999}', '{"total_cost": "0.5"}', '{"total_cost": true}'),
            *('{"total_cost": [1]}', '{"total_cost": ' + "9" * 400 + "}"),
        ]
    ),
}


@pytest.mark.parametrize("told", COSTS, ids=lambda told: told[:40])
def test_a_cost_is_a_finite_number_or_missing(store: Path, told: str) -> None:
    add(store, Trace(trace_id="odd", metadata={COST: told}))
    assert cells(read(store).traces(), "cost") == [(COSTS[told],)]


def test_columns_that_hold_what_is_no_count_or_cost_are_missing(store: Path) -> None:
    odd = {"input_tokens": -1, "output_tokens": -(2**63), "total_tokens": 1}
    for number, cost in enumerate([float("inf"), -float("inf"), 0.5]):
        add(store, Trace(trace_id=f"tr-{number}", columns={**odd, "total_cost": cost}))
    assert cells(read(store).traces(), *TOKENS, "cost") == [
        (None, None, 1, None),
        (None, None, 1, None),
        (None, None, 1, 0.5),
    ]


def test_odd_times_of_traces(store: Path) -> None:
    times = {"e": 2**62, "d": T0, "c": 0, "b": -1, "a": -(2**62)}
    took = {"e": None, "d": -7, "c": 0, "b": 2**62, "a": 10**14}
    add(store, *(Trace(trace_id=one, started=times[one], took=took[one]) for one in times))
    traces = read(store).traces()
    assert traces["trace_id"].tolist() == ["a", "b", "c", "d", "e"], "oldest first"
    assert cells(traces, "started") == [(None,), (at(-1),), (at(0),), (at(T0),), (None,)]
    ms = [10**14, None, 0, -7, None]
    assert cells(traces, "duration") == [
        (None if one is None else pd.Timedelta(one, unit="ms"),) for one in ms
    ]
    seconds = traces["duration"] / pd.Timedelta(seconds=1)
    assert seconds.dropna().tolist() == [1e11, 0.0, -0.007], "pandas can reckon with them"


def test_traces_at_one_time_are_sorted_by_id(store: Path) -> None:
    add(store, *(Trace(trace_id=one) for one in "cab"))
    assert read(store).traces()["trace_id"].tolist() == ["a", "b", "c"]


def test_traces_are_of_the_experiments_of_the_runs(store: Path) -> None:
    fill(store, [Run(run_id=run_id(2))], experiment_id=2, name="second")
    fill(store, [], experiment_id=3, name="third")
    for number in (1, 2, 3):
        add(store, Trace(trace_id=f"tr-{number}"), experiment_id=number)
    execute(store, "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = 2")
    found = {of: read(store, *of).traces() for of in [("1",), ("1", "2"), ("1", "2", "3")]}
    assert cells(found["1",], "trace_id", "experiment_id") == [("tr-1", "1")]
    both = [("tr-1", "1"), ("tr-2", "2")]
    assert cells(found["1", "2"], "trace_id", "experiment_id") == both
    assert cells(found["1", "2", "3"], "trace_id", "experiment_id") == both, "no run of the third"


# --- models of databases -------------------------------------------------------------------------

NO_VERSION = (None, None, None, None)


def test_models_are_read_with_their_versions(store: Path) -> None:
    add(
        store,
        Model(model_id="m-1", run_id=A, name="late", type="agent", created=T0 + 5),
        Model(model_id="m-2", run_id=A, status=1),
        Model(model_id="m-3", run_id=A, name="a", status=3, created=T0 + 5),
        Model(model_id="m-4", run_id=A, name="gone", deleted=True),
        Model(model_id="m-5", run_id=B, name="b", status=0, type=""),
        Model(model_id="m-6", run_id=None, name="of no run"),
        Model(model_id="m-7", run_id="f" * 32, name="of another run"),
        Version(registered="r", version=10, run_id=A, source="models:/m-1", stage="Production"),
        Version(registered="r", version=9, run_id=A, source="models:/m-1", aliases=["z", "best"]),
        Version(registered="q", version=1, run_id=A, source="models:/m-1", stage=None),
        Version(registered="r", version=1, run_id=B, created=None, source=None, stage=""),
        Version(registered="r", version=2, run_id=B, created=T0 + 9, aliases=["old"]),
        Version(registered="r", version=3, run_id=A, source="models:/m-4"),
        Version(registered="r", version=4, run_id=B, stage="Deleted_Internal"),
        Version(registered="r", version=5, run_id=None),
        Version(registered="r", version=6, run_id="f" * 32),
    )
    models = read(store).models
    assert {name: str(kind) for name, kind in models.dtypes.items()} == {
        **dict.fromkeys(["run_id", "model_id", "name", "type", "status"], "str"),
        "created": "datetime64[ms, UTC]",
        "registered": "str",
        "version": "Int64",
        **dict.fromkeys(["stage", "aliases"], "str"),
    }
    assert cells(models, *models.columns) == [
        (A, "m-2", "model", None, "PENDING", at(T0), *NO_VERSION),
        (A, None, None, None, None, at(T0), "r", 3, None, None),
        (A, "m-3", "a", None, "FAILED", at(T0 + 5), *NO_VERSION),
        (A, "m-1", "late", "agent", "READY", at(T0 + 5), "q", 1, None, None),
        (A, "m-1", "late", "agent", "READY", at(T0 + 5), "r", 9, None, "best, z"),
        (A, "m-1", "late", "agent", "READY", at(T0 + 5), "r", 10, "Production", None),
        (B, "m-5", "b", None, None, at(T0), *NO_VERSION),
        (B, None, None, None, None, at(T0 + 9), "r", 2, None, "old"),
        (B, None, None, None, None, None, "r", 1, None, None),
    ]


def test_models_alike_but_for_their_id_are_sorted_by_it(store: Path) -> None:
    add(store, *(Model(model_id=f"m-{one}", run_id=A) for one in "312"))
    assert read(store).models["model_id"].tolist() == ["m-1", "m-2", "m-3"]


def test_a_copy_of_a_version_is_a_version_of_the_same_model(store: Path) -> None:
    """``MlflowClient.copy_model_version``: what promotes a model from one name to another."""
    add(
        store,
        Model(model_id="m-1", run_id=A),
        Version(registered="dev", version=3, run_id=A, source="models:/m-1"),
        Version(registered="staging", version=1, run_id=A, source="models:/dev/3"),
        Version(registered="prod", version=7, run_id=A, source="models:/staging/1"),
        Version(registered="lost", version=1, run_id=A, source="models:/deleted/1", created=T0 + 1),
        Version(registered="x", version=1, run_id=A, source="models:/y/1", created=T0 + 2),
        Version(registered="y", version=1, run_id=A, source="models:/x/1", created=T0 + 2),
    )
    assert cells(read(store).models, "model_id", "registered", "version") == [
        ("m-1", "dev", 3),
        ("m-1", "prod", 7),
        ("m-1", "staging", 1),
        (None, "lost", 1),
        (None, "x", 1),
        (None, "y", 1),
    ]


def test_a_model_of_one_run_registered_by_another_is_listed_once(store: Path) -> None:
    model = Model(model_id="m-1", run_id=A)
    add(store, model, Version(registered="r", version=1, run_id=B, source="models:/m-1"))
    assert cells(read(store).models, "run_id", "model_id", "version") == [(A, "m-1", 1)]
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    alone = {run: explorer.load(Query(run_ids=(run,))).models for run in (A, B)}
    assert cells(alone[A], "run_id", "model_id", "version") == [(A, "m-1", None)]
    assert cells(alone[B], "run_id", "model_id", "version") == [(B, None, 1)]


@pytest.mark.parametrize(("mine", "found"), [(None, 1), ("team-a", 2)])
def test_the_registry_is_that_of_the_workspace(
    store: Path, monkeypatch: pytest.MonkeyPatch, mine: str | None, found: int
) -> None:
    add(
        store,
        Version(registered="r", version=1, run_id=A, aliases=["x"]),
        Version(registered="r", version=2, run_id=A, workspace="team-a", aliases=["y"]),
    )
    loaded = read(store)
    if mine:
        monkeypatch.setenv("MLFLOW_WORKSPACE", mine)
    alias = {1: "x", 2: "y"}[found]
    assert cells(loaded.models, "version", "aliases") == [(found, alias)]


def test_models_of_mlflow_2_and_3_5_are_read(store: Path, old: Path, tmp_path: Path) -> None:
    oldest = Path(shutil.copy(DATA / "mlflow-2.0.1.db", tmp_path / "oldest.db"))
    frames = []
    for path in (oldest, old):
        newest = read(path).runs.index[0]
        add(path, Version(registered="r", version=1, run_id=newest, stage="Staging"))
        models = read(path).models
        assert cells(models, "run_id", "model_id", "registered", "version", "stage") == [
            (newest, None, "r", 1, "Staging")
        ]
        frames.append(models)
    logged = Model(model_id="m-1", run_id=newest, created=1)
    add(old, logged, Version(registered="s", version=1, run_id=newest, aliases=["x"]))
    models = read(old).models
    assert models["model_id"].tolist()[0] == "m-1"
    assert models["aliases"].dropna().tolist() == ["x"]
    add(store, Model(model_id="m-1", run_id=A))
    newest_kinds = read(store).models.dtypes.to_dict()
    for frame in (*frames, models):
        assert frame.dtypes.to_dict() == newest_kinds


def test_runs_past_a_statement_are_read_in_chunks(empty_store: Path) -> None:
    runs = [Run(run_id=run_id(i), started=T0 + i) for i in range(1100)]
    fill(empty_store, runs)
    add(empty_store, *(Model(model_id=f"m-{i}", run_id=run_id(i)) for i in range(1100)))
    add(
        empty_store,
        *(
            Version(
                registered=f"r-{i % 7}",
                version=i,
                run_id=run_id(i),
                source=f"models:/m-{i}",
                aliases=[f"a-{i}"] if i % 10 == 0 else [],
            )
            for i in range(0, 1100, 2)
        ),
    )
    loaded = read(empty_store)
    models = loaded.models
    assert models["run_id"].tolist() == loaded.runs.index.tolist(), "in the order of the runs"
    expected = [
        (f"m-{i}", None, None, None)
        if i % 2
        else (f"m-{i}", f"r-{i % 7}", i, None if i % 10 else f"a-{i}")
        for i in reversed(range(1100))
    ]
    assert cells(models, "model_id", "registered", "version", "aliases") == expected


def test_bytes_that_are_no_text_are_replaced(store: Path) -> None:
    add(store, Trace(trace_id="tr-1", columns={"trace_name": "?"}))
    add(store, Model(model_id="m-1", run_id=A, name="?"))
    for table, column in (("trace_info", "trace_name"), ("logged_models", "name")):
        execute(store, f"UPDATE {table} SET {column} = CAST(x'61eda08062' AS TEXT)")
    loaded = read(store)
    assert loaded.traces()["name"].tolist() == ["a\ufffd\ufffd\ufffdb"]
    assert loaded.models["name"].tolist() == ["a\ufffd\ufffd\ufffdb"]


# --- both ----------------------------------------------------------------------------------------


def test_no_runs_have_empty_frames_of_the_same_kind(store: Path) -> None:
    fill(store, [], experiment_id=2, name="empty")
    fill(store, [], experiment_id=3, name="bare")
    add(store, FULL, Model(model_id="m-1", run_id=A))
    add(store, Trace(trace_id="other"), experiment_id=2)
    none, some = read(store, "2"), read(store, "1")
    assert len(none) == 0
    assert (len(some.models), len(some.traces())) == (1, 1)
    assert_frame_equal(none.models, some.models.iloc[:0])
    # An experiment may hold traces alone.
    assert none.traces()["trace_id"].tolist() == ["other"]
    bare = read(store, "3")
    assert_frame_equal(bare.traces(), some.traces().iloc[:0])


def test_what_a_run_did_not_log_is_an_empty_frame_of_the_same_kind(store: Path) -> None:
    bare = read(store)
    models, traces = bare.models, bare.traces()
    add(store, FULL, Model(model_id="m-1", run_id=A))
    full = read(store)
    assert_frame_equal(models, full.models.iloc[:0])
    assert_frame_equal(traces, full.traces().iloc[:0])


def test_a_store_is_read_once(store: Path) -> None:
    add(store, FULL, Model(model_id="m-1", run_id=A))
    loaded = read(store)
    models, traces = loaded.models, loaded.traces()
    kept = models.copy(), traces.copy()
    add(store, Trace(trace_id="later"), Model(model_id="m-later", run_id=A))
    models["name"] = "changed"
    models.loc[0, "version"] = 7
    traces.loc[0, "input_tokens"] = 99
    del traces["name"]
    assert_frame_equal(loaded.models, kept[0])
    assert_frame_equal(loaded.traces(), kept[1])
    assert len(read(store).models) == 2


# --- servers -------------------------------------------------------------------------------------

Page = dict[str, Any]
# The ends of the paths that are asked for.
PLACES = {
    "traces/search": "traces",
    "logged-models/search": "models",
    "model-versions/search": "versions",
    "registered-models/get": "registered",
    "mlflow/traces": "older",
}


def asked_for(fake: Fake) -> list[str]:
    """What a server was asked for, but for runs and experiments."""
    paths = [path.partition("?")[0] for path in fake.paths]
    return [name for path in paths for end, name in PLACES.items() if path.endswith(end)]


def answering(
    *, version: str = "3.17.2", **pages: Page | Sequence[Page] | None
) -> Callable[[str, Page], Answer]:
    """A server with the runs A and B of the experiment 1: what it answers a search with, page by
    page; None is 404, and what is not named is empty."""

    def route(path: str, sent: Page) -> Answer:
        place, _, query = path.partition("?")
        if place == "/version":
            return Answer(body=version.encode())
        if place.endswith("/experiments/search"):
            return said(experiments=[{"experiment_id": "1", "name": "exp"}])
        if place.endswith("/runs/search"):
            infos = [
                {"run_id": run, "experiment_id": "1", "start_time": T0 - number}
                for number, run in enumerate((A, B))
            ]
            return said(runs=[{"info": info, "data": {}} for info in infos])
        name = next((name for end, name in PLACES.items() if place.endswith(end)), "")
        given = pages.get(name, {})
        if given is None or not name:
            return Answer(status=404, body=b"<title>404 Not Found</title>")
        token = sent.get("page_token") or parse_qs(query).get("page_token", ["0"])[0]
        several = [given] if isinstance(given, dict) else given
        more = {"next_page_token": str(int(token) + 1)} if int(token) + 1 < len(several) else {}
        return said(**{**more, **several[int(token)]})

    return route


def info(model_id: str, **about: Any) -> Page:
    """A logged model of A as a server answers it."""
    told = {"model_id": model_id, "name": "n", "source_run_id": A, "creation_timestamp_ms": T0}
    return {"info": {**told, "status": "LOGGED_MODEL_READY", **about}}


def version(number: int, **about: Any) -> Page:
    """A version of ``r`` as a server answers it."""
    told = {"name": "r", "version": str(number), "run_id": A, "creation_timestamp": T0}
    return {**told, "current_stage": "None", "source": "/a/path", **about}


def trace(trace_id: str, **about: Any) -> Page:
    """A trace as a server answers it."""
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "1"}}
    told = {"trace_id": trace_id, "trace_location": location, "state": "OK"}
    return {**told, "request_time": "2025-10-09T08:53:20.250Z", **about}


REGISTERED: Page = {"registered_model": {"name": "r", "aliases": [{"alias": "x", "version": "1"}]}}


def test_an_answer_of_a_server_becomes_a_trace() -> None:
    told = {USAGE: '{"input_tokens": 1, "output_tokens": "x"}', COST: '{"total_cost": 0.5}'}
    one = trace(
        "tr-1",
        execution_duration="61.5s",
        request_preview="why?",
        response_preview="",
        trace_metadata={RUN: A, USER: "ann", SESSION: "monday", **told},
        tags={NAME: "answer"},
    )
    with serving(answering(traces={"traces": [trace("tr-2"), one]})) as fake:
        traces = ArtifactExplorer(fake.url).load(Query()).traces()
    first = (at(T0 + 250), pd.Timedelta(seconds=61.5), "ann", "monday", "why?", None)
    assert cells(traces, *traces.columns) == [
        ("tr-1", "1", A, "answer", "OK", *first, 1, None, None, 0.5, None, None),
        ("tr-2", "1", None, None, "OK", at(T0 + 250), *[None] * 11),
    ]


def test_a_trace_that_is_on_two_pages_is_there_once_as_it_is_now() -> None:
    pages = [
        {"traces": [trace("tr-1"), trace("tr-2", state="IN_PROGRESS")]},
        {"traces": [trace("tr-2", state="OK"), trace("tr-3")]},
    ]
    with serving(answering(traces=pages)) as fake:
        traces = ArtifactExplorer(fake.url).load(Query()).traces()
        assert asked_for(fake) == ["traces", "traces"]
    assert cells(traces, "trace_id", "status") == [(f"tr-{i}", "OK") for i in (1, 2, 3)]


def test_what_a_server_answers_of_other_runs_does_not_count() -> None:
    other = "f" * 32
    answers = answering(
        models={"models": [info("m-1", source_run_id=other), info("m-2"), info("m-3")]},
        versions={"model_versions": [version(1, run_id=other), version(2, source="models:/m-2")]},
        registered={"registered_model": {"name": "r"}},
    )
    with serving(answers) as fake:
        models = ArtifactExplorer(fake.url).load(Query()).models
    assert cells(models, "run_id", "model_id", "version") == [(A, "m-2", 2), (A, "m-3", None)]


def test_aliases_are_sorted_whatever_their_order() -> None:
    names = [{"alias": one, "version": "1"} for one in ("z", "b", "c", "a")]
    answers = answering(
        versions={"model_versions": [version(1)]},
        registered={"registered_model": {"name": "r", "aliases": names}},
    )
    with serving(answers) as fake:
        models = ArtifactExplorer(fake.url).load(Query()).models
    assert models["aliases"].tolist() == ["a, b, c, z"]


def test_a_model_that_is_on_two_pages_is_there_once() -> None:
    answers = answering(
        models=[{"models": [info("m-1"), info("m-2")]}, {"models": [info("m-1"), info("m-3")]}],
        versions=[
            {"model_versions": [version(1, source="models:/m-1"), version(2)]},
            {"model_versions": [version(1, source="models:/m-1"), version(2)]},
        ],
        registered=REGISTERED,
    )
    with serving(answers) as fake:
        models = ArtifactExplorer(fake.url).load(Query()).models
    assert cells(models, "model_id", "version", "aliases") == [
        ("m-1", 1, "x"),
        ("m-2", None, None),
        ("m-3", None, None),
        (None, 2, None),
    ]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("LOGGED_MODEL_PENDING", "PENDING"),
        ("LOGGED_MODEL_READY", "READY"),
        ("LOGGED_MODEL_UPLOAD_FAILED", "FAILED"),
        ("LOGGED_MODEL_STATUS_UNSPECIFIED", None),
        ("READY", None),
        ({"a": 1}, None),
        (None, None),
    ],
    ids=str,
)
def test_the_status_of_a_model_as_servers_name_it(told: object, found: str | None) -> None:
    with serving(answering(models={"models": [info("m-1", status=told)]})) as fake:
        models = ArtifactExplorer(fake.url).load(Query()).models
    assert cells(models, "status") == [(found,)]


def test_a_server_is_asked_once() -> None:
    answers = answering(
        traces={"traces": [trace("tr-1")]},
        models={"models": [info("m-1")]},
        versions={"model_versions": [version(1)]},
        registered=REGISTERED,
    )
    with serving(answers) as fake:
        loaded = ArtifactExplorer(fake.url).load(Query())
        assert asked_for(fake) == [], "nothing before it is wanted"
        models, traces = loaded.models, loaded.traces()
        assert asked_for(fake) == ["models", "versions", "registered", "traces"]
        before = list(fake.paths)
        models["name"] = traces["name"] = "changed"
        assert loaded.models["name"].tolist()[0] == "n"
        assert loaded.traces()["name"].isna().all()
        assert fake.paths == before


def test_a_server_is_not_asked_about_no_runs() -> None:
    with serving(answering()) as fake:
        none = ArtifactExplorer(fake.url).load(Query(run_ids=()))
        assert (len(none), len(none.models), len(none.traces())) == (0, 0, 0)
        assert asked_for(fake) == []


def test_a_server_that_knows_no_logged_models_has_versions_all_the_same() -> None:
    answers = answering(
        version="2.22.0",
        models=None,
        versions={"model_versions": [version(1)]},
        registered=REGISTERED,
    )
    with serving(answers) as fake:
        models = ArtifactExplorer(fake.url).load(Query()).models
    assert cells(models, "run_id", "model_id", "version", "aliases") == [(A, None, 1, "x")]


def test_a_server_of_mlflow_2_is_asked_for_traces_as_it_knows_them() -> None:
    def pairs(**given: str) -> list[Page]:
        return [{"key": key, "value": value} for key, value in given.items()]

    one = {
        "request_id": "old-1",
        "experiment_id": "1",
        "timestamp_ms": T0,
        "status": "OK",
        "execution_time_ms": 1500,
        "request_metadata": pairs(**{RUN: A, SESSION: "monday", USAGE: '{"total_tokens": 5}'}),
        "tags": pairs(**{NAME: "answer"}),
    }
    older = [{"traces": [one]}, {"traces": [{**one, "request_id": "old-2"}]}]
    with serving(answering(version="2.22.0", traces=None, older=older)) as fake:
        traces = ArtifactExplorer(fake.url).load(Query()).traces()
    assert cells(traces, "trace_id", "run_id", "name", "started", "session", "total_tokens") == [
        (f"old-{i}", A, "answer", at(T0), "monday", 5) for i in (1, 2)
    ]
    assert traces["duration"].tolist() == [pd.Timedelta(seconds=1.5)] * 2


def test_a_server_older_than_traces_has_none() -> None:
    with serving(answering(version="2.1.0", traces=None, older=None)) as fake:
        assert ArtifactExplorer(fake.url).load(Query()).traces().empty


@pytest.mark.parametrize("what", ["traces", "spans", "models"])
def test_a_server_of_mlflow_3_that_lacks_an_endpoint_is_no_older_server(what: str) -> None:
    """A proxy that passes only some addresses on must not look as if nothing was logged."""
    with serving(answering(traces=None, older=None, models=None)) as fake:
        runs = ArtifactExplorer(fake.url).load(Query())
        with pytest.raises(ServerError, match="404"):
            runs.models if what == "models" else getattr(runs, what)()


@pytest.mark.parametrize("what", ["traces", "models", "versions"])
def test_a_page_that_is_repeated_ends_with_an_error(what: str) -> None:
    same = {"next_page_token": "0"}
    with serving(answering(**{what: same})) as fake:
        loaded = ArtifactExplorer(fake.url).load(Query())
        with pytest.raises(ServerError, match="repeats a page"):
            loaded.traces() if what == "traces" else loaded.models
        assert asked_for(fake).count(what) < 10


def test_lone_surrogates_are_replaced() -> None:
    odd, fine = "a\ud800b", "a\ufffdb"
    one = trace(
        odd,
        request_preview=odd,
        response_preview=odd,
        trace_metadata={RUN: odd, USER: odd, SESSION: odd},
        tags={NAME: odd},
    )
    answers = answering(
        traces={"traces": [one]},
        models={"models": [info("m-1", name=odd, model_type=odd)]},
        versions={"model_versions": [version(1, source="models:/m-1", current_stage=odd)]},
        registered={"registered_model": {"aliases": [{"alias": odd, "version": "1"}]}},
    )
    with serving(answers) as fake:
        loaded = ArtifactExplorer(fake.url).load(Query())
        traces, models = loaded.traces(), loaded.models
    texts = ["trace_id", "run_id", "name", "user", "session", "request", "response"]
    assert cells(traces, *texts) == [(fine,) * 7]
    assert cells(models, "name", "type", "stage", "aliases") == [(fine,) * 4]


NOT_MLFLOWS: dict[str, Page] = {
    "traces of another type": {"traces": {"traces": 5}},
    "no trace": {"traces": {"traces": [1]}},
    "an empty trace": {"traces": {"traces": [{}]}},
    "no time": {"traces": {"traces": [trace("t", request_time="soon")]}},
    "a time of another type": {"traces": {"traces": [trace("t", request_time=5)]}},
    "no duration": {"traces": {"traces": [trace("t", execution_duration="long")]}},
    "a duration of NaN": {"traces": {"traces": [trace("t", execution_duration="nan")]}},
    "metadata of another type": {"traces": {"traces": [trace("t", trace_metadata=["x"])]}},
    "usage of another type": {"traces": {"traces": [trace("t", trace_metadata={USAGE: 5})]}},
    "no model": {"models": {"models": [1]}},
    "an empty model": {"models": {"models": [{}]}},
    "a model of no time": {"models": {"models": [info("m", creation_timestamp_ms="soon")]}},
    "no version": {"versions": {"model_versions": [{"name": "r", "run_id": A}]}},
    "a version that is no number": {"versions": {"model_versions": [version(1, version="x")]}},
    "no aliases": {"versions": {"model_versions": [version(1)]}, "registered": {"aliases": []}},
}


@pytest.mark.parametrize("name", NOT_MLFLOWS)
def test_an_answer_that_is_not_mlflows_is_an_error(name: str) -> None:
    with serving(answering(**NOT_MLFLOWS[name])) as fake:
        loaded = ArtifactExplorer(fake.url).load(Query())
        with pytest.raises(ServerError) as caught:
            loaded.traces() if "traces" in NOT_MLFLOWS[name] else loaded.models
        assert fake.url in str(caught.value)


ENDLESS: dict[str, Page] = {
    "an endless duration": {"traces": {"traces": [trace("t", execution_duration="inf")]}},
    "a duration past 64 bits": {"traces": {"traces": [trace("t", execution_duration="1e30")]}},
    "a time before all": {
        "traces": {"traces": [trace("t", request_time="0001-01-01T00:00:00+14:00")]}
    },
    "a model past 64 bits": {"models": {"models": [info("m", creation_timestamp_ms="9" * 30)]}},
    "a version past 64 bits": {"versions": {"model_versions": [version(10**30)]}},
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_number_that_nothing_can_hold_is_an_error(name: str) -> None:
    with serving(answering(registered=REGISTERED, **ENDLESS[name])) as fake:
        loaded = ArtifactExplorer(fake.url).load(Query())
        with pytest.raises(ServerError):
            loaded.traces() if "traces" in ENDLESS[name] else loaded.models


# --- a registry of its own -----------------------------------------------------------------------


def test_a_registry_of_its_own_is_asked_for_versions(
    store: Path, migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Path(shutil.copy(migrated, tmp_path / "registry.db"))
    add(store, Model(model_id="m-1", run_id=A, status=3), Model(model_id="m-2", run_id=B))
    add(store, Version(registered="here", version=1, run_id=A, source="models:/m-1"))
    there = Version(registered="there", version=4, run_id=A, source="models:/m-1", aliases=["x"])
    add(registry, there, Version(registered="there", version=5, run_id=B, stage="Staging"))

    columns = ("run_id", "model_id", "status", "registered", "version", "stage", "aliases")
    assert cells(read(store).models, *columns) == [
        (A, "m-1", "FAILED", "here", 1, None, None),
        (B, "m-2", "READY", *NO_VERSION),
    ]
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{registry}")
    assert cells(read(store).models, *columns) == [
        (A, "m-1", "FAILED", "there", 4, None, "x"),
        (B, "m-2", "READY", *NO_VERSION),
        (B, None, None, "there", 5, "Staging", None),
    ]


def test_a_server_older_than_logged_models_with_a_registry_of_its_own(
    migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Path(shutil.copy(migrated, tmp_path / "registry.db"))
    add(registry, Version(registered="r", version=1, run_id=A))
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{registry}")
    with serving(answering(models=None)) as fake:
        models = ArtifactExplorer(fake.url).load(Query()).models
        assert asked_for(fake) == ["models"]
    assert cells(models, "run_id", "model_id", "registered", "version") == [(A, None, "r", 1)]


def test_a_registry_that_is_not_there_is_not_made(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path}/nowhere.db")
    with suppress(QualiaError):
        assert read(store).models.empty
    assert not (tmp_path / "nowhere.db").exists()


def test_a_registry_that_is_older_is_not_migrated(
    store: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = old.read_bytes()
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{old}")
    with suppress(QualiaError):
        assert read(store).models.empty
    assert old.read_bytes() == before


def test_the_password_of_a_registry_is_not_shown(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"http://ann:s3cret-0f-ann@127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    loaded = read(store)
    with pytest.raises(ServerError) as caught:
        _ = loaded.models
    assert "s3cret-0f-ann" not in "".join(traceback.format_exception(caught.value))


# --- how much is here ----------------------------------------------------------------------------


@pytest.fixture
def counted(empty_store: Path) -> Path:
    """Two runs: 3 and 2 points of ``loss``, 1 and none of ``acc``."""
    metrics = {"loss": curve([3.0, 2.0, 1.0]), "acc": curve([0.5])}
    runs = [Run(run_id=A, metrics=metrics), Run(run_id=B, metrics={"loss": curve([NAN, 1.0])})]
    fill(empty_store, runs)
    return empty_store


def counts(loaded: RunSet) -> tuple[int, int, int]:
    found = loaded.coverage
    return found.histories, found.of_histories, found.points


def test_coverage_counts_runs_alone_before_any_history(counted: Path) -> None:
    loaded = read(counted)
    assert str(loaded.coverage) == "2 of 2 runs loaded"
    assert counts(loaded) == (0, 0, 0)
    assert loaded.coverage == loaded.loaded


def test_coverage_counts_the_histories_that_were_fetched(counted: Path) -> None:
    loaded = read(counted)
    loaded.history("acc")
    assert counts(loaded) == (1, 1, 1)
    assert str(loaded.coverage) == ("2 of 2 runs loaded\n1 of 1 metric histories loaded, 1 point")
    loaded.history("loss", run_ids=[B])
    assert counts(loaded) == (2, 2, 3)
    loaded.history("loss", run_ids=[B])
    assert counts(loaded) == (2, 2, 3), "what is asked for again counts once"
    loaded.history()
    assert counts(loaded) == (3, 3, 6)
    assert str(loaded.coverage).splitlines()[1:] == ["3 of 3 metric histories loaded, 6 points"]
    assert (loaded.coverage.runs, loaded.coverage.of_runs) == (2, 2)
    assert loaded.loaded.of_histories == 0


def test_coverage_tells_of_histories_without_points(counted: Path) -> None:
    execute(counted, f"DELETE FROM metrics WHERE key = 'loss' AND run_uuid = '{A}'")
    loaded = read(counted)
    loaded.history("loss", run_ids=[A])
    assert counts(loaded) == (0, 1, 0)
    loaded.history()
    assert counts(loaded) == (2, 3, 3)
    assert "2 of 3 metric histories loaded, 3 points" in str(loaded.coverage)
    assert "2 of 3 metric histories loaded, 3 points" in repr(loaded)


def test_coverage_of_a_metric_that_nobody_logged_counts_nothing(counted: Path) -> None:
    loaded = read(counted)
    loaded.history("absent")
    assert counts(loaded) == (0, 0, 0)
    assert str(loaded.coverage) == "2 of 2 runs loaded"


def test_coverage_has_commas_in_large_numbers(empty_store: Path) -> None:
    metrics = {f"m{i}": curve([1.0, 2.0]) for i in range(1200)}
    fill(empty_store, [Run(run_id=A, metrics=metrics)])
    loaded = read(empty_store)
    loaded.history()
    said_so = "1 of 1 runs loaded\n1,200 of 1,200 metric histories loaded, 2,400 points"
    assert str(loaded.coverage) == said_so


def test_coverage_names_what_is_gone_after_the_counts(counted: Path) -> None:
    loaded = ArtifactExplorer(f"sqlite:///{counted}").load(Query(run_ids=(A, "f" * 32)))
    loaded.history("acc")
    assert str(loaded.coverage).splitlines() == [
        "1 of 2 runs loaded",
        "1 of 1 metric histories loaded, 1 point",
        "gone from the store: " + "f" * 32,
    ]
