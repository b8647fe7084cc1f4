"""The questions in their order, at a real terminal: every way through them, back and out."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest
from commands import command, environment, in_process, tree
from conftest import BIN, HOSTILE
from stores import T0, Run, curve, fill, run_id
from terminals import (
    BACKSPACE,
    CLEAR,
    CTRL_A,
    CTRL_C,
    CTRL_D,
    DOWN,
    END,
    ENTER,
    ESC,
    ESCAPES,
    SPACE,
    TAB,
    UP,
    Display,
    Terminal,
    hidden,
    pasted,
    terminal,
    typing,
)
from traced import Span, Traced, write

from qualia_lab import ArtifactExplorer
from qualia_lab.cli.console import Console
from qualia_lab.cli.create import main as create
from qualia_lab.cli.options import Which
from qualia_lab.cli.tables import cell_width
from qualia_lab.cli.which_runs import WhichRuns
from qualia_lab.model import Query, RunInfo
from qualia_lab.text import visible

STORE = "sqlite:///mlflow.db"
STATE = "home/.local/state/qualia-lab/servers.json"
PASSWORD = "c0rrect-h0rse"

# The newest first: f e d c b a.
A, B, C, D, E, F = (letter * 32 for letter in "abcdef")
DAY = 86_400_000


def runs_of_churn() -> list[Run]:
    def metrics(loss: float, zeta: float) -> dict[str, Any]:
        return {"val_loss": curve([1.0, loss]), "zeta": curve([zeta])}

    def under(parent: str) -> dict[str, str]:
        return {"mlflow.parentRunId": parent}

    def run(of: str, name: str, started: int, **more: Any) -> Run:
        ended = {"ended": T0 + started + 61_000, **more}
        return Run(run_id=of, name=name, started=T0 + started, **ended)

    return [
        run(A, "baseline", 0, params={"lr": "0.1"}, metrics=metrics(0.5, 3)),
        run(B, "sweep", DAY),
        run(C, "sweep one", DAY + 1, params={"lr": "0.01"}, metrics=metrics(0.2, 1), tags=under(B)),
        run(D, "sweep two", DAY + 2, params={"lr": "0.3"}, metrics=metrics(0.4, 5), tags=under(B)),
        run(E, "ablation", 3 * DAY, status="FAILED", metrics=metrics(0.9, 2)),
        run(F, "ablation late", 4 * DAY, status="RUNNING", ended=None,
            metrics={"val_loss": curve([0.3])}),
    ]  # fmt: skip


@pytest.fixture(scope="session")
def filled(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two experiments that have runs, and Default, which has none."""
    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("filled") / "mlflow.db"))
    fill(path, runs_of_churn(), experiment_id=1, name="churn")
    fill(path, [Run(run_id="9" * 32, name="lonely")], experiment_id=2, name="other")
    return path


