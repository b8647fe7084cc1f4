"""Which runs: the flags that say it, the same from every store, and what a notebook keeps of it."""

from __future__ import annotations

import csv
import io
import json
import shlex
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
import typer
from commands import Done, command, in_process, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from stores import Run, curve, fill
from typer.testing import CliRunner

from qualia_lab import ArtifactExplorer, load
from qualia_lab.cli.main import main
from qualia_lab.cli.options import Which, takes
from qualia_lab.errors import NotFoundError, UsageError
from qualia_lab.model import Query
from qualia_lab.tracking import selecting
from qualia_lab.tracking.client import ClientReader

NAN = float("nan")
NOW = datetime.now(UTC)
DAY = 86_400_000


def ago(days: float) -> int:
    return int((NOW - timedelta(days=days)).timestamp() * 1000)


RUNS = [
    Run(run_id="a" * 32, name="sweep", started=ago(30), metrics={"loss": curve([0.9])}),
    Run(
        run_id="b" * 32,
        name="sweep lr=0.1",
        started=ago(5),
        params={"lr": "0.1"},
        tags={"mlflow.parentRunId": "a" * 32},
        metrics={"loss": curve([0.1, 0.5]), "f/1 x": curve([1.0])},
    ),
    Run(
        run_id="c" * 32,
        name="sweep lr=0.01",
        started=ago(4),
        status="FAILED",
        params={"lr": "1e-2"},
        tags={"mlflow.parentRunId": "a" * 32},
        metrics={"loss": curve([0.2]), "f/1 x": curve([2.0])},
    ),
    Run(
        run_id="d" * 32,
        name="deeper",
        started=ago(3),
        tags={"mlflow.parentRunId": "c" * 32},
        metrics={"loss": curve([0.3, NAN])},
    ),
    Run(run_id="e" * 32, name="base [1]", started=ago(1), status="RUNNING", ended=None),
]


