"""Walks the nodes of a condition and evaluates each on the columns of the runs."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qualia_lab.errors import UsageError
from qualia_lab.moments import moment, span
from qualia_lab.text import parse_number, visible
from qualia_lab.where.faults import HINT, wrong
from qualia_lab.where.names import OF_METRIC, Names
from qualia_lab.where.values import (
    Flags,
    Numbers,
    Plain,
    Texts,
    Value,
    as_float,
    each,
    false_where_missing,
    here_of,
)

if TYPE_CHECKING:
    import numpy as np

    from qualia_lab.model import RunSet

_METHODS = ("startswith", "endswith", "contains", "matches")
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


class Walk:
    """One evaluation: the condition's nodes against the columns of these runs."""

    def __init__(self, text: str, runs: RunSet) -> None:
        self._text = text
        self._names = Names(text, runs)
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
        if not isinstance(value, Flags):
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
        self, node: ast.Compare, left: Value, sign: ast.cmpop, right: Value
    ) -> np.ndarray:
        if isinstance(left, Plain) and isinstance(right, Plain):
            raise self._wrong(node, "says nothing about runs")
        if isinstance(left, Flags) or isinstance(right, Flags):
            raise self._wrong(node, "compares a yes or no; join it by and, or, not")
        if isinstance(sign, ast.In | ast.NotIn):
            return self._member(node, left, right, wanted=isinstance(sign, ast.In))
        nothing = next((one for one in (left, right) if one == Plain(None)), None)
        if nothing is not None:
            missing = ~here_of(right if left is nothing else left)
            if type(sign) in (ast.Is, ast.Eq):
                return missing
            if type(sign) in (ast.IsNot, ast.NotEq):
                return ~missing
            raise self._wrong(node, "orders by None; write is None or is not None")
        if type(sign) in _SAME:
            return self._same(node, left, _SAME[type(sign)], right)
        if type(sign) in _ORDERS:
            one, other = self._numbers(node, left, right)
            return false_where_missing(_ORDERS[type(sign)], one, other)
        raise self._wrong(node, "compares with is; write == instead")

    def _same(
        self, node: ast.Compare, left: Value, same: Callable[[Any, Any], Any], right: Value
    ) -> np.ndarray:
        import numpy as np

        texts = [one for one in (left, right) if isinstance(one, Texts)]
        plain = next((one.value for one in (left, right) if isinstance(one, Plain)), None)
        if len(texts) == 2:
            pairs = zip(texts[0].values, texts[1].values, strict=True)
            return np.array([None not in (a, b) and bool(same(a, b)) for a, b in pairs], dtype=bool)
        if texts and isinstance(plain, bool):
            wanted = str(plain).lower()
            return each(texts[0], lambda text: bool(same(text.lower(), wanted)))
        if texts and isinstance(plain, str):
            return each(texts[0], lambda text: bool(same(text, plain)))
        return false_where_missing(same, *self._numbers(node, left, right))

    def _member(self, node: ast.Compare, left: Value, right: Value, *, wanted: bool) -> np.ndarray:
        import numpy as np

        if isinstance(left, Plain) and isinstance(left.value, str) and isinstance(right, Texts):
            part = left.value
            return each(right, lambda text: (part in text) == wanted)
        if not (isinstance(right, Plain) and isinstance(right.value, tuple)):
            raise self._wrong(node, 'wants a list after in: ("a", "b")')
        equal = np.zeros(self._count, dtype=bool)
        for one in right.value:
            equal |= self._same(node, left, operator.eq, Plain(one))
        return equal if wanted else here_of(left) & ~equal

    def _numbers(self, node: ast.AST, *sides: Value) -> list[Numbers]:
        """Both sides as numbers of one unit."""
        units = {one.unit for one in sides if isinstance(one, Numbers)} - {""}
        if len(units) > 1:
            raise self._wrong(node, "compares a time with a span of time")
        unit = units.pop() if units else ""
        found = [self._number(node, one, unit) for one in sides]
        if unit and any(isinstance(one, Numbers) and not one.unit for one in sides):
            raise self._wrong(node, "compares a time with a number")
        return found

    def _number(self, node: ast.AST, value: Value, unit: str) -> Numbers:
        import numpy as np

        if isinstance(value, Numbers):
            return value
        if isinstance(value, Texts):
            if unit:
                raise self._wrong(node, "compares a time with a text of the runs")
            parsed = [None if one is None else parse_number(one) for one in value.values]
            here = np.array([one is not None for one in parsed], dtype=bool)
            return Numbers(np.array([as_float(one) for one in parsed], dtype=float), here)
        plain = value.value if isinstance(value, Plain) else None
        if unit and isinstance(plain, str):
            number = self._milliseconds(node, plain, unit)
        elif isinstance(plain, int | float) and not isinstance(plain, bool):
            if unit == "time":
                raise self._wrong(node, 'compares a time with a number; write a date: "2026-11-01"')
            number = as_float(plain) * (1000 if unit else 1)
        elif isinstance(plain, str):
            raise self._wrong(node, "orders by a text; without quotes it is a number")
        else:
            raise self._wrong(node, "compares what has no order")
        shape = self._count
        return Numbers(np.full(shape, number), np.ones(shape, dtype=bool), unit)

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

    def _value(self, node: ast.expr, *, listed: bool = False) -> Value:
        if isinstance(node, ast.Constant) and isinstance(
            node.value, str | int | float | bool | None
        ):
            return Plain(node.value)
        if listed and isinstance(node, ast.Tuple | ast.List | ast.Set):
            return Plain(tuple(self._listed(one) for one in node.elts))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            return self._arithmetic(
                node, ast.Sub if isinstance(node.op, ast.USub) else ast.Add, Plain(0),
                self._value(node.operand),
            )  # fmt: skip
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            sides = self._value(node.left), self._value(node.right)
            return self._arithmetic(node, type(node.op), *sides)
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            return self._names.column(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.BoolOp | ast.Compare | ast.UnaryOp):
            return Flags(self.flags(node))
        raise self._wrong(node, "is not allowed in a condition")

    def _listed(self, node: ast.expr) -> Any:
        value = self._value(node)
        if not isinstance(value, Plain) or value.value is None:
            raise self._wrong(node, "is no text or number; only those stand in a list")
        return value.value

    def _arithmetic(
        self, node: ast.expr, sign: type[ast.operator], left: Value, right: Value
    ) -> Value:
        import numpy as np

        if any(isinstance(one, Numbers) and one.unit for one in (left, right)):
            raise self._wrong(node, "reckons with times")
        for one in (left, right):
            if isinstance(one, Flags) or (
                isinstance(one, Plain)
                and (isinstance(one.value, bool) or not isinstance(one.value, int | float))
            ):
                raise self._wrong(node, "reckons with what is no number")
        with np.errstate(all="ignore"):
            if isinstance(left, Plain) and isinstance(right, Plain):
                both = np.float64(as_float(left.value)), np.float64(as_float(right.value))
                return Plain(float(_ARITHMETIC[sign](*both)))
            one, other = self._numbers(node, left, right)
            values = _ARITHMETIC[sign](one.values, other.values)
        return Numbers(values, one.here & other.here)

    def _call(self, node: ast.Call) -> Value:
        if node.keywords or any(isinstance(one, ast.Starred) for one in node.args):
            raise self._wrong(node, "is not allowed in a condition")
        if isinstance(node.func, ast.Name):
            return self._names.of_metric(node, node.func.id)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            return self._method(node, node.func)
        known = ", ".join((*(f"{one}(...)" for one in OF_METRIC), *(f".{m}" for m in _METHODS)))
        raise self._wrong(node, "is not allowed in a condition", hint=f"known: {known}")

    def _method(self, node: ast.Call, function: ast.Attribute) -> Flags:
        value = self._value(function.value)
        if not isinstance(value, Texts):
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
            return Flags(each(value, lambda text: pattern.search(text) is not None))
        looks: Mapping[str, Callable[[str], bool]] = {
            "startswith": lambda text: text.startswith(given),
            "endswith": lambda text: text.endswith(given),
            "contains": lambda text: given in text,
        }
        return Flags(each(value, looks[function.attr]))

    def _wrong(self, node: ast.AST, what: str, hint: str = HINT) -> UsageError:
        return wrong(self._text, node, what, hint)
