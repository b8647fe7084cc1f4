"""What is written to MLflow, through its client only: nothing global is touched."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qualia_lab.demo.data import load
from qualia_lab.demo.plan import DatasetName
from qualia_lab.errors import UsageError
from qualia_lab.text import visible
from qualia_lab.tracking import boundary, uris

if TYPE_CHECKING:
    from qualia_lab.demo.llm.entities import Logged

NOTE = "mlflow.note.content"
SIMULATED = {"qualia_lab.demo": "simulated"}
SOURCE = {"mlflow.source.name": "create-demo-runs", "mlflow.source.type": "LOCAL"}

_DOING = "Writing demo runs to"
_METRICS_A_BATCH = 1000  # MLflow's own limit for one call


class Point(NamedTuple):
    """One value of a metric. ``timestamp`` is in ms since the epoch."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One experiment of one tracking store. What the client raises is raised as QualiaError."""

    uri: str
    experiment_id: str
    client: Any

    def create_run(self, name: str, tags: Mapping[str, str], start_time: int | None = None) -> str:
        """Begin a run, now or at a time in ms; returns its id. It is RUNNING until ``end``."""
        with boundary.translate(self.uri, _DOING):
            run = self.client.create_run(
                self.experiment_id,
                start_time=start_time,
                run_name=name,
                tags={**SOURCE, **tags},
            )
            return str(run.info.run_id)

    @contextmanager
    def not_left_running(self, run_id: str) -> Iterator[None]:
        """An error ends the run as FAILED, an interrupt as KILLED; else it is for the caller."""
        try:
            yield
        except BaseException as error:
            # An interrupt in the middle of a transaction leaves it open, and SQLite locked, for as
            # long as the frames of the traceback hold on to it.
            traceback.clear_frames(error.__traceback__)
            gc.collect()
            # What went wrong matters more than that its run could not be ended either.
            with suppress(Exception):
                self.end(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise

    @contextmanager
    def run(
        self,
        name: str,
        *,
        note: str,
        tags: Mapping[str, str] | None = None,
        start_time: int | None = None,
    ) -> Iterator[str]:
        """A run of a simulated scenario; ``end`` it inside."""
        marked = {NOTE: note, **SIMULATED, **(tags or {})}
        run_id = self.create_run(name, marked, start_time)
        with self.not_left_running(run_id):
            yield run_id

    def log(
        self,
        run_id: str,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log metrics, params and tags, in as few calls as MLflow allows."""
        from mlflow.entities import Metric, Param, RunTag

        with boundary.translate(self.uri, _DOING):
            self.client.log_batch(
                run_id,
                params=[Param(key, str(value)) for key, value in (params or {}).items()],
                tags=[RunTag(key, value) for key, value in (tags or {}).items()],
                synchronous=True,
            )
            for start in range(0, len(points), _METRICS_A_BATCH):
                batch = points[start : start + _METRICS_A_BATCH]
                metrics = [Metric(*point) for point in batch]
                self.client.log_batch(run_id, metrics=metrics, synchronous=True)

    def log_data(self, run_id: str, name: DatasetName) -> None:
        """Log both parts of a data set as inputs of a run."""
        with boundary.translate(self.uri, _DOING):
            self.client.log_inputs(run_id, datasets=_inputs(name))

    def log_files(self, run_id: str, folder: Path) -> None:
        """Log all files below ``folder`` as artifacts."""
        with boundary.translate(self.uri, _DOING):
            self.client.log_artifacts(run_id, str(folder))

    def log_table(self, run_id: str, columns: Mapping[str, Sequence[Any]], path: str) -> None:
        """Log columns of equal length as an MLflow table."""
        import pandas as pd

        # MLflow looks for images among columns of objects, in a way that pandas 3 warns about
        # when there are columns of strings.
        frame = pd.DataFrame(dict(columns), dtype=object)
        with boundary.translate(self.uri, _DOING):
            self.client.log_table(run_id, frame, path)

    def log_json(self, run_id: str, content: Mapping[str, Any], path: str) -> None:
        """Log a JSON artifact."""
        with boundary.translate(self.uri, _DOING):
            self.client.log_dict(run_id, dict(content), path)

    def log_traces(self, logged: Sequence[Logged]) -> None:
        """Write traces with their spans and assessments.

        First what is known of each trace, then all their spans in one call: the store itself adds
        up tokens and recorded cost of a trace when its spans come, as it does for anyone's.
        """
        from mlflow.tracing.client import TracingClient

        client = TracingClient(self.client.tracking_uri)
        with boundary.translate(self.uri, _DOING):
            for one in logged:
                client.start_trace(one.info)
            client.log_spans(self.experiment_id, [span for one in logged for span in one.spans])

    def end(self, run_id: str, status: str, end_time: int | None = None) -> None:
        """End a run with MLflow's name of a status, now or at a time in ms."""
        with boundary.translate(self.uri, _DOING):
            self.client.set_terminated(run_id, status, end_time)


def open_store(
    tracking_uri: str, experiment: str, about: str, tags: Mapping[str, str] | None = None
) -> Store:
    """Open or create a store, and the experiment in it.

    ``about`` (Markdown) and ``tags`` are for an experiment that does not exist yet.

    Raises:
        UsageError: the experiment is deleted, or a SQLite URI names no file.
        QualiaError: the store can't be reached, opened or written.
    """
    uri = uris.without_password(tracking_uri)
    full = tracking_uri if uri != tracking_uri else uris.with_password(uri)
    # MLflow would add its tables to any SQLite file, and migrate an older store: only a file that
    # holds nothing yet goes to it without the reader's checks.
    fresh = uris.store_type(uri) == "sqlite" and _is_empty(uris.sqlite_path(uri))
    experiment_id = None if fresh else _existing(uri, experiment)
    with boundary.translate(uri, "Opening"):
        from mlflow import MlflowClient

        if fresh:
            uris.sqlite_path(uri).parent.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(tracking_uri=full)
        if experiment_id is None:
            experiment_id = client.create_experiment(
                experiment,
                artifact_location=_artifact_location(uri),
                tags={NOTE: about, **(tags or {})},
            )
    return Store(uri=uri, experiment_id=str(experiment_id), client=client)


def _is_empty(path: Path) -> bool:
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def _existing(uri: str, name: str) -> str | None:
    """The id of the experiment of that name, if there is one."""
    from qualia_lab.tracking.client import ClientReader

    for found in ClientReader(uri).experiments(deleted=True):
        if found.name != name:
            continue
        if not found.active:
            shown = visible(name, 100)
            raise UsageError(
                f"the experiment {shown} is deleted, and MLflow keeps its name",
                hint="Choose another name, or restore it: "
                f"mlflow experiments restore --experiment-id {found.experiment_id}",
            )
        return found.experiment_id
    return None


def _artifact_location(uri: str) -> str | None:
    """Beside a SQLite file; by default MLflow would make ./mlruns in whatever folder this is."""
    if uris.store_type(uri) != "sqlite":
        return None
    return (uris.sqlite_path(uri).absolute().parent / "artifacts").as_uri()


@cache
def _inputs(name: DatasetName) -> list[Any]:
    """The training and the validation part, as MLflow's entities, with digests of their values."""
    import mlflow.data
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = load(name)
    inputs = []
    for context, features, targets in (
        ("training", data.train_x, data.train_y),
        ("validation", data.val_x, data.val_y),
    ):
        # Without a source of its own, MLflow would log the name of the user.
        source = CodeDatasetSource(tags=dict(SOURCE))
        described = mlflow.data.from_numpy(features, source, targets, name=name).to_dict()
        tag = InputTag("mlflow.data.context", context)
        inputs.append(DatasetInput(Dataset(**described), [tag]))
    return inputs
