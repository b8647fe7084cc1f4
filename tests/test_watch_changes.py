"""Change points, shapes, levels and slopes: against other implementations, and in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.special import kolmogorov
from statsmodels.api import OLS, add_constant
from statsmodels.stats.diagnostic import breaks_cusumolsresid
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from qualia_lab.analysis.watch_changes import change_in, fit_ramp, fit_step, onset_interval
from qualia_lab.analysis.watch_levels import level, slope, wilson
from qualia_lab.analysis.watch_noise import (
    autocorrelation,
    cusum_null,
    cusum_p,
    cusum_statistic,
    simulated,
)


def noise(random: np.random.Generator, n: int, phi: float) -> np.ndarray:
    """A stationary AR(1) of deviation 1, made apart from the package's own."""
    made = lfilter([1.0], [1.0, -phi], random.standard_normal(n + 300))
    return np.asarray(made[300:] * np.sqrt(1 - phi**2))


@pytest.mark.parametrize("n", [12, 90, 500])
def test_the_cusum_is_that_of_statsmodels(n: int) -> None:
    values = np.random.default_rng(n).normal(3, 2, n)
    theirs, p, _ = breaks_cusumolsresid(values - values.mean())
    # Statsmodels divides by the sum of squares as we do, but keeps the sum after the last value.
    assert cusum_statistic(values) == pytest.approx(theirs)
    assert p == pytest.approx(kolmogorov(theirs))


def test_the_null_of_the_cusum_goes_to_kolmogorovs_law() -> None:
    null = cusum_null(2000, 0.0)
    # The 5 % and 1 % points of the supremum of the Brownian bridge are 1.358 and 1.628 (Kolmogorov
    # 1933; Smirnov's table). Sums at 2,000 places miss some of its height.
    assert np.quantile(null, 0.95) == pytest.approx(1.358, abs=0.04)
    assert np.quantile(null, 0.99) == pytest.approx(1.628, abs=0.08)


def test_a_p_is_the_share_of_the_null_that_is_as_large() -> None:
    null = cusum_null(90, 0.0)
    assert cusum_p(0.0, 90, 0.0) == 1.0
    assert cusum_p(99.0, 90, 0.0) == pytest.approx(1 / (1 + len(null)))
    assert cusum_p(float(np.quantile(null, 0.95)), 90, 0.0) == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize(
    ("n", "phi", "most"), [(30, 0.0, 0.06), (90, 0.0, 0.07), (90, 0.3, 0.09), (90, 0.6, 0.11)]
)
def test_a_stationary_series_seldom_changes(n: int, phi: float, most: float) -> None:
    random = np.random.default_rng(7)
    days = np.arange(n, dtype=float)
    p = np.array([change_in(days, 5 + noise(random, n, phi)).p for _ in range(500)])
    # Two standard errors of a share of 500 are 0.02.
    assert (p <= 0.05).mean() <= most
    assert (p <= 0.5).mean() > 0.2  # and it is no test that never says anything


def test_the_law_for_independent_values_would_alarm_at_autocorrelation() -> None:
    random = np.random.default_rng(7)
    series = np.array([noise(random, 90, 0.6) for _ in range(300)])
    assert (kolmogorov(cusum_statistic(series)) <= 0.05).mean() > 0.4


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6])
def test_the_autocorrelation_is_found_again(phi: float) -> None:
    random = np.random.default_rng(3)
    found = []
    for _ in range(200):
        values = noise(random, 90, phi)
        found.append(autocorrelation(values - fit_step(values).fitted))
    assert np.mean(found) == pytest.approx(phi, abs=0.05)


def test_simulated_series_are_what_they_say() -> None:
    series = simulated(200, 0.6, 2000)
    assert series.std() == pytest.approx(1, abs=0.01)
    assert np.corrcoef(series[:, 1:].ravel(), series[:, :-1].ravel())[0, 1] == pytest.approx(
        0.6, abs=0.01
    )


def test_a_step_is_fitted_as_by_trying_all_of_them() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        values = random.normal(size=25) + 2 * (np.arange(25) >= random.integers(5, 20))
        tried = {
            place: ((values[:place] - values[:place].mean()) ** 2).sum()
            + ((values[place:] - values[place:].mean()) ** 2).sum()
            for place in range(3, 23)
        }
        fit = fit_step(values)
        assert fit.place == min(tried, key=lambda place: tried[place])
        assert fit.rss == pytest.approx(min(tried.values()))


