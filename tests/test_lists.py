"""A list to choose from: what it does with each key, and what it paints."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import HOSTILE
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rich.spinner import Spinner
from stores import T0
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
    F1,
    HOME,
    LEFT,
    PAGE_DOWN,
    PAGE_UP,
    SPACE,
    TAB,
    UP,
    Display,
    hidden,
    pasted,
    typing,
)

from qualia_lab import ArtifactExplorer
from qualia_lab.cli.console import Glyphs, glyphs
from qualia_lab.cli.listing import infos, nested, run_rows, telling
from qualia_lab.cli.lists import Back, Listing, Pressed, Row, Screen, application
from qualia_lab.cli.tables import Column, Table, cell_width
from qualia_lab.model import Query, RunInfo
from qualia_lab.text import visible

CTRL_N, CTRL_P, CTRL_X = "\x0e", "\x10", "\x18"


def listing(*names: str, several: bool = True, at: int = 0) -> Listing:
    """A list of these; one that begins with a dash can't be chosen."""
    rows = [
        Row(value=name, cells=(name.lstrip("-"),), lacks="gone" if name[:1] == "-" else "")
        for name in names
    ]
    return Listing(rows=rows, several=several, at=at)


def shown(one: Listing) -> list[str]:
    return [one.rows[place].cells[0] for place in one.shown]


def pointed(one: Listing) -> str | None:
    return None if one.pointed is None else one.rows[one.pointed].cells[0]


# What is found.

NAMES = (
    "churn baseline",
    "churn sweep 1",
    "Sweep 2 CHURN",
    "Straße Ärger",
    "汉字 run",
    "cafe\u0301",
)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", list(NAMES)),
        ("   ", list(NAMES)),
        ("base", ["churn baseline"]),
        # Every word, in whatever order and case.
        ("sweep churn", ["churn sweep 1", "Sweep 2 CHURN"]),
        ("CHURN 2", ["Sweep 2 CHURN"]),
        ("churn churn", ["churn baseline", "churn sweep 1", "Sweep 2 CHURN"]),
        ("churn nothing", []),
        # Letters of all kinds.
        ("STRASSE", ["Straße Ärger"]),
        ("ä", ["Straße Ärger"]),
        ("字", ["汉字 run"]),
        # An accent may be part of its letter or stand on it; they look the same.
        ("caf\u00e9", ["cafe\u0301"]),
        ("A\u0308rger", ["Straße Ärger"]),
        # Nothing in it means anything but itself.
        (".", []),
        ("*", []),
        ("[", []),
    ],
)
def test_a_search_finds_every_word(search: str, found: list[str]) -> None:
    one = listing(*NAMES)
    one.seek(search)
    assert shown(one) == found
    assert pointed(one) == (found[0] if found else None)


def test_all_cells_are_searched_even_those_that_find_no_place() -> None:
    rows = [Row(value=n, cells=(f"run {n}", "3h", f"{n}abc")) for n in range(3)]
    one = Listing(rows=rows, several=False)
    one.seek("run 1abc")
    assert one.shown == [1]


def test_a_search_that_finds_nothing_can_do_nothing() -> None:
    one = listing("a", "b")
    one.seek("zzz")
    for by in (1, -1, 20, -20):
        one.move(by)
    one.toggle()
    one.toggle_all()
    assert (one.pointed, one.chosen, one.answer(), list(one.window(5))) == (None, set(), [], [])
    one.seek("")
    assert (pointed(one), one.answer()) == ("a", ["a"])


def test_what_was_chosen_outlives_a_search() -> None:
    one = listing("a 1", "b 1", "a 2")
    one.toggle()
    one.seek("b")
    one.toggle()
    one.seek("nothing")
    assert one.answer() == ["a 1", "b 1"]


# Moving around.


def test_moving_passes_what_can_not_be_chosen_and_goes_round() -> None:
    one = listing("-a", "b", "-c", "-d", "e", "-f")
    seen = []
    for _ in range(3):
        seen.append(pointed(one))
        one.move(1)
    assert seen == ["b", "e", "b"]
    for _ in range(3):
        one.move(-1)
        seen.append(pointed(one))
    assert seen[3:] == ["b", "e", "b"]


def test_a_page_stops_at_the_ends() -> None:
    one = listing(*(f"{n:02}" for n in range(25)))
    places = []
    for by in (10, 10, 10, 10, -10, -10, -10, -10):
        one.move(by)
        places.append(one.at)
    assert places == [10, 20, 24, 24, 14, 4, 0, 0]