@pytest.fixture
def place(filled: Path, tmp_path: Path) -> Path:
    """A folder with that database as MLflow's default store."""
    shutil.copy(filled, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Templates with a second kind, which asks three questions."""
    folder = tmp_path_factory.mktemp("templates")
    (folder / "study").mkdir()
    (folder / "study/kind.toml").write_text("""
title = "Study"
summary = "A study of a few runs."
section = [{file="_shared/title"}, {file="_shared/setup"}, {file="_shared/parameters"}]
[parameters.depth]
ask = "How deep"
choices = ["shallow", "deep"]
default = "first"
[parameters.seed]
ask = "Seed"
default = 7
[parameters.note]
ask = "Note"
default = "none"
""")
    (folder / "needy").mkdir()
    (folder / "needy/kind.toml").write_text("""
title = "Needy"
summary = "About data sets."
section = [{file="_shared/title", fixed=true}, {file="rest", needs=["two_runs", "datasets"]}]
""")
    (folder / "needy/rest.py.j2").write_text("# %%\n1\n")
    (folder / "many").mkdir()
    (folder / "many/kind.toml").write_text("""
title = "Many"
summary = "About many runs."
min_runs = 1000
section = [{file="_shared/title"}]
""")
    return folder


def written(place: Path) -> set[str]:
    """What there is but the store and the person's home."""
    return {name for name in tree(place) if not name.startswith(("home", "mlflow.db"))}


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run it as a person would who pasted it, but where nobody sits."""
    path = f"{BIN}:{os.environ['PATH']}"
    env = environment({"PATH": path, "HOME": str(cwd / "home")})
    return subprocess.run(
        ["/bin/sh", "-c", line], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True
    )


def again_of(it: Terminal) -> str:
    """The command that was printed to make the same notebook again."""
    (line,) = re.findall("^Same again: (.*)$", it.said, re.MULTILINE)
    return str(line)


def assert_made_again(it: Terminal, path: Path, cwd: Path) -> list[str]:
    """The printed command makes the same bytes; gives its words."""
    content = path.read_bytes()
    path.unlink()
    program, *words = shlex.split(again_of(it))
    assert program == "create-observation-notebook"
    done = in_process(create, *words, cwd=cwd, env={"HOME": str(cwd / "home")})
    assert done.code == 0, done.err
    assert path.read_bytes() == content
    return words


# All of them in a row.

KINDS = [
    "❯ Observation  "
    "What happened in these runs: which is best, why, what differs, and each of them.",
    "  Cost         "
    "What the calls of models cost: by stage, model and user, at other prices, and how to pay "
    "less.",
    "  Drift        "
    "Whether it still holds: which features drifted, whether metrics and errors changed, and "
    "since when.",
]
KEYS = "enter: choose, esc: back, type: search"


def test_the_whole_way(place: Path) -> None:
    path = place / "notebooks/observation-churn-2-chosen-runs.ipynb"
    with terminal(cwd=place, program=True) as it:
        settings = it.settings
        it.asked("Tracking server")
        assert it.lines == [
            "? Tracking server",
            "❯ sqlite:///mlflow.db  MLflow's default here",
            "  Another one          an address, or sqlite:///path",
            KEYS,
        ]
        it.press(ENTER)
        it.asked("What kind of notebook?")
        assert it.lines[1:] == ["  3 experiments, 7 runs", "? What kind of notebook?", *KINDS, KEYS]
        it.press(ENTER)
        it.asked("Experiments")
        assert re.fullmatch(r"  3 experiments, 7 runs", it.lines[1])
        assert it.lines[2] == "? What kind of notebook? Observation"
        assert re.fullmatch(r"    name +runs +last used", it.lines[4])
        assert re.fullmatch(r"  ○ Default +0 +(now|\d+m ago)  \(no runs\)", it.line("Default"))
        assert re.fullmatch(r"❯ ○ churn +6 +\d+[dy] ago", it.line("churn"))
        it.press(ENTER)
        it.asked("Which runs?")
        assert [line.split("  ")[0] for line in it.lines[5:-1]] == [
            "❯ Pick by hand", "", "", "", "",
        ]  # fmt: skip
        it.press(ENTER)
        it.asked("Runs (6, newest first)")
        header, *lines = it.lines[5:-1]
        assert header.split() == ["name", "age", "took", "val_loss", "zeta", "id"]
        shown = [re.sub(r" +\d+[dy] ", " ", line[4:], count=1) for line in lines]
        assert [" ".join(line.split()) for line in shown] == [
            "▶ ablation late 0.3 ffffffff",
            "✗ ablation 61 s 0.9 2 eeeeeeee",
            "✓ sweep 61 s bbbbbbbb",
            "✓ sweep two 61 s 0.4 5 dddddddd",
            "✓ sweep one 61 s 0.2 1 cccccccc",
            "✓ baseline 61 s 0.5 3 aaaaaaaa",
        ]
        # Nested runs stand under their parent, and each column under its title.
        assert [line.index("sweep") for line in lines[2:5]] == [7, 9, 9]
        assert {line.index(line.split()[-1]) for line in (header, *lines)} == {header.index("id")}
        it.press(DOWN * 4 + SPACE + DOWN + SPACE)
        it.wait_for("2 chosen")
        it.press(ENTER)
        it.reply("Metric to rank runs by", ENTER)
        it.reply("Title: Observation: churn, 2 chosen runs", ENTER)
        it.reply(f"Output: {path.relative_to(place)}", ENTER)
        it.reply("What next?", ENTER)
        it.asked(f"Write {path.relative_to(place)}?")
        assert written(place) == set()
        it.press("y")
        assert it.end() == 0
        assert it.settings == settings
    answers = [line for line in it.lines if line.startswith("? ")]
    assert answers == [
        f"? Tracking server {STORE}",
        "? What kind of notebook? Observation",
        "? Experiments churn",
        "? Runs 2 of 6",
        "? Metric to rank runs by val_loss",
        "? Title: Observation: churn, 2 chosen runs",
        f"? Output: {path.relative_to(place)}",
        "? What next? Write it",
        f"? Write {path.relative_to(place)}? Yes",
    ]
    assert "  - run × 2" in it.lines
    assert "  runs   2 of 6" in it.lines
    assert it.result == f"{path.relative_to(place)}\n"
    assert json.loads((place / STATE).read_text()) == {"servers": [f"sqlite:///{place}/mlflow.db"]}
    content = path.read_bytes()
    nbformat.validate(nbformat.reads(content.decode(), as_version=4))
    path.unlink()
    done = shell(again_of(it), place)
    assert (done.returncode, done.stdout.decode()) == (0, it.result)
    assert path.read_bytes() == content


# Which runs. The other questions are answered by flags.

OF_CHURN = ("--tracking-uri", STORE, "--experiment", "churn")
KIND = ("--kind", "observation")
ALL_BUT_KIND = ("--title", "T", "--output", "t.ipynb", "--no-execute")
REST = ("--param", "metric=val_loss", *ALL_BUT_KIND, *KIND)
ONLY_RUNS = (*OF_CHURN, *REST)
BY_HAND, ALL, BEST, REFINE, SHOW_ALL = ("Pick", "All", "best", "Refine", "Show")


def pick(it: Terminal, way: str, question: str = "Which runs?") -> None:
    """Choose one of the ways to choose runs."""
    it.asked(question)
    it.press(way)
    it.wait_for(f"/{way}  1 of")
    it.press(ENTER)


def refine(it: Terminal, field: str, *, question: str = "Which runs?") -> None:
    """Ask to narrow the runs by this field."""
    pick(it, REFINE, question)
    search = {"Name": "ablation-*"}.get(field, field)
    it.reply("Refine by", search)
    it.wait_for(f"/{search}  1 of")
    it.press(ENTER)


def planned(it: Terminal) -> list[str]:
    """The runs that a dry run with ``--json`` found."""
    assert it.end() == 0, it.text
    return list(json.loads(it.result)["run_ids"])


@contextlib.contextmanager
def choosing(place: Path, *args: str, **more: Any) -> Iterator[Terminal]:
    """A dry run at the question which runs, the only one."""
    with terminal(*ONLY_RUNS, "--dry-run", "--json", *args, cwd=place, **more) as it:
        yield it


def test_all_runs(place: Path) -> None:
    with terminal(*ONLY_RUNS, cwd=place) as it:
        pick(it, ALL)
        it.reply("Write t.ipynb?", ENTER)
        assert it.end() == 0
    assert "? Runs all 6" in it.lines
    words = assert_made_again(it, place / "t.ipynb", place)
    assert words[2:5] == ["--experiment", "churn", "--all"]


@pytest.mark.parametrize(
    ("metric", "end", "flag", "best"),
    [
        ("val_loss", "", "val_loss:min", [C, F]),
        # Its name does not tell which end is better.
        ("zeta", "lower", "zeta:min", [C, E]),
        ("zeta", "higher", "zeta:max", [D, A]),
    ],
)
def test_the_best_by_a_metric(
    metric: str, end: str, flag: str, best: list[str], place: Path
) -> None:
    with terminal(*ONLY_RUNS, cwd=place) as it:
        pick(it, BEST)
        it.asked("Best by")
        assert "val_loss" in it.lines[-3]
        it.press(metric + ENTER)
        if end:
            it.reply(metric, end + ENTER)
        it.reply("How many: 10", CLEAR + "0" + ENTER)
        it.wait_for("A number from 1.")
        it.press(BACKSPACE + "9" * 5000 + ENTER)
        it.wait_for("99999")
        it.press(CLEAR + "two" + ENTER)
        it.wait_for("How many: two")
        it.press(CLEAR + "2" + ENTER)
        it.reply("Write t.ipynb?", ENTER)
        assert it.end() == 0
    assert f"? Runs the best 2 by {flag} of 6" in it.lines
    words = assert_made_again(it, place / "t.ipynb", place)
    assert words[4:8] == ["--best", flag, "--top", "2"]
    text = (place / "t.ipynb").read_text()
    assert [one for one in (A, B, C, D, E, F) if f'\\"{one}\\"' in text] == sorted(best)


@pytest.mark.parametrize(
    ("field", "bad", "said", "good", "flags", "found"),
    [
        ("since", "yesterday", "yesterday is no time", "2025-10-12",
         ["--since", "2025-10-12"], [F, E]),
        ("since", "2999-01-01", "in the future", "2025-10-12", ["--since", "2025-10-12"], [F, E]),
        ("until", "12 o'clock", "is no time", "2025-10-09", ["--until", "2025-10-09"], [A]),
        ("Status", "done", "no run status done", "failed, running",
         ["--status", "failed", "--status", "running"], [F, E]),
        ("Name", "", "", "sweep*", ["--name", "sweep*"], [D, C, B]),
        ("Condition", "params.lr >", "is no condition", "params.lr > 0.05",
         ["--where", "params.lr > 0.05"], [D, A]),
    ],
)  # fmt: skip
def test_refining(
    field: str, bad: str, said: str, good: str, flags: list[str], found: list[str], place: Path
) -> None:
    names = {"since": "Started since", "until": "Started until"}
    with terminal(*ONLY_RUNS, cwd=place) as it:
        refine(it, field)
        it.asked(f"{names.get(field, field)}:")
        if bad:
            it.press(bad + ENTER)
            it.wait_for(said)
            assert bad in it.text
            it.press(CLEAR)
        it.press(good + ENTER)
        told = " ".join(flags)
        question = f"Which runs? {len(found)} match {told}"
        pick(it, "All that match", question)
        it.reply("Write t.ipynb?", ENTER)
        assert it.end() == 0
    assert f"? Runs all {len(found)} that match {told}" in it.lines
    words = assert_made_again(it, place / "t.ipynb", place)
    assert words[4 : 4 + len(flags)] == flags
    text = (place / "t.ipynb").read_text()
    assert [one for one in (A, B, C, D, E, F) if f'\\"{one}\\"' in text] == sorted(found)


@pytest.mark.parametrize(
    ("field", "bad", "said", "good", "found"),
    [
        # Only the store, or the runs, can tell that these make no sense.
        ("Condition", "metrics.no > 1", "no run has a metric no", "metrics.zeta > 2", [D, A]),
        ("Condition", "lr > 0.05", "Write params.lr.", 'name.startswith("abl")', [F, E]),
        ("filter", "metrics.val_loss <", "Invalid clause", "metrics.val_loss < 0.35", [F, C]),
        ("filter", "nonsense", "Invalid clause", "params.lr = '0.1'", [A]),
    ],
)
def test_what_the_store_refuses_is_said_and_asked_again(
    field: str, bad: str, said: str, good: str, found: list[str], place: Path
) -> None:
    name = "MLflow filter" if field == "filter" else field
    with choosing(place) as it:
        refine(it, field)
        it.reply(f"{name}:", bad + ENTER)
        it.wait_for(said)
        # What was typed stays there, to be mended.
        it.asked(f"{name}: {bad}")
        it.press(CLEAR + good + ENTER)
        it.wait_for(f"Which runs? {len(found)} match")
        it.press(DOWN + ENTER)
        assert planned(it) == found


def test_refining_adds_up_and_is_taken_away(place: Path) -> None:
    with choosing(place) as it:
        refine(it, "Top level")
        refine(it, "Status", question="Which runs? 4 match --parents-only")
        it.reply("Status:", "finished" + ENTER)
        both = "--status finished --parents-only"
        # Emptied, it is gone; what stands there is how it was narrowed.
        refine(it, "Status", question=f"Which runs? 2 match {both}")
        it.reply("Status: finished", CLEAR + ENTER)
        refine(it, "Top level", question="Which runs? 4 match --parents-only")
        refine(it, "Name", question="Which runs?")
        it.reply("Name:", "nothing*" + ENTER)
        # Nothing is left: there is nothing to pick from.
        it.asked("Which runs? 0 match --name nothing*")
        assert "Pick by hand" not in it.text
        assert "without --name nothing*" in it.line("Show all again")
        pick(it, SHOW_ALL, "Which runs? 0 match --name nothing*")
        pick(it, ALL)
        assert planned(it) == [F, E, D, C, B, A]


def test_picked_by_hand_after_refining(place: Path) -> None:
    with choosing(place) as it:
        refine(it, "Condition")
        it.reply("Condition:", "metrics.zeta >= 2" + ENTER)
        pick(it, BY_HAND, "Which runs? 3 match --where metrics.zeta >= 2")
        it.asked("Runs (3, newest first)")
        # Its parent is not there: it stands for itself.
        assert it.line("sweep two").index("sweep") == 7
        it.press(SPACE + "baseline")
        it.wait_for("/baseline  1 of 3, 1 chosen")
        it.press(SPACE)
        it.wait_for("2 chosen")
        it.press(ESC)
        it.wait_for("sweep two")
        it.press(ENTER)
        assert planned(it) == [E, A]


def ids_in(it: Terminal) -> list[str]:
    """The ids of the runs in the list, in its order."""
    return [line.split()[-1] for line in it.lines if re.match("[❯ ] [●○] ", line)]


def test_sorting_keeps_what_was_chosen(place: Path) -> None:
    with choosing(place) as it:
        pick(it, BY_HAND)
        it.reply("Runs (6, newest first)", SPACE + TAB)
        it.asked("Sort by")
        assert re.fullmatch("❯ start +newest first", it.lines[2])
        it.press("val_loss" + ENTER)
        it.asked("Runs (6, best val_loss first)")
        assert ids_in(it) == [one[:8] for one in (C, F, D, A, E, B)]
        assert it.line("ffffffff").startswith("  ● ▶")
        assert "1 chosen" in it.text
        # By what has no better end, that is asked; back to the other metric first.
        it.press(TAB)
        it.reply("Sort by", "zeta" + ENTER)
        it.reply("zeta", ESC)
        it.reply("Sort by", ESC)
        it.reply("Runs (6, best val_loss first)", TAB)
        it.reply("Sort by", "zeta" + ENTER)
        it.reply("zeta", "higher" + ENTER)
        it.asked("Runs (6, best zeta first)")
        assert ids_in(it)[:4] == [one[:8] for one in (D, A, E, C)]
        it.press(SPACE + TAB)
        it.reply("Sort by", ENTER)
        it.asked("Runs (6, newest first)")
        assert "2 chosen" in it.text
        it.press(ENTER)
        assert planned(it) == [F, D]


def test_all_that_a_search_shows(place: Path) -> None:
    with choosing(place) as it:
        pick(it, BY_HAND)
        it.reply("Runs (6, newest first)", "ABLATION")
        it.wait_for("/ABLATION  2 of 6")
        it.press(CTRL_A + ENTER)
        assert planned(it) == [F, E]


def test_the_runs_nested_in_those_picked(place: Path) -> None:
    with choosing(place, "--children") as it:
        pick(it, BY_HAND)
        it.reply("Runs (6, newest first)", "bbbb" + ENTER)
        assert sorted(planned(it)) == [B, C, D]


def test_no_metric_to_be_the_best_by(place: Path) -> None:
    args = (*OF_CHURN, *REST[2:])  # there is nothing to rank by either
    with terminal(*args, "--dry-run", "--json", cwd=place) as it:
        refine(it, "Name")
        it.reply("Name:", "sweep" + ENTER)
        pick(it, BEST, "Which runs? 1 match --name sweep")
        it.asked("Which runs? 1 match --name sweep")
        assert "none of these runs logged a metric" in it.text
        it.press(DOWN + ENTER)
        assert planned(it) == [B]


def test_what_was_listed_is_not_asked_for_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A span such as 7d is another moment each time, and the store may be slow."""
    asked: list[Query] = []

    class Counting(ArtifactExplorer):
        def runs(self, query: Query) -> list[RunInfo]:
            asked.append(query)
            return super().runs(query)

    monkeypatch.setenv("TERM", "xterm")
    explorer = Counting(f"sqlite:///{place}/mlflow.db")
    ask = WhichRuns(explorer, [explorer.experiment("churn")], Which(), Console(quiet=True))

    def look(it: Display) -> None:
        it.answer("Which runs?", "Refine" + ENTER)
        it.answer("Refine by", ENTER)
        it.answer("Started since:", "9000d" + ENTER)
        it.answer("6 match --since 9000d", ENTER)
        it.answer("Runs (6, newest first)", ESC)
        it.answer("6 match --since 9000d", DOWN + ENTER)

    with typing(look):
        assert ask.ask() == Which(experiment=["churn"], since="9000d")
    assert [query.since is None for query in asked] == [True, False]


# The kind of notebook.


def test_kinds_say_what_they_are_and_what_they_lack(place: Path, study: Path) -> None:
    args = (*OF_CHURN, "--all", "--templates", str(study), *ALL_BUT_KIND, "--dry-run", "--json")
    with terminal(*args, cwd=place) as it:
        it.asked("What kind of notebook?")
        rows = [line.split() for line in it.lines[2:-1]]
        assert [" ".join(row) for row in rows] == [
            *(" ".join(kind.split()) for kind in KINDS),
            "Many About many runs. (needs 1,000 runs)",
            "Needy About data sets. (None of these runs logged a data set)",
            "Study A study of a few runs.",
        ]
        # What lacks something is passed.
        it.press(UP)
        it.wait_for("❯ Study")
        it.press(UP)
        it.wait_for("❯ Drift")
        it.press(UP * 2 + ENTER)
        it.reply("Metric to rank runs by", ENTER)
        assert len(planned(it)) == 6
    assert json.loads(it.result)["kind"] == "observation"


@pytest.fixture
def traces(place: Path) -> Path:
    """Where the experiment Default, which has no runs, has a trace with tokens."""
    call = Span(span_id="1" * 16, tokens=(1000, 200))
    write(place / "mlflow.db", Traced(trace_id="tr-1", spans=[call]), experiment_id=0)
    return place


def choose_kind(it: Terminal, title: str) -> None:
    """Answer the first two questions, and come to that of experiments."""
    it.reply("Tracking server", ENTER)
    it.reply("What kind of notebook?", title + ENTER)
    it.asked("Experiments")


def test_the_costs_of_traces_that_are_of_no_run(traces: Path) -> None:
    path = traces / "notebooks/cost-default.ipynb"
    with terminal("--no-execute", cwd=traces) as it:
        choose_kind(it, "Cost")
        assert re.fullmatch(r"[❯ ] ○ Default +0 +(now|\d+[hm] ago)", it.line("Default"))
        it.press("Default")
        it.wait_for("/Default  1 of 3")
        it.press(ENTER)
        # There is no run to ask about.
        it.reply("US dollars a month that it may cost; 0 for none: 0.0", CLEAR + "25" + ENTER)
        it.reply("Title: Cost: Default", ENTER)
        it.reply("Output: notebooks/cost-default.ipynb", ENTER)
        it.reply("Write notebooks/cost-default.ipynb?", ENTER)
        assert it.end() == 0
    assert "Which runs?" not in it.said
    assert "  runs   0 of 0" in it.lines
    # The trace was found: none of the sections says that it lacks calls.
    assert "  - cost_glance" in it.lines
    words = assert_made_again(it, path, traces)
    assert words[2:9] == [
        "--experiment", "Default", "--all", "--kind", "cost", "--param", "budget=25.0",
    ]  # fmt: skip


@pytest.mark.parametrize("title", ["Observation", "Drift"])
def test_an_experiment_without_runs_is_not_offered_for_a_kind_about_runs(
    title: str, traces: Path
) -> None:
    with terminal(cwd=traces) as it:
        choose_kind(it, title)
        assert it.line("Default").endswith("  (no runs)")
        it.press(CTRL_A)
        it.wait_for("2 chosen")
        assert it.line("Default").startswith("  ○ ")
        it.press(CTRL_A + "Default")
        it.wait_for("/Default  1 of 3")
        it.press(ENTER)
        it.press(CLEAR + ENTER)
        it.asked("Which runs?")
        assert "? Experiments churn" in it.lines
        it.press(CTRL_C)
        assert it.end() == 130


def test_drift_is_chosen(place: Path) -> None:
    with terminal("--no-execute", cwd=place) as it:
        choose_kind(it, "Drift")
        it.press("churn" + ENTER)
        pick(it, ALL)
        it.reply("Metric to watch over time", "zeta" + ENTER)
        it.reply("Title: Drift: churn", ENTER)
        it.reply("Output: notebooks/drift-churn.ipynb", ENTER)
        it.reply("Write notebooks/drift-churn.ipynb?", ENTER)
        assert it.end() == 0
    assert "? What kind of notebook? Drift" in it.lines
    words = assert_made_again(it, place / "notebooks/drift-churn.ipynb", place)
    assert words[4:9] == ["--all", "--kind", "drift", "--param", "metric=zeta"]


def test_back_from_the_experiments_to_another_kind(traces: Path) -> None:
    """An experiment that was chosen for its traces is not chosen for a kind about runs."""
    with terminal("--no-execute", cwd=traces) as it:
        choose_kind(it, "Cost")
        it.press("Default" + SPACE)
        it.wait_for("1 chosen")
        it.press(ENTER)
        it.reply("US dollars a month", ESC)
        it.asked("Experiments")
        assert "1 chosen" in it.text
        assert "❯ ● Default" in it.line("● Default")
        it.press(ESC)
        it.asked("What kind of notebook?")
        assert it.line("What the calls of models cost").startswith("❯ Cost")
        it.press("Observation" + ENTER)
        it.asked("Experiments")
        assert "chosen" not in it.text
        assert it.line("○ Default").startswith("  ○ Default")
        it.press("churn" + ENTER)
        pick(it, ALL)
        it.reply("Metric to rank runs by", ENTER)
        it.reply("Title: Observation: churn", ENTER)
        it.reply("Output: notebooks/observation-churn.ipynb", ENTER)
        it.reply("Write notebooks/observation-churn.ipynb?", ENTER)
        assert it.end() == 0
    words = assert_made_again(it, traces / "notebooks/observation-churn.ipynb", traces)
    assert words[2:7] == ["--experiment", "churn", "--all", "--kind", "observation"]


def test_a_store_of_traces_alone_is_for_costs(traces: Path) -> None:
    with contextlib.closing(sqlite3.connect(traces / "mlflow.db")) as db, db:
        db.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    with terminal(cwd=traces) as it:
        it.reply("Tracking server", ENTER)
        it.asked("What kind of notebook?")
        assert it.line("Observation").endswith("  (needs 1 run)")
        assert it.line("Drift").endswith("  (needs 1 run)")
        assert it.line("Cost").startswith("❯ Cost")
        it.press(ENTER)
        it.reply("Experiments", "Default" + ENTER)
        it.reply("US dollars a month", CTRL_C)
        assert it.end() == 130


@pytest.mark.parametrize(
    ("flags", "offered"),
    [
        (["--param", "metric=zeta"], ["Observation", "Drift"]),
        (["--section", "overview"], []),
        (["--section", "overview", "--param", "metric=zeta"], []),
    ],
)
def test_a_kind_that_flags_make_no_sense_for_is_not_offered(
    flags: list[str], offered: list[str], place: Path
) -> None:
    with terminal(*OF_CHURN, "--all", *flags, *ALL_BUT_KIND, cwd=place) as it:
        if offered:
            it.asked("What kind of notebook?")
            assert [line[2:].split()[0] for line in it.lines[2:-1]] == offered
            it.press(CTRL_C)
            assert it.end() == 130
        else:
            if "metric=zeta" not in flags:
                it.reply("Metric to rank runs by", ENTER)
            it.reply("Write t.ipynb?", ENTER)
            assert it.end() == 0
    assert ("What kind of notebook?" in it.said) is bool(offered)


# Going back.


def test_esc_goes_one_question_back_everywhere(place: Path, study: Path) -> None:
    way = [
        ("Tracking server", ENTER),
        ("What kind of notebook?", "Study" + ENTER),
        ("Experiments", ENTER),
        ("Which runs?", ENTER),
        ("Runs (6, newest first)", SPACE + ENTER),
        ("How deep", ENTER),
        ("Seed:", ENTER),
        ("Note:", ENTER),
        ("Title:", ENTER),
        ("Output:", ENTER),
        ("What next?", ENTER),
        ("Write ", "y"),
    ]
    # Picking by hand was one of the ways that "Which runs?" offers.
    back = {"How deep": "Which runs?"}
    with terminal("--templates", str(study), cwd=place) as it:
        it.reply("Tracking server", ESC)
        for number, (question, keys) in enumerate(way[:-1]):
            it.reply(question, keys)
            following = way[number + 1][0]
            before = back.get(following, question)
            it.asked(following)
            it.press(ESC)
            it.reply(before, keys)
            if before != question:
                it.reply(question, keys[-1])
            it.asked(following)
            # What was not answered is not there as if it was.
            answered = [line for line in it.lines if line.startswith(f"? {following}")]
            assert len(answered) == 1
        it.press("y")
        assert it.end() == 0
    assert it.result == "notebooks/study-churn-ablation-late.ipynb\n"


def test_esc_in_what_a_way_to_choose_runs_asks(place: Path) -> None:
    with choosing(place) as it:
        pick(it, BEST)
        it.reply("Best by", "zeta" + ENTER)
        it.reply("zeta", DOWN + ENTER)
        it.reply("How many:", ESC)
        it.reply("zeta", ESC)
        it.reply("Best by", "val" + ENTER)
        it.reply("How many:", ESC)
        it.reply("Best by", ESC)
        pick(it, REFINE)
        it.reply("Refine by", DOWN + ENTER)
        it.reply("Started until:", ESC)
        it.reply("Refine by", ESC)
        pick(it, BY_HAND)
        it.reply("Runs (6, newest first)", TAB)
        it.reply("Sort by", ESC)
        it.reply("Runs (6, newest first)", ESC)
        # The first question stays, and so does "Back" at it.
        it.reply("Which runs?", ESC)
        pick(it, "Back")
        pick(it, ALL)
        assert planned(it) == [F, E, D, C, B, A]


def test_esc_at_an_address_and_at_a_server_that_failed(place: Path) -> None:
    with terminal("--experiment", "churn", "--all", *REST, "--dry-run", cwd=place) as it:
        it.reply("Tracking server", "Another" + ENTER)
        it.reply("Address:", ESC)
        it.reply("Tracking server", ENTER)
        assert it.end() == 0


def test_the_answers_after_going_back_count(place: Path) -> None:
    with terminal("--no-execute", *KIND, cwd=place) as it:
        it.reply("Tracking server", ENTER)
        it.reply("Experiments", "churn" + ENTER)
        it.reply("Which runs?", DOWN + ENTER)
        it.reply("Metric to rank runs by", "zeta" + ENTER)
        it.reply("Title: Observation: churn", CLEAR + "Mine" + ENTER)
        it.reply("Output: notebooks/mine.ipynb", CLEAR + "here.ipynb" + ENTER)
        it.reply("Write here.ipynb?", ESC)
        # Back, each is as it was left.
        it.reply("Output: here.ipynb", ESC)
        it.reply("Title: Mine", ESC)
        it.asked("Metric to rank runs by")
        assert "❯ zeta" in it.lines
        it.press(ESC)
        it.reply("Which runs?", ESC)
        it.asked("Experiments")
        assert it.line("○ other")
        assert it.line("● churn")
        it.press("churn" + SPACE + CLEAR + "other")
        it.wait_for("/other")
        it.press(ENTER)
        # The only run of it is not asked for; it has no metric to ask about.
        # What was typed for other runs is not offered for these.
        it.reply("Title: Observation: other", ENTER)
        it.reply("Output: notebooks/observation-other.ipynb", ENTER)
        it.reply("Write notebooks/observation-other.ipynb?", ENTER)
        assert it.end() == 0
    assert written(place) == {"notebooks", "notebooks/observation-other.ipynb"}
    words = assert_made_again(it, place / "notebooks/observation-other.ipynb", place)
    assert "--param" not in words
    assert words[2:5] == ["--experiment", "other", "--all"]


def test_another_kind_after_going_back(place: Path, study: Path) -> None:
    """The answers to the questions of one kind are none to those of another."""
    args = (*OF_CHURN, "--all", "--templates", str(study), "--title", "T", "--output", "t.ipynb")
    with terminal(*args, "--no-execute", cwd=place) as it:
        it.reply("What kind of notebook?", "Study" + ENTER)
        it.reply("How deep", "deep" + ENTER)
        it.reply("Seed: 7", CLEAR + "x" + ENTER)
        it.wait_for("param seed is a number, not x")
        it.press(BACKSPACE + "8" + ENTER)
        it.reply("Note: none", ESC)
        it.reply("Seed: 8", ESC)
        it.asked("How deep")
        assert "❯ deep" in it.lines
        it.press(ESC)
        it.asked("What kind of notebook?")
        assert it.line("A study of a few runs.").startswith("❯ Study")
        it.press("Observation" + ENTER)
        it.reply("Metric to rank runs by", ENTER)
        it.reply("Write t.ipynb?", ENTER)
        assert it.end() == 0
    words = assert_made_again(it, place / "t.ipynb", place)
    assert words[words.index("--kind") :][:4] == ["--kind", "observation", "--param",
                                                  "metric=val_loss"]  # fmt: skip


def test_another_server_after_going_back(place: Path) -> None:
    """Nothing is left of the server before, however alike the two are."""
    copy = place / "copy.db"
    shutil.copy(place / "mlflow.db", copy)
    with contextlib.closing(sqlite3.connect(copy)) as db, db:
        db.execute("UPDATE runs SET name = 'copied' WHERE run_uuid = ?", (A,))
        db.execute("UPDATE tags SET value = 'copied' WHERE run_uuid = ?", (A,))
    args = ("--experiment", "churn", *REST, "--dry-run", "--json")
    with terminal(*args, cwd=place) as it:
        it.reply("Tracking server", ENTER)
        pick(it, BY_HAND)
        it.reply("Runs (6, newest first)", SPACE + ESC)
        it.reply("Which runs?", ESC)
        it.reply("Tracking server", "Another" + ENTER)
        it.reply("Address:", "sqlite:///copy.db" + ENTER)
        pick(it, BY_HAND)
        it.asked("Runs (6, newest first)")
        assert "chosen" not in it.text
        assert "baseline" not in it.text
        it.press("copied" + ENTER)
        assert planned(it) == [A]
    assert json.loads(it.result)["tracking_uri"] == "sqlite:///copy.db"


# Leaving.

TO_RUNS = [("Tracking server", ENTER), ("What kind of notebook?", ENTER), ("Experiments", ENTER)]
TO_TITLE = [*TO_RUNS, ("Which runs?", DOWN + ENTER), ("Metric to rank runs by", ENTER)]
TO_END = [*TO_TITLE, ("Title:", ENTER), ("Output:", ENTER), ("What next?", ENTER)]
QUESTIONS: dict[str, Sequence[tuple[str, str]]] = {
    "Tracking server": [],
    "Address:": [("Tracking server", "Another" + ENTER)],
    "What kind of notebook?": TO_RUNS[:1],
    "Experiments": TO_RUNS[:2],
    "Which runs?": TO_RUNS,
    "Runs (6, newest first)": [*TO_RUNS, ("Which runs?", ENTER)],
    "Sort by": [*TO_RUNS, ("Which runs?", ENTER), ("Runs (6, newest first)", TAB)],
    "Best by": [*TO_RUNS, ("Which runs?", "best" + ENTER)],
    "zeta": [*TO_RUNS, ("Which runs?", "best" + ENTER), ("Best by", "zeta" + ENTER)],
    "How many:": [*TO_RUNS, ("Which runs?", "best" + ENTER), ("Best by", "val" + ENTER)],
    "Refine by": [*TO_RUNS, ("Which runs?", "Refine" + ENTER)],
    "Started since:": [*TO_RUNS, ("Which runs?", "Refine" + ENTER), ("Refine by", ENTER)],
    "Metric to rank runs by": TO_TITLE[:-1],
    "Title:": TO_TITLE,
    "Output:": TO_END[:-2],
    "What next?": TO_END[:-1],
    "Write ": TO_END,
}


def to_question(it: Terminal, question: str) -> None:
    for one, keys in QUESTIONS[question]:
        it.reply(one, keys)
    it.asked(question)


def assert_as_before(it: Terminal, settings: list[Any]) -> None:
    """The terminal is as a shell expects it."""
    assert it.settings == settings
    for name in ("?2004", "?25"):
        last = re.findall(rf"\x1b\[\{name}([hl])", it.sent)[-1:]
        assert last in (["l"] if name == "?2004" else ["h"], [])
    assert "Traceback" not in it.said


@pytest.mark.parametrize("question", QUESTIONS)
def test_ctrl_c_at_every_question(question: str, place: Path, study: Path) -> None:
    with terminal("--templates", str(study), cwd=place) as it:
        settings = it.settings
        to_question(it, question)
        it.press(CTRL_C)
        assert it.end() == 130
        assert_as_before(it, settings)
    assert it.lines[-1] == "Stopped."
    assert it.result == ""
    assert written(place) == set()
    assert {name for name in tree(place) if name.startswith("home/")} <= {
        "home/.local", "home/.local/state", "home/.local/state/qualia-lab", STATE,
    }  # fmt: skip


@pytest.mark.parametrize("question", ["Experiments", "Title:", "Write "])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_a_question(number: signal.Signals, question: str, place: Path,
                                study: Path) -> None:  # fmt: skip
    with terminal("--templates", str(study), cwd=place) as it:
        settings = it.settings
        to_question(it, question)
        # Busy, so that it strikes in the middle of something.
        it.press("x" * 2000)
        os.kill(it.pid, number)
        assert it.end() == (143 if number == signal.SIGTERM else 130)
        assert_as_before(it, settings)
    # What reaches the terminal after its end is the terminal's to show.
    said = [line for line in it.lines if line.strip("x")]
    assert said[-1] == ("Terminated." if number == signal.SIGTERM else "Stopped.")
    assert written(place) == set()


def test_ctrl_c_while_a_server_is_waited_for(place: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        env = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with terminal(cwd=place, env=env) as it:
            settings = it.settings
            it.reply("Tracking server", ENTER)
            it.wait_for("Looking at")
            it.press(CTRL_C)
            assert it.end() == 130
            assert_as_before(it, settings)
    assert "Stopped." in it.lines
    assert "home" not in tree(place)


@pytest.mark.parametrize("key", ["n", "N", CTRL_D])
def test_no_to_what_would_be_written(key: str, place: Path) -> None:
    with terminal(*ONLY_RUNS, "--all", cwd=place) as it:
        it.reply("Write t.ipynb?", key)
        assert it.end() == 130
    assert written(place) == set()


def test_the_end_of_the_input_in_the_middle(place: Path) -> None:
    master, slave = pty.openpty()
    try:
        with terminal(*ONLY_RUNS, cwd=place, stdin=os.ttyname(slave)) as it:
            it.asked("Which runs?")
            os.close(slave)
            os.close(master)
            master = slave = -1
            assert it.end() == 130
    finally:
        for one in {master, slave} - {-1}:
            os.close(one)
    assert it.lines[-1] == "Stopped."
    assert "Traceback" not in it.said
    assert written(place) == set()


@pytest.mark.parametrize("stdin", ["", "a pipe"])
def test_without_a_person_it_says_which_flags(stdin: str, place: Path) -> None:
    (place / "a pipe").write_text("1\n1\n")
    path = stdin and str(place / stdin)
    with terminal(cwd=place, stdin=path, program=True) as it:
        assert it.end() == 2
    assert "nobody to ask" in it.text
    for flag in ("--all", "--run ID", "--since", "--where", "--filter", "--best", "--experiment"):
        assert flag in it.text
    assert it.result == ""
    assert written(place) == {"a pipe"}
    assert "home" not in tree(place)


@pytest.mark.parametrize(("args", "env"), [(("--no-input",), {}), ((), {"CI": "true"})])
def test_a_terminal_is_not_asked_when_nobody_should_be(
    args: tuple[str, ...], env: dict[str, str], place: Path
) -> None:
    with terminal(*args, cwd=place, env=env) as it:
        assert it.end() == 2
    assert "nobody to ask" in it.text
    assert "? " not in it.text


# Terminals of all sorts.


def test_a_resize_in_the_middle_of_a_list(place: Path) -> None:
    names = ["ablation late", "ablation", "sweep", "sweep two", "sweep one", "baseline"]

    def sees(columns: int) -> None:
        def fits(text: str) -> bool:
            is_whole = "❯ ○ ✗  ablation" in text and text.endswith("tab: sort")
            is_narrow = all(cell_width(line) < columns for line in text.split("\n"))
            return is_whole and is_narrow and ("val_loss" in text) is (columns == 120)

        it.wait_until(fits, f"list at {columns} columns")
        lines = it.lines
        # Nothing is there twice, and all in its order.
        place = lines.index("? Runs (6, newest first)")
        assert [
            line[7:].strip().partition("  ")[0] for line in lines[place + 2 : place + 8]
        ] == names
        assert " ".join(lines[place + 8 :]).startswith("space: choose, enter: go on")
        assert " ".join(lines[place + 8 :]).endswith("tab: sort")
        assert lines[:place] == ["  3 experiments, 7 runs"]

    with choosing(place) as it:
        pick(it, BY_HAND)
        it.reply("Runs (6, newest first)", DOWN)
        for columns in (120, 40, 120, 40):
            it.resize(columns, 40)
            sees(columns)
        it.press(ENTER)
        assert planned(it) == [E]


def test_a_terminal_of_40_by_10(place: Path) -> None:
    many = [
        Run(run_id=run_id(number), name=f"run {number:02} of a long sweep", started=T0 + number,
            metrics={"val_loss": curve([1 / (number + 1)])})
        for number in range(60)
    ]  # fmt: skip
    fill(place / "mlflow.db", many, experiment_id=3, name="a sweep with a name that is quite long")
    with terminal(cwd=place, columns=40, rows=10) as it:
        it.reply("Tracking server", ENTER)
        it.reply("What kind of notebook?", ENTER)
        it.asked("Experiments")
        assert re.fullmatch(r"❯ ○ a sweep with.*… +60 +\d+[dy] ago", it.line("a sweep"))
        it.press("quite" + ENTER)
        it.reply("Which runs?", ENTER)
        it.asked("Runs (60, newest first)")
        assert it.line("run 59").startswith("❯")
        it.press(END)
        it.wait_for("❯ ○ ✓  run 00")
        # The question and the keys stay in sight.
        assert "? Runs (60, newest first)" in it.lines
        assert "esc: back" in it.text
        it.press(UP + SPACE)
        it.wait_for("❯ ● ✓  run 01")
        it.press(ENTER)
        it.reply("Title:", CLEAR + "T" + ENTER)
        it.reply("Output:", ENTER)
        it.reply("What next?", ENTER)
        it.reply("Write notebooks/t.ipynb?", ENTER)
        assert it.end() == 0
    assert (place / "notebooks/t.ipynb").is_file()
    lists = [frame for frame in it.frames if "esc: back" in frame]
    assert lists
    for frame in lists:
        lines = frame.splitlines()
        assert len(lines) <= 10
        last = max(place for place, line in enumerate(lines) if line.startswith("? "))
        assert all(cell_width(line) < 40 for line in lines[last:])


def test_no_color(place: Path) -> None:
    def colours(text: str) -> set[str]:
        codes = {one for found in re.findall(r"\x1b\[([0-9;]*)m", text) for one in found.split(";")}
        return {one for one in codes if re.fullmatch("3[0-8]|4[0-8]|9[0-7]|10[0-7]", one)}

    found = []
    for env in ({"NO_COLOR": "1"}, {}):
        with terminal(*ONLY_RUNS, "--overwrite", cwd=place, env=env) as it:
            pick(it, BY_HAND)
            it.reply("Runs (6, newest first)", SPACE + ENTER)
            it.reply("Write t.ipynb?", ENTER)
            assert it.end() == 0
        found.append(colours(it.sent))
    assert found[0] == set()
    assert found[1] != set()
    # On the background that the person chose, whatever that is.
    assert {code for code in found[1] if re.fullmatch("4.|10.", code)} == set()


def test_a_console_with_few_characters(place: Path) -> None:
    args = ("--tracking-uri", STORE)
    env = {"PYTHONIOENCODING": "cp1252"}
    with terminal(*args, cwd=place, env=env, program=True) as it:
        it.asked("What kind of notebook?")
        assert it.line("Observation").startswith("> Observation")
        it.press(ENTER)
        it.asked("Experiments")
        assert it.line("churn").startswith("> - churn")
        it.press(ENTER)
        it.reply("Which runs?", ENTER)
        it.asked("Runs (6, newest first)")
        marks = {line.split()[-1]: line[:7] for line in it.lines[-7:-1]}
        assert marks["ffffffff"] == "> - >  "
        assert marks["eeeeeeee"] == "  - x  "
        assert marks["aaaaaaaa"] == "  - +  "
        it.press(SPACE)
        it.wait_for("> * >")
        it.press(ENTER)
        it.reply("Title:", ENTER)
        it.reply("Output:", ENTER)
        it.reply("What next?", ENTER)
        it.reply("Write ", ENTER)
        assert it.end() == 0
    assert it.said.isascii()
    # A question mark only where a question is.
    asked = re.sub(
        r"^\? |Which runs\?|notebook\?|next\?|ipynb\?", "", "\n".join(it.frames), flags=re.M
    )
    assert "?" not in asked
    assert "\\u" not in it.said


def test_a_terminal_that_can_not_move_its_cursor(place: Path) -> None:
    def type_at(prompt: str, line: str) -> None:
        it.prompted(prompt)
        it.press(line + "\n")

    one, some = "/text: search, b: back:", "all, /text: search, b: back:"
    by_hand = "all, /text: search, sort, b: back:"
    with terminal(cwd=place, env={"TERM": "dumb"}, rows=300) as it:
        settings = it.settings
        type_at(one, "b")  # the first question stays
        type_at(one, "2")
        type_at("Address: (b: back)", "nowhere")
        type_at("Address: (b: back)", "b")
        type_at(one, "1")
        type_at(one, "b")
        type_at(one, "1")
        type_at(one, "1")
        type_at(some, "7")
        type_at(some, "/churn")
        type_at(some, "1")
        type_at(one, "4")
        type_at(one, "1")
        type_at("Started since: (b: back)", "never")
        type_at("Started since: (b: back)", "2025-10-10")
        type_at(one, "4")
        type_at(one, "1")
        type_at("Started since: [2025-10-10] (b: back, -: nothing)", "-")
        type_at(one, "1")
        type_at(by_hand, "sort")
        type_at(one, "/val")
        type_at(one, "1")
        it.prompted(by_hand)
        assert "? Runs (6, best val_loss first)" in it.lines
        type_at(by_hand, "m")
        type_at(by_hand, "b")
        type_at(one, "1")
        type_at(by_hand, "1,5-6")
        type_at(one, "2")
        type_at("Title: [Observation: churn, 3 chosen runs] (b: back)", "b")
        type_at(one, "1")
        type_at("Title: [Observation: churn, 3 chosen runs] (b: back)", "Mine")
        type_at("Output: [notebooks/mine.ipynb] (b: back)", "")
        type_at(one, "1")
        type_at("Write notebooks/mine.ipynb? (Y/n, b: back)", "b")
        type_at(one, "1")
        type_at("Write notebooks/mine.ipynb? (Y/n, b: back)", "")
        assert it.end() == 0
        assert it.settings == settings
    assert "\x1b" not in it.sent
    assert hidden(it.sent) == set()
    assert it.said.count("That is no line of the list.") == 1
    assert "nowhere" in it.line("no file store")
    assert "never is no time" in it.text
    words = assert_made_again(it, place / "notebooks/mine.ipynb", place)
    assert [one for one in words if len(one) == 32] == [F, C, A]
    assert "metric=val_loss" in words


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (None, 130)])
def test_leaving_a_terminal_that_can_not_move_its_cursor(
    number: signal.Signals | None, code: int, place: Path
) -> None:
    with terminal(cwd=place, env={"TERM": "dumb"}) as it:
        it.wait_for("b: back:")
        if number:
            os.kill(it.pid, number)
        else:
            it.press(CTRL_C)
        assert it.end() == code
    assert written(place) == set()
    assert "\x1b" not in it.sent


