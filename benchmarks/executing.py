"""Executing notebooks: how long, and how large they and their pages become.

    python benchmarks/executing.py

Notebooks of 1, 20, 100 and 1,000 runs (20 params, 20 metrics of one point and 5 curves of 100 points
a run, in SQLite) are executed in a fresh kernel, and in turn with each a notebook that only imports
pandas and matplotlib: both by the product's own executor, which sets the kernel's garbage collector,
and by nbclient as it is, which is what ``jupyter execute`` and nbconvert run. Seconds are medians,
start and end of the kernel included. Writes a table to benchmarks/EXECUTING.md.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from stores import history_store

from qualia_lab import ArtifactExplorer, NotebookGenerator
from qualia_lab.model import Query, Selection
from qualia_lab.notebook.execute import execute
from qualia_lab.notebook.export import export
from qualia_lab.notebook.generator import answers

HERE = Path(__file__).resolve().parent
# Runs, and how often each is executed.
SIZES = {1: 5, 20: 7, 100: 5, 1_000: 3}
GOALS = {20: "2.5 times a bare kernel", 1_000: "15 s"}
ASKED = {"metric": "curve_0", "direction": "min"}
BARE = "import pandas\nimport matplotlib.pyplot"


@dataclass(kw_only=True)
class Case:
    """Notebooks of one size: seconds of each execution, and bytes of what came of it."""

    runs: int
    bare_nbclient: list[float] = field(default_factory=list)
    bare_ours: list[float] = field(default_factory=list)
    by_nbclient: list[float] = field(default_factory=list)
    by_ours: list[float] = field(default_factory=list)
    notebook: int = 0
    page: int = 0

    def line(self) -> str:
        """A row of the table."""
        taken = (self.bare_nbclient, self.bare_ours, self.by_nbclient, self.by_ours)
        bare, bare_ours, plain, ours = map(statistics.median, taken)
        seconds = " | ".join(f"{one:.2f}" for one in (bare, bare_ours, plain, ours))
        return (
            f"| {self.runs:,} | {seconds} "
            f"| {ours / bare:.2f} | {plain / bare:.2f} | {ours / bare_ours:.2f} "
            f"| {GOALS.get(self.runs, '')} | {self.notebook / 1e6:.2f} | {self.page / 1e6:.2f} "
            f"| {self.page / self.notebook:.2f} |"
        )


def notebook_of(store: Path, runs: int, folder: Path) -> nbformat.NotebookNode:
    """The whole observation notebook of the newest runs of a store."""
    uri = f"sqlite:///{store}"
    query = Query(top=runs)
    loaded = ArtifactExplorer(uri).load(query)
    assert len(loaded) == runs
    generator = NotebookGenerator()
    selection = Selection(
        tracking_uri=uri,
        query=query,
        run_ids=tuple(loaded.runs.index),
        parameters=answers(generator.catalogue.kind("observation"), ASKED, loaded),
        title=f"{runs} runs",
        output=folder / "n.ipynb",
    )
    return generator.generate(selection, loaded)


def by_nbclient(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Execute it as nbclient does by itself."""
    client = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}})
    client.execute(stderr=subprocess.DEVNULL)  # a warning about TCP


def by_product(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Execute it as ``--execute`` does."""
    failure = execute(notebook, folder)
    assert failure is None, failure


def measure(runs: int, rounds: int, folder: Path) -> Case:
    """Execute all in turn, the order turned round each time; the first round warms caches."""
    made = notebook_of(history_store(folder, runs=runs), runs, folder)
    bare = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BARE)])
    bare.metadata = made.metadata
    case = Case(runs=runs)
    ways = (
        (case.bare_nbclient, by_nbclient, bare),
        (case.bare_ours, by_product, bare),
        (case.by_nbclient, by_nbclient, made),
        (case.by_ours, by_product, made),
    )
    for number in range(rounds + 1):
        for taken, run, notebook in ways[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            run(notebook, folder)
            taken.append(time.perf_counter() - start)
    for taken, _, _ in ways:
        del taken[0]
    path = folder / "n.ipynb"
    nbformat.write(made, path)
    case.notebook = path.stat().st_size
    case.page = export(made, "html", folder / "n.html", overwrite=True).stat().st_size
    return case


HEAD = """| runs | bare kernel by nbclient, s | bare kernel by `--execute`, s | the notebook by nbclient, s | the notebook by `--execute`, s | `--execute` to bare by nbclient | both by nbclient | both by `--execute` | to reach | notebook, MB | HTML, MB | HTML to notebook |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Measure, print, and write the results."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # What is installed comes with its bytecode; what is run from a checkout may compile all of its
    # modules in each kernel.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(HEAD, flush=True)
    lines = []
    with tempfile.TemporaryDirectory() as name:
        for runs, rounds in SIZES.items():
            lines.append(measure(runs, rounds, Path(name)).line())
            print(lines[-1], flush=True)
    intro = "# Executing notebooks\n\nWritten by `make bench`; what is measured and how: "
    intro += (
        "[executing.py](executing.py). A bare kernel only imports pandas and matplotlib. At any "
    )
    intro += (
        "number of runs the notebook is to stay under 2 MB, and its page under 1.5 times that.\n\n"
    )
    on = f"Python {platform.python_version()}, pandas {version('pandas')}, matplotlib "
    on += f"{version('matplotlib')}, {os.cpu_count()} cores, {platform.system()}."
    (HERE / "EXECUTING.md").write_text(
        intro + on + "\n\n" + HEAD + "\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
