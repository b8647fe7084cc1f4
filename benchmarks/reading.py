"""Reading runs: MLflow's own way, ours, and the floor, side by side.

    python benchmarks/reading.py            # everything: about 20 minutes, 3 GB of disk
    python benchmarks/reading.py --quick    # 10,000 runs: under 2 minutes

Every measurement is a process of its own, the ways in turn, the order turned round each time. The
seconds are those of the operation: imports are not in them, except where whole commands are timed.
Peak memory is the process's, imports included. The floor is the same rows through the plain
database driver. Writes a table to benchmarks/RESULTS.md (not with --quick, which prints it).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from stores import history_store, wide_store

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
CURVES = [f"curve_{i}" for i in range(5)]

# Each way is a statement, after imports that are not counted. {uri} and {path} are filled in.
IMPORTS = """
import json, resource, sqlite3, sys, time
uri, path = sys.argv[1:3]
"""
MLFLOW = (
    IMPORTS
    + """
import mlflow, pandas
mlflow.set_tracking_uri(uri)
client = mlflow.MlflowClient(uri)
client.search_experiments()
"""
)
OURS = (
    IMPORTS
    + """
import pandas, pyarrow, sqlalchemy, requests, adbc_driver_sqlite.dbapi
import qualia_lab
from qualia_lab.model import Query
explorer = qualia_lab.ArtifactExplorer(uri)
"""
)
REPORT = """
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak": peak, "count": count}))
"""

SEARCH = "found = mlflow.search_runs(experiment_ids=['1'])\ncount = len(found)"
LOAD = "found = explorer.load(Query(experiment_ids=('1',)))\ncount = len(found)"
ROWS = """
db = sqlite3.connect(path)
found = [
    db.execute(f"SELECT {columns} FROM {table}").fetchall()
    for table, columns in (
        ("runs", "run_uuid, name, status, start_time, end_time, user_id, artifact_uri"),
        ("params", "run_uuid, key, value"),
        ("latest_metrics", "run_uuid, key, value, is_nan"),
        ("tags", "run_uuid, key, value"),
    )
]
count = len(found[0])
"""
IDS = (
    "ids = [row[0] for row in sqlite3.connect(path).execute('SELECT run_uuid FROM runs LIMIT 100')]"
)
GET_EACH = "found = [client.get_run(one) for one in ids]\ncount = len(found)"
LOAD_IDS = "found = explorer.load(Query(run_ids=tuple(ids)))\ncount = len(found)"
HISTORY_EACH = f"""
found = [point for one in ids for name in {CURVES} for point in client.get_metric_history(one, name)]
count = len(found)
"""
HISTORY = f"count = len(runs.history({CURVES}))"
HISTORY_ROWS = f"""
found = sqlite3.connect(path).execute(
    "SELECT run_uuid, key, step, timestamp, value, is_nan FROM metrics WHERE key IN "
    + str(tuple({CURVES}))
).fetchall()
count = len(found)
"""
BEST_BY_SORTING = """
found = mlflow.search_runs(experiment_ids=["1"])
count = len(found.sort_values("metrics.metric_03", ascending=False).head(10))
"""
BEST = 'count = len(explorer.runs(Query(order_by=("metrics.metric_03 DESC",), top=10)))'
CELLS_EACH = """
found = [client.get_run(one) for one in ids]
points = [p for one in ids for name in CURVES for p in client.get_metric_history(one, name)]
count = len(points)
""".replace("CURVES", str(CURVES))
CELLS = f"count = len(qualia_lab.load(uri, ids).history({CURVES}))"


@dataclass(kw_only=True)
class Operation:
    """One line of the table: ways by name, each (set-up, statement)."""

    name: str
    uri: str
    path: Path
    ways: dict[str, tuple[str, str]]
    goal: str
    rounds: int = 5
    taken: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def measure(self) -> None:
        """Each way once a round, the order turned round each time."""
        for number in range(self.rounds):
            names = list(self.ways)[:: 1 if number % 2 else -1]
            for name in names:
                result = once(*self.ways[name], self.uri, self.path)
                self.taken.setdefault(name, []).append(result)
        counts = {result["count"] for results in self.taken.values() for result in results}
        if len(counts) != 1:
            raise SystemExit(f"{self.name}: the ways read different amounts: {counts}")
        print(self.line(), flush=True)

    def median(self, way: str, what: str = "seconds") -> float | None:
        """The median of a way, or None where it was not measured."""
        results = self.taken.get(way)
        return statistics.median(one[what] for one in results) if results else None

    def line(self) -> str:
        """The line of the table."""
        theirs, ours, floor = (self.median(way) for way in ("theirs", "ours", "floor"))
        peaks = [self.median(way, "peak") for way in ("theirs", "ours", "floor")]
        ratio = f"{theirs / ours:.1f}" if theirs and ours else ""
        cells = [self.name, _seconds(theirs), _seconds(ours), ratio, self.goal, _seconds(floor)]
        return "| " + " | ".join([*cells, *(f"{p:,.0f}" if p else "" for p in peaks)]) + " |"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def once(setup: str, statement: str, uri: str, path: Path) -> dict[str, float]:
    """One way in a process of its own."""
    code = f"{setup}\nstart = time.perf_counter()\n{statement}\n{REPORT}"
    command = [sys.executable, "-c", code, uri, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{statement}\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@contextmanager
def server(path: Path) -> Iterator[str]:
    """A tracking server with two workers on a store."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "2", "--backend-store-uri", f"sqlite:///{path}"]
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"{url}/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.3)
            warm_up(url)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


