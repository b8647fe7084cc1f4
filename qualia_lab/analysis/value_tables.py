"""Values that are missing, new, vanished or out of range, as tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from qualia_lab.analysis.labels import chance
from qualia_lab.analysis.samples import NOTHING, Samples
from qualia_lab.analysis.show import Note, Report
from qualia_lab.analysis.value_checks import Change, Sort, changes

_MOST_ROWS = 20
_CAPTIONS: dict[tuple[Sort, ...], str] = {
    ("missing",): "Missing values",
    ("infinite",): "Infinite values",
    ("new",): "Categories that the reference did not have",
    ("vanished",): "Categories that are gone",
    ("below", "above"): "Out of the reference's range",
}


def value_changes(samples: Samples | Note) -> Report | Note:
    """What is missing, new, gone or out of range, with counts and shares, feature by feature.

    Returns:
        A table for each kind of change that any feature has, the largest share first, 20 rows at
        most. ``now`` and ``before``: rows and their share of the current table and the reference;
        ``p adjusted``: how probable so many are by chance (``value_checks``: Fisher's or Pearson's
        test for shares, drawing without replacement for categories and ranges), adjusted over all
        changes (Benjamini and Hochberg).
    """
    if isinstance(samples, Note):
        return NOTHING
    found = changes(samples)
    tables = []
    absent = []
    for sorts, caption in _CAPTIONS.items():
        mine = sorted((one for one in found if one.sort in sorts), key=lambda one: -abs(one.share))
        if not mine:
            absent.append(caption[0].lower() + caption[1:])
            continue
        cut = f"; {_MOST_ROWS} of {len(mine):,}" if len(mine) > _MOST_ROWS else ""
        tables.append((f"{caption}{cut}", _table(mine[:_MOST_ROWS], sorts)))
    none = f"None of: {', '.join(absent)}." if absent else ""
    return Report(tables, none)


def _table(found: Sequence[Change], sorts: tuple[Sort, ...]) -> pd.DataFrame:
    vanished = sorts == ("vanished",)
    columns: dict[str, list[object]] = {}
    if sorts in (("missing",), ("infinite",)):
        columns["before"] = [_share(one.before, one.of_before) for one in found]
    columns["before" if vanished else "now"] = [_share(one.rows, one.of) for one in found]
    columns["p adjusted"] = [chance(one.q) for one in found]
    columns["more than chance, and enough"] = ["yes" if one.matters else "" for one in found]
    if any(one.values for one in found):
        columns["which"] = [one.values for one in found]
    index = pd.Index([one.feature.label for one in found], dtype="object")
    return pd.DataFrame(columns, index=index)


def _share(rows: int, of: int) -> str:
    share = rows / of if of else 0.0
    return f"{rows:,} ({share:.1%})" if share >= 0.001 or not rows else f"{rows:,} (<0.1%)"
