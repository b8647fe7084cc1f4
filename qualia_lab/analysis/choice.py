"""Which two samples are compared: by the names of tables, by the order of runs, or as asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from qualia_lab.analysis.artifacts import how_many
from qualia_lab.analysis.labels import find_run, plain
from qualia_lab.analysis.metric_sample import earlier_and_later, of_runs
from qualia_lab.analysis.samples import NoSamples, Samples
from qualia_lab.analysis.table_places import (
    Place,
    evenly,
    one_format,
    sample,
    series_like,
    told_of,
    windows,
)
from qualia_lab.errors import NotFoundError, QualiaError, UsageError, known_list
from qualia_lab.model import FEWEST_TO_SPLIT, RunSet
from qualia_lab.table_files import CURRENTS, REFERENCES
from qualia_lab.text import visible
from qualia_lab.where import Where

_MOST_NAMED = 4
_HOW = (
    'To log them: mlflow.log_table(frame, "reference.json") and '
    'mlflow.log_table(frame, "current.json") in one run, or a table of one name in several runs.'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two tables, why these, and those between in time, oldest first."""

    reference: Place
    current: Place
    why: str
    between: tuple[Place, ...] = ()


def two_samples(
    runs: RunSet,
    reference: str | None = None,
    current: str | None = None,
    table: str | None = None,
) -> Samples | NoSamples:
    """What to compare with what, found among the tables that runs logged; it says what it chose.

    In this order: (a) the newest table that is called current, production, prod, serving, live,
    latest or test, against one called reference, baseline, train, training or expected, of the same
    run or else the newest there is; (b) the table of one path that most runs logged: of the
    oldest run against that of the newest; (c) without tables, the metrics of the
    earlier half of ten runs or more against those of the later half.

    Args:
        runs: the runs.
        reference: which table or runs to compare with: ``RUN:path``, a run (an id, its beginning,
            or a name), a path, or a condition on runs such as ``params.stage == "old"`` (see
            ``where.Where``), whose metrics and params then are the sample.
        current: the other one, in the same ways. One given alone is set against what goes with it.
        table: the path of the table, where several could be meant: of a run that is named, of the
            side that is not given, or, alone, of the runs that logged it.

    Returns:
        Both samples; or a note that says what is missing, where it was looked for, and how to log
        it.

    Raises:
        NotFoundError: what was asked for is not there; what is, is listed.
        UsageError: reference and current leave no room for ``table``.
    """
    asked = (reference, current)
    conditions = [one for one in asked if one and _is_condition(runs, one)]
    if conditions:
        if table:
            raise _no_room(table, "conditions on runs compare metrics and params")
        return _groups(runs, reference, current)
    known = runs.tables()
    places = [
        Place(run_id=str(run_id), path=str(path), noted=bool(noted))
        for run_id, path, noted in zip(known["run_id"], known["path"], known["noted"], strict=True)
    ]
    told = list(known.attrs["left out"])
    pair: _Pair | None
    if any(asked) or table:
        pair = _asked(runs, places, reference, current, table)
    else:
        pair = _by_name(places) or _over_runs(places)
    if pair is None:
        return earlier_and_later(runs) or _nothing(runs, places, told)
    try:
        return _loaded(runs, places, pair, told)
    except QualiaError as error:
        return NoSamples(
            f"The tables to compare can't be read: {error}\nOthers can be named as reference and "
            f"current: RUN:path. {_others(runs, places)}"
        )


def _is_condition(runs: RunSet, which: str) -> bool:
    """Whether it is no name of a run or table, but a condition that can be read as one."""
    try:
        Where(which)
    except UsageError:
        return False
    return bool(re.search(r"[=<>(]", which)) and which not in set(runs.runs["name"])


def _groups(runs: RunSet, reference: str | None, current: str | None) -> Samples:
    if not (reference and current):
        raise UsageError(
            "a condition on runs needs another one to be compared with",
            hint="Give both reference and current.",
        )
    first, second = (of_runs(runs, Where(one).matching(runs), one) for one in (reference, current))
    told = (
        ("Reference", f"{first.name}."),
        ("Current", f"{second.name}."),
        ("Chosen", "as asked for, by conditions on runs; a row is a run."),
    )
    return Samples(reference=first, current=second, told=told, of="runs")


