"""What was tried, drawn and counted; and the front of two metrics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import HOSTILE
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from scipy import stats
from sklearn.metrics import homogeneity_score
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer
from qualia_lab.analysis.parallel import parallel_coordinates
from qualia_lab.analysis.pareto import pareto_chart, pareto_front, unbeaten
from qualia_lab.analysis.scales import fits_log, number_scale, param_scale, window
from qualia_lab.analysis.search_space import param_distributions, param_ranges, param_scatter
from qualia_lab.analysis.show import Figure, Note
from qualia_lab.analysis.space import Param, determined, levels, median, varied_params
from qualia_lab.model import Query, RunSet

INF, NAN = float("inf"), float("nan")
CHARTS = (parallel_coordinates, param_scatter, param_distributions, pareto_chart)


def load(
    store: Path,
    params: Sequence[Mapping[str, str]],
    metrics: Mapping[str, Sequence[float | None]],
    seconds: Sequence[float] = (),
) -> RunSet:
    """A run a dict of params; a value a run of each metric, None where not logged."""
    made = [
        Run(
            run_id=run_id(n),
            name=f"run {n}",
            params=one,
            metrics={
                name: curve([value])
                for name, values in metrics.items()
                if (value := values[n]) is not None
            },
            ended=T0 + int(1000 * seconds[n]) if seconds else T0 + 1000,
        )
        for n, one in enumerate(params)
    ]
    fill(store, made)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in made)))


def one_param(values: Sequence[str | None]) -> Param:
    (found,) = varied_params(pd.DataFrame({"p": values}))
    return found


def texts(figure: Figure) -> str:
    """All that is written in a figure."""
    parts = [figure.get_suptitle(), figure.get_supxlabel()]
    for axes in figure.axes:
        parts += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        parts += [text.get_text() for text in axes.texts]
        parts += [label.get_text() for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]]
    return "\n".join(parts)


# Params


def test_numbers_are_numbers_where_all_of_them_are() -> None:
    frame = pd.DataFrame(
        {
            "lr": ["0.1", "1e-3", None, "0.10"],
            "mixed": ["1", "auto", "1", "2"],
            "same": ["1", "1.0", "1", "1"],
            "seed": ["1", "2", "3", "4"],
        }
    )
    lr, mixed = varied_params(frame)
    assert (lr.names, lr.kind, lr.labels, lr.missing) == (("lr",), "number", ("0.001", "0.1"), 1)
    assert lr.codes.tolist() == [1, 0, -1, 1]
    assert (mixed.names, mixed.kind, mixed.labels) == (("mixed",), "category", ("1", "auto", "2"))


def test_a_random_search_does_not_make_all_numbers_one() -> None:
    """Where each run has values of its own, any two params look as if they changed together."""
    random = np.random.default_rng(0)
    a, b = random.random((2, 12))
    frame = (
        pd.DataFrame({"a": a, "b": b, "minus_a": -a})
        .map(repr)
        .replace(r"^np.*\((.*)\)$", r"\1", regex=True)
    )
    found = varied_params(frame)
    assert [one.names for one in found] == [("a", "minus_a"), ("b",)]
    assert found[0].label == "a / minus_a (always change together)"


def test_not_logged_is_a_value_too() -> None:
    found = varied_params(pd.DataFrame({"a": ["1", None, "1", None], "b": ["x", "y", "x", "y"]}))
    assert [one.names for one in found] == [("a", "b")]


def test_how_much_one_param_tells_of_another() -> None:
    """Theil's coefficient is scikit-learn's homogeneity (Rosenberg and Hirschberg 2007)."""
    random = np.random.default_rng(0)
    for _ in range(5):
        a, b = random.integers(0, 4, (2, 30)).astype(str)
        one, other = one_param(list(a)), one_param(list(b))
        assert determined(one, by=other) == pytest.approx(homogeneity_score(a, b))


def test_the_metric_at_each_value_and_in_ranges() -> None:
    few = levels(one_param(["2", "1", None, "2", "1", "2"]), np.array([5.0, 1, 9, 7, 3, 6]))
    assert few.to_numpy().tolist() == [["1", 2, 2.0], ["2", 3, 6.0], ["not logged", 1, 9.0]]
    many = levels(one_param([str(n) for n in range(20)]), np.arange(20.0))
    assert many["label"].tolist() == ["0 to 4", "5 to 9", "10 to 14", "15 to 19"]
    assert many["median"].tolist() == [2.0, 7.0, 12.0, 17.0]


def test_a_median_of_numbers_whose_sum_is_too_large() -> None:
    assert median(np.array([1.7e308, 1.7e308])) == 1.7e308
    for size in (4, 5):
        values = np.random.default_rng(0).normal(size=size)
        assert median(values) == pytest.approx(np.median(values))


# Axes


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([1, 2, 4, 8, 16, 32, 64], True),
        ([1e-5, 1e-3, 1e-1], True),
        ([1, 2, 3, 4, 5], False),
        ([10, 50, 100], False),
        ([0, 1e-4, 1e-2], False),
        ([-1, 10, 1000], False),
        ([1e-5, 1], True),
        ([0.1, 1], False),
        ([0.001, *np.linspace(0.1, 10, 40)], False),
        ([5e-324, 1e149], True),
    ],
)
def test_which_numbers_fit_a_logarithmic_axis(values: list[float], log: bool) -> None:
    assert fits_log(np.array(values, dtype="float64")) is log


def test_where_numbers_stand_on_an_axis() -> None:
    log = number_scale(np.array([0.001, NAN, 0.1, 1.0]))
    assert log.kind == "log"
    assert log.places.tolist() == pytest.approx([0, NAN, 2 / 3, 1], nan_ok=True)
    assert log.ticks == ((0.0, "0.001"), (pytest.approx(2 / 3), "0.1"), (1.0, "1"))
    crowded = number_scale(np.array([0, 1e-5, 1e-4, 1.0]))
    assert (crowded.kind, crowded.places.tolist()) == ("even", pytest.approx([0, 1 / 3, 2 / 3, 1]))
    linear = number_scale(np.arange(101.0))
    assert linear.ticks[0] == (0.0, "0")
    assert linear.ticks[-1] == (1.0, "100")
    assert linear.places[25] == pytest.approx(0.25)


def test_rare_categories_share_a_place() -> None:
    values = [name for n, name in enumerate("abcdefghijkl") for _ in range(24 - 2 * n)]
    scale = param_scale(one_param(values))
    assert [label for _, label in scale.ticks] == [*"abcdefg", "5 others"]
    assert scale.places[values.index("h")] == scale.places[values.index("l")] == 1.0


def test_an_axis_ends_where_most_values_do() -> None:
    assert window(np.array([0.0, 2, 3, 4, 1e6])) == (0.0, 4.0)
    assert window(np.array([1.0, 2, 3, 4, 9])) == (1.0, 9.0)
    # A logarithmic axis shows them all.
    assert window(np.array([0.001, 2, 3, 4, 1e6])) == (0.001, 1e6)


# What was tried


def test_ranges_by_hand(empty_store: Path) -> None:
    params = [{"lr": lr, "model": model, "k": "1"} for lr in ("0.1", "0.01", "1") for model in "ab"]
    params += [{"lr": "1"}]
    runs = load(empty_store, params, {"loss": [6, 5, 4, 3, 2, 1, 9.0]})
    table = param_ranges(runs, "loss")
    assert list(table.index) == ["k", "lr", "model"]
    assert table.loc["lr"].tolist() == [
        "number",
        7,
        3,
        0.01,
        1.0,
        "1 (3), 0.01 (2), 0.1 (2)",
        "1",
        "highest",
    ]
    model = table.loc["model"]
    assert model["kind"] == "category"
    assert model["runs"] == 6
    assert np.isnan(model["lowest"])
    assert (model["most frequent"], model["best run"], model["edge"]) == ("a (3), b (3)", "b", "")
    assert "best run" not in param_ranges(runs)
    assert "best run" not in param_ranges(runs, "nope")


def test_two_values_have_no_edge(empty_store: Path) -> None:
    runs = load(empty_store, [{"lr": "1"}, {"lr": "2"}], {"loss": [1.0, 2.0]})
    assert param_ranges(runs, "loss").loc["lr", "edge"] == ""


def test_distributions_count_runs_and_the_best_quarter(empty_store: Path) -> None:
    params = [{"lr": "0.1" if n < 6 else "0.2"} for n in range(16)]
    runs = load(empty_store, params, {"loss": [float(n) for n in range(16)]})
    figure = param_distributions(runs, "loss")
    assert isinstance(figure, Figure)
    everybody, best = (
        [bar.get_extents() for bar in bars.get_paths()] for bars in figure.axes[0].collections
    )
    assert [(bar.y0, bar.y1) for bar in everybody] == [(0, 6), (0, 10)]
    assert [(bar.y0, bar.y1) for bar in best] == [(0, 4)]
    assert (best[0].x0, best[0].x1) == (everybody[0].x0, everybody[0].x1)
    assert figure.axes[0].get_ylim()[0] == 0
    assert figure.get_suptitle() == "What 16 runs tried; blue: the 4 best by loss"
    plain = param_distributions(runs)
    assert isinstance(plain, Figure)
    assert "best" not in plain.get_suptitle()


def test_scatter_says_what_moves_with_the_metric(empty_store: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.random(30), random.random(30)
    loss = 3 * x + y
    params = [{"x": f"{a:.6f}", "kind": "abc"[n % 3]} for n, a in enumerate(x)]
    figure = param_scatter(load(empty_store, params, {"loss": list(loss)}), "loss")
    assert isinstance(figure, Figure)
    rho = stats.spearmanr(x, loss).statistic
    assert figure.get_suptitle() == f"loss rises most steadily with x (Spearman's ρ {rho:+.2f})"
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert set(panels) == {f"x: ρ {rho:+.2f}", "kind"}
    dots, medians = panels["kind"].lines
    assert sorted(dots.get_ydata()) == pytest.approx(sorted(loss))
    assert list(medians.get_ydata()) == pytest.approx([np.median(loss[n::3]) for n in range(3)])


def test_scatter_does_not_name_a_trend_that_may_be_chance(empty_store: Path) -> None:
    random = np.random.default_rng(1)
    params = [{"x": f"{random.random():.6f}"} for _ in range(20)]
    figure = param_scatter(load(empty_store, params, {"loss": list(random.random(20))}), "loss")
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() == "loss neither rises nor falls steadily with any number"


def test_scatter_keeps_values_far_off_at_the_edge(empty_store: Path) -> None:
    params = [{"x": str(n)} for n in range(20)]
    values = [0.0, *np.linspace(1, 2, 18), 1e9]
    figure = param_scatter(load(empty_store, params, {"r2": values}), "r2")
    assert isinstance(figure, Figure)
    assert "triangles: 1 run beyond 0 to 2" in figure.get_supxlabel()
    assert figure.axes[0].get_ylim()[1] < 3


def test_parallel_coordinates_draw_each_run_and_what_it_lacks(empty_store: Path) -> None:
    params = [{"lr": lr, "model": "ab"[n % 2]} for n, lr in enumerate(["0.001", "0.1", "1"] * 4)]
    params.append({"model": "a"})
    params.append({"model": "b", "lr": "1"})
    loss = [*np.arange(13.0), NAN]
    figure = parallel_coordinates(load(empty_store, params, {"loss": loss}), "loss")
    assert isinstance(figure, Figure)
    lines, *ticks = (one for one in figure.axes[0].collections if isinstance(one, LineCollection))
    paths = np.array(lines.get_segments())
    assert paths.shape == (13, 3, 2)
    assert [len(one.get_segments()) for one in ticks][:2] == [2, 4]  # model; lr and "not logged"
    best_last = paths[-1][:, 1]
    assert best_last[-1] == 0.0
    worst = paths[0]
    assert worst[-1, 1] == 1.0
    assert worst[:, 1].min() < -0.05  # the run without lr passes below its axis
    assert lines.get_linewidths()[-1] > lines.get_linewidths()[0]
    shown = texts(figure)
    assert "13 of 14 runs" in shown
    for said in ("0.001", "0.1", "not logged", "less is better", "log", "lr", "model"):
        assert said in shown.split("\n")


def test_parallel_coordinates_say_what_the_best_share(empty_store: Path) -> None:
    random = np.random.default_rng(0)
    params = [{"opt": "abcd"[n % 4], "x": f"{random.random():.3f}"} for n in range(40)]
    gain = [10 * (n % 4 == 2) + random.random() for n in range(40)]
    figure = parallel_coordinates(load(empty_store, params, {"accuracy": gain}), "accuracy")
    assert isinstance(figure, Figure)
    title = figure.axes[0].get_title(loc="left")
    assert title == "The 4 best of 40 runs by accuracy have opt c"


def test_parallel_coordinates_of_many_params_say_how_many(empty_store: Path) -> None:
    random = np.random.default_rng(0)
    params = [
        {f"layers.{k}.size": str(random.integers(1, 7)) for k in range(20)} for _ in range(12)
    ]
    figure = parallel_coordinates(
        load(empty_store, params, {"loss": [float(n % 5) for n in range(12)]}), "loss"
    )
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_xlabel() == "12 runs; 8 of 20 params that vary"
    lines, *ticks = (one for one in figure.axes[0].collections if isinstance(one, LineCollection))
    assert np.array(lines.get_segments()).shape[1] == 9
    assert len(ticks) == 9


# Two metrics


def brute_force(points: np.ndarray) -> list[bool]:
    return [
        not any((other <= one).all() and (other < one).any() for other in points) for one in points
    ]


def test_the_front_is_what_all_pairs_say() -> None:
    random = np.random.default_rng(0)
    for size, high in itertools.product((1, 2, 7, 40), (2, 5, 1000)):
        points = random.integers(0, high, (size, 2)).astype("float64")
        assert unbeaten(points).tolist() == brute_force(points)


def test_a_published_front() -> None:
    """Deb (2001), Multi-Objective Optimization using Evolutionary Algorithms: the twelve solutions
    of problem Min-Ex, f1 = x1 and f2 = (1 + x2) / x1, that his sorting examples use; the best
    front is 5, a, e."""
    points = {
        "1": (0.31, 6.10), "2": (0.43, 6.79), "3": (0.22, 7.09), "4": (0.59, 7.85),
        "5": (0.66, 3.65), "6": (0.83, 4.23), "a": (0.21, 5.90), "b": (0.79, 3.97),
        "c": (0.51, 6.51), "d": (0.27, 6.93), "e": (0.58, 4.52), "f": (0.24, 8.54),
    }  # fmt: skip
    front = unbeaten(np.array(list(points.values())))
    assert {name for name, here in zip(points, front, strict=True) if here} == {"5", "a", "e"}


def test_the_front_of_runs(empty_store: Path) -> None:
    metrics = {
        "accuracy": [0.9, 0.8, 0.7, 0.6, NAN, 0.95],
        "latency_ms": [9.0, 5.0, 6.0, 1.0, 0.5, None],
    }
    runs = load(empty_store, [{}] * 6, metrics)
    table = pareto_front(runs, "accuracy")
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["accuracy", "latency_ms"]
    assert list(table.index) == ["run 0", "run 1", "run 3"]
    assert table.columns.name == "3 of 4 runs"
    figure = pareto_chart(runs, "accuracy")
    assert isinstance(figure, Figure)
    assert (
        figure.axes[0].get_title(loc="left")
        == "3 of 4 runs are beaten by no other in both accuracy and latency_ms"
    )
    assert "4 of 6 runs have both" in texts(figure)
    turned = pareto_front(runs.judging("latency_ms", "max"), "accuracy", "latency_ms")
    assert isinstance(turned, pd.DataFrame)
    assert list(turned.index) == ["run 0"]


def test_a_metric_that_agrees_is_passed_over_for_one_that_does_not(empty_store: Path) -> None:
    rise = [float(n) for n in range(10)]
    metrics = {"val_loss": rise, "train_loss": rise, "val_accuracy": [-n for n in rise]}
    runs = load(empty_store, [{}] * 10, {**metrics, "test_loss": rise[::-1]})
    table = pareto_front(runs, "val_loss")
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["val_loss", "test_loss"]


def test_the_duration_is_a_cost(empty_store: Path) -> None:
    runs = load(empty_store, [{}] * 6, {"loss": [6.0, 5, 4, 3, 2, 1]}, [1.5, 2, 3, 4, 5, 6])
    table = pareto_front(runs, "loss")
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["loss", "duration (s)"]
    assert table["duration (s)"].tolist() == [6, 5, 4, 3, 2, 1.5]


@pytest.mark.parametrize(
    ("metric", "other", "said"),
    [
        (None, None, "no metric to weigh"),
        ("nope", None, "No run has a finite last value of nope"),
        ("odd", None, "Whether more or less of odd is better is not known"),
        ("loss", "odd", "Whether more or less of odd is better is not known"),
        ("loss", "nope", "No run has a finite last value of nope"),
        ("loss", "error", "Less than two runs have both loss and error"),
        ("loss", None, "no second metric that pulls against loss"),
    ],
)
def test_where_there_is_no_front(
    empty_store: Path, metric: str | None, other: str | None, said: str
) -> None:
    metrics = {"loss": [1.0, 2, None], "odd": [1.0, 2, 3], "error": [1.0, None, 2]}
    runs = load(empty_store, [{}] * 3, metrics)
    for found in (pareto_front(runs, metric, other), pareto_chart(runs, metric, other)):
        assert isinstance(found, Note)
        assert said in found.text


def test_names_on_the_front_do_not_overlap(empty_store: Path) -> None:
    """Thirty runs on the front, nearly all at one height."""
    fall = [1 - 1e-3 * n for n in range(29)]
    metrics = {"loss": [*fall, 0.0], "latency_ms": [float(n) for n in range(30)]}
    figure = pareto_chart(load(empty_store, [{}] * 30, metrics), "loss")
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    names = [text for text in figure.axes[0].texts if text.get_text()]
    assert len(names) == 12
    assert "12 of 30 on the front named" in texts(figure)
    # Without the line that joins it to its point, which may pass behind other names.
    for text in names:
        text.arrow_patch.set_visible(False)  # type: ignore[attr-defined]
    boxes = [super(type(text), text).get_window_extent(canvas.get_renderer()) for text in names]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


# Bad input


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize(
    "value",
    [
        lambda n: [1e308, -1e308, 5e-324, 0.0, NAN, INF, 3.0][n % 7],
        lambda n: 5e-324 * (n % 3),
        lambda n: 1e149 * (-1) ** n,
        lambda n: 0.5,
        lambda n: NAN,
        lambda n: 1 + 1e-15 * n,
    ],
)
def test_nothing_logged_breaks_a_chart(
    empty_store: Path, chart: Callable[..., Figure | Note], value: Callable[[int], float]
) -> None:
    params = [
        {
            **{name[:250]: HOSTILE[(n + k) % len(HOSTILE)] for k, name in enumerate(HOSTILE)},
            "huge": str(10 ** (n * 10)),
            "tiny": ["5e-324", "1e-323", "0"][n % 3],
            "ends": ["1e308", "-1e308", "1e149", "-1e149"][n % 4],
            "wide": ["-1e149", "1e149", "0", "3"][n % 4],
            "close": str(1 + n * 1e-15),
            f"only {n}": "x" * 6000,
        }
        for n in range(28)
    ]
    metrics = {"loss": [value(n) for n in range(28)], "accuracy": [n % 3 for n in range(28)]}
    runs = load(empty_store, params, metrics)
    shown = chart(runs, "loss")
    if isinstance(shown, Figure):
        assert shown._repr_mimebundle_()["image/png"]
    else:
        assert shown.text
    assert param_ranges(runs, "loss").to_html()


@pytest.mark.parametrize("chart", CHARTS)
def test_one_run_or_none_that_differ(
    empty_store: Path, chart: Callable[..., Figure | Note]
) -> None:
    runs = load(empty_store, [{"lr": "1"}, {"lr": "1"}], {"loss": [1.0, 2.0]})
    for few in (runs, runs.only([run_id(0)])):
        for metric in ("loss", "nope", None):
            assert isinstance(chart(few, metric), Note)


def test_no_name_is_typeset(empty_store: Path) -> None:
    name = "$\\href{javascript:alert(1)}{x}$ $x_1^2$ $"
    params = [{name: name + str(n % 2), "k": str(n % 3)} for n in range(12)]
    loss = [float(n % 2) for n in range(12)]
    runs = load(empty_store, params, {"loss": loss, "latency_ms": loss[::-1]})
    for chart in CHARTS:
        figure = chart(runs, "loss")
        assert isinstance(figure, Figure)
        assert figure._repr_mimebundle_()["image/png"]
