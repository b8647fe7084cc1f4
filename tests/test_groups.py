"""Groups of repeated runs: by hand, against published data, and against another implementation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stores import Run, curve, fill

from qualia_lab import ArtifactExplorer, analysis
from qualia_lab.analysis.groups import interval, lead, rank_test
from qualia_lab.analysis.show import Note
from qualia_lab.errors import NotFoundError
from qualia_lab.model import Query, RunSet
from qualia_lab.seeds import is_seed

NAN = float("nan")


def load(store: Path, *runs: Run) -> RunSet:
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def repeated(values: dict[str, list[float]], metric: str = "loss") -> list[Run]:
    """Runs of one param, ``lr``, each value of it once for each value of the metric."""
    found = []
    for lr, of_lr in values.items():
        for seed, value in enumerate(of_lr):
            number = len(found)
            found.append(
                Run(
                    run_id=f"{number:032x}",
                    name=f"run {number}",
                    params={"lr": lr, "seed": str(seed), "optimizer": "sgd"},
                    metrics={metric: curve([value])},
                )
            )
    return found


@pytest.mark.parametrize("name", ["seed", "SEED", "data.seed", "torch_seed", "a/random_state"])
def test_a_seed_is_known_by_its_name(name: str) -> None:
    assert is_seed(name)


@pytest.mark.parametrize("name", ["seeds", "seedling", "state", "seed_count", "lr", "proceed"])
def test_what_only_looks_like_a_seed(name: str) -> None:
    assert not is_seed(name)


def test_runs_that_differ_in_a_seed_alone_are_a_group(empty_store: Path) -> None:
    runs = load(empty_store, *repeated({"0.1": [1.0, 2.0], "0.01": [3.0]}))
    assert list(analysis.group_labels(runs)) == ["lr=0.1", "lr=0.1", "lr=0.01"]
    assert runs.has("repeats")
    assert list(analysis.group_labels(runs, by="seed")) == ["seed=0", "seed=1", "seed=0"]
    with pytest.raises(NotFoundError, match="momentum"):
        analysis.group_labels(runs, by="momentum")


def test_settings_that_were_run_once_are_no_repeats(empty_store: Path) -> None:
    runs = load(empty_store, *repeated({"0.1": [1.0], "0.01": [3.0]}))
    assert not runs.has("repeats")


def test_runs_without_params_are_in_no_group(empty_store: Path) -> None:
    bare = [Run(run_id=f"{n:032x}", metrics={"loss": curve([1.0])}) for n in range(2)]
    runs = load(empty_store, *bare)
    assert not runs.has("repeats")
    assert analysis.group_labels(runs).empty
    assert analysis.compare_groups(runs, "loss").empty


def test_a_label_names_as_few_params_as_tell_the_groups_apart(empty_store: Path) -> None:
    made = [
        Run(run_id=f"{n:032x}", params={"model": model, "depth": depth, "width": depth, "k": "1"})
        for n, (model, depth) in enumerate([("a", "1"), ("a", "2"), ("b", "1")])
    ]
    runs = load(empty_store, *made)
    labels = list(analysis.group_labels(runs))
    assert len(set(labels)) == 3
    assert all("model=" in label and "k=" not in label for label in labels)
    assert not any("depth" in label and "width" in label for label in labels)


def test_each_group_by_hand(empty_store: Path) -> None:
    runs = load(empty_store, *repeated({"0.1": [1.0, 2.0, 6.0], "0.01": [0.5, 0.7], "1": [9.0]}))
    table = analysis.compare_groups(runs, "loss")
    assert list(table.index) == ["lr=0.01", "lr=0.1", "lr=1"]
    base, best, single = table.loc["lr=0.1"], table.loc["lr=0.01"], table.loc["lr=1"]
    assert (base["n"], base["mean"]) == (3, 3.0)
    assert base["std"] == pytest.approx(math.sqrt(7))
    assert base["low"] <= base["mean"] <= base["high"]
    assert all(math.isnan(base[one]) for one in ("difference", "effect", "p", "least p"))
    assert best["difference"] == pytest.approx(0.6 - 3.0)
    assert best["effect"] == -1.0
    # Of the 10 ways to order 2 and 3 runs, one is as extreme at either end.
    assert best["least p"] == pytest.approx(0.2)
    assert math.isnan(best["low"])
    assert math.isnan(single["std"])
    # 0.2 and 0.5 (of 4 orders of 1 and 3 runs), two comparisons: 0.4 and 0.5.
    assert (best["p"], single["p"]) == (pytest.approx(0.4), pytest.approx(0.5))


def test_more_is_better_where_the_name_says_so(empty_store: Path) -> None:
    runs = load(empty_store, *repeated({"0.1": [0.5, 0.6], "1": [0.8, 0.9]}, "accuracy"))
    assert list(analysis.compare_groups(runs, "accuracy").index) == ["lr=1", "lr=0.1"]


def test_what_is_not_finite_does_not_count(empty_store: Path) -> None:
    values = {"0.1": [1.0, NAN, float("inf"), 3.0], "1": [NAN, NAN]}
    runs = load(empty_store, *repeated(values))
    table = analysis.compare_groups(runs, "loss")
    # MLflow's databases hold an infinity as the largest double.
    assert list(table.index) == ["lr=0.1"]
    assert table.loc["lr=0.1", "n"] in (2, 3)
    for shown in (analysis.group_note(runs, "loss"), analysis.group_chart(runs, "loss")):
        assert repr(shown)


def test_groups_without_a_finite_value(empty_store: Path) -> None:
    nothing = load(empty_store, *repeated({"0.1": [NAN, NAN]}))
    assert analysis.compare_groups(nothing, "loss").empty
    assert "No setting has two runs" in repr(analysis.group_note(nothing, "loss"))
    assert "No run of a group has a finite" in repr(analysis.group_chart(nothing, "loss"))


def test_an_unknown_metric_or_baseline_is_said(empty_store: Path) -> None:
    runs = load(empty_store, *repeated({"0.1": [1.0, 2.0]}))
    with pytest.raises(NotFoundError, match="no run logged the metric acc"):
        analysis.compare_groups(runs, "acc")
    with pytest.raises(NotFoundError, match="no group lr=7"):
        analysis.compare_groups(runs, "loss", baseline="lr=7")
    assert isinstance(analysis.group_chart(runs, None), Note)
    assert isinstance(analysis.group_note(runs, None), Note)


def test_the_note_says_whether_it_may_be_noise(empty_store: Path) -> None:
    few = load(empty_store, *repeated({"0.1": [1.0, 1.1], "1": [2.0]}))
    assert lead(few, "loss", "lr=0.1", "lr=1").sure is None
    assert "too few runs repeat" in lead(few, "loss", "lr=0.1", "lr=1").verdict


def test_few_repeats_are_judged_by_the_spread_of_all(empty_store: Path) -> None:
    """Two runs of a setting can't tell by ranks: against scipy's t test."""
    from scipy import stats

    one, other = [1.0, 1.3], [1.5, 1.6]
    two = load(empty_store, *repeated({"0.1": one, "1": other}))
    found = lead(two, "loss", "lr=0.1", "lr=1")
    p = stats.ttest_ind(one, other).pvalue
    assert f"(p = {p:.2g}; Student" in found.verdict
    assert found.sure is False
    assert found.difference == pytest.approx(-0.4)
    assert found.share == pytest.approx(-0.4 / 1.55)


def test_the_spread_of_three_settings_is_pooled(empty_store: Path) -> None:
    """Against least squares on indicators."""
    from scipy import stats

    samples = {"0.1": [1.0, 1.3], "1": [1.9, 2.0], "10": [4.0, 4.9, 4.2]}
    runs = load(empty_store, *repeated(samples))
    values = np.concatenate(list(samples.values()))
    which = np.repeat(np.arange(3), [len(one) for one in samples.values()])
    design = (which[:, None] == np.arange(3)).astype(float)
    means, residue, _, _ = np.linalg.lstsq(design, values, rcond=None)
    free = len(values) - 3
    contrast = np.array([1.0, -1.0, 0.0])
    variance = residue[0] / free * contrast @ np.linalg.inv(design.T @ design) @ contrast
    p = 2 * stats.t.sf(abs(contrast @ means) / math.sqrt(variance), free)
    assert f"(p = {p:.2g}; " in lead(runs, "loss", "lr=0.1", "lr=1").verdict


def test_only_what_finished_is_judged(empty_store: Path) -> None:
    sample = repeated({"0.1": [1.0, 1.2, 9.0], "1": [2.0, 2.1]})
    sample[2].status = "FAILED"
    runs = load(empty_store, *sample)
    assert analysis.compare_groups(runs, "loss").loc["lr=0.1", "n"] == 2
    chart = analysis.group_chart(runs, "loss")
    assert "hollow: not finished" in chart.axes[0].get_xlabel()
    assert sorted(x for line in chart.axes[0].lines for x in line.get_xdata())[-1] == 9.0


def test_where_nobody_ends_runs_all_count(empty_store: Path) -> None:
    sample = repeated({"0.1": [1.0, 1.2], "1": [2.0, 2.1]})
    for run in sample:
        run.status = "RUNNING"
    assert list(analysis.compare_groups(load(empty_store, *sample), "loss")["n"]) == [2, 2]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ([1.0, 1.1, 1.2, 1.3, 1.4], [2.0, 2.1, 2.2, 2.3, 2.4], "More than noise (p = 0.0079"),
        ([1.0, 3.0, 1.2, 3.3, 1.4], [1.1, 3.1, 1.5, 3.5, 1.6], "It may be noise (p = 0.55"),
    ],
)
def test_enough_runs_tell(
    one: list[float], other: list[float], said: str, empty_store: Path
) -> None:
    """U is 0 and 9: in Mann and Whitney's table (1947) for 5 and 5, 0.004 and 0.274 to one side."""
    runs = load(empty_store, *repeated({"0.1": one, "1": other}))
    assert said in repr(analysis.group_note(runs, "loss"))


