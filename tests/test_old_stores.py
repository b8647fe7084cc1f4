"""Stores that older versions of MLflow wrote (``data/README.md``): read as they are, not migrated.

MLflow itself opens a store of its own schema only; what needs it says so.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from commands import assert_refused, command, tree

from qualia_lab import ArtifactExplorer
from qualia_lab.errors import ServerError
from qualia_lab.model import Query

DATA = Path(__file__).parent / "data"
NAN, INF = float("nan"), float("inf")
STARTED = 1_600_000_000_000
WITH_DATASETS = "mlflow-3.5.1.db"


@pytest.fixture(params=["mlflow-2.0.1.db", WITH_DATASETS])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a store, alone in a folder."""
    folder = tmp_path / "store"
    folder.mkdir()
    return Path(shutil.copy(DATA / request.param, folder))


def uri(store: Path) -> str:
    return f"sqlite:///{store}"


def test_it_gives_what_was_logged_and_stays_as_it_is(store: Path) -> None:
    before = tree(store.parent)
    explorer = ArtifactExplorer(uri(store))
    experiment = explorer.experiment("old")
    whole = Query(experiment_ids=(experiment.experiment_id,))
    loaded = explorer.load(whole)

    assert loaded.coverage.warnings == (), "read without MLflow, which would not open it"
    assert (loaded.coverage.runs, loaded.coverage.of_runs) == (4, 4)
    assert explorer.count(Query(experiment_ids=(experiment.experiment_id,))) == 4
    assert [one.name for one in explorer.experiments()] == ["old", "Default"]
    runs = loaded.runs
    assert runs["name"].tolist() == ["run 3", "run 2", "run 1", "run 0"]
    assert runs["status"].tolist() == ["FAILED", *["FINISHED"] * 3]
    assert runs["experiment"].tolist() == ["old"] * 4
    assert runs["user"].tolist() == ["ann"] * 4
    assert runs["started"].tolist() == [
        pd.Timestamp(STARTED + i, unit="ms", tz="UTC") for i in (3, 2, 1, 0)
    ]
    assert runs["duration"].tolist() == [pd.Timedelta(minutes=1)] * 4
    parent = runs.index[3]
    assert runs["parent"].dropna().tolist() == [parent] * 3
    assert runs["parent"].isna().tolist() == [False, False, False, True]

    assert loaded.params["lr"].tolist() == ["0.3", "0.2", "0.1", "0.0"]
    assert loaded.params["it-s"].tolist() == ["it's 100%"] * 4
    assert loaded.tags["note"].tolist() == ["ü"] * 4
    np.testing.assert_array_equal(loaded.metrics["last"], [0.5, -INF, INF, NAN])
    np.testing.assert_array_equal(loaded.metrics["loss"], [0.75, 0.5, 0.25, 0.0])
    assert loaded.logged.all(axis=None)

    history = loaded.history("loss")
    assert history["step"].tolist() == [0, 1, 2, 3] * 4
    np.testing.assert_array_equal(
        history["value"],
        [value for last in (0.75, 0.5, 0.25, 0.0) for value in (1.0, NAN, INF, last)],
    )
    assert history["timestamp"].iloc[3] == pd.Timestamp(103, unit="ms", tz="UTC")
    assert len(loaded.history()) == 20

    if store.name == WITH_DATASETS:
        assert loaded.datasets["name"].tolist() == ["train"] * 4
        assert loaded.datasets["digest"].tolist() == [f"digest{i}" for i in (3, 2, 1, 0)]
        assert loaded.datasets["context"].dropna().tolist() == ["training"] * 3
    else:
        assert loaded.datasets.empty
        assert not loaded.has("datasets")
    assert tree(store.parent) == before


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (Query(order_by=("metrics.last DESC",)), "1320"),
        (Query(order_by=("metrics.last ASC",), top=2), "23"),
        (Query(statuses=("FAILED",)), "3"),
        (Query(top=2), "32"),
    ],
    ids=str,
)
def test_queries_that_need_no_mlflow_are_answered(store: Path, asked: Query, found: str) -> None:
    explorer = ArtifactExplorer(uri(store))
    assert "".join(run.name[-1] for run in explorer.runs(asked)) == found
    (newest,) = explorer.runs(Query(top=1))
    assert explorer.run_ids([newest.run_id[:8]]) == [newest.run_id]


@pytest.mark.parametrize(
    "asked", [Query(filter="metrics.loss > 0.1"), Query(order_by=("params.lr ASC",))], ids=str
)
def test_what_needs_mlflow_says_that_the_store_is_older(store: Path, asked: Query) -> None:
    before = tree(store.parent)
    with pytest.raises(ServerError, match="written by an older MLflow") as caught:
        ArtifactExplorer(uri(store)).load(asked)
    assert "mlflow db upgrade" in caught.value.hint
    assert "Back it up" in caught.value.hint
    assert tree(store.parent) == before


def test_a_notebook_of_it_is_written_and_executed(store: Path, tmp_path: Path) -> None:
    before = tree(store.parent)
    done = command(
        *("--tracking-uri", uri(store), "--experiment", "old", "--all"),
        *("--output", "book.ipynb", "--execute"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    book = nbformat.read(tmp_path / "book.ipynb", as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert not [one for one in outputs if one.output_type == "error"]
    assert "run 3" in str(outputs)
    assert tree(store.parent) == before, "neither migrated nor otherwise written"


def test_a_filter_of_the_command_is_refused_in_words(store: Path, tmp_path: Path) -> None:
    before = tree(store.parent)
    done = command(
        *("--tracking-uri", uri(store), "--experiment", "old", "--all"),
        *("--filter", "metrics.loss > 0.1", "--output", "book.ipynb"),
        cwd=tmp_path,
    )
    assert_refused(done, 4, "written by an older MLflow", "mlflow db upgrade")
    assert not (tmp_path / "book.ipynb").exists()
    assert tree(store.parent) == before
