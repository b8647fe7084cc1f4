"""What the watched metric does, in a sentence for the top of a notebook."""

from __future__ import annotations

from dataclasses import dataclass

from qualia_lab.analysis.labels import plain
from qualia_lab.analysis.watch_advice import of_metric
from qualia_lab.analysis.watch_judging import judged
from qualia_lab.analysis.watch_performance import apart, with_ends
from qualia_lab.analysis.watch_series import Parts, watched
from qualia_lab.model import RunSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """A sentence on the metric, whether it is an alarm, and what to do; empty for nothing."""

    text: str
    is_alarm: bool = False
    do: str = ""


def performance(runs: RunSet, metric: str | None, parts: Parts | None = None) -> Performance:
    """The gravest finding on the metric, by the rules of *What to do*, with its numbers."""
    parts = parts or Parts()
    if metric is None:
        return Performance(text="not checked: no run logged a metric.")
    one = judged(watched(runs, metric), parts)
    found = [*of_metric(runs, metric, parts, None)]
    if one.change is None:
        return Performance(text=f"not checked: {one.series.problem}")
    levels = f"{with_ends(one.baseline)} in the baseline, {with_ends(one.current)} now"
    numbers = f"{levels}: {apart(one)}, change point p = {one.change.p:.2g}."
    if not found:
        return Performance(text=f"no change seen of {plain(metric)}: {numbers}")
    first = found[0]
    is_alarm = first.finding.level == "alarm"
    return Performance(text=f"{first.finding.what}: {numbers}", is_alarm=is_alarm, do=first.do)
