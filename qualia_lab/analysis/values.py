"""The last values of a metric, and which are better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qualia_lab.errors import TooFewRunsError

# Beyond this, sums of squares and matplotlib's own sums for axis limits overflow.
DRAWABLE = 1e150

if TYPE_CHECKING:
    from qualia_lab.model import RunSet


def last_values(runs: RunSet, metric: str) -> pd.Series[float]:
    """The last values of a metric that are finite, by run id, in the order of ``runs``."""
    if metric not in runs.metric_names:
        return pd.Series(dtype="float64", index=runs.runs.index[:0], name=metric)
    values: pd.Series[float] = runs.metrics[metric]
    return values[np.isfinite(values)]


def settled(runs: RunSet, metric: str) -> pd.Series[float]:
    """``last_values`` of the finished runs: those that a setting can be judged by.

    What a failed, killed or running run logged last is where it happened to stop. Where no run
    finished, all count: then nobody ends runs here. Values past 1e150, whose squares no float
    holds, do not count.
    """
    values = last_values(runs, metric)
    values = values[values.abs() < DRAWABLE]
    return values[values.index.isin(ended(runs, values.index))]


def ended(runs: RunSet, run_ids: pd.Index[Any]) -> pd.Index[Any]:
    """Those of some runs that finished; all where none did."""
    finished = run_ids[(runs.runs["status"].reindex(run_ids) == "FINISHED").to_numpy()]
    return finished if len(finished) else run_ids


def best_first(runs: RunSet, metric: str) -> pd.Series[float]:
    """``last_values`` with the best first; in the order of ``runs`` where better is not known.

    Runs of one value keep their order.
    """
    values = last_values(runs, metric)
    way = runs.direction(metric)
    return values if way is None else values.sort_values(ascending=way == "min", kind="stable")


def best_order(runs: RunSet, metric: str | None) -> list[str]:
    """All run ids, the best by the metric first and those without it last."""
    best = [] if metric is None else [str(one) for one in best_first(runs, metric).index]
    ahead = set(best)
    return best + [str(one) for one in runs.runs.index if one not in ahead]


def require_two(runs: RunSet) -> None:
    """Raise ``TooFewRunsError`` where there is nothing to compare."""
    if len(runs) < 2:
        raise TooFewRunsError(f"a comparison needs two runs; {len(runs)} loaded")