def test_keys_that_are_typed_ahead(place: Path) -> None:
    with terminal("--no-execute", cwd=place) as it:
        # The server, the kind, the experiment, all runs, the metric, the title, the output, yes.
        it.press(ENTER * 2 + "churn" + ENTER + DOWN + ENTER * 5)
        assert it.end() == 0
    assert written(place) == {"notebooks", "notebooks/observation-churn.ipynb"}


@pytest.mark.parametrize("seed", range(8))
def test_any_keys(seed: int, place: Path, study: Path) -> None:
    """Whatever is pressed, it is written, or refused, or left."""
    of = random.Random(seed)
    keys = [ENTER] * 5 + [ESC, DOWN, UP, SPACE, TAB, CTRL_A, "b", "2", "ñ", "-", BACKSPACE, CLEAR]
    keys += [DOWN, END, pasted("two\nlines"), "\x00", "\x1f", "\x1bx", "\x1bOP", "\x1b[99~", "/"]
    with terminal("--templates", str(study), "--no-execute", cwd=place) as it:
        settings = it.settings
        it.asked("Tracking server")
        it.press("".join(of.choices(keys, k=150)) + CTRL_C)
        assert it.end() in (0, 2, 6, 7, 130)
        assert it.settings == settings
    assert "Traceback" not in it.said
    assert "a bug" not in it.said


