"""The three readers give the same answers, whatever a store holds.

Hypothesis writes stores; MLflow's client, SQL and HTTP against a real server read them.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from unittest.mock import patch

import pandas as pd
import pytest
from adbc_driver_sqlite import dbapi
from conftest import free_port
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from stores import T0, Point, Run, fill
from test_models_traces import RUN, USER, Model, Trace, Version, add, cells

from qualia_lab import ArtifactExplorer, RunSet
from qualia_lab.model import Query, RunInfo
from qualia_lab.tracking import sql
from qualia_lab.tracking.client import ClientReader
from qualia_lab.tracking.http import HttpReader
from qualia_lab.tracking.reader import Reader
from qualia_lab.tracking.sql import SqlReader

# One server for all of them.
pytestmark = pytest.mark.xdist_group("parity")

# The fixtures are of the module: each example is a new experiment, or a new file. What fails is
# not made smaller, which would take minutes against a server.
RELAXED = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

NAN, INF = float("nan"), float("inf")
FIRST_STEP, LAST_STEP = -(2**63), 2**63 - 1

ODD_TEXTS = (
    "it's",
    '"',
    "`",
    "100%",
    "%(x)s",
    "%s",
    "a_c",
    ":name",
    "?",
    "\\",
    "\\'",
    "';--",
    "a\nb\r\n\tc",
    "аccuracy",  # its first letter is Cyrillic
    "accuracy",
    "Accuracy",
    "e\u0301",
    "\u00e9",
    "\u202ertl",
    "\u2028",
    "\U0001f600汉字",
    "/a/b&c=d#e+f",
    "nan",
    "1e5",
    "0x10",
    "null",
    " ",
)


@dataclass(frozen=True, kw_only=True)
class Input:
    """A data set that a run read."""

    name: str
    digest: str
    context: str | None


@dataclass(kw_only=True)
class Logged(Run):
    """A run with what ``stores.Run`` does not have."""

    inputs: Sequence[Input] = ()
    name_tag: bool = True


@dataclass(kw_only=True)
class Store:
    """An experiment to be stored, and what is asked about it."""

    runs: Sequence[Logged]
    models: Sequence[Model] = ()
    versions: Sequence[Version] = ()
    traces: Sequence[Trace] = ()
    deleted: bool = False
    asked: list[int] = field(default_factory=list)
    queries: Sequence[int] = range(17)

    def ids(self) -> list[str]:
        """Ids of some of the runs, in an order of their own, and one that is nobody's."""
        found = [self.runs[i % len(self.runs)].run_id for i in self.asked if self.runs]
        return ["f" * 32, *dict.fromkeys(found)]


