"""Volumes, months and years: what the costs of some days say of others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qualia_lab.analysis import intervals
from qualia_lab.analysis.calls import Spending
from qualia_lab.analysis.costs import NO_CALLS
from qualia_lab.analysis.labels import dollars, plain
from qualia_lab.analysis.show import COLOURS, GREY, INK, Figure, Note, dress
from qualia_lab.errors import UsageError
from qualia_lab.text import visible

DAYS_A_MONTH = 365.2425 / 12
_DAYS_A_YEAR = 365.2425
# A trend is looked for from four whole weeks on.
_TREND_DAYS = 28
# The slope's interval has to leave out zero at this level.
_LEVEL = 0.95


def cost_at_volumes(spent: Spending, volumes: str) -> pd.DataFrame | Note:
    """What so many executions a day would cost, in US dollars as text, with 95 % intervals.

    The mean cost of an execution (``costs.cost_of_execution``) times the volume; so executions are
    taken to stay as they were.

    Args:
        volumes: executions a day, with commas between.

    Raises:
        UsageError: one of them is no positive number.
    """
    counts = _volumes(volumes)
    if not len(spent.calls):
        return Note(NO_CALLS)
    values = spent.whole["cost"].to_numpy(dtype="float64")
    if not len(values):
        return Note("No execution has a cost for every one of its calls, so none can be scaled.")
    mean, (low, high) = float(values.mean()), intervals.of_mean(values)
    columns = {
        "a day": [count * mean for count in counts],
        "a month": [count * mean * DAYS_A_MONTH for count in counts],
        "a month, from": [count * low * DAYS_A_MONTH for count in counts],
        "a month, to": [count * high * DAYS_A_MONTH for count in counts],
        "a year": [count * mean * _DAYS_A_YEAR for count in counts],
    }
    return pd.DataFrame(
        {name: [dollars(one) for one in amounts] for name, amounts in columns.items()},
        index=pd.Index([f"{one:,.10g}" for one in counts], name="executions a day"),
    )


def _volumes(volumes: str) -> list[float]:
    found = []
    for text in str(volumes).split(","):
        try:
            count = float(text.replace("_", "").strip() or "nan")
        except ValueError:
            count = float("nan")
        if not 0 < count < 1e15:
            raise UsageError(
                f"volumes: {visible(text, 40)} is no number of executions a day",
                hint='Write them with commas between, as in "10, 100, 1000".',
            )
        found.append(count)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """What a month costs if it goes on like this, in US dollars.

    Attributes:
        days: the first of the days that count.
        costs: (days,), days without a call are 0.
        month, low, high: the next 30.44 days, and a 95 % interval of their mean.
        slope: dollars a day more each day, by Theil and Sen; NaN below 28 days.
        trending: whether its interval leaves out zero, so that it counts in ``month``.
        partial: days at the ends that were left out, since they are not whole.
    """

    days: pd.DatetimeIndex
    costs: NDArray[np.float64]
    month: float
    low: float
    high: float
    slope: float
    trending: bool
    partial: int

    @property
    def year(self) -> float:
        """A year of such months: a trend is not carried on for longer than a month."""
        return self.month * _DAYS_A_YEAR / DAYS_A_MONTH


def forecast(spent: Spending) -> Forecast | None:
    """What the costs of the days so far say of the next month; None without a call with a time.

    Whole days of UTC count: the first and the last are left out where there are three or more. The
    month is the mean of the days times 30.44, with a moving-block bootstrap for its interval, since
    days of a week are alike in pairs (Künsch 1989; blocks of a week, fixed seed). From 28 days on a
    trend counts where the 95 % interval of Theil and Sen's slope (Sen 1968, as
    ``scipy.stats.theilslopes``) leaves out zero: then the line goes on for the month.
    """
    calls = spent.own
    calls = calls[calls["started"].notna() & calls["cost"].notna()]
    if not len(calls):
        return None
    by_day = calls.groupby(calls["started"].dt.floor("D"))["cost"].sum()
    days = pd.date_range(by_day.index[0], by_day.index[-1], freq="D")
    if len(days) > _LONGEST:
        days = days[-_LONGEST:]
    partial = 2 if len(days) > 2 else 0
    days = days[1:-1] if partial else days
    costs = by_day.reindex(days).fillna(0.0).to_numpy(dtype="float64")
    mean = float(costs.mean())
    low, high = _block_interval(costs)
    slope, trending = float("nan"), False
    month = mean * DAYS_A_MONTH
    if len(days) >= _TREND_DAYS:
        from scipy import stats

        place = np.arange(len(days), dtype="float64")
        fit = stats.theilslopes(costs, place, _LEVEL)
        slope = float(fit.slope)
        trending = bool(fit.low_slope > 0 or fit.high_slope < 0)
        if trending:
            ahead = len(days) - 1 + (1 + DAYS_A_MONTH) / 2
            shift = float(fit.intercept) + slope * ahead - mean
            month = max(mean + shift, 0.0) * DAYS_A_MONTH
            low, high = max(low + shift, 0.0), max(high + shift, 0.0)
    return Forecast(
        days=days,
        costs=costs,
        month=month,
        low=low * DAYS_A_MONTH,
        high=high * DAYS_A_MONTH,
        slope=slope,
        trending=trending,
        partial=partial,
    )


_LONGEST = 3660  # days; a clock that was wrong once shall not make a million
_BLOCK, _RESAMPLES = 7, 4000


def _block_interval(costs: NDArray[np.float64]) -> tuple[float, float]:
    """A 95 % interval of the mean of a month of such days."""
    n = len(costs)
    if n < 2 * _BLOCK:
        return intervals.of_mean(costs)
    draw = np.random.default_rng(0)
    # Blocks go on from the end to the beginning, so that every day is drawn as often as another.
    sums = np.convolve(np.concatenate([costs, costs[: _BLOCK - 1]]), np.ones(_BLOCK), "valid")
    count = max(1, round(DAYS_A_MONTH / _BLOCK))
    means = sums[draw.integers(0, n, (_RESAMPLES, count))].sum(axis=1) / (count * _BLOCK)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def cost_forecast(spent: Spending, budget: float = 0.0) -> Figure | Note:
    """The cost of each day, the month that it makes, and what a budget says to it.

    Args:
        budget: US dollars a month; none where 0.
    """
    found = forecast(spent)
    if found is None:
        return Note(NO_CALLS if not len(spent.own) else "No call with a cost has a time.")
    if len(found.days) < 2:
        return Note(
            f"There is one day of costs, {dollars(float(found.costs[0]))}: a month like it would "
            f"cost {dollars(found.month)}; nothing is known of how days differ."
        )
    lines = forecast_lines(found, budget)
    figure = Figure(alt="; ".join(lines), figsize=(9, 3.6))
    axes = figure.add_subplot()
    dress(axes, "\n".join(lines[:2]))
    places = found.days.to_numpy()
    axes.bar(places, found.costs, width=0.85, color=COLOURS[0], label="cost of a day")
    daily = found.month / DAYS_A_MONTH
    ahead = pd.date_range(found.days[-1], periods=32, freq="D")[1:]
    axes.plot(ahead, np.full(31, daily), color=COLOURS[1], label="a day of the next month")
    if found.low == found.low:
        axes.fill_between(
            ahead, found.low / DAYS_A_MONTH, found.high / DAYS_A_MONTH,
            color=COLOURS[1], alpha=0.2, linewidth=0, label="95 % of such months",
        )  # fmt: skip
    if budget > 0:
        axes.axhline(budget / DAYS_A_MONTH, color=INK, linestyle="--", linewidth=1, label="budget")
    axes.set_ylabel("US dollars a day", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False, loc="upper left", ncols=4, bbox_to_anchor=(0, -0.1))
    axes.grid(False, axis="x")
    axes.tick_params(axis="x", colors=GREY)
    return figure


def forecast_lines(found: Forecast, budget: float = 0.0) -> list[str]:
    """What a forecast says, the month first."""
    between = (
        f" (95 % of such months: {dollars(found.low)} to {dollars(found.high)})"
        if found.low == found.low
        else ""
    )
    lines = [
        f"The next month costs about {dollars(found.month)}{between}, a year {dollars(found.year)}"
    ]
    if found.slope != found.slope:
        lines.append(f"from {_days(found)}; a trend is looked for from {_TREND_DAYS} on")
    elif found.trending:
        lines.append(
            f"from {_days(found)}, with a trend of {dollars(found.slope)} a day "
            "more each day carried on for that month"
        )
    else:
        lines.append(f"from {_days(found)}, which show no trend")
    if budget > 0:
        share = found.month / budget
        word = "over" if share > 1 else "within"
        lines.append(f"{share:.0%} of the budget of {dollars(budget)} a month: {word} it")
    return lines


def _days(found: Forecast) -> str:
    return f"{len(found.days):,} whole day{'s' if len(found.days) != 1 else ''}"


def budget_note(spent: Spending, budget: float = 0.0) -> Note:
    """Whether the month stays within the budget; how to give one."""
    found = forecast(spent)
    if found is None:
        return Note(NO_CALLS if not len(spent.own) else "No call with a cost has a time.")
    lines = [one[0].upper() + one[1:] + "." for one in forecast_lines(found, budget)]
    if budget <= 0:
        lines.append("No budget is given: budget = 100.0 above, or --param budget=100.")
    return Note("\n".join(lines))


def daily_costs(spent: Spending) -> Figure | Note:
    """The cost of each day, by stage: where a rise comes from."""
    calls = spent.own[spent.own["cost"].notna() & spent.own["started"].notna()]
    if not len(calls):
        return Note(NO_CALLS if not len(spent.own) else "No call with a cost has a time.")
    table = calls.pivot_table(
        index=calls["started"].dt.floor("D"),
        columns=calls["stage"].fillna("(no name)"),
        values="cost",
        aggfunc="sum",
    )
    days = pd.date_range(table.index[0], table.index[-1], freq="D")[-_LONGEST:]
    table = table.reindex(days).fillna(0.0)
    order = table.sum().sort_values(ascending=False).index
    shown, rest = order[: len(COLOURS) - 1], order[len(COLOURS) - 1 :]
    total = table.to_numpy().sum()
    top = order[0]
    title = (
        f"{plain(str(top))} makes {table[top].sum() / total:.0%} of {dollars(float(total))}"
        if total
        else "Nothing was charged"
    )
    figure = Figure(alt=f"{title}. Cost of each day, stacked by stage.", figsize=(9, 3.4))
    axes = figure.add_subplot()
    dress(axes, f"{title}\ncost of each day (UTC), by stage")
    base = np.zeros(len(days))
    for colour, stage in zip(COLOURS, shown, strict=False):
        label = plain(str(stage), 30)
        axes.bar(days, table[stage], bottom=base, width=0.85, color=colour, label=label)
        base += table[stage].to_numpy()
    if len(rest):
        more = table[rest].sum(axis=1)
        axes.bar(days, more, bottom=base, width=0.85, color=GREY, label=f"{len(rest):,} more")
    axes.set_ylabel("US dollars", fontsize=8)
    legend = axes.legend(
        fontsize=8, frameon=False, loc="upper left", ncols=6, bbox_to_anchor=(0, -0.1)
    )
    axes.grid(False, axis="x")
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure
