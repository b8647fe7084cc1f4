"""The versions of packages that runs were made with, where they logged them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from qualia_lab.analysis.artifacts import how_many, left_out, listed
from qualia_lab.analysis.labels import distinct, plain, run_labels
from qualia_lab.analysis.show import Note
from qualia_lab.errors import QualiaError
from qualia_lab.model import RunSet

_FILES = ("requirements.txt", "conda.yaml", "python_env.yaml")
_MOST_RUNS, _MOST_FILES, _MOST_BYTES = 12, 6, 200_000
_MOST_PACKAGES = 60
# "numpy==2.1", "- numpy[extra]==2.1; python_version > '3'", and conda's "- python=3.11".
_PINNED = re.compile(
    r"[-\s'\"]*([A-Za-z0-9][\w.-]{0,80})\s*(?:\[[^\]]*\])?\s*={1,2}\s*([\w.+!*-]+)"
)
_PYTHON = re.compile(r"python:\s*['\"]?([\w.+-]+)")
_Versions = dict[str, set[str]]


def environments(runs: RunSet) -> pd.DataFrame | Note:
    """Packages that runs had in different versions, from the lists among their artifacts.

    Read are the pinned versions (``==``) of files named requirements.txt, conda.yaml or
    python_env.yaml, as MLflow before 3 stores them with a model; MLflow 3 keeps a model's files
    apart from its run's, where they are not looked for.

    Returns:
        A row a package of which two runs pin different versions, a column a run, at most 12 runs
        and 60 packages; empty where a run does not pin it. What is left out, and how many packages
        some run does not pin at all, is said over the index. A note where all agree, where fewer
        than two runs have such a list, and why.
    """
    found = listed(runs, [str(run_id) for run_id in runs.runs.index])
    files = {
        run_id: [path for path in paths if path.rpartition("/")[2] in _FILES]
        for run_id, paths in found.files.items()
    }
    having = [run_id for run_id, paths in files.items() if paths]
    problems = list(found.told)
    pinned: dict[str, _Versions] = {}
    for run_id in having[:_MOST_RUNS]:
        versions = _versions(runs, run_id, files[run_id], problems)
        if versions:
            pinned[run_id] = versions
    if len(pinned) < 2:
        return _too_few(runs, len(pinned), problems)
    if len(pinned) < len(having):
        problems.append(f"{len(pinned)} of {how_many(len(having))} with such a list")
    return _table(runs, pinned, problems)


def _table(runs: RunSet, pinned: dict[str, _Versions], problems: list[str]) -> pd.DataFrame | Note:
    names = sorted({name for versions in pinned.values() for name in versions})
    spelled = {
        name: [" and ".join(sorted(one.get(name, ()))) for one in pinned.values()] for name in names
    }
    differing = [name for name, cells in spelled.items() if len({*cells} - {""}) > 1]
    partial = sum("" in cells for cells in spelled.values())
    lacking = [f"{partial:,} packages not pinned in every run"] if partial else []
    if not differing:
        same = f"{how_many(len(pinned))} pin the same versions of {len(names):,} packages."
        return Note("\n".join([same, *left_out([*lacking, *problems])]))
    kept = differing[:_MOST_PACKAGES]
    labels = run_labels(runs)
    table = pd.DataFrame(
        [spelled[name] for name in kept],
        index=pd.Index(kept, dtype="object"),
        columns=distinct([plain(labels[run_id]) for run_id in pinned]),
    )
    shown = f"{len(kept):,} of " if len(kept) < len(differing) else ""
    about = f"{shown}{len(differing):,} of {len(names):,} packages differ"
    return table.rename_axis(columns="; ".join([about, *lacking, *problems]))


def _too_few(runs: RunSet, having: int, problems: list[str]) -> Note:
    who = "One run has" if having else "None of these runs has"
    said = [f"{who} a list of packages among its artifacts ({', '.join(_FILES)})."]
    try:
        models = runs.models
        apart = int(models.loc[models["model_id"].notna(), "run_id"].nunique())
    except QualiaError:
        apart = 0
    if apart:
        said.append(
            f"{how_many(apart)} logged a model with MLflow 3, which keeps such a list with the "
            "model, not with the run; it is not read here."
        )
    how = 'To log one: mlflow.log_artifact("requirements.txt")'
    return Note("\n".join([*said, *left_out(problems), how]))


def _versions(runs: RunSet, run_id: str, paths: list[str], problems: list[str]) -> _Versions:
    found: _Versions = {}
    label = plain(run_labels(runs)[run_id])
    if len(paths) > _MOST_FILES:
        problems.append(f"{_MOST_FILES} of {len(paths):,} lists of {label} read")
    for path in paths[:_MOST_FILES]:
        try:
            content = runs.read_artifact(run_id, path, _MOST_BYTES)
        except QualiaError as error:
            problems.append(f"{plain(path, 100)} of {label}: {plain(str(error), 200)}")
            continue
        for name, version in _pins(content.decode("utf-8", "replace")):
            found.setdefault(name, set()).add(version)
    return found


def _pins(text: str) -> Iterator[tuple[str, str]]:
    """Names, spelled as PEP 503 has them, and versions."""
    for line in text.splitlines():
        python = _PYTHON.match(line[:200])
        if python:
            yield "python", python[1]
        elif pin := _PINNED.match(line[:200]):
            yield re.sub(r"[-_.]+", "-", pin[1]).lower(), plain(pin[2], 24)
