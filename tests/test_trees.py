"""Trees of our own: against scikit-learn's, given the same draws of runs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.tree import DecisionTreeRegressor

from qualia_lab.analysis import trees
from qualia_lab.analysis.trees import Trees, follow, grow

TREES = 30


def drawn(runs: int) -> np.ndarray:
    """How often each of some trees draws each run."""
    random = np.random.default_rng(0)
    return np.array(
        [np.bincount(random.integers(0, runs, runs), minlength=runs) for _ in range(TREES)]
    )


def predicted(found: Trees, x: np.ndarray) -> np.ndarray:
    """A row a tree."""
    runs = np.arange(len(x))
    return np.array([follow(found, np.full(len(x), root), x, runs)[0] for root in found.roots])


def theirs(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> list[DecisionTreeRegressor]:
    return [
        DecisionTreeRegressor(min_samples_leaf=2, random_state=0).fit(x, y, sample_weight=one)
        for one in counts
    ]


@pytest.mark.parametrize(("runs", "values"), [(20, 1000), (50, 5), (300, 40), (4, 1000)])
def test_one_param_makes_scikit_learns_trees(runs: int, values: int) -> None:
    random = np.random.default_rng(runs)
    x = random.integers(0, values, (runs, 1)).astype("float64")
    y, counts = x[:, 0] / values + random.normal(size=runs), drawn(runs)
    found = grow(x, y, counts, 1)
    expected = theirs(x, y, counts)
    new = np.linspace(-1, values, 200)[:, None]
    for features in (x, new):
        wanted = [one.predict(features) for one in expected]
        assert predicted(found, features) == pytest.approx(np.array(wanted), rel=1e-9)
    assert len(found.column) == sum(one.tree_.node_count for one in expected)


def test_real_data() -> None:
    """Of several params two may split a few runs equally well, and one is drawn; so not all trees
    are the same, but they predict as well on what they did not see, and make use of the same."""
    x, y = load_diabetes(return_X_y=True)
    counts = drawn(len(x))
    found = grow(x, y, counts, x.shape[1])
    expected = theirs(x, y, counts)
    mine, wanted = predicted(found, x), np.array([one.predict(x) for one in expected])
    assert np.isclose(mine, wanted).mean() > 0.85
    unseen = counts == 0
    errors = [float((((one - y) ** 2) * unseen).sum() / unseen.sum()) for one in (mine, wanted)]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)
    gains = np.sum([one.feature_importances_ for one in expected], axis=0)
    assert found.gains == pytest.approx(gains, rel=0.1, abs=0.1)


def test_a_third_of_the_params_is_tried_at_a_node() -> None:
    random = np.random.default_rng(0)
    x = random.integers(0, 50, (120, 30)).astype("float64")
    y, counts = x[:, 0] + random.normal(size=120), drawn(120)
    found = grow(x, y, counts, 10)
    expected = [
        DecisionTreeRegressor(min_samples_leaf=2, max_features=10, random_state=number)
        .fit(x, y, sample_weight=one)
        .tree_.feature[0]
        for number, one in enumerate(counts)
    ]
    roots = found.column[found.roots]
    # The one that matters is among the ten of 30 at one root of three.
    assert (roots == 0).mean() == pytest.approx(1 / 3, abs=0.2)
    assert (roots == 0).mean() == pytest.approx((np.array(expected) == 0).mean(), abs=0.25)


def test_equally_good_params_are_drawn() -> None:
    x = np.repeat(np.arange(20.0)[:, None], 2, axis=1)
    found = grow(x, x[:, 0], drawn(20), 2)
    asked = found.column[found.column >= 0]
    assert 0.3 < asked.mean() < 0.7


def test_leaves_hold_two_runs_and_constant_ones_are_not_split() -> None:
    x, counts = np.arange(6.0)[:, None], np.ones((1, 6), dtype="int64")
    found = grow(x, np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), counts, 1)
    assert (list(found.column), found.most[0]) == ([0, -1, -1], 2.5)
    assert list(found.value[1:]) == [0.0, 1.0]
    # The best split would leave one alone.
    lonely = grow(x, np.array([9.0, 0.0, 0.0, 0.0, 0.0, 0.0]), counts, 1)
    assert lonely.most[0] == 1.5
    assert list(grow(x, np.ones(6), counts, 1).column) == [-1]
    assert list(grow(np.ones((6, 3)), np.arange(6.0), counts, 3).column) == [-1]


def test_trees_that_are_grown_by_and_by_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    x = random.random((40, 1))
    y, counts = random.normal(size=40), drawn(40)
    at_once = predicted(grow(x, y, counts, 1), x)
    monkeypatch.setattr(trees, "_AT_ONCE", 100)
    assert predicted(grow(x, y, counts, 1), x) == pytest.approx(at_once)


def test_one_column_is_looked_up_elsewhere() -> None:
    random = np.random.default_rng(0)
    x = random.random((40, 3))
    found = grow(x, x[:, 0] + x[:, 1], drawn(40), 3)
    moved = x.copy()
    moved[:, 1] = moved[::-1, 1]
    roots, runs = np.full(40, found.roots[0]), np.arange(40)
    there, _ = follow(found, roots, x, runs, 1, moved[:, 1])
    assert there == pytest.approx(follow(found, roots, moved, runs)[0])
    before, asked = follow(found, roots, x, runs)
    assert (before == there)[~asked[:, 1]].all()
    assert not (before == there).all()
