"""Curves: what is chosen, where points lie, and what is said, held against hand and other code."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from PIL import Image
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer
from qualia_lab.analysis import pairs
from qualia_lab.analysis.bands import fold, group_curves
from qualia_lab.analysis.curves import metric_curves, value_at
from qualia_lab.analysis.pairs import Panel, panels
from qualia_lab.analysis.series import Series, smoothed, thin
from qualia_lab.analysis.show import COLOURS, GREY, INK, Figure, Note
from qualia_lab.analysis.styles import run_styles
from qualia_lab.errors import NotFoundError, UsageError
from qualia_lab.model import Query, RunSet

NAN, INF = float("nan"), float("inf")
LAST_STEP = 2**63 - 1


def load(store: Path, *runs: Run) -> RunSet:
    """These runs, stored and read back in this order."""
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def several(
    metrics: Sequence[Mapping[str, Sequence[Any]]], params: Sequence[Mapping[str, str]] = ()
) -> list[Run]:
    """Runs r0, r1, ... that logged these metrics, as points or as values a second apart."""
    return [
        Run(
            run_id=run_id(number),
            name=f"r{number}",
            params=params[number] if params else {},
            metrics={
                name: points if isinstance(points[0], tuple) else curve(points)
                for name, points in of_run.items()
            },
        )
        for number, of_run in enumerate(metrics)
    ]


def drawn(result: object) -> Figure:
    """The figure, after it was drawn as a notebook shows it."""
    assert isinstance(result, Figure)
    picture = Image.open(io.BytesIO(result._repr_mimebundle_()["image/png"]))
    assert picture.width == 1080
    return result


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]


def caption(figure: Figure) -> str:
    (legend,) = figure.legends
    return legend.get_title().get_text().replace("\n", " ")


def entries(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text().strip() for text in legend.get_texts()]


def grey_lines(figure: Figure, place: int = 0) -> int:
    found = [one for one in figure.axes[place].collections if isinstance(one, LineCollection)]
    return sum(len(one.get_segments()) for one in found)


def lines(figure: Figure, colour: str, kind: str = "-") -> list[np.ndarray]:
    """The data of the lines of the first chart that look so, the marks left out."""
    return [
        np.asarray(line.get_xydata())
        for line in figure.axes[0].lines
        if line.get_color() == colour and line.get_linestyle() == kind
    ]


def test_curves_name_twelve_runs_and_say_so(empty_store: Path) -> None:
    runs = load(empty_store, *several([{f"m{j}": [i, j] for j in range(8)} for i in range(15)]))
    figure = drawn(metric_curves(runs, "m7"))
    assert titles(figure) == ["m7", "m0", "m1", "m2", "m3", "m4"]
    for place, axes in enumerate(figure.axes):
        assert len(axes.lines) == 12
        assert grey_lines(figure, place) == 3
    assert entries(figure) == [f"r{number}" for number in range(12)]
    assert caption(figure) == "6 of 8 metrics drawn; 12 of 15 runs named, the others grey"
    assert figure.alt == "Curves of m7; m0; m1; m2; m3; m4"


def test_the_best_runs_are_named_and_look_as_they_do_everywhere(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"loss": [1.0, 20.0 - i]} for i in range(20)]))
    figure = drawn(metric_curves(runs, "loss"))
    assert entries(figure)[:12] == [f"r{number}" for number in range(19, 7, -1)]
    colours = [line.get_color() for line in figure.axes[0].lines[:12]]
    styles = run_styles(runs, "loss")
    assert sorted(colours) == sorted(style.colour for style in styles.values())
    best = lines(figure, styles[run_id(19)].colour)[0]
    assert best.tolist() == [[0, 1], [1, 1]]


def test_the_title_says_where_the_best_point_is(empty_store: Path) -> None:
    made = several([{"loss": [3.0, 0.25, 1.0]}, {"loss": [2.0, 0.5, 0.75]}])
    figure = drawn(metric_curves(load(empty_store, *made)))
    assert titles(figure) == ["loss: lowest 0.25 at step 1 by r0"]
    (ring,) = [line for line in figure.axes[0].lines if line.get_markeredgecolor() == INK]
    assert np.asarray(ring.get_xydata()).tolist() == [[1, 0.25]]
    assert entries(figure) == ["r0", "r1", "best point"]


def test_the_best_of_a_metric_of_which_more_is_better(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"accuracy": [0.5, 0.75]}, {"m": [1.0, 2.0]}]))
    figure = drawn(metric_curves(runs))
    # Nothing is claimed of a metric whose better end is not known.
    assert titles(figure) == ["accuracy: highest 0.75 at step 1 by r0", "m"]
    told = drawn(metric_curves(runs.judging("m", "min")))
    assert titles(told)[1] == "m: lowest 1 at step 0 by r1"


def test_equal_bests_are_counted(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"loss": [1.0, 0.5]}, {"loss": [0.5, 2.0]}]))
    assert titles(drawn(metric_curves(runs))) == ["loss: lowest 0.5 by 2 runs"]


def test_the_curves_of_one_run(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"loss": [3.0, 2.0], "val_loss": [3.0, 2.5]}]))
    figure = drawn(metric_curves(runs))
    assert titles(figure) == ["val_loss: lowest 2.5 at step 1"]
    assert entries(figure) == ["r0", "held out", "training", "best point"]


def test_a_diverged_curve_is_marked_and_does_not_set_the_scale(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"loss": [2.0, 1.0]}, {"loss": [1e100, NAN]}]))
    figure = drawn(metric_curves(runs))
    (axes,) = figure.axes
    assert titles(figure) == ["loss: lowest 1 at step 1 by r0; 1 diverged"]
    assert axes.get_ylim() == pytest.approx((0.94, 2.06))
    (cross,) = [line for line in axes.lines if line.get_marker() == "X"]
    assert np.asarray(cross.get_xydata()).tolist() == [[0, axes.get_ylim()[1]]]
    assert "diverged after this" in entries(figure)


def test_what_was_never_finite_is_no_best(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"loss": [NAN, NAN]}, {"loss": [0.5, INF]}]))
    assert titles(drawn(metric_curves(runs))) == ["loss: 1 diverged; 1 never finite"]


def test_a_value_that_is_too_large_to_draw_may_be_the_best(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"loss": [1.0, -1e308, 2.0]}]))
    assert titles(drawn(metric_curves(runs))) == ["loss: lowest -1e+308 at step 1"]


def test_the_axis_is_logarithmic_when_the_data_asks_for_it(empty_store: Path) -> None:
    low = [0.01 * (1 + number % 7) for number in range(50)]
    made = several([{"a": [1.0, 1e4], "b": [1.0, 999.0], "c": [5.0, *low], "d": [-5.0, *low]}])
    figure = drawn(metric_curves(load(empty_store, *made)))
    scales = [axes.get_yscale() for axes in figure.axes]
    assert scales == ["log", "linear", "log", "linear"]


def test_no_curves_make_a_note(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"m": [1.0], "system/cpu": [1.0, 2.0]}]))
    note = metric_curves(runs)
    assert isinstance(note, Note)
    assert note.text == "No metric has more than one point, so there is no curve to draw."
    assert titles(drawn(metric_curves(runs, "system/cpu"))) == ["system/cpu"]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["val_loss", "train_loss"], [("val_loss", "train_loss")]),
        (["val_loss", "loss"], [("val_loss", "loss")]),
        (["training_loss", "validation_loss"], [("validation_loss", "training_loss")]),
        (["train/loss", "val/loss"], [("val/loss", "train/loss")]),
        (["eval_loss", "loss"], [("eval_loss", "loss")]),
        (["valLoss", "trainLoss"], [("valLoss", "trainLoss")]),
        (["acc/val", "acc/train"], [("acc/val", "acc/train")]),
        (["val_loss", "train_loss_epoch"], [("val_loss", "train_loss_epoch")]),
        # One of each shares a chart: validation before test, what is named training before bare.
        (
            ["test_loss", "val_loss", "loss", "train_loss"],
            [("test_loss", None), ("val_loss", "train_loss"), ("loss", None)],
        ),
        (["val_loss", "train_accuracy"], [("val_loss", None), ("train_accuracy", None)]),
        (["train_val_gap", "gap"], [("train_val_gap", None), ("gap", None)]),
        (["train", "val"], [("train", None), ("val", None)]),
        (["loss", "Loss"], [("loss", None), ("Loss", None)]),
        (["", "_", "損失", "val_損失"], [("", None), ("_", None), ("val_損失", "損失")]),
    ],
)
def test_pairs(names: list[str], found: list[tuple[str, str | None]]) -> None:
    assert panels(names) == [Panel(metric=one, training=other) for one, other in found]


def test_training_is_dotted_in_the_colour_of_its_run(empty_store: Path) -> None:
    made = [{"val_loss": [3.0, 2.0 + i], "train_loss": [1.0, 0.5 + i]} for i in range(2)]
    figure = drawn(metric_curves(load(empty_store, *several(made))))
    assert titles(figure) == ["val_loss: lowest 2 at step 1 by r0"]
    assert figure.axes[0].get_xlabel() == "step (dotted: train_loss)"
    for number in range(2):
        (solid,), (dotted,) = (lines(figure, COLOURS[number], kind) for kind in ("-", ":"))
        assert solid.tolist() == [[0, 3], [1, 2 + number]]
        assert dotted.tolist() == [[0, 1], [1, 0.5 + number]]


@pytest.mark.parametrize("count", [6, 8, 14])
def test_training_of_more_than_six_runs_is_left_out_and_said(count: int, empty_store: Path) -> None:
    made = [{"val_loss": [3.0, 2.0 + i], "loss": [1.0, 0.5]} for i in range(count)]
    figure = drawn(metric_curves(load(empty_store, *several(made)), "val_loss"))
    dotted = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert len(dotted) == 6
    assert ("Training of the first six only" in caption(figure).replace("; t", "; T")) == (
        count > 6
    )


def test_of_training_the_title_tells_where_all_of_it_is_drawn(empty_store: Path) -> None:
    made = several([{"val_loss": [3.0, 2.0], "loss": [1.0, 0.5 + i]} for i in range(7)])
    runs = load(empty_store, *made)
    few = runs.only([run_id(number) for number in range(6)])
    assert titles(drawn(metric_curves(few, "loss"))) == ["loss: lowest 0.5 at step 1 by r0"]
    assert titles(drawn(metric_curves(runs, "loss"))) == ["val_loss: lowest 2 by 7 runs"]


class Spy:
    """A source that notes what histories are asked for."""

    def __init__(self, runs: RunSet) -> None:
        self.asked: list[tuple[int, list[str]]] = []
        self._source = runs.source
        self.runs = replace(runs, source=self, _cache={})

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
        self.asked.append((len(run_ids), sorted(metrics)))
        return self._source.history(run_ids, metrics)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def test_only_the_histories_that_are_drawn_are_read(empty_store: Path) -> None:
    logged = {f"m{number:04}": [1.0, 2.0] for number in range(2000)}
    spy = Spy(load(empty_store, *several([logged, *[{"m0000": [1.0, 2.0]}] * 20])))
    figure = drawn(metric_curves(spy.runs))
    assert len(titles(figure)) == 6
    assert "6 of 2,000 metrics drawn" in caption(figure)
    first_six = [f"m{number:04}" for number in range(6)]
    assert all(set(names) <= set(first_six) for _, names in spy.asked)
    assert spy.asked[-1] == (21, first_six)


def test_of_many_metrics_without_a_curve_it_is_said_how_many_were_asked(empty_store: Path) -> None:
    spy = Spy(load(empty_store, *several([{f"m{number}": [1.0] for number in range(500)}])))
    note = metric_curves(spy.runs)
    assert isinstance(note, Note)
    assert note.text.startswith("None of the 120 most telling of 500 metrics has more than one")
    assert len({name for _, names in spy.asked for name in names}) == 120


def test_a_curve_that_few_runs_have_is_found(empty_store: Path) -> None:
    # The first, the middle and the last of those that logged it have one point of it.
    made: list[dict[str, list[float]]] = [{"loss": [1.0]} for _ in range(20)]
    made[3] = {"loss": [1.0, 2.0]}
    assert pairs.choose(load(empty_store, *several(made))).names == ["loss"]


def at(*points: tuple[int, float, float]) -> list[tuple[int, int, float]]:
    """Points of (step, seconds after the start of the run, value)."""
    return [(step, T0 + round(1000 * after), value) for step, after, value in points]


def test_by_time_since_the_start_of_each_run(empty_store: Path) -> None:
    early, late, timeless = several(
        [
            {"loss": at((0, 0, 3.0), (1, 600, 2.0))},
            # Steps that were logged in another order than they are counted.
            {"loss": at((0, 700, 1.0), (1, 400, 2.5))},
            {"loss": at((0, 0, 0.5), (1, 600, 0.5))},
        ]
    )
    late, timeless = replace(late, started=T0 + 100_000), replace(timeless, started=None)
    figure = drawn(metric_curves(load(empty_store, early, late, timeless), x="time"))
    assert titles(figure) == ["loss: lowest 1 after 10 minutes by r1"]
    assert figure.axes[0].get_xlabel() == "minutes since the run's start"
    assert lines(figure, COLOURS[0])[0].tolist() == [[0, 3], [10, 2]]
    assert lines(figure, COLOURS[1])[0].tolist() == [[5, 2.5], [10, 1]]
    assert caption(figure) == (
        "2 points without a time since the run's start left out, among them all of 1 run"
    )


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(90, "seconds"), (120, "minutes"), (7199, "minutes"), (7200, "hours"), (172_800, "days")],
)
def test_the_unit_of_time(seconds: int, unit: str, empty_store: Path) -> None:
    runs = load(empty_store, *several([{"m": at((0, 0, 1.0), (1, seconds, 2.0))}]))
    axes = drawn(metric_curves(runs, x="time")).axes[0]
    assert axes.get_xlabel() == f"{unit} since the run's start"


def test_by_epoch(empty_store: Path) -> None:
    made = several(
        [
            {"loss": [4.0, 3.0, 2.0, 1.0, 0.5], "epoch": [0.0, 0.0, 1.0, 1.0]},
            {"loss": [4.0, 0.25]},
        ]
    )
    figure = drawn(metric_curves(load(empty_store, *made), x="epoch"))
    # The last of each epoch; the fifth point and the second run have none.
    assert lines(figure, COLOURS[0])[0].tolist() == [[0, 3], [1, 1]]
    assert titles(figure) == ["loss: lowest 1 at epoch 1 by r0"]
    assert caption(figure) == (
        "3 points without an epoch left out, among them all of 1 run; "
        "the last point of each epoch drawn"
    )


def test_no_epochs_make_a_note(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"loss": [1.0, 2.0]}], [{"lr": "1"}]))
    note = metric_curves(runs, x="epoch")
    assert isinstance(note, Note)
    assert "mlflow.log_metrics" in note.text


def test_an_axis_or_a_smoothing_that_there_is_not(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"loss": [1.0, 2.0]}]))
    for function in (metric_curves, group_curves):
        with pytest.raises(UsageError, match="no axis stpe") as caught:
            function(runs, "loss", x="stpe")
        assert caught.value.hint == "known: step, time, epoch"
    for wrong in (1.0, -0.1, NAN):
        with pytest.raises(UsageError, match="smoothing"):
            metric_curves(runs, smoothing=wrong)


def test_smoothing_agrees_with_pandas() -> None:
    """pandas: ``ewm(adjust=True)`` weighs the values by (1 - alpha) ** i and divides by the sum of
    the weights, which is TensorBoard's moving average with its bias corrected."""
    values = np.random.default_rng(0).normal(size=1000)
    values[[3, 500, 999]] = NAN
    for weight in (0.0, 0.3, 0.6, 0.99):
        expected = pd.Series(values).ewm(alpha=1 - weight, adjust=True, ignore_na=True).mean()
        expected[np.isnan(values)] = NAN
        np.testing.assert_allclose(smoothed(values, weight), expected, rtol=1e-10)


