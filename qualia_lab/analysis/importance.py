"""Which params go with the difference in a metric, and whether so few runs can tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qualia_lab.analysis.forest import Judged, judge
from qualia_lab.analysis.labels import distinct, plain, rough, with_spread
from qualia_lab.analysis.scales import cut
from qualia_lab.analysis.show import COLOURS, GREY, INK, Figure, Note, dress
from qualia_lab.analysis.space import Param, Space, determined, levels, search_space
from qualia_lab.model import RunSet

_MOST_BARS = 12
_MOST_NAMED = 3
_SAME = 0.95
_LABEL = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatMatters:
    """Which param goes with the difference in a metric; or, in ``reason``, why none can be named.

    Attributes:
        metric: the metric.
        runs: how many runs have a finite last value of it.
        r2: the share of the variance between runs that a forest predicts for runs it did not see.
        param: the param, or several that always change together; empty where ``reason`` is not.
        importance: how much ``r2`` falls when that param is shuffled.
        std: the standard error of that over the runs.
        also: other params that stand out from chance, each with its importance.
        tied: params that hardly vary without this one, so that it can't be told from them.
        best: where the metric is best and where it is worst.
        edge: that the best value is the lowest or highest that was tried; or empty.
        reason: why no param can be named; or empty.
        by_rank: whether ``r2`` is that of the ranks of the metric.
    """

    metric: str
    runs: int
    r2: float = math.nan
    param: str = ""
    importance: float = math.nan
    std: float = math.nan
    also: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
    best: str = ""
    edge: str = ""
    reason: str = ""
    by_rank: bool = False

    @property
    def sentence(self) -> str:
        """All of it in a few sentences; an association, never a cause."""
        return self.reason or " ".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """The sentences one by one."""
        if self.reason:
            return (self.reason,)
        what = f"the ranks of {plain(self.metric)}" if self.by_rank else plain(self.metric)
        tied = ""
        if self.tied:
            verb = "changes" if len(self.tied) == 1 else "change"
            tied = f"It can't be told apart from {_listed(self.tied)}, which {verb} with it."
        sentences = (
            f"{self.param} goes with the difference: a random forest predicts {what} of runs that "
            f"it did not see with R² {self.r2:.2f} ({self.runs:,} runs), and with "
            f"{with_spread(self.r2 - self.importance, self.std)} when that param is shuffled.",
            self.best,
            self.edge,
            tied,
            f"Next: {_listed(self.also)}." if self.also else "",
        )
        return tuple(one for one in sentences if one)


def param_importance(runs: RunSet, metric: str | None) -> pd.DataFrame:
    """How much each param that varies goes with the last value of a metric.

    Args:
        runs: the runs; those whose last value is finite count, at least ten.
        metric: the metric. Where a few values lie more than ten times as far from the median as
            the quartiles lie from each other, all are taken by rank.

    Returns:
        A row a param, the most important first: ``importance``, how much the R² of a random forest
        on runs it did not see falls when the values of the param are shuffled (Breiman 2001; the
        mean of 10, 5 or 2 shuffles; it can be more than R² itself); ``std``, its standard error
        over the runs; ``stands out`` from chance (see ``forest.Judged.tells``); ``values``, how
        many different ones; ``missing``, how many runs did not log it; ``kind``. Params that
        always change together are one row. Seeds, constants and ids are left out (see
        ``space.search_space``), and beyond 40 params those that the forest made least use of. More
        than 1,000 runs (fewer with more than 100 params) are sampled. Empty where there are too few
        runs or nothing varies.
    """
    space = search_space(runs, metric)
    found = space if isinstance(space, Note) else judge(space)
    columns = {
        "importance": "float64",
        "std": "float64",
        "stands out": "bool",
        "values": "int64",
        "missing": "int64",
        "kind": "object",
    }
    if isinstance(found, (Note, str)):
        empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
        return empty.rename_axis(index="param")
    rows = zip(found.params, found.importance, found.std, found.tells, strict=True)
    table = pd.DataFrame(
        [
            (importance, std, tells, one.count, one.missing, one.kind)
            for one, importance, std, tells in rows
        ],
        columns=list(columns),
        index=pd.Index(distinct([one.label for one in found.params]), name="param"),
    )
    table = table[table["importance"].notna()].astype(columns)
    return table.rename_axis(columns=f"{plain(found.space.metric)}, R² {found.r2:.2f}")


def what_matters(runs: RunSet, metric: str | None) -> WhatMatters | None:
    """Which param goes with the difference in a metric, or why that can't be told.

    None where there is nothing to ask: no such metric, less than two runs with a finite value, or
    no param that varies between them.
    """
    space = search_space(runs, metric)
    if isinstance(space, Note):
        return None
    return _matters(runs, space)


def importance_note(runs: RunSet, metric: str | None) -> Note:
    """Which param goes with the difference, by how much, and where the metric is best.

    A param is named only where the forest predicts runs it did not see (R² above 2 / runs and 0.05)
    and its importance is above twice its standard error; else the numbers say why not. Where the
    best value is the lowest or highest that was tried, that is said: better ones may lie beyond.
    """
    space = search_space(runs, metric)
    if isinstance(space, Note):
        return space
    found = _matters(runs, space)
    end = () if found.reason else ("This is what goes together in these runs, not what causes it.",)
    return Note("\n".join([*found.lines, *end]))


def importance_chart(runs: RunSet, metric: str | None) -> Figure | Note:
    """The importance of each param as a bar with its standard error, the twelve largest at most.

    Blue where it stands out from chance, grey where not. A note where there are too few runs.
    """
    space = search_space(runs, metric)
    if isinstance(space, Note):
        return space
    found = judge(space)
    if isinstance(found, str):
        return Note(found)
    shown = min(_MOST_BARS, int(np.isfinite(found.importance).sum()))
    name = plain(found.space.metric)
    title = _title(found, name)
    figure = Figure(
        alt=f"{title}. A bar a param, the most important above.",
        figsize=(9, 1.0 + 0.32 * shown),
    )
    axes = figure.add_subplot()
    colours = [COLOURS[0] if tells else GREY for tells in found.tells[:shown]]
    axes.barh(
        range(shown), found.importance[:shown], color=colours, height=0.62,
        xerr=found.std[:shown], error_kw={"ecolor": INK, "capsize": 3, "elinewidth": 1},
    )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8)
    labels = distinct([cut(one.label, _LABEL) for one in found.params[:shown]])
    axes.set_yticks(range(shown), labels, parse_math=False)
    axes.set_ylim(shown - 0.5, -0.5)
    dress(axes, title)
    axes.grid(False, axis="y")
    figure.supxlabel(_caption(found, shown), fontsize=8, parse_math=False)
    return figure


def by_importance(space: Space) -> tuple[Param, ...]:
    """The params of a space, the most important first; as logged where there are few runs."""
    found = judge(space)
    return space.params if isinstance(found, str) else found.params


def _matters(runs: RunSet, space: Space) -> WhatMatters:
    found = judge(space)
    if isinstance(found, str):
        return WhatMatters(metric=space.metric, runs=len(space.values), reason=found)
    reason = _unclear(found)
    if reason:
        return WhatMatters(metric=space.metric, runs=found.used, r2=found.r2, reason=reason)
    first, others = found.params[0], found.params[1:]
    table = levels(first, space.y)
    also = [
        f"{one.label} {with_spread(float(found.importance[place]), float(found.std[place]))}"
        for place, one in enumerate(found.params)
        if place and found.tells[place]
    ]
    return WhatMatters(
        metric=space.metric,
        runs=found.used,
        r2=found.r2,
        param=first.label,
        importance=float(found.importance[0]),
        std=float(found.std[0]),
        also=tuple(also[:_MOST_NAMED]),
        tied=tuple(_tied(first, others)[:_MOST_NAMED]),
        best=_best(runs, space, first, table),
        edge=_edge(runs, space, first, table),
        by_rank=found.by_rank,
    )


def _unclear(found: Judged) -> str:
    """Why the first param can't be named; empty where it can."""
    name = plain(found.space.metric)
    numbers = f"R² {found.r2:.2f} over {found.used:,} runs"
    if not found.predicts:
        return (
            f"No param can be said to go with {name}: a random forest that knows the params "
            f"predicts runs it did not see no better than chance might ({numbers})."
        )
    if not found.tells[0]:
        spread = with_spread(float(found.importance[0]), float(found.std[0]))
        return (
            f"Too few runs to tell which param goes with {name}: {found.params[0].label} comes "
            f"first, but may do so by chance (importance {spread}, {numbers})."
        )
    return ""


