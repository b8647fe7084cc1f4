"""Runs that differ only in a seed, folded: how good a setting is, and how much of that is noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import pandas as pd

from qualia_lab.analysis.intervals import bootstrapped, students
from qualia_lab.analysis.labels import number, plain, rough, with_spread
from qualia_lab.analysis.laws import student_beyond
from qualia_lab.analysis.lines import fit_values
from qualia_lab.analysis.ranks import false_discoveries, mann_whitney
from qualia_lab.analysis.show import COLOURS, GREY, Figure, Note, dress
from qualia_lab.analysis.space import names_single_runs
from qualia_lab.analysis.values import DRAWABLE, settled
from qualia_lab.errors import NotFoundError, known_list
from qualia_lab.model import RunSet
from qualia_lab.seeds import is_seed
from qualia_lab.text import visible

_RESAMPLES = 9999
_MOST_FOR_BOOTSTRAP = 100
_NOISE = 0.05
_MOST_GROUPS = 12
_LONGEST_LABEL = 60
_DATA = "data"
_FEWEST_FOR_INTERVAL = 3
# Degrees of freedom: three runs of one setting, or two of two.
_FEWEST_FREE = 2
_VALUE = 24


def group_labels(runs: RunSet, by: str | None = None) -> pd.Series[str]:
    """Which group each run is in: runs of one experiment whose params differ in a seed alone.

    What is a seed: ``seeds.is_seed``. Runs that logged no param are left out.

    Args:
        runs: the runs.
        by: a param that makes the groups instead, one for each of its values.

    Texts that hardly two runs share (paths, ids: more than six values, most of them once) set no
    run apart; other data do.

    Returns:
        Indexed by run id, in the order of ``runs``: as few params as tell the groups apart, such as
        ``lr=0.1, model=mlp``, and before them the data where runs used different ones. A run that
        lacks the param ``by`` is left out.

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
    differing = [name for name in kept if _sets_apart(params[name])]
    parts, first = params[differing], []
    data = _data(runs).reindex(params.index)
    if data.nunique(dropna=False) > 1:
        # First, and said always: runs of other data repeat nothing.
        first = [_DATA + " " * (_DATA in parts.columns)]
        parts = pd.concat([data.rename(first[0]), parts], axis=1)
    labels = _joined(parts[_telling(parts, first)])
    experiments = runs.runs["experiment"].reindex(params.index)
    if experiments.nunique() > 1:
        labels = [f"{plain(one)}: {label}" for one, label in zip(experiments, labels, strict=True)]
    return pd.Series(labels, index=params.index, name="group", dtype=object)


