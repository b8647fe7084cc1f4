"""The workflow that a notebook writes: valid, without a secret, and safe whatever the names are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import BIN, HOSTILE, ROOT
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer
from qualia_lab.analysis import check_workflow
from qualia_lab.analysis.watch_workflow import Check, shell_word, workflow_text
from qualia_lab.errors import UsageError
from qualia_lab.model import Query
from qualia_lab.notebook.catalogue import Catalogue

DAY = 86_400_000
NAMES = (
    "churn",
    "a b",
    "-rf",
    "--all",
    "${{ secrets.TOKEN }}",
    "x${{",
    "$HOME $(id) `id`",
    "'; echo pwned; '",
    'say "hi"',
    "a: b # c",
    "- x\n  run: id",
    "tab\there",
    "\u202ereversed",
    "zero\u200bwidth",
    "line\u2028separator",
    "\x1b[31m",
    "\\x41",
    "été 数据 😀",
    "!!python/object",
    "%TAG",
    "\ufeff\ufffe",
    *(name for name in HOSTILE if "\0" not in name and name.isascii()),
)


def said(text: str, tmp_path: Path) -> list[str]:
    """The words that the command of a workflow is called with, by bash itself."""
    stub, folder = tmp_path / "bin" / "create-observation-notebook", tmp_path / "work"
    stub.parent.mkdir()
    folder.mkdir()
    stub.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    stub.chmod(0o755)
    steps = yaml.safe_load(text)["jobs"]["check"]["steps"]
    script = next(step["run"] for step in steps if step.get("name") == "Check")
    env = {"PATH": f"{stub.parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=env, capture_output=True, check=True
    )
    assert done.stdout == b""
    assert [path.name for path in folder.iterdir()] == ["findings.json"]
    return (folder / "findings.json").read_bytes().decode().split("\0")[:-1]


def check_schema(text: str, tmp_path: Path) -> None:
    """The workflow is one by GitHub's own schema, which check-jsonschema carries along."""
    path = tmp_path / "drift.yml"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", path],
        capture_output=True,
        text=True,
    )
    path.unlink()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_arrives_as_it_is(name: str, tmp_path: Path) -> None:
    check = Check(kind="drift", experiments=[name], days=91, parameters={"metric": name})
    text = workflow_text(check)
    words = said(text, tmp_path)
    joined = [f"--experiment={name}"] if name.startswith("-") else ["--experiment", name]
    assert words[2 : 2 + len(joined)] == joined
    assert f"metric={name}" in words
    # GitHub evaluates what stands between these wherever it stands.
    expressions = [line for line in text.splitlines() if "${{" in line]
    assert all("secrets.MLFLOW_" in line or "!cancelled()" in line for line in expressions)
    assert all(char == "\n" or char.isprintable() for char in text)


def test_every_hostile_name_at_once_fits_the_schema(tmp_path: Path) -> None:
    check = Check(kind="drift", experiments=NAMES, days=30, parameters={"metric": NAMES[4]})
    check_schema(workflow_text(check), tmp_path)


@pytest.mark.parametrize("name", ["nul\0", "half\ud800"])
def test_what_no_command_line_holds_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="command line"):
        shell_word(name)


def test_the_workflow_of_runs(empty_store: Path, tmp_path: Path) -> None:
    runs = [
        Run(run_id=run_id(i), started=T0 + i * DAY, metrics={"accuracy": curve([0.9])})
        for i in range(90)
    ]
    fill(empty_store, runs, name="Churn $(id)")
    loaded = ArtifactExplorer(f"sqlite:///{empty_store}").load(Query(experiment_ids=("1",)))
    workflow = check_workflow(loaded, "drift", {"metric": "accuracy", "table": None})
    check_schema(workflow.text, tmp_path)
    assert said(workflow.text, tmp_path) == [
        "--kind", "drift", "--experiment", "Churn $(id)", "--since", "90d", "--param",
        "metric=accuracy", "--output", "drift.ipynb", "--execute", "--fail-on", "alarm",
        "--summary", "summary.md", "--json",
    ]  # fmt: skip
    whole = yaml.safe_load(workflow.text)
    job = whole["jobs"]["check"]
    assert whole["permissions"] == {"contents": "read"}
    holds = [step["name"] for step in job["steps"] if "MLFLOW_TRACKING_URI" in step.get("env", {})]
    assert holds == ["Check"], "no other step sees a secret"
    assert "env" not in job
    assert str(empty_store) not in workflow.text
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert uses == ["actions/setup-python@v5", "actions/upload-artifact@v4"]
    assert any("GITHUB_STEP_SUMMARY" in step.get("run", "") for step in job["steps"])
    assert workflow._repr_markdown_() == f"```yaml\n{workflow.text}```"


