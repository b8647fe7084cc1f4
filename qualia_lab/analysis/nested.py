"""Nested runs: the tree of parents and children, and which parent has the best of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain, rough, run_labels
from qualia_lab.analysis.show import Note
from qualia_lab.analysis.values import last_values
from qualia_lab.model import RunSet

# As many as pandas shows without leaving out the middle.
_MOST_ROWS = 60
# How many children of each run are shown, tried in turn until the rows are few enough.
_MOST_CHILDREN = (50, 20, 10, 5, 3, 1)
_DEEPEST_INDENT = 12
_COLUMNS = ("status", "children", "best below", "by", "depth")
_NOT_LOADED = "not loaded"
_ID_CHARACTERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tree:
    """The runs that have a parent or a child, and the parents that they name.

    Attributes:
        roots: ids without a parent, the best first; a run whose line of parents leads back to
            itself has lost that parent, and is among ``cut``.
        children: id -> its children, the best first.
        below: id -> the best of all runs below it and its value.
    """

    roots: Sequence[str]
    children: Mapping[str, Sequence[str]]
    below: Mapping[str, tuple[str, float]]
    cut: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()


class _Row(NamedTuple):
    """A line of the table: a run, or how many ``more`` its parent has."""

    run: str
    depth: int
    lines: str
    more: int = 0


def run_tree(runs: RunSet, metric: str | None = None) -> pd.DataFrame | Note:
    """The runs that are nested, each under its parent.

    Args:
        runs: the runs; those that have neither parent nor child are left out, and the corner of the
            table says how many.
        metric: shown for each run; where ``runs.direction`` knows which end is better, the best of
            the children, by their own value or the best below them, come first.

    Returns:
        Indexed by label, with lines that show what belongs to what: ``status`` (``not loaded`` for
        a parent that is not among the runs); ``children``, how many a run has itself; the last
        value of the metric, ``<NA>`` where it was not logged; ``best below``, the best finite
        value among all runs below, and ``by``, which has it; ``depth``, 0 for a run at the top. At
        most 60 rows: of each run then only the first children are shown, and a row says how many
        more there are. Runs that name each other or themselves as parent are shown once, the first
        of them at the top, marked with ``↻``. A note where no run is nested.
    """
    tree = _tree(runs, metric)
    if tree is None:
        return Note("None of these runs is nested in another.")
    labels = run_labels(runs)
    rows = _rows(tree)
    shown = rows[:_MOST_ROWS]
    ids = [row.run for row in shown]
    counts = [None if row.more else len(tree.children.get(row.run, ())) for row in shown]
    table = pd.DataFrame(
        {
            "status": [_status(runs, tree, row) for row in shown],
            "children": pd.array(counts, dtype="Int64"),
        },
        index=pd.Index([row.lines + _label(labels, tree, row.run, row.more) for row in shown]),
    )
    if metric is not None and metric in runs.metric_names:
        logged = runs.logged[metric].reindex(ids, fill_value=False).to_numpy(dtype=bool)
        values = runs.metrics[metric].reindex(ids).to_numpy(dtype="float64", copy=True)
        name = plain(metric)
        name = f"{name} (metric)" if name in _COLUMNS else name
        table[name] = pd.arrays.FloatingArray(values, ~logged)
        if runs.direction(metric):
            best = [tree.below.get(run) for run in ids]
            found = np.array([one[1] if one else 0.0 for one in best])
            table["best below"] = pd.arrays.FloatingArray(
                found, np.array([not one for one in best])
            )
            table["by"] = [labels[one[0]] if one else "" for one in best]
    table["depth"] = [row.depth for row in shown]
    return table.rename_axis(columns=_corner(len(runs) - len(tree.loaded), len(rows) - len(shown)))


def tree_note(runs: RunSet, metric: str | None = None) -> Note:
    """Which parent has the best run below it, and which is next; without a metric, how many."""
    tree = _tree(runs, metric)
    if tree is None:
        return Note("None of these runs is nested in another.")
    parents = [run for run in tree.children if tree.children[run]]
    nested = sum(len(tree.children[run]) for run in parents)
    have = f"{_count(nested, 'run is', 'runs are')} nested in {_count(len(parents), 'parent')}"
    most = metric is not None and runs.direction(metric) == "max"
    ranked = sorted(
        (run for run in tree.roots if run in tree.below),
        key=lambda run: tree.below[run][1],
        reverse=most,
    )
    if metric is None or not ranked:
        return Note(f"{have}.")
    labels = run_labels(runs)
    run, value = tree.below[ranked[0]]
    label = _label(labels, tree, ranked[0])
    line = f"{have}; the best {plain(metric)} is in {label}: {rough(value)} by {labels[run]}"
    if len(ranked) > 1:
        value = tree.below[ranked[1]][1]
        line += f" (next: {rough(value)} in {_label(labels, tree, ranked[1])})"
    return Note(f"{line}.")


def _count(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _tree(runs: RunSet, metric: str | None) -> _Tree | None:
    """The tree, or None where no run has a parent but itself."""
    ids = [str(run) for run in runs.runs.index]
    here = set(ids)
    parent = {
        run: one
        for run, one in zip(ids, runs.runs["parent"], strict=True)
        if isinstance(one, str) and one
    }
    cut = _first_of_cycles(ids, parent)
    for run in cut:
        del parent[run]
    children: dict[str, list[str]] = {}
    for run, one in parent.items():
        children.setdefault(one, []).append(run)
    if not children:
        return None
    order = [run for run in ids if run in parent or run in children or run in cut]
    strangers = [one for one in children if one not in here]
    roots = [run for run in [*order, *strangers] if run not in parent]
    below, rank = _ranks(runs, metric, roots, children)
    for several in [roots, *children.values()]:
        several.sort(key=lambda run: rank[run])
    return _Tree(
        roots=roots,
        children=children,
        below=below,
        cut=frozenset(cut),
        loaded=frozenset(order),
    )


def _first_of_cycles(ids: Sequence[str], parent: Mapping[str, str]) -> list[str]:
    """Of each round of runs that are each the parent of the next, the one that is first."""
    place = {run: row for row, run in enumerate(ids)}
    seen: dict[str, int] = {}
    found = []
    for walk, start in enumerate(ids):
        run, path = start, []
        while run in parent and run not in seen:
            seen[run] = walk
            path.append(run)
            run = parent[run]
        if run in parent and seen[run] == walk and path:
            found.append(min(path[path.index(run) :], key=lambda one: place[one]))
    return found


def _ranks(
    runs: RunSet,
    metric: str | None,
    roots: Sequence[str],
    children: Mapping[str, Sequence[str]],
) -> tuple[dict[str, tuple[str, float]], dict[str, float]]:
    """The best below each run, and a number by which runs are sorted, the least first."""
    way = runs.direction(metric) if metric is not None else None
    sign = {"min": 1.0, "max": -1.0, None: math.nan}[way]
    own = last_values(runs, metric).to_dict() if metric is not None and way else {}
    down = list(roots)
    for run in down:  # grows while it is walked: parents stand before their children
        down.extend(children.get(run, ()))
    below: dict[str, tuple[str, float]] = {}
    rank: dict[str, float] = {}
    for run in reversed(down):
        found = []
        for child in children.get(run, ()):
            if child in own:
                found.append((child, own[child]))
            if child in below:
                found.append(below[child])
        if found:
            below[run] = min(found, key=lambda one: sign * one[1])
        candidates = [sign * own[run]] if run in own else []
        candidates += [sign * below[run][1]] if run in below else []
        rank[run] = min(candidates, default=math.inf)
    return below, rank


def _rows(tree: _Tree) -> list[_Row]:
    """Every row, or those of the first children of each run where there are too many."""
    for most in (_MOST_ROWS, *_MOST_CHILDREN):
        rows = _walk(tree, most)
        if len(rows) <= _MOST_ROWS:
            break
    return rows


def _walk(tree: _Tree, most: int) -> list[_Row]:
    rows: list[_Row] = []
    # By a list of what is left to do: runs can be nested deeper than functions can.
    left = [_Row(run, 0, "") for run in reversed(tree.roots)]
    while left:
        row = left.pop()
        rows.append(row)
        if row.more:
            continue
        children = tree.children.get(row.run, ())
        shown = children[:most] if len(children) > most + 1 else children
        more = len(children) - len(shown)
        depth = row.depth + 1
        indent = "\u00a0\u00a0\u00a0" * (min(depth, _DEEPEST_INDENT) - 1)
        below = [_Row(child, depth, f"{indent}├\u00a0") for child in shown]
        if more:
            below.append(_Row("", depth, f"{indent}└\u00a0", more))
        elif below:
            below[-1] = below[-1]._replace(lines=f"{indent}└\u00a0")
        left.extend(reversed(below))
    return rows


def _label(labels: Mapping[str, str], tree: _Tree, run: str, more: int = 0) -> str:
    if more:
        return f"… and {more:,} more"
    label = labels[run] if run in labels else f"({plain(run, _ID_CHARACTERS)})"
    return f"{label} ↻" if run in tree.cut else label


def _status(runs: RunSet, tree: _Tree, row: _Row) -> str:
    if row.more:
        return ""
    return plain(runs.runs.at[row.run, "status"]) if row.run in tree.loaded else _NOT_LOADED


def _corner(alone: int, more: int) -> str:
    said = [f"{alone:,} that are not nested left out"] if alone else []
    said += [f"{more:,} rows more"] if more else []
    return f"run ({'; '.join(said)})" if said else "run"
