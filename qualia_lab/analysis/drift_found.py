"""What was found of data drift: the answer in a few lines, and as findings that a check can use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from qualia_lab.analysis.drifted import Drift, drifts
from qualia_lab.analysis.features import Feature
from qualia_lab.analysis.found import Finding, Found, Level, Severity
from qualia_lab.analysis.labels import chance, rough
from qualia_lab.analysis.samples import NOTHING, Samples
from qualia_lab.analysis.show import Note, Points
from qualia_lab.analysis.telling import MUCH as MUCH_AUC
from qualia_lab.analysis.telling import Told, answer, told
from qualia_lab.analysis.times import stamp
from qualia_lab.analysis.value_checks import MUCH, Change, changes
from qualia_lab.analysis.watch_glance import performance
from qualia_lab.analysis.watch_series import Parts
from qualia_lab.model import RunSet

_MOST_NAMED = 5
_NOTHING_TO_DO = "nothing about this data; check again when there is newer data."
_SEVERITY: dict[Level, Severity] = {"alarm": "error", "warning": "warning", "note": "info"}
_WORDS = {
    "missing": "missing values", "infinite": "infinite values", "new": "new categories",
    "vanished": "categories gone", "below": "values below the reference's range",
    "above": "values above the reference's range",
}  # fmt: skip


def drift_findings(samples: Samples | Note) -> Found | Note:
    """What stands out between two samples, as ``--json`` and ``--fail-on`` take it.

    *alarm*: a feature drifted much (``drifted.Drift.verdict``), changed its type or is gone; a
    fifth of its rows are newly missing, of new categories or out of range; a model tells the
    samples apart with an AUC of 0.75 or more. *warning*: a feature drifted; more values than chance
    would bring are missing (a twentieth of the rows), new or out of range (a hundredth); a model
    tells the samples apart (AUC 0.6, the interval above 0.5). *note*: what is more than chance,
    but small; features that are new.

    Metrics of earlier and later runs give notes alone: runs resemble those before, which these
    tests take for change, and ``what_to_do`` allows for.
    """
    if isinstance(samples, Note):
        return NOTHING
    found = list(_all(samples))
    if samples.by_time:
        found = [replace(one, severity="info", level="note") for one in found]
    return Found(found)


def _finding(level: Level, what: str, evidence: str) -> Finding:
    return Finding(severity=_SEVERITY[level], level=level, what=what, evidence=evidence)


def _all(samples: Samples) -> Iterator[Finding]:
    levels: dict[str, Level] = {"strong": "alarm", "drift": "warning", "slight": "note"}
    for one in drifts(samples):
        if one.verdict in levels:
            much = {"strong": "drifted, much", "drift": "drifted", "slight": "moved a little"}
            what = f"{one.feature.label} {much[one.verdict]}"
            yield _finding(levels[one.verdict], what, evidence(one))
    for feature in samples.features.shared:
        if feature.changed:
            yield _finding("alarm", f"{feature.label} changed its type", feature.changed)
    for name in samples.features.gone:
        yield _finding("alarm", f"{name} is gone", "the reference has it, the current table not")
    for name in samples.features.new:
        yield _finding("note", f"{name} is new", "the reference does not have it")
    for change in changes(samples):
        if change.q <= 0.05:
            yield _change(change)
    model = told(samples)
    if isinstance(model, Told) and model.tells:
        level: Level = "alarm" if model.auc >= MUCH_AUC else "warning"
        interval = f"AUC {model.auc:.3f}, 95 % interval {model.low:.3f} to {model.high:.3f}"
        yield _finding(level, "a model tells the two apart", interval)


def _change(one: Change) -> Finding:
    level: Level = "note"
    if one.matters:
        level = "alarm" if one.share >= MUCH else "warning"
    fewer = "fewer " if one.share < 0 else ""
    which = f" ({one.values})" if one.values else ""
    before = f", {one.before / one.of_before:.1%} before" if one.before and one.of_before else ""
    return _finding(
        level,
        f"{one.feature.label} has {fewer}{_WORDS[one.sort]}",
        f"{one.rows:,} of {one.of:,} rows, {one.rows / one.of:.1%}{before}{which}; "
        f"p {chance(one.q)} adjusted",
    )


def evidence(one: Drift) -> str:
    """The numbers of one feature in a line."""
    by = f", {rough(one.wasserstein)} deviations" if one.wasserstein == one.wasserstein else ""
    index = ""
    if one.psi == one.psi:
        index = f", PSI {one.psi:.3g} ({one.psi_critical:.2g} by chance)"
    return f"{one.distance:.1%} of the rows moved{by}; {one.test} p {chance(one.q)} adjusted{index}"


def drift_first_look(
    samples: Samples | Note,
    runs: RunSet | None = None,
    metric: str | None = None,
    parts: Parts | None = None,
) -> Points | Note:
    """The answer first: how many features drifted, which most, how sure, and what to do.

    With ``runs`` it says how the ``metric`` does, too, by the rules of ``what_to_do`` (``parts``);
    that comes first where it is an alarm, and what to do about the data before what to do about it.
    """
    if isinstance(samples, Note) and runs is None:
        return NOTHING
    points = [("Data", NOTHING.text)] if isinstance(samples, Note) else _of_data(samples)
    if runs is None:
        return Points(points)
    seen = performance(runs, metric, parts)
    points.insert(0 if seen.is_alarm else 1, ("Performance", seen.text))
    if seen.do:
        points = [one for one in points if one != ("What to do", _NOTHING_TO_DO)]
        # The data first: retraining on faulty rows makes it worse.
        is_second = any(word == "What to do" for word, _ in points)
        points.append(("Then" if is_second else "What to do", seen.do))
    return Points(points)


def _of_data(samples: Samples) -> list[tuple[str, str]]:
    found = drifts(samples)
    tested = [one for one in found if one.verdict != "not compared"]
    drifted = [one for one in tested if one.verdict in ("strong", "drift")]
    points = [("Answer", _answer(tested, drifted))]
    if drifted:
        points.append(("Largest", f"{drifted[0].feature.label}: {evidence(drifted[0])}."))
    points += [("How sure", _how_sure(samples, tested, drifted))]
    model = told(samples)
    if isinstance(model, Told):
        interval = f"AUC {model.auc:.2f}, {model.low:.2f} to {model.high:.2f}"
        points.append(("All features together", f"{answer(model)[:-1]} ({interval})."))
    odd = [one for one in changes(samples) if one.matters]
    if odd:
        named = "; ".join(
            f"{one.feature.label}: {one.share:+.1%} {_WORDS[one.sort]}" for one in odd[:_MOST_NAMED]
        )
        more = f"; {len(odd) - _MOST_NAMED:,} more" if len(odd) > _MOST_NAMED else ""
        points.append(("Values", f"{named}{more}."))
    points.append(("What to do", _what_to_do(samples, drifted, odd, model)))
    return points


def _answer(tested: list[Drift], drifted: list[Drift]) -> str:
    if not tested:
        return "no feature could be compared."
    if not drifted:
        return f"no drift found: none of {len(tested):,} features drifted."
    named = ", ".join(one.feature.label for one in drifted[:_MOST_NAMED])
    more = f", and {len(drifted) - _MOST_NAMED:,} more" if len(drifted) > _MOST_NAMED else ""
    return f"{len(drifted):,} of {len(tested):,} features drifted: {named}{more}."


def _how_sure(samples: Samples, tested: list[Drift], drifted: list[Drift]) -> str:
    if not tested:
        return "nothing was compared; the reasons are above."
    sizes = f"{len(samples.reference.frame):,} and {len(samples.current.frame):,} {samples.of}"
    if drifted:
        weakest = max(drifted, key=lambda one: one.q)
        slight = sum(one.verdict == "slight" for one in tested)
        more = f" {slight:,} more are not by chance, but too small to matter." if slight else ""
        return (
            f"of the features called drifted, a twentieth may be false on average; the least sure "
            f"is {weakest.feature.label}, p {chance(weakest.q)} adjusted ({sizes}).{more}"
        )
    slight = sum(one.verdict == "slight" for one in tested)
    if slight:
        return f"{slight:,} differ by more than chance, but too little to matter ({sizes})."
    return f"with {sizes}, {_seen(samples)}"


def _seen(samples: Samples) -> str:
    """How small a shift would have been seen."""
    rows = [len(one.frame) for one in (samples.reference, samples.current)]
    if not min(rows):
        return "nothing could have been seen: one of the tables is empty."
    tested = max(1, sum(one.verdict != "not compared" for one in drifts(samples)))
    distance = smallest_distance(rows[0], rows[1], tested)
    if distance >= 1:
        return "nothing could have been seen: there are too few rows."
    return (
        f"a feature alone would have been told from chance once {100 * distance:.2g}% of its rows "
        "had moved."
    )


def smallest_distance(n: int, m: int, tested: int) -> float:
    """The Kolmogorov-Smirnov distance that a feature needs alone among ``tested`` to be called.

    By the limit law, at 0.05 / tested: what Benjamini and Hochberg ask of the smallest of all.
    """
    from scipy import special

    return min(1.0, float(special.kolmogi(0.05 / tested) * np.sqrt((n + m) / (n * m))))


def _what_to_do(samples: Samples, drifted: list[Drift], odd: list[Change], model: Any) -> str:
    changed = [one.label for one in samples.features.shared if one.changed]
    if changed or samples.features.gone:
        names = [*changed, *samples.features.gone]
        return f"look at what makes the table first: {names[0]} changed its type or is gone."
    if odd and odd[0].sort in ("missing", "infinite", "new"):
        return (
            f"look at where {odd[0].feature.label} comes from before anything else: "
            f"{_WORDS[odd[0].sort]} are more often a fault of the data than of the world."
        )
    if drifted:
        return (
            f"look at {drifted[0].feature.label} below, and whether the model still performs on "
            "the current data; where it does not, retrain it on newer rows."
        )
    if isinstance(model, Told) and model.tells:
        return "look at how features go together: none moved by itself, and yet a model sees it."
    return _NOTHING_TO_DO


def drift_coverage(samples: Samples | Note) -> Points | Note:
    """Which columns are compared and which are not, with the reason."""
    if isinstance(samples, Note):
        return NOTHING
    shared, found = samples.features.shared, drifts(samples)
    compared = [one for one in found if one.verdict != "not compared"]
    kinds = {
        noun: sum(one.feature.kind == kind for one in compared)
        for kind, noun in (("number", "of numbers"), ("category", "of categories"))
    }
    counted = " and ".join(f"{count:,} {noun}" for noun, count in kinds.items() if count)
    of = f", {counted}" if counted else ""
    points = [("Compared", f"{len(compared):,} of {len(shared):,} columns of both tables{of}.")]
    why: dict[str, list[str]] = {}
    for one in found:
        if one.verdict == "not compared":
            why.setdefault(one.why_not or "no test", []).append(one.feature.label)
    points += [("Not compared", f"{reason}: {_named(names)}.") for reason, names in why.items()]
    points += [("Times", _times(one)) for one in shared if one.kind == "time"][:_MOST_NAMED]
    for word, names in (("Gone", samples.features.gone), ("New", samples.features.new)):
        if names:
            points.append((word, f"{_named(list(names))}."))
    points += [("Type changed", f"{one.label}: {one.changed}.") for one in shared if one.changed][
        :_MOST_NAMED
    ]
    rare = [one for one in compared if one.rare]
    if rare:
        named = _named([f"{one.feature.label} ({one.rare:,})" for one in rare])
        points.append(
            ("Put together", f"categories that are expected less than 5 times in a table: {named}.")
        )
    return Points(points)


def _times(one: Feature) -> str:
    spans = []
    for word, side in (("reference", one.reference), ("current", one.current)):
        values = side.values if side.kind == "time" else np.array([])
        known = values[np.isfinite(values)]
        if len(known):
            ends = (stamp(float(known.min()))[:16], stamp(float(known.max()))[:16])
            spans.append(f"{word} {ends[0]} to {ends[1]}")
    zone = " UTC"
    if one.reference.zoneless or one.current.zoneless:
        zone = " (no zone in it; taken for UTC)"
    return f"{one.label}: {', '.join(spans)}{zone}."


def _named(names: list[str]) -> str:
    more = f", and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
