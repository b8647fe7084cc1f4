"""Metric histories as arrays along the axis of a chart: placed, smoothed, thinned."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import number
from qualia_lab.analysis.times import DAY, seconds
from qualia_lab.analysis.values import DRAWABLE
from qualia_lab.errors import UsageError, known_list
from qualia_lab.model import RunSet
from qualia_lab.text import visible

AXES = ("step", "time", "epoch")
EPOCH = "epoch"
MOST_SMOOTHING = 0.99
_UNITS = (("days", DAY), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one run in the order of the axis: places (floats), steps, values as logged."""

    x: np.ndarray
    step: np.ndarray
    value: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Histories along an axis.

    Attributes:
        series: metric -> run id -> its points that have a place.
        axis: what the axis is, with its unit.
        unit: the unit of time, empty on other axes.
        lost: how many points have no place on the axis.
        lost_runs: how many runs have none that has.
        merged: how many points gave way to a later one of the same epoch.
    """

    series: dict[str, dict[str, Series]]
    axis: str
    unit: str = ""
    lost: int = 0
    lost_runs: int = 0
    merged: int = 0

    def left_out(self) -> list[str]:
        """What a caption says about points that have no place on the axis."""
        merged = ["the last point of each epoch drawn"] if self.merged else []
        if not self.lost:
            return merged
        what = "an epoch" if self.axis == EPOCH else "a time since the run's start"
        noun = "point" if self.lost == 1 else "points"
        whole = f"{self.lost_runs:,} run{'' if self.lost_runs == 1 else 's'}"
        of_runs = f", among them all of {whole}" if self.lost_runs else ""
        return [f"{self.lost:,} {noun} without {what} left out{of_runs}", *merged]


def placed_at(read: Read, place: float) -> str:
    """A place on the axis, in words."""
    if read.axis == "step":
        return f"at step {round(place):,}"
    if read.axis == EPOCH:
        return f"at epoch {number(place)}"
    return f"after {place:.3g} {read.unit}"


def no_place(x: str) -> str:
    """What is said where no point has a place on this axis."""
    if x == EPOCH:
        return (
            "No point has an epoch, so there is no curve to draw by it. Log it with the metrics: "
            'mlflow.log_metrics({"val_loss": 0.31, "epoch": 1}, step=100)'
        )
    return "No run with a curve has a start time, so there is none to draw by time since the start."


def check_axis(x: str) -> None:
    """Raise ``UsageError`` for an axis that there is not."""
    if x not in AXES:
        raise UsageError(f"no axis {visible(str(x), 60)}", hint=known_list(str(x), AXES))


def check_smoothing(smoothing: float) -> None:
    """Raise ``UsageError`` for a weight that is not from 0 to 0.99."""
    if not 0 <= smoothing <= MOST_SMOOTHING:
        raise UsageError(
            f"smoothing {smoothing} is out of range", hint=f"It goes from 0 to {MOST_SMOOTHING}."
        )


def along(frames: Sequence[pd.DataFrame], runs: RunSet, x: str) -> Read:
    """Histories (frames of ``RunSet.history``) along an axis.

    By ``"step"``; by ``"time"`` since the run's start, in the largest unit of which the longest
    takes two; by ``"epoch"``, the value of a metric of that name at the same step (as Lightning
    logs it; the frames have to hold it), of several points the last. Points without a time or an
    epoch, and all of a run without a start, are left out and counted.
    """
    pieces = [piece for frame in frames for piece in _pieces(frame, timed=x == "time")]
    places = {"step": _by_step, "time": _by_time, EPOCH: _by_epoch}[x](pieces, runs)
    series: dict[str, dict[str, Series]] = {}
    lost, merged = 0, 0
    placed: set[str] = set()
    met: set[str] = set()
    for piece, place in zip(pieces, places, strict=True):
        if x == EPOCH and piece.metric == EPOCH:
            continue
        here = np.abs(place) < DRAWABLE
        lost += len(place) - int(here.sum())
        met.add(piece.run_id)
        if here.any():
            placed.add(piece.run_id)
            one = _ordered(place[here], piece.step[here], piece.value[here])
            if x == EPOCH:
                every, one = len(one.x), _last_of_each(one)
                merged += every - len(one.x)
            series.setdefault(piece.metric, {})[piece.run_id] = one
    lost_runs = len(met - placed)
    read = Read(series=series, axis=x, lost=lost, lost_runs=lost_runs, merged=merged)
    return _in_unit(read) if x == "time" else read


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """The exponential moving average of the finite values, corrected for its start.

    As TensorBoard's (``classicSmoothing`` in its ``line_chart_v2/data_transformer.ts``): each
    average is ``weight`` times the one before plus ``1 - weight`` times the value, divided by
    ``1 - weight ** n`` after n finite values; what is not finite stays as it is and does not
    count.
    """
    out = values.astype("float64")
    here = np.isfinite(out)
    finite = out[here]
    if weight == 0 or not len(finite) or finite.min() == finite.max():
        return out
    parts = ((1 - weight) * finite).tolist()
    sums = np.fromiter(
        itertools.accumulate(parts, lambda before, part: weight * before + part), float, len(parts)
    )
    out[here] = sums / (1 - weight ** np.arange(1, len(parts) + 1))
    return out


def thin(values: np.ndarray, most: int) -> np.ndarray:
    """Indices of at most ``most`` points that keep what a curve shows.

    Each of ``most // 4`` equal stretches keeps its first, last, lowest and highest point, so that
    no peak is lost. Everything is kept where there are no more than ``most``.
    """
    size = len(values)
    if size <= most:
        return np.arange(size)
    width = -(-size // (most // 4))
    starts = np.arange(0, size, width)
    padded = np.full(len(starts) * width, np.nan)
    padded[:size] = np.where(np.isfinite(values), values, np.nan)
    rows = padded.reshape(-1, width)
    gap = np.isnan(rows)
    lowest = starts + np.where(gap, np.inf, rows).argmin(axis=1)
    highest = starts + np.where(gap, -np.inf, rows).argmax(axis=1)
    ends = np.minimum(starts + width, size) - 1
    return np.unique(np.concatenate([starts, lowest, highest, ends]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """The rows of one metric of one run, sorted by step; times in seconds since 1970."""

    metric: str
    run_id: str
    step: np.ndarray
    value: np.ndarray
    time: np.ndarray


def _pieces(frame: pd.DataFrame, *, timed: bool) -> Iterator[_Piece]:
    """A frame comes sorted by run and metric, so that its pieces lie one after another."""
    if frame.empty:
        return
    run, run_ids = pd.factorize(frame["run_id"])
    metric, metrics = pd.factorize(frame["metric"])
    run_names, metric_names = [str(one) for one in run_ids], [str(one) for one in metrics]
    changes = (np.diff(run) != 0) | (np.diff(metric) != 0)
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(frame)]
    step, value = frame["step"].to_numpy(), frame["value"].to_numpy(dtype="float64")
    time = seconds(frame["timestamp"]) if timed else step
    for start, end in itertools.pairwise(bounds):
        yield _Piece(
            metric=metric_names[metric[start]],
            run_id=run_names[run[start]],
            step=step[start:end],
            value=value[start:end],
            time=time[start:end],
        )


def _by_step(pieces: Sequence[_Piece], runs: RunSet) -> Iterator[np.ndarray]:
    return (piece.step.astype("float64") for piece in pieces)


def _by_time(pieces: Sequence[_Piece], runs: RunSet) -> Iterator[np.ndarray]:
    starts = dict(zip(runs.runs.index, seconds(runs.runs["started"]), strict=True))
    return (piece.time - starts[piece.run_id] for piece in pieces)


def _by_epoch(pieces: Sequence[_Piece], runs: RunSet) -> Iterator[np.ndarray]:
    epochs = {piece.run_id: piece for piece in pieces if piece.metric == EPOCH}
    for piece in pieces:
        known = epochs.get(piece.run_id)
        if known is None:
            yield np.full(len(piece.step), np.nan)
            continue
        at = np.searchsorted(known.step, piece.step, side="right") - 1
        yield np.where(known.step[at] == piece.step, known.value[at], np.nan)


def _ordered(x: np.ndarray, step: np.ndarray, value: np.ndarray) -> Series:
    if (np.diff(x) < 0).any():
        order = np.argsort(x, kind="stable")
        x, step, value = x[order], step[order], value[order]
    return Series(x=x, step=step, value=value)


def _last_of_each(one: Series) -> Series:
    """One point a place."""
    last = np.append(one.x[1:] != one.x[:-1], True)
    return Series(x=one.x[last], step=one.step[last], value=one.value[last])


def _in_unit(read: Read) -> Read:
    """Seconds as the unit that suits the longest run."""
    every = [one for of_metric in read.series.values() for one in of_metric.values()]
    longest = max((float(np.abs(one.x).max()) for one in every), default=0.0)
    unit, size = next(
        ((unit, size) for unit, size in _UNITS if longest >= 2 * size), ("seconds", 1.0)
    )
    series = {
        metric: {run: replace(one, x=one.x / size) for run, one in of_metric.items()}
        for metric, of_metric in read.series.items()
    }
    return replace(read, series=series, axis=f"{unit} since the run's start", unit=unit)
