"""The columns of two tables side by side: what they hold, and as what they can be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain
from qualia_lab.text import whole

Kind = Literal["number", "category", "time", "empty"]

_SAMPLE = 50
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_FEWEST_FOR_ID = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """One column of one table.

    ``values`` is float64 for numbers (NaN where there is none; times are seconds since the epoch),
    and as it was logged for categories. ``missing`` counts rows without a value, ``unbounded``
    those with an infinite one; ``zoneless`` says that times carried no zone and are taken for UTC.
    """

    kind: Kind
    values: Any
    rows: int
    missing: int
    unbounded: int = 0
    zoneless: bool = False
    _kept: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """How often each category is there, by its text; counted once."""
        if "counts" not in self._kept:
            self._kept["counts"] = category_counts(self.values)
        return self._kept["counts"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feature:
    """A column that both tables have. ``why_not`` says why it is not compared, where it is not."""

    name: str
    label: str
    kind: Kind
    reference: Column
    current: Column
    why_not: str = ""
    changed: str = ""
    _kept: dict[str, tuple[list[str], np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def counts(self) -> tuple[list[str], np.ndarray]:
        """The categories of both, those of the reference first, and their counts in 2 rows."""
        if "counts" not in self._kept:
            self._kept["counts"] = aligned(self.reference.counts, self.current.counts)
        return self._kept["counts"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """The columns of two tables: those in both, and the labels of those in one alone."""

    shared: tuple[Feature, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]


def features(reference: pd.DataFrame, current: pd.DataFrame) -> Features:
    """The columns of two tables, in the order of the first.

    Numbers are what pandas holds as such, and text that spells numbers where the other table has
    numbers; times are dates of pandas and text in ISO 8601; all else is categories. A column that
    holds another kind in one table is not compared, nor is a time (a later table has later times)
    or a whole number that only rises from row to row, which is an id.
    """
    labels = column_labels([*map(str, reference.columns), *map(str, current.columns)])
    shared = [name for name in reference.columns if name in current.columns]
    return Features(
        shared=tuple(
            _feature(str(name), labels[str(name)], reference[name], current[name])
            for name in shared
        ),
        gone=tuple(labels[str(one)] for one in reference.columns if one not in current.columns),
        new=tuple(labels[str(one)] for one in current.columns if one not in reference.columns),
    )


def column_labels(names: list[str]) -> dict[str, str]:
    """Name -> a label that no other name has: one line, nothing hidden, 40 characters."""
    found: dict[str, str] = {}
    used: set[str] = set()
    for name in dict.fromkeys(names):
        own = plain(name).strip() or "(no name)"
        spellings = chain([own], (f"{own} ({number})" for number in count(2)))
        found[name] = next(one for one in spellings if one not in used)
        used.add(found[name])
    return found


def _feature(name: str, label: str, first: pd.Series[Any], second: pd.Series[Any]) -> Feature:
    reference, current = column(first), column(second)
    kinds = (reference.kind, current.kind)
    changed = ""
    if set(kinds) == {"number", "category"}:
        text, numbers = (first, current) if kinds[0] == "category" else (second, reference)
        as_numbers = _spelled(text, numbers)
        if as_numbers is not None:
            changed = (
                f"{_called(first, reference)} in the reference, {_called(second, current)} now"
            )
            reference, current = (
                (as_numbers, current) if kinds[0] == "category" else (reference, as_numbers)
            )
            kinds = ("number", "number")
    if kinds[0] != kinds[1] and "empty" not in kinds:
        changed = f"{_called(first, reference)} in the reference, {_called(second, current)} now"
    kind = next((one for one in kinds if one != "empty"), kinds[0])
    why_not = _why_not(kinds, reference, current)
    return Feature(
        name=name, label=label, kind=kind, reference=reference, current=current,
        why_not=why_not, changed=changed,
    )  # fmt: skip


def _why_not(kinds: tuple[Kind, Kind], reference: Column, current: Column) -> str:
    if "empty" in kinds:
        where = (
            "either"
            if kinds[0] == kinds[1]
            else "the reference"
            if kinds[0] == "empty"
            else "the current table"
        )
        return f"no value in {where}"
    if kinds[0] != kinds[1]:
        return "the type changed"
    if kinds[0] == "time":
        return "a time, which moves on by itself"
    if kinds[0] == "number":
        both = (reference, current)
        if any(one.missing + one.unbounded == one.rows for one in both):
            return "no finite value in one of the tables"
        if all(_is_id(one.values) for one in both):
            return "an id: whole numbers that only rise"
    return ""


def _is_id(values: np.ndarray) -> bool:
    """Whether whole numbers rise from row to row. Few rows can do so by chance."""
    if len(values) < _FEWEST_FOR_ID or not (values[1:20] > values[:19]).all():
        return False
    return bool((values[1:] > values[:-1]).all() and (values == np.floor(values)).all())


def column(series: pd.Series[Any]) -> Column:
    """What a column holds."""
    rows = len(series)
    dtype = series.dtype
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind == "M":
        return _time(series, zoneless=not isinstance(dtype, pd.DatetimeTZDtype))
    if pd.api.types.is_numeric_dtype(dtype) and dtype.kind in "iuf":
        return _number(series.to_numpy(dtype="float64", na_value=np.nan))
    here = series.dropna()
    missing = rows - len(here)
    if not len(here):
        return Column(kind="empty", values=series, rows=rows, missing=missing)
    if dtype.kind == "O" and isinstance(dtype, np.dtype):
        types = set(map(type, here))
        if all(issubclass(one, Real) and not issubclass(one, bool | np.bool_) for one in types):
            return _number(_floats(series))
    else:
        types = {str} if pd.api.types.is_string_dtype(dtype) else set()
    if types == {str} and all(map(_ISO_TIME.fullmatch, here.iloc[:_SAMPLE])):
        times = pd.to_datetime(here, format="ISO8601", errors="coerce", utc=True)
        if times.notna().all():
            zoneless = not re.search(r"T.*(Z|[+-]\d\d:?\d\d)$", str(here.iloc[0]))
            return _time(times.reindex(series.index), zoneless=zoneless)
    return Column(kind="category", values=series, rows=rows, missing=missing)


def _number(values: np.ndarray) -> Column:
    odd = len(values) - int(np.count_nonzero(np.isfinite(values)))
    missing = int(np.isnan(values).sum()) if odd else 0
    unbounded = odd - missing
    kind: Kind = "empty" if missing == len(values) else "number"
    return Column(kind=kind, values=values, rows=len(values), missing=missing, unbounded=unbounded)


def _time(series: pd.Series[Any], *, zoneless: bool) -> Column:
    whole = series.to_numpy(dtype="datetime64[ms]")
    values = np.where(np.isnat(whole), np.nan, whole.astype("int64") / 1000)
    missing = int(np.isnan(values).sum())
    kind: Kind = "empty" if missing == len(values) else "time"
    return Column(kind=kind, values=values, rows=len(values), missing=missing, zoneless=zoneless)


def _floats(series: pd.Series[Any]) -> np.ndarray:
    """Python's own numbers as floats; one that no float holds is infinite."""

    def one(value: Any) -> float:
        try:
            return float("nan") if value is None or value is pd.NA else float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")

    return np.array([one(value) for value in series], dtype="float64")


