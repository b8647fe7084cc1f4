"""A page as PDF, printed by a Chromium or Chrome that is installed here."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from qualia_lab import leftovers, temporary
from qualia_lab.errors import MissingPartError
from qualia_lab.text import visible

_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
# Where macOS and Windows keep what they put on no PATH: {variable: paths below it}.
_APPLICATIONS: Mapping[str, tuple[str, ...]] = {
    "": (
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ),
    **dict.fromkeys(
        ("ProgramFiles", "ProgramFiles(x86)", "LocalAppData"),
        (
            "Chromium/Application/chrome.exe",
            "Google/Chrome/Application/chrome.exe",
            "Microsoft/Edge/Application/msedge.exe",
        ),
    ),
}
_INSTALL = {
    "darwin": "brew install --cask chromium",
    "win32": "winget install Google.Chrome",
}
_SECONDS, _SECONDS_TO_DIE = 120, 0.5
# It puts a socket of 46 characters in its temp folder, and the path of one has 104 at most.
_LONG = 55
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
)


def find() -> str | None:
    """The program that prints, on the PATH or where the system keeps applications."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    for variable, places in _APPLICATIONS.items():
        if variable and not os.environ.get(variable):
            continue
        for place in places:
            there = Path(os.environ.get(variable, ""), place)
            if there.is_file() and os.access(there, os.X_OK):
                return str(there)
    return None


def browser() -> str:
    """The program that prints.

    Raises:
        MissingPartError: there is none.
    """
    if found := find():
        return found
    raise MissingPartError(
        "a PDF is printed by Chromium or Chrome, and neither is installed here",
        hint=f"{_install()}   (or export to HTML, and print that)",
    )


def pdf(page: str) -> bytes:
    """The page on paper (A4), with its headings as the outline.

    The browser has no network, runs no script and keeps nothing.

    Raises:
        MissingPartError: there is no browser, or it did not print.
    """
    program = browser()
    with temporary.folder() as folder:
        source, target = folder / "page.html", folder / "page.pdf"
        source.write_text(page, encoding="utf-8")
        profile = f"--user-data-dir={folder / 'profile'}"
        # As root, as in containers, its sandbox does not start; what it opens is our own page.
        root = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
        command = [program, *_FLAGS, *root, profile, f"--print-to-pdf={target}", source.as_uri()]
        said = _run(command, folder)
        content = target.read_bytes() if target.is_file() else b""
    if not content.startswith(b"%PDF-"):
        last = ([line for line in said.splitlines() if line.strip()] or ["it said nothing"])[-1]
        raise MissingPartError(
            f"{Path(program).name} did not print the page: {visible(last, 300)}",
            hint="Export to HTML, and print that; or install another: " + _install(),
        )
    return content


def _run(command: list[str], folder: Path) -> str:
    """What the browser says, which keeps its temp files in that folder, where its sockets can be.

    It and its children are gone when this returns or raises.
    """
    process = subprocess.Popen(  # noqa: S603 - a program of this machine, our own arguments
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(folder) if len(str(folder)) < _LONG else "/tmp"},  # noqa: S108
    )
    with leftovers.program(lambda: process.pid):
        try:
            return process.communicate(timeout=_SECONDS)[1]
        except subprocess.TimeoutExpired:
            return f"it took more than {_SECONDS} s"
        finally:
            _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    leftovers.kill(process.pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    # Its children may still write to the folder that is removed next.
    deadline = time.monotonic() + _SECONDS_TO_DIE
    while leftovers.is_there(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    if process.stderr:
        process.stderr.close()


def _install() -> str:
    if sys.platform in _INSTALL:
        return _INSTALL[sys.platform]
    for manager, line in (
        ("apt-get", "sudo apt-get install chromium"),
        ("dnf", "sudo dnf install chromium"),
        ("pacman", "sudo pacman -S chromium"),
        ("zypper", "sudo zypper install chromium"),
        ("apk", "sudo apk add chromium"),
    ):
        if shutil.which(manager):
            return line
    return "install Chromium: https://www.chromium.org/getting-involved/download-chromium/"
