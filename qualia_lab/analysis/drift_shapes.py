"""The distributions of the features that moved furthest, the one sample over the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qualia_lab.analysis.drifted import SAID, Drift, drifts, finite_sorted
from qualia_lab.analysis.labels import plain, rough
from qualia_lab.analysis.samples import NOTHING, Samples
from qualia_lab.analysis.scales import cut, window
from qualia_lab.analysis.show import COLOURS, GREY, INK, Figure, Note, dress
from qualia_lab.analysis.values import DRAWABLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_PANELS, _COLUMNS = 6, 3
_BINS = 30
_MOST_BARS = 6
_FEW = 12


def drift_chart(samples: Samples | Note) -> Figure | Note:
    """The six features that moved furthest: the reference as grey, the current as a line.

    Numbers are drawn as shares of rows in up to 30 ranges between the outer hundredths of both
    samples (what lies beyond counts at the edge), or at each value where there are few; categories
    as shares of rows, the six that differ most above.
    """
    if isinstance(samples, Note):
        return NOTHING
    found = [one for one in drifts(samples) if one.effect >= 0]
    shown = found[:_MOST_PANELS]
    if not shown:
        return Note("No feature of both tables can be compared, so there is nothing to draw.")
    title = _title(found)
    rows = -(-len(shown) // _COLUMNS)
    alt = f"{title}. A panel a feature, reference against current."
    figure = Figure(alt=alt, figsize=(9, 0.9 + 2.2 * rows))
    for place, one in enumerate(shown, 1):
        axes = figure.add_subplot(rows, min(len(shown), _COLUMNS), place)
        (_number if one.feature.kind == "number" else _category)(axes, one)
        dress(axes, f"{cut(one.feature.label, 30)}\n{SAID[one.verdict]}")
        axes.set_xlabel(_below(one), fontsize=8)
        axes.grid(False, axis="x" if one.feature.kind == "number" else "y")
    figure.suptitle(
        title, x=0.01, horizontalalignment="left", fontsize=11, color=INK, parse_math=False
    )
    legend = f"grey: {cut(samples.reference.name, 60)}\nblue: {cut(samples.current.name, 60)}"
    more = f"; {len(shown)} of {len(found):,} features" if len(shown) < len(found) else ""
    figure.supxlabel(f"{legend}{more}", fontsize=8, parse_math=False)
    figure.supylabel("share of rows", fontsize=8)
    return figure


def _title(found: list[Drift]) -> str:
    drifted = [one for one in found if one.verdict in ("strong", "drift")]
    if not drifted:
        return f"None of {len(found):,} features drifted; the largest differences"
    verb = "feature drifted" if len(found) == 1 else "features drifted"
    first = cut(drifted[0].feature.label, 30)
    return f"{len(drifted):,} of {len(found):,} {verb}, {first} furthest"


def _below(one: Drift) -> str:
    parts = [f"{one.distance:.0%} moved"]
    if one.wasserstein == one.wasserstein:
        parts.append(f"{one.wasserstein:.2g} deviations")
    return ", ".join(parts)


def _number(axes: Axes, one: Drift) -> None:
    x, y = (
        finite_sorted(values)
        for values in (one.feature.reference.values, one.feature.current.values)
    )
    both = np.concatenate([_thinned(x), _thinned(y)])
    distinct = np.unique(both)
    if max(abs(distinct[0]), abs(distinct[-1])) > DRAWABLE:
        axes.text(0.5, 0.5, "values too large to draw", ha="center", fontsize=8)
        return
    if len(distinct) <= _FEW and len(np.unique(x)) <= _FEW and len(np.unique(y)) <= _FEW:
        _at_values(axes, distinct, x, y)
        return
    low, high = _ends(both)
    edges = np.linspace(low, high, _BINS + 1)
    shares = [np.histogram(np.clip(values, low, high), edges)[0] / len(values) for values in (x, y)]
    axes.stairs(shares[0], edges, fill=True, color=GREY, alpha=0.55)
    axes.stairs(shares[1], edges, color=COLOURS[0], linewidth=1.6)
    axes.set_xlim(low, high)


def _at_values(axes: Axes, distinct: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    places = np.arange(len(distinct))
    for values, shift, colour in ((x, -0.2, GREY), (y, 0.2, COLOURS[0])):
        counts = np.diff(np.searchsorted(values, distinct, "right"), prepend=0)
        axes.bar(places + shift, counts / len(values), 0.38, color=colour)
    every = max(1, len(distinct) // 6)
    axes.set_xticks(places[::every], [rough(float(value)) for value in distinct[::every]])


def _ends(both: np.ndarray) -> tuple[float, float]:
    """Where most values lie."""
    low, high = (float(one) for one in np.quantile(both, [0.005, 0.995]))
    first, last = window(both)
    low, high = max(low, first), min(high, last)
    if not high > low:
        low, high = float(both.min()), float(both.max())
    pad = 0.02 * (high - low)
    return low - pad, high + pad


def _thinned(values: np.ndarray) -> np.ndarray:
    places = np.linspace(0, len(values) - 1, min(len(values), 5000)).astype(int)
    found: np.ndarray = values[places]
    return found


def _category(axes: Axes, one: Drift) -> None:
    names, counts = one.feature.counts
    shares = counts / counts.sum(axis=1, keepdims=True)
    order = np.argsort(-np.abs(shares[0] - shares[1]), kind="stable")[:_MOST_BARS]
    order = order[np.argsort(-shares[0][order], kind="stable")]
    places = np.arange(len(order))
    for row, shift, colour in ((0, -0.2, GREY), (1, 0.2, COLOURS[0])):
        axes.barh(places + shift, shares[row][order], 0.38, color=colour)
    labels = [cut(plain(names[place], 40) or "(empty)", 14) for place in order]
    axes.set_yticks(places, labels, parse_math=False)
    axes.set_ylim(len(order) - 0.5, -0.5)
    if len(order) < len(names):
        axes.set_ylabel(f"{len(order)} of {len(names):,}", fontsize=7)
