"""Axes that make no tick which nobody sees: ticks are most of what a small chart costs."""

from __future__ import annotations

from typing import ClassVar

from matplotlib.axes import Axes
from matplotlib.axis import Tick, XAxis, YAxis


class _Plain:
    """An axis without minor ticks, whose ticks all look as ``tick_params`` says.

    matplotlib keeps a minor tick for each axis, though nothing shows any, and copies the look of
    the first tick, marker by marker, to each further one, though all but the clipping is alike.
    """

    minorTicks: ClassVar[list[Tick]] = []  # noqa: N815

    def get_minor_ticks(self, numticks: int | None = None) -> list[Tick]:
        return []

    def _copy_tick_props(self, src: Tick, dest: Tick) -> None:
        dest.gridline.set_clip_box(src.gridline.get_clip_box())


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
