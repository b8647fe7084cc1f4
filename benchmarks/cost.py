"""Reading what calls cost: MLflow's own way to a frame of traces, and ours to one of costs.

    python benchmarks/cost.py               # about 5 minutes
    python benchmarks/cost.py --stores DIR  # keep the stores, for the next time

10,000 traces with 30,000 spans and 100,000 with 300,000, in SQLite. Today's way is
``mlflow.search_traces`` to pandas, which reads and parses every span and prices none; ours reads
the spans, and prices and sums them too. Each measurement is a process of its own, in turn, imports
left out. Writes benchmarks/COST.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from reading import IMPORTS, Operation, machine
from stores import trace_store

HERE = Path(__file__).resolve().parent
MLFLOW = f"""{IMPORTS}
import mlflow, pandas
mlflow.set_tracking_uri(uri)
mlflow.MlflowClient(uri).search_experiments()
"""
SEARCH = "found = mlflow.search_traces(locations=['1'], max_results=10**6)\ncount = len(found)"
OURS = f"""{IMPORTS}
import pandas, pyarrow, sqlalchemy, adbc_driver_sqlite.dbapi, genai_prices
import qualia_lab
from qualia_lab.analysis.calls import spending
from qualia_lab.model import Query
explorer = qualia_lab.ArtifactExplorer(uri)
"""
COST = """
found = spending(explorer.load(Query(experiment_ids=("1",))))
count = len(found.executions)
assert found.calls["cost"].notna().all() and len(found.calls) == 2 * count
"""
HEAD = """| operation | today's way, s | ours, s | ratio | to reach | | MB today's | MB ours | |
|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=Path, help="keep the stores here, for the next time")
    args = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.stores or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(HEAD, flush=True)
        for traces in (1_000, 10_000, 100_000):
            path = trace_store(folder, traces)
            ways = {"theirs": (MLFLOW, SEARCH), "ours": (OURS, COST)}
            if traces > 10_000:
                del ways["theirs"]
            operation = Operation(
                name=f"{traces:,} traces with {3 * traces:,} spans, SQLite, to costs",
                uri=f"sqlite:///{path}",
                path=path,
                ways=ways,
                goal={10_000: "10", 100_000: "works"}.get(traces, ""),
                rounds=3 if traces <= 10_000 else 2,
            )
            operation.measure()
            lines.append(operation.line())
    intro = "# What reading costs takes\n\nWritten by `python benchmarks/cost.py`. Medians.\n\n"
    text = intro + machine() + "\n\n" + HEAD + "\n" + "\n".join(lines) + "\n"
    (HERE / "COST.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
