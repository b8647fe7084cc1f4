"""Axes whose ticks are drawn without being made: they are most of what a small chart costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from matplotlib.artist import allow_rasterization
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Tick, XAxis, YAxis
from matplotlib.ticker import FixedFormatter
from matplotlib.transforms import Bbox

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase
    from matplotlib.text import Text
    from matplotlib.ticker import Formatter

    class _Axis(Axis):
        """What matplotlib's axes have and its types leave out."""

        axis_name: str
        _major_tick_kw: dict[str, Any]
        _get_tick: Callable[[bool], Tick]
        _update_label_position: Callable[[RendererBase], None]
        _update_offset_text_position: Callable[[list[Bbox], list[Bbox]], None]

        def get_major_formatter(self) -> Formatter: ...
else:
    _Axis = object

# Of a tick: its mark and label at the bottom or left, and those on the other side.
_PARTS = ("tick1On", "label1On", "tick2On", "label2On")
# How matplotlib calls where ticks are, by which parts they have.
_SIDES: dict[tuple[bool, ...], int | str] = {
    (True, True, False, False): 1,
    (False, False, True, True): 2,
    (True, True, True, False): "default",
}
# How far beyond the end of an axis a tick still is at its end, as a share of the axis.
_AT_END = 1e-10


class _Names(FixedFormatter):
    """Labels of ticks at places of their own, and what is set on each."""

    def __init__(self, names: Sequence[str], look: Mapping[str, Any]) -> None:
        super().__init__(names)
        self.look = look


class _Untouched:
    """The ticks of an axis before anybody asked for one; matplotlib makes one to begin with."""

    def __get__(self, axis: Axis, kind: type[Axis] | None = None) -> list[Tick]:
        axis.majorTicks = []
        return axis.majorTicks