def test_a_page_lands_on_what_can_be_chosen() -> None:
    names = ["-0", "1", "-2", "-3", "-4", "5", "6", "-7", "-8"]
    for start, by, end in (
        ("1", 2, "5"), ("5", 2, "6"), ("6", -2, "1"), ("6", 100, "6"), ("5", -100, "1"),
        ("6", 2, "6"), ("1", -2, "1"),
    ):  # fmt: skip
        one = listing(*names, at=int(start))
        one.move(by)
        assert pointed(one) == end, (start, by)


def test_where_nothing_can_be_chosen_nothing_is_pointed_at() -> None:
    one = listing("-a", "-b")
    for by in (1, -1, 10, -10):
        one.move(by)
        assert one.pointed is None
    one.toggle()
    one.toggle_all()
    assert (one.chosen, one.answer()) == (set(), [])
    assert Listing(rows=[], several=True).answer() == []


@pytest.mark.parametrize(
    ("at", "at_first"), [(0, "b"), (1, "b"), (2, "b"), (3, "d"), (4, "b"), (99, "b")]
)
def test_a_list_begins_where_it_is_told_if_it_can(at: int, at_first: str) -> None:
    assert pointed(listing("-a", "b", "-c", "d", "-e", at=at)) == at_first


# Choosing.


def test_the_answer_is_in_the_order_of_the_list() -> None:
    one = listing("a", "b", "c")
    one.move(-1)
    one.toggle()
    one.move(1)
    one.toggle()
    assert one.answer() == ["a", "c"]
    one.toggle()
    assert one.answer() == ["c"]


def test_without_a_choice_the_answer_is_what_is_pointed_at() -> None:
    one = listing("a", "b")
    one.move(1)
    assert one.answer() == ["b"]


def test_all_under_a_search_leaves_the_others_as_they_are() -> None:
    one = listing("a 1", "b 1", "-a 2", "a 3")
    one.move(1)
    one.toggle()
    one.seek("a")
    one.toggle_all()
    assert one.answer() == ["a 1", "b 1", "a 3"]
    one.toggle_all()
    assert one.answer() == ["b 1"]
    # Some of them chosen: then all are.
    one.toggle()
    one.toggle_all()
    assert one.answer() == ["a 1", "b 1", "a 3"]


def test_of_a_list_for_one_the_pointed_is_the_answer_whatever_was_chosen() -> None:
    one = listing("a", "b", several=False)
    one.chosen = {0}
    one.move(1)
    assert one.answer() == ["b"]


class Keys(RuleBasedStateMachine):
    """Any keys on any list: against a model that looks at all rows each time."""

    @initialize(
        rows=st.lists(st.tuples(st.sampled_from(["ab", "b", "Ab c", "ä", ""]), st.booleans())),
        several=st.booleans(),
    )
    def start(self, rows: list[tuple[str, bool]], several: bool) -> None:
        made = [
            Row(value=place, cells=(name, str(place)), lacks="gone" if lacks else "")
            for place, (name, lacks) in enumerate(rows)
        ]
        self.one = Listing(rows=made, several=several)
        self.chosen: set[int] = set()

    @property
    def free(self) -> list[int]:
        """The places of the rows that are shown and can be chosen."""
        return [place for place in self.one.shown if not self.one.rows[place].lacks]

    @rule(text=st.sampled_from(["", "a", "B", "ab c", "1", "Ä", "b 1", "zzz"]))
    def search(self, text: str) -> None:
        self.one.seek(text)
        words = text.lower().split()
        assert self.one.shown == [
            row.value
            for row in self.one.rows
            if all(word in " ".join(row.cells).lower() for word in words)
        ]
        assert self.one.pointed == (self.free[0] if self.free else None)

    @rule(by=st.sampled_from([1, -1]))
    def step(self, by: int) -> None:
        before = self.one.pointed
        self.one.move(by)
        if before is not None:
            at = self.free.index(before)
            assert self.one.pointed == self.free[(at + by) % len(self.free)]

    @rule(by=st.integers(2, 30), sign=st.sampled_from([1, -1]))
    def page(self, by: int, sign: int) -> None:
        before = self.one.at
        self.one.move(sign * by)
        if self.free:
            assert sign * (self.one.at - before) >= 0
            # Short of a whole page only where nothing free is beyond it.
            if sign * (self.one.at - before) < by:
                ends = self.free[-1] if sign > 0 else self.free[0]
                assert self.one.pointed == ends

    @rule()
    def toggle(self) -> None:
        self.one.toggle()
        if self.one.pointed is not None:
            self.chosen ^= {self.one.pointed}

    @rule()
    def toggle_all(self) -> None:
        free = set(self.free)
        self.one.toggle_all()
        self.chosen = self.chosen - free if free <= self.chosen else self.chosen | free

    @rule(height=st.integers(-1, 12))
    def paint(self, height: int) -> None:
        window = list(self.one.window(height))
        assert len(window) == min(max(1, height), len(self.one.shown))
        assert window == list(range(window[0], window[0] + len(window))) if window else True
        assert self.one.at in window or not self.one.shown

    @invariant()
    def is_sound(self) -> None:
        assert self.one.chosen == self.chosen
        assert (self.one.pointed is None) == (not self.free)
        assert self.one.pointed is None or self.one.pointed in self.free
        chosen = sorted(self.chosen) if self.one.several else []
        alone = [] if self.one.pointed is None else [self.one.pointed]
        assert self.one.answer() == (chosen or alone)


