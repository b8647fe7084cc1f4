"""The questions, answered with real keys: in this process, and once through a pseudo-terminal."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import termios
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from commands import CREATE, command, environment, tree
from conftest import BIN, HOSTILE
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output
from stores import T0, Run, curve, fill

from qualia_lab.cli import prompts
from qualia_lab.cli.choose import Chooser, Flags
from qualia_lab.cli.console import Console
from qualia_lab.cli.options import Which
from qualia_lab.model import Experiment, RunInfo
from qualia_lab.notebook.catalogue import Catalogue

ENTER, SPACE, DOWN, BACK = "\r", " ", "\x1b[B", "\x7f"
CTRL_A, CTRL_C, CTRL_D, CLEAR = "\x01", "\x03", "\x04", "\x15"
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])")


class Screen(io.StringIO):
    """A terminal: keeps what it is sent, and says where its cursor is when asked."""

    def __init__(self, answer: Callable[[str], None]) -> None:
        super().__init__()
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if "\x1b[6n" in text:
            self._answer("\x1b[1;1R")
        return super().write(text)

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.getvalue())


@contextlib.contextmanager
def typing(*keys: str, then: Sequence[tuple[str, str]] = ()) -> Iterator[Screen]:
    """A terminal at which these keys are pressed, and others when it shows some text."""
    with contextlib.ExitStack() as stack:
        pipe = stack.enter_context(create_pipe_input())
        screen = Screen(pipe.send_text)
        output = Vt100_Output(screen, lambda: Size(rows=50, columns=120), term="xterm")
        stack.enter_context(create_app_session(input=pipe, output=output))

        missed: list[str] = []

        def answer() -> None:
            for text, more in then:
                deadline = time.monotonic() + 30
                while text not in screen.text:
                    if time.monotonic() > deadline:
                        missed.append(text)
                        pipe.send_text(CTRL_C)
                        return
                    time.sleep(0.01)
                pipe.send_text(more)

        person = threading.Thread(target=answer)
        pipe.send_text("".join(keys))
        person.start()
        try:
            yield screen
        finally:
            person.join()
            assert missed == [], screen.text


def infos(*names: str) -> list[RunInfo]:
    return [
        RunInfo(
            run_id=f"{number:032x}",
            name=name,
            experiment_id="1",
            status="FINISHED",
            started=T0,
            metrics={"val_loss": 0.25, "x" * 300: float("nan")},
        )
        for number, name in enumerate(names)
    ]


def names(picked: Sequence[RunInfo]) -> list[str]:
    return [run.name for run in picked]


# The questions, one by one.


def test_server_takes_the_default_or_what_is_typed(tmp_path: Path) -> None:
    default = f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / "mlflow.db").touch()
    with typing(ENTER):
        assert prompts.server(default) == default
    with typing(CLEAR, ENTER):
        assert prompts.server(default) == default
    with typing(CLEAR, " http://127.0.0.1:5000 ", ENTER):
        assert prompts.server(default) == "http://127.0.0.1:5000"


def test_server_refuses_a_store_that_is_not_there_in_place(tmp_path: Path) -> None:
    good = "http://127.0.0.1:5000"
    with typing(ENTER, then=[("no SQLite store at", CLEAR + good + ENTER)]):
        assert prompts.server(f"sqlite:///{tmp_path}/none.db") == good
    assert list(tmp_path.iterdir()) == []


def test_the_only_experiment_is_taken_without_a_question() -> None:
    only = Experiment(experiment_id="1", name="churn")
    with typing() as screen:
        assert prompts.experiments([only]) == [only]
    assert screen.text == ""


def test_several_experiments_can_be_chosen() -> None:
    some = [Experiment(experiment_id=one, name=f"number {one}", updated=T0) for one in "123"]
    with typing(SPACE, DOWN, DOWN, SPACE, ENTER) as screen:
        assert prompts.experiments(some) == [some[0], some[2]]
    assert "number 2" in screen.text


RUNS = infos("baseline", "sweep 1", "sweep 2", "other")


@pytest.mark.parametrize(
    ("keys", "picked"),
    [
        ([SPACE, ENTER], ["baseline"]),
        ([DOWN, SPACE, DOWN, SPACE, ENTER], ["sweep 1", "sweep 2"]),
        ([SPACE, DOWN, SPACE, SPACE, ENTER], ["baseline"]),
        ([CTRL_A, ENTER], ["baseline", "sweep 1", "sweep 2", "other"]),
        ([CTRL_A, CTRL_A, DOWN, SPACE, ENTER], ["sweep 1"]),
        (["oth", SPACE, ENTER], ["other"]),
        (["SWEEP", DOWN, SPACE, ENTER], ["sweep 2"]),
        # All of those that the search shows; what was chosen before stays.
        (["swe", CTRL_A, ENTER], ["sweep 1", "sweep 2"]),
        ([SPACE, "swe", CTRL_A, ENTER], ["baseline", "sweep 1", "sweep 2"]),
        ([SPACE, "swe", CTRL_A, CTRL_A, ENTER], ["baseline"]),
        (["swe", SPACE, CTRL_A, ENTER], ["sweep 1", "sweep 2"]),
        (["swe", BACK * 3, CTRL_A, ENTER], ["baseline", "sweep 1", "sweep 2", "other"]),
        # j and k are letters, not arrows.
        (["jk", SPACE, ENTER], ["baseline"]),
    ],
)
def test_runs_are_searched_and_chosen(keys: list[str], picked: list[str]) -> None:
    with typing(*keys):
        assert names(prompts.runs(RUNS)) == picked


def test_no_run_chosen_is_refused_in_place() -> None:
    said = "Choose at least one (space), or all (ctrl-a)."
    with typing(ENTER, then=[(said, DOWN + SPACE + ENTER)]):
        assert names(prompts.runs(RUNS)) == ["sweep 1"]


def test_a_run_is_shown_with_its_status_age_and_metrics() -> None:
    now = int(time.time() * 1000)
    good = replace(infos("good")[0], started=now - 3 * 3_600_000, metrics={"val_loss": 0.123456})
    bad = replace(infos("", "bad")[1], status="FAILED", started=None, metrics={})
    with typing(SPACE, ENTER) as screen:
        assert prompts.runs([good, bad]) == [good]
    assert re.search(r"✓ good +3h ago +val_loss=0.1235", screen.text)
    assert "✗ bad" in screen.text


def test_title_is_the_default_unless_typed() -> None:
    for keys, title in (
        ([ENTER], "Observation: churn"),
        ([" again", ENTER], "Observation: churn again"),
        ([CLEAR, ENTER], "Observation: churn"),
        ([CLEAR, "Mine", ENTER], "Mine"),
    ):
        with typing(*keys):
            assert prompts.title("Observation: churn") == title


def test_output_refuses_a_place_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    taken, folder = Path("taken.ipynb"), Path("folder")
    taken.touch()
    folder.mkdir()
    for place, said in ((taken, "taken.ipynb exists"), (folder, "folder is a folder")):
        with typing(ENTER, then=[(said, CLEAR + "free.ipynb" + ENTER)]):
            assert prompts.output(place, overwrite=False) == Path("free.ipynb")
    with typing(ENTER):
        assert prompts.output(taken, overwrite=True) == taken


def test_confirm_is_yes_unless_denied() -> None:
    for key, said in ((ENTER, True), ("y", True), ("n", False)):
        with typing(key):
            assert prompts.confirm("Write it") is said


ASK: dict[str, Callable[[], Any]] = {
    "server": lambda: prompts.server("http://127.0.0.1:5000"),
    "experiments": lambda: prompts.experiments(
        [Experiment(experiment_id=one, name=one) for one in "12"]
    ),
    "runs": lambda: prompts.runs(RUNS),
    "title": lambda: prompts.title("x"),
    "output": lambda: prompts.output(Path("not-there.ipynb"), overwrite=False),
    "confirm": lambda: prompts.confirm("Write it"),
}


@pytest.mark.parametrize("question", ASK)
def test_ctrl_c_leaves_every_question(question: str) -> None:
    with typing(CTRL_C), pytest.raises(KeyboardInterrupt):
        ASK[question]()


@pytest.mark.parametrize("question", ["server", "title", "output"])
def test_ctrl_d_on_an_empty_line_leaves_too(question: str) -> None:
    with typing(CLEAR, CTRL_D), pytest.raises(KeyboardInterrupt):
        ASK[question]()


# Values that others chose.


def hidden(text: str) -> set[str]:
    """The characters that a terminal would act on or not show.

    Ends of lines and the backspace are left out: they are how the prompt itself moves its cursor,
    and no hostile name here holds a backspace.
    """
    kinds = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
    return {one for one in text if unicodedata.category(one) in kinds} - {"\r", "\n", "\b"}


def first_list(shown: str, question: str) -> list[str]:
    """The lines from the first choice to the last as they were first painted.

    A slow machine paints the list more than once before the answer takes its place.
    """
    lines = shown.split(f"? {question}: ")[1].splitlines()
    start = next(number for number, line in enumerate(lines) if "before" in line)
    end = next(number for number in range(start, len(lines)) if "after" in lines[number])
    return lines[start : end + 1]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_on_its_line(name: str) -> None:
    around = infos("before", name, "after")
    with typing(DOWN, SPACE, ENTER) as screen:
        assert names(prompts.runs(around)) == [name]
    shown = screen.text
    assert hidden(shown) == set()
    listed = first_list(shown, "Runs")
    assert ["before" in listed[0], "after" in listed[2], len(listed)] == [True, True, 3]
    # What is painted over the list later stands, without its escapes, at the end of the last line.
    assert all(len(line) < 80 for line in listed[:2])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_experiment_stays_on_its_line(name: str) -> None:
    others = [Experiment(experiment_id=one, name=one) for one in ("before", "after")]
    hostile = Experiment(experiment_id="7", name=name)
    with typing(DOWN, SPACE, ENTER) as screen:
        assert prompts.experiments([others[0], hostile, others[1]]) == [hostile]
    assert hidden(screen.text) == set()
    listed = first_list(screen.text, "Experiments")
    assert ["before" in listed[0], "after" in listed[2], len(listed)] == [True, True, 3]


# All of them in a row.


@pytest.fixture
def place(migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with MLflow's default store in it: two experiments with runs."""
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    metrics = {"val_loss": curve([1.0, 0.5]), "accuracy": curve([0.5, 0.75])}
    runs = [
        Run(run_id=letter * 32, name=f"run {letter}", started=T0 + number, metrics=metrics)
        for number, letter in enumerate("abc")
    ]
    fill(path, runs, experiment_id=1, name="churn")
    fill(path, [Run(run_id="d" * 32, name="run d")], experiment_id=2, name="other")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chooser(**flags: Any) -> Chooser:
    which = Which(**{one.name: flags.pop(one.name) for one in fields(Which) if one.name in flags})
    return Chooser(Flags(ask=True, which=which, **flags), Catalogue(), Console(quiet=True))


