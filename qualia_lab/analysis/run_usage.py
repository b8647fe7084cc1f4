"""Runs that logged tokens or a cost themselves, as metrics: without traces, the only word of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qualia_lab.model import RunSet
from qualia_lab.usage import COSTS, INPUTS, MODELS, OUTPUTS, PROVIDERS

RECORDED_RUN = "recorded for the run"


def calls_of_runs(runs: RunSet, traces: pd.DataFrame) -> pd.DataFrame:
    """A call for each run that logged tokens or a cost and has no traces.

    Returns:
        Rows as ``calls.spending`` joins them; ``trace_id`` is the run's id.
    """
    traced = set(traces["run_id"].dropna())
    here = [run_id for run_id in runs.runs.index if run_id not in traced]
    metrics, about = runs.metrics.loc[here], runs.runs.loc[here]
    cost, inputs, outputs = (_first(metrics, names) for names in (COSTS, INPUTS, OUTPUTS))
    told = cost.notna() | inputs.notna() | outputs.notna()
    index = told.index[told]
    params = runs.params.loc[index]
    return pd.DataFrame(
        {
            "trace_id": index,
            "span_id": "",
            "model": _text(params, MODELS),
            "provider": _text(params, PROVIDERS),
            "started": about.loc[index, "started"].astype("datetime64[ns, UTC]").array,
            "duration": about.loc[index, "duration"].astype("timedelta64[ns]").array,
            "status": about.loc[index, "status"].array,
            "stage": about.loc[index, "name"].array,
            "inputs": pd.Series(pd.NA, index=index, dtype="str").array,
            "recorded": cost[index].array,
            "input_tokens": inputs[index].array,
            "output_tokens": outputs[index].array,
            **dict.fromkeys(
                ("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens"), np.nan
            ),
            "kind": RECORDED_RUN,
        }
    )


def _first(metrics: pd.DataFrame, names: tuple[str, ...]) -> pd.Series[float]:
    """The first of these metrics that each run logged, where it is a count or an amount."""
    found = pd.Series(np.nan, index=metrics.index)
    for name in names:
        if name in metrics.columns:
            values = metrics[name].where(np.isfinite(metrics[name]) & (metrics[name] >= 0))
            found = found.fillna(values)
    return found


def _text(params: pd.DataFrame, names: tuple[str, ...]) -> pd.api.extensions.ExtensionArray:
    found = pd.Series(pd.NA, index=params.index, dtype="str")
    for name in names:
        if name in params.columns:
            found = found.fillna(params[name].astype("str"))
    text: pd.api.extensions.ExtensionArray = found.array
    return text