def test_smoothing_passes_what_is_not_finite_through() -> None:
    found = smoothed(np.array([1.0, INF, 3.0, -INF, NAN]), 0.5)
    # By hand: (0.5 * 1 * 0.5 + 0.5 * 3) / (1 - 0.25)
    np.testing.assert_allclose(found, [1.0, INF, 7 / 3, -INF, NAN])
    constant = np.array([0.1, NAN, 0.1])
    np.testing.assert_array_equal(smoothed(constant, 0.9), constant)


def test_smoothing_is_drawn_over_what_was_logged(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"loss": [1.0, 0.0, 1.0]}]))
    figure = drawn(metric_curves(runs, smoothing=0.5))
    raw, smooth = (line for line in figure.axes[0].lines if line.get_color() == COLOURS[0])
    assert raw.get_alpha() == 0.25
    np.testing.assert_allclose(np.asarray(raw.get_ydata()), [1, 0, 1])
    np.testing.assert_allclose(np.asarray(smooth.get_ydata()), [1, 1 / 3, 5 / 7])
    assert titles(figure) == ["loss: lowest 0 at step 1"], "the best is of what was logged"
    assert caption(figure) == "Smoothed 0.5 (exponential moving average), as logged faintly behind"


def test_thinning_keeps_every_peak() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=100_000)
    values[[31_415, 92_653]] = 50.0, -50.0
    values[1000:2000] = NAN
    kept = thin(values, 600)
    assert len(kept) <= 600
    assert (kept[0], kept[-1]) == (0, 99_999)
    assert {31_415, 92_653} <= set(kept)
    assert list(thin(values[:600], 600)) == list(range(600))


