"""A random forest that says how much each param of a search space goes with a metric.

The forest (Breiman 2001) predicts the metric from the params, each run by those of its trees only
that were not fitted to it (out of bag). How much worse it does once one param is shuffled among the
runs is that param's importance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import number, plain
from qualia_lab.analysis.space import Param, Space
from qualia_lab.analysis.trees import Trees, follow, grow

FEWEST = 10
_TREES = (200, 64)
# Params times runs.
_MANY = 4_000
_MOST_RUNS = 1000
_MOST_CELLS = 100_000
_MOST_JUDGED = 40
_SHUFFLES = (10, 5, 2)
_WIDE = 30
_FAR = 10
_LEAST_R2 = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What the forest says of the params of a space, the most important first.

    Attributes:
        space: what was judged.
        r2: the share of the metric's variance that is predicted for runs not seen (out of bag).
        params: the params by importance; those that were not judged last.
        importance: how much ``r2`` falls when the values of a param are shuffled; NaN: not judged.
        std: the standard error of that over the runs.
        used: how many runs it took.
        by_rank: whether it predicts the ranks of the metric.
    """

    space: Space
    r2: float
    params: tuple[Param, ...]
    importance: np.ndarray
    std: np.ndarray
    used: int
    by_rank: bool

    @property
    def tells(self) -> np.ndarray:
        """Which params stand out from chance.

        The forest predicts (see ``predicts``), and the importance is above twice its standard error
        and a twentieth of the largest. Of sets of runs that differ by noise alone, that names a
        param in about one of twenty.
        """
        least = np.maximum(2 * self.std, self.importance[0] / 20)
        found: np.ndarray = (self.importance > least) & self.predicts
        return found

    @property
    def predicts(self) -> bool:
        """Whether R² out of bag is above what noise gives: 2 / runs, and 0.05 at the least."""
        return self.r2 > max(2 / self.used, _LEAST_R2)


def judge(space: Space) -> Judged | str:
    """What a forest says of the params of a space; or why it can't be asked.

    A random 1,000 runs are taken of more (fewer where there are more than 100 params).
    """
    name, y, params = plain(space.metric), space.y, space.params
    if len(y) < FEWEST:
        return (
            f"Too few runs to tell which param matters: {len(y):,} have a finite {name}, "
            f"it takes {FEWEST} or more."
        )
    if y.min() == y.max():
        return (
            f"{name} is {number(float(y[0]))} in all {len(y):,} runs: no param makes a difference."
        )
    most = min(_MOST_RUNS, max(100, _MOST_CELLS // len(params)))
    kept = np.arange(len(y))
    if len(y) > most:
        kept = np.sort(np.random.default_rng(0).choice(len(y), most, replace=False))
    response, by_rank = _response(y[kept])
    # Trees ask only for the order, so ranks do, whatever the size of a number.
    features = np.column_stack([one.codes[kept] for one in params]).astype("float32")
    r2, importance, std = _fit(features.tobytes(), len(kept), response.tobytes())
    order = np.argsort(-np.nan_to_num(importance, nan=-np.inf), kind="stable")
    return Judged(
        space=space,
        params=tuple(params[one] for one in order),
        importance=importance[order],
        std=std[order],
        r2=r2,
        used=len(kept),
        by_rank=by_rank,
    )


def _response(y: np.ndarray) -> tuple[np.ndarray, bool]:
    """What the forest predicts, and whether that is the ranks.

    The squares of a few values that lie far off would drown all others.
    """
    scaled = y / np.abs(y).max() if np.abs(y).max() else y
    low, middle, high = np.percentile(scaled, [25, 50, 75])
    if np.abs(scaled - middle).max() > _FAR * (high - low):
        return pd.Series(scaled).rank().to_numpy(dtype="float64"), True
    return scaled, False


@lru_cache(maxsize=16)  # a notebook asks several times for the same
def _fit(features: bytes, runs: int, response: bytes) -> tuple[float, np.ndarray, np.ndarray]:
    """R² out of bag, and the importance of each column with its standard error (NaN: not judged).

    Args:
        features: float32, a row a run.
        runs: how many.
        response: float64, a value a run.
    """
    x = np.frombuffer(features, dtype="float32").reshape(runs, -1).astype("float64")
    y = np.frombuffer(response, dtype="float64")
    columns, size = x.shape[1], x.size
    random = np.random.RandomState(0)
    drawn = random.randint(0, runs, (_TREES[size > _MANY], runs))
    counts = np.apply_along_axis(np.bincount, 1, drawn, minlength=runs)
    tried = columns if columns <= _WIDE else columns // 3
    forest = grow(x, y, counts, tried)
    chosen = np.argsort(-forest.gains, kind="stable")[:_MOST_JUDGED]
    shuffles = _SHUFFLES[0 if size <= 2_000 else 1 if size <= 25_000 else 2]
    predicted = _out_of_bag(forest, x, counts, chosen, shuffles)
    errors = (predicted - y) ** 2
    variance = float(np.mean((y - y.mean()) ** 2))
    falls = (errors[1:].reshape(len(chosen), shuffles, runs) - errors[0]) / variance
    of_runs = falls.mean(axis=1)
    importance, std = np.full(columns, np.nan), np.full(columns, np.nan)
    importance[chosen] = of_runs.mean(axis=1)
    std[chosen] = of_runs.std(axis=1, ddof=1) / math.sqrt(runs)
    return 1 - float(errors[0].mean()) / variance, importance, std


def _out_of_bag(
    forest: Trees, x: np.ndarray, counts: np.ndarray, chosen: np.ndarray, shuffles: int
) -> np.ndarray:
    """Predictions by the trees that did not see a run: a row for the values as they are, then
    ``shuffles`` rows for each chosen column with its values shuffled."""
    runs = len(x)
    random = np.random.default_rng(0)
    tree, run = np.nonzero(counts == 0)
    before, asked = follow(forest, forest.roots[tree], x, run)
    total = np.tile(np.bincount(run, before, runs), (1 + len(chosen) * shuffles, 1))
    for place, column in enumerate(np.repeat(chosen, shuffles), 1):
        values = x[random.permutation(runs), column]
        # Only where a tree asks for that column on the way of a run, it can say something else.
        mine = np.flatnonzero(asked[:, column])
        after, _ = follow(forest, forest.roots[tree[mine]], x, run[mine], column, values)
        total[place] += np.bincount(run[mine], after - before[mine], runs)
    return total / np.maximum(np.bincount(run, minlength=runs), 1)
