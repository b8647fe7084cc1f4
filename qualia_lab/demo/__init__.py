"""Sample runs and traces, shaped like those that people have.

Three scenarios. ``training`` is real: small models are really trained. ``llm`` and ``drift`` are
simulated, carry the tag ``qualia_lab.demo=simulated``, and say in the artifact
``ground_truth.json`` of their run ``ground-truth`` which numbers were planted.

Of ``training``, read in order: ``plan.py`` says which runs, ``data.py`` and ``training.py`` make
their numbers, ``results.py`` their files, ``record.py`` carries a plan out. ``llm/`` and ``drift/``
are folders of the same shape. ``store.py`` writes to MLflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

__all__ = ["SCENARIOS", "DemoExperiment", "DemoRuns", "create_demo_runs"]

SCENARIOS = ("training", "llm", "drift")
ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoExperiment:
    """What one scenario made. ``traces`` is how many, those of the judge included."""

    scenario: str
    experiment: str
    experiment_id: str
    run_ids: tuple[str, ...]
    traces: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRuns:
    """What was made. ``run_ids`` is in the order made: a parent comes before its children.

    ``tracking_uri`` holds no password. ``experiment`` and ``experiment_id`` are those of the first
    of ``experiments``; ``run_ids`` are those of all of them.
    """

    tracking_uri: str
    experiment: str
    experiment_id: str
    run_ids: tuple[str, ...]
    experiments: tuple[DemoExperiment, ...] = ()


def create_demo_runs(
    tracking_uri: str,
    *,
    scenario: str = "training",
    experiment: str = "qualia-demo",
    count: int = 9,
    seed: int = 0,
    today: date | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> DemoRuns:
    """Make sample runs and traces of one scenario, or of ``"all"`` three.

    - ``training`` trains ``count`` small models. The first five runs hold every situation that a
      notebook must cope with; ``plan.runs`` documents their order.
    - ``llm`` writes 240 traces over 60 days of a pipeline that criticises its own summaries, with
      models, users, costs, errors and scores; ``llm.plan.traces`` documents them.
    - ``drift`` writes tables with planted shifts, a stream of predictions and 90 daily runs whose
      accuracy declines; ``drift.plan`` documents them.

    The same ``seed`` gives the same params, metrics, tables and token counts; ids, times and
    metrics under ``system/`` differ. Simulated times count back from ``today``: the last simulated
    day is the one before it. A SQLite store that does not exist is created, and artifacts go to a
    folder ``artifacts`` beside it; elsewhere the server decides. Neither MLflow's global tracking
    URI nor its active run changes.

    Args:
        tracking_uri: any that MLflow can write to; for ``llm`` a database or a server (3.4 or
            later), since MLflow's file store keeps no spans.
        experiment: of ``training``; ``-llm`` or ``-drift`` is added for the others. Made when it
            does not exist, else the runs are added to it.
        count: how many top-level runs ``training`` makes; the nested ones of a sweep come on top.
            The other scenarios have one size.
        seed: of the first run, 0 or more; the others count on from it.
        today: a day in UTC; the present one by default.
        on_progress: called with (done, in all, name) when a run begins and again when it is done;
            nested runs count, and so do traces.

    Raises:
        ValueError: ``count`` is below 1, ``seed`` below 0, or the scenario unknown.
        UsageError: the experiment is deleted, or the URI names no database file.
        QualiaError: the store can't be reached, read or written.

    Whatever is raised in the middle, an interrupt included, the run that was being written is
    ended as FAILED or KILLED first.
    """
    if count < 1:
        raise ValueError(f"count must be 1 or more, not {count}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    if scenario not in (*SCENARIOS, ALL):
        raise ValueError(f"scenario must be one of {', '.join(SCENARIOS)} or {ALL}")
    from qualia_lab.demo.quiet import quiet_mlflow
    from qualia_lab.demo.scenarios import Seeding

    with quiet_mlflow():
        seeding = Seeding(
            tracking_uri=tracking_uri,
            stem=experiment,
            count=count,
            seed=seed,
            today=today,
            on_progress=on_progress,
        )
        return seeding.make(SCENARIOS if scenario == ALL else (scenario,))
