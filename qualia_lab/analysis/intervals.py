"""How sure a mean or a quantile is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
_RESAMPLES = 2000
_SEED = 0
# From so many values on, the mean of most samples is normal enough.
_MANY = 2000


def of_mean(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """An interval for the mean: bootstrap, bias-corrected and accelerated; Student's for many.

    Efron (1987), Better Bootstrap Confidence Intervals, as ``scipy.stats.bootstrap`` computes it,
    with a fixed seed. NaN below two values; the value itself where all are the same.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    from scipy import stats

    if len(values) >= _MANY:
        low, high = stats.t.interval(level, len(values) - 1, values.mean(), stats.sem(values))
        return float(low), float(high)
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=_RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


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
