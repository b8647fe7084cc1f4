"""Performance over time: every metric then and now, and the change of one of them in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import number, plain, rough
from qualia_lab.analysis.show import Note, Points
from qualia_lab.analysis.times import stamp
from qualia_lab.analysis.watch_changes import onset_interval
from qualia_lab.analysis.watch_judging import Judged, judged
from qualia_lab.analysis.watch_levels import Level, is_rate
from qualia_lab.analysis.watch_series import FEWEST, Parts, watched
from qualia_lab.directions import is_system, ranked
from qualia_lab.model import RunSet

_MOST_METRICS = 100
_ORDER = ("worse", "changed", "no change seen", "better", "constant", "too few values")
_COLUMNS = (
    "verdict", "baseline", "current", "change", "in std", "p adjusted", "since (UTC)", "shape",
    "baseline 95 %", "current 95 %", "slope a day", "slope 95 %", "values",
)  # fmt: skip


def performance_table(
    runs: RunSet, parts: Parts | None = None, of_run: str | None = None
) -> pd.DataFrame:
    """Every metric over the start of runs, or over the points of one: then and now, worst first.

    A row a metric: ``verdict`` (worse, better, changed where which end is better is not known, no
    change seen, constant, too few values); the mean of the baseline and of the current part with
    95 % intervals (see ``watch_levels.level``); their difference, also in standard deviations; p of
    the change point (see ``watch_changes.change_in``) adjusted over the metrics (Benjamini and
    Hochberg 1995), by which the verdict is given at 0.05; since when (see ``Change.since``; to the
    minute) and in which shape; the slope per day with its 95 % interval; how many values it rests
    on. Fewer than 10 values are not judged, and have no numbers.

    System metrics are left out, and of more than 100 metrics those past the first 100 that tell
    runs apart best; the name of the columns says of how many.
    """
    parts = parts or Parts()
    counts = runs.logged.sum(axis=0)
    names = ranked({str(name): int(count) for name, count in counts.items()})
    names = [name for name in names if not is_system(name)]
    shown = [judged(watched(runs, name, of_run), parts) for name in names[:_MOST_METRICS]]
    p = np.array([one.change.p if one.change else np.nan for one in shown], dtype="float64")
    adjusted = _adjusted(p)
    rows = [_row(one, float(p)) for one, p in zip(shown, adjusted, strict=True)]
    index = pd.Index([plain(one.series.metric) for one in shown], dtype=object)
    table = pd.DataFrame(rows, columns=list(_COLUMNS), index=index)
    place = {verdict: number for number, verdict in enumerate(_ORDER)}
    size = table["in std"].astype("float64").abs().fillna(0.0)
    order = np.lexsort((-size.to_numpy(), np.array([place[one] for one in table["verdict"]])))
    of = f" ({_MOST_METRICS} of {len(names):,})" if len(names) > _MOST_METRICS else ""
    return table.iloc[order].rename_axis(columns=f"metric{of}")


def _adjusted(p: np.ndarray) -> np.ndarray:
    from scipy import stats

    here = np.isfinite(p)
    found = p.copy()
    if here.any():
        found[here] = stats.false_discovery_control(p[here], method="bh")
    return found


def _row(one: Judged, adjusted: float) -> list[Any]:
    verdict = one.called(adjusted)
    changed = one.change if verdict in ("worse", "better", "changed") else None
    since = stamp(float(one.series.times[changed.since]))[:16] if changed else ""
    if len(one.series) < FEWEST:
        # Both parts would be the same few values, and their interval wider than a rate can be.
        return [verdict, *([np.nan] * 5), "", "", "", "", np.nan, "", len(one.series)]
    return [
        verdict, one.baseline.value, one.current.value, one.difference, one.in_spreads, adjusted,
        since, changed.shape if changed else "", _ends(one.baseline), _ends(one.current),
        one.slope.value, _ends(one.slope), len(one.series),
    ]  # fmt: skip


def _ends(part: Level) -> str:
    return f"{rough(part.low)} to {rough(part.high)}" if np.isfinite(part.low) else ""


def performance_note(
    runs: RunSet, metric: str | None, parts: Parts | None = None, of_run: str | None = None
) -> Points | Note:
    """A metric then and now in words: levels, change point, shape, slope, and what they rest on."""
    parts = parts or Parts()
    if metric is None:
        return Note("None of these runs logged a metric.\n" + how_to_log("accuracy"))
    series = watched(runs, metric, of_run)
    if series.problem:
        lines = [series.problem, f"Looked at: {series.told}.", how_to_log(metric)]
        return Note("\n".join(lines if len(series) < 10 else lines[:2]))
    return Points(list(_told(judged(series, parts), parts)))


def how_to_log(metric: str) -> str:
    """How to have more values of a metric over time."""
    call = f'mlflow.log_metric("{plain(metric)}", value)'
    return f"To have it: log it in a run each time, such as once a day: {call}"


def _told(one: Judged, parts: Parts) -> Iterator[tuple[str, str]]:
    series, change = one.series, one.change
    if change is None:
        return
    name, times, n = plain(series.metric), series.times, len(series)
    first, last = parts.first(n), parts.last(n)
    how = "Wilson" if is_rate(series.values) else "t, for autocorrelated values"
    yield (
        "Baseline",
        f"{name} {with_ends(one.baseline)} in the first {first:,} {series.nouns}, to "
        f"{stamp(times[first - 1])}.",
    )
    yield (
        "Current",
        f"{with_ends(one.current)} in the last {last:,}, since {stamp(times[n - last])}: "
        f"{apart(one)} ({how}, 95 %).",
    )
    sure = change.p <= parts.false_alarms
    means = f"{rough(change.before)} before and {rough(change.after)} since"
    at = f"{stamp(times[change.place])}, {means}"
    seen = (
        f"CUSUM turns at {at}" if sure else f"none that noise would not give; CUSUM turns at {at}"
    )
    yield "Change point", f"{seen} (p = {change.p:.2g})."
    if sure:
        yield "Sudden or gradual", _shape(one)
    yield "Slope", _slope(one.slope)
    yield "Rests on", f"{series.told}."
    yield (
        "Autocorrelation",
        f"what the fitted change leaves of the values (the residuals) correlates by "
        f"{change.phi:.2f} from one to the next, which all of this allows for.",
    )


def _slope(slope: Level) -> str:
    if not np.isfinite(slope.value):
        return "none: all values are of one time."
    ends = f"95 % {rough(slope.low)} to {rough(slope.high)}"
    flat = ", which may be none" if slope.low <= 0 <= slope.high else ""
    return f"{rough(slope.value)} a day ({ends}){flat}."


def with_ends(part: Level) -> str:
    """A level and its interval."""
    if not np.isfinite(part.low):
        return number(part.value)
    return f"{number(part.value)} ({number(part.low)} to {number(part.high)})"


def apart(one: Judged) -> str:
    """The difference of the parts, in which direction, and how large for this metric."""
    difference, before = one.difference, one.baseline.value
    if not difference:
        return "the same"
    worse = one.series.worse
    word = "higher" if difference > 0 else "lower"
    if worse:
        word = "worse" if np.sign(difference) == worse else "better"
    share = abs(difference / before) if before else np.inf
    percent = f", {share:.1%}" if share < 100 else ""
    size = f", {abs(one.in_spreads):.2g} standard deviations" if one.spread > 0 else ""
    return f"{rough(abs(difference))} {word}{percent}{size}"


def _shape(one: Judged) -> str:
    series, change = one.series, one.change
    if change is None:
        return ""
    low, high = onset_interval(series.days, series.within, change)
    ends = (
        f" (95 % {stamp(series.times[low])} to {stamp(series.times[high])})" if low < high else ""
    )
    begins = f"it begins at about {stamp(series.times[change.onset])}{ends}"
    if change.shape == "unclear":
        return (
            f"can't be told: a step and a ramp fit alike (BIC differs by {change.evidence:.1f}); "
            f"taken for a ramp, {begins}."
        )
    other = "ramp" if change.shape == "sudden" else "step"
    mine = "step" if change.shape == "sudden" else "ramp"
    return (
        f"{change.shape}: a {mine} fits better than a {other} (BIC lower by "
        f"{change.evidence:.1f}); {begins}."
    )
