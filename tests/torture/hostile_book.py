"""Notebooks in which every payload stands in every place: what others logged of runs, executed, and
what a person's own cells show."""

from __future__ import annotations

import atexit
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import browser
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from payloads import PAYLOADS, numbered
from PIL import Image
from stores import T0, Run, curve, fill_all, run_id
from torture_table import FULL, size

from qualia_lab import ArtifactExplorer, NotebookGenerator
from qualia_lab.model import Query, Selection
from qualia_lab.notebook.catalogue import Catalogue, bundled
from qualia_lab.notebook.execute import execute
from qualia_lab.notebook.generator import answers

LOGGED = (
    *("experiment", "run name", "param key", "param value", "tag key", "tag value", "note"),
    *("metric key", "data set", "artifact"),
)
SHOWN = (
    *("HTML", "Markdown output", "SVG", "plain text", "stdout", "stderr", "traceback"),
    *("Markdown cell", "heading", "code"),
)
PLACES = (*LOGGED, *SHOWN)


USED = range(0, len(PAYLOADS), size(23, full=1))


@dataclass(kw_only=True)
class Books:
    """Executed notebooks of what was logged and of what is shown, and a server that is listened to.

    ``asked`` is what came there.
    """

    logged: NotebookNode
    shown: NotebookNode
    url: str
    asked: list[str]


@cache
def books(migrated: Path, folder: Path) -> Books:
    """Both books, about all the payloads that are used; made once for whoever asks first."""
    server = ExitStack()
    atexit.register(server.close)
    url, asked = server.enter_context(browser.canary())
    database = Path(shutil.copy(migrated, folder / "mlflow.db"))
    book = logged(list(USED), url, database)
    return Books(logged=book, shown=shown(list(USED), url), url=url, asked=asked)


def logged(places: Sequence[int], url: str, database: Path) -> NotebookNode:
    """The notebook about a run for each payload, executed; each run has an experiment of its own.

    It has a section for every run, where the bundled kind has 20.
    """
    fill(places, url, database)
    folder = database.parent / "templates"
    (folder / "observation").mkdir(parents=True)
    manifest = (bundled() / "observation" / "kind.toml").read_text(encoding="utf-8")
    more = re.sub(r"(?m)^most +=.*$", "most = 100000", manifest)
    (folder / "observation" / "kind.toml").write_text(more, encoding="utf-8")
    explorer = ArtifactExplorer(f"sqlite:///{database}")
    ids = tuple(str(place + 1) for place in places)
    runs = explorer.load(Query(experiment_ids=ids))
    generator = NotebookGenerator(Catalogue([folder]))
    selection = Selection(
        tracking_uri=explorer.tracking_uri,
        experiments=tuple(runs.experiments.values()),
        run_ids=tuple(runs.runs.index),
        of_runs=len(runs),
        sections=() if FULL else ("overview", "run", "exploration"),
        parameters=answers(generator.catalogue.kind("observation"), {}, runs),
        title=_armed(places[0], "experiment", url),
        output=database.parent / "n.ipynb",
    )
    notebook = generator.generate(selection, runs)
    failure = execute(notebook, database.parent)
    assert failure is None, failure
    return notebook


def shown(places: Sequence[int], url: str) -> NotebookNode:
    """A notebook of a person in which payloads are what cells show, and what stands in cells."""
    cells = [new_markdown_cell("# Shown")]
    for place in places:
        cells += _cells(place, url)
    notebook = new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    nbformat.validate(notebook)
    return notebook


def in_place(place: int, slot: str, url: str) -> str:
    """The text of a payload in a place. A name of a file has no slash; to browsers the other one is
    as good."""
    text = _armed(place, slot, url)
    return text.replace("/", "\\") if slot == "artifact" else text


def _armed(place: int, slot: str, url: str) -> str:
    return PAYLOADS[place].armed(numbered(place, PLACES.index(slot)), url)


def fill(places: Sequence[int], url: str, database: Path) -> None:
    """A run for each payload, in an experiment of its own, with the payload in each place."""
    fill_all(
        database,
        {(place + 1, in_place(place, "experiment", url)): [_run(place, url)] for place in places},
    )
    with closing(sqlite3.connect(database)) as db:
        for place in places:
            key = f"data-{place}"
            db.execute(
                "INSERT INTO datasets (dataset_uuid, experiment_id, name, digest,"
                " dataset_source_type, dataset_source) VALUES (?, ?, ?, 'digest', 'local', '{}')",
                (key, place + 1, in_place(place, "data set", url)),
            )
            db.execute(
                "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type,"
                " destination_id) VALUES (?, 'DATASET', ?, 'RUN', ?)",
                (f"input-{place}", key, run_id(place)),
            )
        db.commit()
    for place in places:
        folder = database.parent / "artifacts" / run_id(place) / "artifacts"
        folder.mkdir(parents=True)
        name = in_place(place, "artifact", url)
        Image.new("RGB", (8, 8), "red").save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(name, encoding="utf-8")


def _run(place: int, url: str) -> Run:
    text = {slot: in_place(place, slot, url) for slot in LOGGED}
    return Run(
        run_id=run_id(place),
        name=text["run name"],
        started=T0 + place * 1000,
        params={text["param key"]: "1", "p": text["param value"]},
        metrics={text["metric key"]: curve([1.0, 0.5]), "loss": curve([1 / (place + 1)])},
        tags={
            text["tag key"]: "1", "t": text["tag value"], "mlflow.note.content": text["note"],
        },
    )  # fmt: skip


def _cells(place: int, url: str) -> Iterator[NotebookNode]:
    text = {slot: _armed(place, slot, url) for slot in SHOWN}
    script = f"console.log({numbered(place, PLACES.index('SVG'))})"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><script>{script}</script>{text["SVG"]}</svg>'
    outputs = [
        new_output("display_data", {"text/html": f"<div>{text['HTML']}</div>"}),
        new_output("display_data", {"text/markdown": text["Markdown output"]}),
        new_output("display_data", {"image/svg+xml": svg, "text/plain": text["plain text"]}),
        new_output("display_data", {"application/javascript": script, "text/vnd.mermaid": script}),
        new_output("stream", name="stdout", text=text["stdout"]),
        new_output("stream", name="stderr", text=text["stderr"]),
        new_output("error", ename="E", evalue="", traceback=[text["traceback"]]),
    ]
    yield new_markdown_cell(text["Markdown cell"])
    yield new_markdown_cell(f"## {' '.join(text['heading'].split())}")
    yield new_code_cell(text["code"], outputs=outputs, execution_count=1)
