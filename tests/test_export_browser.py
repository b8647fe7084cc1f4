"""Exported pages in a real Chromium: nothing runs, nothing is fetched, everything can be read."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import browser
import pytest
from browser import canary, opened
from cases import write_case
from commands import CREATE, command, environment, in_process
from conftest import BIN, HOSTILE
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from stores import Run, curve, fill, run_id

from qualia_lab.cli.main import main as qualia_lab
from qualia_lab.notebook.export import export

pytestmark = [
    pytest.mark.skipif(browser.PROGRAM is None, reason=browser.WHY_NOT),
    pytest.mark.skipif(os.name != "posix", reason="the pipe to the browser is POSIX's"),
    pytest.mark.xdist_group("browser"),
]

OWNED = "document.title='owned';fetch('{url}/script')"
PAYLOADS = (
    "<script>{js}</script>",
    '<img src="{url}/img" onerror="{js}">',
    '<svg onload="{js}"><image href="{url}/svg"/></svg>',
    '<iframe src="{url}/iframe" srcdoc="<script>{js}</script>"></iframe>',
    '<link rel="stylesheet" href="{url}/link"><style>@import "{url}/import";</style>',
    '<p style="background-image: url({url}/css)">x</p>',
    '<table background="{url}/background"><tr><td>x</td></tr></table>',
    '<object data="{url}/object"></object><embed src="{url}/embed">',
    '<video src="{url}/video" poster="{url}/poster" onerror="{js}"></video>',
    '<details open ontoggle="{js}"><summary>x</summary></details>',
    '<input autofocus onfocus="{js}">',
    '<meta http-equiv="refresh" content="0; url={url}/refresh">',
    "<math><mtext><table><mglyph><style><img src=x onerror={js}></style></mglyph></table></mtext>",
    '<noscript><p title="</noscript><img src=x onerror={js}>">',
    "![x]({url}/markdown)",
    "```mermaid\ngraph TD; A[{url}/mermaid]\n```",
    "$$\\require{{url}}\\href{{javascript:{js}}}{{x}}$$",
)


def hostile_notebook(url: str) -> NotebookNode:
    """A notebook that tries, in every place, to run a script or to reach an address."""
    js = OWNED.format(url=url)
    texts = [*HOSTILE, *(one.format(js=js, url=url) for one in PAYLOADS)]
    cells = [new_markdown_cell("# Hostile")]
    for number, text in enumerate(texts):
        html = f'<table class="dataframe"><tr><td>{text}</td></tr></table>{text}'
        outputs = [
            new_output("display_data", {"text/html": html, "text/plain": text}),
            new_output("display_data", {"text/markdown": text}),
            new_output("display_data", {"application/javascript": js, "text/plain": text}),
            new_output("display_data", {"text/vnd.mermaid": text}),
            new_output("display_data", {"image/svg+xml": f"<svg><script>{js}</script></svg>"}),
            new_output("stream", text=text),
            new_output("error", ename="E", evalue=text, traceback=[text]),
        ]
        cells += [
            new_markdown_cell(f"## Number {number}\n\n{text}"),
            new_markdown_cell(f"### {' '.join(text.split())}"),
            new_code_cell(text, outputs=outputs, execution_count=1),
        ]
    return new_notebook(cells=cells)


@pytest.fixture(scope="module")
def demo(demo_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo notebook, executed and exported to HTML and PDF by the command."""
    folder = tmp_path_factory.mktemp("exported")
    args = ["--tracking-uri", f"sqlite:///{demo_store}", "--all", "-o", "demo.ipynb", "--no-input"]
    done = command(*args, "--export", "html", "--export", "pdf", cwd=folder)
    assert done.code == 0, done.err
    assert done.out.split() == ["demo.ipynb", "demo.html", "demo.pdf"]
    return folder


