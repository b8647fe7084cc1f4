"""Notebooks as files: their recipe, their bytes, how they are written and run."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from conftest import BIN, ROOT
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from stores import T0, Run, curve, fill, run_id

import qualia_lab
from qualia_lab import ArtifactExplorer, NotebookGenerator, __version__, analysis
from qualia_lab.errors import OutputError, QualiaError, TooFewRunsError, UsageError
from qualia_lab.model import Query, RunSet, Selection
from qualia_lab.notebook import cells
from qualia_lab.notebook.execute import execute
from qualia_lab.notebook.generator import answers, is_edited
from qualia_lab.notebook.write import write_notebook


def runs_of(store: Path, count: int) -> tuple[str, RunSet]:
    """A store with some runs, and those runs."""
    metrics = {"val_loss": curve([1.0, 0.5]), "accuracy": curve([0.5, 0.75])}
    fill(store, [Run(run_id=run_id(i), name=f"r{i}", metrics=metrics) for i in range(count)])
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.tracking_uri, explorer.load(Query(experiment_ids=("1",)))


def selection_of(uri: str, runs: RunSet, **changes: object) -> Selection:
    """A selection of all these runs."""
    kind = NotebookGenerator().catalogue.kind("observation")
    fields: dict[str, object] = {
        "tracking_uri": uri,
        "run_ids": tuple(runs.runs.index),
        "parameters": answers(kind, {}, runs),
        "output": Path("n.ipynb"),
    }
    return Selection(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def two_runs(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RunSet]:
    """Two runs in a store of their own."""
    store = Path(shutil.copy(migrated, tmp_path_factory.mktemp("two") / "mlflow.db"))
    return runs_of(store, 2)


@pytest.fixture
def notebook(two_runs: tuple[str, RunSet]) -> NotebookNode:
    """A notebook about two runs."""
    uri, runs = two_runs
    return NotebookGenerator().generate(selection_of(uri, runs), runs)


def test_the_recipe_is_in_the_metadata(two_runs: tuple[str, RunSet]) -> None:
    uri, runs = two_runs
    selection = selection_of(uri, runs, experiments=("exp",), title="T", of_runs=9)
    recipe = NotebookGenerator().generate(selection, runs).metadata.qualia_lab
    assert recipe == {
        "version": __version__,
        "kind": "observation",
        "title": "T",
        "parameters": {
            "metric": "val_loss",
            "direction": None,
            "baseline": None,
            "group": None,
            "x_axis": "step",
            "at_step": None,
            "smoothing": 0.0,
        },
        "selection": {
            "tracking_uri": uri,
            "experiments": ["exp"],
            "run_ids": list(runs.runs.index),
            "of_runs": 9,
            "sections": [],
            "also": [],
        },
    }


def test_chosen_sections_bring_what_they_build_on(two_runs: tuple[str, RunSet]) -> None:
    uri, runs = two_runs
    plan = NotebookGenerator().plan(selection_of(uri, runs, sections=("comparison",)), runs)
    names = [planned.section.name for planned in plan]
    assert names == ["title", "setup", "parameters", "loading", "comparison"]
    with pytest.raises(UsageError, match="no section comparsion") as caught:
        NotebookGenerator().plan(selection_of(uri, runs, sections=("comparsion",)), runs)
    assert caught.value.hint.startswith("known: comparison, ")


def test_one_run_has_a_cell_that_says_what_a_comparison_needs(empty_store: Path) -> None:
    uri, runs = runs_of(empty_store, 1)
    made = NotebookGenerator().generate(selection_of(uri, runs), runs)
    (said,) = [cell.source for cell in made.cells if cell.id.startswith("missing")]
    # Sections that lack the same are named together.
    (line,) = [line for line in said.splitlines() if "**Comparison" in line]
    assert said.partition(line)[2].startswith("\n  A comparison needs two runs or more")
    assert not [cell for cell in made.cells if cell.id.startswith("comparison")]


def test_what_is_typed_may_be_no_utf8(two_runs: tuple[str, RunSet], tmp_path: Path) -> None:
    uri, runs = two_runs
    selection = selection_of(uri, runs, kind="drift", title="\udcff", experiments=("\udcff",))
    selection = replace(selection, parameters={**selection.parameters, "label": "\udcff"})
    made = NotebookGenerator().generate(selection, runs)
    write_notebook(made, tmp_path / "n.ipynb")
    assert made.metadata.qualia_lab.parameters["label"] == "\ufffd"
    (parameters,) = [one for one in made.cells if "parameters" in one.metadata.get("tags", ())]
    assert r"label = '\udcff'" in parameters.source.splitlines()


def test_no_runs_make_no_notebook(empty_store: Path) -> None:
    uri, runs = runs_of(empty_store, 0)
    with pytest.raises(TooFewRunsError):
        NotebookGenerator().generate(selection_of(uri, runs), runs)


def many(store: Path) -> tuple[str, RunSet, Query]:
    """501 runs that a query gave."""
    fill(store, [Run(run_id=run_id(i), started=T0 + i * 1000) for i in range(501)])
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    query = Query(experiment_ids=("1",))
    return explorer.tracking_uri, explorer.load(query), query


def test_past_500_runs_the_notebook_holds_the_query(empty_store: Path) -> None:
    uri, runs, query = many(empty_store)
    made = NotebookGenerator().generate(selection_of(uri, runs, query=query), runs)
    wanted = {"experiment_ids": ["1"], "until": T0 + 500_000, "matched": 501}
    cell = next(c.source for c in made.cells if "parameters" in c.metadata.get("tags", []))
    assert f"run_ids = {cells.literal(wanted)}" in cell
    assert made.metadata.qualia_lab.selection.run_ids == wanted
    assert run_id(7) not in cell

    again = qualia_lab.load(uri, wanted)
    assert list(again.runs.index) == list(runs.runs.index)
    assert again.coverage == runs.coverage

    # A later run stays out; one that is gone is noticed.
    fill(empty_store, [Run(run_id=run_id(900), started=T0 + 900_000)], experiment_id=2, name="b")
    with sqlite3.connect(empty_store) as db:
        db.execute("UPDATE runs SET experiment_id = 1 WHERE experiment_id = 2")
        db.execute("DELETE FROM runs WHERE run_uuid = ?", (run_id(3),))
    db.close()
    changed = qualia_lab.load(uri, wanted)
    assert len(changed) == 500
    said = "500 runs match now; 501 did when this notebook was made"
    assert changed.coverage.warnings == (said,)
    assert said in repr(analysis.first_look(changed))


def test_up_to_500_runs_and_those_named_one_by_one_are_listed(empty_store: Path) -> None:
    uri, runs, query = many(empty_store)
    named = NotebookGenerator().generate(selection_of(uri, runs), runs)
    assert named.metadata.qualia_lab.selection.run_ids == list(runs.runs.index)
    fewer = ArtifactExplorer(uri).load(replace(query, top=500))
    made = NotebookGenerator().generate(selection_of(uri, fewer, query=query), fewer)
    assert made.metadata.qualia_lab.selection.run_ids == list(fewer.runs.index)


@pytest.mark.parametrize("wanted", [{"experiments": ["1"]}, {"filter": "x", "until": 5, "a": 1}])
def test_a_query_with_an_unknown_key_is_refused(
    wanted: dict[str, object], empty_store: Path
) -> None:
    with pytest.raises(UsageError, match="a query has no"):
        qualia_lab.load(f"sqlite:///{empty_store}", wanted)


def test_the_bytes_do_not_depend_on_hash_seed_time_zone_or_locale(empty_store: Path) -> None:
    runs_of(empty_store, 3)
    command = [BIN / "create-observation-notebook", "--all", "--no-input", "--overwrite"]
    command += ["-o", "n.ipynb", "-q"]
    made = set()
    for seed, zone, locale in (("0", "UTC", "C"), ("1", "Asia/Tokyo", "C.UTF-8")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale}
        subprocess.run(command, cwd=empty_store.parent, env=env, check=True, capture_output=True)
        made.add((empty_store.parent / "n.ipynb").read_bytes())
    assert len(made) == 1
    text = made.pop().decode()
    assert text.endswith("}\n")
    assert str(empty_store.parent) not in text


def test_a_kernel_of_papermill_reruns_it_with_other_parameters(
    two_runs: tuple[str, RunSet], notebook: NotebookNode, tmp_path: Path
) -> None:
    write_notebook(notebook, tmp_path / "n.ipynb")
    command = [sys.executable, "-m", "papermill", "n.ipynb", "out.ipynb", "-p", "metric"]
    subprocess.run([*command, "accuracy"], cwd=tmp_path, check=True, capture_output=True)
    ran = (tmp_path / "out.ipynb").read_text()
    assert "Best: accuracy" in ran
    assert "Best val_loss" not in ran


def test_an_existing_file_is_kept(notebook: NotebookNode, tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        write_notebook(notebook, path)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_overwriting_keeps_what_a_person_edited(notebook: NotebookNode, tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    write_notebook(notebook, path)
    assert write_notebook(notebook, path, overwrite=True) is None
    edited = nbformat.read(path, as_version=4)
    edited.cells[-1].source = "my work"
    nbformat.write(edited, path)
    before = path.read_bytes()

    backup = write_notebook(notebook, path, overwrite=True)

    assert backup == tmp_path / "n.ipynb.bak"
    assert backup.read_bytes() == before
    nbformat.write(edited, path)
    assert write_notebook(notebook, path, overwrite=True) == tmp_path / "n.ipynb.bak2"
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "n.ipynb",
        "n.ipynb.bak",
        "n.ipynb.bak2",
    ]


def test_outputs_alone_are_no_edit_and_other_files_are(notebook: NotebookNode) -> None:
    assert not is_edited(notebook)
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    code.outputs = [nbformat.v4.new_output("stream", text="x")]
    assert not is_edited(notebook)
    notebook.cells.append(new_markdown_cell("mine"))
    assert is_edited(notebook)
    assert is_edited(new_notebook())


def test_a_temp_file_of_a_process_that_died_is_swept(
    notebook: NotebookNode, tmp_path: Path
) -> None:
    writing = (
        "import os, pathlib, sys, time\n"
        "from qualia_lab import files\n"
        "os.fsync = lambda descriptor: (print(flush=True), time.sleep(60))\n"
        "files.put(pathlib.Path(sys.argv[1]), b'half', overwrite=True)\n"
    )
    command = [sys.executable, "-c", writing, tmp_path / "other.html"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as dead,
        subprocess.Popen(command, stdout=subprocess.PIPE) as alive,
    ):
        for one in (dead, alive):
            assert one.stdout is not None
            one.stdout.readline()
        assert len(list(tmp_path.glob(".*"))) == 2
        dead.kill()
        dead.wait()
        write_notebook(notebook, tmp_path / "n.ipynb")
        # What another process is writing is left alone.
        assert len(list(tmp_path.glob(".*"))) == 1
        alive.kill()
    write_notebook(notebook, tmp_path / "n.ipynb", overwrite=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "n.ipynb"]


def test_a_place_that_cannot_be_written_is_an_output_error(
    notebook: NotebookNode, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't be written"):
        write_notebook(notebook, tmp_path / "file" / "n.ipynb")


def test_a_secret_stops_the_writing(
    notebook: NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2-and-more")
    notebook.cells[0].source += " hunter2-and-more"
    with pytest.raises(QualiaError, match="would hold a password"):
        write_notebook(notebook, tmp_path / "n.ipynb")
    assert not list(tmp_path.iterdir())


def test_the_cell_that_fails_is_named(tmp_path: Path) -> None:
    made = new_notebook(
        cells=[
            new_code_cell("a = 1"),
            new_markdown_cell("## Over&#95;view"),
            new_code_cell("print(a)"),
            new_code_cell("1 / 0"),
            new_code_cell("print('never')"),
        ]
    )
    seen: list[tuple[int, int, str]] = []
    failure = execute(made, tmp_path, lambda *now: seen.append(now))
    assert failure is not None
    assert (failure.number, failure.of, failure.heading) == (3, 4, "Over_view")
    assert failure.error == "ZeroDivisionError: division by zero"
    assert seen == [(1, 4, ""), (2, 4, "Over_view"), (3, 4, "Over_view")]
    assert made.cells[2].outputs[0].text == "1\n"
    assert made.cells[4].outputs == []


def test_the_kernel_ends_in_order(tmp_path: Path) -> None:
    """What a cell registered for the end runs; the kernel's own setup leaves no name behind."""
    sources = [
        "print('gc' in dir())",
        "import atexit, pathlib\n"
        "_ = atexit.register(lambda: pathlib.Path('end').write_text('ran'))",
    ]
    made = new_notebook(cells=[new_code_cell(one) for one in sources])
    assert execute(made, tmp_path) is None
    assert made.cells[0].outputs[0].text == "False\n"
    assert (tmp_path / "end").read_text() == "ran"


