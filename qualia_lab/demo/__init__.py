"""Sample runs: really trained, small, and shaped like those that people have.

Read in order: ``plan.py`` says which runs, ``data.py`` and ``training.py`` make their numbers,
``results.py`` their files, ``record.py`` carries a plan out, ``store.py`` writes to MLflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["DemoRuns", "create_demo_runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRuns:
    """What was made. ``run_ids`` is in the order made: a parent comes before its children.

    ``tracking_uri`` holds no password.
    """

    tracking_uri: str
    experiment: str
    experiment_id: str
    run_ids: tuple[str, ...]


def create_demo_runs(
    tracking_uri: str,
    *,
    experiment: str = "qualia-demo",
    count: int = 9,
    seed: int = 0,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> DemoRuns:
    """Train ``count`` small models and log them as runs of one experiment.

    The first five hold every situation that a notebook must cope with; ``plan.runs`` documents
    their order. The same ``seed`` gives the same params, metrics and tables; run ids, times and
    metrics under ``system/`` differ. A SQLite store that does not exist is created, and artifacts
    go to a folder ``artifacts`` beside it; elsewhere the server decides. Neither MLflow's global
    tracking URI nor its active run changes.

    Args:
        tracking_uri: any that MLflow can write to.
        experiment: made when it does not exist, else the runs are added to it.
        count: how many top-level runs; the nested ones of a sweep come on top.
        seed: of the first run, 0 or more; the others count on from it.
        on_progress: called with (runs done, runs in all, name of the run) when a run begins and
            again when it is done; nested runs count.

    Raises:
        ValueError: ``count`` is below 1 or ``seed`` below 0.
        UsageError: the experiment is deleted, or the URI names no database file.
        QualiaError: the store can't be reached, read or written.

    Whatever is raised in the middle, an interrupt included, the run that was being written is
    ended as FAILED or KILLED first.
    """
    if count < 1:
        raise ValueError(f"count must be 1 or more, not {count}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    from qualia_lab.demo import plan, record, store
    from qualia_lab.demo.quiet import quiet_mlflow

    with quiet_mlflow():
        target = store.open_store(tracking_uri, experiment)
        run_ids = record.carry_out(plan.runs(count, seed), target, on_progress)
    return DemoRuns(
        tracking_uri=target.uri,
        experiment=experiment,
        experiment_id=target.experiment_id,
        run_ids=run_ids,
    )