class _Plain(_Axis):
    """An axis without minor ticks, which has one tick and moves it from place to place.

    matplotlib makes a tick for each place: three lines and two texts, half of which are never seen,
    which takes a millisecond to make and draw. Here lines of one kind are drawn at once. Where
    somebody asks for the ticks (``get_xticklabels``), or they stand on the other side of the axes
    too, matplotlib makes and draws them, and they look the same.
    """

    majorTicks = _Untouched()  # noqa: N815
    minorTicks: ClassVar[list[Tick]] = []  # type: ignore[misc]  # noqa: N815
    _moved: tuple[object, Tick] | None = None
    _makes_ticks = True

    def set_ticks(
        self, ticks: Any, labels: Any = None, *, minor: bool = False, **look: Any
    ) -> list[Tick]:
        """As matplotlib's, which makes these ticks and gives them; here there are none yet.

        ``look`` is for what ``tick_params`` does not say. It stays, whatever is said there later.
        """
        if minor or self.majorTicks:
            return super().set_ticks(ticks, labels, minor=minor, **look)
        self._makes_ticks = False
        try:
            super().set_ticks(ticks, **({} if labels is not None else look))
        finally:
            self._makes_ticks = True
        if labels is not None:
            if len(labels) != len(ticks):
                raise ValueError(f"{len(ticks):,} ticks, but {len(labels):,} labels")
            self.set_major_formatter(_Names(labels, look))
        return []

    def set_tick_params(self, *args: Any, **keywords: Any) -> None:
        self._moved = None
        super().set_tick_params(*args, **keywords)

    def get_major_ticks(self, numticks: int | None = None) -> list[Tick]:
        return super().get_major_ticks(numticks) if self._makes_ticks else []

    def get_minor_ticks(self, numticks: int | None = None) -> list[Tick]:
        return []

    def get_tightbbox(
        self, renderer: RendererBase | None = None, *, for_layout_only: bool = False
    ) -> Bbox | None:
        if renderer is None or self.label.get_visible() or not self._draws_itself():
            return super().get_tightbbox(renderer, for_layout_only=for_layout_only)
        boxes = [label.get_window_extent(renderer) for label in self._labels()]
        self._set_factor(boxes)
        if self.offsetText.get_visible() and self.offsetText.get_text():
            boxes.append(self.offsetText.get_window_extent(renderer))
        return Bbox.union(boxes) if boxes else None

    @allow_rasterization  # type: ignore[untyped-decorator]
    def draw(self, renderer: RendererBase) -> None:
        if not self._draws_itself():
            super().draw(renderer)
            return
        renderer.open_group(__name__, gid=self.get_gid())
        self._draw_lines(renderer)
        boxes = []
        for label in self._labels():
            label.draw(renderer)
            if self.get_major_formatter().get_offset():  # which stands below them
                boxes.append(label.get_window_extent(renderer))
        self._update_label_position(renderer)
        self.label.draw(renderer)
        self._set_factor(boxes)
        self.offsetText.draw(renderer)
        renderer.close_group(__name__)
        self.stale = False

    def _draws_itself(self) -> bool:
        seen_beyond = any(map(self._major_tick_kw.get, _PARTS[2:]))
        return self.get_visible() and not self.majorTicks and not seen_beyond

    def _get_ticks_position(self) -> Any:
        """As matplotlib's, which looks at the first ticks."""
        shown = tuple(bool(self._major_tick_kw.get(part)) for part in _PARTS)
        return _SIDES.get(shown, "unknown")

    def _get_tick(self, major: bool) -> Tick:
        tick = super()._get_tick(major)
        tick.set_clip_path(self.axes.patch)
        formatter = self.get_major_formatter()
        if isinstance(formatter, _Names):
            for label in (tick.label1, tick.label2):
                label.set(**formatter.look)
        return tick

    def _copy_tick_props(self, src: Tick, dest: Tick) -> None:
        """Nothing: all look as ``tick_params`` says, which each is made with."""

    def _tick(self) -> Tick:
        formatter = self.get_major_formatter()
        if self._moved is None or self._moved[0] is not formatter:
            self._moved = (formatter, self._get_tick(major=True))
        return self._moved[1]

    def _places(self) -> tuple[np.ndarray, list[str]]:
        """Where ticks are, in data, and what they say."""
        places = np.asarray(self.get_majorticklocs(), dtype=float)
        names = self.get_major_formatter().format_ticks(list(places))
        scale = self.get_transform()
        low, high = sorted(scale.transform(self.get_view_interval()))
        at, beyond = scale.transform(places), _AT_END * (high - low)
        inside = (at >= low - beyond) & (at <= high + beyond)
        return places[inside], [name for name, seen in zip(names, inside, strict=True) if seen]

    def _labels(self) -> Iterator[Text]:
        """The label of each tick, which is one and the same, moved on."""
        tick = self._tick()
        if not tick.label1.get_visible():
            return
        for place, name in zip(*self._places(), strict=True):
            tick.update_position(place)
            tick.label1.set_text(name)
            yield tick.label1

    def _draw_lines(self, renderer: RendererBase) -> None:
        places, _ = self._places()
        tick, x = self._tick(), self.axis_name == "x"
        along, across = np.repeat(places, 3), np.tile([0.0, 1.0, np.nan], len(places))
        tick.gridline.set_data(*(along, across) if x else (across, along))
        edge = np.zeros(len(places))
        tick.tick1line.set_data(*(places, edge) if x else (edge, places))
        tick.gridline.draw(renderer)
        tick.tick1line.draw(renderer)

    def _set_factor(self, labels: list[Bbox]) -> None:
        """What all numbers of the axis are to be multiplied by ("1e6"), beyond the labels."""
        self._update_offset_text_position(labels, [])
        self.offsetText.set_text(self.get_major_formatter().get_offset())


class _PlainX(_Plain, XAxis):
    pass


class _PlainY(_Plain, YAxis):
    pass


class PlainAxes(Axes):
    """Axes for charts of this package; ``_init_axis`` is where matplotlib's own examples, such as
    the one of a skew-T diagram, give axes another kind of axis."""

    def _init_axis(self) -> None:
        self.xaxis = _PlainX(self, clear=False)
        self.yaxis = _PlainY(self, clear=False)
        for side in ("bottom", "top"):
            self.spines[side].register_axis(self.xaxis)
        for side in ("left", "right"):
            self.spines[side].register_axis(self.yaxis)