def test_a_kernel_that_dies_is_a_failure(tmp_path: Path) -> None:
    made = new_notebook(cells=[new_code_cell("import os; os._exit(3)")])
    failure = execute(made, tmp_path)
    assert failure is not None
    assert "Kernel died" in failure.error


def test_without_the_package_the_setup_cell_says_how_to_install_it(
    notebook: NotebookNode,
) -> None:
    setup = next(
        c.source for c in notebook.cells if c.id.startswith("setup") and c.cell_type == "code"
    )
    command = [sys.executable, "-S", "-c", setup]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.stderr.strip().endswith(
        "ModuleNotFoundError: This notebook needs qualia-lab: %pip install qualia-lab"
    )


def test_nbstripout_leaves_the_notebook_as_it_was_generated(
    notebook: NotebookNode, tmp_path: Path
) -> None:
    path = tmp_path / "n.ipynb"
    write_notebook(notebook, path)
    before = path.read_bytes()
    execute(notebook, tmp_path)
    write_notebook(notebook, path, overwrite=True)
    assert path.read_bytes() != before
    subprocess.run([BIN / "nbstripout", "--keep-id", path], check=True, capture_output=True)
    assert json.loads(path.read_bytes()) == json.loads(before)


def test_a_wheel_works_from_another_folder(tmp_path: Path, two_runs: tuple[str, RunSet]) -> None:
    """Build it, install it into a fresh environment, and generate from elsewhere."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    install = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install"]
    subprocess.run([*install, "--no-deps", "--quiet", wheel], check=True, capture_output=True)
    # What it depends on comes from this environment, after the fresh one on the path.
    (site,) = venv.glob("lib/python*/site-packages")
    (own,) = {Path(nbformat.__file__).parents[1]}
    (site / "dependencies.pth").write_text(f"{own}\n")
    uri, _ = two_runs
    command = [venv / "bin" / "create-observation-notebook", "--tracking-uri", uri]
    command += ["--all", "--no-input", "-o", "n.ipynb"]
    where = "import qualia_lab, qualia_lab.notebook.catalogue as c; print(c.bundled())"
    found = subprocess.run(
        [venv / "bin" / "python", "-c", where], cwd=tmp_path, capture_output=True, text=True
    )
    assert found.stdout.strip() == str(site / "qualia_lab" / "templates")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert is_edited(nbformat.read(tmp_path / "n.ipynb", as_version=4)) is False
