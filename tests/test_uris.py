"""Tracking URIs: the same default as MLflow's, no password in what is kept, and where a notebook
finds a local store."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qualia_lab import ArtifactExplorer, secrets
from qualia_lab.errors import MissingPartError, QualiaError, UsageError
from qualia_lab.tracking import uris

PASSWORD = "c0rrect-h0rse"


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that a test brings in is gone with it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setattr(secrets, "_known", set())


# --- which store ---------------------------------------------------------------------------------


def nothing(_: Path) -> None:
    pass


def database(folder: Path) -> None:
    (folder / "mlflow.db").touch()


def file_store(folder: Path) -> None:
    (folder / "mlruns" / "0").mkdir(parents=True)
    (folder / "mlruns" / "0" / "meta.yaml").touch()


def both(folder: Path) -> None:
    database(folder)
    file_store(folder)


def empty_file_store(folder: Path) -> None:
    (folder / "mlruns" / "0").mkdir(parents=True)


def other_folder_in_a_file_store(folder: Path) -> None:
    for name in ("models", "1st", ".trash"):
        (folder / "mlruns" / name).mkdir(parents=True)
        (folder / "mlruns" / name / "meta.yaml").touch()


def long_id_in_a_file_store(folder: Path) -> None:
    (folder / "mlruns" / "931254387612345678").mkdir(parents=True)
    (folder / "mlruns" / "931254387612345678" / "meta.yaml").touch()


def file_in_its_place(folder: Path) -> None:
    (folder / "mlruns").touch()


PLACES: list[Callable[[Path], None]] = [
    nothing,
    database,
    file_store,
    both,
    empty_file_store,
    other_folder_in_a_file_store,
    long_id_in_a_file_store,
    file_in_its_place,
]
VARIABLES = ["", "sqlite:///else where/x.db", "http://127.0.0.1:5000", "./elsewhere", "databricks"]


@pytest.fixture(scope="module")
def mlflows_own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """What MLflow answers in each of the places and with each of the variables; one process."""
    root = tmp_path_factory.mktemp("places of it")
    folders = {}
    for prepare in PLACES:
        folder = root / prepare.__name__
        folder.mkdir()
        prepare(folder)
        folders[prepare.__name__] = str(folder)
    code = """
import json, os, sys
os.environ.pop("MLFLOW_TRACKING_URI", None)
import mlflow
folders, variables = json.load(sys.stdin)
answers = {}
for name, folder in folders.items():
    os.chdir(folder)
    answers[name] = folder, mlflow.get_tracking_uri()
for value in variables:
    os.environ["MLFLOW_TRACKING_URI"] = value
    answers["=" + value] = folder, mlflow.get_tracking_uri()
