"""The search space: what was tried, and the metric against each param."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection

from qualia_lab.analysis.importance import by_importance
from qualia_lab.analysis.labels import distinct, plain, rough
from qualia_lab.analysis.ranks import spearman
from qualia_lab.analysis.scales import Scale, apart, cut, param_scale, spans_decades, window
from qualia_lab.analysis.show import COLOURS, GREY, INK, Figure, Note, dress
from qualia_lab.analysis.space import (
    FEW,
    NOT_LOGGED,
    Param,
    Space,
    median,
    search_space,
    varied_params,
)
from qualia_lab.analysis.values import DRAWABLE, best_first
from qualia_lab.model import RunSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_PANELS = 6
_COLUMNS = 3
_TICK = 12
_MISSING = -0.25
_BINS = 12
_FEWEST_FOR_TREND = 8
_FEWEST_FOR_BEST = 8
_CHANCE = 0.05


def param_ranges(runs: RunSet, metric: str | None = None) -> pd.DataFrame:
    """What was tried: a row a param that varies, in the order of ``runs.params``.

    Args:
        runs: the runs.
        metric: what the best run is found by, where it is known which end is better.

    Returns:
        Indexed by the param, several that always change together in one row: ``kind``, number or
        category; ``runs`` that logged it; ``values``, how many different ones; ``lowest`` and
        ``highest`` of numbers; ``most frequent``, up to three values that several runs had, with
        how many did. With a metric also ``best run``, its value there (empty where not logged), and
        ``edge``: "lowest" or "highest" where that is the end of three numbers or more, so that
        better ones may lie beyond. Seeds, constants and ids are left out.
    """
    params = varied_params(runs.params)
    best = _best_row(runs, metric)
    rows = [_range_row(one, best) for one in params]
    table = pd.DataFrame(
        rows,
        index=pd.Index(distinct([one.label for one in params]), name="param"),
        columns=[*_RANGES, *(("best run", "edge") if best is not None else ())],
    )
    return table.astype(_RANGES)


_RANGES = {
    "kind": "object",
    "runs": "int64",
    "values": "int64",
    "lowest": "float64",
    "highest": "float64",
    "most frequent": "object",
}


def _best_row(runs: RunSet, metric: str | None) -> int | None:
    """Where the best run stands among the runs."""
    if metric is None or runs.direction(metric) is None:
        return None
    values = best_first(runs, metric)
    return None if values.empty else list(runs.runs.index).index(values.index[0])


def _range_row(param: Param, best: int | None) -> list[object]:
    counts = np.bincount(param.codes[param.codes >= 0], minlength=param.count)
    labels = param.labels
    first = np.argsort(-counts, kind="stable")[:3]
    numbers = param.numbers is not None
    row: list[object] = [
        param.kind,
        int(counts.sum()),
        param.count,
        float(param.distinct[0]) if numbers else float("nan"),
        float(param.distinct[-1]) if numbers else float("nan"),
        ", ".join(f"{labels[one]} ({counts[one]:,})" for one in first if counts[one] > 1),
    ]
    if best is None:
        return row
    code = int(param.codes[best])
    ends = {0: "lowest", param.count - 1: "highest"} if numbers and param.count > 2 else {}
    return [*row, labels[code] if code >= 0 else "", ends.get(code, "")]


def param_scatter(runs: RunSet, metric: str | None) -> Figure | Note:
    """A metric against each param that varies, a dot a run, with the medians as a trend.

    At most six params, the most important first (see ``importance.param_importance``). A line joins
    the medians at the values of a number, or in up to eight ranges of it with as many runs each; a
    dash is the median of a category. Above a number stands Spearman's rank correlation with the
    metric. Where a few values of the metric lie far off, they are drawn as triangles at the edge.
    """
    space = search_space(runs, metric)
    if isinstance(space, Note):
        return space
    drawable = np.abs(space.y) < DRAWABLE
    if drawable.sum() < 2:
        return Note(f"No two runs have a value of {plain(space.metric)} that can be drawn.")
    params = by_importance(space)[:_MOST_PANELS]
    panels = [_panel(one, space.y) for one in params]
    title = _scatter_title(space, panels)
    figure, grid = _panels(f"{title}. A panel a param, a dot a run.", len(params), 2.35)
    low, high = window(space.y[drawable])
    for axes, panel in zip(grid, panels, strict=True):
        _scatter(axes, panel, space.y, low, high)
        dress(axes, panel.title)
    if spans_decades(space.y[drawable]):
        grid[0].set_yscale("log")
    else:
        pad = 0.06 * (high - low) or 1.0
        grid[0].set_ylim(low - pad, high + pad)
    _head(figure, title)
    figure.supylabel(f"last {plain(space.metric)}", fontsize=8, parse_math=False)
    figure.supxlabel(_left_out(space, len(params), low, high), fontsize=8, parse_math=False)
    return figure


def param_distributions(runs: RunSet, metric: str | None = None) -> Figure | Note:
    """How many runs tried which values of each param, and where the best quarter of them lies.

    At most six params, the most important first where there is a metric. All runs count; the best
    quarter is of the runs with a finite last value of the metric, where it is known which end is
    better and there are eight or more.
    """
    from matplotlib.ticker import MaxNLocator

    params = varied_params(runs.params)
    if not params:
        return Note("No param but a seed differs between the runs: there is no search space.")
    best = _best_quarter(runs, metric)
    space = search_space(runs, metric)
    if isinstance(space, Space):
        order = {
            name: place for place, one in enumerate(by_importance(space)) for name in one.names
        }
        params = tuple(sorted(params, key=lambda one: order.get(one.names[0], len(order))))
    shown = params[:_MOST_PANELS]
    title = f"What {len(runs):,} runs tried"
    if best.any():
        title += f"; blue: the {best.sum():,} best by {plain(metric)}"
    figure, grid = _panels(f"{title}. A panel a param, a bar a value or range.", len(shown), 1.9)
    for axes, param in zip(grid, shown, strict=True):
        _bars(axes, param, best)
        dress(axes, cut(param.short, 34))
        axes.grid(False, axis="x")
    grid[0].yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    _head(figure, title)
    figure.supylabel("runs", fontsize=8)
    if len(shown) < len(params):
        caption = f"{len(shown)} of {len(params):,} params that vary"
        figure.supxlabel(caption, fontsize=8)
    return figure


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Panel:
    """A param with its axis, and how steadily the metric moves with it."""

    param: Param
    scale: Scale
    rho: float
    p: float

    @property
    def title(self) -> str:
        if self.rho == self.rho:
            return f"{cut(self.param.short, 22)}: ρ {self.rho:+.2f}"
        return cut(self.param.short, 34)


def _panel(param: Param, y: np.ndarray) -> _Panel:
    rho, p = float("nan"), float("nan")
    if param.numbers is not None:
        here = param.codes >= 0
        if here.sum() >= _FEWEST_FOR_TREND and param.count > 1 and np.ptp(y[here] / 2) > 0:
            rho, p = spearman(param.codes[here], y[here])
    return _Panel(param=param, scale=param_scale(param), rho=rho, p=p)


def _scatter_title(space: Space, panels: list[_Panel]) -> str:
    name = plain(space.metric)
    known = [one for one in panels if one.rho == one.rho]
    if not known:
        return f"{name} against {_count(len(panels), 'param')}"
    first = max(known, key=lambda one: abs(one.rho))
    if first.p * len(space.params) > _CHANCE:  # of all params, though only some are drawn
        return f"{name} neither rises nor falls steadily with any number"
    verb = "rises" if first.rho > 0 else "falls"
    return f"{name} {verb} most steadily with {first.param.short} (Spearman's ρ {first.rho:+.2f})"


def _scatter(axes: Axes, panel: _Panel, y: np.ndarray, low: float, high: float) -> None:
    param, scale = panel.param, panel.scale
    shown = np.clip(y, low, high)
    x = np.where(np.isfinite(scale.places), scale.places, _MISSING)
    category = param.numbers is None
    jitter = (np.arange(len(y)) * 0.618 % 1 - 0.5) * (0.35 / max(2, len(scale.ticks)))
    x = x + jitter * (category | (param.codes < 0))
    inside = (y >= low) & (y <= high)
    alpha = 0.6 if len(y) < 100 else 0.25
    for marker, which in (("o", inside), ("^", y > high), ("v", y < low)):
        for colour, mine in ((COLOURS[0], param.codes >= 0), (GREY, param.codes < 0)):
            if (which & mine).any():
                axes.plot(
                    x[which & mine], shown[which & mine], marker, color=colour, alpha=alpha,
                    markersize=4.5, markeredgewidth=0, clip_on=False,
                )  # fmt: skip
    if len(y) >= _FEWEST_FOR_TREND:
        places, medians = _trend(param, scale, shown)
        style: dict[str, Any] = {"linestyle": "", "marker": "_", "markersize": 18, "mew": 2}
        if not category:
            style = {"linestyle": "-", "marker": "o", "markersize": 3, "linewidth": 1.6}
        axes.plot(places, medians, color=COLOURS[1], zorder=4, **style)
    _x_axis(axes, param, scale, 0.5 / max(2, len(scale.ticks)) if category else 0.06)


def _trend(param: Param, scale: Scale, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians of the metric, at each value or in ranges of as many runs each."""
    here = param.codes >= 0
    places, y = scale.places[here], y[here]
    group = places
    if param.numbers is not None and param.count > FEW:
        most = max(2, min(FEW, len(y) // 5))
        group = pd.qcut(param.codes[here], most, labels=False, duplicates="drop")
    found = [group == one for one in np.unique(group)]
    return (
        np.array([median(places[one]) for one in found]),
        np.array([median(y[one]) for one in found]),
    )


def _x_axis(axes: Axes, param: Param, scale: Scale, side: float) -> None:
    category = param.numbers is None
    ticks = list(scale.ticks) if category else apart(scale.ticks, 0.24)
    labels = distinct([cut(label, _TICK) for _, label in ticks])
    places = [place for place, _ in ticks]
    missing = param.missing > 0
    if missing:
        places, labels = [_MISSING, *places], [NOT_LOGGED.replace(" ", "\n"), *labels]
    slanted = sum(len(label) for label in labels) > 32
    look: dict[str, Any] = {"ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(places, labels, parse_math=False, **look)
    axes.tick_params(axis="x", rotation=35 if slanted else 0)
    axes.set_xlim((_MISSING if missing else 0) - side, 1 + side)


def _bars(axes: Axes, param: Param, best: np.ndarray) -> None:
    """Counts at each value, or in twelve ranges of a number that has many."""
    scale = param_scale(param)
    x = np.where(np.isfinite(scale.places), scale.places, _MISSING)
    if param.numbers is not None and param.count > FEW:
        bins = (np.floor(np.clip(x, 0, 1 - 1e-9) * _BINS) + 0.5) / _BINS
        x, width = np.where(x < 0, x, bins), 0.9 / _BINS
    else:
        spots = np.unique(scale.places[np.isfinite(scale.places)])
        width = min(0.3, 0.8 * float(np.diff(spots).min())) if len(spots) > 1 else 0.3
    spots, place = np.unique(x, return_inverse=True)
    counts = np.bincount(place)
    good = np.bincount(place, weights=best)
    for heights, colour in ((counts, "#c4c4c4"), (good, COLOURS[0])):
        _columns(axes, spots, heights, width, colour)
    _x_axis(axes, param, scale, 0.7 * width)


def _columns(
    axes: Axes, places: np.ndarray, heights: np.ndarray, width: float, colour: str
) -> None:
    """Bars as one thing to draw; ``bar`` makes an artist of each, at a millisecond apiece."""
    left, right = places - width / 2, places + width / 2
    x = np.stack([left, left, right, right], axis=1)
    y = np.multiply.outer(heights, [0.0, 1.0, 1.0, 0.0])
    corners = np.stack([x, y], axis=2)[heights > 0]
    bars = PolyCollection(list(corners), facecolors=colour)
    bars.sticky_edges.y[:] = [0]
    axes.add_collection(bars)
    axes.autoscale_view()


def _best_quarter(runs: RunSet, metric: str | None) -> np.ndarray:
    """Which runs are the best quarter; none where that can't be told."""
    nobody = np.zeros(len(runs), dtype=bool)
    if metric is None or runs.direction(metric) is None:
        return nobody
    values = best_first(runs, metric)
    if len(values) < _FEWEST_FOR_BEST or values.iloc[0] == values.iloc[-1]:
        return nobody
    return np.asarray(runs.runs.index.isin(values.index[: len(values) // 4]))


def _panels(alt: str, count: int, height: float) -> tuple[Figure, list[Axes]]:
    rows = -(-count // _COLUMNS)
    figure = Figure(alt=alt, figsize=(9, 0.7 + height * rows))
    first = figure.add_subplot(rows, min(count, _COLUMNS), 1)
    grid = [first]
    for place in range(2, count + 1):
        axes = figure.add_subplot(rows, min(count, _COLUMNS), place, sharey=first)
        if place % _COLUMNS != 1:
            axes.tick_params(labelleft=False)
        grid.append(axes)
    return figure, grid


def _head(figure: Figure, title: str) -> None:
    figure.suptitle(
        title, x=0.01, horizontalalignment="left", fontsize=11, color=INK, parse_math=False
    )


def _left_out(space: Space, shown: int, low: float, high: float) -> str:
    parts = [space.counted]
    if shown < len(space.params):
        parts.append(f"{shown} of {len(space.params):,} params that vary")
    beyond = int(((space.y < low) | (space.y > high)).sum())
    if beyond:
        parts.append(f"triangles: {_count(beyond, 'run')} beyond {rough(low)} to {rough(high)}")
    return "orange: medians; " + "; ".join(parts)


def _count(number_of: int, noun: str) -> str:
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"
