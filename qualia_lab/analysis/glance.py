"""The answer first: which run is best, by how much, is that more than noise, what goes with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from qualia_lab.analysis.finding import findings
from qualia_lab.analysis.groups import (
    compare_groups,
    group_chart,
    group_labels,
    lead,
    repeated,
    spread,
)
from qualia_lab.analysis.importance import WhatMatters, what_matters
from qualia_lab.analysis.labels import number, plain, rough, run_labels, with_spread
from qualia_lab.analysis.show import COLOURS, GREY, Figure, Note, Points, dress
from qualia_lab.analysis.styles import OTHERS, run_styles
from qualia_lab.analysis.values import DRAWABLE, best_first
from qualia_lab.model import RunSet

_MOST_FINDINGS = 4
_MOST_ROWS = 8
_SETTING = 80


def first_look(runs: RunSet, metric: str | None = None, by: str | None = None) -> Points:
    """What most people open a notebook for, in a few lines.

    How the runs ended; the best by the last value of ``metric`` and how far it is ahead; where
    settings were repeated, the best of those and whether its lead is more than noise (see
    ``groups.lead``); which param goes with the difference (see ``importance.what_matters``); and
    the gravest of ``findings``, at most four, the rest counted.

    Args:
        runs: the runs.
        metric: what to rank by.
        by: the param that makes the groups; by default runs that differ in a seed alone are one.
    """
    points = [("Runs", _states(runs))]
    if metric is not None:
        points += _ranking(runs, metric, by)
    table = findings(runs, metric)
    grave = table[table["severity"] != "info"]
    for _, row in grave.head(_MOST_FINDINGS).iterrows():
        points.append(("Watch out", f"{row['what']}: {row['evidence']}."))
    if len(table) > min(len(grave), _MOST_FINDINGS):
        left = len(table) - min(len(grave), _MOST_FINDINGS)
        points.append(("More", f"{left:,} further finding{'s' * (left > 1)} under Overview."))
    return Points(points)


def standings(runs: RunSet, metric: str | None = None, by: str | None = None) -> Figure | Note:
    """The eight best settings by ``metric``, a dot a run; or the runs, where none were repeated."""
    if metric is None:
        return Note("None of these runs logged a metric to rank them by.")
    if metric in runs.metric_names and repeated(runs, metric, by):
        return group_chart(runs, metric, by, most=_MOST_ROWS)
    return _run_chart(runs, metric)


def _states(runs: RunSet) -> str:
    counts = runs.runs["status"].value_counts()
    states = ", ".join(f"{count:,} {str(status).lower()}" for status, count in counts.items())
    line = f"{len(runs):,}; {states}."
    if runs.coverage.missing:
        line += f" {len(runs.coverage.missing):,} more are gone from the store."
    return line


def _ranking(runs: RunSet, metric: str, by: str | None) -> Iterator[tuple[str, str]]:
    name = plain(metric)
    if metric not in runs.metric_names:
        yield "Best", f"no run logged {name}."
        return
    values = best_first(runs, metric)
    if values.empty:
        yield "Best", f"no run has a finite last value of {name}."
        return
    if runs.direction(metric) is None:
        yield (
            "Best",
            f"whether more or less of {name} is better is not known from its name; say it with "
            'direction = "min" or "max" above.',
        )
        return
    yield "Best", _best(runs, metric, values)
    if len(values) > 1:
        yield "By how much", _ahead(runs, metric, values)
    if repeated(runs, metric, by):
        yield from _settings(runs, metric, compare_groups(runs, metric, by), by)
    matter = what_matters(runs, metric)
    if matter is not None:
        yield "Goes with it", _matter(matter)


def _matter(matter: WhatMatters) -> str:
    """The param and its best value first; how that was found last."""
    if matter.reason:
        return matter.reason
    how = (
        f"A random forest predicts runs that it did not see with R² {matter.r2:.2f}, and with "
        f"{with_spread(matter.r2 - matter.importance, matter.std)} when that param is shuffled."
    )
    return " ".join(one for one in (f"{matter.param}.", matter.best, matter.edge, how) if one)


def _best(runs: RunSet, metric: str, values: pd.Series[float]) -> str:
    """The best run, and how many it was chosen from."""
    labels = run_labels(runs)
    first = str(values.index[0])
    best = values.iloc[0]
    ties = int((values == best).sum()) - 1
    and_more = f" and {ties:,} more" if ties else ""
    status = str(runs.runs.loc[first, "status"])
    still = "" if status == "FINISHED" else f" ({status.lower()})"
    which = "lowest" if runs.direction(metric) == "min" else "highest"
    logged = int(runs.logged[metric].sum())
    of = f"{len(values):,} finite ones" if len(values) < logged else f"{logged:,}"
    found = f"{plain(metric)} {number(best)} by {labels[first]}{still}{and_more}"
    return f"{found}, the {which} last value of {of}." if logged > 1 else f"{found}."


def _settings(
    runs: RunSet, metric: str, table: pd.DataFrame, by: str | None
) -> Iterator[tuple[str, str]]:
    labels = group_labels(runs, by)
    first, second = str(table.index[0]), str(table.index[1])
    found = lead(runs, metric, first, second, by)
    yield (
        "Best setting",
        f"{_cut(first)} at {spread(table.iloc[0])}; next is {_cut(second)} at "
        f"{spread(table.iloc[1])}, {_apart(found.difference, found.share)}.",
    )
    yield "More than noise?", found.verdict
    own = labels.get(str(best_first(runs, metric).index[0]))
    if own is not None and own != first and own in table.index:
        row = table.loc[[own]].iloc[0]
        yield "The best run", f"is of another setting, {_cut(own)}, at {spread(row)}."


def _ahead(runs: RunSet, metric: str, values: pd.Series[float]) -> str:
    labels = run_labels(runs)
    best, after = float(values.iloc[0]), float(values.iloc[1])
    share = (best - after) / abs(after) if after else float("nan")
    middle = number(float(values.median()))
    return (
        f"the next is {labels[str(values.index[1])]} with {number(after)}, "
        f"{_apart(best - after, share)}; the median is {middle}."
    )


def _apart(difference: float, share: float) -> str:
    """How far the best is from the next, seen from the next."""
    if not difference:
        return "which is the same"
    if not np.isfinite(difference):
        return "which is too far to be told as a number"
    percent = f" ({abs(share):.1%})" if np.isfinite(share) and abs(share) < 100 else ""
    return f"{rough(abs(difference))}{percent} behind"


def _cut(label: str) -> str:
    return label if len(label) <= _SETTING else label[: _SETTING - 1] + "…"


def _run_chart(runs: RunSet, metric: str) -> Figure | Note:
    """A bar a run, the best above; past eight the others are grey dots in one row."""
    values = best_first(runs, metric)
    values = values[values.abs() < DRAWABLE]
    if values.empty:
        return Note(f"No run has a finite last value of {plain(metric)}.")
    if len(values) == 1:
        return Note(f"One run has a value of {plain(metric)}: {number(float(values.iloc[0]))}.")
    labels, styles = run_labels(runs), run_styles(runs, metric)
    shown, rest = values.iloc[:_MOST_ROWS], values.iloc[_MOST_ROWS:]
    rows = [labels[str(one)] for one in shown.index]
    title = _chart_title(runs, metric, values)
    figure = Figure(alt=f"{title}. A row a run.", figsize=(9, 0.9 + 0.32 * (len(rows) + 1)))
    axes = figure.add_subplot()
    for place, (run_id, value) in enumerate(shown.items()):
        colour = styles.get(str(run_id), OTHERS).colour
        axes.plot([value], [place], "o", color=colour, markersize=8)
    if len(rest):
        axes.plot(rest, [len(rows)] * len(rest), "o", color=GREY, alpha=0.5, markersize=4)
        rows.append(f"{len(rest):,} more")
    axes.axvline(float(values.median()), color=COLOURS[1], linewidth=1, linestyle=":")
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    dress(axes, title)
    axes.set_xlabel(f"last {plain(metric)}; dotted: the median", fontsize=8, parse_math=False)
    return figure


def _chart_title(runs: RunSet, metric: str, values: pd.Series[float]) -> str:
    name = plain(metric)
    way = runs.direction(metric)
    if way is None:
        return f"{name} of {len(values):,} runs"
    which = "lowest" if way == "min" else "highest"
    best = run_labels(runs)[str(values.index[0])]
    return f"{which} {name} of {len(values):,} runs: {number(float(values.iloc[0]))} by {best}"
