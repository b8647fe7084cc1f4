"""The training itself: NumPy and scikit-learn, no MLflow. The same seed gives the same numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qualia_lab.demo.data import Data, load
from qualia_lab.demo.plan import Training

Floats = NDArray[np.float64]

_LEAK = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One pass over the training data.

    ``number`` counts from 1; ``metrics`` holds train_loss, val_loss, and accuracy or r2 on the
    validation part, measured after the pass; ``seconds`` is wall-clock time.
    """

    number: int
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """The validation part as the trained model sees it, example by example.

    Attributes:
        labels, predictions: (examples,): class numbers, or targets in their own unit.
        probabilities: (examples,): of the predicted class; None for regression.
        classes: the name of each class; empty for regression.
    """

    labels: NDArray[Any]
    predictions: NDArray[Any]
    probabilities: Floats | None
    classes: tuple[str, ...]


class Trainer:
    """Trains the model of one plan.

    >>> trainer = Trainer(Training(dataset="digits", seed=0, learning_rate=0.01, epochs=1))
    >>> [epoch.number for epoch in trainer.epochs()]
    [1]
    """

    def __init__(self, plan: Training) -> None:
        self._plan = plan
        self._data = load(plan.dataset)
        self._rng = np.random.default_rng(plan.seed)
        self._model: _Model = (
            _Network(plan, self._data, self._rng)
            if plan.hidden_units
            else _Linear(plan, self._data)
        )

    def epochs(self) -> Iterator[Epoch]:
        """Train, one epoch for each item.

        Raises:
            ValueError: by scikit-learn, when the plan makes the features NaN.
        """
        data = self._data
        for number in range(1, self._plan.epochs + 1):
            began = time.perf_counter()
            order = self._rng.permutation(len(data.train_y))
            features = data.train_x[order]
            if self._plan.rescale_from is not None and number >= self._plan.rescale_from:
                # Zero by zero for a pixel that is always blank. This is the mistake to show.
                with np.errstate(invalid="ignore"):
                    features = features / features.std(axis=0)
            self._model.fit(features, data.train_y[order])
            metrics = self._measure()
            yield Epoch(number=number, metrics=metrics, seconds=time.perf_counter() - began)

    def evaluate(self) -> Evaluation:
        """What the model, as trained so far, says about the validation part."""
        data = self._data
        outputs = self._model.predict(data.val_x)
        if not data.classes:
            return Evaluation(
                labels=data.val_y * data.target_spread + data.target_mean,
                predictions=outputs[:, 0] * data.target_spread + data.target_mean,
                probabilities=None,
                classes=(),
            )
        return Evaluation(
            labels=data.val_y,
            predictions=outputs.argmax(axis=1),
            probabilities=np.exp(outputs.max(axis=1)),
            classes=data.classes,
        )

    def _measure(self) -> dict[str, float]:
        data = self._data
        outputs = self._model.predict(data.val_x)
        metrics = {
            "train_loss": _loss(self._model.predict(data.train_x), data.train_y, data),
            "val_loss": _loss(outputs, data.val_y, data),
        }
        if data.classes:
            metrics["accuracy"] = float((outputs.argmax(axis=1) == data.val_y).mean())
        else:
            metrics["r2"] = float(1 - metrics["val_loss"] / data.val_y.var())
        return metrics


class _Model(Protocol):
    def fit(self, features: Floats, targets: NDArray[Any]) -> None:
        """One pass over the examples, in their order."""

    def predict(self, features: Floats) -> Floats:
        """(examples, classes) log-probabilities, or (examples, 1) scaled targets."""


class _Linear:
    """Logistic (one class against the rest) or linear regression, an example at a time."""

    def __init__(self, plan: Training, data: Data) -> None:
        from sklearn.linear_model import SGDClassifier, SGDRegressor

        settings: dict[str, Any] = {
            "alpha": plan.weight_decay,
            "learning_rate": "constant",
            "eta0": plan.learning_rate,
            # The order of the examples comes from the caller; nothing else here is random.
            "shuffle": False,
        }
        self._classes = np.arange(len(data.classes))
        self._model: Any = (
            SGDClassifier(loss="log_loss", **settings) if data.classes else SGDRegressor(**settings)
        )

    def fit(self, features: Floats, targets: NDArray[Any]) -> None:
        if len(self._classes):
            self._model.partial_fit(features, targets, classes=self._classes)
        else:
            self._model.partial_fit(features, targets)

    def predict(self, features: Floats) -> Floats:
        if not len(self._classes):
            values: Floats = self._model.predict(features)[:, None]
            return values
        probabilities: Floats = self._model.predict_proba(features)
        return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))


class _Network:
    """One hidden layer, leaky ReLU, mini-batch gradient descent with weight decay.

    The leak matters: a plain ReLU dies at a huge learning rate and the loss stands still, where
    this one overflows to inf and NaN, as larger networks do.
    """

    def __init__(self, plan: Training, data: Data, rng: np.random.Generator) -> None:
        inputs, hidden, outputs = data.train_x.shape[1], plan.hidden_units, len(data.classes) or 1
        self._plan = plan
        self._classify = bool(data.classes)
        self._weights = [
            rng.normal(scale=np.sqrt(2 / inputs), size=(inputs, hidden)),
            np.zeros(hidden),
            rng.normal(scale=np.sqrt(1 / hidden), size=(hidden, outputs)),
            np.zeros(outputs),
        ]

    def fit(self, features: Floats, targets: NDArray[Any]) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(targets), self._plan.batch_size):
                batch = slice(start, start + self._plan.batch_size)
                self._step(features[batch], targets[batch])

    def predict(self, features: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            return self._forward(features)[2]

    def _forward(self, features: Floats) -> tuple[Floats, Floats, Floats]:
        """The hidden layer before and after its activation, and the outputs."""
        before = features @ self._weights[0] + self._weights[1]
        after = np.where(before > 0, before, _LEAK * before)
        outputs = after @ self._weights[2] + self._weights[3]
        if self._classify:
            outputs = outputs - outputs.max(axis=1, keepdims=True)
            outputs = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
        return before, after, outputs

    def _step(self, features: Floats, targets: NDArray[Any]) -> None:
        """One step down the gradient of the mean loss of a batch."""
        before, after, outputs = self._forward(features)
        if self._classify:
            error = np.exp(outputs)
            error[np.arange(len(targets)), targets] -= 1
        else:
            error = 2 * (outputs - targets[:, None])
        error = error / len(targets)
        hidden_error = (error @ self._weights[2].T) * np.where(before > 0, 1.0, _LEAK)
        gradients = (
            features.T @ hidden_error,
            hidden_error.sum(axis=0),
            after.T @ error,
            error.sum(axis=0),
        )
        for weights, gradient in zip(self._weights, gradients, strict=True):
            weights[...] -= self._plan.learning_rate * (
                gradient + self._plan.weight_decay * weights
            )


def _loss(outputs: Floats, targets: NDArray[Any], data: Data) -> float:
    """Mean cross-entropy (nats), or mean squared error of the scaled target."""
    with np.errstate(over="ignore", invalid="ignore"):
        if data.classes:
            return float(-outputs[np.arange(len(targets)), targets].mean())
        return float(np.square(outputs[:, 0] - targets).mean())
