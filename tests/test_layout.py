"""Figures are laid out so that nothing is cut off and nothing overlaps, measured by matplotlib."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from qualia_lab.analysis.plain_axes import PlainAxes
from qualia_lab.analysis.show import Figure, dress

LONG = "a setting whose name is as long as charts let it be: 60 chars"


def drawn(figure: Figure) -> tuple[list[Bbox], Bbox]:
    """What each axes spans with its labels, once drawn, and what the figure does."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return [one.get_tightbbox(renderer, for_layout_only=True) for one in figure.axes], figure.bbox


def panels(rows: int, columns: int, labels: list[str], scale: float = 1.0) -> Figure:
    figure = Figure("panels", figsize=(9, 1 + 2.2 * rows))
    for place in range(rows * columns):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.plot(np.arange(len(labels)), scale * np.linspace(0.001, 1, len(labels)), "o")
        axes.set_xlabel("step")
        axes.set_ylabel("what is measured")
        dress(axes, f"panel {place}")
    return figure


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (3, 2), (4, 3)])
@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e12])
def test_panels_do_not_touch(rows: int, columns: int, scale: float) -> None:
    boxes, whole = drawn(panels(rows, columns, ["a", "b", "c"], scale))
    for box in boxes:
        assert box.x0 >= whole.x0 - 2
        assert box.y0 >= whole.y0 - 2
        assert box.x1 <= whole.x1 + 2
        assert box.y1 <= whole.y1 + 2
    for one, other in combinations(boxes, 2):
        assert Bbox.intersection(one.padded(-1), other.padded(-1)) is None


@pytest.mark.parametrize("names", [["run"], ["run", LONG], [LONG] * 8])
def test_names_beside_axes_are_not_cut(names: list[str]) -> None:
    figure = Figure("names", figsize=(9, 0.9 + 0.32 * (len(names) + 1)))
    axes = figure.add_subplot()
    axes.barh(range(len(names)), range(1, len(names) + 1))
    axes.set_yticks(range(len(names)), names, parse_math=False)
    dress(axes, "bars")
    axes.set_xlabel("a caption that is\non two lines")
    ((box,), whole) = drawn(figure)
    assert 0 <= box.x0 < 20
    assert 0 <= box.y0 < 20
    assert box.x1 <= whole.x1
    assert axes.bbox.width > 0.2 * whole.width


