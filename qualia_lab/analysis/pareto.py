"""Two metrics at once: the runs that no other beats in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain, run_labels
from qualia_lab.analysis.scales import cut, spans_decades, window
from qualia_lab.analysis.show import COLOURS, GREY, INK, Figure, Note, dress
from qualia_lab.analysis.values import DRAWABLE, ended, last_values
from qualia_lab.directions import Direction, ranked
from qualia_lab.model import RunSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DURATION = "duration"
_MOST_NAMED = 12
_MOST_METRICS = 20
_AGREE = 0.5
_FEWEST_SHARED = 2
_NAME = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two metrics of the runs that have both, and which end of each is better."""

    names: tuple[str, str]
    ways: tuple[Direction, Direction]
    values: pd.DataFrame  # a row a run, a column a metric, indexed by run id
    of: int

    @property
    def front(self) -> np.ndarray:
        """Which runs no other beats."""
        signs = [1.0 if way == "min" else -1.0 for way in self.ways]
        return unbeaten(self.values.to_numpy(dtype="float64") * signs)


def unbeaten(points: np.ndarray) -> np.ndarray:
    """Which of some points no other is below or level with in both columns, and below in one.

    Points that are the same in both stay together. A sort and one pass (Kung, Luccio and Preparata
    1975).

    Args:
        points: a row a point, two columns, less is better; finite.

    Returns:
        A truth value a row.
    """
    order = np.lexsort((points[:, 1], points[:, 0]))
    x, y = points[order, 0], points[order, 1]
    before = np.minimum.accumulate(np.concatenate([[np.inf], y]))[:-1]
    kept = y < before
    # A copy of a point that stays does too.
    for place in range(1, len(order)):
        if kept[place - 1] and x[place] == x[place - 1] and y[place] == y[place - 1]:
            kept[place] = True
    found = np.zeros(len(points), dtype=bool)
    found[order[kept]] = True
    return found


def pareto_front(runs: RunSet, metric: str | None, other: str | None = None) -> pd.DataFrame | Note:
    """The runs that no other beats in both of two metrics.

    Args:
        runs: the runs; those with a finite last value of both count.
        metric: the first metric.
        other: the second, or ``duration`` for how long the runs took (where no metric is called
            so). By default a metric that disagrees with the first: of those of which it is known
            which end is better, the first whose rank correlation with it, both turned so that less
            is better, is below one half; else the duration.

    Returns:
        A row a run, the best by ``metric`` first, indexed by the run's label; a column a metric,
        ``duration`` in seconds. A note where there is no such pair or it is not known which end of
        one is better.
    """
    pair = _pair(runs, metric, other)
    if isinstance(pair, Note):
        return pair
    front = pair.values[pair.front]
    front = front.sort_values(
        list(front.columns), ascending=[way == "min" for way in pair.ways], kind="stable"
    )
    labels = run_labels(runs)
    table = pd.DataFrame(
        front.to_numpy(),
        index=pd.Index([labels[str(run)] for run in front.index], name="run"),
        columns=[_written(name) for name in pair.names],
    )
    return table.rename_axis(columns=f"{len(front):,} of {len(pair.values):,} runs")


def pareto_chart(runs: RunSet, metric: str | None, other: str | None = None) -> Figure | Note:
    """Two metrics against each other: the runs that no other beats in both, joined and named.

    Which metrics: as for ``pareto_front``. At most twelve runs of the front are named, evenly along
    it, the ends among them; the others are grey. An axis is logarithmic where its values are
    positive and span more than three decades; where a few lie far off, they are at the edge.
    """
    pair = _pair(runs, metric, other)
    if isinstance(pair, Note):
        return pair
    drawable = (pair.values.abs() < DRAWABLE).all(axis=1).to_numpy()
    front = pair.front
    if drawable.sum() < _FEWEST_SHARED or not (front & drawable).any():
        return Note(f"No two runs have values of {_names(pair)} that can be drawn.")
    title = _title(pair, int(front.sum()))
    figure = Figure(alt=f"{title}. A dot a run.", figsize=(9, 4.2))
    axes = figure.add_subplot()
    shown = pair.values[drawable].to_numpy(dtype="float64")
    front = front[drawable]
    y, x = (_edged(shown[:, one], front) for one in (0, 1))
    if spans_decades(x):
        axes.set_xscale("log")
    if spans_decades(y):
        axes.set_yscale("log")
    axes.plot(x[~front], y[~front], "o", color=GREY, alpha=0.6, markersize=4.5, mew=0)
    order = np.flatnonzero(front)[np.lexsort((y[front], x[front]))]
    axes.plot(x[order], y[order], "-o", color=COLOURS[0], linewidth=1.4, markersize=7, zorder=3)
    labels = run_labels(runs)
    named = order[np.unique(np.linspace(0, len(order) - 1, _MOST_NAMED).round().astype(int))]
    ids = pair.values.index[drawable]
    _name(axes, x[named], y[named], [cut(labels[str(ids[one])], _NAME) for one in named])
    dress(axes, title)
    axes.set_ylabel(_axis_name(pair, 0), fontsize=8, parse_math=False)
    beyond = int(((shown[:, 1] != x) | (shown[:, 0] != y)).sum())
    caption = _caption(pair, len(named), int(front.sum()), beyond)
    axes.set_xlabel(f"{_axis_name(pair, 1)}\n{caption}", fontsize=8, parse_math=False)
    return figure