# Server; experiments, newest activity first (churn before other, Default's is now); runs, newest
# first; title; output; yes.
WAY = [ENTER, "churn" + SPACE + ENTER, CTRL_A + ENTER, ENTER, ENTER, "y"]


def test_the_answers_make_the_selection(place: Path) -> None:
    with typing(*WAY) as screen:
        asked = chooser()
        selection, runs = asked.selection()
        assert asked.confirmed(selection, runs)
    assert selection.tracking_uri == "sqlite:///mlflow.db"
    assert selection.experiments == ("churn",)
    assert selection.run_ids == ("c" * 32, "b" * 32, "a" * 32)
    assert selection.of_runs == 3
    assert selection.title == "Observation: churn"
    assert selection.output == Path("notebooks/observation-churn.ipynb")
    assert dict(selection.parameters) == {"metric": "val_loss"}
    assert list(runs.runs.index) == list(selection.run_ids)
    assert "Write notebooks/observation-churn.ipynb: 3 runs" in screen.text
    assert tree(place).keys() == {"mlflow.db"}


@pytest.mark.parametrize("answered", range(len(WAY)))
def test_ctrl_c_anywhere_on_the_way_writes_nothing(answered: int, place: Path) -> None:
    before = tree(place)
    with typing(*WAY[:answered], CTRL_C), pytest.raises(KeyboardInterrupt):
        asked = chooser()
        asked.confirmed(*asked.selection())
    assert tree(place) == before


