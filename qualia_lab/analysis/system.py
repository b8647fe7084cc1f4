"""What the machines did while the runs ran: CPU, memory, GPU, disk and network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import plain, rough, run_labels
from qualia_lab.analysis.series import thin
from qualia_lab.analysis.show import Figure, Note, dress
from qualia_lab.analysis.styles import OTHERS, Style, run_styles, styles_of
from qualia_lab.analysis.times import seconds, short
from qualia_lab.analysis.values import DRAWABLE
from qualia_lab.manifest import FACTS
from qualia_lab.model import RunSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MOST_PANELS = 6
# What is read: more than is drawn, since what never moves is not.
_MOST_MEASURES = 12
# Those with a style of their own and some more: each takes a read of its histories.
_MOST_RUNS = 20
_MOST_POINTS = 400
# GPUs or nodes of a run.
_MOST_SERIES = 8
# Of more runs than these, curves are drawn as means of so many stretches: machines jitter, and many
# such lines on one another hide what each of them does.
_MOST_WHOLE, _STRETCHES = 4, 60
_LONGEST_LABEL = 36
_LONGEST_TITLE = 50
# As MLflow logs them (mlflow/system_metrics/metrics), with a node in between where it has an id:
# system/cpu_utilization_percentage, system/node_1/gpu_0_utilization_percentage.
_NAME = re.compile(r"system/(?:.+/)?(?P<gpu>gpu_\d+_)?(?P<base>[^/]+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """One thing that is measured: its unit, and whether it counts up from the run's start."""

    title: str
    unit: str = ""
    adds_up: bool = False

    @property
    def in_unit(self) -> str:
        """The unit as a column's title ends with it."""
        return f" ({self.unit})" if self.unit else ""


_PERCENT, _MB = "%", "MB"
# In the order in which they are shown.
_KNOWN: Mapping[tuple[bool, str], _Measure] = {
    (False, "cpu_utilization_percentage"): _Measure(title="CPU", unit=_PERCENT),
    (False, "system_memory_usage_percentage"): _Measure(title="memory", unit=_PERCENT),
    (True, "utilization_percentage"): _Measure(title="GPU", unit=_PERCENT),
    (True, "memory_usage_percentage"): _Measure(title="GPU memory", unit=_PERCENT),
    (True, "power_usage_percentage"): _Measure(title="GPU power", unit=_PERCENT),
    (False, "network_receive_megabytes"): _Measure(title="received", unit=_MB, adds_up=True),
    (False, "network_transmit_megabytes"): _Measure(title="sent", unit=_MB, adds_up=True),
    (False, "disk_usage_percentage"): _Measure(title="disk", unit=_PERCENT),
    (False, "system_memory_usage_megabytes"): _Measure(title="memory", unit=_MB),
    (True, "memory_usage_megabytes"): _Measure(title="GPU memory", unit=_MB),
    (True, "memory_usage_gigabytes"): _Measure(title="GPU memory", unit="GB"),
    (True, "power_usage_watts"): _Measure(title="GPU power", unit="W"),
    (False, "disk_usage_megabytes"): _Measure(title="disk", unit=_MB),
    (False, "disk_available_megabytes"): _Measure(title="disk free", unit=_MB),
}


def system_metrics(runs: RunSet, metric: str | None = None) -> Figure | Note:
    """Curves of what the machine did, a panel a measure, a line a run (and GPU, and node).

    Args:
        runs: the runs.
        metric: the metric by which ``styles.run_styles`` chooses which runs have a name.

    Returns:
        At most six panels, of measures that moved, over the time since the run's start (its first
        such point, where the start is missing). At most 20 runs, those with a colour and name of
        their own first. A curve of more than 400 points keeps the first, last, lowest and highest
        of each of 100 stretches; of more than four runs, curves are means of up to 60 stretches.
        The title of a panel says the mean and the highest point of what is drawn and whose it is.
        Points without a time of the years 1980 to 2199, or without a finite value, are left out. A
        note where nothing was logged.
    """
    styles = run_styles(runs, metric)
    measures = _measures(runs)
    points, drawn = _points(runs, list(styles), measures)
    if points.empty:
        return _nothing(runs)
    styles = styles_of(runs, metric, set(points["run_id"]))
    shown, rest = _panels(points, measures)
    unit, per = _unit(points["second"])
    points["second"] /= per
    rows, columns = (len(shown) + 1) // 2, min(2, len(shown))
    told = [_told(runs, one, points[points["measure"] == one]) for one in shown]
    titles = "; ".join(one.replace("\n", " ") for one in told)
    figure = Figure(
        alt=f"System metrics of {drawn:,} runs: {titles}", figsize=(9, 0.9 + 2.1 * rows)
    )
    handles: dict[str, Line2D] = {}
    whole = drawn <= _MOST_WHOLE
    for place, measure in enumerate(shown, 1):
        axes = figure.add_subplot(rows, columns, place)
        mine = points[points["measure"] == measure]
        handles |= _lines(axes, mine, styles, whole)
        dress(axes, told[place - 1])
        _frame(axes, measure, mine["value"])
        axes.set_xlabel(f"{unit} since the run's start", fontsize=8)
    _legend(figure, runs, handles, _caption(runs, drawn, len(handles), rest, points))
    return figure


