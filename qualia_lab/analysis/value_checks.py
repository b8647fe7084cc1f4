"""Values that are missing, new, vanished or out of range, judged against what chance brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qualia_lab.analysis.features import Feature
from qualia_lab.analysis.labels import number, plain
from qualia_lab.analysis.samples import Samples
from qualia_lab.analysis.shift import chi_square

Sort = Literal["missing", "infinite", "new", "vanished", "below", "above"]

LEVEL = 0.05
# A share of rows that matters, and one that matters much.
SOME: dict[Sort, float] = {
    "missing": 0.05, "infinite": 0.0, "new": 0.01, "vanished": 0.05, "below": 0.01, "above": 0.01,
}  # fmt: skip
MUCH = 0.2
_FEW = 1000
# How many of these each kind of feature is asked for.
_ASKED = {"number": 4, "category": 3}
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """One kind of odd value of one feature.

    ``rows`` of ``of`` rows of the current table (of the reference for what vanished), ``before`` of
    ``of_before`` in the other; ``p`` is how probable so many are by chance, ``q`` that adjusted.
    ``values`` says which, in words.
    """

    feature: Feature
    sort: Sort
    rows: int
    of: int
    before: int
    of_before: int
    p: float
    values: str = ""
    q: float = float("nan")

    @property
    def share(self) -> float:
        """Of the rows, less the share that was so before."""
        return self.rows / self.of - (self.before / self.of_before if self.of_before else 0.0)

    @property
    def matters(self) -> bool:
        """More than chance, and enough rows more than before."""
        return self.q <= LEVEL and self.share > 0 and self.share >= SOME[self.sort]


def changes(samples: Samples) -> tuple[Change, ...]:
    """All of both tables that is not simply as before, by kind, then the largest share first."""
    found: tuple[Change, ...] = samples.kept("changes", lambda: _changes(samples))
    return found


def _changes(samples: Samples) -> tuple[Change, ...]:
    from dataclasses import replace

    from scipy import stats

    found = [one for feature in samples.features.shared for one in _of(feature)]
    if not found:
        return ()
    # What did not happen was looked for too: 1 is how probable nothing or more is.
    asked = sum(_ASKED.get(feature.kind, 1) for feature in samples.features.shared)
    ones = [1.0] * (max(asked, len(found)) - len(found))
    q = stats.false_discovery_control([*(one.p for one in found), *ones])[: len(found)]
    judged = [replace(one, q=float(value)) for one, value in zip(found, q, strict=True)]
    order = list(SOME)
    return tuple(sorted(judged, key=lambda one: (order.index(one.sort), -abs(one.share))))


def _of(feature: Feature) -> list[Change]:
    old, new = feature.reference, feature.current
    found = []
    if (old.missing or new.missing) and old.rows and new.rows:
        p = two_shares(old.missing, old.rows, new.missing, new.rows)
        found.append(_change(feature, "missing", new.missing, new.rows, old.missing, old.rows, p))
    if old.unbounded or new.unbounded:
        p = two_shares(old.unbounded, old.rows, new.unbounded, new.rows)
        found.append(
            _change(feature, "infinite", new.unbounded, new.rows, old.unbounded, old.rows, p)
        )
    if old.kind != new.kind or (feature.why_not and feature.kind != "category"):
        return found
    return found + (_ranges(feature) if feature.kind == "number" else _categories(feature))


def _change(
    feature: Feature, sort: Sort, rows: int, of: int, before: int, of_before: int, p: float,
    values: str = "",
) -> Change:  # fmt: skip
    return Change(
        feature=feature, sort=sort, rows=rows, of=of, before=before, of_before=of_before, p=p,
        values=values,
    )  # fmt: skip


def two_shares(first: int, of_first: int, second: int, of_second: int) -> float:
    """The probability that two shares differ so much by chance.

    Fisher's exact test up to 1,000 rows in all, else Pearson's chi-square.
    """
    from scipy import stats

    counts = np.array([[first, of_first - first], [second, of_second - second]])
    if not counts.sum(axis=0).all():
        return 1.0
    if counts.sum() <= _FEW or counts.min() < 5:
        return float(stats.fisher_exact(counts).pvalue)
    return chi_square(counts)[1]


def all_in_one_p(rows: np.ndarray, of: int, other: int) -> np.ndarray:
    """The probability that so many rows are all among the ``of`` of one sample by chance.

    Of one law, which sample a row is in is a matter of drawing without replacement: of / (of +
    other) for the first, and so on (for values beyond an extreme: the law of exceedances, Gumbel
    and von Schelling 1950).
    """
    from scipy import special

    rows = np.asarray(rows, dtype="float64")
    log = special.gammaln
    with np.errstate(invalid="ignore"):
        ways = log(of + 1) - log(of - rows + 1) - log(of + other + 1) + log(of + other - rows + 1)
    found: np.ndarray = np.where(rows <= of, np.exp(np.where(rows <= of, ways, 0.0)), 0.0)
    return found


def _ranges(feature: Feature) -> list[Change]:
    old, new = (one.values[np.isfinite(one.values)] for one in (feature.reference, feature.current))
    low, high = float(old.min()), float(old.max())
    found = []
    for sort, out, edge in (
        ("below", new < low, f"below {number(low)}, down to {number(float(new.min()))}"),
        ("above", new > high, f"above {number(high)}, up to {number(float(new.max()))}"),
    ):
        rows = int(np.count_nonzero(out))
        if rows:
            name: Sort = "below" if sort == "below" else "above"
            p = float(all_in_one_p(np.array(rows), len(new), len(old)))
            found.append(_change(feature, name, rows, len(new), 0, len(old), p, edge))
    return found


def _categories(feature: Feature) -> list[Change]:
    names, counts = feature.counts
    n, m = (int(one) for one in counts.sum(axis=1))
    found = []
    for sort, here, other in (("new", 1, 0), ("vanished", 0, 1)):
        mine = (counts[here] > 0) & (counts[other] == 0)
        rows = int(counts[here][mine].sum())
        if not rows:
            continue
        most = np.flatnonzero(mine)[np.argsort(-counts[here][mine], kind="stable")]
        named = ", ".join(
            f"{plain(names[one], 40) or '(empty)'} ({counts[here][one]:,})"
            for one in most[:_MOST_NAMED]
        )
        more = f", and {mine.sum() - _MOST_NAMED:,} more" if mine.sum() > _MOST_NAMED else ""
        name: Sort = "new" if sort == "new" else "vanished"
        of, of_other = (m, n) if sort == "new" else (n, m)
        p = new_categories_p(counts, here)
        found.append(_change(feature, name, rows, of, 0, of_other, p, named + more))
    return found


def new_categories_p(counts: np.ndarray, here: int) -> float:
    """How probable it is, of one law, that one sample has the categories of its own that it has.

    Two things are asked: whether its largest one is by chance in this sample alone, over as many
    categories as there are; and whether there are more of them than chance spreads so, by
    Poisson's law about the number expected (Le Cam 1960). The smaller probability counts, doubled.
    In a small sample rare categories are missing as a rule, and this says so.

    Args:
        counts: 2 rows, a column a category.
        here: the row of the sample whose own categories are judged.
    """
    from scipy import special

    of, other = (int(counts[one].sum()) for one in (here, 1 - here))
    own = (counts[here] > 0) & (counts[1 - here] == 0)
    if not own.any() or not other:
        return 1.0
    by_chance = all_in_one_p(counts.sum(axis=0), of, other)
    largest = by_chance[own].min() * counts.shape[1]
    number = float(special.pdtrc(int(own.sum()) - 1, by_chance.sum()))
    return float(min(1.0, 2 * min(largest, number)))
