"""Where runs come from and what became of them: data, code, environments, models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import pandas as pd

from qualia_lab.analysis.labels import plain, run_labels, when
from qualia_lab.analysis.show import Note
from qualia_lab.errors import QualiaError
from qualia_lab.manifest import FACTS
from qualia_lab.model import RunSet

_MOST_ROWS = 60
_MOST_NAMED = 3
_MOST_SAID = 4
_CHARACTERS = 60
_BRANCH, _REPO = "mlflow.source.git.branch", "mlflow.source.git.repoURL"
_DIRTY, _DIFF = "mlflow.source.git.dirty", "mlflow.source.git.diff"
_SHORT_COMMIT = 10


def models(runs: RunSet) -> pd.DataFrame | Note:
    """The models that these runs logged or registered, the newest first.

    Returns:
        A row a model and version of it, at most 60 (how many there are is said over the index):
        ``run``, ``type``, ``status`` (where one is not READY), ``registered`` (its name in the
        registry), ``version``, ``stage``, ``aliases`` and ``created (UTC)``; columns without any
        value are left out. A note where there is none, or where they can't be read.
    """
    try:
        found = runs.models
    except QualiaError as error:
        return Note(f"The models could not be read: {error}")
    if found.empty:
        how = 'To log one: mlflow.sklearn.log_model(model, name="model")'
        return Note(f"None of these runs logged or registered a model.\n{how}")
    found = found.sort_values("created", ascending=False, kind="stable", na_position="last")
    kept = found.head(_MOST_ROWS)
    labels = run_labels(runs)
    table = pd.DataFrame(
        {
            "run": [labels.get(run_id, plain(run_id)) for run_id in kept["run_id"]],
            **{name: [_text(value) for value in kept[name]] for name in ("type", "status")},
            "registered": [_text(value) for value in kept["registered"]],
            "version": kept["version"].array,
            **{name: [_text(value) for value in kept[name]] for name in ("stage", "aliases")},
            "created (UTC)": [when(time) for time in kept["created"]],
        },
        index=pd.Index([_text(name) or "(no name)" for name in kept["name"]], dtype="object"),
    )
    if set(kept["status"].dropna()) <= {"READY"}:
        table = table.drop(columns="status")
    table = table.drop(columns=[name for name in table if not table[name].map(_is_there).any()])
    return table.rename_axis(columns=_of(len(kept), len(found), "model"))


def datasets(runs: RunSet) -> pd.DataFrame | Note:
    """The data sets that these runs logged as inputs, those that most runs used first.

    Returns:
        A row a name and digest, at most 60 (how many there are is said over the index):
        ``digest``, ``context``, ``source`` (its type), ``runs`` (how many of all) and ``which``,
        the first three of them. A note where there is none.
    """
    if runs.datasets.empty:
        return _missing("datasets")
    labels = run_labels(runs)
    frame = runs.datasets.fillna({"name": "", "digest": ""})
    grouped = frame.groupby(["name", "digest"], sort=False)
    users = grouped["run_id"].nunique().sort_values(ascending=False, kind="stable")
    places = grouped.indices
    rows = []
    for name, digest in users.index[:_MOST_ROWS]:
        mine = frame.iloc[places[name, digest]]
        ids = list(dict.fromkeys(mine["run_id"]))
        rows.append(
            {
                "digest": plain(digest),
                "context": _each(mine["context"]),
                "source": _each(mine["source_type"]),
                "runs": len(ids),
                "which": _named([labels[run_id] for run_id in ids]),
            }
        )
    names = [plain(name, _CHARACTERS) or "(no name)" for name, _ in users.index[:_MOST_ROWS]]
    table = pd.DataFrame(rows, index=pd.Index(names, dtype="object"))
    return table.rename_axis(columns=_of(len(rows), len(users), "data set"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDifference:
    """That runs used different data.

    ``what`` and ``evidence`` are plain words. ``changed`` maps (name, context) of data sets that
    were not the same in all runs to their digests, each with how many runs used it; ``apart`` has
    the names of data in each group of runs that have none in common, with how many runs are in it;
    ``without`` is how many runs logged no data set.
    """

    what: str
    evidence: str
    changed: Mapping[tuple[str, str], Mapping[str, int]]
    apart: Mapping[tuple[str, ...], int]
    without: int


def different_data(runs: RunSet) -> DataDifference | None:
    """Whether runs used different data, as data; None where they did not, or nothing tells.

    They did where a data set of the same name and context has another digest in another run, or
    where runs have no data set in common (by name or by digest). A run that logged no data set
    counts for neither.
    """
    frame = runs.datasets.fillna({"context": "", "name": "", "digest": ""})
    if frame["run_id"].nunique() < 2:
        return None
    used: dict[tuple[str, str], dict[str, set[str]]] = {}
    rows = zip(*(frame[name] for name in ("name", "context", "run_id", "digest")), strict=True)
    for name, context, run_id, digest in rows:
        used.setdefault((name, context), {}).setdefault(run_id, set()).add(digest)
    changed: dict[tuple[str, str], dict[str, int]] = {
        what: dict(
            Counter(digest for digests in by_run.values() for digest in digests).most_common()
        )
        for what, by_run in used.items()
        if len({frozenset(digests) for digests in by_run.values()}) > 1
    }
    apart = _apart(frame)
    if not changed and len(apart) < 2:
        return None
    without = len(runs) - frame["run_id"].nunique()
    return DataDifference(
        what="these runs used different data; their metrics can't be compared as if alike",
        evidence=_evidence(changed, apart, without),
        changed=changed,
        apart=apart if len(apart) > 1 else {},
        without=without,
    )


def dataset_warning(runs: RunSet) -> Note | None:
    """``different_data`` as a sentence or two; None where there is nothing to warn of."""
    found = different_data(runs)
    if found is None:
        return None
    said = f"These runs used different data: {found.evidence}"
    return Note(f"{said}; their metrics can't be compared as if alike.")


def _apart(frame: pd.DataFrame) -> dict[tuple[str, ...], int]:
    """The groups of runs that have no data in common: names of their data -> how many runs."""
    leader: dict[tuple[str, str], tuple[str, str]] = {}

    def find(one: tuple[str, str]) -> tuple[str, str]:
        leader.setdefault(one, one)
        while leader[one] != one:
            leader[one] = leader[leader[one]]
            one = leader[one]
        return one

    for run_id, name, digest in zip(frame["run_id"], frame["name"], frame["digest"], strict=True):
        run = find(("run", run_id))
        for other in (("name", name), ("digest", digest)):
            if other[1]:
                leader[find(other)] = run
    group = pd.Series([find(("run", run_id)) for run_id in frame["run_id"]], index=frame.index)
    found: dict[tuple[str, ...], int] = {}
    for _, mine in frame.groupby(group, sort=False):
        names = tuple(dict.fromkeys(mine["name"]))
        found[names] = found.get(names, 0) + int(mine["run_id"].nunique())
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _evidence(
    changed: Mapping[tuple[str, str], Mapping[str, int]],
    apart: Mapping[tuple[str, ...], int],
    without: int,
) -> str:
    said = []
    if len(apart) > 1:
        groups = [f"{_named([plain(n) for n in names])} ({_runs(n)})" for names, n in apart.items()]
        said.append(f"{_some(groups)} have nothing in common")
    differing = [
        f"{plain(name)}{f' ({plain(context)})' if context else ''} in {len(digests):,} versions, "
        + _some([f"{plain(digest, 12)} in {_runs(n)}" for digest, n in digests.items()])
        for (name, context), digests in changed.items()
    ]
    said += [_some(differing, "; ")] if differing else []
    said += [f"{_runs(without)} logged no data set"] if without else []
    return "; ".join(said)


def code_versions(runs: RunSet) -> pd.DataFrame | Note:
    """The git commits that the runs came from, those of most runs first.

    Returns:
        A row a commit: ``branch``, ``changed`` (whether the files differed from the commit, where
        logged), ``source`` (what was run), ``repository`` (without a password), ``runs`` (how
        many) and ``which``; columns without any value are left out, and runs without a commit have
        a row of their own. A note where no run logged a commit.
    """
    commits = runs.runs["commit"].fillna("")
    if not (commits != "").any():
        sources = Counter(plain(one) for one in runs.runs["source"].dropna() if one)
        ran = _some([f"{name} ({_runs(n)})" for name, n in sources.most_common()])
        why = "No run logged a git commit"
        how = "MLflow does where the code that runs lies in a git checkout, with GitPython there."
        return Note(f"{why}{f'; they ran {ran}' if ran else ''}.\n{how}")
    labels = run_labels(runs)
    tags = runs.tags.reindex(columns=[_BRANCH, _REPO, _DIRTY, _DIFF]).astype(object)
    counts = commits.value_counts(sort=False).sort_values(ascending=False, kind="stable")
    rows = []
    for commit in counts.index[:_MOST_ROWS]:
        ids = commits.index[commits == commit]
        mine = tags.loc[ids]
        rows.append(
            {
                "branch": _each(mine[_BRANCH]),
                "changed": _changed(mine[_DIRTY], mine[_DIFF]),
                "source": _each(runs.runs.loc[ids, "source"]),
                "repository": _each(_without_password(one) for one in mine[_REPO]),
                "runs": len(ids),
                "which": _named([labels[str(run_id)] for run_id in ids]),
            }
        )
    names = [plain(one)[:_SHORT_COMMIT] or "not logged" for one in counts.index[:_MOST_ROWS]]
    table = pd.DataFrame(rows, index=pd.Index(names, dtype="object"))
    table = table.drop(columns=[name for name in table if not table[name].map(_is_there).any()])
    known = len(counts) - ("" in counts.index)
    return table.rename_axis(columns=_of(len(rows), known, "commit"))


def _changed(dirty: pd.Series[str], diffs: pd.Series[str]) -> str:
    """Whether files differed from the commit; MLflow has tags for it, but seldom on a run."""
    told = dirty.notna() | diffs.notna()
    if not told.any():
        return ""
    yes = int(((dirty.str.lower() == "true") | (diffs.fillna("") != "")).sum())
    no, unknown = int(told.sum()) - yes, int((~told).sum())
    if len(dirty) in (yes, no):
        return "yes" if yes else "no"
    counts = {"yes": yes, "no": no, "not logged": unknown}
    return ", ".join(f"{word} ({_runs(count)})" for word, count in counts.items() if count)


def _without_password(url: object) -> str:
    if not isinstance(url, str):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _text(value: object) -> str:
    return plain(value, _CHARACTERS)


def _is_there(value: object) -> bool:
    return value is not pd.NA and value == value and value != ""


def _each(values: Iterable[object]) -> str:
    """Each value that is there once, most frequent first, with commas between."""
    counts = Counter(value for value in values if isinstance(value, str) and value)
    return _some([plain(value) for value, _ in counts.most_common()])


def _named(names: Sequence[str]) -> str:
    return _some([plain(name) for name in names], most=_MOST_NAMED)


def _some(parts: Sequence[str], between: str = ", ", most: int = _MOST_SAID) -> str:
    """The first few, and how many more there are."""
    more = f"{between}{len(parts) - most:,} more" if len(parts) > most else ""
    return between.join(parts[:most]) + more


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


def _of(shown: int, count: int, noun: str) -> str:
    of = f"{shown:,} of " if shown < count else ""
    return f"{of}{count:,} {noun}{'' if count == 1 else 's'}"


def _missing(fact: str) -> Note:
    return Note(f"{FACTS[fact].missing}\nTo log one: {FACTS[fact].how}")
