"""Tables of measurements: rows of scikit-learn's breast cancer data, drawn with replacement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qualia_lab.demo.drift.plan import NEW_CATEGORY, ROWS, SHIFTS, Shift

Table = Mapping[str, list[Any]]

_MEASUREMENTS = 15  # the means of ten properties of cell nuclei, and the errors of five
_BANDS = ("small", "medium", "large")
_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """The 569 rows that tables are drawn from: measurements, and two columns of categories."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    categories: Mapping[str, NDArray[Any]]


@cache
def population() -> Population:
    """scikit-learn's breast cancer data; "area band" holds the thirds of the mean area."""
    from sklearn.datasets import load_breast_cancer

    bunch: Any = load_breast_cancer()
    names = tuple(str(name) for name in bunch.feature_names[:_MEASUREMENTS])
    area = bunch.data[:, names.index("mean area")]
    thirds = np.searchsorted(np.quantile(area, [1 / 3, 2 / 3]), area)
    return Population(
        names=names,
        values=bunch.data[:, :_MEASUREMENTS].astype("float64"),
        categories={
            "area band": np.array(_BANDS, dtype=object)[thirds],
            "diagnosis": bunch.target_names.astype(object)[bunch.target],
        },
    )


def draw(seed: int, number: int, strength: float) -> Table:
    """500 rows with the planted shifts at that strength: 0 is none, 1 is all of them.

    Two draws are independent samples of one population, so a column without a shift has no drift.
    """
    rng = np.random.default_rng([seed, number])
    known = population()
    rows = rng.integers(0, len(known.values), ROWS)
    table: dict[str, list[Any]] = {}
    for column, name in enumerate(known.names):
        every = known.values[:, column]
        values = every[rows]
        shift = SHIFTS.get(name)
        if shift is not None:
            values = _shifted(values, every, shift, strength, rng)
        table[name] = [
            None if np.isnan(value) else round(float(value), _DIGITS) for value in values
        ]
    for name, labels in known.categories.items():
        drawn = labels[rows].copy()
        if name in SHIFTS:
            drawn[rng.random(ROWS) < SHIFTS[name].size * strength] = NEW_CATEGORY
        table[name] = drawn.tolist()
    return table


def _shifted(
    values: NDArray[np.float64],
    every: NDArray[np.float64],
    shift: Shift,
    strength: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    if shift.kind == "missing":
        return np.where(rng.random(len(values)) < shift.size * strength, np.nan, values)
    mean, spread = float(every.mean()), float(every.std())
    if shift.kind == "mean":
        return values + shift.size * strength * spread
    return mean + (values - mean) * (1 + (shift.size - 1) * strength)
