"""Which runs are made: pure data, and the order they come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

DatasetName = Literal["digits", "breast_cancer", "diabetes"]
Ending = Literal["FINISHED", "FAILED", "RUNNING"]

REGRESSION: DatasetName = "diabetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training.

    ``hidden_units`` is 0 for a linear model, which takes one example at a time: its
    ``batch_size`` is 1. From epoch ``rescale_from`` on, features are divided by their spread.
    """

    dataset: DatasetName
    seed: int
    learning_rate: float
    batch_size: int = 1
    hidden_units: int = 0
    weight_decay: float = 1e-4
    epochs: int = 30
    rescale_from: int | None = None

    @property
    def task(self) -> Literal["classification", "regression"]:
        return "regression" if self.dataset == REGRESSION else "classification"

    @property
    def model(self) -> Literal["mlp", "linear"]:
        return "mlp" if self.hidden_units else "linear"

    @property
    def params(self) -> Mapping[str, str | int | float]:
        """What is logged as params; what has no meaning for the model is left out."""
        params: dict[str, str | int | float] = {
            "dataset": self.dataset,
            "model": self.model,
            "optimizer": "sgd",
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "weight_decay": self.weight_decay,
            "seed": self.seed,
        }
        if self.hidden_units:
            params["hidden_units"] = self.hidden_units
        if self.rescale_from is not None:
            params["rescale_from_epoch"] = self.rescale_from
        return params


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run to make.

    A run with ``children`` trains nothing itself: it is a sweep over the param ``swept``, and
    ``training`` holds what its children share. A ``RUNNING`` one stops after ``stop_after``
    epochs and is not ended. ``note`` is Markdown.
    """

    name: str
    stage: Literal["baseline", "tuning", "exploration"]
    training: Training
    note: str
    ending: Ending = "FINISHED"
    stop_after: int | None = None
    swept: str = ""
    children: tuple[PlannedRun, ...] = ()


_BASELINE = Training(dataset="digits", seed=0, learning_rate=0.1, batch_size=64, hidden_units=32)
_WIDE = replace(_BASELINE, hidden_units=128, batch_size=32, learning_rate=0.03, epochs=40)
_WIDE_NOTE = "Four times as many hidden units as the baseline, smaller batches and smaller steps."
# The last one is far past what this network bears: its weights overflow within a few epochs.
_LEARNING_RATES = (0.003, 0.01, 0.03, 0.1, 1.0, 100.0)
_BATCH_SIZES = (8, 32, 128)


def runs(count: int, seed: int) -> tuple[PlannedRun, ...]:
    """The first ``count`` top-level runs, the most telling first.

    1. a baseline: digits, a small network, the first seed;
    2. a sweep over the learning rate with six nested runs: the fourth is the baseline with its
       third seed, and the last one's loss really becomes NaN;
    3. the baseline with its second seed;
    4. one that failed, after some epochs, with a real error;
    5. one that is still running;
    6. to 9.: more seeds of the wider network and of the baseline, and the sweep with another seed,
       so that there is something to tell noise from.

    After these, seven configurations on three data sets take turns, each time with the next seed;
    one of them is a sweep over the batch size.
    """
    first: tuple[PlannedRun, ...] = (
        _baseline(seed),
        _learning_rate_sweep(seed + 2),
        _baseline(seed + 1),
        _failing(seed),
        _running(seed),
        _wide(seed + 1),
        _baseline(seed + 3),
        _wide(seed + 2),
        _learning_rate_sweep(seed + 4, f"digits-lr-sweep-seed{seed + 4}"),
    )
    turns = (divmod(turn, len(_CYCLE)) for turn in range(count - len(first)))
    return first[:count] + tuple(_CYCLE[which](seed + lap) for lap, which in turns)


def size(planned: tuple[PlannedRun, ...]) -> int:
    """How many runs that is, nested ones included."""
    return sum(1 + size(run.children) for run in planned)


def _baseline(seed: int) -> PlannedRun:
    return PlannedRun(
        name=f"digits-mlp-seed{seed}",
        stage="baseline",
        training=replace(_BASELINE, seed=seed),
        note="The **baseline** for handwritten digits: one hidden layer, plain gradient descent. "
        "`seed` sets the first weights and the order of the batches, never the split of the data.",
    )


def _learning_rate_sweep(seed: int, name: str = "digits-lr-sweep") -> PlannedRun:
    shared = replace(_BASELINE, seed=seed)
    return PlannedRun(
        name=name,
        stage="tuning",
        training=shared,
        note="A sweep over `learning_rate`; everything else is as in the baseline.",
        swept="learning_rate",
        children=tuple(
            PlannedRun(
                name=f"lr={rate:g}",
                stage="tuning",
                training=replace(shared, learning_rate=rate),
                note=f"One point of the sweep: a learning rate of **{rate:g}**.",
            )
            for rate in _LEARNING_RATES
        ),
    )


def _failing(seed: int) -> PlannedRun:
    return PlannedRun(
        name="digits-linear-rescaled",
        stage="exploration",
        training=Training(dataset="digits", seed=seed, learning_rate=0.01, rescale_from=13),
        note="From epoch 13 on, each pixel is divided by its spread over the training images. "
        "Some pixels are blank in every image, so this divides zero by zero.",
        ending="FAILED",
    )


def _running(seed: int) -> PlannedRun:
    return PlannedRun(
        name=f"digits-mlp-wide-seed{seed}",
        stage="exploration",
        training=replace(_WIDE, seed=seed),
        note=f"{_WIDE_NOTE} This run was left **unfinished** on purpose.",
        ending="RUNNING",
        stop_after=22,
    )


def _wide(seed: int) -> PlannedRun:
    return _turn("digits-mlp-wide", _WIDE, _WIDE_NOTE)(seed)


def _batch_size_sweep(seed: int) -> PlannedRun:
    shared = replace(_CANCER_MLP, seed=seed)
    return PlannedRun(
        name=f"breast-cancer-batch-sweep-seed{seed}",
        stage="tuning",
        training=shared,
        note="A sweep over `batch_size`; the learning rate stays the same.",
        swept="batch_size",
        children=tuple(
            PlannedRun(
                name=f"batch={batch}",
                stage="tuning",
                training=replace(shared, batch_size=batch),
                note=f"One point of the sweep: batches of **{batch}**.",
            )
            for batch in _BATCH_SIZES
        ),
    )


def _turn(name: str, training: Training, note: str) -> Callable[[int], PlannedRun]:
    def planned(seed: int) -> PlannedRun:
        return PlannedRun(
            name=f"{name}-seed{seed}",
            stage="exploration",
            training=replace(training, seed=seed),
            note=note,
        )

    return planned


_CANCER_MLP = Training(
    dataset="breast_cancer", seed=0, learning_rate=0.05, batch_size=32, hidden_units=16
)
_CYCLE: tuple[Callable[[int], PlannedRun], ...] = (
    _turn(
        "breast-cancer-linear",
        Training(dataset="breast_cancer", seed=0, learning_rate=0.001),
        "Logistic regression: malignant or benign, from 30 measurements of cell nuclei.",
    ),
    _turn(
        "diabetes-linear",
        Training(dataset="diabetes", seed=0, learning_rate=0.0005),
        "Linear regression: how far the disease has progressed after a year.",
    ),
    # The first runs hold five seeds of this one and three of the wide one.
    lambda seed: _baseline(seed + 5),
    _turn("breast-cancer-mlp", _CANCER_MLP, "A small network instead of the linear model."),
    _turn(
        "diabetes-mlp",
        Training(dataset="diabetes", seed=0, learning_rate=0.02, batch_size=32, hidden_units=16),
        "A small network instead of the linear model.",
    ),
    lambda seed: _wide(seed + 3),
    _batch_size_sweep,
)
