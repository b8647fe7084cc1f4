"""What was tried: the params that vary between runs, as numbers or categories, and their axes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import number, plain, rough
from qualia_lab.analysis.show import Note
from qualia_lab.analysis.values import DRAWABLE, last_values
from qualia_lab.seeds import is_seed
from qualia_lab.text import parse_number

if TYPE_CHECKING:
    from qualia_lab.model import RunSet

NOT_LOGGED = "not logged"
# So many values at most have a place of their own on an axis, and a row of their own in a summary.
FEW = 8
_NAMES = 3
_NAME = 30
_VALUE = 24
_IDS = 6
_FEW_SETTINGS = 5
_SHORT = 40


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Param:
    """A param that varies, or several that always change together, over some runs.

    Attributes:
        names: as logged; where there are several, the rest describes the first.
        codes: an integer a run, the same for the same value and -1 where not logged: in order for
            numbers, by how many runs have it for a category.
        distinct: what the codes stand for: floats, or texts as logged.
        numbers: a number a run, NaN where not logged; None for a category.
    """

    names: tuple[str, ...]
    codes: np.ndarray
    distinct: np.ndarray
    numbers: np.ndarray | None

    @property
    def count(self) -> int:
        """How many different values were logged."""
        return len(self.distinct)

    @property
    def labels(self) -> tuple[str, ...]:
        """The different values, to be shown."""
        if self.numbers is not None:
            return tuple(number(value) for value in self.distinct)
        return tuple(plain(str(value), _VALUE) or '""' for value in self.distinct)

    @property
    def name(self) -> str:
        """The first name, to be shown."""
        return _named(self.names[0])

    @property
    def label(self) -> str:
        """All names (three at most), and that they are one where they can't be told apart."""
        if len(self.names) == 1:
            return self.name
        shown = " / ".join(_named(name) for name in self.names[:_NAMES])
        more = len(self.names) - _NAMES
        return f"{shown}{f' and {more:,} more' if more > 0 else ''} (always change together)"

    @property
    def short(self) -> str:
        """The first name and how many more there are."""
        more = len(self.names) - 1
        return f"{self.name} (+{more:,})" if more else self.name

    @property
    def kind(self) -> Literal["number", "category"]:
        """How the values are taken: numbers where all that were logged are finite ones."""
        return "category" if self.numbers is None else "number"

    @property
    def missing(self) -> int:
        """How many runs did not log it."""
        return int((self.codes < 0).sum())


def _named(name: str) -> str:
    return plain(name, _NAME).strip() or f'"{name[:_NAME]}"'


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Space:
    """The params that vary between the runs whose last value of a metric is finite.

    ``values`` is that metric by run id; the params have a value a run in the same order; ``of`` is
    how many runs there are in all.
    """

    metric: str
    values: pd.Series[float]
    params: tuple[Param, ...]
    of: int

    @property
    def y(self) -> np.ndarray:
        """The values alone."""
        return self.values.to_numpy(dtype="float64")

    @property
    def counted(self) -> str:
        """How many runs of how many have a value that counts."""
        here = len(self.values)
        return f"{here:,} runs" if here == self.of else f"{here:,} of {self.of:,} runs"


def search_space(runs: RunSet, metric: str | None) -> Space | Note:
    """What varies between the runs that have a finite last value of a metric.

    Left out: seeds, params that are the same in all these runs, and texts of which more than six
    runs have hardly one twice (ids, paths). A note where less than two runs or no param are left.
    """
    if metric is None:
        return Note("There is no metric to judge the params by.")
    name = plain(metric)
    if metric not in runs.metric_names:
        return Note(f"No run logged {name}.")
    values = last_values(runs, metric)
    if len(values) < 2:
        one = "One run has" if len(values) else "No run has"
        return Note(f"{one} a finite last value of {name}; it takes two to compare params.")
    params = varied_params(runs.params.loc[values.index])
    if not params:
        return Note(
            f"No param but seeds, ids and paths differs between the {len(values):,} runs with a "
            f"finite {name}: log what changes from run to run with mlflow.log_param."
        )
    return Space(metric=metric, values=values, params=params, of=len(runs))


def varied_params(params: pd.DataFrame) -> tuple[Param, ...]:
    """The params of a frame (a row a run, texts as logged) that vary, those of one pattern as one.

    Two are one where each value of one goes with one value of the other. Of numbers with more than
    five values, which a random search would make such a pair by itself, that is asked for only
    where they also rise together, or one falls as the other rises.
    """
    kept = ((str(name), texts) for name, texts in params.items() if not is_seed(str(name)))
    return _varied(tuple((name, tuple(texts.tolist())) for name, texts in kept))