print(json.dumps(answers))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([folders, VARIABLES]),
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: (Path(at), said) for name, (at, said) in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", [place.__name__ for place in PLACES])
def test_the_default_is_mlflows_own(
    name: str, mlflows_own: dict[str, tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, theirs = mlflows_own[name]
    monkeypatch.chdir(folder)
    ours = ArtifactExplorer().tracking_uri
    assert uris.store_type(ours) == uris.store_type(theirs)
    if uris.store_type(ours) == "sqlite":
        assert uris.sqlite_path(ours).absolute() == uris.sqlite_path(theirs)
    else:
        found = uris.folder_of_file_store(ours).absolute()
        assert found == uris.folder_of_file_store(theirs)
    assert str(folder) not in ours, "a default is relative, so that a notebook can move with it"


@pytest.mark.parametrize("value", VARIABLES)
def test_the_variable_is_taken_as_mlflow_takes_it(
    value: str, mlflows_own: dict[str, tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, theirs = mlflows_own["=" + value]
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", value)
    assert uris.default() == (theirs if value else "sqlite:///mlflow.db")
    assert ArtifactExplorer("sqlite:///given.db").tracking_uri == "sqlite:///given.db"


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("sqlite:///mlflow.db", "sqlite"),
        ("sqlite+pysqlite:////x/mlflow.db", "sqlite"),
        ("SQLite:///mlflow.db", "sqlite"),
        ("postgresql://h/db", "database"),
        ("postgresql+psycopg2://h/db", "database"),
        ("mysql+pymysql://h/db", "database"),
        ("mssql+pyodbc://h/db", "database"),
        ("http://h:5000", "http"),
        ("HTTPS://h", "http"),
        ("./mlruns", "file"),
        ("/x/mlruns", "file"),
        ("file:///x/mlruns", "file"),
        ("C:\\data\\mlruns", "file"),
        ("databricks", "other"),
        ("databricks://profile", "other"),
        ("plugin-scheme://x", "other"),
    ],
)
def test_what_a_uri_names(uri: str, kind: str) -> None:
    assert uris.store_type(uri) == kind


# --- passwords -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "bare", "taken"),
    [
        ("http://ann:PW@h:5000/base", "http://h:5000/base", ["PW", "ann:PW"]),
        ("https://ann:PW%2Fx%40y@h", "https://h", ["PW%2Fx%40y", "PW/x@y", "ann:PW/x@y"]),
        ("http://ann@h:5000", "http://h:5000", []),
        ("http://ann:@h:5000", "http://h:5000", []),
        ("http://:PW@h", "http://h", ["PW"]),
        ("http://h/?api_key=PW&x=1#part", "http://h/?x=1#part", ["PW"]),
        ("http://h/?access_token=PW%2Fx", "http://h/", ["PW/x"]),
        ("postgresql://ann:PW@h/db", "postgresql://ann@h/db", ["PW", "ann:PW"]),
        ("postgresql+psycopg2://ann:PW@h:1/db", "postgresql+psycopg2://ann@h:1/db", ["PW"]),
        ("postgresql://ann:PW#1/2?3@h/db", "postgresql://ann@h/db", ["PW#1/2?3"]),
        ("postgresql://ann:PW:x@h/db", "postgresql://ann@h/db", ["PW:x"]),
        ("postgresql://ann:PW@[::1]:1/db", "postgresql://ann@[::1]:1/db", ["PW"]),
        ("mysql://ann:PW%23x@h/db", "mysql://ann@h/db", ["PW#x", "PW%23x"]),
        (
            "postgresql://h/db?user=ann&password=PW&sslmode=require",
            "postgresql://h/db?user=ann&sslmode=require",
            ["PW"],
        ),
        (
            "postgresql://ann:PW@h/db?sslpassword=other+secret",
            "postgresql://ann@h/db",
            ["PW", "other secret"],
        ),
        ("mysql://h/db?passwd=PW&pwd=PW2-longer", "mysql://h/db", ["PW", "PW2-longer"]),
        (
            "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Dann%3BPWD%3DPW",
            "mssql+pyodbc:///",
            ["DRIVER=x;UID=ann;PWD=PW"],
        ),
    ],
)
def test_a_password_is_split_off(uri: str, bare: str, taken: list[str]) -> None:
    uri, *taken = (text.replace("PW", PASSWORD) for text in (uri, *taken))
    assert ArtifactExplorer(uri).tracking_uri == bare
    assert os.environ["MLFLOW_TRACKING_URI"] == uri, "a kernel started from here connects with it"
    assert uris.with_password(bare) == uri
    for secret in taken:
        assert secrets.scrub(f"<{secret}>") == "<***>"
        assert secrets.scrub(quote(secret, safe="")) == "***"
        assert secrets.scrub(base64.b64encode(secret.encode()).decode().rstrip("=")) == "***"
    assert secrets.scrub("ann at h") == "ann at h", "what is no secret stays"


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///mlflow.db",
        "sqlite:////home/ann@work/a:b@c/mlflow.db",
        "http://h:5000",
        "http://h:5000/p@th/x:y@z",
        "http://h/?x=1",
        "postgresql://ann@h/db",
        "postgresql://h/db?sslmode=require&application_name=my%20app",
        "mysql+pymysql://ann@h/db?charset=utf8mb4",
        "./mlruns",
        "/home/ann:x@y/mlruns",
        "file:///home/ann:x@y/mlruns",
        "C:\\Users\\ann\\mlruns",
        "databricks://profile",
    ],
)
def test_what_holds_no_password_stays_as_it_is(uri: str) -> None:
    assert ArtifactExplorer(uri).tracking_uri == uri
    assert os.environ["MLFLOW_TRACKING_URI"] == ""
    assert secrets.scrub(f"{uri} ann") == f"{uri} ann"


@settings(deadline=None)
@given(
    user=st.text("abcXYZ09._~-", min_size=1, max_size=8),
    password=st.text(min_size=4, max_size=20),
    scheme=st.sampled_from(["http", "https", "postgresql", "mysql+pymysql"]),
)
def test_no_escaped_password_is_kept(user: str, password: str, scheme: str) -> None:
    password = password.encode("utf-8", "ignore").decode()
    escaped = quote(f"s3cret{password}", safe="")
    bare = uris.without_password(f"{scheme}://{user}:{escaped}@host.invalid:99/path?x=1")
    login = f"{user}@" if scheme not in ("http", "https") else ""
    assert bare == f"{scheme}://{login}host.invalid:99/path?x=1"


def test_a_password_of_another_store_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:{PASSWORD}@h:5000")
    assert uris.with_password("http://h:5000") == f"http://ann:{PASSWORD}@h:5000"
    for other in ("http://h:5001", "https://h:5000", "http://h:5000/x", "http://h.evil:5000"):
        assert uris.with_password(other) == other


