"""The section on concept drift: detectors on a stream of errors, with what each does in vain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain, rough
from qualia_lab.analysis.show import COLOURS, INK, Figure, Note, dress
from qualia_lab.analysis.watch_changes import change_in
from qualia_lab.analysis.watch_errors import how_to_name
from qualia_lab.analysis.watch_levels import is_rate
from qualia_lab.analysis.watch_series import FEWEST, Watched, watched
from qualia_lab.analysis.watch_streams import (
    ALARM,
    METHODS,
    Drift,
    FalseAlarms,
    Method,
    alarms,
    drifts,
    stream_false_alarms,
)
from qualia_lab.model import RunSet

_WINDOWS = 25
_MOST_DRAWN = 2000
# In a stream shorter than this, ADWIN's bound is wide.
_SHORT = 300
_COLUMNS = ("used as", "alarms", "first at", "false alarms", "alarms in vain", "source")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """What detectors run on.

    ``errors`` are higher for worse; ``what`` says what they are; ``of_table`` is True for errors of
    single predictions; ``phi`` is the autocorrelation of a metric that stands in for them, and
    ``sign`` what turned it.
    """

    errors: np.ndarray
    what: str
    of_table: bool
    phi: float | None = None
    sign: int = 1


def stream_of(
    runs: RunSet, metric: str | None, errors: pd.Series[float] | None = None
) -> Stream | Note:
    """The errors of predictions; without them the metric over time, turned so that more is worse.

    A note says why there is neither, and how to log them.
    """
    how = (
        'To have it: mlflow.log_table(frame, "eval/predictions.json"), with a column of labels and '
        "one of predictions, and the params predictions, label and prediction."
    )
    if errors is not None:
        values = errors.to_numpy(dtype="float64")
        left = int(errors.attrs.get("left out", 0))
        if len(values) < FEWEST:
            why = f"{len(values):,} predictions with a label; drift of errors needs {FEWEST}."
            return Note(f"{why}\n{how}")
        kind = "0 or 1 each" if is_rate(values) else "absolute"
        without = f"; {left:,} rows without a label or a prediction left out" if left else ""
        table = errors.attrs.get("table")
        source = f" in {plain(table, 60)}" if table else ""
        what = f"errors of {len(values):,} predictions{source}, {kind}{without}"
        return Stream(errors=values, what=what, of_table=True)
    if metric is None:
        return Note(f"No table of predictions is named, and no metric was logged.\n{how}")
    series = watched(runs, metric, None)
    if series.problem:
        return Note(f"No table of predictions is named. {series.problem}\n{how}")
    if not series.worse:
        name = plain(metric)
        return Note(f"Whether more or less of {name} is worse is not known from its name.\n{how}")
    return _of_metric(series)


def _of_metric(series: Watched) -> Stream:
    change = change_in(series.days, series.within)
    values = f"{plain(series.metric)} of {len(series):,} {series.noun}"
    what = f"{values}, for want of a table of predictions"
    turned = series.within * series.worse
    return Stream(errors=turned, what=what, of_table=False, phi=change.phi, sign=series.worse)


def concept_drift_table(
    runs: RunSet, metric: str | None, errors: pd.Series[float] | None = None
) -> pd.DataFrame | Note:
    """Detectors of concept drift on a stream, each with what it does where nothing changes.

    A row a detector of river with its defaults: what it is ``used as`` (ADWIN is the alarm; the
    others are shown, since they alarm on stationary streams too); how often it alarms and first at
    which value (from 1); ``false alarms``, the share of simulated stationary streams of this length
    and these values in which it alarms at all, and ``alarms in vain``, how often in each (see
    ``watch_streams.stream_false_alarms``). DDM and EDDM take errors of 0 and 1 only.
    """
    stream = stream_of(runs, metric, errors)
    if isinstance(stream, Note):
        return stream
    rows = {method.name: _row(method, stream) for method in METHODS}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(_COLUMNS))
    return table.rename_axis(columns=stream.what)


def _row(method: Method, stream: Stream) -> tuple[str, object, str, str, str, str]:
    use = "alarm" if method is ALARM else "shown only"
    if method.only_rates and not is_rate(stream.errors):
        return ("needs errors of 0 and 1", pd.NA, "", "", "", method.source)
    found = alarms(method, stream.errors)
    rate = stream_false_alarms(method, stream.errors, stream.phi)
    first = f"{found[0] + 1:,} of {len(stream.errors):,}" if found else ""
    return (use, len(found), first, *in_vain(rate, len(stream.errors)), method.source)


def in_vain(rate: FalseAlarms, length: int) -> tuple[str, str]:
    """A rate of false alarms in words: in which share of streams, and how many in each."""
    least = "at least " if rate.length < length else ""
    if not rate.share:
        return f"none in {rate.streams:,} streams of {rate.length:,}", "0"
    return f"{least}{rate.share:.0%} of streams", f"{least}{rate.each:.2g} a stream"


def concept_drift_note(
    runs: RunSet, metric: str | None, errors: pd.Series[float] | None = None
) -> Note:
    """Whether ADWIN alarms on the stream, where, and from what to what errors went."""
    stream = stream_of(runs, metric, errors)
    if isinstance(stream, Note):
        return stream
    found = drifts(stream.errors)
    rate = stream_false_alarms(ALARM, stream.errors, stream.phi)
    vain, _ = in_vain(rate, len(stream.errors))
    lines = [f"ADWIN on {stream.what}: {_count(len(found), 'change')}; in vain: {vain}."]
    lines += [drift_told(one, stream) for one in found[:5]]
    lines += [f"{len(found) - 5:,} more changes."] if len(found) > 5 else []
    if not found and len(stream.errors) < _SHORT:
        lines.append(
            f"In so short a stream, {len(stream.errors):,} values, ADWIN sees large changes alone: "
            "that it saw none says little. Performance over time is the check here."
        )
    lines += [] if stream.of_table else [how_to_name(runs)]
    if errors is not None and errors.attrs.get("table"):
        others = ", ".join(plain(one, 60) for one in errors.attrs["others"])
        also = f" {others} would do, too." if others else ""
        lines.append(
            f"The table was found by its columns; --param predictions=PATH names another.{also}"
        )
    return Note("\n".join(lines))


def drift_told(one: Drift, stream: Stream) -> str:
    """A change in words."""
    before, after = (rough(stream.sign * value) for value in (one.before, one.after))
    return (
        f"From {before} to {after} on average at about value {one.start + 1:,}, seen at value "
        f"{one.place + 1:,}."
    )


def _count(number: int, noun: str) -> str:
    return f"no {noun}" if not number else f"{number:,} {noun}{'s' * (number > 1)}"


def concept_drift_chart(
    runs: RunSet, metric: str | None, errors: pd.Series[float] | None = None
) -> Figure | Note:
    """The stream as means of windows of it, with a line where ADWIN alarms."""
    stream = stream_of(runs, metric, errors)
    if isinstance(stream, Note):
        return stream
    values, n = stream.errors, len(stream.errors)
    each = max(1, n // _MOST_DRAWN, round(n / (4 * _WINDOWS)) if stream.of_table else 1)
    whole = n // each * each
    means = values[n - whole :].reshape(-1, each).mean(axis=1)
    places = np.arange(n - whole, n).reshape(-1, each).mean(axis=1) + 1
    found = drifts(values)
    rises = sum(one.after > one.before for one in found)
    worse = f", {rises:,} of them for the worse" if found else ""
    title = f"{stream.what}\nADWIN: {_count(len(found), 'change')}{worse}"
    figure = Figure(alt=title.replace("\n", "; "), figsize=(9, 3.4))
    axes = figure.add_subplot()
    dress(axes, title)
    axes.plot(places, stream.sign * means, "-", color=COLOURS[0], linewidth=1.4)
    for one in found:
        colour = COLOURS[1] if one.after > one.before else COLOURS[2]
        axes.axvline(one.place + 1, color=colour, linewidth=1.4, linestyle="--")
    last = 0
    for one in found:
        level = stream.sign * one.before
        axes.plot([last + 1, one.start + 1], [level, level], "-", color=INK, lw=1)
        last = one.start
    of = f"; each point the mean of {each:,}" if each > 1 else ""
    axes.set_xlabel(f"value{of}; dashed: where ADWIN alarms", fontsize=8, parse_math=False)
    label = "error" if stream.of_table else f"worse {'above' if stream.sign > 0 else 'below'}"
    axes.set_ylabel(label, fontsize=8)
    return figure
