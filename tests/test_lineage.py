"""Data, code, environments and models of runs, held against what was written by hand."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import HOSTILE
from stores import T0, Run, fill, run_id

from qualia_lab import ArtifactExplorer
from qualia_lab.analysis.lineage import (
    code_versions,
    dataset_warning,
    datasets,
    different_data,
    models,
)
from qualia_lab.analysis.packages import environments
from qualia_lab.analysis.show import Note
from qualia_lab.errors import ServerError
from qualia_lab.model import ArtifactList, Query, RunSet

COMMIT, BRANCH = "mlflow.source.git.commit", "mlflow.source.git.branch"
DIRTY, DIFF = "mlflow.source.git.dirty", "mlflow.source.git.diff"
REPO, SOURCE = "mlflow.source.git.repoURL", "mlflow.source.name"

# Name, digest, context: one data set of a run.
Data = tuple[str, str, str]


def load(store: Path, tags: Sequence[dict[str, str]]) -> RunSet:
    """A run for each set of tags, called ``r0``, ``r1``, ..."""
    runs = [
        Run(run_id=run_id(number), name=f"r{number}", tags=mine) for number, mine in enumerate(tags)
    ]
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def using(store: Path, data: Sequence[Sequence[Data]]) -> RunSet:
    """A run for each list of data sets."""
    runs = load(store, [{} for _ in data])
    rows = [
        (run_id(number), name, digest, context or None, "local", "{}")
        for number, mine in enumerate(data)
        for name, digest, context in mine
    ]
    return replace(runs, datasets=pd.DataFrame(rows, columns=list(runs.datasets.columns)))


def table(shown: object) -> pd.DataFrame:
    assert isinstance(shown, pd.DataFrame), shown
    return shown


# --- data ----------------------------------------------------------------------------------------

TRAIN: Data = ("mnist", "aaaa", "training")
NEW: Data = ("mnist", "bbbb", "training")
TEST: Data = ("mnist", "cccc", "test")
OTHER: Data = ("cifar", "dddd", "training")


def test_data_sets_with_who_used_them(empty_store: Path) -> None:
    runs = using(empty_store, [[TRAIN, TEST], *([TRAIN],) * 4, [NEW, ("mnist", "bbbb", "eval")]])
    found = table(datasets(runs))
    assert list(found.index) == ["mnist"] * 3
    assert found["digest"].tolist() == ["aaaa", "cccc", "bbbb"]
    assert found["runs"].tolist() == [5, 1, 1]
    assert found["which"].tolist() == ["r0, r1, r2, 2 more", "r0", "r5"]
    assert found["context"].tolist() == ["training", "test", "training, eval"]
    assert found.columns.name == "3 data sets"
    assert "None of these runs logged a data set" in repr(datasets(runs.only([])))


@pytest.mark.parametrize(
    "data",
    [
        [[TRAIN], [TRAIN]],
        [[TRAIN, TEST], [TRAIN]],
        [[TRAIN], [], [TRAIN]],
        [[], []],
        [[TRAIN, OTHER]],
        # Two parts of one data set in every run, whatever their order.
        [[TRAIN, NEW], [NEW, TRAIN]],
        # The same data under another name.
        [[TRAIN], [("digits", "aaaa", "training")]],
        [[TRAIN], [TRAIN, OTHER], [OTHER]],
    ],
)
def test_the_same_data_give_no_warning(data: list[list[Data]], empty_store: Path) -> None:
    runs = using(empty_store, data)
    assert different_data(runs) is None
    assert dataset_warning(runs) is None


def test_another_version_of_the_data_gives_a_warning(empty_store: Path) -> None:
    found = different_data(using(empty_store, [[TRAIN], [TRAIN, TEST], [NEW, TEST], []]))
    assert found is not None
    assert found.changed == {("mnist", "training"): {"aaaa": 2, "bbbb": 1}}
    assert (found.apart, found.without) == ({}, 1)
    assert found.evidence == (
        "mnist (training) in 2 versions, aaaa in 2 runs, bbbb in 1 run; 1 run logged no data set"
    )


def test_data_that_have_nothing_in_common_give_a_warning(empty_store: Path) -> None:
    runs = using(empty_store, [[OTHER], [TRAIN], [TRAIN, TEST], [("x", "", ""), TEST]])
    found = different_data(runs)
    assert found is not None
    assert found.apart == {("mnist", "x"): 3, ("cifar",): 1}
    assert found.changed == {}
    assert repr(dataset_warning(runs)) == (
        "These runs used different data: mnist, x (3 runs), cifar (1 run) have nothing in common; "
        "their metrics can't be compared as if alike."
    )


def test_a_thousand_runs_with_data_of_their_own(empty_store: Path) -> None:
    runs = using(empty_store, [[(f"d{n}", str(n), "train"), TRAIN] for n in range(1000)])
    start = time.monotonic()
    assert different_data(runs) is None, "they share one"
    shown = table(datasets(runs))
    assert (len(shown), shown.columns.name) == (60, "60 of 1,001 data sets")
    assert shown["runs"].tolist()[:2] == [1000, 1]
    own = replace(runs, datasets=runs.datasets[runs.datasets["name"] != "mnist"])
    found = different_data(own)
    assert found is not None
    assert "996 more" in found.evidence
    assert len(found.evidence) < 300
    assert time.monotonic() - start < 3


# --- code ----------------------------------------------------------------------------------------


def test_a_row_a_commit(empty_store: Path) -> None:
    one, other = "a" * 40, "b" * 40
    runs = load(
        empty_store,
        [
            {COMMIT: one, BRANCH: "main", SOURCE: "train.py", DIRTY: "false"},
            {COMMIT: other, BRANCH: "main", SOURCE: "train.py", DIRTY: "true"},
            {COMMIT: other, BRANCH: "try", SOURCE: "sweep.py", DIFF: "+x"},
            {COMMIT: other, REPO: "https://me:hunter2@host.invalid/x.git"},
            {SOURCE: "notebook.ipynb"},
        ],
    )
    found = table(code_versions(runs))
    assert list(found.index) == ["b" * 10, "a" * 10, "not logged"]
    assert found["runs"].tolist() == [3, 1, 1]
    assert found["branch"].tolist() == ["main, try", "main", ""]
    assert found["changed"].tolist() == ["yes (2 runs), not logged (1 run)", "no", ""]
    assert found["source"].tolist() == ["train.py, sweep.py", "train.py", "notebook.ipynb"]
    assert found["repository"].tolist() == ["https://host.invalid/x.git", "", ""]
    assert found["which"].tolist() == ["r1, r2, r3", "r0", "r4"]
    assert found.columns.name == "2 commits"
    bare = table(code_versions(runs.only([run_id(0)])))
    assert "repository" not in bare.columns


def test_no_commit_says_what_ran(empty_store: Path) -> None:
    runs = load(empty_store, [{SOURCE: "a.py"}, {SOURCE: "a.py"}, {}])
    assert "No run logged a git commit; they ran a.py (2 runs)." in repr(code_versions(runs))
    assert "No run logged a git commit." in repr(code_versions(runs.only([run_id(2)])))


def test_a_thousand_commits(empty_store: Path) -> None:
    runs = load(empty_store, [{COMMIT: f"{n:040}"} for n in range(1000)])
    start = time.monotonic()
    shown = table(code_versions(runs))
    assert time.monotonic() - start < 3
    assert (len(shown), shown.columns.name) == (60, "60 of 1,000 commits")


# --- models --------------------------------------------------------------------------------------


def add_models(store: Path, run_ids: Sequence[str]) -> None:
    """A logged model for each run, each a second newer; the first is registered with an alias."""
    with closing(sqlite3.connect(store)) as db, db:
        for place, one in enumerate(run_ids):
            db.execute(
                "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location,"
                " creation_timestamp_ms, last_updated_timestamp_ms, status, lifecycle_stage,"
                " model_type, source_run_id) VALUES (?, 1, 'clf', '', ?, ?, 2, 'active', '', ?)",
                (f"m-{place}", T0 + 1000 * place, T0, one),
            )
        db.execute("INSERT INTO registered_models (name, creation_time) VALUES ('prod', 1)")
        db.execute(
            "INSERT INTO model_versions (name, version, creation_time, current_stage, source,"
            " run_id, status) VALUES ('prod', 3, ?, 'None', 'models:/m-0', ?, 'READY')",
            (T0, run_ids[0]),
        )
        db.execute("INSERT INTO registered_model_aliases VALUES ('champion', 3, 'prod', 'default')")


def test_models_the_newest_first(empty_store: Path) -> None:
    runs = load(empty_store, [{} for _ in range(3)])
    assert "None of these runs logged or registered a model" in repr(models(runs))
    add_models(empty_store, list(runs.runs.index))
    found = table(models(replace(runs, _cache={})))
    assert list(found.columns) == ["run", "registered", "version", "aliases", "created (UTC)"]
    assert found["run"].tolist() == ["r2", "r1", "r0"]
    assert found.iloc[2].tolist() == ["r0", "prod", 3, "champion", "2025-10-09 08:53:20"]
    assert found["version"].isna().tolist() == [True, True, False]
    assert found.columns.name == "3 models"


def test_many_models_are_cut_and_said(empty_store: Path) -> None:
    runs = load(empty_store, [{} for _ in range(70)])
    add_models(empty_store, list(runs.runs.index))
    shown = table(models(runs))
    assert (len(shown), shown.columns.name) == (60, "60 of 70 models")


def test_models_that_can_not_be_read_are_said(empty_store: Path) -> None:
    class Failing:
        def models(self, *_: Any) -> pd.DataFrame:
            raise ServerError("the registry is gone")

        def artifacts(self, run_id: str) -> ArtifactList:
            return ArtifactList()

    source: Any = Failing()
    runs = replace(load(empty_store, [{}]), source=source)
    assert repr(models(runs)) == "The models could not be read: the registry is gone"
    assert isinstance(environments(runs), Note)


# --- environments --------------------------------------------------------------------------------


def write(store: Path, number: int, path: str, text: str | bytes) -> None:
    target = store.parent / "artifacts" / run_id(number) / "artifacts" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode() if isinstance(text, str) else text)


def test_packages_of_different_versions(empty_store: Path) -> None:
    runs = load(empty_store, [{} for _ in range(4)])
    write(empty_store, 0, "model/requirements.txt", "mlflow==3.1\nScikit_Learn==1.5\nnumpy>=2\n")
    conda = (
        "name: x\ndependencies:\n- python=3.11.2\n- pip:\n  - mlflow==3.1\n  - scikit-learn==1.6"
    )
    write(empty_store, 1, "model/conda.yaml", conda)
    write(
        empty_store, 2, "requirements.txt", "mlflow[extra] == 3.1 ; python_version > '3'\n# a==1\n"
    )
    write(empty_store, 2, "model/python_env.yaml", "python: 3.12.1\nbuild_dependencies:\n- pip==24")
    found = table(environments(runs))
    assert list(found.columns) == ["r0", "r1", "r2"]
    assert found.loc["scikit-learn"].tolist() == ["1.5", "1.6", ""]
    assert found.loc["python"].tolist() == ["", "3.11.2", "3.12.1"]
    assert found.columns.name == "2 of 4 packages differ; 3 packages not pinned in every run"


def test_the_same_packages_are_said_in_a_line(empty_store: Path) -> None:
    runs = load(empty_store, [{} for _ in range(3)])
    for number in range(2):
        write(empty_store, number, "requirements.txt", "a==1\nb==2\n")
    assert repr(environments(runs)) == "2 runs pin the same versions of 2 packages."


def test_lists_that_are_absent_broken_or_kept_with_the_model(empty_store: Path) -> None:
    runs = load(empty_store, [{} for _ in range(3)])
    add_models(empty_store, list(runs.runs.index)[:2])
    write(empty_store, 0, "requirements.txt", b"\xff\x00==1\n" + b"x" * 100_000)
    write(empty_store, 1, "requirements.txt", b"a==1\n" * 100_000)
    said = repr(environments(runs))
    assert "None of these runs has a list of packages" in said
    assert "2 runs logged a model with MLflow 3" in said
    assert "requirements.txt of r1: requirements.txt has 500,000 bytes" in said


def test_at_most_twelve_runs_have_a_column(empty_store: Path) -> None:
    runs = load(empty_store, [{} for _ in range(20)])
    for number in range(20):
        write(empty_store, number, "requirements.txt", f"a=={number}\n")
    found = table(environments(runs))
    assert found.shape == (1, 12)
    assert "12 of 20 runs with such a list" in str(found.columns.name)


# --- anything ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_is_active(text: str, empty_store: Path) -> None:
    tags = dict.fromkeys((COMMIT, BRANCH, DIRTY, DIFF, REPO, SOURCE), text)
    runs = load(empty_store, [tags, {COMMIT: "c"}])
    data = [(one, text, text, text, text, text) for one in runs.runs.index]
    data.append((data[0][0], text, "other", text, text, text))
    runs = replace(runs, datasets=pd.DataFrame(data, columns=list(runs.datasets.columns)))
    for shown in (code_versions(runs), datasets(runs), dataset_warning(runs)):
        assert shown is not None
        markup = shown.to_html() if isinstance(shown, pd.DataFrame) else shown._repr_markdown_()
        assert not re.search(r"<(script|img)\b", markup)
        for part in (markup, repr(shown)):
            assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2066\u200b\u2028]", part)
            assert len(part) < 20_000


def test_no_runs_and_one_run(empty_store: Path) -> None:
    runs = using(empty_store, [[TRAIN]])
    for some in (runs, runs.only([])):
        assert different_data(some) is None
        for function in (models, datasets, code_versions, environments):
            assert isinstance(function(some), Note | pd.DataFrame)
