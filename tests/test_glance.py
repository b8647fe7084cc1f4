"""The answer at the top of a notebook, and what a reader should know before trusting it."""

from __future__ import annotations

from pathlib import Path

import pytest
from stores import Run, curve, run_id
from test_comparison import load, named

from qualia_lab import analysis
from qualia_lab.analysis.show import Figure, Note
from qualia_lab.model import RunSet

NAN, INF = float("nan"), float("inf")


def text(runs: RunSet, metric: str | None = None) -> dict[str, str]:
    return dict(analysis.first_look(runs, metric).points)


def test_the_first_lines_name_the_best_and_how_far_it_is_ahead(empty_store: Path) -> None:
    runs = load(empty_store, *named({"a": {"loss": 0.5}, "b": {"loss": 0.4}, "c": {"loss": 1.0}}))
    said = text(runs, "loss")
    assert said["Runs"] == "3; 3 finished."
    assert said["Best"] == "loss 0.4 by b, the lowest last value of 3."
    assert said["By how much"] == "the next is a with 0.5, 0.1 (20.0%) behind; the median is 0.5."
    assert text(runs, "depth")["Best"] == "no run logged depth."


def test_ties_unfinished_and_unknown_directions_are_said(empty_store: Path) -> None:
    runs = named({"a": {"loss": 0.5, "m": 1.0}, "b": {"loss": 0.5, "m": 2.0}, "c": {"loss": NAN}})
    runs[1].status = "RUNNING"
    found = load(empty_store, *runs)
    best = text(found, "loss")["Best"]
    assert "and 1 more, the lowest last value of 2 finite ones" in best
    assert "is not known from its name" in text(found, "m")["Best"]
    assert text(found.judging("m", "max"), "m")["Best"].startswith("m 2 by b (running)")


def test_settings_are_compared_where_there_are_any(empty_store: Path) -> None:
    values = {"a": 1.0, "b": 1.1, "c": 2.0, "d": 2.1, "e": 0.9}
    params = {
        "a": {"lr": "1", "seed": "0"},
        "b": {"lr": "1", "seed": "1"},
        "c": {"lr": "2", "seed": "0"},
        "d": {"lr": "2", "seed": "1"},
        "e": {"lr": "2", "seed": "2"},
    }
    runs = load(empty_store, *named({k: {"loss": v} for k, v in values.items()}, **params))
    said = text(runs, "loss")
    assert said["Best setting"] == (
        "lr=1 at 1.050 ± 0.071 (mean ± std of 2 runs); next is lr=2 at 1.67 ± 0.67 "
        "(mean ± std of 3 runs), 0.617 (37.0%) behind."
    )
    assert said["More than noise?"].startswith("It may be noise (p = ")
    assert said["The best run"].startswith("is of another setting, lr=2, at 1.67 ± 0.67")
    assert isinstance(analysis.standings(runs, "loss"), Figure)


def test_standings_without_params_rank_the_runs(empty_store: Path) -> None:
    runs = load(empty_store, *named({f"r{i}": {"loss": float(i)} for i in range(30)}))
    chart = analysis.standings(runs, "loss")
    labels = [one.get_text() for one in chart.axes[0].get_yticklabels()]
    assert labels == [*(f"r{i}" for i in range(8)), "22 more"]
    assert chart.axes[0].get_title(loc="left") == "lowest loss of 30 runs: 0 by r0"


@pytest.mark.parametrize("value", [NAN, INF, 1.7e308, 5e-324, 0.0])
def test_the_answer_copes_with_any_value(value: float, empty_store: Path) -> None:
    runs = load(empty_store, *named({"a": {"loss": value}, "b": {"loss": -value}, "c": {}}))
    for shown in (
        analysis.first_look(runs, "loss"),
        analysis.metrics_side_by_side(runs, "loss"),
        analysis.findings(runs, "loss"),
    ):
        assert repr(shown)
    chart = analysis.standings(runs, "loss")
    assert isinstance(chart, Note) or chart._repr_mimebundle_()["image/png"]


def test_one_run_and_none_with_a_metric(empty_store: Path) -> None:
    runs = load(empty_store, *named({"only": {"loss": 0.5}}))
    assert text(runs, "loss")["Best"] == "loss 0.5 by only."
    assert "One run has a value of loss: 0.5." in repr(analysis.standings(runs, "loss"))
    assert "None of these runs logged a metric" in repr(analysis.standings(runs, None))


