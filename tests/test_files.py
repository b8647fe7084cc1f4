"""One writer: whole or not at all, with the old file's permissions; and nothing is left in /tmp."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import assert_refused, in_process

from qualia_lab import files, leftovers, temporary
from qualia_lab.cli.create import main
from qualia_lab.errors import OutputError

posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


@posix
def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "private.html"
    path.write_text("old")
    path.chmod(0o600)
    files.write_text(path, "new", overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files.put(tmp_path / "a" / "state.json", b"{}", overwrite=True, private=True)
    assert stat.S_IMODE((tmp_path / "a" / "state.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_a_name_as_long_as_the_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".html")
    files.write_text(path, "whole")
    assert path.read_text() == "whole"
    with pytest.raises(OutputError, match="can't be written"):
        files.write_text(tmp_path / ("n" * 300), "whole")


def test_a_file_that_came_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "n.html"
    sync = os.fsync

    def other(descriptor: int) -> None:
        path.write_text("another's")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", other)
    with pytest.raises(OutputError, match="exists"):
        files.write_text(path, "mine")
    assert path.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["", "a"])
def test_the_flag_of_the_person_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        files.write_text(tmp_path / "file" / where / "x.md", "text", flag="--summary")
    assert caught.value.hint == "Choose another place with --summary."


@posix
def test_temp_folders_of_killed_processes_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(tmp_path))
    code = (
        "import sys, time\n"
        "from qualia_lab import temporary\n"
        "with temporary.folder() as folder:\n"
        "    (folder / 'page').write_text('half')\n"
        "    print(flush=True)\n"
        "    time.sleep(60)\n"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with (
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as dead,
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as alive,
    ):
        for one in (dead, alive):
            assert one.stdout is not None
            one.stdout.readline()
        strangers = tmp_path / "qualia-tmp-notebook"
        strangers.mkdir()
        (strangers / "mine").write_text("")
        dead.kill()
        dead.wait()
        with temporary.folder() as folder:
            # This one, the one of the living, and one that is named otherwise.
            assert len(list(tmp_path.iterdir())) == 3
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        alive.kill()
    with temporary.folder():
        pass
    assert list(tmp_path.iterdir()) == [strangers]


def test_what_is_left_is_removed_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "page").write_text("half")
    (tmp_path / "file").write_text("half")
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        subprocess.Popen(sleeper, start_new_session=True) as process,
        leftovers.path(tmp_path / "folder"),
        leftovers.path(tmp_path / "file"),
        leftovers.program(lambda: process.pid),
    ):
        assert leftovers.has_programs()
        leftovers.clear()
        began = time.monotonic()
        process.wait(timeout=10)
        assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []
    assert not leftovers.has_programs()


@pytest.mark.parametrize("path", ["/tmp/cost", "../cost", "a/../../cost"])
def test_a_summary_of_the_project_stays_below_the_notebook(
    demo_store: Path, tmp_path: Path, path: str
) -> None:
    config = tmp_path / "qualia.toml"
    args = ["--tracking-uri", f"sqlite:///{demo_store}", "--all", "--no-input", "--kind", "cost"]
    args += ["-o", "n.ipynb", "--overwrite"]
    config.write_text(f"[param]\nsummary_path = {path!r}\n")
    refused = in_process(main, *args, cwd=tmp_path)
    assert_refused(refused, 2, "qualia.toml line 2", "outside of the notebook's folder", "--trust")
    assert in_process(main, *args, "--trust", cwd=tmp_path).code == 0
    assert path in (tmp_path / "n.ipynb").read_text()
    config.write_text("[param]\nsummary_path = 'below/cost'\n")
    assert in_process(main, *args, cwd=tmp_path).code == 0
    config.unlink()
    assert in_process(main, *args, "--param", f"summary_path={path}", cwd=tmp_path).code == 0
