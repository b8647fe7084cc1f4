"""The last values of a metric, and which are better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from qualia_lab.model import RunSet


def last_values(runs: RunSet, metric: str) -> pd.Series[float]:
    """The last values of a metric that are finite, by run id, in the order of ``runs``."""
    if metric not in runs.metric_names:
        return pd.Series(dtype="float64", index=runs.runs.index[:0], name=metric)
    values: pd.Series[float] = runs.metrics[metric]
    return values[np.isfinite(values)]


def best_first(runs: RunSet, metric: str) -> pd.Series[float]:
    """``last_values`` with the best first; in the order of ``runs`` where better is not known.

    Runs of one value keep their order.
    """
    values = last_values(runs, metric)
    way = runs.direction(metric)
    return values if way is None else values.sort_values(ascending=way == "min", kind="stable")