def test_what_stands_at_the_edges_is_beside_the_axes() -> None:
    figure = panels(2, 2, ["a", "b"])
    figure.suptitle("above all", x=0.01, horizontalalignment="left")
    figure.supylabel("on the left")
    lines = figure.axes[0].lines
    figure.legend(lines, [LONG], loc="outside lower center", title="one\ntwo\nthree")
    boxes, whole = drawn(figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    outside = [one.get_window_extent(renderer) for one in (*figure.texts, *figure.legends)]
    for box in outside:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.y1 <= whole.y1
        assert all(Bbox.intersection(box, one.padded(-1)) is None for one in boxes)


def test_a_title_stands_above_the_factor_of_an_axis() -> None:
    figure = panels(1, 1, ["a", "b"], 1e12)
    drawn(figure)
    (axes,) = figure.axes
    assert axes.yaxis.get_offset_text().get_text() == "1e12"
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    factor = axes.yaxis.get_offset_text().get_window_extent(renderer)
    (title,) = (one for one in axes.get_children() if getattr(one, "get_text", str)() == "panel 0")
    assert title.get_window_extent(renderer).y0 >= factor.y1 - 2


def test_a_long_caption_is_moved_to_where_there_is_room() -> None:
    figure = Figure("caption", figsize=(9, 3))
    axes = figure.add_subplot()
    axes.set_yticks([0, 1], [LONG, LONG])
    axes.set_xlabel("what is drawn, and what is not drawn, and why that is; " * 2, fontsize=8)
    dress(axes, "dots")
    drawn(figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    assert axes.xaxis.label.get_window_extent(renderer).x0 >= 0
    assert axes.xaxis.label.get_window_extent(renderer).x1 <= figure.bbox.width


def test_a_name_beside_axes_with_a_line_to_its_point_is_not_cut() -> None:
    figure = Figure("names", figsize=(9, 4))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], "o")
    named = axes.annotate(
        "a name of a run", (1, 1), xytext=(1.03, 0.5), textcoords="axes fraction",
        arrowprops={"arrowstyle": "-"},
    )  # fmt: skip
    clipped = axes.annotate(LONG, (1, 0), annotation_clip=True, clip_on=True)
    dress(axes, "dots")
    drawn(figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    assert named.get_window_extent(renderer).x1 <= figure.bbox.width
    assert clipped.get_window_extent(renderer).x1 > figure.bbox.width


def test_labels_that_leave_no_room_are_cut_and_not_the_axes() -> None:
    figure = Figure("no room", figsize=(2, 1))
    axes = figure.add_subplot()
    axes.set_yticks([0, 1], [LONG, LONG])
    drawn(figure)
    assert axes.bbox.width >= 0.19 * figure.bbox.width
    assert Figure("nothing", figsize=(2, 1)).png()


def test_a_figure_that_is_drawn_again_looks_the_same() -> None:
    figure = panels(2, 2, ["a", "b", "c"])
    assert figure.png() == figure.png()


def matplotlibs(axes: Axes) -> None:
    """Have matplotlib make the ticks of axes, and draw them from then on."""
    axes.get_xticklabels()
    axes.get_yticklabels()


def ticks_of(figure: Figure) -> list[int]:
    return [len(one.majorTicks) for axes in figure.axes for one in (axes.xaxis, axes.yaxis)]


@pytest.mark.parametrize("names", [list("abcde"), ["$x$", "", "a\nb", LONG[:20], "é"], None])
@pytest.mark.parametrize("look", [{}, {"ha": "right", "rotation_mode": "anchor"}])
def test_plain_axes_look_as_those_of_matplotlib(
    names: list[str] | None, look: dict[str, object]
) -> None:
    pictures = []
    for kind, touched in ((Axes, False), (PlainAxes, False), (PlainAxes, True)):
        figure = Figure("ticks", figsize=(9, 5))
        for place in (1, 2, 3, 4):
            axes = figure.add_subplot(2, 2, place, axes_class=kind)
            axes.plot(range(5), [1, 3e6, 2, 5, 4])
            if names:
                axes.set_xticks(range(5), names, parse_math=False, **look)
            axes.set_yticks([] if place == 4 else [1, 2e6, 3e6])
            axes.set_ylabel("what")
            dress(axes, "ticks")
            axes.tick_params(labelleft=place == 1, left=place != 2)
            axes.tick_params(axis="x", rotation=35 if look else 0)
            axes.grid(place != 3, axis="x")
            axes.set_xlim(3.5, -0.1)
            axes.set_yscale("log" if place == 3 else "linear")
            if kind is Axes:
                axes.minorticks_off()
        if touched:
            for axes in figure.axes:
                matplotlibs(axes)
        pictures.append(figure.png())
        assert any(ticks_of(figure)) is (touched or kind is Axes)
    assert pictures[0] == pictures[1] == pictures[2]


@pytest.mark.parametrize("side", ["top", "bottom", "both", "none"])
def test_ticks_on_any_side_look_as_those_of_matplotlib(side: str) -> None:
    pictures = []
    for kind in (Axes, PlainAxes):
        figure = Figure("ticks", figsize=(4, 3))
        axes = figure.add_subplot(axes_class=kind)
        axes.set_title("a title that stands above what is at the top")
        axes.plot([0, 2e6], [-1, 1])
        axes.xaxis.set_ticks_position(side)
        axes.yaxis.tick_right()
        assert axes.yaxis.get_ticks_position() == "right"
        named = {"both": "default", "none": "unknown"}
        assert axes.xaxis.get_ticks_position() == named.get(side, side)
        pictures.append(figure.png())
    assert pictures[0] == pictures[1]


def test_an_axis_that_is_hidden_draws_nothing() -> None:
    figure = Figure("ticks", figsize=(4, 3))
    axes = figure.add_subplot()
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.yaxis.set_visible(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert (np.asarray(canvas.buffer_rgba()) == 255).all()


def test_names_set_once_ticks_are_there_are_those_that_are_drawn() -> None:
    axes = Figure("ticks", figsize=(4, 3)).add_subplot()
    axes.set_xticks([0, 1, 2], ["a", "b", "c"])
    matplotlibs(axes)
    axes.set_xticks([0, 1], ["$", "$d"], parse_math=False)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["$", "$d"]
    assert not any(text.get_parse_math() for text in axes.get_xticklabels())


def test_a_changed_look_is_drawn() -> None:
    """The one tick that is moved about is made anew when ``tick_params`` or the names change."""
    figure = Figure("ticks", figsize=(4, 3))
    axes = figure.add_subplot()
    axes.set_xticks([0, 1], ["a", "b"])
    pictures = [figure.png()]
    axes.tick_params(labelcolor="red")
    pictures.append(figure.png())
    axes.set_xticks([0, 1], ["a", "b"], color="blue")
    pictures.append(figure.png())
    assert len(set(pictures)) == 3
    assert not any(ticks_of(figure))


def test_cleared_axes_look_as_those_of_matplotlib() -> None:
    pictures = []
    for kind in (Axes, PlainAxes):
        figure = Figure("ticks", figsize=(4, 3))
        axes = figure.add_subplot(axes_class=kind)
        axes.set_xticks([0, 1], ["a", "b"], ha="right")
        dress(axes, "ticks")
        before = figure.png()
        axes.clear()
        pictures.append(figure.png())
        assert before != pictures[-1]
    assert pictures[0] == pictures[1]


def test_ticks_need_as_many_names() -> None:
    axes = Figure("ticks", figsize=(4, 3)).add_subplot()
    with pytest.raises(ValueError, match="2 ticks, but 1 labels"):
        axes.set_xticks([0, 1], ["a"])
    with pytest.raises(ValueError, match="color"):
        axes.set_xticks([0, 1], color="red")
    axes.set_xticks([], [])
    assert [text.get_text() for text in axes.get_xticklabels()] == []


def test_plain_axes_have_no_minor_ticks() -> None:
    figure = Figure("ticks", figsize=(9, 4))
    axes = figure.add_subplot()
    assert isinstance(axes, PlainAxes)
    axes.set_yscale("log")
    axes.set_ylim(1e-3, 1e3)
    drawn(figure)
    assert [text.get_text() for text in axes.get_yticklabels(minor=True)] == []
    assert len(axes.get_yticks(minor=True)) > 20
