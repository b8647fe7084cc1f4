"""Nothing that anybody logged, or typed, becomes code in a notebook."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from unittest.mock import patch

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import GENERATOR, OF_RUNS, OTHER, SLOTS, as_read, asked, runs_of
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from payloads import OWNED, PAYLOADS
from stores import Run, curve, fill, run_id
from torture_table import FULL, Saw, size

from qualia_lab import ArtifactExplorer, NotebookGenerator
from qualia_lab.errors import QualiaError
from qualia_lab.model import Query, Selection
from qualia_lab.notebook import cells, generator
from qualia_lab.notebook.execute import execute
from qualia_lab.notebook.generator import answers
from qualia_lab.notebook.write import write_notebook

# What ends a literal, a line, a cell or a template, to be strung together in any order.
_PIECES = (
    *("'", '"', "'''", '"""', "\\", "\\'", '\\"', "\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c"),
    *("\x85", "\u2028", "\u2029", "\x00", "\x1b", "\ud800", "\udfff", "\ufeff", "\u202e", "\t"),
    *("# %%", "# %% [markdown]", "#%%", "%%", "!", "?", ";", "#", ")", "]", "}", "(", "[", "{"),
    *("{{", "}}", "{%", "%}", "{#", "#}", "\\N{", "\\x", "\\u", "\\", "f'", 'b"', "0x", "nan"),
    *("=", "\n=", ",", ":", "\n    ", "import os", "\nimport os\n", f"open('{OWNED}','w')"),
)
TEXTS = st.one_of(
    st.sampled_from([one.armed(1, "http://host.invalid") for one in PAYLOADS]),
    st.lists(st.sampled_from(_PIECES), max_size=12).map("".join),
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.tuples(
        st.text(max_size=5), st.sampled_from([one.text for one in PAYLOADS]), st.text(max_size=5)
    ).map("".join),
)
# Cells that hold values; the others are the same for everybody.
_FEW: Mapping[str, tuple[str, ...]] = {"observation": ("run",), "drift": ("schedule",), "cost": ()}
_HARMLESS = {slot: f"harmless {slot}" for slot in SLOTS} | {"run id": "ab" * 16}


def made(
    kind: str, text: Mapping[str, str], *, whole: bool = False, by_query: bool = False
) -> NotebookNode:
    """The notebook about runs with these texts."""
    runs = runs_of(text)
    selection = asked(kind, text, runs, () if whole else _FEW[kind], by_query=by_query)
    return GENERATOR.generate(selection, runs)


@cache
def harmless(kind: str, whole: bool, by_query: bool) -> NotebookNode:
    return made(kind, _HARMLESS, whole=whole, by_query=by_query)


def check(notebook: NotebookNode, like: NotebookNode, text: Mapping[str, str]) -> None:
    """The cells are those of the harmless notebook; only literals differ, by what was put in."""
    assert [one.cell_type for one in notebook.cells] == [one.cell_type for one in like.cells]
    meant = {_HARMLESS[slot]: value for slot, value in text.items()}
    for cell, other in zip(notebook.cells, like.cells, strict=True):
        if cell.cell_type == "code":
            shape, literals = parts(cell.source)
            expected_shape, expected = parts(other.source)
            assert shape == expected_shape
            assert literals == [
                meant.get(one, one) if isinstance(one, str) else one for one in expected
            ]
    nbformat.validate(notebook)
    json.dumps(notebook, ensure_ascii=False).encode("utf-8")


def parts(source: str) -> tuple[str, list[object]]:
    """The syntax tree of code without its literals, and those in their order."""
    tree = ast.parse(source)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    values = [node.value for node in found]
    for node in found:
        node.value = None
    return ast.dump(tree), values


def attacks(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """So many examples of a hostile text for every slot, each a notebook."""
    texts = st.lists(TEXTS, min_size=len(SLOTS), max_size=len(SLOTS))
    quiet = settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=not FULL,
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: quiet(given(texts)(test))


@pytest.mark.torture("injection")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "whole", "by_query"),
    [
        ("observation", False, False),
        ("observation", False, True),
        ("drift", False, False),
        ("cost", False, False),
        ("observation", True, False),
        ("drift", True, True),
    ],
)
def test_no_text_changes_what_the_cells_do(
    kind: str, whole: bool, by_query: bool, saw: Saw, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_query:  # as past 500 runs
        monkeypatch.setattr(generator, "_MOST_IDS", 1)
    seen = dict(examples=0, refused=0)

    @attacks(size(8, full=400) if whole else size(25, full=5000))
    def attack(chosen: list[str]) -> None:
        text = as_read(dict(zip(SLOTS, chosen, strict=True)))
        try:
            notebook = made(kind, text, whole=whole, by_query=by_query)
        except QualiaError as error:
            # Of what a person types some is refused; of what was logged nothing is.
            assert type(error).__name__ in ("UsageError", "NotFoundError"), error
            seen["refused"] += 1
            return
        check(notebook, harmless(kind, whole, by_query), text)
        seen["examples"] += 1

    attack()
    assert seen["refused"] <= seen["examples"] / 10
    saw(examples=seen["examples"], texts_in_slots=seen["examples"] * len(SLOTS))