def test_a_database_without_its_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)  # as if it were not installed
    for uri in (f"postgresql+psycopg2://ann:{PASSWORD}@h/db", f"mysql://ann:{PASSWORD}@h/db"):
        with pytest.raises(MissingPartError) as caught:
            ArtifactExplorer(uri).experiments()
        assert caught.value.exit_code == 3
        assert PASSWORD not in f"{caught.value}{caught.value.hint}"
        package = "psycopg2-binary" if uri.startswith("postgresql") else "mysqlclient"
        assert caught.value.hint == f"pip install {package}"


# --- broken --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "http://",
        "http:///path",
        "http://:5000",
        "http://[::1",
        "http://h:port",
        "http://h:99999",
        "http://h:-1",
        "http://h:0",
        "http://two hosts/",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://mlflow.db",
        "sqlite:mlflow.db",
        "sqlite:///?timeout=3",
        "bogus://x",
        "s3://bucket/x",
    ],
)
def test_a_broken_uri_is_a_usage_error(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        ArtifactExplorer(uri).experiments()
    assert caught.value.exit_code == 2
    assert uri in str(caught.value)


@settings(deadline=None)
@given(st.text(max_size=40))
@example("@\x00")
@example("user:secret@\ud800")
def test_any_other_text_is_an_error_of_this_project(text: str) -> None:
    """Local stores only: a name of a host that happens to exist would be asked."""
    for uri in (
        f"sqlite:///absent/{text}",
        f"sqlite://{text}",
        f"./absent/{text}",
        f"file:{text}x",
    ):
        with pytest.raises(QualiaError):
            ArtifactExplorer(uri).experiments()


# --- in a notebook -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "folder", "written"),
    [
        ("sqlite:///mlflow.db", "notebooks", "sqlite:///../mlflow.db"),
        ("sqlite:///mlflow.db", ".", "sqlite:///mlflow.db"),
        ("sqlite:///mlflow.db", "a/b/c", "sqlite:///../../../mlflow.db"),
        ("sqlite:///../data/mlflow.db", "notebooks", "sqlite:///../../data/mlflow.db"),
        ("sqlite:///notebooks/mlflow.db", "notebooks", "sqlite:///mlflow.db"),
        ("sqlite:///./x/../mlflow.db", "notebooks", "sqlite:///../mlflow.db"),
        ("sqlite:///mlflow.db?timeout=9", "notebooks", "sqlite:///../mlflow.db?timeout=9"),
        ("sqlite:///a%20b/100%25.db", "notebooks", "sqlite:///../a b/100%25.db"),
        ("sqlite:///a#b.db", "notebooks", "sqlite:///../a#b.db"),
        ("./mlruns", "notebooks", "../mlruns"),
        ("mlruns", "notebooks", "../mlruns"),
        ("../mlruns", "notebooks", "../../mlruns"),
        ("sqlite:////srv/mlflow.db", "notebooks", "sqlite:////srv/mlflow.db"),
        ("/srv/mlruns", "notebooks", "/srv/mlruns"),
        ("file:///srv/mlruns", "notebooks", "file:///srv/mlruns"),
        ("C:\\data\\mlruns", "notebooks", "C:\\data\\mlruns"),
        ("C:/data/mlruns", "notebooks", "C:/data/mlruns"),
        ("sqlite:///C:\\data\\mlflow.db", "notebooks", "sqlite:///C:\\data\\mlflow.db"),
        ("sqlite:///C:/data/mlflow.db", "notebooks", "sqlite:///C:/data/mlflow.db"),
        ("http://h:5000/base", "notebooks", "http://h:5000/base"),
        ("postgresql://ann@h/db", "notebooks", "postgresql://ann@h/db"),
        ("databricks", "notebooks", "databricks"),
    ],
)
def test_a_relative_store_is_written_relative_to_the_notebook(
    uri: str, folder: str, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert uris.for_notebook(uri, Path(folder)) == written
    assert uris.for_notebook(uri, tmp_path / folder) == written


def test_a_notebook_in_another_folder_finds_the_same_store(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "50% #1" / "a b"
    place.mkdir(parents=True)
    empty_store.rename(place / "mlflow.db")
    monkeypatch.chdir(place)
    notebooks = tmp_path / "deep" / "notebooks"
    notebooks.mkdir(parents=True)
    written = uris.for_notebook("sqlite:///mlflow.db", notebooks)
    assert str(tmp_path) not in written
    monkeypatch.chdir(notebooks)
    assert [one.name for one in ArtifactExplorer(written).experiments()] == ["Default"]
