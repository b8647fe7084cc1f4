"""How the parts of a figure share its room: measured once, where matplotlib measures four times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.layout_engine import LayoutEngine
from matplotlib.text import Text
from matplotlib.transforms import Bbox, ScaledTranslation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.transforms import BboxBase

# In inches.
_AIR = 0.05
_BETWEEN = 0.08
# What labels take, until they are measured: left, right, bottom and top of axes.
_GUESS = (0.55, 0.1, 0.45, 0.3)
# Axes whose size was guessed so well have the ticks that were measured.
_CLOSE = 0.3
_LEAST_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Margins:
    """What stands outside of axes, or at the edges of a figure, in pixels."""

    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    top: float = 0.0


class Once(LayoutEngine):
    """Axes in a grid, as large as the labels around them and at the figure's edges leave room.

    All axes of a figure are of one size. A legend of the figure is taken to stand below ("outside
    lower center"), where nothing else does. matplotlib's constrained layout asks each tick label
    for its place four times and more, which is half of the time that a chart takes.
    """

    adjust_compatible = True
    colorbar_gridspec = True

    def execute(self, fig: Figure) -> None:
        """Place the axes of a figure; called whenever it is drawn."""
        placed = [(axes, spec) for axes in fig.axes if (spec := axes.get_subplotspec())]
        if not placed:
            return
        renderer = fig.canvas.get_renderer()  # type: ignore[attr-defined]
        edges = _edges(fig, renderer)
        guess = dict(zip(("left", "right", "bottom", "top"), _GUESS, strict=True))
        around = _Margins(**{side: inches * fig.dpi for side, inches in guess.items()})
        _share(fig, edges, [(spec, around) for _, spec in placed])
        for _ in range(2):
            before = np.array(placed[0][0].bbox.size)
            margins = [(spec, _around(axes, renderer)) for axes, spec in placed]
            _share(fig, edges, margins)
            if (abs(placed[0][0].bbox.size / before - 1) < _CLOSE).all():
                break
        for axes, _ in placed:
            _inside(axes, renderer)


def _edges(figure: Figure, renderer: RendererBase) -> _Margins:
    """What titles, labels and legends of the figure itself take; they are moved to its edges."""
    air = _AIR * figure.dpi
    width, height = figure.bbox.size
    taken = {"left": air, "right": air, "bottom": air, "top": air}
    for text in figure.texts:
        if not text.get_text() or not text.get_in_layout():
            continue
        size = text.get_window_extent(renderer)
        if text.get_text() == figure.get_supylabel() and text.get_rotation():
            text.set_x(air / width)
            taken["left"] += size.width + air
        elif text.get_text() == figure.get_supxlabel() and text.get_verticalalignment() == "bottom":
            text.set_y(air / height)
            taken["bottom"] += size.height + air
        elif text.get_text() == figure.get_suptitle():
            text.set_y(1 - air / height)
            taken["top"] += size.height + air
    for legend in figure.legends:
        taken["bottom"] += legend.get_window_extent(renderer).height + 2 * air
    return _Margins(**taken)


def _around(axes: Axes, renderer: RendererBase) -> _Margins:
    """What the labels, title, texts and legend of axes take outside of them."""
    own, inch = axes.bbox, axes.figure.dpi
    ticks = [_ticks(one, renderer) for one in (axes.xaxis, axes.yaxis)]
    left, right, bottom, top = _outside(own, ticks)
    below = _label(axes.xaxis, (0, -bottom / inch), (0, -1))
    beside = _label(axes.yaxis, (-left / inch, 0), (-1, 0))
    if below:
        bottom += below + axes.xaxis.label.get_window_extent(renderer).height
    if beside:
        left += beside + axes.yaxis.label.get_window_extent(renderer).width
    offset = axes.yaxis.get_offset_text()
    lift = top if offset.get_visible() and offset.get_text() else 0.0
    more: list[BboxBase] = [
        text.get_window_extent(renderer) for text in axes.texts if not _is_clipped(text)
    ]
    legend = axes.get_legend()
    if legend is not None:
        more.append(legend.get_window_extent(renderer))
    more.extend(_titles(axes, lift, renderer))
    found = zip((left, right, bottom, top), _outside(own, more), strict=True)
    left, right, bottom, top = (max(pair) for pair in found)
    return _Margins(left=left, right=right, bottom=bottom, top=top)


def _is_clipped(text: Text) -> bool:
    """Whether it ends where its axes do; annotations say that they are clipped, but to nothing."""
    edges = text.get_clip_box(), text.get_clip_path()
    return text.get_clip_on() and any(one is not None for one in edges)


def _ticks(axis: Axis, renderer: RendererBase) -> BboxBase | None:
    """What the labels of the ticks span. Asked for without the axis's own label, which would have
    it all measured once more to be placed."""
    shown = axis.label.get_visible()
    axis.set_label_coords(*axis.label.get_position())
    axis.label.set_visible(False)
    found = axis.get_tightbbox(renderer)
    axis.label.set_visible(shown)
    return found


def _label(axis: Axis, ticks: tuple[float, float], way: tuple[int, int]) -> float:
    """Place the label of an axis beyond its ticks, which reach so many inches; how far, in pixels.

    Zero where there is no label.
    """
    if not axis.label.get_text() or not axis.label.get_visible():
        return 0.0
    pad = axis.labelpad / 72
    x, y = axis.label.get_position()
    figure = axis.axes.figure
    shift = ScaledTranslation(
        ticks[0] + pad * way[0], ticks[1] + pad * way[1], figure.dpi_scale_trans
    )
    x, y = (0.0 if way[0] else x), (0.0 if way[1] else y)
    axis.set_label_coords(x, y, transform=axis.axes.transAxes + shift)
    return float(pad * figure.dpi)


def _inside(axes: Axes, renderer: RendererBase) -> None:
    """Move a caption below axes that would leave the figure on the right, as far as it has room."""
    label, air = axes.xaxis.label, _AIR * axes.figure.dpi
    if not label.get_text():
        return
    box = label.get_window_extent(renderer)
    beyond = min(box.x1 - axes.figure.bbox.width + air, box.x0 - air)
    if beyond > 0:
        label.set_x(label.get_position()[0] - beyond / axes.bbox.width)


def _titles(axes: Axes, lift: float, renderer: RendererBase) -> list[BboxBase]:
    """Place the titles of axes above the factor of all numbers, where there is one ("1e6")."""
    found: list[BboxBase] = []
    for one in axes.get_children():
        if isinstance(one, Text) and one not in axes.texts and one.get_text():
            one.set_y(1 + lift / axes.bbox.height)
            box = one.get_window_extent(renderer)
            middle = (axes.bbox.x0 + axes.bbox.x1) / 2  # one that is too long is cut, not the axes
            found.append(Bbox.from_extents(middle, box.y0, middle + 1, box.y1))
    return found


def _outside(own: BboxBase, boxes: Iterable[BboxBase | None]) -> tuple[float, float, float, float]:
    """How far boxes reach beyond axes: left, right, bottom, top."""
    left = right = bottom = top = 0.0
    for box in boxes:
        if box is not None and box.width > 0 and box.height > 0:
            left, right = max(left, own.x0 - box.x0), max(right, box.x1 - own.x1)
            bottom, top = max(bottom, own.y0 - box.y0), max(top, box.y1 - own.y1)
    return left, right, bottom, top


def _share(figure: Figure, edges: _Margins, around: Sequence[tuple[SubplotSpec, _Margins]]) -> None:
    """Give all axes the same room, which is what their margins leave.

    The space between two is as wide as the widest that is needed between any two.
    """
    rows, columns = around[0][0].get_gridspec().get_geometry()
    left, right, bottom, top = ([0.0] * count for count in (columns, columns, rows, rows))
    for spec, margins in around:
        first, last = spec.colspan.start, spec.colspan.stop - 1
        left[first], right[last] = max(left[first], margins.left), max(right[last], margins.right)
        first, last = spec.rowspan.start, spec.rowspan.stop - 1
        top[first], bottom[last] = max(top[first], margins.top), max(bottom[last], margins.bottom)
    between = _BETWEEN * figure.dpi
    pairs = [one + other for one, other in zip(right, left[1:], strict=False)]
    wide = max(pairs, default=-between) + between
    pairs = [one + other for one, other in zip(bottom, top[1:], strict=False)]
    high = max(pairs, default=-between) + between
    width, height = figure.bbox.size
    x = _span(width, columns, edges.left + left[0], edges.right + right[-1], wide)
    y = _span(height, rows, edges.bottom + bottom[-1], edges.top + top[0], high)
    figure.subplots_adjust(left=x[0], right=x[1], wspace=x[2], bottom=y[0], top=y[1], hspace=y[2])


def _span(
    size: float, count: int, before: float, after: float, between: float
) -> tuple[float, float, float]:
    """Where axes begin and end, as shares of a figure, and the space between, as one of axes.

    Labels that would leave less than a fifth to axes are cut.
    """
    taken = before + after + (count - 1) * between
    scale = min(1.0, (1 - _LEAST_SHARE) * size / taken)
    before, after, between = before * scale, after * scale, between * scale
    each = (size - before - after - (count - 1) * between) / count
    return before / size, 1 - after / size, between / each
