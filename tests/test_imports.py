"""Imports run one way, each outside library has its room, and nothing heavy loads before its time.

The first half walks the syntax trees; the second imports in fresh processes.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = "qualia_lab"

# Which rooms a room may import; "cli -> demo, notebook -> tracking, analysis -> model -> errors".
BASE = {
    *("directions", "errors", "files", "leftovers", "manifest", "model", "moments", "prices"),
    *("secrets", "seeds", "table_files", "temporary", "text", "usage", "where"),
}
MAY_IMPORT: dict[str, set[str]] = {
    "text": set(),
    "errors": {"text"},
    "secrets": {"errors", "text"},
    "directions": set(),
    "leftovers": set(),
    "temporary": {"errors", "leftovers"},
    "files": {"errors", "leftovers", "secrets", "temporary", "text"},
    "moments": {"errors", "text"},
    "prices": {"errors", "text"},
    "seeds": set(),
    "usage": set(),
    "table_files": {"text"},
    "model": {"directions", "errors", "seeds", "table_files", "text", "usage"},
    "manifest": {"model"},
    "where": {"directions", "errors", "model", "moments", "text"},
    "analysis": BASE,
    "tracking": BASE,
    "demo": BASE | {"tracking", "analysis"},
    "notebook": BASE | {"tracking", "analysis"},
    "cli": BASE | {"tracking", "analysis", "demo", "notebook"},
}

# Where an outside library may be imported: rooms, or files in them.
ROOMS_OF = {
    "mlflow": {"tracking", "demo"},
    "sqlalchemy": {"tracking"},
    "requests": {"tracking"},
    "urllib3": {"tracking"},
    "matplotlib": {"analysis", "demo"},
    "scipy": {"analysis"},
    "sklearn": {"analysis", "demo"},
    "river": {"analysis"},
    "genai_prices": {"prices"},
    "jinja2": {"notebook"},
    "nbformat": {"notebook"},
    "nbclient": {"notebook"},
    "nbconvert": {"notebook"},
    "jupyter_client": {"notebook"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "questionary": {"cli/prompts.py"},
    "prompt_toolkit": {"cli/prompts.py", "cli/lists.py"},
}
# Slow to import: only inside the functions that need them, but for the rooms that are named.
LATE: dict[str, set[str]] = {"mlflow": set(), "pandas": {"analysis"}}


@dataclass(frozen=True, kw_only=True)
class Import:
    """One imported module, and where: at the top of its file, and for type checkers alone?"""

    target: str
    line: int
    top: bool
    types_only: bool


def imports(source: str, path: str) -> Iterator[Import]:
    """Every import of a file of the package; ``path`` is relative to the package."""
    parts = [PACKAGE, *path.removesuffix(".py").split("/")]

    def visit(node: ast.AST, *, top: bool, types_only: bool) -> Iterator[Import]:
        for target in targets(node, parts):
            yield Import(
                target=target, line=getattr(node, "lineno", 0), top=top, types_only=types_only
            )
        if isinstance(node, ast.If) and names_type_checking(node.test):
            for child in node.body:
                yield from visit(child, top=top, types_only=True)
            children: list[ast.AST] = list(node.orelse)
        else:
            children = list(ast.iter_child_nodes(node))
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in children:
            yield from visit(child, top=top and not inside, types_only=types_only)

    yield from visit(ast.parse(source), top=True, types_only=False)


def names_type_checking(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def targets(node: ast.AST, parts: list[str]) -> list[str]:
    """The modules that one statement or call imports, as absolute names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = [*parts[: -node.level]] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        return [f"{module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called in ("import_module", "__import__"):
            return [str(node.args[0].value)]
    return []


def violations(source: str, path: str) -> list[str]:
    """What a file of the package imports against the rules."""
    room = path.partition("/")[0].removesuffix(".py")
    found = []
    for one in imports(source, path):
        library, _, rest = one.target.partition(".")
        where = f"{path}:{one.line} imports {one.target}"
        if library == PACKAGE:
            other = rest.partition(".")[0]
            is_own = other == room or other == "__version__"
            # The names of the package itself are loaded on first use, by its __init__ alone.
            if room != "__init__" and not is_own and other not in MAY_IMPORT[room]:
                found.append(f"{where}: {room} may not import {other or 'the package'}")
            continue
        if one.types_only:
            continue
        if not {room, path} & ROOMS_OF.get(library, {room}):
            found.append(f"{where}: only in {', '.join(sorted(ROOMS_OF[library]))}")
        if one.top and library in LATE and room not in LATE[library]:
            found.append(f"{where}: only inside a function")
    return found


FILES = sorted(
    path.relative_to(ROOT / PACKAGE).as_posix() for path in (ROOT / PACKAGE).rglob("*.py")
)


@pytest.mark.parametrize("path", FILES)
def test_imports_run_one_way_and_each_library_has_its_room(path: str) -> None:
    source = (ROOT / PACKAGE / path).read_text(encoding="utf-8")
    assert violations(source, path) == []


def test_every_room_has_its_rule_and_every_rule_its_room() -> None:
    rooms = {path.partition("/")[0].removesuffix(".py") for path in FILES}
    assert rooms == {*MAY_IMPORT, "__init__"}
    for where in set().union(*ROOMS_OF.values()):
        assert where in rooms or where in FILES


def test_no_room_can_reach_itself_through_others() -> None:
    def reached(room: str, seen: frozenset[str]) -> set[str]:
        assert room not in seen
        return MAY_IMPORT[room].union(*(reached(o, seen | {room}) for o in MAY_IMPORT[room]))

    assert reached("cli", frozenset()) == {*MAY_IMPORT} - {"cli"}
    assert "tracking" not in reached("analysis", frozenset())


@pytest.mark.parametrize(
    ("path", "source", "told"),
    [
        ("analysis/x.py", "from qualia_lab.tracking import uris", "may not import tracking"),
        (
            "analysis/x.py",
            "def f():\n    import qualia_lab.tracking.uris",
            "may not import tracking",
        ),
        ("analysis/x.py", "from qualia_lab import tracking", "may not import tracking"),
        ("analysis/x.py", "from qualia_lab import load", "may not import load"),
        ("analysis/x.py", "import qualia_lab", "may not import the package"),
        ("analysis/x.py", "from ..notebook import cells", "may not import notebook"),
        ("analysis/x.py", "from ..cli.console import run", "may not import cli"),
        ("analysis/x.py", "import_module('qualia_lab.tracking')", "may not import tracking"),
        ("analysis/x.py", "def f():\n    __import__('mlflow')", "only in demo, tracking"),
        ("tracking/x.py", "from qualia_lab.analysis import show", "may not import analysis"),
        ("tracking/x.py", "from qualia_lab.notebook.cells import f", "may not import notebook"),
        ("demo/x.py", "from qualia_lab.notebook import write", "may not import notebook"),
        ("notebook/x.py", "from qualia_lab.cli import console", "may not import cli"),
        ("model.py", "from qualia_lab.tracking import uris", "may not import tracking"),
        (
            "model.py",
            "if TYPE_CHECKING:\n    from qualia_lab.tracking import uris",
            "may not import",
        ),
        ("errors.py", "from qualia_lab.model import RunSet", "may not import model"),
        ("tracking/x.py", "import mlflow", "only inside a function"),
        (
            "tracking/x.py",
            "class C:\n    from mlflow.entities import Run",
            "only inside a function",
        ),
        ("tracking/x.py", "try:\n    import mlflow\nexcept ImportError:\n    pass", "only inside"),
        ("tracking/x.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import mlflow", "only inside"),
        ("cli/x.py", "def f():\n    from mlflow import MlflowClient", "only in demo, tracking"),
        ("model.py", "import pandas as pd", "only inside a function"),
        ("tracking/x.py", "from pandas import DataFrame", "only inside a function"),
        ("cli/x.py", "def f():\n    import questionary", "only in cli/prompts.py"),
        ("notebook/x.py", "from rich.text import Text", "only in cli"),
        ("demo/x.py", "import typer", "only in cli"),
        ("cli/x.py", "async def f():\n    import nbformat", "only in notebook"),
        ("analysis/x.py", "import jinja2.sandbox", "only in notebook"),
        ("notebook/x.py", "import requests", "only in tracking"),
        ("notebook/x.py", "def f():\n    import matplotlib.pyplot", "only in analysis, demo"),
    ],
)
def test_the_walker_finds_what_is_planted(path: str, source: str, told: str) -> None:
    (found,) = violations(f"x = 1\n{source}\n", path)
    assert told in found
    assert path in found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("analysis/x.py", "import pandas as pd\nfrom qualia_lab.model import RunSet"),
        ("analysis/x.py", "from qualia_lab.analysis.labels import plain\nfrom . import show"),
        ("tracking/x.py", "def f():\n    def g():\n        import mlflow"),
        ("tracking/x.py", "if TYPE_CHECKING:\n    import pandas as pd\n    import mlflow"),
        ("tracking/x.py", "if typing.TYPE_CHECKING:\n    import pandas as pd"),
        ("cli/prompts.py", "import questionary"),
        ("cli/x.py", "import typer\nfrom qualia_lab import __version__"),
        ("cli/x.py", "if TYPE_CHECKING:\n    from nbformat import NotebookNode"),
        ("notebook/x.py", "import nbformat\nfrom qualia_lab.tracking import uris"),
        ("__init__.py", "import_module('qualia_lab.analysis')"),
        ("text.py", "import json\nfrom os import path"),
    ],
)
def test_the_walker_lets_pass_what_is_allowed(path: str, source: str) -> None:
    assert violations(source, path) == []


