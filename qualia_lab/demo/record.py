"""Carries out a plan: trains each run and logs it."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qualia_lab import temporary
from qualia_lab.demo import results
from qualia_lab.demo.plan import PlannedRun, size
from qualia_lab.demo.store import NOTE, Point, Store
from qualia_lab.demo.training import Epoch, Trainer

_PARENT = "mlflow.parentRunId"
_PACKAGES = ("site-packages", "dist-packages", "qualia_lab")


def carry_out(
    planned: Sequence[PlannedRun],
    store: Store,
    on_progress: Callable[[int, int, str], None] | None,
) -> tuple[str, ...]:
    """Make all these runs, one after the other; returns their ids in the order made."""
    recorder = _Recorder(store, size(tuple(planned)), on_progress)
    for run in planned:
        recorder.make(run)
    return tuple(recorder.run_ids)


class _Recorder:
    def __init__(
        self, store: Store, total: int, on_progress: Callable[[int, int, str], None] | None
    ) -> None:
        self.run_ids: list[str] = []
        self._store = store
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    def make(self, run: PlannedRun, parent: str | None = None) -> Sequence[Epoch]:
        """Make one run with its children; returns what it measured itself."""
        with self._open(run, parent) as run_id:
            self._tell(run)
            self._store.log_data(run_id, run.training.dataset)
            epochs = self._sweep(run, run_id) if run.children else self._train(run, run_id)
        self._done += 1
        self._tell(run)
        return epochs

    def _tell(self, run: PlannedRun) -> None:
        if self._on_progress:
            self._on_progress(self._done, self._total, run.name)

    @contextmanager
    def _open(self, run: PlannedRun, parent: str | None) -> Iterator[str]:
        """A run that is not left RUNNING by an error or an interrupt."""
        tags = {
            "task": run.training.task,
            "family": "neural network" if run.training.hidden_units else "linear model",
            "stage": run.stage,
            NOTE: run.note,
        }
        run_id = self._store.create_run(run.name, tags | ({_PARENT: parent} if parent else {}))
        with self._store.not_left_running(run_id):
            self.run_ids.append(run_id)
            yield run_id

    def _train(self, run: PlannedRun, run_id: str) -> Sequence[Epoch]:
        self._store.log(run_id, params=run.training.params)
        trainer = Trainer(run.training)
        epochs: list[Epoch] = []
        points: list[Point] = []
        failure: ValueError | None = None
        try:
            for epoch in trainer.epochs():
                epochs.append(epoch)
                points += _points(epoch)
                if epoch.number == run.stop_after:
                    break
        except ValueError as error:
            if run.ending != "FAILED":
                raise
            failure = error
        self._store.log(run_id, points=points)
        if failure:
            self._fail(run_id, failure)
        elif run.ending != "RUNNING":
            self._finish(run, run_id, epochs, trainer)
        return epochs

    def _finish(
        self, run: PlannedRun, run_id: str, epochs: Sequence[Epoch], trainer: Trainer
    ) -> None:
        evaluation = trainer.evaluate()
        with temporary.folder() as folder:
            results.write(folder, run, epochs, evaluation)
            self._store.log_files(run_id, folder)
        self._store.log_table(run_id, results.predictions(evaluation), "eval/predictions.json")
        self._store.log(run_id, tags={NOTE: f"{run.note}\n\n{results.observed(epochs)}"})
        self._store.end(run_id, "FINISHED")

    def _fail(self, run_id: str, error: ValueError) -> None:
        with temporary.folder() as folder:
            text = _traceback(error)
            (folder / "error.txt").write_text(text, encoding="utf-8")
            self._store.log_files(run_id, folder)
        self._store.log(run_id, tags={"error": type(error).__name__})
        self._store.end(run_id, "FAILED")

    def _sweep(self, run: PlannedRun, run_id: str) -> Sequence[Epoch]:
        """Make the children, then log which was best: one step for each child."""
        values = [child.training.params[run.swept] for child in run.children]
        shared = {key: value for key, value in run.training.params.items() if key != run.swept}
        swept = {"swept": run.swept, "swept_values": ", ".join(map(str, values))}
        self._store.log(run_id, params={**shared, **swept})
        rows: list[dict[str, Any]] = []
        points: list[Point] = []
        for step, (child, value) in enumerate(zip(run.children, values, strict=True), start=1):
            last = self.make(child, parent=run_id)[-1]
            rows.append({run.swept: value, **last.metrics})
            best = min(rows, key=_val_loss)
            points.append(Point("best_val_loss", best["val_loss"], _now(), step))
        self._store.log(
            run_id,
            points=points,
            params={f"best_{run.swept}": best[run.swept]},
            tags={NOTE: f"{run.note}\n\nLowest `val_loss` with `{run.swept}` {best[run.swept]}."},
        )
        with temporary.folder() as folder:
            results.write_csv(folder / "sweep.csv", rows)
            self._store.log_files(run_id, folder)
        self._store.end(run_id, "FINISHED")
        return ()


def _val_loss(row: Mapping[str, Any]) -> float:
    """For ``min``: NaN compares with nothing, and must not win by coming first."""
    loss: float = row["val_loss"]
    return loss if math.isfinite(loss) else math.inf


def _points(epoch: Epoch) -> list[Point]:
    """What an epoch measured, and under ``system/`` what differs from one machine to the next."""
    import psutil

    memory = psutil.virtual_memory()
    system = {
        # MLflow's own names, in its own units; it has none for the time of a step.
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.used / memory.total * 100,
        "system/epoch_seconds": epoch.seconds,
    }
    now = _now()
    measured = {**epoch.metrics, **system}
    return [Point(key, value, now, epoch.number) for key, value in measured.items()]


def _now() -> int:
    return time.time_ns() // 1_000_000


def _traceback(error: BaseException) -> str:
    """The traceback, with paths that begin at the package: the rest names folders of a person."""
    report = traceback.TracebackException.from_exception(error)
    for frame in report.stack:
        parts = Path(frame.filename).parts
        at = [number for number, part in enumerate(parts) if part in _PACKAGES]
        if at:
            keep = parts[at[-1] :] if parts[at[-1]] == _PACKAGES[-1] else parts[at[-1] + 1 :]
            frame.filename = Path(*keep).as_posix()
    return "".join(report.format())
