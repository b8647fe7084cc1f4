"""``qualia-lab doctor``: what it finds where all is well, and where one thing after another is not.

Stores, servers, kernels and folders are real; most cases run one check alone, since each other one
would only cost time.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import Done, environment, in_process, tree
from conftest import HOSTILE, ROOT, free_port
from mlflow import MlflowClient
from stores import Run, fill, run_id

from qualia_lab import secrets
from qualia_lab.cli import console, doctor
from qualia_lab.errors import MissingPartError, NotAllowedError
from qualia_lab.notebook import catalogue, export_pdf

PROGRAM = (
    "from qualia_lab.cli import console, doctor\n"
    "app = console.application('doctor', doctor.doctor, doctor.EPILOG)\n"
)
NAMES = [check.name for check in doctor.CHECKS]
PASSWORD = "tops3cret/p@ss"
IN_URI = "tops3cret%2Fp%40ss"


def main() -> None:
    console.run(console.application("doctor", doctor.doctor, doctor.EPILOG))


def run(*args: str, cwd: Path, env: Mapping[str, str] | None = None) -> Done:
    return in_process(main, *args, cwd=cwd, env=env)


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leaves some checks."""

    def leave(*names: str) -> None:
        kept = tuple(check for check in doctor.CHECKS if check.name in names)
        assert len(kept) == len(names)
        monkeypatch.setattr(doctor, "CHECKS", kept)

    return leave


def failed(done: Done, code: int, what: str, *words: str) -> None:
    """It ran to its end and one required check failed, in two lines that say these words."""
    assert done.code == code, (done.out, done.err)
    lines = done.out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f"--  {what}: "))
    assert lines[at + 1].startswith("      "), "it says what to do"
    assert all(len(line) < 600 for line in lines)
    for word in words:
        assert word in lines[at] + lines[at + 1]
    count = sum(line[:4] in ("ok  ", "--  ") for line in lines)
    assert done.err == f"Error: 1 of {count} checks failed: {what}\n"
    assert "Traceback" not in done.out


def finding(done: Done) -> dict[str, Any]:
    """The only finding, of --json."""
    assert done.out.count("\n") == 1
    (found,) = json.loads(done.out)["checks"]
    assert isinstance(found, dict)
    return found


# All is well.


