"""``create-demo-runs``: seed a tracking store with real sample runs."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from qualia_lab.cli import console

EPILOG = """Examples:

\b
create-demo-runs
create-demo-runs 20 --tracking-uri sqlite:///demo/mlflow.db --seed 7
create-demo-runs --tracking-uri http://127.0.0.1:5000 --json
"""


def demo(
    count: Annotated[
        int, typer.Argument(metavar="[N]", min=1, max=1000, help="How many runs to train.")
    ] = 9,
    tracking_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Default: MLFLOW_TRACKING_URI, then sqlite:///mlflow.db."),
    ] = None,
    experiment: Annotated[
        str, typer.Option(metavar="NAME", help="Made if it does not exist.")
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
    """Train small scikit-learn models and log them to MLflow, to try things on.

    Among the runs: several seeds of one configuration, a parent with a nested sweep, one that
    failed, one still running, and one whose loss diverged. Nothing is downloaded.
    """
    from qualia_lab.demo import create_demo_runs
    from qualia_lab.tracking import boundary, uris

    out = console.Console(quiet=quiet, verbose=verbose, as_json=as_json)
    shown = uris.enter(tracking_uri or uris.default())
    out.say(f"Training {count} demo runs into {shown}")
    with boundary.translate(shown, "Writing demo runs to"), out.progress("Training") as advance:
        made = create_demo_runs(
            uris.with_password(shown),
            experiment=experiment,
            count=count,
            seed=seed,
            on_progress=advance,
        )
    record = {
        "tracking_uri": shown,
        "experiment": made.experiment,
        "experiment_id": made.experiment_id,
        "run_ids": list(made.run_ids),
    }
    out.say(f"Logged {len(made.run_ids)} runs to the experiment {made.experiment}. Next:")
    words = ["create-observation-notebook", "--tracking-uri", shown]
    out.result(shlex.join([*words, "--experiment", made.experiment, "--all"]), record)


def main() -> None:
    """Entry point of ``create-demo-runs``."""
    app = console.application("create-demo-runs", demo, EPILOG)
    console.run(app)
