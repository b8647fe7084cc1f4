"""Requests and answers: true sentences about the wines of scikit-learn's data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

QUESTIONS = (
    "How does this wine differ from the others?",
    "Which measurements are unusual?",
    "What would a buyer want to know?",
    "Describe the wine for a catalogue.",
)
TASKS = {
    "summarize": "Summarize the measurements below and answer the question.",
    "critique": "Criticise the answer below: what is missing, what is not in the measurements?",
    "revise": 'Revise the answer below by its criticism. Return JSON: {"answer": "..."}.',
}
JUDGE_TASK = (
    "You judge answers about the measurements of a wine. Give a score from 1 (useless) to 5 (as "
    "good as can be) and one sentence that says why. The answer to judge:"
)
_CHARACTERS_A_TOKEN = 4


def tokens(text: str) -> int:
    """How many tokens a text counts for here: a quarter of its characters, rounded down.

    A rule of thumb for English (OpenAI, "What are tokens and how to count them?"), so that every
    count can be made again from the stored texts.
    """
    return len(text) // _CHARACTERS_A_TOKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Wines:
    """178 wines, 13 measurements each, and the range and mean of each measurement."""

    names: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    lowest: tuple[float, ...]
    means: tuple[float, ...]
    highest: tuple[float, ...]


@cache
def wines() -> Wines:
    """scikit-learn's wine data."""
    bunch = _bunch("wine")
    return Wines(
        names=tuple(_words(name) for name in bunch.feature_names),
        rows=tuple(tuple(map(float, row)) for row in bunch.data),
        lowest=tuple(map(float, bunch.data.min(axis=0))),
        means=tuple(map(float, bunch.data.mean(axis=0))),
        highest=tuple(map(float, bunch.data.max(axis=0))),
    )


@cache
def prefix() -> str:
    """What every request begins with: long, and always the same."""
    lines = [
        "You describe measurements in plain words. Use only what is given. Name a unit only if it "
        "is given. Compare each value with the table, and say so when it is outside its range. Do "
        "not guess what was not measured.",
        "",
        "Table of reference: measurement, lowest, mean, highest, spread.",
    ]
    for name in ("wine", "iris", "breast_cancer"):
        bunch = _bunch(name)
        for column, feature in enumerate(bunch.feature_names):
            values = bunch.data[:, column]
            lines.append(
                f"- {_words(name)}, {_words(feature)}: lowest {values.min():.2f}, "
                f"mean {values.mean():.2f}, highest {values.max():.2f}, spread {values.std():.2f}"
            )
    return "\n".join(lines)


def system(stage: str, version: int) -> str:
    """The first message of a stage's requests, for one version of the prompt."""
    return f"{prefix()}\n\nTask (version {version}): {TASKS[stage]}"


def document(wine: int) -> str:
    """The measurements of one wine."""
    given = wines()
    pairs = zip(given.names, given.rows[wine], strict=True)
    return f"Wine {wine + 1}: " + ", ".join(f"{name} {value:g}" for name, value in pairs)


def summary(wine: int, order: Sequence[int], times: int) -> str:
    """Sentences about the measurements in ``order``, said ``times`` times over."""
    given = wines()
    said = []
    for column in order:
        value, mean = given.rows[wine][column], given.means[column]
        side = "above" if value > mean else "below"
        said.append(f"Its {given.names[column]} is {value:g}, {side} the mean of {mean:.2f}.")
    return " ".join(said * times)


def critique(order: Sequence[int], times: int) -> str:
    """What a summary of the measurements in ``order`` leaves out."""
    names = wines().names
    missing = [name for column, name in enumerate(names) if column not in order]
    said = [f"The answer does not mention {name}." for name in missing]
    said += [f"It gives no range for {names[column]}." for column in order]
    return " ".join(said * times)


def revision(wine: int, order: Sequence[int], times: int, *, whole: bool) -> str:
    """The revised answer as JSON; cut off in the middle unless it is ``whole``."""
    given = wines()
    said = []
    for column in order:
        value, low, high = given.rows[wine][column], given.lowest[column], given.highest[column]
        said.append(
            f"{given.names[column].capitalize()}: {value:g} (between {low:g} and {high:g})."
        )
    text = json.dumps({"answer": " ".join(said * times)})
    return text if whole else text[: len(text) * 2 // 3]


def verdict(score: int, order: Sequence[int]) -> str:
    """What the judge says about an answer that speaks of the measurements in ``order``."""
    return f"Score {score}: the answer gives {len(order)} of {len(wines().names)} measurements."


def _bunch(name: str) -> Any:
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")()


def _words(name: Any) -> str:
    return str(name).replace("_", " ").replace("/", " or ")
