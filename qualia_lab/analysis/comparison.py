"""Two runs and more, side by side."""

from __future__ import annotations

import html
import math
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from qualia_lab.analysis.labels import number, plain, run_labels
from qualia_lab.directions import direction
from qualia_lab.errors import TooFewRunsError
from qualia_lab.model import RunSet
from qualia_lab.text import parse_number

_MOST_RUNS = 12
_BEST_MARK = "★"


def differing_params(runs: RunSet) -> pd.DataFrame:
    """Parameters whose values differ between runs.

    A row a parameter, a column a run, in the order of ``runs``. Values that all parse as finite
    numbers are shown as numbers; a run that did not log a parameter shows ``<NA>``.

    Raises:
        TooFewRunsError: fewer than two runs.
    """
    _require_two(runs)
    labels = run_labels(runs)
    rows: dict[str, list[object]] = {}
    for name in runs.params.columns:
        values = runs.params[name]
        if values.nunique(dropna=False) > 1:
            rows[plain(name, 60)] = _as_numbers(values)
    columns = pd.Index([labels[run] for run in runs.runs.index], name="param")
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype="object")


def compare_metrics(runs: RunSet) -> pd.DataFrame:
    """The last value of each metric, side by side.

    A row a metric (system metrics last), a column a run, in the order of ``runs``; NaN where a run
    logged NaN, ``<NA>`` where it did not log the metric.

    Raises:
        TooFewRunsError: fewer than two runs.
    """
    _require_two(runs)
    labels = run_labels(runs)
    names = sorted(runs.metric_names, key=lambda name: (name.startswith("system/"), name))
    values = runs.metrics[names].to_numpy(dtype="float64")
    logged = runs.logged[names].to_numpy(dtype=bool)
    columns = {
        labels[run_id]: pd.arrays.FloatingArray(values[row].copy(), ~logged[row])
        for row, run_id in enumerate(runs.runs.index)
    }
    return pd.DataFrame(columns, index=pd.Index(names)).rename_axis(columns="metric")


def mark_best(table: pd.DataFrame, metric: str | None = None) -> Styler:
    """A table of ``compare_metrics`` with the best value of each row in bold with a star.

    Rows whose name does not tell whether more or less is better have no star. Past 12 runs only
    the 12 best by ``metric`` are shown, and the caption says so; the table itself stays whole.
    """
    shown, caption = _best_columns(table, metric)
    best = {name: _best_value(table.loc[name], direction(str(name))) for name in shown.index}
    cells = pd.DataFrame(
        [[_cell(value, best[name]) for value in row] for name, row in shown.iterrows()],
        index=pd.Index([plain(str(name), 60) for name in shown.index]),
        columns=shown.columns,
    )
    # Unique labels are what Styler needs; two metrics may look alike once they are cut.
    cells.index = pd.Index(_distinct(list(cells.index)))
    styler = cells.style.set_uuid("best").set_caption(html.escape(caption))
    # Each of the three has to be told: Styler escapes nothing by itself.
    styler.format(escape="html").format_index(escape="html", axis=0)
    styler.format_index(escape="html", axis=1)
    styler.set_table_attributes('class="tex2jax_ignore mathjax_ignore"')
    return styler.map(lambda cell: "font-weight: bold" if _BEST_MARK in str(cell) else "")


def _best_columns(table: pd.DataFrame, metric: str | None) -> tuple[pd.DataFrame, str]:
    caption = f"Last values; {_BEST_MARK} best of the row"
    if table.shape[1] <= _MOST_RUNS:
        return table, caption
    way = direction(metric) if metric is not None else None
    if metric in table.index and way:
        values = dict(zip(table.columns, table.loc[[metric]].iloc[0], strict=True))
        finite = {run: one for run, one in values.items() if _is_finite(one)}
        order = sorted(finite, key=lambda run: finite[run], reverse=way == "max")
        order += [run for run in table.columns if run not in finite]
        which = f"the best by {plain(metric)}"
    else:
        order = list(table.columns)
        which = "the first"
    kept = order[:_MOST_RUNS]
    caption += f" over all runs; {len(kept)} of {table.shape[1]:,} runs shown, {which}"
    return table[kept], caption


def _best_value(row: pd.Series[float], way: str | None) -> float | None:
    finite = [value for value in row if _is_finite(value)]
    if way is None or len(finite) < 2 or min(finite) == max(finite):
        return None
    return min(finite) if way == "min" else max(finite)


def _is_finite(value: Any) -> bool:
    return value is not pd.NA and math.isfinite(value)


def _cell(value: Any, best: float | None) -> str:
    if value is pd.NA:
        return ""
    return f"{number(value)} {_BEST_MARK}" if value == best else number(value)


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


def _as_numbers(values: pd.Series[str]) -> list[object]:
    """The values as numbers when every one that is there is a finite one, else as they are."""
    here = [value for value in values if isinstance(value, str)]
    parsed = [parse_number(value) for value in here]
    if all(one is not None for one in parsed):
        return [parse_number(one) if isinstance(one, str) else pd.NA for one in values]
    return [plain(one, 60) if isinstance(one, str) else pd.NA for one in values]


def _require_two(runs: RunSet) -> None:
    if len(runs) < 2:
        raise TooFewRunsError(f"a comparison needs two runs; {len(runs)} loaded")
