"""How long the commands take, as a person waits for them: whole processes, in turn.

    python benchmarks/commands.py

Prints a Markdown table of medians. The store is made afresh: 20 runs of 20 params and 20 metrics
in SQLite.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7
RUNS = 20
BIN = Path(sys.executable).parent


def seed(folder: Path) -> None:
    """A store of 20 runs, logged through MLflow."""
    code = f"""
import mlflow
from mlflow.entities import Metric, Param
client = mlflow.MlflowClient("sqlite:///mlflow.db")
experiment = client.create_experiment("bench")
for i in range({RUNS}):
    run = client.create_run(experiment, run_name=f"run-{{i}}").info.run_id
    client.log_batch(
        run,
        metrics=[Metric(f"metric_{{j}}", i / (j + 1), 1000 * j, j) for j in range(20)],
        params=[Param(f"param_{{j}}", str(i * j)) for j in range(20)],
    )
    client.set_terminated(run)
"""
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)


def seconds(command: list[str | Path], folder: Path) -> float:
    """Wall-clock of one process."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    create = BIN / "create-observation-notebook"
    commands: dict[str, list[str | Path]] = {
        "`python -c pass`": [sys.executable, "-c", "pass"],
        "`create-observation-notebook --help`": [create, "--help"],
        '`python -c "import mlflow"`': [sys.executable, "-c", "import mlflow"],
        f"{RUNS} runs in SQLite to a notebook on disk": [
            *(create, "--all", "--no-input", "--overwrite", "-o", "n.ipynb", "-q"),
        ],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seed(folder)
        for command in commands.values():
            seconds(command, folder)  # so that all start with warm caches
        for _ in range(ROUNDS):
            for what, command in commands.items():
                taken[what].append(seconds(command, folder))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}\n")
    print("| command | median s | min | max |\n|---|---|---|---|")
    for what, times in taken.items():
        print(f"| {what} | {statistics.median(times):.2f} | {min(times):.2f} | {max(times):.2f} |")


if __name__ == "__main__":
    main()
