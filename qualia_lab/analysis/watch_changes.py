"""Whether and when a series changed, and whether at once or little by little."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qualia_lab.analysis.watch_noise import (
    autocorrelation,
    cusum,
    cusum_p,
    cusum_statistic,
    effective,
)

Shape = Literal["sudden", "gradual", "unclear"]

# Differences in BIC that Kass and Raftery (1995) call positive (2) and strong evidence (6). A step
# has its place to itself, so that it seems better by 2 in four of ten series of mere noise, and by
# 6 in few; a ramp seems better by 2 in one of a hundred.
_GRADUAL, _SUDDEN = 2.0, 6.0
_SHORTEST = 3
_ROUNDING = 1e-12
_RESAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A line with one change: what it leaves unexplained, where it changes, and its values.

    ``place`` is the index of the first value after the change (a step), or of the last before the
    bend (a ramp).
    """

    rss: float
    place: int
    fitted: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change in a series, with how sure it is.

    Attributes:
        place: the index of the first value after the change, where the CUSUM turns.
        before, after: the means on both sides of it.
        spread: the standard deviation around the better of the two fits.
        phi: the autocorrelation of what that fit leaves.
        p: how often a series that does not change looks as much like one that does.
        shape: a step or a ramp, by BIC; ``evidence`` is how much lower the BIC of that shape is.
        onset: where the better fit begins to change: the index of its first changed value.
        step, ramp: the two fits.
    """

    place: int
    before: float
    after: float
    spread: float
    phi: float
    p: float
    shape: Shape
    evidence: float
    onset: int
    step: Fit
    ramp: Fit

    @property
    def fitted(self) -> np.ndarray:
        """The values of the better of the two fits."""
        return self.step.fitted if self.step.rss <= self.ramp.rss else self.ramp.fitted

    @property
    def since(self) -> int:
        """The index of the value that is told as the first changed one: where a gradual change
        begins, else where the CUSUM turns."""
        return self.onset if self.shape == "gradual" else self.place


def change_in(days: np.ndarray, values: np.ndarray) -> Change:
    """The change point of a series by the CUSUM of Page (1954), and the shape of the change.

    The largest cumulated deviation from the mean, standardised, is held against what a stationary
    AR(1) of the same autocorrelation gives (see ``watch_noise``). A step (two levels) is then
    compared with a ramp (a level, then a slope from some moment on), both fitted by least squares
    with the moment searched for; they have the same number of parameters, so that their BIC differ
    by n log(RSS ratio), n being the number of independent values.

    Args:
        days: never falling, as many as values; where all are one, the order counts instead.
        values: ten or more, finite, not all the same.
    """
    scale = float(np.abs(values).max())
    shown = values / scale
    if not np.ptp(days) > 0:
        days = np.arange(len(values), dtype=float)
    step, ramp = fit_step(shown), fit_ramp(days, shown)
    better = step if step.rss <= ramp.rss else ramp
    residuals = shown - better.fitted
    phi = autocorrelation(residuals)
    place = int(np.abs(cusum(shown)).argmax()) + 1
    independent = effective(len(values), phi)
    evidence = independent * _log_ratio(ramp.rss, step.rss, float(shown.var()) * len(shown))
    shape: Shape = "sudden" if evidence >= _SUDDEN else "unclear"
    shape = "gradual" if evidence <= -_GRADUAL else shape
    return Change(
        place=place,
        before=float(shown[:place].mean()) * scale,
        after=float(shown[place:].mean()) * scale,
        spread=_spread(better.rss, float(shown.var()), len(values)) * scale,
        phi=phi,
        p=cusum_p(float(cusum_statistic(shown)), len(values), phi),
        shape=shape,
        evidence=abs(evidence),
        onset=step.place if shape == "sudden" else min(ramp.place + 1, len(values) - 1),
        step=_scaled(step, scale),
        ramp=_scaled(ramp, scale),
    )


def onset_interval(days: np.ndarray, values: np.ndarray, change: Change) -> tuple[int, int]:
    """The indices between which the change begins, with 95 % confidence.

    A parametric bootstrap: AR(1) noise of the series' own spread and autocorrelation is put on the
    fitted shape, and the beginning is looked for anew, 200 times.
    """
    from scipy.signal import lfilter

    if not np.ptp(days) > 0:
        days = np.arange(len(values), dtype=float)
    is_step = change.shape == "sudden"
    fit = change.step if is_step else change.ramp
    scale = float(np.abs(values).max())
    noise = np.random.default_rng(0).standard_normal((_RESAMPLES, len(values) + 100))
    noise *= math.sqrt(1 - change.phi**2) * change.spread / scale
    series = fit.fitted / scale + lfilter([1.0], [1.0, -change.phi], noise, axis=1)[:, 100:]
    found = [
        fit_step(one).place if is_step else min(fit_ramp(days, one).place + 1, len(values) - 1)
        for one in series
    ]
    low, high = np.quantile([*found, change.onset], [0.025, 0.975])
    return math.floor(low), math.ceil(high)


def fit_step(values: np.ndarray) -> Fit:
    """Two levels, three values each at least, where least squares puts the step."""
    n = len(values)
    centred = values - values.mean()
    counts = np.arange(1, n)
    sums = np.cumsum(centred)[:-1]
    explained = sums**2 * n / (counts * (n - counts))
    inside = slice(_SHORTEST - 1, n - _SHORTEST)
    place = int(explained[inside].argmax()) + _SHORTEST
    fitted = np.where(np.arange(n) < place, values[:place].mean(), values[place:].mean())
    return Fit(rss=float(((values - fitted) ** 2).sum()), place=place, fitted=fitted)


def fit_ramp(days: np.ndarray, values: np.ndarray) -> Fit:
    """A level up to some value, then a straight line from there; where least squares puts the bend.

    For a bend at value k the regressor is z_i = max(0, t_i - t_k). Its sums with the values come
    from cumulated sums, so that all bends are tried in one pass.
    """
    n = len(values)
    time, centred = days - days[0], values - values.mean()
    time = time / time[-1]

    def after(terms: np.ndarray) -> np.ndarray:
        """The sum of the terms past each place."""
        return np.asarray(terms.sum() - np.cumsum(terms))

    left = n - 1 - np.arange(n)
    s_t, s_tt, s_x, s_tx = (after(one) for one in (time, time**2, centred, time * centred))
    z = s_t - left * time
    zz = s_tt - 2 * time * s_t + left * time**2
    zx = s_tx - time * s_x
    variance = zz - z**2 / n
    # Of the bends at one time the last counts; three values at least lie past it.
    tried = np.arange(n) <= n - 1 - _SHORTEST
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = np.where(tried & (variance > 1e-9 * n), zx**2 / variance, -1.0)
    place = int(explained.argmax())
    regressor = np.maximum(0.0, time - time[place])
    slope = zx[place] / variance[place] if explained[place] > 0 else 0.0
    fitted = values.mean() + slope * (regressor - regressor.mean())
    return Fit(rss=float(((values - fitted) ** 2).sum()), place=place, fitted=fitted)


def _scaled(fit: Fit, scale: float) -> Fit:
    return Fit(rss=fit.rss * scale * scale, place=fit.place, fitted=fit.fitted * scale)


def _spread(rss: float, variance: float, n: int) -> float:
    """The standard deviation around a fit; 0 where only rounding is left."""
    return math.sqrt(rss / max(1, n - 4)) if rss > _ROUNDING * variance * n else 0.0


def _log_ratio(one: float, other: float, whole: float) -> float:
    """log(one / other), both no nearer to 0 than rounding lets them be."""
    least = _ROUNDING * whole
    return math.log(max(one, least) / max(other, least))
