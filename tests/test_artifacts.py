"""The files of a run: all of them, none from outside, and never more than was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from stores import Run, fill, run_id

from qualia_lab import ArtifactExplorer, RunSet, load
from qualia_lab.errors import NotAllowedError, NotFoundError, QualiaError
from qualia_lab.model import Artifact, ArtifactList
from qualia_lab.tracking import artifacts

RUN = run_id(0)
ODD_NAMES = [
    "q?x",
    "-rf",
    "CON",
    "a b",
    "100%25.txt",
    "#1",
    "x\u202egnp.exe",
    "☃.md",
    "'\"",
    ".hidden",
]


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The artifact folder of the run; beside it lies what nobody may read through it."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "artifacts" / RUN / "artifacts"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def runs(empty_store: Path, root: Path) -> RunSet:
    fill(empty_store, [Run(run_id=RUN, artifact_uri=str(root))])
    return load(f"sqlite:///{empty_store}", [RUN])


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def paths(listed: ArtifactList) -> list[str]:
    return [file.path for file in listed.files]


# --- a folder of this machine --------------------------------------------------------------------


def test_a_tree_is_listed_by_path_with_sizes(runs: RunSet, root: Path) -> None:
    write(root, "z.txt", "a/b/c.json", "a/x.csv", "a.txt", "b/.hidden")
    (root / "empty").mkdir()
    assert runs.artifacts(RUN) == ArtifactList(
        files=(
            Artifact(path="a.txt", size=5),
            Artifact(path="a/b/c.json", size=10),
            Artifact(path="a/x.csv", size=7),
            Artifact(path="b/.hidden", size=9),
            Artifact(path="z.txt", size=5),
        )
    )
    assert runs.read_artifact(RUN, "a/b/c.json") == b"a/b/c.json"
    assert runs.read_artifact(RUN, "b/.hidden") == b"b/.hidden"


def test_a_run_without_a_folder_has_no_files(runs: RunSet, root: Path) -> None:
    root.rmdir()
    assert runs.artifacts(RUN) == ArtifactList()
    with pytest.raises(NotFoundError):
        runs.read_artifact(RUN, "a.txt")


@pytest.mark.parametrize("form", [str, Path.as_uri])
def test_a_place_may_be_a_path_or_a_file_uri(
    form: Callable[[Path], str], empty_store: Path, tmp_path: Path
) -> None:
    root = tmp_path / "50% #1 a?b"
    write(root, "x.txt")
    fill(empty_store, [Run(run_id=RUN, artifact_uri=form(root))])
    explorer = ArtifactExplorer(f"sqlite:///{empty_store}")
    assert paths(explorer.artifacts(RUN)) == ["x.txt"]
    assert load(explorer.tracking_uri, [RUN]).read_artifact(RUN, "x.txt") == b"x.txt"


def test_names_that_are_odd_are_listed_and_read(runs: RunSet, root: Path) -> None:
    write(root, *ODD_NAMES, *(f"folder {name}/{name}" for name in ODD_NAMES))
    listed = paths(runs.artifacts(RUN))
    assert sorted(listed) == sorted([*ODD_NAMES, *(f"folder {name}/{name}" for name in ODD_NAMES)])
    for path in listed:
        assert runs.read_artifact(RUN, path) == path.encode()


def test_a_name_that_is_no_utf8_is_shown_as_such(runs: RunSet, root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).write_text("x")
    write(root, "z.txt")
    (listed, other) = runs.artifacts(RUN).files
    assert (listed.path, listed.size, other.path) == ("caf\ufffd.txt", 1, "z.txt")
    listed.path.encode("utf-8")
    with pytest.raises(NotFoundError):
        runs.read_artifact(RUN, listed.path)


def test_links_and_devices_are_not_followed(runs: RunSet, root: Path, tmp_path: Path) -> None:
    write(root, "real.txt", "folder/real.txt")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "inner.txt").symlink_to(root / "real.txt")
    (root / "above").symlink_to(tmp_path)
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "dangling").symlink_to(tmp_path / "absent")
    os.mkfifo(root / "pipe")
    assert paths(runs.artifacts(RUN)) == ["folder/real.txt", "real.txt"]
    for path in (
        "link.txt",
        "inner.txt",
        "above/secret.txt",
        "loop/real.txt",
        "self",
        "self/x",
        "dangling",
        "pipe",
        "folder",
        ".",
    ):
        with pytest.raises(QualiaError) as caught:
            runs.read_artifact(RUN, path)
        assert isinstance(caught.value, NotAllowedError | NotFoundError), path


def test_the_run_folder_itself_may_be_a_link(runs: RunSet, root: Path, tmp_path: Path) -> None:
    """Its owner made it so: artifacts on another disk."""
    write(tmp_path / "disk", "a/x.txt")
    root.rmdir()
    root.symlink_to(tmp_path / "disk")
    assert paths(runs.artifacts(RUN)) == ["a/x.txt"]
    assert runs.read_artifact(RUN, "a/x.txt") == b"a/x.txt"


OUTSIDE = [
    "../x",
    "../../../secret.txt",
    "a/../../../../secret.txt",
    "a/..",
    "/etc/passwd",
    "//etc/passwd",
    "a\0b",
    "\0",
    "",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leaves_the_folder_is_refused(runs: RunSet, root: Path, path: str) -> None:
    write(root, "a/x.txt")
    with pytest.raises(NotAllowedError) as caught:
        runs.read_artifact(RUN, path)
    assert caught.value.exit_code == 5
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["absent", "a/absent", "a/x.txt/y", "n" * 5000, "\ud800", "a\\x.txt"]
)
def test_a_path_that_is_not_there_is_an_error(runs: RunSet, root: Path, path: str) -> None:
    write(root, "a/x.txt")
    with pytest.raises(QualiaError):
        runs.read_artifact(RUN, path)


def test_a_file_is_read_up_to_the_size_allowed(runs: RunSet, root: Path) -> None:
    (root / "ten").write_bytes(b"0123456789")
    assert runs.read_artifact(RUN, "ten", most_bytes=10) == b"0123456789"
    with pytest.raises(QualiaError, match="ten has 10 bytes; at most 9 are read"):
        runs.read_artifact(RUN, "ten", most_bytes=9)
    with (root / "sparse").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(QualiaError, match="1,000,000,000,000 bytes"):
        runs.read_artifact(RUN, "sparse")
    assert runs.artifacts(RUN).files[0] == Artifact(path="sparse", size=10**12)


def test_thousands_of_files_are_cut_and_said(runs: RunSet, root: Path) -> None:
    for number in range(3000):
        (root / f"{number:04}").touch()
    listed = runs.artifacts(RUN)
    assert listed.cut
    assert paths(listed) == [f"{number:04}" for number in range(2000)]


def test_as_many_files_as_are_listed_are_not_cut(runs: RunSet, root: Path) -> None:
    for number in range(2000):
        (root / f"{number:04}").touch()
    listed = runs.artifacts(RUN)
    assert (len(listed.files), listed.cut) == (2000, False)


def test_deep_folders_are_listed_and_past_a_depth_it_is_said(
    runs: RunSet, root: Path, empty_store: Path
) -> None:
    deep = "/".join("d" * 20)
    write(root, f"{deep}/x.txt", "z.txt")
    listed = runs.artifacts(RUN)
    assert (paths(listed), listed.cut) == ([f"{deep}/x.txt", "z.txt"], False)
    assert runs.read_artifact(RUN, f"{deep}/x.txt") == f"{deep}/x.txt".encode()
    write(root, "/".join("e" * 60) + "/too-deep.txt")
    again = ArtifactExplorer(f"sqlite:///{empty_store}").artifacts(RUN)
    assert (paths(again), again.cut) == ([f"{deep}/x.txt", "z.txt"], True)


def test_a_folder_that_may_not_be_listed_is_said_and_the_rest_is_there(
    runs: RunSet, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, "a/x.txt", "closed/y.txt", "z.txt")
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    listed = runs.artifacts(RUN)
    assert paths(listed) == ["a/x.txt", "z.txt"]
    assert "Permission denied" in listed.problem


def test_an_unknown_run_is_not_found(runs: RunSet) -> None:
    for call in (lambda: runs.artifacts("e" * 32), lambda: runs.read_artifact("e" * 32, "x")):
        with pytest.raises(NotFoundError):
            call()


# --- a server ------------------------------------------------------------------------------------


@pytest.mark.xdist_group("server")
def test_artifacts_of_a_server(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    experiment = client.create_experiment("artifacts")
    run, empty = (client.create_run(experiment).info.run_id for _ in range(2))
    names = ["z.txt", "a/b/c.json", "a/x.csv", "a b/100%.txt", ".hidden/file", "☃.md"]
    write(tmp_path / "up", *names)
    client.log_artifacts(run, str(tmp_path / "up"))
    capfd.readouterr()
    runs = load(server, [run])
    listed = runs.artifacts(run)
    assert (paths(listed), listed.cut, listed.problem) == (sorted(names), False, "")
    assert [file.size for file in listed.files] == [len(name.encode()) for name in sorted(names)]
    for name in names:
        assert runs.read_artifact(run, name, most_bytes=len(name.encode())) == name.encode()
        with pytest.raises(QualiaError, match="bytes; at most"):
            runs.read_artifact(run, name, most_bytes=len(name.encode()) - 1)
    for path in OUTSIDE:
        with pytest.raises(NotAllowedError):
            runs.read_artifact(run, path)
    for path in ("absent", "a", "a/absent", "z.txt/x", "absent/x"):
        with pytest.raises(NotFoundError):
            runs.read_artifact(run, path)
    assert ArtifactExplorer(server).artifacts(empty) == ArtifactList()
    with pytest.raises(NotFoundError):
        ArtifactExplorer(server).artifacts("e" * 32)
    assert capfd.readouterr() == ("", ""), "no bars of progress"


@dataclass
class Entry:
    """What MLflow's client lists."""

    path: str
    is_dir: bool = False
    file_size: int | None = 1