def _by_name(places: Sequence[Place]) -> _Pair | None:
    """The newest table called current, with the reference that is nearest to it."""
    places = one_format(places)
    roles = [(one, one.rank(REFERENCES), one.rank(CURRENTS)) for one in places]
    references = [one for one, first, second in roles if first is not None and second is None]
    currents = [one for one, first, second in roles if first is None and second is not None]
    if not (currents and references):
        return None
    like = {one.rest(REFERENCES) for one in references}
    fitting = [one for one in currents if one.rest(CURRENTS) in like] or currents
    newest = fitting[-1].run_id
    mine = [one for one in fitting if one.run_id == newest]
    best = min(mine, key=lambda one: one.rank(CURRENTS) or 0)
    rest = best.rest(CURRENTS)
    series = [one for one in currents if one.rest(CURRENTS) == rest]
    current = [one for one in series if one.run_id == newest][-1]
    same = [one for one in references if one.run_id == newest]
    near = sorted(
        same or references[::-1],
        key=lambda one: (one.rest(REFERENCES) != rest, one.rank(REFERENCES) or 0),
    )
    why = "their names say so; the newest run that has one called so"
    if not same:
        why = "their names say so; the newest of each, since no run has both"
    between = tuple(one for one in series[: series.index(current)] if one != near[0])
    return _Pair(reference=near[0], current=current, why=why, between=between)


def _over_runs(places: Sequence[Place], path: str | None = None) -> _Pair | None:
    """The table that most runs have: of the oldest run against the newest."""
    usable = [one for one in places if one.noted or not one.path.lower().endswith(".json")]
    having: dict[str, list[Place]] = {}
    for one in places if path else usable:
        having.setdefault(one.path, []).append(one)
    if path:
        having = {path: having.get(path, [])}
    shared = {name: found for name, found in having.items() if len(found) > 1}
    if not shared:
        return None
    chosen = min(shared, key=lambda name: (-len(shared[name]), name))
    first, *between, last = shared[chosen]
    why = f"{how_many(len(shared[chosen]))} logged it: the oldest against the newest"
    return _Pair(reference=first, current=last, why=why, between=tuple(between))


def _asked(
    runs: RunSet,
    places: Sequence[Place],
    reference: str | None,
    current: str | None,
    table: str | None,
) -> _Pair:
    """The tables that were asked for; what was left open follows from what was not."""
    if table is not None and not any(one.path == table for one in places):
        raise _unknown(table, places)
    if not (reference or current):
        return _over_runs(places, table) or _of_one_run(places, str(table))
    first = _meant(runs, places, reference, table, REFERENCES) if reference else None
    second = _meant(runs, places, current, table, CURRENTS) if current else None
    first = first or _partner(places, second, REFERENCES, table)
    second = second or _partner(places[::-1], first, CURRENTS, table)
    if table is not None and table not in (first.path, second.path):
        both = " and ".join(plain(one.path, 60) for one in (first, second))
        raise _no_room(table, f"reference and current name {both}")
    between = _betweens(places, first, second)
    return _Pair(reference=first, current=second, why="as asked for", between=between)


def _of_one_run(places: Sequence[Place], table: str) -> _Pair:
    """A table that one run alone has, against what it goes with by its name."""
    mine = next(one for one in places if one.path == table)
    is_reference = mine.rank(REFERENCES) is not None and mine.rank(CURRENTS) is None
    roles = CURRENTS if is_reference else REFERENCES
    try:
        other = _partner(places[::-1] if is_reference else places, mine, roles, None)
    except NotFoundError:
        raise NotFoundError(
            f"one run alone has {visible(table, 100)}, and no table goes with it by its name",
            hint="Give reference and current: RUN:path.",
        ) from None
    first, second = (mine, other) if is_reference else (other, mine)
    why = "the table that was asked for, and what goes with it by its name"
    return _Pair(reference=first, current=second, why=why)


def _partner(
    places: Sequence[Place], one: Place | None, roles: Sequence[str], table: str | None
) -> Place:
    """What goes with a table: called so in its run, else of its path in another, else called so.

    A ``table`` that is named is it, of the same run where that has it.
    """
    others = [other for other in places if other != one]
    if one is not None and table is not None and any(other.path == table for other in others):
        named = [other for other in others if other.path == table]
        # The path of a run that was named is that of both sides, in different runs.
        return min(named, key=lambda other: other.run_id != one.run_id)
    called = [other for other in others if other.rank(roles) is not None]
    if one is not None:
        called = [other for other in called if other.run_id == one.run_id] or [
            *(other for other in others if other.path == one.path),
            *called,
        ]
        called.sort(key=lambda other: (other.path != one.path, *one.is_partner(other)))
    if not called:
        path = "" if one is None else plain(one.path, 100)
        raise NotFoundError(f"no table goes with {path}", hint="Give both: RUN:path.")
    return called[0]


