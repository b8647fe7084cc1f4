"""Metric histories as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from qualia_lab.analysis.labels import plain, rough, run_labels
from qualia_lab.analysis.lines import Line, Look, cut, draw, legend, lines_of, ring, trains, wrapped
from qualia_lab.analysis.pairs import Choice, Panel, choose
from qualia_lab.analysis.series import (
    EPOCH,
    Series,
    along,
    check_axis,
    check_smoothing,
    no_place,
    placed_at,
)
from qualia_lab.analysis.show import Figure, Note, dress
from qualia_lab.analysis.styles import MOST_NAMED, OTHERS, Style, run_styles, styles_of
from qualia_lab.analysis.values import ended
from qualia_lab.errors import NotFoundError, known_list
from qualia_lab.model import RunSet
from qualia_lab.text import visible

_NAME = 24
# Characters of a title over half the width of a figure, and over all of it.
_HALF, _WHOLE = 54, 110
_FIRST_STEP = -(2**63)


def metric_curves(
    runs: RunSet, first: str | None = None, x: str = "step", smoothing: float = 0.0
) -> Figure | Note:
    """Curves of the metrics that have more than one point, a chart a metric, a line a run.

    Args:
        runs: the runs; up to 12 have a colour and a name (see ``styles.run_styles``: the best by
            ``first`` of more), the others are grey.
        first: the metric to draw first.
        x: along ``"step"``, ``"time"`` since the run's start, or ``"epoch"``, a metric of that name
            that was logged at the same steps.
        smoothing: the weight of an exponential moving average, 0 to 0.99, as TensorBoard's
            (``series.smoothed``); the values as logged are drawn faintly behind it.

    Returns:
        At most six charts, the most telling metrics first (``pairs.choose``; system metrics and
        ``epoch`` only as ``first``); histories of others are not read. A metric of held-out and of
        training data (``val_loss`` and ``train_loss`` or ``loss``) share one, training dotted, of
        the first six runs with a name (the best of more than 12). The title says where the best of
        all points lies, of the curves that stayed finite and where ``runs.direction`` knows which
        end is better; a ring marks it. A cross marks the last finite point of a curve that went on
        as NaN or infinite (or past 1e150), at the edge where that lies outside of what the others
        span. The axis of values is logarithmic where they ask for it (``lines.fit_values``). A
        curve of more than 600 points (fewer of many grey ones) keeps the first, last, lowest and
        highest of equal stretches. The caption says what is left out. A note where there is nothing
        to draw.

    Raises:
        UsageError: no such axis, or no such smoothing.
    """
    check_axis(x)
    check_smoothing(smoothing)
    choice = choose(runs, first)
    if not choice.panels:
        return _no_curves(choice)
    styles = run_styles(runs, first)
    read = along(_histories(runs, choice, styles, x), runs, x)
    styles = styles_of(runs, first, {run for one in read.series.values() for run in one})
    look = Look(
        read=read,
        styles=styles,
        labels=run_labels(runs),
        direction=runs.direction,
        smoothing=smoothing,
    )
    charts = [(panel, lines) for panel in choice.panels if (lines := lines_of(panel, look))]
    if not charts:
        return Note(no_place(x))
    rows, columns = (len(charts) + 1) // 2, min(2, len(charts))
    figure = Figure(alt="", figsize=(9, (2.8 if columns > 1 else 3.8) * rows))
    titles = []
    every_trains = all(trains(styles.get(run, OTHERS)) for run in look.labels)
    for place, (panel, lines) in enumerate(charts, 1):
        axes = figure.add_subplot(rows, columns, place)
        # Of training the title can tell only where all of it was read.
        told = first if first and first == panel.training and every_trains else panel.metric
        titles.append(_chart(axes, panel, lines, look, told))
        dress(axes, wrapped(titles[-1], _HALF if columns > 1 else _WHOLE))
    figure.alt = visible("Curves of " + "; ".join(titles))
    entries = [(look.named[run], look.labels[run]) for run in styles if run in look.named]
    kinds = [(line, what) for what, line in look.kinds.items()]
    names = {name for panel, _ in charts for name in panel.names}
    parts = [f"{len(names)} of {choice.of:,} metrics drawn"] if len(names) < choice.of else []
    legend(figure, [*entries, *kinds], "; ".join(parts + _left_out(look)))
    return figure


def value_at(
    runs: RunSet, metrics: Sequence[str] | None = None, *, step: int | None = None
) -> pd.DataFrame:
    """The values of metrics at one step, side by side: runs of one length, so to say.

    Args:
        runs: the runs.
        metrics: which; by default those that ``metric_curves`` draws.
        step: of each metric, the last value logged at or before this step counts. By default the
            last step of the first metric that all finished runs with a curve of it got to.

    Returns:
        A row a metric, a column a run, in the order of ``runs``. ``<NA>`` where a run had not
        logged the metric by then, and throughout for a run that did not get there: that logged none
        of these metrics at this step or a later one.

    Raises:
        NotFoundError: no such metric.
    """
    names = choose(runs).names if metrics is None else list(metrics)
    for name in names:
        if name not in runs.metric_names:
            raise NotFoundError(
                f"no run logged the metric {visible(name, 60)}",
                hint=known_list(name, runs.metric_names),
            )
    series = along([runs.history(names)], runs, "step").series
    last: dict[str, int] = {}
    for of_metric in series.values():
        for run, one in of_metric.items():
            last[run] = max(last.get(run, _FIRST_STEP), int(one.step[-1]))
    if step is None:
        first = series.get(names[0], {}) if names else {}
        curved = {run: int(one.step[-1]) for run, one in first.items() if len(one.step) > 1}
        step = min((curved[str(run)] for run in ended(runs, pd.Index(list(curved)))), default=0)
    got_there = {run for run, reached in last.items() if reached >= step}
    cells = {
        (name, run): _at(one, step)
        for name, of_metric in series.items()
        for run, one in of_metric.items()
        if run in got_there
    }
    table = {}
    for run, label in run_labels(runs).items():
        values = [cells.get((name, run)) for name in names]
        missing = np.array([value is None for value in values], dtype=bool)
        filled = np.array([np.nan if value is None else value for value in values], dtype="float64")
        table[label] = pd.arrays.FloatingArray(filled, missing)
    index = pd.Index([plain(name, 60) for name in names], dtype=object)
    return pd.DataFrame(table, index=index).rename_axis(columns=f"at step {step:,}")


def _at(one: Series, step: int) -> float | None:
    """The last value at or before a step."""
    place = int(np.searchsorted(one.step, max(step, _FIRST_STEP), side="right"))
    return float(one.value[place - 1]) if place else None


def _no_curves(choice: Choice) -> Note:
    if choice.asked < choice.of:
        return Note(
            f"None of the {choice.asked:,} most telling of {choice.of:,} metrics has more than one "
            "point, so there is no curve to draw."
        )
    return Note("No metric has more than one point, so there is no curve to draw.")


def _histories(
    runs: RunSet, choice: Choice, styles: Mapping[str, Style], x: str
) -> list[pd.DataFrame]:
    """Every point that is drawn: training of the runs with a name alone, where others have none."""
    also = [EPOCH] if x == EPOCH and EPOCH in runs.metric_names else []
    if len(runs) <= MOST_NAMED:
        return [runs.history([*choice.names, *also])]
    training = [panel.training for panel in choice.panels if panel.training is not None]
    frames = [runs.history([*(panel.metric for panel in choice.panels), *also])]
    if training:
        named = runs.only([run for run, style in styles.items() if trains(style)])
        here = [name for name in [*training, *also] if name in set(named.metric_names)]
        frames.append(named.history(here))
    return frames


def _chart(axes: Axes, panel: Panel, lines: Sequence[Line], look: Look, told: str) -> str:
    """Draw one chart; returns its title, which tells of one of its metrics."""
    draw(axes, lines, look)
    dotted = any(line.training for line in lines)
    of_training = f" (dotted: {cut(plain(panel.training), _NAME)})" if dotted else ""
    axes.set_xlabel(look.read.axis + of_training, fontsize=8, parse_math=False)
    mine = [line for line in lines if line.training == (told == panel.training)]
    parts = _best(axes, told, mine, look)
    diverged = len({line.run_id for line in lines if line.diverged})
    never = len({line.run_id for line in lines if line.last < 0})
    parts += [f"{diverged:,} diverged"] if diverged else []
    parts += [f"{never:,} never finite"] if never else []
    return f"{cut(plain(told), _NAME)}: {'; '.join(parts)}" if parts else cut(plain(told), _HALF)


def _best(axes: Axes, name: str, lines: Sequence[Line], look: Look) -> list[str]:
    """The best point of the curves that stayed finite, in words; it gets a ring."""
    sound = [line for line in lines if line.last == len(line.value) - 1]
    way = look.direction(name)
    if way is None or not sound:
        return []
    pick, worst = (np.argmin, np.inf) if way == "min" else (np.argmax, -np.inf)
    # Of what was logged: a value that is too large to be drawn may be the best all the same.
    finite = [np.where(np.isfinite(one.series.value), one.series.value, worst) for one in sound]
    tops = [int(pick(one)) for one in finite]
    values = np.array([one[top] for one, top in zip(finite, tops, strict=True)])
    best = int(pick(values))
    ring(axes, sound[best], tops[best], look)
    found = f"{'lowest' if way == 'min' else 'highest'} {rough(float(values[best]))}"
    tied = int((values == values[best]).sum())
    if tied > 1:
        return [f"{found} by {tied:,} runs"]
    line, top = sound[best], tops[best]
    places = line.series.step if look.read.axis == "step" else line.series.x
    who = f" by {cut(look.labels[line.run_id], _NAME)}" if len(look.labels) > 1 else ""
    return [f"{found} {placed_at(look.read, places[top].item())}{who}"]


def _left_out(look: Look) -> list[str]:
    """What the caption says about all charts."""
    parts = []
    drawn = {run for of_metric in look.read.series.values() for run in of_metric}
    named = len(look.named)
    if named < len(drawn):
        parts.append(f"{named} of {len(drawn):,} runs named, the others grey")
    if "training" in look.kinds and (look.untrained or named < len(drawn)):
        parts.append("training of the first six only")
    points, of_points = (sum(column) for column in zip(*look.points, strict=True))
    if points < of_points:
        parts.append(f"{points:,} of {of_points:,} points drawn, highs and lows kept")
    if look.smoothing:
        faint = ", as logged faintly behind" + (" where named" if named < len(drawn) else "")
        parts.append(f"smoothed {look.smoothing:g} (exponential moving average){faint}")
    return parts + look.read.left_out()