def test_the_demo_page_is_quiet_and_fits_into_every_window(demo: Path, tmp_path: Path) -> None:
    with opened((demo / "demo.html").as_uri(), tmp_path / "profile") as page:
        assert page.seen == browser.Seen()
        assert page.evaluate("document.scripts.length") == 0
        assert page.evaluate("document.querySelectorAll('main h1').length") == 1
        assert page.evaluate("document.images.length") > 3
        broken = "[...document.images].filter(one => !one.naturalWidth || !one.alt).length"
        assert page.evaluate(broken) == 0
        wide = "document.documentElement.scrollWidth - window.innerWidth"
        for width in (390, 768, 1280, 1920):
            page.resize(width, 844)
            assert page.evaluate(wide) <= 0, width
        # Beside the text where there is room for it, else above.
        place = "document.querySelector('nav').getBoundingClientRect()"
        text = "document.querySelector('main').getBoundingClientRect()"
        assert page.evaluate(f"{place}.right <= {text}.left")
        page.resize(390, 844)
        assert page.evaluate(f"{place}.bottom <= {text}.top")
        page.evaluate("document.querySelector('nav a[href=\"#comparison\"]').click()")
        assert abs(page.evaluate("document.querySelector('#comparison').offsetTop - scrollY")) < 60


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_by_day_and_by_night(demo: Path, tmp_path: Path, dark: bool) -> None:
    """WCAG 2.2 asks for a contrast of 4.5 between text and what is behind it."""
    script = """
    (() => {
      const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(v => v / 255)
          .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = one => {
        for (; one; one = one.parentElement) {
          const colour = getComputedStyle(one).backgroundColor;
          if (!colour.includes(', 0)')) return colour;
        }
      };
      const found = [...document.querySelectorAll('body *')]
        .filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .map(one => {
          const a = light(getComputedStyle(one).color), b = light(behind(one));
          const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          return [ratio, one.outerHTML.slice(0, 80)];
        });
      return found.sort((a, b) => a[0] - b[0])[0];
    })()
    """
    with opened((demo / "demo.html").as_uri(), tmp_path / "profile") as page:
        page.resize(1280, 900, dark=dark)
        least, where = page.evaluate(script)
        behind = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert least >= 4.5, where
    assert (behind == "rgb(255, 255, 255)") is not dark


def test_nothing_of_a_hostile_notebook_runs_or_is_fetched(tmp_path: Path) -> None:
    with canary() as (url, asked):
        path = export(hostile_notebook(url), "html", tmp_path / "hostile.html")
        with opened(path.as_uri(), tmp_path / "profile") as page:
            assert page.seen == browser.Seen()
            assert page.evaluate("document.title") == "Hostile"
            assert page.evaluate("document.scripts.length") == 0
            handlers = "[...document.querySelectorAll('*')].flatMap(one => [...one.attributes])"
            names = set(page.evaluate(f"{handlers}.map(one => one.name)"))
            assert {name for name in names if name.startswith("on")} == set()
            links = page.evaluate("[...document.links].map(one => one.protocol)")
            assert set(links) <= {"file:", "http:", "https:", "mailto:"}
        assert asked == []


def test_the_same_eyes_see_what_an_unsafe_page_does(tmp_path: Path) -> None:
    """As nbconvert writes it by default: or else the tests above prove nothing."""
    from nbconvert import HTMLExporter

    with canary() as (url, asked):
        js = OWNED.format(url=url)
        data = {"text/html": f"<script>{js}</script><img src='{url}/img'>"}
        cell = new_code_cell("x", outputs=[new_output("display_data", data)])
        text, _ = HTMLExporter().from_notebook_node(new_notebook(cells=[cell]))
        (tmp_path / "unsafe.html").write_text(text)
        with opened((tmp_path / "unsafe.html").as_uri(), tmp_path / "profile") as page:
            assert page.evaluate("document.title") == "owned"
            assert page.evaluate("document.scripts.length") > 0
            assert f"{url}/img" in page.seen.requests
        assert {"/img", "/script"} <= set(asked)


def test_the_notebook_of_hostile_runs_is_quiet_too(migrated: Path, tmp_path: Path) -> None:
    write_case("hostile", Path(shutil.copy(migrated, tmp_path / "mlflow.db")))
    args = ("--all", "-o", "h.ipynb", "--no-input", "--export", "html")
    done = command(*args, cwd=tmp_path, program=CREATE)
    assert done.code == 0, done.err
    with opened((tmp_path / "h.html").as_uri(), tmp_path / "profile", seconds=90) as page:
        assert page.seen == browser.Seen()
        assert page.evaluate("document.scripts.length") == 0
        page.resize(390, 844)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext (poppler-utils)")
