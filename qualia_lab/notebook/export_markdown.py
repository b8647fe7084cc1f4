"""An executed notebook as GitHub-flavoured Markdown, in which nothing that was logged is active.

Both what a cell says and what it shows is clean HTML by then (``export_html.Shown``). It is written
as Markdown from there, so that no text ever reaches the file as Markdown of its own.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qualia_lab.notebook.export_clean import INLINE
from qualia_lab.notebook.export_html import Picture, Shown
from qualia_lab.notebook.export_pipes import pipe_table
from qualia_lab.text import slug, visible, whole

if TYPE_CHECKING:
    from bs4 import Tag
    from nbformat import NotebookNode

# What a comment on GitHub may hold, with room for a line of one's own.
COMMENT = 65_000
_CUT = "*Cut here: a comment on GitHub holds 65,536 characters.*"
_INLINE = frozenset(INLINE)
_AROUND = {"strong": "strong", "b": "strong", "em": "em", "i": "em", "del": "del", "s": "del"}
_KEPT = {"code": "code", "kbd": "kbd", "samp": "code", "sub": "sub", "sup": "sup"}
_DEEPEST = 40
_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}
# Active in Markdown wherever they stand; the rest of what is active needs one of these, or the
# start of a line.
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_ACTIVE = frozenset("\\`*{[]<>#~|$&@^")


def markdown(
    notebook: NotebookNode, *, code: bool = True, brief: bool = False, folder: str = ""
) -> tuple[str, dict[str, bytes]]:
    """The notebook's Markdown, and its pictures by file name.

    Args:
        notebook: executed; it is not changed.
        code: whether the inputs are in it.
        brief: for a comment on GitHub: what pictures show is said in words, of an error its last
            line; tables are cut to 8 columns and 30 rows, and the whole to 65,000 characters.
        folder: where the pictures will stand, as seen from the file.
    """
    shown = Shown(notebook, code=code)
    writer = _Writer(folder=folder, brief=brief, language=shown.language)
    blocks = [block for cell in shown.notebook.cells for block in writer.cell(cell)]
    text = "\n\n".join(block for block in blocks if block)
    if brief and len(text) > COMMENT:
        text = _cut(blocks)
    return whole(text) + "\n", writer.pictures


def inert(text: str) -> str:
    """Text of anybody for Markdown: it reads as it is, and does nothing.

    No link, picture, HTML, formula, mention or emphasis comes of it, in a paragraph or in a cell of
    a table; ``paragraph`` is for the start of a line. Blanks and newlines become one blank.
    """
    line = visible(" ".join(text.split()))
    return "".join(_encoded(line, place, char) for place, char in enumerate(line))


def paragraph(text: str) -> str:
    """Inert text at the start of a line, where some of it would make a list, a rule, a heading."""
    shown = re.sub(r"^[-+=:]", lambda found: f"&#{ord(found[0])};", text)
    return re.sub(r"^(\d+)([.)])(?= |$)", lambda found: f"{found[1]}&#{ord(found[2])};", shown)


def _encoded(line: str, place: int, char: str) -> str:
    after = line[place + 1 : place + 2]
    if char in _ACTIVE:
        # GitHub looks for names and numbers after these once all else is decoded.
        apart = "<!-- -->" if char in "@#" and after.isalnum() else ""
        return _NAMED.get(char, f"&#{ord(char)};") + apart
    if char == "_":
        within = place > 0 and line[place - 1].isalnum() and after.isalnum()
        return "_" if within else "&#95;"
    if (char == ":" and after == "/") or (char == "." and line[:place].lower().endswith("www")):
        return f"&#{ord(char)};"
    return char


def fenced(text: str, language: str) -> str:
    """A block of code or plain text, whatever backticks are in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = "\n".join(visible(line) for line in text.expandtabs(4).split("\n"))
    return f"{fence}{language}\n{lines}\n{fence}"


