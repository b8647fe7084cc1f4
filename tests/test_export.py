"""Exports as text: what a page and a Markdown file hold, what is left out, how they are made."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import stat
import time
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import mistune
import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from commands import CREATE, Done, assert_refused, command, in_process, tree
from conftest import HOSTILE, ROOT
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from qualia_lab.cli.create import main as create
from qualia_lab.cli.main import main as qualia_lab
from qualia_lab.errors import MissingPartError, OutputError, QualiaError, UsageError
from qualia_lab.notebook import export_pdf
from qualia_lab.notebook.export import export, read
from qualia_lab.notebook.export_clean import clean
from qualia_lab.notebook.export_html import page
from qualia_lab.notebook.export_markdown import COMMENT, fenced, inert, markdown, paragraph

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:"


def png(width: float = 2) -> str:
    """A picture as a notebook holds it."""
    buffer = io.BytesIO()
    Figure(figsize=(width, 1)).savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


PNG = png()


def shown(*outputs: NotebookNode, source: str = "x = 1", **metadata: Any) -> NotebookNode:
    """A code cell with outputs."""
    return new_code_cell(source, outputs=list(outputs), metadata=metadata, execution_count=1)


def data(**types: str) -> NotebookNode:
    """An output of several types: ``text_html`` for ``text/html``."""
    return new_output("display_data", {name.replace("_", "/"): one for name, one in types.items()})


def soup_of(*cells: NotebookNode, code: bool = True) -> BeautifulSoup:
    """The page of a notebook of these cells."""
    return BeautifulSoup(page(new_notebook(cells=list(cells)), code=code), "html.parser")


def markdown_of(*cells: NotebookNode, **how: Any) -> str:
    return markdown(new_notebook(cells=list(cells)), **how)[0]


# --- the page ------------------------------------------------------------------------------------


def test_a_page_is_one_file_with_a_policy_headings_and_contents() -> None:
    found = soup_of(
        new_markdown_cell("# Title `a` & *b*\n\ntext"),
        new_markdown_cell("## First"),
        new_markdown_cell("### Inner"),
        new_markdown_cell("#### Deeper"),
        new_markdown_cell("## First\n\nagain"),
        new_markdown_cell("# Another title"),
    )
    head = found.head
    assert head is not None
    (policy,) = head.find_all("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert policy["content"] == POLICY
    # What stands before a policy is not bound by it.
    assert [one.name for one in head.find_all(True)][:2] == ["meta", "meta"]
    assert found.html is not None
    assert found.html["lang"] == "en"
    assert found.title is not None
    assert found.title.text == "Title a & b"
    assert len(found.find_all("h1")) == 1
    (skip,) = found.find_all("a", class_="skip")
    (main,) = found.find_all("main")
    assert skip["href"] == f"#{main['id']}"
    (nav,) = found.find_all("nav")
    assert nav["aria-label"] == "Contents"
    lines = [(one["href"], one.text) for one in nav.find_all("a")]
    assert lines == [
        ("#first", "First"), ("#inner", "Inner"), ("#first-2", "First"),
        ("#another-title", "Another title"),
    ]  # fmt: skip
    first = nav.find("li")
    assert first is not None
    assert [one.text for one in first.find_all("a")] == ["First", "Inner"]
    for target, text in lines:
        (heading,) = found.find_all(id=target[1:])
        assert heading.text == text
    ids = [one["id"] for one in found.find_all(id=True)]
    assert len(ids) == len(set(ids))


def test_a_notebook_without_headings_has_a_title_and_no_contents() -> None:
    text = page(new_notebook(cells=[shown(data(text_plain="1"))]), name="my_runs")
    found = BeautifulSoup(text, "html.parser")
    assert [one.text for one in found.find_all("h1")] == ["my_runs"]
    assert not found.find_all("nav")


def test_inputs_are_highlighted_hidden_or_left_out() -> None:
    cells = [
        new_markdown_cell("# T"),
        new_markdown_cell("## Setup\n\nImports."),
        shown(source="import this_one"),
        new_markdown_cell("## Results"),
        shown(data(text_plain="42"), source="print('a<b')"),
        shown(data(text_plain="43"), source="hidden_one()", jupyter={"source_hidden": True}),
        shown(source=""),
    ]
    found = soup_of(*cells)
    codes = found.find_all("pre", class_="code")
    assert [one.text for one in codes] == ["import this_one", "print('a<b')"]
    assert codes[0].find("span", class_="kn") is not None
    (closed,) = found.find_all("details")
    assert closed.has_attr("open") is False
    assert closed.pre is not None
    assert closed.pre.text == "hidden_one()"
    bare = soup_of(*cells, code=False)
    assert [one.text for one in bare.find_all("pre")] == ["42", "43"]
    # A heading over nothing but inputs goes with them.
    assert [one.text for one in bare.find_all("h2")] == ["Results"]


@pytest.mark.parametrize(("to", "ending"), [("html", ".html"), ("markdown", ".md")])
def test_what_speaks_of_the_inputs_goes_with_them(to: str, ending: str, tmp_path: Path) -> None:
    about = new_markdown_cell("Change it below.", metadata={"tags": ["about-code"]})
    code = shown(data(text_plain="2"))
    notebook = new_notebook(cells=[new_markdown_cell("# Sums"), about, code])
    texts = [
        export(notebook, to, tmp_path / f"{with_code}{ending}", code=with_code).read_text()
        for with_code in (True, False)
    ]
    assert ["Change it below." in text for text in texts] == [True, False]
    assert all("Sums" in text for text in texts)


def test_text_of_a_terminal_is_text() -> None:
    found = soup_of(
        shown(
            new_output("stream", name="stdout", text="a <b>\tc\x1b[1mbold\x1b[0m\n10%\r100%\n"),
            new_output("stream", name="stderr", text="\x1b[31mbeware\x1b[0m \u202e\n"),
            new_output(
                "error", ename="E", evalue="x", traceback=["\x1b[0;31mE\x1b[0m", "<script>: x"]
            ),
        )
    )
    assert [one.text for one in found.select(".out pre")] == [
        "a <b>   cbold\n100%", "beware \\u202e", "E\n<script>: x",
    ]  # fmt: skip
    assert found.select(".warning, .error")[1].text.startswith("E")


def test_pictures_have_words_and_only_pictures_are_pictures() -> None:
    found = soup_of(
        shown(
            data(image_png=PNG, text_plain='lr "0.1" is\nbest'),
            data(image_png=PNG, text_plain="<Figure size 640x480 with 1 Axes>"),
            data(image_png='x" onload="alert(1)', text_plain="broken"),
            data(image_png=base64.b64encode(b"<svg onload=1>").decode()),
        ),
    )
    alts = [one["alt"] for one in found.find_all("img")]
    assert alts == ['lr "0.1" is best', "Picture without a description"]
    assert {one["src"] for one in found.find_all("img")} == {f"data:image/png;base64,{PNG}"}
    assert (found.find_all("img")[0]["width"], found.find_all("img")[0]["height"]) == ("200", "100")
    texts = [one.text for one in found.select(".out pre")]
    assert texts[0] == "broken"
    assert "(image/png) is left out" in texts[1]


@pytest.mark.parametrize(
    "kind",
    ["application/javascript", "text/vnd.mermaid", "image/svg+xml", "application/pdf", "text/latex",
     "application/vnd.jupyter.widget-view+json", "x/\u202e<script>"],
)  # fmt: skip
def test_other_types_are_left_out_and_it_is_said(kind: str) -> None:
    for text in ("", "in words"):
        output = new_output("display_data", {kind: "alert('me')"})
        if text:
            output.data["text/plain"] = text
        (pre,) = soup_of(shown(output)).select(".out pre")
        assert "alert" not in pre.text
        assert pre.text == text or (not text and "is left out" in pre.text)


def test_the_richest_type_that_says_something_is_shown() -> None:
    found = soup_of(
        shown(
            data(text_html="<b>bold</b>", text_plain="plain"),
            data(text_html="<script>draw()</script>", text_plain="a chart"),
            data(text_markdown="*slanted*", text_plain="plain"),
        )
    )
    assert [one.get_text(strip=True) for one in found.select(".out")] == [
        "bold", "a chart", "slanted",
    ]  # fmt: skip
    assert found.find("em") is not None


def test_tables_say_what_they_are_and_scroll_by_themselves() -> None:
    html = """
      <style>#T_x_row0_col0, #T_x_row9_col9 { font-weight: bold; background: url(http://x) }
      #T_x th { color: red } td { display: none }</style>
      <table id="T_x"><caption>Best <b>first</b></caption>
      <thead><tr><th></th><th colspan="2">a</th></tr></thead>
      <tbody><tr><th>r</th><td id="T_x_row0_col0">1</td><td>2</td></tr></tbody></table>"""
    found = soup_of(new_markdown_cell("## Comparison"), shown(data(text_html=html)))
    (box,) = found.select("div.table")
    assert (box["role"], box["tabindex"], box["aria-label"]) == ("region", "0", "Best first")
    assert [one["scope"] for one in found.find_all("th")] == ["col", "colgroup", "row"]
    assert found.caption is not None
    assert found.caption.text == "Best first"
    bold = [(one.name, one["style"]) for one in found.select(".table [style]")]
    assert bold == [
        ("th", "color: red;"), ("th", "color: red;"), ("th", "color: red;"),
        ("td", "font-weight: bold;"),
    ]  # fmt: skip
    assert "display" not in box.text
    plain = soup_of(
        new_markdown_cell("## Comparison"), shown(data(text_html="<table><tr><td>1</td></table>"))
    )
    (box,) = plain.select("div.table")
    assert box["aria-label"] == "Table: Comparison"


def test_words_stand_at_the_left_and_numbers_at_the_right() -> None:
    frame = pd.DataFrame(
        {
            "name": ["a", "b"],
            "value": [1.5, float("nan")],
            "mixed": ["1", "two"],
            "took": ["3 m 20 s", ""],
            "share": ["+4.5 %", "1e-05"],
        },
        index=["x", "y"],
    )
    (table,) = soup_of(shown(data(text_html=frame._repr_html_()))).select("table")
    left = [
        [one.text for one in row.find_all(("th", "td")) if "left" in str(one.get("style"))]
        for row in table.find_all("tr")
    ]
    assert left == [["name", "mixed"], ["a", "1"], ["b", "two"]]
    spanned = '<table><tr><td colspan="2">words</td></tr><tr><td>a</td><td>b</td></tr></table>'
    assert not soup_of(shown(data(text_html=spanned))).select("table [style]")


def test_digits_without_end_cost_no_time() -> None:
    rows = "".join(f"<tr><td>{'1' * 400}{number}_</td></tr>" for number in range(50))
    start = time.monotonic()
    (table,) = soup_of(shown(data(text_html=f"<table>{rows}</table>"))).select("table")
    assert time.monotonic() - start < 10
    assert "left" in str(table.td["style"])


def test_headings_of_outputs_are_below_those_of_the_text() -> None:
    found = soup_of(
        new_markdown_cell("# T\n\n## Run"), shown(data(text_html="<h4>Params</h4><h6>Deep</h6>"))
    )
    assert [one.name for one in found.find_all(re.compile("^h[1-6]$"))] == ["h1", "h2", "h3", "h5"]


def test_formulas_stay_as_they_are_written() -> None:
    found = soup_of(new_markdown_cell("Cost $x_1^2 <b>$ and $$\\frac{a}{b}$$ and \\\\(x\\\\)"))
    assert "$x_1^2" in found.text
    assert "\\frac{a}{b}" in found.text
    assert not found.find_all(["em", "script"])


def test_the_same_notebook_gives_the_same_bytes_and_is_left_alone() -> None:
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# T\n\n## A", id="a"),
            shown(data(text_html="<table><tr><td>1</table>"), data(image_png=PNG)),
        ]
    )
    before = nbformat.writes(notebook)
    assert page(notebook) == page(notebook)
    assert markdown(notebook, folder="x") == markdown(notebook, folder="x")
    assert nbformat.writes(notebook) == before


def test_a_page_is_not_much_larger_than_its_notebook() -> None:
    rows = "".join(f"<tr><th>{i}</th>" + "<td>0.12345</td>" * 8 + "</tr>\n" for i in range(60))
    html = f"<table><thead><tr>{'<th>a</th>' * 9}</tr></thead><tbody>{rows}</tbody></table>"
    cells = [shown(data(text_html=html, text_plain="x"), source="compare(runs)") for _ in range(20)]
    cells += [shown(data(image_png=png(9), text_plain="A chart")) for _ in range(5)]
    notebook = new_notebook(cells=[new_markdown_cell("# T"), *cells])
    size = len(nbformat.writes(notebook).encode())
    assert size > 100_000
    assert len(page(notebook).encode()) < 1.5 * size


# --- what of HTML may stay -----------------------------------------------------------------------

ALLOWED = {
    "alt", "aria-label", "class", "colspan", "height", "href", "id", "open", "rel", "role",
    "rowspan", "scope", "src", "start", "style", "tabindex", "title", "width",
}  # fmt: skip


class Elements(HTMLParser):
    """The tags and attributes of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