@lru_cache(maxsize=4)  # the functions of a notebook ask one after the other for the same
def _varied(columns: tuple[tuple[str, tuple[object, ...]], ...]) -> tuple[Param, ...]:
    found = [one for name, texts in columns if (one := _param(name, texts))]
    alike: dict[bytes, list[Param]] = defaultdict(list)
    for one in found:
        alike[pd.factorize(one.codes)[0].tobytes()].append(one)
    groups: list[list[Param]] = []
    for group in alike.values():
        if group[0].count <= _FEW_SETTINGS or any(one.numbers is None for one in group):
            groups.append(group)
            continue
        rising: dict[bytes, list[Param]] = defaultdict(list)
        for one in group:
            rising[_either_way(one.codes)].append(one)
        groups.extend(rising.values())
    return tuple(_together(group) for group in groups)


def _together(group: list[Param]) -> Param:
    """Several params as one; a number describes them best, since its values have an order."""
    order = sorted(group, key=lambda one: one.numbers is None)
    return replace(order[0], names=tuple(name for one in order for name in one.names))


def _either_way(codes: np.ndarray) -> bytes:
    turned = np.where(codes < 0, codes, codes.max() - codes)
    return min(codes.tobytes(), turned.tobytes())


def _param(name: str, texts: Sequence[object]) -> Param | None:
    """A param that has two values or more, not logged being one; else None."""
    raw, values = pd.factorize(np.array(texts, dtype=object))
    here = int((raw >= 0).sum())
    if len(values) + (here < len(raw)) < 2:
        return None
    parsed = [_drawable(str(value)) for value in values]
    if all(one is not None for one in parsed):
        distinct, ranks = np.unique(np.array(parsed, dtype="float64"), return_inverse=True)
        if len(distinct) + (here < len(raw)) < 2:
            return None  # written in two ways
        return Param(
            names=(name,),
            codes=np.append(ranks, -1)[raw].astype("int64"),
            distinct=distinct,
            numbers=np.append(distinct[ranks], np.nan)[raw],
        )
    if _hardly_twice(here, len(values)):
        return None
    counts = np.bincount(raw[raw >= 0], minlength=len(values))
    order = np.argsort(-counts, kind="stable")
    places = np.empty(len(values), dtype="int64")
    places[order] = np.arange(len(values))
    return Param(
        names=(name,),
        codes=np.append(places, -1)[raw].astype("int64"),
        distinct=np.asarray(values, dtype=object)[order],
        numbers=None,
    )


def names_single_runs(texts: pd.Series[str]) -> bool:
    """Whether a param is an id or a path: no number, and hardly a value twice."""
    codes, values = pd.factorize(texts.to_numpy(dtype=object))
    if not _hardly_twice(int((codes >= 0).sum()), len(values)):
        return False
    return any(_drawable(str(one)) is None for one in values)


def _hardly_twice(runs: int, values: int) -> bool:
    return runs > _IDS and values > runs / 2


def _drawable(text: str) -> float | None:
    # The functions of a notebook ask for the same texts again and again.
    return _short(text) if len(text) <= _SHORT else _number(text)


def _number(text: str) -> float | None:
    value = parse_number(text)
    return None if value is None or abs(value) >= DRAWABLE else float(value)


_short = lru_cache(maxsize=2**16)(_number)


def levels(param: Param, values: np.ndarray) -> pd.DataFrame:
    """The metric at each value of a param, or in four ranges of it where it has many.

    Args:
        param: a param over some runs.
        values: a metric of the same runs, finite.

    Returns:
        A row a value or range, numbers in their order, categories by how many runs have them, ``not
        logged`` last: ``label``, ``n`` runs, ``median`` of the metric.
    """
    codes = param.codes
    if param.numbers is not None and param.count > min(FEW, len(codes) / 1.5):
        ranks = pd.qcut(codes[codes >= 0], 4, labels=False, duplicates="drop")
        binned = np.full(len(codes), -1)
        binned[codes >= 0] = ranks
        labels = {one: _range(param.numbers[binned == one]) for one in np.unique(ranks).tolist()}
        codes = binned
    else:
        labels = dict(enumerate(param.labels))
    rows: list[tuple[str, int, float]] = []
    for code in [*labels, -1]:
        mine = values[codes == code]
        if len(mine):
            rows.append((labels.get(code, NOT_LOGGED), len(mine), median(mine)))
    return pd.DataFrame(rows, columns=["label", "n", "median"])


def _range(numbers: np.ndarray) -> str:
    low, high = rough(float(numbers.min())), rough(float(numbers.max()))
    return low if low == high else f"{low} to {high}"


def median(values: np.ndarray) -> float:
    """The median, also of numbers whose sum is too large for a float."""
    ordered = np.sort(values)
    low, high = float(ordered[(len(ordered) - 1) // 2]), float(ordered[len(ordered) // 2])
    return low if low == high else low / 2 + high / 2


def determined(param: Param, by: Param) -> float:
    """How much of a param another tells: Theil's uncertainty coefficient (1970), 0 to 1.

    The share of the entropy of ``param`` that is gone once ``by`` is known.
    """
    whole = _entropy(param.codes)
    pairs = param.codes * (by.codes.max() + 2) + by.codes + 1
    return 1 - (_entropy(pairs) - _entropy(by.codes)) / whole if whole else 0.0


def _entropy(codes: np.ndarray) -> float:
    shares = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(-(shares * np.log(shares)).sum())
