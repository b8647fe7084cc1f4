"""Rules that raise alarms on a series, and how often each does so where nothing has changed.

A rule is a statistic of the values after the baseline, in units of the baseline, and a threshold.
Which threshold is used by habit is one thing; how often it is passed in vain depends on how many
values are looked at, how long the baseline is and how much values resemble the last one. So it is
simulated (``watch_noise.simulated``) for the case at hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from qualia_lab.analysis.watch_noise import cusum_null, cusum_statistic, on_grid, simulated

_K = 0.5
_MAD = 0.6744897501960817  # the third quartile of a normal distribution
_MEAN_AD = 1.2533141373155  # the root of pi / 2
_POWER = 0.8
_NUMBERS = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: what it looks at, the threshold that is in use by habit, and where that comes from.

    ``score`` gives the statistic up to each value, a row a series, from the baseline and the values
    after it, both with the bad direction up. The threshold itself counts where they are ``whole``
    numbers. A rule of a ``single`` value warns and raises no alarm: how far single values lie is
    a matter of the tails of their distribution, which so few values do not show.
    """

    name: str
    kind: str
    says: str
    habit: float
    source: str
    score: Callable[[np.ndarray, np.ndarray], np.ndarray]
    whole: bool = False
    single: bool = False

    @property
    def level(self) -> Literal["warning", "alarm"]:
        """What it raises."""
        return "warning" if self.single else "alarm"

    def path(self, baseline: np.ndarray, after: np.ndarray, sides: int) -> np.ndarray:
        """The statistic up to each value; of both directions the larger where ``sides`` is 2."""
        found = self.score(baseline, after)
        if sides == 2:
            return np.asarray(np.maximum(found, self.score(-baseline, -after)))
        return found

    def fires(self, statistic: np.ndarray, threshold: float) -> np.ndarray:
        """Where the statistic passes the threshold; of whole numbers, where it reaches it."""
        return np.asarray(statistic >= threshold if self.whole else statistic > threshold)