def _no_room(table: str, why: str) -> UsageError:
    return UsageError(
        f"the table {visible(table, 100)} is not used: {why}",
        hint="Leave table out, or name it as reference or current: RUN:path.",
    )


def _betweens(places: Sequence[Place], first: Place, second: Place) -> tuple[Place, ...]:
    """The tables of the path of the current one that lie between the two."""
    ends = sorted((places.index(first), places.index(second)))
    return tuple(one for one in places[ends[0] + 1 : ends[1]] if one.path == second.path)


def _meant(
    runs: RunSet, places: Sequence[Place], which: str, table: str | None, roles: Sequence[str]
) -> Place:
    """The table that somebody means by ``RUN:path``, a run, or a path."""
    of_path = [one for one in places if one.path == which]
    if of_path:
        return of_path[0] if roles is REFERENCES else of_path[-1]
    run, colon, path = which.partition(":")
    if colon and path:
        run_id = find_run(runs, run)
        found = [one for one in places if (one.run_id, one.path) == (run_id, path)]
        if not found:
            raise _unknown(path, [one for one in places if one.run_id == run_id])
        return found[0]
    run_id = find_run(runs, which)
    mine = [one for one in places if one.run_id == run_id and table in (None, one.path)]
    if not mine:
        raise NotFoundError(f"the run {visible(which, 60)} logged no table", hint=_HOW)
    return min(mine, key=lambda one: (_or_last(one.rank(roles)), not one.noted, one.path))


def _or_last(rank: int | None) -> int:
    return len(REFERENCES) + len(CURRENTS) if rank is None else rank


def _unknown(path: str, places: Iterable[Place]) -> NotFoundError:
    known = dict.fromkeys(one.path for one in places)
    return NotFoundError(f"no run has a table {visible(path, 100)}", hint=known_list(path, known))


def _loaded(runs: RunSet, places: Sequence[Place], pair: _Pair, left_out: Sequence[str]) -> Samples:
    first, second = (sample(runs, one) for one in (pair.reference, pair.current))
    between = evenly(pair.between)
    told = [
        ("Reference", f"{first.name}, {len(first.frame):,} rows."),
        ("Current", f"{second.name}, {len(second.frame):,} rows."),
        ("Chosen", f"{pair.why}."),
    ]
    if between:
        cut = f" of {len(pair.between):,}" if len(between) < len(pair.between) else ""
        told.append(("Between them", f"{len(between):,}{cut} tables, drawn as windows below."))
    used = {pair.reference, pair.current, *pair.between}
    rest = [one for one in places if one.path not in (pair.reference.path, pair.current.path)]
    if not between and (series := series_like(runs, rest, first.frame)):
        used |= {*series}
        between = evenly(series)
        told.append(("Windows", told_of(series[0].path, len(series), len(between))))
    rest = [one for one in places if one not in used]
    if rest:
        told.append(("Not used", _others(runs, rest)))
    if left_out:
        told.append(("Left out", f"{'; '.join(left_out)}."))
    return Samples(
        reference=first,
        current=second,
        told=tuple(told),
        between=partial(windows, runs, between),
    )


def _others(runs: RunSet, places: Sequence[Place]) -> str:
    paths = dict.fromkeys(plain(one.path, 60) for one in places)
    named = ", ".join(list(paths)[:_MOST_NAMED])
    more = f", and {len(paths) - _MOST_NAMED:,} more paths" if len(paths) > _MOST_NAMED else ""
    noun = "table" if len(places) == 1 else "tables"
    return f"{len(places):,} other {noun}: {named}{more}." if places else "No table is left."


def _nothing(runs: RunSet, places: Sequence[Place], left_out: Sequence[str]) -> NoSamples:
    lines = ["There are no two samples to compare."]
    if places:
        lines.append(
            f"{len(places):,} tables were found, none of which goes with another: "
            + ", ".join(dict.fromkeys(plain(one.path, 60) for one in places[:_MOST_NAMED]))
            + "."
        )
    else:
        lines.append(
            f"Looked for: CSV, Parquet and mlflow.log_table's JSON among the artifacts of "
            f"{how_many(len(runs))}; metrics of {FEWEST_TO_SPLIT} runs."
        )
    if left_out:
        lines.append(f"Left out: {'; '.join(left_out)}.")
    return NoSamples("\n".join([*lines, _HOW]))
