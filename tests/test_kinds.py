"""The contract of every kind in the catalogue, on every sort of data: it runs."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest
from cases import CASES, write_case
from conftest import BIN, ROOT
from nbformat import NotebookNode

from qualia_lab import ArtifactExplorer, NotebookGenerator
from qualia_lab.model import Query, RunSet, Selection
from qualia_lab.notebook import cells
from qualia_lab.notebook.catalogue import Catalogue, bundled
from qualia_lab.notebook.execute import execute
from qualia_lab.notebook.generator import answers
from qualia_lab.notebook.write import write_notebook

GOLDEN = Path(__file__).parent / "golden"
KINDS = Catalogue().names()
SECTIONS = sorted(bundled().glob("*/*.py.j2"))


@pytest.fixture(scope="session")
def stores(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each case's store."""
    found = {}
    for case in CASES:
        folder = tmp_path_factory.mktemp(case)
        write_case(case, Path(shutil.copy(migrated, folder / "mlflow.db")))
        found[case] = folder
    return found


def generated(kind: str, folder: Path) -> tuple[NotebookNode, Selection, RunSet]:
    """The notebook of a kind about all runs of the experiment of a case."""
    explorer = ArtifactExplorer("sqlite:///mlflow.db")
    runs = explorer.load(Query(experiment_ids=("1",)))
    generator = NotebookGenerator()
    selection = Selection(
        tracking_uri=explorer.tracking_uri,
        run_ids=tuple(runs.runs.index),
        of_runs=len(runs),
        kind=kind,
        parameters=answers(generator.catalogue.kind(kind), {}, runs),
        output=Path("notebook.ipynb"),
    )
    return generator.generate(selection, runs), selection, runs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_a_kind_writes_a_valid_notebook_that_runs(
    kind: str, case: str, stores: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(stores[case], folder, symlinks=True)
    monkeypatch.chdir(folder)
    notebook, selection, _ = generated(kind, folder)
    nbformat.validate(notebook)
    _check_shape(notebook)
    _check_golden(notebook, f"{kind}-{case}")
    write_notebook(notebook, selection.output)
    _check_names(selection.output)
    again, _, _ = generated(kind, folder)
    assert nbformat.writes(again) == nbformat.writes(notebook)

    failure = execute(notebook, folder)

    assert failure is None
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text")
    assert len(nbformat.writes(notebook)) < 2_000_000


def _check_shape(notebook: NotebookNode) -> None:
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    headings = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("# ")
    ]
    assert len(headings) == 1
    parameters = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(parameters) == 1
    assigned: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            assigned += [
                target.id
                for node in tree.body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            ]
    assert len(set(assigned)) == len(assigned)
    assert notebook.nbformat_minor == 5
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.kernelspec.language == "python"


def _check_golden(notebook: NotebookNode, name: str) -> None:
    """The notebook as text equals the golden file; QUALIA_GOLDEN=write makes it anew to be read."""
    text = jupytext.writes(notebook, fmt="py:percent").partition("# %%")[2]
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("QUALIA_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


def _check_names(path: Path) -> None:
    command = [BIN / "ruff", "check", "--isolated", "--select", "F821,F811,E9", path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_splitting_agrees_with_jupytext(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    expected = [
        (cell.cell_type, cell.source, tuple(cell.metadata.get("tags", ())))
        for cell in jupytext.reads(text, fmt="py:percent").cells
    ]
    ours = [(cell.type, cell.source, cell.tags) for cell in cells.split(text, path.name)]
    assert ours == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_manifest_names_every_section_of_its_folder(kind: str) -> None:
    folder = bundled() / kind
    named = {section.file for section in Catalogue().kind(kind).sections}
    present = {path.name.removesuffix(".py.j2") for path in folder.glob("*.py.j2")}
    assert present <= named
    assert {path.name for path in folder.iterdir()} == {"kind.toml"} | {
        f"{name}.py.j2" for name in present
    }


def test_no_shared_section_is_orphaned() -> None:
    used = {section.file for kind in KINDS for section in Catalogue().kind(kind).sections}
    present = {
        f"_shared/{path.name.removesuffix('.py.j2')}" for path in SECTIONS if "_shared" in str(path)
    }
    stand_ins = {"_shared/missing", "_shared/more"}
    guide = (ROOT / "templates" / "README.md").read_text(encoding="utf-8")
    used |= set(re.findall(r'\{file="(_shared/\w+)"\}', guide))  # a test writes that kind
    assert present == {name for name in used if name.startswith("_shared/")} | stand_ins


def test_the_wheel_holds_the_templates(tmp_path: Path) -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        build = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert build["force-include"] == {"templates": "qualia_lab/templates"}
