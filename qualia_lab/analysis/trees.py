"""Regression trees (Breiman et al. 1984), many of them grown at once, a level at a time.

scikit-learn's are the same but for the draw between equally good params (see the tests); importing
it takes longer than all trees of a few runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FEWEST = 2
# Numbers to be held of one kind at a time; trees beyond are grown later.
_AT_ONCE = 400_000
# Splits that differ by less are the same one, summed in another order.
_SAME = 1e-12

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trees:
    """Nodes of all trees in one row.

    Attributes:
        roots: the first node of each tree.
        column: what a node asks for, -1 at a leaf.
        most: runs whose value is at most this go to the node ``below``, others to the one after it.
        below: that node.
        value: the mean of the runs that came to a node.
        gains: by how much the splits on each column lowered the variance, as a share of all that
            the splits of a tree did, summed over the trees.
    """

    roots: Ints
    column: Ints
    most: Floats
    below: Ints
    value: Floats
    gains: Floats


def grow(x: Floats, y: Floats, counts: Ints, tried: int) -> Trees:
    """Fit trees, each to its own choice of runs.

    A leaf holds two different runs or more. Which params are tried at a node, and which one is
    taken of those that split equally well, is drawn with a fixed seed.

    Args:
        x: a row a run, a column a param.
        y: a value a run.
        counts: a row a tree, a column a run: how often the tree has drawn it.
        tried: how many columns a node may choose from.
    """
    random = np.random.default_rng(0)
    at_once = max(1, _AT_ONCE // x.size)
    parts = [
        _Growing(x, y, counts[first : first + at_once], tried, random).trees()
        for first in range(0, len(counts), at_once)
    ]
    starts = np.cumsum([0, *(len(one.column) for one in parts[:-1])])
    return Trees(
        roots=np.concatenate([one.roots + by for one, by in zip(parts, starts, strict=True)]),
        column=np.concatenate([one.column for one in parts]),
        most=np.concatenate([one.most for one in parts]),
        below=np.concatenate([one.below + by for one, by in zip(parts, starts, strict=True)]),
        value=np.concatenate([one.value for one in parts]),
        gains=np.sum([one.gains for one in parts], axis=0),
    )


def follow(
    trees: Trees,
    nodes: Ints,
    x: Floats,
    runs: Ints,
    column: int = -1,
    instead: Floats | None = None,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Where runs end up that start at these nodes: the value there, and which columns were asked.

    Args:
        trees: the trees.
        nodes: a node a question.
        x: a row a run, a column a param.
        runs: a run a question, as its row in ``x``.
        column: of which the values of ``instead`` count, one a run.
        instead: those; None where ``x`` holds all.
    """
    nodes, flat, columns = nodes.copy(), x.ravel(), x.shape[1]
    asked = np.zeros((len(nodes), columns) if instead is None else (0, 0), dtype=bool)
    going = np.flatnonzero(trees.column[nodes] >= 0)
    here, run = nodes[going], runs[going]
    while len(going):
        on = trees.column[here]
        value = flat[run * columns + on]
        if instead is None:
            asked[going, on] = True
        else:
            value = np.where(on == column, instead[run], value)
        here = trees.below[here] + (value > trees.most[here])
        goes = trees.column[here] >= 0
        nodes[going[~goes]] = here[~goes]
        going, here, run = going[goes], here[goes], run[goes]
    return trees.value[nodes], asked