def _tied(first: Param, others: tuple[Param, ...]) -> list[str]:
    """The params that can't be told from the first: one tells the other, nearly always.

    A param with less than two runs a value would tell everything, so it is not asked.
    """

    def tells(one: Param, other: Param) -> bool:
        values = one.count + (one.missing > 0)
        return len(one.codes) >= 2 * values and determined(other, by=one) >= _SAME

    return [one.short for one in others if tells(first, one) or tells(one, first)]


def _ranked(runs: RunSet, space: Space, table: pd.DataFrame) -> pd.DataFrame:
    """The levels, best first (highest first where better is not known).

    A value that one run had is left out where others were tried more often: it may be luck.
    """
    often = table[table["n"] > 1]
    ascending = runs.direction(space.metric) == "min"
    return (often if len(often) > 1 else table).sort_values(
        "median", ascending=ascending, kind="stable"
    )


def _best(runs: RunSet, space: Space, param: Param, table: pd.DataFrame) -> str:
    order = _ranked(runs, space, table)
    first, last = order.iloc[0], order.iloc[-1]
    if first["median"] == last["median"] or not table["label"].is_unique:
        return ""
    known = runs.direction(space.metric) is not None
    good, bad = ("Best", "worst") if known else ("Highest", "lowest")
    return (
        f"{good} median {plain(space.metric)}: {rough(first['median'])} with {param.name} "
        f"{first['label']} ({_runs(first['n'])}); {bad}: {rough(last['median'])} with "
        f"{last['label']} ({_runs(last['n'])})."
    )


