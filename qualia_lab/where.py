"""Conditions on runs that MLflow's own filters can't say, evaluated on whole columns.

    params.lr > 0.01 and (tags.team == "a" or metrics.val_loss < 0.3) and name.startswith("abl")

The text is parsed by Python's ``ast`` and walked by the functions below, which know a few kinds of
node and refuse all others. Nothing of it is ever run as Python.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qualia_lab.directions import direction
from qualia_lab.errors import UsageError, known_list
from qualia_lab.moments import moment, span
from qualia_lab.text import parse_number, visible

if TYPE_CHECKING:
    import numpy as np

    from qualia_lab.model import RunSet

_MOST_CHARACTERS = 5_000
_TEXTS = (
    "name", "experiment", "status", "user", "parent", "source", "commit", "dataset", "run_id",
)  # fmt: skip
_TIMES = ("started", "ended")
_SPANS = ("duration",)
_ATTRIBUTES = (*_TEXTS, *_TIMES, *_SPANS)
_GROUPS = ("params", "metrics", "tags")
_METHODS = ("startswith", "endswith", "contains", "matches")
_OF_METRIC = ("best", "min", "max", "first", "last", "isnan")
_ORDERS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SAME: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class _Texts:
    """A text a run; None where the run has none."""

    values: list[str | None]


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A number a run, and whether the run has one. ``unit`` is "" or "time" or "span", in ms."""

    values: np.ndarray
    here: np.ndarray
    unit: str = ""


@dataclass(frozen=True, slots=True)
class _Flags:
    """A yes or no a run."""

    values: np.ndarray


@dataclass(frozen=True, slots=True)
class _Plain:
    """A value that stands in the condition itself."""

    value: Any


_Value = _Texts | _Numbers | _Flags | _Plain


