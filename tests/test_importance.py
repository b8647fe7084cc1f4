"""Which params matter: against scikit-learn on known functions and real data, and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import HOSTILE
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance
from stores import Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer
from qualia_lab.analysis import forest
from qualia_lab.analysis.forest import Judged, judge
from qualia_lab.analysis.importance import (
    importance_chart,
    importance_note,
    param_importance,
    what_matters,
)
from qualia_lab.analysis.show import Figure, Note
from qualia_lab.analysis.space import Space, varied_params
from qualia_lab.model import Query, RunSet

INF, NAN = float("inf"), float("nan")


def load(
    store: Path,
    params: Sequence[dict[str, str]],
    values: Sequence[float],
    metric: str = "val_loss",
) -> RunSet:
    """A run a dict of params, with one value of a metric."""
    made = [
        Run(run_id=run_id(n), name=f"run {n}", params=one, metrics={metric: curve([value])})
        for n, (one, value) in enumerate(zip(params, values, strict=True))
    ]
    fill(store, made)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in made)))


def judged(features: np.ndarray, y: np.ndarray, names: Sequence[str] = ()) -> Judged:
    """What the forest says of numbers, params named p0, p1, ..., or as given."""
    columns = names or [f"p{n}" for n in range(features.shape[1])]
    texts = [[repr(float(value)) for value in row] for row in features]
    params = varied_params(pd.DataFrame(texts, columns=list(columns)))
    found = judge(Space(metric="m", values=pd.Series(y), params=params, of=len(y)))
    assert isinstance(found, Judged)
    return found


def by_name(found: Judged) -> dict[str, float]:
    return {
        one.name: float(value) for one, value in zip(found.params, found.importance, strict=True)
    }


def test_the_r2_is_scikit_learns_out_of_bag_score() -> None:
    features, y = make_friedman1(150, n_features=6, random_state=0)
    # Whole numbers without a gap are their own ranks, so that the trees are the same.
    features = np.floor(features * 15)
    theirs = RandomForestRegressor(200, min_samples_leaf=2, random_state=0, oob_score=True)
    assert judged(features, y).r2 == pytest.approx(theirs.fit(features, y).oob_score_, abs=0.01)


def test_friedmans_function_as_scikit_learn_judges_it_on_new_data() -> None:
    """Friedman (1991): the first five of ten columns make the value, the others are noise.

    The reference is scikit-learn's own permutation importance, on data that the forest never saw.
    """
    features, y = make_friedman1(200, noise=1.0, random_state=0)
    new, new_y = make_friedman1(1000, noise=1.0, random_state=1)
    theirs = RandomForestRegressor(100, min_samples_leaf=2, random_state=0).fit(features, y)
    expected = permutation_importance(theirs, new, new_y, n_repeats=3, random_state=0)
    found = judged(features, y)
    ours = by_name(found)
    assert set(list(ours)[:5]) == {"p0", "p1", "p2", "p3", "p4"}
    assert next(iter(ours)) == "p3" == f"p{np.argmax(expected.importances_mean)}"
    for column, importance in enumerate(expected.importances_mean):
        assert ours[f"p{column}"] == pytest.approx(importance, rel=0.2, abs=0.12)
    assert all(abs(ours[f"p{column}"]) < 0.02 for column in range(5, 10))
    named = {one.name for one, tells in zip(found.params, found.tells, strict=True) if tells}
    assert {"p0", "p1", "p3", "p4"} <= named <= {"p0", "p1", "p2", "p3", "p4"}


def out_of_bag(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """What shuffling each column costs a forest of scikit-learn's, as a share of the variance.

    Each run is predicted by the trees that did not draw it; three shuffles a column.
    """
    trees = RandomForestRegressor(64, min_samples_leaf=2, random_state=seed).fit(x, y)
    random = np.random.default_rng(seed)
    columns = [None, *np.repeat(np.arange(x.shape[1]), 3)]
    stack = [x.copy() for _ in columns]
    for changed, column in zip(stack[1:], columns[1:], strict=True):
        changed[:, column] = changed[random.permutation(len(x)), column]
    total, times = np.zeros((len(stack), len(x))), np.zeros(len(x))
    for tree, drawn in zip(trees.estimators_, trees.estimators_samples_, strict=True):
        unseen = np.setdiff1d(np.arange(len(x)), drawn)
        rows = np.concatenate([one[unseen] for one in stack])
        total[:, unseen] += tree.predict(rows).reshape(len(stack), -1)
        times[unseen] += 1
    errors = ((total / times - y) ** 2).mean(axis=1) / y.var()
    return (errors[1:].reshape(-1, 3) - errors[0]).mean(axis=1)


def test_real_data(empty_store: Path) -> None:
    """Diabetes progression of 442 patients (Efron et al. 2004, whose regression takes in body mass
    index and s5 first, blood pressure third).

    The reference are twelve forests of scikit-learn's: which of bmi and s5 is first differs from
    seed to seed, and what each column is worth has a mean and a spread.
    """
    data = load_diabetes()
    rows = [
        {name: repr(float(value)) for name, value in zip(data.feature_names, row, strict=True)}
        for row in data.data
    ]
    table = param_importance(load(empty_store, rows, list(data.target)), "val_loss")
    theirs = np.array([out_of_bag(data.data, data.target, seed) for seed in range(12)])
    expected, spread = theirs.mean(axis=0), theirs.std(axis=0, ddof=1)
    for name, mean, deviation in zip(data.feature_names, expected, spread, strict=True):
        assert table["importance"][name] == pytest.approx(mean, abs=3 * deviation), name
    assert set(table.index[:2]) == {"bmi", "s5"}
    assert table.index[2] == "bp"
    assert table["stands out"][["bmi", "s5"]].all()
    assert not table["stands out"][["s1", "s2", "s3", "s4", "age"]].any()


def test_noise_is_not_taken_for_a_param_that_matters() -> None:
    random = np.random.default_rng(0)
    named = 0
    for _ in range(20):
        features = random.integers(0, 6, (20, 4)).astype("float64")
        named += bool(judged(features, random.normal(size=20)).tells[0])
    assert named <= 2


def test_the_one_param_that_matters_is_named(empty_store: Path) -> None:
    random = np.random.default_rng(0)
    params = [
        {"lr": lr, "width": str(8 * random.integers(1, 5)), "seed": str(n)}
        for n, lr in enumerate(["0.001", "0.01", "0.1", "1"] * 5)
    ]
    values = [4.0 - ["0.001", "0.01", "0.1", "1"].index(one["lr"]) for one in params]
    noise = 0.1 * random.normal(size=20)
    runs = load(empty_store, params, [a + b for a, b in zip(values, noise, strict=True)])
    found = what_matters(runs, "val_loss")
    assert found is not None
    assert (found.param, found.runs, found.reason) == ("lr", 20, "")
    assert found.r2 > 0.8
    assert found.importance > 4 * found.std > 0
    medians = {
        lr: np.median([v for one, v in zip(params, runs.metrics["val_loss"], strict=True)
                       if one["lr"] == lr])
        for lr in ("0.001", "1")
    }  # fmt: skip
    assert found.best == (
        f"Best median val_loss: {medians['1']:.3g} with lr 1 (5 runs); "
        f"worst: {medians['0.001']:.3g} with 0.001 (5 runs)."
    )
    assert (
        found.edge == "That is the highest value tried; whether it gets better above is not known."
    )
    assert found.sentence.startswith(
        "lr goes with the difference: a random forest predicts val_loss of"
    )
    assert "not what causes it" in repr(importance_note(runs, "val_loss"))
    table = param_importance(runs, "val_loss")
    assert list(table.index) == ["lr", "width"]
    assert list(table.loc["lr", ["values", "missing", "kind"]]) == [4, 0, "number"]


def test_more_is_better_where_it_is_said(empty_store: Path) -> None:
    params = [{"k": str(n % 4)} for n in range(16)]
    runs = load(empty_store, params, [float(n % 4) for n in range(16)], "gain_of_it")
    unknown = what_matters(runs, "gain_of_it")
    assert unknown is not None
    assert unknown.best.startswith("Highest median gain_of_it: 3 with k 3")
    assert unknown.edge == ""
    less = what_matters(runs.judging("gain_of_it", "min"), "gain_of_it")
    assert less is not None
    assert less.best.startswith("Best median gain_of_it: 0 with k 0")
    assert "lowest value tried" in less.edge


def test_a_seed_is_never_what_made_the_difference(empty_store: Path) -> None:
    params = [{"seed": str(n % 2), "lr": str(n % 3)} for n in range(18)]
    runs = load(empty_store, params, [float(n % 2) for n in range(18)])
    found = what_matters(runs, "val_loss")
    assert found is not None
    assert found.reason.startswith("No param can be said to go with val_loss")
    assert "seed" not in repr(param_importance(runs, "val_loss"))
    assert what_matters(runs.only([run_id(n) for n in (0, 3)]), "val_loss") is None


def test_what_always_changes_together_is_named_together(empty_store: Path) -> None:
    models = [("mlp", "32"), ("mlp", "32"), ("linear", "0")]
    params = [
        {"model": models[n % 3][0], "units": models[n % 3][1], "lr": str(n % 5)} for n in range(18)
    ]
    runs = load(empty_store, params, [float(n % 3 == 2) for n in range(18)])
    found = what_matters(runs, "val_loss")
    assert found is not None
    assert found.param == "units / model (always change together)"
    assert list(param_importance(runs, "val_loss").index) == [found.param, "lr"]


def test_a_param_that_changes_only_with_the_first_is_said(empty_store: Path) -> None:
    # Each lr belongs to one model, so that the model tells nothing that lr does not.
    params = [{"lr": str(n % 4), "model": "ab"[n % 4 // 2], "k": str(n % 3)} for n in range(24)]
    runs = load(empty_store, params, [float(n % 4) for n in range(24)])
    found = what_matters(runs, "val_loss")
    assert found is not None
    assert (found.param, found.tied) == ("lr", ("model",))
    assert "It can't be told apart from model, which changes with it." in found.sentence


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0, 2.0, 3.0], "Too few runs to tell which param matters: 3 have a finite val_loss"),
        ([0.5] * 12, "val_loss is 0.5 in all 12 runs: no param makes a difference"),
        ([NAN] * 12, "No run has a finite last value of val_loss"),
        ([1.0, *[NAN] * 11], "One run has a finite last value"),
    ],
)
def test_what_can_not_be_told_is_said(empty_store: Path, values: list[float], said: str) -> None:
    runs = load(empty_store, [{"lr": str(n)} for n in range(len(values))], values)
    for shown in (importance_note(runs, "val_loss"), importance_chart(runs, "val_loss")):
        assert isinstance(shown, Note)
        assert said in shown.text
    assert param_importance(runs, "val_loss").empty


def test_no_metric_or_an_unknown_one(empty_store: Path) -> None:
    runs = load(empty_store, [{"lr": str(n)} for n in range(12)], [1.0] * 12)
    assert what_matters(runs, None) is None
    assert what_matters(runs, "nope") is None
    assert "There is no metric" in repr(importance_note(runs, None))
    assert "No run logged nope" in repr(importance_chart(runs, "nope"))


def test_ids_and_constants_are_left_out(empty_store: Path) -> None:
    params = [
        {"lr": str(n % 3), "path": f"/data/{n}", "note": "x" * 6000, "gamma": str(n / 7)}
        for n in range(15)
    ]
    runs = load(empty_store, params, [float(n % 3) for n in range(15)])
    assert set(param_importance(runs, "val_loss").index) == {"lr", "gamma"}


def test_a_few_values_far_off_do_not_drown_the_rest(empty_store: Path) -> None:
    """One run diverged; what tells the others apart is still found, by ranks."""
    params = [{"lr": str(n % 4), "k": str(n % 5)} for n in range(20)]
    values = [0.1 * (n % 4) + 0.001 * n for n in range(20)]
    values[7] = 1e30
    found = what_matters(load(empty_store, params, values), "val_loss")
    assert found is not None
    assert (found.param, found.by_rank) == ("lr", True)
    assert "the ranks of val_loss" in found.sentence


@pytest.mark.parametrize(
    "value",
    [
        lambda n: [1e308, -1e308, 5e-324, 0.0, NAN, INF, 3.0][n % 7],
        lambda n: 5e-324 * (n % 3),
        lambda n: 1.7e308 * (-1) ** n,
        lambda n: 1 + 1e-15 * n,
    ],
)
def test_extreme_values_and_texts_do_not_break_it(
    empty_store: Path, value: Callable[[int], float]
) -> None:
    params = [
        {
            **{name[:250]: HOSTILE[(n + k) % len(HOSTILE)] for k, name in enumerate(HOSTILE)},
            "huge": str(10 ** (n * 10)),
            "tiny": ["5e-324", "1e-323", "0"][n % 3],
            "ends": ["1e308", "-1e308", "1e149", "-1e149"][n % 4],
            "not": ["nan", "inf", "0x10", "1_000"][n % 4],
            f"only {n}": "1",
        }
        for n in range(28)
    ]
    runs = load(empty_store, params, [value(n) for n in range(28)])
    found = what_matters(runs, "val_loss")
    assert found is not None
    assert repr(importance_note(runs, "val_loss"))
    assert len(param_importance(runs, "val_loss")) > 4
    figure = importance_chart(runs, "val_loss")
    assert isinstance(figure, Figure)
    assert figure._repr_mimebundle_()["image/png"]


def test_many_params_and_many_runs_are_sampled_and_that_is_said(
    empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forest, "_MOST_RUNS", 40)
    random = np.random.default_rng(0)
    params = [{f"p{k}": f"{random.random():.3f}" for k in range(60)} for _ in range(50)]
    runs = load(empty_store, params, [float(one["p7"]) for one in params])
    figure = importance_chart(runs, "val_loss")
    assert isinstance(figure, Figure)
    axes = figure.axes[0]
    assert len(axes.patches) == 12
    assert axes.get_yticklabels()[0].get_text() == "p7"
    caption = figure.get_supxlabel()
    assert "40 of 50 runs, drawn at random" in caption
    assert "12 of 60 params" in caption
    assert len(param_importance(runs, "val_loss")) == 40


def test_the_same_runs_give_the_same_numbers(empty_store: Path) -> None:
    random = np.random.default_rng(0)
    params = [{"a": str(random.random()), "b": str(random.random())} for _ in range(20)]
    runs = load(empty_store, params, [float(one["a"]) for one in params])
    first = param_importance(runs, "val_loss")
    forest._fit.cache_clear()
    pd.testing.assert_frame_equal(first, param_importance(runs, "val_loss"))
    assert not math.isnan(first["importance"].iloc[0])
