"""What a person gets wrong: the documented exit code, a short message, and nothing written."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import psutil
import pytest
from commands import CREATE, DEMO, Done, assert_refused, command, environment, in_process, tree
from conftest import BIN, free_port
from stores import Run, curve, fill

from qualia_lab.cli.create import main as create
from qualia_lab.cli.demo import main as demo

TWINS = ("abcd0" + "0" * 27, "abcd1" + "1" * 27)
STORE = ("--tracking-uri", "sqlite:///store.db")
ALL = (*STORE, "--all")


@pytest.fixture
def place(migrated: Path, tmp_path: Path) -> Path:
    """A folder with a store of two runs, and much that is none."""
    store = Path(shutil.copy(migrated, tmp_path / "store.db"))
    metrics = {"val_loss": curve([1.0, 0.5]), "accuracy": curve([0.5, 0.75])}
    fill(store, [Run(run_id=one, name="run", metrics=metrics) for one in TWINS], name="churn")
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE runs (x)")
    db.close()
    (tmp_path / "text.db").write_text("no database\n" * 100)
    (tmp_path / "empty.db").touch()
    (tmp_path / "files" / "0").mkdir(parents=True)
    (tmp_path / "files" / "0" / "meta.yaml").write_text("name: Default\n")
    (tmp_path / "taken.ipynb").write_text("mine")
    (tmp_path / "folder.ipynb").mkdir()
    return tmp_path


def refused(place: Path, code: int, words: Sequence[str], *args: str, **more: str) -> Done:
    """Run it as a process; it must fail as documented and leave everything as it was."""
    before = tree(place)
    done = command(*args, cwd=place, **more)
    assert_refused(done, code, *words)
    assert tree(place) == before
    return done


@pytest.mark.parametrize(
    ("uri", "code", "words"),
    [
        ("sqlite:///none.db", 6, ["none.db", "create-demo-runs --tracking-uri sqlite:///none.db"]),
        ("sqlite:///no/folder/none.db", 6, ["no SQLite store at no/folder/none.db"]),
        ("sqlite:///text.db", 6, ["text.db can't be read as a SQLite database"]),
        ("sqlite:///other.db", 6, ["other.db", "not an MLflow store"]),
        ("sqlite:///empty.db", 6, ["empty.db", "not an MLflow store"]),
        ("sqlite:///folder.ipynb", 6, ["no SQLite store at folder.ipynb"]),
        ("files", 6, ["MLFLOW_ALLOW_FILE_STORE", "mlflow migrate-filestore"]),
        ("file:files", 6, ["MLFLOW_ALLOW_FILE_STORE", "mlflow migrate-filestore"]),
        ("nowhere", 6, ["no file store at nowhere"]),
        ("store.db", 6, ["sqlite:///store.db"]),
        ("sqlite://", 2, ["sqlite:///relative/mlflow.db"]),
        ("http://[::1", 2, ["http://[::1 is not a URI"]),
    ],
)
def test_a_store_that_is_none(uri: str, code: int, words: list[str], place: Path) -> None:
    refused(place, code, words, "--tracking-uri", uri, "--all")


def test_no_store_at_the_default_place(tmp_path: Path) -> None:
    refused(tmp_path, 6, ["no SQLite store at mlflow.db"], "--all")


def test_a_file_store_at_the_default_place(place: Path) -> None:
    (place / "files").rename(place / "mlruns")
    refused(place, 6, ["mlruns is a file store", "mlflow migrate-filestore"], "--all")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((*ALL, "--kind", "observatoin"), ["observatoin", "known: observation"]),
        ((*ALL, "--section", "overveiw"), ["overveiw", "known: overview, "]),
        ((*ALL, "--param", "metrc=x"), ["metrc", "known: metric"]),
        ((*ALL, "--param", "metric"), ["--param NAME=VALUE"]),
        (("--run", "abcd", *ALL), ["--run", "--all"]),
        ((*STORE, "--run", "abcd", "--filter", "x"), ["--run", "--filter"]),
        ((*STORE, "--run", "abcd", "--top", "1"), ["--run", "--top"]),
        (STORE, ["--all", "--run", "--filter", "--top", "--experiment"]),
        ((*STORE, "--experiment", "churn"), ["--all", "--run", "--filter", "--top"]),
        ((*STORE, "--top", "0"), ["--top", f"{CREATE} --help"]),
        ((*STORE, "--top", "many"), ["--top", f"{CREATE} --help"]),
        ((*ALL, "--topp", "3"), ["--topp", "--top"]),
        ((*STORE, "--filter"), ["--filter"]),
        ((*ALL, "extra"), ["extra"]),
    ],
)
def test_flags_that_make_no_sense(args: tuple[str, ...], words: list[str], place: Path) -> None:
    refused(place, 2, words, *args)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("taken.ipynb", ["taken.ipynb exists", "--overwrite", "-o"]),
        ("folder.ipynb", ["folder.ipynb is a folder"]),
        (".", [". is a folder"]),
    ],
)
def test_an_output_that_cannot_be(output: str, words: list[str], place: Path) -> None:
    refused(place, 7, words, *ALL, "-o", output)
    # It is said before any store is asked.
    refused(place, 7, words, "--tracking-uri", "sqlite:///none.db", "--all", "-o", output)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ((*STORE, "--experiment", "chrun", "--all"), 6, ["chrun", "known: churn, Default"]),
        ((*STORE, "--run", "f" * 32), 6, ["no run " + "f" * 32]),
        ((*STORE, "--run", "ffff"), 6, ["no run ffff"]),
        ((*STORE, "--run", "abcd0", "--experiment", "Default"), 6, ["no run abcd0"]),
        ((*STORE, "--run", "abcd"), 2, ["abcd fits 2 runs", *TWINS]),
        ((*STORE, "--run", "abc"), 2, ["abc", "4 characters"]),
        ((*STORE, "--run", "ab%'"), 2, ["ab%'", "4 characters"]),
        ((*STORE, "--run", "-"), 6, ["no run id on standard input"]),
        ((*STORE, "--experiment", "Default", "--all"), 6, ["no runs in Default"]),
        ((*ALL, "--filter", "metrics.val_loss < 0"), 6, ["no run of 2", "churn", "filter"]),
        ((*ALL, "--filter", "metrics.val_loss <"), 2, ["filter", "metrics.val_loss"]),
        ((*ALL, "--filter", "nonsense"), 2, ["nonsense"]),
        ((*ALL, "--param", "metric=val_los"), 2, ["val_los", "known: val_loss, accuracy"]),
        ((*ALL, "-o", "taken.ipynb/x.ipynb"), 7, ["taken.ipynb/x.ipynb can't be written", "-o"]),
    ],
)
def test_what_only_the_store_can_tell(
    args: tuple[str, ...], code: int, words: list[str], place: Path
) -> None:
    before = tree(place)
    assert_refused(in_process(create, *args, cwd=place), code, *words)
    assert tree(place) == before


def test_an_unknown_run_lists_the_runs_closest_first(place: Path) -> None:
    done = in_process(create, *STORE, "--run", "abcd2", cwd=place)
    assert_refused(done, 6, "no run abcd2", *TWINS)


def test_an_output_with_a_name_that_no_folder_takes(place: Path) -> None:
    done = in_process(create, *ALL, "-o", "x" * 300 + ".ipynb", cwd=place)
    assert_refused(done, 7, "can't be written")


def test_a_default_output_that_exists(place: Path) -> None:
    taken = place / "notebooks" / "observation-churn.ipynb"
    taken.parent.mkdir()
    taken.write_text("mine")
    before = tree(place)
    done = in_process(create, *ALL, cwd=place)
    assert_refused(done, 7, "notebooks/observation-churn.ipynb exists", "--overwrite")
    assert tree(place) == before


def test_an_ambiguous_run_from_stdin_as_a_process(place: Path) -> None:
    args = (*STORE, "--run", "-", "--json")
    refused(place, 2, ["fits 2 runs", *TWINS], *args, stdin="# none\nabcd\n")


def test_streams_that_are_closed(place: Path) -> None:
    line = f'exec "{BIN / CREATE}" --tracking-uri sqlite:///store.db --run - <&- 2>&-'
    done = subprocess.run(
        ["sh", "-c", line], cwd=place, capture_output=True, env=environment(), timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (6, b"", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_stdout_that_is_full(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [str(BIN / "qualia-lab"), "--version"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    error = Done(code=done.returncode, out="", err=done.stderr.decode())
    assert_refused(error, 7, "stdout can't be written")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("0",), 2, ["[N]"]),
        (("some",), 2, ["[N]"]),
        (("--seed", "-1"), 2, ["--seed"]),
        (("--tracking-uri", "sqlite://", "-q"), 2, ["sqlite:// names no database file"]),
        (("--tracking-uri", "sqlite:///text.db", "-q"), 6, ["text.db"]),
        (("--tracking-uri", "sqlite:///other.db", "-q"), 6, ["not an MLflow store"]),
        (("--tracking-uri", "files", "-q"), 6, ["mlflow migrate-filestore"]),
        (("--tracking-uri", "store.db", "-q"), 6, ["sqlite:///store.db"]),
    ],
)
def test_demo_runs_with_nowhere_to_go(
    args: tuple[str, ...], code: int, words: list[str], place: Path
) -> None:
    before = tree(place)
    assert_refused(in_process(demo, *args, cwd=place), code, *words)
    assert tree(place) == before


# Servers.


@dataclass(kw_only=True)
class Answers:
    """What a web server that is no MLflow server says, path by path; ``asked`` is what it heard."""

    paths: dict[str, tuple[int, str]]
    otherwise: tuple[int, str] = (404, "Not Found")
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event | None = None
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def web(answers: Answers) -> Iterator[str]:
    """A web server on loopback; the address it listens on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.asked.append(self.path)
            if answers.hang:
                answers.hang.wait(60)
            status, body = answers.paths.get(self.path.partition("?")[0], answers.otherwise)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **answers.headers}.items():
                self.send_header(name, value)
            with contextlib.suppress(ConnectionError):  # whoever asked may have been stopped
                self.end_headers()
                self.wfile.write(body.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            if answers.hang:
                answers.hang.set()
            listening.shutdown()
            thread.join()


HTML = "<!doctype html><title>Please log in</title>"


@pytest.mark.parametrize(
    ("answer", "headers", "code", "words"),
    [
        ((404, "Not Found"), {}, 4, ["not as an MLflow server", "404"]),
        ((200, HTML), {"Content-Type": "text/html"}, 4, ["is no MLflow server", "Please log in"]),
        ((200, ""), {}, 4, ["is no MLflow server"]),
        ((500, "oh no"), {}, 4, ["failed: 500 oh no", "try again later", "its log"]),
        ((302, ""), {"Location": "/version"}, 4, ["redirects"]),
        ((401, "who?"), {}, 5, ["MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"]),
        ((403, "no"), {}, 5, ["403", "MLFLOW_TRACKING_PASSWORD"]),
        ((403, "Invalid Host header - possible DNS rebinding"), {}, 5, ["--allowed-hosts"]),
    ],
)
def test_a_port_where_something_else_answers(
    answer: tuple[int, str], headers: dict[str, str], code: int, words: list[str], tmp_path: Path
) -> None:
    answers = Answers(paths={}, otherwise=answer, headers=headers)
    with web(answers) as address:
        refused(tmp_path, code, [address, *words], "--tracking-uri", address, "--all")
    assert answers.asked[0] == "/version"


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((200, HTML), 4, ["Listing the experiments of"]),
        ((403, '{"error_code": "PERMISSION_DENIED", "message": "not you"}'), 5, ["not you"]),
        ((404, "no such page"), 4, []),
        ((200, "{}"), 6, ["no runs in this store"]),
    ],
)
def test_a_server_that_goes_wrong_later(
    answer: tuple[int, str], code: int, words: list[str], tmp_path: Path
) -> None:
    with web(Answers(paths={"/version": (200, "3.5.0")}, otherwise=answer)) as address:
        done = in_process(create, "--tracking-uri", address, "--all", cwd=tmp_path)
    assert_refused(done, code, *words)
    assert tree(tmp_path) == {}