def test_the_pdf_holds_the_headings_and_all_columns(demo: Path) -> None:
    done = subprocess.run(
        ["pdftotext", "-layout", demo / "demo.pdf", "-"], capture_output=True, check=True, text=True
    )
    page = (demo / "demo.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h[12][^>]*>([^<]+)</h[12]>", page)
    assert len(headings) > 8
    words = " ".join(done.stdout.split())
    for heading in headings:
        assert " ".join(heading.split()) in words
    fonts = subprocess.run(["pdffonts", demo / "demo.pdf"], capture_output=True, check=True)
    assert fonts.stdout.count(b"\n") > 2


def test_a_table_of_thirty_columns_is_whole_on_paper(tmp_path: Path) -> None:
    head = "".join(f"<th>column{number:02}</th>" for number in range(30))
    row = "".join(f"<td>{number:02}.1234</td>" for number in range(30))
    html = f"<table><thead><tr>{head}</tr></thead><tbody><tr>{row}</tr></tbody></table>"
    cell = new_code_cell("x", outputs=[new_output("display_data", {"text/html": html})])
    notebook = new_notebook(cells=[new_markdown_cell("# Wide"), cell])
    path = export(notebook, "pdf", tmp_path / "wide.pdf")
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext (poppler-utils)")
    boxes = subprocess.run(
        ["pdftotext", "-bbox", path, "-"], capture_output=True, check=True, text=True
    ).stdout
    pages = re.findall(r'<page width="([\d.]+)"(.*?)</page>', boxes, re.DOTALL)
    right = [
        (float(edge), float(width))
        for width, inner in pages
        for edge in re.findall(r'xMax="([\d.]+)"', inner)
    ]
    assert len(right) > 60
    assert all(edge < width for edge, width in right)


def test_ctrl_c_while_it_prints_leaves_no_browser_and_no_file(demo: Path, tmp_path: Path) -> None:
    shutil.copy(demo / "demo.ipynb", tmp_path / "n.ipynb")
    # A browser that never ends, with a child of its own.
    program = tmp_path / "bin" / "chromium"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nsleep 3131 &\necho $$ $! > {tmp_path}/pids\nwait\n")
    program.chmod(0o755)
    process = subprocess.Popen(
        [BIN / "qualia-lab", "export", "n.ipynb", "--to", "pdf"],
        cwd=tmp_path,
        env={**environment(), "PATH": f"{program.parent}:/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "pids").exists() or not (tmp_path / "pids").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert process.stderr is not None
    assert process.stderr.read() == "\nStopped.\n"
    process.stderr.close()
    for pid in (tmp_path / "pids").read_text().split():
        state = Path(f"/proc/{pid}/stat")
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "n.ipynb", "pids"]


def test_a_temp_folder_too_deep_for_sockets(migrated: Path, tmp_path: Path) -> None:
    """The kernel and the browser each put sockets there, whose paths have a hundred characters."""
    store = Path(shutil.copy(migrated, tmp_path / "store.db"))
    fill(store, [Run(run_id=run_id(1), name="one", metrics={"loss": curve([1.0, 0.5])})])
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    args = ("--tracking-uri", "sqlite:///store.db", "--all", "--export", "pdf", "-o", "n.ipynb")
    done = command(*args, cwd=tmp_path, env={"TMPDIR": str(deep)})
    assert (done.code, done.out) == (0, "n.ipynb\nn.pdf\n"), done.err
    assert list(deep.iterdir()) == []


def test_a_browser_that_fails_is_told(demo: Path, tmp_path: Path) -> None:
    shutil.copy(demo / "demo.ipynb", tmp_path / "n.ipynb")
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho 'No usable sandbox!' >&2\nexit 1\n")
    program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = in_process(qualia_lab, "export", "n.ipynb", "--to", "pdf", cwd=tmp_path, env=env)
    assert done.code == 3
    assert "did not print the page: No usable sandbox!" in done.err
    assert not (tmp_path / "n.pdf").exists()
