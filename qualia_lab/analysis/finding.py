"""What a reader should know before trusting a comparison: found in the data, with the evidence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from qualia_lab.analysis.found import SEVERITIES, Finding, Level, Severity
from qualia_lab.analysis.labels import how_long, number, plain, run_labels
from qualia_lab.analysis.values import last_values
from qualia_lab.directions import is_system
from qualia_lab.model import RunSet
from qualia_lab.seeds import is_seed

_COLUMNS = ("severity", "level", "run", "what", "evidence")
# Past this many of a sort they are told together, so that one sort does not bury the others.
_MOST_OF_A_SORT = 3
_MOST_NAMED = 3
# Histories are read for this many runs at most; past them the last values have to do.
_MOST_READ = 500
# How far a metric has to fall back from its best, as a share of what it had gained till then.
_FALLEN_BACK = 0.1
# Or as a share of the best itself, where the first values were so far off that all gained much.
_WORSE = 0.2
_FEWEST_POINTS = 5


def findings(runs: RunSet, metric: str | None = None) -> pd.DataFrame:
    """What stands out in these runs, the gravest first.

    Failed, killed and unfinished runs; runs whose metric ended as NaN or infinite; those that were
    better earlier than at their end; runs that logged no metric; runs that repeat another to the
    seed; different data or different commits; runs that are gone. Past three of one sort they are
    counted in one line. Histories are read of ``metric`` only, for up to 500 runs.

    Returns:
        A row a finding: ``severity`` (error, warning, info), ``level`` (runs that failed, were
        killed or diverged are a warning, all else is a note), ``run`` (an id, empty where it is
        about several), ``what`` and ``evidence``, in plain words.
    """
    found = sorted(_all(runs, metric), key=lambda one: SEVERITIES.index(one.severity))
    rows = [tuple(getattr(one, name) for name in _COLUMNS) for one in found]
    return pd.DataFrame(rows, columns=list(_COLUMNS), dtype="object")


def _all(runs: RunSet, metric: str | None) -> Iterator[Finding]:
    if not len(runs):
        return
    yield from _ended_badly(runs, metric)
    yield from _not_finite(runs, metric)
    yield from _gone(runs)
    yield from _data(runs)
    yield from _was_better(runs, metric)
    yield from _nothing_logged(runs)
    yield from _twins(runs)
    yield from _unfinished(runs)
    yield from _commits(runs)


def _told(runs: RunSet, severity: Severity, sort: str, evidence: dict[str, str]) -> list[Finding]:
    """A finding a run (id -> evidence), or one for all of them past three."""
    labels = run_labels(runs)
    level: Level = "warning" if severity == "error" else "note"
    if len(evidence) <= _MOST_OF_A_SORT:
        return [
            Finding(
                severity=severity,
                level=level,
                run=run_id,
                what=f"{labels[run_id]} {sort}",
                evidence=text,
            )
            for run_id, text in evidence.items()
        ]
    named = ", ".join(labels[run_id] for run_id in list(evidence)[:_MOST_NAMED])
    what = f"{len(evidence):,} of {len(runs):,} runs {sort}"
    return [Finding(severity=severity, level=level, what=what, evidence=f"{named}, …")]


def _ended_badly(runs: RunSet, metric: str | None) -> Iterator[Finding]:
    values = {} if metric is None else last_values(runs, metric).to_dict()
    for status, sort in (("FAILED", "failed"), ("KILLED", "was killed")):
        evidence = {}
        here = runs.runs[runs.runs["status"] == status]
        for run_id, duration in here["duration"].items():
            lasted = how_long(duration)
            parts = [f"after {lasted}"] if lasted else []
            if run_id in values:
                parts.append(f"last {plain(metric)} {number(values[run_id])}")
            evidence[str(run_id)] = "; ".join(parts) or "when is not known"
        many = sort if len(evidence) <= _MOST_OF_A_SORT else sort.replace("was", "were")
        yield from _told(runs, "error", many, evidence)


def _not_finite(runs: RunSet, metric: str | None) -> Iterator[Finding]:
    if metric is None or metric not in runs.metric_names:
        return
    values = runs.metrics[metric][runs.logged[metric]]
    odd = values[~np.isfinite(values)]
    evidence = {
        str(run_id): f"last {plain(metric)} is {number(odd[run_id])}" for run_id in odd.index
    }
    yield from _told(runs, "error", "diverged", evidence)


def _unfinished(runs: RunSet) -> Iterator[Finding]:
    here = runs.runs[runs.runs["status"].isin(["RUNNING", "SCHEDULED"])]
    evidence = {
        str(run_id): "its values may still change, or nobody ended it" for run_id in here.index
    }
    many = "has not ended" if len(evidence) <= _MOST_OF_A_SORT else "have not ended"
    yield from _told(runs, "info", many, evidence)


def _gone(runs: RunSet) -> Iterator[Finding]:
    coverage = runs.coverage
    missing = coverage.missing
    if missing:
        yield Finding(
            severity="warning",
            what=f"{len(missing):,} runs are gone from the store",
            evidence=", ".join(one[:8] for one in missing[:_MOST_NAMED]),
        )
    for line in coverage.warnings:
        yield Finding(severity="warning", what="reading the runs gave a warning", evidence=line)


def _was_better(runs: RunSet, metric: str | None) -> Iterator[Finding]:
    """Runs whose metric fell back from its best: over-trained, or unstable."""
    way = None if metric is None else runs.direction(metric)
    if metric is None or way is None or metric not in runs.metric_names:
        return
    logged = [str(one) for one in runs.logged.index[runs.logged[metric]]]
    if len(logged) > _MOST_READ:
        return
    points = runs.history(metric, run_ids=logged)
    points = points[np.isfinite(points["value"])]
    evidence = {}
    for run_id, curve in points.groupby("run_id", sort=False):
        values = curve["value"].to_numpy()
        place = int(values.argmin() if way == "min" else values.argmax())
        first, best, last = (float(values[one]) for one in (0, place, -1))
        gained, lost = abs(first - best), abs(last - best)
        fell = lost > _FALLEN_BACK * gained or lost > max(_WORSE * abs(best), gained / 100)
        if len(values) >= _FEWEST_POINTS and fell and lost > 0:
            step = int(curve["step"].to_numpy()[place])
            evidence[str(run_id)] = (
                f"{plain(metric)} {number(best)} at step {step:,}, {number(last)} at its end"
            )
    many = "was" if len(evidence) <= _MOST_OF_A_SORT else "were"
    yield from _told(runs, "warning", f"{many} better before the end", evidence)


def _nothing_logged(runs: RunSet) -> Iterator[Finding]:
    parents = set(runs.runs["parent"].dropna())
    bare = ~runs.logged.any(axis=1)
    evidence = {
        str(run_id): "there is nothing to compare it by"
        for run_id in runs.runs.index[bare.to_numpy(dtype=bool)]
        if run_id not in parents
    }
    yield from _told(runs, "info", "logged no metric", evidence)


def _twins(runs: RunSet) -> Iterator[Finding]:
    """Runs of the same params and seed whose metrics are the same to the last digit."""
    seeds = [name for name in runs.params.columns if is_seed(str(name))]
    if not seeds or not runs.metrics.shape[1]:
        return
    model = [name for name in runs.metric_names if not is_system(name)]
    logged = runs.logged[model].any(axis=1)
    whole = [runs.params[logged].fillna(""), runs.metrics.loc[logged, model]]
    same = pd.concat([runs.runs.loc[logged, ["experiment_id"]], *whole], axis=1)
    repeats = same[same.duplicated(keep=False)]
    if len(repeats):
        labels = run_labels(runs)
        named = ", ".join(labels[str(one)] for one in repeats.index[:_MOST_NAMED])
        more = ", …" if len(repeats) > _MOST_NAMED else ""
        yield Finding(
            severity="info",
            what=f"{len(repeats):,} runs repeat one another: the same seed, params and metrics",
            evidence=named + more,
        )


def _data(runs: RunSet) -> Iterator[Finding]:
    from qualia_lab.analysis.lineage import different_data

    found = different_data(runs)
    if found is not None:
        yield Finding(severity="warning", what=found.what, evidence=found.evidence)


def _commits(runs: RunSet) -> Iterator[Finding]:
    commits = runs.runs["commit"].dropna()
    commits = commits[commits != ""]
    if commits.nunique() > 1:
        counts = commits.value_counts()
        shown = ", ".join(
            f"{plain(str(one)[:10])} ({count:,} run{'s' if count > 1 else ''})"
            for one, count in counts.head(_MOST_NAMED).items()
        )
        more = f", and {len(counts) - _MOST_NAMED:,} more" if len(counts) > _MOST_NAMED else ""
        yield Finding(
            severity="info",
            what=f"these runs come from {len(counts):,} commits",
            evidence=shown + more,
        )
