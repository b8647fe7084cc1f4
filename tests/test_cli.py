"""The commands as a person runs them: real processes on a real store and a real server."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from commands import CREATE, DEMO, Done, command, environment, in_process, tree
from conftest import BIN
from nbformat import NotebookNode
from stores import T0, Run, curve, fill

from qualia_lab import __version__
from qualia_lab.cli.main import main as qualia_lab

OTHER = "other project"
# Two that begin with the same four characters, then one of its own; newest last.
TWINS = ("abcd0" + "0" * 27, "abcd1" + "1" * 27)
THIRD = "beef" + "2" * 28
FIRST_OUTPUT = Path("notebooks/observation-qualia-demo.ipynb")


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with a store: the demo runs (experiment 1) and three small ones (experiment 7)."""

    folder: Path
    demo_ids: list[str]

    def path(self, name: str | Path) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def project(demo_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    path = Path(shutil.copy(demo_store, folder / "mlflow.db"))
    runs = [
        Run(
            run_id=run_id,
            name=f"small {number}",
            started=T0 + number,
            params={"lr": f"0.{number}"},
            metrics={"val_loss": curve([1.0, 0.5 - number / 10]), "accuracy": curve([0.5, 0.75])},
        )
        for number, run_id in enumerate((*TWINS, THIRD))
    ]
    fill(path, runs, experiment_id=7, name=OTHER)
    with sqlite3.connect(path) as db:
        newest_first = "SELECT run_uuid FROM runs WHERE experiment_id = 1 ORDER BY start_time DESC"
        ids = [run_id for (run_id,) in db.execute(newest_first)]
    db.close()
    return Project(folder=folder, demo_ids=ids)


@pytest.fixture(scope="module")
def first(project: Project) -> Done:
    """MLflow's own default store, the default output, nothing said but which runs."""
    return command("--experiment", "qualia-demo", "--all", cwd=project.folder)


def read(path: Path) -> NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def parameters(notebook: NotebookNode) -> dict[str, Any]:
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    values: dict[str, Any] = {}
    exec(cell.source, values)
    return values


def outputs(notebook: NotebookNode) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_the_default_store_and_the_default_output(project: Project, first: Done) -> None:
    assert first.code == 0, first.err
    assert first.out == f"{FIRST_OUTPUT}\n"
    assert f"jupyter lab {FIRST_OUTPUT}" in first.err
    notebook = read(project.path(FIRST_OUTPUT))
    assert parameters(notebook)["run_ids"] == project.demo_ids
    assert parameters(notebook)["tracking_uri"] == "sqlite:///../mlflow.db"
    assert outputs(notebook) == []


def test_the_printed_command_makes_the_same_bytes_again(project: Project, first: Done) -> None:
    path = project.path(FIRST_OUTPUT)
    before, file = path.read_bytes(), path.stat().st_ino
    program, *args = shlex.split(first.again)
    env = {"PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu", "LC_ALL": "C"}
    again = command(*args, program=program, cwd=project.folder, env=env)
    assert again.code == 0, again.err
    assert path.read_bytes() == before
    assert path.stat().st_ino != file
    assert again.again == first.again


def test_overwrite_keeps_an_edited_notebook_and_only_that(project: Project, first: Done) -> None:
    path = project.path("notebooks/mine.ipynb")
    args = ("--experiment", "qualia-demo", "--all", "-o", "notebooks/mine.ipynb", "--overwrite")
    backup = path.with_name("mine.ipynb.bak")
    original = project.path(FIRST_OUTPUT).read_bytes()
    path.write_bytes(original)
    untouched = command(*args, cwd=project.folder)
    assert (untouched.code, backup.exists()) == (0, False)
    edited = original.replace(b"## Overview", b"## My overview")
    assert edited != original
    path.write_bytes(edited)
    replaced = command(*args, cwd=project.folder)
    assert replaced.code == 0
    assert backup.read_bytes() == edited
    assert str(backup.relative_to(project.folder)) in replaced.err
    assert path.read_bytes() == original


def test_execute_runs_it_in_its_own_folder_and_json_is_one_object(project: Project) -> None:
    args = ["--tracking-uri", "sqlite:///mlflow.db", "--experiment", OTHER, "--all"]
    done = command(*args, "--execute", "--json", "-o", "a/b/run.ipynb", cwd=project.folder)
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    record = json.loads(done.out)
    assert record["path"] == "a/b/run.ipynb"
    assert record["kind"] == "observation"
    assert record["title"] == f"Observation: {OTHER}"
    assert (record["runs"], record["of_runs"], record["coverage"]["missing"]) == (3, 3, [])
    assert (record["coverage"]["loaded"], record["coverage"]["of"]) == (3, 3)
    assert (record["executed"], record["failed_cell"]) == (True, None)
    assert record["exports"] == []
    assert record["findings"] == []
    assert "--execute" in shlex.split(record["command"])
    notebook = read(project.path("a/b/run.ipynb"))
    assert record["cells"] == len(notebook.cells)
    assert parameters(notebook)["tracking_uri"] == "sqlite:///../../mlflow.db"
    assert {output.output_type for output in outputs(notebook)} <= {
        "display_data",
        "execute_result",
    }
    assert "small 2" in json.dumps(outputs(notebook))
    assert all(
        cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source
    )
    assert sorted(path.name for path in project.path("a/b").iterdir()) == ["run.ipynb"]


def test_no_grammar_that_jupyterlab_brought_is_built(project: Project, tmp_path: Path) -> None:
    """It takes longer than all the rest of the command."""
    (tmp_path / "rfc3987_syntax.py").write_text("raise RuntimeError('a grammar was built')\n")
    args = ["--run", THIRD, "-o", "light.ipynb"]
    done = command(*args, cwd=project.folder, env={"PYTHONPATH": str(tmp_path)})
    assert done.code == 0, done.err
    import_it = [sys.executable, "-c", "import nbformat"]
    env = environment({"PYTHONPATH": str(tmp_path)})
    found = subprocess.run(import_it, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert "a grammar was built" in found.stderr, "or this test can't fail"


def test_findings_are_in_the_json_object(project: Project) -> None:
    args = ["--experiment", "qualia-demo", "--all", "--json", "-o", "found.ipynb"]
    done = command(*args, cwd=project.folder)
    found = json.loads(done.out)["findings"]
    severities = ["error", "warning", "info"]
    assert {one["severity"] for one in found} <= set(severities)
    assert found == sorted(found, key=lambda one: severities.index(one["severity"]))
    assert {"digits-linear-rescaled failed", "digits-mlp-wide-seed0 has not ended"} <= {
        one["what"] for one in found
    }
    assert {one["run"] for one in found} <= set(project.demo_ids)
    assert all(one["evidence"] for one in found)


def test_a_notebook_that_fails_is_saved_and_exits_8(project: Project) -> None:
    folder = project.path("broken")
    folder.mkdir()
    (folder / "pandas.py").write_text("raise RuntimeError('a broken pandas')\n")
    args = ["--run", THIRD, "--execute", "--json", "-o", "broken/x.ipynb"]
    done = command(*args, cwd=project.folder)
    assert done.code == 8
    record = json.loads(done.out)
    assert (record["executed"], record["failed_cell"]) == (False, record["title"])
    assert f"under “{record['title']}”: RuntimeError: a broken pandas" in done.err
    assert "Traceback" not in done.err
    errors = [one for one in outputs(read(folder / "x.ipynb")) if one.output_type == "error"]
    assert [one.evalue for one in errors] == ["a broken pandas"]


def test_a_real_server_with_a_password_in_its_uri(server: str, tmp_path: Path) -> None:
    uri = server.replace("http://", "http://somebody:tops3cret-pw@")
    args = ["--tracking-uri", uri, "--experiment", "qualia-demo", "--top", "2", "--execute", "-v"]
    done = command(*args, "-o", "served.ipynb", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out == "served.ipynb\n"
    notebook = read(tmp_path / "served.ipynb")
    assert parameters(notebook)["tracking_uri"] == server
    assert len(parameters(notebook)["run_ids"]) == 2
    assert "error" not in {output.output_type for output in outputs(notebook)}
    said = done.out + done.err + (tmp_path / "served.ipynb").read_text()
    for secret in ("tops3cret", "somebody"):
        assert secret not in said


def test_runs_by_id_by_prefix_and_from_stdin(project: Project) -> None:
    lines = ["", "# chosen by hand", f"  {TWINS[0]}  # the first", THIRD[:6], "abcd0", ""]
    title = "soft\u00adhyphen \x85 \u202e \U000e0041"
    args = ["--run", TWINS[1], "--run", THIRD[:4], "--run", "-", "--title", title]
    before = tree(project.folder)
    done = command(
        *args, "--dry-run", "--json", cwd=project.folder, stdin="\ufeff" + "\n".join(lines)
    )
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["run_ids"] == [TWINS[1], THIRD, TWINS[0]]
    assert record["title"] == title
    assert record["of_runs"] == 3
    assert tree(project.folder) == before


def test_experiments_by_name_and_id_from_the_environments_server(
    project: Project, tmp_path: Path
) -> None:
    uri = f"sqlite:///{project.path('mlflow.db')}"
    args = ["--experiment", OTHER, "--experiment", "1", "--experiment", "7", "--all", "--dry-run"]
    done = command(*args, "--json", cwd=tmp_path, env={"MLFLOW_TRACKING_URI": uri})
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["run_ids"] == [*project.demo_ids, THIRD, TWINS[1], TWINS[0]]
    assert record["tracking_uri"] == uri
    assert record["of_runs"] == len(project.demo_ids) + 3
    assert tree(tmp_path) == {}


def test_a_flag_wins_over_the_environment_and_a_dry_run_says_what_would_be_written(
    project: Project,
) -> None:
    before = tree(project.folder)
    done = command(
        *["--tracking-uri", "sqlite:///mlflow.db", "--experiment", OTHER, "--dry-run"],
        *["--filter", "metrics.val_loss < 0.45", "--top", "1"],
        cwd=project.folder,
        env={"MLFLOW_TRACKING_URI": "sqlite:///not-there.db"},
    )
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == (
        "Would write notebooks/observation-other-project-newest-1-where-metrics.val_loss-0.45.ipynb"
    )
    assert "  runs   1 of 3" in lines
    assert "  - run" in lines
    assert any(line.startswith("  - comparison: says what is missing") for line in lines)
    assert tree(project.folder) == before


def test_filter_section_param_title_and_quiet(project: Project) -> None:
    done = command(
        *["--experiment", "7", "--filter", "metrics.val_loss < 0.45", "--quiet"],
        *["--section", "overview", "--section", "comparison", "--param", "metric=accuracy"],
        *["--title", "A *bold* one", "--output", "out/quiet.ipynb", "--no-input"],
        cwd=project.folder,
    )
    assert (done.code, done.out, done.err) == (0, "out/quiet.ipynb\n", "")
    notebook = read(project.path("out/quiet.ipynb"))
    values = parameters(notebook)
    assert values["run_ids"] == [THIRD, TWINS[1]]
    assert values["metric"] == "accuracy"
    assert notebook.cells[0].source.startswith("# A &#42;bold&#42; one\n")
    sections = list(
        dict.fromkeys(cell.metadata.qualia_lab.section.split("/")[-1] for cell in notebook.cells)
    )
    assert sections == ["title", "setup", "parameters", "loading", "overview", "comparison"]


@pytest.mark.parametrize("flag", ["-v", "-qv", "--verbose"])
def test_verbose_shows_the_traceback_of_an_error(flag: str, tmp_path: Path) -> None:
    args = ("--all", "--tracking-uri", "sqlite:///not-there.db")
    quiet = command(*args, cwd=tmp_path)
    loud = command(*args, flag, cwd=tmp_path)
    assert (quiet.code, loud.code) == (6, 6)
    assert loud.err.startswith("Traceback (most recent call last):")
    assert loud.err.endswith(quiet.err)


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        (
            "create",
            "--tracking-uri --experiment --run --all --filter --top --kind --section --param "
            "--title -o --output --overwrite --execute --no-input --dry-run --json -q -v",
        ),
        ("demo", "[N] --tracking-uri --experiment --seed --json -q -v"),
        ("main", "--version create demo"),
    ],
)
def test_help_names_every_flag_and_imports_nothing_heavy(
    module: str, flags: str, tmp_path: Path
) -> None:
    code = (
        f"import sys\nimport qualia_lab.cli.{module} as module\n"
        "sys.argv = ['command', '--help']\n"
        "try:\n    module.main()\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'mlflow', 'pandas', 'numpy', 'sklearn', 'matplotlib', 'questionary'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    words = done.stdout.replace(",", " ").split()
    assert [flag for flag in flags.split() if flag not in words] == []


def test_the_first_question_waits_for_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom qualia_lab.cli import console, create, flow\n"
        "def answers(self):\n"
        "    heavy = {'mlflow', 'pandas', 'numpy', 'sklearn', 'matplotlib', 'nbconvert'}\n"
        "    print(*sorted(heavy & set(sys.modules)), 'asked')\n"
        "    raise SystemExit\n"
        "flow.Interview.answers = answers\n"
        "sys.stdin.isatty = sys.stdout.isatty = sys.stderr.isatty = lambda: True\n"
        "sys.argv = ['command']\n"
        "create.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("asked\n", "")


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), (None, 0)])
def test_who_stops_a_command_does_not_wait_for_its_imports_to_be_taken_apart(
    number: str | None, code: int, tmp_path: Path
) -> None:
    program = (
        "import atexit, os, signal\nfrom qualia_lab.cli import console\n"
        "atexit.register(print, 'taken apart')\n"
        "def works() -> None:\n    print('works')\n"
        f"    {number} and os.kill(os.getpid(), {number})\n"
        "console.run(console.application('works', works, ''))\n"
    ).replace("SIG", "signal.SIG")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == ("works\n" if number else "works\ntaken apart\n")


