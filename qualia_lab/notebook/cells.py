"""Section files become cells: split first, then each cell is rendered alone.

A value enters a code cell only as a Python literal and a markdown cell only as text that is not
active; each context has its own environment, which refuses whatever did not pass its filter.
"""

from __future__ import annotations

import ast
import io
import json
import keyword
import math
import re
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from qualia_lab.errors import TemplateError
from qualia_lab.text import markdown, visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2 import Template as Compiled

_MARKER = re.compile(r"^# %%(?P<markdown> \[markdown\])?(?P<tags> tags=\[.*\])?\s*$")
_LOOKS_LIKE_MARKER = re.compile(r"^#\s*%%")
_LINE_WIDTH = 88


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One cell of a section file, before rendering. Markdown has lost its comment signs."""

    type: Literal["markdown", "code"]
    source: str
    tags: tuple[str, ...] = ()


class _Encoded(str):
    """Text that passed the filter of its context."""

    __slots__ = ()


def split(text: str, where: str) -> list[Template]:
    """The cells of a section file in the percent format.

    Args:
        text: the file's text.
        where: its name, for errors.

    Raises:
        TemplateError: something stands before the first marker, a markdown line is no comment, a
            marker has options other than ``[markdown]`` and ``tags=[...]``, or a code cell breaks
            the rules of ``_check_code``.
    """
    cells: list[Template] = []
    marker: re.Match[str] | None = None
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), None], 1):
        found = _MARKER.match(line) if line is not None else None
        if line is not None and not found:
            if _LOOKS_LIKE_MARKER.match(line):
                raise TemplateError(f"{where}:{number}: not a cell marker: {visible(line, 80)}")
            lines.append(line)
            continue
        if marker:
            cells.append(_template(marker, lines, where))
        elif any(one.strip() for one in lines):
            raise TemplateError(f"{where}: text before the first '# %%'")
        marker, lines = found, []
    return cells


def _template(marker: re.Match[str], lines: Sequence[str], where: str) -> Template:
    tags: tuple[str, ...] = ()
    if marker["tags"]:
        try:
            found = json.loads(marker["tags"].partition("=")[2])
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise TemplateError(f'{where}: tags are a list of texts: # %% tags=["parameters"]')
        tags = tuple(found)
    source = "\n".join(lines).strip("\n")
    if not marker["markdown"]:
        _check_code(source, where)
        return Template(type="code", source=source, tags=tags)
    bare = []
    for line in source.split("\n"):
        if line and not line.startswith("#"):
            raise TemplateError(f"{where}: a markdown line without '# ': {visible(line, 80)}")
        bare.append(line.removeprefix("#").removeprefix(" "))
    return Template(type="markdown", source="\n".join(bare).strip("\n"), tags=tags)


def _check_code(source: str, where: str) -> None:
    """A code cell is valid Python before it is rendered, and values stand in it as expressions.

    A Jinja statement could write code; a value inside a string or a comment would end it.
    """
    try:
        ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, tokenize.TokenError) as error:
        raise TemplateError(f"{where}: a code cell is not valid Python: {error}") from error
    for token in tokens:
        if token.type in (tokenize.STRING, tokenize.COMMENT) and re.search(
            r"\{[{%#]", token.string
        ):
            raise TemplateError(
                f"{where}: a value inside a string or comment: {visible(token.string, 80)}",
                hint="Write {{ value | py }} on its own: it brings its own quotes.",
            )
    if "{%" in source or "{#" in source:
        raise TemplateError(
            f"{where}: a Jinja statement in a code cell",
            hint="Code cells call functions of qualia_lab.analysis; the logic belongs there.",
        )


def render(template: Template, context: Mapping[str, Any], where: str) -> str:
    """The source of one cell.

    Raises:
        TemplateError: an undefined name, a value that went through no filter, or any other fault
            of the template; the section is named.
    """
    try:
        return _compiled(template.type, template.source).render(context)
    # An expression of a template can raise whatever Python can: a division by zero, a bad index.
    except Exception as error:
        raise TemplateError(f"{where}: {error}") from error


@cache
def _compiled(context: Literal["markdown", "code"], source: str) -> Compiled:
    """A cell's template: a section that is repeated for each run is compiled once."""
    return _environment(context).from_string(source)


@cache
def _environment(context: Literal["markdown", "code"]) -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    filters = {"code": ("py", "assignments"), "markdown": ("md",)}[context]

    def encoded_only(value: Any) -> Any:
        if isinstance(value, _Encoded):
            return value
        allowed = " or ".join(f"'| {name}'" for name in filters)
        raise TypeError(f"a value in a {context} cell went through no filter; it needs {allowed}")

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=encoded_only,
        autoescape=False,
        trim_blocks=True,  # a line that is a statement leaves no empty one, which would end a list
    )
    # Jinja's own filters end in plain strings, which encoded_only refuses; they may come before.
    known = {"py": _py, "assignments": _assignments, "md": _md}
    environment.filters.update({name: known[name] for name in filters})
    return environment


def _py(value: Any) -> _Encoded:
    return _Encoded(literal(_defined(value)))


def _assignments(values: Mapping[str, Any]) -> _Encoded:
    return _Encoded(assignments(_defined(values)))


def _md(value: Any) -> _Encoded:
    return _Encoded(markdown(str(_defined(value))))


def _defined(value: Any) -> Any:
    from jinja2 import StrictUndefined

    if isinstance(value, StrictUndefined):
        str(value)  # raises, and names what is undefined
    return value


def assignments(values: Mapping[str, Any]) -> str:
    """``name = literal`` lines, in the order given; the only names that come from outside.

    Raises:
        ValueError: a name that is no identifier.
    """
    for name in values:
        if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
            raise ValueError(f"{name!r} is not the name of a variable")
    return "\n".join(f"{name} = {literal(value)}" for name, value in values.items())


def literal(value: Any, indent: int = 0) -> str:
    """A Python literal (or ``float("nan")``) that evaluates to ``value``.

    Takes None, bool, int, float, str, and lists, tuples (written as lists) and dicts of them. A
    list that does not fit on a line stands one item a line.

    Raises:
        TypeError: any other type.
    """
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else f'float("{float(value)}")'
    if isinstance(value, str):
        return _string(str(value))
    if isinstance(value, Mapping):
        pairs = [f"{literal(key)}: {literal(item, indent + 4)}" for key, item in value.items()]
        return _joined("{", pairs, "}", indent)
    if isinstance(value, list | tuple):
        return _joined("[", [literal(item, indent + 4) for item in value], "]", indent)
    raise TypeError(f"no literal for a {type(value).__name__}")


def _string(value: str) -> str:
    written = repr(value)
    # The quotes that formatters prefer, where that changes nothing else.
    if written[0] == "'" and not re.search(r"[\"\\]", written):
        return f'"{written[1:-1]}"'
    return written


def _joined(start: str, items: Sequence[str], end: str, indent: int) -> str:
    line = start + ", ".join(items) + end
    if len(line) + indent <= _LINE_WIDTH and "\n" not in line:
        return line
    pad = " " * (indent + 4)
    return start + "\n" + "".join(f"{pad}{item},\n" for item in items) + " " * indent + end
