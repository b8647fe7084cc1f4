"""Tables of runs: what their names say, and which of them are windows in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qualia_lab.analysis.artifacts import how_many
from qualia_lab.analysis.labels import plain, run_labels
from qualia_lab.analysis.samples import Sample
from qualia_lab.analysis.times import seconds, short, stamp
from qualia_lab.errors import QualiaError
from qualia_lab.model import RunSet
from qualia_lab.table_files import CURRENTS, ENDINGS, REFERENCES

# What a table is, by a word of its name; the earlier words count more.
_WORD = re.compile(r"[a-z]+")
_MOST_WINDOWS = 24
# So many paths are looked into for windows, by one table each.
_MOST_TRIED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A table of a run; ``noted`` by MLflow as such."""

    run_id: str
    path: str
    noted: bool

    @property
    def stem(self) -> str:
        """The path without the ending, which says no more than the format."""
        low = self.path.lower()
        return self.path[: low.rindex(".")] if low.endswith(ENDINGS) else self.path

    @property
    def ending(self) -> str:
        return self.path[len(self.stem) :].lower()

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(_WORD.findall(self.stem.lower()))

    def rank(self, roles: Sequence[str]) -> int | None:
        """How far up its name stands among those that say so; None where it says nothing."""
        return min((roles.index(one) for one in self.words if one in roles), default=None)

    def rest(self, roles: Sequence[str]) -> tuple[str, ...]:
        return tuple(one for one in self.words if one not in roles)

    def is_partner(self, other: Place) -> tuple[bool, bool]:
        """How badly both go together, by the words besides the roles and by the format."""
        roles = (*REFERENCES, *CURRENTS)
        return (self.rest(roles) != other.rest(roles), self.ending != other.ending)


def one_format(places: Sequence[Place]) -> list[Place]:
    """Each table of a run once, where it was logged in several formats: as MLflow notes it."""
    chosen: dict[tuple[str, str], Place] = {}
    for one in places:
        before = chosen.setdefault((one.run_id, one.stem), one)
        if one.noted and not before.noted:
            chosen[one.run_id, one.stem] = one
    return [one for one in places if chosen[one.run_id, one.stem] is one]


def series_like(runs: RunSet, places: Sequence[Place], like: pd.DataFrame) -> list[Place]:
    """The tables of the path that most runs logged and that has all columns of ``like``.

    Of at most three paths one table is read to see that; empty where none will do.
    """
    having: dict[str, list[Place]] = {}
    for one in one_format(places):
        having.setdefault(one.path, []).append(one)
    several = sorted(
        (found for found in having.values() if len(found) > 1),
        key=lambda found: (-len(found), not found[-1].noted, found[-1].path),
    )
    for found in several[:_MOST_TRIED]:
        try:
            names = set(runs.table(found[-1].path, found[-1].run_id).columns)
        except QualiaError:
            continue
        if len(like.columns) and names.issuperset(like.columns):
            return found
    return []


def told_of(path: str, tables: int, drawn: int) -> str:
    """What is said of windows that are tables of another path."""
    cut = f", {drawn:,} of them" if drawn < tables else ""
    return (
        f"{plain(path, 60)} of {how_many(tables)}, which has the columns of the reference"
        f"{cut}; drawn as windows below."
    )


def evenly(places: Sequence[Place]) -> list[Place]:
    """At most as many as are drawn, evenly in time."""
    kept = np.linspace(0, len(places) - 1, min(len(places), _MOST_WINDOWS)).round().astype(int)
    return [places[one] for one in kept]


def windows(runs: RunSet, places: Sequence[Place]) -> list[Sample]:
    """The tables between; one that can't be read is left out of them."""
    found = []
    for one in places:
        try:
            found.append(sample(runs, one))
        except QualiaError:
            continue
    return found


def sample(runs: RunSet, place: Place) -> Sample:
    """The table, with its name and when its run started."""
    label = plain(run_labels(runs)[place.run_id])
    started = float(seconds(runs.runs.loc[[place.run_id], "started"])[0])
    since = f", {stamp(started)[:16]}" if stamp(started) else ""
    path = plain(place.path, 80)
    frame = runs.table(place.path, place.run_id)
    return Sample(
        name=f"{path} of {label}{since}",
        short=short(f"{place.path.rpartition('/')[2]} of {label}" if not since else label, 36),
        frame=pd.DataFrame(frame),
        started=started,
    )
