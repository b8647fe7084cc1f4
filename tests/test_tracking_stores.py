"""Reading never writes: not to a store, not beside it, not to the folder that one stands in.

And what is no store, or not one that can be read as it is, is refused and left as it was.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer, RunSet, load
from qualia_lab.errors import NotFoundError, QualiaError, ServerError
from qualia_lab.model import Query

# MLflow's first schema but one; every release since knows it and would migrate it.
OLD_SCHEMA = "451aebb31d03"
UNKNOWN_SCHEMA = "f" * 12


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test stands in an empty folder, which is empty at its end."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    yield
    assert list(here.iterdir()) == []


@pytest.fixture
def folder(migrated: Path, tmp_path: Path) -> Path:
    """A folder with a store of two runs in it."""
    place = tmp_path / "store"
    place.mkdir()
    shutil.copy(migrated, place / "mlflow.db")
    metrics = {"m": curve([1.0, 2.0])}
    runs = [Run(run_id=run_id(i), name=str(i), metrics=metrics, params={"p": "1"}) for i in (0, 1)]
    fill(place / "mlflow.db", runs)
    return place


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder, with the digest of its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def read_all(uri: str) -> RunSet:
    """Every kind of call once."""
    explorer = ArtifactExplorer(uri)
    explorer.experiments(deleted=True)
    listed = [run.run_id for run in explorer.runs(Query(order_by=("metrics.m DESC",)))]
    explorer.count(Query(experiment_ids=("1",)))
    explorer.run_ids([run[:8] for run in listed])
    runs = load(uri, listed)
    runs.history()
    for run in listed:
        runs.artifacts(run)
        with pytest.raises(NotFoundError):
            runs.read_artifact(run, "absent.txt")
    return runs


def refusal(folder: Path, kind: type[QualiaError]) -> QualiaError:
    """The error for the store of a folder, which is as it was before."""
    before = content(folder)
    with pytest.raises(QualiaError) as caught:
        ArtifactExplorer(f"sqlite:///{folder}/mlflow.db").experiments()
    with pytest.raises(QualiaError):
        load(f"sqlite:///{folder}/mlflow.db", [run_id(0)])
    assert type(caught.value) is kind, caught.value
    assert content(folder) == before
    return caught.value


# --- stores that can be read ---------------------------------------------------------------------


def test_reading_leaves_every_byte_as_it_was(folder: Path) -> None:
    before = content(folder)
    assert len(read_all(f"sqlite:///{folder}/mlflow.db")) == 2
    assert content(folder) == before
    assert list(before) == ["mlflow.db"]


def test_reading_leaves_a_store_with_all_that_demo_runs_log_as_it_was(demo_store: Path) -> None:
    before = content(demo_store.parent)
    runs = read_all(f"sqlite:///{demo_store}")
    listed = {file.path for run in runs.runs.index for file in runs.artifacts(run).files}
    assert len(runs) > 5
    assert len(listed) > 3
    assert content(demo_store.parent) == before


@pytest.mark.parametrize("name", ["a b", "100%", "a%41b", "what?", "#1", "a;b&c=d", "ünï ☃"])
def test_a_folder_may_have_any_name(folder: Path, tmp_path: Path, name: str) -> None:
    place = folder.rename(tmp_path / name)
    # As MLflow writes such a path itself: "%" and "?" are escaped, since SQLAlchemy unescapes.
    written = str(place).replace("%", "%25").replace("?", "%3F")
    before = content(place)
    assert len(read_all(f"sqlite:///{written}/mlflow.db")) == 2
    assert content(place) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["here", name])


def test_a_relative_store_is_the_one_of_this_folder(
    folder: Path, tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(migrated, other / "mlflow.db")
    fill(other / "mlflow.db", [Run(run_id=run_id(2), name="elsewhere")])
    names = []
    for place in (folder, other, folder):
        monkeypatch.chdir(place)
        names.append(sorted(run.name for run in ArtifactExplorer().runs(Query())))
    assert names == [["0", "1"], ["elsewhere"], ["0", "1"]]
    monkeypatch.chdir(tmp_path / "here")


def test_a_read_only_store_can_be_read(folder: Path) -> None:
    before = content(folder)
    (folder / "mlflow.db").chmod(0o444)
    folder.chmod(0o555)
    try:
        assert len(read_all(f"sqlite:///{folder}/mlflow.db")) == 2
    finally:
        folder.chmod(0o755)
    assert content(folder) == before


def test_a_store_can_be_read_while_another_process_writes_to_it(folder: Path) -> None:
    path = folder / "mlflow.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET name = 'unfinished'")
        assert set(read_all(f"sqlite:///{path}").runs["name"]) == {"0", "1"}
        writer.execute("COMMIT")
    again = ArtifactExplorer(f"sqlite:///{path}").runs(Query())
    assert {run.name for run in again} == {"unfinished"}, "nothing kept the writer from it"


def test_a_store_with_a_write_ahead_log_can_be_read(folder: Path) -> None:
    path = folder / "mlflow.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE runs SET name = 'in the log'")
        database, log = (hashlib.sha256(one.read_bytes()) for one in (path, log_of(path)))
        assert set(read_all(f"sqlite:///{path}").runs["name"]) == {"in the log"}
        assert hashlib.sha256(path.read_bytes()).digest() == database.digest()
        assert hashlib.sha256(log_of(path).read_bytes()).digest() == log.digest()


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


# --- what is refused -----------------------------------------------------------------------------


def test_an_older_schema_is_not_migrated(folder: Path) -> None:
    execute(folder / "mlflow.db", f"UPDATE alembic_version SET version_num = '{OLD_SCHEMA}'")
    error = refusal(folder, ServerError)
    assert error.exit_code == 4
    assert "older MLflow" in str(error)
    assert OLD_SCHEMA in str(error)
    assert f"mlflow db upgrade sqlite:///{folder}/mlflow.db" in error.hint


@pytest.mark.parametrize("schema", [f"'{UNKNOWN_SCHEMA}'", "x'ff00'", "'it''s'"])
def test_an_unknown_schema_is_not_read(folder: Path, schema: str) -> None:
    execute(folder / "mlflow.db", f"UPDATE alembic_version SET version_num = {schema}")
    error = refusal(folder, ServerError)
    assert error.exit_code == 4
    assert "newer MLflow" in str(error)
    assert "pip install" in error.hint


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def empty_database(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE t (x)", "DROP TABLE t")


def other_database(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE runs (x)", "INSERT INTO runs VALUES (1)")


def other_migrated_database(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE alembic_version (version_num)", "CREATE TABLE songs (x)")


def without_revision(path: Path) -> None:
    execute(path, "DELETE FROM alembic_version")


def text(path: Path) -> None:
    path.write_text("This is no database.\n" * 300)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    "spoil",
    [
        empty_file,
        empty_database,
        other_database,
        other_migrated_database,
        without_revision,
        text,
        cut_short,
    ],
)
def test_what_is_no_mlflow_database_is_refused(folder: Path, spoil: Callable[[Path], None]) -> None:
    spoil(folder / "mlflow.db")
    error = refusal(folder, NotFoundError)
    assert error.exit_code == 6
    assert str(folder / "mlflow.db") in str(error)


@pytest.mark.parametrize(
    "statements",
    [
        # MLflow makes a default experiment, and tables that lack, as soon as it opens a store.
        ["DELETE FROM runs", "DELETE FROM experiments"],
        ["DELETE FROM experiments WHERE experiment_id = 0"],
        ["DROP TABLE registered_model_aliases"],
        ["DROP TABLE trace_tags", "DROP TABLE trace_info"],
    ],
)
def test_a_store_that_mlflow_would_complete_is_left_as_it_is(
    folder: Path, statements: list[str]
) -> None:
    execute(folder / "mlflow.db", *statements)
    before = content(folder)
    try:
        ArtifactExplorer(f"sqlite:///{folder}/mlflow.db").experiments()
    except ServerError as error:  # a reader that goes through MLflow can't read it
        assert "Nothing is written here" in error.hint
    assert content(folder) == before


def test_a_store_that_is_locked_is_an_error(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ServerError, match="locked"):
            ArtifactExplorer(f"sqlite:///{folder}/mlflow.db").experiments()


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "mlflow.db"
    for uri in (f"sqlite:///{path}", "sqlite:///mlflow.db", None):
        with pytest.raises(NotFoundError) as caught:
            ArtifactExplorer(uri).experiments()
        assert caught.value.exit_code == 6
        assert "mlflow.db" in str(caught.value)
        assert "create-demo-runs" in caught.value.hint
    assert not path.parent.exists()


def test_a_folder_in_place_of_a_database_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(NotFoundError):
        ArtifactExplorer(f"sqlite:///{tmp_path}/mlflow.db").experiments()


def test_a_file_store_says_how_to_read_it(tmp_path: Path) -> None:
    store = tmp_path / "mlruns"
    (store / "0").mkdir(parents=True)
    (store / "0" / "meta.yaml").write_text("experiment_id: '0'\n")
    before = content(store)
    for uri in (str(store), store.as_uri(), "../mlruns"):
        with pytest.raises(NotFoundError) as caught:
            ArtifactExplorer(uri).experiments()
        assert "MLFLOW_ALLOW_FILE_STORE=true" in caught.value.hint
        assert "mlflow migrate-filestore" in caught.value.hint
    assert content(store) == before


def test_a_file_in_place_of_a_file_store_says_what_to_write(folder: Path) -> None:
    with pytest.raises(NotFoundError, match="is a file") as caught:
        ArtifactExplorer(str(folder / "mlflow.db")).experiments()
    assert f"sqlite:///{folder}/mlflow.db" in caught.value.hint


def test_a_file_store_is_read_on_request(tmp_path: Path) -> None:
    """In a process of its own: the opt-in is read when MLflow is imported."""
    code = f"""
import os
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
import warnings
warnings.simplefilter("ignore")
from mlflow import MlflowClient
from qualia_lab import load
client = MlflowClient(tracking_uri={str(tmp_path / "mlruns")!r})
run = client.create_run("0", start_time={T0}, run_name="filed").info.run_id
client.log_metric(run, "m", 2.0, step=3)
client.log_param(run, "p", "1")
runs = load({str(tmp_path / "mlruns")!r}, [run])
print(runs.runs.loc[run, "name"], runs.params.loc[run, "p"], runs.history("m")["step"].tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "filed 1 [3]\n", done.stderr
