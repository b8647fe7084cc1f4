"""What is read from a store: whatever reader a store has, these are its answers.

Stores are real databases with exactly the rows that a test wants; only public names are used.
"""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import HOSTILE
from pandas.testing import assert_frame_equal
from stores import LARGEST, T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer, RunSet, load, secrets
from qualia_lab.errors import NotFoundError, UsageError
from qualia_lab.manifest import FACTS
from qualia_lab.model import ArtifactList, Query, Selection, Source

NAN, INF = float("nan"), float("inf")
FIRST_STEP, LAST_STEP = -(2**63), 2**63 - 1
# One of the moments whose milliseconds are not what float arithmetic makes of them.
UNEVEN_MS = 2_198_820_975_351
# What search_experiments is called for, beside the runs themselves.
FEW = 3

Client = Callable[..., Any]


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that a test brings in is gone with it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setattr(secrets, "_known", set())


def at(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def uri(path: Path) -> str:
    return f"sqlite:///{path}"


def set_experiment(path: Path, experiment_id: int, column: str, value: object) -> None:
    with sqlite3.connect(path) as db:
        db.execute(
            f"UPDATE experiments SET {column} = ? WHERE experiment_id = ?", (value, experiment_id)
        )
    db.close()


@pytest.fixture(scope="module")
def make_store(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Client:
    def make(*runs: Run) -> Path:
        path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("store") / "mlflow.db"))
        if runs:
            fill(path, runs)
        return path

    return make


# --- experiments and queries ---------------------------------------------------------------------

A, B, C, D, E, GONE, OLD, LOST = (run_id(i) for i in range(8))


@pytest.fixture(scope="module")
def churn(make_store: Client) -> Path:
    """Five runs of one experiment and a deleted one; a second experiment; a deleted one; and one
    whose name is the id of another."""
    path: Path = make_store()
    metric = {"loss": curve([9.0, 0.1])}
    fill(
        path,
        [
            Run(run_id=A, name="a", metrics=metric, params={"lr": "0.1"}),
            Run(run_id=B, name="b", started=T0 + 1000, status="FAILED", params={"lr": "0.2"}),
            Run(run_id=C, name="c", started=T0 + 2000, status="RUNNING", ended=None),
            Run(
                run_id=D,
                name="d",
                started=T0 + 3000,
                status="KILLED",
                metrics={"loss": curve([0.3])},
                tags={"mlflow.parentRunId": A},
            ),
            Run(run_id=E, name="e", started=UNEVEN_MS, status="SCHEDULED"),
            Run(run_id=GONE, name="gone", deleted=True),
        ],
        name="churn",
    )
    fill(path, [Run(run_id=OLD, name="old", started=T0 + 10)], experiment_id=2, name="churn-old")
    fill(path, [Run(run_id=LOST, name="lost")], experiment_id=3, name="dropped")
    fill(path, [], experiment_id=4, name="2")
    set_experiment(path, 3, "lifecycle_stage", "deleted")
    set_experiment(path, 0, "last_update_time", T0 - 5)
    set_experiment(path, 2, "last_update_time", T0 + 5)
    return path


def names(explorer: ArtifactExplorer, query: Query) -> str:
    return "".join(run.name for run in explorer.runs(query))


def test_experiments_are_active_ones_newest_first_and_deleted_ones_on_request(churn: Path) -> None:
    explorer = ArtifactExplorer(uri(churn))
    assert [one.name for one in explorer.experiments()] == ["churn-old", "2", "churn", "Default"]
    every = explorer.experiments(deleted=True)
    assert [one.name for one in every] == ["churn-old", "2", "churn", "dropped", "Default"]
    assert [one.name for one in every if not one.active] == ["dropped"]
    assert every[0].updated == T0 + 5


def test_an_experiment_is_found_by_name_and_then_by_id(churn: Path) -> None:
    explorer = ArtifactExplorer(uri(churn))
    assert explorer.experiment("churn").experiment_id == "1"
    assert explorer.experiment("1").name == "churn"
    assert explorer.experiment("2").experiment_id == "4", "a name comes before an id"


