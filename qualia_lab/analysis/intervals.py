"""How sure a mean or a quantile is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qualia_lab.analysis.laws import normal_below, normal_quantile, student_quantile

LEVEL = 0.95
_RESAMPLES = 2000
_SEED = 0
# From so many values on, the mean of most samples is normal enough.
_MANY = 2000


def of_mean(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """An interval for the mean: bootstrap, bias-corrected and accelerated; Student's for many.

    NaN below two values; the value itself where all are the same.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    if len(values) >= _MANY:
        return students(values, level)
    draws = np.random.default_rng(_SEED).integers(0, len(values), (_RESAMPLES, len(values)))
    return bootstrapped(values, draws, level)


def students(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Student's interval for the mean of two values or more."""
    mean, free = float(np.mean(values)), len(values) - 1
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = student_quantile((1 + level) / 2, free) * error
    return mean - half, mean + half


def bootstrapped(
    values: NDArray[np.float64], draws: NDArray[np.integer], level: float = LEVEL
) -> tuple[float, float]:
    """The bias-corrected and accelerated interval of the mean, as ``scipy.stats.bootstrap`` has it.

    Efron (1987), Better Bootstrap Confidence Intervals; the acceleration from the means without
    one value each (Efron and Tibshirani 1993, 14.15).

    Args:
        values: a sample that is not constant.
        draws: places in it, a row a resample.
        level: of the interval.

    Returns:
        Both ends; NaN where every resample's mean is above that of the values, or below it.
    """
    n, mean = len(values), float(np.mean(values))
    means = np.mean(values[draws], axis=-1)
    share = (np.count_nonzero(means < mean) + np.count_nonzero(means <= mean)) / (2 * len(means))
    bias = normal_quantile(share)
    kept = np.broadcast_to(values, (n, n))[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    without = np.mean(kept, axis=-1)
    lean = (n - 1) * (np.mean(without) - without)
    acceleration = np.sum(lean**3) / n**3 / (6 * (np.sum(lean**2) / n**2) ** 1.5)

    def end(tail: float) -> float:
        moved = bias + normal_quantile(tail)
        place = normal_below(bias + moved / (1 - acceleration * moved))
        return float(np.quantile(means, place)) if math.isfinite(place) else float("nan")

    return end((1 - level) / 2), end((1 + level) / 2)


def of_quantile(
    values: NDArray[np.float64], share: float, level: float = LEVEL
) -> tuple[float, float]:
    """An interval for a quantile between two values of the sample, whatever the distribution.

    The ranks come from the binomial law (Hahn and Meeker 1991, Statistical Intervals, 5.2). NaN at
    an end for which there are too few values.
    """
    from scipy import stats

    ordered, n = np.sort(values), len(values)
    tail = (1 - level) / 2
    low = int(stats.binom.ppf(tail, n, share)) if n else 0
    high = int(stats.binom.ppf(1 - tail, n, share)) + 1 if n else 1
    # Rank ``low`` is below the quantile, rank ``high`` above it, each but for ``tail`` of samples.
    return (
        float(ordered[low - 1]) if low >= 1 else float("nan"),
        float(ordered[high - 1]) if high <= n else float("nan"),
    )
