"""Times as places on an axis: which can be drawn, and how idle gaps are kept short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import how_long, when

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DAY = 86_400.0
# A time outside of these years is a clock that was not set or a mistake; one such time would press
# all others on a chart into one spot.
_FIRST = pd.Timestamp("1980-01-01", tz="UTC").timestamp()
_LAST = pd.Timestamp("2200-01-01", tz="UTC").timestamp()


def seconds(times: pd.Series[pd.Timestamp]) -> np.ndarray:
    """Seconds since the epoch; NaN for a time that is missing or not of the years 1980 to 2199."""
    # In whole ms, as they are stored: in nanoseconds, years past 2262 do not fit.
    whole = times.to_numpy(dtype="datetime64[ms]")
    found = np.where(np.isnat(whole), np.nan, whole.astype("int64") / 1000)
    return np.where((found >= _FIRST) & (found < _LAST), found, np.nan)


def stamp(second: float) -> str:
    """Seconds since the epoch as a time to the second, in UTC; empty for NaN."""
    return when(pd.Timestamp(second, unit="s", tz="UTC")) if second == second else ""


def lasting(length: float) -> str:
    """Seconds as ``labels.how_long`` writes a duration; empty for NaN."""
    # In ms, since nanoseconds can't hold three hundred years.
    return (
        how_long(pd.Timedelta(np.timedelta64(round(length * 1000), "ms")))
        if length == length
        else ""
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Squeeze:
    """An axis of time on which long gaps are short: times ``knots`` lie at ``places``, in seconds.

    ``resumed`` are the times at which a gap that was cut short ends; ``shortest`` is the length of
    the shortest such gap, in seconds, NaN where there is none.
    """

    knots: np.ndarray
    places: np.ndarray
    resumed: np.ndarray
    shortest: float

    def place(self, times: np.ndarray) -> np.ndarray:
        """Where times lie."""
        return np.asarray(np.interp(times, self.knots, self.places))


def squeeze(starts: np.ndarray, ends: np.ndarray) -> Squeeze:
    """The axis for spans of time, which cuts gaps between them when there is more gap than span.

    All gaps are then cut at one length, so that together they are as long as the spans.

    Args:
        starts: seconds, finite, at least one.
        ends: none before its start.
    """
    order = np.argsort(starts, kind="stable")
    begin, until = starts[order], np.maximum.accumulate(ends[order])
    fresh = np.concatenate([[True], begin[1:] > until[:-1]])
    first, last = begin[fresh], until[np.concatenate([fresh[1:], [True]])]
    gaps, spans = first[1:] - last[:-1], last - first
    most = _level(gaps, spans.sum()) if gaps.sum() > spans.sum() > 0 else np.inf
    lengths = np.empty(2 * len(spans) - 1)
    lengths[::2], lengths[1::2] = spans, np.minimum(gaps, most)
    knots = np.column_stack([first, last]).ravel()
    cut = gaps > most
    return Squeeze(
        knots=knots,
        places=np.concatenate([[0.0], np.cumsum(lengths)]),
        resumed=first[1:][cut],
        shortest=float(gaps[cut].min()) if cut.any() else float("nan"),
    )


def _level(lengths: np.ndarray, total: float) -> float:
    """Where to cut lengths off so that what is left of them adds up to ``total``."""
    rising = np.sort(lengths)
    before = np.concatenate([[0.0], np.cumsum(rising)[:-1]])
    levels = (total - before) / np.arange(len(rising), 0, -1)
    return float(levels[np.flatnonzero(levels <= rising)[0]])


def date_axis(axes: Axes, low: float, high: float, told: str = "") -> None:
    """Show days since the epoch on the x axis as dates, from ``low`` to ``high``, in UTC.

    ``told`` is what else the axis's label says.
    """
    from matplotlib import dates

    pad = 0.02 * (high - low) if high > low else 30 / DAY
    locator = dates.AutoDateLocator(tz="UTC", minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz="UTC"))
    axes.set_xlim(low - pad, high + pad)
    axes.set_xlabel("; ".join(filter(None, ["UTC", told])), fontsize=8, parse_math=False)
    axes.xaxis.get_offset_text().set_fontsize(8)


def short(text: str, most: int) -> str:
    """``text`` cut to ``most`` characters, which shows."""
    return text if len(text) <= most else text[: most - 1] + "…"
