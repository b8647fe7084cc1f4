"""Data drift: how far each feature of two samples moved, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from qualia_lab.analysis.features import Feature
from qualia_lab.analysis.labels import chance
from qualia_lab.analysis.psi_law import psi_critical
from qualia_lab.analysis.samples import NOTHING, Samples
from qualia_lab.analysis.shift import (
    chi_square,
    decile_counts,
    deviation,
    jensen_shannon,
    ks_test,
    pooled,
    psi,
    total_variation,
    wasserstein,
)
from qualia_lab.analysis.show import Note

NAN = float("nan")
LEVEL = 0.05
# What matters: a tenth of the rows elsewhere, or the mean row by a tenth of a deviation. Between
# categories there is no moving a little, so a twentieth of the rows does.
SOME, SOME_CATEGORIES = 0.1, 0.05
# What matters much: a fifth of the rows, or half a deviation.
MUCH, FAR = 0.2, 0.5
# Numbers of so few values are tested as categories: ties make Kolmogorov and Smirnov's test blunt.
_FEW_VALUES = 10
# Beyond this, squares and differences overflow.
_LARGE = 1e150

Verdict = Literal["strong", "drift", "slight", "none", "not compared"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drift:
    """What was found of one feature.

    ``distance`` is the largest distance of the distribution functions for a number (Kolmogorov and
    Smirnov's), the total variation for categories: both the share of rows that moved. ``p`` is the
    probability of the test's statistic by chance, ``q`` that adjusted over all features
    (Benjamini and Hochberg). ``wasserstein`` is in deviations of the reference. ``mean_shift`` is
    the difference of the means in those.
    """

    feature: Feature
    test: str = ""
    statistic: float = NAN
    distance: float = NAN
    p: float = NAN
    q: float = NAN
    wasserstein: float = NAN
    psi: float = NAN
    psi_critical: float = NAN
    jensen_shannon: float = NAN
    rows: tuple[int, int] = (0, 0)
    rare: int = 0
    why_not: str = ""

    @property
    def effect(self) -> float:
        """What features are ordered by."""
        return self.distance if self.distance == self.distance else -1.0

    @property
    def verdict(self) -> Verdict:
        """Both have to hold: more than chance over all features, and large enough to matter."""
        if self.p != self.p:
            return "not compared"
        if self.q > LEVEL:
            return "none"
        if self.distance >= MUCH or self.wasserstein >= FAR:
            return "strong"
        least = SOME if self.feature.kind == "number" else SOME_CATEGORIES
        return "drift" if self.distance >= least or self.wasserstein >= SOME else "slight"


SAID: dict[Verdict, str] = {
    "strong": "drifted, much",
    "drift": "drifted",
    "slight": "not by chance, but small",
    "none": "no sign of drift",
    "not compared": "not compared",
}


def drifts(samples: Samples) -> tuple[Drift, ...]:
    """Every feature of both tables, those that drifted first and of these the largest first."""
    found: tuple[Drift, ...] = samples.kept("drifts", lambda: _drifts(samples.features.shared))
    return found


def _drifts(shared: Sequence[Feature]) -> tuple[Drift, ...]:
    order: list[Verdict] = ["strong", "drift", "slight", "none", "not compared"]
    found = adjusted([compared(feature) for feature in shared])
    return tuple(sorted(found, key=lambda one: (order.index(one.verdict) // 2, -one.effect)))


def compared(feature: Feature) -> Drift:
    """One feature, not yet adjusted for how many there are."""
    if feature.why_not:
        return Drift(feature=feature, why_not=feature.why_not)
    return _numbers(feature) if feature.kind == "number" else _categories(feature)


def adjusted(found: Sequence[Drift]) -> list[Drift]:
    """With the probabilities adjusted over all features that were tested.

    Benjamini and Hochberg 1995, by ``scipy.stats.false_discovery_control``: of the features called
    at 0.05, a twentieth are false on average.
    """
    from scipy import stats

    tested = [one for one in found if one.p == one.p]
    if not tested:
        return list(found)
    q = stats.false_discovery_control([one.p for one in tested])
    of = {id(one): float(value) for one, value in zip(tested, q, strict=True)}
    return [replace(one, q=of[id(one)]) if id(one) in of else one for one in found]


def _numbers(feature: Feature) -> Drift:
    x, y = (finite_sorted(one.values) for one in (feature.reference, feature.current))
    size = max(abs(float(x[0])), abs(float(x[-1])), abs(float(y[0])), abs(float(y[-1])))
    if size > _LARGE:
        x, y = x / size, y / size
    values = _few(x, y)
    counts = decile_counts(x, y) if values is None else _at(x, y, values)
    distance, p = ks_test(x, y)
    statistic, test, rare = distance, "KS", 0
    kept, put = pooled(counts)
    if values is not None and kept.shape[1] > 1:
        (statistic, p), test, rare = chi_square(kept), "chi-square", put
    unit = deviation(x)
    return Drift(
        feature=feature,
        test=test,
        statistic=statistic,
        distance=distance,
        p=p,
        wasserstein=wasserstein(x, y) / unit if unit else NAN,
        psi=psi(counts) if counts.shape[1] > 1 else NAN,
        psi_critical=psi_critical(counts, cut_by_first=values is None),
        jensen_shannon=jensen_shannon(counts),
        rows=(len(x), len(y)),
        rare=rare,
    )


def finite_sorted(values: np.ndarray) -> np.ndarray:
    """The finite ones, sorted."""
    rising = np.sort(values)  # NaN comes last
    first, last = np.searchsorted(rising, -np.inf, "right"), np.searchsorted(rising, np.inf)
    found: np.ndarray = rising[first:last]
    return found


def _few(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """The distinct values of both, where they are ten at most."""
    found = set()
    for one in (x, y):
        place = 0
        while place < len(one):
            found.add(float(one[place]))
            if len(found) > _FEW_VALUES:
                return None
            place = int(np.searchsorted(one, one[place], "right"))
    return np.array(sorted(found))


def _at(x: np.ndarray, y: np.ndarray, values: np.ndarray) -> np.ndarray:
    ends = [np.searchsorted(one, values, "right") for one in (x, y)]
    return np.array([np.diff(one, prepend=0) for one in ends])


def _categories(feature: Feature) -> Drift:
    _, counts = feature.counts
    rows = (int(counts[0].sum()), int(counts[1].sum()))
    kept, rare = pooled(counts)
    if kept.shape[1] < 2:
        if counts.shape[1] == 1:
            return Drift(
                feature=feature, test="chi-square", statistic=0.0, distance=0.0, p=1.0,
                jensen_shannon=0.0, rows=rows,
            )  # fmt: skip
        sizes = " and ".join(f"{one:,}" for one in rows)
        why = f"{counts.shape[1]:,} categories, too many for {sizes} rows"
        return Drift(feature=feature, why_not=why, rows=rows)
    statistic, p = chi_square(kept)
    return Drift(
        feature=feature,
        test="chi-square",
        statistic=statistic,
        distance=total_variation(kept),
        p=p,
        psi=psi(kept),
        psi_critical=psi_critical(kept, cut_by_first=False),
        jensen_shannon=jensen_shannon(kept),
        rows=rows,
        rare=rare,
    )


def _chance(p: float) -> str:
    return chance(p) if p == p else ""


_COLUMNS = (
    "kind", "verdict", "test, or why not", "p", "p adjusted", "distance",
    "Wasserstein / deviation", "Jensen-Shannon", "PSI", "PSI by chance",
)  # fmt: skip


def data_drift(samples: Samples | Note) -> pd.DataFrame | Note:
    """Each feature of two samples: how far it moved, and whether that is more than chance.

    Args:
        samples: from ``two_samples``.

    Returns:
        A row a feature that both tables have, what drifted first and of that the largest
        ``distance`` first. ``test`` is Kolmogorov and Smirnov's for numbers (``shift.ks_test``) and
        Pearson's chi-square for categories and for numbers of ten values or less, those that are
        expected less than five times put together (``shift.pooled``); ``p adjusted`` is over
        all features (``adjusted``); both are text, "< 1e-12" for what is less.
        ``distance``, the share of rows that moved: the largest
        distance of the distribution functions of a number, the total variation of categories.
        ``Wasserstein / deviation``: how far a row moved on average, in standard deviations of the
        reference. ``Jensen-Shannon`` (0 to 1, base 2) and ``PSI`` over the reference's deciles, or
        over the categories or few values; ``PSI by chance``: what it exceeds by chance in one of
        twenty samples of this size (``psi_law.psi_critical``). ``verdict``: *drifted* where the
        adjusted p is at most 0.05 **and** a tenth of the rows moved (a twentieth, between
        categories) or the mean row by a tenth of a deviation; *much* from a fifth, or half a
        deviation; *not by chance, but small* where only the first holds. A note where the tables
        share no column.
    """
    if isinstance(samples, Note):
        return NOTHING
    found = drifts(samples)
    if not found:
        return Note("The two tables share no column.")
    rows = [
        (
            one.feature.kind, SAID[one.verdict], one.test or one.why_not, _chance(one.p),
            _chance(one.q), one.distance, one.wasserstein, one.jensen_shannon, one.psi,
            one.psi_critical,
        )
        for one in found
    ]  # fmt: skip
    index = pd.Index([one.feature.label for one in found], dtype="object")
    table = pd.DataFrame(rows, columns=list(_COLUMNS), index=index)
    sizes = f"{len(samples.reference.frame):,} against {len(samples.current.frame):,}"
    return table.rename_axis(columns=f"{sizes} {samples.of}")
