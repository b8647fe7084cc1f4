"""A metric over time, as checks for drift take it: of runs by their start, or of one's points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain, run_labels
from qualia_lab.analysis.times import DAY, seconds, stamp
from qualia_lab.analysis.values import DRAWABLE, ended
from qualia_lab.directions import Direction
from qualia_lab.errors import UsageError
from qualia_lab.model import RunSet

# Fewer points than this hold no change that could be told from noise.
FEWEST = 10
# A longer series is averaged in blocks: what is simulated below costs by its length.
MOST = 2000
_FEWEST_IN_A_PART = 3
_NEIGHBOURS = 9
_FAR = 5.0
_DEVIATIONS = 1.4826  # a normal deviation in units of the median absolute one


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How a series is judged: which part is the baseline, which is current, how often in vain.

    Attributes:
        baseline: the share of the points, the first ones, that later ones are held against.
        current: the share of the points, the last ones, that count as now.
        false_alarms: how often a check of this many points may raise an alarm though nothing
            changed.

    Raises:
        UsageError: a share that leaves no room for the other part, or a rate that is none.
    """

    baseline: float = 0.3
    current: float = 0.2
    false_alarms: float = 0.05

    def __post_init__(self) -> None:
        shares = (self.baseline, self.current)
        if not (all(0 < share < 1 for share in shares) and sum(shares) <= 1):
            raise UsageError(
                f"baseline {self.baseline:g} and current {self.current:g} are no parts of a series",
                hint="Give two shares above 0 that together are 1 at most, such as 0.3 and 0.2.",
            )
        if not 0.001 <= self.false_alarms <= 0.5:
            raise UsageError(
                f"false_alarms {self.false_alarms:g} is no rate of false alarms",
                hint="Give one from 0.001 to 0.5; 0.05 is one check of twenty.",
            )

    def first(self, points: int) -> int:
        """How many points the baseline has."""
        return min(points, max(_FEWEST_IN_A_PART, round(self.baseline * points)))

    def last(self, points: int) -> int:
        """How many points are current."""
        return min(points, max(_FEWEST_IN_A_PART, round(self.current * points)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """A metric over time, the oldest value first.

    Attributes:
        metric: its name.
        times: seconds since the epoch, never falling.
        values: finite, of less than 1e150.
        way: which end is better, None where that is not known.
        noun: what a value is of, in the plural: "runs" or "points".
        each: how many of these one value is the mean of.
        left_out: what is not in it, and how many.
    """

    metric: str
    times: np.ndarray
    values: np.ndarray
    way: Direction | None = None
    noun: str = "runs"
    each: int = 1
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def within(self) -> np.ndarray:
        """The values, those far from their neighbours set to the border of that.

        Far is more than five standard deviations from the running median of nine, the deviation
        being that of all values from it, by its median (Hampel's identifier): one run that went
        wrong would else hide every change of the level. Zeros and ones stay as they are.
        """
        from scipy.ndimage import median_filter

        if len(self) < FEWEST or np.isin(self.values, (0.0, 1.0)).all():
            return self.values
        middle = median_filter(self.values, size=_NEIGHBOURS, mode="mirror")
        far = _FAR * _DEVIATIONS * float(np.median(np.abs(self.values - middle)))
        return np.clip(self.values, middle - far, middle + far) if far > 0 else self.values

    @property
    def days(self) -> np.ndarray:
        """Days since the first value."""
        return np.asarray((self.times - self.times[:1]) / DAY)

    @property
    def worse(self) -> int:
        """The sign of a change for the worse; 0 where which end is better is not known."""
        return {"min": 1, "max": -1, None: 0}[self.way]

    @property
    def nouns(self) -> str:
        """What values are, in the plural."""
        return self.noun if self.each == 1 else f"means of {self.each:,} {self.noun}"

    @property
    def problem(self) -> str:
        """Why nothing can be said about a change; empty where something can."""
        name = plain(self.metric)
        if len(self) < FEWEST:
            return (
                f"{len(self):,} {self.noun} with a finite {name} and a time; a change over time "
                f"can't be told from noise in fewer than {FEWEST}."
            )
        # Rounding alone lets a mean differ from values that are all the same.
        if not np.ptp(self.values) > 1e-12 * np.abs(self.values).max():
            return f"{name} has one value throughout, in {len(self):,} {self.noun}."
        return ""

    @property
    def told(self) -> str:
        """What the series is made of and what is left out, on one line."""
        many = f"{len(self) * self.each if self.each > 1 else len(self):,} {self.noun}"
        parts = [f"about {many}, averaged by {self.each:,}" if self.each > 1 else many]
        if len(self):
            parts.append(f"{stamp(self.times[0])} to {stamp(self.times[-1])} UTC")
        same = len(self) - len(np.unique(self.times))
        parts += [f"{same:,} at the time of another"] if same else []
        far = int((self.within != self.values).sum())
        parts += [f"{far:,} far from their neighbours, counted as 5 deviations"] if far else []
        parts += [f"{count:,} {what}" for what, count in self.left_out.items() if count]
        return "; ".join(parts)


def watched(runs: RunSet, metric: str | None, of_run: str | None = None) -> Watched:
    """The last values of a metric by the start of their runs, or the points of one run by time.

    Of several runs count those that finished (all where none did), with a start of the years 1980
    to 2199 and a finite value. Where one run alone logged the metric, or ``of_run`` names one, it
    is the points that this run logged, by their timestamps. Values of one time stay in the order
    in which they come. Past 2,000 values each is the mean of a block of them.
    """
    name = metric or ""
    logged = (
        [str(one) for one in runs.logged.index[runs.logged[name]]]
        if name in runs.metric_names
        else []
    )
    if of_run is None and len(logged) == 1:
        of_run = logged[0]
    if of_run is not None and of_run in logged:
        return _of_points(runs, name, of_run)
    return _of_runs(runs, name, logged)


def _of_runs(runs: RunSet, metric: str, logged: list[str]) -> Watched:
    frame = runs.runs.loc[logged]
    finished = frame.index.isin(ended(runs, frame.index))
    values = (
        runs.metrics.loc[logged, metric].to_numpy(dtype="float64")
        if logged
        else np.empty(0, dtype="float64")
    )
    return _sorted(
        metric,
        runs,
        seconds(frame["started"]),
        values,
        {"not finished": ~finished},
        noun="runs",
    )


def _of_points(runs: RunSet, metric: str, run_id: str) -> Watched:
    points = runs.history(metric, run_ids=[run_id])
    label = run_labels(runs)[run_id]
    times, values = seconds(points["timestamp"]), points["value"].to_numpy(dtype="float64")
    return _sorted(metric, runs, times, values, {}, noun=f"points of {label}")


def _sorted(
    metric: str,
    runs: RunSet,
    times: np.ndarray,
    values: np.ndarray,
    dropped: Mapping[str, np.ndarray],
    *,
    noun: str,
) -> Watched:
    """The series, and how many values each reason took out; a value is counted once."""
    reasons = {
        **dropped,
        "without a time of the years 1980 to 2199": np.isnan(times),
        "not finite": ~(np.abs(values) < DRAWABLE),
    }
    kept = np.ones(len(values), dtype=bool)
    left_out = {}
    for what, out in reasons.items():
        left_out[what] = int((kept & out).sum())
        kept &= ~out
    if noun == "runs":
        left_out["did not log it"] = len(runs) - len(values)
    order = np.argsort(times[kept], kind="stable")
    found = Watched(
        metric=metric,
        times=times[kept][order],
        values=values[kept][order],
        way=runs.direction(metric),
        noun=noun,
        left_out=left_out,
    )
    return _in_blocks(found)


def _in_blocks(series: Watched) -> Watched:
    if len(series) <= MOST:
        return series
    each = -(-len(series) // MOST)
    whole = len(series) // each * each
    # The oldest values are those that an uneven rest is taken from.
    values, times = (one[len(series) - whole :] for one in (series.values, series.times))
    return replace(
        series,
        times=times.reshape(-1, each).mean(axis=1),
        values=values.reshape(-1, each).mean(axis=1),
        each=each,
        left_out={**series.left_out, "before the first whole block": len(series) - whole},
    )


def error_stream(
    frame: pd.DataFrame, label: str, prediction: str, time: str | None = None
) -> pd.Series[float]:
    """The errors of predictions in the order of ``time``, or of the rows.

    Numbers that are no labels (more than 20 different ones) give absolute errors, all else 0 for a
    prediction that equals its label and 1 for one that does not. Rows that lack one of the two are
    left out; ``attrs["left out"]`` counts them.

    Raises:
        UsageError: a column is not there.
    """
    from qualia_lab.errors import known_list

    for name in (label, prediction, *((time,) if time else ())):
        if name not in frame.columns:
            raise UsageError(
                f"no column {plain(name) or 'without a name'}",
                hint=known_list(name, [str(one) for one in frame.columns]),
            )
    if time:
        frame = frame.sort_values(time, kind="stable")
    truth, said = frame[label], frame[prediction]
    here = (truth.notna() & said.notna()).to_numpy(dtype=bool)
    truth, said = truth[here], said[here]
    if _are_quantities(truth) and _are_quantities(said):
        both = [one.to_numpy(dtype="float64") for one in (truth, said)]
        errors = np.abs(both[0] - both[1])
    else:
        errors = (truth.astype(str).to_numpy() != said.astype(str).to_numpy()).astype("float64")
    kept = np.abs(errors) < DRAWABLE
    found = pd.Series(errors[kept], name="error")
    found.attrs["left out"] = len(frame) - int(kept.sum())
    return found


def _are_quantities(values: pd.Series[float]) -> bool:
    kinds = pd.api.types
    is_number = kinds.is_numeric_dtype(values) and not kinds.is_bool_dtype(values)
    return bool(is_number and values.nunique() > 20)