def test_a_ramp_is_fitted_as_by_trying_all_of_them() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        days = np.sort(random.uniform(0, 40, 25))
        values = random.normal(size=25) + 0.2 * np.maximum(0, days - random.uniform(5, 30))
        tried = {
            place: OLS(values, add_constant(np.maximum(0, days - days[place]))).fit().ssr
            for place in range(22)
        }
        fit = fit_ramp(days, values)
        assert fit.place == min(tried, key=lambda place: tried[place])
        assert fit.rss == pytest.approx(min(tried.values()))


@pytest.mark.parametrize(("shape", "other"), [("sudden", "gradual"), ("gradual", "sudden")])
def test_steps_and_ramps_are_told_apart(shape: str, other: str) -> None:
    random = np.random.default_rng(4)
    days = np.arange(90.0)
    planted = (days >= 45) * 1.0 if shape == "sudden" else np.maximum(0, days - 44) / 45
    found = [change_in(days, noise(random, 90, 0.0) - 4 * planted) for _ in range(100)]
    shapes = [one.shape for one in found]
    assert shapes.count(shape) >= 85
    assert shapes.count(other) <= 2
    assert all(one.p < 0.01 for one in found)
    assert np.median([one.onset for one in found]) == pytest.approx(45, abs=2)


def test_noise_has_no_shape_that_is_called_one() -> None:
    random = np.random.default_rng(5)
    days = np.arange(90.0)
    shapes = [change_in(days, noise(random, 90, 0.0)).shape for _ in range(300)]
    assert shapes.count("gradual") <= 12
    assert shapes.count("sudden") <= 45


@pytest.mark.parametrize("planted", ["step", "ramp"])
def test_the_beginning_lies_in_its_interval(planted: str) -> None:
    random = np.random.default_rng(6)
    days = np.arange(90.0)
    held = 0
    for _ in range(100):
        shape = (days >= 45) * 1.0 if planted == "step" else np.maximum(0, days - 44) / 45
        values = 10 + noise(random, 90, 0.2) - 3 * shape
        low, high = onset_interval(days, values, change_in(days, values))
        held += low <= 45 <= high
    assert held >= 88


def test_half_a_deviation_at_a_hundred_values_is_seen_by_most() -> None:
    random = np.random.default_rng(8)
    days = np.arange(500.0)
    seen = [change_in(days, noise(random, 500, 0.0) + 0.5 * (days >= 250)).p for _ in range(100)]
    assert np.mean(np.array(seen) <= 0.05) >= 0.95


def test_times_that_are_all_one_count_by_order() -> None:
    values = np.r_[np.zeros(15), np.ones(15)] + np.random.default_rng(0).normal(0, 0.1, 30)
    change = change_in(np.zeros(30), values)
    assert (change.place, change.shape) == (15, "sudden")


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e149])
def test_units_do_not_matter(scale: float) -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 60) + 0.2 * (np.arange(60) > 30)
    one, other = (change_in(np.arange(60.0), values * factor) for factor in (1.0, scale))
    assert (one.place, one.p, one.shape) == (other.place, other.p, other.shape)
    assert other.spread == pytest.approx(one.spread * scale)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (85, 1000)])
def test_wilson_against_statsmodels(successes: int, n: int) -> None:
    found = wilson(successes, n)
    low, high = proportion_confint(successes, n, method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_a_mean_of_independent_values_against_statsmodels() -> None:
    values = np.random.default_rng(0).normal(3, 2, 27)
    found = level(values)
    assert (found.low, found.high) == pytest.approx(DescrStatsW(values).tconfint_mean())


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6])
def test_the_interval_of_a_mean_holds_it(phi: float) -> None:
    random = np.random.default_rng(1)
    days = np.arange(90.0)
    held = 0
    for _ in range(400):
        values = noise(random, 90, phi)
        found = level(values[:27], change_in(days, values).phi)
        held += found.low <= 0 <= found.high
    assert 0.93 <= held / 400 <= 0.995


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_the_interval_of_a_slope_holds_it_where_that_of_newey_and_west_does_not(phi: float) -> None:
    random = np.random.default_rng(2)
    days = np.arange(90.0)
    ours = theirs = 0
    for _ in range(400):
        values = 0.01 * days + noise(random, 90, phi)
        found = slope(days, values)
        fitted = OLS(values, add_constant(days)).fit(
            cov_type="HAC", cov_kwds={"maxlags": 3, "use_correction": True}
        )
        assert found.value == pytest.approx(fitted.params[1])
        ours += found.low <= 0.01 <= found.high
        low, high = fitted.conf_int()[1]
        theirs += low <= 0.01 <= high
    assert ours / 400 >= 0.925
    assert ours >= theirs