def test_the_rank_test_against_published_data() -> None:
    """Hollander and Wolfe, Nonparametric Statistical Methods (1973), page 69: permeability of the
    human chorioamnion at term and at 12 to 26 weeks; W = 35, one-sided p = 0.1272."""
    at_term = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
    early = np.array([1.15, 0.88, 0.90, 0.74, 1.21])
    effect, p, least = rank_test(at_term, early)
    assert p == pytest.approx(2 * 0.1272, abs=2e-4)
    # By counting pairs: (35 above - 15 below) of 50.
    above = sum(a > b for a in at_term for b in early)
    assert (above, effect) == (35, pytest.approx((35 - 15) / 50))
    assert least == pytest.approx(2 / math.comb(15, 5))


def test_ties_do_not_make_more_of_few_runs_than_there_is() -> None:
    """Of the 20 ways to put three and three runs in order, two are the most extreme."""
    for one, other in (([1.0] * 3, [2.0] * 3), ([1.0, 1.0, 2.0], [3.0, 3.0, 4.0])):
        _, p, least = rank_test(np.array(one), np.array(other))
        assert (p, least) == (pytest.approx(0.1), pytest.approx(0.1))
    # By counting all 10 ways.
    values, base = np.array([1.0, 1.0]), np.array([1.0, 2.0, 3.0])
    u = [
        sum((a > b) + (a == b) / 2 for a in some for b in rest)
        for some, rest in splits([*values, *base], 2)
    ]
    seen = sum((a > b) + (a == b) / 2 for a in values for b in base)
    as_far = min(1.0, 2 * min(np.mean(np.array(u) <= seen), np.mean(np.array(u) >= seen)))
    assert rank_test(values, base)[1] == pytest.approx(as_far)


