"""The tree of nested runs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import HOSTILE
from stores import Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer
from qualia_lab.analysis.nested import run_tree, tree_note
from qualia_lab.analysis.show import Note
from qualia_lab.model import Query, RunSet

NAN = float("nan")
SPACE = "\u00a0"


def load(store: Path, runs: Sequence[Run]) -> RunSet:
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def family(
    parents: Mapping[str, str | None], values: Mapping[str, float] | None = None
) -> list[Run]:
    """Runs by name; a parent that is no name is used as the id it is."""
    ids = {name: run_id(place) for place, name in enumerate(parents)}
    found = []
    for name, parent in parents.items():
        metrics = {"loss": curve([values[name]])} if values and name in values else {}
        tags = {} if parent is None else {"mlflow.parentRunId": ids.get(parent, parent)}
        found.append(Run(run_id=ids[name], name=name, metrics=metrics, tags=tags))
    return found


def tree(runs: RunSet, metric: str | None = "loss") -> pd.DataFrame:
    table = run_tree(runs, metric)
    assert isinstance(table, pd.DataFrame)
    return table


SWEEPS = {"alone": None, "a": None, "b": None, "a1": "a", "b1": "b", "a2": "a", "deep": "a2"}
VALUES = {"alone": 0.0, "b": 9.0, "a1": 3.0, "b1": 2.0, "a2": 4.0, "deep": 1.0}


def test_the_tree_with_the_best_below(empty_store: Path) -> None:
    table = tree(load(empty_store, family(SWEEPS, VALUES)))
    assert [one.replace(SPACE, " ") for one in table.index] == [
        "a", "├ a2", "   └ deep", "└ a1", "b", "└ b1",
    ]  # fmt: skip
    assert " " not in "".join(table.index), "a table would fold them"
    assert list(table["children"]) == [2, 1, 0, 0, 1, 0]
    assert list(table["loss"]) == [pd.NA, 4, 1, 3, 9, 2]
    assert list(table["best below"]) == [1, 1, pd.NA, pd.NA, 2, pd.NA]
    assert list(table["by"]) == ["deep", "deep", "", "", "b1", ""]
    assert list(table["depth"]) == [0, 1, 2, 1, 0, 1]
    assert table.columns.name == "run (1 that are not nested left out)"


def test_more_is_better_where_it_is_said(empty_store: Path) -> None:
    runs = load(empty_store, family(SWEEPS, VALUES)).judging("loss", "max")
    table = tree(runs)
    assert [one.strip("├└" + SPACE) for one in table.index] == ["b", "b1", "a", "a2", "deep", "a1"]
    # The root b itself has 9, so it stands first; below it there is no more than 2.
    assert "the best loss is in a: 4 by a2 (next: 2 in b)" in tree_note(runs, "loss").text


def test_the_note(empty_store: Path) -> None:
    runs = load(empty_store, family(SWEEPS, VALUES))
    assert tree_note(runs, "loss").text == (
        "4 runs are nested in 3 parents; the best loss is in a: 1 by deep (next: 2 in b)."
    )
    assert tree_note(runs).text == "4 runs are nested in 3 parents."
    assert tree_note(runs, "absent").text == "4 runs are nested in 3 parents."


def test_without_a_direction_the_order_stays(empty_store: Path) -> None:
    made = family(SWEEPS, VALUES)
    for run in made:
        run.metrics = {"depth": run.metrics["loss"]} if run.metrics else {}
    table = tree(load(empty_store, made), "depth")
    assert [one.strip("├└" + SPACE) for one in table.index] == ["a", "a1", "a2", "deep", "b", "b1"]
    assert "best below" not in table
    # A metric that is called like a column has one of its own.
    assert list(table["depth"]) == [0, 1, 1, 2, 0, 1]
    assert table["depth (metric)"].iloc[1] == 3


def test_what_is_not_finite_is_not_best(empty_store: Path) -> None:
    values = {"a": 5.0, "b": NAN, "c": float("inf"), "d": 7.0}
    table = tree(load(empty_store, family({"a": None, "b": "a", "c": "a", "d": "a"}, values)))
    assert table["best below"].iloc[0] == 7
    assert table.index[1].endswith("d")
    assert np.isnan(table["loss"].iloc[2])


def test_a_parent_that_is_not_loaded(empty_store: Path) -> None:
    gone = "f" * 32
    table = tree(load(empty_store, family({"x": gone, "y": gone}, {"x": 2.0, "y": 1.0})))
    assert list(table["status"]) == ["not loaded", "FINISHED", "FINISHED"]
    assert table.index[0].startswith("(ffffffff")
    assert list(table["by"]) == ["y", "", ""]
    assert table["loss"].iloc[0] is pd.NA


@pytest.mark.parametrize(
    ("parents", "wanted"),
    [
        ({"a": "b", "b": "a"}, ["a ↻", "└ b"]),
        ({"a": "c", "b": "a", "c": "b"}, ["a ↻", "└ b", "   └ c"]),
        ({"a": "a", "b": "a"}, ["a ↻", "└ b"]),
        ({"x": "b", "b": "c", "c": "b"}, ["b ↻", "├ x", "└ c"]),
    ],
)
def test_rounds_do_not_loop(
    parents: dict[str, str | None], wanted: list[str], empty_store: Path
) -> None:
    table = tree(load(empty_store, family(parents)))
    assert [one.replace(SPACE, " ") for one in table.index] == wanted


def test_no_nesting_makes_a_note(empty_store: Path) -> None:
    runs = load(empty_store, family({"a": "a", "b": None}))
    for note in (run_tree(runs), tree_note(runs)):
        assert isinstance(note, Note)
        assert note.text == "None of these runs is nested in another."


def test_many_children_are_cut_and_it_is_said(empty_store: Path) -> None:
    parents = {"a": None, **{f"a{i}": "a" for i in range(300)}}
    values = {f"a{i}": float(1000 - i) for i in range(300)}
    table = tree(load(empty_store, family(parents, values)))
    assert len(table) == 52
    assert table.index[1].endswith("a299")
    assert table.index[-1].endswith("… and 250 more")
    assert table["children"].iloc[0] == 300


def test_many_parents_are_cut_and_it_is_said(empty_store: Path) -> None:
    parents: dict[str, str | None] = {}
    for place in range(100):
        parents |= {f"p{place}": None, f"c{place}": f"p{place}"}
    table = tree(load(empty_store, family(parents)))
    assert len(table) == 60
    assert table.columns.name == "run (140 rows more)"


def test_thousands_of_runs_one_in_the_other(empty_store: Path) -> None:
    names = [f"n{place}" for place in range(3000)]
    parents = dict(zip(names, [None, *names[:-1]], strict=True))
    runs = load(empty_store, family(parents, {"n2999": 1.0}))
    start = time.perf_counter()
    table = tree(runs)
    assert time.perf_counter() - start < 2
    assert table["best below"].iloc[0] == 1
    assert table["depth"].iloc[-1] == 59
    assert max(len(one) for one in table.index) < 80


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_tags(text: str, empty_store: Path) -> None:
    made = family({"a": None, "b": "a", "c": text or "x"}, {"b": 1.0})
    made[1].name = text[:250]
    runs = load(empty_store, made)
    table = tree(runs)
    for cell in [*table.index, *table["by"]]:
        assert not re.search("[\n\x1b\u202e\u2066\u200b\u2028]", cell)
        assert len(cell) < 120
    assert not re.search(r"[<>\[\]`$*_|{}]", tree_note(runs, "loss")._repr_markdown_())
