"""Which params differ between runs, and which are the same in all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from qualia_lab.analysis.labels import distinct, number, plain, run_labels
from qualia_lab.analysis.show import Note, Report
from qualia_lab.analysis.values import best_order, last_values, require_two
from qualia_lab.model import RunSet
from qualia_lab.text import parse_number

_MOST_RUNS = 12
_MOST_ROWS = 60
_NAME = 60
_VALUE = 40
_SAME = 300
_PREFIX = re.compile(r"^(.+)[./]([^./]+)$")


def differing_params(runs: RunSet) -> pd.DataFrame:
    """Parameters whose values differ between runs.

    A row a parameter, a column a run, in the order of ``runs``. Values that all parse as finite
    numbers are shown as numbers; a run that did not log a parameter shows ``<NA>``.

    Raises:
        TooFewRunsError: fewer than two runs.
    """
    require_two(runs)
    labels = run_labels(runs)
    rows = {plain(name, _NAME): _as_numbers(runs.params[name]) for name in _differing(runs)}
    columns = pd.Index([labels[run] for run in runs.runs.index], name="param")
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype="object")


def what_differs(runs: RunSet, metric: str | None = None) -> Report | Note:
    """The params that differ, side by side, and in one line those that are the same in all runs.

    Up to 12 runs have a column each, the best by ``metric`` first. Of more, each param has a row:
    how many values it has, from where to where (or the most frequent ones), in how many runs it was
    logged, and what the best run has; those that some runs logged, all with one value, are in a
    line. Names with a common beginning up to a dot or slash stand
    together. Past 60 params the rest are counted.

    Raises:
        TooFewRunsError: fewer than two runs.
    """
    require_two(runs)
    differing = sorted(_differing(runs), key=lambda name: runs.params[name].nunique() < 2)
    wide = len(runs) <= _MOST_RUNS
    single = [] if wide else [name for name in differing if runs.params[name].nunique() < 2]
    names = differing[: len(differing) - len(single)]
    shown = _grouped(names[:_MOST_ROWS])
    same = " ".join(one for one in (_partly(runs, single), _same(runs, differing)) if one)
    if not names:
        return Note(f"No param differs between these {len(runs):,} runs. {same}".strip())
    order = best_order(runs, metric)
    table = _side_by_side(runs, shown, order) if wide else _ranges(runs, shown, order, metric)
    table.index = _headed(shown)
    cut = f": {len(shown)} of {len(names):,}" if len(names) > len(shown) else ""
    return Report([(f"Params that differ{cut}", table)], same)


def _differing(runs: RunSet) -> list[str]:
    return [str(name) for name in runs.params if runs.params[name].nunique(dropna=False) > 1]


def _partly(runs: RunSet, single: Sequence[str]) -> str:
    """The params that have one value and that not all runs logged, in one line."""
    return f"Logged by some runs only ({len(single):,}): {_line(runs, single)}." if single else ""


def _same(runs: RunSet, differing: Sequence[str]) -> str:
    """The params that are the same in every run, in one line."""
    differs = set(differing)
    constants = [str(name) for name in runs.params if name not in differs]
    return (
        f"The same in all runs ({len(constants):,}): {_line(runs, constants)}" if constants else ""
    )


def _line(runs: RunSet, names: Sequence[str]) -> str:
    """``name=value, ...``, each with the first value that was logged."""
    values = [str(runs.params[name].dropna().iloc[0]) for name in names]
    pairs = zip(names, values, strict=True)
    line = ", ".join(f"{plain(name, _NAME)}={plain(value, _VALUE)}" for name, value in pairs)
    return line if len(line) <= _SAME else line[:_SAME].rsplit(", ", 1)[0] + ", …"


def _grouped(names: Sequence[str]) -> list[str]:
    """The names with those of one beginning together, in the order of their first."""
    firsts: dict[str, int] = {}
    for place, name in enumerate(names):
        firsts.setdefault(_prefix(name), place)
    return sorted(names, key=lambda name: firsts[_prefix(name)])


def _prefix(name: str) -> str:
    found = _PREFIX.match(name)
    return found[1] if found else ""


def _headed(names: Sequence[str]) -> pd.Index[Any]:
    """An index that writes a common beginning once; a plain one where no two names share any."""
    beginnings = [_prefix(name) for name in names]
    shared = {one for one in beginnings if one and beginnings.count(one) > 1}
    if not shared:
        return pd.Index(distinct([plain(name, _NAME) for name in names]))
    pairs = [
        (plain(start, _NAME), plain(name[len(start) + 1 :], _NAME))
        if start in shared
        else ("", plain(name, _NAME))
        for start, name in zip(beginnings, names, strict=True)
    ]
    return pd.MultiIndex.from_tuples(pairs)


def _side_by_side(runs: RunSet, names: Sequence[str], order: Sequence[str]) -> pd.DataFrame:
    labels = run_labels(runs)
    rows = [
        [
            "" if value is pd.NA else _text(value)
            for value in _as_numbers(runs.params[name].reindex(list(order)))
        ]
        for name in names
    ]
    return pd.DataFrame(rows, columns=[labels[one] for one in order], dtype="object")


def _ranges(
    runs: RunSet, names: Sequence[str], order: Sequence[str], metric: str | None
) -> pd.DataFrame:
    known = metric is not None and runs.direction(metric) and len(last_values(runs, metric))
    rows = []
    for name in names:
        values = runs.params[name]
        row = [values.nunique(), _range(values), int(values.notna().sum())]
        mine = values.get(order[0])
        rows.append([*row, plain(mine, _VALUE)] if known else row)
    columns = ["values", "range", "runs", *(["best run"] if known else [])]
    return pd.DataFrame(rows, columns=columns)


def _range(values: pd.Series[str]) -> str:
    """From where to where numbers go; of anything else the most frequent values."""
    numbers = [one for one in _as_numbers(values) if isinstance(one, int | float)]
    if numbers:
        return f"{_text(min(numbers))} … {_text(max(numbers))}"
    counts = values.value_counts()
    shown = ", ".join(f"{plain(str(one), 24)} ({count:,})" for one, count in counts.head(3).items())
    return shown + (", …" if len(counts) > 3 else "")


def _text(value: object) -> str:
    # An integer of any length is written as it is; no float could hold it.
    if isinstance(value, float):
        return number(value)
    return plain(str(value), _VALUE) if isinstance(value, int) else str(value)


def _as_numbers(values: pd.Series[str]) -> list[object]:
    """The values as numbers when every one that is there is a finite one, else as they are."""
    here = [value for value in values if isinstance(value, str)]
    parsed = [parse_number(value) for value in here]
    if all(one is not None for one in parsed):
        return [parse_number(one) if isinstance(one, str) else pd.NA for one in values]
    return [plain(one, _VALUE) if isinstance(one, str) else pd.NA for one in values]