def system_table(runs: RunSet, metric: str | None = None) -> pd.DataFrame | Note:
    """The mean and the highest value of what the machine did, a row a run.

    The same runs, points and measures as in ``system_metrics``, over all points, GPUs and nodes of
    a run; of what counts up from the start of a run (the network), only the highest. At most 12
    measures. Indexed by label; units are in the titles of the columns; missing where a run did not
    log it. The corner says how many runs have no row. A note where nothing was logged.
    """
    measures = _measures(runs)
    points, _ = _points(runs, list(run_styles(runs, metric)), measures)
    if points.empty:
        return _nothing(runs)
    labels = run_labels(runs)
    here, seen = set(points["run_id"]), set(points["measure"])
    ids = [run for run in runs.runs.index if run in here]
    columns = {}
    for measure in measures:
        if measure not in seen:
            continue
        by_run = points.loc[points["measure"] == measure].groupby("run_id", sort=False)["value"]
        if not measure.adds_up:
            columns[f"{measure.title} mean{measure.in_unit}"] = by_run.mean().reindex(ids)
        end = "in all" if measure.adds_up else "highest"
        columns[f"{measure.title} {end}{measure.in_unit}"] = by_run.max().reindex(ids)
    table = pd.DataFrame(columns)
    table.index = pd.Index([labels[str(run)] for run in ids])
    logged = int(_logging(runs, measures).sum())
    of = f" ({len(ids):,} of {logged:,})" if len(ids) < logged else ""
    return table.rename_axis(columns=f"run{of}")


def _measures(runs: RunSet) -> dict[_Measure, list[str]]:
    """What was measured -> the metrics of it (one for each GPU and node, at most eight), in order.

    Of an amount and its share only the share is kept, and of a disk what is used.
    """
    found: dict[tuple[bool, str], list[str]] = {}
    for name in runs.metric_names:
        parsed = _NAME.fullmatch(name)
        if parsed:
            found.setdefault((bool(parsed["gpu"]), parsed["base"]), []).append(name)
    known = [key for key in _KNOWN if key in found]
    others = [key for key in found if key not in _KNOWN]
    measures: dict[str, tuple[_Measure, list[str]]] = {}
    for key in known + others:
        measure = _KNOWN.get(key) or _Measure(title=plain(("GPU " if key[0] else "") + key[1], 24))
        names = sorted(found[key], key=lambda name: (len(name), name))
        measures.setdefault(measure.title, (measure, names[:_MOST_SERIES]))
    if "disk" in measures:
        measures.pop("disk free", None)
    return dict(measures.values())


def _logging(runs: RunSet, measures: Mapping[_Measure, Sequence[str]]) -> pd.Series[bool]:
    """Which runs logged any of these."""
    names = [name for several in measures.values() for name in several]
    return runs.logged[names].any(axis=1)


def _points(
    runs: RunSet, named: Sequence[str], measures: Mapping[_Measure, Sequence[str]]
) -> tuple[pd.DataFrame, int]:
    """The points of at most 20 runs: run_id, metric, measure, value, second (since the start).

    The named runs come first. Also how many runs they are of.
    """
    logging = _logging(runs, measures)
    ids = [str(run) for run in runs.runs.index[logging]]
    first = set(named)
    ids.sort(key=lambda run: run not in first)
    of_metric = {name: one for one, names in measures.items() for name in names}
    read = [name for names in list(measures.values())[:_MOST_MEASURES] for name in names]
    points = runs.history(read, ids[:_MOST_RUNS])
    start = pd.Series(seconds(runs.runs["started"]), index=runs.runs.index)
    points["second"] = seconds(points["timestamp"])
    points = points[np.isfinite(points["second"]) & (np.abs(points["value"]) < DRAWABLE)]
    begin = points["run_id"].map(start).astype("float64")
    begin = begin.fillna(points.groupby("run_id")["second"].transform("min"))
    return points.assign(
        second=points["second"] - begin, measure=points["metric"].map(of_metric)
    ), points["run_id"].nunique()


def _nothing(runs: RunSet) -> Note:
    if runs.has("system_metrics"):
        return Note("No system metric of these runs has a finite value with a time.")
    fact = FACTS["system_metrics"]
    return Note(f"{fact.missing} To have it here: {fact.how}")