def test_the_examples_in_the_help_can_be_pasted(tmp_path: Path) -> None:
    done = command("--help", cwd=tmp_path)
    assert done.code == 0
    examples = [line.strip() for line in done.out.splitlines() if CREATE in line]
    long = f'{CREATE} --experiment churn --filter "metrics.val_loss < 0.3" --top 10'
    assert long in examples
    again = command("create", "--help", program="qualia-lab", cwd=tmp_path)
    assert long in again.out


def test_demo_runs_and_the_command_they_print(tmp_path: Path) -> None:
    args = ["1", "--experiment", "it's two words", "--seed", "3", "-q"]
    uri = "sqlite:///new/mlflow.db"
    done = command(*args, "--tracking-uri", uri, program=DEMO, cwd=tmp_path)
    assert (done.code, done.err) == (0, ""), done.err
    program, *rest = shlex.split(done.out)
    assert program == CREATE
    made = command("create", *rest, "--json", program="qualia-lab", cwd=tmp_path)
    assert made.code == 0, made.err
    record = json.loads(made.out)
    assert record["runs"] == 1
    assert record["title"] == "Observation: it's two words"
    assert read(tmp_path / record["path"]).metadata.qualia_lab.selection.experiments == [
        "it's two words"
    ]


def test_demo_runs_as_json(empty_store: Path, tmp_path: Path) -> None:
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{empty_store}"}
    done = in_process(qualia_lab, "demo", "1", "--json", cwd=tmp_path, env=env)
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["tracking_uri"] == f"sqlite:///{empty_store}"
    assert record["experiment"] == "qualia-demo"
    with sqlite3.connect(empty_store) as db:
        stored = list(db.execute("SELECT run_uuid, CAST(experiment_id AS TEXT) FROM runs"))
    db.close()
    assert stored == [(record["run_ids"][0], record["experiment_id"])]


def test_qualia_lab_alone_and_its_version(tmp_path: Path) -> None:
    version = command("--version", program="qualia-lab", cwd=tmp_path)
    assert (version.code, version.out, version.err) == (0, f"{__version__}\n", "")
    alone = command(program="qualia-lab", cwd=tmp_path)
    assert (alone.code, alone.out) == (2, "")
    assert alone.err.startswith("Usage: qualia-lab")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [str(BIN / "qualia-lab"), "--version"],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
