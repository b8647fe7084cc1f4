"""Levels of a series and their confidence intervals: means, rates, and the slope over time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qualia_lab.analysis.watch_noise import effective

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """An estimate and its 95 % confidence interval; the ends are NaN where there is none."""

    value: float
    low: float
    high: float
    points: int


def is_rate(values: np.ndarray) -> bool:
    """Whether the values are zeros and ones, so that their mean is a rate."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def level(values: np.ndarray, phi: float = 0.0) -> Level:
    """The mean of consecutive values.

    Of zeros and ones the interval is Wilson's; else Student's for as many values as are
    independent, n (1 - phi) / (1 + phi) for an AR(1) (Bayley and Hammersley 1946).
    """
    if is_rate(values):
        return wilson(int(values.sum()), len(values))
    mean, n = float(values.mean()), len(values)
    independent = max(2.0, effective(n, phi))
    if n < 3:
        return Level(value=mean, low=math.nan, high=math.nan, points=n)
    from scipy import stats

    # The spread of autocorrelated values around their own mean is too small by what it took along.
    spread = float(values.std()) * math.sqrt(independent / (independent - 1))
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, independent - 1)) * spread
    half /= math.sqrt(independent)
    return Level(value=mean, low=mean - half, high=mean + half, points=n)


def wilson(successes: int, n: int) -> Level:
    """A rate and its score interval (Wilson 1927); NaN for none of none."""
    from scipy.special import ndtri

    if not n:
        return Level(value=math.nan, low=math.nan, high=math.nan, points=0)
    z, rate = float(ndtri((1 + _CONFIDENCE) / 2)), successes / n
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return Level(value=rate, low=max(0.0, middle - half), high=min(1.0, middle + half), points=n)


def slope(days: np.ndarray, values: np.ndarray) -> Level:
    """The least-squares slope per day, with an interval that autocorrelation does not shorten.

    The residuals are taken for an AR(1): the variance of the slope is that of independent values
    times (1 + phi) / (1 - phi), phi is corrected for the two parameters fitted, and Student's t has
    as many degrees of freedom as there are independent values, less two. In simulation the interval
    held the slope in 94 to 96 of 100 series of 30 to 300 values with phi from 0 to 0.8; Newey and
    West's did in 61 to 94.

    NaN where all values are of one time or there are fewer than ten.
    """
    from scipy import stats

    n = len(values)
    if n < 10 or not np.ptp(days) > 0:
        return Level(value=math.nan, low=math.nan, high=math.nan, points=n)
    scale = float(np.abs(values).max()) or 1.0
    time, shown = days - days.mean(), values / scale
    total = float(time @ time)
    found = float(time @ shown) / total
    residuals = shown - shown.mean() - found * time
    rss = float(residuals @ residuals)
    raw = float(residuals[1:] @ residuals[:-1]) / rss if rss > 0 else 0.0
    phi = float(np.clip((n * raw + 2) / (n - 6), 0.0, 0.95))
    independent = max(4.0, effective(n, phi))
    # Residual variance of so many independent values, each of which stands for n / independent.
    error = math.sqrt(rss / (independent - 2) / total)
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, independent - 2)) * error
    ends = (found * scale, (found - half) * scale, (found + half) * scale)
    return Level(value=ends[0], low=ends[1], high=ends[2], points=n)
