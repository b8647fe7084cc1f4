"""Data drift on large tables: against numpy's sort of the same columns, and against Evidently.

    python benchmarks/drift.py [--evidently PYTHON]

Two tables of 500,000 rows, 20 columns of numbers and one of categories, from a fixed seed; some
columns have missing values, so that the two samples are of different sizes. Timed in one process, in
turn: ``numpy.sort`` of the 20 columns of both tables, once; and ``analysis.data_drift``, which gives
KS, chi-square, PSI with its critical value, Jensen-Shannon and Wasserstein of all 21. With
``--evidently`` the Python of an environment that has it is run between, on the same tables (it does
not import with pandas 3): its DataDriftPreset with KS for numbers and chi-square for the category,
and a calculation of nothing else. Medians of seven, after one round that warms up. Writes
benchmarks/DRIFT.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from qualia_lab.analysis.drifted import data_drift
from qualia_lab.analysis.samples import Sample, Samples

HERE = Path(__file__).resolve().parent
ROWS, NUMBERS = 500_000, 20
ROUNDS = 7

# Runs in the other environment: reads the tables, then times one calculation for each line it gets.
THEIRS = """
import sys, time
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
import evidently, importlib.metadata as m
numbers = [f"x{i}" for i in range(20)]
about = DataDefinition(numerical_columns=numbers, categorical_columns=["c"])
first, second = (pd.read_parquet(path) for path in sys.argv[1:3])
print(m.version("evidently"), m.version("pandas"), m.version("numpy"), flush=True)
for line in sys.stdin:
    one, two = (Dataset.from_pandas(x, data_definition=about) for x in (first, second))
    preset = DataDriftPreset(num_method="ks", cat_method="chisquare")
    start = time.perf_counter()
    found = Report([preset]).run(two, one)
    found.dict()
    print(time.perf_counter() - start, flush=True)
"""


def tables() -> list[pd.DataFrame]:
    """The reference and the current table."""
    draw = np.random.default_rng(0)
    found = []
    for side in (0, 1):
        columns = {}
        for number in range(NUMBERS):
            law = (draw.normal, draw.gumbel, draw.logistic, draw.laplace)[number % 4]
            values = law(0.05 * side * (number < 4), 1, ROWS)
            if number % 5 == 4:
                values[draw.random(ROWS) < 0.01 * (1 + side)] = np.nan
            columns[f"x{number}"] = values
        columns["c"] = draw.choice([f"category {one}" for one in range(30)], ROWS)
        found.append(pd.DataFrame(columns))
    return found


def sorts(both: list[pd.DataFrame]) -> None:
    """What the drift is held against."""
    for frame in both:
        for number in range(NUMBERS):
            np.sort(frame[f"x{number}"].to_numpy())


def drifts(both: list[pd.DataFrame]) -> None:
    """The whole table of drift, nothing of it kept from before."""
    first, second = (Sample(name="", short="", frame=frame) for frame in both)
    data_drift(Samples(reference=first, current=second, told=()))


def seconds(work: Callable[[], object]) -> float:
    """Wall clock of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Theirs:
    """Evidently in its own environment, asked once a round."""

    def __init__(self, python: str, both: list[pd.DataFrame], folder: Path) -> None:
        paths = [folder / "reference.parquet", folder / "current.parquet"]
        for frame, path in zip(both, paths, strict=True):
            frame.to_parquet(path)
        (folder / "theirs.py").write_text(THEIRS, encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["DO_NOT_TRACK"] = "1"
        self._process = subprocess.Popen(
            [python, "-W", "ignore", str(folder / "theirs.py"), *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.versions = self._line().split()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the other environment failed; its error is above"
        return line

    def seconds(self) -> float:
        """One calculation, timed there."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--evidently", help="the Python of an environment that has Evidently")
    asked = parser.parse_args()
    both = tables()
    taken: dict[str, list[float]] = {"sort": [], "drift": [], "evidently": []}
    with tempfile.TemporaryDirectory() as name:
        theirs = Theirs(asked.evidently, both, Path(name)) if asked.evidently else None
        for number in range(ROUNDS + 1):
            order = ["sort", "drift", "evidently"][:: 1 if number % 2 else -1]
            for one in order:
                if one == "evidently":
                    if theirs is not None:
                        taken[one].append(theirs.seconds())
                    continue
                work = sorts if one == "sort" else drifts
                taken[one].append(seconds(lambda work=work: work(both)))
            print(json.dumps({key: values[-1:] for key, values in taken.items()}), flush=True)
        versions = theirs.versions if theirs else []
        if theirs:
            theirs.close()
    write({key: statistics.median(values[1:]) for key, values in taken.items() if values}, versions)


def write(medians: dict[str, float], versions: list[str]) -> None:
    """The results as a page."""
    sort, ours = medians["sort"], medians["drift"]
    rows = [
        "| what | seconds | in sorts | to reach |",
        "|---|---|---|---|",
        f"| `numpy.sort` of the {NUMBERS} columns of numbers, both tables | {sort:.3f} | 1 | |",
        f"| `analysis.data_drift`: KS, chi-square, PSI with its critical value, Jensen-Shannon, "
        f"Wasserstein, {NUMBERS + 1} columns | {ours:.3f} | {ours / sort:.2f} | 3 sorts |",
    ]
    if "evidently" in medians:
        theirs = medians["evidently"]
        rows.append(
            f"| Evidently's DataDriftPreset: KS and chi-square, {NUMBERS + 1} columns "
            f"| {theirs:.3f} | {theirs / sort:.1f} | |"
        )
        rows += ["", f"Evidently takes **{theirs / ours:.1f} times** as long (to reach: 8)."]
        rows[-1] += f" Its environment: Evidently {versions[0]}, pandas {versions[1]}, "
        rows[-1] += f"numpy {versions[2]}."
    else:
        rows += ["", "Evidently was not measured: run with `--evidently PYTHON`."]
    intro = "# Data drift\n\nWritten by [drift.py](drift.py), which says what is measured and how: "
    intro += f"2 × {ROWS:,} rows, medians of {ROUNDS} in one run, in turn.\n\n"
    on = f"Python {platform.python_version()}, numpy {version('numpy')}, pandas "
    on += f"{version('pandas')}, scipy {version('scipy')}, {os.cpu_count()} cores, "
    on += f"{platform.system()}.\n\n"
    text = intro + on + "\n".join(rows) + "\n"
    (HERE / "DRIFT.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