ANSWERS = {
    "metric": "f1", "direction": "max", "reference": 'params.stage == "old"', "current": "r2:t.csv",
    "table": "t.csv", "baseline_part": 0.4, "current_part": 0.1, "false_alarms": 0.01,
    "predictions": "p.json", "label": "y", "prediction": "said",
}  # fmt: skip


def test_every_answer_that_is_no_default_is_repeated(empty_store: Path, tmp_path: Path) -> None:
    fill(empty_store, [Run(run_id=run_id(0), started=T0)])
    loaded = ArtifactExplorer(f"sqlite:///{empty_store}").load(Query(experiment_ids=("1",)))
    parameters = Catalogue([ROOT / "templates"]).kind("drift").parameters
    assert [one.name for one in parameters if one.name not in ANSWERS] == []
    words = said(check_workflow(loaded, "drift", ANSWERS).text, tmp_path)
    assert [one for one in words if "=" in one] == [f"{key}={one}" for key, one in ANSWERS.items()]
    usual = {one.name: one.default for one in parameters if one.default != "first"}
    assert "--param" not in check_workflow(loaded, "drift", usual).text
    cell = (ROOT / "templates/_shared/schedule.py.j2").read_text()
    assert [one.name for one in parameters if f'"{one.name}": {one.name}' not in cell] == []


def test_nothing_is_installed_until_somebody_names_it(empty_store: Path, tmp_path: Path) -> None:
    def install(source: str | None) -> subprocess.CompletedProcess[str]:
        check = Check(kind="drift", experiments=["a"], days=30, install=source)
        text = workflow_text(check)
        check_schema(text, tmp_path)
        assert "qualia-lab==" not in text
        steps = yaml.safe_load(text)["jobs"]["check"]["steps"]
        script = next(step["run"] for step in steps if step.get("name") == "Install")
        stub = tmp_path / "python"
        stub.write_text('#!/bin/sh\necho "$4"\n')
        stub.chmod(0o755)
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run(
            ["bash", "-e", "-c", script], env=env, capture_output=True, text=True, check=False
        )

    none = install(None)
    assert none.returncode == 1
    assert "::error::Name what to install" in none.stdout
    wheel = "https://example.invalid/a b$(id).whl"
    assert install(wheel).stdout == f"{wheel}\n"


def test_weekly_runs_are_checked_weekly(empty_store: Path) -> None:
    runs = [Run(run_id=run_id(i), started=T0 + 7 * i * DAY) for i in range(20)]
    fill(empty_store, runs)
    loaded = ArtifactExplorer(f"sqlite:///{empty_store}").load(Query(experiment_ids=("1",)))
    text = check_workflow(loaded, "drift").text
    assert 'cron: "17 6 * * 1"' in text
    assert "--since 134d" in text


def test_an_experiment_that_can_not_be_named_goes_by_its_id(empty_store: Path) -> None:
    fill(empty_store, [Run(run_id=run_id(0), started=None)], name="nul\0")
    loaded = ArtifactExplorer(f"sqlite:///{empty_store}").load(Query(experiment_ids=("1",)))
    text = check_workflow(loaded, "drift").text
    assert "--experiment 1 " in text
    assert "--since 30d" in text