def test_a_healthy_place_as_a_process_without_mlflow(demo_store: Path, tmp_path: Path) -> None:
    shutil.copy(demo_store, tmp_path / "mlflow.db")
    before = tree(tmp_path)
    code = PROGRAM + (
        "import sys\ntry:\n    console.run(app)\nfinally:\n    assert 'mlflow' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = dict(line[4:].split(": ", 1) for line in done.stdout.splitlines() if line[0] != " ")
    assert [name.removesuffix(" (optional)") for name in said] == NAMES
    assert "ok  Jupyter kernel: " in done.stdout
    assert said["Tracking store"].startswith("sqlite:///mlflow.db, a SQLite file of schema ")
    assert said["Tracking store"].endswith(", 2 experiments, read by SQL")
    assert "mlflow 3." in said["Packages"]
    assert tree(tmp_path) == before


def test_json_is_one_object_with_the_same(demo_store: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{demo_store}"
    done = run("--tracking-uri", uri, "--json", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 1
    record = json.loads(done.out)
    assert record["ok"] is True
    assert [one["name"] for one in record["checks"]] == NAMES
    assert all(list(one) == ["name", "ok", "found", "advice"] for one in record["checks"])
    for one in record["checks"]:
        is_optional = one["name"] in ("JupyterLab", "Browser for PDF")
        assert one["ok"] is True or (one["ok"] is None and is_optional and one["advice"])
    assert uri in record["checks"][2]["found"]
    assert tree(tmp_path) == {}


def test_a_spinner_on_a_terminal_and_the_result_on_stdout(empty_store: Path) -> None:
    master, slave = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + "console.run(app)"],
        cwd=empty_store.parent,
        env=environment({"TERM": "xterm"}),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    assert done.stdout
    shown = b""
    while True:
        try:
            shown += os.read(master, 4096)
        except OSError:  # the other side is closed
            break
    out = done.stdout.read()
    done.stdout.close()
    os.close(master)
    assert done.wait(timeout=60) == 0
    assert b"Checking: Jupyter kernel" in shown
    assert out.startswith(b"ok  Python: ")


# The tracking store.


@pytest.fixture
def place(empty_store: Path, only: Callable[..., None]) -> Path:
    """A folder with a store, and with much that is none; only the store is looked at."""
    folder = empty_store.parent
    empty_store.rename(folder / "store.db")
    with sqlite3.connect(folder / "other.db") as db:
        db.execute("CREATE TABLE runs (x)")
    db.close()
    (folder / "text.db").write_text("no database\n" * 100)
    (folder / "empty.db").touch()
    (folder / "mlruns" / "0").mkdir(parents=True)
    (folder / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    only("Tracking store")
    return folder


@pytest.mark.parametrize(
    ("uri", "code", "words"),
    [
        ("sqlite:///none.db", 6, ["no SQLite store at none.db", "create-demo-runs"]),
        ("sqlite:///no/folder/none.db", 6, ["no SQLite store at no/folder/none.db"]),
        ("sqlite:///other.db", 6, ["other.db", "not an MLflow store"]),
        ("sqlite:///text.db", 6, ["text.db can't be read", "Check --tracking-uri"]),
        ("sqlite:///empty.db", 6, ["empty.db", "not an MLflow store"]),
        ("sqlite://", 2, ["names no database file"]),
        ("http://[::1", 2, ["http://[::1 is not a URI"]),
        ("nowhere", 6, ["no file store at nowhere"]),
        ("mlruns", 6, ["mlflow migrate-filestore"]),
        ("", 6, ["mlruns is a file store"]),  # MLflow's default where that folder is
        ("postgresql+nodriver://127.0.0.1:1/db", 4, ["nodriver"]),
        ("sqlite:///\x1b[31m\u202e'\"$(id).db", 6, ["\\x1b[31m\\u202e'\"$(id).db"]),
    ],
)
def test_a_store_that_is_none(uri: str, code: int, words: list[str], place: Path) -> None:
    before = tree(place)
    done = run("--tracking-uri", uri, cwd=place)
    failed(done, code, "Tracking store", *words)
    by_variable = run(cwd=place, env={"MLFLOW_TRACKING_URI": uri})
    assert (by_variable.code, by_variable.out) == (code, done.out)
    record = json.loads(run("--tracking-uri", uri, "--json", cwd=place).out)
    assert (record["ok"], record["checks"][0]["ok"]) == (False, False)
    assert tree(place) == before


@pytest.mark.parametrize("name", ["mlflow-2.0.1.db", "mlflow-3.5.1.db"])
def test_a_store_of_an_older_mlflow_is_read_and_stays_so(name: str, place: Path) -> None:
    shutil.copy(ROOT / "tests/data" / name, place / "old.db")
    before = tree(place)
    done = run("--tracking-uri", "sqlite:///old.db", cwd=place)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(" experiments, read by SQL\n")
    assert tree(place) == before


def test_a_schema_that_is_not_known(place: Path) -> None:
    with sqlite3.connect(place / "store.db") as db:
        db.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    db.close()
    before = tree(place)
    done = run("--tracking-uri", "sqlite:///store.db", cwd=place)
    failed(done, 4, "Tracking store", "newer MLflow (schema ffffffffffff)", "pip install --upgrade")
    assert tree(place) == before


def test_a_store_that_only_mlflow_can_read_says_why(place: Path) -> None:
    with sqlite3.connect(place / "store.db") as db:
        db.execute("ALTER TABLE latest_metrics RENAME COLUMN is_nan TO isnan")
    db.close()
    before = tree(place)
    done = run("--tracking-uri", "sqlite:///store.db", cwd=place)
    assert (done.code, done.err) == (0, "")
    assert "1 experiment, read through MLflow, which is slower: its table latest" in done.out
    assert tree(place) == before


def test_a_store_with_hostile_names(place: Path) -> None:
    for number, text in enumerate(HOSTILE):
        one = Run(run_id=run_id(number), name=text)
        fill(place / "store.db", [one], experiment_id=number + 1, name=f"{number} {text}")
    done = run("--tracking-uri", "sqlite:///store.db", cwd=place)
    assert (done.code, done.err) == (0, "")
    assert f", {len(HOSTILE) + 1} experiments, " in done.out


def test_a_real_server_says_its_version(server: str, place: Path) -> None:
    before = tree(place)
    uri = server.replace("http://", f"http://ann:{IN_URI}@")
    done = run("--tracking-uri", uri, "--verbose", cwd=place)
    assert (done.code, done.err) == (0, "")
    there = len(MlflowClient(server).search_experiments())  # other tests add to it
    said = f"MLflow {metadata.version('mlflow')}, {there} experiments, read through its REST API"
    assert done.out == f"ok  Tracking store: {server}, {said}\n"
    assert tree(place) == before


def test_a_refused_port_keeps_the_password(place: Path) -> None:
    port = free_port()
    uri = f"http://ann:{IN_URI}@127.0.0.1:{port}"
    began = time.monotonic()
    done = run("--tracking-uri", uri, "--verbose", cwd=place)
    assert time.monotonic() - began < 10
    assert done.code == 4
    assert f"--  Tracking store: Connecting to http://127.0.0.1:{port} failed" in done.out
    assert "mlflow server" in done.out
    assert "Traceback" in done.err  # --verbose
    as_json = run("--tracking-uri", uri, "--json", cwd=place)
    assert finding(as_json)["ok"] is False
    for secret in (PASSWORD, IN_URI, "ann:"):
        assert secret not in done.out + done.err + as_json.out + as_json.err


@contextmanager
def serving(status: int, body: bytes) -> Iterator[str]:
    """A web server that says the same to everybody."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (200, b"<html>\x1b[31mLog in</html>", 4, ["is no MLflow server", "Log in", "proxy"]),
        (404, b"no", 4, ["not as an MLflow server", "base path"]),
        (401, b"no", 5, ["is not allowed: 401", "MLFLOW_TRACKING_USERNAME"]),
        (403, b"Invalid Host header", 5, ["--allowed-hosts"]),
        (200, b"3.17.2", 4, ["is no JSON: 3.17.2", "Check the address", "proxy"]),
    ],
)
def test_a_server_of_the_wrong_kind(
    status: int, body: bytes, code: int, words: list[str], place: Path
) -> None:
    with serving(status, body) as address:
        done = run("--tracking-uri", address, cwd=place)
    failed(done, code, "Tracking store", address, *words)
    assert "\x1b" not in done.out


# The kernel.


def launcher(folder: Path, source: str) -> dict[str, str]:
    """An environment in which what starts a kernel does this instead."""
    (folder / "ipykernel_launcher.py").write_text(source)
    return {"PYTHONPATH": str(folder)}


def test_a_kernel_that_does_not_start(empty_store: Path) -> None:
    folder = empty_store.parent
    env = launcher(folder, "raise SystemExit('no \\x1b[31mkernel today')")
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM + "console.run(app)"],
        cwd=folder,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=120,
    )
    done = Done(code=process.returncode, out=process.stdout, err=process.stderr)
    failed(done, 3, "Jupyter kernel", "did not start", "kernel today", "pip install")
    assert "\x1b" not in done.out


def test_a_kernel_that_never_answers_is_ended(
    only: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only("Jupyter kernel")
    monkeypatch.setattr(doctor, "_KERNEL_SECONDS", 2)
    handler, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    began = time.monotonic()
    done = run(cwd=tmp_path, env=launcher(tmp_path, HANGS))
    assert 2 <= time.monotonic() - began < 20
    failed(done, 3, "Jupyter kernel", "did not answer within 2 s")
    assert is_gone(tmp_path)
    assert signal.getsignal(signal.SIGALRM) == handler
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer[0] > 0)


HANGS = (
    "import os, pathlib, time\n"
    "pathlib.Path(__file__).with_name('pid').write_text(str(os.getpid()))\ntime.sleep(300)\n"
)


def is_gone(folder: Path) -> bool:
    """Whether the kernel that hangs has ended."""
    pid = int((folder / "pid").read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_kernel_starts(
    number: signal.Signals, code: int, empty_store: Path
) -> None:
    folder = empty_store.parent
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + "console.run(app)"],
        cwd=folder,
        env=environment(launcher(folder, HANGS)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background ignores Ctrl-C, and passes that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert (process.returncode, out) == (code, b"")
    assert err.strip() in (b"Stopped.", b"Terminated.")
    assert is_gone(folder)


# Parts that are optional.


def test_no_jupyterlab_and_no_browser_are_no_failure(
    only: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only("JupyterLab", "Browser for PDF")
    monkeypatch.setattr(export_pdf, "_APPLICATIONS", {})
    monkeypatch.setattr(metadata, "version", not_installed)
    (tmp_path / "chromium").mkdir()
    (tmp_path / "chrome").write_text("not executable")
    done = run(cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:3] == [
        "--  JupyterLab (optional): not installed",
        "      pip install jupyterlab",
        "--  Browser for PDF (optional): no Chromium, Chrome or Edge found",
    ]
    record = json.loads(run("--json", cwd=tmp_path, env={"PATH": str(tmp_path)}).out)
    assert record["ok"] is True
    assert [one["ok"] for one in record["checks"]] == [None, None]


def not_installed(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome", "msedge"])
def test_a_browser_on_the_path_is_found_and_not_started(
    name: str, only: Callable[..., None], tmp_path: Path
) -> None:
    only("Browser for PDF")
    folder = tmp_path / "a \x1b[31m b"
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (folder / name).chmod(0o755)
    before = tree(tmp_path)
    done = run(cwd=tmp_path, env={"PATH": str(folder)})
    assert (done.code, done.err) == (0, "")
    assert done.out == f"ok  Browser for PDF: {tmp_path}/a \\x1b[31m b/{name}\n"
    assert tree(tmp_path) == before


def test_a_browser_where_windows_keeps_it(only: Callable[..., None], tmp_path: Path) -> None:
    only("Browser for PDF")
    browser = tmp_path / "Google/Chrome/Application/chrome.exe"
    browser.parent.mkdir(parents=True)
    browser.touch(mode=0o755)
    done = run(cwd=tmp_path, env={"PATH": "", "ProgramFiles(x86)": str(tmp_path)})
    assert (done.code, done.out) == (0, f"ok  Browser for PDF: {browser}\n")


def test_a_package_that_is_missing(
    only: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only("Packages")
    monkeypatch.setattr(doctor, "_PACKAGES", ("mlflow", "qualia-no-such-package"))
    done = run(cwd=tmp_path)
    failed(done, 3, "Packages", "not installed: qualia-no", "pip install qualia-no-such-package")


# Templates.


@pytest.fixture
def templates(only: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the templates that come along, in their place."""
    folder = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", folder)
    monkeypatch.setattr(catalogue, "bundled", lambda: folder)
    only("Templates")
    return folder


def test_templates_that_are_whole(templates: Path, tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    kinds = len(list(templates.glob("*/kind.toml")))
    files = len(list(templates.rglob("*.py.j2")))
    assert (done.code, done.err) == (0, "")
    plural = "" if kinds == 1 else "s"
    assert done.out == f"ok  Templates: {kinds} kind{plural}, {files} section files\n"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("observation/kind.toml", b"titel = 'x'", ["unknown key titel", "known: "]),
        ("observation/kind.toml", b"[[section]", ["kind.toml", "They are in"]),
        ("observation/kind.toml", b"title = '\xff'", ["kind.toml", "utf-8"]),
        ("_shared/setup.py.j2", b"# %%\nimport\n", ["setup.py.j2", "not valid Python"]),
        ("_shared/more.py.j2", b"# %% [markdown]\n# {% if %}\n", ["_shared/more.py.j2"]),
        ("_shared/missing.py.j2", b"# %% [markdown]\n# {{ 1 | no }}\n", ["missing.py.j2", "no"]),
        ("_shared/missing.py.j2", b"# %% [markdown]\n# {{ '' }}\n", ["no filter", "| md"]),
        ("_shared/unused.py.j2", b"# %% tags=[x]\n", ["_shared/unused.py.j2"]),
        ("_shared/unused.py.j2", b"no marker\n", ["_shared/unused.py.j2", "before the first"]),
        ("observation/x\x1b.py.j2", b"# %%\n'\xff'\n", ["observation/x\\x1b.py.j2", "utf-8"]),
    ],
)
def test_templates_that_are_broken(
    file: str, content: bytes, words: list[str], templates: Path, tmp_path: Path
) -> None:
    (templates / file).write_bytes(content)
    failed(run(cwd=tmp_path), 2, "Templates", *words)


def test_faults_of_templates_are_counted(templates: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (templates / f"_shared/{name}.py.j2").write_text("no marker\n")
    failed(run(cwd=tmp_path), 2, "Templates", "_shared/a.py.j2", "(and 2 more)")


def test_a_kind_without_its_section(templates: Path, tmp_path: Path) -> None:
    (templates / "_shared/setup.py.j2").unlink()
    failed(run(cwd=tmp_path), 2, "Templates", "no template _shared/setup.py.j2", "Looked in")


# The output folder.


def test_an_output_folder_that_is_there(only: Callable[..., None], tmp_path: Path) -> None:
    only("Output folder")
    (tmp_path / "notebooks").mkdir()
    done = run(cwd=tmp_path)
    assert (done.code, done.out) == (0, "ok  Output folder: notebooks can be written\n")
    assert tree(tmp_path) == {"notebooks": "folder"}


def test_a_file_where_the_output_folder_should_be(
    only: Callable[..., None], tmp_path: Path
) -> None:
    only("Output folder")
    (tmp_path / "notebooks").touch()
    failed(run(cwd=tmp_path), 7, "Output folder", "notebooks is a file", "-o/--output")
    (tmp_path / "notebooks").unlink()
    (tmp_path / "notebooks").symlink_to("nowhere")
    failed(run(cwd=tmp_path), 7, "Output folder", "a link to nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["notebooks"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_an_output_folder_that_may_not_be_written(
    only: Callable[..., None], tmp_path: Path
) -> None:
    only("Output folder")
    tmp_path.chmod(0o555)
    try:
        failed(run(cwd=tmp_path), 7, "Output folder", "can't be written", str(tmp_path))
    finally:
        tmp_path.chmod(0o755)


# The rest, and how it ends.


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({}, "none; MLflow's is turned off"),
        ({"MLFLOW_DISABLE_TELEMETRY": "true"}, "none; "),
        ({"MLFLOW_DISABLE_TELEMETRY": "False"}, "MLflow's is left on"),
        ({"MLFLOW_DISABLE_TELEMETRY": "0", "DO_NOT_TRACK": "true"}, "none; "),
        ({"MLFLOW_DISABLE_TELEMETRY": "\x1b"}, "none; "),
    ],
)
def test_telemetry(
    env: dict[str, str],
    says: str,
    only: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    only("Telemetry")
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    done = run(cwd=tmp_path, env=env)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"ok  Telemetry: {says}")


def raising(error: Exception) -> Callable[[str | None], doctor.Finding]:
    def look(_: str | None) -> doctor.Finding:
        raise error

    return look


def test_whatever_a_check_raises_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secrets.remember(PASSWORD)
    text = "x" * 490 + PASSWORD + "\n\x1b[31m\u202e" + "y" * 9000
    checks = (
        doctor.Check(name="Extra", look=raising(OSError(text)), optional=True),
        doctor.Check(name="First", look=raising(NotAllowedError("no", hint="Ask."))),
        doctor.Check(name="Second", look=raising(RecursionError(text))),
        doctor.Check(name="Third", look=raising(MissingPartError(text))),
    )
    monkeypatch.setattr(doctor, "CHECKS", checks)
    done = run(cwd=tmp_path)
    assert done.code == NotAllowedError.exit_code
    assert done.err == "Error: 3 of 4 checks failed: First, Second, Third\n"
    lines = done.out.splitlines()
    assert lines[0].startswith("--  Extra (optional): OSError: xxx")
    assert lines[2:4] == ["--  First: no", "      Ask."]
    assert lines[4].startswith("--  Second: RecursionError: xxx")
    assert "report it" in lines[5]
    assert lines[6].startswith("--  Third: xxx")
    assert len(lines) == 8
    assert "Traceback" not in done.out
    assert "tops3c" not in done.out, "not even a half of it, where the text is cut"
    record = json.loads(run("--json", cwd=tmp_path).out)
    assert [one["ok"] for one in record["checks"]] == [None, False, False, False]
    assert PASSWORD not in json.dumps(record)
    monkeypatch.setattr(doctor, "CHECKS", checks[2:])
    bug = run("--verbose", cwd=tmp_path)
    assert bug.code == 1
    assert "Traceback" in bug.err
    assert "tops3c" not in bug.err


def test_interrupted_in_a_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def look(_: str | None) -> doctor.Finding:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "CHECKS", (doctor.Check(name="One", look=look),))
    done = run(cwd=tmp_path)
    assert (done.code, done.out, done.err) == (130, "", "\nStopped.\n")


def test_flags_that_make_no_sense(tmp_path: Path) -> None:
    done = run("--traking-uri", "x", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "--tracking-uri" in done.err
