"""Metric histories as curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain, run_labels
from qualia_lab.analysis.show import COLOURS, DRAWABLE, GREY, LINE_STYLES, Figure, Note, dress
from qualia_lab.model import RunSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MOST_CHARTS = 6
_MOST_LINES = 12
_MOST_POINTS = 600
_DECADES = 1000


def metric_curves(runs: RunSet, first: str | None = None) -> Figure | Note:
    """Curves of the metrics that have more than one point, a chart a metric, a line a run.

    Args:
        runs: the runs; the first 12 that logged any such metric have a colour and a name, the
            others are grey.
        first: the metric to draw first.

    Returns:
        At most six charts, system metrics last; the caption says how many there are in all. A cross
        marks the last finite point of a curve that went on as NaN or infinite (at the edge where
        that point lies outside what the other curves span). A curve of more
        than 600 points keeps the first, last, lowest and highest of each of 150 stretches. A note
        where there is nothing to draw.
    """
    points = runs.history()
    sizes = points.groupby(["metric", "run_id"]).size()
    curved = {str(metric) for metric, _ in sizes[sizes > 1].index}
    if not curved:
        return Note("No metric has more than one point, so there is no curve to draw.")
    names = sorted(curved, key=lambda name: (name != first, name.startswith("system/"), name))
    shown = names[:_MOST_CHARTS]
    drawn = [run for run in runs.runs.index if run in set(points["run_id"])]
    styles = {run: _style(number) for number, run in enumerate(drawn[:_MOST_LINES])}
    rows, columns = (len(shown) + 1) // 2, min(2, len(shown))
    figure = Figure(
        alt=f"Curves of {', '.join(plain(name) for name in shown)} for {len(drawn)} runs",
        figsize=(9, 0.9 + 2.7 * rows),
    )
    handles: dict[str, Line2D] = {}
    counts = np.zeros(2, dtype=int)
    for place, name in enumerate(shown, 1):
        axes = figure.add_subplot(rows, columns, place)
        mine = points[points["metric"] == name]
        lost, kept = _draw(axes, mine, styles, handles)
        counts += kept, len(mine)
        dress(axes, plain(name) + (f" ({lost} diverged)" if lost else ""))
        axes.set_xlabel("step", fontsize=8)
    _explain(figure, runs, handles, _caption(len(shown), len(names), len(drawn), *counts))
    return figure


def _style(number: int) -> dict[str, Any]:
    line = LINE_STYLES[number // len(COLOURS) % len(LINE_STYLES)]
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": line}


def _draw(
    axes: Axes,
    points: pd.DataFrame,
    styles: dict[str, dict[str, Any]],
    handles: dict[str, Line2D],
) -> tuple[int, int]:
    """One chart; lines without a style are grey and below.

    Returns:
        How many curves diverged, and how many points were drawn.
    """
    points_drawn = 0
    sound: list[np.ndarray] = []
    diverged: list[tuple[float, float, str]] = []
    for run_id, curve in points.groupby("run_id", sort=False):
        steps = curve["step"].to_numpy(dtype="float64")
        values = curve["value"].to_numpy(dtype="float64")
        values = np.where(np.abs(values) < DRAWABLE, values, np.nan)
        kept = thin(values, _MOST_POINTS)
        points_drawn += len(kept)
        named = str(run_id) in styles
        style = styles.get(str(run_id), {"color": GREY, "linestyle": "-"})
        (line,) = axes.plot(
            steps[kept],
            values[kept],
            linewidth=1.6 if named else 0.7,
            alpha=1.0 if named else 0.5,
            zorder=3 if named else 2,
            marker="o" if len(kept) < 2 else None,
            markersize=4,
            **style,
        )
        if named:
            handles.setdefault(str(run_id), line)
        finite = np.flatnonzero(np.isfinite(values))
        if len(finite) and finite[-1] < len(values) - 1:
            diverged.append((steps[finite[-1]], values[finite[-1]], style["color"]))
        else:
            sound.append(values[finite])
    _scale(axes, np.concatenate(sound or [np.array([])]), diverged)
    return len(diverged), points_drawn


def _scale(axes: Axes, sound: np.ndarray, diverged: list[tuple[float, float, str]]) -> None:
    """Fit the axis to the curves that stayed finite, and mark where the others left.

    A curve that diverged would otherwise press all others flat. The axis is logarithmic when the
    curves are positive and span more than three decades.
    """
    if len(sound) and sound.max() > sound.min():
        low, high = float(sound.min()), float(sound.max())
        if low > 0 and high / low > _DECADES:
            axes.set_yscale("log")
            axes.set_ylim(low / 1.3, high * 1.3)
        else:
            pad = 0.06 * (high - low)
            axes.set_ylim(low - pad, high + pad)
    bottom, top = axes.get_ylim()
    for step, value, colour in diverged:
        place = min(max(value, bottom), top)
        axes.plot(
            [step], [place], marker="X", markersize=9, color=colour, markeredgecolor="white",
            zorder=5, clip_on=False,
        )  # fmt: skip


def thin(values: np.ndarray, most: int) -> np.ndarray:
    """Indices of at most ``most`` points that keep what a curve shows.

    Each of ``most // 4`` equal stretches keeps its first, last, lowest and highest point, so that
    no peak is lost. Everything is kept where there are no more than ``most``.
    """
    if len(values) <= most:
        return np.arange(len(values))
    kept: set[int] = set()
    for stretch in np.array_split(np.arange(len(values)), most // 4):
        kept |= {int(stretch[0]), int(stretch[-1])}
        finite = stretch[np.isfinite(values[stretch])]
        if len(finite):
            inside = values[finite]
            kept |= {int(finite[np.argmin(inside)]), int(finite[np.argmax(inside)])}
    return np.array(sorted(kept))


def _caption(charts: int, metrics: int, drawn: int, points: int, of_points: int) -> str:
    parts = []
    if charts < metrics:
        parts.append(f"{charts} of {metrics:,} metrics drawn")
    if drawn > _MOST_LINES:
        parts.append(f"{_MOST_LINES} of {drawn:,} runs named, the others grey")
    if points < of_points:
        parts.append(f"{points:,} of {of_points:,} points drawn, with every peak")
    return "; ".join(parts)


def _explain(figure: Figure, runs: RunSet, handles: dict[str, Line2D], caption: str) -> None:
    labels = run_labels(runs)
    # A leading underscore would hide a name from the legend; the space keeps it in.
    legend = figure.legend(
        list(handles.values()),
        [f" {labels[run]}" for run in handles],
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        frameon=False,
        title=caption or None,
        title_fontsize=8,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
