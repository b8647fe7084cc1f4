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
from conftest import ROOT
from stores import Run, fill, run_id

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


sys.path.insert(0, str(ROOT / "docs"))
import refresh  # noqa: E402


def flags_of(command: str) -> set[str]:
    """The flags that a command's --help shows."""
    found = refresh.run(f"{command} --help", ROOT)
    options = found.partition("Options:")[2].partition("Examples:")[0]
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", options))


def test_every_flag_in_the_docs_exists_and_those_of_a_notebook_are_explained() -> None:
    known = {one: flags_of(one) for one in ("create-observation-notebook", "qualia-lab runs")}
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            for command, flags in known.items():
                for given in re.findall(rf"{command}([^|]*)", line):
                    used = set(re.findall(r"(?<=\s)--[a-z-]+", given))
                    assert used <= flags, f"{page.name}: {line}"
    explained = "".join(
        (ROOT / "docs" / name).read_text(encoding="utf-8")
        for name in ("observational_notebooks.md", "choosing_runs.md")
    )
    documented = set(re.findall(r"(?<=`)--?[a-z-]+", explained))
    of_notebook = known["create-observation-notebook"]
    assert of_notebook - {"-h", "--help", "--quiet", "--verbose"} <= documented


def test_the_reference_of_commands_is_what_they_say_of_themselves() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert page == refresh.reference(), "make docs"


def test_the_outputs_in_the_docs_are_what_the_commands_print() -> None:
    def alike(text: str) -> str:
        """Without ids, times and durations, which differ each time, and the spaces they need."""
        text = re.sub(r"\b[0-9a-f]{8,32}\b", "ID", text)
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", text)
        return re.sub(r" +", " ", re.sub(r"\b[\d.]+(e-\d+)? (s|m)\b", "SPAN", text))

    for name in refresh.SHOWN:
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert len(refresh.BLOCK.findall(page)) > 5
        assert alike(page) == alike(refresh.with_outputs(page)), "make docs"


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
