"""When runs ran and how they ended: a bar a run, how long they took, and which went wrong."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain, run_labels
from qualia_lab.analysis.show import COLOURS, GREY, INK, Figure, Note, dress
from qualia_lab.analysis.times import (
    DAY,
    Squeeze,
    date_axis,
    lasting,
    seconds,
    short,
    squeeze,
    stamp,
)
from qualia_lab.model import RunSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_LABELLED = 30
_LONGEST_LABEL = 36
# The narrowest bar, as a part of the axis: a run of a second among hours is still to be seen.
_NARROWEST = 0.002
_MOST_MARKED_GAPS = 30
# Colour and, for those who see none, the mark at the end of the bar.
_LOOKS = {
    "FINISHED": (COLOURS[0], ""),
    "FAILED": (COLOURS[1], "X"),
    "KILLED": (COLOURS[4], "P"),
    "RUNNING": (COLOURS[5], ">"),
    "SCHEDULED": (GREY, "D"),
}
_UNFINISHED = ("RUNNING", "SCHEDULED")


def timeline(runs: RunSet) -> Figure | Note:
    """A bar a run from its start to its end, oldest first, coloured and marked by status.

    Up to 30 runs have a row with their label and duration each; more share rows, so that no two
    bars of a row overlap. A run that is not over reaches to the newest time in the data. Where
    there is more idle time between the runs than runs, long gaps are drawn short, which the axis
    says. Left out, and counted in the title, are runs whose start is missing or not of the years
    1980 to 2199; a run that is over but has no end after its start is a bar of no length.

    Returns:
        The figure; a note where no run has a start.
    """
    frame = _spans(runs)
    drawn = frame[frame["start"].notna()].sort_values("start", kind="stable")
    if drawn.empty:
        return Note("None of these runs has a start time, so there is no timeline to draw.")
    axis = _axis(drawn)
    squeezed = len(axis.resumed) > 0
    left, right = (
        axis.place(drawn[one].to_numpy()) if squeezed else drawn[one].to_numpy() / DAY
        for one in ("start", "until")
    )
    low, high = float(left.min()), float(right.max())
    right = np.maximum(right, left + _NARROWEST * (high - low))
    labelled = len(drawn) <= _MOST_LABELLED
    rows = np.arange(len(drawn)) if labelled else pack(left, right)
    count = int(rows.max()) + 1
    told = _told(runs, frame)
    figure = Figure(alt=f"Timeline of {'; '.join(told)}", figsize=(9, _height(count, labelled)))
    axes = figure.add_subplot()
    dress(axes, "\n".join(told))
    _bars(axes, drawn["status"], rows, left, right, _thickness(count, labelled))
    axes.set_ylim(count - 0.4, -0.6)
    if squeezed:
        _squeezed_axis(axes, axis)
    else:
        date_axis(axes, low, high)
    if labelled:
        _label_rows(axes, runs, drawn, right)
    else:
        axes.set_yticks([])
        axes.set_ylabel("rows shared by runs", fontsize=8)
    _legend(figure, drawn["status"])
    return figure


def _axis(drawn: pd.DataFrame) -> Squeeze:
    """The axis of these runs. One that is not over may have died: its bar fills no gap."""
    start, until = drawn["start"].to_numpy(), drawn["until"].to_numpy()
    over = drawn["end"].fillna(drawn["start"]).to_numpy()
    newest = until.max()
    return squeeze(np.append(start, newest), np.append(over, newest))


def _spans(runs: RunSet) -> pd.DataFrame:
    """A row a run: status, start and end as seconds, until (to where its bar reaches), length."""
    start, end = seconds(runs.runs["started"]), seconds(runs.runs["ended"])
    end = np.where(end < start, np.nan, end)
    # ``runs.newest`` less the times that can't be drawn.
    known = np.concatenate([start, end])
    known = known[np.isfinite(known)]
    newest = known.max() if len(known) else np.nan
    status = [plain(one) or "unknown" for one in runs.runs["status"]]
    frame = pd.DataFrame({"status": status, "start": start, "end": end}, index=runs.runs.index)
    is_open = frame["end"].isna() & frame["status"].isin(_UNFINISHED)
    frame["until"] = frame["end"].fillna(frame["start"].where(~is_open, newest))
    frame["length"] = frame["end"] - frame["start"]
    return frame


def pack(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The row of each span, from 0, such that spans of one row don't overlap; in order of start."""
    rows = np.empty(len(starts), dtype=int)
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    used = 0
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            rows[place] = heapq.heappop(free)
        else:
            rows[place], used = used, used + 1
        heapq.heappush(busy, (end, int(rows[place])))
    return rows


def _height(rows: int, labelled: bool) -> float:
    return 1.4 + 0.22 * rows if labelled else min(5.0, max(2.2, 1.3 + 0.12 * rows))


def _thickness(rows: int, labelled: bool) -> float:
    """How thick a bar is, in points."""
    return 9.0 if labelled else max(0.4, min(9.0, 0.7 * 72 * (_height(rows, False) - 1.2) / rows))


def _bars(
    axes: Axes,
    statuses: pd.Series[str],
    rows: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    thickness: float,
) -> None:
    for status in statuses.unique():
        mine = (statuses == status).to_numpy()
        colour, mark = _LOOKS.get(status, (GREY, "D"))
        axes.hlines(rows[mine], left[mine], right[mine], color=colour, linewidth=thickness)
        if mark:
            axes.plot(
                right[mine], rows[mine], mark, color=colour, markeredgecolor=INK,
                markersize=max(3.0, min(7.0, thickness)), markeredgewidth=0.5, clip_on=False,
                zorder=4,
            )  # fmt: skip


