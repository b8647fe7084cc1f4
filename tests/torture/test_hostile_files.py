"""Hostile artifacts, through the real command with a kernel: opened by none, or with a limit."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hostile_files
import pytest
from commands import CREATE, Done, command, environment
from conftest import HOSTILE
from hostile_files import FORBIDDEN
from peak_memory import measured
from stores import Run, curve, fill, run_id
from torture_table import FULL, Saw
from tripwired import tripping

MEGABYTES = 600
SECONDS = 120
ARGS = ("--all", "--execute", "--export", "html", "--export", "markdown", "--no-input")

pytestmark = [pytest.mark.torture("artifacts"), pytest.mark.timeout(600)]


class Place:
    """A store with two runs that log the same hostile files, and a file that they may not reach."""

    def __init__(self, store: Path) -> None:
        self.work = store.parent / "work"
        self.work.mkdir()
        self.store = store
        self.canary = store.parent / "canary"
        self.outside = store.parent / "outside" / "secret.txt"
        self.outside.parent.mkdir()
        self.outside.write_text(f"a,b\n{FORBIDDEN},1\n")
        self.roots = [store.parent / "artifacts" / run_id(n) / "artifacts" for n in range(2)]
        runs = [
            Run(run_id=run_id(n), name=f"r{n}", metrics={"loss": curve([1.0, 0.5 - n / 10])})
            for n in range(2)
        ]
        fill(store, runs)
        for root in self.roots:
            root.mkdir(parents=True)

    def files(self) -> int:
        return sum(len(names) for root in self.roots for _, _, names in os.walk(root))

    def seen(self) -> dict[str, tuple[int, int, int]]:
        """All that there is but what the command may write; nothing is opened."""
        found = {}
        for folder, folders, names in os.walk(self.store.parent):
            if Path(folder) == self.store.parent:
                folders.remove("work")
            for name in (*folders, *names):
                path = Path(folder, name)
                about = path.lstat()
                where = os.fsencode(path).decode("latin-1")
                found[where] = (about.st_mode, about.st_size, about.st_mtime_ns)
        return found

    def run(self, *args: str, env: dict[str, str] | None = None) -> Done:
        return command(
            "--tracking-uri", f"sqlite:///{self.store}", *ARGS, *args, cwd=self.work, env=env
        )


@pytest.fixture
def place(empty_store: Path) -> Place:
    return Place(empty_store)


def attack(place: Place, saw: Saw, *args: str) -> str:
    """Run the whole command on what lies there, and give all that it wrote."""
    before = place.seen()
    store = f"sqlite:///{place.store}"
    took = measured("--tracking-uri", store, *ARGS, *args, cwd=place.work, program=CREATE)
    assert took.code == 0, took.err
    assert not place.canary.exists()
    assert place.seen() == before
    assert took.seconds < SECONDS
    assert took.most < MEGABYTES
    written = [path for path in place.work.rglob("*") if path.is_file()]
    text = "\n".join(path.read_text("utf-8", "replace") for path in written)
    assert FORBIDDEN not in text
    assert "root:x:0:0" not in text
    saw(hostile_files=place.files(), commands=1, seconds=took.seconds, megabytes=took.most)
    return text


def loaders(place: Place) -> None:
    """What runs when it is loaded, and a module of the name that a model asks for."""
    for root in place.roots:
        hostile_files.write(root, hostile_files.pickles(place.canary))
    (place.work / "notebooks").mkdir()
    for folder in (place.work, place.work / "notebooks"):
        (folder / "evil_loader.py").write_text(f"import os\nos.mkdir({str(place.canary)!r})\n")


def bombs(place: Place) -> None:
    for root in place.roots:
        hostile_files.write(root, hostile_files.bombs())


def odd(place: Place) -> None:
    """Names, links, pipes, sizes."""
    for root in place.roots:
        hostile_files.write_odd(root, place.outside)


def many(place: Place) -> None:
    hostile_files.write_many(place.roots[0], files=100_000, folders=30_000, deep=200)


# What is there, and what the notebook must say of it.
ATTACKS = {
    loaders: ("model.pkl", "p.png: "),
    bombs: ("bomb.zip", "huge.png: "),
    odd: ("sparse.csv", "50,000,000,000 bytes"),
    many: ("first 2,000",),
}


@pytest.mark.parametrize("attacks", [[one] for one in ATTACKS] if FULL else [[loaders, bombs, odd]])
def test_what_lies_in_a_folder(
    attacks: list[Callable[[Place], None]], place: Place, saw: Saw
) -> None:
    for one in attacks:
        one(place)
    text = attack(place, saw, "--with", "drift")
    for one in attacks:
        assert ATTACKS[one][0] in text
        assert not FULL or all(words in text for words in ATTACKS[one]), ATTACKS[one]
    assert not Path("/tmp/never-made-by-arrow").exists()


@pytest.mark.skipif(not FULL, reason="at full size only; tests/test_artifacts.py asks a server too")
@pytest.mark.xdist_group("server")
def test_what_a_server_hands_out(place: Place, server: str, saw: Saw, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    folder = tmp_path / "up"
    hostile_files.write(folder, {**hostile_files.pickles(place.canary), **hostile_files.bombs()})
    served = client.create_experiment(f"hostile {tmp_path}")
    runs = [client.create_run(served).info.run_id for _ in range(2)]
    for run in runs:
        client.log_artifacts(run, str(folder))
        client.log_metric(run, "loss", 1.0)
    # A server's user names a folder of whoever reads.
    elsewhere = client.create_experiment(
        f"elsewhere {tmp_path}", artifact_location=place.outside.parent.as_uri()
    )
    stolen = client.create_run(elsewhere).info.run_id
    client.log_metric(stolen, "loss", 1.0)
    mine = place.outside.parent / stolen / "artifacts"
    mine.mkdir(parents=True)
    (mine / "secret.csv").write_text(f"a\n{FORBIDDEN}\n")
    args = [one for run in (*runs, stolen) for one in ("--run", run)]
    done = command(
        "--tracking-uri", server, *args, *ARGS[1:], cwd=place.work, env={"TMPDIR": str(tmp_path)}
    )
    assert done.code == 0, done.err
    text = "\n".join(
        path.read_text("utf-8", "replace") for path in place.work.rglob("*") if path.is_file()
    )
    assert FORBIDDEN not in text
    assert "a folder of this machine" in text
    assert not place.canary.exists()
    assert not list(tmp_path.glob("qualia-*"))
    saw(hostile_files=sum(1 for _ in folder.rglob("*")) * 2, commands=1)


# --- the counter-proofs ---------------------------------------------------------------------------


def test_the_pickles_and_the_model_are_live(place: Place) -> None:
    """They do go off for whoever loads them."""
    files = hostile_files.pickles(place.canary)
    pickle.loads(files["p.csv"])
    assert place.canary.is_dir()
    place.canary.rmdir()
    hostile_files.write(place.work, files)
    code = "import mlflow; mlflow.pyfunc.load_model('model')"
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=place.work,
        env=environment({"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true"}),
        capture_output=True,
    )
    assert place.canary.is_dir()


def test_a_reader_that_unpickles_is_caught(place: Place, saw: Saw) -> None:
    site = Path(__file__).with_name("artifact_site.py")
    for root in place.roots:
        hostile_files.write(root, {"p.csv": hostile_files.pickles(place.canary)["p.csv"]})
    with tripping() as found:
        place.run(env={"TRIPWIRE_ALSO": str(site)})
    assert any("unpickling posix.mkdir" in one for one in found)
    saw(unsafe_readers_caught=1)


def test_hostile_names_are_many() -> None:
    assert len({*hostile_files.NAMES, *HOSTILE}) > 30