@pytest.mark.parametrize("size", [0, 1, 5, 40, 41, 43, 79, 1001])
@pytest.mark.parametrize("what", ["rising", "constant", "nan", "inf"])
def test_thinning_at_the_edges(size: int, what: str) -> None:
    values = {
        "rising": np.arange(size, dtype=float),
        "constant": np.ones(size),
        "nan": np.full(size, NAN),
        "inf": np.where(np.arange(size) % 2, INF, -INF),
    }[what]
    kept = thin(values, 40)
    assert len(kept) <= 40
    assert list(kept) == sorted(set(kept.tolist()) & set(range(size)))
    assert size == 0 or (kept[0], kept[-1]) == (0, size - 1)


def test_down_sampling_is_said(empty_store: Path) -> None:
    runs = load(empty_store, *several([{"m": np.sin(np.arange(5000) / 50).tolist()}]))
    figure = drawn(metric_curves(runs))
    (line,) = lines(figure, COLOURS[0])
    assert len(line) <= 600
    assert caption(figure) == f"{len(line)} of 5,000 points drawn, highs and lows kept"


def test_many_grey_lines_are_thinned_harder(empty_store: Path) -> None:
    values = np.sin(np.arange(200) / 9).tolist()
    runs = load(empty_store, *several([{"m": values}] * 720))
    figure = drawn(metric_curves(runs))
    (grey,) = [one for one in figure.axes[0].collections if isinstance(one, LineCollection)]
    assert max(len(one) for one in grey.get_segments()) <= 60_000 // 708
    assert "of 144,000 points drawn" in caption(figure)