class Where:
    """A condition on runs.

    The names are ``params``, ``metrics`` (their last values) and ``tags``, each as ``params.lr`` or
    ``params["odd name"]``, and what a run is: name, experiment, status, user, parent, source,
    commit, dataset, run_id, started, ended, duration. They are joined by ``and``, ``or``, ``not``
    and compared by ``< <= == != >= > in``, ``not in``, ``is None`` and ``is not None``.

    Params and tags are text; against a number, and by order, they count as the number that they
    spell. ``started`` and ``ended`` compare with dates, ``duration`` with seconds or ``"5m"``.
    ``name.startswith("a")``, ``.endswith``, ``.contains`` and ``.matches`` (a regular expression,
    anywhere in it) look into a text; ``best(metrics.loss)``, ``min``, ``max``, ``first``, ``last``
    look at all points of a metric; ``isnan(metrics.loss)``. A comparison with what a run does not
    have is false.

    Raises:
        UsageError: it is no such condition; the error points at the place.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split("\n")).strip()
        if len(self.text) > _MOST_CHARACTERS:
            raise UsageError(
                f"the condition has {len(self.text):,} characters, {_MOST_CHARACTERS:,} at most"
            )
        self._tree = _parsed(self.text)

    def matching(self, runs: RunSet) -> list[str]:
        """The ids of the runs that fulfil it, in their order.

        Raises:
            UsageError: it names a param, metric or tag that no run has, or compares what can't be.
        """
        try:
            found = _Walk(self.text, runs).flags(self._tree)
        except RecursionError:
            raise UsageError("the condition is nested too deeply") from None
        return [str(run) for run in runs.runs.index[found]]


def _parsed(text: str) -> ast.expr:
    if not text:
        raise UsageError("the condition is empty", hint=_HINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" is a fine regular expression
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        place = max(0, (error.offset or 1) - 1)
        # Python's own words speak of a program ("Perhaps you forgot a comma?").
        raise _refusal(text, place, place + 1, "is no condition from here on") from None
    except (ValueError, RecursionError, MemoryError):
        raise UsageError(f"{visible(text, 60)} can't be read as a condition", hint=_HINT) from None


_HINT = """Write for example: params.lr > 0.01 and name.startswith("a")
Names that are no Python names stand in brackets: params["learning-rate"]"""


def _refusal(text: str, start: int, end: int, what: str, hint: str = _HINT) -> UsageError:
    before = visible(text[:start])
    marked = visible(text[start:end]) or " "
    line = before + marked + visible(text[end:])
    return UsageError(f"{what}\n  {line}\n  {' ' * len(before)}{'^' * len(marked)}", hint=hint)


class _Walk:
    """One evaluation: the condition's nodes against the columns of these runs."""

    def __init__(self, text: str, runs: RunSet) -> None:
        self._text = text
        self._runs = runs
        self._count = len(runs)

    def flags(self, node: ast.expr) -> np.ndarray:
        """A node that must say yes or no."""
        import numpy as np

        if isinstance(node, ast.BoolOp):
            parts = [self.flags(one) for one in node.values]
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            found: np.ndarray = join.reduce(parts)
            return found
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.flags(node.operand)
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        value = self._value(node)
        if not isinstance(value, _Flags):
            raise self._wrong(node, "says neither yes nor no; compare it with something")
        return value.values

    def _comparison(self, node: ast.Compare) -> np.ndarray:
        import numpy as np

        sides = [node.left, *node.comparators]
        found = np.ones(self._count, dtype=bool)
        for one, sign, other in zip(sides, node.ops, sides[1:], strict=False):
            left = self._value(one)
            right = self._value(other, listed=isinstance(sign, ast.In | ast.NotIn))
            found &= self._compared(node, left, sign, right)
        return found

    def _compared(
        self, node: ast.Compare, left: _Value, sign: ast.cmpop, right: _Value
    ) -> np.ndarray:
        if isinstance(left, _Plain) and isinstance(right, _Plain):
            raise self._wrong(node, "says nothing about runs")
        if isinstance(left, _Flags) or isinstance(right, _Flags):
            raise self._wrong(node, "compares a yes or no; join it by and, or, not")
        if isinstance(sign, ast.In | ast.NotIn):
            return self._member(node, left, right, wanted=isinstance(sign, ast.In))
        nothing = next((one for one in (left, right) if one == _Plain(None)), None)
        if nothing is not None:
            missing = ~_here(right if left is nothing else left)
            if type(sign) in (ast.Is, ast.Eq):
                return missing
            if type(sign) in (ast.IsNot, ast.NotEq):
                return ~missing
            raise self._wrong(node, "orders by None; write is None or is not None")
        if type(sign) in _SAME:
            return self._same(node, left, _SAME[type(sign)], right)
        if type(sign) in _ORDERS:
            one, other = self._numbers(node, left, right)
            return _false_where_missing(_ORDERS[type(sign)], one, other)
        raise self._wrong(node, "compares with is; write == instead")

    def _same(
        self, node: ast.Compare, left: _Value, same: Callable[[Any, Any], Any], right: _Value
    ) -> np.ndarray:
        import numpy as np

        texts = [one for one in (left, right) if isinstance(one, _Texts)]
        plain = next((one.value for one in (left, right) if isinstance(one, _Plain)), None)
        if len(texts) == 2:
            pairs = zip(texts[0].values, texts[1].values, strict=True)
            return np.array([None not in (a, b) and bool(same(a, b)) for a, b in pairs], dtype=bool)
        if texts and isinstance(plain, bool):
            wanted = str(plain).lower()
            return _each(texts[0], lambda text: bool(same(text.lower(), wanted)))
        if texts and isinstance(plain, str):
            return _each(texts[0], lambda text: bool(same(text, plain)))
        return _false_where_missing(same, *self._numbers(node, left, right))

    def _member(
        self, node: ast.Compare, left: _Value, right: _Value, *, wanted: bool
    ) -> np.ndarray:
        import numpy as np

        if isinstance(left, _Plain) and isinstance(left.value, str) and isinstance(right, _Texts):
            part = left.value
            return _each(right, lambda text: (part in text) == wanted)
        if not (isinstance(right, _Plain) and isinstance(right.value, tuple)):
            raise self._wrong(node, 'wants a list after in: ("a", "b")')
        equal = np.zeros(self._count, dtype=bool)
        for one in right.value:
            equal |= self._same(node, left, operator.eq, _Plain(one))
        return equal if wanted else _here(left) & ~equal

    def _numbers(self, node: ast.AST, *sides: _Value) -> list[_Numbers]:
        """Both sides as numbers of one unit."""
        units = {one.unit for one in sides if isinstance(one, _Numbers)} - {""}
        if len(units) > 1:
            raise self._wrong(node, "compares a time with a span of time")
        unit = units.pop() if units else ""
        found = [self._number(node, one, unit) for one in sides]
        if unit and any(isinstance(one, _Numbers) and not one.unit for one in sides):
            raise self._wrong(node, "compares a time with a number")
        return found

    def _number(self, node: ast.AST, value: _Value, unit: str) -> _Numbers:
        import numpy as np

        if isinstance(value, _Numbers):
            return value
        if isinstance(value, _Texts):
            if unit:
                raise self._wrong(node, "compares a time with a text of the runs")
            parsed = [None if one is None else parse_number(one) for one in value.values]
            here = np.array([one is not None for one in parsed], dtype=bool)
            return _Numbers(np.array([_float(one) for one in parsed], dtype=float), here)
        plain = value.value if isinstance(value, _Plain) else None
        if unit and isinstance(plain, str):
            number = self._milliseconds(node, plain, unit)
        elif isinstance(plain, int | float) and not isinstance(plain, bool):
            if unit == "time":
                raise self._wrong(node, 'compares a time with a number; write a date: "2026-11-01"')
            number = _float(plain) * (1000 if unit else 1)
        elif isinstance(plain, str):
            raise self._wrong(node, "orders by a text; without quotes it is a number")
        else:
            raise self._wrong(node, "compares what has no order")
        shape = self._count
        return _Numbers(np.full(shape, number), np.ones(shape, dtype=bool), unit)

    def _milliseconds(self, node: ast.AST, text: str, unit: str) -> float:
        if unit == "time":
            try:
                return moment(text).timestamp() * 1000
            except UsageError as error:
                raise self._wrong(node, str(error), hint=error.hint) from None
        took = span(text)
        if took is None:
            raise self._wrong(
                node, f"{visible(text, 60)} is no span of time; write 90s, 5m, 2h, 1d"
            )
        return took.total_seconds() * 1000

    def _value(self, node: ast.expr, *, listed: bool = False) -> _Value:
        if isinstance(node, ast.Constant) and isinstance(
            node.value, str | int | float | bool | None
        ):
            return _Plain(node.value)
        if listed and isinstance(node, ast.Tuple | ast.List | ast.Set):
            return _Plain(tuple(self._listed(one) for one in node.elts))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            return self._arithmetic(
                node, ast.Sub if isinstance(node.op, ast.USub) else ast.Add, _Plain(0),
                self._value(node.operand),
            )  # fmt: skip
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            sides = self._value(node.left), self._value(node.right)
            return self._arithmetic(node, type(node.op), *sides)
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            return self._column(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.BoolOp | ast.Compare | ast.UnaryOp):
            return _Flags(self.flags(node))
        raise self._wrong(node, "is not allowed in a condition")

    def _listed(self, node: ast.expr) -> Any:
        value = self._value(node)
        if not isinstance(value, _Plain) or value.value is None:
            raise self._wrong(node, "is no text or number; only those stand in a list")
        return value.value

    def _arithmetic(
        self, node: ast.expr, sign: type[ast.operator], left: _Value, right: _Value
    ) -> _Value:
        import numpy as np

        if any(isinstance(one, _Numbers) and one.unit for one in (left, right)):
            raise self._wrong(node, "reckons with times")
        for one in (left, right):
            if isinstance(one, _Flags) or (
                isinstance(one, _Plain)
                and (isinstance(one.value, bool) or not isinstance(one.value, int | float))
            ):
                raise self._wrong(node, "reckons with what is no number")
        with np.errstate(all="ignore"):
            if isinstance(left, _Plain) and isinstance(right, _Plain):
                both = np.float64(_float(left.value)), np.float64(_float(right.value))
                return _Plain(float(_ARITHMETIC[sign](*both)))
            one, other = self._numbers(node, left, right)
            values = _ARITHMETIC[sign](one.values, other.values)
        return _Numbers(values, one.here & other.here)

    def _column(self, node: ast.expr) -> _Value:
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
            return _Numbers(frame[key].to_numpy(dtype=float), here)
        return _Texts(_texts(frame[key]))

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

    def _attribute(self, name: str) -> _Value:
        import numpy as np

        runs = self._runs.runs
        if name == "run_id":
            return _Texts([str(one) for one in runs.index])
        column = runs[name]
        if name in _TEXTS:
            return _Texts(_texts(column))
        here = column.notna().to_numpy()
        unit = "time" if name in _TIMES else "span"
        kind = "datetime64[ms]" if unit == "time" else "timedelta64[ms]"
        plain = column.dt.tz_localize(None) if unit == "time" else column
        values = plain.to_numpy().astype(kind).astype(np.int64).astype(float)
        return _Numbers(values, here, unit)

    def _call(self, node: ast.Call) -> _Value:
        if node.keywords or any(isinstance(one, ast.Starred) for one in node.args):
            raise self._wrong(node, "is not allowed in a condition")
        if isinstance(node.func, ast.Name):
            return self._of_metric(node, node.func.id)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            return self._method(node, node.func)
        known = ", ".join((*(f"{one}(...)" for one in _OF_METRIC), *(f".{m}" for m in _METHODS)))
        raise self._wrong(node, "is not allowed in a condition", hint=f"known: {known}")

    def _method(self, node: ast.Call, function: ast.Attribute) -> _Flags:
        value = self._value(function.value)
        if not isinstance(value, _Texts):
            raise self._wrong(node, f".{function.attr} looks into a text, and this is none")
        if len(node.args) != 1 or not (
            isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
        ):
            raise self._wrong(node, f".{function.attr} takes one text in quotes")
        given = node.args[0].value
        if function.attr == "matches":
            try:
                pattern = re.compile(given)
            except (re.error, OverflowError, RecursionError) as error:
                what = f"is no regular expression: {error}"
                raise self._wrong(node.args[0], what) from None
            return _Flags(_each(value, lambda text: pattern.search(text) is not None))
        looks: Mapping[str, Callable[[str], bool]] = {
            "startswith": lambda text: text.startswith(given),
            "endswith": lambda text: text.endswith(given),
            "contains": lambda text: given in text,
        }
        return _Flags(_each(value, looks[function.attr]))

    def _of_metric(self, node: ast.Call, name: str) -> _Value:
        import numpy as np

        if name not in _OF_METRIC:
            known = known_list(name, _OF_METRIC)
            raise self._wrong(node, f"no function {visible(name, 60)}", hint=known)
        argument = node.args[0] if len(node.args) == 1 else None
        if not isinstance(argument, ast.Attribute | ast.Subscript):
            raise self._wrong(node, f"{name} takes one metric: {name}(metrics.NAME)")
        value = self._column(argument)
        group, metric = self._named(argument)
        if group != "metrics" or not isinstance(value, _Numbers):
            raise self._wrong(node, f"{name} takes one metric: {name}(metrics.NAME)")
        if name == "isnan":
            return _Flags(value.here & np.isnan(value.values))
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
        return _Numbers(values.to_numpy(dtype=float), here)

    def _wrong(self, node: ast.AST, what: str, hint: str = _HINT) -> UsageError:
        # Places are counted in bytes of UTF-8.
        raw = self._text.encode()
        start = len(raw[: getattr(node, "col_offset", 0)].decode())
        end = len(raw[: getattr(node, "end_col_offset", len(raw))].decode())
        return _refusal(self._text, start, end, what, hint)


def _each(texts: _Texts, test: Callable[[str], bool]) -> np.ndarray:
    import numpy as np

    return np.array([one is not None and test(one) for one in texts.values], dtype=bool)


def _false_where_missing(
    compare: Callable[[Any, Any], Any], one: _Numbers, other: _Numbers
) -> np.ndarray:
    found: np.ndarray = one.here & other.here & compare(one.values, other.values)
    return found


def _here(value: _Value) -> np.ndarray:
    import numpy as np

    if isinstance(value, _Texts):
        return np.array([one is not None for one in value.values], dtype=bool)
    assert isinstance(value, _Numbers)  # noqa: S101 - the callers refused everything else
    return value.here


def _texts(values: Iterable[Any]) -> list[str | None]:
    # A missing text is None or NaN, by the version of pandas.
    return [one if isinstance(one, str) else None for one in values]


def _float(value: float | None) -> float:
    """Python's whole numbers have no bound; beyond a double's they are infinite."""
    if value is None:
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
