"""``qualia-lab kinds``: the list, one kind in full, and whatever a folder of templates can hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import Done, assert_refused, environment, in_process, tree
from conftest import HOSTILE

from qualia_lab.cli import console, kinds
from qualia_lab.notebook.catalogue import Catalogue

MANIFEST = """
title    = "Sweeps"
summary  = "What a sweep found: which parameters matter, where the best runs lie, and what to try."
min_runs = 3

[parameters.metric]
ask     = "Metric to rank runs by"
choices = "metrics"
default = "first"

[parameters.scale]
ask     = "Scale of the axes"
choices = ["linear", "logarithmic"]
default = "logarithmic"

[parameters.note]
ask = "A note for the title"

[parameters.share]
ask     = "Share of runs that count as good"
default = 0.1

[[section]]
file  = "_shared/setup"
fixed = true

[[section]]
file     = "each"
for_each = "metric"
most     = 1200
needs    = ["metrics", "two_runs"]

[[section]]
file     = "rest"
for_each = "run"
"""

PAGE = """\
sweeps: Sweeps
What a sweep found: which parameters matter, where the best runs lie, and what
to try.

It needs 3 runs or more.

Questions
  metric  Metric to rank runs by
          choices: the metrics of the chosen runs
          default: the first of them
          flag:    --param metric=...
  scale   Scale of the axes
          choices: linear, logarithmic
          default: logarithmic
          flag:    --param scale=...
  note    A note for the title
          choices: any text
          default: none
          flag:    --param note=...
  share   Share of runs that count as good
          choices: any text
          default: 0.1
          flag:    --param share=...

Sections, in this order
  setup  always there
  each   one for each metric, at most 1,200
         needs metrics; without, it says:
           None of these runs logged a metric.
           mlflow.log_metric("val_loss", 0.31, step=1)
         needs two runs; without, it says:
           A comparison needs two runs or more; one is selected.
           Select more runs, for example with --all or a second --run.
  rest   one for each run
"""


def main() -> None:
    console.run(console.application("kinds", kinds.kinds, kinds.EPILOG))


def run(*args: str, cwd: Path) -> Done:
    return in_process(main, *args, cwd=cwd)


def of(done: Done) -> dict[str, Any]:
    """The one JSON object of a command that went well."""
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 1
    record: dict[str, Any] = json.loads(done.out)
    return record


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of templates with the kind of this file in it."""
    folder = tmp_path / "mine"
    (folder / "sweeps").mkdir(parents=True)
    (folder / "sweeps/kind.toml").write_text(MANIFEST)
    for name in ("each", "rest"):
        (folder / f"sweeps/{name}.py.j2").write_text("# %%\n1\n")
    return folder


