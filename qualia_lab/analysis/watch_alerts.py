"""Alarms on a metric over time: which rules fire, when, and how often each would in vain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from qualia_lab.analysis.found import Level
from qualia_lab.analysis.labels import plain, rough
from qualia_lab.analysis.show import Note, Points
from qualia_lab.analysis.times import stamp
from qualia_lab.analysis.watch_judging import Judged, judged
from qualia_lab.analysis.watch_rules import (
    RULES,
    Rule,
    Situation,
    any_false_alarm,
    calibrated,
    false_alarm_rate,
    smallest_seen,
)
from qualia_lab.analysis.watch_series import Parts, watched
from qualia_lab.model import RunSet

CHANGE_POINT = "change point"
_HABIT_P = 0.05
_NORMAL = 0.01
_COLUMNS = (
    "by habit", "false alarms by habit", "fires by habit", "calibrated", "false alarms", "fires",
    "since (UTC)", "raises", "reached", "kind", "fires when",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A rule held against a metric.

    Attributes:
        rule: its name; ``kind``, ``says`` and ``level`` are in ``watch_rules``.
        habit, threshold: the threshold by habit, and the one that is calibrated.
        habit_rate, rate: how often each is passed in a check like this where nothing changed.
        reached: how far the metric got; NaN where the rule can't be applied.
        by_habit: whether it passes the threshold by habit.
        place: the index of the first value at which it passes the calibrated one; None for never.
    """

    rule: str
    kind: str
    says: str
    level: Level
    habit: float
    habit_rate: float
    by_habit: bool
    threshold: float
    rate: float
    reached: float
    place: int | None

    @property
    def fires(self) -> bool:
        """Whether it passes the calibrated threshold."""
        return self.place is not None


def share(parts: Parts) -> float:
    """The rate of false alarms that each rule may have, so that all hold the one of the check."""
    return parts.false_alarms / (len(RULES) + 1)


def situation(one: Judged, parts: Parts) -> Situation:
    """What the false alarms of rules on this series depend on."""
    first = parts.first(len(one.series))
    return Situation(
        points=len(one.series) - first,
        baseline=first,
        sides=1 if one.series.worse else 2,
        phi=one.change.phi if one.change else 0.0,
    )


def alerts(one: Judged, parts: Parts) -> list[Alert]:
    """The change point and every rule, held against one series."""
    if one.change is None:
        return []
    here = situation(one, parts)
    return [_change_alert(one, parts, here), *(_alert(rule, one, parts, here) for rule in RULES)]


def _change_alert(one: Judged, parts: Parts, here: Situation) -> Alert:
    """The test of the change point as a rule: of its p, only half is in the bad direction."""
    change = one.change
    if change is None:
        raise ValueError("a series without a change point")
    worse = one.series.worse
    counts = not worse or np.sign(change.after - change.before) == worse
    limit = share(parts) * (3 - here.sides)
    fires = counts and change.p <= limit
    return Alert(
        rule=CHANGE_POINT,
        kind="trend",
        says="p of the change point is so small",
        level="alarm",
        habit=_HABIT_P,
        habit_rate=_HABIT_P / (3 - here.sides),
        by_habit=bool(counts and change.p <= _HABIT_P),
        threshold=limit,
        rate=share(parts),
        reached=change.p,
        place=change.since if fires else None,
    )


def _alert(rule: Rule, one: Judged, parts: Parts, here: Situation) -> Alert:
    values = one.series.values if rule.single else one.series.within
    with np.errstate(over="ignore"):
        signed = values / float(np.abs(one.series.within).max()) * (one.series.worse or 1)
    baseline, after = signed[: here.baseline], signed[here.baseline :]
    varies = bool(np.ptp(baseline) > 1e-12)  # of values of 1 at most
    path = rule.path(baseline, after, here.sides) if varies else np.full(len(after), np.nan)
    threshold = _calibrated(rule.name, share(parts), here)
    fired = np.flatnonzero(rule.fires(path, threshold))
    return Alert(
        rule=rule.name,
        kind=rule.kind,
        says=rule.says,
        level=rule.level,
        habit=rule.habit,
        habit_rate=false_alarm_rate(rule, rule.habit, here),
        by_habit=bool(rule.fires(path, rule.habit).any()),
        threshold=threshold,
        rate=false_alarm_rate(rule, threshold, here),
        reached=float(path[-1]),
        place=here.baseline + int(fired[0]) if len(fired) else None,
    )


@lru_cache(maxsize=256)
def _calibrated(name: str, rate: float, here: Situation) -> float:
    return calibrated(next(one for one in RULES if one.name == name), rate, here)


