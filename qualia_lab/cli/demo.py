"""``create-demo-runs``: seed a tracking store with real sample runs."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from qualia_lab.cli import console
from qualia_lab.errors import UsageError

EPILOG = """Examples:

\b
create-demo-runs
create-demo-runs 20 --tracking-uri sqlite:///demo/mlflow.db --seed 7
create-demo-runs --scenario llm
create-demo-runs --scenario all --tracking-uri http://127.0.0.1:5000 --json
"""
_COUNT = 9


class Scenario(StrEnum):
    """What to make; the values of the flag."""

    TRAINING = "training"
    LLM = "llm"
    DRIFT = "drift"
    ALL = "all"


def demo(
    count: Annotated[
        int | None,
        typer.Argument(
            metavar="[N]",
            min=1,
            max=1000,
            help=f"How many runs to train.  [default: {_COUNT}]",
            show_default=False,
        ),
    ] = None,
    scenario: Annotated[
        Scenario, typer.Option(help="Real training runs, or simulated traces or drift.")
    ] = Scenario.TRAINING,
    tracking_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Default: MLFLOW_TRACKING_URI, then sqlite:///mlflow.db."),
    ] = None,
    experiment: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Made if it does not exist; -llm and -drift are added to it."
        ),
    ] = "qualia-demo",
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="The same seed gives the same numbers.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Log sample runs and traces to MLflow, to try things on. Nothing is downloaded.

    training: small scikit-learn models, really trained; several seeds of one configuration, a
    parent with a nested sweep, one that failed, one still running, one whose loss diverged.

    llm: 240 simulated traces over 60 days of an LLM pipeline, with costs, errors and scores.

    drift: tables with planted shifts, and 90 daily runs whose accuracy declines.
    """
    from qualia_lab.demo import create_demo_runs
    from qualia_lab.tracking import boundary, uris

    out = console.Console(quiet=quiet, verbose=verbose, as_json=as_json)
    if count is not None and scenario in (Scenario.LLM, Scenario.DRIFT):
        raise UsageError(
            f"the scenario {scenario} has one size; N is for training",
            hint=f"create-demo-runs --scenario {scenario}",
        )
    shown = uris.enter(tracking_uri or uris.default())
    out.say(f"{_doing(scenario, count or _COUNT)} into {shown}")
    what = "Training" if scenario is Scenario.TRAINING else "Writing"
    with boundary.translate(shown, "Writing demo runs to"), out.progress(what) as advance:
        made = create_demo_runs(
            uris.with_password(shown),
            scenario=scenario,
            experiment=experiment,
            count=count or _COUNT,
            seed=seed,
            on_progress=advance,
        )
    record = {
        "tracking_uri": shown,
        "experiment": made.experiment,
        "experiment_id": made.experiment_id,
        "run_ids": list(made.run_ids),
        "experiments": [asdict(one) for one in made.experiments],
    }
    for one in made.experiments:
        traces = f" and {one.traces} traces" if one.traces else ""
        then = " Next:" if one is made.experiments[-1] else ""
        where = f"to the experiment {one.experiment}.{then}"
        out.say(f"Logged {len(one.run_ids)} runs{traces} {where}")
    words = ["create-observation-notebook", "--tracking-uri", shown]
    named = [word for one in made.experiments for word in ("--experiment", one.experiment)]
    out.result(shlex.join([*words, *named, "--all"]), record)


def _doing(scenario: Scenario, count: int) -> str:
    if scenario is Scenario.TRAINING:
        return f"Training {count} demo runs"
    if scenario is Scenario.ALL:
        return f"Training {count} demo runs and writing simulated traces and drift"
    return f"Writing the scenario {scenario}"


def main() -> None:
    """Entry point of ``create-demo-runs``."""
    app = console.application("create-demo-runs", demo, EPILOG)
    console.run(app)