TestKeys = Keys.TestCase
TestKeys.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_the_window_moves_no_more_than_it_must() -> None:
    one = listing(*(f"{n}" for n in range(20)))
    tops = []
    for by in (0, 1, 1, 1, 1, -1, -1, -1, -1):
        one.move(by) if by else None
        tops.append(one.window(4)[0])
    assert tops == [0, 0, 0, 0, 1, 1, 1, 1, 0]


# On a screen.

COLUMNS = [Column(title="name", bends=12), Column(title="age", right=True)]
KEYS = "these are the keys that can be pressed here, as the list itself says them"
SIGNS = Glyphs(pointer=">", on="*", off="-", cut="~", marks={}, spinner="line")


def ask(
    rows: Sequence[Row],
    *,
    several: bool = True,
    others: Sequence[str] = (),
    signs: Glyphs = SIGNS,
    columns: Sequence[Column] = COLUMNS,
    question: str = "Which?",
) -> Pressed:
    """Put the list to the person who is ``typing``."""
    table = Table(columns, [row.cells for row in rows], signs.cut)
    screen = Screen(
        question=question,
        listing=Listing(rows=rows, several=several),
        table=table,
        glyphs=signs,
        keys=KEYS,
    )
    return application(screen, others=others).run()


def rows(*names: str) -> list[Row]:
    return [
        Row(value=name, cells=(name.lstrip("-"), "3h"), lacks="gone" if name[:1] == "-" else "")
        for name in names
    ]


ABC = rows("alpha one", "beta two", "gamma one", "-delta", "epsilon two")


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ([ENTER], ["alpha one"]),
        ([SPACE, DOWN, DOWN, SPACE, ENTER], ["alpha one", "gamma one"]),
        ([SPACE, SPACE, DOWN, ENTER], ["beta two"]),
        ([UP, ENTER], ["epsilon two"]),
        ([CTRL_P, CTRL_P, CTRL_N, ENTER], ["epsilon two"]),
        ([END, ENTER], ["epsilon two"]),
        ([END, HOME, ENTER], ["alpha one"]),
        ([PAGE_DOWN, ENTER], ["epsilon two"]),
        ([PAGE_DOWN, PAGE_UP, ENTER], ["alpha one"]),
        ([CTRL_A, ENTER], ["alpha one", "beta two", "gamma one", "epsilon two"]),
        ([CTRL_A, CTRL_A, DOWN, ENTER], ["beta two"]),
        (["two", CTRL_A, ENTER], ["beta two", "epsilon two"]),
        ([SPACE, "two", DOWN, SPACE, ENTER], ["alpha one", "epsilon two"]),
        (["TWO", BACKSPACE * 3, ENTER], ["alpha one"]),
        (["two", CLEAR, ENTER], ["alpha one"]),
        ([BACKSPACE, "gam", ENTER], ["gamma one"]),
        # Letters are letters, not keys that move.
        (["jk", CLEAR, "b", ENTER], ["beta two"]),
        # Nothing to choose, and nothing happens, until there is something.
        (["zzz", ENTER, SPACE, CLEAR, DOWN, ENTER], ["beta two"]),
        (["delta", ENTER, SPACE, CLEAR, ENTER], ["alpha one"]),
        # Esc takes the search away first.
        (["two", ESC], None),
        # What is pasted is searched for, whatever its lines.
        ([pasted("two\r\nepsilon\n"), ENTER], ["epsilon two"]),
        ([pasted("gam"), pasted("ma"), ENTER], ["gamma one"]),
        ([pasted("\x1b[31mtwo"), ENTER], ["alpha one"]),
        ([pasted(""), pasted("\r\n"), ENTER], ["alpha one"]),
        # Keys without a meaning here.
        ([TAB, LEFT, F1, CTRL_X, "\x00", "\x1c", DOWN, ENTER], ["beta two"]),
    ],
)
def test_keys(keys: list[str], values: list[str] | None) -> None:
    script: list[Any] = list(keys)
    if values is None:
        script += [lambda it: it.wait_until(lambda text: "/two" not in text, "end of the search")]
        script += [ENTER]
        values = ["alpha one"]
    with typing(*script):
        assert ask(ABC) == Pressed(values=tuple(values))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ([DOWN, ENTER], "beta two"),
        # A space belongs to what is searched for; nothing is chosen but what is pointed at.
        (["a one", DOWN, ENTER], "gamma one"),
        (["one", SPACE, "g", ENTER], "gamma one"),
        ([SPACE, DOWN, ENTER], "beta two"),
        ([CTRL_A, ENTER], "alpha one"),
    ],
)
def test_keys_of_a_list_for_one(keys: list[str], value: str) -> None:
    with typing(*keys):
        assert ask(ABC, several=False) == Pressed(values=(value,))


