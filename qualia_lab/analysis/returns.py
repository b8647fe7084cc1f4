"""What the money brings in, and what the machines of training runs cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qualia_lab.analysis import intervals
from qualia_lab.analysis.calls import Spending
from qualia_lab.analysis.costs import NO_CALLS
from qualia_lab.analysis.labels import dollars, how_long, number, plain, run_labels
from qualia_lab.analysis.show import Note
from qualia_lab.model import RunSet

_MOST_ROWS = 20


def return_on_cost(
    spent: Spending, minutes_per_item: float = 0.0, hourly_rate: float = 0.0
) -> pd.DataFrame | Note:
    """What one execution saves and costs, under the assumptions that are given.

    Both are assumptions of the reader, and labelled so; nothing is assumed by itself.

    Args:
        minutes_per_item: of a person's work that an execution which succeeded saves.
        hourly_rate: what an hour of that work costs, in US dollars.

    Returns:
        A row a quantity: value, and what it is.
    """
    if minutes_per_item <= 0 or hourly_rate <= 0:
        return Note(
            "No return is computed: it takes the minutes of work that an execution saves, and what "
            "an hour of it costs. minutes_per_item = 3.0 and hourly_rate = 40.0 above, or --param."
        )
    if not len(spent.calls):
        return Note(NO_CALLS)
    done = spent.executions
    good = done[done["status"].isin(["OK", "FINISHED"])]
    cost, value = float(done["cost"].sum()), minutes_per_item / 60 * hourly_rate
    gained = value * len(good)
    rows = [
        ("minutes saved by an execution", minutes_per_item, "assumption: minutes_per_item"),
        ("an hour of work, $", hourly_rate, "assumption: hourly_rate"),
        ("worth of an execution, $", value, "minutes / 60 x rate"),
        ("executions", len(done), "traces that called a model"),
        ("of them successful", len(good), "status OK; the others are worth nothing"),
        ("worth of all, $", gained, "successful x worth of one"),
        ("cost of all, $", cost, "calls of the application; those without a cost are not in it"),
        ("net, $", gained - cost, "worth - cost"),
        ("return", gained / cost - 1 if cost else np.nan, "net / cost"),
        (
            "minutes at which it breaks even",
            cost / len(good) / hourly_rate * 60 if len(good) else np.nan,
            "cost of a successful execution / rate x 60",
        ),
    ]
    table = pd.DataFrame(rows, columns=["what", "value", "how"]).set_index("what")
    table["value"] = table["value"].astype("float64")
    return table


def compute_cost(runs: RunSet, compute_rate: float = 0.0) -> pd.DataFrame | Note:
    """What the machines of runs cost: duration times a rate, by parent run.

    The time of a run that others are nested in holds theirs; it is not counted again. Runs that
    have not ended, or ended before they began, have no duration.

    Args:
        compute_rate: US dollars for an hour of a run.

    Returns:
        A row a top-level run, the dearest first: runs, hours, cost in US dollars (where there is a
        rate); past 20 rows, one for the rest, and one for all.
    """
    if not len(runs):
        return Note("No run is selected, so that no machine was paid for.")
    about = runs.runs
    seconds = pd.to_timedelta(about["duration"]).dt.total_seconds()
    seconds = seconds.where(seconds > 0)
    parents = about["parent"].where(about["parent"].isin(about.index))
    holds = about.index.isin(parents.dropna())
    seconds = seconds.mask(holds)
    top = pd.Series(about.index, index=about.index, dtype=object)
    for _ in range(_DEEPEST):
        above = top.map(parents)
        if above.isna().all():
            break
        top = above.where(above.notna(), top)
    if not seconds.notna().any():
        return Note("None of these runs has a start and an end with time between them.")
    labels = run_labels(runs)
    by = seconds.groupby(top.to_numpy())
    table = pd.DataFrame(
        {"runs": by.size(), "timed": by.count(), "hours": by.sum() / 3600, "longest": by.max()}
    ).sort_values("hours", ascending=False, kind="stable")
    total = pd.DataFrame(
        {"runs": [len(about)], "timed": [int(seconds.notna().sum())],
         "hours": [seconds.sum() / 3600], "longest": [seconds.max()]}, index=["all"],
    )  # fmt: skip
    table.index = pd.Index([labels.get(str(one), plain(str(one))) for one in table.index])
    rest = table.iloc[_MOST_ROWS:]
    if len(rest):
        more = {"runs": rest["runs"].sum(), "timed": rest["timed"].sum()}
        more |= {"hours": rest["hours"].sum(), "longest": rest["longest"].max()}
        table = pd.concat(
            [table.iloc[:_MOST_ROWS], pd.DataFrame(more, index=[f"{len(rest):,} more"])]
        )
    table = pd.concat([table, total])
    table["longest"] = [
        how_long(pd.Timedelta(one, unit="s")) if one == one else "" for one in table["longest"]
    ]
    if compute_rate > 0:
        table["cost, $"] = table["hours"] * compute_rate
    return table.rename_axis("run")


_DEEPEST = 20


def compute_note(runs: RunSet, compute_rate: float = 0.0) -> Note:
    """What an hour costs, or how to say it; and how durations differ."""
    seconds = pd.to_timedelta(runs.runs["duration"]).dt.total_seconds()
    odd = int((seconds <= 0).sum())
    none = int(seconds.isna().sum())
    lines = [
        f"An hour of a run costs {dollars(compute_rate)} (compute_rate)."
        if compute_rate > 0
        else "No rate is given: compute_rate = 2.5 above, or --param compute_rate=2.5."
    ]
    if odd:
        lines.append(f"{odd:,} runs ended at or before their start, and count as not timed.")
    if none:
        lines.append(f"{none:,} runs have no end or no start, and count as not timed.")
    values = seconds[seconds > 0].to_numpy(dtype="float64") / 3600
    # Of fewer, resampling says too little.
    if len(values) >= 10:
        low, high = intervals.of_mean(values)
        lines.append(
            f"A run took {number(float(values.mean()))} hours on average "
            f"(95 %: {number(low)} to {number(high)})."
        )
    return Note("\n".join(lines))
