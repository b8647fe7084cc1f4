"""What differs between runs, and their metrics side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer, analysis
from qualia_lab.analysis.comparison import SideBySide
from qualia_lab.analysis.show import Note, Report
from qualia_lab.errors import NotFoundError
from qualia_lab.model import Query, RunSet

NAN = float("nan")


def load(store: Path, *runs: Run) -> RunSet:
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def named(values: dict[str, dict[str, float]], **params: dict[str, str]) -> list[Run]:
    """Runs by name with the last values of their metrics, each started a minute after the last."""
    return [
        Run(
            run_id=run_id(i),
            name=name,
            started=T0 + 60_000 * i,
            ended=T0 + 60_000 * i + 1000,
            metrics={key: curve([value]) for key, value in metrics.items()},
            params=params.get(name, {}),
        )
        for i, (name, metrics) in enumerate(values.items())
    ]


LOGGED = {
    "a": {"loss": 0.5, "f1": 0.5, "m": 1.0},
    "b": {"loss": 0.25, "f1": 0.25, "m": 2.0},
    "c": {"loss": NAN},
}


def test_last_values_side_by_side(empty_store: Path) -> None:
    table = analysis.compare_metrics(load(empty_store, *named(LOGGED)))
    assert table.loc["loss", "b"] == 0.25
    assert table.loc["f1", "c"] is pd.NA
    assert np.isnan(table.loc["loss", "c"])


def test_the_best_is_starred_and_the_rest_told_against_the_baseline(empty_store: Path) -> None:
    table = analysis.metrics_side_by_side(load(empty_store, *named(LOGGED)))
    shown = table.data[["a (baseline)", "b", "c"]]
    assert list(shown.loc["loss"]) == ["0.5", "0.25 ★\n-0.25, -50.0%", "NaN"]
    assert list(shown.loc["f1"]) == ["0.5 ★", "0.25\n-0.25, -50.0%", ""]
    assert list(shown.loc["m"]) == ["1", "2\n+1, +100.0%", ""], "which is better is not known"


def test_what_was_said_to_be_better_counts(empty_store: Path) -> None:
    runs = load(empty_store, *named(LOGGED)).judging("m", "max").judging("loss", "max")
    shown = analysis.metrics_side_by_side(runs, "m").data
    assert shown.loc["m", "b"].startswith("2 ★")
    assert shown.loc["loss", "a (baseline)"] == "0.5 ★"
    assert runs.judging("m", None).direction("m") == "max"


@pytest.mark.parametrize(
    ("base", "value", "said"),
    [
        (0.0, 1.0, "+1"),
        (1.0, 1.0, "= baseline"),
        (-2.0, -1.0, "+1, +50.0%"),
        (1e-9, 1.0, "+1"),
        (1e308, -1e308, ""),
    ],
)
def test_a_difference_in_words(base: float, value: float, said: str, empty_store: Path) -> None:
    runs = load(empty_store, *named({"base": {"m": base}, "other": {"m": value}}))
    cell = analysis.metrics_side_by_side(runs).data.loc["m", "other"]
    assert cell.partition("\n")[2] == said


def test_differences_as_data(empty_store: Path) -> None:
    runs = load(empty_store, *named(LOGGED))
    table = analysis.differences(runs, "b")
    assert set(table.columns) == {"c", "a"}
    assert table.loc["loss", "a"] == 0.25
    assert table.loc["f1", "c"] is pd.NA
    assert set(analysis.differences(runs).columns) == {"c", "b"}, "the first with a metric"


def test_the_baseline_is_the_first_run_that_measured_something(empty_store: Path) -> None:
    runs = load(empty_store, *named({"sweep": {}, "first": {"m": 1.0}, "second": {"m": 2.0}}))
    assert analysis.default_baseline(runs) == run_id(1)


@pytest.mark.parametrize("which", [run_id(1), "b", run_id(1)[:6]])
def test_a_run_is_found_by_id_name_or_beginning(which: str, empty_store: Path) -> None:
    runs = load(empty_store, *named(LOGGED))
    assert "b (baseline)" in analysis.metrics_side_by_side(runs, baseline=which).data.columns


def test_a_run_that_is_not_there_or_not_the_only_one_is_said(empty_store: Path) -> None:
    same = named(LOGGED)
    for run in same:
        run.name = "same"
    runs = load(empty_store, *same)
    with pytest.raises(NotFoundError, match="same is the name of 3 runs"):
        analysis.differences(runs, "same")
    with pytest.raises(NotFoundError, match="no run nobody among the 3"):
        analysis.differences(runs, "nobody")
    with pytest.raises(NotFoundError):
        analysis.differences(runs, "")


def test_extremes_over_the_whole_history(empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(run_id=run_id(0), name="a", metrics={"loss": curve([3.0, 1.0, 2.0, NAN])}),
        Run(run_id=run_id(1), name="b", metrics={"f1": curve([0.1, 0.9, 0.5]), "m": curve([1, 2])}),
    )
    assert analysis.compare_metrics(runs, "min").loc["loss", "a"] == 1.0
    assert analysis.compare_metrics(runs, "max").loc["loss", "a"] == 3.0
    best = analysis.compare_metrics(runs, "best")
    assert best.loc["loss", "a"] == 1.0
    assert best.loc["f1", "b"] == 0.9
    assert best.loc["m", "b"] is pd.NA
    assert best.loc["loss", "b"] is pd.NA
    with pytest.raises(NotFoundError, match="no value median"):
        analysis.compare_metrics(runs, "median")


def test_one_metric_over_the_course_of_each_run(empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(run_id=run_id(0), name="a", metrics={"loss": [(5, T0, 3.0), (7, T0, 1.0), (9, T0, 2)]}),
        Run(run_id=run_id(1), name="b", metrics={"loss": curve([1.5])}),
        Run(run_id=run_id(2), name="c", metrics={"loss": curve([NAN])}),
        Run(run_id=run_id(3), name="d"),
    )
    table = analysis.metric_at_best(runs, "loss")
    assert list(table.index) == ["b", "a", "c"]
    expected = {"last": 2.0, "best": 1.0, "at step": 7, "min": 1.0, "max": 3.0, "points": 3}
    assert table.loc["a"].to_dict() == expected
    assert np.isnan(table.loc["c", "last"])
    assert list(analysis.metric_at_best(runs, "loss", most=1).index) == ["b"]
    assert analysis.metric_at_best(runs, "loss", most=1).columns.name == "loss (1 of 3 runs)"
    assert isinstance(analysis.metric_at_best(runs, None), Note)


def test_past_twelve_runs_the_best_and_the_baseline_are_shown(empty_store: Path) -> None:
    runs = load(empty_store, *named({f"r{i}": {"loss": 20.0 - i} for i in range(20)}))
    table = analysis.metrics_side_by_side(runs, "loss")
    assert list(table.data.columns) == [*(f"r{i}" for i in range(19, 8, -1)), "r0 (baseline)"]
    assert "12 of 20 runs shown, the best by loss and the baseline" in table.caption
    assert analysis.compare_metrics(runs).shape == (1, 20)


def test_system_metrics_and_what_none_of_the_shown_logged_are_left_to_others(
    empty_store: Path,
) -> None:
    values = {f"r{i:02}": {"loss": float(i), "system/cpu": 1.0} for i in range(14)}
    values["late"] = {"loss": 99.0, "only_late": 1.0}
    values["first"] = {"loss": 0.5}
    table = analysis.metrics_side_by_side(load(empty_store, *named(values)), "loss")
    assert list(table.data.index) == ["loss"]
    assert "1 of 3 metrics shown; system metrics have a section of their own" in table.caption


def test_system_metrics_alone_are_no_comparison_unless_asked_for(empty_store: Path) -> None:
    of_system = load(empty_store, *named({"a": {"system/cpu": 1.0}, "b": {"system/cpu": 2.0}}))
    assert "logged a metric of its own" in repr(analysis.metrics_side_by_side(of_system))
    chosen = analysis.metrics_side_by_side(of_system, "system/cpu")
    assert list(chosen.data.index) == ["system/cpu"]


def test_five_thousand_metrics_are_cut_and_that_is_said(empty_store: Path) -> None:
    many = {f"m{i}": float(i) for i in range(5000)}
    runs = load(empty_store, *named({"a": many, "b": many | {"loss": 1.0}}))
    table = analysis.metrics_side_by_side(runs)
    assert len(table.data) == 60
    assert "60 of 5,001 metrics shown" in table.caption


def test_side_by_side_is_written_as_html_and_as_text(empty_store: Path) -> None:
    values = {"<i>": {"m": 0.5, "x": 1.0}, "b": {"m": 0.25}}
    table = analysis.metrics_side_by_side(
        load(empty_store, *named(values)).judging("m", "min"), "m"
    )
    assert isinstance(table, SideBySide)
    heads = [
        one.get_text().strip()
        for one in BeautifulSoup(table.to_html(), "html.parser").find_all("th")
    ]
    assert heads == ["", "b", "<i> (baseline)", "m", "x"]
    look = "white-space: pre-line; text-align: right"
    assert (
        f'<td style="{look}; font-weight: bold">0.25&nbsp;★\n-0.25, -50.0%</td>' in table.to_html()
    )
    assert f'<td style="{look}">0.5</td>' in table.to_html()
    assert "<i>" not in table.to_html()
    assert table._repr_html_() == table.to_html()
    assert "0.25 ★; -0.25, -50.0%" in repr(table)
    assert repr(table).startswith("Last values; ★ best of the row")


def test_what_differs_side_by_side(empty_store: Path) -> None:
    runs = load(
        empty_store,
        *named(
            {"a": {"loss": 1.0}, "b": {"loss": 0.5}},
            a={"lr": "1e-1", "model.depth": "3", "model.width": "8", "opt": "sgd"},
            b={"lr": "0.2", "model.depth": "4", "model.width": "9", "opt": "sgd", "only": "x"},
        ),
    )
    report = analysis.what_differs(runs, "loss")
    assert isinstance(report, Report)
    ((caption, table),) = report.tables
    assert caption == "Params that differ"
    assert list(table.columns) == ["b", "a"]
    rows = dict(zip(table.index, table.to_numpy().tolist(), strict=True))
    assert rows == {
        ("", "lr"): ["0.2", "0.1"],
        ("model", "depth"): ["4", "3"],
        ("model", "width"): ["9", "8"],
        ("", "only"): ["x", ""],
    }
    assert report.absent == "The same in all runs (1): opt=sgd"
    assert "rowspan" in report._repr_html_()


def test_of_many_runs_what_differs_is_told_as_ranges(empty_store: Path) -> None:
    values = {f"r{i}": {"loss": float(i)} for i in range(20)}
    params = {f"r{i}": {"lr": str(i % 4 / 10), "kind": "ab"[i > 15]} for i in range(20)}
    runs = load(empty_store, *named(values, **params))
    ((_, table),) = analysis.what_differs(runs, "loss").tables
    assert list(table.columns) == ["values", "range", "runs", "best run"]
    assert list(table.loc["lr"]) == [4, "0 … 0.3", 20, "0.0"]
    assert list(table.loc["kind"]) == [2, "a (16), b (4)", 20, "a"]


def test_of_many_runs_what_some_logged_alike_is_a_line(empty_store: Path) -> None:
    values = {f"r{i}": {"loss": float(i)} for i in range(20)}
    params = {name: {"lr": str(number), "C": "1"} for number, name in enumerate(values)}
    for name in ("r1", "r2"):
        del params[name]["C"]
    report = analysis.what_differs(load(empty_store, *named(values, **params)), "loss")
    ((_, table),) = report.tables
    assert list(table.index) == ["lr"]
    assert report.absent == "Logged by some runs only (1): C=1."


def test_what_does_not_differ_is_said(empty_store: Path) -> None:
    runs = load(empty_store, *named({"a": {}, "b": {}}, a={"x": "1"}, b={"x": "1"}))
    said = repr(analysis.what_differs(runs))
    assert said == "No param differs between these 2 runs. The same in all runs (1): x=1"


def test_long_params_and_many_of_them(empty_store: Path) -> None:
    huge = {f"p{i}": "v" * 6000 for i in range(500)}
    digits = "9" * 400
    runs = load(
        empty_store, *named({"a": {}, "b": {}}, a=huge, b={**huge, "p0": digits, "q": digits})
    )
    report = analysis.what_differs(runs)
    assert len(report._repr_html_()) < 20_000
    ((_, table),) = report.tables
    assert "6,000 characters" in table.loc["p0", "a"]
    assert "400 characters" in table.loc["q", "b"]


def test_integers_of_any_length_have_a_range(empty_store: Path) -> None:
    params = {f"r{i}": {"n": "9" * (i + 1) * 30} for i in range(14)}
    runs = load(empty_store, *named({name: {} for name in params}, **params))
    ((_, table),) = analysis.what_differs(runs).tables
    assert table.loc["n", "range"].startswith("9" * 30)