def warm_up(url: str) -> None:
    """Let each worker answer some searches: a server that is in use has done so before.

    The first of a worker takes seconds, and only a way that opens connections would come to it.
    """
    body = json.dumps({"experiment_ids": ["0", "1"], "max_results": 10}).encode()
    for _ in range(40):  # each on a connection of its own, which goes to either worker
        urllib.request.urlopen(
            urllib.request.Request(
                f"{url}/api/2.0/mlflow/runs/search",
                data=body,
                headers={"Content-Type": "application/json"},
            ),
            timeout=60,
        ).close()


def from_sqlite(folder: Path, *, quick: bool) -> Iterator[Operation]:
    """The operations on files."""
    for runs in (10_000,) if quick else (1_000, 10_000, 100_000):
        path = wide_store(folder, runs)
        yield Operation(
            name=f"{runs:,} runs, SQLite, to frames",
            uri=f"sqlite:///{path}",
            path=path,
            ways={"theirs": (MLFLOW, SEARCH), "ours": (OURS, LOAD), "floor": (IMPORTS, ROWS)},
            goal={10_000: "25", 100_000: "25"}.get(runs, ""),
            rounds=2 if quick or runs > 10_000 else 5,
        )
    if not quick:
        yield Operation(
            name="best 10 of 100,000 by a metric, SQLite",
            uri=f"sqlite:///{path}",
            path=path,
            ways={"theirs": (MLFLOW, BEST_BY_SORTING), "ours": (OURS, BEST)},
            goal="under 1 s",
            rounds=1,
        )
    path = history_store(folder)
    uri = f"sqlite:///{path}"
    loaded = f"{OURS}\n{IDS}\nruns = explorer.load(Query(run_ids=tuple(ids)))"
    yield Operation(
        name="5 metrics x 100 runs x 100 steps, SQLite",
        uri=uri,
        path=path,
        ways={
            "theirs": (f"{MLFLOW}\n{IDS}", HISTORY_EACH),
            "ours": (loaded, HISTORY),
            "floor": (IMPORTS, HISTORY_ROWS),
        },
        goal="40",
        rounds=2 if quick else 5,
    )
    yield Operation(
        name="the loading cells of that notebook, SQLite",
        uri=uri,
        path=path,
        ways={"theirs": (f"{MLFLOW}\n{IDS}", CELLS_EACH), "ours": (f"{OURS}\n{IDS}", CELLS)},
        goal="10",
        rounds=2 if quick else 5,
    )
    if not quick:
        million = history_store(folder, runs=1, metrics=1, steps=1_000_000)
        yield Operation(
            name="one run with 1,000,000 points, SQLite",
            uri=f"sqlite:///{million}",
            path=million,
            ways={
                "theirs": (
                    f"{MLFLOW}\n{IDS}",
                    "count = len(client.get_metric_history(ids[0], 'curve_0'))",
                ),
                "ours": (loaded, "count = len(runs.history('curve_0'))"),
            },
            goal="",
            rounds=2,
        )