@dataclass
class FakeClient:
    """A client of a server that lists what it likes: folder -> entries."""

    tree: dict[str | None, list[Entry]] = field(default_factory=dict)
    downloaded: list[str] = field(default_factory=list)
    endless: bool = False
    asked: int = 0

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[Entry]:
        self.asked += 1
        if self.endless:
            return [Entry(f"{path}/d" if path else f"d{i}", is_dir=True) for i in range(3)]
        return self.tree.get(path, [])

    def download_artifacts(self, run_id: str, path: str, folder: str) -> str:
        self.downloaded.append(path)
        copy = Path(folder) / Path(path).name
        copy.write_text(path)
        return str(copy)


HTTP = "http://127.0.0.1:5000"
SERVED = "mlflow-artifacts:/1/a/artifacts"


def fake_listing(client: FakeClient, uri: str = SERVED, store: str = HTTP) -> ArtifactList:
    return artifacts.listing(lambda: client, store, uri, RUN)


def fake_content(
    client: FakeClient, path: str, uri: str = SERVED, store: str = HTTP, most: int = 100
) -> bytes:
    return artifacts.content(lambda: client, store, uri, RUN, path, most)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc",
        "FILE:///etc",
        "file:/etc",
        "file://localhost/etc",
        "/etc",
        "etc",
        "",
        "C:\\Users",
        "ftp://127.0.0.1/x",
        "sftp://h/x",
        "hdfs://h/x",
        "runs:/a/b",
        "mlflow-artifacts://other:5000/1",
        "mlflow-artifacts://127.0.0.1:5001/1",
        "mlflow-artifacts://127.0.0.1:5000@other/1",
        "http://127.0.0.1:5000/1",
        "https://other/1",
    ],
)
def test_a_place_that_a_server_may_not_name_is_not_read(uri: str) -> None:
    client = FakeClient({None: [Entry("passwd")]})
    listed = fake_listing(client, uri)
    assert (listed.files, bool(listed.problem)) == ((), True)
    with pytest.raises(NotAllowedError) as caught:
        fake_content(client, "passwd", uri)
    assert str(caught.value) == listed.problem
    assert (client.asked, client.downloaded) == (0, [])


