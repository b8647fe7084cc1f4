"""One scenario after the other: where each goes, and what carries it out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from qualia_lab.demo import DemoExperiment, DemoRuns, clock, plan, record, store
from qualia_lab.demo.drift import record as drift
from qualia_lab.demo.llm import record as llm
from qualia_lab.demo.store import SIMULATED, Store

_ABOUT = {
    "training": "Small models trained on scikit-learn's bundled data sets, as samples to look at.",
    "llm": "**Simulated** traces of a pipeline in three stages that criticises its own summaries. "
    "No model was called. What was planted: `ground_truth.json` of the run `ground-truth`.",
    "drift": "Tables and metrics of real data with **simulated** shifts. What was planted: "
    "`ground_truth.json` of the run `ground-truth`.",
}

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeding:
    """What ``create_demo_runs`` was asked for."""

    tracking_uri: str
    stem: str
    count: int
    seed: int
    today: date | None
    on_progress: Progress | None

    def make(self, scenarios: Sequence[str]) -> DemoRuns:
        """Make these scenarios, in this order."""
        sizes = [self._size(scenario) for scenario in scenarios]
        made = []
        for number, scenario in enumerate(scenarios):
            target = self._open(scenario)
            progress = _part(self.on_progress, sum(sizes[:number]), sum(sizes))
            made.append(self._make(scenario, target, progress))
        return DemoRuns(
            tracking_uri=target.uri,
            experiment=made[0].experiment,
            experiment_id=made[0].experiment_id,
            run_ids=tuple(run_id for one in made for run_id in one.run_ids),
            experiments=tuple(made),
        )

    def _name(self, scenario: str) -> str:
        return self.stem if scenario == "training" else f"{self.stem}-{scenario}"

    def _open(self, scenario: str) -> Store:
        tags = {} if scenario == "training" else SIMULATED
        return store.open_store(self.tracking_uri, self._name(scenario), _ABOUT[scenario], tags)

    def _size(self, scenario: str) -> int:
        if scenario == "training":
            return plan.size(plan.runs(self.count, self.seed))
        return llm.SIZE if scenario == "llm" else drift.SIZE

    def _make(self, scenario: str, target: Store, progress: Progress | None) -> DemoExperiment:
        traces = 0
        today = self.today or clock.today()
        if scenario == "training":
            run_ids = record.carry_out(plan.runs(self.count, self.seed), target, progress)
        elif scenario == "llm":
            run_ids, traces = llm.carry_out(self.seed, today, target, progress)
        else:
            run_ids = drift.carry_out(self.seed, today, target, progress)
        return DemoExperiment(
            scenario=scenario,
            experiment=self._name(scenario),
            experiment_id=target.experiment_id,
            run_ids=run_ids,
            traces=traces,
        )


def _part(on_progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of one scenario as part of all of them."""
    if on_progress is None:
        return None
    return lambda done, _, what: on_progress(before + done, total, what)
