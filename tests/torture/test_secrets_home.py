"""Secrets of the environment, of URIs and of stores are in nothing that a command leaves behind.

Each scene is a real command in a world of its own (``canaries.World``): 18 secrets are planted, and
whatever it printed and every file below the working folder, the home and the temp folder is
searched, removed files too. The same scenes without the gate show that the search finds.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import canaries
import pytest
from canaries import CANARIES, World, escaped
from commands import CREATE, Done, command
from conftest import free_port
from stores import Run, curve, fill, run_id
from torture_table import FULL, Saw

LAB = "qualia-lab"
ALL = ("--all", "--no-input")
EXPORTS = ("--export", "html", "--export", "markdown")
PDF = ("--export", "pdf") if shutil.which("chromium") or shutil.which("google-chrome") else ()
EVERYTHING = ("--execute", *EXPORTS, *PDF, "--summary", "sum.md", "-v")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A command, and what it should come to.

    Attributes:
        args: ``{work}`` stands for the working folder, ``{host}`` for a server that breaks once
            there is a notebook, ``{broken}`` for one that is broken from the start, and the name
            of a canary for it as in a URI.
        codes: the exit codes that are right.
        env: variables besides the world's, with the same stand-ins.
        filed: whether ~/.mlflow/credentials is there, which goes before a token.
        leaks: whether it shows something once the gate is taken out.
        small: whether ``make test`` plays it too.
    """

    args: tuple[str, ...]
    codes: tuple[int, ...]
    program: str = CREATE
    env: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], list[Path]] = lambda work: []
    filed: bool = False
    leaks: bool = False
    small: bool = False


HTTP = "http://ann:{password of an http URI}@{host}"
BROKEN = "http://ann:{password of an http URI}@{broken}"
PG = "postgresql://ann:{password of a postgresql URI}@127.0.0.1:{closed}/runs"
PG += "?sslpassword={password in a query}"
MYSQL = "mysql+pymysql://ann:{password of a mysql URI}@127.0.0.1:{closed}/runs"
LOGIN = {
    "MLFLOW_TRACKING_USERNAME": "ann",
    "MLFLOW_TRACKING_PASSWORD": CANARIES["MLFLOW_TRACKING_PASSWORD"],
}
TOKEN = {"MLFLOW_TRACKING_TOKEN": CANARIES["MLFLOW_TRACKING_TOKEN"]}
STORE = ("--tracking-uri", "sqlite:///mlflow.db")


def repeating(name: str) -> Callable[[Path], list[Path]]:
    """An experiment whose name repeats a secret of the environment, and a run whose param does."""

    def prepare(work: Path) -> list[Path]:
        with contextlib.closing(sqlite3.connect(work / "mlflow.db")) as db, db:
            db.execute(
                "INSERT INTO params (key, value, run_uuid) VALUES ('api', ?, ?)",
                (f"key={CANARIES[name]}", run_id(0)),
            )
            db.execute(
                "UPDATE experiments SET name = ? WHERE experiment_id = 1",
                (f"exp {CANARIES[name]}",),
            )
        return []

    return prepare


