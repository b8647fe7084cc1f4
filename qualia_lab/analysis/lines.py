"""How curves are drawn: the lines of one chart, its axes, and the legend below."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from qualia_lab.analysis.labels import rough
from qualia_lab.analysis.pairs import Panel
from qualia_lab.analysis.series import Read, Series, smoothed, thin
from qualia_lab.analysis.show import GREY, INK, Figure
from qualia_lab.analysis.styles import OTHERS, Style
from qualia_lab.analysis.values import DRAWABLE
from qualia_lab.directions import Direction

MOST_POINTS = 600
WIDTH, THIN = 1.6, 1.1
# Of the grey lines of a chart; each has at least so many, however many there are.
_MOST_GREY_POINTS, _FEWEST_POINTS = 60_000, 40
_MANY = 100
# Training is dotted, and drawn of the runs whose own line is solid: more can't be told apart.
TRAINING_LINE = ":"
_WITH_TRAINING = "-"
_DECADES = 1000
# Values that nearly all lie so low in their span are told apart on a logarithmic axis only.
_MOST_OF_ALL, _LOW, _SPAN = 75, 0.2, 10
_FEW_DECADES = 100
# Characters of a line of caption.
_CAPTION = 130
# How wide, in characters, the entries of a legend may be for so many columns.
_LEGEND = ((3, 40), (2, 64))
# Height of its rows, in inches.
_ROW = 0.18


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What all charts of a figure share, and what they gather for its legend and caption.

    ``points`` are, of each line, how many points were drawn of how many; ``untrained`` the runs
    whose training is left out.
    """

    read: Read
    styles: Mapping[str, Style]
    labels: Mapping[str, str]
    direction: Callable[[str], Direction | None]
    smoothing: float
    named: dict[str, Line2D] = field(default_factory=dict)
    kinds: dict[str, Line2D] = field(default_factory=dict)
    points: list[tuple[int, int]] = field(default_factory=list)
    untrained: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart: its values, NaN for what can't be drawn, and how it looks.

    ``last`` is the place of its last finite value, -1 where there is none.
    """

    run_id: str
    series: Series
    value: np.ndarray
    last: int
    style: Style
    training: bool

    @property
    def diverged(self) -> bool:
        """Whether it went on as NaN or infinite."""
        return 0 <= self.last < len(self.value) - 1


def trains(style: Style) -> bool:
    """Whether a run of this look shows its training."""
    return style is not OTHERS and style.line == _WITH_TRAINING


def lines_of(panel: Panel, look: Look) -> list[Line]:
    """The lines of a chart, those of training below."""
    found = []
    for name in reversed(panel.names):
        training = name == panel.training
        for run_id, series in look.read.series.get(name, {}).items():
            style = look.styles.get(run_id, OTHERS)
            if training and not trains(style):
                look.untrained.add(run_id)
                continue
            drawable = np.abs(series.value) < DRAWABLE
            places = np.flatnonzero(drawable)
            found.append(
                Line(
                    run_id=run_id,
                    series=series,
                    value=np.where(drawable, series.value, np.nan),
                    last=int(places[-1]) if len(places) else -1,
                    style=style,
                    training=training,
                )
            )
    return found


def draw(axes: Axes, lines: Sequence[Line], look: Look) -> None:
    """Lines, axes that fit them, and a cross where one diverged."""
    _draw_others(axes, [line for line in lines if line.style is OTHERS], look)
    for line in lines:
        if line.style is not OTHERS:
            _draw_named(axes, line, look)
    fit_places(axes, [line.series.x for line in lines], whole=look.read.axis == "step")
    gone = [line for line in lines if line.diverged]
    # A curve that diverged would otherwise press all others flat.
    sound = [line for line in lines if not line.diverged]
    fit_values(axes, np.concatenate([line.value for line in sound or gone]))
    for line in gone:
        _cross(axes, line, look)
    if any(line.training for line in lines):
        look.kinds["held out"] = Line2D([], [], color=INK, linewidth=WIDTH)
        look.kinds["training"] = Line2D([], [], color=INK, linewidth=THIN, linestyle=TRAINING_LINE)


def _draw_named(axes: Axes, line: Line, look: Look) -> None:
    x, value = line.series.x, smoothed(line.value, look.smoothing)
    kept = thin(value, MOST_POINTS)
    look.points.append((len(kept), len(value)))
    colour = line.style.colour
    if look.smoothing:
        raw = thin(line.value, MOST_POINTS)
        axes.plot(x[raw], line.value[raw], color=colour, linewidth=0.8, alpha=0.25, zorder=2)
    axes.plot(
        x[kept],
        value[kept],
        color=colour,
        linestyle=TRAINING_LINE if line.training else line.style.line,
        linewidth=THIN if line.training else WIDTH,
        zorder=3,
        marker="o" if len(kept) < 2 else None,
        markersize=4,
    )
    look.named.setdefault(line.run_id, Line2D([], [], linewidth=WIDTH, **line.style.keywords))


def _draw_others(axes: Axes, lines: Sequence[Line], look: Look) -> None:
    """The grey lines, as one thing to draw."""
    if not lines:
        return
    most = min(MOST_POINTS, max(_FEWEST_POINTS, _MOST_GREY_POINTS // len(lines)))
    segments = []
    for line in lines:
        value = smoothed(line.value, look.smoothing)
        kept = thin(value, most)
        look.points.append((len(kept), len(value)))
        segments.append(np.column_stack([line.series.x[kept], value[kept]]))
    many = len(lines) > _MANY
    axes.add_collection(
        LineCollection(
            [one for one in segments if len(one) > 1],
            colors=GREY,
            linewidths=0.5 if many else 0.7,
            alpha=0.25 if many else 0.5,
            zorder=1.5,
        )
    )
    dots = [one for one in segments if len(one) == 1]
    if dots:
        axes.plot(*np.concatenate(dots).T, "o", color=GREY, alpha=0.5, markersize=3, zorder=1.5)


def fit_places(axes: Axes, places: Sequence[np.ndarray], *, whole: bool) -> None:
    """Fit the axis to these places; ``whole`` ones have ticks at whole numbers."""
    low, high = min(x.min() for x in places), max(x.max() for x in places)
    pad = 0.03 * (high - low) or 0.5 + abs(low) * 0.01
    axes.set_xlim(low - pad, high + pad)
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))


def fit_values(axes: Axes, values: np.ndarray, axis: Literal["x", "y"] = "y") -> None:
    """Fit the axis of values to these, which can be drawn or are NaN.

    It is logarithmic where they are positive and span more than three decades, or span a factor of
    ten and three quarters of them lie in the lowest fifth of that.
    """
    own = axes.yaxis if axis == "y" else axes.xaxis
    limit = axes.set_ylim if axis == "y" else axes.set_xlim
    finite = values[np.isfinite(values)]
    if not len(finite):
        return
    low, high = float(finite.min()), float(finite.max())
    crowded = float(np.percentile(finite, _MOST_OF_ALL)) < low + _LOW * (high - low)
    if low > 0 and (high / low > _DECADES or (crowded and high / low > _SPAN)):
        axes.set(**{f"{axis}scale": "log"})
        limit(low / 1.3, high * 1.3)
        few = high / low < _FEW_DECADES
        own.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
        own.set_major_formatter(FuncFormatter(lambda value, _: rough(value)))
        own.set_minor_locator(NullLocator())  # they say nothing, and are a third of the drawing
    else:
        pad = 0.06 * (high - low) or abs(low) * 0.1 or 1.0
        limit(low - pad, high + pad)


def _cross(axes: Axes, line: Line, look: Look) -> None:
    """Mark where a line left, at the edge if that is outside of what the others span."""
    bottom, top = axes.get_ylim()
    (marker,) = axes.plot(
        [line.series.x[line.last]],
        [min(max(line.value[line.last], bottom), top)],
        marker="X",
        markersize=9,
        color=line.style.colour,
        markeredgecolor="white",
        linestyle="none",
        zorder=5,
        clip_on=False,
    )
    look.kinds.setdefault("diverged after this", marker)


def ring(axes: Axes, line: Line, place: int, look: Look) -> None:
    """Mark the best point."""
    (marker,) = axes.plot(
        [line.series.x[place]],
        [line.value[place]],
        marker="o",
        markersize=8,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=1.2,
        linestyle="none",
        zorder=4,
        clip_on=False,
    )
    look.kinds.setdefault("best point", marker)


def cut(text: str, most: int) -> str:
    """Text of at most so many characters, with a mark where it goes on."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def wrapped(title: str, width: int) -> str:
    """A title on at most two lines; a count stays with what it counts."""
    kept = title.replace(" diverged", "\N{NO-BREAK SPACE}diverged")
    lines = textwrap.fill(kept, width, max_lines=2, placeholder=" …", break_on_hyphens=False)
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def legend(figure: Figure, entries: Sequence[tuple[Line2D, str]], caption: str) -> None:
    """What the lines of a figure are, below it, under its caption; the figure grows by as much."""
    widest = max((_width(text) for _, text in entries), default=0)
    columns = next((columns for columns, most in _LEGEND if widest <= most), 1)
    above = textwrap.wrap(caption[:1].upper() + caption[1:], _CAPTION)
    rows = -(-len(entries) // columns) + len(above)
    figure.set_figheight(figure.get_figheight() + _ROW * rows)
    drawn = figure.legend(
        [line for line, _ in entries],
        # A leading underscore would hide a name from the legend; the space keeps it in.
        [f" {text}" for _, text in entries],
        loc="outside lower center",
        ncols=columns,
        fontsize=8,
        frameon=False,
        title="\n".join(above) or None,
        title_fontsize=8,
    )
    for text in (*drawn.get_texts(), drawn.get_title()):
        text.set_parse_math(False)


def _width(text: str) -> int:
    """How many columns of a terminal it takes, which is about how wide it is drawn."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
