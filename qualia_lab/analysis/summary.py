"""All runs at a glance."""

from __future__ import annotations

import pandas as pd

from qualia_lab.analysis.labels import how_long, plain, run_labels, when
from qualia_lab.errors import QualiaError
from qualia_lab.model import RunSet

# Listing artifacts is a request a run; beyond this it is left to the run's own section.
_MOST_LISTED = 50


def overview(runs: RunSet, metric: str | None = None) -> pd.DataFrame:
    """A row a run: status, start, duration, parent, how much it logged, and one metric.

    Args:
        runs: the runs, kept in their order.
        metric: a metric whose last value is shown as the last column.

    Returns:
        Indexed by the run's label; ``<NA>`` where a run did not log the metric. ``artifacts``
        counts files; it is missing where they could not be listed, and left out beyond 50 runs,
        where listing them would take a request each.
    """
    labels = run_labels(runs)
    frame = runs.runs
    table = pd.DataFrame(
        {
            "status": frame["status"],
            "started (UTC)": [when(time) for time in frame["started"]],
            "duration": [how_long(time) for time in frame["duration"]],
            "parent": [labels.get(one, plain(one)) for one in frame["parent"]],
            "params": runs.params.notna().sum(axis=1).astype("int64"),
            "metrics": runs.logged.sum(axis=1).astype("int64"),
        },
        index=frame.index,
    )
    if len(runs) <= _MOST_LISTED:
        table["artifacts"] = pd.array([_files(runs, run) for run in frame.index], dtype="Int64")
    if metric is not None and metric in runs.metric_names:
        # Logged as NaN and not logged are two things, and only a masked array keeps them apart.
        name = plain(metric)
        table[f"{name} (metric)" if name in table else name] = pd.arrays.FloatingArray(
            runs.metrics[metric].to_numpy(copy=True), ~runs.logged[metric].to_numpy()
        )
    table.index = pd.Index([labels[run] for run in table.index])
    return table.rename_axis(columns="run")


def frames(runs: RunSet) -> pd.DataFrame:
    """The frames of a ``RunSet`` by name, with their shapes and what they hold."""
    rows = [
        ("runs.runs", runs.runs.shape, "a row a run: name, status, times, user, source"),
        ("runs.params", runs.params.shape, "a row a run, a column a param (strings as logged)"),
        ("runs.metrics", runs.metrics.shape, "a row a run, a column a metric (last value)"),
        ("runs.tags", runs.tags.shape, "a row a run, a column a tag"),
        ("runs.datasets", runs.datasets.shape, "a row a logged input: name, digest, context"),
        ("runs.history()", "on call", "a row a logged point: run_id, metric, step, time, value"),
        ("runs.models", "on use", "a row a logged or registered model: name, version, aliases"),
        ("runs.traces()", "on call", "a row a trace of these experiments: times, tokens, cost"),
    ]
    cells = [(_shape(shape), holds) for _, shape, holds in rows]
    table = pd.DataFrame(cells, columns=["shape", "holds"], index=[row[0] for row in rows])
    return table.rename_axis(columns="frame")


def _shape(shape: object) -> str:
    return f"{shape[0]:,} × {shape[1]:,}" if isinstance(shape, tuple) else str(shape)


def _files(runs: RunSet, run_id: str) -> int | None:
    try:
        listed = runs.artifacts(run_id)
    except QualiaError:
        return None
    return None if listed.problem else len(listed.files)