def write(path: Path, store: Store, experiment_id: int, prefix: str) -> Store:
    """Add a store's experiment to a database; the ids of its runs begin with ``prefix``."""
    renamed = {run.run_id: prefix + run.run_id[len(prefix) :] for run in store.runs}
    runs = [
        replace(
            run,
            run_id=renamed[run.run_id],
            tags={key: renamed.get(value, value) for key, value in run.tags.items()},
        )
        for run in store.runs
    ]
    fill(path, runs, experiment_id=experiment_id, name=f"{prefix} 'odd\" % \\ name")
    models = [
        replace(
            one, model_id=f"{prefix}-{one.model_id}", run_id=renamed.get(one.run_id, one.run_id)
        )
        for one in store.models
    ]
    versions = [
        replace(
            one,
            registered=f"{prefix}-{one.registered}",
            run_id=renamed.get(one.run_id, one.run_id),
            source=one.source and one.source.replace("models:/", f"models:/{prefix}-"),
        )
        for one in store.versions
    ]
    traces = [
        replace(
            one,
            trace_id=f"{prefix}-{one.trace_id}",
            metadata={key: renamed.get(value, value) for key, value in one.metadata.items()},
        )
        for one in store.traces
    ]
    add(path, *models, *versions, *traces, experiment_id=experiment_id)
    known: dict[tuple[str, str], str] = {}
    number = itertools.count()
    with sqlite3.connect(path) as db:
        for run in runs:
            if not run.name_tag:
                where = "run_uuid = ? AND key = 'mlflow.runName'"
                db.execute(f"DELETE FROM tags WHERE {where}", (run.run_id,))
            for one in run.inputs:
                if (one.name, one.digest) not in known:
                    known[one.name, one.digest] = uuid = f"{prefix}-d{next(number)}"
                    db.execute(
                        "INSERT INTO datasets (dataset_uuid, experiment_id, name, digest,"
                        " dataset_source_type, dataset_source) VALUES (?, ?, ?, ?, 'code', '{}')",
                        (uuid, experiment_id, one.name, one.digest),
                    )
                uuid = f"{prefix}-i{next(number)}"
                db.execute(
                    "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type,"
                    " destination_id) VALUES (?, 'DATASET', ?, 'RUN', ?)",
                    (uuid, known[one.name, one.digest], run.run_id),
                )
                tags = [("other", "tag"), ("mlflow.data.context", one.context)]
                db.executemany(
                    "INSERT INTO input_tags (input_uuid, name, value) VALUES (?, ?, ?)",
                    [(uuid, name, value) for name, value in tags if value is not None],
                )
        if store.deleted:
            statement = "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = ?"
            db.execute(statement, (experiment_id,))
    db.close()
    return replace(store, runs=runs, models=models, versions=versions, traces=traces)


# --- stores --------------------------------------------------------------------------------------

