"""What the command, the notebook and other people's code ask a tracking store through."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qualia_lab.errors import NotFoundError, UsageError, known_list
from qualia_lab.model import (
    ArtifactList,
    Experiment,
    Query,
    RunInfo,
    RunSet,
    Selection,
    Traces,
)
from qualia_lab.text import visible
from qualia_lab.tracking import (
    artifacts,
    assessments,
    frames,
    models,
    probe,
    schemas,
    selecting,
    session,
    spans,
    traces,
    uris,
)
from qualia_lab.tracking.client import ClientReader
from qualia_lab.tracking.http import HttpReader
from qualia_lab.tracking.reader import Progress, Reader, unseen
from qualia_lab.tracking.sql import SqlReader

if TYPE_CHECKING:
    import pandas as pd

_SHORTEST_PREFIX = 4
_SLOW = "read through MLflow, which is slower: "
_RUN_ID_LENGTH = 32
# Runs whose ids are compared with one that is unknown, to say which was meant.
_MOST_COMPARED = 1000


class ArtifactExplorer:
    """Experiments, runs and artifacts of one tracking store; it only reads.

    Args:
        tracking_uri: any URI MLflow knows; by default ``MLFLOW_TRACKING_URI``, then MLflow's own
            default. A password in it is split off and kept in the environment alone.

    Every method raises ``QualiaError``: ``ServerError`` for a store that does not answer,
    ``NotAllowedError`` where it refuses, ``NotFoundError`` for what does not exist.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.tracking_uri = uris.enter(tracking_uri or uris.default())
        # Now, since the environment holds the password of one store only: the last that came in.
        self._client = ClientReader(self.tracking_uri)

    @cached_property
    def _reader(self) -> Reader:
        reader, self._note = choose(self._client)
        return reader

    @cached_property
    def _all_experiments(self) -> list[Experiment]:
        return self._reader.experiments(deleted=True)

    def experiments(self, *, deleted: bool = False) -> list[Experiment]:
        """The experiments, the one with the newest activity first; deleted ones on request."""
        return [one for one in self._all_experiments if deleted or one.active]

    def experiment(self, name_or_id: str) -> Experiment:
        """The active experiment of that name, or else of that id."""
        active = self.experiments()
        for found in (
            [one for one in active if one.name == name_or_id],
            [one for one in active if one.experiment_id == name_or_id],
        ):
            if found:
                return found[0]
        known = known_list(name_or_id, (one.name for one in active))
        raise NotFoundError(f"no experiment {visible(name_or_id, 100)}", hint=known)

    def runs(self, query: Query) -> list[RunInfo]:
        """The runs that match, all of them, newest first unless the query orders otherwise."""
        if selecting.is_plain(query):
            return self._reader.find(query)
        ids = [str(run) for run in self.load(query).runs.index]
        of_id = {run.run_id: run for run in self._reader.find(Query(run_ids=tuple(ids)))}
        return [of_id[run] for run in ids if run in of_id]

    def count(self, query: Query) -> int | None:
        """How many runs match, whatever ``top``; None if only reading them all would tell."""
        if selecting.is_plain(query):
            return self._reader.count(query)
        return len(self.load(replace(query, top=None)))

    def counts(self) -> dict[str, int] | None:
        """How many active runs each active experiment holds that has any, by its id; None if only
        reading them all would tell."""
        return self._reader.counts()

    @property
    def server_version(self) -> str:
        """The version of MLflow that a server says it has; empty for a store without one."""
        is_server = isinstance(self._reader, HttpReader)
        return probe.probe(self._client.full_uri) if is_server else ""

    def run_ids(self, given: Sequence[str], experiment_ids: Sequence[str] = ()) -> list[str]:
        """Full run ids of what may be prefixes, in the order given, each once.

        Raises:
            UsageError: a prefix of under 4 characters, or one that fits several runs.
            NotFoundError: no run begins with it.
        """
        for one in given:
            if not one.isalnum() or len(one) < _SHORTEST_PREFIX:
                raise UsageError(
                    f"{visible(one, 60) or 'an empty string'} is no run id",
                    hint=f"Give a run id or its first {_SHORTEST_PREFIX} characters or more.",
                )
        within = tuple(experiment_ids)
        whole = [one for one in given if len(one) >= _RUN_ID_LENGTH]
        found: dict[str, list[str]] = {}
        if whole:
            query = Query(experiment_ids=within, run_ids=tuple(whole))
            found = {run.run_id: [run.run_id] for run in self._reader.find(query)}
        for prefix in dict.fromkeys(one for one in given if one not in whole):
            like = Query(experiment_ids=within, run_id_prefix=prefix)
            found[prefix] = [run.run_id for run in self._reader.find(like)]
        for one in given:
            if not found.get(one):
                raise self._no_run(one, within)
        return list(dict.fromkeys(_only(one, found[one]) for one in given))

    def _no_run(self, given: str, within: tuple[str, ...]) -> NotFoundError:
        newest = self._reader.find(Query(experiment_ids=within, top=_MOST_COMPARED))
        known = known_list(given, (run.run_id for run in newest))
        return NotFoundError(f"no run {visible(given, 60)}", hint=known)

    def artifacts(self, run_id: str) -> ArtifactList:
        """The files that a run logged."""
        return self._reader.artifacts(run_id)

    def load(self, selection: Selection | Query, progress: Progress = unseen) -> RunSet:
        """The chosen runs as frames; runs that are gone are named in ``RunSet.coverage``.

        Args:
            selection: which runs.
            progress: told how many were read, and about which share of the work is done.
        """
        query = selection if isinstance(selection, Query) else Query(run_ids=selection.run_ids)
        found = self._load(selecting.for_store(query), progress)
        whole = Query(experiment_ids=query.experiment_ids)
        return selecting.chosen(query, found, lambda: self._load(whole))

    def _load(self, query: Query, progress: Progress = unseen) -> RunSet:
        columns = self._reader.load(query, progress)
        names = {one.experiment_id: one.name for one in self._all_experiments}
        looked_in = query.experiment_ids
        if not looked_in and query.run_ids is None:
            looked_in = tuple(one.experiment_id for one in self.experiments())
        if self._note:
            columns = replace(columns, warnings=(*columns.warnings, self._note))
        return frames.run_set(
            columns,
            source=_Source(self._reader, self._client),
            experiments=names,
            looked_in=looked_in,
            run_ids=query.run_ids,
        )


