"""Parallel coordinates: each run as a line through its params to its metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qualia_lab.analysis.importance import by_importance
from qualia_lab.analysis.labels import plain, rough
from qualia_lab.analysis.scales import Scale, cut, number_scale, param_scale, window
from qualia_lab.analysis.show import GREY, INK, Figure, Note
from qualia_lab.analysis.space import NOT_LOGGED, Param, Space, search_space
from qualia_lab.analysis.values import DRAWABLE
from qualia_lab.model import RunSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_AXES = 8
_MISSING = -0.11
_NAME = 15
_TICK = 13
_FEWEST_FOR_BEST = 10
_MOST_BEST = 12
_CHANCE = 0.05
_FEWEST_IN_COMMON = 3
_MOST_SAID = 2


def parallel_coordinates(runs: RunSet, metric: str | None) -> Figure | Note:
    """A line a run through the params that vary to the last value of a metric.

    At most eight params, the most important first (see ``importance.param_importance``). Colours go
    by the rank of the metric, dark where it is better (where it is lower, if that is not known);
    the best tenth of ten runs or more, at most twelve, are drawn thick and on top. Numbers are on a
    logarithmic axis where they spread better there; up to eight that would crowd stand at even
    distances. A run that did not log a param passes below its axis. Lines that share a category are
    set apart a little. The title says what the best have in common, if chance would give that to so
    many runs less than once in twenty.
    """
    space = search_space(runs, metric)
    if isinstance(space, Note):
        return space
    kept = np.abs(space.y) < DRAWABLE
    if kept.sum() < 2:
        return Note(f"No two runs have a value of {plain(space.metric)} that can be drawn.")
    params = by_importance(space)[:_MOST_AXES]
    scales = [param_scale(one) for one in params]
    way = runs.direction(space.metric)
    y = np.where(kept, space.y, np.nan)
    low, high = window(space.y[kept])
    last = number_scale(np.clip(y, low, high))
    order = np.argsort(np.where(kept, -y if way == "max" else y, np.inf), kind="stable")
    order = order[: kept.sum()]
    best = order[: _best_count(len(order))] if way else order[:0]
    title = _title(space, params, best, len(order), way is not None)
    figure = Figure(alt=f"{title}. A line a run through {len(params)} params.", figsize=(9, 4))
    axes = figure.add_subplot()
    places = np.column_stack(
        [*(_places(one, scale) for one, scale in zip(params, scales, strict=True)), last.places]
    )
    _lines(axes, places[order], len(best))
    for x, (param, scale) in enumerate(zip(params, scales, strict=True)):
        _axis(axes, x, cut(param.short, 2 * _NAME), scale, missing=param.missing > 0)
    better = {"min": "less is better", "max": "more is better", None: ""}[way]
    _axis(axes, len(params), plain(space.metric, 2 * _NAME), last, below=better, bold=True)
    _finish(axes, title, len(params))
    axes.set_xlabel(
        _caption(space, len(params), len(order), y, (low, high)), fontsize=8, parse_math=False
    )
    return figure


def _best_count(runs: int) -> int:
    return min(_MOST_BEST, runs // 10) if runs >= _FEWEST_FOR_BEST else 0


def _places(param: Param, scale: Scale) -> np.ndarray:
    """Where the lines cross an axis."""
    places = np.where(np.isfinite(scale.places), scale.places, _MISSING)
    runs = len(places)
    if len(scale.ticks) and param.count <= len(scale.ticks) and runs > 2 * param.count:
        # A fraction of the golden ratio leaves no pattern that could be taken for one of the data.
        places = places + (np.arange(runs) * 0.618034 % 1 - 0.5) * 0.25 / max(4, param.count)
    return np.asarray(places)


def _lines(axes: Axes, places: np.ndarray, best: int) -> None:
    """All lines in one collection, the best on top."""
    import matplotlib
    from matplotlib.collections import LineCollection

    runs, stops = places.shape
    x = np.broadcast_to(np.arange(stops), (runs, stops))
    # Less the light end, which is faint on white.
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.92, runs))
    colours[:, 3] = np.clip(30 / runs, 0.08, 0.75)
    colours[:best, 3] = 0.95
    widths = np.where(np.arange(runs) < best, 2.2, 1.0)
    worst_first = slice(None, None, -1)
    axes.add_collection(
        LineCollection(
            list(np.stack([x, places], axis=2)[worst_first]),
            colors=colours[worst_first],
            linewidths=widths[worst_first],
            capstyle="round",
        )
    )
    colours[:, 3] = np.maximum(colours[:, 3], 0.5)
    axes.scatter(
        x[worst_first, -1], places[worst_first, -1], c=colours[worst_first], s=14, zorder=4,
        linewidths=0,
    )  # fmt: skip


def _axis(
    axes: Axes, x: int, name: str, scale: Scale, *,
    missing: bool = False, below: str = "", bold: bool = False,
) -> None:  # fmt: skip
    """One vertical axis with its name above and its ticks at the right."""
    from matplotlib import patheffects

    halo = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    axes.plot([x, x], [0, 1], color=INK, linewidth=1, zorder=5)
    style: dict[str, Any] = {
        "fontsize": 7.5,
        "color": INK,
        "parse_math": False,
        "path_effects": halo,
        "zorder": 6,
    }
    ticks = [*scale.ticks, *([(_MISSING, NOT_LOGGED)] if missing else [])]
    axes.hlines([place for place, _ in ticks], x, x + 0.03, color=INK, linewidth=1, zorder=5)
    for place, label in ticks:
        axes.text(x + 0.05, place, cut(label, _TICK), va="center", **style)
    if missing:
        axes.plot([x - 0.03, x + 0.03], [_MISSING, _MISSING], color=GREY, linewidth=3, zorder=5)
    head = _two_lines(name)
    weight = "bold" if bold else "normal"
    axes.text(
        x, 1.05, head, va="bottom", ha="center", weight=weight,
        **{**style, "fontsize": 8.5, "linespacing": 1.05},
    )  # fmt: skip
    note = below or {"log": "log", "even": "", "linear": ""}[scale.kind]
    axes.text(x, -0.17, note, va="top", ha="center", **{**style, "fontsize": 7})


def _two_lines(name: str) -> str:
    """A long name in two lines, broken after a dot or the like if there is one."""
    if len(name) <= _NAME:
        return name
    middle = min(len(name), 2 * _NAME) // 2
    breaks = [place + 1 for place, char in enumerate(name[:_NAME]) if char in "._-/ "]
    place = min(breaks, key=lambda one: abs(one - middle), default=_NAME)
    if len(name) - place > _NAME:
        place = _NAME
    return f"{name[:place]}\n{cut(name[place:], _NAME)}"


def _finish(axes: Axes, title: str, last: int) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK, parse_math=False, pad=8)
    axes.set_xlim(-0.25, last + 0.55)
    axes.set_ylim(-0.22, 1.18)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _title(
    space: Space, params: tuple[Param, ...], best: np.ndarray, runs: int,
    known: bool,
) -> str:  # fmt: skip
    """What the best runs have in common, where that is more than chance; else what is drawn."""
    name = plain(space.metric)
    said = []
    for param in params:
        common = (
            _common(param, best, _CHANCE / len(params)) if len(best) >= _FEWEST_IN_COMMON else ""
        )
        if common:
            said.append(common)
    if said:
        return (
            f"The {len(best)} best of {runs:,} runs by {name} have {', '.join(said[:_MOST_SAID])}"
        )
    which = "dark is better" if known else "dark is lower"
    return f"{name} of {runs:,} runs over what varies; {which}"


def _common(param: Param, best: np.ndarray, least: float) -> str:
    """The value or range that all of some runs share and that few others have; or nothing."""
    codes = param.codes[best]
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or (param.numbers is None and low != high):
        return ""
    share = float(((param.codes >= low) & (param.codes <= high)).mean())
    count = len(best)
    # That a category, or a range of a number, holds so many runs drawn by chance.
    chance = (
        share**count if low == high else count * share ** (count - 1) - (count - 1) * share**count
    )
    if chance >= least:
        return ""
    if low == high:
        return f"{param.short} {param.labels[low]}"
    ends = (float(param.distinct[low]), float(param.distinct[high]))
    return f"{param.short} {rough(ends[0])} to {rough(ends[1])}"


def _caption(space: Space, shown: int, runs: int, y: np.ndarray, ends: tuple[float, float]) -> str:
    parts = [f"{runs:,} of {space.of:,} runs" if runs < space.of else f"{runs:,} runs"]
    if shown < len(space.params):
        parts.append(f"{shown} of {len(space.params):,} params that vary")
    beyond = int(((y < ends[0]) | (y > ends[1])).sum())
    if beyond:
        noun = "run" if beyond == 1 else "runs"
        parts.append(f"{beyond:,} {noun} beyond {rough(ends[0])} to {rough(ends[1])} at the edge")
    return "; ".join(parts)
