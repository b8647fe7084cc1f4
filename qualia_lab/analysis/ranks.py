"""Tests that ask only which value is higher: Mann and Whitney's, and Spearman's correlation.

They give what scipy gives (see the tests), without importing its statistics, which takes longer
than all that a notebook of a few runs tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from qualia_lab.analysis.laws import normal_below, student_beyond

_MOST_ORDERS = 10_000
# Where neither sample is smaller, the normal law is as good.
_SMALL = 8


def mann_whitney(values: Sequence[float], base: Sequence[float]) -> tuple[float, float]:
    """U of the first sample (Mann and Whitney 1947), and its p, two-sided.

    All orders are counted where one sample has eight values at most and none are the same, or
    where there are 10,000 orders at most; else U is taken as normal, corrected for ties and for
    continuity. Each sample needs two values.
    """
    one, other = len(values), len(base)
    ranks, ties = _ranks(np.concatenate([values, base]))
    u = float(ranks[:one].sum()) - one * (one + 1) / 2
    if not ties and min(one, other) <= _SMALL:
        counts = _orders(min(one, other), max(one, other))
        as_far = counts[round(max(u, one * other - u)) :]  # they are the same from either end
        return u, min(1.0, 2 * sum(as_far) / sum(counts))
    if math.comb(one + other, one) <= _MOST_ORDERS:
        return u, _of_all_orders(ranks, one)
    size = one + other
    spread = math.sqrt(one * other / 12 * ((size + 1) - ties / (size * (size - 1))))
    if spread == 0:
        return u, 1.0
    z = (max(u, one * other - u) - one * other / 2 - 0.5) / spread
    return u, min(1.0, 2 * normal_below(-z))


def spearman(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Spearman's rank correlation of two arrays, neither of them constant, and its p, two-sided.

    By Student's law with n - 2 degrees of freedom (Kendall and Stuart 1973, 31.19).
    """
    rho = float(np.corrcoef(_ranks(x)[0], _ranks(y)[0])[0, 1])
    free = len(x) - 2
    if free < 1:
        return rho, math.nan
    left = (1 - rho) * (1 + rho)
    return rho, student_beyond(rho * math.sqrt(free / left), free) if left > 0 else 0.0


def false_discoveries(p: np.ndarray) -> np.ndarray:
    """Chances corrected for their number, after Benjamini and Hochberg (1995)."""
    order = np.argsort(p, kind="stable")[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    found = np.empty(len(p))
    found[order] = np.minimum(1.0, np.minimum.accumulate(scaled))
    return found


def _ranks(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Ranks from 1, the mean of them where values are the same; and the sum of t³ - t over ties."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[places]
    return ranks, float((counts.astype("float64") ** 3 - counts).sum())


def _orders(small: int, large: int) -> list[int]:
    """How many orders of two samples without ties give each U: the Gaussian binomial coefficients
    (Andrews, The Theory of Partitions, 1976, 3.1)."""
    counts = [1] + [0] * (small * large)
    for part in range(1, small + 1):
        shift = large + part
        for place in range(len(counts) - 1, shift - 1, -1):
            counts[place] -= counts[place - shift]
        for first in range(part):
            counts[first::part] = accumulate(counts[first::part])
    return counts


def _of_all_orders(ranks: np.ndarray, one: int) -> float:
    """p of the sum of the first ranks among all choices of as many, counted."""
    twice = np.rint(2 * ranks).astype(int).tolist()  # so that halves are whole
    ways: list[dict[int, int]] = [{0: 1}, *({} for _ in range(one))]
    for rank in twice:
        for taken in range(one, 0, -1):
            for total, count in ways[taken - 1].items():
                ways[taken][total + rank] = ways[taken].get(total + rank, 0) + count
    seen, found = sum(twice[:one]), ways[one]
    above = sum(count for total, count in found.items() if total >= seen)
    below = sum(count for total, count in found.items() if total <= seen)
    return min(1.0, 2 * min(above, below) / sum(found.values()))
