"""The reader that works with every store MLflow can open: it asks ``MlflowClient``."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from qualia_lab.errors import UsageError, known_list
from qualia_lab.model import STATUSES, ArtifactList, Experiment, Query, RunInfo
from qualia_lab.moments import first_ms, last_ms
from qualia_lab.text import visible, whole
from qualia_lab.tracking import (
    artifacts,
    boundary,
    frames,
    models,
    probe,
    reader,
    schemas,
    spans,
    traces,
    uris,
)
from qualia_lab.tracking.reader import Columns, Progress, unseen
from qualia_lab.tracking.traces import Traced

if TYPE_CHECKING:
    import pyarrow as pa

_PAGE = 1000
_TRACES_PAGE = 500
# MLflow's filter parser slows down and then refuses on long lists.
IDS_A_QUERY = 100
_THREADS = 8
_PARENT = "mlflow.parentRunId"
_NEWEST_FIRST = ("attributes.start_time DESC",)


class ClientReader:
    """Reads any store through ``MlflowClient``.

    Args:
        tracking_uri: without its password (``uris.enter``); it is found again to connect.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        # Now, since the environment holds the password of one store only: the last that came in.
        self.full_uri = uris.to_connect(tracking_uri)
        self._artifact_uris: dict[str, str] = {}

    @cached_property
    def _client(self) -> Any:
        uris.require_local(self.tracking_uri)
        full = self.full_uri
        if uris.store_type(self.tracking_uri) == "http":
            probe.probe(full)
        if uris.store_type(self.tracking_uri) == "sqlite":
            revision = schemas.require_sqlite_store(self.tracking_uri)
            schemas.require_installed_schema(self.tracking_uri, revision)
        with boundary.limits(), warnings.catch_warnings():
            # It warns in a notebook that it has no widgets to show its progress with.
            warnings.simplefilter("ignore")
            from mlflow import MlflowClient
        with boundary.translate(self.tracking_uri, "Opening"):
            return MlflowClient(tracking_uri=full)

    def experiments(self, *, deleted: bool) -> list[Experiment]:
        """As ``Reader.experiments``."""
        client = self._client
        view = 3 if deleted else 1  # ViewType.ALL, ViewType.ACTIVE_ONLY
        with boundary.translate(self.tracking_uri, "Listing the experiments of"):
            search = partial(client.search_experiments, view_type=view, max_results=_PAGE)
            pages = _pages(search, self.tracking_uri)
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
        found = [_run_info(run) for run in self._search(query)]
        if query.run_ids is not None and not query.order_by:
            found.sort(key=lambda run: (-(run.started or 0), run.run_id))
        return found

    def count(self, query: Query) -> int:
        """As ``Reader.count``."""
        return sum(1 for _ in self._search(replace(query, top=None)))

    def counts(self) -> dict[str, int]:
        """As ``Reader.counts``."""
        return Counter(run.info.experiment_id for run in self._search(Query()))

    def ids(self, query: Query) -> list[str]:
        """The ids of the runs that match, in the order asked for."""
        return [run.info.run_id for run in self._search(query)]

    def load(self, query: Query, progress: Progress = unseen) -> Columns:
        """As ``Reader.load``."""
        found = []
        for run in self._search(query):
            found.append(run)
            if len(found) % _PAGE == 0:
                progress(len(found), None)
        return _columns(found)

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pa.Table:
        """As ``Reader.history``."""
        client = self._client

        def points(pair: tuple[str, str]) -> list[tuple[str, str, int, int, float]]:
            return [
                (*pair, point.step, point.timestamp, point.value)
                for point in client.get_metric_history(*pair)
            ]

        pairs = [(run_id, metric) for run_id in run_ids for metric in metrics]
        with boundary.translate(self.tracking_uri, "Reading metric histories of"):
            if uris.store_type(self.tracking_uri) != "http":
                rows = [point for pair in pairs for point in points(pair)]
            else:
                with ThreadPoolExecutor(_THREADS) as pool:
                    rows = [point for each in pool.map(points, pairs) for point in each]
        return reader.table(reader.POINTS, rows)

    def models(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> pa.Table:
        """As ``Reader.models``."""
        client = self._with_registry()
        with boundary.translate(self.tracking_uri, "Listing the models of"):
            return models.from_client(
                partial(_pages, uri=self.tracking_uri), client, experiment_ids, id_lists(run_ids)
            )

    def _with_registry(self) -> Any:
        """The client, opening a model registry of its own with the same care as the store."""
        given = os.environ.get(uris.REGISTRY_VARIABLE)
        if not given:
            return self._client
        registry = uris.without_password(given)
        uris.require_local(registry)
        if uris.store_type(registry) == "http":
            probe.probe(given)
        if uris.store_type(registry) == "sqlite":
            revision = schemas.require_sqlite_store(registry)
            schemas.require_installed_schema(registry, revision)
        opened = self._client  # which imports MLflow, with its limits
        with boundary.translate(registry, "Opening"):
            from mlflow import MlflowClient

            return MlflowClient(opened.tracking_uri, registry_uri=uris.to_connect(given))

    def traces(self, experiment_ids: Sequence[str]) -> Traced:
        """As ``Reader.traces``."""
        found = traces.Gathered()
        with boundary.translate(self.tracking_uri, "Reading the traces of"):
            for trace in self._traces(experiment_ids, spans=False):
                found.add_entity(trace.info)
        return found.tables()

    def spans(self, experiment_ids: Sequence[str]) -> pa.Table:
        """As ``Reader.spans``."""
        with boundary.translate(self.tracking_uri, "Reading the spans of"):
            return reader.table(
                spans.SPANS,
                (
                    row
                    for trace in self._traces(experiment_ids, spans=True)
                    for row in spans.rows_of_entity(trace)
                ),
            )

    def _traces(self, experiment_ids: Sequence[str], *, spans: bool) -> Iterator[Any]:
        search = partial(
            self._client.search_traces,
            locations=list(experiment_ids),
            include_spans=spans,
            max_results=_TRACES_PAGE,
            order_by=["timestamp_ms ASC"],
        )
        return _pages(search, self.tracking_uri) if experiment_ids else iter(())

    def artifacts(self, run_id: str) -> ArtifactList:
        """As ``model.Source.artifacts``."""
        return self.artifacts_at(self._artifact_uri(run_id), run_id)

    def read_artifact(self, run_id: str, path: str, most_bytes: int) -> bytes:
        """As ``model.Source.read_artifact``."""
        return self.artifact_at(self._artifact_uri(run_id), run_id, path, most_bytes)

    def artifacts_at(self, artifact_uri: str, run_id: str) -> ArtifactList:
        """The files of a run whose artifacts are known to lie there."""
        with boundary.translate(self.tracking_uri, "Listing artifacts of"):
            return artifacts.listing(lambda: self._client, self.tracking_uri, artifact_uri, run_id)

    def artifact_at(
        self,
        artifact_uri: str,
        run_id: str,
        path: str,
        most_bytes: int,
        fetch: Callable[[str, int], bytes] | None = None,
    ) -> bytes:
        """One file of a run whose artifacts lie there; ``fetch`` as for ``content``."""
        uri = self.tracking_uri
        with boundary.translate(uri, f"Reading {visible(path, 100)} from"):
            return artifacts.content(
                lambda: self._client, uri, artifact_uri, run_id, path, most_bytes, fetch
            )

    def _artifact_uri(self, run_id: str) -> str:
        if run_id not in self._artifact_uris:
            with boundary.translate(self.tracking_uri, "Looking up a run of"):
                self._artifact_uris[run_id] = self._client.get_run(run_id).info.artifact_uri
        return self._artifact_uris[run_id]

    def _search(self, query: Query) -> Iterator[Any]:
        """The matching runs, each once, in order, from all pages."""
        client = self._client
        experiments = list(query.experiment_ids) or [
            one.experiment_id for one in self.experiments(deleted=False)
        ]
        seen: set[str] = set()
        wanted = None if query.run_ids is None else set(query.run_ids)
        if wanted and len(wanted) > IDS_A_QUERY and (query.order_by or query.top is not None):
            # An order holds within one query only: ask for all, keep the wanted.
            query = replace(query, run_ids=None)
        for clause in filters(query):
            with boundary.translate(self.tracking_uri, "Reading the runs of"):
                search = partial(
                    client.search_runs,
                    experiments,
                    filter_string=clause,
                    max_results=_PAGE,
                    order_by=list(query.order_by or _NEWEST_FIRST),
                )
                for run in _pages(search, self.tracking_uri):
                    if query.top is not None and len(seen) >= query.top:
                        return
                    if run.info.run_id in seen or (wanted and run.info.run_id not in wanted):
                        continue
                    seen.add(run.info.run_id)
                    self._artifact_uris[run.info.run_id] = run.info.artifact_uri
                    yield run


def _pages(fetch: Callable[..., Any], uri: str) -> Iterator[Any]:
    """Every item of every page that a method of ``MlflowClient`` gives."""

    def page(token: str | None) -> tuple[Any, str | None]:
        found = fetch(page_token=token)
        return found, found.token

    for found in reader.pages(page, uri):
        yield from found


def id_lists(run_ids: Sequence[str], at_once: int = IDS_A_QUERY) -> Iterator[str]:
    """Ids as MLflow's filters list them, so many at a time."""
    plain = [run_id for run_id in run_ids if run_id.isalnum()]
    for start in range(0, len(plain), at_once):
        yield ", ".join(f"'{run_id}'" for run_id in plain[start : start + at_once])


def filters(query: Query, ids_at_once: int = IDS_A_QUERY) -> Iterator[str]:
    """MLflow filters that together ask for the query, one for each batch of run ids.

    Only typed fields and the person's own ``filter`` go in: MLflow has no quote escape.
    """
    clauses: list[str] = []
    if query.statuses:
        for status in query.statuses:
            if status not in STATUSES:
                raise UsageError(
                    f"no run status {visible(status, 60)}", hint=known_list(status, STATUSES)
                )
        # MLflow has neither OR nor IN for a status.
        others = [status for status in STATUSES if status not in query.statuses]
        clauses.extend(f"attributes.status != '{status}'" for status in others)
    if query.since:
        clauses.append(f"attributes.start_time >= {first_ms(query.since)}")
    if query.until:
        clauses.append(f"attributes.start_time <= {last_ms(query.until)}")
    if query.run_id_prefix:
        if not query.run_id_prefix.isalnum():
            raise UsageError(f"{visible(query.run_id_prefix, 60)} begins no run id")
        clauses.append(f"attributes.run_id LIKE '{query.run_id_prefix}%'")
    if query.filter:
        clauses.append(query.filter)
    if query.run_ids is None:
        yield " AND ".join(clauses)
        return
    for listed in id_lists(query.run_ids, ids_at_once):
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
        metrics={whole(key): frames.number(value) for key, value in run.data.metrics.items()},
    )


