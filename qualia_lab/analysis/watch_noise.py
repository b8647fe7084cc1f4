"""How a series varies by itself: autocorrelation, and what a check gives where nothing changed.

All of it is simulated from a first-order autoregression (AR(1)), x_t = phi x_{t-1} + e_t, with the
phi of the series at hand: daily values resemble the day before, and a test that takes them for
independent alarms far too often. Seeds are fixed, so that the same data gives the same numbers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_SEED = 20_240_229
_WARM_UP = 100
_HIGHEST = 0.95
_STEP = 0.05
_NUMBERS = 4_000_000
_FEWEST_SIMULATED, _MOST_SIMULATED = 2_000, 20_000


def autocorrelation(residuals: np.ndarray) -> float:
    """The lag-1 autocorrelation of what a fitted change leaves, corrected for that fit.

    The estimate of n values around a fitted mean is too low by about (1 + 3 phi) / n (Kendall 1954,
    Marriott and Pope 1954). Around a change that was searched for it is lower still; three times
    that correction gave the test of ``watch_changes`` its size in simulation. Between 0 and 0.95:
    negative values would make every check bolder.
    """
    n, total = len(residuals), float(residuals @ residuals)
    if n < _WARM_UP // 10 or not total > 0:
        return 0.0
    raw = float(residuals[1:] @ residuals[:-1]) / total
    return float(np.clip((n * raw + 3) / (n - 8), 0, _HIGHEST)) if n > 8 else 0.0


def on_grid(phi: float) -> float:
    """The phi that is simulated: the next of 0, 0.05, ... 0.95."""
    return round(round(phi / _STEP) * _STEP, 2)


def effective(points: int, phi: float) -> float:
    """How many independent values tell as much about a mean as so many of an AR(1) do."""
    return points * (1 - phi) / (1 + phi)


def simulated(points: int, phi: float, times: int | None = None) -> np.ndarray:
    """Stationary series of standard deviation 1: a row a series, 2,000 to 20,000 of them."""
    from scipy.signal import lfilter

    if times is None:
        times = int(np.clip(_NUMBERS // points, _FEWEST_SIMULATED, _MOST_SIMULATED))
    random = np.random.default_rng(_SEED)
    if not phi:
        return random.standard_normal((times, points))
    warm_up = _WARM_UP if phi < 0.9 else 3 * _WARM_UP
    noise = random.standard_normal((times, points + warm_up)) * np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=1)[:, warm_up:])


def cusum(values: np.ndarray) -> np.ndarray:
    """Cumulated sums of deviations from the mean after 1, 2, ... n - 1 values (Page 1954)."""
    return np.asarray(np.cumsum(values - values.mean(axis=-1, keepdims=True), axis=-1)[..., :-1])


def cusum_statistic(values: np.ndarray) -> np.ndarray:
    """The largest ``cusum``, in units of the standard deviation times the root of the length."""
    spread = values.std(axis=-1) * np.sqrt(values.shape[-1])
    return np.asarray(np.abs(cusum(values)).max(axis=-1) / spread)


def cusum_p(statistic: float, points: int, phi: float) -> float:
    """How often a stationary AR(1) gives a statistic as large; at least one of those simulated.

    For long independent series it is Kolmogorov's law of the Brownian bridge (Ploberger and Kraemer
    1992), which the simulation replaces because it is too careful in short ones.
    """
    null = cusum_null(points, on_grid(phi))
    above = len(null) - int(np.searchsorted(null, statistic - 1e-12))
    return (1 + above) / (1 + len(null))


@lru_cache(maxsize=256)
def cusum_null(points: int, phi: float) -> np.ndarray:
    """What ``cusum_statistic`` is in simulated series without a change, sorted."""
    return np.sort(cusum_statistic(simulated(points, phi)))
