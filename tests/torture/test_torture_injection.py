"""Nothing that anybody logged, or typed, becomes code in a notebook."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from unittest.mock import patch

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import GENERATOR, OTHER, SLOTS, as_read, asked, runs_of
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from payloads import OWNED, PAYLOADS
from stores import Run, curve, fill_all, run_id
from torture_table import FULL, Saw, size

from qualia_lab import ArtifactExplorer, NotebookGenerator
from qualia_lab.errors import QualiaError
from qualia_lab.manifest import FACTS
from qualia_lab.model import Query, Selection
from qualia_lab.notebook import cells, generator
from qualia_lab.notebook.execute import execute
from qualia_lab.notebook.generator import answers

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


def facts(text: Mapping[str, str]) -> set[str]:
    """What the names say that there is: sections go by it."""
    runs = runs_of(text)
    return {fact for fact in FACTS if runs.has(fact)}


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
    # The generator has validated it.
    json.dumps(notebook, ensure_ascii=False).encode("utf-8")


@lru_cache(maxsize=1000)
def parts(source: str) -> tuple[str, list[object]]:
    """The syntax tree of code without its literals, and those in their order."""
    tree = ast.parse(source)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    values = [node.value for node in found]
    for node in found:
        node.value = None
    return ast.dump(tree), values


def attacks(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """So many examples of seven hostile texts for the slots, each a notebook."""
    texts = st.lists(TEXTS, min_size=7, max_size=7)
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
    seen = {"examples": 0, "refused": 0, "named alike": 0}

    # Of a cost notebook it is looked up, and takes three times as long, whether there are calls.
    @attacks(size(8, full=150) if whole else size(25, full=600 if kind == "cost" else 6600))
    def attack(chosen: list[str]) -> None:
        text = as_read(dict(zip(SLOTS, chosen * 3, strict=True)))
        try:
            notebook = made(kind, text, whole=whole, by_query=by_query)
        except QualiaError as error:
            # Of what a person types some is refused; of what was logged nothing is.
            assert type(error).__name__ in ("UsageError", "NotFoundError"), error
            seen["refused"] += 1
            return
        like = harmless(kind, whole, by_query)
        if len(notebook.cells) != len(like.cells) and facts(text) != facts(_HARMLESS):
            seen["named alike"] += 1  # a metric called "cost" is a cost
            return
        check(notebook, like, text)
        seen["examples"] += 1

    attack()
    assert seen["refused"] <= seen["examples"] / 10
    # Of a whole notebook more goes by the data: an empty param makes two runs alike, say.
    assert seen["named alike"] <= 2 + seen["examples"] / (4 if whole else 50)
    saw(examples=seen["examples"], texts_in_slots=seen["examples"] * len(SLOTS))


def unsafe(value: object, indent: int = 0) -> str:
    """The encoder that there must not be: text between quotes, as it is."""
    return f'"{value}"' if isinstance(value, str) else _LITERAL(value, indent)


_LITERAL = cells.literal


@pytest.mark.torture("injection")
def test_the_same_check_sees_text_that_becomes_code(saw: Saw) -> None:
    ran, differed, broke = 0, 0, 0
    with patch.object(cells, "literal", unsafe):
        for payload in PAYLOADS:
            text = _HARMLESS | {"answer": payload.armed(1, "http://host.invalid")}
            try:
                notebook = made("drift", text)
            except QualiaError:  # it is no Python any more, which the generator sees itself
                broke += 1
                continue
            try:
                check(notebook, harmless("drift", False, False), text)
            except AssertionError:
                differed += 1
                ran += OWNED in text["answer"]
    assert ran >= 2
    assert differed >= 5
    assert broke >= 20
    saw(caught_in_an_unsafe_renderer=differed + broke)


@pytest.mark.torture("injection")
def test_ids_of_runs_may_begin_alike_and_be_anything(saw: Saw) -> None:
    for one in ("0f" * 6, "x" * 40, "../x", "\u202e", " ", OTHER[:31]):
        notebook = made("observation", {**_HARMLESS, "run id": one})
        ids = [cell.id for cell in notebook.cells]
        assert len(set(ids)) == len(ids)
        nbformat.validate(notebook)
    saw(examples=6)


# Those for Python first; after them every other text.
_EXECUTED = sorted(
    (one.armed(1, "http://127.0.0.1:9") for one in PAYLOADS if "\x00" not in one.text),
    key=lambda text: OWNED not in text,
)
_ASKED = ("metric", "group", "baseline", "label", "prediction", "other_models", "run_ids")
_PROBE = f"import json; json.dumps([globals().get(name) for name in {_ASKED}])"


def executed(
    texts: Sequence[str], database: Path, *, strict: bool
) -> Iterator[tuple[list[object], list[object]]]:
    """Notebooks about runs that are all this text, run one after the other in one kernel.

    Args:
        texts: a run and a notebook each; the kinds take turns.
        database: where the runs are put.
        strict: whether a cell that fails fails the test, where it is of the kind whose answers
            have choices; texts as answers to other questions name what is not there.

    Yields:
        For each notebook the values that its variables had, and those that they should have.
    """
    runs_by_experiment = {
        (number + 1, f"{text} {number}"): [
            Run(
                run_id=run_id(number),
                name=text,
                params={text: text, "lr": "1"},
                metrics={text: curve([1.0, 0.5])},
                tags={text: text, "mlflow.note.content": text, "mlflow.source.name": text},
                user=text,
            )
        ]
        for number, text in enumerate(texts)
    }
    fill_all(database, runs_by_experiment)
    explorer = ArtifactExplorer(f"sqlite:///{database}")
    generator = NotebookGenerator()
    found, meant, sizes = [], [], []
    for number, text in enumerate(texts):
        kind = ("observation", "drift", "cost")[number % 3]
        runs = explorer.load(Query(experiment_ids=(str(number + 1),)))
        known = {"reference": text, "table": text, "label": text, "prediction": text}
        given = {
            "observation": {"metric": text, "group": text, "baseline": text},
            "drift": {"metric": text, **known},
            "cost": {"other_models": text, "by": text},
        }[kind]
        parameters = answers(generator.catalogue.kind(kind), given, runs)
        selection = Selection(
            tracking_uri=explorer.tracking_uri,
            experiments=(text,),
            run_ids=tuple(runs.runs.index),
            of_runs=1,
            kind=kind,
            sections=_FEW[kind],
            parameters=parameters,
            title=text,
            output=database.parent / "n.ipynb",
        )
        codes = [
            one for one in generator.generate(selection, runs).cells if one.cell_type == "code"
        ]
        codes[-1:] += [nbformat.v4.new_code_cell(_PROBE)]
        codes.append(nbformat.v4.new_code_cell(f"for name in {_ASKED}: globals().pop(name, None)"))
        for cell in codes:
            cell.id = f"{number}-{cell.id}"[:60]
            if kind != "observation" or not strict:
                cell.metadata["tags"] = ["raises-exception"]
        found += codes
        sizes.append(len(codes))
        expected = {**parameters, "run_ids": list(runs.runs.index)}
        meant.append([expected.get(name) for name in _ASKED])
    notebook = new_notebook(cells=found)
    failure = execute(notebook, database.parent)
    assert failure is None, failure
    place = 0
    for count, expected_values in zip(sizes, meant, strict=True):
        probe = notebook.cells[place + count - 2]
        place += count
        outputs = [one for one in probe.outputs if one.output_type == "execute_result"]
        said = outputs[0]["data"]["text/plain"] if outputs else "'null'"
        yield json.loads(ast.literal_eval(said)), expected_values


@pytest.mark.torture("injection")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(size(1, full=2)))
def test_in_a_kernel_nothing_of_it_runs(
    part: int, migrated: Path, tmp_path: Path, saw: Saw
) -> None:
    database = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    texts = _EXECUTED[part :: size(20, full=2)]
    for values, meant in executed(texts, database, strict=True):
        assert values == meant
    assert not list(tmp_path.rglob(f"{OWNED}*"))
    assert not Path(OWNED).exists()
    saw(executed_in_a_kernel=len(texts))


@pytest.mark.torture("injection")
def test_the_same_kernel_runs_what_an_unsafe_renderer_writes(
    migrated: Path, tmp_path: Path, saw: Saw
) -> None:
    database = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    texts = [one.text for one in PAYLOADS if one.text.startswith('"; ')] * 3
    texts = [text + " " * number for number, text in enumerate(texts)]
    assert texts
    with patch.object(cells, "literal", unsafe):
        outcome = list(executed(texts, database, strict=False))
    assert any(values != meant for values, meant in outcome)
    assert (tmp_path / OWNED).exists()
    saw(unsafe_ones_that_ran=len(texts))
