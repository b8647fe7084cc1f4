"""Curves of repeated runs, folded: the mean of a group and how far its runs spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from qualia_lab.analysis.groups import group_labels
from qualia_lab.analysis.labels import plain, with_spread
from qualia_lab.analysis.lines import (
    MOST_POINTS,
    WIDTH,
    cut,
    fit_places,
    fit_values,
    legend,
    wrapped,
)
from qualia_lab.analysis.series import (
    EPOCH,
    Read,
    Series,
    along,
    check_axis,
    no_place,
    placed_at,
    thin,
)
from qualia_lab.analysis.show import COLOURS, Figure, Note, dress
from qualia_lab.analysis.values import DRAWABLE, ended, last_values
from qualia_lab.directions import Direction
from qualia_lab.model import RunSet
from qualia_lab.text import visible

_MOST_GROUPS = len(COLOURS)
_LABEL, _IN_TITLE, _TITLE = 60, 40, 110
_FEWEST = 2
# Where runs share no places, their curves are compared at so many, evenly over their span.
_PLACES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """The curves of a group as one.

    Attributes:
        x: rising places of the axis (steps as integers) at which two runs or more have a finite
            value.
        mean: their mean there.
        std: their standard deviation (of the sample).
        n: how many they are.
        between: whether values are interpolated between points.
    """

    x: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    n: np.ndarray
    between: bool = False

    @property
    def runs(self) -> str:
        """How many runs it is the mean of, in words."""
        low, high = int(self.n.min()), int(self.n.max())
        return f"{high:,} runs" if low == high else f"{low:,} to {high:,} runs"


def group_curves(
    runs: RunSet, metric: str | None, by: str | None = None, x: str = "step"
) -> Figure | Note:
    """The curves of a metric folded over the runs of each group: the mean and, as a band, the
    standard deviation of the sample to either side.

    Args:
        runs: the runs.
        metric: what is drawn.
        by: as for ``groups.group_labels``: a param, or by default runs that differ in a seed alone.
        x: as for ``metric_curves``.

    Returns:
        At most six groups of which two runs or more have a curve: those with the best mean of the
        last values, or with most runs where ``runs.direction`` does not know which end is better.
        Histories of others are not read, as long as there are six. Runs are folded at the steps (or
        epochs) that two or more of them share. Those of a group that share fewer than two, and all
        by time, are interpolated linearly between their points, never beyond, which is said. What
        is not finite is left out. A note where there is nothing to draw.

    Raises:
        NotFoundError: no run has the param ``by``.
        UsageError: no such axis.
    """
    check_axis(x)
    if metric is None or metric not in runs.metric_names:
        return Note("There is no metric to follow over groups of runs.")
    name = plain(metric)
    members = _members(runs, metric, by)
    if not members:
        return Note(f"No group has two runs that logged {name}.")
    read, folds = _folds(runs, metric, x, members)
    if not folds:
        return Note(no_place(x) if read.lost else f"No group has two runs with a curve of {name}.")
    title = _title(name, folds, runs.direction(metric), read)
    figure = Figure(alt=visible(f"{title}. A line a group, with a band."), figsize=(9, 4.0))
    axes = figure.add_subplot()
    drawn = [_draw(axes, one, colour) for one, colour in zip(folds.values(), COLOURS, strict=False)]
    places = [one.x.astype("float64") for one in folds.values()]
    fit_places(axes, places, whole=x == "step")
    _fit_values(axes, list(folds.values()))
    dress(axes, wrapped(title, _TITLE))
    axes.set_xlabel(read.axis, fontsize=8)
    entries = [
        (Line2D([], [], color=colour, linewidth=WIDTH), f"{cut(label, _LABEL)} ({one.runs})")
        for (label, one), colour in zip(folds.items(), COLOURS, strict=False)
    ]
    parts = _said(runs, metric, folds, len(members), read)
    every = sum(len(one.x) for one in folds.values())
    if sum(drawn) < every:
        parts.append(f"{sum(drawn):,} of {every:,} points drawn, highs and lows kept")
    legend(figure, entries, "; ".join(parts))
    return figure


def fold(curves: Sequence[Series], *, x: str) -> Fold:
    """Curves of several runs as one, along this axis; of two values of a run at one place the last
    counts."""
    known = [_once(one, x) for one in curves]
    if x != "time":
        found = _folded(known)
        if len(found.x) >= _FEWEST:
            return found
    known = [one for one in known if len(one[0])]
    if not known:
        return _folded([])
    low = min(float(place[0]) for place, _ in known)
    high = max(float(place[-1]) for place, _ in known)
    grid = np.linspace(low, high, _PLACES)
    spread = []
    for place, value in known:
        inside = (grid >= place[0]) & (grid <= place[-1])
        spread.append((grid[inside], np.interp(grid[inside], place.astype("float64"), value)))
    return _folded(spread, between=True)


def _once(one: Series, x: str) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of a curve less what can't be drawn, each place once."""
    here = np.abs(one.value) < DRAWABLE
    # Steps as they were logged: past 2 ** 53 two of them can be the same float.
    place, value = (one.step if x == "step" else one.x)[here], one.value[here]
    last = np.append(place[1:] != place[:-1], True)[: len(place)]
    return place[last], value[last]


