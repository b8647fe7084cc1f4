"""From what a reader read to the frames of a ``RunSet``; the same for every reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qualia_lab import secrets
from qualia_lab.model import Coverage, RunSet, Source
from qualia_lab.tracking import reader
from qualia_lab.tracking.reader import Columns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

# MLflow's databases have no infinities: it stores the largest double in their place.
LARGEST = 1.7976931348623157e308
# The last millisecond of the year 9999; what is past it is no date that anything can print.
_LAST_MS = 253_402_300_799_999


def run_set(
    columns: Columns,
    *,
    source: Source,
    experiments: Mapping[str, str],
    looked_in: Sequence[str] = (),
    run_ids: Sequence[str] | None,
) -> RunSet:
    """The frames of the runs in ``columns``.

    Args:
        columns: what a reader read.
        source: fetches what is not in it.
        experiments: experiment id -> name.
        looked_in: ids of the experiments that were asked about; none where runs were named.
        run_ids: what was asked for, which gives the order and what is missing; None keeps the
            order of ``columns``.
    """
    import pandas as pd
    import pyarrow as pa

    place = {run_id: i for i, run_id in enumerate(columns.runs["run_id"].to_pylist())}
    wanted = place if run_ids is None else dict.fromkeys(run_ids)
    order = [run for run in wanted if run in place]
    missing = tuple(run for run in wanted if run not in place)
    read = columns.runs.take(pa.array([place[run] for run in order], pa.int64()))
    ids = read["run_id"].combine_chunks()
    index = pd.Index(ids.to_pandas(), name="run_id")
    tags = _texts(columns.tags, ids, index)
    metrics, logged = _numbers(columns.metrics, ids, index)
    datasets = _datasets(columns.datasets, order)
    return RunSet(
        runs=_runs(read, index, tags, experiments, datasets),
        params=_texts(columns.params, ids, index),
        metrics=metrics,
        logged=logged,
        tags=tags,
        datasets=datasets,
        loaded=Coverage(
            runs=len(order),
            of_runs=len(order) + len(missing),
            missing=missing,
            warnings=(*columns.warnings, *_odd_times(read)),
        ),
        source=source,
        experiments={one: experiments.get(one, one) for one in looked_in},
    )


def history(points: pa.Table, run_ids: Sequence[str]) -> pd.DataFrame:
    """Points (the columns ``POINTS`` of a reader) as the long frame of ``RunSet.history``.

    Args:
        points: in any order; those of other runs than ``run_ids`` do not count.
        run_ids: gives the order of the runs.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.array(run_ids, pa.string())
    names = pc.unique(points["metric"]).sort()
    run = pc.index_in(points["run_id"], value_set=ids).fill_null(-1).to_numpy()
    metric = pc.index_in(points["metric"], value_set=names).to_numpy()
    order = np.argsort(run.astype(np.int64) * max(1, len(names)) + metric, kind="stable")
    order = order[np.count_nonzero(run < 0) :]
    run, metric = run[order], metric[order]
    step, ms, value = (points[name].to_numpy()[order] for name in ("step", "timestamp", "value"))
    # By value last, as MLflow does to tell which of several points at one time is the latest.
    if not _ascending(run, metric, step, ms, value):
        order = np.lexsort((value, ms, step, metric, run))
        run, metric, step, ms, value = (one[order] for one in (run, metric, step, ms, value))
    return pd.DataFrame(
        {
            "run_id": ids.take(pa.array(run)).to_pandas(),
            "metric": names.take(pa.array(metric)).to_pandas(),
            "step": step,
            "timestamp": times(pa.array(ms)),
            "value": infinite(value),
        }
    )


def _ascending(*columns: np.ndarray) -> bool:
    """Whether rows are sorted by the first column, then the second, and so on."""
    import numpy as np

    tied = np.ones(max(0, len(columns[0]) - 1), dtype=bool)
    for column in columns:
        before, after = column[:-1], column[1:]
        if not (after[tied] >= before[tied]).all():  # nor where NaN is one of them
            return False
        tied &= after == before
    return True


def infinite(values: np.ndarray) -> np.ndarray:
    """Stored values with the stand-ins for infinity turned back into infinity."""
    import numpy as np

    return np.where(np.abs(values) >= LARGEST, np.copysign(np.inf, values), values)


def number(value: float) -> float:
    """One stored value, as ``infinite`` does for many."""
    if abs(value) >= LARGEST:
        return float("inf") if value > 0 else float("-inf")
    return value


def times(milliseconds: pa.ChunkedArray | pa.Array) -> pd.Series[pd.Timestamp]:
    """Milliseconds since the epoch as UTC times; missing or beyond the year 9999 is NaT."""
    import numpy as np
    import pandas as pd

    nat = np.iinfo(np.int64).min
    dates = milliseconds.fill_null(nat).to_numpy().copy()
    dates[(dates > _LAST_MS) | (dates < -_LAST_MS)] = nat
    return pd.Series(dates.view("datetime64[ms]")).dt.tz_localize("UTC")