def _squeezed_axis(axes: Axes, axis: Squeeze) -> None:
    """Ticks where runs went on after a gap, as many as there is room for; a line for each gap."""
    resumed = np.concatenate([axis.knots[:1], axis.resumed])
    places = axis.place(resumed)
    total = float(axis.places[-1])
    ticks: list[int] = []
    for number, place in enumerate(places):
        if not ticks or place - places[ticks[-1]] > 0.12 * total:
            ticks.append(number)
    texts = ["\n".join(reversed(stamp(resumed[one])[:-3].split())) for one in ticks]
    axes.set_xticks(places[ticks], texts, ha="left")
    axes.set_xlim(-0.02 * total, 1.02 * total)
    axes.grid(False, axis="x")
    cuts = places[1:] if len(axis.resumed) <= _MOST_MARKED_GAPS else places[:0]
    for place in cuts:
        axes.axvline(place, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    gaps = "1 idle gap of" if len(axis.resumed) == 1 else f"{len(axis.resumed):,} idle gaps of"
    more = "" if len(axis.resumed) == 1 else " or more"
    shortest = lasting(axis.shortest)
    lines = "; a dotted line ends each" if len(cuts) else ""
    axes.set_xlabel(f"UTC; {gaps} {shortest}{more} drawn short{lines}", fontsize=8)


def _label_rows(axes: Axes, runs: RunSet, drawn: pd.DataFrame, right: np.ndarray) -> None:
    labels = run_labels(runs)
    names = [short(labels[str(run)], _LONGEST_LABEL) for run in drawn.index]
    axes.set_yticks(range(len(drawn)), names, parse_math=False)
    for row, (length, place) in enumerate(zip(drawn["length"], right, strict=True)):
        axes.annotate(
            lasting(length), (place, row), xytext=(7, 0), fontsize=7,
            textcoords="offset points", va="center", color=INK,
        )  # fmt: skip
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.08 * (high - low))


def _legend(figure: Figure, statuses: pd.Series[str]) -> None:
    from matplotlib.lines import Line2D

    counts = statuses.value_counts()
    handles = []
    for status in _in_order(counts.index):
        colour, mark = _LOOKS.get(status, (GREY, "D"))
        told = f" {status.lower()} ({counts[status]:,})"
        told += ": to the newest time" if status in _UNFINISHED else ""
        handles.append(
            Line2D([], [], color=colour, linewidth=7, marker=mark or None, label=told,
                   markeredgecolor=INK, markeredgewidth=0.5)
        )  # fmt: skip
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _in_order(statuses: Iterable[Any]) -> list[str]:
    """The statuses in the order in which they are told, unknown ones last."""
    known = list(_LOOKS)
    return sorted(
        (str(one) for one in statuses),
        key=lambda one: (known.index(one) if one in known else len(known), one),
    )


def _told(runs: RunSet, frame: pd.DataFrame) -> list[str]:
    """The lines of the title: how many runs, when, how they ended and how long they took."""
    days = [stamp(one)[:10] for one in (frame["start"].min(), frame["until"].max())]
    on = f"on {days[0]}" if days[0] == days[1] else f"from {days[0]} to {days[1]}"
    counts = frame["status"].value_counts()
    lengths = frame["length"].dropna()
    if len(frame) == 1:
        after = f" after {lasting(lengths.iloc[0])}" if len(lengths) else ""
        return [f"1 run {on}: {frame['status'].iloc[0].lower()}{after}"]
    ended = ", ".join(f"{counts[one]:,} {one.lower()}" for one in _in_order(counts.index))
    lines = [f"{len(frame):,} runs {on}: {ended}"]
    said = []
    if len(lengths) > 1:
        longest = short(run_labels(runs)[str(lengths.idxmax())], _LONGEST_LABEL)
        said.append(
            f"median {lasting(lengths.median())}, longest {lasting(lengths.max())} ({longest})"
        )
    without = int(frame["start"].isna().sum())
    if without:
        said.append(f"{without:,} without a start not drawn")
    over = frame["end"].isna() & frame["start"].notna() & ~frame["status"].isin(_UNFINISHED)
    if over.any():
        said.append(f"{int(over.sum()):,} without an end")
    return [*lines, "; ".join(said)] if said else lines


def durations(runs: RunSet) -> pd.DataFrame:
    """How long runs took: a row a status that occurs, and one for all where there are several.

    Columns: ``runs``; ``timed``, how many of them have a start and an end (times that are missing,
    not of the years 1980 to 2199, or end before they start do not count); ``shortest``, ``median``,
    ``longest`` and ``total`` of those, as text, empty without any; ``longest run``, its label.
    """
    frame = _spans(runs)
    labels = run_labels(runs)
    groups = {
        one.lower(): frame[frame["status"] == one] for one in _in_order(frame["status"].unique())
    }
    if len(groups) > 1:
        groups["all"] = frame
    rows = {}
    for name, group in groups.items():
        lengths = group["length"].dropna()
        spans = [lengths.min(), lengths.median(), lengths.max(), lengths.sum(min_count=1)]
        longest = labels[str(lengths.idxmax())] if len(lengths) else ""
        told = [lasting(one) for one in spans]
        rows[name] = [len(group), len(lengths), *told, longest]
    columns = ["runs", "timed", "shortest", "median", "longest", "total", "longest run"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis(columns="status")