HARD: dict[str, list[Any]] = {
    "steps at both ends": [(-(2**63), T0, 1.0), (LAST_STEP, T0, 2.0)],
    "one step": [(5, T0 + after, float(after)) for after in range(4)],
    "last step": [(LAST_STEP - 1, T0, 1.0), (LAST_STEP, T0, 0.5)],
    "constant": [3.0] * 5,
    "zero": [0.0] * 3,
    "never finite": [NAN] * 3,
    "infinite": [INF, 1.0, -INF],
    "huge": [1.7e308, -1.7e308, 1e149, 5e-324, 0.0],
    "tiny": [5e-324, 1e-300, 1e149],
    "no dates": [(0, 2**62, 1.0), (1, 0, 2.0), (2, -(2**62), 3.0)],
}


@pytest.mark.parametrize("x", ["step", "time", "epoch"])
@pytest.mark.parametrize("what", HARD)
def test_nothing_logged_breaks_a_chart(what: str, x: str, empty_store: Path) -> None:
    name, points = "$\\frac{" + "n" * 200, HARD[what]
    logged: dict[str, Sequence[Any]] = {name: points, "epoch": points, "y" + name: [1.0, 2.0]}
    made = several([logged] * 14, [{"$p$" * 60: "$v$" * 2000}] * 14)
    made = [replace(run, name="$x_1$ 汉" * 1000) for run in made[:2]] + made[2:]
    made[3] = replace(made[3], started=2**62)
    runs = load(empty_store, *made)
    one = runs.only([run_id(0)])
    for result in (
        metric_curves(runs, name, x, smoothing=0.6),
        metric_curves(one, x=x),
        group_curves(runs, name, x=x),
    ):
        if isinstance(result, Figure):
            drawn(result)
            assert len(result.alt) < 400
        else:
            assert len(result.text) < 400


