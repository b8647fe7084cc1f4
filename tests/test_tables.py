"""Lines in columns: they fit every width, and what a cell holds is cut where it must be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualia_lab.cli.tables import Column, Table, age, cell_width, shortened, took
from qualia_lab.text import visible

# What runs are called: one cell a character, two, or none, and what stands on the one before.
LETTERS = "abc XYZ_-09"
OTHERS = "ñßİñe\u0301\u0300\u20d7汉字한ｱ、😀🚀👍🏽🇩🇪❤\ufe0f№﷽नि\u200b\u202e\n"

names = st.text(alphabet=LETTERS + OTHERS, max_size=80).map(visible)
RUNS = [
    Column(),
    Column(title="name", bends=16),
    Column(title="age", right=True),
    Column(title="val_loss", right=True),
    Column(title="id"),
]
SPARE = [*RUNS[:-1], Column(title="id", spare=True)]
KINDS = [Column(), Column(bends=12)]
ONE = [Column(title="only")]
BENDING = [Column(title="only", bends=12)]
TWO_BEND = [Column(bends=12), Column(title="x"), Column(bends=9), Column(title="y")]


def run(name: str) -> tuple[str, ...]:
    return ("✓", name, "3h", "0.1235", "aaaabbbb")


@pytest.mark.parametrize("columns", [RUNS, SPARE, KINDS, ONE, BENDING, TWO_BEND])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_line_is_wider_than_the_room(columns: Sequence[Column], data: st.DataObject) -> None:
    row = st.tuples(*[names for _ in columns])
    rows = data.draw(st.lists(row, max_size=4))
    cut = data.draw(st.sampled_from(["…", "~"]))
    table = Table(columns, rows, cut)
    natural = table.widths()
    for room in range(1, 201):
        widths = table.widths(room)
        assert 1 <= len(widths) <= len(columns)
        assert all(width <= most for width, most in zip(widths, natural, strict=False))
        for cells in (table.header, *rows):
            line = table.line(cells, widths)
            assert cell_width(line) <= room, (room, line)
            assert "\n" not in line
            assert line == line.rstrip()


@given(rows=st.lists(names.map(run), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_columns_stand_under_each_other(rows: list[tuple[str, ...]]) -> None:
    table = Table(RUNS, rows)
    for room in (*range(60, 120, 7), None):
        widths = table.widths(room)
        assert len(widths) == len(RUNS)
        # The last column begins at the same cell in every line.
        before = {cell_width(table.line(row, widths).removesuffix("aaaabbbb")) for row in rows}
        assert before == {sum(widths[:-1]) + 2 * len(widths[:-1])}


@pytest.mark.parametrize(
    ("room", "line"),
    [
        (50, "✓  a name of twenty-two c   3h    0.1235  aaaabbbb"),
        # The name bends before a column goes.
        (49, "✓  a name of twenty-two…   3h    0.1235  aaaabbbb"),
        (44, "✓  a name of twent…   3h    0.1235  aaaabbbb"),
        # Then there is room for the name again.
        (43, "✓  a name of twenty-two c   3h    0.1235"),
        (34, "✓  a name of twent…   3h    0.1235"),
        (33, "✓  a name of twenty-two c   3h"),
        (24, "✓  a name of twent…   3h"),
        (23, "✓  a name of twenty-tw…"),
        (19, "✓  a name of twent…"),
        (18, "✓"),
    ],
)
def test_the_columns_on_the_right_are_left_out_first(room: int, line: str) -> None:
    row = run("a name of twenty-two c")
    table = Table(RUNS, [row])
    assert table.line(row, table.widths(room)) == line


@pytest.mark.parametrize(
    ("room", "line"),
    [
        (50, "✓  a name of twenty-two c   3h    0.1235  aaaabbbb"),
        # It goes before the name bends.
        (49, "✓  a name of twenty-two c   3h    0.1235"),
        (40, "✓  a name of twenty-two c   3h    0.1235"),
        (39, "✓  a name of twenty-two…   3h    0.1235"),
        (33, "✓  a name of twenty-two c   3h"),
    ],
)
def test_a_spare_column_is_left_out_before_any_is_cut(room: int, line: str) -> None:
    row = run("a name of twenty-two c")
    table = Table(SPARE, [row])
    assert table.line(row, table.widths(room)) == line


def test_all_is_shown_where_no_width_is_said() -> None:
    long = "n" * 300
    table = Table(RUNS, [run(long)])
    assert table.line(run(long), table.widths()) == f"✓  {long}   3h    0.1235  aaaabbbb"
    assert table.widths() == table.widths(10_000)


def test_a_table_without_rows_is_as_wide_as_its_titles() -> None:
    table = Table(RUNS, [])
    assert table.line(table.header, table.widths(80)) == "  name  age  val_loss  id"
    assert table.header == ("", "name", "age", "val_loss", "id")


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("abcdef", 1, "…"),
        ("abcdef", 0, ""),
        ("abcdef", -3, ""),
        ("", 0, ""),
        # Half a character can't be shown; it leaves a cell free.
        ("汉字汉字", 8, "汉字汉字"),
        ("汉字汉字", 7, "汉字汉…"),
        ("汉字汉字", 6, "汉字…"),
        ("汉字汉字", 2, "…"),
        ("😀😀", 3, "😀…"),
        # What stands on a letter takes no cell, and stays on it.
        ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
    ],
)
def test_shortened(text: str, width: int, short: str) -> None:
    assert shortened(text, width) == short


def test_shortened_with_a_sign_of_every_console() -> None:
    assert shortened("abcdef", 4, "~") == "abc~"
    assert shortened("abcdef", 4, "...") == "a..."
    assert shortened("abcdef", 2, "...") == ".."


@given(text=names, width=st.integers(0, 100))
@settings(deadline=None)
def test_a_shortened_text_is_the_beginning_and_fits(text: str, width: int) -> None:
    short = shortened(text, width)
    assert cell_width(short) <= width
    if short != text:
        assert text.startswith(short.removesuffix("…"))
        assert cell_width(text) > width


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("ñ", 1), ("e\u0301", 1), ("汉字", 4), ("😀!", 3), ("ｱ", 1), ("한", 2)],
)
def test_cell_width(text: str, width: int) -> None:
    assert cell_width(text) == width


HOUR, DAY = 3_600, 86_400


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (59.9, "now"),
        (60, "1m"),
        (29 * 60 + 20, "29m"),
        (HOUR, "1h"),
        (3 * HOUR + 600, "3h"),
        (DAY, "1d"),
        (40 * DAY, "40d"),
        (31_557_600, "1y"),
        (31_557_600 * 12, "12y"),
        # A clock that is ahead of ours.
        (-5 * HOUR, "now"),
    ],
)
def test_age(seconds: float, said: str) -> None:
    now = 1_800_000_000.0
    assert age(int((now - seconds) * 1000), now) == said


def test_no_age_without_a_time() -> None:
    assert age(None, 1_800_000_000.0) == ""
    assert age(0, 1_800_000_000.0) == "57y"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (float("nan"), ""),
        (0, "0 s"),
        (0.0421, "0.0421 s"),
        (61, "61 s"),
        (119, "119 s"),
        (120, "2 m"),
        (2 * HOUR - 1, "120 m"),
        (2 * HOUR, "2 h"),
        (47 * HOUR, "47 h"),
        (2 * DAY, "2 d"),
        (400 * DAY, "400 d"),
        (-3 * DAY, "-3 d"),
    ],
)
def test_took(seconds: float | None, said: str) -> None:
    assert took(seconds) == said