def _standardised(baseline: np.ndarray, after: np.ndarray) -> np.ndarray:
    if not baseline.shape[-1]:
        return np.asarray(after)  # the mean and the deviation are known: 0 and 1
    middle = baseline.mean(axis=-1, keepdims=True)
    spread = baseline.std(axis=-1, ddof=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = (after - middle) / spread
    return np.asarray(np.nan_to_num(scores, nan=0.0, posinf=np.inf, neginf=-np.inf))


def _limit(baseline: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum.accumulate(_standardised(baseline, after), axis=-1))


def _in_a_row(baseline: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The longest row of values up to here, each of which is worse than the one before it."""
    rises = (np.diff(after, axis=-1) > 0).astype("int64")
    found = np.zeros(after.shape)
    row = np.zeros(after.shape[:-1], dtype="int64")
    for place in range(rises.shape[-1]):
        row = (row + 1) * rises[..., place]
        found[..., place + 1] = np.maximum(found[..., place], row)
    return found


def _cusum(baseline: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The tabular CUSUM: C_i = max(0, C_{i-1} + z_i - k), k = 0.5 (Montgomery, section 9.1)."""
    scores = _standardised(baseline, after) - _K
    found = np.zeros(after.shape)
    total = np.zeros(after.shape[:-1])
    highest = np.zeros(after.shape[:-1])
    for place in range(after.shape[-1]):
        total = np.maximum(0.0, total + scores[..., place])
        highest = np.maximum(highest, total)
        found[..., place] = highest
    return found


def _odd(baseline: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Modified z scores: distances from the baseline's median by its median deviation; by its mean
    deviation where more than half of the baseline is one value."""
    if not baseline.shape[-1]:
        return np.asarray(np.maximum.accumulate(after, axis=-1))
    middle = np.median(baseline, axis=-1, keepdims=True)
    apart = np.abs(baseline - middle)
    spread = np.median(apart, axis=-1, keepdims=True) / _MAD
    spread = np.where(spread > 0, spread, _MEAN_AD * apart.mean(axis=-1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.nan_to_num((after - middle) / spread, nan=0.0, posinf=np.inf, neginf=-np.inf)
    return np.asarray(np.maximum.accumulate(scores, axis=-1))


RULES: tuple[Rule, ...] = (
    Rule(
        name="3 sigma",
        kind="threshold",
        says="a value so many standard deviations beyond the baseline's mean",
        habit=3,
        source="Shewhart 1931",
        score=_limit,
        single=True,
    ),
    Rule(
        name="in a row",
        kind="trend",
        says="so many values in a row, each worse than the one before",
        habit=3,
        source="habit",
        score=_in_a_row,
        whole=True,
    ),
    Rule(
        name="CUSUM",
        kind="trend",
        says="deviations from the baseline, less half a standard deviation each, add up to so many",
        habit=5,
        source="Page 1954; k = 0.5, h = 5 as in Montgomery",
        score=_cusum,
    ),
    Rule(
        name="modified z",
        kind="anomaly",
        says="a value so many median deviations beyond the baseline's median",
        habit=3.5,
        source="Iglewicz and Hoaglin 1993",
        score=_odd,
        single=True,
    ),
)


def rule_named(name: str) -> Rule:
    """The rule of that name."""
    return next(one for one in RULES if one.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What false alarms depend on.

    Attributes:
        points: how many values are looked at after the baseline.
        baseline: how many the baseline has; 0 where its mean and deviation are known.
        sides: 1 where only one direction alarms, 2 where both do.
        phi: the autocorrelation of the values.
    """

    points: int
    baseline: int = 0
    sides: int = 1
    phi: float = 0.0


def false_alarm_rate(rule: Rule, threshold: float, situation: Situation) -> float:
    """The share of series without any change in which a rule fires at least once."""
    return float(rule.fires(_null(situation)[rule.name], threshold).mean())


def calibrated(rule: Rule, rate: float, situation: Situation) -> float:
    """The lowest threshold with which a rule fires in vain in no more than ``rate`` of series."""
    null = np.sort(_null(situation)[rule.name])
    if not rule.whole:
        # Of m values sorted, at most rate * m lie above this one.
        return float(null[math.ceil(len(null) * (1 - rate)) - 1])
    return next(
        float(one) for one in range(1, situation.points + 2) if rule.fires(null, one).mean() <= rate
    )


def any_false_alarm(thresholds: Mapping[str, float], situation: Situation) -> float:
    """The share of series without any change in which one of several rules fires."""
    null = _null(situation)
    fired = [rule_named(name).fires(null[name], at) for name, at in thresholds.items()]
    return float(np.any(fired, axis=0).mean())


def smallest_seen(
    thresholds: Mapping[str, float], p: float, situation: Situation, changed: int
) -> float:
    """The smallest shift of the last ``changed`` values that a check sees in four of five cases.

    In standard deviations, to 0.02 of them; infinite where 20 would not do. The check is the rules
    with their thresholds, and the test of ``watch_changes`` with a p of no more than ``p``.
    """
    numbers = situation.baseline + situation.points
    times = int(np.clip(_NUMBERS // numbers, 300, 1500))
    baseline, after = _series(situation, times)
    late = np.arange(situation.points) >= situation.points - changed
    null = cusum_null(numbers, on_grid(situation.phi))
    critical = null[min(len(null) - 1, math.ceil(len(null) * (1 - p)) - 1)]

    def power(shift: float) -> float:
        moved = after + shift * late
        fired = cusum_statistic(np.hstack([baseline, moved])) > critical
        for rule in RULES:
            if rule.name in thresholds:
                last = rule.path(baseline, moved, situation.sides)[..., -1]
                fired |= rule.fires(last, thresholds[rule.name])
        return float(fired.mean())

    low, high = 0.0, 20.0
    if power(high) < _POWER:
        return math.inf
    while high - low > 0.02:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= _POWER else (middle, high)
    return high


def _null(situation: Situation) -> Mapping[str, np.ndarray]:
    rounded = Situation(
        points=situation.points,
        baseline=situation.baseline,
        sides=situation.sides,
        phi=on_grid(situation.phi),
    )
    return _simulated_null(rounded)


@lru_cache(maxsize=32)
def _simulated_null(situation: Situation) -> Mapping[str, np.ndarray]:
    baseline, after = _series(situation, None)
    return {rule.name: rule.path(baseline, after, situation.sides)[..., -1] for rule in RULES}


def _series(situation: Situation, times: int | None) -> tuple[np.ndarray, np.ndarray]:
    whole = simulated(situation.baseline + situation.points, on_grid(situation.phi), times)
    return whole[:, : situation.baseline], whole[:, situation.baseline :]