def found(runs: RunSet, metric: str | None = "loss") -> list[tuple[str, str, str]]:
    table = analysis.findings(runs, metric)
    return list(zip(table["severity"], table["what"], table["evidence"], strict=True))


def test_each_sort_of_finding(empty_store: Path) -> None:
    runs = named({"fine": {"loss": 1.0}, "bad": {"loss": 2.0}, "killed": {}, "nan": {"loss": NAN}})
    runs[1].status, runs[2].status = "FAILED", "KILLED"
    runs[2].ended = None
    worse = curve([9.0, 3.0, 1.0, 2.0, 3.0, 4.0])
    runs += [
        Run(run_id=run_id(7), name="over", metrics={"loss": worse}),
        Run(run_id=run_id(8), name="bare"),
        Run(
            run_id=run_id(9),
            name="open",
            status="RUNNING",
            ended=None,
            metrics={"loss": curve([5])},
        ),
    ]
    assert sorted(found(load(empty_store, *runs))) == [
        ("error", "bad failed", "after 1.00 s; last loss 2"),
        ("error", "killed was killed", "when is not known"),
        ("error", "nan diverged", "last loss is NaN"),
        ("info", "bare logged no metric", "there is nothing to compare it by"),
        ("info", "killed logged no metric", "there is nothing to compare it by"),
        ("info", "open has not ended", "its values may still change, or nobody ended it"),
        ("warning", "over was better before the end", "loss 1 at step 2, 4 at its end"),
    ]
    severities = [one[0] for one in found(load_again(empty_store))]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)


def load_again(store: Path) -> RunSet:
    from qualia_lab import ArtifactExplorer
    from qualia_lab.model import Query

    return ArtifactExplorer(f"sqlite:///{store}").load(Query(experiment_ids=("1",)))


def test_many_of_one_sort_are_one_finding(empty_store: Path) -> None:
    runs = named({f"r{i}": {"loss": float(i)} for i in range(10)})
    for run in runs[:6]:
        run.status = "FAILED"
    ((severity, what, evidence),) = found(load(empty_store, *runs))
    assert (severity, what) == ("error", "6 of 10 runs failed")
    assert evidence.count("r") == 3
    assert evidence.endswith(", …")


def test_a_curve_that_only_wobbles_is_no_finding(empty_store: Path) -> None:
    wobble = curve([9.0, 3.0, 1.0, 1.05, 1.1])
    assert found(load(empty_store, Run(run_id=run_id(0), metrics={"loss": wobble}))) == []


def test_twins_and_commits(empty_store: Path) -> None:
    params = {"lr": "1", "seed": "3"}
    runs = named({"a": {"loss": 1.0}, "b": {"loss": 1.0}, "c": {"loss": 1.0}})
    runs[0].params = runs[1].params = params
    runs[2].params = {**params, "seed": "4"}
    for run, commit in zip(runs, ("1" * 40, "2" * 40, "2" * 40), strict=True):
        run.tags = {"mlflow.source.git.commit": commit}
    twins, commits = found(load(empty_store, *runs))
    assert twins[:2] == ("info", "2 runs repeat one another: the same seed, params and metrics")
    assert set(twins[2].split(", ")) == {"a", "b"}
    assert commits == (
        "info",
        "these runs come from 2 commits",
        "2222222222 (2 runs), 1111111111 (1 run)",
    )


def test_hostile_names_in_findings_stay_on_a_line(empty_store: Path) -> None:
    runs = named({"x\n# %%\nimport os <img src=x>": {"loss": NAN}})
    shown = analysis.first_look(load(empty_store, *runs), "loss")._repr_markdown_()
    assert "<img" not in shown
    assert all(line.startswith("- **") for line in shown.splitlines())


def test_where_no_setting_was_repeated_runs_are_compared(empty_store: Path) -> None:
    values = {f"r{i}": {"loss": float(i % 3)} for i in range(12)}
    params = {name: {"draw": str(number * 7919)} for number, name in enumerate(values)}
    runs = load(empty_store, *named(values, **params))
    said = text(runs, "loss")
    assert "Best setting" not in said
    assert said["Best"] == "loss 0 by r0 and 3 more, the lowest last value of 12."
    chart = analysis.standings(runs, "loss")
    assert "of 12 runs" in chart.alt
