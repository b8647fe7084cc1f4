"""What was found of data drift: the answer in a few lines, and as findings that a check can use."""

from __future__ import annotations

from collections.abc import Iterator

from qualia_lab.analysis.drifted import Drift, drifts
from qualia_lab.analysis.finding import Finding, Level
from qualia_lab.analysis.labels import rough
from qualia_lab.analysis.samples import Samples
from qualia_lab.analysis.show import Note, Points

_MOST_NAMED = 5


def drift_findings(samples: Samples | Note) -> list[Finding]:
    """What stands out between two samples, the gravest first.

    ``alarm``: a feature drifted much, changed its type or is gone. ``warning``: a feature drifted.
    ``note``: a difference that is not by chance, but small.
    """
    if isinstance(samples, Note):
        return []
    order: list[Level] = ["alarm", "warning", "note"]
    return sorted(_all(samples), key=lambda one: order.index(one.level))


def _all(samples: Samples) -> Iterator[Finding]:
    levels: dict[str, Level] = {"strong": "alarm", "drift": "warning", "slight": "note"}
    for one in drifts(samples):
        if one.verdict in levels:
            what = (
                f"{one.feature.label} drifted"
                if one.verdict != "slight"
                else f"{one.feature.label} moved a little"
            )
            yield Finding(level=levels[one.verdict], what=what, evidence=evidence(one))


def evidence(one: Drift) -> str:
    """The numbers of one feature in a line."""
    by = f", {rough(one.wasserstein)} deviations" if one.wasserstein == one.wasserstein else ""
    index = ""
    if one.psi == one.psi:
        index = f", PSI {one.psi:.3g} ({one.psi_critical:.2g} by chance)"
    return f"{one.distance:.1%} of the rows moved{by}; {one.test} p {one.q:.2g} adjusted{index}"


def drift_first_look(samples: Samples | Note) -> Points | Note:
    """The answer first: how many features drifted, which most, and how sure that is."""
    if isinstance(samples, Note):
        return samples
    found = drifts(samples)
    tested = [one for one in found if one.verdict != "not compared"]
    drifted = [one for one in tested if one.verdict in ("strong", "drift")]
    points = [("Features", f"{len(drifted):,} of {len(tested):,} drifted.")]
    return Points(points)
