"""Runs made in memory, each of whose texts is whatever a test says: no store has to hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from qualia_lab import NotebookGenerator
from qualia_lab.manifest import Kind
from qualia_lab.model import Artifact, ArtifactList, Coverage, Query, RunSet, Selection, Traces
from qualia_lab.notebook.catalogue import Catalogue
from qualia_lab.notebook.generator import answers
from qualia_lab.text import whole

# What somebody else chooses of a run, and of how a notebook about it is asked for.
OF_RUNS = (
    *("experiment", "run name", "run id", "param key", "param value", "tag key", "tag value"),
    *("note", "artifact", "metric key", "data set", "user", "source", "status"),
)
OF_ASKING = ("title", "answer", "other answer", "third answer", "where", "name", "filter")
SLOTS = (*OF_RUNS, *OF_ASKING)
OTHER = "0f" * 16
_ANSWERS = {
    "drift": ("reference", "current", "table", "predictions", "label", "prediction"),
    "cost": ("by", "other_models", "summary_path"),
}
_TIME = pd.Timestamp("2026-01-01", tz="UTC")


class Kept(Catalogue):
    """The bundled kinds, read once: reading them takes longer than writing a notebook."""

    @cached_property
    def _kinds(self) -> dict[str, Kind]:
        return {}

    def kind(self, name: str) -> Kind:
        if name not in self._kinds:
            self._kinds[name] = super().kind(name)
        return self._kinds[name]


GENERATOR = NotebookGenerator(Kept())


class _Source:
    """Answers what a ``RunSet`` fetches: the metric's one point, one artifact, no traces."""

    def __init__(self, artifact: str) -> None:
        self._artifact = artifact

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
        rows = [(run, metric, 0, _TIME, 1.0) for run in run_ids for metric in metrics]
        return pd.DataFrame(rows, columns=["run_id", "metric", "step", "timestamp", "value"])

    def models(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame()

    def traces(self, experiment_ids: Sequence[str]) -> Traces:
        empty = pd.DataFrame(columns=["input_tokens", "output_tokens", "cost"])
        return Traces(traces=empty, tags=pd.DataFrame(), assessments=pd.DataFrame())

    def spans(self, experiment_ids: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(columns=["input_tokens", "output_tokens", "cost"])

    def artifacts(self, run_id: str) -> ArtifactList:
        return ArtifactList(files=(Artifact(path=self._artifact, size=1),))

    def read_artifact(self, run_id: str, path: str, most_bytes: int) -> bytes:
        return self._artifact.encode("utf-8", "replace")

    def read_input(self, source: str, most_bytes: int) -> bytes:
        return b""


def as_read(text: Mapping[str, str]) -> dict[str, str]:
    """The texts as they come in: readers leave no lone surrogates, but a person may type some.

    Of a query, what is empty was not asked.
    """
    found = {slot: whole(one) if slot in OF_RUNS else one for slot, one in text.items()}
    return found | {slot: found[slot] or " " for slot in ("where", "name", "filter")}


def runs_of(text: Mapping[str, str]) -> RunSet:
    """Two runs: one of which everything is hostile, and one that only has an id."""
    index = pd.Index([text["run id"], OTHER], name="run_id", dtype=object)

    times = pd.Series([_TIME, _TIME], index=index, dtype="datetime64[ms, UTC]")
    runs = pd.DataFrame(
        {
            "name": [text["run name"], "other"],
            "experiment": [text["experiment"]] * 2,
            "experiment_id": ["1", "1"],
            "status": [text["status"], "FINISHED"],
            "started": times,
            "ended": times,
            "duration": [pd.Timedelta(0)] * 2,
            "user": [text["user"], ""],
            "parent": [None, None],
            "source": [text["source"], ""],
            "commit": ["", ""],
            "dataset": [text["data set"], ""],
        },
        index=index,
    )
    tags = {text["tag key"]: [text["tag value"], None], "mlflow.note.content": [text["note"], None]}
    params = {"same": ["1", "1"], text["param key"]: [text["param value"], None]}
    metrics = {text["metric key"]: [1.0, 2.0]}
    datasets = pd.DataFrame(
        [(text["run id"], text["data set"], "d", "train", "local", '{"uri": "data.csv"}')],
        columns=["run_id", "name", "digest", "context", "source_type", "source"],
    )
    return RunSet(
        runs=runs,
        params=pd.DataFrame(params, index=index, dtype=object),
        metrics=pd.DataFrame(metrics, index=index),
        logged=pd.DataFrame({name: [True, True] for name in metrics}, index=index),
        tags=pd.DataFrame(tags, index=index, dtype=object),
        datasets=datasets,
        loaded=Coverage(runs=2, of_runs=2),
        source=_Source(text["artifact"]),
        experiments={"1": text["experiment"]},
    )


def asked(
    kind: str, text: Mapping[str, str], runs: RunSet, sections: Sequence[str], *, by_query: bool
) -> Selection:
    """How a person asks for a notebook about them, with an answer to each question of its kind."""
    given = dict.fromkeys(_ANSWERS.get(kind, ()), "")
    others = (text["answer"], text["other answer"], text["third answer"])
    given = {name: others[place % 3] for place, name in enumerate(given)}
    if kind == "observation":
        given = {
            "metric": text["metric key"], "group": text["param key"], "baseline": text["run id"]
        }  # fmt: skip
    elif kind == "drift":
        given["metric"] = text["metric key"]
    query = Query(
        experiment_ids=("1",), where=text["where"], name=text["name"], filter=text["filter"]
    )
    return Selection(
        tracking_uri="http://host.invalid",
        experiments=(text["experiment"],),
        run_ids=tuple(runs.runs.index),
        query=query if by_query else None,
        of_runs=len(runs),
        kind=kind,
        sections=tuple(sections),
        parameters=answers(GENERATOR.catalogue.kind(kind), given, runs),
        title=text["title"],
        output=Path("n.ipynb"),
    )