def _pair(runs: RunSet, metric: str | None, other: str | None) -> _Pair | Note:
    """The two metrics; or why there are none."""
    if metric is None:
        return Note("There is no metric to weigh against another.")
    first = _values(runs, metric)
    way = runs.direction(metric)
    if first is None or first.empty:
        return Note(f"No run has a finite last value of {plain(metric)}.")
    if way is None:
        return Note(f"Whether more or less of {plain(metric)} is better is not known.")
    if other is None:
        other = _disagreeing(runs, metric, first, way)
        if other is None:
            return Note(
                f"There is no second metric that pulls against {plain(metric)}, nor does the "
                "duration: what is best by one is about best by all. To weigh it against a cost, "
                "log that with mlflow.log_metric."
            )
    second = _values(runs, other)
    against = _way(runs, other)
    if second is None or second.empty:
        return Note(f"No run has a finite last value of {plain(other)}.")
    if against is None:
        return Note(f"Whether more or less of {plain(other)} is better is not known.")
    # Keys that no name of a metric can clash with, should both be the same one.
    both = pd.concat([first, second], axis=1, join="inner", keys=[0, 1])
    if len(both) < _FEWEST_SHARED:
        return Note(f"Less than two runs have both {plain(metric)} and {plain(other)}.")
    return _Pair(names=(metric, other), ways=(way, against), values=both, of=len(runs))


def _values(runs: RunSet, name: str) -> pd.Series[float] | None:
    if name in runs.metric_names:
        return last_values(runs, name)
    if name != DURATION:
        return None
    seconds: pd.Series[float] = runs.runs["duration"].dt.total_seconds()
    seconds = seconds[seconds >= 0]
    # A run that broke off was quick for no good reason.
    return seconds[seconds.index.isin(ended(runs, seconds.index))]


def _way(runs: RunSet, name: str) -> Direction | None:
    if name == DURATION and name not in runs.metric_names:
        return "min"
    return runs.direction(name)


def _disagreeing(runs: RunSet, metric: str, first: pd.Series[float], way: Direction) -> str | None:
    """A metric that pulls the other way, or the duration; None where all that is known agrees."""
    counts = {name: int(runs.logged[name].sum()) for name in runs.metric_names}
    known = [name for name in ranked(counts) if name != metric and runs.direction(name)]
    for name in [*known[:_MOST_METRICS], DURATION]:
        values, against = _values(runs, name), _way(runs, name)
        if values is None:
            continue
        shared = values.index.intersection(first.index)
        if len(shared) < max(_FEWEST_SHARED, len(first) / 2):
            continue
        one, two = first[shared].rank(), values[shared].rank()
        if one.nunique() < 2 or two.nunique() < 2:
            continue
        turned = 1 if way == against else -1
        if turned * float(np.corrcoef(one, two)[0, 1]) < _AGREE:
            return name
    return None


def _written(name: str) -> str:
    return "duration (s)" if name == DURATION else plain(name)


def _names(pair: _Pair) -> str:
    return f"{_written(pair.names[0])} and {_written(pair.names[1])}"


def _title(pair: _Pair, front: int) -> str:
    total = len(pair.values)
    if front == 1:
        return f"One of {total:,} runs is best in both {_names(pair)}"
    return f"{front:,} of {total:,} runs are beaten by no other in both {_names(pair)}"


def _axis_name(pair: _Pair, one: int) -> str:
    better = "less" if pair.ways[one] == "min" else "more"
    return f"{_written(pair.names[one])} ({better} is better)"


def _caption(pair: _Pair, named: int, front: int, beyond: int) -> str:
    parts = [
        f"{len(pair.values):,} of {pair.of:,} runs have both"
        if len(pair.values) < pair.of
        else f"{pair.of:,} runs"
    ]
    if named < front:
        parts.append(f"{named} of {front:,} on the front named")
    if beyond:
        parts.append(f"{beyond:,} far off drawn at the edge")
    return "; ".join(parts)


def _edged(values: np.ndarray, front: np.ndarray) -> np.ndarray:
    """The values, with those that lie far off at the edge; what is on the front stays in place."""
    low, high = window(values)
    low, high = min(low, values[front].min()), max(high, values[front].max())
    return np.asarray(np.clip(values, low, high))


def _name(axes: Axes, x: np.ndarray, y: np.ndarray, texts: list[str]) -> None:
    """Write the names in a column at the right, each joined to its point."""
    ends = np.array([*y, *axes.get_ylim()])
    ends = np.log10(ends) if axes.get_yscale() == "log" else ends
    places = (ends[:-2] - ends[-2]) / (ends[-1] - ends[-2])
    for spot, text, *point in zip(_spread(places), texts, x, y, strict=True):
        axes.annotate(
            text, (point[0], point[1]), xytext=(1.03, spot), textcoords="axes fraction",
            fontsize=8, color=INK, va="center", parse_math=False,
            arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.7, "shrinkB": 4,
                        "relpos": (0, 0.5)},
        )  # fmt: skip


def _spread(places: np.ndarray) -> list[float]:
    """Heights from 0 to 1 as near to the given ones as leaves room for a line of text each."""
    room = 1 / max(_MOST_NAMED - 1, len(places))
    order = np.argsort(places, kind="stable")
    heights = np.clip(places[order], 0, 1)
    for place in range(1, len(heights)):
        heights[place] = max(heights[place], heights[place - 1] + room)
    if heights[-1] > 1:
        heights[-1] = 1.0
        for place in range(len(heights) - 2, -1, -1):
            heights[place] = min(heights[place], heights[place + 1] - room)
    found = np.empty(len(heights))
    found[order] = heights
    return [float(one) for one in found]