# Stores of all sizes.


def test_no_experiment_at_all(place: Path) -> None:
    with contextlib.closing(sqlite3.connect(place / "mlflow.db")) as db, db:
        db.execute("UPDATE experiments SET lifecycle_stage = 'deleted'")
    with terminal(cwd=place) as it:
        it.reply("Tracking server", ENTER)
        assert it.end() == 6
    assert it.lines[1] == "  0 experiments, 0 runs"
    assert it.lines[2:] == [
        f"Error: {STORE} holds no experiment", "Seed sample runs: create-demo-runs",
    ]  # fmt: skip


@pytest.mark.parametrize("is_asked", [False, True])
def test_no_run_at_all(is_asked: bool, place: Path, study: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(place / "mlflow.db")) as db, db:
        db.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    # With several kinds, none of which this store can feed: that of costs is another.
    folder = Path(shutil.copytree(study, tmp_path / "home/templates"))
    shutil.copytree(folder / "many", folder / "cost")
    args = ("--templates", str(folder)) if is_asked else KIND
    with terminal(*args, cwd=place) as it:
        it.reply("Tracking server", ENTER)
        assert it.end() == 6
    assert it.lines[1] == "  3 experiments, 0 runs"
    assert it.lines[2].startswith("Error: no runs in ")
    assert it.lines[3].endswith("create-demo-runs")
    assert len(it.lines) == 4
    assert written(place) == set()


