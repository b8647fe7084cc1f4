"""Rules and their false alarms: against run-length tables, exact counts and plain simulation."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise, permutations
from math import factorial

import numpy as np
import pytest
from scipy.stats import chi2, norm
from test_watch_changes import noise

from qualia_lab.analysis.watch_alerts import CHANGE_POINT, alerts, share
from qualia_lab.analysis.watch_judging import judged
from qualia_lab.analysis.watch_psi import psi_false_alarm_rate, psi_null, psi_rules
from qualia_lab.analysis.watch_rules import (
    RULES,
    Rule,
    Situation,
    any_false_alarm,
    calibrated,
    false_alarm_rate,
    rule_named,
    smallest_seen,
)
from qualia_lab.analysis.watch_series import Parts, Watched
from qualia_lab.directions import Direction

DAY = 86_400.0


def watched(values: np.ndarray, way: Direction = "max") -> Watched:
    """Values a day apart."""
    times = 1.76e9 + DAY * np.arange(len(values))
    return Watched(metric="accuracy", times=times, values=values, left_out={}, way=way)


@lru_cache
def _chain(h: float, k: float = 0.5, states: int = 400) -> np.ndarray:
    """The one-sided CUSUM as a Markov chain (Brook and Evans 1972): moves between states."""
    width = 2 * h / (2 * states - 1)
    centres = width * np.arange(states)
    edges = np.concatenate([[-np.inf], centres + width / 2])
    steps = edges[None, :] - centres[:, None] + k
    return np.asarray(np.diff(norm.cdf(steps), axis=1))


def one_sided_arl(h: float) -> float:
    """The average run length of one side, in control, started at 0."""
    moves = _chain(h)
    return float(np.linalg.solve(np.eye(len(moves)) - moves, np.ones(len(moves)))[0])


def alarm_within(h: float, values: int) -> float:
    """The chance of an alarm of one side within so many values, in control."""
    moves = np.linalg.matrix_power(_chain(h), values)
    return 1 - float(moves[0].sum())


def test_the_chain_agrees_with_the_tables() -> None:
    # Montgomery, Introduction to Statistical Quality Control, table 9.3: 168 and 465 for the
    # two-sided CUSUM of k = 0.5 in control; one side alone has twice that.
    assert one_sided_arl(4) / 2 == pytest.approx(168, abs=1)
    assert one_sided_arl(5) / 2 == pytest.approx(465, abs=1)


@pytest.mark.parametrize(("h", "values"), [(4, 100), (5, 500), (5, 90)])
def test_the_false_alarms_of_a_cusum_are_those_of_the_chain(h: float, values: int) -> None:
    found = false_alarm_rate(rule_named("CUSUM"), h, Situation(points=values))
    # Up to 20,000 series: a standard error of 0.005 at most; of 8,000 for 500 values.
    assert found == pytest.approx(alarm_within(h, values), abs=0.02)


def test_a_cusum_with_h_5_alarms_in_two_of_three_series_of_500() -> None:
    found = false_alarm_rate(rule_named("CUSUM"), 5, Situation(points=500, sides=2))
    assert 0.62 <= found <= 0.69
    # Both sides have an average run length of 465, and a geometric one gives 1 - exp(-500 / 465).
    assert found == pytest.approx(1 - np.exp(-500 / 465), abs=0.02)


def test_three_sigma_has_the_run_length_of_the_textbook() -> None:
    # Shewhart's chart in control: 370 values on average, so 1 - (1 - 0.0027)^n in n.
    found = false_alarm_rate(rule_named("3 sigma"), 3, Situation(points=30, sides=2))
    assert found == pytest.approx(1 - (1 - 0.0026998) ** 30, abs=0.005)


def without_declines(n: int, most: int) -> int:
    """How many orders of n values have no more than ``most`` declines in a row, counted exactly."""
    # By how many of the values are below the last one, and the declines that end there.
    counts = {(0, 0): 1}
    for length in range(1, n):
        following: dict[tuple[int, int], int] = {}
        for (below, row), count in counts.items():
            for place in range(length + 1):
                longer = row + 1 if place <= below else 0
                if longer <= most:
                    key = (place, longer)
                    following[key] = following.get(key, 0) + count
        counts = following
    return sum(counts.values())


def test_the_count_agrees_with_listing_all_orders() -> None:
    def longest(order: tuple[int, ...]) -> int:
        best = row = 0
        for before, after in pairwise(order):
            row = row + 1 if after < before else 0
            best = max(best, row)
        return best

    assert without_declines(7, 2) == sum(longest(order) <= 2 for order in permutations(range(7)))


def test_three_declines_in_a_row_come_in_two_of_three_stationary_months() -> None:
    exact = 1 - without_declines(30, 2) / factorial(30)
    assert exact == pytest.approx(0.64, abs=0.01)
    found = false_alarm_rate(rule_named("in a row"), 3, Situation(points=30))
    assert found == pytest.approx(exact, abs=0.01)


def test_a_psi_of_a_tenth_comes_in_most_identical_samples_of_a_hundred() -> None:
    random = np.random.default_rng(0)
    fired = 0
    for _ in range(3000):
        reference, current = random.normal(size=(2, 100))
        edges = np.quantile(reference, np.linspace(0, 1, 11)[1:-1])
        then, now = (
            np.maximum(np.bincount(np.searchsorted(edges, one), minlength=10), 0.5) / 100
            for one in (reference, current)
        )
        fired += ((now - then) * np.log(now / then)).sum() > 0.1
    assert psi_false_alarm_rate(100, 100) == pytest.approx(0.85, abs=0.015)
    assert psi_false_alarm_rate(100, 100) == pytest.approx(fired / 3000, abs=0.03)
    assert psi_false_alarm_rate(10_000, 10_000) < 0.001


@pytest.mark.parametrize(("reference", "current"), [(500, 500), (5000, 300)])
def test_the_law_of_psi_goes_to_a_scaled_chi_square(reference: int, current: int) -> None:
    # Yurdakul (2018): PSI of B bins goes to (1/N + 1/M) times a chi-square of B - 1.
    theirs = (1 / reference + 1 / current) * chi2(9).ppf([0.5, 0.95])
    assert np.quantile(psi_null(reference, current), [0.5, 0.95]) == pytest.approx(theirs, rel=0.06)


def test_psi_thresholds_hold_their_rate_over_features() -> None:
    table = psi_rules(100, 100, features=20)
    assert table.loc["by habit: 0.1", "false alarms of any feature"] > 0.999
    assert table.loc["calibrated", "false alarms of any feature"] <= 0.05
    assert table.loc["calibrated", "threshold"] > psi_rules(100, 100).loc["calibrated", "threshold"]
    assert psi_rules(2, 1).notna().all(axis=None)


def test_a_modified_z_is_the_one_of_its_authors() -> None:
    # Iglewicz and Hoaglin: 0.6745 (x - median) / MAD.
    baseline = np.array([2.1, 2.6, 2.4, 2.5, 2.3, 2.1, 2.3, 2.6, 8.2, 8.3])
    middle = np.median(baseline)
    mad = np.median(np.abs(baseline - middle))
    after = np.array([9.0, 2.0])
    path = rule_named("modified z").path(baseline, after, 1)
    assert path[0] == pytest.approx(0.6745 * (9.0 - middle) / mad, rel=1e-4)
    assert path[1] == path[0]  # what was reached stays reached


def test_a_cusum_by_hand() -> None:
    after = np.array([1.0, 2.0, -3.0, 0.5, 4.0])
    path = rule_named("CUSUM").path(np.empty(0), after, 1)
    assert path.tolist() == [0.5, 2.0, 2.0, 2.0, 3.5]


def test_declines_in_a_row_by_hand() -> None:
    # The bad direction is up; what is equal to the value before it is no worse.
    after = np.array([0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 1.0])
    path = rule_named("in a row").path(np.empty(0), after, 1)
    assert path.tolist() == [0, 1, 2, 2, 2, 2, 3, 3]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize(
    "here",
    [
        Situation(points=63, baseline=27),
        Situation(points=21, baseline=9, sides=2),
        Situation(points=63, baseline=27, phi=0.5),
    ],
    ids=["90", "30", "autocorrelated"],
)
def test_a_calibrated_threshold_keeps_its_rate_elsewhere(rule: Rule, here: Situation) -> None:
    threshold = calibrated(rule, 0.05, here)
    assert false_alarm_rate(rule, threshold, here) <= 0.05
    random = np.random.default_rng(99)
    series = np.array([noise(random, here.baseline + here.points, here.phi) for _ in range(3000)])
    path = rule.path(series[:, : here.baseline], series[:, here.baseline :], here.sides)
    fired = float(rule.fires(path[:, -1], threshold).mean())
    assert fired <= 0.065
    # Rows are whole numbers, whose rate is as near to 5 % as the next one below it.
    assert rule.whole or fired >= 0.035


def test_by_habit_a_month_without_a_change_alarms_more_often_than_not() -> None:
    here = Situation(points=30, baseline=30)
    assert any_false_alarm({rule.name: rule.habit for rule in RULES}, here) > 0.6
    thresholds = {rule.name: calibrated(rule, 0.0125, here) for rule in RULES}
    assert any_false_alarm(thresholds, here) <= 0.05


@pytest.mark.parametrize(
    ("n", "phi", "most"), [(30, 0.0, 0.07), (90, 0.0, 0.07), (90, 0.3, 0.08), (90, 0.6, 0.12)]
)
def test_the_whole_check_holds_its_rate(n: int, phi: float, most: float) -> None:
    random = np.random.default_rng(21)
    parts = Parts(false_alarms=0.05)
    fired = 0
    for _ in range(400):
        one = judged(watched(5 + noise(random, n, phi)), parts)
        fired += any(alert.fires for alert in alerts(one, parts))
    # Two standard errors of a share of 400 are 0.02.
    assert fired / 400 <= most


@pytest.mark.parametrize("tails", ["t", "exponential"])
def test_tails_do_not_raise_alarms(tails: str) -> None:
    random = np.random.default_rng(22)
    parts = Parts()
    raised = {"alarm": 0, "warning": 0}
    for _ in range(300):
        drawn = random.standard_t(3, 90) if tails == "t" else random.exponential(size=90)
        found = alerts(judged(watched(5 + drawn, "min"), parts), parts)
        for level in raised:
            raised[level] += any(one.fires for one in found if one.level == level)
    assert raised["alarm"] / 300 <= 0.08
    # Which is why rules on single values warn only: their limits are those of a normal law.
    assert raised["warning"] / 300 > 0.2


def test_what_would_be_seen_is_seen_that_often() -> None:
    parts = Parts()
    here = Situation(points=63, baseline=27)
    thresholds = {
        rule.name: calibrated(rule, share(parts), here) for rule in RULES if rule.level == "alarm"
    }
    size = smallest_seen(thresholds, 2 * share(parts), here, 18)
    assert 0.7 < size < 2
    random = np.random.default_rng(5)
    seen = 0
    for _ in range(300):
        values = 5 + noise(random, 90, 0.0) - size * (np.arange(90) >= 72)
        one = judged(watched(values), parts)
        seen += any(alert.fires for alert in alerts(one, parts) if alert.level == "alarm")
    # The autocorrelation is not known to the check as it is to the promise.
    assert 0.65 <= seen / 300 <= 0.9


def test_one_run_that_went_wrong_hides_no_change_and_makes_none() -> None:
    values = 0.9 + 0.01 * noise(np.random.default_rng(0), 60, 0.0)
    values[30] = 0.1
    fired = {one.rule for one in alerts(judged(watched(values), Parts()), Parts()) if one.fires}
    assert fired == {"3 sigma", "modified z"}
    values[40:] -= 0.05
    one = judged(watched(values), Parts())
    assert one.change is not None
    assert (one.change.place, one.change.shape) == (40, "sudden")
    assert one.current.value == pytest.approx(0.85, abs=0.01)
    assert "1 far from their neighbours, counted as 5 deviations" in one.series.told
    assert CHANGE_POINT in {each.rule for each in alerts(one, Parts()) if each.fires}


def test_a_change_for_the_better_is_no_alarm() -> None:
    values = 0.9 + 0.01 * noise(np.random.default_rng(0), 60, 0.0) + 0.1 * (np.arange(60) >= 40)
    better, worse = (
        judged(watched(values, "max"), Parts()),
        judged(watched(values, "min"), Parts()),
    )
    assert not any(alert.fires for alert in alerts(better, Parts()))
    fired = {alert.rule: alert for alert in alerts(worse, Parts()) if alert.fires}
    assert {CHANGE_POINT, "3 sigma", "CUSUM"} <= set(fired)
    assert fired["3 sigma"].place is not None
    assert 40 <= fired["3 sigma"].place <= 43


def test_a_baseline_that_does_not_vary_measures_nothing() -> None:
    values = np.r_[np.full(30, 0.9), 0.8 + 0.01 * noise(np.random.default_rng(0), 30, 0.0)]
    found = {alert.rule: alert for alert in alerts(judged(watched(values), Parts()), Parts())}
    assert found[CHANGE_POINT].fires
    assert np.isnan(found["3 sigma"].reached)
    assert not found["3 sigma"].fires
