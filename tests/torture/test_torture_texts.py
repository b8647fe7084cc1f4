"""Nothing that was logged is active in Markdown, hidden in a notebook, or lost on paper."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import browser
import hostile_book
import pytest
from bs4 import BeautifulSoup, Tag
from hostile_book import LOGGED, SHOWN, USED, Books, in_place
from markdown_it import MarkdownIt
from nbformat import NotebookNode
from payloads import PAYLOADS
from terminals import hidden
from torture_table import Saw

from qualia_lab.notebook.export import export
from qualia_lab.text import markdown, visible

pytestmark = [pytest.mark.xdist_group("hostile pages"), pytest.mark.timeout(1200)]
URL = "http://127.0.0.1:9"
# What Markdown that is inert may become.
_PLAIN = {
    *("p", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "br", "ul", "ol", "li", "code"),
    *("pre", "hr", "table", "thead", "tbody", "tr", "td", "th", "blockquote", "del", "s"),
    *("sub", "sup", "kbd"),
}
# What a link that a person wrote may lead to.
_MAY = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Books:
    return hostile_book.books(migrated, tmp_path_factory.getbasetemp())


def rendered(text: str) -> dict[str, BeautifulSoup]:
    """Markdown as HTML, by renderers that make all that they can of it and clean nothing."""
    import mistune

    strict = MarkdownIt("js-default", {"html": True}).enable(["table", "strikethrough"])
    # It refuses some schemes by itself, which is not what is on trial.
    strict.validateLink = lambda url: True  # type: ignore[method-assign]
    plugins = ["url", "table", "strikethrough", "footnotes", "task_lists", "math", "superscript"]
    loose: Any = mistune.create_markdown(escape=False, plugins=[*plugins, "def_list", "mark"])
    return {
        "markdown-it": BeautifulSoup(strict.render(text), "html.parser"),
        "mistune": BeautifulSoup(str(loose(text)), "html.parser"),
    }


def active(found: BeautifulSoup, folder: str = "") -> list[str]:
    """The elements and attributes that do something; pictures in the folder do nothing."""
    wrong = []
    for tag in found.find_all():
        own = tag.name == "img" and folder and str(tag.get("src", "")).startswith(folder)
        allowed = ("src", "alt") if own else ("style", "class")
        if (tag.name not in _PLAIN and not own) or set(tag.attrs) - set(allowed):
            wrong.append(str(tag)[:200])
        if "mathjax" in str(tag.get("class", "")) or tag.name == "math":
            wrong.append(str(tag)[:200])
    # A front end looks for formulas in the source.
    return wrong


def sources(notebook: NotebookNode) -> Iterator[str]:
    """The Markdown of a notebook: of its cells, and what its cells show."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield cell.source
        for output in cell.get("outputs", ()):
            yield from (output.get("data", {}).get(one, "") for one in ("text/markdown",))


@pytest.mark.torture("text")
def test_a_name_in_markdown_is_its_text_and_no_more(saw: Saw) -> None:
    """In a paragraph, a heading, a list and a cell of a table; for every payload."""
    for payload in PAYLOADS:
        text = payload.armed(7, URL)
        shown = markdown(text)
        place = f"{shown}\n\n## {shown}\n\n- **{shown}**: x\n\n| a |\n|---|\n| {shown} |\n"
        for name, found in rendered(place).items():
            assert active(found) == [], (name, text)
            wanted = " ".join(visible(text).split())
            for tag in ("p", "h2", "strong", "td"):
                one = found.find(tag)
                assert one is not None
                assert " ".join(one.get_text().split()) == wanted, (name, tag, text)
        assert not re.search(r"[$\\\\]", shown)
    saw(payloads_in_Markdown=4 * len(PAYLOADS))