def test_runs_that_share_no_metric_and_no_runs_at_all(empty_store: Path) -> None:
    made = several([{"loss": [1.0, 2.0]}, {"f1": [0.5, 0.25]}, {}])
    runs = load(empty_store, *made)
    figure = drawn(metric_curves(runs))
    assert titles(figure) == ["f1: highest 0.5 at step 0 by r1", "loss: lowest 1 at step 0 by r0"]
    assert entries(figure)[:2] == ["r0", "r1"]
    assert isinstance(metric_curves(runs.only([])), Note)
    assert isinstance(group_curves(runs.only([]), "loss"), Note)
    assert value_at(runs.only([]), step=1).empty


def repeated(*curves: Sequence[Any], lr: Sequence[str] = ()) -> list[Run]:
    """Runs of one metric that differ in a seed, and in ``lr`` where it is given."""
    values = lr or ["1"] * len(curves)
    params = [{"lr": one, "seed": str(seed)} for seed, one in enumerate(values)]
    return several([{"loss": points} for points in curves], params)


def test_a_group_is_its_mean_and_its_spread(empty_store: Path) -> None:
    made = repeated([4.0, 1.0, 3.0], [4.0, 2.0], [4.0, 3.0, 5.0])
    figure = drawn(group_curves(load(empty_store, *made), "loss"))
    # By hand: 1, 2, 3 are 2 ± 1; two of three runs have a third step.
    assert titles(figure) == ["loss: lowest mean 2.0 ± 1.0 (std of 3 runs) at step 1"]
    assert lines(figure, COLOURS[0])[0].tolist() == [[0, 4], [1, 2], [2, 4]]
    (band,) = figure.axes[0].collections
    vertices = band.get_paths()[0].vertices
    at_two = [value for step, value in np.asarray(vertices) if step == 2]
    assert min(at_two) == pytest.approx(4 - 2**0.5)
    assert max(at_two) == pytest.approx(4 + 2**0.5)
    assert entries(figure) == ["all (2 to 3 runs)"]
    assert caption(figure) == (
        "Mean ± standard deviation at steps where two runs or more have a value"
    )