NASTY = (
    "<script>x</script>", "<SCRIPT SRC=//x></SCRIPT>", "<img src=x onerror=alert(1)>", "<svg><a>",
    "<math><mi//xlink:href='data:x,<script>1</script>'>", "<iframe srcdoc='<script>1</script>'>",
    "<a href='javascript:1'>x</a>", "<a href='  java\tscript:1'>x</a>", "<a href='//x'>x</a>",
    "<a href='data:text/html,<script>1</script>'>x</a>", "<a href='vbscript:1'>x</a>",
    "<a href='file:///etc/passwd'>x</a>", "<a href='x' target=_blank onclick=1>x</a>",
    "<img src='http://x/y'>", "<img src='//x/y'>", "<img srcset='http://x/y 2x'>",
    "<img src='data:image/svg+xml;base64,AAAA'>", "<img src='data:text/html,x'>",
    "<p style='background:url(http://x)'>", "<p style='color:expression(1)'>",
    "<p style='background-color:\\75rl(http://x)'>", "<td background='http://x'>",
    "<style>@import 'http://x';</style>", "<link rel=stylesheet href=//x>", "<base href=//x>",
    "<meta http-equiv=refresh content='0;url=//x'>", "<form action=//x><button>x</button></form>",
    "<input autofocus onfocus=1>", "<object data=//x></object>", "<embed src=//x>",
    "<video poster=//x><source onerror=1></video>", "<details ontoggle=1 open>x</details>",
    "<!--><img src=x onerror=1>-->", "<![CDATA[<img src=x onerror=1>]]>", "<xmp><img onerror=1>",
    "<noscript><p title='</noscript><img src=x onerror=1>'>", "<table><form><a></table><b",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img onerror=1&gt;'>",
    "<p id=content class=skip name=x tabindex=1 accesskey=x>", "<template><script>1</script>",
    "\0<scr\0ipt>x</script>", "<a href='http://x\"onmouseover=1'>x</a>", "<b/onclick=1>x", "<",
)  # fmt: skip


