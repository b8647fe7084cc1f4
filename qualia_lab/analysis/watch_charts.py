"""A metric over time with its change point, and the two levels on both sides of it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from qualia_lab.analysis.labels import plain, rough
from qualia_lab.analysis.show import COLOURS, GREY, INK, Figure, Note, dress
from qualia_lab.analysis.times import DAY, date_axis, short, stamp
from qualia_lab.analysis.watch_judging import Judged, judged, verb
from qualia_lab.analysis.watch_series import Parts, Watched, watched
from qualia_lab.model import RunSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FAR = 10
_LONGEST_LABEL = 36
_WIDEST = 120
_THEN, _NOW = COLOURS[2], COLOURS[1]


def performance_chart(
    runs: RunSet, metric: str | None, parts: Parts | None = None, of_run: str | None = None
) -> Figure | Note:
    """A metric over time, a dot a run (or a point of one run), with what ``performance_note`` says.

    Lines are the means before and after the change point, where that is no noise, and the ramp
    where the change is gradual; bands are the 95 % intervals of the baseline and the current part.
    A value further than ten widths of the middle half from it is a triangle at the edge.
    """
    parts = parts or Parts()
    series = watched(runs, metric, of_run)
    if metric is None or len(series) < 2:
        return Note(f"There is no {plain(metric) or 'metric'} over time to draw.")
    one = judged(series, parts)
    title = _title(one, parts)
    figure = Figure(alt=title.replace("\n", "; "), figsize=(9, 4))
    axes = figure.add_subplot()
    dress(axes, title)
    places = series.times / DAY
    by_time = bool(np.ptp(places) > 0)
    places = places if by_time else np.arange(len(series), dtype=float)
    handles = _dots(axes, series, places)
    handles |= _levels(axes, one, places, parts)
    told = textwrap.fill(series.told, _WIDEST)
    if by_time:
        date_axis(axes, float(places[0]), float(places[-1]), told)
    else:
        axes.set_xlabel(f"in order; {told}", fontsize=8, parse_math=False)
    axes.set_ylabel(short(plain(metric), _LONGEST_LABEL), fontsize=8, parse_math=False)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        frameon=False,
    )
    return figure


def _title(one: Judged, parts: Parts) -> str:
    series, change = one.series, one.change
    name = plain(series.metric)
    if change is None:
        return f"{name} over time\n{series.problem}"
    if change.p > parts.false_alarms:
        return (
            f"{name} over time: no change that noise would not give (p = {change.p:.2g})\n"
            f"now {rough(one.current.value)}, baseline {rough(one.baseline.value)}"
        )
    word = verb(one.called(change.p, parts.false_alarms))
    how = "gradually, since about" if change.shape == "gradual" else "since"
    levels = f"now {rough(one.current.value)}, baseline {rough(one.baseline.value)}"
    since = f"{how} {stamp(series.times[change.since])}"
    return f"{name} {word} {since} (p = {change.p:.2g})\n{levels}"


def _dots(axes: Axes, series: Watched, places: np.ndarray) -> dict[str, Any]:
    low, high = _limits(series.values)
    axes.set_ylim(low, high)
    inside = (series.values >= low) & (series.values <= high)
    what = {"runs": "a run"}.get(series.noun, "a point")
    what = what if series.each == 1 else f"mean of {series.each:,}"
    size = 4 if len(series) <= 300 else 2
    handles: dict[str, Any] = {}
    (handles[what],) = axes.plot(
        places[inside], series.values[inside], "o", color=GREY, alpha=0.7, markersize=size
    )
    for out, edge, mark in ((series.values > high, high, "^"), (series.values < low, low, "v")):
        if out.any():
            (handles["beyond the axis"],) = axes.plot(
                places[out], np.full(out.sum(), edge), mark, color=INK, markersize=5, clip_on=False
            )
    return handles


def _levels(axes: Axes, one: Judged, places: np.ndarray, parts: Parts) -> dict[str, Any]:
    handles: dict[str, Any] = {}
    n = len(places)
    first, last = parts.first(n), parts.last(n)
    for name, part, span, colour in (
        ("mean of the baseline, 95 %", one.baseline, (places[0], places[first - 1]), _THEN),
        ("of the current part, 95 %", one.current, (places[n - last], places[-1]), _NOW),
    ):
        if np.isfinite(part.low):
            handles[name] = axes.fill_between(
                span, part.low, part.high, color=colour, alpha=0.25, linewidth=0
            )
    change = one.change
    if change is None or change.p > parts.false_alarms:
        return handles
    ends = (places[0], places[change.place], places[-1])
    for place, value in enumerate((change.before, change.after)):
        (line,) = axes.plot(ends[place : place + 2], [value, value], "-", color=COLOURS[0], lw=2)
        handles["mean before and after"] = line
    handles["change point"] = axes.axvline(ends[1], color=INK, linewidth=1.2, linestyle="--")
    if change.shape == "gradual":
        (handles["ramp"],) = axes.plot(places, change.ramp.fitted, ":", color=COLOURS[3], lw=2)
    return handles


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.25, 0.75])
    far = _FAR * (high - low)
    near = values[(values >= low - far) & (values <= high + far)] if far > 0 else values
    bottom, top = float(near.min()), float(near.max())
    pad = 0.08 * (top - bottom)
    if not pad > 1e-9 * max(abs(bottom), abs(top)):
        pad = 0.1 * max(abs(bottom), abs(top)) or 1.0
    return bottom - pad, top + pad