@dataclass(slots=True)
class _Writer:
    """Writes cells as blocks of Markdown and collects their pictures."""

    folder: str
    brief: bool
    language: str
    pictures: dict[str, bytes] = field(default_factory=dict)
    _cell: str = "cell"

    def cell(self, cell: NotebookNode) -> Iterator[str]:
        self._cell = slug(str(cell.name), "cell")
        if cell.cell_type == "markdown":
            yield from self._document(str(cell.source))
            return
        if cell.plain.strip():
            yield fenced(cell.plain.strip("\n"), self.language)
        for output in cell.outputs:
            yield from self._output(output)

    def _output(self, output: Mapping[str, Any]) -> Iterator[str]:
        if output["output_type"] == "stream":
            yield fenced(output["text"], "text")
        elif output["output_type"] == "error":
            said = "\n".join(output["traceback"]).strip()
            yield fenced(said.split("\n")[-1] if self.brief else said, "text")
        else:
            for kind, value in output["data"].items():
                if isinstance(value, Picture):
                    yield self._picture(kind, value.data, value.alt)
                elif kind == "text/html":
                    yield from self._document(str(value))
                else:
                    yield fenced(value, "text")

    def _picture(self, kind: str, data: str, alt: str) -> str:
        if self.brief:
            return f"*Chart: {inert(alt)}*"
        name = first = self._cell
        number = 1
        while name + _ENDINGS[kind] in self.pictures:
            number += 1
            name = f"{first}-{number}"
        self.pictures[name + _ENDINGS[kind]] = base64.b64decode(data)
        place = f"{self.folder}/{name}{_ENDINGS[kind]}".lstrip("/")
        return f"![{inert(alt)}]({quote(place)})"

    def _document(self, text: str) -> list[str]:
        from bs4 import BeautifulSoup

        return self._blocks(BeautifulSoup(text, "html.parser"), 0)

    def _blocks(self, parent: Tag, depth: int) -> list[str]:
        """The blocks in an element; loose text between them is a paragraph of its own."""
        from bs4 import Tag

        if depth > _DEEPEST:
            return [paragraph(inert(parent.get_text(" ")))]
        found: list[str] = []
        loose: list[Any] = []

        def flush() -> None:
            found.append(paragraph(self._inline(loose, depth)))
            loose.clear()

        for child in parent.children:
            if not isinstance(child, Tag) or child.name in _INLINE:
                loose.append(child)
                continue
            flush()
            found += self._block(child, depth)
        flush()
        return [block for block in found if block.strip()]

    def _block(self, tag: Tag, depth: int) -> list[str]:
        name = tag.name
        if re.fullmatch("h[1-6]", name):
            return [f"{'#' * int(name[1])} {self._inline(tag.children, depth)}"]
        if name == "pre":
            return [fenced(tag.get_text().strip("\n"), "text")]
        if name == "hr":
            return ["---"]
        if name == "table":
            say = {"rows": 30, "columns": 8} if self.brief else {}
            return pipe_table(tag, lambda cell: self._inline(cell.children, depth), inert, **say)
        if name in ("ul", "ol"):
            return [self._list(tag, depth)]
        inner = self._blocks(tag, depth + 1)
        if name == "blockquote":
            quoted = "\n\n".join(inner).split("\n")
            return ["\n".join(f"> {line}".rstrip() for line in quoted)]
        if name == "summary":
            return [f"**{block}**" for block in inner]
        return inner

    def _list(self, tag: Tag, depth: int) -> str:
        lines = []
        for number, item in enumerate(tag.find_all("li", recursive=False), 1):
            mark = f"{number}. " if tag.name == "ol" else "- "
            blocks = self._blocks(item, depth + 1) or [""]
            text = "\n\n".join(blocks) if len(blocks) > 2 else "\n".join(blocks)
            lines.append(mark + text.replace("\n", "\n" + " " * len(mark)))
        return "\n".join(lines)

    def _inline(self, children: Any, depth: int) -> str:
        """Text on one line with its emphasis, code, links and pictures."""
        text = "".join(self._piece(child, depth) for child in children)
        text = re.sub(r" *<br> *", "<br>", re.sub(r"\s+", " ", text)).strip()
        return re.sub(r"^(?:<br>)+|(?:<br>)+$", "", text)

    def _piece(self, child: Any, depth: int) -> str:
        from bs4.element import NavigableString, Tag

        if isinstance(child, NavigableString):
            return _spaced(str(child), inert)
        if not isinstance(child, Tag):
            return ""
        if depth > _DEEPEST:
            return inert(child.get_text(" "))
        if child.name == "br":
            return "<br>"
        if child.name == "img":
            kind, _, data = str(child.get("src", "")).removeprefix("data:").partition(";base64,")
            alt = str(child.get("alt") or "Picture without a description")
            return self._picture(kind, data, alt) if kind in _ENDINGS else inert(alt)
        inner = "".join(self._piece(one, depth + 1) for one in child.children)
        if child.name == "a" and child.get("href"):
            return f"[{inner.strip()}](<{_url(str(child['href']))}>)" if inner.strip() else ""
        around = _AROUND.get(child.name) or _KEPT.get(child.name)
        # Tags, since stars and backticks depend on what stands beside them.
        return f"<{around}>{inner}</{around}>" if around and inner.strip() else inner


def _spaced(text: str, encode: Callable[[str], str]) -> str:
    """Encoded, with a blank where the text begins or ends with one."""
    if not text.strip():
        return " " if text else ""
    before = " " if text[0].isspace() else ""
    after = " " if text[-1].isspace() else ""
    return before + encode(text) + after


def _url(address: str) -> str:
    """A link's address: what would end it, or hide in it, percent-encoded."""
    return quote(html.unescape(address), safe="/:?#@!$&'()*+,;=%~.-_")


def _cut(blocks: list[str]) -> str:
    kept: list[str] = []
    room = COMMENT - len(_CUT) - 2
    for block in blocks:
        room -= len(block) + 2
        if room < 0:
            break
        kept.append(block)
    return "\n\n".join([*(block for block in kept if block), _CUT])