# --- what an import loads ------------------------------------------------------------------------

HEAVY = ("mlflow", "pandas", "matplotlib", "numpy", "scipy", "sqlalchemy", "IPython", "pyarrow")


def loaded_by(code: str, folder: Path) -> set[str]:
    """The heavy libraries that a fresh process has loaded after some code."""
    ask = f"\nimport json, sys\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + ask],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    [
        "import qualia_lab",
        "import qualia_lab.cli.main",
        "import qualia_lab.cli.create, qualia_lab.cli.demo",
        "import qualia_lab.demo, qualia_lab.notebook.generator, qualia_lab.notebook.catalogue",
        "from qualia_lab import ArtifactExplorer, NotebookGenerator, RunSet, load\n"
        "ArtifactExplorer('http://127.0.0.1:1')",
    ],
)
def test_importing_loads_nothing_heavy(code: str, tmp_path: Path) -> None:
    assert loaded_by(code, tmp_path) == set()


def test_the_heavy_are_seen_where_they_are_loaded(tmp_path: Path) -> None:
    assert {"pandas", "matplotlib"} <= loaded_by("import pandas, matplotlib", tmp_path)


def test_every_public_name_is_there_and_no_other() -> None:
    import qualia_lab

    for name in qualia_lab.__all__:
        assert getattr(qualia_lab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = qualia_lab.absent


def test_no_function_of_analysis_has_the_name_of_a_module() -> None:
    """``import qualia_lab.analysis.x`` would put the module in the place of the function."""
    from qualia_lab import analysis

    modules = {path.stem for path in (ROOT / PACKAGE / "analysis").glob("*.py")}
    assert not modules & set(analysis.__all__)
    assert all(callable(getattr(analysis, name)) for name in analysis.__all__)
