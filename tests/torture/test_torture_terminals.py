"""What reaches a terminal acts on none: not of what was logged, and not of what was typed."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from commands import environment, in_process
from conftest import BIN
from hostile_book import LOGGED, fill, in_place
from payloads import PAYLOADS, Payload
from terminals import CTRL_C, ENTER, ESCAPES, PAGE_DOWN, hidden, terminal
from torture_table import FULL, Saw, size

from qualia_lab.cli.main import main

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="terminals as POSIX has them"),
    pytest.mark.timeout(1200),
]
URL = "http://127.0.0.1:9"
USED = range(0, len(PAYLOADS), size(8, full=1))
CODES = {0, 2, 3, 4, 5, 6, 7}
# Never sent by this program: titles, links and the clipboard (OSC), DCS, APC, C1, bell, direction.
_NEVER = re.compile("\x1b[\\]P_^X]|[\x07\x80-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069]")


@pytest.fixture(scope="module")
def place(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which every payload stands in every place."""
    folder = tmp_path_factory.mktemp("hostile")
    database = Path(shutil.copy(migrated, folder / "mlflow.db"))
    fill(list(USED), URL, database)
    return folder


def acts(sent: str, texts: Sequence[str]) -> list[str]:
    """What of a text came through to a terminal as it was; colours are the program's own."""
    found = _NEVER.findall(sent)
    found += sorted(hidden(ESCAPES.sub("", sent)) - {"\x1b"})
    for text in texts:
        places = [at for at, char in enumerate(text) if char in hidden(text) or char == "\r"]
        found += [text[at : at + 8] for at in places if text[at : at + 8] in sent]
    return found


def armed() -> list[str]:
    return [in_place(one, slot, URL) for one in USED for slot in LOGGED]


def store(place: Path) -> list[str]:
    return ["--tracking-uri", f"sqlite:///{place}/mlflow.db"]


