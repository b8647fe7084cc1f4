"""Sentences on what costs come to, each with the number it rests on and where that comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qualia_lab.analysis import intervals
from qualia_lab.analysis.budget import forecast, forecast_lines
from qualia_lab.analysis.calls import UNPRICED, Spending
from qualia_lab.analysis.cheaper import all_savings
from qualia_lab.analysis.costs import grouped, shared
from qualia_lab.analysis.labels import dollars, plain

NOT_KNOWN = "Not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A sentence, the number that it rests on, and where that comes from."""

    about: str
    sentence: str
    number: float
    source: str


def statements(spent: Spending, budget: float = 0.0) -> list[Statement]:
    """What can be said of these costs, the most important first."""
    return [*_statements(spent, budget)]


def _statements(spent: Spending, budget: float) -> Iterator[Statement]:
    if not len(spent.own):
        return
    yield _all_of_it(spent)
    yield from _one_execution(spent)
    for key in ("stage", "model"):
        yield from _dearest(spent, key)
    yield from _next_month(spent, budget)
    yield from _largest_saving(spent)
    yield from _failures(spent)
    yield from _not_known(spent.own)


def _all_of_it(spent: Spending) -> Statement:
    total, done = float(spent.own["cost"].sum()), spent.executions
    more = _span(spent.own) + _caveat(done, spent.whole, spent.own)
    return Statement(
        about="Cost",
        sentence=f"{len(done):,} executions cost {dollars(total)}{more}.",
        number=total,
        source="cost_by",
    )


def _one_execution(spent: Spending) -> Iterator[Statement]:
    values = spent.whole["cost"].to_numpy(dtype="float64")
    if not len(values):
        return
    mean = float(values.mean())
    low, high = intervals.of_mean(values)
    sure = f" (95 %: {dollars(low)} to {dollars(high)})" if low == low else ""
    median, p95 = float(np.median(values)), float(np.quantile(values, 0.95))
    yield Statement(
        about="One execution",
        sentence=f"costs {dollars(mean)} on average{sure}; half of them less than "
        f"{dollars(median)}, one in twenty more than {dollars(p95)}.",
        number=mean,
        source="cost_of_execution",
    )


def _dearest(spent: Spending, key: str) -> Iterator[Statement]:
    own = spent.own
    table = grouped(own, shared(spent, key).fillna("(not recorded)"), key)
    top = table["share"].max()
    if len(table) < 2 or top != top:
        return
    place = int(np.nanargmax(table["share"].to_numpy(dtype="float64")))
    name, count = table.index[place], int(table["calls"].iloc[place])
    yield Statement(
        about=f"Dearest {key}",
        sentence=f"{name}: {top:.0%} of the cost with {count / len(own):.0%} of the calls.",
        number=float(top),
        source=f'cost_by(spent, "{key}")',
    )


def _next_month(spent: Spending, budget: float) -> Iterator[Statement]:
    found = forecast(spent)
    if found is not None and len(found.days) > 1:
        yield Statement(
            about="Next month",
            sentence="; ".join(forecast_lines(found, budget)) + ".",
            number=found.month,
            source="cost_forecast",
        )


def _largest_saving(spent: Spending) -> Iterator[Statement]:
    total = float(spent.own["cost"].sum())
    best = max(all_savings(spent), key=lambda one: np.nan_to_num(one.saved, nan=-1.0))
    if total > 0 and best.saved > 0:
        yield Statement(
            about="Largest saving",
            sentence=f"{best.name}: {dollars(best.saved)} of {dollars(total)}, "
            f"{best.saved / total:.0%} ({best.how}); but {best.but}.",
            number=best.saved,
            source="savings",
        )


def _failures(spent: Spending) -> Iterator[Statement]:
    own, done = spent.own, spent.executions
    is_failed = done["status"] == "ERROR"
    failed = own[own["trace_id"].isin(done.loc[is_failed, "trace_id"])]
    if len(failed):
        lost, total = float(failed["cost"].sum()), float(own["cost"].sum())
        share = f", {lost / total:.0%} of all" if total else ""
        yield Statement(
            about="Failures",
            sentence=f"{int(is_failed.sum()):,} of {len(done):,} executions failed, after "
            f"{dollars(lost)}{share}.",
            number=lost,
            source="executions",
        )


def _not_known(own: pd.DataFrame) -> Iterator[Statement]:
    unpriced = own[own["source"] == UNPRICED]
    if len(unpriced):
        yield Statement(
            about=NOT_KNOWN,
            sentence=f"{len(unpriced):,} of {len(own):,} calls have no cost and no price "
            f"({named(unpriced['model'])}); they are in no sum.",
            number=float(len(unpriced)),
            source="cost_coverage",
        )


def named(models: pd.Series[str]) -> str:
    """The models in a few words; at most three of them by name."""
    names = sorted({plain(one) or "no model recorded" for one in models})
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _span(calls: pd.DataFrame) -> str:
    first, last = calls["started"].min(), calls["started"].max()
    if first != first:
        return ""
    days = (last.floor("D") - first.floor("D")).days + 1
    if days < 2:
        return f" on {first:%Y-%m-%d}"
    daily = calls["trace_id"].nunique() / days
    return f" from {first:%Y-%m-%d} to {last:%Y-%m-%d}, {daily:.3g} a day"


def _caveat(done: pd.DataFrame, whole: pd.DataFrame, own: pd.DataFrame) -> str:
    missing = len(done) - len(whole)
    if not missing:
        return ""
    models = named(own.loc[own["source"] == UNPRICED, "model"])
    return f"; {missing:,} of them hold calls without a price ({models}), which are not in it"