@pytest.mark.parametrize("text", [*HOSTILE, *NASTY])
@pytest.mark.parametrize("around", ["{}", "<table><tr><td>{}</td></tr></table>", "<p title='{}'>"])
def test_nothing_active_is_left_of_html(text: str, around: str) -> None:
    found = Elements(clean(around.replace("{}", text), level=2))
    assert not found.tags & {
        "script", "style", "iframe", "object", "embed", "svg", "math", "link", "meta", "base",
        "form", "input", "button", "video", "audio", "template", "noscript", "textarea",
    }  # fmt: skip
    for tag, name, value in found.attributes:
        assert name in ALLOWED - {"id"}, (tag, name)
        if name == "href":
            assert re.match(r"https?://|mailto:|#", value), value
            assert (tag, "rel", "noopener noreferrer") in found.attributes
        elif name == "src":
            assert value.startswith("data:image/"), value
        elif name == "style":
            assert not re.search(r"url|expression|\\", value), value
        elif name == "class":
            assert value == "table"


@given(st.text(alphabet="<>/='\" abimgsrctdheln:;&#\n\x00", max_size=60))
@example("<a href=javascript:a>")
def test_whatever_it_is_it_stays_inert(text: str) -> None:
    found = Elements(clean(text))
    assert {name for _, name, _ in found.attributes} <= ALLOWED
    assert all(not name.startswith("on") for _, name, _ in found.attributes)
    assert "script" not in found.tags