def test_a_port_that_speaks_no_http(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 smtp ready\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        refused(tmp_path, 4, [address], "--tracking-uri", address, "--all")
        thread.join()


@pytest.mark.parametrize("program", [CREATE, DEMO])
def test_a_server_that_refuses_and_a_password_that_stays_secret(
    program: str, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    uri = f"http://somebody:tops3cret-pw@{address}"
    args = ["-q", "-v", "--tracking-uri", uri, *(["--all"] if program == CREATE else [])]
    started = time.monotonic()
    done = command(*args, program=program, cwd=tmp_path)
    # MLflow itself would go on trying for minutes.
    assert time.monotonic() - started < 30
    assert (done.code, done.out) == (4, "")
    error = done.err[done.err.rindex("\nError: ") :]
    assert address in error
    assert "mlflow server" in error
    assert "tops3cret" not in done.err
    assert "somebody" not in done.err
    assert tree(tmp_path) == {}


def test_a_password_in_the_environment_stays_secret(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    env = {"MLFLOW_TRACKING_URI": f"http://me:tops3cret%20pw@{address}/?api_key=tops3cret-key"}
    done = command("--all", "--json", "-v", cwd=tmp_path, env=env)
    assert (done.code, done.out) == (4, "")
    assert address in done.err
    assert "tops3cret" not in done.err


# Signals.


def ended(process: subprocess.Popen[bytes]) -> Done:
    out, err = process.communicate(timeout=60)
    return Done(code=process.returncode, out=out.decode(), err=err.decode())


def start(*args: str, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(BIN / CREATE), *args],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background ignores Ctrl-C, and passes that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


SIGNALS = [(signal.SIGINT, 130, "Stopped."), (signal.SIGTERM, 143, "Terminated.")]


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
def test_a_signal_while_a_server_is_asked(
    number: signal.Signals, code: int, said: str, tmp_path: Path
) -> None:
    answers = Answers(paths={}, hang=threading.Event())
    with web(answers) as address, start("--all", "--tracking-uri", address, cwd=tmp_path) as run:
        wait_until(lambda: bool(answers.asked))
        run.send_signal(number)
        done = ended(run)
    assert (done.code, done.out, done.err.strip()) == (code, "", said)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
def test_a_signal_while_a_cell_runs(
    number: signal.Signals, code: int, said: str, place: Path
) -> None:
    began = place / "began"
    # What the first cell imports, standing in the kernel's own folder.
    slow = f"import pathlib, time\npathlib.Path({str(began)!r}).touch()\ntime.sleep(100)\n"
    (place / "pandas.py").write_text(slow)
    stopped_while_executing(place, began.exists, number, code, said)


def test_ctrl_c_while_the_kernel_starts(place: Path) -> None:
    stopped_while_executing(place, lambda: True, *SIGNALS[0])


def stopped_while_executing(
    place: Path, is_time: Callable[[], bool], number: signal.Signals, code: int, said: str
) -> None:
    before = set(tree(place)) | {"began", "__pycache__"}
    with start(*ALL, "--execute", "-o", "x.ipynb", cwd=place) as run:
        wait_until(lambda: bool(kernels(run.pid)) and is_time())
        started = kernels(run.pid)
        run.send_signal(number)
        done = ended(run)
    told = f"x.ipynb is written, but not executed.\n\n{said}"
    assert (done.code, done.out, done.err.strip()) == (code, "", told)
    # The notebook as it was generated: whole, and without the outputs of half a run.
    after = {path for path in tree(place) if not path.startswith("__pycache__")}
    assert after - before == {"x.ipynb"}
    notebook = nbformat.read(place / "x.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    _, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []


def kernels(pid: int) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may have ended meanwhile
            if any("ipykernel" in word for word in child.cmdline()):
                found.append(child)
    return found


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Any flags at all.

CHOICES: dict[str, list[list[str]]] = {
    "which": [["--all"], ["--all"], [], ["--run", TWINS[0]], ["--run", "abcd"], ["--run", "-"]],
    "uri": [[*STORE], [*STORE], [*STORE], ["--tracking-uri", "sqlite:///empty.db"], []],
    "experiment": [[], [], ["--experiment", "churn"], ["--experiment", "0"], ["--experiment", ""]],
    "filter": [[], [], ["--filter", "attributes.status = 'FINISHED'"], ["--filter", "'"]],
    "top": [[], [], ["--top", "1"], ["--top", "-1"]],
    "section": [[], [], ["--section", "comparison"], ["--section", ""]],
    "param": [[], [], ["--param", "metric=accuracy"], ["--param", "=1"], ["--param", "metric="]],
    "title": [[], ["--title", ""], ["--title", "\n"], ["--title", "-x"], ["--title", "\ud800"]],
    "output": [[], ["-o", "o.ipynb"], ["-o", "taken.ipynb"], ["-o", ""], ["-o", "-x/é.ipynb"]],
    "overwrite": [[], ["--overwrite"]],
    "dry": [[], [], ["--dry-run"]],
    "say": [[], ["--json"], ["-q"], ["-qv"], ["--json", "-v"]],
    "input": [[], ["--no-input"]],
}


@pytest.mark.parametrize("seed", range(60))
def test_any_flags_together(seed: int, place: Path) -> None:
    dice = random.Random(seed)
    groups = [dice.choice(options) for options in CHOICES.values()]
    dice.shuffle(groups)
    args = [word for group in groups for word in group]
    stdin = dice.choice(["", TWINS[1] + "\n", "\x00\n", "'; DROP TABLE runs\n"])
    before = tree(place)
    done = in_process(create, *args, cwd=place, stdin=stdin)
    assert done.code in (0, 2, 6, 7), (args, done)
    assert (done.out != "") == (done.code == 0), (args, done)
    if "-v" not in args and "-qv" not in args:
        assert "Traceback" not in done.err
    changed = {path for path, was in tree(place).items() if before.get(path) != was}
    if done.code or "--dry-run" in args:
        assert changed == set(), args
    else:
        written = {path for path in changed if path.endswith(".ipynb")}
        assert len(written) == 1, args
        nbformat.validate(nbformat.read(place / written.pop(), as_version=4))