def test_esc_goes_back_and_first_takes_the_search_away() -> None:
    def look(it: Display) -> None:
        it.answer("Which?", "two")
        it.answer("/two  2 of 5", ESC)
        it.wait_until(lambda text: "/two" not in text and "alpha" in text, "whole list")
        it.press(ESC)

    with typing(look), pytest.raises(Back):
        ask(ABC)


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
@pytest.mark.parametrize("before", [[], ["two"], [SPACE, "zzz"]])
def test_leaving(key: str, before: list[str]) -> None:
    with typing(*before, key), pytest.raises(KeyboardInterrupt):
        ask(ABC)


def test_another_key_ends_the_list_with_what_is_chosen_so_far() -> None:
    with typing(DOWN, SPACE, DOWN, TAB):
        assert ask(ABC, others=["tab"]) == Pressed(values=("beta two",), key="tab")
    # What is only pointed at was not chosen.
    with typing(DOWN, TAB):
        assert ask(ABC, others=["tab"]) == Pressed(values=(), key="tab")


def test_a_list_without_anything_to_choose_can_be_left() -> None:
    with typing(ENTER, SPACE, CTRL_A, ENTER, DOWN, ESC), pytest.raises(Back):
        ask(rows("-a", "-b"))


def test_what_is_painted() -> None:
    def look(it: Display) -> None:
        it.wait_for("as the list")
        first.extend(it.lines)
        it.press(SPACE + DOWN + "o")
        it.wait_for("/o  4 of 5, 1 chosen")
        second.extend(it.lines)
        it.press("zz")
        it.wait_for("/ozz")
        third.extend(it.lines)
        it.press(ENTER)

    first: list[str] = []
    second: list[str] = []
    third: list[str] = []
    with typing(look, columns=60) as it:
        ask(ABC)
    assert first == [
        "? Which?",
        "    name         age",
        "> - alpha one     3h",
        "  - beta two      3h",
        "  - gamma one     3h",
        "  - delta         3h  (gone)",
        "  - epsilon two   3h",
        "these are the keys that can be pressed here, as the list",
        "itself says them",
    ]
    assert second == [
        "? Which?",
        "    name         age",
        "> * alpha one     3h",
        "  - beta two      3h",
        "  - gamma one     3h",
        "  - epsilon two   3h",
        "/o  4 of 5, 1 chosen",
        "these are the keys that can be pressed here, as the list",
        "itself says them",
    ]
    assert third == [
        "? Which?",
        "    name         age",
        "  nothing matches; backspace",
        "/ozz  0 of 5, 1 chosen",
        "these are the keys that can be pressed here, as the list",
        "itself says them",
    ]
    # It is erased when it is answered.
    assert it.lines == []


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("columns", [30, 40, 80])
def test_why_a_row_can_not_be_chosen_is_not_cut(columns: int, several: bool) -> None:
    long = [
        Row(value=1, cells=("n" * 70, "what is known of it"), lacks="no such store here"),
        Row(value=2, cells=("other", "what is known of it")),
    ]
    with typing(lambda it: it.answer("as the list", ENTER), columns=columns) as it:
        ask(long, several=several, columns=[Column(bends=12), Column()])
    (line,) = {line for frame in it.frames for line in frame.splitlines() if "(" in line}
    assert line.endswith("(no such store here)")
    assert "nn" in line