def _odd_times(runs: pa.Table) -> list[str]:
    import numpy as np

    odd = np.zeros(len(runs), dtype=bool)
    for name in ("started", "ended"):
        ms = runs[name].fill_null(0).to_numpy()
        odd |= (ms > _LAST_MS) | (ms < -_LAST_MS)
    have = "run has" if odd.sum() == 1 else "runs have"
    return [f"{odd.sum():,} {have} a start or end time that is no date"] if odd.any() else []


def _cells(table: pa.Table, ids: pa.Array) -> tuple[list[str], np.ndarray]:
    """Where each (key, run) of a long table stands in it: keys sorted, -1 for what is absent."""
    import numpy as np
    import pyarrow.compute as pc

    codes, known = reader.coded(table["run_id"])
    # Half of NumPy's default: of 100,000 runs these are millions.
    run = pc.index_in(known, value_set=ids).fill_null(-1).to_numpy().astype(np.int32)[codes]
    here = np.flatnonzero(run >= 0)
    codes, dictionary = reader.coded(table["key"])
    names, codes = dictionary.to_pylist(), codes[here]
    used = sorted(set(np.unique(codes).tolist()), key=lambda code: names[code])
    row = np.full(len(names), -1, dtype=np.int32)
    row[used] = np.arange(len(used))
    cells = np.full((len(used), len(ids)), -1, dtype=np.int32)
    cells[row[codes], run[here]] = here
    return [names[code] for code in used], cells


def _texts(table: pa.Table, ids: pa.Array, index: pd.Index[str]) -> pd.DataFrame:
    """A long table of text as a frame: a row a run, a column a key, missing where absent."""
    import pandas as pd
    import pyarrow as pa

    keys, cells = _cells(table, ids)
    values = _without_logins(table["value"].combine_chunks())
    columns = {
        key: values.take(pa.array(places, mask=places < 0)).to_pandas().array
        for key, places in zip(keys, cells, strict=True)
    }
    return pd.DataFrame(columns, index=index)


def _without_logins(values: pa.Array) -> pa.Array:
    """Texts without the logins of URLs in them; those without a URL are not looked at."""
    import pyarrow as pa
    import pyarrow.compute as pc

    have = pc.match_substring(values, "://").fill_null(False)
    bare = [secrets.without_logins(one) for one in values.filter(have).to_pylist()]
    return pc.replace_with_mask(values, have, pa.array(bare, values.type)) if bare else values


def _numbers(
    table: pa.Table, ids: pa.Array, index: pd.Index[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A long table of numbers as a frame of values, and one of which were logged."""
    import numpy as np
    import pandas as pd

    keys, cells = _cells(table, ids)
    logged = cells >= 0
    stored = infinite(table["value"].to_numpy())
    values = np.full(cells.shape, np.nan)
    values[logged] = stored[cells[logged]]
    columns = pd.Index(keys, dtype=index.dtype)
    return (
        pd.DataFrame(values.T, index=index, columns=columns),
        pd.DataFrame(logged.T, index=index, columns=columns),
    )


def _runs(
    read: pa.Table,
    index: pd.Index[str],
    tags: pd.DataFrame,
    experiments: Mapping[str, str],
    datasets: pd.DataFrame,
) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    started, ended = times(read["started"]), times(read["ended"])
    ids = read["experiment_id"].to_pylist()
    missing = pd.Series(index=index, dtype=index.dtype)

    def tag(name: str) -> Any:
        return tags.get(name, missing).array

    names = datasets.groupby("run_id", sort=False)["name"].agg(", ".join)
    return pd.DataFrame(
        {
            "name": read["name"].to_pandas().array,
            "experiment": pa.array([experiments.get(one, one) for one in ids], pa.string())
            .to_pandas()
            .array,
            "experiment_id": read["experiment_id"].to_pandas().array,
            "status": read["status"].to_pandas().array,
            "started": started.array,
            "ended": ended.array,
            "duration": (ended - started).array,
            "user": read["user"].to_pandas().array,
            "parent": tag("mlflow.parentRunId"),
            "source": tag("mlflow.source.name"),
            "commit": tag("mlflow.source.git.commit"),
            "dataset": names.reindex(index).astype(index.dtype).array,
        },
        index=index,
    )


def _datasets(table: pa.Table, order: Sequence[str]) -> pd.DataFrame:
    """In the order of the runs, then by name, context, digest: stores keep no order of inputs."""
    import pyarrow as pa

    place = {run_id: number for number, run_id in enumerate(order)}
    rows = [
        {**row, "source": row["source"] and secrets.without_logins(row["source"])}
        for row in table.to_pylist()
        if row["run_id"] in place
    ]
    rows.sort(
        key=lambda row: (
            place[row["run_id"]], row["name"], row["context"] or "", row["digest"]
        )
    )  # fmt: skip
    frame: pd.DataFrame = pa.Table.from_pylist(rows, schema=table.schema).to_pandas()
    return frame
