"""A metric over the runs by start time: whether later runs are better, and since when the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import number, plain, rough, run_labels
from qualia_lab.analysis.show import COLOURS, INK, Figure, Note, dress
from qualia_lab.analysis.styles import OTHERS, run_styles
from qualia_lab.analysis.times import DAY, date_axis, seconds, short, stamp
from qualia_lab.analysis.values import DRAWABLE
from qualia_lab.errors import NotFoundError, known_list
from qualia_lab.model import RunSet
from qualia_lab.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DECADES = 1000
# Beyond so many widths of the middle half, a value would press the others into a line.
_FAR = 10
# Dots that lie in the same one of so many columns can't be told apart.
_COLUMNS = 150
_MOST_TICKS = 6
_MANY = 200
_LONGEST_LABEL = 36
_LOST = COLOURS[1]


def best_so_far(runs: RunSet, metric: str) -> pd.DataFrame:
    """The last value of a metric of each run by start time, and the best up to then.

    A row for each run that logged the metric and has a start time of the years 1980 to 2199; oldest
    first, runs of one time in the order of ``runs``; indexed by label. Columns: ``started (UTC)``;
    ``value``; ``best``, of the finite values up to this row (NaN before the first, and throughout
    where ``runs.direction`` does not know which end is better); ``improved``, whether this run is
    better than every one before it (the first finite value counts as such).

    Raises:
        NotFoundError: no run logged the metric.
    """
    if metric not in runs.metric_names:
        raise NotFoundError(
            f"no run logged the metric {visible(metric, 60)}",
            hint=known_list(metric, runs.metric_names),
        )
    frame = _by_start(runs, metric)
    labels = run_labels(runs)
    table = pd.DataFrame(
        {
            "started (UTC)": [stamp(one) for one in frame["start"]],
            "value": frame["value"].to_numpy(),
            "best": frame["best"].to_numpy(),
            "improved": frame["improved"].to_numpy(),
        },
        index=pd.Index([labels[str(run)] for run in frame.index], dtype=object),
    )
    return table.rename_axis(columns=plain(metric))


def _by_start(runs: RunSet, metric: str) -> pd.DataFrame:
    """A row a run that logged the metric and has a start, oldest first, indexed by run id."""
    frame = pd.DataFrame(
        {
            "start": seconds(runs.runs["started"]),
            "value": runs.metrics[metric],
            "failed": runs.runs["status"].isin(["FAILED", "KILLED"]),
        },
        index=runs.runs.index,
    )
    frame = frame[runs.logged[metric] & frame["start"].notna()].sort_values("start", kind="stable")
    values = frame["value"].to_numpy(dtype="float64")
    sign = {"min": 1.0, "max": -1.0, None: np.nan}[runs.direction(metric)]
    signed = np.where(np.isfinite(values), values, np.nan) * sign
    best = np.fmin.accumulate(signed)
    before = np.concatenate([[np.inf], np.where(np.isnan(best), np.inf, best)[:-1]])[: len(best)]
    return frame.assign(best=best * sign, improved=signed < before)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """What of the values is drawn: on which scale, and from where to where."""

    log: bool
    low: float
    high: float


def trend(runs: RunSet, metric: str | None) -> Figure | Note:
    """The last value of a metric of each run by the time at which it started, a dot a run.

    A step line is the best so far, drawn where ``runs.direction`` knows which end is better. Up to
    12 runs (the best, of more) have the colour and name they have everywhere, the others are grey.
    A cross marks a run that failed or was killed; a triangle at the edge, a run whose last value is
    not finite or lies beyond what is drawn (ten widths of the middle half of the values from it).
    The axis is logarithmic where all values are positive and span more than three decades. Where
    dots would lie on one another, runs stand in order of start, at equal distances.

    Left out and counted: runs without a start of the years 1980 to 2199, and those that did not log
    the metric.
    """
    if metric is None or metric not in runs.metric_names:
        name = "" if metric is None else f" {plain(metric)}"
        return Note(f"There is no metric{name} to draw over the runs.")
    frame = _by_start(runs, metric)
    finite = frame[np.abs(frame["value"]) < DRAWABLE]
    if len(finite) < 2:
        has = "One run" if len(finite) else "No run"
        return Note(
            f"{has} with a start time ended with a finite {plain(metric)}; a trend needs two."
        )
    told = _told(runs, metric, frame)
    figure = Figure(alt="; ".join(told), figsize=(9, 4))
    axes = figure.add_subplot()
    dress(axes, "\n".join(told))
    rest = _rest(runs, metric, frame)
    by_time = _apart(frame["start"].to_numpy())
    places = frame["start"].to_numpy() / DAY if by_time else np.arange(len(frame), dtype=float)
    scale = _scale(finite["value"].to_numpy())
    if scale.log:
        axes.set_yscale("log")
    axes.set_ylim(scale.low, scale.high)
    if by_time:
        date_axis(axes, float(places[0]), float(places[-1]), rest)
    else:
        _order_axis(axes, frame["start"].to_numpy(), rest)
    axes.set_ylabel(short(plain(metric), _LONGEST_LABEL), fontsize=8, parse_math=False)
    handles = _dots(axes, runs, metric, frame, places)
    handles |= _edge(axes, frame, places, scale, runs.direction(metric))
    _legend(figure, runs, handles)
    return figure


def _told(runs: RunSet, metric: str, frame: pd.DataFrame) -> list[str]:
    """What is seen, in two lines."""
    name, way = plain(metric), runs.direction(metric)
    finite = frame[np.isfinite(frame["value"])]
    if way is None:
        return [
            f"{name} of {len(finite):,} runs by start time",
            "which end is better is not known, so there is no best line",
        ]
    best = finite[finite["improved"]].iloc[-1]
    label = short(run_labels(runs)[str(best.name)], _LONGEST_LABEL)
    first = finite.iloc[0]
    if best.name == first.name:
        later = "the later run" if len(finite) == 2 else f"any of {len(finite) - 1:,} later runs"
        return [
            f"{name}: no better in {later} than in the first",
            f"{label}: {rough(first['value'])}",
        ]
    moved = "fell" if way == "min" else "rose"
    ends = " to ".join(_unlike(float(first["value"]), float(best["value"])))
    return [
        f"Best {name} {moved} from {ends} in {len(finite):,} runs",
        f"best so far since {stamp(best['start'])} by {label}",
    ]


def _unlike(one: float, other: float) -> tuple[str, str]:
    """Two numbers, as short as shows that they differ."""
    short_ones = rough(one), rough(other)
    return short_ones if short_ones[0] != short_ones[1] else (number(one), number(other))


def _rest(runs: RunSet, metric: str, frame: pd.DataFrame) -> str:
    """How many runs are marked or left out, and why."""
    logged = int(runs.logged[metric].sum())
    styles = run_styles(runs, metric)
    named = sum(str(run) in styles for run in frame.index)
    said = {
        "failed or killed": int(frame["failed"].sum()),
        "not finite at the end": int((~np.isfinite(frame["value"])).sum()),
        "did not log it": len(runs) - logged,
        "without a start time left out": logged - len(frame),
    }
    parts = [f"{named:,} of {len(frame):,} runs named"] if named < len(frame) else []
    return "; ".join([*parts, *(f"{count:,} {what}" for what, count in said.items() if count)])


def _apart(starts: np.ndarray) -> bool:
    """Whether runs on an axis of time can be told apart."""
    span = float(np.ptp(starts))
    if span == 0:
        return len(starts) == 1
    columns = np.unique(np.floor((starts - starts.min()) / span * _COLUMNS))
    return len(columns) >= 0.6 * min(len(starts), _COLUMNS)


def _scale(values: np.ndarray) -> _Scale:
    """The axis that shows most values well."""
    positive = bool((values > 1 / DRAWABLE).all())
    kept = _near(values, np.log10(values) if positive and _decades(values) else values)
    log = positive and _decades(kept)
    low, high = float(kept.min()), float(kept.max())
    if log:
        return _Scale(log=True, low=low / 1.3, high=high * 1.3)
    pad = 0.08 * (high - low)
    if pad <= 1e-9 * max(abs(low), abs(high)) or pad < 1 / DRAWABLE:
        pad = 0.1 * max(abs(low), abs(high))
    pad = pad if pad > 1 / DRAWABLE else 1.0
    return _Scale(log=False, low=low - pad, high=high + pad)


def _decades(values: np.ndarray) -> bool:
    return float(values.max()) / float(values.min()) > _DECADES


def _near(values: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """The values that lie near the middle half of them, on some scale."""
    low, high = np.quantile(scaled, [0.25, 0.75])
    far = _FAR * (high - low)
    kept = values[(scaled >= low - far) & (scaled <= high + far)]
    return kept if high > low and len(kept) else values


def _order_axis(axes: Axes, starts: np.ndarray, told: str) -> None:
    ticks = np.unique(np.linspace(0, len(starts) - 1, _MOST_TICKS).round().astype(int))
    axes.set_xticks(ticks, ["\n".join(reversed(stamp(starts[one]).split())) for one in ticks])
    pad = max(0.5, 0.02 * len(starts))
    axes.set_xlim(-pad, len(starts) - 1 + pad)
    label = "; ".join(filter(None, ["in order of start (UTC), at equal distances", told]))
    axes.set_xlabel(label, fontsize=8)


def _dots(
    axes: Axes, runs: RunSet, metric: str, frame: pd.DataFrame, places: np.ndarray
) -> dict[str, Any]:
    """The runs, the best line and the crosses; returns what the legend shows, by run id or text."""
    values = frame["value"].where(np.abs(frame["value"]) < DRAWABLE).to_numpy()
    handles: dict[str, Any] = {}
    best = frame["best"].where(np.abs(frame["best"]) < DRAWABLE).to_numpy()
    if np.isfinite(best).any():
        (handles["best so far"],) = axes.step(
            places, best, where="post", color=INK, linewidth=1.2, zorder=2
        )
    styles = run_styles(runs, metric)
    ids = [str(run) for run in frame.index]
    rest = np.array([run not in styles for run in ids], dtype=bool)
    size = 4 if len(ids) <= _MANY else 3
    axes.plot(places[rest], values[rest], "o", color=OTHERS.colour, alpha=0.6, markersize=size)
    for place, value, run in zip(places, values, ids, strict=True):
        if run in styles and np.isfinite(value):
            style = styles[run]
            # Where other charts tell runs of one colour apart by the line, a dot is filled or not.
            (handles[run],) = axes.plot(
                [place], [value], "o", color=style.colour, markersize=7, zorder=4, linestyle="",
                markerfacecolor=style.colour if style.line == "-" else "white", mew=1.6,
            )  # fmt: skip
    failed = frame["failed"].to_numpy() & np.isfinite(values)
    if failed.any():
        (handles["failed or killed"],) = axes.plot(
            places[failed], values[failed], "x", color=INK, markersize=size + 1, mew=1, zorder=5
        )
    return handles


def _edge(
    axes: Axes, frame: pd.DataFrame, places: np.ndarray, scale: _Scale, way: str | None
) -> dict[str, Any]:
    """Triangles at the edge where a value lies beyond the axis; NaN is taken for a bad one."""
    handles: dict[str, Any] = {}
    values = frame["value"].fillna(np.inf if way == "min" else -np.inf).to_numpy()
    for out, edge, mark in (
        (values > scale.high, scale.high, "^"),
        (values < scale.low, scale.low, "v"),
    ):
        # An empty line that is not clipped would upset the layout.
        if out.any():
            (handles["not finite or beyond the axis"],) = axes.plot(
                places[out], np.full(out.sum(), edge), mark, color=_LOST, markersize=5, zorder=5,
                clip_on=False,
            )  # fmt: skip
    return handles


def _legend(figure: Figure, runs: RunSet, handles: dict[str, Any]) -> None:
    labels = run_labels(runs)
    legend = figure.legend(
        list(handles.values()),
        [f" {short(labels.get(one, one), _LONGEST_LABEL)}" for one in handles],
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
