"""How far two samples lie apart: distances and tests on numbers sorted once, and on counts."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np

# Below so many values the two distribution functions are compared at every one of them.
_FEW = 20_000
_GRID = 4096
# So many values at a time stay in a processor's cache.
_PART = 32_768
# Counting all ways takes as long as the sizes multiply to.
_EXACT = 1_000_000
# From so many values on the limit is within a hundredth of the law where that matters.
_NEAR_LIMIT = 10_000
BINS = 10
# Cochran 1954: below so many expected, the chi-square law is no guide.
LEAST_EXPECTED = 5.0


def ks_distance(x: np.ndarray, y: np.ndarray) -> float:
    """The largest distance between the distribution functions of two sorted samples.

    That is the two-sided, two-sample statistic of Kolmogorov and Smirnov, exactly, ties included.
    With many values the functions are first compared at some; between two of those neither can
    move further than it does from the one to the other, so only where that could hold more than
    what was found are all values looked at.

    Args:
        x: sorted, finite, not empty.
        y: the same.
    """
    if len(x) + len(y) <= _FEW:
        return _largest(x, y, np.concatenate([x, y]))
    grid = np.unique(np.concatenate([_every(x), _every(y)]))
    upto_x, upto_y = (np.searchsorted(one, grid, "right") for one in (x, y))
    share_x, share_y = upto_x / len(x), upto_y / len(y)
    found = float(np.abs(share_x - share_y).max())
    most = np.maximum(share_x[1:] - share_y[:-1], share_y[1:] - share_x[:-1])
    cells = np.flatnonzero(most > found)
    return max(found, _largest(x, y, np.concatenate([
        _inner(x, upto_x, grid, cells), _inner(y, upto_y, grid, cells)
    ])))  # fmt: skip


def _inner(values: np.ndarray, upto: np.ndarray, grid: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The values that lie within cells of the grid, their ends left out."""
    first, last = upto[cells], np.searchsorted(values, grid[cells + 1], "left")
    sizes = last - first
    places = np.repeat(first - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    found: np.ndarray = values[places]
    return found


def _every(values: np.ndarray) -> np.ndarray:
    """Some of the sorted values, evenly, both ends among them."""
    places = np.linspace(0, len(values) - 1, min(len(values), _GRID)).astype(int)
    found: np.ndarray = values[places]
    return found


def _largest(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> float:
    if not len(at):
        return 0.0
    shares = (np.searchsorted(one, at, "right") / len(one) for one in (x, y))
    return float(np.abs(np.subtract(*shares)).max())


def ks_test(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """``ks_distance``, and the probability of one so large between samples of one continuous law.

    Counted exactly (Hodges 1958, by ``scipy.stats.ks_2samp``) where the sizes multiply to a million
    at most, else by the law of one sample of n·m / (n + m) values, as scipy does too, and past
    10,000 such values by its limit (Kolmogorov 1933). Ties make the true probability smaller than
    the one given.
    """
    from scipy import special, stats

    n, m = len(x), len(y)
    if n * m > _EXACT:
        found, size = ks_distance(x, y), n * m / (n + m)
        if size > _NEAR_LIMIT:
            return found, float(special.kolmogorov(np.sqrt(size) * found))
        return found, float(np.clip(stats.kstwo.sf(found, round(size)), 0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where counting fails it takes the other law by itself
        exact = stats.ks_2samp(x, y, method="exact")
    return float(exact.statistic), float(exact.pvalue)


def wasserstein(x: np.ndarray, y: np.ndarray) -> float:
    """The area between the distribution functions of two sorted samples, in their own unit.

    That is the 1-Wasserstein distance, read off the quantile functions (Vallender 1974): the mean
    of |x - y| over ranks. Done in parts, which is faster than all at once.
    """
    if len(x) < len(y):
        x, y = y, x
    ends = np.linspace(0, len(x), len(x) // _PART + 2).astype(int)
    return sum(_between(x, y, first, last) for first, last in pairwise(ends)) / len(x)


def _between(x: np.ndarray, y: np.ndarray, first: int, last: int) -> float:
    """The distance of some of the values of ``x`` from those of ``y`` that have the same ranks.

    The ranks of one value of the larger sample are those of one value of the smaller, or the end of
    one's and the beginning of the next one's.
    """
    mine = x[first:last]
    if len(x) == len(y):
        return float(np.abs(mine - y[first:last]).sum())
    begin = np.arange(first, last) * (len(y) / len(x))
    end = np.arange(first + 1, last + 1) * (len(y) / len(x))
    at = begin.astype(int)  # what rounding gets wrong here has next to no ranks
    after = np.clip(end - (at + 1), 0.0, None) / (end - begin)
    here, there = y[at], y[np.minimum(at + 1, len(y) - 1)]
    return float((np.abs(mine - here) * (1 - after) + np.abs(mine - there) * after).sum())


def deviation(values: np.ndarray) -> float:
    """The standard deviation of a sample, with n - 1; 0 for one value."""
    if len(values) < 2:
        return 0.0
    mean, ends = values.mean(), np.linspace(0, len(values), len(values) // _PART + 2).astype(int)
    squares = sum(
        float(np.square(values[first:last] - mean).sum()) for first, last in pairwise(ends)
    )
    return float(np.sqrt(squares / (len(values) - 1)))


def decile_counts(x: np.ndarray, y: np.ndarray, bins: int = BINS) -> np.ndarray:
    """How many values of two sorted samples lie between the deciles of the first: 2 rows.

    A decile is the smallest value with at least that share of ``x`` at or below it (Hyndman and
    Fan's type 1), and belongs to the bin below it; the outer bins have no outer end. Where ties
    make deciles equal there are fewer bins, and none that ``x`` leaves empty; but where ``x`` is
    constant there are three, below it, at it, and above.
    """
    places = np.ceil(np.arange(1, bins) * len(x) / bins).astype(int) - 1
    edges = np.unique(x[places])
    edges = edges[edges < x[-1]]
    if not len(edges):
        edges = np.array([np.nextafter(x[-1], -np.inf), x[-1]])
    upto = [np.searchsorted(one, edges, "right") for one in (x, y)]
    ends = zip(upto, (len(x), len(y)), strict=True)
    return np.array([np.diff(inner, prepend=0, append=end) for inner, end in ends])


def psi(counts: np.ndarray) -> float:
    """The population stability index: the sum of (p - q) ln(p / q) over the bins.

    That is Jeffreys' divergence of the two samples' shares (Lewis 1994). A bin that one sample
    leaves empty counts as half a row there, since the logarithm of nothing is none.

    Args:
        counts: 2 rows, a column a bin.
    """
    p, q = np.maximum(counts, 0.5) / counts.sum(axis=1, keepdims=True)
    return float(((p - q) * np.log(p / q)).sum())


def jensen_shannon(counts: np.ndarray) -> float:
    """The Jensen-Shannon distance of the shares, from 0 to 1 (Endres and Schindelin 2003).

    The square root of the divergence with logarithms of base 2 (Lin 1991).
    """
    p, q = counts / counts.sum(axis=1, keepdims=True)
    middle = (p + q) / 2
    parts = [one[one > 0] * np.log2(one[one > 0] / middle[one > 0]) for one in (p, q)]
    return float(np.sqrt(max(0.0, sum(float(one.sum()) for one in parts) / 2)))


def total_variation(counts: np.ndarray) -> float:
    """The share of rows that would have to change their category to make the samples alike."""
    p, q = counts / counts.sum(axis=1, keepdims=True)
    return float(np.abs(p - q).sum() / 2)


def pooled(counts: np.ndarray) -> tuple[np.ndarray, int]:
    """Counts in which every category is expected at least five times in either sample.

    The rarest categories are put together, in the order of how often they are in both, until their
    sum is expected five times; then the rest is (Cochran 1954 on what is expected). Pooling looks
    at the sums alone, not at the difference, so it favours no answer.

    Returns:
        2 rows, the most frequent category first and what was put together last; and how many
        categories that last column holds (0 where none had to be).
    """
    counts = counts[:, np.argsort(-counts.sum(axis=0), kind="stable")]
    sums = counts.sum(axis=0)
    least = counts.sum(axis=1).min() / max(1, sums.sum())
    often = int((sums * least >= LEAST_EXPECTED).sum())
    if often == len(sums):
        return counts, 0
    while often and sums[often:].sum() * least < LEAST_EXPECTED:
        often -= 1
    rest = counts[:, often:].sum(axis=1, keepdims=True)
    return np.concatenate([counts[:, :often], rest], axis=1), len(sums) - often


def chi_square(counts: np.ndarray) -> tuple[float, float]:
    """Pearson's test of one law behind both rows: the statistic and its probability.

    Without Yates' correction; K - 1 degrees of freedom for K categories (Agresti, Categorical Data
    Analysis, 3.2). ``pooled`` sees to it that the law holds.
    """
    from scipy import special

    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return statistic, float(special.chdtrc(counts.shape[1] - 1, statistic))