@pytest.mark.parametrize(
    "uri",
    [SERVED, "mlflow-artifacts://127.0.0.1:5000/1", "s3://bucket/x", "gs://b/x", "abfss://c@a/x"],
)
def test_a_place_that_a_server_may_name_is_read(uri: str) -> None:
    client = FakeClient({None: [Entry("x.txt", file_size=5)]})
    assert paths(fake_listing(client, uri)) == ["x.txt"]
    assert fake_content(client, "x.txt", uri) == b"x.txt"


@pytest.mark.parametrize("uri", ["http://other/1", "https://other/1", "mlflow-artifacts:/1"])
def test_a_database_can_not_send_us_to_a_server(uri: str) -> None:
    client = FakeClient({None: [Entry("x.txt")]})
    assert fake_listing(client, uri, "sqlite:///mlflow.db").problem
    with pytest.raises(NotAllowedError):
        fake_content(client, "x.txt", uri, "sqlite:///mlflow.db")
    assert client.asked == 0


def test_the_login_of_another_server_is_not_shown() -> None:
    listed = fake_listing(FakeClient(), "https://ann:hunter2@other/1", "sqlite:///mlflow.db")
    assert "other" in listed.problem
    assert "hunter2" not in listed.problem


def test_what_a_server_lists_outside_of_the_run_is_left_out() -> None:
    client = FakeClient(
        {
            None: [Entry(path) for path in ("../x", "/etc/passwd", "a/../../x", "", "n\0l", "ok")]
            + [Entry("a", is_dir=True), Entry("..", is_dir=True), Entry("/", is_dir=True)],
            "a": [Entry("a/x"), Entry("b/x"), Entry("x"), Entry("ab/x"), Entry("a", is_dir=True)],
        }
    )
    assert paths(fake_listing(client)) == ["a/x", "ok"]
    assert client.asked == 2


