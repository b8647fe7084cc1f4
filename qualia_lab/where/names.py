"""The names in a condition, and the columns that they stand for."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from qualia_lab.directions import direction
from qualia_lab.errors import UsageError, known_list
from qualia_lab.text import visible
from qualia_lab.where.faults import HINT, wrong
from qualia_lab.where.values import Flags, Numbers, Texts, Value, texts_of

if TYPE_CHECKING:
    from qualia_lab.model import RunSet

_TEXTS = (
    "name", "experiment", "status", "user", "parent", "source", "commit", "dataset", "run_id",
)  # fmt: skip
_TIMES = ("started", "ended")
_SPANS = ("duration",)
_ATTRIBUTES = (*_TEXTS, *_TIMES, *_SPANS)
_GROUPS = ("params", "metrics", "tags")
OF_METRIC = ("best", "min", "max", "first", "last", "isnan")


class Names:
    """What ``params.lr``, ``name`` or ``best(metrics.loss)`` is, for these runs."""

    def __init__(self, text: str, runs: RunSet) -> None:
        self._text = text
        self._runs = runs

    def column(self, node: ast.expr) -> Value:
        """What a name stands for; raises ``UsageError`` for one that no run has."""
        group, key = self._named(node)
        if not group:
            return self._attribute(key)
        frame = getattr(self._runs, group)
        if key not in frame.columns:
            noun = group.removesuffix("s")
            known = known_list(key, self._keys(group))
            raise self._wrong(node, f"no run has a {noun} {visible(key, 60)}", hint=known)
        if group == "metrics":
            here = self._runs.logged[key].to_numpy(dtype=bool)
            return Numbers(frame[key].to_numpy(dtype=float), here)
        return Texts(texts_of(frame[key]))

    def _named(self, node: ast.expr) -> tuple[str, str]:
        """The group and the key of ``params.a.b`` or ``params["a"]``; no group for ``name``."""
        if isinstance(node, ast.Name):
            if node.id in _ATTRIBUTES:
                return "", node.id
            if node.id in _GROUPS:
                raise self._wrong(node, f"which of the {node.id}? Write {node.id}.NAME")
            meant = [f"{group}.{node.id}" for group in _GROUPS if node.id in self._keys(group)]
            known = known_list(node.id, (*_ATTRIBUTES, *(f"{group}.NAME" for group in _GROUPS)))
            hint = f"Write {' or '.join(meant)}." if meant else known
            raise self._wrong(node, f"no {visible(node.id, 60)}", hint=hint)
        parts: list[str] = []
        inner = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in _GROUPS and parts:
            return inner.id, ".".join(parts)
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and node.value.id in _GROUPS
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            return node.value.id, node.slice.value
        raise self._wrong(node, "is not allowed in a condition")

    def _keys(self, group: str) -> list[str]:
        return [str(one) for one in getattr(self._runs, group).columns]

    def _attribute(self, name: str) -> Value:
        import numpy as np

        runs = self._runs.runs
        if name == "run_id":
            return Texts([str(one) for one in runs.index])
        column = runs[name]
        if name in _TEXTS:
            return Texts(texts_of(column))
        here = column.notna().to_numpy()
        unit = "time" if name in _TIMES else "span"
        kind = "datetime64[ms]" if unit == "time" else "timedelta64[ms]"
        plain = column.dt.tz_localize(None) if unit == "time" else column
        values = plain.to_numpy().astype(kind).astype(np.int64).astype(float)
        return Numbers(values, here, unit)

    def of_metric(self, node: ast.Call, name: str) -> Value:
        """A function of all points of a metric, called by its name."""
        import numpy as np

        if name not in OF_METRIC:
            known = known_list(name, OF_METRIC)
            raise self._wrong(node, f"no function {visible(name, 60)}", hint=known)
        argument = node.args[0] if len(node.args) == 1 else None
        if not isinstance(argument, ast.Attribute | ast.Subscript):
            raise self._wrong(node, f"{name} takes one metric: {name}(metrics.NAME)")
        value = self.column(argument)
        group, metric = self._named(argument)
        if group != "metrics" or not isinstance(value, Numbers):
            raise self._wrong(node, f"{name} takes one metric: {name}(metrics.NAME)")
        if name == "isnan":
            return Flags(value.here & np.isnan(value.values))
        if name == "last":
            return value
        which = direction(metric) if name == "best" else name
        if which is None:
            raise self._wrong(node, f"whether more of {visible(metric, 60)} is better is not known",
                         hint="Write min(...) or max(...).")  # fmt: skip
        points = self._runs.history(metric)
        points = points if which == "first" else points[points["value"].notna()]
        of_run = points.groupby("run_id", sort=False)["value"].agg(
            (lambda curve: curve.iloc[0]) if which == "first" else which
        )
        values = of_run.reindex(self._runs.runs.index)
        here = self._runs.runs.index.isin(of_run.index)
        return Numbers(values.to_numpy(dtype=float), here)

    def _wrong(self, node: ast.AST, what: str, hint: str = HINT) -> UsageError:
        return wrong(self._text, node, what, hint)