def test_the_list_is_a_line_a_kind_that_folds(mine: Path, tmp_path: Path) -> None:
    done = run("--templates", str(mine), cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    starts = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert starts == Catalogue([mine]).names()
    at = next(number for number, line in enumerate(lines) if line.startswith("sweeps "))
    assert lines[at].split()[1:5] == ["Sweeps", "What", "a", "sweep"]
    assert lines[at + 1].startswith(" " * lines[at].index("What") + lines[at + 1].split()[0])
    assert all(len(line) <= 80 for line in lines)
    rows = of(run("--templates", str(mine), "--json", cwd=tmp_path))["kinds"]
    assert [row["name"] for row in rows] == starts
    for row in rows:
        assert list(row) == ["name", "title", "summary"]
        assert row["title"] in done.out
        assert row["summary"].split()[-1] in done.out


def test_one_kind_in_full(mine: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    done = run("sweeps", "--templates", str(mine), cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, PAGE, "")
    record = of(run("sweeps", "--templates", str(mine), "--json", cwd=tmp_path))
    assert (record["name"], record["title"], record["min_runs"]) == ("sweeps", "Sweeps", 3)
    choices = [row["choices"] for row in record["questions"]]
    assert choices == ["metrics", ["linear", "logarithmic"], None, None]
    assert [row["default"] for row in record["questions"]] == ["first", "logarithmic", None, 0.1]
    assert record["questions"][1]["flag"] == "--param scale=..."
    setup, each, rest = record["sections"]
    assert (setup["fixed"], setup["for_each"], setup["needs"]) == (True, None, [])
    assert (each["name"], each["for_each"], each["most"]) == ("each", "metric", 1200)
    assert [need["fact"] for need in each["needs"]] == ["metrics", "two_runs"]
    assert each["needs"][0]["how"] in PAGE
    assert (rest["most"], rest["fixed"]) == (None, False)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", Catalogue().names())
def test_each_kind_that_comes_along_is_readable_at_80_columns(name: str, tmp_path: Path) -> None:
    done = run(name, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert all(len(line) <= 80 and line == line.rstrip() for line in done.out.splitlines())
    kind = Catalogue().kind(name)
    for parameter in kind.parameters:
        assert f"--param {parameter.name}=" in done.out
    for section in kind.sections:
        assert f"\n  {section.name}" in done.out


def test_a_kind_that_asks_nothing(mine: Path, tmp_path: Path) -> None:
    manifest = 'title="T"\nsummary="S"\nsection=[{file="each"}]\n'
    (mine / "sweeps/kind.toml").write_text(manifest)
    done = run("sweeps", "--templates", str(mine), cwd=tmp_path)
    assert done.out.splitlines()[2:5] == ["", "It needs 1 run or more.", ""]
    assert "It asks nothing." in done.out


def test_an_unknown_kind_lists_the_known(mine: Path, tmp_path: Path) -> None:
    done = run("swepes", "--templates", str(mine), cwd=tmp_path)
    assert_refused(done, 2, "no kind of notebook swepes", "known: sweeps, ", "observation")
    for name in ("../mine/sweeps", "_shared", "", "x\x1b[31m\n\u202e"):
        done = run(name, "--templates", str(mine), cwd=tmp_path)
        assert_refused(done, 2, "no kind of notebook", "known: ")
        assert "\x1b" not in done.err


def test_a_folder_of_templates_that_is_none(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("absent", "file"):
        assert_refused(run("--templates", name, cwd=tmp_path), 2, "--templates", name)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("summary  =", "sumary =", "unknown key sumary"),
        ("[[section]]", "[[section]", "kind.toml"),
        ('file     = "rest"', 'file = "absent"', "no template sweeps/absent.py.j2"),
        ('"Sweeps"', '"\udcff"', "kind.toml"),
    ],
)
def test_a_kind_that_is_broken(old: str, new: str, told: str, mine: Path, tmp_path: Path) -> None:
    text = MANIFEST.replace(old, new).encode("utf-8", "surrogateescape")
    (mine / "sweeps/kind.toml").write_bytes(text)
    for args in ((), ("sweeps",)):
        done = run(*args, "--templates", str(mine), "--json", cwd=tmp_path)
        assert_refused(done, 2, told)


def test_a_section_that_is_no_text(mine: Path, tmp_path: Path) -> None:
    (mine / "sweeps/rest.py.j2").write_bytes(b"# %%\n'\xff'\n")
    done = run("sweeps", "--templates", str(mine), cwd=tmp_path)
    assert_refused(done, 2, "rest.py.j2 can't be read", "utf-8")


@pytest.mark.parametrize("text", [one for one in HOSTILE if one.strip()])
def test_hostile_text_is_shown_and_not_acted_on(text: str, tmp_path: Path) -> None:
    name = text.replace("/", "").encode()[:200].decode(errors="ignore").lstrip("_.")
    folder = tmp_path / "mine" / name
    folder.mkdir(parents=True)
    value = json.dumps(text, ensure_ascii=False)  # a TOML string too
    (folder / "kind.toml").write_text(
        f"title = {value}\nsummary = {value}\n[parameters.p]\nask = {value}\n"
        f"choices = [{value}]\ndefault = {value}\n[[section]]\nfile = 'a'\n"
    )
    (folder / "a.py.j2").write_text("# %%\n1\n")
    for args in ((), (name,)):
        done = run(*args, "--templates", str(folder.parent), cwd=tmp_path)
        assert (done.code, done.err) == (0, "")
        assert all(char == "\n" or char.isprintable() for char in done.out)
        assert all(len(line) <= 700 for line in done.out.splitlines())
    record = of(run(name, "--templates", str(folder.parent), "--json", cwd=tmp_path))
    assert (record["name"], record["title"], record["summary"]) == (name, text, text)
    assert record["questions"][0]["choices"] == [text]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "true", "-0", "9" * 60])
def test_defaults_that_are_odd(value: str, mine: Path, tmp_path: Path) -> None:
    text = MANIFEST.replace("default = 0.1", f"default = {value}")
    (mine / "sweeps/kind.toml").write_text(text)
    record = of(run("sweeps", "--templates", str(mine), "--json", cwd=tmp_path))
    assert record["questions"][3]["default"] is not None
    done = run("sweeps", "--templates", str(mine), cwd=tmp_path)
    assert f"default: {record['questions'][3]['default']}\n" in done.out


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes")
def test_a_folder_whose_name_is_no_text(mine: Path, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(mine) + b"/\xff\xfe"))
    try:
        (mine / "sweeps").rename(folder)
    except OSError:
        pytest.skip("this file system takes names of text only")
    done = run("--templates", str(mine), cwd=tmp_path)
    assert done.code == 0
    assert "\\udcff\\udcfe  Sweeps" in done.out


def test_as_a_process_it_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom qualia_lab.cli import console, kinds\n"
        "app = console.application('kinds', kinds.kinds, kinds.EPILOG)\n"
        "try:\n    console.run(app)\nfinally:\n"
        "    heavy = {'mlflow', 'pandas', 'matplotlib', 'sqlalchemy', 'jinja2', 'nbformat'}\n"
        "    assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "observation"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("observation: Observation\n")
    assert tree(tmp_path) == {}