def splits(values: list[float], size: int) -> Iterator[tuple[list[float], list[float]]]:
    """Every way to take so many of the values, with those that are left."""
    for places in itertools.combinations(range(len(values)), size):
        yield (
            [values[place] for place in places],
            [value for place, value in enumerate(values) if place not in places],
        )


def test_very_many_repeats_are_cheap_and_agree_with_the_bootstrap() -> None:
    draw = np.random.default_rng(3)
    few, many = draw.normal(size=100), draw.normal(size=20_000)
    low, high = interval(few)
    # Student's interval of the same values, by its formula.
    half = 1.984 * few.std(ddof=1) / 10
    assert (low, high) == (
        pytest.approx(few.mean() - half, abs=0.03),
        pytest.approx(few.mean() + half, abs=0.03),
    )
    low, high = interval(many)
    assert high - low == pytest.approx(2 * 1.96 * many.std(ddof=1) / math.sqrt(20_000), rel=0.01)


def test_the_interval_against_published_data() -> None:
    """Efron and Tibshirani, An Introduction to the Bootstrap (1993), table 2.1: survival of the
    treated mice. Their standard error of the mean is 25.24 (page 11), 23.4 by bootstrap."""
    treated = np.array([94, 197, 16, 38, 99, 141, 23], dtype=float)
    low, high = interval(treated)
    assert treated.mean() == pytest.approx(86.86, abs=0.01)
    # Symmetric would be 1.96 standard errors to either side; BCa leans to the longer tail.
    assert low == pytest.approx(86.86 - 1.96 * 23.4, abs=8)
    assert high == pytest.approx(86.86 + 1.96 * 23.4, abs=12)
    assert high - 86.86 > 86.86 - low
    assert interval(treated) == (low, high)


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Of 400 samples of 20 from a normal distribution, about 95 % of the intervals hold its mean;
    the bootstrap is known to cover somewhat less in small samples."""
    draw = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        low, high = interval(draw.normal(size=20))
        held += low <= 0 <= high
    assert 0.90 <= held / 400 <= 0.97


def test_values_that_agree_or_are_too_few_have_no_interval() -> None:
    for values in ([1.0, 1.0, 1.0], [1.0, 2.0], [1.0], []):
        assert all(math.isnan(end) for end in interval(np.array(values)))


def test_the_correction_against_published_values(empty_store: Path) -> None:
    """Holds scipy's Benjamini-Hochberg, as it is used here, against the definition: the i-th
    smallest of m is multiplied by m / i, and never above a later one."""
    values = {"0": [float(n) for n in range(8)]}
    shifts = [0.3, 1.5, 4.5, 9.5]
    values |= {str(i): [n + shift for n in range(6)] for i, shift in enumerate(shifts, 1)}
    runs = load(empty_store, *repeated(values))
    table = analysis.compare_groups(runs, "loss", baseline="lr=0")
    raw = {
        f"lr={i}": rank_test(np.arange(6) + shift, np.arange(8.0))[1]
        for i, shift in enumerate(shifts, 1)
    }
    ordered = sorted(raw, key=lambda label: raw[label])
    wanted, least = {}, 1.0
    for place in range(len(ordered), 0, -1):
        label = ordered[place - 1]
        least = min(least, raw[label] * len(ordered) / place)
        wanted[label] = least
    for label, p in wanted.items():
        assert table.loc[label, "p"] == pytest.approx(p)


@pytest.mark.parametrize(
    ("one", "other"),
    [([1.0], [1.0]), ([1.0], [2.0, 2.0]), ([1.0], [1.0, 1.0]), ([2.0], [1.0, 2.0, 3.0, 3.0]),
     ([2.0, 2.0, 5.0], [2.0]), ([4.0], [1.0, 2.0, 3.0]), ([1.0, 2.0], [3.0])],
)  # fmt: skip
def test_a_single_run_against_all_the_places_it_could_have(
    one: list[float], other: list[float]
) -> None:
    """Every choice of so many of the values, counted; scipy counts none for a single value."""

    def statistic(mine: tuple[float, ...], rest: list[float]) -> float:
        return sum((a > b) + (a == b) / 2 for a in mine for b in rest)

    every = [*one, *other]
    found = []
    for places in itertools.combinations(range(len(every)), len(one)):
        rest = [every[i] for i in range(len(every)) if i not in places]
        found.append(statistic(tuple(every[i] for i in places), rest))
    mine = statistic(tuple(one), other)
    higher, lower = (np.mean([sign * u >= sign * mine for u in found]) for sign in (1, -1))
    effect, p, least = rank_test(np.array(one), np.array(other))
    assert p == pytest.approx(min(1.0, 2 * min(higher, lower)))
    assert effect == pytest.approx(2 * mine / (len(one) * len(other)) - 1)
    assert least == pytest.approx(min(1.0, 2 / len(found)))


def test_paths_and_ids_make_no_settings(empty_store: Path) -> None:
    sample = repeated({"0.1": [1.0, 1.1, 1.2, 1.3], "1": [2.0, 2.1, 2.2, 2.3]})
    for number, run in enumerate(sample):
        run.params = {**run.params, "output_dir": f"/out/run_{number}"}
    runs = load(empty_store, *sample)
    assert set(analysis.group_labels(runs)) == {"lr=0.1", "lr=1"}
    assert "Best of 2 repeated" in repr(analysis.group_note(runs, "loss"))


def test_runs_of_other_data_repeat_nothing(empty_store: Path) -> None:
    runs = load(empty_store, *repeated({"0.1": [1.0, 1.1, 1.2], "1": [2.0]}))
    ids = list(runs.runs.index)
    inputs = [(ids[0], "mnist", "aaaaaaaa1"), (ids[1], "mnist", "aaaaaaaa1"), (ids[2], "wine", "c")]
    columns = ["run_id", "name", "digest", "context", "source_type"]

    def of(rows: list[tuple[str, str, str]]) -> list[str]:
        data = pd.DataFrame([(*row, "train", "code") for row in rows], columns=columns)
        return list(analysis.group_labels(replace(runs, datasets=data)))

    assert of(inputs) == ["data=mnist", "data=mnist", "data=wine", "no data"]
    other = [*inputs[:1], (ids[1], "mnist", "bbbbbbbb2")]
    assert of(other) == [
        "data=mnist@aaaaaaaa, lr=0.1",
        "data=mnist@bbbbbbbb, lr=0.1",
        "lr=0.1",
        "lr=1",
    ]
    assert of([(one, "mnist", "a") for one in ids]) == ["lr=0.1"] * 3 + ["lr=1"]


def test_a_group_without_the_param_that_tells_says_so(empty_store: Path) -> None:
    sample = repeated({"0.1": [1.0, 1.1], "1": [2.0, 2.1]})
    for run in sample[:2]:
        run.params = {name: value for name, value in run.params.items() if name != "lr"}
    assert list(analysis.group_labels(load(empty_store, *sample))) == ["no lr"] * 2 + ["lr=1"] * 2


def test_what_did_not_finish_is_in_no_band(empty_store: Path) -> None:
    sample = repeated({"0.1": [1.0, 1.0, 50.0]})
    for run in sample:
        run.metrics = {"loss": curve([2 * run.metrics["loss"][0][2], run.metrics["loss"][0][2]])}
    sample[2].status = "FAILED"
    chart = analysis.group_curves(load(empty_store, *sample), "loss")
    assert "1.0 ± 0.0" in chart.alt or "1 ± 0" in chart.alt
    assert "(2 runs)" in repr([text.get_text() for text in chart.legends[0].get_texts()])


def test_the_caption_of_the_chart_says_what_is_in_it(empty_store: Path) -> None:
    sample = repeated({"0.1": [1.0, 1.2], "1": [2.0, 2.1], "10": [9.0], "100": [NAN, NAN]})
    sample[4].status = "FAILED"
    label = analysis.group_chart(load(empty_store, *sample), "loss").axes[0].get_xlabel()
    assert label == (
        "loss: a dot a run; the mean; 2 settings without a finished, finite run not drawn"
    )


def test_numbers_that_overflow_warn_of_nothing(empty_store: Path) -> None:
    runs = load(empty_store, *repeated({"0.1": [1e300, -1e300], "1": [1.0, 1.5]}))
    table = analysis.compare_groups(runs, "loss")
    assert list(table.index) == ["lr=1"]
    assert repr(analysis.first_look(runs, "loss"))
