"""The reader of tracking servers: pages of the public REST API, streamed into columns.

It does not import MLflow: the answers are JSON, and become columns without an object a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from qualia_lab.model import ArtifactList, Experiment, Query, RunInfo
from qualia_lab.text import visible, whole
from qualia_lab.tracking import answers, boundary, models, reader, spans, traces
from qualia_lab.tracking.answers import Json
from qualia_lab.tracking.client import IDS_A_QUERY, ClientReader, filters, id_lists
from qualia_lab.tracking.models import Logged, Version
from qualia_lab.tracking.reader import Columns, Progress, unseen
from qualia_lab.tracking.session import RefusedError, Session
from qualia_lab.tracking.traces import Traced

if TYPE_CHECKING:
    import pyarrow as pa

_PAGE = 1000
# The server's limits of their searches.
_TRACES_PAGE, _MODELS_PAGE, _VERSIONS_PAGE = 500, 500, 10_000
# Ids in one address, whose length servers limit.
_SPANS_PAGE = 100
# Of all runs, this many are read before it is known whether there are more, to be read at once.
_FIRST_PAGE = 250
# Requests at once: a server has a few workers, and more would only queue there.
_THREADS = 4
# Fewer ids are not worth a request of their own. More requests at once than the server has workers
# meet in one of them, where they slow each other down: 100 ids took 0.23 s as two requests, and
# 0.35 s as four, of a server with two workers.
_FEWEST_IDS = 50
# The server's own limits of get-history-bulk (mlflow/server/handlers.py).
_BULK_RUNS, _BULK_POINTS = 100, 25_000
_BULK = "ajax-api/2.0/mlflow/metrics/get-history-bulk"
_NEWEST_FIRST = ("attributes.start_time DESC",)

_A = TypeVar("_A")
_B = TypeVar("_B")


class HttpReader:
    """Reads a tracking server through its REST API.

    Args:
        client: of the same server; it reads artifacts, which may lie in any store MLflow knows.
    """

    def __init__(self, client: ClientReader) -> None:
        self._uri = client.tracking_uri
        self._client = client
        self._session = Session(client.full_uri)
        self._artifact_uris: dict[str, str] = {}

    def experiments(self, *, deleted: bool) -> list[Experiment]:
        """As ``Reader.experiments``; asked for once."""
        return [one for one in self._experiments if deleted or one.active]

    @cached_property
    def _experiments(self) -> list[Experiment]:
        body = {"view_type": "ALL", "max_results": _PAGE}
        with _asking(self._uri, "Listing the experiments of"):
            found = [
                Experiment(
                    experiment_id=str(one["experiment_id"]),
                    name=whole(one["name"]),
                    active=one.get("lifecycle_stage", "active") == "active",
                    updated=answers.whole_number(one.get("last_update_time")),
                )
                # Its connection is kept: of two requests after it, one takes that, the other a new
                # one, which an idle worker is the first to accept.
                for page in self._pages("api/2.0/mlflow/experiments/search", body, fresh=False)
                for one in page.get("experiments", [])
            ]
        return sorted(found, key=lambda one: (-(one.updated or 0), one.name))

    def find(self, query: Query) -> list[RunInfo]:
        """As ``Reader.find``."""
        with _asking(self._uri, "Listing the runs of"):
            return [answers.run_info(run) for run in self._runs(query)]

    def count(self, query: Query) -> int | None:
        """As ``Reader.count``: the API can't count beyond a page."""
        if query.run_ids is not None:
            return len(self.find(replace(query, top=None)))
        counts = self._counted(query)
        return None if counts is None else sum(counts.values())

    def counts(self) -> dict[str, int] | None:
        """As ``Reader.counts``."""
        return self._counted(Query())

    def _counted(self, query: Query) -> dict[str, int] | None:
        """How many runs of each experiment match; None where they fill more than a page."""
        with _asking(self._uri, "Counting the runs of"):
            query = replace(query, experiment_ids=query.experiment_ids or self._active(), top=None)
            (clause,) = filters(query)
            page = self._search(query, clause)
            if page.get("next_page_token"):
                return None
            return Counter(str(run["info"]["experiment_id"]) for run in page.get("runs", []))

    def load(self, query: Query, progress: Progress = unseen) -> Columns:
        """As ``Reader.load``."""
        with _asking(self._uri, "Reading the runs of"):
            return answers.columns(self._runs(query, progress))

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pa.Table:
        """As ``Reader.history``."""
        asked = [
            (list(run_ids[start : start + _BULK_RUNS]), metric)
            for metric in metrics
            for start in range(0, len(run_ids), _BULK_RUNS)
        ]
        with _asking(self._uri, "Reading metric histories of"):
            points = self._parallel(lambda one: self._bulk(*one), asked)
            return reader.table(reader.POINTS, [point for part in points for point in part])

    def models(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> pa.Table:
        """As ``Reader.models``."""
        with _asking(self._uri, "Listing the models of"):
            logged: list[Logged] = []
            versions: list[Version] = []
            for ids in id_lists(run_ids):
                logged += self._logged_models(ids, experiment_ids)
                asked = [("filter", f"run_id IN ({ids})"), ("max_results", str(_VERSIONS_PAGE))]
                versions += [
                    models.version_of_json(one)
                    for page in self._get_pages("api/2.0/mlflow/model-versions/search", asked)
                    for one in page.get("model_versions", [])
                ]
            names = list(dict.fromkeys(one.registered for one in versions))
            aliases = [pair for pairs in self._parallel(self._aliases, names) for pair in pairs]
            return models.joined(logged, versions, aliases)

    def traces(self, experiment_ids: Sequence[str]) -> Traced:
        """As ``Reader.traces``."""
        with _asking(self._uri, "Reading the traces of"):
            found = traces.Gathered()
            try:
                for one in self._trace_infos(experiment_ids):
                    found.add_json(one)
            except RefusedError as refused:
                if refused.status != 404:
                    raise
                return self._older_traces(experiment_ids)
            return found.tables()

    def _trace_infos(self, experiment_ids: Sequence[str]) -> Iterator[Json]:
        body = {
            "locations": [
                {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": one}}
                for one in experiment_ids
            ],
            "max_results": _TRACES_PAGE,
            # Traces that come meanwhile come last, so that no page shifts.
            "order_by": ["timestamp_ms ASC"],
        }
        pages = self._pages("api/3.0/mlflow/traces/search", body) if experiment_ids else ()
        for page in pages:
            yield from page.get("traces", [])

    def _older_traces(self, experiment_ids: Sequence[str]) -> Traced:
        """Of a server older than MLflow 3: through MLflow's client; before 2.14 there are none."""
        asked = [("experiment_ids", one) for one in experiment_ids] + [("max_results", "1")]
        try:
            self._session.get("api/2.0/mlflow/traces", asked)
        except RefusedError as refused:
            if refused.status != 404:
                raise
            return traces.Gathered().tables()
        return self._client.traces(experiment_ids)

    def spans(self, experiment_ids: Sequence[str]) -> pa.Table:
        """As ``Reader.spans``."""
        with _asking(self._uri, "Reading the spans of"):
            try:
                ids = [str(one["trace_id"]) for one in self._trace_infos(experiment_ids)]
                batches = [
                    ids[start : start + _SPANS_PAGE] for start in range(0, len(ids), _SPANS_PAGE)
                ]
                parts = self._parallel(self._spans_of, batches)
            except RefusedError as refused:
                if refused.status != 404:
                    raise
                return self._client.spans(experiment_ids)
            return spans.together(parts)

    def _spans_of(self, trace_ids: Sequence[str]) -> pa.Table:
        asked = [("trace_ids", one) for one in trace_ids]
        found = self._session.get("api/3.0/mlflow/traces/batchGet", asked, fresh=True)
        traced = found.get("traces", [])
        return reader.table(spans.SPANS, (row for one in traced for row in spans.rows_of_json(one)))

    def _logged_models(self, ids: str, experiment_ids: Sequence[str]) -> list[Logged]:
        body = {
            "experiment_ids": list(experiment_ids),
            "filter": f"source_run_id IN ({ids})",
            "max_results": _MODELS_PAGE,
        }
        try:
            return [
                models.logged_of_json(one)
                for page in self._pages("api/2.0/mlflow/logged-models/search", body)
                for one in page.get("models", [])
            ]
        except RefusedError as refused:
            if refused.status != 404:
                raise
            return []  # older than MLflow 3, which has none

    def _aliases(self, name: str) -> list[tuple[str, int, str]]:
        """What a search for versions leaves out."""
        try:
            found = self._session.get("api/2.0/mlflow/registered-models/get", [("name", name)])
        except RefusedError as refused:
            if refused.status != 404:
                raise
            return []  # it went since its versions were listed
        of_model = found["registered_model"].get("aliases", [])
        return [(name, int(one["version"]), str(one["alias"])) for one in of_model]

    def artifacts(self, run_id: str) -> ArtifactList:
        """As ``model.Source.artifacts``."""
        return self._client.artifacts_at(self._artifact_uri(run_id), run_id)

    def read_artifact(self, run_id: str, path: str, most_bytes: int) -> bytes:
        """As ``model.Source.read_artifact``."""
        return self._client.artifact_at(
            self._artifact_uri(run_id), run_id, path, most_bytes, self._session.artifact
        )

    def _artifact_uri(self, run_id: str) -> str:
        if run_id not in self._artifact_uris:
            with _asking(self._uri, "Looking up a run of"):
                run = self._session.get("api/2.0/mlflow/runs/get", [("run_id", run_id)])["run"]
                self._artifact_uris[run_id] = str(answers.info(run).get("artifact_uri", ""))
        return self._artifact_uris[run_id]

    def _active(self) -> tuple[str, ...]:
        return tuple(one.experiment_id for one in self.experiments(deleted=False))

    def _runs(self, query: Query, progress: Progress = unseen) -> list[Json]:
        """The matching runs, each once, in order."""
        query = replace(query, experiment_ids=query.experiment_ids or self._active())
        tally = _Tally(progress)
        if query.run_ids is not None:
            found = self._by_id(query, tally)
        elif query.order_by or query.top is not None:
            (clause,) = filters(query)
            found = list(self._page_runs(query, clause, tally))
        else:
            found = self._all_runs(query, tally)
        once = {answers.info(run)["run_id"]: run for run in found}
        self._artifact_uris.update(
            (run_id, str(answers.info(run).get("artifact_uri", ""))) for run_id, run in once.items()
        )
        return list(once.values())

    def _by_id(self, query: Query, tally: _Tally) -> list[Json]:
        """Batches of ids at once. An order holds within one answer only: then ask for all."""
        wanted = set(query.run_ids or ())
        ordered = bool(query.order_by) or query.top is not None
        # One request keeps one of the server's workers busy and leaves the others idle.
        share = max(_FEWEST_IDS, -(-len(wanted) // _THREADS))
        clauses = list(filters(query, IDS_A_QUERY if ordered else min(share, IDS_A_QUERY)))
        if len(clauses) > 1 and ordered:
            everything = self._runs(replace(query, run_ids=None, top=None))
            return [run for run in everything if answers.info(run)["run_id"] in wanted][: query.top]

        def read(clause: str) -> list[Json]:
            found = list(self._page_runs(query, clause))
            tally.add(found, 1 / len(clauses))
            return found

        parts = self._parallel(read, clauses)
        found = [run for part in parts for run in part]
        return found if query.order_by else sorted(found, key=answers.newest_first)

    def _all_runs(self, query: Query, tally: _Tally) -> list[Json]:
        """Every run: the first page tells whether there is more; stretches of time, at once.

        Runs that start in the meantime lie past the first page's newest and are left alone, so
        no page shifts.
        """
        (clause,) = filters(query)
        first = self._search(query, clause, _FIRST_PAGE)
        runs = list(first.get("runs", []))
        if not first.get("next_page_token"):
            return runs
        if not runs:
            return list(self._page_runs(query, clause, tally))
        tally.add(runs)
        latest = int(answers.info(runs[-1])["start_time"])
        oldest = self._search(
            replace(query, order_by=("attributes.start_time ASC",)), clause, most=1
        )
        earliest = int(answers.info(oldest["runs"][0])["start_time"])
        stretches = list(_stretches(earliest, latest, _THREADS))
        whole = latest - earliest + 1

        def read(stretch: tuple[int, int]) -> list[Json]:
            since, until = stretch
            bound = f"attributes.start_time >= {since} AND attributes.start_time <= {until}"
            found: list[Json] = []
            left = until + 1
            for page in self._run_pages(query, f"{clause} AND {bound}" if clause else bound):
                found += page
                # Newest first: what lies behind the page's last run is still to be read.
                reached = int(answers.info(page[-1])["start_time"]) if page else since
                tally.add(page, (left - reached) / whole)
                left = reached
            tally.add([], (left - since) / whole)
            return found

        for part in self._parallel(read, stretches):
            runs += part
        return sorted(runs, key=answers.newest_first)

    def _page_runs(self, query: Query, clause: str, tally: _Tally | None = None) -> Iterator[Json]:
        left = query.top
        for runs in self._run_pages(query, clause):
            if tally:
                tally.add(runs, len(runs) / query.top if query.top else None)
            yield from runs if left is None else runs[:left]
            if left is not None:
                left -= len(runs)
                if left <= 0:
                    return

    def _run_pages(self, query: Query, clause: str) -> Iterator[list[Json]]:
        body = _search_body(query, clause, min(query.top or _PAGE, _PAGE))
        for page in self._pages("api/2.0/mlflow/runs/search", body):
            yield list(page.get("runs", []))

    def _search(self, query: Query, clause: str, most: int = _PAGE) -> Json:
        return self._session.post("api/2.0/mlflow/runs/search", _search_body(query, clause, most))

    def _pages(self, path: str, body: Mapping[str, Any], *, fresh: bool = True) -> Iterator[Json]:
        def page(token: str | None) -> tuple[Json, str | None]:
            asked = {**body, "page_token": token} if token else body
            found = self._session.post(path, asked, fresh=fresh)
            return found, found.get("next_page_token")

        return reader.pages(page, self._uri)

    def _get_pages(self, path: str, query: Sequence[tuple[str, str]]) -> Iterator[Json]:
        def page(token: str | None) -> tuple[Json, str | None]:
            found = self._session.get(path, [*query, ("page_token", token)] if token else query)
            return found, found.get("next_page_token")

        return reader.pages(page, self._uri)

    def _bulk(self, run_ids: list[str], metric: str) -> list[tuple[Any, ...]]:
        """Points of one metric of several runs; halved where the answer reached its limit."""
        if not self._has_bulk:
            return [point for run in run_ids for point in self._single(run, metric)]
        asked = [("run_id", run) for run in run_ids] + [("metric_key", metric)]
        try:
            asked.append(("max_results", str(_BULK_POINTS)))
            found = self._session.get(_BULK, asked, fresh=True)
        except RefusedError as refused:
            if refused.status != 404:
                raise
            self._has_bulk = False
            return self._bulk(run_ids, metric)
        points = [answers.point(one["run_id"], metric, one) for one in found.get("metrics", [])]
        if len(points) < _BULK_POINTS:
            return points
        if len(run_ids) == 1:
            return self._single(run_ids[0], metric)
        half = len(run_ids) // 2
        return self._bulk(run_ids[:half], metric) + self._bulk(run_ids[half:], metric)

    _has_bulk = True

    def _single(self, run_id: str, metric: str) -> list[tuple[Any, ...]]:
        """All points of one metric of one run, by the endpoint that every server has."""
        asked = [("run_id", run_id), ("metric_key", metric), ("max_results", str(_BULK_POINTS))]
        return [
            answers.point(run_id, metric, one)
            for page in self._get_pages("api/2.0/mlflow/metrics/get-history", asked)
            for one in page.get("metrics", [])
        ]

    def _parallel(self, function: Callable[[_A], _B], items: Sequence[_A]) -> list[_B]:
        if len(items) < 2:
            return [function(item) for item in items]
        with ThreadPoolExecutor(min(_THREADS, len(items))) as pool:
            return list(pool.map(function, items))


class _Tally:
    """How far reading is, told by several threads."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = Lock()
        self._ids: set[str] = set()
        self._share: float | None = None

    def add(self, runs: Sequence[Json], share: float | None = None) -> None:
        """These runs were read, and such a share of the work was done with them."""
        with self._lock:
            # A run that starts at the end of a stretch can come twice.
            self._ids.update(answers.info(run)["run_id"] for run in runs)
            if share is not None:
                self._share = (self._share or 0) + share
            self._progress(len(self._ids), self._share)


@contextmanager
def _asking(uri: str, doing: str) -> Iterator[None]:
    """``boundary.translate``, for answers too that are JSON but not MLflow's."""
    with boundary.translate(uri, doing):
        try:
            yield
        except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            what = f"{type(error).__name__} {visible(str(error), 80)}"
            raise ValueError(f"the answer is not MLflow's: {what}") from error


def _search_body(query: Query, clause: str, most: int) -> dict[str, Any]:
    return {
        "experiment_ids": list(query.experiment_ids),
        "filter": clause,
        "run_view_type": "ACTIVE_ONLY",
        "max_results": most,
        "order_by": list(query.order_by or _NEWEST_FIRST),
    }


def _stretches(earliest: int, latest: int, count: int) -> Iterator[tuple[int, int]]:
    """The whole ms from ``earliest`` to ``latest`` in ``count`` stretches, ends included."""
    width = max(1, -(-(latest - earliest + 1) // count))
    for start in range(earliest, latest + 1, width):
        yield start, min(start + width - 1, latest)
