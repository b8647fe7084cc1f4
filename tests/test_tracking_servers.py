"""Servers that are down, slow, closed, broken or not MLflow; and who gets a password."""

from __future__ import annotations

import base64
import json
import logging
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import free_port
from stores import Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer, load, secrets
from qualia_lab.errors import NotAllowedError, NotFoundError, QualiaError, ServerError, UsageError
from qualia_lab.model import Query

PASSWORD = "c0rrect-h0rse/b@ttery"
IN_URI = "c0rrect-h0rse%2Fb%40ttery"
LOGIN = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()

# Of the time that a person waits for a server that does not answer; as built it is 20 s.
LONGEST = 25


@dataclass(kw_only=True)
class Answer:
    """What a fake server says. ``length`` lies about the body; an ``endless`` answer never stops,
    and comes in large pieces or, as a ``trickle``, in small ones."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    endless: bool = False
    trickle: bool = False


VERSION = Answer(body=b"3.17.2")
Route = Callable[[str, dict[str, Any]], Answer | None]


@dataclass
class Fake:
    """A fake server: its port, and the paths and logins that it was asked with."""

    port: int
    paths: list[str] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def with_login(self) -> str:
        return f"http://ann:{IN_URI}@127.0.0.1:{self.port}"


@contextmanager
def serving(route: Route) -> Iterator[Fake]:
    """A server on loopback that answers as ``route`` says; None is silence."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(size) or b"{}")
            fake.paths.append(self.path)
            fake.logins.append(self.headers.get("Authorization"))
            answer = route(self.path, sent)
            if answer is None:
                done.wait(120)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if not answer.endless:
                length = len(answer.body) if answer.length is None else answer.length
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(answer.body)
            while answer.endless and not done.is_set():
                self.wfile.write(b"0" if answer.trickle else b"0" * 65536)
                done.wait(0.2 if answer.trickle else 0)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # whoever asked has gone
                self.close_connection = True

        def finish(self) -> None:
            try:
                super().finish()
            except OSError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = Fake(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join()


def api(answer: Answer | None) -> Route:
    """A server that looks like MLflow's until it is asked for something."""
    return lambda path, _: VERSION if path == "/version" else answer


def said(**content: Any) -> Answer:
    return Answer(body=json.dumps(content).encode(), headers={"Content-Type": "application/json"})


@pytest.fixture(scope="module", autouse=True)
def _mlflow_is_imported() -> None:
    """So that no test measures the seconds of an import, or what it sets in other libraries."""
    import mlflow  # noqa: F401
    import sqlalchemy  # noqa: F401


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that a test brings in is gone with it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setattr(secrets, "_known", set())


def failure(call: Callable[[], object], kind: type[QualiaError]) -> QualiaError:
    """The error of a call; neither it nor anything that Python would print of it has the login."""
    with pytest.raises(QualiaError) as caught:
        call()
    error = caught.value
    assert type(error) is kind, f"{type(error).__name__}: {error}"
    printed = "".join(traceback.format_exception(error)) + error.hint
    assert str(error) in printed
    for spelling in (PASSWORD, IN_URI, LOGIN.removeprefix("Basic ")):
        assert spelling not in printed
    assert "\n" not in str(error), "a message is a line"
    return error


# --- servers that fail ---------------------------------------------------------------------------

HTML = b"<html><form>Log in</form></html>"
BROKEN = {
    "unauthenticated": (Answer(status=401, body=b"no"), NotAllowedError, "is not allowed"),
    "forbidden": (Answer(status=403, body=b"no"), NotAllowedError, "is not allowed"),
    "absent": (Answer(status=404, body=b"no"), ServerError, "404"),
    "failing": (Answer(status=400, body=b"no"), ServerError, "400"),
    "a page": (Answer(body=HTML), ServerError, "Log in"),
    "cut off": (
        Answer(body=b'3.1{"experiments": [{"exp', length=500),
        ServerError,
        "IncompleteRead",
    ),
    "a loop": (Answer(status=302, headers={"Location": "/version"}), ServerError, "redirects"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_answers_badly_from_the_start(name: str) -> None:
    answer, kind, told = BROKEN[name]
    with serving(lambda *_: answer) as fake:
        error = failure(lambda: ArtifactExplorer(fake.with_login).experiments(), kind)
    assert told in str(error)
    assert fake.url in str(error)
    assert error.exit_code == (5 if kind is NotAllowedError else 4)
    assert error.hint


API_BROKEN = {
    **{name: BROKEN[name] for name in ("unauthenticated", "forbidden", "absent", "a page")},
    "denied": (
        Answer(status=403, body=b'{"error_code": "PERMISSION_DENIED", "message": "Not yours"}'),
        NotAllowedError,
        "Not yours",
    ),
    "cut off": (Answer(body=b'{"experiments": [{"exp', length=500), ServerError, "IncompleteRead"),
    "half of JSON": (Answer(body=b'{"experiments": [{"exp'), ServerError, "JSON"),
    "no object": (Answer(body=b"[1]"), ServerError, "JSON"),
    "another type": (said(experiments=5, runs=5), ServerError, "not MLflow's"),
    "a loop": (
        Answer(status=302, headers={"Location": "/api/2.0/mlflow/experiments/search"}),
        ServerError,
        "redirects",
    ),
    "failing": (Answer(status=400, body=b"no"), ServerError, "400"),
}


@pytest.mark.parametrize("name", API_BROKEN)
def test_what_looks_like_mlflow_and_then_answers_badly(name: str) -> None:
    answer, kind, told = API_BROKEN[name]
    with serving(api(answer)) as fake:
        explorer = ArtifactExplorer(fake.with_login)
        error = failure(explorer.experiments, kind)
        assert told in str(error)
        assert fake.url.removeprefix("http://") in str(error)
        assert error.exit_code == (5 if kind is NotAllowedError else 4)
        failure(lambda: explorer.runs(Query(experiment_ids=("1",))), kind)
        failure(lambda: load(fake.with_login, ["a" * 32]), kind)


def test_a_login_that_lacks_names_the_variables() -> None:
    with serving(lambda *_: Answer(status=401)) as fake:
        error = failure(lambda: ArtifactExplorer(fake.url).experiments(), NotAllowedError)
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        assert name in error.hint


def test_a_host_name_that_is_not_allowed_is_explained() -> None:
    refusal = Answer(status=403, body=b"Invalid Host header - possible DNS rebinding attack")
    with serving(lambda *_: refusal) as fake:
        error = failure(lambda: ArtifactExplorer(fake.url).experiments(), NotAllowedError)
    assert "--allowed-hosts" in error.hint


def test_a_server_that_is_overloaded_is_asked_again() -> None:
    answers = iter([Answer(status=503), said(experiments=[{"experiment_id": "7", "name": "x"}])])
    with serving(lambda path, _: VERSION if path == "/version" else next(answers)) as fake:
        assert [one.name for one in ArtifactExplorer(fake.url).experiments(deleted=True)] == ["x"]


def test_a_server_that_is_overloaded_for_long_is_an_error() -> None:
    start = time.monotonic()
    with serving(api(Answer(status=503, body=b"later"))) as fake:
        error = failure(lambda: ArtifactExplorer(fake.with_login).experiments(), ServerError)
    assert "503" in str(error)
    assert time.monotonic() - start < LONGEST


def test_a_refused_connection_is_told_within_three_seconds() -> None:
    port = free_port()
    start = time.monotonic()
    for call in (
        lambda: ArtifactExplorer(f"http://ann:{IN_URI}@127.0.0.1:{port}").experiments(),
        lambda: load(f"http://127.0.0.1:{port}", ["a" * 32]),
    ):
        error = failure(call, ServerError)
        assert f"127.0.0.1:{port}" in str(error)
        assert "mlflow server" in error.hint
    assert time.monotonic() - start < 3


def test_a_host_that_has_no_address_is_an_error() -> None:
    error = failure(
        lambda: ArtifactExplorer(f"http://ann:{IN_URI}@nowhere.invalid:5000").experiments(),
        ServerError,
    )
    assert "http://nowhere.invalid:5000" in str(error)


def test_a_socket_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"ann:{IN_URI}@127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        error = failure(lambda: ArtifactExplorer(f"http://{address}").experiments(), ServerError)
        assert "timed out" in str(error)
        assert time.monotonic() - start < LONGEST


def test_a_server_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    start = time.monotonic()
    with serving(api(None)) as fake:
        failure(lambda: ArtifactExplorer(fake.with_login).experiments(), ServerError)
    assert time.monotonic() - start < LONGEST


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    start = time.monotonic()
    with serving(lambda *_: Answer(endless=True, body=b"<html>")) as fake:
        failure(lambda: ArtifactExplorer(fake.with_login).experiments(), ServerError)
    assert time.monotonic() - start < LONGEST


def test_an_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, so that no timeout of a single read ends it."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    start = time.monotonic()
    with serving(lambda *_: Answer(endless=True, trickle=True)) as fake:
        error = failure(lambda: ArtifactExplorer(fake.with_login).experiments(), ServerError)
    assert "1 s" in str(error)
    assert time.monotonic() - start < LONGEST


def test_a_server_that_dies_between_two_calls_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with serving(api(said(experiments=[]))) as fake:
        explorer = ArtifactExplorer(fake.with_login)
        assert explorer.experiments() == []
    failure(lambda: explorer.runs(Query(experiment_ids=("1",))), ServerError)
    failure(lambda: explorer.artifacts("a" * 32), ServerError)


def test_none_of_the_runs_is_said_without_the_password() -> None:
    with serving(api(said())) as fake:
        error = failure(lambda: load(fake.with_login, ["a" * 32]), NotFoundError)
    assert f"none of the 1 runs is in {fake.url}" in str(error)


# --- pages that never end ------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", ["same", "two in turn"])
@pytest.mark.parametrize("what", ["experiments", "runs"])
def test_a_page_that_is_repeated_ends_with_an_error(what: str, tokens: str) -> None:
    asked = 0

    def route(path: str, _: dict[str, Any]) -> Answer:
        nonlocal asked
        if path == "/version":
            return VERSION
        if not path.endswith(f"{what}/search"):
            return said()
        asked += 1
        return said(next_page_token="x" if tokens == "same" else f"x{asked % 2}")

    with serving(route) as fake:
        explorer = ArtifactExplorer(fake.with_login)
        calls = {
            "experiments": explorer.experiments,
            "runs": lambda: explorer.runs(Query(experiment_ids=("1",))),
        }
        error = failure(calls[what], ServerError)
    assert "repeats a page" in str(error)
    assert asked < 10


def test_a_page_of_a_history_that_is_repeated_ends_and_says_so() -> None:
    point = {"key": "m", "value": 1.0, "step": 1, "timestamp": 1}
    info = {"run_id": "a" * 32, "experiment_id": "1", "status": "FINISHED", "start_time": 5}
    run = {"info": info, "data": {"metrics": [point]}}
    experiment = {"experiment_id": "1", "name": "x"}
    answers = {
        "/version": VERSION,
        "/api/2.0/mlflow/experiments/search": said(experiments=[experiment]),
        "/api/2.0/mlflow/runs/search": said(runs=[run]),
        "/api/2.0/mlflow/metrics/get-history": said(metrics=[point], next_page_token="x"),
    }

    def route(path: str, _: dict[str, Any]) -> Answer:
        return answers.get(path.partition("?")[0], Answer(status=404))

    with serving(route) as fake:
        runs = load(fake.with_login, ["a" * 32])
        error = failure(lambda: runs.history("m"), ServerError)
        assert "repeats a page" in str(error)
        assert len([path for path in fake.paths if "get-history" in path]) < 10


def test_a_run_that_is_on_two_pages_is_there_once() -> None:
    info = {"run_id": "a" * 32, "experiment_id": "1", "status": "FINISHED", "start_time": 5}
    run = {"info": {**info, "lifecycle_stage": "active", "end_time": 6}, "data": {}}

    def route(path: str, sent: dict[str, Any]) -> Answer:
        if not path.endswith("runs/search"):
            return VERSION if path == "/version" else said()
        return said(runs=[run], next_page_token="" if sent.get("page_token") else "more")

    with serving(route) as fake:
        explorer = ArtifactExplorer(fake.url)
        query = Query(experiment_ids=("1",))
        assert [one.run_id for one in explorer.runs(query)] == ["a" * 32]
        assert len(explorer.load(query)) == 1
        # There is a second page, which is not read to count.
        assert explorer.count(query) is None
        assert explorer.counts() is None


def test_a_history_is_sorted_whatever_the_order_of_the_answer() -> None:
    logged = [(2, 5, 1.0), (1, 9, 2.0), (1, 3, 5.0), (-1, 4, 3.0), (1, 3, 4.0), (2, 1, 6.0)]
    points = [
        {"key": "m", "step": step, "timestamp": ms, "value": value} for step, ms, value in logged
    ]
    info = {"run_id": "a" * 32, "experiment_id": "1", "status": "FINISHED", "start_time": 5}
    run = {"info": info, "data": {"metrics": points[:1]}}

    def route(path: str, _: dict[str, Any]) -> Answer:
        if path.partition("?")[0].endswith("metrics/get-history"):
            return said(metrics=points)
        if "get-history-bulk" in path:
            return Answer(status=404)
        return VERSION if path == "/version" else said(runs=[run])

    with serving(route) as fake:
        history = load(fake.url, ["a" * 32]).history("m")
    assert history["value"].tolist() == [3.0, 4.0, 5.0, 2.0, 6.0, 1.0]
    assert history["step"].tolist() == [-1, 1, 1, 1, 2, 2]


# --- who gets a password -------------------------------------------------------------------------

NOTHING = api(said())


def test_a_password_goes_to_the_server_it_was_given_for() -> None:
    with serving(NOTHING) as fake:
        explorer = ArtifactExplorer(fake.with_login)
        assert explorer.tracking_uri == fake.url
        assert explorer.experiments() == []
        assert set(fake.logins) == {LOGIN}


def test_a_notebook_finds_the_password_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(NOTHING) as fake, serving(NOTHING) as other:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", fake.with_login)
        ArtifactExplorer(fake.url).experiments()
        assert set(fake.logins) == {LOGIN}
        ArtifactExplorer(other.url).experiments()
        assert set(other.logins) == {None}
        assert os.environ["MLFLOW_TRACKING_URI"] == fake.with_login


def test_two_servers_each_keep_their_password() -> None:
    with serving(NOTHING) as first, serving(NOTHING) as second:
        explorers = [
            ArtifactExplorer(first.with_login),
            ArtifactExplorer(f"http://bob:other-password@127.0.0.1:{second.port}"),
        ]
        for explorer in explorers:
            explorer.experiments()
        assert set(first.logins) == {LOGIN}
        other = base64.b64encode(b"bob:other-password").decode()
        assert set(second.logins) == {f"Basic {other}"}


@pytest.mark.parametrize(
    ("variables", "sent"),
    [
        ({"USERNAME": "ann", "PASSWORD": PASSWORD}, LOGIN),
        ({"TOKEN": "t0ken-of-ann"}, "Bearer t0ken-of-ann"),
        ({"USERNAME": "ann", "PASSWORD": PASSWORD, "TOKEN": "t0ken-of-ann"}, LOGIN),
    ],
)
def test_mlflows_own_variables_are_sent(
    variables: dict[str, str], sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    with serving(NOTHING) as fake:
        ArtifactExplorer(fake.url).experiments()
        assert set(fake.logins) == {sent}


def test_a_password_does_not_follow_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken-of-ann")
    with serving(lambda *_: VERSION) as elsewhere:
        away = Answer(
            status=302, headers={"Location": f"http://localhost:{elsewhere.port}/version"}
        )
        with serving(lambda *_: away) as fake:
            failure(lambda: ArtifactExplorer(fake.url).experiments(), ServerError)
            assert set(fake.logins) == {"Bearer t0ken-of-ann"}
        assert set(elsewhere.logins) == {None}


@pytest.mark.parametrize("place", ["mlflow-artifacts://", "http://", "https://", "ftp://"])
def test_artifacts_of_another_server_are_not_asked_for(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken-of-ann")
    with serving(lambda *_: said(files=[])) as elsewhere:
        address = f"{place}127.0.0.1:{elsewhere.port}/1/a/artifacts"
        info = {"run_id": "a" * 32, "experiment_id": "1", "artifact_uri": address, "start_time": 1}
        route: Route = lambda path, _: (  # noqa: E731
            VERSION if path == "/version" else said(runs=[{"info": info}], run={"info": info})
        )
        with serving(route) as fake:
            explorer = ArtifactExplorer(fake.url)
            listed = explorer.artifacts("a" * 32)
            assert (listed.files, bool(listed.problem)) == ((), True)
            runs = load(fake.url, ["a" * 32])
            failure(lambda: runs.read_artifact("a" * 32, "x.txt"), NotAllowedError)
        assert elsewhere.paths == []


@pytest.mark.parametrize(
    "uri",
    [
        f"http://ann:{PASSWORD}@127.0.0.1:1",
        "http://ann:c0rrect#h0rse@127.0.0.1:1",
        "http://ann:c0rrect?h0rse@127.0.0.1:1",
        "http://ann:c0rrect@[::1",
    ],
)
def test_a_password_that_breaks_its_uri_is_not_shown(uri: str) -> None:
    error = failure(lambda: ArtifactExplorer(uri).experiments(), UsageError)
    for part in ("c0rrect", "h0rse", "ann"):
        assert part not in str(error)


# --- the world around a call ---------------------------------------------------------------------

LOGGERS = ("mlflow", "mlflow.store.db.utils", "alembic", "sqlalchemy", "urllib3")


def world() -> dict[str, Any]:
    variables = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")}
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    return {"variables": variables, "levels": levels}


def test_variables_and_loggers_are_as_before_after_every_call(
    empty_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(empty_store, [Run(run_id=run_id(i), metrics={"m": curve([1.0])}) for i in range(3)])
    caplog.set_level(logging.WARNING, "mlflow")
    before = world()
    with serving(NOTHING) as fake, serving(api(Answer(status=500))) as failing:
        store = ArtifactExplorer(f"sqlite:///{empty_store}")
        here, dead = ArtifactExplorer(fake.url), ArtifactExplorer(f"http://127.0.0.1:{free_port()}")
        runs = store.load(Query())
        calls: dict[str, Callable[[], object]] = {
            "experiments": store.experiments,
            "runs": lambda: store.runs(Query(top=1)),
            "count": lambda: store.count(Query(experiment_ids=("1",))),
            "load": lambda: load(store.tracking_uri, [run_id(0)]),
            "history": runs.history,
            "artifacts": lambda: runs.artifacts(run_id(0)),
            "content": lambda: runs.read_artifact(run_id(0), "x"),
            "filter": lambda: store.runs(Query(filter="nonsense")),
            "prefix": lambda: store.run_ids([run_id(0)[:8]]),
            "http": here.experiments,
            "dead": dead.experiments,
            "failing": ArtifactExplorer(failing.url).experiments,
            "no store": lambda: ArtifactExplorer("sqlite:///nowhere/mlflow.db").experiments(),
        }
        failed = set()
        for name, call in calls.items():
            try:
                call()
            except QualiaError:
                failed.add(name)
            assert world() == before, name
    assert failed == {"content", "filter", "dead", "failing", "no store"}


def test_what_a_person_set_for_mlflow_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with serving(api(Answer(status=503))) as fake:
        failure(lambda: ArtifactExplorer(fake.url).experiments(), ServerError)
        assert len([path for path in fake.paths if path != "/version"]) == 1


def test_nothing_is_printed_or_logged_by_a_failure(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(api(Answer(status=400))) as fake:
        failure(lambda: ArtifactExplorer(fake.with_login).experiments(), ServerError)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("mlflow")] == []


# --- files ---------------------------------------------------------------------------------------


def test_a_file_that_never_ends_is_cut_off_and_nothing_of_it_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one = {"run_id": "a" * 32, "experiment_id": "1", "artifact_uri": "mlflow-artifacts:/1/a/b"}
    info = {**one, "status": "FINISHED", "lifecycle_stage": "active", "run_name": "r"}

    def route(path: str, sent: dict[str, Any]) -> Answer:
        if path == "/version":
            return VERSION
        if "mlflow-artifacts/artifacts/1/a/b/" in path:
            return Answer(endless=True)
        if "mlflow-artifacts/artifacts" in path:
            return said(files=[{"path": "x.csv", "is_dir": False, "file_size": 10}])
        if path.endswith("experiments/search"):
            return said(experiments=[{"experiment_id": "1", "name": "e"}])
        return said(run={"info": info, "data": {}}, runs=[{"info": info, "data": {}}])

    with serving(route) as fake:
        runs = load(fake.url, ["a" * 32])
        began = time.monotonic()
        error = failure(lambda: runs.read_artifact("a" * 32, "x.csv", 1_000_000), ServerError)
    assert "more than 1,000,000 bytes" in str(error)
    assert time.monotonic() - began < 20
    assert list(tmp_path.iterdir()) == []