@pytest.mark.parametrize("height", [1, 4, 8, 10, 24])
@pytest.mark.parametrize("width", [12, 20, 40, 79])
def test_every_line_fits_and_what_is_pointed_at_is_seen(width: int, height: int) -> None:
    many = [
        Row(
            value=n, cells=(f"{n:03} " + "汉字😀ñ" * 9, f"{n}h"), lacks="gone" if n % 7 == 3 else ""
        )
        for n in range(61)
    ]

    def look(it: Display) -> None:
        for keys, at in (("", 0), (END, 60), (HOME, 0), (DOWN, 1), (PAGE_DOWN + UP * 2, None)):
            it.press(keys)
            if at is not None:
                it.wait_for(f"> - {at:03}")
        it.press(HOME + UP)
        it.wait_for("> - 060")
        it.press(ENTER)

    with typing(look, columns=width, rows=height) as it:
        assert ask(many).values == (60,)
    for frame in it.frames:
        lines = frame.splitlines()
        assert len(lines) <= height
        # Nothing ran past the edge: a terminal would go on with it in a line of its own.
        assert [line for line in lines if not is_line(line)] == []
        assert all(cell_width(line) < width for line in lines)


def is_line(line: str) -> bool:
    """Whether it is a line of the list, from its beginning."""
    return not line or line in KEYS or bool(re.match(r"\? Which|    name|[> ] - \d+( |~|$)", line))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_on_its_line(name: str) -> None:
    safe = visible(name, 60)
    around = [Row(value=one, cells=(one, "3h")) for one in ("before", safe, "after")]
    with typing(DOWN, SPACE, lambda it: it.answer("1 chosen", ENTER), columns=90) as it:
        assert ask(around).values == (safe,)
    frame = next(frame for frame in it.frames if "1 chosen" in frame)
    assert hidden(frame) == set()
    lines = frame.splitlines()
    assert [lines[2][4:10], lines[4][4:9]] == ["before", "after"]
    assert lines[3].startswith("> *")
    assert len(lines) == 7
    # The ages stand under each other.
    assert len({cell_width(line.partition("3h")[0]) for line in lines[2:5]}) == 1


def test_a_search_is_shown_as_it_was_typed_and_cut_to_the_width() -> None:
    keys = ("日本\u0301" * 40, lambda it: it.answer("/日本", CTRL_C))
    with typing(*keys, columns=40) as it, pytest.raises(KeyboardInterrupt):
        ask(ABC)
    assert all(cell_width(line) < 40 for frame in it.frames for line in frame.splitlines())


def test_signs() -> None:
    class Stream:
        def __init__(self, encoding: str | None) -> None:
            self.encoding = encoding

    assert glyphs(Stream("utf-8")).pointer == "❯"
    assert glyphs(Stream(None)).pointer == "❯"
    for encoding in ("cp1252", "ascii", "latin-1", "cp437", "no-such-encoding"):
        plain = glyphs(Stream(encoding))
        signs = "".join((plain.pointer, plain.on, plain.off, plain.cut, *plain.marks.values()))
        assert signs.isascii()
        assert "?" not in signs
        # What turns while something is waited for, and a mark for each ending of a run.
        assert "".join(Spinner(plain.spinner).frames).isascii()
        assert plain.marks.keys() == glyphs(Stream("utf-8")).marks.keys()


# Runs as rows.


def run(number: int, *, parent: int | None = None, **metrics: float) -> RunInfo:
    return RunInfo(
        run_id=f"{number:032x}",
        name=f"run {number}",
        experiment_id="1",
        status="FINISHED",
        started=T0 - number,
        ended=T0 + 5_000,
        parent=None if parent is None else f"{parent:032x}",
        metrics=metrics,
    )


