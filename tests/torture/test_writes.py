"""Disks that are full, broken or closed: the n-th call fails, for every n.

Each time: exit code 7, a message with the path and the next step, the old file whole and no temp
file, or else the new file whole.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import command
from torture_table import Saw, size
from warm_commands import Ended, Warm, warm
from watched_files import (
    EXECUTE,
    GENERATE,
    HTML,
    MARKDOWN,
    OVERWRITE,
    QUALIA,
    SERVERS,
    SUMMARY,
    Case,
    Place,
    Scene,
    made_place,
    scene,
)

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the calls of POSIX"),
    pytest.mark.timeout(1800),
]
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EDQUOT)
# How many of the errors each call meets: small, full. At the small size, of slow cases, not all.
CASES = [
    (OVERWRITE, 1, 5),
    (GENERATE, 1, 5),
    (HTML, 1, 5),
    (MARKDOWN, 1, 5),
    (SERVERS, 2, 5),
    (EXECUTE, 0, 2),
    (SUMMARY, 0, 1),
]
NOBODY = 65534
is_root = os.name == "posix" and os.getuid() == 0


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with warm(tmp_path_factory.mktemp("warm")) as made:
        yield made


@pytest.fixture(scope="module")
def place(
    warmed: Warm, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with made_place(tmp_path_factory.mktemp("writes"), migrated, warmed) as made:
        yield made


def cases() -> list[object]:
    return [
        pytest.param(
            case, size(small, full=full), id=case.name,
            marks=pytest.mark.xdist_group(f"writes {'slow' if case.slow else 'fast'}"),
        )
        for case, small, full in CASES
        if size(small, full=full)
    ]  # fmt: skip


@pytest.mark.torture("writes")
@pytest.mark.parametrize(("case", "errors"), cases())
def test_every_call_may_fail(
    case: Case, errors: int, warmed: Warm, place: Place, tmp_path: Path, saw: Saw
) -> None:
    played = scene(place, case, tmp_path / "work")
    under = [played.folder, place.temp]
    played.rehearse(warmed)
    played.reset()
    calls = played.run(warmed, under=under).calls
    told = survived = 0
    for at, name in enumerate(calls):
        for turn in range(errors):
            number = ERRORS[(at + turn) % len(ERRORS)]
            # A full disk stays full; what else fails, once or for good by turns.
            lasts = number in (errno.ENOSPC, errno.EDQUOT) or bool((at + turn) % 2)
            played.reset()
            done = played.run(warmed, under=under, fault=(at, number, lasts))
            where = f"{case.name}: call {at} ({name}) of {calls}: {os.strerror(number)}\n{done.err}"
            assert_told(case, done, where)
            assert played.broken() == [], where
            if done.code:
                told += 1
                assert is_old(played) or "did not confirm" in done.err or case.slow, where
            else:
                survived += 1
            # What could not be removed goes with the next run.
            if name in ("unlink", "rmdir", "look"):
                played.reset()
                played.run(warmed)
            assert played.temporary() == [], where
    assert told or case is SERVERS
    saw(faults=told + survived, told=told, survived=survived, half_files=0, temp_files_left=0)


def assert_told(case: Case, done: Ended, where: str) -> None:
    """Its end is the documented one, with what happened, to which file, and what to do."""
    assert "Traceback" not in done.err, where
    assert done.code in ((0,) if case is SERVERS else (0, 7)), where
    if not done.code:
        return
    assert done.out == "", where
    lines = done.err.strip().splitlines()
    place = next(at for at, line in enumerate(lines) if line.startswith("Error: "))
    names = (case.output, "n.ipynb", f"{Path(case.output).stem}_files", "temp files")
    assert any(name in lines[place] for name in names), where
    assert len(lines) > place + 1, where
    if case is SUMMARY and "sum.md can't" in lines[place]:
        assert "--summary" in lines[place + 1], where


def is_old(played: Scene) -> bool:
    """Whether what the command was to write is as it was."""
    old = played.case.old(played.place).get(played.case.output)
    return played.files().get(played.case.output) == old


@pytest.mark.torture("writes")
@pytest.mark.xdist_group("writes fast")
@pytest.mark.parametrize("case", [OVERWRITE, HTML], ids=str)
def test_a_careless_writer_is_caught(
    case: Case, warmed: Warm, place: Place, tmp_path: Path, saw: Saw
) -> None:
    played = scene(place, case, tmp_path / "work")
    played.rehearse(warmed)
    played.reset()
    calls = played.run(warmed, under=[played.folder], careless=True).calls
    lost = 0
    for at in range(len(calls)):
        played.reset()
        fault = (at, errno.ENOSPC, True)
        played.run(warmed, under=[played.folder], careless=True, fault=fault)
        lost += bool(played.broken())
    assert lost
    saw(faults_under_a_plain_open_writer=len(calls), of_which_it_lost=lost)


# Real disks.


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small disk of its own, where this user may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user can't mount a tmpfs: root with CAP_SYS_ADMIN can")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.torture("writes")
@pytest.mark.xdist_group("writes fast")
@pytest.mark.parametrize("case", [OVERWRITE, HTML, MARKDOWN], ids=str)
def test_a_disk_that_is_full(
    case: Case, warmed: Warm, place: Place, tmp_path: Path, saw: Saw
) -> None:
    with mounted(tmp_path / "disk", "size=512k") as disk:
        played = scene(place, case, disk / "work")
        played.rehearse(warmed)
        page, told = 4096, 0
        sizes = range(0, 15, size(5, full=1))
        for pages in sizes:
            (disk / "filler").unlink(missing_ok=True)
            played.reset()
            for name in ("new", "e_files/e_1.png"):
                shutil.rmtree(played.folder / name, ignore_errors=True)
            with (disk / "filler").open("wb") as filler:
                filler.write(b"\0" * (shutil.disk_usage(disk).free - pages * page))
            done = played.run(warmed)
            assert_told(case, done, done.err)
            assert played.broken() == [], done.err
            assert played.temporary() == []
            if done.code:
                told += 1
                assert "No space left" in done.err
                assert "make room" in done.err
        assert told
        saw(full_disks=len(sizes), told=told)


@pytest.mark.torture("writes")
@pytest.mark.xdist_group("writes fast")
def test_a_disk_that_is_read_only(warmed: Warm, place: Place, tmp_path: Path, saw: Saw) -> None:
    with mounted(tmp_path / "disk", "size=512k") as disk:
        (disk / "n.ipynb").write_bytes(place.old)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for more in (["-o", "n.ipynb", "--overwrite"], ["-o", "new/n.ipynb"]):
            done = warmed.run(*place.everything, *more, cwd=disk, env=place.env(tmp_path))
            assert (done.code, done.out) == (7, "")
            assert f"{more[1]} can't be written: Read-only file system" in done.err
        assert (disk / "n.ipynb").read_bytes() == place.old
    saw(read_only_disks=2)


@pytest.mark.torture("writes")
@pytest.mark.xdist_group("writes fast")
def test_a_stdout_that_is_full(place: Place, tmp_path: Path, saw: Saw) -> None:
    quoted = " ".join(f"'{one}'" for one in place.small)
    program = str(Path(sys.executable).with_name("create-observation-notebook"))
    for redirect, code in (("> /dev/full", 7), ("2> /dev/full", 0)):
        line = f"{program} {quoted} -o n.ipynb --overwrite {redirect}"
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert (tmp_path / "n.ipynb").read_bytes().endswith(b"}\n")
        if code:
            assert "stdout can't be written: No space left" in done.stderr
    saw(full_devices=2)


@pytest.mark.torture("writes")
@pytest.mark.xdist_group("writes fast")
def test_what_is_no_ordinary_file_is_not_replaced(
    warmed: Warm, place: Place, tmp_path: Path, saw: Saw
) -> None:
    full = tmp_path / "full"
    os.mkfifo(tmp_path / "pipe")
    if is_root:
        os.mknod(full, 0o20666, os.makedev(1, 7))
    (tmp_path / "link").symlink_to("target.ipynb")
    (tmp_path / "target.ipynb").write_text("mine")
    tried = [one for one in (full, tmp_path / "pipe", tmp_path / "link") if one.exists()]
    before = {one: one.lstat() for one in tried}
    for path in tried:
        for flag in ("-o", "--summary"):
            other = ["-o", "other.ipynb"] if flag == "--summary" else []
            args = [*place.small, *other, flag, path.name, "--overwrite"]
            done = warmed.run(*args, cwd=tmp_path, env=place.env(tmp_path))
            assert (done.code, done.out) == (7, ""), done.err
            assert path.name in done.err
    assert {one: one.lstat() for one in tried} == before
    assert (tmp_path / "target.ipynb").read_text() == "mine"
    saw(devices_pipes_and_links=len(tried) * 2)


# Folders that are closed.


@contextmanager
def as_ordinary(place: Place) -> Iterator[tuple[Path, int | None]]:
    """A folder that an ordinary user may read and not write, and who that is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(place.root / "mlflow.db", folder / "mlflow.db")
        shutil.copytree(place.root / "kinds", folder / "kinds")
        (folder / "closed").mkdir()
        (folder / "closed" / "n.ipynb").write_bytes(place.old)
        (folder / "closed" / "e.ipynb").write_bytes(place.executed)
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        (folder / "closed").chmod(0o555)
        try:
            yield folder, NOBODY if is_root else None
        finally:
            (folder / "closed").chmod(0o755)


