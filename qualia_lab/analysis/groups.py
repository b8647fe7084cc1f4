"""Runs that differ only in a seed, folded: how good a setting is, and how much of that is noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import number, plain
from qualia_lab.analysis.show import COLOURS, DRAWABLE, Figure, Note, dress
from qualia_lab.directions import direction
from qualia_lab.errors import NotFoundError, known_list
from qualia_lab.model import RunSet
from qualia_lab.seeds import is_seed
from qualia_lab.text import visible

_RESAMPLES = 9999
_MOST_FOR_BOOTSTRAP = 100
_MOST_ORDERS = 10_000
_NOISE = 0.05
_MOST_GROUPS = 12
_LONGEST_LABEL = 60
_FEWEST_FOR_INTERVAL = 3
_VALUE = 24


def group_labels(runs: RunSet, by: str | None = None) -> pd.Series[str]:
    """Which group each run is in: runs of one experiment whose params differ in a seed alone.

    What is a seed: ``seeds.is_seed``. Runs that logged no param are left out.

    Args:
        runs: the runs.
        by: a param that makes the groups instead, one for each of its values.

    Returns:
        Indexed by run id, in the order of ``runs``: as few params as tell the groups apart, such as
        ``lr=0.1, model=mlp``. A run that lacks the param ``by`` is left out.

    Raises:
        NotFoundError: no run has the param ``by``.
    """
    params = runs.params
    if by is not None:
        if by not in params.columns:
            names = [str(name) for name in params.columns]
            raise NotFoundError(
                f"no run logged the param {visible(by, 60)}", hint=known_list(by, names)
            )
        values = params[by].dropna()
        return values.map(lambda value: f"{plain(by)}={plain(value, _VALUE)}").rename("group")
    params = params[params.notna().any(axis=1)]
    kept = [name for name in params.columns if not is_seed(str(name))]
    differing = [name for name in kept if params[name].nunique(dropna=False) > 1]
    telling = _telling(params[differing])
    labels = [_label(row, telling) for _, row in params[telling].iterrows()]
    experiments = runs.runs["experiment"].reindex(params.index)
    if experiments.nunique() > 1:
        labels = [f"{plain(one)}: {label}" for one, label in zip(experiments, labels, strict=True)]
    return pd.Series(labels, index=params.index, name="group", dtype=object)


def compare_groups(
    runs: RunSet, metric: str, by: str | None = None, baseline: str | None = None
) -> pd.DataFrame:
    """The last value of a metric over each group of runs, and what sets a group apart.

    Args:
        runs: the runs.
        metric: what is compared; a run whose last value is not finite does not count.
        by: as for ``group_labels``.
        baseline: the label of the group that the others are compared with; by default the one with
            most runs, the first of several.

    Returns:
        A row a group, the best mean first: ``n`` runs; ``mean``; ``std`` (of the sample, missing
        for one run); ``low`` and ``high``, the 95 % interval of the mean (see ``interval``),
        missing below three runs; against the baseline ``difference`` of the means, ``effect``, the
        rank-biserial correlation (Kerby 2014: 1 when every run of the group is higher than every
        run of the baseline, -1 when lower), and ``p`` of the Mann-Whitney test, two-sided,
        corrected for the number of groups after Benjamini and Hochberg (1995). ``least p`` is the
        smallest that these numbers of runs could give: above 0.05, they can't show a difference
        whatever the values are.

    Raises:
        NotFoundError: no such metric or group.
    """
    if metric not in runs.metric_names:
        raise NotFoundError(
            f"no run logged the metric {visible(metric, 60)}",
            hint=known_list(metric, runs.metric_names),
        )
    labels = group_labels(runs, by)
    values = runs.metrics[metric].reindex(labels.index)
    values = values[np.isfinite(values)]
    grouped = {
        str(label): of_group.to_numpy()
        for label, of_group in values.groupby(labels[values.index], sort=False)
    }
    if baseline is not None and baseline not in grouped:
        raise NotFoundError(
            f"no group {visible(baseline, 60)}", hint=known_list(baseline, list(grouped))
        )
    base = baseline or max(grouped, key=lambda label: len(grouped[label]), default="")
    rows = {label: _row(one, grouped[base], label == base) for label, one in grouped.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(_COLUMNS)).astype(_COLUMNS)
    table["p"] = _corrected(table["p"])
    ascending = direction(metric) != "max"
    table = table.sort_values("mean", ascending=ascending, kind="stable")
    return table.rename_axis(index="group", columns=f"{plain(metric)}, against {base}")


_COLUMNS = {
    "n": "int64",
    "mean": "float64",
    "std": "float64",
    "low": "float64",
    "high": "float64",
    "difference": "float64",
    "effect": "float64",
    "p": "float64",
    "least p": "float64",
}


def _row(values: np.ndarray, base: np.ndarray, is_base: bool) -> list[Any]:
    nothing = float("nan")
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else nothing
    mean = float(np.mean(values))
    row = [len(values), mean, spread, *interval(values)]
    if is_base:
        return [*row, nothing, nothing, nothing, nothing]
    return [*row, mean - float(np.mean(base)), *rank_test(values, base)]


def group_note(runs: RunSet, metric: str | None) -> Note:
    """The best of the settings that were repeated, and whether that is more than noise."""
    if metric is None or metric not in runs.metric_names:
        return Note("There is no metric to compare the groups by.")
    table = compare_groups(runs, metric)
    name = plain(metric)
    if direction(metric) is None:
        return Note(f"Whether more or less of {name} is better is not known from its name.")
    several = table[table["n"] > 1]
    if several.empty:
        return Note(f"No setting has two runs with a finite last value of {name}.")
    label, best = str(several.index[0]), several.iloc[0]
    lines = [f"Best of {len(several):,} repeated: {_spread(best)} by {label}."]
    rest = several.iloc[1:]
    if len(rest):
        against = compare_groups(runs, metric, baseline=label).loc[rest.index[0]]
        lines.append(f"Next: {_spread(rest.iloc[0])} by {rest.index[0]}. {_verdict(against)}")
    return Note("\n".join(lines))


def group_chart(runs: RunSet, metric: str | None) -> Figure | Note:
    """A row a group, the best above: a dot a run, the mean, and its 95 % interval.

    At most 12 groups, those with most runs first; the title says how many there are.
    """
    if metric is None or metric not in runs.metric_names:
        return Note("There is no metric to compare the groups by.")
    table = compare_groups(runs, metric)
    if table.empty:
        return Note(f"No run of a group has a finite last value of {plain(metric)}.")
    kept = table.sort_values("n", ascending=False, kind="stable").index[:_MOST_GROUPS]
    shown = table[table.index.isin(kept)]
    labels = group_labels(runs)
    values = runs.metrics[metric].reindex(labels.index)
    figure = Figure(
        alt=f"{plain(metric)} of {len(shown)} groups of runs, the best above",
        figsize=(9, 0.9 + 0.36 * len(shown)),
    )
    axes = figure.add_subplot()
    for place, (label, row) in enumerate(shown.iterrows()):
        mine = values[labels == label]
        mine = mine[np.abs(mine) < DRAWABLE]
        axes.plot(mine, [place] * len(mine), "o", color=COLOURS[0], alpha=0.6, markersize=5)
        if row["n"] > 1:
            axes.plot([row["mean"]], [place], "|", color=COLOURS[1], markersize=16, mew=2)
        if np.isfinite(row["low"]):
            ends = [row["low"], row["high"]]
            axes.plot(ends, [place, place], "-", color=COLOURS[1], linewidth=2, zorder=1)
    axes.set_yticks(range(len(shown)), [_short(str(one)) for one in shown.index], parse_math=False)
    # Half a row of air, so that no dot lies on the frame; the best is above.
    axes.set_ylim(len(shown) - 0.5, -0.5)
    of = f" ({len(shown)} of {len(table):,} groups)" if len(shown) < len(table) else ""
    dress(axes, f"{plain(metric)}: a dot a run, the mean, its 95 % interval{of}")
    return figure


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def _spread(row: pd.Series[Any]) -> str:
    return f"{number(row['mean'])} ± {number(row['std'])} (mean ± std of {int(row['n']):,} runs)"


def _verdict(row: pd.Series[Any]) -> str:
    """What the rank test says, in words."""
    if row["least p"] > _NOISE:
        least = f"{row['least p']:.2g}"
        return f"Too few runs to tell them apart: with so many, p can't be under {least}."
    told = f"p = {row['p']:.2g}, rank-biserial correlation {row['effect']:+.2f}"
    return f"More than noise ({told})." if row["p"] < _NOISE else f"It may be noise ({told})."


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean; missing below three values or if all agree.

    Up to 100 values by bootstrap (bias-corrected and accelerated, Efron 1987); beyond, where the
    mean is as good as normal and the bootstrap takes memory by the square of their number,
    Student's.
    """
    if len(values) < _FEWEST_FOR_INTERVAL or np.ptp(values) == 0:
        return float("nan"), float("nan")
    return _interval(tuple(values.tolist()))


