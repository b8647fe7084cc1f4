"""One series judged: its levels, its slope, whether it changed, and what to call that."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qualia_lab.analysis.watch_changes import Change, change_in
from qualia_lab.analysis.watch_levels import Level, level, slope
from qualia_lab.analysis.watch_series import FEWEST, Parts, Watched

# A metric that nobody chose is told of at this false discovery rate.
NOISE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A series with what was found in it.

    ``change`` is None where nothing can be said (``series.problem`` says why); ``spread`` is the
    standard deviation around what was fitted, 0 where there is none.
    """

    series: Watched
    baseline: Level
    current: Level
    slope: Level
    change: Change | None

    @property
    def difference(self) -> float:
        """Current less baseline."""
        return self.current.value - self.baseline.value

    @property
    def spread(self) -> float:
        """How far values lie from what was fitted."""
        return self.change.spread if self.change else 0.0

    @property
    def in_spreads(self) -> float:
        """The difference in standard deviations; NaN where values do not vary."""
        return self.difference / self.spread if self.spread > 0 else math.nan

    def called(self, p: float, noise: float = NOISE) -> str:
        """What the series does, where this is the p of its change."""
        if self.change is None:
            return "too few values" if len(self.series) < FEWEST else "constant"
        if not p <= noise:
            return "no change seen"
        moved = np.sign(self.change.after - self.change.before)
        if not self.series.worse:
            return "changed"
        return "worse" if moved == self.series.worse else "better"


def verb(verdict: str) -> str:
    """A verdict as what a metric does: "is worse", "has changed"."""
    return "has changed" if verdict == "changed" else f"is {verdict}"


def judged(series: Watched, parts: Parts) -> Judged:
    """The levels of both parts of a series, its slope and its change point."""
    values, n = series.within, len(series)
    change = None if series.problem else change_in(series.days, values)
    phi = change.phi if change else 0.0
    nothing = Level(value=math.nan, low=math.nan, high=math.nan, points=0)
    return Judged(
        series=series,
        baseline=level(values[: parts.first(n)], phi) if n else nothing,
        current=level(values[n - parts.last(n) :], phi) if n else nothing,
        slope=slope(series.days, values) if change else nothing,
        change=change,
    )