@pytest.mark.parametrize("given", ["churn-odl", "dropped", "3", "", "it's %"])
def test_an_unknown_experiment_lists_the_known(churn: Path, given: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        ArtifactExplorer(uri(churn)).experiment(given)
    assert caught.value.exit_code == 6
    assert "dropped" not in caught.value.hint, "a deleted one can't be chosen"
    assert set(caught.value.hint.removeprefix("known: ").split(", ")) == {
        "churn",
        "churn-old",
        "2",
        "Default",
    }


def test_the_closest_experiments_are_listed_first(churn: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        ArtifactExplorer(uri(churn)).experiment("churn-odl")
    assert caught.value.hint == "known: churn-old, churn, 2, Default"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(experiment_ids=("1",)), "edcba"),
        (Query(experiment_ids=("2",)), "old"),
        (Query(experiment_ids=("4",)), ""),
        (Query(experiment_ids=("2", "1")), "edcbolda"),
        (Query(), "edcbolda"),
        (Query(experiment_ids=("1",), filter="metrics.loss < 0.2"), "a"),
        (
            Query(experiment_ids=("1",), filter="params.lr = '0.2' and attributes.status != 'X'"),
            "b",
        ),
        (Query(experiment_ids=("1",), statuses=("FAILED",)), "b"),
        (Query(experiment_ids=("1",), statuses=("KILLED", "RUNNING", "SCHEDULED")), "edc"),
        (Query(experiment_ids=("1",), since=at(T0 + 2000)), "edc"),
        (Query(experiment_ids=("1",), since=at(T0 + 2000) + timedelta(microseconds=1)), "ed"),
        (Query(experiment_ids=("1",), until=at(T0 + 2000)), "cba"),
        (Query(experiment_ids=("1",), until=at(T0 + 2000) - timedelta(microseconds=1)), "ba"),
        (Query(experiment_ids=("1",), since=at(T0 + 1000), until=at(T0 + 1000)), "b"),
        (Query(since=at(UNEVEN_MS), until=at(UNEVEN_MS)), "e"),
        (Query(since=at(T0 + 2000).astimezone(timezone(timedelta(hours=-8))), top=3), "edc"),
        (Query(since=datetime(1960, 1, 1, tzinfo=UTC)), "edcbolda"),
        (Query(until=datetime(1960, 1, 1, tzinfo=UTC)), ""),
        (Query(experiment_ids=("1",), order_by=("attributes.start_time ASC",)), "abcde"),
        (Query(experiment_ids=("1",), order_by=("metrics.loss DESC",), top=2), "da"),
        (Query(experiment_ids=("1",), order_by=("params.lr DESC", "start_time ASC")), "bacde"),
        (Query(experiment_ids=("1",), top=2), "ed"),
        (Query(experiment_ids=("1",), top=99), "edcba"),
        (Query(experiment_ids=("1",), statuses=("FAILED", "KILLED"), top=1), "d"),
        (Query(run_ids=(A, C, GONE, LOST, OLD)), "colda"),
        (Query(experiment_ids=("1",), run_ids=(A, OLD)), "a"),
        (Query(run_ids=(A, B, C), filter="params.lr = '0.2'"), "b"),
        (Query(run_ids=()), ""),
        (Query(experiment_ids=("404",)), ""),
    ],
    ids=str,
)
def test_runs_by_query(churn: Path, query: Query, found: str) -> None:
    explorer = ArtifactExplorer(uri(churn))
    assert names(explorer, query) == found
    loaded = explorer.load(query)
    if query.run_ids is None:
        assert "".join(loaded.runs["name"]) == found
        assert (loaded.coverage.runs, loaded.coverage.missing) == (len(loaded), ())
    else:
        assert sorted(loaded.runs["name"]) == sorted(run.name for run in explorer.runs(query))


@pytest.mark.parametrize(
    "query",
    [
        Query(filter="nonsense"),
        Query(filter="metrics.loss > 1 OR metrics.loss < 0"),
        Query(filter="params.lr = 'it's'"),
        Query(order_by=("metrics.loss SIDEWAYS",)),
        Query(order_by=("'; DROP TABLE runs",)),
        Query(statuses=("DONE",)),
        Query(statuses=("FAILED' OR '1' = '1",)),
    ],
    ids=str,
)
def test_a_query_that_makes_no_sense_is_a_usage_error(churn: Path, query: Query) -> None:
    explorer = ArtifactExplorer(uri(churn))
    for call in (explorer.runs, explorer.load):
        with pytest.raises(UsageError) as caught:
            call(query)
        assert caught.value.exit_code == 2


def test_an_unknown_status_lists_the_known_ones_closest_first(churn: Path) -> None:
    with pytest.raises(UsageError, match="FINISH") as caught:
        ArtifactExplorer(uri(churn)).runs(Query(statuses=("FINISH",)))
    assert caught.value.hint == "known: FINISHED, FAILED, KILLED, RUNNING, SCHEDULED"


def test_a_run_is_listed_with_what_a_person_chooses_by(churn: Path) -> None:
    explorer = ArtifactExplorer(uri(churn))
    found = {run.name: run for run in explorer.runs(Query(experiment_ids=("1",)))}
    assert found["d"].run_id == D
    assert (found["d"].status, found["d"].experiment_id) == ("KILLED", "1")
    assert (found["d"].started, found["d"].ended) == (T0 + 3000, T0 + 61_000)
    assert (found["d"].parent, found["d"].metrics) == (A, {"loss": 0.3})
    assert (found["c"].ended, found["c"].parent, found["c"].metrics) == (None, None, {})