def test_names_of_a_server_are_made_whole() -> None:
    client = FakeClient({None: [Entry("caf\udce9.txt", file_size=None)]})
    assert fake_listing(client).files == (Artifact(path="caf\ufffd.txt", size=None),)


def test_a_server_that_lists_without_end_is_cut() -> None:
    client = FakeClient(endless=True)
    listed = fake_listing(client)
    assert (listed.files, listed.cut) == ((), True)
    assert client.asked <= 1000


def test_a_server_with_thousands_of_files_or_folders_is_cut() -> None:
    files = FakeClient({None: [Entry(f"{number:04}") for number in range(3000)]})
    assert (len(fake_listing(files).files), fake_listing(files).cut) == (2000, True)
    tree: dict[str | None, list[Entry]] = {
        None: [Entry(f"{number:04}", is_dir=True) for number in range(500)]
    }
    tree |= {f"{number:04}": [Entry(f"{number:04}/x")] for number in range(500)}
    listed = fake_listing(FakeClient(tree))
    assert 0 < len(listed.files) < 500
    assert listed.cut


@pytest.mark.parametrize("path", ["big", "folder/big", ".hidden/big", "a./big"])
def test_what_is_too_large_is_not_downloaded(path: str) -> None:
    folder = path.rpartition("/")[0] or None
    client = FakeClient({folder: [Entry(path, file_size=101)]})
    with pytest.raises(QualiaError, match="has 101 bytes; at most 100 are read"):
        fake_content(client, path)
    assert client.downloaded == []


def test_what_is_larger_than_the_server_says_is_not_handed_out() -> None:
    path = "folder/" + "x" * 101
    with pytest.raises(QualiaError, match="has 108 bytes"):
        fake_content(FakeClient({"folder": [Entry(path, file_size=1)]}), path)


def test_only_files_that_are_listed_are_downloaded() -> None:
    client = FakeClient({None: [Entry("model", is_dir=True), Entry("y")]})
    for path in ("model", "x", "model/x"):
        with pytest.raises(NotFoundError):
            fake_content(client, path)
    assert client.downloaded == []


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_is_asked_of_a_server(path: str) -> None:
    client = FakeClient({None: [Entry(path)]})
    with pytest.raises(NotAllowedError):
        fake_content(client, path)
    assert client.asked == 0


def test_a_listing_is_a_tree_too() -> None:
    one, two, three = (Artifact(path=path, size=1) for path in ("a/b/x.txt", "a/y.txt", "z.txt"))
    listed = ArtifactList(files=(one, two, three))
    assert listed.tree() == {"a/": {"b/": {"x.txt": one}, "y.txt": two}, "z.txt": three}
