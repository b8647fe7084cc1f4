"""One look for one run in every chart of a notebook."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qualia_lab.analysis.show import COLOURS, GREY, LINE_STYLES
from qualia_lab.analysis.values import best_first

if TYPE_CHECKING:
    from qualia_lab.model import RunSet

MOST_NAMED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a run is drawn: a colour, and a kind of line that tells runs of one colour apart."""

    colour: str
    line: str = "-"

    @property
    def keywords(self) -> dict[str, Any]:
        """As matplotlib's ``plot`` takes it."""
        return {"color": self.colour, "linestyle": self.line}


OTHERS = Style(colour=GREY)


def run_styles(runs: RunSet, metric: str | None = None) -> dict[str, Style]:
    """The looks of the runs that have a name and a colour of their own; all others are ``OTHERS``.

    Up to 12 runs all have one, given in their order. Of more, the 12 best by ``metric`` do (the
    first 12 where it is None or which end is better is not known), so that a run looks the same
    in every chart of a notebook.
    """
    order = [str(run_id) for run_id in runs.runs.index]
    if len(order) > MOST_NAMED and metric is not None and runs.direction(metric):
        best = [str(run_id) for run_id in best_first(runs, metric).index]
        ahead = set(best)
        order = best + [run_id for run_id in order if run_id not in ahead]
    return {run_id: _style(place) for place, run_id in enumerate(order[:MOST_NAMED])}


def styles_of(runs: RunSet, metric: str | None, drawn: Collection[str]) -> dict[str, Style]:
    """``run_styles`` for a chart that draws these runs alone.

    Where it draws 12 at most, none has to be grey: those without a look of their own get one that
    no other of them has.
    """
    styles = run_styles(runs, metric)
    if len(drawn) > MOST_NAMED:
        return styles
    mine = {run_id: style for run_id, style in styles.items() if run_id in drawn}
    free = (style for place in range(MOST_NAMED) if (style := _style(place)) not in mine.values())
    rest = (str(run_id) for run_id in runs.runs.index if run_id in drawn and run_id not in mine)
    return {**mine, **dict(zip(rest, free, strict=False))}


def _style(place: int) -> Style:
    return Style(
        colour=COLOURS[place % len(COLOURS)],
        line=LINE_STYLES[place // len(COLOURS) % len(LINE_STYLES)],
    )