def test_text_and_harmless_markup_stay() -> None:
    kept = "<p>a <b>b</b> &lt;c&gt; &amp; <code>d</code></p><ul><li>e</li></ul>"
    assert clean(kept) == kept
    link = clean('<a href="https://example.org/?a=1&amp;b=2#c">x</a>')
    assert 'href="https://example.org/?a=1&amp;b=2#c"' in link
    assert clean(f'<img src="data:image/png;base64,{PNG}" alt="words">').count(PNG) == 1
    assert "not in here: a plan" in clean('<img src="http://x/y.png" alt="a plan">')


def test_absurd_nesting_ends() -> None:
    deep = "<div>" * 3000 + "deep" + "</div>" * 3000
    assert "deep" in clean(deep)
    assert "deep" in markdown_of(shown(data(text_html=deep)))
    quotes = ">" * 2000 + " deep"
    assert "deep" in soup_of(new_markdown_cell(quotes)).text


# --- Markdown ------------------------------------------------------------------------------------

RENDER = mistune.create_markdown(
    escape=False, plugins=["strikethrough", "footnotes", "table", "url", "task_lists", "math"]
)
ACTIVE = re.compile(
    r"<(a|img|script|em|strong|del|code|h\d|li|table|blockquote|math|input|sup|hr|pre|iframe)\b"
)


def rendered(text: str) -> str:
    """What a reader sees of Markdown, as HTML."""
    return str(RENDER(text))


