"""Carries the plan out: tables, windows, predictions, daily trainings and the ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualia_lab import temporary
from qualia_lab.demo import clock
from qualia_lab.demo.drift import models, plan, tables, truth
from qualia_lab.demo.drift.models import Day, Stream
from qualia_lab.demo.drift.tables import Table
from qualia_lab.demo.store import Point, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 3 + len(plan.STRENGTHS) + plan.DAYS  # what progress counts: runs
_HOUR = 3_600_000
_MADE_BY_TRAINING = 60_000  # ms
_NOTES = {
    "ground-truth": "Every number that was planted.",
    "tables": "A **reference** and a **current** table, as JSON, CSV and Parquet. Some columns of "
    "the current one are shifted on purpose.",
    "window": "One week's table; the planted shifts are at **{strength:.0%}** of their strength.",
    "predictions": "Labels and predictions in their order: one stream with more errors from a row "
    "on, one without.",
    "daily": "One of {days} daily trainings on handwritten digits. `accuracy` is on the day's own "
    "images, `control_accuracy` on images that never change.",
}


def carry_out(
    seed: int, today: date, store: Store, on_progress: Callable[[int, int, str], None] | None
) -> tuple[str, ...]:
    """Write everything, as if in the 90 days before ``today``; returns the runs' ids."""
    return _Recorder(seed, today, store, on_progress).record()


class _Recorder:
    def __init__(
        self,
        seed: int,
        today: date,
        store: Store,
        on_progress: Callable[[int, int, str], None] | None,
    ) -> None:
        self._seed = seed
        self._today = today
        self._store = store
        self._on_progress = on_progress
        self._run_ids: list[str] = []

    def record(self) -> tuple[str, ...]:
        seed = self._seed
        reference, current = tables.draw(seed, 0, 0.0), tables.draw(seed, 1, 1.0)
        windows = [
            (f"window-{number}", tables.draw(seed, 1 + number, strength))
            for number, strength in enumerate(plan.STRENGTHS, start=1)
        ]
        changing = models.stream(seed, plan.STREAM_CHANGE)
        stationary = models.stream(seed, None)
        days = list(models.days(seed))
        self._truth(
            truth.of(
                seed=seed,
                first_day=self._day(plan.DAYS),
                tables=[("reference", reference), ("current", current), *windows],
                changing=changing,
                stationary=stationary,
                days=days,
            )
        )
        self._tables({"reference": reference, "current": current})
        for number, (name, table) in enumerate(windows):
            self._window(number, name, table)
        self._predictions({"predictions": changing, "predictions_stationary": stationary})
        for day in days:
            self._daily(day)
        return tuple(self._run_ids)

    def _day(self, before: int) -> date:
        return self._today - timedelta(days=before)

    @contextmanager
    def _run(
        self, name: str, note: str, day: date, tags: Mapping[str, str] | None = None
    ) -> Iterator[tuple[str, int]]:
        """A run of six in the morning of a day, a minute long: its id, and when it began in ms."""
        began = clock.start_of(day) + 6 * _HOUR
        with self._store.run(name, note=note, tags=tags, start_time=began) as run_id:
            self._run_ids.append(run_id)
            self._tell(len(self._run_ids) - 1, name)
            yield run_id, began
            self._store.end(run_id, "FINISHED", began + _MADE_BY_TRAINING)
        self._tell(len(self._run_ids), name)

    def _tell(self, done: int, what: str) -> None:
        if self._on_progress:
            self._on_progress(done, SIZE, what)

    def _truth(self, planted: Mapping[str, Any]) -> None:
        name = "ground-truth"
        with self._run(name, _NOTES[name], self._day(1)) as (run_id, _):
            self._store.log_json(run_id, planted, "ground_truth.json")

    def _tables(self, named: Mapping[str, Table]) -> None:
        with self._run("tables", _NOTES["tables"], self._day(1)) as (run_id, _):
            for name, table in named.items():
                self._store.log_table(run_id, table, f"{name}.json")
            with temporary.folder() as folder:
                for name, table in named.items():
                    _write(table, folder / name)
                self._store.log_files(run_id, folder)

    def _window(self, number: int, name: str, table: Table) -> None:
        day = self._day(plan.DAYS_A_WINDOW * (len(plan.STRENGTHS) - number))
        note = _NOTES["window"].format(strength=plan.STRENGTHS[number])
        with self._run(name, note, day, {"window": str(number + 1)}) as (run_id, _):
            self._store.log(run_id, params={"window": number + 1, "rows": plan.ROWS})
            self._store.log_table(run_id, table, "window.json")

    def _predictions(self, streams: Mapping[str, Stream]) -> None:
        name = "predictions"
        with self._run(name, _NOTES[name], self._day(1)) as (run_id, _):
            for path, stream in streams.items():
                columns = {"label": stream.labels, "prediction": stream.predictions}
                self._store.log_table(run_id, columns, f"{path}.json")

    def _daily(self, day: Day) -> None:
        date_of = self._day(plan.DAYS - day.number)
        note = _NOTES["daily"].format(days=plan.DAYS)
        tags = {"schedule": "daily"}
        with self._run(f"daily-{date_of.isoformat()}", note, date_of, tags) as (run_id, began):
            at = began + _MADE_BY_TRAINING
            self._store.log(
                run_id,
                params={"model": "ridge", "alpha": 10.0, "examples": plan.EXAMPLES_A_DAY},
                points=[
                    Point("accuracy", day.accuracy, at, 0),
                    Point("control_accuracy", day.control, at, 0),
                ],
            )


def _write(table: Table, path: Path) -> None:
    """The table as CSV and as Parquet, beside each other."""
    import pandas as pd

    frame = pd.DataFrame(dict(table))
    frame.to_csv(path.with_suffix(".csv"), index=False, lineterminator="\n")
    frame.to_parquet(path.with_suffix(".parquet"), index=False)
