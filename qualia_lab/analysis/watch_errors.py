"""The errors of predictions in a table that runs logged: one that is named, or one that fits."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from qualia_lab.analysis.labels import plain
from qualia_lab.analysis.watch_series import error_stream
from qualia_lab.errors import QualiaError
from qualia_lab.model import RunSet

_PREDICTIONS = "predict"
# So many tables, none larger than this, are read to see their columns.
_MOST_TRIED = 5
_LARGEST_TRIED = 20_000_000
_MOST_NAMED = 4


def logged_errors(
    runs: RunSet, path: str | None, label: str, prediction: str
) -> pd.Series[float] | None:
    """The errors in a table of labels and predictions that runs logged, the oldest run first.

    Without a path, the first table that has both columns: of five at most, those with "predict" in
    their path first, then those that MLflow noted. ``attrs["table"]`` is then its path, and
    ``attrs["others"]`` the paths of others that have both. None where none
    has them. ``attrs["left out"]`` counts rows without a label or prediction.

    Raises:
        NotFoundError: no run has a table of the path that is named.
        QualiaError: it can't be read.
        UsageError: it lacks one of the columns.
    """
    if path:
        return error_stream(runs.table(path), label, prediction)
    fitting = list(_fitting(runs, label, prediction))
    for one in fitting:
        try:
            errors = error_stream(runs.table(one), label, prediction)
        except QualiaError:
            continue
        errors.attrs["table"] = one
        errors.attrs["others"] = [other for other in fitting if other != one]
        return errors
    return None


def _fitting(runs: RunSet, label: str, prediction: str) -> Iterator[str]:
    """The paths whose newest table has both columns."""
    known = runs.tables().drop_duplicates("path", keep="last").set_index("path")
    sizes = known["size"].fillna(0).astype("int64")
    for path in candidates(runs)[:_MOST_TRIED]:
        if sizes[path] > _LARGEST_TRIED:
            continue
        try:
            columns = runs.table(path, str(known.loc[path, "run_id"])).columns
        except QualiaError:
            continue
        if label in columns and prediction in columns:
            yield path


def candidates(runs: RunSet) -> list[str]:
    """The paths of tables that may hold predictions, the likeliest first."""
    known = runs.tables()
    noted = {str(one) for one in known.loc[known["noted"], "path"]}
    paths = {str(one) for one in known["path"]}
    likely = {one for one in paths if _PREDICTIONS in one.lower()}
    return sorted(likely | noted, key=lambda one: (one not in likely, len(one), one))


def how_to_name(runs: RunSet) -> str:
    """How to name a table of predictions, and which tables there are."""
    paths = list(dict.fromkeys([*candidates(runs), *map(str, runs.tables()["path"])]))
    named = ", ".join(plain(one, 60) for one in paths[:_MOST_NAMED])
    more = f", and {len(paths) - _MOST_NAMED:,} more" if len(paths) > _MOST_NAMED else ""
    there = f" These runs logged {named}{more}." if paths else ""
    return (
        "Errors of predictions need a table of labels and predictions: --param predictions=PATH, "
        f"its columns by label= and prediction=.{there}"
    )
