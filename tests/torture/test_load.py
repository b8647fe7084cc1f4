"""Very many runs and points, and several commands at once: no error, and 600 MB at most."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import CREATE
from conftest import tracking_server
from large_store import fill
from peak_memory import Took, measured, measured_process
from torture_table import Saw, size

RUNS, COMPARED, POINTS = size(10_000, full=100_000), size(100, full=1000), size(10**5, full=10**6)
AT_ONCE = size(3, full=8)
MOST = 600.0
pytestmark = [
    pytest.mark.torture("load"),
    pytest.mark.xdist_group("load"),
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def store(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("load") / "mlflow.db"
    shutil.copy(migrated, path)
    fill(path, wide=RUNS, compared=COMPARED, points=POINTS)
    yield path
    path.unlink()  # over a gigabyte


def fine(took: Took) -> float:
    """The MB of a command that did what it should."""
    assert took.code == 0, took.err
    assert "Traceback" not in took.err
    assert took.most < MOST, f"{took.own:.0f} MB, and {took.below:.0f} MB below it"
    return took.most


@pytest.mark.parametrize("form", ["ids", "table", "csv", "json"])
def test_many_runs_are_listed(form: str, store: Path, tmp_path: Path, saw: Saw) -> None:
    args = ("--tracking-uri", f"sqlite:///{store}", "--experiment", "wide", "--format", form)
    took = measured("runs", *args, cwd=tmp_path, program="qualia-lab")
    most = fine(took)
    if form == "json":
        assert len(json.loads(took.out.read_text())["runs"]) == RUNS
    else:
        with took.out.open() as lines:
            assert sum(1 for _ in lines) == RUNS + (form != "ids")
    took.out.unlink()
    saw(lists=1, runs_listed=RUNS, MB_at_most=most, seconds_at_most=took.seconds)


@pytest.mark.parametrize("experiment", ["compared", "long"])
def test_a_notebook_about_them_is_executed(
    experiment: str, store: Path, tmp_path: Path, saw: Saw
) -> None:
    args = ("--tracking-uri", f"sqlite:///{store}", "--experiment", experiment, "--all")
    took = measured(*args, "--no-input", "--execute", "-o", "x.ipynb", cwd=tmp_path, program=CREATE)
    most = fine(took)
    assert took.below > 50, "the kernel was not seen"
    count = {"compared": COMPARED, "long": POINTS}[experiment]
    name = {"compared": "runs_compared", "long": "points_read"}[experiment]
    saw(MB_at_most=most, seconds_at_most=took.seconds, **{name: count})


def test_a_notebook_about_all_of_them_is_written(store: Path, tmp_path: Path, saw: Saw) -> None:
    args = ("--tracking-uri", f"sqlite:///{store}", "--experiment", "wide", "--all")
    took = measured(*args, "--no-input", "-o", "x.ipynb", cwd=tmp_path, program=CREATE)
    assert (tmp_path / "x.ipynb").stat().st_size < 200_000
    saw(MB_at_most=fine(took), runs_in_a_notebook=RUNS)


def test_several_at_once_ask_one_server(store: Path, tmp_path: Path, saw: Saw) -> None:
    small = tmp_path / "server" / "mlflow.db"
    small.parent.mkdir()
    shutil.copy(store, small)
    with tracking_server(small, workers=2) as url:

        def one(number: int) -> Took:
            about = ("--tracking-uri", url, "--experiment", "compared")
            folder = tmp_path / f"{number}"
            if number % 2:
                args = ("runs", *about, "--format", "csv", "--timeout", "120")
                return measured(*args, cwd=folder, program="qualia-lab")
            args = (*about, "--all", "--no-input", "--timeout", "120", "-o", "x.ipynb")
            return measured(*args, cwd=folder, program=CREATE)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            all_took = list(pool.map(one, range(AT_ONCE)))
    small.unlink()
    most = max(map(fine, all_took))
    books = [tmp_path / f"{number}" / "x.ipynb" for number in range(0, AT_ONCE, 2)]
    lists = [took.out.read_bytes() for took in all_took[1::2]]
    assert len(set(lists)) == 1
    assert len({book.read_bytes() for book in books}) == 1
    saw(commands_at_once=AT_ONCE, MB_at_most=most)


@pytest.mark.parametrize("place", ["own", "below"])
def test_what_takes_more_is_seen(place: str, tmp_path: Path, saw: Saw) -> None:
    """The counter-proof: 700 MB, taken by the command, or by a process that it starts."""
    takes = "held = bytearray(b'x') * 700_000_000; import time; time.sleep(0.5)"
    starts = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {takes!r}], check=True)"
    )
    command = [sys.executable, "-c", takes if place == "own" else starts]
    took = measured_process(command, tmp_path)
    assert took.code == 0, took.err
    assert 660 < getattr(took, place) < 800
    with pytest.raises(AssertionError, match="MB"):
        fine(took)
    saw(too_large_seen=1)
