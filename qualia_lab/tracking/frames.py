"""From what a reader read to the frames of a ``RunSet``; the same for every reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from qualia_lab.model import Coverage, RunSet, Source
from qualia_lab.text import whole
from qualia_lab.tracking.reader import Columns

if TYPE_CHECKING:
    import pandas as pd

# MLflow's databases have no infinities: it stores the largest double in their place.
LARGEST = 1.7976931348623157e308
# The last millisecond of the year 9999; what is past it is no date that anything can print.
_LAST_MS = 253_402_300_799_999
_HISTORY = ("run_id", "metric", "step", "timestamp", "value")


def run_set(
    columns: Columns,
    *,
    source: Source,
    experiments: Mapping[str, str],
    run_ids: Sequence[str] | None,
) -> RunSet:
    """The frames of the runs in ``columns``.

    Args:
        columns: what a reader read.
        source: fetches what is not in it.
        experiments: experiment id -> name.
        run_ids: what was asked for, which gives the order and what is missing; None keeps the
            order of ``columns``.
    """
    import pandas as pd

    found = dict.fromkeys(columns.run_id)
    order = list(found) if run_ids is None else [run for run in run_ids if run in found]
    missing = () if run_ids is None else tuple(run for run in run_ids if run not in found)
    index = pd.Index(order, name="run_id", dtype="str")
    tags = wide(columns.tags, index)
    runs = _runs(columns, tags, experiments).reindex(index)
    datasets = _datasets(columns)
    names = datasets.groupby("run_id", sort=False)["name"].agg(", ".join)
    runs["dataset"] = names.reindex(index).astype("str")
    return RunSet(
        runs=runs,
        params=wide(columns.params, index),
        latest=_latest(columns),
        tags=tags,
        datasets=datasets,
        coverage=Coverage(
            runs=len(order),
            of_runs=len(order) + len(missing),
            missing=missing,
            warnings=(*columns.warnings, *_odd_times(columns)),
        ),
        source=source,
    )


def wide(rows: Iterable[tuple[str, str, str]], index: pd.Index[str]) -> pd.DataFrame:
    """Long (run, key, value) rows as a frame: a row a run, a column a key, sorted by key."""
    import pandas as pd

    by_key: dict[str, dict[str, str]] = {}
    for run_id, key, value in rows:
        by_key.setdefault(whole(key), {})[run_id] = whole(value)
    data = {
        key: pd.Series(by_key[key], index=index, dtype="str", name=key) for key in sorted(by_key)
    }
    return pd.DataFrame(data, index=index)


def history(points: Sequence[tuple[str, str, int, int, float]]) -> pd.DataFrame:
    """Points (run_id, metric, step, ms, value) as the long frame of ``RunSet.history``."""
    import pandas as pd

    frame = pd.DataFrame(points, columns=list(_HISTORY))
    frame = frame.astype({"run_id": "str", "metric": "str", "step": "int64", "value": "float64"})
    frame["timestamp"] = times([point[3] for point in points])
    frame["value"] = infinite(frame["value"])
    return frame.sort_values(["run_id", "metric", "step", "timestamp"], kind="stable").reset_index(
        drop=True
    )


def infinite(values: pd.Series[float]) -> pd.Series[float]:
    """Stored values with the stand-ins for infinity turned back into infinity."""
    return values.mask(values >= LARGEST, float("inf")).mask(values <= -LARGEST, float("-inf"))


def times(milliseconds: Sequence[int | None]) -> pd.Series[pd.Timestamp]:
    """Milliseconds since the epoch as UTC times; missing or beyond the year 9999 is NaT."""
    import numpy as np
    import pandas as pd

    nat = np.iinfo(np.int64).min
    dates = np.array([ms if _is_date(ms) else nat for ms in milliseconds], dtype="int64")
    return pd.Series(dates.view("datetime64[ms]")).dt.tz_localize("UTC")


def _is_date(ms: int | None) -> bool:
    return ms is not None and -_LAST_MS <= ms <= _LAST_MS


def _odd_times(columns: Columns) -> list[str]:
    odd = sum(
        any(ms is not None and not _is_date(ms) for ms in pair)
        for pair in zip(columns.started, columns.ended, strict=True)
    )
    return [f"{odd:,} runs have a start or end time that is no date"] if odd else []


def _runs(columns: Columns, tags: pd.DataFrame, experiments: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    index = pd.Index(columns.run_id, name="run_id", dtype="str")
    started, ended = times(columns.started), times(columns.ended)

    def text(values: Iterable[str | None]) -> pd.Series[str]:
        kept = [None if value is None else whole(value) for value in values]
        return pd.Series(kept, index=index, dtype="str")

    def tag(name: str) -> pd.Series[str]:
        column = tags[name] if name in tags else pd.Series(dtype="str")
        return column.reindex(index).astype("str")

    return pd.DataFrame(
        {
            "name": text(columns.name),
            "experiment": text(experiments.get(one, one) for one in columns.experiment_id),
            "experiment_id": text(columns.experiment_id),
            "status": text(columns.status),
            "started": started.set_axis(index),
            "ended": ended.set_axis(index),
            "duration": (ended - started).set_axis(index),
            "user": text(columns.user),
            "parent": tag("mlflow.parentRunId"),
            "source": tag("mlflow.source.name"),
            "commit": tag("mlflow.source.git.commit"),
        },
        index=index,
    )


def _latest(columns: Columns) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "run_id": pd.Series([row[0] for row in columns.metrics], dtype="str"),
            "metric": pd.Series([whole(row[1]) for row in columns.metrics], dtype="str"),
            "value": pd.Series([row[2] for row in columns.metrics], dtype="float64"),
        }
    )
    frame["value"] = infinite(frame["value"])
    return frame


def _datasets(columns: Columns) -> pd.DataFrame:
    import pandas as pd

    names = ("run_id", "name", "digest", "context", "source_type")
    rows = [[None if cell is None else whole(cell) for cell in row] for row in columns.datasets]
    return pd.DataFrame(rows, columns=list(names), dtype="str")