def test_count_is_of_active_runs(churn: Path) -> None:
    explorer = ArtifactExplorer(uri(churn))
    some = (("1",), ("2",), ("1", "2"), ("4",))
    assert [explorer.count(Query(experiment_ids=ids)) for ids in some] == [5, 1, 6, 0]
    assert explorer.counts() == {"1": 5, "2": 1}
    assert explorer.count(Query(experiment_ids=("1",), statuses=("KILLED",), top=1)) == 1


# --- many runs -----------------------------------------------------------------------------------

MANY = 2500


@pytest.fixture(scope="module")
def many(make_store: Client) -> Path:
    """More runs than two pages hold, all of one moment, so that only their ids order them."""
    return Path(
        make_store(
            *(
                Run(run_id=run_id(i), name=str(i), metrics={"m": [(0, T0, float(i))]})
                for i in range(MANY)
            )
        )
    )


def test_all_pages_are_read(many: Path) -> None:
    explorer = ArtifactExplorer(uri(many))
    expected = {run_id(i) for i in range(MANY)}
    listed = [run.run_id for run in explorer.runs(Query(experiment_ids=("1",)))]
    assert (len(listed), set(listed)) == (MANY, expected)
    loaded = explorer.load(Query(experiment_ids=("1",)))
    assert (len(loaded.runs), set(loaded.runs.index)) == (MANY, expected)
    assert sorted(loaded.metrics["m"]) == [float(i) for i in range(MANY)]
    assert str(loaded.coverage) == "2,500 of 2,500 runs loaded"


def test_top_may_lie_beyond_a_page(many: Path) -> None:
    query = Query(experiment_ids=("1",), order_by=("metrics.m DESC",), top=1200)
    listed = [run.name for run in ArtifactExplorer(uri(many)).runs(query)]
    assert listed == [str(i) for i in range(MANY - 1, MANY - 1201, -1)]


def test_count_counts_all_pages(many: Path) -> None:
    assert ArtifactExplorer(uri(many)).count(Query(experiment_ids=("1",))) == MANY