plain = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
keys = st.one_of(
    st.sampled_from(["loss", "lr", *ODD_TEXTS]),
    st.sampled_from(["loss", "lr"]),
    st.text(plain, min_size=1, max_size=8),
)
texts = st.one_of(
    st.sampled_from(["", "0.1", "\x00", "a\x00b", "x" * 2000, *ODD_TEXTS]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
times = st.one_of(
    st.integers(T0 - 3, T0 + 3),
    st.sampled_from([0, 1, -1, -(10**12), 2**62, 253_402_300_799_999, 253_402_300_800_000]),
)
steps = st.one_of(
    st.integers(-2, 5),
    st.sampled_from([FIRST_STEP, FIRST_STEP + 1, LAST_STEP - 1, LAST_STEP, 2**53 + 1]),
)
values = st.one_of(
    st.sampled_from([NAN, INF, -INF, 0.0, 1.0, -1.0, 5e-324, 1e-300, 1.7976931348623155e308]),
    st.floats(width=64),
)


def stored_once(point: Point) -> object:
    step, ms, value = point
    return step, ms, str(value + 0.0)  # as the primary key has it: 0.0 is -0.0, NaN is NaN


curves = st.lists(st.tuples(steps, times, values), min_size=1, max_size=6, unique_by=stored_once)


@st.composite
def logged_runs(draw: st.DrawFn, number: int) -> Logged:
    """A run that may be the child of one before it, or of nobody known."""
    tags = draw(st.dictionaries(keys, texts, max_size=3))
    parent = draw(st.one_of(st.none(), st.just("nowhere"), st.integers(0, number)))
    if parent is not None:
        tags["mlflow.parentRunId"] = parent if isinstance(parent, str) else run_name(parent)
    name = draw(st.one_of(st.sampled_from(["", "same"]), texts))
    if not name and draw(st.booleans()):
        tags["mlflow.runName"] = draw(texts)
    datasets = st.builds(
        Input,
        name=st.sampled_from(["train", "test", *ODD_TEXTS]),
        digest=st.sampled_from(["aa", "bb"]),
        context=st.one_of(st.none(), st.sampled_from(["training", "it's", ""])),
    )
    return Logged(
        run_id=run_name(number),
        name=name,
        name_tag=draw(st.booleans()),
        status=draw(st.sampled_from(["FINISHED", "FAILED", "RUNNING", "KILLED", "SCHEDULED"])),
        started=draw(times),
        ended=draw(st.one_of(st.none(), times.filter(bool))),
        user=draw(st.sampled_from(["", "ann", "ännchen"])),
        params=draw(st.dictionaries(keys, texts, max_size=3)),
        metrics=draw(st.dictionaries(keys, curves, max_size=3)),
        tags=tags,
        deleted=draw(st.sampled_from([False, False, False, True])),
        inputs=draw(st.lists(datasets, max_size=2, unique_by=lambda one: (one.name, one.digest))),
    )


def run_name(number: int) -> str:
    """A run id of 32 characters whose end alone tells it from others of its store."""
    return f"{'0' * 8}{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:08x}"


# What the API can hold; it fails as a whole on more.
dates = st.one_of(
    st.integers(T0 - 3, T0 + 3), st.sampled_from([0, 1, -1, -(10**12), 253_402_300_799_999])
)
short_texts = texts.filter(lambda text: len(text) <= 250)
counts = st.one_of(st.none(), st.integers(-1, 5), st.just(2**63 - 1))


@st.composite
def models_of(draw: st.DrawFn, runs: Sequence[str]) -> dict[str, Sequence[Model | Version | Trace]]:
    """Models, versions and traces of these runs, and of runs that are not there."""
    known = st.sampled_from(["e" * 32, *runs])
    of = st.one_of(known, st.none())
    model = st.builds(
        Model,
        model_id=st.sampled_from("abcd"),
        run_id=of,
        name=keys,
        type=st.sampled_from([None, "", "agent"]),
        status=st.integers(0, 3),
        created=times,
        deleted=st.sampled_from([False, False, True]),
    )
    names = ["r", *(text for text in ODD_TEXTS if not {"/", ":"} & set(text))]
    version = st.builds(
        Version,
        registered=st.one_of(st.just("r"), st.sampled_from(names)),
        version=st.integers(1, 3),
        run_id=of,
        source=st.sampled_from([None, "", "/a", "models:/a", "models:/b", "models:/r/1"]),
        stage=st.sampled_from(["None", "Staging", "Deleted_Internal"]),
        created=times,
    )
    trace = st.builds(
        Trace,
        trace_id=st.sampled_from("abcd"),
        started=dates,
        took=st.one_of(st.none(), st.integers(-2, 3), st.sampled_from([10**12, 2**48])),
        status=st.sampled_from(["OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED"]),
        columns=st.fixed_dictionaries(
            {},
            optional={
                **dict.fromkeys(["input_tokens", "output_tokens", "total_tokens"], counts),
                **dict.fromkeys(["trace_name", "request_preview", "response_preview"], texts),
                "session_id": short_texts,
                "total_cost": st.floats(),
            },
        ),
        metadata=st.fixed_dictionaries(
            {}, optional={RUN: known, USER: short_texts, "x": short_texts}
        ),
        tags=st.dictionaries(st.sampled_from(["x", "y"]), texts, max_size=1),
    )
    few = {"min_size": draw(st.sampled_from([0, 2])), "max_size": 4}
    versions = draw(st.lists(version, unique_by=lambda one: (one.registered, one.version), **few))
    return {
        "models": draw(st.lists(model, unique_by=lambda one: one.model_id, **few)),
        "versions": [
            replace(one, aliases=draw(st.sampled_from([[], ["x", f"it's {i} \U0001f600"]])))
            if one.stage != "Deleted_Internal" and (one.registered, i) == ("r", 0)
            else one
            for i, one in enumerate(versions)
        ],
        "traces": draw(st.lists(trace, unique_by=lambda one: one.trace_id, **few)),
    }


@st.composite
def stores(draw: st.DrawFn) -> Store:
    count = draw(st.integers(0, 12))
    return Store(
        runs=[draw(logged_runs(number)) for number in range(count)],
        **draw(models_of([run_name(number) for number in range(count)])),
        deleted=draw(st.sampled_from([False, False, False, True])),
        asked=draw(st.lists(st.integers(0, 12), max_size=5)),
        queries=draw(st.lists(st.integers(0, 16), min_size=3, max_size=3, unique=True)),
    )


def large(count: int) -> Store:
    """More runs than a batch of ids, a chunk or a page holds. Columns begin as another type than
    they end: no end times but the last, params that look like numbers until the last."""
    return Store(
        runs=[
            Logged(
                run_id=run_name(i),
                name=f"run {i}" if i % 3 else "",
                status=("FINISHED", "FAILED")[i % 2],
                started=T0 + i // 7 * 1000,
                ended=None if i < count - 2 else T0,
                user="" if i < count - 2 else "ann",
                params={"lr": str(i) if i < count - 1 else "text"},
                metrics={"loss": [(0, T0, float(i % 10)), (1, T0, NAN if i % 9 == 0 else i / 3)]},
                tags={"mlflow.parentRunId": run_name(i // 10)} if i % 10 else {},
                deleted=i % 50 == 7,
                inputs=[Input(name="train", digest="aa", context=None)] if i % 100 == 1 else [],
            )
            for i in range(count)
        ],
        models=[
            *(Model(model_id=f"{i}", run_id=run_name(i)) for i in range(0, count, 5)),
            *(Model(model_id=f"same-{i}", run_id=run_name(0)) for i in range(501)),
        ],
        versions=[
            Version(
                registered=f"r{i % 2}",
                version=i,
                run_id=run_name(i),
                source=f"models:/{i}",
                created=T0 + i,
                aliases=[f"a{i}"] if i % 4 else [],
            )
            for i in range(0, count, 10)
        ],
        traces=[
            Trace(trace_id=f"{i}", started=T0 + i % 50, metadata={RUN: run_name(i)})
            for i in range(count)
        ],
        asked=[*range(0, count, 2)],
        queries=range(17) if count < 1000 else (2, 3, 6, 10, 14),
    )


# --- readers -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Served:
    """A database file and the server that answers from it."""

    path: Path
    url: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, store: Store) -> tuple[Store, str]:
        """The store as it was written, and the id of its experiment."""
        number = next(self.numbers)
        return write(self.path, store, number, f"{number:08x}"), str(number)

    def explorers(self) -> dict[str, ArtifactExplorer]:
        """One for each reader, new: they keep what they have read."""
        uri = f"sqlite:///{self.path}"
        return {
            "client": explorer_of(ClientReader(uri), uri),
            "sql": explorer_of(SqlReader(ClientReader(uri)), uri),
            "http": explorer_of(HttpReader(ClientReader(self.url)), self.url),
        }


def explorer_of(reader: Reader, uri: str) -> ArtifactExplorer:
    """An explorer that reads through this reader, not the one that it would choose."""
    explorer = ArtifactExplorer(uri)
    explorer.__dict__["_reader"] = reader
    explorer.__dict__["_note"] = ""
    return explorer


@pytest.fixture(scope="module")
def served(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A database of its own behind a real tracking server with one worker."""
    folder = tmp_path_factory.mktemp("parity")
    path = Path(shutil.copy(migrated, folder / "mlflow.db"))
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", f"sqlite:///{path}"]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield Served(path=path, url=f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + 90
    while monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            sleep(0.3)
    raise RuntimeError(f"no server: {log.read_text()[-2000:]}")


# --- what must be equal --------------------------------------------------------------------------

same_frame = partial(assert_frame_equal, check_exact=True)


def assert_same(one: RunSet, other: RunSet, metrics: Sequence[str] | None = None) -> None:
    for part in ("runs", "params", "metrics", "logged", "tags", "datasets"):
        same_frame(getattr(one, part), getattr(other, part), obj=part)
    assert one.loaded == other.loaded
    same_frame(one.history(metrics), other.history(metrics), obj="history")
    assert one.coverage == other.coverage


def assert_same_models(one: RunSet, other: RunSet) -> None:
    same_frame(one.models, other.models, obj="models")
    same_frame(one.traces(), other.traces(), obj="traces")
    same_frame(one.trace_tags(), other.trace_tags(), obj="tags of traces")


def comparable(run: RunInfo) -> object:
    """A run as it can be compared: NaN differs from itself."""
    return replace(run, metrics={key: str(value) for key, value in run.metrics.items()})


def at(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def queries(store: Store, experiment_id: str) -> list[Query]:
    """Ways to ask for runs of a store."""
    whole = Query(experiment_ids=(experiment_id,))
    ids = store.ids()
    every = [
        whole,
        Query(run_ids=tuple(ids)),  # of the active experiments alone
        replace(whole, run_ids=tuple(ids)),
        replace(whole, run_ids=tuple(ids), order_by=("metrics.loss ASC",), top=2),
        replace(whole, run_ids=()),
        replace(whole, run_id_prefix=ids[-1][:17]),
        replace(whole, order_by=("metrics.loss DESC",), top=3),
        replace(whole, order_by=("metrics.loss",)),
        replace(whole, order_by=("metrics.absent", "params.lr DESC")),
        replace(whole, top=1),
        replace(whole, statuses=("FAILED", "RUNNING")),
        replace(whole, since=at(T0 - 1), until=at(T0 + 1)),
        replace(whole, since=at(-1), top=2),
        replace(whole, until=at(0)),
        replace(whole, filter="metrics.loss > 0.5"),
        replace(whole, filter="params.lr = '0.1' AND attributes.status = 'FINISHED'"),
        replace(whole, filter="params.lr LIKE '%'", order_by=("metrics.loss DESC",), top=2),
    ]
    return [every[number] for number in store.queries]


def check(served: Served, store: Store, metrics: Sequence[str] | None = None) -> RunSet:
    """Ask every reader everything; what was read of the whole experiment."""
    store, experiment_id = served.add(store)
    explorers = served.explorers()
    of_client = explorers.pop("client")
    expected = of_client.load(Query(experiment_ids=(experiment_id,)))
    assert set(expected.runs.index) == {run.run_id for run in store.runs if not run.deleted}
    for explorer in explorers.values():
        told: list[tuple[int, float]] = []
        found = explorer.load(
            Query(experiment_ids=(experiment_id,)),
            lambda runs, share, told=told: told.append((runs, share or 0)),
        )
        assert told == sorted(told)
        assert not told or told[-1][0] == len(expected)
        assert all(share < 1 + 1e-9 for _, share in told)
        assert_same(found, expected, metrics)
        assert_same_models(found, expected)
    for query in queries(store, experiment_id):
        wanted = [comparable(run) for run in of_client.runs(query)]
        loaded = of_client.load(query)
        for name, explorer in explorers.items():
            listed = [comparable(run) for run in explorer.runs(query)]
            assert listed == wanted, (name, query)
            other = explorer.load(query)
            same_frame(other.runs, loaded.runs, obj=f"{name} {query}")
            assert other.coverage == loaded.coverage
            matching = of_client.count(query)
            assert explorer.count(query) in (matching, None), (name, query)
            assert name == "http" or explorer.count(query) == matching
        assert query.top or of_client.count(query) == len(wanted)
    for name, explorer in explorers.items():
        # The API can't count past a page of 1,000 runs, which is said, not guessed.
        unknown = name == "http" and len(expected) > 1000
        assert explorer.count(Query(experiment_ids=(experiment_id,))) == (
            None if unknown else len(expected)
        )
        counts = explorer.counts()
        assert counts == of_client.counts() or (name == "http" and counts is None)
        is_active = experiment_id in [one.experiment_id for one in explorer.experiments()]
        of_this = len(expected) if is_active else 0
        assert counts is None or counts.get(experiment_id, 0) == of_this
        assert explorer.experiments(deleted=True) == of_client.experiments(deleted=True)
    return expected


@settings(RELAXED, max_examples=30)
@given(store=stores())
def test_every_reader_gives_the_same(served: Served, store: Store) -> None:
    loaded = check(served, store)
    kept = {run.run_id[8:]: run for run in store.runs}
    for run_id, row in loaded.runs.iterrows():
        run = kept[str(run_id)[8:]]
        for frame, pairs in ((loaded.params, run.params), (loaded.tags, run.tags)):
            there = frame.loc[run_id].dropna().to_dict()
            assert {key for key in pairs if key != "mlflow.runName"} <= set(there)
        assert row["status"] == run.status
        logged = loaded.logged.loc[run_id]
        assert set(logged[logged].index) == set(run.metrics)
    points = sum(len(curve) for run in store.runs if not run.deleted for curve in
                 run.metrics.values())  # fmt: skip
    assert len(loaded.history()) == points
    assert_there(loaded, store)


def assert_there(loaded: RunSet, store: Store) -> None:
    """The models, versions and traces of the active runs are there, and no others."""
    here = set(loaded.runs.index.str[8:])
    models = {one.model_id for one in store.models if _of(one) in here and not one.deleted}
    versions = [
        f"{one.registered} {one.version}"
        for one in store.versions
        if _of(one) in here and one.stage != "Deleted_Internal"
    ]
    # Of an experiment without a run that is left, the traces are there all the same.
    traces = [one.trace_id for one in store.traces]
    found = loaded.models.astype("str")
    known = found[loaded.models["registered"].notna()]
    assert {one[9:] for one in found["model_id"].dropna()} == models
    assert sorted(known["registered"].str[9:] + " " + known["version"]) == sorted(versions)
    assert sorted(loaded.traces()["trace_id"].str[9:]) == sorted(traces)


def _of(one: Model | Version) -> str:
    return (one.run_id or "")[8:]


@pytest.mark.parametrize("count", [300, 1100])
def test_every_reader_gives_the_same_past_every_page(served: Served, count: int) -> None:
    loaded = check(served, large(count), metrics=["loss"])
    assert len(loaded) == count - len(range(7, count, 50))
    assert len(loaded.history("loss")) == 2 * len(loaded)
    assert (loaded.params["lr"] == "text").sum() == 1
    assert loaded.runs["ended"].notna().sum() == 2
    assert len(loaded.traces()) == count
    assert len(loaded.models) == 501 + len([i for i in range(0, count, 5) if i % 50 != 7])
    assert loaded.models["version"].count() == len(range(0, count, 10))
    assert loaded.models["aliases"].count() == len([i for i in range(0, count, 10) if i % 4])


# --- what MLflow itself writes -------------------------------------------------------------------

# As a process of its own, which may warn, print and set what it likes.
LOG = """
import json, sys
import mlflow
from mlflow import MlflowClient
from mlflow.entities import TraceInfo, TraceLocation, TraceState

url, odd = sys.argv[1], sys.argv[2]
mlflow.set_tracking_uri(url)
client = MlflowClient(url)
first, second = (client.create_experiment(f"models {i}") for i in (1, 2))
a, b, bare = (client.create_run(first, start_time=i).info.run_id for i in (4, 3, 2))
c = client.create_run(second, start_time=1).info.run_id

def log_model(experiment, run, name, status=None, **about):
    model = client.create_logged_model(experiment, name=name, source_run_id=run, **about)
    if status:
        client.finalize_logged_model(model.model_id, status)
    return model

def register(name, model):
    source = f"models:/{model.model_id}"
    client.create_model_version(name, source, model_id=model.model_id)

ready = log_model(first, a, "ready", "READY", model_type="agent")
models = [ready, log_model(first, a, "pending"), log_model(first, a, "failed", "FAILED")]
gone = log_model(first, b, "gone", "READY")
log_model(second, None, "of no run", "READY")
models.append(log_model(second, c, "other", "READY", model_type=odd))

for name in ("it's 100% odd", "plain", "gone"):
    client.create_registered_model(name)
for _ in range(3):
    register("it's 100% odd", ready)
client.transition_model_version_stage("it's 100% odd", 1, "Production")
for alias in ("z", "best"):
    client.set_registered_model_alias("it's 100% odd", alias, 2)
client.delete_model_version("it's 100% odd", 3)
client.copy_model_version("models:/it's 100% odd/2", "prod")
register("gone", gone)
client.delete_logged_model(gone.model_id)
client.create_model_version("plain", client.get_run(b).info.artifact_uri + "/model", run_id=b)

mlflow.set_experiment(experiment_id=first)
with mlflow.start_span("outside") as span:
    span.set_inputs({"question": odd})
    span.set_outputs("because")
with mlflow.start_run(run_id=a), mlflow.start_span(odd) as span:
    mlflow.update_current_trace(
        metadata={"mlflow.trace.session": odd, "mlflow.trace.user": odd}, tags={"other": "tag"}
    )
    tokens = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    span.set_attribute("mlflow.chat.tokenUsage", tokens)
    span.set_attribute("mlflow.llm.model", "gpt-4o-mini")
try:
    with mlflow.start_span("failing"):
        raise ValueError("no")
except ValueError:
    pass
mlflow.set_experiment(experiment_id=second)
with mlflow.start_span("in the second"):
    pass
started = TraceInfo(
    "tr-started", TraceLocation.from_experiment_id(first), 5000, TraceState.IN_PROGRESS
)
client._tracing_client.start_trace(started)

found = client.search_traces(locations=[first, second], include_spans=False)
infos = sorted((one.info for one in found), key=lambda info: info.request_time)
said = {
    "experiments": [first, second],
    "runs": [a, b, bare, c],
    "models": [[one.model_id, one.creation_timestamp] for one in models],
    "registered": {
        f"{one.name} {one.version}": one.creation_timestamp
        for one in client.search_model_versions()
    },
    "traces": [[one.trace_id, one.request_time, one.execution_duration] for one in infos],
    "costs": [one.cost["total_cost"] for one in infos if one.cost],
}
print(json.dumps(said))
"""


def test_what_mlflow_logs_is_read_as_it_was_logged(served: Served) -> None:
    odd = "".join(text for text in ODD_TEXTS if "/" not in text)
    done = subprocess.run(
        [sys.executable, "-c", LOG, served.url, odd], capture_output=True, text=True,
        cwd=served.path.parent, env={**os.environ, "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    logged = json.loads(done.stdout.splitlines()[-1])
    first, second = logged["experiments"]
    a, b, bare, c = logged["runs"]
    while next(served.numbers) < int(second):
        pass  # MLflow took these numbers
    explorers = served.explorers()
    read = {
        name: one.load(Query(experiment_ids=(first, second))) for name, one in explorers.items()
    }
    for loaded in read.values():
        assert loaded.runs.index.tolist() == [a, b, bare, c]
        assert_same_models(loaded, read["client"])

    odd_name, none = "it's 100% odd", [None] * 4
    (ready, pending, failed, other), of = logged["models"], logged["registered"]
    expected = [
        (a, ready, "ready", "agent", "READY", odd_name, 1, "Production", None),
        (a, ready, "ready", "agent", "READY", odd_name, 2, None, "best, z"),
        (a, ready, "ready", "agent", "READY", "prod", 1, None, None),
        (a, pending, "pending", None, "PENDING", *none),
        (a, failed, "failed", None, "FAILED", *none),
        (b, [None, of["gone 1"]], None, None, None, "gone", 1, None, None),
        (b, [None, of["plain 1"]], None, None, None, "plain", 1, None, None),
        (c, other, "other", odd, "READY", *none),
    ]
    models = read["http"].models
    assert cells(models, *models.columns) == [
        (run, model_id, *about[:3], at(created), *about[3:])
        for run, (model_id, created), *about in expected
    ]
    traces = read["http"].traces()
    assert cells(traces, "trace_id", "started", "duration") == [
        (trace_id, at(ms), None if took is None else timedelta(milliseconds=took))
        for trace_id, ms, took in logged["traces"]
    ]
    columns = ["experiment_id", "run_id", "name", "status", "user", "session", "request"]
    columns += ["response", "input_tokens", "output_tokens", "total_tokens", "cost"]
    question = '{"question": ' + json.dumps(odd, ensure_ascii=False) + "}"
    (cost,) = logged["costs"]
    assert cost > 0
    assert cells(traces, *columns) == [
        (first, None, None, "IN_PROGRESS", *[None] * 8),
        (first, None, "outside", "OK", None, None, question, '"because"', *none),
        (first, a, odd, "OK", odd, odd, None, None, 11, 7, 18, cost),
        (first, None, "failing", "ERROR", *[None] * 8),
        (second, None, "in the second", "OK", *[None] * 8),
    ]


def test_runs_without_models_and_traces_are_the_same_too(served: Served) -> None:
    number = next(served.numbers)
    run = Logged(run_id=f"{number:08x}" + "0" * 24)
    fill(served.path, [run], experiment_id=number, name=f"bare {number}")
    found = [one.load(Query(experiment_ids=(str(number),))) for one in served.explorers().values()]
    for loaded in found:
        assert_same_models(loaded, found[0])
        assert (len(loaded), len(loaded.models), len(loaded.traces())) == (1, 0, 0)


# --- the ways of the SQL reader ------------------------------------------------------------------

Make = Callable[[Store], tuple[Store, str]]


@pytest.fixture(scope="module")
def make(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A new database with a store in it and a second experiment of other runs."""

    def write_new(store: Store) -> tuple[Store, str]:
        path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("ways") / "mlflow.db"))
        other = Store(runs=[replace(run, params={"other": "run"}) for run in store.runs[:3]])
        write(path, other, 2, "aaaaaaaa")
        return write(path, store, 1, "bbbbbbbb"), f"sqlite:///{path}"

    return write_new


def read(uri: str, store: Store) -> tuple[RunSet, RunSet]:
    explorer = explorer_of(SqlReader(ClientReader(uri)), uri)
    found = (
        explorer.load(Query(experiment_ids=("1",))),
        explorer.load(Query(experiment_ids=("1",), run_ids=tuple(store.ids()))),
    )
    for one in found:
        one.history()  # now, while what it is read with is patched
    _ = found[0].models, found[0].traces()
    return found


def assert_ways_agree(store: Store, uri: str) -> None:
    with patch.object(sql, "_MOST_OF_THE_STORE", 0.0):
        expected = read(uri, store)
    ways: list[tuple[RunSet, RunSet]] = []
    with patch.object(sql, "_MOST_OF_THE_STORE", 9.0):
        ways.append(read(uri, store))
        with patch.object(sql, "_IDS_A_STATEMENT", 2 if len(store.runs) < 20 else 99):
            ways.append(read(uri, store))
    with patch.object(dbapi, "connect", side_effect=NotImplementedError) as refused:
        ways.append(read(uri, store))
    assert refused.called
    for way in ways:
        for one, other in zip(way, expected, strict=True):
            assert_same(one, other)
        assert_same_models(way[0], expected[0])


@settings(RELAXED, max_examples=25)
@given(store=stores())
def test_tables_read_whole_in_chunks_and_row_by_row_are_the_same(make: Make, store: Store) -> None:
    assert_ways_agree(*make(store))


def test_columns_that_change_their_type_late_are_the_same_in_every_way(make: Make) -> None:
    store, uri = make(large(1100))
    assert_ways_agree(store, uri)
    whole, _ = read(uri, store)
    assert whole.runs["ended"].dropna().tolist() == [pd.Timestamp(T0, unit="ms", tz="UTC")] * 2
    assert whole.runs["user"].dropna().tolist() == ["ann", "ann"]