def compare_groups(
    runs: RunSet, metric: str, by: str | None = None, baseline: str | None = None
) -> pd.DataFrame:
    """The last value of a metric over each group of runs, and what sets a group apart.

    Only finished runs with a finite last value count (all that have one, where none finished).

    Args:
        runs: the runs.
        metric: what is compared.
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
    values = _of_groups(runs, metric, labels)
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
    ascending = runs.direction(metric) != "max"
    table = table.sort_values("mean", ascending=ascending, kind="stable")
    return table.rename_axis(index="group", columns=f"{plain(metric)}, against {base}")


def repeated(runs: RunSet, metric: str, by: str | None = None) -> bool:
    """Whether there are groups to compare by a metric: two or more, and one of several runs.

    Where no two runs share a setting, each is a group of its own; asked for by a param, all count.
    The arguments are those of ``compare_groups``, which takes a rank test for each group.
    """
    labels = group_labels(runs, by)
    counts = labels[_of_groups(runs, metric, labels).index].value_counts()
    return len(counts) > 1 and (by is not None or bool(counts.iloc[0] > 1))


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


def group_note(runs: RunSet, metric: str | None, by: str | None = None) -> Note:
    """The best of the settings that were repeated, and whether that is more than noise."""
    if metric is None or metric not in runs.metric_names:
        return Note("There is no metric to compare the groups by.")
    name = plain(metric)
    if runs.direction(metric) is None:
        return Note(f"Whether more or less of {name} is better is not known from its name.")
    table = compare_groups(runs, metric, by)
    several = table[table["n"] > 1]
    if several.empty:
        return Note(f"No setting has two runs with a finite last value of {name}.")
    label = str(several.index[0])
    lines = [f"Best of {len(several):,} repeated: {spread(several.iloc[0])} by {label}."]
    if len(several) > 1:
        after = str(several.index[1])
        lines.append(f"Next: {spread(several.iloc[1])} by {after}.")
        lines.append(lead(runs, metric, label, after, by).verdict)
    return Note("\n".join(lines))


def group_chart(
    runs: RunSet, metric: str | None, by: str | None = None, most: int = _MOST_GROUPS
) -> Figure | Note:
    """A row a group, the best above: a dot a run, the mean, and its 95 % interval.

    A hollow dot is a run that did not finish, and does not count.
    At most ``most`` groups, the best ones; the runs of all others share a row of grey dots, whose
    label counts them. The axis is logarithmic where ``lines.fit_values`` says so.
    """
    if metric is None or metric not in runs.metric_names:
        return Note("There is no metric to compare the groups by.")
    table = compare_groups(runs, metric, by)
    if table.empty:
        return Note(f"No run of a group has a finite last value of {plain(metric)}.")
    shown, rest = table.iloc[:most], table.iloc[most:]
    labels = group_labels(runs, by)
    values = runs.metrics[metric].reindex(labels.index)
    values = values[np.abs(values) < DRAWABLE]
    counts = pd.Series(values.index.isin(settled(runs, metric).index), index=values.index)
    here = labels[values.index].isin(table.index)
    logged = labels[runs.logged.loc[labels.index, metric].to_numpy(dtype=bool)]
    absent = int(logged[~logged.isin(table.index)].nunique())
    values, counts = values[here], counts[here]
    groups = labels[values.index]
    rows = [_short(str(one)) for one in shown.index]
    title = _standing(runs, metric, table)
    figure = Figure(alt=f"{title}. A row a setting.", figsize=(9, 0.9 + 0.32 * (len(rows) + 1)))
    axes = figure.add_subplot()
    for place, (label, row) in enumerate(shown.iterrows()):
        for fill, kept in (("full", counts), ("none", ~counts)):
            mine = values[(groups == label) & kept]
            look: dict[str, Any] = {"color": COLOURS[0], "alpha": 0.7, "fillstyle": fill}
            axes.plot(mine, [place] * len(mine), "o", markersize=5, **look)
        if row["n"] > 1:
            axes.plot([row["mean"]], [place], "|", color=COLOURS[1], markersize=16, mew=2)
        if np.isfinite(row["low"]):
            ends = [row["low"], row["high"]]
            axes.plot(ends, [place, place], "-", color=COLOURS[1], linewidth=2, zorder=1)
    if len(rest):
        for fill, kept in (("full", counts), ("none", ~counts)):
            mine = values[groups.isin(rest.index) & kept]
            look = {"color": GREY, "alpha": 0.5, "fillstyle": fill}
            axes.plot(mine, [len(rows)] * len(mine), "o", markersize=4, **look)
        rows.append(f"{len(rest):,} more")
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    # Half a row of air, so that no dot lies on the frame; the best is above.
    axes.set_ylim(len(rows) - 0.5, -0.5)
    kinds = [values, shown["low"], shown["high"]]
    drawn = np.concatenate([one.to_numpy(dtype="float64", na_value=np.nan) for one in kinds])
    fit_values(axes, drawn[np.abs(drawn) < DRAWABLE], "x")
    dress(axes, title)
    what = "a dot a run"
    what += "" if counts.all() else " (hollow: not finished, not counted)"
    what += "; the mean" if (shown["n"] > 1).any() else ""
    what += " and its 95 % interval" if np.isfinite(shown["low"]).any() else ""
    noun = "setting" if absent == 1 else "settings"
    what += f"; {absent:,} {noun} without a finished, finite run not drawn" if absent else ""
    axes.set_xlabel(f"{plain(metric)}: {what}", fontsize=8, parse_math=False)
    return figure


def _of_groups(runs: RunSet, metric: str, labels: pd.Series[str]) -> pd.Series[float]:
    """The values that count of the runs that are in a group."""
    values = settled(runs, metric)
    return values[values.index.isin(labels.index)]


def _standing(runs: RunSet, metric: str, table: pd.DataFrame) -> str:
    """What the chart shows, in words."""
    name, best = plain(metric), table.iloc[0]
    if runs.direction(metric) is None or len(table) < 2:
        noun = "setting" if len(table) == 1 else "settings"
        return f"{name} of {int(table['n'].sum()):,} runs of {len(table):,} {noun}"
    how = "mean " if best["n"] > 1 else ""
    which = "lowest" if runs.direction(metric) == "min" else "highest"
    return f"{which} {how}{name} of {len(table):,} settings: {number(best['mean'])} by " + _short(
        str(table.index[0])
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """How far one group of runs is ahead of another, and whether that is more than noise.

    ``difference`` is of the means; ``share`` of the other's mean, missing where that is 0; ``sure``
    is None where nothing can be said.
    """

    difference: float
    share: float
    sure: bool | None
    verdict: str


def lead(runs: RunSet, metric: str, group: str, other: str, by: str | None = None) -> Lead:
    """How far a group is ahead of another.

    The Mann-Whitney test says whether that is noise, where there are runs enough for it to say
    anything. Where there are not, and some settings were repeated, all are taken to spread alike:
    Student's test with the variance pooled over all groups (as after an analysis of variance).
    """
    labels = group_labels(runs, by)
    values = _of_groups(runs, metric, labels)
    samples = [one.to_numpy() for _, one in values.groupby(labels[values.index])]
    mine, base = (values[labels[values.index] == one].to_numpy() for one in (group, other))
    difference = float(np.mean(mine) - np.mean(base))
    effect, p, least = rank_test(mine, base)
    sure: bool | None
    if least <= _NOISE:
        sure, verdict = _judged(p, f"Mann-Whitney, rank-biserial correlation {effect:+.2f}")
    else:
        sure, verdict = _pooled(samples, difference, len(mine), len(base))
    middle = float(np.mean(base))
    share = difference / abs(middle) if middle else float("nan")
    return Lead(difference=difference, share=share, sure=sure, verdict=verdict)


def _pooled(
    samples: Sequence[np.ndarray], difference: float, one: int, other: int
) -> tuple[bool | None, str]:
    free = sum(len(sample) - 1 for sample in samples)
    if free < _FEWEST_FREE:
        return None, (
            "Whether that is noise can't be told: too few runs repeat a setting. Run it again with "
            "other seeds."
        )
    inside = sum(float(np.sum((sample - np.mean(sample)) ** 2)) for sample in samples)
    noise = math.sqrt(inside / free)
    if not math.isfinite(noise) or noise == 0:
        return None, "Whether that is noise can't be told: repeats do not differ at all."
    t = abs(difference) / (noise * math.sqrt(1 / one + 1 / other))
    p = student_beyond(t, free)
    how = f"Student, repeats taken to differ alike in all settings, by ± {rough(noise)}"
    return _judged(p, how)


def _judged(p: float, how: str) -> tuple[bool, str]:
    said = f"(p = {p:.2g}; {how})"
    return p < _NOISE, f"More than noise {said}." if p < _NOISE else f"It may be noise {said}."


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def spread(row: pd.Series[Any]) -> str:
    """Mean and standard deviation of a row of ``compare_groups``, in words."""
    if row["n"] < 2:
        return f"{number(row['mean'])} (one run)"
    return f"{with_spread(row['mean'], row['std'])} (mean ± std of {int(row['n']):,} runs)"


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
def _interval(sample: tuple[float, ...]) -> tuple[float, float]:
    values = np.array(sample)
    if len(values) > _MOST_FOR_BOOTSTRAP:
        return students(values)
    draws = np.random.RandomState(0).randint(0, len(values), (_RESAMPLES, len(values)))
    with np.errstate(all="ignore"):  # where the acceleration can't be had, the ends are NaN
        return bootstrapped(values, draws)


def rank_test(values: np.ndarray, base: np.ndarray) -> tuple[float, float, float]:
    """The rank-biserial correlation of two samples, p of the Mann-Whitney test, and the least p."""
    # Only the order counts, so that many small groups need few tests.
    places = np.unique(np.concatenate([values, base]), return_inverse=True)[1].tolist()
    return _rank_test(tuple(sorted(places[: len(values)])), tuple(sorted(places[len(values) :])))


@lru_cache(maxsize=4096)
def _rank_test(values: tuple[int, ...], base: tuple[int, ...]) -> tuple[float, float, float]:
    one, other = len(values), len(base)
    if one == 1 or other == 1:
        return _rank_test_of_one(values, base)
    u, p = mann_whitney(values, base)
    effect = 2 * u / (one * other) - 1
    # Of all orders of the runs two are the most extreme: all of one group above the other.
    return effect, p, min(1.0, 2 / math.comb(one + other, one))


def _rank_test_of_one(values: tuple[int, ...], base: tuple[int, ...]) -> tuple[float, float, float]:
    """The same where a sample is one value: any of all values is as likely to be that one."""
    every = np.array([*values, *base])

    def above(one: int) -> float:
        return float((every < one).sum() + ((every == one).sum() - 1) / 2)

    single = values[0] if len(values) == 1 else base[0]
    mine, others = above(single), np.array([above(one) for one in every.tolist()])
    p = min(1.0, 2 * min(float((others >= mine).mean()), float((others <= mine).mean())))
    effect = 2 * mine / (len(every) - 1) - 1
    return effect if len(values) == 1 else -effect, p, min(1.0, 2 / len(every))


def _corrected(p: pd.Series[float]) -> pd.Series[float]:
    here = p.notna()
    if here.any():
        p = p.copy()
        p[here] = false_discoveries(p[here].to_numpy())
    return p


def _sets_apart(values: pd.Series[str]) -> bool:
    """Whether a param makes settings: it varies, and is no path or id."""
    return values.nunique(dropna=False) > 1 and not names_single_runs(values)


def _data(runs: RunSet) -> pd.Series[str]:
    """The data of each run that logged any: names, with digests where one name has several."""
    if runs.datasets.empty:
        return pd.Series(dtype="object")
    frame = runs.datasets.fillna({"name": "", "digest": ""})
    frame = frame.drop_duplicates(["run_id", "name", "digest"])
    several = frame.groupby("name")["digest"].transform("nunique") > 1
    shown = frame["name"].where(~several, frame["name"] + "@" + frame["digest"].str[:8])
    found: pd.Series[str] = shown.groupby(frame["run_id"]).agg(lambda one: "+".join(sorted(one)))
    return found


def _telling(params: pd.DataFrame, chosen: Sequence[Any] = ()) -> list[Any]:
    """As few columns as tell all rows apart that differ, found one by one."""
    codes = {name: pd.factorize(values)[0] + 1 for name, values in params.items()}

    def split(kinds: np.ndarray, name: Any) -> np.ndarray:
        """Kinds of rows, numbered from 0, with those apart that differ in one more column."""
        both = kinds * (len(params) + 1) + codes[name]
        return np.unique(both, return_inverse=True)[1]

    chosen = list(chosen)
    nothing = np.zeros(len(params), dtype="int64")
    kinds, every = reduce(split, chosen, nothing), reduce(split, codes, nothing)
    while kinds.max(initial=0) < every.max(initial=0):
        finer = {name: split(kinds, name) for name in codes if name not in chosen}
        chosen.append(max(finer, key=lambda name: finer[name].max()))
        kinds = finer[chosen[-1]]
    return [name for name in params.columns if name in chosen]


def _joined(params: pd.DataFrame) -> list[str]:
    """``name=value, ...`` of each row, without what it lacks."""
    columns = [
        [
            f"{plain(str(name))}={plain(one, _VALUE)}" if isinstance(one, str) else ""
            for one in values
        ]
        for name, values in params.items()
    ]
    if not columns:
        return ["all"] * len(params)
    nothing = f"no {plain(str(params.columns[0]))}"
    return [
        ", ".join(part for part in row if part) or nothing for row in zip(*columns, strict=True)
    ]
