"""What parts of a condition are worth: a text, number or yes for each run, or a constant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Texts:
    """A text a run; None where the run has none."""

    values: list[str | None]


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number a run, and whether the run has one. ``unit`` is "" or "time" or "span", in ms."""

    values: np.ndarray
    here: np.ndarray
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Flags:
    """A yes or no a run."""

    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Plain:
    """A value that stands in the condition itself."""

    value: Any


Value = Texts | Numbers | Flags | Plain


def each(texts: Texts, test: Callable[[str], bool]) -> np.ndarray:
    """Whether a text fulfils a test; a run without one does not."""
    import numpy as np

    return np.array([one is not None and test(one) for one in texts.values], dtype=bool)


def false_where_missing(
    compare: Callable[[Any, Any], Any], one: Numbers, other: Numbers
) -> np.ndarray:
    """What a comparison says, and no for a run that lacks one side."""
    found: np.ndarray = one.here & other.here & compare(one.values, other.values)
    return found


def here_of(value: Value) -> np.ndarray:
    """Whether a run has it at all."""
    import numpy as np

    if isinstance(value, Texts):
        return np.array([one is not None for one in value.values], dtype=bool)
    assert isinstance(value, Numbers)  # noqa: S101 - the callers refused everything else
    return value.here


def texts_of(values: Iterable[Any]) -> list[str | None]:
    """A column of a frame as texts."""
    # A missing text is None or NaN, by the version of pandas.
    return [one if isinstance(one, str) else None for one in values]


def as_float(value: float | None) -> float:
    """Python's whole numbers have no bound; beyond a double's they are infinite."""
    if value is None:
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
