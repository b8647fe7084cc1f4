"""The normal and Student's law, without scipy: importing its statistics takes longer than a chart.

The tests hold them against scipy.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_STANDARD = NormalDist()
_ENOUGH = 1e-16
_MOST_TERMS = 10_000


def normal_below(x: float) -> float:
    """The chance that a standard normal value lies below ``x``."""
    return math.erfc(-x / math.sqrt(2)) / 2


def normal_quantile(share: float) -> float:
    """Below which a ``share`` of the standard normal law lies; infinite at 0 and 1."""
    if not 0 < share < 1:
        return math.nan if math.isnan(share) else math.copysign(math.inf, share - 0.5)
    return _STANDARD.inv_cdf(share)


def student_beyond(t: float, free: float) -> float:
    """The chance that Student's t of so many degrees of freedom is above ``t`` or below ``-t``."""
    if math.isnan(t):
        return math.nan
    square = min(t * t, 1e300)
    return _beta_share(free / 2, 0.5, free / (free + square), square / (free + square))


def student_quantile(share: float, free: float) -> float:
    """Below which a ``share`` (from a half, below 1) of Student's law lies, found by halving."""
    low, high = 0.0, 1.0
    while student_beyond(high, free) / 2 > 1 - share:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        if student_beyond(middle, free) / 2 > 1 - share:
            low = middle
        else:
            high = middle
    return middle


def _beta_share(a: float, b: float, x: float, rest: float) -> float:
    """The regularised incomplete beta function of ``x``, whose distance from 1 is ``rest``.

    DLMF 8.17.22, a continued fraction, and 8.17.4 where that is slow.
    """
    if x <= 0 or rest <= 0:
        return float(rest <= 0)
    # Of x and rest, the larger one's logarithm is had from the smaller: near 1, digits are lost.
    log_x = math.log(x) if x < rest else math.log1p(-rest)
    log_rest = math.log1p(-x) if x < rest else math.log(rest)
    beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * log_x + b * log_rest - beta)
    if x > (a + 1) / (a + b + 2):
        return 1 - front * _fraction(b, a, rest) / b
    return front * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction, from its front (Lentz 1976)."""
    found = down = 1.0
    up = math.inf
    for place in range(1, _MOST_TERMS):
        half = place // 2
        if place % 2:
            step = -(a + half) * (a + b + half) * x / ((a + place - 1) * (a + place))
        else:
            step = half * (b - half) * x / ((a + place - 1) * (a + place))
        down, up = 1 / (1 + step * down), 1 + step / up
        found *= down * up
        if abs(down * up - 1) < _ENOUGH:
            break
    return found