def _columns(runs: Sequence[Any]) -> Columns:
    infos = [run.info for run in runs]
    return Columns(
        runs=reader.table(
            reader.RUNS,
            [
                (info.run_id, info.run_name or "", info.experiment_id, info.status,
                 info.start_time, info.end_time, info.user_id or None, info.artifact_uri)
                for info in infos
            ],
        ),
        params=reader.table(reader.TEXTS, _long(runs, "params")),
        metrics=reader.table(reader.NUMBERS, _long(runs, "metrics")),
        tags=reader.table(reader.TEXTS, _long(runs, "tags")),
        datasets=reader.table(reader.DATASETS, _datasets(runs)),
    )  # fmt: skip


def _long(runs: Sequence[Any], what: str) -> Iterator[tuple[str, str, Any]]:
    for run in runs:
        for key, value in getattr(run.data, what).items():
            yield run.info.run_id, key, value


def _datasets(runs: Sequence[Any]) -> Iterator[tuple[str | None, ...]]:
    for run in runs:
        for entry in run.inputs.dataset_inputs if run.inputs else []:
            tags = {tag.key: tag.value for tag in entry.tags}
            one = entry.dataset
            context = tags.get("mlflow.data.context") or None
            source = (one.source_type, one.source)
            yield (run.info.run_id, one.name, one.digest, context, *source)