def alert_table(
    runs: RunSet, metric: str | None, parts: Parts | None = None, of_run: str | None = None
) -> pd.DataFrame | Note:
    """Rules on a metric after its baseline, each with its rate of false alarms on this many values.

    A row a rule: the threshold in use ``by habit``, the share of checks like this one in which it
    is passed though nothing changed, and whether it is passed here; the ``calibrated`` threshold,
    which is passed in vain in no more than its share of ``parts.false_alarms`` (all rules have the
    same), with the rate that it has; whether that one is passed, since when, what that raises, and
    how far the metric got; its ``kind`` (threshold, trend, anomaly) and what it looks at. ``NaN``:
    the baseline does not vary, so that nothing can be measured by it.

    Rates are those of normal values with the autocorrelation and the number of values of this
    metric (see ``watch_rules``); only changes for the worse count, where that is known.
    """
    parts = parts or Parts()
    if metric is None:
        return Note("There is no metric to raise alarms on.")
    one = judged(watched(runs, metric, of_run), parts)
    if one.change is None:
        return Note(one.series.problem)
    rows = [
        (
            found.habit,
            f"{found.habit_rate:.1%}",
            found.by_habit,
            found.threshold,
            f"{found.rate:.1%}",
            found.fires,
            "" if found.place is None else stamp(float(one.series.times[found.place])),
            found.level,
            found.reached,
            found.kind,
            found.says,
        )
        for found in alerts(one, parts)
    ]
    names = pd.Index([CHANGE_POINT, *(rule.name for rule in RULES)], dtype=object)
    table = pd.DataFrame(rows, columns=list(_COLUMNS), index=names)
    return table.rename_axis(columns=f"alarms on {plain(metric)}")


def alert_note(
    runs: RunSet, metric: str | None, parts: Parts | None = None, of_run: str | None = None
) -> Points | Note:
    """What the rules come to together: in how many checks without a change one of them fires."""
    parts = parts or Parts()
    one = judged(watched(runs, metric, of_run), parts)
    if metric is None or one.change is None:
        return Note(one.series.problem or "There is no metric to raise alarms on.")
    here = situation(one, parts)
    found = [each for each in alerts(one, parts) if each.rule != CHANGE_POINT]
    by_habit = any_false_alarm({each.rule: each.habit for each in found}, here)
    mine = any_false_alarm({each.rule: each.threshold for each in found}, here)
    looked = (
        f"{here.points:,} values after a baseline of {here.baseline:,}, "
        f"{'both directions' if here.sides == 2 else 'for the worse only'}"
    )
    return Points(
        [
            ("Looked at", f"{looked}; autocorrelation {here.phi:.2f}."),
            (
                "By habit",
                f"of checks like this in which nothing changed, {by_habit:.0%} raise an alarm by "
                "at least one of these rules.",
            ),
            (
                "Calibrated",
                f"{mine:.1%} do, and {share(parts):.1%} more by the change point at most; "
                f"false_alarms = {parts.false_alarms:g} bounds both together.",
            ),
            *_tails(one),
        ]
    )


def _tails(one: Judged) -> list[tuple[str, str]]:
    """A warning where values are not normal, as the simulated ones are."""
    from scipy import stats

    if one.change is None or not one.spread > 0:
        return []
    residuals = (one.series.within - one.change.fitted) / one.spread
    p = float(stats.shapiro(residuals).pvalue)
    if p >= _NORMAL:
        return []
    told = (
        f"values are not normal around what was fitted (Shapiro-Wilk, p = {p:.1g}), as the "
        "simulated ones are: rules on single values fire more often than that. They only warn."
    )
    return [("Tails", told)]


def sensitivity(one: Judged, parts: Parts) -> str:
    """The smallest change of the current part that would have raised an alarm, in words."""
    if not one.spread > 0:
        return "any change at all: values do not vary but for what was found."
    here = situation(one, parts)
    last = min(parts.last(len(one.series)), here.points)
    limit = share(parts) * (3 - here.sides)
    thresholds = tuple(
        (rule.name, _calibrated(rule.name, share(parts), here))
        for rule in RULES
        if rule.level == "alarm"
    )
    size = _smallest(thresholds, limit, here, last)
    name = plain(one.series.metric)
    if not math.isfinite(size):
        return f"not even a change of {name} by 20 standard deviations: there are too few values."
    return (
        f"a change of {name} by {rough(size * one.spread)} ({size:.2g} standard deviations) in the "
        f"last {last:,} {one.series.nouns} raises an alarm in 80 % of cases; less does less often."
    )


@lru_cache(maxsize=64)
def _smallest(
    thresholds: tuple[tuple[str, float], ...], p: float, here: Situation, changed: int
) -> float:
    return smallest_seen(dict(thresholds), p, here, changed)