class _Growing:
    """Trees as they grow.

    A pair is a run in a tree. ``order`` holds, a row a column of x, the pairs that are not in a
    leaf yet: those of a node side by side, by their value of that column. So a node is the same
    stretch of every row, and all its splits are seen in sums along it.
    """

    def __init__(self, x: Floats, y: Floats, counts: Ints, tried: int, random: np.random.Generator):
        self.x, self.tried, self.random = x, tried, random
        self.tree, self.run = np.nonzero(counts)
        self.weight = counts[self.tree, self.run].astype("float64")
        self.y = y[self.run]
        self.weighed = self.weight * self.y
        places = np.argsort(x, axis=0, kind="stable")
        ranks = np.empty_like(places)
        np.put_along_axis(ranks, places, np.arange(len(x))[:, None], axis=0)
        keys = self.tree[:, None] * len(x) + ranks[self.run]
        self.order = np.argsort(keys, axis=0, kind="stable").T.astype("int32", order="C")
        self.ends = np.arange(x.shape[1])[:, None] * len(x)
        self.flat = x.T.ravel()
        self.sizes = np.bincount(self.tree, minlength=len(counts))
        self.nodes = np.arange(len(counts))
        self.trees_of = np.arange(len(counts))
        self.gains = np.zeros((len(counts), x.shape[1]))
        self.column = [np.full(len(counts), -1)]
        self.most, self.value = [np.zeros(len(counts))], [np.zeros(len(counts))]
        self.below = [np.zeros(len(counts), dtype="int64")]

    def trees(self) -> Trees:
        while self.order.shape[1]:
            self._level()
        sums = self.gains.sum(axis=1, keepdims=True)
        shares = np.divide(self.gains, sums, out=np.zeros_like(self.gains), where=sums > 0)
        return Trees(
            roots=np.arange(len(self.gains)),
            column=np.concatenate(self.column),
            most=np.concatenate(self.most),
            below=np.concatenate(self.below),
            value=np.concatenate(self.value),
            gains=shares.sum(axis=0),
        )

    def _level(self) -> None:
        """Split the nodes of the last level that can be, and drop the others."""
        starts = np.cumsum(self.sizes) - self.sizes
        node = np.repeat(np.arange(len(self.sizes)), self.sizes)
        weight, total, spread = self._sums(starts)
        self.value[-1][:] = total / weight
        values = self.flat.take(self.run.take(self.order) + self.ends)
        gain = self._gain(values, node, starts, weight, total)
        best = np.maximum.reduceat(gain, starts, axis=1)
        best[~self._allowed(values, starts)] = -np.inf
        top = best.max(axis=0)
        splits = (self.sizes >= 2 * _FEWEST) & (spread > np.finfo("float64").eps) & (top > -np.inf)
        same = best >= top - _SAME * np.abs(np.where(splits, top, 0))
        column = np.argmax(same * (1 + self.random.random(best.shape)), axis=0)
        # Where the best split of that column is: after which place of the stretch.
        mine = gain[column[node], np.arange(len(node))]
        at = np.where(
            mine >= best[column, np.arange(len(best.T))][node], np.arange(len(node)), len(node)
        )
        place = np.minimum(np.minimum.reduceat(at, starts), len(node) - 2)
        low, high = values[column, place], values[column, place + 1]
        most = np.where(splits, (low + high) / 2, 0.0)
        self.column[-1][splits] = column[splits]
        self.most[-1][:] = most
        first = sum(len(one) for one in self.column)
        self.below[-1][splits] = first + 2 * np.arange(splits.sum())
        share = (top - total**2 / weight)[splits]
        np.add.at(self.gains, (self.trees_of[splits], column[splits]), np.maximum(share, 0))
        self._part(node, starts, splits, column, most)

    def _sums(self, starts: Ints) -> tuple[Floats, Floats, Floats]:
        """Of each node: the weight, the sum, and the variance of its runs."""
        pairs = self.order[0]
        weight = np.add.reduceat(self.weight[pairs], starts)
        total = np.add.reduceat(self.weighed[pairs], starts)
        squares = np.add.reduceat(self.weighed[pairs] * self.y[pairs], starts)
        return weight, total, squares / weight - (total / weight) ** 2

    def _gain(
        self, values: Floats, node: Ints, starts: Ints, weight: Floats, total: Floats
    ) -> Floats:
        """What the split after each place gives, the more the better; -inf where there is none."""
        left, below = self._along(self.weight, starts), self._along(self.weighed, starts)
        place = np.arange(len(node)) - starts[node] + 1
        enough = (place >= _FEWEST) & (self.sizes[node] - place >= _FEWEST)
        can = np.zeros(values.shape, dtype=bool)
        can[:, :-1] = (values[:, :-1] < values[:, 1:]) & enough[:-1]
        with np.errstate(all="ignore"):  # at the end of a stretch nothing is on the right
            gain = below * below
            gain /= left
            np.subtract(total[node], below, out=below)
            np.subtract(weight[node], left, out=left)
            below *= below
            below /= left
            gain += below
        gain[~can] = -np.inf
        return gain

    def _along(self, numbers: Floats, starts: Ints) -> Floats:
        """Sums along each stretch of every row."""
        found = numbers.take(self.order)
        before = found[:, starts].copy()
        np.cumsum(found, axis=1, out=found)
        found -= np.repeat(found[:, starts] - before, self.sizes, axis=1)
        return found

    def _allowed(self, values: Floats, starts: Ints) -> NDArray[np.bool_]:
        """Which columns each node may choose from: so many drawn, or the first that varies."""
        varies = values[:, starts] < values[:, starts + self.sizes - 1]
        if self.tried >= len(varies):
            return varies
        keys = self.random.random(varies.shape)
        drawn = np.argsort(np.argsort(keys, axis=0), axis=0) < self.tried
        first = np.argmin(np.where(varies, keys, 2), axis=0)
        drawn[first, np.arange(len(first))] |= ~(drawn & varies).any(axis=0)
        allowed: NDArray[np.bool_] = drawn & varies
        return allowed

    def _part(
        self, node: Ints, starts: Ints, splits: NDArray[np.bool_], column: Ints, most: Floats
    ) -> None:
        """Move the pairs of each node that splits to its two children, in the order they had."""
        kept = splits[node]
        order, node = self.order[:, kept], (np.cumsum(splits) - 1)[node[kept]]
        sizes, column, most = self.sizes[splits], column[splits], most[splits]
        starts = np.cumsum(sizes) - sizes
        goes = np.zeros(len(self.run), dtype=bool)
        pairs = order[0]
        goes[pairs] = self.x[self.run[pairs], column[node]] <= most[node]
        left = np.add.reduceat(goes[pairs], starts, dtype="int64") if len(starts) else sizes
        below = goes.take(order)
        before = np.cumsum(below, axis=1, dtype="int32")
        before -= below
        before += np.repeat((starts - before[:, starts]).astype("int32"), sizes, axis=1)
        # To the right of those that go left, behind those that went right before.
        behind = (left[node] + starts[node] + np.arange(len(node))).astype("int32")
        place = np.where(below, before, behind - before)
        place += (np.arange(len(order), dtype="int32") * order.shape[1])[:, None]
        self.order = np.empty(order.shape, dtype="int32")
        self.order.ravel()[place] = order
        self.sizes = np.column_stack([left, sizes - left]).ravel()
        self.trees_of = np.repeat(self.trees_of[splits], 2)
        count = len(self.sizes)
        self.column.append(np.full(count, -1))
        self.most.append(np.zeros(count))
        self.value.append(np.zeros(count))
        self.below.append(np.zeros(count, dtype="int64"))