@pytest.mark.torture("text")
def test_the_same_check_sees_text_that_is_only_escaped_for_html(saw: Saw) -> None:
    caught = sum(
        any(active(found) for found in rendered(html.escape(payload.armed(7, URL))).values())
        for payload in PAYLOADS
    )
    raw = sum(
        any(active(found) for found in rendered(payload.armed(7, URL)).values())
        for payload in PAYLOADS
    )
    assert caught >= 10
    assert raw >= 100
    saw(caught_where_only_HTML_is_escaped=caught)


def _acts(tag: Tag) -> bool:
    is_named = tag.name in ("a", "img", "script", "svg", "iframe", "link", "object", "form")
    return is_named or any(one.startswith("on") or one in ("href", "src") for one in tag.attrs)


@pytest.mark.torture("text")
def test_the_notebook_itself_is_inert_and_hides_nothing(books: Books, saw: Saw) -> None:
    """Whatever front end shows it, and whether or not that cleans: own work included."""
    pieces = 0
    for source in sources(books.logged):
        assert not hidden(source)
        for name, found in rendered(source).items():
            assert active(found) == [], (name, source[:200])
        pieces += 1
    for cell in books.logged.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            for kind, value in output.get("data", {"text": output.get("text", "")}).items():
                if kind.startswith("image/"):
                    continue
                assert not hidden(str(value)), (cell.id, kind, hidden(str(value)))
                if kind == "text/html":
                    found = BeautifulSoup(str(value), "html.parser")
                    assert not found.find_all(
                        lambda tag: (
                            tag.name in ("a", "img", "script", "svg", "iframe", "link")
                            or any(
                                name.startswith("on") or name in ("href", "src")
                                for name in tag.attrs
                            )
                        )
                    ), cell.id
                pieces += 1
    saw(pieces_of_a_notebook=pieces)


@pytest.mark.torture("text")
def test_exported_markdown_is_inert(books: Books, tmp_path: Path, saw: Saw) -> None:
    for name, notebook, slots in (
        ("logged", books.logged, LOGGED),
        ("shown", books.shown, SHOWN),
    ):
        path = export(notebook, "markdown", tmp_path / f"{name}.md")
        text = path.read_text(encoding="utf-8")
        assert not hidden(text) - {"\u200d"}
        for renderer, found in rendered(text).items():
            for tag in found.find_all("a"):
                assert name == "shown" and _MAY.match(str(tag.get("href"))), (renderer, tag)
                tag.unwrap()
            for tag in found.find_all("code"):
                del tag["class"]
            assert active(found, f"{name}_files") == [], renderer
        saw(payloads_in_exported_Markdown=len(USED) * len(slots))
    everything = "".join(html.unescape((tmp_path / "logged.md").read_text()).split())
    absent = [
        (slot, PAYLOADS[place].text)
        for place in USED
        for slot in LOGGED
        if "".join(visible(in_place(place, slot, books.url))[:30].split())
        not in everything.replace("<!---->", "")
    ]
    assert absent == []


@pytest.mark.torture("text")
@pytest.mark.skipif(browser.PROGRAM is None, reason=browser.WHY_NOT)
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext (poppler-utils)")
def test_the_pdf_holds_the_text(books: Books, tmp_path: Path, saw: Saw) -> None:
    path = export(books.logged, "pdf", tmp_path / "logged.pdf")
    done = subprocess.run(["pdftotext", "-raw", path, "-"], capture_output=True, check=True)
    text = done.stdout.decode("utf-8")
    assert not hidden(text) - {"\x0c", "\xad"}
    absent = [
        (slot, PAYLOADS[place].text)
        for place in USED
        for slot in LOGGED
        if _printed(visible(in_place(place, slot, books.url))[:30]) not in _printed(text)
    ]
    assert absent == []
    saw(payloads_read_in_the_PDF=len(USED) * len(LOGGED))


@lru_cache(maxsize=4)
def _printed(text: str) -> str:
    """Without blanks, and without emoji, for which not every machine has letters."""
    return re.sub("[\\s\U0001f000-\U0001faff]+", "", text)
