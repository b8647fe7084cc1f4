"""The data sets that scikit-learn brings along, split the same way every time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from qualia_lab.demo.plan import REGRESSION, DatasetName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SPLIT_SEED = 0
_VALIDATION_SHARE = 0.25
_BRIGHTEST_PIXEL = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """A data set, split and scaled.

    Attributes:
        train_x, val_x: (examples, features), float64.
        train_y, val_y: (examples,): class numbers (int64), or targets with mean 0 and spread 1 in
            the training part (float64).
        classes: the name of each class; empty for regression.
        target_mean, target_spread: take a scaled target back to its own unit.
    """

    name: DatasetName
    train_x: NDArray[np.float64]
    train_y: NDArray[Any]
    val_x: NDArray[np.float64]
    val_y: NDArray[Any]
    classes: tuple[str, ...] = ()
    target_mean: float = 0.0
    target_spread: float = 1.0


@cache
def load(name: DatasetName) -> Data:
    """The data set of that name. The split is stratified and does not depend on any seed."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    bunch: Any = getattr(datasets, f"load_{name}")()
    is_regression = name == REGRESSION
    train_x, val_x, train_y, val_y = train_test_split(
        bunch.data.astype("float64"),
        bunch.target.astype("float64" if is_regression else "int64"),
        test_size=_VALIDATION_SHARE,
        random_state=_SPLIT_SEED,
        stratify=None if is_regression else bunch.target,
    )
    if name == "digits":
        # Not by their spread: some pixels have none.
        train_x, val_x = train_x / _BRIGHTEST_PIXEL, val_x / _BRIGHTEST_PIXEL
    else:
        mean, spread = train_x.mean(axis=0), train_x.std(axis=0)
        train_x, val_x = (train_x - mean) / spread, (val_x - mean) / spread
    if not is_regression:
        return Data(
            name=name,
            train_x=train_x,
            train_y=train_y,
            val_x=val_x,
            val_y=val_y,
            classes=tuple(str(label) for label in bunch.target_names),
        )
    mean, spread = float(train_y.mean()), float(train_y.std())
    return Data(
        name=name,
        train_x=train_x,
        train_y=(train_y - mean) / spread,
        val_x=val_x,
        val_y=(val_y - mean) / spread,
        target_mean=mean,
        target_spread=spread,
    )
