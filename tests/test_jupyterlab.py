"""The notebook in a real JupyterLab: it opens, and a cell runs by a click."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from commands import command
from conftest import BIN, free_port

pytestmark = [
    pytest.mark.skipif(browser.PROGRAM is None, reason=browser.WHY_NOT),
    pytest.mark.skipif(os.name != "posix", reason="the pipe to the browser is POSIX's"),
    pytest.mark.xdist_group("browser"),
]

SECONDS = 90


@pytest.fixture
def lab(demo_store: Path, tmp_path: Path) -> Iterator[str]:
    """The address of JupyterLab in a folder that holds a notebook about one demo run."""
    made = command(
        *("--tracking-uri", f"sqlite:///{demo_store}", "--best", "val_loss", "--top", "1"),
        *("--section", "glance", "--title", "Seen in Lab", "-o", "n.ipynb", "--no-input"),
        cwd=tmp_path,
    )
    assert made.code == 0, made.err
    port = free_port()
    words = [BIN / "jupyter-lab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
    words += ["--ServerApp.port_retries=0", "--LabApp.news_url=None", "--IdentityProvider.token="]
    words += ["--allow-root", "--expose-app-in-browser", f"--ServerApp.root_dir={tmp_path}"]
    # Settings and workspaces of its own, whatever the machine has.
    env = {**os.environ, "HOME": str(tmp_path), "JUPYTER_PLATFORM_DIRS": "1"}
    with (tmp_path / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=tmp_path, env=env, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for_server(f"{url}/api/status", process, tmp_path / "lab.log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def wait_for_server(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(log.read_text()[-2000:])


def run_by_a_click(page: browser.Page, cell: str, number: int) -> None:
    """Click on the cell and on Run; once more where the page moved under the first click."""
    for last in (False, True):
        page.click(f"{cell}.querySelector('.jp-InputPrompt')")
        page.click("document.querySelector('[data-command=\"notebook:run-cell-and-select-next\"]')")
        try:
            page.wait_for(f"/\\[(\\*|{number})\\]:/.test({cell}.innerText)", 15)
            return
        except TimeoutError:
            if last:
                raise


def test_it_opens_and_a_cell_runs_by_a_click(lab: str, tmp_path: Path) -> None:
    with browser.opened(f"{lab}/lab/tree/n.ipynb?reset", tmp_path / "profile") as page:
        page.resize(1280, 900)
        page.wait_for("document.querySelector('.jp-Notebook h1')", SECONDS)
        heading = page.evaluate("document.querySelector('.jp-Notebook h1').textContent")
        assert heading.startswith("Seen in Lab")
        # Setup and parameters are folded; the cell that loads is the first that is not.
        page.wait_for("document.querySelectorAll('.jp-Notebook .jp-InputPlaceholder').length === 2")
        page.wait_for("document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')")
        for number, output in ((1, ""), (2, ""), (3, "RunSet: 1 of 1 run"), (4, "Best")):
            cell = f"document.querySelectorAll('.jp-Notebook .jp-CodeCell')[{number - 1}]"
            run_by_a_click(page, cell, number)
            page.wait_for(f"{cell}.innerText.includes('[{number}]:')", SECONDS)
            page.wait_for(f"{cell}.innerText.includes({json.dumps(output)})")
        page.screenshot(tmp_path / "lab.png")
        assert (
            page.evaluate(
                "document.querySelectorAll('.jp-RenderedText[data-mime-type*=error]').length"
            )
            == 0
        )