def test_the_only_run_is_not_asked_for(migrated: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    fill(path, [Run(run_id=A, name="only", metrics={"loss": curve([1.0])})], name="churn")
    with terminal("--no-execute", *KIND, cwd=tmp_path) as it:
        it.reply("Tracking server", ENTER)
        it.reply("Experiments", ENTER)
        it.reply("Title: Observation: churn", ENTER)
        it.reply("Output:", ENTER)
        it.reply("Write ", ENTER)
        assert it.end() == 0
    assert "  2 experiments, 1 run" in it.lines
    assert "  runs   1 of 1" in it.lines
    words = assert_made_again(it, tmp_path / it.result.strip(), tmp_path)
    assert words[2:5] == ["--experiment", "churn", "--all"]


@pytest.fixture(scope="module")
def huge(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 10,000 runs; the loss of the oldest is the least."""
    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("huge") / "mlflow.db"))
    runs = [
        Run(run_id=run_id(number), name=f"run {number}", started=T0 + number * 60_000,
            metrics={"val_loss": [(0, T0, float(number))]})
        for number in range(10_000)
    ]  # fmt: skip
    fill(path, runs, name="churn")
    return path.parent


def test_ten_thousand_runs(huge: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{huge}/mlflow.db"
    with choosing(tmp_path, "--tracking-uri", store) as it:
        it.asked("Which runs?")
        assert it.line("Pick by hand").endswith("the newest 1,000 of 10,000")
        assert it.line("All runs").endswith("10,000")
        it.press(ENTER)
        it.asked("Runs (1,000 of 10,000, newest first)")
        assert it.line("❯ ").split()[3:5] == ["run", "9999"]
        it.press("9042")
        it.wait_for("/9042  1 of 1,000")
        it.press(SPACE + TAB)
        it.reply("Sort by", "val" + ENTER)
        # What was chosen is kept, though it is not among the first in this order.
        it.asked("Runs (1,000 of 10,000, best val_loss first)")
        assert "1 chosen" in it.text
        assert it.line("❯ ").split()[3:5] == ["run", "0"]
        it.press(SPACE)
        it.wait_for("2 chosen")
        it.press(END)
        it.wait_for("❯ ● ✓  run 9042")
        it.press(ENTER)
        assert planned(it) == [run_id(0), run_id(9042)]
    assert json.loads(it.result)["of_runs"] == 10_000


# What others chose.


def test_hostile_names_stay_on_their_lines(migrated: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    for number, name in enumerate(HOSTILE, 1):
        run = Run(run_id=run_id(number), name=name, metrics={name[:240]: curve([1.0, 2.0])})
        more = Run(run_id=run_id(number + 500), name=f"after {number}", started=T0 - 1)
        fill(path, [run, more], experiment_id=number, name=name[:500])
    with terminal("--no-execute", *KIND, cwd=tmp_path, columns=160, rows=60) as it:
        it.reply("Tracking server", ENTER)
        it.asked("Experiments")
        assert len(it.lines) == 2 + 2 + len(HOSTILE) + 1 + 1
        rows = [line for line in it.lines if re.match("[❯ ] ○ ", line)]
        assert len(rows) == len(HOSTILE) + 1
        assert all(line.endswith(" ago") for line in rows if "no runs" not in line)
        it.press(CTRL_A)
        it.wait_for(f"{len(HOSTILE)} chosen")
        it.press(ENTER)
        it.reply("Which runs?", ENTER)
        it.asked(f"Runs ({2 * len(HOSTILE)}, newest first)")
        rows = [line for line in it.lines if re.match("[❯ ] ○ ✓", line)]
        assert len(rows) == 2 * len(HOSTILE)
        assert [len(line.split()[-1]) for line in rows] == [8] * len(rows)
        assert len({cell_width(line) for line in rows}) == 1
        it.press(CTRL_A + ENTER)
        it.asked("Metric to rank runs by")
        it.press(DOWN + ENTER)
        it.reply("Title:", ENTER)
        it.reply("Output:", ENTER)
        it.reply("Write ", ENTER)
        assert it.end() == 0
    assert hidden(ESCAPES.sub("", it.sent)) <= {"\b"}


PRINTABLE = [name[:500] for name in HOSTILE if visible(name) == name]
# What a terminal would not show can't be typed; there is the id.
OTHERS = [name[:500] for name in HOSTILE if visible(name) != name]


@pytest.mark.parametrize("names", [PRINTABLE, OTHERS], ids=["printable", "others"])
def test_hostile_experiments_are_found_again(
    names: list[str], migrated: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    for number, name in enumerate(names, 1):
        fill(path, [Run(run_id=run_id(number), name=name)], experiment_id=number, name=name)
    args = ("--tracking-uri", STORE, *ALL_BUT_KIND, *KIND)
    with terminal(*args, cwd=tmp_path) as it:
        it.reply("Experiments", CTRL_A + ENTER)
        it.reply("Which runs?", DOWN + ENTER)
        it.reply("Write t.ipynb?", ENTER)
        assert it.end() == 0
    assert_made_again(it, tmp_path / "t.ipynb", tmp_path)


# Servers that were used before, and new ones.

SERVER_ONLY = ("--experiment", "churn", "--all", *REST, "--dry-run")


def test_a_server_is_remembered_and_gone_when_its_file_is(place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    env = {"HOME": str(place / "home")}
    with terminal(*SERVER_ONLY, cwd=place) as it:
        it.reply("Tracking server", ENTER)
        assert it.end() == 0
    uri = f"sqlite:///{place}/mlflow.db"
    with terminal(*SERVER_ONLY, cwd=elsewhere, env=env, columns=200) as it:
        it.asked("Tracking server")
        assert it.line("MLflow's default here").endswith("(no such store here)")
        assert it.line(uri).startswith("❯")
        assert it.line(uri).endswith("used before")
        it.press(ENTER)
        assert it.end() == 0
    (place / "mlflow.db").rename(place / "moved.db")
    with terminal(*SERVER_ONLY, cwd=elsewhere, env=env, columns=200) as it:
        it.asked("Tracking server")
        assert it.line(uri).endswith("used before  (gone)")
        assert it.line("Another one").startswith("❯")
        it.press(ENTER)
        # A wrong address is refused in place, what is typed stays to be mended.
        for wrong, said in (
            ("", "An address"),
            ("../mlflow.db", "no file store at ../mlflow.db"),
            ("../moved.db", "A SQLite store is written sqlite:///../moved.db"),
            ("sqlite://", "names no database file"),
            ("http://[::1", "Invalid IPv6"),
            ("sqlite:///" + "x" * 300, "too long"),
        ):
            it.wait_for("Address:")
            it.press(CLEAR + wrong + ENTER)
            it.wait_for(said)
        it.press(CLEAR + "sqlite:///../moved.db" + ENTER)
        assert it.end() == 0
    assert json.loads((place / STATE).read_text())["servers"] == [
        f"sqlite:///{elsewhere}/../moved.db", uri,
    ]  # fmt: skip


def test_an_address_that_is_no_store_is_asked_for_again(place: Path) -> None:
    (place / "text.db").write_text("no database\n" * 100)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with terminal(*SERVER_ONLY, cwd=place) as it:
            for address, said in (
                ("sqlite:///text.db", "can't be read as a SQLite database"),
                (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"),
                ("ftp://host/x", "ftp"),
            ):
                it.reply("Tracking server", "Another" + ENTER)
                it.reply("Address:", address + ENTER)
                it.asked("Tracking server")
                assert said in "\n".join(it.lines[:-4])
            it.press(ENTER)
            assert it.end() == 0
    # Only what answered is remembered.
    assert json.loads((place / STATE).read_text())["servers"] == [f"sqlite:///{place}/mlflow.db"]


@pytest.mark.parametrize(
    "uri",
    [f"http://me:{PASSWORD}@[::1", "sqlite://", "sqlite:///no.db", " "],
)
def test_a_server_of_the_environment_that_makes_no_sense(uri: str, place: Path) -> None:
    with terminal(*SERVER_ONLY, cwd=place, env={"MLFLOW_TRACKING_URI": uri}) as it:
        it.asked("Tracking server")
        assert "from MLFLOW_TRACKING_URI" in it.lines[1]
        it.press(ENTER)
        # Said why, and asked again.
        it.asked("Tracking server")
        assert len(it.lines) > 4
        it.press("Another" + ENTER)
        it.reply("Address:", STORE + ENTER)
        assert it.end() == 0
    assert PASSWORD not in it.sent


@pytest.mark.parametrize("kind", ["file", "garbage"])
def test_a_state_folder_that_is_no_use(kind: str, place: Path) -> None:
    state = place / "home/.local/state"
    state.parent.mkdir(parents=True)
    if kind == "file":
        state.write_text("mine")
    else:
        (state / "qualia-lab").mkdir(parents=True)
        (state / "qualia-lab/servers.json").write_text('{"servers": "http://x"}')
    with terminal(*SERVER_ONLY, cwd=place) as it:
        it.asked("Tracking server")
        assert len(it.lines) == 4
        it.press(ENTER)
        assert it.end() == 0
    assert "Error" not in it.said
    assert kind == "garbage" or state.read_text() == "mine"


def test_nobody_elses_servers_are_offered(place: Path) -> None:
    (place / "state/qualia-lab").mkdir(parents=True)
    (place / "state/qualia-lab/servers.json").write_text('{"servers": ["http://evil"]}')
    with terminal(*SERVER_ONLY, cwd=place, env={"XDG_STATE_HOME": "state"}) as it:
        it.asked("Tracking server")
        assert "evil" not in it.text
        it.press(ENTER)
        assert it.end() == 0
    assert (place / STATE).is_file()


def test_a_file_store_that_mlflow_reads_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "mlruns/0").mkdir(parents=True)
    (tmp_path / "mlruns/0/meta.yaml").write_text("name: Default\n")
    with terminal(*SERVER_ONLY, cwd=tmp_path) as it:
        it.asked("Tracking server")
        assert it.lines[1] == "❯ ./mlruns     MLflow's default here"
        it.press(ENTER)
        it.asked("Tracking server")
        assert "MLFLOW_ALLOW_FILE_STORE" in it.text
        it.press(CTRL_C)
        assert it.end() == 130


def test_what_a_flag_says_is_not_asked(place: Path) -> None:
    with terminal(*ONLY_RUNS, "--all", cwd=place) as it:
        it.reply("Write t.ipynb?", ENTER)
        assert it.end() == 0
    assert [line for line in it.lines if line.startswith("? ")] == ["? Write t.ipynb? Yes"]


def test_runs_named_by_a_flag_need_no_experiment(place: Path) -> None:
    args = ("--run", "aaaa", "--run", "9999", "--title", "T", "--no-execute", *KIND)
    with terminal(*args, cwd=place) as it:
        it.reply("Tracking server", ENTER)
        it.reply("Metric to rank runs by", ENTER)
        it.reply("Output: notebooks/t.ipynb", ENTER)
        it.reply("Write ", ENTER)
        assert it.end() == 0
    assert "? Experiments" not in it.said
    words = assert_made_again(it, place / "notebooks/t.ipynb", place)
    assert [one for one in words if len(one) == 32] == [A, "9" * 32]


def test_a_dry_run_at_a_terminal(place: Path) -> None:
    args = (*OF_CHURN, "--all", "--dry-run", *KIND)
    with terminal(*args, cwd=place) as it:
        it.reply("Metric to rank runs by", ENTER)
        it.reply("Title:", ENTER)
        it.reply("Output:", ENTER)
        assert it.end() == 0
    assert it.result.startswith("Would write notebooks/observation-churn.ipynb\n")
    assert "  - run × 6\n" in it.result
    assert written(place) == set()


def test_a_place_that_is_taken(place: Path) -> None:
    (place / "notebooks").mkdir()
    for name in ("t.ipynb", "t-2.ipynb"):
        (place / "notebooks" / name).write_text("mine")
    (place / "folder.ipynb").mkdir()
    args = (*OF_CHURN, "--all", *REST[:4], "--no-execute", *KIND)
    with terminal(*args, cwd=place) as it:
        it.asked("Output: notebooks/t-3.ipynb")
        for wrong, said in (
            ("notebooks/t.ipynb", "notebooks/t.ipynb exists"),
            ("folder.ipynb", "folder.ipynb is a folder"),
            ("mlflow.db/x.ipynb", "mlflow.db"),
        ):
            it.press(CLEAR + wrong + ENTER)
            it.wait_for(said)
        it.press(CLEAR + "free.ipynb" + ENTER)
        it.reply("Write free.ipynb?", ENTER)
        assert it.end() == 0
    assert (place / "notebooks/t.ipynb").read_text() == "mine"
    with terminal(*args, "--overwrite", cwd=place) as it:
        it.reply("Output: notebooks/t.ipynb", ENTER)
        it.reply("Write notebooks/t.ipynb?", ENTER)
        assert it.end() == 0


def test_a_title_of_any_text(place: Path) -> None:
    args = (*OF_CHURN, "--all", "--param", "metric=val_loss", "--no-execute", *KIND)
    title = 'it\'s "mine" $HOME `x` \\ 汉字 ñ ! #'
    with terminal(*args, cwd=place) as it:
        it.reply("Title:", CLEAR + pasted(title) + ENTER)
        it.reply("Output:", ENTER)
        it.reply("Write ", ENTER)
        assert it.end() == 0
    path = place / it.result.strip()
    content = path.read_bytes()
    path.unlink()
    assert shell(again_of(it), place).returncode == 0
    assert path.read_bytes() == content


# A server over HTTP.


class Line:
    """A line to a server that can be cut, and mended again."""

    def __init__(self, server: str) -> None:
        self._to = ("127.0.0.1", int(server.rpartition(":")[2]))
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self.mend()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        return listener

    def cut(self) -> None:
        """Nobody answers any more."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def mend(self) -> None:
        """The server is there again."""
        if self._listener.fileno() < 0:
            self._listener = self._listen(self.port)
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._to)
            except OSError:
                return
            self._open += [near, far]
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def line(server: str) -> Iterator[Line]:
    """A line to the shared server."""
    made = Line(server)
    yield made
    made.cut()


@pytest.mark.xdist_group("server")
def test_the_whole_way_over_http(server: str, tmp_path: Path) -> None:
    env = {"MLFLOW_TRACKING_URI": server.replace("://", f"://me:{PASSWORD}@")}
    with terminal("--no-execute", cwd=tmp_path, env=env) as it:
        it.asked("Tracking server")
        assert it.lines[1].split() == ["❯", server, "from", "MLFLOW_TRACKING_URI"]
        it.press(ENTER)
        it.reply("What kind of notebook?", ENTER)
        it.asked("Experiments")
        assert re.fullmatch(r"  \d+ experiments, .*runs?, MLflow \d+\.\d+\.\d+", it.lines[1])
        it.press("qualia-demo")
        it.wait_for("/qualia-demo  1 of")
        it.press(ENTER)
        it.reply("Which runs?", ENTER)
        it.wait_for("newest first)")
        it.press(SPACE + DOWN + SPACE)
        it.wait_for("2 chosen")
        it.press(ENTER)
        it.reply("Metric to rank runs by", ENTER)
        it.reply("Title:", ENTER)
        it.reply("Output:", ENTER)
        it.reply("Write ", ENTER)
        assert it.end() == 0
    assert json.loads((tmp_path / STATE).read_text())["servers"] == [server]
    path = tmp_path / it.result.strip()
    for shown in (it.sent, it.result, (tmp_path / STATE).read_text(), path.read_text()):
        assert PASSWORD not in shown
    content = path.read_bytes()
    path.unlink()
    program, *words = shlex.split(again_of(it))
    assert command(*words, program=program, cwd=tmp_path, env=env).code == 0
    assert path.read_bytes() == content


@pytest.mark.xdist_group("server")
def test_a_password_that_is_typed_does_not_stay(line: Line, tmp_path: Path) -> None:
    """A person types it, so it is there until they press Enter; then it is gone."""
    with_it = line.url.replace("://", f"://me:{PASSWORD}@")
    args = ("--experiment", "qualia-demo", "--all", *REST, "--dry-run")
    with terminal(*args, cwd=tmp_path) as it:
        it.reply("Tracking server", "Another" + ENTER)
        it.asked("Address:")
        line.cut()
        it.press(with_it + ENTER)
        # It does not answer: what is said about it holds no password either.
        it.asked("Tracking server")
        assert PASSWORD not in it.text
        # It went to the environment, where the person had put nothing.
        assert STORE in it.line("MLflow's default here")
        assert "MLFLOW_TRACKING_URI" not in it.text
        line.mend()
        it.press("Another" + ENTER)
        it.reply("Address:", with_it + ENTER)
        assert it.end() == 0
    assert PASSWORD not in it.text
    assert f"? Address: {line.url}" in it.lines
    assert (tmp_path / STATE).read_text().count(line.url) == 1
    assert PASSWORD not in (tmp_path / STATE).read_text() + it.result


@pytest.mark.xdist_group("server")
def test_a_server_that_dies_and_comes_back(line: Line, tmp_path: Path) -> None:
    args = ("--experiment", "qualia-demo", *REST, "--dry-run", "--json", "--timeout", "5")
    env = {"MLFLOW_TRACKING_URI": line.url}
    with terminal(*args, cwd=tmp_path, env=env) as it:
        it.reply("Tracking server", ENTER)
        it.asked("Which runs?")
        line.cut()
        refine(it, "since")
        it.reply("Started since:", "2020-01-01" + ENTER)
        it.asked("What now?")
        assert str(line.port) in it.text
        assert [row.strip("❯ ") for row in it.lines[-4:-1]] == [
            "Try again", "Choose a server again", "Leave",
        ]  # fmt: skip
        # Still away.
        it.press(ENTER)
        it.asked("Which runs?")
        pick(it, ALL)
        it.asked("What now?")
        line.mend()
        it.press(ENTER)
        pick(it, ALL)
        assert len(planned(it)) == json.loads(it.result)["of_runs"] >= 2


@pytest.mark.xdist_group("server")
def test_a_server_that_dies_is_left_for_another(line: Line, place: Path) -> None:
    args = (*REST, "--dry-run", "--json", "--timeout", "5")
    (place / STATE).parent.mkdir(parents=True)
    (place / STATE).write_text(json.dumps({"servers": [f"sqlite:///{place}/mlflow.db"]}))
    with terminal(*args, cwd=place, env={"MLFLOW_TRACKING_URI": line.url}) as it:
        it.reply("Tracking server", ENTER)
        it.asked("Experiments")
        line.cut()
        it.press("qualia-demo" + ENTER)
        it.reply("What now?", "Choose" + ENTER)
        it.asked("Tracking server")
        assert line.url in it.line("from MLFLOW_TRACKING_URI")
        it.press(ENTER)
        # It still does not answer.
        it.reply("Tracking server", "mlflow.db" + ENTER)
        it.asked("Experiments")
        assert "chosen" not in it.text
        it.press("churn" + ENTER)
        pick(it, ALL)
        assert len(planned(it)) == 6


@pytest.mark.xdist_group("server")
@pytest.mark.parametrize("keys", ["Leave" + ENTER, ESC])
def test_leaving_a_server_that_died(keys: str, line: Line, tmp_path: Path) -> None:
    args = ("--tracking-uri", line.url, "--experiment", "qualia-demo", *REST, "--timeout", "5")
    with terminal(*args, cwd=tmp_path) as it:
        settings = it.settings
        it.asked("Which runs?")
        line.cut()
        pick(it, ALL)
        it.asked("What now?")
        # The flag said which server: there is no other to choose.
        assert "Choose a server again" not in it.text
        it.press(keys)
        assert it.end() == 4
        assert_as_before(it, settings)
    assert written(tmp_path) == set()


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ('["datasets"]', "(None of these runs logged a data set)"),
        ('["metrics", "datasets"]', "(None of these runs logged a data set)"),
        ('["metrics"]', ""),
    ],
)
def test_a_kind_that_these_runs_can_not_feed(
    needs: str, said: str, place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "inputs").mkdir()
    (folder / "inputs/kind.toml").write_text(f"""
title = "Inputs"
summary = "What went in."
section = [{{file="_shared/setup", fixed=true}}, {{file="_shared/exploration", needs={needs}}}]
""")
    args = ("--experiment", "churn", "--all", *ALL_BUT_KIND, "--dry-run")
    with terminal(*args, "--templates", str(folder), cwd=place) as it:
        it.reply("Tracking server", ENTER)
        it.asked("What kind of notebook?")
        assert it.line("What went in.")[2:] == f"Inputs       What went in.  {said}".rstrip()
        it.press("inputs")
        it.wait_until(
            lambda screen: "/inputs  1 of 4" in screen and screen.count("esc: back") == 1,
            "list of one, painted whole",
        )
        # What can't be chosen is not pointed at.
        assert it.line("What went in.").startswith(" " if said else "❯")
        it.press(CTRL_C)
        assert it.end() == 130