@given(st.text(max_size=40))
@example("- x")
@example("12) x")
@example("--- ")
@example("==")
@example("www.example.org http://x.org a@b.org")
@example("_a_ __b__ *c* ~~d~~ `e` [f](g) ![h](i) <b>j</b> $k$ [^1]")
@pytest.mark.parametrize("around", ["{}", "> {}", "- {}", "| a |\n|---|\n| {} |"])
def test_text_in_markdown_reads_as_it_is_and_does_nothing(around: str, text: str) -> None:
    shown_text = inert(text) if around.startswith("| ") else paragraph(inert(text))
    assert "\n" not in shown_text
    whole = rendered(around.replace("{}", shown_text))
    bare = rendered(around.replace("{}", "word"))
    assert ACTIVE.findall(whole) == ACTIVE.findall(bare), whole
    seen = BeautifulSoup(whole, "html.parser").get_text()
    expected = BeautifulSoup(bare, "html.parser").get_text()
    said = inert_free(text)
    assert " ".join(seen.split()) == " ".join(expected.replace("word", said).split())


def inert_free(text: str) -> str:
    """Text as a person shall see it."""
    from qualia_lab.text import visible

    return visible(" ".join(text.split()))


def test_names_and_numbers_of_others_are_not_called() -> None:
    """GitHub looks for @name and #1 in what it rendered; something must stand between."""
    assert inert("@team") == "&#64;<!-- -->team"
    assert inert("see #12") == "see &#35;<!-- -->12"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_inert_in_every_place_of_a_file(text: str) -> None:
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# T"),
            shown(
                data(text_html=f"<table><tr><td>{escaped(text)}</td></tr></table>"),
                data(text_html=f"<ul><li>{escaped(text)}</li></ul>{escaped(text)}"),
                data(text_plain=text),
                data(image_png=PNG, text_plain=text),
                new_output("stream", text=text),
                new_output("error", ename="E", evalue=text, traceback=[text]),
                source=text,
            ),
        ]
    )
    for brief in (False, True):
        found, pictures = markdown(notebook, brief=brief, folder="n_files")
        html = BeautifulSoup(rendered(found), "html.parser")
        assert not html.find_all(["script", "a", "svg", "iframe", "h2", "h3"])
        assert {one["src"] for one in html.find_all("img")} <= {
            f"n_files/{name}" for name in pictures
        }
        assert len(html.find_all("img")) == (0 if brief else 1)
        assert "\u202e" not in found


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def test_a_table_of_html_becomes_one_of_pipes() -> None:
    html = """<table><caption>Values; * best</caption>
      <thead><tr><th></th><th colspan="2">loss</th></tr>
      <tr><th>run</th><th>mean</th><th>std</th></tr></thead>
      <tbody><tr><th rowspan="2">a|b</th><td style="font-weight: bold">1.5</td><td>x_y<br>z</td>
      <tr><td>-2e-05</td><td></td></tr></tbody></table>"""
    assert markdown_of(shown(data(text_html=html)), code=False).splitlines() == [
        "*Values; &#42; best*",
        "",
        "| run | loss · mean | loss · std |",
        "|---|---:|---|",
        "| a&#124;b | <strong>1.5</strong> | x_y<br>z |",
        "|  | -2e-05 |  |",
    ]


def test_large_tables_are_cut_and_it_is_said() -> None:
    head = "<th></th>" + "".join(f"<th>c{i}</th>" for i in range(40))
    rows = "".join(
        f"<tr><th>r{i}</th>{''.join(f'<td>{i}</td>' for _ in range(40))}</tr>" for i in range(100)
    )
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    cell = shown(data(text_html=html))
    whole = markdown_of(cell, code=False)
    assert "*12 of 40 columns and 60 of 100 rows are shown; the notebook has all.*" in whole
    assert "| r59 |" in whole
    assert "r60" not in whole
    assert "c11" in whole
    assert "c12" not in whole
    assert "*8 of 40 columns and 30 of 100 rows" in markdown_of(cell, brief=True)


def test_pictures_stand_beside_markdown_under_names_that_stay() -> None:
    cell = shown(data(image_png=PNG, text_plain="one"), data(image_png=PNG, text_plain="[two]"))
    cell.id = "curves-1"
    text, pictures = markdown(new_notebook(cells=[cell]), folder="my runs_files")
    assert list(pictures) == ["curves-1.png", "curves-1-2.png"]
    assert pictures["curves-1.png"] == base64.b64decode(PNG)
    assert "![one](my%20runs_files/curves-1.png)" in text
    assert "![&#91;two&#93;](my%20runs_files/curves-1-2.png)" in text


def test_markdown_keeps_the_form_of_what_a_person_wrote() -> None:
    source = (
        "# Title\n\nSome *slanted*, **bold** and `code` [text](https://example.org/a_b?c=d).\n\n"
        "1. one\n2. two\n   - inner\n\n> quoted\n\n```python\nx = '```'\n```\n\n---\n"
    )
    assert markdown_of(new_markdown_cell(source)).splitlines() == [
        "# Title",
        "",
        "Some <em>slanted</em>, <strong>bold</strong> and <code>code</code> "
        "[text](<https://example.org/a_b?c=d>).",
        "",
        "1. one",
        "2. two",
        "   - inner",
        "",
        "> quoted",
        "",
        "````text",
        "x = '```'",
        "````",
        "",
        "---",
    ]


