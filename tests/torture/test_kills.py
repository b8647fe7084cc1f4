"""SIGKILL at random moments: every file is the old one or the new one, and the next run sweeps.

Half of the kills strike anywhere, half while something is written, to a disk that takes its time.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import CREATE, DEMO, environment
from conftest import BIN, ROOT
from torture_table import Saw, size
from warm_commands import MARK, Warm, gone, warm
from watched_files import (
    EXECUTE,
    GENERATE,
    HTML,
    MARKDOWN,
    OVERWRITE,
    PDF,
    SERVERS,
    SUMMARY,
    Case,
    Place,
    Scene,
    any_in,
    made_place,
    scene,
)

from qualia_lab.notebook.export_pdf import find

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL"),
    pytest.mark.timeout(1800),
]
# So many kills before the next run must sweep what they left.
BATCH = 10
PIECES = 16
# A kernel looks for its parent once a second; a browser prints to its end.
ORPHANS_SECONDS = 15.0
# Case, and kills: small, full.
CASES = [
    (GENERATE, 6, 90),
    (OVERWRITE, 8, 110),
    (HTML, 4, 90),
    (MARKDOWN, 4, 90),
    (SERVERS, 6, 60),
    (EXECUTE, 2, 36),
    (SUMMARY, 0, 16),
    (PDF, 0, 12),
]


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with warm(tmp_path_factory.mktemp("warm")) as made:
        yield made


@pytest.fixture(scope="module")
def place(
    warmed: Warm, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with made_place(tmp_path_factory.mktemp("kills"), migrated, warmed) as made:
        yield made


def cases() -> list[object]:
    return [
        pytest.param(
            case, size(small, full=full), id=case.name,
            marks=pytest.mark.xdist_group(f"kills {'slow' if case.slow else 'fast'}"),
        )
        for case, small, full in CASES
        if size(small, full=full)
    ]  # fmt: skip


@pytest.mark.torture("kills")
@pytest.mark.parametrize(("case", "kills"), cases())
def test_a_kill_leaves_the_old_file_or_the_new_one(
    case: Case, kills: int, warmed: Warm, place: Place, tmp_path: Path, saw: Saw
) -> None:
    if case is PDF and find() is None:
        pytest.skip("no Chromium or Chrome is installed")
    of = random.Random(case.name)
    played = scene(place, case, tmp_path / "work")
    swept, orphans = 0, 0.0
    killed = struck = 0
    timed = played.rehearse(warmed)
    while killed < kills:
        left, mark = min(BATCH, kills - killed), f"{case.name}{killed}{os.getpid()}"
        for number in range(left):
            moment = while_writing(timed.puts, of) if number % 2 else (None, of.random())
            at = moment if moment[0] is not None else (None, moment[1] * timed.seconds)
            killed_in(played, warmed, at, mark)
            broken = played.broken()
            assert broken == [], f"{case.name} killed at {at}"
            struck += at[0] is not None
        killed += left
        orphans = max(orphans, gone(mark, ORPHANS_SECONDS))
        swept += len(played.temporary())
        played.reset()
        assert played.run(warmed).code == 0
        assert played.broken() == []
        assert played.temporary() == [], "the next run leaves what a kill left"
    saw(
        kills=killed, of_them_while_writing=struck, half_files=0, temp_files_swept=swept,
        seconds_until_orphans_are_gone=orphans,
    )  # fmt: skip


def while_writing(puts: object, of: random.Random) -> tuple[int, float]:
    """One of the writings, and a moment in it or just after."""
    assert isinstance(puts, list)
    # Each piece takes a millisecond and a little.
    return of.randrange(len(puts)), of.uniform(0, PIECES * 1.25e-3)


def killed_in(
    played: Scene, warmed: Warm, at: tuple[int | None, float], mark: str, *, careless: bool = False
) -> None:
    """Play it until a kill strikes; earlier each time that it was over before."""
    put, after = at
    for _ in range(30):
        played.reset()
        done = played.run(
            warmed, kill=(put, after), pieces=PIECES, careless=careless, env={MARK: mark}
        )
        if done.code == -signal.SIGKILL:
            return
        assert done.code == 0, done.err
        after *= 0.8
    raise AssertionError("it is always over before the kill")


@pytest.mark.torture("kills")
@pytest.mark.xdist_group("kills fast")
@pytest.mark.parametrize("case", [OVERWRITE, HTML, SERVERS], ids=str)
def test_a_careless_writer_loses_most_in_the_same_harness(
    case: Case, warmed: Warm, place: Place, tmp_path: Path, saw: Saw
) -> None:
    of = random.Random(0)
    played = scene(place, case, tmp_path / "work")
    timed = played.rehearse(warmed)
    kills = size(6, full=20)
    lost = 0
    for _ in range(kills):
        # The backup of an edited notebook is careful, so strike the last.
        put, after = while_writing(timed.puts, of)
        killed_in(played, warmed, (len(timed.puts) - 1 if put else 0, after), "", careless=True)
        lost += bool(played.broken())
    assert lost > kills / 2
    saw(kills_of_a_plain_open_writer=kills, of_which_it_lost=lost)


@pytest.mark.torture("kills")
@pytest.mark.xdist_group("kills slow")
@pytest.mark.parametrize("case", [OVERWRITE, EXECUTE, HTML][: size(1, full=3)], ids=str)
def test_a_kill_of_a_real_process(
    case: Case, warmed: Warm, place: Place, tmp_path: Path, saw: Saw
) -> None:
    of = random.Random(1)
    played = scene(place, case, tmp_path / "work")
    played.rehearse(warmed)
    mark = f"real {case.name} {os.getpid()}"
    env = {**environment(place.env(played.folder)), MARK: mark, "PYTHONPATH": str(ROOT)}
    command = [BIN / case.program, *case.args(place)]

    def start() -> subprocess.Popen[bytes]:
        played.reset()
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            command, cwd=played.folder, env=env, stdin=quiet, stdout=quiet, stderr=quiet
        )

    began = time.monotonic()
    assert start().wait() == 0
    seconds = time.monotonic() - began
    killed, orphans = 0, 0.0
    while killed < size(1, full=14):
        with start() as process:
            time.sleep(of.uniform(0.2, 1) * seconds)
            process.kill()
        killed += process.returncode == -signal.SIGKILL
        assert played.broken() == []
        orphans = max(orphans, gone(mark, ORPHANS_SECONDS))
    played.reset()
    assert played.run(warmed).code == 0
    assert played.broken() == []
    assert played.temporary() == []
    saw(kills=killed, real_processes_killed=killed, seconds_until_orphans_are_gone=orphans)


@pytest.mark.torture("kills")
@pytest.mark.xdist_group("kills slow")
def test_a_kernel_in_the_middle_of_a_cell_ends_by_itself(
    place: Place, tmp_path: Path, saw: Saw
) -> None:
    mark = f"sleepy {os.getpid()}"
    env = {**environment(place.env(tmp_path)), MARK: mark, "PYTHONPATH": str(ROOT)}
    args = [*place.small[:-1], "sleepy", "-o", "n.ipynb", "--overwrite", "--execute"]
    kills, orphans = size(1, full=4), 0.0
    for _ in range(kills):
        quiet = subprocess.DEVNULL
        (tmp_path / "began").unlink(missing_ok=True)
        with subprocess.Popen(
            [BIN / CREATE, *args], cwd=tmp_path, env=env, stdin=quiet, stdout=quiet, stderr=quiet
        ) as process:
            deadline = time.monotonic() + 60
            while not (tmp_path / "began").exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.kill()
        orphans = max(orphans, gone(mark, ORPHANS_SECONDS))
    assert orphans
    saw(kills=kills, real_processes_killed=kills, seconds_until_orphans_are_gone=orphans)


@pytest.mark.torture("kills")
@pytest.mark.xdist_group("kills slow")
def test_a_kill_while_demo_runs_are_made(
    warmed: Warm, place: Place, migrated: Path, tmp_path: Path, saw: Saw
) -> None:
    of = random.Random(2)
    folder = tmp_path / "work"
    env = place.env(folder)

    def demo(kill: tuple[None, float]) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        store = shutil.copy(migrated, folder / "mlflow.db")
        args = ["--scenario", "drift", "--tracking-uri", f"sqlite:///{store}"]
        return warmed.run(*args, cwd=folder, program=DEMO, env=env, kill=kill).code

    kills, killed, whole = size(1, full=8), 0, 0
    while killed < kills:
        # It takes some seven seconds where nothing else is going on.
        killed += demo((None, of.uniform(1, 7))) == -signal.SIGKILL
        with sqlite3.connect(folder / "mlflow.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()
        for path in folder.rglob("ground_truth.json"):
            assert json.loads(path.read_text())
            whole += 1
    # What was left in temp folders goes with the next run that needs one.
    next_run = "from qualia_lab import temporary\nwith temporary.folder(): pass"
    assert warmed.run(next_run, cwd=folder, program="python", env=env).code == 0
    assert not [one for one in place.temp.glob("qualia-tmp-*") if any_in(one)]
    saw(kills=kills, ground_truths_all_whole=whole)