def test_what_a_flag_says_is_not_asked(place: Path) -> None:
    flags = {
        "tracking_uri": "sqlite:///mlflow.db",
        "experiment": ["churn"],
        "all_runs": True,
        "title": "Mine",
        "output": Path("mine.ipynb"),
    }
    with typing() as screen:
        selection, _ = chooser(**flags).selection()
    assert screen.text == ""
    assert (selection.title, selection.output) == ("Mine", Path("mine.ipynb"))
    with typing(CLEAR, "Asked", ENTER, ENTER) as screen:
        selection, _ = chooser(
            tracking_uri="sqlite:///mlflow.db", experiment=["churn"], top=1
        ).selection()
    assert screen.text.count("Runs:") == 0
    assert selection.output == Path("notebooks/asked.ipynb")
    assert (selection.run_ids, selection.of_runs) == (("c" * 32,), 3)


def test_runs_named_by_a_flag_need_no_experiment(place: Path) -> None:
    with typing(ENTER, ENTER, ENTER) as screen:
        selection, _ = chooser(run=["aaaa", "dddd"]).selection()
    assert "Experiments:" not in screen.text
    # As the same flags without a terminal make it.
    assert (selection.experiments, selection.of_runs) == ((), 4)
    assert selection.run_ids == ("a" * 32, "d" * 32)


def test_the_server_of_the_environment_is_not_asked_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{place}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with typing(*WAY[1:]) as screen:
        selection, _ = chooser().selection()
    assert "Tracking server:" not in screen.text
    assert selection.tracking_uri == uri


# Through a real pseudo-terminal.