def test_fences_hold_whatever_is_in_them() -> None:
    text = fenced("```\n~~~\n`````\n# x\u202e", "text")
    assert rendered(text).count("<pre>") == 1
    assert "\\u202e" in text


# --- a summary -----------------------------------------------------------------------------------


def made(section: str, *cells: NotebookNode) -> list[NotebookNode]:
    for cell in cells:
        cell.metadata["qualia_lab"] = {"section": section}
    return list(cells)


def report(*sections: str) -> NotebookNode:
    """A notebook with a section of each of these names."""
    cells = made("_shared/title", new_markdown_cell("# The title\n\nWhatever."))
    for name in sections:
        heading = new_markdown_cell(f"## About {name}")
        cells += made(
            name,
            heading,
            shown(
                data(text_html="<table><tr><td>1</td></tr></table>"),
                data(image_png=PNG, text_plain=f"{name} goes up"),
                source="call()",
            ),
        )
    return new_notebook(cells=cells)


@pytest.mark.parametrize(
    ("sections", "kept"),
    [
        (("glance", "overview", "run", "comparison", "groups"), ["glance", "comparison"]),
        (("overview", "run", "comparison"), ["overview", "comparison"]),
        (("run", "comparison"), ["comparison"]),
        (("glance",), ["glance"]),
    ],
)
def test_a_summary_holds_the_findings_and_the_comparison(
    sections: tuple[str, ...], kept: list[str], tmp_path: Path
) -> None:
    path = export(report(*sections), "markdown", tmp_path / "s.md", summary=True)
    text = path.read_text(encoding="utf-8")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# The title", *(f"## About {name}" for name in kept)]
    assert "call()" not in text
    assert f"*Chart: {kept[0]} goes up*" in text
    assert [one.name for one in tmp_path.iterdir()] == ["s.md"]
    html = export(report(*sections), "html", tmp_path / "s.html", summary=True)
    found = BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")
    assert [one.text for one in found.find_all("h2")] == [f"About {name}" for name in kept]
    assert len(found.find_all("img")) == len(kept)


def test_a_notebook_of_others_can_not_be_summed_up(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_markdown_cell("# T"), shown(data(text_plain="1"))])
    with pytest.raises(UsageError, match="no findings and no comparison"):
        export(notebook, "markdown", tmp_path / "s.md", summary=True)
    assert not list(tmp_path.iterdir())


def test_a_summary_fits_into_a_comment(tmp_path: Path) -> None:
    notebook = report("glance", *["comparison"] * 40)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs[0].data["text/html"] = f"<p>{'many words ' * 300}</p>"
    text = export(notebook, "markdown", tmp_path / "s.md", summary=True).read_text()
    assert 40_000 < len(text) <= COMMENT + 1
    assert text.endswith("*Cut here: a comment on GitHub holds 65,536 characters.*\n")


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def executed(tmp_path: Path) -> Path:
    """A small executed notebook."""
    path = tmp_path / "n.ipynb"
    nbformat.write(report("overview", "comparison"), path)
    return path


def run(*args: str | Path, cwd: Path, **env: str) -> Done:
    return in_process(qualia_lab, "export", *map(str, args), cwd=cwd, env=env)


def test_the_command_writes_beside_the_notebook_and_says_where(executed: Path) -> None:
    folder = executed.parent
    done = run("n.ipynb", cwd=folder)
    assert (done.code, done.out, done.err) == (0, "n.html\n", "")
    done = run("n.ipynb", "--to", "markdown", "--to", "html", "-o", "out", "--json", cwd=folder)
    assert done.code == 0, done.err
    paths = [str(Path("out/n.md")), str(Path("out/n.html"))]
    assert json.loads(done.out) == {"notebook": "n.ipynb", "exports": paths}
    assert {one.name for one in (folder / "out").iterdir()} == {"n.html", "n.md", "n_files"}
    assert len(list((folder / "out/n_files").iterdir())) == 2
    done = run("n.ipynb", "-o", "brief.md", "--summary", cwd=folder)
    assert done.out == "brief.md\n"
    assert (folder / "brief.md").read_text().startswith("# The title")