def prepare() -> None:
    """Import now what reading a store would import on first use."""
    import pandas  # noqa: F401
    import pyarrow  # noqa: F401
    import requests  # noqa: F401
    import sqlalchemy  # noqa: F401


class _Source:
    """A reader as the source of a ``RunSet``."""

    def __init__(self, reader: Reader, client: ClientReader) -> None:
        self._reader = reader
        self._client = client
        self.artifacts = reader.artifacts
        self.read_artifact = reader.read_artifact

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
        """As ``model.Source.history``."""
        return frames.history(self._reader.history(run_ids, metrics), run_ids)

    def read_input(self, source: str, most_bytes: int) -> bytes:
        """As ``model.Source.read_input``."""
        return artifacts.input_content(self._client.tracking_uri, source, most_bytes)

    def models(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> pd.DataFrame:
        """As ``model.Source.models``."""
        # A registry of its own is MLflow's to find.
        reader = self._client if os.environ.get(uris.REGISTRY_VARIABLE) else self._reader
        return models.frame(reader.models(run_ids, experiment_ids), run_ids)

    def traces(self, experiment_ids: Sequence[str]) -> Traces:
        """As ``model.Source.traces``."""
        found = self._reader.traces(experiment_ids)
        return Traces(
            traces=traces.frame(found.traces),
            tags=traces.tags_frame(found.tags),
            assessments=assessments.frame(found.assessments),
        )

    def spans(self, experiment_ids: Sequence[str]) -> pd.DataFrame:
        """As ``model.Source.spans``."""
        return spans.frame(self._reader.spans(experiment_ids))


def choose(client: ClientReader) -> tuple[Reader, str]:
    """The fastest reader for the store of a client, and a line where it is not the one meant."""
    uri = client.tracking_uri
    kind = uris.store_type(uri)
    if kind == "http":
        unable = session.cannot_serve()
        return (client, _SLOW + unable) if unable else (HttpReader(client), "")
    uris.require_local(uri)
    if kind == "sqlite":
        schemas.require_sqlite_store(uri)
    if kind not in ("sqlite", "database"):
        return client, ""
    sql = SqlReader(client)
    unknown = sql.unknown()
    return (client, _SLOW + unknown) if unknown else (sql, "")


def load(tracking_uri: str, run_ids: Sequence[str] | Mapping[str, Any]) -> RunSet:
    """What a notebook calls: these runs of that store, as frames.

    Args:
        tracking_uri: without a password; where ``MLFLOW_TRACKING_URI`` holds the same URI with
            one, that is used, and MLflow's own variables for credentials count as ever.
        run_ids: in the order that they should have. Or a query, where there are too many to name:
            the fields of ``model.Query`` as ``selecting.plain_query`` writes them, ``until`` (ms
            since the epoch) so that later runs stay out, and ``matched``, how many there were when
            the notebook was made.

    Raises:
        NotFoundError: none of the runs is there.
        UsageError: a key of the query is unknown.
    """
    explorer = ArtifactExplorer(tracking_uri)
    if isinstance(run_ids, Mapping):
        return _matching(explorer, run_ids)
    loaded = explorer.load(Query(run_ids=tuple(run_ids)))
    if not len(loaded):
        raise NotFoundError(
            f"none of the {len(run_ids):,} runs is in {visible(explorer.tracking_uri, 200)}",
            hint="Were they deleted, or is tracking_uri another store than it was?",
        )
    return loaded


def _matching(explorer: ArtifactExplorer, wanted: Mapping[str, Any]) -> RunSet:
    loaded = explorer.load(selecting.query_of(wanted))
    before, now = wanted.get("matched"), len(loaded)
    if not now and before != 0:
        raise NotFoundError(
            f"no run of {visible(explorer.tracking_uri, 200)} matches any more",
            hint="Were they deleted, or is tracking_uri another store than it was?",
        )
    if before is None or before == now:
        return loaded
    changed = f"{now:,} runs match now; {before:,} did when this notebook was made"
    coverage = replace(loaded.loaded, warnings=(*loaded.loaded.warnings, changed))
    return replace(loaded, loaded=coverage)


def _only(given: str, found: Sequence[str]) -> str:
    if len(found) > 1:
        raise UsageError(f"{given} fits {len(found):,} runs", hint=known_list(given, found))
    return found[0]