def test_mean_and_deviation_agree_with_pandas() -> None:
    """pandas: groupby(step).agg(mean, std, count) over points drawn at random."""
    rng = np.random.default_rng(1)
    curves, frames = [], []
    for number in range(5):
        steps = np.sort(rng.choice(50, size=30, replace=False))
        values = rng.normal(1e6, 1e-3, size=30)
        curves.append(Series(x=steps.astype(float), step=steps, value=values))
        frames.append(pd.DataFrame({"run": number, "step": steps, "value": values}))
    table = pd.concat(frames).groupby("step")["value"].agg(["mean", "std", "count"])
    table = table[table["count"] > 1]
    found = fold(curves, x="step")
    assert found.x.tolist() == table.index.tolist()
    np.testing.assert_allclose(found.mean, table["mean"], rtol=1e-14)
    np.testing.assert_allclose(found.std, table["std"], rtol=1e-5)
    assert found.n.tolist() == table["count"].tolist()


def test_groups_are_coloured_and_the_best_come_first(empty_store: Path) -> None:
    lr = [str(number // 2) for number in range(16)]
    made = repeated(*[[9.0, float(number // 2)] for number in range(16)], lr=lr)
    spy = Spy(load(empty_store, *made))
    figure = drawn(group_curves(spy.runs, "loss"))
    assert entries(figure) == [f"lr={number} (2 runs)" for number in range(6)]
    assert titles(figure) == ["loss: lowest mean 0 ± 0 (std of 2 runs) at step 1 by lr=0"]
    assert "6 of 8 groups drawn, those with the best last values" in caption(figure)
    assert [line.get_color() for line in figure.axes[0].lines] == list(COLOURS)
    assert spy.asked == [(12, ["loss"])]
    by_seed = group_curves(spy.runs, "loss", by="seed")
    assert isinstance(by_seed, Note)
    assert by_seed.text == "No group has two runs that logged loss."


def test_without_a_direction_the_largest_groups_come_first(empty_store: Path) -> None:
    lr = ["a", "a", "b", "b", "b"]
    params = [{"lr": one, "seed": str(seed)} for seed, one in enumerate(lr)]
    runs = load(empty_store, *several([{"m": [1.0, 2.0]}] * 5, params))
    figure = drawn(group_curves(runs, "m"))
    assert entries(figure) == ["lr=b (3 runs)", "lr=a (2 runs)"]
    assert titles(figure) == ["m: mean ± std of 2 to 3 runs"]


def test_runs_at_other_steps_are_interpolated_and_it_is_said(empty_store: Path) -> None:
    made = repeated([(0, T0, 0.0), (10, T0, 10.0)], [(1, T0, 3.0), (9, T0, 11.0)])
    figure = drawn(group_curves(load(empty_store, *made), "loss"))
    (line,) = lines(figure, COLOURS[0])
    # Values x and x + 2, where both have one: nothing goes beyond the ends of either.
    assert line[:, 0].min() >= 1
    assert line[:, 0].max() <= 9
    np.testing.assert_allclose(line[:, 1], line[:, 0] + 1)
    assert "interpolated between points" in caption(figure)


def test_groups_by_time_and_by_epoch(empty_store: Path) -> None:
    made = repeated(at((0, 0, 0.0), (1, 600, 10.0)), at((0, 0, 2.0), (1, 300, 7.0), (2, 600, 12.0)))
    epochs = [at((0, 0, 1.0), (1, 600, 2.0)), at((0, 0, 1.0), (2, 600, 2.0))]
    made = [
        replace(run, metrics={**run.metrics, "epoch": epoch})
        for run, epoch in zip(made, epochs, strict=True)
    ]
    runs = load(empty_store, *made)
    by_time = drawn(group_curves(runs, "loss", x="time"))
    (line,) = lines(by_time, COLOURS[0])
    np.testing.assert_allclose(line[:, 1], line[:, 0] + 1)
    assert by_time.axes[0].get_xlabel() == "minutes since the run's start"
    assert "at times where two runs or more have a value, interpolated" in caption(by_time)
    by_epoch = drawn(group_curves(runs, "loss", x="epoch"))
    assert lines(by_epoch, COLOURS[0])[0].tolist() == [[1, 1], [2, 11]]
    assert "interpolated" not in caption(by_epoch)
    assert "1 point without an epoch left out" in caption(by_epoch)


def test_what_is_not_finite_is_left_out_of_a_group(empty_store: Path) -> None:
    made = repeated([1.0, 2.0, 3.0], [1.0, 4.0, 3.0], [1.0, NAN, 1e300])
    figure = drawn(group_curves(load(empty_store, *made), "loss"))
    assert lines(figure, COLOURS[0])[0].tolist() == [[0, 1], [1, 3], [2, 3]]
    assert "what is not finite left out (1 run)" in caption(figure)


def test_groups_without_curves_make_a_note(empty_store: Path) -> None:
    runs = load(empty_store, *repeated([1.0], [2.0]))
    for metric, text in (
        ("loss", "No group has two runs with a curve of loss."),
        ("absent", "There is no metric to follow over groups of runs."),
        (None, "There is no metric to follow over groups of runs."),
    ):
        note = group_curves(runs, metric)
        assert isinstance(note, Note)
        assert note.text == text
    with pytest.raises(NotFoundError, match="momentum"):
        group_curves(runs, "loss", by="momentum")


def test_the_value_at_a_step(empty_store: Path) -> None:
    runs = load(
        empty_store,
        *several(
            [
                {"loss": [3.0, 2.0, 1.0, 0.5], "f1": [(1, T0, 0.25), (3, T0, 0.75)]},
                # Logged twice at one step: the later one counts. It never came to step 2.
                {"loss": [(0, T0, 9.0), (1, T0, 5.0), (1, T0 + 1, NAN)]},
                {"loss": [(7, T0, 1.0)], "f1": [(2, T0, NAN)]},
            ]
        ),
    )
    table = value_at(runs, ["loss", "f1"], step=2)
    assert list(table.columns) == ["r0", "r1", "r2"]
    assert list(table.index) == ["loss", "f1"]
    assert table["r0"].tolist() == [1.0, 0.25]
    assert table["r1"].isna().all()
    assert table.loc["loss", "r2"] is pd.NA, "not logged by then"
    assert np.isnan(table.loc["f1", "r2"]), "logged as NaN"
    assert np.isnan(value_at(runs, ["loss"], step=1).loc["loss", "r1"])
    assert list(value_at(runs, step=0).index) == ["loss", "f1"]
    for extreme in (-(2**70), 2**70):
        assert value_at(runs, ["loss", "f1"], step=extreme).isna().all().all()
    with pytest.raises(NotFoundError, match="lss") as caught:
        value_at(runs, ["lss"], step=1)
    assert "loss" in caught.value.hint


def test_by_default_the_step_is_the_last_that_all_finished_runs_got_to(empty_store: Path) -> None:
    made = several([{"loss": [float(n) for n in range(9, 9 - length, -1)]} for length in (5, 4, 2)])
    made.append(replace(made[0], run_id=run_id(9), name="once", metrics={"loss": curve([0.5])}))
    made[2].status = "FAILED"
    table = value_at(load(empty_store, *made))
    assert table.columns.name == "at step 3"
    assert table.loc["loss"].tolist()[:2] == [6.0, 6.0]
    assert table.loc["loss"].isna().tolist() == [False, False, True, True]


def test_grey_is_for_runs_without_a_name(empty_store: Path) -> None:
    made = several([{"loss": [1.0, 2.0 + i]} for i in range(13)])
    made[12] = replace(made[12], metrics={"loss": curve([1.0])})
    figure = drawn(metric_curves(load(empty_store, *made), "loss"))
    assert grey_lines(figure) == 1
    assert not lines(figure, GREY)