def test_what_is_there_stays_unless_overwrite_says_so(executed: Path) -> None:
    folder = executed.parent
    (folder / "n.html").write_text("mine")
    (folder / "m_files").mkdir()
    before = tree(folder)
    assert_refused(run("n.ipynb", cwd=folder), 7, "n.html exists", "--overwrite")
    assert_refused(
        run("n.ipynb", "--to", "markdown", "-o", "m.md", cwd=folder), 7, "m_files exists"
    )
    # All are looked at before the first is written.
    both = run("n.ipynb", "--to", "markdown", "--to", "html", cwd=folder)
    assert_refused(both, 7, "n.html exists")
    assert tree(folder) == before
    assert run("n.ipynb", "--overwrite", cwd=folder).code == 0
    assert run("n.ipynb", "-o", "m.md", "--overwrite", cwd=folder).code == 0
    assert (folder / "n.html").read_text().startswith("<!doctype html>")
    assert not list(folder.glob(".*.tmp"))


def test_exports_are_put_in_place_whole(executed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = executed.with_suffix(".html")
    target.write_text("old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="No space left"):
        export(read(executed), "html", target, overwrite=True)
    assert target.read_text() == "old"
    assert sorted(one.name for one in executed.parent.iterdir()) == ["n.html", "n.ipynb"]


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_closed_is_an_output_error(executed: Path) -> None:
    executed.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        done = run("n.ipynb", cwd=executed.parent)
    finally:
        executed.parent.chmod(stat.S_IRWXU)
    assert_refused(done, 7, "can't be written")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["gone.ipynb"], 2, ["gone.ipynb"]),
        (["."], 2, ["directory"]),
        (["text.ipynb"], 2, ["text.ipynb is no notebook"]),
        (["list.ipynb"], 2, ["list.ipynb is no notebook"]),
        (["bytes.ipynb"], 2, ["bytes.ipynb is no notebook"]),
        (["bare.ipynb"], 2, ["has no outputs", "jupyter execute"]),
        (["n.ipynb", "--to", "docx"], 2, ["no format docx", "known: html, markdown, pdf"]),
        (["n.ipynb", "-o", "x.pdf", "--to", "html"], 2, ["x.pdf is no name for html", ".html"]),
        (["n.ipynb", "-o", "n.ipynb"], 2, ["n.ipynb is no name for html"]),
        (["n.ipynb", "--to", "html", "--to", "markdown", "-o", "x.html"], 2, ["for 2 formats"]),
        (["n.ipynb", "-o", "text.ipynb/x.html"], 7, ["is a file, not a folder"]),
    ],
)
def test_what_makes_no_sense_is_told(
    executed: Path, args: list[str], code: int, words: list[str]
) -> None:
    folder = executed.parent
    (folder / "text.ipynb").write_text("hello")
    (folder / "list.ipynb").write_text("[1]")
    (folder / "bytes.ipynb").write_bytes(b"\xff\xfe\x00")
    bare = new_notebook(cells=[new_markdown_cell("# T"), new_code_cell("1 + 1")])
    nbformat.write(bare, folder / "bare.ipynb")
    before = tree(folder)
    assert_refused(run(*args, cwd=folder), code, *words)
    assert tree(folder) == before


def test_older_notebooks_are_read(tmp_path: Path) -> None:
    old = {
        "nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""},
        "worksheets": [{"metadata": {}, "cells": [
            {"cell_type": "heading", "level": 2, "metadata": {}, "source": ["Old"]},
            {"cell_type": "code", "language": "python", "collapsed": False, "metadata": {},
             "prompt_number": 1, "input": ["1"],
             "outputs": [{"output_type": "pyout", "prompt_number": 1, "text": ["1"],
                          "metadata": {}}]},
        ]}],
    }  # fmt: skip
    (tmp_path / "old.ipynb").write_text(json.dumps(old))
    assert run("old.ipynb", cwd=tmp_path).code == 0
    assert ">Old</h2>" in (tmp_path / "old.html").read_text()


