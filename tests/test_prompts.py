"""The questions one by one: a list, a line, yes or no, with keys and, on poor terminals, words."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from terminals import (
    BACKSPACE,
    CLEAR,
    CTRL_C,
    CTRL_D,
    DOWN,
    ENTER,
    ESC,
    SPACE,
    TAB,
    pasted,
    typing,
)

from qualia_lab.cli import prompts
from qualia_lab.cli.lists import Back, Pressed, Row
from qualia_lab.cli.tables import Column

COLUMNS = [Column(title="name", bends=12), Column()]
ROWS = [Row(value=one, cells=(one, f"about {one}")) for one in ("alpha", "beta", "gamma")]
LABELLED = [Row(value=1, cells=("the lower the better", ""), label="lower"), *ROWS]
CLOSED = [*ROWS, Row(value="delta", cells=("delta", ""), lacks="no runs")]


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    # As the tests of a command would find it, whatever they run in.
    monkeypatch.delenv("NO_COLOR", raising=False)


# Lists.


def test_one_of_a_list_stays_as_question_and_answer() -> None:
    with typing(DOWN, ENTER) as it:
        assert prompts.one("Which?", ROWS, COLUMNS) == "beta"
    assert it.lines == ["? Which? beta"]


def test_a_row_is_called_by_its_label() -> None:
    with typing(ENTER) as it:
        assert prompts.one("Which?", LABELLED, COLUMNS) == 1
    assert it.lines == ["? Which? lower"]


def test_a_list_may_leave_nothing() -> None:
    with typing(ENTER) as it:
        assert prompts.one("Which?", ROWS, COLUMNS, keeps=False) == "alpha"
    assert it.lines == []


def test_a_list_begins_at_its_start() -> None:
    with typing(ENTER):
        assert prompts.one("Which?", ROWS, COLUMNS, start=2) == "gamma"


def test_several_of_a_list() -> None:
    with typing(SPACE, DOWN, DOWN, SPACE, ENTER) as it:
        assert prompts.several("Which?", ROWS, COLUMNS) == Pressed(values=("alpha", "gamma"))
    assert it.lines == ["? Which? 2 of 3"]
    with typing(ENTER) as it:
        assert prompts.several("Which?", ROWS, COLUMNS) == Pressed(values=("alpha",))
    assert it.lines == ["? Which? alpha"]


def test_what_was_chosen_before_is_chosen() -> None:
    with typing(lambda it: it.answer("2 chosen", DOWN + SPACE + ENTER)) as it:
        found = prompts.several("Which?", ROWS, COLUMNS, chosen=("gamma", "alpha", "not here"))
    assert found.values == ("alpha", "beta", "gamma")
    assert it.lines == ["? Which? 3 of 3"]


def test_a_key_for_something_else() -> None:
    with typing(SPACE, lambda it: it.answer("type: search, tab: sort", TAB)) as it:
        found = prompts.several("Which?", ROWS, COLUMNS, others=[("tab", "sort")])
    assert found == Pressed(values=("alpha",), key="tab")
    assert it.lines == []


# Lines.


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ([ENTER], "churn"),
        (["s", ENTER], "churns"),
        ([CLEAR, ENTER], "churn"),
        ([CLEAR, "  mine  ", ENTER], "mine"),
        ([CLEAR, "   ", ENTER], "churn"),
        ([BACKSPACE * 2, ENTER], "chu"),
        ([CLEAR, pasted("mine\n"), ENTER], "mine"),
        ([CLEAR, "汉字 ñ", ENTER], "汉字 ñ"),
    ],
)
def test_a_line(keys: list[str], answer: str) -> None:
    with typing(*keys) as it:
        assert prompts.line("Title:", "churn") == answer
    assert it.lines == [f"? Title: {answer}"]


def test_a_line_may_be_left_empty_where_that_means_something() -> None:
    with typing(CLEAR, ENTER):
        assert prompts.line("Since:", "7d", may_be_empty=True) == ""
    with typing(ENTER):
        assert prompts.line("Since:", "7d", may_be_empty=True) == "7d"


def test_what_is_offered_may_be_another_than_the_default() -> None:
    with typing(ENTER):
        assert prompts.line("Title:", "churn", offered="mine") == "mine"
    with typing(CLEAR, ENTER):
        assert prompts.line("Title:", "churn", offered="mine") == "churn"


def test_a_line_is_refused_in_place_and_stays_to_be_mended() -> None:
    def check(text: str) -> bool | str:
        seen.append(text)
        return text == "seven" or "A number, please."

    seen: list[str] = []
    with typing(ENTER, lambda it: it.answer("A number, please.", BACKSPACE + "n" + ENTER)) as it:
        assert prompts.line("How many:", "sevem", check) == "seven"
    assert seen == ["sevem", "seven"]
    assert it.lines == ["? How many: seven"]


def test_the_default_is_validated_where_nothing_is_left() -> None:
    with typing(CLEAR, ENTER):
        assert prompts.line("Output:", "free", lambda text: text == "free") == "free"


def test_a_line_may_be_shown_as_something_else() -> None:
    with typing("http://me:secret@host", ENTER) as it:
        found = prompts.line("Address:", "", shown=lambda text: text.replace("me:secret@", ""))
    assert found == "http://me:secret@host"
    assert it.lines == ["? Address: http://host"]
    # Nor does it stay when the question is left.
    with typing("secret", CTRL_C) as it, pytest.raises(KeyboardInterrupt):
        prompts.line("Address:", "", shown=lambda text: "")
    assert it.lines == []


# Yes or no.


@pytest.mark.parametrize(
    ("keys", "is_so"),
    [([ENTER], True), (["y"], True), (["Y"], True), (["n"], False), (["N"], False),
     (["x", "1", "n"], False)],
)  # fmt: skip
def test_yes_unless_denied(keys: list[str], is_so: bool) -> None:
    with typing(*keys) as it:
        assert prompts.yes("Write it?") is is_so
    assert it.lines == [f"? Write it? {'Yes' if is_so else 'No'}"]


def test_what_is_asked_hides_nothing() -> None:
    with typing(ENTER) as it:
        prompts.yes("Write \x1b[31m\u202e.ipynb?")
    assert it.lines == ["? Write \\x1b[31m\\u202e.ipynb? Yes"]


# Leaving, and going back.

ASK: dict[str, Callable[[], object]] = {
    "one": lambda: prompts.one("Which?", ROWS, COLUMNS),
    "several": lambda: prompts.several("Which?", ROWS, COLUMNS),
    "line": lambda: prompts.line("Title:", "a title"),
    "yes": lambda: prompts.yes("Write it?"),
}


@pytest.mark.parametrize("question", ASK)
def test_esc_goes_back_and_leaves_no_question_that_looks_answered(question: str) -> None:
    with typing(lambda it: it.answer("? ", ESC)) as it, pytest.raises(Back):
        ASK[question]()
    assert it.lines == []


@pytest.mark.parametrize("question", ASK)
def test_ctrl_c_leaves(question: str) -> None:
    with typing(CTRL_C), pytest.raises(KeyboardInterrupt):
        ASK[question]()


@pytest.mark.parametrize("question", ASK)
def test_ctrl_d_leaves(question: str) -> None:
    with typing(CLEAR, CTRL_D), pytest.raises(KeyboardInterrupt):
        ASK[question]()


def test_ctrl_d_deletes_in_the_middle_of_a_line_as_a_shell_does() -> None:
    with typing(CLEAR, "abc", "\x1b[D", CTRL_D, ENTER):
        assert prompts.line("Title:", "x") == "ab"


@pytest.mark.parametrize("question", ASK)
def test_some_terminals_send_another_enter(question: str) -> None:
    with typing("\n") as it:
        ASK[question]()
    assert len(it.lines) == 1


# On a terminal that can't move its cursor.


@pytest.fixture
def dumb(monkeypatch: pytest.MonkeyPatch) -> Callable[..., io.StringIO]:
    """Type these lines there; gives what is shown."""

    def lines(*typed: str) -> io.StringIO:
        monkeypatch.setenv("TERM", "dumb")
        shown = io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{one}\n" for one in typed)))
        monkeypatch.setattr(sys, "stderr", shown)
        return shown

    return lines


Dumb = Callable[..., io.StringIO]


def test_a_list_by_number(dumb: Dumb) -> None:
    shown = dumb("2")
    assert prompts.one("Which?", ROWS, COLUMNS) == "beta"
    assert shown.getvalue() == (
        "? Which?\n"
        "      name\n"
        "   1  alpha  about alpha\n"
        "   2  beta   about beta\n"
        "   3  gamma  about gamma\n"
        "Number, /text: search, b: back: "
    )


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        (["1"], ["alpha"]),
        (["1,3"], ["alpha", "gamma"]),
        (["2-3"], ["beta", "gamma"]),
        (["1 2"], ["alpha", "beta"]),
        (["3, 1"], ["alpha", "gamma"]),
        (["2,2,1-2"], ["alpha", "beta"]),
        (["all"], ["alpha", "beta", "gamma"]),
        (["/mm", "all"], ["gamma"]),
        (["/BETA", "1"], ["beta"]),
        (["/mm", "/", "1"], ["alpha"]),
        (["m", "1"], ["alpha"]),
    ],
)
def test_several_by_numbers(typed: list[str], values: list[str], dumb: Dumb) -> None:
    shown = dumb(*typed)
    assert prompts.several("Which?", CLOSED, COLUMNS) == Pressed(values=tuple(values))
    assert "   4  delta  (no runs)\n" in shown.getvalue()
    assert "no line of the list" not in shown.getvalue()


def test_a_range_may_go_past_the_end(dumb: Dumb) -> None:
    dumb("2-99999")
    assert prompts.several("Which?", ROWS, COLUMNS).values == ("beta", "gamma")


NO_LINES = [
    "",
    "0",
    "4",
    "5",
    "1,4",
    "2-9",
    "x",
    "1-x",
    "-",
    "2-1",
    "1.5",
    "²",
    "-1",
    "9" * 5000,
    "1;2",
]


@pytest.mark.parametrize("typed", NO_LINES)
def test_what_is_no_line_is_said_and_asked_again(typed: str, dumb: Dumb) -> None:
    shown = dumb(typed, "3")
    assert prompts.several("Which?", CLOSED, COLUMNS).values == ("gamma",)
    assert shown.getvalue().count("That is no line of the list.") == 1


@pytest.mark.parametrize("typed", ["all", "1,2", "1-2"])
def test_one_is_one(typed: str, dumb: Dumb) -> None:
    shown = dumb(typed, "1-1")
    assert prompts.one("Which?", ROWS, COLUMNS) == "alpha"
    assert shown.getvalue().count("That is no line of the list.") == 1


@pytest.mark.parametrize("search", ["/nothing like it", "/delta"])
def test_all_of_nothing_is_nothing(search: str, dumb: Dumb) -> None:
    shown = dumb(search, "all", "/", "1")
    assert prompts.several("Which?", CLOSED, COLUMNS).values == ("alpha",)
    assert shown.getvalue().count("That is no line of the list.") == 1
    assert ("nothing matches" in shown.getvalue()) is (search == "/nothing like it")


def test_a_long_list_comes_in_pages(dumb: Dumb) -> None:
    many = [Row(value=number, cells=(f"run {number}",)) for number in range(70)]
    shown = dumb("m", "m", "70")
    assert prompts.one("Which?", many, [Column()]) == 69
    pages = shown.getvalue().split("m: ")
    assert [page.partition(" more")[0] for page in pages[1:]] == ["40", "10"]
    assert [line.split()[0] for line in pages[0].splitlines()[1:-1]] == [
        str(number) for number in range(1, 31)
    ]
    assert "  61  run 60" in pages[2]
    # A number of another page does as well.
    dumb("70")
    assert prompts.one("Which?", many, [Column()]) == 69


def test_a_word_for_a_key(dumb: Dumb) -> None:
    shown = dumb("sort")
    found = prompts.several("Which?", ROWS, COLUMNS, others=[("tab", "sort")])
    assert found == Pressed(values=(), key="tab")
    assert "/text: search, sort, b: back" in shown.getvalue()


@pytest.mark.parametrize("question", ASK)
def test_b_goes_back(question: str, dumb: Dumb) -> None:
    dumb("b")
    with pytest.raises(Back):
        ASK[question]()


@pytest.mark.parametrize("question", ASK)
def test_the_end_of_the_input_leaves(question: str, dumb: Dumb) -> None:
    dumb()
    with pytest.raises(KeyboardInterrupt):
        ASK[question]()


def check(text: str) -> bool | str:
    return text != "bad" or "That is bad."


@pytest.mark.parametrize(
    ("typed", "more", "answer", "asked"),
    [
        ([""], {}, "churn", "? Title: [churn] (b: back) "),
        (["  mine "], {}, "mine", "? Title: [churn] (b: back) "),
        (["bad", "good"], {}, "good", "? Title: [churn] (b: back)   That is bad.\n"),
        (["-"], {}, "-", "? Title: [churn] (b: back) "),
        (["-"], {"may_be_empty": True}, "", "? Title: [churn] (b: back, -: nothing) "),
        ([""], {"may_be_empty": True}, "churn", "? Title: [churn] (b: back, -: nothing) "),
    ],
)
def test_a_line_by_words(
    typed: Sequence[str], more: dict[str, Any], answer: str, asked: str, dumb: Dumb
) -> None:
    shown = dumb(*typed)
    assert prompts.line("Title:", "churn", check, **more) == answer
    assert shown.getvalue().startswith(asked)


def test_a_line_without_a_default(dumb: Dumb) -> None:
    shown = dumb("", "x")
    assert prompts.line("Since:", "", may_be_empty=True) == ""
    assert shown.getvalue() == "? Since: (b: back) "


@pytest.mark.parametrize(
    ("typed", "is_so"),
    [([""], True), (["y"], True), (["YES"], True), (["n"], False), (["maybe", "no"], False)],
)
def test_yes_by_words(typed: list[str], is_so: bool, dumb: Dumb) -> None:
    shown = dumb(*typed)
    assert prompts.yes("Write it?") is is_so
    assert shown.getvalue() == "? Write it? (Y/n, b: back) " * len(typed)


@pytest.mark.parametrize("term", ["dumb", "DUMB", "unknown"])
def test_which_terminals_are_poor(term: str, dumb: Dumb, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = dumb("1")
    monkeypatch.setenv("TERM", term)
    with prompts.on_stderr():
        prompts.one("Which?", ROWS, COLUMNS)
        prompts.told("What", "that")
    assert "\x1b" not in shown.getvalue()
    assert "What" not in shown.getvalue()
