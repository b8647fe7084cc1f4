"""An executed notebook as one HTML page: opens offline, runs no script, fetches nothing.

nbconvert walks the cells and renders Markdown and ANSI; the page around them is our own
(``export_page/``), and whatever stands in it as HTML went through ``export_clean.clean``. The
environment escapes everything else.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualia_lab.notebook.export_clean import clean
from qualia_lab.text import settled, slug, visible, whole

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Of several pictures of one thing, the first of these is shown; other types are never.
SHOWN = ("image/png", "image/jpeg", "text/html", "text/markdown", "text/plain")
_TEMPLATES = Path(__file__).resolve().parent
_PAGE = "export_page"
_HEADING = re.compile(r"<h([1-6])>(.*?)</h\1>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_STARTS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


@dataclass(slots=True)
class Entry:
    """A line of the table of contents: where it leads, what it says, and the lines below it."""

    anchor: str
    text: str
    below: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its type, its bytes as base64, what it shows, its size in pixels where known."""

    type: str
    data: str
    alt: str
    size: tuple[int, int] | None


def page(notebook: NotebookNode, *, code: bool = True, name: str = "Notebook") -> str:
    """The whole page. The same notebook gives the same bytes.

    Args:
        notebook: executed; it is not changed.
        code: whether the inputs are in it.
        name: the title of a notebook without a heading.
    """
    shown = Shown(notebook, code=code)
    resources = {
        "css": _css(),
        "title": shown.title or visible(name),
        "has_heading": bool(shown.title),
        "contents": shown.contents,
    }
    text, _ = _exporter().from_notebook_node(shown.notebook, resources)
    return whole(str(text)).strip() + "\n"


class Shown:
    """A notebook of what a page shows: Markdown and outputs as clean HTML, inputs highlighted.

    Attributes:
        title: the first heading.
        contents: the headings below it.
        notebook: what nbconvert walks over; the input of a cell as it is stands in its ``plain``,
            and what to name its files after in its ``name``.
        language: of the inputs.
    """

    def __init__(self, notebook: NotebookNode, *, code: bool) -> None:
        from nbformat import NotebookNode

        self.contents: list[Entry] = []
        self.title = ""
        self._code = code
        self.language = str(notebook.metadata.get("language_info", {}).get("name", "python"))
        self._anchors: set[str] = {"content"}
        self._level, self._about = 1, ""
        cells = [self._cell(cell) for cell in kept(notebook.cells, code=code)]
        self.notebook = NotebookNode(
            cells=[NotebookNode(cell, metadata={}) for cell in cells],
            metadata={},
            nbformat=4,
            nbformat_minor=4,
        )

    def _cell(self, cell: NotebookNode) -> dict[str, Any]:
        from markupsafe import Markup

        if cell.cell_type == "markdown":
            text = self._with_anchors(markdown_html(cell.source, cell))
            return {
                "cell_type": "markdown",
                "name": str(cell.get("id", "cell")),
                "source": Markup(text),  # noqa: S704 - it is clean
            }
        source = cell.source if self._code else ""
        shown = highlighted(source, self.language) if source.strip() else ""
        return {
            "cell_type": "code",
            "name": str(cell.get("id", "cell")),
            "plain": source,
            "source": Markup(shown),  # noqa: S704 - pygments escapes
            "hidden": bool(cell.metadata.get("jupyter", {}).get("source_hidden")),
            "outputs": [self._output(one) for one in cell.outputs],
        }

    def _with_anchors(self, text: str) -> str:
        """The headings of a cell with ids; they are kept for the contents."""

        def dress(match: re.Match[str]) -> str:
            level, inner = int(match[1]), match[2]
            words = " ".join(html.unescape(_TAG.sub("", inner)).split())
            if level == 1:
                if not self.title:
                    self.title, self._level, self._about = words, 1, words
                    return f"<h1>{inner}</h1>"
                level = 2  # a page has one
            self._level, self._about = level, words
            if level > 3 or not words:
                return f"<h{level}>{inner}</h{level}>"
            anchor = self._anchor(words)
            within = self.contents[-1].below if level == 3 and self.contents else self.contents
            within.append(Entry(anchor, words))
            return f'<h{level} id="{anchor}">{inner}</h{level}>'

        return _HEADING.sub(dress, text)

    def _anchor(self, words: str) -> str:
        name = first = slug(words, "section")[:60]
        number = 1
        while name in self._anchors:
            number += 1
            name = f"{first}-{number}"
        self._anchors.add(name)
        return name

    def _output(self, output: Mapping[str, Any]) -> dict[str, Any]:
        kind = output["output_type"]
        if kind == "stream":
            return {
                "output_type": "stream",
                "name": output["name"],
                "text": plain_text(output["text"]),
            }
        if kind == "error":
            said = "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"
            return {"output_type": "error", "traceback": [plain_text(said)]}
        return {"output_type": "display_data", "data": self._data(output)}

    def _data(self, output: Mapping[str, Any]) -> dict[str, Any]:
        """What is shown of an output, by its one type."""
        from markupsafe import Markup

        kind, value = best(output)
        if isinstance(value, Picture):
            return {kind: value}
        if kind in ("text/html", "text/markdown"):
            found = value if kind == "text/html" else markdown_html(value)
            found = clean(found, level=self._level, about=self._about)
            if _says(found):
                return {"text/html": Markup(found)}  # noqa: S704 - it is clean
        plain = plain_text(str(output["data"].get("text/plain", "")))
        return {"text/plain": plain if plain.strip() else left_out(output)}