@dataclass(kw_only=True)
class Terminal:
    """A command with a terminal for its input and errors; its stdout is a pipe."""

    process: subprocess.Popen[bytes]
    master: int
    slave: int
    seen: bytearray
    result: bytearray

    @property
    def text(self) -> str:
        return ESCAPES.sub("", bytes(self.seen).decode(errors="replace"))

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in self.text:
            assert time.monotonic() < deadline, f"no {text!r} in: {self.text}"
            assert self.process.poll() is None, self.text
            time.sleep(0.02)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def answer(self, question: str, keys: str) -> None:
        self.wait_for(question)
        self.press(keys)

    def end(self) -> int:
        return self.process.wait(timeout=60)


def read_into(descriptor: int, buffer: bytearray) -> None:
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError as error:
            assert error.errno in (errno.EIO, errno.EBADF)
            return
        if not data:
            return
        buffer.extend(data)


@contextlib.contextmanager
def terminal(*args: str, cwd: Path, **env: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 150, 0, 0))
    process = subprocess.Popen(
        [str(BIN / CREATE), *args],
        cwd=cwd,
        env=environment({"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **env}),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    assert process.stdout
    it = Terminal(process=process, master=master, slave=slave, seen=bytearray(), result=bytearray())
    readers = [
        threading.Thread(target=read_into, args=(master, it.seen), daemon=True),
        threading.Thread(target=read_into, args=(process.stdout.fileno(), it.result)),
    ]
    for reader in readers:
        reader.start()
    try:
        yield it
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        readers[1].join()
        process.stdout.close()
        os.close(slave)  # the reader of the other side ends
        readers[0].join(timeout=10)
        os.close(master)


def test_the_whole_way_through_a_terminal(place: Path) -> None:
    path = Path("notebooks/observation-churn.ipynb")
    with terminal(cwd=place) as it:
        it.answer("Tracking server: sqlite:///mlflow.db", ENTER)
        it.answer("Experiments:", "churn")
        it.answer("churn...", SPACE + ENTER)
        it.answer("run a", CTRL_A + ENTER)
        it.answer("Title: Observation: churn", ENTER)
        it.answer(f"Output: {path}", ENTER)
        it.answer(f"Write {path}: 3 runs", ENTER)
        assert it.end() == 0
    assert bytes(it.result).decode() == f"{path}\n"
    assert "Traceback" not in it.text
    content = path.read_bytes()
    nbformat.validate(nbformat.reads(content.decode(), as_version=4))
    (again,) = re.findall(r"Same again: (.*)", it.text)
    path.unlink()
    program, *args = shlex.split(again.strip())
    assert command(*args, program=program, cwd=place).code == 0
    assert path.read_bytes() == content


@pytest.mark.parametrize(("last", "key"), [("Runs:", CTRL_C), ("Write notebooks", "n")])
def test_to_stop_in_the_middle_writes_nothing(last: str, key: str, place: Path) -> None:
    before = tree(place)
    way = {
        "Tracking server:": ENTER,
        "Experiments:": "churn" + SPACE + ENTER,
        "Runs:": SPACE + ENTER,
        "Title:": ENTER,
        "Output:": ENTER,
        "Write notebooks": ENTER,
    }
    with terminal(cwd=place) as it:
        settings = termios.tcgetattr(it.slave)
        for question, keys in way.items():
            it.answer(question, key if question == last else keys)
            if question == last:
                break
        assert it.end() == 130
        assert termios.tcgetattr(it.slave) == settings
    assert it.result == b""
    assert it.text.rstrip().endswith("Stopped.")
    assert "Traceback" not in it.text
    assert tree(place) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_at_a_question_leaves_the_terminal_as_it_was(
    number: signal.Signals, code: int, place: Path
) -> None:
    with terminal(cwd=place) as it:
        settings = termios.tcgetattr(it.slave)
        # Busy, so that the signal strikes in the middle of something.
        it.answer("Tracking server:", "x" * 3000)
        it.wait_for("xxx")
        it.process.send_signal(number)
        assert it.end() == code
        assert termios.tcgetattr(it.slave) == settings
    assert "Traceback" not in it.text


def test_a_signal_at_a_list_of_choices(place: Path) -> None:
    flags = ("--tracking-uri", "sqlite:///mlflow.db")
    with terminal(*flags, cwd=place) as it:
        settings = termios.tcgetattr(it.slave)
        it.wait_for("Experiments:")
        it.process.send_signal(signal.SIGINT)
        assert it.end() == 130
        assert termios.tcgetattr(it.slave) == settings


@pytest.mark.parametrize(("args", "env"), [(("--no-input",), {}), ((), {"CI": "true"})])
def test_a_terminal_is_not_asked_when_nobody_should_be(
    args: tuple[str, ...], env: dict[str, str], place: Path
) -> None:
    with terminal(*args, cwd=place, **env) as it:
        assert it.end() == 2
    assert "nobody to ask" in it.text
    assert "--all" in it.text
