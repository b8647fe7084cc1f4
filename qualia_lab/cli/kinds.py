"""``qualia-lab kinds``: what kinds of notebook there are, and what one of them asks and holds."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qualia_lab.cli import completion, console
from qualia_lab.manifest import FACTS
from qualia_lab.text import visible

if TYPE_CHECKING:
    from qualia_lab.manifest import Kind, Parameter, Section

EPILOG = """Examples:

\b
qualia-lab kinds
qualia-lab kinds observation
qualia-lab kinds --templates my-templates --json
"""

_WIDTH = 80
# A column of names is no wider than this; a longer name just pushes its own line.
_WIDEST_NAME = 24
_MOST = 300


def kinds(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The kind to describe; else all.",
            autocompletion=completion.kinds,
        ),
    ] = None,
    templates: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Look here first, then among those that come with qualia-lab.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the kinds of notebook, or describe one: its questions and its sections."""
    from qualia_lab.notebook.catalogue import Catalogue

    out = console.Console(as_json=as_json)
    catalogue = Catalogue([templates] if templates else ())
    if name is not None:
        record = _described(catalogue.kind(name))
        out.result(_page(record), record)
        return
    rows = [_listed(catalogue.kind(one)) for one in catalogue.names()]
    out.result(_table(rows), {"kinds": rows})


def _listed(kind: Kind) -> dict[str, Any]:
    return {"name": kind.name, "title": kind.title, "summary": kind.summary}


def _described(kind: Kind) -> dict[str, Any]:
    return {
        **_listed(kind),
        "min_runs": kind.min_runs,
        "questions": [_question(one) for one in kind.parameters],
        "sections": [_section(one) for one in kind.sections],
    }


def _question(parameter: Parameter) -> dict[str, Any]:
    choices, default = parameter.choices, parameter.default
    # TOML knows nan and inf, JSON does not.
    is_odd = isinstance(default, float) and not math.isfinite(default)
    return {
        "name": parameter.name,
        "ask": parameter.ask,
        "at_prompt": parameter.at_prompt,
        "choices": list(choices) if isinstance(choices, tuple) else choices,
        "default": str(default) if is_odd else default,
        "flag": f"--param {parameter.name}=...",
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "fixed": section.fixed,
        "optional": section.optional,
        "for_each": section.for_each,
        "most": section.most,
        "needs": [
            {"fact": one, "missing": FACTS[one].missing, "how": FACTS[one].how}
            for one in section.needs
        ],
    }


def _table(rows: list[dict[str, Any]]) -> str:
    """A line a kind: name, title, summary; what does not fit goes on below the summary."""
    cells = [[visible(row[key], _MOST) for key in ("name", "title", "summary")] for row in rows]
    first, second = (_column([row[place] for row in cells]) for place in (0, 1))
    return "\n".join(
        _hung(f"{name:<{first}}  {title:<{second}}  ", summary, first + second + 4)
        for name, title, summary in cells
    )


def _page(record: dict[str, Any]) -> str:
    """Everything about one kind."""
    at_least = f"{record['min_runs']:,} run" + ("s" if record["min_runs"] != 1 else "")
    name, title = (visible(record[key], _MOST) for key in ("name", "title"))
    lines = [
        _hung("", f"{name}: {title}", 0),
        _hung("", visible(record["summary"], _MOST), 0),
        "",
        f"It needs {at_least} or more.",
        "",
        "Questions" if record["questions"] else "It asks nothing.",
        *_rows([(row["name"], _about_question(row)) for row in record["questions"]]),
        "",
        "Sections, in this order",
        *_rows([(row["name"], _about_section(row)) for row in record["sections"]]),
    ]
    return "\n".join(lines)


def _about_question(row: dict[str, Any]) -> list[str]:
    choices, default = row["choices"], row["default"]
    if isinstance(choices, str):
        said = f"the {choices} of the chosen runs" if choices != "runs" else "the chosen runs"
    elif choices is None:
        said = "any text"
    else:
        said = ", ".join(visible(one, 60) for one in choices)
    if choices is not None and default == "first":
        shown = "the first of them"
    else:
        shown = "none" if default is None else visible(str(default), 60)
    return [
        visible(row["ask"], _MOST),
        f"choices: {said}",
        f"default: {shown}",
        f"flag:    {visible(row['flag'], 100)}",
    ]


def _about_section(row: dict[str, Any]) -> list[str]:
    said = []
    if row["for_each"]:
        most = f", at most {row['most']:,}" if row["most"] else ""
        said.append(f"one for each {row['for_each']}{most}")
    if row["fixed"]:
        said.append("always there")
    if row["optional"]:
        said.append(f"only with --with {visible(row['name'], _MOST)}")
    for need in row["needs"]:
        said.append(f"needs {need['fact'].replace('_', ' ')}; without, it says:")
        said += [f"  {need['missing']}", f"  {need['how']}"]
    return said


def _rows(rows: list[tuple[str, list[str]]]) -> list[str]:
    """Names in a column, and beside each what there is to say, a line each."""
    named = [(visible(name, _MOST), lines) for name, lines in rows]
    width = _column([name for name, _ in named])
    found = []
    for name, lines in named:
        start = f"  {name:<{width}}  "
        for line in lines or [""]:
            bare = line.lstrip()
            indent = len(line) - len(bare)
            found.append(_hung(start + " " * indent, bare, width + 4 + indent))
            start = " " * (width + 4)
    return found


def _column(names: list[str]) -> int:
    return min(max((len(one) for one in names), default=0), _WIDEST_NAME)


def _hung(start: str, text: str, indent: int) -> str:
    """``text`` behind ``start``, folded at the width of a terminal and indented from there on."""
    lines = textwrap.wrap(
        text,
        max(_WIDTH, indent + 20),
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )
    return "\n".join(lines) if lines else start.rstrip()