@pytest.fixture(scope="module")
def store(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five runs of one experiment: a parent, two below it, one below these, and one alone."""
    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("choosing") / "mlflow.db"))
    fill(path, RUNS, experiment_id=1, name="exp")
    fill(path, [Run(run_id="f" * 32, name="other")], experiment_id=2, name="other")
    return path


def uri(store: Path) -> str:
    return f"sqlite:///{store}"


def listed(store: Path, *flags: str, code: int = 0) -> Done:
    words = ("runs", "--tracking-uri", uri(store), "--experiment", "exp", *flags)
    done = in_process(main, *words, cwd=store.parent)
    assert done.code == code, done.err
    return done


def ids(store: Path, *flags: str) -> str:
    """The first letters of the ids of the runs that flags choose."""
    return "".join(line[0] for line in listed(store, *flags, "--format", "ids").out.split())


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], "edcba"),
        (["--all"], "edcba"),
        (["--top", "2"], "ed"),
        (["--since", "4.5d"], "edc"),
        (["--since", "108h"], "edc"),
        (["--until", "3.5d"], "cba"),
        (["--since", f"{NOW - timedelta(days=4.5):%Y-%m-%dT%H:%M}"], "edc"),
        (["--until", f"{NOW - timedelta(days=4):%Y-%m-%d}"], "cba"),
        (["--status", "failed"], "c"),
        (["--status", "FAILED", "--status", "RUNNING"], "ec"),
        (["--name", "sweep*"], "cba"),
        (["--name", "base [[]1]"], "e"),
        (["--name", "BASE*", "--all"], ""),
        (["--parents-only"], "ea"),
        (["--name", "sweep", "--children"], "acdb"),
        (["--where", "params.lr > 0.05"], "b"),
        (["--where", "params.lr is not None", "--parents-only"], ""),
        (["--where", "min(metrics.loss) < 0.2"], "b"),
        (["--best", "loss"], "cba"),
        (["--best", "loss:max"], "abc"),
        (["--best", "loss", "--top", "1"], "c"),
        (["--best", "f/1 x:max", "--top", "1"], "c"),
        (["--best", "loss", "--top", "2", "--name", "sweep*1*"], "cb"),
        (["--best", "loss", "--status", "FINISHED"], "ba"),
        (["--filter", "metrics.loss > 0.4"], "ba"),
        (["--filter", "metrics.loss > 0.4", "--where", "params.lr is None"], "a"),
        (["--run", "aaaa", "--children"], "acdb"),
        (["--run", "dddd", "--run", "aaaa"], "da"),
    ],
)
def test_flags_choose_the_same_runs_whoever_reads(
    store: Path, flags: list[str], found: str
) -> None:
    if not found:
        listed(store, *flags, code=6)
        return
    assert ids(store, *flags) == found


def which(*flags: str) -> Which:
    """The record of flags that are given as the command gets them."""
    seen: list[Which] = []
    app = typer.Typer()
    app.command()(takes(Which)(lambda which: seen.append(which)))
    result = CliRunner().invoke(app, list(flags), standalone_mode=False)
    assert result.exit_code == 0, result.output
    return seen[0]


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--since", "2999-01-01"], "is in the future"),
        (["--since", "1d", "--until", "2d"], "--since is after --until"),
        (["--since", "soon"], "soon is no time"),
        (["--since", ""], "is no time"),
        (["--until", "7 parsecs"], "is no time"),
        (["--status", "DONE"], "no run status DONE"),
        (["--best", "oddity"], "whether more of it is better is not known"),
        (["--best", ""], "whether more of it is better is not known"),
        (["--run", "aaaa", "--all"], "--run goes without --all"),
        (["--run", "aaaa", "--since", "1d"], "--run goes without --since"),
        (["--where", "1 +"], "is no condition"),
        (["--where", ""], "the condition is empty"),
        (["--where", "lr > 1"], "no lr"),
        (["--filter", "nonsense"], "filter"),
        (["--format", "xml"], "no format xml"),
        (["--top", "0"], "--top"),
    ],
)
def test_flags_that_make_no_sense_are_refused(store: Path, flags: list[str], what: str) -> None:
    done = listed(store, *flags, code=2)
    assert what in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_what_no_run_has_is_not_found(store: Path) -> None:
    done = listed(store, "--best", "absent:max", code=6)
    assert "no run logged the metric absent" in done.err
    assert "known: f/1 x, loss" in done.err
    done = listed(store, "--name", "nobody", code=6)
    assert "no run of 5 in exp matches --name" in done.err


def test_every_reader_gives_the_same(store: Path) -> None:
    def reader(uri: str) -> ArtifactExplorer:
        explorer = ArtifactExplorer(uri)
        explorer.__dict__["_reader"], explorer.__dict__["_note"] = ClientReader(uri), ""
        return explorer

    sql, client = ArtifactExplorer(uri(store)), reader(uri(store))
    for query in (
        Query(experiment_ids=("1",), best=("loss", "min"), top=2),
        Query(experiment_ids=("1",), best=("f/1 x", "max")),
        Query(experiment_ids=("1",), name="sweep", children=True),
        Query(experiment_ids=("1",), where="best(metrics.loss) < 0.25", top_level=False),
        Query(experiment_ids=("1",), top_level=True, statuses=("RUNNING",)),
    ):
        one, other = sql.load(query), client.load(query)
        for part in ("runs", "params", "metrics", "logged", "tags", "datasets"):
            assert_frame_equal(getattr(one, part), getattr(other, part), obj=f"{part} of {query}")
        assert [run.run_id for run in sql.runs(query)] == list(one.runs.index)
        # As if they had been asked for one by one.
        by_id = sql.load(Query(run_ids=tuple(one.runs.index)))
        for part in ("runs", "params", "metrics", "logged", "tags", "datasets"):
            assert_frame_equal(getattr(one, part), getattr(by_id, part), obj=f"{part} of {query}")
        assert one.coverage == by_id.coverage
        assert_frame_equal(one.history(), by_id.history())


def test_children_in_a_circle_end(migrated: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    tags = {one: {"mlflow.parentRunId": other * 32} for one, other in ("ab", "bc", "ca")}
    fill(path, [Run(run_id=one * 32, name=one, tags=tags[one]) for one in "abc"])
    found = ArtifactExplorer(uri(path)).load(Query(name="b", children=True))
    assert [str(run)[0] for run in found.runs.index] == ["b", "a", "c"]


# --- what is printed -----------------------------------------------------------------------------


def test_the_table_is_aligned_and_says_what_it_leaves_out(store: Path) -> None:
    done = listed(store, "--best", "loss", "--top", "2")
    head, first, second = done.out.splitlines()
    assert head.split() == ["run", "id", "name", "started", "(UTC)", "took", "loss", "f/1", "x"]
    assert first.startswith("✗  cccccccc  sweep lr=0.01")
    assert (first.split()[-2:], second.split()[-2:]) == (["0.2", "2"], ["0.5", "1"])
    assert len(first) == len(second) == len(head)
    assert "2 of 5 runs" in done.err


def test_json_and_csv_hold_everything(store: Path) -> None:
    found = json.loads(listed(store, "--json").out)
    assert found["of_runs"] == 5
    by_id = {run["run_id"][0]: run for run in found["runs"]}
    assert by_id["b"]["params"] == {"lr": "0.1"}
    assert by_id["b"]["metrics"] == {"loss": 0.5, "f/1 x": 1.0}
    assert by_id["d"]["metrics"] == {"loss": "NaN"}
    assert by_id["d"]["parent"] == "c" * 32
    assert (by_id["a"]["parent"], by_id["e"]["ended"], by_id["e"]["duration"]) == (None, None, None)
    assert by_id["e"]["metrics"] == {}
    rows = list(csv.DictReader(io.StringIO(listed(store, "--format", "csv").out)))
    assert [row["run_id"][0] for row in rows] == list("edcba")
    assert [row["metrics.loss"] for row in rows] == ["", "NaN", "0.2", "0.5", "0.9"]
    assert [row["params.lr"] for row in rows] == ["", "", "1e-2", "0.1", ""]


def test_ids_go_into_the_other_command(store: Path, tmp_path: Path) -> None:
    chosen = listed(store, "--best", "loss", "--top", "2", "--format", "ids").out
    words = ("--tracking-uri", uri(store), "--run", "-", "-o", "two.ipynb", "--json")
    done = command(*words, stdin=chosen, cwd=tmp_path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["runs"] == 2


# --- what a notebook keeps -----------------------------------------------------------------------


def test_the_same_command_makes_the_same_notebook(store: Path, tmp_path: Path) -> None:
    flags = ["--experiment", "exp", "--best", "loss", "--top", "3", "--where", "name != 'x'"]
    words = ["--tracking-uri", uri(store), *flags, "-o", str(tmp_path / "n.ipynb"), "--json"]
    first = command(*words, cwd=tmp_path)
    assert first.code == 0, first.err
    before = tree(tmp_path)
    again = json.loads(first.out)["command"]
    done = command(*shlex.split(again)[1:], cwd=tmp_path)
    assert done.code == 0, done.err
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("flags", "title", "name"),
    [
        (["--all"], "Observation: exp", "observation-exp"),
        (["--top", "2"], "Observation: exp, newest 2", "observation-exp-newest-2"),
        (
            ["--best", "loss", "--top", "2"],
            "Observation: exp, best 2 by loss",
            "observation-exp-best-2-by-loss",
        ),
        (
            ["--best", "loss:max"],
            "Observation: exp, best by loss",
            "observation-exp-best-by-loss",
        ),
        (
            ["--since", "7d", "--status", "failed", "--status", "RUNNING"],
            "Observation: exp, failed, running, since 7d",
            "observation-exp-failed-running-since-7d",
        ),
        (
            ["--where", "params.lr > 0.01", "--name", "sw*"],
            "Observation: exp, sw*, where params.lr > 0.01",
            "observation-exp-sw-where-params.lr-0.01",
        ),
        (["--parents-only"], "Observation: exp, top level", "observation-exp-top-level"),
        (["--run", "bbbb"], "Observation: exp, sweep lr=0.1", "observation-exp-sweep-lr-0.1"),
        (
            ["--run", "bbbb", "--run", "cccc"],
            "Observation: exp, 2 chosen runs",
            "observation-exp-2-chosen-runs",
        ),
        (["--all", "--title", "Mine"], "Mine", "mine"),
    ],
)
def test_the_title_and_the_file_say_how_the_runs_were_chosen(
    store: Path, tmp_path: Path, flags: list[str], title: str, name: str
) -> None:
    command = ["create", "--tracking-uri", uri(store), *flags, "--dry-run", "--json"]
    command += ["--experiment", "exp"]
    done = in_process(main, *command, cwd=tmp_path)
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert (record["title"], record["path"]) == (title, f"notebooks/{name}.ipynb")


def test_the_best_rank_by_the_metric_that_they_are_the_best_by(store: Path, tmp_path: Path) -> None:
    where = ["create", "--tracking-uri", uri(store), "--json", "-o", "n.ipynb", "--overwrite"]
    highest = ["--best", "f/1 x:max", "--top", "2"]
    for flags, metric, way in (
        (["--all"], "loss", None),
        (["--best", "loss", "--top", "2"], "loss", None),
        (["--best", "loss:max", "--top", "2"], "loss", "max"),
        (highest, "f/1 x", "max"),
        ([*highest, "--param", "direction=min"], "f/1 x", "min"),
        ([*highest, "--param", "metric=loss"], "loss", None),
    ):
        done = in_process(main, *where, *flags, cwd=tmp_path)
        assert done.code == 0, done.err
        notebook = nbformat.read(tmp_path / "n.ipynb", as_version=4)
        parameters = notebook.metadata["qualia_lab"]["parameters"]
        assert (parameters["metric"], parameters["direction"]) == (metric, way)


def test_a_notebook_of_very_many_runs_keeps_the_whole_query(migrated: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    runs = [
        Run(
            run_id=f"{i:032x}",
            name=f"run {i}",
            started=ago(2) + i,
            params={"n": str(i)},
            metrics={"loss": curve([1 / (i + 1)])},
        )
        for i in range(700)
    ]
    fill(path, runs, experiment_id=1, name="exp")
    words = ["--tracking-uri", uri(path), "--experiment", "exp", "--where", "params.n >= 100"]
    words += ["--best", "loss", "--top", "550", "--since", "7d", "--status", "finished"]
    done = command(*words, "--name", "run *", "-o", "many.ipynb", cwd=tmp_path)
    assert done.code == 0, done.err
    book = nbformat.read(tmp_path / "many.ipynb", as_version=4)
    wanted: dict[str, Any] = book.metadata.qualia_lab.selection.run_ids
    assert wanted["where"] == "params.n >= 100"
    assert (wanted["best"], wanted["top"], wanted["name"]) == (["loss", "min"], 550, "run *")
    assert (wanted["statuses"], wanted["matched"]) == (["FINISHED"], 550)
    loaded = load(uri(path), wanted)
    assert loaded.params["n"].astype(int).tolist() == list(range(699, 149, -1))
    assert loaded.coverage.warnings == ()
    fill(path, [Run(run_id="f" * 32, name="run x", started=ago(2))], experiment_id=3, name="more")
    assert load(uri(path), wanted).coverage.warnings == ()
    # One of them is worse now than the next in line: the best are others, as many, no change.
    changed = load(uri(path), {**wanted, "where": "params.n >= 300", "matched": 550})
    assert changed.coverage.warnings == ("400 runs match now; 550 did when this notebook was made",)


times = st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
    lambda one: one.replace(microsecond=one.microsecond // 1000 * 1000)
)
queries = st.builds(
    Query,
    experiment_ids=st.lists(st.integers(0, 99).map(str), max_size=3).map(tuple),
    filter=st.text(max_size=9),
    statuses=st.lists(st.sampled_from(["FINISHED", "FAILED"]), unique=True).map(tuple),
    since=st.none() | times,
    top=st.none() | st.integers(1, 9),
    where=st.text(max_size=9),
    name=st.text(max_size=9),
    top_level=st.booleans(),
    children=st.booleans(),
    best=st.none() | st.tuples(st.text(min_size=1, max_size=9), st.sampled_from(["min", "max"])),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries)
def test_a_query_goes_through_json_and_back(store: Path, query: Query) -> None:
    runs = ArtifactExplorer(uri(store)).load(Query(run_ids=("a" * 32,)))
    plain = json.loads(json.dumps(selecting.plain_query(query, runs)))
    back = selecting.query_of(plain)
    newest = runs.runs["started"].max()
    assert isinstance(newest, pd.Timestamp)
    assert back == Query(
        **{
            **{name: getattr(query, name) for name in Query.__slots__},
            "until": newest.to_pydatetime(),
        }
    )


def test_a_query_of_unknown_keys_is_refused() -> None:
    with pytest.raises(UsageError, match="a query has no wheer"):
        selecting.query_of({"wheer": "x"})


def test_a_metric_of_both_quotes_has_no_order() -> None:
    with pytest.raises(UsageError, match="both kinds of quotes"):
        selecting.for_store(Query(best=('`"', "max")))


def test_the_best_by_what_none_logged_is_not_found(store: Path) -> None:
    with pytest.raises(NotFoundError, match="no run logged the metric absent"):
        ArtifactExplorer(uri(store)).load(Query(best=("absent", "max")))


def test_flags_are_read_into_the_record() -> None:
    found = which("--since", "7d", "--status", "FAILED", "--best", "a:b:max", "--children")
    query = found.query(("1",))
    assert query.statuses == ("FAILED",)
    assert query.best == ("a:b", "max")
    assert query.children
    assert query.since is not None
    assert abs(query.since - (datetime.now(UTC) - timedelta(days=7))) < timedelta(minutes=1)
    assert found.queries == ["--since", "--status", "--best"]


def test_a_bound_between_two_milliseconds_lets_no_run_before_it_in(store: Path) -> None:
    since = datetime(2026, 11, 1, microsecond=1500, tzinfo=UTC)
    runs = ArtifactExplorer(uri(store)).load(Query(run_ids=("a" * 32,)))
    back = selecting.query_of(selecting.plain_query(Query(since=since), runs)).since
    assert back == datetime(2026, 11, 1, microsecond=2000, tzinfo=UTC)
