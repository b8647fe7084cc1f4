"""Two samples to compare, and those that lie between them in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from qualia_lab.analysis.features import Features, features
from qualia_lab.analysis.show import Note, Points


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A table, what it is called (in prose, and shortly in a chart), and since when it is there.

    ``started`` is when its run started: seconds since the epoch, NaN where that is not known.
    """

    name: str
    short: str
    frame: pd.DataFrame
    started: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """What is compared with what: shows itself as a list of statements.

    ``between`` gives the tables between the two, oldest first, read when they are asked for;
    ``of`` is what a row is ("rows", or "runs" where no table was logged); ``by_time`` says that
    nobody named the two: they are the earlier and the later runs.
    """

    reference: Sample
    current: Sample
    told: tuple[tuple[str, str], ...]
    between: Callable[[], Sequence[Sample]] = tuple
    of: str = "rows"
    by_time: bool = False
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def features(self) -> Features:
        """The columns of both, compared by their kinds when first asked for."""
        if "features" not in self._cache:
            self._cache["features"] = features(self.reference.frame, self.current.frame)
        found: Features = self._cache["features"]
        return found

    def kept(self, what: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, made once."""
        if what not in self._cache:
            self._cache[what] = make()
        return self._cache[what]

    def __repr__(self) -> str:
        return repr(Points(self.told))

    def _repr_markdown_(self) -> str:
        return Points(self.told)._repr_markdown_()


class NoSamples(Note):
    """Why there are no two samples; both are empty tables, so that cells that show them run."""

    @property
    def reference(self) -> Sample:
        """A sample of nothing."""
        return Sample(name="no reference", short="", frame=pd.DataFrame())

    @property
    def current(self) -> Sample:
        """A sample of nothing."""
        return Sample(name="no current table", short="", frame=pd.DataFrame())


NOTHING = Note("There are no two samples to compare; what was looked for is said above.")
