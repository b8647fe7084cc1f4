"""The statistics of drift against scipy, statsmodels, published values, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial import distance
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_chisquare

from qualia_lab.analysis.drift_found import smallest_distance
from qualia_lab.analysis.drifted import Drift, adjusted
from qualia_lab.analysis.features import Feature, column
from qualia_lab.analysis.psi_law import psi_critical
from qualia_lab.analysis.shift import (
    chi_square,
    decile_counts,
    deviation,
    jensen_shannon,
    ks_distance,
    ks_test,
    pooled,
    psi,
    total_variation,
    wasserstein,
)
from qualia_lab.analysis.telling import auc_interval
from qualia_lab.analysis.value_checks import all_in_one_p, new_categories_p, two_shares

# Sizes below and above the one from which not every value is looked at, equal and not.
SIZES = [(1, 1), (5, 500), (300, 300), (12_000, 15_000), (60_000, 60_000), (100_000, 40_001)]


def samples(sizes: tuple[int, int], law: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two sorted samples, the second a little shifted."""
    draw = np.random.default_rng(seed)
    made = {
        "normal": lambda n, shift: draw.normal(shift, 1, n),
        "ties": lambda n, shift: draw.poisson(5 + 3 * shift, n).astype(float),
        "heavy": lambda n, shift: draw.standard_cauchy(n) + shift,
        "atom": lambda n, shift: (draw.exponential(1, n) + shift) * (draw.random(n) > 0.7),
    }[law]
    return np.sort(made(sizes[0], 0.0)), np.sort(made(sizes[1], 0.02))


