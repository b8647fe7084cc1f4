"""Which runs went wrong, after how long, and the last that was seen of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain, run_labels
from qualia_lab.analysis.show import Note
from qualia_lab.analysis.times import lasting, seconds, stamp
from qualia_lab.directions import is_system, ranked
from qualia_lab.model import RunSet

_MOST_ROWS = 50
# How many metrics are searched for the last point of a run that lacks the one asked for.
_MOST_SEARCHED = 20
_MOST_NAMED = 3
_KINDS = ("failed", "killed", "unfinished", "finished with a metric that is not finite")


def failures(runs: RunSet, metric: str | None = None) -> pd.DataFrame | Note:
    """The runs that failed, were killed, are not over, or finished with a NaN or infinite metric.

    In that order, newest first among each. The histories of these runs are read once, at most 50
    runs, and the corner of the table says of how many.

    Args:
        runs: the runs.
        metric: the metric that is shown of a run that logged it.

    Returns:
        Indexed by the run's label: ``status``; ``started (UTC)``; ``lasted``, of a run without an
        end ``≥`` the time from its start to the last point seen; ``last seen``, the metric whose
        point is latest by time (of the 20 most telling that are no system metrics, see
        ``directions.ranked``), its ``value`` and ``step``, and ``before the end``, how long the run
        went on after it (empty without an end; below zero where a point is later than the end);
        ``not finite``, up to three metrics whose last value is NaN or infinite, system metrics
        aside. A note where there is no such run.
    """
    kinds = _kinds(runs)
    if kinds.empty:
        return Note(_all_well(runs))
    shown = [str(run) for run in kinds.index[:_MOST_ROWS]]
    last = _last_points(runs, shown, metric)
    labels, lost = run_labels(runs), _not_finite(runs)
    frame = runs.runs.loc[shown]
    start, end, seen = (
        seconds(one) for one in (frame["started"], frame["ended"], last["timestamp"])
    )
    lasted = [
        lasting(over) if over == over else f"≥ {lasting(known)}" if known >= 0 else ""
        for over, known in zip(end - start, seen - start, strict=True)
    ]
    table = pd.DataFrame(
        {
            "status": [plain(one) for one in frame["status"]],
            "started (UTC)": [stamp(one) for one in start],
            "lasted": lasted,
            "last seen": [plain(one) for one in last["metric"]],
            "value": pd.arrays.FloatingArray(
                last["value"].to_numpy(dtype="float64"), last["metric"].isna().to_numpy()
            ),
            "step": last["step"].array,
            "before the end": [lasting(one) for one in end - seen],
            "not finite": [_some([plain(one) for one in lost.get(run, [])]) for run in shown],
        },
        index=pd.Index([labels[run] for run in shown]),
    )
    of = f" ({len(shown)} of {len(kinds):,})" if len(shown) < len(kinds) else ""
    return table.rename_axis(columns=f"run{of}")


def failure_note(runs: RunSet) -> Note:
    """How many runs went wrong, a line for each way, with the newest three and their length."""
    kinds = _kinds(runs)
    if kinds.empty:
        return Note(_all_well(runs))
    labels, lost = run_labels(runs), _not_finite(runs)
    lasted = seconds(runs.runs["ended"]) - seconds(runs.runs["started"])
    after = dict(zip(runs.runs.index, lasted, strict=True))
    lines = []
    for place, kind in enumerate(_KINDS):
        mine = [str(run) for run in kinds.index[kinds == place]]
        if not mine:
            continue
        told = []
        for run in mine:
            text = labels[run]
            if place < 2 and after[run] == after[run]:
                text += f" after {lasting(after[run])}"
            if place == 3:
                text += f" ({_some([plain(one) for one in lost[run]])})"
            told.append(text)
        lines.append(f"{len(mine):,} of {len(runs):,} runs {kind}: {_some(told)}.")
    return Note("\n".join(lines))


def _all_well(runs: RunSet) -> str:
    these = {1: "The run", 2: "Both runs"}.get(len(runs), f"All {len(runs):,} runs")
    return f"{these} finished, and no metric ended as NaN or infinite."


def _kinds(runs: RunSet) -> pd.Series[int]:
    """The place in ``_KINDS`` of each run that is there, in order, newest first among each."""
    places = {"FAILED": 0, "KILLED": 1, "FINISHED": 3}
    kinds = pd.Series([places.get(one, 2) for one in runs.runs["status"]], index=runs.runs.index)
    kept = (kinds != 3) | kinds.index.isin(list(_not_finite(runs)))
    order = np.lexsort((-seconds(runs.runs["started"]), kinds.to_numpy()))
    return kinds.iloc[order][kept.iloc[order]]


def _not_finite(runs: RunSet) -> dict[str, list[str]]:
    """The metrics that a run logged and that ended as NaN or infinite, system metrics aside."""
    names = [name for name in runs.metric_names if not is_system(name)]
    logged = runs.logged[names].to_numpy(dtype=bool)
    lost = logged & ~np.isfinite(runs.metrics[names].to_numpy(dtype="float64"))
    found: dict[str, list[str]] = {}
    for row, column in np.argwhere(lost):
        found.setdefault(str(runs.runs.index[row]), []).append(names[column])
    return found


def _last_points(runs: RunSet, shown: Sequence[str], metric: str | None) -> pd.DataFrame:
    """A row a run, in the order of ``shown``: the last point of ``metric``, or else of any."""
    logged = runs.logged.loc[list(shown)]
    counts = {
        str(name): int(count)
        for name, count in logged.sum().items()
        if count and not is_system(str(name))
    }
    names: list[Any] = ranked(counts)[:_MOST_SEARCHED]
    if metric in runs.metric_names:
        names = [metric] if logged[metric].all() else [*names, metric]
    points = runs.history(names, shown) if names else runs.history([], [])
    # Before a missing row can turn steps into floats, which don't hold all of them.
    points = points.astype({"step": "Int64"}).assign(wanted=points["metric"] == metric)
    points = points.sort_values(["wanted", "timestamp"], kind="stable", na_position="first")
    last = points.drop_duplicates("run_id", keep="last").set_index("run_id")
    return last.reindex(list(shown))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