def _spelled(text: pd.Series[Any], other: Column) -> Column | None:
    """A column of text or truth values as the numbers that it spells, where all of it does."""
    if text.dtype == bool and set(np.unique(other.values[np.isfinite(other.values)])) <= {0.0, 1.0}:
        return _number(text.to_numpy(dtype="float64"))
    here = text.dropna()
    if not pd.api.types.is_string_dtype(here.dtype) and not all(
        isinstance(one, str) for one in here
    ):
        return None
    values = pd.to_numeric(text, errors="coerce")
    if int(values.notna().sum()) < len(here):
        return None
    return _number(values.to_numpy(dtype="float64", na_value=np.nan))


def _called(series: pd.Series[Any], found: Column) -> str:
    if series.dtype == bool:
        return "true or false"
    if found.kind == "category":
        return "text"
    return {"number": "numbers", "time": "times"}.get(found.kind, found.kind)


def category_counts(series: pd.Series[Any]) -> dict[str, int]:
    """How often each value is there, by its text, the most frequent first; missing ones are not."""
    try:
        counts = series.value_counts(dropna=True)
    except TypeError:  # lists and dicts can't be counted as they are
        counts = series.dropna().map(_category_text).value_counts()
    found: dict[str, int] = {}
    for value, count_of in zip(counts.index, counts.to_numpy(), strict=True):
        text = _category_text(value) or ""
        found[text] = found.get(text, 0) + int(count_of)
    return found


def category_texts(series: pd.Series[Any]) -> np.ndarray:
    """Each value as the text that ``category_counts`` counts it by; None for a missing one."""
    if pd.api.types.is_string_dtype(series.dtype) and series.dtype.kind != "O":
        # Text as pandas holds it has no lone surrogates.
        return series.astype("object").where(series.notna(), None).to_numpy(dtype="object")
    texts = [_category_text(one) for one in series.astype("object")]
    found = np.empty(len(texts), dtype="object")
    found[:] = texts
    return found


def _category_text(value: Any) -> str | None:
    if isinstance(value, list | dict | np.ndarray | tuple | set):
        return whole(repr(value))
    return None if value is None or value is pd.NA or value != value else whole(str(value))


def aligned(
    reference: Mapping[str, int], current: Mapping[str, int]
) -> tuple[list[str], np.ndarray]:
    """The categories of both, those of the reference first, and their counts in 2 rows."""
    names = list(dict.fromkeys([*reference, *current]))
    rows = [[side.get(name, 0) for name in names] for side in (reference, current)]
    return names, np.array(rows, dtype="int64").reshape(2, len(names))
