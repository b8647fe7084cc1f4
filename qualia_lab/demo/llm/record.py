"""Carries the plan out: runs, traces and the ground truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from qualia_lab.demo import clock
from qualia_lab.demo.llm import plan, records, truth
from qualia_lab.demo.llm.entities import Logged, Maker
from qualia_lab.demo.llm.records import PlannedTrace
from qualia_lab.demo.store import Store

_A_BATCH = 20
SIZE = 1 + records.VERSIONS + records.TRACES  # what progress counts: runs and traces
_ABOUT = (
    "Prompt version {version} of a pipeline in three stages. **Simulated**: no model was called."
)


def carry_out(
    seed: int, today: date, store: Store, on_progress: Callable[[int, int, str], None] | None
) -> tuple[tuple[str, ...], int]:
    """Write the traces of the 60 days before ``today`` with their runs.

    Returns the runs' ids, that of the ground truth first, and the number of traces.
    """
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
        self._first_day = today - timedelta(days=records.DAYS)
        self._store = store
        self._on_progress = on_progress
        self._done = 0
        self._maker = Maker(store.experiment_id, clock.start_of(self._first_day) * 1_000_000)

    def record(self) -> tuple[tuple[str, ...], int]:
        traces = plan.traces(self._seed)
        truth_id = self._ground_truth(traces)
        runs = [
            self._version(version, [trace for trace in traces if trace.version == version])
            for version in range(1, records.VERSIONS + 1)
        ]
        return (truth_id, *runs), len(traces) + sum(trace.scores is not None for trace in traces)

    def _ground_truth(self, traces: Sequence[PlannedTrace]) -> str:
        with self._store.run("ground-truth", note="Every number that was planted.") as run_id:
            self._tell("ground-truth")
            self._store.log_json(
                run_id, truth.of(traces, self._seed, self._first_day), "ground_truth.json"
            )
            self._store.end(run_id, "FINISHED")
        self._step("ground-truth")
        return run_id

    def _version(self, version: int, traces: Sequence[PlannedTrace]) -> str:
        """One version of the prompt: its run, and the traces that it made."""
        name = f"prompt-v{version}"
        third = records.DAYS // records.VERSIONS
        began = clock.start_of(self._first_day + timedelta(days=third * (version - 1)))
        ended = clock.start_of(self._first_day + timedelta(days=third * version)) - 1
        note = _ABOUT.format(version=version)
        with self._store.run(name, note=note, start_time=began) as run_id:
            self._tell(name)
            self._store.log(
                run_id,
                params={"prompt_version": version, "stages": ", ".join(records.STAGES)},
            )
            for start in range(0, len(traces), _A_BATCH):
                batch = traces[start : start + _A_BATCH]
                self._store.log_traces(self._entities(batch, run_id))
                self._step(f"traces of {name}", len(batch))
            self._store.end(run_id, "FINISHED", ended)
        self._step(name)
        return run_id

    def _entities(self, traces: Sequence[PlannedTrace], run_id: str) -> list[Logged]:
        logged = []
        for trace in traces:
            judgement = self._maker.judgement(trace)
            logged += [judgement] if judgement else []
            logged.append(self._maker.trace(trace, run_id, judgement))
        return logged

    def _tell(self, what: str) -> None:
        if self._on_progress:
            self._on_progress(self._done, SIZE, what)

    def _step(self, what: str, count: int = 1) -> None:
        self._done += count
        self._tell(what)
