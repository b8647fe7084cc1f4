"""Runs as the lines of a list: what is shown of each, and in what order."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from qualia_lab.cli.console import TELLING, Glyphs
from qualia_lab.cli.lists import Row
from qualia_lab.cli.tables import Column, age, shortened, took
from qualia_lab.directions import ranked
from qualia_lab.model import RunInfo, RunSet
from qualia_lab.text import visible

# A name of a run or a metric is cut here, whatever the width.
_LONGEST = 60
_LONGEST_METRIC = 24


def run_rows(
    listed: Sequence[RunInfo], glyphs: Glyphs, *, metric: str = ""
) -> tuple[list[Column], list[Row]]:
    """A line a run: mark, name, age, duration, the metrics that tell them apart, the id.

    Args:
        listed: the runs, in order.
        glyphs: what a terminal can show.
        metric: the one that they are sorted by; without, nested runs stand under their parents.
    """
    now = time.time()
    metrics = telling(listed)
    if metric:
        metrics = [metric, *(one for one in metrics if one != metric)][:TELLING]
    columns = [
        Column(),
        Column(title="name", bends=16),
        Column(title="age", right=True),
        Column(title="took", right=True),
        *(
            Column(title=shortened(visible(one), _LONGEST_METRIC, glyphs.cut), right=True)
            for one in metrics
        ),
        Column(title="id", spare=True),
    ]
    placed = [(run, 0) for run in listed] if metric else nested(listed)
    rows = [
        Row(
            value=run.run_id,
            label=visible(run.name, _LONGEST) or run.run_id,
            cells=(
                glyphs.marks.get(run.status, "?"),
                "  " * depth + visible(run.name, _LONGEST),
                age(run.started, now),
                took(_seconds(run)),
                *(f"{run.metrics[one]:.4g}" if one in run.metrics else "" for one in metrics),
                run.run_id[:8],
            ),
        )
        for run, depth in placed
    ]
    return columns, rows


def telling(listed: Sequence[RunInfo]) -> list[str]:
    """The metrics to show: those that many log and in which runs differ, the most telling first."""
    counts = metric_counts(listed)
    values: dict[str, set[float]] = {}
    for run in listed:
        for name, value in run.metrics.items():
            if len(values.setdefault(name, set())) < 2 and math.isfinite(value):
                values[name].add(value)
    # One that few log, such as a sweep's own, says nothing about the rest.
    many = max(counts.values(), default=0) / 2
    differ = {
        name: count for name, count in counts.items() if count >= many and len(values[name]) > 1
    }
    return ranked(differ or counts)[:TELLING]


def nested(listed: Sequence[RunInfo]) -> list[tuple[RunInfo, int]]:
    """Each run with how deep it is nested, under its parent where that is listed too."""
    here = {run.run_id for run in listed}
    under: dict[str | None, list[RunInfo]] = {}
    for run in listed:
        under.setdefault(run.parent if run.parent in here else None, []).append(run)
    found: dict[str, tuple[RunInfo, int]] = {}
    # Tags can make a circle of parents, which hangs under nothing.
    for start in (under.get(None, []), listed):
        left = [(run, 0) for run in reversed(start)]
        while left:
            run, depth = left.pop()
            if run.run_id not in found:
                found[run.run_id] = (run, depth)
                left += [(child, depth + 1) for child in reversed(under.get(run.run_id, []))]
    return list(found.values())


def infos(runs: RunSet, most: int) -> list[RunInfo]:
    """The first runs of a set, as the list shows them."""
    ids = list(runs.runs.index[:most])
    metrics, logged = runs.metrics.loc[ids], runs.logged.loc[ids].to_numpy(dtype=bool)
    names = list(metrics.columns)
    values = metrics.to_numpy(dtype=float)
    return [
        RunInfo(
            run_id=str(run_id),
            name=str(about["name"]),
            experiment_id=str(about["experiment_id"]),
            status=str(about["status"]),
            started=_ms(about["started"]),
            ended=_ms(about["ended"]),
            parent=None if about["parent"] != about["parent"] else about["parent"],
            metrics={names[at]: float(values[place, at]) for at in logged[place].nonzero()[0]},
        )
        for place, (run_id, about) in enumerate(runs.runs.loc[ids].iterrows())
    ]


def metric_counts(listed: Sequence[RunInfo]) -> dict[str, int]:
    """How many of the runs logged each metric."""
    return dict(Counter(name for run in listed for name in run.metrics))


def _seconds(run: RunInfo) -> float | None:
    if run.started is None or run.ended is None:
        return None
    return (run.ended - run.started) / 1000


def _ms(time: Any) -> int | None:
    return None if time != time else int(time.timestamp() * 1000)