def _folded(curves: Sequence[tuple[np.ndarray, np.ndarray]], *, between: bool = False) -> Fold:
    if not curves:
        nothing = np.empty(0)
        return Fold(x=nothing, mean=nothing, std=nothing, n=nothing.astype(int), between=between)
    places, back = np.unique(np.concatenate([place for place, _ in curves]), return_inverse=True)
    values = np.concatenate([value for _, value in curves])
    n = np.bincount(back, minlength=len(places))
    shared = n >= _FEWEST
    mean = np.bincount(back, weights=values, minlength=len(places)) / np.maximum(n, 1)
    # In two passes: squares of values lose what sets close ones apart, and overflow sooner.
    squares = np.bincount(back, weights=(values - mean[back]) ** 2, minlength=len(places))
    return Fold(
        x=places[shared],
        mean=mean[shared],
        std=np.sqrt(squares[shared] / (n[shared] - 1)),
        n=n[shared],
        between=between,
    )


def _members(runs: RunSet, metric: str, by: str | None) -> dict[str, list[str]]:
    """The groups of which two runs or more logged the metric, in the order they are drawn in."""
    labels = group_labels(runs, by)
    labels = labels[runs.logged.loc[labels.index, metric].to_numpy(dtype=bool)]
    labels = labels[labels.index.isin(ended(runs, labels.index))]
    groups = {
        str(label): [str(run) for run in ids]
        for label, ids in labels.groupby(labels, sort=False).groups.items()
        if len(ids) >= _FEWEST
    }
    way = runs.direction(metric)
    last = last_values(runs, metric)
    means = last.groupby(labels.reindex(last.index)).mean()

    def rank(label: str) -> float:
        if way is None:
            return -len(groups[label])
        mean = float(means.get(label, float("inf") if way == "min" else float("-inf")))
        return mean if way == "min" else -mean

    return {label: groups[label] for label in sorted(groups, key=rank)}


def _folds(
    runs: RunSet, metric: str, x: str, members: Mapping[str, Sequence[str]]
) -> tuple[Read, dict[str, Fold]]:
    names = [metric, EPOCH] if x == EPOCH and EPOCH in runs.metric_names else [metric]
    order, frames = list(members), []
    for batch in (order[:_MOST_GROUPS], order[_MOST_GROUPS:]):
        ids = [run for label in batch for run in members[label]]
        frames.append(runs.history(names, run_ids=ids))
        read = along(frames, runs, x)
        series = read.series.get(metric, {})
        found = {
            label: fold([series[run] for run in members[label] if run in series], x=x)
            for label in order
        }
        found = {label: one for label, one in found.items() if len(one.x) >= _FEWEST}
        if len(found) >= _MOST_GROUPS or len(batch) == len(order):
            break
    return read, dict(list(found.items())[:_MOST_GROUPS])


def _draw(axes: Axes, one: Fold, colour: str) -> int:
    """A line and its band; returns how many places were drawn."""
    kept = thin(one.mean, MOST_POINTS)
    x, mean, std = one.x[kept].astype("float64"), one.mean[kept], one.std[kept]
    axes.fill_between(x, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, mean, color=colour, linewidth=WIDTH)
    return len(kept)


def _fit_values(axes: Axes, folds: Sequence[Fold]) -> None:
    mean = np.concatenate([one.mean for one in folds])
    std = np.concatenate([one.std for one in folds])
    fit_values(axes, mean)
    if axes.get_yscale() == "log":
        # A band that reaches down to zero has no lower end there.
        axes.set_ylim(top=max(axes.get_ylim()[1], float((mean + std).max()) * 1.3))
    else:
        fit_values(axes, np.concatenate([mean - std, mean + std]))


def _title(name: str, folds: Mapping[str, Fold], way: Direction | None, read: Read) -> str:
    if way is None:
        counts = np.concatenate([one.n for one in folds.values()])
        low, high = int(counts.min()), int(counts.max())
        return f"{name}: mean ± std of {low if low == high else f'{low:,} to {high:,}'} runs"
    pick = np.argmin if way == "min" else np.argmax
    tops = {label: int(pick(one.mean)) for label, one in folds.items()}
    ends = [float(folds[label].mean[top]) for label, top in tops.items()]
    label = list(folds)[int(pick(ends))]
    one, top = folds[label], tops[label]
    value = with_spread(float(one.mean[top]), float(one.std[top]))
    which = "lowest" if way == "min" else "highest"
    where = placed_at(read, one.x[top].item())
    of = f"std of {int(one.n[top]):,} runs"
    who = f" by {cut(label, _IN_TITLE)}" if len(folds) > 1 else ""
    return f"{name}: {which} mean {value} ({of}) {where}{who}"


def _said(
    runs: RunSet, metric: str, folds: Mapping[str, Fold], groups: int, read: Read
) -> list[str]:
    """What the caption says."""
    where = {"step": "steps", EPOCH: "epochs"}.get(read.axis, "times")
    parts = [f"mean ± standard deviation at {where} where two runs or more have a value"]
    if any(one.between for one in folds.values()):
        parts[-1] += ", interpolated between points"
        apart = [one for one in folds.values() if one.between]
        if len(apart) < len(folds):
            parts[-1] += f" in {len(apart)} of {len(folds)} groups"
    if len(folds) < groups:
        known = runs.direction(metric) is not None
        which = "the best last values" if known else "most runs"
        parts.append(f"{len(folds)} of {groups:,} groups drawn, those with {which}")
    gaps = sum(not np.isfinite(one.value).all() for one in read.series[metric].values())
    if gaps:
        noun = "run" if gaps == 1 else "runs"
        parts.append(f"what is not finite left out ({gaps:,} {noun})")
    return parts + read.left_out()
