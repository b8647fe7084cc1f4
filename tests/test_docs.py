"""Docs are tests: commands and flags that they name exist, and lines to copy do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import BIN, ROOT
from stores import Run, fill, run_id

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


def flags_of(command: str) -> set[str]:
    """The flags that a command's --help shows."""
    done = subprocess.run([BIN / command, "--help"], capture_output=True, text=True, check=True)
    options = done.stdout.partition("Options:")[2].partition("Examples:")[0]
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", options))


def test_every_flag_in_the_docs_exists_and_every_flag_is_in_the_docs() -> None:
    known = flags_of("create-observation-notebook")
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if "create-observation-notebook" in line:
                used = set(re.findall(r"(?<=\s)--[a-z-]+", line.partition("notebook")[2]))
                assert used <= known, f"{page.name}: {line}"
    reference = (ROOT / "docs/observational_notebooks.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"(?<=`)--?[a-z-]+", reference))
    assert known - {"-h", "--help", "--quiet", "--verbose"} <= documented


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_exit_code_is_explained() -> None:
    from qualia_lab import errors

    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.QualiaError)
    }
    reference = (ROOT / "docs/observational_notebooks.md").read_text(encoding="utf-8")
    table = reference.partition("## Exit codes")[2]
    assert codes <= {int(code) for code in re.findall(r"^\| (\d+)", table, re.MULTILINE)}


@pytest.mark.skipif(os.name != "posix", reason="the ten lines are for a POSIX shell")
def test_a_kind_in_ten_lines(empty_store: Path, tmp_path: Path) -> None:
    """Follows templates/README.md to the letter, in a copy of the checkout."""
    page = (ROOT / "templates/README.md").read_text(encoding="utf-8")
    block, usage = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(block.strip().splitlines()) == 10
    checkout = tmp_path / "checkout"
    for name in ("qualia_lab", "templates"):
        shutil.copytree(ROOT / name, checkout / name)
    shutil.copy(empty_store, checkout / "mlflow.db")
    fill(checkout / "mlflow.db", [Run(run_id=run_id(i)) for i in range(2)])
    subprocess.run(["sh", "-eu", "-c", block], cwd=checkout, check=True)
    main = "import sys; from qualia_lab.cli.create import main; sys.argv[0] = 'x'; main()"
    command = [sys.executable, "-c", main, *usage.split()[1:], "--execute", "--no-input", "-q"]
    done = subprocess.run(
        command,
        cwd=checkout,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    assert done.returncode == 0, done.stderr
    made = nbformat.read(checkout / done.stdout.strip(), as_version=4)
    assert "0 days 00:01:01" in str(made.cells[-1].outputs)