@pytest.mark.parametrize(("key", "code"), [("n", 2), (ENTER, 2), (ESC, 2), ("y", 130)])
def test_a_server_that_a_project_names_gets_credentials_only_after_a_yes(
    key: str, code: int, place: Path
) -> None:
    (place / "qualia.toml").write_text('tracking_uri = "http://127.0.0.1:9"\n')
    with terminal(cwd=place, env={"MLFLOW_TRACKING_TOKEN": PASSWORD}) as it:
        it.wait_for("qualia.toml line 1 names the server http://127.0.0.1:9", "(y/N)")
        it.press(key)
        if code == 130:
            it.asked("What now?")
            it.press(CTRL_C)
        assert it.end() == code
    assert PASSWORD not in it.sent


# What comes next.


def test_an_export_is_chosen_and_becomes_flags(place: Path) -> None:
    (place / "t.html").write_text("mine")
    args = [word for word in (*OF_CHURN, "--all", *REST) if word != "--no-execute"]
    with terminal(*args, "--section", "overview", cwd=place) as it:
        it.asked("What next?")
        it.press("export" + ENTER)
        it.asked("Export to")
        assert [line.partition("○")[2].split()[0] for line in it.lines if " ○ " in line] == [
            "HTML",
            "PDF",
            "Markdown",
        ]
        it.press(ESC)
        it.asked("What next?")
        it.press("export" + ENTER)
        it.asked("Export to")
        it.press(ENTER)
        it.wait_for("t.html exists")
        it.asked("What next?")
        it.press("export" + ENTER)
        it.asked("Export to")
        it.press("mark" + SPACE + ENTER)
        it.asked("Write t.ipynb, then execute it and export it?")
        assert "        and t.md" in it.lines
        it.press("y")
        assert it.end() in (0, 8)
    assert it.result == "t.ipynb\nt.md\n"
    assert (place / "t.html").read_text() == "mine"
    assert (place / "t.md").read_text().startswith("# T\n")
    assert "--execute --export markdown --overwrite" in again_of(it)