def test_a_secret_stops_every_format(executed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2-and-more")
    notebook = read(executed)
    notebook.cells[0].source = "# at hunter2-and-more"
    for to, name in (("html", "x.html"), ("markdown", "x.md"), ("pdf", "x.pdf")):
        with pytest.raises(QualiaError, match="would hold a password"):
            export(notebook, to, executed.with_name(name))
    assert not list(executed.parent.glob("x.*"))


def test_without_a_browser_a_pdf_says_how_to_install_one(
    executed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_pdf, "_APPLICATIONS", {})
    empty = executed.parent / "bin"
    empty.mkdir()
    before = tree(executed.parent)
    done = run("n.ipynb", "--to", "html", "--to", "pdf", cwd=executed.parent, PATH=str(empty))
    assert_refused(done, 3, "Chromium or Chrome", "nstall")
    # Nor is a notebook made first, whose export fails then.
    args = ["--all", "-o", "x.ipynb", "--export", "pdf", "--no-input"]
    done = in_process(create, *args, cwd=executed.parent, env={"PATH": str(empty)})
    assert_refused(done, 3, "Chromium or Chrome")
    assert tree(executed.parent) == before


@pytest.mark.parametrize(
    ("system", "program", "line"),
    [
        ("darwin", "", "brew install --cask chromium"),
        ("win32", "", "winget install Google.Chrome"),
        ("linux", "apt-get", "sudo apt-get install chromium"),
        ("linux", "dnf", "sudo dnf install chromium"),
        ("linux", "", "https://www.chromium.org"),
    ],
)
def test_the_line_to_install_goes_by_the_system(
    system: str, program: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_pdf.sys, "platform", system)
    monkeypatch.setattr(export_pdf, "_APPLICATIONS", {})
    monkeypatch.setattr(export_pdf.shutil, "which", lambda name: name if name == program else None)
    with pytest.raises(MissingPartError) as caught:
        export_pdf.browser()
    assert line in caught.value.hint


# --- with the notebook ---------------------------------------------------------------------------


def test_a_notebook_and_its_exports_are_made_at_once(demo_store: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{demo_store}"
    args = ["--tracking-uri", uri, "--all", "--section", "overview", "-o", "a/n.ipynb"]
    args += ["--export", "html", "--export", "markdown", "--no-code", "--no-input"]
    done = command(*args, "--json", cwd=tmp_path, program=CREATE)
    assert done.code == 0, done.err
    record = json.loads(done.out)
    exports = [str(Path("a/n.html")), str(Path("a/n.md"))]
    assert (record["executed"], record["exports"]) == (True, exports)
    assert record["command"].endswith(
        "--execute --export html --export markdown --no-code --overwrite --no-input"
    )
    text = (tmp_path / "a/n.html").read_text(encoding="utf-8")
    assert "Overview" in text
    assert "qualia_lab.load" not in text
    assert len(text.encode()) < 1.5 * (tmp_path / "a/n.ipynb").stat().st_size + 15_000
    before = tree(tmp_path)
    (tmp_path / "a/n.ipynb").rename(tmp_path / "a/moved.ipynb")
    moved = tree(tmp_path)
    again = command(*args, cwd=tmp_path, program=CREATE)
    assert_refused(again, 7, "n.html exists")
    assert tree(tmp_path) == moved != before


def test_flags_about_exports_that_contradict_each_other(demo_store: Path, tmp_path: Path) -> None:
    args = ["--tracking-uri", f"sqlite:///{demo_store}", "--all", "--no-input"]
    for more, words in (
        (["--export", "html", "--no-execute"], ["--export goes without --no-execute"]),
        (["--export", "doc"], ["no format doc", "known: html"]),
        (["--no-code"], ["--no-code is about exports"]),
    ):
        done = in_process(create, *args, *more, cwd=tmp_path)
        assert_refused(done, 2, *words)
    plan = in_process(create, *args, "--export", "pdf", "--dry-run", cwd=tmp_path)
    if plan.code == 0:  # else there is no browser here
        assert "        and notebooks/observation-qualia-demo.pdf" in plan.out.splitlines()
    assert not list(tmp_path.iterdir())


def test_what_is_configured_is_exported_unless_nothing_is_executed(
    demo_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "qualia.toml").write_text('export = ["html"]\n')
    args = ["--tracking-uri", f"sqlite:///{demo_store}", "--all", "--no-input", "--dry-run"]
    assert "n.html" in in_process(create, *args, "-o", "n.ipynb", cwd=tmp_path).out
    plain = in_process(create, *args, "-o", "n.ipynb", "--no-execute", cwd=tmp_path)
    assert plain.code == 0
    assert "n.html" not in plain.out


def test_a_notebook_that_failed_is_exported_all_the_same(demo_store: Path, tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("raise RuntimeError('a broken pandas')\n")
    args = ["--tracking-uri", f"sqlite:///{demo_store}", "--all", "-o", "x.ipynb", "--no-input"]
    done = command(*args, "--export", "html", cwd=tmp_path, program=CREATE)
    assert done.code == 8
    assert done.out == "x.ipynb\nx.html\n"
    found = BeautifulSoup((tmp_path / "x.html").read_text(), "html.parser")
    (error,) = found.select("pre.error")
    assert "a broken pandas" in error.text
    assert "\x1b" not in error.text


def test_the_wheel_holds_the_page(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        names = wheel.namelist()
    for name in ("index.html", "page.css"):
        assert f"qualia_lab/notebook/export_page/{name}" in names