def at_terminal(words: Sequence[str], cwd: Path, **env: str) -> tuple[int, str]:
    """Run a program with a terminal for all its input and output: its code, and all it sent."""
    master, slave = pty.openpty()
    home = {"TERM": "xterm-256color", "HOME": str(cwd / "home"), "COLUMNS": "400", **env}
    process = subprocess.Popen(
        words, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environment(home),
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    sent = b""
    with suppress(OSError):
        while data := os.read(master, 65536):
            sent += data
    os.close(master)
    return process.wait(timeout=60), sent.decode("utf-8", "replace").replace("\r\n", "\n")


@pytest.mark.torture("text")
def test_lists_of_hostile_runs_are_text(place: Path, tmp_path: Path, saw: Saw) -> None:
    shown = 0
    for args in (["--format", "table"], ["--format", "ids"], ["--json"], ["--format", "csv"]):
        done = in_process(main, "runs", *store(place), *args, cwd=tmp_path)
        assert done.code == 0, done.err
        assert not hidden(done.out + done.err) - {"\r"}, args
        shown += len(USED)
    saw(payloads_at_a_terminal=shown)


@pytest.mark.torture("text")
@pytest.mark.parametrize("part", range(2))
def test_whatever_is_typed_is_told_as_text(
    part: int, place: Path, tmp_path: Path, saw: Saw
) -> None:
    """As the value of flags, as arguments, in variables and in files of settings."""
    told = 0
    for number in list(USED)[part :: size(6, full=2)]:
        text = PAYLOADS[number].armed(7, URL).replace("\x00", "")
        for args, env in typed(text, place, tmp_path, number):
            done = in_process(main, *args, cwd=tmp_path, env=env)
            assert done.code in CODES, (args, done.err)
            assert "Traceback" not in done.err, (args, done.err)
            assert "is a bug" not in done.err, (args, done.err)
            assert not hidden(done.out + done.err), (args, done.out, done.err)
            told += 1
    saw(payloads_at_a_terminal=told)


def typed(
    text: str, place: Path, folder: Path, number: int
) -> list[tuple[list[str], dict[str, str]]]:
    """Commands that have a text in them; which of the flags have it goes by the number."""
    value = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    settings = folder / "other.toml"
    settings.write_text(f"kind = {value}\n[parameters]\nmetric = {value}\n{value} = 1\n")
    flags = ("--experiment", "--run", "--name", "--where", "--filter", "--best", "--since")
    of_create = (
        "--kind",
        "--section",
        "--param=metric",
        "--title",
        "--output",
        "--templates",
        "--with",
    )
    flag, other = flags[number % len(flags)], of_create[number % len(of_create)]
    create = ["create", *store(place), "--experiment", "2", "--all", "--dry-run", "--no-input"]
    nothing: dict[str, str] = {}
    return [
        (["runs", *store(place), f"{flag}={text}"], nothing),
        ([*create, f"{other}={text}"], nothing),
        (["kinds", "--", text], nothing),
        (["prices", "--no-config", "--", text], nothing),
        (["config", "--config", str(settings)], nothing),
        (["config", "--no-config"], {"QUALIA_KIND": text, "QUALIA_TITLE": text}),
        (["export", "--", text], nothing),
        (["runs", f"--tracking-uri={text}"], nothing),
        ([text], nothing),
    ]


@pytest.mark.torture("text")
def test_at_a_real_terminal_nothing_acts(place: Path, tmp_path: Path, saw: Saw) -> None:
    texts = armed()
    text = "".join(one.text for one in PAYLOADS if one.family in ("terminal", "unicode"))
    text = text.replace("%N%", "7").replace("%URL%", URL).replace("%JS%", "x")
    folder = tmp_path / "mine" / "bell\x07\x1b[31mred\u202e"
    folder.mkdir(parents=True)
    value = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    (folder / "kind.toml").write_text(
        f"title = {value}\nsummary = {value}\n[[section]]\nfile = 'a'\n", encoding="utf-8"
    )
    (folder / "a.py.j2").write_text("# %%\n1\n")
    (tmp_path / "qualia.toml").write_text(f"title = {value}\n", encoding="utf-8")
    program = str(BIN / "qualia-lab")
    commands = (
        ["runs", *store(place)],
        ["runs", *store(place), "--run", text[:200]],
        ["kinds", "--templates", str(folder.parent)],
        ["kinds", folder.name, "--templates", str(folder.parent)],
        ["prices", text[:300]],
        ["config"],
        ["doctor", "--tracking-uri", f"sqlite:///{tmp_path}/{text[:60]}.db".replace("\x00", "")],
        ["create", *store(place), "--all", "--no-input", "--no-config", "--dry-run"],
        [
            *("create", *store(place), "--experiment", "1", "--all", "--no-input", "--no-config"),
            *("--section", "overview", "--execute", "-o", "n.ipynb"),
        ],
    )
    chosen = commands[:: size(4, full=1)]
    for words in chosen:
        code, sent = at_terminal([program, *words], tmp_path)
        assert code in CODES, (words, sent)
        assert "is a bug" not in sent, sent
        assert acts(sent, [*texts, text]) == [], words
        assert sent, words
    saw(commands_at_a_real_terminal=len(chosen))


@pytest.mark.torture("text")
def test_questions_about_hostile_runs_are_text(place: Path, tmp_path: Path, saw: Saw) -> None:
    texts = armed()
    environments: list[dict[str, str]] = [{}, {"TERM": "dumb"}]
    for env in environments[: size(1, full=2)]:
        args = (*store(place), "--no-config", "--kind", "observation")
        with terminal(*args, cwd=tmp_path, env=env, rows=60) as it:
            it.wait_for("Experiments")
            it.press("m\n" if env else PAGE_DOWN)
            it.wait_for("onerror" if not env else "b: back: ")
            it.press("2,3,4\n" if env else " \x1b[B \x1b[B \r")
            it.wait_for("Which runs?")
            it.press("1\n" if env else ENTER)
            it.wait_for("Runs (")
            it.press(CTRL_C)
            it.end()
            assert acts(it.sent, texts) == []
    saw(prompts_at_a_real_terminal=size(3, full=6))


@pytest.mark.torture("text")
def test_the_same_eyes_see_what_a_careless_program_prints(tmp_path: Path, saw: Saw) -> None:
    careless = "import sys; [print(one) for one in sys.argv[1:]]"
    markup = "import sys, rich; [rich.print(one) for one in sys.argv[1:]]"
    caught = 0
    for payload in PAYLOADS:
        text = payload.armed(7, URL)
        if payload.family in ("terminal", "unicode") and hidden(text) - {"\t"}:
            _, sent = (
                at_terminal([sys.executable, "-c", careless, text], tmp_path)
                if (FULL or caught < 5)
                else (0, text)
            )
            assert acts(sent, [text]), text
            caught += 1
    broken = Payload("terminal", "[/nope]").text
    code, _ = at_terminal([sys.executable, "-c", markup, broken], tmp_path)
    assert code == 1  # rich's own markup ends a program
    saw(caught_of_a_careless_program=caught)
