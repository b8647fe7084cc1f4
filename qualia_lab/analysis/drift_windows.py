"""How far each feature lies from the reference, window by window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qualia_lab.analysis.drifted import Drift, adjusted, compared, drifts
from qualia_lab.analysis.features import features
from qualia_lab.analysis.samples import NOTHING, Sample, Samples
from qualia_lab.analysis.scales import cut
from qualia_lab.analysis.show import INK, Figure, Note, dress
from qualia_lab.analysis.times import stamp

_MOST_FEATURES = 25
_MOST_SLICES, _FEWEST_ROWS = 12, 30
_HOW = (
    "To see drift over time, log a table of one name in each run (mlflow.log_table(frame, "
    '"current.json")), or one with a column of times.'
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Features by windows. ``distance`` is NaN where a feature was not compared; ``drifted`` says
    where it is more than chance, over all features and windows, and large enough to matter."""

    features: tuple[str, ...]
    windows: tuple[str, ...]
    distance: np.ndarray
    drifted: np.ndarray
    rows: tuple[int, ...]
    how: str


def grid(samples: Samples) -> Grid | str:
    """Every feature in every window, made once; or why there are no windows."""
    found: Grid | str = samples.kept("grid", lambda: _grid(samples))
    return found


def _grid(samples: Samples) -> Grid | str:
    between = list(samples.between())
    if between:
        how = "a window is the table of a run"
        # Windows of another path may be younger than the current table; one without a time is last.
        windows = sorted(
            [*between, samples.current],
            key=lambda one: (not np.isfinite(one.started), np.nan_to_num(one.started)),
        )
    else:
        sliced = _slices(samples)
        if isinstance(sliced, str):
            return sliced
        windows, how = sliced
    names = [one.feature.label for one in drifts(samples) if one.effect >= 0]
    cells: list[tuple[int, Drift]] = []
    for place, window in enumerate(windows):
        shared = features(samples.reference.frame, window.frame).shared
        cells += [(place, compared(one)) for one in shared]
    judged = adjusted([one for _, one in cells])
    distance = np.full((len(names), len(windows)), np.nan)
    drifted = np.zeros(distance.shape, dtype=bool)
    row = {name: place for place, name in enumerate(names)}
    for (place, _), one in zip(cells, judged, strict=True):
        if one.feature.label in row and one.effect >= 0:
            distance[row[one.feature.label], place] = one.distance
            drifted[row[one.feature.label], place] = one.verdict in ("strong", "drift")
    return Grid(
        features=tuple(names),
        windows=tuple(one.short for one in windows),
        distance=distance,
        drifted=drifted,
        rows=tuple(len(one.frame) for one in windows),
        how=how,
    )


def _slices(samples: Samples) -> tuple[list[Sample], str] | str:
    """The current table cut by its first column of times, into parts of as many rows."""
    frame = samples.current.frame
    times = [one for one in samples.features.shared if one.kind == "time"]
    count = min(_MOST_SLICES, len(frame) // _FEWEST_ROWS)
    if not times or count < 2:
        return "There are no windows between the two samples, and no column of times to cut by."
    name = times[0]
    values = name.current.values
    order = np.argsort(values, kind="stable")
    order = order[np.isfinite(values[order])]
    parts = [one for one in np.array_split(order, count) if len(one) >= _FEWEST_ROWS]
    if len(parts) < 2:
        return "There are too few rows with a time to cut the current table into windows."
    cut_by = [
        Sample(name=name.label, short=stamp(float(values[one[0]]))[:16], frame=frame.iloc[one])
        for one in parts
    ]
    how = f"windows are cut by {name.label}, {len(parts)} with as many rows each"
    return cut_by, how


def drift_heat_map(samples: Samples | Note) -> Figure | Note:
    """Features by windows: the share of rows that moved since the reference, and where it drifted.

    Windows are the tables of the runs between the reference and the current one; without those, the
    tables of one path that several runs logged with the columns of the reference; without those,
    parts of the current table by its first column of times. A dot marks a drift as in
    ``data_drift``, adjusted over all features and windows. At most 25 features, those that moved
    furthest in any window.
    """
    if isinstance(samples, Note):
        return NOTHING
    found = grid(samples)
    if isinstance(found, str):
        return Note(f"{found}\n{_HOW}")
    if not found.features:
        return Note("No feature of both tables can be compared, so there is nothing to draw.")
    most = np.nan_to_num(found.distance).max(axis=1)
    order = np.argsort(-most, kind="stable")[:_MOST_FEATURES]
    distance, drifted = found.distance[order], found.drifted[order]
    title = _title(found)
    figure = Figure(
        alt=f"{title}. A row a feature, a column a window.",
        figsize=(9, 1.6 + 0.26 * len(order)),
        layout="constrained",  # of the scale of colours
    )
    axes = figure.add_subplot()
    image = axes.imshow(
        np.ma.masked_invalid(distance), aspect="auto", cmap="Blues", vmin=0,
        vmax=max(0.2, float(np.nanmax(distance, initial=0))), interpolation="nearest",
    )  # fmt: skip
    places = np.argwhere(drifted)
    # White on the dark half of the scale, so that a dot is seen on both.
    dark = distance[drifted] > 0.55 * image.get_clim()[1]
    for which, colour in ((dark, "white"), (~dark, INK)):
        axes.plot(places[which, 1], places[which, 0], "o", color=colour, markersize=4)
    axes.set_yticks(
        range(len(order)), [cut(found.features[one], 30) for one in order], parse_math=False
    )
    ticks = np.unique(np.linspace(0, len(found.windows) - 1, min(len(found.windows), 8)).round())
    axes.set_xticks(ticks, [_wrapped(found.windows[int(one)]) for one in ticks], parse_math=False)
    dress(axes, title)
    axes.grid(False)
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("share of rows that moved", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    more = (
        f"; {len(order)} of {len(found.features):,} features"
        if len(order) < len(found.features)
        else ""
    )
    axes.set_xlabel(f"{found.how}; dot: drifted{more}", fontsize=8, parse_math=False)
    return figure


def _wrapped(text: str) -> str:
    return "\n".join(text.split(" ", 1)) if len(text) > 12 else text


def _title(found: Grid) -> str:
    windows = len(found.windows)
    first = [int(np.argmax(row)) for row in found.drifted if row.any()]
    if not first:
        return f"No feature drifted in any of {windows} windows"
    since = min(first)
    return (
        f"{len(first):,} of {len(found.features):,} features drifted in some of {windows} windows; "
        f"first in {cut(found.windows[since], 30)}"
    )