@pytest.mark.torture("writes")
@pytest.mark.xdist_group("writes fast")
def test_a_folder_that_is_closed(warmed: Warm, place: Place, saw: Saw) -> None:
    with as_ordinary(place) as (folder, uid):
        store = ["--tracking-uri", f"sqlite:///{folder}/mlflow.db", "--all", "--no-input"]
        small = [*store, "--templates", str(folder / "kinds"), "--trust", "--kind", "small"]
        export = ["export", "../closed/e.ipynb", "--to"]
        tries: list[tuple[str, Sequence[str], str, str]] = [
            ("", [*small, "-o", "../closed/new.ipynb"], "new.ipynb", "-o/--output"),
            ("", [*small, "-o", "../closed/a/b.ipynb"], "b.ipynb", "-o/--output"),
            ("", [*small, "-o", "../closed/n.ipynb", "--overwrite"], "n.ipynb", "-o/--output"),
            ("", [*small, "-o", "x.ipynb", "--summary", "../closed/s.md"], "s.md", "--summary"),
            (QUALIA, [*export, "html"], "e.html", "-o/--output"),
            (QUALIA, [*export, "markdown"], "e.md", "-o/--output"),
        ]
        for program, args, named, flag in tries:
            env = {"HOME": str(folder / "open"), "TMPDIR": str(folder / "open")}
            how = {"program": program} if program else {}
            done = warmed.run(*args, cwd=folder / "open", env=env, uid=uid, **how)  # type: ignore[arg-type]
            assert (done.code, done.out) == (7, ""), done.err
            first, second = done.err.strip().splitlines()[-2:]
            assert f"{named} can't be written: Permission denied" in first
            assert flag in second
        # Neither was a notebook written, nor executed, before the summary's place was looked at.
        assert [one.name for one in (folder / "open").iterdir() if one.suffix] == []
        assert (folder / "closed" / "n.ipynb").read_bytes() == place.old
        assert {one.name for one in (folder / "closed").iterdir()} == {"n.ipynb", "e.ipynb"}
    saw(closed_folders=len(tries))


def test_a_summary_without_room_is_found_before_a_store_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    args = ["--tracking-uri", "http://127.0.0.1:9", "--all", "--no-input"]
    done = command(*args, "--summary", "file/sum.md", cwd=tmp_path)
    assert done.code == 7, done.err
    assert "sum.md can't be written" in done.err
    assert "--summary" in done.err.splitlines()[-1]