def over_http(folder: Path, *, quick: bool) -> Iterator[Operation]:
    """The operations on a server with two workers."""
    path = history_store(folder)
    with server(path) as url:
        yield Operation(
            name="100 chosen runs over HTTP",
            uri=url,
            path=path,
            ways={
                "theirs": (f"{MLFLOW}\n{IDS}", GET_EACH),
                "ours": (f"{OURS}\n{IDS}\nexplorer.experiments()", LOAD_IDS),
            },
            goal="15",
            # Whether two requests meet in one worker is a matter of chance.
            rounds=2 if quick else 11,
        )
        if quick:
            return
        loaded = f"{OURS}\n{IDS}\nruns = explorer.load(Query(run_ids=tuple(ids)))"
        yield Operation(
            name="5 metrics x 100 runs x 100 steps over HTTP",
            uri=url,
            path=path,
            ways={"theirs": (f"{MLFLOW}\n{IDS}", HISTORY_EACH), "ours": (loaded, HISTORY)},
            goal="8",
            rounds=3,
        )
    for runs in (1_000, 10_000):
        path = wide_store(folder, runs)
        with server(path) as url:
            yield Operation(
                name=f"{runs:,} runs over HTTP, to frames",
                uri=url,
                path=path,
                ways={"theirs": (MLFLOW, SEARCH), "ours": (OURS, LOAD)},
                goal="1.5" if runs == 10_000 else "",
                rounds=3,
            )


def command(folder: Path, *, quick: bool) -> str:
    """The whole command against ``import mlflow`` alone, as lines of the table."""
    path = history_store(folder)
    create = BIN / "create-observation-notebook"
    ways = {
        "theirs": [sys.executable, "-c", "import mlflow"],
        "ours": [create, "--tracking-uri", f"sqlite:///{path}", "--all", "--no-input", "-q",
                 "--overwrite", "-o", folder / "n.ipynb"],
    }  # fmt: skip
    taken: dict[str, list[float]] = {"theirs": [], "ours": []}
    for number in range(4 if quick else 8):
        for name, words in list(ways.items())[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True, cwd=folder)
            taken[name].append(time.perf_counter() - start)
    theirs, ours = (statistics.median(taken[name][1:]) for name in ("theirs", "ours"))
    return (
        f"| whole command, 100 runs, SQLite (today's way: `import mlflow` alone) | {theirs:.3g} "
        f"| {ours:.3g} | {theirs / ours:.1f} | over 1 | | | | |"
    )


def machine() -> str:
    """What it ran on."""
    return (
        f"Python {platform.python_version()}, MLflow {version('mlflow')}, pandas "
        f"{version('pandas')}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}."
    )


HEAD = """| operation | today's way, s | ours, s | ratio | to reach | plain driver, s | MB today's | MB ours | MB plain |
|---|---|---|---|---|---|---|---|---|"""


def exchange(lines: list[str]) -> None:
    """Put rows that were measured again in the place of those of the same name."""
    path = HERE / "RESULTS.md"
    text = path.read_text(encoding="utf-8")
    for line in lines:
        name = line.split(" | ")[0]
        (old,) = (one for one in text.splitlines() if one.startswith(f"{name} |"))
        text = text.replace(old, line)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--stores", type=Path, help="keep the stores here, for the next time")
    parser.add_argument("--only", help="measure the rows again that hold this, and exchange them")
    args = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.stores or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(HEAD, flush=True)
        operations = []
        for source in (from_sqlite(folder, quick=args.quick), over_http(folder, quick=args.quick)):
            for operation in source:
                if args.only is None or args.only in operation.name:
                    operation.measure()
                    operations.append(operation)
        lines = [operation.line() for operation in operations]
        if args.only is None or args.only in "whole command":
            lines.append(command(folder, quick=args.quick))
            print(lines[-1])
    if args.only and not args.quick:
        exchange(lines)
    elif not args.quick:
        intro = "# Results\n\nWritten by `make bench`; what is measured and how: "
        intro += "[reading.py](reading.py). Medians.\n\n"
        text = intro + machine() + "\n\n" + HEAD + "\n" + "\n".join(lines) + "\n"
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
