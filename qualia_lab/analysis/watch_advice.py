"""What checks over time found, each as a finding with its level and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qualia_lab.analysis.found import Finding, Found, Level, Severity
from qualia_lab.analysis.labels import how_long, plain, rough, run_labels
from qualia_lab.analysis.show import Note
from qualia_lab.analysis.times import stamp
from qualia_lab.analysis.watch_alerts import CHANGE_POINT, Alert, alerts, sensitivity
from qualia_lab.analysis.watch_changes import onset_interval
from qualia_lab.analysis.watch_concepts import drift_told, in_vain, stream_of
from qualia_lab.analysis.watch_judging import Judged, judged, verb
from qualia_lab.analysis.watch_performance import performance_table
from qualia_lab.analysis.watch_series import Parts, watched
from qualia_lab.analysis.watch_streams import ALARM, drifts, stream_false_alarms
from qualia_lab.model import RunSet

_MOST_NAMED = 3
_SEVERITY: dict[Level, Severity] = {"alarm": "error", "warning": "warning", "note": "info"}
_DAYS_AHEAD = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """A finding, and what to do about it; empty where there is nothing to be done."""

    finding: Finding
    do: str = ""


def watch_findings(
    runs: RunSet,
    metric: str | None,
    parts: Parts | None = None,
    of_run: str | None = None,
    errors: pd.Series[float] | None = None,
) -> list[Finding]:
    """What the checks over time found, by level.

    Alarms: a calibrated rule on the level of the metric fires or its change point is one (see
    ``alert_table``), for the worse where that is known; ADWIN saw errors of predictions rise last.
    Warnings: a single value beyond its limits; a change point at ``parts.false_alarms`` that is no
    alarm; other metrics that changed for the worse or in no known direction. Notes: changes for the
    better, and what could not be checked.
    """
    return [one.finding for one in _advised(runs, metric, parts or Parts(), of_run, errors)]


def what_to_do(
    runs: RunSet,
    metric: str | None,
    parts: Parts | None = None,
    of_run: str | None = None,
    errors: pd.Series[float] | None = None,
    more: Found | Note | None = None,
) -> Found:
    """The findings over time and ``more`` of others, what to do, and how sensitive the check was.

    A ``more`` that is a note holds none.

    It is also how the command learns of them (``--json``, ``--fail-on``).
    """
    parts = parts or Parts()
    found = _advised(runs, metric, parts, of_run, errors)
    notes = [("Do", one.do) for one in found if one.do]
    others = more.findings if isinstance(more, Found) else ()
    series = watched(runs, metric, of_run)
    if metric is not None and not series.problem:
        one = judged(series, parts)
        if not any(each.finding.level != "note" for each in found) and not others:
            notes.append(("Do", f"nothing: {_calm(one)}"))
        notes.append(("Would be seen", sensitivity(one, parts)))
    return Found([*(one.finding for one in found), *others], notes)


def _calm(one: Judged) -> str:
    p = one.change.p if one.change else float("nan")
    return (
        f"{plain(one.series.metric)} is at {rough(one.current.value)} against "
        f"{rough(one.baseline.value)} in the baseline, and noise gives a change point as clear as "
        f"its own in {p:.0%} of such series."
    )


def _advised(
    runs: RunSet,
    metric: str | None,
    parts: Parts,
    of_run: str | None,
    errors: pd.Series[float] | None,
) -> list[Advised]:
    found = [*of_metric(runs, metric, parts, of_run)]
    found += _of_others(runs, metric, parts, of_run)
    found += _of_errors(runs, metric, errors)
    return found


def _finding(level: Level, what: str, evidence: str) -> Finding:
    return Finding(severity=_SEVERITY[level], level=level, what=what, evidence=evidence)


def of_metric(
    runs: RunSet, metric: str | None, parts: Parts, of_run: str | None
) -> Iterator[Advised]:
    """What was found of the watched metric, the gravest first."""
    if metric is None:
        yield Advised(
            finding=_finding("note", "no metric over time was checked", "no run logged a metric")
        )
        return
    series, name = watched(runs, metric, of_run), plain(metric)
    one = judged(series, parts)
    change = one.change
    if change is None:
        what = f"{name} over time was not checked"
        yield Advised(finding=_finding("note", what, series.problem))
        return
    rules = alerts(one, parts)
    moved = [each for each in rules if each.fires and each.level == "alarm"]
    single = [each for each in rules if each.fires and each.level == "warning"]
    if moved:
        what = f"{name} {_moved(one, moved)}"
        do = _do_about(runs, one, moved)
        yield Advised(finding=_finding("alarm", what, _evidence(one, [*moved, *single])), do=do)
        return
    if single:
        at = _named(runs, one, min(each.place for each in single if each.place is not None))
        what = f"{name} has a value beyond its limits at {at}"
        do = f"look at {at}: a single value is odd, the level has not been shown to move."
        yield Advised(finding=_finding("warning", what, _evidence(one, single)), do=do)
    if change.p <= parts.false_alarms:
        called = one.called(change.p, parts.false_alarms)
        level: Level = "note" if called == "better" else "warning"
        what = f"{name} {verb(called)} since {stamp(series.times[change.since])}"
        do = "" if level == "note" else f"look at {name} again with more values: {_limits(rules)}."
        yield Advised(finding=_finding(level, what, _evidence(one, ())), do=do)


def _moved(one: Judged, fired: Sequence[Alert]) -> str:
    """What is said of a metric on which rules fired, from the first moment at which one did."""
    series, change = one.series, one.change
    by_change = any(each.rule == CHANGE_POINT for each in fired)
    if change is not None and by_change:
        word = verb(one.called(change.p, 1.0))
        how = "gradually, since about" if change.shape == "gradual" else "since"
        return f"{word} {how} {stamp(series.times[change.since])}"
    first = min(each.place for each in fired if each.place is not None)
    return f"passed its limits on {stamp(series.times[first])}"


def _evidence(one: Judged, fired: Sequence[Alert]) -> str:
    change = one.change
    size = f" ({one.in_spreads:+.2g} standard deviations)" if one.spread > 0 else ""
    levels = f"{rough(one.baseline.value)} in the baseline, {rough(one.current.value)} now{size}"
    parts = [levels] + ([f"change point with p = {change.p:.2g}"] if change else [])
    parts += [
        f"{each.rule} reached {rough(each.reached)}, limit {rough(each.threshold)} "
        f"(passed in vain in {each.rate:.1%})"
        for each in fired
        if each.rule != CHANGE_POINT
    ]
    return "; ".join(parts)


def _limits(rules: Sequence[Alert]) -> str:
    limit = next(each for each in rules if each.rule == CHANGE_POINT)
    return f"p is {limit.reached:.2g}, and an alarm needs {limit.threshold:.2g}"


def _do_about(runs: RunSet, one: Judged, fired: Sequence[Alert]) -> str:
    """What to look at, by the shape of the change."""
    series, change, name = one.series, one.change, plain(one.series.metric)
    if change is None or not any(each.rule == CHANGE_POINT for each in fired):
        first = min(each.place for each in fired if each.place is not None)
        return (
            f"look at what is new since {_named(runs, one, first)}: small changes of {name} add up "
            f"({', '.join(each.rule for each in fired)}), though no moment of change stands out."
        )
    low, high = onset_interval(series.days, series.within, change)
    between = f"between {stamp(series.times[low])} and {stamp(series.times[high])}"
    between = between if low < high else f"at {stamp(series.times[low])}"
    if change.shape == "sudden":
        return (
            f"find what changed {between}: {name} went from {rough(change.before)} to "
            f"{rough(change.after)} at {_named(runs, one, change.place)}{_other_code(runs, one)}."
        )
    days = float(series.days[-1] - series.days[change.onset])
    lost = float(change.ramp.fitted[-1] - change.ramp.fitted[change.ramp.place])
    ahead = (
        f" Going on so, it moves by {rough(lost / days * _DAYS_AHEAD)} more in {_DAYS_AHEAD} days."
        if days > 0
        else ""
    )
    return (
        f"compare the data since {stamp(series.times[change.onset])} with that of the baseline, "
        f"and retrain on it: {name} moved by {rough(lost)} in "
        f"{how_long(pd.Timedelta(days=round(days, 6)))} (begun {between}).{ahead}"
    )


def _named(runs: RunSet, one: Judged, place: int) -> str:
    """The run at which something happened, by its label; else the time."""
    when = stamp(one.series.times[place])
    if one.series.noun != "runs" or one.series.each > 1:
        return when
    run_id = _run_at(runs, one, place)
    return f"{run_labels(runs)[run_id]} ({when})" if run_id else when


def _run_at(runs: RunSet, one: Judged, place: int) -> str:
    from qualia_lab.analysis.times import seconds

    starts = seconds(runs.runs["started"])
    values = runs.metrics[one.series.metric].to_numpy(dtype="float64")
    same = (starts == one.series.times[place]) & (values == one.series.values[place])
    here = np.flatnonzero(same)
    return str(runs.runs.index[here[0]]) if len(here) else ""


def _other_code(runs: RunSet, one: Judged) -> str:
    """Whether the run at the change is of another commit or other data than the run before."""
    change = one.change
    if change is None or one.series.noun != "runs" or one.series.each > 1:
        return ""
    pair = [_run_at(runs, one, place) for place in (change.place - 1, change.place)]
    if not all(pair):
        return ""
    other = [
        what
        for what, column in (("commit", "commit"), ("data set", "dataset"))
        if len({str(runs.runs.loc[run, column]) for run in pair}) > 1
    ]
    return f", a run of another {' and another '.join(other)} than the one before" if other else ""


def _of_others(
    runs: RunSet, metric: str | None, parts: Parts, of_run: str | None
) -> Iterator[Advised]:
    """Metrics besides the one that is watched, as a warning or a note for all of a sort."""
    table = performance_table(runs, parts, of_run)
    table = table[table.index != plain(metric)] if metric is not None else table
    levels: dict[str, Level] = {"worse": "warning", "changed": "warning", "better": "note"}
    for verdict, level in levels.items():
        rows = table[table["verdict"] == verdict]
        if not len(rows):
            continue
        named = [
            f"{name} {rough(float(row['baseline']))} to {rough(float(row['current']))} "
            f"(adjusted p = {float(row['p adjusted']):.2g})"
            for name, row in rows.head(_MOST_NAMED).iterrows()
        ]
        more = f", and {len(rows) - _MOST_NAMED:,} more" if len(rows) > _MOST_NAMED else ""
        noun = "other metric" if len(rows) == 1 else "other metrics"
        what = f"{len(rows):,} {noun} of {len(table):,} {verdict}"
        do = f"look at {rows.index[0]} in a notebook of its own: --param metric={rows.index[0]}."
        finding = _finding(level, what, "; ".join(named) + more)
        yield Advised(finding=finding, do=do if level == "warning" else "")


def _of_errors(
    runs: RunSet, metric: str | None, errors: pd.Series[float] | None
) -> Iterator[Advised]:
    """What ADWIN says of the errors of predictions. A metric has its own checks above."""
    if errors is None:
        return
    stream = stream_of(runs, metric, errors)
    if isinstance(stream, Note):
        yield Advised(finding=_finding("note", "concept drift was not checked", stream.text))
        return
    found = drifts(stream.errors)
    rate, _ = in_vain(stream_false_alarms(ALARM, stream.errors), len(stream.errors))
    rises = [one for one in found if one.after > one.before]
    falls = [one for one in found if one.after <= one.before]
    of = f"of {len(found):,} changes by ADWIN"
    if rises:
        last = rises[-1]
        is_now = last is found[-1]
        what = f"errors rise along the stream: {len(rises):,} {of}"
        level: Level = "alarm" if is_now else "warning"
        after = "" if is_now else " Errors fell again after it."
        evidence = f"{drift_told(last, stream)}{after} In vain: {rate}"
        do = (
            f"retrain on what came since value {last.start + 1:,}: the error there is "
            f"{rough(last.after)}, and was {rough(last.before)}."
        )
        yield Advised(finding=_finding(level, what, evidence), do=do if is_now else "")
    if falls:
        what = f"errors fall along the stream: {len(falls):,} {of}"
        evidence = f"{drift_told(falls[-1], stream)} In vain: {rate}"
        yield Advised(finding=_finding("note", what, evidence))
