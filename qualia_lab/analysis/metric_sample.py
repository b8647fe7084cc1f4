"""Runs as a sample: a row a run, its metrics and params as columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain
from qualia_lab.analysis.samples import Sample, Samples
from qualia_lab.analysis.times import seconds, stamp
from qualia_lab.directions import is_system
from qualia_lab.model import FEWEST_TO_SPLIT, RunSet
from qualia_lab.seeds import is_seed
from qualia_lab.table_files import numbers


def earlier_and_later(runs: RunSet) -> Samples | None:
    """The earlier half of the runs that logged a metric against the later half, by start.

    None where less than ten have both.
    """
    started = seconds(runs.runs["started"])
    measured = runs.logged[_metrics(runs)].any(axis=1).to_numpy(dtype=bool)
    usable = measured & np.isfinite(started)
    if usable.sum() < FEWEST_TO_SPLIT:
        return None
    order = np.argsort(started, kind="stable")
    order = order[usable[order]]
    half = len(order) // 2
    ids = [str(runs.runs.index[one]) for one in order]
    middle = f"{stamp(float(started[order[half]]))[:16]} UTC"
    first = of_runs(runs, ids[:half], f"the runs before {middle}", params=False)
    second = of_runs(runs, ids[half:], f"the runs since {middle}", params=False)
    told = (
        ("Reference", f"{first.name}."),
        ("Current", f"{second.name}."),
        (
            "Chosen",
            "no two tables were found, so the earlier half of the runs that logged a metric is set "
            "against the later half. A row is a run, a column the last value of a metric.",
        ),
    )
    return Samples(reference=first, current=second, told=told, of="runs", by_time=True)


def of_runs(runs: RunSet, run_ids: Sequence[str], name: str, *, params: bool = True) -> Sample:
    """Some runs as a table: last values of metrics and params, without seeds and system metrics.

    Params are set by somebody. Where nobody asked for these runs, a change of them is no drift.
    """
    metrics = runs.metrics.loc[list(run_ids), _metrics(runs)].add_prefix("metric ")
    set_ones = runs.params.loc[list(run_ids)]
    set_ones = set_ones[[one for one in set_ones.columns if params and not is_seed(str(one))]]
    columns = {
        f"param {key}": numbers([one if isinstance(one, str) else "" for one in set_ones[key]])
        for key in set_ones.columns
    }
    # All params at once: one after the other would copy the frame each time.
    table = pd.concat([metrics, pd.DataFrame(columns, index=metrics.index, dtype=None)], axis=1)
    shown = plain(name, 80)
    return Sample(
        name=f"{shown}: {len(run_ids):,} runs", short=shown[:36], frame=table,
        started=float(np.nanmin(seconds(runs.runs.loc[list(run_ids), "started"]), initial=np.inf)),
    )  # fmt: skip


def _metrics(runs: RunSet) -> list[str]:
    return [name for name in runs.metric_names if not is_system(name)]
