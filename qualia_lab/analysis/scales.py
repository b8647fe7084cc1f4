"""Where values stand on an axis, whatever they are, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qualia_lab.analysis.labels import number, rough
from qualia_lab.analysis.space import FEW, Param

_DECADES = 1000
_CLOSE = 0.05
_FAR = 5
_TIMES = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """Where values stand on an axis from 0 to 1, and what is written there.

    ``places`` is NaN where there is no value; ``kind`` says how distances are to be read.
    """

    places: np.ndarray
    ticks: tuple[tuple[float, str], ...]
    kind: Literal["linear", "log", "even"]


def param_scale(param: Param, most: int = FEW) -> Scale:
    """The axis of a param. Categories past the ``most`` most frequent share the last place."""
    if param.numbers is not None:
        return number_scale(param.numbers)
    known, labels = param.count, list(param.labels)
    if known > most:
        labels = [*labels[: most - 1], f"{known - most + 1:,} others"]
    places = np.minimum(param.codes, len(labels) - 1) / max(1, len(labels) - 1)
    ticks = [(place / max(1, len(labels) - 1), label) for place, label in enumerate(labels)]
    if len(labels) == 1:
        places, ticks = np.full(len(places), 0.5), [(0.5, labels[0])]
    return Scale(places=np.where(param.codes < 0, np.nan, places), ticks=tuple(ticks), kind="even")


def number_scale(values: np.ndarray) -> Scale:
    """The axis of some numbers, NaN for none: logarithmic where that fits (see ``fits_log``).

    Up to eight numbers that would crowd on either are set at even distances.
    """
    distinct = np.unique(values[np.isfinite(values)])
    if len(distinct) == 1:
        places = np.where(np.isfinite(values), 0.5, np.nan)
        return Scale(places=places, ticks=((0.5, number(distinct[0])),), kind="even")
    log = fits_log(distinct)
    shown = _spread(distinct, log)
    few = len(distinct) <= FEW
    if few and np.diff(shown).min() < _CLOSE:
        places = np.searchsorted(distinct, values) / (len(distinct) - 1)
        ticks = [(n / (len(distinct) - 1), number(one)) for n, one in enumerate(distinct)]
        kind: Literal["linear", "log", "even"] = "even"
    else:
        places = np.interp(values, distinct, shown)
        marks = distinct if few else _marks(distinct, log)
        write = number if few else rough
        ticks = apart([(_place(one, distinct, log), write(one)) for one in marks])
        kind = "log" if log else "linear"
    return Scale(
        places=np.where(np.isfinite(values), places, np.nan), ticks=tuple(ticks), kind=kind
    )


def fits_log(values: np.ndarray) -> bool:
    """Whether numbers are better spread on a logarithmic axis.

    They are positive, the largest is eight times the smallest or more, and the middle one of them
    lies nearer to the middle of that axis than of a linear one (1, 2, 4, ... 64).
    """
    distinct = np.unique(values[np.isfinite(values)])
    if len(distinct) < 2 or distinct[0] <= 0 or distinct[-1] < _TIMES * distinct[0]:
        return False
    if len(distinct) == 2:
        return spans_decades(distinct)
    log, linear = (abs(float(np.median(_spread(distinct, one))) - 0.5) for one in (True, False))
    return log < linear


def spans_decades(values: np.ndarray) -> bool:
    """Whether numbers are positive and span more than three decades."""
    low, high = float(values.min()), float(values.max())
    return low > 0 and math.log10(high) - math.log10(low) > math.log10(_DECADES)


def window(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis on which most numbers can be told apart.

    Where a few lie far off, that is five times as far from the quartiles as these lie from each
    other, and a logarithmic axis does not help, the axis ends where the others do.
    """
    low, high = float(values.min()), float(values.max())
    if spans_decades(values):
        return low, high
    first, last = np.percentile(values, [25, 75])
    reach = _FAR * (last - first)
    near = values[(values >= first - reach) & (values <= last + reach)]
    return (float(near.min()), float(near.max())) if reach > 0 else (low, high)


def cut(text: str, most: int) -> str:
    """A text that is already on one line, at most so long."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _spread(distinct: np.ndarray, log: bool) -> np.ndarray:
    """Sorted numbers as places from 0 to 1."""
    shown = np.log10(distinct) if log else distinct
    return (shown - shown[0]) / (shown[-1] - shown[0])  # type: ignore[no-any-return]


def _place(value: float, distinct: np.ndarray, log: bool) -> float:
    low, high = float(distinct[0]), float(distinct[-1])
    if log:
        value, low, high = math.log10(value), math.log10(low), math.log10(high)
    return (value - low) / (high - low)


def _marks(distinct: np.ndarray, log: bool) -> list[float]:
    """Both ends, and round numbers between."""
    from matplotlib.ticker import MaxNLocator

    low, high = float(distinct[0]), float(distinct[-1])
    if log:
        first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
        step = max(1, math.ceil((last - first + 1) / 5))
        between = [10.0**one for one in range(first, last + 1, step)]
    else:
        between = [float(one) for one in MaxNLocator(nbins=4).tick_values(low, high)]
    return [low, *(one for one in between if low < one < high), high]


def apart(ticks: Sequence[tuple[float, str]], least: float = 0.08) -> list[tuple[float, str]]:
    """The ticks that do not stand on another: both ends, and from below what has room."""
    if len(ticks) < 3:
        return list(ticks)
    kept = [ticks[0]]
    for tick in ticks[1:-1]:
        if tick[0] - kept[-1][0] >= least and ticks[-1][0] - tick[0] >= least:
            kept.append(tick)
    return [*kept, ticks[-1]]
