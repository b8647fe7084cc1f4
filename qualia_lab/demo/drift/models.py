"""Really trained models on handwritten digits, whose data changes while they are in use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qualia_lab.demo.drift import plan

Floats = NDArray[np.float64]

_SIDE = 8  # pixels
_STREAM, _DAILY = 1000, 2000  # keep the random numbers of tables, stream and days apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Predictions in the order they were made, with what was right: two columns of digits."""

    labels: list[int]
    predictions: list[int]

    def errors(self, start: int, stop: int | None = None) -> int:
        """How many of these rows were predicted wrong."""
        pairs = zip(self.labels[start:stop], self.predictions[start:stop], strict=True)
        return sum(label != prediction for label, prediction in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One daily training. ``control`` is the same model on data that never change."""

    number: int
    noise: float
    accuracy: float
    control: float


@cache
def _digits() -> tuple[Floats, NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Half to train with, half to predict: images and labels of each."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch: Any = load_digits()
    train_x, use_x, train_y, use_y = train_test_split(
        bunch.data, bunch.target, test_size=0.5, random_state=0, stratify=bunch.target
    )
    return train_x, train_y, use_x, use_y


def stream(seed: int, change: int | None) -> Stream:
    """One model's predictions, row after row.

    From row ``change`` on, two images in five, by chance, come a pixel further to the right, as if
    one of several cameras had been moved. With None the data stay the same.
    """
    rng = np.random.default_rng([seed, _STREAM, change is None])
    train_x, train_y, use_x, use_y = _digits()
    rows = rng.integers(0, len(use_y), plan.STREAM_ROWS)
    images = use_x[rows].copy()
    if change is not None:
        moved = change + np.flatnonzero(rng.random(len(rows) - change) < plan.MOVED_SHARE)
        square = images[moved].reshape(-1, _SIDE, _SIDE)
        images[moved] = np.roll(square, 1, axis=2).reshape(-1, _SIDE * _SIDE)
    model = _fitted(train_x, train_y)
    return Stream(labels=use_y[rows].tolist(), predictions=model.predict(images).tolist())


def days(seed: int) -> Iterator[Day]:
    """90 trainings, a day each, on a fresh draw of the training half.

    ``accuracy`` is measured on the day's own images, ``control`` on images of the same kind as
    ever. From the day of change on, the day's images carry noise whose variance grows evenly.
    """
    train_x, train_y, use_x, use_y = _digits()
    for number in range(plan.DAYS):
        rng = np.random.default_rng([seed, _DAILY, number])
        rows = rng.integers(0, len(train_y), len(train_y))
        model = _fitted(train_x[rows], train_y[rows])
        noise = (plan.VARIANCE_A_DAY * max(0, number - plan.CHANGE_DAY + 1)) ** 0.5
        live = rng.integers(0, len(use_y), plan.EXAMPLES_A_DAY)
        images = use_x[live] + rng.normal(0, 1, (len(live), _SIDE * _SIDE)) * noise
        same = rng.integers(0, len(use_y), plan.EXAMPLES_A_DAY)
        yield Day(
            number=number,
            noise=round(noise, 6),
            accuracy=float((model.predict(images) == use_y[live]).mean()),
            control=float((model.predict(use_x[same]) == use_y[same]).mean()),
        )


def _fitted(images: Floats, labels: NDArray[np.int64]) -> Any:
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier(alpha=10.0).fit(images, labels)
