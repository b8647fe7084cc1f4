"""When runs ran, how they ended, and what was last seen of those that went wrong."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import HOSTILE
from PIL import Image
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer
from qualia_lab.analysis.failed import failure_note, failures
from qualia_lab.analysis.runtimes import durations, pack, timeline
from qualia_lab.analysis.show import Figure, Note
from qualia_lab.analysis.times import lasting, seconds, squeeze, stamp
from qualia_lab.model import Query, RunSet

NAN, INF = float("nan"), float("inf")
DAY = 86_400_000


def load(store: Path, *runs: Run) -> RunSet:
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def drawn(figure: object) -> Figure:
    """The figure, once it has been shown as a notebook shows it."""
    assert isinstance(figure, Figure)
    assert Image.open(io.BytesIO(figure._repr_mimebundle_()["image/png"])).width == 1080
    return figure


def title(figure: Figure) -> list[str]:
    return str(figure.axes[0].get_title(loc="left")).splitlines()


def bars(figure: Figure) -> list[tuple[float, float, float]]:
    """Row, left and right of each bar, in days, by row and place."""
    found = [
        (float(one[0][1]), float(one[0][0]), float(one[1][0]))
        for lines in figure.axes[0].collections
        for one in lines.get_segments()
    ]
    return sorted(found)


def several(count: int, apart: int = 120_000, long: int = 60_000) -> list[Run]:
    """Runs one after the other; times in ms."""
    return [
        Run(run_id=run_id(i), name=f"r{i}", started=T0 + i * apart, ended=T0 + i * apart + long)
        for i in range(count)
    ]


def test_a_bar_reaches_from_start_to_end(empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(run_id=run_id(0), name="late", started=T0 + 60_000, ended=T0 + 180_000),
        Run(run_id=run_id(1), name="early", status="FAILED", started=T0, ended=T0 + 90_000),
        Run(run_id=run_id(2), name="open", status="RUNNING", started=T0 + 30_000, ended=None),
    )
    figure = drawn(timeline(runs))
    start = T0 / DAY
    minute = 60_000 / DAY
    # Oldest first; the open one reaches to the newest time in the data.
    wanted = [(0, 0, 1.5), (1, 0.5, 3), (2, 1, 3)]
    for bar, (row, left, right) in zip(bars(figure), wanted, strict=True):
        assert bar == pytest.approx((row, start + left * minute, start + right * minute), abs=1e-9)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["early", "open", "late"]
    assert [text.get_text() for text in axes.texts] == ["1 m 30 s", "", "2 m 0 s"]
    assert title(figure) == [
        "3 runs on 2025-10-09: 1 finished, 1 failed, 1 running",
        "median 1 m 45 s, longest 2 m 0 s (late)",
    ]
    legend = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert legend == ["finished (1)", "failed (1)", "running (1): to the newest time"]
    # Told without colour too: a mark a status that is not the usual one.
    assert {line.get_marker() for line in axes.lines} == {"X", ">"}
    assert figure.alt.startswith("Timeline of 3 runs on 2025-10-09")


def test_one_run(empty_store: Path) -> None:
    figure = drawn(timeline(load(empty_store, Run(run_id=run_id(0), name="only"))))
    assert title(figure) == ["1 run on 2025-10-09: finished after 1 m 1 s"]


def test_times_that_cannot_be_drawn_are_counted(empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(run_id=run_id(0), name="sound"),
        Run(run_id=run_id(1), name="zero", started=0, ended=1),
        Run(run_id=run_id(2), name="none", started=None, ended=None),
        Run(run_id=run_id(3), name="far", started=2**62, ended=2**62),
        Run(run_id=run_id(4), name="before Christ", started=-(10**14), ended=None),
        Run(run_id=run_id(5), name="backwards", started=T0 + 5000, ended=T0),
        Run(run_id=run_id(6), name="no end", status="KILLED", started=T0, ended=None),
    )
    figure = drawn(timeline(runs))
    assert len(bars(figure)) == 3
    assert title(figure)[1] == "4 without a start not drawn; 2 without an end"
    table = durations(runs)
    assert list(table.loc["all", ["runs", "timed", "longest run"]]) == [7, 1, "sound"]


def test_without_a_start_there_is_a_note(empty_store: Path) -> None:
    note = timeline(load(empty_store, Run(run_id=run_id(0), started=None, ended=None)))
    assert isinstance(note, Note)
    assert "None of these runs has a start time" in note.text


def test_runs_on_far_apart_days_stay_readable(empty_store: Path) -> None:
    """Two days with three runs each, a week between: the week would be all there is to see."""
    made = several(6)
    for run in made[3:]:
        assert run.started
        assert run.ended
        run.started, run.ended = run.started + 7 * DAY, run.ended + 7 * DAY
    figure = drawn(timeline(load(empty_store, *made)))
    axes = figure.axes[0]
    width = np.subtract(*axes.get_xlim()[::-1])
    assert all((right - left) / width > 0.05 for _, left, right in bars(figure))
    assert "1 idle gap of 7 d 0 h drawn short" in axes.get_xlabel()
    texts = [text.get_text() for text in axes.get_xticklabels()]
    assert texts == ["08:53\n2025-10-09", "08:59\n2025-10-16"]


def test_past_thirty_runs_rows_are_shared(empty_store: Path) -> None:
    figure = drawn(timeline(load(empty_store, *several(31, apart=30_000))))
    found = bars(figure)
    assert len(found) == 31
    # 60 s long and 30 s apart: two run at any time.
    assert {row for row, _, _ in found} == {0, 1}
    assert not figure.axes[0].texts


def test_rows_hold_no_two_spans_at_once() -> None:
    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(0, 100, 500))
    ends = starts + rng.exponential(3, 500)
    rows = pack(starts, ends)
    for row in range(rows.max() + 1):
        mine = np.flatnonzero(rows == row)
        assert (starts[mine][1:] >= ends[mine][:-1]).all()
    # As many as ever run at once, counted at each start.
    most = max(((starts <= at) & (ends > at)).sum() for at in starts)
    assert rows.max() + 1 == most


def test_only_long_gaps_are_squeezed() -> None:
    starts, ends = np.array([0.0, 12, 1000, 5012]), np.array([10.0, 20, 1010, 5020])
    axis = squeeze(starts, ends)
    # 36 s of runs, so 36 s of gaps: 2 whole, and 17 of each of the others.
    assert axis.place(starts) == pytest.approx([0, 12, 37, 64])
    assert axis.place(ends) == pytest.approx([10, 20, 47, 72])
    assert list(axis.resumed) == [1000, 5012]
    assert axis.shortest == 980
    assert axis.place(np.array([1005.0])) == pytest.approx([42])


def test_gaps_shorter_than_the_runs_stay_as_they_are() -> None:
    starts, ends = np.array([100.0, 250, 180]), np.array([150.0, 300, 190])
    axis = squeeze(starts, ends)
    assert axis.place(starts) == pytest.approx(starts - 100)
    assert len(axis.resumed) == 0


@pytest.mark.parametrize("count", [1, 2, 40])
def test_runs_of_no_length_at_one_time(count: int, empty_store: Path) -> None:
    drawn(timeline(load(empty_store, *several(count, apart=0, long=0))))


@pytest.mark.parametrize("apart", [1, 10, 1000, 40 * DAY])
def test_any_span_has_an_axis(apart: int, empty_store: Path) -> None:
    drawn(timeline(load(empty_store, *several(8, apart=apart, long=apart // 2))))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names(text: str, empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(run_id=run_id(0), name=text[:250], status="FAILED", metrics={text[:250]: curve([NAN])}),
        Run(run_id=run_id(1), name="other"),
    )
    drawn(timeline(runs))
    shown = failures(runs, text[:250])
    assert isinstance(shown, pd.DataFrame)
    for cell in [*shown.index, *shown["last seen"], *durations(runs)["longest run"]]:
        assert not any(char in cell for char in "\n\x1b\u202e\u2066\u200b\u2028")
    assert "<" not in failure_note(runs)._repr_markdown_()


def test_durations_by_status(empty_store: Path) -> None:
    made = [
        Run(run_id=run_id(i), name=f"r{i}", ended=T0 + 1000 * length, status=status)
        for i, (length, status) in enumerate(
            [(10, "FINISHED"), (20, "FINISHED"), (60, "FINISHED"), (5, "FAILED")]
        )
    ]
    table = durations(load(empty_store, *made))
    columns = ["runs", "timed", "shortest", "median", "longest", "total", "longest run"]
    assert list(table.columns) == columns
    assert list(table.loc["finished"]) == [3, 3, "10 s", "20 s", "1 m 0 s", "1 m 30 s", "r2"]
    assert list(table.loc["failed"]) == [1, 1, "5.00 s", "5.00 s", "5.00 s", "5.00 s", "r3"]
    assert list(table.loc["all"]) == [4, 4, "5.00 s", "15 s", "1 m 0 s", "1 m 35 s", "r2"]


def wrong(store: Path) -> RunSet:
    """One of each way to go wrong, among others."""
    points = [(0, T0 + 1000, 0.5), (1, T0 + 4000, 0.25), (2**62, T0 + 3000, 0.125)]
    return load(
        store,
        Run(run_id=run_id(0), name="fine", metrics={"loss": curve([1.0])}),
        Run(
            run_id=run_id(1),
            name="diverged",
            metrics={"loss": curve([1.0, NAN]), "big": curve([INF]), "system/x": curve([NAN])},
        ),
        Run(run_id=run_id(2), name="open", status="RUNNING", ended=None, metrics={"loss": points}),
        Run(run_id=run_id(3), name="stopped", status="KILLED", metrics={"loss": points}),
        Run(run_id=run_id(4), name="broke", status="FAILED", ended=T0 + 500),
        Run(
            run_id=run_id(5),
            name="broke later",
            status="FAILED",
            started=T0 + 100,
            ended=T0 + 12_100,
            metrics={
                "loss": [(2**62 + 1, T0 + 2000, 0.75)],
                "acc": [(7, T0 + 11_000, 0.5)],
                "system/cpu": [(0, T0 + 12_000, 9.0)],
            },
        ),
    )


def test_failures_come_with_what_was_last_seen(empty_store: Path) -> None:
    runs = wrong(empty_store)
    table = failures(runs)
    assert isinstance(table, pd.DataFrame)
    assert list(table.index) == ["broke later", "broke", "stopped", "open", "diverged"]
    assert list(table["status"]) == ["FAILED", "FAILED", "KILLED", "RUNNING", "FINISHED"]
    assert list(table["lasted"]) == ["12 s", "0.50 s", "1 m 1 s", "≥ 4.00 s", "1 m 1 s"]
    # The last by time, no system metric; of equal times either.
    assert list(table["last seen"])[:4] == ["acc", "", "loss", "loss"]
    assert list(table["value"])[:4] == [0.5, pd.NA, 0.25, 0.25]
    assert list(table["step"])[:4] == [7, pd.NA, 1, 1]
    assert list(table["before the end"])[:4] == ["1.10 s", "", "57 s", ""]
    assert table["not finite"]["diverged"] == "big, loss"
    assert list(table["not finite"])[:4] == [""] * 4


def test_failures_show_the_metric_that_is_asked_for(empty_store: Path) -> None:
    table = failures(wrong(empty_store), "loss")
    assert isinstance(table, pd.DataFrame)
    assert table.loc["broke later", "last seen"] == "loss"
    # A float would have lost the last digit.
    assert table.loc["broke later", "step"] == 2**62 + 1
    assert np.isnan(table.loc["diverged", "value"])


def test_only_the_histories_of_those_runs_are_read(empty_store: Path) -> None:
    runs = wrong(empty_store)
    failures(runs, "loss")
    assert run_id(0) not in set(runs._cache["history"]["run_id"])


def test_the_note_names_them_first(empty_store: Path) -> None:
    assert failure_note(wrong(empty_store)).text.splitlines() == [
        "2 of 6 runs failed: broke later after 12 s, broke after 0.50 s.",
        "1 of 6 runs killed: stopped after 1 m 1 s.",
        "1 of 6 runs unfinished: open.",
        "1 of 6 runs finished with a metric that is not finite: diverged (big, loss).",
    ]


def test_when_nothing_failed(empty_store: Path) -> None:
    runs = load(empty_store, *several(3))
    for note in (failures(runs), failure_note(runs)):
        assert isinstance(note, Note)
        assert note.text == "All 3 runs finished, and no metric ended as NaN or infinite."


def test_many_failures_are_cut_and_it_is_said(empty_store: Path) -> None:
    made = several(60)
    for run in made:
        run.status = "FAILED"
    runs = load(empty_store, *made)
    table = failures(runs, "loss")
    assert isinstance(table, pd.DataFrame)
    assert (len(table), table.index[0]) == (50, "r59")
    assert table.columns.name == "run (50 of 60)"
    assert failure_note(runs).text.startswith("60 of 60 runs failed: r59 after 1 m 0 s, r58")
    assert "and 57 more" in failure_note(runs).text


def test_seconds_and_their_texts() -> None:
    times = pd.Series(np.array([T0, 0, 253_402_300_799_999], dtype="datetime64[ms]"))
    found = seconds(times.dt.tz_localize("UTC"))
    assert found[0] == T0 / 1000
    assert np.isnan(found[1:]).all()
    assert stamp(T0 / 1000) == "2025-10-09 08:53:20"
    assert (stamp(NAN), lasting(NAN)) == ("", "")
    # Longer than nanoseconds can count.
    assert lasting(400 * 365 * 86_400.0) == "146,000 d 0 h"
