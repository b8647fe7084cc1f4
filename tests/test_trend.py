"""A metric over the runs by start time."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import HOSTILE
from PIL import Image
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer
from qualia_lab.analysis.show import Figure, Note
from qualia_lab.analysis.trends import best_so_far, trend
from qualia_lab.errors import NotFoundError
from qualia_lab.model import Query, RunSet

NAN, INF = float("nan"), float("inf")
HOUR = 3_600_000


def load(store: Path, *runs: Run) -> RunSet:
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def over_time(values: list[float], metric: str = "loss", apart: int = HOUR) -> list[Run]:
    """Runs that start one after the other, the newest first, as stores give them."""
    made = [
        Run(
            run_id=run_id(i),
            name=f"r{i}",
            started=T0 + i * apart,
            ended=T0 + i * apart + 1000,
            metrics={metric: curve([value])},
        )
        for i, value in enumerate(values)
    ]
    return made[::-1]


def drawn(figure: object) -> Figure:
    assert isinstance(figure, Figure)
    assert Image.open(io.BytesIO(figure._repr_mimebundle_()["image/png"])).width == 1080
    return figure


def title(figure: Figure) -> list[str]:
    return str(figure.axes[0].get_title(loc="left")).splitlines()


def legend(figure: Figure) -> list[str]:
    return [text.get_text().strip() for text in figure.legends[0].get_texts()]


def test_the_best_so_far_by_hand(empty_store: Path) -> None:
    table = best_so_far(load(empty_store, *over_time([NAN, 3.0, 4.0, 2.0, INF, 2.0, 1.0])), "loss")
    assert list(table.index) == [f"r{i}" for i in range(7)]
    assert table["best"].tolist()[1:] == [3, 3, 2, 2, 2, 1]
    assert np.isnan(table["best"].iloc[0])
    assert table["improved"].tolist() == [False, True, False, True, False, False, True]
    assert table["started (UTC)"].iloc[1] == "2025-10-09 09:53:20"


def test_the_best_so_far_against_numpy(empty_store: Path) -> None:
    values = np.random.default_rng(0).normal(size=50)
    runs = load(empty_store, *over_time(list(values), "accuracy"))
    table = best_so_far(runs, "accuracy")
    assert table["best"].to_numpy() == pytest.approx(np.maximum.accumulate(values))
    other = best_so_far(runs.judging("accuracy", "min"), "accuracy")
    assert other["best"].to_numpy() == pytest.approx(np.minimum.accumulate(values))


def test_a_metric_of_no_known_direction_has_no_best(empty_store: Path) -> None:
    runs = load(empty_store, *over_time([1.0, 2.0], "depth"))
    table = best_so_far(runs, "depth")
    assert table["best"].isna().all()
    assert not table["improved"].any()
    figure = drawn(trend(runs, "depth"))
    assert title(figure)[1] == "which end is better is not known, so there is no best line"
    assert "best so far" not in legend(figure)
    assert "best so far" in legend(drawn(trend(runs.judging("depth", "max"), "depth")))


def test_the_title_says_what_is_seen(empty_store: Path) -> None:
    figure = drawn(trend(load(empty_store, *over_time([0.5, 0.75, 0.25, 0.3])), "loss"))
    assert title(figure) == [
        "Best loss fell from 0.5 to 0.25 in 4 runs",
        "best so far since 2025-10-09 10:53:20 by r2",
    ]
    assert figure.alt.startswith("Best loss fell from 0.5 to 0.25")
    assert legend(figure) == ["best so far", "r0", "r1", "r2", "r3"]
    steps = next(line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post")
    assert list(steps.get_ydata()) == [0.5, 0.5, 0.25, 0.25]


def test_a_small_step_is_seen_in_the_title(empty_store: Path) -> None:
    figure = drawn(trend(load(empty_store, *over_time([0.12345, 0.12341])), "loss"))
    assert title(figure)[0] == "Best loss fell from 0.12345 to 0.12341 in 2 runs"


def test_no_progress_is_said(empty_store: Path) -> None:
    figure = drawn(trend(load(empty_store, *over_time([0.9, 0.5, 0.7], "accuracy")), "accuracy"))
    assert title(figure) == [
        "accuracy: no better in any of 2 later runs than in the first",
        "r0: 0.9",
    ]


def test_what_cannot_be_placed_is_marked_or_counted(empty_store: Path) -> None:
    made = over_time([0.5, NAN, 0.25, INF, 0.3])
    made[0].status = "FAILED"
    made += [
        Run(run_id=run_id(10), name="bare"),
        Run(run_id=run_id(11), name="no start", started=None, metrics={"loss": curve([0.1])}),
        Run(run_id=run_id(12), name="zero", started=0, metrics={"loss": curve([0.1])}),
        Run(run_id=run_id(13), name="far", started=2**62, metrics={"loss": curve([0.1])}),
    ]
    figure = drawn(trend(load(empty_store, *made), "loss"))
    axes = figure.axes[0]
    assert axes.get_xlabel() == (
        "UTC; 1 failed or killed; 2 not finite at the end; 1 did not log it; "
        "3 without a start time left out"
    )
    (edge,) = [line for line in axes.lines if line.get_marker() == "^"]
    assert list(edge.get_ydata()) == [axes.get_ylim()[1]] * 2
    (cross,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert list(cross.get_ydata()) == [0.3]
    assert title(figure)[0] == "Best loss fell from 0.5 to 0.25 in 3 runs"


def test_nan_lies_on_the_bad_side(empty_store: Path) -> None:
    figure = drawn(trend(load(empty_store, *over_time([0.5, NAN, 0.6], "accuracy")), "accuracy"))
    assert "v" in {line.get_marker() for line in figure.axes[0].lines}


def test_far_values_do_not_press_the_others_flat(empty_store: Path) -> None:
    near = [0.5, 0.4, 0.6, 0.45, 0.55, 0.5]
    figure = drawn(trend(load(empty_store, *over_time([*near, 1e100, -1e9])), "loss"))
    low, high = figure.axes[0].get_ylim()
    assert 0.3 < low < 0.4 < 0.6 < high < 0.7
    assert {"^", "v"} <= {line.get_marker() for line in figure.axes[0].lines}


def test_decades_have_a_logarithmic_axis(empty_store: Path) -> None:
    values = [float(10.0**-i) for i in range(6)]
    figure = drawn(trend(load(empty_store, *over_time(values)), "loss"))
    assert figure.axes[0].get_yscale() == "log"
    low, high = figure.axes[0].get_ylim()
    assert low < 1e-5 < 1 < high


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 1.0],
        [0.0, 0.0],
        [5e-324, 1e-320],
        [1e308, 1.0, 2.0],
        [-1e149, 1e149],
        [1e-300, 1e140],
        [1e9, 1e9 + 1e-6],
        [-3.0, 3.0],
    ],
)
def test_any_values_have_an_axis(values: list[float], empty_store: Path) -> None:
    drawn(trend(load(empty_store, *over_time(values)), "loss"))


@pytest.mark.parametrize("apart", [0, 1, 1000, 86_400_000 * 300])
def test_any_times_have_an_axis(apart: int, empty_store: Path) -> None:
    figure = drawn(trend(load(empty_store, *over_time([3.0, 2.0, 1.0], apart=apart)), "loss"))
    assert ("in order of start" in figure.axes[0].get_xlabel()) == (apart == 0)


def test_crowded_runs_stand_in_order(empty_store: Path) -> None:
    made = over_time([float(20 - i) for i in range(20)], apart=1000)
    made[0].started = T0 + 5000 * HOUR
    figure = drawn(trend(load(empty_store, *made), "loss"))
    axes = figure.axes[0]
    assert axes.get_xlabel().startswith("in order of start (UTC), at equal distances; 12 of 20")
    assert axes.get_xticklabels()[-1].get_text() == "16:53:20\n2026-05-05"
    assert len(legend(figure)) == 13


def test_less_than_two_values_make_a_note(empty_store: Path) -> None:
    runs = load(empty_store, *over_time([0.5, NAN]))
    for metric, said in (
        ("loss", "One run with a start time ended with a finite loss; a trend needs two."),
        (None, "There is no metric to draw over the runs."),
        ("absent", "There is no metric absent to draw over the runs."),
    ):
        note = trend(runs, metric)
        assert isinstance(note, Note)
        assert note.text == said
    with pytest.raises(NotFoundError, match="absent"):
        best_so_far(runs, "absent")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names(text: str, empty_store: Path) -> None:
    made = over_time([2.0, 1.0], text[:250])
    made[0].name = text[:250]
    runs = load(empty_store, *made)
    drawn(trend(runs, text[:250]))
    drawn(trend(runs.judging(text[:250], "min"), text[:250]))