def _unit(lengths: pd.Series[float]) -> tuple[str, float]:
    """The unit of the time axis, and its seconds."""
    longest = float(lengths.max())
    if longest < 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if longest < 3 * 3600 else ("hours", 3600.0)


def _panels(
    points: pd.DataFrame, measures: Mapping[_Measure, Sequence[str]]
) -> tuple[list[_Measure], str]:
    """The measures that are drawn, and in words those that are not."""
    by_measure = points.groupby("measure", sort=False)["value"]
    low, high = by_measure.min().to_dict(), by_measure.max().to_dict()
    seen = [one for one in measures if one in high]
    moving = [one for one in seen if low[one] < high[one]]
    still = [
        f"{one.title} {rough(high[one])} {one.unit}".rstrip() for one in seen if one not in moving
    ]
    shown = (moving or seen)[:_MOST_PANELS]
    said = []
    if moving and still:
        said.append(f"the same throughout: {', '.join(still[:_MOST_PANELS])}")
    if len(shown) < len(measures) - len(still if moving else []):
        said.append(f"{len(shown)} of {len(measures):,} measures drawn")
    return shown, "; ".join(said)


def _lines(
    axes: Axes, points: pd.DataFrame, styles: Mapping[str, Style], whole: bool
) -> dict[str, Line2D]:
    """A line for each run and metric; returns one for each run that has a name."""
    handles: dict[str, Line2D] = {}
    for (run, _), curve in points.groupby(["run_id", "metric"], sort=False):
        named = str(run) in styles
        x, y = _drawn(curve["second"].to_numpy(), curve["value"].to_numpy(), whole)
        (line,) = axes.plot(
            x,
            y,
            linewidth=1.3 if named else 0.7,
            alpha=0.9 if named else 0.5,
            zorder=3 if named else 2,
            marker="o" if len(x) < 2 else None,
            markersize=4,
            **styles.get(str(run), OTHERS).keywords,
        )
        if named:
            handles.setdefault(str(run), line)
    return handles


def _drawn(x: np.ndarray, y: np.ndarray, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """The points of a curve: the telling ones, or the means of stretches of it."""
    if whole:
        kept = thin(y, _MOST_POINTS)
        return x[kept], y[kept]
    if len(x) <= _STRETCHES:
        return x, y
    # All but the last of the same length, or short and long ones would jitter unlike.
    first = np.arange(0, len(x), -(-len(x) // _STRETCHES))
    counts = np.diff(np.append(first, len(x)))
    return np.add.reduceat(x, first) / counts, np.add.reduceat(y, first) / counts


def _told(runs: RunSet, measure: _Measure, points: pd.DataFrame) -> str:
    """The mean and the highest of what is drawn, and whose that is."""
    top = float(points["value"].max())
    whose = str(points.loc[points["value"] == top, "run_id"].iloc[0])
    label = f"({short(run_labels(runs)[whose], 24)})"
    series = points.groupby("run_id")["metric"].nunique().max()
    what = f"{measure.title} ({series} a run)" if series > 1 else measure.title
    what += f", {measure.unit}" if measure.unit else ""
    mean = "" if measure.adds_up else f"mean {rough(float(points['value'].mean()))}, "
    line = f"{what}: {mean}highest {rough(top)}"
    return f"{line} {label}" if len(line) + len(label) < _LONGEST_TITLE else f"{line}\n{label}"


def _frame(axes: Axes, measure: _Measure, values: pd.Series[float]) -> None:
    """From nothing up, and to the whole for a share, so that panels can be compared."""
    low, high = float(values.min()), float(values.max())
    if measure.unit == _PERCENT and low >= 0 and high <= 100:
        axes.set_ylim(0, 104)
    elif low >= 0 and high > 0:
        axes.set_ylim(0, 1.08 * high)


def _caption(runs: RunSet, drawn: int, named: int, rest: str, points: pd.DataFrame) -> str:
    logging = int(_logging(runs, _measures(runs)).sum())
    parts = [f"{logging:,} of {len(runs):,} runs logged any"] if logging < len(runs) else []
    if drawn < logging:
        parts.append(f"{drawn:,} of {logging:,} runs drawn")
    if named < drawn:
        parts.append(f"{named:,} named, the others grey")
    longest = points.groupby(["run_id", "metric"], sort=False).size().max()
    if drawn > _MOST_WHOLE and longest > _STRETCHES:
        parts.append(f"lines are means of up to {_STRETCHES} stretches of each curve")
    return "; ".join(filter(None, [*parts, rest]))


def _legend(figure: Figure, runs: RunSet, handles: Mapping[str, Line2D], caption: str) -> None:
    labels = run_labels(runs)
    legend = figure.legend(
        list(handles.values()),
        [f" {short(labels[run], _LONGEST_LABEL)}" for run in handles],
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        frameon=False,
        title=caption or None,
        title_fontsize=8,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