@lru_cache(maxsize=4096)  # a notebook asks for the same groups several times
def _interval(values: tuple[float, ...]) -> tuple[float, float]:
    from scipy import stats

    if len(values) > _MOST_FOR_BOOTSTRAP:
        low, high = stats.t.interval(
            0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
        )
        return float(low), float(high)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the acceleration can't be had, the ends are NaN
        found = stats.bootstrap(
            (values,), np.mean, n_resamples=_RESAMPLES, random_state=0, method="BCa"
        ).confidence_interval
    return float(found.low), float(found.high)


def rank_test(values: np.ndarray, base: np.ndarray) -> tuple[float, float, float]:
    """The rank-biserial correlation of two samples, p of the Mann-Whitney test, and the least p."""
    from scipy import stats

    one, other = len(values), len(base)
    orders = math.comb(one + other, one)
    ties = len(np.unique(np.concatenate([values, base]))) < one + other
    # With ties scipy falls back on the normal distribution, whose p can lie under any that so few
    # runs can give; all orders are counted instead, where they can be.
    exact = stats.PermutationMethod(n_resamples=_MOST_ORDERS)
    method = exact if ties and orders <= _MOST_ORDERS else "auto"
    found = stats.mannwhitneyu(values, base, alternative="two-sided", method=method)
    effect = 2 * float(found.statistic) / (one * other) - 1
    # Of all orders of the runs two are the most extreme: all of one group above the other.
    return effect, float(found.pvalue), min(1.0, 2 / orders)


def _corrected(p: pd.Series[float]) -> pd.Series[float]:
    from scipy import stats

    here = p.notna()
    if here.any():
        p = p.copy()
        p[here] = stats.false_discovery_control(p[here].to_numpy(), method="bh")
    return p


def _telling(params: pd.DataFrame) -> list[Any]:
    """As few columns as tell all rows apart that differ, found one by one."""

    def different(names: list[Any]) -> int:
        return len(params[names].drop_duplicates()) if names else min(1, len(params))

    chosen: list[Any] = []
    while different(chosen) < different(list(params.columns)):
        left = [name for name in params.columns if name not in chosen]
        counts = {name: different([*chosen, name]) for name in left}
        chosen.append(max(left, key=lambda name: counts[name]))
    return [name for name in params.columns if name in chosen]


def _label(row: pd.Series[Any], names: Sequence[Any]) -> str:
    parts = []
    for name in names:
        value = row[name]
        if isinstance(value, str):
            shown = plain(value, _VALUE)
            parts.append(f"{plain(str(name))}={shown}")
    return ", ".join(parts) or "all"
