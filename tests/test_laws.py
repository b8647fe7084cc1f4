"""Our own laws, tests of ranks and intervals: each against scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from qualia_lab.analysis import groups, intervals, laws, ranks

FREE = (1, 2, 3, 5, 10, 30, 99, 100, 500, 5_000)


@pytest.mark.parametrize("free", FREE)
def test_students_law(free: int) -> None:
    for t in (0.0, 1e-9, 1e-3, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 50.0, 1e3, 1e6):
        expected = 2 * stats.t.sf(t, free)
        assert laws.student_beyond(t, free) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    for share in (0.5, 0.6, 0.9, 0.975, 0.999):
        expected = stats.t.ppf(share, free)
        assert laws.student_quantile(share, free) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_students_law_at_its_ends() -> None:
    assert laws.student_beyond(math.inf, 3) == pytest.approx(0)
    assert laws.student_beyond(1e300, 3) == pytest.approx(0)
    assert math.isnan(laws.student_beyond(math.nan, 3))
    # As good as normal, with as many digits as the difference of two large logarithms leaves.
    assert laws.student_beyond(2.0, 1e6) == pytest.approx(2 * stats.t.sf(2.0, 1e6), rel=1e-8)


def test_the_normal_law() -> None:
    for x in (-40.0, -8.0, -1.96, 0.0, 0.5, 3.0, 9.0, math.inf, -math.inf):
        assert laws.normal_below(x) == pytest.approx(stats.norm.cdf(x), rel=1e-12, abs=0)
    for share in (1e-300, 1e-9, 0.025, 0.5, 0.8, 0.975, 1 - 1e-12):
        expected = stats.norm.ppf(share)
        assert laws.normal_quantile(share) == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert (laws.normal_quantile(0.0), laws.normal_quantile(1.0)) == (-math.inf, math.inf)
    assert math.isnan(laws.normal_quantile(math.nan))


@pytest.mark.parametrize("different", [3, 10, 10**6])
def test_mann_and_whitneys_test(different: int) -> None:
    """Few values or many, with ties or without; scipy counts all orders where it is told to."""
    random = np.random.default_rng(different)
    for _ in range(60):
        one = random.integers(0, different, random.integers(2, 12)).tolist()
        other = random.integers(0, different, random.integers(2, 30)).tolist()
        ties = len({*one, *other}) < len(one) + len(other)
        few = math.comb(len(one) + len(other), len(one)) <= 2_000
        if ties and not few and math.comb(len(one) + len(other), len(one)) <= 10_000:
            continue  # scipy takes seconds for those
        way = stats.PermutationMethod(n_resamples=10_000) if ties and few else "auto"
        theirs = stats.mannwhitneyu(one, other, alternative="two-sided", method=way)
        u, p = ranks.mann_whitney(one, other)
        assert u == theirs.statistic
        assert p == pytest.approx(theirs.pvalue, rel=1e-9)


@pytest.mark.parametrize(("one", "other"), [(8, 300), (300, 8), (9, 200), (1_000, 900)])
def test_mann_and_whitneys_test_of_many(one: int, other: int) -> None:
    random = np.random.default_rng(0)
    values, base = random.normal(0.1, size=one), random.normal(size=other)
    theirs = stats.mannwhitneyu(values, base, alternative="two-sided")
    u, p = ranks.mann_whitney(values.tolist(), base.tolist())
    assert (u, p) == (theirs.statistic, pytest.approx(theirs.pvalue, rel=1e-9))


def test_values_that_are_all_the_same_are_in_no_order() -> None:
    assert ranks.mann_whitney([1.0, 1.0], [1.0] * 3) == (3.0, 1.0)
    assert ranks.mann_whitney([1.0] * 200, [1.0] * 300)[1] == 1.0


def test_spearmans_correlation() -> None:
    random = np.random.default_rng(0)
    for size in (3, 5, 20, 200):
        for y in (
            random.normal(size=size),
            random.permutation(np.arange(size) // 2),
            np.arange(size),
        ):
            x = np.append(random.integers(0, 9, size - 2), [0, 9])
            theirs = stats.spearmanr(x, y)
            rho, p = ranks.spearman(x, y)
            assert (rho, p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)
    assert ranks.spearman(np.arange(5), -np.arange(5)) == (pytest.approx(-1), pytest.approx(0))
    assert math.isnan(ranks.spearman(np.array([1, 2]), np.array([3, 4]))[1])


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_the_correction_for_many_tests(count: int) -> None:
    p = np.random.default_rng(count).random(count) ** 3
    p[: count // 4] = p[-1]
    expected = stats.false_discovery_control(p, method="bh")
    assert ranks.false_discoveries(p) == pytest.approx(expected, rel=1e-12)


SAMPLES = {
    "normal": lambda random, size: random.normal(size=size),
    "skewed": lambda random, size: random.exponential(size=size),
    "few values": lambda random, size: np.append(random.integers(0, 3, size - 2), [0, 3]) * 1.0,
    "very large": lambda random, size: random.normal(size=size) * 1e300,
}


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:The BCa")
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("size", [3, 5, 20, 100, 101])
def test_intervals_of_a_mean(sample: str, size: int) -> None:
    """With the same draws, so that they agree to the last digits."""
    values = SAMPLES[sample](np.random.default_rng(size), size)

    def theirs(resamples: int, **draws: object) -> tuple[float, float]:
        found = stats.bootstrap((values,), np.mean, n_resamples=resamples, method="BCa", **draws)
        return tuple(found.confidence_interval)

    draws = np.random.default_rng(0)
    assert intervals.of_mean(values) == pytest.approx(theirs(2_000, rng=draws), nan_ok=True)
    students = stats.t.interval(0.95, size - 1, np.mean(values), stats.sem(values))
    assert intervals.students(values) == pytest.approx(students, nan_ok=True)
    expected = theirs(9_999, random_state=0) if size <= 100 else students
    assert groups.interval(values) == pytest.approx(expected, nan_ok=True)
