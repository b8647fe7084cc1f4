"""What of a query no store answers: conditions, globs, nested runs, the best by a metric."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from qualia_lab.errors import NotFoundError, UsageError, known_list
from qualia_lab.model import Query, RunSet
from qualia_lab.moments import at_ms, first_ms, last_ms
from qualia_lab.text import visible
from qualia_lab.where import Where

_AS_THEY_ARE = ("filter", "where", "name", "top", "top_level", "children")


def is_plain(query: Query) -> bool:
    """Whether a store answers all of it."""
    return not (query.where or query.name or query.top_level or query.best or query.children)


def for_store(query: Query) -> Query:
    """What of a query a store answers; it gives the runs that match, and maybe more."""
    if is_plain(query):
        return query
    order = query.order_by
    if query.best:
        order = (by_metric(*query.best),)
    narrowed_here = bool(query.where or query.name or query.top_level)
    return replace(
        query,
        order_by=order,
        top=None if narrowed_here else query.top,
        where="",
        name="",
        top_level=False,
        best=None,
        children=False,
    )


def chosen(query: Query, found: RunSet, everything: Callable[[], RunSet]) -> RunSet:
    """The runs of a query.

    Args:
        query: the whole query.
        found: what the store gave for ``for_store(query)``.
        everything: loads all runs of the query's experiments, among which children are looked for.

    Raises:
        UsageError: ``where`` names what no run has, or is no condition.
        NotFoundError: no run has the metric to be the best by.
    """
    if is_plain(query):
        return found
    ids = [str(run) for run in found.runs.index]
    runs = found.runs
    if query.name:
        names = runs["name"]
        ids = [run for run in ids if fnmatch.fnmatchcase(str(names[run]), query.name)]
    if query.top_level:
        nested = runs["parent"].notna()
        ids = [run for run in ids if not nested[run]]
    if query.where and len(found):
        ids = _among(ids, Where(query.where).matching(found))
    if query.best and len(found):
        ids = _among(ids, _with_metric(query.best[0], found))
    ids = ids[: query.top]
    if not query.children:
        return found.only(ids)
    whole = everything()
    return whole.only(_with_children(ids, whole))


def by_metric(metric: str, end: str) -> str:
    """MLflow's order clause for the last value of a metric: ``end`` is ``"min"`` or ``"max"``."""
    return f"metrics.{_quoted(metric)} {'ASC' if end == 'min' else 'DESC'}"


def plain_query(query: Query, runs: RunSet) -> dict[str, Any]:
    """A query as plain values, bound by the newest start among the runs that it gave."""
    found: dict[str, Any] = {"experiment_ids": list(query.experiment_ids)}
    for name in _AS_THEY_ARE:
        if getattr(query, name):
            found[name] = getattr(query, name)
    if query.statuses:
        found["statuses"] = list(query.statuses)
    if query.best:
        found["best"] = list(query.best)
    if query.since:
        found["since"] = first_ms(query.since)
    newest = runs.runs["started"].max()
    # A start that is no date has no bound to offer; then later runs count as a change.
    if newest == newest and not runs.runs["started"].isna().any():
        found["until"] = last_ms(newest.to_pydatetime())
    return {**found, "matched": len(runs)}


def query_of(wanted: Mapping[str, Any]) -> Query:
    """The query that a notebook holds as plain values; the opposite of ``plain_query``."""
    known = (*_AS_THEY_ARE, "experiment_ids", "statuses", "best", "since", "until", "matched")
    for key in wanted:
        if key not in known:
            raise UsageError(
                f"a query has no {visible(str(key), 60)}", hint=known_list(str(key), known)
            )
    since, until, best = wanted.get("since"), wanted.get("until"), wanted.get("best")
    return Query(
        experiment_ids=tuple(str(one) for one in wanted.get("experiment_ids", ())),
        statuses=tuple(wanted.get("statuses", ())),
        best=(str(best[0]), "min" if best[1] == "min" else "max") if best else None,
        since=None if since is None else at_ms(since),
        until=None if until is None else at_ms(until),
        **{name: wanted[name] for name in _AS_THEY_ARE if wanted.get(name)},
    )


def _quoted(metric: str) -> str:
    """A metric as MLflow's order clauses name it."""
    for quote in ("`", '"'):
        if quote not in metric:
            return f"{quote}{metric}{quote}"
    raise UsageError(f"runs can't be ordered by {visible(metric, 60)}: it has both kinds of quotes")


def _among(ids: list[str], matching: list[str]) -> list[str]:
    kept = set(matching)
    return [run for run in ids if run in kept]


def _with_metric(metric: str, found: RunSet) -> list[str]:
    """The runs that logged a number under that name: NaN is not the best of anything."""
    if metric not in found.metrics.columns:
        raise NotFoundError(
            f"no run logged the metric {visible(metric, 60)}",
            hint=known_list(metric, found.metric_names),
        )
    values = found.metrics[metric]
    return [str(run) for run in values[values.notna()].index]


def _with_children(ids: list[str], whole: RunSet) -> list[str]:
    """Each run with those nested in it, at any depth, behind it; each once."""
    nested: dict[str, list[str]] = {}
    for run, parent in whole.runs["parent"].items():
        nested.setdefault(str(parent), []).append(str(run))
    found: dict[str, None] = {}
    left = list(reversed([run for run in ids if run in whole.runs.index]))
    while left:
        run = left.pop()
        if run not in found:  # tags can make a circle of parents
            found[run] = None
            left.extend(reversed(nested.get(run, [])))
    return list(found)