def test_ids_are_loaded_in_batches_in_the_order_given(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = spy_on_client(monkeypatch)
    wanted = [run_id(i) for i in range(2000, 1750, -1)]
    loaded = load(uri(many), wanted)
    assert list(loaded.runs.index) == wanted
    assert calls.count("search_runs") <= math.ceil(250 / 100) + FEW
    assert calls.count("get_run") == 0, "artifact_uri and all else come with the search"
    loaded.artifacts(wanted[0])
    assert calls.count("get_run") == 0


def test_order_and_top_hold_over_more_ids_than_a_batch(many: Path) -> None:
    wanted = tuple(run_id(i) for i in range(300))
    query = Query(run_ids=wanted, order_by=("metrics.m DESC",), top=3)
    explorer = ArtifactExplorer(uri(many))
    assert [run.name for run in explorer.runs(query)] == ["299", "298", "297"]
    ascending = explorer.runs(replace(query, order_by=("metrics.m ASC",), top=None))
    assert [run.name for run in ascending] == [str(i) for i in range(300)]


def spy_on_client(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the calls that are made to MLflow's client."""
    from mlflow import MlflowClient

    calls: list[str] = []

    def spied(name: str) -> Callable[..., Any]:
        original = getattr(MlflowClient, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return original(*args, **kwargs)

        return call

    for name in ("search_runs", "get_run", "search_experiments", "get_metric_history"):
        monkeypatch.setattr(MlflowClient, name, spied(name))
    return calls


# --- loading by id -------------------------------------------------------------------------------


def test_loading_keeps_the_order_takes_each_once_and_names_what_is_gone(churn: Path) -> None:
    nowhere = "f" * 32
    given = [C, nowhere, A, GONE, C, LOST, OLD, nowhere, "it's", "%"]
    loaded = load(uri(churn), given)
    assert list(loaded.runs.index) == [C, A, OLD]
    assert loaded.coverage.missing == (nowhere, GONE, LOST, "it's", "%")
    assert (loaded.coverage.runs, loaded.coverage.of_runs) == (3, 8)
    assert str(loaded.coverage).splitlines() == [
        "3 of 8 runs loaded",
        f"gone from the store: {nowhere}, {GONE}, {LOST}, it's, %",
    ]
    assert "3 of 8 runs" in repr(loaded)
    by_selection = ArtifactExplorer(uri(churn)).load(
        Selection(tracking_uri=uri(churn), run_ids=tuple(given))
    )
    assert_frame_equal(by_selection.runs, loaded.runs)
    assert by_selection.coverage == loaded.coverage


@pytest.mark.parametrize("given", [[], ["f" * 32], [GONE, LOST]])
def test_loading_nothing_is_an_error(churn: Path, given: list[str]) -> None:
    with pytest.raises(NotFoundError, match="none of the") as caught:
        load(uri(churn), given)
    assert caught.value.exit_code == 6


def test_a_prefix_stands_for_its_run(make_store: Client) -> None:
    one, other, third = "abcd" + "0" * 28, "abce" + "0" * 28, "1234" + "5" * 28
    path = make_store(Run(run_id=one), Run(run_id=other), Run(run_id=third))
    explorer = ArtifactExplorer(uri(path))
    assert explorer.run_ids(["1234", one, "abce", third, "12345"]) == [third, one, other]
    assert explorer.run_ids([]) == []
    assert explorer.run_ids(["1234"], ["1"]) == [third]
    for given in (["1234"], [third]):
        with pytest.raises(NotFoundError):
            explorer.run_ids(given, ["0"])


def test_a_prefix_of_several_runs_is_an_error_that_lists_them(make_store: Client) -> None:
    one, other = "abcd1" + "0" * 27, "abcd2" + "0" * 27
    explorer = ArtifactExplorer(uri(make_store(Run(run_id=one), Run(run_id=other))))
    with pytest.raises(UsageError, match="abcd fits 2 runs") as caught:
        explorer.run_ids(["abcd"])
    assert one in caught.value.hint
    assert other in caught.value.hint
    assert explorer.run_ids(["abcd1"]) == [one]


@pytest.mark.parametrize("given", ["abc", "", "%%%%", "abcd%", "____", "ab'--", 'ab"cd', "ab cd"])
def test_what_is_no_prefix_is_refused(churn: Path, given: str) -> None:
    with pytest.raises(UsageError, match="is no run id"):
        ArtifactExplorer(uri(churn)).run_ids([given])


@pytest.mark.parametrize("given", ["ffff", "f" * 32, GONE, GONE[:8], "é" * 4])
def test_a_prefix_of_no_run_is_not_found(churn: Path, given: str) -> None:
    with pytest.raises(NotFoundError, match=f"no run {given}"):
        ArtifactExplorer(uri(churn)).run_ids([given])


# --- the frames ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(make_store: Client) -> RunSet:
    """Two runs with all that is odd about values, keys and times, and one that logged nothing."""
    unsorted = [
        (5, T0, 1.0),
        (LAST_STEP, T0, 3.0),
        (FIRST_STEP, T0 + 5, 2.0),
        (5, T0 - 7, 4.0),
        (5, 2**62, 9.0),
        (5, T0, -3.0),
        (-1, T0, 0.0),
    ]
    path = make_store(
        Run(
            run_id=A,
            name="a",
            params={"lr": "0.1", "LR": "0.2", "lr\u200b": "0.3", "ʟr": "0.4", "long": "x" * 6000},
            metrics={
                "unsorted": unsorted,
                "up": curve([1.0, INF]),
                "down": curve([-INF]),
                "nan": curve([1.0, NAN]),
                "largest": curve([LARGEST, 5e-324]),
                "Up": curve([7.0]),
            },
            tags={
                "team": "vision",
                "mlflow.source.name": "train.py",
                "mlflow.source.git.commit": "c",
            },
        ),
        Run(run_id=B, name="b", started=0, ended=2**62, metrics={"nan": curve([2.0])}, user=""),
        Run(run_id=C, name="", started=0, ended=None, tags={"mlflow.parentRunId": A}),
    )
    return load(uri(path), [B, A, C])


def test_the_runs_frame_has_the_documented_columns_and_types(odd: RunSet) -> None:
    assert odd.runs.index.name == "run_id"
    assert odd.runs.index.dtype == "str"
    assert {name: str(kind) for name, kind in odd.runs.dtypes.items()} == {
        "name": "str",
        "experiment": "str",
        "experiment_id": "str",
        "status": "str",
        "started": "datetime64[ms, UTC]",
        "ended": "datetime64[ms, UTC]",
        "duration": "timedelta64[ms]",
        "user": "str",
        "parent": "str",
        "source": "str",
        "commit": "str",
        "dataset": "str",
    }
    expected = {
        "name": "a",
        "experiment": "exp",
        "experiment_id": "1",
        "status": "FINISHED",
        "started": pd.Timestamp(T0, unit="ms", tz="UTC"),
        "ended": pd.Timestamp(T0 + 61_000, unit="ms", tz="UTC"),
        "duration": pd.Timedelta(seconds=61),
        "user": "tester",
        "source": "train.py",
        "commit": "c",
    }
    row = odd.runs.loc[A]
    assert {name: row[name] for name in expected} == expected
    assert row[["parent", "dataset"]].isna().all()
    assert odd.runs.loc[C, "parent"] == A
    assert odd.runs.loc[C, ["ended", "duration", "source", "commit"]].isna().all()
    assert pd.isna(odd.runs.loc[B, "user"])


def test_the_epoch_is_a_time_and_what_is_past_the_year_9999_is_none(odd: RunSet) -> None:
    assert odd.runs.loc[B, "started"] == pd.Timestamp(0, tz="UTC")
    assert pd.isna(odd.runs.loc[B, "ended"])
    assert pd.isna(odd.runs.loc[B, "duration"])
    assert odd.coverage.warnings == ("1 run has a start or end time that is no date",)
    assert odd.newest == pd.Timestamp(T0 + 61_000, unit="ms", tz="UTC")


def test_params_are_strings_as_logged_each_key_a_column_of_its_own(odd: RunSet) -> None:
    assert list(odd.params.index) == [B, A, C]
    assert list(odd.params.columns) == ["LR", "long", "lr", "lr\u200b", "ʟr"]
    assert set(odd.params.dtypes) == {pd.StringDtype(na_value=NAN)}
    assert odd.params.loc[A].tolist() == ["0.2", "x" * 6000, "0.1", "0.3", "0.4"]
    assert odd.params.loc[[B, C]].isna().all(axis=None)


def test_tags_have_a_column_each_mlflows_own_included(odd: RunSet) -> None:
    assert list(odd.tags.columns) == [
        "mlflow.parentRunId",
        "mlflow.runName",
        "mlflow.source.git.commit",
        "mlflow.source.name",
        "team",
    ]
    assert set(odd.tags.dtypes) == {pd.StringDtype(na_value=NAN)}
    assert odd.tags["mlflow.runName"].tolist() == ["b", "a", ""]
    assert odd.tags["team"].tolist()[1] == "vision"


def test_a_metric_logged_as_nan_is_told_from_one_that_was_not_logged(odd: RunSet) -> None:
    assert odd.metrics["nan"].isna().tolist() == [False, True, True]
    assert odd.logged["nan"].tolist() == [True, True, False]
    assert odd.metrics.loc[B, "nan"] == 2.0
    assert list(odd.logged.index) == [B, A, C]
    assert list(odd.logged.columns) == odd.metric_names
    assert set(map(str, odd.logged.dtypes)) == {"bool"}
    assert odd.logged.sum(axis=1).tolist() == [1, 6, 0]


def test_infinities_come_back_as_infinities(odd: RunSet) -> None:
    last = odd.metrics.loc[A]
    assert (last["up"], last["down"]) == (INF, -INF)
    assert last["largest"] == 5e-324, "what is small stays as it is"
    assert odd.history("up")["value"].tolist() == [1.0, INF]
    assert odd.history("down")["value"].tolist() == [-INF]


def test_the_list_of_runs_shows_infinities_too(make_store: Client) -> None:
    path = make_store(Run(run_id=A, metrics={"m": curve([INF]), "n": curve([-INF])}))
    (listed,) = ArtifactExplorer(uri(path)).runs(Query())
    assert listed.metrics == {"m": INF, "n": -INF}


def test_metrics_is_a_row_a_run_and_a_column_a_metric(odd: RunSet) -> None:
    assert odd.metric_names == ["Up", "down", "largest", "nan", "unsorted", "up"]
    assert list(odd.metrics.columns) == odd.metric_names
    assert odd.metrics.columns.name is None
    assert list(odd.metrics.index) == [B, A, C]
    assert set(map(str, odd.metrics.dtypes)) == {"float64"}
    assert odd.metrics.loc[B].dropna().to_dict() == {"nan": 2.0}
    assert odd.metrics.loc[C].isna().all()


def test_history_is_sorted_by_step_then_time_whatever_the_order_of_logging(odd: RunSet) -> None:
    points = odd.history("unsorted")
    assert {name: str(kind) for name, kind in points.dtypes.items()} == {
        "run_id": "str",
        "metric": "str",
        "step": "int64",
        "timestamp": "datetime64[ms, UTC]",
        "value": "float64",
    }
    assert points["step"].tolist() == [FIRST_STEP, -1, 5, 5, 5, 5, LAST_STEP]
    # At step 5: by time, with what is past all dates last; at one time, the largest value last.
    assert points["value"].tolist() == [2.0, 0.0, 4.0, -3.0, 1.0, 9.0, 3.0]
    shown = [
        None if pd.isna(time) else int(time.timestamp() * 1000) for time in points["timestamp"]
    ]
    assert shown == [T0 + 5, T0, T0 - 7, T0, T0, None, T0]
    assert points.index.tolist() == list(range(7))


def test_the_last_point_of_a_history_is_the_last_value(odd: RunSet) -> None:
    points = odd.history()
    last = points.groupby(["run_id", "metric"])["value"].last()
    logged = [(run, name) for run in odd.runs.index for name in odd.metric_names]
    logged = [pair for pair in logged if odd.logged.loc[pair] and pair != (A, "nan")]
    assert [odd.metrics.loc[pair] for pair in logged] == [last[pair] for pair in logged]
    assert len(logged) == 6


def test_history_is_in_the_order_of_the_runs_and_then_of_the_metrics(odd: RunSet) -> None:
    points = odd.history()
    order = points[["run_id", "metric"]].drop_duplicates().itertuples(index=False)
    assert [tuple(pair) for pair in order] == [(B, "nan")] + [(A, m) for m in odd.metric_names]
    assert len(points) == 16
    assert_frame_equal(odd.history(["up", "nan"], [A]), odd.history({"nan", "up"}, run_ids=(A,)))  # type: ignore[arg-type]
    assert odd.history(["up", "nan"], [A])["metric"].tolist() == ["nan", "nan", "up", "up"]


@pytest.mark.parametrize(
    ("metrics", "run_ids"), [("absent", None), ([], None), (None, []), (None, [C]), ("up", [B])]
)
def test_no_history_is_an_empty_frame_of_the_same_kind(
    odd: RunSet, metrics: list[str] | str | None, run_ids: list[str] | None
) -> None:
    empty = odd.history(metrics, run_ids)
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == odd.history("nan").dtypes.to_dict()


class CountingSource:
    """A source that notes what it is asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.asked: list[tuple[Any, ...]] = []

    def history(self, *about: Any) -> pd.DataFrame:
        self.asked.append(about)
        return self._source.history(*about)

    def artifacts(self, run_id: str) -> ArtifactList:
        self.asked.append((run_id,))
        return self._source.artifacts(run_id)

    def read_artifact(self, run_id: str, path: str, most_bytes: int) -> bytes:
        return self._source.read_artifact(run_id, path, most_bytes)


def test_a_history_is_asked_for_once_and_only_what_is_lacking(make_store: Client) -> None:
    both = {"m": curve([1.0, 2.0]), "n": curve([3.0])}
    path = make_store(Run(run_id=A, metrics=both), Run(run_id=B, metrics=both), Run(run_id=C))
    runs = load(uri(path), [A, B, C])
    source = CountingSource(runs.source)
    runs = replace(runs, source=source)
    first = runs.history("m")
    assert source.asked == [([A, B], ["m"])], "in bulk: one call, and none for a run without it"
    assert_frame_equal(runs.history("m"), first)
    assert_frame_equal(runs.history("m", [A]), first[first["run_id"] == A])
    assert runs.history("absent").empty
    assert len(source.asked) == 1
    assert runs.history()["value"].tolist() == [1.0, 2.0, 3.0] * 2
    assert source.asked[1:] == [([A, B], ["n"])]
    given = runs.history()
    given["value"] = 0.0
    assert runs.history("m")["value"].tolist() == [1.0, 2.0] * 2, "what is kept is not handed out"


def test_a_history_of_some_runs_and_then_of_others_has_each_point_once(make_store: Client) -> None:
    both = {"m": curve([1.0, 2.0]), "n": curve([3.0])}
    path = make_store(*(Run(run_id=run, metrics=both) for run in (A, B, C)))
    runs = load(uri(path), [A, B, C])
    runs.history("m", [B])
    runs.history("n", [A])
    assert runs.history(["m", "n"], [A, B])["value"].tolist() == [1.0, 2.0, 3.0] * 2
    assert_frame_equal(runs.history(), load(uri(path), [A, B, C]).history())


def test_artifacts_are_listed_once(make_store: Client) -> None:
    runs = load(uri(make_store(Run(run_id=A))), [A])
    source = CountingSource(runs.source)
    runs = replace(runs, source=source)
    assert runs.artifacts(A) == runs.artifacts(A)
    assert source.asked == [(A,)]


def test_runs_that_logged_nothing_have_empty_frames_of_the_same_kind(
    make_store: Client, odd: RunSet
) -> None:
    path = make_store(Run(run_id=A), Run(run_id=B))
    bare = load(uri(path), [A, B])
    assert bare.params.shape == bare.metrics.shape == (2, 0)
    assert list(bare.params.index) == list(bare.metrics.index) == [A, B]
    assert bare.metric_names == []
    assert bare.logged.shape == (2, 0)
    assert len(bare.datasets) == 0
    assert bare.datasets.dtypes.to_dict() == odd.datasets.dtypes.to_dict()
    assert bare.runs.dtypes.to_dict() == odd.runs.dtypes.to_dict()
    assert bare.history().dtypes.to_dict() == odd.history("nan").dtypes.to_dict()
    assert facts_of(bare) == {"runs", "two_runs"}


def facts_of(runs: RunSet) -> set[str]:
    return {fact for fact in FACTS if runs.has(fact)}


def test_no_runs_at_all_have_frames_of_the_same_kind(churn: Path, odd: RunSet) -> None:
    none = ArtifactExplorer(uri(churn)).load(Query(experiment_ids=("4",)))
    assert len(none) == 0
    assert none.runs.dtypes.to_dict() == odd.runs.dtypes.to_dict()
    assert (none.newest, facts_of(none), none.metric_names) == (None, set(), [])
    assert str(none.coverage) == "0 of 0 runs loaded"
    assert len(none.history()) == 0
    assert none.metrics.shape == (0, 0)


def test_facts_are_those_of_the_data(odd: RunSet) -> None:
    assert facts_of(odd) == {"runs", "two_runs", "params", "metrics", "nested"}


def test_hostile_text_comes_back_as_it_was_logged(make_store: Client) -> None:
    keys = [f"{number} {text}"[:250] for number, text in enumerate(HOSTILE)]
    path = make_store(
        Run(
            run_id=A,
            name=HOSTILE[0] * 30,
            user=HOSTILE[5],
            params=dict(zip(keys, HOSTILE, strict=True)),
            tags=dict(zip(keys, HOSTILE, strict=True)),
            metrics={key: curve([float(number)]) for number, key in enumerate(keys)},
        )
    )
    set_experiment(path, 1, "name", HOSTILE[1])
    runs = load(uri(path), [A])
    assert runs.runs.loc[A, ["name", "user", "experiment"]].tolist() == [
        HOSTILE[0] * 30,
        HOSTILE[5],
        HOSTILE[1],
    ]
    assert [runs.params.loc[A, key] for key in keys] == list(HOSTILE)
    assert [runs.tags.loc[A, key] for key in keys] == list(HOSTILE)
    assert [runs.metrics.loc[A, key] for key in keys] == [float(i) for i in range(len(keys))]
    assert len(runs.history()) == len(keys)
    (listed,) = ArtifactExplorer(uri(path)).runs(Query())
    assert listed.name == HOSTILE[0] * 30


# --- the demo runs, and a server -----------------------------------------------------------------


def test_the_demo_runs_are_read_whole(demo_store: Path) -> None:
    explorer = ArtifactExplorer(uri(demo_store))
    listed = explorer.runs(
        Query(experiment_ids=(explorer.experiment("qualia-demo").experiment_id,))
    )
    runs = load(uri(demo_store), [run.run_id for run in listed])
    assert len(runs) == len(listed) >= 5
    assert {"FINISHED", "FAILED", "RUNNING"} <= set(runs.runs["status"])
    facts = {"params", "metrics", "datasets", "repeats", "varied", "nested", "system_metrics"}
    facts |= {"two_samples"}  # the tables that they logged
    assert facts_of(runs) == {"runs", "two_runs", *facts}
    assert set(runs.runs["parent"].dropna()) <= set(runs.runs.index)
    assert runs.metrics["val_loss"].notna().any()
    ended = [run.run_id for run in listed if run.ended]
    assert runs.runs.loc[ended, "duration"].gt(pd.Timedelta(0)).all()
    assert runs.runs["dataset"].notna().any()


def log_odd_runs(tracking_uri: str, experiment: str) -> list[str]:
    """Two runs, logged through MLflow as anyone would."""
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    client = MlflowClient(tracking_uri=tracking_uri)
    experiment_id = client.create_experiment(experiment)
    ids = []
    for number, name in enumerate(("first", "quote ' \" \u202e ⏎")):
        run = client.create_run(experiment_id, start_time=T0 + number, run_name=name)
        ids.append(run.info.run_id)
    points = [
        *(Metric("loss", value, T0 + step, step) for step, value in enumerate([3.0, 2.0, NAN])),
        *(Metric("edge", value, T0, step) for step, value in ((9, INF), (-9, -INF), (9, 1.0))),
        Metric("steps", 1.0, T0, FIRST_STEP),
        Metric("steps", 2.0, T0, LAST_STEP),
    ]
    params = [Param("lr", "0.1"), Param("Lr", "1e999"), Param("long", "x" * 6000)]
    tags = [RunTag("mlflow.parentRunId", ids[1]), RunTag("team", "two\nlines")]
    client.log_batch(ids[0], metrics=points, params=params, tags=tags)
    client.log_batch(ids[1], metrics=[Metric("loss", 1.0, 0, 0)])
    inputs = [
        DatasetInput(
            Dataset(name, digest, "code", "{}"), [InputTag("mlflow.data.context", context)]
        )
        for name, digest, context in (("digits", "b2", "validation"), ("digits", "a1", "training"))
    ]
    client.log_inputs(
        ids[0], datasets=[*inputs, DatasetInput(Dataset("plain", "c3", "code", "{}"))]
    )
    client.set_terminated(ids[0], "FAILED", end_time=T0 + 1500)
    return ids


def check_odd_runs(runs: RunSet, ids: list[str]) -> None:
    """Against what ``log_odd_runs`` logged."""
    first, second = ids
    assert list(runs.runs.index) == [first, second]
    assert runs.runs["name"].tolist() == ["first", "quote ' \" \u202e ⏎"]
    assert runs.runs["status"].tolist() == ["FAILED", "RUNNING"]
    assert runs.runs.loc[first, "duration"] == pd.Timedelta(milliseconds=1500)
    assert runs.runs.loc[first, "parent"] == second
    assert runs.runs.loc[first, "dataset"] == "digits, digits, plain"
    assert runs.params.loc[first].to_dict() == {"Lr": "1e999", "long": "x" * 6000, "lr": "0.1"}
    assert runs.tags.loc[first, "team"] == "two\nlines"
    assert runs.metrics.loc[first, ["edge", "steps"]].tolist() == [INF, 2.0]
    assert math.isnan(runs.metrics.loc[first, "loss"])
    assert runs.logged.loc[second].to_dict() == {"edge": False, "loss": True, "steps": False}
    points = runs.history()
    by_metric = {name: list(group["value"]) for name, group in points.groupby("metric")}
    assert by_metric["edge"] == [-INF, 1.0, INF]
    assert by_metric["loss"][:2] + by_metric["loss"][3:] == [3.0, 2.0, 1.0]
    assert points[points["metric"] == "steps"]["step"].tolist() == [FIRST_STEP, LAST_STEP]
    assert runs.datasets.fillna("-").to_numpy().tolist() == [
        [first, "digits", "a1", "training", "code", "{}"],
        [first, "digits", "b2", "validation", "code", "{}"],
        [first, "plain", "c3", "-", "code", "{}"],
    ]
    assert {str(kind) for kind in runs.datasets.dtypes} == {"str"}
    assert facts_of(runs) == {"runs", "two_runs", "params", "metrics", "datasets", "nested"}


@pytest.mark.xdist_group("server")
def test_a_server_and_a_database_give_the_same_frames(server: str, empty_store: Path) -> None:
    answers = []
    for address in (server, uri(empty_store)):
        ids = log_odd_runs(address, "same frames")
        runs = load(address, ids)
        check_odd_runs(runs, ids)
        answers.append((dict(zip(ids, "12", strict=True)), runs))
    for name in ("runs", "params", "metrics", "logged", "tags", "datasets", "history"):
        here, there = (plain(getattr(runs, name), ids) for ids, runs in answers)
        assert_frame_equal(here, there)


def plain(given: pd.DataFrame | Callable[[], pd.DataFrame], ids: Mapping[str, str]) -> pd.DataFrame:
    """A frame without what two stores can't share: ids, and tags that name the store."""
    frame = given() if callable(given) else given
    frame = frame.rename(index=dict(ids))
    for column in frame.columns[frame.dtypes == "str"]:
        frame[column] = frame[column].replace(dict(ids))
    return frame.drop(columns="experiment_id", errors="ignore")


@pytest.mark.xdist_group("server")
def test_a_server_answers_queries_as_a_database_does(server: str) -> None:
    ids = log_odd_runs(server, "queries over http")
    explorer = ArtifactExplorer(server)
    experiment = explorer.experiment("queries over http")
    within = Query(experiment_ids=(experiment.experiment_id,))
    assert [run.run_id for run in explorer.runs(within)] == ids[::-1]
    assert [run.run_id for run in explorer.runs(replace(within, statuses=("FAILED",)))] == ids[:1]
    both = replace(within, statuses=("FAILED", "RUNNING"), since=at(T0), until=at(T0))
    assert [run.run_id for run in explorer.runs(both)] == ids[:1]
    assert explorer.count(Query(experiment_ids=(experiment.experiment_id,))) == 2
    assert explorer.run_ids([ids[1][:12], ids[0]]) == ids[::-1]
    with pytest.raises(UsageError):
        explorer.runs(Query(filter="nonsense"))
    with pytest.raises(NotFoundError, match="none of the 1 runs"):
        load(server, ["f" * 32])
