"""What a kind of notebook is: the facts that it needs, its questions, sections and cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from qualia_lab.model import FEWEST_TO_SPLIT, LOOKED_AT, Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that data can have: what is said where it is absent, and how to log it.

    Only reading the traces tells whether a fact ``of_traces`` is there.
    """

    missing: str
    how: str
    of_traces: bool = False


FACTS: Mapping[str, Fact] = {
    "runs": Fact(
        missing="No run is selected.",
        how="mlflow.start_run()",
    ),
    "two_runs": Fact(
        missing="A comparison needs two runs or more; one is selected.",
        how="Select more runs, for example with --all or a second --run.",
    ),
    "params": Fact(
        missing="None of these runs logged a param.",
        how='mlflow.log_param("learning_rate", 0.01)',
    ),
    "metrics": Fact(
        missing="None of these runs logged a metric.",
        how='mlflow.log_metric("val_loss", 0.31, step=1)',
    ),
    "repeats": Fact(
        missing="No two of these runs have the same params but for a seed.",
        how='mlflow.log_param("seed", 1), in several runs of the same params',
    ),
    "varied": Fact(
        missing="No param has two values among these runs.",
        how='mlflow.log_param("learning_rate", 0.01), in runs that differ in it',
    ),
    "nested": Fact(
        missing="None of these runs is nested in another of them.",
        how="mlflow.start_run(nested=True)",
    ),
    "calls": Fact(
        missing="No trace of these experiments, and none of these runs, has tokens or a cost.",
        how="mlflow.openai.autolog(), or the autolog of another client, before models are called",
        of_traces=True,
    ),
    "system_metrics": Fact(
        missing="None of these runs logged what the machine did.",
        how="mlflow.enable_system_metrics_logging(), with psutil installed",
    ),
    "two_samples": Fact(
        missing="There are no two samples to compare: no table (CSV, Parquet, mlflow.log_table) is "
        f"noted by these runs or among the files of the {LOOKED_AT} newest, and less than "
        f"{FEWEST_TO_SPLIT} logged the same metric.",
        how='mlflow.log_table(frame, "reference.json") and mlflow.log_table(frame, "current.json")',
    ),
    "named_samples": Fact(
        missing="No two tables are noted by these runs whose names say that one is held against "
        "the other, such as reference.json and current.json.",
        how='mlflow.log_table(frame, "reference.json") and mlflow.log_table(frame, "current.json")',
    ),
    "datasets": Fact(
        missing="None of these runs logged a data set.",
        how='mlflow.log_input(mlflow.data.from_pandas(frame, name="train"), context="training")',
    ),
}

Loop = Literal["run", "metric", "experiment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A question of a kind.

    One that is not ``at_prompt`` has its default there, and an answer only by ``--param``.
    ``choices`` is ``"metrics"``, ``"params"`` or ``"runs"`` (those of the chosen runs), a tuple of
    strings, or None for free text; ``default`` is an answer, or ``"first"`` of the choices; where
    it is a number, so is every answer, and a whole number where ``number`` says so. ``numbers``
    are several above 0, with commas between; ``least`` and ``greatest`` bound a number. A ``path``
    is of a file, from where the person is; the notebook holds it from its own folder.
    """

    name: str
    ask: str
    at_prompt: bool = True
    number: bool = False
    numbers: bool = False
    path: bool = False
    least: float | None = None
    greatest: float | None = None
    choices: str | tuple[str, ...] | None = None
    default: Answer = None

    @property
    def usual(self) -> Answer:
        """The answer where nobody gives one; None where that depends on the runs."""
        if self.default != "first":
            return self.default
        return self.choices[0] if isinstance(self.choices, tuple) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section file of a kind, without its ending, as the manifest names it.

    ``needs`` are facts of ``RunSet.has``; ``most`` bounds ``for_each``; a ``fixed`` section
    stays in the notebook whatever sections are asked for, since the others build on it;
    an ``optional`` one is in it only where it is asked for.
    """

    file: str
    for_each: Loop | None = None
    most: int | None = None
    needs: tuple[str, ...] = ()
    fixed: bool = False
    optional: bool = False

    @property
    def name(self) -> str:
        """What a person calls it: the last part of the file's path."""
        return self.file.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of notebook, as its manifest describes it."""

    name: str
    title: str
    summary: str
    min_runs: int
    parameters: tuple[Parameter, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a notebook. ``id`` is unique in the notebook and the same for the same input."""

    id: str
    type: Literal["markdown", "code"]
    source: str
    tags: tuple[str, ...] = ()
    section: str = ""
