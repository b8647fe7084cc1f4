"""The metrics of two runs and more, side by side."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import distinct, find_run, number, plain, rough, run_labels
from qualia_lab.analysis.show import Note
from qualia_lab.analysis.values import best_order, last_values, require_two
from qualia_lab.directions import is_system, ranked
from qualia_lab.errors import NotFoundError, known_list
from qualia_lab.model import RunSet
from qualia_lab.text import visible

_MOST_RUNS = 12
_MOST_ROWS = 60
_NAME = 60
_BEST_MARK = "★"
_OF_HISTORY = ("best", "min", "max")


def compare_metrics(
    runs: RunSet, value: Literal["last", "best", "min", "max"] = "last"
) -> pd.DataFrame:
    """One value of each metric, side by side.

    Args:
        runs: the runs.
        value: ``"last"``; or over the finite points of its history the ``"min"``, the ``"max"`` or
            the ``"best"`` of them (missing where it is not known which is better).

    Returns:
        A row a metric (system metrics last), a column a run, in the order of ``runs``; NaN where a
        run logged NaN, ``<NA>`` where it did not log the metric.

    Raises:
        TooFewRunsError: fewer than two runs.
        NotFoundError: no such ``value``.
    """
    require_two(runs)
    labels = run_labels(runs)
    names = sorted(runs.metric_names, key=lambda name: (is_system(name), name))
    values = runs.metrics[names].to_numpy(dtype="float64")
    logged = runs.logged[names].to_numpy(dtype=bool)
    if value != "last":
        values = _of_history(runs, names, value)
        logged = logged & ~np.isnan(values)
    columns = {
        labels[run_id]: pd.arrays.FloatingArray(values[row].copy(), ~logged[row])
        for row, run_id in enumerate(runs.runs.index)
    }
    return pd.DataFrame(columns, index=pd.Index(names)).rename_axis(columns="metric")


def differences(runs: RunSet, baseline: str | None = None) -> pd.DataFrame:
    """The last value of each metric less that of the baseline run; in the shape of
    ``compare_metrics``, without the baseline's own column.

    Args:
        runs: the runs.
        baseline: a run id, the start of one, or a name; by default ``default_baseline``.

    Raises:
        TooFewRunsError: fewer than two runs.
        NotFoundError: no such run.
    """
    table = compare_metrics(runs)
    base = run_labels(runs)[_baseline(runs, baseline)]
    with np.errstate(all="ignore"):  # the difference of two infinities is NaN, and that is that
        return table.drop(columns=base).sub(table[base], axis=0)


def default_baseline(runs: RunSet) -> str:
    """The run that started first of those that logged a metric: what came later is measured by it.

    Of all runs where none logged a metric or none has a time of start.
    """
    started = runs.runs.loc[runs.logged.any(axis=1).to_numpy(dtype=bool), "started"].dropna()
    if started.empty:
        started = runs.runs["started"].dropna()
    return str(started.sort_values(kind="stable").index[0] if len(started) else runs.runs.index[-1])


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Cells of one or two lines, those with a star in bold, under a caption.

    ``data`` are the texts, a row a metric. A Styler of pandas, with the templates that it compiles,
    takes longer than all else that this table takes.
    """

    data: pd.DataFrame
    caption: str

    def __repr__(self) -> str:
        lines = self.data.map(lambda cell: cell.replace("\n", "; "))
        return f"{self.caption}\n{lines.to_string()}"

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self) -> str:
        """The table as HTML in which every text is escaped."""
        heads = "".join(f"<th>{html.escape(str(one))}</th>" for one in self.data.columns)
        rows = "\n".join(
            f"    <tr><th>{html.escape(str(name))}</th>{''.join(map(_cell, row))}</tr>"
            for name, row in zip(self.data.index, self.data.to_numpy(), strict=True)
        )
        return (
            '<table class="tex2jax_ignore mathjax_ignore">\n'
            f"  <caption>{html.escape(self.caption)}</caption>\n"
            f"  <thead>\n    <tr><th>&nbsp;</th>{heads}</tr>\n  </thead>\n"
            f"  <tbody>\n{rows}\n  </tbody>\n</table>"
        )


def _cell(text: str) -> str:
    bold = "; font-weight: bold" if _BEST_MARK in text else ""
    look = f"white-space: pre-line; text-align: right{bold}"
    # A star alone on a line, as in a narrow column, would be taken for one of the line below.
    shown = html.escape(text).replace(f" {_BEST_MARK}", f"&nbsp;{_BEST_MARK}")
    return f'<td style="{look}">{shown}</td>'


def metrics_side_by_side(
    runs: RunSet, metric: str | None = None, baseline: str | None = None
) -> SideBySide | Note:
    """Last values as people read them: the best of a row starred, each run's difference to the
    baseline below its value, with sign and percent.

    Rows whose better end is not known have no star. At most 12 runs, the best by ``metric`` first
    and the baseline among them, and 60 metrics that one of these logged, those that tell runs apart
    best first; no system metrics, but for ``metric``. The caption says what is left out;
    ``compare_metrics`` and ``differences`` give all of it.

    Raises:
        TooFewRunsError: fewer than two runs.
        NotFoundError: no such baseline.
    """
    require_two(runs)
    if all(is_system(name) and name != metric for name in runs.metric_names):
        return Note("None of these runs logged a metric of its own.")
    base = _baseline(runs, baseline)
    order = best_order(runs, metric)
    kept = order[:_MOST_RUNS]
    if base not in kept:
        kept[-1] = base
    counts = {str(one): int(count) for one, count in runs.logged.sum(axis=0).items()}
    names = ranked({name: count for name, count in counts.items() if not is_system(name)})
    if metric in counts:
        names = [str(metric), *(name for name in names if name != metric)]
    here = runs.logged.loc[kept].any(axis=0)
    shown = [name for name in names if here[name]][:_MOST_ROWS]
    rows = [_row(runs, name, kept, base) for name in shown]
    labels = run_labels(runs)
    headings = [f"{labels[one]} (baseline)" if one == base else labels[one] for one in kept]
    cells = pd.DataFrame(
        rows, index=pd.Index([plain(one, _NAME) for one in shown]), columns=headings
    )
    # Two metrics may look alike once they are cut.
    cells.index = pd.Index(distinct(list(cells.index)))
    return SideBySide(cells, _caption(runs, metric, len(kept), len(shown), len(counts)))


