"""What notebooks show, held against numbers worked out by hand."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import HOSTILE
from PIL import Image
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer, analysis
from qualia_lab.analysis import labels
from qualia_lab.analysis.images import Picture
from qualia_lab.analysis.show import Figure, Note, Report
from qualia_lab.directions import direction, ranked
from qualia_lab.errors import NotFoundError, TooFewRunsError
from qualia_lab.model import Query, RunSet
from qualia_lab.text import visible

NAN, INF = float("nan"), float("inf")


def load(store: Path, *runs: Run) -> RunSet:
    """These runs, stored and read back in this order."""
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def fresh(runs: RunSet) -> RunSet:
    """The same runs without what was kept of their artifacts."""
    return replace(runs, _cache={})


def png(figure: object) -> Image.Image:
    """The picture that a notebook would show."""
    assert isinstance(figure, Figure)
    return Image.open(io.BytesIO(figure._repr_mimebundle_()["image/png"]))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("val_loss", "min"),
        ("valLoss", "min"),
        ("training_log_loss", "min"),
        ("rmse", "min"),
        ("test/mean_absolute_error", "min"),
        ("latency_ms", "min"),
        ("accuracy", "max"),
        ("training_f1_score", "max"),
        ("roc_auc", "max"),
        ("r2_score", "max"),
        ("hit@10", "max"),
        ("error_accuracy", "max"),
        ("neg_mean_squared_error", "max"),
        ("mean_test_score", "max"),
        ("rank_test_score", "min"),
        ("std_test_score", None),
        ("time_to_accuracy", "min"),
        ("best_val_loss_epoch", None),
        ("loss_scale", None),
        ("learning_rate", None),
        ("epoch", None),
        ("m1", None),
        ("", None),
        ("system/cpu_time", None),
    ],
)
def test_the_name_tells_the_direction(metric: str, expected: str | None) -> None:
    assert direction(metric) == expected


def test_the_most_telling_metrics_come_first() -> None:
    counts = {"system/time": 9, "epoch": 9, "train_loss": 9, "val_loss": 2, "accuracy": 3}
    assert ranked(counts) == ["val_loss", "train_loss", "accuracy", "epoch", "system/time"]
    # What scikit-learn's autologging gives for a grid search.
    search = ("mean_fit_time", "mean_test_score", "rank_test_score", "std_test_score")
    assert ranked(dict.fromkeys(search, 4)) == [
        "mean_test_score",
        "rank_test_score",
        "mean_fit_time",
        "std_test_score",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (9.994, "9.99 s"),
        (59, "59 s"),
        (200, "3 m 20 s"),
        (7260, "2 h 1 m"),
        (200_000, "2 d 7 h"),
        (-61, "-1 m 1 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert labels.how_long(pd.Timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456789, "0.12346"), (3.0, "3"), (NAN, "NaN"), (-INF, "-inf"), (1e-300, "1e-300"),
     (1234567.0, "1,234,567"), (1.5e12, "1.5e+12")],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert labels.number(value) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (None, "")],
)
def test_sizes(size: int | None, text: str) -> None:
    assert labels.how_large(size) == text


def test_runs_of_one_name_are_told_apart(empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(run_id="a" * 32, name="same"),
        Run(run_id="b" * 32, name="same"),
        Run(run_id="c" * 32, name=""),
        Run(run_id="d" * 32, name="own"),
    )
    assert list(labels.run_labels(runs).values()) == [
        "same (aaaaaaaa)",
        "same (bbbbbbbb)",
        "(cccccccc)",
        "own",
    ]


def three(store: Path) -> RunSet:
    """A good run, one that ended as NaN, and one that logged no such metric."""
    return load(
        store,
        Run(
            run_id=run_id(0),
            name="good",
            params={"lr": "0.1", "same": "1", "name": "x"},
            metrics={"val_loss": curve([0.75, 0.125, 0.25]), "depth": curve([3.0])},
            tags={"team": "a", "mlflow.note.content": "One.\nTwo."},
        ),
        Run(
            run_id=run_id(1),
            name="bad",
            status="FAILED",
            started=T0 + 10,
            ended=T0 + 2010,
            params={"lr": "1e-2", "same": "1"},
            metrics={"val_loss": curve([1.0, INF, NAN])},
            tags={"mlflow.parentRunId": run_id(0)},
        ),
        Run(run_id=run_id(2), name="bare", status="RUNNING", ended=None, params={"lr": "3"}),
    )


def test_overview(empty_store: Path) -> None:
    table = analysis.overview(three(empty_store), "val_loss")
    assert list(table.index) == ["good", "bad", "bare"]
    assert list(table["status"]) == ["FINISHED", "FAILED", "RUNNING"]
    assert list(table["started (UTC)"]) == ["2025-10-09 08:53:20"] * 3
    assert list(table["duration"]) == ["1 m 1 s", "2.00 s", ""]
    assert list(table["parent"]) == ["", "good", ""]
    assert list(table["params"]) == [3, 2, 1]
    assert list(table["metrics"]) == [2, 1, 0]
    assert list(table["artifacts"]) == [0, 0, 0]
    # Logged, logged as NaN, not logged: three different things.
    assert table["val_loss"].iloc[0] == 0.25
    assert np.isnan(table["val_loss"].iloc[1])
    assert table["val_loss"].iloc[2] is pd.NA


def test_a_run_that_is_gone_is_named(empty_store: Path) -> None:
    three(empty_store)
    explorer = ArtifactExplorer(f"sqlite:///{empty_store}")
    runs = explorer.load(Query(run_ids=(run_id(0), "0" * 32)))
    assert "1 more are gone from the store" in repr(analysis.first_look(runs))
    assert "00000000" in list(analysis.findings(runs)["evidence"])


def test_differing_params(empty_store: Path) -> None:
    table = analysis.differing_params(three(empty_store))
    assert list(table.columns) == ["good", "bad", "bare"]
    assert list(table.index) == ["lr", "name", "same"]
    assert list(table.loc["lr"]) == [0.1, 0.01, 3]
    assert table.loc["same"].tolist() == [1, 1, pd.NA]
    assert table.loc["name"].tolist() == ["x", pd.NA, pd.NA]


@pytest.mark.parametrize("text", ["1e999", "nan", "0x10", "1_000", " 1", "inf", ""])
def test_what_is_no_finite_number_stays_text(text: str, empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(run_id=run_id(0), name="a", params={"p": text}),
        Run(run_id=run_id(1), name="b", params={"p": "2"}),
    )
    assert analysis.differing_params(runs).loc["p"].tolist() == [text, "2"]


def test_a_comparison_needs_two(empty_store: Path) -> None:
    runs = load(empty_store, Run(run_id=run_id(0)))
    for function in (
        analysis.differing_params,
        analysis.what_differs,
        analysis.compare_metrics,
        analysis.metrics_side_by_side,
    ):
        with pytest.raises(TooFewRunsError):
            function(runs)


def test_run_metrics(empty_store: Path) -> None:
    runs = three(empty_store)
    good = analysis.run_metrics(runs, run_id(0))
    assert good.loc["val_loss"].to_dict() == {
        "last": 0.25,
        "best": 0.125,
        "min": 0.125,
        "max": 0.75,
        "points": 3,
        "first step": 0,
        "last step": 2,
        "not finite": 0,
    }
    assert good.loc["depth", "best"] == ""
    bad = analysis.run_metrics(runs, run_id(1)).loc["val_loss"]
    assert np.isnan(bad["last"])
    assert (bad["min"], bad["max"], bad["not finite"]) == (1.0, 1.0, 2)
    assert analysis.run_metrics(runs, run_id(2)).empty


def test_run_report_says_what_there_is_and_what_not(empty_store: Path) -> None:
    runs = three(empty_store)
    report = analysis.run_report(runs, run_id(0))
    assert [caption for caption, _ in report.tables] == ["Details", "Metrics", "Params", "Tags"]
    assert report.absent == "Not logged: data sets, artifacts."
    details = report.tables[0][1]["value"]
    assert details["status"] == "FINISHED"
    assert details["note"] == "One.⏎Two."
    assert list(analysis.run_tags(runs, run_id(0)).index) == ["team"]
    assert analysis.run_params(runs, run_id(2)).to_dict() == {"value": {"lr": "3"}}
    with pytest.raises(NotFoundError):
        analysis.run_details(runs, "f" * 32)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_is_active_in_what_a_cell_shows(text: str, empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(
            run_id=run_id(0),
            name=text[:250],
            params={text[:250]: text},
            metrics={text[:250]: curve([1.0, 2.0])},
            tags={text[:250]: text, "mlflow.note.content": text},
        ),
        Run(run_id=run_id(1), name="other", metrics={text[:250]: curve([3.0, 2.0])}),
    )
    shown: list[Any] = [
        analysis.run_report(runs, run_id(0))._repr_html_(),
        analysis.overview(runs, text[:250])._repr_html_(),
        analysis.differing_params(runs)._repr_html_(),
        analysis.metrics_side_by_side(runs).to_html(),
        analysis.what_differs(runs)._repr_html_(),
    ]
    for markup in shown:
        tags = set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", markup))
        allowed = {
            "div",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "style",
            "h4",
            "p",
            "em",
            "caption",
        }
        assert tags <= allowed
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2066\u200b\u2028]", markup)
    note = analysis.first_look(runs, text[:250])._repr_markdown_()
    note = re.sub(
        r"^- \*\*[A-Z][a-z&#0-9; ]*\*\*: ", "", note, flags=re.MULTILINE
    )  # the list is ours
    assert not re.search(r"[<>\[\]()`$*_|{}\"']", note)
    assert png(analysis.metric_curves(runs)).width > 500


def test_images(empty_store: Path) -> None:
    runs = load(empty_store, Run(run_id=run_id(0)), Run(run_id=run_id(1)))
    folder = empty_store.parent / "artifacts" / run_id(0) / "artifacts" / "plots"
    folder.mkdir(parents=True)
    for number in range(7):
        Image.new("RGB", (60, 40), (number * 30, 0, 0)).save(folder / f"{number}.png")
    (folder / "1.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("x")
    picture = analysis.run_images(runs, run_id(0))
    assert isinstance(picture, Picture)
    shown = ", ".join(f"plots/{number}.png" for number in (0, 2, 3, 4, 5))
    assert picture.alt.startswith(f"Images: {shown}. plots/1.png: cannot identify image file")
    assert picture.alt.endswith("5 of 7 images shown")
    for path in folder.iterdir():
        path.unlink()
    Image.new("1", (30_000, 30_000)).save(folder / "bomb.png")
    Image.new("1", (9_000, 9_000)).save(folder / "large.png")
    bomb = analysis.run_images(fresh(runs), run_id(0))
    assert isinstance(bomb, Note)
    assert "plots/bomb.png: Image size (900000000 pixels) exceeds limit" in bomb.text
    assert "plots/large.png: 9,000 × 9,000 pixels are too many" in bomb.text
    none = analysis.run_images(runs, run_id(1))
    assert isinstance(none, Note)
    assert none.text == "No images among the artifacts."


def test_frames_are_named_with_their_shapes(empty_store: Path) -> None:
    table = analysis.frames(three(empty_store))
    assert table.loc["runs.params", "shape"] == "3 × 3"
    assert table.loc["runs.metrics", "shape"] == "3 × 2"
    for name in table.index:
        assert name.startswith("runs.")


@pytest.mark.parametrize(
    "texts",
    [[visible(one) for one in HOSTILE], [""], ["", "日本語", "é" * 40, "a  b"], [" b", " c "]],
)
def test_a_table_of_values_is_written_as_pandas_writes_it(texts: list[str]) -> None:
    table = pd.DataFrame({"value": texts}, index=pd.Index(texts, dtype="object"), dtype="object")
    theirs = table.to_html(border=0, header=False)
    for cell in ("th", "td"):
        theirs = theirs.replace(f"<{cell}>", f'<{cell} style="text-align: left">')
    report = Report([("Params", table)])
    assert theirs in report._repr_html_()
    assert repr(report) == f"Params\n{table.to_string()}".strip()


def test_a_table_of_numbers_is_written_as_pandas_writes_it() -> None:
    best: list[object] = [0.1, "", 3, 2.5e-9, -1e300]
    table = pd.DataFrame(
        {
            "last": [0.1, math.nan, 1e6, math.inf, -0.0],
            "best": pd.Series(best, dtype="object"),
            "points": [1, -100, 10**7, 0, 2**62],
            "what it is": ["a < b & 'c'", "$x$", "é", "", "日本語"],
        }
    )
    table.index = pd.Index(["a", "<b>", "c d", "", "e"], name="metric")
    for names in (list(table.columns), ["last", "points"], ["what it is"], ["best"]):
        shown = table[names]
        theirs = shown.to_html(border=0, index_names=False, float_format=labels.number)
        if not len(shown.select_dtypes("number").columns):
            for cell in ("th", "td"):
                theirs = theirs.replace(f"<{cell}>", f'<{cell} style="text-align: left">')
        assert theirs in Report([("Metrics", shown)])._repr_html_()
    lines = repr(Report([("Metrics", table[["last", "what it is"]])])).splitlines()
    assert [line.split() for line in lines] == [
        ["Metrics"], ["last", "what", "it", "is"], ["a", "0.1", "a", "<", "b", "&", "'c'"],
        ["<b>", "NaN", "$x$"], ["c", "d", "1,000,000", "é"], ["inf"], ["e", "-0", "日本語"],
    ]  # fmt: skip
    assert len({len(line) for line in lines[1:]}) == 1


@pytest.mark.parametrize(
    "values",
    [[None], [True], ["a\nb"], [1 + 2j], [pd.Timestamp("2026-05-05")], [[1, 2]], [" a"]],
)
def test_a_table_of_other_values_is_left_to_pandas(values: list[object]) -> None:
    table = pd.DataFrame({"a": pd.Series(values, dtype="object"), "b": [1]})
    report = Report([("Any", table)])
    assert table.to_html(border=0, float_format=labels.number) in report._repr_html_()
    assert repr(report) == f"Any\n{table.to_string()}"
