"""One run: what is known of it and what it logged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import how_large, how_long, plain, run_labels, when
from qualia_lab.analysis.show import Note, Report
from qualia_lab.errors import NotFoundError, QualiaError
from qualia_lab.model import RunSet

_NOTE = "mlflow.note.content"
_OWN_TAGS = "mlflow."
# What MLflow stores where a client named nobody.
_NO_USER = "unknown"
# Whole values stay in the frames of the RunSet; a table shows this much and says how long they are.
_VALUE_CHARACTERS = 120
_NOTE_CHARACTERS = 500
_MOST_ROWS = 60


def run_report(runs: RunSet, run_id: str) -> Report:
    """Details, params, metrics, tags, data sets and artifacts of a run, in one piece.

    Tables past 60 rows are cut and say so; the functions beside this one give them whole.
    """
    note = run_note(runs, run_id).text
    details = run_details(runs, run_id)
    if note:
        details.loc["note"] = plain(note, _NOTE_CHARACTERS)
    artifacts, problem = _artifacts(runs, run_id)
    parts = {
        "metrics": run_metrics(runs, run_id),
        "params": run_params(runs, run_id),
        "tags": run_tags(runs, run_id),
        "data sets": run_datasets(runs, run_id),
        "artifacts": artifacts,
    }
    tables = [("Details", details)]
    for name, table in parts.items():
        if len(table):
            cut = f": {_MOST_ROWS} of {len(table):,}" if len(table) > _MOST_ROWS else ""
            tables.append((name.capitalize() + cut, table.head(_MOST_ROWS)))
    nothing = [name for name, table in parts.items() if table.empty]
    absent = f"Not logged: {', '.join(nothing)}." if nothing else ""
    if problem:
        absent = f"{absent} Artifacts: {problem}.".strip()
    return Report(tables, absent)


def run_details(runs: RunSet, run_id: str) -> pd.DataFrame:
    """Status, times and origin of a run: a row a known fact, one column ``value``."""
    _require(runs, run_id)
    row = dict(runs.runs.loc[run_id].items())
    labels = run_labels(runs)
    facts = {
        "run id": run_id,
        "experiment": plain(row["experiment"], _VALUE_CHARACTERS),
        "status": plain(row["status"]),
        "started (UTC)": when(row["started"]),
        "ended (UTC)": when(row["ended"]),
        "duration": how_long(row["duration"]),
        "parent": labels.get(row["parent"], plain(row["parent"])),
        "user": plain(row["user"]) if row["user"] != _NO_USER else "",
        "source": plain(row["source"], _VALUE_CHARACTERS),
        "commit": plain(row["commit"]),
    }
    known = {name: value for name, value in facts.items() if value}
    return pd.DataFrame({"value": known}, dtype="object")


def run_params(runs: RunSet, run_id: str) -> pd.DataFrame:
    """The params of a run: a row a param, one column ``value``."""
    _require(runs, run_id)
    return _values(_logged(runs.params, run_id))


def run_tags(runs: RunSet, run_id: str) -> pd.DataFrame:
    """The tags that people set on a run (none of MLflow's own): a row a tag, column ``value``."""
    _require(runs, run_id)
    tags = _logged(runs.tags, run_id)
    return _values({name: one for name, one in tags.items() if not name.startswith(_OWN_TAGS)})


def run_note(runs: RunSet, run_id: str) -> Note:
    """The run's description as it was written, as plain text; empty when there is none."""
    _require(runs, run_id)
    note = runs.tags[_NOTE].get(run_id) if _NOTE in runs.tags else None
    return Note(note if isinstance(note, str) else "")


def run_metrics(runs: RunSet, run_id: str) -> pd.DataFrame:
    """The metrics of a run over their whole history.

    Returns:
        A row a metric: ``last`` value (at the largest step, then time), ``best`` (empty where it is
        not known which end is), ``min``, ``max``, number of ``points``, ``first step`` and ``last
        step``, and ``not finite``: how many points are NaN or infinite; ``min``, ``max`` and
        ``best`` are over the finite ones.
    """
    _require(runs, run_id)
    points = runs.history(run_ids=[run_id])
    # A metric's points stand together, sorted; a group-by of pandas takes ten times as long.
    names, starts = np.unique(points["metric"].to_numpy(dtype=object), return_index=True)
    values, steps = points["value"].to_numpy(), points["step"].to_numpy()
    finite = np.where(np.isfinite(values), values, np.nan)
    ends = np.append(starts[1:], len(values)) - 1

    def over(how: np.ufunc, column: np.ndarray) -> np.ndarray:
        return how.reduceat(column, starts) if len(starts) else column[:0]

    low, high = over(np.fmin, finite), over(np.fmax, finite)
    ways = [runs.direction(str(name)) for name in names]
    either = zip(ways, low.tolist(), high.tolist(), strict=True)
    best = [{"min": least, "max": most, None: ""}[way] for way, least, most in either]
    return pd.DataFrame(
        {
            "last": values[ends] if len(starts) else values[:0],
            "best": np.array(best, dtype=object),
            "min": low,
            "max": high,
            "points": np.diff(np.append(starts, len(values))),
            "first step": over(np.minimum, steps),
            "last step": over(np.maximum, steps),
            "not finite": over(np.add, np.isnan(finite).astype("int64")),
        },
        index=pd.Index([plain(name, 60) for name in names], name="metric", dtype="object"),
    )


def run_datasets(runs: RunSet, run_id: str) -> pd.DataFrame:
    """The data sets that a run logged as inputs: name, digest, context, type of source."""
    _require(runs, run_id)
    here = runs.datasets["run_id"].to_numpy(dtype=object) == run_id
    shown = {
        name: [plain(one, _VALUE_CHARACTERS) for one in column.to_numpy(dtype=object)[here]]
        for name, column in runs.datasets.items()
        if name != "run_id"
    }
    return pd.DataFrame(shown, index=pd.Index(shown.pop("name"), dtype="object"), dtype="object")


def run_artifacts(runs: RunSet, run_id: str) -> pd.DataFrame:
    """The files of a run: a row a path, with its ``size``.

    Raises:
        QualiaError: they can't be listed.
    """
    _require(runs, run_id)
    table, problem = _artifacts(runs, run_id)
    if problem and table.empty:
        raise QualiaError(f"the artifacts of {run_id} can't be listed: {problem}")
    return table


def _artifacts(runs: RunSet, run_id: str) -> tuple[pd.DataFrame, str]:
    try:
        listed = runs.artifacts(run_id)
        files, problem = listed.files, listed.problem
    except QualiaError as error:
        files, problem = (), f"could not be listed: {error}"
    else:
        if listed.cut:
            problem = f"only the first {len(files):,} files were listed"
    paths = [plain(file.path, _VALUE_CHARACTERS) for file in files]
    sizes = [how_large(file.size) for file in files]
    return pd.DataFrame({"size": sizes}, index=pd.Index(paths, dtype="object")), problem


def _values(values: Mapping[str, str]) -> pd.DataFrame:
    names = [plain(name, _VALUE_CHARACTERS) for name in values]
    shown = [plain(value, _VALUE_CHARACTERS) for value in values.values()]
    return pd.DataFrame({"value": shown}, index=pd.Index(names, dtype="object"), dtype="object")


def _require(runs: RunSet, run_id: str) -> None:
    if run_id not in runs.runs.index:
        raise NotFoundError(f"run {plain(run_id)} is not among the {len(runs):,} runs loaded")


def _logged(frame: pd.DataFrame, run_id: str) -> dict[str, str]:
    """The values of a run that are not missing, by column."""
    return {str(name): one for name, one in frame.loc[run_id].items() if isinstance(one, str)}
