"""The reader that works with every store MLflow can open: it asks ``MlflowClient``."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from qualia_lab.errors import NotFoundError, ServerError
from qualia_lab.model import ArtifactList, Experiment, Query, RunInfo
from qualia_lab.text import visible, whole
from qualia_lab.tracking import artifacts, boundary, frames, probe, uris
from qualia_lab.tracking.reader import Columns

if TYPE_CHECKING:
    import pandas as pd

_PAGE = 1000
# MLflow's filter parser slows down and then refuses on long lists.
_IDS_A_QUERY = 100
_THREADS = 8
_PARENT = "mlflow.parentRunId"
_NEWEST_FIRST = ("attributes.start_time DESC",)


class ClientReader:
    """Reads any store through ``MlflowClient``.

    Args:
        tracking_uri: without its password (``uris.enter``); it is found again to connect.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._artifact_uris: dict[str, str] = {}

    @cached_property
    def _client(self) -> Any:
        uris.require_local(self._uri)
        full = uris.to_connect(self._uri)
        if uris.store_type(self._uri) == "http":
            probe.probe(full)
        if uris.store_type(self._uri) == "sqlite":
            _require_mlflow_database(self._uri)
        with boundary.limits(), warnings.catch_warnings():
            # It warns in a notebook that it has no widgets to show its progress with.
            warnings.simplefilter("ignore")
            from mlflow import MlflowClient
        with boundary.translate(self._uri, "Opening"):
            return MlflowClient(tracking_uri=full)

    def experiments(self, *, deleted: bool) -> list[Experiment]:
        """As ``Reader.experiments``."""
        client = self._client
        view = 3 if deleted else 1  # ViewType.ALL, ViewType.ACTIVE_ONLY
        with boundary.translate(self._uri, "Listing the experiments of"):
            search = partial(client.search_experiments, view_type=view, max_results=_PAGE)
            pages = _pages(search, self._uri)
            found = [
                Experiment(
                    experiment_id=entity.experiment_id,
                    name=whole(entity.name),
                    active=entity.lifecycle_stage == "active",
                    updated=entity.last_update_time,
                )
                for entity in pages
            ]
        return sorted(found, key=lambda one: (-(one.updated or 0), one.name))

    def find(self, query: Query) -> list[RunInfo]:
        """As ``Reader.find``."""
        return [_run_info(run) for run in self._search(query)]

    def count(self, experiment_ids: Sequence[str]) -> int:
        """As ``Reader.count``."""
        return sum(1 for _ in self._search(Query(experiment_ids=tuple(experiment_ids))))

    def load(self, query: Query) -> Columns:
        """As ``Reader.load``."""
        columns = Columns()
        for run in self._search(query):
            _append(columns, run)
        return columns

    def history(self, pairs: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """As ``model.Source.history``."""
        client = self._client

        def points(pair: tuple[str, str]) -> list[tuple[str, str, int, int, float]]:
            run_id, metric = pair
            return [
                (run_id, metric, point.step, point.timestamp, point.value)
                for point in client.get_metric_history(run_id, metric)
            ]

        wanted = [(run_id, metric) for run_id, names in pairs.items() for metric in names]
        with boundary.translate(self._uri, "Reading metric histories of"):
            if uris.store_type(self._uri) != "http":
                return frames.history([point for pair in wanted for point in points(pair)])
            with ThreadPoolExecutor(_THREADS) as pool:
                return frames.history([p for each in pool.map(points, wanted) for p in each])

    def artifacts(self, run_id: str) -> ArtifactList:
        """As ``model.Source.artifacts``."""
        client = self._client
        with boundary.translate(self._uri, "Listing artifacts of"):
            return artifacts.listing(client, self._uri, self._artifact_uri(run_id), run_id)

    def read_artifact(self, run_id: str, path: str, most_bytes: int) -> bytes:
        """As ``model.Source.read_artifact``."""
        client = self._client
        with boundary.translate(self._uri, f"Reading {visible(path, 100)} from"):
            root = self._artifact_uri(run_id)
            return artifacts.content(client, self._uri, root, run_id, path, most_bytes)

    def _artifact_uri(self, run_id: str) -> str:
        if run_id not in self._artifact_uris:
            self._artifact_uris[run_id] = self._client.get_run(run_id).info.artifact_uri
        return self._artifact_uris[run_id]

    def _search(self, query: Query) -> Iterator[Any]:
        """The matching runs, each once, in order, from all pages."""
        client = self._client
        experiments = list(query.experiment_ids) or [
            one.experiment_id for one in self.experiments(deleted=False)
        ]
        seen: set[str] = set()
        for clause in _filters(query):
            with boundary.translate(self._uri, "Reading the runs of"):
                search = partial(
                    client.search_runs,
                    experiments,
                    filter_string=clause,
                    max_results=_PAGE,
                    order_by=list(query.order_by or _NEWEST_FIRST),
                )
                for run in _pages(search, self._uri):
                    if query.top is not None and len(seen) >= query.top:
                        return
                    if run.info.run_id in seen:
                        continue
                    seen.add(run.info.run_id)
                    self._artifact_uris[run.info.run_id] = run.info.artifact_uri
                    yield run


def _pages(fetch: Callable[..., Any], uri: str) -> Iterator[Any]:
    """Every item of every page; a token that comes back would make MLflow loop for ever."""
    token: str | None = None
    seen: set[str] = set()
    while True:
        page = fetch(page_token=token)
        yield from page
        token = page.token or None
        if token is None:
            return
        if token in seen:
            raise ServerError(
                f"{visible(uri, 200)} repeats a page of its answer without end",
                hint="This is a fault of the server or a proxy; what it holds can't be read whole.",
            )
        seen.add(token)


def _filters(query: Query) -> Iterator[str]:
    """MLflow filters that together ask for the query, one for each batch of run ids.

    Only typed fields and the person's own ``filter`` go in: MLflow has no quote escape.
    """
    clauses = []
    if query.statuses:
        listed = ", ".join(f"'{status}'" for status in query.statuses)
        clauses.append(f"attributes.status IN ({listed})")
    if query.since:
        clauses.append(f"attributes.start_time >= {int(query.since.timestamp() * 1000)}")
    if query.until:
        clauses.append(f"attributes.start_time <= {int(query.until.timestamp() * 1000)}")
    if query.filter:
        clauses.append(query.filter)
    if query.run_ids is None:
        yield " AND ".join(clauses)
        return
    plain = [run_id for run_id in query.run_ids if run_id.isalnum()]
    for start in range(0, len(plain), _IDS_A_QUERY):
        listed = ", ".join(f"'{run_id}'" for run_id in plain[start : start + _IDS_A_QUERY])
        yield " AND ".join([*clauses, f"attributes.run_id IN ({listed})"])


def _run_info(run: Any) -> RunInfo:
    return RunInfo(
        run_id=run.info.run_id,
        name=whole(run.info.run_name or ""),
        experiment_id=run.info.experiment_id,
        status=run.info.status,
        started=run.info.start_time,
        ended=run.info.end_time,
        parent=run.data.tags.get(_PARENT),
        metrics=dict(run.data.metrics),
    )


def _append(columns: Columns, run: Any) -> None:
    info, data = run.info, run.data
    columns.run_id.append(info.run_id)
    columns.name.append(info.run_name or "")
    columns.experiment_id.append(info.experiment_id)
    columns.status.append(info.status)
    columns.started.append(info.start_time)
    columns.ended.append(info.end_time)
    columns.user.append(info.user_id or None)
    columns.params.extend((info.run_id, key, value) for key, value in data.params.items())
    columns.metrics.extend((info.run_id, key, value) for key, value in data.metrics.items())
    columns.tags.extend((info.run_id, key, value) for key, value in data.tags.items())
    for entry in run.inputs.dataset_inputs if run.inputs else []:
        context = next((tag.value for tag in entry.tags if tag.key == "mlflow.data.context"), None)
        one = entry.dataset
        columns.datasets.append((info.run_id, one.name, one.digest, context, one.source_type))


def _require_mlflow_database(uri: str) -> None:
    """Raise for a SQLite file that MLflow would fill or migrate rather than read."""
    path = uris.sqlite_path(uri)
    shown = visible(str(path), 300)
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            revision = None
            if {"alembic_version", "experiments", "runs"} <= tables:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                revision = row[0] if row else None
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise NotFoundError(f"{shown} can't be read as a SQLite database: {error}") from error
    if revision is None:
        raise NotFoundError(
            f"{shown} is a SQLite database, but not an MLflow store",
            hint="Check --tracking-uri.",
        )
    _require_this_schema(uri, str(revision))


def _require_this_schema(uri: str, revision: str) -> None:
    """MLflow migrates an older database when it opens it; that is the owner's to decide."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("mlflow")
    folder = Path(str(spec.origin)).parent / "store/db_migrations/versions" if spec else Path()
    known = [path.name.partition("_")[0] for path in folder.glob("*.py")]
    newest = _head(folder) if known else None
    if newest is None or revision == newest:
        return
    if revision in known:
        raise ServerError(
            f"{visible(uri, 200)} was written by an older MLflow (schema {visible(revision, 40)})",
            hint=f"Nothing is migrated here. Back it up; mlflow db upgrade {visible(uri, 200)}",
        )
    raise ServerError(
        f"{visible(uri, 200)} was written by a newer MLflow (schema {visible(revision, 40)})",
        hint="Install the MLflow that wrote it: pip install --upgrade mlflow",
    )


def _head(folder: Any) -> str | None:
    """The newest revision among Alembic's scripts: the one that no other one follows."""
    import re

    line = re.compile(r"^(down_revision|revision)\s*=\s*[\"']([^\"']+)", re.MULTILINE)
    revisions: set[str] = set()
    followed: set[str] = set()
    for path in folder.glob("*.py"):
        for name, value in line.findall(path.read_text(encoding="utf-8")):
            (revisions if name == "revision" else followed).add(value)
    heads = revisions - followed
    return heads.pop() if len(heads) == 1 else None