def metric_at_best(runs: RunSet, metric: str | None, most: int = 20) -> pd.DataFrame | Note:
    """One metric over the whole course of each run, the best last value first.

    Returns:
        A row a run that logged it, at most ``most``: ``last``, ``best`` (empty where it is not
        known which end is), ``at step``, ``min``, ``max``, number of ``points``; the axis says how
        many of how many. Histories are read for these runs only.
    """
    if metric is None or metric not in runs.metric_names:
        return Note("There is no metric to follow.")
    logged = {str(one) for one in runs.logged.index[runs.logged[metric]]}
    order = [one for one in best_order(runs, metric) if one in logged]
    points = runs.history(metric, run_ids=order[:most])
    way = runs.direction(metric)
    labels = run_labels(runs)
    of_run = points["run_id"].to_numpy(dtype=object)
    values, steps = points["value"].to_numpy(), points["step"].to_numpy()
    rows = {}
    for run_id in order[:most]:
        mine = np.flatnonzero(of_run == run_id)
        finite = mine[np.isfinite(values[mine])]
        last = float(runs.metrics[metric][run_id])
        if not len(finite):
            rows[labels[run_id]] = [last, "", "", float("nan"), float("nan"), len(mine)]
            continue
        low, high = finite[values[finite].argmin()], finite[values[finite].argmax()]
        place = {"min": low, "max": high, None: None}[way]
        best = "" if place is None else values[place]
        step = "" if place is None else steps[place]
        rows[labels[run_id]] = [last, best, step, values[low], values[high], len(mine)]
    columns = ["last", "best", "at step", "min", "max", "points"]
    of = f" ({len(rows):,} of {len(order):,} runs)" if len(rows) < len(order) else ""
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis(columns=f"{plain(metric, _NAME)}{of}")


def _baseline(runs: RunSet, baseline: str | None) -> str:
    return default_baseline(runs) if baseline is None else find_run(runs, baseline)


def _of_history(runs: RunSet, names: Sequence[str], value: str) -> np.ndarray:
    """The extremes of every history in the shape of ``runs.metrics[names]``, NaN where unknown."""
    if value not in _OF_HISTORY:
        raise NotFoundError(
            f"no value {visible(value, _NAME)} of a metric",
            hint=known_list(value, ("last", *_OF_HISTORY)),
        )
    points = runs.history(list(names))
    points = points[np.isfinite(points["value"])]
    grouped = points.groupby(["run_id", "metric"])["value"]
    ends = {
        end: getattr(grouped, end)().unstack().reindex(index=runs.runs.index, columns=list(names))
        for end in ("min", "max")
    }
    if value != "best":
        return np.asarray(ends[value], dtype="float64")
    nothing = pd.Series(float("nan"), index=runs.runs.index)
    ways: Mapping[str, str | None] = {name: runs.direction(name) for name in names}
    best = [nothing if (way := ways[name]) is None else ends[way][name] for name in names]
    return np.column_stack(best).astype("float64") if best else np.empty((len(runs), 0))


def _row(runs: RunSet, metric: str, run_ids: Sequence[str], base: str) -> list[str]:
    """The cells of one metric: the value, a star on the best of all runs, the difference below."""
    values, logged = runs.metrics[metric], runs.logged[metric]
    finite = last_values(runs, metric)
    way = runs.direction(metric)
    tells = way is not None and finite.nunique() > 1
    best = (finite.min() if way == "min" else finite.max()) if tells else None
    cells = []
    for run_id in run_ids:
        if not logged[run_id]:
            cells.append("")
            continue
        value = float(values[run_id])
        shown = f"{number(value)} {_BEST_MARK}" if value == best else number(value)
        if run_id != base and logged[base]:
            shown += _against(value, float(values[base]))
        cells.append(shown)
    return cells


def _against(value: float, base: float) -> str:
    difference = value - base
    if not math.isfinite(difference):
        return ""
    if abs(difference) <= 1e-12 * abs(base):  # no more than the last digits of a float
        return "\n= baseline"
    share = difference / abs(base) if base else float("inf")
    percent = f", {share:+.1%}" if abs(share) < 100 else ""
    sign = "+" if difference > 0 else "-"
    return f"\n{sign}{rough(abs(difference))}{percent}"


def _caption(runs: RunSet, metric: str | None, kept: int, rows: int, of_rows: int) -> str:
    parts = [
        f"Last values; {_BEST_MARK} best of the row over all runs; below, against the baseline"
    ]
    if kept < len(runs):
        known = metric is not None and runs.direction(metric)
        which = f"the best by {plain(metric)}" if known else "the first"
        parts.append(f"{kept} of {len(runs):,} runs shown, {which} and the baseline")
    if rows < of_rows:
        system = any(is_system(name) for name in runs.metric_names)
        where = "; system metrics have a section of their own" if system else ""
        parts.append(f"{rows} of {of_rows:,} metrics shown{where}")
    return "; ".join(parts)