def tree_of(listed: Sequence[RunInfo]) -> list[tuple[int, int]]:
    return [(int(one.run_id, 16), depth) for one, depth in nested(listed)]


@pytest.mark.parametrize(
    ("parents", "found"),
    [
        # The order is that of the list, within a parent too.
        ({1: None, 2: None, 3: None}, [(1, 0), (2, 0), (3, 0)]),
        ({1: 3, 2: None, 3: None, 4: 3}, [(2, 0), (3, 0), (1, 1), (4, 1)]),
        ({1: 2, 2: 3, 3: None}, [(3, 0), (2, 1), (1, 2)]),
        # A parent that is not in the list.
        ({1: 9, 2: 1}, [(1, 0), (2, 1)]),
        # Tags can say anything; each run is there once.
        ({1: 1, 2: None}, [(2, 0), (1, 0)]),
        ({1: 2, 2: 1, 3: 2}, [(1, 0), (2, 1), (3, 2)]),
    ],
)
def test_nested_runs_stand_under_their_parents(
    parents: dict[int, int | None], found: list[tuple[int, int]]
) -> None:
    assert tree_of([run(number, parent=parent) for number, parent in parents.items()]) == found


def test_a_deep_nest_is_no_limit() -> None:
    listed = [run(number, parent=number + 1) for number in range(3000)]
    assert tree_of(listed) == [(number, 2999 - number) for number in range(2999, -1, -1)]


def test_sorted_by_a_metric_runs_stand_for_themselves() -> None:
    listed = [run(1, parent=2, loss=1.0), run(2, loss=2.0)]
    signs = glyphs(io.StringIO())
    _, made = run_rows(listed, signs)
    assert [row.cells[1] for row in made] == ["run 2", "  run 1"]
    columns, made = run_rows(listed, signs, metric="loss")
    assert [row.cells[1] for row in made] == ["run 1", "run 2"]
    assert [column.title for column in columns] == ["", "name", "age", "took", "loss", "id"]
    # Once it is chosen it is called by its name, however deep it stood.
    assert [row.called for row in made] == ["run 1", "run 2"]


def test_the_metric_of_the_order_comes_first() -> None:
    listed = [run(1, a=1, b=1, c=1, odd=1), run(2, a=2, b=2, c=2, odd=1)]
    columns, made = run_rows(listed, glyphs(io.StringIO()), metric="odd")
    assert [column.title for column in columns][4:-1] == ["odd", "a", "b"]
    assert made[1].cells[4:-1] == ("1", "2", "2")


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([], []),
        # Those in which runs differ; a loss tells more than what has no direction.
        ([{"x": 1, "loss": 1, "same": 2}, {"x": 2, "loss": 2, "same": 2}], ["loss", "x"]),
        # Where none differs, any of them.
        ([{"loss": 1}, {"loss": 1}], ["loss"]),
        # What is no number does not differ.
        ([{"x": math.nan, "y": 1}, {"x": math.inf, "y": 2}], ["y"]),
        # What few log says nothing about the rest.
        ([{"loss": n, "own": n} for n in range(2)] + [{"loss": n} for n in range(9)], ["loss"]),
        ([{f"m{n}": n for n in range(9)}, {f"m{n}": -n for n in range(9)}], ["m1", "m2", "m3"]),
    ],
)
def test_the_metrics_that_tell_runs_apart(runs: list[dict[str, float]], found: list[str]) -> None:
    listed = [replace(run(number), metrics=metrics) for number, metrics in enumerate(runs)]
    assert telling(listed) == found


def test_a_run_without_anything() -> None:
    bare = RunInfo(run_id="0" * 32, name="", experiment_id="1", status="NEW")
    _, (row,) = run_rows([bare], glyphs(io.StringIO()))
    assert row.cells == ("?", "", "", "", "00000000")
    assert row.called == "0" * 32


def test_runs_that_were_loaded_are_listed_as_those_that_were_found(demo_store: Path) -> None:
    explorer = ArtifactExplorer(f"sqlite:///{demo_store}")
    found = explorer.runs(Query())
    listed = infos(explorer.load(Query()), 1000)
    assert as_text(listed) == as_text(found)
    assert as_text(infos(explorer.load(Query()), 2)) == as_text(found[:2])


def as_text(runs: Sequence[RunInfo]) -> list[str]:
    """Every field: what is no number does not equal itself."""
    return [repr(replace(one, metrics=dict(sorted(one.metrics.items())))) for one in runs]
