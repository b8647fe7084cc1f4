"""Templates of others: rendered in a sandbox, and what they wrote is executed only when trusted."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from commands import Done, assert_refused, in_process, tree
from hypothesis import example, given
from hypothesis import strategies as st
from terminals import ENTER, terminal

from qualia_lab.cli import create
from qualia_lab.errors import TemplateError
from qualia_lab.notebook.cells import render, split

KIND = """
title = "Canary"
summary = "Sings where it is executed."
section = [{file="sing"}]
"""
# Written by code of the template, in the kernel.
SONG = "# %%\nimport pathlib\n\npathlib.Path('canary').touch()\n"
WAYS = ("--execute", "--export=html", "--fail-on=alarm", "--summary=summary.md")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of templates whose code leaves a file."""
    folder = tmp_path / "mine"
    (folder / "canary").mkdir(parents=True)
    (folder / "canary/kind.toml").write_text(KIND)
    (folder / "canary/sing.py.j2").write_text(SONG)
    return folder


@pytest.fixture
def place(demo_store: Path, tmp_path: Path) -> Path:
    """Where the commands run: a user's folder with a home in it."""
    (tmp_path / "home").mkdir()
    return tmp_path


def made(*args: str, place: Path, demo_store: Path) -> Done:
    given = ["--tracking-uri", f"sqlite:///{demo_store}", "--kind", "canary", "--all"]
    given += ["--experiment", "qualia-demo", "--output", "t.ipynb", "--no-input", *args]
    return in_process(create.main, *given, cwd=place, env={"HOME": str(place / "home")})


def sang(place: Path) -> bool:
    return bool(list(place.rglob("canary"))) and any(
        path.is_file() for path in place.rglob("canary")
    )


@pytest.mark.parametrize("way", WAYS)
def test_what_they_wrote_is_not_executed(
    way: str, mine: Path, place: Path, demo_store: Path
) -> None:
    before = tree(place)
    done = made("--templates", str(mine), way, place=place, demo_store=demo_store)
    assert_refused(done, 2, str(mine), "code", "--trust", "--no-execute")
    assert tree(place) == before


@pytest.mark.parametrize("way", WAYS)
def test_trusted_it_is(way: str, mine: Path, place: Path, demo_store: Path) -> None:
    done = made("--templates", str(mine), way, "--trust", place=place, demo_store=demo_store)
    assert done.code == 0, done.err
    assert sang(place)
    assert "--trust" in done.again


def test_it_may_be_written_and_looked_at(mine: Path, place: Path, demo_store: Path) -> None:
    done = made("--templates", str(mine), place=place, demo_store=demo_store)
    assert done.code == 0
    assert "'canary'" in nbformat.read(place / "t.ipynb", as_version=4).cells[0].source
    assert not sang(place)
    assert "--trust" not in done.again


@pytest.mark.parametrize("file", ["qualia.toml", "home/.config/qualia-lab/config.toml"])
def test_a_file_that_names_them(file: str, mine: Path, place: Path, demo_store: Path) -> None:
    """A project's file was written by anybody; the person's own is as good as a yes."""
    (place / file).parent.mkdir(parents=True, exist_ok=True)
    (place / file).write_text(f'templates = "{mine}"\nexecute = true\n')
    done = made(place=place, demo_store=demo_store)
    if file == "qualia.toml":
        assert_refused(done, 2, "qualia.toml line 1", "--trust")
        assert not sang(place)
        done = made("--trust", place=place, demo_store=demo_store)
    assert done.code == 0, done.err
    assert sang(place)


def test_at_the_prompt_it_is_not_offered(mine: Path, place: Path, demo_store: Path) -> None:
    args = ["--tracking-uri", f"sqlite:///{demo_store}", "--kind", "canary", "--all"]
    args += ["--experiment", "qualia-demo", "--output", "t.ipynb", "--title", "T"]
    with terminal(*args, "--templates", str(mine), cwd=place) as it:
        it.asked("What next?")
        lacking = [line for line in it.lines if line.endswith("(code of templates: --trust)")]
        assert len(lacking) == 3
        it.press("Write and execute" + ENTER)
        it.press("\x15" + ENTER)
        it.reply("Write t.ipynb?", ENTER)
        assert it.end() == 0
    assert (place / "t.ipynb").is_file()
    assert not sang(place)


ESCAPES = [
    "''.__class__.__mro__[1].__subclasses__()",
    "run.__init__.__globals__",
    "run['__init__']['__globals__']",
    "run | attr('__class__')",
    "lipsum.__globals__['os'].popen('touch canary').read()",
    "cycler.__init__.__globals__.os.popen('touch canary').read()",
    "joiner.__init__.__globals__.os.system('touch canary')",
    "self.__init__.__globals__",
    "self._TemplateReference__context",
    "''.join.__self__.__class__",
    "'%s' | format(run.__class__)",
    "'{0.__class__.__mro__}'.format(run)",
    "'{x.__class__}'.format_map({'x': run})",
    "(run | string).format.__globals__",
    "namespace().__class__",
    "dict.__base__.__subclasses__()",
    "().__reduce_ex__(2)",
    "range(10000000)",
    "[].append(1)",
    "{}.update(a=1)",
]
STATEMENTS = [
    "{% include '/etc/passwd' %}",
    "{% import '/etc/passwd' as x %}",
    "{% extends '/etc/passwd' %}",
    "{% from 'os' import system %}",
    "{% set x = lipsum.__globals__ %}{{ x | md }}",
    "{% for x in range(10000000) %}{% endfor %}",
]


def rendered(source: str, folder: Path) -> str:
    kept = Path.cwd()
    os.chdir(folder)
    try:
        context = {"run": {"name": "n", "run_id": "r"}, "kind": "k"}
        return "\n".join(render(one, context, "here") for one in split(source, "here"))
    finally:
        os.chdir(kept)


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize(
    "cell", ["# %%\nf({{ (ESCAPE) | py }})", "# %% [markdown]\n# {{ (ESCAPE) | md }}"]
)
def test_the_sandbox_holds(escape: str, cell: str, tmp_path: Path) -> None:
    try:
        text = rendered(cell.replace("ESCAPE", escape), tmp_path)
    except TemplateError:
        text = ""
    assert not [word for word in ("&lt;class", "<class", "function", "module") if word in text]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_file_is_read_and_nothing_imported(statement: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError):
        rendered(f"# %% [markdown]\n# {statement}", tmp_path)


@given(st.text(max_size=60))
@example("{{ 1/0 }}")
@example("{{ [][1] }}")
def test_whatever_stands_there_is_a_section_or_an_error(text: str) -> None:
    for cell in ("# %%\n", "# %% [markdown]\n# "):
        try:
            rendered(cell + text, Path.cwd())
        except TemplateError as error:
            assert "here" in str(error)