def kept(cells: Sequence[NotebookNode], *, code: bool) -> list[NotebookNode]:
    """The cells that have something to show.

    Without inputs, a heading goes under which there was nothing but inputs.
    """
    full = [cell for cell in cells if cell.cell_type != "raw" and (_runs(cell) or cell.source)]
    if code:
        return [cell for cell in full if cell.source.strip() or _outputs(cell)]
    found: list[NotebookNode] = []
    for cell in full:
        if cell.cell_type == "markdown" and re.match(r"#{1,6}\s", cell.source.lstrip()):
            _drop_bare(found)
        found.append(cell)
    _drop_bare(found)
    return [cell for cell in found if cell.cell_type == "markdown" or _outputs(cell)]


def _drop_bare(found: list[NotebookNode]) -> None:
    """Drop the cells from the last heading on where they hold inputs and no output."""
    start = len(found)
    while start and not found[start - 1].source.lstrip().startswith("#"):
        start -= 1
    section = found[max(0, start - 1) :]
    codes = [cell for cell in section if cell.cell_type == "code" and cell.source.strip()]
    if codes and not any(_outputs(cell) for cell in codes):
        del found[max(0, start - 1) :]


def _runs(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code")


def _outputs(cell: NotebookNode) -> bool:
    return bool(cell.get("outputs"))


def best(output: Mapping[str, Any]) -> tuple[str, Any]:
    """The richest type of an output that may be shown, and what it holds; of a picture, that."""
    data = output["data"]
    for kind in SHOWN:
        value = data.get(kind)
        if not value:
            continue
        if kind.startswith("image/"):
            picture = _picture(kind, str(value), str(data.get("text/plain", "")))
            if picture:
                return kind, picture
            continue
        return kind, str(value)
    return "", ""


def left_out(output: Mapping[str, Any]) -> str:
    """A sentence for an output of which nothing can be shown."""
    types = ", ".join(visible(str(one), 60) for one in sorted(output["data"]))
    return f"An output that only a notebook can show ({types or 'empty'}) is left out."


def _picture(kind: str, value: str, told: str) -> Picture | None:
    """The picture, where it is one."""
    text = "".join(value.split())
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not raw.startswith(_STARTS[kind]):
        return None
    size = None
    if kind == "image/png" and len(raw) > 24:
        size = struct.unpack(">II", raw[16:24])
    alt = " ".join(visible(line) for line in told.split("\n")).strip()
    # What Python says of an object is no description of what is to be seen.
    named = alt if alt and not alt.startswith("<") else "Picture without a description"
    return Picture(kind, text, named, size)


def markdown_html(source: str, cell: Mapping[str, Any] | None = None) -> str:
    """Markdown as clean HTML, rendered by nbconvert; a formula stays as it is written."""
    from nbconvert.filters.markdown_mistune import (
        InvalidNotebook,
        IPythonRenderer,
        MarkdownWithMath,
    )

    attachments = (cell or {}).get("attachments") or {}
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True, attachments=attachments)
    try:
        rendered = MarkdownWithMath(renderer=renderer).render(source)
    except (InvalidNotebook, RecursionError):  # a picture that is not attached; absurd nesting
        rendered = f"<pre>{html.escape(source)}</pre>"
    return clean(rendered)


def plain_text(text: str) -> str:
    """Text of a terminal without its colours and whatever else hides."""
    from nbconvert.filters.ansi import strip_ansi

    lines = strip_ansi(text.replace("\r\n", "\n")).expandtabs(8).split("\n")
    # A progress bar writes over its line; what it wrote last is what was seen.
    return "\n".join(visible(line.rstrip("\r").rpartition("\r")[2]) for line in lines).rstrip()


def highlighted(source: str, language: str) -> str:
    """Code as HTML, its tokens in spans with pygments' classes."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter

    shown = str(highlight(source, _lexer(language), HtmlFormatter(nowrap=True)))
    return settled(shown).rstrip("\n")


@cache
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name
    from pygments.lexers.special import TextLexer
    from pygments.util import ClassNotFound

    # IPython's own knows magics; it comes with IPython.
    for name in (f"i{language}3", language):
        try:
            return get_lexer_by_name(name, stripnl=False)
        except ClassNotFound:
            continue
    return TextLexer(stripnl=False)


def _says(found: str) -> bool:
    """Whether there is anything to see in a piece of clean HTML."""
    return "<img" in found or "<table" in found or bool(_TAG.sub("", found).strip())


def _css() -> Any:
    from markupsafe import Markup

    text = (_TEMPLATES / _PAGE / "page.css").read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/\s*|^\s+", "", text, flags=re.DOTALL | re.MULTILINE)
    return Markup(text)  # noqa: S704 - our own file


def _exporter() -> Any:
    from nbconvert.exporters.templateexporter import TemplateExporter

    class Page(TemplateExporter):  # type: ignore[misc]
        """nbconvert's walk over the cells, with our page around it and everything escaped."""

        def _file_extension_default(self) -> str:
            return ".html"

        def _template_extension_default(self) -> str:
            return ".html"

        def _template_name_default(self) -> str:
            return _PAGE

        def _create_environment(self) -> Any:
            environment = super()._create_environment()
            environment.autoescape = True
            return environment

    return Page(
        extra_template_basedirs=[str(_TEMPLATES)],
        default_preprocessors=[],
    )
