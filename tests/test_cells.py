"""Values enter cells as literals and as inactive text, or not at all."""

from __future__ import annotations

import ast
import html
import math
from typing import Any

import pytest
from conftest import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

from qualia_lab.errors import TemplateError
from qualia_lab.notebook import cells
from qualia_lab.text import visible

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def render(text: str, **context: Any) -> list[str]:
    """The rendered cells of a section file's text."""
    return [cells.render(one, context, "test") for one in cells.split(text, "test")]


@given(VALUES)
def test_a_literal_evaluates_to_its_value(value: Any) -> None:
    code = cells.literal(value)
    # eval of floats written as float("inf") needs the name.
    assert eval(code, {"__builtins__": {"float": float}}) == value
    assert code.isascii() or code.isprintable() or "\n" in code


def test_nan_is_written_so_that_it_comes_back() -> None:
    assert math.isnan(eval(cells.literal(float("nan")), {"float": float}))


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}, 1j])
def test_other_types_have_no_literal(value: object) -> None:
    with pytest.raises(TypeError):
        cells.literal(value)


@pytest.mark.parametrize("name", ["a b", "import", "x=1\nimport os", "1a", "", "ä"])
def test_only_identifiers_are_assigned(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a variable"):
        cells.assignments({name: 1})


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_changes_no_code(text: str) -> None:
    template = "# %% [markdown]\n# ## {{ name | md }}\n# %%\nshow({{name | py}})\n"
    harmless = render(template, name="plain")
    hostile = render(template, name=text)
    assert len(hostile) == len(harmless) == 2
    tree = ast.parse(hostile[1])
    call = tree.body[0].value  # type: ignore[attr-defined]
    assert ast.literal_eval(call.args[0]) == text
    call.args[0] = ast.Constant("plain")
    assert ast.dump(tree) == ast.dump(ast.parse(harmless[1]))
    assert "\n" not in hostile[0]
    shown = html.unescape(hostile[0].removeprefix("## "))
    assert shown == " ".join(visible(text, 300).split())


def test_what_a_value_says_is_never_a_template() -> None:
    assert render("# %%\n{{ x | py }}\n", x="{{ 7*7 }}") == ['"{{ 7*7 }}"']


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# %%\nf({{ x }})", "no filter"),
        ("# %% [markdown]\n# {{ x }}", "no filter"),
        ("# %%\nf({{ x | upper }})", "no filter"),
        ("# %% [markdown]\n# {{ x | py }}", "No filter named 'py'"),
        ("# %%\nf({{ x | md }})", "No filter named 'md'"),
        ("# %%\nf({{ absent | py }})", "'absent' is undefined"),
        ("# %% [markdown]\n# {{ absent.name | md }}", "'absent' is undefined"),
        ("# %%\nf({{ x.__class__ | py }})", "unsafe"),
        ('# %%\nf("{{ x | py }}")', "inside a string"),
        ("# %%\nf(1)  # {{ x | py }}", "inside a string or comment"),
        ("# %%\n{% if x %}\nf(1)\n{% endif %}", "not valid Python"),
        ("# %%\nf(", "not valid Python"),
        ("import os\n# %%\nf(1)", "before the first"),
        ("# %% [markdown]\nplain", "without '# '"),
        ("# %% [raw]\n# x", "not a cell marker"),
        ("#%%\nf(1)", "not a cell marker"),
    ],
)
def test_a_fault_of_a_template_is_an_error_that_names_it(text: str, says: str) -> None:
    with pytest.raises(TemplateError, match="test") as caught:
        render(text, x="value")
    assert says in str(caught.value)


def test_tags_and_blank_lines_are_kept() -> None:
    text = '# %% tags=["parameters"]\na = 1\n\nb = 2\n\n# %% [markdown]\n# one\n#\n# two\n'
    found = cells.split(text, "test")
    assert [(one.type, one.source, one.tags) for one in found] == [
        ("code", "a = 1\n\nb = 2", ("parameters",)),
        ("markdown", "one\n\ntwo", ()),
    ]


def test_long_lists_stand_one_item_a_line() -> None:
    ids = [f"{i:032x}" for i in range(3)]
    assert cells.literal(ids) == "[\n" + "".join(f'    "{one}",\n' for one in ids) + "]"