def _edge(runs: RunSet, space: Space, param: Param, table: pd.DataFrame) -> str:
    tried = table.iloc[:-1] if param.missing else table
    if (
        param.numbers is None
        or len(tried) < 3
        or not tried["label"].is_unique
        or runs.direction(space.metric) is None
    ):
        return ""
    best = _ranked(runs, space, table).index[0]
    if best not in (tried.index[0], tried.index[-1]):
        return ""
    which, beyond = ("lowest", "below") if best == tried.index[0] else ("highest", "above")
    what = "value" if tried.loc[best, "label"] in param.labels else "range"
    return f"That is the {which} {what} tried; whether it gets better {beyond} is not known."


def _title(found: Judged, name: str) -> str:
    if _unclear(found):
        return f"no param stands out from chance in {name}"
    named = [one.short for one, tells in zip(found.params, found.tells, strict=True) if tells]
    if len(named) > 1:
        return f"{named[0]}, then {named[1]} go with the difference in {name}"
    return f"{named[0]} alone stands out as going with {name}"


def _caption(found: Judged, shown: int) -> str:
    """What the axis is, and what is not drawn."""
    parts = [
        f"how much R² ({found.r2:.2f} on runs the forest did not see) falls when the param is "
        "shuffled; whisker: one standard error"
    ]
    more = []
    if found.by_rank:
        more.append("values taken by rank")
    if found.used < len(found.space.values):
        more.append(f"{found.used:,} of {len(found.space.values):,} runs, drawn at random")
    else:
        more.append(found.space.counted)
    if shown < len(found.params):
        more.append(f"{shown} of {len(found.params):,} params")
    if not found.tells[:shown].all():
        more.append("grey: may be chance, or is under a twentieth of the first")
    return "\n".join([*parts, "; ".join(more)])


def _runs(count: int) -> str:
    return f"{count:,} run{'s' if count > 1 else ''}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