@pytest.mark.parametrize("law", ["normal", "ties", "heavy", "atom"])
@pytest.mark.parametrize("sizes", SIZES)
def test_distances_are_scipys(sizes: tuple[int, int], law: str) -> None:
    x, y = samples(sizes, law)
    theirs = stats.ks_2samp(x, y, method="exact" if max(sizes) < 10 else "asymp")
    assert ks_distance(x, y) == pytest.approx(theirs.statistic, rel=1e-12, abs=1e-15)
    assert wasserstein(x, y) == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-9)
    assert deviation(x) == pytest.approx(np.std(x, ddof=1) if len(x) > 1 else 0.0, rel=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_the_ks_distance_is_exact_wherever_the_largest_is(seed: int) -> None:
    """Identical laws have their largest distance anywhere, and nearly as large ones all over."""
    draw = np.random.default_rng(seed)
    x, y = np.sort(draw.random(30_000 + seed)), np.sort(draw.random(25_000))
    if seed % 2:  # ties, and a jump in one sample alone
        x, y = np.round(x, 3), np.sort(np.where(y > 0.9, 0.5, y))
    at = np.concatenate([x, y])
    every = np.searchsorted(x, at, "right") / len(x) - np.searchsorted(y, at, "right") / len(y)
    assert ks_distance(x, y) == np.abs(every).max()


@pytest.mark.parametrize("sizes", SIZES)
def test_the_probability_of_a_ks_distance_is_scipys(sizes: tuple[int, int]) -> None:
    x, y = samples(sizes, "normal")
    exact = sizes[0] * sizes[1] <= 1_000_000
    theirs = stats.ks_2samp(x, y, method="exact" if exact else "asymp").pvalue
    # Past 10,000 values the limit of the law is taken, which differs by a hundredth.
    assert ks_test(x, y)[1] == pytest.approx(theirs, rel=1e-9 if exact else 0.02)


def test_the_smallest_distance_that_is_called_is_smirnovs() -> None:
    """1.36 and 1.63 times the root of (n + m) / nm for 0.05 and 0.01 (Smirnov 1948)."""
    for tested, factor in ((1, 1.36), (5, 1.63)):
        found = smallest_distance(400, 100, tested)
        assert found == pytest.approx(factor * np.sqrt(500 / 40_000), rel=0.005)


def test_jensen_shannon_and_total_variation_are_scipys() -> None:
    counts = np.array([[10, 0, 30, 60], [5, 25, 30, 0]])
    assert jensen_shannon(counts) == pytest.approx(distance.jensenshannon(*counts, base=2))
    assert total_variation(counts) == pytest.approx(
        distance.cityblock(*(counts / counts.sum(axis=1, keepdims=True))) / 2
    )
    assert jensen_shannon(np.array([[5, 0], [0, 7]])) == 1.0
    assert jensen_shannon(np.array([[5, 10], [10, 20]])) == 0.0


def test_psi_is_jeffreys_divergence() -> None:
    counts = np.array([[100, 100, 100, 100], [80, 120, 90, 110]])
    p, q = counts / counts.sum(axis=1, keepdims=True)
    theirs = special.rel_entr(p, q).sum() + special.rel_entr(q, p).sum()
    assert psi(counts) == pytest.approx(theirs, rel=1e-12)
    # An empty bin counts as half a row: (0.1 - 0.005) ln 20 + (0.9 - 1.0) ln 0.9.
    empty = np.array([[10, 90], [0, 100]])
    assert psi(empty) == pytest.approx(0.095 * np.log(20) - 0.1 * np.log(0.9))


def test_pearsons_test_is_agrestis_and_scipys() -> None:
    """Agresti, Introduction to Categorical Data Analysis, 2nd ed., table 2.5: X² = 30.1, df 2."""
    party = np.array([[762, 327, 468], [484, 239, 477]])
    statistic, p = chi_square(party)
    assert statistic == pytest.approx(30.1, abs=0.05)
    theirs = stats.chi2_contingency(party, correction=False)
    assert (statistic, p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_deciles_are_numpys_inverted_ones() -> None:
    draw = np.random.default_rng(1)
    for n, m in ((10, 30), (999, 500), (1000, 1000)):
        x, y = np.sort(draw.normal(size=n)), np.sort(draw.normal(size=m))
        edges = np.quantile(x, np.arange(1, 10) / 10, method="inverted_cdf")
        for row, values in zip(decile_counts(x, y), (x, y), strict=True):
            # Bins are open below and closed above.
            assert (
                row.tolist() == np.bincount(np.searchsorted(edges, values), minlength=10).tolist()
            )


def test_deciles_of_ties_leave_no_bin_of_the_reference_empty() -> None:
    x = np.sort(np.repeat([0.0, 0.0, 0.0, 1.0, 2.0], 20))
    counts = decile_counts(x, np.array([-1.0, 0.5, 5.0]))
    assert counts.tolist() == [[60, 20, 20], [1, 1, 1]]
    constant = decile_counts(np.full(5, 7.0), np.array([6.0, 7.0, 7.0, 9.0]))
    assert constant.tolist() == [[0, 5, 0], [1, 2, 1]]


def test_rare_categories_are_put_together_until_five_are_expected() -> None:
    counts = np.array([[500, 300, 4, 3, 2, 1], [480, 310, 2, 5, 1, 2]])
    kept, rare = pooled(counts)
    assert rare == 4
    assert kept.tolist() == [[500, 300, 10], [480, 310, 10]]
    expected = np.outer(kept.sum(axis=1), kept.sum(axis=0)) / kept.sum()
    assert expected.min() >= 5
    # Together still too rare: the next rarest goes with them.
    kept, rare = pooled(np.array([[500, 20, 1], [480, 18, 1]]))
    assert (kept.tolist(), rare) == ([[500, 21], [480, 19]], 2)
    whole, none = pooled(np.array([[50, 60], [70, 40]]))
    assert (whole.tolist(), none) == ([[50, 60], [70, 40]], 0)
    assert pooled(np.array([[1, 1], [1, 1]]))[0].shape == (2, 1)


@pytest.mark.parametrize(
    ("n", "m", "rounds"),
    [(20, 20, 4000), (100, 100, 4000), (500, 50, 4000), (50, 500, 4000), (1000, 400, 3000),
     (3000, 3000, 2000)],
)  # fmt: skip
def test_the_psi_of_one_law_exceeds_its_critical_value_in_a_twentieth(
    n: int, m: int, rounds: int
) -> None:
    draw = np.random.default_rng([n, m])
    over = 0
    for _ in range(rounds):
        counts = decile_counts(np.sort(draw.normal(size=n)), np.sort(draw.normal(size=m)))
        over += psi(counts) > psi_critical(counts, cut_by_first=True)
    # Four standard errors of a share of 0.05.
    assert over / rounds == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / rounds))


def test_the_psi_of_categories_of_one_law_does_too() -> None:
    draw = np.random.default_rng(5)
    for n, m, shares in ((200, 150, [0.5, 0.3, 0.15, 0.05]), (5000, 4000, [0.7, 0.2, 0.1])):
        counts = [
            np.array([draw.multinomial(n, shares), draw.multinomial(m, shares)]) for _ in range(600)
        ]
        over = np.mean([psi(one) > psi_critical(one, cut_by_first=False) for one in counts])
        assert over == pytest.approx(0.05, abs=0.036)


def test_the_law_of_psi_is_yurdakuls_where_there_is_much() -> None:
    """Yurdakul 2018: (1/N + 1/M) times the quantile of χ² with B - 1 degrees of freedom."""
    counts = np.full((2, 10), 1000)
    expected = (2 / 10_000) * stats.chi2.ppf(0.95, 9)
    assert psi_critical(counts, cut_by_first=True) == pytest.approx(expected)
    # The habit of 0.1 fires on most identical samples of 100, and never on those of 10,000.
    assert psi_critical(np.full((2, 10), 10), cut_by_first=True) > 0.3
    assert psi_critical(counts, cut_by_first=True) < 0.01
    assert np.isnan(psi_critical(np.array([[5], [5]]), cut_by_first=True))


def test_probabilities_are_adjusted_as_benjamini_and_hochberg_did() -> None:
    """The 15 probabilities of their paper (1995, section 3.2): four are called at 0.05."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
         0.5719, 0.6528, 0.7590, 1.0000]  # fmt: skip
    import pandas as pd

    one = column(pd.Series([1.0, 2.0]))
    feature = Feature(name="a", label="a", kind="number", reference=one, current=one)
    found = adjusted([Drift(feature=feature, p=value) for value in [*p, float("nan")]])
    q = [drift.q for drift in found]
    assert sum(value <= 0.05 for value in q) == 4
    assert q[:-1] == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert np.isnan(q[-1])


def placements(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """DeLong's AUC and its variance as they are defined, pair by pair."""
    wins = (high[:, None] > low[None, :]) + 0.5 * (high[:, None] == low[None, :])
    above, below = wins.mean(axis=1), wins.mean(axis=0)
    variance = np.var(above, ddof=1) / len(high) + np.var(below, ddof=1) / len(low)
    return float(wins.mean()), float(variance)


def test_the_interval_of_an_auc_is_delongs() -> None:
    draw = np.random.default_rng(3)
    low, high = np.round(draw.normal(0, 1, 70), 1), np.round(draw.normal(0.8, 1, 90), 1)
    auc, variance = placements(low, high)
    reach = stats.norm.ppf(0.975) * np.sqrt(variance)
    assert auc_interval(low, high) == pytest.approx((auc, auc - reach, auc + reach))
    assert auc_interval(np.array([0.0, 0.1]), np.array([0.9, 1.0])) == (1.0, 1.0, 1.0)


def test_the_interval_of_an_auc_holds_it_nineteen_times_of_twenty() -> None:
    draw = np.random.default_rng(4)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    held = 0
    for _ in range(1000):
        _, low, high = auc_interval(draw.normal(0, 1, 100), draw.normal(1, 1, 120))
        held += low <= truth <= high
    assert held / 1000 == pytest.approx(0.95, abs=0.025)


def test_all_in_one_sample_is_the_hypergeometric_law() -> None:
    for rows, of, other in ((1, 10, 10), (4, 30, 70), (30, 30, 5), (0, 5, 5), (200, 500_000, 500)):
        theirs = stats.hypergeom.pmf(rows, of + other, of, rows)
        assert float(all_in_one_p(np.array(rows), of, other)) == pytest.approx(theirs, rel=1e-6)
    assert float(all_in_one_p(np.array(6), 5, 5)) == 0.0


def test_new_categories_of_one_law_are_called_new_by_chance() -> None:
    """With many rare categories each sample has its own, and that says nothing."""
    draw = np.random.default_rng(6)
    weights = 1 / np.arange(1, 2001)
    found = [
        new_categories_p(draw.multinomial([400, 600], weights / weights.sum()), 1)
        for _ in range(400)
    ]
    assert np.mean(np.array(found) <= 0.05) <= 0.05
    grown = np.array([[400, 100, 0], [380, 90, 30]])
    assert new_categories_p(grown, 1) < 1e-6
    assert new_categories_p(grown, 0) == 1.0
    many = np.concatenate([np.full((2, 3), 150), [[0] * 60, [1] * 60]], axis=1)
    assert new_categories_p(many, 1) < 0.001


def test_two_shares_are_fishers_and_statsmodels() -> None:
    assert two_shares(3, 4, 1, 4) == pytest.approx(0.4857, abs=1e-4)  # the lady tasting tea
    theirs = proportions_chisquare([400, 520], [5000, 5200])[1]
    assert two_shares(400, 5000, 520, 5200) == pytest.approx(theirs)
    assert two_shares(0, 50, 0, 40) == two_shares(50, 50, 40, 40) == 1.0