def printed_by_a_person(work: Path) -> list[Path]:
    """A notebook in which a person showed the environment."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    text = "\n".join(CANARIES[name] for name in canaries.OF_ENVIRONMENT)
    shown = new_code_cell("%env", execution_count=1, outputs=[new_output("stream", text=text)])
    path = work / "person.ipynb"
    path.write_text(json.dumps(new_notebook(cells=[new_markdown_cell("# Mine"), shown])))
    return [path]


def configured(uri: str) -> Callable[[Path], list[Path]]:
    def prepare(work: Path) -> list[Path]:
        path = work / "qualia.toml"
        path.write_text(f'tracking_uri = "{filled(uri)}"\n')
        return [path]

    return prepare


def filled(text: str, **more: str) -> str:
    """The text with canaries and places in it."""
    for name, value in {**{name: escaped(name) for name in CANARIES}, **more}.items():
        text = text.replace("{" + name + "}", value)
    return text


SCENES = {
    "a store, all outputs": Scene(args=(*STORE, *ALL, *EVERYTHING), codes=(0,)),
    "a store, JSON": Scene(args=(*STORE, *ALL, "--execute", "--json", "-v"), codes=(0,)),
    "runs as JSON": Scene(
        program=LAB, args=("runs", *STORE, *ALL, "--json"), codes=(0,), small=True
    ),
    "runs as CSV": Scene(program=LAB, args=("runs", *STORE, *ALL, "--format", "csv"), codes=(0,)),
    "a server": Scene(args=("--tracking-uri", HTTP, *ALL, "-v"), codes=(0,)),
    "a server, planned": Scene(
        args=("--tracking-uri", HTTP, *ALL, "--dry-run", "--json"), codes=(0,)
    ),
    "a server that breaks, password": Scene(
        args=("--tracking-uri", HTTP, *ALL, *EVERYTHING), codes=(4, 8), leaks=True
    ),
    "a server that breaks, variable": Scene(
        args=(*ALL, *EVERYTHING), codes=(4, 8), env={"MLFLOW_TRACKING_URI": HTTP}, leaks=True
    ),
    "a server that breaks, token": Scene(
        args=("--tracking-uri", "http://{host}", *ALL, "--execute", "--json", "-v"),
        codes=(4, 8),
        env=TOKEN,
        leaks=True,
    ),
    "a server that breaks, login": Scene(
        args=("--tracking-uri", "http://{host}", *ALL, "--execute", *EXPORTS, "-v"),
        codes=(4, 8),
        env=LOGIN,
        leaks=True,
        small=True,
    ),
    "a broken server": Scene(
        args=("--tracking-uri", BROKEN, *ALL, "-v"), codes=(4,), leaks=True, small=True
    ),
    "a broken server, token": Scene(
        program=LAB,
        args=("runs", "--tracking-uri", "http://{broken}", *ALL, "-v", "--json"),
        codes=(4,),
        env=TOKEN,
        leaks=True,
    ),
    "a broken server, login": Scene(
        program=LAB,
        args=("doctor", "--tracking-uri", "http://{broken}", "--verbose"),
        codes=(4,),
        env=LOGIN,
        leaks=True,
    ),
    "a broken server, credentials file": Scene(
        args=("--tracking-uri", "http://{broken}", *ALL, "-v"), codes=(4,), filed=True, leaks=True
    ),
    "a server that breaks, credentials file": Scene(
        args=("--tracking-uri", "http://{host}", *ALL, *EVERYTHING),
        codes=(4, 8),
        filed=True,
        leaks=True,
    ),
    "doctor": Scene(program=LAB, args=("doctor", "--tracking-uri", BROKEN), codes=(4,), leaks=True),
    "doctor, JSON": Scene(
        program=LAB,
        args=("doctor", "--tracking-uri", BROKEN, "--json"),
        codes=(4,),
        leaks=True,
    ),
    "doctor, a database": Scene(
        program=LAB, args=("doctor", "--tracking-uri", PG, "--json"), codes=(3, 4)
    ),
    "a database that is down": Scene(args=("--tracking-uri", PG, *ALL, "-v"), codes=(3, 4)),
    "another database": Scene(args=("--tracking-uri", MYSQL, *ALL, "-v"), codes=(3, 4)),
    "no URI": Scene(
        args=("--tracking-uri", "http://ann:{password of an http URI}@h:x", *ALL, "-v"), codes=(2,)
    ),
    "config": Scene(program=LAB, args=("config",), codes=(0,), prepare=configured(PG), small=True),
    "config, JSON": Scene(
        program=LAB,
        args=("config", "--json"),
        codes=(0,),
        prepare=configured(MYSQL),
        env={"MLFLOW_TRACKING_URI": PG, "QUALIA_TITLE": "x"},
    ),
    "config of the environment": Scene(
        program=LAB, args=("config",), codes=(0,), env={"QUALIA_TRACKING_URI": HTTP}
    ),
    "a server of the project": Scene(
        args=(*ALL, "-v"), codes=(2,), prepare=configured(HTTP), env={**TOKEN, **LOGIN}
    ),
    "an experiment that repeats a key": Scene(
        args=(*STORE, *ALL, "-v"),
        codes=(1,),
        prepare=repeating("OPENAI_API_KEY"),
        leaks=True,
        small=True,
    ),
    "an experiment that repeats a cloud key": Scene(
        args=(*STORE, *ALL, "--execute", *EXPORTS, "--json"),
        codes=(1,),
        prepare=repeating("AWS_SECRET_ACCESS_KEY"),
        leaks=True,
    ),
    "a title that repeats a key": Scene(
        args=(*STORE, *ALL, "--title", CANARIES["AWS_SESSION_TOKEN"]), codes=(1,), leaks=True
    ),
    "a person's notebook": Scene(
        program=LAB,
        args=("export", "person.ipynb", "--to", "html", "--to", "markdown", "--json", "-v"),
        codes=(1,),
        prepare=printed_by_a_person,
        leaks=True,
    ),
    "a person's notebook, PDF": Scene(
        program=LAB,
        args=("export", "person.ipynb", "--to", "pdf"),
        codes=(1, 3),
        prepare=printed_by_a_person,
        leaks=True,
    ),
}
PLAYED = [name for name, scene in SCENES.items() if FULL or scene.small]
LEAKING = [name for name, scene in SCENES.items() if scene.leaks and (FULL or scene.small)]

pytestmark = [
    pytest.mark.torture("secrets"),
    pytest.mark.xdist_group("server"),
    pytest.mark.timeout(600),
]


@pytest.fixture
def world(migrated: Path) -> Iterator[World]:
    """A world with a store whose runs bring secrets of others along."""
    # Chromium's sockets lie in the temp folder, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="c-", dir="/tmp") as folder:
        yield _filled_world(Path(folder), migrated)


def _filled_world(folder: Path, migrated: Path) -> World:
    made = World.below(folder)
    shutil.copy(migrated, made.work / "mlflow.db")
    fill_store(made.work / "mlflow.db")
    return made


def fill_store(path: Path) -> None:
    """Runs as MLflow notes them: with presigned URLs and logins where it puts them by itself."""
    signed = "https://bucket.s3.amazonaws.com/{}?X-Amz-Credential=AKIA&X-Amz-Signature={}"
    login = f"https://ann:{escaped('login of an artifact URI')}@host.invalid/artifacts"
    remote = f"https://ci:{escaped('login of a git remote')}@git.invalid/team/x.git"
    places = (signed.format("a", CANARIES["signature of a presigned artifact URI"]), login, "")
    fill(
        path,
        [
            Run(
                run_id=run_id(number),
                name=f"r{number}",
                artifact_uri=place,
                params={"lr": f"0.{number}"},
                metrics={"loss": curve([1.0, 0.5 + number])},
                tags={
                    "mlflow.source.git.repoURL": remote,
                    "mlflow.source.git.commit": "c0ffee" * 6,
                    "mlflow.source.name": "train.py",
                },
            )
            for number, place in enumerate(places)
        ],
    )
    source = signed.format("d.csv", CANARIES["signature of a data set's source"])
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type,"
            " dataset_source, dataset_schema, dataset_profile)"
            " VALUES ('d1', 1, 'prices', 'abc', 'http', ?, '{}', '{}')",
            (json.dumps({"url": source, "uri": source}),),
        )
        db.execute(
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type,"
            " destination_id) VALUES ('i1', 'DATASET', 'd1', 'RUN', ?)",
            (run_id(0),),
        )


@contextlib.contextmanager
def playing(
    scene: Scene, world: World, server: str, *, gate: bool
) -> Iterator[tuple[Done, list[Path]]]:
    """The command of a scene, come to its end, and the files that were planted for it."""
    planted = [world.work / "mlflow.db", *scene.prepare(world.work)]
    planted += [world.credentials()] if scene.filed else []
    is_written = (world.work / "notebooks").exists
    with (
        canaries.telling_proxy(server, is_written) as host,
        canaries.telling_proxy(server, lambda: True) as broken,
    ):
        places = {"host": host, "broken": broken, "closed": str(free_port())}
        env = {name: filled(value, **places) for name, value in scene.env.items()}
        yield (
            command(
                *(filled(one, **places) for one in scene.args),
                cwd=world.work,
                program=scene.program,
                env=world.environment(gate=gate, **env),
            ),
            planted,
        )


@pytest.mark.parametrize("name", PLAYED)
def test_no_secret_is_in_what_a_command_leaves(
    name: str, world: World, server: str, saw: Saw
) -> None:
    scene = SCENES[name]
    with playing(scene, world, server, gate=True) as (done, planted):
        assert done.code in scene.codes, done.err
        hits = world.hits({"stdout": done.out, "stderr": done.err}, planted)
    assert hits == []
    saw(canaries=0, scenes=1, files_and_streams=world.files() + 2, hits=0)


@pytest.mark.parametrize("name", LEAKING)
def test_without_the_gate_the_same_search_finds(
    name: str, world: World, server: str, saw: Saw
) -> None:
    with playing(SCENES[name], world, server, gate=False) as (done, planted):
        hits = world.hits({"stdout": done.out, "stderr": done.err}, planted)
    assert hits, done
    saw(hits_without_the_gate=len(hits))


def test_every_spelling_is_found(saw: Saw) -> None:
    import base64

    for name, canary in CANARIES.items():
        for before in ("", "a", "ab", "ann:"):
            for after in ("", "x", "xy"):
                text = base64.b64encode(f"{before}{canary}{after}".encode())
                assert [one.canary for one in canaries.search("x", text)] == [name]
        for spelling in canaries.spellings_of(canary):
            assert [one.canary for one in canaries.search("x", spelling.encode())] == [name]
    assert len(CANARIES) >= 12
    saw(canaries=len(CANARIES))
